/*
** alter_check.c: what ALTER COLUMN does to indexes and rows once the new schema is loaded. Included by
** engine.c.
**
** The last instruction of the statement calls lscAlterAfterFunc(). It runs statements of its own on the same
** connection, inside the transaction of the one that calls it; an error undoes all of that one. Neither the authorizer
** nor trace callbacks see them.
*/

/* The altered column. Names, not structures of the schema: what runs here may call functions of the user. */
typedef struct LscAltered {
  sqlite3_context *ctx;       /* takes the error */
  sqlite3 *db;
  const char *zDb;            /* borrowed */
  const char *zTab;           /* borrowed */
  char *zCol;                 /* owned: sqlite3DbFree() */
  int notNull;
  int strictType;             /* COLTYPE_... in a STRICT table, else 0 */
} LscAltered;

/* Makes the connection's last error that of the statement. */
static int lscAlterFail(LscAltered *p, int rc){
  if( rc!=SQLITE_OK ){
    sqlite3_result_error(p->ctx, sqlite3_errmsg(p->db), -1);
    sqlite3_result_error_code(p->ctx, sqlite3_extended_errcode(p->db));
  }
  return rc;
}

/* Compiles zSql, which it frees. */
static int lscAlterPrepare(LscAltered *p, char *zSql, sqlite3_stmt **ppStmt){
  int rc;
  *ppStmt = 0;
  if( zSql==0 ){
    sqlite3_result_error_nomem(p->ctx);
    return SQLITE_NOMEM_BKPT;
  }
  rc = lscAlterFail(p, sqlite3_prepare_v2(p->db, zSql, -1, ppStmt, 0));
  sqlite3_free(zSql);
  return rc;
}

/* Reports a failed constraint: what, table.column and, if zDetail is not empty, the detail. */
static int lscAlterViolated(LscAltered *p, int rc, const char *zWhat, const char *zDetail){
  char *z = sqlite3_mprintf("%s %s.%s%s%s", zWhat, p->zTab, p->zCol, zDetail[0] ? ": " : "", zDetail);
  if( z==0 ){
    sqlite3_result_error_nomem(p->ctx);
    return SQLITE_NOMEM_BKPT;
  }
  sqlite3_result_error(p->ctx, z, -1);
  sqlite3_result_error_code(p->ctx, rc);
  sqlite3_free(z);
  return rc;
}

/* Runs zSql, which it frees, to its first row. SQLITE_OK without one, SQLITE_ROW with *ppStmt at it, or an error. */
static int lscAlterFirst(LscAltered *p, char *zSql, sqlite3_stmt **ppStmt){
  int rc = lscAlterPrepare(p, zSql, ppStmt);
  if( rc!=SQLITE_OK ) return rc;
  rc = sqlite3_step(*ppStmt);
  if( rc==SQLITE_ROW ) return rc;
  rc = lscAlterFail(p, sqlite3_finalize(*ppStmt));
  *ppStmt = 0;
  return rc;
}

/* Whether a row of the table has zWhere true: SQLITE_ROW, or SQLITE_OK, or an error. */
static int lscAlterExists(LscAltered *p, const char *zWhere, int nWhere, const char *zTest){
  sqlite3_stmt *pStmt;
  int rc = lscAlterFirst(p, sqlite3_mprintf("SELECT 1 FROM \"%w\".\"%w\" WHERE (%.*s) %s LIMIT 1",
      p->zDb, p->zTab, nWhere, zWhere, zTest), &pStmt);
  sqlite3_finalize(pStmt);
  return rc;
}

/* Asks typeof(): the planner takes "c IS NULL" for false when c is NOT NULL. */
static int lscAlterCheckNull(LscAltered *p){
  char *z = sqlite3_mprintf("typeof(\"%w\")", p->zCol);
  int rc;
  if( z==0 ){
    sqlite3_result_error_nomem(p->ctx);
    return SQLITE_NOMEM_BKPT;
  }
  rc = lscAlterExists(p, z, sqlite3Strlen30(z), "= 'null'");
  sqlite3_free(z);
  if( rc==SQLITE_ROW ) rc = lscAlterViolated(p, SQLITE_CONSTRAINT_NOTNULL, "NOT NULL constraint failed:", "");
  return rc;
}

/* A value whose storage class a STRICT table would not take. */
static int lscAlterCheckType(LscAltered *p){
  static const char *const azType[] = {0, 0, "blob", "integer", "integer", "real", "text"};
  const char *zType = azType[p->strictType];
  char zWhat[64];
  sqlite3_stmt *pStmt;
  int rc;
  if( zType==0 ) return SQLITE_OK;
  rc = lscAlterFirst(p, sqlite3_mprintf("SELECT upper(typeof(\"%w\")) FROM \"%w\".\"%w\""
      " WHERE typeof(\"%w\") NOT IN ('null', %Q) LIMIT 1", p->zCol, p->zDb, p->zTab, p->zCol, zType),
      &pStmt);
  if( rc==SQLITE_ROW ){
    sqlite3_snprintf(sizeof(zWhat), zWhat, "cannot store %s value in %s column",
        (const char*)sqlite3_column_text(pStmt, 0), sqlite3StdType[p->strictType-1]);
    rc = lscAlterViolated(p, SQLITE_CONSTRAINT_DATATYPE, zWhat, "");
  }
  sqlite3_finalize(pStmt);
  return rc;
}

/* A row without a parent, by a key of this column alone. */
static int lscAlterCheckParent(LscAltered *p){
  sqlite3_stmt *pStmt;
  int rc = lscAlterFirst(p, sqlite3_mprintf("SELECT 1 FROM pragma_foreign_key_check(%Q, %Q) WHERE fkid IN (SELECT id"
      " FROM pragma_foreign_key_list(%Q, %Q) GROUP BY id HAVING count(*) = 1 AND \"from\" = %Q COLLATE nocase) LIMIT 1",
      p->zTab, p->zDb, p->zTab, p->zDb, p->zCol), &pStmt);
  sqlite3_finalize(pStmt);
  if( rc==SQLITE_ROW ) rc = lscAlterViolated(p, SQLITE_CONSTRAINT_FOREIGNKEY, "FOREIGN KEY constraint failed:", "");
  return rc;
}

/* Checks the rows against each CHECK and REFERENCES of the definition, read from its text: once loaded, the table's
** constraints do not tell which column they came with. */
static int lscAlterCheckClauses(LscAltered *p, const char *zDef){
  LscLex x;
  Token name = {0, 0};
  int rc = SQLITE_OK, references = 0;
  lscLexStart(&x, zDef, 0);
  while( rc==SQLITE_OK && lscLexNext(&x)!=0 ){
    if( x.type==TK_CONSTRAINT ){
      lscLexNext(&x);
      name = x.t;
      continue;
    }
    if( x.type==TK_CHECK && lscLexNext(&x)==TK_LP ){
      const char *z = x.t.z + 1;
      int n;
      lscLexSkipGroup(&x);
      n = (int)(x.t.z - z);
      rc = lscAlterExists(p, z, n, "IS FALSE");
      if( rc==SQLITE_ROW ){
        char *zDetail = name.n ? sqlite3NameFromToken(p->db, &name) : sqlite3DbSpanDup(p->db, z, z+n);
        rc = lscAlterViolated(p, SQLITE_CONSTRAINT_CHECK, "CHECK constraint failed:", zDetail ? zDetail : "");
        sqlite3DbFree(p->db, zDetail);
      }
    }else if( x.type==TK_LP ){
      lscLexSkipGroup(&x);
    }else if( x.type==TK_REFERENCES ){
      references = 1;
    }
    name.n = 0;
  }
  if( rc==SQLITE_OK && references ) rc = lscAlterCheckParent(p);
  return rc;
}

/* Reads what the loaded schema says of column iCol. Gives whether the table has generated columns, or -1. */
static int lscAlterLook(LscAltered *p, int iCol){
  Table *pTab = sqlite3FindTable(p->db, p->zTab, p->zDb);
  Column *pCol;
  if( pTab==0 || iCol<0 || iCol>=pTab->nCol ){
    sqlite3_result_error_code(p->ctx, SQLITE_CORRUPT_BKPT);
    return -1;
  }
  pCol = &pTab->aCol[iCol];
  p->notNull = pCol->notNull;
  p->strictType = (pTab->tabFlags & TF_Strict)!=0 ? pCol->eCType : 0;
  p->zCol = sqlite3DbStrDup(p->db, pCol->zCnName);
  if( p->zCol==0 ){
    sqlite3_result_error_nomem(p->ctx);
    return -1;
  }
  return (pTab->tabFlags & TF_HasGenerated)!=0;
}

static int lscAlterCheckRows(LscAltered *p, const char *zDef){
  int rc = SQLITE_OK;
  if( p->notNull ) rc = lscAlterCheckNull(p);
  if( rc==SQLITE_OK ) rc = lscAlterCheckType(p);
  if( rc==SQLITE_OK ) rc = lscAlterCheckClauses(p, zDef);
  return rc;
}

/* libsql_alter_after(schema, table, column, definition, reindex): NULL, or the error of the statement. */
static void lscAlterAfterFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  sqlite3 *db = sqlite3_context_db_handle(ctx);
  const char *zDef = (const char*)sqlite3_value_text(argv[3]);
  sqlite3_xauth xAuth = db->xAuth;
  u8 mTrace = db->mTrace;
  sqlite3_stmt *pStmt;
  LscAltered s;
  int generated, rc = SQLITE_OK;
  (void)argc;
  memset(&s, 0, sizeof(s));
  s.ctx = ctx;
  s.db = db;
  s.zDb = (const char*)sqlite3_value_text(argv[0]);
  s.zTab = (const char*)sqlite3_value_text(argv[1]);
  if( s.zDb==0 || s.zTab==0 || zDef==0 ){
    sqlite3_result_error_nomem(ctx);
    return;
  }
  generated = lscAlterLook(&s, sqlite3_value_int(argv[2]));
  if( generated<0 ) return;
  db->xAuth = 0;
  db->mTrace = 0;
  if( generated ){
    /* Finds columns that depend on themselves. */
    rc = lscAlterPrepare(&s, sqlite3_mprintf("SELECT * FROM \"%w\".\"%w\"", s.zDb, s.zTab), &pStmt);
    sqlite3_finalize(pStmt);
  }
  if( rc==SQLITE_OK && sqlite3_value_int(argv[4]) ){
    rc = lscAlterFirst(&s, sqlite3_mprintf("REINDEX \"%w\".\"%w\"", s.zDb, s.zTab), &pStmt);
    sqlite3_finalize(pStmt);
  }
  if( rc==SQLITE_OK && db->pLsc && db->pLsc->alterCheck ) lscAlterCheckRows(&s, zDef);
  sqlite3DbFree(db, s.zCol);
  db->xAuth = xAuth;
  db->mTrace = mTrace;
}
