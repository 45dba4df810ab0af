/*
** wal_memory.c: every allocation fails in turn, alone and with all behind it: an error, nothing lost, nothing leaked.
*/
#include "wal.h"

static sqlite3_mem_methods real;
static int iFailing;          /* the allocation that fails; 0 for none */
static int bAllBehind;        /* and whether all behind it do */
static int nFailed;

static int memoryFails(void){
  if( iFailing<=0 ) return 0;
  if( iFailing>1 ){
    iFailing--;
    return 0;
  }
  if( !bAllBehind ) iFailing = 0;
  nFailed++;
  return 1;
}
static void *failingMalloc(int n){ return memoryFails() ? 0 : real.xMalloc(n); }
static void *failingRealloc(void *p, int n){ return memoryFails() ? 0 : real.xRealloc(p, n); }

static Manager m;
static sqlite3 *db;
static unsigned char aLog[3][24+1024];

/* What is tried, from a fresh state; the result of the first call that failed. */

static int openManaged(void){
  return libsql_open_v3("memory.db", &db, OPEN_FLAGS, 0, managerOf(&m));
}

static int openNamed(void){
  int rc = libsql_wal_manager_register("named", managerOf(&m));
  if( rc==SQLITE_OK ) rc = libsql_open("file:memory.db?wal=named", &db, OPEN_FLAGS, 0, "named");
  return rc;
}

static int openWithData(void){
  static Manager own;
  int rc = libsql_wal_manager_register("named", managerOf(&m));
  if( rc==SQLITE_OK ) rc = libsql_open_v2("memory.db", &db, OPEN_FLAGS, 0, "named", &own);
  return rc;
}

static int openUnknown(void){
  int rc = libsql_open("memory.db", &db, OPEN_FLAGS, 0, "unknown");
  REQUIRE( rc!=SQLITE_OK );
  return rc==SQLITE_ERROR ? SQLITE_OK : rc;
}

static int firstWrite(void){
  int rc = openManaged();
  if( rc==SQLITE_OK ) rc = try(db, "PRAGMA cache_size=3; PRAGMA journal_mode=wal; CREATE TABLE t(x)");
  if( rc==SQLITE_OK ){
    rc = try(db, "BEGIN; INSERT INTO t VALUES(1); SAVEPOINT a; INSERT INTO t VALUES(zeroblob(9000)); RELEASE a; COMMIT");
  }
  return rc;
}

static int attach(void){
  int rc = openManaged();
  if( rc==SQLITE_OK ){
    rc = try(db, "ATTACH 'memory2.db' AS b; PRAGMA b.journal_mode=wal; CREATE TABLE b.t(x); DETACH b");
  }
  return rc;
}

static int frames(void){
  int rc = sqlite3_open_v2("memory.db", &db, OPEN_FLAGS, 0), i, bConflict, bBegun;
  if( rc==SQLITE_OK ) rc = try(db, "PRAGMA page_size=1024");
  if( rc==SQLITE_OK ) rc = libsql_wal_insert_begin(db);
  bBegun = rc==SQLITE_OK;
  for(i=0; rc==SQLITE_OK && i<6; i++){
    rc = libsql_wal_insert_frame(db, (unsigned)(i%3+1), aLog[i%3], sizeof(aLog[0]), &bConflict);
    REQUIRE( bConflict==0 );
  }
  if( bBegun ){
    int rc2 = libsql_wal_insert_end(db);
    if( rc==SQLITE_OK ) rc = rc2;
  }
  if( rc==SQLITE_OK ) rc = try(db, "SELECT * FROM t");
  return rc;
}

static const struct {
  int (*xTry)(void);
  int nDestroy;               /* of the manager, when all is over */
  int nLeast;                 /* allocations that must have failed */
} aCase[] = {
  { openManaged, 1, 100 },
  { openNamed, 1, 100 },
  { openWithData, 1, 100 },
  { openUnknown, 0, 10 },
  { firstWrite, 1, 300 },
  { attach, 1, 300 },
  { frames, 0, 300 },
};

static void failEach(int iCase){
  sqlite3_int64 before;
  int i, rc;
  libsql_wal_manager_unregister("named");
  before = sqlite3_memory_used();
  nFailed = 0;
  for(i=1; ; i++){
    int nBefore = nFailed;
    memset(&m, 0, sizeof(m));
    discard("memory.db");
    discard("memory2.db");
    db = 0;
    iFailing = i;
    rc = aCase[iCase].xTry();
    iFailing = 0;
    REQUIRE( rc==SQLITE_OK || rc==SQLITE_NOMEM || nFailed>nBefore );
    if( db && rc==SQLITE_OK && aCase[iCase].xTry!=openUnknown ){
      REQUIRE( says(db, "PRAGMA integrity_check", "ok") );
    }
    REQUIRE( sqlite3_close(db)==SQLITE_OK );
    libsql_wal_manager_unregister("named");
    REQUIRE( m.nDestroy==aCase[iCase].nDestroy );
    requireSound("memory.db");
    if( nFailed==nBefore ) break;
  }
  REQUIRE( rc==SQLITE_OK && nFailed>=aCase[iCase].nLeast );
  REQUIRE( sqlite3_memory_used()==before );
}

int main(void){
  sqlite3_mem_methods mem;
  int i;
  REQUIRE( sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real)==SQLITE_OK );
  mem = real;
  mem.xMalloc = failingMalloc;
  mem.xRealloc = failingRealloc;
  REQUIRE( sqlite3_config(SQLITE_CONFIG_MALLOC, &mem)==SQLITE_OK );
  REQUIRE( sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0)==SQLITE_OK );
  REQUIRE( sqlite3_initialize()==SQLITE_OK );

  db = openPlain("source.db");
  REQUIRE( libsql_wal_disable_checkpoint(db)==SQLITE_OK );
  run(db, "PRAGMA page_size=1024; PRAGMA journal_mode=wal; CREATE TABLE t(x); INSERT INTO t VALUES(1)");
  for(i=0; i<3; i++){
    REQUIRE( libsql_wal_get_frame(db, (unsigned)i+1, aLog[i], sizeof(aLog[0]))==SQLITE_OK );
  }
  REQUIRE( sqlite3_close(db)==SQLITE_OK );

  for(bAllBehind=0; bAllBehind<2; bAllBehind++){
    for(i=0; i<(int)(sizeof(aCase)/sizeof(aCase[0])); i++) failEach(i);
  }
  REQUIRE( sqlite3_shutdown()==SQLITE_OK );
  REQUIRE( sqlite3_memory_used()==0 );
  return 0;
}
