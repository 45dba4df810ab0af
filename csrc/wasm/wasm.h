/*
** wasm.h: what the files of csrc/wasm/ share: modules of the process, instances and functions of a connection.
**
** Owners: a module belongs to the process and is counted; it is compiled once for as many connections as use it, and
** some that nobody uses are kept. A slot is a module with limits in one connection, with its current instance. Functions
** refer to slots. An aggregate or a cursor under way holds on to its instance, which may be no longer the slot's.
**
** Locks: everything of a connection is guarded by its mutex. lscWt.mutex guards the list of modules, their counts and the
** list of instances; it is innermost and held for a few instructions, never during a compilation or a call.
*/
#ifndef LSC_WASM_H
#define LSC_WASM_H

#include "wasm/wasmtime.h"

#define LSC_WASM_TABLE "libsql_wasm_func_table"
#define LSC_WASM_MAX_ARGS 127
#define LSC_WASM_DROPPED "\001"                  /* where dropped functions are kept in the hash of functions */
#define LSC_WASM_MODULE_LIMIT (16*1024*1024)      /* bytes of a module, defaults of a connection */
#define LSC_WASM_MEMORY_LIMIT (64*1024*1024)
#define LSC_WASM_TIME_LIMIT 5000                  /* milliseconds of one call */

/* One exported function. The types are WT_..., or 255 for one that has no number. */
typedef struct LscWasmExport {
  char *zName;
  int nParam, nResult;
  u8 *aParam;                 /* nParam types */
  u8 result;                  /* of the first result */
} LscWasmExport;

typedef struct LscWasmModule LscWasmModule;
struct LscWasmModule {
  LscWasmModule *pNext;       /* in lscWt.pModules, the last used first */
  int nRef;
  u8 iEngine;                 /* 1: compiled to count fuel */
  u8 bText;                   /* the source is WAT */
  u8 bMemory;                 /* exports "memory" */
  u8 bMalloc, bFree;          /* exports libsql_malloc(), libsql_free() that can be called */
  void *pCode;                /* wasmtime's */
  u8 *aSource;                /* what it was compiled from, with a NUL behind it */
  i64 nSource;
  u32 hash;
  char *zImport;              /* the first import, "module"."name"; NULL: there is none */
  u8 bForeign;                /* an import is none of WASI's */
  int nExport;
  LscWasmExport *aExport;
};

typedef struct LscWasmLimits LscWasmLimits;
struct LscWasmLimits {
  i64 nMemory;                /* bytes */
  u64 nFuel;                  /* of one call, 0: not counted */
  u8 bWasi;                   /* WASI's imports are granted, without any file, argument, variable or stream */
};

typedef struct LscWasm LscWasm;
typedef struct LscWasmInst LscWasmInst;
typedef struct LscWasmSlot LscWasmSlot;
struct LscWasmSlot {
  LscWasmSlot *pNext;         /* in LscWasm.pSlots */
  LscWasm *pWasm;
  int nRef;
  LscWasmModule *pModule;
  LscWasmLimits limits;
  u8 bDefault;                /* the limits are those of the connection */
  LscWasmInst *pInst;         /* one reference; NULL until it is needed, and after a trap */
};

struct LscWasmInst {
  LscWasmInst *pNext, **ppThis;   /* in lscWt.pInsts */
  u64 id;                     /* of no other instance of the connection, ever */
  int nRef;
  int nLive;                  /* aggregates and cursors under way */
  sqlite3 *db;
  LscWasmModule *pModule;     /* one reference */
  void *pStore, *pContext;    /* wasmtime's */
  WtHandle instance, memory, xMalloc, xFree;
  u64 nFuel;
  size_t nBase;               /* bytes of memory after the first call, when it counts */
  Vdbe *pVdbe;                /* the statement, if it is known */
  u32 nCall;                  /* atomic: counts calls */
  u32 inside;                 /* atomic: a call is under way */
  u32 nSeen, nTick;           /* at deadlines: the call that was seen, how often */
  u32 nLast;                  /* the ticker's: nCall when it last looked, if that was inside */
  u8 why;                     /* why a deadline ended the call */
};
enum { LSC_WASM_INTERRUPTED = 1, LSC_WASM_TIMEOUT };

/* What a function is made of. */
enum { LSC_WASM_SCALAR, LSC_WASM_AGGREGATE, LSC_WASM_TABLE_FUNCTION };
enum { FN_CALL = 0, FN_STEP = 0, FN_OPEN = 0, FN_INIT = 1, FN_COLUMNS = 1, FN_FINAL = 2, FN_NEXT = 2, FN_VALUE = 3,
       FN_COLUMN = 3, FN_INVERSE = 4, FN_CLOSE = 4, FN_MAX = 5 };

typedef struct LscWasmFunc LscWasmFunc;
struct LscWasmFunc {
  u64 iBound;                 /* id of the instance that the handles belong to; 0: none */
  LscWasmSlot *pSlot;         /* one reference */
  WtHandle a[FN_MAX];
  const LscWasmExport *apExport[FN_MAX];  /* of the module; NULL for those it lacks */
  const u8 *aParam;           /* the types of the SQL function's arguments */
  int nArg;
  u8 kind;                    /* LSC_WASM_SCALAR ... */
  u8 result;                  /* type of a scalar's result */
  u8 bStored;                 /* it is in the database */
  u8 bDropped;                /* no longer in LscWasm.pFuncs */
  LscWasm *pWasm;
  LscWasmFunc *pNext;         /* in LscWasm.pFuncs */
  FuncDef *pDef;              /* NULL for a table function */
  char *zColumns;             /* of a table function, when known: its definition */
  int nColumn;
  char zName[1];              /* folded */
};

/* Of a connection; LscConn.pWasm. */
struct LscWasm {
  sqlite3 *db;
  LscWasmFunc *pFuncs;
  LscWasmSlot *pSlots;
  LscWasmLimits limits;
  i64 nModule;                /* bytes that a module may have */
  u32 nTime;                  /* milliseconds of one call, 0: no limit */
  u64 nInst;                  /* instances made so far */
  u8 off;                     /* LSC_WASM_... below */
  u8 bBusy;                   /* reads the table of functions */
  u8 bFailed;                 /* a look for a function failed, and said why */
  /* The schema when the stored functions were last compared with it. */
  const Schema *pSchema;
  int iGeneration, iCookie;
  u8 bTable;                  /* it has the table of functions */
};
enum { LSC_WASM_ON, LSC_WASM_OFF, LSC_WASM_LOCKED };

/* runtime.c. Errors are messages for sqlite3_free(); NULL is out of memory. */
static void lscWasmForked(void);
static int lscWasmReady(char **pzErr);
static int lscWasmModuleGet(const void *pSource, i64 n, int bText, int iEngine, LscWasmModule **pp, char **pzErr);
static void lscWasmModuleRef(LscWasmModule *p);
static void lscWasmModuleUnref(LscWasmModule *p);
static const LscWasmExport *lscWasmExport(const LscWasmModule *p, const char *zName, const char *zSuffix);
static char *lscWasmErrorText(void *pError);

/* sections.c. Fills in what a module exports and imports. */
static int lscWasmSections(LscWasmModule *p, const u8 *a, size_t n);

/* instance.c */
static int lscWasmInstance(LscWasmSlot *pSlot, LscWasmInst **pp, char **pzErr);
static void lscWasmInstUnref(LscWasmInst *p);
static int lscWasmBind(LscWasmFunc *pFunc, LscWasmInst *p);
static int lscWasmCall(LscWasmInst *p, const WtHandle *pFunc, WtRaw *a, int n, char **pzErr);
static void lscWasmDiscard(LscWasmSlot *pSlot, LscWasmInst *p);
static void lscWasmGrown(LscWasmSlot *pSlot, LscWasmInst *p);
static int lscWasmSlotGet(LscWasm *pWasm, LscWasmModule *pModule, const LscWasmLimits *pLimits, LscWasmSlot **pp);
static void lscWasmSlotUnref(LscWasmSlot *p);

/* values.c */
static int lscWasmPush(LscWasmInst *p, const u8 *aType, int n, sqlite3_value **apValue, WtRaw *a, char **pzErr);
static void lscWasmFreeArgs(LscWasmInst *p, const u8 *aType, int n, sqlite3_value **apValue, const WtRaw *a);
static int lscWasmResult(sqlite3_context *ctx, LscWasmInst *p, int type, const WtRaw *a, char **pzErr);
static int lscWasmText(LscWasmInst *p, const WtRaw *a, const char **pz, int *pn, char **pzErr);

/* functions.c */
static int lscWasmDefine(LscWasm *p, const char *zName, LscWasmSlot *pSlot, int bStored, int bDeterministic, char **pzErr);
static void lscWasmUndefine(LscWasmFunc *pFunc);
static int lscWasmKind(const LscWasmModule *pModule, const char *zName, LscWasmFunc *pFunc, char **pzErr);
static void lscWasmFuncFree(LscWasmFunc *p);

/* table.c */
static int lscWasmTableDefine(LscWasmFunc *pFunc);

/* stored.c */
static LscWasm *lscWasmOf(sqlite3 *db);
static int lscWasmQuery(sqlite3 *db, const char *zSql, const char *zName, sqlite3_stmt **ppStmt);
static void lscWasmForget(LscConn *pConn);

/* file.c */
static int lscWasmPragma(Parse *pParse, const char *zName, const char *zValue);

/* create.c. 0: not ours; else the statement was compiled or its error noted, and *pzSql is behind it. */
static int lscWasmParse(Parse *pParse, LscLex *p, int bDrop, int explain, const char **pzSql);

#endif
