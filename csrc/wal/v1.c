/*
** v1.c: the first generation of WAL methods, tables with a name, as managers of the second. Included by engine.c.
**
** A table's log begins with a libsql_wal_v1; that of the default table keeps SQLite's own log, and points back to the
** table whose xOpen was called. The name of the log file is made by the table and owned by the V1Log.
*/
typedef struct V1Manager {
  libsql_wal_methods_v1 *pMethods;  /* borrowed: registered tables are static */
  void *pData;                /* of libsql_open_v2(), or NULL */
} V1Manager;

typedef struct V1Log {
  libsql_wal_v1 *pWal;        /* of the table's xOpen */
  char zName[1];              /* of the log file; the default log keeps a pointer to it */
} V1Log;

/* The default table: the default log behind a libsql_wal_v1. */
#define V1_STOCK(p) ((Wal*)(p)->pStock)

static int v1StockOpen(
  sqlite3_vfs *pVfs, sqlite3_file *pFile, const char *zName, int bNoShm, long long nMax, libsql_wal_methods_v1 *pMethods,
  libsql_wal_v1 **ppWal
){
  libsql_wal_v1 *p = sqlite3MallocZero(sizeof(*p));
  Wal *pWal = 0;
  int rc;
  *ppWal = 0;
  if( p==0 ) return SQLITE_NOMEM_BKPT;
  rc = sqlite3WalOpen(pVfs, pFile, zName, bNoShm, nMax, &pWal);
  if( rc!=SQLITE_OK ){
    sqlite3_free(p);
    return rc;
  }
  p->pMethods = pMethods;
  p->pStock = (sqlite3_wal*)pWal;
  *ppWal = p;
  return SQLITE_OK;
}

static int v1StockClose(libsql_wal_v1 *p, sqlite3 *db, int syncFlags, int nBuf, unsigned char *zBuf){
  int rc = sqlite3WalClose(V1_STOCK(p), db, syncFlags, nBuf, zBuf);
  sqlite3_free(p);
  return rc;
}

static void v1StockLimit(libsql_wal_v1 *p, long long n){ sqlite3WalLimit(V1_STOCK(p), n); }
static int v1StockBeginRead(libsql_wal_v1 *p, int *pChanged){
  return sqlite3WalBeginReadTransaction(V1_STOCK(p), pChanged);
}
static void v1StockEndRead(libsql_wal_v1 *p){ stockEndRead((wal_impl*)p->pStock); }
static int v1StockFindFrame(libsql_wal_v1 *p, unsigned pgno, unsigned *pi){
  return sqlite3WalFindFrame(V1_STOCK(p), pgno, pi);
}
static int v1StockReadFrame(libsql_wal_v1 *p, unsigned i, int n, unsigned char *pOut){
  return sqlite3WalReadFrame(V1_STOCK(p), i, n, pOut);
}
static unsigned v1StockDbsize(libsql_wal_v1 *p){ return sqlite3WalDbsize(V1_STOCK(p)); }
static int v1StockBeginWrite(libsql_wal_v1 *p){ return sqlite3WalBeginWriteTransaction(V1_STOCK(p)); }
static int v1StockEndWrite(libsql_wal_v1 *p){ return sqlite3WalEndWriteTransaction(V1_STOCK(p)); }
static int v1StockUndo(libsql_wal_v1 *p, int (*xUndo)(void*, unsigned), void *pCtx){
  return sqlite3WalUndo(V1_STOCK(p), xUndo, pCtx);
}
static void v1StockSavepoint(libsql_wal_v1 *p, unsigned *a){ sqlite3WalSavepoint(V1_STOCK(p), a); }
static int v1StockSavepointUndo(libsql_wal_v1 *p, unsigned *a){ return sqlite3WalSavepointUndo(V1_STOCK(p), a); }
static int v1StockFrames(
  libsql_wal_v1 *p, int szPage, libsql_pghdr *pList, unsigned nTruncate, int isCommit, int syncFlags
){
  return sqlite3WalFrames(V1_STOCK(p), szPage, (PgHdr*)pList, nTruncate, isCommit, syncFlags);
}
static int v1StockCheckpoint(
  libsql_wal_v1 *p, sqlite3 *db, int eMode, int (*xBusy)(void*), void *pArg, int syncFlags, int nBuf,
  unsigned char *zBuf, int *pnLog, int *pnCkpt
){
  return sqlite3WalCheckpoint(V1_STOCK(p), db, eMode, xBusy, pArg, syncFlags, nBuf, zBuf, pnLog, pnCkpt);
}
static int v1StockCallback(libsql_wal_v1 *p){ return sqlite3WalCallback(V1_STOCK(p)); }
static int v1StockExclusiveMode(libsql_wal_v1 *p, int op){ return sqlite3WalExclusiveMode(V1_STOCK(p), op); }
static int v1StockHeapMemory(libsql_wal_v1 *p){ return sqlite3WalHeapMemory(V1_STOCK(p)); }
static sqlite3_file *v1StockFile(libsql_wal_v1 *p){ return sqlite3WalFile(V1_STOCK(p)); }
static int v1StockPathnameLen(int n){ return n + 4; }
static void v1StockPathname(char *zBuf, const char *zOrig, int n){
  memcpy(zBuf, zOrig, (size_t)n);
  memcpy(zBuf+n, "-wal", 5);
}

static libsql_wal_methods_v1 v1Default = {
  1, v1StockOpen, v1StockClose, v1StockLimit, v1StockBeginRead, v1StockEndRead, v1StockFindFrame, v1StockReadFrame,
  v1StockDbsize, v1StockBeginWrite, v1StockEndWrite, v1StockUndo, v1StockSavepoint, v1StockSavepointUndo,
  v1StockFrames, v1StockCheckpoint, v1StockCallback, v1StockExclusiveMode, v1StockHeapMemory, 0, 0, 0, 0, 0, 0,
  v1StockFile, 0, 0, v1StockPathnameLen, v1StockPathname, 0, 1, "default", 0
};

/* The second generation's methods, for the log of a table. */
#define V1_WAL(p) (((V1Log*)(p))->pWal)
#define V1_CALL(p, xMethod) (V1_WAL(p)->pMethods->xMethod)

static void v1Limit(wal_impl *p, long long n){ V1_CALL(p, xLimit)(V1_WAL(p), n); }
static int v1BeginRead(wal_impl *p, int *pChanged){ return V1_CALL(p, xBeginReadTransaction)(V1_WAL(p), pChanged); }
static void v1EndRead(wal_impl *p){ V1_CALL(p, xEndReadTransaction)(V1_WAL(p)); }
static int v1FindFrame(wal_impl *p, unsigned pgno, unsigned *pi){ return V1_CALL(p, xFindFrame)(V1_WAL(p), pgno, pi); }
static int v1ReadFrame(wal_impl *p, unsigned i, int n, unsigned char *pOut){
  return V1_CALL(p, xReadFrame)(V1_WAL(p), i, n, pOut);
}
static unsigned v1Dbsize(wal_impl *p){ return V1_CALL(p, xDbsize)(V1_WAL(p)); }
static int v1BeginWrite(wal_impl *p){ return V1_CALL(p, xBeginWriteTransaction)(V1_WAL(p)); }
static int v1EndWrite(wal_impl *p){ return V1_CALL(p, xEndWriteTransaction)(V1_WAL(p)); }
static int v1Undo(wal_impl *p, int (*xUndo)(void*, unsigned), void *pCtx){
  return V1_CALL(p, xUndo)(V1_WAL(p), xUndo, pCtx);
}
static void v1Savepoint(wal_impl *p, unsigned *a){ V1_CALL(p, xSavepoint)(V1_WAL(p), a); }
static int v1SavepointUndo(wal_impl *p, unsigned *a){ return V1_CALL(p, xSavepointUndo)(V1_WAL(p), a); }
static int v1Frames(
  wal_impl *p, int szPage, libsql_pghdr *pList, unsigned nTruncate, int isCommit, int syncFlags, int *pnFrames
){
  int rc = V1_CALL(p, xFrames)(V1_WAL(p), szPage, pList, nTruncate, isCommit, syncFlags);
  if( pnFrames ){
    *pnFrames = 0;
    for(; rc==SQLITE_OK && isCommit && pList; pList=pList->pDirty) ++*pnFrames;
  }
  return rc;
}
static int v1Checkpoint(
  wal_impl *p, sqlite3 *db, int eMode, int (*xBusy)(void*), void *pArg, int syncFlags, int nBuf, unsigned char *zBuf,
  int *pnLog, int *pnCkpt, int (*xPage)(void*, int, const unsigned char*, int, int, int), void *pPageArg
){
  (void)xPage; (void)pPageArg;              /* the pager itself never passes them */
  return V1_CALL(p, xCheckpoint)(V1_WAL(p), db, eMode, xBusy, pArg, syncFlags, nBuf, zBuf, pnLog, pnCkpt);
}
static int v1Callback(wal_impl *p){ return V1_CALL(p, xCallback)(V1_WAL(p)); }
static int v1ExclusiveMode(wal_impl *p, int op){ return V1_CALL(p, xExclusiveMode)(V1_WAL(p), op); }
static int v1HeapMemory(wal_impl *p){ return V1_CALL(p, xHeapMemory)(V1_WAL(p)); }
static sqlite3_file *v1File(wal_impl *p){ return V1_CALL(p, xFile)(V1_WAL(p)); }

static int v1Complete(const libsql_wal_methods_v1 *p){
  return p->xOpen && p->xClose && p->xLimit && p->xBeginReadTransaction && p->xEndReadTransaction && p->xFindFrame
      && p->xReadFrame && p->xDbsize && p->xBeginWriteTransaction && p->xEndWriteTransaction && p->xUndo
      && p->xSavepoint && p->xSavepointUndo && p->xFrames && p->xCheckpoint && p->xCallback && p->xExclusiveMode
      && p->xHeapMemory;
}

/* A V1Log with the name that the table gives to the log of a database; NULL when out of memory. */
static V1Log *v1LogNew(libsql_wal_methods_v1 *pMethods, const char *zMainDb){
  int n = sqlite3Strlen30(zMainDb);
  int nName = pMethods->xPathnameLen ? pMethods->xPathnameLen(n) : v1StockPathnameLen(n);
  V1Log *p;
  if( nName<0 ) nName = 0;
  p = sqlite3MallocZero(sizeof(*p) + (u64)nName + 4);
  if( p==0 ) return 0;
  if( nName==0 ) return p;
  if( pMethods->xPathnameLen && pMethods->xGetWalPathname ) pMethods->xGetWalPathname(p->zName, zMainDb, n);
  else if( nName>=n+4 ) v1StockPathname(p->zName, zMainDb, n);
  return p;
}

static int v1Open(
  wal_manager_impl *pManager, sqlite3_vfs *pVfs, sqlite3_file *pFile, int bNoShm, long long nMax,
  const char *zMainDb, libsql_wal *pOut
){
  static const libsql_wal_methods methods = {
    1, v1Limit, v1BeginRead, v1EndRead, v1FindFrame, v1ReadFrame, 0, v1Dbsize, v1BeginWrite, v1EndWrite, v1Undo,
    v1Savepoint, v1SavepointUndo, 0, v1Frames, v1Checkpoint, v1Callback, v1ExclusiveMode, v1HeapMemory, 0, 0, 0, 0, 0,
    0, v1File, 0, 0, 0
  };
  V1Manager *pOf = (V1Manager*)pManager;
  libsql_wal_methods_v1 *pMethods = pOf->pMethods;
  V1Log *p = v1LogNew(pMethods, zMainDb);
  int rc;
  if( p==0 ) return SQLITE_NOMEM_BKPT;
  rc = pMethods->xOpen(pVfs, pFile, p->zName, bNoShm, nMax, pMethods, &p->pWal);
  if( rc!=SQLITE_OK ){
    sqlite3_free(p);
    return rc;
  }
  if( p->pWal->pMethods==0 ) p->pWal->pMethods = pMethods;
  if( pOf->pData && p->pWal->pMethodsData==0 ) p->pWal->pMethodsData = pOf->pData;
  pOut->methods = methods;
  if( p->pWal->pMethods->xFile==0 ) pOut->methods.xFile = 0;
  pOut->pData = (wal_impl*)p;
  return SQLITE_OK;
}

static int v1Close(wal_manager_impl *pManager, wal_impl *p, sqlite3 *db, int syncFlags, int nBuf, unsigned char *zBuf){
  int rc = V1_CALL(p, xClose)(V1_WAL(p), db, syncFlags, nBuf, zBuf);
  (void)pManager;
  sqlite3_free(p);
  return rc;
}

static int v1LogDestroy(wal_manager_impl *pManager, sqlite3_vfs *pVfs, const char *zMainDb){
  V1Log *p = v1LogNew(((V1Manager*)pManager)->pMethods, zMainDb);
  int rc = SQLITE_OK;
  if( p==0 ) return SQLITE_NOMEM_BKPT;
  if( p->zName[0] ) rc = sqlite3OsDelete(pVfs, p->zName, 0);
  sqlite3_free(p);
  return rc;
}

/* A log that is no file exists as far as its database is in WAL mode, which the pager sees by itself. */
static int v1LogExists(wal_manager_impl *pManager, sqlite3_vfs *pVfs, const char *zMainDb, int *pExists){
  V1Log *p = v1LogNew(((V1Manager*)pManager)->pMethods, zMainDb);
  int rc = SQLITE_OK;
  *pExists = 0;
  if( p==0 ) return SQLITE_NOMEM_BKPT;
  if( p->zName[0] ) rc = sqlite3OsAccess(pVfs, p->zName, SQLITE_ACCESS_EXISTS, pExists);
  sqlite3_free(p);
  return rc;
}

static void v1Destroy(wal_manager_impl *pManager){ sqlite3_free(pManager); }

/* The manager of a table; pData is NULL when out of memory. */
static libsql_wal_manager v1ManagerOf(libsql_wal_methods_v1 *pMethods, void *pData){
  libsql_wal_manager m = { 0, v1Open, v1Close, v1LogDestroy, v1LogExists, v1Destroy, 0 };
  V1Manager *p = sqlite3_malloc64(sizeof(*p));
  m.bUsesShm = pMethods->bUsesShm;
  if( p ){
    p->pMethods = pMethods;
    p->pData = pData;
  }
  m.pData = (wal_manager_impl*)p;
  return m;
}

/* The table of a manager, or NULL. */
static libsql_wal_methods_v1 *v1MethodsOf(const libsql_wal_manager *p){
  return p && p->xOpen==v1Open ? ((V1Manager*)p->pData)->pMethods : 0;
}

int libsql_wal_methods_register(libsql_wal_methods_v1 *pMethods){
  libsql_wal_manager m;
  if( lscReservedName(pMethods->zName) || !v1Complete(pMethods) ) return SQLITE_MISUSE_BKPT;
  if( sqlite3_initialize()!=SQLITE_OK ) return SQLITE_ERROR;
  m = v1ManagerOf(pMethods, 0);
  return m.pData ? libsql_wal_manager_register(pMethods->zName, m) : SQLITE_NOMEM_BKPT;
}

int libsql_wal_methods_unregister(libsql_wal_methods_v1 *pMethods){
  if( lscReservedName(pMethods->zName) ) return SQLITE_MISUSE_BKPT;
  (void)libsql_wal_manager_unregister(pMethods->zName);
  return SQLITE_OK;
}

libsql_wal_methods_v1 *libsql_wal_methods_find(const char *zName){
  if( sqlite3_initialize()!=SQLITE_OK ) return 0;
  return lscIsDefault(zName) ? &v1Default : v1MethodsOf(libsql_wal_manager_find(zName));
}

libsql_wal_methods_v1 *libsql_wal_methods_next(libsql_wal_methods_v1 *pMethods){
  const char *zName = pMethods==0 || pMethods==&v1Default ? 0 : pMethods->zName;
  if( pMethods==0 ) return &v1Default;
  while( (zName = libsql_wal_manager_next(zName))!=0 ){
    libsql_wal_methods_v1 *p = v1MethodsOf(libsql_wal_manager_find(zName));
    if( p ) return p;
  }
  return 0;
}

const char *libsql_wal_methods_name(libsql_wal_methods_v1 *pMethods){ return pMethods ? pMethods->zName : 0; }
