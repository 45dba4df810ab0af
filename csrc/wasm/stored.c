/*
** stored.c: the functions that database "main" holds. Included by engine.c.
**
** libsql_wasm_func_table is what counts; SQL functions are made from it when their name is looked for and nothing else has
** it. A function of SQLite or of the application is never replaced by one of a file. What was made is compared with the
** table again whenever the schema is another than last time: CREATE FUNCTION and DROP FUNCTION change its cookie, so that
** other connections notice, and a rollback loads the schema anew. A statement that uses a stored function asks for the
** schema of "main", as if it read a table there, and so notices by itself.
*/

/* What reading the table inside the compilation of a statement must not disturb. */
typedef struct WtQuiet { sqlite3_xauth xAuth; u8 iDb; u8 mTrace; int iByte; } WtQuiet;

static void wtQuietBegin(sqlite3 *db, WtQuiet *p){
  p->xAuth = db->xAuth;
  p->iDb = db->init.iDb;
  p->mTrace = db->mTrace;
  p->iByte = db->errByteOffset;
  db->xAuth = 0;
  db->init.iDb = 0;
  db->mTrace = 0;
  db->nSchemaLock++;                  /* the compilation uses objects of the schema */
}

static void wtQuietEnd(sqlite3 *db, const WtQuiet *p){
  db->nSchemaLock--;
  db->mTrace = p->mTrace;
  db->init.iDb = p->iDb;
  db->xAuth = p->xAuth;
  db->errByteOffset = p->iByte;
}

/* Prepares a statement about the function zName, which is ?1. Its errors are those of sqlite3_finalize(). */
static int lscWasmQuery(sqlite3 *db, const char *zSql, const char *zName, sqlite3_stmt **ppStmt){
  int rc = sqlite3_prepare(db, zSql, -1, ppStmt, 0);
  if( rc==SQLITE_OK ) rc = sqlite3_bind_text(*ppStmt, 1, zName, -1, SQLITE_STATIC);
  return rc;
}

/* The state of the connection, made when it is first needed; NULL is out of memory. */
static LscWasm *lscWasmOf(sqlite3 *db){
  LscConn *pConn = db->pLsc;
  LscWasm *p;
  if( pConn==0 ) return 0;
  p = pConn->pWasm;
  if( p ) return p;
  p = sqlite3MallocZero(sizeof(*p));
  if( p==0 ) return 0;
  p->db = db;
  p->limits.nMemory = LSC_WASM_MEMORY_LIMIT;
  p->nModule = LSC_WASM_MODULE_LIMIT;
  p->nTime = LSC_WASM_TIME_LIMIT;
  pConn->pWasm = p;
  return p;
}

static void lscWasmForget(LscConn *pConn){
  LscWasm *p = pConn->pWasm;
  if( p==0 ) return;
  assert( p->pFuncs==0 && p->pSlots==0 );     /* they went with the functions */
  sqlite3_free(p);
  pConn->pWasm = 0;
}

/* Whether the name is a function already, of whomever, with any number of arguments. */
static int wtIsFunction(sqlite3 *db, const char *zName){
  int n = sqlite3Strlen30(zName);
  FuncDef *p;
  if( n==0 ) return 1;
  for(p=sqlite3HashFind(&db->aFunc, zName); p; p=p->pNext) if( p->xSFunc ) return 1;
  return sqlite3FunctionSearch(SQLITE_FUNC_HASH(sqlite3UpperToLower[(u8)zName[0]], n), zName)!=0;
}

/* Whether a table of this name is SQLite's, or of a module that is there. */
static int wtIsTable(sqlite3 *db, const char *zName){
  static const char *const az[] = {"pragma_", "sqlite_", "json", "carray"};
  int i;
  for(i=0; i<ArraySize(az); i++) if( sqlite3_strnicmp(zName, az[i], sqlite3Strlen30(az[i]))==0 ) return 1;
  return sqlite3HashFind(&db->aModule, zName)!=0;
}

/* Reports what stopped a look at the table to the statement that is compiled. */
static void wtSoughtError(LscWasm *p, const char *zName, int rc, char *zErr){
  sqlite3 *db = p->db;
  Parse *pParse = db->pParse;
  p->bFailed = 1;
  if( rc==SQLITE_NOMEM ){
    sqlite3OomFault(db);
  }else if( zErr ){
    sqlite3ErrorMsg(pParse, "function %s cannot be loaded: %s", zName, zErr);
  }else{
    sqlite3ErrorMsg(pParse, "%s", sqlite3ErrStr(rc));
    pParse->rc = rc;
  }
  sqlite3_free(zErr);
}

/* The body of the function in the row that a statement is at. */
static int wtBody(LscWasm *p, sqlite3_stmt *pStmt, const void **pz, i64 *pn, int *pbText, char **pzErr){
  int type = sqlite3_column_type(pStmt, 0);
  if( type!=SQLITE_TEXT && type!=SQLITE_BLOB ) return wtError(pzErr, "its body is neither text nor a blob");
  *pbText = type==SQLITE_TEXT;
  *pz = type==SQLITE_TEXT ? (const void*)sqlite3_column_text(pStmt, 0) : sqlite3_column_blob(pStmt, 0);
  *pn = sqlite3_column_bytes(pStmt, 0);
  if( *pz==0 && *pn>0 ) return SQLITE_NOMEM_BKPT;
  if( *pz==0 ) *pz = "";
  if( *pn>p->nModule ){
    return wtError(pzErr, "a module of %lld bytes is over the limit of %lld, see PRAGMA libsql_wasm_module_size", *pn,
        p->nModule);
  }
  return SQLITE_OK;
}

#define WT_FIND \
  "SELECT body FROM main." LSC_WASM_TABLE " WHERE name=?1 OR name=?1 COLLATE nocase ORDER BY name<>?1 LIMIT 1"

/* Whether the table still has the function as it was made. */
static int wtIsSame(LscWasm *p, LscWasmFunc *pFunc, int *pbSame){
  const LscWasmModule *pModule = pFunc->pSlot->pModule;
  sqlite3_stmt *pStmt = 0;
  const void *z;
  char *zErr = 0;
  i64 n;
  int bText, rc2;
  int rc = lscWasmQuery(p->db, WT_FIND, pFunc->zName, &pStmt);
  *pbSame = 0;
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    rc = wtBody(p, pStmt, &z, &n, &bText, &zErr);
    *pbSame = rc==SQLITE_OK && n==pModule->nSource && bText==pModule->bText && memcmp(z, pModule->aSource, (size_t)n)==0;
    if( rc==SQLITE_ERROR ) rc = SQLITE_OK;
    sqlite3_free(zErr);
  }
  rc2 = sqlite3_finalize(pStmt);
  return rc==SQLITE_OK ? rc2 : rc;
}

/* Whether the schema is that of the last comparison. */
static int wtIsCurrent(const LscWasm *p){
  const Schema *pSchema = p->db->aDb[0].pSchema;
  return pSchema==p->pSchema && pSchema->iGeneration==p->iGeneration && pSchema->schema_cookie==p->iCookie;
}

/* Looks at the schema; if it is another than last time, stored functions that are no longer what the table says are taken
** out of use. */
static int wtSync(LscWasm *p){
  sqlite3 *db = p->db;
  const Schema *pSchema = db->aDb[0].pSchema;
  LscWasmFunc *pFunc, *pNext;
  Table *pTab;
  int rc = SQLITE_OK, bSame;
  if( wtIsCurrent(p) ) return SQLITE_OK;
  pTab = sqlite3FindTable(db, LSC_WASM_TABLE, "main");
  p->bTable = pTab!=0 && IsOrdinaryTable(pTab);
  for(pFunc=p->pFuncs; pFunc && rc==SQLITE_OK; pFunc=pNext){
    pNext = pFunc->pNext;
    if( !pFunc->bStored ) continue;
    bSame = 0;
    if( p->bTable ) rc = wtIsSame(p, pFunc, &bSame);
    if( rc==SQLITE_OK && !bSame ) lscWasmUndefine(pFunc);
  }
  if( rc==SQLITE_OK ){
    p->pSchema = pSchema;
    p->iGeneration = pSchema->iGeneration;
    p->iCookie = pSchema->schema_cookie;
  }
  return rc;
}

/* Makes the SQL function zName, folded, if the table has it. */
static int wtLoad(LscWasm *p, const char *zName, char **pzErr){
  sqlite3_stmt *pStmt = 0;
  LscWasmModule *pModule = 0;
  LscWasmSlot *pSlot = 0;
  const void *z;
  i64 n;
  int bText, rc2;
  int rc = lscWasmQuery(p->db, WT_FIND, zName, &pStmt);
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    rc = wtBody(p, pStmt, &z, &n, &bText, pzErr);
    if( rc==SQLITE_OK ) rc = lscWasmModuleGet(z, n, bText, p->limits.nFuel!=0, &pModule, pzErr);
    if( rc==SQLITE_OK ) rc = lscWasmSlotGet(p, pModule, 0, &pSlot);
    if( rc==SQLITE_OK ) rc = lscWasmDefine(p, zName, pSlot, 1, pModule->zImport==0, pzErr);
    lscWasmModuleUnref(pModule);
  }
  rc2 = sqlite3_finalize(pStmt);
  return rc==SQLITE_OK ? rc2 : rc;
}

/* The schema as it was last read; read now if it is not. Errors are left to those who need it. */
static int wtSchema(sqlite3 *db){
  char *zErr = 0;
  int rc;
  if( DbHasProperty(db, 0, DB_SchemaLoaded) ) return SQLITE_OK;
  rc = sqlite3Init(db, &zErr);
  sqlite3DbFree(db, zErr);
  return rc;
}


static LscWasmFunc *wtFunc(LscWasm *p, const char *zFolded){
  LscWasmFunc *pFunc;
  for(pFunc=p->pFuncs; pFunc && strcmp(pFunc->zName, zFolded)!=0; pFunc=pFunc->pNext){}
  return pFunc;
}

/* Compares, and loads the function if it is not there. Whatever is read is of one transaction. */
static int wtSyncAndLoad(LscWasm *p, const char *zFolded, int bTable, char **pzErr){
  sqlite3 *db = p->db;
  sqlite3_stmt *pHold = 0;
  int rc, rc2;
  if( wtIsCurrent(p) && (wtFunc(p, zFolded) || !p->bTable) ) return SQLITE_OK;
  if( sqlite3FindTable(db, LSC_WASM_TABLE, "main")==0 ) return wtSync(p);
  rc = sqlite3_prepare(db, "SELECT 1 FROM main.sqlite_schema", -1, &pHold, 0);
  if( rc==SQLITE_OK && sqlite3_step(pHold)==SQLITE_ROW ){
    rc = wtSync(p);
    if( rc==SQLITE_OK && wtFunc(p, zFolded)==0 && p->bTable && !(bTable ? wtIsTable(db, zFolded) : wtIsFunction(db, zFolded)) ){
      rc = wtLoad(p, zFolded, pzErr);
    }
    if( rc==SQLITE_ERROR && *pzErr==0 ) *pzErr = sqlite3_mprintf("%s", sqlite3_errmsg(db));
  }
  rc2 = sqlite3_finalize(pHold);
  if( rc==SQLITE_OK ) rc = rc2;
  /* The schema is an old one. A statement with a function that is known finds that out when it begins. */
  return rc==SQLITE_SCHEMA && wtFunc(p, zFolded) ? SQLITE_OK : rc;
}

/* Makes what the database says of the name true, before it is looked up. */
static void wtSought(sqlite3 *db, LscWasm *p, const char *zName, int bTable){
  char *zFolded, *zErr = 0;
  WtQuiet quiet;
  LscWasmFunc *pFunc;
  int rc, i;
  if( wtSchema(db)!=SQLITE_OK ) return;
  if( p==0 ){
    Table *pTab = sqlite3FindTable(db, LSC_WASM_TABLE, "main");
    /* If there is no such function, then not because the schema is an old one; SQLite sees to that for tables. */
    if( !bTable ) db->pParse->checkSchema = 1;
    if( pTab==0 || !IsOrdinaryTable(pTab) ) return;
    p = lscWasmOf(db);
    if( p==0 ){
      sqlite3OomFault(db);
      return;
    }
  }
  zFolded = sqlite3_mprintf("%s", zName);
  if( zFolded==0 ){
    sqlite3OomFault(db);
    return;
  }
  for(i=0; zFolded[i]; i++) zFolded[i] = (char)sqlite3UpperToLower[(u8)zFolded[i]];
  p->bBusy = 1;
  p->bFailed = 0;
  wtQuietBegin(db, &quiet);
  rc = wtSyncAndLoad(p, zFolded, bTable, &zErr);
  wtQuietEnd(db, &quiet);
  p->bBusy = 0;
  if( rc!=SQLITE_OK ){
    wtSoughtError(p, zFolded, rc, zErr);
  }else{
    pFunc = wtFunc(p, zFolded);
    if( pFunc && pFunc->bStored ) sqlite3CodeVerifySchema(db->pParse, 0);
    else if( pFunc==0 && !bTable ) db->pParse->checkSchema = 1;
  }
  sqlite3_free(zFolded);
}

/* Whether a stored function was made that may not be what the table says, or one of this name. */
static int wtMayBeStored(LscWasm *p, const char *zName){
  LscWasmFunc *pFunc;
  for(pFunc=p->pFuncs; pFunc; pFunc=pFunc->pNext){
    if( pFunc->bStored && (!wtIsCurrent(p) || sqlite3StrICmp(pFunc->zName, zName)==0) ) return 1;
  }
  return 0;
}

/* Before SQLite looks up a function while it compiles a statement. */
static void lsc_function_sought(sqlite3 *db, const char *zName){
  LscConn *pConn = db->pLsc;
  LscWasm *p;
  if( pConn==0 || db->pParse==0 || db->init.busy || db->mallocFailed ) return;
  p = pConn->pWasm;
  if( p && (p->bBusy || p->off) ) return;
  if( wtIsFunction(db, zName) && (p==0 || !wtMayBeStored(p, zName)) ) return;
  wtSought(db, p, zName, 0);
}

/* The module of a table that the schema lacks. */
static Module *lsc_module_sought(Parse *pParse, const char *zName){
  sqlite3 *db = pParse->db;
  LscConn *pConn = db->pLsc;
  Module *pMod = sqlite3HashFind(&db->aModule, zName);
  LscWasm *p = pConn ? pConn->pWasm : 0;
  if( pConn==0 || db->pParse==0 || db->mallocFailed || (p && (p->bBusy || p->off)) ) return pMod;
  if( wtIsTable(db, zName) && (p==0 || !wtMayBeStored(p, zName)) ) return pMod;
  wtSought(db, p, zName, 1);
  return sqlite3HashFind(&db->aModule, zName);
}

/* Whether the last look failed and said why, so that "no such function" would only hide it. */
static int lsc_sought_failed(sqlite3 *db){
  LscWasm *p = db->pLsc ? db->pLsc->pWasm : 0;
  int bFailed = p!=0 && p->bFailed;
  if( bFailed ) p->bFailed = 0;
  return bFailed;
}
