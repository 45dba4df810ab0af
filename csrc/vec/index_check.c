/*
** index_check.c: the table functions vector_index_info(index), one row of numbers, and vector_index_check(index), a row
** for each problem: none if the index is what its table says. Included by engine.c.
**
** Both are eponymous only. Their rows are made in xFilter and kept by the cursor.
*/
typedef struct ReportTab {
  sqlite3_vtab base;
  sqlite3 *db;
  int nCol;                         /* visible columns; the index's name is behind them */
  u8 bCheck;
} ReportTab;

typedef struct ReportCursor {
  sqlite3_vtab_cursor base;
  sqlite3_value **apValue;          /* owned: nCol for each row */
  i64 nRow, nAlloc, i;
} ReportCursor;

static const char reportInfo[] = "CREATE TABLE x(nodes INTEGER, dims INTEGER, type TEXT, edge_type TEXT, metric TEXT,"
    " capacity INTEGER, mean_degree REAL, block_size INTEGER, bytes INTEGER, cached_nodes INTEGER, orphans INTEGER,"
    " dead_edges INTEGER, idx HIDDEN)";
static const char reportCheck[] = "CREATE TABLE x(id, problem TEXT, idx HIDDEN)";

static int reportConnect(sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppTab, char **pzErr){
  int bCheck = pAux==(void*)reportCheck, rc = sqlite3_declare_vtab(db, pAux);
  ReportTab *p;
  (void)argc; (void)argv; (void)pzErr;
  if( rc!=SQLITE_OK ) return rc;
  p = sqlite3MallocZero(sizeof(*p));
  if( p==0 ) return SQLITE_NOMEM_BKPT;
  p->db = db;
  p->nCol = bCheck ? 2 : 12;
  p->bCheck = (u8)bCheck;
  *ppTab = &p->base;
  return SQLITE_OK;
}

static int reportBest(sqlite3_vtab *pTab, sqlite3_index_info *pInfo){
  int i;
  for(i=0; i<pInfo->nConstraint; i++){
    if( pInfo->aConstraint[i].iColumn!=((ReportTab*)pTab)->nCol ) continue;
    if( pInfo->aConstraint[i].op!=SQLITE_INDEX_CONSTRAINT_EQ ) continue;
    if( !pInfo->aConstraint[i].usable ) return SQLITE_CONSTRAINT;
    pInfo->aConstraintUsage[i].argvIndex = 1;
    pInfo->aConstraintUsage[i].omit = 1;
    pInfo->estimatedCost = 1e6;
    pInfo->estimatedRows = 1;
    return SQLITE_OK;
  }
  pTab->zErrMsg = sqlite3_mprintf("the name of a vector index is missing");
  return SQLITE_ERROR;
}

static int reportOpen(sqlite3_vtab *pTab, sqlite3_vtab_cursor **ppCursor){
  ReportCursor *p = sqlite3MallocZero(sizeof(*p));
  (void)pTab;
  if( p==0 ) return SQLITE_NOMEM_BKPT;
  *ppCursor = &p->base;
  return SQLITE_OK;
}

static void reportClear(ReportCursor *p, int nCol){
  i64 i;
  for(i=0; i<p->nRow*nCol; i++) sqlite3ValueFree(p->apValue[i]);
  sqlite3_free(p->apValue);
  p->apValue = 0;
  p->nRow = p->nAlloc = p->i = 0;
}

static int reportClose(sqlite3_vtab_cursor *pCursor){
  reportClear((ReportCursor*)pCursor, ((ReportTab*)pCursor->pVtab)->nCol);
  sqlite3_free(pCursor);
  return SQLITE_OK;
}

/* A row of NULLs behind the others. */
static sqlite3_value **reportRow(ReportCursor *p, const ReportTab *pTab){
  sqlite3_value **apRow;
  int i;
  if( p->nRow==p->nAlloc ){
    i64 nNew = p->nAlloc*2 + 4;
    sqlite3_value **apNew = sqlite3_realloc64(p->apValue, sizeof(*apNew)*(u64)(nNew*pTab->nCol));
    if( apNew==0 ) return 0;
    p->apValue = apNew;
    p->nAlloc = nNew;
  }
  apRow = &p->apValue[p->nRow*pTab->nCol];
  for(i=0; i<pTab->nCol; i++){
    apRow[i] = sqlite3ValueNew(pTab->db);
    if( apRow[i]==0 ){
      while( i>0 ) sqlite3ValueFree(apRow[--i]);
      return 0;
    }
  }
  p->nRow++;
  return apRow;
}

static int reportText(sqlite3_value *p, const char *z){
  return sqlite3VdbeMemSetStr(p, z, -1, SQLITE_UTF8, SQLITE_TRANSIENT);
}

static int reportNumbers(ReportCursor *pCursor, const ReportTab *pTab, const LscSurvey *s){
  const LscIndexParams *pPar = &s->p->par;
  sqlite3_value **apRow = reportRow(pCursor, pTab);
  LscGraph *g = s->p->pGraph;
  i64 nCached = 0;
  u32 i;
  int rc;
  if( apRow==0 ) return SQLITE_NOMEM_BKPT;
  for(i=0; g && i<lscGraphCount(g); i++) nCached += lscGraphIsLoaded(g, i);
  sqlite3VdbeMemSetInt64(apRow[0], s->n);
  sqlite3VdbeMemSetInt64(apRow[1], pPar->n);
  rc = reportText(apRow[2], lscVectorTypeName(pPar->type));
  if( rc==SQLITE_OK && !pPar->bCompact ) rc = reportText(apRow[3], lscVectorTypeName(pPar->edgeType));
  if( rc==SQLITE_OK ){
    rc = reportText(apRow[4], pPar->metric==LSC_HAMMING ? "hamming" : pPar->metric==LSC_L2 ? "l2" : "cosine");
  }
  sqlite3VdbeMemSetInt64(apRow[5], pPar->nCap);
  sqlite3VdbeMemSetDouble(apRow[6], s->n ? (double)s->nTo/(double)s->n : 0.0);
  sqlite3VdbeMemSetInt64(apRow[7], pPar->nBlock);
  sqlite3VdbeMemSetInt64(apRow[8], (i64)s->nPage*sqlite3BtreeGetPageSize(s->p->pBt));
  sqlite3VdbeMemSetInt64(apRow[9], nCached);
  sqlite3VdbeMemSetInt64(apRow[10], s->nOrphan);
  sqlite3VdbeMemSetInt64(apRow[11], s->nDead);
  return rc;
}

static int reportProblems(ReportCursor *pCursor, const ReportTab *pTab, LscSurvey *s){
  int i, found, rc = SQLITE_OK;
  for(i=0; i<s->nProblem && rc==SQLITE_OK; i++){
    LscProblem *pProblem = &s->aProblem[i];
    sqlite3_value **apRow = reportRow(pCursor, pTab);
    if( apRow==0 ) return SQLITE_NOMEM_BKPT;
    rc = reportText(apRow[1], pProblem->zText);
    if( rc==SQLITE_OK && pProblem->pKey==0 && s->p->bKeyed && rowsSeek(&s->rows, pProblem->id, &found)==SQLITE_OK && found ){
      rc = rowsKey(&s->rows, &pProblem->pKey);
    }
    if( rc!=SQLITE_OK ) break;
    if( pProblem->pKey ) rc = sqlite3VdbeMemCopy(apRow[0], pProblem->pKey);
    else sqlite3VdbeMemSetInt64(apRow[0], pProblem->id);
  }
  return rc;
}

/* The condition of a partial index, in the text that it was made with; NULL if there is none. For sqlite3_free(). */
static int reportWhere(LscIndex *p, const Index *pIdx, char **pzWhere){
  sqlite3 *db = p->db;
  sqlite3_stmt *pStmt = 0;
  char *zSql;
  int rc;
  *pzWhere = 0;
  if( pIdx->pPartIdxWhere==0 ) return SQLITE_OK;
  zSql = sqlite3_mprintf("SELECT sql FROM \"%w\".sqlite_schema WHERE type='index' AND name=%Q",
                         db->aDb[p->iDb].zDbSName, pIdx->zName);
  if( zSql==0 ) return SQLITE_NOMEM_BKPT;
  rc = sqlite3_prepare_v2(db, zSql, -1, &pStmt, 0);
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    const char *z = (const char*)sqlite3_column_text(pStmt, 0);
    LscLex x;
    lscLexStart(&x, z ? z : "", 0);
    while( x.type && x.type!=TK_LP ) lscLexNext(&x);
    if( x.type==TK_LP ) lscLexSkipGroup(&x);
    while( x.type && x.type!=TK_WHERE ) lscLexNext(&x);
    if( x.type==TK_WHERE ){
      *pzWhere = sqlite3_mprintf("%s", x.t.z + x.t.n);
      if( *pzWhere==0 ) rc = SQLITE_NOMEM_BKPT;
    }
  }
  sqlite3_free(zSql);
  if( rc==SQLITE_OK ) rc = sqlite3_finalize(pStmt); else sqlite3_finalize(pStmt);
  return rc;
}

/* A row of the table: whether it has its node. aBase notes the nodes that have a row. */
static int reportBaseRow(LscSurvey *s, sqlite3_value *pKey, sqlite3_value *pVector, u8 *aBase){
  LscIndex *p = s->p;
  const LscIndexParams *pPar = &p->par;
  LscVector v;
  i64 id = 0, i = -1;
  char *zErr = 0;
  int found, rc = ixNodeOfKey(p, pKey, &id, &found);
  if( rc!=SQLITE_OK ) return rc;
  if( found ) i = surveyFind(s, id);
  if( i<0 ){
    sqlite3_value *pCopy = sqlite3_value_dup(pKey);
    return pCopy ? surveyNote(s, 0, pCopy, "the row has no node") : SQLITE_NOMEM_BKPT;
  }
  aBase[i] = 1;
  if( s->aBroken[i] ) return SQLITE_OK;
  memset(&v, 0, sizeof(v));
  rc = ixTakeVector(p, pVector, &v, &zErr);
  if( rc==SQLITE_OK ){
    u8 *aEdge = &p->aBlock[pPar->nHead + pPar->nNode];
    memcpy(p->aBlock, v.pData, pPar->nNode);
    if( v.type==LSC_F8 && !pPar->bCompact ) memset(&p->aBlock[v.n], 0, pPar->nNode-8-v.n);
    rc = ixToEdge(pPar, p->aBlock, aEdge);
    if( rc==SQLITE_OK && memcmp(aEdge, &s->aEdge[(u64)i*pPar->nEdge], pPar->nEdge) ){
      rc = surveyNote(s, id, 0, "the node has another vector than the row");
    }
  }else if( rc==SQLITE_ERROR ){
    rc = surveyNote(s, id, 0, "%s", zErr);
  }
  sqlite3_free(zErr);
  lscVectorFree(&v);
  return rc;
}

/* Compares with the table: rows without a node, nodes without a row. */
static int reportBase(LscSurvey *s, const Index *pIdx, char **pzErr){
  LscIndex *p = s->p;
  sqlite3 *db = p->db;
  Table *pTab = pIdx->pTable;
  const Expr *pCall = pIdx->aColExpr ? pIdx->aColExpr->a[0].pExpr : 0;
  const ExprList *pArgs = pCall && pCall->op==TK_FUNCTION ? pCall->x.pList : 0;
  const char *zKey = HasRowid(pTab) ? scanRowid(pTab) : pTab->aCol[sqlite3PrimaryKeyIndex(pTab)->aiColumn[0]].zCnName;
  char *zWhere = 0, *zSql = 0;
  sqlite3_stmt *pStmt = 0;
  u8 *aBase;
  i64 i;
  int rc;
  if( zKey==0 || pArgs==0 || pArgs->nExpr==0 || pArgs->a[0].pExpr->op!=TK_COLUMN || pArgs->a[0].pExpr->iColumn<0 ){
    return SQLITE_OK;
  }
  aBase = sqlite3_malloc64((u64)s->n + 1);
  if( aBase==0 ) return SQLITE_NOMEM_BKPT;
  memset(aBase, 0, (size_t)s->n);
  rc = reportWhere(p, pIdx, &zWhere);
  if( rc==SQLITE_OK ){
    const char *zCol = pTab->aCol[pArgs->a[0].pExpr->iColumn].zCnName;
    zSql = sqlite3_mprintf("SELECT \"%w\", \"%w\" FROM \"%w\".\"%w\" NOT INDEXED WHERE \"%w\" IS NOT NULL AND (%s\n)",
        zKey, zCol, db->aDb[p->iDb].zDbSName, pTab->zName, zCol, zWhere ? zWhere : "1");
    rc = zSql ? sqlite3_prepare_v2(db, zSql, -1, &pStmt, 0) : SQLITE_NOMEM_BKPT;
  }
  while( rc==SQLITE_OK && (rc = sqlite3_step(pStmt))==SQLITE_ROW ){
    rc = reportBaseRow(s, sqlite3_column_value(pStmt, 0), sqlite3_column_value(pStmt, 1), aBase);
  }
  if( rc==SQLITE_DONE ) rc = SQLITE_OK;
  else if( rc!=SQLITE_NOMEM && p->zErr==0 ) *pzErr = sqlite3_mprintf("%s", sqlite3_errmsg(db));
  for(i=0; rc==SQLITE_OK && i<s->n; i++){
    if( !aBase[i] ) rc = surveyNote(s, s->aId[i], 0, "the node has no row");
  }
  sqlite3_finalize(pStmt);
  sqlite3_free(zSql);
  sqlite3_free(zWhere);
  sqlite3_free(aBase);
  return rc;
}

static int reportFilter(sqlite3_vtab_cursor *pCursor, int idxNum, const char *idxStr, int argc, sqlite3_value **argv){
  ReportCursor *p = (ReportCursor*)pCursor;
  ReportTab *pTab = (ReportTab*)pCursor->pVtab;
  char **pzErr = &pTab->base.zErrMsg;
  LscIndex *pIndex = 0;
  Index *pIdx = 0;
  LscSurvey survey;
  const char *zIndex;
  int rc;
  (void)idxNum; (void)idxStr; (void)argc;
  reportClear(p, pTab->nCol);
  sqlite3_free(*pzErr);
  *pzErr = 0;
  if( sqlite3_value_type(argv[0])!=SQLITE_TEXT ){
    return lscError(pzErr, "vector index(search): first parameter (index) must be a string");
  }
  zIndex = (const char*)sqlite3_value_text(argv[0]);
  rc = zIndex ? lscIndexFind(pTab->db, zIndex, &pIndex, &pIdx, pzErr) : SQLITE_NOMEM_BKPT;
  if( rc!=SQLITE_OK ) goto out;
  sqlite3BtreeEnter(pIndex->pBt);
  rc = surveyRun(&survey, pIndex);
  if( rc==SQLITE_OK && !pTab->bCheck ) rc = reportNumbers(p, pTab, &survey);
  if( rc==SQLITE_OK && pTab->bCheck ){
    rc = reportBase(&survey, pIdx, pzErr);
    if( rc==SQLITE_OK ) rc = rowsOpen(pIndex, 0, &survey.rows);
    if( rc==SQLITE_OK ) rc = reportProblems(p, pTab, &survey);
    rowsClose(&survey.rows);
  }
  if( *pzErr==0 ) ixTakeError(pIndex, rc, pzErr);
  sqlite3BtreeLeave(pIndex->pBt);
  surveyClear(&survey);
out:
  lscIndexClose(pIndex);
  return rc;
}

static int reportNext(sqlite3_vtab_cursor *pCursor){
  ((ReportCursor*)pCursor)->i++;
  return SQLITE_OK;
}

static int reportEof(sqlite3_vtab_cursor *pCursor){
  return ((ReportCursor*)pCursor)->i>=((ReportCursor*)pCursor)->nRow;
}

static int reportColumn(sqlite3_vtab_cursor *pCursor, sqlite3_context *ctx, int iCol){
  ReportCursor *p = (ReportCursor*)pCursor;
  int nCol = ((ReportTab*)pCursor->pVtab)->nCol;
  if( iCol<nCol ) sqlite3_result_value(ctx, p->apValue[p->i*nCol+iCol]);
  return SQLITE_OK;
}

static int reportRowid(sqlite3_vtab_cursor *pCursor, sqlite3_int64 *piRowid){
  *piRowid = ((ReportCursor*)pCursor)->i;
  return SQLITE_OK;
}

static int lscReportRegister(sqlite3 *db){
  static const sqlite3_module module = {
    .iVersion = 0, .xConnect = reportConnect, .xBestIndex = reportBest, .xDisconnect = topkDisconnect,
    .xOpen = reportOpen, .xClose = reportClose, .xFilter = reportFilter, .xNext = reportNext, .xEof = reportEof,
    .xColumn = reportColumn, .xRowid = reportRowid
  };
  int rc = sqlite3_create_module(db, "vector_index_info", &module, (void*)reportInfo);
  return rc==SQLITE_OK ? sqlite3_create_module(db, "vector_index_check", &module, (void*)reportCheck) : rc;
}
