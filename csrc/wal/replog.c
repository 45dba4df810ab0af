/*
** replog.c: the log of the frames that transactions write, for replicas: files, append, commit, undo, reading. Formats:
** replication.h. Included by engine.c.
**
** Frames are written before SQLite's own log has them, and synced first wherever that is synced: by each commit if
** `synchronous` asks for it, and by a checkpoint. So after a crash this log has all that the database has, or the
** database's log tells what is missing (replog_open.c). What it has too much is one transaction that nobody heard of.
** The number of frames in the header is a lower bound while the log is open.
**
** Locks: appending and committing happen under SQLite's write lock, so one transaction at a time is pending. The mutex of
** the log guards everything in lsc_replog; it is held for a write, never for a read of the file: readers count themselves
** in RepFile. It is innermost.
*/
#define REP_BUNCH 31                  /* frames read or written at a time: the VFS takes less than 128 KiB */
#define REP_TIMES 128                 /* commits whose time is known */
#define REP_WALLOG "wallog"

/* One file of frames. */
typedef struct RepFile {
  sqlite3_file *pFd;                  /* owned */
  i64 iFirst;                         /* number of its first frame */
  int nRef;
} RepFile;

struct lsc_replog {
  sqlite3_mutex *mutex;               /* owned */
  sqlite3_vfs *pVfs;
  char *zFolder;                      /* owned: absolute */
  RepFile *pFile;                     /* owned: wallog; NULL: closed */
  u64 firstSum;                       /* the first checksum of wallog */
  u8 aId[16];                         /* the UUID, its bytes in their order */
  volatile i64 iLast;                 /* last committed frame, -1: none */
  u64 sum;                            /* its checksum */
  i64 iHeader;                        /* the last frame that the header tells of, -2: not known */
  u32 nPage;                          /* pages of the database behind it */
  u32 nPending;                       /* frames behind iLast that no commit has confirmed */
  u64 sumPending;                     /* checksum of the last of them */
  u32 nPageNext;                      /* not 0: the last of them ends the transaction */
  u8 *aBuf;                           /* owned: REP_BUNCH frames; whose pages aPg[] may be */
  PgHdr aPg[REP_BUNCH];
  i64 msBegan;
  int bRebuilt;
  struct { i64 iFrame, ms; } aTime[REP_TIMES];  /* of frame n at n%REP_TIMES only by chance: iFrame tells */
  u32 iTime;                          /* commits so far */
  LscCodec *pCodec;                   /* owned: the key, or NULL */
};

static i64 repOffset(const RepFile *p, i64 iFrame){ return LSC_LOG_HEADER + (iFrame-p->iFirst)*LSC_LOG_FRAME; }

/* Files are opened as what needs no lock and, once made, has its folder synced. */
static int repOpenFile(sqlite3_vfs *pVfs, const char *zPath, int bNew, sqlite3_file **pp){
  int flags = SQLITE_OPEN_SUPER_JOURNAL|SQLITE_OPEN_READWRITE|(bNew ? SQLITE_OPEN_CREATE : 0);
  return sqlite3OsOpenMalloc(pVfs, zPath, pp, flags, 0);
}

static void repCloseFile(sqlite3_file *pFd){
  if( pFd ) sqlite3OsCloseFree(pFd);
}

/* A path in the folder, for the VFS: it ends with two NULs. NULL: out of memory. */
static char *repPath(const char *zFolder, const char *zName){
  return sqlite3_mprintf("%s/%s%c", zFolder, zName, 0);
}

static i64 repNow(sqlite3_vfs *pVfs){
  sqlite3_int64 ms = 0;
  if( sqlite3OsCurrentTimeInt64(pVfs, &ms)!=SQLITE_OK ) return 0;
  return ms - (i64)24405875*8640000;
}

static void repHeader(u8 *a, const u8 *aId, i64 iFirst, u64 sum, i64 nFrame){
  int i;
  memset(a, 0, LSC_LOG_HEADER);
  memcpy(a, "SQLDWAL", 8);
  repPut8(a+8, sum);
  for(i=0; i<16; i++) a[16+i] = aId[15-i];
  repPut8(a+32, (u64)iFirst);
  repPut8(a+40, (u64)nFrame);
  repPut4(a+48, 2);
  repPut4(a+52, LSC_LOG_PAGE);
  a[58] = 0;
  a[60] = 24;                         /* the sqld whose format it is: 0.24.32 */
  a[62] = 32;
}

/* Under the mutex: the header for frames up to iLast, which are synced. */
static int repWriteHeader(lsc_replog *p, i64 iLast){
  u8 a[LSC_LOG_HEADER];
  int rc;
  repHeader(a, p->aId, p->pFile->iFirst, p->firstSum, iLast+1-p->pFile->iFirst);
  rc = sqlite3OsWrite(p->pFile->pFd, a, LSC_LOG_HEADER, 0);
  if( rc==SQLITE_OK ) p->iHeader = iLast;
  return rc;
}

static void repUnref(lsc_replog *p, RepFile *pFile){
  int nRef;
  sqlite3_mutex_enter(p->mutex);
  nRef = --pFile->nRef;
  sqlite3_mutex_leave(p->mutex);
  if( nRef==0 ){
    repCloseFile(pFile->pFd);
    sqlite3_free(pFile);
  }
}

/* Under the mutex: there is no wallog any more, commits fail. */
static void repDropFile(lsc_replog *p){
  if( --p->pFile->nRef==0 ){
    repCloseFile(p->pFile->pFd);
    sqlite3_free(p->pFile);
  }
  p->pFile = 0;
}

/* Encrypt or decrypt a page in place. Under the mutex of whom the codec belongs to. */
static int repCrypt(LscCodec *p, u8 *aPage, int bEncrypt){
  static const u8 aIv[16] = {
    0x40,0x51,0x02,0xf6,0x8d,0xda,0x75,0x16,0xb1,0x7f,0xd3,0xf7,0x5f,0x63,0x96,0x07
  };
  void *pCtx = bEncrypt ? p->pEnc : p->pDec;
  return cbcRun(pCtx, p->keys.aKey, aIv, aPage, aPage, LSC_LOG_PAGE, bEncrypt) ? SQLITE_OK : SQLITE_ERROR;
}

/* One frame at a. Its checksum is returned. */
static u64 repMakeFrame(u8 *a, i64 iFrame, u64 before, Pgno pgno, u32 nAfter, const u8 *aPage){
  u64 sum = repChecksum(before, aPage, LSC_LOG_PAGE);
  repPut8(a, (u64)iFrame);
  repPut8(a+8, sum);
  repPut4(a+16, pgno);
  repPut4(a+20, nAfter);
  memcpy(a+24, aPage, LSC_LOG_PAGE);
  return sum;
}

/* What the pager is about to write into SQLite's log; nAfter is not 0 for a commit. */
static int repAppend(lsc_replog *p, PgHdr *pList, u32 nAfter){
  i64 iFrame;
  int n = 0, rc = SQLITE_OK;
  PgHdr *pPg;
  if( p->pFile==0 ) return SQLITE_IOERR_WRITE;
  if( p->aBuf==0 && (p->aBuf = sqlite3_malloc64(REP_BUNCH*LSC_LOG_FRAME))==0 ) return SQLITE_IOERR_NOMEM_BKPT;
  iFrame = p->iLast + 1 + p->nPending;
  if( p->nPending==0 ) p->sumPending = p->sum;
  for(pPg=pList; pPg && rc==SQLITE_OK; pPg=pPg->pDirty){
    u8 *a = p->aBuf + n*LSC_LOG_FRAME;
    p->sumPending = repMakeFrame(a, iFrame+n, p->sumPending, pPg->pgno, pPg->pDirty ? 0 : nAfter, pPg->pData);
    if( p->pCodec ) rc = repCrypt(p->pCodec, a+24, 1);
    n++;
    if( rc==SQLITE_OK && (n==REP_BUNCH || pPg->pDirty==0) ){
      rc = sqlite3OsWrite(p->pFile->pFd, p->aBuf, n*LSC_LOG_FRAME, repOffset(p->pFile, iFrame));
      iFrame += n;
      p->nPending += (u32)n;
      n = 0;
    }
  }
  p->nPageNext = nAfter;
  return rc;
}

/* Forget pending frames beyond the first n. A whole transaction must not be found by the next one to open the log. */
static void repForget(lsc_replog *p, u32 n){
  if( p->nPending<=n || p->pFile==0 ) return;
  if( p->nPageNext ){
    u8 a[24];
    memset(a, 0xff, sizeof(a));
    (void)sqlite3OsWrite(p->pFile->pFd, a, sizeof(a), repOffset(p->pFile, p->iLast+1+n));
  }
  p->nPageNext = 0;
  p->nPending = n;
  if( n>0 ){
    u8 a[16];
    /* A savepoint is rare enough to read the checksum again. When that fails, so will what is appended. */
    if( sqlite3OsRead(p->pFile->pFd, a, 16, repOffset(p->pFile, p->iLast+n))==SQLITE_OK ){
      p->sumPending = repGet8(a+8);
    }else{
      p->nPending = 0;
      repDropFile(p);
    }
  }
}

/*
** The pages *ppList go into the log. A few of them have a copy then with room for a header in front, so that SQLite's
** log is written in half as many calls (lsc_frame_room()): *ppList becomes that.
*/
static int lscReplogFrames(lsc_replog *p, int szPage, PgHdr **ppList, u32 nAfter, int bSync){
  PgHdr *pList = *ppList, *pPg;
  sqlite3_file *pFd = 0;
  int rc, n = 0;
  if( szPage!=LSC_LOG_PAGE ) return SQLITE_ERROR;
  sqlite3_mutex_enter(p->mutex);
  rc = repAppend(p, pList, nAfter);
  if( rc!=SQLITE_OK ) repForget(p, 0);
  else pFd = p->pFile->pFd;
  sqlite3_mutex_leave(p->mutex);
  /* While frames are pending the file stays. */
  if( rc==SQLITE_OK && bSync ) rc = sqlite3OsSync(pFd, SQLITE_SYNC_NORMAL|SQLITE_SYNC_DATAONLY);
  for(pPg=pList; pPg && n<=REP_BUNCH; pPg=pPg->pDirty) n++;
  if( rc==SQLITE_OK && n<=REP_BUNCH && p->pCodec==0 ){
    for(n=0, pPg=pList; pPg; pPg=pPg->pDirty, n++){
      u8 *a = p->aBuf + n*LSC_LOG_FRAME;
      p->aPg[n] = *pPg;
      p->aPg[n].pExtra = a;
      p->aPg[n].pData = a + 24;
      p->aPg[n].pDirty = pPg->pDirty ? &p->aPg[n+1] : 0;
    }
    *ppList = p->aPg;
  }
  return rc;
}

/* SQLite's log has the transaction, or it has failed. */
static void lscReplogEnd(lsc_replog *p, int bCommitted){
  sqlite3_mutex_enter(p->mutex);
  if( bCommitted ){
    p->aTime[p->iTime%REP_TIMES].iFrame = p->iLast + p->nPending;
    p->aTime[p->iTime%REP_TIMES].ms = repNow(p->pVfs);
    p->iTime++;
    p->sum = p->sumPending;
    p->nPage = p->nPageNext;
    p->iLast += p->nPending;
    p->nPending = 0;
    p->nPageNext = 0;
  }else{
    repForget(p, 0);
  }
  sqlite3_mutex_leave(p->mutex);
}

static u32 lscReplogPending(lsc_replog *p){
  u32 n;
  sqlite3_mutex_enter(p->mutex);
  n = p->nPending;
  sqlite3_mutex_leave(p->mutex);
  return n;
}

static void lscReplogUndo(lsc_replog *p, u32 n){
  sqlite3_mutex_enter(p->mutex);
  repForget(p, n);
  sqlite3_mutex_leave(p->mutex);
}

/* Before a checkpoint makes durable what SQLite's log has. */
static int lscReplogSync(lsc_replog *p, int bSync){
  RepFile *pFile;
  i64 iLast;
  int rc = SQLITE_OK;
  sqlite3_mutex_enter(p->mutex);
  pFile = p->pFile;
  iLast = p->iLast;
  if( pFile && p->iHeader==iLast ) pFile = 0;
  if( pFile ) pFile->nRef++;
  sqlite3_mutex_leave(p->mutex);
  if( pFile ){
    if( bSync ) rc = sqlite3OsSync(pFile->pFd, SQLITE_SYNC_NORMAL);
    sqlite3_mutex_enter(p->mutex);
    if( rc==SQLITE_OK && pFile==p->pFile ) rc = repWriteHeader(p, iLast);
    sqlite3_mutex_leave(p->mutex);
    repUnref(p, pFile);
  }
  return rc;
}

void lsc_replog_state_of(lsc_replog *p, lsc_replog_state *out){
  memset(out, 0, sizeof(*out));
  sqlite3_mutex_enter(p->mutex);
  out->first = p->pFile ? p->pFile->iFirst : p->iLast + 1;
  out->last = p->iLast;
  out->pages = p->nPage;
  out->began = p->msBegan;
  out->rebuilt = p->bRebuilt;
  memcpy(out->id, p->aId, 16);
  sqlite3_mutex_leave(p->mutex);
}

sqlite3_int64 lsc_replog_last(lsc_replog *p){
#if SQLITE_PTRSIZE>=8
  return p->iLast;
#else
  i64 iLast;
  sqlite3_mutex_enter(p->mutex);
  iLast = p->iLast;
  sqlite3_mutex_leave(p->mutex);
  return iLast;
#endif
}

sqlite3_int64 lsc_replog_time(lsc_replog *p, sqlite3_int64 frame){
  i64 ms = 0;
  u32 i, n;
  sqlite3_mutex_enter(p->mutex);
  n = MIN(p->iTime, REP_TIMES);
  for(i=1; i<=n; i++){
    u32 k = (p->iTime-i)%REP_TIMES;
    if( p->aTime[k].iFrame<=frame ){
      if( p->aTime[k].iFrame==frame ) ms = p->aTime[k].ms;
      break;
    }
  }
  sqlite3_mutex_leave(p->mutex);
  return ms;
}

int lsc_replog_read(lsc_replog *p, sqlite3_int64 start, int n, unsigned char *out, int *n_read){
  RepFile *pFile;
  i64 iLast = -1;
  int rc = SQLITE_OK, i;
  *n_read = 0;
  sqlite3_mutex_enter(p->mutex);
  pFile = p->pFile;
  if( pFile==0 ) rc = SQLITE_MISUSE_BKPT;
  else if( start<pFile->iFirst ) rc = SQLITE_NOTFOUND;
  if( rc==SQLITE_OK ){
    pFile->nRef++;
    iLast = p->iLast;
  }
  sqlite3_mutex_leave(p->mutex);
  if( rc!=SQLITE_OK ) return rc;
  if( start+n>iLast+1 ) n = start>iLast ? 0 : (int)(iLast+1-start);
  for(i=0; i<n && rc==SQLITE_OK; ){
    int nNow = MIN(n-i, REP_BUNCH);
    rc = sqlite3OsRead(pFile->pFd, out+(i64)i*LSC_LOG_FRAME, nNow*LSC_LOG_FRAME, repOffset(pFile, start+i));
    i += nNow;
  }
  if( rc==SQLITE_OK && p->pCodec ){
    sqlite3_mutex_enter(p->mutex);
    for(i=0; i<n && rc==SQLITE_OK; i++) rc = repCrypt(p->pCodec, out+(i64)i*LSC_LOG_FRAME+24, 0);
    sqlite3_mutex_leave(p->mutex);
  }
  repUnref(p, pFile);
  if( rc==SQLITE_OK ) *n_read = n;
  return rc;
}

int lsc_replog_close(lsc_replog *p){
  RepFile *pFile;
  int rc = SQLITE_OK;
  sqlite3_mutex_enter(p->mutex);
  pFile = p->pFile;
  if( pFile ){
    repForget(p, 0);
    rc = sqlite3OsSync(pFile->pFd, SQLITE_SYNC_NORMAL);
    if( rc==SQLITE_OK ) rc = repWriteHeader(p, p->iLast);
    p->pFile = 0;
  }
  sqlite3_mutex_leave(p->mutex);
  if( pFile ) repUnref(p, pFile);
  return rc;
}

void lsc_replog_free(lsc_replog *p){
  if( p==0 ) return;
  (void)lsc_replog_close(p);
  lscCodecFree(p->pCodec);
  sqlite3_mutex_free(p->mutex);
  sqlite3_free(p->aBuf);
  sqlite3_free(p->zFolder);
  sqlite3_free(p);
}
