/*
** dispatch.c: what stands between SQLite's pager and a log: the functions that map.h puts in the place of wal.c's.
** Included by engine.c.
**
** The pager's Wal is a LscWal: the methods and the object that a manager filled in. One is made when WAL mode is
** entered and freed when it is left; the pager's lock (connection or shared cache) guards it.
*/
typedef struct LscWal LscWal;
struct LscWal {
  libsql_wal wal;             /* filled by the manager's xOpen */
  Pager *pPager;              /* whose log it is */
  u8 bStock;                  /* the default log, whose methods run no SQL */
  u8 bInserting;              /* between libsql_wal_insert_begin() and _end(): no SQL */
  lsc_replog *pReplog;        /* borrowed: the connection's log for replicas, or NULL; replog.c */
  u32 aCommitted[WAL_SAVEPOINT_NDATA];  /* then: the end of the last whole transaction */
};

static int lscInsertRelease(LscWal*);       /* frames.c */

/* replog.c */
static int lscReplogFrames(lsc_replog*, int szPage, PgHdr**, u32 nAfter, int bSync);
static void lscReplogEnd(lsc_replog*, int bCommitted);
static u32 lscReplogPending(lsc_replog*);
static void lscReplogUndo(lsc_replog*, u32 n);
static int lscReplogSync(lsc_replog*, int bSync);

_Static_assert(sizeof(void*)!=8 || sizeof(libsql_wal_methods)==232, "libSQL's layout");
_Static_assert(sizeof(void*)!=8 || sizeof(libsql_wal_manager)==56, "libSQL's layout");
_Static_assert(sizeof(void*)!=8 || sizeof(libsql_pghdr)==88, "libSQL's layout");
#if !defined(SQLITE_CHECK_PAGES)
_Static_assert(offsetof(PgHdr, pData)==offsetof(libsql_pghdr, pData)
            && offsetof(PgHdr, pDirty)==offsetof(libsql_pghdr, pDirty)
            && offsetof(PgHdr, pgno)==offsetof(libsql_pghdr, pgno), "pages are passed on as they are");
#endif

#define LSC_WAL(p) ((LscWal*)(p))
#define LSC_CALL(p, xMethod) (LSC_WAL(p)->wal.methods.xMethod)
#define LSC_IMPL(p) (LSC_WAL(p)->wal.pData)
/* For what a read transaction of one row spends 1 % on when called through the table: the default's is inlined. */
#define LSC_CALL_INLINED(p, xMethod, xStock) \
  (LSC_CALL(p, xMethod)==xStock ? xStock(LSC_IMPL(p)) : LSC_CALL(p, xMethod)(LSC_IMPL(p)))

/* Around the call of a method that is not SQLite's: SQL on the same connection would change pages under the pager's
** hands, so lsc_step_begin() refuses it meanwhile. */
static LscConn *lscGuardBegin(Pager *pPager){
  LscConn *p = 0;
  if( pPager->xBusyHandler==btreeInvokeBusyHandler ) p = ((BtShared*)pPager->pBusyHandlerArg)->db->pLsc;
  if( p ) p->nInLog++;
  return p;
}
#define LSC_GUARD(p) LscConn *pGuard = LSC_WAL(p)->bStock ? 0 : lscGuardBegin(LSC_WAL(p)->pPager)
#define LSC_UNGUARD do{ if( pGuard ) pGuard->nInLog--; }while( 0 )

/* The log for replicas that a connection has for its database "main". */
static lsc_replog *lscPagerReplog(Pager *pPager){
  sqlite3 *db = 0;
  if( pPager->xBusyHandler==btreeInvokeBusyHandler ) db = ((BtShared*)pPager->pBusyHandlerArg)->db;
  if( db==0 || db->pLsc==0 || db->pLsc->pReplog==0 || db->aDb[0].pBt==0 ) return 0;
  return sqlite3BtreePager(db->aDb[0].pBt)==pPager ? db->pLsc->pReplog : 0;
}

static const libsql_wal_manager *lscPagerManager(Pager *pPager){
  return pPager->pLscManager ? &pPager->pLscManager->manager : &sqlite3_wal_manager;
}

/* The methods that the pager cannot do without. */
static int lscWalComplete(const libsql_wal_methods *p){
  return p->iVersion>=1 && p->xLimit && p->xBeginReadTransaction && p->xEndReadTransaction && p->xFindFrame
      && p->xReadFrame && p->xDbsize && p->xBeginWriteTransaction && p->xEndWriteTransaction && p->xUndo
      && p->xSavepoint && p->xSavepointUndo && p->xFrames && p->xCheckpoint && p->xCallback && p->xExclusiveMode
      && p->xHeapMemory;
}

static int lsc_wal_open(Pager *pPager){
  const libsql_wal_manager *pManager = lscPagerManager(pPager);
  LscWal *p = sqlite3MallocZero(sizeof(*p));
  int rc = SQLITE_OK;
  if( p==0 ) return SQLITE_NOMEM_BKPT;
  p->pPager = pPager;
  rc = pManager->xOpen(pManager->pData, pPager->pVfs, pPager->fd, pPager->exclusiveMode, pPager->journalSizeLimit,
                       pPager->zFilename, &p->wal);
  if( rc==SQLITE_OK && !lscWalComplete(&p->wal.methods) ){
    sqlite3_log(SQLITE_MISUSE, "WAL methods of %s lack a required one", pPager->zFilename);
    (void)pManager->xClose(pManager->pData, p->wal.pData, 0, 0, 0, 0);
    rc = SQLITE_MISUSE_BKPT;
  }
  if( rc==SQLITE_OK ){
    p->bStock = pManager->xOpen==stockOpen;
    p->pReplog = lscPagerReplog(pPager);
    pPager->pWal = (Wal*)p;
  }else{
    sqlite3_free(p);
  }
  return rc;
}

static int lscWalClose(Wal *pWal, sqlite3 *db, int syncFlags, int nBuf, u8 *zBuf){
  LscWal *p = LSC_WAL(pWal);
  const libsql_wal_manager *pManager;
  int bKeep, rc;
  if( p==0 ) return SQLITE_OK;
  if( p->bInserting ) (void)lscInsertRelease(p);
  /* The last connection to close copies the log into the database. */
  if( p->pReplog ) (void)lscReplogSync(p->pReplog, CKPT_SYNC_FLAGS(syncFlags)!=0);
  /* Disabled checkpoints: the log stays, and a caller that wants to leave WAL mode hears that it cannot. */
  bKeep = db && db->pLsc && db->pLsc->bNoCheckpoint && zBuf;
  pManager = lscPagerManager(p->pPager);
  rc = pManager->xClose(pManager->pData, p->wal.pData, db, syncFlags, nBuf, bKeep ? 0 : zBuf);
  sqlite3_free(p);
  return rc==SQLITE_OK && bKeep ? SQLITE_ERROR : rc;
}

static int lsc_wal_exists(Pager *pPager, int *pExists){
  const libsql_wal_manager *p = lscPagerManager(pPager);
  *pExists = 0;
  return p->xLogExists(p->pData, pPager->pVfs, pPager->zFilename, pExists);
}

static int lsc_wal_destroy(Pager *pPager){
  const libsql_wal_manager *p = lscPagerManager(pPager);
  return p->xLogDestroy(p->pData, pPager->pVfs, pPager->zFilename);
}

static int lsc_wal_without_shm(Pager *pPager){
  return pPager->pLscManager && !pPager->pLscManager->manager.bUsesShm;
}

/* WAL mode is not left under an insertion of frames. */
static int lsc_wal_inserting(Wal *p){
  return LSC_WAL(p)->bInserting;
}

static void lsc_wal_methods_pointer(Pager *pPager, void *pOut){
  *(libsql_wal_methods**)pOut = pPager->pWal ? &LSC_WAL(pPager->pWal)->wal.methods : 0;
}

/* Like wal.c's own, these five take NULL for a pager without a log. */
static void lscWalLimit(Wal *p, i64 nMax){
  if( p ) LSC_CALL(p, xLimit)(LSC_IMPL(p), nMax);
}
static Pgno lscWalDbsize(Wal *p){
  return p ? LSC_CALL_INLINED(p, xDbsize, stockDbsize) : 0;
}
static int lscWalCallback(Wal *p){
  return p ? LSC_CALL_INLINED(p, xCallback, stockCallback) : 0;
}
static int lscWalHeapMemory(Wal *p){
  return p ? LSC_CALL(p, xHeapMemory)(LSC_IMPL(p)) : 0;
}

/* While frames are inserted the transaction is not SQL's to begin or end. */
static int lscWalBeginRead(Wal *p, int *pChanged){
  LSC_GUARD(p);
  int rc = SQLITE_BUSY;
  if( !LSC_WAL(p)->bInserting ) rc = LSC_CALL(p, xBeginReadTransaction)(LSC_IMPL(p), pChanged);
  LSC_UNGUARD;
  return rc;
}
static void lscWalEndRead(Wal *p){
  LSC_GUARD(p);
  if( !LSC_WAL(p)->bInserting ) LSC_CALL_INLINED(p, xEndReadTransaction, stockEndRead);
  LSC_UNGUARD;
}
static int lscWalFindFrame(Wal *p, Pgno pgno, u32 *piFrame){
  LSC_GUARD(p);
  int rc = LSC_CALL(p, xFindFrame)(LSC_IMPL(p), pgno, piFrame);
  LSC_UNGUARD;
  return rc;
}
static int lscWalReadFrame(Wal *p, u32 iFrame, int nOut, u8 *pOut){
  LSC_GUARD(p);
  int rc = LSC_CALL(p, xReadFrame)(LSC_IMPL(p), iFrame, nOut, pOut);
  LSC_UNGUARD;
  return rc;
}
static int lscWalBeginWrite(Wal *p){
  LSC_GUARD(p);
  int rc = LSC_CALL(p, xBeginWriteTransaction)(LSC_IMPL(p));
  if( rc==SQLITE_OK && LSC_WAL(p)->pReplog ) lscReplogUndo(LSC_WAL(p)->pReplog, 0);
  LSC_UNGUARD;
  return rc;
}
static int lscWalEndWrite(Wal *p){
  LSC_GUARD(p);
  int rc = LSC_WAL(p)->bInserting ? SQLITE_OK : LSC_CALL(p, xEndWriteTransaction)(LSC_IMPL(p));
  LSC_UNGUARD;
  return rc;
}
static int lscWalUndo(Wal *p, int (*xUndo)(void*, Pgno), void *pCtx){
  LSC_GUARD(p);
  int rc;
  if( LSC_WAL(p)->pReplog ) lscReplogUndo(LSC_WAL(p)->pReplog, 0);
  rc = LSC_CALL(p, xUndo)(LSC_IMPL(p), xUndo, pCtx);
  LSC_UNGUARD;
  return rc;
}
static void lscWalSavepoint(Wal *p, u32 *aData){
  LSC_GUARD(p);
  LSC_CALL(p, xSavepoint)(LSC_IMPL(p), aData);
  aData[WAL_SAVEPOINT_NDATA-1] = LSC_WAL(p)->pReplog ? lscReplogPending(LSC_WAL(p)->pReplog) : 0;
  LSC_UNGUARD;
}
static int lscWalSavepointUndo(Wal *p, u32 *aData){
  LSC_GUARD(p);
  int rc = LSC_CALL(p, xSavepointUndo)(LSC_IMPL(p), aData);
  if( LSC_WAL(p)->pReplog ) lscReplogUndo(LSC_WAL(p)->pReplog, aData[WAL_SAVEPOINT_NDATA-1]);
  LSC_UNGUARD;
  return rc;
}
static void lsc_wal_savepoint_forget(Wal *p, u32 *aData){
  LSC_GUARD(p);
  if( LSC_CALL(p, iVersion)>=2 && LSC_CALL(p, xSavepointForget) ){
    LSC_CALL(p, xSavepointForget)(LSC_IMPL(p), aData);
  }
  LSC_UNGUARD;
}
static int lscLogFrames(Wal *p, int szPage, PgHdr *pList, Pgno nTruncate, int isCommit, int syncFlags){
  LSC_GUARD(p);
  int rc = LSC_CALL(p, xFrames)(LSC_IMPL(p), szPage, (libsql_pghdr*)pList, nTruncate, isCommit, syncFlags, 0);
  LSC_UNGUARD;
  return rc;
}
static int lscWalFrames(Wal *p, int szPage, PgHdr *pList, Pgno nTruncate, int isCommit, int syncFlags){
  LscCodec *pCodec = LSC_WAL(p)->pPager->pLscCodec;
  lsc_replog *pReplog = LSC_WAL(p)->pReplog;
  int rc = SQLITE_OK;
  if( pReplog ){
    rc = lscReplogFrames(pReplog, szPage, &pList, isCommit ? nTruncate : 0, isCommit && WAL_SYNC_FLAGS(syncFlags)!=0);
  }
  if( rc==SQLITE_OK ){
    if( pCodec ) rc = lscCodecFrames(pCodec, p, szPage, pList, nTruncate, isCommit, syncFlags);
    else rc = lscLogFrames(p, szPage, pList, nTruncate, isCommit, syncFlags);
  }
  if( pReplog && (isCommit || rc!=SQLITE_OK) ) lscReplogEnd(pReplog, rc==SQLITE_OK);
  return rc;
}
static int lscWalCheckpoint(
  Wal *p, sqlite3 *db, int eMode, int (*xBusy)(void*), void *pBusyArg, int syncFlags, int nBuf, u8 *zBuf,
  int *pnLog, int *pnCkpt
){
  LSC_GUARD(p);
  int rc = SQLITE_BUSY;
  if( LSC_WAL(p)->pReplog && (rc = lscReplogSync(LSC_WAL(p)->pReplog, CKPT_SYNC_FLAGS(syncFlags)!=0))!=SQLITE_OK ){
    LSC_UNGUARD;
    return rc;
  }
  rc = SQLITE_BUSY;
  if( !LSC_WAL(p)->bInserting ){
    rc = LSC_CALL(p, xCheckpoint)(LSC_IMPL(p), db, eMode, xBusy, pBusyArg, syncFlags, nBuf, zBuf, pnLog, pnCkpt, 0, 0);
  }
  LSC_UNGUARD;
  return rc;
}
static int lscWalExclusiveMode(Wal *p, int op){
  LSC_GUARD(p);
  int rc = LSC_CALL(p, xExclusiveMode)(LSC_IMPL(p), op);
  LSC_UNGUARD;
  return rc;
}
static sqlite3_file *lscWalFile(Wal *p){
  return LSC_CALL(p, xFile) ? LSC_CALL(p, xFile)(LSC_IMPL(p)) : LSC_WAL(p)->pPager->jfd;
}

/* A log without snapshots answers as a database that is not in WAL mode does. */
static int lscWalSnapshotGet(Wal *p, sqlite3_snapshot **ppSnapshot){
  if( LSC_CALL(p, xSnapshotGet)==0 ) return SQLITE_ERROR;
  return LSC_CALL(p, xSnapshotGet)(LSC_IMPL(p), (void**)ppSnapshot);
}
static void lscWalSnapshotOpen(Wal *p, sqlite3_snapshot *pSnapshot){
  if( LSC_CALL(p, xSnapshotOpen) ) LSC_CALL(p, xSnapshotOpen)(LSC_IMPL(p), pSnapshot);
}
static int lscWalSnapshotRecover(Wal *p){
  return LSC_CALL(p, xSnapshotRecover) ? LSC_CALL(p, xSnapshotRecover)(LSC_IMPL(p)) : SQLITE_ERROR;
}
static int lscWalSnapshotCheck(Wal *p, sqlite3_snapshot *pSnapshot){
  return LSC_CALL(p, xSnapshotCheck) ? LSC_CALL(p, xSnapshotCheck)(LSC_IMPL(p), pSnapshot) : SQLITE_ERROR;
}
static void lscWalSnapshotUnlock(Wal *p){
  if( LSC_CALL(p, xSnapshotUnlock) ) LSC_CALL(p, xSnapshotUnlock)(LSC_IMPL(p));
}

/* Below: what only wal.c's own log can answer. */
static Wal *lscStockWal(Wal *p){
  return p && LSC_CALL(p, xFindFrame)==stockFindFrame ? (Wal*)LSC_IMPL(p) : 0;
}
#if defined(SQLITE_DEBUG)
static void lscWalStat(Wal *p, sqlite3_str *pStr){
  if( lscStockWal(p) ) sqlite3WalStat(lscStockWal(p), pStr);
}
#endif
#if defined(SQLITE_USE_SEH)
static int lscWalSystemErrno(Wal *p){
  return sqlite3WalSystemErrno(lscStockWal(p));
}
#endif
