/*
** backup.c: a backup whose target has a key. Included by engine.c.
**
** Pages are copied as they are in the cache, so the target's must have the size and at least the reserved bytes of the
** source's. An empty target whose cipher needs more is filled under a key that nobody keeps, in a cipher that needs
** none, and gets its own by a change of the key at the end; until then it cannot be read by anybody.
*/

/* The target of a backup that has not begun. */
static Btree *backupTarget(sqlite3_backup *p){
#if SQLITE_VERSION_NUMBER>=3053000
  if( p->pDest==0 ) return findBtree(p->pDestDb, p->pDestDb, p->zDestDb);
#endif
  return p->pDest;
}

/* The target is about to be locked. */
static int lsc_backup_begin(sqlite3_backup *p){
  Btree *pDest = backupTarget(p);
  Pager *pPager = pDest ? sqlite3BtreePager(pDest) : 0;
  LscCodec *pReal = pPager ? pPager->pLscCodec : 0, *pFill = 0;
  u8 aSecret[32];
  char *zErr = 0;
  i64 nFile = 0;
  int nPage = sqlite3BtreeGetPageSize(p->pSrc), rc;
  if( p->pDestDb==0 || pReal==0 || pReal->pCipher==0 || pReal->pReal ) return SQLITE_OK;
  if( sqlite3BtreeGetReserveNoMutex(p->pSrc)>=pReal->pCipher->nReserve || nPage-pReal->pCipher->nReserve<480
   || pDest->pBt->inTransaction!=TRANS_NONE || !p->pDestDb->autoCommit ) return SQLITE_OK;
  rc = isOpen(pPager->fd) ? sqlite3OsFileSize(pPager->fd, &nFile) : SQLITE_OK;
  if( rc!=SQLITE_OK || nFile>0 ) return rc;
  rc = lscRandom(pReal, aSecret, sizeof(aSecret));
  if( rc==SQLITE_OK ) rc = lscCodecNew(&lscCbc, aSecret, sizeof(aSecret), 0, &pFill, &zErr);
  lscWipe(aSecret, sizeof(aSecret));
  sqlite3_free(zErr);
  if( rc!=SQLITE_OK ) return rc;
  pager_reset(pPager);
  pFill->pReal = pReal;
  pPager->pLscCodec = pFill;
  return keyNewFile(pDest);
}

/* Whether pages of the source can be pages of the target. */
static int lsc_backup_fits(sqlite3_backup *p, int nFrom, int nTo){
  LscCodec *pCodec = sqlite3BtreePager(p->pDest)->pLscCodec;
  if( pCodec==0 || pCodec->pCipher==0 || pCodec->pCipher==&lscTemp ) return SQLITE_OK;
  if( nFrom!=nTo || sqlite3BtreeGetReserveNoMutex(p->pSrc)<pCodec->pCipher->nReserve ) return SQLITE_READONLY;
  return SQLITE_OK;
}

/* A step ends with rc. */
static int lsc_backup_step(sqlite3_backup *p, int rc){
  sqlite3 *db = p->pDestDb;
  LscCodec *pFill = db && p->pDest ? sqlite3BtreePager(p->pDest)->pLscCodec : 0;
  int iDb;
  char *zErr = 0;
  if( rc!=SQLITE_DONE || pFill==0 || pFill->pReal==0 ) return rc;
  for(iDb=0; iDb<db->nDb && db->aDb[iDb].pBt!=p->pDest; iDb++){}
  if( iDb<db->nDb ){
    LscCodec *pReal = pFill->pReal;
    pFill->pReal = 0;
    pFill->bProven = 0;
    rc = lscRekey(db, iDb, pReal, &zErr);
    sqlite3_free(zErr);
    if( rc==SQLITE_OK ) rc = SQLITE_DONE;
  }
  return rc;
}

/* A backup ends, perhaps before it was done: the target is as it was. */
static void lsc_backup_end(sqlite3 *db){
  int i;
  for(i=0; i<db->nDb; i++){
    Btree *p = db->aDb[i].pBt;
    LscCodec *pFill = p ? sqlite3BtreePager(p)->pLscCodec : 0;
    if( pFill==0 || pFill->pReal==0 || p->pBt->inTransaction!=TRANS_NONE ) continue;
    pager_reset(sqlite3BtreePager(p));
    sqlite3BtreePager(p)->pLscCodec = pFill->pReal;
    pFill->pReal = 0;
    lscCodecFree(pFill);
    (void)keyNewFile(p);
  }
}
