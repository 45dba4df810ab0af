/* The C of docs/wal.md, used: what is committed is printed, and copied to another database. */
#include "docs_wal.h"

static void run(sqlite3 *db, const char *zSql){
  char *zErr = 0;
  if( sqlite3_exec(db, zSql, 0, 0, &zErr)!=SQLITE_OK ) printf("%s: %s\n", zSql, zErr);
  sqlite3_free(zErr);
}

int main(void){
  sqlite3 *db = 0, *copy = 0;
  sqlite3_stmt *stmt = 0;
  int i;
  printf("open %d", open_watched("watched.db", &db));
  printf(" %d\n", sqlite3_open("copy.db", &copy));
  libsql_wal_disable_checkpoint(db);
  libsql_wal_disable_checkpoint(copy);
  run(db, "PRAGMA journal_mode=wal; CREATE TABLE t(x)");
  for(i=0; i<2; i++){
    run(db, "INSERT INTO t VALUES('row')");
    printf("copied %d\n", copy_frames(db, copy, 4096));
  }
  sqlite3_prepare_v2(copy, "SELECT count(*) FROM t", -1, &stmt, 0);
  sqlite3_step(stmt);
  printf("rows %d\n", sqlite3_column_int(stmt, 0));
  sqlite3_finalize(stmt);
  sqlite3_close(db);
  sqlite3_close(copy);
  return 0;
}
