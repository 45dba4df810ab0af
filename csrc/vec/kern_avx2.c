/*
** kern_avx2.c: kernels for AVX2 with FMA and F16C. Included by engine.c. Loops over floats take 16 elements at a time,
** as two vectors, in an order that may differ from theirs but is the same for both operands.
*/
#include "kernels.h"
#ifdef LSC_X86
#include <immintrin.h>
#include <string.h>

#define AVX2 LSC_TARGET("avx2,fma,f16c")

typedef struct Ymm2 { __m256 a, b; } Ymm2;

LSC_INLINE AVX2 __m256i avx2Bytes(const void *p){ return _mm256_loadu_si256((const __m256i*)p); }
LSC_INLINE AVX2 __m256 avx2Floats(const void *p){ return _mm256_castsi256_ps(avx2Bytes(p)); }
LSC_INLINE AVX2 __m256d avx2Doubles(const void *p){ return _mm256_castsi256_pd(avx2Bytes(p)); }

LSC_INLINE AVX2 __m256 avx2Halves(const void *p){ return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)); }

/* For the first n of eight elements, n up to 8 (more is as 8). */
LSC_INLINE AVX2 __m256i avx2Mask(size_t n){
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n<8 ? (int)n : 8), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* The 16 elements at p+i. */
LSC_INLINE AVX2 Ymm2 avx2Load(int eType, const void *p, size_t i){
  Ymm2 r;
  if( eType==KERN_F32 ){
    r.a = avx2Floats((const char*)p + 4*i);
    r.b = avx2Floats((const char*)p + 4*i + 32);
  }else if( eType==KERN_F16 ){
    r.a = avx2Halves((const char*)p + 2*i);
    r.b = avx2Halves((const char*)p + 2*i + 16);
  }else{
    __m256i x = avx2Bytes((const char*)p + 2*i);
    r.a = _mm256_castsi256_ps(_mm256_slli_epi32(x, 16));
    r.b = _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32((int)0xffff0000)));
  }
  return r;
}

/* The same of n elements, n below 16, and zeros. */
LSC_INLINE AVX2 Ymm2 avx2Tail(int eType, const void *p, size_t i, size_t n){
  char aCopy[32];
  if( eType==KERN_F32 ){
    Ymm2 r;
    const char *z = (const char*)p + 4*i;
    r.a = _mm256_maskload_ps((const float*)z, avx2Mask(n));
    r.b = n>8 ? _mm256_maskload_ps((const float*)(z + 32), avx2Mask(n-8)) : _mm256_setzero_ps();
    return r;
  }
  memset(aCopy, 0, sizeof(aCopy));
  memcpy(aCopy, (const char*)p + 2*i, 2*n);
  return avx2Load(eType, aCopy, 0);
}

LSC_INLINE AVX2 float avx2Total(__m256 x){
  __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  y = _mm_add_ps(y, _mm_movehl_ps(y, y));
  return _mm_cvtss_f32(_mm_add_ss(y, _mm_movehdup_ps(y)));
}

LSC_INLINE AVX2 double avx2TotalF64(__m256d x){
  __m128d y = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd(x, 1));
  return _mm_cvtsd_f64(_mm_add_sd(y, _mm_unpackhi_pd(y, y)));
}

LSC_INLINE AVX2 uint64_t avx2TotalU64(__m256i x){
  uint64_t u[4];
  _mm256_storeu_si256((__m256i*)u, x);
  return u[0] + u[1] + u[2] + u[3];
}

LSC_INLINE AVX2 float avx2Dot(int eType, const void *a, const void *b, size_t n){
  __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
  size_t i = 0;
  Ymm2 x, y;
  for(; n-i>=32; i+=32){
    x = avx2Load(eType, a, i);
    y = avx2Load(eType, b, i);
    s0 = _mm256_fmadd_ps(x.a, y.a, s0);
    s1 = _mm256_fmadd_ps(x.b, y.b, s1);
    x = avx2Load(eType, a, i+16);
    y = avx2Load(eType, b, i+16);
    s2 = _mm256_fmadd_ps(x.a, y.a, s2);
    s3 = _mm256_fmadd_ps(x.b, y.b, s3);
  }
  if( n-i>=16 ){
    x = avx2Load(eType, a, i);
    y = avx2Load(eType, b, i);
    s0 = _mm256_fmadd_ps(x.a, y.a, s0);
    s1 = _mm256_fmadd_ps(x.b, y.b, s1);
    i += 16;
  }
  if( i<n ){
    x = avx2Tail(eType, a, i, n-i);
    y = avx2Tail(eType, b, i, n-i);
    s2 = _mm256_fmadd_ps(x.a, y.a, s2);
    s3 = _mm256_fmadd_ps(x.b, y.b, s3);
  }
  return avx2Total(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3)));
}

LSC_INLINE AVX2 Ymm2 avx2Square(Ymm2 s, Ymm2 x, Ymm2 y){
  x.a = _mm256_sub_ps(x.a, y.a);
  x.b = _mm256_sub_ps(x.b, y.b);
  s.a = _mm256_fmadd_ps(x.a, x.a, s.a);
  s.b = _mm256_fmadd_ps(x.b, x.b, s.b);
  return s;
}

LSC_INLINE AVX2 float avx2L2(int eType, const void *a, const void *b, size_t n){
  Ymm2 s = {_mm256_setzero_ps(), _mm256_setzero_ps()}, t = s;
  size_t i = 0;
  for(; n-i>=32; i+=32){
    s = avx2Square(s, avx2Load(eType, a, i), avx2Load(eType, b, i));
    t = avx2Square(t, avx2Load(eType, a, i+16), avx2Load(eType, b, i+16));
  }
  if( n-i>=16 ){
    s = avx2Square(s, avx2Load(eType, a, i), avx2Load(eType, b, i));
    i += 16;
  }
  if( i<n ) t = avx2Square(t, avx2Tail(eType, a, i, n-i), avx2Tail(eType, b, i, n-i));
  return avx2Total(_mm256_add_ps(_mm256_add_ps(s.a, s.b), _mm256_add_ps(t.a, t.b)));
}

typedef struct Ymm6 { Ymm2 ab, aa, bb; } Ymm6;

LSC_INLINE AVX2 Ymm2 avx2Product(Ymm2 s, Ymm2 x, Ymm2 y){
  s.a = _mm256_fmadd_ps(x.a, y.a, s.a);
  s.b = _mm256_fmadd_ps(x.b, y.b, s.b);
  return s;
}

LSC_INLINE AVX2 Ymm6 avx2Products(Ymm6 s, Ymm2 x, Ymm2 y){
  s.ab = avx2Product(s.ab, x, y);
  s.aa = avx2Product(s.aa, x, x);
  s.bb = avx2Product(s.bb, y, y);
  return s;
}

LSC_INLINE AVX2 void avx2Cos(int eType, const void *a, const void *b, size_t n, float *aSum){
  Ymm2 z = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  Ymm6 s = {z, z, z}, t = s;
  size_t i = 0;
  for(; n-i>=32; i+=32){
    s = avx2Products(s, avx2Load(eType, a, i), avx2Load(eType, b, i));
    t = avx2Products(t, avx2Load(eType, a, i+16), avx2Load(eType, b, i+16));
  }
  if( n-i>=16 ){
    s = avx2Products(s, avx2Load(eType, a, i), avx2Load(eType, b, i));
    i += 16;
  }
  if( i<n ) t = avx2Products(t, avx2Tail(eType, a, i, n-i), avx2Tail(eType, b, i, n-i));
  aSum[0] = avx2Total(_mm256_add_ps(_mm256_add_ps(s.ab.a, s.ab.b), _mm256_add_ps(t.ab.a, t.ab.b)));
  aSum[1] = avx2Total(_mm256_add_ps(_mm256_add_ps(s.aa.a, s.aa.b), _mm256_add_ps(t.aa.a, t.aa.b)));
  aSum[2] = avx2Total(_mm256_add_ps(_mm256_add_ps(s.bb.a, s.bb.b), _mm256_add_ps(t.bb.a, t.bb.b)));
}

static AVX2 float avx2DotF32(const void *a, const void *b, size_t n){ return avx2Dot(KERN_F32, a, b, n); }
static AVX2 float avx2DotF16(const void *a, const void *b, size_t n){ return avx2Dot(KERN_F16, a, b, n); }
static AVX2 float avx2DotFB16(const void *a, const void *b, size_t n){ return avx2Dot(KERN_FB16, a, b, n); }
static AVX2 float avx2L2F32(const void *a, const void *b, size_t n){ return avx2L2(KERN_F32, a, b, n); }
static AVX2 float avx2L2F16(const void *a, const void *b, size_t n){ return avx2L2(KERN_F16, a, b, n); }
static AVX2 float avx2L2FB16(const void *a, const void *b, size_t n){ return avx2L2(KERN_FB16, a, b, n); }
static AVX2 void avx2CosF32(const void *a, const void *b, size_t n, float *aSum){ avx2Cos(KERN_F32, a, b, n, aSum); }
static AVX2 void avx2CosF16(const void *a, const void *b, size_t n, float *aSum){ avx2Cos(KERN_F16, a, b, n, aSum); }
static AVX2 void avx2CosFB16(const void *a, const void *b, size_t n, float *aSum){ avx2Cos(KERN_FB16, a, b, n, aSum); }

/* Doubles come in fours, or as the last few and zeros. */
LSC_INLINE AVX2 __m256d avx2Four(const void *p, size_t i, size_t n){
  const char *z = (const char*)p + 8*i;
  __m256i have;
  if( n-i>=4 ) return avx2Doubles(z);
  have = _mm256_cmpgt_epi64(_mm256_set1_epi64x((int)(n-i)), _mm256_setr_epi64x(0, 1, 2, 3));
  return _mm256_maskload_pd((const double*)z, have);
}

static AVX2 double avx2DotF64(const void *a, const void *b, size_t n){
  __m256d s0 = _mm256_setzero_pd(), s1 = s0, s2 = s0, s3 = s0;
  const char *p = a, *q = b;
  size_t i = 0;
  for(; n-i>=16; i+=16){
    s0 = _mm256_fmadd_pd(avx2Doubles(p + 8*i), avx2Doubles(q + 8*i), s0);
    s1 = _mm256_fmadd_pd(avx2Doubles(p + 8*i + 32), avx2Doubles(q + 8*i + 32), s1);
    s2 = _mm256_fmadd_pd(avx2Doubles(p + 8*i + 64), avx2Doubles(q + 8*i + 64), s2);
    s3 = _mm256_fmadd_pd(avx2Doubles(p + 8*i + 96), avx2Doubles(q + 8*i + 96), s3);
  }
  for(; i<n; i = n-i>4 ? i+4 : n) s0 = _mm256_fmadd_pd(avx2Four(a, i, n), avx2Four(b, i, n), s0);
  return avx2TotalF64(_mm256_add_pd(_mm256_add_pd(s0, s1), _mm256_add_pd(s2, s3)));
}

LSC_INLINE AVX2 __m256d avx2SquareF64(__m256d s, __m256d x, __m256d y){
  x = _mm256_sub_pd(x, y);
  return _mm256_fmadd_pd(x, x, s);
}

static AVX2 double avx2L2F64(const void *a, const void *b, size_t n){
  __m256d s0 = _mm256_setzero_pd(), s1 = s0, s2 = s0, s3 = s0;
  const char *p = a, *q = b;
  size_t i = 0;
  for(; n-i>=16; i+=16){
    s0 = avx2SquareF64(s0, avx2Doubles(p + 8*i), avx2Doubles(q + 8*i));
    s1 = avx2SquareF64(s1, avx2Doubles(p + 8*i + 32), avx2Doubles(q + 8*i + 32));
    s2 = avx2SquareF64(s2, avx2Doubles(p + 8*i + 64), avx2Doubles(q + 8*i + 64));
    s3 = avx2SquareF64(s3, avx2Doubles(p + 8*i + 96), avx2Doubles(q + 8*i + 96));
  }
  for(; i<n; i = n-i>4 ? i+4 : n) s0 = avx2SquareF64(s0, avx2Four(a, i, n), avx2Four(b, i, n));
  return avx2TotalF64(_mm256_add_pd(_mm256_add_pd(s0, s1), _mm256_add_pd(s2, s3)));
}

static AVX2 void avx2CosF64(const void *a, const void *b, size_t n, double *aSum){
  __m256d ab0 = _mm256_setzero_pd(), ab1 = ab0, aa0 = ab0, aa1 = ab0, bb0 = ab0, bb1 = ab0, x, y;
  size_t i = 0;
  for(; n-i>=8; i+=8){
    x = avx2Four(a, i, n);
    y = avx2Four(b, i, n);
    ab0 = _mm256_fmadd_pd(x, y, ab0);
    aa0 = _mm256_fmadd_pd(x, x, aa0);
    bb0 = _mm256_fmadd_pd(y, y, bb0);
    x = avx2Four(a, i+4, n);
    y = avx2Four(b, i+4, n);
    ab1 = _mm256_fmadd_pd(x, y, ab1);
    aa1 = _mm256_fmadd_pd(x, x, aa1);
    bb1 = _mm256_fmadd_pd(y, y, bb1);
  }
  for(; i<n; i = n-i>4 ? i+4 : n){
    x = avx2Four(a, i, n);
    y = avx2Four(b, i, n);
    ab0 = _mm256_fmadd_pd(x, y, ab0);
    aa0 = _mm256_fmadd_pd(x, x, aa0);
    bb0 = _mm256_fmadd_pd(y, y, bb0);
  }
  aSum[0] = avx2TotalF64(_mm256_add_pd(ab0, ab1));
  aSum[1] = avx2TotalF64(_mm256_add_pd(aa0, aa1));
  aSum[2] = avx2TotalF64(_mm256_add_pd(bb0, bb1));
}

/* The low and the high bytes of 16-bit pairs are multiplied apart: products of two stay below 2^17, so that 2^13 rounds
** fit the 32-bit sums. */
static AVX2 void avx2SumsU8(const void *a, const void *b, size_t n, uint64_t *aSum){
  const __m256i zero = _mm256_setzero_si256(), low = _mm256_set1_epi16(0xff);
  __m256i s0 = zero, s1 = zero, s2 = zero, s3 = zero, s4 = zero;
  const char *p = a, *q = b;
  while( n ){
    __m256i aa = zero, bb = zero, ab = zero;
    int nLeft = 8192;
    for(; n && nLeft; nLeft--){
      __m256i x, y, xl, xh, yl, yh;
      size_t m = n<32 ? n : 32;
      if( m==32 ){
        x = avx2Bytes(p);
        y = avx2Bytes(q);
      }else{
        char aCopy[64];
        memset(aCopy, 0, sizeof(aCopy));
        memcpy(aCopy, p, m);
        memcpy(aCopy + 32, q, m);
        x = avx2Bytes(aCopy);
        y = avx2Bytes(aCopy + 32);
      }
      s0 = _mm256_add_epi64(s0, _mm256_sad_epu8(x, zero));
      s1 = _mm256_add_epi64(s1, _mm256_sad_epu8(y, zero));
      xl = _mm256_and_si256(x, low);
      xh = _mm256_srli_epi16(x, 8);
      yl = _mm256_and_si256(y, low);
      yh = _mm256_srli_epi16(y, 8);
      aa = _mm256_add_epi32(aa, _mm256_add_epi32(_mm256_madd_epi16(xl, xl), _mm256_madd_epi16(xh, xh)));
      bb = _mm256_add_epi32(bb, _mm256_add_epi32(_mm256_madd_epi16(yl, yl), _mm256_madd_epi16(yh, yh)));
      ab = _mm256_add_epi32(ab, _mm256_add_epi32(_mm256_madd_epi16(xl, yl), _mm256_madd_epi16(xh, yh)));
      p += m;
      q += m;
      n -= m;
    }
    s2 = _mm256_add_epi64(s2, _mm256_add_epi64(_mm256_unpacklo_epi32(aa, zero), _mm256_unpackhi_epi32(aa, zero)));
    s3 = _mm256_add_epi64(s3, _mm256_add_epi64(_mm256_unpacklo_epi32(bb, zero), _mm256_unpackhi_epi32(bb, zero)));
    s4 = _mm256_add_epi64(s4, _mm256_add_epi64(_mm256_unpacklo_epi32(ab, zero), _mm256_unpackhi_epi32(ab, zero)));
  }
  aSum[0] = avx2TotalU64(s0);
  aSum[1] = avx2TotalU64(s1);
  aSum[2] = avx2TotalU64(s2);
  aSum[3] = avx2TotalU64(s3);
  aSum[4] = avx2TotalU64(s4);
}

/* The bits of each byte, by a table of nibbles. */
LSC_INLINE AVX2 __m256i avx2Bits(__m256i x){
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i bits = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
                                        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  return _mm256_add_epi8(_mm256_shuffle_epi8(bits, _mm256_and_si256(x, nibble)),
                         _mm256_shuffle_epi8(bits, _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble)));
}

static AVX2 uint64_t avx2Hamming(const void *a, const void *b, size_t nByte){
  const __m256i zero = _mm256_setzero_si256();
  __m256i s = zero;
  const char *p = a, *q = b;
  for(; nByte>=64; nByte-=64, p+=64, q+=64){
    __m256i x = avx2Bits(_mm256_xor_si256(avx2Bytes(p), avx2Bytes(q)));
    __m256i y = avx2Bits(_mm256_xor_si256(avx2Bytes(p + 32), avx2Bytes(q + 32)));
    s = _mm256_add_epi64(s, _mm256_sad_epu8(_mm256_add_epi8(x, y), zero));
  }
  if( nByte>=32 ){
    s = _mm256_add_epi64(s, _mm256_sad_epu8(avx2Bits(_mm256_xor_si256(avx2Bytes(p), avx2Bytes(q))), zero));
    nByte -= 32;
    p += 32;
    q += 32;
  }
  return avx2TotalU64(s) + (nByte ? portHamming(p, q, nByte) : 0);
}

LSC_INLINE AVX2 __m256 avx2PlainNaN(__m256 x){
  const __m256 minus = _mm256_set1_ps(-0.0f), quiet = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000));
  return _mm256_blendv_ps(x, _mm256_or_ps(_mm256_and_ps(x, minus), quiet), _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

static AVX2 void avx2WidenF16(const void *a, size_t n, float *pOut){
  size_t i;
  for(i=0; n-i>=8; i+=8) _mm256_storeu_ps(&pOut[i], avx2PlainNaN(avx2Halves((const char*)a + 2*i)));
  portWidenF16((const char*)a + 2*i, n-i, &pOut[i]);
}

static AVX2 void avx2WidenFB16(const void *a, size_t n, float *pOut){
  size_t i;
  for(i=0; n-i>=8; i+=8){
    __m256i x = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)((const char*)a + 2*i)));
    _mm256_storeu_si256((__m256i*)&pOut[i], _mm256_slli_epi32(x, 16));
  }
  portWidenFB16((const char*)a + 2*i, n-i, &pOut[i]);
}

/* The dot products of two rows with up to four queries that are not packed. */
static AVX2 void avx2TwoRows(const void *const *apRow, size_t nRow, const float *pQuery, size_t nQuery, size_t n,
                             float *pOut, size_t nOut){
  const char *p0 = apRow[0], *p1 = apRow[nRow>1];
  const float *q0 = pQuery, *q1 = nQuery>1 ? q0+n : q0, *q2 = nQuery>2 ? q1+n : q0, *q3 = nQuery>3 ? q2+n : q0;
  __m256 z = _mm256_setzero_ps(), x, y, q, a0 = z, a1 = z, a2 = z, a3 = z, b0 = z, b1 = z, b2 = z, b3 = z;
  float aSum[8];
  size_t i = 0, k;
  for(; n-i>=8; i+=8){
    x = avx2Floats(p0 + 4*i);
    y = avx2Floats(p1 + 4*i);
    q = _mm256_loadu_ps(q0 + i);
    a0 = _mm256_fmadd_ps(x, q, a0);
    b0 = _mm256_fmadd_ps(y, q, b0);
    q = _mm256_loadu_ps(q1 + i);
    a1 = _mm256_fmadd_ps(x, q, a1);
    b1 = _mm256_fmadd_ps(y, q, b1);
    q = _mm256_loadu_ps(q2 + i);
    a2 = _mm256_fmadd_ps(x, q, a2);
    b2 = _mm256_fmadd_ps(y, q, b2);
    q = _mm256_loadu_ps(q3 + i);
    a3 = _mm256_fmadd_ps(x, q, a3);
    b3 = _mm256_fmadd_ps(y, q, b3);
  }
  if( i<n ){
    const __m256i m = avx2Mask(n-i);
    x = _mm256_maskload_ps((const float*)(p0 + 4*i), m);
    y = _mm256_maskload_ps((const float*)(p1 + 4*i), m);
    a0 = _mm256_fmadd_ps(x, _mm256_maskload_ps(q0 + i, m), a0);
    b0 = _mm256_fmadd_ps(y, _mm256_maskload_ps(q0 + i, m), b0);
    a1 = _mm256_fmadd_ps(x, _mm256_maskload_ps(q1 + i, m), a1);
    b1 = _mm256_fmadd_ps(y, _mm256_maskload_ps(q1 + i, m), b1);
    a2 = _mm256_fmadd_ps(x, _mm256_maskload_ps(q2 + i, m), a2);
    b2 = _mm256_fmadd_ps(y, _mm256_maskload_ps(q2 + i, m), b2);
    a3 = _mm256_fmadd_ps(x, _mm256_maskload_ps(q3 + i, m), a3);
    b3 = _mm256_fmadd_ps(y, _mm256_maskload_ps(q3 + i, m), b3);
  }
  /* x: the sums of each half for the first row; their halves are added last */
  x = _mm256_hadd_ps(_mm256_hadd_ps(a0, a1), _mm256_hadd_ps(a2, a3));
  y = _mm256_hadd_ps(_mm256_hadd_ps(b0, b1), _mm256_hadd_ps(b2, b3));
  _mm256_storeu_ps(aSum, _mm256_add_ps(_mm256_permute2f128_ps(x, y, 0x20), _mm256_permute2f128_ps(x, y, 0x31)));
  for(k=0; k<nQuery; k++){
    pOut[k] = aSum[k];
    if( nRow>1 ) pOut[nOut + k] = aSum[4 + k];
  }
}

LSC_INLINE AVX2 Ymm2 avx2Step(Ymm2 s, const char *pRow, Ymm2 q){
  int u;
  __m256 x;
  memcpy(&u, pRow, 4);
  x = _mm256_castsi256_ps(_mm256_set1_epi32(u));
  s.a = _mm256_fmadd_ps(x, q.a, s.a);
  s.b = _mm256_fmadd_ps(x, q.b, s.b);
  return s;
}

/* Adds the products of a row with 16 queries to pOut, those of the first nQuery. */
LSC_INLINE AVX2 void avx2Put(Ymm2 s, float *pOut, size_t nQuery){
  if( nQuery>=16 ){
    _mm256_storeu_ps(pOut, _mm256_add_ps(_mm256_loadu_ps(pOut), s.a));
    _mm256_storeu_ps(pOut + 8, _mm256_add_ps(_mm256_loadu_ps(pOut + 8), s.b));
  }else{
    float aSum[16];
    size_t k;
    _mm256_storeu_ps(aSum, s.a);
    _mm256_storeu_ps(aSum + 8, s.b);
    for(k=0; k<nQuery; k++) pOut[k] += aSum[k];
  }
}

/* Up to six rows by a panel of 16 queries, elements i to i+n; the first row stands in for those that lack. */
static AVX2 void avx2Panel(const void *const *apRow, size_t nRow, size_t i, const float *q, size_t n,
                           float *pOut, size_t nOut, size_t nQuery){
  Ymm2 s0 = {_mm256_setzero_ps(), _mm256_setzero_ps()}, s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0;
  const char *p0 = (const char*)apRow[0] + 4*i, *p1 = nRow>1 ? (const char*)apRow[1] + 4*i : p0;
  const char *p2 = nRow>2 ? (const char*)apRow[2] + 4*i : p0, *p3 = nRow>3 ? (const char*)apRow[3] + 4*i : p0;
  const char *p4 = nRow>4 ? (const char*)apRow[4] + 4*i : p0, *p5 = nRow>5 ? (const char*)apRow[5] + 4*i : p0;
  size_t j;
  for(j=0; j<n; j++){
    Ymm2 x;
    x.a = _mm256_loadu_ps(q + LSC_LANES*j);
    x.b = _mm256_loadu_ps(q + LSC_LANES*j + 8);
    s0 = avx2Step(s0, p0 + 4*j, x);
    s1 = avx2Step(s1, p1 + 4*j, x);
    s2 = avx2Step(s2, p2 + 4*j, x);
    s3 = avx2Step(s3, p3 + 4*j, x);
    s4 = avx2Step(s4, p4 + 4*j, x);
    s5 = avx2Step(s5, p5 + 4*j, x);
  }
  avx2Put(s0, pOut, nQuery);
  if( nRow>1 ) avx2Put(s1, pOut + nOut, nQuery);
  if( nRow>2 ) avx2Put(s2, pOut + 2*nOut, nQuery);
  if( nRow>3 ) avx2Put(s3, pOut + 3*nOut, nQuery);
  if( nRow>4 ) avx2Put(s4, pOut + 4*nOut, nQuery);
  if( nRow>5 ) avx2Put(s5, pOut + 5*nOut, nQuery);
}

static AVX2 void avx2DotsF32(const void *const *apRow, size_t nRow, const float *pPacked, size_t nQuery, size_t n,
                             float *pOut){
  size_t iChunk, iRow, iEnd, iQuery, i;
  if( nQuery==1 ){
    for(iRow=0; iRow<nRow; iRow++){
      kernFetch(&apRow[iRow+1], iRow+1<nRow, 0, n);
      pOut[iRow] = avx2DotF32(apRow[iRow], pPacked, n);
    }
    return;
  }
  if( nQuery<=KERN_UNPACKED ){
    for(iRow=0; iRow<nRow; iRow+=2){
      if( nRow-iRow>2 ) kernFetch(&apRow[iRow+2], nRow-iRow<4 ? 1 : 2, 0, n);
      for(iQuery=0; iQuery<nQuery; iQuery+=4){
        avx2TwoRows(&apRow[iRow], nRow-iRow<2 ? 1 : 2, &pPacked[iQuery*n], nQuery-iQuery<4 ? nQuery-iQuery : 4, n,
                    &pOut[iRow*nQuery + iQuery], nQuery);
      }
    }
    return;
  }
  memset(pOut, 0, nRow*nQuery*sizeof(float));
  for(iChunk=0; iChunk<nRow; iChunk=iEnd){
    iEnd = nRow-iChunk<KERN_CHUNK ? nRow : iChunk+KERN_CHUNK;
    for(i=0; i<n; i+=LSC_RUN){
      for(iQuery=0; iQuery<nQuery; iQuery+=LSC_LANES){
        for(iRow=iChunk; iRow<iEnd; iRow+=6){
          if( iQuery==0 && iEnd-iRow>=12 ) kernFetch(&apRow[iRow+6], 6, i, n-i<LSC_RUN ? n-i : LSC_RUN);
          avx2Panel(&apRow[iRow], iEnd-iRow<6 ? iEnd-iRow : 6, i, &pPacked[iQuery*n + i*LSC_LANES],
                    n-i<LSC_RUN ? n-i : LSC_RUN, &pOut[iRow*nQuery + iQuery], nQuery, nQuery-iQuery);
        }
      }
    }
  }
}

static AVX2 void avx2DotRowsF32(const void *pRow, size_t nStride, size_t nRow, const float *pQuery, size_t n, float *pOut){
  size_t i;
  for(i=0; i<nRow; i++) pOut[i] = avx2DotF32((const char*)pRow + i*nStride, pQuery, n);
}

/* Of bytes, the low and the high ones of 16-bit pairs apart. */
LSC_INLINE AVX2 __m256i avx2DotBytes(__m256i s, __m256i x, __m256i y){
  const __m256i low = _mm256_set1_epi16(0xff);
  s = _mm256_add_epi32(s, _mm256_madd_epi16(_mm256_and_si256(x, low), _mm256_and_si256(y, low)));
  return _mm256_add_epi32(s, _mm256_madd_epi16(_mm256_srli_epi16(x, 8), _mm256_srli_epi16(y, 8)));
}

LSC_INLINE AVX2 uint32_t avx2TotalU32(__m256i x){
  __m128i r = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  r = _mm_add_epi32(r, _mm_shuffle_epi32(r, 0x4e));
  r = _mm_add_epi32(r, _mm_shuffle_epi32(r, 0xb1));
  return (uint32_t)_mm_cvtsi128_si32(r);
}

static AVX2 void avx2DotRowsU8(const void *pRow, size_t nStride, size_t nRow, const void *pQuery, size_t n, uint32_t *pOut){
  const char *p = pRow, *q = pQuery;
  size_t iRow, i;
  for(iRow=0; iRow<nRow; iRow++, p+=nStride){
    __m256i s = _mm256_setzero_si256(), t = s;
    for(i=0; n-i>=64; i+=64){
      s = avx2DotBytes(s, avx2Bytes(p + i), avx2Bytes(q + i));
      t = avx2DotBytes(t, avx2Bytes(p + i + 32), avx2Bytes(q + i + 32));
    }
    pOut[iRow] = avx2TotalU32(_mm256_add_epi32(s, t));
    for(; i<n; i++) pOut[iRow] += (uint32_t)((uint8_t)p[i]*(uint8_t)q[i]);
  }
}

/* The processor counts the bits of eight bytes at once; for longer rows vectors are faster. */
static AVX2 void avx2HammingRows(const void *pRow, size_t nStride, size_t nRow, const void *pQuery, size_t n, uint32_t *pOut){
  const char *p = pRow;
  size_t iRow, i;
  for(iRow=0; iRow<nRow; iRow++, p+=nStride){
    const char *q = pQuery;
    uint64_t s = 0, x = 0, y = 0;
    if( n>=256 ){
      pOut[iRow] = (uint32_t)avx2Hamming(p, q, n);
      continue;
    }
    for(i=0; n-i>=8; i+=8){
      memcpy(&x, p + i, 8);
      memcpy(&y, q + i, 8);
      s += (uint64_t)__builtin_popcountll(x ^ y);
    }
    for(; i<n; i++) s += (uint64_t)__builtin_popcountll((uint64_t)(uint8_t)(p[i] ^ q[i]));
    pOut[iRow] = (uint32_t)s;
  }
}

static const LscKernels kernAvx2 = {
  "avx2",
  avx2CosF32, avx2DotF32, avx2L2F32, avx2CosF64, avx2DotF64, avx2L2F64,
  avx2CosF16, avx2DotF16, avx2L2F16, avx2CosFB16, avx2DotFB16, avx2L2FB16,
  avx2SumsU8, avx2Hamming, avx2WidenF16, avx2WidenFB16, kernPackSingle, avx2DotsF32,
  avx2DotRowsF32, avx2DotRowsU8, avx2HammingRows,
};
#endif
