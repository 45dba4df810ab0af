/*
** replog_open.c: a log opened: believed, mended (replog_settle.c) or made anew. Included by engine.c.
**
** A log that was closed is believed when its last transaction is what the database holds; if it is not, somebody has
** put another database in the place of the log's. Nobody else has the database open meanwhile.
*/
typedef struct RepOpen {
  lsc_replog *p;
  sqlite3 *db;                        /* owned */
  Btree *pBt;
  Pager *pPager;
  int bReading;                       /* a read transaction is open */
  u32 nPage;                          /* pages of the database */
  i64 nHeader;                        /* frames by the header */
  i64 n, nRoom;                       /* frames read, up to the last commit */
  u32 *aPgno, *aAfter;                /* owned: their pages; sizes behind them */
  u32 *aOrder;                        /* owned: their indexes by page, then index */
  u8 aFrame[LSC_LOG_FRAME];
} RepOpen;

static int repReadBegin(RepOpen *o){
  int rc;
  sqlite3_mutex_enter(o->db->mutex);
  sqlite3BtreeEnter(o->pBt);
  rc = sqlite3BtreeBeginTrans(o->pBt, 0, 0);
  if( rc==SQLITE_OK ){
    int n = 0;
    sqlite3PagerPagecount(o->pPager, &n);
    o->nPage = (u32)n;
    o->bReading = 1;
  }else{
    sqlite3Error(o->db, rc);
    sqlite3BtreeLeave(o->pBt);
    sqlite3_mutex_leave(o->db->mutex);
  }
  return rc;
}

static void repReadEnd(RepOpen *o){
  if( !o->bReading ) return;
  o->bReading = 0;
  (void)sqlite3BtreeCommit(o->pBt);
  sqlite3BtreeLeave(o->pBt);
  sqlite3_mutex_leave(o->db->mutex);
}

/* The first frame of wallog is 0 here. */
static int repReadFrames(RepOpen *o, i64 i, int n, u8 *a){
  lsc_replog *p = o->p;
  int k, rc = sqlite3OsRead(p->pFile->pFd, a, n*LSC_LOG_FRAME, LSC_LOG_HEADER + i*LSC_LOG_FRAME);
  for(k=0; k<n && rc==SQLITE_OK && p->pCodec; k++) rc = repCrypt(p->pCodec, a+k*LSC_LOG_FRAME+24, 0);
  return rc;
}

/* Whether frame i holds what the database has. */
static int repSame(RepOpen *o, i64 i, int *pbSame){
  PgHdr *pPg = 0;
  int rc = repReadFrames(o, i, 1, o->aFrame);
  *pbSame = 0;
  if( rc==SQLITE_OK ) rc = sqlite3PagerGet(o->pPager, repGet4(o->aFrame+16), &pPg, PAGER_GET_READONLY);
  if( rc==SQLITE_OK ) *pbSame = memcmp(sqlite3PagerGetData(pPg), o->aFrame+24, LSC_LOG_PAGE)==0;
  if( pPg ) sqlite3PagerUnref(pPg);
  return rc;
}

/* A database in which nobody has written anything. */
static int repIsEmpty(RepOpen *o, int *pbEmpty){
  static const u8 aZero[4] = {0};
  PgHdr *pPg = 0;
  int rc = SQLITE_OK;
  *pbEmpty = o->nPage==0;
  if( o->nPage!=1 ) return SQLITE_OK;
  rc = sqlite3PagerGet(o->pPager, 1, &pPg, PAGER_GET_READONLY);
  if( rc==SQLITE_OK ){
    const u8 *a = sqlite3PagerGetData(pPg);
    *pbEmpty = a[100]==13 && a[103]==0 && a[104]==0 && memcmp(a+40, aZero, 4)==0 && memcmp(a+60, aZero, 4)==0
            && memcmp(a+68, aZero, 4)==0;
  }
  if( pPg ) sqlite3PagerUnref(pPg);
  return rc;
}

/* replog_settle.c */
static int repSettle(RepOpen *o, int *pbDone);

/* Open wallog and read its header. *pbUsable: it is a log of ours. */
static int repOpenLog(RepOpen *o, int *pbUsable){
  lsc_replog *p = o->p;
  char *zPath = repPath(p->zFolder, REP_WALLOG);
  u8 a[LSC_LOG_HEADER];
  i64 nByte = 0;
  int bExists = 0, i, rc;
  *pbUsable = 0;
  if( zPath==0 ) return SQLITE_NOMEM_BKPT;
  rc = sqlite3OsAccess(p->pVfs, zPath, SQLITE_ACCESS_EXISTS, &bExists);
  if( rc==SQLITE_OK && bExists ){
    p->pFile = sqlite3MallocZero(sizeof(RepFile));
    if( p->pFile==0 ) rc = SQLITE_NOMEM_BKPT;
    if( rc==SQLITE_OK ){
      p->pFile->nRef = 1;
      rc = repOpenFile(p->pVfs, zPath, 0, &p->pFile->pFd);
    }
    if( rc==SQLITE_OK ) rc = sqlite3OsFileSize(p->pFile->pFd, &nByte);
    if( rc==SQLITE_OK && nByte>=LSC_LOG_HEADER ){
      rc = sqlite3OsRead(p->pFile->pFd, a, sizeof(a), 0);
      if( rc==SQLITE_OK && memcmp(a, "SQLDWAL", 8)==0 && repGet4(a+48)==2 && repGet4(a+52)==LSC_LOG_PAGE
       && repGet8(a+32)<((u64)1<<62) && repGet8(a+40)<((u64)1<<40) ){
        p->firstSum = repGet8(a+8);
        for(i=0; i<16; i++) p->aId[i] = a[31-i];
        p->pFile->iFirst = (i64)repGet8(a+32);
        o->nHeader = (i64)repGet8(a+40);
        *pbUsable = 1;
      }
    }
  }
  sqlite3_free(zPath);
  return rc;
}

/* A log with n frames. */
static int repAccept(RepOpen *o, i64 n){
  lsc_replog *p = o->p;
  int rc = SQLITE_OK;
  p->iLast = p->pFile->iFirst + n - 1;
  p->sum = p->firstSum;
  p->nPage = o->nPage;
  if( n>0 ){
    u8 a[24];
    rc = sqlite3OsRead(p->pFile->pFd, a, sizeof(a), LSC_LOG_HEADER + (n-1)*LSC_LOG_FRAME);
    p->sum = repGet8(a+8);
  }
  return rc;
}

/* Whether the last transaction by the header is what the database holds; of a long one its last pages. */
static int repLastFits(RepOpen *o, int *pbFits){
  i64 n = o->nHeader, i;
  u32 aPgno[64];
  int nPgno = 0, k, rc = SQLITE_OK;
  *pbFits = 0;
  if( n==0 ){
    /* Behind a compaction there is nothing to compare. */
    if( o->p->pFile->iFirst==0 ) return repIsEmpty(o, pbFits);
    *pbFits = 1;
    return SQLITE_OK;
  }
  for(i=n-1; i>=0 && i>=n-ArraySize(aPgno) && rc==SQLITE_OK; i--){
    u32 pgno, nAfter;
    int bSame = 0;
    rc = repReadFrames(o, i, 1, o->aFrame);
    if( rc==SQLITE_IOERR_SHORT_READ ) return SQLITE_OK;
    if( rc!=SQLITE_OK ) return rc;
    pgno = repGet4(o->aFrame+16);
    nAfter = repGet4(o->aFrame+20);
    if( repGet8(o->aFrame)!=(u64)(o->p->pFile->iFirst+i) || pgno==0 ) return SQLITE_OK;
    if( i==n-1 ? nAfter!=o->nPage : nAfter!=0 ) break;
    for(k=0; k<nPgno && aPgno[k]!=pgno; k++){}
    if( k<nPgno || pgno>o->nPage ) continue;
    aPgno[nPgno++] = pgno;
    rc = repSame(o, i, &bSame);
    if( rc==SQLITE_OK && !bSame ) return SQLITE_OK;
  }
  *pbFits = i<n-1;
  return rc;
}

/* Add a page as the database has it to the log. */
static int repAddPage(RepOpen *o, Pgno pgno, u32 nAfter){
  PgHdr page, *pPg = 0;
  int rc = sqlite3PagerGet(o->pPager, pgno, &pPg, PAGER_GET_READONLY);
  if( rc!=SQLITE_OK ) return rc;
  memset(&page, 0, sizeof(page));
  page.pgno = pgno;
  page.pData = sqlite3PagerGetData(pPg);
  rc = repAppend(o->p, &page, nAfter);
  sqlite3PagerUnref(pPg);
  return rc;
}

static void repSyncFolder(const char *zPath){
#if SQLITE_OS_UNIX
  int fd;
  if( osOpenDirectory(zPath, &fd)==SQLITE_OK ){
    (void)full_fsync(fd, 0, 0);
    robust_close(0, fd, __LINE__);
  }
#else
  (void)zPath;
#endif
}

/* Give a file another name, whose file is replaced. */
static int repRename(const char *zFrom, const char *zTo){
#if SQLITE_OS_WIN
  (void)remove(zTo);
#endif
  if( rename(zFrom, zTo)!=0 ){
    sqlite3_log(SQLITE_IOERR, "cannot rename %s", zFrom);
    return SQLITE_IOERR_WRITE;
  }
  repSyncFolder(zTo);
  return SQLITE_OK;
}

/* An empty log at the path `z`, synced; the caller's. */
static int repNewFile(lsc_replog *p, const char *z, i64 iFirst, u64 sum, RepFile **pp){
  RepFile *pFile = sqlite3MallocZero(sizeof(RepFile));
  u8 a[LSC_LOG_HEADER];
  int rc = SQLITE_NOMEM_BKPT;
  *pp = 0;
  if( pFile==0 ) return rc;
  pFile->nRef = 1;
  pFile->iFirst = iFirst;
  rc = repOpenFile(p->pVfs, z, 1, &pFile->pFd);
  if( rc==SQLITE_OK ) rc = sqlite3OsTruncate(pFile->pFd, 0);
  repHeader(a, p->aId, iFirst, sum, 0);
  if( rc==SQLITE_OK ) rc = sqlite3OsWrite(pFile->pFd, a, sizeof(a), 0);
  if( rc==SQLITE_OK ) rc = sqlite3OsSync(pFile->pFd, SQLITE_SYNC_NORMAL);
  if( rc!=SQLITE_OK ){
    repCloseFile(pFile->pFd);
    sqlite3_free(pFile);
  }else{
    *pp = pFile;
  }
  return rc;
}

/* A new history, which begins with the whole database. */
static int repRebuild(RepOpen *o, const u8 *aUuid){
  lsc_replog *p = o->p;
  char *zNew = repPath(p->zFolder, REP_WALLOG "-new"), *zLog = repPath(p->zFolder, REP_WALLOG);
  int rc = zNew && zLog ? SQLITE_OK : SQLITE_NOMEM_BKPT, bEmpty = 0;
  Pgno pgno, nLast = o->nPage;
  if( p->pFile ) repDropFile(p);
  memcpy(p->aId, aUuid, 16);
  p->aId[6] = (p->aId[6]&0x0f) | 0x40;      /* version 4 */
  p->aId[8] = (p->aId[8]&0x3f) | 0x80;
  p->firstSum = p->sum = 0;
  p->iLast = -1;
  p->nPending = p->nPageNext = 0;
  p->bRebuilt = 1;
  if( rc==SQLITE_OK ) rc = repNewFile(p, zNew, 0, 0, &p->pFile);
  if( rc==SQLITE_OK ) rc = repIsEmpty(o, &bEmpty);
  if( nLast==PENDING_BYTE_PAGE(o->pBt->pBt) ) nLast--;
  for(pgno=1; pgno<=nLast && rc==SQLITE_OK && !bEmpty; pgno++){
    if( pgno==PENDING_BYTE_PAGE(o->pBt->pBt) ) continue;
    rc = repAddPage(o, pgno, pgno==nLast ? o->nPage : 0);
  }
  if( rc==SQLITE_OK ){
    if( p->nPending ) lscReplogEnd(p, 1);
    p->nPage = o->nPage;
    rc = repWriteHeader(p, p->iLast);
  }
  if( rc==SQLITE_OK ) rc = sqlite3OsSync(p->pFile->pFd, SQLITE_SYNC_NORMAL);
  if( rc==SQLITE_OK ) rc = repRename(zNew, zLog);
  sqlite3_free(zNew);
  sqlite3_free(zLog);
  return rc;
}

/* Open the database. */
static int repConnect(RepOpen *o, const lsc_key *pKey, lsc_error *error){
  char *zPath = repPath(o->p->zFolder, "data");
  int rc = zPath ? injConnect(zPath, pKey, 0, &o->db, error) : SQLITE_NOMEM_BKPT;
  sqlite3_free(zPath);
  if( rc!=SQLITE_OK ) return rc;
  (void)sqlite3_db_config(o->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int*)0);
  o->pBt = o->db->aDb[0].pBt;
  o->pPager = sqlite3BtreePager(o->pBt);
  rc = repReadBegin(o);
  if( rc==SQLITE_OK && (sqlite3BtreeGetPageSize(o->pBt)!=LSC_LOG_PAGE || o->pPager->pWal==0) ){
    rc = injError(error, SQLITE_ERROR, sqlite3_mprintf("a database with a log for replicas is in WAL mode and has "
                  "pages of 4096 bytes, not of %d", sqlite3BtreeGetPageSize(o->pBt)));
  }
  return rc;
}

int lsc_replog_open(
  lsc_replog **pp, const char *zFolder, int dirty, const lsc_key *pKey, const unsigned char *aUuid, lsc_error *error
){
  RepOpen *o = 0;
  lsc_replog *p = 0;
  int rc = sqlite3_initialize(), bUsable = 0, bDone = 0;
  *pp = 0;
  if( rc==SQLITE_OK ){
    o = sqlite3MallocZero(sizeof(*o));
    p = sqlite3MallocZero(sizeof(*p));
    if( o==0 || p==0 ){
      sqlite3_free(p);
      sqlite3_free(o);
      rc = SQLITE_NOMEM;
    }
  }
  if( rc!=SQLITE_OK ){
    error->code = rc;
    return rc;
  }
  repTableInit();
  o->p = p;
  p->iLast = -1;
  p->iHeader = -2;
  p->pVfs = sqlite3_vfs_find(0);
  p->mutex = sqlite3_mutex_alloc(SQLITE_MUTEX_FAST);
  p->zFolder = sqlite3_mprintf("%s", zFolder);
  if( p->zFolder==0 || p->pVfs==0 ) rc = SQLITE_NOMEM_BKPT;
  if( rc==SQLITE_OK && pKey->key ) rc = lsc_frame_key_new(&p->pCodec, pKey, error);
  if( rc==SQLITE_OK ) rc = repConnect(o, pKey, error);
  if( rc==SQLITE_OK ) rc = repOpenLog(o, &bUsable);
  if( rc==SQLITE_OK && bUsable && !dirty ){
    rc = repLastFits(o, &bDone);
    if( rc==SQLITE_OK && bDone ) rc = repAccept(o, o->nHeader);
  }
  if( rc==SQLITE_OK && bUsable && dirty ) rc = repSettle(o, &bDone);
  if( rc==SQLITE_OK && !bDone ) rc = repRebuild(o, aUuid);
  p->msBegan = repNow(p->pVfs);

  if( o->db && rc!=SQLITE_OK && error->text==0 ){
    sqlite3Error(o->db, rc);
    lscKeepError(o->db, rc, error);
  }
  repReadEnd(o);
  sqlite3_close(o->db);
  sqlite3_free(o->aPgno);
  sqlite3_free(o->aAfter);
  sqlite3_free(o->aOrder);
  sqlite3_free(o);
  if( rc==SQLITE_OK ){
    *pp = p;
  }else{
    if( p->pFile ) repDropFile(p);
    if( error->code==0 ) error->code = rc;
    lsc_replog_free(p);
  }
  return rc;
}
