/*
** libsql.h: the public C interface of libsql_core beyond SQLite's own.
**
** Include this instead of, or behind, sqlite3.h. Every function here follows SQLite's conventions: UTF-8 in and out,
** result codes of sqlite3.h, safe to call from several threads where the sqlite3_* functions of the same object are.
*/
#ifndef LIBSQL_H
#define LIBSQL_H

#include "sqlite3.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The libSQL release whose SQL and C additions this engine follows. */
#define LIBSQL_VERSION "0.2.3"

/* Borrowed, static: LIBSQL_VERSION; and what this engine was built from, "libsql_core VERSION HASH" (the hash covers
** the patch queue and csrc/). SQL: libsql_version(), libsql_source_id(). */
const char *libsql_libversion(void);
const char *libsql_sourceid(void);

/*
** Have xClose(pArg, db) called at the very start of every sqlite3_close() or sqlite3_close_v2() of this connection,
** before anything is cleaned up; it may still run SQL and finalize statements. A close that is refused as busy has
** called it already and calls it again when retried. One hook per connection; NULL removes it. Returns the previous
** pArg. The engine never frees pArg.
*/
void *libsql_close_hook(sqlite3 *db, void (*xClose)(void *pArg, sqlite3 *db), void *pArg);

#ifdef __cplusplus
}
#endif
#endif
