/*
** series.c: generate_series(start, stop, step), which the server's SQL has. Included by engine.c.
**
** A table-valued function: the integers from start (0) to stop (4294967295) in steps (1); a negative step counts down,
** a NULL among the arguments gives none. Values are counted as unsigned distances from the first, so no limit of 64
** bits is passed on the way.
*/

typedef struct SvrSeries {
  sqlite3_vtab_cursor base;
  i64 first, last, step;      /* as they were asked for */
  u64 n;                      /* values */
  u64 i;                      /* the current one, from 0 */
} SvrSeries;

enum { SVR_SERIES_VALUE, SVR_SERIES_START, SVR_SERIES_STOP, SVR_SERIES_STEP };

static int svrSeriesConnect(sqlite3 *db, void *pArg, int argc, const char *const *argv, sqlite3_vtab **ppTab,
                            char **pzErr){
  int rc = sqlite3_declare_vtab(db, "CREATE TABLE x(value, start HIDDEN, stop HIDDEN, step HIDDEN)");
  (void)pArg; (void)argc; (void)argv; (void)pzErr;
  if( rc!=SQLITE_OK ) return rc;
  *ppTab = sqlite3_malloc64(sizeof(sqlite3_vtab));
  if( *ppTab==0 ) return SQLITE_NOMEM;
  memset(*ppTab, 0, sizeof(**ppTab));
  sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
  return SQLITE_OK;
}

static int svrSeriesDisconnect(sqlite3_vtab *pTab){
  sqlite3_free(pTab);
  return SQLITE_OK;
}

static int svrSeriesOpen(sqlite3_vtab *pTab, sqlite3_vtab_cursor **ppCur){
  SvrSeries *p = sqlite3_malloc64(sizeof(*p));
  (void)pTab;
  if( p==0 ) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  *ppCur = &p->base;
  return SQLITE_OK;
}

static int svrSeriesClose(sqlite3_vtab_cursor *pCur){
  sqlite3_free(pCur);
  return SQLITE_OK;
}

static i64 svrSeriesAt(const SvrSeries *p, u64 i){ return (i64)((u64)p->first + i*(u64)p->step); }

static int svrSeriesNext(sqlite3_vtab_cursor *pCur){
  ((SvrSeries*)pCur)->i++;
  return SQLITE_OK;
}

static int svrSeriesEof(sqlite3_vtab_cursor *pCur){
  const SvrSeries *p = (const SvrSeries*)pCur;
  return p->i>=p->n;
}

static int svrSeriesColumn(sqlite3_vtab_cursor *pCur, sqlite3_context *ctx, int iCol){
  const SvrSeries *p = (const SvrSeries*)pCur;
  switch( iCol ){
    case SVR_SERIES_VALUE: sqlite3_result_int64(ctx, svrSeriesAt(p, p->i)); break;
    case SVR_SERIES_START: sqlite3_result_int64(ctx, p->first); break;
    case SVR_SERIES_STOP:  sqlite3_result_int64(ctx, p->last); break;
    default:               sqlite3_result_int64(ctx, p->step); break;
  }
  return SQLITE_OK;
}

static int svrSeriesRowid(sqlite3_vtab_cursor *pCur, sqlite3_int64 *pRowid){
  const SvrSeries *p = (const SvrSeries*)pCur;
  *pRowid = svrSeriesAt(p, p->i);
  return SQLITE_OK;
}

/* idxNum says which of the arguments there are, in their order. */
static int svrSeriesFilter(sqlite3_vtab_cursor *pCur, int idxNum, const char *idxStr, int argc, sqlite3_value **argv){
  SvrSeries *p = (SvrSeries*)pCur;
  int arg = 0, i;
  (void)idxStr; (void)argc;
  p->first = idxNum & 1 ? sqlite3_value_int64(argv[arg++]) : 0;
  p->last = idxNum & 2 ? sqlite3_value_int64(argv[arg++]) : 0xffffffff;
  p->step = idxNum & 4 ? sqlite3_value_int64(argv[arg++]) : 1;
  if( p->step==0 ) p->step = 1;
  p->i = p->n = 0;
  for(i=0; i<arg; i++){
    if( sqlite3_value_type(argv[i])==SQLITE_NULL ) return SQLITE_OK;
  }
  if( p->step>0 && p->first<=p->last ){
    p->n = ((u64)p->last - (u64)p->first)/(u64)p->step + 1;
  }else if( p->step<0 && p->first>=p->last ){
    p->n = ((u64)p->first - (u64)p->last)/((u64)0 - (u64)p->step) + 1;
  }
  /* All integers there are: one too many to count. */
  if( p->n==0 && (p->step>0 ? p->first<=p->last : p->first>=p->last) ) p->n = ~(u64)0;
  return SQLITE_OK;
}

static int svrSeriesBestIndex(sqlite3_vtab *pTab, sqlite3_index_info *pInfo){
  int aArg[3] = { -1, -1, -1 };
  int known = 0, unusable = 0, n = 0, i;
  for(i=0; i<pInfo->nConstraint; i++){
    const struct sqlite3_index_constraint *c = &pInfo->aConstraint[i];
    if( c->iColumn<SVR_SERIES_START || c->op!=SQLITE_INDEX_CONSTRAINT_EQ ) continue;
    if( c->usable ){
      aArg[c->iColumn-SVR_SERIES_START] = i;
      known |= 1<<(c->iColumn-SVR_SERIES_START);
    }else{
      unusable |= 1<<(c->iColumn-SVR_SERIES_START);
    }
  }
  if( unusable & ~known ) return SQLITE_CONSTRAINT;
  if( (known & 1)==0 ){
    pTab->zErrMsg = sqlite3_mprintf("first argument to \"generate_series()\" missing or unusable");
    return SQLITE_ERROR;
  }
  for(i=0; i<3; i++){
    if( aArg[i]<0 ) continue;
    pInfo->aConstraintUsage[aArg[i]].argvIndex = ++n;
    pInfo->aConstraintUsage[aArg[i]].omit = 1;
  }
  pInfo->idxNum = known;
  pInfo->estimatedCost = known & 2 ? 1000 : 1e10;
  pInfo->estimatedRows = known & 2 ? 1000 : 0xffffffff;
  return SQLITE_OK;
}

static int svrSeriesRegister(sqlite3 *db){
  static const sqlite3_module module = {
    .xConnect = svrSeriesConnect, .xBestIndex = svrSeriesBestIndex, .xDisconnect = svrSeriesDisconnect,
    .xOpen = svrSeriesOpen, .xClose = svrSeriesClose, .xFilter = svrSeriesFilter, .xNext = svrSeriesNext,
    .xEof = svrSeriesEof, .xColumn = svrSeriesColumn, .xRowid = svrSeriesRowid,
  };
  return sqlite3_create_module_v2(db, "generate_series", &module, 0, 0);
}
