/*
** kern_portable.c: kernels in plain C, for processors without a table of their own. Sums run in eight lanes, which
** compilers turn into whatever vectors the baseline has. Included by engine.c, first of the kern_ files: the others
** share its packing.
*/
#include <math.h>
#include <string.h>
#include "kernels.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__==__ORDER_BIG_ENDIAN__
# define KERN_SWAPPED 1
#else
# define KERN_SWAPPED 0
#endif

LSC_INLINE uint16_t portU16(const void *p, size_t i){
  uint16_t u;
  memcpy(&u, (const char*)p + 2*i, 2);
  return KERN_SWAPPED ? (uint16_t)(u>>8 | u<<8) : u;
}

LSC_INLINE uint32_t portU32(const void *p, size_t i){
  uint32_t u;
  memcpy(&u, (const char*)p + 4*i, 4);
  return KERN_SWAPPED ? u>>24 | (u>>8 & 0xff00) | (u & 0xff00)<<8 | u<<24 : u;
}

LSC_INLINE float portFloat(uint32_t u){
  float r;
  memcpy(&r, &u, 4);
  return r;
}

/* The exponents of halves and floats differ by 112; a denormal half is a denormal float on the way. */
LSC_INLINE float portHalf(uint16_t h){
  uint32_t sign = (uint32_t)(h & 0x8000)<<16, u = (uint32_t)(h & 0x7fff)<<13;
  float r;
  if( u>=0x0f800000 ) return portFloat(sign | (u>0x0f800000 ? 0x7fc00000 : 0x7f800000));
  r = portFloat(u)*0x1p112f;
  return sign ? -r : r;
}

LSC_INLINE float portAt(int eType, const void *p, size_t i){
  return eType==KERN_F32 ? portFloat(portU32(p, i))
       : eType==KERN_F16 ? portHalf(portU16(p, i)) : portFloat((uint32_t)portU16(p, i)<<16);
}

LSC_INLINE double portDouble(const void *p, size_t i){
  uint64_t u;
  double r;
  memcpy(&u, (const char*)p + 8*i, 8);
  if( KERN_SWAPPED ) u = (uint64_t)portU32(p, 2*i + 1)<<32 | portU32(p, 2*i);
  memcpy(&r, &u, 8);
  return r;
}

LSC_INLINE float portTotal(const float *s){
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

LSC_INLINE double portTotalF64(const double *s){
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

LSC_INLINE float portDot(int eType, const void *a, const void *b, size_t n){
  float s[8] = {0};
  size_t i = 0, k;
  for(; n-i>=8; i+=8){
    for(k=0; k<8; k++) s[k] += portAt(eType, a, i+k)*portAt(eType, b, i+k);
  }
  for(k=0; i+k<n; k++) s[k] += portAt(eType, a, i+k)*portAt(eType, b, i+k);
  return portTotal(s);
}

LSC_INLINE float portL2(int eType, const void *a, const void *b, size_t n){
  float s[8] = {0};
  size_t i = 0, k;
  for(; n-i>=8; i+=8){
    for(k=0; k<8; k++){
      float d = portAt(eType, a, i+k) - portAt(eType, b, i+k);
      s[k] += d*d;
    }
  }
  for(k=0; i+k<n; k++){
    float d = portAt(eType, a, i+k) - portAt(eType, b, i+k);
    s[k] += d*d;
  }
  return portTotal(s);
}

/* Three sums at once pay where elements have to be decoded: compilers keep them in memory. */
LSC_INLINE void portCos(int eType, const void *a, const void *b, size_t n, float *aSum){
  float s[8] = {0}, t[8] = {0}, u[8] = {0};
  size_t i, k;
  if( eType==KERN_F32 ){
    aSum[0] = portDot(eType, a, b, n);
    aSum[1] = portDot(eType, a, a, n);
    aSum[2] = portDot(eType, b, b, n);
    return;
  }
  for(i=0; n-i>=8; i+=8){
    for(k=0; k<8; k++){
      float x = portAt(eType, a, i+k), y = portAt(eType, b, i+k);
      s[k] += x*y;
      t[k] += x*x;
      u[k] += y*y;
    }
  }
  for(k=0; i+k<n; k++){
    float x = portAt(eType, a, i+k), y = portAt(eType, b, i+k);
    s[k] += x*y;
    t[k] += x*x;
    u[k] += y*y;
  }
  aSum[0] = portTotal(s);
  aSum[1] = portTotal(t);
  aSum[2] = portTotal(u);
}

static float portDotF32(const void *a, const void *b, size_t n){ return portDot(KERN_F32, a, b, n); }
static float portDotF16(const void *a, const void *b, size_t n){ return portDot(KERN_F16, a, b, n); }
static float portDotFB16(const void *a, const void *b, size_t n){ return portDot(KERN_FB16, a, b, n); }
static float portL2F32(const void *a, const void *b, size_t n){ return portL2(KERN_F32, a, b, n); }
static float portL2F16(const void *a, const void *b, size_t n){ return portL2(KERN_F16, a, b, n); }
static float portL2FB16(const void *a, const void *b, size_t n){ return portL2(KERN_FB16, a, b, n); }
static void portCosF32(const void *a, const void *b, size_t n, float *aSum){ portCos(KERN_F32, a, b, n, aSum); }
static void portCosF16(const void *a, const void *b, size_t n, float *aSum){ portCos(KERN_F16, a, b, n, aSum); }
static void portCosFB16(const void *a, const void *b, size_t n, float *aSum){ portCos(KERN_FB16, a, b, n, aSum); }

static double portDotF64(const void *a, const void *b, size_t n){
  double s[8] = {0};
  size_t i = 0, k;
  for(; n-i>=8; i+=8){
    for(k=0; k<8; k++) s[k] += portDouble(a, i+k)*portDouble(b, i+k);
  }
  for(k=0; i+k<n; k++) s[k] += portDouble(a, i+k)*portDouble(b, i+k);
  return portTotalF64(s);
}

static double portL2F64(const void *a, const void *b, size_t n){
  double s[8] = {0};
  size_t i = 0, k;
  for(; n-i>=8; i+=8){
    for(k=0; k<8; k++){
      double d = portDouble(a, i+k) - portDouble(b, i+k);
      s[k] += d*d;
    }
  }
  for(k=0; i+k<n; k++){
    double d = portDouble(a, i+k) - portDouble(b, i+k);
    s[k] += d*d;
  }
  return portTotalF64(s);
}

static void portCosF64(const void *a, const void *b, size_t n, double *aSum){
  aSum[0] = portDotF64(a, b, n);
  aSum[1] = portDotF64(a, a, n);
  aSum[2] = portDotF64(b, b, n);
}

/* 65536 elements at a time: 255*255*65536 still fits 32 bits. */
static void portSumsU8(const void *a, const void *b, size_t n, uint64_t *aSum){
  const uint8_t *p = a, *q = b;
  memset(aSum, 0, 5*sizeof(aSum[0]));
  while( n ){
    uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0;
    size_t i, m = n<65536 ? n : 65536;
    for(i=0; i<m; i++){
      uint32_t x = p[i], y = q[i];
      s0 += x;
      s1 += y;
      s2 += x*x;
      s3 += y*y;
      s4 += x*y;
    }
    aSum[0] += s0;
    aSum[1] += s1;
    aSum[2] += s2;
    aSum[3] += s3;
    aSum[4] += s4;
    p += m;
    q += m;
    n -= m;
  }
}

LSC_INLINE uint64_t portBits(uint64_t u){
  u -= u>>1 & 0x5555555555555555u;
  u = (u & 0x3333333333333333u) + (u>>2 & 0x3333333333333333u);
  u = (u + (u>>4)) & 0x0f0f0f0f0f0f0f0fu;
  return u*0x0101010101010101u >> 56;
}

static uint64_t portHamming(const void *a, const void *b, size_t nByte){
  const char *p = a, *q = b;
  uint64_t nDiffer = 0, x, y;
  for(; nByte>=8; nByte-=8, p+=8, q+=8){
    memcpy(&x, p, 8);
    memcpy(&y, q, 8);
    nDiffer += portBits(x ^ y);
  }
  for(; nByte; nByte--) nDiffer += portBits((uint8_t)(*p++ ^ *q++));
  return nDiffer;
}

static void portWidenF16(const void *a, size_t n, float *pOut){
  size_t i;
  for(i=0; i<n; i++) pOut[i] = portAt(KERN_F16, a, i);
}

static void portWidenFB16(const void *a, size_t n, float *pOut){
  size_t i;
  for(i=0; i<n; i++){
    uint32_t u = (uint32_t)portU16(a, i)<<16;     /* as bits all the way: a float could quieten a NaN */
    memcpy(&pOut[i], &u, 4);
  }
}

static void portPackQueries(const float *pQuery, size_t nQuery, size_t n, float *pPacked){
  size_t i;
  for(i=0; i<nQuery*n; i++){
    float r = portAt(KERN_F32, pQuery, i);      /* in the order of bytes that rows have */
    memcpy(&pPacked[i], &r, sizeof(r));
  }
}

/* Rows by the dozen, so that they stay in the nearest cache for all queries. */
static void portDotsF32(const void *const *apRow, size_t nRow, const float *pPacked, size_t nQuery, size_t n,
                        float *pOut){
  size_t iChunk, iRow, iEnd, iQuery;
  for(iChunk=0; iChunk<nRow; iChunk=iEnd){
    iEnd = nRow-iChunk<12 ? nRow : iChunk+12;
    for(iQuery=0; iQuery<nQuery; iQuery++){
      for(iRow=iChunk; iRow<iEnd; iRow++){
        pOut[iRow*nQuery + iQuery] = portDotF32(apRow[iRow], &pPacked[iQuery*n], n);
      }
    }
  }
}

#ifdef LSC_TABLES
#ifdef _MSC_VER
# include <immintrin.h>
#endif

/* What the tables for vector instructions share. Up to KERN_UNPACKED queries are best multiplied as they are. More are
** packed: panels of nVec*16 queries, nVec as kernPanel() has it, one element of each in turn, zeros in the place of
** queries that the last panel lacks. */
enum {
  KERN_UNPACKED = 8,
  KERN_AHEAD = 512,         /* so many bytes of a row are fetched ahead of their use; hardware fetches the rest */
  KERN_CHUNK = 48           /* rows that the cache keeps while they meet one panel after the other */
};

/* Asks for the next rows, n elements from i on, while others are at work: no hardware foresees where rows lie. */
LSC_INLINE void kernFetch(const void *const *apRow, size_t nRow, size_t i, size_t n){
  size_t nByte = n<KERN_AHEAD/4 ? 4*n : KERN_AHEAD, iByte;
  for(; nRow; nRow--, apRow++){
    const char *z = (const char*)*apRow + 4*i;
    for(iByte=0; iByte<nByte; iByte+=64){
#ifdef _MSC_VER
      _mm_prefetch(z + iByte, _MM_HINT_T0);
#else
      __builtin_prefetch(z + iByte);
#endif
    }
  }
}

/* How many vectors of 16 queries the next panel has when nLeft are to come: up to nMax, and no single one is left. */
LSC_INLINE size_t kernPanel(size_t nMax, size_t nLeft){
  return nLeft<=nMax ? nLeft : nLeft==nMax+1 && nMax>2 ? nMax-1 : nMax;
}

static void kernPack(size_t nMax, const float *pQuery, size_t nQuery, size_t n, float *pPacked){
  size_t iFirst, j, k, nWide;
  if( nQuery<=KERN_UNPACKED ){
    if( nQuery && n ) memcpy(pPacked, pQuery, nQuery*n*sizeof(float));
    return;
  }
  for(iFirst=0; iFirst<nQuery; iFirst+=nWide){
    nWide = LSC_LANES*kernPanel(nMax, (nQuery - iFirst + LSC_LANES - 1)/LSC_LANES);
    for(j=0; j<n; j++){
      for(k=0; k<nWide; k++) *pPacked++ = iFirst+k<nQuery ? pQuery[(iFirst + k)*n + j] : 0;
    }
  }
}

static void kernPackSingle(const float *pQuery, size_t nQuery, size_t n, float *pPacked){
  kernPack(1, pQuery, nQuery, n, pPacked);
}
#endif

static void portDotRowsF32(const void *pRow, size_t nStride, size_t nRow, const float *pQuery, size_t n, float *pOut){
  size_t i;
  for(i=0; i<nRow; i++) pOut[i] = portDotF32((const char*)pRow + i*nStride, pQuery, n);
}

static void portDotRowsU8(const void *pRow, size_t nStride, size_t nRow, const void *pQuery, size_t n, uint32_t *pOut){
  const uint8_t *p = pRow, *q = pQuery;
  size_t i, j;
  for(i=0; i<nRow; i++, p+=nStride){
    uint32_t s = 0;
    for(j=0; j<n; j++) s += (uint32_t)p[j]*q[j];
    pOut[i] = s;
  }
}

static void portHammingRows(const void *pRow, size_t nStride, size_t nRow, const void *pQuery, size_t n, uint32_t *pOut){
  size_t i;
  for(i=0; i<nRow; i++) pOut[i] = (uint32_t)portHamming((const char*)pRow + i*nStride, pQuery, n);
}

static const LscKernels kernPortable = {
  "portable",
  portCosF32, portDotF32, portL2F32, portCosF64, portDotF64, portL2F64,
  portCosF16, portDotF16, portL2F16, portCosFB16, portDotFB16, portL2FB16,
  portSumsU8, portHamming, portWidenF16, portWidenFB16, portPackQueries, portDotsF32,
  portDotRowsF32, portDotRowsU8, portHammingRows,
};
