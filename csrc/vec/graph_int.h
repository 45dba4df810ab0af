/*
** graph_int.h: what the graph_*.c files share.
*/
#ifndef LSC_GRAPH_INT_H
#define LSC_GRAPH_INT_H

#include <math.h>
#include <string.h>
#include "graph.h"

/* A program without SQLite defines these three itself. */
#ifndef LSC_GRAPH_REALLOC
# define LSC_GRAPH_MALLOC(n) sqlite3_malloc64(n)
# define LSC_GRAPH_REALLOC(p, n) sqlite3_realloc64(p, n)
# define LSC_GRAPH_FREE(p) sqlite3_free(p)
#endif
#ifdef __GNUC__
# define GRAPH_PREFETCH(p) __builtin_prefetch(p)
#else
# define GRAPH_PREFETCH(p) (void)(p)
#endif

enum { GRAPH_VECTOR=1, GRAPH_EXACT=2, GRAPH_LOADED=4, GRAPH_DEAD=8, GRAPH_FREE=16 };       /* of a node */
enum { GRAPH_MARKS=512 };             /* nodes that a search tries to begin at, at most */
/* Vectors that are looked at in the time for one that is followed; with and without codes. */
#ifndef GRAPH_SCAN
# define GRAPH_SCAN(g) ((g)->nCode ? 90 : 25)
#endif
#define GRAPH_MAX_NODES 0x7fffffffu
#define GRAPH_DONE 0x80000000u        /* in an entry of a beam: its edges were followed */

typedef struct GraphProbe GraphProbe;
typedef struct GraphAlike { uint32_t hash, n; } GraphAlike;
enum { GRAPH_ALIKE=8192 };            /* of these there is room for */

/* What a walk works with; one for each thread. */
typedef struct GraphScratch {
  uint64_t *aSeen;                    /* a bit for each node that LscGraph.nAlloc has room for */
  LscGraphHit *aBeam;                 /* nearest first */
  uint32_t nBeam, nBeamAlloc;
  LscGraphHit *aFar;                  /* nodes that were followed and then fell out of the beam, if bFar */
  uint32_t nFar, nFarAlloc;
  int bFar;
  unsigned char *aBytes;              /* a query's, see graph_codes.c */
  GraphProbe *pProbe;                 /* what is asked of a walk, or NULL */
  GraphAlike *aAlike;                 /* equal vectors in the beam of a walk that counts them, or NULL */
  uint32_t nAlike, nAlikeMost;        /* different ones; how many of each there may be, or 0 */
  uint32_t nFollowed;                 /* by the last walk */
} GraphScratch;

/* A query as bytes: graph_codes.c. */
typedef struct GraphCoded {
  const unsigned char *aByte;
  float scale, low;
  float whole;                        /* the sum of all elements, as the bytes have it */
  float square;                       /* the dot product with itself */
} GraphCoded;

/* A vector to find the neighbours of; inverse is of its length, for cosines. pCoded: a walk takes distances from
** bytes. */
typedef struct GraphQuery {
  const void *p;
  float inverse;
  const GraphCoded *pCoded;
} GraphQuery;

struct LscGraph {
  LscGraphConfig c;
  const LscKernels *pKernel;
  float alpha;                        /* in the scale of graphNear() */
  float twin;                         /* vectors as near as this are copies, also in that scale */
  size_t nByte;                       /* of a vector, */
  size_t nStride;                     /* and from one to the next: a multiple of 64 */
  uint32_t nNode, nAlloc;
  uint32_t nDead;
  uint32_t nFree, iFree;              /* dead ones without an id; 1 + the first, the next is in its first slot */
  uint32_t nUnloaded;                 /* nodes neither dead nor loaded */
  uint64_t nDeadEdge;                 /* edges that lead to dead nodes */
  int64_t *aId;
  uint8_t *aState;                    /* GRAPH_... */
  uint32_t *aIn;                      /* edges that lead to the node */
  float *aInverse;                    /* cosine: 1/length, or NaN */
  unsigned char *pVectors, *aVector;  /* allocated; the first vector in that, */
  size_t iVector;                     /* so many bytes from its beginning */
  unsigned char *aCode;               /* vectors as bytes: graph_codes.c */
  size_t nCode;                       /* bytes from one to the next, or 0 */
  uint32_t *aEdge;                    /* for each node the number of edges, then nSlot of them */
  uint32_t nSlot;                     /* at most LscGraphConfig.nCap but while building */
  uint32_t *aHash;                    /* nodes + 1 by id, at most half full */
  uint32_t nHash;
  uint32_t aMark[GRAPH_MARKS];        /* loaded nodes picked at random */
  uint32_t nMark, nMarkLoaded;        /* how many were loaded then */
  uint32_t beam, nBeamLive;           /* tried out, and how many nodes were there then; or 0 */
  uint32_t nBeamEdit;                 /* nodes that came and went since */
  uint8_t bBeamAll;                   /* no beam was better than looking at all nodes */
  GraphScratch s;
};

static inline const unsigned char *graphVector(const LscGraph *g, uint32_t node){
  return g->aVector + (size_t)node*g->nStride;
}

static inline uint32_t *graphRow(const LscGraph *g, uint32_t node){
  return g->aEdge + (size_t)node*(g->nSlot + 1);
}

/* The distance, for L2 its square; NaN if there is none. */
static inline float graphRaw(const LscGraph *g, const GraphQuery *q, uint32_t node){
  const unsigned char *p = graphVector(g, node);
  switch( g->c.metric ){
    case LSC_COS: return 1.0f - g->pKernel->xDotF32(q->p, p, g->c.n)*q->inverse*g->aInverse[node];
    case LSC_L2: return g->pKernel->xL2F32(q->p, p, g->c.n);
    default: return (float)g->pKernel->xHamming(q->p, p, g->nByte);
  }
}

/* What is compared: no distance is the largest one. */
static inline float graphNear(const LscGraph *g, const GraphQuery *q, uint32_t node){
  float d = graphRaw(g, q, node);
  return d<INFINITY ? d : INFINITY;
}

static inline GraphQuery graphQueryOf(const LscGraph *g, uint32_t node){
  GraphQuery q;
  q.pCoded = 0;
  q.p = graphVector(g, node);
  q.inverse = g->c.metric==LSC_COS ? g->aInverse[node] : 1;
  return q;
}

static inline int graphSeen(const GraphScratch *s, uint32_t node){
  return (int)(s->aSeen[node>>6] >> (node & 63) & 1);
}

static inline void graphSee(GraphScratch *s, uint32_t node){
  s->aSeen[node>>6] |= (uint64_t)1 << (node & 63);
}

/* Nearer, or as near with a smaller id. */
static inline int graphBefore(const LscGraph *g, const LscGraphHit *a, const LscGraphHit *b){
  return a->distance<b->distance || (a->distance==b->distance && g->aId[a->node]<g->aId[b->node]);
}

/* graph.c */
static int graphScratch(const LscGraph *g, GraphScratch *s, uint32_t nBeam, uint32_t nFar);
static void graphScratchFree(GraphScratch *s);
static int graphGrowArray(void *ppArray, uint64_t n, size_t nItem);
static int graphWiden(LscGraph *g, uint32_t nSlot);
static int graphLoad(LscGraph *g, uint32_t node);
static void graphSetDead(LscGraph *g, uint32_t node);
static void graphSetLoaded(LscGraph *g, uint32_t node);

/* graph_codes.c */
static size_t graphCodeStride(const LscGraph *g);
static void graphEncodeNode(LscGraph *g, uint32_t node);
static int graphEncodeQuery(LscGraph *g, const GraphQuery *q, GraphCoded *pOut);
static inline float graphCodedNear(const LscGraph *g, const GraphCoded *q, uint32_t node);
static void graphScanCodes(LscGraph *g, const GraphCoded *q, uint32_t ef);

/* graph_walk.c */
static void graphHeapOffer(LscGraph *g, uint32_t ef, float d, uint32_t node);
static int graphWalk(LscGraph *g, GraphScratch *s, const GraphQuery *q, uint32_t ef, const uint32_t *aStart,
                     uint32_t nStart);
static void graphForget(const LscGraph *g, GraphScratch *s);
static int graphSearchBeam(LscGraph *g, const GraphQuery *q, uint32_t ef, const uint32_t *aStart, uint32_t nStart);
static void graphFinish(const LscGraph *g, GraphScratch *s);
static void graphSort(const LscGraph *g, LscGraphHit *a, uint32_t n);
static uint64_t graphHashVector(const LscGraph *g, uint32_t node);

/* graph_beam.c */
enum { GRAPH_UNKNOWN_BEAM=200 };
static int graphProbe(const GraphScratch *s, GraphProbe *p);
static uint32_t graphProbeNext(const GraphProbe *p);
static uint32_t graphScanBeam(const LscGraph *g);
static uint32_t graphBeamFor(uint32_t beam, uint32_t k);
static uint32_t graphBaseBeam(const LscGraph *g);
static int graphChooseBeam(LscGraph *g, uint32_t k, uint32_t *pBeam);
static int graphPatientWalk(LscGraph *g, const GraphQuery *q, uint32_t k, const uint32_t *aStart, uint32_t nStart,
                            uint32_t *pBeam);

/* graph_edit.c */
static uint32_t graphPrune(const LscGraph *g, LscGraphHit *a, uint32_t n, uint32_t nMax);

/* graph_repair.c */
static int graphRepair(LscGraph *g, uint32_t entry, const LscGraphChanges *pChanges);

#endif
