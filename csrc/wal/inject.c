/*
** inject.c: frames of a primary written into the log of a replica's file. Included by engine.c.
**
** A call commits once: all transactions that are whole by its end together, each page in its last state. What is left of
** the one that is not waits in memory, or, above INJ_ROOM frames, in SQLite's log without a commit, where readers do not
** see it and a crash forgets it. The write lock is held from the first such frame to the commit.
**
** Into a database with a log of its own frames go as they come, each transaction by itself: its log is to have the same.
*/
#define INJ_ROOM 1024                 /* frames kept in memory */
#define INJ_BULK 128                  /* that many in one call: a replica that catches up */

struct lsc_injector {
  sqlite3 *db;                        /* owned */
  lsc_replog *pLog;                   /* borrowed: the database's own log, or NULL */
  int nCheckpoint;                    /* pages in the log after which they are copied into the file; 0: never */
  int nBulk;                          /* pages in the log that came many at a time */
  u8 *aHeld;                          /* owned: frames of the transaction that is not whole yet, nHeld of them */
  int nHeld, nHeldRoom;
  i64 iHeld;                          /* the number behind the last of them */
  int bSpilled;                       /* frames of it are in SQLite's log; the write lock is held */
  i64 iNext;                          /* the number behind the last frame taken; -1: none was */
  u64 sum;                            /* and its checksum */
  Bitvec *pSeen;                      /* owned: pages of a snapshot that were taken */
  i64 iSnapshot;                      /* its first frame, the highest; -1: none is open */
  i64 iBefore;                        /* its last frame so far */
};

typedef struct InjPage { Pgno pgno; int i; } InjPage;

static int injOrder(const void *a, const void *b){
  const InjPage *p = a, *q = b;
  if( p->pgno!=q->pgno ) return p->pgno<q->pgno ? -1 : 1;
  return p->i<q->i ? -1 : p->i>q->i;
}

/* In a message frames lie as they come; SQLite reads its pages by words. */
#define INJ_ODD(pFrame) (((uptr)(pFrame) & 7)!=0)

/*
** Write the pages of n frames, each in its last state, into SQLite's log, which an insertion has locked; nAfter: the
** size of the database behind them if they end the transaction, else 0. bAll: all of them, in their order.
*/
static int injWrite(Btree *p, const u8 *const *apFrame, int n, u32 nAfter, int bAll){
  Pager *pPager = sqlite3BtreePager(p);
  LscWal *pWal = lscMainWal(p);
  InjPage *aPage = sqlite3_malloc64((u64)(n+1)*(sizeof(InjPage)+sizeof(PgHdr)));
  PgHdr *aPg = (PgHdr*)&aPage[n+1], *pLast = 0, *pFirst = 0;
  u8 *aCopy = 0, *pCopy;
  int i, nOdd = 0, rc = SQLITE_OK;
  if( aPage==0 ) return SQLITE_NOMEM_BKPT;
  for(i=0; i<n; i++){
    aPage[i].pgno = repGet4(apFrame[i]+16);
    aPage[i].i = i;
    nOdd += INJ_ODD(apFrame[i]);
  }
  if( nOdd>0 && (aCopy = sqlite3_malloc64((u64)nOdd*LSC_LOG_PAGE))==0 ){
    sqlite3_free(aPage);
    return SQLITE_NOMEM_BKPT;
  }
  pCopy = aCopy;
  if( !bAll ) qsort(aPage, (size_t)n, sizeof(InjPage), injOrder);
  memset(aPg, 0, (size_t)(n+1)*sizeof(PgHdr));
  for(i=0; i<n; i++){
    PgHdr *pPg = &aPg[i];
    if( !bAll && i+1<n && aPage[i+1].pgno==aPage[i].pgno ) continue;
    if( !bAll && nAfter && aPage[i].pgno>nAfter ) break;
    pPg->pgno = aPage[i].pgno;
    pPg->pData = (void*)(apFrame[aPage[i].i]+24);
    if( INJ_ODD(apFrame[aPage[i].i]) ){
      pPg->pData = memcpy(pCopy, pPg->pData, LSC_LOG_PAGE);
      pCopy += LSC_LOG_PAGE;
    }
    if( pLast ) pLast->pDirty = pPg;
    else aPg[n].pDirty = pPg;
    pLast = pPg;
  }
  if( aPg[n].pDirty==0 && nAfter ){
    /* All of them are behind the end of the database, and something has to carry its size. */
    pager_reset(pPager);
    rc = sqlite3PagerGet(pPager, 1, &pFirst, PAGER_GET_READONLY);
    if( rc==SQLITE_OK ){
      aPg[0].pgno = 1;
      aPg[0].pData = sqlite3PagerGetData(pFirst);
      aPg[n].pDirty = &aPg[0];
    }
  }
  if( rc==SQLITE_OK && aPg[n].pDirty ){
    rc = lscWalFrames((Wal*)pWal, LSC_LOG_PAGE, aPg[n].pDirty, nAfter, nAfter!=0, pPager->walSyncFlags);
  }
  if( pFirst ) sqlite3PagerUnref(pFirst);
  if( rc==SQLITE_OK && nAfter ) lscWalSavepoint((Wal*)pWal, pWal->aCommitted);
  sqlite3_free(aCopy);
  sqlite3_free(aPage);
  return rc;
}

/* What is wrong with a frame, for sqlite3_free(); NULL: nothing. SQLITE_NOMEM is not told. */
static char *injFault(const u8 *a){
  Pgno pgno = repGet4(a+16);
  if( pgno==0 || pgno>0xfffffffe || pgno==(Pgno)(PENDING_BYTE/LSC_LOG_PAGE)+1 ){
    return sqlite3_mprintf("frame %lld is of page %u, which no database has", (i64)repGet8(a), pgno);
  }
  if( pgno==1 && (memcmp(a+24, "SQLite format 3", 16)!=0 || a[40]!=(LSC_LOG_PAGE>>8) || a[41]!=0) ){
    return sqlite3_mprintf("frame %lld: page 1 is not that of a database with pages of %d bytes", (i64)repGet8(a),
                           LSC_LOG_PAGE);
  }
  return 0;
}

static int injError(lsc_error *error, int rc, char *zText){
  sqlite3_free(error->text);
  error->code = zText ? rc : SQLITE_NOMEM;
  error->text = zText;
  return error->code;
}

static void injForget(lsc_injector *p, Btree *pBt){
  const char *zMsg = 0;
  if( p->bSpilled ) (void)lscInsertEnd(pBt, &zMsg);
  p->bSpilled = 0;
  p->nHeld = 0;
  p->iHeld = -1;
  p->iSnapshot = -1;
  p->iNext = -1;
  sqlite3BitvecDestroy(p->pSeen);
  p->pSeen = 0;
}

void lsc_injector_rollback(lsc_injector *p){
  Btree *pBt;
  if( p->db==0 ) return;
  pBt = lscMainEnter(p->db);
  injForget(p, pBt);
  (void)lscMainLeave(p->db, pBt, SQLITE_OK, 0);
}

/* Copy a frame to those that wait. */
static int injHold(lsc_injector *p, const u8 *aFrame){
  if( p->nHeld==p->nHeldRoom ){
    int nRoom = p->nHeldRoom ? p->nHeldRoom*2 : 8;
    u8 *a = sqlite3_realloc64(p->aHeld, (u64)nRoom*LSC_LOG_FRAME);
    if( a==0 ) return SQLITE_NOMEM_BKPT;
    p->aHeld = a;
    p->nHeldRoom = nRoom;
  }
  memcpy(p->aHeld + (i64)p->nHeld*LSC_LOG_FRAME, aFrame, LSC_LOG_FRAME);
  p->nHeld++;
  return SQLITE_OK;
}

/* The frames that wait, and n more, go into SQLite's log. */
static int injFlush(lsc_injector *p, Btree *pBt, const u8 *const *apFrame, int n, u32 nAfter, const char **pzMsg){
  const u8 **ap = sqlite3_malloc64(((u64)p->nHeld+(u64)n+1)*sizeof(u8*));
  int i, rc = SQLITE_OK;
  if( ap==0 ) return SQLITE_NOMEM_BKPT;
  for(i=0; i<p->nHeld; i++) ap[i] = p->aHeld + (i64)i*LSC_LOG_FRAME;
  for(i=0; i<n; i++) ap[p->nHeld+i] = apFrame[i];
  if( !p->bSpilled ){
    rc = lscInsertBegin(p->db, pBt, 0, pzMsg);
    if( rc==SQLITE_OK ){
      p->bSpilled = 1;
      if( sqlite3BtreeGetPageSize(pBt)!=LSC_LOG_PAGE ){
        *pzMsg = "the file has pages of another size than 4096 bytes";
        rc = SQLITE_ERROR;
      }
    }
  }
  if( rc==SQLITE_OK ) rc = injWrite(pBt, ap, p->nHeld+n, nAfter, p->pLog!=0);
  if( rc==SQLITE_OK ) p->nHeld = 0;
  sqlite3_free(ap);
  return rc;
}

/*
** Behind a commit of n frames: let go of the lock, copy the log into the file when it is long. While a replica catches up
** the log may grow longer: its pages reach the disk once then, not twice while somebody waits.
*/
static int injCommitted(lsc_injector *p, Btree *pBt, int n, const char **pzMsg){
  LscWal *pWal = lscMainWal(pBt);
  int nLog = lscWalCallback((Wal*)pWal);
  int rc;
  if( nLog<p->nBulk ) p->nBulk = 0;                  /* it was begun anew */
  if( n>=INJ_BULK ) p->nBulk = nLog;
  p->bSpilled = 0;
  rc = lscInsertEnd(pBt, pzMsg);
  if( rc==SQLITE_OK && p->nCheckpoint>0 && (nLog-p->nBulk>=p->nCheckpoint || nLog/16>=p->nCheckpoint) ){
    sqlite3BtreeLeave(pBt);
    (void)sqlite3_wal_checkpoint_v2(p->db, "main", SQLITE_CHECKPOINT_PASSIVE, 0, 0);
    p->nBulk = 0;
    sqlite3BtreeEnter(pBt);
  }
  return rc;
}

/* The end of a call: its error, or SQLITE_OK. */
static int injLeave(lsc_injector *p, Btree *pBt, int rc, const char *zMsg, char *zText, lsc_error *error){
  if( zText ){
    rc = injError(error, LSC_ERR_FRAMES, zText);
  }else if( rc!=SQLITE_OK ){
    if( zMsg ) sqlite3ErrorWithMsg(p->db, rc, "%s", zMsg);
    else sqlite3Error(p->db, rc);
    lscKeepError(p->db, rc, error);
  }
  if( rc!=SQLITE_OK ) injForget(p, pBt);
  sqlite3BtreeLeave(pBt);
  sqlite3_mutex_leave(p->db->mutex);
  return rc;
}

/* What is wrong with the order of frames, or with one of them; NULL: nothing. *pnWhole: how many are of whole
** transactions. */
static char *injCheck(
  lsc_injector *p, const u8 *const *apFrame, int n, i64 iExpected, int bSum, u64 sum, int *pnWhole
){
  char *zText = 0;
  int i;
  *pnWhole = 0;
  for(i=0; i<n && zText==0; i++){
    const u8 *a = apFrame[i];
    u64 own = repGet8(a+8);
    if( repGet8(a)!=(u64)iExpected+(u64)i ){
      zText = sqlite3_mprintf("frame %lld comes where %lld was expected", (i64)repGet8(a), iExpected+i);
    }else if( (zText = injFault(a))==0 && bSum && sum && own && repChecksum(sum, a+24, LSC_LOG_PAGE)!=own ){
      zText = sqlite3_mprintf("frame %lld does not follow from the frame before: its checksum is wrong", iExpected+i);
    }
    sum = own;
    bSum = 1;
    if( repGet4(a+20) ) *pnWhole = i+1;
  }
  p->sum = sum;
  return zText;
}

int lsc_injector_frames(
  lsc_injector *p, const unsigned char *const *apFrame, int n, sqlite3_int64 iExpected,
  const unsigned long long *pBefore, lsc_injected *out, lsc_error *error
){
  Btree *pBt;
  const char *zMsg = 0;
  char *zText = 0;
  int rc = SQLITE_OK, i, nWhole = 0, bSum = pBefore!=0;
  u64 sum = pBefore ? (u64)*pBefore : 0;
  out->taken = 0;
  out->last = out->committed = -1;
  if( p->db==0 ) return injError(error, SQLITE_MISUSE, sqlite3_mprintf("the injector is closed"));
  pBt = lscMainEnter(p->db);
  if( n==0 ) goto out;
  if( (p->nHeld || p->bSpilled) && p->iHeld!=iExpected ) injForget(p, pBt);
  if( !bSum && p->iNext==iExpected ){
    bSum = 1;
    sum = p->sum;
  }
  zText = injCheck(p, apFrame, n, iExpected, bSum, sum, &nWhole);
  if( zText ) goto out;
  if( p->pLog && p->nHeld==0 && !p->bSpilled && iExpected!=lsc_replog_last(p->pLog)+1 ){
    zText = sqlite3_mprintf("frame %lld comes where the log expects %lld", iExpected, lsc_replog_last(p->pLog)+1);
    goto out;
  }
  for(i=0; i<nWhole && rc==SQLITE_OK; ){
    int nOne = 1;
    while( p->pLog ? repGet4(apFrame[i+nOne-1]+20)==0 : nOne<nWhole ) nOne++;
    rc = injFlush(p, pBt, apFrame+i, nOne, repGet4(apFrame[i+nOne-1]+20), &zMsg);
    if( rc==SQLITE_OK ) rc = injCommitted(p, pBt, n, &zMsg);
    i += nOne;
  }
  for(i=nWhole; i<n && rc==SQLITE_OK; i++){
    rc = injHold(p, apFrame[i]);
    if( rc==SQLITE_OK && p->nHeld==INJ_ROOM ) rc = injFlush(p, pBt, 0, 0, 0, &zMsg);
  }
  if( rc==SQLITE_OK ){
    out->taken = n;
    out->last = iExpected + n - 1;
    if( nWhole ) out->committed = iExpected + nWhole - 1;
    p->iNext = p->iHeld = iExpected + n;
  }
out:
  return injLeave(p, pBt, rc, zMsg, zText, error);
}

int lsc_injector_snapshot(
  lsc_injector *p, const unsigned char *const *apFrame, int n, int begin, sqlite3_int64 iExpected,
  lsc_injected *out, lsc_error *error
){
  Btree *pBt;
  const char *zMsg = 0;
  char *zText = 0;
  u32 nAfter = 0;
  int i, rc = SQLITE_OK;
  out->taken = 0;
  out->last = out->committed = -1;
  if( p->db==0 ) return injError(error, SQLITE_MISUSE, sqlite3_mprintf("the injector is closed"));
  pBt = lscMainEnter(p->db);
  if( begin ) injForget(p, pBt);
  if( p->pSeen==0 && (p->pSeen = sqlite3BitvecCreate(0xfffffffe))==0 ) rc = SQLITE_NOMEM_BKPT;
  for(i=0; i<n && rc==SQLITE_OK; i++){
    const u8 *a = apFrame[i];
    i64 iFrame = (i64)repGet8(a);
    Pgno pgno = repGet4(a+16);
    if( nAfter ) zText = sqlite3_mprintf("frame %lld comes behind the end of the snapshot", iFrame);
    else if( iFrame<iExpected ) zText = sqlite3_mprintf("frame %lld is older than %lld", iFrame, iExpected);
    else if( p->iSnapshot>=0 && iFrame>=p->iBefore ){
      zText = sqlite3_mprintf("frame %lld comes behind frame %lld in a snapshot", iFrame, p->iBefore);
    }else{
      zText = injFault(a);
    }
    if( zText ) goto out;
    if( p->iSnapshot<0 ) p->iSnapshot = iFrame;
    p->iBefore = iFrame;
    nAfter = repGet4(a+20);
    if( !sqlite3BitvecTest(p->pSeen, pgno) ){
      rc = sqlite3BitvecSet(p->pSeen, pgno);
      if( rc==SQLITE_OK && p->nHeld==INJ_ROOM ) rc = injFlush(p, pBt, 0, 0, 0, &zMsg);
      if( rc==SQLITE_OK ) rc = injHold(p, a);
    }
  }
  if( rc==SQLITE_OK && nAfter ){
    i64 iSnapshot = p->iSnapshot;
    rc = injFlush(p, pBt, 0, 0, nAfter, &zMsg);
    if( rc==SQLITE_OK ) rc = injCommitted(p, pBt, INJ_BULK, &zMsg);
    if( rc==SQLITE_OK ){
      injForget(p, pBt);
      out->committed = iSnapshot;
    }
  }
  if( rc==SQLITE_OK && n>0 ){
    out->taken = n;
    out->last = (i64)repGet8(apFrame[0]);
  }
out:
  return injLeave(p, pBt, rc, zMsg, zText, error);
}

/* A connection for frames to be written through; pLog: what logs them, or NULL. */
static int injConnect(const char *zPath, const lsc_key *pKey, lsc_replog *pLog, sqlite3 **ppDb, lsc_error *error){
  sqlite3 *db = 0;
  int bUri = sqlite3_strnicmp(zPath, "file:", 5)==0;
  int rc = sqlite3_open_v2(zPath, &db, SQLITE_OPEN_READWRITE|SQLITE_OPEN_CREATE|(bUri ? SQLITE_OPEN_URI : 0), 0);
  if( rc==SQLITE_OK && pKey->key ){
    rc = lsc_codec_open(db, "main", pKey->cipher, pKey->key, pKey->n, pKey->is_raw);
  }
  if( rc==SQLITE_OK ){
    if( db->pLsc ) db->pLsc->pReplog = pLog;
    sqlite3_busy_timeout(db, 5000);
    (void)sqlite3_wal_autocheckpoint(db, 0);
    rc = sqlite3_exec(db, "PRAGMA journal_mode=wal; PRAGMA synchronous=normal; PRAGMA schema_version", 0, 0, 0);
  }
  if( rc!=SQLITE_OK ){
    if( db ) lscKeepError(db, rc, error);
    else error->code = SQLITE_NOMEM;
    sqlite3_close(db);
    return rc;
  }
  *ppDb = db;
  return SQLITE_OK;
}

int lsc_injector_open(
  lsc_injector **pp, const char *zPath, const lsc_key *pKey, int nCheckpoint, lsc_replog *pLog, lsc_error *error
){
  lsc_injector *p;
  int rc = sqlite3_initialize();
  *pp = 0;
  if( rc==SQLITE_OK && (p = sqlite3MallocZero(sizeof(*p)))!=0 ){
    repTableInit();
    p->nCheckpoint = nCheckpoint;
    p->iSnapshot = p->iNext = p->iHeld = -1;
    p->pLog = pLog;
    rc = injConnect(zPath, pKey, pLog, &p->db, error);
    if( rc==SQLITE_OK ) *pp = p;
    else sqlite3_free(p);
    return rc;
  }
  error->code = rc==SQLITE_OK ? SQLITE_NOMEM : rc;
  return error->code;
}

void lsc_injector_close(lsc_injector *p){
  if( p==0 ) return;
  lsc_injector_rollback(p);
  sqlite3_close_v2(p->db);
  sqlite3_free(p->aHeld);
  sqlite3_free(p);
}
