/*
** wal.h: for the programs about the virtual WAL: a manager that passes every call on to the default one and notes it.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "libsql.h"

#define REQUIRE(x) do{ if( !(x) ){ fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); exit(1); } }while( 0 )

/* The state of a manager. */
typedef struct Manager Manager;
struct Manager {
  int nOpen, nClose, nDestroy;      /* calls */
  int nForget;
  int iFail;                        /* the call that fails: 1 for the next, 0 for none */
  int rcFail;                       /* with what */
  int bNoShm;                       /* let the inner log do without shared memory */
  void (*xTable)(libsql_wal_methods*);  /* changes the table of each new log, or NULL */
  wal_impl *pInner;                 /* the default log under the last one that was opened */
};

typedef struct Log Log;
struct Log {
  libsql_wal inner;
  Manager *pManager;
};

static char zTrace[2000];           /* the calls since it was last emptied, or was full */

#define L(p) ((Log*)(p))
#define IN(p) (L(p)->inner.methods)
#define ID(p) (L(p)->inner.pData)

static void note(const char *z){
  if( strlen(zTrace)+strlen(z)+2>sizeof(zTrace) ) zTrace[0] = 0;
  if( zTrace[0] ) strcat(zTrace, " ");
  strcat(zTrace, z);
}

static int failing(wal_impl *p){
  Manager *pManager = L(p)->pManager;
  return pManager->iFail>0 && --pManager->iFail==0;
}
#define FAIL(p) if( failing(p) ) return L(p)->pManager->rcFail

static void logLimit(wal_impl *p, long long n){ note("Limit"); IN(p).xLimit(ID(p), n); }
static int logBeginRead(wal_impl *p, int *pChanged){
  char z[40];
  int rc;
  FAIL(p);
  rc = IN(p).xBeginReadTransaction(ID(p), pChanged);
  snprintf(z, sizeof(z), "BeginRead(%d)", *pChanged);
  note(z);
  return rc;
}
static void logEndRead(wal_impl *p){ note("EndRead"); IN(p).xEndReadTransaction(ID(p)); }
static int logFind(wal_impl *p, unsigned pgno, unsigned *piFrame){
  note("Find");
  FAIL(p);
  return IN(p).xFindFrame(ID(p), pgno, piFrame);
}
static int logRead(wal_impl *p, unsigned iFrame, int n, unsigned char *pOut){
  note("Read");
  FAIL(p);
  return IN(p).xReadFrame(ID(p), iFrame, n, pOut);
}
static int logReadRaw(wal_impl *p, unsigned iFrame, int n, unsigned char *pOut){
  note("ReadRaw");
  FAIL(p);
  return IN(p).xReadFrameRaw(ID(p), iFrame, n, pOut);
}
static unsigned logDbsize(wal_impl *p){ note("Dbsize"); return IN(p).xDbsize(ID(p)); }
static int logBeginWrite(wal_impl *p){ note("BeginWrite"); FAIL(p); return IN(p).xBeginWriteTransaction(ID(p)); }
static int logEndWrite(wal_impl *p){ note("EndWrite"); return IN(p).xEndWriteTransaction(ID(p)); }
static int logUndo(wal_impl *p, int (*xUndo)(void*, unsigned), void *pArg){
  note("Undo");
  return IN(p).xUndo(ID(p), xUndo, pArg);
}
static void logSavepoint(wal_impl *p, unsigned *a){ note("Savepoint"); IN(p).xSavepoint(ID(p), a); }
static int logSavepointUndo(wal_impl *p, unsigned *a){
  note("SavepointUndo");
  return IN(p).xSavepointUndo(ID(p), a);
}
static int logFrameCount(wal_impl *p, int bLocked, unsigned *pn){
  note(bLocked ? "FrameCount(1)" : "FrameCount(0)");
  FAIL(p);
  return IN(p).xFrameCount(ID(p), bLocked, pn);
}
static int logFrames(wal_impl *p, int szPage, libsql_pghdr *pList, unsigned nTruncate, int isCommit, int syncFlags,
                     int *pn){
  libsql_pghdr *pPage;
  unsigned last = 0;
  int n = 0, nAdded = -1, rc;
  char z[60];
  for(pPage=pList; pPage; pPage=pPage->pDirty){
    REQUIRE( pPage->pgno>last );
    last = pPage->pgno;
    n++;
  }
  snprintf(z, sizeof(z), "Frames(%d,%u,%d)", n, nTruncate, isCommit);
  note(z);
  FAIL(p);
  rc = IN(p).xFrames(ID(p), szPage, pList, nTruncate, isCommit, syncFlags, pn ? pn : &nAdded);
  if( pn==0 && rc==SQLITE_OK ) REQUIRE( isCommit ? nAdded>0 : nAdded==0 );
  return rc;
}
static int logCheckpoint(wal_impl *p, sqlite3 *db, int eMode, int (*xBusy)(void*), void *pBusyArg, int syncFlags,
                         int nBuf, unsigned char *zBuf, int *pnLog, int *pnCkpt,
                         int (*xPage)(void*, int, const unsigned char*, int, int, int), void *pPageArg){
  char z[40];
  snprintf(z, sizeof(z), "Checkpoint(%d,%s)", eMode, xBusy ? "busy" : "NULL");
  note(z);
  FAIL(p);
  return IN(p).xCheckpoint(ID(p), db, eMode, xBusy, pBusyArg, syncFlags, nBuf, zBuf, pnLog, pnCkpt, xPage, pPageArg);
}
static int logCallback(wal_impl *p){ note("Callback"); return IN(p).xCallback(ID(p)); }
static int logExclusive(wal_impl *p, int op){
  char z[40];
  int rc = IN(p).xExclusiveMode(ID(p), op);
  snprintf(z, sizeof(z), "Excl(%d)=%d", op, rc);
  note(z);
  return rc;
}
static int logHeap(wal_impl *p){ note("Heap"); return IN(p).xHeapMemory(ID(p)); }
static void logForget(wal_impl *p, unsigned *a){ (void)a; note("Forget"); L(p)->pManager->nForget++; }

static int logOpen(wal_manager_impl *pData, sqlite3_vfs *pVfs, sqlite3_file *pFile, int bNoShm, long long nMax,
                   const char *zMainDb, libsql_wal *pOut){
  static const libsql_wal_methods methods = {
    2, logLimit, logBeginRead, logEndRead, logFind, logRead, logReadRaw, logDbsize, logBeginWrite, logEndWrite, logUndo,
    logSavepoint, logSavepointUndo, logFrameCount, logFrames, logCheckpoint, logCallback, logExclusive, logHeap,
    0, 0, 0, 0, 0, 0, 0, 0, 0, logForget
  };
  Manager *pManager = (Manager*)pData;
  Log *p;
  int rc;
  note("Open");
  pManager->nOpen++;
  p = sqlite3_malloc(sizeof(*p));
  if( p==0 ) return SQLITE_NOMEM;
  p->pManager = pManager;
  if( failing((wal_impl*)p) ){
    rc = pManager->rcFail;
  }else{
    rc = sqlite3_wal_manager.xOpen(sqlite3_wal_manager.pData, pVfs, pFile, bNoShm || pManager->bNoShm, nMax, zMainDb,
                                   &p->inner);
  }
  if( rc!=SQLITE_OK ){
    sqlite3_free(p);
    return rc;
  }
  pManager->pInner = p->inner.pData;
  pOut->methods = methods;
  pOut->pData = (wal_impl*)p;
  if( pManager->xTable ) pManager->xTable(&pOut->methods);
  return SQLITE_OK;
}

static int logClose(wal_manager_impl *pData, wal_impl *p, sqlite3 *db, int syncFlags, int nBuf, unsigned char *zBuf){
  int rc;
  note(zBuf ? "Close(buf)" : "Close(NULL)");
  ((Manager*)pData)->nClose++;
  rc = sqlite3_wal_manager.xClose(sqlite3_wal_manager.pData, ID(p), db, syncFlags, nBuf, zBuf);
  sqlite3_free(p);
  return rc;
}

static int logDestroyFile(wal_manager_impl *pData, sqlite3_vfs *pVfs, const char *zMainDb){
  (void)pData;
  note("LogDestroy");
  return sqlite3_wal_manager.xLogDestroy(sqlite3_wal_manager.pData, pVfs, zMainDb);
}

static int logExists(wal_manager_impl *pData, sqlite3_vfs *pVfs, const char *zMainDb, int *pExists){
  (void)pData;
  note("LogExists");
  return sqlite3_wal_manager.xLogExists(sqlite3_wal_manager.pData, pVfs, zMainDb, pExists);
}

static void managerDestroy(wal_manager_impl *pData){
  note("Destroy");
  ((Manager*)pData)->nDestroy++;
}

/* A manager over that state. */
static inline libsql_wal_manager managerOf(Manager *p){
  libsql_wal_manager manager = { 1, logOpen, logClose, logDestroyFile, logExists, managerDestroy, 0 };
  manager.pData = (wal_manager_impl*)p;
  return manager;
}

#define OPEN_FLAGS (SQLITE_OPEN_READWRITE|SQLITE_OPEN_CREATE|SQLITE_OPEN_URI)

static inline sqlite3 *openWith(const char *zFile, Manager *p){
  sqlite3 *db;
  REQUIRE( libsql_open_v3(zFile, &db, OPEN_FLAGS, 0, managerOf(p))==SQLITE_OK );
  return db;
}

static inline sqlite3 *openPlain(const char *zFile){
  sqlite3 *db;
  REQUIRE( sqlite3_open_v2(zFile, &db, OPEN_FLAGS, 0)==SQLITE_OK );
  return db;
}

static inline int try(sqlite3 *db, const char *zSql){ return sqlite3_exec(db, zSql, 0, 0, 0); }

static inline void run(sqlite3 *db, const char *zSql){
  char *zErr = 0;
  if( sqlite3_exec(db, zSql, 0, 0, &zErr)!=SQLITE_OK ){
    fprintf(stderr, "%s: %s\n", zSql, zErr);
    exit(1);
  }
}

/* The first column of the first row as text; borrowed until the next call. */
static inline const char *ask(sqlite3 *db, const char *zSql){
  static char zValue[200];
  sqlite3_stmt *pStmt;
  REQUIRE( sqlite3_prepare_v2(db, zSql, -1, &pStmt, 0)==SQLITE_OK );
  zValue[0] = 0;
  if( sqlite3_step(pStmt)==SQLITE_ROW && sqlite3_column_text(pStmt, 0) ){
    snprintf(zValue, sizeof(zValue), "%s", (const char*)sqlite3_column_text(pStmt, 0));
  }
  sqlite3_finalize(pStmt);
  return zValue;
}

static inline int says(sqlite3 *db, const char *zSql, const char *zValue){ return strcmp(ask(db, zSql), zValue)==0; }

/* That the file, opened anew and with the default log, is sound. */
static inline void requireSound(const char *zFile){
  sqlite3 *db = openPlain(zFile);
  REQUIRE( says(db, "PRAGMA integrity_check", "ok") );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
}

static inline int exists(const char *zFile){
  FILE *f = fopen(zFile, "rb");
  if( f ) fclose(f);
  return f!=0;
}

static inline void discard(const char *zFile){
  char z[200];
  remove(zFile);
  snprintf(z, sizeof(z), "%s-wal", zFile);
  remove(z);
  snprintf(z, sizeof(z), "%s-shm", zFile);
  remove(z);
  snprintf(z, sizeof(z), "%s-journal", zFile);
  remove(z);
}
