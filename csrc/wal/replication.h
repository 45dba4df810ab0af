/*
** replication.h: what the module asks of a primary's log of frames, and of the writing of frames into a replica.
**
** A frame is 4120 bytes, all numbers little-endian: its number u64, a checksum u64, the page's number u32, the size of
** the database in pages u32 if it ends a transaction, else 0; the page. Frames are numbered from 0 over the life of a
** log. The checksum is a CRC-64 of the plain page, which begins with the checksum of the frame before (replog_crc.c).
**
** wallog: a header of 64 bytes, then frames one behind the other:
**
**   0  "SQLDWAL\0"      16  id of the log, a UUID's bytes reversed     40  how many frames u64     52  page size i32
**   8  first checksum   32  number of the first frame u64              48  version u32: 2          56  four u16
**
** A snapshot: a header of 48 bytes, then frames with falling numbers, one for each page:
**
**   0  id of the log    16  first frame u64    24  last frame u64    32  how many u64    40  size of the database u32
**
** Pages of a database with a key are encrypted in both, by AES-256-CBC with the key of aes256cbc and one IV.
**
** The caller owns what it passes in, and no call needs Python. Unless said otherwise the ints returned are result codes,
** and error->text, of sqlite3_malloc(), says what is wrong.
*/
#ifndef LSC_REPLICATION_H
#define LSC_REPLICATION_H

#include "lsc.h"

enum { LSC_LOG_PAGE = 4096, LSC_LOG_FRAME = 4120, LSC_LOG_HEADER = 64, LSC_SNAP_HEADER = 48 };

enum { LSC_ERR_FRAMES = -3 };          /* a code beside SQLite's: what was given cannot be, error->text says why */

typedef struct lsc_key {
  const char *cipher;         /* of the database, or NULL */
  const void *key;            /* NULL: it has none */
  int n, is_raw;
} lsc_key;

/* A log. Any thread may use it; commits append to it while they hold SQLite's write lock. */
typedef struct lsc_replog lsc_replog;

/* What is known of a log at one moment. */
typedef struct lsc_replog_state {
  sqlite3_int64 first, last;  /* first frame of wallog; last committed frame, -1 */
  sqlite3_int64 began;        /* when this wallog was begun, milliseconds since 1970 */
  unsigned pages;             /* of the database */
  unsigned char id[16];       /* the UUID's bytes in their order */
  int rebuilt;
} lsc_replog_state;

/* Open the log of folder/data; uuid: random bytes for a log that is made anew. */
int lsc_replog_open(lsc_replog **pp, const char *folder, int dirty, const lsc_key *key, const unsigned char *uuid,
                    lsc_error *error);
/* Writes the header; commits fail from now on. */
int lsc_replog_close(lsc_replog *p);
void lsc_replog_free(lsc_replog *p);

void lsc_replog_state_of(lsc_replog *p, lsc_replog_state *out);
sqlite3_int64 lsc_replog_last(lsc_replog *p);

/* When a frame was committed, milliseconds since 1970; 0: not known any more. */
sqlite3_int64 lsc_replog_time(lsc_replog *p, sqlite3_int64 frame);

/* Frames `start` and on into out, which has room for n; *n_read: how many there are. SQLITE_NOTFOUND: start is before
** the first frame of wallog. */
int lsc_replog_read(lsc_replog *p, sqlite3_int64 start, int n, unsigned char *out, int *n_read);

/* Begin a new wallog and give the old one the name `to`. SQLITE_BUSY in a transaction, SQLITE_DONE without frames. */
int lsc_replog_seal(lsc_replog *p, const char *to);

/* One snapshot, the file `to`, of sealed logs and snapshots, the newest first. */
int lsc_snapshot_write(lsc_replog *p, const char *const *from, int n, const char *to, sqlite3_int64 *start,
                       sqlite3_int64 *end, sqlite3_int64 *n_frame, lsc_error *error);

/* The key of frames in files. */
typedef struct LscCodec lsc_frame_key;
int lsc_frame_key_new(lsc_frame_key **pp, const lsc_key *key, lsc_error *error);
void lsc_frame_key_free(lsc_frame_key *p);
int lsc_frame_decrypt(lsc_frame_key *p, unsigned char *frames, int n);

/* The checksum of a page behind a frame with the checksum `before`. */
unsigned long long lsc_frame_checksum(unsigned long long before, const void *page, sqlite3_int64 n);

/* Writes frames into a replica's file. Used by one thread at a time. */
typedef struct lsc_injector lsc_injector;

/* What the last call did; see Injected in _engine.pyi. */
typedef struct lsc_injected {
  sqlite3_int64 taken, last, committed;
} lsc_injected;

/* log: NULL, or the database's own, which then gets the frames as they are; it must live longer than the injector. */
int lsc_injector_open(lsc_injector **pp, const char *path, const lsc_key *key, int checkpoint, lsc_replog *log,
                      lsc_error *error);
void lsc_injector_close(lsc_injector *p);
void lsc_injector_rollback(lsc_injector *p);

/* n frames, whose numbers go up from `expected`. before: NULL, or the checksum of the frame before. */
int lsc_injector_frames(lsc_injector *p, const unsigned char *const *frames, int n, sqlite3_int64 expected,
                        const unsigned long long *before, lsc_injected *out, lsc_error *error);
/* n frames of a snapshot, whose numbers go down; the first call of one has `begin`. */
int lsc_injector_snapshot(lsc_injector *p, const unsigned char *const *frames, int n, int begin,
                          sqlite3_int64 expected, lsc_injected *out, lsc_error *error);

#endif
