/*
** pages.c: codecs, and where the pager's pages pass through them. Included by engine.c.
**
**   database file     encoded when written, decoded when read. A page of zeros behind the end of the file is not decoded.
**   log               whole lists of pages are encoded in front of the log's methods and decoded behind them, so frames
**                     are what the file will hold: checkpoints and copies of frames move stored bytes
**   rollback journal  as in the file; a rollback writes the stored bytes back
**   statement journal, temporary files   under a key of this pager that nobody keeps: AES-256-XTS by place
**
** While the key changes (pOld), journals are in the old codec, and pDone tells for each page which one the file is in.
*/
/* From libcrypto, in bunches; a bunch is not used on both sides of a fork. */
static int lscRandom(LscCodec *p, u8 *a, int n){
  if( p->nNonce<n || p->iFork!=lsc_fork_count() ){
    if( lscCrypto.RAND_bytes(p->aNonce, sizeof(p->aNonce))!=1 ) return SQLITE_ERROR;
    p->nNonce = sizeof(p->aNonce);
    p->iFork = lsc_fork_count();
  }
  memcpy(a, p->aNonce + sizeof(p->aNonce) - p->nNonce, (size_t)n);
  p->nNonce -= n;
  return SQLITE_OK;
}

static void codecFreeBuffers(LscCodec *p){
  if( p->aOut ) lscWipe(p->aRaw, (size_t)p->nBuf);
  sqlite3_free(p->aOut);
  sqlite3_free(p->aRaw);
  p->aOut = p->aRaw = 0;
  p->nBuf = 0;
}

static void lscCodecFree(LscCodec *p){
  void *apCtx[5], *apMd[3];
  int i;
  if( p==0 ) return;
  apCtx[0] = p->pEnc, apCtx[1] = p->pDec, apCtx[2] = p->pEcb, apCtx[3] = p->pTempEnc, apCtx[4] = p->pTempDec;
  apMd[0] = p->pMd, apMd[1] = p->pInner, apMd[2] = p->pOuter;
  lscCodecFree(p->pOld);
  lscCodecFree(p->pReal);
  sqlite3BitvecDestroy(p->pDone);
  lscAheadFree(p);
  codecFreeBuffers(p);
  keptFree(p);
  sqlite3_free(p->bunch.a);
  lscCodecFree(p->bunch.pTwin);
  if( p->aSecret ) lscWipe(p->aSecret, (size_t)p->nSecret);
  sqlite3_free(p->aSecret);
  for(i=0; i<ArraySize(apCtx); i++) if( apCtx[i] ) lscCrypto.EVP_CIPHER_CTX_free(apCtx[i]);
  for(i=0; i<XAES_DECODERS; i++) if( p->apDec[i] ) lscCrypto.EVP_CIPHER_CTX_free(p->apDec[i]);
  for(i=0; i<ArraySize(apMd); i++) if( apMd[i] ) lscCrypto.EVP_MD_CTX_free(apMd[i]);
  lscWipe(p, sizeof(*p));
  sqlite3_free(p);
}

/* A codec; pCipher NULL: the one that the file turns out to have, aes256cbc for a new file. The text of an error is for
** sqlite3_free(). */
static int lscCodecNew(
  const LscCipher *pCipher, const void *pSecret, int nSecret, int bRaw, LscCodec **pp, char **pzErr
){
  LscCodec *p;
  *pp = 0;
  if( pCipher!=&lscPlain && lscCryptoLoad(pzErr)!=SQLITE_OK ) return SQLITE_ERROR;
  if( bRaw && pCipher && pCipher->nRaw && nSecret!=pCipher->nRaw && nSecret!=pCipher->nRawSalt ){
    *pzErr = sqlite3_mprintf("%s takes a raw key of %d bytes, not %d", pCipher->zName, pCipher->nRaw, nSecret);
    return SQLITE_ERROR;
  }
  p = sqlite3MallocZero(sizeof(*p));
  if( p==0 ) return SQLITE_NOMEM_BKPT;
  p->pCipher = pCipher;
  p->bRaw = (u8)bRaw;
  p->bKeys = p->bProven = pCipher==&lscPlain;
  p->aSecret = sqlite3_malloc64((u64)nSecret+1);
  if( pCipher!=&lscPlain ) p->pMd = lscCrypto.EVP_MD_CTX_new();
  if( p->aSecret==0 || (p->pMd==0 && pCipher!=&lscPlain) ){
    lscCodecFree(p);
    return SQLITE_NOMEM_BKPT;
  }
  if( nSecret ) memcpy(p->aSecret, pSecret, (size_t)nSecret);
  p->nSecret = nSecret;
  if( bRaw && nSecret==32+LSC_SALT ){
    memcpy(p->aSalt, p->aSecret+32, LSC_SALT);
    p->bSalt = 1;
  }
  *pp = p;
  return SQLITE_OK;
}

/* Keys of passphrases that were made lately, for the next connection: each takes some tenth of a second. */
#define LSC_KNOWN 8
static struct {
  u8 aId[32];                             /* SHA-256 of cipher, salt and passphrase */
  LscKeys keys;
  u32 iUse;                               /* 0: empty */
} aLscKnown[LSC_KNOWN];                   /* guarded by the static mutex MAIN */
static u32 iLscKnown = 0;

/* The entry of this id, or the one to give up for it. */
static int codecKnown(const u8 *aId){
  int i, iOld = 0;
  for(i=0; i<LSC_KNOWN; i++){
    if( aLscKnown[i].iUse && memcmp(aLscKnown[i].aId, aId, 32)==0 ) return i;
    if( aLscKnown[i].iUse<aLscKnown[iOld].iUse ) iOld = i;
  }
  return iOld;
}

static int codecId(LscCodec *p, u8 *aId){
  const char *zName = p->pCipher->zName;
  return lscCrypto.EVP_DigestInit_ex(p->pMd, lscCrypto.pSha256, 0)
      && lscCrypto.EVP_DigestUpdate(p->pMd, zName, strlen(zName)+1)
      && lscCrypto.EVP_DigestUpdate(p->pMd, p->bSalt ? p->aSalt : p->keys.aSalt, LSC_SALT)
      && lscCrypto.EVP_DigestUpdate(p->pMd, p->aSecret, (size_t)p->nSecret)
      && lscCrypto.EVP_DigestFinal_ex(p->pMd, aId, 0);
}

/* Keys of the secret and keys.aSalt. */
static int lscCodecDerive(LscCodec *p){
  sqlite3_mutex *mutex = sqlite3MutexAlloc(SQLITE_MUTEX_STATIC_MAIN);
  int bKeep = p->pCipher->bSalted && !p->bRaw, bKnown = 0, i, rc = SQLITE_OK;
  u8 aId[32];
  lscAheadFree(p);
  lscCodecFree(p->bunch.pTwin);
  p->bunch.pTwin = 0;
  if( bKeep && !codecId(p, aId) ) bKeep = 0;
  if( bKeep ){
    sqlite3_mutex_enter(mutex);
    i = codecKnown(aId);
    bKnown = aLscKnown[i].iUse && memcmp(aLscKnown[i].aId, aId, 32)==0;
    if( bKnown ){
      aLscKnown[i].iUse = ++iLscKnown;
      p->keys = aLscKnown[i].keys;
    }
    sqlite3_mutex_leave(mutex);
  }
  if( !bKnown ) rc = p->pCipher->xDerive(p);
  if( rc==SQLITE_OK && bKeep && !bKnown ){
    sqlite3_mutex_enter(mutex);
    i = codecKnown(aId);
    memcpy(aLscKnown[i].aId, aId, 32);
    aLscKnown[i].keys = p->keys;
    aLscKnown[i].iUse = ++iLscKnown;
    sqlite3_mutex_leave(mutex);
  }
  if( rc==SQLITE_OK ) rc = p->pCipher->xInit(p);
  p->bKeys = rc==SQLITE_OK;
  return rc;
}

/* Keys for a file that will be created. */
static int lscCodecReady(LscCodec *p){
  int rc = SQLITE_OK;
  if( p->bKeys ) return SQLITE_OK;
  if( p->pCipher==0 ) p->pCipher = &lscCbc;
  if( p->pCipher->xSalt ) rc = p->pCipher->xSalt(p);
  else if( p->pCipher->bSalted ) rc = lscRandom(p, p->keys.aSalt, LSC_SALT);
  return rc==SQLITE_OK ? lscCodecDerive(p) : rc;
}

static int codecBuffers(LscCodec *p, int nPage){
  if( p->nBuf>=nPage ) return SQLITE_OK;
  codecFreeBuffers(p);
  p->aOut = sqlite3_malloc(nPage);
  p->aRaw = sqlite3_malloc(nPage);
  if( p->aOut==0 || p->aRaw==0 ){
    codecFreeBuffers(p);
    return SQLITE_NOMEM_BKPT;
  }
  p->nBuf = nPage;
  return SQLITE_OK;
}

/* What cannot be encoded must stop the transaction as a failed write does. */
static int codecWriteError(int rc){
  return rc==SQLITE_OK || rc==SQLITE_NOMEM ? rc : SQLITE_IOERR_WRITE;
}

static int codecEncode(LscCodec *p, Pgno pgno, const u8 *aPage, u8 *aOut, int n){
  int rc = lscCodecReady(p);
  if( rc==SQLITE_OK ) rc = p->pCipher->xEncode(p, pgno, aPage, aOut, n);
  return codecWriteError(rc);
}

/* A codec with the same keys and contexts of its own, for a thread; NULL: out of memory. */
static LscCodec *lscCodecTwin(LscCodec *pFrom){
  LscCodec *p = 0;
  char *zErr = 0;
  if( lscCodecNew(pFrom->pCipher, 0, 0, 0, &p, &zErr)==SQLITE_OK ){
    p->keys = pFrom->keys;
    p->nClear = pFrom->nClear;
    p->bKeys = p->pCipher->xInit(p)==SQLITE_OK;
    if( !p->bKeys ){
      lscCodecFree(p);
      p = 0;
    }
  }
  sqlite3_free(zErr);
  return p;
}

/* In place. */
static int lscCodecDecode(LscCodec *p, Pgno pgno, u8 *aPage, int n){
  if( p->pOld && !sqlite3BitvecTestNotNull(p->pDone, pgno) ) p = p->pOld;
  if( !p->bKeys ) return SQLITE_NOTADB;
  return p->pCipher->xDecode(p, pgno, aPage, n);
}

/* Keys that live as long as the pager, for statement journals and temporary files. */
static int codecTempInit(LscCodec *p){
  u8 aKey[64];
  int rc = SQLITE_NOMEM;
  if( p->pTempDec ) return SQLITE_OK;
  if( p->pTempEnc==0 ) p->pTempEnc = lscCrypto.EVP_CIPHER_CTX_new();
  if( p->pTempEnc ) p->pTempDec = lscCrypto.EVP_CIPHER_CTX_new();
  if( p->pTempDec ){
    rc = lscRandom(p, aKey, sizeof(aKey));
    if( rc==SQLITE_OK
     && (!lscCrypto.EVP_CipherInit_ex(p->pTempEnc, lscCrypto.pXts, 0, aKey, 0, 1)
      || !lscCrypto.EVP_CipherInit_ex(p->pTempDec, lscCrypto.pXts, 0, aKey, 0, 0))
    ){
      rc = SQLITE_ERROR;
    }
    if( rc!=SQLITE_OK ){
      lscCrypto.EVP_CIPHER_CTX_free(p->pTempDec);
      p->pTempDec = 0;
    }
    lscWipe(aKey, sizeof(aKey));
  }
  return rc;
}

static int codecTempRun(void *pCtx, u64 iPlace, const u8 *aIn, u8 *aOut, int n, int bEnc){
  u8 aTweak[16] = {0};
  int i, nOut = 0;
  for(i=0; i<8; i++) aTweak[i] = (u8)(iPlace>>(8*i));
  return lscCrypto.EVP_CipherInit_ex(pCtx, 0, 0, 0, aTweak, bEnc)
      && lscCrypto.EVP_CipherUpdate(pCtx, aOut, &nOut, aIn, n) && nOut==n ? SQLITE_OK : SQLITE_ERROR;
}

static int tempDerive(LscCodec *p){ return codecTempInit(p); }
static int tempInit(LscCodec *p){ (void)p; return SQLITE_OK; }
static int tempEncode(LscCodec *p, Pgno pgno, const u8 *aPage, u8 *aOut, int n){
  return codecTempRun(p->pTempEnc, pgno, aPage, aOut, n, 1);
}
static int tempDecode(LscCodec *p, Pgno pgno, u8 *aPage, int n){
  return codecTempRun(p->pTempDec, pgno, aPage, aPage, n, 0);
}
static const LscCipher lscTemp = {
  "temp", 0, 0, 0, 0, 0, 0, 0, 0, tempDerive, tempInit, tempEncode, tempDecode
};

static int plainEncode(LscCodec *p, Pgno pgno, const u8 *aPage, u8 *aOut, int n){
  (void)p, (void)pgno;
  memcpy(aOut, aPage, (size_t)n);
  return SQLITE_OK;
}
static int plainDecode(LscCodec *p, Pgno pgno, u8 *aPage, int n){
  (void)p, (void)pgno, (void)aPage, (void)n;
  return SQLITE_OK;
}
static const LscCipher lscPlain = {
  "", 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, plainEncode, plainDecode
};

/* A pager was opened: what is temporary in a connection with a key gets one of its own. */
static int lscCodecTemp(sqlite3 *db, Pager *pPager){
  char *zErr = 0;
  int rc;
  if( db->pLsc==0 || !db->pLsc->bKeyed || !pPager->tempFile || pPager->memDb ) return SQLITE_OK;
  rc = lscCodecNew(&lscTemp, 0, 0, 0, &pPager->pLscCodec, &zErr);
  sqlite3_free(zErr);
  return rc;
}

/* The page as the rollback journal will hold it, and its checksum. */
static int lsc_journal_page(Pager *pPager, Pgno pgno, char **ppData, u32 *pCksum){
  LscCodec *p = pPager->pLscCodec;
  if( p ){
    LscCodec *pOut = p->pOld ? p->pOld : p;
    int rc = codecBuffers(p, pPager->pageSize);
    if( rc==SQLITE_OK ) rc = codecEncode(pOut, pgno, (u8*)*ppData, p->aOut, pPager->pageSize);
    if( rc!=SQLITE_OK ) return rc;
    *pCksum = pager_cksum(pPager, pOut->pCipher->bPlainSum ? (u8*)*ppData : p->aOut);
    *ppData = (char*)p->aOut;
    return SQLITE_OK;
  }
  *pCksum = pager_cksum(pPager, (u8*)*ppData);
  return SQLITE_OK;
}

/* The page as the statement journal will hold it at record nSubRec. */
static char *lsc_statement_page(Pager *pPager, void *pData, int *pRc){
  LscCodec *p = pPager->pLscCodec;
  if( p==0 ) return pData;
  *pRc = codecBuffers(p, pPager->pageSize);
  if( *pRc==SQLITE_OK ) *pRc = codecTempInit(p);
  if( *pRc==SQLITE_OK ){
    *pRc = codecTempRun(p->pTempEnc, (u64)1<<32 | pPager->nSubRec, pData, p->aOut, pPager->pageSize, 1);
  }
  *pRc = codecWriteError(*pRc);
  return (char*)p->aOut;
}

/* A journal's record is read for a rollback: the page is decoded into aData, what the main journal holds is kept. */
static int lsc_record_read(Pager *pPager, sqlite3_file *pFile, int bMain, Pgno pgno, i64 iRecord, char *aData){
  LscCodec *p = pPager->pLscCodec;
  int n = pPager->pageSize;
  int rc = sqlite3OsRead(pFile, aData, n, iRecord+4);
  if( p==0 || rc!=SQLITE_OK ) return rc;
  if( !bMain ){
    rc = p->pTempDec==0 ? SQLITE_CORRUPT_BKPT
       : codecTempRun(p->pTempDec, (u64)1<<32 | (u64)(iRecord/(n+4)), (u8*)aData, (u8*)aData, n, 0);
    return rc;
  }
  rc = codecBuffers(p, n);
  if( rc!=SQLITE_OK ) return rc;
  memcpy(p->aRaw, aData, (size_t)n);
  if( pgno==0 ) return SQLITE_OK;
  if( p->pOld ) p = p->pOld;
  rc = p->bKeys ? p->pCipher->xDecode(p, pgno, (u8*)aData, n) : SQLITE_NOTADB;
  pPager->pLscCodec->rcRecord = rc;
  return SQLITE_OK;
}

/* Whether the record just read has this checksum: if not, SQLITE_DONE, the journal ends there. Who encrypts below the
** pager sums up plain pages. Where the journal was synced and pages are authenticated, one that is not what was written
** is no end but damage. */
static int lsc_record_sums(Pager *pPager, char *aData, u32 cksum){
  LscCodec *p = pPager->pLscCodec;
  u32 nRec = 0;
  if( p && p->rcRecord!=SQLITE_OK && (p->pOld ? p->pOld : p)->pCipher->bMac
   && read32bits(pPager->jfd, 8, &nRec)==SQLITE_OK && nRec!=0 && nRec!=0xffffffff ){
    return SQLITE_CORRUPT_BKPT;
  }
  if( p && pager_cksum(pPager, p->aRaw)==cksum ) return SQLITE_OK;
  if( (p==0 || p->rcRecord==SQLITE_OK) && pager_cksum(pPager, (u8*)aData)==cksum ) return SQLITE_OK;
  return SQLITE_DONE;
}

/* The record goes back to the file. */
static int lsc_record_restore(Pager *pPager, int bMain, Pgno pgno, char *aData, i64 iOffset){
  LscCodec *p = pPager->pLscCodec;
  const void *pOut = aData;
  int rc = SQLITE_OK;
  if( p ){
    lscAheadStop(p);
    keptDrop(p, pgno);
    if( !bMain ){
      rc = codecBuffers(p, pPager->pageSize);
      if( rc==SQLITE_OK ) rc = codecEncode(p, pgno, (u8*)aData, p->aOut, pPager->pageSize);
      if( rc==SQLITE_OK && p->pDone ) rc = sqlite3BitvecSet(p->pDone, pgno);
    }
    pOut = bMain ? p->aRaw : p->aOut;
  }
  if( rc==SQLITE_OK ) rc = sqlite3OsWrite(pPager->fd, pOut, pPager->pageSize, iOffset);
  return rc;
}

/* The record goes to the cache. */
static int lsc_record_use(Pager *pPager, int bMain){
  LscCodec *p = pPager->pLscCodec;
  return p && bMain && p->rcRecord!=SQLITE_OK ? SQLITE_CORRUPT_BKPT : SQLITE_OK;
}

/* A page was read from the file or the log. */
static int lsc_page_read(PgHdr *pPg){
  Pager *pPager = pPg->pPager;
  LscCodec *p = pPager->pLscCodec;
  int rc;
  if( p->iDone==pPg->pgno ){
    p->iDone = 0;
    return SQLITE_OK;
  }
  if( p->iHole==pPg->pgno ){
    p->iHole = 0;
    if( !p->pCipher || !p->pCipher->bMac || pPager->eState>=PAGER_WRITER_LOCKED ) return SQLITE_OK;
    rc = SQLITE_NOTADB;
  }else{
    rc = lscCodecDecode(p, pPg->pgno, pPg->pData, pPager->pageSize);
    if( rc==SQLITE_OK ) lscPageKeep(pPager, pPg->pgno, pPg->pData);
  }
  if( rc==SQLITE_NOTADB && pPg->pgno>1 ){
    p->iBad = pPg->pgno;
    sqlite3_log(SQLITE_CORRUPT, "page %u of %s is not what was written", pPg->pgno, pPager->zFilename);
    rc = SQLITE_CORRUPT;
  }
  if( rc!=SQLITE_OK && pPg->pgno==1 ) p->bProven = 0;
  return rc;
}

/* lsc_read_page() met the end of the file. */
static void lscPageBehindEnd(Pager *pPager, Pgno pgno, const u8 *aPage){
  int i;
  for(i=0; i<pPager->pageSize; i++) if( aPage[i] ) return;
  pPager->pLscCodec->iHole = pgno;
}

/* The map limit of a pager: stored bytes are of no use. */
static i64 lsc_mmap_limit(Pager *pPager){
  return pPager->pLscCodec ? 0 : pPager->szMmap;
}

/* What an error of the pager says more than its code, or NULL. */
static const char *lscCodecErrorText(sqlite3 *db, int rc){
  int i;
  if( db->pLsc==0 || !db->pLsc->bKeyed ) return 0;
  for(i=0; i<db->nDb; i++){
    LscCodec *p = db->aDb[i].pBt ? sqlite3BtreePager(db->aDb[i].pBt)->pLscCodec : 0;
    if( p && p->iBad && (rc & 0xff)==SQLITE_CORRUPT ){
      sqlite3_snprintf(sizeof(db->pLsc->zError), db->pLsc->zError,
                       "database disk image is malformed: page %u of %s is not what was written", p->iBad,
                       db->aDb[i].zDbSName);
      p->iBad = 0;
      return db->pLsc->zError;
    }
    if( p && p->zWhy && (rc & 0xff)==SQLITE_NOTADB ) return p->zWhy;
  }
  return 0;
}

/* The text of an error that a statement ends with. */
static const char *lsc_error_text(sqlite3 *db, int rc){
  const char *z = lscCodecErrorText(db, rc);
  return z ? z : sqlite3ErrStr(rc);
}
