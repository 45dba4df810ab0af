/*
** kernels.c: which table of kernels runs here. Included by engine.c behind the kern_ files. The choice is made on first
** use; two threads that make it at once make the same one.
*/
#include <stdlib.h>
#include <string.h>
#include "kernels.h"

#ifdef LSC_X86
# ifdef _MSC_VER
#  include <intrin.h>
# else
#  include <cpuid.h>
# endif

typedef struct KernCpu { unsigned a, b, c, d; } KernCpu;

static KernCpu kernCpuid(unsigned leaf){
  KernCpu r = {0, 0, 0, 0};
#ifdef _MSC_VER
  int aReg[4];
  __cpuid(aReg, 0);
  if( (unsigned)aReg[0]<leaf ) return r;
  __cpuidex(aReg, (int)leaf, 0);
  r.a = (unsigned)aReg[0];
  r.b = (unsigned)aReg[1];
  r.c = (unsigned)aReg[2];
  r.d = (unsigned)aReg[3];
#else
  if( (unsigned)__get_cpuid_max(0, 0)<leaf ) return r;
  __cpuid_count(leaf, 0, r.a, r.b, r.c, r.d);
#endif
  return r;
}

/* The registers that the operating system saves: bits of XCR0. */
static unsigned kernSaved(void){
#ifdef _MSC_VER
  return (unsigned)_xgetbv(0);
#else
  unsigned a, d;
  __asm__ volatile(".byte 0x0f, 0x01, 0xd0" : "=a"(a), "=d"(d) : "c"(0));     /* xgetbv, for any assembler */
  return a;
#endif
}

static int kernHas(unsigned reg, unsigned bits){
  return (reg & bits)==bits;
}

enum { KERN_YMM = 0x06, KERN_ZMM = 0xe6 };    /* XCR0: with xmm; with the masks and both halves of the zmm file */
#endif

/* The tables that this processor can run, the best first, portable last; returns how many. */
static int kernAvailable(const LscKernels *aList[4]){
  int n = 0;
#ifdef LSC_X86
  KernCpu c1 = kernCpuid(1), c7 = kernCpuid(7);
  if( kernHas(c1.c, 1u<<12 | 1u<<27 | 1u<<28 | 1u<<29)                        /* FMA, OSXSAVE, AVX, F16C */
   && kernHas(kernSaved(), KERN_YMM) && kernHas(c7.b, 1u<<5) ){               /* AVX2 */
    if( kernHas(kernSaved(), KERN_ZMM) && kernHas(c7.b, 1u<<16 | 1u<<17 | 1u<<30 | 1u<<31) ){     /* F, DQ, BW, VL */
      aList[n++] = kernHas(c7.c, 1u<<11 | 1u<<14) ? &kernAvx512Bytes : &kernAvx512;              /* VNNI, VPOPCNTDQ */
    }
    aList[n++] = &kernAvx2;
  }
#endif
#ifdef LSC_NEON
  aList[n++] = &kernNeon;
#endif
  aList[n++] = &kernPortable;
  return n;
}

static const LscKernels *lsc_kernels_named(const char *zName){
  const LscKernels *aList[4];
  int i, n = kernAvailable(aList);
  for(i=0; i<n; i++){
    if( strcmp(aList[i]->zName, zName)==0 ) return aList[i];
  }
  return 0;
}

static const LscKernels *kernChoose(void){
  const char *zForced = getenv("LIBSQL_CORE_SIMD");
  const LscKernels *aList[4], *p = zForced ? lsc_kernels_named(zForced) : 0;
  kernAvailable(aList);
  return p ? p : aList[0];
}

static const LscKernels *lsc_kernels(void){
  static const LscKernels *pChosen;
  const LscKernels *p;
#ifdef __GNUC__
  p = __atomic_load_n(&pChosen, __ATOMIC_RELAXED);
  if( p==0 ) __atomic_store_n(&pChosen, p = kernChoose(), __ATOMIC_RELAXED);
#else
  p = *(const LscKernels *volatile*)&pChosen;
  if( p==0 ) *(const LscKernels *volatile*)&pChosen = p = kernChoose();
#endif
  return p;
}
