/*
** stmt.c: what belongs to one statement: its interrupt, its row counters, xPreparedSql. Included by engine.c.
**
** The state is Vdbe.lsc (LscStmt in lsc_hooks.h). Everything in it is guarded by the connection's mutex, but for the
** interrupt flag, which any thread sets at any time without it. A statement that is compiled anew gets the content of
** another Vdbe: lscSwapMutex is held meanwhile, so that no interrupt goes astray. It is innermost: taken with the
** connection's mutex or alone, and nothing is waited for while it is held.
*/

#define lscSwapMutex() sqlite3MutexAlloc(SQLITE_MUTEX_STATIC_MAIN)

void libsql_stmt_interrupt(sqlite3_stmt *pStmt){
  if( pStmt ){
    sqlite3_mutex *mutex = lscSwapMutex();
    sqlite3_mutex_enter(mutex);
    AtomicStore(&((Vdbe*)pStmt)->lsc.interrupted, 1);
    sqlite3_mutex_leave(mutex);
  }
}

/* Called before a step. An interrupted statement that is not running must not start, or start anew. */
static int lsc_step_begin(Vdbe *p){
  if( p->db->pLsc && p->db->pLsc->nInLog ){
    sqlite3ErrorWithMsg(p->db, SQLITE_MISUSE, "a method of the log of this connection runs no SQL on it");
    return SQLITE_MISUSE_BKPT;
  }
  if( p->eVdbeState!=VDBE_RUN_STATE && AtomicLoad(&p->lsc.interrupted) ){
    p->rc = SQLITE_INTERRUPT;
    sqlite3Error(p->db, SQLITE_INTERRUPT);
    return SQLITE_INTERRUPT;
  }
  p->lsc.inStep = 1;
  return SQLITE_OK;
}

static void lsc_step_end(Vdbe *p){
  p->lsc.inStep = 0;
  if( p->lsc.vecSchema ) lsc_vec_step_end(p);
}

/* A reset ends the interrupt, but for those that step itself makes before it runs the statement again. */
static void lsc_stmt_reset(Vdbe *p){
  if( !p->lsc.inStep ) AtomicStore(&p->lsc.interrupted, 0);
}

/* Called around the exchange of two statements' contents; pB is the one that the caller of SQLite knows. */
static void lsc_swap_begin(void){
  sqlite3_mutex_enter(lscSwapMutex());
}

static void lsc_swap_end(Vdbe *pA, Vdbe *pB){
  LscStmt old = pA->lsc;
  pA->lsc = pB->lsc;
  pB->lsc = old;
  sqlite3_mutex_leave(lscSwapMutex());
}

/* sqlite3_stmt_status() for the counters that SQLite lacks. */
static int lsc_stmt_status(Vdbe *p, int op, int resetFlag){
  u64 *pCount, n;
  switch( op ){
    case LIBSQL_STMTSTATUS_ROWS_READ: pCount = &p->lsc.nRead; break;
    case LIBSQL_STMTSTATUS_ROWS_WRITTEN: pCount = &p->lsc.nWritten; break;
    default: return 0;
  }
  n = *pCount;
  if( resetFlag ) *pCount = 0;
  return n>0x7fffffff ? 0x7fffffff : (int)n;
}

/* Count a page that COUNT(*) visits; its statement is not known there. */
static void lsc_count_page(sqlite3 *db){
  if( db->pLsc ) db->pLsc->nCountPage++;
}

/* The pages counted since the last call. */
static u32 lsc_take_pages(sqlite3 *db){
  u32 n = 0;
  if( db->pLsc ){
    n = db->pLsc->nCountPage;
    db->pLsc->nCountPage = 0;
  }
  return n;
}

/* Tell a virtual table the statement's text, before each xFilter. */
static int lsc_prepared_sql(Vdbe *p, sqlite3_vtab_cursor *pCur){
  const sqlite3_module *pModule = pCur->pVtab->pModule;
  int rc;
  if( pModule->iVersion<LIBSQL_MODULE_VERSION || pModule->xPreparedSql==0 || p->zSql==0 ) return SQLITE_OK;
  rc = pModule->xPreparedSql(pCur, p->zSql);
  sqlite3VtabImportErrmsg(p, pCur->pVtab);
  return rc;
}

/* What extensions get as fourth argument. */
static const libsql_api_routines libsqlApis = { libsql_close_hook };

static int lsc_extension_init(sqlite3_loadext_entry xInit, sqlite3 *db, char **pzErr, const sqlite3_api_routines *pApi){
  typedef int (*Entry)(sqlite3*, char**, const sqlite3_api_routines*, const libsql_api_routines*);
  return ((Entry)(void(*)(void))xInit)(db, pzErr, pApi, &libsqlApis);
}
