/*
** program_extension.c: an extension as it is written for libSQL, with a fourth parameter; and, when PLAIN is defined,
** one with three, as it is written for SQLite.
*/
#include "sqlite3ext.h"
SQLITE_EXTENSION_INIT1
#ifndef PLAIN
LIBSQL_EXTENSION_INIT1
#endif

/* extension_closed(): how many connections with this extension were closed. */
static int nClosed;

static void closedFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  (void)argc; (void)argv;
  sqlite3_result_int(ctx, nClosed);
}

#ifndef PLAIN
static void closing(void *pCount, sqlite3 *db){
  if( sqlite3_get_autocommit(db) ) ++*(int*)pCount;
}
#endif

#ifdef _WIN32
__declspec(dllexport)
#endif
int sqlite3_extension_init(
  sqlite3 *db,
  char **pzErrMsg,
  const sqlite3_api_routines *pApi
#ifndef PLAIN
  , const libsql_api_routines *pLibsqlApi
#endif
){
  SQLITE_EXTENSION_INIT2(pApi)
#ifndef PLAIN
  LIBSQL_EXTENSION_INIT2(pLibsqlApi)
  libsql_close_hook(db, closing, &nClosed);
#endif
  (void)pzErrMsg;
  if( sqlite3_create_function(db, "extension_closed", 0, SQLITE_UTF8, 0, closedFunc, 0, 0)!=SQLITE_OK ) return 1;
  return SQLITE_OK_LOAD_PERMANENTLY;    /* nClosed outlives the connections */
}
