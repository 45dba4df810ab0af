/*
** graph_build.c: all edges of a graph at once. Included by engine.c behind graph_edit.c.
**
** Nodes are linked in random order, in batches that grow with what is linked. Each batch takes two rounds, whose items
** go to threads as these become free. In the first a node finds its edges by a walk through what was linked before the
** batch, which nothing changes meanwhile; it writes its own row. In the second a node that got new edges towards it
** takes edges back; it writes its own row and reads those of none. So there are no locks on nodes, and what comes out
** does not depend on the threads. Rows are longer while building, so that nodes are pruned only now and then.
**
** Of nodes with equal vectors one, the first, is linked in this way. The others go into a ring with it, each with edges
** to its successors and out of the group. Vectors without direction (of length 0, say) count as equal.
**
** At last graph_repair.c makes sure that each node is reached from each.
**
** Locks: GraphTeam.mutex guards what is said to be its; it is held for moments, with no other lock.
*/
#include "graph_int.h"
#ifndef _WIN32
# include <pthread.h>
# include <time.h>
#endif

enum { GRAPH_THREADS=64, GRAPH_BATCH=40, GRAPH_BUILD_MARKS=256, GRAPH_FAR=16 };

typedef struct GraphPending {
  uint32_t next;                      /* 1 + another edge to the same node, or 0 */
  uint32_t from;
  float distance;
} GraphPending;

typedef struct GraphTeam GraphTeam;

typedef struct GraphBuild {
  LscGraph *g;
  uint32_t *aOrder, nOrder;           /* the nodes to link, the first of each group of equal ones */
  uint32_t *aCopy;                    /* for each node the next one that is equal, or GRAPH_DONE */
  float *aDistance;                   /* of each slot */
  uint32_t *aHead;                    /* for each node 1 + the first of its pending edges */
  GraphPending *aPending;
  uint32_t nPending;
  uint32_t *aTarget, nTarget;         /* nodes with pending edges */
  uint32_t iFrom;                     /* aOrder[] before this is linked */
  uint32_t nCap, ef;
  int (*xProgress)(void*, uint64_t, uint64_t);
  void *pProgress;
  GraphTeam *pTeam;
} GraphBuild;

typedef void (*GraphItem)(GraphBuild *b, GraphScratch *s, uint32_t i);

typedef struct GraphMember {
  GraphTeam *pTeam;
  int iThread;
} GraphMember;

struct GraphTeam {
  GraphBuild *b;
  int nThread;                        /* besides the caller's */
  GraphScratch aScratch[GRAPH_THREADS];       /* the first is the caller's */
  GraphItem xItem;                    /* the round: set before it begins */
  uint32_t nItem;
  uint32_t iNext;                     /* atomic: the item that is taken next */
  int bStop;                          /* atomic */
  double told;                        /* the caller's: when xProgress was called */
#ifndef _WIN32
  pthread_t aThread[GRAPH_THREADS];
  GraphMember aMember[GRAPH_THREADS];
  pthread_mutex_t mutex;
  pthread_cond_t begin, end;
  uint32_t iRound;                    /* mutex's; GRAPH_DONE: to return */
  int nBusy;                          /* mutex's */
#endif
};

#ifndef _WIN32
static double graphNow(void){
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec*1e-9;
}
# define GRAPH_TAKE(p, n) __atomic_fetch_add(p, n, __ATOMIC_RELAXED)
# define GRAPH_LOAD(p) __atomic_load_n(p, __ATOMIC_RELAXED)
# define GRAPH_STORE(p, x) __atomic_store_n(p, x, __ATOMIC_RELAXED)
#else
static double graphNow(void){
  return (double)clock()/CLOCKS_PER_SEC;
}
# define GRAPH_TAKE(p, n) ((*(p) += (n)) - (n))
# define GRAPH_LOAD(p) (*(p))
# define GRAPH_STORE(p, x) (void)(*(p) = (x))
#endif

/* Takes items until there are none. The caller's thread tells of it too. */
static void graphWork(GraphTeam *t, int iThread){
  GraphBuild *b = t->b;
  uint32_t i, iEnd;
  while( !GRAPH_LOAD(&t->bStop) ){
    i = GRAPH_TAKE(&t->iNext, 4);
    if( i>=t->nItem ) break;
    iEnd = t->nItem-i<4 ? t->nItem : i + 4;
    for(; i<iEnd; i++) t->xItem(b, &t->aScratch[iThread], i);
    if( iThread==0 && b->xProgress ){
      double now = graphNow();
      if( now-t->told>=0.1 ){
        t->told = now;
        if( b->xProgress(b->pProgress, b->iFrom, b->nOrder) ) GRAPH_STORE(&t->bStop, 1);
      }
    }
  }
}

#ifndef _WIN32
static void *graphThread(void *pArg){
  GraphMember *p = pArg;
  GraphTeam *t = p->pTeam;
  uint32_t iRound = 0;
  for(;;){
    pthread_mutex_lock(&t->mutex);
    while( t->iRound==iRound ) pthread_cond_wait(&t->begin, &t->mutex);
    iRound = t->iRound;
    pthread_mutex_unlock(&t->mutex);
    if( iRound==GRAPH_DONE ) break;
    graphWork(t, p->iThread);
    pthread_mutex_lock(&t->mutex);
    if( --t->nBusy==0 ) pthread_cond_signal(&t->end);
    pthread_mutex_unlock(&t->mutex);
  }
  return 0;
}
#endif

/* One round: xItem for 0 to nItem-1. */
static int graphRound(GraphTeam *t, GraphItem xItem, uint32_t nItem){
  int bAlone = t->nThread==0 || nItem<16;
  t->xItem = xItem;
  t->nItem = nItem;
  t->iNext = 0;
#ifndef _WIN32
  if( !bAlone ){
    pthread_mutex_lock(&t->mutex);
    t->nBusy = t->nThread;
    t->iRound = (t->iRound + 1) & ~GRAPH_DONE;
    pthread_cond_broadcast(&t->begin);
    pthread_mutex_unlock(&t->mutex);
  }
#endif
  graphWork(t, 0);
#ifndef _WIN32
  if( !bAlone ){
    pthread_mutex_lock(&t->mutex);
    while( t->nBusy ) pthread_cond_wait(&t->end, &t->mutex);
    pthread_mutex_unlock(&t->mutex);
  }
#endif
  return t->bStop ? LSC_GRAPH_STOPPED : 0;
}

/* Threads that cannot be made leave their work to the others. */
static int graphTeamNew(GraphBuild *b, int nThread, GraphTeam **pp){
  GraphTeam *t = LSC_GRAPH_MALLOC(sizeof(*t));
  int i, rc = 0;
  if( t==0 ) return LSC_GRAPH_NOMEM;
  memset(t, 0, sizeof(*t));
  *pp = t;
  t->b = b;
  t->told = graphNow();
  if( nThread<1 ) nThread = 1;
  if( nThread>GRAPH_THREADS ) nThread = GRAPH_THREADS;
#ifdef _WIN32
  nThread = 1;
#else
  pthread_mutex_init(&t->mutex, 0);
  pthread_cond_init(&t->begin, 0);
  pthread_cond_init(&t->end, 0);
#endif
  for(i=0; i<nThread && rc==0; i++) rc = graphScratch(b->g, &t->aScratch[i], b->ef, GRAPH_FAR);
#ifndef _WIN32
  for(i=1; i<nThread && rc==0; i++){
    t->aMember[i].pTeam = t;
    t->aMember[i].iThread = i;
    if( pthread_create(&t->aThread[i], 0, graphThread, &t->aMember[i]) ) break;
    t->nThread++;
  }
#endif
  return rc;
}

static void graphTeamFree(GraphTeam *t){
  int i;
  if( t==0 ) return;
#ifndef _WIN32
  pthread_mutex_lock(&t->mutex);
  t->iRound = GRAPH_DONE;
  pthread_cond_broadcast(&t->begin);
  pthread_mutex_unlock(&t->mutex);
  for(i=1; i<=t->nThread; i++) pthread_join(t->aThread[i], 0);
  pthread_cond_destroy(&t->begin);
  pthread_cond_destroy(&t->end);
  pthread_mutex_destroy(&t->mutex);
#endif
  for(i=0; i<GRAPH_THREADS; i++) graphScratchFree(&t->aScratch[i]);
  LSC_GRAPH_FREE(t);
}

static float *graphDistances(GraphBuild *b, uint32_t node){
  return b->aDistance + (size_t)node*b->g->nSlot;
}

static void graphSetRow(GraphBuild *b, uint32_t node, const LscGraphHit *a, uint32_t n){
  uint32_t *aRow = graphRow(b->g, node), i;
  float *aDistance = graphDistances(b, node);
  aRow[0] = n;
  for(i=0; i<n; i++){
    aRow[1+i] = a[i].node;
    aDistance[i] = a[i].distance;
  }
}

/* First round: the edges of a node of the batch. */
static void graphLinkOut(GraphBuild *b, GraphScratch *s, uint32_t iItem){
  LscGraph *g = b->g;
  LscGraphHit a[GRAPH_POOL];
  uint32_t node = b->aOrder[b->iFrom + iItem], aStart[GRAPH_STARTS], nStart, i, n;
  GraphQuery q = graphQueryOf(g, node);
  GraphCoded coded;
  if( g->nCode ){
    graphCodedNode(g, node, &coded);
    q.pCoded = &coded;
  }
  nStart = graphBestMarks(g, &q, b->aOrder, b->iFrom<GRAPH_BUILD_MARKS ? b->iFrom : GRAPH_BUILD_MARKS, aStart);
  s->bFar = 1;
  (void)graphWalk(g, s, &q, b->ef, aStart, nStart);
  graphForget(g, s);
  n = s->nBeam<GRAPH_POOL/2 ? s->nBeam : GRAPH_POOL/2;
  for(i=0; i<n; i++){
    a[i].distance = s->aBeam[i].distance;
    a[i].node = s->aBeam[i].node & ~GRAPH_DONE;
  }
  /* What left the beam last is nearest. */
  for(i=s->nFar; i-->0 && n<GRAPH_POOL; n++){
    a[n].distance = s->aFar[i].distance;
    a[n].node = s->aFar[i].node & ~GRAPH_DONE;
  }
  if( q.pCoded ){
    for(i=0; i<n; i++){
      if( i+4<n ) GRAPH_PREFETCH(graphVector(g, a[i+4].node));
      a[i].distance = graphNear(g, &q, a[i].node);
    }
    graphSort(g, a, n);
  }
  n = graphPrune(g, a, n, b->nCap - b->nCap/4);
  graphSetRow(b, node, a, n);
}

/* Second round: the edges back of a node that got edges. */
static void graphLinkBack(GraphBuild *b, GraphScratch *s, uint32_t iItem){
  LscGraph *g = b->g;
  LscGraphHit a[GRAPH_POOL];
  uint32_t node = b->aTarget[iItem], *aRow = graphRow(g, node), n = aRow[0], i;
  const float *aDistance = graphDistances(b, node);
  (void)s;
  for(i=0; i<n; i++){
    a[i].node = aRow[1+i];
    a[i].distance = aDistance[i];
  }
  for(i=b->aHead[node]; i; i=b->aPending[i-1].next){
    const GraphPending *p = &b->aPending[i-1];
    if( n==GRAPH_POOL ){
      graphSort(g, a, n);
      n = GRAPH_POOL/2;
    }
    a[n].node = p->from;
    a[n++].distance = p->distance;
  }
  b->aHead[node] = 0;
  if( n>g->nSlot ){
    graphSort(g, a, n);
    n = graphPrune(g, a, n, b->nCap);
  }
  graphSetRow(b, node, a, n);
}

/* Last round: no more edges than a node can have. */
static void graphLinkFinal(GraphBuild *b, GraphScratch *s, uint32_t iItem){
  LscGraphHit a[GRAPH_POOL];
  uint32_t node = b->aOrder[iItem], n = graphRow(b->g, node)[0], i;
  const float *aDistance = graphDistances(b, node);
  (void)s;
  if( n<=b->nCap ) return;
  for(i=0; i<n; i++){
    a[i].node = graphRow(b->g, node)[1+i];
    a[i].distance = aDistance[i];
  }
  graphSort(b->g, a, n);
  graphSetRow(b, node, a, graphPrune(b->g, a, n, b->nCap));
}

static void graphPend(GraphBuild *b, uint32_t node){
  const uint32_t *aRow = graphRow(b->g, node);
  const float *aDistance = graphDistances(b, node);
  uint32_t i;
  for(i=0; i<aRow[0]; i++){
    uint32_t to = aRow[1+i];
    GraphPending *p = &b->aPending[b->nPending++];
    if( b->aHead[to]==0 ) b->aTarget[b->nTarget++] = to;
    p->next = b->aHead[to];
    p->from = node;
    p->distance = aDistance[i];
    b->aHead[to] = b->nPending;
  }
}

static int graphLinkAll(GraphBuild *b){
  uint32_t nBatch, i;
  int rc = 0;
  for(b->iFrom=1; b->iFrom<b->nOrder && rc==0; b->iFrom+=nBatch){
    nBatch = b->iFrom/GRAPH_BATCH + 1;
    if( nBatch>b->nOrder-b->iFrom ) nBatch = b->nOrder - b->iFrom;
    rc = graphRound(b->pTeam, graphLinkOut, nBatch);
    if( rc ) break;
    b->nPending = b->nTarget = 0;
    for(i=0; i<nBatch; i++) graphPend(b, b->aOrder[b->iFrom+i]);
    rc = graphRound(b->pTeam, graphLinkBack, b->nTarget);
  }
  return rc ? rc : graphRound(b->pTeam, graphLinkFinal, b->nOrder);
}

static int graphEqual(const LscGraph *g, uint32_t a, uint32_t b){
  if( g->aInverse ){
    int bA = g->aInverse[a]==g->aInverse[a], bB = g->aInverse[b]==g->aInverse[b];
    if( !bA || !bB ) return bA==bB;
  }
  return memcmp(graphVector(g, a), graphVector(g, b), g->nByte)==0;
}

/* aOrder: the first of each group of equal ones; aCopy: the others. */
static int graphGroup(GraphBuild *b){
  LscGraph *g = b->g;
  uint64_t nHash = 64, x = 88172645463325252u;
  uint32_t *aHash, node, i;
  while( nHash<2*(uint64_t)g->nNode ) nHash *= 2;
  aHash = LSC_GRAPH_MALLOC(nHash*sizeof(*aHash));
  if( aHash==0 ) return LSC_GRAPH_NOMEM;
  memset(aHash, 0, nHash*sizeof(*aHash));
  b->nOrder = 0;
  for(node=0; node<g->nNode; node++){
    uint64_t h;
    b->aCopy[node] = GRAPH_DONE;
    if( g->aState[node] & GRAPH_DEAD ) continue;
    h = graphHashVector(g, node) & (nHash - 1);
    while( aHash[h] && !graphEqual(g, aHash[h]-1, node) ) h = (h + 1) & (nHash - 1);
    if( aHash[h] ){
      b->aCopy[node] = b->aCopy[aHash[h]-1];
      b->aCopy[aHash[h]-1] = node;
    }else{
      aHash[h] = node + 1;
      b->aOrder[b->nOrder++] = node;
    }
  }
  LSC_GRAPH_FREE(aHash);
  for(i=b->nOrder; i>1; i--){
    uint32_t j, t;
    x = x*6364136223846793005u + 1442695040888963407u;
    j = (uint32_t)((x>>33)*i>>31);
    t = b->aOrder[i-1];
    b->aOrder[i-1] = b->aOrder[j];
    b->aOrder[j] = t;
  }
  return 0;
}

/* Puts the one of the first few nodes first that is nearest to the others. */
static void graphCentre(GraphBuild *b){
  uint32_t n = b->nOrder<256 ? b->nOrder : 256, i, j, iBest = 0, t;
  double best = INFINITY;
  for(i=0; i<n && i<64; i++){
    GraphQuery q = graphQueryOf(b->g, b->aOrder[i]);
    double sum = 0;
    for(j=0; j<n; j++) sum += graphNear(b->g, &q, b->aOrder[j]);
    if( sum<best ){
      best = sum;
      iBest = i;
    }
  }
  t = b->aOrder[0];
  b->aOrder[0] = b->aOrder[iBest];
  b->aOrder[iBest] = t;
}

/* The ring of a node and its copies: each gets edges to the next ones, and the first one's out of the group. */
static void graphRing(GraphBuild *b, uint32_t first, uint32_t *aRing){
  static const uint32_t aJump[GRAPH_TWINS] = {1, 2, 5};
  LscGraph *g = b->g;
  uint32_t n = 0, node, nTwins, i, j, *aRow = graphRow(g, first), nOut;
  for(node=first; node!=GRAPH_DONE; node=b->aCopy[node]) aRing[n++] = node;
  if( n==1 ) return;
  for(nTwins=1; nTwins<graphTwins(g) && n>2*aJump[nTwins]; nTwins++){}
  nOut = aRow[0]<b->nCap-nTwins ? aRow[0] : b->nCap - nTwins;
  for(i=n; i-->0; ){
    uint32_t *aOwn = graphRow(g, aRing[i]);
    memmove(aOwn + 1, aRow + 1, nOut*sizeof(*aOwn));
    aOwn[0] = nOut;
    for(j=0; j<nTwins; j++) aOwn[1+aOwn[0]++] = aRing[(i + aJump[j])%n];
  }
}

static int graphBuildParts(GraphBuild *b, int nThread, uint32_t *pEntry){
  LscGraph *g = b->g;
  uint32_t n = g->nNode, i, *aRow;
  uint64_t nBatch = (uint64_t)n/GRAPH_BATCH + 1;
  int rc;
  if( graphGrowArray(&b->aOrder, n, sizeof(*b->aOrder)) || graphGrowArray(&b->aCopy, n, sizeof(*b->aCopy))
   || graphGrowArray(&b->aHead, n, sizeof(*b->aHead)) || graphGrowArray(&b->aTarget, n, sizeof(*b->aTarget))
   || graphGrowArray(&b->aDistance, (uint64_t)n*g->nSlot, sizeof(*b->aDistance))
   || graphGrowArray(&b->aPending, nBatch*b->nCap, sizeof(*b->aPending)) ) return LSC_GRAPH_NOMEM;
  memset(b->aHead, 0, n*sizeof(*b->aHead));
  rc = graphGroup(b);
  if( rc==0 ) rc = graphTeamNew(b, nThread, &b->pTeam);
  if( rc ) return rc;
  g->nDeadEdge = 0;
  for(i=0; i<n; i++){
    if( g->aState[i] & GRAPH_DEAD ) continue;
    if( (g->aState[i] & GRAPH_EXACT)==0 ) return LSC_GRAPH_CORRUPT;
    graphSetLoaded(g, i);
    graphRow(g, i)[0] = 0;
  }
  if( b->nOrder==0 ) return 0;
  graphCentre(b);
  rc = graphLinkAll(b);
  if( rc ) return rc;
  for(i=0; i<b->nOrder; i++) graphRing(b, b->aOrder[i], b->aTarget);
  memset(g->aIn, 0, n*sizeof(*g->aIn));
  for(i=0; i<n; i++){
    for(aRow=graphRow(g, i)+graphRow(g, i)[0]; aRow>graphRow(g, i); aRow--) g->aIn[*aRow]++;
  }
  *pEntry = b->aOrder[0];
  return graphRepair(g, *pEntry, 0);
}

static int lscGraphBuild(LscGraph *g, int nThread, int (*xProgress)(void *pCtx, uint64_t nDone, uint64_t nTotal),
                         void *pProgress, uint32_t *pEntry){
  GraphBuild b;
  int rc;
  if( g->nNode==0 ) return 0;
  memset(&b, 0, sizeof(b));
  b.g = g;
  b.nCap = g->c.nCap<GRAPH_POOL/4 ? g->c.nCap : GRAPH_POOL/4;
  b.ef = graphInsertBeam(g);
  b.xProgress = xProgress;
  b.pProgress = pProgress;
  rc = graphWiden(g, b.nCap + b.nCap/3 + 1);
  if( rc==0 ) rc = graphBuildParts(&b, nThread, pEntry);
  graphTeamFree(b.pTeam);
  LSC_GRAPH_FREE(b.aOrder);
  LSC_GRAPH_FREE(b.aCopy);
  LSC_GRAPH_FREE(b.aHead);
  LSC_GRAPH_FREE(b.aTarget);
  LSC_GRAPH_FREE(b.aDistance);
  LSC_GRAPH_FREE(b.aPending);
  return rc;
}
