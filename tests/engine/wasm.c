/*
** wasm.c: modules that were damaged, pointers that lead anywhere, and memory that runs out, under the sanitizers.
**
**   wasm mutations SEED N FILE...    N mutations of the modules, each registered and called in all ways that it offers
**   wasm pointers SEED N             pointers and lengths of every kind, given by a module
**   wasm faults FILE                 CREATE FUNCTION, calls and DROP FUNCTION while each allocation fails in turn
**
** Whatever happens must be an SQL error or a result, and the connection must go on. Prints what it counted.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "libsql.h"
#include "lsc.h"

#define REQUIRE(x) do{ if( !(x) ){ fprintf(stderr, "wasm.c:%d: %s\n", __LINE__, #x); exit(1); } }while( 0 )

static unsigned long long state;

static unsigned rnd(unsigned n){
  state = state*6364136223846793005ULL + 1442695040888963407ULL;
  return n ? (unsigned)(state>>33) % n : 0;
}

static unsigned char *readFile(const char *zPath, int *pn){
  FILE *f = fopen(zPath, "rb");
  unsigned char *a = malloc(65536);
  REQUIRE( f && a );
  *pn = (int)fread(a, 1, 65536, f);
  fclose(f);
  return a;
}

/* Runs a statement to its end, if it compiles. */
static int run(sqlite3 *db, const char *zSql){
  sqlite3_stmt *pStmt = 0;
  int n = 0;
  int rc = sqlite3_prepare_v2(db, zSql, -1, &pStmt, 0);
  while( rc==SQLITE_OK && n++<50 && sqlite3_step(pStmt)==SQLITE_ROW ){
    int i;
    for(i=0; i<sqlite3_column_count(pStmt); i++){
      (void)sqlite3_column_text(pStmt, i);
      (void)sqlite3_column_blob(pStmt, i);
    }
  }
  if( rc==SQLITE_OK ) rc = sqlite3_finalize(pStmt);
  return rc;
}

static int must(sqlite3 *db, const char *zSql){
  int rc = run(db, zSql);
  if( rc ) fprintf(stderr, "%s: %s\n", zSql, sqlite3_errmsg(db));
  REQUIRE( rc==SQLITE_OK );
  return rc;
}

static int define(sqlite3 *db, const char *zName, const void *a, int n, int bText){
  lsc_wasm want;
  lsc_error error;
  int rc;
  memset(&want, 0, sizeof(want));
  memset(&error, 0, sizeof(error));
  want.name = zName;
  want.source = a;
  want.n = n;
  want.is_text = bText;
  want.deterministic = 1;
  want.fuel = 20000;
  want.memory = 1<<20;
  rc = lsc_wasm_define(db, &want, &error);
  REQUIRE( rc==SQLITE_OK || error.text );
  if( rc==SQLITE_ERROR && lsc_wasm_missing() ) fprintf(stderr, "%s\n", error.text);
  sqlite3_free(error.text);
  return rc;
}

static int mutate(const unsigned char *a, int n, unsigned char *b){
  int i, k = 1 + (int)rnd(4);
  memcpy(b, a, (size_t)n);
  for(i=0; i<k && n>0; i++){
    int at = (int)rnd((unsigned)n), m;
    switch( rnd(6) ){
      case 0: b[at] ^= (unsigned char)(1<<rnd(8)); break;
      case 1: b[at] = (unsigned char)rnd(256); break;
      case 2: b[at] = (unsigned char)(b[at] + (rnd(2) ? 1 : -1)); break;
      case 3: memmove(&b[at], &b[at+1], (size_t)(n-at-1)); n--; break;
      case 4: memmove(&b[at+1], &b[at], (size_t)(n-at)); b[at] = (unsigned char)rnd(256); n++; break;
      default:
        m = 1 + (int)rnd(8);
        if( at+m<n ) memmove(&b[at], &b[rnd((unsigned)(n-m))], (size_t)m);
    }
  }
  return n;
}

static void mutations(int n, int nFile, char **azFile){
  static const char *const azName[] = {"fib", "shout", "flip", "bit_xor", "words"};
  static const char *const azCall[] = {
    "SELECT fib(12), fib(-1), fib(NULL)",
    "SELECT shout('text'), shout(NULL), shout(zeroblob(3000)), shout(5)",
    "SELECT flip(x'010203'), flip('text'), flip(2.5)",
    "SELECT v%2, bit_xor(v) FROM (SELECT 1 AS v UNION SELECT 2 UNION SELECT 3) GROUP BY 1",
    "SELECT * FROM words('one two  three')"
  };
  unsigned char *b = malloc(70000);
  sqlite3 *db;
  int i, j, nGood = 0, nRun = 0;
  REQUIRE( b && sqlite3_open(":memory:", &db)==SQLITE_OK );
  for(i=0; i<n; i++){
    int nModule, nNew;
    unsigned char *a = readFile(azFile[rnd((unsigned)nFile)], &nModule);
    nNew = mutate(a, nModule, b);
    for(j=0; j<5; j++){
      if( define(db, azName[j], b, nNew, 0)==SQLITE_OK ){
        nGood++;
        nRun += run(db, azCall[j])==SQLITE_OK;
      }
    }
    free(a);
    if( i%50==0 ){
      sqlite3_close(db);
      REQUIRE( sqlite3_open(":memory:", &db)==SQLITE_OK );
    }
  }
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
  free(b);
  printf("mutations: %d, %d functions, %d calls without an error\n", n, nGood, nRun);
}

static const char zPointers[] =
  "(module (memory (export \"memory\") 2) (global $room (mut i32) (i32.const 0))"
  " (func (export \"libsql_malloc\") (param i32) (result i32) (global.get $room))"
  " (func (export \"libsql_free\") (param i32))"
  " (func (export \"room\") (param i64) (result i64) (global.set $room (i32.wrap_i64 (local.get 0))) (i64.const 0))"
  " (func (export \"poke\") (param i64 i64) (result i64) (i64.store align=1 (i32.and (i32.wrap_i64 (local.get 0)) (i32.const 131064))"
  "   (local.get 1)) (i64.const 0))"
  " (func (export \"take\") (param i32) (result i64) (i64.const 1))"
  " (func (export \"give\") (param i64) (result i32) (i32.wrap_i64 (local.get 0)))"
  " (func (export \"same\") (param i32) (result i32) (local.get 0)))";

static long long place(void){
  switch( rnd(6) ){
    case 0: return rnd(131072);
    case 1: return 131072 - (long long)rnd(12);
    case 2: return 131072 + (long long)rnd(12);
    case 3: return (long long)rnd(0xffffffffu);
    case 4: return -(long long)rnd(20);
    default: return rnd(16);
  }
}

static void pointers(int n){
  static const char *const azFunc[] = {"room", "poke", "take", "give", "same"};
  sqlite3 *db;
  int i, nGood = 0;
  char zSql[300];
  REQUIRE( sqlite3_open(":memory:", &db)==SQLITE_OK );
  for(i=0; i<5; i++) REQUIRE( define(db, azFunc[i], zPointers, (int)sizeof(zPointers)-1, 1)==SQLITE_OK );
  for(i=0; i<n; i++){
    static const char *const azValue[] = {"NULL", "1", "2.5", "'text of a few bytes'", "x'01020304'", "zeroblob(200000)", "''"};
    sprintf(zSql, "SELECT room(%lld), poke(%lld, %lld)", place(), place(), (long long)rnd(0xffffffff) | (long long)(1+rnd(7))<<(8*rnd(8)));
    must(db, zSql);
    sprintf(zSql, "SELECT take(%s)", azValue[rnd(7)]);
    nGood += run(db, zSql)==SQLITE_OK;
    sprintf(zSql, "SELECT same(%s)", azValue[rnd(7)]);
    nGood += run(db, zSql)==SQLITE_OK;
    sprintf(zSql, "SELECT give(%lld)", place());
    nGood += run(db, zSql)==SQLITE_OK;
  }
  must(db, "SELECT room(64), same('text')");
  REQUIRE( sqlite3_close(db)==SQLITE_OK );
  printf("pointers: %d, %d calls without an error\n", n, nGood);
}

static sqlite3_mem_methods realMem;
static int failAt, nFailed;

static void *failingMalloc(int n){
  if( failAt>0 && --failAt==0 ){ nFailed++; return 0; }
  return realMem.xMalloc(n);
}

static void *failingRealloc(void *p, int n){
  if( failAt>0 && --failAt==0 ){ nFailed++; return 0; }
  return realMem.xRealloc(p, n);
}

/* What happens to a database with functions; the statements that fail are tried again. */
static int life(sqlite3 *db, const char *const *azSql, int n){
  int i, nBad = 0;
  for(i=0; i<n; i++) nBad += run(db, azSql[i])!=SQLITE_OK;
  return nBad;
}

static void faults(char **azFile){
  static const char *const azSql[] = {
    "BEGIN", "INSERT INTO libsql_wasm_func_table SELECT 'shout', body FROM kept WHERE name='shout'", "COMMIT",
    "SELECT shout('a'), shout(NULL)", "SELECT bit_xor(v) FROM (SELECT 1 AS v UNION SELECT 2)", "SELECT * FROM words('a b')",
    "CREATE TABLE t(x)", "SELECT shout('b')", "DROP FUNCTION shout", "DROP FUNCTION IF EXISTS words", "DROP TABLE t",
    "CREATE FUNCTION IF NOT EXISTS one LANGUAGE wasm AS '(module (func (export \"one\") (result i64) (i64.const 1)))'",
    "SELECT one()", "SELECT shout('c')"
  };
  sqlite3_mem_methods failing;
  static const char *const azName[] = {"shout", "bit_xor", "words"};
  int at, nBad = 1, i;
  REQUIRE( sqlite3_shutdown()==SQLITE_OK );
  REQUIRE( sqlite3_config(SQLITE_CONFIG_GETMALLOC, &realMem)==SQLITE_OK );
  failing = realMem;
  failing.xMalloc = failingMalloc;
  failing.xRealloc = failingRealloc;
  REQUIRE( sqlite3_config(SQLITE_CONFIG_MALLOC, &failing)==SQLITE_OK && sqlite3_initialize()==SQLITE_OK );
  for(at=1; nBad>0; at+=at<300 ? 1 : 7){
    sqlite3 *db;
    sqlite3_stmt *pStmt;
    REQUIRE( sqlite3_open(":memory:", &db)==SQLITE_OK );
    sqlite3_db_config(db, SQLITE_DBCONFIG_LOOKASIDE, (void*)0, 0, 0);
    must(db, "CREATE TABLE kept(name, body)");
    must(db, "CREATE TABLE libsql_wasm_func_table (name text PRIMARY KEY, body text) WITHOUT ROWID");
    for(i=0; i<3; i++){
      int n;
      unsigned char *a = readFile(azFile[i], &n);
      REQUIRE( sqlite3_prepare_v2(db, "INSERT INTO kept VALUES(?,?)", -1, &pStmt, 0)==SQLITE_OK );
      sqlite3_bind_text(pStmt, 1, azName[i], -1, SQLITE_STATIC);
      sqlite3_bind_blob(pStmt, 2, a, n, SQLITE_TRANSIENT);
      REQUIRE( sqlite3_step(pStmt)==SQLITE_DONE && sqlite3_finalize(pStmt)==SQLITE_OK );
      free(a);
    }
    must(db, "INSERT INTO libsql_wasm_func_table SELECT * FROM kept WHERE name<>'shout'");
    failAt = at;
    nFailed = 0;
    life(db, azSql, (int)(sizeof(azSql)/sizeof(azSql[0])));
    failAt = 0;
    nBad = nFailed;
    if( !sqlite3_get_autocommit(db) ) must(db, "ROLLBACK");
    (void)run(db, "SELECT bit_xor(1)");
    must(db, "PRAGMA integrity_check");
    must(db, "CREATE FUNCTION IF NOT EXISTS two LANGUAGE wasm AS '(module (func (export \"two\") (result i64) (i64.const 1)))'");
    must(db, "SELECT two(), bit_xor(1)");
    REQUIRE( sqlite3_close(db)==SQLITE_OK );
  }
  printf("faults: until allocation %d\n", at);
}

int main(int argc, char **argv){
  REQUIRE( argc>2 );
  state = (unsigned long long)atoll(argv[2]);
  if( strcmp(argv[1], "mutations")==0 ) mutations(atoi(argv[3]), argc-4, &argv[4]);
  else if( strcmp(argv[1], "pointers")==0 ) pointers(atoi(argv[3]));
  else faults(&argv[3]);
  return 0;
}
