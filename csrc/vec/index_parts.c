/*
** index_parts.c: an index filled with more rows than fit into memory. Included by engine.c in front of index_fill.c.
**
** As in DiskANN (Subramanya et al. 2019): each row goes into the two of several parts whose centres are nearest; each part
** is linked in memory; then each row takes the best of the edges that it got in both. What waits meanwhile lies in
** temporary b-trees of SQLite's, in memory or in files as PRAGMA temp_store says, and is read in the order in which it was
** written:
**
**     rows      number of the row -> id, data part, record of the key if the table is keyed
**     edges     2 * number + 0 or 1 -> for each edge of the row in a part: number and distance of the neighbour, its id,
**               its vector in the edge type
**     lists     number -> numbers of the neighbours that were taken
**
** At last the rows that cannot be reached, or from which the others cannot be, get an edge more. So a row takes one edge
** fewer than there is room for: each row that is reached then has room for an edge to another.
**
** In memory are one part at a time, and some ten bytes for each row.
*/
#define PARTS_MOST 4096
#define PARTS_LEAST_ROWS 128        /* of a part */

typedef struct PartTree {
  Btree *pBt;                       /* owned */
  BtCursor cur;
  u8 bOpen;
} PartTree;

typedef struct LscParts {
  LscIndex *p;
  u64 nLimit;                       /* bytes */
  PartTree rows, edges, lists;
  u32 n, nAlloc;                    /* rows */
  u32 nPart;
  u16 *aPart;                       /* owned, as the others: the two parts of a row */
  u32 *aSize;                       /* rows of each part */
  u32 *aQueue;
  u8 *aReached;
  u8 *aRow, *aList;                 /* a payload that is read, that is written */
  u64 nRowAlloc, nListAlloc;
  u64 nDone, nTotal;                /* steps */
  u32 entry;                        /* number of the row to begin at */
  u8 bSorted;
  i64 iLastId;
} LscParts;

static void treeTempClose(PartTree *p){
  if( p->bOpen ) sqlite3BtreeCloseCursor(&p->cur);
  if( p->pBt ) sqlite3BtreeClose(p->pBt);
  p->bOpen = 0;
  p->pBt = 0;
}

static int treeTempOpen(sqlite3 *db, PartTree *p){
  Pgno iRoot = 0;
  int rc = sqlite3BtreeOpen(db->pVfs, 0, db, &p->pBt, BTREE_OMIT_JOURNAL, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                            | SQLITE_OPEN_EXCLUSIVE | SQLITE_OPEN_DELETEONCLOSE | SQLITE_OPEN_TRANSIENT_DB);
  if( rc==SQLITE_OK ){
    sqlite3BtreeSetCacheSize(p->pBt, SQLITE_DEFAULT_CACHE_SIZE);
    rc = sqlite3BtreeBeginTrans(p->pBt, 1, 0);
  }
  if( rc==SQLITE_OK ) rc = sqlite3BtreeCreateTable(p->pBt, &iRoot, BTREE_INTKEY);
  if( rc==SQLITE_OK ){
    sqlite3BtreeCursorZero(&p->cur);
    rc = sqlite3BtreeCursor(p->pBt, iRoot, BTREE_WRCSR, 0, &p->cur);
    p->bOpen = rc==SQLITE_OK;
  }
  return rc;
}

static int treeTempPut(PartTree *p, i64 iKey, const u8 *a, u64 n){
  BtreePayload x;
  if( n>0x7fffff00 ) return SQLITE_TOOBIG;
  memset(&x, 0, sizeof(x));
  x.nKey = iKey;
  x.pData = a;
  x.nData = (int)n;
  return sqlite3BtreeInsert(&p->cur, &x, 0, 0);
}

static int partGrow(u8 **pa, u64 *pnAlloc, u64 n){
  u8 *aNew;
  if( n+16<=*pnAlloc ) return SQLITE_OK;
  aNew = sqlite3_realloc64(*pa, n + n/2 + 64);
  if( aNew==0 ) return SQLITE_NOMEM_BKPT;
  *pa = aNew;
  *pnAlloc = n + n/2 + 64;
  return SQLITE_OK;
}

/* To *pa; *pn is 0 if there is nothing. */
static int treeTempGet(PartTree *p, i64 iKey, u8 **pa, u64 *pnAlloc, u32 *pn){
  int res = 0, rc = sqlite3BtreeTableMoveto(&p->cur, iKey, 0, &res);
  *pn = 0;
  if( rc!=SQLITE_OK || res!=0 ) return rc;
  *pn = sqlite3BtreePayloadSize(&p->cur);
  rc = partGrow(pa, pnAlloc, *pn);
  return rc==SQLITE_OK && *pn ? sqlite3BtreePayload(&p->cur, 0, *pn, *pa) : rc;
}

static void partsFree(LscParts *p){
  if( p==0 ) return;
  treeTempClose(&p->rows);
  treeTempClose(&p->edges);
  treeTempClose(&p->lists);
  sqlite3_free(p->aPart);
  sqlite3_free(p->aSize);
  sqlite3_free(p->aQueue);
  sqlite3_free(p->aReached);
  sqlite3_free(p->aRow);
  sqlite3_free(p->aList);
  sqlite3_free(p);
}

static int partsNew(LscIndex *pIndex, u64 nLimit, LscParts **pp){
  LscParts *p = *pp = sqlite3MallocZero(sizeof(*p));
  int rc = p ? treeTempOpen(pIndex->db, &p->rows) : SQLITE_NOMEM_BKPT;
  if( rc!=SQLITE_OK ) return rc;
  p->p = pIndex;
  p->nLimit = nLimit;
  p->bSorted = 1;
  return SQLITE_OK;
}

static int partsAdd(LscParts *p, i64 id, const u8 *aData, sqlite3_value *pKey){
  const LscIndexParams *pPar = &p->p->par;
  u8 *aKey = 0;
  u32 nKey = 0;
  int rc = SQLITE_OK;
  if( p->n==0x7fffffff ) return SQLITE_FULL;
  if( p->p->bKeyed ) rc = recMake(p->p, &pKey, 1, 0, &aKey, &nKey);
  if( rc==SQLITE_OK ) rc = partGrow(&p->aRow, &p->nRowAlloc, 8 + (u64)pPar->nNode + nKey);
  if( rc==SQLITE_OK ){
    ixPut8(p->aRow, (u64)id);
    memcpy(p->aRow + 8, aData, pPar->nNode);
    if( nKey ) memcpy(p->aRow + 8 + pPar->nNode, aKey, nKey);
    rc = treeTempPut(&p->rows, p->n, p->aRow, 8 + (u64)pPar->nNode + nKey);
  }
  if( p->n>0 && id<=p->iLastId ) p->bSorted = 0;
  p->iLastId = id;
  p->n++;
  sqlite3_free(aKey);
  return rc;
}

/* Row i is in aRow. */
static int partsRow(LscParts *p, u32 i){
  u32 n;
  int rc = treeTempGet(&p->rows, i, &p->aRow, &p->nRowAlloc, &n);
  return rc==SQLITE_OK && n<8+p->p->par.nNode ? SQLITE_CORRUPT_BKPT : rc;
}

static const u8 *partsData(const LscParts *p){ return p->aRow + 8; }

static int partsKey(LscParts *p, sqlite3_value **ppKey){
  const u8 *a = p->aRow + 8 + p->p->par.nNode;
  u32 type, nHead, at;
  at = getVarint32(a, nHead);
  at += getVarint32(&a[at], type);
  return recValue(p->p->db, type, &a[at], ppKey);
}

static int partsStep(LscParts *p){
  return p->nDone++%256==0 && lsc_watched(p->p->db, p->nDone, p->nTotal) ? SQLITE_INTERRUPT : SQLITE_OK;
}

static int partsLinked(void *pCtx, uint64_t nDone, uint64_t nTotal){
  LscParts *p = pCtx;
  (void)nTotal;
  return lsc_watched(p->p->db, p->nDone + nDone, p->nTotal);
}

/* ---- parts ---- */

/* A graph for nNode nodes. */
static int partsGraph(LscParts *p, u32 nNode, LscGraph **pp){
  LscGraphConfig config;
  int rc;
  ixConfig(p->p, &config);
  rc = lscGraphNew(&config, pp);
  return rc==SQLITE_OK ? lscGraphReserve(*pp, nNode) : rc;
}

/* The row as a node; its edge vector to aEdge unless that is NULL. */
static int partsNode(LscParts *p, u32 i, LscGraph *g, u8 *aEdge){
  u32 node;
  int rc = partsRow(p, i);
  if( rc==SQLITE_OK ) rc = lscGraphNode(g, i, &node);
  if( rc!=SQLITE_OK ) return rc;
  lscGraphSetVector(g, node, ixWiden(p->p, p->p->par.type, partsData(p)), 1);
  return aEdge ? ixToEdge(&p->p->par, partsData(p), aEdge) : SQLITE_OK;
}

/* A graph of some rows, the centres among them in *paCentre. */
static int partsCentres(LscParts *p, u32 nSample, LscGraph **pp, u32 **paCentre){
  u32 *aWork = sqlite3_malloc64(sizeof(u32)*(u64)nSample), i;
  u64 x = 0x2545f4914f6cdd1du;
  int rc = partsGraph(p, nSample, pp);
  *paCentre = sqlite3_malloc64(sizeof(u32)*(u64)p->nPart);
  if( rc==SQLITE_OK && (aWork==0 || *paCentre==0) ) rc = SQLITE_NOMEM_BKPT;
  for(i=0; i<nSample && rc==SQLITE_OK; i++){
    /* One of each of nSample equal pieces. */
    u64 iFrom = (u64)i*p->n/nSample, iEnd = (u64)(i+1)*p->n/nSample;
    x = x*6364136223846793005u + 1442695040888963407u;
    rc = partsNode(p, (u32)(iFrom + (x>>33)*(iEnd-iFrom)/0x80000000u), *pp, 0);
  }
  if( rc==SQLITE_OK ) lscGraphCentres(*pp, p->nPart, *paCentre, aWork);
  sqlite3_free(aWork);
  return rc;
}

/* Two parts for each row: the nearest ones that have room for it. */
static int partsAssign(LscParts *p, u32 nMost){
  u32 nSample = MIN(p->n, MAX(32*p->nPart, 1000)), i, j, k, *aCentre = 0;
  LscGraph *g = 0;
  LscGraphHit *aHit = sqlite3_malloc64(sizeof(*aHit)*(u64)p->nPart);
  int rc;
  p->aPart = sqlite3_malloc64(2*sizeof(u16)*(u64)p->n);
  p->aSize = sqlite3_malloc64(sizeof(u32)*(u64)p->nPart);
  if( nSample>nMost ) nSample = MAX(nMost, p->nPart);
  rc = aHit && p->aPart && p->aSize ? partsCentres(p, nSample, &g, &aCentre) : SQLITE_NOMEM_BKPT;
  if( rc==SQLITE_OK ) memset(p->aSize, 0, sizeof(u32)*(u64)p->nPart);
  for(i=0; i<p->n && rc==SQLITE_OK; i++){
    rc = partsRow(p, i);
    if( rc==SQLITE_OK ) rc = partsStep(p);
    if( rc!=SQLITE_OK ) break;
    lscGraphRank(g, ixWiden(p->p, p->p->par.type, partsData(p)), aCentre, p->nPart, aHit);
    for(j=k=0; j<2 && k<p->nPart; k++){
      u32 iPart = aHit[k].node;
      if( p->aSize[iPart]>=nMost ) continue;
      p->aSize[iPart]++;
      p->aPart[2*(u64)i+j++] = (u16)iPart;
    }
    if( j==0 ) p->aSize[p->aPart[2*(u64)i] = (u16)aHit[0].node]++;
    if( j<2 ) p->aPart[2*(u64)i+1] = p->aPart[2*(u64)i];
  }
  sqlite3_free(aHit);
  sqlite3_free(aCentre);
  lscGraphFree(g);
  return rc;
}

/* Writes the edges that the nodes of a part got. */
static int partsEdges(LscParts *p, LscGraph *g, u32 iPart, const u8 *aEdge){
  u32 nEdge = p->p->par.nEdge, nNode = lscGraphCount(g), node, nTo, i;
  u64 nItem = 16 + (u64)nEdge;
  int rc = partGrow(&p->aList, &p->nListAlloc, nItem*p->p->par.nCap);
  for(node=0; node<nNode && rc==SQLITE_OK; node++){
    const u32 *aTo = lscGraphEdges(g, node, &nTo);
    u32 iRow = (u32)lscGraphId(g, node);
    for(i=0; i<nTo; i++){
      u8 *a = &p->aList[i*nItem];
      u32 iTo = (u32)lscGraphId(g, aTo[i]);
      float d = lscGraphNear(g, node, aTo[i]);
      memcpy(a, &iTo, 4);
      memcpy(a+4, &d, 4);
      memcpy(a+16, &aEdge[(u64)aTo[i]*nEdge], nEdge);
    }
    rc = treeTempPut(&p->edges, 2*(i64)iRow + (p->aPart[2*(u64)iRow]!=iPart), p->aList, nTo*nItem);
  }
  return rc;
}

static int partsLink(LscParts *p, u32 iPart, u32 *pMost){
  u32 nEdge = p->p->par.nEdge, i, n = 0, entry = 0;
  LscGraph *g = 0;
  u8 *aEdge = sqlite3_malloc64((u64)p->aSize[iPart]*nEdge + 1);
  int rc = aEdge ? partsGraph(p, p->aSize[iPart], &g) : SQLITE_NOMEM_BKPT;
  for(i=0; i<p->n && rc==SQLITE_OK; i++){
    if( p->aPart[2*(u64)i]!=iPart && p->aPart[2*(u64)i+1]!=iPart ) continue;
    rc = partsNode(p, i, g, &aEdge[(u64)n++*nEdge]);
  }
  if( rc==SQLITE_OK && n>0 ) rc = lscGraphBuild(g, lscPoolSize(), partsLinked, p, &entry);
  if( rc==SQLITE_OK ) rc = partsEdges(p, g, iPart, aEdge);
  if( rc==SQLITE_OK && n>*pMost ){
    *pMost = n;
    p->entry = (u32)lscGraphId(g, entry);
  }
  p->nDone += n;
  if( rc==SQLITE_OK && lsc_watched(p->p->db, p->nDone, p->nTotal) ) rc = SQLITE_INTERRUPT;
  lscGraphFree(g);
  sqlite3_free(aEdge);
  return rc;
}
