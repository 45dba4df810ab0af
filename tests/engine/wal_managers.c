/*
** wal_managers.c: which manager makes the log of a file, how long it lives, and managers and logs that lack something
** or fail.
*/
#include "wal.h"

static Manager fresh;               /* all zero */

/* The very first call into the library. */
static void testFirstCall(void){
  Manager m = fresh;
  sqlite3 *db = openWith("first.db", &m);
  run(db, "PRAGMA journal_mode=wal; CREATE TABLE t(a); INSERT INTO t VALUES(1)");
  REQUIRE( m.nOpen==1 && m.nClose==0 && m.nDestroy==0 );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
  REQUIRE( m.nClose==1 && m.nDestroy==1 );
  requireSound("first.db");
}

/* A manager that was handed over is destroyed once, however the open fails. */
static void testFailedOpens(void){
  static const struct { const char *zFile, *zVfs; int flags; } aOpen[] = {
    { "no/such/folder/x.db", 0, OPEN_FLAGS },
    { "missing.db", 0, SQLITE_OPEN_READONLY },
    { "x.db", "no such vfs", OPEN_FLAGS },
    { "file:x.db?wal=nope", 0, OPEN_FLAGS },
    { "file:x.db?mode=nonsense", 0, OPEN_FLAGS },
    { "x.db", 0, 0 },               /* neither for reading nor for writing */
  };
  int i;
  for(i=0; i<(int)(sizeof(aOpen)/sizeof(aOpen[0])); i++){
    Manager m = fresh;
    sqlite3 *db = 0;
    REQUIRE( libsql_open_v3(aOpen[i].zFile, &db, aOpen[i].flags, aOpen[i].zVfs, managerOf(&m))!=SQLITE_OK );
    REQUIRE( sqlite3_close(db)==SQLITE_OK );
    REQUIRE( m.nOpen==0 && m.nDestroy==1 );
  }
  for(i=0; i<4; i++){
    Manager m = fresh;
    sqlite3 *db = (sqlite3*)&m;
    libsql_wal_manager manager = managerOf(&m);
    if( i==0 ) manager.xOpen = 0;
    if( i==1 ) manager.xClose = 0;
    if( i==2 ) manager.xLogDestroy = 0;
    if( i==3 ) manager.xLogExists = 0;
    REQUIRE( libsql_open_v3("x.db", &db, OPEN_FLAGS, 0, manager)==SQLITE_MISUSE );
    REQUIRE( db==0 && m.nDestroy==1 );
    REQUIRE( libsql_wal_manager_register("part", manager)==SQLITE_MISUSE && m.nDestroy==2 );
    REQUIRE( libsql_wal_manager_find("part")==0 );
  }
}

static void testRegistry(void){
  Manager a = fresh, b = fresh;
  const char *zName;
  REQUIRE( libsql_wal_manager_next(0)==0 && libsql_wal_manager_next("a")==0 );
  REQUIRE( libsql_wal_manager_register("default", managerOf(&a))==SQLITE_MISUSE && a.nDestroy==1 );
  REQUIRE( libsql_wal_manager_register("defaultish", managerOf(&a))==SQLITE_MISUSE && a.nDestroy==2 );
  REQUIRE( libsql_wal_manager_register("", managerOf(&a))==SQLITE_MISUSE && a.nDestroy==3 );
  REQUIRE( libsql_wal_manager_register(0, managerOf(&a))==SQLITE_MISUSE && a.nDestroy==4 );
  REQUIRE( libsql_wal_manager_unregister("default")==SQLITE_MISUSE );
  REQUIRE( libsql_wal_manager_unregister("default2")==SQLITE_MISUSE );
  REQUIRE( libsql_wal_manager_unregister("a")==SQLITE_NOTFOUND );

  a = fresh;
  REQUIRE( libsql_wal_manager_register("a", managerOf(&a))==SQLITE_OK );
  REQUIRE( libsql_wal_manager_register("Default", managerOf(&b))==SQLITE_OK );
  REQUIRE( libsql_wal_manager_find("a")->pData==(wal_manager_impl*)&a );
  REQUIRE( libsql_wal_manager_find("Default")->pData==(wal_manager_impl*)&b );
  REQUIRE( libsql_wal_manager_find("A")==0 && libsql_wal_manager_find("default1")==0 );
  REQUIRE( libsql_wal_manager_find(0)==&sqlite3_wal_manager );
  REQUIRE( libsql_wal_manager_find("")==&sqlite3_wal_manager );
  REQUIRE( libsql_wal_manager_find("default")==&sqlite3_wal_manager );
  zName = libsql_wal_manager_next(0);
  REQUIRE( strcmp(zName, "Default")==0 );
  REQUIRE( strcmp(libsql_wal_manager_next(zName), "a")==0 );
  REQUIRE( libsql_wal_manager_next("a")==0 );

  /* The same name again: the first one has no user and goes. */
  REQUIRE( libsql_wal_manager_register("a", managerOf(&b))==SQLITE_OK );
  REQUIRE( a.nDestroy==1 && b.nDestroy==0 );
  REQUIRE( libsql_wal_manager_unregister("a")==SQLITE_OK && b.nDestroy==1 );
  REQUIRE( libsql_wal_manager_unregister("Default")==SQLITE_OK && b.nDestroy==2 );
  REQUIRE( libsql_wal_manager_next(0)==0 );
}

/* Names given to libsql_open(), in file names, and to ATTACH. */
static void testNames(void){
  Manager a = fresh, b = fresh;
  sqlite3 *db;
  REQUIRE( libsql_wal_manager_register("a", managerOf(&a))==SQLITE_OK );
  REQUIRE( libsql_wal_manager_register("b", managerOf(&b))==SQLITE_OK );

  REQUIRE( libsql_open("names.db", &db, OPEN_FLAGS, 0, "nope")==SQLITE_ERROR );
  REQUIRE( strcmp(sqlite3_errmsg(db), "no such WAL module: nope")==0 );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
  REQUIRE( libsql_open("names.db", &db, OPEN_FLAGS, 0, "A")==SQLITE_ERROR );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
  REQUIRE( sqlite3_open_v2("file:names.db?wal=nope", &db, OPEN_FLAGS, 0)==SQLITE_ERROR );
  REQUIRE( strcmp(sqlite3_errmsg(db), "no such WAL module: nope")==0 );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
  REQUIRE( libsql_open("file:names.db?wal=nope", &db, OPEN_FLAGS, 0, "a")==SQLITE_ERROR );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
  REQUIRE( !exists("names.db") );

  /* A name that failed leaves nothing behind for the next open. */
  db = openPlain("names.db");
  run(db, "PRAGMA journal_mode=wal; CREATE TABLE t(x)");
  REQUIRE( sqlite3_close(db)==SQLITE_OK && a.nOpen+b.nOpen==0 );

  REQUIRE( libsql_open("names.db", &db, OPEN_FLAGS, 0, "a")==SQLITE_OK );
  run(db, "INSERT INTO t VALUES(1)");
  REQUIRE( a.nOpen==1 && b.nOpen==0 );
  /* An attached file, and with a name of its own; the temporary database and memory have no log. */
  run(db, "ATTACH 'names2.db' AS n2; PRAGMA n2.journal_mode=wal; CREATE TABLE n2.t(x)");
  REQUIRE( a.nOpen==2 );
  run(db, "ATTACH 'file:names3.db?wal=b' AS n3; PRAGMA n3.journal_mode=wal; CREATE TABLE n3.t(x)");
  REQUIRE( a.nOpen==2 && b.nOpen==1 );
  run(db, "ATTACH 'file:names4.db?wal=default' AS n4; PRAGMA n4.journal_mode=wal; CREATE TABLE n4.t(x)");
  run(db, "ATTACH 'file:names5.db?wal=' AS n5; PRAGMA n5.journal_mode=wal; CREATE TABLE n5.t(x)");
  run(db, "ATTACH ':memory:' AS m; CREATE TABLE m.t(x); CREATE TEMP TABLE u(x)");
  REQUIRE( says(db, "PRAGMA m.journal_mode=wal", "memory") );
  REQUIRE( a.nOpen==3 && b.nOpen==1 );      /* n5 goes with the connection */
  REQUIRE( try(db, "ATTACH 'file:names6.db?wal=nope' AS n6")==SQLITE_ERROR );
  REQUIRE( strcmp(sqlite3_errmsg(db), "no such WAL module: nope")==0 );
  REQUIRE( !exists("names6.db") );
  run(db, "DETACH n2");
  REQUIRE( a.nClose==1 );

  /* Without its name a manager lives as long as something uses it. */
  REQUIRE( libsql_wal_manager_unregister("a")==SQLITE_OK && a.nDestroy==0 );
  REQUIRE( libsql_wal_manager_unregister("b")==SQLITE_OK && b.nDestroy==0 );
  run(db, "DETACH n3");
  REQUIRE( b.nDestroy==1 );
  run(db, "INSERT INTO t VALUES(2); ATTACH 'names2.db' AS n2; INSERT INTO n2.t VALUES(1)");
  REQUIRE( sqlite3_close(db)==SQLITE_OK && a.nDestroy==1 && a.nOpen==a.nClose );

  REQUIRE( libsql_open_v2("names.db", &db, OPEN_FLAGS, 0, "default", 0)==SQLITE_OK );
  REQUIRE( says(db, "SELECT count(*) FROM t", "2") );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
  REQUIRE( libsql_open("names.db", &db, OPEN_FLAGS, 0, 0)==SQLITE_OK );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
}

/* A registered manager with the state of the caller: that is not destroyed, the registered one outlives its users. */
static void testOwnData(void){
  Manager base = fresh, own = fresh;
  sqlite3 *db;
  REQUIRE( libsql_wal_manager_register("base", managerOf(&base))==SQLITE_OK );
  REQUIRE( libsql_open_v2("own.db", &db, OPEN_FLAGS, 0, "base", &own)==SQLITE_OK );
  run(db, "PRAGMA journal_mode=wal; CREATE TABLE t(x)");
  REQUIRE( own.nOpen==1 && base.nOpen==0 );
  REQUIRE( libsql_wal_manager_unregister("base")==SQLITE_OK && base.nDestroy==0 );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
  REQUIRE( own.nClose==1 && own.nDestroy==0 && base.nDestroy==1 );
  REQUIRE( libsql_open_v2("own.db", &db, OPEN_FLAGS, 0, "base", &own)==SQLITE_ERROR );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
}

static void testLifetime(void){
  Manager old = fresh, new = fresh, shared = fresh, zombie = fresh;
  sqlite3 *db, *db2;
  sqlite3_stmt *pStmt;
  /* A replaced name. */
  REQUIRE( libsql_wal_manager_register("life", managerOf(&old))==SQLITE_OK );
  REQUIRE( libsql_open("life.db", &db, OPEN_FLAGS, 0, "life")==SQLITE_OK );
  REQUIRE( libsql_wal_manager_register("life", managerOf(&new))==SQLITE_OK && old.nDestroy==0 );
  REQUIRE( libsql_open("life.db", &db2, OPEN_FLAGS, 0, "life")==SQLITE_OK );
  run(db, "PRAGMA journal_mode=wal; CREATE TABLE t(x)");
  run(db2, "INSERT INTO t VALUES(1)");
  REQUIRE( old.nOpen==1 && new.nOpen==1 );
  REQUIRE( sqlite3_close(db)==SQLITE_OK && old.nDestroy==1 );
  REQUIRE( sqlite3_close(db2)==SQLITE_OK && new.nDestroy==0 );
  REQUIRE( libsql_wal_manager_unregister("life")==SQLITE_OK && new.nDestroy==1 );

  /* A shared cache keeps the manager of the connection that opened it. */
  REQUIRE( libsql_open_v3("file:life.db?cache=shared", &db, OPEN_FLAGS, 0, managerOf(&shared))==SQLITE_OK );
  run(db, "INSERT INTO t VALUES(2)");
  db2 = openPlain("file:life.db?cache=shared");
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
  run(db2, "INSERT INTO t VALUES(3)");
  REQUIRE( shared.nOpen==1 && shared.nClose==0 && shared.nDestroy==0 );
  REQUIRE( sqlite3_close(db2)==SQLITE_OK );
  REQUIRE( shared.nClose==1 && shared.nDestroy==1 );

  /* A connection that is closed while a statement lives. */
  db = openWith("life.db", &zombie);
  REQUIRE( sqlite3_prepare_v2(db, "SELECT x FROM t", -1, &pStmt, 0)==SQLITE_OK );
  REQUIRE( sqlite3_step(pStmt)==SQLITE_ROW );
  REQUIRE( sqlite3_close(db)==SQLITE_BUSY && zombie.nDestroy==0 );
  REQUIRE( sqlite3_close_v2(db)==SQLITE_OK && zombie.nDestroy==0 );
  REQUIRE( sqlite3_step(pStmt)==SQLITE_ROW );
  REQUIRE( sqlite3_finalize(pStmt)==SQLITE_OK );
  REQUIRE( zombie.nClose==1 && zombie.nDestroy==1 );
  requireSound("life.db");
}

static int iWithout;                /* which method a log lacks */

static void withoutOne(libsql_wal_methods *p){
  if( iWithout==0 ) p->iVersion = 0;
  else ((void(**)(void))p)[iWithout] = 0;
}

static void testMissingMethods(void){
  /* Whether the pager needs it: as numbered in the table, the version first. */
  static const char aNeeded[29] = {
    1, 1,1,1,1,1, 0, 1,1,1,1,1,1, 0, 1,1,1,1,1, 0,0,0,0,0,0,0,0,0,0
  };
  sqlite3 *db;
  for(iWithout=0; iWithout<29; iWithout++){
    Manager m = fresh;
    m.xTable = withoutOne;
    discard("without.db");
    db = openPlain("without.db");
    run(db, "PRAGMA journal_mode=wal; CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    REQUIRE( sqlite3_close(db)==SQLITE_OK );
    db = openWith("without.db", &m);
    REQUIRE( try(db, "INSERT INTO t VALUES(2)")==(aNeeded[iWithout] ? SQLITE_MISUSE : SQLITE_OK) );
    REQUIRE( m.nOpen==1 && m.nClose==aNeeded[iWithout] );
    if( iWithout==6 || iWithout==13 ){
      unsigned n;
      unsigned char aFrame[24+4096];
      REQUIRE( iWithout!=6 || libsql_wal_get_frame(db, 1, aFrame, sizeof(aFrame))==SQLITE_ERROR );
      REQUIRE( iWithout!=13 || libsql_wal_frame_count(db, &n)==SQLITE_ERROR );
    }
    REQUIRE( sqlite3_close(db)==SQLITE_OK && m.nDestroy==1 );
    db = openPlain("without.db");
    REQUIRE( says(db, "SELECT count(*) FROM t", aNeeded[iWithout] ? "1" : "2") );
    REQUIRE( says(db, "PRAGMA integrity_check", "ok") );
    REQUIRE( sqlite3_close(db)==SQLITE_OK );
  }
}

static void versionOne(libsql_wal_methods *p){ p->iVersion = 1; }

static void testVersionOne(void){
  int i;
  for(i=0; i<2; i++){
    Manager m = fresh;
    sqlite3 *db;
    if( i==0 ) m.xTable = versionOne;
    discard("one.db");
    db = openWith("one.db", &m);
    run(db, "PRAGMA journal_mode=wal; CREATE TABLE t(x); BEGIN; INSERT INTO t VALUES(1); SAVEPOINT a;"
            "INSERT INTO t VALUES(2); RELEASE a; COMMIT");
    REQUIRE( sqlite3_close(db)==SQLITE_OK );
    REQUIRE( m.nForget==i );
    requireSound("one.db");
  }
}

/* Each call that can fail does so in turn: an error, and nothing worse. */
static void testFailingMethods(void){
  static const int aRc[] = { SQLITE_IOERR, SQLITE_BUSY, SQLITE_FULL, SQLITE_NOMEM, SQLITE_PROTOCOL };
  int i, j, nFailed = 0;
  for(j=0; j<(int)(sizeof(aRc)/sizeof(aRc[0])); j++){
    for(i=1; ; i++){
      Manager m = fresh;
      sqlite3 *db;
      int rc, bFailed, n;
      discard("fail.db");
      m.iFail = i;
      m.rcFail = aRc[j];
      db = openWith("fail.db", &m);
      sqlite3_exec(db, "PRAGMA cache_size=3; PRAGMA journal_mode=wal; CREATE TABLE t(x)", 0, 0, 0);
      rc = try(db, "BEGIN; INSERT INTO t VALUES(1); SAVEPOINT a; INSERT INTO t VALUES(zeroblob(30000)); RELEASE a;"
                   "COMMIT");
      (void)try(db, "ROLLBACK");
      (void)try(db, "PRAGMA wal_checkpoint(truncate)");
      bFailed = m.iFail==0;
      m.iFail = 0;
      REQUIRE( says(db, "PRAGMA integrity_check", "ok") );
      n = atoi(ask(db, "SELECT count(*) FROM sqlite_schema"))>0 ? atoi(ask(db, "SELECT count(*) FROM t")) : 0;
      REQUIRE( n==0 || n==2 );
      if( rc==SQLITE_OK ) REQUIRE( n==2 );
      REQUIRE( sqlite3_close(db)==SQLITE_OK && m.nDestroy==1 );
      requireSound("fail.db");
      if( !bFailed ) break;
      nFailed++;
    }
  }
  REQUIRE( nFailed>50 );
}

static sqlite3_io_methods bareIo;   /* the default VFS's files, without shared memory */
static sqlite3_vfs bareVfs;

static int bareOpen(sqlite3_vfs *pVfs, const char *zName, sqlite3_file *pFile, int flags, int *pFlags){
  sqlite3_vfs *pReal = (sqlite3_vfs*)pVfs->pAppData;
  int rc = pReal->xOpen(pReal, zName, pFile, flags, pFlags);
  if( rc==SQLITE_OK && (flags & SQLITE_OPEN_MAIN_DB) ){
    bareIo = *pFile->pMethods;
    bareIo.iVersion = 1;
    pFile->pMethods = &bareIo;
  }
  return rc;
}

/* The default log without shared memory is always exclusive and does not want to hear of it. */
static int alwaysExclusive(wal_impl *p, int op){ (void)p; return op!=0; }

static void inHeap(libsql_wal_methods *p){ p->xExclusiveMode = alwaysExclusive; }

static void testWithoutSharedMemory(void){
  sqlite3 *db;
  int bUsesShm;
  bareVfs = *sqlite3_vfs_find(0);
  bareVfs.pAppData = sqlite3_vfs_find(0);
  bareVfs.xOpen = bareOpen;
  bareVfs.zName = "bare";
  REQUIRE( sqlite3_vfs_register(&bareVfs, 0)==SQLITE_OK );
  REQUIRE( sqlite3_open_v2("bare.db", &db, OPEN_FLAGS, "bare")==SQLITE_OK );
  REQUIRE( says(db, "PRAGMA journal_mode=wal", "delete") );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
  for(bUsesShm=1; bUsesShm>=0; bUsesShm--){
    Manager m = fresh;
    libsql_wal_manager manager = managerOf(&m);
    manager.bUsesShm = bUsesShm;
    m.bNoShm = 1;
    m.xTable = inHeap;
    REQUIRE( libsql_open_v3("bare.db", &db, OPEN_FLAGS, "bare", manager)==SQLITE_OK );
    REQUIRE( says(db, "PRAGMA journal_mode=wal", bUsesShm ? "delete" : "wal") );
    run(db, "CREATE TABLE IF NOT EXISTS t(x); INSERT INTO t VALUES(1); PRAGMA wal_checkpoint; INSERT INTO t VALUES(2)");
    REQUIRE( m.nOpen==!bUsesShm && exists("bare.db-wal")==!bUsesShm && !exists("bare.db-shm") );
    REQUIRE( sqlite3_close(db)==SQLITE_OK && m.nDestroy==1 );
  }
  REQUIRE( sqlite3_vfs_unregister(&bareVfs)==SQLITE_OK );
  db = openPlain("bare.db");
  REQUIRE( says(db, "SELECT count(*) FROM t", "4") );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
}

static void testFileControl(void){
  Manager m = fresh;
  sqlite3 *db = openWith("control.db", &m);
  libsql_wal_methods *p = (libsql_wal_methods*)&m;
  sqlite3_file *pFile = 0;
  sqlite3_snapshot *pSnapshot = 0;
  REQUIRE( sqlite3_file_control(db, "main", SQLITE_FCNTL_WAL_METHODS_POINTER, &p)==SQLITE_OK && p==0 );
  run(db, "PRAGMA journal_mode=wal; CREATE TABLE t(x)");
  REQUIRE( sqlite3_file_control(db, "main", SQLITE_FCNTL_WAL_METHODS_POINTER, &p)==SQLITE_OK );
  REQUIRE( p->xFindFrame==logFind && p->iVersion==2 );
  /* A log without xFile and snapshots. */
  REQUIRE( sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &pFile)==SQLITE_OK );
  REQUIRE( pFile && pFile->pMethods==0 );
  run(db, "BEGIN; SELECT * FROM t");
  REQUIRE( sqlite3_snapshot_get(db, "main", &pSnapshot)==SQLITE_ERROR && pSnapshot==0 );
  run(db, "COMMIT");
  REQUIRE( sqlite3_snapshot_recover(db, "main")==SQLITE_ERROR );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );

  db = openPlain("control.db");
  run(db, "INSERT INTO t VALUES(1); BEGIN; SELECT * FROM t");
  REQUIRE( sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &pFile)==SQLITE_OK && pFile->pMethods );
  REQUIRE( sqlite3_file_control(db, "main", SQLITE_FCNTL_WAL_METHODS_POINTER, &p)==SQLITE_OK && p->xFile );
  REQUIRE( sqlite3_snapshot_get(db, "main", &pSnapshot)==SQLITE_OK && pSnapshot );
  run(db, "COMMIT; INSERT INTO t VALUES(2); BEGIN");
  REQUIRE( sqlite3_snapshot_open(db, "main", pSnapshot)==SQLITE_OK );
  REQUIRE( says(db, "SELECT count(*) FROM t", "1") );
  run(db, "COMMIT");
  sqlite3_snapshot_free(pSnapshot);
  REQUIRE( sqlite3_snapshot_recover(db, "main")==SQLITE_OK );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
}

static struct { int nPage, nEnd, rc; unsigned aSeen[20]; } watched;

static int onPage(void *pArg, int mxSafe, const unsigned char *pPage, int nPage, int pgno, int iFrame){
  REQUIRE( pArg==&watched );
  if( pPage==0 ){
    REQUIRE( mxSafe==0 && nPage==0 && pgno==0 && iFrame==0 );
    watched.nEnd++;
    return SQLITE_OK;
  }
  REQUIRE( nPage==4096 && iFrame>0 && iFrame<=mxSafe && pgno>0 && pgno<20 && watched.nEnd==0 );
  REQUIRE( watched.aSeen[pgno]==0 );
  watched.aSeen[pgno] = (unsigned)iFrame;
  watched.nPage++;
  return watched.rc;
}

static int watchedCheckpoint(wal_impl *p, sqlite3 *db, int eMode, int (*xBusy)(void*), void *pBusyArg, int syncFlags,
                             int nBuf, unsigned char *zBuf, int *pnLog, int *pnCkpt,
                             int (*xPage)(void*, int, const unsigned char*, int, int, int), void *pPageArg){
  REQUIRE( xPage==0 && pPageArg==0 );
  return IN(p).xCheckpoint(ID(p), db, eMode, xBusy, pBusyArg, syncFlags, nBuf, zBuf, pnLog, pnCkpt, onPage, &watched);
}

static void watch(libsql_wal_methods *p){ p->xCheckpoint = watchedCheckpoint; }

/* Pages of a checkpoint are shown, each once; who looks at them can stop it. */
static void testWatchedCheckpoint(void){
  Manager m = fresh;
  sqlite3 *db, *db2;
  int nLog, nCkpt;
  m.xTable = watch;
  db = openWith("watch.db", &m);
  run(db, "PRAGMA journal_mode=wal; CREATE TABLE t(x); INSERT INTO t VALUES(1); INSERT INTO t VALUES(2)");
  watched.rc = SQLITE_INTERRUPT;
  REQUIRE( try(db, "PRAGMA wal_checkpoint")==SQLITE_INTERRUPT );
  REQUIRE( watched.nPage==1 && watched.nEnd==0 );
  memset(&watched, 0, sizeof(watched));
  REQUIRE( sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_PASSIVE, &nLog, &nCkpt)==SQLITE_OK );
  REQUIRE( nLog==4 && nCkpt==4 );
  REQUIRE( watched.nPage==2 && watched.nEnd==1 && watched.aSeen[1]==1 && watched.aSeen[2]==4 );
  /* A reader holds back what is newer than its snapshot, so the log is not copied whole. */
  db2 = openPlain("watch.db");
  run(db, "INSERT INTO t VALUES(3)");
  run(db2, "BEGIN; SELECT * FROM t");
  run(db, "INSERT INTO t VALUES(4)");
  memset(&watched, 0, sizeof(watched));
  REQUIRE( sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_PASSIVE, &nLog, &nCkpt)==SQLITE_OK );
  REQUIRE( nCkpt<nLog && watched.nEnd==0 );
  REQUIRE( sqlite3_close(db2)==SQLITE_OK );
  memset(&watched, 0, sizeof(watched));
  run(db, "PRAGMA wal_checkpoint");
  REQUIRE( watched.nPage>0 && watched.nEnd==1 );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
  requireSound("watch.db");
}

int main(void){
  testFirstCall();
  testFailedOpens();
  testRegistry();
  testNames();
  testOwnData();
  testLifetime();
  testMissingMethods();
  testVersionOne();
  testFailingMethods();
  testWithoutSharedMemory();
  testFileControl();
  testWatchedCheckpoint();
  REQUIRE( sqlite3_shutdown()==SQLITE_OK );
  REQUIRE( sqlite3_memory_used()==0 );
  return 0;
}
