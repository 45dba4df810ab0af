/*
** kept.c: decoded pages beside the page cache. Included by engine.c.
**
** A plain page that the page cache has dropped comes back from the system's own cache at the price of a copy; one that
** must be decoded costs two or three times that. So a codec keeps decoded pages, LSC_KEPT bytes of them and
** LSC_KEPT_ALL in the process, each in the one place that its number gives. Pages that a scan reads in their order are
** not kept.
**
** They are what the file and the log hold for the pager's snapshot: Pager.iDataVersion says which that is. Pages are
** taken in only while the pager reads, and dropped when the pager itself writes them; its own commit then changes no
** other.
*/
#define LSC_KEPT (16<<20)
#define LSC_KEPT_ALL (64<<20)
#define KEPT_BLOCK 65536

static i64 nLscKept = 0;                  /* atomic: bytes in all codecs */

static void keptFree(LscCodec *p){
  LscKept *k = &p->kept;
  int i;
  for(i=0; k->apBlock && i<LSC_KEPT/KEPT_BLOCK; i++){
    if( k->apBlock[i]==0 ) continue;
    sqlite3_free(k->apBlock[i]);
    __atomic_fetch_sub(&nLscKept, KEPT_BLOCK, __ATOMIC_RELAXED);
  }
  sqlite3_free(k->apBlock);
  sqlite3_free(k->aPgno);
  memset(k, 0, sizeof(*k));
}

/* Where a page is; NULL if it is not. */
static u8 *keptFind(Pager *pPager, Pgno pgno){
  LscKept *k = &pPager->pLscCodec->kept;
  u32 i = pgno & k->iMask;
  if( k->aPgno==0 || k->iVersion!=pPager->iDataVersion || k->nPage!=pPager->pageSize || k->aPgno[i]!=pgno ) return 0;
  return k->apBlock[i>>k->nShift] + (size_t)(i & ((1u<<k->nShift)-1))*(size_t)k->nPage;
}

static int lsc_page_kept(PgHdr *pPg){
  const u8 *a = keptFind(pPg->pPager, pPg->pgno);
  if( a==0 ) return 0;
  memcpy(pPg->pData, a, (size_t)pPg->pPager->pageSize);
  return 1;
}

/* A table for pages of the pager's size. */
static int keptStart(Pager *pPager){
  LscKept *k = &pPager->pLscCodec->kept;
  u32 n = LSC_KEPT/(u32)pPager->pageSize;
  keptFree(pPager->pLscCodec);
  k->aPgno = sqlite3MallocZero(n*sizeof(Pgno));
  k->apBlock = sqlite3MallocZero(LSC_KEPT/KEPT_BLOCK*sizeof(u8*));
  if( k->aPgno==0 || k->apBlock==0 ){
    keptFree(pPager->pLscCodec);
    return 0;
  }
  k->iMask = n-1;
  k->nPage = pPager->pageSize;
  for(k->nShift=0; (k->nPage<<k->nShift)<KEPT_BLOCK; k->nShift++){}
  k->iVersion = pPager->iDataVersion;
  return 1;
}

/* A page was decoded. Nobody needs to know whether it is kept. */
static void lscPageKeep(Pager *pPager, Pgno pgno, const u8 *aPage){
  LscKept *k = &pPager->pLscCodec->kept;
  u32 i;
  int bBlock = 1;
  if( pPager->eState!=PAGER_READER || pgno==1 || pPager->lscAhead.nRun>=AHEAD_RUN ) return;
  sqlite3BeginBenignMalloc();
  if( k->nPage!=pPager->pageSize && !keptStart(pPager) ) goto out;
  if( k->iVersion!=pPager->iDataVersion ){
    memset(k->aPgno, 0, ((size_t)k->iMask+1)*sizeof(Pgno));
    k->iVersion = pPager->iDataVersion;
  }
  i = pgno & k->iMask;
  if( k->apBlock[i>>k->nShift]==0 ){
    bBlock = __atomic_load_n(&nLscKept, __ATOMIC_RELAXED)<LSC_KEPT_ALL && !sqlite3HeapNearlyFull();
    if( bBlock ) k->apBlock[i>>k->nShift] = sqlite3_malloc(KEPT_BLOCK);
    bBlock = k->apBlock[i>>k->nShift]!=0;
    if( bBlock ) __atomic_fetch_add(&nLscKept, KEPT_BLOCK, __ATOMIC_RELAXED);
  }
  if( bBlock ){
    k->aPgno[i] = pgno;
    memcpy(keptFind(pPager, pgno), aPage, (size_t)k->nPage);
  }
out:
  sqlite3EndBenignMalloc();
}

/* As much memory as can be is to be freed. */
static void lsc_shrink(Pager *pPager){
  if( pPager->pLscCodec==0 ) return;
  keptFree(pPager->pLscCodec);
  lscAheadFree(pPager->pLscCodec);
}

/* The pager writes a page. */
static void keptDrop(LscCodec *p, Pgno pgno){
  LscKept *k = &p->kept;
  if( k->aPgno && k->aPgno[pgno & k->iMask]==pgno ) k->aPgno[pgno & k->iMask] = 0;
}

/* The pager has committed. */
static void lscKeptCommitted(Pager *pPager){
  LscCodec *p = pPager->pLscCodec;
  if( p && p->kept.aPgno && p->kept.iVersion+1==pPager->iDataVersion ) p->kept.iVersion++;
}
