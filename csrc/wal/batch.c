/*
** batch.c: many frames in one call, for the Python module. Included by engine.c.
**
** Frames that are inserted are those of one log, one behind the other, so each one's salts must be those of the one
** before, and its checksum must follow from that one's: what was damaged on the way, or comes from elsewhere, is found
** before anything is written. The first frame has nothing to follow from. Frames of a primary that sends none of this
** have zeros there, and are taken as they are.
*/

/* What is wrong with frame i (numbered from 0) of those to insert; NULL for nothing. */
static const char *lscFrameFault(const unsigned char *const *apFrame, int i, int nFrame){
  const u8 *a = apFrame[i], *aBefore = i>0 ? apFrame[i-1] : 0;
  static const u8 aNone[16];
  u32 aSum[2];
  int bNative;
  if( aBefore==0 ) return 0;
  if( memcmp(a+8, aNone, 16)==0 && memcmp(aBefore+8, aNone, 16)==0 ) return 0;
  if( memcmp(a+8, aBefore+8, 8)!=0 ) return "its salts are not those of the frame before";
  /* Either byte order: that of the log's header is not known here. */
  for(bNative=0; bNative<2; bNative++){
    aSum[0] = sqlite3Get4byte(aBefore+16);
    aSum[1] = sqlite3Get4byte(aBefore+20);
    walChecksumBytes(bNative, (u8*)a, 8, aSum, aSum);
    walChecksumBytes(bNative, (u8*)a+LSC_FRAME_HEADER, nFrame-LSC_FRAME_HEADER, aSum, aSum);
    if( aSum[0]==sqlite3Get4byte(a+16) && aSum[1]==sqlite3Get4byte(a+20) ) return 0;
  }
  return "its checksum does not follow from the frame before";
}

static int lscFrameError(sqlite3 *db, int rc, unsigned iFrame, const char *zMsg, lsc_error *error){
  if( zMsg ) sqlite3ErrorWithMsg(db, rc, "frame %u: %s", iFrame, zMsg);
  else sqlite3Error(db, rc);
  lscKeepError(db, rc, error);
  return rc;
}

int lsc_wal_info(sqlite3 *db, unsigned *pnFrame, int *pszFrame, lsc_error *error){
  Btree *p;
  int rc, bOpened;
  *pnFrame = 0;
  p = lscMainEnter(db);
  rc = lscSnapshotBegin(p, &bOpened);
  /* The frames of this snapshot; it does not matter who writes meanwhile. */
  if( rc==SQLITE_OK ) rc = lscFrameCount(lscMainWal(p), 1, pnFrame);
  *pszFrame = LSC_FRAME_HEADER + sqlite3BtreeGetPageSize(p);
  lscSnapshotEnd(p, bOpened);
  rc = lscMainLeave(db, p, rc, 0);
  return rc==SQLITE_OK ? rc : lscBlobError(db, rc, error);
}

int lsc_wal_read(sqlite3 *db, unsigned iFirst, int n, unsigned char *const *apOut, int nOut, lsc_error *error){
  const char *zMsg = 0;
  Btree *p = lscMainEnter(db);
  int i = 0, bOpened;
  int rc = lscSnapshotBegin(p, &bOpened);
  for(; rc==SQLITE_OK && i<n; i++){
    rc = lscReadFrame(p, iFirst+(unsigned)i, apOut[i], (unsigned)nOut, &zMsg);
    if( rc==SQLITE_IOERR_SHORT_READ ) zMsg = "it is no longer in the log, which was started anew";
  }
  if( rc!=SQLITE_OK ) (void)lscFrameError(db, rc, iFirst+(unsigned)(i>0 ? i-1 : 0), zMsg, error);
  lscSnapshotEnd(p, bOpened);
  sqlite3BtreeLeave(p);
  sqlite3_mutex_leave(db->mutex);
  return rc;
}

/* A database that has no page yet takes the page size of the frames. */
static int lscAdoptPageSize(Btree *p, int szPage){
  Pager *pPager = sqlite3BtreePager(p);
  int rc, bOpened;
  Pgno nPage;
  rc = lscSnapshotBegin(p, &bOpened);
  if( rc!=SQLITE_OK ) return rc;
  nPage = pPager->dbSize;
  lscSnapshotEnd(p, bOpened);
  if( nPage==0 ) rc = sqlite3BtreeSetPageSize(p, szPage, 0, 0);
  return rc;
}

int lsc_wal_insert(
  sqlite3 *db, unsigned iFirst, int n, const unsigned char *const *apFrame, int nFrame, unsigned *pnAdded,
  lsc_error *error
){
  const char *zMsg = 0;
  Btree *p = lscMainEnter(db);
  unsigned nBefore = 0, nAfter = 0, iFrame = iFirst;
  int i, bConflict, bBegun = 0, rc = SQLITE_OK;

  *pnAdded = 0;
  for(i=0; i<n && zMsg==0; i++){
    iFrame = (iFirst ? iFirst : 1) + (unsigned)i;
    zMsg = lscFrameFault(apFrame, i, nFrame);
  }
  if( zMsg==0 && n>0 && sqlite3Get4byte(apFrame[n-1]+4)==0 ) zMsg = "the last one must end a transaction";
  if( zMsg ){
    rc = SQLITE_CORRUPT_BKPT;
    goto out;
  }
  if( p->pBt->inTransaction==TRANS_NONE ) rc = lscAdoptPageSize(p, nFrame-LSC_FRAME_HEADER);
  if( rc==SQLITE_OK ) rc = lscInsertBegin(db, p, 1, &zMsg);
  bBegun = rc==SQLITE_OK;
  if( rc==SQLITE_OK ) rc = lscFrameCount(lscMainWal(p), 1, &nBefore);
  if( rc==SQLITE_OK && iFirst==0 ) iFirst = nBefore + 1;
  for(i=0; rc==SQLITE_OK && i<n; i++){
    /* The disk is waited for once, with the last frame. */
    int syncFlags = p->pBt->pPager->walSyncFlags;
    if( i<n-1 ) syncFlags &= ~0x03;
    iFrame = iFirst + (unsigned)i;
    rc = lscInsertFrame(p, iFrame, (u8*)apFrame[i], (unsigned)nFrame, syncFlags, &bConflict, &zMsg);
  }
  if( rc==SQLITE_OK ) rc = lscFrameCount(lscMainWal(p), 1, &nAfter);
  if( rc==SQLITE_OK ) *pnAdded = nAfter - nBefore;

out:
  if( rc!=SQLITE_OK ) (void)lscFrameError(db, rc, iFrame, zMsg, error);
  if( bBegun ){
    int rc2 = lscInsertEnd(p, &zMsg);
    if( rc==SQLITE_OK && rc2!=SQLITE_OK ) rc = lscFrameError(db, rc2, iFrame, zMsg, error);
  }
  sqlite3BtreeLeave(p);
  sqlite3_mutex_leave(db->mutex);
  return rc;
}
