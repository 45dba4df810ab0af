/*
** pragma.c: the pragmas that SQLite lacks. Included by engine.c.
**
**   PRAGMA libsql_alter_check [= on|off]     ALTER COLUMN checks the rows; sql/alter_check.c
**   PRAGMA libsql_vector_cache [= bytes]     memory for searched columns, and for vector indexes; vec/scan.c
**   PRAGMA libsql_vector_build_memory [= bytes]    memory for building a vector index; vec/index_fill.c
**   PRAGMA libsql_wasm [= on|off], libsql_wasm_memory, _fuel, _time, _module_size [= n]      wasm/file.c
**   PRAGMA libsql_vector_order [= on|off]    ORDER BY a distance LIMIT k may use a vector index; vec/order.c
**
** They set the connection when they are compiled, as those of SQLite that set flags do.
*/

/* Codes a row of one integer. */
static void lscPragmaResult(Parse *pParse, const char *zName, i64 n){
  Vdbe *v = sqlite3GetVdbe(pParse);
  if( v==0 ) return;
  sqlite3VdbeSetNumCols(v, 1);
  sqlite3VdbeSetColName(v, 0, COLNAME_NAME, zName, SQLITE_STATIC);
  returnSingleInt(v, n);
}

/* Sets a number of bytes, and codes it as a row. */
static void lscPragmaBytes(Parse *pParse, const char *zName, const char *zValue, u64 *pn){
  i64 n;
  if( zValue && sqlite3DecOrHexToI64(zValue, &n)==0 && n>=0 ){
    *pn = (u64)n;
  }else if( zValue ){
    sqlite3ErrorMsg(pParse, "%s is a number of bytes", zName);
  }
  lscPragmaResult(pParse, zName, (i64)*pn);
}

static int lsc_pragma(Parse *pParse, int iDb, const char *zName, const char *zValue){
  LscConn *p = pParse->db->pLsc;
  if( p==0 ) return 0;
  if( sqlite3StrICmp(zName, "libsql_alter_check")==0 ){
    if( zValue ) p->alterCheck = sqlite3GetBoolean(zValue, 0);
    else lscPragmaResult(pParse, "libsql_alter_check", p->alterCheck);
    return 1;
  }
  if( sqlite3StrICmp(zName, "libsql_vector_cache")==0 ){
    lscPragmaBytes(pParse, "libsql_vector_cache", zValue, &p->nScanLimit);
    lscScanForget(p, p->nScanLimit);
    lscIndexShrink(p);
    return 1;
  }
  if( sqlite3StrICmp(zName, "libsql_vector_build_memory")==0 ){
    lscPragmaBytes(pParse, "libsql_vector_build_memory", zValue, &p->nVecBuild);
    return 1;
  }
  if( sqlite3StrICmp(zName, "libsql_vector_order")==0 ){
    Vdbe *v = sqlite3GetVdbe(pParse);
    if( zValue==0 ){
      lscPragmaResult(pParse, "libsql_vector_order", p->vecOrder);
    }else if( v ){
      p->vecOrder = sqlite3GetBoolean(zValue, 0);
      sqlite3VdbeAddOp2(v, OP_Expire, 0, 1);    /* statements are planned anew, not those that run */
    }
    return 1;
  }
  if( lscWasmPragma(pParse, zName, zValue) ) return 1;
  return lscKeyPragma(pParse, iDb, zName, zValue);
}
