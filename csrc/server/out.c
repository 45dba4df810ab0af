/*
** out.c: the bytes of a reply: a growing buffer, JSON strings, base64, protobuf's varints. Included by engine.c.
**
** Writers that add many small pieces ask for room once (svrRoom()) and then write at lsc_out.a+n. What a failed svrRoom()
** leaves is what was there before; lsc_out.rc says why.
*/

void lsc_out_free(lsc_out *o){
  sqlite3_free(o->a);
  memset(o, 0, sizeof(*o));
}

static SQLITE_NOINLINE int svrGrow(lsc_out *o, size_t n){
  size_t room = o->room<1024 ? 4096 : o->room*2;
  unsigned char *a;
  if( o->rc!=SQLITE_OK ) return 0;
  if( n>o->most || o->n>o->most-n ){
    o->rc = SQLITE_TOOBIG;
    return 0;
  }
  if( room-o->n<n ) room = o->n+n;
  a = sqlite3_realloc64(o->a, room);
  if( a==0 ){
    o->rc = SQLITE_NOMEM;
    return 0;
  }
  o->a = a;
  o->room = room;
  return 1;
}

/* Room for n bytes more. */
static SQLITE_INLINE int svrRoom(lsc_out *o, size_t n){
  return o->room-o->n>=n || svrGrow(o, n);
}

static void svrPut(lsc_out *o, const void *z, size_t n){
  if( n>0 && svrRoom(o, n) ){
    memcpy(&o->a[o->n], z, n);
    o->n += n;
  }
}

#define svrLit(o, z) svrPut(o, z, sizeof(z)-1)

static void svrPutInteger(lsc_out *o, i64 v){
  if( svrRoom(o, 20) ) o->n += (size_t)svrInteger(v, &o->a[o->n]);
}

/* Milliseconds with the digits of the microseconds that they need, one at least. */
static void svrPutMillis(lsc_out *o, i64 micros){
  int rest = (int)(micros%1000);
  svrPutInteger(o, micros/1000);
  if( svrRoom(o, 4) ){
    unsigned char *z = &o->a[o->n];
    z[0] = '.';
    z[1] = (unsigned char)('0' + rest/100);
    z[2] = (unsigned char)('0' + rest/10%10);
    z[3] = (unsigned char)('0' + rest%10);
    o->n += rest%10 ? 4 : rest%100 ? 3 : 2;
  }
}

/* The bytes of the UTF-8 character at z, whose first byte is above 0x7f and of which n bytes are there; or *pBad: how
** many of them can begin none, 0 if more would be needed. */
static int svrUtf8(const unsigned char *z, int n, int *pBad){
  unsigned c = z[0];
  int more, i;
  *pBad = 1;
  if( c<0xc2 || c>0xf4 ) return 0;
  more = c<0xe0 ? 1 : c<0xf0 ? 2 : 3;
  for(i=1; i<=more; i++){
    unsigned low = 0x80, high = 0xbf;
    if( i==1 ){
      if( c==0xe0 ) low = 0xa0;
      else if( c==0xed ) high = 0x9f;
      else if( c==0xf0 ) low = 0x90;
      else if( c==0xf4 ) high = 0x8f;
    }
    if( i>=n ){
      *pBad = 0;
      return 0;
    }
    if( z[i]<low || z[i]>high ){
      *pBad = i;
      return 0;
    }
  }
  return more+1;
}

/* Where a text stops being UTF-8, and as with svrUtf8() what is wrong there. n: nowhere. */
static int svrUtf8End(const unsigned char *z, int n, int *pBad){
  int i = 0;
  while( i<n ){
    if( z[i]<0x80 ){
      i++;
    }else{
      int size = svrUtf8(&z[i], n-i, pBad);
      if( size==0 ) break;
      i += size;
    }
  }
  return i;
}

/* Bytes that a JSON string holds as they are, eight at a time: not one is a control character, a quote, a backslash or
** above 0x7f. */
static SQLITE_INLINE int svrIsPlain8(const unsigned char *z){
  const u64 ones = 0x0101010101010101, high = ones*0x80;
  u64 w, quote, slash;
  memcpy(&w, z, 8);
  quote = w ^ ones*'"';
  slash = w ^ ones*'\\';
  return ((w | (w - ones*0x20) | (quote - ones) | (slash - ones)) & high)==0;
}

/* Writes a text between quotes. Returns how many of its bytes were UTF-8: fewer than n if it is none. */
static int svrPutText(lsc_out *o, const unsigned char *z, int n){
  static const char aHex[] = "0123456789abcdef";
  unsigned char *p;
  int i = 0;

  if( !svrRoom(o, (size_t)n+8) ) return n;
  p = &o->a[o->n];
  *p++ = '"';
  for(;;){
    unsigned c;
    int stop;
    while( n-i>=8 && svrIsPlain8(&z[i]) ){
      memcpy(p, &z[i], 8);
      p += 8;
      i += 8;
    }
    stop = n-i>8 ? i+8 : n;
    while( i<stop && (c = z[i])>=0x20 && c!='"' && c!='\\' && c<0x80 ){
      *p++ = (unsigned char)c;
      i++;
    }
    if( i==n ) break;
    if( i==stop ) continue;
    c = z[i];
    if( c>=0x80 ){
      int bad;
      int size = svrUtf8(&z[i], n-i, &bad);
      if( size==0 ) return i;
      memcpy(p, &z[i], (size_t)size);
      p += size;
      i += size;
    }else{
      static const char aShort[] = "uuuuuuuubtnufruuuuuuuuuuuuuuuuuu";
      /* Six bytes for one: the room for the rest is asked for again. */
      o->n = (size_t)(p - o->a);
      if( !svrRoom(o, (size_t)(n-i)+13) ) return n;
      p = &o->a[o->n];
      *p++ = '\\';
      *p++ = (unsigned char)(c>=0x20 ? c : (unsigned char)aShort[c]);
      if( c<0x20 && aShort[c]=='u' ){
        *p++ = '0';
        *p++ = '0';
        *p++ = (unsigned char)('0' + (c>>4));
        *p++ = (unsigned char)aHex[c & 15];
      }
      i++;
    }
  }
  *p++ = '"';
  o->n = (size_t)(p - o->a);
  return n;
}

/* Writes bytes in base64 without padding. */
static void svrPutBase64(lsc_out *o, const unsigned char *z, int n){
  static const char aCode[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  unsigned char *p;
  int i;
  if( !svrRoom(o, (size_t)n/3*4+4) ) return;
  p = &o->a[o->n];
  for(i=0; i+2<n; i+=3, p+=4){
    unsigned v = (unsigned)z[i]<<16 | (unsigned)z[i+1]<<8 | z[i+2];
    p[0] = (unsigned char)aCode[v>>18];
    p[1] = (unsigned char)aCode[v>>12 & 63];
    p[2] = (unsigned char)aCode[v>>6 & 63];
    p[3] = (unsigned char)aCode[v & 63];
  }
  if( i<n ){
    unsigned v = (unsigned)z[i]<<16 | (i+1<n ? (unsigned)z[i+1]<<8 : 0);
    *p++ = (unsigned char)aCode[v>>18];
    *p++ = (unsigned char)aCode[v>>12 & 63];
    if( i+1<n ) *p++ = (unsigned char)aCode[v>>6 & 63];
  }
  o->n = (size_t)(p - o->a);
}

static int svrSixBits(unsigned c){
  if( c>='A' && c<='Z' ) return (int)(c-'A');
  if( c>='a' && c<='z' ) return (int)(c-'a'+26);
  if( c>='0' && c<='9' ) return (int)(c-'0'+52);
  return c=='+' ? 62 : c=='/' ? 63 : -1;
}

int lsc_base64_decode(const char *z, int n, unsigned char *out){
  int i, done = 0, bits = 0;
  unsigned v = 0;
  if( n>0 && (n & 3)==0 && z[n-1]=='=' ) n -= z[n-2]=='=' ? 2 : 1;
  if( (n & 3)==1 ) return -1;
  for(i=0; i<n; i++){
    int six = svrSixBits((unsigned char)z[i]);
    if( six<0 ) return -1;
    v = v<<6 | (unsigned)six;
    bits += 6;
    if( bits>=8 ){
      bits -= 8;
      out[done++] = (unsigned char)(v>>bits);
      v &= (1u<<bits)-1;
    }
  }
  return v==0 ? done : -1;        /* the bits behind the last byte must be 0 */
}

/* Protobuf */

static SQLITE_INLINE int svrVarintSize(u64 v){
  int n = 1;
  while( v>=0x80 ){
    v >>= 7;
    n++;
  }
  return n;
}

/* Writes a varint at z and returns its end. */
static SQLITE_INLINE unsigned char *svrVarint(unsigned char *z, u64 v){
  while( v>=0x80 ){
    *z++ = (unsigned char)(v | 0x80);
    v >>= 7;
  }
  *z++ = (unsigned char)v;
  return z;
}

static SQLITE_INLINE u64 svrZigzag(i64 v){ return (u64)v<<1 ^ (u64)(v>>63); }

/* A field's number and wire type: 0 varint, 1 eight bytes, 2 with a length. */
#define svrTag(field, wire) ((unsigned char)((field)<<3 | (wire)))

static void svrField(lsc_out *o, int field, u64 v){
  if( svrRoom(o, 11) ){
    unsigned char *p = &o->a[o->n];
    *p++ = svrTag(field, 0);
    p = svrVarint(p, v);
    o->n = (size_t)(p - o->a);
  }
}

/* The start of a field of n bytes. */
static void svrFieldSize(lsc_out *o, int field, u64 n){
  if( svrRoom(o, 11) ){
    unsigned char *p = &o->a[o->n];
    *p++ = svrTag(field, 2);
    p = svrVarint(p, n);
    o->n = (size_t)(p - o->a);
  }
}

static void svrFieldBytes(lsc_out *o, int field, const void *z, size_t n){
  svrFieldSize(o, field, n);
  svrPut(o, z, n);
}

static unsigned char *svrDouble(unsigned char *z, double r){
  u64 v;
  int i;
  memcpy(&v, &r, sizeof(v));
  for(i=0; i<8; i++, v>>=8) *z++ = (unsigned char)v;
  return z;
}

static void svrFieldDouble(lsc_out *o, int field, double r){
  if( svrRoom(o, 9) ){
    unsigned char *p = &o->a[o->n];
    *p++ = svrTag(field, 1);
    svrDouble(p, r);
    o->n += 9;
  }
}
