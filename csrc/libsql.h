/*
** libsql.h: the public C interface of libsql_core beyond SQLite's own.
**
** The sqlite3.h that lies beside it includes this at its end; include either. Every function here follows SQLite's
** conventions: UTF-8 in and out, result codes of sqlite3.h, safe to call from several threads where the sqlite3_*
** functions of the same object are.
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

/* LIBSQL_VERSION as an object. Only for what is linked with the engine. */
extern const char libsql_version[];

/*
** Have xClose(pArg, db) called at the very start of every sqlite3_close() or sqlite3_close_v2() of this connection,
** before anything is cleaned up; it may still run SQL and finalize statements. A close that is refused as busy has
** called it already and calls it again when retried. One hook per connection; NULL removes it. Returns the previous
** pArg. The engine never frees pArg.
*/
void *libsql_close_hook(sqlite3 *db, void (*xClose)(void *pArg, sqlite3 *db), void *pArg);

/*
** Encryption at rest: the key of a database (NULL zDb: "main"), given before its first page is read, and another key for
** the database as it is. nKey < 0: up to a NUL; 0: no key. The bytes are a passphrase; text of the form x'64 digits' is
** the key itself, except for aes256cbc. A wrong key is noticed by the first read, which fails with SQLITE_NOTADB.
*/
int sqlite3_key(sqlite3 *db, const void *pKey, int nKey);
int sqlite3_key_v2(sqlite3 *db, const char *zDb, const void *pKey, int nKey);
int sqlite3_rekey(sqlite3 *db, const void *pKey, int nKey);
int sqlite3_rekey_v2(sqlite3 *db, const char *zDb, const void *pKey, int nKey);

/*
** Virtual WAL: a write-ahead log of one's own under a database.
**
** A manager makes logs; a log is a table of methods and an object of the manager's. Both structures are libSQL's,
** member for member. The pager calls every method under the mutex of its connection (or of the shared cache); a manager
** that serves several connections does its own locking. Methods return result codes unless said otherwise; frames are
** numbered from 1. docs/wal.md describes each method and the order of the calls.
*/
#ifdef LIBSQL_WAL_V1
# define libsql_wal_methods libsql_wal_methods_v2
# define libsql_wal libsql_wal_v2
#endif
typedef struct wal_impl wal_impl;                   /* the log object of a manager */
typedef struct wal_manager_impl wal_manager_impl;   /* the state of a manager */
typedef struct sqlite3_wal sqlite3_wal;             /* wal_impl of the default log */
typedef struct libsql_wal_methods libsql_wal_methods;
typedef struct libsql_wal libsql_wal;
typedef struct libsql_wal_manager libsql_wal_manager;
typedef struct libsql_pghdr libsql_pghdr;

/* A page that xFrames writes. Only pData, pDirty (the next page, in ascending order of pgno) and pgno are of use. */
struct libsql_pghdr {
  void *pPage;
  void *pData;                          /* the content, szPage bytes */
  void *pExtra;
  void *pCache;
  libsql_pghdr *pDirty;
  void *pPager;
  unsigned int pgno;
  unsigned int pageHash;
  unsigned short flags;
  long long nRef;
  libsql_pghdr *pDirtyNext;
  libsql_pghdr *pDirtyPrev;
};

struct libsql_wal_methods {
  int iVersion;                         /* 2; 1 for a table that ends before xSavepointForget */
  void (*xLimit)(wal_impl*, long long limit);
  int (*xBeginReadTransaction)(wal_impl*, int *changed);
  void (*xEndReadTransaction)(wal_impl*);
  int (*xFindFrame)(wal_impl*, unsigned int pgno, unsigned int *frame);
  int (*xReadFrame)(wal_impl*, unsigned int frame, int nOut, unsigned char *pOut);
  int (*xReadFrameRaw)(wal_impl*, unsigned int frame, int nOut, unsigned char *pOut);
  unsigned int (*xDbsize)(wal_impl*);
  int (*xBeginWriteTransaction)(wal_impl*);
  int (*xEndWriteTransaction)(wal_impl*);
  int (*xUndo)(wal_impl*, int (*xUndo)(void*, unsigned int pgno), void *pUndoCtx);
  void (*xSavepoint)(wal_impl*, unsigned int *aWalData);
  int (*xSavepointUndo)(wal_impl*, unsigned int *aWalData);
  int (*xFrameCount)(wal_impl*, int locked, unsigned int *count);
  int (*xFrames)(wal_impl*, int szPage, libsql_pghdr *pList, unsigned int nTruncate, int isCommit, int syncFlags,
                 int *pnFrames);
  int (*xCheckpoint)(wal_impl*, sqlite3 *db, int eMode, int (*xBusy)(void*), void *pBusyArg, int syncFlags,
                     int nBuf, unsigned char *zBuf, int *pnLog, int *pnCkpt,
                     int (*xPage)(void*, int mxSafeFrame, const unsigned char *pPage, int nPage, int pgno, int frame),
                     void *pPageArg);
  int (*xCallback)(wal_impl*);
  int (*xExclusiveMode)(wal_impl*, int op);
  int (*xHeapMemory)(wal_impl*);
  int (*xSnapshotGet)(wal_impl*, void **ppSnapshot);
  void (*xSnapshotOpen)(wal_impl*, void *pSnapshot);
  int (*xSnapshotRecover)(wal_impl*);
  int (*xSnapshotCheck)(void*, void *pSnapshot);
  void (*xSnapshotUnlock)(wal_impl*);
  int (*xFramesize)(wal_impl*);
  sqlite3_file *(*xFile)(wal_impl*);
  int (*xWriteLock)(wal_impl*, int bLock);
  void (*xDb)(wal_impl*, sqlite3 *db);
  void (*xSavepointForget)(wal_impl*, unsigned int *aWalData);
};

struct libsql_wal {
  libsql_wal_methods methods;
  wal_impl *pData;
};

struct libsql_wal_manager {
  int bUsesShm;                         /* 0: WAL mode also where the VFS has no shared memory */
  int (*xOpen)(wal_manager_impl*, sqlite3_vfs*, sqlite3_file*, int no_shm, long long max_size, const char *zMainDb,
               libsql_wal *out);
  int (*xClose)(wal_manager_impl*, wal_impl*, sqlite3 *db, int syncFlags, int nBuf, unsigned char *zBuf);
  int (*xLogDestroy)(wal_manager_impl*, sqlite3_vfs*, const char *zMainDb);
  int (*xLogExists)(wal_manager_impl*, sqlite3_vfs*, const char *zMainDb, int *pExists);
  void (*xDestroy)(wal_manager_impl*);  /* may be NULL */
  wal_manager_impl *pData;
};

/* The default log, SQLite's own, as a manager: for managers that add to it. */
extern const libsql_wal_manager sqlite3_wal_manager;

/*
** Open a connection whose databases, attached ones included, get their logs from a manager. libsql_open() and
** libsql_open_v2() take the name of a registered one, NULL or "" for the default; pWalData, if not NULL, takes the
** place of its pData. A file name with the URI parameter wal=NAME chooses for that file alone.
**
** A manager handed over is owned from then on, also when the call fails: xDestroy is called once, when the last
** connection and file that use it are closed and, for a registered one, its name is gone.
*/
int libsql_open(const char *zFilename, sqlite3 **ppDb, int flags, const char *zVfs, const char *zWal);
int libsql_open_v2(const char *zFilename, sqlite3 **ppDb, int flags, const char *zVfs, const char *zWal,
                   void *pWalData);
int libsql_open_v3(const char *zFilename, sqlite3 **ppDb, int flags, const char *zVfs, libsql_wal_manager manager);

/*
** Named managers of the process. A name is case-sensitive and may not begin with "default" (SQLITE_MISUSE); a second
** one of the same name replaces the first for connections opened from then on. find() gives NULL for an unknown name,
** the default manager for NULL, "" and "default"; the result is valid while the name is registered. next() walks
** through the names, from NULL; unregister() of an unknown name is SQLITE_NOTFOUND.
*/
int libsql_wal_manager_register(const char *zName, libsql_wal_manager manager);
int libsql_wal_manager_unregister(const char *zName);
const libsql_wal_manager *libsql_wal_manager_find(const char *zName);
const char *libsql_wal_manager_next(const char *zName);

/*
** The first generation of WAL methods (libSQL of 2023): tables with a name, whose logs begin with a libsql_wal. Define
** LIBSQL_WAL_V1 before this header to compile a program that was written for it: the two structures then have their
** old names, and those of above end in _v2. register() keeps the pointer; names are shared with the managers.
** libsql_open_v2() puts its pWalData into pMethodsData, unless xOpen has put something there.
*/
#ifdef LIBSQL_WAL_V1
# undef libsql_wal_methods
# undef libsql_wal
# define libsql_wal_methods_v1 libsql_wal_methods
# define libsql_wal_v1 libsql_wal
#endif
typedef struct libsql_wal_methods_v1 libsql_wal_methods_v1;
typedef struct libsql_wal_v1 libsql_wal_v1;

struct libsql_wal_v1 {
  libsql_wal_methods_v1 *pMethods;      /* what the pager calls */
  void *pMethodsData;                   /* for the table's use */
  sqlite3_wal *pStock;                  /* of the default table: SQLite's own log */
};

struct libsql_wal_methods_v1 {
  int iVersion;                         /* 1 */
  int (*xOpen)(sqlite3_vfs*, sqlite3_file*, const char *zWalName, int no_shm, long long max_size,
               libsql_wal_methods_v1*, libsql_wal_v1 **ppWal);
  int (*xClose)(libsql_wal_v1*, sqlite3 *db, int syncFlags, int nBuf, unsigned char *zBuf);
  void (*xLimit)(libsql_wal_v1*, long long limit);
  int (*xBeginReadTransaction)(libsql_wal_v1*, int *changed);
  void (*xEndReadTransaction)(libsql_wal_v1*);
  int (*xFindFrame)(libsql_wal_v1*, unsigned int pgno, unsigned int *frame);
  int (*xReadFrame)(libsql_wal_v1*, unsigned int frame, int nOut, unsigned char *pOut);
  unsigned int (*xDbsize)(libsql_wal_v1*);
  int (*xBeginWriteTransaction)(libsql_wal_v1*);
  int (*xEndWriteTransaction)(libsql_wal_v1*);
  int (*xUndo)(libsql_wal_v1*, int (*xUndo)(void*, unsigned int pgno), void *pUndoCtx);
  void (*xSavepoint)(libsql_wal_v1*, unsigned int *aWalData);
  int (*xSavepointUndo)(libsql_wal_v1*, unsigned int *aWalData);
  int (*xFrames)(libsql_wal_v1*, int szPage, libsql_pghdr *pList, unsigned int nTruncate, int isCommit, int syncFlags);
  int (*xCheckpoint)(libsql_wal_v1*, sqlite3 *db, int eMode, int (*xBusy)(void*), void *pBusyArg, int syncFlags,
                     int nBuf, unsigned char *zBuf, int *pnLog, int *pnCkpt);
  int (*xCallback)(libsql_wal_v1*);
  int (*xExclusiveMode)(libsql_wal_v1*, int op);
  int (*xHeapMemory)(libsql_wal_v1*);
  int (*xSnapshotGet)(libsql_wal_v1*, void **ppSnapshot);     /* this and the next six: not used, may be NULL */
  void (*xSnapshotOpen)(libsql_wal_v1*, void *pSnapshot);
  int (*xSnapshotRecover)(libsql_wal_v1*);
  int (*xSnapshotCheck)(libsql_wal_v1*, void *pSnapshot);
  void (*xSnapshotUnlock)(libsql_wal_v1*);
  int (*xFramesize)(libsql_wal_v1*);
  sqlite3_file *(*xFile)(libsql_wal_v1*);
  int (*xWriteLock)(libsql_wal_v1*, int bLock);               /* not used */
  void (*xDb)(libsql_wal_v1*, sqlite3 *db);                   /* not used */
  int (*xPathnameLen)(int nOrig);       /* bytes of the log's name for a database name of nOrig; 0: it is no file */
  void (*xGetWalPathname)(char *zBuf, const char *zOrig, int nOrig);
  int (*xPreMainDbOpen)(libsql_wal_methods_v1*, const char *zMainDb);   /* before the first read; may be NULL */
  int bUsesShm;
  const char *zName;
  libsql_wal_methods_v1 *pNext;         /* not used */
};

libsql_wal_methods_v1 *libsql_wal_methods_find(const char *zName);
int libsql_wal_methods_register(libsql_wal_methods_v1*);
int libsql_wal_methods_unregister(libsql_wal_methods_v1*);
libsql_wal_methods_v1 *libsql_wal_methods_next(libsql_wal_methods_v1*);
const char *libsql_wal_methods_name(libsql_wal_methods_v1*);

/* sqlite3_file_control(): libsql_wal_methods**, the table of the open log; NULL while there is none. */
#define SQLITE_FCNTL_WAL_METHODS_POINTER 129

/* Of the default log: frames already in the database file, and the page that a frame holds. */
int sqlite3_wal_backfilled(sqlite3_wal*);
unsigned int sqlite3_wal_frame_page_no(sqlite3_wal*, unsigned int iFrame);

/*
** The frames of database "main". A frame is 24 bytes of header (page number, size of the database in pages behind a
** commit or 0, two salts, two checksums; big-endian, 4 bytes each) and the page.
**
** To copy a log: on both sides disable checkpoints; then insert_begin() on the copy, get_frame() and insert_frame() for
** each new frame, insert_end(). A checkpoint that is followed by a write starts the numbers again from 1.
**
** All set the connection's error code and message. SQLITE_MISUSE: insert_begin() while a statement or transaction is
** open or twice, insert_frame() or insert_end() without it, a number beyond the next frame, a buffer of the wrong size.
*/

/* No automatic checkpoints and none at close, until sqlite3_wal_hook(), sqlite3_wal_autocheckpoint() or PRAGMA
** wal_autocheckpoint is called; leaving WAL mode fails meanwhile. */
int libsql_wal_disable_checkpoint(sqlite3*);

/* Frames in the log; 0 outside WAL mode. SQLITE_BUSY while a writer is active. */
int libsql_wal_frame_count(sqlite3*, unsigned int *pnFrame);

/* Copy frame iFrame to a buffer of exactly 24 + page size bytes. SQLITE_IOERR_SHORT_READ: there is no such frame. */
int libsql_wal_get_frame(sqlite3*, unsigned int iFrame, void *pBuf, unsigned int nBuf);

/* Become the writer; a database that is not in WAL mode is switched to it. */
int libsql_wal_insert_begin(sqlite3*);

/*
** Append a frame, or compare it with one that is there: SQLITE_ERROR and *pConflict=1 if page number, size or content
** differ. Salts and checksums are made anew. A frame with a size ends a transaction. Numbers go on behind a checkpoint of
** the copy, so that they stay those of the original, until one that truncates the log.
*/
int libsql_wal_insert_frame(sqlite3*, unsigned int iFrame, void *pBuf, unsigned int nBuf, int *pConflict);

/* Stop being the writer. Frames behind the last end of a transaction are dropped. */
int libsql_wal_insert_end(sqlite3*);

/* How often the log was started anew: the counter in its header; 0 outside WAL mode. */
int libsql_wal_checkpoint_seq_count(sqlite3*, unsigned int *pnSeq);

/*
** Have the statement's current sqlite3_step(), or else its next one, return SQLITE_INTERRUPT, and all later ones until
** sqlite3_reset() or sqlite3_finalize(). Other statements run on. From any thread, as long as the statement is not
** finalized meanwhile; NULL is ignored.
*/
void libsql_stmt_interrupt(sqlite3_stmt *pStmt);

/*
** Further counters of sqlite3_stmt_status(): rows and index entries that the statement visited, and that it wrote. They
** add up until they are reset, and stop at 2147483647.
*/
#define LIBSQL_STMTSTATUS_BASE         1024
#define LIBSQL_STMTSTATUS_ROWS_READ    (LIBSQL_STMTSTATUS_BASE + 1)
#define LIBSQL_STMTSTATUS_ROWS_WRITTEN (LIBSQL_STMTSTATUS_BASE + 2)

/*
** The sqlite3_module.iVersion from which the member xPreparedSql counts, and all of SQLite's own members with it. It is
** called before every xFilter with the text of the statement, borrowed. Anything but SQLITE_OK ends the statement with
** that code.
*/
#define LIBSQL_MODULE_VERSION 700

/*
** What the entry point of an extension, loadable or automatic, gets as fourth argument; see libsqlext.h. Static and
** constant. Members are only ever added at the end.
*/
typedef struct libsql_api_routines libsql_api_routines;
struct libsql_api_routines {
  void *(*close_hook)(sqlite3 *db, void (*xClose)(void *pArg, sqlite3 *db), void *pArg);
};

#ifdef __cplusplus
}
#endif
#endif
