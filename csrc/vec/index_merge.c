/*
** index_merge.c: the parts of index_parts.c become one index. Included by engine.c behind that.
*/

/* ---- one list of edges from two ---- */

typedef struct PartMerge {
  LscParts *p;
  LscGraph *g;                      /* owned: the candidates; node = number in aTo */
  u32 *aTo;                         /* owned: the number of each row */
  const u8 **apEdge;                /* owned: its edge vector, in aEdges */
  LscGraphHit *aHit;                /* owned */
  u8 *aEdges;                       /* owned */
  u64 nEdgesAlloc;
  u8 *aBlock, *aOwn;                /* owned */
} PartMerge;

static void mergeClear(PartMerge *m){
  lscGraphFree(m->g);
  sqlite3_free(m->aTo);
  sqlite3_free((void*)m->apEdge);
  sqlite3_free(m->aHit);
  sqlite3_free(m->aEdges);
  sqlite3_free(m->aBlock);
  sqlite3_free(m->aOwn);
}

static int mergeNew(LscParts *p, PartMerge *m){
  const LscIndexParams *pPar = &p->p->par;
  u64 nMost = 2*(u64)pPar->nCap;
  u32 i, node;
  int rc;
  memset(m, 0, sizeof(*m));
  m->p = p;
  m->aTo = sqlite3_malloc64(nMost*sizeof(u32));
  m->apEdge = sqlite3_malloc64(nMost*sizeof(u8*));
  m->aHit = sqlite3_malloc64(nMost*sizeof(LscGraphHit));
  m->aBlock = sqlite3_malloc64(pPar->nBlock);
  m->aOwn = sqlite3_malloc64(pPar->nEdge);
  if( !m->aTo || !m->apEdge || !m->aHit || !m->aBlock || !m->aOwn ) return SQLITE_NOMEM_BKPT;
  rc = partsGraph(p, (u32)nMost, &m->g);
  for(i=0; i<nMost && rc==SQLITE_OK; i++) rc = lscGraphNode(m->g, i, &node);
  return rc;
}

/* The candidates of row i. */
static int mergeRead(PartMerge *m, u32 i, u32 *pn){
  LscParts *p = m->p;
  const LscIndexParams *pPar = &p->p->par;
  u32 nItem = 16 + pPar->nEdge, nFirst = 0, nSecond = 0, n = 0, j, k;
  int rc = treeTempGet(&p->edges, 2*(i64)i, &m->aEdges, &m->nEdgesAlloc, &nFirst);
  if( rc==SQLITE_OK ) rc = partGrow(&m->aEdges, &m->nEdgesAlloc, nFirst + (u64)nItem*pPar->nCap);
  if( rc==SQLITE_OK ){
    u64 nAlloc = m->nEdgesAlloc - nFirst;
    u8 *a = m->aEdges + nFirst;
    rc = treeTempGet(&p->edges, 2*(i64)i+1, &a, &nAlloc, &nSecond);
  }
  for(j=0; rc==SQLITE_OK && j<(nFirst+nSecond)/nItem && n<2*pPar->nCap; j++){
    const u8 *a = &m->aEdges[(u64)j*nItem];
    u32 iTo;
    memcpy(&iTo, a, 4);
    for(k=0; k<n && m->aTo[k]!=iTo; k++){}
    if( k<n ) continue;
    m->aTo[n] = iTo;
    m->apEdge[n] = a + 16;
    memcpy(&m->aHit[n].distance, a + 4, 4);
    m->aHit[n].node = n;
    lscGraphSetVector(m->g, n, ixWiden(p->p, pPar->edgeType, a + 16), 1);
    n++;
  }
  *pn = n;
  return rc;
}

/* The id of a row. */
static int partsId(LscParts *p, u32 i, i64 *pId){
  u8 a[8];
  int res = 0, rc;
  if( p->p->bKeyed ){
    *pId = (i64)i + 1;
    return SQLITE_OK;
  }
  rc = sqlite3BtreeTableMoveto(&p->rows.cur, i, 0, &res);
  if( rc==SQLITE_OK ) rc = sqlite3BtreePayload(&p->rows.cur, 0, 8, a);
  if( rc==SQLITE_OK ) *pId = (i64)ixGet8(a);
  return rc;
}

/* Edge j of a block, to a row with that vector in the edge type. */
static void partsSlot(LscParts *p, u8 *aVector, u8 *aSlot, const u8 *aOwn, i64 idTo, const u8 *aEdge){
  const LscIndexParams *pPar = &p->p->par;
  float d = ixDistance(pPar, pPar->edgeType, aOwn, aEdge);
  memcpy(aVector, aEdge, pPar->nEdge);
  memset(aSlot, 0, 4);
  memcpy(aSlot+4, &d, 4);
  ixPut8(aSlot+8, (u64)idTo);
}

/* Chooses the edges of row i and writes its block. */
static int mergeRow(PartMerge *m, u32 i, BtCursor *pCur){
  LscParts *p = m->p;
  LscIndex *pIndex = p->p;
  const LscIndexParams *pPar = &pIndex->par;
  u32 n, j, *aList;
  i64 id = 0;
  sqlite3_value *pKey = 0;
  Mem rowid;
  int rc = mergeRead(m, i, &n);
  if( rc==SQLITE_OK ) rc = partsRow(p, i);
  if( rc==SQLITE_OK ) rc = ixToEdge(pPar, partsData(p), m->aOwn);
  if( rc==SQLITE_OK && pIndex->bKeyed ) rc = partsKey(p, &pKey);
  if( rc==SQLITE_OK ) rc = partGrow(&p->aList, &p->nListAlloc, sizeof(u32)*(u64)pPar->nCap);
  if( rc!=SQLITE_OK ) goto out;
  memset(m->aBlock, 0, pPar->nBlock);
  memcpy(&m->aBlock[pPar->nHead], partsData(p), pPar->nNode);
  id = pIndex->bKeyed ? (i64)i + 1 : (i64)ixGet8(p->aRow);
  n = lscGraphChoose(m->g, m->aHit, n, pPar->nCap>1 ? pPar->nCap - 1 : 1);
  aList = (u32*)p->aList;
  for(j=0; j<n && rc==SQLITE_OK; j++){
    u32 k = m->aHit[j].node;
    i64 idTo = 0;
    rc = partsId(p, m->aTo[k], &idTo);
    partsSlot(p, &m->aBlock[ixVectorAt(pPar, j)], &m->aBlock[ixSlotAt(pPar, j)], m->aOwn, idTo, m->apEdge[k]);
    aList[j] = m->aTo[k];
  }
  ixPut8(m->aBlock, (u64)id);
  ixPut2(&m->aBlock[8], n);
  if( pKey==0 ) ixInt(pIndex, &rowid, id);
  if( rc==SQLITE_OK ) rc = treeTempPut(&p->lists, i, p->aList, sizeof(u32)*(u64)n);
  if( rc==SQLITE_OK ) rc = rowInsert(pIndex, pCur, id, pKey ? pKey : &rowid, m->aBlock, pPar->nBlock,
                                      p->bSorted ? BTREE_APPEND : 0);
  if( rc==SQLITE_OK ) rc = rowIndex(pIndex, id, pKey ? pKey : &rowid, 1);
out:
  sqlite3ValueFree(pKey);
  return rc;
}

static int partsMerge(LscParts *p){
  PartMerge m;
  BtCursor cur;
  u32 i;
  int rc = mergeNew(p, &m);
  if( rc==SQLITE_OK ){
    rc = treeOpen(p->p, p->p->iRoot, 0, 1, &cur);
    for(i=0; i<p->n && rc==SQLITE_OK; i++){
      rc = partsStep(p);
      if( rc==SQLITE_OK ) rc = mergeRow(&m, i, &cur);
    }
    sqlite3BtreeCloseCursor(&cur);
  }
  mergeClear(&m);
  return rc;
}

/* ---- every row reached from every row ---- */

/* The list of row i is at aList, *pn long. */
static int reachList(LscParts *p, u32 i, u32 *pn){
  int rc = treeTempGet(&p->lists, i, &p->aList, &p->nListAlloc, pn);
  *pn /= sizeof(u32);
  return rc;
}

/* Follows edges from row i on. */
static int reachFrom(LscParts *p, u32 i, u64 *pnQueue){
  u64 iNext = *pnQueue;
  u32 n, j;
  int rc = SQLITE_OK;
  p->aReached[i] = 1;
  p->aQueue[(*pnQueue)++] = i;
  for(; iNext<*pnQueue && rc==SQLITE_OK; iNext++){
    rc = reachList(p, p->aQueue[iNext], &n);
    for(j=0; j<n && rc==SQLITE_OK; j++){
      u32 iTo = ((u32*)p->aList)[j];
      if( p->aReached[iTo] ) continue;
      p->aReached[iTo] = 1;
      p->aQueue[(*pnQueue)++] = iTo;
    }
  }
  return rc;
}

/* Writes another edge, in the list and in the block. The slot is free, or what is there goes. */
static int reachAdd(LscParts *p, u32 iFrom, u32 iTo, u32 slot, u32 n){
  LscIndex *pIndex = p->p;
  const LscIndexParams *pPar = &pIndex->par;
  u8 *aOwn = sqlite3_malloc64(3*(u64)pPar->nEdge), aSlot[16], aCount[2];
  LscRows rows;
  i64 id = 0, idTo = 0;
  int found = 0, rc = aOwn ? SQLITE_OK : SQLITE_NOMEM_BKPT;
  ((u32*)p->aList)[slot] = iTo;
  if( slot==n ) n++;
  if( rc==SQLITE_OK ) rc = treeTempPut(&p->lists, iFrom, p->aList, sizeof(u32)*(u64)n);
  if( rc==SQLITE_OK ) rc = partsId(p, iFrom, &id);
  if( rc==SQLITE_OK ) rc = partsId(p, iTo, &idTo);
  if( rc==SQLITE_OK ) rc = partsRow(p, iFrom);
  if( rc==SQLITE_OK ) rc = ixToEdge(pPar, partsData(p), aOwn);
  if( rc==SQLITE_OK ) rc = partsRow(p, iTo);
  if( rc==SQLITE_OK ) rc = ixToEdge(pPar, partsData(p), aOwn + pPar->nEdge);
  if( rc==SQLITE_OK ){
    partsSlot(p, aOwn + 2*(u64)pPar->nEdge, aSlot, aOwn, idTo, aOwn + pPar->nEdge);
    ixPut2(aCount, n);
    rc = rowsOpen(pIndex, 1, &rows);
    if( rc==SQLITE_OK ) rc = rowsSeek(&rows, id, &found);
    if( rc==SQLITE_OK && !found ) rc = SQLITE_CORRUPT_VTAB;
    if( rc==SQLITE_OK ) rc = rowsWrite(&rows, ixVectorAt(pPar, slot), pPar->nEdge, aOwn + 2*(u64)pPar->nEdge);
    if( rc==SQLITE_OK ) rc = rowsWrite(&rows, ixSlotAt(pPar, slot), 16, aSlot);
    if( rc==SQLITE_OK ) rc = rowsWrite(&rows, 8, 2, aCount);
    rowsClose(&rows);
  }
  sqlite3_free(aOwn);
  return rc;
}

/* Rows that the entry does not lead to get an edge from one that it does: one that they lead to, else any with room.
** There is one: what is reached then brings room along. */
static int reachAll(LscParts *p){
  u64 nQueue = 0, iAny;
  u32 i, j, n = 0, nTo;
  int rc;
  memset(p->aReached, 0, p->n);
  rc = reachFrom(p, p->entry, &nQueue);
  for(i=0; i<p->n && rc==SQLITE_OK; i++){
    u32 iFrom = 0;
    int bFrom = 0;
    if( p->aReached[i] ) continue;
    rc = reachList(p, i, &nTo);
    for(j=0; j<nTo && rc==SQLITE_OK && !bFrom; j++){
      rc = reachList(p, i, &nTo);
      if( rc!=SQLITE_OK ) break;
      iFrom = ((u32*)p->aList)[j];
      if( !p->aReached[iFrom] ) continue;
      rc = reachList(p, iFrom, &n);
      bFrom = n<p->p->par.nCap;
    }
    for(iAny=nQueue; iAny-->0 && rc==SQLITE_OK && !bFrom; ){
      iFrom = p->aQueue[iAny];
      rc = reachList(p, iFrom, &n);
      bFrom = n<p->p->par.nCap;
    }
    if( rc==SQLITE_OK && bFrom ) rc = reachAdd(p, iFrom, i, n, n);
    if( rc==SQLITE_OK && bFrom ) rc = reachFrom(p, i, &nQueue);
  }
  return rc;
}

/* The other way, in passes over all lists: rows that do not lead to the entry get an edge to it. Among those that are left
** one has room, that which was given an edge last or one behind it. */
static int reachBack(LscParts *p){
  u32 n = 0, i, j;
  int rc = SQLITE_OK, bChanged = 1, bLeft = 1;
  memset(p->aReached, 0, p->n);
  p->aReached[p->entry] = 1;
  while( bLeft && rc==SQLITE_OK ){
    u32 iLeft = 0;
    bLeft = bChanged = 0;
    for(i=0; i<p->n && rc==SQLITE_OK; i++){
      if( p->aReached[i] ) continue;
      rc = reachList(p, i, &n);
      for(j=0; j<n && !p->aReached[((u32*)p->aList)[j]]; j++){}
      if( j<n ){
        p->aReached[i] = 1;
        bChanged = 1;
      }else if( !bLeft || n<p->p->par.nCap ){
        bLeft = 1;
        iLeft = i;
      }
    }
    if( rc!=SQLITE_OK || bChanged || !bLeft ) continue;
    rc = reachList(p, iLeft, &n);
    if( rc==SQLITE_OK ) rc = reachAdd(p, iLeft, p->entry, n<p->p->par.nCap ? n : n-1, n);
    p->aReached[iLeft] = 1;
  }
  return rc;
}

/* Builds and writes the index; its shadow table is empty. */
static int partsBuild(LscParts *p){
  const LscIndexParams *pPar = &p->p->par;
  LscGraph *g = 0;
  u64 nMost;
  u32 i, nLargest = 0;
  int rc = partsGraph(p, 0, &g);
  if( rc==SQLITE_OK ){
    nMost = p->nLimit/(lscGraphBuildBytes(g) + pPar->nEdge + sizeof(i64));
    nMost = MIN(MAX(MAX(nMost, PARTS_LEAST_ROWS), 5*(u64)p->n/2/PARTS_MOST + 1), 0x7fffffff);
    p->nPart = (u32)MAX(5*(u64)p->n/2/nMost + 1, 2);
    p->nTotal = 4*(u64)p->n;
    rc = treeTempOpen(p->p->db, &p->edges);
    if( rc==SQLITE_OK ) rc = treeTempOpen(p->p->db, &p->lists);
    if( rc==SQLITE_OK ) rc = partsAssign(p, (u32)nMost);
  }
  lscGraphFree(g);
  for(i=0; i<p->nPart && rc==SQLITE_OK; i++) rc = partsLink(p, i, &nLargest);
  if( rc==SQLITE_OK ) rc = partsMerge(p);
  if( rc!=SQLITE_OK ) return rc;
  treeTempClose(&p->edges);
  sqlite3_free(p->aPart);
  p->aPart = 0;
  p->aQueue = sqlite3_malloc64(sizeof(u32)*(u64)p->n);
  p->aReached = sqlite3_malloc64(p->n);
  rc = p->aQueue && p->aReached ? reachAll(p) : SQLITE_NOMEM_BKPT;
  if( rc==SQLITE_OK ) rc = reachBack(p);
  return rc==SQLITE_OK && lsc_watched(p->p->db, p->nTotal, p->nTotal) ? SQLITE_INTERRUPT : rc;
}
