/*
** alter_text.c: the SQL function libsql_alter_column(sql, schema, table, column, definition), which gives the text of a
** CREATE TABLE with one column definition exchanged, or refuses. Included by engine.c.
**
** Only text that SQLite composes itself can call it; still it takes any argument without harm. The result is parsed
** before it is given out, and compared with the table as it is loaded: what would need another b-tree, or another order
** in the one of the rows, cannot be changed by changing text.
*/

/* What must not change, in the order in which it is looked for. */
static const char lscPrimaryKey[] = "PRIMARY KEY constraint";
static const char lscUnique[] = "UNIQUE constraint";
static const char lscGenerated[] = "GENERATED constraint";
static const char lscKeyCollation[] = "collation of a WITHOUT ROWID key";
static const char lscStored[] = "expression of a STORED column";

/* Finds definition number iCol in a CREATE TABLE text. Gives SQLITE_CORRUPT if the text has no such place. */
static int lscAlterFindSpan(const char *zSql, int iCol, LscSpan *p){
  LscLex x;
  int start = 0, end = 0;
  lscLexStart(&x, zSql, 0);
  while( x.type!=0 && x.type!=TK_LP ) lscLexNext(&x);
  while( x.type!=0 && iCol>=0 ){
    lscLexNext(&x);                           /* behind the parenthesis or comma in front of the definition */
    start = end = (int)(x.t.z - zSql);
    while( x.type!=0 && x.type!=TK_COMMA && x.type!=TK_RP ){
      if( x.type==TK_LP ) lscLexSkipGroup(&x);
      end = (int)(x.t.z - zSql) + (int)x.t.n;
      lscLexNext(&x);
    }
    if( x.type==TK_RP && iCol>0 ) return SQLITE_CORRUPT_BKPT;
    iCol--;
  }
  if( x.type==0 || start==end ) return SQLITE_CORRUPT_BKPT;
  p->iStart = start;
  p->iEnd = end;
  return SQLITE_OK;
}

/* Whether a new definition leaves the column its collation. The last one counts; what is tried out has none at all. */
static int lscAlterSameColl(sqlite3 *db, Column *pCol, const Token *pDef){
  const char *zOld = sqlite3ColumnColl(pCol);
  char *zNew = 0;
  Token name = {0, 0};
  LscLex x;
  int same;
  lscLexStart(&x, pDef->z, db);
  while( x.type!=0 && x.t.z<pDef->z+pDef->n ){
    if( x.type==TK_LP ) lscLexSkipGroup(&x);
    if( x.type==TK_COLLATE ){
      lscLexNext(&x);
      name = x.t;
    }
    lscLexNext(&x);
  }
  if( name.n ) zNew = sqlite3NameFromToken(db, &name);
  same = sqlite3StrICmp(zOld ? zOld : sqlite3StrBINARY, zNew ? zNew : sqlite3StrBINARY)==0;
  sqlite3DbFree(db, zNew);
  return same;
}

/* The indexes that stand for constraints: the schema knows them by their number only. */
static int lscAlterCountKeys(Table *pTab){
  Index *p;
  int n = 0;
  for(p=pTab->pIndex; p; p=p->pNext) n++;
  return n;
}

/* Whether the rows of a WITHOUT ROWID table are in the order of this column. */
static int lscAlterInKey(Table *pTab, int iCol){
  Index *p = HasRowid(pTab) ? 0 : sqlite3PrimaryKeyIndex(pTab);
  int i;
  for(i=0; p && i<p->nKeyCol; i++){
    if( p->aiColumn[i]==iCol ) return 1;
  }
  return 0;
}

/* Whether constraints on the same columns differ by this column's collation alone, or would: SQLite keeps one index for
** those that do not differ, so another collation could ask for one index more or less. */
static int lscAlterSharesKey(Table *pTab, int iCol){
  Index *p, *q;
  int i;
  for(p=pTab->pIndex; p; p=p->pNext){
    for(i=0; i<p->nKeyCol && p->aiColumn[i]!=iCol; i++){}
    if( i==p->nKeyCol ) continue;
    for(q=p->pNext; q; q=q->pNext){
      if( p->nKeyCol==q->nKeyCol && memcmp(p->aiColumn, q->aiColumn, p->nKeyCol*sizeof(i16))==0 ) return 1;
    }
  }
  return 0;
}

/* Why the column cannot change from what it is in pOld to what it is in pNew, or NULL. ok: pNew is complete. */
static const char *lscAlterRefused(Table *pOld, Table *pNew, int iCol, int ok){
  Column *pA = &pOld->aCol[iCol], *pB = &pNew->aCol[iCol];
  int diff = pA->colFlags ^ pB->colFlags;
  if( diff & COLFLAG_PRIMKEY ) return lscPrimaryKey;
  if( diff & COLFLAG_UNIQUE ) return lscUnique;
  if( diff & COLFLAG_GENERATED ) return lscGenerated;
  if( !ok ) return 0;
  if( pOld->iPKey!=pNew->iPKey ) return lscPrimaryKey;
  if( lscAlterCountKeys(pOld)!=lscAlterCountKeys(pNew) ) return lscUnique;
  if( (pA->colFlags & COLFLAG_STORED)!=0
   && sqlite3ExprCompare(0, sqlite3ColumnExpr(pOld, pA), sqlite3ColumnExpr(pNew, pB), -1)!=0
  ){
    return lscStored;
  }
  return 0;
}

/* Gives the edited text, or an error. zSql and the result are parsed the same way and compared: what is loaded has been
** simplified. */
static void lscAlterEdit(sqlite3_context *ctx, const char *zSql, const char *zDb, Table *pTab, int iCol, const char *zDef){
  sqlite3 *db = sqlite3_context_db_handle(ctx);
  int isTemp = pTab->pSchema==db->aDb[1].pSchema;
  const char *zWhat = 0;
  char *zNew = 0, *zErr = 0;
  Token def;
  LscSpan span;
  Parse sOld, sNew, *pBad = 0;
  int rc = lscAlterFindSpan(zSql, iCol, &span);
  if( rc!=SQLITE_OK ){
    sqlite3_result_error_code(ctx, rc);
    return;
  }
  zNew = sqlite3_mprintf("%.*s%s%s", span.iStart, zSql, zDef, &zSql[span.iEnd]);
  if( zNew==0 ){
    sqlite3_result_error_nomem(ctx);
    return;
  }
  if( renameParseSql(&sOld, zDb, db, zSql, isTemp)!=SQLITE_OK ) pBad = &sOld;
  if( renameParseSql(&sNew, zDb, db, zNew, isTemp)!=SQLITE_OK && pBad==0 ) pBad = &sNew;
  def.z = zDef;
  def.n = sqlite3Strlen30(zDef);
  if( db->mallocFailed ){
    rc = SQLITE_NOMEM;
  }else if( pBad!=&sOld && sOld.pNewTable && sNew.pNewTable
   && sOld.pNewTable->nCol==pTab->nCol && sNew.pNewTable->nCol==pTab->nCol
  ){
    zWhat = lscAlterRefused(sOld.pNewTable, sNew.pNewTable, iCol, pBad==0);
    if( zWhat==0 && pBad==0 && !lscAlterSameColl(db, &pTab->aCol[iCol], &def) ){
      if( lscAlterInKey(pTab, iCol) ) zWhat = lscKeyCollation;
      else if( lscAlterSharesKey(sNew.pNewTable, iCol) ) zWhat = lscUnique;
    }
  }else if( pBad==0 ){
    rc = SQLITE_CORRUPT_BKPT;
  }
  if( zWhat ){
    rc = SQLITE_ERROR;
    zErr = sqlite3_mprintf("error in adding %s to %s: %s cannot be altered", zDef, pTab->zName, zWhat);
    if( zErr==0 ) rc = SQLITE_NOMEM;
  }else if( pBad && rc==SQLITE_OK ){
    rc = pBad->rc ? pBad->rc : SQLITE_ERROR;
    zErr = sqlite3_mprintf("%s", pBad->zErrMsg ? pBad->zErrMsg : sqlite3ErrStr(rc));
    if( zErr==0 ) rc = SQLITE_NOMEM;
  }
  renameParseCleanup(&sNew);
  renameParseCleanup(&sOld);
  if( rc==SQLITE_OK ){
    sqlite3_result_text(ctx, zNew, -1, SQLITE_TRANSIENT);
  }else{
    if( zErr ) sqlite3_result_error(ctx, zErr, -1);
    sqlite3_result_error_code(ctx, rc);
  }
  sqlite3_free(zNew);
  sqlite3_free(zErr);
}

static void lscAlterColumnFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  sqlite3 *db = sqlite3_context_db_handle(ctx);
  const char *zSql = (const char*)sqlite3_value_text(argv[0]);
  const char *zDb = (const char*)sqlite3_value_text(argv[1]);
  const char *zTab = (const char*)sqlite3_value_text(argv[2]);
  int iCol = sqlite3_value_int(argv[3]);
  const char *zDef = (const char*)sqlite3_value_text(argv[4]);
  sqlite3_xauth xAuth = db->xAuth;
  Table *pTab;
  (void)argc;
  if( zSql==0 || zDb==0 || zTab==0 || zDef==0 || sqlite3FindDbName(db, zDb)<0 ) return;
  sqlite3BtreeEnterAll(db);
  db->xAuth = 0;
  pTab = sqlite3FindTable(db, zTab, zDb);
  if( pTab==0 || iCol<0 || iCol>=pTab->nCol ){
    sqlite3_result_error_code(ctx, SQLITE_CORRUPT_BKPT);
  }else{
    lscAlterEdit(ctx, zSql, zDb, pTab, iCol, zDef);
  }
  db->xAuth = xAuth;
  sqlite3BtreeLeaveAll(db);
}
