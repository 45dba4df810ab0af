/*
** frames.c: the frames of the log of database "main", read and inserted from outside. Included by engine.c.
**
** A frame is a header of 24 bytes (page number, size behind a commit or 0, salts, checksums, big-endian) and a page.
** Everything goes through the methods of the log, so it works for any manager's.
**
** Locks: the connection's mutex, then the b-tree's. Reading holds a read transaction, so that no checkpoint starts the
** log anew meanwhile. An insertion holds the log's read and write lock without a transaction of the b-tree above it;
** LscWal.bInserting keeps SQL away until it ends.
*/
#define LSC_FRAME_HEADER 24

/* The b-tree of database "main", entered, the connection's mutex held; end with lscMainLeave(). */
static Btree *lscMainEnter(sqlite3 *db){
  Btree *p;
  sqlite3_mutex_enter(db->mutex);
  p = db->aDb[0].pBt;
  sqlite3BtreeEnter(p);
  return p;
}

static int lscMainLeave(sqlite3 *db, Btree *p, int rc, const char *zMsg){
  sqlite3BtreeLeave(p);
  if( rc!=SQLITE_OK && zMsg ){
    sqlite3ErrorWithMsg(db, rc, "%s", zMsg);
  }else{
    sqlite3Error(db, rc);
  }
  /* Extended codes are given also where the connection did not ask for them. */
  if( sqlite3ApiExit(db, rc)==SQLITE_NOMEM ) rc = SQLITE_NOMEM;
  sqlite3_mutex_leave(db->mutex);
  return rc;
}

static LscWal *lscMainWal(Btree *p){ return LSC_WAL(sqlite3BtreePager(p)->pWal); }

/* Hold the newest snapshot of the log, unless a transaction or an insertion holds one already. */
static int lscSnapshotBegin(Btree *p, int *pbOpened){
  int rc = SQLITE_OK;
  LscWal *pWal = lscMainWal(p);
  *pbOpened = 0;
  if( p->inTrans==TRANS_NONE && !(pWal && pWal->bInserting) ){
    rc = sqlite3BtreeBeginTrans(p, 0, 0);
    *pbOpened = rc==SQLITE_OK;
  }
  return rc;
}

static void lscSnapshotEnd(Btree *p, int bOpened){
  if( bOpened ) (void)sqlite3BtreeCommit(p);
}

static int lscFrameCount(LscWal *pWal, int bLocked, unsigned *pn){
  *pn = 0;
  if( pWal==0 ) return SQLITE_OK;
  if( pWal->wal.methods.xFrameCount==0 ) return SQLITE_ERROR;
  return pWal->wal.methods.xFrameCount(pWal->wal.pData, bLocked, pn);
}

static int lscReadFrame(Btree *p, unsigned iFrame, void *pBuf, unsigned nBuf, const char **pzMsg){
  LscWal *pWal = lscMainWal(p);
  if( pWal==0 || pWal->wal.methods.xReadFrameRaw==0 ){
    *pzMsg = "the database is not in WAL mode";
    return SQLITE_ERROR;
  }
  if( nBuf!=LSC_FRAME_HEADER+(unsigned)sqlite3BtreeGetPageSize(p) ){
    *pzMsg = "a frame is 24 bytes and one page long";
    return SQLITE_MISUSE_BKPT;
  }
  return pWal->wal.methods.xReadFrameRaw(pWal->wal.pData, iFrame, (int)nBuf, pBuf);
}

int libsql_wal_disable_checkpoint(sqlite3 *db){
  if( !sqlite3SafetyCheckOk(db) ) return SQLITE_MISUSE_BKPT;
  sqlite3_mutex_enter(db->mutex);
  (void)sqlite3_wal_hook(db, 0, 0);
  if( db->pLsc ) db->pLsc->bNoCheckpoint = 1;
  sqlite3_mutex_leave(db->mutex);
  return SQLITE_OK;
}

static void lsc_checkpoints_on(sqlite3 *db){
  if( db->pLsc ) db->pLsc->bNoCheckpoint = 0;
}

int libsql_wal_frame_count(sqlite3 *db, unsigned int *pnFrame){
  Btree *p;
  int rc, bOpened;
  unsigned n = 0;
  if( !sqlite3SafetyCheckOk(db) ) return SQLITE_MISUSE_BKPT;
  p = lscMainEnter(db);
  rc = lscSnapshotBegin(p, &bOpened);
  if( rc==SQLITE_OK ) rc = lscFrameCount(lscMainWal(p), lscMainWal(p) && lscMainWal(p)->bInserting, &n);
  if( rc==SQLITE_OK ) *pnFrame = n;
  lscSnapshotEnd(p, bOpened);
  return lscMainLeave(db, p, rc, 0);
}

int libsql_wal_get_frame(sqlite3 *db, unsigned int iFrame, void *pBuf, unsigned int nBuf){
  const char *zMsg = 0;
  Btree *p;
  int rc, bOpened;
  if( !sqlite3SafetyCheckOk(db) ) return SQLITE_MISUSE_BKPT;
  p = lscMainEnter(db);
  rc = lscSnapshotBegin(p, &bOpened);
  if( rc==SQLITE_OK ) rc = lscReadFrame(p, iFrame, pBuf, nBuf, &zMsg);
  lscSnapshotEnd(p, bOpened);
  return lscMainLeave(db, p, rc, zMsg);
}

int libsql_wal_checkpoint_seq_count(sqlite3 *db, unsigned int *pnSeq){
  Btree *p;
  Wal *pStock;
  int rc, bOpened;
  if( !sqlite3SafetyCheckOk(db) ) return SQLITE_MISUSE_BKPT;
  p = lscMainEnter(db);
  *pnSeq = 0;
  rc = lscSnapshotBegin(p, &bOpened);
  if( rc==SQLITE_OK ){
    pStock = lscStockWal(sqlite3BtreePager(p)->pWal);
    if( pStock && pStock->hdr.mxFrame ) *pnSeq = pStock->nCkpt;
  }
  lscSnapshotEnd(p, bOpened);
  return lscMainLeave(db, p, rc, 0);
}

/* Give back the locks of an insertion, also when the log is closed under it; what was not committed is dropped. */
static int lscInsertRelease(LscWal *pWal){
  Wal *p = (Wal*)pWal;
  int rc = lscWalSavepointUndo(p, pWal->aCommitted), rc2;
  pWal->bInserting = 0;
  rc2 = lscWalEndWrite(p);
  lscWalEndRead(p);
  return rc==SQLITE_OK ? rc2 : rc;
}

/* bNumberOn: the first frame's number is that behind the last one's, even where SQLite would begin the log anew. */
static int lscInsertBegin(sqlite3 *db, Btree *p, int bNumberOn, const char **pzMsg){
  Pager *pPager = sqlite3BtreePager(p);
  LscWal *pWal = lscMainWal(p);
  int rc = SQLITE_OK;
  if( pWal && pWal->bInserting ){
    *pzMsg = "frames are being inserted already";
    return SQLITE_MISUSE_BKPT;
  }
  if( !db->autoCommit || db->nVdbeActive || p->pBt->inTransaction!=TRANS_NONE ){
    *pzMsg = "cannot insert frames while a statement or transaction is open";
    return SQLITE_MISUSE_BKPT;
  }
  if( pPager->tempFile || pPager->memDb ){
    *pzMsg = "a database in memory has no log";
    return SQLITE_ERROR;
  }
  if( sqlite3PagerIsreadonly(pPager) ) return SQLITE_READONLY;
  if( pPager->pWal==0 ){
    /* The log of a database in WAL mode is opened by the first read. */
    sqlite3BtreeLeave(p);
    rc = sqlite3_exec(db, "PRAGMA main.journal_mode=wal; PRAGMA main.schema_version", 0, 0, 0);
    sqlite3BtreeEnter(p);
    if( rc==SQLITE_OK && pPager->pWal==0 ){
      *pzMsg = "the database cannot be switched to WAL mode";
      rc = SQLITE_ERROR;
    }
  }
  db->busyHandler.nBusy = 0;
  while( rc==SQLITE_OK ){
    rc = sqlite3PagerSharedLock(pPager);
    if( rc==SQLITE_OK ){
      rc = lscWalBeginWrite(pPager->pWal);
      if( rc==SQLITE_OK && bNumberOn && lscStockWal(pPager->pWal) ){
        rc = stockNumberOn(lscStockWal(pPager->pWal));
        if( rc!=SQLITE_OK ) (void)lscWalEndWrite(pPager->pWal);
      }
    }
    if( rc==SQLITE_OK ){
      lscMainWal(p)->bInserting = 1;
      lscWalSavepoint(pPager->pWal, lscMainWal(p)->aCommitted);
      break;
    }
    pagerUnlockIfUnused(pPager);
    if( (rc & 0xff)==SQLITE_BUSY && sqlite3InvokeBusyHandler(&db->busyHandler) ) rc = SQLITE_OK;
  }
  return rc;
}

static int lscInsertFrame(
  Btree *p, unsigned iFrame, u8 *aFrame, unsigned nFrame, int syncFlags, int *pbConflict, const char **pzMsg
){
  LscWal *pWal = lscMainWal(p);
  int szPage = sqlite3BtreeGetPageSize(p);
  unsigned nLog = 0;
  int rc;
  PgHdr page;
  Pgno nAfter;
  *pbConflict = 0;
  if( pWal==0 || !pWal->bInserting ){
    *pzMsg = "no insertion of frames was begun";
    return SQLITE_MISUSE_BKPT;
  }
  if( nFrame!=LSC_FRAME_HEADER+(unsigned)szPage ){
    *pzMsg = "a frame is 24 bytes and one page long";
    return SQLITE_MISUSE_BKPT;
  }
  memset(&page, 0, sizeof(page));
  page.pgno = sqlite3Get4byte(aFrame);
  page.pData = aFrame + LSC_FRAME_HEADER;
  nAfter = sqlite3Get4byte(aFrame+4);
  rc = lscFrameCount(pWal, 1, &nLog);
  if( rc!=SQLITE_OK ) return rc;
  if( iFrame==0 || iFrame>nLog+1 ){
    *pzMsg = "the number is not that of a frame in the log or of the next one";
    return SQLITE_MISUSE_BKPT;
  }
  if( iFrame<=nLog ){
    u8 *aOld = sqlite3_malloc64(nFrame);
    if( aOld==0 ) return SQLITE_NOMEM_BKPT;
    rc = lscReadFrame(p, iFrame, aOld, nFrame, pzMsg);
    if( rc==SQLITE_OK
     && (memcmp(aOld, aFrame, 8)!=0 || memcmp(aOld+LSC_FRAME_HEADER, page.pData, (size_t)szPage)!=0) ){
      *pbConflict = 1;
      *pzMsg = "the log holds another frame of this number";
      rc = SQLITE_ERROR;
    }
    sqlite3_free(aOld);
    return rc;
  }
  if( page.pgno==0 || (nAfter && page.pgno>nAfter) ){
    *pzMsg = "the page number of the frame is not one of the database";
    return SQLITE_MISUSE_BKPT;
  }
  rc = lscLogFrames((Wal*)pWal, szPage, &page, nAfter, nAfter!=0, syncFlags);
  if( rc==SQLITE_OK && nAfter ) lscWalSavepoint((Wal*)pWal, pWal->aCommitted);
  return rc;
}

static int lscInsertEnd(Btree *p, const char **pzMsg){
  Pager *pPager = sqlite3BtreePager(p);
  LscWal *pWal = lscMainWal(p);
  int rc;
  if( pWal==0 || !pWal->bInserting ){
    *pzMsg = "no insertion of frames was begun";
    return SQLITE_MISUSE_BKPT;
  }
  rc = lscInsertRelease(pWal);
  pager_reset(pPager);
  if( pPager->eState==PAGER_READER ) pagerUnlockIfUnused(pPager);
  return rc;
}

int libsql_wal_insert_begin(sqlite3 *db){
  const char *zMsg = 0;
  Btree *p;
  int rc;
  if( !sqlite3SafetyCheckOk(db) ) return SQLITE_MISUSE_BKPT;
  p = lscMainEnter(db);
  rc = lscInsertBegin(db, p, 1, &zMsg);
  return lscMainLeave(db, p, rc, zMsg);
}

int libsql_wal_insert_frame(sqlite3 *db, unsigned int iFrame, void *pBuf, unsigned int nBuf, int *pConflict){
  const char *zMsg = 0;
  Btree *p;
  int rc, bConflict;
  if( !sqlite3SafetyCheckOk(db) ) return SQLITE_MISUSE_BKPT;
  p = lscMainEnter(db);
  rc = lscInsertFrame(p, iFrame, pBuf, nBuf, p->pBt->pPager->walSyncFlags, &bConflict, &zMsg);
  if( pConflict ) *pConflict = bConflict;
  return lscMainLeave(db, p, rc, zMsg);
}

int libsql_wal_insert_end(sqlite3 *db){
  const char *zMsg = 0;
  Btree *p;
  int rc;
  if( !sqlite3SafetyCheckOk(db) ) return SQLITE_MISUSE_BKPT;
  p = lscMainEnter(db);
  rc = lscInsertEnd(p, &zMsg);
  return lscMainLeave(db, p, rc, zMsg);
}
