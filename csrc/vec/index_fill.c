/*
** index_fill.c: an index filled with many rows at once. Included by engine.c.
**
** Rows are gathered in a graph, with their keys, and with their data parts where the graph's numbers are not the same
** bytes. The graph links them with as many threads as the processor has; then the blocks are written in the order of
** the ids, behind one another, and the indexes of the shadow table after them. Rows for which PRAGMA
** libsql_vector_build_memory is too little go on to index_parts.c.
**
** The calling thread alone touches SQLite. It calls the progress handler and looks for interrupts while threads link.
*/

struct LscFill {
  LscIndex *p;
  LscGraph *pGraph;                 /* owned until it becomes the index's; NULL: see pParts */
  LscParts *pParts;                 /* owned: the rows, if they are many */
  u64 nLimit;                       /* bytes */
  u8 bRaw;                          /* data parts are kept: the graph has other bytes */
  u8 bSorted;                       /* ids came in ascending order */
  u32 n, nAlloc;                    /* rows: the nodes 0 to n-1 */
  u64 nByte;                        /* of what is below */
  u8 *aData;                        /* nNode bytes each; owned, as are those below */
  u8 *aEdge;                        /* nEdge bytes each, if the types differ */
  sqlite3_value **apKey;            /* of keyed tables */
};

static void fillClear(LscFill *p){
  u32 i;
  lscGraphFree(p->pGraph);
  for(i=0; p->apKey && i<p->n; i++) sqlite3ValueFree(p->apKey[i]);
  sqlite3_free(p->apKey);
  sqlite3_free(p->aData);
  sqlite3_free(p->aEdge);
  p->pGraph = 0;
  p->apKey = 0;
  p->aData = p->aEdge = 0;
  p->n = p->nAlloc = 0;
}

static void lscFillFree(LscFill *p){
  if( p==0 ) return;
  fillClear(p);
  partsFree(p->pParts);
  sqlite3_free(p);
}

static int lscFillNew(LscIndex *pIndex, LscFill **pp, char **pzErr){
  LscGraphConfig config;
  LscFill *p;
  int rc = ixCanWrite(pIndex, pzErr);
  *pp = 0;
  if( rc==SQLITE_OK ) rc = lscIndexClear(pIndex, pzErr);
  if( rc!=SQLITE_OK ) return rc;
  p = sqlite3MallocZero(sizeof(*p));
  if( p==0 ) return SQLITE_NOMEM_BKPT;
  p->p = pIndex;
  p->nLimit = pIndex->db->pLsc->nVecBuild;
  p->bRaw = !ixIsGraphType(pIndex->par.type) && !pIndex->par.bCompact;
  p->bSorted = 1;
  ixConfig(pIndex, &config);
  rc = lscGraphNew(&config, &p->pGraph);
  if( rc!=SQLITE_OK ){
    lscFillFree(p);
    return rc;
  }
  *pp = p;
  return SQLITE_OK;
}

static int fillGrow(LscFill *p){
  const LscIndexParams *pPar = &p->p->par;
  u64 nAlloc = p->nAlloc + (u64)p->nAlloc/2 + 256;
  void *aNew;
  if( nAlloc>0x7fffffff ) return SQLITE_NOMEM_BKPT;
  if( p->bRaw ){
    aNew = sqlite3_realloc64(p->aData, nAlloc*pPar->nNode);
    if( aNew==0 ) return SQLITE_NOMEM_BKPT;
    p->aData = aNew;
  }
  if( p->p->bKeyed ){
    aNew = sqlite3_realloc64(p->apKey, nAlloc*sizeof(*p->apKey));
    if( aNew==0 ) return SQLITE_NOMEM_BKPT;
    p->apKey = aNew;
  }
  p->nAlloc = (u32)nAlloc;
  return SQLITE_OK;
}

/* The data part of a vector, as a block has it. */
static const u8 *fillPart(LscFill *p, const LscVector *pVector){
  const LscIndexParams *pPar = &p->p->par;
  u8 *a = p->p->aBlock;
  if( pPar->type!=LSC_F8 ) return pVector->pData;
  memcpy(a, pVector->pData, pPar->nNode);
  memset(&a[pPar->n], 0, pPar->nNode-8-pPar->n);
  return a;
}

/* A checked row. */
static int fillGather(LscFill *p, const LscVector *pVector, sqlite3_value *pKey){
  LscIndex *pIndex = p->p;
  const LscIndexParams *pPar = &pIndex->par;
  i64 id = (i64)p->n + 1;
  u32 node;
  int rc = SQLITE_OK;
  if( !pIndex->bKeyed ){
    if( sqlite3_value_type(pKey)!=SQLITE_INTEGER ) return ixDuplicate(pIndex);
    id = sqlite3_value_int64(pKey);
  }
  if( p->n==p->nAlloc ) rc = fillGrow(p);
  if( rc==SQLITE_OK ) rc = lscGraphNode(p->pGraph, id, &node);
  if( rc!=SQLITE_OK ) return rc;
  if( node!=p->n ) return ixDuplicate(pIndex);
  if( node>0 && lscGraphId(p->pGraph, node-1)>id ) p->bSorted = 0;
  lscGraphSetVector(p->pGraph, node, ixWiden(pIndex, pPar->type, pVector->pData), 1);
  if( p->bRaw ) memcpy(&p->aData[(u64)node*pPar->nNode], fillPart(p, pVector), pPar->nNode);
  if( pIndex->bKeyed ){
    p->apKey[node] = sqlite3_value_dup(pKey);
    if( p->apKey[node]==0 ) return SQLITE_NOMEM_BKPT;
    p->nByte += sizeof(Mem) + 32 + (u64)sqlite3_value_bytes(pKey);
  }
  p->n++;
  p->nByte += (p->bRaw ? pPar->nNode : 0) + (pPar->type!=pPar->edgeType ? pPar->nEdge : 0);
  return SQLITE_OK;
}

/* A row is linked, and then written: two steps. */
static int fillLinked(void *pCtx, uint64_t nDone, uint64_t nTotal){
  return lsc_watched(pCtx, nDone, 2*nTotal);
}

static const u8 *fillData(LscFill *p, u32 node){
  return p->bRaw ? &p->aData[(u64)node*p->p->par.nNode] : lscGraphVector(p->pGraph, node);
}

static const u8 *fillEdge(LscFill *p, u32 node){
  return p->aEdge ? &p->aEdge[(u64)node*p->p->par.nEdge] : fillData(p, node);
}

/* The block of a node; gives its bytes. */
static u32 fillBlock(LscFill *p, u32 node, u8 *aBlock){
  const LscIndexParams *pPar = &p->p->par;
  u32 nTo, i;
  const u32 *aTo = lscGraphEdges(p->pGraph, node, &nTo);
  if( pPar->bCompact ) return compactNode(p->p, p->pGraph, node, aBlock);
  memset(aBlock, 0, pPar->nBlock);
  ixPut8(aBlock, (u64)lscGraphId(p->pGraph, node));
  ixPut2(&aBlock[8], nTo);
  memcpy(&aBlock[pPar->nHead], fillData(p, node), pPar->nNode);
  for(i=0; i<nTo; i++){
    u8 *aSlot = &aBlock[ixSlotAt(pPar, i)];
    float distance = ixDistance(pPar, pPar->edgeType, fillEdge(p, node), fillEdge(p, aTo[i]));
    memcpy(&aBlock[ixVectorAt(pPar, i)], fillEdge(p, aTo[i]), pPar->nEdge);
    memcpy(&aSlot[4], &distance, 4);
    ixPut8(&aSlot[8], (u64)lscGraphId(p->pGraph, aTo[i]));
  }
  return pPar->nBlock;
}

typedef struct FillOrder { i64 id; u32 node; } FillOrder;

static int fillCompare(const void *a, const void *b){
  return ixCompareIds(&((const FillOrder*)a)->id, &((const FillOrder*)b)->id);
}

static int fillRows(LscFill *p, const FillOrder *aOrder){
  LscIndex *pIndex = p->p;
  u8 *aBlock = sqlite3_malloc64(pIndex->par.nBlock);
  BtCursor cur;
  Mem key;
  u32 i;
  int rc = aBlock ? treeOpen(pIndex, pIndex->iRoot, 0, 1, &cur) : SQLITE_NOMEM_BKPT;
  if( rc!=SQLITE_OK ) goto out;
  for(i=0; i<p->n && rc==SQLITE_OK; i++){
    u32 node = aOrder[i].node, nBlock;
    if( i%256==0 && lsc_watched(pIndex->db, (u64)p->n+i, 2*(u64)p->n) ) rc = SQLITE_INTERRUPT;
    if( rc!=SQLITE_OK ) break;
    nBlock = fillBlock(p, node, aBlock);
    rc = rowInsert(pIndex, &cur, aOrder[i].id, p->apKey ? p->apKey[node] : ixInt(pIndex, &key, aOrder[i].id), aBlock,
                   nBlock, BTREE_APPEND);
  }
  sqlite3BtreeCloseCursor(&cur);
  for(i=0; i<p->n && rc==SQLITE_OK; i++){
    u32 node = aOrder[i].node;
    rc = rowIndex(pIndex, aOrder[i].id, p->apKey ? p->apKey[node] : ixInt(pIndex, &key, aOrder[i].id), 1);
  }
  if( rc==SQLITE_OK && lsc_watched(pIndex->db, 2*(u64)p->n, 2*(u64)p->n) ) rc = SQLITE_INTERRUPT;
out:
  sqlite3_free(aBlock);
  return rc;
}

/* Links and writes what was gathered; the graph is the index's then. */
static int fillWrite(LscFill *p){
  LscIndex *pIndex = p->p;
  const LscIndexParams *pPar = &pIndex->par;
  FillOrder *aOrder = 0;
  u32 i, entry = 0, beam = 0;
  int rc = SQLITE_OK;
  if( p->n==0 ) goto out;
  rc = lscGraphBuild(p->pGraph, lscPoolSize(), fillLinked, pIndex->db, &entry);
  if( rc!=SQLITE_OK ) goto out;
  aOrder = sqlite3_malloc64(sizeof(*aOrder)*(u64)p->n);
  if( pPar->type!=pPar->edgeType ) p->aEdge = sqlite3_malloc64((u64)p->n*pPar->nEdge);
  if( aOrder==0 || (pPar->type!=pPar->edgeType && p->aEdge==0) ){
    rc = SQLITE_NOMEM_BKPT;
    goto out;
  }
  for(i=0; i<p->n; i++){
    aOrder[i].id = lscGraphId(p->pGraph, i);
    aOrder[i].node = i;
  }
  if( !p->bSorted ) qsort(aOrder, p->n, sizeof(*aOrder), fillCompare);
  for(i=0; p->aEdge && i<p->n && rc==SQLITE_OK; i++){
    rc = ixToEdge(pPar, fillData(p, i), &p->aEdge[(u64)i*pPar->nEdge]);
  }
  if( rc==SQLITE_OK ) rc = fillRows(p, aOrder);
  if( rc==SQLITE_OK ) rc = ixSetEntry(pIndex, lscGraphId(p->pGraph, entry));
  if( rc==SQLITE_OK && !pPar->bCompact && p->n>LSC_SMALL ) rc = lscGraphTryOut(p->pGraph, &beam);
  if( rc==SQLITE_OK ) rc = dirMake(pIndex, p->n, beam);
  if( rc==SQLITE_OK ){
    ixDrop(pIndex);
    pIndex->pGraph = p->pGraph;
    p->pGraph = 0;
    pIndex->nRow = p->n;
  }
out:
  sqlite3_free(aOrder);
  fillClear(p);
  return rc;
}

/* The rows that came so far become those of index_parts.c. */
static int fillSpill(LscFill *p){
  Mem null;
  u32 i;
  int rc = partsNew(p->p, p->nLimit, &p->pParts);
  sqlite3VdbeMemInit(&null, p->p->db, MEM_Null);
  for(i=0; i<p->n && rc==SQLITE_OK; i++){
    rc = partsAdd(p->pParts, lscGraphId(p->pGraph, i), fillData(p, i), p->apKey ? p->apKey[i] : &null);
  }
  fillClear(p);
  return rc;
}

static int fillParts(LscFill *p){
  LscIndex *pIndex = p->p;
  i64 id = 0;
  int rc = partsBuild(p->pParts);
  if( rc==SQLITE_OK ) rc = partsId(p->pParts, p->pParts->entry, &id);
  if( rc==SQLITE_OK ) rc = ixSetEntry(pIndex, id);
  if( rc==SQLITE_OK ) rc = dirMake(pIndex, p->pParts->n, 0);
  ixDrop(pIndex);
  if( rc==SQLITE_OK ) pIndex->nRow = p->pParts->n;
  partsFree(p->pParts);
  p->pParts = 0;
  return rc;
}

static int lscFillAdd(LscFill *p, sqlite3_value *pVector, sqlite3_value *pKey, char **pzErr){
  LscVector v;
  int rc;
  if( sqlite3_value_type(pVector)==SQLITE_NULL ) return SQLITE_OK;
  memset(&v, 0, sizeof(v));
  rc = ixTakeVector(p->p, pVector, &v, pzErr);
  if( rc==SQLITE_OK ){
    sqlite3BtreeEnter(p->p->pBt);
    if( p->pParts==0 ){
      rc = fillGather(p, &v, pKey);
      if( rc==SQLITE_OK && p->nByte + p->n*lscGraphBuildBytes(p->pGraph)>p->nLimit ) rc = fillSpill(p);
    }else if( !p->p->bKeyed && sqlite3_value_type(pKey)!=SQLITE_INTEGER ){
      rc = ixDuplicate(p->p);
    }else{
      i64 id = p->p->bKeyed ? (i64)p->pParts->n + 1 : sqlite3_value_int64(pKey);
      const u8 *a = p->p->par.bCompact ? ixWiden(p->p, v.type, v.pData) : fillPart(p, &v);
      rc = partsAdd(p->pParts, id, a, pKey);
    }
    ixTakeError(p->p, rc, pzErr);
    sqlite3BtreeLeave(p->p->pBt);
  }
  lscVectorFree(&v);
  return rc;
}

static int lscFillEnd(LscFill *p, char **pzErr){
  int rc;
  sqlite3BtreeEnter(p->p->pBt);
  rc = p->pParts ? fillParts(p) : fillWrite(p);
  ixTakeError(p->p, rc, pzErr);
  sqlite3BtreeLeave(p->p->pBt);
  return rc;
}
