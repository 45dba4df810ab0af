/*
** rowid.c: CREATE TABLE ... RANDOM ROWID, and BEGIN READONLY. Included by engine.c.
**
** The grammar is not generated anew. RANDOM and READONLY are handed to the parser as tokens of stock keywords that have
** the right place in the grammar and fall back to an identifier everywhere else: WITHOUT, which only begins a table
** option, and, behind BEGIN, DEFERRED. Which word it was is read from the token's text.
**
** The option is stored as text in the schema alone. In memory it is TF_LscRandomRowid in Table.tabFlags; an OP_NewRowid
** for such a table has -1 as third operand, and draws each rowid from 1 to 2^62.
*/

/* The type of a token that is a plain word of n bytes; prev is the type of the token before. */
static int lsc_word(const char *z, i64 n, int prev){
  if( n==6 && sqlite3_strnicmp(z, "random", 6)==0 ) return TK_WITHOUT;
  if( n==8 && prev==TK_BEGIN && sqlite3_strnicmp(z, "readonly", 8)==0 ) return TK_DEFERRED;
  return TK_ID;
}

/* The flags for the table option "pWord ROWID", pWord being WITHOUT or RANDOM. */
static u32 lsc_rowid_option(const Token *pWord){
  return sqlite3Tolower(pWord->z[0])=='r' ? TF_LscRandomRowid : TF_WithoutRowid | TF_NoVisibleRowid;
}

/* Mark the table if its options ask for it. Returns 1, with an error in pParse, if they contradict each other.
**
** libSQL accepts RANDOM ROWID beside WITHOUT ROWID and ignores it: files that it wrote must be readable. */
static int lsc_random_rowid(Parse *pParse, Table *p, u32 tabOpts){
  sqlite3 *db = pParse->db;
  if( (tabOpts & TF_LscRandomRowid)==0 ) return 0;
  if( p->tabFlags & TF_Autoincrement ){
    sqlite3ErrorMsg(pParse, "AUTOINCREMENT not allowed on RANDOM ROWID tables");
    return 1;
  }
  if( (tabOpts & TF_WithoutRowid)==0 ){
    p->tabFlags |= TF_LscRandomRowid;
    return 0;
  }
  if( (p->tabFlags & TF_HasPrimaryKey)==0 ) return 0;       /* stock's own message */
  if( db->init.busy || pParse->eParseMode!=PARSE_MODE_NORMAL || (db->mDbFlags & DBFLAG_Vacuum)!=0 ) return 0;
  sqlite3ErrorMsg(pParse, "RANDOM ROWID not allowed on WITHOUT ROWID tables");
  return 1;
}

/* Whether INSERT INTO ... SELECT may not copy rows together with their rowids. VACUUM may. */
static int lsc_no_transfer(sqlite3 *db, const Table *pDest){
  const Index *pIdx;
  if( db->mDbFlags & DBFLAG_Vacuum ) return 0;
  for(pIdx=pDest->pIndex; pIdx; pIdx=pIdx->pNext){
    if( pIdx->bLscVec ) return 1;             /* its rows are in shadow tables */
  }
  return (pDest->tabFlags & TF_LscRandomRowid)!=0;
}
