/*
** scan.c: the exact k nearest rows of a table. Included by engine.c.
**
** A column is read once and kept packed: blocks of rows with their vectors one behind the other, at SCAN_ALIGN, the
** rowids in ascending order and, for float32, each length and its square. A packed column belongs to a connection and to
** one state of the database: the number of the pager and its data version, which every commit changes, its own and those
** of others. It is not kept while the connection has a write transaction, nor when it is larger than
** LscConn.nScanLimit bytes: then the rows go through one block at a time.
**
** A search gives the blocks to as many threads as the processor has. Threads read blocks and write their own heaps,
** nothing else; the connection's mutex is held by the thread that began the search. What is read and counted is that of
** one read transaction.
**
** NULL vectors, and rows whose distance is no number (the cosine of a vector of length 0), are not found.
*/
#define SCAN_ALIGN 64
#define SCAN_BLOCK_BYTES (512*1024)
#define SCAN_THREADS (POOL_THREADS+1)
#define SCAN_THREAD_BYTES (1024*1024)
#define SCAN_QUERIES 16             /* that are told apart at once */
#define SCAN_TILE 32                /* rows that meet all queries while they are in the cache */

typedef struct ScanBlock ScanBlock;
struct ScanBlock {
  ScanBlock *pNext;
  int nRow;
  i64 *aId;
  float *aNorm;                     /* a.a for LSC_F32 and LSC_F8, and behind these its roots */
  float *aRoot;
  u32 *aSum;                        /* of the bytes, for LSC_F8 */
  u8 *aData;
};

/* A packed column, or as much of it as is in memory at a time. */
typedef struct ScanSet ScanSet;
struct ScanSet {
  ScanSet *pNext;                   /* of the connection, the last used first */
  u64 iPager;                       /* key: the database, its state, the table and the column */
  u32 iVersion;
  Pgno tnum;
  int iCol;
  int type;                         /* LSC_..., 0 while there is no row */
  u32 n;                            /* elements */
  size_t nStride;                   /* bytes from a row to the next */
  size_t nData;                     /* bytes of a vector's data part */
  int nBlockRow;                    /* rows in a full block */
  int nBlock;
  u64 nByte;                        /* of all blocks */
  ScanBlock *pFirst, *pLast;
};

typedef struct ScanHit {
  float distance;
  i64 id;
} ScanHit;

/* The k best so far, the worst of them first. Grows as hits come: k may be far more than there are rows. */
typedef struct ScanHeap {
  ScanHit *a;                       /* owned */
  int n;
  int nAlloc;
  int oom;                          /* there was no room for a hit */
} ScanHeap;

/* One search; what the threads share. */
typedef struct ScanJob {
  sqlite3 *db;
  const LscKernels *pKernel;
  int metric;
  int k;
  int nQuery;
  LscVector *aQuery;                /* of the set's type */
  float *aQueryNorm;                /* as ScanBlock.aNorm and aSum */
  u32 *aQuerySum;
  float *aPacked;                   /* queries for xDotsF32, or NULL */
  const i64 *aFilter;               /* ascending rowids to look at, or NULL */
  i64 nFilter;
  ScanSet *pSet;
  ScanBlock **apBlock;
  int nBlock;
  int iNext;                        /* atomic: the block that is taken next */
  int nThread;
} ScanJob;

typedef struct ScanWorker {
  ScanJob *pJob;
  ScanHeap *aHeap;                  /* one for each query */
  int rc;
} ScanWorker;

/* Nearer, or as near with a smaller rowid. */
static int scanBefore(const ScanHit *a, const ScanHit *b){
  return a->distance<b->distance || (a->distance==b->distance && a->id<b->id);
}

static void scanDown(ScanHit *a, int n, int i){
  ScanHit hit = a[i];
  int c;
  while( (c = 2*i+1)<n ){
    if( c+1<n && scanBefore(&a[c], &a[c+1]) ) c++;
    if( !scanBefore(&hit, &a[c]) ) break;
    a[i] = a[c];
    i = c;
  }
  a[i] = hit;
}

static void scanPush(ScanHeap *p, int k, float distance, i64 id){
  ScanHit hit;
  int i;
  hit.distance = distance;
  hit.id = id;
  if( p->n<k ){
    if( p->n==p->nAlloc ){
      int nNew = p->nAlloc==0 ? (k<64 ? k : 64) : p->nAlloc<k/2 ? 2*p->nAlloc : k;
      ScanHit *aNew = sqlite3_realloc64(p->a, sizeof(ScanHit)*(u64)nNew);
      if( aNew==0 ){
        p->oom = 1;
        return;
      }
      p->a = aNew;
      p->nAlloc = nNew;
    }
    i = p->n++;
    while( i>0 && scanBefore(&p->a[(i-1)/2], &hit) ){
      p->a[i] = p->a[(i-1)/2];
      i = (i-1)/2;
    }
    p->a[i] = hit;
  }else if( scanBefore(&hit, &p->a[0]) ){
    p->a[0] = hit;
    scanDown(p->a, p->n, 0);
  }
}

/* Orders a heap from the nearest to the farthest. */
static void scanSort(ScanHeap *p){
  int n;
  for(n=p->n-1; n>0; n--){
    ScanHit hit = p->a[0];
    p->a[0] = p->a[n];
    p->a[n] = hit;
    scanDown(p->a, n, 0);
  }
}

/* What can still enter the heap. */
static float scanBound(const ScanHeap *p, int k){
  return p->n<k ? INFINITY : p->a[0].distance;
}

static float scanCos(float dot, float aa, float bb){
  return (float)(1.0 - dot / sqrt((double)(aa*bb)));
}

/*
** The dot product that a row of length 1 needs at least for its cosine distance to enter a heap, less a margin for
** rounding. Most rows fall short of it times their length, and are spared the division.
*/
static float scanLeast(float bound, float bb){
  return (float)((1.0 - bound - 4e-6) * sqrt((double)bb));
}

/* What the bytes of a float8 stand for. */
static void scanScale(const ScanSet *p, const u8 *pRow, LscVector *pOut){
  memcpy(&pOut->alpha, pRow + p->nData - 8, 4);
  memcpy(&pOut->shift, pRow + p->nData - 4, 4);
}

/* The rows of a block to look at, as indexes into it; all without a filter. */
static int scanSelect(const ScanJob *p, const ScanBlock *pBlock, int *aSel){
  i64 lo = 0, hi = p->nFilter;
  int i = 0, n = 0;
  if( p->aFilter==0 ){
    for(n=0; n<pBlock->nRow; n++) aSel[n] = n;
    return n;
  }
  while( lo<hi ){
    i64 mid = lo + (hi-lo)/2;
    if( p->aFilter[mid]<pBlock->aId[0] ) lo = mid+1; else hi = mid;
  }
  for(; lo<p->nFilter && i<pBlock->nRow; lo++){
    i64 id = p->aFilter[lo];
    int a = i, b = pBlock->nRow;
    if( id>pBlock->aId[pBlock->nRow-1] ) break;
    while( a<b ){
      int mid = a + (b-a)/2;
      if( pBlock->aId[mid]<id ) a = mid+1; else b = mid;
    }
    i = a;
    if( i<pBlock->nRow && pBlock->aId[i]==id ) aSel[n++] = i++;
  }
  return n;
}

/* float32 and a dot product, one query at a time, all rows of a block: most are told from their dot product alone. */
static void scanBlockDots(const ScanJob *p, const ScanBlock *pBlock, ScanHeap *aHeap){
  size_t n = p->pSet->n, nStride = p->pSet->nStride;
  int cos = p->metric==LSC_COS;
  float aDot[SCAN_TILE];
  int iRow, i, q;
  for(q=0; q<p->nQuery; q++){
    float bb = p->aQueryNorm[q], bound = scanBound(&aHeap[q], p->k), least = scanLeast(bound, bb);
    for(iRow=0; iRow<pBlock->nRow; iRow+=SCAN_TILE){
      int nRow = pBlock->nRow-iRow<SCAN_TILE ? pBlock->nRow-iRow : SCAN_TILE, nNear = 0;
      const float *aRoot = &pBlock->aRoot[iRow];
      p->pKernel->xDotRowsF32(pBlock->aData + nStride*(size_t)iRow, nStride, (size_t)nRow, p->aQuery[q].pData, n, aDot);
      /* Those that are no number count as near. */
      if( nRow==SCAN_TILE && cos ){
        for(i=0; i<SCAN_TILE; i++) nNear += !(aDot[i]<least*aRoot[i]);
      }else if( nRow==SCAN_TILE ){
        for(i=0; i<SCAN_TILE; i++) nNear += !(-aDot[i]>bound);
      }else{
        nNear = nRow;
      }
      for(i=0; nNear>0 && i<nRow; i++){
        float d = aDot[i];
        if( cos && d<least*aRoot[i] ) continue;
        d = cos ? scanCos(d, pBlock->aNorm[iRow+i], bb) : -d;
        if( d<=bound ){                                   /* false for NaN */
          scanPush(&aHeap[q], p->k, d, pBlock->aId[iRow+i]);
          bound = scanBound(&aHeap[q], p->k);
          least = scanLeast(bound, bb);
        }
      }
    }
  }
}

/* float32, one query at a time. */
static void scanBlockF32(const ScanJob *p, const ScanBlock *pBlock, const int *aSel, int nSel, ScanHeap *aHeap){
  const LscKernels *pK = p->pKernel;
  size_t n = p->pSet->n, nStride = p->pSet->nStride;
  int i, q;
  for(q=0; q<p->nQuery; q++){
    const void *pQuery = p->aQuery[q].pData;
    float bb = p->aQueryNorm[q], bound = scanBound(&aHeap[q], p->k), least = scanLeast(bound, bb);
    for(i=0; i<nSel; i++){
      const u8 *pRow = pBlock->aData + nStride*(size_t)aSel[i];
      float d;
      switch( p->metric ){
        case LSC_COS:
          d = pK->xDotF32(pRow, pQuery, n);
          if( d<least*pBlock->aRoot[aSel[i]] ) continue;  /* goes on when anything is no number */
          d = scanCos(d, pBlock->aNorm[aSel[i]], bb);
          break;
        case LSC_DOT: d = -pK->xDotF32(pRow, pQuery, n); break;
        default:      d = sqrtf(pK->xL2F32(pRow, pQuery, n)); break;
      }
      if( d<=bound ){                                     /* false for NaN */
        scanPush(&aHeap[q], p->k, d, pBlock->aId[aSel[i]]);
        bound = scanBound(&aHeap[q], p->k);
        least = scanLeast(bound, bb);
      }
    }
  }
}

/* Whether any of SCAN_QUERIES dot products is large enough, or no number. */
static int scanAnyNear(const float *aDot, const float *aLeast, float root){
  int i, n = 0;
  for(i=0; i<SCAN_QUERIES; i++) n += !(aDot[i]<aLeast[i]*root);
  return n;
}

/* float32, all queries at once: tiles of rows times queries by the matrix kernel. The squared distance that follows
** from dot products loses digits, so it only tells which rows are worth the exact one. */
static void scanTileF32(
  const ScanJob *p, const ScanBlock *pBlock, const int *aSel, int nSel, float *aDot, float *aLeast, ScanHeap *aHeap
){
  const LscKernels *pK = p->pKernel;
  size_t n = p->pSet->n, nStride = p->pSet->nStride;
  const void *apRow[SCAN_TILE];
  int i, q;
  for(i=0; i<nSel; i++) apRow[i] = pBlock->aData + nStride*(size_t)aSel[i];
  pK->xDotsF32(apRow, (size_t)nSel, p->aPacked, (size_t)p->nQuery, n, aDot);
  for(i=0; i<nSel; i++){
    const float *aRow = &aDot[(size_t)i*(size_t)p->nQuery];
    float aa = pBlock->aNorm[aSel[i]], root = pBlock->aRoot[aSel[i]];
    for(q=0; q<p->nQuery; q++){
      float d, bb, bound;
      while( p->metric==LSC_COS && q%SCAN_QUERIES==0 && p->nQuery-q>=SCAN_QUERIES
          && !scanAnyNear(&aRow[q], &aLeast[q], root) ) q += SCAN_QUERIES;
      if( q==p->nQuery ) break;
      d = aRow[q];
      bb = p->aQueryNorm[q];
      if( p->metric==LSC_COS && d<aLeast[q]*root ) continue;        /* goes on when anything is no number */
      bound = scanBound(&aHeap[q], p->k);
      switch( p->metric ){
        case LSC_COS: d = scanCos(d, aa, bb); break;
        case LSC_DOT: d = -d; break;
        default: {
          float error = (aa+bb) * (float)(n+64) * 1.2e-7f;
          if( aa+bb-2*d-error > bound*bound ) continue;
          d = sqrtf(pK->xL2F32(apRow[i], p->aQuery[q].pData, n));
        }
      }
      if( d<=bound ){
        scanPush(&aHeap[q], p->k, d, pBlock->aId[aSel[i]]);
        aLeast[q] = scanLeast(scanBound(&aHeap[q], p->k), bb);
      }
    }
  }
}

/* float1bit, where both metrics are the bits that differ. */
static void scanBlockBits(const ScanJob *p, const ScanBlock *pBlock, ScanHeap *aHeap){
  size_t nStride = p->pSet->nStride;
  u32 aBits[SCAN_TILE];
  int iRow, i, q;
  for(iRow=0; iRow<pBlock->nRow; iRow+=SCAN_TILE){
    int nRow = pBlock->nRow-iRow<SCAN_TILE ? pBlock->nRow-iRow : SCAN_TILE;
    for(q=0; q<p->nQuery; q++){
      float bound = scanBound(&aHeap[q], p->k);
      p->pKernel->xHammingRows(pBlock->aData + nStride*(size_t)iRow, nStride, (size_t)nRow, p->aQuery[q].pData,
                               p->pSet->nData, aBits);
      for(i=0; i<nRow; i++){
        if( (float)aBits[i]<=bound ){
          scanPush(&aHeap[q], p->k, (float)aBits[i], pBlock->aId[iRow+i]);
          bound = scanBound(&aHeap[q], p->k);
        }
      }
    }
  }
}

/* float8 and a dot product, with what is known of each row: as the SQL functions compute it. */
static void scanBlockBytes(const ScanJob *p, const ScanBlock *pBlock, ScanHeap *aHeap){
  size_t nStride = p->pSet->nStride;
  int cos = p->metric==LSC_COS;
  u32 aDot[SCAN_TILE];
  LscVector row;
  int iRow, i, q;
  memset(&row, 0, sizeof(row));
  row.n = p->pSet->n;
  for(iRow=0; iRow<pBlock->nRow; iRow+=SCAN_TILE){
    int nRow = pBlock->nRow-iRow<SCAN_TILE ? pBlock->nRow-iRow : SCAN_TILE;
    const u8 *pFirst = pBlock->aData + nStride*(size_t)iRow;
    for(q=0; q<p->nQuery; q++){
      float bb = p->aQueryNorm[q], bound = scanBound(&aHeap[q], p->k), least = scanLeast(bound, bb);
      uint64_t aSum[5];
      aSum[1] = p->aQuerySum[q];
      p->pKernel->xDotRowsU8(pFirst, nStride, (size_t)nRow, p->aQuery[q].pData, row.n, aDot);
      for(i=0; i<nRow; i++){
        float d;
        scanScale(p->pSet, pFirst + nStride*(size_t)i, &row);
        aSum[0] = pBlock->aSum[iRow+i];
        aSum[4] = aDot[i];
        d = lscDotF8(&row, &p->aQuery[q], aSum);
        if( cos && d<least*pBlock->aRoot[iRow+i] ) continue;    /* goes on when anything is no number */
        d = cos ? scanCos(d, pBlock->aNorm[iRow+i], bb) : 0.0f-d;
        if( d<=bound ){
          scanPush(&aHeap[q], p->k, d, pBlock->aId[iRow+i]);
          bound = scanBound(&aHeap[q], p->k);
          least = scanLeast(bound, bb);
        }
      }
    }
  }
}

/* The other types, as the SQL functions compute it. */
static void scanBlockAny(const ScanJob *p, const ScanBlock *pBlock, const int *aSel, int nSel, ScanHeap *aHeap){
  LscVector row;
  int i, q;
  memset(&row, 0, sizeof(row));
  row.type = p->pSet->type;
  row.n = p->pSet->n;
  for(i=0; i<nSel; i++){
    const u8 *pRow = pBlock->aData + p->pSet->nStride*(size_t)aSel[i];
    row.pData = pRow;
    if( row.type==LSC_F8 ) scanScale(p->pSet, pRow, &row);
    for(q=0; q<p->nQuery; q++){
      double d = lscVectorDistance(p->metric, &row, &p->aQuery[q]);
      if( d<=scanBound(&aHeap[q], p->k) ) scanPush(&aHeap[q], p->k, (float)d, pBlock->aId[aSel[i]]);
    }
  }
}

/* The number of the next block that nobody has taken. */
static int scanTake(ScanJob *p){
#if defined(_WIN32)
  return p->iNext++;                /* one thread */
#else
  return __atomic_fetch_add(&p->iNext, 1, __ATOMIC_RELAXED);
#endif
}

static void scanWork(void *pArg){
  ScanWorker *pWorker = pArg;
  ScanJob *p = pWorker->pJob;
  int *aSel = malloc(sizeof(int)*(size_t)p->pSet->nBlockRow);
  float *aDot = p->aPacked ? malloc(sizeof(float)*(SCAN_TILE+1)*(size_t)p->nQuery) : 0;
  float *aLeast = aDot ? &aDot[(size_t)SCAN_TILE*(size_t)p->nQuery] : 0;
  int q;
  if( aSel==0 || (p->aPacked && aDot==0) ){
    pWorker->rc = SQLITE_NOMEM;
    goto out;
  }
  for(q=0; aLeast && q<p->nQuery; q++) aLeast[q] = scanLeast(scanBound(&pWorker->aHeap[q], p->k), p->aQueryNorm[q]);
  for(;;){
    int iBlock = scanTake(p);
    ScanBlock *pBlock;
    int i, nSel;
    if( iBlock>=p->nBlock ) break;
    if( AtomicLoad(&p->db->u1.isInterrupted) ){
      pWorker->rc = SQLITE_INTERRUPT;
      break;
    }
    pBlock = p->apBlock[iBlock];
    if( p->aFilter==0 && p->pSet->type==LSC_F1BIT && p->metric!=LSC_DOT ){
      scanBlockBits(p, pBlock, pWorker->aHeap);
      continue;
    }
    if( p->aFilter==0 && p->aPacked==0 && (p->metric==LSC_COS || p->metric==LSC_DOT) ){
      if( p->pSet->type==LSC_F32 || p->pSet->type==LSC_F8 ){
        (p->pSet->type==LSC_F32 ? scanBlockDots : scanBlockBytes)(p, pBlock, pWorker->aHeap);
        continue;
      }
    }
    nSel = scanSelect(p, pBlock, aSel);
    if( p->pSet->type!=LSC_F32 || p->metric==LSC_HAMMING ){
      scanBlockAny(p, pBlock, aSel, nSel, pWorker->aHeap);
    }else if( p->aPacked==0 ){
      scanBlockF32(p, pBlock, aSel, nSel, pWorker->aHeap);
    }else{
      for(i=0; i<nSel; i+=SCAN_TILE){
        scanTileF32(p, pBlock, &aSel[i], nSel-i<SCAN_TILE ? nSel-i : SCAN_TILE, aDot, aLeast,
                    pWorker->aHeap);
      }
    }
  }
out:
  free(aSel);
  free(aDot);
}
