/*
** policy.c: what kind of statement a text is, and which ones the server does not run. Included by engine.c.
**
** A statement comes here once the grammar has it (syntax.c), so its first words tell. Names are compared as SQLite
** compares them, quoted or not.
*/

/* Tables that belong to the server's tools. */
static const char *const aSvrTable[] = { "_litestream_lock", "_litestream_seq", "libsql_wasm_func_table" };

/* Pragmas: always allowed as reads; always as writes; as writes as long as they set nothing. Sorted. */
static const char *const aSvrPragmaRead[] = {
  "compile_options", "database_list", "encoding", "function_list", "index_info", "index_list", "index_xinfo",
  "module_list", "pragma_list", "table_info", "table_list", "table_xinfo",
};
static const char *const aSvrPragmaWrite[] = {
  "collation_list", "data_version", "defer_foreign_keys", "foreign_key_check", "foreign_key_list", "foreign_keys",
  "freelist_count", "integrity_check", "legacy_file_format", "page_count", "quick_check", "stats", "user_version",
};
static const char *const aSvrPragmaAsk[] = {
  "analysis_limit", "application_id", "auto_vacuum", "automatic_index", "busy_timeout", "cache_size", "cache_spill",
  "cell_size_check", "checkpoint_fullfsync", "fullfsync", "hard_heap_limit", "journal_mode", "journal_size_limit",
  "legacy_alter_table", "locking_mode", "max_page_count", "mmap_size", "page_size", "query_only", "read_uncommitted",
  "recursive_triggers", "reverse_unordered_selects", "secure_delete", "soft_heap_limit", "synchronous", "temp_store",
  "threads", "trusted_schema", "wal_autocheckpoint",
};

/* Whether the token is one of the names. */
static int svrIsOneOf(const Token *t, const char *const *az, int n){
  char zName[40];
  int i;
  if( t->n>=sizeof(zName) ) return 0;
  memcpy(zName, t->z, t->n);
  zName[t->n] = 0;
  sqlite3Dequote(zName);
  for(i=0; i<n; i++){
    if( sqlite3StrICmp(az[i], zName)==0 ) return 1;
  }
  return 0;
}

#define svrIn(t, a) svrIsOneOf(t, a, ArraySize(a))

static int svrIsName(const Token *t, const char *zName){ return svrIsOneOf(t, &zName, 1); }

/* Reads "name" or "schema.name" from the current token on; what is behind it is the current token then. */
static void svrQualified(LscLex *x, Token *pSchema, Token *pName){
  pSchema->z = 0;
  pSchema->n = 0;
  *pName = x->t;
  if( lscLexNext(x)==TK_DOT ){
    *pSchema = *pName;
    lscLexNext(x);
    *pName = x->t;
    lscLexNext(x);
  }
}

/* Whether the table whose name begins at the current token may be written to. */
static int svrMayWrite(LscLex *x){
  Token schema, name;
  svrQualified(x, &schema, &name);
  return !svrIn(&name, aSvrTable);
}

/* Skip the given tokens, each if it is there. */
static void svrSkip(LscLex *x, int t1, int t2, int t3){
  if( x->type==t1 ) lscLexNext(x);
  if( t2 && x->type==t2 ) lscLexNext(x);
  if( t3 && x->type==t3 ) lscLexNext(x);
}

/* To the verb behind the common table expressions of WITH. */
static void svrSkipWith(LscLex *x){
  if( lscLexNext(x)==TK_RECURSIVE ) lscLexNext(x);
  for(;;){
    while( lscLexNext(x)!=TK_AS && x->type!=0 ){
      if( x->type==TK_LP ) lscLexSkipGroup(x);
    }
    while( x->type!=TK_LP && x->type!=0 ) lscLexNext(x);
    lscLexSkipGroup(x);
    if( lscLexNext(x)!=TK_COMMA ) return;
    lscLexNext(x);
  }
}

static int svrChange(LscLex *x, lsc_statement *p){
  int type = x->type;
  p->kind = LSC_WRITE;
  p->flags |= LSC_S_CHANGES;
  p->verb = type==TK_INSERT ? "INSERT" : type==TK_REPLACE ? "REPLACE" : type==TK_UPDATE ? "UPDATE" : "DELETE";
  if( type==TK_INSERT || type==TK_REPLACE ) p->flags |= LSC_S_INSERT;
  lscLexNext(x);
  if( x->type==TK_OR ){
    lscLexNext(x);
    lscLexNext(x);
  }
  svrSkip(x, type==TK_DELETE ? TK_FROM : TK_INTO, 0, 0);
  return svrMayWrite(x);
}

static int svrCreate(LscLex *x, lsc_statement *p){
  Token schema, name;
  int type = lscLexNext(x);
  p->kind = LSC_DDL;
  p->verb = "CREATE";
  if( type==TK_TEMP ) return 0;
  if( type==TK_VIRTUAL ) type = lscLexNext(x);
  if( type!=TK_TABLE ) return 1;
  lscLexNext(x);
  svrSkip(x, TK_IF, TK_NOT, TK_EXISTS);
  svrQualified(x, &schema, &name);
  return schema.n==0 || !svrIsName(&schema, "temp");
}

static int svrDropOrAlter(LscLex *x, lsc_statement *p){
  p->kind = LSC_DDL;
  p->verb = x->type==TK_DROP ? "DROP" : "ALTER";
  if( lscLexNext(x)!=TK_TABLE ) return 1;
  lscLexNext(x);
  svrSkip(x, TK_IF, TK_EXISTS, 0);
  return svrMayWrite(x);
}

static int svrPragma(LscLex *x, lsc_statement *p){
  Token schema, name;
  int sets;
  lscLexNext(x);
  svrQualified(x, &schema, &name);
  sets = x->type==TK_EQ || x->type==TK_LP;
  p->verb = "PRAGMA";
  p->flags |= LSC_S_PRAGMA | LSC_S_READONLY;
  p->kind = LSC_READ;
  if( svrIn(&name, aSvrPragmaRead) || (!sets && svrIsName(&name, "schema_version")) ) return 1;
  p->kind = LSC_WRITE;
  if( sets && svrIsName(&name, "user_version") ) p->flags &= ~LSC_S_READONLY;
  return svrIn(&name, aSvrPragmaWrite) || (!sets && svrIn(&name, aSvrPragmaAsk));
}

static int svrBegin(LscLex *x, lsc_statement *p){
  int type = lscLexNext(x);
  p->verb = "BEGIN";
  p->flags |= LSC_S_BEGIN | LSC_S_READONLY;
  if( type==TK_IMMEDIATE || type==TK_EXCLUSIVE ) p->flags ^= LSC_S_IMMEDIATE | LSC_S_READONLY;
  svrSkip(x, TK_TRANSACTION, 0, 0);
  if( x->type!=0 && svrIsName(&x->t, "readonly") ) p->flags |= LSC_S_NO_WRITE;
  return 1;
}

static int svrRollback(LscLex *x, lsc_statement *p){
  p->verb = "ROLLBACK";
  while( x->type!=0 && x->type!=TK_SEMI ){
    if( x->type==TK_TO ){
      p->verb = "ROLLBACK TO";
      p->kind = LSC_SAVEPOINT;
    }
    lscLexNext(x);
  }
  return 1;
}

/* ATTACH name AS name; other expressions are refused. */
static int svrAttach(LscLex *x, lsc_statement *p, const char *sql){
  p->kind = LSC_ATTACH;
  p->verb = "ATTACH";
  p->flags |= LSC_S_READONLY;
  lscLexNext(x);
  svrSkip(x, TK_DATABASE, 0, 0);
  if( !lscLexIsName(x->type) || x->type==TK_STRING ) return 0;
  p->name = (int)(x->t.z - sql);
  p->n_name = (int)x->t.n;
  if( lscLexNext(x)!=TK_AS || !lscLexIsName(lscLexNext(x)) ) return 0;
  p->alias = (int)(x->t.z - sql);
  p->n_alias = (int)x->t.n;
  return lscLexNext(x)==0 || x->type==TK_SEMI;
}

/* Fills in what kind of statement begins at the current token; 0 if the server does not run it. */
static int svrClassify(LscLex *x, lsc_statement *p, const char *sql){
  if( x->type==TK_WITH ) svrSkipWith(x);
  switch( x->type ){
    case TK_SELECT: case TK_VALUES:
      p->kind = LSC_READ;
      p->verb = x->type==TK_SELECT ? "SELECT" : "VALUES";
      p->flags |= LSC_S_READONLY;
      return 1;
    case TK_INSERT: case TK_REPLACE: case TK_UPDATE: case TK_DELETE:
      return svrChange(x, p);
    case TK_CREATE:
      return svrCreate(x, p);
    case TK_DROP: case TK_ALTER:
      return svrDropOrAlter(x, p);
    case TK_REINDEX:
      p->kind = LSC_WRITE;
      p->verb = "REINDEX";
      return 1;
    case TK_PRAGMA:
      return svrPragma(x, p);
    case TK_BEGIN:
      p->kind = LSC_TXN;
      return svrBegin(x, p);
    case TK_COMMIT: case TK_END: case TK_ROLLBACK:
      p->kind = LSC_TXN;
      p->flags |= LSC_S_READONLY;
      p->verb = x->type==TK_COMMIT ? "COMMIT" : "END";
      return x->type==TK_ROLLBACK ? svrRollback(x, p) : 1;
    case TK_SAVEPOINT: case TK_RELEASE:
      p->kind = LSC_SAVEPOINT;
      p->flags |= LSC_S_READONLY;
      p->verb = x->type==TK_SAVEPOINT ? "SAVEPOINT" : "RELEASE";
      return 1;
    case TK_ATTACH:
      return svrAttach(x, p, sql);
    case TK_DETACH:
      p->kind = LSC_DETACH;
      p->flags |= LSC_S_READONLY;
      p->verb = "DETACH";
      return 1;
    default:
      return 0;
  }
}

int lsc_server_statement(const char *sql, int n, int from, lsc_statement *p, lsc_error *error){
  const char *z = &sql[from], *zStart, *zStop;
  char *zError = 0;
  LscLex x;
  int res = svrSpan(sql, &sql[n], &z, &zStart, &zStop, &zError);
  memset(p, 0, sizeof(*p));
  p->next = (int)(z - sql);
  if( res<=0 ){
    error->code = res==0 ? SQLITE_OK : zError ? SQLITE_ERROR : SQLITE_NOMEM;
    error->text = zError;
    return res;
  }
  p->start = (int)(zStart - sql);
  p->end = (int)(zStop - sql);
  lscLexStart(&x, zStart, 0);
  if( x.type==TK_EXPLAIN ){
    lscLexNext(&x);
    svrSkip(&x, TK_QUERY, TK_PLAN, 0);
    /* What is explained does not run, but a pragma works while it is compiled. */
    res = x.type==TK_PRAGMA ? svrPragma(&x, p) : 1;
    p->kind = LSC_READ;
    p->verb = "EXPLAIN";
    p->flags = LSC_S_READONLY | LSC_S_EXPLAIN | (p->flags & LSC_S_PRAGMA);
  }else{
    res = svrClassify(&x, p, sql);
  }
  if( res ) return 1;
  error->code = SQLITE_AUTH;
  error->text = 0;
  return -1;
}

char *lsc_server_name(const char *z, int n){
  char *zName = sqlite3_mprintf("%.*s", n, z);
  if( zName ) sqlite3Dequote(zName);
  return zName;
}
