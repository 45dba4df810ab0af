/*
** more.c: SQL functions on vectors that libSQL has not. Included by engine.c.
**
** What has two vectors takes two of one type and length, as libSQL's distances do, and gives that type; float16,
** floatb16 and float8 go by way of float32. Sums of many vectors are kept in double and given as float64 for float64,
** as float32 for the rest, whose range a sum would leave.
*/

static void lscDimsFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  LscVector v;
  char *zErr = 0;
  int rc;
  (void)argc;
  memset(&v, 0, sizeof(v));
  rc = lscVectorFromValue(&v, argv[0], &zErr);
  if( rc!=SQLITE_OK ){
    lscResultError(ctx, rc, zErr);
  }else if( lscUserInt(ctx) ){
    sqlite3_result_text(ctx, lscVectorTypeName(v.type), -1, SQLITE_STATIC);
  }else{
    sqlite3_result_int(ctx, (int)v.n);
  }
  lscVectorFree(&v);
}

/* Copies n elements from place iFrom of pIn to place iTo of pOut, which was allocated. Not for float8. */
static void lscCopyElements(LscVector *pOut, u32 iTo, const LscVector *pIn, u32 iFrom, u32 n){
  u8 *a = pOut->pOwned;
  u32 i;
  if( n==0 ) return;
  if( pOut->type==LSC_F1BIT ){
    for(i=0; i<n; i++, iTo++){
      u8 bit = (u8)(1<<(iTo%8));
      a[iTo/8] = (u8)(lscBit(pIn->pData, iFrom+i) ? a[iTo/8] | bit : a[iTo/8] & ~bit);
    }
  }else{
    i64 size = lscVectorSize(pOut->type, 1);
    memcpy(a + iTo*size, (const u8*)pIn->pData + iFrom*size, (size_t)(n*size));
  }
}

/* A new vector whose bits are all zero. */
static int lscVectorZero(LscVector *p, int type, u32 n){
  int rc = lscVectorAlloc(p, type, n);
  if( rc==SQLITE_OK ) memset(p->pOwned, 0, (size_t)lscVectorSize(type, n));
  return rc;
}

/* vector_slice(X, start, end): elements start, start+1 ... end-1, the first is 0. */
static void lscSliceFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  LscVector in, out;
  char *zErr = 0;
  int rc;
  i64 iStart, iEnd;
  (void)argc;
  memset(&in, 0, sizeof(in));
  memset(&out, 0, sizeof(out));
  rc = lscVectorFromValue(&in, argv[0], &zErr);
  if( rc!=SQLITE_OK ) goto out;
  iStart = sqlite3_value_int64(argv[1]);
  iEnd = sqlite3_value_int64(argv[2]);
  if( sqlite3_value_type(argv[1])!=SQLITE_INTEGER || sqlite3_value_type(argv[2])!=SQLITE_INTEGER ){
    rc = lscError(&zErr, "vector_slice: start and end must be integers");
    goto out;
  }
  if( iStart<0 || iEnd<iStart || iEnd>in.n ){
    rc = lscError(&zErr, "vector_slice: %lld to %lld is not inside of 0 to %u", iStart, iEnd, in.n);
    goto out;
  }
  rc = lscVectorZero(&out, in.type, (u32)(iEnd - iStart));
  if( rc!=SQLITE_OK ) goto out;
  if( in.type==LSC_F8 ){
    u8 *a = out.pOwned;
    memcpy(a, (const u8*)in.pData + iStart, out.n);
    memcpy(&a[lscVectorSize(LSC_F8, out.n) - 8], &in.alpha, 4);
    memcpy(&a[lscVectorSize(LSC_F8, out.n) - 4], &in.shift, 4);
  }else{
    lscCopyElements(&out, 0, &in, (u32)iStart, out.n);
  }
  lscVectorResult(ctx, &out);
out:
  if( rc!=SQLITE_OK ) lscResultError(ctx, rc, zErr);
  lscVectorFree(&in);
  lscVectorFree(&out);
}

/* *pOut = the elements of *pA, then those of *pB; both of one type that is not float8. */
static int lscConcat(LscVector *pOut, const LscVector *pA, const LscVector *pB){
  int rc = lscVectorZero(pOut, pA->type, pA->n + pB->n);
  if( rc!=SQLITE_OK ) return rc;
  lscCopyElements(pOut, 0, pA, 0, pA->n);
  lscCopyElements(pOut, pA->n, pB, 0, pB->n);
  return SQLITE_OK;
}

static int lscConcatF8(LscVector *pOut, const LscVector *pA, const LscVector *pB){
  LscVector a, b, both;
  int rc;
  memset(&a, 0, sizeof(a));
  memset(&b, 0, sizeof(b));
  memset(&both, 0, sizeof(both));
  rc = lscVectorConvert(&a, LSC_F32, pA);
  if( rc==SQLITE_OK ) rc = lscVectorConvert(&b, LSC_F32, pB);
  if( rc==SQLITE_OK ) rc = lscConcat(&both, &a, &b);
  if( rc==SQLITE_OK ) rc = lscVectorConvert(pOut, LSC_F8, &both);
  lscVectorFree(&a);
  lscVectorFree(&b);
  lscVectorFree(&both);
  return rc;
}

static void lscConcatFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  LscVector a, b, out;
  char *zErr = 0;
  int rc;
  (void)argc;
  memset(&a, 0, sizeof(a));
  memset(&b, 0, sizeof(b));
  memset(&out, 0, sizeof(out));
  rc = lscVectorFromValue(&a, argv[0], &zErr);
  if( rc==SQLITE_OK ) rc = lscVectorFromValue(&b, argv[1], &zErr);
  if( rc!=SQLITE_OK ) goto out;
  if( a.type!=b.type ){
    rc = lscPairError("vector_concat", &a, &b, &zErr);
  }else if( a.n+b.n>LSC_MAX_DIMS ){
    rc = lscError(&zErr, "vector: max size exceeded: %u > %d", a.n+b.n, LSC_MAX_DIMS);
  }else{
    rc = a.type==LSC_F8 ? lscConcatF8(&out, &a, &b) : lscConcat(&out, &a, &b);
  }
  if( rc==SQLITE_OK ) lscVectorResult(ctx, &out);
out:
  if( rc!=SQLITE_OK ) lscResultError(ctx, rc, zErr);
  lscVectorFree(&a);
  lscVectorFree(&b);
  lscVectorFree(&out);
}

/* Divides by the length, in steps that do not overflow. A vector of zeros stays as it is. */
static void lscNormalize(double *a, u32 n){
  double max = 0.0, sum = 0.0;
  u32 i;
  for(i=0; i<n; i++) max = fabs(a[i])>max ? fabs(a[i]) : max;
  if( max==0.0 ) return;
  for(i=0; i<n; i++){
    a[i] /= max;
    sum += a[i]*a[i];
  }
  sum = sqrt(sum);
  for(i=0; i<n; i++) a[i] /= sum;
}

enum { LSC_ADD, LSC_SUB, LSC_SCALE, LSC_NORMALIZE };

/* The function op on a, and on b of the same length or the number factor. */
static void lscArithmetic(int op, double *a, const double *b, double factor, u32 n){
  u32 i;
  switch( op ){
    case LSC_ADD:   for(i=0; i<n; i++) a[i] += b[i]; break;
    case LSC_SUB:   for(i=0; i<n; i++) a[i] -= b[i]; break;
    case LSC_SCALE: for(i=0; i<n; i++) a[i] *= factor; break;
    default:        lscNormalize(a, n); break;
  }
}

/* Reads what the function is given, and says what is wrong with it. */
static int lscReadOperands(int op, sqlite3_value **argv, LscVector *pA, LscVector *pB, char **pzErr){
  static const char *const azName[] = { "vector_add", "vector_sub", "vector_scale", "vector_normalize" };
  int rc = lscVectorFromValue(pA, argv[0], pzErr);
  if( rc==SQLITE_OK && op<=LSC_SUB ) rc = lscVectorFromValue(pB, argv[1], pzErr);
  if( rc!=SQLITE_OK ) return rc;
  if( op<=LSC_SUB ){
    rc = lscPairError(azName[op], pA, pB, pzErr);
    if( rc!=SQLITE_OK ) return rc;
  }
  if( pA->type==LSC_F1BIT ) return lscError(pzErr, "%s: not supported for float1bit vectors", azName[op]);
  if( op==LSC_SCALE && sqlite3_value_type(argv[1])!=SQLITE_INTEGER && sqlite3_value_type(argv[1])!=SQLITE_FLOAT ){
    return lscError(pzErr, "vector_scale: the factor must be a number");
  }
  return SQLITE_OK;
}

static void lscArithmeticFunc(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  LscVector a, b, aWide, bWide, out;
  char *zErr = 0;
  int rc, op = lscUserInt(ctx);
  (void)argc;
  memset(&a, 0, sizeof(a));
  memset(&b, 0, sizeof(b));
  memset(&aWide, 0, sizeof(a));
  memset(&bWide, 0, sizeof(b));
  memset(&out, 0, sizeof(out));
  rc = lscReadOperands(op, argv, &a, &b, &zErr);
  if( rc==SQLITE_OK ) rc = lscVectorConvert(&aWide, LSC_F64, &a);
  if( rc==SQLITE_OK && op<=LSC_SUB ) rc = lscVectorConvert(&bWide, LSC_F64, &b);
  if( rc!=SQLITE_OK ) goto out;
  lscArithmetic(op, aWide.pOwned, bWide.pOwned, op==LSC_SCALE ? sqlite3_value_double(argv[1]) : 0.0, a.n);
  if( a.type==LSC_F64 ){
    lscVectorResult(ctx, &aWide);
    goto out;
  }
  lscVectorFree(&bWide);
  rc = lscVectorConvert(&bWide, LSC_F32, &aWide);
  if( rc==SQLITE_OK ) rc = lscVectorConvert(&out, a.type, &bWide);
  if( rc==SQLITE_OK ) lscVectorResult(ctx, &out);
out:
  if( rc!=SQLITE_OK ) lscResultError(ctx, rc, zErr);
  lscVectorFree(&a);
  lscVectorFree(&b);
  lscVectorFree(&aWide);
  lscVectorFree(&bWide);
  lscVectorFree(&out);
}

/* What vector_sum() and vector_avg() have seen. Infinities and NaNs are counted apart, so that those that leave a
** window leave no trace. */
typedef struct LscSum LscSum;
struct LscSum {
  int type;             /* of the vectors; 0 before the first */
  u32 n;
  i64 nRow;
  double *aSum;         /* owned */
  u32 (*aOdd)[3];       /* owned; for each element how many inf, -inf, NaN; NULL for none at all */
};

static void lscSumFree(LscSum *p){
  sqlite3_free(p->aSum);
  sqlite3_free(p->aOdd);
  p->aSum = 0;
  p->aOdd = 0;
}

static int lscSumOdd(LscSum *p, u32 i, double x, int sign){
  if( p->aOdd==0 ){
    p->aOdd = sqlite3_malloc64((u64)p->n*sizeof(*p->aOdd));
    if( p->aOdd==0 ) return SQLITE_NOMEM_BKPT;
    memset(p->aOdd, 0, p->n*sizeof(*p->aOdd));
  }
  p->aOdd[i][x!=x ? 2 : x<0] += (u32)sign;
  return SQLITE_OK;
}

/* Adds a vector, or with sign -1 takes it away. */
static int lscSumAdd(LscSum *p, const LscVector *pVector, int sign, const char *zFunc, char **pzErr){
  LscVector wide, first;
  const double *a;
  int rc;
  u32 i;
  memset(&wide, 0, sizeof(wide));
  if( p->type==0 ){
    p->aSum = sqlite3_malloc64((u64)pVector->n*8 + 1);
    if( p->aSum==0 ) return SQLITE_NOMEM_BKPT;
    memset(p->aSum, 0, (size_t)pVector->n*8);
    p->type = pVector->type;
    p->n = pVector->n;
  }
  memset(&first, 0, sizeof(first));
  first.type = p->type;
  first.n = p->n;
  rc = lscPairError(zFunc, &first, pVector, pzErr);
  if( rc==SQLITE_OK ) rc = lscVectorConvert(&wide, LSC_F64, pVector);
  a = wide.pOwned;
  for(i=0; rc==SQLITE_OK && i<p->n; i++){
    if( a[i]-a[i]==0.0 ){
      p->aSum[i] += sign*a[i];
    }else{
      rc = lscSumOdd(p, i, a[i], sign);
    }
  }
  p->nRow += sign;
  lscVectorFree(&wide);
  return rc;
}

static void lscSumChange(sqlite3_context *ctx, sqlite3_value *pValue, int sign){
  LscSum *p = sqlite3_aggregate_context(ctx, sizeof(*p));
  LscVector v;
  char *zErr = 0;
  int rc;
  if( sqlite3_value_type(pValue)==SQLITE_NULL ) return;
  memset(&v, 0, sizeof(v));
  rc = p ? lscVectorFromValue(&v, pValue, &zErr) : SQLITE_NOMEM_BKPT;
  if( rc==SQLITE_OK ) rc = lscSumAdd(p, &v, sign, lscUserInt(ctx) ? "vector_avg" : "vector_sum", &zErr);
  if( rc!=SQLITE_OK ) lscResultError(ctx, rc, zErr);
  lscVectorFree(&v);
}

static void lscSumStep(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  (void)argc;
  lscSumChange(ctx, argv[0], 1);
}

static void lscSumInverse(sqlite3_context *ctx, int argc, sqlite3_value **argv){
  (void)argc;
  lscSumChange(ctx, argv[0], -1);
}

static double lscSumElement(const LscSum *p, u32 i){
  if( p->aOdd ){
    const u32 *pOdd = p->aOdd[i];
    if( pOdd[2] || (pOdd[0] && pOdd[1]) ) return NAN;
    if( pOdd[0] || pOdd[1] ) return pOdd[0] ? HUGE_VAL : -HUGE_VAL;
  }
  return p->aSum[i];
}

static void lscSumValue(sqlite3_context *ctx){
  LscSum *p = sqlite3_aggregate_context(ctx, 0);
  LscVector out;
  u32 i;
  double divisor;
  if( p==0 || p->nRow==0 ) return;
  if( lscVectorAlloc(&out, p->type==LSC_F64 ? LSC_F64 : LSC_F32, p->n)!=SQLITE_OK ){
    sqlite3_result_error_nomem(ctx);
    return;
  }
  divisor = lscUserInt(ctx) ? (double)p->nRow : 1.0;
  for(i=0; i<p->n; i++){
    double x = lscSumElement(p, i)/divisor;
    if( out.type==LSC_F64 ){
      ((double*)out.pOwned)[i] = x;
    }else{
      ((float*)out.pOwned)[i] = (float)x;
    }
  }
  lscVectorResult(ctx, &out);
}

static void lscSumFinal(sqlite3_context *ctx){
  LscSum *p = sqlite3_aggregate_context(ctx, 0);
  lscSumValue(ctx);
  if( p ) lscSumFree(p);
}

#define LSC_AGGREGATE(zName, arg) \
  WAGGREGATE(zName, 1, arg, 0, lscSumStep, lscSumFinal, lscSumValue, lscSumInverse, SQLITE_FUNC_CONSTANT)

static void lscVectorRegisterMore(void){
  static FuncDef aFunc[] = {
    FUNCTION(vector_distance_dot,     2, LSC_DOT,       0, lscDistanceFunc  ),
    FUNCTION(vector_distance_hamming, 2, LSC_HAMMING,   0, lscDistanceFunc  ),
    FUNCTION(vector_dims,             1, 0,             0, lscDimsFunc      ),
    FUNCTION(vector_type,             1, 1,             0, lscDimsFunc      ),
    FUNCTION(vector_slice,            3, 0,             0, lscSliceFunc     ),
    FUNCTION(vector_concat,           2, 0,             0, lscConcatFunc    ),
    FUNCTION(vector_add,              2, LSC_ADD,       0, lscArithmeticFunc),
    FUNCTION(vector_sub,              2, LSC_SUB,       0, lscArithmeticFunc),
    FUNCTION(vector_scale,            2, LSC_SCALE,     0, lscArithmeticFunc),
    FUNCTION(vector_normalize,        1, LSC_NORMALIZE, 0, lscArithmeticFunc),
    LSC_AGGREGATE(vector_sum, 0),
    LSC_AGGREGATE(vector_avg, 1),
  };
  sqlite3InsertBuiltinFuncs(aFunc, ArraySize(aFunc));
}
