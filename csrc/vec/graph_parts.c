/*
** graph_parts.c: what is needed to build a graph that does not fit into memory: centres of overlapping parts, which are
** built one by one, and the choice among the edges that a node got in several. Included by engine.c behind graph_build.c.
*/
#include "graph_int.h"

/* Bytes that lscGraphBuild() takes for each node, with what the graph itself has. */
static uint64_t lscGraphBuildBytes(const LscGraph *g){
  uint64_t nCap = g->c.nCap<GRAPH_POOL/4 ? g->c.nCap : GRAPH_POOL/4, nSlot = nCap + nCap/3 + 2;
  if( nSlot<g->nSlot ) nSlot = g->nSlot;
  return g->nStride + g->nCode + (nSlot + 1)*4 + nSlot*4 + nCap*4 + 80;
}

static int lscGraphReserve(LscGraph *g, uint32_t nNode){
  return graphGrow(g, nNode);
}

/* What edges are compared by: the distance, for L2 its square. */
static float lscGraphNear(const LscGraph *g, uint32_t a, uint32_t b){
  GraphQuery q = graphQueryOf(g, a);
  return graphNear(g, &q, b);
}

/* The centre of aCentre[] that is nearest to a node. */
static uint32_t graphNearestOf(const LscGraph *g, const GraphQuery *q, const uint32_t *aCentre, uint32_t nCentre){
  uint32_t i, iBest = 0;
  float best = INFINITY;
  for(i=0; i<nCentre; i++){
    float d = graphNear(g, q, aCentre[i]);
    if( d<best ){
      best = d;
      iBest = i;
    }
  }
  return iBest;
}

/*
** Picks nodes in the middle of groups of near ones. aWork has room for as many numbers as there are nodes. Some nodes are
** picked at random; then, a few times, each gives way to the one of its group that is nearest to others of the group.
*/
static void lscGraphCentres(const LscGraph *g, uint32_t nCentre, uint32_t *aCentre, uint32_t *aWork){
  enum { ROUNDS=4, TRIED=6, OTHERS=24 };
  uint32_t nRound = nCentre>256 ? 1 : ROUNDS, i, j, k, c;
  for(i=0; i<nCentre; i++) aCentre[i] = (uint32_t)((uint64_t)i*g->nNode/nCentre);
  while( nRound-->0 ){
    for(i=0; i<g->nNode; i++){
      GraphQuery q = graphQueryOf(g, i);
      aWork[i] = graphNearestOf(g, &q, aCentre, nCentre);
    }
    for(c=0; c<nCentre; c++){
      double best = INFINITY;
      uint32_t nTried = 0, iBest = aCentre[c];
      for(i=c%7; i<g->nNode && nTried<TRIED; i++){
        GraphQuery q = graphQueryOf(g, i);
        double sum = 0;
        if( aWork[i]!=c ) continue;
        nTried++;
        for(j=0, k=0; j<g->nNode && k<OTHERS; j++){
          if( aWork[j]!=c || j==i ) continue;
          sum += graphNear(g, &q, j);
          k++;
        }
        if( sum<best ){
          best = sum;
          iBest = i;
        }
      }
      aCentre[c] = iBest;
    }
  }
}

/* The centres by their distance from a vector, nearest first: aHit[].node is a number in aCentre. */
static void lscGraphRank(const LscGraph *g, const void *pVector, const uint32_t *aCentre, uint32_t nCentre,
                         LscGraphHit *aHit){
  GraphQuery q = graphQueryFor(g, pVector);
  uint32_t i, j;
  for(i=0; i<nCentre; i++){
    float d = graphNear(g, &q, aCentre[i]);
    for(j=i; j>0 && aHit[j-1].distance>d; j--) aHit[j] = aHit[j-1];
    aHit[j].distance = d;
    aHit[j].node = i;
  }
}

/* Of n candidates for a node's edges, the ones to take are put in front; their number. Distances are lscGraphNear()'s from
** the node, which need not be in the graph. */
static uint32_t lscGraphChoose(const LscGraph *g, LscGraphHit *a, uint32_t n, uint32_t nMax){
  graphSort(g, a, n);
  return graphPrune(g, a, n, nMax);
}
