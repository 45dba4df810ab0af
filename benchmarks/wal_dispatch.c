/*
** wal_dispatch.c: one case of wal_dispatch.py, on whichever SQLite it was linked with.
**
**     wal_dispatch CASE FOLDER
**
** Prepares a database in WAL mode in FOLDER, then runs the case once for each line of its input and prints the CPU
** time that this took, in nanoseconds. What a sample needs in front of it or leaves behind is not timed. All content
** is computed, none is random, so that every run of a case does the same.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "sqlite3.h"

/* Shifts all code behind this file, by a part of a cache line. */
#if LAYOUT>0
# define TEXT_OF(x) #x
# define SKIP(x) ".text\n.skip 16*" TEXT_OF(x) ", 0x90\n"
__asm__(SKIP(LAYOUT));
#endif

#define REQUIRE(x) do{ if( !(x) ){ fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #x, \
                                           sqlite3_errmsg(db)); exit(2); } }while( 0 )

static sqlite3 *db;
static sqlite3_stmt *pStmt;       /* the statement that most cases repeat */
static unsigned nStep;            /* moves on with every row, so that no sample repeats the last */

static void run(const char *zSql){ REQUIRE( sqlite3_exec(db, zSql, 0, 0, 0)==SQLITE_OK ); }

static void prepare(const char *zSql){ REQUIRE( sqlite3_prepare_v2(db, zSql, -1, &pStmt, 0)==SQLITE_OK ); }

/* Rows of about 200 bytes; with n=40000 some 2200 pages. */
static void fill(int n){
  char zSql[200];
  snprintf(zSql, sizeof(zSql), "WITH RECURSIVE c(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM c WHERE i<%d) "
                               "INSERT INTO t SELECT i, i*7, printf('%%0200d', i) FROM c", n);
  run(zSql);
}

static void repeat(int n, int nMax){
  while( n-- ){
    sqlite3_bind_int(pStmt, 1, (int)(++nStep*2654435761u % (unsigned)nMax)+1);
    while( sqlite3_step(pStmt)==SQLITE_ROW ){}
    REQUIRE( sqlite3_reset(pStmt)==SQLITE_OK );
  }
}

static void nothing(void){}

static void emptyLog(void){ run("PRAGMA wal_checkpoint(TRUNCATE)"); }

static void updateSmall(void){
  run("PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0");
  fill(1000);
  prepare("UPDATE t SET b=b+1 WHERE a=?");
}
static void updateSynced(void){
  run("PRAGMA synchronous=NORMAL");     /* and automatic checkpoints, as by default */
  fill(1000);
  prepare("UPDATE t SET b=b+1 WHERE a=?");
}
static void commits(void){ repeat(1000, 1000); }

static void insertBig(void){
  run("PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=100");
}
static void emptyTable(void){
  run("DELETE FROM t");
  emptyLog();
}
static void oneTransaction(void){ fill(20000); }

/* Everything lies in the log, hardly anything in the cache: each page that is read is looked up there. */
static void inLog(void){
  run("PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0");
  fill(40000);
  run("PRAGMA cache_size=3; PRAGMA shrink_memory");
}
static void seekLog(void){
  inLog();
  prepare("SELECT b FROM t WHERE a=?");
  run("BEGIN; SELECT * FROM t LIMIT 1");
}
static void seeks(void){ repeat(10000, 40000); }

static void scanLog(void){
  inLog();
  prepare("SELECT sum(b) FROM t WHERE ?>0");
}
static void scans(void){ repeat(5, 1); }

/* A transaction for each row: what begins and ends one is most of the work. */
static void readCached(void){
  run("PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0");
  fill(1000);
  prepare("SELECT b FROM t WHERE a=?");
}
static void reads(void){ repeat(20000, 1000); }

static void updateLog(void){
  run("PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0");
  fill(40000);
}
static void fillLog(void){ run("UPDATE t SET b=b+1"); }
static void checkpoint(void){ run("PRAGMA wal_checkpoint(TRUNCATE)"); }

static const struct {
  const char *zName;
  void (*xPrepare)(void);
  void (*xBefore)(void);
  void (*xSample)(void);
} aCase[] = {
  { "commits-off", updateSmall, emptyLog, commits },
  { "commits-normal", updateSynced, nothing, commits },
  { "big-transaction", insertBig, emptyTable, oneTransaction },
  { "seeks", seekLog, nothing, seeks },
  { "scans", scanLog, nothing, scans },
  { "short-reads", readCached, nothing, reads },
  { "checkpoint", updateLog, fillLog, checkpoint },
};

static long long cpuTime(void){
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (long long)t.tv_sec*1000000000 + t.tv_nsec;
}

int main(int argc, char **argv){
  char zPath[1000], zLine[10];
  size_t i, n = sizeof(aCase)/sizeof(aCase[0]);
  if( argc==2 && strcmp(argv[1], "list")==0 ){
    for(i=0; i<n; i++) printf("%s\n", aCase[i].zName);
    return 0;
  }
  for(i=0; i<n && argc==3 && strcmp(argv[1], aCase[i].zName)!=0; i++){}
  if( argc!=3 || i==n ){
    fprintf(stderr, "usage: wal_dispatch CASE FOLDER\n");
    return 2;
  }
  snprintf(zPath, sizeof(zPath), "%s/case.db", argv[2]);
  REQUIRE( sqlite3_open(zPath, &db)==SQLITE_OK );
  run("PRAGMA journal_mode=WAL; CREATE TABLE t(a INTEGER PRIMARY KEY, b, c)");
  aCase[i].xPrepare();
  while( fgets(zLine, sizeof(zLine), stdin) ){
    long long start;
    aCase[i].xBefore();
    start = cpuTime();
    aCase[i].xSample();
    printf("%lld\n", cpuTime()-start);
    fflush(stdout);
  }
  sqlite3_finalize(pStmt);
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
  return 0;
}
