/*
** graph_edit.c: which edges a node has, and what an insert and a delete change. Included by engine.c behind
** graph_walk.c.
**
** Of the nodes near it, a node takes the nearest ones that are not covered: c is covered if a taken one, s, is nearer
** to c than the node is, by the factor alpha. It does so twice: first with alpha 1, which takes few edges in all
** directions, then with the index's alpha until there are enough. Copies, as near as makes no difference, cover nothing
** and are taken up to graphTwins(), so that edges out of the group remain; they form a chain, into which a new one is
** put.
**
** LscGraph.aIn counts the edges that lead to a node. The last one is not taken away.
*/
#include "graph_int.h"

enum { GRAPH_POOL=512, GRAPH_TWINS=3, GRAPH_FEW_ROWS=20000, GRAPH_FEW_EDGES=4 };

/* The edges to copies that a node has at most. */
static uint32_t graphTwins(const LscGraph *g){
  uint32_t n = g->c.nCap/4;
  return n<1 ? 1 : n>GRAPH_TWINS ? GRAPH_TWINS : n;
}

/*
** Of the n candidates, nearest first, the ones to take, at most nMax, are put in front, nearest first; returns their
** number. The distances are those from the node.
*/
static uint32_t graphPrune(const LscGraph *g, LscGraphHit *a, uint32_t n, uint32_t nMax){
  enum { OPEN, COVERED, OUT, TAKEN };
  uint8_t aFate[GRAPH_POOL] = {0};
  uint16_t aTested[GRAPH_POOL] = {0};
  uint32_t aCover[GRAPH_POOL];
  uint32_t nCover = 0, nTaken = 0, nTwins = 0, nTwinMax = graphTwins(g), i, j, pass;
  if( n>GRAPH_POOL ) n = GRAPH_POOL;
  for(pass=0; pass<2 && nTaken<nMax; pass++){
    for(i=0; i<n && nTaken<nMax; i++){
      float most = a[i].distance*0.9999f;
      GraphQuery q;
      if( aFate[i]>=OUT ) continue;
      if( a[i].distance<=g->twin || a[i].distance==INFINITY ){
        aFate[i] = nTwins<nTwinMax ? TAKEN : OUT;
        nTaken += nTwins<nTwinMax;
        nTwins += nTwins<nTwinMax;
        continue;
      }
      aFate[i] = TAKEN;
      q = graphQueryOf(g, a[i].node);
      for(j=aTested[i]; j<nCover; j++){
        float d = graphNear(g, &q, aCover[j]);
        if( d<most ){
          if( d*g->alpha<most ) aFate[i] = OUT;
          else if( pass==0 ) aFate[i] = COVERED;
          else continue;
          aTested[i] = (uint16_t)(j + 1);
          break;
        }
      }
      if( aFate[i]==TAKEN ){
        aCover[nCover++] = a[i].node;
        nTaken++;
      }
    }
  }
  for(i=j=0; i<n; i++){
    LscGraphHit hit = a[i];
    if( aFate[i]!=TAKEN ) continue;
    a[i] = a[j];
    a[j++] = hit;
  }
  return nTaken;
}

/* Sets a slot that is in use, or the next one. */
static int graphSetSlot(LscGraph *g, uint32_t node, uint32_t slot, uint32_t to, const LscGraphChanges *pChanges){
  uint32_t *aRow = graphRow(g, node);
  int bNew = slot==aRow[0], rc;
  if( bNew ){
    aRow[0]++;
  }else{
    uint32_t old = aRow[1+slot];
    g->aIn[old]--;
    g->nDeadEdge -= (g->aState[old] & GRAPH_DEAD)!=0;
  }
  aRow[1+slot] = to;
  g->aIn[to]++;
  g->nDeadEdge += (g->aState[to] & GRAPH_DEAD)!=0;
  if( pChanges==0 ) return 0;
  rc = pChanges->xSlot(pChanges->pCtx, g, node, slot);
  return rc==0 && bNew ? pChanges->xCount(pChanges->pCtx, g, node, aRow[0]) : rc;
}

/* Takes a slot away; the last one moves into it. */
static int graphDropSlot(LscGraph *g, uint32_t node, uint32_t slot, const LscGraphChanges *pChanges){
  uint32_t *aRow = graphRow(g, node), n = aRow[0] - 1, old = aRow[1+slot];
  int rc = 0;
  g->aIn[old]--;
  g->nDeadEdge -= (g->aState[old] & GRAPH_DEAD)!=0;
  aRow[1+slot] = aRow[1+n];
  aRow[0] = n;
  if( pChanges==0 ) return 0;
  if( slot<n ) rc = pChanges->xSlot(pChanges->pCtx, g, node, slot);
  return rc ? rc : pChanges->xCount(pChanges->pCtx, g, node, n);
}

/* Takes away the edges to dead nodes. */
static int graphClean(LscGraph *g, uint32_t node, const LscGraphChanges *pChanges){
  const uint32_t *aRow = graphRow(g, node);
  uint32_t i;
  int rc = 0;
  for(i=g->nDeadEdge ? aRow[0] : 0; i-->0 && rc==0; ){
    if( g->aState[aRow[1+i]] & GRAPH_DEAD ) rc = graphDropSlot(g, node, i, pChanges);
  }
  return rc;
}

/* The slot of an edge, or the number of edges. */
static uint32_t graphFindSlot(const LscGraph *g, uint32_t node, uint32_t to){
  const uint32_t *aRow = graphRow(g, node);
  uint32_t i;
  for(i=0; i<aRow[0] && aRow[1+i]!=to; i++){}
  return i;
}

static uint32_t graphCap(const LscGraph *g){
  return g->c.nCap<g->nSlot ? g->c.nCap : g->nSlot;
}

/* With how many edges a node begins, which leaves room for edges back. */
static uint32_t graphFirstEdges(const LscGraph *g){
  return graphCap(g) - graphCap(g)/4;
}

/* How many nodes, of the nearest, get an edge to a new one. Each is a block to be written. */
static uint32_t graphBackEdges(const LscGraph *g){
  uint32_t n = graphCap(g)*3/8;
  return n<4 ? 4 : n;
}

/* The edges of a node, other than to `but`, with their distances, nearest first. */
static uint32_t graphNeighbours(const LscGraph *g, uint32_t node, uint32_t but, LscGraphHit *a){
  const uint32_t *aRow = graphRow(g, node);
  GraphQuery q = graphQueryOf(g, node);
  uint32_t i, n = 0;
  for(i=1; i<=aRow[0] && n<GRAPH_POOL-1; i++){
    if( aRow[i]==but ) continue;
    a[n].node = aRow[i];
    a[n++].distance = graphNear(g, &q, aRow[i]);
  }
  graphSort(g, a, n);
  return n;
}

/*
** An edge of a full node to one more, in place of one, so that a block changes in one place; unless a nearer one covers
** the new one. What goes is the farthest that the new one covers, else the farthest.
*/
static int graphSqueeze(LscGraph *g, uint32_t node, const LscGraphHit *pTo, const LscGraphChanges *pChanges){
  const uint32_t *aRow = graphRow(g, node);
  GraphQuery q = graphQueryOf(g, node), qTo = graphQueryOf(g, pTo->node);
  uint32_t nRow = aRow[0], i, iFar = nRow, iCovered = nRow;
  float far = pTo->distance, covered = pTo->distance;
  for(i=0; i<nRow; i++) GRAPH_PREFETCH(graphVector(g, aRow[1+i]));
  for(i=0; i<nRow; i++){
    float d = graphNear(g, &q, aRow[1+i]), between;
    if( d>covered || d<pTo->distance ){
      between = graphNear(g, &qTo, aRow[1+i]);
      if( d<pTo->distance && between*g->alpha<pTo->distance*0.9999f ) return 0;
      if( d>covered && between*g->alpha<d*0.9999f && g->aIn[aRow[1+i]]>1 ){
        covered = d;
        iCovered = i;
      }
    }
    if( d>far && g->aIn[aRow[1+i]]>1 ){
      far = d;
      iFar = i;
    }
  }
  if( iCovered<nRow ) iFar = iCovered;
  return iFar<nRow ? graphSetSlot(g, node, iFar, pTo->node, pChanges) : 0;
}

/* An edge between copies. When there are enough already, the new node goes between two of them. */
static int graphAddTwin(LscGraph *g, uint32_t node, uint32_t to, const LscGraphChanges *pChanges){
  const uint32_t *aRow = graphRow(g, node);
  GraphQuery q = graphQueryOf(g, node);
  uint32_t i, slot = 0, nTwins = 0, next;
  int rc;
  for(i=0; i<aRow[0]; i++){
    float d = graphNear(g, &q, aRow[1+i]);
    if( d<=g->twin || d==INFINITY ){
      slot = i;
      nTwins++;
    }
  }
  if( nTwins<graphTwins(g) && aRow[0]<graphCap(g) ) return graphSetSlot(g, node, aRow[0], to, pChanges);
  if( nTwins==0 || g->aIn[to]>0 ) return 0;
  next = aRow[1+slot];
  if( next!=to && graphFindSlot(g, to, next)==graphRow(g, to)[0] ){
    if( graphRow(g, to)[0]==graphCap(g) ) return 0;
    rc = graphSetSlot(g, to, graphRow(g, to)[0], next, pChanges);
    if( rc ) return rc;
  }
  return graphSetSlot(g, node, slot, to, pChanges);
}

static int graphAddEdge(LscGraph *g, uint32_t node, const LscGraphHit *pTo, const LscGraphChanges *pChanges){
  int rc = graphClean(g, node, pChanges);
  uint32_t n = graphRow(g, node)[0];
  if( rc || graphFindSlot(g, node, pTo->node)<n ) return rc;
  if( pTo->distance<=g->twin || pTo->distance==INFINITY ) return graphAddTwin(g, node, pTo->node, pChanges);
  if( n<graphCap(g) ) return graphSetSlot(g, node, n, pTo->node, pChanges);
  return graphSqueeze(g, node, pTo, pChanges);
}

/*
** An edge to a node that has none, from one of these, nearest first: from one with room, else instead of the farthest
** edge that is not the last one to where it leads. If there is no such edge, the new node goes between the first one
** and the end of one.
*/
static int graphForceEdge(LscGraph *g, const LscGraphHit *aFrom, uint32_t nFrom, uint32_t to,
                          const LscGraphChanges *pChanges){
  LscGraphHit a[GRAPH_POOL];
  uint32_t i, j, n, slot;
  int rc;
  for(i=0; i<nFrom; i++){
    uint32_t from = aFrom[i].node;
    if( from==to || (g->aState[from] & GRAPH_LOADED)==0 ) continue;
    n = graphRow(g, from)[0];
    if( n<graphCap(g) ) return graphSetSlot(g, from, n, to, pChanges);
    n = graphNeighbours(g, from, to, a);
    for(j=n; j-->0; ){
      if( g->aIn[a[j].node]>1 ) return graphSetSlot(g, from, graphFindSlot(g, from, a[j].node), to, pChanges);
    }
  }
  for(i=0; i<nFrom; i++){
    uint32_t from = aFrom[i].node, next;
    if( from==to || (g->aState[from] & GRAPH_LOADED)==0 || graphRow(g, from)[0]==0 ) continue;
    next = graphRow(g, from)[1];
    rc = graphSetSlot(g, from, 0, to, pChanges);
    if( rc || graphFindSlot(g, to, next)<graphRow(g, to)[0] ) return rc;
    n = graphRow(g, to)[0];
    for(slot=n<graphCap(g) ? n : 0; slot<n && g->aIn[graphRow(g, to)[1+slot]]<2; slot++){}
    return graphSetSlot(g, to, slot<n || n<graphCap(g) ? slot : n-1, next, pChanges);
  }
  return 0;
}

/* Candidates for the edges of a node: what a walk to it has met, nearest first. */
static int graphGather(LscGraph *g, uint32_t node, uint32_t ef, const uint32_t *aStart, uint32_t nStart, LscGraphHit *a,
                       uint32_t *pn){
  GraphQuery q = graphQueryOf(g, node);
  GraphScratch *s = &g->s;
  void *pCopy = LSC_GRAPH_MALLOC(g->nByte);   /* loading nodes moves the vectors */
  GraphCoded coded;
  uint32_t i, n;
  int rc;
  if( pCopy==0 ) return LSC_GRAPH_NOMEM;
  memcpy(pCopy, q.p, g->nByte);
  q.p = pCopy;
  if( g->nCode && lscGraphIsWhole(g) && (g->aState[node] & GRAPH_EXACT) ){
    graphCodedNode(g, node, &coded);
    q.pCoded = &coded;
  }
  s->bFar = 1;
  graphSee(s, node);
  rc = graphSearchBeam(g, &q, ef, aStart, nStart);
  s->bFar = 0;
  graphForget(g, s);
  if( rc ) goto out;
  graphFinish(g, s);
  n = s->nBeam<GRAPH_POOL/2 ? s->nBeam : GRAPH_POOL/2;
  memcpy(a, s->aBeam, n*sizeof(*a));
  for(i=0; i<s->nFar && n<GRAPH_POOL/2; i++){
    a[n] = s->aFar[i];
    a[n++].node &= ~GRAPH_DONE;
  }
  for(i=0; i<n && q.pCoded; i++){
    if( i+4<n ) GRAPH_PREFETCH(graphVector(g, a[i+4].node));
    a[i].distance = graphNear(g, &q, a[i].node);
  }
  if( q.pCoded ) graphSort(g, a, n);
  /* A copy's edges out of the group: the beam may be full of copies. */
  if( n>0 && a[0].distance<=g->twin ){
    const uint32_t *aRow = graphRow(g, a[0].node);
    for(i=1; i<=aRow[0] && n<GRAPH_POOL; i++){
      uint32_t j = 0;
      if( aRow[i]==node || (g->aState[aRow[i]] & GRAPH_LOADED)==0 ) continue;
      while( j<n && a[j].node!=aRow[i] ) j++;
      if( j<n ) continue;
      a[n].node = aRow[i];
      a[n++].distance = graphNear(g, &q, aRow[i]);
    }
  }
  graphSort(g, a, n);
  *pn = n;
out:
  LSC_GRAPH_FREE(pCopy);
  return rc;
}

static uint32_t graphInsertBeam(const LscGraph *g){
  uint32_t ef = g->c.nInsert ? g->c.nInsert : 64;
  return ef<GRAPH_POOL/2 ? ef : GRAPH_POOL/2;
}

/* Where nodes have very few edges, a change nearby may cut nodes off: all are looked at. */
static int graphKeepWhole(LscGraph *g, uint32_t from, const LscGraphChanges *pChanges){
  if( g->c.nCap>GRAPH_FEW_EDGES || !lscGraphIsWhole(g) || lscGraphLive(g)<2 ) return 0;
  while( g->aState[from] & GRAPH_DEAD ) from = (from + 1)%g->nNode;
  return graphRepair(g, from, pChanges);
}

static int lscGraphInsert(LscGraph *g, uint32_t node, const uint32_t *aStart, uint32_t nStart,
                          const LscGraphChanges *pChanges){
  LscGraphHit a[GRAPH_POOL];
  uint32_t n, nTaken, i, nIn;
  int rc;
  if( (g->aState[node] & GRAPH_EXACT)==0 || graphRow(g, node)[0] ) return LSC_GRAPH_CORRUPT;
  if( g->c.nCap>g->nSlot && graphWiden(g, g->c.nCap<GRAPH_POOL-1 ? g->c.nCap : GRAPH_POOL-1) ) return LSC_GRAPH_NOMEM;
  graphSetLoaded(g, node);
  g->nBeamEdit++;
  rc = graphGather(g, node, graphInsertBeam(g), aStart, nStart, a, &n);
  if( rc ) return rc;
  nTaken = graphPrune(g, a, n, graphFirstEdges(g));
  graphSort(g, a, nTaken);
  nIn = g->aIn[node];
  for(i=0; i<nTaken && rc==0; i++) rc = graphSetSlot(g, node, i, a[i].node, pChanges);
  for(i=0; i<nTaken && rc==0 && g->aIn[node]<nIn+graphBackEdges(g); i++){
    LscGraphHit to = a[i];
    to.node = node;
    rc = graphAddEdge(g, a[i].node, &to, pChanges);
  }
  if( rc==0 && g->aIn[node]==0 && nTaken>0 ) rc = graphForceEdge(g, a, nTaken, node, pChanges);
  return rc ? rc : graphKeepWhole(g, node, pChanges);
}

/* What p gets in place of its edge to a node that goes: the nearest of aTo that its other edges do not cover. */
static int graphReplace(LscGraph *g, uint32_t p, uint32_t gone, const uint32_t *aTo, uint32_t nTo,
                        const LscGraphChanges *pChanges){
  LscGraphHit aOld[GRAPH_POOL], a[GRAPH_POOL];
  uint32_t slot = graphFindSlot(g, p, gone), nOld, n = 0, i, j, nAdded = 0, nWanted;
  GraphQuery q = graphQueryOf(g, p);
  int rc = 0;
  if( slot==graphRow(g, p)[0] ) return 0;
  nOld = graphNeighbours(g, p, gone, aOld);
  for(i=0; i<nTo && n<GRAPH_POOL; i++){
    if( aTo[i]==p || (g->aState[aTo[i]] & GRAPH_LOADED)==0 || graphFindSlot(g, p, aTo[i])<graphRow(g, p)[0] ) continue;
    a[n].node = aTo[i];
    a[n++].distance = graphNear(g, &q, aTo[i]);
  }
  graphSort(g, a, n);
  nWanted = nOld<graphCap(g)*3/4 ? 2 : 1;
  for(i=0; i<n && nAdded<nWanted && rc==0; i++){
    GraphQuery qc = graphQueryOf(g, a[i].node);
    float most = a[i].distance*0.9999f;
    for(j=0; j<nOld; j++){
      if( graphNear(g, &qc, aOld[j].node)*g->alpha<most ) break;
    }
    if( j<nOld ) continue;
    if( nAdded && graphRow(g, p)[0]>=graphCap(g) ) break;
    rc = graphSetSlot(g, p, nAdded ? graphRow(g, p)[0] : slot, a[i].node, pChanges);
    if( nOld<GRAPH_POOL ) aOld[nOld++] = a[i];
    nAdded++;
  }
  if( rc || nAdded ) return rc;
  if( nOld==0 && n>0 ) return graphSetSlot(g, p, slot, a[0].node, pChanges);
  return graphDropSlot(g, p, slot, pChanges);
}

/* Until an edge to the node is known: most of those that it has edges to have one back. */
static int graphLoadBack(LscGraph *g, uint32_t node){
  uint32_t i;
  int rc = 0;
  for(i=1; rc==0 && g->aIn[node]==0 && g->nUnloaded && i<=graphRow(g, node)[0]; i++){
    rc = graphLoad(g, graphRow(g, node)[i]);
    if( rc==LSC_GRAPH_GONE ) rc = 0;
  }
  return rc;
}

static int lscGraphDelete(LscGraph *g, uint32_t node, const LscGraphChanges *pChanges){
  LscGraphHit a[GRAPH_POOL];
  uint32_t *aTo = 0, nTo, i, n = 0;
  int rc = graphLoad(g, node);
  if( rc ) return rc==LSC_GRAPH_GONE ? 0 : rc;
  rc = graphClean(g, node, 0);
  if( rc ) return rc;
  nTo = graphRow(g, node)[0];
  aTo = LSC_GRAPH_MALLOC((nTo + (uint64_t)1)*sizeof(*aTo));
  if( aTo==0 ) return LSC_GRAPH_NOMEM;
  memcpy(aTo, graphRow(g, node) + 1, nTo*sizeof(*aTo));
  for(i=0; i<nTo && rc==0; i++){
    rc = graphLoad(g, aTo[i]);
    if( rc==LSC_GRAPH_GONE ) rc = 0;
    else if( rc==0 ) rc = graphReplace(g, aTo[i], node, aTo, nTo, pChanges);
  }
  if( rc==0 && (g->aIn[node]>0 || !lscGraphIsWhole(g)) ){
    rc = graphGather(g, node, graphInsertBeam(g), aTo, nTo, a, &n);
    for(i=0; i<n && rc==0; i++){
      rc = graphClean(g, a[i].node, pChanges);
      if( rc==0 ) rc = graphReplace(g, a[i].node, node, aTo, nTo, pChanges);
    }
  }
  if( rc==0 && g->aIn[node]>0 && lscGraphIsWhole(g) && g->nNode>GRAPH_FEW_ROWS ){
    rc = graphGather(g, node, GRAPH_POOL/2, aTo, nTo, a, &n);
    for(i=0; i<n && rc==0 && g->aIn[node]>0; i++) rc = graphReplace(g, a[i].node, node, aTo, nTo, pChanges);
  }
  for(i=0; i<g->nNode && rc==0 && g->aIn[node]>0 && lscGraphIsWhole(g); i++){
    if( graphFindSlot(g, i, node)<graphRow(g, i)[0] ) rc = graphReplace(g, i, node, aTo, nTo, pChanges);
  }
  g->nBeamEdit++;
  graphSetDead(g, node);
  for(i=0; i<nTo && rc==0; i++){
    rc = graphLoadBack(g, aTo[i]);
    if( rc || g->aIn[aTo[i]]>0 || (g->aState[aTo[i]] & GRAPH_LOADED)==0 ) continue;
    rc = graphGather(g, aTo[i], graphInsertBeam(g), 0, 0, a, &n);
    if( rc==0 && g->aIn[aTo[i]]==0 ) rc = graphForceEdge(g, a, n, aTo[i], pChanges);
  }
  LSC_GRAPH_FREE(aTo);
  return rc ? rc : graphKeepWhole(g, node, pChanges);
}
