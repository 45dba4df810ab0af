/*
** index_search.c: the nearest nodes of an open index. Included by engine.c.
**
** Four ways, all with exact distances in the result: the graph; the blocks without one, see index_walk.c; all nodes where
** there are no more than LSC_SMALL; the rows of a filter one by one where it lets through no more than that, or one in LSC_FEW. A filter is a condition on the table,
** evaluated first; the graph is walked freely and only what may be found is looked up in its sorted result.
*/

/* The nodes that a filter lets through. */
typedef struct LscAllow {
  sqlite3 *db;
  i64 *aId;                         /* owned; ascending */
  i64 n;
} LscAllow;

static int ixAllowed(void *pCtx, int64_t id){
  LscAllow *p = pCtx;
  i64 lo = 0, hi = p->n;
  if( AtomicLoad(&p->db->u1.isInterrupted) ) return -1;
  while( lo<hi ){
    i64 mid = lo + (hi-lo)/2;
    if( p->aId[mid]<id ) lo = mid+1; else hi = mid;
  }
  return lo<p->n && p->aId[lo]==id;
}

static int allowAdd(LscAllow *p, i64 *pnAlloc, i64 id){
  if( p->n==*pnAlloc ){
    i64 *aNew = sqlite3_realloc64(p->aId, sizeof(i64)*(u64)(*pnAlloc = *pnAlloc ? 2**pnAlloc : 256));
    if( aNew==0 ) return SQLITE_NOMEM_BKPT;
    p->aId = aNew;
  }
  p->aId[p->n++] = id;
  return SQLITE_OK;
}

/* Whether a text stays inside the parentheses that are put around it. */
static int ixIsOne(const char *z){
  int depth = 0;
  LscLex x;
  for(lscLexStart(&x, z, 0); x.type && depth>=0; lscLexNext(&x)){
    if( x.type==TK_LP ) depth++;
    if( x.type==TK_RP ) depth--;
    if( x.type==TK_SEMI ) depth = -1;
  }
  return depth==0;
}

/* Evaluates a filter over the rows of pTab. */
static int ixFilter(LscIndex *p, Table *pTab, const char *zFilter, LscAllow *pAllow, char **pzErr){
#ifdef SQLITE_PREPARE_FROM_DDL
  unsigned flags = SQLITE_PREPARE_FROM_DDL;     /* a view may hold the call */
#else
  unsigned flags = 0;
#endif
  sqlite3 *db = p->db;
  const char *zKey = HasRowid(pTab) ? scanRowid(pTab) : pTab->aCol[sqlite3PrimaryKeyIndex(pTab)->aiColumn[0]].zCnName;
  sqlite3_stmt *pStmt = 0;
  i64 nAlloc = 0;
  char *zSql;
  int rc;
  if( !ixIsOne(zFilter) ) return lscError(pzErr, "vector index(search): fourth parameter (filter) must be one expression");
  if( zKey==0 ) return lscError(pzErr, "vector index(search): columns of %s hide its rowid", pTab->zName);
  zSql = sqlite3_mprintf("SELECT \"%w\" FROM \"%w\".\"%w\" WHERE (%s\n)",
                         zKey, db->aDb[p->iDb].zDbSName, pTab->zName, zFilter);
  if( zSql==0 ) return SQLITE_NOMEM_BKPT;
  rc = sqlite3_prepare_v3(db, zSql, -1, flags, &pStmt, 0);
  while( rc==SQLITE_OK && (rc = sqlite3_step(pStmt))==SQLITE_ROW ){
    int found = 1;
    i64 id = 0;
    rc = SQLITE_OK;
    if( p->bKeyed ){
      sqlite3BtreeEnter(p->pBt);
      rc = ixNodeOfKey(p, sqlite3_column_value(pStmt, 0), &id, &found);
      sqlite3BtreeLeave(p->pBt);
    }else{
      id = sqlite3_column_int64(pStmt, 0);
    }
    if( rc==SQLITE_OK && found ) rc = allowAdd(pAllow, &nAlloc, id);
  }
  if( rc==SQLITE_DONE ){
    rc = SQLITE_OK;
    if( pAllow->n>1 ) qsort(pAllow->aId, (size_t)pAllow->n, sizeof(i64), ixCompareIds);
  }else if( p->zErr ){
    ixTakeError(p, rc, pzErr);
  }else if( rc!=SQLITE_NOMEM ){
    *pzErr = sqlite3_mprintf("%s", sqlite3_errmsg(db));
  }
  sqlite3_finalize(pStmt);
  sqlite3_free(zSql);
  return rc;
}

/* The exact distance of a row from the query, as the SQL functions have it. */
static int ixRowDistance(LscIndex *p, LscRows *pRows, const LscVector *pQuery, float *pDistance){
  int rc;
  if( p->par.bCompact ){
    LscVector v;
    int found;
    rc = compactVector(pRows, rowsId(pRows), &v, &found);
    if( rc==SQLITE_OK ) *pDistance = found ? (float)lscVectorDistance(p->par.metric, &v, pQuery) : (float)NAN;
    lscVectorFree(&v);
    return rc;
  }
  rc = rowsRead(pRows, p->par.nHead, p->par.nNode, p->aBlock);
  if( rc==SQLITE_OK ){
    LscVector v = ixVector(p->par.type, p->par.n, p->aBlock);
    *pDistance = (float)lscVectorDistance(p->par.metric, &v, pQuery);
  }
  return rc;
}

/* The nodes of pAllow, one by one. */
static int ixSearchRows(LscIndex *p, LscRows *pRows, const LscVector *pQuery, i64 k, const LscAllow *pAllow,
                        LscFound **paFound, i64 *pn){
  LscFound *a = sqlite3_malloc64(sizeof(LscFound)*(u64)pAllow->n + 1);
  i64 i, n = 0;
  int found, rc = a ? SQLITE_OK : SQLITE_NOMEM_BKPT;
  for(i=0; rc==SQLITE_OK && i<pAllow->n; i++){
    if( AtomicLoad(&p->db->u1.isInterrupted) ) rc = SQLITE_INTERRUPT;
    if( rc==SQLITE_OK ) rc = rowsSeek(pRows, pAllow->aId[i], &found);
    if( rc!=SQLITE_OK || !found ) continue;
    a[n].id = pAllow->aId[i];
    rc = ixRowDistance(p, pRows, pQuery, &a[n++].distance);
  }
  if( rc==SQLITE_OK && n>1 ) qsort(a, (size_t)n, sizeof(*a), ixCompareFound);
  *paFound = a;
  *pn = MIN(n, k);
  return rc;
}

/* All nodes that are loaded. */
static int ixSearchAll(LscIndex *p, const LscVector *pQuery, i64 k, LscAllow *pAllow, LscFound **paFound, i64 *pn){
  u32 nNode = lscGraphCount(p->pGraph), i;
  LscFound *a = sqlite3_malloc64(sizeof(*a)*(u64)nNode + 1);
  const void *pWide = ixWiden(p, pQuery->type, pQuery->pData);
  int type = p->par.metric==LSC_HAMMING ? LSC_F1BIT : LSC_F32;
  LscVector query = ixVector(type, p->par.n, pWide);
  i64 n = 0;
  *paFound = a;
  if( a==0 ) return SQLITE_NOMEM_BKPT;
  for(i=0; i<nNode; i++){
    LscVector v = ixVector(type, p->par.n, lscGraphVector(p->pGraph, i));
    if( !lscGraphIsLoaded(p->pGraph, i) ) continue;
    a[n].id = lscGraphId(p->pGraph, i);
    if( pAllow && ixAllowed(pAllow, a[n].id)<=0 ) continue;
    a[n++].distance = (float)lscVectorDistance(p->par.metric, &v, &query);
  }
  if( n>1 ) qsort(a, (size_t)n, sizeof(*a), ixCompareFound);
  *pn = MIN(n, k);
  return SQLITE_OK;
}

static int ixSearchGraph(LscIndex *p, LscRows *pRows, const LscVector *pQuery, i64 k, u32 ef, LscAllow *pAllow,
                         LscFound **paFound, i64 *pn){
  LscGraphHit *aHit = sqlite3_malloc64(sizeof(*aHit)*(u64)k + 1);
  LscFound *a = *paFound = sqlite3_malloc64(sizeof(*a)*(u64)k + 1);
  u32 aStart[LSC_STARTS], nStart = 0, nHit = 0, i;
  int rc = SQLITE_NOMEM_BKPT;
  if( aHit==0 || a==0 ) goto out;
  rc = ixStarts(p, pRows, pQuery->pData, aStart, &nStart);
  if( rc==SQLITE_OK ){
    const void *pWide = ixWiden(p, pQuery->type, pQuery->pData);
    if( pWide==p->aWide ){
      /* That is overwritten when a node is loaded. */
      memcpy(p->aQuery, pWide, sizeof(float)*(size_t)p->par.n);
      pWide = p->aQuery;
    }
    rc = lscGraphSearch(p->pGraph, pWide, (u32)k, ef, aStart, nStart, pAllow ? ixAllowed : 0, pAllow, aHit, &nHit);
  }
  for(i=0; rc==SQLITE_OK && i<nHit; i++){
    int found;
    a[i].id = lscGraphId(p->pGraph, aHit[i].node);
    a[i].distance = aHit[i].distance;
    if( p->par.type!=LSC_F64 ) continue;
    /* The graph has float32. */
    rc = rowsSeek(pRows, a[i].id, &found);
    if( rc==SQLITE_OK && found ) rc = ixRowDistance(p, pRows, pQuery, &a[i].distance);
  }
  if( rc==SQLITE_OK && p->par.type==LSC_F64 && nHit>1 ) qsort(a, nHit, sizeof(*a), ixCompareFound);
  *pn = nHit;
out:
  sqlite3_free(aHit);
  return rc;
}

/*
** The k nearest nodes; *paFound is for sqlite3_free(). The query has the type and length of the index. zFilter, or NULL,
** is a condition on pTab. ef is the beam, 0: chosen. *papKey, for keyed tables, gets their keys: each for
** sqlite3_value_free(), and the array for sqlite3_free().
*/
static int ixSearch(LscIndex *p, Table *pTab, const LscVector *pQuery, i64 k, const char *zFilter, u32 ef,
                    LscFound **paFound, sqlite3_value ***papKey, i64 *pn, char **pzErr){
  LscAllow allow;
  LscRows rows;
  i64 nRow = 0, i;
  int found, rc = SQLITE_OK;
  *paFound = 0;
  *papKey = 0;
  *pn = 0;
  memset(&allow, 0, sizeof(allow));
  allow.db = p->db;
  if( zFilter ) rc = ixFilter(p, pTab, zFilter, &allow, pzErr);
  if( rc!=SQLITE_OK ) goto out;
  rc = ixBegin(p, 0, &rows);
  if( rc==SQLITE_OK ) rc = ixCount(p, &nRow);
  if( k>nRow ) k = nRow;
  if( rc==SQLITE_OK && k>0 ){
    if( ixWantsAll(p, nRow) ) rc = ixLoadAll(p, &rows);
    if( rc!=SQLITE_OK ){
      /* no search */
    }else if( nRow<=LSC_SMALL && p->par.type!=LSC_F64 ){
      rc = ixSearchAll(p, pQuery, k, zFilter ? &allow : 0, paFound, pn);
    }else if( zFilter && (allow.n<=LSC_SMALL || allow.n<=nRow/LSC_FEW) ){
      rc = ixSearchRows(p, &rows, pQuery, k, &allow, paFound, pn);
    }else if( zFilter==0 && walkFits(p) ){
      rc = ixSearchFile(p, &rows, pQuery, k, ef, paFound, pn);
    }else{
      rc = ixSearchGraph(p, &rows, pQuery, k, ef, zFilter ? &allow : 0, paFound, pn);
    }
  }
  if( rc==SQLITE_OK && p->bKeyed && *pn ){
    *papKey = sqlite3_malloc64(sizeof(sqlite3_value*)*(u64)*pn);
    if( *papKey==0 ) rc = SQLITE_NOMEM_BKPT; else memset(*papKey, 0, sizeof(sqlite3_value*)*(size_t)*pn);
    for(i=0; rc==SQLITE_OK && i<*pn; i++){
      rc = rowsSeek(&rows, (*paFound)[i].id, &found);
      if( rc==SQLITE_OK && found ) rc = rowsKey(&rows, &(*papKey)[i]);
    }
  }
  rc = ixEnd(p, &rows, rc, pzErr);
out:
  sqlite3_free(allow.aId);
  return rc;
}
