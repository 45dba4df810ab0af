/*
** values.c: SQL values as arguments and results of modules. Included by engine.c.
**
** An i64 is an INTEGER, an f64 a REAL. An i32 points to a value in the module's memory, as libSQL has it:
**
**   TEXT     3, bytes in UTF-8, 0
**   BLOB     4, length as 4 bytes, big-endian, bytes
**   NULL     5
**   INTEGER  1, 8 bytes, little-endian     } beyond libSQL, where an i32 argument
**   REAL     2, 8 bytes, little-endian     } cannot be a number
**
** Room for arguments comes from libsql_malloc(size), 0 meaning that there is none. Each is given to libsql_free() behind
** the call, if the module exports that. Nothing that a module says is believed: every pointer and length is compared with
** the memory as it is then.
*/

/* Whether n bytes are UTF-8 in its shortest form, without surrogates. */
static int wtIsUtf8(const u8 *a, size_t n){
  size_t i = 0;
  while( i<n ){
    u8 c;
    u64 eight;
    while( i+8<=n ){
      memcpy(&eight, &a[i], 8);
      if( eight & 0x8080808080808080ULL ) break;
      i += 8;
    }
    if( i==n ) break;
    c = a[i];
    if( c<0x80 ){
      i++;
    }else{
      int nMore = c>=0xc2 && c<0xe0 ? 1 : c>=0xe0 && c<0xf0 ? 2 : c>=0xf0 && c<0xf5 ? 3 : 0;
      int k;
      if( nMore==0 || n-i<=(size_t)nMore ) return 0;
      for(k=1; k<=nMore; k++) if( (a[i+k] & 0xc0)!=0x80 ) return 0;
      if( (c==0xe0 && a[i+1]<0xa0) || (c==0xed && a[i+1]>=0xa0) ) return 0;     /* too long, a surrogate */
      if( (c==0xf0 && a[i+1]<0x90) || (c==0xf4 && a[i+1]>=0x90) ) return 0;     /* too long, beyond U+10FFFF */
      i += (size_t)nMore + 1;
    }
  }
  return 1;
}

static int wtError(char **pzErr, const char *zFormat, ...){
  va_list ap;
  va_start(ap, zFormat);
  *pzErr = sqlite3_vmprintf(zFormat, ap);
  va_end(ap);
  return *pzErr ? SQLITE_ERROR : SQLITE_NOMEM_BKPT;
}

/* n bytes of the module's memory; *piPtr is where. */
static int wtAlloc(LscWasmInst *p, i64 n, u32 *piPtr, u8 **pa, char **pzErr){
  WtRaw raw[1];
  size_t nMemory;
  int rc;
  memset(raw, 0, sizeof(raw));
  raw[0].i32v = (int)n;
  rc = lscWasmCall(p, &p->xMalloc, raw, 1, pzErr);
  if( rc!=SQLITE_OK ) return rc;
  *piPtr = (u32)raw[0].i32v;
  nMemory = lscWtc.wasmtime_memory_data_size(p->pContext, &p->memory);
  if( *piPtr==0 ) return wtError(pzErr, "its libsql_malloc() has no memory for an argument of %lld bytes", n);
  if( *piPtr>nMemory || (u64)n>nMemory-*piPtr ){
    return wtError(pzErr, "its libsql_malloc() gave a pointer outside its memory");
  }
  *pa = lscWtc.wasmtime_memory_data(p->pContext, &p->memory) + *piPtr;
  return SQLITE_OK;
}

static int wtPushValue(LscWasmInst *p, sqlite3_value *pValue, u32 *piPtr, char **pzErr){
  u8 *a;
  const void *z;
  i64 n, i;
  double r;
  int rc;
  switch( sqlite3_value_type(pValue) ){
    case SQLITE_TEXT:
      z = sqlite3_value_text(pValue);
      if( z==0 ) return SQLITE_NOMEM_BKPT;
      n = sqlite3_value_bytes(pValue);
      if( !wtIsUtf8(z, (size_t)n) ) return wtError(pzErr, "an argument is text that is not UTF-8");
      rc = wtAlloc(p, n+2, piPtr, &a, pzErr);
      if( rc!=SQLITE_OK ) return rc;
      a[0] = SQLITE_TEXT;
      memcpy(&a[1], z, (size_t)n);
      a[n+1] = 0;
      return SQLITE_OK;
    case SQLITE_BLOB:
      z = sqlite3_value_blob(pValue);
      n = sqlite3_value_bytes(pValue);
      if( z==0 && n>0 ) return SQLITE_NOMEM_BKPT;
      rc = wtAlloc(p, n+5, piPtr, &a, pzErr);
      if( rc!=SQLITE_OK ) return rc;
      a[0] = SQLITE_BLOB;
      sqlite3Put4byte(&a[1], (u32)n);
      if( n>0 ) memcpy(&a[5], z, (size_t)n);
      return SQLITE_OK;
    case SQLITE_INTEGER:
      rc = wtAlloc(p, 9, piPtr, &a, pzErr);
      if( rc!=SQLITE_OK ) return rc;
      a[0] = SQLITE_INTEGER;
      i = sqlite3_value_int64(pValue);
      memcpy(&a[1], &i, 8);
      return SQLITE_OK;
    case SQLITE_FLOAT:
      rc = wtAlloc(p, 9, piPtr, &a, pzErr);
      if( rc!=SQLITE_OK ) return rc;
      a[0] = SQLITE_FLOAT;
      r = sqlite3_value_double(pValue);
      memcpy(&a[1], &r, 8);
      return SQLITE_OK;
    default:
      rc = wtAlloc(p, 1, piPtr, &a, pzErr);
      if( rc==SQLITE_OK ) a[0] = SQLITE_NULL;
      return rc;
  }
}

static const char *wtTypeName(sqlite3_value *pValue){
  static const char *const az[] = {"INTEGER", "REAL", "TEXT", "BLOB", "NULL"};
  return az[sqlite3_value_type(pValue)-1];
}

/* Puts n values into a[]. SQLITE_DONE: one is NULL where a number is wanted, so that the result is NULL. */
static int lscWasmPush(LscWasmInst *p, const u8 *aType, int n, sqlite3_value **apValue, WtRaw *a, char **pzErr){
  int i, rc = SQLITE_OK;
  for(i=0; i<n; i++){
    if( aType[i]!=WT_I32 && sqlite3_value_type(apValue[i])==SQLITE_NULL ) return SQLITE_DONE;
  }
  for(i=0; i<n && rc==SQLITE_OK; i++){
    int type = aType[i]==WT_I32 ? 0 : sqlite3_value_type(apValue[i]);
    if( aType[i]==WT_I32 ){
      u32 iPtr = 0;
      rc = wtPushValue(p, apValue[i], &iPtr, pzErr);
      a[i].i32v = (int)iPtr;
    }else if( aType[i]==WT_I64 && type==SQLITE_INTEGER ){
      a[i].i64v = sqlite3_value_int64(apValue[i]);
    }else if( aType[i]==WT_F64 && (type==SQLITE_FLOAT || type==SQLITE_INTEGER) ){
      a[i].f64v = sqlite3_value_double(apValue[i]);
    }else{
      rc = wtError(pzErr, "argument %d is %s, the function takes %s", i+1, wtTypeName(apValue[i]),
          aType[i]==WT_I64 ? "INTEGER" : "REAL");
    }
  }
  return rc;
}

/* Hands the pointers among the arguments back. An error here is none of the call: the instance is given up. */
static void lscWasmFreeArgs(LscWasmInst *p, const u8 *aType, int n, sqlite3_value **apValue, const WtRaw *a){
  int i;
  (void)apValue;
  if( !p->pModule->bFree ) return;
  for(i=0; i<n; i++){
    WtRaw raw[1];
    char *zErr = 0;
    if( aType[i]!=WT_I32 ) continue;
    memset(raw, 0, sizeof(raw));
    raw[0].i32v = a[i].i32v;
    if( lscWasmCall(p, &p->xFree, raw, 1, &zErr)!=SQLITE_OK ){
      sqlite3_free(zErr);
      return;
    }
  }
}

/* The memory that a pointer points into, from its byte on; NULL if it points outside. */
static const u8 *wtAt(LscWasmInst *p, const WtRaw *a, size_t *pn){
  u32 iPtr = (u32)a->i32v;
  size_t nMemory;
  if( !p->pModule->bMemory ) return 0;
  nMemory = lscWtc.wasmtime_memory_data_size(p->pContext, &p->memory);
  if( iPtr>=nMemory ) return 0;
  *pn = nMemory - iPtr;
  return lscWtc.wasmtime_memory_data(p->pContext, &p->memory) + iPtr;
}

/* The text that a pointer points to; borrowed until the next call. *pz is NULL for NULL. */
static int lscWasmText(LscWasmInst *p, const WtRaw *a, const char **pz, int *pn, char **pzErr){
  size_t n;
  const u8 *z = wtAt(p, a, &n), *zEnd;
  if( z==0 ) return wtError(pzErr, "it gave a pointer outside its memory");
  if( z[0]==SQLITE_NULL ){
    *pz = 0;
    return SQLITE_OK;
  }
  if( z[0]!=SQLITE_TEXT ) return wtError(pzErr, "it gave a value of type %d, not text", z[0]);
  zEnd = memchr(z+1, 0, n-1);
  if( zEnd==0 ) return wtError(pzErr, "it gave text without an end");
  if( !wtIsUtf8(z+1, (size_t)(zEnd-z-1)) ) return wtError(pzErr, "it gave text that is not UTF-8");
  *pz = (const char*)z+1;
  *pn = zEnd-z-1>0x7fffffff ? 0x7fffffff : (int)(zEnd-z-1);
  return SQLITE_OK;
}

/* Makes what the module gave the result of an SQL function. */
static int lscWasmResult(sqlite3_context *ctx, LscWasmInst *p, int type, const WtRaw *a, char **pzErr){
  const u8 *z;
  const char *zText;
  size_t n = 0;
  i64 i;
  double r;
  int rc, nText = 0;
  if( type==WT_I64 ){
    sqlite3_result_int64(ctx, a->i64v);
    return SQLITE_OK;
  }
  if( type==WT_F64 ){
    sqlite3_result_double(ctx, a->f64v);
    return SQLITE_OK;
  }
  z = wtAt(p, a, &n);
  if( z==0 ) return wtError(pzErr, "it gave a pointer outside its memory");
  switch( z[0] ){
    case SQLITE_TEXT:
      rc = lscWasmText(p, a, &zText, &nText, pzErr);
      if( rc==SQLITE_OK ) sqlite3_result_text64(ctx, zText, (u64)nText, SQLITE_TRANSIENT, SQLITE_UTF8);
      return rc;
    case SQLITE_BLOB:
      if( n<5 || sqlite3Get4byte(&z[1])>n-5 ) return wtError(pzErr, "it gave a blob that ends outside its memory");
      sqlite3_result_blob64(ctx, &z[5], sqlite3Get4byte(&z[1]), SQLITE_TRANSIENT);
      return SQLITE_OK;
    case SQLITE_NULL:
      sqlite3_result_null(ctx);
      return SQLITE_OK;
    case SQLITE_INTEGER:
      if( n<9 ) break;
      memcpy(&i, &z[1], 8);
      sqlite3_result_int64(ctx, i);
      return SQLITE_OK;
    case SQLITE_FLOAT:
      if( n<9 ) break;
      memcpy(&r, &z[1], 8);
      sqlite3_result_double(ctx, r);
      return SQLITE_OK;
    default:
      return wtError(pzErr, "it gave a value of the unknown type %d", z[0]);
  }
  return wtError(pzErr, "it gave a number that ends outside its memory");
}
