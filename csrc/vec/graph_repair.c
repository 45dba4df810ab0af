/*
** graph_repair.c: makes each node of a graph be reached from each. Included by engine.c behind graph_edit.c.
**
** First all nodes are made to be reached from the entry: those that are not get an edge from a node near to them that
** is. The edges by which nodes were reached first form a tree, and are not replaced. Then all are made to reach the
** entry: nodes are looked at from the ends of the tree, so one that does not reach the entry has nothing behind it in
** the tree, and may lose any edge for one to a node that does.
*/
#include "graph_int.h"

typedef struct GraphReach {
  LscGraph *g;
  const LscGraphChanges *pChanges;    /* or NULL */
  uint32_t *aParent;                  /* for each node that was reached, from where; GRAPH_DONE: not yet */
  uint32_t *aQueue;                   /* nodes in the order in which they were reached */
  uint32_t nQueue;
  uint64_t *aBack;                    /* the nodes with edges to node i begin at aBackFrom[aBack[i]] */
  uint32_t *aBackFrom;
  uint8_t *aBacked;                   /* the entry is reached from it */
} GraphReach;

/* Follows edges from node on, which `from` leads to. */
static void graphReachFrom(GraphReach *r, uint32_t node, uint32_t from){
  uint32_t i = r->nQueue;
  r->aParent[node] = from;
  r->aQueue[r->nQueue++] = node;
  for(; i<r->nQueue; i++){
    const uint32_t *aRow = graphRow(r->g, r->aQueue[i]);
    uint32_t j;
    for(j=1; j<=aRow[0]; j++){
      if( r->aParent[aRow[j]]!=GRAPH_DONE ) continue;
      r->aParent[aRow[j]] = r->aQueue[i];
      r->aQueue[r->nQueue++] = aRow[j];
    }
  }
}

/* The same against the edges. */
static void graphReachBack(GraphReach *r, uint32_t node, uint32_t *aStack){
  uint32_t n = 0;
  uint64_t i;
  r->aBacked[node] = 1;
  aStack[n++] = node;
  while( n ){
    node = aStack[--n];
    for(i=r->aBack[node]; i<r->aBack[node+1]; i++){
      uint32_t from = r->aBackFrom[i];
      if( r->aBacked[from] ) continue;
      r->aBacked[from] = 1;
      aStack[n++] = from;
    }
  }
}

/* The slot for another edge: the next one, else the farthest whose target was not reached by it; nCap if none. */
static uint32_t graphSpareSlot(const GraphReach *r, uint32_t node){
  const LscGraph *g = r->g;
  const uint32_t *aRow = graphRow(g, node);
  uint32_t nCap = graphCap(g), i, slot = nCap;
  GraphQuery q = graphQueryOf(g, node);
  float most = -INFINITY;
  if( aRow[0]<nCap ) return aRow[0];
  for(i=0; i<aRow[0]; i++){
    float d;
    if( r->aParent[aRow[1+i]]==node ) continue;
    d = graphNear(g, &q, aRow[1+i]);
    if( d>most ){
      most = d;
      slot = i;
    }
  }
  return slot;
}

/* Nodes near to this one that the entry leads to are in the beam then. */
static int graphReachNear(GraphReach *r, uint32_t node, uint32_t entry){
  GraphQuery q = graphQueryOf(r->g, node);
  int rc;
  graphSee(&r->g->s, node);
  rc = graphWalk(r->g, &r->g->s, &q, 64, &entry, 1);
  graphForget(r->g, &r->g->s);
  graphFinish(r->g, &r->g->s);
  return rc;
}

static int graphReachAll(GraphReach *r, uint32_t entry){
  LscGraph *g = r->g;
  uint32_t node, i, slot = 0, nCap = graphCap(g), from = entry;
  int rc = 0;
  for(node=0; node<g->nNode; node++) r->aParent[node] = GRAPH_DONE;
  graphReachFrom(r, entry, entry);
  for(node=0; node<g->nNode && rc==0; node++){
    if( r->aParent[node]!=GRAPH_DONE || (g->aState[node] & GRAPH_DEAD) ) continue;
    rc = graphReachNear(r, node, entry);
    if( rc ) break;
    for(i=0, slot=nCap; i<g->s.nBeam && slot==nCap; i++){
      from = g->s.aBeam[i].node;
      slot = graphSpareSlot(r, from);
    }
    for(i=r->nQueue; i-->0 && slot==nCap; ){
      from = r->aQueue[i];
      slot = graphSpareSlot(r, from);
    }
    rc = graphSetSlot(g, from, slot, node, r->pChanges);
    graphReachFrom(r, node, from);
  }
  return rc;
}

static int graphBackAll(GraphReach *r, uint32_t entry){
  LscGraph *g = r->g;
  uint64_t nEdge = 0;
  uint32_t node, i, *aStack;
  int rc = 0;
  for(node=0; node<g->nNode; node++) nEdge += graphRow(g, node)[0];
  if( graphGrowArray(&r->aBack, g->nNode + (uint64_t)1, sizeof(*r->aBack))
   || graphGrowArray(&r->aBackFrom, nEdge + g->nNode, sizeof(*r->aBackFrom))
   || graphGrowArray(&r->aBacked, g->nNode, 1) ) return LSC_GRAPH_NOMEM;
  memset(r->aBacked, 0, g->nNode);
  aStack = r->aBackFrom + nEdge;
  r->aBack[0] = 0;
  for(node=0; node<g->nNode; node++) r->aBack[node+1] = r->aBack[node] + g->aIn[node];
  for(node=g->nNode; node-->0; ){
    const uint32_t *aRow = graphRow(g, node);
    for(i=1; i<=aRow[0]; i++) r->aBackFrom[--r->aBack[aRow[i]+1]] = node;
  }
  /* Each beginning was moved down by its number: from the next node's place to its own. */
  memmove(r->aBack, r->aBack + 1, g->nNode*sizeof(*r->aBack));
  r->aBack[g->nNode] = nEdge;
  graphReachBack(r, entry, aStack);
  for(i=r->nQueue; i-->0 && rc==0; ){
    uint32_t slot, to = entry, j;
    node = r->aQueue[i];
    if( r->aBacked[node] ) continue;
    rc = graphReachNear(r, node, entry);
    for(j=0; j<g->s.nBeam; j++){
      to = g->s.aBeam[j].node;
      if( r->aBacked[to] ) break;
      to = entry;
    }
    slot = graphSpareSlot(r, node);
    if( rc==0 ) rc = graphSetSlot(g, node, slot, to, r->pChanges);
    graphReachBack(r, node, aStack);
  }
  return rc;
}

static int graphRepair(LscGraph *g, uint32_t entry, const LscGraphChanges *pChanges){
  GraphReach r;
  int rc;
  memset(&r, 0, sizeof(r));
  r.g = g;
  r.pChanges = pChanges;
  rc = graphScratch(g, &g->s, 64, 0);
  if( rc==0 ) rc = graphGrowArray(&r.aParent, g->nNode, sizeof(*r.aParent));
  if( rc==0 ) rc = graphGrowArray(&r.aQueue, g->nNode, sizeof(*r.aQueue));
  if( rc==0 ) rc = graphReachAll(&r, entry);
  if( rc==0 ) rc = graphBackAll(&r, entry);
  LSC_GRAPH_FREE(r.aParent);
  LSC_GRAPH_FREE(r.aQueue);
  LSC_GRAPH_FREE(r.aBack);
  LSC_GRAPH_FREE(r.aBackFrom);
  LSC_GRAPH_FREE(r.aBacked);
  return rc;
}
