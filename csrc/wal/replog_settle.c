/*
** replog_settle.c: a log that was not closed, compared with its database, and one of them mended. Included by engine.c.
**
** The log is read from its first frame to where checksums end, and each page's last frame compared with the database:
**
**   all equal                                   the log is whole
**   the database is as the log says it was      what it lacks is written into the database: a transaction that was in
**   behind an earlier transaction               the log when the process died, or those that a power failure took from
**                                               data-wal; without that, more than one are a backup put in its place
**   all that differs is in data-wal             the log lacks it: it is added as one transaction
**   otherwise                                   the log is of another database
*/
/* Read all frames that are whole and follow one from the other. */
static int repScan(RepOpen *o){
  lsc_replog *p = o->p;
  u8 *a = sqlite3_malloc64(REP_BUNCH*LSC_LOG_FRAME);
  u64 sum = p->firstSum;
  i64 nByte = 0, nAll = 0, i;
  int k, rc = a ? sqlite3OsFileSize(p->pFile->pFd, &nByte) : SQLITE_NOMEM_BKPT;
  i64 nFile = (nByte-LSC_LOG_HEADER)/LSC_LOG_FRAME;
  o->n = 0;
  for(i=0; rc==SQLITE_OK && i<nFile && nAll==i; i+=REP_BUNCH){
    int nNow = (int)MIN(nFile-i, REP_BUNCH);
    rc = repReadFrames(o, i, nNow, a);
    for(k=0; rc==SQLITE_OK && k<nNow; k++, nAll++){
      const u8 *f = a + k*LSC_LOG_FRAME;
      u32 pgno = repGet4(f+16);
      if( repGet8(f)!=(u64)(p->pFile->iFirst+i+k) || pgno==0 ) break;
      sum = repChecksum(sum, f+24, LSC_LOG_PAGE);
      if( sum!=repGet8(f+8) ) break;
      if( nAll==o->nRoom ){
        i64 nRoom = o->nRoom ? o->nRoom*2 : 1024;
        u32 *aPgno = sqlite3_realloc64(o->aPgno, (u64)nRoom*4), *aAfter;
        if( aPgno ) o->aPgno = aPgno;
        aAfter = aPgno ? sqlite3_realloc64(o->aAfter, (u64)nRoom*4) : 0;
        if( aAfter ) o->aAfter = aAfter;
        if( aPgno==0 || aAfter==0 ){
          rc = SQLITE_NOMEM_BKPT;
          break;
        }
        o->nRoom = nRoom;
      }
      o->aPgno[nAll] = pgno;
      o->aAfter[nAll] = repGet4(f+20);
      if( o->aAfter[nAll] ) o->n = nAll+1;
    }
  }
  sqlite3_free(a);
  return rc;
}

/* Order frames by page, then index: keys of 64 bits. */
static int repOrderCompare(const void *a, const void *b){
  u64 x = *(const u64*)a, y = *(const u64*)b;
  return x<y ? -1 : x>y;
}
static int repOrder(RepOpen *o){
  u64 *a = sqlite3_malloc64((u64)(o->n+1)*8);
  i64 i;
  if( a==0 ) return SQLITE_NOMEM_BKPT;
  if( o->n>0xfffffffe ){
    sqlite3_free(a);
    return SQLITE_FULL;
  }
  for(i=0; i<o->n; i++) a[i] = (u64)o->aPgno[i]<<32 | (u64)i;
  qsort(a, (size_t)o->n, 8, repOrderCompare);
  o->aOrder = sqlite3_malloc64((u64)(o->n+1)*4);
  if( o->aOrder ){
    for(i=0; i<o->n; i++) o->aOrder[i] = (u32)a[i];
  }
  sqlite3_free(a);
  return o->aOrder ? SQLITE_OK : SQLITE_NOMEM_BKPT;
}

/* What a comparison has found. */
typedef struct RepDiff {
  u32 *aFrame;                        /* owned: last frames of pages that the database has otherwise, nDiff of them */
  i64 nDiff;
  i64 low, high;                      /* the database is as behind one of these frames, if it is as behind any */
} RepDiff;

/*
** Compare each page's last frame with the database, and where it differs look for an earlier one that does not. aLeast:
** the smallest size that the database had at or behind a frame: a page above it was cut off since, and may be anything.
*/
static int repCompare(RepOpen *o, const u32 *aLeast, RepDiff *d){
  i64 i, j, iEnd;
  int bSame, rc = SQLITE_OK;
  d->low = -1;
  d->high = o->n-1;
  for(i=0; i<o->n && rc==SQLITE_OK; i=iEnd){
    u32 pgno = o->aPgno[o->aOrder[i]], iLast;
    for(iEnd=i+1; iEnd<o->n && o->aPgno[o->aOrder[iEnd]]==pgno; iEnd++){}
    iLast = o->aOrder[iEnd-1];
    if( pgno>aLeast[iLast] ) continue;
    bSame = 0;
    if( pgno<=o->nPage ) rc = repSame(o, iLast, &bSame);
    if( rc!=SQLITE_OK || bSame ) continue;
    d->aFrame[d->nDiff++] = iLast;
    for(j=iEnd-2; j>=i && rc==SQLITE_OK && !bSame && pgno<=o->nPage; j--) rc = repSame(o, o->aOrder[j], &bSame);
    if( bSame ){
      /* Frame j+1 of the order is the one. */
      d->low = MAX(d->low, (i64)o->aOrder[j+1]);
      d->high = MIN(d->high, (i64)o->aOrder[j+2]-1);
    }else{
      d->high = MIN(d->high, (i64)o->aOrder[i]-1);
    }
  }
  return rc;
}

/* Whether the database is as it was behind frame k, a commit or -1: also pages that are the same again at the end. */
static int repIsAsOf(RepOpen *o, i64 k, int *pbIs){
  i64 i, iEnd, j;
  int rc = SQLITE_OK, bSame = 1, nCommit = 0;
  Wal *pWal = lscStockWal(o->pPager->pWal);
  *pbIs = 0;
  for(i=k+1; i<o->n; i++) nCommit += o->aAfter[i]!=0;
  if( nCommit>1 && (pWal==0 || pWal->hdr.mxFrame==0) ) return SQLITE_OK;
  if( k<0 ){
    if( o->p->pFile->iFirst==0 ) return repIsEmpty(o, pbIs);
    *pbIs = nCommit==1;
    return SQLITE_OK;
  }
  if( o->aAfter[k]!=o->nPage ) return SQLITE_OK;
  for(i=0; i<o->n && rc==SQLITE_OK && bSame; i=iEnd){
    u32 pgno = o->aPgno[o->aOrder[i]];
    for(iEnd=i+1; iEnd<o->n && o->aPgno[o->aOrder[iEnd]]==pgno; iEnd++){}
    if( (i64)o->aOrder[iEnd-1]<=k || pgno>o->nPage ) continue;
    for(j=iEnd-1; j>=i && (i64)o->aOrder[j]>k; j--){}
    if( j>=i ) rc = repSame(o, o->aOrder[j], &bSame);
  }
  *pbIs = bSame;
  return rc;
}

/* Write the pages of these frames into the database: it then is as behind the log's last transaction. */
static int repRollForward(RepOpen *o, const u32 *aFrame, i64 nFrame){
  u8 *a = sqlite3_malloc64(REP_BUNCH*LSC_LOG_FRAME);
  const u8 *ap[REP_BUNCH];
  const char *zMsg = 0;
  u32 nAfter = o->aAfter[o->n-1];
  int rc = a ? SQLITE_OK : SQLITE_NOMEM_BKPT, bBegun = 0, rc2;
  i64 i = 0, iLast = o->n-1;
  int k;
  repReadEnd(o);
  sqlite3_mutex_enter(o->db->mutex);
  sqlite3BtreeEnter(o->pBt);
  if( rc==SQLITE_OK ) rc = lscInsertBegin(o->db, o->pBt, 1, &zMsg);
  bBegun = rc==SQLITE_OK;
  /* The frame of the commit goes last, so that there is one even if the size is all that differs. */
  while( rc==SQLITE_OK && i<=nFrame ){
    for(k=0; k<REP_BUNCH && i<=nFrame && rc==SQLITE_OK; k++, i++){
      rc = repReadFrames(o, i<nFrame ? aFrame[i] : iLast, 1, a+k*LSC_LOG_FRAME);
      ap[k] = a+k*LSC_LOG_FRAME;
    }
    if( rc==SQLITE_OK ) rc = injWrite(o->pBt, ap, k, i>nFrame ? nAfter : 0, 0);
  }
  if( bBegun ){
    rc2 = lscInsertEnd(o->pBt, &zMsg);
    if( rc==SQLITE_OK ) rc = rc2;
  }
  if( rc!=SQLITE_OK ) sqlite3Error(o->db, rc);
  sqlite3BtreeLeave(o->pBt);
  /* What was written may be, byte for byte, what data-wal had there: frames behind it that were cut off by damage would
  ** count again when it is read anew. */
  if( rc==SQLITE_OK ) rc = sqlite3_wal_checkpoint_v2(o->db, "main", SQLITE_CHECKPOINT_TRUNCATE, 0, 0);
  sqlite3_mutex_leave(o->db->mutex);
  sqlite3_free(a);
  return rc==SQLITE_OK ? repReadBegin(o) : rc;
}

/* If data-wal has all that differs, add its pages to the log: those that differ, and those that the log does not tell. */
static int repAddFromWal(RepOpen *o, const RepDiff *d, int *pbDone){
  Wal *pWal = lscStockWal(o->pPager->pWal);
  Bitvec *pInWal = sqlite3BitvecCreate(0xfffffffe), *pKnown = sqlite3BitvecCreate(0xfffffffe);
  int rc = pInWal && pKnown ? SQLITE_OK : SQLITE_NOMEM_BKPT;
  u32 i, nWal = pWal ? pWal->hdr.mxFrame : 0;
  i64 k;
  *pbDone = 0;
  for(i=1; i<=nWal && rc==SQLITE_OK; i++){
    Pgno pgno = sqlite3_wal_frame_page_no((sqlite3_wal*)pWal, i);
    if( pgno ) rc = sqlite3BitvecSet(pInWal, pgno);
  }
  for(k=0; k<d->nDiff && rc==SQLITE_OK; k++){
    Pgno pgno = o->aPgno[d->aFrame[k]];
    if( pgno<=o->nPage && !sqlite3BitvecTest(pInWal, pgno) ) goto out;
  }
  if( nWal==0 ) goto out;
  /* Known: the page's last frame is what the database has. */
  for(k=0; k<o->n && rc==SQLITE_OK; k++) rc = sqlite3BitvecSet(pKnown, o->aPgno[k]);
  if( rc==SQLITE_OK ){
    u8 *aBuf = sqlite3_malloc64(BITVEC_SZ);
    if( aBuf==0 ) rc = SQLITE_NOMEM_BKPT;
    for(k=0; k<d->nDiff && rc==SQLITE_OK; k++) sqlite3BitvecClear(pKnown, o->aPgno[d->aFrame[k]], aBuf);
    sqlite3_free(aBuf);
  }
  for(i=1; i<=nWal && rc==SQLITE_OK; i++){
    Pgno pgno = sqlite3_wal_frame_page_no((sqlite3_wal*)pWal, i);
    if( pgno<2 || pgno>o->nPage || sqlite3BitvecTest(pKnown, pgno) ) continue;
    rc = sqlite3BitvecSet(pKnown, pgno);
    if( rc==SQLITE_OK ) rc = repAddPage(o, pgno, 0);
  }
  if( rc==SQLITE_OK ) rc = repAddPage(o, 1, o->nPage);
  if( rc==SQLITE_OK ) rc = sqlite3OsSync(o->p->pFile->pFd, SQLITE_SYNC_NORMAL);
  if( rc==SQLITE_OK ){
    lscReplogEnd(o->p, 1);
    *pbDone = 1;
  }
out:
  if( !*pbDone ) lscReplogEnd(o->p, 0);
  sqlite3BitvecDestroy(pInWal);
  sqlite3BitvecDestroy(pKnown);
  return rc;
}

/* Make log and database agree; *pbDone: they do. */
static int repSettle(RepOpen *o, int *pbDone){
  RepDiff d;
  u32 *aLeast = 0, nLeast = 0xffffffff;
  i64 i, k;
  int rc = repScan(o), bIs = 0;
  memset(&d, 0, sizeof(d));
  *pbDone = 0;
  if( rc==SQLITE_OK && o->n<o->nHeader ) return SQLITE_OK;    /* replicas may have what is lost */
  if( rc==SQLITE_OK ) rc = repOrder(o);
  if( rc==SQLITE_OK ){
    aLeast = sqlite3_malloc64((u64)(o->n+1)*4);
    d.aFrame = sqlite3_malloc64((u64)(o->n+1)*4);
    if( aLeast==0 || d.aFrame==0 ) rc = SQLITE_NOMEM_BKPT;
  }
  if( rc!=SQLITE_OK ) goto out;
  for(i=o->n-1; i>=0; i--){
    if( o->aAfter[i] ) nLeast = MIN(nLeast, o->aAfter[i]);
    aLeast[i] = nLeast;
  }
  rc = repCompare(o, aLeast, &d);
  if( rc==SQLITE_OK ) rc = repAccept(o, o->n);
  if( rc!=SQLITE_OK ) goto out;
  if( o->n==0 && o->p->pFile->iFirst==0 ){
    rc = repIsEmpty(o, pbDone);
  }else if( d.nDiff==0 && (o->n==0 || o->aAfter[o->n-1]==o->nPage) ){
    *pbDone = 1;
  }else if( o->n>0 ){
    for(k=MIN(d.high, o->n-2); k>=0 && !o->aAfter[k]; k--){}
    if( k>=d.low ) rc = repIsAsOf(o, k, &bIs);
    if( rc==SQLITE_OK && bIs ){
      rc = repRollForward(o, d.aFrame, d.nDiff);
      *pbDone = rc==SQLITE_OK;
    }
  }
  if( rc==SQLITE_OK && !*pbDone && (o->n>0 || o->p->pFile->iFirst>0) ) rc = repAddFromWal(o, &d, pbDone);
  if( rc==SQLITE_OK && *pbDone ) o->p->nPage = o->nPage;

out:
  sqlite3_free(aLeast);
  sqlite3_free(d.aFrame);
  return rc;
}
