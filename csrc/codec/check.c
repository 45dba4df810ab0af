/*
** check.c: whether the key is that of the file, before anything is written. Included by engine.c.
**
** A hot journal that is played back under the wrong key, or a log that is copied into the file, can end a database. So
** at the first lock of a pager, and whenever there is a hot journal, an image of page 1 must open under the key: the
** journal's if it has one (it is what the file will be), else the file's, else the last in the log. Without a key the
** image must be plain. What does not open is refused with SQLITE_NOTADB, before the journal or the log is.
**
** Here is also found out which cipher a file has, when none was named.
*/
typedef struct CheckImage CheckImage;
struct CheckImage {
  u8 *a;                                  /* LSC_PAGE_MAX bytes, and as many to try on */
  int n;                                  /* how many are there */
};

static const LscCipher *const apLscCipher[] = { &lscXaes, &lscCbc, &lscChacha, &lscSqlcipher };

/* The page size that a header says, if it can be one of a database; else 0. */
static int lscClearPageSize(const u8 *a){
  u32 n = ((u32)a[16]<<8) | ((u32)a[17]<<16);
  return n>=512 && n<=LSC_PAGE_MAX && (n & (n-1))==0 && a[21]==64 && a[22]==32 && a[23]==32 ? (int)n : 0;
}

/* Whether the image opens with the cipher that p has now. */
static int checkTry(Pager *pPager, LscCodec *p, const CheckImage *pImage){
  const LscCipher *pTry = p->pCipher;
  u8 *aTry = pImage->a + LSC_PAGE_MAX;
  int i, n, rc = SQLITE_NOTADB;
  if( !p->bKeys || (pTry->bSalted && memcmp(p->keys.aSalt, pImage->a, LSC_SALT)!=0) ){
    p->bKeys = 0;
    memcpy(p->keys.aSalt, pImage->a, LSC_SALT);
    rc = lscCodecDerive(p);
    if( rc!=SQLITE_OK ) return rc;
  }
  for(i=0, rc=SQLITE_NOTADB; rc==SQLITE_NOTADB && (n = pTry->xBegins(p, pImage->a, i))>0; i++){
    if( n>pImage->n ) continue;
    memcpy(aTry, pImage->a, (size_t)n);
    rc = pTry->xDecode(p, 1, aTry, n);
    if( rc==SQLITE_OK && lscClearPageSize(aTry)!=n ) rc = SQLITE_NOTADB;
    if( rc==SQLITE_OK ){
      u32 nPage = (u32)n;
      rc = sqlite3PagerSetPagesize(pPager, &nPage, aTry[20]);
    }
  }
  return rc;
}

/* SQLITE_OK: the image opens, and the pager's page size is right. SQLITE_NOTADB: it does not. */
static int checkFits(Pager *pPager, const CheckImage *pImage){
  LscCodec *p = pPager->pLscCodec;
  int i, rc = SQLITE_NOTADB;
  if( pImage->n<512 ) return SQLITE_NOTADB;
  if( p==0 ) return memcmp(pImage->a, lscMagic, 16)==0 ? SQLITE_OK : SQLITE_NOTADB;
  if( p->pCipher ) return p->pCipher->xBegins(p, pImage->a, 0)>0 ? checkTry(pPager, p, pImage) : SQLITE_NOTADB;
  for(i=0; i<ArraySize(apLscCipher) && rc==SQLITE_NOTADB; i++){
    if( apLscCipher[i]->xBegins(p, pImage->a, 0)==0 ) continue;
    p->pCipher = apLscCipher[i];
    p->bKeys = 0;
    rc = checkTry(pPager, p, pImage);
    if( rc!=SQLITE_OK ){
      p->pCipher = 0;
      p->bKeys = 0;
    }
  }
  return rc;
}

static int checkRead(sqlite3_file *pFile, i64 iFrom, i64 nMax, CheckImage *pImage){
  i64 nFile = 0;
  int rc = sqlite3OsFileSize(pFile, &nFile);
  pImage->n = 0;
  if( rc!=SQLITE_OK || iFrom>=nFile ) return rc;
  pImage->n = (int)MIN(nFile-iFrom, nMax);
  return sqlite3OsRead(pFile, pImage->a, pImage->n, iFrom);
}

/* Page 1 as a hot journal has it; pImage->n is 0 if it has none that would be played back. *pbNone: there was no
** database before it. */
static int checkJournal(Pager *pPager, CheckImage *pImage, int *pbNone){
  sqlite3_file *pFile = 0;
  i64 nFile = 0, iAt = 0;
  u32 nSector = 0, nPage = 0;
  int rc;
  pImage->n = 0;
  rc = sqlite3OsOpenMalloc(pPager->pVfs, pPager->zJournal, &pFile, SQLITE_OPEN_READONLY|SQLITE_OPEN_MAIN_JOURNAL, 0);
  if( rc==SQLITE_CANTOPEN ) return SQLITE_OK;       /* somebody else has rolled it back */
  if( rc!=SQLITE_OK ) return rc;
  rc = sqlite3OsFileSize(pFile, &nFile);
  while( rc==SQLITE_OK && nFile-iAt>=28 ){
    u8 aHdr[28];
    u32 nRec, i;
    rc = sqlite3OsRead(pFile, aHdr, sizeof(aHdr), iAt);
    if( rc!=SQLITE_OK || memcmp(aHdr, aJournalMagic, 8)!=0 ) break;
    if( iAt==0 ){
      nSector = sqlite3Get4byte(aHdr+20);
      nPage = sqlite3Get4byte(aHdr+24);
      if( nPage==0 ) nPage = (u32)pPager->pageSize;
      if( nPage<512 || nPage>LSC_PAGE_MAX || (nPage & (nPage-1)) || nSector<32 || nSector>MAX_SECTOR_SIZE
       || (nSector & (nSector-1)) ) break;
      *pbNone = sqlite3Get4byte(aHdr+16)==0;
    }
    nRec = sqlite3Get4byte(aHdr+8);
    iAt += nSector;
    if( nRec==0xffffffff ) nRec = (u32)((nFile-iAt)/(nPage+8));
    for(i=0; i<nRec && iAt+nPage+8<=nFile; i++, iAt+=nPage+8){
      u32 pgno = 0;
      rc = read32bits(pFile, iAt, &pgno);
      if( rc==SQLITE_OK && pgno==1 ) rc = checkRead(pFile, iAt+4, nPage, pImage);
      if( rc!=SQLITE_OK || pgno==1 ) goto out;
    }
    iAt = ((iAt+nSector-1)/nSector)*nSector;
  }
out:
  sqlite3OsCloseFree(pFile);
  return rc;
}

/* The last page 1 that a left-over log has. */
static int checkLog(Pager *pPager, CheckImage *pImage){
  sqlite3_file *pFile = 0;
  u8 aHdr[32], aFrame[24];
  i64 iAt = 32, iFound = 0;
  u32 nPage;
  int rc, bExists = 0;
  pImage->n = 0;
  if( pPager->pLscManager || pPager->tempFile ) return SQLITE_OK;
  rc = sqlite3OsAccess(pPager->pVfs, pPager->zWal, SQLITE_ACCESS_EXISTS, &bExists);
  if( rc!=SQLITE_OK || !bExists ) return rc;
  rc = sqlite3OsOpenMalloc(pPager->pVfs, pPager->zWal, &pFile, SQLITE_OPEN_READONLY|SQLITE_OPEN_WAL, 0);
  if( rc!=SQLITE_OK ) return rc==SQLITE_CANTOPEN ? SQLITE_OK : rc;
  rc = sqlite3OsRead(pFile, aHdr, sizeof(aHdr), 0);
  nPage = sqlite3Get4byte(aHdr+8);
  if( rc==SQLITE_OK && nPage>=512 && nPage<=LSC_PAGE_MAX ){
    for(;;){
      rc = sqlite3OsRead(pFile, aFrame, sizeof(aFrame), iAt);
      if( rc!=SQLITE_OK || memcmp(aFrame+8, aHdr+16, 8)!=0 ) break;
      if( sqlite3Get4byte(aFrame)==1 ) iFound = iAt+24;
      iAt += 24 + (i64)nPage;
    }
    if( rc==SQLITE_IOERR_SHORT_READ ) rc = SQLITE_OK;
    if( rc==SQLITE_OK && iFound ) rc = checkRead(pFile, iFound, nPage, pImage);
    if( pImage->n<(int)nPage ) pImage->n = 0;
  }
  if( rc==SQLITE_IOERR_SHORT_READ ) rc = SQLITE_OK;
  sqlite3OsCloseFree(pFile);
  return rc;
}

/* A shared lock is held. */
static int lscCheckKey(Pager *pPager, int bHot){
  LscCodec *p = pPager->pLscCodec;
  CheckImage image;
  int rc, rcMain = SQLITE_OK, bEmpty;
  image.a = sqlite3_malloc(2*LSC_PAGE_MAX);
  if( image.a==0 ) return SQLITE_NOMEM_BKPT;
  if( p ) p->zWhy = 0;
  rc = checkRead(pPager->fd, 0, LSC_PAGE_MAX, &image);
  bEmpty = image.n==0;
  if( rc==SQLITE_OK && !bEmpty ) rcMain = checkFits(pPager, &image);
  if( rc==SQLITE_OK && bHot ){
    int bNone = 0;
    rc = checkJournal(pPager, &image, &bNone);
    if( rc==SQLITE_OK && bNone ){
      /* Its first transaction never ended: nothing is lost under any key. */
      bEmpty = 1;
      rcMain = SQLITE_OK;
    }else if( rc==SQLITE_OK && image.n ){
      rc = checkFits(pPager, &image);
      if( rc==SQLITE_NOTADB && rcMain==SQLITE_OK && !bEmpty && p ){
        p->zWhy = "file is not a database: a change of its key was interrupted, and only the old key can undo it";
      }
      rcMain = rc;
    }
  }else if( rc==SQLITE_OK && rcMain==SQLITE_NOTADB ){
    rc = checkLog(pPager, &image);
    if( rc==SQLITE_OK && image.n ) rcMain = checkFits(pPager, &image);
  }
  if( rc==SQLITE_OK ) rc = rcMain;
  if( p ){
    p->bProven = rc==SQLITE_OK && !bEmpty;
    if( bEmpty ) p->bKeys = 0;
  }
  lscWipe(image.a, 2*LSC_PAGE_MAX);
  sqlite3_free(image.a);
  return rc;
}

/* The pager has a shared lock, nothing was read yet. */
static int lsc_shared_lock(Pager *pPager, int bHot){
  if( pPager->tempFile ) return SQLITE_OK;
  if( bHot || (pPager->pLscCodec && !pPager->pLscCodec->bProven) ) return lscCheckKey(pPager, bHot);
  return SQLITE_OK;
}

/* A log lies beside the file and will be opened. */
static int lsc_before_log(Pager *pPager){
  return pPager->pLscCodec ? SQLITE_OK : lscCheckKey(pPager, 0);
}
