/*
** conn.c: the state that the engine keeps for each connection, and the close hook. Included by engine.c.
**
** The state lives from the first line of the open, before any other thread can see the connection, to the last line of
** the close. In between, the connection's mutex guards it.
*/

static int lsc_conn_new(sqlite3 *db){
  db->pLsc = sqlite3MallocZero(sizeof(LscConn));
  if( db->pLsc==0 ) return SQLITE_NOMEM_BKPT;
  db->pLsc->pWalManager = lscOpeningManager();
  db->pLsc->nScanLimit = SCAN_LIMIT;
  db->pLsc->nVecBuild = LSC_BUILD_MEMORY;
  return SQLITE_OK;
}

static void lsc_conn_free(sqlite3 *db){
  if( db->pLsc==0 ) return;
  lscManagerUnref(db->pLsc->pWalManager);
  lscScanForget(db->pLsc, 0);
  lscWasmForget(db->pLsc);
  sqlite3_free(db->pLsc);
  db->pLsc = 0;
}

/* Called once SQL can run. */
static int lsc_conn_start(sqlite3 *db){
  int rc = lscScanRegister(db);
  if( rc==SQLITE_OK ) rc = lscIndexRegister(db);
  return rc==SQLITE_OK ? lscKeyStart(db) : rc;
}

/* Called at the start of every close, also of one that will be refused as busy. */
static void lsc_close_hook(sqlite3 *db){
  LscConn *p = db->pLsc;
  assert( sqlite3_mutex_held(db->mutex) );
  if( p && p->xClose ) p->xClose(p->pCloseArg, db);
}

void *libsql_close_hook(sqlite3 *db, void (*xClose)(void *pArg, sqlite3 *db), void *pArg){
  void *pOld = 0;
  if( !sqlite3SafetyCheckOk(db) ){
    (void)SQLITE_MISUSE_BKPT;
    return 0;
  }
  sqlite3_mutex_enter(db->mutex);
  if( db->pLsc ){
    pOld = db->pLsc->pCloseArg;
    db->pLsc->xClose = xClose;
    db->pLsc->pCloseArg = pArg;
  }
  sqlite3_mutex_leave(db->mutex);
  return pOld;
}
