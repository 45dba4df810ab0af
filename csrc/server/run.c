/*
** run.c: statements of the server's connections: compiled, run, their rows written into a reply. Included by engine.c.
**
** The connection's mutex is held during each call. What a statement left behind, error or counts, is taken before the
** mutex is let go.
*/

sqlite3_int64 lsc_micros(void){
#if defined(_WIN32)
  LARGE_INTEGER now, rate;
  QueryPerformanceCounter(&now);
  QueryPerformanceFrequency(&rate);
  return now.QuadPart/rate.QuadPart*1000000 + now.QuadPart%rate.QuadPart*1000000/rate.QuadPart;
#else
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (i64)t.tv_sec*1000000 + t.tv_nsec/1000;
#endif
}

/* Compile a statement. Not for every error does SQLite itself look whether another connection has changed the schema that
** the error is about: "table t has 4 columns but 6 values were supplied". */
static int svrPrepare(sqlite3 *db, const char *sql, int n, unsigned flags, sqlite3_stmt **pst){
  int rc = sqlite3_prepare_v3(db, sql, n, flags, pst, 0);
  if( (rc & 0xff)==SQLITE_ERROR ){
    Parse parse;
    int stale;
    sqlite3ParseObjectInit(&parse, db);
    parse.checkSchema = 1;
    sqlite3BtreeEnterAll(db);
    schemaIsValid(&parse);
    sqlite3BtreeLeaveAll(db);
    stale = parse.rc==SQLITE_SCHEMA;
    sqlite3ParseObjectReset(&parse);
    if( stale ) rc = sqlite3_prepare_v3(db, sql, n, flags, pst, 0);
  }
  return rc;
}

int lsc_server_prepare(lsc_server *p, const char *sql, int n, unsigned flags, lsc_plan *plan, int *offset){
  sqlite3 *db = p->db;
  int rc;
  sqlite3_mutex_enter(db->mutex);
  plan->flags = flags;
  plan->encoding = -1;
  rc = svrPrepare(db, sql, n, flags & LSC_S_PRAGMA ? 0 : SQLITE_PREPARE_PERSISTENT, &plan->s.st);
  *offset = -1;
  if( rc!=SQLITE_OK ){
    *offset = sqlite3_error_offset(db);
    lscKeepError(db, rc, &plan->s.error);
  }
  sqlite3_mutex_leave(db->mutex);
  return rc;
}

void lsc_server_release(lsc_plan *plan){
  lsc_release(&plan->s);
}

void lsc_server_finalize(lsc_plan *plan){
  lsc_finalize(&plan->s);
  sqlite3_free(plan->head);
  plan->head = 0;
  plan->n_head = plan->room_head = 0;
}

int lsc_server_is_short(lsc_server *p, const lsc_plan *plan){
  const Vdbe *v = (const Vdbe*)plan->s.st;
  int i;
  if( v==0 ) return 1;
  /* A commit that waits for the disk is not short. */
  if( !v->readOnly && p->db->aDb[0].safety_level>PAGER_SYNCHRONOUS_NORMAL ) return 0;
  for(i=0; i<v->nOp; i++){
    switch( v->aOp[i].opcode ){
      case OP_Next: case OP_Prev: case OP_SorterNext: case OP_VNext: case OP_VFilter: case OP_VUpdate:
      case OP_Program: case OP_Yield: case OP_RowSetRead: case OP_DecrJumpZero: case OP_IfPos: case OP_IfNotZero:
      case OP_Count: case OP_Clear: case OP_Destroy: case OP_ParseSchema: case OP_SqlExec: case OP_IntegrityCk:
      case OP_Vacuum: case OP_Checkpoint: case OP_JournalMode: case OP_Function: case OP_AggStep: case OP_VOpen:
        return 0;
      default:
        break;
    }
  }
  return 1;
}

/* The columns in front of the rows, from the last run if they are the same. */
static int svrHead(lsc_plan *plan, int encoding, lsc_out *o){
  int nPrepare = lsc_n_prepare(&plan->s);
  size_t from = o->n;
  if( plan->encoding==encoding && plan->n_prepare==nPrepare ){
    svrPut(o, plan->head, (size_t)plan->n_head);
    return 1;
  }
  plan->encoding = -1;
  if( !svrResultHead(o, encoding, plan->s.st) ) return 0;
  if( o->rc==SQLITE_OK && o->n-from<=4096 ){
    int n = (int)(o->n-from);
    if( n>plan->room_head ){
      unsigned char *a = sqlite3_realloc64(plan->head, (u64)n);
      if( a==0 ) return 1;
      plan->head = a;
      plan->room_head = n;
    }
    if( n>0 ) memcpy(plan->head, &o->a[from], (size_t)n);
    plan->n_head = n;
    plan->n_prepare = nPrepare;
    plan->encoding = encoding;
  }
  return 1;
}

/* Notes why a reply cannot be written. */
static void svrFailOut(lsc_plan *plan, const lsc_out *o, lsc_outcome *res){
  lsc_error *e = &plan->s.error;
  sqlite3_free(e->text);
  e->text = 0;
  e->code = res->code = o->rc==SQLITE_TOOBIG ? LSC_ERR_TOO_LARGE : SQLITE_NOMEM;
}

/* Notes the text of the current row, or the name of a column, that is not UTF-8. */
static void svrFailText(lsc_plan *plan, lsc_outcome *res, Mem *a, int n){
  lsc_error *e = &plan->s.error;
  int i, bad;
  sqlite3_free(e->text);
  e->text = 0;
  for(i=0; i<n && e->text==0; i++){
    int nText;
    const unsigned char *z;
    if( sqlite3_value_type(&a[i])!=SQLITE_TEXT ) continue;
    z = svrBytes(&a[i], SQLITE_TEXT, &nText);
    if( z && svrUtf8End(z, nText, &bad)<nText ) e->text = svrBadText(z, nText);
  }
  if( e->text==0 ) e->text = sqlite3_mprintf("the name of a column is not utf-8");
  e->code = res->code = LSC_ERR_NOT_UTF8;
}

/* Ends a run whose last step gave rc, or which is given up with rc SQLITE_ROW. */
static void svrEnd(lsc_server *p, lsc_plan *plan, int rc, lsc_outcome *res){
  sqlite3 *db = p->db;
  int rc2;
  res->offset = -1;
  if( rc!=SQLITE_ROW && rc!=SQLITE_DONE ) res->offset = sqlite3_error_offset(db);
  rc2 = lsc_release(&plan->s);
  if( rc==SQLITE_ROW || rc==SQLITE_DONE ) rc = rc2;
  if( rc!=SQLITE_OK && res->code==0 ){
    lscKeepError(db, rc, &plan->s.error);
    res->code = plan->s.error.code;
  }
  lsc_take_rows(&plan->s, &res->rows_read, &res->rows_written);
  plan->s.rowid = db->lastRowid;
  res->changes = plan->flags & LSC_S_CHANGES ? db->nChange : 0;
  if( db->nDb>2 ) svrSealAttached(db);
  if( p->changed ) svrCountChanges(p, res->code==0);
  if( (plan->flags & LSC_S_NO_WRITE) && res->code==0 && !db->autoCommit ){
    db->flags |= SQLITE_QueryOnly;
    p->no_write = 1;
  }else if( p->no_write && db->autoCommit ){
    db->flags &= ~(u64)SQLITE_QueryOnly;
    p->no_write = 0;
  }
}

int lsc_server_execute(lsc_server *p, lsc_plan *plan, int encoding, lsc_out *out, lsc_outcome *res){
  Vdbe *v = (Vdbe*)plan->s.st;
  sqlite3_mutex *mutex = p->db->mutex;
  i64 start = lsc_micros();
  int json = svrIsJson(encoding);
  int n_row = 0;
  int rc;

  sqlite3_mutex_enter(mutex);
  res->code = 0;
  rc = sqlite3_step(plan->s.st);
  if( out && (rc==SQLITE_ROW || rc==SQLITE_DONE) && !svrHead(plan, encoding, out) ) svrFailText(plan, res, 0, 0);
  while( rc==SQLITE_ROW && res->code==0 ){
    if( out ){
      if( json && n_row++ ) svrLit(out, ",");
      if( !svrRow(out, encoding, v->pResultRow, v->nResColumn) ){
        svrFailText(plan, res, v->pResultRow, v->nResColumn);
        break;
      }
      /* There may be more room than the reply may take. */
      if( out->n>out->most ) out->rc = SQLITE_TOOBIG;
      if( out->rc!=SQLITE_OK ) break;
    }
    rc = sqlite3_step(plan->s.st);
  }
  if( out && out->rc!=SQLITE_OK && res->code==0 ) svrFailOut(plan, out, res);
  svrEnd(p, plan, rc, res);
  res->micros = lsc_micros() - start + res->waited;
  if( res->micros==0 ) res->micros = 1;       /* 0 would be left out of protobuf */
  if( out && res->code==0 ){
    lsc_replog *log = p->indexed && p->db->pLsc ? p->db->pLsc->pReplog : 0;
    res->index = log ? lsc_replog_last(log) : -1;
    svrResultTail(out, encoding, plan->flags, plan->s.rowid, res);
    if( out->n>out->most ) out->rc = SQLITE_TOOBIG;
    if( out->rc!=SQLITE_OK ) svrFailOut(plan, out, res);
  }
  sqlite3_mutex_leave(mutex);
  return res->code;
}

int lsc_server_fetch(lsc_server *p, lsc_plan *plan, lsc_entries *f, int max_entry, size_t max_bytes, lsc_out *out){
  sqlite3_mutex *mutex = p->db->mutex;
  i64 start = lsc_micros();
  size_t from = out->n;

  f->n_entry = 0;
  sqlite3_mutex_enter(mutex);
  while( f->state!=LSC_ENTRIES_DONE && f->n_entry<max_entry && out->n-from<max_bytes ){
    Vdbe *v = (Vdbe*)plan->s.st;
    int first = f->state==LSC_ENTRIES_START;
    size_t entry = out->n;
    int ok = 1;
    if( f->state!=LSC_ENTRIES_HOLD ){
      f->rc = sqlite3_step(plan->s.st);
      if( f->rc!=SQLITE_ROW ) svrEnd(p, plan, f->rc, &f->res);
      f->state = LSC_ENTRIES_HOLD;
    }
    if( first ){
      ok = svrStepBegin(out, f, plan->s.st);
    }else if( f->rc==SQLITE_ROW ){
      ok = svrRowEntry(out, f, v->pResultRow, v->nResColumn);
      f->state = LSC_ENTRIES_STEP;
    }else{
      if( f->res.code==0 ) svrStepEnd(out, f, plan->flags, plan->s.rowid);
      f->state = LSC_ENTRIES_DONE;
    }
    if( !ok || out->rc!=SQLITE_OK ){
      int n = f->rc==SQLITE_ROW ? v->nResColumn : 0;
      out->n = entry;
      if( !ok ) svrFailText(plan, &f->res, v->pResultRow, n);
      else svrFailOut(plan, out, &f->res);
      if( f->rc==SQLITE_ROW ) svrEnd(p, plan, SQLITE_ROW, &f->res);
      f->state = LSC_ENTRIES_DONE;
    }
  }
  f->res.micros += lsc_micros() - start;
  sqlite3_mutex_leave(mutex);
  return f->res.code;
}

void lsc_server_step_begin(lsc_server *p, lsc_plan *plan, lsc_entries *f, lsc_out *out){
  sqlite3_mutex_enter(p->db->mutex);
  f->n_entry = 0;
  f->state = LSC_ENTRIES_STEP;
  svrStepBegin(out, f, plan->s.st);
  sqlite3_mutex_leave(p->db->mutex);
}

int lsc_server_describe(lsc_server *p, const char *sql, int n, int encoding, lsc_out *out, lsc_error *error,
                        int *offset){
  sqlite3 *db = p->db;
  sqlite3_stmt *st = 0;
  u64 flags;
  int rc;
  sqlite3_mutex_enter(db->mutex);
  flags = db->flags;
  *offset = -1;
  rc = svrPrepare(db, sql, n, 0, &st);
  /* A pragma may have set a flag while it was compiled. */
  db->flags = flags;
  if( rc!=SQLITE_OK ){
    *offset = sqlite3_error_offset(db);
    lscKeepError(db, rc, error);
  }else if( !svrDescribe(out, encoding, st) ){
    rc = error->code = LSC_ERR_NOT_UTF8;
    error->text = sqlite3_mprintf("a name is not utf-8");
  }else if( out->rc!=SQLITE_OK ){
    rc = error->code = SQLITE_NOMEM;
  }
  sqlite3_finalize(st);
  sqlite3_mutex_leave(db->mutex);
  return rc;
}
