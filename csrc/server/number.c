/*
** number.c: numbers as JSON has them. Included by engine.c.
**
** A double becomes the shortest decimal that is read back as the same double, the nearest one if there are several:
** Raffaello Giulietti's "Schubfach". It needs the powers of ten from 1e-292 to 1e324 with 128 bits each, rounded up;
** they are computed when the first connection is opened and never change afterwards.
*/

#define SVR_POW_MIN (-292)
#define SVR_POW_MAX 324
#define SVR_BIG 40                /* words of a number of 1280 bits */

static struct { u64 hi, lo; } svrPow[SVR_POW_MAX-SVR_POW_MIN+1];
static int svrPowReady = 0;       /* guarded by the static main mutex */

/* The upper 128 bits of a number of SVR_BIG words, the lowest first; *pRest: whether bits were lost. */
static void svrTop(const u32 *a, u64 *pHi, u64 *pLo, int *pRest){
  u64 hi = 0, lo = 0;
  int i, bit, n = 0;
  for(i=SVR_BIG-1; i>0 && a[i]==0; i--){}
  for(bit=31; bit>0 && (a[i]>>bit)==0; bit--){}
  *pRest = 0;
  for(; i>=0; i--, bit=31){
    for(; bit>=0; bit--){
      u64 b = (a[i]>>bit) & 1;
      if( n<64 ) hi = hi<<1 | b;
      else if( n<128 ) lo = lo<<1 | b;
      else if( b ) *pRest = 1;
      n++;
    }
  }
  if( n<64 ){
    hi <<= 64-n;
  }else if( n>64 && n<128 ){
    lo <<= 128-n;
  }
  *pHi = hi;
  *pLo = lo;
}

static void svrPowSet(int k, const u32 *a, int rest){
  u64 hi, lo;
  int lost;
  svrTop(a, &hi, &lo, &lost);
  if( rest || lost ){
    lo++;
    if( lo==0 ) hi++;
  }
  svrPow[k-SVR_POW_MIN].hi = hi;
  svrPow[k-SVR_POW_MIN].lo = lo;
}

static void svrPowInit(void){
  sqlite3_mutex *mutex = sqlite3MutexAlloc(SQLITE_MUTEX_STATIC_MAIN);
  sqlite3_mutex_enter(mutex);
  if( !svrPowReady ){
    u32 a[SVR_BIG];
    int i, k;
    memset(a, 0, sizeof(a));
    a[0] = 1;
    for(k=0; k<=SVR_POW_MAX; k++){
      u64 carry = 0;
      svrPowSet(k, a, 0);
      for(i=0; i<SVR_BIG; i++){
        carry += (u64)a[i]*10;
        a[i] = (u32)carry;
        carry >>= 32;
      }
    }
    memset(a, 0, sizeof(a));
    a[SVR_BIG-1] = 0x80000000;
    for(k=-1; k>=SVR_POW_MIN; k--){
      u64 rest = 0;
      for(i=SVR_BIG-1; i>=0; i--){
        rest = rest<<32 | a[i];
        a[i] = (u32)(rest/10);
        rest %= 10;
      }
      svrPowSet(k, a, 1);
    }
    svrPowReady = 1;
  }
  sqlite3_mutex_leave(mutex);
}

static u64 svrMul(u64 a, u64 b, u64 *pHi){
#if defined(__SIZEOF_INT128__)
  unsigned __int128 r = (unsigned __int128)a*b;
  *pHi = (u64)(r>>64);
  return (u64)r;
#else
  u64 a0 = (u32)a, a1 = a>>32, b0 = (u32)b, b1 = b>>32;
  u64 low = a0*b0;
  u64 m1 = a1*b0 + (low>>32);
  u64 m2 = a0*b1 + (u32)m1;
  *pHi = a1*b1 + (m1>>32) + (m2>>32);
  return m2<<32 | (u32)low;
#endif
}

/* cp times 10^k, without its lower bits but for one that says whether any is set. */
static u64 svrRoundToOdd(int k, u64 cp){
  u64 hi = svrPow[k-SVR_POW_MIN].hi, lo = svrPow[k-SVR_POW_MIN].lo;
  u64 x, y0, y1;
  svrMul(lo, cp, &x);
  y0 = svrMul(hi, cp, &y1);
  y0 += x;
  if( y0<x ) y1++;
  return y1 | (y0>1);
}

/* The digits of a positive, finite r as a number, and the power of ten to multiply it with. */
static u64 svrShortest(double r, int *pExp){
  u64 bits, c, cb, vl, v, vr, s;
  int e, q, k, h, even, narrow;

  memcpy(&bits, &r, sizeof(bits));
  e = (int)(bits>>52);
  c = bits & (((u64)1<<52)-1);
  narrow = c==0 && e>1;           /* the double below is half as far as the one above */
  if( e==0 ){
    q = -1074;
  }else{
    c |= (u64)1<<52;
    q = e - 1075;
  }
  even = (c & 1)==0;
  /* Floors of log10(2^q), or of log10(3/4 2^q), and of log2(10^-k). */
  k = narrow ? (q*1262611 - 524031)>>22 : (q*1262611)>>22;
  h = q + ((-k*1741647)>>19) + 1;
  cb = 4*c;
  vl = svrRoundToOdd(-k, (cb - 2 + (u64)narrow)<<h);
  v = svrRoundToOdd(-k, cb<<h);
  vr = svrRoundToOdd(-k, (cb + 2)<<h);
  if( !even ){
    vl++;
    vr--;
  }
  s = v/4;
  *pExp = k;
  if( s>=10 ){
    u64 t = s/10;
    int down = vl<=40*t, up = 40*t+40<=vr;
    if( down!=up ){
      *pExp = k+1;
      return t + (u64)up;
    }
  }
  {
    int down = vl<=4*s, up = 4*s+4<=vr;
    if( down!=up ) return s + (u64)up;
  }
  return s + (v>4*s+2 || (v==4*s+2 && (s & 1)!=0));
}

static const char svrPairs[] =
  "000102030405060708091011121314151617181920212223242526272829303132333435363738394041424344454647484950515253545556"
  "57585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

/* Writes v in decimal and returns its length. */
static int svrDigits(u64 v, unsigned char *z){
  unsigned char a[20];
  int i = 20;
  while( v>=100 ){
    i -= 2;
    memcpy(&a[i], &svrPairs[v%100*2], 2);
    v /= 100;
  }
  if( v>=10 ){
    i -= 2;
    memcpy(&a[i], &svrPairs[v*2], 2);
  }else{
    a[--i] = (unsigned char)('0'+v);
  }
  memcpy(z, &a[i], (size_t)(20-i));
  return 20-i;
}

static int svrInteger(i64 v, unsigned char *z){
  if( v>=0 ) return svrDigits((u64)v, z);
  z[0] = '-';
  return 1 + svrDigits((u64)0-(u64)v, &z[1]);
}

/* Writes a finite double in at most 26 bytes, with a point or an exponent, and returns its length. */
static int svrReal(double r, unsigned char *z){
  static const double aTen[] = { 1.0, 10.0, 100.0, 1000.0 };
  unsigned char a[20];
  u64 m = 0;
  int exp = 0, n, point, i, out = 0;

  if( r<0 || (r==0 && 1/r<0) ){
    z[out++] = '-';
    r = -r;
  }
  if( r==0 ){
    memcpy(&z[out], "0.0", 3);
    return out+3;
  }
  if( r<1e15 ){
    /* A product below 10^15 is exact enough, and a quotient that gives r again proves the digits. */
    for(i=0; i<4 && m==0; i++){
      double t = r*aTen[i];
      if( t<1e15 ){
        u64 u = (u64)(t+0.5);
        if( (double)u/aTen[i]==r ){
          m = u;
          exp = -i;
        }
      }
    }
  }
  if( m==0 ) m = svrShortest(r, &exp);
  n = svrDigits(m, a);
  while( n>1 && a[n-1]=='0' ){
    n--;
    exp++;
  }
  point = n+exp;                  /* digits in front of the point */
  if( 0<point && point<=16 ){
    int whole = n<point ? n : point;
    memcpy(&z[out], a, (size_t)whole);
    out += whole;
    for(i=n; i<point; i++) z[out++] = '0';
    z[out++] = '.';
    if( n>point ){
      memcpy(&z[out], &a[point], (size_t)(n-point));
      out += n-point;
    }else{
      z[out++] = '0';
    }
  }else if( -5<point && point<=0 ){
    memcpy(&z[out], "0.00000", (size_t)(2-point));
    out += 2-point;
    memcpy(&z[out], a, (size_t)n);
    out += n;
  }else{
    z[out++] = a[0];
    if( n>1 ){
      z[out++] = '.';
      memcpy(&z[out], &a[1], (size_t)(n-1));
      out += n-1;
    }
    z[out++] = 'e';
    out += svrInteger(point-1, &z[out]);
  }
  return out;
}
