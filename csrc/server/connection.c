/*
** connection.c: the server's connections: opened, made as new, closed. Included by engine.c.
**
** Where they differ from other connections: foreign keys are enforced, the log is a WAL, a value has a smaller limit,
** nothing waits for a lock (the server queues writers itself), and databases that are attached are read only.
*/

static void svrNameFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  (void)argc; (void)argv;
  sqlite3_result_text(ctx, (const char*)sqlite3_user_data(ctx), -1, SQLITE_TRANSIENT);
}

/* Called behind each commit. */
static int svrCommitted(void *pArg, sqlite3 *db, const char *zDb, int nPage){
  lsc_server *p = pArg;
  if( sqlite3_stricmp(zDb, "main")==0 ) p->wal_pages = nPage;
  if( p->checkpoint>0 && nPage>=p->checkpoint ) sqlite3_wal_checkpoint(db, zDb);
  return SQLITE_OK;
}

static int svrExec(sqlite3 *db, const char *zFormat, ...){
  va_list ap;
  char *zSql;
  int rc;
  va_start(ap, zFormat);
  zSql = sqlite3_vmprintf(zFormat, ap);
  va_end(ap);
  if( zSql==0 ) return SQLITE_NOMEM;
  rc = sqlite3_exec(db, zSql, 0, 0, 0);
  sqlite3_free(zSql);
  return rc;
}

/* Attached databases are read only; a write gives SQLITE_READONLY. */
static void svrSealAttached(sqlite3 *db){
  int i;
  for(i=2; i<db->nDb; i++){
    Btree *pBt = db->aDb[i].pBt;
    if( pBt ) pBt->pBt->btsFlags |= BTS_READ_ONLY;
  }
}

static int svrSetUp(lsc_server *p, const lsc_server_options *o){
  sqlite3 *db = p->db;
  char *zName = sqlite3_mprintf("%s", o->name);
  int rc = zName ? SQLITE_OK : SQLITE_NOMEM;
  if( rc==SQLITE_OK ){
    rc = sqlite3_create_function_v2(db, "libsql_server_database_name", 0, SQLITE_UTF8|SQLITE_INNOCUOUS, zName,
                                    svrNameFunc, 0, 0, sqlite3_free);
  }
  if( rc==SQLITE_OK ) rc = svrSeriesRegister(db);
  if( !AtomicLoad(&svrFunctions) ) lsc_wasm_lock(db);
  if( rc==SQLITE_OK && o->key ) rc = lsc_codec_open(db, "main", o->cipher, o->key, o->n_key, o->is_raw);
  if( rc==SQLITE_OK && o->log ){
    if( db->pLsc ) db->pLsc->pReplog = o->log;
    else rc = SQLITE_NOMEM;
  }
  if( rc==SQLITE_OK ){
    /* Others may be at the same file while the log is made. */
    sqlite3_busy_timeout(db, 5000);
    sqlite3_extended_result_codes(db, 0);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, o->row_limit);
    sqlite3_limit(db, SQLITE_LIMIT_VARIABLE_NUMBER, 32766);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, (int*)0);
    rc = svrExec(db, "PRAGMA journal_mode=wal; PRAGMA synchronous=%d", o->synchronous);
    /* There are many connections, each with its pages; the system keeps those of the file. */
    sqlite3_mutex_enter(db->mutex);
    sqlite3BtreeSetCacheSize(db->aDb[0].pBt, -512);
    sqlite3_mutex_leave(db->mutex);
  }
  if( rc==SQLITE_OK && o->max_pages>0 ){
    rc = svrExec(db, "PRAGMA max_page_count=%lld", o->max_pages<0xfffffffe ? o->max_pages : 0xfffffffeLL);
  }
  if( rc==SQLITE_OK ){
    sqlite3_busy_timeout(db, 0);
    sqlite3_wal_hook(db, svrCommitted, p);
    p->flags = db->flags;
  }
  return rc;
}

int lsc_server_open(lsc_server *p, const lsc_server_options *o, lsc_error *error){
  int uri = sqlite3_strnicmp(o->path, "file:", 5)==0;
  int rc;
  svrPowInit();
  p->checkpoint = o->checkpoint;
  rc = sqlite3_open_v2(o->path, &p->db, SQLITE_OPEN_READWRITE|SQLITE_OPEN_CREATE|(uri ? SQLITE_OPEN_URI : 0), 0);
  if( rc==SQLITE_OK ) rc = svrSetUp(p, o);
  if( rc!=SQLITE_OK ){
    if( p->db ) lscKeepError(p->db, rc, error);
    else error->code = SQLITE_NOMEM;
    lsc_server_close(p);
  }
  return rc;
}

void lsc_server_close(lsc_server *p){
  sqlite3 *db = p->db;
  p->db = 0;
  if( db==0 ) return;
  sqlite3_wal_hook(db, 0, 0);
  sqlite3_update_hook(db, 0, 0);
  sqlite3_rollback_hook(db, 0, 0);
  svrForgetChanges(p);
  sqlite3_close_v2(db);
}

int lsc_server_reset(lsc_server *p){
  sqlite3 *db = p->db;
  int rc = SQLITE_OK;
  sqlite3_mutex_enter(db->mutex);
  if( !db->autoCommit ) rc = sqlite3_exec(db, "ROLLBACK", 0, 0, 0);
  while( rc==SQLITE_OK && db->nDb>2 ) rc = svrExec(db, "DETACH \"%w\"", db->aDb[db->nDb-1].zDbSName);
  if( db->flags!=p->flags ){
    db->flags = p->flags;
    sqlite3ExpirePreparedStatements(db, 0);
  }
  p->no_write = 0;
  db->lastRowid = 0;
  db->nChange = db->nTotalChange = 0;
  /* A temporary database has things of the last user. */
  if( db->aDb[1].pBt || !db->autoCommit || db->nVdbeActive>0 ) rc = SQLITE_ERROR;
  sqlite3_mutex_leave(db->mutex);
  return rc==SQLITE_OK;
}

int lsc_server_next(lsc_server *p){
  sqlite3 *db = p->db;
  int ok;
  sqlite3_mutex_enter(db->mutex);
  db->lastRowid = 0;
  db->nChange = db->nTotalChange = 0;
  ok = !db->autoCommit && db->nDeferredCons==0;
  sqlite3_mutex_leave(db->mutex);
  return ok;
}

int lsc_server_rollback(lsc_server *p, lsc_error *error){
  sqlite3 *db = p->db;
  int rc = SQLITE_OK;
  sqlite3_mutex_enter(db->mutex);
  if( !db->autoCommit ){
    rc = sqlite3_exec(db, "ROLLBACK", 0, 0, 0);
    if( rc!=SQLITE_OK ) lscKeepError(db, rc, error);
  }
  if( p->no_write && db->autoCommit ){
    db->flags &= ~(u64)SQLITE_QueryOnly;
    p->no_write = 0;
  }
  sqlite3_mutex_leave(db->mutex);
  return rc;
}

int lsc_server_load(lsc_server *p, const char *path, lsc_error *error){
  sqlite3 *db = p->db;
  char *zError = 0;
  int rc;
  sqlite3_mutex_enter(db->mutex);
  sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, (int*)0);
  rc = sqlite3_load_extension(db, path, 0, &zError);
  sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, (int*)0);
  sqlite3_mutex_leave(db->mutex);
  error->code = rc;
  error->text = zError;
  return rc;
}

int lsc_server_vacuum(lsc_server *p, lsc_error *error){
  int rc;
  sqlite3_mutex_enter(p->db->mutex);
  rc = sqlite3_exec(p->db, "VACUUM", 0, 0, 0);
  if( rc!=SQLITE_OK ) lscKeepError(p->db, rc, error);
  sqlite3_mutex_leave(p->db->mutex);
  return rc;
}

int lsc_server_checkpoint(lsc_server *p, int mode, int *n_log, int *n_copied, lsc_error *error){
  sqlite3 *db = p->db;
  int rc;
  sqlite3_mutex_enter(db->mutex);
  rc = sqlite3_wal_checkpoint_v2(db, "main", mode, n_log, n_copied);
  if( rc!=SQLITE_OK ) lscKeepError(db, rc, error);
  sqlite3_mutex_leave(db->mutex);
  return rc;
}
