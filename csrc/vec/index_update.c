/*
** index_update.c: rows of an open index come and go. Included by engine.c.
**
** The graph in memory decides which edges change and notes the slots; then the blocks follow, slot by slot, each with the
** neighbour's vector and the distance made from what the rows say. If anything fails half-way the graph is dropped and
** the statement is rolled back by SQLite.
*/

/* A slot of a node that is to be written; IX_COUNT: only the number of edges. */
typedef struct LscSlot { u32 node, slot; } LscSlot;
#define IX_COUNT 0xffffffff

typedef struct LscEdit {
  LscIndex *p;
  LscRows *pRows;                   /* a cursor for writing */
  LscSlot *aSlot;                   /* owned */
  u32 nSlot, nAlloc;
  u32 iAt;                          /* the node whose row the cursor is at, if bAt */
  u8 bAt;
  u32 iNew;                         /* the node that is inserted: it has no row yet */
  u8 bNew;
  u8 *aNew;                         /* owned: its block, its vector set */
  u8 *aFrom, *aTo;                  /* owned, in one piece: vectors in the edge type */
} LscEdit;

static int editSlot(void *pCtx, LscGraph *g, u32 node, u32 slot){
  LscEdit *p = pCtx;
  (void)g;
  if( p->nSlot==p->nAlloc ){
    u32 nNew = p->nAlloc ? 2*p->nAlloc : 64;
    LscSlot *aNew = sqlite3_realloc64(p->aSlot, sizeof(LscSlot)*(u64)nNew);
    if( aNew==0 ) return SQLITE_NOMEM_BKPT;
    p->aSlot = aNew;
    p->nAlloc = nNew;
  }
  p->aSlot[p->nSlot].node = node;
  p->aSlot[p->nSlot++].slot = slot;
  return SQLITE_OK;
}

static int editCount(void *pCtx, LscGraph *g, u32 node, u32 nTo){
  (void)nTo;
  return editSlot(pCtx, g, node, IX_COUNT);
}

static int editCompare(const void *a, const void *b){
  const LscSlot *x = a, *y = b;
  if( x->node!=y->node ) return x->node<y->node ? -1 : 1;
  return x->slot<y->slot ? -1 : x->slot>y->slot;
}

static int editInit(LscEdit *p, LscIndex *pIndex, LscRows *pRows){
  memset(p, 0, sizeof(*p));
  p->p = pIndex;
  p->pRows = pRows;
  p->aFrom = sqlite3_malloc64(2*(u64)pIndex->par.nEdge + 1);
  if( p->aFrom==0 ) return SQLITE_NOMEM_BKPT;
  p->aTo = p->aFrom + pIndex->par.nEdge;
  return SQLITE_OK;
}

static void editClear(LscEdit *p){
  sqlite3_free(p->aSlot);
  sqlite3_free(p->aNew);
  sqlite3_free(p->aFrom);
}

/* Moves to the row of a node, unless the cursor is there. */
static int editSeek(LscEdit *p, u32 node, int *pFound){
  int rc;
  *pFound = 1;
  if( p->bAt && p->iAt==node ) return SQLITE_OK;
  p->bAt = 0;
  rc = rowsSeek(p->pRows, lscGraphId(p->p->pGraph, node), pFound);
  p->bAt = rc==SQLITE_OK && *pFound;
  p->iAt = node;
  return rc;
}

/* The vector of a node for edges to it. *pFound: it has a row, or is the new node. */
static int editVector(LscEdit *p, u32 node, u8 *aEdge, int *pFound){
  LscIndex *pIndex = p->p;
  const LscIndexParams *pPar = &pIndex->par;
  int rc;
  *pFound = 1;
  if( p->bNew && node==p->iNew ) return ixToEdge(pPar, &p->aNew[pPar->nHead], aEdge);
  if( ixIsGraphType(pPar->type) && lscGraphIsLoaded(pIndex->pGraph, node) ){
    return ixToEdge(pPar, lscGraphVector(pIndex->pGraph, node), aEdge);
  }
  rc = editSeek(p, node, pFound);
  if( rc!=SQLITE_OK || !*pFound ) return rc;
  rc = rowsRead(p->pRows, pPar->nHead, pPar->nNode, pIndex->aBlock);
  return rc==SQLITE_OK ? ixToEdge(pPar, pIndex->aBlock, aEdge) : rc;
}

/* The slots of one node, n of them, ascending. */
static int editNode(LscEdit *p, const LscSlot *aSlot, u32 n){
  LscIndex *pIndex = p->p;
  const LscIndexParams *pPar = &pIndex->par;
  LscGraph *g = pIndex->pGraph;
  u32 node = aSlot[0].node, nTo, i;
  const u32 *aTo = lscGraphEdges(g, node, &nTo);
  int bNew = p->bNew && node==p->iNew, found, rc;
  u8 aCount[2];
  if( !lscGraphIsLive(g, node) ) return SQLITE_OK;
  if( pPar->bCompact ){
    Mem key;
    if( bNew ) return SQLITE_OK;
    p->bAt = 0;
    rc = editSeek(p, node, &found);
    if( rc!=SQLITE_OK || !found ) return rc==SQLITE_OK ? SQLITE_CORRUPT_VTAB : rc;
    return rowInsert(pIndex, &p->pRows->cur, lscGraphId(g, node), ixInt(pIndex, &key, lscGraphId(g, node)),
                     pIndex->aBlock, compactNode(pIndex, g, node, pIndex->aBlock), 0);
  }
  rc = editVector(p, node, p->aFrom, &found);
  for(i=0; i<n && rc==SQLITE_OK; i++){
    u32 slot = aSlot[i].slot;
    u8 aMeta[16];
    float distance;
    if( slot>=nTo || (i && slot==aSlot[i-1].slot) ) continue;
    rc = editVector(p, aTo[slot], p->aTo, &found);
    if( rc!=SQLITE_OK ) break;
    if( !found ) memset(p->aTo, 0, pPar->nEdge);
    distance = ixDistance(pPar, pPar->edgeType, p->aFrom, p->aTo);
    memset(aMeta, 0, 4);
    memcpy(&aMeta[4], &distance, 4);
    ixPut8(&aMeta[8], (u64)lscGraphId(g, aTo[slot]));
    if( bNew ){
      memcpy(&p->aNew[ixVectorAt(pPar, slot)], p->aTo, pPar->nEdge);
      memcpy(&p->aNew[ixSlotAt(pPar, slot)], aMeta, 16);
      continue;
    }
    rc = editSeek(p, node, &found);
    if( rc==SQLITE_OK && !found ) return SQLITE_CORRUPT_VTAB;
    if( rc==SQLITE_OK ) rc = rowsWrite(p->pRows, ixVectorAt(pPar, slot), pPar->nEdge, p->aTo);
    if( rc==SQLITE_OK ) rc = rowsWrite(p->pRows, ixSlotAt(pPar, slot), 16, aMeta);
  }
  if( rc!=SQLITE_OK ) return rc;
  if( bNew ){
    ixPut2(&p->aNew[8], nTo);
    return SQLITE_OK;
  }
  rc = editSeek(p, node, &found);
  if( rc==SQLITE_OK && found ) rc = rowsRead(p->pRows, 8, 2, aCount);
  if( rc==SQLITE_OK && found && ixGet2(aCount)!=nTo ){
    ixPut2(aCount, nTo);
    rc = rowsWrite(p->pRows, 8, 2, aCount);
  }
  return rc;
}

/* Writes all that was noted. */
static int editWrite(LscEdit *p){
  u32 i, j;
  int rc = SQLITE_OK;
  if( p->nSlot>1 ) qsort(p->aSlot, p->nSlot, sizeof(LscSlot), editCompare);
  for(i=0; i<p->nSlot && rc==SQLITE_OK; i=j){
    for(j=i+1; j<p->nSlot && p->aSlot[j].node==p->aSlot[i].node; j++){}
    rc = editNode(p, &p->aSlot[i], j-i);
  }
  return rc;
}

/* What the row path checks of a vector; the message is libSQL's. */
static int ixCheckVector(const LscIndexParams *p, const LscVector *pVector, char **pzErr){
  if( pVector->n!=p->n ){
    return lscError(pzErr, "vector index(insert): dimensions are different: %u != %u", pVector->n, p->n);
  }
  if( pVector->type!=p->type ){
    return lscError(pzErr, "vector index(insert): vector type differs from column type: %d != %d", pVector->type, p->type);
  }
  return SQLITE_OK;
}

/* A value as a vector of the index; *pbNull and no vector for NULL. */
static int ixTakeVector(LscIndex *p, sqlite3_value *pValue, LscVector *pVector, char **pzErr){
  int rc = lscVectorFromValue(pVector, pValue, pzErr);
  return rc==SQLITE_OK ? ixCheckVector(&p->par, pVector, pzErr) : rc;
}

static int ixCanWrite(LscIndex *p, char **pzErr){
  if( p->iRoot==0 ) return lscError(pzErr, "vector index(insert): failed to select start node for search");
  if( p->bForeign ) return lscError(pzErr, "vector index %s: %s_shadow has an index of its own", p->zName, p->zName);
  if( p->bKeyed && p->iKeyRoot==0 ) return lscError(pzErr, "vector index %s: %s_shadow has no index on its key", p->zName, p->zName);
  return SQLITE_OK;
}

static int ixDuplicate(LscIndex *p){
  return ixError(p, SQLITE_ERROR, "vector index(insert): failed to insert shadow row");
}

/* The id that a new row with the key has. */
static int ixNewId(LscIndex *p, LscRows *pRows, sqlite3_value *pKey, i64 *pId){
  int found, eof, rc;
  if( !p->bKeyed && sqlite3_value_type(pKey)!=SQLITE_INTEGER ) return ixDuplicate(p);
  rc = ixNodeOfKey(p, pKey, pId, &found);
  if( rc!=SQLITE_OK ) return rc;
  if( !p->bKeyed ){
    int res = 0;
    rc = sqlite3BtreeTableMoveto(&pRows->cur, *pId, 0, &res);
    return rc==SQLITE_OK && res==0 ? ixDuplicate(p) : rc;
  }
  if( found ) return ixDuplicate(p);
  rc = sqlite3BtreeLast(&pRows->cur, &eof);
  if( rc!=SQLITE_OK ) return rc;
  *pId = eof ? 1 : rowsId(pRows);
  if( *pId==LARGEST_INT64 ) return SQLITE_FULL;
  if( !eof ) ++*pId;
  return SQLITE_OK;
}

/* Inserts, with the graph; the vector is checked. */
static int ixInsert(LscIndex *p, LscRows *pRows, const LscVector *pVector, sqlite3_value *pKey){
  const LscIndexParams *pPar = &p->par;
  LscGraphChanges changes;
  LscEdit edit;
  BtCursor cur;
  u32 aStart[LSC_STARTS], nStart = 0;
  i64 id = 0;
  int rc = ixNewId(p, pRows, pKey, &id);
  if( rc!=SQLITE_OK ) return rc;
  rc = editInit(&edit, p, pRows);
  if( rc==SQLITE_OK ) rc = ixStarts(p, pRows, pVector->pData, aStart, &nStart);
  if( rc!=SQLITE_OK ) goto out;
  edit.aNew = sqlite3_malloc64(pPar->nBlock);
  if( edit.aNew==0 ){
    rc = SQLITE_NOMEM_BKPT;
    goto out;
  }
  memset(edit.aNew, 0, pPar->nBlock);
  if( !pPar->bCompact ){
    ixPut8(edit.aNew, (u64)id);
    memcpy(&edit.aNew[pPar->nHead], pVector->pData, pPar->nNode);
  }
  if( pVector->type==LSC_F8 && !pPar->bCompact ) memset(&edit.aNew[pPar->nHead+pPar->n], 0, pPar->nNode-8-pPar->n);
  rc = lscGraphNode(p->pGraph, id, &edit.iNew);
  edit.bNew = 1;
  changes.pCtx = &edit;
  changes.xSlot = editSlot;
  changes.xCount = editCount;
  ixWrote(p, p->pBt);
  if( rc==SQLITE_OK ){
    lscGraphSetVector(p->pGraph, edit.iNew, ixWiden(p, pPar->type, pVector->pData), 1);
    rc = lscGraphInsert(p->pGraph, edit.iNew, aStart, nStart, &changes);
  }
  if( rc==SQLITE_OK ) rc = editWrite(&edit);
  if( rc==SQLITE_OK ) rc = treeOpen(p, p->iRoot, 0, 1, &cur);
  if( rc==SQLITE_OK ){
    u32 nNew = pPar->bCompact ? compactNode(p, p->pGraph, edit.iNew, edit.aNew) : pPar->nBlock;
    rc = rowInsert(p, &cur, id, pKey, edit.aNew, nNew, 0);
    sqlite3BtreeCloseCursor(&cur);
  }
  if( rc==SQLITE_OK ) rc = rowIndex(p, id, pKey, 1);
  if( rc==SQLITE_OK ) rc = dirInserted(p, pRows, id, pVector->pData);
  if( rc!=SQLITE_OK ) ixDrop(p);
  else if( p->nRow>=0 ) p->nRow++;
out:
  editClear(&edit);
  return rc;
}

static int lscIndexInsert(LscIndex *p, sqlite3_value *pVector, sqlite3_value *pKey, char **pzErr){
  LscVector v;
  LscRows rows;
  int rc;
  if( sqlite3_value_type(pVector)==SQLITE_NULL ) return SQLITE_OK;
  memset(&v, 0, sizeof(v));
  rc = ixTakeVector(p, pVector, &v, pzErr);
  if( rc==SQLITE_OK ) rc = ixCanWrite(p, pzErr);
  if( rc==SQLITE_OK ){
    rc = ixBegin(p, 1, &rows);
    if( rc==SQLITE_OK ) rc = ixInsert(p, &rows, &v, pKey);
    rc = ixEnd(p, &rows, rc, pzErr);
  }
  lscVectorFree(&v);
  return rc;
}

static int ixDelete(LscIndex *p, LscRows *pRows, sqlite3_value *pKey){
  LscGraphChanges changes;
  LscEdit edit;
  BtCursor cur;
  i64 id = 0;
  u32 node = 0;
  int found, res = -1, rc = ixNodeOfKey(p, pKey, &id, &found);
  if( rc!=SQLITE_OK || !found ) return rc;
  rc = sqlite3BtreeTableMoveto(&pRows->cur, id, 0, &res);
  if( rc!=SQLITE_OK || res!=0 ) return rc;
  rc = editInit(&edit, p, pRows);
  if( rc!=SQLITE_OK ) goto out;
  changes.pCtx = &edit;
  changes.xSlot = editSlot;
  changes.xCount = editCount;
  ixWrote(p, p->pBt);
  rc = lscGraphNode(p->pGraph, id, &node);
  if( rc==SQLITE_OK ){
    rc = lscGraphDelete(p->pGraph, node, &changes);
    if( rc==SQLITE_CORRUPT_VTAB && !lscGraphIsLoaded(p->pGraph, node) ){
      /* Its own block is broken: the row goes all the same. */
      ixDrop(p);
      edit.nSlot = 0;
      rc = SQLITE_OK;
    }
  }
  if( rc==SQLITE_OK ) rc = editWrite(&edit);
  if( rc==SQLITE_OK ) rc = dirDeleting(p, pRows, id);
  if( rc==SQLITE_OK ) rc = treeOpen(p, p->iRoot, 0, 1, &cur);
  if( rc==SQLITE_OK ){
    rc = sqlite3BtreeTableMoveto(&cur, id, 0, &res);
    if( rc==SQLITE_OK && res==0 ) rc = sqlite3BtreeDelete(&cur, 0);
    sqlite3BtreeCloseCursor(&cur);
  }
  if( rc==SQLITE_OK ) rc = rowIndex(p, id, pKey, 0);
  if( rc!=SQLITE_OK ) ixDrop(p);
  else if( p->nRow>0 ) p->nRow--;
  p->nDeleted++;
out:
  editClear(&edit);
  return rc;
}

static int lscIndexDelete(LscIndex *p, sqlite3_value *pKey, char **pzErr){
  LscRows rows;
  int rc = SQLITE_OK;
  if( p->iRoot==0 ) return SQLITE_OK;
  rc = ixCanWrite(p, pzErr);
  if( rc!=SQLITE_OK ) return rc;
  rc = ixBegin(p, 1, &rows);
  if( rc==SQLITE_OK ) rc = ixDelete(p, &rows, pKey);
  return ixEnd(p, &rows, rc, pzErr);
}

static int lscIndexClear(LscIndex *p, char **pzErr){
  Pgno aRoot[3];
  int i, rc;
  if( p->iRoot==0 ) return SQLITE_OK;
  rc = ixCanWrite(p, pzErr);
  if( rc!=SQLITE_OK ) return rc;
  aRoot[0] = p->iRoot;
  aRoot[1] = p->iRowRoot;
  aRoot[2] = p->iKeyRoot;
  sqlite3BtreeEnter(p->pBt);
  ixWrote(p, p->pBt);
  ixDrop(p);
  for(i=0; i<3 && rc==SQLITE_OK; i++){
    if( aRoot[i]==0 ) continue;
    rc = ixLock(p->db, p->pBt, aRoot[i], 1);
    if( rc==SQLITE_OK ) rc = sqlite3BtreeClearTable(p->pBt, (int)aRoot[i], 0);
  }
  if( rc==SQLITE_OK ) p->nRow = 0;
  sqlite3BtreeLeave(p->pBt);
  return rc;
}
