/*
** index_table.c: the table function vector_top_k(). Included by engine.c.
**
**     SELECT id [, distance] FROM vector_top_k(index, vector, k [, filter [, ef]])
**
** Eponymous only; `id` is the one visible column. The rows of one call are found in xFilter and kept by the cursor. It
** begins a read transaction on the index's database if there is none, which the end of the statement ends.
*/
enum { TOPK_IDX, TOPK_VECTOR, TOPK_K, TOPK_FILTER, TOPK_EF, TOPK_DISTANCE, TOPK_ID, TOPK_NCOL, TOPK_NARG=TOPK_DISTANCE };

typedef struct TopkTab {
  sqlite3_vtab base;
  sqlite3 *db;
} TopkTab;

typedef struct TopkCursor {
  sqlite3_vtab_cursor base;
  sqlite3_value *apArg[TOPK_NARG];  /* owned copies of the arguments that are read as columns */
  LscFound *aFound;                 /* owned */
  sqlite3_value **apKey;            /* owned; NULL if a key is the node's id */
  i64 n, i;
} TopkCursor;

static int topkConnect(sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppTab, char **pzErr){
  TopkTab *p;
  int rc;
  (void)pAux; (void)argc; (void)argv; (void)pzErr;
  rc = sqlite3_declare_vtab(db, "CREATE TABLE x(idx HIDDEN, vector HIDDEN, k HIDDEN, filter HIDDEN, ef HIDDEN,"
      " distance REAL HIDDEN, id)");
  if( rc!=SQLITE_OK ) return rc;
  p = sqlite3MallocZero(sizeof(*p));
  if( p==0 ) return SQLITE_NOMEM_BKPT;
  p->db = db;
  *ppTab = &p->base;
  return SQLITE_OK;
}

static int topkDisconnect(sqlite3_vtab *pTab){
  sqlite3_free(pTab);
  return SQLITE_OK;
}

/* idxNum has a bit for each argument that is given, and TOPK_NARG bits up one for each that is read. Values come in the
** order of the columns. */
static int topkBest(sqlite3_vtab *pTab, sqlite3_index_info *pInfo){
  int aAt[TOPK_NCOL];
  int i, n = 0, nGiven = 0, given = 0;
  for(i=0; i<TOPK_NCOL; i++) aAt[i] = -1;
  for(i=0; i<pInfo->nConstraint; i++){
    int iCol = pInfo->aConstraint[i].iColumn;
    if( iCol<0 || iCol>TOPK_DISTANCE || pInfo->aConstraint[i].op!=SQLITE_INDEX_CONSTRAINT_EQ ) continue;
    if( !pInfo->aConstraint[i].usable ){
      if( iCol<TOPK_NARG ) return SQLITE_CONSTRAINT;
    }else if( aAt[iCol]<0 ){
      aAt[iCol] = i;
    }
  }
  for(i=0; i<TOPK_NARG; i++){
    if( aAt[i]<0 ) continue;
    pInfo->aConstraintUsage[aAt[i]].argvIndex = ++n;
    pInfo->aConstraintUsage[aAt[i]].omit = 1;
    given |= 1<<i;
    if( i<=TOPK_K ) nGiven++;
  }
  if( nGiven<=TOPK_K ){
    pTab->zErrMsg = sqlite3_mprintf("vector index(search): got %d parameters, expected 3", nGiven);
    return SQLITE_ERROR;
  }
  if( n==TOPK_NARG && aAt[TOPK_DISTANCE]>=0 ){
    pTab->zErrMsg = sqlite3_mprintf("too many arguments on vector_top_k() - max %d", TOPK_NARG);
    return SQLITE_ERROR;
  }
  pInfo->idxNum = given | ((int)(pInfo->colUsed & ((1<<TOPK_NARG)-1)) << TOPK_NARG);
  pInfo->estimatedCost = 1;
  pInfo->estimatedRows = 100;
  if( pInfo->nOrderBy==1 && pInfo->aOrderBy[0].iColumn==TOPK_DISTANCE && !pInfo->aOrderBy[0].desc ){
    pInfo->orderByConsumed = 1;
  }
  return SQLITE_OK;
}

static int topkOpen(sqlite3_vtab *pTab, sqlite3_vtab_cursor **ppCursor){
  TopkCursor *p = sqlite3MallocZero(sizeof(*p));
  (void)pTab;
  if( p==0 ) return SQLITE_NOMEM_BKPT;
  *ppCursor = &p->base;
  return SQLITE_OK;
}

static void topkClear(TopkCursor *p){
  i64 i;
  for(i=0; i<TOPK_NARG; i++){
    sqlite3_value_free(p->apArg[i]);
    p->apArg[i] = 0;
  }
  for(i=0; p->apKey && i<p->n; i++) sqlite3ValueFree(p->apKey[i]);
  sqlite3_free(p->apKey);
  sqlite3_free(p->aFound);
  p->apKey = 0;
  p->aFound = 0;
  p->n = p->i = 0;
}

static int topkClose(sqlite3_vtab_cursor *pCursor){
  topkClear((TopkCursor*)pCursor);
  sqlite3_free(pCursor);
  return SQLITE_OK;
}

static int topkK(sqlite3_value *pValue, i64 *pk, char **pzErr){
  int type = sqlite3_value_type(pValue);
  const char *zWhat = "unexpected type of value were provided";
  double r = type==SQLITE_FLOAT ? sqlite3_value_double(pValue) : 0.0;
  if( type==SQLITE_FLOAT && (r!=floor(r) || r!=r) ) zWhat = "float value were provided";
  else if( type==SQLITE_FLOAT || type==SQLITE_INTEGER ){
    *pk = sqlite3_value_int64(pValue);
    if( *pk>=0 ) return SQLITE_OK;
    return lscError(pzErr, "vector index(search): third parameter (k) must be a non-negative integer, but negative"
                           " value were provided");
  }
  return lscError(pzErr, "vector index(search): third parameter (k) must be an integer, but %s", zWhat);
}

/* The number of the database that "schema.name" or "name" means, and where the name begins. */
static int topkSchema(sqlite3 *db, const char *zIndex, int *piDb, const char **pzName, char **pzErr){
  const char *zDot = strchr(zIndex, '.');
  char *zSchema;
  int rc = SQLITE_OK;
  *piDb = 0;
  *pzName = zIndex;
  if( zDot==0 ) return SQLITE_OK;
  zSchema = sqlite3_mprintf("%.*s", (int)(zDot-zIndex), zIndex);
  if( zSchema==0 ) return SQLITE_NOMEM_BKPT;
  *piDb = sqlite3FindDbName(db, zSchema);
  *pzName = zDot+1;
  if( *piDb<0 ) rc = lscError(pzErr, "vector index(search): unknown schema '%s'", zSchema);
  sqlite3_free(zSchema);
  return rc;
}

/* Opens an index for a table function: the transaction, the schema, the index. */
static int lscIndexFind(sqlite3 *db, const char *zIndex, LscIndex **pp, Index **ppIdx, char **pzErr){
  const char *zName;
  Btree *pBt;
  int iDb, cookie = 0, rc;
  rc = topkSchema(db, zIndex, &iDb, &zName, pzErr);
  if( rc!=SQLITE_OK ) return rc;
  rc = scanSchemas(db, pzErr);
  if( rc!=SQLITE_OK ) return rc;
  pBt = db->aDb[iDb].pBt;
  if( pBt ){
    sqlite3BtreeEnter(pBt);
    rc = sqlite3BtreeBeginTrans(pBt, 0, &cookie);
    sqlite3BtreeLeave(pBt);
    if( rc==SQLITE_OK && cookie!=db->aDb[iDb].pSchema->schema_cookie ){
      sqlite3BtreeEnterAll(db);
      sqlite3ResetOneSchema(db, iDb);
      sqlite3BtreeLeaveAll(db);
      rc = scanSchemas(db, pzErr);
    }
    if( rc!=SQLITE_OK ) return rc;
    rc = lscIndexOpen(db, iDb, zName, pp, pzErr);
    if( rc!=SQLITE_ERROR ) goto opened;
    sqlite3_free(*pzErr);
    *pzErr = 0;
  }
  return lscError(pzErr, "vector index(search): failed to parse vector index parameters");
opened:
  if( rc!=SQLITE_OK ) return rc;
  *ppIdx = sqlite3FindIndex(db, zName, db->aDb[iDb].zDbSName);
  if( *ppIdx==0 ) rc = lscError(pzErr, "vector index(search): index not found");
  return rc;
}

static int topkSearch(sqlite3 *db, TopkCursor *p, sqlite3_value **apArg, char **pzErr){
  LscVector query;
  LscIndex *pIndex = 0;
  Index *pIdx = 0;
  const char *zFilter = 0;
  i64 k = 0, ef = 0;
  int rc;
  memset(&query, 0, sizeof(query));
  rc = lscVectorFromValue(&query, apArg[TOPK_VECTOR], pzErr);
  if( rc==SQLITE_OK ) rc = topkK(apArg[TOPK_K], &k, pzErr);
  if( rc==SQLITE_OK && sqlite3_value_type(apArg[TOPK_IDX])!=SQLITE_TEXT ){
    rc = lscError(pzErr, "vector index(search): first parameter (index) must be a string");
  }
  if( rc==SQLITE_OK && apArg[TOPK_FILTER] && sqlite3_value_type(apArg[TOPK_FILTER])!=SQLITE_NULL ){
    if( sqlite3_value_type(apArg[TOPK_FILTER])!=SQLITE_TEXT ){
      rc = lscError(pzErr, "vector index(search): fourth parameter (filter) must be a string");
    }else if( (zFilter = (const char*)sqlite3_value_text(apArg[TOPK_FILTER]))==0 ){
      rc = SQLITE_NOMEM_BKPT;
    }
  }
  if( rc==SQLITE_OK && apArg[TOPK_EF] && sqlite3_value_type(apArg[TOPK_EF])!=SQLITE_NULL ){
    ef = sqlite3_value_int64(apArg[TOPK_EF]);
    if( sqlite3_value_type(apArg[TOPK_EF])!=SQLITE_INTEGER || ef<1 ){
      rc = lscError(pzErr, "vector index(search): fifth parameter (ef) must be a positive integer");
    }
  }
  if( rc==SQLITE_OK ){
    const char *zIndex = (const char*)sqlite3_value_text(apArg[TOPK_IDX]);
    rc = zIndex ? lscIndexFind(db, zIndex, &pIndex, &pIdx, pzErr) : SQLITE_NOMEM_BKPT;
  }
  if( rc!=SQLITE_OK ) goto out;
  if( query.n!=pIndex->par.n ){
    rc = lscError(pzErr, "vector index(search): dimensions are different: %u != %u", query.n, pIndex->par.n);
  }else if( query.type!=pIndex->par.type ){
    rc = lscError(pzErr, "vector index(search): vector type differs from column type: %d != %d",
                  query.type, pIndex->par.type);
  }else if( pIndex->iRoot==0 ){
    rc = lscError(pzErr, "vector index(search): failed to select start node for search");
  }else if( k>0 ){
    rc = ixSearch(pIndex, pIdx->pTable, &query, k, zFilter, (u32)MIN(ef, 0x7fffffff), &p->aFound, &p->apKey, &p->n, pzErr);
  }
out:
  lscIndexClose(pIndex);
  lscVectorFree(&query);
  return rc;
}

static int topkFilter(sqlite3_vtab_cursor *pCursor, int idxNum, const char *idxStr, int argc, sqlite3_value **argv){
  TopkCursor *p = (TopkCursor*)pCursor;
  sqlite3_value *apArg[TOPK_NARG];
  int i, n = 0, rc;
  (void)idxStr; (void)argc;
  topkClear(p);
  for(i=0; i<TOPK_NARG; i++){
    apArg[i] = (idxNum & (1<<i)) ? argv[n++] : 0;
    if( apArg[i] && (idxNum & (1<<(i+TOPK_NARG))) ){
      p->apArg[i] = sqlite3_value_dup(apArg[i]);
      if( p->apArg[i]==0 ) return SQLITE_NOMEM_BKPT;
    }
  }
  sqlite3_free(pCursor->pVtab->zErrMsg);
  pCursor->pVtab->zErrMsg = 0;
  rc = topkSearch(((TopkTab*)pCursor->pVtab)->db, p, apArg, &pCursor->pVtab->zErrMsg);
  return rc;
}

static int topkNext(sqlite3_vtab_cursor *pCursor){
  ((TopkCursor*)pCursor)->i++;
  return SQLITE_OK;
}

static int topkEof(sqlite3_vtab_cursor *pCursor){
  return ((TopkCursor*)pCursor)->i>=((TopkCursor*)pCursor)->n;
}

static int topkColumn(sqlite3_vtab_cursor *pCursor, sqlite3_context *ctx, int iCol){
  TopkCursor *p = (TopkCursor*)pCursor;
  if( iCol<TOPK_NARG ){
    if( p->apArg[iCol] ) sqlite3_result_value(ctx, p->apArg[iCol]);
  }else if( iCol==TOPK_DISTANCE ){
    sqlite3_result_double(ctx, p->aFound[p->i].distance);
  }else if( p->apKey==0 ){
    sqlite3_result_int64(ctx, p->aFound[p->i].id);
  }else if( p->apKey[p->i] ){
    sqlite3_result_value(ctx, p->apKey[p->i]);
  }
  return SQLITE_OK;
}

static int topkRowid(sqlite3_vtab_cursor *pCursor, sqlite3_int64 *piRowid){
  TopkCursor *p = (TopkCursor*)pCursor;
  *piRowid = p->apKey ? p->i : p->aFound[p->i].id;
  return SQLITE_OK;
}

static int lscReportRegister(sqlite3 *db);

static int lscIndexRegister(sqlite3 *db){
  static const sqlite3_module module = {
    .iVersion = 0, .xConnect = topkConnect, .xBestIndex = topkBest, .xDisconnect = topkDisconnect, .xOpen = topkOpen,
    .xClose = topkClose, .xFilter = topkFilter, .xNext = topkNext, .xEof = topkEof, .xColumn = topkColumn,
    .xRowid = topkRowid
  };
  int rc = sqlite3_create_module(db, "vector_top_k", &module, 0);
  return rc==SQLITE_OK ? lscReportRegister(db) : rc;
}
