/*
** lsc.h: what the Python module asks of the engine beyond SQLite's public interface: whole-row calls, so that one call
** without the GIL does what would be a dozen. They read statement internals directly instead of taking the connection
** mutex once per value; each function takes it once where it is needed.
**
** Locks: none of these may be called by two threads for the same lsc_stmt at once (the module's cursor lock sees to
** it). Two statements of one connection may run in two threads: the connection mutex serialises them.
*/
#ifndef LSC_H
#define LSC_H

#include <stddef.h>
#include "sqlite3.h"

/* One value: of a result row, or of a parameter. `type` is SQLITE_INTEGER ... SQLITE_NULL. */
typedef struct lsc_cell {
  union {
    sqlite3_int64 i;
    double r;
    const void *z;            /* borrowed: a row's until the next step, a parameter's until lsc_release() */
  } u;
  int n;                      /* bytes at z */
  int type;
} lsc_cell;

/* What a failed call left behind, taken while the connection was still held: another thread cannot change it. */
typedef struct lsc_error {
  int code;                   /* extended result code */
  char *text;                 /* owned, of sqlite3_malloc(); NULL when out of memory */
} lsc_error;

/* A prepared statement with its current row. Zero it before lsc_prepare(). */
typedef struct lsc_stmt {
  sqlite3_stmt *st;           /* owned; NULL for a text without a statement */
  lsc_cell *row;              /* owned; the current row after a step returned SQLITE_ROW */
  int n_col;                  /* values in row */
  int n_alloc;                /* room in row */
  int fork;                   /* lsc_fork_count() of the process that may touch it */
  sqlite3_int64 changes;      /* rows changed, when the last run ended */
  sqlite3_int64 rowid;        /* the connection's last inserted row id after the last step */
  lsc_error error;            /* of the last call that failed */
  struct lsc_stmt *next;      /* the connection's other statements, kept by the module under the GIL */
  struct lsc_stmt **link;     /* the pointer that points here, or NULL */
} lsc_stmt;

/* Rows copied out of a statement by lsc_fetch(). Zero it before first use. */
typedef struct lsc_batch {
  lsc_cell *cell;             /* owned; n_row * n_col values, their text and blobs in heap */
  unsigned char *heap;        /* owned */
  int n_row;
} lsc_batch;

enum { LSC_BATCH_ROWS = 64, LSC_BATCH_CELLS = 2048, LSC_BATCH_HEAP = 32768 };

int lsc_initialize(void);

/* Compile the first statement of the NUL-terminated sql, n bytes long without the NUL. *tail receives the number of
** bytes used. SQLITE_TOOBIG without an error text: the text is over the connection's limit. */
int lsc_prepare(sqlite3 *db, const char *sql, sqlite3_int64 n, unsigned flags, lsc_stmt *s, int *tail);

/* Whether the text begins, behind blanks and comments, with INSERT, UPDATE, DELETE or REPLACE. */
int lsc_is_dml(const char *sql);

/* Whether sql holds nothing but blanks and comments. */
int lsc_is_blank(const char *sql);

/* Bind n values to parameters 1..n. Text and blobs are not copied: they must live until lsc_release(). */
int lsc_bind(lsc_stmt *s, const lsc_cell *param, int n);

/* Step once. SQLITE_ROW: s->row is filled. Anything else: the statement has been reset, and the code is the one that
** step or reset gave. */
int lsc_step(lsc_stmt *s);

/* Reset and forget borrowed parameters. */
int lsc_release(lsc_stmt *s);

/* Step up to max_row times, copying each row but the last, which stays in s->row. Stops early, with SQLITE_ROW, when
** the batch is full or a row holds text that is not UTF-8. Returns the last step's code. */
int lsc_fetch(lsc_stmt *s, lsc_batch *b, int max_row);
void lsc_batch_free(lsc_batch *b);

/* Bind, step and reset once for each of n_row rows of n_col parameters. *done counts the rows that succeeded, *changes the rows they changed. */
int lsc_run_many(lsc_stmt *s, const lsc_cell *param, int n_col, int n_row, int *done, sqlite3_int64 *changes);

/* Run every statement of a NUL-terminated script, n bytes long, discarding rows. */
int lsc_script(sqlite3 *db, const char *sql, sqlite3_int64 n, lsc_error *error);

/* Read or write n bytes of a blob. */
int lsc_blob_read(sqlite3 *db, sqlite3_blob *blob, void *out, int n, int offset, lsc_error *error);
int lsc_blob_write(sqlite3 *db, sqlite3_blob *blob, const void *data, int n, int offset, lsc_error *error);

/* The log of database "main": its frames and the size of one in bytes; copies of n frames; the same put into the log,
** from frame iFirst, or behind the last one if that is 0. The last frame must end a transaction. */
int lsc_wal_info(sqlite3 *db, unsigned *pnFrame, int *pszFrame, lsc_error *error);
int lsc_wal_read(sqlite3 *db, unsigned iFirst, int n, unsigned char *const *apOut, int nOut, lsc_error *error);
int lsc_wal_insert(sqlite3 *db, unsigned iFirst, int n, const unsigned char *const *apFrame, int nFrame,
                   unsigned *pnAdded, lsc_error *error);

/*
** The k nearest rows of a table for each of nQuery queries of nDim numbers, one behind the other, float32 or, if
** bDouble, float64: anFound[i] of them, at aId[i*k] and aDistance[i*k], nearest first. zSchema and zWhere may be NULL.
** metric: 1 cosine, 2 Euclidean, 3 negative dot product, 4 Hamming (1-bit vectors). See vec/scan.c.
*/
int lsc_vector_search(
  sqlite3 *db, const char *zSchema, const char *zTable, const char *zColumn, const char *zWhere, int metric,
  const void *aQuery, int bDouble, int nQuery, int nDim, int k, sqlite3_int64 *aId, float *aDistance, int *anFound,
  lsc_error *error
);

/* While rows go into a vector index, call xWatch with the steps done of all, two a row; not 0 stops it. NULL: no more. */
void lsc_vector_watch(
  sqlite3 *db, int (*xWatch)(void *pArg, sqlite3_int64 nDone, sqlite3_int64 nTotal), void *pArg
);

/* The value of a column of the current row as SQLite casts it to a blob; borrowed, NULL when it is empty. */
const void *lsc_column_blob(lsc_stmt *s, int i, int *n);

/* Vectors (vec/numbers.c); a type is one of LSC_F32 ... of vec/vector.h, "numbers" are packed float32, float64 or
** float16. The bytes of a blob of n elements, at most LSC_MAX_DIMS; blobs of n_row rows of n numbers, one behind the
** other. */
sqlite3_int64 lsc_vector_size(int type, int n);
int lsc_vector_encode(const void *numbers, int number, sqlite3_int64 n_row, int n, int type, void *out);

/* Type and length of a vector, which is a blob or a text with a NUL behind it. If number is not 0, *out becomes its
** elements as numbers of that type, for sqlite3_free(). */
int lsc_vector_decode(const void *z, sqlite3_int64 n, int is_text, int *type, int *dims, int number, void **out,
                      lsc_error *error);

/* Finalize and free what s owns; unlinks it. Safe to repeat. */
void lsc_finalize(lsc_stmt *s);

/* sqlite3_get_autocommit(), and the count of re-preparations of sqlite3_stmt_status(), without taking the mutex: the
** module asks with the GIL held. */
int lsc_autocommit(sqlite3 *db);
int lsc_n_prepare(const lsc_stmt *s);

/* The rows that the statement read and wrote since they were last taken; 0 without a statement. */
void lsc_take_rows(lsc_stmt *s, sqlite3_int64 *n_read, sqlite3_int64 *n_written);

/* Counts the forks that lie between the process that loaded the engine and this one. */
int lsc_fork_count(void);

/*
** The key of a database, before its first page is read; and another key for the database as it is. zCipher NULL: the
** file's own, for a new file or a plain one aes256cbc. No key: none, or from now on none. bRaw: the bytes are the key
** itself, where the cipher has such keys; else they are a passphrase. lsc_codec_missing(): libcrypto was needed and not
** found.
*/
int lsc_codec_open(sqlite3 *db, const char *zDb, const char *zCipher, const void *pKey, int nKey, int bRaw);
int lsc_codec_rekey(sqlite3 *db, const char *zDb, const char *zCipher, const void *pKey, int nKey, int bRaw);
int lsc_codec_missing(void);

/*
** WebAssembly (wasm/). A function for the connection alone, from a module in binary form or, if is_text or if it does not
** start as one, in text form; without a source, the removal of those of that name. lsc_wasm_missing(): wasmtime was needed
** and not found. lsc_wasm_finder(): what is asked for the path of its library, and whether it knows. lsc_wasm_lock(): no
** function of this connection's database is loaded, and no statement can change that.
*/
typedef struct lsc_wasm {
  const char *name;
  const void *source;
  sqlite3_int64 n;
  int is_text, deterministic, wasi;
  sqlite3_uint64 fuel;        /* of one call; 0: not counted */
  sqlite3_int64 memory;       /* bytes; 0: as the connection has it */
} lsc_wasm;
int lsc_wasm_define(sqlite3 *db, const lsc_wasm *want, lsc_error *error);
int lsc_wasm_missing(void);
void lsc_wasm_finder(int (*find)(char *path, int n));
void lsc_wasm_lock(sqlite3 *db);

/* Whether any of the connection's databases is a file. */
int lsc_has_file(sqlite3 *db);

#endif
