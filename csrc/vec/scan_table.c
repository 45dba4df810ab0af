/*
** scan_table.c: the table function vector_scan(), and the search for the Python module. Included by engine.c.
**
**     SELECT id, distance FROM vector_scan(table, column, query, k [, where [, metric]])
**
** Eponymous only. The rows of one call are found in xFilter and kept by the cursor. metric is 'cos', 'l2', 'dot' or
** 'hamming'; cos if it is left out.
*/
enum { SCAN_ID, SCAN_DISTANCE, SCAN_TABLE, SCAN_COLUMN, SCAN_QUERY, SCAN_K, SCAN_WHERE, SCAN_METRIC, SCAN_NCOL };

typedef struct ScanTab {
  sqlite3_vtab base;
  sqlite3 *db;
} ScanTab;

typedef struct ScanCursor {
  sqlite3_vtab_cursor base;
  ScanHeap found;                   /* in order */
  int i;
} ScanCursor;

static int scanTabConnect(sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppTab, char **pzErr){
  ScanTab *p;
  int rc;
  (void)pAux; (void)argc; (void)argv; (void)pzErr;
  rc = sqlite3_declare_vtab(db, "CREATE TABLE x(id INTEGER, distance REAL, tbl HIDDEN, col HIDDEN, query HIDDEN, k HIDDEN,"
      " filter HIDDEN, metric HIDDEN)");
  if( rc!=SQLITE_OK ) return rc;
  sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
  p = sqlite3MallocZero(sizeof(*p));
  if( p==0 ) return SQLITE_NOMEM_BKPT;
  p->db = db;
  *ppTab = &p->base;
  return SQLITE_OK;
}

static int scanTabDisconnect(sqlite3_vtab *pTab){
  sqlite3_free(pTab);
  return SQLITE_OK;
}

/* idxNum has a bit for each argument that is given; they come in the order of the columns. */
static int scanTabBest(sqlite3_vtab *pTab, sqlite3_index_info *pInfo){
  int aAt[SCAN_NCOL];
  int i, n = 0, given = 0, unusable = 0;
  for(i=0; i<SCAN_NCOL; i++) aAt[i] = -1;
  for(i=0; i<pInfo->nConstraint; i++){
    int iCol = pInfo->aConstraint[i].iColumn;
    if( iCol<SCAN_TABLE || pInfo->aConstraint[i].op!=SQLITE_INDEX_CONSTRAINT_EQ ) continue;
    if( !pInfo->aConstraint[i].usable ){
      unusable = 1;
    }else if( aAt[iCol]<0 ){
      aAt[iCol] = i;
      given |= 1<<iCol;
    }
  }
  for(i=SCAN_TABLE; i<=SCAN_K; i++){
    if( aAt[i]<0 ){
      if( unusable ) return SQLITE_CONSTRAINT;
      pTab->zErrMsg = sqlite3_mprintf("vector_scan() needs a table, a column, a query and k");
      return SQLITE_ERROR;
    }
  }
  for(i=SCAN_TABLE; i<SCAN_NCOL; i++){
    if( aAt[i]>=0 ){
      pInfo->aConstraintUsage[aAt[i]].argvIndex = ++n;
      pInfo->aConstraintUsage[aAt[i]].omit = 1;
    }
  }
  pInfo->idxNum = given;
  pInfo->estimatedCost = 1e6;
  pInfo->estimatedRows = 10;
  if( pInfo->nOrderBy==1 && pInfo->aOrderBy[0].iColumn==SCAN_DISTANCE && !pInfo->aOrderBy[0].desc ){
    pInfo->orderByConsumed = 1;
  }
  return SQLITE_OK;
}

static int scanTabOpen(sqlite3_vtab *pTab, sqlite3_vtab_cursor **ppCursor){
  ScanCursor *p = sqlite3MallocZero(sizeof(*p));
  (void)pTab;
  if( p==0 ) return SQLITE_NOMEM_BKPT;
  *ppCursor = &p->base;
  return SQLITE_OK;
}

static int scanTabClose(sqlite3_vtab_cursor *pCursor){
  ScanCursor *p = (ScanCursor*)pCursor;
  sqlite3_free(p->found.a);
  sqlite3_free(p);
  return SQLITE_OK;
}

static int scanMetric(const char *z){
  static const struct { const char *z; int metric; } aName[] = {
    {"cos", LSC_COS}, {"l2", LSC_L2}, {"dot", LSC_DOT}, {"hamming", LSC_HAMMING}
  };
  int i;
  if( z==0 ) return LSC_COS;
  for(i=0; i<ArraySize(aName); i++) if( sqlite3StrICmp(z, aName[i].z)==0 ) return aName[i].metric;
  return 0;
}

/* "schema.table" names both, unless a table of just that name exists. The schema is owned by the caller. */
static int scanSplit(sqlite3 *db, const char **pzTable, char **pzSchema){
  const char *zDot = strchr(*pzTable, '.');
  *pzSchema = 0;
  if( zDot==0 || sqlite3FindTable(db, *pzTable, 0) ) return SQLITE_OK;
  *pzSchema = sqlite3_mprintf("%.*s", (int)(zDot-*pzTable), *pzTable);
  if( *pzSchema==0 ) return SQLITE_NOMEM_BKPT;
  *pzTable = zDot+1;
  return SQLITE_OK;
}

static int scanTabFilter(sqlite3_vtab_cursor *pCursor, int idxNum, const char *idxStr, int argc, sqlite3_value **argv){
  ScanCursor *p = (ScanCursor*)pCursor;
  ScanTab *pTab = (ScanTab*)pCursor->pVtab;
  sqlite3_value *apValue[SCAN_NCOL];
  LscVector query;
  ScanCall call;
  char *zSchema = 0, *zErr = 0;
  const char *zWhere = 0;
  i64 k;
  int i, n = 0, metric, rc;
  (void)idxStr; (void)argc;
  sqlite3_free(p->found.a);
  memset(&p->found, 0, sizeof(p->found));
  p->i = 0;
  for(i=0; i<SCAN_NCOL; i++) apValue[i] = (idxNum & (1<<i)) ? argv[n++] : 0;
  memset(&call, 0, sizeof(call));
  call.db = pTab->db;
  call.zTable = (const char*)sqlite3_value_text(apValue[SCAN_TABLE]);
  call.zColumn = (const char*)sqlite3_value_text(apValue[SCAN_COLUMN]);
  if( apValue[SCAN_WHERE] ) zWhere = (const char*)sqlite3_value_text(apValue[SCAN_WHERE]);
  k = sqlite3_value_int64(apValue[SCAN_K]);
  metric = scanMetric(apValue[SCAN_METRIC] ? (const char*)sqlite3_value_text(apValue[SCAN_METRIC]) : 0);
  if( call.zTable==0 || call.zColumn==0 ){
    zErr = sqlite3_mprintf("vector_scan: the table and the column are given as text");
  }else if( metric==0 ){
    zErr = sqlite3_mprintf("vector_scan: the metric is one of cos, l2, dot, hamming");
  }else if( sqlite3_value_type(apValue[SCAN_K])!=SQLITE_INTEGER || k<0 || k>0x7fffffff ){
    zErr = sqlite3_mprintf("vector_scan: k is a number of rows from 0 on");
  }
  if( zErr ){
    pTab->base.zErrMsg = zErr;
    return SQLITE_ERROR;
  }
  if( k==0 ) return SQLITE_OK;
  memset(&query, 0, sizeof(query));
  rc = lscVectorFromValue(&query, apValue[SCAN_QUERY], &pTab->base.zErrMsg);
  if( rc==SQLITE_OK ) rc = scanSplit(pTab->db, &call.zTable, &zSchema);
  call.zSchema = zSchema;
  if( rc==SQLITE_OK ){
    rc = scanSearch(&call, metric, &query, 1, (int)k, zWhere, &p->found);
    pTab->base.zErrMsg = call.zErr;
  }
  lscVectorFree(&query);
  sqlite3_free(zSchema);
  return rc;
}

static int scanTabNext(sqlite3_vtab_cursor *pCursor){
  ((ScanCursor*)pCursor)->i++;
  return SQLITE_OK;
}

static int scanTabEof(sqlite3_vtab_cursor *pCursor){
  return ((ScanCursor*)pCursor)->i>=((ScanCursor*)pCursor)->found.n;
}

static int scanTabColumn(sqlite3_vtab_cursor *pCursor, sqlite3_context *ctx, int iCol){
  ScanCursor *p = (ScanCursor*)pCursor;
  if( iCol==SCAN_ID ) sqlite3_result_int64(ctx, p->found.a[p->i].id);
  if( iCol==SCAN_DISTANCE ) sqlite3_result_double(ctx, p->found.a[p->i].distance);
  return SQLITE_OK;
}

static int scanTabRowid(sqlite3_vtab_cursor *pCursor, sqlite3_int64 *piRowid){
  *piRowid = ((ScanCursor*)pCursor)->found.a[((ScanCursor*)pCursor)->i].id;
  return SQLITE_OK;
}

static int lscScanRegister(sqlite3 *db){
  static const sqlite3_module module = {
    .iVersion = 0, .xConnect = scanTabConnect, .xBestIndex = scanTabBest, .xDisconnect = scanTabDisconnect,
    .xOpen = scanTabOpen, .xClose = scanTabClose, .xFilter = scanTabFilter, .xNext = scanTabNext, .xEof = scanTabEof,
    .xColumn = scanTabColumn, .xRowid = scanTabRowid
  };
  return sqlite3_create_module(db, "vector_scan", &module, 0);
}

int lsc_vector_search(
  sqlite3 *db, const char *zSchema, const char *zTable, const char *zColumn, const char *zWhere, int metric,
  const void *aQuery, int bDouble, int nQuery, int nDim, int k, sqlite3_int64 *aId, float *aDistance, int *anFound,
  lsc_error *error
){
  ScanCall call;
  LscVector *a = sqlite3_malloc64(sizeof(*a)*(u64)nQuery + 1);
  ScanHeap *aOut = sqlite3_malloc64(sizeof(*aOut)*(u64)nQuery + 1);
  int i, j, rc = SQLITE_NOMEM;
  memset(&call, 0, sizeof(call));
  call.db = db;
  call.zSchema = zSchema;
  call.zTable = zTable;
  call.zColumn = zColumn;
  sqlite3_mutex_enter(db->mutex);
  for(i=0; a && i<nQuery; i++){
    memset(&a[i], 0, sizeof(a[i]));
    a[i].type = bDouble ? LSC_F64 : LSC_F32;
    a[i].n = (u32)nDim;
    a[i].pData = (const u8*)aQuery + (size_t)i*(size_t)nDim*(bDouble ? sizeof(double) : sizeof(float));
  }
  if( a && aOut ) rc = scanSearch(&call, metric, a, nQuery, k, zWhere, aOut);
  for(i=0; rc==SQLITE_OK && i<nQuery; i++){
    for(j=0; j<aOut[i].n; j++){
      aId[(size_t)i*(size_t)k+(size_t)j] = aOut[i].a[j].id;
      aDistance[(size_t)i*(size_t)k+(size_t)j] = aOut[i].a[j].distance;
    }
    anFound[i] = aOut[i].n;
    sqlite3_free(aOut[i].a);
  }
  if( rc!=SQLITE_OK ){
    if( call.zErr ) sqlite3ErrorWithMsg(db, rc, "%s", call.zErr);
    else sqlite3Error(db, rc);
    lscKeepError(db, rc, error);
  }
  sqlite3_free(call.zErr);
  sqlite3_mutex_leave(db->mutex);
  sqlite3_free(a);
  sqlite3_free(aOut);
  return rc;
}
