/*
** json.c: the pieces of JSON that requests are made of: strings, keys, numbers. Included by engine.c.
**
** The bytes end with a NUL, which no piece goes beyond. Strings are not checked for UTF-8: whoever decodes them is.
*/

i64 lsc_json_string(const unsigned char *z, const unsigned char *zEnd, int *pFlags){
  const unsigned char *zFrom = z;
  *pFlags = 0;
  for(;;){
    while( zEnd-z>=8 && svrIsPlain8(z) ) z += 8;
    if( *z=='"' ) return z-zFrom;
    if( *z<0x20 ) return -1;
    if( *z=='\\' ){
      *pFlags |= LSC_JSON_ESCAPES;
      z++;
      if( *z<0x20 ) return -1;
    }
    if( *z>=0x80 ) *pFlags |= LSC_JSON_WIDE;
    z++;
  }
}

/* The number that four hexadecimal digits are, or -1. */
static int svrHex4(const unsigned char *z){
  int i, v = 0;
  for(i=0; i<4; i++){
    if( !sqlite3Isxdigit(z[i]) ) return -1;
    v = v<<4 | sqlite3HexToInt(z[i]);
  }
  return v;
}

i64 lsc_json_unescape(const unsigned char *z, i64 n, unsigned char *zOut){
  static const char aPlain[] = "\"\\/bfnrt", aMeant[] = "\"\\/\b\f\n\r\t";
  const unsigned char *zEnd = &z[n];
  unsigned char *p = zOut;
  while( z<zEnd ){
    const char *zFound;
    int v;
    if( *z!='\\' ){
      *p++ = *z++;
      continue;
    }
    z += 2;
    zFound = strchr(aPlain, z[-1]);
    if( zFound ){
      *p++ = (unsigned char)aMeant[zFound-aPlain];
      continue;
    }
    if( z[-1]!='u' || zEnd-z<4 || (v = svrHex4(z))<0 ) return -1;
    z += 4;
    if( v<0x80 ){
      *p++ = (unsigned char)v;
      continue;
    }
    if( v<0x800 ){
      *p++ = (unsigned char)(0xc0 | v>>6);
      *p++ = (unsigned char)(0x80 | (v & 63));
      continue;
    }
    if( (v & 0xf800)==0xd800 ){
      int low = zEnd-z>=6 && z[0]=='\\' && z[1]=='u' ? svrHex4(&z[2]) : -1;
      if( v>=0xdc00 || (low & 0xfc00)!=0xdc00 || low<0 ) return -1;
      z += 6;
      v = 0x10000 + ((v & 0x3ff)<<10) + (low & 0x3ff);
      *p++ = (unsigned char)(0xf0 | v>>18);
      *p++ = (unsigned char)(0x80 | (v>>12 & 63));
    }else{
      *p++ = (unsigned char)(0xe0 | v>>12);
    }
    *p++ = (unsigned char)(0x80 | (v>>6 & 63));
    *p++ = (unsigned char)(0x80 | (v & 63));
  }
  return p-zOut;
}

int lsc_json_key(const unsigned char *z, i64 n){
  /* The most frequent first. */
  static const struct { char z[18]; unsigned char n, key; } a[] = {
    { "type", 4, LSC_KEY_TYPE }, { "sql", 3, LSC_KEY_SQL }, { "stmt", 4, LSC_KEY_STMT },
    { "value", 5, LSC_KEY_VALUE }, { "args", 4, LSC_KEY_ARGS }, { "step", 4, LSC_KEY_STEP },
    { "condition", 9, LSC_KEY_CONDITION }, { "want_rows", 9, LSC_KEY_WANT_ROWS },
    { "named_args", 10, LSC_KEY_NAMED_ARGS }, { "name", 4, LSC_KEY_NAME }, { "base64", 6, LSC_KEY_BASE64 },
    { "requests", 8, LSC_KEY_REQUESTS }, { "request", 7, LSC_KEY_REQUEST }, { "request_id", 10, LSC_KEY_REQUEST_ID },
    { "stream_id", 9, LSC_KEY_STREAM_ID }, { "baton", 5, LSC_KEY_BATON }, { "batch", 5, LSC_KEY_BATCH },
    { "steps", 5, LSC_KEY_STEPS }, { "cond", 4, LSC_KEY_COND }, { "conds", 5, LSC_KEY_CONDS },
    { "sql_id", 6, LSC_KEY_SQL_ID }, { "replication_index", 17, LSC_KEY_INDEX },
  };
  int i;
  for(i=0; i<(int)ArraySize(a); i++){
    if( a[i].n==n && a[i].z[0]==z[0] && memcmp(a[i].z, z, (size_t)n)==0 ) return a[i].key;
  }
  return -1;
}

static const unsigned char *svrSkipDigits(const unsigned char *z){
  while( sqlite3Isdigit(*z) ) z++;
  return z;
}

int lsc_json_number(const unsigned char *z){
  const unsigned char *zFrom = z, *zDigits;
  if( *z=='-' ) z++;
  zDigits = z;
  z = svrSkipDigits(z);
  if( z==zDigits || (*zDigits=='0' && z>zDigits+1) ) return 0;
  if( *z=='.' ){
    zDigits = ++z;
    z = svrSkipDigits(z);
    if( z==zDigits ) return 0;
  }
  if( *z=='e' || *z=='E' ){
    z++;
    if( *z=='+' || *z=='-' ) z++;
    zDigits = z;
    z = svrSkipDigits(z);
    if( z==zDigits ) return 0;
  }
  return z-zFrom<=LSC_JSON_LONGEST ? (int)(z-zFrom) : 0;
}
