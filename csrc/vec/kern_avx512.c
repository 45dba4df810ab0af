/*
** kern_avx512.c: kernels for AVX-512 F, BW, DQ and VL, and with VNNI and VPOPCNTDQ. Included by engine.c. Loops over
** floats take 32 elements at a time, as two vectors, in an order that may differ from theirs but is the same for both
** operands. The last elements are loaded under a mask, which touches no others.
**
** The bfloat16 instructions are of no use here: they flush denormals.
*/
#include "kernels.h"
#ifdef LSC_X86
#include <immintrin.h>
#include <string.h>

#define AVX512 LSC_TARGET("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")
#define AVX512B LSC_TARGET("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vpopcntdq")

typedef struct Zmm2 { __m512 a, b; } Zmm2;

/* For the first n of 16 elements, n up to 16 (more is as 16). */
LSC_INLINE AVX512 __mmask16 zmmMask(size_t n){ return (__mmask16)(n<16 ? (1u<<n) - 1 : 0xffff); }

/* The elements from p+i on: all 32, or the first n of them and zeros. */
LSC_INLINE AVX512 Zmm2 zmmLoad(int eType, const void *p, size_t i, size_t n){
  const char *z = (const char*)p + (eType==KERN_F32 ? 4 : 2)*i;
  Zmm2 r;
  if( eType==KERN_F32 ){
    if( n>=32 ){
      r.a = _mm512_loadu_ps(z);
      r.b = _mm512_loadu_ps(z + 64);
    }else{
      r.a = _mm512_maskz_loadu_ps(zmmMask(n), z);
      r.b = n>16 ? _mm512_maskz_loadu_ps(zmmMask(n-16), z + 64) : _mm512_setzero_ps();
    }
  }else{
    __m512i x = n>=32 ? _mm512_loadu_si512(z) : _mm512_maskz_loadu_epi16((__mmask32)((1u<<n) - 1), z);
    if( eType==KERN_F16 ){
      r.a = _mm512_cvtph_ps(_mm512_castsi512_si256(x));
      r.b = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(x, 1));
    }else{
      r.a = _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
      r.b = _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32((int)0xffff0000)));
    }
  }
  return r;
}

LSC_INLINE AVX512 float zmmTotal(__m512 x){
  return avx2Total(_mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1)));
}

LSC_INLINE AVX512 double zmmTotalF64(__m512d x){
  return avx2TotalF64(_mm256_add_pd(_mm512_castpd512_pd256(x), _mm512_extractf64x4_pd(x, 1)));
}

LSC_INLINE AVX512 uint64_t zmmTotalU64(__m512i x){
  return avx2TotalU64(_mm256_add_epi64(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1)));
}

LSC_INLINE AVX512 Zmm2 zmmZero(void){
  Zmm2 r;
  r.a = r.b = _mm512_setzero_ps();
  return r;
}

LSC_INLINE AVX512 float zmmTotal2(Zmm2 s, Zmm2 t){
  return zmmTotal(_mm512_add_ps(_mm512_add_ps(s.a, s.b), _mm512_add_ps(t.a, t.b)));
}

LSC_INLINE AVX512 Zmm2 zmmProduct(Zmm2 s, Zmm2 x, Zmm2 y){
  s.a = _mm512_fmadd_ps(x.a, y.a, s.a);
  s.b = _mm512_fmadd_ps(x.b, y.b, s.b);
  return s;
}

LSC_INLINE AVX512 float zmmDot(int eType, const void *a, const void *b, size_t n){
  Zmm2 s = zmmZero(), t = s;
  size_t i = 0;
  for(; n-i>=64; i+=64){
    s = zmmProduct(s, zmmLoad(eType, a, i, 32), zmmLoad(eType, b, i, 32));
    t = zmmProduct(t, zmmLoad(eType, a, i+32, 32), zmmLoad(eType, b, i+32, 32));
  }
  if( n-i>=32 ){
    s = zmmProduct(s, zmmLoad(eType, a, i, 32), zmmLoad(eType, b, i, 32));
    i += 32;
  }
  if( i<n ) t = zmmProduct(t, zmmLoad(eType, a, i, n-i), zmmLoad(eType, b, i, n-i));
  return zmmTotal2(s, t);
}

LSC_INLINE AVX512 Zmm2 zmmSquare(Zmm2 s, Zmm2 x, Zmm2 y){
  x.a = _mm512_sub_ps(x.a, y.a);
  x.b = _mm512_sub_ps(x.b, y.b);
  return zmmProduct(s, x, x);
}

LSC_INLINE AVX512 float zmmL2(int eType, const void *a, const void *b, size_t n){
  Zmm2 s = zmmZero(), t = s;
  size_t i = 0;
  for(; n-i>=64; i+=64){
    s = zmmSquare(s, zmmLoad(eType, a, i, 32), zmmLoad(eType, b, i, 32));
    t = zmmSquare(t, zmmLoad(eType, a, i+32, 32), zmmLoad(eType, b, i+32, 32));
  }
  if( n-i>=32 ){
    s = zmmSquare(s, zmmLoad(eType, a, i, 32), zmmLoad(eType, b, i, 32));
    i += 32;
  }
  if( i<n ) t = zmmSquare(t, zmmLoad(eType, a, i, n-i), zmmLoad(eType, b, i, n-i));
  return zmmTotal2(s, t);
}

typedef struct Zmm6 { Zmm2 ab, aa, bb; } Zmm6;

LSC_INLINE AVX512 Zmm6 zmmProducts(Zmm6 s, Zmm2 x, Zmm2 y){
  s.ab = zmmProduct(s.ab, x, y);
  s.aa = zmmProduct(s.aa, x, x);
  s.bb = zmmProduct(s.bb, y, y);
  return s;
}

LSC_INLINE AVX512 void zmmCos(int eType, const void *a, const void *b, size_t n, float *aSum){
  Zmm6 s, t;
  size_t i = 0;
  s.ab = s.aa = s.bb = zmmZero();
  t = s;
  for(; n-i>=64; i+=64){
    s = zmmProducts(s, zmmLoad(eType, a, i, 32), zmmLoad(eType, b, i, 32));
    t = zmmProducts(t, zmmLoad(eType, a, i+32, 32), zmmLoad(eType, b, i+32, 32));
  }
  if( n-i>=32 ){
    s = zmmProducts(s, zmmLoad(eType, a, i, 32), zmmLoad(eType, b, i, 32));
    i += 32;
  }
  if( i<n ) t = zmmProducts(t, zmmLoad(eType, a, i, n-i), zmmLoad(eType, b, i, n-i));
  aSum[0] = zmmTotal2(s.ab, t.ab);
  aSum[1] = zmmTotal2(s.aa, t.aa);
  aSum[2] = zmmTotal2(s.bb, t.bb);
}

static AVX512 float zmmDotF32(const void *a, const void *b, size_t n){ return zmmDot(KERN_F32, a, b, n); }
static AVX512 float zmmDotF16(const void *a, const void *b, size_t n){ return zmmDot(KERN_F16, a, b, n); }
static AVX512 float zmmDotFB16(const void *a, const void *b, size_t n){ return zmmDot(KERN_FB16, a, b, n); }
static AVX512 float zmmL2F32(const void *a, const void *b, size_t n){ return zmmL2(KERN_F32, a, b, n); }
static AVX512 float zmmL2F16(const void *a, const void *b, size_t n){ return zmmL2(KERN_F16, a, b, n); }
static AVX512 float zmmL2FB16(const void *a, const void *b, size_t n){ return zmmL2(KERN_FB16, a, b, n); }
static AVX512 void zmmCosF32(const void *a, const void *b, size_t n, float *aSum){ zmmCos(KERN_F32, a, b, n, aSum); }
static AVX512 void zmmCosF16(const void *a, const void *b, size_t n, float *aSum){ zmmCos(KERN_F16, a, b, n, aSum); }
static AVX512 void zmmCosFB16(const void *a, const void *b, size_t n, float *aSum){ zmmCos(KERN_FB16, a, b, n, aSum); }

/* Eight doubles, or the first n of them and zeros. */
LSC_INLINE AVX512 __m512d zmmEight(const void *p, size_t i, size_t n){
  const char *z = (const char*)p + 8*i;
  return n>=8 ? _mm512_loadu_pd(z) : _mm512_maskz_loadu_pd((__mmask8)((1u<<n) - 1), z);
}

static AVX512 double zmmDotF64(const void *a, const void *b, size_t n){
  __m512d s0 = _mm512_setzero_pd(), s1 = s0, s2 = s0, s3 = s0;
  size_t i = 0;
  for(; n-i>=32; i+=32){
    s0 = _mm512_fmadd_pd(zmmEight(a, i, 8), zmmEight(b, i, 8), s0);
    s1 = _mm512_fmadd_pd(zmmEight(a, i+8, 8), zmmEight(b, i+8, 8), s1);
    s2 = _mm512_fmadd_pd(zmmEight(a, i+16, 8), zmmEight(b, i+16, 8), s2);
    s3 = _mm512_fmadd_pd(zmmEight(a, i+24, 8), zmmEight(b, i+24, 8), s3);
  }
  for(; n-i>=8; i+=8) s0 = _mm512_fmadd_pd(zmmEight(a, i, 8), zmmEight(b, i, 8), s0);
  if( i<n ) s1 = _mm512_fmadd_pd(zmmEight(a, i, n-i), zmmEight(b, i, n-i), s1);
  return zmmTotalF64(_mm512_add_pd(_mm512_add_pd(s0, s1), _mm512_add_pd(s2, s3)));
}

LSC_INLINE AVX512 __m512d zmmSquareF64(__m512d s, __m512d x, __m512d y){
  x = _mm512_sub_pd(x, y);
  return _mm512_fmadd_pd(x, x, s);
}

static AVX512 double zmmL2F64(const void *a, const void *b, size_t n){
  __m512d s0 = _mm512_setzero_pd(), s1 = s0, s2 = s0, s3 = s0;
  size_t i = 0;
  for(; n-i>=32; i+=32){
    s0 = zmmSquareF64(s0, zmmEight(a, i, 8), zmmEight(b, i, 8));
    s1 = zmmSquareF64(s1, zmmEight(a, i+8, 8), zmmEight(b, i+8, 8));
    s2 = zmmSquareF64(s2, zmmEight(a, i+16, 8), zmmEight(b, i+16, 8));
    s3 = zmmSquareF64(s3, zmmEight(a, i+24, 8), zmmEight(b, i+24, 8));
  }
  for(; n-i>=8; i+=8) s0 = zmmSquareF64(s0, zmmEight(a, i, 8), zmmEight(b, i, 8));
  if( i<n ) s1 = zmmSquareF64(s1, zmmEight(a, i, n-i), zmmEight(b, i, n-i));
  return zmmTotalF64(_mm512_add_pd(_mm512_add_pd(s0, s1), _mm512_add_pd(s2, s3)));
}

static AVX512 void zmmCosF64(const void *a, const void *b, size_t n, double *aSum){
  __m512d ab0 = _mm512_setzero_pd(), ab1 = ab0, aa0 = ab0, aa1 = ab0, bb0 = ab0, bb1 = ab0, x, y;
  size_t i = 0;
  for(; n-i>=16; i+=16){
    x = zmmEight(a, i, 8);
    y = zmmEight(b, i, 8);
    ab0 = _mm512_fmadd_pd(x, y, ab0);
    aa0 = _mm512_fmadd_pd(x, x, aa0);
    bb0 = _mm512_fmadd_pd(y, y, bb0);
    x = zmmEight(a, i+8, 8);
    y = zmmEight(b, i+8, 8);
    ab1 = _mm512_fmadd_pd(x, y, ab1);
    aa1 = _mm512_fmadd_pd(x, x, aa1);
    bb1 = _mm512_fmadd_pd(y, y, bb1);
  }
  for(; i<n; i = n-i>8 ? i+8 : n){
    x = zmmEight(a, i, n-i);
    y = zmmEight(b, i, n-i);
    ab0 = _mm512_fmadd_pd(x, y, ab0);
    aa0 = _mm512_fmadd_pd(x, x, aa0);
    bb0 = _mm512_fmadd_pd(y, y, bb0);
  }
  aSum[0] = zmmTotalF64(_mm512_add_pd(ab0, ab1));
  aSum[1] = zmmTotalF64(_mm512_add_pd(aa0, aa1));
  aSum[2] = zmmTotalF64(_mm512_add_pd(bb0, bb1));
}

/* 64 bytes, or the first n of them and zeros. */
LSC_INLINE AVX512 __m512i zmmBytes(const char *p, size_t n){
  return n>=64 ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi8(((__mmask64)1<<n) - 1, p);
}

/* VNNI multiplies unsigned by signed bytes. With y = y' + 128, y' signed, x*y = x*y' + 128*x, and the sum of x is
** known. A sum of four such products is below 2^17, so that 2^13 rounds fit the 32-bit sums. */
static AVX512B void zmmSumsU8(const void *a, const void *b, size_t n, uint64_t *aSum){
  const __m512i zero = _mm512_setzero_si512(), half = _mm512_set1_epi8(-128);
  __m512i s0 = zero, s1 = zero, s2 = zero, s3 = zero, s4 = zero;
  const char *p = a, *q = b;
  while( n ){
    __m512i aa = zero, bb = zero, ab = zero;
    int nLeft = 8192;
    for(; n && nLeft; nLeft--){
      size_t m = n<64 ? n : 64;
      __m512i x = zmmBytes(p, m), y = zmmBytes(q, m), xs = _mm512_xor_si512(x, half), ys = _mm512_xor_si512(y, half);
      s0 = _mm512_add_epi64(s0, _mm512_sad_epu8(x, zero));
      s1 = _mm512_add_epi64(s1, _mm512_sad_epu8(y, zero));
      aa = _mm512_dpbusd_epi32(aa, x, xs);
      bb = _mm512_dpbusd_epi32(bb, y, ys);
      ab = _mm512_dpbusd_epi32(ab, x, ys);
      p += m;
      q += m;
      n -= m;
    }
    s2 = _mm512_add_epi64(s2, _mm512_cvtepi32_epi64(_mm512_castsi512_si256(aa)));
    s2 = _mm512_add_epi64(s2, _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(aa, 1)));
    s3 = _mm512_add_epi64(s3, _mm512_cvtepi32_epi64(_mm512_castsi512_si256(bb)));
    s3 = _mm512_add_epi64(s3, _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(bb, 1)));
    s4 = _mm512_add_epi64(s4, _mm512_cvtepi32_epi64(_mm512_castsi512_si256(ab)));
    s4 = _mm512_add_epi64(s4, _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(ab, 1)));
  }
  aSum[0] = zmmTotalU64(s0);
  aSum[1] = zmmTotalU64(s1);
  aSum[2] = zmmTotalU64(s2) + 128*aSum[0];
  aSum[3] = zmmTotalU64(s3) + 128*aSum[1];
  aSum[4] = zmmTotalU64(s4) + 128*aSum[0];
}

static AVX512B uint64_t zmmHamming(const void *a, const void *b, size_t nByte){
  __m512i s = _mm512_setzero_si512(), t = s;
  const char *p = a, *q = b;
  for(; nByte>=128; nByte-=128, p+=128, q+=128){
    s = _mm512_add_epi64(s, _mm512_popcnt_epi64(_mm512_xor_si512(zmmBytes(p, 64), zmmBytes(q, 64))));
    t = _mm512_add_epi64(t, _mm512_popcnt_epi64(_mm512_xor_si512(zmmBytes(p + 64, 64), zmmBytes(q + 64, 64))));
  }
  if( nByte>=64 ){
    s = _mm512_add_epi64(s, _mm512_popcnt_epi64(_mm512_xor_si512(zmmBytes(p, 64), zmmBytes(q, 64))));
    nByte -= 64;
    p += 64;
    q += 64;
  }
  if( nByte ){
    t = _mm512_add_epi64(t, _mm512_popcnt_epi64(_mm512_xor_si512(zmmBytes(p, nByte), zmmBytes(q, nByte))));
  }
  return zmmTotalU64(_mm512_add_epi64(s, t));
}

static AVX512 void zmmWidenF16(const void *a, size_t n, float *pOut){
  const __m512i sign = _mm512_set1_epi32((int)0x80000000), quiet = _mm512_set1_epi32(0x7fc00000);
  size_t i;
  for(i=0; i<n; i = n-i>16 ? i+16 : n){
    const __mmask16 m = zmmMask(n-i);
    __m512 x = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(m, (const char*)a + 2*i));
    __m512i plain = _mm512_or_si512(_mm512_and_si512(_mm512_castps_si512(x), sign), quiet);
    x = _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), _mm512_castsi512_ps(plain));
    _mm512_mask_storeu_ps(&pOut[i], m, x);
  }
}

static AVX512 void zmmWidenFB16(const void *a, size_t n, float *pOut){
  size_t i;
  for(i=0; i<n; i = n-i>16 ? i+16 : n){
    const __mmask16 m = zmmMask(n-i);
    __m512i x = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(m, (const char*)a + 2*i));
    _mm512_mask_storeu_epi32(&pOut[i], m, _mm512_slli_epi32(x, 16));
  }
}
#endif
