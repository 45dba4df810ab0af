/*
** replog_clmul.c: checksums of frames with the carry-less multiplication of x86-64. Included by engine.c, behind
** replog_crc.c.
**
** Four registers of 16 bytes go over the data, 64 bytes a step: a register times x^512 is added to what is 64 bytes
** further on. At the end they are one register, whose 16 bytes have the checksum that all the data has.
*/
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

static u64 repFold[4];                /* x^(512+63), x^511, x^(128+63), x^127, reflected */

#define REP_FOLD(r, k) \
  _mm_xor_si128(_mm_clmulepi64_si128(r, k, 0x00), _mm_clmulepi64_si128(r, k, 0x11))

__attribute__((target("pclmul,sse2")))
static u64 repCrcClmul(u64 c, const u8 *a, i64 n){
  const __m128i k4 = _mm_set_epi64x((i64)repFold[1], (i64)repFold[0]);
  const __m128i k1 = _mm_set_epi64x((i64)repFold[3], (i64)repFold[2]);
  __m128i r0, r1, r2, r3;
  u8 aEnd[16];
  if( n<64 ) return c;
  r0 = _mm_xor_si128(_mm_loadu_si128((const void*)a), _mm_cvtsi64_si128((i64)c));
  r1 = _mm_loadu_si128((const void*)(a+16));
  r2 = _mm_loadu_si128((const void*)(a+32));
  r3 = _mm_loadu_si128((const void*)(a+48));
  for(a+=64, n-=64; n>=64; a+=64, n-=64){
    r0 = _mm_xor_si128(REP_FOLD(r0, k4), _mm_loadu_si128((const void*)a));
    r1 = _mm_xor_si128(REP_FOLD(r1, k4), _mm_loadu_si128((const void*)(a+16)));
    r2 = _mm_xor_si128(REP_FOLD(r2, k4), _mm_loadu_si128((const void*)(a+32)));
    r3 = _mm_xor_si128(REP_FOLD(r3, k4), _mm_loadu_si128((const void*)(a+48)));
  }
  r1 = _mm_xor_si128(REP_FOLD(r0, k1), r1);
  r2 = _mm_xor_si128(REP_FOLD(r1, k1), r2);
  r3 = _mm_xor_si128(REP_FOLD(r2, k1), r3);
  _mm_storeu_si128((void*)aEnd, r3);
  return repCrcPortable(0, aEnd, 16);
}

static void repClmulInit(void){
  static const int aPower[4] = { 512+63, 511, 128+63, 127 };
  int i, k;
  if( !__builtin_cpu_supports("pclmul") ) return;
  for(i=0; i<4; i++){
    u64 v = (u64)1<<63;
    for(k=0; k<aPower[i]; k++) v = v&1 ? (v>>1) ^ REP_POLYNOMIAL : v>>1;
    repFold[i] = v;
  }
  repCrcBlocks = repCrcClmul;
}
#else
static void repClmulInit(void){}
#endif

static void repTableInit(void){
  sqlite3_mutex *mutex = sqlite3MutexAlloc(SQLITE_MUTEX_STATIC_MAIN);
  int i, k;
  if( AtomicLoad(&repTableReady) ) return;
  sqlite3_mutex_enter(mutex);
  for(i=0; i<256; i++){
    u64 c = (u64)i;
    for(k=0; k<8; k++) c = c&1 ? (c>>1) ^ REP_POLYNOMIAL : c>>1;
    repTable[0][i] = c;
  }
  for(i=0; i<256; i++){
    for(k=1; k<8; k++) repTable[k][i] = (repTable[k-1][i]>>8) ^ repTable[0][repTable[k-1][i]&0xff];
  }
  repClmulInit();
  AtomicStore(&repTableReady, 1);
  sqlite3_mutex_leave(mutex);
}

unsigned long long lsc_frame_checksum(unsigned long long before, const void *page, sqlite3_int64 n){
  repTableInit();
  return repChecksum(before, page, n);
}
