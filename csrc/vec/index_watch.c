/*
** index_watch.c: who hears of a vector index that fills, and may stop it: sqlite3_interrupt(), the progress handler, and
** the caller of lsc_vector_watch(). Included by engine.c. Guarded by the connection's mutex.
*/

/* nDone of nTotal steps are done. Not 0: stop with SQLITE_INTERRUPT. */
static int lsc_watched(sqlite3 *db, u64 nDone, u64 nTotal){
  LscConn *p = db->pLsc;
  assert( sqlite3_mutex_held(db->mutex) );
  if( AtomicLoad(&db->u1.isInterrupted) ) return 1;
  if( db->xProgress && db->xProgress(db->pProgressArg) ) return 1;
  return p!=0 && p->xWatch!=0 && p->xWatch(p->pWatchArg, (i64)nDone, (i64)nTotal);
}

void lsc_vector_watch(sqlite3 *db, int (*xWatch)(void *pArg, sqlite3_int64 nDone, sqlite3_int64 nTotal), void *pArg){
  sqlite3_mutex_enter(db->mutex);
  if( db->pLsc ){
    db->pLsc->xWatch = xWatch;
    db->pLsc->pWatchArg = pArg;
  }
  sqlite3_mutex_leave(db->mutex);
}
