/*
** smoke.c: what check.py runs against every release. Prints the SQLite version; a failure exits with a line number.
**
** The close hook must run before the test for open statements, so a hook that finalizes one lets the close succeed;
** an open that fails at any of its allocations must give back all memory, our state included; ALTER COLUMN must leave
** the rest of the text alone, and the schema whole whichever of its allocations fails; each other addition is tried.
** A vector index must fit its table whichever allocation fails. A file made by copying the frames of another's log must
** end up as that file. Argument: a folder for files.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "libsql.h"

#define REQUIRE(x) do{ if( !(x) ){ fprintf(stderr, "smoke.c:%d: %s\n", __LINE__, #x); exit(1); } }while( 0 )

static sqlite3_mem_methods realMem;
static int failAt;            /* number of the allocation that fails; 0 for none */
static int nFailed;

static void *failingMalloc(int n){
  if( failAt>0 && --failAt==0 ){ nFailed++; return 0; }
  return realMem.xMalloc(n);
}

static void *failingRealloc(void *p, int n){
  if( failAt>0 && --failAt==0 ){ nFailed++; return 0; }
  return realMem.xRealloc(p, n);
}

static int nClose;

static void onClose(void *pArg, sqlite3 *db){
  sqlite3_stmt **ppStmt = pArg;
  nClose++;
  REQUIRE( sqlite3_get_autocommit(db) );
  if( ppStmt ){
    sqlite3_finalize(*ppStmt);
    *ppStmt = 0;
  }
}

static void testClose(void){
  sqlite3 *db;
  sqlite3_stmt *pStmt;
  REQUIRE( sqlite3_open(":memory:", &db)==SQLITE_OK );
  REQUIRE( sqlite3_prepare_v2(db, "SELECT 1", -1, &pStmt, 0)==SQLITE_OK );
  REQUIRE( libsql_close_hook(db, onClose, 0)==0 );
  REQUIRE( sqlite3_close(db)==SQLITE_BUSY && nClose==1 );
  REQUIRE( libsql_close_hook(db, onClose, &pStmt)==0 );
  REQUIRE( sqlite3_close(db)==SQLITE_OK && nClose==2 && pStmt==0 );

  REQUIRE( sqlite3_open(":memory:", &db)==SQLITE_OK );
  REQUIRE( sqlite3_prepare_v2(db, "SELECT 1", -1, &pStmt, 0)==SQLITE_OK );
  REQUIRE( libsql_close_hook(db, onClose, 0)==0 );
  REQUIRE( sqlite3_close_v2(db)==SQLITE_OK && nClose==3 );
  REQUIRE( sqlite3_finalize(pStmt)==SQLITE_OK && nClose==3 );

  REQUIRE( sqlite3_open(":memory:", &db)==SQLITE_OK );
  REQUIRE( libsql_close_hook(db, onClose, &pStmt)==0 );
  REQUIRE( libsql_close_hook(db, 0, 0)==&pStmt );
  REQUIRE( sqlite3_close(db)==SQLITE_OK && nClose==3 );
  REQUIRE( libsql_close_hook(0, onClose, 0)==0 );
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *zSql){
  sqlite3_stmt *pStmt = 0;
  if( sqlite3_prepare_v2(db, zSql, -1, &pStmt, 0)!=SQLITE_OK ){
    fprintf(stderr, "%s: %s\n", zSql, sqlite3_errmsg(db));
    exit(1);
  }
  return pStmt;
}

/* Run a statement to its end and finalize it; the first value of the last row. */
static sqlite3_int64 run(sqlite3 *db, const char *zSql){
  sqlite3_stmt *pStmt = prepare(db, zSql);
  sqlite3_int64 value = 0;
  while( sqlite3_step(pStmt)==SQLITE_ROW ) value = sqlite3_column_int64(pStmt, 0);
  REQUIRE( sqlite3_finalize(pStmt)==SQLITE_OK );
  return value;
}

/* A rowid that is taken is drawn anew, a hundred times at most. VACUUM keeps what was drawn. */
static void testRandomRowid(void){
  sqlite3 *db;
  sqlite3_stmt *pStmt;
  sqlite3_int64 sum;
  int i;
  REQUIRE( sqlite3_open(":memory:", &db)==SQLITE_OK );
  run(db, "CREATE TABLE t(a) RANDOM ROWID");
  REQUIRE( sqlite3_exec(db, "CREATE TABLE u(a) RANDOM ROW_ID", 0, 0, 0)==SQLITE_ERROR );
  REQUIRE( strcmp(sqlite3_errmsg(db), "unknown table option: ROW_ID")==0 );
  run(db, "BEGIN READONLY");
  run(db, "COMMIT");
  pStmt = prepare(db, "INSERT INTO t VALUES(1)");
  sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SAVE);
  for(i=0; i<100; i++) REQUIRE( sqlite3_step(pStmt)==SQLITE_DONE );
  sqlite3_test_control(SQLITE_TESTCTRL_PRNG_RESTORE);
  REQUIRE( sqlite3_step(pStmt)==SQLITE_FULL );
  run(db, "DELETE FROM t WHERE rowid=(SELECT max(rowid) FROM t)");
  sqlite3_test_control(SQLITE_TESTCTRL_PRNG_RESTORE);
  REQUIRE( sqlite3_step(pStmt)==SQLITE_DONE );
  REQUIRE( sqlite3_finalize(pStmt)==SQLITE_OK );
  REQUIRE( run(db, "SELECT count(*) FROM t WHERE rowid BETWEEN 1 AND 4611686018427387904")==100 );
  sum = run(db, "SELECT sum(rowid%1000000) FROM t");
  run(db, "VACUUM");
  REQUIRE( run(db, "SELECT sum(rowid%1000000) FROM t")==sum );
  REQUIRE( run(db, "SELECT 1 FROM pragma_integrity_check WHERE integrity_check='ok'")==1 );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
}

/* Each allocation of a script fails in turn: nothing leaks, and it can be run again. */
static void testFailingRowid(void){
  static const char *zSql =
    "DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS u; CREATE TABLE t(a UNIQUE) RANDOM ROWID; INSERT INTO t VALUES(1);"
    "ALTER TABLE t RENAME TO u; CREATE TABLE t(a) STRICT, RANDOM ROW_ID";
  sqlite3_int64 before = sqlite3_memory_used();
  int i, left = 0;
  for(i=1; left==0; i++){
    sqlite3 *db = 0;
    REQUIRE( sqlite3_open(":memory:", &db)==SQLITE_OK );
    failAt = i;
    REQUIRE( sqlite3_exec(db, zSql, 0, 0, 0)!=SQLITE_OK );
    left = failAt;
    failAt = 0;
    REQUIRE( sqlite3_exec(db, zSql, 0, 0, 0)==SQLITE_ERROR );
    REQUIRE( run(db, "SELECT count(*)=1 AND min(rowid)>0 FROM u")==1 );
    REQUIRE( sqlite3_close(db)==SQLITE_OK );
    REQUIRE( sqlite3_memory_used()==before );
  }
  REQUIRE( i>50 );
}

/* The interrupt ends with a reset; the counters add up. */
static void testStatement(void){
  sqlite3 *db;
  sqlite3_stmt *pStmt;
  REQUIRE( sqlite3_open(":memory:", &db)==SQLITE_OK );
  run(db, "CREATE TABLE t(a)");
  pStmt = prepare(db, "INSERT INTO t VALUES(1),(2),(3)");
  libsql_stmt_interrupt(0);
  libsql_stmt_interrupt(pStmt);
  REQUIRE( sqlite3_step(pStmt)==SQLITE_INTERRUPT && sqlite3_step(pStmt)==SQLITE_INTERRUPT );
  REQUIRE( sqlite3_reset(pStmt)==SQLITE_INTERRUPT );
  REQUIRE( sqlite3_step(pStmt)==SQLITE_DONE );
  REQUIRE( sqlite3_stmt_status(pStmt, LIBSQL_STMTSTATUS_ROWS_WRITTEN, 1)==3 );
  REQUIRE( sqlite3_stmt_status(pStmt, LIBSQL_STMTSTATUS_ROWS_WRITTEN, 0)==0 );
  REQUIRE( sqlite3_finalize(pStmt)==SQLITE_OK );
  pStmt = prepare(db, "SELECT * FROM t");
  REQUIRE( sqlite3_step(pStmt)==SQLITE_ROW );
  run(db, "CREATE TABLE u(a)");
  REQUIRE( sqlite3_step(pStmt)==SQLITE_ROW );
  libsql_stmt_interrupt(pStmt);
  REQUIRE( sqlite3_step(pStmt)==SQLITE_INTERRUPT );
  REQUIRE( sqlite3_reset(pStmt)==SQLITE_INTERRUPT );
  REQUIRE( sqlite3_step(pStmt)==SQLITE_ROW );
  REQUIRE( sqlite3_stmt_status(pStmt, LIBSQL_STMTSTATUS_ROWS_READ, 0)==3 );
  REQUIRE( sqlite3_finalize(pStmt)==SQLITE_OK );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
}

/* A virtual table of one row, which notes what it is told. */
static int nPrepared;
static int preparedRc;

static int vtabConnect(sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab, char **pzErr){
  (void)pAux; (void)argc; (void)argv; (void)pzErr;
  *ppVtab = sqlite3_malloc64(sizeof(**ppVtab));
  if( *ppVtab==0 ) return SQLITE_NOMEM;
  memset(*ppVtab, 0, sizeof(**ppVtab));
  return sqlite3_declare_vtab(db, "CREATE TABLE x(a)");
}
static int vtabBestIndex(sqlite3_vtab *p, sqlite3_index_info *pInfo){ (void)p; (void)pInfo; return SQLITE_OK; }
static int vtabDisconnect(sqlite3_vtab *p){ sqlite3_free(p); return SQLITE_OK; }
static int vtabOpen(sqlite3_vtab *p, sqlite3_vtab_cursor **ppCur){
  struct { sqlite3_vtab_cursor base; int row; } *pCur = sqlite3_malloc64(sizeof(*pCur));
  (void)p;
  if( pCur==0 ) return SQLITE_NOMEM;
  memset(pCur, 0, sizeof(*pCur));
  *ppCur = &pCur->base;
  return SQLITE_OK;
}
static int vtabClose(sqlite3_vtab_cursor *p){ sqlite3_free(p); return SQLITE_OK; }
static int *vtabRow(sqlite3_vtab_cursor *p){ return (int*)&p[1]; }
static int vtabFilter(sqlite3_vtab_cursor *p, int idx, const char *z, int argc, sqlite3_value **argv){
  (void)idx; (void)z; (void)argc; (void)argv;
  *vtabRow(p) = 0;
  return SQLITE_OK;
}
static int vtabNext(sqlite3_vtab_cursor *p){ ++*vtabRow(p); return SQLITE_OK; }
static int vtabEof(sqlite3_vtab_cursor *p){ return *vtabRow(p)>0; }
static int vtabColumn(sqlite3_vtab_cursor *p, sqlite3_context *ctx, int i){
  (void)p; (void)i;
  sqlite3_result_int(ctx, 7);
  return SQLITE_OK;
}
static int vtabRowid(sqlite3_vtab_cursor *p, sqlite3_int64 *pRowid){ *pRowid = *vtabRow(p); return SQLITE_OK; }
static int vtabPreparedSql(sqlite3_vtab_cursor *p, const char *zSql){
  REQUIRE( vtabEof(p)==0 || *vtabRow(p)==1 );
  REQUIRE( strstr(zSql, "SELECT a FROM ")!=0 );
  nPrepared++;
  return preparedRc;
}

static void testPreparedSql(void){
  sqlite3 *db;
  sqlite3_stmt *pStmt;
  sqlite3_module module;
  memset(&module, 0, sizeof(module));
  module.iVersion = LIBSQL_MODULE_VERSION;
  module.xConnect = vtabConnect;
  module.xBestIndex = vtabBestIndex;
  module.xDisconnect = vtabDisconnect;
  module.xOpen = vtabOpen;
  module.xClose = vtabClose;
  module.xFilter = vtabFilter;
  module.xNext = vtabNext;
  module.xEof = vtabEof;
  module.xColumn = vtabColumn;
  module.xRowid = vtabRowid;
  module.xPreparedSql = vtabPreparedSql;
  REQUIRE( sqlite3_open(":memory:", &db)==SQLITE_OK );
  REQUIRE( sqlite3_create_module(db, "one", &module, 0)==SQLITE_OK );
  REQUIRE( run(db, "SELECT a FROM one")==7 && nPrepared==1 );
  preparedRc = SQLITE_PERM;
  pStmt = prepare(db, "SELECT a FROM one");
  REQUIRE( sqlite3_step(pStmt)==SQLITE_PERM && nPrepared==2 );
  REQUIRE( sqlite3_finalize(pStmt)==SQLITE_PERM );
  module.iVersion = LIBSQL_MODULE_VERSION - 1;
  REQUIRE( run(db, "SELECT a FROM one")==7 && nPrepared==2 );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
}

static int nExtension;

static int extensionInit(sqlite3 *db, char **pzErr, const void *pApi, const libsql_api_routines *pLibsqlApi){
  (void)pzErr;
  REQUIRE( pApi!=0 && pLibsqlApi->close_hook==libsql_close_hook );
  libsql_close_hook(db, onClose, 0);
  nExtension++;
  return SQLITE_OK;
}

static void testExtension(void){
  sqlite3 *db;
  int n = nClose;
  REQUIRE( sqlite3_auto_extension((void(*)(void))extensionInit)==SQLITE_OK );
  REQUIRE( sqlite3_open(":memory:", &db)==SQLITE_OK && nExtension==1 );
  REQUIRE( sqlite3_close(db)==SQLITE_OK && nClose==n+1 );
  sqlite3_reset_auto_extension();
  REQUIRE( strcmp(libsql_version, LIBSQL_VERSION)==0 && strcmp(libsql_libversion(), LIBSQL_VERSION)==0 );
}

static void testFailingOpen(void){
  int i, rc = SQLITE_NOMEM;
  sqlite3_int64 before = sqlite3_memory_used();
  for(i=1; rc!=SQLITE_OK; i++){
    sqlite3 *db = 0;
    failAt = i;
    rc = sqlite3_open(":memory:", &db);
    failAt = 0;
    REQUIRE( rc==SQLITE_OK || rc==SQLITE_NOMEM );
    REQUIRE( sqlite3_close(db)==SQLITE_OK );
    REQUIRE( sqlite3_memory_used()==before );
  }
  REQUIRE( nFailed>=3 );      /* the connection, our state, its mutex at least */
}

/* A table, a statement that alters it, and the text it should leave. */
typedef struct Alter {
  const char *zCreate;
  const char *zRows;
  const char *zAlter;
  const char *zAfter;
} Alter;

static const Alter aAlter[] = {
  { "CREATE TABLE t(a /* k */ , b DEFAULT ',)' /* old */, c AS (a+1))",
    "CREATE INDEX tb ON t(b); INSERT INTO t VALUES(1, 2)",
    "ALTER TABLE t ALTER COLUMN b TO b int NOT NULL CHECK(b<>7) REFERENCES p(x) -- end\n; SELECT 1",
    "CREATE TABLE t(a /* k */ , b int NOT NULL CHECK(b<>7) REFERENCES p(x) /* old */, c AS (a+1))" },
  { "CREATE TABLE t(a, b)",
    "INSERT INTO t VALUES(1, 2); ALTER TABLE t ADD COLUMN c DEFAULT 3",
    "ALTER TABLE t ALTER c TO c DEFAULT 4; SELECT 1",
    "CREATE TABLE t(a, b, c DEFAULT 4)" },
  { "CREATE TABLE t(a INTEGER PRIMARY KEY)",
    "INSERT INTO t VALUES(1)",
    "ALTER TABLE t ALTER a TO a INTEGER PRIMARY KEY AUTOINCREMENT; SELECT 1",
    "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT)" },
};

static void requireText(sqlite3 *db, const char *zSql, const char *zExpected){
  sqlite3_stmt *pStmt;
  REQUIRE( sqlite3_prepare_v2(db, zSql, -1, &pStmt, 0)==SQLITE_OK );
  REQUIRE( sqlite3_step(pStmt)==SQLITE_ROW );
  REQUIRE( strcmp((const char*)sqlite3_column_text(pStmt, 0), zExpected)==0 );
  REQUIRE( sqlite3_finalize(pStmt)==SQLITE_OK );
}

static int alterOnce(const Alter *p, int iFail){
  static char zBefore[200];
  sqlite3 *db;
  sqlite3_stmt *pStmt = 0;
  const char *zTail;
  int rc;
  REQUIRE( sqlite3_open(":memory:", &db)==SQLITE_OK );
  REQUIRE( sqlite3_exec(db, p->zCreate, 0, 0, 0)==SQLITE_OK );
  REQUIRE( sqlite3_exec(db, p->zRows, 0, 0, 0)==SQLITE_OK );
  REQUIRE( sqlite3_exec(db, "CREATE TABLE p(x PRIMARY KEY); INSERT INTO p VALUES(2);"
      "PRAGMA libsql_alter_check=on", 0, 0, 0)==SQLITE_OK );
  REQUIRE( sqlite3_prepare_v2(db, "SELECT sql FROM sqlite_schema", -1, &pStmt, 0)==SQLITE_OK );
  REQUIRE( sqlite3_step(pStmt)==SQLITE_ROW );
  sqlite3_snprintf(sizeof(zBefore), zBefore, "%s", sqlite3_column_text(pStmt, 0));
  REQUIRE( sqlite3_finalize(pStmt)==SQLITE_OK );
  failAt = iFail;
  rc = sqlite3_prepare_v2(db, p->zAlter, -1, &pStmt, &zTail);
  if( rc==SQLITE_OK ){
    sqlite3_step(pStmt);
    rc = sqlite3_finalize(pStmt);
  }
  failAt = 0;
  REQUIRE( rc==SQLITE_OK || rc==SQLITE_NOMEM );
  if( rc==SQLITE_OK ) REQUIRE( strcmp(zTail, " SELECT 1")==0 );
  requireText(db, "PRAGMA integrity_check", "ok");
  requireText(db, "SELECT sql FROM sqlite_schema", rc==SQLITE_OK ? p->zAfter : zBefore);
  requireText(db, "SELECT count(*) FROM t", "1");
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
  return rc;
}

/* Where comments are switched off, ours are refused as others are. */
static void testAlterComments(void){
  sqlite3 *db;
  REQUIRE( sqlite3_open(":memory:", &db)==SQLITE_OK );
  REQUIRE( sqlite3_exec(db, "CREATE TABLE t(a)", 0, 0, 0)==SQLITE_OK );
  REQUIRE( sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_COMMENTS, 0, (int*)0)==SQLITE_OK );
  REQUIRE( sqlite3_exec(db, "ALTER TABLE t ALTER a TO a int /* x */", 0, 0, 0)==SQLITE_ERROR );
  REQUIRE( strcmp(sqlite3_errmsg(db), "unrecognized token: \"/* x */\"")==0 );
  REQUIRE( sqlite3_exec(db, "ALTER TABLE /* x */ t ALTER a TO a int", 0, 0, 0)==SQLITE_ERROR );
  REQUIRE( sqlite3_exec(db, "ALTER TABLE t ALTER a TO a int", 0, 0, 0)==SQLITE_OK );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
}

static void testAlterColumn(void){
  int i, k, n;
  for(k=0; k<(int)(sizeof(aAlter)/sizeof(aAlter[0])); k++){
    sqlite3_int64 start = sqlite3_memory_used();
    nFailed = 0;
    for(i=1, n=-1; n<nFailed; i++){       /* until no allocation was left to fail */
      int rc;
      n = nFailed;
      rc = alterOnce(&aAlter[k], i);
      REQUIRE( rc==SQLITE_OK || nFailed>n );
      REQUIRE( sqlite3_memory_used()==start );
    }
    REQUIRE( nFailed>500 );
  }
}

static int nFrames, nForget, nDestroy;    /* calls of the log's methods, and of its manager's xDestroy */
static libsql_wal_methods stock;

static int countFrames(wal_impl *p, int szPage, libsql_pghdr *pList, unsigned nTruncate, int isCommit, int syncFlags,
                       int *pn){
  libsql_pghdr *pPage;
  for(pPage=pList; pPage; pPage=pPage->pDirty){
    REQUIRE( pPage->pgno>=1 && (pPage->pDirty==0 || pPage->pDirty->pgno>pPage->pgno) );
    REQUIRE( pPage->pgno>1 || memcmp(pPage->pData, "SQLite format 3", 16)==0 );
  }
  nFrames++;
  return stock.xFrames(p, szPage, pList, nTruncate, isCommit, syncFlags, pn);
}

static void countForget(wal_impl *p, unsigned *a){ (void)p; (void)a; nForget++; }

static int countOpen(wal_manager_impl *p, sqlite3_vfs *pVfs, sqlite3_file *pFile, int bNoShm, long long nMax,
                     const char *zMainDb, libsql_wal *pOut){
  int rc = sqlite3_wal_manager.xOpen(p, pVfs, pFile, bNoShm, nMax, zMainDb, pOut);
  if( rc==SQLITE_OK ){
    stock = pOut->methods;
    pOut->methods.xFrames = countFrames;
    pOut->methods.xSavepointForget = countForget;
  }
  return rc;
}

static void countDestroy(wal_manager_impl *p){ (void)p; nDestroy++; }

static int sameFiles(const char *zOne, const char *zOther){
  FILE *a = fopen(zOne, "rb"), *b = fopen(zOther, "rb");
  int c;
  REQUIRE( a && b );
  do{ c = getc(a); }while( c==getc(b) && c!=EOF );
  fclose(a);
  fclose(b);
  return c==EOF;
}

static void testLog(const char *zFolder){
  static const char *const azName[] = { "one.db", "two.db" };
  libsql_wal_manager manager = sqlite3_wal_manager;
  sqlite3 *aDb[2];
  char azFile[2][500];
  unsigned char aFrame[24+4096];
  unsigned i, n;
  int conflict;
  manager.xOpen = countOpen;
  manager.xDestroy = countDestroy;
  for(i=0; i<2; i++){
    sqlite3_snprintf(sizeof(azFile[i]), azFile[i], "%s/%s", zFolder, azName[i]);
    remove(azFile[i]);
    REQUIRE( libsql_open_v3(azFile[i], &aDb[i], SQLITE_OPEN_READWRITE|SQLITE_OPEN_CREATE, 0, manager)==SQLITE_OK );
    REQUIRE( libsql_wal_disable_checkpoint(aDb[i])==SQLITE_OK );
  }
  REQUIRE( sqlite3_exec(aDb[0], "PRAGMA journal_mode=wal; CREATE TABLE t(x); BEGIN; INSERT INTO t VALUES(1); SAVEPOINT a;"
                                "INSERT INTO t VALUES(zeroblob(9000)); RELEASE a; COMMIT", 0, 0, 0)==SQLITE_OK );
  REQUIRE( nFrames==2 && nForget==1 );
  REQUIRE( libsql_wal_frame_count(aDb[0], &n)==SQLITE_OK && n>=5 );
  REQUIRE( libsql_wal_insert_begin(aDb[1])==SQLITE_OK );
  REQUIRE( sqlite3_exec(aDb[1], "SELECT * FROM sqlite_schema", 0, 0, 0)==SQLITE_BUSY );
  for(i=1; i<=n; i++){
    REQUIRE( libsql_wal_get_frame(aDb[0], i, aFrame, sizeof(aFrame))==SQLITE_OK );
    REQUIRE( libsql_wal_insert_frame(aDb[1], i, aFrame, sizeof(aFrame), &conflict)==SQLITE_OK && !conflict );
  }
  aFrame[100] ^= 1;
  REQUIRE( libsql_wal_insert_frame(aDb[1], n, aFrame, sizeof(aFrame), &conflict)==SQLITE_ERROR && conflict );
  REQUIRE( libsql_wal_insert_end(aDb[1])==SQLITE_OK );
  REQUIRE( nFrames==2+(int)n );
  for(i=0; i<2; i++){
    REQUIRE( sqlite3_exec(aDb[i], "SELECT x FROM t; PRAGMA wal_checkpoint(truncate)", 0, 0, 0)==SQLITE_OK );
    REQUIRE( sqlite3_close(aDb[i])==SQLITE_OK && nDestroy==(int)i+1 );
  }
  REQUIRE( sameFiles(azFile[0], azFile[1]) );
}

/* Vector functions, and each of their allocations failing in turn; a constant text is read once a statement. */
static void testVectors(void){
  static const char *zSql =
    "WITH t(v) AS (VALUES('[1,2]'),(vector('[3,4]')),('[5, 6e0]'))"
    " SELECT 1000*sum(vector_distance_l2(v, '[1,2]')>2) + sum(length(vector_extract(vector8(vector64(v)))))"
    " + vector_dims(vector_concat(vector_sum(v), vector_normalize(vector_avg(v)))) FROM t";
  sqlite3_int64 before = sqlite3_memory_used();
  int i, rc = SQLITE_NOMEM;
  for(i=1; rc!=SQLITE_ROW; i++){
    sqlite3 *db;
    sqlite3_stmt *pStmt = 0;
    REQUIRE( sqlite3_open(":memory:", &db)==SQLITE_OK );
    failAt = i;
    rc = sqlite3_prepare_v2(db, zSql, -1, &pStmt, 0);
    if( rc==SQLITE_OK ) rc = sqlite3_step(pStmt);
    failAt = 0;
    REQUIRE( rc==SQLITE_ROW || rc==SQLITE_NOMEM );
    if( rc==SQLITE_ROW ) REQUIRE( sqlite3_column_int(pStmt, 0)==2019 );
    sqlite3_finalize(pStmt);
    REQUIRE( sqlite3_close(db)==SQLITE_OK );
    REQUIRE( sqlite3_memory_used()==before );
  }
  REQUIRE( i>50 );
}

/* Each allocation fails in turn in the life of a vector index: what it holds stays what the table says, in the statement
** that failed and in those behind it, and nothing of it is left in the end. */
static void testVectorIndex(void){
  static const char *azSql[] = {
    "CREATE INDEX i ON t(libsql_vector_idx(v)) WHERE id<50",
    "INSERT INTO t SELECT id+20, vector(json_array(id, 7, id*id)) FROM t",
    "UPDATE t SET v=vector(json_array(1, id, 1)) WHERE id%3=0",
    "INSERT OR REPLACE INTO t VALUES(1, '[3,3,3]')",
    "DELETE FROM t WHERE id%5=1",
    "SELECT id FROM vector_top_k('i', '[1,2,3]', 3)",
    "REINDEX i",
    "BEGIN; SAVEPOINT s; DELETE FROM t; INSERT INTO t VALUES(2, '[1,2,3]'); ROLLBACK TO s; COMMIT",
    "ALTER TABLE t RENAME COLUMN v TO w; ALTER TABLE t RENAME COLUMN w TO v",
    "VACUUM",
    "DROP INDEX i",
  };
  sqlite3_int64 before = sqlite3_memory_used();
  int i, k, rc = SQLITE_NOMEM, any = 1, n = 0;
  for(k=0; k<(int)(sizeof(azSql)/sizeof(azSql[0])); k++){
    for(i=1, any=1; any; i++, n++){
      sqlite3 *db;
      int j;
      REQUIRE( sqlite3_open(":memory:", &db)==SQLITE_OK );
      run(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, v F32_BLOB(3))");
      run(db, "WITH n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<12)"
              " INSERT INTO t SELECT i, vector(json_array(i, i%5, 1)) FROM n");
      for(j=0; j<k; j++) REQUIRE( sqlite3_exec(db, azSql[j], 0, 0, 0)==SQLITE_OK );
      failAt = i;
      rc = sqlite3_exec(db, azSql[k], 0, 0, 0);
      any = failAt==0;
      failAt = 0;
      REQUIRE( rc==SQLITE_OK || (any && rc==SQLITE_NOMEM) );
      if( !sqlite3_get_autocommit(db) ) run(db, "ROLLBACK");
      requireText(db, "PRAGMA integrity_check", "ok");
      if( run(db, "SELECT count(*) FROM sqlite_schema WHERE name='i'") ){
        REQUIRE( run(db, "SELECT count(*) FROM (SELECT id FROM t WHERE id<50 EXCEPT SELECT index_key FROM i_shadow)")==0 );
        REQUIRE( run(db, "SELECT count(*) FROM (SELECT index_key FROM i_shadow EXCEPT SELECT id FROM t)")==0 );
        REQUIRE( run(db, "SELECT count(*) FROM vector_top_k('i', '[1,2,3]', 2)")==2 );
        run(db, "INSERT INTO t VALUES(NULL, '[9,9,9]')");
        run(db, "DROP INDEX i");
      }
      REQUIRE( run(db, "SELECT count(*) FROM sqlite_schema WHERE name<>'libsql_vector_meta_shadow'")==1 );
      REQUIRE( sqlite3_close(db)==SQLITE_OK );
      REQUIRE( sqlite3_memory_used()==before );
    }
  }
  REQUIRE( n>1000 );
}

/* Pages of a file under a key, in both journal modes; a wrong key and none; another key; none any more. */
static void testKeys(const char *zFolder){
  static const char *const azCipher[] = { "aes256cbc", "xaes256gcm", "sqlcipher", "chacha20" };
  static const char *const azMode[] = { "delete", "wal" };
  char *zFile = sqlite3_mprintf("%s/keys.db", zFolder), *zErr;
  int i, j;
  for(i=0; i<8; i++){
    sqlite3 *db = 0;
    sqlite3_stmt *pStmt;
    for(j=0; j<6; j++){
      static const char *const azKey[] = { "right", "wrong", "", "right", "other", "" };
      int rcWant = j==1 || j==2 ? SQLITE_NOTADB : SQLITE_OK;
      char *zSql = sqlite3_mprintf("PRAGMA cipher=%s", azCipher[i/2]);
      if( j==0 ) remove(zFile);
      REQUIRE( sqlite3_open(zFile, &db)==SQLITE_OK );
      REQUIRE( sqlite3_exec(db, zSql, 0, 0, 0)==SQLITE_OK );
      sqlite3_free(zSql);
      REQUIRE( sqlite3_key(db, azKey[j], -1)==SQLITE_OK );
      if( j==0 ){
        zSql = sqlite3_mprintf("PRAGMA journal_mode=%s; PRAGMA cache_size=5; CREATE TABLE t(a);"
            "INSERT INTO t SELECT zeroblob(500) FROM pragma_function_list; SAVEPOINT s; UPDATE t SET a=a||1;"
            "ROLLBACK TO s; RELEASE s; VACUUM", azMode[i%2]);
        REQUIRE( sqlite3_exec(db, zSql, 0, 0, &zErr)==SQLITE_OK );
        sqlite3_free(zSql);
      }
      REQUIRE( sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &pStmt, 0)==rcWant );
      if( pStmt ){
        REQUIRE( sqlite3_step(pStmt)==SQLITE_ROW );
        REQUIRE( strcmp((const char*)sqlite3_column_text(pStmt, 0), "ok")==0 );
      }
      (void)sqlite3_finalize(pStmt);
      if( j==3 ) REQUIRE( sqlite3_rekey(db, "other", 5)==SQLITE_OK );
      if( j==4 ) REQUIRE( sqlite3_rekey(db, 0, 0)==SQLITE_OK );
      REQUIRE( sqlite3_close(db)==SQLITE_OK );
    }
  }
  remove(zFile);
  sqlite3_free(zFile);
}

int main(int argc, char **argv){
  sqlite3_mem_methods mem;
  REQUIRE( sqlite3_config(SQLITE_CONFIG_GETMALLOC, &realMem)==SQLITE_OK );
  mem = realMem;
  mem.xMalloc = failingMalloc;
  mem.xRealloc = failingRealloc;
  REQUIRE( sqlite3_config(SQLITE_CONFIG_MALLOC, &mem)==SQLITE_OK );
  REQUIRE( sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0)==SQLITE_OK );
  REQUIRE( sqlite3_initialize()==SQLITE_OK );
  testClose();
  testRandomRowid();
  testFailingRowid();
  testStatement();
  testPreparedSql();
  testExtension();
  testFailingOpen();
  testAlterComments();
  testAlterColumn();
  REQUIRE( argc==2 );
  testLog(argv[1]);
  testKeys(argv[1]);
  testVectors();
  testVectorIndex();
  REQUIRE( sqlite3_shutdown()==SQLITE_OK );
  printf("%s\n", sqlite3_libversion());
  return 0;
}
