/*
** graph_beam.c: how wide a search has to be. Included by engine.c behind graph_walk.c.
**
** Data differ: groups of 1000 among 100 000 vectors of 128 elements need a beam of 40, normally distributed ones of
** 2000. So a graph that is whole is tried out: some of its nodes are looked for as if they were not there, and what
** walks find is compared with the nearest ones of all. One walk tells this for all beams up to its own: when the first
** ef entries of its beam are followed for the first time, these are what a walk with beam ef ends with. Done again when
** the graph has grown or shrunk much, or as many nodes have come and gone.
**
** A graph that is not whole cannot be tried out. There a walk goes on until the k nearest have stayed the same while it
** went on to nearly three times as many nodes.
*/
#include "graph_int.h"

enum { GRAPH_SAMPLE=64, GRAPH_NEAREST=10, GRAPH_STEPS=17, GRAPH_PATIENCE=3 };
#define GRAPH_WANTED 0.985

static const uint32_t aGraphStep[GRAPH_STEPS] = {
  16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096
};

struct GraphProbe {
  float bound;                        /* the distance of the last of the nearest ones */
  uint32_t iStep, nStep;              /* the beam that is reached next, and how many of them */
  uint32_t aFound[GRAPH_STEPS];       /* for each beam: how many of the nearest ones were found */
  uint32_t k, nSame;                  /* a patient walk: bound is that of the k-th, for so many steps */
};

/* The first aGraphStep[iStep] of the beam are followed. Not 0: that will do. */
static int graphProbe(const GraphScratch *s, GraphProbe *p){
  uint32_t i, n = 0;
  if( p->k ){
    float bound = s->nBeam>=p->k ? s->aBeam[p->k-1].distance : INFINITY;
    p->nSame = bound<p->bound ? 0 : p->nSame + 1;
    p->bound = bound;
    p->iStep++;
    return p->nSame>=GRAPH_PATIENCE;
  }
  for(i=0; i<s->nBeam && i<GRAPH_NEAREST; i++) n += s->aBeam[i].distance<=p->bound;
  p->aFound[p->iStep++] += n;
  return 0;
}

static uint32_t graphProbeNext(const GraphProbe *p){
  return p->iStep<p->nStep ? aGraphStep[p->iStep] : GRAPH_DONE;
}

/* The distance of the last of the nearest ones to each of the sample, which itself does not count. */
static void graphBounds(const LscGraph *g, const uint32_t *aSample, uint32_t nSample, float *aBound){
  float aNear[GRAPH_SAMPLE][GRAPH_NEAREST];
  GraphQuery aQuery[GRAPH_SAMPLE];
  uint32_t i, j, node;
  for(i=0; i<nSample; i++){
    aQuery[i] = graphQueryOf(g, aSample[i]);
    for(j=0; j<GRAPH_NEAREST; j++) aNear[i][j] = INFINITY;
  }
  for(node=0; node<g->nNode; node++){
    if( (g->aState[node] & GRAPH_LOADED)==0 ) continue;
    GRAPH_PREFETCH(graphVector(g, node) + 2*g->nStride);
    for(i=0; i<nSample; i++){
      float d = graphNear(g, &aQuery[i], node);
      if( !(d<aNear[i][GRAPH_NEAREST-1]) || node==aSample[i] ) continue;
      for(j=GRAPH_NEAREST-1; j>0 && aNear[i][j-1]>d; j--) aNear[i][j] = aNear[i][j-1];
      aNear[i][j] = d;
    }
  }
  for(i=0; i<nSample; i++){
    aBound[i] = aNear[i][GRAPH_NEAREST-1];
    aBound[i] += aBound[i]*1e-6f;
  }
}

/* A beam from which on looking at all vectors is no slower. */
static uint32_t graphScanBeam(const LscGraph *g){
  return lscGraphLive(g)/GRAPH_SCAN(g);
}

static int graphTryOut(LscGraph *g){
  static const uint32_t aLast[] = {9, 13, 17};
  uint32_t aSample[GRAPH_SAMPLE], nSample = GRAPH_SAMPLE, nLive = lscGraphLive(g), i, j, iPart;
  float aBound[GRAPH_SAMPLE];
  uint64_t x = 0x9e3779b97f4a7c15u, nWork = (uint64_t)nLive*(g->c.n/16 + 4);
  int rc = 0;
  if( nSample*nWork>80000000u ) nSample = 80000000u/nWork<8 ? 8 : (uint32_t)(80000000u/nWork);
  for(i=0; i<nSample; ){
    x = x*6364136223846793005u + 1442695040888963407u;
    aSample[i] = (uint32_t)((x>>33)*g->nNode>>31);
    i += (g->aState[aSample[i]] & GRAPH_LOADED)!=0;
  }
  graphBounds(g, aSample, nSample, aBound);
  g->beam = graphScanBeam(g) + 1;
  g->bBeamAll = 0;
  for(iPart=0; iPart<3; iPart++){
    GraphProbe probe;
    uint32_t n = nSample>>iPart, ef;
    memset(&probe, 0, sizeof(probe));
    probe.nStep = aLast[iPart];
    ef = aGraphStep[probe.nStep-1];
    if( n<8 ) n = 8;
    rc = graphScratch(g, &g->s, ef, 0);
    for(i=0; i<n && rc==0; i++){
      GraphQuery q = graphQueryOf(g, aSample[i]);
      probe.bound = aBound[i];
      probe.iStep = 0;
      graphSee(&g->s, aSample[i]);
      g->s.pProbe = &probe;
      rc = graphSearchBeam(g, &q, ef, 0, 0);
      g->s.pProbe = 0;
      graphForget(g, &g->s);
      while( probe.iStep<probe.nStep ) (void)graphProbe(&g->s, &probe);
    }
    if( rc ) return rc;
    for(j=0; j<probe.nStep && aGraphStep[j]<g->beam; j++){
      if( probe.aFound[j]<GRAPH_WANTED*GRAPH_NEAREST*n ) continue;
      g->beam = aGraphStep[j];
      return 0;
    }
    if( ef>=g->beam ) break;
  }
  g->bBeamAll = 1;
  return 0;
}

/* For k nodes, from the beam for GRAPH_NEAREST. */
static uint32_t graphBeamFor(uint32_t beam, uint32_t k){
  double wide = beam*(k>GRAPH_NEAREST ? pow(k/(double)GRAPH_NEAREST, 0.15) : 1);
  double least = 1.3*k + 20;
  if( wide<least ) wide = least;
  return wide<GRAPH_MAX_NODES/2 ? (uint32_t)wide : GRAPH_MAX_NODES/2;
}

/* That for GRAPH_NEAREST. */
static uint32_t graphBaseBeam(const LscGraph *g){
  if( g->beam==0 || !lscGraphIsWhole(g) ) return GRAPH_UNKNOWN_BEAM;
  return g->bBeamAll && graphScanBeam(g)>=g->beam ? graphScanBeam(g) + 1 : g->beam;
}

static uint32_t lscGraphBeam(const LscGraph *g, uint32_t k){
  return graphBeamFor(graphBaseBeam(g), k);
}

/* The same, when it is needed. */
static int graphChooseBeam(LscGraph *g, uint32_t k, uint32_t *pBeam){
  uint32_t nLive = lscGraphLive(g);
  int rc = 0;
  if( lscGraphIsWhole(g) && (g->beam==0 || nLive/2>g->nBeamLive || nLive<g->nBeamLive/2 || g->nBeamEdit>nLive/2) ){
    g->nBeamLive = nLive;
    g->nBeamEdit = 0;
    g->beam = 16;
    if( graphScanBeam(g)>16 ) rc = graphTryOut(g);
    if( rc ) g->beam = 0;
  }
  *pBeam = lscGraphBeam(g, k);
  return rc;
}

static int lscGraphTryOut(LscGraph *g, uint32_t *pBeam){
  int rc = 0;
  *pBeam = 0;
  if( lscGraphIsWhole(g) && lscGraphLive(g)>0 ) rc = graphChooseBeam(g, GRAPH_NEAREST, pBeam);
  if( g->bBeamAll ) *pBeam *= 2;
  return rc;
}

/* A patient walk for the k nearest; *pBeam: what a walk needs to find the same. */
static int graphPatientWalk(LscGraph *g, const GraphQuery *q, uint32_t k, const uint32_t *aStart, uint32_t nStart,
                            uint32_t *pBeam){
  GraphScratch *s = &g->s;
  uint32_t least = graphBeamFor(64, k), most = aGraphStep[GRAPH_STEPS-1];
  GraphProbe probe;
  int rc;
  if( s->aAlike==0 && graphGrowArray(&s->aAlike, GRAPH_ALIKE, sizeof(*s->aAlike)) ) return LSC_GRAPH_NOMEM;
  memset(s->aAlike, 0, GRAPH_ALIKE*sizeof(*s->aAlike));
  memset(&probe, 0, sizeof(probe));
  probe.k = k;
  probe.bound = INFINITY;
  probe.nStep = GRAPH_STEPS;
  while( aGraphStep[probe.iStep]<least ) probe.iStep++;
  s->nAlike = 0;
  s->nAlikeMost = k<8 ? 8 : k;
  s->pProbe = &probe;
  rc = graphSearchBeam(g, q, most, aStart, nStart);
  s->pProbe = 0;
  s->nAlikeMost = 0;
  graphForget(g, s);
  *pBeam = probe.iStep<GRAPH_STEPS ? aGraphStep[probe.iStep] : most;
  return rc;
}
