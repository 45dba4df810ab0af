/*
** cipher_gcm.c: xaes256gcm, the authenticated cipher of this project. Included by engine.c.
**
**   page 1: bytes 0 to 15: 4C 51 01, the suite, 12 random bytes (the "header"); 16 to 23 readable; encrypted from 24
**   each page, U = size - 40:   ciphertext up to U, tag (16) at U, nonce (24) at U+16
**   authenticated: header, on page 1 bytes 16 to 23, the page number
**
** Suite 1 is a raw key of 32 bytes, 2 a passphrase with scrypt, 3 one with PBKDF2 (where scrypt is not to be had). The
** key of the file is an HMAC of the header; XAES-256-GCM makes a key of each page from that and half of its nonce.
*/
#define XAES_RESERVE 40
#define XAES_RAW 1
#define XAES_SCRYPT 2
#define XAES_PBKDF2 3
#define XAES_BUNCH 256
#define EVP_GET_TAG 0x10
#define EVP_SET_TAG 0x11

static int xaesScrypt(const void *p, int n, const u8 *aSalt, int nWork, int nLanes, u8 *aOut){
  return lscCrypto.EVP_PBE_scrypt(p, (size_t)n, aSalt, LSC_SALT, (u64)nWork, 8, (u64)nLanes, 64<<20, aOut, 32)==1;
}

static int xaesSalt(LscCodec *p){
  u8 *a = p->keys.aSalt, aTry[32];
  a[0] = 0x4c;
  a[1] = 0x51;
  a[2] = 1;
  a[3] = p->bRaw ? XAES_RAW : xaesScrypt("", 0, a, 2, 1, aTry) ? XAES_SCRYPT : XAES_PBKDF2;
  return lscRandom(p, a+4, 12);
}

static int xaesBegins(LscCodec *p, const u8 *a, int iTry){
  (void)p;
  return iTry==0 && memcmp(a, "\x4c\x51\x01", 3)==0 && a[20]>=XAES_RESERVE ? lscClearPageSize(a) : 0;
}

static int xaesDerive(LscCodec *p){
  u8 aIkm[32], aText[23+LSC_SALT];
  const u8 *aSalt = p->keys.aSalt;
  const char *z = (const char*)p->aSecret;
  int rc = SQLITE_ERROR, bOk;
  if( (aSalt[3]==XAES_RAW)!=p->bRaw || (p->bRaw && p->nSecret!=32) ) return SQLITE_NOTADB;
  if( aSalt[3]==XAES_RAW ){
    memcpy(aIkm, z, 32);
    bOk = 1;
  }else if( aSalt[3]==XAES_SCRYPT ){
    bOk = xaesScrypt(z, p->nSecret, aSalt, 32768, 3, aIkm);
  }else if( aSalt[3]==XAES_PBKDF2 ){
    bOk = lscCrypto.PKCS5_PBKDF2_HMAC(z, p->nSecret, aSalt, LSC_SALT, 256000, lscCrypto.pSha512, 32, aIkm);
  }else{
    return SQLITE_NOTADB;
  }
  memcpy(aText, "libsql_core page key v1", 23);
  memcpy(aText+23, aSalt, LSC_SALT);
  if( bOk && lscCrypto.HMAC(lscCrypto.pSha256, aIkm, 32, aText, sizeof(aText), p->keys.aKey, 0) ) rc = SQLITE_OK;
  lscWipe(aIkm, sizeof(aIkm));
  return rc;
}

/* The subkey K1 of CMAC goes to keys.aMac. */
static int xaesInit(LscCodec *p){
  static const u8 aZero[16];
  u8 *k1 = p->keys.aMac;
  int i, n = 0, carry;
  if( p->pEnc==0 && (p->pEnc = lscCrypto.EVP_CIPHER_CTX_new())==0 ) return SQLITE_NOMEM_BKPT;
  if( p->pEcb==0 && (p->pEcb = lscCrypto.EVP_CIPHER_CTX_new())==0 ) return SQLITE_NOMEM_BKPT;
  if( !lscCrypto.EVP_CipherInit_ex(p->pEnc, lscCrypto.pGcm, 0, 0, 0, 1)
   || !lscCrypto.EVP_CipherInit_ex(p->pEcb, lscCrypto.pEcb, 0, p->keys.aKey, 0, 1)
   || !lscCrypto.EVP_CIPHER_CTX_set_padding(p->pEcb, 0)
   || !lscCrypto.EVP_CipherUpdate(p->pEcb, k1, &n, aZero, 16) || n!=16
  ){
    return SQLITE_ERROR;
  }
  p->nEncPart = 0;
  p->mDecPart = 0;
  carry = k1[0]>>7;
  for(i=0; i<15; i++) k1[i] = (u8)(k1[i]<<1 | k1[i+1]>>7);
  k1[15] = (u8)(k1[15]<<1 ^ (carry ? 0x87 : 0));
  return SQLITE_OK;
}

/* The key of one nonce. */
static int xaesPageKey(LscCodec *p, const u8 *aNonce, u8 *aKey){
  u8 m[32];
  int i, n = 0;
  for(i=0; i<2; i++){
    u8 *b = m + i*16;
    b[0] = 0;
    b[1] = (u8)(i+1);
    b[2] = 0x58;
    b[3] = 0;
    memcpy(b+4, aNonce, 12);
  }
  for(i=0; i<32; i++) m[i] ^= p->keys.aMac[i&15];
  return lscCrypto.EVP_CipherUpdate(p->pEcb, aKey, &n, m, 32) && n==32;
}

/* A context for decoding with this nonce: *pbKey: it has the key. Bulk loads give many pages the same key, so a few are
** kept. NULL: out of memory. */
static void *xaesDecoder(LscCodec *p, const u8 *aNonce, int *pbKey){
  int i = aNonce[0] & (XAES_DECODERS-1);
  *pbKey = p->mDecPart>>i & 1 && memcmp(p->aDecPart[i], aNonce, 12)==0;
  if( *pbKey ) return p->apDec[i];
  p->mDecPart &= ~(1u<<i);
  if( p->apDec[i]==0 ){
    p->apDec[i] = lscCrypto.EVP_CIPHER_CTX_new();
    if( p->apDec[i] && !lscCrypto.EVP_CipherInit_ex(p->apDec[i], lscCrypto.pGcm, 0, 0, 0, 0) ) return 0;
  }
  return p->apDec[i];
}

/* A context set up for one page: key, nonce and what is authenticated beside it. NULL: out of memory. */
static void *xaesBegin(LscCodec *p, int bEnc, Pgno pgno, const u8 *aClear, const u8 *aNonce){
  u8 aKey[32], aAad[LSC_SALT+8+4];
  int nAad = LSC_SALT, n = 0, bKey = bEnc && p->nEncPart>0, bOk;
  void *pCtx = bEnc ? p->pEnc : xaesDecoder(p, aNonce, &bKey);
  if( pCtx==0 ) return 0;
  memcpy(aAad, p->keys.aSalt, LSC_SALT);
  if( pgno==1 ){
    memcpy(aAad+nAad, aClear, 8);
    nAad += 8;
  }
  sqlite3Put4byte(aAad+nAad, pgno);
  nAad += 4;
  if( bKey ){
    bOk = lscCrypto.EVP_CipherInit_ex(pCtx, 0, 0, 0, aNonce+12, bEnc);
  }else{
    bOk = xaesPageKey(p, aNonce, aKey) && lscCrypto.EVP_CipherInit_ex(pCtx, 0, 0, aKey, aNonce+12, bEnc);
    lscWipe(aKey, sizeof(aKey));
    if( bEnc ){
      memcpy(p->aEncPart, aNonce, 12);
      p->nEncPart = bOk ? XAES_BUNCH : 0;
    }else if( bOk ){
      int i = aNonce[0] & (XAES_DECODERS-1);
      memcpy(p->aDecPart[i], aNonce, 12);
      p->mDecPart |= 1u<<i;
    }
  }
  if( bEnc ) p->nEncPart--;
  return bOk && lscCrypto.EVP_CipherUpdate(pCtx, 0, &n, aAad, nAad) ? pCtx : 0;
}

/* All of a nonce is random, but up to XAES_BUNCH pages have the half in common that makes the page key. */
static int xaesNonce(LscCodec *p, u8 *aNonce){
  if( p->nEncPart<=0 ) return lscRandom(p, aNonce, 24);
  memcpy(aNonce, p->aEncPart, 12);
  return lscRandom(p, aNonce+12, 12);
}

static int xaesEncode(LscCodec *p, Pgno pgno, const u8 *aPage, u8 *aOut, int n){
  int iFrom = pgno==1 ? 24 : 0, U = n - XAES_RESERVE, nOut = 0, nEnd = 0, rc;
  u8 *aNonce = aOut+U+16;
  if( pgno==1 && aPage[20]<XAES_RESERVE ) return SQLITE_ERROR;
  rc = xaesNonce(p, aNonce);
  if( rc!=SQLITE_OK ) return rc;
  if( pgno==1 ){
    memcpy(aOut, p->keys.aSalt, LSC_SALT);
    memcpy(aOut+16, aPage+16, 8);
  }
  if( !xaesBegin(p, 1, pgno, aPage+16, aNonce)
   || !lscCrypto.EVP_CipherUpdate(p->pEnc, aOut+iFrom, &nOut, aPage+iFrom, U-iFrom) || nOut!=U-iFrom
   || !lscCrypto.EVP_CipherFinal_ex(p->pEnc, aOut+U, &nEnd)
   || !lscCrypto.EVP_CIPHER_CTX_ctrl(p->pEnc, EVP_GET_TAG, 16, aOut+U)
  ){
    return SQLITE_ERROR;
  }
  return SQLITE_OK;
}

static int xaesDecode(LscCodec *p, Pgno pgno, u8 *aPage, int n){
  int iFrom = pgno==1 ? 24 : 0, U = n - XAES_RESERVE, nOut = 0, nEnd = 0;
  u8 aTag[16];
  void *pCtx;
  if( pgno==1 && memcmp(aPage, p->keys.aSalt, LSC_SALT)!=0 ) return SQLITE_NOTADB;
  memcpy(aTag, aPage+U, 16);
  pCtx = xaesBegin(p, 0, pgno, aPage+16, aPage+U+16);
  if( pCtx==0 ) return SQLITE_NOMEM_BKPT;
  if( !lscCrypto.EVP_CipherUpdate(pCtx, aPage+iFrom, &nOut, aPage+iFrom, U-iFrom) || nOut!=U-iFrom
   || !lscCrypto.EVP_CIPHER_CTX_ctrl(pCtx, EVP_SET_TAG, 16, aTag)
   || lscCrypto.EVP_CipherFinal_ex(pCtx, aPage+U, &nEnd)!=1
  ){
    memset(aPage, 0, (size_t)n);
    return SQLITE_NOTADB;
  }
  if( pgno==1 ) memcpy(aPage, lscMagic, 16);
  memset(aPage+U, 0, XAES_RESERVE);
  return SQLITE_OK;
}

static const LscCipher lscXaes = {
  "xaes256gcm", XAES_RESERVE, 1, 0, 1, 32, 32, xaesSalt, xaesBegins, xaesDerive, xaesInit, xaesEncode, xaesDecode
};
