/*
** rekey.c: another key, or none, for a database as it lies there. Included by engine.c.
**
** One write transaction touches every page, page 1 first. The rollback journal gets them as the old codec made them, so
** a rekey that was killed is undone by whoever opens the file with the old key; check.c refuses the new one until then.
** It runs in rollback mode: a log is checkpointed and left first, and entered again afterwards. When the new cipher
** needs more bytes behind each page, a VACUUM under the old key makes room before; when it needs fewer, one under the
** new key takes them away behind.
*/

/* The cipher of a new key when none is named: the file's. */
static const LscCipher *lscRekeyCipher(sqlite3 *db, int iDb){
  Btree *p = iDb>=0 ? db->aDb[iDb].pBt : 0;
  LscCodec *pCodec = p ? sqlite3BtreePager(p)->pLscCodec : 0;
  if( pCodec && pCodec->pCipher==0 && sqlite3BtreeBeginTrans(p, 0, 0)==SQLITE_OK ) (void)sqlite3BtreeCommit(p);
  return pCodec && pCodec->pCipher ? pCodec->pCipher : &lscCbc;
}

static int rekeyVacuum(sqlite3 *db, int iDb, int nReserve, char **pzErr){
  char *zErr = 0;
  int rc;
  db->pLsc->bReserve = 1;
  db->pLsc->nReserve = nReserve;
  rc = sqlite3RunVacuum(&zErr, db, iDb, 0);
  db->pLsc->bReserve = 0;
  if( rc!=SQLITE_OK && *pzErr==0 ) *pzErr = sqlite3_mprintf("%s", zErr ? zErr : lsc_error_text(db, rc));
  sqlite3DbFree(db, zErr);
  return rc;
}

static int rekeyJournal(sqlite3 *db, int iDb, const char *zMode){
  char *zSql = sqlite3_mprintf("PRAGMA \"%w\".journal_mode=%s", db->aDb[iDb].zDbSName, zMode);
  int rc = zSql ? sqlite3_exec(db, zSql, 0, 0, 0) : SQLITE_NOMEM_BKPT;
  sqlite3_free(zSql);
  return rc;
}

/* In a write transaction: every page passes from the old codec to the new one. */
static int rekeyPages(Btree *p, Pager *pPager){
  Pgno n = sqlite3BtreeLastPage(p), iSkip = PAGER_SJ_PGNO(pPager), i;
  int rc = SQLITE_OK;
  for(i=1; i<=n && rc==SQLITE_OK; i++){
    DbPage *pPg = 0;
    if( i==iSkip ) continue;
    rc = sqlite3PagerGet(pPager, i, &pPg, 0);
    if( rc==SQLITE_OK ) rc = sqlite3PagerWrite(pPg);
    sqlite3PagerUnref(pPg);
  }
  return rc;
}

static int rekeyRun(Btree *p, Pager *pPager, LscCodec *pNew){
  LscCodec *pOld = pPager->pLscCodec;
  int mode = sqlite3PagerGetJournalMode(pPager);
  int rc;
  if( pOld==0 ){
    char *zNone = 0;
    rc = lscCodecNew(&lscPlain, 0, 0, 0, &pOld, &zNone);
    if( rc!=SQLITE_OK ) return rc;
  }
  rc = lscCodecReady(pNew);
  if( rc==SQLITE_OK ) pNew->pDone = sqlite3BitvecCreate(sqlite3BtreeLastPage(p));
  if( rc==SQLITE_OK && pNew->pDone==0 ) rc = SQLITE_NOMEM_BKPT;
  if( rc!=SQLITE_OK ){
    if( pOld!=pPager->pLscCodec ) lscCodecFree(pOld);
    return rc;
  }
  /* Without a journal on disk nothing would undo half of it. */
  if( mode==PAGER_JOURNALMODE_OFF || mode==PAGER_JOURNALMODE_MEMORY ){
    (void)sqlite3PagerSetJournalMode(pPager, PAGER_JOURNALMODE_DELETE);
  }
  rc = sqlite3BtreeBeginTrans(p, 2, 0);
  if( rc==SQLITE_OK ){
    pNew->pOld = pOld;
    pPager->pLscCodec = pNew;
    rc = rekeyPages(p, pPager);
    if( rc==SQLITE_OK ) rc = sqlite3BtreeCommitPhaseOne(p, 0);
    if( rc==SQLITE_OK ) rc = sqlite3BtreeCommitPhaseTwo(p, 0);
    if( rc!=SQLITE_OK ) (void)sqlite3BtreeRollback(p, SQLITE_OK, 0);
    sqlite3BitvecDestroy(pNew->pDone);
    pNew->pDone = 0;
    pNew->pOld = 0;
    if( rc!=SQLITE_OK ) pPager->pLscCodec = pOld;
  }
  if( rc!=SQLITE_OK ){
    if( pPager->pLscCodec->pCipher==&lscPlain ) pPager->pLscCodec = 0;
    if( pOld!=pPager->pLscCodec ) lscCodecFree(pOld);
  }else{
    lscCodecFree(pOld);
    pNew->bProven = 1;
    if( pNew->pCipher==&lscPlain ){
      pPager->pLscCodec = 0;
      lscCodecFree(pNew);
    }
  }
  if( sqlite3PagerGetJournalMode(pPager)!=mode ) (void)sqlite3PagerSetJournalMode(pPager, mode);
  pagerFixMaplimit(pPager);
  return rc;
}

/* pNew is owned from here on; NULL: no key. */
static int lscRekey(sqlite3 *db, int iDb, LscCodec *pNew, char **pzErr){
  Btree *p = db->aDb[iDb].pBt;
  Pager *pPager = p ? sqlite3BtreePager(p) : 0;
  const LscCipher *pCipher = pNew ? pNew->pCipher : &lscPlain;
  int rc = SQLITE_OK, nReserve = 0, bLog = 0, bOwned = 1;
  Pgno nPage;
  if( p==0 || iDb==1 || pPager->tempFile || pPager->memDb ){
    *pzErr = sqlite3_mprintf("Rekeying not supported for in-memory or temporary databases.");
    rc = SQLITE_ERROR;
    goto out;
  }
  if( !db->autoCommit || db->nVdbeActive>1 || p->pBt->inTransaction!=TRANS_NONE || p->pBt->pCursor ){
    *pzErr = sqlite3_mprintf("cannot change the key while the database is in use");
    rc = SQLITE_ERROR;
    goto out;
  }
  /* The old key is right, the size is known. */
  rc = sqlite3BtreeBeginTrans(p, 0, 0);
  if( rc!=SQLITE_OK ) goto out;
  sqlite3BtreeEnter(p);
  nPage = sqlite3BtreeLastPage(p);
  nReserve = sqlite3BtreeGetReserveNoMutex(p);
  sqlite3BtreeLeave(p);
  bLog = pPager->pWal!=0;
  (void)sqlite3BtreeCommit(p);
  if( sqlite3PagerIsreadonly(pPager) ){
    rc = SQLITE_READONLY;
    goto out;
  }
  if( nPage==0 ){
    bOwned = 0;
    rc = lscKeySet(db, iDb, pNew, pzErr);
    goto out;
  }
  if( pNew==0 && pPager->pLscCodec==0 ) goto out;
  if( sqlite3BtreeGetPageSize(p)-pCipher->nReserve<480 ){
    *pzErr = sqlite3_mprintf("Rekeying failed. %s does not fit pages of 512 bytes.", pCipher->zName);
    rc = SQLITE_ERROR;
    goto out;
  }
  if( pNew==0 ){
    rc = lscCodecNew(&lscPlain, 0, 0, 0, &pNew, pzErr);
    if( rc!=SQLITE_OK ) goto out;
  }
  if( bLog ){
    rc = rekeyJournal(db, iDb, "delete");
    if( rc==SQLITE_OK && pPager->pWal ) rc = SQLITE_BUSY;
    if( rc!=SQLITE_OK ) goto out;
  }
  if( nReserve<pCipher->nReserve ) rc = rekeyVacuum(db, iDb, pCipher->nReserve, pzErr);
  if( rc==SQLITE_OK ){
    sqlite3BtreeEnter(p);
    if( db->pLsc ) db->pLsc->bKeyed = 1;
    keyTempStays(db);
    rc = rekeyRun(p, pPager, pNew);
    bOwned = rc!=SQLITE_OK;
    if( rc==SQLITE_OK && pPager->pLscCodec ) sqlite3BtreeSecureDelete(p, 1);
    sqlite3BtreeLeave(p);
  }
  /* The key is another now, whatever becomes of the rest. */
  if( rc==SQLITE_OK && nReserve>pCipher->nReserve && rekeyVacuum(db, iDb, pCipher->nReserve, pzErr)!=SQLITE_OK ){
    sqlite3_free(*pzErr);
    *pzErr = 0;
  }
  if( bLog ) (void)rekeyJournal(db, iDb, "wal");
out:
  if( bOwned ) lscCodecFree(pNew);
  return rc;
}
