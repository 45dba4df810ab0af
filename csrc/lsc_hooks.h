/*
** lsc_hooks.h: what the patched amalgamation calls. Included by it right behind sqliteInt.h, so every type of SQLite
** is known here; the functions are defined in csrc/, later in the same translation unit.
**
** The per-connection state may be NULL: b-trees and pagers exist without a full connection (failed opens, a shared
** cache that outlives its connection). Every hook takes NULL as stock behaviour.
*/
#ifndef LSC_HOOKS_H
#define LSC_HOOKS_H

#include "libsql.h"

/* What makes the logs of a pager; wal/registry.c. */
typedef struct LscWalManager LscWalManager;

/* Our state of one connection. Owned by sqlite3.pLsc; guarded by the connection's mutex. */
typedef struct LscConn LscConn;
struct LscConn {
  void (*xClose)(void *pArg, sqlite3 *db);  /* the close hook, or NULL */
  void *pCloseArg;                          /* borrowed: the hook's argument */
  LscWalManager *pWalManager;               /* one reference; NULL for the default log */
  int nInLog;                               /* methods of a log that run: no SQL */
  struct lsc_replog *pReplog;               /* borrowed: what logs the commits of database "main" for replicas, or NULL */
  u8 bNoCheckpoint;                         /* libsql_wal_disable_checkpoint() was called */
  /* While the default log runs a checkpoint that somebody watches: what to call for each page. */
  int (*xCkptPage)(void *pArg, int mxSafeFrame, const unsigned char *pPage, int nPage, int pgno, int iFrame);
  void *pCkptArg;
  int (*xWatch)(void *pArg, i64 nDone, i64 nTotal);   /* called while a vector index fills, or NULL */
  void *pWatchArg;                          /* borrowed */
  u8 alterCheck;                            /* PRAGMA libsql_alter_check */
  void *pScanSets;                          /* columns kept for vector searches: ScanSet, vec/scan.c */
  u64 nScanLimit;                           /* bytes that they may take, PRAGMA libsql_vector_cache */
  u32 nCountPage;                           /* pages that COUNT(*) visited */
  struct LscIndex *pVecIndexes;             /* vector indexes that are open or kept, vec/index.h */
  u64 nVecBuild;                            /* bytes for building one, PRAGMA libsql_vector_build_memory */
  u8 vecOrder;                              /* PRAGMA libsql_vector_order */
  const struct LscCipher *pCipher;          /* PRAGMA cipher: the next key's; NULL for the file's own */
  u8 nClear;                                /* PRAGMA cipher_plaintext_header_size */
  u8 bKeyed;                                /* a database had a key: nothing temporary is stored in plain */
  u8 iVacuum;                               /* 1 + the database that VACUUM attaches another for */
  u8 bReserve, nReserve;                    /* while VACUUM changes the bytes reserved in pages: how many there will be */
  char zError[120];                         /* text of an error of a codec */
  struct LscWasm *pWasm;                    /* functions in WebAssembly, wasm/wasm.h; NULL until there may be some */
};

/* Our state of one statement: Vdbe.lsc, all zero at first. See core/stmt.c. */
typedef struct LscStmt LscStmt;
struct LscStmt {
  u64 nRead, nWritten;                      /* rows, since the counter was reset */
  int interrupted;                          /* atomic; set by any thread */
  int inStep;                               /* sqlite3_step() is under way */
  u8 vecSchema;                             /* 1 + number of the database whose schema it changed beside its own work */
  u8 vecAdopt;                              /* CREATE INDEX found the rows of a vector index */
  u8 bSecret;                               /* its text has a key in it: LSC_SECRET_... */
  char *zWhole;                             /* owned: then the text that the statement can be compiled from */
};
enum { LSC_SECRET_PRAGMA = 1, LSC_SECRET_CLAUSE };

/* Pager.lscAhead, all zero at first: core/read_ahead.c. */
typedef struct LscReadAhead LscReadAhead;
struct LscReadAhead {
  u8 *a;                                    /* owned; NULL until it is needed */
  Pgno first;                               /* the first page in it */
  u32 n;                                    /* how many it holds */
  u32 iVersion;                             /* Pager.iDataVersion when they were read */
  Pgno next;                                /* the one behind the last that was asked for */
  u32 nRun;                                 /* pages in order until then */
};
static int lsc_read_page(Pager *pPager, Pgno pgno, u8 *aPage, i64 iOffset);
static void lsc_ahead_end(Pager *pPager);

/* core/conn.c. lsc_conn_new() gives SQLITE_OK or SQLITE_NOMEM; lsc_conn_free() may be called again. */
static int lsc_conn_new(sqlite3 *db);
static void lsc_conn_free(sqlite3 *db);
static int lsc_conn_start(sqlite3 *db);
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
static void lsc_wal_methods_pointer(Pager *pPager, void *pOut);

/* core/stmt.c. The ints that are returned are result codes, but for that of lsc_stmt_status(). */
static int lsc_step_begin(Vdbe *p);
static void lsc_step_end(Vdbe *p);
static void lsc_stmt_reset(Vdbe *p);
static void lsc_swap_begin(void);
static void lsc_swap_end(Vdbe *pA, Vdbe *pB);
static int lsc_stmt_status(Vdbe *p, int op, int resetFlag);
static void lsc_count_page(sqlite3 *db);
static u32 lsc_take_pages(sqlite3 *db);
static int lsc_prepared_sql(Vdbe *p, sqlite3_vtab_cursor *pCur);
/* Read at each jump: AtomicLoad() would take a register and two instructions more, which is measurable. */
#define lsc_interrupted(p) (*(volatile int*)&(p)->lsc.interrupted)

/* vec/index_watch.c. */
static int lsc_watched(sqlite3 *db, u64 nDone, u64 nTotal);

/* sql/rowid.c. The flag is free in Table.tabFlags, and private to memory. */
#define TF_LscRandomRowid 0x01000000
static int lsc_word(const char *z, i64 n, int prev);
static u32 lsc_rowid_option(const Token *pWord);
static int lsc_random_rowid(Parse *pParse, Table *p, u32 tabOpts);
static int lsc_no_transfer(sqlite3 *db, const Table *pDest);

/* core/process.c. Called once, while SQLite registers its own functions. */
static void lsc_register_functions(void);

/* sql/parse.c. Not 0: the statement at *pzSql was one of ours; it is compiled, or its error noted in pParse, and *pzSql
** is behind it. */
static int lsc_parse(Parse *pParse, const char **pzSql);

/* vec/index_cache.c. A savepoint of a write transaction is released or rolled back to, -1: the first state of the
** transaction; or it ends by a rollback. A statement opens a table or an index to write, or clears it. */
#define LSC_WHOLE_TRANSACTION (-2)
static void lsc_btree_savepoint(Btree *pBt, int op, int iSavepoint);
static void lsc_btree_touched(Btree *pBt, Pgno iRoot);
static void lsc_btree_committed(Btree *pBt);
static void lsc_indexes_forget(sqlite3 *db);          /* the connection closes */

/* vec/index_ddl.c. Each is said there. */
static int lsc_vec_using(Parse *pParse, const char **pzSql);
static void lsc_vec_terms(Parse *pParse, ExprList *pList);
static int lsc_vec_index(Parse *pParse, Index *pIdx);
static void lsc_vec_key(Parse *pParse, const Index *pIdx, KeyInfo *pKey);
static void lsc_vec_create(Parse *pParse, const Index *pIdx);
static void lsc_vec_refill(Parse *pParse, const Index *pIdx, KeyInfo *pKey, int isCreate);
static void lsc_vec_drop(Parse *pParse, const Index *pIdx, int iDb);
static void lsc_vec_drop_table(Parse *pParse, const Table *pTab, int iDb);
static void lsc_vec_clear(Parse *pParse, const Index *pIdx, int iDb);
static void lsc_vec_may_abort(Parse *pParse);
static void lsc_vec_step_end(Vdbe *p);

/* vec/order.c. */
static void lsc_vec_order(Parse *pParse, Select *p);

/* vec/index_rows.c. The ints are result codes; the error text is the statement's. */
struct VdbeCursor;
static int lsc_vec_insert(Vdbe *p, struct VdbeCursor *pC, const Mem *pRec);
static int lsc_vec_delete(Vdbe *p, struct VdbeCursor *pC, const VdbeOp *pOp, Mem *aMem);
static int lsc_vec_fill_open(Vdbe *p, struct VdbeCursor *pC);
static int lsc_vec_fill_add(Vdbe *p, struct VdbeCursor *pC, const Mem *pRec);
static int lsc_vec_fill_end(Vdbe *p, struct VdbeCursor *pC);
static void lsc_vec_close(struct VdbeCursor *pC);

/* sql/alter_check.c. Whether the pragma is one of ours, and done. */
static int lsc_pragma(Parse *pParse, int iDb, const char *zName, const char *zValue);

/* codec/pages.c: what pages pass through; each is said there. The pointers are NULL, or the ints result codes. */
typedef struct LscCodec LscCodec;
struct BtShared;
static char *lsc_file_page(Pager *pPager, PgHdr *pPg, int *pRc);
static void lsc_write_list(Pager *pPager);
static int lsc_stress(PCache *pCache, PgHdr *pPg);
static int lsc_spill(Pager *pPager, PgHdr *pPg);
static int lsc_frame_room(PgHdr *pPg, const u8 *aFrame);
static int lsc_journal_page(Pager *pPager, Pgno pgno, char **ppData, u32 *pCksum);
static char *lsc_statement_page(Pager *pPager, void *pData, int *pRc);
static int lsc_record_read(Pager *pPager, sqlite3_file *pFile, int bMain, Pgno pgno, i64 iRecord, char *aData);
static int lsc_record_sums(Pager *pPager, char *aData, u32 cksum);
static int lsc_record_restore(Pager *pPager, int bMain, Pgno pgno, char *aData, i64 iOffset);
static int lsc_record_use(Pager *pPager, int bMain);
static int lsc_page_read(PgHdr *pPg);
static int lsc_page_kept(PgHdr *pPg);
static void lsc_shrink(Pager *pPager);
static i64 lsc_mmap_limit(Pager *pPager);
static const char *lsc_error_text(sqlite3 *db, int rc);

/* codec/check.c: before a pager uses a hot journal, a log or its file. */
static int lsc_shared_lock(Pager *pPager, int bHot);
static int lsc_before_log(Pager *pPager);

/* codec/key.c */
static int lsc_attach_key(sqlite3 *db, sqlite3_value *pKey, char **pzErr);
static void lsc_key_clause(Parse *pParse);
static char *lsc_statement_text(Vdbe *p, const char *z, int n);
static const char *lsc_whole_text(Vdbe *p);
static void lsc_page_size(struct BtShared *pBt, int *pnPage, int *pnReserve);
static void lsc_secure_delete(Btree *p);
static int lsc_vacuum_reserve(sqlite3 *db, int iDb, Btree *pTo, int bInto, int nReserve);

/* codec/backup.c */
static int lsc_backup_begin(sqlite3_backup *p);
static int lsc_backup_fits(sqlite3_backup *p, int nFrom, int nTo);
static int lsc_backup_step(sqlite3_backup *p, int rc);
static void lsc_backup_end(sqlite3 *db);

/* wasm/stored.c: before SQLite looks up a function, or the module of a table that the schema lacks. */
static void lsc_function_sought(sqlite3 *db, const char *zName);
static Module *lsc_module_sought(Parse *pParse, const char *zName);
static int lsc_sought_failed(sqlite3 *db);

/* wasm/file.c: load_extension() of a file that ends with .wasm. */
static int lsc_is_wasm_file(const char *zFile);
static int lsc_wasm_extension(sqlite3 *db, const char *zFile, const char *zProc, char **pzErr);

#define lsc_keyed(db) ((db)->pLsc && (db)->pLsc->bKeyed)
#define lsc_vacuum_attach(db, i) do{ if( (db)->pLsc ) (db)->pLsc->iVacuum = (u8)(i); }while( 0 )

#endif
