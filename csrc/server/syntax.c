/*
** syntax.c: where the statements of a text begin and end, and whether SQLite's grammar has them. Included by engine.c.
**
** The server refuses a text before anything of it runs, so a statement is checked without its tables being there. The
** tables of SQLite's own generated parser say what may follow what; here they move an automaton that has states and no
** values, and no action of the grammar runs. What the front end adds to the grammar (sql/parse.c, vec/index_ddl.c) is
** asked in the same places.
*/

/* The states of the automaton. */
typedef struct SvrParser {
  YYACTIONTYPE *a;          /* aFixed, or owned */
  int n, room;
  YYACTIONTYPE aFixed[128];
} SvrParser;

static void svrParserStart(SvrParser *p){
  p->a = p->aFixed;
  p->room = ArraySize(p->aFixed);
  p->n = 1;
  p->a[0] = 0;
}

static void svrParserEnd(SvrParser *p){
  if( p->a!=p->aFixed ) sqlite3_free(p->a);
}

static int svrParserPush(SvrParser *p, YYACTIONTYPE state){
  if( p->n==p->room ){
    YYACTIONTYPE *a = sqlite3_malloc64(sizeof(*a)*2*(u64)p->room);
    if( a==0 ) return SQLITE_NOMEM;
    memcpy(a, p->a, sizeof(*a)*(size_t)p->n);
    svrParserEnd(p);
    p->a = a;
    p->room *= 2;
  }
  p->a[p->n++] = state;
  return SQLITE_OK;
}

/* Take one token. SQLITE_OK; SQLITE_DONE: the text may end here; SQLITE_ERROR: it cannot stand here. After an error
** another token may be tried. */
static int svrParserToken(SvrParser *p, int token){
  YYACTIONTYPE act = p->a[p->n-1];
  for(;;){
    act = yy_find_shift_action((YYCODETYPE)token, act);
    if( act>=YY_MIN_REDUCE ){
      int rule = act - YY_MIN_REDUCE;
      p->n += yyRuleInfoNRhs[rule];       /* which is the negative of a length */
      act = yy_find_reduce_action(p->a[p->n-1], yyRuleInfoLhs[rule]);
      if( svrParserPush(p, act)!=SQLITE_OK ) return SQLITE_NOMEM;
    }else if( act<=YY_MAX_SHIFTREDUCE ){
      if( act>YY_MAX_SHIFT ) act = (YYACTIONTYPE)(act + YY_MIN_REDUCE - YY_MIN_SHIFTREDUCE);
      return svrParserPush(p, act);
    }else{
      return act==YY_ACCEPT_ACTION ? SQLITE_DONE : SQLITE_ERROR;
    }
  }
}

/* Whether a statement is complete behind the ";" that was taken last. Those within a trigger lie deeper. */
static int svrParserAtEnd(SvrParser *p){
  YYACTIONTYPE a[4];
  int n = p->n;
  if( n>(int)ArraySize(a) ) return 0;
  memcpy(a, p->a, sizeof(*a)*(size_t)n);
  if( svrParserToken(p, 0)==SQLITE_DONE ) return 1;
  memcpy(p->a, a, sizeof(*a)*(size_t)n);
  p->n = n;
  return 0;
}

/* Line and column of a place in a text, from 1. */
static void svrPlace(const char *zText, const char *z, int *pLine, int *pColumn){
  const char *zLine = zText;
  *pLine = 1;
  for(; zText<z; zText++){
    if( *zText=='\n' ){
      ++*pLine;
      zLine = zText+1;
    }
  }
  *pColumn = (int)(z-zLine) + 1;
}

/* The names that messages have for tokens that are no words. */
static const struct { const char *zText, *zName; } aSvrSign[] = {
  {"(", "LP"}, {")", "RP"}, {",", "COMMA"}, {".", "DOT"}, {"=", "EQ"}, {"==", "EQ"}, {"+", "PLUS"}, {"-", "MINUS"},
  {"*", "STAR"}, {"/", "SLASH"}, {"%", "REM"}, {"||", "CONCAT"}, {"<", "LT"}, {">", "GT"}, {"<=", "LE"}, {">=", "GE"},
  {"<>", "NE"}, {"!=", "NE"}, {"&", "BITAND"}, {"|", "BITOR"}, {"~", "BITNOT"}, {"<<", "LSHIFT"}, {">>", "RSHIFT"},
  {"->", "PTR"}, {"->>", "PTR"}, {";", "SEMI"},
};

/* What is wrong with a token that the grammar does not allow where it is. */
static char *svrTokenError(const char *zText, const char *z, int n, int type){
  int line, column;
  char *zName, *zError;
  size_t i;
  svrPlace(zText, z+n, &line, &column);
  switch( type ){
    case TK_ID: case TK_STRING: case TK_INTEGER: case TK_FLOAT: case TK_QNUMBER: case TK_BLOB: case TK_VARIABLE:
      return sqlite3_mprintf("syntax error around L%d:%d: `%.*s`", line, column, n, z);
  }
  zName = sqlite3_mprintf("%.*s", n, z);
  if( zName==0 ) return 0;
  for(i=0; zName[i]; i++) zName[i] = (char)sqlite3Toupper(zName[i]);
  for(i=0; i<ArraySize(aSvrSign) && strcmp(aSvrSign[i].zText, zName)!=0; i++){}
  zError = sqlite3_mprintf("near %s, \"None\": syntax error at (%d, %d)",
                           i<ArraySize(aSvrSign) ? aSvrSign[i].zName : zName, line, column);
  sqlite3_free(zName);
  return zError;
}

/* What is wrong with something that is no token. */
static char *svrNoToken(const char *zText, const char *z){
  int line, column;
  const char *zWhat = "unrecognized token";
  svrPlace(zText, z, &line, &column);
  switch( z[0] ){
    case '\'': case '"': case '`': zWhat = "non-terminated literal"; break;
    case '[': zWhat = "non-terminated bracket"; break;
    case '/': zWhat = "non-terminated block comment"; break;
    case '!': zWhat = "expected = sign"; break;
    case '$': case '@': case '#': case ':': zWhat = "bad variable name"; break;
    case 'x': case 'X': zWhat = "malformed blob literal"; break;
    case '0': zWhat = z[1]=='x' || z[1]=='X' ? "malformed hex integer" : "bad number"; break;
    case '.': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
      zWhat = "bad number";
      break;
  }
  return sqlite3_mprintf("%s at (%d, %d)", zWhat, line, column);
}

static char *svrEndError(const char *zText, const char *z){
  int line, column;
  svrPlace(zText, z, &line, &column);
  return sqlite3_mprintf("unexpected end of input at (%d, %d)", line, column);
}

/* Whether each "_" of a number stands between two digits. */
static int svrIsSeparated(const char *z, int n){
  int hex = z[0]=='0' && (z[1]=='x' || z[1]=='X');
  int i;
  for(i=0; i<n; i++){
    if( z[i]!='_' ) continue;
    if( i==0 || i+1==n ) return 0;
    if( hex ? !sqlite3Isxdigit(z[i-1]) || !sqlite3Isxdigit(z[i+1]) : !sqlite3Isdigit(z[i-1]) || !sqlite3Isdigit(z[i+1]) ){
      return 0;
    }
  }
  return 1;
}

/* The token at z, what RunParser() would make of it. 0 at the end of the text; TK_ILLEGAL for what is none. */
static int svrGetToken(const char *z, const char *zEnd, int prev, int *pn){
  int type;
  if( z>=zEnd ){
    *pn = 0;
    return 0;
  }
  *pn = (int)sqlite3GetToken((const unsigned char*)z, &type);
  switch( type ){
    case TK_WINDOW: return analyzeWindowKeyword((const unsigned char*)&z[*pn]);
    case TK_OVER:   return analyzeOverKeyword((const unsigned char*)&z[*pn], prev);
    case TK_FILTER: return analyzeFilterKeyword((const unsigned char*)&z[*pn], prev);
    case TK_ID:     return lsc_word(z, *pn, prev);
    case TK_QNUMBER:  return svrIsSeparated(z, *pn) ? TK_QNUMBER : TK_ILLEGAL;
    case TK_VARIABLE: return z[0]=='#' ? TK_ILLEGAL : TK_VARIABLE;    /* a register, in SQLite's own texts */
    case TK_COMMENT:
      return z[0]=='/' && (*pn<4 || z[*pn-1]!='/' || z[*pn-2]!='*') ? TK_ILLEGAL : TK_COMMENT;
    case TK_SPACE:
      return *pn>0 ? TK_SPACE : TK_ILLEGAL;
    default:
      return z[0]!=0 ? type : TK_ILLEGAL;
  }
}

/* Whether connections of the server have functions in WebAssembly; atomic. */
static u32 svrFunctions = 0;

void lsc_server_functions(int on){ AtomicStore(&svrFunctions, on!=0); }

/* What the grammar lacks: ALTER COLUMN ... TO, whose end its own reader finds. */
static int svrIsAlterColumn(const char *z){
  LscAlter s;
  LscLex x;
  memset(&s, 0, sizeof(s));
  lscLexStart(&x, z, 0);
  return x.type==TK_ALTER && lscAlterHead(&s, &x);
}

/* CREATE FUNCTION and DROP FUNCTION, where the server has them; wasm/create.c reads them. */
static int svrIsFunction(const char *z){
  LscLex x;
  if( !AtomicLoad(&svrFunctions) ) return 0;
  lscLexStart(&x, z, 0);
  if( x.type!=TK_CREATE && x.type!=TK_DROP ) return 0;
  return lscLexNext(&x)==TK_ID && wtIsWord(&x, "function");
}

/* The next statement of a text, from z on. 1: *pzStart to *pzEnd, the next one not before *pz. 0: there is none. -1: it
** is none of the grammar's; *pzError says why, or is NULL when out of memory. */
static int svrSpan(const char *zText, const char *zEnd, const char **pz, const char **pzStart, const char **pzStop,
                   char **pzError){
  SvrParser s;
  const char *z = *pz;
  int prev = TK_SEMI, first = 0, ours = 0, using = 0, res = 0, rc = SQLITE_OK;

  svrParserStart(&s);
  *pzStart = *pzStop = 0;
  for(;;){
    int n;
    int type = svrGetToken(z, zEnd, prev, &n);
    if( type==TK_SPACE || type==TK_COMMENT || (type==TK_SEMI && *pzStart==0) ){
      z += n;
      continue;
    }
    if( type==0 && *pzStart==0 ) break;
    if( type==TK_ILLEGAL ){
      *pzError = svrNoToken(zText, z);
      res = -1;
      break;
    }
    if( *pzStart==0 || (prev==TK_EXPLAIN && type!=TK_QUERY) || (first==TK_EXPLAIN && prev==TK_PLAN) ){
      if( *pzStart==0 ){
        *pzStart = z;
        first = type;
      }
      ours = (type==TK_ALTER && svrIsAlterColumn(z)) || svrIsFunction(z);
    }
    if( ours && type!=TK_SEMI && type!=0 ){
      rc = SQLITE_OK;
    }else if( ours ){
      res = 1;
    }else if( using && (type==TK_COMMA || prev==TK_USING || prev==TK_COMMA) ){
      rc = type==TK_COMMA || lscLexIsName(type) ? SQLITE_OK : SQLITE_ERROR;
    }else{
      using = 0;
      rc = svrParserToken(&s, type==0 ? TK_SEMI : type);
      if( rc==SQLITE_ERROR && type==TK_USING && first==TK_CREATE ){
        using = 1;
        rc = SQLITE_OK;
      }
    }
    if( rc!=SQLITE_OK ){
      *pzError = rc==SQLITE_NOMEM ? 0 : type==0 ? svrEndError(zText, z) : svrTokenError(zText, z, n, type);
      res = -1;
    }else if( type==TK_SEMI || type==0 ){
      if( res==0 ) res = svrParserAtEnd(&s);
      if( res==0 && type==0 ){
        *pzError = svrEndError(zText, z);
        res = -1;
      }
    }else{
      *pzStop = z+n;
    }
    z += n;
    if( res!=0 ) break;
    prev = type;
  }
  *pz = z;
  svrParserEnd(&s);
  return res;
}
