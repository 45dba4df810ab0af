/*
** index_compact.c: indexes of type=compact, which have no vectors of their own. Included by engine.c.
**
** The value of column "data" is, in SQLite's varints: E, the number of edges; then the ids of the neighbours in ascending
** order, the first with its sign in the lowest bit, each other one as the difference from that before. Vectors are read
** from the indexed table, whose rowids the ids are: its cursor belongs to the operation, as that of the shadow table does.
** Since ids are sorted a row says nothing of the order that the graph has its edges in: it is always written as a whole.
**
** The metadata name kind 2, a block size of 0, which libSQL refuses, and the number of neighbours.
*/

/* The vector of a row, until the next is read; for lscVectorFree(). *pFound: the row is there, and has one. */
static int compactVector(LscRows *pRows, i64 id, LscVector *pVector, int *pFound){
  LscIndex *p = pRows->p;
  u32 nPayload, nHead = 0, at, iBody, type = 0, n = 0;
  u8 aFirst[9];
  char *zErr = 0;
  Mem mem;
  int i, res = 0, rc = SQLITE_OK;
  memset(pVector, 0, sizeof(*pVector));
  *pFound = 0;
  if( p->iBaseRoot==0 ) return SQLITE_OK;
  if( !pRows->bBase ){
    rc = treeOpen(p, p->iBaseRoot, 0, 0, &pRows->base);
    pRows->bBase = rc==SQLITE_OK;
  }
  if( rc==SQLITE_OK ) rc = sqlite3BtreeTableMoveto(&pRows->base, id, 0, &res);
  if( rc!=SQLITE_OK || res!=0 ) return rc;
  nPayload = sqlite3BtreePayloadSize(&pRows->base);
  memset(aFirst, 0, sizeof(aFirst));
  rc = sqlite3BtreePayload(&pRows->base, 0, MIN(nPayload, sizeof(aFirst)), aFirst);
  if( rc!=SQLITE_OK ) return rc;
  at = getVarint32(aFirst, nHead);
  if( nHead>nPayload || nHead<at ) return SQLITE_OK;
  if( nPayload>p->nBaseAlloc ){
    u8 *aNew = sqlite3_realloc64(p->aBase, (u64)nPayload + 32);
    if( aNew==0 ) return SQLITE_NOMEM_BKPT;
    p->aBase = aNew;
    p->nBaseAlloc = nPayload;
  }
  rc = sqlite3BtreePayload(&pRows->base, 0, nHead, p->aBase);
  if( rc!=SQLITE_OK ) return rc;
  memset(&p->aBase[nHead], 0, 16);          /* a varint may be cut off */
  for(i=0, iBody=nHead; i<=p->iBaseCol; i++){
    if( at>=nHead ) return SQLITE_OK;
    at += getVarint32(&p->aBase[at], type);
    n = sqlite3VdbeSerialTypeLen(type);
    if( at>nHead || n>nPayload-iBody ) return SQLITE_OK;
    if( i<p->iBaseCol ) iBody += n;
  }
  rc = n ? sqlite3BtreePayload(&pRows->base, iBody, n, p->aBase) : SQLITE_OK;
  if( rc!=SQLITE_OK || type<12 ) return rc;
  sqlite3VdbeMemInit(&mem, p->db, MEM_Null);
  mem.enc = ENC(p->db);
  sqlite3VdbeSerialGet(p->aBase, type, &mem);
  rc = lscVectorFromValue(pVector, &mem, &zErr);
  *pFound = rc==SQLITE_OK && pVector->type==p->par.type && pVector->n==p->par.n;
  sqlite3_free(zErr);
  sqlite3VdbeMemRelease(&mem);
  return rc==SQLITE_ERROR ? SQLITE_OK : rc;
}

/* Gives a node its vector, or zeros if there is none to be had. */
static int compactFetch(LscRows *pRows, LscGraph *g, u32 node, int exact, int *pFound){
  LscIndex *p = pRows->p;
  LscVector v;
  int rc = compactVector(pRows, lscGraphId(g, node), &v, pFound);
  if( rc==SQLITE_OK && *pFound ){
    lscGraphSetVector(g, node, ixWiden(p, v.type, v.pData), exact);
  }else if( rc==SQLITE_OK && !exact ){
    memset(p->aWide, 0, sizeof(float)*(size_t)p->par.n);
    lscGraphSetVector(g, node, p->aWide, 0);
  }
  lscVectorFree(&v);
  return rc;
}

/* The edges of the row that the cursor is at. */
static int compactEdges(LscRows *pRows, i64 *aId, u32 *pn){
  LscIndex *p = pRows->p;
  u32 n = pRows->nData, at, i, nTo = 0;
  u64 u, id = 0;
  u8 *a = p->aBlock;
  int rc;
  *pn = 0;
  if( n>p->par.nBlock ) return ixCorrupt(p, rowsId(pRows), "too many edges");
  memset(a, 0, p->par.nBlock);
  rc = rowsRead(pRows, 0, n, a);
  if( rc!=SQLITE_OK ) return rc;
  at = getVarint32(a, nTo);
  if( nTo>p->par.nCap ) return ixCorrupt(p, rowsId(pRows), "too many edges");
  for(i=0; i<nTo && at<n; i++){
    at += sqlite3GetVarint(&a[at], &u);
    id = i ? id+u : (u>>1) ^ (0-(u&1));
    aId[i] = (i64)id;
  }
  if( i<nTo || at!=n ) return ixCorrupt(p, rowsId(pRows), "broken edges");
  *pn = nTo;
  return SQLITE_OK;
}

/* Loads the node from the row that the cursor is at; with its neighbours' vectors, unless all rows are being loaded. */
static int compactLoad(LscRows *pRows, LscGraph *g, u32 node){
  LscIndex *p = pRows->p;
  i64 *aId = p->aId;
  u32 *aTo = p->aTo, nTo, i;
  int found = 0, rc = compactEdges(pRows, aId, &nTo);
  if( rc!=SQLITE_OK ) return rc;
  p->nLoaded++;
  rc = compactFetch(pRows, g, node, 1, &found);
  if( rc==SQLITE_OK && !found ) return LSC_GRAPH_GONE;
  for(i=0; i<nTo && rc==SQLITE_OK; i++){
    rc = lscGraphNode(g, aId[i], &aTo[i]);
    if( rc==SQLITE_OK && !p->bLoading && lscGraphIsUnknown(g, aTo[i]) ) rc = compactFetch(pRows, g, aTo[i], 0, &found);
  }
  if( rc==SQLITE_OK ) rc = lscGraphSetEdges(g, node, aTo, nTo);
  if( rc==SQLITE_CORRUPT ) rc = ixCorrupt(p, rowsId(pRows), "edges to itself, or two to one node,");
  return rc;
}

/* Behind the load of all rows, or of some: the vectors of nodes that there are edges to, but no row was read. */
static int compactLoaded(LscRows *pRows, LscGraph *g){
  u32 i;
  int found, rc = SQLITE_OK;
  for(i=0; i<lscGraphCount(g) && rc==SQLITE_OK; i++){
    if( lscGraphIsUnknown(g, i) ) rc = compactFetch(pRows, g, i, 0, &found);
  }
  return rc;
}

/* The value of a row with edges to these ids, which get sorted; at most nBlock bytes. */
static u32 compactPack(i64 *aId, u32 nTo, u8 *a){
  u32 i, at = (u32)sqlite3PutVarint(a, nTo);
  if( nTo>1 ) qsort(aId, nTo, sizeof(*aId), ixCompareIds);
  for(i=0; i<nTo; i++){
    u64 u = i ? (u64)aId[i] - (u64)aId[i-1] : ((u64)aId[0]<<1) ^ (aId[0]<0 ? ~(u64)0 : 0);
    at += (u32)sqlite3PutVarint(&a[at], u);
  }
  return at;
}

static u32 compactNode(LscIndex *p, LscGraph *g, u32 node, u8 *a){
  u32 nTo, i;
  const u32 *aTo = lscGraphEdges(g, node, &nTo);
  for(i=0; i<nTo; i++) p->aId[i] = lscGraphId(g, aTo[i]);
  return compactPack(p->aId, nTo, a);
}
