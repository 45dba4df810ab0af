/*
** read_ahead.c: pages of a database file that is read from front to back. Included by engine.c.
**
** Once a few pages were read in their order, one read brings the next AHEAD_BYTES into a buffer of the pager, and they
** are copied from there: a scan of a table that is larger than the page cache makes a sixteenth of the system calls.
**
** What the buffer holds is what the file holds, as far as the pager may ask for it: it is filled and used only in a read
** transaction, where nobody changes these pages (a page that the log holds comes from the log, and a checkpoint writes
** no other), and emptied when that ends (pager_unlock()) or the connection itself commits (Pager.iDataVersion). In
** exclusive mode transactions do not end, so there is none. Files of a VFS that is not SQLite's own are left alone: it
** may expect whole pages. The buffer belongs to the pager and has its locks.
*/
#define AHEAD_BYTES 65536
#define AHEAD_RUN 4                 /* pages in order before it begins */

static int aheadNone(Pager *pPager, Pgno pgno, u8 *aPage, i64 iOffset){
  int rc = sqlite3OsRead(pPager->fd, aPage, pPager->pageSize, iOffset);
  if( rc==SQLITE_IOERR_SHORT_READ && pPager->pLscCodec ) lscPageBehindEnd(pPager, pgno, aPage);
  return rc;
}

#if SQLITE_OS_UNIX
static int aheadFits(const Pager *p){
  return p->eState==PAGER_READER && !p->exclusiveMode && !p->tempFile && p->fd->pMethods->xRead==unixRead
      && p->pageSize<=AHEAD_BYTES/4;
}

/* Reads page pgno into aPage, as sqlite3OsRead() does. */
static int lsc_read_page(Pager *pPager, Pgno pgno, u8 *aPage, i64 iOffset){
  LscReadAhead *p = &pPager->lscAhead;
  const i64 nPage = pPager->pageSize;
  if( pPager->pLscCodec ){
    p->nRun = pgno-p->next<3 ? p->nRun+1 : 0;
    p->next = pgno+1;
    if( p->nRun>=AHEAD_RUN && aheadFits(pPager) && lscCodedRead(pPager, pgno, aPage) ) return SQLITE_OK;
    return aheadNone(pPager, pgno, aPage, iOffset);
  }
  if( pgno-p->first<p->n && p->iVersion==pPager->iDataVersion && aheadFits(pPager) ){
    memcpy(aPage, p->a + (pgno-p->first)*nPage, (size_t)nPage);
    p->next = pgno+1;
    return SQLITE_OK;
  }
  /* A page may be left out: one of the tree's upper levels, or one that the cache has. */
  p->nRun = pgno-p->next<3 ? p->nRun+1 : 0;
  p->next = pgno+1;
  if( p->nRun>=AHEAD_RUN && pgno<pPager->dbSize && aheadFits(pPager) ){
    u32 n = MIN((u32)(AHEAD_BYTES/nPage), pPager->dbSize-pgno+1);
    p->n = 0;
    if( p->a==0 ){
      sqlite3BeginBenignMalloc();
      p->a = sqlite3_malloc(AHEAD_BYTES);
      sqlite3EndBenignMalloc();
    }
    if( p->a && sqlite3OsRead(pPager->fd, p->a, (int)(n*nPage), iOffset)==SQLITE_OK ){
      p->first = pgno;
      p->n = n;
      p->iVersion = pPager->iDataVersion;
      memcpy(aPage, p->a, (size_t)nPage);
      return SQLITE_OK;
    }
  }
  return sqlite3OsRead(pPager->fd, aPage, (int)nPage, iOffset);
}
#else
static int lsc_read_page(Pager *pPager, Pgno pgno, u8 *aPage, i64 iOffset){
  return aheadNone(pPager, pgno, aPage, iOffset);
}
#endif
