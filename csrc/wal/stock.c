/*
** stock.c: SQLite's own log, wal.c, as the default manager of virtual logs. Included by engine.c.
**
** wal_impl is wal.c's Wal, wal_manager_impl is not used. Frames are numbered as in the file; a snapshot of the log
** covers frames 1 to hdr.mxFrame.
*/
#define STOCK(p) ((Wal*)(p))

static void stockLimit(wal_impl *p, long long nMax){ sqlite3WalLimit(STOCK(p), nMax); }
static int stockBeginRead(wal_impl *p, int *pChanged){ return sqlite3WalBeginReadTransaction(STOCK(p), pChanged); }
static void stockEndRead(wal_impl *p){
  /* A manager that wraps this one may leave the write lock to us. */
  (void)sqlite3WalEndWriteTransaction(STOCK(p));
  sqlite3WalEndReadTransaction(STOCK(p));
}
static int stockFindFrame(wal_impl *p, unsigned pgno, unsigned *piFrame){
  return sqlite3WalFindFrame(STOCK(p), pgno, piFrame);
}
static int stockReadFrame(wal_impl *p, unsigned iFrame, int nOut, unsigned char *pOut){
  return sqlite3WalReadFrame(STOCK(p), iFrame, nOut, pOut);
}
static unsigned stockDbsize(wal_impl *p){ return sqlite3WalDbsize(STOCK(p)); }
static int stockBeginWrite(wal_impl *p){ return sqlite3WalBeginWriteTransaction(STOCK(p)); }
static int stockEndWrite(wal_impl *p){ return sqlite3WalEndWriteTransaction(STOCK(p)); }
static int stockUndo(wal_impl *p, int (*xUndo)(void*, unsigned), void *pCtx){
  return sqlite3WalUndo(STOCK(p), xUndo, pCtx);
}
static void stockSavepoint(wal_impl *p, unsigned *aData){ sqlite3WalSavepoint(STOCK(p), aData); }
static int stockSavepointUndo(wal_impl *p, unsigned *aData){ return sqlite3WalSavepointUndo(STOCK(p), aData); }
static int stockCallback(wal_impl *p){ return sqlite3WalCallback(STOCK(p)); }
static int stockExclusiveMode(wal_impl *p, int op){ return sqlite3WalExclusiveMode(STOCK(p), op); }
static int stockHeapMemory(wal_impl *p){ return sqlite3WalHeapMemory(STOCK(p)); }
static sqlite3_file *stockFile(wal_impl *p){ return sqlite3WalFile(STOCK(p)); }
static int stockSnapshotGet(wal_impl *p, void **pp){ return sqlite3WalSnapshotGet(STOCK(p), (sqlite3_snapshot**)pp); }
static void stockSnapshotOpen(wal_impl *p, void *pSnapshot){ sqlite3WalSnapshotOpen(STOCK(p), pSnapshot); }
static int stockSnapshotRecover(wal_impl *p){ return sqlite3WalSnapshotRecover(STOCK(p)); }
static int stockSnapshotCheck(void *p, void *pSnapshot){ return sqlite3WalSnapshotCheck(STOCK(p), pSnapshot); }
static void stockSnapshotUnlock(wal_impl *p){ sqlite3WalSnapshotUnlock(STOCK(p)); }

/*
** The writer may start the log anew while this connection reads the database file only (read lock 0), so the salts in
** shared memory are compared afterwards: they change before the first frame is overwritten. The writer itself needs no
** comparison; its salts may not be there yet.
*/
static int stockReadFrameRaw(wal_impl *pImpl, unsigned iFrame, int nOut, unsigned char *pOut){
  Wal *pWal = STOCK(pImpl);
  int szPage = walPagesize(pWal);
  int rc;
  if( iFrame==0 || iFrame>pWal->hdr.mxFrame ) return SQLITE_IOERR_SHORT_READ;
  if( nOut>szPage+WAL_FRAME_HDRSIZE ) nOut = szPage+WAL_FRAME_HDRSIZE;
  rc = sqlite3OsRead(pWal->pWalFd, pOut, nOut, walFrameOffset(iFrame, szPage));
  if( rc==SQLITE_OK && !pWal->writeLock ){
    walShmBarrier(pWal);
    SEH_TRY {
      if( memcmp((void*)walIndexHdr(pWal)->aSalt, pWal->hdr.aSalt, sizeof(pWal->hdr.aSalt))!=0 ){
        rc = SQLITE_IOERR_SHORT_READ;
      }
    }
    SEH_EXCEPT( rc = SQLITE_IOERR_IN_PAGE; )
  }
  return rc;
}

/* Without `locked`, the writer's lock is held for a moment: an answer that no writer is about to change. */
static int stockFrameCount(wal_impl *pImpl, int locked, unsigned *pn){
  Wal *p = STOCK(pImpl);
  int rc = SQLITE_OK;
  if( !locked ){
    if( p->writeLock ) return SQLITE_BUSY;
    rc = walLockExclusive(p, WAL_WRITE_LOCK, 1);
    if( rc==SQLITE_OK ) walUnlockExclusive(p, WAL_WRITE_LOCK, 1);
  }
  if( rc==SQLITE_OK ) *pn = p->hdr.mxFrame;
  return rc;
}

/*
** Have the writer number its frames on. Behind a checkpoint of the whole log wal.c reads no page from it, holds read
** lock 0, and would start it anew; with one of the other read locks it does not.
*/
static int stockNumberOn(Wal *pWal){
  int rc = SQLITE_OK;
  SEH_TRY {
    if( pWal->readLock==0 && walCkptInfo(pWal)->nBackfill>0 ){
      int bChanged, nTry = 0;
      walUnlockShared(pWal, WAL_READ_LOCK(0));
      pWal->readLock = -1;
      do{
        rc = walTryBeginRead(pWal, &bChanged, 1, &nTry);
      }while( rc==WAL_RETRY );
    }
  }
  SEH_EXCEPT( rc = SQLITE_IOERR_IN_PAGE; )
  return rc;
}

static int stockFrames(
  wal_impl *pImpl, int szPage, libsql_pghdr *pList, unsigned nTruncate, int isCommit, int syncFlags, int *pnFrames
){
  Wal *p = STOCK(pImpl);
  u32 nBefore = p->hdr.mxFrame, nCkpt = p->nCkpt;
  int rc = sqlite3WalFrames(p, szPage, (PgHdr*)pList, nTruncate, isCommit, syncFlags);
  if( pnFrames ){
    if( p->nCkpt!=nCkpt ) nBefore = 0;    /* the log was started anew */
    *pnFrames = rc==SQLITE_OK && isCommit ? (int)(p->hdr.mxFrame - nBefore) : 0;
  }
  return rc;
}

/* walCheckpoint() has copied a page to the database file. */
static int lsc_checkpoint_page(sqlite3 *db, u32 mxSafeFrame, const u8 *aPage, int nPage, Pgno pgno, u32 iFrame){
  LscConn *p = db->pLsc;
  if( p==0 || p->xCkptPage==0 ) return SQLITE_OK;
  return p->xCkptPage(p->pCkptArg, (int)mxSafeFrame, aPage, nPage, (int)pgno, (int)iFrame);
}

static int stockCheckpoint(
  wal_impl *p, sqlite3 *db, int eMode, int (*xBusy)(void*), void *pBusyArg, int syncFlags, int nBuf,
  unsigned char *zBuf, int *pnLog, int *pnCkpt,
  int (*xPage)(void*, int, const unsigned char*, int, int, int), void *pPageArg
){
  int nLog = 0, nCkpt = 0;
  int rc;
  if( xPage==0 || db==0 || db->pLsc==0 ){
    return sqlite3WalCheckpoint(STOCK(p), db, eMode, xBusy, pBusyArg, syncFlags, nBuf, zBuf, pnLog, pnCkpt);
  }
  db->pLsc->xCkptPage = xPage;
  db->pLsc->pCkptArg = pPageArg;
  rc = sqlite3WalCheckpoint(STOCK(p), db, eMode, xBusy, pBusyArg, syncFlags, nBuf, zBuf, &nLog, &nCkpt);
  db->pLsc->xCkptPage = 0;
  if( pnLog ) *pnLog = nLog;
  if( pnCkpt ) *pnCkpt = nCkpt;
  if( rc==SQLITE_OK && nLog==nCkpt ) rc = xPage(pPageArg, 0, 0, 0, 0, 0);
  return rc;
}

static int stockOpen(
  wal_manager_impl *pManager, sqlite3_vfs *pVfs, sqlite3_file *pFile, int bNoShm, long long nMax,
  const char *zMainDb, libsql_wal *pOut
){
  static const libsql_wal_methods methods = {
    2, stockLimit, stockBeginRead, stockEndRead, stockFindFrame, stockReadFrame, stockReadFrameRaw, stockDbsize,
    stockBeginWrite, stockEndWrite, stockUndo, stockSavepoint, stockSavepointUndo, stockFrameCount, stockFrames,
    stockCheckpoint, stockCallback, stockExclusiveMode, stockHeapMemory, stockSnapshotGet, stockSnapshotOpen,
    stockSnapshotRecover, stockSnapshotCheck, stockSnapshotUnlock, 0, stockFile, 0, 0, 0
  };
  Wal *pWal = 0;
  int rc = sqlite3WalOpen(pVfs, pFile, sqlite3_filename_wal(zMainDb), bNoShm, nMax, &pWal);
  (void)pManager;
  if( rc==SQLITE_OK ){
    pOut->methods = methods;
    pOut->pData = (wal_impl*)pWal;
  }
  return rc;
}

static int stockClose(
  wal_manager_impl *pManager, wal_impl *p, sqlite3 *db, int syncFlags, int nBuf, unsigned char *zBuf
){
  (void)pManager;
  return sqlite3WalClose(STOCK(p), db, syncFlags, nBuf, zBuf);
}

static int stockLogDestroy(wal_manager_impl *pManager, sqlite3_vfs *pVfs, const char *zMainDb){
  (void)pManager;
  return sqlite3OsDelete(pVfs, sqlite3_filename_wal(zMainDb), 0);
}

static int stockLogExists(wal_manager_impl *pManager, sqlite3_vfs *pVfs, const char *zMainDb, int *pExists){
  (void)pManager;
  return sqlite3OsAccess(pVfs, sqlite3_filename_wal(zMainDb), SQLITE_ACCESS_EXISTS, pExists);
}

static void stockDestroy(wal_manager_impl *pManager){ (void)pManager; }

const libsql_wal_manager sqlite3_wal_manager = {
  1, stockOpen, stockClose, stockLogDestroy, stockLogExists, stockDestroy, 0
};

int sqlite3_wal_backfilled(sqlite3_wal *p){
  Wal *pWal = (Wal*)p;
  int n = 0;
  SEH_TRY {
    if( pWal->nWiData>0 && pWal->apWiData[0] ) n = (int)walCkptInfo(pWal)->nBackfill;
  }
  SEH_EXCEPT( n = 0; )
  return n;
}

unsigned int sqlite3_wal_frame_page_no(sqlite3_wal *p, unsigned int iFrame){
  Wal *pWal = (Wal*)p;
  volatile u32 *aUnused;
  Pgno pgno = 0;
  SEH_TRY {
    /* The page of the index that tells need not be mapped yet. */
    if( iFrame>0 && iFrame<=pWal->hdr.mxFrame
     && walIndexPage(pWal, walFramePage(iFrame), &aUnused)==SQLITE_OK ){
      pgno = walFramePgno(pWal, iFrame);
    }
  }
  SEH_EXCEPT( pgno = 0; )
  return pgno;
}
