/*
** sections.c: what a module exports and imports, read from its binary form. Included by engine.c.
**
** Wasmtime has compiled the module, so it is well formed; its own interface ends the process when it is asked for a type
** that it has no number for. Layout: "\0asm", a version, then sections: id (1 byte), length (LEB128), content.
*/
enum { WT_SECTION_TYPE = 1, WT_SECTION_IMPORT = 2, WT_SECTION_FUNCTION = 3, WT_SECTION_EXPORT = 7 };

/* A reader; bBad is set, and zeros are read, beyond the end and at what is not known. */
typedef struct WtReader { const u8 *a; size_t i, n; int bBad; } WtReader;

static u8 wtByte(WtReader *p){
  if( p->i<p->n ) return p->a[p->i++];
  p->bBad = 1;
  return 0;
}

static u64 wtNumber(WtReader *p){
  u64 v = 0;
  int shift;
  for(shift=0; shift<64; shift+=7){
    u8 c = wtByte(p);
    v |= (u64)(c & 0x7f)<<shift;
    if( c<0x80 ) return v;
  }
  p->bBad = 1;
  return 0;
}

static const u8 *wtTake(WtReader *p, u64 n){
  const u8 *a = &p->a[p->i];
  if( n>p->n-p->i ){
    p->bBad = 1;
    p->i = p->n;
    return p->a;
  }
  p->i += (size_t)n;
  return a;
}

static u8 wtType(WtReader *p){
  switch( wtByte(p) ){
    case 0x7f: return WT_I32;
    case 0x7e: return WT_I64;
    case 0x7d: return WT_F32;
    case 0x7c: return WT_F64;
    case 0x7b: case 0x70: case 0x6f: return 255;    /* v128, funcref, externref */
    default:
      p->bBad = 1;
      return 255;
  }
}

static void wtSkipLimits(WtReader *p){
  u64 flags = wtNumber(p);
  (void)wtNumber(p);
  if( flags & 1 ) (void)wtNumber(p);
}

/* The content of a section; empty if there is none. */
static WtReader wtSection(const u8 *a, size_t n, int id){
  WtReader r = {a, 8, n, 0}, none = {a, 0, 0, 0};
  while( r.i<r.n && !r.bBad ){
    int found = wtByte(&r);
    u64 nSection = wtNumber(&r);
    WtReader x = {wtTake(&r, nSection), 0, (size_t)nSection, 0};
    if( found==id && !r.bBad ) return x;
  }
  return none;
}

/* Where the function types begin, and the types of the functions; owned by the caller. */
typedef struct WtTypes { u32 *aType, *aFunc; u64 nType, nFunc; } WtTypes;

static int wtTypes(const u8 *a, size_t n, WtTypes *p){
  WtReader r = wtSection(a, n, WT_SECTION_TYPE), f = wtSection(a, n, WT_SECTION_FUNCTION);
  u64 i, j;
  p->nType = r.n ? wtNumber(&r) : 0;
  p->nFunc = f.n ? wtNumber(&f) : 0;
  if( r.bBad || f.bBad || p->nType>r.n || p->nFunc>f.n ) return SQLITE_ERROR;
  p->aType = sqlite3_malloc64((p->nType+1)*sizeof(u32));
  p->aFunc = sqlite3_malloc64((p->nFunc+1)*sizeof(u32));
  if( p->aType==0 || p->aFunc==0 ) return SQLITE_NOMEM_BKPT;
  for(i=0; i<p->nType && !r.bBad; i++){
    if( wtByte(&r)!=0x60 ) r.bBad = 1;
    p->aType[i] = (u32)(&r.a[r.i] - a);
    for(j=wtNumber(&r); j>0 && !r.bBad; j--) (void)wtType(&r);
    for(j=wtNumber(&r); j>0 && !r.bBad; j--) (void)wtType(&r);
  }
  for(i=0; i<p->nFunc && !f.bBad; i++){
    u64 iType = wtNumber(&f);
    if( iType>=p->nType ) f.bBad = 1;
    p->aFunc[i] = (u32)iType;
  }
  return r.bBad || f.bBad ? SQLITE_ERROR : SQLITE_OK;
}

/* Notes the imports, and how many of them are functions. */
static int wtImports(LscWasmModule *p, WtReader r, u64 *pnFunc){
  u64 i, n = r.n ? wtNumber(&r) : 0;
  *pnFunc = 0;
  for(i=0; i<n && !r.bBad; i++){
    u64 nModule = wtNumber(&r);
    const u8 *zModule = wtTake(&r, nModule);
    u64 nName = wtNumber(&r);
    const u8 *zName = wtTake(&r, nName);
    int bForeign = nModule!=22 || r.bBad || memcmp(zModule, "wasi_snapshot_preview1", 22)!=0;
    switch( wtByte(&r) ){
      case 0: (void)wtNumber(&r); (*pnFunc)++; break;
      case 1: (void)wtType(&r); wtSkipLimits(&r); break;
      case 2: wtSkipLimits(&r); break;
      case 3: (void)wtType(&r); (void)wtByte(&r); break;
      default: r.bBad = 1;
    }
    if( r.bBad || (p->zImport && (p->bForeign || !bForeign)) ) continue;
    p->bForeign = (u8)bForeign;
    sqlite3_free(p->zImport);
    p->zImport = sqlite3_mprintf("\"%.*s\".\"%.*s\"", (int)(nModule>100 ? 100 : nModule), zModule,
        (int)(nName>100 ? 100 : nName), zName);
    if( p->zImport==0 ) return SQLITE_NOMEM_BKPT;
  }
  return r.bBad ? SQLITE_ERROR : SQLITE_OK;
}

/* Notes a function of type r. */
static int wtExport(LscWasmModule *p, const u8 *zName, u64 nName, WtReader r){
  LscWasmExport *pNew = &p->aExport[p->nExport++];
  u64 n = wtNumber(&r), i;
  memset(pNew, 0, sizeof(*pNew));
  if( r.bBad || n>r.n ) return SQLITE_ERROR;
  pNew->zName = sqlite3_malloc64(nName + 1);
  pNew->aParam = sqlite3_malloc64(n + 1);
  if( pNew->zName==0 || pNew->aParam==0 ) return SQLITE_NOMEM_BKPT;
  memcpy(pNew->zName, zName, (size_t)nName);      /* one with zeros in it is found under none but its beginning */
  pNew->zName[nName] = 0;
  pNew->nParam = (int)n;
  for(i=0; i<n; i++) pNew->aParam[i] = wtType(&r);
  pNew->nResult = (int)wtNumber(&r);
  if( pNew->nResult>0 ) pNew->result = wtType(&r);
  if( r.bBad ) return SQLITE_ERROR;
  if( strlen(pNew->zName)!=nName ) pNew->zName[0] = 0;
  if( pNew->nParam==1 && pNew->aParam[0]==WT_I32 ){
    if( strcmp(pNew->zName, "libsql_malloc")==0 && pNew->nResult==1 && pNew->result==WT_I32 ) p->bMalloc = 1;
    if( strcmp(pNew->zName, "libsql_free")==0 && pNew->nResult==0 ) p->bFree = 1;
  }
  return SQLITE_OK;
}

static int wtExports(LscWasmModule *p, const u8 *a, size_t n, const WtTypes *pTypes, u64 nImport){
  WtReader r = wtSection(a, n, WT_SECTION_EXPORT);
  u64 nExport = r.n ? wtNumber(&r) : 0, i;
  int rc = SQLITE_OK;
  if( r.bBad || nExport>r.n ) return SQLITE_ERROR;
  p->aExport = sqlite3_malloc64((nExport+1)*sizeof(LscWasmExport));
  if( p->aExport==0 ) return SQLITE_NOMEM_BKPT;
  for(i=0; i<nExport && rc==SQLITE_OK; i++){
    u64 nName = wtNumber(&r);
    const u8 *zName = wtTake(&r, nName);
    int kind = wtByte(&r);
    u64 iFunc = wtNumber(&r);
    WtReader type = {a, 0, n, 0};
    if( r.bBad ) return SQLITE_ERROR;
    if( kind==2 && nName==6 && memcmp(zName, "memory", 6)==0 ) p->bMemory = 1;
    if( kind!=0 || iFunc<nImport ) continue;      /* an imported function that is exported again is none of its own */
    if( iFunc-nImport>=pTypes->nFunc ) return SQLITE_ERROR;
    type.i = pTypes->aType[pTypes->aFunc[iFunc-nImport]];
    rc = wtExport(p, zName, nName, type);
  }
  return rc;
}

static int lscWasmSections(LscWasmModule *p, const u8 *a, size_t n){
  WtTypes types = {0, 0, 0, 0};
  u64 nImport = 0;
  int rc = wtImports(p, wtSection(a, n, WT_SECTION_IMPORT), &nImport);
  if( rc==SQLITE_OK ) rc = wtTypes(a, n, &types);
  if( rc==SQLITE_OK ) rc = wtExports(p, a, n, &types, nImport);
  sqlite3_free(types.aType);
  sqlite3_free(types.aFunc);
  return rc;
}
