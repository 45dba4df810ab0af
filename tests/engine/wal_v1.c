/* wal_v1.c: a log of the first generation, as programs for libSQL of 2023 have them: it counts the pages that
** are written, and leaves the rest to the default table. Prints what it saw. */
#define LIBSQL_WAL_V1
#include "libsql.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(x) do{ if( !(x) ){ fprintf(stderr, "line %d: %s\n", __LINE__, #x); exit(1); } }while( 0 )

typedef struct Counter { int nOpen, nPage, nCommit; } Counter;

static libsql_wal_methods counting;
static int nMain;

static int countOpen(sqlite3_vfs *pVfs, sqlite3_file *pFile, const char *zName, int bNoShm, long long nMax,
                     libsql_wal_methods *pMethods, libsql_wal **ppWal){
  REQUIRE( strstr(zName, ".db-wal") );
  return libsql_wal_methods_find(0)->xOpen(pVfs, pFile, zName, bNoShm, nMax, pMethods, ppWal);
}

static int countFrames(libsql_wal *p, int szPage, libsql_pghdr *pList, unsigned nTruncate, int isCommit, int flags){
  Counter *pCounter = p->pMethodsData;
  libsql_pghdr *pPage;
  for(pPage=pList; pPage; pPage=pPage->pDirty) pCounter->nPage++;
  pCounter->nCommit += isCommit;
  return libsql_wal_methods_find("default")->xFrames(p, szPage, pList, nTruncate, isCommit, flags);
}

static int countMain(libsql_wal_methods *pMethods, const char *zPath){
  REQUIRE( pMethods==&counting && strstr(zPath, ".db") );
  nMain++;
  return SQLITE_OK;
}

static void run(sqlite3 *db, const char *zSql){
  char *zErr = 0;
  if( sqlite3_exec(db, zSql, 0, 0, &zErr)!=SQLITE_OK ){
    fprintf(stderr, "%s: %s\n", zSql, zErr);
    exit(1);
  }
}

int main(void){
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI;
  Counter counter = {0, 0, 0};
  libsql_wal_methods other;
  sqlite3 *db;

  REQUIRE( libsql_wal_methods_register(libsql_wal_methods_find("default"))==SQLITE_MISUSE );
  counting = *libsql_wal_methods_find("");
  counting.zName = "counting";
  counting.xOpen = countOpen;
  counting.xFrames = countFrames;
  counting.xPreMainDbOpen = countMain;
  REQUIRE( libsql_wal_methods_register(&counting)==SQLITE_OK );
  REQUIRE( libsql_wal_methods_find("counting")==&counting && libsql_wal_methods_find("Counting")==0 );
  REQUIRE( libsql_wal_methods_next(0)==libsql_wal_methods_find(0) );
  REQUIRE( libsql_wal_methods_next(libsql_wal_methods_find(0))==&counting && libsql_wal_methods_next(&counting)==0 );
  REQUIRE( strcmp(libsql_wal_methods_name(&counting), "counting")==0 );

  REQUIRE( libsql_open_v2("v1.db", &db, flags, 0, "counting", &counter)==SQLITE_OK );
  run(db, "PRAGMA journal_mode=wal; CREATE TABLE t(x); INSERT INTO t VALUES(1); SAVEPOINT a; INSERT INTO t VALUES(2);"
          "ROLLBACK TO a; RELEASE a; PRAGMA wal_checkpoint; PRAGMA integrity_check");
  run(db, "PRAGMA journal_mode=delete; INSERT INTO t VALUES(3)");
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
  printf("pages %d commits %d opens %d\n", counter.nPage, counter.nCommit, nMain);

  other = counting;
  other.xFrames = 0;
  REQUIRE( libsql_wal_methods_register(&other)==SQLITE_MISUSE );
  REQUIRE( libsql_wal_methods_unregister(&counting)==SQLITE_OK );
  REQUIRE( libsql_wal_methods_unregister(&counting)==SQLITE_OK );
  REQUIRE( libsql_open("v1.db", &db, flags, 0, "counting")==SQLITE_ERROR );
  printf("%s\n", sqlite3_errmsg(db));
  sqlite3_close(db);
  REQUIRE( sqlite3_shutdown()==SQLITE_OK && sqlite3_memory_used()==0 );
  return 0;
}
