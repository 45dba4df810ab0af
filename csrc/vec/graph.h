/*
** graph.h: the nodes of one vector index in memory, and the algorithms on them: search, insert, delete, and building
** all at once. No SQLite here: a C program can include kernels.h, this and the graph_*.c files alone.
**
** A node is known by its id. It has a vector, exact or, while only an edge to it has been read, approximate; once it is
** loaded it has edges too, which lead to other nodes. Nodes are loaded by LscGraphConfig.xLoad when an operation comes
** to them. The edges of a node lie in slots, 0 to their number - 1, and stay in their slot until they are changed.
**
** A graph belongs to one thread at a time. lscGraphBuild() makes threads of its own, which are gone when it returns.
** Whatever was got from the graph, an array or a vector, is valid until something is added to it; xLoad adds.
**
** Functions that give an int: 0; 7 no memory (SQLITE_NOMEM); 9 stopped (SQLITE_INTERRUPT); 11 what xLoad gave makes no
** sense (SQLITE_CORRUPT); or what a callback gave. After an error of an insert or a delete, the graph is to be freed.
*/
#ifndef LSC_GRAPH_H
#define LSC_GRAPH_H

#include <stddef.h>
#include <stdint.h>
#include "kernels.h"

#ifndef LSC_VECTOR_H
enum { LSC_COS=1, LSC_L2=2, LSC_DOT=3, LSC_HAMMING=4 };
#endif
enum { LSC_GRAPH_OK=0, LSC_GRAPH_NOMEM=7, LSC_GRAPH_STOPPED=9, LSC_GRAPH_CORRUPT=11, LSC_GRAPH_GONE=1000 };

typedef struct LscGraph LscGraph;
typedef struct LscGraphHit {
  float distance;
  uint32_t node;
} LscGraphHit;

typedef struct LscGraphConfig {
  int metric;                 /* LSC_COS or LSC_L2: vectors are floats; LSC_HAMMING: bits */
  uint32_t n;                 /* elements of a vector */
  uint32_t nCap;              /* edges that a node can have */
  float alpha;                /* of the metric's distances; an edge to c goes if alpha*distance(other, c) is less */
  uint32_t nInsert, nSearch;  /* beams; 0: chosen, see lscGraphBeam() */
  /* Gives `node` its exact vector and its edges. 0; LSC_GRAPH_GONE if there is no such row; or an error. */
  int (*xLoad)(void *pCtx, LscGraph *g, uint32_t node, int64_t id);      /* may be NULL if nothing is to be loaded */
  void *pCtx;
} LscGraphConfig;

/* Told of each change of a node's edges that lscGraphInsert() and lscGraphDelete() make, also of a new node's own. */
typedef struct LscGraphChanges {
  void *pCtx;
  int (*xSlot)(void *pCtx, LscGraph *g, uint32_t node, uint32_t slot);      /* leads elsewhere now, or is new */
  int (*xCount)(void *pCtx, LscGraph *g, uint32_t node, uint32_t nTo);      /* after that: the number is another */
} LscGraphChanges;

static int lscGraphNew(const LscGraphConfig *pConfig, LscGraph **pp);
static void lscGraphFree(LscGraph *g);
static uint64_t lscGraphBytes(const LscGraph *g);          /* that it holds */

/* The node of an id; made if there is none. A deleted id that comes again has its old node, until there was a sweep. */
static int lscGraphNode(LscGraph *g, int64_t id, uint32_t *pNode);

/* Once they are many, dead nodes that no edge leads to are given to new ids. To be called between operations: numbers of
** dead nodes mean nothing afterwards. */
static void lscGraphSweep(LscGraph *g);
static int64_t lscGraphId(const LscGraph *g, uint32_t node);
static uint32_t lscGraphCount(const LscGraph *g);          /* nodes; they are 0 to this - 1, some of them dead */
static uint32_t lscGraphLive(const LscGraph *g);           /* of these, the ones that may be found */
static int lscGraphIsLive(const LscGraph *g, uint32_t node);
static int lscGraphIsLoaded(const LscGraph *g, uint32_t node);
static int lscGraphIsUnknown(const LscGraph *g, uint32_t node);          /* no vector yet, nor found gone */
static int lscGraphIsWhole(const LscGraph *g);             /* every node that an edge leads to is loaded */

/* Copies n floats, or bits. exact=0: from an edge, ignored if the node has a vector, or was found gone. */
static void lscGraphSetVector(LscGraph *g, uint32_t node, const void *pVector, int exact);
static const void *lscGraphVector(const LscGraph *g, uint32_t node);      /* as it was given; at 64 bytes */

/* The node's edges, and by that it is loaded. More than nCap are CORRUPT. */
static int lscGraphSetEdges(LscGraph *g, uint32_t node, const uint32_t *aTo, uint32_t nTo);
static const uint32_t *lscGraphEdges(const LscGraph *g, uint32_t node, uint32_t *pnTo);

/* The beam for the k nearest where the caller names none. */
static uint32_t lscGraphBeam(const LscGraph *g, uint32_t k);

/* Finds that of a graph that is whole, for 10 nodes, if it was not yet; 0 for another graph. Twice of what was tried if
** none of that was wide enough. */
static int lscGraphTryOut(LscGraph *g, uint32_t *pBeam);

/*
** The k nearest live nodes, nearest first, equals by id, those at no distance (NaN) last; aHit has room for k. ef:
** beam, 0: LscGraphConfig.nSearch or chosen. aStart: nodes to begin at; may be none once nodes are loaded. xAllow (or
** NULL) says which ids are wanted: 1 or 0, negative: stop with SQLITE_INTERRUPT. It is asked once for an id, near ones
** first; the beam widens until k are found or everything was looked at. Distances in *aHit are exact.
*/
static int lscGraphSearch(LscGraph *g, const void *pQuery, uint32_t k, uint32_t ef, const uint32_t *aStart,
                          uint32_t nStart,
                          int (*xAllow)(void *pCtx, int64_t id), void *pAllow, LscGraphHit *aHit, uint32_t *pnHit);

/* Links a node that has an exact vector and no edges. pChanges may be NULL here and below. */
static int lscGraphInsert(LscGraph *g, uint32_t node, const uint32_t *aStart, uint32_t nStart,
                          const LscGraphChanges *pChanges);

/* Takes the node out; its row may still be there or not. Those that had edges to it get others, so that nothing is
** cut off. */
static int lscGraphDelete(LscGraph *g, uint32_t node, const LscGraphChanges *pChanges);

/*
** Links all nodes; each has its exact vector. The result is the same for any number of threads: each node can be
** reached from each, none has more than nCap edges. xProgress (or NULL) is called by this thread a few times a second;
** not 0 stops with LSC_GRAPH_STOPPED. *pEntry: a node in the middle, undefined without nodes.
*/
static int lscGraphBuild(LscGraph *g, int nThread, int (*xProgress)(void *pCtx, uint64_t nDone, uint64_t nTotal),
                         void *pProgress,
                         uint32_t *pEntry);

/* graph_parts.c: a graph built in parts that overlap. Each is said there. */
static uint64_t lscGraphBuildBytes(const LscGraph *g);
static int lscGraphReserve(LscGraph *g, uint32_t nNode);
static float lscGraphNear(const LscGraph *g, uint32_t a, uint32_t b);
static void lscGraphCentres(const LscGraph *g, uint32_t nCentre, uint32_t *aCentre, uint32_t *aWork);
static void lscGraphRank(const LscGraph *g, const void *pVector, const uint32_t *aCentre, uint32_t nCentre,
                         LscGraphHit *aHit);
static uint32_t lscGraphChoose(const LscGraph *g, LscGraphHit *a, uint32_t n, uint32_t nMax);

#endif
