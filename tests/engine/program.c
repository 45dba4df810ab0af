/*
** program.c: a C program as it is written for libSQL: everything comes with sqlite3.h. It prints what it sees, a line
** for each test; test_c_program.py knows what that must be. Arguments: two loadable extensions.
*/
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "sqlite3.h"

/* See program_engine.c. */
void engine_set_rows_read(sqlite3_stmt *pStmt, sqlite3_uint64 n);

static sqlite3 *openDb(void){
  sqlite3 *db;
  if( sqlite3_open(":memory:", &db)!=SQLITE_OK ) exit(1);
  return db;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *zSql){
  sqlite3_stmt *pStmt = 0;
  if( sqlite3_prepare_v2(db, zSql, -1, &pStmt, 0)!=SQLITE_OK ) printf("%s: %s\n", zSql, sqlite3_errmsg(db));
  return pStmt;
}

static int printRow(void *pArg, int n, char **azValue, char **azName){
  int i;
  (void)pArg; (void)azName;
  for(i=0; i<n; i++) printf(" %s", azValue[i] ? azValue[i] : "NULL");
  return 0;
}

/* Run SQL and print the values or the error. */
static void run(sqlite3 *db, const char *zSql){
  char *zErr = 0;
  int rc = sqlite3_exec(db, zSql, printRow, 0, &zErr);
  if( rc!=SQLITE_OK ) printf(" [%d %s]", rc, zErr);
  sqlite3_free(zErr);
}

static void testVersion(void){
  printf("version: %s %s %s", LIBSQL_VERSION, libsql_version, libsql_libversion());
  printf(" %d\n", sqlite3_libversion_number()==SQLITE_VERSION_NUMBER);
}

/* The close hook: at every attempt, and in time to finalize a statement. */

static void closeHook(void *pArg, sqlite3 *db){
  sqlite3_stmt **ppStmt = pArg;
  printf(" closing(%s)", sqlite3_db_name(db, 0));
  sqlite3_finalize(*ppStmt);
  *ppStmt = 0;
}

static void testClose(void){
  sqlite3 *db = openDb();
  sqlite3_stmt *pStmt = 0, *pOther = prepare(db, "SELECT 1");
  printf("close: %d", libsql_close_hook(db, closeHook, &pStmt)==0);
  printf(" %d", sqlite3_close(db));
  printf(" %d", libsql_close_hook(db, closeHook, &pOther)==&pStmt);
  printf(" %d\n", sqlite3_close(db));
}

/* Statement interrupt, from another thread. */

static void *interrupter(void *pStmt){
  struct timespec wait = { 0, 100*1000*1000 };
  nanosleep(&wait, 0);
  libsql_stmt_interrupt(pStmt);
  return 0;
}

static void testInterrupt(void){
  sqlite3 *db = openDb();
  sqlite3_stmt *pStmt = prepare(db,
      "WITH n(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM n LIMIT 1000000000) SELECT count(*) FROM n");
  pthread_t thread;
  pthread_create(&thread, 0, interrupter, pStmt);
  printf("interrupt: %d", sqlite3_step(pStmt));
  pthread_join(thread, 0);
  printf(" %d", sqlite3_step(pStmt));
  run(db, "SELECT 'others run'");
  printf(" %d", sqlite3_reset(pStmt));
  printf(" %d\n", sqlite3_finalize(pStmt));
  sqlite3_close(db);
}

/* The row counters, which stop at the largest int. */

static void testCounters(void){
  sqlite3 *db = openDb();
  sqlite3_stmt *pStmt;
  run(db, "CREATE TABLE t(a PRIMARY KEY, b)");
  pStmt = prepare(db, "INSERT INTO t VALUES(1, 2), (3, 4)");
  sqlite3_step(pStmt);
  printf("counters: %d", sqlite3_stmt_status(pStmt, LIBSQL_STMTSTATUS_ROWS_WRITTEN, 0));
  sqlite3_finalize(pStmt);
  pStmt = prepare(db, "SELECT count(b) FROM t");
  sqlite3_step(pStmt);
  printf(" %d", sqlite3_stmt_status(pStmt, LIBSQL_STMTSTATUS_ROWS_READ, 1));
  printf(" %d", sqlite3_stmt_status(pStmt, LIBSQL_STMTSTATUS_ROWS_READ, 0));
  engine_set_rows_read(pStmt, 0xfffffffe);
  sqlite3_reset(pStmt);
  sqlite3_step(pStmt);
  printf(" %d\n", sqlite3_stmt_status(pStmt, LIBSQL_STMTSTATUS_ROWS_READ, 0));
  sqlite3_finalize(pStmt);
  sqlite3_close(db);
}

static void testSql(void){
  sqlite3 *db = openDb();
  printf("sql:");
  run(db, "CREATE TABLE t(a) RANDOM ROWID; INSERT INTO t VALUES(1), (2); BEGIN READONLY; COMMIT;");
  run(db, "SELECT min(rowid) > 0, max(rowid) - min(rowid) > 1000 FROM t");
  run(db, "CREATE TABLE u(a PRIMARY KEY) RANDOM ROWID, WITHOUT ROWID");
  printf("\n");
  sqlite3_close(db);
}

/* A virtual table "told" with the rows 1 and 2. It prints the SQL that it is told. */

typedef struct Cursor {
  sqlite3_vtab_cursor base;
  int row;
} Cursor;

static int vtConnect(sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab, char **pzErr){
  (void)pAux; (void)argc; (void)argv; (void)pzErr;
  *ppVtab = sqlite3_malloc(sizeof(**ppVtab));
  if( *ppVtab==0 ) return SQLITE_NOMEM;
  memset(*ppVtab, 0, sizeof(**ppVtab));
  return sqlite3_declare_vtab(db, "CREATE TABLE x(a)");
}
static int vtDisconnect(sqlite3_vtab *p){ sqlite3_free(p); return SQLITE_OK; }
static int vtBestIndex(sqlite3_vtab *p, sqlite3_index_info *pInfo){ (void)p; (void)pInfo; return SQLITE_OK; }
static int vtOpen(sqlite3_vtab *p, sqlite3_vtab_cursor **ppCursor){
  Cursor *pCur = sqlite3_malloc(sizeof(*pCur));
  (void)p;
  if( pCur==0 ) return SQLITE_NOMEM;
  memset(pCur, 0, sizeof(*pCur));
  *ppCursor = &pCur->base;
  return SQLITE_OK;
}
static int vtClose(sqlite3_vtab_cursor *p){ sqlite3_free(p); return SQLITE_OK; }
static int vtFilter(sqlite3_vtab_cursor *p, int iIdx, const char *zIdx, int argc, sqlite3_value **argv){
  (void)iIdx; (void)zIdx; (void)argc; (void)argv;
  ((Cursor*)p)->row = 1;
  return SQLITE_OK;
}
static int vtNext(sqlite3_vtab_cursor *p){ ((Cursor*)p)->row++; return SQLITE_OK; }
static int vtEof(sqlite3_vtab_cursor *p){ return ((Cursor*)p)->row>2; }
static int vtColumn(sqlite3_vtab_cursor *p, sqlite3_context *ctx, int i){
  (void)i;
  sqlite3_result_int(ctx, ((Cursor*)p)->row);
  return SQLITE_OK;
}
static int vtRowid(sqlite3_vtab_cursor *p, sqlite3_int64 *pRowid){ *pRowid = ((Cursor*)p)->row; return SQLITE_OK; }
static int vtPreparedSql(sqlite3_vtab_cursor *p, const char *zSql){
  printf(" {%s}", zSql);
  if( strstr(zSql, "forbidden")==0 ) return SQLITE_OK;
  p->pVtab->zErrMsg = sqlite3_mprintf("not this");
  return SQLITE_PERM;
}

static const sqlite3_module toldModule = {
  .iVersion = 700,
  .xConnect = vtConnect, .xBestIndex = vtBestIndex, .xDisconnect = vtDisconnect, .xOpen = vtOpen, .xClose = vtClose,
  .xFilter = vtFilter, .xNext = vtNext, .xEof = vtEof, .xColumn = vtColumn, .xRowid = vtRowid,
  .xPreparedSql = vtPreparedSql,
};

static void testPreparedSql(void){
  sqlite3 *db = openDb();
  sqlite3_module older = toldModule;
  older.iVersion = 4;
  sqlite3_create_module(db, "told", &toldModule, 0);
  sqlite3_create_module(db, "untold", &older, 0);
  run(db, "CREATE VIEW v AS SELECT a FROM told");
  printf("prepared sql:");
  run(db, "SELECT a FROM told");
  run(db, "SELECT a FROM v");
  run(db, "SELECT told.a FROM json_each('[1,2]') CROSS JOIN told");
  run(db, "SELECT a FROM untold");
  run(db, "SELECT a AS forbidden FROM told");
  printf("\n");
  sqlite3_close(db);
}

/* Extensions: loaded ones with four parameters and with three, and an automatic one. */

static void noteClose(void *pArg, sqlite3 *db){
  (void)db;
  printf(" %s", (const char*)pArg);
}

static int automatic(sqlite3 *db, char **pzErr, const sqlite3_api_routines *pApi, const libsql_api_routines *pLibsql){
  (void)pzErr; (void)pApi;
  pLibsql->close_hook(db, noteClose, "automatic");
  return SQLITE_OK;
}

static void load(const char *zFile){
  int i;
  for(i=0; i<2; i++){
    sqlite3 *db = openDb();
    char *zErr = 0;
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, 0);
    if( sqlite3_load_extension(db, zFile, "sqlite3_extension_init", &zErr)!=SQLITE_OK ) printf(" %s", zErr);
    sqlite3_free(zErr);
    run(db, "SELECT extension_closed()");
    sqlite3_close(db);
  }
}

static void testExtensions(const char *zFour, const char *zThree){
  printf("extensions:");
  load(zFour);
  load(zThree);
  sqlite3_auto_extension((void(*)(void))automatic);
  sqlite3_close(openDb());
  sqlite3_reset_auto_extension();
  printf("\n");
}

int main(int argc, char **argv){
  if( argc!=3 ) return 2;
  testVersion();
  testClose();
  testInterrupt();
  testCounters();
  testSql();
  testPreparedSql();
  testExtensions(argv[1], argv[2]);
  return sqlite3_shutdown();
}
