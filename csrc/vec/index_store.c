/*
** index_store.c: the b-trees of a vector index, and its node blocks. Included by engine.c; index.h has the layouts.
**
** Rows are read and written here without SQL: no statement is compiled, no counter, hook or authorizer notices. Cursors
** live for one operation. Each takes the lock on its b-tree that a shared cache wants; the caller is inside the b-tree's
** mutex (sqlite3BtreeEnter) and has the transaction.
*/

struct LscIndex {
  LscIndex *pNext;                  /* of the connection */
  sqlite3 *db;
  int nRef;
  Btree *pBt;                       /* these are set by each lscIndexOpen() */
  int iDb;
  int iCookie, iGeneration;         /* of the schema that the b-trees were found in */
  Pgno iRoot;                       /* <name>_shadow; 0: there is no such table */
  Pgno iRowRoot, iKeyRoot;          /* its index on the rowid, on the key; 0 if there is none */
  Pgno iMetaRoot;                   /* the table of metadata when they were read */
  KeyInfo *pRowInfo, *pKeyInfo;     /* one reference each */
  u8 bKeyed;                        /* the second shape: index_key is not the rowid */
  Pgno iBaseRoot;                   /* the indexed table, if the index is in the schema */
  int iBaseCol;                     /* where its records have the vector; -1: nowhere */
  u8 bForeign;                      /* the table has another index, which would go wrong if we wrote */
  u8 bParams;                       /* par is what the metadata says */
  u8 iFormat;                       /* file format, for integers in records */
  LscIndexParams par;
  u64 iPager;                       /* what is cached is that of this pager ... */
  u32 iVersion;                     /* ... when it had this data version; see index_cache.c */
  u8 bWrote;                        /* ... with what the present transaction wrote */
  int nDepth;                       /* savepoints that were open when it wrote */
  int nSpill;                       /* what the pager's cache had for szSpill before, or 0 */
  LscGraph *pGraph;                 /* owned; NULL if nothing is cached */
  i64 nRow;                         /* rows; -1: not counted */
  u8 bAll;                          /* every row is loaded */
  u32 nDeleted, nLoaded;            /* rows, since the graph was new */
  u8 *aDir;                         /* owned: the directory, see index_entry.c, */
  u32 nDir;                         /* nodes that it has */
  u8 bDir;                          /* it was read, if there is one */
  u8 *aBlock;                       /* owned: room for LSC_ROW_HEAD + nBlock bytes */
  i64 *aId;                         /* owned: nCap ids */
  u32 *aTo;                         /* nCap nodes, behind them */
  u8 *aBase;                        /* owned: a record of the indexed table */
  u32 nBaseAlloc;
  u8 bLoading;                      /* all rows are being loaded */
  float *aWide, *aQuery;            /* owned, in one piece: n floats each */
  struct LscRows *pLoad;            /* the cursor of the operation under way */
  char *zErr;                       /* owned: what went wrong in it */
  char zName[1];
};

#define LSC_ROW_HEAD 32             /* in front of a block: the record's header without the key */

static int ixError(LscIndex *p, int rc, const char *zFormat, ...){
  va_list ap;
  va_start(ap, zFormat);
  sqlite3_free(p->zErr);
  p->zErr = sqlite3_vmprintf(zFormat, ap);
  va_end(ap);
  return p->zErr ? rc : SQLITE_NOMEM_BKPT;
}

/* The code is not SQLITE_CORRUPT, with which SQLite would let the transaction write nothing more. */
static int ixCorrupt(LscIndex *p, i64 id, const char *zWhat){
  return ixError(p, SQLITE_CORRUPT_VTAB, "vector index %s: %s in row %lld of %s_shadow: REINDEX repairs it",
                 p->zName, zWhat, id, p->zName);
}

static u32 ixGet2(const u8 *a){ return (u32)a[0] | (u32)a[1]<<8; }
static void ixPut2(u8 *a, u32 x){ a[0] = (u8)x; a[1] = (u8)(x>>8); }
static u64 ixGet8(const u8 *a){ u64 x; memcpy(&x, a, 8); return x; }
static void ixPut8(u8 *a, u64 x){ memcpy(a, &x, 8); }

/* Where slot j's vector and its 16 bytes are in a block. */
static u32 ixVectorAt(const LscIndexParams *p, u32 j){ return p->nHead + p->nNode + j*p->nEdge; }
static u32 ixSlotAt(const LscIndexParams *p, u32 j){ return p->nHead + p->nNode + p->nCap*p->nEdge + j*16; }

/* A vector whose data part is at a. */
static LscVector ixVector(int type, u32 n, const u8 *a){
  LscVector v;
  memset(&v, 0, sizeof(v));
  v.type = type;
  v.n = n;
  v.pData = a;
  if( type==LSC_F8 ){
    memcpy(&v.alpha, a + lscVectorSize(type, n) - 8, 4);
    memcpy(&v.shift, a + lscVectorSize(type, n) - 4, 4);
  }
  return v;
}

/* Whether vectors of the type are in the graph byte by byte. */
static int ixIsGraphType(int type){ return type==LSC_F32 || type==LSC_F1BIT; }

/* The distance that is stored with an edge. */
static float ixDistance(const LscIndexParams *p, int type, const u8 *a, const u8 *b){
  LscVector x = ixVector(type, p->n, a), y = ixVector(type, p->n, b);
  return (float)lscVectorDistance(type==LSC_F1BIT ? LSC_HAMMING : p->metric==LSC_L2 ? LSC_L2 : LSC_COS, &x, &y);
}

/* A node vector in the edge type. */
static int ixToEdge(const LscIndexParams *p, const u8 *aNode, u8 *aEdge){
  LscVector v, out = {0};
  int rc;
  if( p->type==p->edgeType ){
    memcpy(aEdge, aNode, p->nEdge);
    return SQLITE_OK;
  }
  v = ixVector(p->type, p->n, aNode);
  rc = lscVectorConvert(&out, p->edgeType, &v);
  if( rc==SQLITE_OK ) memcpy(aEdge, out.pData, p->nEdge);
  lscVectorFree(&out);
  return rc;
}

/* The vector as the graph has it, at p->aWide, or where it is if it is of bits. */
static const void *ixWiden(LscIndex *p, int type, const u8 *a){
  LscVector v = ixVector(type, p->par.n, a);
  if( p->par.metric==LSC_HAMMING ){
    u8 *aBits = (u8*)p->aWide;
    u32 i;
    if( type==LSC_F1BIT ) return a;
    if( type==LSC_F64 ){
      memset(aBits, 0, (p->par.n+7)/8);
      for(i=0; i<p->par.n; i++) if( lscLoadF64(a, i)>0.0 ) aBits[i/8] |= (u8)(1<<(i%8));
      return aBits;
    }
    /* In place: bit i is written behind element i. */
    lscWiden(&v, p->aWide);
    for(i=0; i<p->par.n; i++){
      u8 bit = p->aWide[i]>0.0f;
      if( i%8==0 ) aBits[i/8] = bit; else aBits[i/8] |= (u8)(bit<<(i%8));
    }
    return aBits;
  }
  lscWiden(&v, p->aWide);
  return p->aWide;
}

static int ixCompareIds(const void *a, const void *b){
  i64 x = *(const i64*)a, y = *(const i64*)b;
  return x<y ? -1 : x>y;
}

/* ---- records ---- */

/* The serial type of a value, and the bytes that it takes. */
static u64 recType(const LscIndex *p, sqlite3_value *pValue, u32 *pn){
  switch( sqlite3_value_type(pValue) ){
    case SQLITE_INTEGER: {
      static const u8 aSize[] = {0, 1, 2, 3, 4, 6, 8};
      i64 i = sqlite3_value_int64(pValue);
      u64 u = i<0 ? ~(u64)i : (u64)i;
      int type = u<=127 ? 1 : u<=32767 ? 2 : u<=8388607 ? 3 : u<=2147483647 ? 4 : u<=0x7fffffffffff ? 5 : 6;
      if( (i==0 || i==1) && p->iFormat>=4 ){
        *pn = 0;
        return (u64)(8+i);
      }
      *pn = aSize[type];
      return (u64)type;
    }
    case SQLITE_FLOAT:
      *pn = 8;
      return 7;
    case SQLITE_TEXT:
      *pn = (u32)sqlite3ValueBytes(pValue, ENC(p->db));
      return 2*(u64)*pn + 13;
    case SQLITE_BLOB:
      *pn = (u32)sqlite3_value_bytes(pValue);
      return 2*(u64)*pn + 12;
    default:
      *pn = 0;
      return 0;
  }
}

static int recPut(const LscIndex *p, u8 *a, sqlite3_value *pValue, u32 n){
  u64 u;
  switch( sqlite3_value_type(pValue) ){
    case SQLITE_INTEGER:
      u = (u64)sqlite3_value_int64(pValue);
      break;
    case SQLITE_FLOAT: {
      double r = sqlite3_value_double(pValue);
      memcpy(&u, &r, 8);
      break;
    }
    default: {
      const void *z = sqlite3_value_type(pValue)==SQLITE_TEXT ? sqlite3ValueText(pValue, ENC(p->db)) : sqlite3_value_blob(pValue);
      if( z==0 && n ) return SQLITE_NOMEM_BKPT;
      if( n ) memcpy(a, z, n);
      return SQLITE_OK;
    }
  }
  while( n>0 ){
    a[--n] = (u8)u;
    u >>= 8;
  }
  return SQLITE_OK;
}

/* The record of up to three values, with a blob of nBlob bytes behind them if that is not 0, for which it only makes
** room. For sqlite3_free(). */
static int recMake(const LscIndex *p, sqlite3_value **apValue, int nValue, u32 nBlob, u8 **pa, u32 *pn){
  u64 aType[4];
  u32 aSize[4], nHead = 1, nBody = nBlob;
  u8 *a;
  int i, rc = SQLITE_OK;
  assert( nValue<=3 );
  for(i=0; i<nValue; i++){
    aType[i] = recType(p, apValue[i], &aSize[i]);
    if( aSize[i]>0x7fffffff-nBody-64 ) return SQLITE_TOOBIG;
    nBody += aSize[i];
    nHead += (u32)sqlite3VarintLen(aType[i]);
  }
  if( nBlob ){
    aType[i] = 2*(u64)nBlob + 12;
    nHead += (u32)sqlite3VarintLen(aType[i++]);
  }
  *pn = nHead + nBody;
  *pa = a = sqlite3_malloc64(*pn);
  if( a==0 ) return SQLITE_NOMEM_BKPT;
  *a++ = (u8)nHead;                 /* four varints at the most: one byte */
  nValue = i;
  for(i=0; i<nValue; i++) a += sqlite3PutVarint(a, aType[i]);
  for(i=0; i<nValue-(nBlob!=0) && rc==SQLITE_OK; i++){
    rc = recPut(p, a, apValue[i], aSize[i]);
    a += aSize[i];
  }
  if( rc!=SQLITE_OK ){
    sqlite3_free(*pa);
    *pa = 0;
  }
  return rc;
}

/* ---- the shadow table ---- */

/* A cursor on it, and the row that it is at. */
typedef struct LscRows {
  LscIndex *p;
  BtCursor cur;
  BtCursor base;                    /* on the indexed table, if bBase */
  u8 bOpen, bBase;
  u32 iKey, nKeyType;               /* the key's place in the record, if it is not the rowid */
  u32 iData, nData;                 /* that of the block */
} LscRows;

/* The lock that a shared cache wants, as OP_TableLock asks for it. */
static int ixLock(sqlite3 *db, Btree *pBt, Pgno iRoot, int bWrite){
  if( !bWrite && (db->flags & SQLITE_ReadUncommit)!=0 ) return SQLITE_OK;
  return sqlite3BtreeLockTable(pBt, (int)iRoot, (u8)bWrite);
}

static int treeOpen(LscIndex *p, Pgno iRoot, KeyInfo *pInfo, int bWrite, BtCursor *pCur){
  int rc = ixLock(p->db, p->pBt, iRoot, bWrite);
  sqlite3BtreeCursorZero(pCur);
  if( rc==SQLITE_LOCKED_SHAREDCACHE ) return ixError(p, rc, "database table is locked: %s_shadow", p->zName);
  if( rc==SQLITE_OK ) rc = sqlite3BtreeCursor(p->pBt, iRoot, bWrite ? BTREE_WRCSR : 0, pInfo, pCur);
  return rc;
}

static int rowsOpen(LscIndex *p, int bWrite, LscRows *pRows){
  int rc;
  memset(pRows, 0, offsetof(LscRows, cur));
  pRows->p = p;
  pRows->bOpen = pRows->bBase = 0;
  if( p->iRoot==0 ) return ixError(p, SQLITE_ERROR, "no such table: %s_shadow", p->zName);
  rc = treeOpen(p, p->iRoot, 0, bWrite, &pRows->cur);
  if( rc==SQLITE_OK ){
    pRows->bOpen = 1;
    if( bWrite && !p->par.bCompact ) sqlite3BtreeIncrblobCursor(&pRows->cur);
  }
  return rc;
}

static void rowsClose(LscRows *pRows){
  if( pRows->bOpen ) sqlite3BtreeCloseCursor(&pRows->cur);
  if( pRows->bBase ) sqlite3BtreeCloseCursor(&pRows->base);
  pRows->bOpen = pRows->bBase = 0;
}

static i64 rowsId(LscRows *pRows){
  return sqlite3BtreeIntegerKey(&pRows->cur);
}

/* Reads the header of the record that the cursor is at. */
static int rowsHeader(LscRows *pRows){
  LscIndex *p = pRows->p;
  u32 nPayload = sqlite3BtreePayloadSize(&pRows->cur), nLocal = 0, nHead = 0, at, iBody;
  const void *pLocal = sqlite3BtreePayloadFetch(&pRows->cur, &nLocal);
  u8 a[64+16] = {0};                /* a varint may be cut off */
  int i, nCol = p->bKeyed ? 3 : 2;
  memcpy(a, pLocal, MIN(nLocal, 64));
  at = getVarint32(a, nHead);
  if( nHead<at || nHead>nLocal || nHead>64 ) return ixCorrupt(p, rowsId(pRows), "broken record");
  iBody = nHead;
  for(i=0; i<nCol; i++){
    u32 type, n;
    if( at>=nHead ) return ixCorrupt(p, rowsId(pRows), "too few columns");
    at += getVarint32(&a[at], type);
    n = sqlite3VdbeSerialTypeLen(type);
    if( at>nHead || n>nPayload-iBody ) return ixCorrupt(p, rowsId(pRows), "broken record");
    if( i==nCol-1 ){
      if( type<12 || (type&1) ) return ixCorrupt(p, rowsId(pRows), "no block");
      if( !p->par.bCompact && n<p->par.nBlock ) return ixCorrupt(p, rowsId(pRows), "truncated block");
      pRows->iData = iBody;
      pRows->nData = n;
    }else if( i==1 ){
      pRows->iKey = iBody;
      pRows->nKeyType = type;
    }
    iBody += n;
  }
  return SQLITE_OK;
}

/* *pFound: there is a row of that id, and the cursor is at it. */
static int rowsSeek(LscRows *pRows, i64 id, int *pFound){
  int res = 0, rc = sqlite3BtreeTableMoveto(&pRows->cur, id, 0, &res);
  *pFound = rc==SQLITE_OK && res==0;
  return *pFound ? rowsHeader(pRows) : rc;
}

/* Bytes of the block that the cursor is at. */
static int rowsRead(LscRows *pRows, u32 iOffset, u32 n, u8 *a){
  return n ? sqlite3BtreePayload(&pRows->cur, pRows->iData+iOffset, n, a) : SQLITE_OK;
}

static int rowsWrite(LscRows *pRows, u32 iOffset, u32 n, u8 *a){
  return n ? sqlite3BtreePutData(&pRows->cur, pRows->iData+iOffset, n, a) : SQLITE_OK;
}

/* Bytes of a record as a value for sqlite3_value_free(); 16 more can be read. */
static int recValue(sqlite3 *db, u32 type, const u8 *a, sqlite3_value **pp){
  sqlite3_value *pValue = sqlite3ValueNew(db);
  int rc = SQLITE_OK;
  *pp = 0;
  if( pValue==0 ) return SQLITE_NOMEM_BKPT;
  if( type>=12 ){
    rc = sqlite3VdbeMemSetStr(pValue, (const char*)a, (i64)sqlite3VdbeSerialTypeLen(type), (type&1) ? ENC(db) : 0,
                              SQLITE_TRANSIENT);
  }else{
    sqlite3VdbeSerialGet(a, type, pValue);
  }
  if( rc==SQLITE_OK ) *pp = pValue; else sqlite3ValueFree(pValue);
  return rc;
}

/* The key of the row, as a value for sqlite3_value_free(). */
static int rowsKey(LscRows *pRows, sqlite3_value **ppKey){
  u32 n = pRows->p->bKeyed ? sqlite3VdbeSerialTypeLen(pRows->nKeyType) : 8;
  u8 *a = sqlite3_malloc64((u64)n+16);
  int rc = SQLITE_OK;
  *ppKey = 0;
  if( a==0 ) return SQLITE_NOMEM_BKPT;
  if( !pRows->p->bKeyed ){
    sqlite3_value *pKey = *ppKey = sqlite3ValueNew(pRows->p->db);
    if( pKey ) sqlite3VdbeMemSetInt64(pKey, rowsId(pRows)); else rc = SQLITE_NOMEM_BKPT;
  }else{
    if( n ) rc = sqlite3BtreePayload(&pRows->cur, pRows->iKey, n, a);
    if( rc==SQLITE_OK ) rc = recValue(pRows->p->db, pRows->nKeyType, a, ppKey);
  }
  sqlite3_free(a);
  return rc;
}

/* ---- its indexes ---- */

/* Moves an index cursor to the entry that begins with these values. */
static int treeSeek(BtCursor *pCur, KeyInfo *pInfo, sqlite3_value **apValue, int n, int *pFound){
  UnpackedRecord *pRec = sqlite3VdbeAllocUnpackedRecord(pInfo);
  int i, rc, res = 0;
  *pFound = 0;
  if( pRec==0 ) return SQLITE_NOMEM_BKPT;
  memset(pRec->aMem, 0, sizeof(Mem)*(pInfo->nKeyField+1u));
  for(i=0; i<n; i++){
    sqlite3VdbeMemInit(&pRec->aMem[i], pInfo->db, MEM_Null);
    sqlite3VdbeMemShallowCopy(&pRec->aMem[i], apValue[i], MEM_Static);
  }
  pRec->nField = (u16)n;
  pRec->default_rc = 0;
  pRec->errCode = 0;
  pRec->eqSeen = 0;
  rc = sqlite3BtreeIndexMoveto(pCur, pRec, &res);
  if( rc==SQLITE_OK ) rc = pRec->errCode;
  *pFound = rc==SQLITE_OK && res==0;
  sqlite3DbFree(pInfo->db, pRec);
  return rc;
}

static int treeInsert(LscIndex *p, Pgno iRoot, KeyInfo *pInfo, sqlite3_value **apValue, int n){
  BtCursor cur;
  BtreePayload x;
  u8 *a = 0;
  u32 nRec = 0;
  int rc = recMake(p, apValue, n, 0, &a, &nRec);
  if( rc==SQLITE_OK ) rc = treeOpen(p, iRoot, pInfo, 1, &cur);
  if( rc==SQLITE_OK ){
    memset(&x, 0, sizeof(x));
    x.pKey = a;
    x.nKey = nRec;
    rc = sqlite3BtreeInsert(&cur, &x, 0, 0);
    sqlite3BtreeCloseCursor(&cur);
  }
  sqlite3_free(a);
  return rc;
}

static int treeDelete(LscIndex *p, Pgno iRoot, KeyInfo *pInfo, sqlite3_value **apValue, int n){
  BtCursor cur;
  int found, rc = treeOpen(p, iRoot, pInfo, 1, &cur);
  if( rc==SQLITE_OK ){
    rc = treeSeek(&cur, pInfo, apValue, n, &found);
    if( found ) rc = sqlite3BtreeDelete(&cur, 0);
    sqlite3BtreeCloseCursor(&cur);
  }
  return rc;
}

/* A value of an integer, for records and searches. */
static sqlite3_value *ixInt(LscIndex *p, Mem *pMem, i64 i){
  sqlite3VdbeMemInit(pMem, p->db, MEM_Null);
  sqlite3VdbeMemSetInt64(pMem, i);
  return pMem;
}

/* The node of a key. A key that no node can have is not found. */
static int ixNodeOfKey(LscIndex *p, sqlite3_value *pKey, i64 *piNode, int *pFound){
  BtCursor cur;
  int rc;
  *pFound = 0;
  if( !p->bKeyed ){
    if( sqlite3_value_type(pKey)==SQLITE_INTEGER ){
      *piNode = sqlite3_value_int64(pKey);
      *pFound = 1;
    }
    return SQLITE_OK;
  }
  if( p->iKeyRoot==0 ) return ixError(p, SQLITE_CORRUPT_VTAB, "vector index %s: %s_shadow has no index on its key", p->zName, p->zName);
  rc = treeOpen(p, p->iKeyRoot, p->pKeyInfo, 0, &cur);
  if( rc!=SQLITE_OK ) return rc;
  rc = treeSeek(&cur, p->pKeyInfo, &pKey, 1, pFound);
  if( *pFound ) rc = sqlite3VdbeIdxRowid(p->db, &cur, piNode);
  sqlite3BtreeCloseCursor(&cur);
  return rc;
}

/* ---- rows written as a whole ---- */

/* Sets the row of a node. pCur is a cursor for writing on the table. */
static int rowInsert(LscIndex *p, BtCursor *pCur, i64 id, sqlite3_value *pKey, const u8 *aBlock, u32 nBlock, int flags){
  sqlite3_value *apValue[2];
  BtreePayload x;
  Mem null;
  u8 *a = 0;
  u32 n = 0;
  int rc;
  sqlite3VdbeMemInit(&null, p->db, MEM_Null);
  apValue[0] = &null;
  apValue[1] = pKey;
  rc = recMake(p, apValue, p->bKeyed ? 2 : 1, nBlock, &a, &n);
  if( rc!=SQLITE_OK ) return rc;
  memcpy(&a[n - nBlock], aBlock, nBlock);
  memset(&x, 0, sizeof(x));
  x.nKey = id;
  x.pData = a;
  x.nData = (int)n;
  rc = sqlite3BtreeInsert(pCur, &x, flags, 0);
  sqlite3_free(a);
  return rc;
}

/* The entries of a row in the table's indexes. */
static int rowIndex(LscIndex *p, i64 id, sqlite3_value *pKey, int bInsert){
  int (*xDo)(LscIndex*, Pgno, KeyInfo*, sqlite3_value**, int) = bInsert ? treeInsert : treeDelete;
  sqlite3_value *apValue[2];
  Mem rowid;
  int rc = SQLITE_OK;
  apValue[0] = apValue[1] = ixInt(p, &rowid, id);
  if( p->iRowRoot ) rc = xDo(p, p->iRowRoot, p->pRowInfo, apValue, 2);
  if( rc==SQLITE_OK && p->iKeyRoot ){
    apValue[0] = pKey;
    rc = xDo(p, p->iKeyRoot, p->pKeyInfo, apValue, 2);
  }
  return rc;
}
