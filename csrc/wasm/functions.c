/*
** functions.c: exported functions as SQL functions. Included by engine.c.
**
** A module makes the SQL function f by what it exports:
**
**   f(args) -> value                       a scalar function
**   f_step(state, args)                    } an aggregate; f_init() -> state and the last two may be left out, a state
**   f_finalize(state) -> value             } is any i32. With f_value(state) -> value and f_inverse(state, args) it is a
**   f_init, f_value, f_inverse             } window function, too
**   f_columns, f_open, f_next, ...         a table function, see table.c
**
** f_finalize() is called once for each f_init(), also when the rows are not wanted any more.
*/

/* What an aggregate keeps for a group. */
typedef struct WtAgg WtAgg;
struct WtAgg {
  LscWasmInst *pInst;         /* one reference, and a live one */
  int state;
  u8 bFailed;                 /* the module is not called again */
};

/* Reports an error of a call; consumes the text. */
static void wtFail(sqlite3_context *ctx, LscWasmFunc *pFunc, LscWasmInst *p, int rc, char *zErr){
  if( p ) lscWasmDiscard(pFunc->pSlot, p);
  if( rc==SQLITE_NOMEM || zErr==0 ){
    sqlite3_result_error_nomem(ctx);
  }else if( rc==SQLITE_INTERRUPT ){
    sqlite3_result_error_code(ctx, SQLITE_INTERRUPT);
  }else{
    char *z = sqlite3_mprintf("Calling function %s failed: %s", pFunc->zName, zErr);
    if( z ) sqlite3_result_error(ctx, z, -1);
    else sqlite3_result_error_nomem(ctx);
    sqlite3_free(z);
  }
  sqlite3_free(zErr);
}

/* The instance for the next call, with the function's handles; NULL after an error. */
static LscWasmInst *wtReady(sqlite3_context *ctx, LscWasmFunc *pFunc){
  LscWasmInst *p = 0;
  char *zErr = 0;
  int rc = lscWasmInstance(pFunc->pSlot, &p, &zErr);
  if( rc==SQLITE_OK && p->id!=pFunc->iBound && lscWasmBind(pFunc, p)!=SQLITE_OK ){
    zErr = sqlite3_mprintf("an export is missing");
    rc = SQLITE_ERROR;
  }
  if( rc==SQLITE_OK ) return p;
  wtFail(ctx, pFunc, 0, rc, zErr);
  return 0;
}

/* A call with values in memory, or of types that have to be looked at. */
static SQLITE_NOINLINE void wtScalarAny(sqlite3_context *ctx, LscWasmFunc *pFunc, LscWasmInst *p, sqlite3_value **argv){
  WtRaw a[LSC_WASM_MAX_ARGS+1], aArg[LSC_WASM_MAX_ARGS+1];
  char *zErr = 0;
  int n = pFunc->nArg;
  int rc = lscWasmPush(p, pFunc->aParam, n, argv, a, &zErr);
  if( rc==SQLITE_DONE ) return;           /* NULL */
  if( rc==SQLITE_OK ){
    memcpy(aArg, a, sizeof(WtRaw)*(size_t)n);
    rc = lscWasmCall(p, &pFunc->a[FN_CALL], a, n>0 ? n : 1, &zErr);
  }
  if( rc==SQLITE_OK ) rc = lscWasmResult(ctx, p, pFunc->result, a, &zErr);
  if( rc!=SQLITE_OK ){
    wtFail(ctx, pFunc, p, rc, zErr);
    return;
  }
  lscWasmFreeArgs(p, pFunc->aParam, n, argv, aArg);
  if( p->pModule->bMemory ) lscWasmGrown(pFunc->pSlot, p);
}

/* The short way, for numbers of the right types: nothing is allocated, looked up or locked. */
static void wtScalar(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  LscWasmFunc *pFunc = ctx->pFunc->pUserData;
  LscWasmInst *p = pFunc->pSlot->pInst;
  WtRaw a[LSC_WASM_MAX_ARGS+1];
  void *pTrap = 0, *pError;
  char *zErr = 0;
  int i;
  if( p==0 || p->id!=pFunc->iBound ){
    p = wtReady(ctx, pFunc);
    if( p==0 ) return;
  }
  p->pVdbe = ctx->pVdbe;
  for(i=0; i<argc; i++){
    if( pFunc->aParam[i]==WT_I64 && (argv[i]->flags & (MEM_Int|MEM_Str))==MEM_Int ){
      a[i].i64v = argv[i]->u.i;
    }else if( pFunc->aParam[i]==WT_F64 && (argv[i]->flags & (MEM_Real|MEM_Str))==MEM_Real ){
      a[i].f64v = argv[i]->u.r;
    }else{
      break;
    }
  }
  if( i<argc || pFunc->result==WT_I32 || p->nFuel || !wtEnterCall(p) ){
    wtScalarAny(ctx, pFunc, p, argv);
    return;
  }
  pError = lscWtc.wasmtime_func_call_unchecked(p->pContext, &pFunc->a[FN_CALL], a, (size_t)(argc>0 ? argc : 1), &pTrap);
  AtomicStore(&p->inside, 0);
  if( pError || pTrap ){
    int rc = wtFailed(p, pError, pTrap, &zErr);
    wtFail(ctx, pFunc, p, rc, zErr);
  }else if( pFunc->result==WT_I64 ){
    sqlite3_result_int64(ctx, a[0].i64v);
  }else{
    sqlite3_result_double(ctx, a[0].f64v);
  }
}

/* Handles for the instance that a group began with, which may be none of the slot's any more. */
static int wtAggBind(LscWasmFunc *pFunc, LscWasmInst *p){
  return p->id==pFunc->iBound ? SQLITE_OK : lscWasmBind(pFunc, p);
}

/* The state of a group, begun if need be; NULL after an error. */
static WtAgg *wtAggBegin(sqlite3_context *ctx, LscWasmFunc *pFunc, WtAgg *p){
  char *zErr = 0;
  WtRaw raw[1];
  int rc;
  if( p==0 ){
    sqlite3_result_error_nomem(ctx);
    return 0;
  }
  if( p->bFailed ) return 0;
  if( p->pInst==0 ){
    LscWasmInst *pInst = wtReady(ctx, pFunc);
    if( pInst==0 ){
      p->bFailed = 1;
      return 0;
    }
    pInst->nRef++;
    pInst->nLive++;
    p->pInst = pInst;
    pInst->pVdbe = ctx->pVdbe;
    if( pFunc->apExport[FN_INIT] ){
      memset(raw, 0, sizeof(raw));
      rc = lscWasmCall(pInst, &pFunc->a[FN_INIT], raw, 1, &zErr);
      if( rc!=SQLITE_OK ){
        p->bFailed = 1;
        wtFail(ctx, pFunc, pInst, rc, zErr);
        return 0;
      }
      p->state = raw[0].i32v;
    }
  }
  p->pInst->pVdbe = ctx->pVdbe;
  if( wtAggBind(pFunc, p->pInst)!=SQLITE_OK ){
    p->bFailed = 1;
    return 0;
  }
  return p;
}

static void wtAggRows(sqlite3_context *ctx, sqlite3_value **argv, int iFunc){
  LscWasmFunc *pFunc = ctx->pFunc->pUserData;
  WtAgg *p = wtAggBegin(ctx, pFunc, sqlite3_aggregate_context(ctx, sizeof(WtAgg)));
  WtRaw a[LSC_WASM_MAX_ARGS+2], aArg[LSC_WASM_MAX_ARGS+1];
  char *zErr = 0;
  int n = pFunc->nArg, rc;
  if( p==0 ) return;
  rc = lscWasmPush(p->pInst, pFunc->aParam, n, argv, aArg, &zErr);
  if( rc==SQLITE_DONE ) return;           /* a NULL among numbers: the row does not count */
  if( rc==SQLITE_OK ){
    a[0].i32v = p->state;
    memcpy(&a[1], aArg, sizeof(WtRaw)*(size_t)n);
    rc = lscWasmCall(p->pInst, &pFunc->a[iFunc], a, n+1, &zErr);
  }
  if( rc==SQLITE_OK ){
    lscWasmFreeArgs(p->pInst, pFunc->aParam, n, argv, aArg);
  }else{
    p->bFailed = 1;
    wtFail(ctx, pFunc, p->pInst, rc, zErr);
  }
}

static void wtStep(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  (void)argc;
  wtAggRows(ctx, argv, FN_STEP);
}

static void wtInverse(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  (void)argc;
  wtAggRows(ctx, argv, FN_INVERSE);
}

static void wtAggResult(sqlite3_context *ctx, WtAgg *p, int iFunc){
  LscWasmFunc *pFunc = ctx->pFunc->pUserData;
  WtRaw raw[1];
  char *zErr = 0;
  int rc;
  memset(raw, 0, sizeof(raw));
  raw[0].i32v = p->state;
  rc = lscWasmCall(p->pInst, &pFunc->a[iFunc], raw, 1, &zErr);
  if( rc==SQLITE_OK ) rc = lscWasmResult(ctx, p->pInst, pFunc->result, raw, &zErr);
  if( rc!=SQLITE_OK ){
    p->bFailed = 1;
    wtFail(ctx, pFunc, p->pInst, rc, zErr);
  }
}

static void wtValue(sqlite3_context *ctx){
  WtAgg *p = wtAggBegin(ctx, ctx->pFunc->pUserData, sqlite3_aggregate_context(ctx, sizeof(WtAgg)));
  if( p ) wtAggResult(ctx, p, FN_VALUE);
}

static void wtFinal(sqlite3_context *ctx){
  WtAgg none = {0, 0, 0};
  WtAgg *pAgg = sqlite3_aggregate_context(ctx, 0);
  WtAgg *p;
  if( pAgg==0 ) pAgg = &none;             /* no rows */
  p = wtAggBegin(ctx, ctx->pFunc->pUserData, pAgg);
  if( p ) wtAggResult(ctx, p, FN_FINAL);
  if( pAgg->pInst ){
    LscWasmFunc *pFunc = ctx->pFunc->pUserData;
    pAgg->pInst->nLive--;
    if( pAgg->pInst->pModule->bMemory ) lscWasmGrown(pFunc->pSlot, pAgg->pInst);
    lscWasmInstUnref(pAgg->pInst);
    pAgg->pInst = 0;
  }
}

static int wtBadSignature(char **pzErr, const LscWasmExport *p, const char *zWant){
  return wtError(pzErr, "the export %s must be %s", p->zName, zWant);
}

/* Arguments of an SQL function, from parameter iFirst on. */
static int wtArguments(LscWasmFunc *pFunc, const LscWasmModule *pModule, const LscWasmExport *p, int iFirst, char **pzErr){
  int i;
  if( p->nParam-iFirst>LSC_WASM_MAX_ARGS ){
    return wtError(pzErr, "%s takes more than %d arguments", p->zName, LSC_WASM_MAX_ARGS);
  }
  for(i=iFirst; i<p->nParam; i++){
    u8 type = p->aParam[i];
    if( type!=WT_I64 && type!=WT_F64 && type!=WT_I32 ){
      return wtError(pzErr, "parameter %d of %s is no i64, f64 or i32", i+1, p->zName);
    }
    if( type==WT_I32 && !pModule->bMemory ) return wtError(pzErr, "Memory \"memory\" not found in wasm module");
    if( type==WT_I32 && !pModule->bMalloc ){
      return wtError(pzErr, "the module exports no libsql_malloc(i32) -> i32, which %s needs for its arguments", p->zName);
    }
  }
  pFunc->aParam = &p->aParam[iFirst];
  pFunc->nArg = p->nParam - iFirst;
  return SQLITE_OK;
}

/* The result of an SQL function. */
static int wtResultType(LscWasmFunc *pFunc, const LscWasmModule *pModule, const LscWasmExport *p, char **pzErr){
  if( p->nResult!=1 || (p->result!=WT_I64 && p->result!=WT_F64 && p->result!=WT_I32) ){
    return wtError(pzErr, "%s must return one i64, f64 or i32", p->zName);
  }
  if( p->result==WT_I32 && !pModule->bMemory ) return wtError(pzErr, "Memory \"memory\" not found in wasm module");
  pFunc->result = p->result;
  return SQLITE_OK;
}

/* Whether it takes n times an i32 and returns one, or nothing. */
static int wtIs(const LscWasmExport *p, int n, int nResult){
  int i;
  if( p->nParam!=n || p->nResult!=nResult || (nResult && p->result!=WT_I32) ) return 0;
  for(i=0; i<n; i++) if( p->aParam[i]!=WT_I32 ) return 0;
  return 1;
}

static int wtAggregateKind(const LscWasmModule *pModule, const char *zName, LscWasmFunc *pFunc, char **pzErr){
  const LscWasmExport **ap = pFunc->apExport;
  int rc;
  ap[FN_INIT] = lscWasmExport(pModule, zName, "_init");
  ap[FN_VALUE] = lscWasmExport(pModule, zName, "_value");
  ap[FN_INVERSE] = lscWasmExport(pModule, zName, "_inverse");
  if( ap[FN_STEP]->nParam<1 || ap[FN_STEP]->aParam[0]!=WT_I32 || ap[FN_STEP]->nResult!=0 ){
    return wtBadSignature(pzErr, ap[FN_STEP], "(i32 state, arguments)");
  }
  rc = wtArguments(pFunc, pModule, ap[FN_STEP], 1, pzErr);
  if( rc==SQLITE_OK ) rc = wtResultType(pFunc, pModule, ap[FN_FINAL], pzErr);
  if( rc!=SQLITE_OK ) return rc;
  if( ap[FN_FINAL]->nParam!=1 || ap[FN_FINAL]->aParam[0]!=WT_I32 ){
    return wtBadSignature(pzErr, ap[FN_FINAL], "(i32 state) -> value");
  }
  if( ap[FN_INIT] && !wtIs(ap[FN_INIT], 0, 1) ) return wtBadSignature(pzErr, ap[FN_INIT], "() -> i32");
  if( ap[FN_VALUE]==0 || ap[FN_INVERSE]==0 ){
    ap[FN_VALUE] = ap[FN_INVERSE] = 0;
    return SQLITE_OK;
  }
  if( ap[FN_VALUE]->nParam!=1 || ap[FN_VALUE]->aParam[0]!=WT_I32 || ap[FN_VALUE]->nResult!=1
   || ap[FN_VALUE]->result!=pFunc->result
  ){
    return wtBadSignature(pzErr, ap[FN_VALUE], "as that which ends with _finalize");
  }
  if( ap[FN_INVERSE]->nParam!=ap[FN_STEP]->nParam || ap[FN_INVERSE]->nResult!=0
   || memcmp(ap[FN_INVERSE]->aParam, ap[FN_STEP]->aParam, (size_t)ap[FN_STEP]->nParam)!=0
  ){
    return wtBadSignature(pzErr, ap[FN_INVERSE], "as that which ends with _step");
  }
  return SQLITE_OK;
}

static int wtTableKind(const LscWasmModule *pModule, const char *zName, LscWasmFunc *pFunc, char **pzErr){
  const LscWasmExport **ap = pFunc->apExport;
  int rc;
  ap[FN_COLUMN] = lscWasmExport(pModule, zName, "_column");
  ap[FN_COLUMNS] = lscWasmExport(pModule, zName, "_columns");
  ap[FN_CLOSE] = lscWasmExport(pModule, zName, "_close");
  if( ap[FN_COLUMN]==0 || ap[FN_COLUMNS]==0 ){
    return wtError(pzErr, "a table function needs the exports %s_columns, _open, _next and _column", zName);
  }
  rc = wtArguments(pFunc, pModule, ap[FN_OPEN], 0, pzErr);
  if( rc==SQLITE_OK ) rc = wtResultType(pFunc, pModule, ap[FN_COLUMN], pzErr);
  if( rc!=SQLITE_OK ) return rc;
  if( ap[FN_OPEN]->nResult!=1 || ap[FN_OPEN]->result!=WT_I32 ){
    return wtBadSignature(pzErr, ap[FN_OPEN], "(arguments) -> i32 cursor");
  }
  if( !wtIs(ap[FN_COLUMNS], 0, 1) || !pModule->bMemory ) return wtBadSignature(pzErr, ap[FN_COLUMNS], "() -> i32 text");
  if( !wtIs(ap[FN_NEXT], 1, 1) ) return wtBadSignature(pzErr, ap[FN_NEXT], "(i32 cursor) -> i32");
  if( ap[FN_COLUMN]->nParam!=2 || ap[FN_COLUMN]->aParam[0]!=WT_I32 || ap[FN_COLUMN]->aParam[1]!=WT_I32 ){
    return wtBadSignature(pzErr, ap[FN_COLUMN], "(i32 cursor, i32 column) -> value");
  }
  if( ap[FN_CLOSE] && !wtIs(ap[FN_CLOSE], 1, 0) ) return wtBadSignature(pzErr, ap[FN_CLOSE], "(i32 cursor)");
  return SQLITE_OK;
}

/* Finds out what the module makes of the name, and fills pFunc. */
static int lscWasmKind(const LscWasmModule *pModule, const char *zName, LscWasmFunc *pFunc, char **pzErr){
  const LscWasmExport **ap = pFunc->apExport;
  ap[FN_CALL] = lscWasmExport(pModule, zName, "");
  if( ap[FN_CALL] ){
    int rc = wtArguments(pFunc, pModule, ap[FN_CALL], 0, pzErr);
    pFunc->kind = LSC_WASM_SCALAR;
    return rc==SQLITE_OK ? wtResultType(pFunc, pModule, ap[FN_CALL], pzErr) : rc;
  }
  ap[FN_STEP] = lscWasmExport(pModule, zName, "_step");
  ap[FN_FINAL] = lscWasmExport(pModule, zName, "_finalize");
  if( ap[FN_STEP] && ap[FN_FINAL] ){
    pFunc->kind = LSC_WASM_AGGREGATE;
    return wtAggregateKind(pModule, zName, pFunc, pzErr);
  }
  ap[FN_OPEN] = lscWasmExport(pModule, zName, "_open");
  ap[FN_NEXT] = lscWasmExport(pModule, zName, "_next");
  if( ap[FN_OPEN] && ap[FN_NEXT] ){
    pFunc->kind = LSC_WASM_TABLE_FUNCTION;
    return wtTableKind(pModule, zName, pFunc, pzErr);
  }
  return wtError(pzErr, "Function %s not found in Wasm module", zName);
}

/* Out of the list of functions, if it is there. */
static void wtUnlink(LscWasmFunc *p){
  LscWasmFunc **pp;
  if( p->bDropped ) return;
  for(pp=&p->pWasm->pFuncs; *pp && *pp!=p; pp=&(*pp)->pNext){}
  if( *pp ) *pp = p->pNext;
  p->bDropped = 1;
}

/* The destructor of SQL functions and of modules of table functions. */
static void lscWasmFuncFree(LscWasmFunc *p){
  if( p==0 ) return;
  wtUnlink(p);
  lscWasmSlotUnref(p->pSlot);
  sqlite3_free(p->zColumns);
  sqlite3_free(p);
}

static void wtFuncDestroy(void *p){ lscWasmFuncFree(p); }

/* Registers the function zName, folded, of the slot's module; takes the reference of the slot. */
static int lscWasmDefine(LscWasm *pWasm, const char *zName, LscWasmSlot *pSlot, int bStored, int bDeterministic, char **pzErr){
  int nName = sqlite3Strlen30(zName), rc;
  int flags = SQLITE_UTF8 | (bDeterministic ? SQLITE_DETERMINISTIC : 0);
  sqlite3 *db = pWasm->db;
  LscWasmFunc *p = sqlite3MallocZero(sizeof(*p) + (u64)nName);
  if( p==0 ){
    lscWasmSlotUnref(pSlot);
    return SQLITE_NOMEM_BKPT;
  }
  p->pWasm = pWasm;
  p->pSlot = pSlot;
  p->bStored = (u8)bStored;
  memcpy(p->zName, zName, (size_t)nName+1);
  p->bDropped = 1;
  rc = nName>255 ? wtError(pzErr, "the name is too long") : lscWasmKind(pSlot->pModule, zName, p, pzErr);
  if( rc!=SQLITE_OK ){
    lscWasmFuncFree(p);
    return rc;
  }
  if( p->kind==LSC_WASM_TABLE_FUNCTION ){
    LscWasmFunc *pOld, *pNext;
    for(pOld=pWasm->pFuncs; pOld; pOld=pNext){
      pNext = pOld->pNext;
      if( pOld->kind==LSC_WASM_TABLE_FUNCTION && strcmp(pOld->zName, zName)==0 ) wtUnlink(pOld);
    }
    sqlite3ExpirePreparedStatements(db, 1);
    rc = lscWasmTableDefine(p);
  }else if( p->kind==LSC_WASM_SCALAR ){
    rc = sqlite3_create_function_v2(db, zName, p->nArg, flags, p, wtScalar, 0, 0, wtFuncDestroy);
  }else if( p->apExport[FN_VALUE] ){
    rc = sqlite3_create_window_function(db, zName, p->nArg, flags, p, wtStep, wtFinal, wtValue, wtInverse, wtFuncDestroy);
  }else{
    rc = sqlite3_create_function_v2(db, zName, p->nArg, flags, p, 0, wtStep, wtFinal, wtFuncDestroy);
  }
  if( rc!=SQLITE_OK ){        /* p was destroyed */
    if( rc!=SQLITE_NOMEM ) *pzErr = sqlite3_mprintf("%s", sqlite3_errmsg(db));
    return rc;
  }
  if( p->kind!=LSC_WASM_TABLE_FUNCTION ) p->pDef = sqlite3FindFunction(db, zName, p->nArg, SQLITE_UTF8, 0);
  p->bDropped = 0;
  p->pNext = pWasm->pFuncs;
  pWasm->pFuncs = p;
  return SQLITE_OK;
}

/* Takes a function out of use. Statements that run keep it until they end: its FuncDef moves to a name that nobody can
** write, and stays there until the connection is closed. */
static void lscWasmUndefine(LscWasmFunc *p){
  sqlite3 *db = p->pWasm->db;
  FuncDef *pDef = p->pDef, **ppDef, *pFirst, *pNext, *pOld;
  if( p->kind==LSC_WASM_TABLE_FUNCTION ){
    wtUnlink(p);
    sqlite3ExpirePreparedStatements(db, 1);
    (void)sqlite3_create_module_v2(db, p->zName, 0, 0, 0);
    return;
  }
  if( db->nVdbeActive==0 && sqlite3_create_function_v2(db, p->zName, p->nArg, SQLITE_UTF8, 0, 0, 0, 0, 0)==SQLITE_OK ){
    return;
  }
  pFirst = sqlite3HashFind(&db->aFunc, p->zName);
  for(ppDef=&pFirst; *ppDef && *ppDef!=pDef; ppDef=&(*ppDef)->pNext){}
  if( *ppDef!=pDef ) return;
  pNext = pDef->pNext;
  pOld = sqlite3HashFind(&db->aFunc, LSC_WASM_DROPPED);
  if( sqlite3HashInsert(&db->aFunc, LSC_WASM_DROPPED, pDef)==pDef ){
    sqlite3OomFault(db);              /* it stays where it was */
    return;
  }
  pDef->pNext = pOld;
  pDef->funcFlags |= SQLITE_FUNC_INTERNAL;
  *ppDef = pNext;
  sqlite3HashInsert(&db->aFunc, pFirst ? pFirst->zName : p->zName, pFirst);
  wtUnlink(p);
  sqlite3ExpirePreparedStatements(db, 1);
}
