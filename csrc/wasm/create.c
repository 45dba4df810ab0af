/*
** create.c: CREATE FUNCTION and DROP FUNCTION. Included by engine.c.
**
**   CREATE FUNCTION [IF NOT EXISTS] name LANGUAGE wasm AS 'text' | x'hex'
**   DROP FUNCTION [IF EXISTS] name
**
** The statements are read by hand, as sql/parse.c has it. Their programs change rows of libsql_wasm_func_table and the
** schema's cookie; from there on stored.c does the rest. A module is compiled before its row is written, and before the
** table is made. Names are stored without their quotes, in small letters.
*/

/* The statement as written. */
typedef struct WtStatement {
  Token name, language, body;
  u8 bIf;                     /* IF [NOT] EXISTS */
  u8 bText;                   /* the body is text */
} WtStatement;

static int wtIsWord(const LscLex *x, const char *zWord){
  return x->type==TK_ID && x->t.n==(unsigned)sqlite3Strlen30(zWord) && sqlite3_strnicmp(x->t.z, zWord, (int)x->t.n)==0;
}

/* Reads what is behind FUNCTION. */
static int wtReadStatement(LscLex *x, int bDrop, WtStatement *p){
  lscLexNext(x);
  if( x->type==TK_IF ){
    LscLex ahead = *x;
    lscLexNext(&ahead);
    if( bDrop ? ahead.type==TK_EXISTS : ahead.type==TK_NOT ){
      p->bIf = 1;
      *x = ahead;
      if( !bDrop && lscLexNext(x)!=TK_EXISTS ) return 0;
      lscLexNext(x);
    }
  }
  if( !lscLexIsName(x->type) ) return 0;
  p->name = x->t;
  lscLexNext(x);
  if( bDrop ) return 1;
  if( !wtIsWord(x, "language") || !lscLexIsName(lscLexNext(x)) ) return 0;
  p->language = x->t;
  if( lscLexNext(x)!=TK_AS ) return 0;
  lscLexNext(x);
  if( x->type!=TK_STRING && x->type!=TK_BLOB ) return 0;
  p->bText = x->type==TK_STRING;
  p->body = x->t;
  lscLexNext(x);
  return 1;
}

/* The program's calls of our functions. Arguments: name, body or NULL, whether IF [NOT] EXISTS was said; for the insert
** also whether the table is new. */
static LscWasm *wtCaller(sqlite3_context *ctx){
  LscWasm *p = lscWasmOf(sqlite3_context_db_handle(ctx));
  if( p==0 ) sqlite3_result_error_nomem(ctx);
  return p;
}

/* Runs a statement on the table as a part of the one that runs: the counts of changes are left alone. */
static int wtChange(LscWasm *p, const char *zSql, const char *zName, sqlite3_value *pBody, i64 *pnChange){
  sqlite3 *db = p->db;
  i64 nChange = db->nChange, nTotal = db->nTotalChange;
  sqlite3_stmt *pStmt = 0;
  WtQuiet quiet;
  int rc, rc2;
  wtQuietBegin(db, &quiet);
  p->bBusy = 1;
  rc = lscWasmQuery(db, zSql, zName, &pStmt);
  if( rc==SQLITE_OK && pBody ) rc = sqlite3_bind_value(pStmt, 2, pBody);
  if( rc==SQLITE_OK ) (void)sqlite3_step(pStmt);
  rc2 = sqlite3_finalize(pStmt);
  if( rc==SQLITE_OK ) rc = rc2;
  p->bBusy = 0;
  wtQuietEnd(db, &quiet);
  *pnChange = db->nTotalChange - nTotal;
  db->nChange = nChange;
  db->nTotalChange = nTotal;
  return rc;
}

static void wtStatementError(sqlite3_context *ctx, int rc){
  sqlite3 *db = sqlite3_context_db_handle(ctx);
  char *z = sqlite3_mprintf("%s", sqlite3_errmsg(db));
  if( z ) sqlite3_result_error(ctx, z, -1);
  sqlite3_result_error_code(ctx, rc);
  sqlite3_free(z);
}

/* Whether the table has the function. */
static int wtExists(LscWasm *p, const char *zName, int *pb){
  sqlite3_stmt *pStmt = 0;
  WtQuiet quiet;
  int rc, rc2;
  wtQuietBegin(p->db, &quiet);
  p->bBusy = 1;
  rc = lscWasmQuery(p->db, "SELECT 1 FROM main." LSC_WASM_TABLE " WHERE name=?1 COLLATE nocase", zName, &pStmt);
  *pb = rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW;
  rc2 = sqlite3_finalize(pStmt);
  p->bBusy = 0;
  wtQuietEnd(p->db, &quiet);
  return rc==SQLITE_OK ? rc2 : rc;
}

/* Compiles the module that CREATE FUNCTION is given, before anything is written. One that is there is left alone. */
static void wtCheckFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  const char *zName = (const char*)sqlite3_value_text(argv[0]);
  LscWasm *p = wtCaller(ctx);
  LscWasmModule *pModule = 0;
  LscWasmFunc *pFunc;
  char *zErr = 0;
  int rc, bExists = 0;
  i64 n;
  (void)argc;
  if( p==0 ) return;
  if( sqlite3_value_int(argv[2]) && !sqlite3_value_int(argv[3]) ){
    rc = wtExists(p, zName, &bExists);
    if( rc!=SQLITE_OK ) wtStatementError(ctx, rc);
    if( rc!=SQLITE_OK || bExists ) return;
  }
  pFunc = sqlite3MallocZero(sizeof(*pFunc));
  if( pFunc==0 || zName==0 ){
    sqlite3_free(pFunc);
    sqlite3_result_error_nomem(ctx);
    return;
  }
  n = sqlite3_value_bytes(argv[1]);
  if( n>p->nModule ){
    rc = wtError(&zErr, "a module of %lld bytes is over the limit of %lld, see PRAGMA libsql_wasm_module_size", n, p->nModule);
  }else{
    int bText = sqlite3_value_type(argv[1])==SQLITE_TEXT;
    const void *z = bText ? (const void*)sqlite3_value_text(argv[1]) : sqlite3_value_blob(argv[1]);
    rc = z==0 && n>0 ? SQLITE_NOMEM : lscWasmModuleGet(z ? z : "", n, bText, p->limits.nFuel!=0, &pModule, &zErr);
  }
  if( rc==SQLITE_OK ) rc = lscWasmKind(pModule, zName, pFunc, &zErr);
  if( rc==SQLITE_OK && pModule->zImport && (pModule->bForeign || !p->limits.bWasi) ){
    rc = wtError(&zErr, "the module imports %s, which is not granted to it", pModule->zImport);
  }
  if( rc!=SQLITE_OK ){
    char *z = zErr ? sqlite3_mprintf("Registering Wasm function %s failed: %s", zName, zErr) : 0;
    if( z ) sqlite3_result_error(ctx, z, -1);
    else sqlite3_result_error_nomem(ctx);
    sqlite3_free(z);
  }
  sqlite3_free(zErr);
  lscWasmModuleUnref(pModule);
  sqlite3_free(pFunc);
}

static void wtInsertFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  const char *zName = (const char*)sqlite3_value_text(argv[0]);
  LscWasm *p = wtCaller(ctx);
  i64 nChange;
  int rc;
  (void)argc;
  if( p==0 ) return;
  if( sqlite3_value_int(argv[2]) ){
    rc = wtChange(p, "INSERT INTO main." LSC_WASM_TABLE "(name, body) SELECT ?1, ?2 WHERE NOT EXISTS"
        " (SELECT 1 FROM main." LSC_WASM_TABLE " WHERE name=?1 COLLATE nocase)", zName, argv[1], &nChange);
  }else{
    rc = wtChange(p, "INSERT INTO main." LSC_WASM_TABLE "(name, body) VALUES(?1, ?2)", zName, argv[1], &nChange);
  }
  if( rc!=SQLITE_OK ){
    wtStatementError(ctx, sqlite3_extended_errcode(p->db));
    if( sqlite3_value_int(argv[3]) ) sqlite3ResetOneSchema(p->db, 0);       /* it has the table, which is undone */
  }
}

static void wtDeleteFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  const char *zName = (const char*)sqlite3_value_text(argv[0]);
  LscWasm *p = wtCaller(ctx);
  i64 nChange = 0;
  int rc;
  (void)argc;
  if( p==0 ) return;
  rc = wtChange(p, "DELETE FROM main." LSC_WASM_TABLE " WHERE name=?1 COLLATE nocase", zName, 0, &nChange);
  if( rc!=SQLITE_OK ){
    wtStatementError(ctx, sqlite3_extended_errcode(p->db));
  }else if( nChange==0 && !sqlite3_value_int(argv[2]) ){
    char *z = sqlite3_mprintf("Function %s was not registered", zName);
    if( z ) sqlite3_result_error(ctx, z, -1);
    sqlite3_result_error_code(ctx, z ? SQLITE_CONSTRAINT : SQLITE_NOMEM);
    sqlite3_free(z);
  }
}

#define WT_INTERNAL(name, xFunc) \
  {4, SQLITE_FUNC_BUILTIN|SQLITE_FUNC_INTERNAL|SQLITE_UTF8, 0, 0, xFunc, 0, 0, 0, name, {0}}
static const FuncDef wtCheckDef = WT_INTERNAL("libsql_wasm_check", wtCheckFunc);
static const FuncDef wtInsertDef = WT_INTERNAL("libsql_wasm_insert", wtInsertFunc);
static const FuncDef wtDeleteDef = WT_INTERNAL("libsql_wasm_delete", wtDeleteFunc);

/* The body as the statement means it, in a register. */
static void wtCodeBody(Parse *pParse, const WtStatement *p, int reg){
  sqlite3 *db = pParse->db;
  Vdbe *v = pParse->pVdbe;
  if( p->bText ){
    char *z = sqlite3NameFromToken(db, &p->body);
    if( z ) sqlite3VdbeAddOp4(v, OP_String8, 0, reg, 0, z, P4_DYNAMIC);
  }else{
    int n = (int)p->body.n - 3;             /* digits, without x'' */
    char *z = sqlite3HexToBlob(db, p->body.z+2, n);
    if( z ) sqlite3VdbeAddOp4(v, OP_Blob, n/2, reg, 0, z, P4_DYNAMIC);
  }
}

/* What keeps the table from being used, as an error; or its Table, or NULL if it is still to be made. */
static Table *wtTable(Parse *pParse){
  Table *p = sqlite3FindTable(pParse->db, LSC_WASM_TABLE, "main");
  if( p && IsView(p) ){
    sqlite3ErrorMsg(pParse, "cannot modify " LSC_WASM_TABLE " because it is a view");
  }else if( p && !IsOrdinaryTable(p) ){
    sqlite3ErrorMsg(pParse, "cannot modify " LSC_WASM_TABLE " because it is a virtual table");
  }
  return p;
}

static void wtCodeCreate(Parse *pParse, const WtStatement *p, const char *zName){
  Table *pTab = wtTable(pParse);
  Vdbe *v = sqlite3GetVdbe(pParse);
  int reg = pParse->nMem+1, h = SQLITE_FUNC_HASH((u8)zName[0], sqlite3Strlen30(zName));
  if( v==0 || pParse->nErr ) return;
  if( sqlite3FunctionSearch(h, zName) ){
    sqlite3ErrorMsg(pParse, "%s() is a function of SQLite and cannot be replaced", zName);
    return;
  }
  if( pTab && sqlite3AuthCheck(pParse, SQLITE_INSERT, LSC_WASM_TABLE, 0, "main") ) return;
  pParse->nMem += 5;
  sqlite3BeginWriteOperation(pParse, 1, 0);
  sqlite3MayAbort(pParse);
  sqlite3VdbeLoadString(v, reg, zName);
  wtCodeBody(pParse, p, reg+1);
  sqlite3VdbeAddOp2(v, OP_Integer, p->bIf, reg+2);
  sqlite3VdbeAddOp2(v, OP_Integer, pTab==0, reg+3);
  sqlite3VdbeAddFunctionCall(pParse, 0, reg, reg+4, 4, &wtCheckDef, 0);
  if( pTab==0 ){
    sqlite3NestedParse(pParse, "CREATE TABLE main." LSC_WASM_TABLE " (name text PRIMARY KEY, body text) WITHOUT ROWID");
    if( pParse->nErr || sqlite3AuthCheck(pParse, SQLITE_INSERT, LSC_WASM_TABLE, 0, "main") ) return;
  }
  sqlite3VdbeAddFunctionCall(pParse, 0, reg, reg+4, 4, &wtInsertDef, 0);
  sqlite3ChangeCookie(pParse, 0);
}

static void wtCodeDrop(Parse *pParse, const WtStatement *p, const char *zName){
  Table *pTab = wtTable(pParse);
  Vdbe *v = sqlite3GetVdbe(pParse);
  int reg = pParse->nMem+1;
  if( v==0 || pParse->nErr ) return;
  if( pTab==0 ){
    if( !p->bIf ) sqlite3ErrorMsg(pParse, "no such table: " LSC_WASM_TABLE);
    return;
  }
  if( sqlite3AuthCheck(pParse, SQLITE_DELETE, LSC_WASM_TABLE, 0, "main") ) return;
  pParse->nMem += 5;
  sqlite3BeginWriteOperation(pParse, 1, 0);
  sqlite3MayAbort(pParse);
  sqlite3VdbeLoadString(v, reg, zName);
  sqlite3VdbeAddOp2(v, OP_Null, 0, reg+1);
  sqlite3VdbeAddOp2(v, OP_Integer, p->bIf, reg+2);
  sqlite3VdbeAddOp2(v, OP_Integer, 0, reg+3);
  sqlite3VdbeAddFunctionCall(pParse, 0, reg, reg+4, 4, &wtDeleteDef, 0);
  sqlite3ChangeCookie(pParse, 0);
}

static void wtCompileStatement(Parse *pParse, const WtStatement *p, int bDrop){
  sqlite3 *db = pParse->db;
  LscWasm *pWasm = db->pLsc ? db->pLsc->pWasm : 0;
  char *zName = sqlite3NameFromToken(db, &p->name);
  char *zLanguage = bDrop ? 0 : sqlite3NameFromToken(db, &p->language);
  int i;
  if( zName==0 || (!bDrop && zLanguage==0) ) goto out;
  for(i=0; zName[i]; i++) zName[i] = (char)sqlite3UpperToLower[(u8)zName[i]];
  if( zLanguage && sqlite3StrICmp(zLanguage, "wasm")!=0 ){
    sqlite3ErrorMsg(pParse, "The only supported language for user-defined functions is 'wasm'");
  }else if( i==0 || i>255 ){
    sqlite3ErrorMsg(pParse, "the name of a function has 1 to 255 bytes");
  }else if( pWasm && pWasm->off ){
    sqlite3ErrorMsg(pParse, "WebAssembly functions are switched off");
  }else if( sqlite3ReadSchema(pParse)==SQLITE_OK ){
    if( bDrop ) wtCodeDrop(pParse, p, zName);
    else wtCodeCreate(pParse, p, zName);
  }
out:
  sqlite3DbFree(db, zName);
  sqlite3DbFree(db, zLanguage);
}

static int lscWasmParse(Parse *pParse, LscLex *x, int bDrop, int explain, const char **pzSql){
  WtStatement s;
  if( lscLexNext(x)!=TK_ID || !wtIsWord(x, "function") ) return 0;
  memset(&s, 0, sizeof(s));
  if( pParse->pReprepare==0 ) pParse->explain = (u8)explain;
  if( !wtReadStatement(x, bDrop, &s) || (x->type!=0 && x->type!=TK_SEMI) ) lscLexError(pParse, x);
  if( x->t.z - *pzSql > pParse->db->aLimit[SQLITE_LIMIT_SQL_LENGTH] ){
    pParse->rc = SQLITE_TOOBIG;
    pParse->nErr++;
  }
  if( pParse->nErr==0 ) wtCompileStatement(pParse, &s, bDrop);
  if( pParse->nErr==0 && pParse->db->mallocFailed==0 ) sqlite3FinishCoding(pParse);
  *pzSql = x->t.z + (x->type==TK_SEMI ? x->t.n : 0);
  return 1;
}
