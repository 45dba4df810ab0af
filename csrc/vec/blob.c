/*
** blob.c: vectors read from blobs in place, and written as blobs; see vector.h for the bytes. Included by engine.c.
*/

static const char *lscVectorTypeName(int type){
  static const char *const azName[] = { "float32", "float64", "float1bit", "float8", "float16", "floatb16" };
  assert( type>=LSC_F32 && type<=LSC_FB16 );
  return azName[type-1];
}

static i64 lscVectorSize(int type, u32 n){
  switch( type ){
    case LSC_F32:   return (i64)n*4;
    case LSC_F64:   return (i64)n*8;
    case LSC_F1BIT: return ((i64)n+7)/8;
    case LSC_F8:    return ((i64)n+3)/4*4 + 8;
    default:        return (i64)n*2;
  }
}

static int lscError(char **pzErr, const char *zFormat, ...){
  va_list ap;
  va_start(ap, zFormat);
  *pzErr = sqlite3_vmprintf(zFormat, ap);
  va_end(ap);
  return *pzErr ? SQLITE_ERROR : SQLITE_NOMEM_BKPT;
}

static int lscSizeError(int type, i64 n, i64 nHave, char **pzErr){
  return lscError(pzErr, "vector: unexpected data part size: type=%d, dims=%lld, %lld != %lld",
                  type, n, nHave, lscVectorSize(type, n<0 ? 0 : (u32)n));
}

/* Type, length and place of the elements, none of which is looked at: lscBlobCheck() says whether all are there. */
static int lscBlobDetect(LscVector *p, const u8 *a, i64 nBlob, char **pzErr){
  i64 n, m = nBlob - 1;       /* m: bytes in front of the type */
  int type = LSC_F32;
  if( (nBlob & 1)==0 ){
    n = nBlob/4;
  }else{
    type = a[m];
    switch( type ){
      case LSC_F32:
        if( m%4 ) return lscError(pzErr, "vector: float32 vector blob length must be divisible by 4"
                                         " (excluding optional 'type'-byte): length=%lld", m);
        n = m/4;
        break;
      case LSC_F64:
        if( m%8 ) return lscError(pzErr, "vector: float64 vector blob length must be divisible by 8"
                                         " (excluding 'type'-byte): length=%lld", m);
        n = m/8;
        break;
      case LSC_F1BIT:
        if( m==0 ) return lscError(pzErr, "vector: float1bit vector blob length must be divisible by 2 and not be"
                                          " empty (excluding 'type'-byte): length=%lld", m);
        n = 8*m - a[m-1];
        break;
      case LSC_F8:
        if( m==0 ) return lscError(pzErr, "vector: float8 vector blob length must be divisible by 2 and has at least"
                                          " 2 bytes (excluding 'type'-byte): length=%lld", m);
        n = m - 10 - a[m-1];
        break;
      case LSC_F16:
      case LSC_FB16:
        n = m/2;
        break;
      default:
        return lscError(pzErr, "vector: unexpected binary type: %d", type);
    }
    if( n<0 ) return lscSizeError(type, n, type==LSC_F8 ? m-2 : m, pzErr);
  }
  if( n>LSC_MAX_DIMS ) return lscError(pzErr, "vector: max size exceeded: %lld > %d", n, LSC_MAX_DIMS);
  p->type = type;
  p->n = (u32)n;
  p->pData = a;
  return SQLITE_OK;
}

static int lscBlobCheck(LscVector *p, i64 nBlob, char **pzErr){
  i64 nNeed = lscVectorSize(p->type, p->n);
  i64 nHave = p->type==LSC_F1BIT ? nNeed : p->type==LSC_F8 ? nBlob-3 : nBlob-(nBlob&1);
  assert( p->type!=LSC_F1BIT || nNeed<nBlob );
  if( nHave!=nNeed ) return lscSizeError(p->type, p->n, nHave, pzErr);
  if( p->type==LSC_F8 ){
    memcpy(&p->alpha, (const u8*)p->pData + nNeed-8, 4);
    memcpy(&p->shift, (const u8*)p->pData + nNeed-4, 4);
  }
  return SQLITE_OK;
}

static int lscVectorFromBlob(LscVector *p, const void *pBlob, i64 nBlob, char **pzErr){
  int rc = lscBlobDetect(p, pBlob, nBlob, pzErr);
  return rc==SQLITE_OK ? lscBlobCheck(p, nBlob, pzErr) : rc;
}

/* A text's length as libSQL guesses it: its commas, and one if it holds a digit. */
static u32 lscGuessLength(const char *z, i64 n){
  i64 i;
  u32 nComma = 0, digit = 0;
  for(i=0; i<n; i++){
    nComma += z[i]==',';
    digit |= (unsigned)(z[i]-'0')<10;
  }
  return nComma + digit;
}

static int lscVectorDetect(LscVector *p, sqlite3_value *pValue, char **pzErr){
  static const char *const azType[] = { "INTEGER", "FLOAT", "TEXT", "BLOB", "NULL" };
  int type = sqlite3_value_type(pValue);
  if( type==SQLITE_BLOB ){
    const u8 *a = sqlite3_value_blob(pValue);
    int n = sqlite3_value_bytes(pValue);
    if( a==0 && n>0 ) return SQLITE_NOMEM_BKPT;
    return lscBlobDetect(p, a, n, pzErr);
  }
  if( type==SQLITE_TEXT ){
    const char *z = (const char*)sqlite3_value_text(pValue);
    if( z==0 ) return SQLITE_NOMEM_BKPT;
    p->type = LSC_F32;
    p->n = lscGuessLength(z, sqlite3_value_bytes(pValue));
    return SQLITE_OK;
  }
  return lscError(pzErr, "vector: unexpected value type: got %s, expected TEXT or BLOB", azType[type-1]);
}

static int lscVectorRead(LscVector *p, sqlite3_value *pValue, char **pzErr){
  const char *z;
  if( sqlite3_value_type(pValue)==SQLITE_BLOB ) return lscBlobCheck(p, sqlite3_value_bytes(pValue), pzErr);
  z = (const char*)sqlite3_value_text(pValue);
  return z ? lscVectorFromText(p, LSC_F32, z, sqlite3_value_bytes(pValue), pzErr) : SQLITE_NOMEM_BKPT;
}

static int lscVectorFromValue(LscVector *p, sqlite3_value *pValue, char **pzErr){
  int rc, type = sqlite3_value_type(pValue);
  if( type==SQLITE_BLOB ){
    const void *a = sqlite3_value_blob(pValue);
    int n = sqlite3_value_bytes(pValue);
    return a==0 && n>0 ? SQLITE_NOMEM_BKPT : lscVectorFromBlob(p, a, n, pzErr);
  }
  rc = type==SQLITE_TEXT ? SQLITE_OK : lscVectorDetect(p, pValue, pzErr);
  return rc==SQLITE_OK ? lscVectorRead(p, pValue, pzErr) : rc;
}

static int lscVectorAlloc(LscVector *p, int type, u32 n){
  i64 nData = lscVectorSize(type, n);
  u8 *a = sqlite3_malloc64(nData + 3);        /* with room for what a blob has behind it */
  memset(p, 0, sizeof(*p));
  if( a==0 ) return SQLITE_NOMEM_BKPT;
  if( type==LSC_F8 ) memset(&a[n], 0, nData - n);
  p->type = type;
  p->n = n;
  p->pData = p->pOwned = a;
  return SQLITE_OK;
}

static void lscVectorFree(LscVector *p){
  sqlite3_free(p->pOwned);
  memset(p, 0, sizeof(*p));
}

/* Puts the bytes that name the type behind the data part, which ends at z; how many they are. */
static int lscBlobTail(const LscVector *p, i64 nData, u8 *z){
  int n = 0;
  switch( p->type ){
    case LSC_F32:
      return 0;
    case LSC_F1BIT:
      if( nData%2==0 ) z[n++] = 0;
      z[n] = (u8)(8*(nData+n+1) - p->n);
      n++;
      break;
    case LSC_F8:
      z[n++] = 0;
      z[n++] = (u8)(nData - 8 - p->n);
      break;
  }
  z[n++] = (u8)p->type;
  return n;
}

static void lscVectorResult(sqlite3_context *ctx, LscVector *p){
  i64 nData = lscVectorSize(p->type, p->n);
  u8 *a = p->pOwned;
  if( a==0 ){
    a = sqlite3_malloc64(nData + 3);
    if( a==0 ){
      sqlite3_result_error_nomem(ctx);
      return;
    }
    if( nData ) memcpy(a, p->pData, nData);
    if( p->type==LSC_F8 ) memset(&a[p->n], 0, nData - 8 - p->n);
  }
  sqlite3_result_blob64(ctx, a, nData + lscBlobTail(p, nData, &a[nData]), sqlite3_free);
  p->pOwned = 0;
}
