/*
** index_ddl.c: the life of a vector index in SQL. Included by engine.c.
**
** An index whose only key term is a call of libsql_vector_idx() is marked in Index.bLscVec wherever CREATE INDEX is
** parsed. Its own b-tree stays empty; what it holds is in the shadow tables. The planner does not see it.
**
** Everything happens when a statement is run, inside its transaction. Programs have no opcodes of ours: the KeyInfo of
** a marked index has a LscVecKey, by which the opcodes that write to an index or sort its rows know that they are to
** call us; and steps of CREATE, DROP, REINDEX and DELETE are calls of functions that no SQL can name. These run
** statements of their own on the connection, which neither the authorizer nor hooks nor counters get to see.
*/

/* Of a KeyInfo: which index it is of. Owned by it. */
typedef struct LscVecKey LscVecKey;
struct LscVecKey {
  u8 iDb;
  u8 mode;                          /* of the sorter that fills the index: VEC_... */
  char zName[FLEXARRAY];
};
enum { VEC_REINDEX=0, VEC_CREATE=1, VEC_NOTHING=2 };

static int lscInVacuum(sqlite3 *db){ return (db->mDbFlags & DBFLAG_Vacuum)!=0; }

/*
** The mark.
*/

/* The call of libsql_vector_idx() that an index term is, or NULL. */
static Expr *lscVecCall(Expr *pExpr){
  pExpr = sqlite3ExprSkipCollate(pExpr);
  if( pExpr==0 || pExpr->op!=TK_FUNCTION || ExprHasProperty(pExpr, EP_IntValue|EP_WinFunc) ) return 0;
  return sqlite3StrICmp(pExpr->u.zToken, "libsql_vector_idx")==0 ? pExpr : 0;
}

/* Whether text of a schema is read, checked by ALTER or copied by VACUUM, rather than a statement compiled. */
static int lscVecIsOld(Parse *pParse){
  return pParse->db->init.busy || pParse->eParseMode!=PARSE_MODE_NORMAL || lscInVacuum(pParse->db);
}

/* Called at each USING: in CREATE INDEX name USING word [, word] ..., reads over it and the words. It is how vector indexes
** were made until 2024; who makes one so now is told by lsc_vec_index(). */
static int lsc_vec_using(Parse *pParse, const char **pzSql){
  LscLex x;
  lscLexStart(&x, pParse->zTail, pParse->db);
  while( x.type==TK_SEMI ) lscLexNext(&x);
  if( x.type==TK_EXPLAIN && lscLexNext(&x)==TK_QUERY && lscLexNext(&x)==TK_PLAN ) lscLexNext(&x);
  if( x.type!=TK_CREATE ) return 0;
  if( lscLexNext(&x)==TK_UNIQUE ) lscLexNext(&x);
  if( x.type!=TK_INDEX ) return 0;
  if( lscLexNext(&x)==TK_IF && lscLexNext(&x)==TK_NOT && lscLexNext(&x)==TK_EXISTS ) lscLexNext(&x);
  if( lscLexNext(&x)==TK_DOT ){
    lscLexNext(&x);
    lscLexNext(&x);
  }
  if( x.t.z!=*pzSql ) return 0;
  do{
    if( !lscLexIsName(lscLexNext(&x)) ) return 0;
    *pzSql = x.t.z + x.t.n;
  }while( lscLexNext(&x)==TK_COMMA );
  pParse->bLscUsing = 1;
  return 1;
}

/* The terms of CREATE INDEX, before they are resolved: that of the old form becomes one of the new. */
static void lsc_vec_terms(Parse *pParse, ExprList *pList){
  static const Token name = {"libsql_vector_idx", 17};
  struct ExprList_item *pItem = &pList->a[0];
  if( pParse->eParseMode==PARSE_MODE_DECLARE_VTAB || lscVecCall(pItem->pExpr) ) return;
  sqlite3StringToId(pItem->pExpr);
  pItem->pExpr = sqlite3ExprFunction(pParse, sqlite3ExprListAppend(pParse, 0, pItem->pExpr), &name, 0);
}

static void lscVecUsingError(Parse *pParse, const Index *pIdx, const Expr *pCall){
  const Expr *pCol = pIdx->nKeyCol==1 && pCall && pCall->x.pList ? pCall->x.pList->a[0].pExpr : 0;
  int known = pCol!=0 && pCol->op==TK_COLUMN && pCol->iColumn>=0;
  sqlite3ErrorMsg(pParse, "vector index: USING syntax is deprecated, please use plain CREATE INDEX: "
      "CREATE INDEX %s ON %s ( libsql_vector_idx(%s) )", known ? pIdx->zName : "xxx",
      known ? pIdx->pTable->zName : "yyy", known ? pIdx->pTable->aCol[pCol->iColumn].zCnName : "zzz");
}

/* Called with the resolved terms of each index. Marks it, or notes an error in pParse and returns 1. */
static int lsc_vec_index(Parse *pParse, Index *pIdx){
  const ExprList *pArgs, *pList = pIdx->aColExpr;
  Table *pTab = pIdx->pTable;
  Expr *pCall = 0;
  const char *zReason;
  int i, type;
  u32 n;
  for(i=0; pCall==0 && pList && i<pIdx->nKeyCol; i++) pCall = lscVecCall(pList->a[i].pExpr);
  if( pParse->bLscUsing && !lscVecIsOld(pParse) ){
    lscVecUsingError(pParse, pIdx, pCall);
    return 1;
  }
  if( pCall==0 ) return 0;
  pArgs = pCall->x.pList;
  if( pIdx->nKeyCol!=1 ){
    sqlite3ErrorMsg(pParse, "vector index: must contain exactly one column wrapped into the libsql_vector_idx function");
  }else if( pList->a[0].pExpr->op==TK_COLLATE ){
    sqlite3ErrorMsg(pParse, "vector index: collation in expression is forbidden");
  }else if( pArgs==0 || pArgs->nExpr==0 ){
    sqlite3ErrorMsg(pParse, "vector idnex: libsql_vector_idx must contain at least one argument");
  }else if( pArgs->a[0].pExpr->op!=TK_COLUMN ){
    sqlite3ErrorMsg(pParse, "vector index: libsql_vector_idx first argument must be a column token");
  }else if( pArgs->a[0].pExpr->iColumn<0 ){
    sqlite3ErrorMsg(pParse, "vector index: libsql_vector_idx first argument must be column with vector type");
  }
  for(i=1; pParse->nErr==0 && i<pArgs->nExpr; i++){
    if( pArgs->a[i].pExpr->op!=TK_STRING ){
      sqlite3ErrorMsg(pParse, "vector index: all arguments after first must be strings");
    }
  }
  if( pParse->nErr==0 && !pParse->bLscUsing ){
    const char *zType = sqlite3ColumnType(&pTab->aCol[pArgs->a[0].pExpr->iColumn], "");
    zReason = lscColumnType(zType, &type, &n);
    if( zReason ) sqlite3ErrorMsg(pParse, "vector index: %s: %s", zReason, zType);
  }
  if( pParse->nErr==0 && !lscVecIsOld(pParse) ){
    if( IsUniqueIndex(pIdx) ){
      sqlite3ErrorMsg(pParse, "vector index: UNIQUE is not supported");
    }else if( !HasRowid(pTab) && sqlite3PrimaryKeyIndex(pTab)->nKeyCol!=1 ){
      sqlite3ErrorMsg(pParse, "vector index: unsupported for tables without ROWID and composite primary key");
    }
  }
  if( pParse->nErr ) return 1;
  pIdx->bLscVec = 1;
  pIdx->bNoQuery = 1;
  pIdx->onError = OE_None;          /* a file of libSQL's may say UNIQUE; it is not */
  return 0;
}

static void lsc_vec_key(Parse *pParse, const Index *pIdx, KeyInfo *pKey){
  int n = sqlite3Strlen30(pIdx->zName) + 1;
  LscVecKey *p = sqlite3DbMallocZero(pParse->db, offsetof(LscVecKey, zName) + n);
  if( p==0 ) return;
  p->iDb = (u8)sqlite3SchemaToIndex(pParse->db, pIdx->pSchema);
  memcpy(p->zName, pIdx->zName, n);
  pKey->pLscVec = p;
}

/*
** Steps of a program.
*/

/* What a connection shows of its statements, put aside while ours run. */
typedef struct LscNested {
  sqlite3_context *ctx;
  sqlite3 *db;
  sqlite3_xauth xAuth;
  void (*xUpdateCallback)(void*, int, const char*, const char*, sqlite_int64);
  void (*xPreUpdateCallback)(void*, sqlite3*, int, const char*, const char*, sqlite3_int64, sqlite3_int64);
  u64 flags;
  i64 lastRowid, nChange, nTotalChange;
  u8 mTrace;
  u8 expired;
} LscNested;

static void lscNestedBegin(LscNested *p, sqlite3_context *ctx){
  sqlite3 *db = sqlite3_context_db_handle(ctx);
  p->ctx = ctx;
  p->db = db;
  p->xAuth = db->xAuth;
  p->xUpdateCallback = db->xUpdateCallback;
  p->xPreUpdateCallback = db->xPreUpdateCallback;
  p->flags = db->flags;
  p->lastRowid = db->lastRowid;
  p->nChange = db->nChange;
  p->nTotalChange = db->nTotalChange;
  p->mTrace = db->mTrace;
  p->expired = ctx->pVdbe->expired;
  db->xAuth = 0;
  db->xUpdateCallback = 0;
  db->xPreUpdateCallback = 0;
  db->flags &= ~(u64)(SQLITE_EnableTrigger|SQLITE_ForeignKeys);
  db->mTrace = 0;
  db->nVDestroy++;                  /* the statement that calls us does not hinder ours that drop a table */
}

static void lscNestedEnd(LscNested *p){
  sqlite3 *db = p->db;
  db->xAuth = p->xAuth;
  db->xUpdateCallback = p->xUpdateCallback;
  db->xPreUpdateCallback = p->xPreUpdateCallback;
  db->flags = p->flags;
  db->lastRowid = p->lastRowid;
  db->nChange = p->nChange;
  db->nTotalChange = p->nTotalChange;
  db->mTrace = p->mTrace;
  db->nVDestroy--;
  p->ctx->pVdbe->expired = p->expired;      /* a change of the temp schema expires all statements */
}

/* Runs a statement of printf's format; SQLITE_ROW if it gave one. */
static int lscNestedRun(LscNested *p, const char *zFormat, ...){
  sqlite3_stmt *pStmt = 0;
  va_list ap;
  char *zSql;
  int rc, isRow;
  va_start(ap, zFormat);
  zSql = sqlite3_vmprintf(zFormat, ap);
  va_end(ap);
  if( zSql==0 ) return SQLITE_NOMEM_BKPT;
  rc = sqlite3_prepare_v2(p->db, zSql, -1, &pStmt, 0);
  sqlite3_free(zSql);
  if( rc!=SQLITE_OK ) return rc;
  isRow = sqlite3_step(pStmt)==SQLITE_ROW;
  rc = sqlite3_finalize(pStmt);
  return rc==SQLITE_OK && isRow ? SQLITE_ROW : rc;
}

/* The error of a statement: of ours zErr, which is freed, or else the code with zText for SQLITE_ERROR. */
static void lscNestedError(sqlite3_context *ctx, int rc, char *zErr, const char *zText){
  if( zErr ){
    sqlite3_result_error(ctx, zErr, -1);
  }else if( (rc & 0xff)==SQLITE_ERROR && zText ){
    sqlite3_result_error(ctx, zText, -1);
  }
  sqlite3_result_error_code(ctx, rc);
  sqlite3_free(zErr);
}

static int lscFindShadow(sqlite3 *db, const char *zDb, const char *zName, Table **ppTab){
  char *z = sqlite3_mprintf("%s_shadow", zName);
  *ppTab = z ? sqlite3FindTable(db, z, zDb) : 0;
  sqlite3_free(z);
  return z ? SQLITE_OK : SQLITE_NOMEM_BKPT;
}

/* Whether a table has one of the two shapes of a shadow table. */
static int lscIsShadow(const Table *p, int ownKey){
  return IsOrdinaryTable(p) && HasRowid(p) && p->nCol==2+ownKey && p->iPKey==0
      && sqlite3StrICmp(p->aCol[ownKey].zCnName, "index_key")==0
      && sqlite3StrICmp(p->aCol[ownKey+1].zCnName, "data")==0;
}

/* libsql_vector_create(schema, index, metadata, type of the key or NULL, mode): what an index needs besides its own
** b-tree. What is there is kept: so tables and rows that a dump restored are taken over, see Vdbe.lsc.vecAdopt. REINDEX
** makes metadata anew that say nothing, or are not of the column's type. */
static void lscVecCreateFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  const char *zDb = (const char*)sqlite3_value_text(argv[0]);
  const char *zName = (const char*)sqlite3_value_text(argv[1]);
  const char *zKey = (const char*)sqlite3_value_text(argv[3]);
  const char *zText = "vector index: unable to update global metadata table";
  int isCreate = sqlite3_value_int(argv[4])==VEC_CREATE;
  int ownKey = zKey!=0, iDb, nMeta = -1, rc;
  u8 aMeta[LSC_MAX_META+1];
  LscIndexParams params, made;
  LscNested s;
  Table *pTab = 0;
  (void)argc;
  lscNestedBegin(&s, ctx);
  iDb = sqlite3FindDbName(s.db, zDb);
  ctx->pVdbe->lsc.vecSchema = (u8)(iDb+1);
  ctx->pVdbe->lsc.vecAdopt = 0;
  rc = lscNestedRun(&s, "CREATE TABLE IF NOT EXISTS \"%w\"." META_TABLE
      " ( name TEXT PRIMARY KEY, metadata BLOB ) WITHOUT ROWID", zDb);
  if( rc==SQLITE_OK ) rc = lscIndexMetaRead(s.db, iDb, zName, aMeta, &nMeta);
  if( rc==SQLITE_OK ) rc = lscFindShadow(s.db, zDb, zName, &pTab);
  if( rc!=SQLITE_OK ) goto out;

  zText = "vector index: unable to initialize diskann";
  if( pTab==0 && ownKey ){
    rc = lscNestedRun(&s, "CREATE TABLE \"%w\".%s_shadow"
        " (rowid INTEGER PRIMARY KEY, index_key  %s, data BLOB, UNIQUE (index_key))", zDb, zName, zKey);
  }else if( pTab==0 ){
    rc = lscNestedRun(&s, "CREATE TABLE \"%w\".%s_shadow (index_key  INTEGER , data BLOB, PRIMARY KEY (index_key))",
        zDb, zName);
  }else if( !lscIsShadow(pTab, ownKey) ){
    rc = SQLITE_ERROR;
  }else if( isCreate && nMeta>=0 ){
    rc = lscNestedRun(&s, "SELECT 1 FROM \"%w\".%s_shadow LIMIT 1", zDb, zName);
    if( rc==SQLITE_ROW ){
      ctx->pVdbe->lsc.vecAdopt = 1;
      rc = SQLITE_OK;
      goto out;
    }
  }
  if( rc==SQLITE_OK && (isCreate || pTab==0) ){
    rc = lscNestedRun(&s, "CREATE INDEX IF NOT EXISTS \"%w\".%s_shadow_idx ON %s_shadow (%s)",
        zDb, zName, zName, ownKey ? "rowid" : "index_key");
  }
  if( rc==SQLITE_OK && (isCreate || nMeta<0 || lscIndexMetaDecode(aMeta, nMeta, &params)!=SQLITE_OK
   || lscIndexMetaDecode(sqlite3_value_blob(argv[2]), sqlite3_value_bytes(argv[2]), &made)!=SQLITE_OK
   || params.type!=made.type || params.n!=made.n) ){
    zText = "vector index: unable to update global metadata table";
    rc = lscIndexMetaWrite(s.db, iDb, zName, sqlite3_value_blob(argv[2]), sqlite3_value_bytes(argv[2]));
  }
out:
  lscNestedEnd(&s);
  if( rc!=SQLITE_OK ) lscNestedError(ctx, rc==SQLITE_NOTFOUND ? SQLITE_ERROR : rc, 0, zText);
}

/* libsql_vector_drop(schema, index): the index is gone already, also from the schema in memory. */
static void lscVecDropFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  const char *zDb = (const char*)sqlite3_value_text(argv[0]);
  const char *zName = (const char*)sqlite3_value_text(argv[1]);
  int iDb, rc;
  LscNested s;
  Table *pTab;
  (void)argc;
  lscNestedBegin(&s, ctx);
  iDb = sqlite3FindDbName(s.db, zDb);
  ctx->pVdbe->lsc.vecSchema = (u8)(iDb+1);
  rc = lscFindShadow(s.db, zDb, zName, &pTab);
  if( pTab && (lscIsShadow(pTab, 0) || lscIsShadow(pTab, 1)) ){
    rc = lscNestedRun(&s, "DROP TABLE \"%w\".\"%w_shadow\"", zDb, zName);
  }
  if( rc==SQLITE_OK ) rc = lscIndexMetaWrite(s.db, iDb, zName, 0, 0);
  if( rc==SQLITE_NOTFOUND ) rc = SQLITE_OK;
  lscNestedEnd(&s);
  if( rc!=SQLITE_OK ) lscNestedError(ctx, rc, 0, 0);
}

/* libsql_vector_clear(schema, index): DELETE without WHERE. */
static void lscVecClearFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  sqlite3 *db = sqlite3_context_db_handle(ctx);
  LscIndex *pIndex = 0;
  char *zErr = 0;
  int rc;
  (void)argc;
  rc = lscIndexOpen(db, sqlite3FindDbName(db, (const char*)sqlite3_value_text(argv[0])),
                    (const char*)sqlite3_value_text(argv[1]), &pIndex, &zErr);
  if( rc==SQLITE_OK ) rc = lscIndexClear(pIndex, &zErr);
  if( pIndex ) lscIndexClose(pIndex);
  if( rc!=SQLITE_OK ) lscNestedError(ctx, rc, zErr, 0);
}

/* Codes a call of one of the above. Its first two arguments are in reg and reg+1. */
static void lscVecCodeCall(Parse *pParse, const FuncDef *pFunc, int iDb, const char *zName, int reg){
  Vdbe *v = pParse->pVdbe;
  sqlite3VdbeLoadString(v, reg, pParse->db->aDb[iDb].zDbSName);
  sqlite3VdbeLoadString(v, reg+1, zName);
  sqlite3VdbeAddFunctionCall(pParse, 0, reg, reg+pFunc->nArg, pFunc->nArg, pFunc, 0);
  sqlite3MultiWrite(pParse);
}

#define LSC_STEP(xFunc, nArg, zName) \
  {nArg, SQLITE_FUNC_BUILTIN|SQLITE_FUNC_INTERNAL|SQLITE_UTF8, 0, 0, xFunc, 0, 0, 0, zName, {0}}

/* Whether <name>_shadow can stand in SQL without quotes, as libSQL writes it there. */
static int lscVecNameFits(const char *zName, sqlite3 *db){
  char *z = sqlite3MPrintf(db, "%s_shadow", zName);
  LscLex x;
  int fits = 0;
  if( z ){
    lscLexStart(&x, z, 0);
    fits = x.type==TK_ID && sqlite3Isquote(z[0])==0 && x.t.z==z && z[x.t.n]==0;
  }
  sqlite3DbFree(db, z);
  return fits;
}

/* The type that the key has in the shadow table, if that is not its rowid: NULL, or for sqlite3DbFree(). */
static char *lscVecKeyType(sqlite3 *db, Table *pTab){
  const char *zColl, *zType = "BLOB";
  const Index *pPk;
  char aff;
  if( HasRowid(pTab) ) return 0;
  pPk = sqlite3PrimaryKeyIndex(pTab);
  zColl = pPk->azColl[0];
  if( sqlite3StrICmp(zColl, sqlite3StrBINARY)==0 ) zColl = "";
  aff = sqlite3TableColumnAffinity(pTab, pPk->aiColumn[0]);
  if( aff==SQLITE_AFF_INTEGER && zColl[0]==0 ) return 0;
  switch( aff ){
    case SQLITE_AFF_TEXT: zType = "TEXT"; break;
    case SQLITE_AFF_REAL: zType = "REAL"; break;
    case SQLITE_AFF_NUMERIC: zType = "NUMERIC"; break;
    case SQLITE_AFF_INTEGER: zType = "INTEGER"; break;
  }
  return sqlite3MPrintf(db, "%s %s", zType, zColl);
}

static void lscVecCodeCreate(Parse *pParse, const Index *pIdx, int mode){
  static const FuncDef create = LSC_STEP(lscVecCreateFunc, 5, "libsql_vector_create");
  sqlite3 *db = pParse->db;
  Vdbe *v = sqlite3GetVdbe(pParse);
  const Expr *pCall = lscVecCall(pIdx->aColExpr->a[0].pExpr);
  const ExprList *pArgs = pCall->x.pList;
  Table *pTab = pIdx->pTable;
  int iDb = sqlite3SchemaToIndex(db, pIdx->pSchema);
  int reg = pParse->nMem + 1;
  char *zKey = lscVecKeyType(db, pTab);
  LscMeta meta;
  if( v==0 ) goto out;
  if( lscIndexMetaEncode(pParse, sqlite3ColumnType(&pTab->aCol[pArgs->a[0].pExpr->iColumn], ""), pArgs,
                         db->aDb[iDb].pBt->pBt->usableSize, &meta) ) goto out;
  if( lscMetaGet(&meta, META_KIND)==KIND_COMPACT
   && (zKey || (pTab->aCol[pArgs->a[0].pExpr->iColumn].colFlags & COLFLAG_VIRTUAL)) ){
    sqlite3ErrorMsg(pParse, "vector index: unable to initialize diskann: type=compact wants a table with rowids, and a"
                    " column that is stored");
    goto out;
  }
  if( !lscVecNameFits(pIdx->zName, db) || (zKey && !lscVecNameFits(strchr(zKey, ' ')+1, db)) ){
    sqlite3ErrorMsg(pParse, "vector index: unable to initialize diskann");
    goto out;
  }
  pParse->nMem += 6;
  sqlite3VdbeAddOp4(v, OP_Blob, meta.n, reg+2, 0, (const char*)meta.a, meta.n);
  if( zKey ){
    sqlite3VdbeLoadString(v, reg+3, zKey);
  }else{
    sqlite3VdbeAddOp2(v, OP_Null, 0, reg+3);
  }
  sqlite3VdbeAddOp2(v, OP_Integer, mode, reg+4);
  lscVecCodeCall(pParse, &create, iDb, pIdx->zName, reg);
out:
  sqlite3DbFree(db, zKey);
}

/* CREATE INDEX, in front of the row in sqlite_schema. VACUUM copies the shadow tables as the tables that they are. */
static void lsc_vec_create(Parse *pParse, const Index *pIdx){
  if( !lscInVacuum(pParse->db) ) lscVecCodeCreate(pParse, pIdx, VEC_CREATE);
}

/* CREATE INDEX and REINDEX, in front of the loop over the rows. */
static void lsc_vec_refill(Parse *pParse, const Index *pIdx, KeyInfo *pKey, int isCreate){
  if( !isCreate ) lscVecCodeCreate(pParse, pIdx, VEC_REINDEX);
  if( pKey==0 || pKey->pLscVec==0 ) return;
  pKey->pLscVec->mode = lscInVacuum(pParse->db) ? VEC_NOTHING : isCreate ? VEC_CREATE : VEC_REINDEX;
}

/* DROP INDEX and DROP TABLE, at the end. */
static void lsc_vec_drop(Parse *pParse, const Index *pIdx, int iDb){
  static const FuncDef drop = LSC_STEP(lscVecDropFunc, 2, "libsql_vector_drop");
  int reg = pParse->nMem + 1;
  pParse->nMem += 3;
  lscVecCodeCall(pParse, &drop, iDb, pIdx->zName, reg);
}

static void lsc_vec_drop_table(Parse *pParse, const Table *pTab, int iDb){
  const Index *pIdx;
  for(pIdx=pTab->pIndex; pIdx; pIdx=pIdx->pNext){
    if( pIdx->bLscVec ) lsc_vec_drop(pParse, pIdx, iDb);
  }
}

/* DELETE without WHERE. */
static void lsc_vec_clear(Parse *pParse, const Index *pIdx, int iDb){
  static const FuncDef clear = LSC_STEP(lscVecClearFunc, 2, "libsql_vector_clear");
  int reg = pParse->nMem + 1;
  pParse->nMem += 3;
  lscVecCodeCall(pParse, &clear, iDb, pIdx->zName, reg);
}

/* Any statement that writes rows: it changes many pages, and one that fails must undo them all. */
static void lsc_vec_may_abort(Parse *pParse){
  sqlite3MultiWrite(pParse);
  sqlite3MayAbort(pParse);
}

/* A statement ended. If it failed, what it put into the schema in memory is undone in the file. */
static void lsc_vec_step_end(Vdbe *p){
  int iDb = p->lsc.vecSchema - 1;
  if( iDb<0 || p->eVdbeState==VDBE_RUN_STATE ) return;
  p->lsc.vecSchema = 0;
  if( p->rc==SQLITE_OK || iDb>=p->db->nDb ) return;
  sqlite3BtreeEnterAll(p->db);
  sqlite3ResetOneSchema(p->db, iDb);
  sqlite3BtreeLeaveAll(p->db);
}
