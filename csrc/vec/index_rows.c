/*
** index_rows.c: the opcodes that write to an index, or sort its rows, on a vector index. Included by engine.c.
**
** Such an index is opened when the first row is written or deleted, and closed with the cursor of the statement. A record
** has two fields, the vector and the key of the row: the rowid or the only column of the PRIMARY KEY.
*/

/* Of a cursor: the open index. Owned by it. */
typedef struct LscVecCursor LscVecCursor;
struct LscVecCursor {
  LscIndex *pIndex;                 /* one reference; NULL: rows are not to be indexed */
  LscFill *pFill;                   /* of a sorter */
};

/* Notes an error of ours, which it frees, as that of the statement. */
static int lscVecError(Vdbe *p, int rc, char *zErr){
  if( zErr ) sqlite3VdbeError(p, "%s", zErr);
  sqlite3_free(zErr);
  return rc;
}

/* Opens the index of a cursor that has not written yet. */
static int lscVecOpen(Vdbe *p, VdbeCursor *pC, int skip, char **pzErr){
  const LscVecKey *pKey = pC->pKeyInfo->pLscVec;
  LscVecCursor *pVec;
  if( pC->pLscVec ) return SQLITE_OK;
  pVec = sqlite3MallocZero(sizeof(*pVec));
  if( pVec==0 ) return SQLITE_NOMEM_BKPT;
  pC->pLscVec = pVec;
  return skip ? SQLITE_OK : lscIndexOpen(p->db, pKey->iDb, pKey->zName, &pVec->pIndex, pzErr);
}

static void lsc_vec_close(VdbeCursor *pC){
  lscFillFree(pC->pLscVec->pFill);
  if( pC->pLscVec->pIndex ) lscIndexClose(pC->pLscVec->pIndex);
  sqlite3_free(pC->pLscVec);
  pC->pLscVec = 0;
}

/* Reads the two fields of an index record, a vector and the key of its row. They point into the record. */
static int lscVecFields(Vdbe *p, const Mem *pRec, Mem aField[2]){
  const u8 *a = (const u8*)pRec->z;
  u32 nHead, nRec = (u32)pRec->n, iHead, iData;
  int i;
  memset(aField, 0, 2*sizeof(Mem));
  iHead = getVarint32(a, nHead);
  iData = nHead;
  for(i=0; i<2; i++){
    u32 type;
    if( iHead>=nHead || nHead>nRec ) return SQLITE_CORRUPT_BKPT;
    iHead += getVarint32(&a[iHead], type);
    if( sqlite3VdbeSerialTypeLen(type)>nRec-iData ) return SQLITE_CORRUPT_BKPT;
    aField[i].db = p->db;
    aField[i].enc = ENC(p->db);
    sqlite3VdbeSerialGet(&a[iData], type, &aField[i]);
    iData += sqlite3VdbeSerialTypeLen(type);
  }
  return iHead==nHead ? SQLITE_OK : SQLITE_CORRUPT_BKPT;
}

static void lscVecFieldsFree(Mem aField[2]){
  sqlite3VdbeMemRelease(&aField[0]);
  sqlite3VdbeMemRelease(&aField[1]);
}

/* OP_IdxInsert. */
static int lsc_vec_insert(Vdbe *p, VdbeCursor *pC, const Mem *pRec){
  Mem aField[2];
  char *zErr = 0;
  int rc = lscVecOpen(p, pC, lscInVacuum(p->db), &zErr);
  if( rc==SQLITE_OK && pC->pLscVec->pIndex ){
    rc = lscVecFields(p, pRec, aField);
    if( rc==SQLITE_OK && (aField[0].flags & MEM_Null)==0 ){
      rc = lscIndexInsert(pC->pLscVec->pIndex, &aField[0], &aField[1], &zErr);
    }
    lscVecFieldsFree(aField);
  }
  return lscVecError(p, rc, zErr);
}

#if SQLITE_VERSION_NUMBER>=3054000
/* Whether a record holds what is in two registers. */
static int lscVecIsSame(Vdbe *p, const Mem *pRec, const Mem *aOld){
  Mem aField[2];
  int same = 0;
  if( (pRec->flags & (MEM_Blob|MEM_Zero))!=MEM_Blob ) return 0;
  if( lscVecFields(p, pRec, aField)==SQLITE_OK && ((aField[0].flags ^ aOld[0].flags) & (MEM_Str|MEM_Blob|MEM_Null))==0 ){
    same = sqlite3MemCompare(&aField[0], &aOld[0], 0)==0 && sqlite3MemCompare(&aField[1], &aOld[1], 0)==0;
  }
  lscVecFieldsFree(aField);
  return same;
}
#endif

/* OP_IdxDelete, with the fields in two registers. An UPDATE that changes neither deletes nothing, and inserts nothing. */
static int lsc_vec_delete(Vdbe *p, VdbeCursor *pC, const VdbeOp *pOp, Mem *aMem){
  Mem *aOld = &aMem[pOp->p2];
  char *zErr = 0;
  int rc;
#if SQLITE_VERSION_NUMBER>=3054000
  if( pOp->p3 && lscVecIsSame(p, &aMem[pOp->p3], aOld) ){
    sqlite3VdbeMemSetNull(&aMem[pOp->p3]);
    return SQLITE_OK;
  }
#endif
  if( aOld[0].flags & MEM_Null ) return SQLITE_OK;
  rc = lscVecOpen(p, pC, lscInVacuum(p->db), &zErr);
  if( rc==SQLITE_OK && pC->pLscVec->pIndex ) rc = lscIndexDelete(pC->pLscVec->pIndex, &aOld[1], &zErr);
  return lscVecError(p, rc, zErr);
}

/* OP_SorterOpen, OP_SorterInsert, OP_SorterSort of CREATE INDEX and REINDEX. Nothing ever is in the sorter. */
static int lsc_vec_fill_open(Vdbe *p, VdbeCursor *pC){
  int mode = pC->pKeyInfo->pLscVec->mode;
  int skip = mode==VEC_NOTHING || (mode==VEC_CREATE && p->lsc.vecAdopt);
  char *zErr = 0;
  int rc = lscVecOpen(p, pC, skip, &zErr);
  if( rc==SQLITE_OK && !skip ) rc = lscFillNew(pC->pLscVec->pIndex, &pC->pLscVec->pFill, &zErr);
  return lscVecError(p, rc, zErr);
}

static int lsc_vec_fill_add(Vdbe *p, VdbeCursor *pC, const Mem *pRec){
  Mem aField[2];
  char *zErr = 0;
  int rc;
  if( pC->pLscVec->pFill==0 ) return SQLITE_OK;
  rc = lscVecFields(p, pRec, aField);
  if( rc==SQLITE_OK && (aField[0].flags & MEM_Null)==0 ){
    rc = lscFillAdd(pC->pLscVec->pFill, &aField[0], &aField[1], &zErr);
  }
  lscVecFieldsFree(aField);
  return lscVecError(p, rc, zErr);
}

static int lsc_vec_fill_end(Vdbe *p, VdbeCursor *pC){
  char *zErr = 0;
  int rc = pC->pLscVec->pFill ? lscFillEnd(pC->pLscVec->pFill, &zErr) : SQLITE_OK;
  return lscVecError(p, rc, zErr);
}
