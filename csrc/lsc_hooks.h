/*
** lsc_hooks.h: what the patched amalgamation calls. Included by it right behind sqliteInt.h, so every type of SQLite
** is known here; the functions are defined in csrc/, later in the same translation unit.
**
** The per-connection state may be NULL: b-trees and pagers exist without a full connection (failed opens, a shared
** cache that outlives its connection). Every hook takes NULL as stock behaviour.
*/
#ifndef LSC_HOOKS_H
#define LSC_HOOKS_H

/* What makes the logs of a pager; wal/registry.c. */
typedef struct LscWalManager LscWalManager;

/* Our state of one connection. Owned by sqlite3.pLsc; guarded by the connection's mutex. */
typedef struct LscConn LscConn;
struct LscConn {
  void (*xClose)(void *pArg, sqlite3 *db);  /* the close hook, or NULL */
  void *pCloseArg;                          /* borrowed: the hook's argument */
  LscWalManager *pWalManager;               /* one reference; NULL for the default log */
  u8 bNoCheckpoint;                         /* libsql_wal_disable_checkpoint() was called */
  /* While the default log runs a checkpoint that somebody watches: what to call for each page. */
  int (*xCkptPage)(void *pArg, int mxSafeFrame, const unsigned char *pPage, int nPage, int pgno, int iFrame);
  void *pCkptArg;
};

/* core/conn.c. lsc_conn_new() gives SQLITE_OK or SQLITE_NOMEM; lsc_conn_free() may be called again. */
static int lsc_conn_new(sqlite3 *db);
static void lsc_conn_free(sqlite3 *db);
static void lsc_close_hook(sqlite3 *db);

/* wal/registry.c. The manager for a pager that was just opened, and its release; SQLITE_ERROR for a wal= parameter of a
** file name that names no manager. */
static int lsc_pager_opened(sqlite3 *db, Pager *pPager);
static void lsc_pager_closed(Pager *pPager);
static int lsc_wal_known(const char *zFile, char **pzErrMsg);

/* wal/stock.c and wal/frames.c. */
static int lsc_checkpoint_page(sqlite3 *db, u32 mxSafeFrame, const u8 *aPage, int nPage, Pgno pgno, u32 iFrame);
static void lsc_checkpoints_on(sqlite3 *db);

/* wal/dispatch.c; more of it is in wal/map.h. */
#ifndef SQLITE_FCNTL_WAL_METHODS_POINTER
# define SQLITE_FCNTL_WAL_METHODS_POINTER 129
#endif
static void lsc_wal_methods_pointer(Pager *pPager, void *pOut);

/* core/process.c. Called once, while SQLite registers its own functions. */
static void lsc_register_functions(void);

#endif
