/*
** parse.c: the front end for statements that SQLite's grammar lacks. Included by engine.c.
**
** sqlite3RunParser() asks lsc_parse() before it reads a token. Statements are told apart by their first word, so all
** others pay for one token. A handler returns 0 until it is sure that the statement is not SQLite's own, and has no
** effect until then; from there on it compiles the statement or reports what is wrong with it. Text of the schema and
** statements that SQLite composes itself never come here.
*/

/* Reads the token at z, or the first behind blanks and comments. */
static void lscLexRead(LscLex *p, const char *z){
  for(;;){
    int n, type;
    if( z[0]==0 ){
      p->t.z = z;
      p->t.n = 0;
      p->type = 0;
      return;
    }
    n = (int)sqlite3GetToken((const unsigned char*)z, &type);
    if( type==TK_COMMENT && p->noComments ) type = TK_ILLEGAL;
    if( type!=TK_SPACE && type!=TK_COMMENT ){
      p->t.z = z;
      p->t.n = n;
      p->type = type;
      return;
    }
    z += n;
  }
}

static void lscLexStart(LscLex *p, const char *z, const sqlite3 *db){
  p->noComments = db!=0 && (db->flags & SQLITE_Comments)==0;
  lscLexRead(p, z);
}

static int lscLexNext(LscLex *p){
  lscLexRead(p, p->t.z + p->t.n);
  return p->type;
}

static int lscLexIsName(int type){
  switch( type ){
    case TK_ID: case TK_STRING: case TK_INDEXED: case TK_JOIN_KW: case TK_WINDOW: case TK_OVER: case TK_FILTER:
      return 1;
    case 0: case TK_ILLEGAL:
      return 0;
    default:
      return sqlite3ParserFallback(type)==TK_ID;
  }
}

static void lscLexSkipGroup(LscLex *p){
  int depth = 0;
  do{
    if( p->type==TK_LP ) depth++;
    if( p->type==TK_RP ) depth--;
  }while( depth>0 && lscLexNext(p)!=0 );
}

static void lscLexError(Parse *pParse, const LscLex *p){
  if( p->type==0 ){
    sqlite3ErrorMsg(pParse, "incomplete input");
  }else if( p->type==TK_ILLEGAL ){
    sqlite3ErrorMsg(pParse, "unrecognized token: \"%T\"", &p->t);
  }else{
    sqlite3ErrorMsg(pParse, "near \"%T\": syntax error", &p->t);
  }
}

/* Whether SQLite parses text of its own, or must be left to find out that it should stop. */
static int lscParseIsInternal(Parse *pParse){
  sqlite3 *db = pParse->db;
  return pParse->nested || pParse->eParseMode!=PARSE_MODE_NORMAL || db->init.busy || db->mallocFailed
      || AtomicLoad(&db->u1.isInterrupted);
}

static int lsc_parse(Parse *pParse, const char **pzSql){
  LscLex x;
  int explain = 0;
  if( lscParseIsInternal(pParse) ) return 0;
  lscLexStart(&x, *pzSql, pParse->db);
  while( x.type==TK_SEMI ) lscLexNext(&x);
  if( x.type==TK_EXPLAIN ){
    explain = 1;
    if( lscLexNext(&x)==TK_QUERY ){
      explain = 2;
      if( lscLexNext(&x)!=TK_PLAN ) return 0;
      lscLexNext(&x);
    }
  }
  switch( x.type ){
    case TK_ALTER: return lscAlterParse(pParse, &x, explain, pzSql);
    case TK_CREATE: return lscWasmParse(pParse, &x, 0, explain, pzSql);
    case TK_DROP:  return lscWasmParse(pParse, &x, 1, explain, pzSql);
    default:       return 0;
  }
}
