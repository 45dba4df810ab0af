/*
** table.c: exported iterators as table functions. Included by engine.c.
**
**   f_columns() -> i32               text: the names of the columns, with commas between them
**   f_open(args) -> i32              a cursor, any i32; what it points to is the module's affair
**   f_next(cursor) -> i32            0: there are no more rows; called before the first
**   f_column(cursor, i) -> value     of the row; the first column is 0
**   f_close(cursor)                  may be left out
**
** SELECT * FROM f(args) reads it; the arguments are hidden columns behind the others, arg1 and so on.
*/
typedef struct WtTable { sqlite3_vtab base; sqlite3 *db; LscWasmFunc *pFunc; } WtTable;
typedef struct WtCursor WtCursor;
struct WtCursor {
  sqlite3_vtab_cursor base;
  LscWasmInst *pInst;         /* one reference, and a live one; NULL when not open */
  int cursor;
  i64 iRow;
  u8 bEof;
};

static int wtTableError(sqlite3_vtab *pVtab, int rc, char *zErr){
  const LscWasmFunc *pFunc = ((WtTable*)pVtab)->pFunc;
  if( rc==SQLITE_ERROR && zErr ){
    sqlite3_free(pVtab->zErrMsg);
    pVtab->zErrMsg = sqlite3_mprintf("Calling function %s failed: %s", pFunc->zName, zErr);
  }
  sqlite3_free(zErr);
  return rc;
}

/* The instance, ready for calls of the function. */
static int wtTableReady(LscWasmFunc *pFunc, LscWasmInst **pp, char **pzErr){
  int rc = lscWasmInstance(pFunc->pSlot, pp, pzErr);
  if( rc==SQLITE_OK && (*pp)->id!=pFunc->iBound ) rc = lscWasmBind(pFunc, *pp);
  if( rc==SQLITE_OK ) (*pp)->pVdbe = 0;
  return rc;
}

/* Asks the module for its columns, and makes the text of the table from them. */
static int wtTableColumns(LscWasmFunc *pFunc, char **pzErr){
  LscWasmInst *p = 0;
  WtRaw raw[1];
  const char *z = 0;
  int n = 0, i, iStart = 0;
  sqlite3_str *pStr;
  int rc = wtTableReady(pFunc, &p, pzErr);
  if( rc!=SQLITE_OK ) return rc;
  memset(raw, 0, sizeof(raw));
  rc = lscWasmCall(p, &pFunc->a[FN_COLUMNS], raw, 1, pzErr);
  if( rc==SQLITE_OK ) rc = lscWasmText(p, raw, &z, &n, pzErr);
  if( rc!=SQLITE_OK ){
    lscWasmDiscard(pFunc->pSlot, p);
    return rc;
  }
  if( z==0 ) return wtError(pzErr, "it has no columns");
  pStr = sqlite3_str_new(pFunc->pWasm->db);
  sqlite3_str_appendall(pStr, "CREATE TABLE x(");
  pFunc->nColumn = 0;
  for(i=0; i<=n; i++){
    int iEnd = i;
    if( i<n && z[i]!=',' ) continue;
    while( iStart<iEnd && z[iStart]==' ' ) iStart++;
    while( iEnd>iStart && z[iEnd-1]==' ' ) iEnd--;
    sqlite3_str_appendf(pStr, "%s\"%.*w\"", pFunc->nColumn ? "," : "", iEnd-iStart, &z[iStart]);
    pFunc->nColumn++;
    iStart = i+1;
  }
  for(i=0; i<pFunc->nArg; i++) sqlite3_str_appendf(pStr, ",arg%d HIDDEN", i+1);
  sqlite3_str_append(pStr, ")", 1);
  pFunc->zColumns = sqlite3_str_finish(pStr);
  return pFunc->zColumns ? SQLITE_OK : SQLITE_NOMEM_BKPT;
}

static int wtTableConnect(
  sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab, char **pzErr
){
  LscWasmFunc *pFunc = pAux;
  WtTable *p;
  char *zErr = 0;
  int rc = SQLITE_OK;
  (void)argc; (void)argv;
  if( pFunc->zColumns==0 ) rc = wtTableColumns(pFunc, &zErr);
  if( rc==SQLITE_OK ) rc = sqlite3_declare_vtab(db, pFunc->zColumns);
  if( rc!=SQLITE_OK ){
    *pzErr = sqlite3_mprintf("table function %s: %s", pFunc->zName, zErr ? zErr : sqlite3_errmsg(db));
    sqlite3_free(zErr);
    return rc;
  }
  p = sqlite3_malloc64(sizeof(*p));
  if( p==0 ) return SQLITE_NOMEM_BKPT;
  memset(p, 0, sizeof(*p));
  p->db = db;
  p->pFunc = pFunc;
  *ppVtab = &p->base;
  return SQLITE_OK;
}

static int wtTableDisconnect(sqlite3_vtab *pVtab){
  sqlite3_free(pVtab);
  return SQLITE_OK;
}

/* All arguments must be given, and usable. */
static int wtTableBest(sqlite3_vtab *pVtab, sqlite3_index_info *pInfo){
  WtTable *p = (WtTable*)pVtab;
  const LscWasmFunc *pFunc = p->pFunc;
  int aAt[LSC_WASM_MAX_ARGS], i, nUnusable = 0;
  for(i=0; i<pFunc->nArg; i++) aAt[i] = -1;
  for(i=0; i<pInfo->nConstraint; i++){
    int iArg = pInfo->aConstraint[i].iColumn - pFunc->nColumn;
    if( iArg<0 || pInfo->aConstraint[i].op!=SQLITE_INDEX_CONSTRAINT_EQ ) continue;
    if( pInfo->aConstraint[i].usable ) aAt[iArg] = i;
    else nUnusable++;
  }
  for(i=0; i<pFunc->nArg; i++){
    if( aAt[i]<0 && nUnusable ) return SQLITE_CONSTRAINT;
    if( aAt[i]<0 ){
      sqlite3_free(pVtab->zErrMsg);
      pVtab->zErrMsg = sqlite3_mprintf("table function %s takes %d arguments", pFunc->zName, pFunc->nArg);
      return SQLITE_ERROR;
    }
    pInfo->aConstraintUsage[aAt[i]].argvIndex = i+1;
    pInfo->aConstraintUsage[aAt[i]].omit = 1;
  }
  pInfo->estimatedCost = 1000;
  pInfo->estimatedRows = 1000;
  return SQLITE_OK;
}

static int wtTableOpen(sqlite3_vtab *pVtab, sqlite3_vtab_cursor **pp){
  WtCursor *p = sqlite3_malloc64(sizeof(*p));
  (void)pVtab;
  if( p==0 ) return SQLITE_NOMEM_BKPT;
  memset(p, 0, sizeof(*p));
  *pp = &p->base;
  return SQLITE_OK;
}

/* Ends what the cursor iterates over. */
static void wtTableEnd(WtCursor *pCur){
  LscWasmFunc *pFunc = ((WtTable*)pCur->base.pVtab)->pFunc;
  LscWasmInst *p = pCur->pInst;
  WtRaw raw[1];
  char *zErr = 0;
  if( p==0 ) return;
  pCur->pInst = 0;
  if( pFunc->apExport[FN_CLOSE] && (p->id==pFunc->iBound || lscWasmBind(pFunc, p)==SQLITE_OK) ){
    memset(raw, 0, sizeof(raw));
    raw[0].i32v = pCur->cursor;
    if( lscWasmCall(p, &pFunc->a[FN_CLOSE], raw, 1, &zErr)!=SQLITE_OK ) lscWasmDiscard(pFunc->pSlot, p);
    sqlite3_free(zErr);
  }
  p->nLive--;
  if( p->pModule->bMemory ) lscWasmGrown(pFunc->pSlot, p);
  lscWasmInstUnref(p);
}

static int wtTableClose(sqlite3_vtab_cursor *pCur){
  wtTableEnd((WtCursor*)pCur);
  sqlite3_free(pCur);
  return SQLITE_OK;
}

/* Calls the export iFunc with the cursor and, for a column, its number; the result is in a[0]. */
static int wtTableCall(WtCursor *pCur, int iFunc, int i, WtRaw *a, char **pzErr){
  LscWasmFunc *pFunc = ((WtTable*)pCur->base.pVtab)->pFunc;
  LscWasmInst *p = pCur->pInst;
  int rc = p->id==pFunc->iBound ? SQLITE_OK : lscWasmBind(pFunc, p);
  memset(a, 0, sizeof(*a)*2);
  a[0].i32v = pCur->cursor;
  a[1].i32v = i;
  return rc==SQLITE_OK ? lscWasmCall(p, &pFunc->a[iFunc], a, iFunc==FN_COLUMN ? 2 : 1, pzErr) : rc;
}

/* After an error the module is not called again for this cursor. */
static int wtTableFailed(WtCursor *pCur, int rc, char *zErr){
  LscWasmFunc *pFunc = ((WtTable*)pCur->base.pVtab)->pFunc;
  LscWasmInst *p = pCur->pInst;
  if( p ){
    pCur->pInst = 0;
    p->nLive--;
    lscWasmDiscard(pFunc->pSlot, p);
    lscWasmInstUnref(p);
  }
  pCur->bEof = 1;
  return wtTableError(pCur->base.pVtab, rc, zErr);
}

static int wtTableNext(sqlite3_vtab_cursor *pVtabCur){
  WtCursor *pCur = (WtCursor*)pVtabCur;
  WtRaw a[2];
  char *zErr = 0;
  int rc = wtTableCall(pCur, FN_NEXT, 0, a, &zErr);
  if( rc!=SQLITE_OK ) return wtTableFailed(pCur, rc, zErr);
  pCur->iRow++;
  pCur->bEof = a[0].i32v==0;
  return SQLITE_OK;
}

static int wtTableFilter(sqlite3_vtab_cursor *pVtabCur, int idxNum, const char *idxStr, int argc, sqlite3_value **argv){
  WtCursor *pCur = (WtCursor*)pVtabCur;
  LscWasmFunc *pFunc = ((WtTable*)pVtabCur->pVtab)->pFunc;
  WtRaw a[LSC_WASM_MAX_ARGS+1], aArg[LSC_WASM_MAX_ARGS+1];
  LscWasmInst *p = 0;
  char *zErr = 0;
  int rc;
  (void)idxNum; (void)idxStr;
  wtTableEnd(pCur);
  pCur->iRow = 0;
  pCur->bEof = 1;
  rc = wtTableReady(pFunc, &p, &zErr);
  if( rc==SQLITE_OK ) rc = lscWasmPush(p, pFunc->aParam, argc, argv, a, &zErr);
  if( rc==SQLITE_DONE ) return SQLITE_OK;       /* NULL where a number is wanted: no rows */
  if( rc==SQLITE_OK ){
    memcpy(aArg, a, sizeof(WtRaw)*(size_t)argc);
    rc = lscWasmCall(p, &pFunc->a[FN_OPEN], a, argc>0 ? argc : 1, &zErr);
  }
  if( rc!=SQLITE_OK ){
    if( p ) lscWasmDiscard(pFunc->pSlot, p);
    return wtTableError(pVtabCur->pVtab, rc, zErr);
  }
  pCur->cursor = a[0].i32v;
  pCur->pInst = p;
  p->nRef++;
  p->nLive++;
  lscWasmFreeArgs(p, pFunc->aParam, argc, argv, aArg);
  return wtTableNext(pVtabCur);
}

static int wtTableEof(sqlite3_vtab_cursor *pCur){ return ((WtCursor*)pCur)->bEof; }

static int wtTableColumn(sqlite3_vtab_cursor *pVtabCur, sqlite3_context *ctx, int i){
  WtCursor *pCur = (WtCursor*)pVtabCur;
  LscWasmFunc *pFunc = ((WtTable*)pVtabCur->pVtab)->pFunc;
  WtRaw a[2];
  char *zErr = 0;
  int rc;
  if( i>=pFunc->nColumn || pCur->pInst==0 ) return SQLITE_OK;   /* NULL; the arguments are the caller's own */
  pCur->pInst->pVdbe = ctx->pVdbe;
  rc = wtTableCall(pCur, FN_COLUMN, i, a, &zErr);
  if( rc==SQLITE_OK ) rc = lscWasmResult(ctx, pCur->pInst, pFunc->result, a, &zErr);
  return rc==SQLITE_OK ? SQLITE_OK : wtTableFailed(pCur, rc, zErr);
}

static int wtTableRowid(sqlite3_vtab_cursor *pCur, sqlite3_int64 *pi){
  *pi = ((WtCursor*)pCur)->iRow;
  return SQLITE_OK;
}

static int lscWasmTableDefine(LscWasmFunc *pFunc){
  static const sqlite3_module module = {
    .xConnect = wtTableConnect, .xBestIndex = wtTableBest, .xDisconnect = wtTableDisconnect, .xOpen = wtTableOpen,
    .xClose = wtTableClose, .xFilter = wtTableFilter, .xNext = wtTableNext, .xEof = wtTableEof,
    .xColumn = wtTableColumn, .xRowid = wtTableRowid,
  };
  return sqlite3_create_module_v2(pFunc->pWasm->db, pFunc->zName, &module, pFunc, wtFuncDestroy);
}
