/*
** order.c: ORDER BY a distance LIMIT k, through a vector index. Included by engine.c.
**
** With PRAGMA libsql_vector_order = on,
**
**     SELECT ... FROM t ORDER BY vector_distance_cos(col, X) [, ...] LIMIT k [OFFSET o]
**
** gets, once its names are resolved, the condition
**
**     key IN (SELECT id FROM vector_top_k('schema.index', X, k+o))
**
** where key is the rowid or the primary key. The rest stays: distances are computed and sorted as before, of fewer rows.
** It is done for one ordinary table with a vector index on col of that metric, whose WHERE, if any, is that of the SELECT.
** `col IS NOT NULL` counts on neither side: an index has no NULLs, and without one a NULL makes the distance an error.
*/
#define ORDER_INDEX (-1)            /* the cursor that stands in an index's own WHERE */

static int orderIsColumn(const Expr *pExpr, int iCur, int iCol){
  return pExpr->op==TK_COLUMN && pExpr->iTable==iCur && pExpr->iColumn==iCol;
}

/* Whether pTerm is one of the terms of pAll. One of both is of an index, the other of the SELECT with cursor iCur. */
static int orderTermIn(const Expr *pTerm, const Expr *pAll, int isIndex, int iCur){
  if( pAll==0 ) return 0;
  if( pAll->op==TK_AND ){
    return orderTermIn(pTerm, pAll->pLeft, isIndex, iCur) || orderTermIn(pTerm, pAll->pRight, isIndex, iCur);
  }
  return sqlite3ExprCompare(0, isIndex ? pAll : pTerm, isIndex ? pTerm : pAll, iCur)==0;
}

/* Whether all terms of p, but `iCol IS NOT NULL`, are terms of pAll. isIndex: p is of the index. */
static int orderTermsIn(const Expr *p, const Expr *pAll, int isIndex, int iCur, int iCol){
  if( p==0 ) return 1;
  if( p->op==TK_AND ){
    return orderTermsIn(p->pLeft, pAll, isIndex, iCur, iCol) && orderTermsIn(p->pRight, pAll, isIndex, iCur, iCol);
  }
  if( p->op==TK_NOTNULL && orderIsColumn(p->pLeft, isIndex ? ORDER_INDEX : iCur, iCol) ) return 1;
  return orderTermIn(p, pAll, isIndex, iCur);
}

/* Whether a vector index is on column iCol and has the metric of a distance function. */
static int orderFits(const Index *pIdx, int iCol, int metric){
  const ExprList *pArgs = lscVecCall(pIdx->aColExpr->a[0].pExpr)->x.pList;
  LscMeta meta;
  int i, type;
  u32 n;
  if( !orderIsColumn(pArgs->a[0].pExpr, ORDER_INDEX, iCol) ) return 0;
  if( lscColumnType(sqlite3ColumnType(&pIdx->pTable->aCol[iCol], ""), &type, &n) ) return 0;
  if( type==LSC_F1BIT ) return metric==LSC_COS;         /* the number of signs that differ, for both */
  meta.n = 0;
  lscMetaSet(&meta, META_METRIC, LSC_COS);
  for(i=1; i<pArgs->nExpr; i++){
    if( lscReadParam(&meta, pArgs->a[i].pExpr->u.zToken) ) return 0;
  }
  return lscMetaGet(&meta, META_METRIC)==(u64)metric;
}

/* The index for a SELECT that sorts by pExpr, and *ppX, the vector that is compared with; or NULL. */
static const Index *orderIndex(Parse *pParse, const Select *p, const Expr *pExpr, Expr **ppX){
  const SrcItem *pItem = &p->pSrc->a[0];
  const Index *pIdx;
  const FuncDef *pDef;
  int i, iCol, metric;
  if( pExpr->op!=TK_FUNCTION || ExprHasProperty(pExpr, EP_WinFunc) || pExpr->x.pList==0 || pExpr->x.pList->nExpr!=2 ) return 0;
  if( sqlite3StrICmp(pExpr->u.zToken, "vector_distance_cos")==0 ) metric = LSC_COS;
  else if( sqlite3StrICmp(pExpr->u.zToken, "vector_distance_l2")==0 ) metric = LSC_L2;
  else return 0;
  pDef = sqlite3FindFunction(pParse->db, pExpr->u.zToken, 2, ENC(pParse->db), 0);
  if( pDef==0 || pDef->xSFunc!=lscDistanceFunc ) return 0;
  for(i=0; i<2; i++){
    const Expr *pCol = pExpr->x.pList->a[i].pExpr;
    *ppX = pExpr->x.pList->a[1-i].pExpr;
    if( pCol->op==TK_COLUMN && pCol->iTable==pItem->iCursor && sqlite3ExprIsConstant(pParse, *ppX) ) break;
  }
  if( i==2 ) return 0;
  iCol = pExpr->x.pList->a[i].pExpr->iColumn;
  for(pIdx=pItem->pSTab->pIndex; pIdx; pIdx=pIdx->pNext){
    if( pIdx->bLscVec && orderFits(pIdx, iCol, metric)
     && orderTermsIn(p->pWhere, pIdx->pPartIdxWhere, 0, pItem->iCursor, iCol)
     && orderTermsIn(pIdx->pPartIdxWhere, p->pWhere, 1, pItem->iCursor, iCol) ) break;
  }
  return pIdx;
}

/* A copy of a term of LIMIT, as a number. */
static Expr *orderNumber(Parse *pParse, const Expr *pExpr){
  return sqlite3PExpr(pParse, TK_PLUS, sqlite3ExprDup(pParse->db, pExpr, 0), sqlite3Expr(pParse->db, TK_INTEGER, "0"));
}

/* How many rows LIMIT and OFFSET ask the index for: CASE WHEN k<0 THEN all ELSE k + (o>0)*o END. */
static Expr *orderCount(Parse *pParse, const Expr *pLimit){
  sqlite3 *db = pParse->db;
  Expr *pAll = sqlite3Expr(db, TK_INTEGER, "9223372036854775807");
  Expr *pTest = sqlite3PExpr(pParse, TK_LT, orderNumber(pParse, pLimit->pLeft), sqlite3Expr(db, TK_INTEGER, "0"));
  Expr *pCount = orderNumber(pParse, pLimit->pLeft);
  Expr *pCase = sqlite3PExpr(pParse, TK_CASE, 0, 0);
  ExprList *pList;
  if( pLimit->pRight ){
    const Expr *pOffset = pLimit->pRight;
    Expr *pSome = sqlite3PExpr(pParse, TK_GT, orderNumber(pParse, pOffset), sqlite3Expr(db, TK_INTEGER, "0"));
    pCount = sqlite3PExpr(pParse, TK_PLUS, pCount, sqlite3PExpr(pParse, TK_STAR, pSome, orderNumber(pParse, pOffset)));
  }
  pList = sqlite3ExprListAppend(pParse, 0, pTest);
  pList = sqlite3ExprListAppend(pParse, pList, pAll);
  pList = sqlite3ExprListAppend(pParse, pList, pCount);
  if( pCase==0 ){
    sqlite3ExprListDelete(db, pList);
  }else{
    pCase->x.pList = pList;
    sqlite3ExprSetHeightAndFlags(pParse, pCase);
  }
  return pCase;
}

/* SELECT id FROM main.vector_top_k('index', X, count): with the schema's name no CTE is meant. */
static Select *orderSubquery(Parse *pParse, const Index *pIdx, const Expr *pX, const Expr *pLimit){
  sqlite3 *db = pParse->db;
  Token schema = {"main", 4}, name = {"vector_top_k", 12};
  const char *zDb = db->aDb[sqlite3SchemaToIndex(db, pIdx->pSchema)].zDbSName;
  char *zIndex = sqlite3MPrintf(db, "%s.%s", zDb, pIdx->zName);
  ExprList *pArgs = sqlite3ExprListAppend(pParse, 0, zIndex ? sqlite3Expr(db, TK_STRING, zIndex) : 0);
  ExprList *pId = sqlite3ExprListAppend(pParse, 0, sqlite3Expr(db, TK_ID, "id"));
  SrcList *pSrc = sqlite3SrcListAppend(pParse, 0, &schema, &name);
  pArgs = sqlite3ExprListAppend(pParse, pArgs, sqlite3ExprDup(db, pX, 0));
  pArgs = sqlite3ExprListAppend(pParse, pArgs, orderCount(pParse, pLimit));
  sqlite3SrcListFuncArgs(pParse, pSrc, pArgs);
  sqlite3DbFree(db, zIndex);
  return sqlite3SelectNew(pParse, pId, pSrc, 0, 0, 0, 0, 0, 0);
}

static int orderIsLimit(const Expr *p){
  return p->op==TK_VARIABLE || p->op==TK_INTEGER;
}

/* Called for each SELECT whose names were resolved. Errors are noted in pParse. */
static void lsc_vec_order(Parse *pParse, Select *p){
  sqlite3 *db = pParse->db;
  const SrcItem *pItem;
  Table *pTab;
  const Index *pIdx;
  sqlite3_xauth xAuth = db->xAuth;
  Select *pSub;
  Expr *pX, *pIn;
  if( db->pLsc==0 || !db->pLsc->vecOrder || pParse->nErr || p->pOrderBy==0 || p->pLimit==0 || p->pSrc->nSrc!=1 ) return;
  if( p->pPrior || p->pNext || p->pGroupBy || p->pWin ) return;
  if( p->selFlags & (SF_Distinct|SF_Aggregate|SF_Compound|SF_Recursive|SF_Converted) ) return;
  if( lscVecIsOld(pParse) || (pParse->prepFlags & SQLITE_PREPARE_NO_VTAB) ) return;
  if( p->pOrderBy->a[0].fg.sortFlags & KEYINFO_ORDER_DESC ) return;
  if( !orderIsLimit(p->pLimit->pLeft) || (p->pLimit->pRight && !orderIsLimit(p->pLimit->pRight)) ) return;
  pItem = &p->pSrc->a[0];
  pTab = pItem->pSTab;
  if( pTab==0 || pItem->fg.isSubquery || pItem->fg.isTabFunc || pItem->fg.isIndexedBy || pItem->fg.notIndexed
   || !IsOrdinaryTable(pTab) || (!HasRowid(pTab) && sqlite3PrimaryKeyIndex(pTab)->nKeyCol!=1) ) return;
  pIdx = orderIndex(pParse, p, sqlite3ExprSkipCollate(p->pOrderBy->a[0].pExpr), &pX);
  if( pIdx==0 || strchr(db->aDb[sqlite3SchemaToIndex(db, pIdx->pSchema)].zDbSName, '.') ) return;
  if( sqlite3FindTable(db, "vector_top_k", "main") ) return;    /* it hides ours */
  pSub = orderSubquery(pParse, pIdx, pX, p->pLimit);
  pIn = sqlite3PExpr(pParse, TK_IN, sqlite3CreateColumnExpr(db, p->pSrc, 0,
      HasRowid(pTab) ? pTab->iPKey : sqlite3PrimaryKeyIndex(pTab)->aiColumn[0]), 0);
  sqlite3PExprAddSelect(pParse, pIn, pSub);
  p->pWhere = sqlite3ExprAnd(pParse, p->pWhere, pIn);
  if( pParse->nErr || db->mallocFailed ) return;
  db->xAuth = 0;                    /* that an index is used is not its concern */
  sqlite3SelectPrep(pParse, pSub, 0);
  db->xAuth = xAuth;
}
