/*
** replog_compact.c: a log cut off behind its last transaction, and snapshots of what was cut off. Included by engine.c.
**
** The new wallog takes the old one's place in one rename; before that the old one has a second name, in to_compact/. A
** crash between the two leaves one file under both names, which the next compaction sees by its first frame.
**
** A snapshot has the last frame of each page, the highest number first. It is written from logs and older snapshots
** alike, none of which changes any more.
*/
int lsc_replog_seal(lsc_replog *p, const char *zTo){
  char *zNew = repPath(p->zFolder, REP_WALLOG "-new"), *zLog = repPath(p->zFolder, REP_WALLOG);
  RepFile *pNew = 0, *pOld = 0;
  int rc = zNew && zLog ? lscReplogSync(p, 1) : SQLITE_NOMEM_BKPT;
  sqlite3_mutex_enter(p->mutex);
  if( rc==SQLITE_OK ){
    if( p->pFile==0 ) rc = SQLITE_MISUSE_BKPT;
    else if( p->nPending ) rc = SQLITE_BUSY;
    else if( p->iLast<p->pFile->iFirst ) rc = SQLITE_DONE;
  }
  if( rc==SQLITE_OK ) rc = repNewFile(p, zNew, p->iLast+1, p->sum, &pNew);
  if( rc==SQLITE_OK ) rc = repWriteHeader(p, p->iLast);
  if( rc==SQLITE_OK ) rc = sqlite3OsSync(p->pFile->pFd, SQLITE_SYNC_NORMAL);
#if SQLITE_OS_UNIX
  if( rc==SQLITE_OK && link(zLog, zTo)!=0 ) rc = SQLITE_IOERR_WRITE;
#else
  if( rc==SQLITE_OK && rename(zLog, zTo)!=0 ) rc = SQLITE_IOERR_WRITE;
#endif
  if( rc==SQLITE_OK ){
    repSyncFolder(zTo);
    rc = repRename(zNew, zLog);
  }
  if( rc==SQLITE_OK ){
    pOld = p->pFile;
    p->pFile = pNew;
    pNew = 0;
    p->firstSum = p->sum;
    p->msBegan = repNow(p->pVfs);
  }
  sqlite3_mutex_leave(p->mutex);
  if( pOld ) repUnref(p, pOld);
  if( pNew ) repUnref(p, pNew);
  sqlite3_free(zNew);
  sqlite3_free(zLog);
  return rc;
}

/* A snapshot that is written. */
typedef struct RepSnap {
  sqlite3_file *pFd;                  /* owned */
  u8 *aBuf;                           /* owned: REP_BUNCH frames that wait */
  u8 *aRead;                          /* owned: REP_BUNCH frames */
  int nBuf;
  i64 nFrame;                         /* frames in the file, those that wait included */
  Bitvec *pSeen;                      /* owned */
  i64 iStart, iEnd;
  i64 iBefore;                        /* the frame before must have a higher number */
  u32 nAfter;
} RepSnap;

static int repSnapFlush(RepSnap *s){
  i64 iOffset = LSC_SNAP_HEADER + (s->nFrame-s->nBuf)*LSC_LOG_FRAME;
  int rc = s->nBuf ? sqlite3OsWrite(s->pFd, s->aBuf, s->nBuf*LSC_LOG_FRAME, iOffset) : SQLITE_OK;
  s->nBuf = 0;
  return rc;
}

static int repSnapAdd(RepSnap *s, const u8 *aFrame){
  Pgno pgno = repGet4(aFrame+16);
  i64 iFrame = (i64)repGet8(aFrame);
  int rc;
  if( pgno==0 || pgno>0xfffffffe || iFrame>=s->iBefore ) return SQLITE_CORRUPT_BKPT;
  s->iBefore = iFrame;
  /* The first is the end of the snapshot, whatever it holds. */
  if( sqlite3BitvecTest(s->pSeen, pgno) || (pgno>s->nAfter && s->nFrame>0) ) return SQLITE_OK;
  rc = sqlite3BitvecSet(s->pSeen, pgno);
  if( rc==SQLITE_OK && s->nBuf==REP_BUNCH ) rc = repSnapFlush(s);
  if( rc==SQLITE_OK ){
    memcpy(s->aBuf + s->nBuf*LSC_LOG_FRAME, aFrame, LSC_LOG_FRAME);
    repPut4(s->aBuf + s->nBuf*LSC_LOG_FRAME + 20, 0);
    s->nBuf++;
    s->nFrame++;
  }
  return rc;
}

/* Add what a log or a snapshot has. */
static int repSnapFrom(lsc_replog *p, RepSnap *s, sqlite3_file *pFd){
  u8 a[LSC_LOG_HEADER];
  i64 nByte = 0, nFrame, iStart, iEnd, i;
  int nHead, bLog, k, rc;
  u32 nAfter = 0;
  memset(a, 0, sizeof(a));
  rc = sqlite3OsFileSize(pFd, &nByte);
  if( rc==SQLITE_OK && nByte<LSC_SNAP_HEADER ) rc = SQLITE_CORRUPT_BKPT;
  if( rc==SQLITE_OK ) rc = sqlite3OsRead(pFd, a, (int)MIN(nByte, LSC_LOG_HEADER), 0);
  if( rc!=SQLITE_OK ) return rc;
  bLog = memcmp(a, "SQLDWAL", 8)==0;
  nHead = bLog ? LSC_LOG_HEADER : LSC_SNAP_HEADER;
  nFrame = (i64)repGet8(a + (bLog ? 40 : 32));
  iStart = (i64)repGet8(a + (bLog ? 32 : 16));
  for(k=0; k<16; k++){
    if( a[(bLog ? 16 : 0)+k]!=p->aId[15-k] ) return SQLITE_CORRUPT_BKPT;
  }
  if( nFrame<=0 || nFrame>(nByte-nHead)/LSC_LOG_FRAME || iStart<0 || iStart>>62 ) return SQLITE_CORRUPT_BKPT;
  iEnd = bLog ? iStart+nFrame-1 : (i64)repGet8(a+24);
  if( bLog ){
    u8 aLast[24];
    rc = sqlite3OsRead(pFd, aLast, sizeof(aLast), nHead+(nFrame-1)*LSC_LOG_FRAME);
    nAfter = repGet4(aLast+20);
  }else{
    nAfter = repGet4(a+40);
  }
  if( rc==SQLITE_OK && nAfter==0 ) rc = SQLITE_CORRUPT_BKPT;
  if( s->nAfter==0 ){
    s->nAfter = nAfter;
    s->iEnd = iEnd;
  }
  s->iStart = iStart;
  for(i=0; i<nFrame && rc==SQLITE_OK; i+=REP_BUNCH){
    int n = (int)MIN(nFrame-i, REP_BUNCH);
    rc = sqlite3OsRead(pFd, s->aRead, n*LSC_LOG_FRAME, nHead + (bLog ? nFrame-i-n : i)*LSC_LOG_FRAME);
    for(k=0; k<n && rc==SQLITE_OK; k++) rc = repSnapAdd(s, s->aRead + (bLog ? n-1-k : k)*LSC_LOG_FRAME);
  }
  return rc;
}

static int repSnapEnd(lsc_replog *p, RepSnap *s){
  u8 a[LSC_SNAP_HEADER];
  int i, rc = repSnapFlush(s);
  memset(a, 0, sizeof(a));
  for(i=0; i<16; i++) a[i] = p->aId[15-i];
  repPut8(a+16, (u64)s->iStart);
  repPut8(a+24, (u64)s->iEnd);
  repPut8(a+32, (u64)s->nFrame);
  repPut4(a+40, s->nAfter);
  if( rc==SQLITE_OK ) rc = sqlite3OsWrite(s->pFd, a, sizeof(a), 0);
  if( rc==SQLITE_OK ) rc = sqlite3OsSync(s->pFd, SQLITE_SYNC_NORMAL);
  return rc;
}

int lsc_snapshot_write(
  lsc_replog *p, const char *const *azFrom, int n, const char *zTo, sqlite3_int64 *piStart, sqlite3_int64 *piEnd,
  sqlite3_int64 *pnFrame, lsc_error *error
){
  RepSnap s;
  int i, rc = SQLITE_OK;
  const char *zAt = zTo;
  memset(&s, 0, sizeof(s));
  s.iBefore = LARGEST_INT64;
  s.aBuf = sqlite3_malloc64(REP_BUNCH*LSC_LOG_FRAME);
  s.aRead = sqlite3_malloc64(REP_BUNCH*LSC_LOG_FRAME);
  s.pSeen = sqlite3BitvecCreate(0xfffffffe);
  if( s.aBuf==0 || s.aRead==0 || s.pSeen==0 ) rc = SQLITE_NOMEM_BKPT;
  if( rc==SQLITE_OK ) rc = repOpenFile(p->pVfs, zTo, 1, &s.pFd);
  if( rc==SQLITE_OK ) rc = sqlite3OsTruncate(s.pFd, 0);
  for(i=0; i<n && rc==SQLITE_OK; i++){
    sqlite3_file *pFd = 0;
    zAt = azFrom[i];
    rc = repOpenFile(p->pVfs, zAt, 0, &pFd);
    if( rc==SQLITE_OK ) rc = repSnapFrom(p, &s, pFd);
    if( pFd ) repCloseFile(pFd);
  }
  if( rc==SQLITE_OK ){
    zAt = zTo;
    rc = repSnapEnd(p, &s);
  }
  repCloseFile(s.pFd);
  sqlite3BitvecDestroy(s.pSeen);
  sqlite3_free(s.aBuf);
  sqlite3_free(s.aRead);
  if( rc!=SQLITE_OK ) return injError(error, rc, sqlite3_mprintf("%s: %s", sqlite3ErrStr(rc), zAt));
  *piStart = s.iStart;
  *piEnd = s.iEnd;
  *pnFrame = s.nFrame;
  return SQLITE_OK;
}

int lsc_frame_key_new(lsc_frame_key **pp, const lsc_key *pKey, lsc_error *error){
  LscCodec *p = 0;
  char *zError = 0;
  int rc = sqlite3_initialize();
  *pp = 0;
  if( rc==SQLITE_OK ) rc = lscCodecNew(&lscCbc, pKey->key, pKey->n, pKey->is_raw, &p, &zError);
  if( rc==SQLITE_OK ) rc = lscCodecReady(p);
  if( rc!=SQLITE_OK ){
    lscCodecFree(p);
    if( zError==0 && rc!=SQLITE_NOMEM ) zError = sqlite3_mprintf("%s", sqlite3ErrStr(rc));
    return injError(error, rc, zError);
  }
  *pp = p;
  return SQLITE_OK;
}

void lsc_frame_key_free(lsc_frame_key *p){ lscCodecFree(p); }

int lsc_frame_decrypt(lsc_frame_key *p, unsigned char *frames, int n){
  int i, rc = SQLITE_OK;
  for(i=0; i<n && rc==SQLITE_OK; i++) rc = repCrypt(p, frames + (i64)i*LSC_LOG_FRAME + 24, 0);
  return rc;
}
