/*
** graph_codes.c: vectors of floats as bytes, for distances that are nearly right and need a quarter of the memory to be
** read. Included by engine.c behind graph.c.
**
** An element is scale*byte + low, so a dot product follows from that of the bytes and from their sums. Searches of a
** graph that is whole rank by these distances, and then rank the best anew by the exact ones. Behind a vector's bytes
** lie
**
**     scale, scale * sum of the bytes, low (cosine: of the vector of length 1), dot product with itself
**
** Vectors of few elements, and bits, have no codes.
*/
#include "graph_int.h"

enum { GRAPH_CODES_FROM=32, GRAPH_BLOCK=64 };

static size_t graphCodeStride(const LscGraph *g){
  if( g->c.metric==LSC_HAMMING || g->c.n<GRAPH_CODES_FROM ) return 0;
  return ((size_t)g->c.n + 15)/16*16 + 4*sizeof(float);
}

/* Writes n bytes and their four numbers. */
static void graphEncode(const float *a, uint32_t n, float inverse, unsigned char *aOut, float aFoot[4]){
  float low = a[0], high = a[0], scale, per, square = 0;
  uint32_t i, sum = 0;
  for(i=1; i<n; i++){
    low = a[i]<low ? a[i] : low;
    high = a[i]>high ? a[i] : high;
  }
  scale = (high - low)/255;
  per = scale>0 && scale<INFINITY ? 1/scale : 0;
  for(i=0; i<n; i++){
    float x = (a[i] - low)*per + 0.5f;
    aOut[i] = (unsigned char)(x>0 ? x<255 ? x : 255 : 0);
    sum += aOut[i];
    square += a[i]*a[i];
  }
  aFoot[0] = scale*inverse;
  aFoot[1] = scale*inverse*(float)sum;
  aFoot[2] = low*inverse;
  aFoot[3] = square;
}

static void graphEncodeNode(LscGraph *g, uint32_t node){
  unsigned char *p = g->aCode + node*g->nCode;
  float aFoot[4];
  if( g->nCode==0 ) return;
  graphEncode((const float*)(const void*)graphVector(g, node), g->c.n, g->aInverse ? g->aInverse[node] : 1, p, aFoot);
  memcpy(p + g->nCode - sizeof(aFoot), aFoot, sizeof(aFoot));
}

/* *pOut, with the bytes in the scratch, is the same vector as the query. */
static int graphEncodeQuery(LscGraph *g, const GraphQuery *q, GraphCoded *pOut){
  float aFoot[4];
  if( g->s.aBytes==0 && graphGrowArray(&g->s.aBytes, g->c.n, 1) ) return LSC_GRAPH_NOMEM;
  graphEncode(q->p, g->c.n, q->inverse, g->s.aBytes, aFoot);
  pOut->aByte = g->s.aBytes;
  pOut->scale = aFoot[0];
  pOut->low = aFoot[2];
  pOut->whole = aFoot[1] + (float)g->c.n*aFoot[2];
  pOut->square = aFoot[3];
  return 0;
}

/* A node as a query; valid as long as its row. */
static void graphCodedNode(const LscGraph *g, uint32_t node, GraphCoded *pOut){
  float aFoot[4];
  pOut->aByte = g->aCode + node*g->nCode;
  memcpy(aFoot, pOut->aByte + g->nCode - sizeof(aFoot), sizeof(aFoot));
  pOut->scale = aFoot[0];
  pOut->low = aFoot[2];
  pOut->whole = aFoot[1] + (float)g->c.n*aFoot[2];
  pOut->square = aFoot[3];
}

/* From the dot product of the bytes. */
static inline float graphFromBytes(const LscGraph *g, const GraphCoded *q, const unsigned char *p, uint32_t nDot){
  float aFoot[4], dot, d;
  memcpy(aFoot, p + g->nCode - sizeof(aFoot), sizeof(aFoot));
  dot = aFoot[0]*q->scale*(float)nDot + aFoot[1]*q->low + aFoot[2]*q->whole;
  d = g->c.metric==LSC_COS ? 1 - dot : aFoot[3] + q->square - 2*dot;
  return d<INFINITY ? d : INFINITY;
}

static inline float graphCodedNear(const LscGraph *g, const GraphCoded *q, uint32_t node){
  const unsigned char *p = g->aCode + node*g->nCode;
  uint32_t nDot;
  g->pKernel->xDotRowsU8(p, g->nCode, 1, q->aByte, g->c.n, &nDot);
  return graphFromBytes(g, q, p, nDot);
}

/* Offers all nodes to the beam of the graph's scratch, which becomes a heap with the farthest first. */
static void graphScanCodes(LscGraph *g, const GraphCoded *q, uint32_t ef){
  uint32_t aDot[GRAPH_BLOCK], iFrom, i, n;
  for(iFrom=0; iFrom<g->nNode; iFrom+=n){
    const unsigned char *p = g->aCode + iFrom*g->nCode;
    n = g->nNode-iFrom<GRAPH_BLOCK ? g->nNode - iFrom : GRAPH_BLOCK;
    g->pKernel->xDotRowsU8(p, g->nCode, n, q->aByte, g->c.n, aDot);
    for(i=0; i<n; i++, p+=g->nCode){
      if( g->aState[iFrom+i] & GRAPH_LOADED ) graphHeapOffer(g, ef, graphFromBytes(g, q, p, aDot[i]), iFrom + i);
    }
  }
}
