/*
** runtime.c: wasmtime's library, found and opened at the first use, and the modules that it compiled. Included by
** engine.c.
**
** There are two engines in a process, neither of which is ever freed: one that counts fuel and one that does not. Both
** check each access and each division in code, so that no signal handler is installed: the process belongs to others.
** Both look at an epoch in loops and at the start of functions. lscWasmTick() moves it while some call takes long; a
** deadline then asks whether the call may go on (instance.c), so a short call costs nothing.
*/
#if defined(_WIN32)
typedef SRWLOCK WtMutex;
# define LSC_WT_MUTEX SRWLOCK_INIT
# define wtEnter() AcquireSRWLockExclusive(&lscWt.mutex)
# define wtLeave() ReleaseSRWLockExclusive(&lscWt.mutex)
# define wtSleep() Sleep(LSC_WASM_TICK)
#else
# include <pthread.h>
typedef pthread_mutex_t WtMutex;
# define LSC_WT_MUTEX PTHREAD_MUTEX_INITIALIZER
# define wtEnter() (void)pthread_mutex_lock(&lscWt.mutex)
# define wtLeave() (void)pthread_mutex_unlock(&lscWt.mutex)
# define wtSleep() (void)usleep(LSC_WASM_TICK*1000)
#endif

#define LSC_WASM_TICK 10            /* milliseconds */
#define LSC_WASM_IDLE 100           /* ticks without any call until the ticker ends */
#define LSC_WASM_STACK (256*1024)   /* bytes of a module's own calls; threads have as little as 512 KiB */
#define LSC_WASM_KEPT 32            /* modules that nobody uses */
#define LSC_WASM_KEPT_BYTES (32*1024*1024)
#define LSC_WASM_HOW "pip install 'libsql-core[wasm]'"

static struct {
  WtMutex mutex;
  Wasmtime c;                       /* set before bReady is, then only read */
  u32 bReady;                       /* atomic */
  u32 bTicking;                     /* atomic: the ticker runs, or starts */
  void *apEngine[2];                /* the second counts fuel */
  int (*xFind)(char *zPath, int nPath);
  LscWasmModule *pModules;
  LscWasmInst *pInsts;
} lscWt = {LSC_WT_MUTEX, {0}, 0, 0, {0, 0}, 0, 0, 0};
#define lscWtc lscWt.c

static const char *const azWasmtime[] = {
#define WT_NAME(name, result, args) #name,
  LSC_WASMTIME_ROUTINES(WT_NAME)
};
static const char *const azWasmtimeOff[] = {
#define WT_OFF_NAME(name) #name,
  LSC_WASMTIME_OFF(WT_OFF_NAME)
};

void lsc_wasm_finder(int (*xFind)(char *zPath, int nPath)){ lscWt.xFind = xFind; }

/* In a forked child: no thread runs, and whoever held the mutex is gone. */
static void lscWasmForked(void){
#if !defined(_WIN32)
  (void)pthread_mutex_init(&lscWt.mutex, 0);
#endif
  AtomicStore(&lscWt.bTicking, 0);
}

/* The text of an error or a trap, which is freed. */
static char *wtMessage(WtBytes *p){
  char *z = sqlite3_mprintf("%.*s", (int)(p->n>4000 ? 4000 : p->n), p->a ? p->a : "");
  int n;
  lscWtc.wasm_byte_vec_delete(p);
  for(n=z ? sqlite3Strlen30(z) : 0; n>0 && (z[n-1]=='\n' || z[n-1]==' '); n--) z[n-1] = 0;
  return z;
}

static char *lscWasmErrorText(void *pError){
  WtBytes text = {0, 0};
  lscWtc.wasmtime_error_message(pError, &text);
  lscWtc.wasmtime_error_delete(pError);
  return wtMessage(&text);
}

static void *wtOpen(const char *zPath){
  return zPath && zPath[0] ? cryptoOpen(zPath, 0) : 0;
}

/* The library, from where it is likely: said by the environment, where Python has it, where the system has it. */
static void *wtLibrary(const char **pzTried){
  static const char *const azFile[] = {
#if defined(_WIN32)
    "wasmtime.dll"
#elif defined(__APPLE__)
    "libwasmtime.dylib"
#else
    "libwasmtime.so"
#endif
  };
  char zPath[4096];
  const char *zEnv = getenv("LIBSQL_CORE_WASMTIME");
  void *p;
  if( zEnv && zEnv[0] ){
    *pzTried = zEnv;
    return wtOpen(zEnv);
  }
  zPath[0] = 0;
  if( lscWt.xFind && lscWt.xFind(zPath, (int)sizeof(zPath)) && (p = wtOpen(zPath))!=0 ) return p;
  return wtOpen(azFile[0]);
}

static void *wtEngine(void *pLib, Wasmtime *c, int bFuel){
  void *pConfig = c->wasm_config_new();
  int i;
  if( pConfig==0 ) return 0;
  c->wasmtime_config_epoch_interruption_set(pConfig, true);
  c->wasmtime_config_consume_fuel_set(pConfig, bFuel!=0);
  c->wasmtime_config_signals_based_traps_set(pConfig, false);
  c->wasmtime_config_parallel_compilation_set(pConfig, false);  /* its threads would be missing in a forked child */
  c->wasmtime_config_max_wasm_stack_set(pConfig, LSC_WASM_STACK);
  c->wasmtime_config_memory_reservation_set(pConfig, 0);
  c->wasmtime_config_memory_guard_size_set(pConfig, 0);
  for(i=0; i<ArraySize(azWasmtimeOff); i++){
    void (*xSet)(void*, bool);
    void *pSym = cryptoSymbol(pLib, azWasmtimeOff[i]);
    if( pSym==0 ) continue;
    memcpy(&xSet, &pSym, sizeof(pSym));
    xSet(pConfig, false);
  }
  return c->wasm_engine_new_with_config(pConfig);
}

/* Opens the library and makes the engines, once in a process. */
static int lscWasmReady(char **pzErr){
  Wasmtime c;
  const char *zTried = 0;
  void *pLib, *apEngine[2];
  int i;
  if( AtomicLoad(&lscWt.bReady) ) return SQLITE_OK;
  pLib = wtLibrary(&zTried);
  if( pLib==0 ){
    *pzErr = zTried ? sqlite3_mprintf("LIBSQL_CORE_WASMTIME names no library that can be opened: %s", zTried)
                    : sqlite3_mprintf("WebAssembly functions need wasmtime, which was not found: " LSC_WASM_HOW);
    return SQLITE_ERROR;
  }
  for(i=0; i<ArraySize(azWasmtime); i++){
    void *pSym = cryptoSymbol(pLib, azWasmtime[i]);
    if( pSym==0 ){
      *pzErr = sqlite3_mprintf("this release of wasmtime does not fit, it lacks %s: " LSC_WASM_HOW, azWasmtime[i]);
      return SQLITE_ERROR;
    }
    memcpy((u8*)&c + (size_t)i*sizeof(void*), &pSym, sizeof(pSym));
  }
  apEngine[0] = wtEngine(pLib, &c, 0);
  apEngine[1] = wtEngine(pLib, &c, 1);
  if( apEngine[0]==0 || apEngine[1]==0 ) return SQLITE_NOMEM_BKPT;
  wtEnter();
  if( !AtomicLoad(&lscWt.bReady) ){
    lscWt.c = c;
    lscWt.apEngine[0] = apEngine[0];
    lscWt.apEngine[1] = apEngine[1];
    AtomicStore(&lscWt.bReady, 1);
  }
  wtLeave();
  return SQLITE_OK;
}

/* One tick: the epoch moves if a call runs that ran at the last one. Whether any call ran since then. */
static int wtTick(void){
  LscWasmInst *p;
  int bMove = 0, bCalls = 0;
  wtEnter();
  for(p=lscWt.pInsts; p; p=p->pNext){
    u32 n = AtomicLoad(&p->nCall);
    u32 inside = AtomicLoad(&p->inside);
    if( n!=p->nLast || inside ) bCalls = 1;
    if( n==p->nLast && inside ) bMove = 1;
    p->nLast = n;
  }
  wtLeave();
  if( bMove ){
    lscWtc.wasmtime_engine_increment_epoch(lscWt.apEngine[0]);
    lscWtc.wasmtime_engine_increment_epoch(lscWt.apEngine[1]);
  }
  return bCalls;
}

/* Runs until no call was made for a while. A call that began while it was about to end is seen by the last tick; one that
** begins later starts another ticker. */
static void wtTicker(void){
  int nIdle = 0;
  for(;;){
    wtSleep();
    if( wtTick() ){
      nIdle = 0;
    }else if( ++nIdle>=LSC_WASM_IDLE ){
      int bGoOn;
      AtomicStore(&lscWt.bTicking, 0);
      wtSleep();
      bGoOn = wtTick();
      wtEnter();
      bGoOn = bGoOn && !AtomicLoad(&lscWt.bTicking);
      if( bGoOn ) AtomicStore(&lscWt.bTicking, 1);
      wtLeave();
      if( !bGoOn ) return;
      nIdle = 0;
    }
  }
}

#if defined(_WIN32)
static DWORD WINAPI wtTickerThread(void *pUnused){ (void)pUnused; wtTicker(); return 0; }
static int wtThread(void){
  HANDLE h = CreateThread(0, 0, wtTickerThread, 0, 0, 0);
  if( h ) CloseHandle(h);
  return h!=0;
}
#else
static void *wtTickerThread(void *pUnused){ (void)pUnused; wtTicker(); return 0; }
static int wtThread(void){
  pthread_t thread;
  sigset_t all, old;
  int rc;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  rc = pthread_create(&thread, 0, wtTickerThread, 0);
  pthread_sigmask(SIG_SETMASK, &old, 0);
  if( rc==0 ) (void)pthread_detach(thread);
  return rc==0;
}
#endif

/* Called by the first call after a pause. Whether there is a ticker now: without one an endless loop would not end. */
static int lscWasmTick(void){
  int bRuns = 1;
  wtEnter();
  if( !AtomicLoad(&lscWt.bTicking) ){
    bRuns = wtThread();
    if( bRuns ) AtomicStore(&lscWt.bTicking, 1);
  }
  wtLeave();
  return bRuns;
}

static void wtModuleFree(LscWasmModule *p){
  int i;
  if( p->pCode ) lscWtc.wasmtime_module_delete(p->pCode);
  for(i=0; i<p->nExport; i++){
    sqlite3_free(p->aExport[i].zName);
    sqlite3_free(p->aExport[i].aParam);
  }
  sqlite3_free(p->aExport);
  sqlite3_free(p->zImport);
  sqlite3_free(p->aSource);
  sqlite3_free(p);
}

/* Compiles p->aSource. */
static int wtCompile(LscWasmModule *p, char **pzErr){
  WtBytes code = {0, 0};
  void *pError;
  int rc, bBinary = p->nSource>=4 && memcmp(p->aSource, "\0asm", 4)==0;
  if( bBinary ){
    pError = lscWtc.wasmtime_module_new(lscWt.apEngine[p->iEngine], p->aSource, (size_t)p->nSource, &p->pCode);
  }else{
    pError = lscWtc.wasmtime_wat2wasm((const char*)p->aSource, (size_t)p->nSource, &code);
    if( pError==0 ){
      pError = lscWtc.wasmtime_module_new(lscWt.apEngine[p->iEngine], (const u8*)code.a, code.n, &p->pCode);
    }
  }
  if( pError ){
    char *zText;
    if( code.a ) lscWtc.wasm_byte_vec_delete(&code);
    p->pCode = 0;
    zText = lscWasmErrorText(pError);
    if( zText ){
      *pzErr = sqlite3_mprintf(
          bBinary ? "Failed to compile module: %s" : p->bText ? "Failed to compile .wat module: %s"
                  : "Failed to compile module: it does not start as one, and it's not valid .wat either: %s", zText);
    }
    sqlite3_free(zText);
    return *pzErr ? SQLITE_ERROR : SQLITE_NOMEM_BKPT;
  }
  rc = code.a ? lscWasmSections(p, (const u8*)code.a, code.n) : lscWasmSections(p, p->aSource, (size_t)p->nSource);
  if( code.a ) lscWtc.wasm_byte_vec_delete(&code);
  if( rc==SQLITE_ERROR ) *pzErr = sqlite3_mprintf("Failed to compile module: it has types that are not known here");
  return rc;
}

static u32 wtHash(const u8 *a, i64 n){
  u32 h = 2166136261u ^ (u32)n;
  i64 i;
  for(i=0; i<n && i<4096; i++) h = (h ^ a[i])*16777619u;
  for(i=n>4096 ? n-4096 : n; i<n; i++) h = (h ^ a[i])*16777619u;
  return h;
}

/* The module with this source; it becomes the first. The mutex is held. */
static LscWasmModule *wtKnown(const void *pSource, i64 n, u32 hash, int bText, int iEngine){
  LscWasmModule **pp, *p;
  for(pp=&lscWt.pModules; (p = *pp)!=0; pp=&p->pNext){
    if( p->hash==hash && p->nSource==n && p->iEngine==iEngine && p->bText==bText && memcmp(p->aSource, pSource, (size_t)n)==0 ){
      *pp = p->pNext;
      p->pNext = lscWt.pModules;
      lscWt.pModules = p;
      p->nRef++;
      return p;
    }
  }
  return 0;
}

/* Takes modules that nobody uses out of the list, but for the last used. They are freed without the mutex. */
static LscWasmModule *wtSurplus(void){
  LscWasmModule **pp = &lscWt.pModules, *p, *pOut = 0;
  int nKept = 0;
  i64 nBytes = 0;
  while( (p = *pp)!=0 ){
    if( p->nRef==0 && (++nKept>LSC_WASM_KEPT || (nBytes += p->nSource)>LSC_WASM_KEPT_BYTES) ){
      *pp = p->pNext;
      p->pNext = pOut;
      pOut = p;
    }else{
      pp = &p->pNext;
    }
  }
  return pOut;
}

static int lscWasmModuleGet(const void *pSource, i64 n, int bText, int iEngine, LscWasmModule **pp, char **pzErr){
  u32 hash = wtHash(pSource, n);
  LscWasmModule *p, *pOther;
  int rc = lscWasmReady(pzErr);
  if( rc!=SQLITE_OK ) return rc;
  wtEnter();
  p = wtKnown(pSource, n, hash, bText, iEngine);
  wtLeave();
  if( p ){
    *pp = p;
    return SQLITE_OK;
  }
  p = sqlite3MallocZero(sizeof(*p));
  if( p==0 ) return SQLITE_NOMEM_BKPT;
  p->nRef = 1;
  p->iEngine = (u8)iEngine;
  p->bText = (u8)bText;
  p->hash = hash;
  p->nSource = n;
  p->aSource = sqlite3_malloc64((u64)n + 1);
  if( p->aSource==0 ){
    sqlite3_free(p);
    return SQLITE_NOMEM_BKPT;
  }
  memcpy(p->aSource, pSource, (size_t)n);
  p->aSource[n] = 0;
  rc = wtCompile(p, pzErr);
  if( rc!=SQLITE_OK ){
    wtModuleFree(p);
    return rc;
  }
  wtEnter();
  pOther = wtKnown(pSource, n, hash, bText, iEngine);     /* another thread was as quick */
  if( pOther==0 ){
    p->pNext = lscWt.pModules;
    lscWt.pModules = p;
  }
  wtLeave();
  if( pOther ) wtModuleFree(p);
  *pp = pOther ? pOther : p;
  return SQLITE_OK;
}

static void lscWasmModuleRef(LscWasmModule *p){
  wtEnter();
  p->nRef++;
  wtLeave();
}

static void lscWasmModuleUnref(LscWasmModule *p){
  LscWasmModule *pFree, *pNext;
  if( p==0 ) return;
  wtEnter();
  p->nRef--;
  pFree = wtSurplus();
  wtLeave();
  for(; pFree; pFree=pNext){
    pNext = pFree->pNext;
    wtModuleFree(pFree);
  }
}

/* The exported function zName followed by zSuffix, in any case if there is none in this one. */
static const LscWasmExport *lscWasmExport(const LscWasmModule *p, const char *zName, const char *zSuffix){
  int n = sqlite3Strlen30(zName), i;
  const LscWasmExport *pOther = 0;
  for(i=0; i<p->nExport; i++){
    const LscWasmExport *pExport = &p->aExport[i];
    if( sqlite3_strnicmp(pExport->zName, zName, n)!=0 || strcmp(&pExport->zName[n], zSuffix)!=0 ) continue;
    if( memcmp(pExport->zName, zName, (size_t)n)==0 ) return pExport;
    if( pOther==0 ) pOther = pExport;
  }
  return pOther;
}
