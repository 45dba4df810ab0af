/*
** alter.c: ALTER TABLE t ALTER [COLUMN] c TO <definition>, as a statement. Included by engine.c.
**
** Entry point: lscAlterParse(). One column definition in the stored CREATE TABLE text is exchanged for another; the name
** stays. The compiled program is one transaction:
**
**   1. every object of the schema must parse; double-quoted strings in it become single-quoted (as in SQLite's RENAME)
**   2. rows too short to hold the column get what they read now stored, if the default changes
**   3. sqlite_sequence is made, if AUTOINCREMENT comes and nothing had it before
**   4. the text is edited (alter_text.c), the schema read again, every object tested again
**   5. indexes are built anew if their order or content depends on what changed; rows are checked if that was asked for
**      (alter_check.c)
**
** What can be wrong with the new definition alone is found before: it is parsed in a table of the same column names.
** SQLite's own ALTER COLUMN ... SET NOT NULL and DROP NOT NULL are not touched: the token behind the name tells.
*/

/* The statement as written. Borrows the text. */
typedef struct LscAlter {
  Token aTab[2];        /* the table, or schema and table */
  int nTab;
  Token col;            /* the column, in front of TO */
  Token name;           /* the column, behind it */
  Token def;            /* the new definition, from its name to its last token */
  LscLex end;           /* what follows */
} LscAlter;

/* What a new definition asks for beyond the text. */
typedef struct LscEffect {
  int reindex;          /* indexes of the table may be wrong afterwards */
  int sequence;         /* the table needs sqlite_sequence */
  int fill;             /* rows that lack the column would read another value */
} LscEffect;

/* Fills p up to TO; 0 if the statement is something else. */
static int lscAlterHead(LscAlter *p, LscLex *x){
  if( lscLexNext(x)!=TK_TABLE ) return 0;
  do{
    if( p->nTab==2 || !lscLexIsName(lscLexNext(x)) ) return 0;
    p->aTab[p->nTab++] = x->t;
  }while( lscLexNext(x)==TK_DOT );
  if( x->type!=TK_ALTER || !lscLexIsName(lscLexNext(x)) ) return 0;
  p->col = x->t;
  if( x->type==TK_COLUMNKW && lscLexIsName(lscLexNext(x)) ){
    p->col = x->t;
    /* As in libSQL, a type behind the name is allowed and not looked at. */
    while( lscLexIsName(lscLexNext(x)) ){}
    if( x->type==TK_LP ){
      lscLexSkipGroup(x);
      lscLexNext(x);
    }
  }else if( x->type!=TK_TO ){
    lscLexNext(x);
  }
  return x->type==TK_TO;
}

/* Reads the definition behind TO, up to the first token that cannot belong to it. */
static void lscAlterDefinition(Parse *pParse, LscAlter *p, LscLex *x){
  int depth = 0;
  if( !lscLexIsName(lscLexNext(x)) ){
    lscLexError(pParse, x);
    return;
  }
  p->name = p->def = x->t;
  while( x->type!=0 && x->type!=TK_SEMI ){
    if( x->type==TK_ILLEGAL ){
      lscLexError(pParse, x);
      return;
    }
    if( depth==0 && (x->type==TK_COMMA || x->type==TK_RP) ) break;
    if( x->type==TK_LP ) depth++;
    if( x->type==TK_RP ) depth--;
    p->def.n = (unsigned)(x->t.z + x->t.n - p->def.z);
    lscLexNext(x);
  }
  p->end = *x;
}

/* The constant that rows without the column read, or NULL. Owned by the caller: sqlite3ValueFree(). */
static sqlite3_value *lscAlterDefault(sqlite3 *db, Table *pTab, Column *pCol){
  sqlite3_value *pVal = 0;
  if( (pCol->colFlags & COLFLAG_GENERATED)==0 ){
    (void)sqlite3ValueFromExpr(db, sqlite3ColumnExpr(pTab, pCol), ENC(db), pCol->affinity, &pVal);
    if( pVal && pCol->affinity==SQLITE_AFF_REAL && (pVal->flags & (MEM_Int|MEM_IntReal))!=0 ){
      sqlite3VdbeMemRealify(pVal);
    }
  }
  return pVal;
}

static int lscAlterSameDefault(sqlite3 *db, Table *pOld, Table *pNew, int iCol){
  sqlite3_value *pA = lscAlterDefault(db, pOld, &pOld->aCol[iCol]);
  sqlite3_value *pB = lscAlterDefault(db, pNew, &pNew->aCol[iCol]);
  int typeA = pA ? sqlite3_value_type(pA) : SQLITE_NULL;
  int typeB = pB ? sqlite3_value_type(pB) : SQLITE_NULL;
  int same = typeA==typeB && (typeA==SQLITE_NULL || sqlite3MemCompare(pA, pB, 0)==0);
  sqlite3ValueFree(pA);
  sqlite3ValueFree(pB);
  return same;
}

/* Where the column is in a stored row; -1 if every row is sure to hold it, or none does. */
static int lscAlterPosition(Table *pTab, int iCol){
  int i;
  if( iCol==pTab->iPKey || (pTab->aCol[iCol].colFlags & COLFLAG_VIRTUAL)!=0 ) return -1;
  if( HasRowid(pTab) ){
    i = sqlite3TableColumnToStorage(pTab, (i16)iCol);
    return i>0 ? i : -1;
  }
  if( pTab->aCol[iCol].colFlags & COLFLAG_PRIMKEY ) return -1;
  return sqlite3TableColumnToIndex(sqlite3PrimaryKeyIndex(pTab), iCol);
}

/* Compares column iCol as loaded with that of pNew, where only it has its real definition, but no collation. */
static void lscAlterEffect(sqlite3 *db, const Token *pDef, Table *pTab, Table *pNew, int iCol, LscEffect *p){
  Column *pA = &pTab->aCol[iCol], *pB = &pNew->aCol[iCol];
  Index *pIdx;
  int changed = pA->affinity!=pB->affinity || !lscAlterSameColl(db, pA, pDef);
  if( (pA->colFlags & COLFLAG_VIRTUAL)!=0 && (pB->colFlags & COLFLAG_VIRTUAL)!=0 ){
    changed |= sqlite3ExprCompare(0, sqlite3ColumnExpr(pTab, pA), sqlite3ColumnExpr(pNew, pB), -1)!=0;
  }
  for(pIdx=pTab->pIndex; pIdx && changed; pIdx=pIdx->pNext){
    if( HasRowid(pTab) || !IsPrimaryKeyIndex(pIdx) ) p->reindex = 1;
  }
  p->sequence = (pNew->tabFlags & TF_Autoincrement)!=0 && pTab->pSchema->pSeqTab==0;
  p->fill = lscAlterPosition(pTab, iCol)>=0 && !lscAlterSameDefault(db, pTab, pNew, iCol);
}

/* An expression may name a function that does not exist yet, but none that users cannot call. The parser does not look
** at that while it tries a text, nor when it loads one. */
static int lscAlterFunction(Walker *pWalker, Expr *pExpr){
  sqlite3 *db = pWalker->pParse->db;
  if( pExpr->op==TK_FUNCTION ){
    /* The copy of a name without arguments, as CURRENT_DATE is, ends in front of x. */
    int hasList = !ExprHasProperty(pExpr, EP_TokenOnly) && ExprUseXList(pExpr) && pExpr->x.pList;
    int n = hasList ? pExpr->x.pList->nExpr : 0;
    FuncDef *pDef = sqlite3FindFunction(db, pExpr->u.zToken, n, ENC(db), 0);
    if( pDef && (pDef->funcFlags & SQLITE_FUNC_INTERNAL)!=0 && (db->mDbFlags & DBFLAG_InternalFunc)==0 ){
      sqlite3ErrorMsg(pWalker->pParse, "no such function: %s", pExpr->u.zToken);
      return WRC_Abort;
    }
  }
  return WRC_Continue;
}

static void lscAlterFunctions(Parse *pParse, Table *pNew, int iCol){
  Walker w;
  memset(&w, 0, sizeof(w));
  w.pParse = pParse;
  w.xExprCallback = lscAlterFunction;
  w.xSelectCallback = sqlite3SelectWalkNoop;
  sqlite3WalkExprList(&w, pNew->pCheck);
  sqlite3WalkExpr(&w, sqlite3ColumnExpr(pNew, &pNew->aCol[iCol]));
}

/* The text of a table with the columns of pTab, all bare but iCol. Owned by the caller: sqlite3_free(). */
static char *lscAlterSketch(sqlite3 *db, const LscAlter *p, Table *pTab, int iCol, int *piDef){
  const char *zType = (pTab->tabFlags & TF_Strict)!=0 ? " ANY" : "";
  sqlite3_str *pStr = sqlite3_str_new(db);
  char *z;
  int i;
  sqlite3_str_appendf(pStr, "CREATE TABLE \"%w\"(", pTab->zName);
  for(i=0; i<pTab->nCol; i++){
    if( i>0 ) sqlite3_str_appendall(pStr, ", ");
    if( i==iCol ){
      *piDef = sqlite3_str_length(pStr);
      sqlite3_str_append(pStr, p->def.z, (int)p->def.n);
    }else{
      sqlite3_str_appendf(pStr, "\"%w\"%s", pTab->aCol[i].zCnName, zType);
    }
  }
  if( pTab->nCol==1 ){
    /* A table needs a column that is not generated; this name differs from the only other. */
    sqlite3_str_appendf(pStr, ", \"%w_\"%s", pTab->aCol[0].zCnName, zType);
  }
  sqlite3_str_appendf(pStr, ", CHECK(1))%s", zType[0] ? " STRICT" : "");
  z = sqlite3_str_finish(pStr);
  if( z==0 ) sqlite3OomFault(db);
  return z;
}

/* Parses the new definition and looks at what it changes. Errors go to pParse, as if it had been parsed in place. */
static void lscAlterTry(Parse *pParse, const LscAlter *p, Table *pTab, int iDb, int iCol, LscEffect *pEffect){
  sqlite3 *db = pParse->db;
  sqlite3_xauth xAuth = db->xAuth;
  u8 saved = db->init.iDb;
  int rc, iDef = 0, offset = -1;
  char *zErr = 0;
  char *zSql = lscAlterSketch(db, p, pTab, iCol, &iDef);
  Parse s;
  if( zSql==0 ) return;
  db->xAuth = 0;
  db->errByteOffset = -1;
  rc = renameParseSql(&s, db->aDb[iDb].zDbSName, db, zSql, iDb==1);
  db->xAuth = xAuth;
  if( rc==SQLITE_OK && s.pNewTable ){
    lscAlterFunctions(&s, s.pNewTable, iCol);
    lscAlterEffect(db, &p->def, pTab, s.pNewTable, iCol, pEffect);
  }
  /* The inner parser must be gone before an error is set in the outer one. */
  if( s.nErr ){
    zErr = s.zErrMsg;
    s.zErrMsg = 0;
    offset = db->errByteOffset;
    if( rc==SQLITE_OK || rc==1 ) rc = s.rc;
  }
  renameParseCleanup(&s);
  db->init.iDb = saved;
  sqlite3_free(zSql);
  if( zErr && offset>=iDef+(int)p->def.n ){
    lscLexError(pParse, &p->end);             /* the definition is good as far as it goes */
  }else if( rc!=SQLITE_OK ){
    if( zErr ) sqlite3ErrorMsg(pParse, "%s", zErr);
    else pParse->nErr++;
    pParse->rc = rc;
    db->errByteOffset = offset>=iDef ? (int)(p->def.z - pParse->zTail) + offset - iDef : -1;
  }else if( p->end.type!=0 && p->end.type!=TK_SEMI ){
    lscLexError(pParse, &p->end);
  }
  sqlite3DbFree(db, zErr);
}

/* Codes the row under cursor iCur to be written back with every column in it. */
static void lscAlterRewriteRow(Parse *pParse, Table *pTab, int iCur){
  Vdbe *v = pParse->pVdbe;
  Index *pPk = HasRowid(pTab) ? 0 : sqlite3PrimaryKeyIndex(pTab);
  int nMax = pPk ? pPk->nColumn : pTab->nCol;
  int regRowid = pParse->nMem + 1, regRec = pParse->nMem + 2, reg = pParse->nMem + 3;
  int i, n = 0;
  pParse->nMem += 2 + nMax;
  for(i=0; i<nMax; i++){
    int iCol = pPk ? pPk->aiColumn[i] : i;
    if( pTab->aCol[iCol].colFlags & COLFLAG_VIRTUAL ) continue;
    if( iCol==pTab->iPKey ){
      sqlite3VdbeAddOp2(v, OP_Null, 0, reg+n);
    }else if( pPk ){
      sqlite3VdbeAddOp3(v, OP_Column, iCur, i, reg+n);
      sqlite3ColumnDefault(v, pTab, iCol, reg+n);
    }else{
      sqlite3ExprCodeGetColumnOfTable(v, pTab, iCur, iCol, reg+n);
    }
    n++;
  }
  sqlite3VdbeAddOp3(v, OP_MakeRecord, reg, n, regRec);
  if( pPk ){
    sqlite3VdbeAddOp4Int(v, OP_IdxInsert, iCur, regRec, reg, pPk->nKeyCol);
  }else{
    sqlite3VdbeAddOp2(v, OP_Rowid, iCur, regRowid);
    sqlite3VdbeAddOp3(v, OP_Insert, iCur, regRec, regRowid);
  }
  sqlite3VdbeChangeP5(v, OPFLAG_SAVEPOSITION);
}

/*
** Codes a loop that stores column iCol in all rows that end in front of it: rows older than the column, which read the
** default of the moment. Such a row shows by what OP_Column gives: NULL without a default, the default with one.
** Nothing changes for a reader, so no trigger or hook is called.
*/
static void lscAlterFill(Parse *pParse, Table *pTab, int iDb, int iCol){
  Vdbe *v = sqlite3GetVdbe(pParse);
  int iCur = pParse->nTab++;
  int reg = ++pParse->nMem;
  int x = lscAlterPosition(pTab, iCol);
  int addrTop, addrHeld, addrNull;
  sqlite3_value *pMark = sqlite3ValueNew(pParse->db);
  if( v==0 || pMark==0 ){
    sqlite3ValueFree(pMark);
    return;
  }
  sqlite3VdbeMemSetInt64(pMark, 1);
  sqlite3OpenTable(pParse, iCur, iDb, pTab, OP_OpenWrite);
  addrTop = sqlite3VdbeAddOp1(v, OP_Rewind, iCur);
  sqlite3VdbeAddOp3(v, OP_Column, iCur, x, reg);
  addrHeld = sqlite3VdbeAddOp1(v, OP_NotNull, reg);
  sqlite3VdbeAddOp3(v, OP_Column, iCur, x, reg);
  sqlite3VdbeAppendP4(v, pMark, P4_MEM);
  addrNull = sqlite3VdbeAddOp1(v, OP_IsNull, reg);
  lscAlterRewriteRow(pParse, pTab, iCur);
  sqlite3VdbeJumpHere(v, addrHeld);
  sqlite3VdbeJumpHere(v, addrNull);
  sqlite3VdbeAddOp2(v, OP_Next, iCur, addrTop+1);
  sqlite3VdbeJumpHere(v, addrTop);
  sqlite3VdbeAddOp1(v, OP_Close, iCur);
}

/* Codes the call of what is left to do once the new schema is loaded. */
static void lscAlterCodeAfter(Parse *pParse, const char *zDb, Table *pTab, int iCol, const char *zDef, int reindex){
  static const FuncDef after = {
    5, SQLITE_FUNC_BUILTIN|SQLITE_FUNC_INTERNAL|SQLITE_UTF8, 0, 0, lscAlterAfterFunc, 0, 0, 0, "libsql_alter_after", {0}
  };
  Vdbe *v = sqlite3GetVdbe(pParse);
  int reg = pParse->nMem + 1;
  if( v==0 ) return;
  pParse->nMem += 6;
  sqlite3VdbeLoadString(v, reg, zDb);
  sqlite3VdbeLoadString(v, reg+1, pTab->zName);
  sqlite3VdbeAddOp2(v, OP_Integer, iCol, reg+2);
  sqlite3VdbeLoadString(v, reg+3, zDef);
  sqlite3VdbeAddOp2(v, OP_Integer, reindex, reg+4);
  sqlite3VdbeAddFunctionCall(pParse, 0, reg, reg+5, 5, &after, 0);
}

static void lscAlterCode(Parse *pParse, const LscAlter *p, Table *pTab, int iDb, int iCol, const LscEffect *pEffect){
  sqlite3 *db = pParse->db;
  const char *zDb = db->aDb[iDb].zDbSName;
  char *zDef = sqlite3DbStrNDup(db, p->def.z, p->def.n);
  if( zDef==0 ) return;
  sqlite3BeginWriteOperation(pParse, 1, iDb);
  sqlite3MayAbort(pParse);
  renameTestSchema(pParse, zDb, iDb==1, "", 0);
  renameFixQuotes(pParse, zDb, iDb==1);
  if( pEffect->fill ) lscAlterFill(pParse, pTab, iDb, iCol);
  if( pEffect->sequence ) sqlite3NestedParse(pParse, "CREATE TABLE %Q.sqlite_sequence(name,seq)", zDb);
  sqlite3NestedParse(pParse,
      "UPDATE \"%w\"." LEGACY_SCHEMA_TABLE " SET sql = libsql_alter_column(sql, %Q, %Q, %d, %Q)"
      " WHERE type='table' AND name=%Q COLLATE nocase",
      zDb, zDb, pTab->zName, iCol, zDef, pTab->zName
  );
  renameReloadSchema(pParse, iDb, INITFLAG_AlterRename);
  renameTestSchema(pParse, zDb, iDb==1, "after update", 1);
  lscAlterCodeAfter(pParse, zDb, pTab, iCol, zDef, pEffect->reindex);
  sqlite3DbFree(db, zDef);
}

static int lscAlterFindColumn(Table *pTab, const char *zName){
  int i;
  for(i=0; i<pTab->nCol && sqlite3StrICmp(pTab->aCol[i].zCnName, zName)!=0; i++){}
  return i<pTab->nCol ? i : -1;
}

static void lscAlterCompile(Parse *pParse, LscAlter *p){
  sqlite3 *db = pParse->db;
  SrcList *pSrc = sqlite3SrcListAppend(pParse, 0, &p->aTab[0], p->nTab==2 ? &p->aTab[1] : 0);
  char *zCol = sqlite3NameFromToken(db, &p->col);
  char *zNew = sqlite3NameFromToken(db, &p->name);
  LscEffect effect = {0, 0, 0};
  Table *pTab;
  int iDb, iCol;
  if( pSrc==0 || zCol==0 || zNew==0 ) goto out;
  pTab = sqlite3LocateTableItem(pParse, 0, &pSrc->a[0]);
  if( pTab==0 || isAlterableTable(pParse, pTab) || isRealTable(pParse, pTab, 0) ) goto out;
  iDb = sqlite3SchemaToIndex(db, pTab->pSchema);
  iCol = lscAlterFindColumn(pTab, zCol);
  if( iCol<0 ){
    sqlite3ErrorMsg(pParse, "no such column: \"%T\"", &p->col);
    goto out;
  }
  if( sqlite3AuthCheck(pParse, SQLITE_ALTER_TABLE, db->aDb[iDb].zDbSName, pTab->zName, pTab->aCol[iCol].zCnName) ){
    goto out;
  }
  if( sqlite3StrICmp(zCol, zNew)!=0 ){
    sqlite3ErrorMsg(pParse, "UPDATE cannot also rename column: \"%T\" to \"%T\". Use ALTER TABLE RENAME instead",
        &p->col, &p->name);
    goto out;
  }
  lscAlterTry(pParse, p, pTab, iDb, iCol, &effect);
  if( pParse->nErr==0 && db->mallocFailed==0 ) lscAlterCode(pParse, p, pTab, iDb, iCol, &effect);
out:
  sqlite3SrcListDelete(db, pSrc);
  sqlite3DbFree(db, zCol);
  sqlite3DbFree(db, zNew);
}

static int lscAlterParse(Parse *pParse, LscLex *x, int explain, const char **pzSql){
  LscAlter s;
  memset(&s, 0, sizeof(s));
  if( !lscAlterHead(&s, x) ) return 0;
  if( pParse->pReprepare==0 ) pParse->explain = (u8)explain;
  lscAlterDefinition(pParse, &s, x);
  if( x->t.z - *pzSql > pParse->db->aLimit[SQLITE_LIMIT_SQL_LENGTH] ){
    pParse->rc = SQLITE_TOOBIG;
    pParse->nErr++;
  }
  if( pParse->nErr==0 ) lscAlterCompile(pParse, &s);
  if( pParse->nErr==0 && pParse->db->mallocFailed==0 ) sqlite3FinishCoding(pParse);
  *pzSql = x->t.z + (x->type==TK_SEMI ? x->t.n : 0);
  return 1;
}
