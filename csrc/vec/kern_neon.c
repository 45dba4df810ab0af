/*
** kern_neon.c: kernels for 64-bit ARM, all of which has NEON. Included by engine.c. Loops over floats take eight
** elements at a time, as two vectors; the last few are copied and filled up with zeros.
*/
#include "kernels.h"
#ifdef LSC_NEON
#include <arm_neon.h>
#include <string.h>

typedef struct Neon2 { float32x4_t a, b; } Neon2;
typedef struct Neon4 { float32x4_t a, b, c, d; } Neon4;

LSC_INLINE uint8x16_t neonBytes(const void *p){ return vld1q_u8((const uint8_t*)p); }
LSC_INLINE float32x4_t neonFloats(const void *p){ return vreinterpretq_f32_u8(neonBytes(p)); }
LSC_INLINE float64x2_t neonDoubles(const void *p){ return vreinterpretq_f64_u8(neonBytes(p)); }

/* The eight elements at p. */
LSC_INLINE Neon2 neonLoad(int eType, const char *p){
  Neon2 r;
  if( eType==KERN_F32 ){
    r.a = neonFloats(p);
    r.b = neonFloats(p + 16);
  }else if( eType==KERN_F16 ){
    uint8x16_t x = neonBytes(p);
    r.a = vcvt_f32_f16(vreinterpret_f16_u8(vget_low_u8(x)));
    r.b = vcvt_f32_f16(vreinterpret_f16_u8(vget_high_u8(x)));
  }else{
    uint16x8_t x = vreinterpretq_u16_u8(neonBytes(p));
    r.a = vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(x), 16));
    r.b = vreinterpretq_f32_u32(vshll_n_u16(vget_high_u16(x), 16));
  }
  return r;
}

/* The elements from p+i on: eight, or the first n of them and zeros. */
LSC_INLINE Neon2 neonAt(int eType, const void *p, size_t i, size_t n){
  const size_t nByte = eType==KERN_F32 ? 4 : 2;
  const char *z = (const char*)p + nByte*i;
  char aCopy[32];
  if( n>=8 ) return neonLoad(eType, z);
  memset(aCopy, 0, sizeof(aCopy));
  memcpy(aCopy, z, nByte*n);
  return neonLoad(eType, aCopy);
}

LSC_INLINE Neon2 neonZero(void){
  Neon2 r;
  r.a = r.b = vdupq_n_f32(0);
  return r;
}

LSC_INLINE Neon2 neonProduct(Neon2 s, Neon2 x, Neon2 y){
  s.a = vfmaq_f32(s.a, x.a, y.a);
  s.b = vfmaq_f32(s.b, x.b, y.b);
  return s;
}

LSC_INLINE Neon2 neonSquare(Neon2 s, Neon2 x, Neon2 y){
  x.a = vsubq_f32(x.a, y.a);
  x.b = vsubq_f32(x.b, y.b);
  return neonProduct(s, x, x);
}

LSC_INLINE float neonTotal(Neon2 s, Neon2 t){
  return vaddvq_f32(vaddq_f32(vaddq_f32(s.a, s.b), vaddq_f32(t.a, t.b)));
}

LSC_INLINE float neonDot(int eType, const void *a, const void *b, size_t n){
  Neon2 s = neonZero(), t = s;
  size_t i = 0;
  for(; n-i>=16; i+=16){
    s = neonProduct(s, neonAt(eType, a, i, 8), neonAt(eType, b, i, 8));
    t = neonProduct(t, neonAt(eType, a, i+8, 8), neonAt(eType, b, i+8, 8));
  }
  for(; i<n; i = n-i>8 ? i+8 : n) s = neonProduct(s, neonAt(eType, a, i, n-i), neonAt(eType, b, i, n-i));
  return neonTotal(s, t);
}

LSC_INLINE float neonL2(int eType, const void *a, const void *b, size_t n){
  Neon2 s = neonZero(), t = s;
  size_t i = 0;
  for(; n-i>=16; i+=16){
    s = neonSquare(s, neonAt(eType, a, i, 8), neonAt(eType, b, i, 8));
    t = neonSquare(t, neonAt(eType, a, i+8, 8), neonAt(eType, b, i+8, 8));
  }
  for(; i<n; i = n-i>8 ? i+8 : n) s = neonSquare(s, neonAt(eType, a, i, n-i), neonAt(eType, b, i, n-i));
  return neonTotal(s, t);
}

LSC_INLINE void neonCos(int eType, const void *a, const void *b, size_t n, float *aSum){
  Neon2 ab0 = neonZero(), aa0 = ab0, bb0 = ab0, ab1 = ab0, aa1 = ab0, bb1 = ab0, x, y;
  size_t i = 0;
  for(; n-i>=16; i+=16){
    x = neonAt(eType, a, i, 8);
    y = neonAt(eType, b, i, 8);
    ab0 = neonProduct(ab0, x, y);
    aa0 = neonProduct(aa0, x, x);
    bb0 = neonProduct(bb0, y, y);
    x = neonAt(eType, a, i+8, 8);
    y = neonAt(eType, b, i+8, 8);
    ab1 = neonProduct(ab1, x, y);
    aa1 = neonProduct(aa1, x, x);
    bb1 = neonProduct(bb1, y, y);
  }
  for(; i<n; i = n-i>8 ? i+8 : n){
    x = neonAt(eType, a, i, n-i);
    y = neonAt(eType, b, i, n-i);
    ab0 = neonProduct(ab0, x, y);
    aa0 = neonProduct(aa0, x, x);
    bb0 = neonProduct(bb0, y, y);
  }
  aSum[0] = neonTotal(ab0, ab1);
  aSum[1] = neonTotal(aa0, aa1);
  aSum[2] = neonTotal(bb0, bb1);
}

static float neonDotF32(const void *a, const void *b, size_t n){ return neonDot(KERN_F32, a, b, n); }
static float neonDotF16(const void *a, const void *b, size_t n){ return neonDot(KERN_F16, a, b, n); }
static float neonDotFB16(const void *a, const void *b, size_t n){ return neonDot(KERN_FB16, a, b, n); }
static float neonL2F32(const void *a, const void *b, size_t n){ return neonL2(KERN_F32, a, b, n); }
static float neonL2F16(const void *a, const void *b, size_t n){ return neonL2(KERN_F16, a, b, n); }
static float neonL2FB16(const void *a, const void *b, size_t n){ return neonL2(KERN_FB16, a, b, n); }
static void neonCosF32(const void *a, const void *b, size_t n, float *aSum){ neonCos(KERN_F32, a, b, n, aSum); }
static void neonCosF16(const void *a, const void *b, size_t n, float *aSum){ neonCos(KERN_F16, a, b, n, aSum); }
static void neonCosFB16(const void *a, const void *b, size_t n, float *aSum){ neonCos(KERN_FB16, a, b, n, aSum); }

/* Two doubles, or the last one and zero. */
LSC_INLINE float64x2_t neonTwo(const void *p, size_t i, size_t n){
  const char *z = (const char*)p + 8*i;
  return n>=2 ? neonDoubles(z) : vcombine_f64(vreinterpret_f64_u8(vld1_u8((const uint8_t*)z)), vdup_n_f64(0));
}

LSC_INLINE float64x2_t neonSquareF64(float64x2_t s, float64x2_t x, float64x2_t y){
  x = vsubq_f64(x, y);
  return vfmaq_f64(s, x, x);
}

static double neonDotF64(const void *a, const void *b, size_t n){
  float64x2_t s0 = vdupq_n_f64(0), s1 = s0, s2 = s0, s3 = s0;
  size_t i = 0;
  for(; n-i>=8; i+=8){
    s0 = vfmaq_f64(s0, neonTwo(a, i, 2), neonTwo(b, i, 2));
    s1 = vfmaq_f64(s1, neonTwo(a, i+2, 2), neonTwo(b, i+2, 2));
    s2 = vfmaq_f64(s2, neonTwo(a, i+4, 2), neonTwo(b, i+4, 2));
    s3 = vfmaq_f64(s3, neonTwo(a, i+6, 2), neonTwo(b, i+6, 2));
  }
  for(; i<n; i = n-i>2 ? i+2 : n) s0 = vfmaq_f64(s0, neonTwo(a, i, n-i), neonTwo(b, i, n-i));
  return vaddvq_f64(vaddq_f64(vaddq_f64(s0, s1), vaddq_f64(s2, s3)));
}

static double neonL2F64(const void *a, const void *b, size_t n){
  float64x2_t s0 = vdupq_n_f64(0), s1 = s0, s2 = s0, s3 = s0;
  size_t i = 0;
  for(; n-i>=8; i+=8){
    s0 = neonSquareF64(s0, neonTwo(a, i, 2), neonTwo(b, i, 2));
    s1 = neonSquareF64(s1, neonTwo(a, i+2, 2), neonTwo(b, i+2, 2));
    s2 = neonSquareF64(s2, neonTwo(a, i+4, 2), neonTwo(b, i+4, 2));
    s3 = neonSquareF64(s3, neonTwo(a, i+6, 2), neonTwo(b, i+6, 2));
  }
  for(; i<n; i = n-i>2 ? i+2 : n) s0 = neonSquareF64(s0, neonTwo(a, i, n-i), neonTwo(b, i, n-i));
  return vaddvq_f64(vaddq_f64(vaddq_f64(s0, s1), vaddq_f64(s2, s3)));
}

static void neonCosF64(const void *a, const void *b, size_t n, double *aSum){
  aSum[0] = neonDotF64(a, b, n);
  aSum[1] = neonDotF64(a, a, n);
  aSum[2] = neonDotF64(b, b, n);
}

/* The products of both halves, added in pairs. */
LSC_INLINE uint32x4_t neonAddProducts(uint32x4_t s, uint8x16_t x, uint8x16_t y){
  s = vpadalq_u16(s, vmull_u8(vget_low_u8(x), vget_low_u8(y)));
  return vpadalq_u16(s, vmull_u8(vget_high_u8(x), vget_high_u8(y)));
}

/* A round adds four products below 2^16 to each 32-bit sum, so that 2^13 rounds fit. */
static void neonSumsU8(const void *a, const void *b, size_t n, uint64_t *aSum){
  const uint8_t *p = a, *q = b;
  memset(aSum, 0, 5*sizeof(aSum[0]));
  while( n ){
    uint32x4_t s0 = vdupq_n_u32(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0;
    int nLeft = 8192;
    for(; n && nLeft; nLeft--){
      const size_t m = n<16 ? n : 16;
      uint8x16_t x, y;
      if( m==16 ){
        x = vld1q_u8(p);
        y = vld1q_u8(q);
      }else{
        uint8_t aCopy[32];
        memset(aCopy, 0, sizeof(aCopy));
        memcpy(aCopy, p, m);
        memcpy(aCopy + 16, q, m);
        x = vld1q_u8(aCopy);
        y = vld1q_u8(aCopy + 16);
      }
      s0 = vpadalq_u16(s0, vpaddlq_u8(x));
      s1 = vpadalq_u16(s1, vpaddlq_u8(y));
      s2 = neonAddProducts(s2, x, x);
      s3 = neonAddProducts(s3, y, y);
      s4 = neonAddProducts(s4, x, y);
      p += m;
      q += m;
      n -= m;
    }
    aSum[0] += vaddlvq_u32(s0);
    aSum[1] += vaddlvq_u32(s1);
    aSum[2] += vaddlvq_u32(s2);
    aSum[3] += vaddlvq_u32(s3);
    aSum[4] += vaddlvq_u32(s4);
  }
}

static uint64_t neonHamming(const void *a, const void *b, size_t nByte){
  const uint8_t *p = a, *q = b;
  uint64x2_t s = vdupq_n_u64(0);
  for(; nByte>=32; nByte-=32, p+=32, q+=32){
    uint8x16_t x = vcntq_u8(veorq_u8(vld1q_u8(p), vld1q_u8(q)));
    uint8x16_t y = vcntq_u8(veorq_u8(vld1q_u8(p + 16), vld1q_u8(q + 16)));
    s = vpadalq_u32(s, vpaddlq_u16(vpaddlq_u8(vaddq_u8(x, y))));
  }
  if( nByte>=16 ){
    s = vpadalq_u32(s, vpaddlq_u16(vpaddlq_u8(vcntq_u8(veorq_u8(vld1q_u8(p), vld1q_u8(q))))));
    nByte -= 16;
    p += 16;
    q += 16;
  }
  return vaddvq_u64(s) + (nByte ? portHamming(p, q, nByte) : 0);
}

LSC_INLINE void neonPutWide(float *pOut, float32x4_t x){
  uint32x4_t u = vreinterpretq_u32_f32(x), number = vceqq_f32(x, x);
  uint32x4_t plain = vorrq_u32(vandq_u32(u, vdupq_n_u32(0x80000000)), vdupq_n_u32(0x7fc00000));
  vst1q_f32(pOut, vreinterpretq_f32_u32(vbslq_u32(number, u, plain)));
}

static void neonWidenF16(const void *a, size_t n, float *pOut){
  size_t i;
  for(i=0; n-i>=8; i+=8){
    Neon2 x = neonLoad(KERN_F16, (const char*)a + 2*i);
    neonPutWide(&pOut[i], x.a);
    neonPutWide(&pOut[i+4], x.b);
  }
  portWidenF16((const char*)a + 2*i, n-i, &pOut[i]);
}

static void neonWidenFB16(const void *a, size_t n, float *pOut){
  size_t i;
  for(i=0; n-i>=8; i+=8){
    Neon2 x = neonLoad(KERN_FB16, (const char*)a + 2*i);
    vst1q_f32(&pOut[i], x.a);
    vst1q_f32(&pOut[i+4], x.b);
  }
  portWidenFB16((const char*)a + 2*i, n-i, &pOut[i]);
}

LSC_INLINE Neon4 neonStep(Neon4 s, const char *pRow, Neon4 q){
  float x;
  memcpy(&x, pRow, 4);
  s.a = vfmaq_n_f32(s.a, q.a, x);
  s.b = vfmaq_n_f32(s.b, q.b, x);
  s.c = vfmaq_n_f32(s.c, q.c, x);
  s.d = vfmaq_n_f32(s.d, q.d, x);
  return s;
}

/* Adds the products of a row with 16 queries to pOut, those of the first nQuery. */
LSC_INLINE void neonPut(Neon4 s, float *pOut, size_t nQuery){
  float aSum[16];
  float *p = nQuery>=16 ? pOut : aSum;
  size_t k;
  if( nQuery<16 ) for(k=0; k<16; k++) aSum[k] = k<nQuery ? pOut[k] : 0;
  vst1q_f32(p, vaddq_f32(vld1q_f32(p), s.a));
  vst1q_f32(p + 4, vaddq_f32(vld1q_f32(p + 4), s.b));
  vst1q_f32(p + 8, vaddq_f32(vld1q_f32(p + 8), s.c));
  vst1q_f32(p + 12, vaddq_f32(vld1q_f32(p + 12), s.d));
  if( nQuery<16 ) memcpy(pOut, aSum, nQuery*sizeof(float));
}

/* Up to five rows by a panel of 16 queries, elements i to i+n; the first row stands in for those that lack. */
static void neonPanel(const void *const *apRow, size_t nRow, size_t i, const float *q, size_t n,
                      float *pOut, size_t nOut, size_t nQuery){
  const char *p0 = (const char*)apRow[0] + 4*i, *p1 = nRow>1 ? (const char*)apRow[1] + 4*i : p0;
  const char *p2 = nRow>2 ? (const char*)apRow[2] + 4*i : p0, *p3 = nRow>3 ? (const char*)apRow[3] + 4*i : p0;
  const char *p4 = nRow>4 ? (const char*)apRow[4] + 4*i : p0;
  Neon4 s0, s1, s2, s3, s4, x;
  size_t j;
  x.a = x.b = x.c = x.d = vdupq_n_f32(0);
  s0 = s1 = s2 = s3 = s4 = x;
  for(j=0; j<n; j++, q+=LSC_LANES){
    x.a = vld1q_f32(q);
    x.b = vld1q_f32(q + 4);
    x.c = vld1q_f32(q + 8);
    x.d = vld1q_f32(q + 12);
    s0 = neonStep(s0, p0 + 4*j, x);
    s1 = neonStep(s1, p1 + 4*j, x);
    s2 = neonStep(s2, p2 + 4*j, x);
    s3 = neonStep(s3, p3 + 4*j, x);
    s4 = neonStep(s4, p4 + 4*j, x);
  }
  neonPut(s0, pOut, nQuery);
  if( nRow>1 ) neonPut(s1, pOut + nOut, nQuery);
  if( nRow>2 ) neonPut(s2, pOut + 2*nOut, nQuery);
  if( nRow>3 ) neonPut(s3, pOut + 3*nOut, nQuery);
  if( nRow>4 ) neonPut(s4, pOut + 4*nOut, nQuery);
}

static void neonDotsF32(const void *const *apRow, size_t nRow, const float *pPacked, size_t nQuery, size_t n,
                        float *pOut){
  size_t iChunk, iRow, iEnd, iQuery, i;
  if( nQuery<=KERN_UNPACKED ){
    for(iRow=0; iRow<nRow; iRow++, pOut+=nQuery){
      kernFetch(&apRow[iRow+1], iRow+1<nRow, 0, n);
      for(iQuery=0; iQuery<nQuery; iQuery++) pOut[iQuery] = neonDotF32(apRow[iRow], &pPacked[iQuery*n], n);
    }
    return;
  }
  memset(pOut, 0, nRow*nQuery*sizeof(float));
  for(iChunk=0; iChunk<nRow; iChunk=iEnd){
    iEnd = nRow-iChunk<KERN_CHUNK ? nRow : iChunk+KERN_CHUNK;
    for(i=0; i<n; i+=LSC_RUN){
      for(iQuery=0; iQuery<nQuery; iQuery+=LSC_LANES){
        for(iRow=iChunk; iRow<iEnd; iRow+=5){
          if( iQuery==0 && iEnd-iRow>=10 ) kernFetch(&apRow[iRow+5], 5, i, n-i<LSC_RUN ? n-i : LSC_RUN);
          neonPanel(&apRow[iRow], iEnd-iRow<5 ? iEnd-iRow : 5, i, &pPacked[iQuery*n + i*LSC_LANES],
                    n-i<LSC_RUN ? n-i : LSC_RUN, &pOut[iRow*nQuery + iQuery], nQuery, nQuery-iQuery);
        }
      }
    }
  }
}

static void neonDotRowsF32(const void *pRow, size_t nStride, size_t nRow, const float *pQuery, size_t n, float *pOut){
  size_t i;
  for(i=0; i<nRow; i++) pOut[i] = neonDotF32((const char*)pRow + i*nStride, pQuery, n);
}

static void neonHammingRows(const void *pRow, size_t nStride, size_t nRow, const void *pQuery, size_t n, uint32_t *pOut){
  size_t i;
  for(i=0; i<nRow; i++) pOut[i] = (uint32_t)neonHamming((const char*)pRow + i*nStride, pQuery, n);
}

static const LscKernels kernNeon = {
  "neon",
  neonCosF32, neonDotF32, neonL2F32, neonCosF64, neonDotF64, neonL2F64,
  neonCosF16, neonDotF16, neonL2F16, neonCosFB16, neonDotFB16, neonL2FB16,
  neonSumsU8, neonHamming, neonWidenF16, neonWidenFB16, kernPackSingle, neonDotsF32,
  neonDotRowsF32, portDotRowsU8, neonHammingRows,
};
#endif
