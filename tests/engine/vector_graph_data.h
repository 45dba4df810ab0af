/*
** What the checks of vector_graph.c share: vectors of a seed, a graph of them, what must hold of it, its recall. Included
** once, behind the graph's own files.
*/
#define CHECK(x) ((x) ? (void)0 : (printf("line %d: %s\n", __LINE__, #x), exit(1)))

static uint64_t seed = 88172645463325252u;
static double uniform(void){
  seed ^= seed<<13;
  seed ^= seed>>7;
  seed ^= seed<<17;
  return (double)(seed>>11)/9007199254740992.0;
}

static float normal(void){
  return (float)(sqrt(-2*log(uniform() + 1e-300))*cos(6.283185307179586*uniform()));
}

/* The vectors of a test; row i has id idOf(i). */
typedef struct Data {
  LscGraph *g;
  int metric;
  uint32_t n, nRow, nCap;
  float *a;
  uint8_t *aLive;
} Data;

static int64_t idOf(uint32_t i){
  return i==0 ? INT64_MIN : i==1 ? INT64_MAX : i%2 ? -(int64_t)i*7919 : (int64_t)i*104729;
}

static float *row(const Data *p, uint32_t i){ return p->a + (size_t)i*p->n; }

/* nGroup 0: normally distributed. */
static Data newData(int metric, uint32_t nRow, uint32_t n, uint32_t nCap, uint32_t nGroup){
  Data d;
  float *aCentre = malloc((nGroup*(size_t)n + 1)*sizeof(float));
  uint32_t i, j;
  memset(&d, 0, sizeof(d));
  d.metric = metric;
  d.n = n;
  d.nRow = nRow;
  d.nCap = nCap;
  d.a = calloc((size_t)nRow*n + 1, sizeof(float));
  d.aLive = calloc(nRow + 1, 1);
  for(i=0; i<nGroup*n; i++) aCentre[i] = normal();
  for(i=0; i<nRow; i++){
    uint32_t c = nGroup ? (uint32_t)(uniform()*nGroup) : 0;
    for(j=0; j<n; j++) row(&d, i)[j] = nGroup ? aCentre[c*n+j] + 0.35f*normal() : normal();
  }
  if( metric==LSC_HAMMING ){
    for(i=0; i<nRow; i++){
      unsigned char *z = (unsigned char*)row(&d, i);
      for(j=0; j<n; j++){
        unsigned char bit = (unsigned char)(row(&d, i)[j]>0);
        z[j/8] = (unsigned char)((j%8 ? z[j/8] : 0) | bit<<(j%8));
      }
    }
  }
  free(aCentre);
  return d;
}

static void newGraph(Data *d, int (*xLoad)(void*, LscGraph*, uint32_t, int64_t), void *pCtx){
  LscGraphConfig c;
  memset(&c, 0, sizeof(c));
  c.metric = d->metric;
  c.n = d->n;
  c.nCap = d->nCap;
  c.alpha = 1.2f;
  c.xLoad = xLoad;
  c.pCtx = pCtx;
  CHECK( lscGraphNew(&c, &d->g)==0 );
}

static uint32_t nodeOf(const Data *d, uint32_t i){
  uint32_t node;
  CHECK( lscGraphNode(d->g, idOf(i), &node)==0 );
  return node;
}

static void add(Data *d, uint32_t i){
  lscGraphSetVector(d->g, nodeOf(d, i), row(d, i), 1);
  d->aLive[i] = 1;
}

static float distance(const Data *d, const float *a, const float *b){
  double ab = 0, aa = 0, bb = 0, s = 0;
  uint32_t i;
  if( d->metric==LSC_HAMMING ){
    for(i=0; i<d->n; i++){
      s += (((const unsigned char*)a)[i/8] ^ ((const unsigned char*)b)[i/8])>>(i%8) & 1;
    }
    return (float)s;
  }
  for(i=0; i<d->n; i++){
    ab += (double)a[i]*b[i];
    aa += (double)a[i]*a[i];
    bb += (double)b[i]*b[i];
    s += ((double)a[i]-b[i])*((double)a[i]-b[i]);
  }
  return (float)(d->metric==LSC_L2 ? sqrt(s) : 1 - ab/sqrt(aa*bb));
}

static void build(Data *d, int nThread){
  uint32_t i, entry;
  newGraph(d, 0, 0);
  for(i=0; i<d->nRow; i++) add(d, i);
  CHECK( lscGraphCount(d->g)==d->nRow && lscGraphBytes(d->g)>=(uint64_t)d->nRow*d->g->nByte );
  CHECK( lscGraphBuild(d->g, nThread, 0, 0, &entry)==0 );
}

static void freeData(Data *d){
  lscGraphFree(d->g);
  free(d->a);
  free(d->aLive);
}

/* Nodes that are reached from one. */
static uint32_t reached(const LscGraph *g, uint32_t from){
  uint8_t *aSeen = calloc(g->nNode, 1);
  uint32_t *aQueue = malloc(g->nNode*sizeof(*aQueue)), n = 0, i, j, nTo;
  aSeen[from] = 1;
  aQueue[n++] = from;
  for(i=0; i<n; i++){
    const uint32_t *aTo = lscGraphEdges(g, aQueue[i], &nTo);
    for(j=0; j<nTo; j++){
      if( aSeen[aTo[j]]++==0 ) aQueue[n++] = aTo[j];
      else aSeen[aTo[j]] = 1;
    }
  }
  free(aSeen);
  free(aQueue);
  return n;
}

/* Edges lead to other live nodes, each to one, and are counted; all nodes are reached from some. */
static void checkGraph(const Data *d, int bReach){
  const LscGraph *g = d->g;
  uint32_t *aIn = calloc(g->nNode + 1, sizeof(*aIn)), i, j, k, nTo, nLive = 0;
  for(i=0; i<g->nNode; i++){
    const uint32_t *aTo = lscGraphEdges(g, i, &nTo);
    if( !lscGraphIsLive(g, i) ){
      CHECK( nTo==0 );
      continue;
    }
    nLive++;
    CHECK( nTo<=d->nCap );
    for(j=0; j<nTo; j++){
      CHECK( aTo[j]<g->nNode && aTo[j]!=i && lscGraphIsLive(g, aTo[j]) );
      for(k=0; k<j; k++) CHECK( aTo[k]!=aTo[j] );
      aIn[aTo[j]]++;
    }
  }
  CHECK( nLive==lscGraphLive(g) && lscGraphIsWhole(g) );
  for(i=0; i<g->nNode; i++) CHECK( g->aIn[i]==aIn[i] );
  for(i=0; bReach && i<g->nNode; i+=g->nNode/40 + 1){
    if( lscGraphIsLive(g, i) ) CHECK( reached(g, i)==nLive );
  }
  free(aIn);
}

static int byValue(const void *a, const void *b){
  float x = *(const float*)a, y = *(const float*)b;
  return x!=x ? y==y : y!=y ? -1 : (x>y) - (x<y);
}

static int allowSome(void *pModulus, int64_t id){ return (uint64_t)id % *(uint64_t*)pModulus==0; }

/* The share of the k nearest that are found, over nQuery queries; checks what is said of each. modulus: a filter. */
static double recall(Data *d, uint32_t k, uint32_t ef, uint32_t nQuery, uint64_t modulus){
  float *aAll = malloc((d->nRow + 1)*sizeof(float)), *q = calloc(d->n, sizeof(float));
  LscGraphHit *aHit = malloc((k + 1)*sizeof(*aHit));
  double found = 0, wanted = 0;
  uint32_t i, j, iQuery, nHit, nAll;
  for(iQuery=0; iQuery<nQuery; iQuery++){
    uint32_t iBase = (uint32_t)(uniform()*d->nRow);
    for(i=0; i<d->n; i++) q[i] = d->metric==LSC_HAMMING ? row(d, iBase)[i] : row(d, iBase)[i] + 0.2f*normal();
    for(i=0, nAll=0; i<d->nRow; i++){
      if( d->aLive[i] && (modulus==0 || allowSome(&modulus, idOf(i))) ) aAll[nAll++] = distance(d, q, row(d, i));
    }
    qsort(aAll, nAll, sizeof(float), byValue);
    CHECK( lscGraphSearch(d->g, q, k, ef, 0, 0, modulus ? allowSome : 0, &modulus, aHit, &nHit)==0 );
    CHECK( nHit==(nAll<k ? nAll : k) );
    for(i=0; i<nHit; i++){
      float x = aHit[i].distance, y = distance(d, q, lscGraphVector(d->g, aHit[i].node));
      CHECK( lscGraphIsLive(d->g, aHit[i].node) );
      CHECK( modulus==0 || allowSome(&modulus, lscGraphId(d->g, aHit[i].node)) );
      CHECK( (x!=x && y!=y) || fabsf(x-y)<=1e-5f + 1e-5f*y );
      for(j=0; j<i; j++) CHECK( aHit[j].node!=aHit[i].node );
      if( i>0 ) CHECK( x!=x || (aHit[i-1].distance<=x + 1e-6f) );
      y = aAll[nHit-1];
      found += x<=y + 1e-6f + 1e-6f*y || y!=y;
    }
    wanted += nHit;
  }
  free(aAll);
  free(q);
  free(aHit);
  return wanted>0 ? found/wanted : 1;
}
