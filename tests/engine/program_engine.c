/*
** program_engine.c: the engine that program.c is linked with, and a hand in its works.
*/
#include "engine.c"

/* As if the statement had read n rows. */
void engine_set_rows_read(sqlite3_stmt *pStmt, sqlite3_uint64 n){
  ((Vdbe*)pStmt)->lsc.nRead = n;
}
