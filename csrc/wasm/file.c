/*
** file.c: functions that an application gives to its connection: from files, from Python; and settings. Included by
** engine.c.
*/

/* Registers the function whose name is the n bytes at z. */
static int wtDefineOne(
  LscWasm *p, LscWasmModule *pModule, const LscWasmLimits *pLimits, const char *z, int n, int bDeterministic, char **pzErr
){
  LscWasmSlot *pSlot = 0;
  char zName[256];
  int i, rc;
  if( n>=(int)sizeof(zName) ) return wtError(pzErr, "the name of a function has 1 to 255 bytes");
  for(i=0; i<n; i++) zName[i] = (char)sqlite3UpperToLower[(u8)z[i]];
  zName[n] = 0;
  rc = lscWasmSlotGet(p, pModule, pLimits, &pSlot);
  if( rc!=SQLITE_OK ) return rc;
  return lscWasmDefine(p, zName, pSlot, 0, bDeterministic && pModule->zImport==0, pzErr);
}

/* How many bytes of an export's name are that of an SQL function: 0 for a part of one that has its name from another. */
static int wtNameOf(const LscWasmModule *pModule, const char *z){
  static const char *const azPart[] = {"_step", "_finalize", "_init", "_value", "_inverse", "_next", "_columns", "_open",
                                       "_column", "_close"};
  int n = sqlite3Strlen30(z), i;
  if( n>255 || z[0]=='_' || strncmp(z, "libsql_", 7)==0 ) return 0;
  for(i=0; i<ArraySize(azPart); i++){
    const char *zMain = i<5 ? "_step" : "_next";
    int nPart = sqlite3Strlen30(azPart[i]);
    char zName[256];
    if( n<=nPart || strcmp(&z[n-nPart], azPart[i])!=0 ) continue;
    sqlite3_snprintf(sizeof(zName), zName, "%.*s", n-nPart, z);
    if( lscWasmExport(pModule, zName, zMain) ) return azPart[i]==azPart[i<5 ? 0 : 5] ? n-nPart : 0;
  }
  return n;
}

/* Registers all functions that the module exports; *pn counts them. */
static int wtDefineAll(LscWasm *p, LscWasmModule *pModule, int *pn, char **pzErr){
  int i, n, rc = SQLITE_OK;
  for(i=0; i<pModule->nExport && rc==SQLITE_OK; i++){
    n = wtNameOf(pModule, pModule->aExport[i].zName);
    if( n==0 ) continue;
    rc = wtDefineOne(p, pModule, 0, pModule->aExport[i].zName, n, 1, pzErr);
    (*pn)++;
  }
  return rc;
}

static int lsc_is_wasm_file(const char *zFile){
  int n = sqlite3Strlen30(zFile);
  return n>5 && sqlite3_stricmp(&zFile[n-5], ".wasm")==0;
}

static int wtReadFile(sqlite3 *db, i64 nMax, const char *zFile, u8 **pa, i64 *pn, char **pzErr){
  FILE *f = fopen(zFile, "rb");
  u8 *a = 0;
  i64 n = 0, nRoom = 65536;
  (void)db;
  if( f==0 ) return wtError(pzErr, "%s: cannot be opened", zFile);
  for(;;){
    u8 *aNew = sqlite3_realloc64(a, (u64)nRoom);
    size_t got;
    if( aNew==0 ){
      sqlite3_free(a);
      fclose(f);
      return SQLITE_NOMEM_BKPT;
    }
    a = aNew;
    got = fread(&a[n], 1, (size_t)(nRoom-n), f);
    n += (i64)got;
    if( n>nMax || n<nRoom ) break;
    nRoom *= 2;
  }
  if( ferror(f) || n>nMax ){
    int bLong = n>nMax;
    sqlite3_free(a);
    fclose(f);
    if( !bLong ) return wtError(pzErr, "%s: cannot be read", zFile);
    return wtError(pzErr, "%s is over the limit of %lld bytes, see PRAGMA libsql_wasm_module_size", zFile, nMax);
  }
  fclose(f);
  *pa = a;
  *pn = n;
  return SQLITE_OK;
}

/* load_extension('file.wasm'): registers what it exports, or the one function that is named as entry point. */
static int lsc_wasm_extension(sqlite3 *db, const char *zFile, const char *zProc, char **pzErr){
  LscWasm *p = lscWasmOf(db);
  LscWasmModule *pModule = 0;
  char *zErr = 0;
  u8 *a = 0;
  i64 n = 0;
  int nFunc = 0, rc;
  if( p==0 ) return SQLITE_NOMEM_BKPT;
  if( p->off ) rc = wtError(&zErr, "WebAssembly functions are switched off");
  else rc = wtReadFile(db, p->nModule, zFile, &a, &n, &zErr);
  if( rc==SQLITE_OK ) rc = lscWasmModuleGet(a, n, 0, p->limits.nFuel!=0, &pModule, &zErr);
  sqlite3_free(a);
  if( rc==SQLITE_OK && zProc ){
    rc = wtDefineOne(p, pModule, 0, zProc, sqlite3Strlen30(zProc), 1, &zErr);
  }else if( rc==SQLITE_OK ){
    rc = wtDefineAll(p, pModule, &nFunc, &zErr);
    if( rc==SQLITE_OK && nFunc==0 ) rc = wtError(&zErr, "%s exports no function", zFile);
  }
  lscWasmModuleUnref(pModule);
  if( pzErr ) *pzErr = zErr;
  else sqlite3_free(zErr);
  return rc;
}

int lsc_wasm_define(sqlite3 *db, const lsc_wasm *pWant, lsc_error *error){
  LscWasm *p;
  LscWasmModule *pModule = 0;
  LscWasmLimits limits;
  char *zErr = 0;
  int rc = SQLITE_OK;
  sqlite3_mutex_enter(db->mutex);
  p = lscWasmOf(db);
  if( p==0 ){
    rc = SQLITE_NOMEM_BKPT;
  }else if( pWant->source==0 ){
    LscWasmFunc *pFunc, *pNext;
    for(pFunc=p->pFuncs; pFunc; pFunc=pNext){
      pNext = pFunc->pNext;
      if( !pFunc->bStored && sqlite3StrICmp(pFunc->zName, pWant->name)==0 ) lscWasmUndefine(pFunc);
    }
  }else{
    limits.nMemory = pWant->memory>0 ? pWant->memory : p->limits.nMemory;
    limits.nFuel = pWant->fuel;
    limits.bWasi = (u8)(pWant->wasi!=0);
    if( pWant->n>p->nModule ){
      rc = wtError(&zErr, "a module of %lld bytes is over the limit of %lld, see PRAGMA libsql_wasm_module_size",
          pWant->n, p->nModule);
    }
    if( rc==SQLITE_OK ){
      rc = lscWasmModuleGet(pWant->source, pWant->n, pWant->is_text, limits.nFuel!=0, &pModule, &zErr);
    }
    if( rc==SQLITE_OK && pModule->zImport && (pModule->bForeign || !limits.bWasi) ){
      rc = wtError(&zErr, "the module imports %s, which is not granted to it", pModule->zImport);
    }
    if( rc==SQLITE_OK ){
      rc = wtDefineOne(p, pModule, &limits, pWant->name, sqlite3Strlen30(pWant->name), pWant->deterministic, &zErr);
    }
    lscWasmModuleUnref(pModule);
  }
  if( rc!=SQLITE_OK ){
    error->code = rc;
    error->text = rc==SQLITE_NOMEM ? 0 : zErr ? zErr : sqlite3_mprintf("%s", sqlite3_errmsg(db));
    if( error->text!=zErr ) sqlite3_free(zErr);
  }
  sqlite3_mutex_leave(db->mutex);
  return rc;
}

/* Whether the last failure was for want of the library. */
int lsc_wasm_missing(void){ return !AtomicLoad(&lscWt.bReady); }

/* Stored functions are loaded no more, and those that were are taken out of use. */
static void wtSwitch(LscWasm *p, int off){
  LscWasmFunc *pFunc, *pNext;
  p->off = (u8)off;
  p->pSchema = 0;
  for(pFunc=p->pFuncs; pFunc && off; pFunc=pNext){
    pNext = pFunc->pNext;
    if( pFunc->bStored ) lscWasmUndefine(pFunc);
  }
}

void lsc_wasm_lock(sqlite3 *db){
  LscWasm *p;
  sqlite3_mutex_enter(db->mutex);
  p = lscWasmOf(db);
  if( p ) wtSwitch(p, LSC_WASM_LOCKED);
  sqlite3_mutex_leave(db->mutex);
}

/* Instances with the connection's limits are made anew when these change. */
static void wtLimitsChanged(LscWasm *p){
  LscWasmSlot *pSlot;
  for(pSlot=p->pSlots; pSlot; pSlot=pSlot->pNext){
    if( pSlot->bDefault && pSlot->pInst ) lscWasmDiscard(pSlot, pSlot->pInst);
  }
}

static void wtPragmaNumber(Parse *pParse, const char *zName, const char *zValue, i64 nMax, i64 *pn){
  i64 n;
  if( zValue && sqlite3DecOrHexToI64(zValue, &n)==0 && n>=0 && n<=nMax ){
    *pn = n;
  }else if( zValue ){
    sqlite3ErrorMsg(pParse, "%s is a number from 0 to %lld", zName, nMax);
  }
  lscPragmaResult(pParse, zName, *pn);
}

/* PRAGMA libsql_wasm and its limits. Whether it is one of these, and done. */
static int lscWasmPragma(Parse *pParse, const char *zName, const char *zValue){
  LscWasm *p;
  i64 n;
  if( sqlite3_strnicmp(zName, "libsql_wasm", 11)!=0 ) return 0;
  p = lscWasmOf(pParse->db);
  if( p==0 ){
    sqlite3OomFault(pParse->db);
    return 1;
  }
  zName += 11;
  if( zName[0]==0 ){
    if( zValue==0 ) lscPragmaResult(pParse, "libsql_wasm", p->off==LSC_WASM_ON);
    else if( p->off!=LSC_WASM_LOCKED ) wtSwitch(p, sqlite3GetBoolean(zValue, 1) ? LSC_WASM_ON : LSC_WASM_OFF);
    else if( sqlite3GetBoolean(zValue, 1) ) sqlite3ErrorMsg(pParse, "WebAssembly functions are switched off");
    return 1;
  }
  if( zValue && p->off==LSC_WASM_LOCKED ){
    sqlite3ErrorMsg(pParse, "WebAssembly functions are switched off");
    return 1;
  }
  if( sqlite3StrICmp(zName, "_memory")==0 ){
    wtPragmaNumber(pParse, "libsql_wasm_memory", zValue, (i64)1<<32, &p->limits.nMemory);
  }else if( sqlite3StrICmp(zName, "_fuel")==0 ){
    n = (i64)p->limits.nFuel;
    wtPragmaNumber(pParse, "libsql_wasm_fuel", zValue, LARGEST_INT64, &n);
    p->limits.nFuel = (u64)n;
  }else if( sqlite3StrICmp(zName, "_time")==0 ){
    n = p->nTime;
    wtPragmaNumber(pParse, "libsql_wasm_time", zValue, 0x7fffffff, &n);
    p->nTime = (u32)n;
  }else if( sqlite3StrICmp(zName, "_module_size")==0 ){
    wtPragmaNumber(pParse, "libsql_wasm_module_size", zValue, 0x7fffffff, &p->nModule);
  }else{
    return 0;
  }
  if( zValue ) wtLimitsChanged(p);
  return 1;
}
