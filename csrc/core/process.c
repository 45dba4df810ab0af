/*
** process.c: one-time start of the engine and the watch for fork(). Included by engine.c.
**
** A connection must not be used in a forked child: the child does not own the parent's file locks, and closing there
** could roll back or checkpoint under the parent's feet. The counter lets the module notice without a system call.
*/
#if defined(_WIN32)
static int lscForkCount = 0;
#else
static volatile int lscForkCount = 0;
static void lscForked(void){
  lscForkCount++;
  lscPoolForked();
  lscWasmForked();
}
#endif

int lsc_fork_count(void){ return lscForkCount; }

static void lscVersionFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  (void)argc; (void)argv;
  sqlite3_result_text(ctx, libsql_libversion(), -1, SQLITE_STATIC);
}

static void lscSourceIdFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  (void)argc; (void)argv;
  sqlite3_result_text(ctx, libsql_sourceid(), -1, SQLITE_STATIC);
}

static void lsc_register_functions(void){
  static FuncDef aFunc[] = {
    DFUNCTION(libsql_version,    0, 0, 0, lscVersionFunc  ),
    DFUNCTION(libsql_source_id,  0, 0, 0, lscSourceIdFunc ),
    INTERNAL_FUNCTION(libsql_alter_column, 5, lscAlterColumnFunc),
  };
  sqlite3InsertBuiltinFuncs(aFunc, ArraySize(aFunc));
  lscVectorRegister();
  lscVectorRegisterMore();
}

const char libsql_version[] = LIBSQL_VERSION;
const char *libsql_libversion(void){ return libsql_version; }
const char *libsql_sourceid(void){ return LSC_SOURCE_ID; }

int lsc_initialize(void){
  int rc = lscMemInstall();
  if( rc==SQLITE_OK ) rc = sqlite3_initialize();
#if !defined(_WIN32)
  if( rc==SQLITE_OK && pthread_atfork(0, 0, lscForked)!=0 ) rc = SQLITE_NOMEM;
#endif
  return rc;
}

int lsc_has_file(sqlite3 *db){
  int i;
  const char *name;
  for(i=0; (name = sqlite3_db_name(db, i))!=0; i++){
    const char *file = sqlite3_db_filename(db, name);
    if( file && file[0] ) return 1;
  }
  return 0;
}
