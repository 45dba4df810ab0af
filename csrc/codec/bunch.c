/*
** bunch.c: dirty pages on their way to the file or the log, encoded several at a time. Included by engine.c.
**
** A list is encoded into one buffer, LSC_BUNCH pages at once, by the caller and a thread of core/pool.c, which has a
** codec of its own with the same keys. In front of each page is room for the header of a frame, so that a frame is one
** write, not two.
**
** SQLite's cache gives up dirty pages one by one when it is full. Here the pages that would be next go with the first.
*/
#define BUNCH_THREADS 8                   /* pages that are worth a thread */
#define BUNCH_ROOM 24                     /* the header of a frame */

typedef struct BunchWork BunchWork;
struct BunchWork {
  PgHdr **apPg;
  u8 *a;
  int nPage, n;
  int iNext;                              /* atomic: the next page */
  int rc;                                 /* atomic: what one of them gave that was not SQLITE_OK */
};
typedef struct BunchArg BunchArg;
struct BunchArg { LscCodec *p; BunchWork *pWork; };

static u8 *bunchPage(LscCodec *p, int nPage, int i){
  return p->bunch.a + (size_t)i*(size_t)(nPage+BUNCH_ROOM) + BUNCH_ROOM;
}

static void bunchRun(void *pArg){
  LscCodec *p = ((BunchArg*)pArg)->p;
  BunchWork *w = ((BunchArg*)pArg)->pWork;
  int i, rc;
  while( (i = __atomic_fetch_add(&w->iNext, 1, __ATOMIC_RELAXED))<w->n ){
    PgHdr *pPg = w->apPg[i];
    rc = p->pCipher->xEncode(p, pPg->pgno, pPg->pData, w->a + (size_t)i*(size_t)(w->nPage+BUNCH_ROOM), w->nPage);
    if( rc!=SQLITE_OK ) __atomic_store_n(&w->rc, rc, __ATOMIC_RELAXED);
  }
}

/* Whether a thread is of use, and has a codec. */
static int bunchThread(LscCodec *p){
  if( lscPoolSize()<2 || p->pCipher==&lscTemp || p->pCipher==&lscPlain ) return 0;
  if( p->bunch.pTwin==0 ){
    sqlite3BeginBenignMalloc();
    p->bunch.pTwin = lscCodecTwin(p);
    sqlite3EndBenignMalloc();
  }
  return p->bunch.pTwin!=0;
}

/* The first n of p->bunch.apPg become bunchPage(0) to bunchPage(n-1). */
static int bunchEncode(LscCodec *p, int nPage, int n){
  LscBunch *b = &p->bunch;
  i64 nByte = (i64)n*(nPage+BUNCH_ROOM);
  BunchWork work;
  BunchArg aArg[2];
  int rc = lscCodecReady(p);
  if( rc!=SQLITE_OK ) return codecWriteError(rc);
  if( b->nByte<nByte ){
    sqlite3_free(b->a);
    b->a = sqlite3_malloc64((u64)nByte);
    b->nByte = b->a ? nByte : 0;
    if( b->a==0 ) return SQLITE_NOMEM_BKPT;
  }
  memset(&work, 0, sizeof(work));
  work.apPg = b->apPg;
  work.a = bunchPage(p, nPage, 0);
  work.nPage = nPage;
  work.n = n;
  aArg[0].pWork = aArg[1].pWork = &work;
  aArg[0].p = p;
  if( n<BUNCH_THREADS || !bunchThread(p) ){
    bunchRun(aArg);
  }else{
    aArg[1].p = b->pTwin;
    lscPoolRun(bunchRun, aArg, sizeof(aArg[0]), 2);
  }
  return codecWriteError(work.rc);
}

/* A list of pages is about to be written. */
static void lsc_write_list(Pager *pPager){
  if( pPager->pLscCodec==0 ) return;
  pPager->pLscCodec->bunch.n = 0;
  lscAheadStop(pPager->pLscCodec);
}

/* The page of a list as the file will hold it, those behind it are made ready; NULL with *pRc set if it cannot be. */
static char *lsc_file_page(Pager *pPager, PgHdr *pPg, int *pRc){
  LscCodec *p = pPager->pLscCodec;
  LscBunch *b;
  if( p==0 ) return pPg->pData;
  b = &p->bunch;
  if( b->i>=b->n || b->apPg[b->i]!=pPg ){
    PgHdr *pNext;
    b->i = b->n = 0;
    /* Page 1 is made up just before it is written. */
    for(pNext=pPg; pNext && b->n<LSC_BUNCH && (pNext->pgno>1 || b->n==0); pNext=pNext->pDirty){
      if( pNext->pgno<=pPager->dbSize && 0==(pNext->flags & PGHDR_DONT_WRITE) ) b->apPg[b->n++] = pNext;
    }
    *pRc = bunchEncode(p, pPager->pageSize, b->n);
    if( *pRc!=SQLITE_OK ){
      b->n = 0;
      return 0;
    }
  }
  keptDrop(p, pPg->pgno);
  if( p->pDone ) *pRc = sqlite3BitvecSet(p->pDone, pPg->pgno);
  return *pRc==SQLITE_OK ? (char*)bunchPage(p, pPager->pageSize, b->i++) : 0;
}

/* The cache asks for the page's place. */
static int lsc_stress(PCache *pCache, PgHdr *pPg){
  LscCodec *p = ((Pager*)pCache->pStress)->pLscCodec;
  int rc;
  if( p ) p->bunch.bSpill = 1;
  rc = pCache->xStress(pCache->pStress, pPg);
  if( p ) p->bunch.bSpill = 0;
  return rc;
}

/* A page of the cache's is written to the file. Unlike there, pages without use that may be written, too, go along; the
** caller makes pPg clean, they are made so here. */
static int lsc_spill(Pager *pPager, PgHdr *pPg){
  LscCodec *p = pPager->pLscCodec;
  PgHdr *apPg[LSC_BUNCH], *pNext;
  int n = 1, i, rc;
  if( p==0 || !p->bunch.bSpill || !p->bKeys || !bunchThread(p) ) return pager_write_pagelist(pPager, pPg);
  apPg[0] = pPg;
  for(pNext=pPager->pPCache->pDirtyTail; pNext && n<LSC_BUNCH; pNext=pNext->pDirtyPrev){
    if( pNext==pPg || pNext->nRef || pNext->flags & (PGHDR_NEED_SYNC|PGHDR_DONT_WRITE) ) continue;
    apPg[n-1]->pDirty = pNext;
    apPg[n++] = pNext;
  }
  apPg[n-1]->pDirty = 0;
  rc = pager_write_pagelist(pPager, pcacheSortDirtyList(pPg));
  for(i=1; i<n && rc==SQLITE_OK; i++) sqlite3PcacheMakeClean(apPg[i]);
  return rc;
}

/* Puts the header in front of a page that has room for it: 1. */
static int lsc_frame_room(PgHdr *pPg, const u8 *aFrame){
  u8 *aRoom = (u8*)pPg->pData - BUNCH_ROOM;
  if( pPg->pExtra!=aRoom ) return 0;
  memcpy(aRoom, aFrame, BUNCH_ROOM);
  return 1;
}

/* Pages on their way to the log. */
static int lscCodecFrames(
  LscCodec *p, Wal *pWal, int szPage, PgHdr *pList, Pgno nTruncate, int isCommit, int syncFlags
){
  PgHdr aPg[LSC_BUNCH];
  int n, i, rc = SQLITE_OK;
  p->bunch.n = 0;
  while( rc==SQLITE_OK && pList ){
    for(n=0; n<LSC_BUNCH && pList; n++, pList=pList->pDirty){
      p->bunch.apPg[n] = pList;
      keptDrop(p, pList->pgno);
    }
    rc = bunchEncode(p, szPage, n);
    for(i=0; i<n && rc==SQLITE_OK; i++){
      aPg[i] = *p->bunch.apPg[i];
      aPg[i].pData = bunchPage(p, szPage, i);
      aPg[i].pExtra = bunchPage(p, szPage, i) - BUNCH_ROOM;
      aPg[i].pDirty = i+1<n ? &aPg[i+1] : 0;
    }
    if( rc==SQLITE_OK ){
      rc = lscLogFrames(pWal, szPage, aPg, pList ? 0 : nTruncate, isCommit && pList==0, syncFlags);
    }
  }
  return rc;
}
