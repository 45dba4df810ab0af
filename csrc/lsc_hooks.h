/*
** lsc_hooks.h: what the patched amalgamation calls. Included by it right behind sqliteInt.h, so every type of SQLite
** is known here; the functions are defined in csrc/, later in the same translation unit.
**
** The per-connection state may be NULL: b-trees and pagers exist without a full connection (failed opens, a shared
** cache that outlives its connection). Every hook takes NULL as stock behaviour.
*/
#ifndef LSC_HOOKS_H
#define LSC_HOOKS_H

/* Our state of one connection. Owned by sqlite3.pLsc; guarded by the connection's mutex. */
typedef struct LscConn LscConn;
struct LscConn {
  void (*xClose)(void *pArg, sqlite3 *db);  /* the close hook, or NULL */
  void *pCloseArg;                          /* borrowed: the hook's argument */
};

/* core/conn.c. lsc_conn_new() gives SQLITE_OK or SQLITE_NOMEM; lsc_conn_free() may be called again. */
static int lsc_conn_new(sqlite3 *db);
static void lsc_conn_free(sqlite3 *db);
static void lsc_close_hook(sqlite3 *db);

/* core/process.c. Called once, while SQLite registers its own functions. */
static void lsc_register_functions(void);

#endif
