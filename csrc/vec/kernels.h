/*
** kernels.h: the inner loops of distances between vectors, for each instruction set one table of functions. No SQLite
** here: a C program can include these files alone (in the order of engine.c).
**
** Elements are little-endian, as in blobs; pointers to them need no alignment, n counts elements. The functions are
** pure, call from any thread, allocate nothing and read nothing behind the last element.
**
** Exactness. A sum of floats x[0] + x[1] + ... is right up to (n/8 + 12) * 2^-24 * (|x[0]| + |x[1]| + ...), one of
** doubles up to as much with 2^-53: at least eight running sums share the work. Those of xDotsF32 may instead be right
** up to (min(n,LSC_RUN) + n/LSC_RUN + 2) * 2^-24: LSC_RUN elements at a time, with one sum. Tables differ within that.
** Elements are widened exactly, denormals count as what they are; a NaN or an infinity comes through as plain addition
** in some order would have it. Sums of integers are exact.
*/
#ifndef LSC_KERNELS_H
#define LSC_KERNELS_H

#include <stddef.h>
#include <stdint.h>

typedef struct LscKernels {
  const char *zName;                  /* "portable", "avx2", "avx512" or "neon" */
  /* Cos: a.b, a.a and b.b. L2: the sum of squared differences. F16: IEEE half; FB16: upper half of a float. */
  void (*xCosF32)(const void *a, const void *b, size_t n, float aSum[3]);
  float (*xDotF32)(const void *a, const void *b, size_t n);
  float (*xL2F32)(const void *a, const void *b, size_t n);
  void (*xCosF64)(const void *a, const void *b, size_t n, double aSum[3]);
  double (*xDotF64)(const void *a, const void *b, size_t n);
  double (*xL2F64)(const void *a, const void *b, size_t n);
  void (*xCosF16)(const void *a, const void *b, size_t n, float aSum[3]);
  float (*xDotF16)(const void *a, const void *b, size_t n);
  float (*xL2F16)(const void *a, const void *b, size_t n);
  void (*xCosFB16)(const void *a, const void *b, size_t n, float aSum[3]);
  float (*xDotFB16)(const void *a, const void *b, size_t n);
  float (*xL2FB16)(const void *a, const void *b, size_t n);
  /* Sums of a, b, a*a, b*b, a*b. */
  void (*xSumsU8)(const void *a, const void *b, size_t n, uint64_t aSum[5]);
  /* Bits that differ. */
  uint64_t (*xHamming)(const void *a, const void *b, size_t nByte);
  /* To float, exactly; NaNs of halves become 0x7fc00000 with their sign. */
  void (*xWidenF16)(const void *a, size_t n, float *pOut);
  void (*xWidenFB16)(const void *a, size_t n, float *pOut);
  /* Dot products of many rows with many queries: pOut[iRow*nQuery + iQuery]. The queries, one after the other, are
  ** first packed into lsc_packed_size() bytes, for the xDotsF32 of the same table alone. */
  void (*xPackQueries)(const float *pQuery, size_t nQuery, size_t n, float *pPacked);
  void (*xDotsF32)(const void *const *apRow, size_t nRow, const float *pPacked, size_t nQuery, size_t n, float *pOut);
  /* Dot products of one query with rows that lie nStride bytes apart. */
  void (*xDotRowsF32)(const void *pRow, size_t nStride, size_t nRow, const float *pQuery, size_t n, float *pOut);
  /* Sums of a*b of bytes, and bits that differ, likewise; up to 65536 bytes each. */
  void (*xDotRowsU8)(const void *pRow, size_t nStride, size_t nRow, const void *pQuery, size_t n, uint32_t *pOut);
  void (*xHammingRows)(const void *pRow, size_t nStride, size_t nRow, const void *pQuery, size_t nByte, uint32_t *pOut);
} LscKernels;

/* The best table that this processor can run, or the one that LIBSQL_CORE_SIMD names if it can; read once. */
static const LscKernels *lsc_kernels(void);

/* NULL if the processor cannot run it. */
static const LscKernels *lsc_kernels_named(const char *zName);

enum { LSC_LANES = 16, LSC_RUN = 256 };   /* queries are packed in groups of 16; xDotsF32 takes 256 elements a time */

/* SIZE_MAX if that is more than memory holds. */
static inline size_t lsc_packed_size(size_t nQuery, size_t n){
  if( nQuery>SIZE_MAX-LSC_LANES ) return SIZE_MAX;
  nQuery = (nQuery + LSC_LANES - 1)/LSC_LANES*LSC_LANES;
  if( n && nQuery>SIZE_MAX/sizeof(float)/n ) return SIZE_MAX;
  return nQuery*n*sizeof(float);
}

/* What the parts share. Wide instructions are switched on function by function: the unit has baseline flags. clang-cl
** declares the intrinsics only under wider flags, so it gets the portable table. */
#if defined(_MSC_VER) && !defined(__clang__)
# define LSC_TARGET(zFeatures)
# define LSC_INLINE static __forceinline
#elif defined(__GNUC__)
# define LSC_TARGET(zFeatures) __attribute__((target(zFeatures)))
# define LSC_INLINE static inline __attribute__((always_inline))
#else
# define LSC_INLINE static inline
#endif
#ifdef LSC_TARGET
# if !defined(_MSC_VER) && (defined(__x86_64__) || defined(__i386__)) || defined(_M_X64) && !defined(_M_ARM64EC)
#  define LSC_X86 1
# elif !defined(_MSC_VER) && defined(__aarch64__) && !defined(__AARCH64EB__)
#  define LSC_NEON 1
# endif
#endif
#if defined(LSC_X86) || defined(LSC_NEON)
# define LSC_TABLES 1
#endif

enum { KERN_F32, KERN_F16, KERN_FB16 };   /* how a loop over floats finds its elements; known when it is compiled */

#endif
