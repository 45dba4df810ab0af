/*
** cipher_cbc.c: aes256cbc, the cipher of libSQL. Included by engine.c.
**
** AES-256-CBC over whole pages, without salt, MAC or random bytes: a page key and an IV of the page number. Page 1 is
** two runs from the same IV, bytes 0 to 15 and the rest; of the first, eight bytes are kept and the header's bytes 16 to
** 23 stay readable:
**
**   A[0..7]  B[0..7]  16..23 as they are  B[8..]
**
** The eight bytes that are kept twice tell whether the key is right. "Legacy" files have page 1 in one run from byte 0;
** they are read.
*/
static int cbcHash(void *pCtx, const void *pMd, const u8 *a, size_t n, u8 *aOut){
  return lscCrypto.EVP_DigestInit_ex(pCtx, pMd, 0) && lscCrypto.EVP_DigestUpdate(pCtx, a, n)
      && lscCrypto.EVP_DigestFinal_ex(pCtx, aOut, 0);
}

static int cbcDerive(LscCodec *p){
  static const u8 aPad[32] = {
    0x28,0xBF,0x4E,0x5E,0x4E,0x75,0x8A,0x41,0x64,0x00,0x4E,0x56,0xFF,0xFA,0x01,0x08,
    0x2E,0x2E,0x00,0xB6,0xD0,0x68,0x3E,0x80,0x2F,0x0C,0xA9,0xFE,0x64,0x53,0x69,0x7A
  };
  u8 *aKey = p->keys.aKey;
  int n = MIN(p->nSecret, 32), i, bOk = 1;
  memcpy(aKey, p->aSecret, (size_t)n);
  memcpy(aKey+n, aPad, (size_t)(32-n));
  for(i=0; i<4002 && bOk; i++) bOk = cbcHash(p->pMd, lscCrypto.pSha256, aKey, 32, aKey);
  return bOk ? SQLITE_OK : SQLITE_ERROR;
}

static int cbcInit(LscCodec *p){
  if( p->pEnc==0 && (p->pEnc = lscCrypto.EVP_CIPHER_CTX_new())==0 ) return SQLITE_NOMEM_BKPT;
  if( p->pDec==0 && (p->pDec = lscCrypto.EVP_CIPHER_CTX_new())==0 ) return SQLITE_NOMEM_BKPT;
  /* For MD5: a context that changes between two hashes is built anew each time. */
  if( p->pInner==0 && (p->pInner = lscCrypto.EVP_MD_CTX_new())==0 ) return SQLITE_NOMEM_BKPT;
  if( !lscCrypto.EVP_CipherInit_ex(p->pEnc, lscCrypto.pCbc, 0, 0, 0, 1)
   || !lscCrypto.EVP_CipherInit_ex(p->pDec, lscCrypto.pCbc, 0, 0, 0, 0)
   || !lscCrypto.EVP_CIPHER_CTX_set_padding(p->pEnc, 0) || !lscCrypto.EVP_CIPHER_CTX_set_padding(p->pDec, 0)
  ){
    return SQLITE_ERROR;
  }
  return SQLITE_OK;
}

/* Key and IV of a page. MD5 is missing where OpenSSL runs FIPS-only. */
static int cbcPageKey(LscCodec *p, Pgno pgno, u8 *aKey, u8 *aIv){
  u8 a[40], aSeed[16];
  i64 z = (i64)(int)(pgno+1);
  int i;
  memcpy(a, p->keys.aKey, 32);
  a[32] = (u8)pgno;
  a[33] = (u8)(pgno>>8);
  a[34] = (u8)(pgno>>16);
  a[35] = (u8)(pgno>>24);
  memcpy(a+36, "sAlT", 4);
  for(i=0; i<4; i++){
    i64 q = z/52774;
    z = 40692*(z - 52774*q) - 3791*q;
    if( z<0 ) z += 2147483399;
    aSeed[i*4] = (u8)z;
    aSeed[i*4+1] = (u8)(z>>8);
    aSeed[i*4+2] = (u8)(z>>16);
    aSeed[i*4+3] = (u8)(z>>24);
  }
  if( !cbcHash(p->pMd, lscCrypto.pSha256, a, 40, aKey) ) return 0;
  if( !cbcHash(p->pInner, lscCrypto.pMd5, aSeed, 16, aIv) ){
    sqlite3_log(SQLITE_ERROR, "aes256cbc needs MD5, which this libcrypto does not offer (FIPS mode?)");
    return 0;
  }
  return 1;
}

static int cbcRun(void *pCtx, const u8 *aKey, const u8 *aIv, const u8 *aIn, u8 *aOut, int n, int bEnc){
  int nOut = 0;
  return lscCrypto.EVP_CipherInit_ex(pCtx, 0, 0, aKey, aIv, bEnc)
      && lscCrypto.EVP_CipherUpdate(pCtx, aOut, &nOut, aIn, n) && nOut==n;
}

static int cbcEncode(LscCodec *p, Pgno pgno, const u8 *aPage, u8 *aOut, int n){
  u8 aKey[32], aIv[16];
  int bOk = cbcPageKey(p, pgno, aKey, aIv);
  if( bOk && pgno==1 ){
    bOk = cbcRun(p->pEnc, aKey, aIv, aPage, aOut, 16, 1) && cbcRun(p->pEnc, aKey, aIv, aPage+16, aOut+16, n-16, 1);
    memcpy(aOut+8, aOut+16, 8);
    memcpy(aOut+16, aPage+16, 8);
  }else if( bOk ){
    bOk = cbcRun(p->pEnc, aKey, aIv, aPage, aOut, n, 1);
  }
  lscWipe(aKey, sizeof(aKey));
  return bOk ? SQLITE_OK : SQLITE_ERROR;
}

static int cbcDecode(LscCodec *p, Pgno pgno, u8 *aPage, int n){
  u8 aKey[32], aIv[16], aClear[8];
  int rc = SQLITE_ERROR;
  if( !cbcPageKey(p, pgno, aKey, aIv) ) goto out;
  if( pgno!=1 ){
    if( cbcRun(p->pDec, aKey, aIv, aPage, aPage, n, 0) ) rc = SQLITE_OK;
  }else if( lscClearPageSize(aPage) ){
    memcpy(aClear, aPage+16, 8);
    memcpy(aPage+16, aPage+8, 8);
    if( !cbcRun(p->pDec, aKey, aIv, aPage+16, aPage+16, n-16, 0) ) goto out;
    rc = memcmp(aPage+16, aClear, 8)==0 ? SQLITE_OK : SQLITE_NOTADB;
    memcpy(aPage, lscMagic, 16);
  }else{
    if( !cbcRun(p->pDec, aKey, aIv, aPage, aPage, n, 0) ) goto out;
    rc = memcmp(aPage, lscMagic, 16)==0 && lscClearPageSize(aPage) ? SQLITE_OK : SQLITE_NOTADB;
  }
out:
  lscWipe(aKey, sizeof(aKey));
  return rc;
}

/* Legacy files have the default page size; their page 1 looks like anything. */
static int cbcBegins(LscCodec *p, const u8 *a, int iTry){
  int nPage = lscClearPageSize(a);
  (void)p;
  if( iTry || memcmp(a, lscMagic, 16)==0 ) return 0;
  return nPage ? nPage : SQLITE_DEFAULT_PAGE_SIZE;
}

static const LscCipher lscCbc = {
  "aes256cbc", 0, 0, 1, 0, 0, 0, 0, cbcBegins, cbcDerive, cbcInit, cbcEncode, cbcDecode
};
