/*
** scan_load.c: reading a column into a ScanSet, the sets that a connection keeps, and the search as a whole. Included by
** engine.c, behind scan.c, whose head tells how it fits together.
*/

static void scanSetClear(ScanSet *p){
  while( p->pFirst ){
    ScanBlock *pNext = p->pFirst->pNext;
    sqlite3_free(p->pFirst);
    p->pFirst = pNext;
  }
  p->pLast = 0;
  p->nBlock = 0;
  p->nByte = 0;
}

static void scanSetFree(ScanSet *p){
  if( p ){
    scanSetClear(p);
    sqlite3_free(p);
  }
}

/* Forget what the connection keeps, but for the first nKeep bytes. */
static void lscScanForget(LscConn *pConn, u64 nKeep){
  ScanSet **pp = (ScanSet**)&pConn->pScanSets;
  u64 nByte = 0;
  while( *pp ){
    ScanSet *p = *pp;
    nByte += p->nByte;
    if( nByte>nKeep || nKeep==0 ){
      *pp = p->pNext;
      scanSetFree(p);
    }else{
      pp = &p->pNext;
    }
  }
}

/* What is searched, and where its errors go. */
typedef struct ScanCall {
  sqlite3 *db;
  const char *zSchema;              /* NULL: wherever the table is found first */
  const char *zTable;
  const char *zColumn;
  char *zErr;                       /* owned: sqlite3_free() */
} ScanCall;

static int scanError(ScanCall *p, int rc, char *zErr){
  sqlite3_free(p->zErr);
  p->zErr = zErr;
  return zErr ? rc : SQLITE_NOMEM_BKPT;
}

/* An empty block behind the others, with room for nBlockRow rows. */
static ScanBlock *scanBlockNew(ScanSet *p){
  u64 nHead = ROUND8(sizeof(ScanBlock)), nId = sizeof(i64)*(u64)p->nBlockRow;
  u64 nNorm = p->type==LSC_F32 || p->type==LSC_F8 ? 3*ROUND8(sizeof(float)*(u64)p->nBlockRow) : 0;
  u64 nByte = nHead + nId + nNorm + SCAN_ALIGN + (u64)p->nStride*(u64)p->nBlockRow;
  u8 *a = sqlite3_malloc64(nByte);
  ScanBlock *pBlock = (ScanBlock*)a;
  if( a==0 ) return 0;
  memset(pBlock, 0, sizeof(*pBlock));
  pBlock->aId = (i64*)(a + nHead);
  pBlock->aNorm = (float*)(a + nHead + nId);
  pBlock->aRoot = (float*)(a + nHead + nId + nNorm/3);
  pBlock->aSum = (u32*)(a + nHead + nId + nNorm/3*2);
  a += nHead + nId + nNorm;
  pBlock->aData = a + (SCAN_ALIGN - (uptr)a % SCAN_ALIGN) % SCAN_ALIGN;
  if( p->pLast ) p->pLast->pNext = pBlock; else p->pFirst = pBlock;
  p->pLast = pBlock;
  p->nBlock++;
  p->nByte += nByte;
  return pBlock;
}

/* The first row says what the set holds. */
static void scanSetShape(ScanSet *p, const LscVector *pRow, size_t nData){
  int n;
  p->type = pRow->type;
  p->n = pRow->n;
  p->nData = nData;
  p->nStride = nData<=8 ? 8 : nData<=64 ? ROUND8(nData) : (nData+SCAN_ALIGN-1)/SCAN_ALIGN*SCAN_ALIGN;
  n = (int)(SCAN_BLOCK_BYTES/p->nStride);
  p->nBlockRow = n<SCAN_TILE ? SCAN_TILE : n>8192 ? 8192 : n;
}

/* a.a, and for LSC_F8 the sum of the bytes. */
static float scanNorm(const LscVector *p, u32 *pSum){
  uint64_t aSum[5];
  *pSum = 0;
  if( p->type==LSC_F32 ) return lsc_kernels()->xDotF32(p->pData, p->pData, p->n);
  lsc_kernels()->xSumsU8(p->pData, p->pData, p->n, aSum);
  *pSum = (u32)aSum[0];
  return lscSquareF8(p, aSum[0], aSum[2]);
}

static int scanAddRow(ScanCall *pCall, ScanSet *p, i64 id, sqlite3_value *pValue){
  ScanBlock *pBlock = p->pLast;
  LscVector row;
  char *zErr = 0;
  size_t nData;
  u8 *pData;
  int rc;
  memset(&row, 0, sizeof(row));
  rc = lscVectorFromValue(&row, pValue, &zErr);
  if( rc!=SQLITE_OK ){
    lscVectorFree(&row);
    if( zErr ) rc = scanError(pCall, rc, sqlite3_mprintf("%s (row %lld of %s)", zErr, id, pCall->zTable));
    sqlite3_free(zErr);
    return rc;
  }
  nData = (size_t)lscVectorSize(row.type, row.n);
  if( p->type==0 ) scanSetShape(p, &row, nData);
  if( row.type!=p->type || row.n!=p->n ){
    rc = scanError(pCall, SQLITE_ERROR, sqlite3_mprintf(
        "vector_scan: row %lld of %s has %u elements of type %d, rows before it %u of type %d",
        id, pCall->zTable, row.n, row.type, p->n, p->type));
    goto out;
  }
  if( pBlock==0 || pBlock->nRow==p->nBlockRow ) pBlock = scanBlockNew(p);
  if( pBlock==0 ){
    rc = SQLITE_NOMEM_BKPT;
    goto out;
  }
  pData = pBlock->aData + p->nStride*(size_t)pBlock->nRow;
  memcpy(pData, row.pData, nData);
  memset(pData+nData, 0, p->nStride-nData);
  if( p->type==LSC_F32 || p->type==LSC_F8 ){
    float aa = scanNorm(&row, &pBlock->aSum[pBlock->nRow]);
    pBlock->aNorm[pBlock->nRow] = aa;
    pBlock->aRoot[pBlock->nRow] = sqrtf(aa);
  }
  pBlock->aId[pBlock->nRow++] = id;
out:
  lscVectorFree(&row);
  return rc;
}

/* Adds the row that pStmt is at and those behind it, until there are none (SQLITE_DONE) or the set holds nMax bytes
** (SQLITE_ROW). */
static int scanFill(ScanCall *pCall, ScanSet *p, sqlite3_stmt *pStmt, u64 nMax){
  int rc = SQLITE_ROW;
  while( rc==SQLITE_ROW && p->nByte<=nMax ){
    if( sqlite3_column_type(pStmt, 1)!=SQLITE_NULL ){
      rc = scanAddRow(pCall, p, sqlite3_column_int64(pStmt, 0), sqlite3_column_value(pStmt, 1));
      if( rc!=SQLITE_OK ) break;
    }
    rc = sqlite3_step(pStmt);
  }
  return rc;
}

static int scanPrepare(ScanCall *pCall, sqlite3_stmt **ppStmt, const char *zEnd, char *zSql){
  const char *zTail = 0;
  int rc;
  *ppStmt = 0;
  if( zSql==0 ) return SQLITE_NOMEM_BKPT;
  rc = sqlite3_prepare_v3(pCall->db, zSql, -1, 0, ppStmt, &zTail);
  if( rc!=SQLITE_OK ){
    rc = scanError(pCall, rc, sqlite3_mprintf("%s", sqlite3_errmsg(pCall->db)));
  }else if( zTail[0] ){
    sqlite3_finalize(*ppStmt);
    *ppStmt = 0;
    rc = scanError(pCall, SQLITE_ERROR, sqlite3_mprintf("vector_scan: %s must be one expression", zEnd));
  }
  sqlite3_free(zSql);
  return rc;
}

/* The rowids that a condition is true for, ascending. *paId is owned by the caller: sqlite3_free(). */
static int scanFilter(ScanCall *pCall, const char *zSchema, const char *zRowid, const char *zWhere, i64 **paId, i64 *pnId){
  sqlite3_stmt *pStmt;
  i64 nAlloc = 0, n = 0, *a = 0;
  int rc = scanPrepare(pCall, &pStmt, "the condition", sqlite3_mprintf(
      "SELECT %s FROM \"%w\".\"%w\" WHERE (%s\n) ORDER BY 1", zRowid, zSchema, pCall->zTable, zWhere));
  while( rc==SQLITE_OK && (rc = sqlite3_step(pStmt))==SQLITE_ROW ){
    rc = SQLITE_OK;
    if( n==nAlloc ){
      i64 *aNew = sqlite3_realloc64(a, sizeof(i64)*(u64)(nAlloc = nAlloc ? 2*nAlloc : 256));
      if( aNew==0 ){
        rc = SQLITE_NOMEM_BKPT;
        break;
      }
      a = aNew;
    }
    a[n++] = sqlite3_column_int64(pStmt, 0);
  }
  if( rc==SQLITE_DONE ) rc = SQLITE_OK;
  else if( rc!=SQLITE_NOMEM && pCall->zErr==0 ){
    rc = scanError(pCall, rc, sqlite3_mprintf("%s", sqlite3_errmsg(pCall->db)));
  }
  sqlite3_finalize(pStmt);
  *paId = a;
  *pnId = n;
  return rc;
}

/* A name that means the rowid: no column has it. NULL if columns have all three. */
static const char *scanRowid(Table *p){
  static const char *const az[] = {"_rowid_", "rowid", "oid"};
  int i, j;
  for(i=0; i<3; i++){
    for(j=0; j<p->nCol && sqlite3StrICmp(p->aCol[j].zCnName, az[i])!=0; j++){}
    if( j==p->nCol ) return az[i];
  }
  return 0;
}

/* Reads the schemas that are not loaded. */
static int scanSchemas(sqlite3 *db, char **pzErr){
  int rc;
  sqlite3BtreeEnterAll(db);
  rc = sqlite3Init(db, pzErr);
  sqlite3BtreeLeaveAll(db);
  return rc;
}

static int scanLocate(ScanCall *pCall, Table **ppTab, int *piCol, int *piDb){
  sqlite3 *db = pCall->db;
  Table *p;
  char *zErr = 0;
  int i, rc = scanSchemas(db, &zErr);
  if( rc!=SQLITE_OK ) return scanError(pCall, rc, zErr);
  p = sqlite3FindTable(db, pCall->zTable, pCall->zSchema);
  if( p==0 ){
    return scanError(pCall, SQLITE_ERROR, sqlite3_mprintf("no such table: %s%s%s",
        pCall->zSchema ? pCall->zSchema : "", pCall->zSchema ? "." : "", pCall->zTable));
  }
  if( !IsOrdinaryTable(p) || !HasRowid(p) || scanRowid(p)==0 ){
    return scanError(pCall, SQLITE_ERROR, sqlite3_mprintf("vector_scan: %s is not a table with rowids", p->zName));
  }
  for(i=0; i<p->nCol && sqlite3StrICmp(p->aCol[i].zCnName, pCall->zColumn)!=0; i++){}
  if( i==p->nCol ){
    return scanError(pCall, SQLITE_ERROR, sqlite3_mprintf("no such column: %s.%s", p->zName, pCall->zColumn));
  }
  *ppTab = p;
  *piCol = i;
  *piDb = sqlite3SchemaToIndex(db, p->pSchema);
  return SQLITE_OK;
}

/* The kept set of that key, now the first; one of an older state is dropped. */
static ScanSet *scanKept(LscConn *pConn, u64 iPager, u32 iVersion, Pgno tnum, int iCol){
  ScanSet **pp = (ScanSet**)&pConn->pScanSets;
  while( *pp ){
    ScanSet *p = *pp;
    if( p->iPager==iPager && p->tnum==tnum && p->iCol==iCol ){
      *pp = p->pNext;
      if( p->iVersion!=iVersion ){
        scanSetFree(p);
        return 0;
      }
      p->pNext = pConn->pScanSets;
      pConn->pScanSets = p;
      return p;
    }
    pp = &p->pNext;
  }
  return 0;
}

/* Queries of the set's type and length, and what the kernels need of them. Called once there is a row. */
static int scanQueries(ScanCall *pCall, ScanJob *pJob, const LscVector *aGiven){
  ScanSet *pSet = pJob->pSet;
  int i, rc = SQLITE_OK;
  for(i=0; i<pJob->nQuery; i++){
    if( aGiven[i].n!=pSet->n ){
      return scanError(pCall, SQLITE_ERROR, sqlite3_mprintf(
          "vector_distance: vectors must have the same length: %u != %u", pSet->n, aGiven[i].n));
    }
  }
  if( pSet->type==LSC_F1BIT && pJob->metric==LSC_L2 ){
    return scanError(pCall, SQLITE_ERROR, sqlite3_mprintf(
        "vector_distance: l2 distance is not supported for float1bit vectors"));
  }
  if( pSet->type!=LSC_F1BIT && pJob->metric==LSC_HAMMING ){
    return scanError(pCall, SQLITE_ERROR, sqlite3_mprintf(
        "vector_distance: hamming distance is only supported for float1bit vectors"));
  }
  for(i=0; i<pJob->nQuery && rc==SQLITE_OK; i++){
    rc = lscVectorConvert(&pJob->aQuery[i], pSet->type, &aGiven[i]);
    if( rc==SQLITE_OK && (pSet->type==LSC_F32 || pSet->type==LSC_F8) ){
      pJob->aQueryNorm[i] = scanNorm(&pJob->aQuery[i], &pJob->aQuerySum[i]);
    }
  }
  if( rc==SQLITE_OK && pSet->type==LSC_F32 && pJob->nQuery>=(pJob->metric==LSC_L2 ? 4 : 2) ){
    /* The queries lie one behind the other in a buffer of their own while they are packed. */
    float *a = sqlite3_malloc64(sizeof(float)*(u64)pSet->n*(u64)pJob->nQuery + 1);
    pJob->aPacked = sqlite3_malloc64(lsc_packed_size((size_t)pJob->nQuery, pSet->n) + 1);
    if( a==0 || pJob->aPacked==0 ){
      rc = SQLITE_NOMEM_BKPT;
    }else{
      for(i=0; i<pJob->nQuery; i++) memcpy(&a[(size_t)i*pSet->n], pJob->aQuery[i].pData, sizeof(float)*pSet->n);
      pJob->pKernel->xPackQueries(a, (size_t)pJob->nQuery, pSet->n, pJob->aPacked);
    }
    sqlite3_free(a);
  }
  return rc;
}

/* Runs the job over the blocks that are in memory. */
static int scanRun(ScanJob *pJob, ScanWorker *aWorker, int nWorker){
  ScanBlock *pBlock;
  int i, nThread, rc = SQLITE_OK;
  pJob->apBlock = sqlite3_malloc64(sizeof(ScanBlock*)*(u64)pJob->pSet->nBlock + 1);
  if( pJob->apBlock==0 ) return SQLITE_NOMEM_BKPT;
  for(pBlock=pJob->pSet->pFirst, i=0; pBlock; pBlock=pBlock->pNext) pJob->apBlock[i++] = pBlock;
  pJob->nBlock = i;
  pJob->iNext = 0;
  /* A thread is worth its waking, some 10 us, for so many bytes. */
  nThread = (int)(pJob->pSet->nByte*(u64)(pJob->nQuery<64 ? pJob->nQuery : 64)/SCAN_THREAD_BYTES) + 1;
  if( nWorker>nThread ) nWorker = nThread;
  if( nWorker>i ) nWorker = i>0 ? i : 1;
  lscPoolRun(scanWork, aWorker, sizeof(ScanWorker), nWorker);
  for(i=0; i<nWorker; i++) if( aWorker[i].rc!=SQLITE_OK ) rc = aWorker[i].rc;
  sqlite3_free(pJob->apBlock);
  pJob->apBlock = 0;
  return rc;
}

/* What scanSearch() works with; all of it is freed in one place. */
typedef struct ScanRoom {
  ScanJob job;
  ScanWorker aWorker[SCAN_THREADS];
  int nWorker;
  ScanHeap *aHeap;                  /* nWorker times nQuery */
  i64 *aFilter;
} ScanRoom;

static int scanRoomInit(ScanRoom *p, sqlite3 *db, int metric, int nQuery, int k){
  u64 nHeap;
  int i;
  memset(p, 0, sizeof(*p));
  p->nWorker = lscPoolSize();
  nHeap = (u64)p->nWorker*(u64)nQuery;
  p->job.db = db;
  p->job.pKernel = lsc_kernels();
  p->job.metric = metric;
  p->job.k = k;
  p->job.nQuery = nQuery;
  p->job.aQuery = sqlite3_malloc64(sizeof(LscVector)*(u64)nQuery);
  p->job.aQueryNorm = sqlite3_malloc64(sizeof(float)*(u64)nQuery);
  p->job.aQuerySum = sqlite3_malloc64(sizeof(u32)*(u64)nQuery);
  p->aHeap = sqlite3_malloc64(sizeof(ScanHeap)*nHeap);
  if( p->job.aQuery ) memset(p->job.aQuery, 0, sizeof(LscVector)*(u64)nQuery);
  if( p->aHeap ) memset(p->aHeap, 0, sizeof(ScanHeap)*nHeap);
  if( p->job.aQuery==0 || p->job.aQueryNorm==0 || p->job.aQuerySum==0 || p->aHeap==0 ) return SQLITE_NOMEM_BKPT;
  for(i=0; i<p->nWorker; i++){
    p->aWorker[i].pJob = &p->job;
    p->aWorker[i].aHeap = &p->aHeap[i*nQuery];
  }
  return SQLITE_OK;
}

static void scanRoomClear(ScanRoom *p){
  int i;
  for(i=0; p->job.aQuery && i<p->job.nQuery; i++) lscVectorFree(&p->job.aQuery[i]);
  sqlite3_free(p->job.aQuery);
  sqlite3_free(p->job.aQueryNorm);
  sqlite3_free(p->job.aQuerySum);
  sqlite3_free(p->job.aPacked);
  for(i=0; p->aHeap && i<p->nWorker*p->job.nQuery; i++) sqlite3_free(p->aHeap[i].a);
  sqlite3_free(p->aHeap);
  sqlite3_free(p->aFilter);
}

/* Reads from the row that pStmt is at, and searches. A set that may stay is given to the connection. */
static int scanThrough(ScanCall *pCall, ScanRoom *p, sqlite3_stmt *pStmt, const LscVector *aQuery, ScanSet *pSet, int keep){
  LscConn *pConn = pCall->db->pLsc;
  u64 nMax = keep ? pConn->nScanLimit : 8*SCAN_BLOCK_BYTES;
  int rc, rcStep, queries = 0;
  p->job.pSet = pSet;
  for(;;){
    rc = rcStep = scanFill(pCall, pSet, pStmt, nMax);
    if( rc!=SQLITE_ROW && rc!=SQLITE_DONE ) break;
    rc = SQLITE_OK;
    if( pSet->type && !queries ){
      rc = scanQueries(pCall, &p->job, aQuery);
      queries = 1;
    }
    if( rc==SQLITE_OK && pSet->type ) rc = scanRun(&p->job, p->aWorker, p->nWorker);
    if( rc!=SQLITE_OK || rcStep==SQLITE_DONE ) break;
    keep = 0;
    nMax = 8*SCAN_BLOCK_BYTES;
    scanSetClear(pSet);
  }
  if( rc==SQLITE_OK && keep ){
    pSet->pNext = pConn->pScanSets;
    pConn->pScanSets = pSet;
    lscScanForget(pConn, pConn->nScanLimit);
  }else{
    scanSetFree(pSet);
  }
  return rc;
}

/* Searches the set that is kept for the column, if there is one of the database's present state. SQLITE_NOTFOUND if not,
** or if compiling a statement may find something else: another schema, an authorizer. */
static int scanShort(ScanCall *pCall, ScanRoom *p, Table *pTab, int iCol, int iDb, const LscVector *aQuery){
  sqlite3 *db = pCall->db;
  Btree *pBt = db->aDb[iDb].pBt;
  int rc = SQLITE_NOTFOUND, opened = 0, cookie = 0;
  ScanSet *pSet;
  if( db->xAuth || db->pLsc==0 || db->pLsc->pScanSets==0 ) return rc;
  sqlite3BtreeEnter(pBt);
  if( sqlite3BtreeTxnState(pBt)==SQLITE_TXN_NONE ){
    opened = sqlite3BtreeBeginTrans(pBt, 0, &cookie)==SQLITE_OK && cookie==pTab->pSchema->schema_cookie;
    if( !opened && sqlite3BtreeTxnState(pBt)!=SQLITE_TXN_NONE ) (void)sqlite3BtreeCommit(pBt);
  }
  if( opened ){
    Pager *pPager = sqlite3BtreePager(pBt);
    pSet = scanKept(db->pLsc, pPager->iLscPager, sqlite3PagerDataVersion(pPager), pTab->tnum, iCol);
    if( pSet ){
      p->job.pSet = pSet;
      rc = pSet->type ? scanQueries(pCall, &p->job, aQuery) : SQLITE_OK;
      if( rc==SQLITE_OK && pSet->type ) rc = scanRun(&p->job, p->aWorker, p->nWorker);
    }
    (void)sqlite3BtreeCommit(pBt);
  }
  sqlite3BtreeLeave(pBt);
  return rc;
}

/*
** Finds the k nearest rows for each query, nearest first; aOut[i].a is the caller's then: sqlite3_free(). zWhere is NULL
** or a condition on the table's columns. The connection's mutex is held.
*/
static int scanSearch(
  ScanCall *pCall, int metric, const LscVector *aQuery, int nQuery, int k, const char *zWhere, ScanHeap *aOut
){
  static const i64 none = 0;
  sqlite3 *db = pCall->db;
  sqlite3_stmt *pStmt = 0;
  ScanSet *pSet = 0;
  Table *pTab = 0;
  ScanRoom room;
  int iCol, iDb, q, i;
  int rc = scanRoomInit(&room, db, metric, nQuery, k);
  if( rc==SQLITE_OK ) rc = scanLocate(pCall, &pTab, &iCol, &iDb);
  if( rc==SQLITE_OK ) rc = zWhere ? SQLITE_NOTFOUND : scanShort(pCall, &room, pTab, iCol, iDb, aQuery);
  if( rc==SQLITE_NOTFOUND ){
    /* Rows come by ascending rowid. From its first row on, this statement holds the read transaction. */
    const char *zSchema = db->aDb[iDb].zDbSName;
    rc = scanPrepare(pCall, &pStmt, "the column", sqlite3_mprintf("SELECT %s, \"%w\" FROM \"%w\".\"%w\" NOT INDEXED",
        scanRowid(pTab), pTab->aCol[iCol].zCnName, zSchema, pTab->zName));
    if( rc==SQLITE_OK ) rc = sqlite3_step(pStmt);
    if( rc==SQLITE_ROW ){
      /* The statement may have found another schema and have it read anew. From here on it stays. */
      int rc2 = scanLocate(pCall, &pTab, &iCol, &iDb);
      if( rc2!=SQLITE_OK ) rc = rc2;
    }
    if( rc==SQLITE_ROW ){
      Btree *pBt = db->aDb[iDb].pBt;
      Pager *pPager = sqlite3BtreePager(pBt);
      int keep = db->pLsc!=0 && db->pLsc->nScanLimit>0 && sqlite3BtreeTxnState(pBt)!=SQLITE_TXN_WRITE;
      rc = SQLITE_OK;
      if( zWhere ){
        rc = scanFilter(pCall, zSchema, scanRowid(pTab), zWhere, &room.aFilter, &room.job.nFilter);
        /* An empty list is a filter too. */
        room.job.aFilter = room.aFilter ? room.aFilter : &none;
      }
      if( rc==SQLITE_OK && keep ){
        pSet = scanKept(db->pLsc, pPager->iLscPager, sqlite3PagerDataVersion(pPager), pTab->tnum, iCol);
      }
      if( rc==SQLITE_OK && pSet ){
        room.job.pSet = pSet;
        rc = pSet->type ? scanQueries(pCall, &room.job, aQuery) : SQLITE_OK;
        if( rc==SQLITE_OK && pSet->type ) rc = scanRun(&room.job, room.aWorker, room.nWorker);
      }else if( rc==SQLITE_OK ){
        pSet = sqlite3MallocZero(sizeof(*pSet));
        if( pSet==0 ){
          rc = SQLITE_NOMEM_BKPT;
        }else{
          pSet->iPager = pPager->iLscPager;
          pSet->iVersion = sqlite3PagerDataVersion(pPager);
          pSet->tnum = pTab->tnum;
          pSet->iCol = iCol;
          rc = scanThrough(pCall, &room, pStmt, aQuery, pSet, keep);
        }
      }
    }else if( rc==SQLITE_DONE ){
      rc = SQLITE_OK;               /* no rows */
    }
    if( rc!=SQLITE_OK && rc!=SQLITE_NOMEM && pCall->zErr==0 ){
      (void)scanError(pCall, rc, sqlite3_mprintf("%s", sqlite3_errmsg(db)));
    }
    sqlite3_finalize(pStmt);
  }
  memset(aOut, 0, sizeof(ScanHeap)*(size_t)nQuery);
  for(q=0; rc==SQLITE_OK && q<nQuery; q++){
    ScanHeap *pHeap = &room.aHeap[q];
    int w;
    for(w=1; w<room.nWorker; w++){
      ScanHeap *pOther = &room.aHeap[w*nQuery+q];
      for(i=0; i<pOther->n; i++) scanPush(pHeap, k, pOther->a[i].distance, pOther->a[i].id);
      pHeap->oom |= pOther->oom;
    }
    if( pHeap->oom ) rc = SQLITE_NOMEM_BKPT;
    scanSort(pHeap);
    aOut[q] = *pHeap;
    pHeap->a = 0;
  }
  for(q=0; rc!=SQLITE_OK && q<nQuery; q++){
    sqlite3_free(aOut[q].a);
    aOut[q].a = 0;
  }
  scanRoomClear(&room);
  return rc;
}
