/*
** smoke.c: what check.py runs against every release. Prints the SQLite version; a failure exits with a line number.
**
** The close hook must run before the test for open statements, so a hook that finalizes one lets the close succeed;
** and an open that fails at any of its allocations must give back all memory, our state included.
*/
#include <stdio.h>
#include <stdlib.h>
#include "libsql.h"

#define REQUIRE(x) do{ if( !(x) ){ fprintf(stderr, "smoke.c:%d: %s\n", __LINE__, #x); exit(1); } }while( 0 )

static sqlite3_mem_methods realMem;
static int failAt;            /* number of the allocation that fails; 0 for none */
static int nFailed;

static void *failingMalloc(int n){
  if( failAt>0 && --failAt==0 ){ nFailed++; return 0; }
  return realMem.xMalloc(n);
}

static void *failingRealloc(void *p, int n){
  if( failAt>0 && --failAt==0 ){ nFailed++; return 0; }
  return realMem.xRealloc(p, n);
}

static int nClose;

static void onClose(void *pArg, sqlite3 *db){
  sqlite3_stmt **ppStmt = pArg;
  nClose++;
  REQUIRE( sqlite3_get_autocommit(db) );
  if( ppStmt ){
    sqlite3_finalize(*ppStmt);
    *ppStmt = 0;
  }
}

static void testClose(void){
  sqlite3 *db;
  sqlite3_stmt *pStmt;
  REQUIRE( sqlite3_open(":memory:", &db)==SQLITE_OK );
  REQUIRE( sqlite3_prepare_v2(db, "SELECT 1", -1, &pStmt, 0)==SQLITE_OK );
  REQUIRE( libsql_close_hook(db, onClose, 0)==0 );
  REQUIRE( sqlite3_close(db)==SQLITE_BUSY && nClose==1 );
  REQUIRE( libsql_close_hook(db, onClose, &pStmt)==0 );
  REQUIRE( sqlite3_close(db)==SQLITE_OK && nClose==2 && pStmt==0 );

  REQUIRE( sqlite3_open(":memory:", &db)==SQLITE_OK );
  REQUIRE( sqlite3_prepare_v2(db, "SELECT 1", -1, &pStmt, 0)==SQLITE_OK );
  REQUIRE( libsql_close_hook(db, onClose, 0)==0 );
  REQUIRE( sqlite3_close_v2(db)==SQLITE_OK && nClose==3 );
  REQUIRE( sqlite3_finalize(pStmt)==SQLITE_OK && nClose==3 );

  REQUIRE( sqlite3_open(":memory:", &db)==SQLITE_OK );
  REQUIRE( libsql_close_hook(db, onClose, &pStmt)==0 );
  REQUIRE( libsql_close_hook(db, 0, 0)==&pStmt );
  REQUIRE( sqlite3_close(db)==SQLITE_OK && nClose==3 );
  REQUIRE( libsql_close_hook(0, onClose, 0)==0 );
}

static void testFailingOpen(void){
  int i, rc = SQLITE_NOMEM;
  sqlite3_int64 before = sqlite3_memory_used();
  for(i=1; rc!=SQLITE_OK; i++){
    sqlite3 *db = 0;
    failAt = i;
    rc = sqlite3_open(":memory:", &db);
    failAt = 0;
    REQUIRE( rc==SQLITE_OK || rc==SQLITE_NOMEM );
    REQUIRE( sqlite3_close(db)==SQLITE_OK );
    REQUIRE( sqlite3_memory_used()==before );
  }
  REQUIRE( nFailed>=3 );      /* the connection, our state, its mutex at least */
}

int main(void){
  sqlite3_mem_methods mem;
  REQUIRE( sqlite3_config(SQLITE_CONFIG_GETMALLOC, &realMem)==SQLITE_OK );
  mem = realMem;
  mem.xMalloc = failingMalloc;
  mem.xRealloc = failingRealloc;
  REQUIRE( sqlite3_config(SQLITE_CONFIG_MALLOC, &mem)==SQLITE_OK );
  REQUIRE( sqlite3_initialize()==SQLITE_OK );
  testClose();
  testFailingOpen();
  REQUIRE( sqlite3_shutdown()==SQLITE_OK );
  printf("%s\n", sqlite3_libversion());
  return 0;
}
