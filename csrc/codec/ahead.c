/*
** ahead.c: a file with a codec that is read from front to back: a thread decodes what comes next. Included by engine.c.
**
** While the pager's caller uses one block of decoded pages, a thread of core/pool.c reads and decodes the block behind
** it, with contexts of its own (a codec with the same keys). If there is no thread in time the caller does it. When the
** blocks are good for use is what core/read_ahead.c says of its buffer; in addition the thread is waited for before the
** pager gives its lock away or writes to the file. A page that cannot be read or decoded there is left to the usual
** way, which finds the error.
*/
#if SQLITE_OS_UNIX
#define CODED_BYTES 262144
#define CODED_PAGES 64

struct LscAhead {
  Pager *pPager;
  LscCodec *pCodec;                 /* owned: the thread's */
  PoolJob job;
  u8 bRunning;                      /* the job was begun and not waited for */
  int iNow;                         /* the block in use; the job fills the other */
  u32 iVersion;                     /* Pager.iDataVersion of both */
  u32 nNext;                        /* pages of the next block */
  struct {
    u8 *a;                          /* owned */
    Pgno first;
    u32 n;
    u64 bad;                        /* a bit for each page that is not there */
  } aBlock[2];
};

static void codedFill(void *pArg){
  LscAhead *p = pArg;
  const i64 nPage = p->pPager->pageSize;
  int iBlock = 1-p->iNow, n = (int)p->aBlock[iBlock].n, nRead = (int)(AHEAD_BYTES/nPage), nHave = 0, i;
  Pgno first = p->aBlock[iBlock].first;
  u8 *a = p->aBlock[iBlock].a;
  u64 bad = 0;
  for(i=0; i<n; i++){
    if( i==nHave ){
      /* The system is asked for no more at once. */
      nHave = MIN(n, nHave+nRead);
      if( sqlite3OsRead(p->pPager->fd, a+i*nPage, (int)((nHave-i)*nPage), (first+(Pgno)i-1)*nPage)!=SQLITE_OK ){
        bad |= ~(u64)0<<i;
        break;
      }
    }
    if( lscCodecDecode(p->pCodec, first+(Pgno)i, a+i*nPage, (int)nPage)!=SQLITE_OK ) bad |= (u64)1<<i;
  }
  p->aBlock[iBlock].bad = bad;
}

/* The other block is filled, by the thread or now. */
static void codedWait(LscAhead *p, int bFill){
  if( !p->bRunning ) return;
  p->bRunning = 0;
  if( !lscPoolWait(&p->job) && bFill ) codedFill(p);
}

static void lscAheadStop(LscCodec *p){
  if( p->pAhead==0 ) return;
  codedWait(p->pAhead, 0);
  p->pAhead->aBlock[0].n = p->pAhead->aBlock[1].n = 0;
}

static void lscAheadFree(LscCodec *p){
  if( p->pAhead==0 ) return;
  lscAheadStop(p);
  lscCodecFree(p->pAhead->pCodec);
  sqlite3_free(p->pAhead->aBlock[0].a);
  sqlite3_free(p->pAhead->aBlock[1].a);
  sqlite3_free(p->pAhead);
  p->pAhead = 0;
}

static LscAhead *codedStart(Pager *pPager){
  LscCodec *pFrom = pPager->pLscCodec;
  LscAhead *p;
  sqlite3BeginBenignMalloc();
  p = sqlite3MallocZero(sizeof(*p));
  if( p ){
    pFrom->pAhead = p;
    p->pPager = pPager;
    p->aBlock[0].a = sqlite3_malloc(CODED_BYTES);
    p->aBlock[1].a = sqlite3_malloc(CODED_BYTES);
    p->pCodec = lscCodecTwin(pFrom);
    if( p->aBlock[0].a==0 || p->aBlock[1].a==0 || p->pCodec==0 ) lscAheadFree(pFrom);
  }
  sqlite3EndBenignMalloc();
  return pFrom->pAhead;
}

/* The block behind the one in use. */
static void codedBegin(LscAhead *p, Pgno first){
  Pager *pPager = p->pPager;
  int iBlock = 1-p->iNow;
  p->aBlock[iBlock].n = first<pPager->dbSize ? MIN(p->nNext, pPager->dbSize-first+1) : 0;
  p->aBlock[iBlock].first = first;
  if( p->aBlock[iBlock].n==0 ) return;
  if( p->nNext<CODED_PAGES && 2*p->nNext*(u32)pPager->pageSize<=CODED_BYTES ) p->nNext *= 2;
  p->bRunning = 1;
  lscPoolBegin(&p->job, codedFill, p);
}

/* Page pgno of a run in order, decoded: 1. 0: it has to be read. */
static int lscCodedRead(Pager *pPager, Pgno pgno, u8 *aPage){
  LscCodec *pCodec = pPager->pLscCodec;
  LscAhead *p = pCodec->pAhead;
  const i64 nPage = pPager->pageSize;
  u32 i;
  if( lscPoolSize()<2 || !pCodec->bKeys || pCodec->pOld || (p==0 && (p = codedStart(pPager))==0) ) return 0;
  if( p->iVersion!=pPager->iDataVersion ){
    lscAheadStop(pCodec);
    p->iVersion = pPager->iDataVersion;
  }
  if( pgno-p->aBlock[p->iNow].first>=p->aBlock[p->iNow].n ){
    int iBlock = 1-p->iNow;
    if( pgno-p->aBlock[iBlock].first>=p->aBlock[iBlock].n ){
      lscAheadStop(pCodec);
      p->nNext = (u32)(AHEAD_BYTES/nPage);
      codedBegin(p, pgno+1);
      return 0;
    }
    codedWait(p, 1);
    p->iNow = iBlock;
    codedBegin(p, p->aBlock[iBlock].first+p->aBlock[iBlock].n);
  }
  i = pgno - p->aBlock[p->iNow].first;
  if( p->aBlock[p->iNow].bad>>i & 1 ) return 0;
  memcpy(aPage, p->aBlock[p->iNow].a + i*nPage, (size_t)nPage);
  pCodec->iDone = pgno;
  return 1;
}
#else
static void lscAheadStop(LscCodec *p){ (void)p; }
static void lscAheadFree(LscCodec *p){ (void)p; }
#endif

/* The pager gives its lock away. */
static void lsc_ahead_end(Pager *pPager){
  pPager->lscAhead.n = 0;
  if( pPager->pLscCodec ) lscAheadStop(pPager->pLscCodec);
}
