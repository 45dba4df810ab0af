/*
** Checks the kernels of csrc/vec/ against sums in long double, and their tables.
**
**   vector_kernels list          the tables that this processor can run, and the chosen one
**   vector_kernels check NAME    all checks of one table; prints what is wrong, and the largest part of its tolerance
**                                that an error took
**
** Every operand lies at the very end of an allocation of its own, so that a sanitizer sees a read behind it. Sanitizers
** do not see loads under a mask, so operands are also tried in front of a page that nobody may read.
*/
#if !defined(_GNU_SOURCE) && !defined(_WIN32)
# define _GNU_SOURCE 1
#endif
#include "vec/kern_portable.c"
#include "vec/kern_avx2.c"
#include "vec/kern_avx512.c"
#include "vec/kern_dots512.c"
#include "vec/kern_neon.c"
#include "vec/kernels.c"

#include <stdio.h>
#ifndef _WIN32
# include <sys/mman.h>
#endif

typedef long double real;
enum { F32, F64, F16, FB16, TYPES };

static const char *const azType[] = {"f32", "f64", "f16", "fb16"};
static const size_t aSize[] = {4, 8, 2, 2};
static const LscKernels *pKern;
static int nWrong;
static real worst;

static uint64_t randomBits(void){
  static uint64_t x = 88172645463325252u;
  x ^= x<<13;
  x ^= x>>7;
  x ^= x<<17;
  return x*0x2545f4914f6cdd1du;
}

static void wrong(const char *zWhat, const char *zType, size_t n, real found, real expected){
  if( nWrong++<20 ) printf("%s %s %s, n=%zu: %.9Lg, not %.9Lg\n", pKern->zName, zWhat, zType, n, found, expected);
}

/* n bytes that end where their allocation does; nOff bytes in front, to free it by. */
static unsigned char *place(size_t n, size_t nOff){
  unsigned char *p = malloc(n + nOff + !(n + nOff));
  if( p==0 ) abort();
  memset(p, 0xa5, n + nOff);
  return p + nOff;
}

/* A copy of n bytes that ends at a page that cannot be read, one of two; the operand itself where there are no such. */
static const void *atEdge(int iEdge, const void *p, size_t n){
#ifndef _WIN32
  enum { SIZE = 1<<21, PAGE = 1<<16 };
  static char *aEdge[2];
  if( aEdge[iEdge]==0 ){
    aEdge[iEdge] = mmap(0, SIZE + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if( aEdge[iEdge]==MAP_FAILED || mprotect(aEdge[iEdge] + SIZE, PAGE, PROT_NONE) ) abort();
  }
  if( n<=SIZE && n ) p = memcpy(aEdge[iEdge] + SIZE - n, p, n);
#endif
  (void)iEdge;
  (void)n;
  return p;
}

static real halfValue(unsigned h){
  int e = h>>10 & 31;
  real m = h & 1023;
  m = e==31 ? (m!=0 ? (real)NAN : (real)INFINITY) : e ? ldexpl(m + 1024, e-25) : ldexpl(m, -24);
  return h & 0x8000 ? -m : m;
}

static real getAt(int eType, const void *p, size_t i){
  const unsigned char *z = (const unsigned char*)p + i*aSize[eType];
  unsigned u = z[0] | (unsigned)z[1]<<8;
  float f;
  double d;
  switch( eType ){
    case F32: memcpy(&f, z, 4); return f;
    case F64: memcpy(&d, z, 8); return d;
    case F16: return halfValue(u);
    default: u <<= 16; memcpy(&f, &u, 4); return f;
  }
}

/* The bits of a value that a half can hold. */
static unsigned halfBits(double value){
  int e;
  double m = frexp(fabs(value), &e);
  unsigned h = isnan(value) ? 0x7e00 : isinf(value) ? 0x7c00 : value==0 ? 0
             : e>-14 ? (unsigned)(e + 14)<<10 | (unsigned)ldexp(m - 0.5, 11) : (unsigned)ldexp(m, e + 24);
  return signbit(value) ? h | 0x8000 : h;
}

/* Values that the type can hold; a bfloat takes the upper half. */
static void putAt(int eType, void *p, size_t i, double value){
  unsigned char *z = (unsigned char*)p + i*aSize[eType];
  float f = (float)value;
  uint32_t u;
  unsigned h;
  memcpy(&u, &f, 4);
  if( eType==F32 ){
    memcpy(z, &f, 4);
  }else if( eType==F64 ){
    memcpy(z, &value, 8);
  }else{
    h = eType==FB16 ? u>>16 : halfBits(value);
    z[0] = (unsigned char)h;
    z[1] = (unsigned char)(h>>8);
  }
}

static void fill(int eType, void *p, size_t n){
  size_t i;
  for(i=0; i<n; i++){
    uint64_t r = randomBits();
    unsigned h = (unsigned)(r>>48 & 0xbbff);              /* halves below 2 */
    if( eType==F16 ){
      unsigned char *z = (unsigned char*)p + 2*i;
      z[0] = (unsigned char)h;
      z[1] = (unsigned char)(h>>8);
    }else{
      putAt(eType, p, i, (double)(int64_t)r/9223372036854775808.0);
    }
  }
}

typedef struct Sums { real s[4], size[4]; } Sums;      /* a.b, a.a, b.b, the square; the same of absolute values */

static Sums reference(int eType, const void *a, const void *b, size_t n){
  Sums r;
  size_t i;
  int k;
  memset(&r, 0, sizeof(r));
  for(i=0; i<n; i++){
    real x = getAt(eType, a, i), y = getAt(eType, b, i), part[4];
    part[0] = x*y;
    part[1] = x*x;
    part[2] = y*y;
    part[3] = (x - y)*(x - y);
    for(k=0; k<4; k++){
      r.s[k] += part[k];
      r.size[k] += fabsl(part[k]);
    }
  }
  return r;
}

/* What the kernels find: a.b by Cos, a.a, b.b, the square, a.b by Dot. */
static void found(int eType, const void *a, const void *b, size_t n, real *pOut){
  float s[3] = {0};
  double d[3] = {0};
  int k;
  switch( eType ){
    case F32: pKern->xCosF32(a, b, n, s); pOut[3] = pKern->xL2F32(a, b, n); pOut[4] = pKern->xDotF32(a, b, n); break;
    case F64: pKern->xCosF64(a, b, n, d); pOut[3] = pKern->xL2F64(a, b, n); pOut[4] = pKern->xDotF64(a, b, n); break;
    case F16: pKern->xCosF16(a, b, n, s); pOut[3] = pKern->xL2F16(a, b, n); pOut[4] = pKern->xDotF16(a, b, n); break;
    default: pKern->xCosFB16(a, b, n, s); pOut[3] = pKern->xL2FB16(a, b, n); pOut[4] = pKern->xDotFB16(a, b, n);
  }
  for(k=0; k<3; k++) pOut[k] = eType==F64 ? (real)d[k] : (real)s[k];
}

static const char *const azSum[] = {"a.b", "a.a", "b.b", "L2", "dot"};
static const int aReference[] = {0, 1, 2, 3, 0};

static void compare(const char *zWhat, const char *zType, size_t n, real is, real should, real tolerance){
  real error = fabsl(is - should);
  if( !(error<=tolerance) ) wrong(zWhat, zType, n, is, should);
  else if( tolerance>0 && error/tolerance>worst ) worst = error/tolerance;
}

static void checkSums(int eType, size_t n, size_t nOff){
  unsigned char *a = place(n*aSize[eType], nOff), *b = place(n*aSize[eType], nOff*3);
  real is[5], again[5];
  Sums should;
  int k;
  fill(eType, a, n);
  fill(eType, b, n);
  should = reference(eType, a, b, n);
  found(eType, a, b, n, is);
  found(eType, atEdge(0, a, n*aSize[eType]), atEdge(1, b, n*aSize[eType]), n, again);
  for(k=0; k<5; k++){
    if( is[k]!=again[k] ) wrong(azSum[k], "elsewhere", n, again[k], is[k]);
  }
  for(k=0; k<5; k++){
    real size = should.size[aReference[k]]*ldexpl(1, eType==F64 ? -53 : -24);
    compare(azSum[k], azType[eType], n, is[k], should.s[aReference[k]], ((real)n/8 + 12)*size);
  }
  free(a - nOff);
  free(b - nOff*3);
}

/* The sums with one element replaced in each of the two. */
static void special(int eType, void *a, void *b, size_t n, size_t i, double x, double y, real *pOut){
  putAt(eType, a, i, x);
  putAt(eType, b, i, y);
  found(eType, a, b, n, pOut);
}

static void expect(const char *zWhat, int eType, size_t n, const real *is, const double *should){
  int k;
  for(k=0; k<5; k++){
    double s = should[aReference[k]];
    if( isnan(s) ? !isnan(is[k]) : is[k]!=s ) wrong(zWhat, azType[eType], n, is[k], s);
  }
}

static void checkSpecial(int eType, size_t n){
  static const double aNan[] = {NAN, NAN, 1, NAN}, aInf[] = {-INFINITY, INFINITY, 4, INFINITY};
  static const double aNone[] = {NAN, INFINITY, 0, INFINITY}, aBoth[] = {INFINITY, INFINITY, INFINITY, NAN};
  static const double aZero[] = {0, 0, 0, 0};
  unsigned char *a = place(n*aSize[eType], 1), *b = place(n*aSize[eType], 3);
  /* the smallest denormal, and a number that makes a normal product with it */
  double tiny = eType==F32 ? 0x1p-149 : eType==F64 ? 0x1p-1074 : eType==F16 ? 0x1p-24 : 0x1p-133;
  double large = eType==F64 ? 0x1p1000 : eType==F16 ? 0x1p15 : 0x1p120;
  double aTiny[4];
  real is[5];
  size_t i;
  for(i=0; i<n; i++){
    size_t j;
    for(j=0; j<n; j++){
      putAt(eType, a, j, j&1 ? -0.0 : 0.0);
      putAt(eType, b, j, 0.0);
    }
    found(eType, a, b, n, is);
    expect("zeros", eType, n, is, aZero);
    special(eType, a, b, n, i, NAN, 1, is);
    expect("NaN", eType, n, is, aNan);
    special(eType, a, b, n, i, INFINITY, -2, is);
    expect("infinity", eType, n, is, aInf);
    special(eType, a, b, n, i, -INFINITY, 0, is);
    expect("infinity by zero", eType, n, is, aNone);
    special(eType, a, b, n, i, INFINITY, INFINITY, is);
    expect("infinities", eType, n, is, aBoth);
    aTiny[0] = tiny*large;
    aTiny[1] = eType==F16 ? tiny*tiny : 0;
    aTiny[2] = aTiny[3] = eType==F32 || eType==FB16 ? INFINITY : large*large;
    if( eType==F16 ) aTiny[3] = (double)((float)(large - tiny)*(float)(large - tiny));
    special(eType, a, b, n, i, tiny, large, is);
    expect("tiny by large", eType, n, is, aTiny);
    if( eType!=F16 ){
      aTiny[0] = -INFINITY;
      aTiny[1] = aTiny[2] = aTiny[3] = INFINITY;
      special(eType, a, b, n, i, large, -large, is);
      expect("large by large", eType, n, is, aTiny);
    }
  }
  free(a - 1);
  free(b - 3);
}

static void checkBytes(size_t n, size_t nOff, int value){
  unsigned char *a = place(n, nOff), *b = place(n, nOff*3);
  static const char *const azSums[] = {"sum a", "sum b", "sum aa", "sum bb", "sum ab"};
  uint64_t should[5] = {0}, is[5], nDiffer = 0;
  size_t i;
  int k;
  for(i=0; i<n; i++){
    uint64_t x = a[i] = (unsigned char)(value>=0 ? value : (int)(randomBits()>>56));
    uint64_t y = b[i] = (unsigned char)(value>=0 ? value : (int)(randomBits()>>56));
    should[0] += x;
    should[1] += y;
    should[2] += x*x;
    should[3] += y*y;
    should[4] += x*y;
    for(k=0; k<8; k++) nDiffer += (x^y)>>k & 1;
  }
  pKern->xSumsU8(atEdge(0, a, n), atEdge(1, b, n), n, is);
  if( pKern->xHamming(atEdge(0, a, n), atEdge(1, b, n), n)!=nDiffer ) wrong("hamming", "elsewhere", n, 0, 0);
  pKern->xSumsU8(a, b, n, is);
  for(k=0; k<5; k++){
    if( is[k]!=should[k] ) wrong(azSums[k], "u8", n, (real)is[k], (real)should[k]);
  }
  is[0] = pKern->xHamming(a, b, n);
  if( is[0]!=nDiffer ) wrong("hamming", "bits", n, (real)is[0], (real)nDiffer);
  if( value>=0 ){
    memset(a, 0, n);
    memset(b, 255, n);
    is[0] = pKern->xHamming(a, b, n);
    if( is[0]!=n*8 ) wrong("hamming", "all bits", n, (real)is[0], (real)n*8);
  }
  free(a - nOff);
  free(b - nOff*3);
}

/* n elements whose bits are first, first+1, ... */
static void checkWiden(size_t n, size_t nOff, unsigned first){
  unsigned char *a = place(2*n, nOff);
  float *pOut = (float*)(void*)place(n*sizeof(float), 0);
  size_t i;
  for(i=0; i<n; i++){
    a[2*i] = (unsigned char)(first + i);
    a[2*i+1] = (unsigned char)((first + i)>>8);
  }
  pKern->xWidenFB16(atEdge(0, a, 2*n), n, pOut);
  pKern->xWidenF16(atEdge(0, a, 2*n), n, pOut);
  for(i=0; i<n; i++){
    unsigned h = (first + i) & 0xffff;
    uint32_t is, should;
    float f = (float)halfValue(h);
    memcpy(&is, &pOut[i], 4);
    memcpy(&should, &f, 4);
    if( isnan(f) ) should = (h & 0x8000)<<16 | 0x7fc00000;
    if( is!=should ) wrong("widen", "f16", n, is, should);
  }
  pKern->xWidenFB16(a, n, pOut);
  for(i=0; i<n; i++){
    uint32_t is;
    memcpy(&is, &pOut[i], 4);
    if( is!=((first + i) & 0xffff)<<16 ) wrong("widen", "fb16", n, is, (real)(first + i));
  }
  free(a - nOff);
  free(pOut);
}

/* `bad`: a query with a NaN and a row with an infinity, which spoil their own results and no others. */
static void checkDots(size_t nRow, size_t nQuery, size_t n, int bad){
  float *pQuery = (float*)(void*)place(nQuery*n*sizeof(float), 0);
  float *pPacked = (float*)(void*)place(lsc_packed_size(nQuery, n), 0);
  float *pOut = (float*)(void*)place((nRow*nQuery + 64)*sizeof(float), 0);
  const void **apRow = malloc((nRow + 1)*sizeof(*apRow));
  size_t iRow, iQuery, iBad = nQuery/2, iWorse = nRow/2;
  if( apRow==0 ) abort();
  fill(F32, pQuery, nQuery*n);
  bad = bad && nQuery && n;
  if( bad ) pQuery[iBad*n + n/2] = NAN;
  for(iRow=0; iRow<nRow; iRow++){
    unsigned char *pRow = place(n*sizeof(float), iRow%7);
    fill(F32, pRow, n);
    if( bad && iRow==iWorse ) putAt(F32, pRow, n/2, INFINITY);
    apRow[iRow] = pRow;
  }
  pKern->xPackQueries(pQuery, nQuery, n, pPacked);
  memset(pOut, 0x7f, (nRow*nQuery + 64)*sizeof(float));
  pKern->xDotsF32(apRow, nRow, pPacked, nQuery, n, pOut);
  for(iRow=0; iRow<64*sizeof(float); iRow++){
    if( ((char*)&pOut[nRow*nQuery])[iRow]!=0x7f ) wrong("dots", "written behind", n, 0, 0);
  }
  for(iRow=0; iRow<nRow; iRow++){
    for(iQuery=0; iQuery<nQuery; iQuery++){
      double is = pOut[iRow*nQuery + iQuery], s = 0, size = 0;
      real parts = (real)n/8 + 12, run = (real)(n<LSC_RUN ? n : LSC_RUN) + (real)(n/LSC_RUN) + 2;
      size_t i;
      for(i=0; i<n; i++){
        float x;
        double part;
        memcpy(&x, (const char*)apRow[iRow] + 4*i, 4);
        part = (double)x*pQuery[iQuery*n + i];
        s += part;
        size += fabs(part);
      }
      if( bad && iQuery==iBad ? !isnan(is) : bad && iRow==iWorse ? is!=s : 0 ) wrong("dots", "special", n, is, s);
      if( !bad || (iQuery!=iBad && iRow!=iWorse) ){
        char zWhat[128];
        snprintf(zWhat, sizeof(zWhat), "%zu of %zu rows by %zu of %zu queries", iRow, nRow, iQuery, nQuery);
        compare(zWhat, "f32", n, is, s, fmaxl(parts, run)*ldexpl(size, -24));
      }
    }
    free((char*)apRow[iRow] - iRow%7);
  }
  free(pQuery);
  free(pPacked);
  free(pOut);
  free(apRow);
}

/* Rows that end where memory does, nGap bytes between them. */
static void checkDotRows(size_t nRow, size_t n, size_t nGap){
  size_t nStride = 4*n + nGap, nByte = nRow ? nRow*nStride - nGap : 0, iRow, i;
  unsigned char *aRow = place(nByte, nRow%5);
  float *pQuery = (float*)(void*)place(4*n, 0), *pOut = (float*)(void*)place(4*(nRow+1), 0);
  fill(F32, pQuery, n);
  for(iRow=0; iRow<nRow; iRow++) fill(F32, aRow + iRow*nStride, n);
  pOut[nRow] = 7;
  pKern->xDotRowsF32(atEdge(0, aRow, nByte), nStride, nRow, pQuery, n, pOut);
  if( pOut[nRow]!=7 ) wrong("dot rows", "written behind", n, 0, 0);
  for(iRow=0; iRow<nRow; iRow++){
    double s = 0, size = 0;
    for(i=0; i<n; i++){
      double part = (double)getAt(F32, aRow + iRow*nStride, i)*pQuery[i];
      s += part;
      size += fabs(part);
    }
    compare("dot rows", "f32", n, pOut[iRow], s, ((real)n/8 + 12)*ldexpl(size, -24));
  }
  free(aRow - nRow%5);
  free(pQuery);
  free(pOut);
}

/* Bytes; value: what all are, or -1. */
static void checkByteRows(size_t nRow, size_t n, size_t nGap, int value){
  size_t nStride = n + nGap, nByte = nRow ? nRow*nStride - nGap : 0, iRow, i;
  unsigned char *aRow = place(nByte, nRow%5), *pQuery = place(n, 3);
  const unsigned char *a;
  uint32_t *pDot = (uint32_t*)(void*)place(4*(nRow+1), 0), *pBits = (uint32_t*)(void*)place(4*(nRow+1), 0);
  for(i=0; i<nByte; i++) aRow[i] = (unsigned char)(value<0 ? randomBits()>>40 : (uint64_t)value);
  for(i=0; i<n; i++) pQuery[i] = (unsigned char)(value<0 ? randomBits()>>40 : (uint64_t)value);
  pDot[nRow] = pBits[nRow] = 7;
  a = atEdge(0, aRow, nByte);
  pKern->xDotRowsU8(a, nStride, nRow, pQuery, n, pDot);
  pKern->xHammingRows(a, nStride, nRow, pQuery, n, pBits);
  if( pDot[nRow]!=7 || pBits[nRow]!=7 ) wrong("byte rows", "written behind", n, 0, 0);
  for(iRow=0; iRow<nRow; iRow++){
    uint64_t nDot = 0, nBits = 0;
    for(i=0; i<n; i++){
      unsigned x = aRow[iRow*nStride + i] ^ pQuery[i];
      nDot += (uint64_t)aRow[iRow*nStride + i]*pQuery[i];
      for(; x; x>>=1) nBits += x & 1;
    }
    if( pDot[iRow]!=nDot ) wrong("dot rows", "u8", n, pDot[iRow], (real)nDot);
    if( pBits[iRow]!=nBits ) wrong("hamming rows", "", n, pBits[iRow], (real)nBits);
  }
  free(aRow - nRow%5);
  free(pQuery - 3);
  free(pDot);
  free(pBits);
}

static void check(void){
  static const size_t aLong[] = {384, 768, 1000, 1536, 4096, 65536};
  static const size_t aRows[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 60};
  static const size_t aQueries[] = {0, 1, 2, 3, 5, 8, 9, 16, 17, 32, 33, 48, 63, 64, 65, 80, 81, 97, 130};
  size_t n, i, j;
  int eType;
  for(n=0; n<=300; n++){
    for(i=0; i<3; i++){
      for(eType=0; eType<TYPES; eType++) checkSums(eType, n, i + n%5);
      checkBytes(n, i + n%5, -1);
    }
    checkBytes(n, 0, 255);
    checkWiden(n, n%4, (unsigned)(randomBits()>>48));
  }
  for(i=0; i<sizeof(aLong)/sizeof(aLong[0]); i++){
    for(eType=0; eType<TYPES; eType++) checkSums(eType, aLong[i], i);
    checkBytes(aLong[i] + i, i, -1);
  }
  for(eType=0; eType<TYPES; eType++){
    for(n=1; n<140; n+=n<10 ? 1 : 9) checkSpecial(eType, n);
  }
  checkBytes(65536, 1, 255);
  checkBytes(1200001, 1, 255);
  checkWiden(65536, 1, 0);
  for(i=0; i<sizeof(aQueries)/sizeof(aQueries[0]); i++){
    for(j=0; j<sizeof(aRows)/sizeof(aRows[0]); j++){
      size_t k = i*15 + j;
      checkDots(aRows[j], aQueries[i], k%5 ? k%40 : 0, 0);
      checkDots(aRows[j], aQueries[i], j==7 ? 256 + k%60 : 40 + k%40, j%2);
    }
  }
  for(n=0; n<=300; n++){
    checkDotRows(n%11, n, n%3*4);
    checkByteRows(n%11, n, n%3, -1);
  }
  checkByteRows(2, 65536, 1, 255);
  checkByteRows(2, 65535, 0, -1);
  checkDotRows(9, 1536, 0);
  checkDots(3, 20, 1536, 0);
  checkDots(50, 7, 700, 0);
}

int main(int argc, char **argv){
  static const char *const azName[] = {"portable", "avx2", "avx512", "neon"};
  int i;
  if( argc==2 && strcmp(argv[1], "list")==0 ){
    for(i=0; i<4; i++){
      if( lsc_kernels_named(azName[i]) ) printf("%s ", lsc_kernels_named(azName[i])->zName);
    }
    printf("chosen: %s%s\n", lsc_kernels()->zName, lsc_kernels()==lsc_kernels() ? "" : " and another");
    return 0;
  }
  if( argc==3 && strcmp(argv[1], "check")==0 ) pKern = lsc_kernels_named(argv[2]);
  if( pKern==0 ) return 2;
  check();
  if( lsc_packed_size(SIZE_MAX, 2)!=SIZE_MAX || lsc_packed_size(17, 3)!=32*3*4 ) wrong("packed size", "", 0, 0, 0);
  printf("%d wrong, at most %d %% of the tolerance\n", nWrong, (int)(100*worst));
  return nWrong>0;
}
