/*
** vector_kernels.c: loops over the kernels, for vector_kernels.py. A shared library; it neither allocates nor measures.
*/
#include "vec/kern_portable.c"
#include "vec/kern_avx2.c"
#include "vec/kern_avx512.c"
#include "vec/kern_dots512.c"
#include "vec/kern_neon.c"
#include "vec/kernels.c"

static volatile double sink;

const LscKernels *bench_table(const char *zName){ return lsc_kernels_named(zName); }

/* One kernel, by its name, for each of nRow rows of nByte bytes and the same second operand; nPass times. */
void bench_pairs(const LscKernels *p, const char *zKernel, const char *pRows, const char *b, size_t n, size_t nByte,
                size_t nRow, size_t nPass){
  static const char *const azKernel[] = {
    "cos f32", "dot f32", "l2 f32", "cos f64", "dot f64", "l2 f64", "cos f16", "dot f16", "l2 f16",
    "cos fb16", "dot fb16", "l2 fb16", "sums u8", "hamming", "widen f16", "widen fb16",
  };
  float s[3], aWide[4096];
  double d[3], total = 0;
  uint64_t u[5];
  int i = 0;
  size_t k;
  while( i<16 && strcmp(azKernel[i], zKernel) ) i++;
  if( i==16 || n>4096 ) abort();
  while( nPass-- ){
    for(k=0; k<nRow; k++){
      const char *a = pRows + k*nByte;
      switch( i ){
        case 0: p->xCosF32(a, b, n, s); total += s[0]; break;
        case 1: total += p->xDotF32(a, b, n); break;
        case 2: total += p->xL2F32(a, b, n); break;
        case 3: p->xCosF64(a, b, n, d); total += d[0]; break;
        case 4: total += p->xDotF64(a, b, n); break;
        case 5: total += p->xL2F64(a, b, n); break;
        case 6: p->xCosF16(a, b, n, s); total += s[0]; break;
        case 7: total += p->xDotF16(a, b, n); break;
        case 8: total += p->xL2F16(a, b, n); break;
        case 9: p->xCosFB16(a, b, n, s); total += s[0]; break;
        case 10: total += p->xDotFB16(a, b, n); break;
        case 11: total += p->xL2FB16(a, b, n); break;
        case 12: p->xSumsU8(a, b, n, u); total += (double)u[4]; break;
        case 13: total += (double)p->xHamming(a, b, nByte); break;
        case 14: p->xWidenF16(a, n, aWide); total += aWide[0]; break;
        default: p->xWidenFB16(a, n, aWide); total += aWide[0];
      }
    }
  }
  sink = total;
}

size_t bench_packed_size(size_t nQuery, size_t n){ return lsc_packed_size(nQuery, n); }

void bench_pack(const LscKernels *p, const float *pQuery, size_t nQuery, size_t n, float *pPacked){
  p->xPackQueries(pQuery, nQuery, n, pPacked);
}

void bench_dots(const LscKernels *p, const void *const *apRow, size_t nRow, const float *pPacked, size_t nQuery,
                size_t n, float *pOut){
  p->xDotsF32(apRow, nRow, pPacked, nQuery, n, pOut);
}
