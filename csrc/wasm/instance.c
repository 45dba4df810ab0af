/*
** instance.c: instances of modules, and calls into them. Included by engine.c.
**
** An instance lives in a store of its own, which holds its memory and its limits, so that it can be thrown away: after a
** trap, and when its memory has grown because the module does not free what it was given. It serves one connection, and
** one call at a time.
*/
#define LSC_WASM_GROWTH (1024*1024)

/* Asked by wasmtime when a call went on for a tick: NULL lets it go on for another. */
static void *wtDeadline(void *pContext, void *pArg, u64 *pDelta, u8 *pKind){
  LscWasmInst *p = pArg;
  sqlite3 *db = p->db;
  u32 nTime = db->pLsc && db->pLsc->pWasm ? db->pLsc->pWasm->nTime : 0;
  (void)pContext;
  *pDelta = 1;
  *pKind = 0;
  if( p->nSeen!=p->nCall ){
    p->nSeen = p->nCall;
    p->nTick = 0;
  }
  p->nTick++;
  if( AtomicLoad(&db->u1.isInterrupted) || (p->pVdbe && lsc_interrupted(p->pVdbe))
   || (db->xProgress && db->xProgress(db->pProgressArg))
  ){
    p->why = LSC_WASM_INTERRUPTED;
  }else if( nTime>0 && p->nTick>=nTime/LSC_WASM_TICK ){
    p->why = LSC_WASM_TIMEOUT;
  }else{
    return 0;
  }
  return lscWtc.wasmtime_error_new("stopped");
}

static const char *wtTrapText(u8 code){
  static const char *const az[] = {
    "its calls are nested too deeply", "it used memory that it does not have", "it used memory that is not aligned",
    "it used an element of a table that it does not have", "it called a function that is not there",
    "it called a function of another type", "an integer overflowed", "it divided by zero",
    "a number does not fit into an integer", "it reached code that is marked unreachable"
  };
  return code<ArraySize(az) ? az[code] : code==11 ? "it used up its fuel" : 0;
}

/* What went wrong; consumes both. */
static int wtFailed(LscWasmInst *p, void *pError, void *pTrap, char **pzErr){
  int rc = SQLITE_ERROR;
  char *z = 0;
  if( p->why==LSC_WASM_INTERRUPTED ){
    rc = SQLITE_INTERRUPT;
    z = sqlite3_mprintf("%s", sqlite3ErrStr(rc));
  }else if( p->why==LSC_WASM_TIMEOUT ){
    z = sqlite3_mprintf("it ran for more than %u ms", p->db->pLsc->pWasm->nTime);
  }
  p->why = 0;
  if( pTrap ){
    u8 code = 255;
    if( z==0 && lscWtc.wasmtime_trap_code(pTrap, &code) && wtTrapText(code) ) z = sqlite3_mprintf("%s", wtTrapText(code));
    if( z==0 ){
      WtBytes text = {0, 0};
      lscWtc.wasm_trap_message(pTrap, &text);
      z = wtMessage(&text);
    }
    lscWtc.wasm_trap_delete(pTrap);
  }
  if( pError ){
    if( z==0 ) z = lscWasmErrorText(pError);
    else lscWtc.wasmtime_error_delete(pError);
  }
  *pzErr = z;
  return z ? rc : SQLITE_NOMEM_BKPT;
}

/* Around each entry into a module, so that the ticker and deadlines see it. */
static SQLITE_INLINE int wtEnterCall(LscWasmInst *p){
  if( p->inside ) return 0;         /* a progress handler that runs SQL came back to it */
  AtomicStore(&p->nCall, p->nCall+1);
  AtomicStore(&p->inside, 1);
  if( AtomicLoad(&lscWt.bTicking) || lscWasmTick() ) return 1;
  AtomicStore(&p->inside, 0);
  return 0;
}

static int wtNoCall(LscWasmInst *p, char **pzErr){
  *pzErr = sqlite3_mprintf(p->inside ? "it runs already" : "no thread could be started to watch over it");
  return *pzErr ? SQLITE_ERROR : SQLITE_NOMEM_BKPT;
}

static int lscWasmCall(LscWasmInst *p, const WtHandle *pFunc, WtRaw *a, int n, char **pzErr){
  void *pTrap = 0, *pError;
  if( !wtEnterCall(p) ) return wtNoCall(p, pzErr);
  if( p->nFuel ){
    pError = lscWtc.wasmtime_context_set_fuel(p->pContext, p->nFuel);
    if( pError ) lscWtc.wasmtime_error_delete(pError);
  }
  pError = lscWtc.wasmtime_func_call_unchecked(p->pContext, pFunc, a, (size_t)n, &pTrap);
  AtomicStore(&p->inside, 0);
  if( pError==0 && pTrap==0 ) return SQLITE_OK;
  return wtFailed(p, pError, pTrap, pzErr);
}

static int wtExportOf(LscWasmInst *p, const char *zName, u8 kind, WtHandle *pOut){
  WtExtern x;
  memset(&x, 0, sizeof(x));
  if( !lscWtc.wasmtime_instance_export_get(p->pContext, &p->instance, zName, strlen(zName), &x) || x.kind!=kind ) return 0;
  *pOut = x.of;
  return 1;
}

static void lscWasmInstUnref(LscWasmInst *p){
  if( p==0 || --p->nRef>0 ) return;
  wtEnter();
  if( p->ppThis ) *p->ppThis = p->pNext;
  if( p->pNext ) p->pNext->ppThis = p->ppThis;
  wtLeave();
  if( p->pStore ) lscWtc.wasmtime_store_delete(p->pStore);
  lscWasmModuleUnref(p->pModule);
  sqlite3_free(p);
}

/* Makes the instance of p, which has a module, a store and a place in the list. */
static int wtInstantiate(LscWasmInst *p, int bWasi, char **pzErr){
  void *pLinker = lscWtc.wasmtime_linker_new(lscWt.apEngine[p->pModule->iEngine]);
  void *pError = 0, *pTrap = 0;
  WtHandle start;
  if( bWasi ){
    pError = lscWtc.wasmtime_linker_define_wasi(pLinker);
    if( pError==0 ) pError = lscWtc.wasmtime_context_set_wasi(p->pContext, lscWtc.wasi_config_new());
  }
  if( pError==0 && wtEnterCall(p) ){
    pError = lscWtc.wasmtime_linker_instantiate(pLinker, p->pContext, p->pModule->pCode, &p->instance, &pTrap);
    AtomicStore(&p->inside, 0);
  }else if( pError==0 ){
    lscWtc.wasmtime_linker_delete(pLinker);
    return wtNoCall(p, pzErr);
  }
  lscWtc.wasmtime_linker_delete(pLinker);
  if( pError || pTrap ) return wtFailed(p, pError, pTrap, pzErr);
  if( p->pModule->bMemory ) (void)wtExportOf(p, "memory", WT_MEMORY, &p->memory);
  if( p->pModule->bMalloc ) (void)wtExportOf(p, "libsql_malloc", WT_FUNC, &p->xMalloc);
  if( p->pModule->bFree ) (void)wtExportOf(p, "libsql_free", WT_FUNC, &p->xFree);
  if( wtExportOf(p, "_initialize", WT_FUNC, &start) ){
    const LscWasmExport *pExport = lscWasmExport(p->pModule, "_initialize", "");
    WtRaw none[1];
    if( pExport && pExport->nParam==0 && pExport->nResult==0 ) return lscWasmCall(p, &start, none, 0, pzErr);
  }
  return SQLITE_OK;
}

/* The module of a slot for an engine that can do what the limits ask for. */
static int wtModuleFor(LscWasmSlot *pSlot, const LscWasmLimits *pLimits, char **pzErr){
  LscWasmModule *p = pSlot->pModule;
  int rc = SQLITE_OK;
  if( p->zImport && (p->bForeign || !pLimits->bWasi) ){
    *pzErr = sqlite3_mprintf("the module imports %s, which is not granted to it", p->zImport);
    return *pzErr ? SQLITE_ERROR : SQLITE_NOMEM_BKPT;
  }
  if( p->iEngine!=(pLimits->nFuel!=0) ){
    LscWasmModule *pNew = 0;
    rc = lscWasmModuleGet(p->aSource, p->nSource, p->bText, pLimits->nFuel!=0, &pNew, pzErr);
    if( rc==SQLITE_OK ){
      lscWasmModuleUnref(p);
      pSlot->pModule = pNew;
    }
  }
  return rc;
}

/* The slot's instance, made if need be. Borrowed. */
static int lscWasmInstance(LscWasmSlot *pSlot, LscWasmInst **pp, char **pzErr){
  const LscWasmLimits *pLimits = pSlot->bDefault ? &pSlot->pWasm->limits : &pSlot->limits;
  LscWasmInst *p;
  int rc;
  if( pSlot->pInst ){
    *pp = pSlot->pInst;
    return SQLITE_OK;
  }
  rc = wtModuleFor(pSlot, pLimits, pzErr);
  if( rc!=SQLITE_OK ) return rc;
  p = sqlite3MallocZero(sizeof(*p));
  if( p==0 ) return SQLITE_NOMEM_BKPT;
  p->nRef = 1;
  p->db = pSlot->pWasm->db;
  p->id = ++pSlot->pWasm->nInst;
  p->nFuel = pLimits->nFuel;
  p->pModule = pSlot->pModule;
  lscWasmModuleRef(p->pModule);
  p->pStore = lscWtc.wasmtime_store_new(lscWt.apEngine[p->pModule->iEngine], 0, 0);
  p->pContext = lscWtc.wasmtime_store_context(p->pStore);
  lscWtc.wasmtime_store_limiter(p->pStore, pLimits->nMemory, 1000000, 1, 16, 1);
  lscWtc.wasmtime_store_epoch_deadline_callback(p->pStore, wtDeadline, p, 0);
  lscWtc.wasmtime_context_set_epoch_deadline(p->pContext, 1);
  if( p->nFuel ){
    void *pError = lscWtc.wasmtime_context_set_fuel(p->pContext, p->nFuel);
    if( pError ) lscWtc.wasmtime_error_delete(pError);
  }
  wtEnter();
  p->pNext = lscWt.pInsts;
  if( p->pNext ) p->pNext->ppThis = &p->pNext;
  p->ppThis = &lscWt.pInsts;
  lscWt.pInsts = p;
  wtLeave();
  rc = wtInstantiate(p, pLimits->bWasi && p->pModule->zImport, pzErr);
  if( rc!=SQLITE_OK ){
    lscWasmInstUnref(p);
    return rc;
  }
  *pp = pSlot->pInst = p;
  return SQLITE_OK;
}

/* The next call of the slot gets a new instance. Aggregates and cursors under way keep theirs; a call under way, from
** which a progress handler came here, needs it, too. */
static void lscWasmDiscard(LscWasmSlot *pSlot, LscWasmInst *p){
  if( pSlot->pInst!=p || p->inside ) return;
  pSlot->pInst = 0;
  lscWasmInstUnref(p);
}

/* Called behind calls that take or give values in memory. */
static void lscWasmGrown(LscWasmSlot *pSlot, LscWasmInst *p){
  size_t n = lscWtc.wasmtime_memory_data_size(p->pContext, &p->memory);
  if( p->nBase==0 ){
    p->nBase = n;
  }else if( n>p->nBase+LSC_WASM_GROWTH && p->nLive==0 && !p->pModule->bFree ){
    lscWasmDiscard(pSlot, p);
  }
}

/* Looks up the function's exports in the instance. */
static int lscWasmBind(LscWasmFunc *pFunc, LscWasmInst *p){
  int i;
  for(i=0; i<FN_MAX; i++){
    if( pFunc->apExport[i] && !wtExportOf(p, pFunc->apExport[i]->zName, WT_FUNC, &pFunc->a[i]) ) return SQLITE_ERROR;
  }
  pFunc->iBound = p->id;
  return SQLITE_OK;
}

/* The slot for a module with these limits, NULL for those of the connection; a reference. */
static int lscWasmSlotGet(LscWasm *pWasm, LscWasmModule *pModule, const LscWasmLimits *pLimits, LscWasmSlot **pp){
  LscWasmSlot *p;
  for(p=pWasm->pSlots; p; p=p->pNext){
    if( p->pModule!=pModule || p->bDefault!=(pLimits==0) ) continue;
    if( pLimits==0 || (p->limits.nMemory==pLimits->nMemory && p->limits.nFuel==pLimits->nFuel
                       && p->limits.bWasi==pLimits->bWasi) ){
      p->nRef++;
      *pp = p;
      return SQLITE_OK;
    }
  }
  p = sqlite3MallocZero(sizeof(*p));
  if( p==0 ) return SQLITE_NOMEM_BKPT;
  p->nRef = 1;
  p->pWasm = pWasm;
  p->pModule = pModule;
  p->bDefault = pLimits==0;
  if( pLimits ) p->limits = *pLimits;
  lscWasmModuleRef(pModule);
  p->pNext = pWasm->pSlots;
  pWasm->pSlots = p;
  *pp = p;
  return SQLITE_OK;
}

static void lscWasmSlotUnref(LscWasmSlot *p){
  LscWasmSlot **pp;
  if( p==0 || --p->nRef>0 ) return;
  for(pp=&p->pWasm->pSlots; *pp!=p; pp=&(*pp)->pNext){}
  *pp = p->pNext;
  lscWasmInstUnref(p->pInst);
  lscWasmModuleUnref(p->pModule);
  sqlite3_free(p);
}
