/*
** cipher_sqlcipher.c: sqlcipher, the format of SQLCipher 4 with its defaults. Included by engine.c.
**
**   each page, U = size - 80:  AES-256-CBC up to U, IV (16) at U, HMAC-SHA512 (64) at U+16
**   page 1: bytes 0 to 15 are the salt, encrypted from 16
**   the HMAC covers what is encrypted, the IV and the page number, little-endian
**
** The page size is not to be seen: 4096, or whichever makes page 1 fit its HMAC.
**
** With a plaintext header (PRAGMA cipher_plaintext_header_size) so many bytes of page 1 stay as they are, and the salt
** is not in the file: it comes behind the key (48 bytes) or by PRAGMA cipher_salt.
*/
#define SQLC_RESERVE 80
#define SQLC_CLEAR 32
#define SQLC_ROUNDS 256000

/* Bytes of page 1 in front of what is encrypted. */
static int sqlcFrom(const LscCodec *p, Pgno pgno){
  return pgno!=1 ? 0 : p->nClear ? p->nClear : LSC_SALT;
}

static int sqlcSalt(LscCodec *p){
  if( p->bSalt ) memcpy(p->keys.aSalt, p->aSalt, LSC_SALT);
  return p->bSalt ? SQLITE_OK : lscRandom(p, p->keys.aSalt, LSC_SALT);
}

/* The salt behind a key tells of a plaintext header when the file begins as a plain one. */
static int sqlcBegins(LscCodec *p, const u8 *a, int iTry){
  static const int anPage[] = { 4096, 1024, 8192, 16384, 2048, 32768, 65536, 512 };
  int bMagic = memcmp(a, lscMagic, LSC_SALT)==0;
  if( bMagic && p->bSalt && p->nClear==0 && a[20]>=SQLC_RESERVE ) p->nClear = SQLC_CLEAR;
  if( p->nClear ) return iTry==0 && bMagic ? lscClearPageSize(a) : 0;
  if( bMagic || iTry>=ArraySize(anPage) || (p->pCipher==0 && lscClearPageSize(a)) ) return 0;
  return anPage[iTry];
}

/* A key of a passphrase and a salt, or the key itself. */
static int sqlcMainKey(LscCodec *p, int nRounds, const void *pMd){
  if( p->bRaw && p->nSecret!=32 && p->nSecret!=48 ) return SQLITE_NOTADB;
  if( p->bSalt ) memcpy(p->keys.aSalt, p->aSalt, LSC_SALT);
  if( p->bRaw ){
    memcpy(p->keys.aKey, p->aSecret, 32);
    return SQLITE_OK;
  }
  return lscCrypto.PKCS5_PBKDF2_HMAC((const char*)p->aSecret, p->nSecret, p->keys.aSalt, LSC_SALT, nRounds, pMd, 32,
                                     p->keys.aKey)==1 ? SQLITE_OK : SQLITE_ERROR;
}

static int sqlcDerive(LscCodec *p){
  u8 aSalt[LSC_SALT];
  int i, rc;
  rc = sqlcMainKey(p, SQLC_ROUNDS, lscCrypto.pSha512);
  if( rc!=SQLITE_OK ) return rc;
  for(i=0; i<LSC_SALT; i++) aSalt[i] = p->keys.aSalt[i] ^ 0x3a;
  return lscCrypto.PKCS5_PBKDF2_HMAC((const char*)p->keys.aKey, 32, aSalt, LSC_SALT, 2, lscCrypto.pSha512, 32,
                                     p->keys.aMac)==1 ? SQLITE_OK : SQLITE_ERROR;
}

/* The hash after one block of the key and a pad: what an HMAC begins with. */
static int sqlcPad(LscCodec *p, void **ppCtx, u8 pad){
  u8 aBlock[128];
  int i, bOk;
  if( *ppCtx==0 && (*ppCtx = lscCrypto.EVP_MD_CTX_new())==0 ) return SQLITE_NOMEM_BKPT;
  memset(aBlock, pad, sizeof(aBlock));
  for(i=0; i<32; i++) aBlock[i] ^= p->keys.aMac[i];
  bOk = lscCrypto.EVP_DigestInit_ex(*ppCtx, lscCrypto.pSha512, 0)
     && lscCrypto.EVP_DigestUpdate(*ppCtx, aBlock, sizeof(aBlock));
  lscWipe(aBlock, sizeof(aBlock));
  return bOk ? SQLITE_OK : SQLITE_ERROR;
}

static int sqlcInit(LscCodec *p){
  int rc = SQLITE_OK;
  if( p->pEnc==0 && (p->pEnc = lscCrypto.EVP_CIPHER_CTX_new())==0 ) return SQLITE_NOMEM_BKPT;
  if( p->pDec==0 && (p->pDec = lscCrypto.EVP_CIPHER_CTX_new())==0 ) return SQLITE_NOMEM_BKPT;
  rc = sqlcPad(p, &p->pInner, 0x36);
  if( rc==SQLITE_OK ) rc = sqlcPad(p, &p->pOuter, 0x5c);
  if( rc!=SQLITE_OK ) return rc;
  if( !lscCrypto.EVP_CipherInit_ex(p->pEnc, lscCrypto.pCbc, 0, p->keys.aKey, 0, 1)
   || !lscCrypto.EVP_CipherInit_ex(p->pDec, lscCrypto.pCbc, 0, p->keys.aKey, 0, 0)
   || !lscCrypto.EVP_CIPHER_CTX_set_padding(p->pEnc, 0) || !lscCrypto.EVP_CIPHER_CTX_set_padding(p->pDec, 0)
  ){
    return SQLITE_ERROR;
  }
  return SQLITE_OK;
}

static int sqlcMac(LscCodec *p, Pgno pgno, const u8 *a, int n, u8 *aMac){
  u8 aNumber[4] = { (u8)pgno, (u8)(pgno>>8), (u8)(pgno>>16), (u8)(pgno>>24) };
  return lscCrypto.EVP_MD_CTX_copy_ex(p->pMd, p->pInner) && lscCrypto.EVP_DigestUpdate(p->pMd, a, (size_t)n)
      && lscCrypto.EVP_DigestUpdate(p->pMd, aNumber, 4) && lscCrypto.EVP_DigestFinal_ex(p->pMd, aMac, 0)
      && lscCrypto.EVP_MD_CTX_copy_ex(p->pMd, p->pOuter) && lscCrypto.EVP_DigestUpdate(p->pMd, aMac, 64)
      && lscCrypto.EVP_DigestFinal_ex(p->pMd, aMac, 0);
}

static int sqlcEncode(LscCodec *p, Pgno pgno, const u8 *aPage, u8 *aOut, int n){
  int iFrom = sqlcFrom(p, pgno), U = n - SQLC_RESERVE;
  int rc = lscRandom(p, aOut+U, 16);
  if( rc!=SQLITE_OK ) return rc;
  if( pgno==1 && aPage[20]<SQLC_RESERVE ) return SQLITE_ERROR;
  if( pgno==1 ) memcpy(aOut, p->nClear ? aPage : p->keys.aSalt, (size_t)iFrom);
  return cbcRun(p->pEnc, 0, aOut+U, aPage+iFrom, aOut+iFrom, U-iFrom, 1)
      && sqlcMac(p, pgno, aOut+iFrom, U+16-iFrom, aOut+U+16) ? SQLITE_OK : SQLITE_ERROR;
}

static int sqlcDecode(LscCodec *p, Pgno pgno, u8 *aPage, int n){
  int iFrom = sqlcFrom(p, pgno), U = n - SQLC_RESERVE;
  u8 aMac[64];
  if( !sqlcMac(p, pgno, aPage+iFrom, U+16-iFrom, aMac) ) return SQLITE_ERROR;
  if( lscCrypto.CRYPTO_memcmp(aMac, aPage+U+16, 64)!=0 ) return SQLITE_NOTADB;
  if( !cbcRun(p->pDec, 0, aPage+U, aPage+iFrom, aPage+iFrom, U-iFrom, 0) ) return SQLITE_ERROR;
  if( pgno==1 ) memcpy(aPage, lscMagic, LSC_SALT);
  memset(aPage+U, 0, SQLC_RESERVE);
  return SQLITE_OK;
}

static const LscCipher lscSqlcipher = {
  "sqlcipher", SQLC_RESERVE, 1, 0, 1, 32, 48, sqlcSalt, sqlcBegins, sqlcDerive, sqlcInit, sqlcEncode,
  sqlcDecode
};
