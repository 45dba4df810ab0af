/*
** kern_dots512.c: dot products of many rows with many queries, for AVX-512. Included by engine.c behind kern_avx512.c,
** whose tables it ends with.
**
** A panel holds up to four vectors of 16 queries. While it goes through the cache, one element of each of several rows
** is spread over a vector and multiplied with all of them: 24 sums stay in registers, for each load there are more than
** two multiplications. Rows come in chunks that stay in the cache for all panels.
*/
#include "kernels.h"
#ifdef LSC_X86
#include <immintrin.h>
#include <string.h>

typedef struct Zmm4 { __m512 a, b, c, d; } Zmm4;

LSC_INLINE AVX512 Zmm4 zmmStep(int nVec, Zmm4 s, const char *pRow, Zmm4 q){
  int u;
  __m512 x;
  memcpy(&u, pRow, 4);
  x = _mm512_castsi512_ps(_mm512_set1_epi32(u));
  s.a = _mm512_fmadd_ps(x, q.a, s.a);
  if( nVec>1 ) s.b = _mm512_fmadd_ps(x, q.b, s.b);
  if( nVec>2 ) s.c = _mm512_fmadd_ps(x, q.c, s.c);
  if( nVec>3 ) s.d = _mm512_fmadd_ps(x, q.d, s.d);
  return s;
}

LSC_INLINE AVX512 void zmmPut16(float *pOut, __mmask16 m, __m512 s){
  _mm512_mask_storeu_ps(pOut, m, _mm512_add_ps(_mm512_maskz_loadu_ps(m, pOut), s));
}

/* Adds the products of a row with a panel to pOut; m: which of its last vector there are. */
LSC_INLINE AVX512 void zmmPut(int nVec, Zmm4 s, float *pOut, __mmask16 m){
  zmmPut16(pOut, nVec>1 ? 0xffff : m, s.a);
  if( nVec>1 ) zmmPut16(pOut + 16, nVec>2 ? 0xffff : m, s.b);
  if( nVec>2 ) zmmPut16(pOut + 32, nVec>3 ? 0xffff : m, s.c);
  if( nVec>3 ) zmmPut16(pOut + 48, m, s.d);
}

/* One call's work: elements i to i+n of nRow rows by a panel. */
typedef struct ZmmPanel {
  const void *const *apRow;
  size_t nRow, i, n;
  const float *q;           /* the panel from element i on */
  float *pOut;              /* of the first row and the panel's first query */
  size_t nOut;              /* from a row's results to the next one's */
  __mmask16 m;              /* which of the panel's last vector there are */
} ZmmPanel;

LSC_INLINE AVX512 const char *zmmRow(const ZmmPanel *p, size_t iRow){
  return (const char*)p->apRow[iRow<p->nRow ? iRow : 0] + 4*p->i;
}

/* Up to nMax rows; the first stands in for those that lack. */
LSC_INLINE AVX512 void zmmPanel(int nMax, int nVec, const ZmmPanel *p){
  const char *p0 = zmmRow(p, 0), *p1 = zmmRow(p, 1), *p2 = zmmRow(p, 2), *p3 = zmmRow(p, 3);
  const char *p4 = zmmRow(p, 4), *p5 = zmmRow(p, 5), *p6 = zmmRow(p, 6), *p7 = zmmRow(p, 7);
  const char *p8 = zmmRow(p, 8), *p9 = zmmRow(p, 9), *p10 = zmmRow(p, 10), *p11 = zmmRow(p, 11);
  const float *q = p->q;
  const size_t n = p->n, nRow = p->nRow, nOut = p->nOut;
  float *pOut = p->pOut;
  Zmm4 s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, x;
  size_t j;
  x.a = x.b = x.c = x.d = _mm512_setzero_ps();
  s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = s9 = s10 = s11 = x;
  for(j=0; j<n; j++, q+=16*nVec){
    x.a = _mm512_loadu_ps(q);
    if( nVec>1 ) x.b = _mm512_loadu_ps(q + 16);
    if( nVec>2 ) x.c = _mm512_loadu_ps(q + 32);
    if( nVec>3 ) x.d = _mm512_loadu_ps(q + 48);
    s0 = zmmStep(nVec, s0, p0 + 4*j, x);
    s1 = zmmStep(nVec, s1, p1 + 4*j, x);
    s2 = zmmStep(nVec, s2, p2 + 4*j, x);
    s3 = zmmStep(nVec, s3, p3 + 4*j, x);
    s4 = zmmStep(nVec, s4, p4 + 4*j, x);
    s5 = zmmStep(nVec, s5, p5 + 4*j, x);
    if( nMax>6 ) s6 = zmmStep(nVec, s6, p6 + 4*j, x);
    if( nMax>6 ) s7 = zmmStep(nVec, s7, p7 + 4*j, x);
    if( nMax>8 ) s8 = zmmStep(nVec, s8, p8 + 4*j, x);
    if( nMax>8 ) s9 = zmmStep(nVec, s9, p9 + 4*j, x);
    if( nMax>8 ) s10 = zmmStep(nVec, s10, p10 + 4*j, x);
    if( nMax>8 ) s11 = zmmStep(nVec, s11, p11 + 4*j, x);
  }
  zmmPut(nVec, s0, pOut, p->m);
  if( nRow>1 ) zmmPut(nVec, s1, pOut + nOut, p->m);
  if( nRow>2 ) zmmPut(nVec, s2, pOut + 2*nOut, p->m);
  if( nRow>3 ) zmmPut(nVec, s3, pOut + 3*nOut, p->m);
  if( nRow>4 ) zmmPut(nVec, s4, pOut + 4*nOut, p->m);
  if( nRow>5 ) zmmPut(nVec, s5, pOut + 5*nOut, p->m);
  if( nMax>6 && nRow>6 ) zmmPut(nVec, s6, pOut + 6*nOut, p->m);
  if( nMax>6 && nRow>7 ) zmmPut(nVec, s7, pOut + 7*nOut, p->m);
  if( nMax>8 && nRow>8 ) zmmPut(nVec, s8, pOut + 8*nOut, p->m);
  if( nMax>8 && nRow>9 ) zmmPut(nVec, s9, pOut + 9*nOut, p->m);
  if( nMax>8 && nRow>10 ) zmmPut(nVec, s10, pOut + 10*nOut, p->m);
  if( nMax>8 && nRow>11 ) zmmPut(nVec, s11, pOut + 11*nOut, p->m);
}

static AVX512 void zmmPanel1(const ZmmPanel *p){ zmmPanel(12, 1, p); }
static AVX512 void zmmPanel2(const ZmmPanel *p){ zmmPanel(12, 2, p); }
static AVX512 void zmmPanel3(const ZmmPanel *p){ zmmPanel(8, 3, p); }
static AVX512 void zmmPanel4(const ZmmPanel *p){ zmmPanel(6, 4, p); }

static void zmmPackQueries(const float *pQuery, size_t nQuery, size_t n, float *pPacked){
  kernPack(4, pQuery, nQuery, n, pPacked);
}

/* The sums of four vectors. */
LSC_INLINE AVX512 __m128 zmmFour(__m512 a, __m512 b, __m512 c, __m512 d){
  __m256 x = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
  __m256 y = _mm256_add_ps(_mm512_castps512_ps256(b), _mm512_extractf32x8_ps(b, 1));
  __m256 z = _mm256_add_ps(_mm512_castps512_ps256(c), _mm512_extractf32x8_ps(c, 1));
  __m256 w = _mm256_add_ps(_mm512_castps512_ps256(d), _mm512_extractf32x8_ps(d, 1));
  x = _mm256_hadd_ps(_mm256_hadd_ps(x, y), _mm256_hadd_ps(z, w));
  return _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
}

LSC_INLINE AVX512 Zmm4 zmmByFour(Zmm4 s, __m512 x, Zmm4 q){
  s.a = _mm512_fmadd_ps(x, q.a, s.a);
  s.b = _mm512_fmadd_ps(x, q.b, s.b);
  s.c = _mm512_fmadd_ps(x, q.c, s.c);
  s.d = _mm512_fmadd_ps(x, q.d, s.d);
  return s;
}

/* The dot products of four rows with up to four queries that are not packed. */
static AVX512 void zmmFourRows(const void *const *apRow, size_t nRow, const float *pQuery, size_t nQuery, size_t n,
                               float *pOut, size_t nOut){
  const char *p0 = apRow[0], *p1 = nRow>1 ? apRow[1] : p0, *p2 = nRow>2 ? apRow[2] : p0, *p3 = nRow>3 ? apRow[3] : p0;
  const float *q0 = pQuery, *q1 = nQuery>1 ? q0+n : q0, *q2 = nQuery>2 ? q1+n : q0, *q3 = nQuery>3 ? q2+n : q0;
  const __mmask8 m = (__mmask8)((1u<<nQuery) - 1);
  Zmm4 q, s0, s1, s2, s3;
  size_t i = 0;
  q.a = q.b = q.c = q.d = _mm512_setzero_ps();
  s0 = s1 = s2 = s3 = q;
  for(; n-i>=16; i+=16){
    q.a = _mm512_loadu_ps(q0 + i);
    q.b = _mm512_loadu_ps(q1 + i);
    q.c = _mm512_loadu_ps(q2 + i);
    q.d = _mm512_loadu_ps(q3 + i);
    s0 = zmmByFour(s0, _mm512_loadu_ps(p0 + 4*i), q);
    s1 = zmmByFour(s1, _mm512_loadu_ps(p1 + 4*i), q);
    s2 = zmmByFour(s2, _mm512_loadu_ps(p2 + 4*i), q);
    s3 = zmmByFour(s3, _mm512_loadu_ps(p3 + 4*i), q);
  }
  if( i<n ){
    const __mmask16 k = zmmMask(n-i);
    q.a = _mm512_maskz_loadu_ps(k, q0 + i);
    q.b = _mm512_maskz_loadu_ps(k, q1 + i);
    q.c = _mm512_maskz_loadu_ps(k, q2 + i);
    q.d = _mm512_maskz_loadu_ps(k, q3 + i);
    s0 = zmmByFour(s0, _mm512_maskz_loadu_ps(k, p0 + 4*i), q);
    s1 = zmmByFour(s1, _mm512_maskz_loadu_ps(k, p1 + 4*i), q);
    s2 = zmmByFour(s2, _mm512_maskz_loadu_ps(k, p2 + 4*i), q);
    s3 = zmmByFour(s3, _mm512_maskz_loadu_ps(k, p3 + 4*i), q);
  }
  _mm_mask_storeu_ps(pOut, m, zmmFour(s0.a, s0.b, s0.c, s0.d));
  if( nRow>1 ) _mm_mask_storeu_ps(pOut + nOut, m, zmmFour(s1.a, s1.b, s1.c, s1.d));
  if( nRow>2 ) _mm_mask_storeu_ps(pOut + 2*nOut, m, zmmFour(s2.a, s2.b, s2.c, s2.d));
  if( nRow>3 ) _mm_mask_storeu_ps(pOut + 3*nOut, m, zmmFour(s3.a, s3.b, s3.c, s3.d));
}

/* Four rows with one query, which is loaded once for them. */
static AVX512 void zmmFourByOne(const void *const *apRow, const float *pQuery, size_t n, float *pOut){
  Zmm2 s0 = zmmZero(), s1 = s0, s2 = s0, s3 = s0;
  size_t i;
  for(i=0; i<n; i+=32){
    Zmm2 q = zmmLoad(KERN_F32, pQuery, i, n-i);
    s0 = zmmProduct(s0, zmmLoad(KERN_F32, apRow[0], i, n-i), q);
    s1 = zmmProduct(s1, zmmLoad(KERN_F32, apRow[1], i, n-i), q);
    s2 = zmmProduct(s2, zmmLoad(KERN_F32, apRow[2], i, n-i), q);
    s3 = zmmProduct(s3, zmmLoad(KERN_F32, apRow[3], i, n-i), q);
  }
  _mm_storeu_ps(pOut, zmmFour(_mm512_add_ps(s0.a, s0.b), _mm512_add_ps(s1.a, s1.b), _mm512_add_ps(s2.a, s2.b),
                              _mm512_add_ps(s3.a, s3.b)));
}

static AVX512 void zmmDotsF32(const void *const *apRow, size_t nRow, const float *pPacked, size_t nQuery, size_t n,
                              float *pOut){
  static void (*const axPanel[])(const ZmmPanel*) = {zmmPanel1, zmmPanel2, zmmPanel3, zmmPanel4};
  static const size_t aRows[] = {12, 12, 8, 6};
  size_t iChunk, iRow, iEnd, iQuery, nVec, nRows;
  ZmmPanel p;
  if( nQuery==1 ){
    for(iRow=0; nRow-iRow>=4; iRow+=4){
      if( nRow-iRow>4 ) kernFetch(&apRow[iRow+4], nRow-iRow<8 ? nRow-iRow-4 : 4, 0, n);
      zmmFourByOne(&apRow[iRow], pPacked, n, &pOut[iRow]);
    }
    for(; iRow<nRow; iRow++) pOut[iRow] = zmmDotF32(apRow[iRow], pPacked, n);
    return;
  }
  if( nQuery<=KERN_UNPACKED ){
    for(iRow=0; iRow<nRow; iRow+=4){
      if( nRow-iRow>4 ) kernFetch(&apRow[iRow+4], nRow-iRow<8 ? nRow-iRow-4 : 4, 0, n);
      for(iQuery=0; iQuery<nQuery; iQuery+=4){
        zmmFourRows(&apRow[iRow], nRow-iRow, &pPacked[iQuery*n], nQuery-iQuery<4 ? nQuery-iQuery : 4, n,
                    &pOut[iRow*nQuery + iQuery], nQuery);
      }
    }
    return;
  }
  memset(pOut, 0, nRow*nQuery*sizeof(float));
  p.nOut = nQuery;
  for(iChunk=0; iChunk<nRow; iChunk=iEnd){
    iEnd = nRow-iChunk<KERN_CHUNK ? nRow : iChunk+KERN_CHUNK;
    for(p.i=0; p.i<n; p.i+=LSC_RUN){
      p.n = n-p.i<LSC_RUN ? n-p.i : LSC_RUN;
      for(iQuery=0; iQuery<nQuery; iQuery+=nVec*LSC_LANES){
        nVec = kernPanel(4, (nQuery - iQuery + LSC_LANES - 1)/LSC_LANES);
        nRows = aRows[nVec-1];
        p.m = zmmMask(nQuery - iQuery - (nVec-1)*LSC_LANES);
        p.q = &pPacked[iQuery*n + p.i*nVec*LSC_LANES];
        for(iRow=iChunk; iRow<iEnd; iRow+=nRows){
          p.apRow = &apRow[iRow];
          p.nRow = iEnd-iRow<nRows ? iEnd-iRow : nRows;
          p.pOut = &pOut[iRow*nQuery + iQuery];
          if( iQuery==0 && iEnd-iRow>=2*nRows ) kernFetch(&apRow[iRow+nRows], nRows, p.i, p.n);
          axPanel[nVec-1](&p);
        }
      }
    }
  }
}

/* Four rows at a time. Hardware foresees rows that lie side by side: to ask for them costs more than it gives. */
static AVX512 void zmmDotRowsF32(const void *pRow, size_t nStride, size_t nRow, const float *pQuery, size_t n, float *pOut){
  const char *p = pRow;
  size_t iRow, i;
  for(iRow=0; nRow-iRow>=4; iRow+=4, p+=4*nStride){
    Zmm2 s0 = zmmZero(), s1 = s0, s2 = s0, s3 = s0, q;
    for(i=0; n-i>=32; i+=32){
      q = zmmLoad(KERN_F32, pQuery, i, 32);
      s0 = zmmProduct(s0, zmmLoad(KERN_F32, p, i, 32), q);
      s1 = zmmProduct(s1, zmmLoad(KERN_F32, p + nStride, i, 32), q);
      s2 = zmmProduct(s2, zmmLoad(KERN_F32, p + 2*nStride, i, 32), q);
      s3 = zmmProduct(s3, zmmLoad(KERN_F32, p + 3*nStride, i, 32), q);
    }
    if( i<n ){
      q = zmmLoad(KERN_F32, pQuery, i, n-i);
      s0 = zmmProduct(s0, zmmLoad(KERN_F32, p, i, n-i), q);
      s1 = zmmProduct(s1, zmmLoad(KERN_F32, p + nStride, i, n-i), q);
      s2 = zmmProduct(s2, zmmLoad(KERN_F32, p + 2*nStride, i, n-i), q);
      s3 = zmmProduct(s3, zmmLoad(KERN_F32, p + 3*nStride, i, n-i), q);
    }
    _mm_storeu_ps(&pOut[iRow], zmmFour(_mm512_add_ps(s0.a, s0.b), _mm512_add_ps(s1.a, s1.b), _mm512_add_ps(s2.a, s2.b),
                                       _mm512_add_ps(s3.a, s3.b)));
  }
  for(; iRow<nRow; iRow++, p+=nStride) pOut[iRow] = zmmDotF32(p, pQuery, n);
}

/* With one operand signed, from which 128 is taken that the row's sum gives back. */
static AVX512B void zmmDotRowsU8(const void *pRow, size_t nStride, size_t nRow, const void *pQuery, size_t n, uint32_t *pOut){
  const __m512i half = _mm512_set1_epi8(-128), one = _mm512_set1_epi8(1);
  const char *p = pRow, *q = pQuery;
  size_t iRow, i;
  for(iRow=0; iRow<nRow; iRow++, p+=nStride){
    __m512i s = _mm512_setzero_si512(), t = s;
    for(i=0; i<n; i+=64){
      __m512i x = zmmBytes(p + i, n-i<64 ? n-i : 64);
      __m512i y = zmmBytes(q + i, n-i<64 ? n-i : 64);
      s = _mm512_dpbusd_epi32(s, x, _mm512_xor_si512(y, half));
      t = _mm512_dpbusd_epi32(t, x, one);
    }
    s = _mm512_add_epi32(s, _mm512_slli_epi32(t, 7));
    pOut[iRow] = avx2TotalU32(_mm256_add_epi32(_mm512_castsi512_si256(s), _mm512_extracti64x4_epi64(s, 1)));
  }
}

static AVX512B void zmmHammingRows(const void *pRow, size_t nStride, size_t nRow, const void *pQuery, size_t n, uint32_t *pOut){
  size_t i;
  if( n<64 ) avx2HammingRows(pRow, nStride, nRow, pQuery, n, pOut);
  for(i=0; n>=64 && i<nRow; i++) pOut[i] = (uint32_t)zmmHamming((const char*)pRow + i*nStride, pQuery, n);
}

static const LscKernels kernAvx512 = {
  "avx512",
  zmmCosF32, zmmDotF32, zmmL2F32, zmmCosF64, zmmDotF64, zmmL2F64,
  zmmCosF16, zmmDotF16, zmmL2F16, zmmCosFB16, zmmDotFB16, zmmL2FB16,
  avx2SumsU8, avx2Hamming, zmmWidenF16, zmmWidenFB16, zmmPackQueries, zmmDotsF32,
  zmmDotRowsF32, avx2DotRowsU8, avx2HammingRows,
};

static const LscKernels kernAvx512Bytes = {     /* with VNNI and VPOPCNTDQ */
  "avx512",
  zmmCosF32, zmmDotF32, zmmL2F32, zmmCosF64, zmmDotF64, zmmL2F64,
  zmmCosF16, zmmDotF16, zmmL2F16, zmmCosFB16, zmmDotFB16, zmmL2FB16,
  zmmSumsU8, zmmHamming, zmmWidenF16, zmmWidenFB16, zmmPackQueries, zmmDotsF32,
  zmmDotRowsF32, zmmDotRowsU8, zmmHammingRows,
};
#endif
