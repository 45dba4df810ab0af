/*
** index_params.c: what CREATE INDEX says of a vector index: the declared type of its column, the 'key=value' arguments,
** the defaults, and the metadata value that follows from them. Included by engine.c.
**
** Texts of errors are libSQL's. Where the user leaves it open, defaults are ours: neighbours are stored as float8, and as
** many as keep a row below a multiple of its vector's size. libSQL reads and writes such an index as any other.
*/

/* A metadata value that is being made. A tag stands once: room is left for those that come later. */
typedef struct LscMeta {
  u8 a[LSC_MAX_META];
  int n;
} LscMeta;

static int lscMetaFind(const LscMeta *p, int tag){
  int i;
  for(i=0; i<p->n && p->a[i]!=tag; i+=9){}
  return i<p->n ? i : -1;
}

/* Sets a tag, in its old place if it has one. */
static void lscMetaSet(LscMeta *p, int tag, u64 value){
  int i = lscMetaFind(p, tag);
  if( i<0 ){
    i = p->n;
    p->n += 9;
    assert( p->n<=LSC_MAX_META );
  }
  p->a[i] = (u8)tag;
  memcpy(&p->a[i+1], &value, 8);
}

static void lscMetaSetDouble(LscMeta *p, int tag, double r){
  u64 value;
  memcpy(&value, &r, 8);
  lscMetaSet(p, tag, value);
}

/* The value of a tag, or 0. */
static u64 lscMetaGet(const LscMeta *p, int tag){
  int i = lscMetaFind(p, tag);
  u64 value = 0;
  if( i>=0 ) memcpy(&value, &p->a[i+1], 8);
  return value;
}

static const char *lscSkipSpace(const char *z){
  while( sqlite3Isspace(*z) ) z++;
  return z;
}

/* Reads the declared type of a column. NULL, or what is wrong with it. */
static const char *lscColumnType(const char *z, int *pType, u32 *pn){
  static const struct { const char *zName; u8 type; } aType[] = {
    {"F32_BLOB", LSC_F32}, {"F64_BLOB", LSC_F64}, {"F1BIT_BLOB", LSC_F1BIT}, {"F8_BLOB", LSC_F8},
    {"F16_BLOB", LSC_F16}, {"FB16_BLOB", LSC_FB16}, {"FLOAT32", LSC_F32}, {"FLOAT64", LSC_F64},
    {"FLOAT1BIT", LSC_F1BIT}, {"FLOAT8", LSC_F8}, {"FLOAT16", LSC_F16}, {"FLOATB16", LSC_FB16},
  };
  int i, nName = 0;
  u32 n = 0;
  z = lscSkipSpace(z);
  while( sqlite3Isalnum(z[nName]) || z[nName]=='_' ) nName++;
  for(i=0; i<(int)ArraySize(aType); i++){
    if( sqlite3Strlen30(aType[i].zName)==nName && sqlite3_strnicmp(z, aType[i].zName, nName)==0 ) break;
  }
  z = lscSkipSpace(&z[nName]);
  if( i==(int)ArraySize(aType) || *z!='(' ) return "unexpected vector column type";
  z = lscSkipSpace(&z[1]);
  for(; *z && *z!=')' && !sqlite3Isspace(*z); z++){
    if( !sqlite3Isdigit(*z) ) return "non digit symbol in vector column parameter";
    n = n*10 + (u32)(*z - '0');
    if( n>LSC_MAX_DIMS ) return "max vector dimension exceeded";
  }
  z = lscSkipSpace(z);
  if( *z!=')' ) return "missed closing brace for vector column type";
  if( *lscSkipSpace(&z[1]) ) return "extra data after dimension parameter for vector column type";
  if( n==0 ) return "vector column must have non-zero dimension for index";
  *pType = aType[i].type;
  *pn = n;
  return 0;
}

/* What a key may be given: one of some words, by any beginning; a whole number; or any number. */
typedef struct LscKeyWord { const char *zWord; u8 value; } LscKeyWord;
typedef struct LscKey {
  const char *zKey;
  u8 tag;
  u8 isFloat;
  LscKeyWord aWord[6];              /* up to a zWord of NULL */
} LscKey;

static const LscKey aLscKey[] = {
  {"type",               META_KIND,      0, {{"diskann", KIND_DISKANN}, {"compact", KIND_COMPACT}}},
  {"metric",             META_METRIC,    0, {{"cosine", LSC_COS}, {"l2", LSC_L2}}},
  {"compress_neighbors", META_EDGES,     0, {{"float1bit", LSC_F1BIT}, {"float8", LSC_F8}, {"float16", LSC_F16},
                                             {"floatb16", LSC_FB16}, {"float32", LSC_F32}}},
  {"max_neighbors",      META_NEIGHBORS, 0, {{0, 0}}},
  {"alpha",              META_ALPHA,     1, {{0, 0}}},
  {"search_l",           META_SEARCH,    0, {{0, 0}}},
  {"insert_l",           META_INSERT,    0, {{0, 0}}},
};

/* Reads one 'key=value'. NULL, or what is wrong with it. */
static const char *lscReadParam(LscMeta *p, const char *z){
  const char *zValue = strchr(z, '=');
  const LscKey *pKey = aLscKey, *pEnd = &aLscKey[ArraySize(aLscKey)];
  const LscKeyWord *pWord;
  int i, nKey;
  if( zValue==0 ) return "unexpected parameter format";
  nKey = (int)(zValue - z);
  zValue++;
  while( pKey<pEnd && (sqlite3Strlen30(pKey->zKey)!=nKey || sqlite3_strnicmp(z, pKey->zKey, nKey)!=0) ) pKey++;
  if( pKey==pEnd ) return "invalid parameter";
  if( pKey->isFloat ){
    double r;
    if( !lscAtoF(zValue, &r) ) return "invalid representation of floating point vector index parameter";
    lscMetaSetDouble(p, pKey->tag, r==0.0 ? 1.2 : r);
  }else if( pKey->aWord[0].zWord==0 ){
    if( !sqlite3GetInt32(zValue, &i) || i==0 ) return "invalid representation of integer vector index parameter";
    if( i<0 ) return "integer vector index parameter must be positive";
    lscMetaSet(p, pKey->tag, (u64)i);
  }else{
    for(pWord=pKey->aWord; pWord->zWord; pWord++){
      if( sqlite3_strnicmp(pWord->zWord, zValue, sqlite3Strlen30(zValue))==0 ) break;
    }
    if( pWord->zWord==0 ) return "invalid parameter";
    lscMetaSet(p, pKey->tag, pWord->value);
  }
  return 0;
}

#define COMPACT_NEIGHBORS 32

/* Bytes of a block that has room for m neighbours. */
static u64 lscBlockSize(int type, int edgeType, u32 n, u64 m){
  return 16 + (u64)lscVectorSize(type, n) + m*((u64)lscVectorSize(edgeType, n) + 16);
}

/* libSQL's number of neighbours. */
static u32 lscUsualNeighbors(int type, int edgeType, u32 n){
  u64 nNode = (u64)lscVectorSize(type, n), nEdge = (u64)lscVectorSize(edgeType, n);
  u64 byRoot = 3*((u64)sqrt((double)n) + 1), bySize = 50*(nNode+16)/(nEdge+16) + 1;
  return (u32)MIN(byRoot, bySize);
}

/* What a row of the shadow table with such a block takes in the file: its share of a leaf, and its overflow pages. */
static double lscRowCost(u64 nBlock, u32 nUsable){
  u64 nPayload = nBlock + 6, nLocal = nPayload, nOverflow = 0, max = nUsable - 35;
  u64 min = (nUsable-12)*32/255 - 23;
  if( nPayload>max ){
    nLocal = min + (nPayload-min)%(nUsable-4);
    if( nLocal>max ) nLocal = min;
    nOverflow = (nPayload-nLocal + nUsable-5)/(nUsable-4);
  }
  return (double)nUsable/(double)((nUsable-8)/(nLocal+15)) + (double)nOverflow*nUsable;
}

/* Our number of neighbours: the most that keep the index and the table's own vectors below 12 times the vectors, or cost
** no more than 24. */
static u32 lscOwnNeighbors(int type, u32 n, u32 nUsable){
  u32 m = lscUsualNeighbors(type, LSC_F8, n);
  double limit = 11.95*(double)lscVectorSize(type, n) - lscRowCost(lscVectorSize(type, n), nUsable);
  double least = lscRowCost(lscBlockSize(type, LSC_F8, n, 24), nUsable);
  if( limit<least ) limit = least;
  while( m>24 && lscRowCost(lscBlockSize(type, LSC_F8, n, m), nUsable)>limit ) m--;
  return m;
}

/* The metadata of an index on a column of type zType; pArgs are those of libsql_vector_idx(), the first the column.
** nUsable: bytes of a page that hold content. Not 0: an error was noted in pParse. */
static int lscIndexMetaEncode(Parse *pParse, const char *zType, const ExprList *pArgs, u32 nUsable, LscMeta *p){
  static const char zUnable[] = "vector index: unable to initialize diskann";
  const char *zReason;
  int i, type = 0, edgeType;
  u32 n = 0;
  u64 m, nBlock;
  p->n = 0;
  zReason = lscColumnType(zType, &type, &n);
  if( zReason ){
    sqlite3ErrorMsg(pParse, "vector index: %s: %s", zReason, zType);
    return 1;
  }
  lscMetaSet(p, META_VERSION, 3);
  lscMetaSet(p, META_TYPE, (u64)type);
  lscMetaSet(p, META_DIMS, n);
  for(i=1; i<pArgs->nExpr; i++){
    const char *z = pArgs->a[i].pExpr->u.zToken;
    zReason = lscReadParam(p, z);
    if( zReason ){
      sqlite3ErrorMsg(pParse, "vector index: invalid vector index parameter '%s': %s", z, zReason);
      return 1;
    }
  }
  edgeType = (int)lscMetaGet(p, META_EDGES);
  m = lscMetaGet(p, META_NEIGHBORS);
  if( lscMetaGet(p, META_KIND)==KIND_COMPACT ){
    if( edgeType ){
      sqlite3ErrorMsg(pParse, "%s: type=compact stores no vectors, so compress_neighbors is not for it", zUnable);
      return 1;
    }
    if( m>65535 ){
      sqlite3ErrorMsg(pParse, "%s", zUnable);
      return 1;
    }
    lscMetaSet(p, META_NEIGHBORS, m ? m : COMPACT_NEIGHBORS);
    nBlock = 0;
    goto out;
  }
  if( edgeType==LSC_F1BIT && lscMetaGet(p, META_METRIC)==LSC_L2 ){
    sqlite3ErrorMsg(pParse, "%s: 1-bit compression available only for cosine metric", zUnable);
    return 1;
  }
  if( edgeType==0 && type!=LSC_F1BIT && type!=LSC_F8 ){
    edgeType = LSC_F8;
    lscMetaSet(p, META_EDGES, LSC_F8);
    if( m==0 ) m = lscOwnNeighbors(type, n, nUsable);
  }
  if( edgeType==0 ) edgeType = type;
  if( m==0 ) m = lscUsualNeighbors(type, edgeType, n);
  nBlock = lscBlockSize(type, edgeType, n, m);
  if( m>65535 || nBlock>LSC_MAX_BLOCK ){
    sqlite3ErrorMsg(pParse, "%s", zUnable);
    return 1;
  }
  lscMetaSet(p, META_KIND, KIND_DISKANN);
  nBlock = MAX(nBlock, 256);
out:
  if( lscMetaFind(p, META_METRIC)<0 ) lscMetaSet(p, META_METRIC, LSC_COS);
  lscMetaSet(p, META_BLOCK, nBlock);
  if( lscMetaFind(p, META_ALPHA)<0 ) lscMetaSetDouble(p, META_ALPHA, 1.2);
  return 0;
}
