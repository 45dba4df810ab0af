/*
** functions.c: libSQL's SQL functions on vectors. Included by engine.c.
**
** All are deterministic and innocuous. A row costs a distance function no allocation: blobs are read where SQLite has
** them, and a constant text, which is expensive to read, is kept with the statement once it was.
**
** The order in which arguments are checked is libSQL's, and seen in which error comes first: what X and Y are, whether
** type and length (that of a text guessed) agree, whether the type has the distance, only then the elements.
*/

static void lscResultError(sqlite3_context *ctx, int rc, char *zErr){
  if( rc==SQLITE_NOMEM ){
    sqlite3_result_error_nomem(ctx);
  }else{
    sqlite3_result_error(ctx, zErr, -1);
  }
  sqlite3_free(zErr);
}

static int lscUserInt(sqlite3_context *ctx){ return SQLITE_PTR_TO_INT(sqlite3_user_data(ctx)); }

/* vector32(X) and the like: X as a vector of the type. */
static void lscVectorFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  LscVector in, out, *pResult = &in;
  int rc, type = lscUserInt(ctx);
  char *zErr = 0;
  (void)argc;
  memset(&in, 0, sizeof(in));
  memset(&out, 0, sizeof(out));
  if( type==LSC_F64 && sqlite3_value_type(argv[0])==SQLITE_TEXT ){
    const char *z = (const char*)sqlite3_value_text(argv[0]);
    rc = z ? lscVectorFromText(&in, LSC_F64, z, sqlite3_value_bytes(argv[0]), &zErr) : SQLITE_NOMEM_BKPT;
  }else{
    rc = lscVectorFromValue(&in, argv[0], &zErr);
  }
  if( rc==SQLITE_OK && in.type!=type ){
    rc = lscVectorConvert(&out, type, &in);
    pResult = &out;
  }
  if( rc==SQLITE_OK ){
    lscVectorResult(ctx, pResult);
  }else{
    lscResultError(ctx, rc, zErr);
  }
  lscVectorFree(&in);
  lscVectorFree(&out);
}

static void lscExtractFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  LscVector v;
  char *zErr = 0, *z = 0;
  i64 n = 0;
  int rc;
  (void)argc;
  memset(&v, 0, sizeof(v));
  rc = lscVectorFromValue(&v, argv[0], &zErr);
  if( rc==SQLITE_OK ) rc = lscVectorToText(&v, &z, &n);
  if( rc==SQLITE_OK ){
    sqlite3_result_text64(ctx, z, n, sqlite3_free, SQLITE_UTF8);
  }else{
    lscResultError(ctx, rc, zErr);
  }
  lscVectorFree(&v);
}

/* Marks a column in CREATE INDEX; anywhere else it is its first argument. */
static void lscVectorIdxFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  if( argc==0 ){
    sqlite3_result_error(ctx, "wrong number of arguments to function libsql_vector_idx()", -1);
  }else{
    sqlite3_result_value(ctx, argv[0]);
  }
}

/* 1 - a.b/sqrt(a.a * b.b), as libSQL computes it: the product of the squares overflows and vanishes like a float32. */
static double lscCosineF32(float dot, float aa, float bb){
  float squares = aa*bb;
  return (float)(1.0 - (double)dot/sqrt((double)squares));
}

static float lscDotF8(const LscVector *pA, const LscVector *pB, const uint64_t aSum[5]){
  return pA->alpha*pB->alpha*(float)aSum[4] + pA->alpha*pB->shift*(float)aSum[0]
       + pB->alpha*pA->shift*(float)aSum[1] + pA->shift*pB->shift*(float)pA->n;
}

static float lscSquareF8(const LscVector *p, uint64_t sum, uint64_t squares){
  return p->alpha*p->alpha*(float)squares + 2*p->alpha*p->shift*(float)sum + p->shift*p->shift*(float)p->n;
}

/* The sum of squared differences. The closed form is exact enough in double; what is not finite goes by element. */
static float lscL2F8(const LscVector *pA, const LscVector *pB, const uint64_t aSum[5]){
  double a = pA->alpha, b = pB->alpha, s = (double)pA->shift - (double)pB->shift;
  double r = a*a*(double)aSum[2] + b*b*(double)aSum[3] - 2.0*a*b*(double)aSum[4]
           + s*(2.0*a*(double)aSum[0] - 2.0*b*(double)aSum[1] + s*pA->n);
  float sum = 0.0f;
  u32 i;
  if( r<=FLT_MAX ) return r<0.0 ? 0.0f : (float)r;
  for(i=0; i<pA->n; i++){
    float d = (pA->alpha*((const u8*)pA->pData)[i] + pA->shift) - (pB->alpha*((const u8*)pB->pData)[i] + pB->shift);
    sum += d*d;
  }
  return sum;
}

static double lscDistanceF8(int metric, const LscVector *pA, const LscVector *pB){
  uint64_t aSum[5];
  lsc_kernels()->xSumsU8(pA->pData, pB->pData, pA->n, aSum);
  switch( metric ){
    case LSC_COS:
      return lscCosineF32(lscDotF8(pA, pB, aSum), lscSquareF8(pA, aSum[0], aSum[2]), lscSquareF8(pB, aSum[1], aSum[3]));
    case LSC_L2:
      return sqrtf(lscL2F8(pA, pB, aSum));
    default:
      return 0.0f - lscDotF8(pA, pB, aSum);
  }
}

static double lscDistanceF64(int metric, const void *a, const void *b, u32 n){
  const LscKernels *pKernels = lsc_kernels();
  double aSum[3];
  switch( metric ){
    case LSC_COS:
      pKernels->xCosF64(a, b, n, aSum);
      return (float)(1.0 - aSum[0]/sqrt(aSum[1]*aSum[2]));
    case LSC_L2:
      return (float)sqrt(pKernels->xL2F64(a, b, n));
    default:
      return (float)(0.0 - pKernels->xDotF64(a, b, n));
  }
}

static double lscVectorDistance(int metric, const LscVector *pA, const LscVector *pB){
  const LscKernels *pKernels = lsc_kernels();
  const void *a = pA->pData, *b = pB->pData;
  size_t n = pA->n;
  float aSum[3], sum = 0.0f;
  assert( pA->type==pB->type && pA->n==pB->n && lscMetricFits(metric, pA->type) );
  switch( pA->type*8 + metric ){
    case LSC_F32*8 + LSC_COS:   pKernels->xCosF32(a, b, n, aSum); break;
    case LSC_F32*8 + LSC_L2:    sum = pKernels->xL2F32(a, b, n); break;
    case LSC_F32*8 + LSC_DOT:   sum = pKernels->xDotF32(a, b, n); break;
    case LSC_F16*8 + LSC_COS:   pKernels->xCosF16(a, b, n, aSum); break;
    case LSC_F16*8 + LSC_L2:    sum = pKernels->xL2F16(a, b, n); break;
    case LSC_F16*8 + LSC_DOT:   sum = pKernels->xDotF16(a, b, n); break;
    case LSC_FB16*8 + LSC_COS:  pKernels->xCosFB16(a, b, n, aSum); break;
    case LSC_FB16*8 + LSC_L2:   sum = pKernels->xL2FB16(a, b, n); break;
    case LSC_FB16*8 + LSC_DOT:  sum = pKernels->xDotFB16(a, b, n); break;
    default:
      if( pA->type==LSC_F64 ) return lscDistanceF64(metric, a, b, pA->n);
      if( pA->type==LSC_F8 ) return lscDistanceF8(metric, pA, pB);
      /* float1bit, whose unused bits count, as they do in libSQL. A dot product is that of numbers +1 and -1. */
      sum = (float)pKernels->xHamming(a, b, (n+7)/8);
      return metric==LSC_DOT ? 2*sum - (float)n : sum;
  }
  if( metric==LSC_COS ) return lscCosineF32(aSum[0], aSum[1], aSum[2]);
  return metric==LSC_L2 ? sqrtf(sum) : 0.0f - sum;
}

static int lscMetricFits(int metric, int type){
  return metric==LSC_HAMMING ? type==LSC_F1BIT : metric!=LSC_L2 || type!=LSC_F1BIT;
}

/* Whether an argument is the same for all rows of the statement. */
static int lscIsConstant(sqlite3_context *ctx, int iArg){
  return ctx->pVdbe!=0 && (ctx->pVdbe->aOp[ctx->iOp].p1 & (1<<iArg))!=0;
}

static void lscFreeKept(void *p){
  lscVectorFree(p);
  sqlite3_free(p);
}

/* lscVectorDetect() of argument iArg. A text that was kept needs no lscVectorRead(). */
static int lscDetectArg(sqlite3_context *ctx, int iArg, sqlite3_value *pValue, LscVector *p, char **pzErr){
  const LscVector *pKept;
  memset(p, 0, sizeof(*p));
  if( sqlite3_value_type(pValue)==SQLITE_TEXT && (pKept = sqlite3_get_auxdata(ctx, iArg))!=0 ){
    *p = *pKept;
    p->pOwned = 0;
    return SQLITE_OK;
  }
  return lscVectorDetect(p, pValue, pzErr);
}

static int lscReadArg(sqlite3_context *ctx, int iArg, sqlite3_value *pValue, LscVector *p, char **pzErr){
  int rc, isText = sqlite3_value_type(pValue)==SQLITE_TEXT;
  LscVector *pKept;
  if( isText && p->pData ) return SQLITE_OK;
  rc = lscVectorRead(p, pValue, pzErr);
  if( rc!=SQLITE_OK || !isText || !lscIsConstant(ctx, iArg) ) return rc;
  pKept = sqlite3_malloc64(sizeof(*pKept));
  if( pKept==0 ) return SQLITE_NOMEM_BKPT;
  *pKept = *p;
  p->pOwned = 0;
  sqlite3_set_auxdata(ctx, iArg, pKept, lscFreeKept);
  return sqlite3_get_auxdata(ctx, iArg) ? SQLITE_OK : SQLITE_NOMEM_BKPT;
}

static int lscPairError(const char *zFunc, const LscVector *pA, const LscVector *pB, char **pzErr){
  if( pA->type!=pB->type ){
    return lscError(pzErr, "%s: vectors must have the same type: %d != %d", zFunc, pA->type, pB->type);
  }
  if( pA->n!=pB->n ){
    return lscError(pzErr, "%s: vectors must have the same length: %u != %u", zFunc, pA->n, pB->n);
  }
  return SQLITE_OK;
}

static int lscMetricError(int metric, int type, char **pzErr){
  return lscError(pzErr, "vector_distance: %s distance is not supported for %s vectors",
                  metric==LSC_L2 ? "l2" : "hamming", lscVectorTypeName(type));
}

static void lscDistanceFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  LscVector a, b;
  int rc, metric = lscUserInt(ctx);
  char *zErr = 0;
  (void)argc;
  b.pOwned = 0;
  rc = lscDetectArg(ctx, 0, argv[0], &a, &zErr);
  if( rc!=SQLITE_OK ) goto out;
  rc = lscDetectArg(ctx, 1, argv[1], &b, &zErr);
  if( rc!=SQLITE_OK ) goto out;
  if( a.type!=b.type || a.n!=b.n ){
    rc = lscPairError("vector_distance", &a, &b, &zErr);
  }else if( !lscMetricFits(metric, a.type) ){
    rc = lscMetricError(metric, a.type, &zErr);
  }
  if( rc==SQLITE_OK ) rc = lscReadArg(ctx, 0, argv[0], &a, &zErr);
  if( rc==SQLITE_OK ) rc = lscReadArg(ctx, 1, argv[1], &b, &zErr);
  if( rc==SQLITE_OK && a.n!=b.n ) rc = lscPairError("vector_distance", &a, &b, &zErr);    /* a guess was wrong */
  if( rc==SQLITE_OK ) sqlite3_result_double(ctx, lscVectorDistance(metric, &a, &b));
out:
  if( rc!=SQLITE_OK ) lscResultError(ctx, rc, zErr);
  sqlite3_free(a.pOwned);
  sqlite3_free(b.pOwned);
}

static void lscVectorRegister(void){
  static FuncDef aFunc[] = {
    FUNCTION(vector,              1, LSC_F32,   0, lscVectorFunc   ),
    FUNCTION(vector32,            1, LSC_F32,   0, lscVectorFunc   ),
    FUNCTION(vector64,            1, LSC_F64,   0, lscVectorFunc   ),
    FUNCTION(vector16,            1, LSC_F16,   0, lscVectorFunc   ),
    FUNCTION(vectorb16,           1, LSC_FB16,  0, lscVectorFunc   ),
    FUNCTION(vector8,             1, LSC_F8,    0, lscVectorFunc   ),
    FUNCTION(vector1bit,          1, LSC_F1BIT, 0, lscVectorFunc   ),
    FUNCTION(vector_extract,      1, 0,         0, lscExtractFunc  ),
    FUNCTION(vector_distance_cos, 2, LSC_COS,   0, lscDistanceFunc ),
    FUNCTION(vector_distance_l2,  2, LSC_L2,    0, lscDistanceFunc ),
    FUNCTION(libsql_vector_idx,  -1, 0,         0, lscVectorIdxFunc),
  };
  sqlite3InsertBuiltinFuncs(aFunc, ArraySize(aFunc));
}
