/*
** server.h: what the server's connections ask of the engine: statements checked by the server's policy, and their
** results written as bytes of a reply while they run.
**
** As with lsc.h: the caller owns what it passes in, and no call needs Python. A connection is used by one thread at a
** time; lsc_server_execute(), lsc_server_fetch() and lsc_server_prepare() hold its mutex from the first to the last
** instruction. Texts that a call leaves behind are of sqlite3_malloc().
*/
#ifndef LSC_SERVER_H
#define LSC_SERVER_H

#include "lsc.h"
#include "wal/replication.h"

/* How a result is written: Hrana's JSON, Hrana's protobuf, the JSON of POST /, and the two of the proxy of replicas:
** ResultRows, and the steps of a ProgramResp. */
enum { LSC_JSON, LSC_PROTOBUF, LSC_PLAIN, LSC_PROXY, LSC_STEPS };

/* What a reply is written into. Zero it before first use. */
typedef struct lsc_out {
  unsigned char *a;           /* owned */
  size_t n, room;
  size_t most;                /* bytes that it may hold */
  int rc;                     /* SQLITE_OK; SQLITE_NOMEM; SQLITE_TOOBIG: over the most. Then nothing is added any more */
} lsc_out;

void lsc_out_free(lsc_out *o);

/* Classes of statements, and what else the policy knows of one. */
enum { LSC_READ, LSC_WRITE, LSC_DDL, LSC_TXN, LSC_SAVEPOINT, LSC_ATTACH, LSC_DETACH };
#define LSC_S_READONLY   0x01   /* needs no turn among the writers */
#define LSC_S_BEGIN      0x02   /* BEGIN */
#define LSC_S_IMMEDIATE  0x04   /* ... IMMEDIATE or EXCLUSIVE */
#define LSC_S_NO_WRITE   0x08   /* ... READONLY */
#define LSC_S_CHANGES    0x10   /* INSERT, UPDATE, DELETE: has a count of rows */
#define LSC_S_INSERT     0x20   /* INSERT: has a last rowid */
#define LSC_S_EXPLAIN    0x40
#define LSC_S_PRAGMA     0x80   /* may do its work while it is compiled */

/* One statement of a text; byte offsets. */
typedef struct lsc_statement {
  int start, end;             /* from its first to behind its last token */
  int next;                   /* where the next one may begin */
  int kind;
  unsigned flags;
  const char *verb;           /* "SELECT" ...: static */
  int name, n_name;           /* of ATTACH: the namespace, as written */
  int alias, n_alias;         /* and the name to attach it as */
} lsc_statement;

/* The next statement of the NUL-terminated sql, n bytes long, from an offset on. 1: there it is. 0: there is none.
** -1: error->text says what is wrong with it; it is NULL if the server does not run such statements. */
int lsc_server_statement(const char *sql, int n, int from, lsc_statement *p, lsc_error *error);

/* Whether connections that are opened from now on have functions in WebAssembly, and CREATE FUNCTION; at first they do
** not. */
void lsc_server_functions(int on);

/* The name that a token is; for sqlite3_free(). */
char *lsc_server_name(const char *z, int n);

/* A connection of the server; zero it before lsc_server_open(). */
typedef struct lsc_change lsc_change;
typedef struct lsc_server {
  sqlite3 *db;                /* owned */
  unsigned long long flags;   /* those of db as it was opened */
  int checkpoint;             /* pages in the log after which a commit copies them into the database; 0: never */
  int wal_pages;              /* pages in the log after the last commit */
  int no_write;               /* a BEGIN READONLY is open */
  int indexed;                /* results tell the last frame in the log */
  int watching;               /* changes are counted */
  int changed;                /* some may not have been handed on yet */
  lsc_change *changes;        /* owned */
} lsc_server;

typedef struct lsc_server_options {
  const char *path;           /* a file, or a file: URI */
  const char *name;           /* the namespace's */
  const char *cipher;         /* or NULL */
  const void *key;            /* or NULL */
  int n_key, is_raw;
  int row_limit;              /* bytes of the longest string, blob or row */
  long long max_pages;        /* of the database; 0: any number */
  int synchronous;
  int checkpoint;
  lsc_replog *log;            /* borrowed: what commits are appended to, or NULL */
} lsc_server_options;

int lsc_server_open(lsc_server *p, const lsc_server_options *o, lsc_error *error);
void lsc_server_close(lsc_server *p);

/* Makes the connection as it was when it was opened. 0: only closing it does. */
int lsc_server_reset(lsc_server *p);

/* Between the statements of several clients in one transaction: what SQL can see of the one before is forgotten. 0: the
** transaction has ended, or its commit may fail for what that one did. */
int lsc_server_next(lsc_server *p);

/* Ends a transaction, if one is open. */
int lsc_server_rollback(lsc_server *p, lsc_error *error);

/* A statement of a connection. Zero it before lsc_server_prepare(). */
typedef struct lsc_plan {
  lsc_stmt s;
  unsigned flags;
  unsigned char *head;        /* owned: the columns as `encoding` writes them */
  int n_head, room_head;
  int encoding;
  int n_prepare;              /* SQLite's count of preparations when head was made */
} lsc_plan;

/* How a statement ended. */
typedef struct lsc_outcome {
  sqlite3_int64 rows_read, rows_written;
  sqlite3_int64 changes;      /* 0 for statements without a count of rows */
  sqlite3_int64 micros;       /* waited included */
  sqlite3_int64 waited;       /* set by the caller */
  sqlite3_int64 index;        /* the last frame in the log; -1: there is none, or it is not to be told */
  int code;                   /* 0, or that of plan->s.error */
  int offset;                 /* of the error in the statement, or -1 */
} lsc_outcome;

enum { LSC_ERR_TOO_LARGE = -1, LSC_ERR_NOT_UTF8 = -2 };     /* codes beside SQLite's */

/* Compile sql[0..n). *offset: where in it the error is, or -1. */
int lsc_server_prepare(lsc_server *p, const char *sql, int n, unsigned flags, lsc_plan *plan, int *offset);
void lsc_server_release(lsc_plan *plan);                    /* resets it, forgets its parameters */
void lsc_server_finalize(lsc_plan *plan);

/* Whether a statement takes no longer than a few dozen microseconds, whatever the tables hold. */
int lsc_server_is_short(lsc_server *p, const lsc_plan *plan);

/* Run a bound statement to its end and write its StmtResult behind what `out` holds; out NULL: rows are dropped.
** The statement is reset and its parameters forgotten. */
int lsc_server_execute(lsc_server *p, lsc_plan *plan, int encoding, lsc_out *out, lsc_outcome *res);

/* The entries of one step of a cursor's batch. Zero it, set the first three. */
enum { LSC_ENTRIES_START, LSC_ENTRIES_STEP, LSC_ENTRIES_HOLD, LSC_ENTRIES_DONE };
typedef struct lsc_entries {
  int encoding;
  int websocket;              /* how entries are put together */
  unsigned step;              /* the step's number */
  int state;                  /* LSC_ENTRIES_... */
  int rc;                     /* of the last step of the statement, when that is on hold */
  int n_entry;                /* written by the last call */
  lsc_outcome res;
} lsc_entries;

/* Write entries: at most max_entry, and no more once max_bytes are there. Returns the step's code; an error's entry is
** left to lsc_server_step_error(). */
int lsc_server_fetch(lsc_server *p, lsc_plan *plan, lsc_entries *f, int max_entry, size_t max_bytes, lsc_out *out);

/* The first entry alone; and that of a step that failed. */
void lsc_server_step_begin(lsc_server *p, lsc_plan *plan, lsc_entries *f, lsc_out *out);
void lsc_server_step_error(lsc_entries *f, lsc_out *out, const char *message, int n_message, const char *code);

/* DescribeResult of the first statement of sql. */
int lsc_server_describe(lsc_server *p, const char *sql, int n, int encoding, lsc_out *out, lsc_error *error,
                        int *offset);

/* Count changed rows, or stop that. */
void lsc_server_watch(lsc_server *p, int on);

/* The next table that transactions changed since this was asked last, NULL: no more; n: rows inserted, updated, deleted.
** *pp is NULL at first. */
const char *lsc_server_take_change(lsc_server *p, lsc_change **pp, sqlite3_int64 *n);

int lsc_server_load(lsc_server *p, const char *path, lsc_error *error);     /* an extension */

/* VACUUM, which statements may not do. */
int lsc_server_vacuum(lsc_server *p, lsc_error *error);

/* PRAGMA wal_checkpoint: pages in the log and pages copied. */
int lsc_server_checkpoint(lsc_server *p, int mode, int *n_log, int *n_copied, lsc_error *error);

/* Base64 of the standard alphabet, with or without "=": the bytes at `out`, which has room for n/4*3+3; -1 for others. */
int lsc_base64_decode(const char *z, int n, unsigned char *out);

/* What requests in JSON are made of. The bytes up to `end` are followed by a NUL.
**
** Of a string, from behind its first quote on: its bytes up to the last one, or -1 if it has none. */
#define LSC_JSON_ESCAPES 1      /* it has a backslash */
#define LSC_JSON_WIDE    2      /* a byte above 0x7f */
sqlite3_int64 lsc_json_string(const unsigned char *z, const unsigned char *end, int *flags);

/* The bytes that those of a string mean, at `out` with room for n; their number, or -1. */
sqlite3_int64 lsc_json_unescape(const unsigned char *z, sqlite3_int64 n, unsigned char *out);

/* Which key z[0..n) is, or -1. */
enum {
  LSC_KEY_TYPE, LSC_KEY_SQL, LSC_KEY_STMT, LSC_KEY_VALUE, LSC_KEY_ARGS, LSC_KEY_STEP, LSC_KEY_CONDITION,
  LSC_KEY_WANT_ROWS, LSC_KEY_NAMED_ARGS, LSC_KEY_NAME, LSC_KEY_BASE64, LSC_KEY_REQUESTS, LSC_KEY_REQUEST,
  LSC_KEY_REQUEST_ID, LSC_KEY_STREAM_ID, LSC_KEY_BATON, LSC_KEY_BATCH, LSC_KEY_STEPS, LSC_KEY_COND, LSC_KEY_CONDS,
  LSC_KEY_SQL_ID, LSC_KEY_INDEX
};
int lsc_json_key(const unsigned char *z, sqlite3_int64 n);

/* The length of the number at z; 0: there is none, or a long one. */
#define LSC_JSON_LONGEST 40
int lsc_json_number(const unsigned char *z);

/* Microseconds of a clock that only goes forward. */
sqlite3_int64 lsc_micros(void);

#endif
