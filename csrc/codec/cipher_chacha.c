/*
** cipher_chacha.c: chacha20 of SQLite3 Multiple Ciphers with its defaults. Included by engine.c.
**
**   each page, U = size - 32:  ChaCha20 up to U, nonce (16) at U, Poly1305 tag (16) at U+16
**   page 1: bytes 0 to 15 are the salt, 16 to 23 readable, encrypted from 24
**
** ChaCha20 under the file's key, with the nonce's first 12 bytes and its last four, xor the page number, as the counter,
** gives 64 bytes: the key of the tag and the key of the page, which goes on from the next counter. The tag covers the
** stored page up to itself.
*/
#define CHACHA_RESERVE 32
#define CHACHA_ROUNDS 64007

static int chachaBegins(LscCodec *p, const u8 *a, int iTry){
  return iTry==0 && (p->pCipher ? a[20]>=CHACHA_RESERVE : a[20]==CHACHA_RESERVE) && memcmp(a, lscMagic, LSC_SALT)!=0
       ? lscClearPageSize(a) : 0;
}

static int chachaDerive(LscCodec *p){ return sqlcMainKey(p, CHACHA_ROUNDS, lscCrypto.pSha256); }

static int chachaInit(LscCodec *p){
  if( lscCrypto.pChaCha==0 ) return SQLITE_ERROR;
  if( p->pEnc==0 && (p->pEnc = lscCrypto.EVP_CIPHER_CTX_new())==0 ) return SQLITE_NOMEM_BKPT;
  return lscCrypto.EVP_CipherInit_ex(p->pEnc, lscCrypto.pChaCha, 0, 0, 0, 1) ? SQLITE_OK : SQLITE_ERROR;
}

static u32 chachaGet4(const u8 *a){ return (u32)a[0] | (u32)a[1]<<8 | (u32)a[2]<<16 | (u32)a[3]<<24; }
static void chachaPut4(u8 *a, u32 x){
  a[0] = (u8)x;
  a[1] = (u8)(x>>8);
  a[2] = (u8)(x>>16);
  a[3] = (u8)(x>>24);
}

/* Poly1305 of whole blocks: a number modulo 2^130 - 5 in five limbs of 26 bits. */
static void chachaTag(const u8 *aKey, const u8 *a, int n, u8 *aTag){
  const u32 M = 0x3ffffff;
  u32 r0 = chachaGet4(aKey) & 0x3ffffff, r1 = (chachaGet4(aKey+3)>>2) & 0x3ffff03;
  u32 r2 = (chachaGet4(aKey+6)>>4) & 0x3ffc0ff, r3 = (chachaGet4(aKey+9)>>6) & 0x3f03fff;
  u32 r4 = (chachaGet4(aKey+12)>>8) & 0x00fffff;
  u32 s1 = r1*5, s2 = r2*5, s3 = r3*5, s4 = r4*5;
  u32 h0 = 0, h1 = 0, h2 = 0, h3 = 0, h4 = 0, g[5], c, mask;
  u64 f;
  int i;
  for(; n>=16; n-=16, a+=16){
    u64 d0, d1, d2, d3, d4;
    h0 += chachaGet4(a) & M;
    h1 += (chachaGet4(a+3)>>2) & M;
    h2 += (chachaGet4(a+6)>>4) & M;
    h3 += (chachaGet4(a+9)>>6) & M;
    h4 += (chachaGet4(a+12)>>8) | 1u<<24;
    d0 = (u64)h0*r0 + (u64)h1*s4 + (u64)h2*s3 + (u64)h3*s2 + (u64)h4*s1;
    d1 = (u64)h0*r1 + (u64)h1*r0 + (u64)h2*s4 + (u64)h3*s3 + (u64)h4*s2;
    d2 = (u64)h0*r2 + (u64)h1*r1 + (u64)h2*r0 + (u64)h3*s4 + (u64)h4*s3;
    d3 = (u64)h0*r3 + (u64)h1*r2 + (u64)h2*r1 + (u64)h3*r0 + (u64)h4*s4;
    d4 = (u64)h0*r4 + (u64)h1*r3 + (u64)h2*r2 + (u64)h3*r1 + (u64)h4*r0;
    d1 += d0>>26;
    d2 += d1>>26;
    d3 += d2>>26;
    d4 += d3>>26;
    h1 = (u32)d1 & M;
    h2 = (u32)d2 & M;
    h3 = (u32)d3 & M;
    h4 = (u32)d4 & M;
    d0 = (d0 & M) + (d4>>26)*5;
    h0 = (u32)d0 & M;
    h1 += (u32)(d0>>26);
  }
  c = h1>>26, h1 &= M, h2 += c;
  c = h2>>26, h2 &= M, h3 += c;
  c = h3>>26, h3 &= M, h4 += c;
  c = h4>>26, h4 &= M, h0 += c*5;
  c = h0>>26, h0 &= M, h1 += c;
  /* h - p, taken if it is not negative. */
  g[0] = h0 + 5;
  g[1] = h1 + (g[0]>>26);
  g[2] = h2 + (g[1]>>26);
  g[3] = h3 + (g[2]>>26);
  g[4] = h4 + (g[3]>>26) - (1u<<26);
  mask = (g[4]>>31) - 1;
  h0 = (h0 & ~mask) | (g[0] & M & mask);
  h1 = (h1 & ~mask) | (g[1] & M & mask);
  h2 = (h2 & ~mask) | (g[2] & M & mask);
  h3 = (h3 & ~mask) | (g[3] & M & mask);
  h4 = (h4 & ~mask) | (g[4] & M & mask);
  g[0] = h0 | h1<<26;
  g[1] = h1>>6 | h2<<20;
  g[2] = h2>>12 | h3<<14;
  g[3] = h3>>18 | h4<<8;
  for(i=0, f=0; i<4; i++){
    f += (u64)g[i] + chachaGet4(aKey+16+4*i);
    chachaPut4(aTag+4*i, (u32)f);
    f >>= 32;
  }
}

static int chachaRun(LscCodec *p, const u8 *aKey, const u8 *aNonce, u32 iCounter, const u8 *aIn, u8 *aOut, int n){
  u8 aIv[16];
  int nOut = 0;
  chachaPut4(aIv, iCounter);
  memcpy(aIv+4, aNonce, 12);
  return lscCrypto.EVP_CipherInit_ex(p->pEnc, 0, 0, aKey, aIv, 1)
      && lscCrypto.EVP_CipherUpdate(p->pEnc, aOut, &nOut, aIn, n) && nOut==n;
}

/* The keys of a page, aKeys: the tag's, the page's. */
static int chachaKeys(LscCodec *p, Pgno pgno, const u8 *aNonce, u32 *piCounter, u8 *aKeys){
  static const u8 aZero[64];
  *piCounter = chachaGet4(aNonce+12) ^ pgno;
  return chachaRun(p, p->keys.aKey, aNonce, *piCounter, aZero, aKeys, 64);
}

static int chachaEncode(LscCodec *p, Pgno pgno, const u8 *aPage, u8 *aOut, int n){
  int iFrom = pgno==1 ? 24 : 0, U = n - CHACHA_RESERVE, bOk;
  u8 aKeys[64];
  u32 iCounter;
  int rc = lscRandom(p, aOut+U, 16);
  if( rc!=SQLITE_OK ) return rc;
  if( pgno==1 && aPage[20]<CHACHA_RESERVE ) return SQLITE_ERROR;
  if( pgno==1 ){
    memcpy(aOut, p->keys.aSalt, LSC_SALT);
    memcpy(aOut+16, aPage+16, 8);
  }
  bOk = chachaKeys(p, pgno, aOut+U, &iCounter, aKeys)
     && chachaRun(p, aKeys+32, aOut+U, iCounter+1, aPage+iFrom, aOut+iFrom, U-iFrom);
  if( bOk ) chachaTag(aKeys, aOut, U+16, aOut+U+16);
  lscWipe(aKeys, sizeof(aKeys));
  return bOk ? SQLITE_OK : SQLITE_ERROR;
}

static int chachaDecode(LscCodec *p, Pgno pgno, u8 *aPage, int n){
  int iFrom = pgno==1 ? 24 : 0, U = n - CHACHA_RESERVE, rc = SQLITE_ERROR;
  u8 aKeys[64], aTag[16];
  u32 iCounter;
  if( !chachaKeys(p, pgno, aPage+U, &iCounter, aKeys) ) goto out;
  chachaTag(aKeys, aPage, U+16, aTag);
  rc = SQLITE_NOTADB;
  if( lscCrypto.CRYPTO_memcmp(aTag, aPage+U+16, 16)!=0 ) goto out;
  rc = SQLITE_ERROR;
  if( !chachaRun(p, aKeys+32, aPage+U, iCounter+1, aPage+iFrom, aPage+iFrom, U-iFrom) ) goto out;
  if( pgno==1 ) memcpy(aPage, lscMagic, LSC_SALT);
  memset(aPage+U, 0, CHACHA_RESERVE);
  rc = SQLITE_OK;
out:
  lscWipe(aKeys, sizeof(aKeys));
  return rc;
}

static const LscCipher lscChacha = {
  "chacha20", CHACHA_RESERVE, 1, 1, 1, 32, 48, sqlcSalt, chachaBegins, chachaDerive, chachaInit, chachaEncode,
  chachaDecode
};
