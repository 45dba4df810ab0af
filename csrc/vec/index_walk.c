/*
** index_walk.c: a search that keeps nothing: straight from the blocks of an index, for connections that may keep no
** graph. Included by engine.c.
**
** It is the walk of graph_walk.c without a graph. The beam begins with the nodes of the directory that are nearest, and
** each block that is read has the vectors of the nodes that its edges lead to, so that a search reads little more than
** the nodes that it follows. What it finds, it has read: their distances are exact.
**
** Without a width that was asked for, a walk goes on until the k nearest have stayed the same while it followed nearly
** half as many nodes more than before, beginning with as many as the graph needed when the index was built; or, if that
** is not known, while it followed nearly three times as many.
*/
enum { WALK_SEEDS=16, WALK_LEAST=64, WALK_MOST=4096, WALK_ROOM=4, WALK_STEPS=3, WALK_ALIKE=8 };

typedef struct LscFound {
  float distance;
  i64 id;                           /* of the node */
} LscFound;

/* Numbers before NaN, near before far, small ids before large. */
static int ixCompareFound(const void *a, const void *b){
  const LscFound *x = a, *y = b;
  if( isnan(x->distance)!=isnan(y->distance) ) return isnan(x->distance) ? 1 : -1;
  if( x->distance<y->distance ) return -1;
  if( x->distance>y->distance ) return 1;
  return ixCompareIds(&x->id, &y->id);
}

typedef struct WalkHit {
  i64 id;
  float d;
  u8 bDone;                         /* its block was read */
} WalkHit;

/* A set of numbers, with how often each came. */
typedef struct WalkSet {
  struct { u64 key; u32 n; } *a;    /* owned; n is 0 where nothing is */
  u32 n, nSlot;
} WalkSet;

typedef struct LscWalk {
  LscIndex *p;
  LscRows *pRows;
  LscVector query;                  /* of the column's type */
  LscVector edge;                   /* that edges are compared with */
  u8 *aEdge;                        /* owned: its data, if it is another */
  u8 bWiden;                        /* edges become what the graph has before */
  u32 ef, nAlike;                   /* beam; how many nodes with one vector may be in it */
  WalkHit *aBeam;                   /* owned, nearest first */
  u32 nBeam, nAlloc;
  WalkSet seen, alike;
} LscWalk;

static void walkClear(LscWalk *w){
  sqlite3_free(w->aEdge);
  sqlite3_free(w->aBeam);
  sqlite3_free(w->seen.a);
  sqlite3_free(w->alike.a);
}

/* Counts a key; *pn is how often it has come now. */
static int setAdd(WalkSet *p, u64 key, u32 *pn){
  u32 i;
  if( 2*p->n>=p->nSlot ){
    WalkSet old = *p;
    u32 nSlot = old.nSlot ? 2*old.nSlot : 1024;
    p->a = nSlot<0x40000000 ? sqlite3_malloc64(sizeof(*p->a)*(u64)nSlot) : 0;
    if( p->a==0 ){
      *p = old;
      return SQLITE_NOMEM_BKPT;
    }
    memset(p->a, 0, sizeof(*p->a)*(size_t)nSlot);
    p->nSlot = nSlot;
    for(i=0; i<old.nSlot; i++){
      u32 j = (u32)graphMix((i64)old.a[i].key) & (nSlot - 1);
      if( old.a[i].n==0 ) continue;
      while( p->a[j].n ) j = (j + 1) & (nSlot - 1);
      p->a[j] = old.a[i];
    }
    sqlite3_free(old.a);
  }
  i = (u32)graphMix((i64)key) & (p->nSlot - 1);
  while( p->a[i].n && p->a[i].key!=key ) i = (i + 1) & (p->nSlot - 1);
  p->a[i].key = key;
  p->n += p->a[i].n==0;
  *pn = ++p->a[i].n;
  return SQLITE_OK;
}

static u64 walkHash(const u8 *a, u32 n){
  u64 h = n, x = 0;
  for(; n>=8; n-=8, a+=8){
    h = (h ^ ixGet8(a))*0x9e3779b97f4a7c15u;
    h ^= h>>29;
  }
  memcpy(&x, a, n);
  h = (h ^ x)*0x9e3779b97f4a7c15u;
  return h ^ h>>32;
}

static float walkDistance(const LscWalk *w, const LscVector *a, const LscVector *b){
  float d = (float)lscVectorDistance(w->p->par.metric, a, b);
  return d<INFINITY ? d : INFINITY;
}

static float walkNear(const LscWalk *w, const u8 *aEdge){
  const LscIndexParams *pPar = &w->p->par;
  LscVector v = ixVector(w->edge.type, pPar->n, w->bWiden ? ixWiden(w->p, pPar->edgeType, aEdge) : aEdge);
  return walkDistance(w, &v, &w->edge);
}

/* How edges are compared: as they are, if the query can be made what they are without loss that matters. */
static int walkQuery(LscWalk *w, const LscVector *pQuery){
  LscIndex *p = w->p;
  const LscIndexParams *pPar = &p->par;
  int rc;
  w->query = ixVector(pPar->type, pPar->n, pQuery->pData);
  w->edge = w->query;
  if( pPar->type==pPar->edgeType ) return SQLITE_OK;
  w->bWiden = pPar->edgeType!=LSC_F8 || pPar->metric==LSC_HAMMING;
  if( w->bWiden ){
    int type = pPar->metric==LSC_HAMMING ? LSC_F1BIT : LSC_F32;
    const void *pWide = ixWiden(p, pPar->type, pQuery->pData);
    u64 nByte = (u64)lscVectorSize(type, pPar->n);
    w->aEdge = sqlite3_malloc64(nByte);
    if( w->aEdge==0 ) return SQLITE_NOMEM_BKPT;
    memcpy(w->aEdge, pWide, nByte);
    w->edge = ixVector(type, pPar->n, w->aEdge);
    return SQLITE_OK;
  }
  w->aEdge = sqlite3_malloc64(pPar->nEdge);
  rc = w->aEdge ? ixToEdge(pPar, pQuery->pData, w->aEdge) : SQLITE_NOMEM_BKPT;
  if( rc==SQLITE_OK ) w->edge = ixVector(pPar->edgeType, pPar->n, w->aEdge);
  return rc;
}

/* The place in the beam that a distance has. */
static u32 walkPlace(const LscWalk *w, float d){
  u32 lo = 0, hi = w->nBeam;
  while( lo<hi ){
    u32 mid = lo + (hi-lo)/2;
    if( w->aBeam[mid].d<=d ) lo = mid+1; else hi = mid;
  }
  return lo;
}

static int walkPut(LscWalk *w, i64 id, float d, int bDone, u32 *piPlace){
  u32 i = *piPlace = walkPlace(w, d);
  if( w->nBeam==w->nAlloc ){
    u64 nAlloc = 2*(u64)w->nAlloc + 64;
    WalkHit *aNew = sqlite3_realloc64(w->aBeam, nAlloc*sizeof(*aNew));
    if( aNew==0 ) return SQLITE_NOMEM_BKPT;
    w->aBeam = aNew;
    w->nAlloc = (u32)nAlloc;
  }
  memmove(&w->aBeam[i+1], &w->aBeam[i], (w->nBeam - i)*sizeof(*w->aBeam));
  w->aBeam[i].id = id;
  w->aBeam[i].d = d;
  w->aBeam[i].bDone = (u8)bDone;
  w->nBeam++;
  return SQLITE_OK;
}

/* Meets a node that an edge or the directory names; *piBest becomes its place if that is less. */
static int walkMeet(LscWalk *w, i64 id, const u8 *aEdge, u32 *piBest){
  u32 n, i;
  float d;
  int rc = setAdd(&w->seen, (u64)id, &n);
  if( rc!=SQLITE_OK || n>1 ) return rc;
  d = walkNear(w, aEdge);
  if( w->nBeam>=w->ef && !(d<w->aBeam[w->nBeam-1].d) ) return SQLITE_OK;
  rc = setAdd(&w->alike, walkHash(aEdge, w->p->par.nEdge), &n);
  if( rc!=SQLITE_OK || n>w->nAlike ) return rc;
  if( w->nBeam>=w->ef ) w->nBeam--;
  rc = walkPut(w, id, d, 0, &i);
  if( i<*piBest ) *piBest = i;
  return rc;
}

/* The nodes to begin at. */
static int walkStart(LscWalk *w){
  LscIndex *p = w->p;
  u32 aPlace[WALK_SEEDS], nPlace = 0, nStart = 0, aStart[LSC_STARTS], i, iPlace = 0;
  int rc = SQLITE_OK;
  if( p->nDir ) rc = dirNearest(p, w->query.pData, aPlace, WALK_SEEDS, &nPlace);
  for(i=0; i<nPlace && rc==SQLITE_OK; i++){
    rc = walkMeet(w, dirId(p, aPlace[i]), &p->aDir[dirVectorAt(p, aPlace[i])], &iPlace);
  }
  if( rc!=SQLITE_OK || nPlace>0 ) return rc;
  rc = ixStarts(p, w->pRows, w->query.pData, aStart, &nStart);
  for(i=0; i<nStart && rc==SQLITE_OK; i++){
    u32 n;
    i64 id = lscGraphId(p->pGraph, aStart[i]);
    rc = setAdd(&w->seen, (u64)id, &n);
    if( rc==SQLITE_OK ) rc = walkPut(w, id, 0, 0, &iPlace);
  }
  return rc;
}

/* Reads the node of entry *piAt, which gets the place of its exact distance, and meets those that its edges lead to.
** *piAt becomes the first place that something came to. */
static int walkFollow(LscWalk *w, u32 *piAt){
  LscIndex *p = w->p;
  const LscIndexParams *pPar = &p->par;
  u8 *a = p->aBlock;
  u32 nTo, j, iBest = *piAt, iPlace, iAt = *piAt;
  i64 id = w->aBeam[iAt].id;
  LscVector v;
  int found, rc = rowsSeek(w->pRows, id, &found);
  if( rc!=SQLITE_OK ) return rc;
  w->nBeam--;
  memmove(&w->aBeam[iAt], &w->aBeam[iAt+1], (w->nBeam - iAt)*sizeof(*w->aBeam));
  if( !found ) return SQLITE_OK;
  rc = rowsRead(w->pRows, 0, pPar->nBlock, a);
  if( rc!=SQLITE_OK ) return rc;
  p->nLoaded++;
  nTo = ixGet2(&a[8]);
  if( nTo>pPar->nCap ) return ixCorrupt(p, id, "too many edges");
  v = ixVector(pPar->type, pPar->n, &a[pPar->nHead]);
  rc = walkPut(w, id, walkDistance(w, &v, &w->query), 1, &iPlace);
  for(j=0; j<nTo && rc==SQLITE_OK; j++){
    rc = walkMeet(w, (i64)ixGet8(&a[ixSlotAt(pPar, j)+8]), &a[ixVectorAt(pPar, j)], &iBest);
  }
  *piAt = iBest;
  return rc;
}

/* Fills the beam. Patient: until the k nearest stay the same, see above; the beam is WALK_ROOM times as wide as what is
** followed before that is looked at next. */
static int walkRun(LscWalk *w, u32 k, int bPatient){
  u32 cur = 0, iNext = 0xffffffff, nSame = 0, nEnough = WALK_STEPS;
  float bound = INFINITY;
  int rc = dirRead(w->p, w->pRows);
  if( bPatient ){
    u32 beam = dirBeam(w->p);
    if( beam==0 || beam>WALK_MOST ) beam = WALK_LEAST; else nEnough = 1;
    iNext = graphBeamFor(beam, k);
    if( nEnough==1 ) iNext = iNext/7*5;
    w->ef = WALK_ROOM*iNext;
  }
  if( rc==SQLITE_OK ) rc = walkStart(w);
  while( rc==SQLITE_OK && cur<w->nBeam ){
    if( cur>=iNext ){
      float d = w->nBeam>=k ? w->aBeam[k-1].d : INFINITY;
      nSame = d<bound ? 0 : nSame + 1;
      if( nSame>=nEnough || iNext>=WALK_MOST ) break;
      bound = d;
      iNext += iNext/5*2 + 1;
      w->ef = WALK_ROOM*iNext;
    }
    if( w->aBeam[cur].bDone ){
      cur++;
      continue;
    }
    if( AtomicLoad(&w->p->db->u1.isInterrupted) ) return SQLITE_INTERRUPT;
    rc = walkFollow(w, &cur);
  }
  return rc;
}

/* Whether this is how to search: nothing of a graph is there, nor may be kept. */
static int walkFits(const LscIndex *p){
  return !p->par.bCompact && !p->bAll && !p->bWrote && p->db->pLsc->nScanLimit<LSC_LEAST_CACHE;
}

/* The k nearest nodes; for ef see ixSearch(). */
static int ixSearchFile(LscIndex *p, LscRows *pRows, const LscVector *pQuery, i64 k, u32 ef, LscFound **paFound,
                        i64 *pn){
  LscWalk w;
  LscFound *a = 0;
  u32 i;
  i64 n = 0;
  int bPatient, rc;
  memset(&w, 0, sizeof(w));
  w.p = p;
  w.pRows = pRows;
  w.nAlike = (u32)MAX(k, WALK_ALIKE);
  if( ef==0 ) ef = p->par.nSearch;
  bPatient = ef==0 && k<=GRAPH_PATIENT;
  if( ef==0 ) ef = graphBeamFor(GRAPH_UNKNOWN_BEAM, (u32)k);
  w.ef = (u32)MAX(ef, k);
  rc = walkQuery(&w, pQuery);
  if( rc==SQLITE_OK ) rc = walkRun(&w, (u32)k, bPatient);
  if( rc==SQLITE_OK ){
    a = sqlite3_malloc64(sizeof(*a)*(u64)w.nBeam + 1);
    if( a==0 ) rc = SQLITE_NOMEM_BKPT;
  }
  for(i=0; i<w.nBeam && rc==SQLITE_OK; i++){
    if( !w.aBeam[i].bDone ) continue;
    a[n].id = w.aBeam[i].id;
    a[n++].distance = w.aBeam[i].d<INFINITY ? w.aBeam[i].d : (float)NAN;
  }
  if( rc==SQLITE_OK && n>1 ) qsort(a, (size_t)n, sizeof(*a), ixCompareFound);
  walkClear(&w);
  *paFound = a;
  *pn = MIN(n, k);
  return rc;
}
