/*
** graph.c: the nodes of an index in memory: where they lie, and how they come to be. Included by engine.c.
**
** Everything about a node lies in arrays by its number, the vectors 64-byte aligned, the edges in rows of equal length
** that are made longer as a longer list comes. A vector is kept as it was given, beside the inverse of its length, so
** that a block can be written from it to the byte.
**
** A node whose row is gone is dead: it keeps its number, may still have edges to it, and is not found; a sweep frees it
** when no edge leads to it. nUnloaded and
** nDeadEdge count what a walk has to look out for; while both are 0, it just follows edges.
*/
#include "graph_int.h"
#ifdef __linux__
# include <sys/mman.h>
#endif

/* Makes *(T**)ppArray hold n items; what was there stays. */
static int graphGrowArray(void *ppArray, uint64_t n, size_t nItem){
  void *p;
  if( n>SIZE_MAX/2/nItem ) return LSC_GRAPH_NOMEM;
  memcpy(&p, ppArray, sizeof(p));
  p = LSC_GRAPH_REALLOC(p, n ? n*nItem : 1);
  if( p==0 ) return LSC_GRAPH_NOMEM;
  memcpy(ppArray, &p, sizeof(p));
  return 0;
}

/* Asks for large pages: walks touch memory all over. */
static void graphLargePages(void *p, uint64_t n){
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  if( n>=(uint64_t)4<<20 ){
    uintptr_t iFrom = ((uintptr_t)p + 4095) & ~(uintptr_t)4095;
    uintptr_t iTo = ((uintptr_t)p + n) & ~(uintptr_t)4095;
    (void)madvise((void*)iFrom, iTo - iFrom, MADV_HUGEPAGE);
  }
#else
  (void)p;
  (void)n;
#endif
}

static uint64_t graphMix(int64_t id){
  uint64_t x = (uint64_t)id*0x9e3779b97f4a7c15u;
  x ^= x>>32;
  return x*0xd6e8feb86659fd93u >> 32;
}

/* The place in aHash of an id, or the free one where it belongs. */
static uint32_t graphPlace(const LscGraph *g, int64_t id){
  uint32_t i = (uint32_t)graphMix(id) & (g->nHash - 1);
  while( g->aHash[i] && g->aId[g->aHash[i]-1]!=id ) i = (i + 1) & (g->nHash - 1);
  return i;
}

static int graphGrowHash(LscGraph *g, uint32_t nAlloc){
  uint64_t nHash = 64;
  uint32_t *aOld = g->aHash, i;
  while( nHash<2*(uint64_t)nAlloc ) nHash *= 2;
  if( nHash<=g->nHash ) return 0;
  if( nHash>GRAPH_DONE || nHash>SIZE_MAX/sizeof(uint32_t) ) return LSC_GRAPH_NOMEM;
  g->aHash = LSC_GRAPH_MALLOC(nHash*sizeof(uint32_t));
  if( g->aHash==0 ){
    g->aHash = aOld;
    return LSC_GRAPH_NOMEM;
  }
  LSC_GRAPH_FREE(aOld);
  memset(g->aHash, 0, nHash*sizeof(uint32_t));
  g->nHash = (uint32_t)nHash;
  for(i=0; i<g->nNode; i++) g->aHash[graphPlace(g, g->aId[i])] = i + 1;
  return 0;
}

static int graphGrowVectors(LscGraph *g, uint32_t nAlloc){
  size_t iOld = g->iVector;
  if( g->nStride>(SIZE_MAX/2 - 64)/nAlloc
   || graphGrowArray(&g->pVectors, (uint64_t)nAlloc*g->nStride + 64, 1) ) return LSC_GRAPH_NOMEM;
  g->iVector = (64 - (uintptr_t)g->pVectors % 64) % 64;
  g->aVector = g->pVectors + g->iVector;
  if( g->iVector!=iOld ) memmove(g->aVector, g->pVectors + iOld, g->nNode*g->nStride);
  graphLargePages(g->pVectors, (uint64_t)nAlloc*g->nStride);
  return 0;
}

static uint64_t graphSeenWords(uint32_t nAlloc){
  return (uint64_t)nAlloc/64 + 1;
}

/* Room for n nodes in all. */
static int graphGrow(LscGraph *g, uint64_t n){
  uint64_t nNew = g->nAlloc + g->nAlloc/2 + 16;
  uint32_t nAlloc;
  if( n<=g->nAlloc ) return 0;
  if( nNew<n ) nNew = n;
  if( nNew>GRAPH_MAX_NODES ) nNew = GRAPH_MAX_NODES;
  if( n>nNew ) return LSC_GRAPH_NOMEM;
  nAlloc = (uint32_t)nNew;
  if( graphGrowArray(&g->aId, nAlloc, sizeof(*g->aId))
   || graphGrowArray(&g->aState, nAlloc, 1)
   || graphGrowArray(&g->aIn, nAlloc, sizeof(*g->aIn))
   || (g->c.metric==LSC_COS && graphGrowArray(&g->aInverse, nAlloc, sizeof(*g->aInverse)))
   || graphGrowVectors(g, nAlloc)
   || (g->nCode && graphGrowArray(&g->aCode, nAlloc, g->nCode))
   || graphGrowArray(&g->aEdge, (uint64_t)nAlloc*(g->nSlot + 1), sizeof(*g->aEdge))
   || graphGrowHash(g, nAlloc)
   || graphGrowArray(&g->s.aSeen, graphSeenWords(nAlloc), sizeof(*g->s.aSeen)) ) return LSC_GRAPH_NOMEM;
  memset(g->s.aSeen + (g->nAlloc ? graphSeenWords(g->nAlloc) : 0), 0,
         (graphSeenWords(nAlloc) - (g->nAlloc ? graphSeenWords(g->nAlloc) : 0))*sizeof(*g->s.aSeen));
  graphLargePages(g->aEdge, (uint64_t)nAlloc*(g->nSlot + 1)*sizeof(*g->aEdge));
  if( g->aCode ) graphLargePages(g->aCode, (uint64_t)nAlloc*g->nCode);
  g->nAlloc = nAlloc;
  return 0;
}

/* Rows of at least nSlot slots. */
static int graphWiden(LscGraph *g, uint32_t nSlot){
  uint32_t nOld = g->nSlot + 1, i;
  if( nSlot<=g->nSlot ) return 0;
  if( nSlot<0x3fffffff && (nSlot & 1)==0 ) nSlot++;
  if( graphGrowArray(&g->aEdge, (uint64_t)g->nAlloc*(nSlot + (uint64_t)1), sizeof(*g->aEdge)) ) return LSC_GRAPH_NOMEM;
  for(i=g->nNode; i-->0; ){
    memmove(g->aEdge + (size_t)i*(nSlot + 1), g->aEdge + (size_t)i*nOld, nOld*sizeof(*g->aEdge));
  }
  graphLargePages(g->aEdge, (uint64_t)g->nAlloc*(nSlot + 1)*sizeof(*g->aEdge));
  g->nSlot = nSlot;
  return 0;
}

/* Beams of at least so many; *s must be zeroed before the first time. */
static int graphScratch(const LscGraph *g, GraphScratch *s, uint32_t nBeam, uint32_t nFar){
  if( s->aSeen==0 ){
    if( graphGrowArray(&s->aSeen, graphSeenWords(g->nAlloc), sizeof(*s->aSeen)) ) return LSC_GRAPH_NOMEM;
    memset(s->aSeen, 0, graphSeenWords(g->nAlloc)*sizeof(*s->aSeen));
  }
  if( nBeam>=s->nBeamAlloc ){
    if( graphGrowArray(&s->aBeam, (uint64_t)nBeam + 1, sizeof(*s->aBeam)) ) return LSC_GRAPH_NOMEM;
    s->nBeamAlloc = nBeam + 1;
  }
  if( nFar>s->nFarAlloc ){
    if( graphGrowArray(&s->aFar, nFar, sizeof(*s->aFar)) ) return LSC_GRAPH_NOMEM;
    s->nFarAlloc = nFar;
  }
  return 0;
}

static void graphScratchFree(GraphScratch *s){
  LSC_GRAPH_FREE(s->aSeen);
  LSC_GRAPH_FREE(s->aBeam);
  LSC_GRAPH_FREE(s->aFar);
  LSC_GRAPH_FREE(s->aBytes);
  LSC_GRAPH_FREE(s->aAlike);
}

static int lscGraphNew(const LscGraphConfig *pConfig, LscGraph **pp){
  LscGraph *g = LSC_GRAPH_MALLOC(sizeof(*g));
  if( g==0 ) return LSC_GRAPH_NOMEM;
  memset(g, 0, sizeof(*g));
  g->c = *pConfig;
  if( g->c.nCap==0 ) g->c.nCap = 1;
  g->pKernel = lsc_kernels();
  g->alpha = g->c.metric==LSC_L2 ? g->c.alpha*g->c.alpha : g->c.alpha;
  if( !(g->alpha>=1) ) g->alpha = 1;
  g->twin = g->c.metric==LSC_COS ? 4e-7f : 0;
  g->nByte = g->c.metric==LSC_HAMMING ? ((size_t)g->c.n + 7)/8 : (size_t)g->c.n*sizeof(float);
  g->nStride = (g->nByte + 63)/64*64;
  g->nCode = graphCodeStride(g);
  g->nSlot = g->c.nCap<47 ? g->c.nCap | 1 : 47;
  *pp = g;
  return 0;
}

static void lscGraphFree(LscGraph *g){
  if( g==0 ) return;
  LSC_GRAPH_FREE(g->aId);
  LSC_GRAPH_FREE(g->aState);
  LSC_GRAPH_FREE(g->aIn);
  LSC_GRAPH_FREE(g->aInverse);
  LSC_GRAPH_FREE(g->pVectors);
  LSC_GRAPH_FREE(g->aCode);
  LSC_GRAPH_FREE(g->aEdge);
  LSC_GRAPH_FREE(g->aHash);
  graphScratchFree(&g->s);
  LSC_GRAPH_FREE(g);
}

static uint64_t lscGraphBytes(const LscGraph *g){
  uint64_t nNode = sizeof(*g->aId) + 1 + sizeof(*g->aIn) + (g->aInverse ? sizeof(*g->aInverse) : 0)
                 + g->nStride + g->nCode + (g->nSlot + (uint64_t)1)*sizeof(*g->aEdge);
  return sizeof(*g) + nNode*g->nAlloc + (uint64_t)g->nHash*sizeof(*g->aHash) + graphSeenWords(g->nAlloc)*8
       + ((uint64_t)g->s.nBeamAlloc + g->s.nFarAlloc)*sizeof(LscGraphHit);
}

static int lscGraphNode(LscGraph *g, int64_t id, uint32_t *pNode){
  uint32_t i;
  int rc;
  if( g->nHash ){
    i = graphPlace(g, id);
    if( g->aHash[i] ){
      *pNode = g->aHash[i] - 1;
      return 0;
    }
  }
  if( g->nFree ){
    i = g->iFree - 1;
    g->iFree = graphRow(g, i)[1];
    g->nFree--;
    g->nDead--;
  }else{
    rc = graphGrow(g, g->nNode + (uint64_t)1);
    if( rc ) return rc;
    i = g->nNode++;
  }
  g->aId[i] = id;
  g->aState[i] = 0;
  g->aIn[i] = 0;
  graphRow(g, i)[0] = 0;
  g->aHash[graphPlace(g, id)] = i + 1;
  g->nUnloaded++;
  *pNode = i;
  return 0;
}

static void lscGraphSweep(LscGraph *g){
  uint32_t i;
  if( g->nDead-g->nFree<64+lscGraphLive(g)/16 ) return;
  memset(g->aHash, 0, g->nHash*sizeof(*g->aHash));
  for(i=0; i<g->nNode; i++){
    if( (g->aState[i] & (GRAPH_DEAD|GRAPH_FREE))==GRAPH_DEAD && g->aIn[i]==0 ){
      g->aState[i] = GRAPH_DEAD|GRAPH_FREE;
      graphRow(g, i)[1] = g->iFree;
      g->iFree = i + 1;
      g->nFree++;
    }
    if( (g->aState[i] & GRAPH_FREE)==0 ) g->aHash[graphPlace(g, g->aId[i])] = i + 1;
  }
}

static int64_t lscGraphId(const LscGraph *g, uint32_t node){ return g->aId[node]; }
static uint32_t lscGraphCount(const LscGraph *g){ return g->nNode; }
static uint32_t lscGraphLive(const LscGraph *g){ return g->nNode - g->nDead; }
static int lscGraphIsLive(const LscGraph *g, uint32_t node){ return (g->aState[node] & GRAPH_DEAD)==0; }
static int lscGraphIsLoaded(const LscGraph *g, uint32_t node){ return (g->aState[node] & GRAPH_LOADED)!=0; }
static int lscGraphIsUnknown(const LscGraph *g, uint32_t node){ return g->aState[node]==0; }
static int lscGraphIsWhole(const LscGraph *g){ return g->nUnloaded==0 && g->nDeadEdge==0; }
static const void *lscGraphVector(const LscGraph *g, uint32_t node){ return graphVector(g, node); }

static const uint32_t *lscGraphEdges(const LscGraph *g, uint32_t node, uint32_t *pnTo){
  *pnTo = graphRow(g, node)[0];
  return graphRow(g, node) + 1;
}

static void lscGraphSetVector(LscGraph *g, uint32_t node, const void *pVector, int exact){
  unsigned char *p = g->aVector + (size_t)node*g->nStride;
  uint8_t *pState = &g->aState[node];
  if( !exact && *pState!=0 ) return;
  if( *pState & GRAPH_DEAD ){
    *pState = 0;
    g->nDead--;
    g->nUnloaded++;
    g->nDeadEdge -= g->aIn[node];
  }
  *pState |= exact ? GRAPH_VECTOR|GRAPH_EXACT : GRAPH_VECTOR;
  memcpy(p, pVector, g->nByte);
  if( g->aInverse ){
    float aSum[3];
    double length;
    g->pKernel->xCosF32(p, p, g->c.n, aSum);
    length = sqrt(aSum[1]);
    /* Also no direction: lengths whose squares overflow. */
    g->aInverse[node] = length>0 && length<1e19 ? (float)(1/length) : NAN;
  }
  if( exact ) graphEncodeNode(g, node);
}

/* Of the bytes of a vector; those without direction are equal. */
static uint64_t graphHashVector(const LscGraph *g, uint32_t node){
  const unsigned char *p = graphVector(g, node);
  uint64_t h = 0, x;
  size_t i;
  if( g->aInverse && !(g->aInverse[node]==g->aInverse[node]) ) return 0;
  for(i=0; i<g->nByte; i+=8){
    x = 0;
    memcpy(&x, p + i, g->nByte-i<8 ? g->nByte-i : 8);
    h = (h ^ x)*0x9e3779b97f4a7c15u;
    h ^= h>>29;
  }
  return h;
}

static int lscGraphSetEdges(LscGraph *g, uint32_t node, const uint32_t *aTo, uint32_t nTo){
  uint32_t *aRow, i;
  if( nTo>g->c.nCap || (g->aState[node] & GRAPH_DEAD) ) return LSC_GRAPH_CORRUPT;
  if( nTo>g->nSlot ){
    uint64_t nSlot = 2*(uint64_t)g->nSlot;
    if( nSlot<nTo ) nSlot = nTo;
    if( nSlot>g->c.nCap ) nSlot = g->c.nCap;
    if( graphWiden(g, (uint32_t)nSlot) ) return LSC_GRAPH_NOMEM;
  }
  aRow = graphRow(g, node);
  for(i=1; i<=aRow[0]; i++){
    g->aIn[aRow[i]]--;
    g->nDeadEdge -= (g->aState[aRow[i]] & GRAPH_DEAD)!=0;
  }
  for(i=0; i<nTo; i++){
    g->aIn[aTo[i]]++;
    g->nDeadEdge += (g->aState[aTo[i]] & GRAPH_DEAD)!=0;
  }
  aRow[0] = nTo;
  memmove(aRow + 1, aTo, nTo*sizeof(*aTo));
  graphSetLoaded(g, node);
  return 0;
}

static void graphSetLoaded(LscGraph *g, uint32_t node){
  if( (g->aState[node] & GRAPH_LOADED)==0 ){
    g->aState[node] |= GRAPH_LOADED;
    g->nUnloaded--;
  }
}

/* Its own edges go, those that lead to it stay. */
static void graphSetDead(LscGraph *g, uint32_t node){
  uint32_t *aRow = graphRow(g, node), i;
  if( g->aState[node] & GRAPH_DEAD ) return;
  for(i=1; i<=aRow[0]; i++){
    g->aIn[aRow[i]]--;
    g->nDeadEdge -= (g->aState[aRow[i]] & GRAPH_DEAD)!=0;
  }
  aRow[0] = 0;
  if( (g->aState[node] & GRAPH_LOADED)==0 ) g->nUnloaded--;
  g->aState[node] = GRAPH_DEAD;
  g->nDead++;
  g->nDeadEdge += g->aIn[node];
}

/* 0, LSC_GRAPH_GONE or an error. */
static int graphLoad(LscGraph *g, uint32_t node){
  int rc;
  if( g->aState[node] & GRAPH_DEAD ) return LSC_GRAPH_GONE;
  if( g->aState[node] & GRAPH_LOADED ) return 0;
  rc = g->c.xLoad ? g->c.xLoad(g->c.pCtx, g, node, g->aId[node]) : LSC_GRAPH_GONE;
  if( rc==LSC_GRAPH_GONE ){
    graphSetDead(g, node);
  }else if( rc==0 && (~g->aState[node] & (GRAPH_EXACT|GRAPH_LOADED)) ){
    rc = LSC_GRAPH_CORRUPT;
  }
  return rc;
}
