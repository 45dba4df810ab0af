/*
** row.c: whole-row access to prepared statements (see lsc.h). Included by engine.c.
**
** Owns the row and batch buffers of lsc_stmt and lsc_batch. A row's text and blobs point into the statement's result
** registers, which stay put until the next step or reset. A batch keeps its own copies in one fixed heap of
** LSC_BATCH_HEAP bytes, so a pointer into it never moves while the batch is in use.
*/

static int lscLoadRow(lsc_stmt *s){
  Vdbe *v = (Vdbe*)s->st;
  int n = v->nResColumn;
  int i;

  if( n>s->n_alloc ){
    lsc_cell *row = sqlite3_realloc64(s->row, sizeof(lsc_cell)*(sqlite3_uint64)n);
    if( row==0 ) return SQLITE_NOMEM;
    s->row = row;
    s->n_alloc = n;
  }
  s->n_col = n;
  for(i=0; i<n; i++){
    sqlite3_value *p = &v->pResultRow[i];
    lsc_cell *c = &s->row[i];
    c->type = sqlite3_value_type(p);
    switch( c->type ){
      case SQLITE_INTEGER:
        c->u.i = sqlite3_value_int64(p);
        break;
      case SQLITE_FLOAT:
        c->u.r = sqlite3_value_double(p);
        break;
      case SQLITE_TEXT:
        c->u.z = sqlite3_value_text(p);
        c->n = sqlite3_value_bytes(p);
        if( c->u.z==0 ) return SQLITE_NOMEM;
        break;
      case SQLITE_BLOB:
        c->u.z = sqlite3_value_blob(p);
        c->n = sqlite3_value_bytes(p);
        if( c->u.z==0 && c->n>0 ) return SQLITE_NOMEM;
        break;
    }
  }
  return SQLITE_OK;
}

/* Note the error of the connection, whose mutex is held. */
static void lscKeepError(sqlite3 *db, int rc, lsc_error *e){
  sqlite3_free(e->text);
  e->code = sqlite3_extended_errcode(db);
  if( (e->code&0xff)!=(rc&0xff) ) e->code = rc;
  e->text = sqlite3_mprintf("%s", sqlite3_errmsg(db));
}

/* Step with the mutex held; see lsc_step(). */
static int lscStep(lsc_stmt *s){
  sqlite3 *db = ((Vdbe*)s->st)->db;
  int rc = sqlite3_step(s->st);
  if( rc==SQLITE_ROW ){
    rc = lscLoadRow(s);
    s->rowid = db->lastRowid;
    if( rc==SQLITE_OK ) return SQLITE_ROW;
    sqlite3_reset(s->st);
    sqlite3Error(db, rc);
  }else{
    int rc2 = sqlite3_reset(s->st);
    if( rc2!=SQLITE_OK ) rc = rc2;
    s->rowid = db->lastRowid;
    s->changes = db->nChange;
    if( rc==SQLITE_DONE ) return rc;
  }
  lscKeepError(db, rc, &s->error);
  return rc;
}

int lsc_step(lsc_stmt *s){
  sqlite3_mutex *mutex = ((Vdbe*)s->st)->db->mutex;
  int rc;
  sqlite3_mutex_enter(mutex);
  rc = lscStep(s);
  sqlite3_mutex_leave(mutex);
  return rc;
}

int lsc_autocommit(sqlite3 *db){ return db->autoCommit; }

int lsc_n_prepare(const lsc_stmt *s){ return (int)((Vdbe*)s->st)->aCounter[SQLITE_STMTSTATUS_REPREPARE]; }

void lsc_take_rows(lsc_stmt *s, sqlite3_int64 *n_read, sqlite3_int64 *n_written){
  Vdbe *v = (Vdbe*)s->st;
  *n_read = v ? (sqlite3_int64)v->lsc.nRead : 0;
  *n_written = v ? (sqlite3_int64)v->lsc.nWritten : 0;
  if( v ) v->lsc.nRead = v->lsc.nWritten = 0;
}

const void *lsc_column_blob(lsc_stmt *s, int i, int *n){
  Vdbe *v = (Vdbe*)s->st;
  sqlite3_value *p = &v->pResultRow[i];
  const void *z;
  sqlite3_mutex_enter(v->db->mutex);
  z = sqlite3_value_blob(p);
  *n = sqlite3_value_bytes(p);
  sqlite3_mutex_leave(v->db->mutex);
  return z;
}

int lsc_bind(lsc_stmt *s, const lsc_cell *param, int n){
  Vdbe *v = (Vdbe*)s->st;
  sqlite3 *db = v->db;
  int rc = SQLITE_OK;
  int i;

  sqlite3_mutex_enter(db->mutex);
  if( v->expmask!=0 || v->eVdbeState!=VDBE_READY_STATE || n>v->nVar || ENC(db)!=SQLITE_UTF8 ){
    /* A value may decide the plan, or text must be converted: the public calls know what to do. */
    for(i=0; i<n && rc==SQLITE_OK; i++){
      const lsc_cell *c = &param[i];
      switch( c->type ){
        case SQLITE_INTEGER: rc = sqlite3_bind_int64(s->st, i+1, c->u.i); break;
        case SQLITE_FLOAT: rc = sqlite3_bind_double(s->st, i+1, c->u.r); break;
        case SQLITE_TEXT: rc = sqlite3_bind_text(s->st, i+1, c->u.z, c->n, SQLITE_STATIC); break;
        case SQLITE_BLOB: rc = sqlite3_bind_blob(s->st, i+1, c->u.z, c->n, SQLITE_STATIC); break;
        default: rc = sqlite3_bind_null(s->st, i+1); break;
      }
    }
  }else{
    for(i=0; i<n && rc==SQLITE_OK; i++){
      const lsc_cell *c = &param[i];
      Mem *m = &v->aVar[i];
      switch( c->type ){
        case SQLITE_INTEGER: sqlite3VdbeMemSetInt64(m, c->u.i); break;
        case SQLITE_FLOAT: sqlite3VdbeMemSetDouble(m, c->u.r); break;
        case SQLITE_TEXT:
          rc = sqlite3VdbeMemSetStr(m, c->u.z, c->n, SQLITE_UTF8, SQLITE_STATIC);
          break;
        case SQLITE_BLOB:
          rc = sqlite3VdbeMemSetStr(m, c->u.z, c->n, 0, SQLITE_STATIC);
          if( rc==SQLITE_OK ) m->enc = SQLITE_UTF8;
          break;
        default: sqlite3VdbeMemSetNull(m); break;
      }
    }
    if( rc!=SQLITE_OK ){
      sqlite3Error(db, rc);
      rc = sqlite3ApiExit(db, rc);
    }
  }
  if( rc!=SQLITE_OK ) lscKeepError(db, rc, &s->error);
  sqlite3_mutex_leave(db->mutex);
  return rc;
}

int lsc_release(lsc_stmt *s){
  Vdbe *v = (Vdbe*)s->st;
  int rc;
  int i;

  if( v==0 ) return SQLITE_OK;
  rc = v->eVdbeState==VDBE_READY_STATE ? SQLITE_OK : sqlite3_reset(s->st);
  for(i=0; i<v->nVar; i++){
    if( v->aVar[i].flags & MEM_Static ) v->aVar[i].flags = MEM_Null;
  }
  return rc;
}

int lsc_run_many(lsc_stmt *s, const lsc_cell *param, int n_col, int n_row, int *done, sqlite3_int64 *changes){
  sqlite3_mutex *mutex = ((Vdbe*)s->st)->db->mutex;
  int rc = SQLITE_DONE;
  int i;

  *changes = 0;
  for(i=0; i<n_row && rc==SQLITE_DONE; i++){
    sqlite3_mutex_enter(mutex);
    if( n_col>0 ) rc = lsc_bind(s, &param[(size_t)i*(size_t)n_col], n_col);
    if( n_col==0 || rc==SQLITE_OK ){
      rc = lscStep(s);
      if( rc==SQLITE_ROW ){
        /* Rows of RETURNING are dropped: all changes are made before the first of them. */
        int rc2 = sqlite3_reset(s->st);
        rc = rc2==SQLITE_OK ? SQLITE_DONE : rc2;
        s->changes = ((Vdbe*)s->st)->db->nChange;
        if( rc!=SQLITE_DONE ) lscKeepError(((Vdbe*)s->st)->db, rc, &s->error);
      }
      if( rc==SQLITE_DONE ) *changes += s->changes;
    }
    sqlite3_mutex_leave(mutex);
  }
  *done = rc==SQLITE_DONE ? i : i-1;
  return rc;
}

/* Whether z[0..n) is UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
static int lscIsUtf8(const unsigned char *z, int n){
  int i = 0;
  while( i<n ){
    unsigned c = z[i];
    int more;
    if( c<0x80 ){
      i++;
      continue;
    }
    if( c<0xc2 || c>0xf4 ) return 0;
    more = c<0xe0 ? 1 : c<0xf0 ? 2 : 3;
    if( n-i<=more ) return 0;
    if( (z[i+1]&0xc0)!=0x80 ) return 0;
    if( c==0xe0 && z[i+1]<0xa0 ) return 0;
    if( c==0xed && z[i+1]>0x9f ) return 0;
    if( c==0xf0 && z[i+1]<0x90 ) return 0;
    if( c==0xf4 && z[i+1]>0x8f ) return 0;
    if( more>1 && (z[i+2]&0xc0)!=0x80 ) return 0;
    if( more>2 && (z[i+3]&0xc0)!=0x80 ) return 0;
    i += more + 1;
  }
  return 1;
}

/* Copy the current row behind the others of the batch, whose texts and blobs fill `used` bytes. Returns the bytes
** filled then, or -1 if the row has to stay where it is. */
static int lscCopyRow(const lsc_stmt *s, lsc_batch *b, int used){
  lsc_cell *out = &b->cell[b->n_row*s->n_col];
  int i;
  for(i=0; i<s->n_col; i++){
    const lsc_cell *c = &s->row[i];
    out[i] = *c;
    if( c->type!=SQLITE_TEXT && c->type!=SQLITE_BLOB ) continue;
    if( c->n>LSC_BATCH_HEAP-used ) return -1;
    if( c->type==SQLITE_TEXT && !lscIsUtf8(c->u.z, c->n) ) return -1;
    if( c->n>0 ) memcpy(&b->heap[used], c->u.z, (size_t)c->n);
    out[i].u.z = &b->heap[used];
    used += c->n;
  }
  b->n_row++;
  return used;
}

int lsc_fetch(lsc_stmt *s, lsc_batch *b, int max_row){
  sqlite3_mutex *mutex = ((Vdbe*)s->st)->db->mutex;
  int n_col = s->n_col;
  int used = 0;
  int rc;

  b->n_row = 0;
  if( b->cell==0 ) b->cell = sqlite3_malloc64(sizeof(lsc_cell)*LSC_BATCH_CELLS);
  if( b->heap==0 ) b->heap = sqlite3_malloc64(LSC_BATCH_HEAP);
  if( max_row>LSC_BATCH_ROWS ) max_row = LSC_BATCH_ROWS;
  if( n_col>0 && max_row>LSC_BATCH_CELLS/n_col ) max_row = LSC_BATCH_CELLS/n_col;
  if( b->cell==0 || b->heap==0 ) max_row = 1;
  sqlite3_mutex_enter(mutex);
  rc = lscStep(s);
  while( rc==SQLITE_ROW && b->n_row+1<max_row ){
    used = lscCopyRow(s, b, used);
    if( used<0 ) break;
    rc = lscStep(s);
  }
  sqlite3_mutex_leave(mutex);
  return rc;
}

void lsc_batch_free(lsc_batch *b){
  sqlite3_free(b->cell);
  sqlite3_free(b->heap);
  memset(b, 0, sizeof(*b));
}

int lsc_prepare(sqlite3 *db, const char *sql, sqlite3_int64 n, unsigned flags, lsc_stmt *s, int *tail){
  const char *end = sql;
  int rc;
  sqlite3_mutex_enter(db->mutex);
  if( n>db->aLimit[SQLITE_LIMIT_SQL_LENGTH] ){
    rc = SQLITE_TOOBIG;
  }else{
    /* The length counts the NUL, which spares SQLite a copy. */
    rc = sqlite3_prepare_v3(db, sql, (int)n+1, flags, &s->st, &end);
    if( rc!=SQLITE_OK ) lscKeepError(db, rc, &s->error);
  }
  sqlite3_mutex_leave(db->mutex);
  *tail = (int)(end - sql);
  return rc;
}

void lsc_finalize(lsc_stmt *s){
  sqlite3_stmt *st = s->st;
  s->st = 0;
  if( s->link ){
    *s->link = s->next;
    if( s->next ) s->next->link = s->link;
    s->link = 0;
    s->next = 0;
  }
  sqlite3_finalize(st);
  sqlite3_free(s->error.text);
  s->error.text = 0;
  sqlite3_free(s->row);
  s->row = 0;
  s->n_alloc = s->n_col = 0;
}

int lsc_script(sqlite3 *db, const char *sql, sqlite3_int64 n, lsc_error *error){
  int rc = SQLITE_OK;

  if( n>sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, -1) ) return SQLITE_TOOBIG;
  while( rc==SQLITE_OK && *sql ){
    sqlite3_stmt *st = 0;
    sqlite3_mutex_enter(db->mutex);
    rc = sqlite3_prepare_v2(db, sql, -1, &st, &sql);
    if( rc==SQLITE_OK && st ){
      do{ rc = sqlite3_step(st); }while( rc==SQLITE_ROW );
      rc = sqlite3_finalize(st);
    }
    if( rc!=SQLITE_OK ) lscKeepError(db, rc, error);
    sqlite3_mutex_leave(db->mutex);
  }
  return rc;
}

/* The error of a call that let go of the mutex: another thread may have changed the connection's since. */
static int lscBlobError(sqlite3 *db, int rc, lsc_error *error){
  if( rc!=SQLITE_OK ){
    sqlite3_mutex_enter(db->mutex);
    if( sqlite3_errcode(db)!=(rc&0xff) ) sqlite3Error(db, rc);
    lscKeepError(db, rc, error);
    sqlite3_mutex_leave(db->mutex);
  }
  return rc;
}

int lsc_blob_read(sqlite3 *db, sqlite3_blob *blob, void *out, int n, int offset, lsc_error *error){
  return lscBlobError(db, sqlite3_blob_read(blob, out, n, offset), error);
}

int lsc_blob_write(sqlite3 *db, sqlite3_blob *blob, const void *data, int n, int offset, lsc_error *error){
  return lscBlobError(db, sqlite3_blob_write(blob, data, n, offset), error);
}

/* Skip blanks and comments. */
static const char *lscSkipBlank(const char *z){
  for(;;){
    if( sqlite3Isspace(*z) ){
      z++;
    }else if( z[0]=='-' && z[1]=='-' ){
      while( *z && *z!='\n' ) z++;
    }else if( z[0]=='/' && z[1]=='*' ){
      const char *end = strstr(z+2, "*/");
      if( end==0 ) return z + strlen(z);
      z = end+2;
    }else{
      return z;
    }
  }
}

int lsc_is_blank(const char *sql){
  return *lscSkipBlank(sql)==0;
}

int lsc_is_dml(const char *sql){
  static const char *const aVerb[] = { "insert", "update", "delete", "replace" };
  size_t i;
  sql = lscSkipBlank(sql);
  for(i=0; i<sizeof(aVerb)/sizeof(aVerb[0]); i++){
    if( sqlite3_strnicmp(sql, aVerb[i], (int)strlen(aVerb[i]))==0 ) return 1;
  }
  return 0;
}
