/*
** numbers.c: arrays of numbers become vectors, and vectors arrays, for the Python module; see lsc.h. Included by
** engine.c. It needs no connection and takes no lock.
*/

sqlite3_int64 lsc_vector_size(int type, int n){
  LscVector v = { .type = type, .n = (u32)n };
  i64 nData = lscVectorSize(type, v.n);
  u8 aTail[3];
  return nData + lscBlobTail(&v, nData, aTail);
}

int lsc_vector_encode(const void *pNumber, int number, sqlite3_int64 nRow, int n, int type, void *pOut){
  const u8 *zIn = pNumber;
  u8 *zOut = pOut;
  i64 nIn = lscVectorSize(number, (u32)n), nData = lscVectorSize(type, (u32)n), i;
  LscVector made = { .type = type, .n = (u32)n };
  int rc = SQLITE_OK;
  for(i=0; i<nRow && rc==SQLITE_OK; i++){
    LscVector from = { .type = number, .n = (u32)n, .pData = &zIn[i*nIn] }, to = {0};
    if( type!=number ) rc = lscVectorConvert(&to, type, &from);
    if( rc==SQLITE_OK && nData ) memcpy(zOut, type==number ? from.pData : to.pData, nData);
    lscVectorFree(&to);
    zOut += nData;
    zOut += lscBlobTail(&made, nData, zOut);
  }
  return rc;
}

int lsc_vector_decode(const void *z, sqlite3_int64 n, int isText, int *pType, int *pn, int number, void **ppOut,
                      lsc_error *pError){
  LscVector v = {0}, to = {0};
  int rc = isText ? lscVectorFromText(&v, LSC_F32, z, n, &pError->text) : lscVectorFromBlob(&v, z, n, &pError->text);
  if( rc==SQLITE_OK && number ) rc = lscVectorConvert(&to, number, &v);
  if( rc==SQLITE_OK ){
    *pType = v.type;
    *pn = (int)v.n;
    if( number ){
      *ppOut = to.pOwned;
      to.pOwned = 0;
    }
  }
  pError->code = rc;
  lscVectorFree(&to);
  lscVectorFree(&v);
  return rc;
}
