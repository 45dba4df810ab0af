/*
** graph_walk.c: the walk through a graph towards a vector, and searches. Included by engine.c behind graph.c.
**
** A walk keeps a beam, the nearest nodes that it has met, and follows the edges of the nearest one that it has not
** followed yet, until all of the beam are followed. A node that was known by an edge's approximate vector is loaded
** when it is its turn, and takes the place that its exact distance gives it; so all that is left in the beam is exact.
**
** A search begins at the best of nodes picked at random, which finds the right part of data that lie in groups. Where a
** walk would take as long as looking at all vectors, it does that.
*/
#include "graph_int.h"

enum { GRAPH_CHUNK=64, GRAPH_STARTS=4, GRAPH_EXACT_SCAN=1000, GRAPH_PATIENT=1000 };

/* Puts a node where it belongs, if it belongs anywhere; the place, or ef. */
static uint32_t graphOffer(GraphScratch *s, uint32_t ef, float d, uint32_t node){
  LscGraphHit *a = s->aBeam;
  uint32_t lo = 0, hi = s->nBeam, n, half;
  if( hi==ef ){
    if( !(d<a[hi-1].distance) ) return ef;
    hi--;
    if( s->bFar && (a[hi].node & GRAPH_DONE) && s->nFar<s->nFarAlloc ) s->aFar[s->nFar++] = a[hi];
    s->nBeam = hi;
  }
  /* Without a branch to guess: the place is in the n from lo on, or behind them. */
  for(n=hi; n>0; n-=half){
    half = (n + 1)/2;
    lo += half & -(uint32_t)(a[lo+half-1].distance<=d);
  }
  memmove(&a[lo+1], &a[lo], (s->nBeam - lo)*sizeof(*a));
  a[lo].distance = d;
  a[lo].node = node;
  s->nBeam++;
  return lo;
}

/*
** Whether the beam had enough nodes with the vector of this one already, which counts then if it had not. A hundred
** copies of each vector would else leave a beam room for few vectors; what follows from one copy follows from all.
*/
static int graphIsOneMore(const LscGraph *g, GraphScratch *s, uint32_t node){
  uint32_t hash = (uint32_t)(graphHashVector(g, node)>>24) | 1, i = hash & (GRAPH_ALIKE - 1);
  while( s->aAlike[i].hash!=0 && s->aAlike[i].hash!=hash ) i = (i + 1) & (GRAPH_ALIKE - 1);
  if( s->aAlike[i].hash==0 ){
    if( s->nAlike>=GRAPH_ALIKE/4*3 ) return 0;
    s->nAlike++;
    s->aAlike[i].hash = hash;
    s->aAlike[i].n = 0;
  }
  if( s->aAlike[i].n==s->nAlikeMost ) return 1;
  s->aAlike[i].n++;
  return 0;
}

/* Meets nodes: all that are new go into the beam if they can; the nearest place. */
static uint32_t graphMeet(LscGraph *g, GraphScratch *s, const GraphQuery *q, uint32_t ef, const uint32_t *aNode,
                          uint32_t nNode, int bCareful){
  uint32_t aNew[GRAPH_CHUNK], n = 0, i, iBest = ef;
  const unsigned char *aData = q->pCoded ? g->aCode : g->aVector;
  size_t nStride = q->pCoded ? g->nCode : g->nStride;
  for(i=0; i<nNode; i++){
    uint32_t node = aNode[i];
    uint64_t *pWord = &s->aSeen[node>>6], bit = (uint64_t)1 << (node & 63);
    aNew[n] = node;
    n += (*pWord & bit)==0;
    *pWord |= bit;
  }
  for(i=0; i<n; i++){
    const unsigned char *p = aData + aNew[i]*nStride;
    GRAPH_PREFETCH(p);
    GRAPH_PREFETCH(p + 64);
    GRAPH_PREFETCH(p + 128);
  }
  for(i=0; i<n; i++){
    uint32_t iPlace;
    float d;
    if( bCareful && (g->aState[aNew[i]] & (GRAPH_VECTOR|GRAPH_DEAD))!=GRAPH_VECTOR ) continue;
    d = q->pCoded ? graphCodedNear(g, q->pCoded, aNew[i]) : graphNear(g, q, aNew[i]);
    if( s->nBeam==ef && !(d<s->aBeam[ef-1].distance) ) continue;
    if( bCareful && s->nAlikeMost && graphIsOneMore(g, s, aNew[i]) ) continue;
    iPlace = graphOffer(s, ef, d, aNew[i]);
    if( iPlace<iBest ) iBest = iPlace;
  }
  return iBest;
}

/*
** Loads the node of entry i of the beam, and puts it where its exact distance belongs. *pGone: it is not there any
** more, and neither is its entry. Otherwise its edges are to be followed at once.
*/
static int graphArrive(LscGraph *g, GraphScratch *s, const GraphQuery *q, uint32_t i, int *pGone){
  uint32_t node = s->aBeam[i].node & ~GRAPH_DONE;
  int rc = graphLoad(g, node);
  *pGone = rc==LSC_GRAPH_GONE;
  if( rc!=0 && !*pGone ) return rc;
  s->nBeam--;
  memmove(&s->aBeam[i], &s->aBeam[i+1], (s->nBeam - i)*sizeof(*s->aBeam));
  if( !*pGone ) graphOffer(s, s->nBeam + 1, graphNear(g, q, node), node | GRAPH_DONE);
  return 0;
}

/*
** Fills the beam, at most ef nodes. Nodes that the caller has marked as seen are passed by; marks are left behind for
** graphForget(). Safe in threads of their own scratch while all is loaded and nothing changes.
*/
static int graphWalk(LscGraph *g, GraphScratch *s, const GraphQuery *q, uint32_t ef, const uint32_t *aStart,
                     uint32_t nStart){
  int bCareful = g->nUnloaded!=0 || g->nDeadEdge!=0;
  uint32_t i, cur = 0, iProbe = s->pProbe ? graphProbeNext(s->pProbe) : GRAPH_DONE;
  s->nBeam = 0;
  s->nFar = 0;
  s->nFollowed = 0;
  for(i=0; i<nStart; i++){
    int rc = bCareful && (g->aState[aStart[i]] & GRAPH_VECTOR)==0 ? graphLoad(g, aStart[i]) : 0;
    if( rc && rc!=LSC_GRAPH_GONE ) return rc;
    graphMeet(g, s, q, ef, &aStart[i], 1, bCareful);
  }
  while( cur<s->nBeam ){
    uint32_t node = s->aBeam[cur].node, nTo, iFrom, iBest = ef;
    if( node & GRAPH_DONE ){
      cur++;
      if( cur>=iProbe ){
        if( graphProbe(s, s->pProbe) ) break;
        iProbe = graphProbeNext(s->pProbe);
      }
      continue;
    }
    if( bCareful && (g->aState[node] & GRAPH_LOADED)==0 ){
      int bGone, rc = graphArrive(g, s, q, cur, &bGone);
      if( rc ) return rc;
      if( bGone ) continue;
      iBest = cur;
    }else{
      s->aBeam[cur].node = node | GRAPH_DONE;
    }
    s->nFollowed++;
    nTo = graphRow(g, node)[0];
    for(iFrom=0; iFrom<nTo; iFrom+=GRAPH_CHUNK){
      uint32_t nPart = nTo-iFrom<GRAPH_CHUNK ? nTo-iFrom : GRAPH_CHUNK;
      uint32_t iPlace = graphMeet(g, s, q, ef, graphRow(g, node) + 1 + iFrom, nPart, bCareful);
      if( iPlace<iBest ) iBest = iPlace;
    }
    if( iBest<cur ) cur = iBest;
    i = cur + (cur<s->nBeam && (s->aBeam[cur].node & GRAPH_DONE));
    if( i<s->nBeam ) GRAPH_PREFETCH(graphRow(g, s->aBeam[i].node & ~GRAPH_DONE));
  }
  return 0;
}

static void graphForget(const LscGraph *g, GraphScratch *s){
  memset(s->aSeen, 0, ((size_t)g->nNode/64 + 1)*sizeof(*s->aSeen));
}

/* Picks the marks anew when they are too few or too old. */
static void graphPickMarks(LscGraph *g){
  uint32_t nLoaded = g->nNode - g->nDead - g->nUnloaded, nWanted, i, nKept = 0;
  uint64_t x = 0x2545f4914f6cdd1du;
  for(i=0; i<g->nMark; i++){
    if( g->aState[g->aMark[i]] & GRAPH_LOADED ) g->aMark[nKept++] = g->aMark[i];
  }
  g->nMark = nKept;
  nWanted = (uint32_t)(2*sqrt((double)nLoaded));
  if( nWanted>GRAPH_MARKS ) nWanted = GRAPH_MARKS;
  if( nKept>=nWanted/4*3 && nLoaded<2*(uint64_t)g->nMarkLoaded && nKept>0 ) return;
  g->nMark = 0;
  g->nMarkLoaded = nLoaded;
  for(i=0; g->nMark<nWanted && i<64*GRAPH_MARKS; i++){
    uint32_t node;
    x = x*6364136223846793005u + 1442695040888963407u;
    node = (uint32_t)((x>>33)*g->nNode>>31);
    if( g->aState[node] & GRAPH_LOADED ) g->aMark[g->nMark++] = node;
  }
  for(i=0; g->nMark==0 && i<g->nNode; i++){
    if( g->aState[i] & GRAPH_LOADED ) g->aMark[g->nMark++] = i;
  }
}

/* The nodes to begin at, besides the caller's: the marks that are nearest. */
static uint32_t graphBestMarks(const LscGraph *g, const GraphQuery *q, const uint32_t *aMark, uint32_t nMark,
                               uint32_t aStart[GRAPH_STARTS]){
  float aNear[GRAPH_STARTS];
  uint32_t n = 0, i, j;
  for(i=0; i<nMark; i++){
    float d;
    if( i+4<nMark ) GRAPH_PREFETCH(q->pCoded ? g->aCode + aMark[i+4]*g->nCode : graphVector(g, aMark[i+4]));
    d = q->pCoded ? graphCodedNear(g, q->pCoded, aMark[i]) : graphNear(g, q, aMark[i]);
    if( n==GRAPH_STARTS && d>=aNear[n-1] ) continue;
    j = n<GRAPH_STARTS ? n++ : n-1;
    for(; j>0 && aNear[j-1]>d; j--){
      aNear[j] = aNear[j-1];
      aStart[j] = aStart[j-1];
    }
    aNear[j] = d;
    aStart[j] = aMark[i];
  }
  return n;
}

/* A walk of the graph's own thread, from the caller's nodes and the marks. */
static int graphSearchBeam(LscGraph *g, const GraphQuery *q, uint32_t ef, const uint32_t *aStart, uint32_t nStart){
  uint32_t aAll[GRAPH_STARTS + 64], n, i;
  int rc = graphScratch(g, &g->s, ef, g->s.bFar ? ef : 0);
  if( rc ) return rc;
  graphPickMarks(g);
  n = graphBestMarks(g, q, g->aMark, g->nMark, aAll);
  for(i=0; i<nStart && i<64; i++) aAll[n++] = aStart[i];
  for(i=0; n==0 && i<g->nNode; i++){
    if( (g->aState[i] & GRAPH_DEAD)==0 ) aAll[n++] = i;
  }
  return graphWalk(g, &g->s, q, ef, aAll, n);
}

static void graphSift(const LscGraph *g, LscGraphHit *a, uint32_t n, uint32_t i){
  LscGraphHit hit = a[i];
  uint32_t c;
  while( (c = 2*i+1)<n ){
    if( c+1<n && graphBefore(g, &a[c], &a[c+1]) ) c++;
    if( !graphBefore(g, &hit, &a[c]) ) break;
    a[i] = a[c];
    i = c;
  }
  a[i] = hit;
}

/* Nearest first, by id where distances are equal. */
static void graphSort(const LscGraph *g, LscGraphHit *a, uint32_t n){
  uint32_t i = 1;
  while( i<n && !graphBefore(g, &a[i], &a[i-1]) ) i++;
  if( i>=n ) return;
  for(i=n/2; i-->0; ) graphSift(g, a, n, i);
  while( n>1 ){
    LscGraphHit hit = a[--n];
    a[n] = a[0];
    a[0] = hit;
    graphSift(g, a, n, 0);
  }
}

static void graphHeapOffer(LscGraph *g, uint32_t ef, float d, uint32_t node){
  GraphScratch *s = &g->s;
  LscGraphHit hit;
  uint32_t j;
  if( s->nBeam==ef && d>s->aBeam[0].distance ) return;
  hit.distance = d;
  hit.node = node;
  if( s->nBeam<ef ){
    for(j=s->nBeam++; j>0 && graphBefore(g, &s->aBeam[(j-1)/2], &hit); j=(j-1)/2) s->aBeam[j] = s->aBeam[(j-1)/2];
    s->aBeam[j] = hit;
  }else if( graphBefore(g, &hit, &s->aBeam[0]) ){
    s->aBeam[0] = hit;
    graphSift(g, s->aBeam, ef, 0);
  }
}

/* The beam becomes the nearest of all nodes, at most ef. */
static int graphScan(LscGraph *g, const GraphQuery *q, uint32_t ef){
  uint32_t i;
  int rc = graphScratch(g, &g->s, ef, 0);
  if( rc ) return rc;
  g->s.nBeam = 0;
  if( q->pCoded ){
    graphScanCodes(g, q->pCoded, ef);
    return 0;
  }
  for(i=0; i<g->nNode; i++){
    if( (g->aState[i] & GRAPH_LOADED)==0 ) continue;
    GRAPH_PREFETCH(graphVector(g, i) + 2*g->nStride);
    graphHeapOffer(g, ef, graphNear(g, q, i), i);
  }
  return 0;
}

/* Exact distances for the nearest nMost of the beam, if they are not; the others go. */
static void graphExact(const LscGraph *g, GraphScratch *s, const GraphQuery *q, uint32_t nMost){
  uint32_t i;
  if( s->nBeam>nMost ) s->nBeam = nMost;
  for(i=0; i<s->nBeam; i++){
    if( i+4<s->nBeam ) GRAPH_PREFETCH(graphVector(g, s->aBeam[i+4].node));
    s->aBeam[i].distance = graphNear(g, q, s->aBeam[i].node);
  }
}

/* Leaves loaded nodes in the beam, without their flags: the distances of others may not be exact. */
static void graphFinish(const LscGraph *g, GraphScratch *s){
  uint32_t i, n = 0;
  for(i=0; i<s->nBeam; i++){
    LscGraphHit hit = s->aBeam[i];
    hit.node &= ~GRAPH_DONE;
    if( g->aState[hit.node] & GRAPH_LOADED ) s->aBeam[n++] = hit;
  }
  s->nBeam = n;
}

/* The first k of the beam that are wanted, in order, to aHit; *pRank is how far one had to look. aAsked remembers
** 1 + what xAllow said of a node. */
static int graphTake(LscGraph *g, const GraphQuery *q, uint32_t k, int (*xAllow)(void*, int64_t), void *pAllow,
                     uint8_t *aAsked, LscGraphHit *aHit,
                     uint32_t *pnHit, uint32_t *pRank){
  GraphScratch *s = &g->s;
  uint32_t i, n = 0;
  graphFinish(g, s);
  graphSort(g, s->aBeam, s->nBeam);
  if( q->pCoded ){
    graphExact(g, s, q, xAllow ? s->nBeam : 2*k + 100);
    graphSort(g, s->aBeam, s->nBeam);
  }
  for(i=0; i<s->nBeam && n<k; i++){
    uint32_t node = s->aBeam[i].node;
    if( xAllow ){
      if( aAsked[node]==0 ){
        int bAllow = xAllow(pAllow, g->aId[node]);
        if( bAllow<0 ) return LSC_GRAPH_STOPPED;
        aAsked[node] = (uint8_t)(1 + (bAllow!=0));
      }
      if( aAsked[node]==1 ) continue;
    }
    aHit[n++] = s->aBeam[i];
  }
  *pnHit = n;
  *pRank = i;
  return 0;
}

/* A vector that is no node's. */
static GraphQuery graphQueryFor(const LscGraph *g, const void *pVector){
  GraphQuery q;
  q.p = pVector;
  q.inverse = 1;
  q.pCoded = 0;
  if( g->c.metric==LSC_COS ){
    float aSum[3];
    g->pKernel->xCosF32(pVector, pVector, g->c.n, aSum);
    q.inverse = (float)(1/sqrt((double)aSum[1]));
    if( !(q.inverse<INFINITY) ) q.inverse = NAN;
  }
  return q;
}

static int lscGraphSearch(LscGraph *g, const void *pQuery, uint32_t k, uint32_t ef, const uint32_t *aStart,
                          uint32_t nStart,
                          int (*xAllow)(void *pCtx, int64_t id), void *pAllow, LscGraphHit *aHit, uint32_t *pnHit){
  uint32_t nHit = 0, iRank = 0, i;
  uint8_t *aAsked = 0;
  GraphQuery q = graphQueryFor(g, pQuery);
  GraphCoded coded;
  uint32_t base = 0;
  int rc = 0, bChosen, bWalked = 0;
  *pnHit = 0;
  if( k>lscGraphLive(g) && lscGraphIsWhole(g) ) k = lscGraphLive(g);
  if( k==0 || g->nNode==0 ) return 0;
  if( ef==0 ) ef = g->c.nSearch;
  bChosen = ef==0;
  if( bChosen && !lscGraphIsWhole(g) && k<=GRAPH_PATIENT ){
    rc = graphPatientWalk(g, &q, k, aStart, nStart, &ef);
    base = ef;
    bWalked = xAllow==0;
  }else if( bChosen ){
    rc = graphChooseBeam(g, k, &ef);
    base = graphBaseBeam(g);
  }
  if( rc ) goto out;
  if( ef<k ) ef = k;
  if( xAllow ){
    aAsked = LSC_GRAPH_MALLOC((uint64_t)g->nAlloc + 1);
    if( aAsked==0 ) return LSC_GRAPH_NOMEM;
    memset(aAsked, 0, g->nAlloc);
  }
  for(;;){
    int bScan = lscGraphIsWhole(g) && ef>graphScanBeam(g) && !bWalked, bAll;
    uint32_t nAlloc = g->nAlloc;
    q.pCoded = 0;
    if( bWalked ){
      /* the beam is there */
    }else if( g->nCode && lscGraphIsWhole(g) && lscGraphLive(g)>GRAPH_EXACT_SCAN && k<GRAPH_EXACT_SCAN ){
      rc = graphEncodeQuery(g, &q, &coded);
      if( rc ) goto out;
      q.pCoded = &coded;
    }
    if( bScan ){
      if( xAllow ) ef = lscGraphLive(g);
      else if( q.pCoded ) ef = 2*k + 100;
      rc = graphScan(g, &q, ef);
    }else if( !bWalked ){
      rc = graphSearchBeam(g, &q, ef, aStart, nStart);
      graphForget(g, &g->s);
    }
    if( rc ) goto out;
    if( xAllow && g->nAlloc>nAlloc ){
      rc = graphGrowArray(&aAsked, g->nAlloc, 1);
      if( rc ) goto out;
      memset(aAsked + nAlloc, 0, g->nAlloc - nAlloc);
    }
    bAll = g->s.nBeam<ef;
    bWalked = 0;
    rc = graphTake(g, &q, k, xAllow, pAllow, aAsked, aHit, &nHit, &iRank);
    if( rc || bScan ) goto out;
    if( nHit==k && (xAllow==0 || !bChosen || ef>=graphBeamFor(base, iRank)) ) break;
    if( bAll ){
      if( !lscGraphIsWhole(g) || ef>=g->nNode ) break;
      ef = g->nNode;
    }else{
      ef = ef>GRAPH_MAX_NODES/4 ? GRAPH_MAX_NODES : 4*ef;
    }
  }
out:
  LSC_GRAPH_FREE(aAsked);
  if( rc==0 ){
    for(i=0; i<nHit; i++){
      float d = graphRaw(g, &q, aHit[i].node);
      aHit[i].distance = g->c.metric==LSC_L2 ? sqrtf(d) : d;
    }
    *pnHit = nHit;
  }
  return rc;
}
