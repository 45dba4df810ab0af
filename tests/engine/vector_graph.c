/*
** Checks csrc/vec/graph*.c alone: `vector_graph NAME` runs one group of checks and prints what it found; a check that
** fails ends the program. The allocator can be told to fail.
*/
#if !defined(_GNU_SOURCE) && !defined(_WIN32)
# define _GNU_SOURCE 1
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static long nUntilFailure = -1;       /* -1: allocations do not fail */
static void *testRealloc(void *p, size_t n){
  if( nUntilFailure==0 ) return 0;
  if( nUntilFailure>0 ) nUntilFailure--;
  return realloc(p, n);
}
/* Searches walk, unless the beam takes all. */
#define GRAPH_SCAN(g) 1
#define LSC_GRAPH_MALLOC(n) testRealloc(0, n)
#define LSC_GRAPH_REALLOC(p, n) testRealloc(p, n)
#define LSC_GRAPH_FREE(p) free(p)

#include "vec/kern_portable.c"
#include "vec/kern_avx2.c"
#include "vec/kern_avx512.c"
#include "vec/kern_dots512.c"
#include "vec/kern_neon.c"
#include "vec/kernels.c"
#include "vec/graph.c"
#include "vec/graph_codes.c"
#include "vec/graph_walk.c"
#include "vec/graph_beam.c"
#include "vec/graph_edit.c"
#include "vec/graph_repair.c"
#include "vec/graph_build.c"
#include "vec/graph_parts.c"

#include "vector_graph_data.h"

static void testRecall(void){
  static const struct { const char *z; int metric; uint32_t nRow, n, nCap, nGroup; double least; } a[] = {
    {"groups", LSC_COS, 4000, 32, 24, 100, 0.985},
    {"normal", LSC_COS, 4000, 32, 24, 0, 0.96},
    {"groups l2", LSC_L2, 4000, 24, 24, 100, 0.985},
    {"normal l2", LSC_L2, 3000, 24, 24, 0, 0.96},
    {"bits", LSC_HAMMING, 3000, 96, 24, 50, 0.95},
    {"few edges", LSC_COS, 2000, 16, 8, 20, 0.9},
  };
  size_t i;
  for(i=0; i<sizeof(a)/sizeof(a[0]); i++){
    Data d = newData(a[i].metric, a[i].nRow, a[i].n, a[i].nCap, a[i].nGroup);
    double chosen, wide, many, some;
    uint32_t beam = 0;
    build(&d, 2);
    checkGraph(&d, 1);
    CHECK( lscGraphTryOut(d.g, &beam)==0 && beam>10 );
    CHECK( beam==lscGraphBeam(d.g, 10) || (d.g->bBeamAll && beam==2*lscGraphBeam(d.g, 10)) );
    chosen = recall(&d, 10, 0, 100, 0);
    wide = recall(&d, 10, 150, 50, 0);
    many = recall(&d, 200, 0, 10, 0);
    some = recall(&d, 10, 0, 30, 17);
    printf("%s: %.3f %.3f %.3f %.3f\n", a[i].z, chosen, wide, many, some);
    CHECK( chosen>=a[i].least && wide>=a[i].least && many>=a[i].least && some>=a[i].least );
    freeData(&d);
  }
}

/* The same graph from any number of threads; few edges; sizes at which there is little to do. */
static void testBuild(void){
  uint32_t i, nTo, nTo3, nCap, nRow, metric;
  double least = 1, found;
  Data d = newData(LSC_COS, 3000, 24, 12, 30), e = d;
  build(&d, 1);
  build(&e, 3);
  for(i=0; i<d.nRow; i++){
    const uint32_t *a = lscGraphEdges(d.g, i, &nTo), *b = lscGraphEdges(e.g, i, &nTo3);
    CHECK( nTo==nTo3 && memcmp(a, b, nTo*sizeof(*a))==0 );
  }
  lscGraphFree(e.g);
  freeData(&d);
  for(metric=LSC_COS; metric<=LSC_HAMMING; metric+=metric==LSC_L2 ? 2 : 1){
    for(nCap=1; nCap<=5; nCap++){
      for(nRow=0; nRow<900; nRow+=nRow<4 ? 1 : 223){
        d = newData((int)metric, nRow, 20, nCap, nRow/100);
        build(&d, 2);
        checkGraph(&d, 1);
        found = recall(&d, 3, 0, nRow ? 10 : 0, 0);
        if( found<=(nCap<3 ? 0 : 0.6) ) printf("%u %u %u: %.3f\n", metric, nCap, nRow, found);
        least = found<least ? found : least;
        for(i=0; i<nRow/2; i++){
          CHECK( lscGraphDelete(d.g, nodeOf(&d, i), 0)==0 );
          d.aLive[i] = 0;
        }
        for(i=0; i<nRow/4; i++){
          add(&d, i);
          CHECK( lscGraphInsert(d.g, nodeOf(&d, i), 0, 0, 0)==0 );
        }
        checkGraph(&d, nCap>1 && nCap<5);
        freeData(&d);
      }
    }
  }
  printf("%.3f\n", least);
  CHECK( least>0.5 );
}

/* Copies, zeros and worse, built and inserted. */
static void testTwins(void){
  static const uint32_t aGroups[] = {1, 20, 40};
  uint32_t iGroups, i, bInsert;
  for(iGroups=0; iGroups<3; iGroups++){
    for(bInsert=0; bInsert<2; bInsert++){
      uint32_t nGroup = aGroups[iGroups];
      Data d = newData(iGroups==2 ? LSC_L2 : LSC_COS, nGroup==1 ? 2000 : nGroup*100, 32, 24, 0);
      double some, many;
      for(i=nGroup; i<d.nRow; i++) memcpy(row(&d, i), row(&d, i%nGroup), d.n*sizeof(float));
      if( !bInsert ){
        build(&d, 2);
      }else{
        newGraph(&d, 0, 0);
        for(i=0; i<d.nRow; i++){
          add(&d, i);
          CHECK( lscGraphInsert(d.g, nodeOf(&d, i), 0, 0, 0)==0 );
        }
      }
      checkGraph(&d, 1);
      some = recall(&d, 10, 40, 40, 0);
      many = recall(&d, 150, 200, 10, 0);
      printf("%u x %u: %.3f %.3f\n", nGroup, d.nRow/nGroup, some, many);
      CHECK( some>=0.95 && many>=0.95 );
      for(i=0; i<d.nRow; i++){
        if( i%10==0 ) continue;
        CHECK( lscGraphDelete(d.g, nodeOf(&d, i), 0)==0 );
        d.aLive[i] = 0;
      }
      checkGraph(&d, 0);
      some = recall(&d, 10, 40, 40, 0);
      printf("  a tenth: %.3f\n", some);
      CHECK( some>=0.95 );
      freeData(&d);
    }
  }
  for(bInsert=0; bInsert<2; bInsert++){
    Data d = newData(LSC_COS, 1500, 16, 12, 10);
    LscGraphHit aHit[1500];
    float aZero[16] = {0};
    uint32_t nHit;
    for(i=0; i<d.nRow; i+=5) memset(row(&d, i), 0, 16*sizeof(float));
    for(i=1; i<d.nRow; i+=50) row(&d, i)[3] = NAN;
    for(i=2; i<d.nRow; i+=50) row(&d, i)[3] = INFINITY;
    for(i=3; i<d.nRow; i+=50) row(&d, i)[3] = 3e38f;
    newGraph(&d, 0, 0);
    for(i=0; i<d.nRow; i++){
      add(&d, i);
      if( bInsert ) CHECK( lscGraphInsert(d.g, nodeOf(&d, i), 0, 0, 0)==0 );
    }
    if( !bInsert ) CHECK( lscGraphBuild(d.g, 2, 0, 0, &nHit)==0 );
    checkGraph(&d, !bInsert);
    CHECK( lscGraphSearch(d.g, aZero, 5, 50, 0, 0, 0, 0, aHit, &nHit)==0 && nHit==5 );
    CHECK( aHit[0].distance!=aHit[0].distance );
    CHECK( lscGraphSearch(d.g, row(&d, 4), 1500, 0, 0, 0, 0, 0, aHit, &nHit)==0 && nHit==1500 );
    CHECK( aHit[1499].distance!=aHit[1499].distance && aHit[0].distance<1e-5f );
    CHECK( lscGraphSearch(d.g, row(&d, 4), 10, 40, 0, 0, 0, 0, aHit, &nHit)==0 && nHit==10 );
    for(i=0; i<10; i++) CHECK( aHit[i].distance<0.9f );
    freeData(&d);
  }
}

/* What a file would hold: each row's edges, as rows. */
typedef struct File {
  Data *d;
  uint32_t *aTo, *aCount;
  uint8_t *aThere;
  uint32_t nLoad;
} File;

static uint32_t rowOf(const Data *d, int64_t id){
  uint32_t i = id==INT64_MIN ? 0 : id==INT64_MAX ? 1 : id<0 ? (uint32_t)(-id/7919) : (uint32_t)(id/104729);
  CHECK( i<d->nRow && idOf(i)==id );
  return i;
}

static int fileSlot(void *pCtx, LscGraph *g, uint32_t node, uint32_t slot){
  File *f = pCtx;
  uint32_t nTo, i = rowOf(f->d, lscGraphId(g, node));
  const uint32_t *aTo = lscGraphEdges(g, node, &nTo);
  CHECK( slot<nTo && slot<=f->aCount[i] && lscGraphIsLoaded(g, node) );
  f->aTo[i*f->d->nCap+slot] = rowOf(f->d, lscGraphId(g, aTo[slot]));
  return 0;
}

static int fileCount(void *pCtx, LscGraph *g, uint32_t node, uint32_t nTo){
  File *f = pCtx;
  CHECK( nTo<=f->d->nCap );
  f->aCount[rowOf(f->d, lscGraphId(g, node))] = nTo;
  return 0;
}

static int fileLoad(void *pCtx, LscGraph *g, uint32_t node, int64_t id){
  File *f = pCtx;
  Data *d = f->d;
  uint32_t i = rowOf(d, id), j, k, n = d->n, *aTo;
  float *aRough;
  int rc = 0;
  f->nLoad++;
  if( !f->aThere[i] ) return LSC_GRAPH_GONE;
  aTo = calloc(d->nCap, sizeof(*aTo));
  aRough = calloc(n, sizeof(float));
  lscGraphSetVector(g, node, row(d, i), 1);
  for(j=0; j<f->aCount[i] && rc==0; j++){
    rc = lscGraphNode(g, idOf(f->aTo[i*d->nCap+j]), &aTo[j]);
    for(k=0; k<n; k++) aRough[k] = roundf(row(d, f->aTo[i*d->nCap+j])[k]*20)/20;
    if( rc==0 && lscGraphIsUnknown(g, aTo[j]) ) lscGraphSetVector(g, aTo[j], aRough, 0);
  }
  if( rc==0 ) rc = lscGraphSetEdges(g, node, aTo, f->aCount[i]);
  free(aTo);
  free(aRough);
  return rc;
}

static File newFile(Data *d){
  File f;
  uint32_t i, j, nTo;
  f.d = d;
  f.nLoad = 0;
  f.aTo = calloc((size_t)d->nRow*d->nCap, sizeof(*f.aTo));
  f.aCount = calloc(d->nRow, sizeof(*f.aCount));
  f.aThere = calloc(d->nRow, 1);
  for(i=0; d->g && i<d->nRow; i++){
    const uint32_t *aTo = lscGraphEdges(d->g, nodeOf(d, i), &nTo);
    f.aCount[i] = nTo;
    f.aThere[i] = d->aLive[i];
    for(j=0; j<nTo; j++) f.aTo[i*d->nCap+j] = rowOf(d, lscGraphId(d->g, aTo[j]));
  }
  return f;
}

static void freeFile(File *f){
  free(f->aTo);
  free(f->aCount);
  free(f->aThere);
}

static int fileInsert(File *f, uint32_t i, uint32_t iStart){
  LscGraphChanges changes = {0, fileSlot, fileCount};
  LscGraph *g = f->d->g;
  uint32_t node, start;
  int rc = lscGraphNode(g, idOf(i), &node);
  if( rc==0 ) rc = lscGraphNode(g, idOf(iStart), &start);
  if( rc ) return rc;
  changes.pCtx = f;
  lscGraphSetVector(g, node, row(f->d, i), 1);
  f->aThere[i] = 1;
  f->aCount[i] = 0;
  f->d->aLive[i] = 1;
  return lscGraphInsert(g, node, &start, iStart!=i, &changes);
}

static int fileDelete(File *f, uint32_t i){
  LscGraphChanges changes = {0, fileSlot, fileCount};
  uint32_t node;
  int rc = lscGraphNode(f->d->g, idOf(i), &node);
  changes.pCtx = f;
  if( rc==0 ) rc = lscGraphDelete(f->d->g, node, &changes);
  f->aThere[i] = 0;
  f->aCount[i] = 0;
  f->d->aLive[i] = 0;
  return rc;
}

/* The file is what the graph is, as far as that is loaded. */
static void checkFile(const File *f){
  const LscGraph *g = f->d->g;
  uint32_t node, j, nTo;
  for(node=0; node<g->nNode; node++){
    const uint32_t *aTo = lscGraphEdges(g, node, &nTo);
    uint32_t i = rowOf(f->d, lscGraphId(g, node));
    if( !lscGraphIsLive(g, node) || !lscGraphIsLoaded(g, node) ) continue;
    CHECK( f->aThere[i] && f->aCount[i]==nTo );
    for(j=0; j<nTo; j++) CHECK( f->aTo[i*f->d->nCap+j]==rowOf(f->d, lscGraphId(g, aTo[j])) );
  }
}

/* Half of the rows get other vectors, then nine of ten are deleted, then all come back. */
static void testChurn(void){
  uint32_t nGroup, i, j;
  for(nGroup=0; nGroup<=50; nGroup+=50){
    Data d = newData(nGroup ? LSC_COS : LSC_L2, 3000, 24, 24, nGroup), other = newData(LSC_COS, 3000, 24, 24, nGroup);
    double half, tenth, all;
    File f;
    build(&d, 2);
    f = newFile(&d);
    for(i=0; i<d.nRow; i+=2){
      CHECK( fileDelete(&f, i)==0 );
      memcpy(row(&d, i), row(&other, i), d.n*sizeof(float));
      CHECK( fileInsert(&f, i, i)==0 );
    }
    checkGraph(&d, 1);
    checkFile(&f);
    half = recall(&d, 10, 64, 60, 0);
    for(i=0; i<d.nRow; i++){
      j = (uint32_t)((i*(uint64_t)1783)%d.nRow);
      if( i%10 ) CHECK( fileDelete(&f, j)==0 );
    }
    checkGraph(&d, 1);
    checkFile(&f);
    tenth = recall(&d, 10, 64, 60, 0);
    for(i=0; i<d.nRow; i++){
      if( !d.aLive[i] ) CHECK( fileInsert(&f, i, i)==0 );
    }
    checkGraph(&d, 1);
    checkFile(&f);
    all = recall(&d, 10, 64, 60, 0);
    printf("%u: %.3f %.3f %.3f\n", nGroup, half, tenth, all);
    CHECK( half>=0.95 && tenth>=0.95 && all>=0.95 );
    freeFile(&f);
    freeData(&other);
    freeData(&d);
  }
}

/* A graph that is loaded as walks come to nodes; with rows that are gone. */
static void testCold(void){
  Data d = newData(LSC_COS, 3000, 24, 24, 30);
  LscGraphHit aHit[10];
  uint32_t start, nHit, i;
  double some, rest, whole;
  File f;
  build(&d, 2);
  f = newFile(&d);
  lscGraphFree(d.g);
  newGraph(&d, fileLoad, &f);
  start = nodeOf(&d, 5);
  for(i=0; i<10; i++){
    CHECK( lscGraphSearch(d.g, row(&d, 77*i), 10, 30, &start, 1, 0, 0, aHit, &nHit)==0 && nHit==10 );
    CHECK( aHit[0].distance<1e-5f );
  }
  printf("loaded by 10 searches: %s\n", f.nLoad<900 ? "few" : "many");
  CHECK( f.nLoad<900 && !lscGraphIsWhole(d.g) );
  some = recall(&d, 10, 60, 50, 0);
  /* Changes while not all is loaded. */
  for(i=0; i<300; i++){
    CHECK( fileDelete(&f, 9*i)==0 );
    if( i%3==0 ) CHECK( fileInsert(&f, 9*i, 5)==0 );
  }
  checkFile(&f);
  rest = recall(&d, 10, 60, 50, 0);
  /* Rows that went without the graph's knowledge, as an old engine leaves them. */
  lscGraphFree(d.g);
  for(i=0; i<d.nRow; i+=7) f.aThere[i] = d.aLive[i] = 0;
  newGraph(&d, fileLoad, &f);
  start = nodeOf(&d, 1);
  CHECK( lscGraphSearch(d.g, row(&d, 1), 10, 60, &start, 1, 0, 0, aHit, &nHit)==0 && nHit==10 );
  whole = recall(&d, 10, 60, 200, 0);
  for(i=0; i<d.nRow; i+=7) CHECK( fileInsert(&f, i, 1)==0 );
  checkFile(&f);
  printf("%.3f %.3f %.3f %.3f\n", some, rest, whole, recall(&d, 10, 60, 50, 0));
  CHECK( some>=0.97 && rest>=0.95 && whole>=0.95 && recall(&d, 10, 60, 50, 0)>=0.97 );
  freeFile(&f);
  freeData(&d);
}

/* A delete does not look far for edges to the nodes that it cuts one off from: they mostly have others. */
static void testColdDelete(void){
  Data d = newData(LSC_COS, 4000, 64, 24, 0);
  File f;
  build(&d, 2);
  f = newFile(&d);
  lscGraphFree(d.g);
  newGraph(&d, fileLoad, &f);
  CHECK( fileDelete(&f, 2999)==0 );
  printf("%u loaded\n", f.nLoad);
  CHECK( f.nLoad<100 );
  freeFile(&f);
  freeData(&d);
}

static double meanNearest(Data *d, const uint32_t *aCentre, uint32_t nCentre){
  LscGraphHit aHit[16];
  double sum = 0;
  uint32_t i, j;
  for(i=0; i<d->nRow; i++){
    lscGraphRank(d->g, row(d, i), aCentre, nCentre, aHit);
    for(j=1; j<nCentre; j++) CHECK( aHit[j-1].distance<=aHit[j].distance && aHit[j-1].node!=aHit[j].node );
    CHECK( aHit[0].distance==lscGraphNear(d->g, nodeOf(d, i), aCentre[aHit[0].node]) );
    sum += aHit[0].distance;
  }
  return sum/d->nRow;
}

/* Centres are nearer to the nodes than others are; room is made at once; edges from two graphs become fewer. */
static void testParts(void){
  enum { CENTRES=16 };
  Data d = newData(LSC_L2, 2000, 24, 24, 40);
  uint32_t aFirst[CENTRES], aCentre[CENTRES], *aWork = malloc(d.nRow*sizeof(*aWork)), i, n;
  LscGraphHit a[64];
  uint64_t nByte;
  double before, after;
  newGraph(&d, 0, 0);
  CHECK( lscGraphReserve(d.g, d.nRow)==0 );
  nByte = lscGraphBytes(d.g);
  for(i=0; i<d.nRow; i++) add(&d, i);
  CHECK( lscGraphBytes(d.g)==nByte && lscGraphBuildBytes(d.g)*d.nRow>nByte );
  for(i=0; i<CENTRES; i++) aFirst[i] = i*d.nRow/CENTRES;
  before = meanNearest(&d, aFirst, CENTRES);
  lscGraphCentres(d.g, CENTRES, aCentre, aWork);
  after = meanNearest(&d, aCentre, CENTRES);
  printf("%.2f %.2f\n", before, after);
  CHECK( after<0.9*before );
  for(i=0; i<64; i++){
    a[i].node = i + 1;
    a[i].distance = lscGraphNear(d.g, 0, i + 1);
  }
  n = lscGraphChoose(d.g, a, 64, 20);
  CHECK( n>2 && n<=20 );
  for(i=1; i<64; i++) CHECK( i>=n || a[i-1].distance<=a[i].distance );
  for(i=n; i<64; i++) CHECK( a[i].distance>=a[0].distance );
  free(aWork);
  freeData(&d);
}

/* Rows come and go under new ids: the graph does not grow. */
static void testSweep(void){
  enum { WINDOW=1000 };
  Data d = newData(LSC_COS, 8*WINDOW, 12, 16, 10);
  uint32_t i;
  newGraph(&d, 0, 0);
  for(i=0; i<d.nRow; i++){
    lscGraphSweep(d.g);
    add(&d, i);
    CHECK( lscGraphInsert(d.g, nodeOf(&d, i), 0, 0, 0)==0 );
    if( i<WINDOW ) continue;
    CHECK( lscGraphDelete(d.g, nodeOf(&d, i-WINDOW), 0)==0 );
    d.aLive[i-WINDOW] = 0;
  }
  printf("%u nodes, %.3f\n", lscGraphCount(d.g), recall(&d, 10, 0, 50, 0));
  CHECK( lscGraphLive(d.g)==WINDOW && lscGraphCount(d.g)<WINDOW + 200 );
  CHECK( recall(&d, 10, 60, 50, 0)>0.97 );
  /* An id that was swept comes again. */
  add(&d, 0);
  CHECK( lscGraphInsert(d.g, nodeOf(&d, 0), 0, 0, 0)==0 );
  checkGraph(&d, 0);
  freeData(&d);
}

static int stopSoon(void *pCtx, uint64_t nDone, uint64_t nTotal){
  uint64_t *p = pCtx;
  CHECK( nDone<=nTotal && nDone>=p[1] );
  p[1] = nDone;
  return ++p[0]>=2;
}

static int stopFilter(void *pCtx, int64_t id){
  (void)id;
  return --*(int*)pCtx<0 ? -1 : 0;
}

static void testStop(void){
  Data d = newData(LSC_COS, 60000, 96, 24, 0);
  uint64_t aCount[2] = {0, 0};
  LscGraphHit aHit[5];
  uint32_t i, entry, nHit;
  int nLeft = 20;
  newGraph(&d, 0, 0);
  for(i=0; i<d.nRow; i++) add(&d, i);
  CHECK( lscGraphBuild(d.g, 2, stopSoon, aCount, &entry)==LSC_GRAPH_STOPPED );
  CHECK( aCount[0]==2 && aCount[1]<d.nRow );
  freeData(&d);
  d = newData(LSC_COS, 500, 8, 24, 0);
  build(&d, 1);
  CHECK( lscGraphSearch(d.g, row(&d, 0), 5, 0, 0, 0, stopFilter, &nLeft, aHit, &nHit)==LSC_GRAPH_STOPPED && nHit==0 );
  freeData(&d);
  printf("ok\n");
}

/* All of it, with the allocator failing at one time after the other. */
static int everything(Data *d, File *f){
  LscGraphConfig c;
  LscGraphHit aHit[20];
  uint32_t i, node, entry, nHit;
  uint64_t modulus = 3;
  int rc;
  memset(&c, 0, sizeof(c));
  c.metric = d->metric;
  c.n = d->n;
  c.nCap = d->nCap;
  c.alpha = 1.2f;
  d->g = 0;
  rc = lscGraphNew(&c, &d->g);
  for(i=0; i<400 && rc==0; i++){
    rc = lscGraphNode(d->g, idOf(i), &node);
    if( rc==0 ) lscGraphSetVector(d->g, node, row(d, i), 1);
    d->aLive[i] = 1;
  }
  if( rc==0 ) rc = lscGraphBuild(d->g, 2, 0, 0, &entry);
  if( rc ) return rc;
  {
    long nSaved = nUntilFailure;
    nUntilFailure = -1;
    *f = newFile(d);
    nUntilFailure = nSaved;
  }
  lscGraphFree(d->g);
  d->g = 0;
  c.xLoad = fileLoad;
  c.pCtx = f;
  rc = lscGraphNew(&c, &d->g);
  if( rc==0 ) rc = lscGraphNode(d->g, idOf(3), &node);
  if( rc==0 ) rc = lscGraphSearch(d->g, row(d, 9), 5, 0, &node, 1, 0, 0, aHit, &nHit);
  if( rc==0 ) rc = lscGraphSearch(d->g, row(d, 9), 20, 25, &node, 1, allowSome, &modulus, aHit, &nHit);
  for(i=400; i<420 && rc==0; i++) rc = fileInsert(f, i, 3);
  for(i=0; i<40 && rc==0; i++) rc = fileDelete(f, 10*i);
  if( rc==0 ) rc = lscGraphSearch(d->g, row(d, 9), 20, 0, 0, 0, 0, 0, aHit, &nHit);
  if( rc==0 ) rc = lscGraphSearch(d->g, row(d, 9), 20, 500, 0, 0, 0, 0, aHit, &nHit);
  return rc;
}

static void testFaults(void){
  Data d = newData(LSC_COS, 420, 12, 70, 5);
  long i;
  int rc = LSC_GRAPH_NOMEM;
  for(i=0; rc; i++){
    File f;
    memset(&f, 0, sizeof(f));
    memset(d.aLive, 0, d.nRow);
    nUntilFailure = i;
    rc = everything(&d, &f);
    nUntilFailure = -1;
    CHECK( rc==0 || rc==LSC_GRAPH_NOMEM );
    lscGraphFree(d.g);
    d.g = 0;
    freeFile(&f);
  }
  printf("%s\n", i>60 ? "ok" : "few allocations");
  freeData(&d);
}

int main(int argc, char **argv){
  static const struct { const char *z; void (*x)(void); } a[] = {
    {"recall", testRecall}, {"build", testBuild}, {"twins", testTwins}, {"churn", testChurn}, {"cold", testCold},
    {"cold delete", testColdDelete}, {"parts", testParts}, {"sweep", testSweep},
    {"stop", testStop}, {"faults", testFaults},
  };
  size_t i, nRun = 0;
  for(i=0; i<sizeof(a)/sizeof(a[0]); i++){
    if( argc==2 && strcmp(argv[1], a[i].z)==0 ){
      a[i].x();
      nRun++;
    }
  }
  return nRun==1 ? 0 : 2;
}
