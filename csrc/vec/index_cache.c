/*
** index_cache.c: opening a vector index, and its graph in memory. Included by engine.c.
**
** A connection keeps an LscIndex for each index that it used: LscConn.pVecIndexes, the last used first, known by the
** number of the pager and the name of the index. Its graph holds the nodes that searches came by, until they take more
** than LscConn.nScanLimit bytes.
**
** What is kept is that of one state of the database: the pager's data version. Each change by others raises it, which is
** found when a transaction begins, and each commit by one: our own commits take what is kept along. Inside a write
** transaction the version stays while the content changes; LscIndex.bWrote says that what is kept has what the transaction
** wrote. A rollback drops that, one to a savepoint only if there was a write, or a load, behind the savepoint. SQL that
** writes to a shadow table itself drops the graph too, as does a schema that is read anew; SQL that writes to the table of
** metadata has these read again.
*/

/* For want of memory: what takes much. */
static void ixRelease(LscIndex *p){
  lscGraphFree(p->pGraph);
  p->pGraph = 0;
  p->bAll = 0;
  p->nDeleted = p->nLoaded = 0;
  dirForget(p);
}

/* Since it is not true any more. */
static void ixDrop(LscIndex *p){
  ixRelease(p);
  p->nRow = -1;
}

static void ixFree(LscIndex *p){
  ixDrop(p);
  sqlite3KeyInfoUnref(p->pRowInfo);
  sqlite3KeyInfoUnref(p->pKeyInfo);
  sqlite3_free(p->aBlock);
  sqlite3_free(p->aWide);
  sqlite3_free(p->aId);
  sqlite3_free(p->aBase);
  sqlite3_free(p->zErr);
  sqlite3_free(p);
}

static void lsc_indexes_forget(sqlite3 *db){
  while( db->pLsc->pVecIndexes ){
    LscIndex *p = db->pLsc->pVecIndexes;
    db->pLsc->pVecIndexes = p->pNext;
    ixFree(p);
  }
}

/* Bytes that a graph may take: in use; and while a transaction writes to the index, so that it is not loaded anew for
** each row. */
static u64 ixLimit(const LscIndex *p){
  return MAX(p->db->pLsc->nScanLimit, p->bWrote ? LSC_WRITE_CACHE : LSC_LEAST_CACHE);
}

/* The first graphs stay as long as they fit, and those in use. */
static void lscIndexShrink(LscConn *pConn){
  LscIndex *p;
  u64 nByte = 0;
  for(p=pConn->pVecIndexes; p; p=p->pNext){
    u64 n = p->pGraph ? lscGraphBytes(p->pGraph) : 0;
    if( n==0 || (p->bWrote && n<=LSC_WRITE_CACHE) ) continue;
    nByte += n;
    if( nByte>pConn->nScanLimit && p->nRef==0 ){
      nByte -= n;
      ixRelease(p);
    }
  }
}

/* A statement inside a transaction keeps old pages for its own rollback: those of one row, so many as an insert changes,
** are to stay in memory. Not if the journal is open already and in a file. */
static void ixStatementJournal(Pager *pPager){
  if( pPager->nSavepoint>0 && !isOpen(pPager->sjfd) && openSubJournal(pPager)!=SQLITE_OK ) return;
  if( isOpen(pPager->sjfd) && sqlite3JournalIsInMemory(pPager->sjfd) ){
    MemJournal *pJournal = (MemJournal*)pPager->sjfd;
    if( pJournal->nSpill>0 && pJournal->nSpill<LSC_ROW_JOURNAL ) pJournal->nSpill = LSC_ROW_JOURNAL;
  }
}

/* What the transaction has written is in the graph. Meanwhile the pager may keep more changed pages than its cache has
** room for: an insert changes pages all over, which would be written again and again. */
static void ixWrote(LscIndex *p, Btree *pBt){
  Pager *pPager = sqlite3BtreePager(pBt);
  p->bWrote = 1;
  p->nDepth = pPager->nSavepoint;
  if( p->nSpill==0 ){
    u64 nPage = MAX(p->db->pLsc->nScanLimit/4, LSC_WRITE_PAGES)/(u64)sqlite3BtreeGetPageSize(pBt);
    p->nSpill = pPager->pPCache->szSpill;
    if( nPage>(u64)p->nSpill ) (void)sqlite3PcacheSetSpillsize(pPager->pPCache, (int)MIN(nPage, 0x7fffffff));
  }
  ixStatementJournal(pPager);
}

static void ixWroteEnd(LscIndex *p, Pager *pPager){
  if( p->nSpill ) pPager->pPCache->szSpill = MIN(pPager->pPCache->szSpill, p->nSpill);
  p->nSpill = 0;
  p->bWrote = 0;
}

static void lsc_btree_savepoint(Btree *pBt, int op, int iSavepoint){
  Pager *pPager = sqlite3BtreePager(pBt);
  LscIndex *p = pBt->db && pBt->db->pLsc ? pBt->db->pLsc->pVecIndexes : 0;
  for(; p; p=p->pNext){
    if( p->iPager!=pPager->iLscPager || p->bWrote==0 ) continue;
    if( p->nDepth>iSavepoint ){
      p->nDepth = iSavepoint<0 ? 0 : iSavepoint;
      if( op==SAVEPOINT_ROLLBACK ){
        ixDrop(p);
        p->bParams = 0;
      }
    }
    if( iSavepoint==LSC_WHOLE_TRANSACTION ) ixWroteEnd(p, pPager);
  }
  if( iSavepoint==LSC_WHOLE_TRANSACTION && pBt->db && pBt->db->pLsc ) lscIndexShrink(pBt->db->pLsc);
}

static void lsc_btree_committed(Btree *pBt){
  Pager *pPager = sqlite3BtreePager(pBt);
  LscIndex *p = pBt->db && pBt->db->pLsc ? pBt->db->pLsc->pVecIndexes : 0;
  int bPages = (pBt->pBt->btsFlags & BTS_EXCLUSIVE)!=0 && pBt->db->nVdbeActive==0;      /* a backup into it */
  lscKeptCommitted(pPager);
  for(; p; p=p->pNext){
    if( p->iPager!=pPager->iLscPager ) continue;
    if( p->iVersion+1==sqlite3PagerDataVersion(pPager) && !bPages ) p->iVersion++;
    ixWroteEnd(p, pPager);
  }
  if( pBt->db && pBt->db->pLsc ) lscIndexShrink(pBt->db->pLsc);
}

static void lsc_btree_touched(Btree *pBt, Pgno iRoot){
  LscIndex *p = pBt->db && pBt->db->pLsc ? pBt->db->pLsc->pVecIndexes : 0;
  for(; p; p=p->pNext){
    if( p->iPager!=sqlite3BtreePager(pBt)->iLscPager || (p->iRoot!=iRoot && p->iMetaRoot!=iRoot) ) continue;
    if( p->iRoot==iRoot ) ixDrop(p); else p->bParams = 0;
    ixWrote(p, pBt);
  }
}

/* ---- opening ---- */

/* Kept for long: not in the lookaside memory, which can be set up anew only while nothing is there. */
static KeyInfo *ixKeyInfo(sqlite3 *db, Index *pIdx){
  KeyInfo *pInfo;
  Parse parse;
  DisableLookaside;
  sqlite3ParseObjectInit(&parse, db);
  pInfo = sqlite3KeyInfoOfIndex(&parse, pIdx);
  sqlite3DbFree(db, parse.zErrMsg);
  sqlite3ParseObjectReset(&parse);
  EnableLookaside;
  return pInfo;
}

/* Finds the b-trees in the schema. Another schema may have made another index of the same b-trees: the metadata is read
** anew. */
static int ixResolve(LscIndex *p){
  sqlite3 *db = p->db;
  Schema *pSchema = db->aDb[p->iDb].pSchema;
  Pgno aOld[3];
  int iOldGeneration = p->iGeneration;
  Table *pTab;
  Index *pIdx;
  char *zTab;
  if( p->iRoot && p->iBaseRoot && p->iCookie==pSchema->schema_cookie && p->iGeneration==pSchema->iGeneration ) return SQLITE_OK;
  aOld[0] = p->iRoot;
  aOld[1] = p->iRowRoot;
  aOld[2] = p->iKeyRoot;
  sqlite3KeyInfoUnref(p->pRowInfo);
  sqlite3KeyInfoUnref(p->pKeyInfo);
  p->pRowInfo = p->pKeyInfo = 0;
  p->iRoot = p->iRowRoot = p->iKeyRoot = p->iBaseRoot = 0;
  p->bKeyed = p->bForeign = 0;
  p->bParams = 0;
  zTab = sqlite3_mprintf("%s_shadow", p->zName);
  if( zTab==0 ) return SQLITE_NOMEM_BKPT;
  pTab = sqlite3FindTable(db, zTab, db->aDb[p->iDb].zDbSName);
  sqlite3_free(zTab);
  if( pTab==0 || !IsOrdinaryTable(pTab) || !HasRowid(pTab) || pTab->iPKey!=0 || pTab->nCol<2 || pTab->nCol>3
   || pTab->nNVCol!=pTab->nCol ){
    ixDrop(p);
    return SQLITE_OK;
  }
  p->bKeyed = pTab->nCol==3;
  for(pIdx=pTab->pIndex; pIdx; pIdx=pIdx->pNext){
    int iCol = pIdx->nKeyCol==1 && pIdx->pPartIdxWhere==0 ? pIdx->aiColumn[0] : -3;
    Pgno *piRoot = iCol==0 || iCol==XN_ROWID ? &p->iRowRoot : iCol==1 && p->bKeyed ? &p->iKeyRoot : 0;
    KeyInfo *pInfo;
    if( piRoot==0 || *piRoot ){
      p->bForeign = 1;
      continue;
    }
    pInfo = ixKeyInfo(db, pIdx);
    if( pInfo==0 ) return SQLITE_NOMEM_BKPT;
    *piRoot = pIdx->tnum;
    if( piRoot==&p->iRowRoot ) p->pRowInfo = pInfo; else p->pKeyInfo = pInfo;
  }
  p->iRoot = pTab->tnum;
  pIdx = sqlite3FindIndex(db, p->zName, db->aDb[p->iDb].zDbSName);
  if( pIdx ){
    const Expr *pCall = pIdx->aColExpr ? lscVecCall(pIdx->aColExpr->a[0].pExpr) : 0;
    p->iBaseRoot = pIdx->pTable->tnum;
    p->iBaseCol = pCall ? sqlite3TableColumnToStorage(pIdx->pTable, pCall->x.pList->a[0].pExpr->iColumn) : -1;
  }
  p->iFormat = pSchema->file_format;
  p->iCookie = pSchema->schema_cookie;
  p->iGeneration = pSchema->iGeneration;
  if( p->iRoot!=aOld[0] || p->iRowRoot!=aOld[1] || p->iKeyRoot!=aOld[2] || iOldGeneration!=p->iGeneration ) ixDrop(p);
  return SQLITE_OK;
}

/* Reads the metadata; what is kept goes if it says something else than before. */
static int ixParams(LscIndex *p){
  u8 aMeta[LSC_MAX_META+1];
  LscIndexParams par;
  Table *pTab = sqlite3FindTable(p->db, META_TABLE, p->db->aDb[p->iDb].zDbSName);
  int n, rc = lscIndexMetaRead(p->db, p->iDb, p->zName, aMeta, &n);
  p->iMetaRoot = pTab ? pTab->tnum : 0;
  if( rc!=SQLITE_OK ) return rc;
  if( n<0 || lscIndexMetaDecode(aMeta, n, &par)!=SQLITE_OK ) return ixError(p, SQLITE_ERROR, "SQL logic error");
  if( p->par.bEntry!=par.bEntry || p->par.iEntry!=par.iEntry ) dirForget(p);
  p->par.bEntry = par.bEntry;
  p->par.iEntry = par.iEntry;
  if( p->aBlock==0 || memcmp(&p->par, &par, sizeof(par))!=0 ){
    ixDrop(p);
    sqlite3_free(p->aBlock);
    sqlite3_free(p->aWide);
    sqlite3_free(p->aId);
    p->par = par;
    p->aBlock = sqlite3_malloc64((u64)par.nBlock + sizeof(u32)*(u64)par.nCap + 64);
    p->aWide = sqlite3_malloc64(2*sizeof(float)*(u64)par.n);
    p->aId = sqlite3_malloc64((sizeof(i64)+sizeof(u32))*(u64)par.nCap + 8);
    if( p->aBlock==0 || p->aWide==0 || p->aId==0 ){
      sqlite3_free(p->aBlock);
      p->aBlock = 0;
      return SQLITE_NOMEM_BKPT;
    }
    p->aTo = (u32*)&p->aId[par.nCap];
    p->aQuery = p->aWide + par.n;
  }
  p->bParams = 1;
  return SQLITE_OK;
}

/* The connection's LscIndex of that name, now the first. Those of databases that are gone are freed. */
static LscIndex *ixKept(sqlite3 *db, int iDb, const char *zName){
  u64 iPager = sqlite3BtreePager(db->aDb[iDb].pBt)->iLscPager;
  LscIndex **pp = &db->pLsc->pVecIndexes, *p, *pFound = 0;
  size_t nName;
  while( (p = *pp)!=0 ){
    int i;
    for(i=0; i<db->nDb && (db->aDb[i].pBt==0 || sqlite3BtreePager(db->aDb[i].pBt)->iLscPager!=p->iPager); i++){}
    if( i==db->nDb && p->nRef==0 ){
      *pp = p->pNext;
      ixFree(p);
    }else if( pFound==0 && p->iPager==iPager && strcmp(p->zName, zName)==0 ){
      *pp = p->pNext;
      pFound = p;
    }else{
      pp = &p->pNext;
    }
  }
  if( pFound==0 ){
    nName = strlen(zName);
    pFound = sqlite3_malloc64(sizeof(*pFound) + nName);
    if( pFound==0 ) return 0;
    memset(pFound, 0, sizeof(*pFound));
    memcpy(pFound->zName, zName, nName+1);
    pFound->db = db;
    pFound->iPager = iPager;
    pFound->iVersion = sqlite3PagerDataVersion(sqlite3BtreePager(db->aDb[iDb].pBt)) - 1;
    pFound->nRow = -1;
  }
  pFound->pNext = db->pLsc->pVecIndexes;
  db->pLsc->pVecIndexes = pFound;
  return pFound;
}

/* Whether what is kept is still true. */
static int ixIsTrue(LscIndex *p, Pager *pPager){
  if( sqlite3PagerDataVersion(pPager)!=p->iVersion ) return 0;
  if( sqlite3BtreeTxnState(p->pBt)==SQLITE_TXN_WRITE ) return 1;
  return !p->bWrote && p->pBt->pBt->inTransaction!=TRANS_WRITE;       /* a shared cache has other writers */
}

static void ixTakeError(LscIndex *p, int rc, char **pzErr){
  sqlite3_free(*pzErr);
  *pzErr = rc==SQLITE_OK ? 0 : p->zErr;
  if( rc==SQLITE_OK ) sqlite3_free(p->zErr);
  p->zErr = 0;
}

static int lscIndexOpen(sqlite3 *db, int iDb, const char *zName, LscIndex **pp, char **pzErr){
  Btree *pBt = db->aDb[iDb].pBt;
  Pager *pPager;
  LscIndex *p;
  int rc;
  *pp = 0;
  if( db->pLsc==0 || pBt==0 ) return SQLITE_ERROR;
  sqlite3BtreeEnter(pBt);
  pPager = sqlite3BtreePager(pBt);
  p = ixKept(db, iDb, zName);
  if( p==0 ){
    sqlite3BtreeLeave(pBt);
    return SQLITE_NOMEM_BKPT;
  }
  p->pBt = pBt;
  p->iDb = iDb;
  rc = ixResolve(p);
  if( !ixIsTrue(p, pPager) ){
    ixDrop(p);
    p->bParams = 0;
    p->iVersion = sqlite3PagerDataVersion(pPager);
    p->bWrote = sqlite3BtreeTxnState(pBt)==SQLITE_TXN_WRITE;
    p->nDepth = pPager->nSavepoint;
  }
  if( rc==SQLITE_OK && !p->bParams ) rc = ixParams(p);
  ixTakeError(p, rc, pzErr);
  sqlite3BtreeLeave(pBt);
  if( rc==SQLITE_OK ){
    p->nRef++;
    *pp = p;
  }
  return rc;
}

static void lscIndexClose(LscIndex *p){
  if( p==0 ) return;
  p->nRef--;
  lscIndexShrink(p->db->pLsc);
}

/* ---- loading ---- */

/* Loads the node from the row that the cursor is at. */
static int ixLoadRow(LscIndex *p, LscRows *pRows, LscGraph *g, u32 node){
  const LscIndexParams *pPar = &p->par;
  u8 *a = p->aBlock;
  u32 *aTo = (u32*)&a[(pPar->nBlock+7)&~7u];
  u32 nTo, j;
  int rc;
  if( pPar->bCompact ) return compactLoad(pRows, g, node);
  rc = rowsRead(pRows, 0, pPar->nHead+pPar->nNode, a);
  if( rc!=SQLITE_OK ) return rc;
  p->nLoaded++;
  nTo = ixGet2(&a[8]);
  if( nTo>pPar->nCap ) return ixCorrupt(p, rowsId(pRows), "too many edges");
  rc = rowsRead(pRows, ixVectorAt(pPar, 0), nTo*pPar->nEdge, &a[ixVectorAt(pPar, 0)]);
  if( rc==SQLITE_OK ) rc = rowsRead(pRows, ixSlotAt(pPar, 0), nTo*16, &a[ixSlotAt(pPar, 0)]);
  if( rc!=SQLITE_OK ) return rc;
  lscGraphSetVector(g, node, ixWiden(p, pPar->type, &a[pPar->nHead]), 1);
  for(j=0; j<nTo && rc==SQLITE_OK; j++){
    rc = lscGraphNode(g, (i64)ixGet8(&a[ixSlotAt(pPar, j)+8]), &aTo[j]);
    if( rc==SQLITE_OK && lscGraphIsUnknown(g, aTo[j]) ){
      lscGraphSetVector(g, aTo[j], ixWiden(p, pPar->edgeType, &a[ixVectorAt(pPar, j)]), 0);
    }
  }
  if( rc==SQLITE_OK ) rc = lscGraphSetEdges(g, node, aTo, nTo);
  if( rc==SQLITE_CORRUPT ) rc = ixCorrupt(p, rowsId(pRows), "edges to itself, or two to one node,");
  return rc;
}

static int ixLoad(void *pCtx, LscGraph *g, u32 node, int64_t id){
  LscIndex *p = pCtx;
  int found, rc = rowsSeek(p->pLoad, id, &found);
  if( rc!=SQLITE_OK ) return rc;
  return found ? ixLoadRow(p, p->pLoad, g, node) : LSC_GRAPH_GONE;
}

static void ixConfig(LscIndex *p, LscGraphConfig *pConfig){
  memset(pConfig, 0, sizeof(*pConfig));
  pConfig->metric = p->par.metric;
  pConfig->n = p->par.n;
  pConfig->nCap = p->par.nCap;
  pConfig->alpha = p->par.alpha;
  pConfig->nInsert = p->par.nInsert;
  pConfig->nSearch = p->par.nSearch;
  pConfig->xLoad = ixLoad;
  pConfig->pCtx = p;
}

/* Loads every row. */
static int ixLoadAll(LscIndex *p, LscRows *pRows){
  int eof = 0, rc;
  u32 node;
  p->bLoading = 1;
  for(rc=sqlite3BtreeFirst(&pRows->cur, &eof); rc==SQLITE_OK && !eof; rc=sqlite3BtreeNext(&pRows->cur, 0)){
    if( AtomicLoad(&p->db->u1.isInterrupted) ) rc = SQLITE_INTERRUPT;
    if( rc==SQLITE_OK ) rc = lscGraphNode(p->pGraph, rowsId(pRows), &node);
    if( rc==SQLITE_OK && !lscGraphIsLoaded(p->pGraph, node) ){
      rc = rowsHeader(pRows);
      if( rc==SQLITE_OK ) rc = ixLoadRow(p, pRows, p->pGraph, node);
      if( rc==LSC_GRAPH_GONE ) rc = SQLITE_OK;
    }
    if( rc!=SQLITE_OK ) break;
  }
  if( rc==SQLITE_DONE ) rc = SQLITE_OK;
  p->bLoading = 0;
  p->bAll = rc==SQLITE_OK;
  if( p->par.bCompact ){
    int rc2 = compactLoaded(pRows, p->pGraph);
    if( rc==SQLITE_OK ) rc = rc2;
    if( rc2!=SQLITE_OK ) ixDrop(p);
  }
  return rc;
}

/* Whether it is time to load everything: at once if that is little; when a good part of it is loaded, since a whole graph is
** searched better; when many rows were deleted, since a delete that does not know all edges may leave some to nowhere. */
static int ixWantsAll(LscIndex *p, i64 nRow){
  u64 nNode = 4*((u64)p->par.n + (u64)p->par.nCap) + 64;
  if( p->bAll || nRow<=LSC_SMALL ) return !p->bAll;
  if( (u64)nRow*nNode>p->db->pLsc->nScanLimit/2 ) return 0;
  return p->nLoaded>nRow/4 || p->nDeleted>nRow/LSC_FEW;
}

/* Every operation is between these two. A graph is there, for writing with all nodes of a small index, and a cursor to
** load from. */
static int ixBegin(LscIndex *p, int bWrite, LscRows *pRows){
  int eof, rc = SQLITE_OK;
  sqlite3BtreeEnter(p->pBt);
  rc = rowsOpen(p, bWrite, pRows);
  if( rc==SQLITE_OK && p->pGraph==0 ){
    LscGraphConfig config;
    ixConfig(p, &config);
    rc = lscGraphNew(&config, &p->pGraph);
  }
  if( rc==SQLITE_OK ) lscGraphSweep(p->pGraph);
  p->pLoad = pRows;
  if( rc==SQLITE_OK && bWrite && !p->bAll ){
    rc = sqlite3BtreeFirst(&pRows->cur, &eof);
    if( rc==SQLITE_OK && (eof || ixWantsAll(p, sqlite3BtreeRowCountEst(&pRows->cur))) ) rc = ixLoadAll(p, pRows);
    if( rc==SQLITE_CORRUPT_VTAB ) rc = SQLITE_OK; /* the row may be out of the way, or be the one that goes */
  }
  return rc;
}

static int ixEnd(LscIndex *p, LscRows *pRows, int rc, char **pzErr){
  rowsClose(pRows);
  p->pLoad = 0;
  if( p->pGraph && lscGraphBytes(p->pGraph)>ixLimit(p) ) ixRelease(p);
  ixTakeError(p, rc, pzErr);
  sqlite3BtreeLeave(p->pBt);
  return rc;
}

/* How many rows there are. */
static int ixCount(LscIndex *p, i64 *pn){
  BtCursor cur;
  int rc = SQLITE_OK;
  if( p->nRow<0 && p->iRoot ){
    rc = treeOpen(p, p->iRowRoot ? p->iRowRoot : p->iRoot, p->iRowRoot ? p->pRowInfo : 0, 0, &cur);
    if( rc==SQLITE_OK ) rc = sqlite3BtreeCount(p->db, &cur, &p->nRow);
    sqlite3BtreeCloseCursor(&cur);
    if( rc!=SQLITE_OK ) p->nRow = -1;
  }
  *pn = p->nRow<0 ? 0 : p->nRow;
  return rc;
}

/* Nodes of a graph that is not whole to begin at: those of the directory that are nearest to a vector of the column's
** type; or, while the graph has none, the preferred one and some from all over the table. */
static int ixStarts(LscIndex *p, LscRows *pRows, const u8 *aData, u32 aStart[LSC_STARTS], u32 *pn){
  u32 aPlace[LSC_STARTS], nPlace = 0, j;
  int i, eof = 1, res = 0, found = 0, rc;
  i64 lo, hi;
  *pn = 0;
  if( p->bAll ) return SQLITE_OK;
  rc = dirRead(p, pRows);
  if( rc==SQLITE_OK && p->nDir ) rc = dirNearest(p, aData, aPlace, LSC_STARTS/2, &nPlace);
  for(j=0; j<nPlace && rc==SQLITE_OK; j++){
    rc = lscGraphNode(p->pGraph, dirId(p, aPlace[j]), &aStart[*pn]);
    if( rc!=SQLITE_OK ) break;
    if( lscGraphIsUnknown(p->pGraph, aStart[*pn]) ){
      lscGraphSetVector(p->pGraph, aStart[*pn], ixWiden(p, p->par.edgeType, &p->aDir[dirVectorAt(p, aPlace[j])]), 0);
    }
    ++*pn;
  }
  if( rc!=SQLITE_OK || lscGraphCount(p->pGraph)>*pn ) return rc;
  rc = p->par.bEntry ? sqlite3BtreeTableMoveto(&pRows->cur, p->par.iEntry, 0, &res) : SQLITE_OK;
  found = p->par.bEntry && res==0;
  if( rc==SQLITE_OK && found ) rc = lscGraphNode(p->pGraph, p->par.iEntry, &aStart[(*pn)++]);
  if( rc==SQLITE_OK ) rc = sqlite3BtreeLast(&pRows->cur, &eof);
  if( rc!=SQLITE_OK || eof ) return rc;
  hi = rowsId(pRows);
  rc = sqlite3BtreeFirst(&pRows->cur, &eof);
  if( rc!=SQLITE_OK || eof ) return rc;
  lo = rowsId(pRows);
  for(i=0; i<LSC_STARTS && rc==SQLITE_OK && *pn<LSC_STARTS; i++){
    i64 id = (i64)((u64)lo + ((u64)hi-(u64)lo)/(LSC_STARTS-1)*(u64)i);
    u32 node;
    rc = sqlite3BtreeTableMoveto(&pRows->cur, i==LSC_STARTS-1 ? hi : id, 0, &res);
    if( rc==SQLITE_OK ) rc = lscGraphNode(p->pGraph, rowsId(pRows), &node);
    for(j=0; j<*pn && aStart[j]!=node; j++){}
    if( rc==SQLITE_OK && j==*pn ) aStart[(*pn)++] = node;
  }
  return rc;
}
