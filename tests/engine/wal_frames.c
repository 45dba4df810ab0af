/*
** wal_frames.c: frames of a log counted, read and inserted, with other connections and another process at work.
*/
#include <sys/wait.h>
#include <unistd.h>
#include "wal.h"

enum { PAGE = 1024, FRAME = 24+PAGE };

static sqlite3 *openSmall(const char *zFile){
  sqlite3 *db = openPlain(zFile);
  run(db, "PRAGMA page_size=1024");
  return db;
}

/* A database that keeps its log: two transactions, frames 1 to 3. */
static sqlite3 *openSource(const char *zFile){
  sqlite3 *db = openSmall(zFile);
  REQUIRE( libsql_wal_disable_checkpoint(db)==SQLITE_OK );
  run(db, "PRAGMA journal_mode=wal; CREATE TABLE t(x); INSERT INTO t VALUES(1)");
  return db;
}

static unsigned count(sqlite3 *db){
  unsigned n = 99;
  REQUIRE( libsql_wal_frame_count(db, &n)==SQLITE_OK );
  return n;
}

static unsigned get4(const unsigned char *a){
  return (unsigned)a[0]<<24 | (unsigned)a[1]<<16 | (unsigned)a[2]<<8 | a[3];
}

static void put4(unsigned char *a, unsigned v){
  a[0] = (unsigned char)(v>>24);
  a[1] = (unsigned char)(v>>16);
  a[2] = (unsigned char)(v>>8);
  a[3] = (unsigned char)v;
}

static unsigned char aFrame[FRAME];

static int insert(sqlite3 *db, unsigned iFrame){
  int bConflict = 7, rc = libsql_wal_insert_frame(db, iFrame, aFrame, FRAME, &bConflict);
  REQUIRE( bConflict==(rc==SQLITE_ERROR) );
  return rc;
}

/* Copy frames i to n, in one insertion. */
static void copy(sqlite3 *pTo, sqlite3 *pFrom, unsigned i, unsigned n){
  REQUIRE( libsql_wal_insert_begin(pTo)==SQLITE_OK );
  for(; i<=n; i++){
    REQUIRE( libsql_wal_get_frame(pFrom, i, aFrame, FRAME)==SQLITE_OK );
    REQUIRE( insert(pTo, i)==SQLITE_OK );
  }
  REQUIRE( libsql_wal_insert_end(pTo)==SQLITE_OK );
}

static int failed(sqlite3 *db, int rc, int rcWanted, const char *zMsg){
  return rc==rcWanted && sqlite3_errcode(db)==(rc & 0xff) && sqlite3_extended_errcode(db)==rc
      && (zMsg==0 || strcmp(sqlite3_errmsg(db), zMsg)==0);
}

#define NO_FRAME_NUMBER "the number is not that of a frame in the log or of the next one"
#define OTHER_FRAME "the log holds another frame of this number"
#define WRONG_SIZE "a frame is 24 bytes and one page long"
#define NOT_BEGUN "no insertion of frames was begun"
#define OPEN_TRANSACTION "cannot insert frames while a statement or transaction is open"
#define WRONG_PAGE "the page number of the frame is not one of the database"

static void testReading(void){
  sqlite3 *db = openSmall("read.db"), *db2;
  unsigned char aOld[FRAME];
  unsigned n = 99;
  REQUIRE( count(db)==0 );
  REQUIRE( failed(db, libsql_wal_get_frame(db, 1, aFrame, FRAME), SQLITE_ERROR, "the database is not in WAL mode") );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
  REQUIRE( libsql_wal_frame_count(0, &n)==SQLITE_MISUSE && n==99 );
  REQUIRE( libsql_wal_get_frame(0, 1, aFrame, FRAME)==SQLITE_MISUSE );

  db = openSource("read.db");
  REQUIRE( count(db)==3 );
  REQUIRE( libsql_wal_get_frame(db, 1, aFrame, FRAME)==SQLITE_OK );
  REQUIRE( get4(aFrame)==1 && get4(aFrame+4)==0 && memcmp(aFrame+24, "SQLite format 3", 16)==0 );
  memcpy(aOld, aFrame, FRAME);
  REQUIRE( libsql_wal_get_frame(db, 2, aFrame, FRAME)==SQLITE_OK );
  REQUIRE( get4(aFrame)==2 && get4(aFrame+4)==2 && memcmp(aFrame+8, aOld+8, 8)==0 );
  REQUIRE( libsql_wal_get_frame(db, 3, aFrame, FRAME)==SQLITE_OK );
  REQUIRE( get4(aFrame)==2 && get4(aFrame+4)==2 );
  REQUIRE( failed(db, libsql_wal_get_frame(db, 0, aFrame, FRAME), SQLITE_IOERR_SHORT_READ, 0) );
  REQUIRE( failed(db, libsql_wal_get_frame(db, 4, aFrame, FRAME), SQLITE_IOERR_SHORT_READ, 0) );
  REQUIRE( failed(db, libsql_wal_get_frame(db, ~0u, aFrame, FRAME), SQLITE_IOERR_SHORT_READ, 0) );
  REQUIRE( failed(db, libsql_wal_get_frame(db, 1, aFrame, FRAME-1), SQLITE_MISUSE, WRONG_SIZE) );
  REQUIRE( failed(db, libsql_wal_get_frame(db, 1, aFrame, 24+4096), SQLITE_MISUSE, WRONG_SIZE) );
  REQUIRE( failed(db, libsql_wal_get_frame(db, 1, aFrame, 0), SQLITE_MISUSE, WRONG_SIZE) );

  /* The newest frames, also of a connection that has read nothing yet; a snapshot's while one is open. */
  db2 = openPlain("read.db");
  REQUIRE( count(db2)==3 );
  run(db2, "BEGIN; SELECT * FROM t");
  run(db, "INSERT INTO t VALUES(2)");
  REQUIRE( count(db)==4 && count(db2)==3 );
  REQUIRE( libsql_wal_get_frame(db2, 4, aFrame, FRAME)==SQLITE_IOERR_SHORT_READ );
  run(db2, "COMMIT");
  REQUIRE( count(db2)==4 );
  /* Busy while anybody writes; frames can be read. */
  run(db2, "BEGIN IMMEDIATE");
  n = 99;
  REQUIRE( failed(db, libsql_wal_frame_count(db, &n), SQLITE_BUSY, 0) && n==99 );
  REQUIRE( failed(db2, libsql_wal_frame_count(db2, &n), SQLITE_BUSY, 0) && n==99 );
  REQUIRE( libsql_wal_get_frame(db, 4, aFrame, FRAME)==SQLITE_OK );
  run(db2, "COMMIT");
  REQUIRE( count(db)==4 );

  /* Numbers begin anew with the first write behind a whole checkpoint. */
  REQUIRE( libsql_wal_checkpoint_seq_count(db, &n)==SQLITE_OK && n==0 );
  run(db, "PRAGMA wal_checkpoint");
  REQUIRE( count(db)==4 );
  run(db, "INSERT INTO t VALUES(3)");
  REQUIRE( count(db)==1 );
  REQUIRE( libsql_wal_get_frame(db, 2, aFrame, FRAME)==SQLITE_IOERR_SHORT_READ );
  REQUIRE( libsql_wal_checkpoint_seq_count(db, &n)==SQLITE_OK && n==1 );
  run(db, "PRAGMA wal_checkpoint(truncate)");
  REQUIRE( count(db)==0 );
  run(db, "INSERT INTO t VALUES(4)");
  REQUIRE( count(db)==1 );
  REQUIRE( libsql_wal_checkpoint_seq_count(db, &n)==SQLITE_OK && n==2 );
  REQUIRE( sqlite3_close(db)==SQLITE_OK && sqlite3_close(db2)==SQLITE_OK );

  db = openPlain(":memory:");
  REQUIRE( count(db)==0 );
  REQUIRE( libsql_wal_checkpoint_seq_count(db, &n)==SQLITE_OK && n==0 );
  REQUIRE( failed(db, libsql_wal_insert_begin(db), SQLITE_ERROR, "a database in memory has no log") );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
  db = openPlain("");
  REQUIRE( failed(db, libsql_wal_insert_begin(db), SQLITE_ERROR, "a database in memory has no log") );
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
}

static void testCopy(void){
  sqlite3 *pFrom = openSource("from.db"), *pTo = openSmall("to.db");
  unsigned char aOld[FRAME];
  REQUIRE( libsql_wal_disable_checkpoint(pTo)==SQLITE_OK );
  copy(pTo, pFrom, 1, 3);
  REQUIRE( count(pTo)==3 && says(pTo, "SELECT group_concat(x) FROM t", "1") );
  REQUIRE( says(pTo, "PRAGMA journal_mode", "wal") && says(pTo, "PRAGMA integrity_check", "ok") );
  /* The same again is compared, and that again with more behind it. */
  copy(pTo, pFrom, 1, 3);
  REQUIRE( count(pTo)==3 );
  run(pFrom, "INSERT INTO t VALUES(2); ALTER TABLE t ADD COLUMN y DEFAULT 'y'");
  copy(pTo, pFrom, 1, count(pFrom));
  REQUIRE( count(pTo)==count(pFrom) && says(pTo, "SELECT group_concat(x||y) FROM t", "1y,2y") );
  /* Salts and checksums are the copy's own. */
  REQUIRE( libsql_wal_get_frame(pFrom, 1, aOld, FRAME)==SQLITE_OK );
  REQUIRE( libsql_wal_get_frame(pTo, 1, aFrame, FRAME)==SQLITE_OK );
  REQUIRE( memcmp(aOld, aFrame, 8)==0 && memcmp(aOld+24, aFrame+24, PAGE)==0 );
  REQUIRE( memcmp(aOld+8, aFrame+8, 8)!=0 && memcmp(aOld+16, aFrame+16, 8)!=0 );

  /* A frame that differs in page number, size or content; nothing is written. */
  REQUIRE( libsql_wal_insert_begin(pTo)==SQLITE_OK );
  REQUIRE( libsql_wal_get_frame(pFrom, 2, aFrame, FRAME)==SQLITE_OK );
  REQUIRE( insert(pTo, 2)==SQLITE_OK );
  put4(aFrame, 1);
  REQUIRE( failed(pTo, insert(pTo, 2), SQLITE_ERROR, OTHER_FRAME) );
  put4(aFrame, 2);
  put4(aFrame+4, 0);
  REQUIRE( failed(pTo, insert(pTo, 2), SQLITE_ERROR, OTHER_FRAME) );
  put4(aFrame+4, 3);
  REQUIRE( failed(pTo, insert(pTo, 2), SQLITE_ERROR, OTHER_FRAME) );
  put4(aFrame+4, 2);
  aFrame[FRAME-1] ^= 1;
  REQUIRE( failed(pTo, insert(pTo, 2), SQLITE_ERROR, OTHER_FRAME) );
  REQUIRE( libsql_wal_insert_frame(pTo, 2, aFrame, FRAME, 0)==SQLITE_ERROR );
  aFrame[FRAME-1] ^= 1;
  memset(aFrame+8, 0, 16);      /* salts and checksums do not count */
  REQUIRE( insert(pTo, 2)==SQLITE_OK );
  REQUIRE( libsql_wal_insert_end(pTo)==SQLITE_OK );
  REQUIRE( count(pTo)==count(pFrom) );
  REQUIRE( sqlite3_close(pFrom)==SQLITE_OK && sqlite3_close(pTo)==SQLITE_OK );
  requireSound("from.db");
  requireSound("to.db");
}

static void testMisuse(void){
  sqlite3 *db = openSource("misuse.db"), *db2;
  sqlite3_stmt *pStmt;
  REQUIRE( libsql_wal_insert_begin(0)==SQLITE_MISUSE && libsql_wal_insert_end(0)==SQLITE_MISUSE );
  REQUIRE( libsql_wal_insert_frame(0, 1, aFrame, FRAME, 0)==SQLITE_MISUSE );
  REQUIRE( libsql_wal_get_frame(db, 3, aFrame, FRAME)==SQLITE_OK );
  REQUIRE( failed(db, libsql_wal_insert_frame(db, 4, aFrame, FRAME, 0), SQLITE_MISUSE, NOT_BEGUN) );
  REQUIRE( failed(db, libsql_wal_insert_end(db), SQLITE_MISUSE, NOT_BEGUN) );
  run(db, "BEGIN");
  REQUIRE( failed(db, libsql_wal_insert_begin(db), SQLITE_MISUSE, OPEN_TRANSACTION) );
  run(db, "SELECT * FROM t");
  REQUIRE( failed(db, libsql_wal_insert_begin(db), SQLITE_MISUSE, OPEN_TRANSACTION) );
  run(db, "INSERT INTO t VALUES(9)");
  REQUIRE( failed(db, libsql_wal_insert_begin(db), SQLITE_MISUSE, OPEN_TRANSACTION) );
  run(db, "ROLLBACK");
  REQUIRE( sqlite3_prepare_v2(db, "SELECT * FROM t", -1, &pStmt, 0)==SQLITE_OK );
  REQUIRE( sqlite3_step(pStmt)==SQLITE_ROW );
  REQUIRE( failed(db, libsql_wal_insert_begin(db), SQLITE_MISUSE, OPEN_TRANSACTION) );
  REQUIRE( sqlite3_reset(pStmt)==SQLITE_OK );

  REQUIRE( libsql_wal_insert_begin(db)==SQLITE_OK );
  REQUIRE( failed(db, libsql_wal_insert_begin(db), SQLITE_MISUSE, "frames are being inserted already") );
  REQUIRE( failed(db, libsql_wal_insert_frame(db, 0, aFrame, FRAME, 0), SQLITE_MISUSE, NO_FRAME_NUMBER) );
  REQUIRE( failed(db, libsql_wal_insert_frame(db, 5, aFrame, FRAME, 0), SQLITE_MISUSE, NO_FRAME_NUMBER) );
  REQUIRE( failed(db, libsql_wal_insert_frame(db, 4, aFrame, FRAME+1, 0), SQLITE_MISUSE, WRONG_SIZE) );
  put4(aFrame, 0);
  REQUIRE( failed(db, libsql_wal_insert_frame(db, 4, aFrame, FRAME, 0), SQLITE_MISUSE, WRONG_PAGE) );
  put4(aFrame, 3);              /* behind the end that the frame itself tells */
  REQUIRE( failed(db, libsql_wal_insert_frame(db, 4, aFrame, FRAME, 0), SQLITE_MISUSE, WRONG_PAGE) );
  /* No SQL meanwhile; the answers come from the insertion. */
  REQUIRE( try(db, "SELECT * FROM t")==SQLITE_BUSY && try(db, "INSERT INTO t VALUES(1)")==SQLITE_BUSY );
  REQUIRE( sqlite3_step(pStmt)==SQLITE_BUSY );
  sqlite3_reset(pStmt);
  REQUIRE( try(db, "BEGIN IMMEDIATE")==SQLITE_BUSY && sqlite3_get_autocommit(db) );
  REQUIRE( try(db, "PRAGMA journal_mode=delete")==SQLITE_BUSY );
  REQUIRE( sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, 0, 0)==SQLITE_BUSY );
  REQUIRE( try(db, "VACUUM")==SQLITE_BUSY );
  REQUIRE( count(db)==3 && libsql_wal_get_frame(db, 3, aFrame, FRAME)==SQLITE_OK );
  REQUIRE( insert(db, 4)==SQLITE_OK && count(db)==4 );
  db2 = openPlain("misuse.db");
  REQUIRE( try(db2, "BEGIN IMMEDIATE")==SQLITE_BUSY && libsql_wal_insert_begin(db2)==SQLITE_BUSY );
  REQUIRE( says(db2, "SELECT count(*) FROM t", "1") );
  REQUIRE( libsql_wal_insert_end(db)==SQLITE_OK );
  run(db2, "BEGIN IMMEDIATE; COMMIT");
  REQUIRE( sqlite3_step(pStmt)==SQLITE_ROW && sqlite3_finalize(pStmt)==SQLITE_OK );
  REQUIRE( says(db, "PRAGMA integrity_check", "ok") );
  REQUIRE( sqlite3_close(db)==SQLITE_OK && sqlite3_close(db2)==SQLITE_OK );
  requireSound("misuse.db");
}

/* What is not the end of a transaction is dropped, by the end, and by a close without one. */
static void testUnfinished(void){
  sqlite3 *pFrom = openSource("part.db"), *pTo = openSmall("whole.db");
  int bClose;
  REQUIRE( libsql_wal_disable_checkpoint(pTo)==SQLITE_OK );
  copy(pTo, pFrom, 1, 2);
  for(bClose=0; bClose<2; bClose++){
    REQUIRE( libsql_wal_insert_begin(pTo)==SQLITE_OK );
    REQUIRE( libsql_wal_get_frame(pFrom, 3, aFrame, FRAME)==SQLITE_OK );
    put4(aFrame+4, 0);
    REQUIRE( insert(pTo, 3)==SQLITE_OK );
    put4(aFrame, 1);
    REQUIRE( insert(pTo, 4)==SQLITE_OK && count(pTo)==4 );
    if( bClose ){
      REQUIRE( sqlite3_close(pTo)==SQLITE_OK );
      pTo = openPlain("whole.db");
      REQUIRE( libsql_wal_disable_checkpoint(pTo)==SQLITE_OK );
    }else{
      REQUIRE( libsql_wal_insert_end(pTo)==SQLITE_OK );
    }
    REQUIRE( count(pTo)==2 && says(pTo, "SELECT count(*) FROM t", "0") );
    REQUIRE( says(pTo, "PRAGMA integrity_check", "ok") );
  }
  /* A whole transaction in front of a part of one stays. */
  REQUIRE( libsql_wal_insert_begin(pTo)==SQLITE_OK );
  REQUIRE( libsql_wal_get_frame(pFrom, 3, aFrame, FRAME)==SQLITE_OK );
  REQUIRE( insert(pTo, 3)==SQLITE_OK );
  put4(aFrame+4, 0);
  memset(aFrame+24, 0, PAGE);
  REQUIRE( insert(pTo, 4)==SQLITE_OK );
  REQUIRE( libsql_wal_insert_end(pTo)==SQLITE_OK );
  REQUIRE( count(pTo)==3 && says(pTo, "SELECT count(*) FROM t", "1") );
  REQUIRE( sqlite3_close(pFrom)==SQLITE_OK && sqlite3_close(pTo)==SQLITE_OK );
  requireSound("whole.db");
}

static int nBusy;
static sqlite3 *pBlocker;

static int onBusy(void *pArg, int n){
  REQUIRE( pArg==&nBusy && n==nBusy );
  if( ++nBusy==3 && pBlocker ) run(pBlocker, "COMMIT");
  return nBusy<5;
}

static void testOthers(void){
  sqlite3 *pFrom = openSource("o1.db"), *pTo = openSmall("o2.db"), *pOther, *pShared;
  REQUIRE( libsql_wal_disable_checkpoint(pTo)==SQLITE_OK );
  copy(pTo, pFrom, 1, 3);
  run(pFrom, "INSERT INTO t VALUES(2)");
  pOther = openPlain("o2.db");
  REQUIRE( libsql_wal_disable_checkpoint(pOther)==SQLITE_OK );

  /* A writer: busy, after the busy handler; and no lock is left that would hinder it. */
  run(pOther, "BEGIN IMMEDIATE");
  REQUIRE( failed(pTo, libsql_wal_insert_begin(pTo), SQLITE_BUSY, 0) );
  REQUIRE( failed(pTo, libsql_wal_insert_end(pTo), SQLITE_MISUSE, NOT_BEGUN) );
  run(pOther, "COMMIT; PRAGMA wal_checkpoint(restart)");
  REQUIRE( says(pTo, "SELECT count(*) FROM t", "1") );
  REQUIRE( sqlite3_busy_handler(pTo, onBusy, &nBusy)==SQLITE_OK );
  run(pOther, "BEGIN IMMEDIATE");
  REQUIRE( failed(pTo, libsql_wal_insert_begin(pTo), SQLITE_BUSY, 0) && nBusy==5 );
  nBusy = 0;
  pBlocker = pOther;
  REQUIRE( libsql_wal_insert_begin(pTo)==SQLITE_OK && nBusy==3 );
  REQUIRE( libsql_wal_insert_end(pTo)==SQLITE_OK );

  /* A reader keeps its snapshot; one that began before cannot go on to write. */
  run(pOther, "BEGIN; SELECT * FROM t");
  copy(pTo, pFrom, 4, 4);
  REQUIRE( says(pTo, "SELECT count(*) FROM t", "2") && says(pOther, "SELECT count(*) FROM t", "1") );
  REQUIRE( try(pOther, "INSERT INTO t VALUES(5)")==SQLITE_BUSY );
  REQUIRE( sqlite3_extended_errcode(pOther)==SQLITE_BUSY_SNAPSHOT );
  run(pOther, "COMMIT");
  REQUIRE( says(pOther, "SELECT count(*) FROM t", "2") );
  REQUIRE( sqlite3_close(pOther)==SQLITE_OK && sqlite3_close(pTo)==SQLITE_OK );

  /* Connections that share a cache are one for the log. */
  pTo = openPlain("file:o2.db?cache=shared");
  pShared = openPlain("file:o2.db?cache=shared");
  run(pShared, "BEGIN; SELECT * FROM t");
  REQUIRE( failed(pTo, libsql_wal_insert_begin(pTo), SQLITE_MISUSE, OPEN_TRANSACTION) );
  run(pShared, "COMMIT");
  REQUIRE( libsql_wal_insert_begin(pTo)==SQLITE_OK );
  REQUIRE( libsql_wal_insert_begin(pShared)==SQLITE_MISUSE );
  REQUIRE( try(pShared, "SELECT * FROM t")==SQLITE_BUSY );
  REQUIRE( libsql_wal_insert_end(pTo)==SQLITE_OK );
  REQUIRE( says(pShared, "SELECT count(*) FROM t", "2") );
  REQUIRE( sqlite3_close(pShared)==SQLITE_OK && sqlite3_close(pTo)==SQLITE_OK );
  REQUIRE( sqlite3_close(pFrom)==SQLITE_OK );
  requireSound("o2.db");
}

/* A process that writes holds off an insertion, and one that reads does not; it sees what was inserted afterwards. */
static void testProcesses(void){
  int aDown[2], aUp[2], status;
  char c;
  pid_t child;
  sqlite3 *pFrom, *pTo;
  REQUIRE( pipe(aDown)==0 && pipe(aUp)==0 );
  child = fork();
  REQUIRE( child>=0 );
  if( child==0 ){
    static const char *azSql[] = { "BEGIN IMMEDIATE", "COMMIT; BEGIN; SELECT * FROM t", "COMMIT" };
    sqlite3 *db;
    int i;
    for(i=0; i<3 && read(aDown[0], &c, 1)==1; i++){
      if( i==0 ) db = openPlain("p2.db");
      run(db, azSql[i]);
      if( i==1 ) REQUIRE( says(db, "SELECT count(*) FROM t", "1") );
      REQUIRE( write(aUp[1], &c, 1)==1 );
    }
    REQUIRE( i==3 && says(db, "SELECT count(*) FROM t", "2") );
    REQUIRE( sqlite3_close(db)==SQLITE_OK );
    _exit(0);
  }
#define CHILD_GOES_ON() REQUIRE( write(aDown[1], "x", 1)==1 && read(aUp[0], &c, 1)==1 )
  pFrom = openSource("p1.db");
  pTo = openSmall("p2.db");
  copy(pTo, pFrom, 1, 3);
  run(pFrom, "INSERT INTO t VALUES(2)");
  CHILD_GOES_ON();
  REQUIRE( failed(pTo, libsql_wal_insert_begin(pTo), SQLITE_BUSY, 0) );
  REQUIRE( says(pTo, "SELECT count(*) FROM t", "1") );
  CHILD_GOES_ON();
  copy(pTo, pFrom, 4, 4);
  REQUIRE( says(pTo, "SELECT count(*) FROM t", "2") );
  CHILD_GOES_ON();
  REQUIRE( waitpid(child, &status, 0)==child && status==0 );
  REQUIRE( sqlite3_close(pFrom)==SQLITE_OK && sqlite3_close(pTo)==SQLITE_OK );
  requireSound("p2.db");
}

/* Databases that are not in WAL mode, are empty, or are locked for one connection. */
static void testModes(void){
  sqlite3 *pFrom = openSource("m1.db"), *pTo, *pOther;
  /* A rollback journal: the file is switched, for others too. */
  pTo = openSmall("m2.db");
  run(pTo, "CREATE TABLE t(x); INSERT INTO t VALUES(77)");
  pOther = openPlain("m2.db");
  REQUIRE( says(pOther, "PRAGMA journal_mode", "delete") );
  REQUIRE( libsql_wal_insert_begin(pTo)==SQLITE_OK && count(pTo)==0 );
  REQUIRE( libsql_wal_insert_end(pTo)==SQLITE_OK );
  REQUIRE( says(pTo, "SELECT x FROM t", "77") );
  REQUIRE( says(pOther, "SELECT x FROM t", "77") && says(pOther, "PRAGMA journal_mode", "wal") );
  REQUIRE( sqlite3_close(pTo)==SQLITE_OK );
  /* A reader with another journal mode in its hand keeps the file from being switched. */
  run(pOther, "PRAGMA journal_mode=delete; BEGIN; SELECT * FROM t");
  pTo = openPlain("m2.db");
  REQUIRE( failed(pTo, libsql_wal_insert_begin(pTo), SQLITE_BUSY, 0) );
  run(pOther, "COMMIT");
  REQUIRE( libsql_wal_insert_begin(pTo)==SQLITE_OK && libsql_wal_insert_end(pTo)==SQLITE_OK );
  REQUIRE( sqlite3_close(pOther)==SQLITE_OK && sqlite3_close(pTo)==SQLITE_OK );
  requireSound("m2.db");
  /* For reading only. */
  REQUIRE( sqlite3_open_v2("m2.db", &pTo, SQLITE_OPEN_READONLY, 0)==SQLITE_OK );
  REQUIRE( failed(pTo, libsql_wal_insert_begin(pTo), SQLITE_READONLY, 0) );
  REQUIRE( says(pTo, "SELECT x FROM t", "77") );
  REQUIRE( sqlite3_close(pTo)==SQLITE_OK );
  /* One connection only, with the index of the log in its own memory. */
  pTo = openSmall("m3.db");
  run(pTo, "PRAGMA locking_mode=exclusive");
  copy(pTo, pFrom, 1, 3);
  REQUIRE( says(pTo, "SELECT x FROM t", "1") && !exists("m3.db-shm") );
  copy(pTo, pFrom, 1, 3);
  run(pTo, "INSERT INTO t VALUES(2)");
  REQUIRE( count(pTo)==4 && says(pTo, "PRAGMA integrity_check", "ok") );
  REQUIRE( sqlite3_close(pTo)==SQLITE_OK );
  requireSound("m3.db");
  REQUIRE( sqlite3_close(pFrom)==SQLITE_OK );
}

static void testDisabledCheckpoints(void){
  sqlite3 *db;
  int i;
  REQUIRE( libsql_wal_disable_checkpoint(0)==SQLITE_MISUSE );
  for(i=0; i<3; i++){
    discard("off.db");
    db = openSource("off.db");
    run(db, "BEGIN");
    for(int j=0; j<1500; j++) run(db, "INSERT INTO t VALUES(zeroblob(800))");
    run(db, "COMMIT; INSERT INTO t VALUES(2)");
    REQUIRE( count(db)>1500 && says(db, "PRAGMA wal_autocheckpoint", "0") );
    REQUIRE( failed(db, try(db, "PRAGMA journal_mode=delete"), SQLITE_ERROR, "SQL logic error") );
    REQUIRE( says(db, "PRAGMA journal_mode", "wal") && says(db, "PRAGMA integrity_check", "ok") );
    REQUIRE( sqlite3_close(db)==SQLITE_OK && exists("off.db-wal") );
    db = openPlain("off.db");
    REQUIRE( libsql_wal_disable_checkpoint(db)==SQLITE_OK && count(db)>1500 );
    run(db, "PRAGMA wal_checkpoint(truncate)");       /* one that is asked for */
    REQUIRE( count(db)==0 );
    run(db, "INSERT INTO t VALUES(3); PRAGMA wal_autocheckpoint");
    REQUIRE( sqlite3_close(db)==SQLITE_OK && exists("off.db-wal") );
    db = openPlain("off.db");
    REQUIRE( libsql_wal_disable_checkpoint(db)==SQLITE_OK && count(db)==1 );
    if( i==0 ) run(db, "PRAGMA wal_autocheckpoint=1000");
    else if( i==1 ) REQUIRE( sqlite3_wal_autocheckpoint(db, 1000)==SQLITE_OK );
    else (void)sqlite3_wal_hook(db, 0, 0);
    if( i==0 ) REQUIRE( says(db, "PRAGMA journal_mode=delete", "delete") );
    REQUIRE( sqlite3_close(db)==SQLITE_OK && !exists("off.db-wal") );
    requireSound("off.db");
  }
}

/* Frames that are inserted keep the numbers of their original, whatever checkpoints the copy has had. */
static void testCheckpointedCopy(void){
  static const char *azMode[] = { "passive", "full", "restart", "truncate" };
  int i;
  for(i=0; i<4; i++){
    sqlite3 *pFrom, *pTo, *pOther;
    char zSql[60];
    discard("c1.db");
    discard("c2.db");
    pFrom = openSource("c1.db");
    pTo = openSmall("c2.db");
    copy(pTo, pFrom, 1, 3);
    run(pFrom, "CREATE INDEX i ON t(x)");
    pOther = openPlain("c2.db");
    snprintf(zSql, sizeof(zSql), "PRAGMA wal_checkpoint(%s)", azMode[i]);
    if( i==3 ){                 /* both logs begin anew */
      copy(pTo, pFrom, 4, count(pFrom));
      run(pOther, zSql);
      run(pFrom, zSql);
      run(pFrom, "INSERT INTO t VALUES(2)");
      REQUIRE( count(pTo)==0 && count(pFrom)==2 );
      copy(pTo, pFrom, 1, 2);
    }else{
      run(pOther, zSql);
      run(pFrom, "INSERT INTO t VALUES(2)");
      REQUIRE( count(pTo)==3 );
      copy(pTo, pFrom, 4, count(pFrom));
      copy(pTo, pFrom, 4, count(pFrom));
    }
    REQUIRE( count(pTo)==count(pFrom) && says(pOther, "SELECT count(*) FROM t INDEXED BY i", "2") );
    REQUIRE( says(pTo, "PRAGMA integrity_check", "ok") );
    REQUIRE( sqlite3_close(pOther)==SQLITE_OK && sqlite3_close(pTo)==SQLITE_OK );
    requireSound("c2.db");
    REQUIRE( sqlite3_close(pFrom)==SQLITE_OK );
  }
}

/* The frames of another's log go through its methods. */
static void testThroughManager(void){
  Manager m = {0};
  sqlite3 *pFrom = openSource("v1.db"), *pTo = openWith("v2.db", &m);
  run(pTo, "PRAGMA page_size=1024");
  copy(pTo, pFrom, 1, 2);
  zTrace[0] = 0;
  REQUIRE( libsql_wal_insert_begin(pTo)==SQLITE_OK );
  REQUIRE( strcmp(zTrace, "EndRead BeginRead(0) Dbsize BeginWrite Savepoint")==0 );
  zTrace[0] = 0;
  REQUIRE( libsql_wal_get_frame(pFrom, 3, aFrame, FRAME)==SQLITE_OK && insert(pTo, 3)==SQLITE_OK );
  REQUIRE( strcmp(zTrace, "FrameCount(1) Frames(1,2,1) Savepoint")==0 );
  zTrace[0] = 0;
  REQUIRE( insert(pTo, 3)==SQLITE_OK );
  REQUIRE( strcmp(zTrace, "FrameCount(1) ReadRaw")==0 );
  REQUIRE( libsql_wal_insert_end(pTo)==SQLITE_OK );
  REQUIRE( says(pTo, "SELECT x FROM t", "1") );
  REQUIRE( sqlite3_wal_backfilled((sqlite3_wal*)m.pInner)==0 );
  run(pTo, "PRAGMA wal_checkpoint");
  REQUIRE( sqlite3_wal_backfilled((sqlite3_wal*)m.pInner)==3 );
  REQUIRE( sqlite3_wal_frame_page_no((sqlite3_wal*)m.pInner, 1)==1 );
  REQUIRE( sqlite3_wal_frame_page_no((sqlite3_wal*)m.pInner, 3)==2 );
  REQUIRE( sqlite3_wal_frame_page_no((sqlite3_wal*)m.pInner, 0)==0 );
  REQUIRE( sqlite3_wal_frame_page_no((sqlite3_wal*)m.pInner, 4)==0 );
  REQUIRE( sqlite3_close(pFrom)==SQLITE_OK && sqlite3_close(pTo)==SQLITE_OK && m.nDestroy==1 );
  requireSound("v2.db");
}

/* The index of a long log has pages that this connection had no reason to look at. */
static void testLongLog(void){
  Manager m = {0};
  sqlite3 *db = openSource("long.db"), *db2;
  unsigned n;
  run(db, "BEGIN; INSERT INTO t VALUES(zeroblob(10000000)); COMMIT");
  run(db, "INSERT INTO t VALUES(1); UPDATE t SET x=2 WHERE rowid=1; CREATE TABLE u(x)");
  n = count(db);
  REQUIRE( n>9000 );
  db2 = openWith("long.db", &m);
  run(db2, "SELECT * FROM u");
  REQUIRE( sqlite3_wal_frame_page_no((sqlite3_wal*)m.pInner, 5000)>4000 );
  REQUIRE( sqlite3_wal_frame_page_no((sqlite3_wal*)m.pInner, n)>0 );
  REQUIRE( sqlite3_close(db2)==SQLITE_OK && sqlite3_close(db)==SQLITE_OK );
}

int main(void){
  testProcesses();              /* first: a process forks before it opens anything */
  testReading();
  testCopy();
  testMisuse();
  testUnfinished();
  testOthers();
  testModes();
  testDisabledCheckpoints();
  testCheckpointedCopy();
  testThroughManager();
  testLongLog();
  REQUIRE( sqlite3_shutdown()==SQLITE_OK );
  REQUIRE( sqlite3_memory_used()==0 );
  return 0;
}
