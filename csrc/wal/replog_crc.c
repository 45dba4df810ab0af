/*
** replog_crc.c: checksums of frames. Included by engine.c.
**
** CRC-64 with the polynomial 0x1B, reflected, inverted at the end only. What it begins with is the checksum before with
** its bits in reverse order. Eight bytes a step: table k tells what a byte does that k more bytes follow.
*/
static u64 repTable[8][256];
static int repTableReady = 0;       /* atomic */
#define REP_POLYNOMIAL 0xD800000000000000ULL

static u64 repReverse(u64 v){
  v = ((v>>1) & 0x5555555555555555ULL) | ((v & 0x5555555555555555ULL)<<1);
  v = ((v>>2) & 0x3333333333333333ULL) | ((v & 0x3333333333333333ULL)<<2);
  v = ((v>>4) & 0x0F0F0F0F0F0F0F0FULL) | ((v & 0x0F0F0F0F0F0F0F0FULL)<<4);
  v = ((v>>8) & 0x00FF00FF00FF00FFULL) | ((v & 0x00FF00FF00FF00FFULL)<<8);
  v = ((v>>16) & 0x0000FFFF0000FFFFULL) | ((v & 0x0000FFFF0000FFFFULL)<<16);
  return (v>>32) | (v<<32);
}

static u64 repGet8(const u8 *a){
  u64 v;
  memcpy(&v, a, 8);
#if SQLITE_BYTEORDER==4321
  v = (u64)a[0] | (u64)a[1]<<8 | (u64)a[2]<<16 | (u64)a[3]<<24 | (u64)a[4]<<32 | (u64)a[5]<<40 | (u64)a[6]<<48
    | (u64)a[7]<<56;
#endif
  return v;
}
static u32 repGet4(const u8 *a){ return (u32)a[0] | (u32)a[1]<<8 | (u32)a[2]<<16 | (u32)a[3]<<24; }
static void repPut4(u8 *a, u32 v){
  a[0] = (u8)v;
  a[1] = (u8)(v>>8);
  a[2] = (u8)(v>>16);
  a[3] = (u8)(v>>24);
}
static void repPut8(u8 *a, u64 v){
  repPut4(a, (u32)v);
  repPut4(a+4, (u32)(v>>32));
}

/* The register behind n bytes. */
static u64 repCrcPortable(u64 c, const u8 *a, i64 n){
  for(; n>=8; n-=8, a+=8){
    c ^= repGet8(a);
    c = repTable[7][c&0xff] ^ repTable[6][(c>>8)&0xff] ^ repTable[5][(c>>16)&0xff] ^ repTable[4][(c>>24)&0xff]
      ^ repTable[3][(c>>32)&0xff] ^ repTable[2][(c>>40)&0xff] ^ repTable[1][(c>>48)&0xff] ^ repTable[0][c>>56];
  }
  for(; n>0; n--, a++) c = repTable[0][(c^*a)&0xff] ^ (c>>8);
  return c;
}

/* replog_clmul.c, when this processor can: n is a multiple of 64. */
static u64 (*repCrcBlocks)(u64 c, const u8 *a, i64 n) = repCrcPortable;

static u64 repChecksum(u64 before, const u8 *a, i64 n){
  i64 nBlock = n & ~(i64)63;
  return ~repCrcPortable(repCrcBlocks(repReverse(before), a, nBlock), a+nBlock, n-nBlock);
}
