/*
** text.c: vectors read from text, "[1, 2.5, -3e-4]", and written as text. Included by engine.c.
**
** White space is dropped everywhere, also inside a number. Almost every number takes the short way, which gives the
** value that SQLite's conversion would: a mantissa and a power of ten that are both exact as doubles need one correctly
** rounded operation; and where a float32 is wanted a few units of a double are of no account unless they lie beside the
** middle of two float32. The rest is SQLite's.
*/
#include <float.h>

#define LSC_MAX_ELEMENT 1025        /* bytes of an element's text */
#define LSC_ELEMENT_OUT 14          /* bytes that the text of an element takes at most, with its comma */

static const double lscPow10[] = {
  1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
  1e21, 1e22
};

static int lscAtoF(const char *z, double *pr){
#if SQLITE_VERSION_NUMBER>=3052000
  return sqlite3AtoF(z, pr)>0;
#else
  return sqlite3AtoF(z, pr, sqlite3Strlen30(z), SQLITE_UTF8)>0;
#endif
}

/* s * 10^d, if that is exact enough for a float64, or for a float32; 0 if not. */
static int lscDecimal(u64 s, int d, int type, double *pr){
  u64 bits;
  double r;
  if( s==0 ){
    *pr = 0.0;
    return 1;
  }
  if( d<-22 || d>22 ) return 0;
  r = d<0 ? (double)s/lscPow10[-d] : (double)s*lscPow10[d];
  *pr = r;
  if( s<=((u64)1<<53) ) return 1;
  if( type==LSC_F64 || r>1e38 ) return 0;
  memcpy(&bits, &r, 8);
  bits &= 0x1fffffff;
  return bits<0x0ffffff0 || bits>0x10000010;
}

/* Reads a number of at most 19 digits with its ',' or ']' behind it. Its length up to that, or 0 for anything else. */
static int lscPlainNumber(const char *zIn, int type, double *pr){
  const char *z = zIn, *zDigits, *zPoint = 0;
  u64 s = 0;
  unsigned v;
  int neg, d = 0, nDigit;
  while( *z==' ' ) z++;
  neg = *z=='-';
  z += neg;
  for(zDigits=z; (v = (unsigned)(*z-'0'))<10; z++) s = s*10 + v;
  nDigit = (int)(z - zDigits);
  if( *z=='.' ){
    for(zPoint=++z; (v = (unsigned)(*z-'0'))<10; z++) s = s*10 + v;
    d = (int)(zPoint - z);
    nDigit -= d;
  }
  if( nDigit==0 || z - zDigits>20 ) return 0;
  if( (*z|0x20)=='e' ){
    int negExp, e = 0;
    z++;
    negExp = *z=='-';
    z += negExp || *z=='+';
    for(zPoint=z; z - zPoint<4 && (v = (unsigned)(*z-'0'))<10; z++) e = e*10 + (int)v;
    if( z==zPoint ) return 0;
    d += negExp ? -e : e;
  }
  if( (*z!=',' && *z!=']') || nDigit>19 || !lscDecimal(s, d, type, pr) ) return 0;
  if( neg ) *pr = -*pr;
  return (int)(z - zIn);
}

/* The same for any number: *pi is where its text begins in z, and behind where it ends. *pEmpty if it has no text. */
static int lscAnyNumber(const char *z, i64 *pi, u32 iElement, double *pr, int *pEmpty, char **pzErr){
  char zText[LSC_MAX_ELEMENT+1];
  i64 i;
  int n = 0;
  for(i=*pi; z[i]!=0 && z[i]!=',' && z[i]!=']'; i++){
    if( sqlite3Isspace(z[i]) ) continue;
    if( n==LSC_MAX_ELEMENT ){
      return lscError(pzErr, "vector: float string length exceeded 1024 characters: '%.*s'", n, zText);
    }
    zText[n++] = z[i];
  }
  if( z[i]==0 ) return lscError(pzErr, "vector: must end with ']'");
  zText[n] = 0;
  *pi = i;
  *pEmpty = n==0 && iElement==0 && z[i]==']';
  if( !*pEmpty && !lscAtoF(zText, pr) ){
    return lscError(pzErr, "vector: invalid float at position %u: '%s'", iElement, zText);
  }
  return SQLITE_OK;
}

/* Makes room for one more element; a stores the new place. */
static int lscGrow(void **pa, u32 n, u32 *pnAlloc, int size){
  void *aNew;
  u32 nNew;
  if( n<*pnAlloc ) return SQLITE_OK;
  nNew = *pnAlloc*2;
  aNew = sqlite3_realloc64(*pa, (u64)nNew*size + 3);
  if( aNew==0 ) return SQLITE_NOMEM_BKPT;
  *pa = aNew;
  *pnAlloc = nNew;
  return SQLITE_OK;
}

/* Reads the elements behind the '[' into *pa; *pi is behind the ']' then. */
static int lscReadElements(int type, const char *z, i64 *pi, void **pa, u32 *pn, u32 nAlloc, char **pzErr){
  int rc = SQLITE_OK, size = type==LSC_F64 ? 8 : 4, empty = 0;
  i64 i = *pi;
  for(;; i++){
    double r = 0.0;
    int nText = lscPlainNumber(&z[i], type, &r);
    if( nText ){
      i += nText;
    }else{
      rc = lscAnyNumber(z, &i, *pn, &r, &empty, pzErr);
      if( rc!=SQLITE_OK || empty ) break;
    }
    if( *pn==LSC_MAX_DIMS ){
      rc = lscError(pzErr, "vector: max size exceeded %d", LSC_MAX_DIMS);
      break;
    }
    rc = lscGrow(pa, *pn, &nAlloc, size);
    if( rc!=SQLITE_OK ) break;
    if( size==8 ){
      ((double*)*pa)[*pn] = r;
    }else{
      ((float*)*pa)[*pn] = (float)r;
    }
    ++*pn;
    if( z[i]==']' ) break;
  }
  *pi = i + 1;
  return rc;
}

static int lscVectorFromText(LscVector *p, int type, const char *z, i64 n, char **pzErr){
  LscVector read;
  int rc;
  i64 i = 0;
  u32 nAlloc = n<64 ? 16 : n<LSC_MAX_DIMS*8 ? (u32)n/8 : LSC_MAX_DIMS;
  memset(&read, 0, sizeof(read));
  while( sqlite3Isspace(z[i]) ) i++;
  if( z[i++]!='[' ) return lscError(pzErr, "vector: must start with '['");
  rc = lscVectorAlloc(&read, type==LSC_F64 ? LSC_F64 : LSC_F32, nAlloc);
  if( rc!=SQLITE_OK ) goto out;
  read.n = 0;
  rc = lscReadElements(read.type, z, &i, &read.pOwned, &read.n, nAlloc, pzErr);
  if( rc!=SQLITE_OK ) goto out;
  read.pData = read.pOwned;
  while( sqlite3Isspace(z[i]) ) i++;
  if( z[i]!=0 ){
    rc = lscError(pzErr, "vector: non-space symbols after closing ']' are forbidden");
  }else if( type==read.type ){
    *p = read;
    read.pOwned = 0;
  }else{
    rc = lscVectorConvert(p, type, &read);
  }
out:
  lscVectorFree(&read);
  return rc;
}

/* x = v * 10^(e-5) rounded to six digits, half away from zero. x is positive and finite. */
static u32 lscSixDigits(double x, int *pe){
  char zBuf[64];
  int e = 0, i, n;
  u32 v = 0;
  if( x>=1e-16 && x<1e22 ){
    double y;
    u64 bits;
    memcpy(&bits, &x, 8);
    e = ((int)(bits>>52) - 1023)*1233>>12;            /* log10(x), or one less */
    for(i=0; i<3; i++){
      y = e<=5 ? x*lscPow10[5-e] : x/lscPow10[e-5];
      if( y>=1e6 ) e++;
      else if( y<1e5 ) e--;
      else break;
    }
    v = (u32)y;
    y -= v;
    if( i<3 && (y<0.499999 || y>0.500001) ){
      *pe = e;
      return v + (y>0.5);
    }
    v = 0;
  }
  /* Beside the middle of two results, or out of range. The C library's digits are exact; its point depends on the
  ** locale. */
  snprintf(zBuf, sizeof(zBuf), "%.24e", x);
  for(i=n=0; zBuf[i]!='e'; i++){
    if( zBuf[i]<'0' || zBuf[i]>'9' || n>6 ) continue;
    if( n++<6 ) v = v*10 + (u32)(zBuf[i] - '0');
    else v += zBuf[i]>='5';
  }
  *pe = atoi(&zBuf[i+1]);
  return v;
}

/* The text of an element; its length. */
static int lscElementText(double x, char *z){
  char zDigits[8];
  int e, i, nDigit, n = 0;
  u32 v;
  if( x!=x ) return (int)strlen(strcpy(z, "NaN"));
  if( x==0.0 ){
    z[0] = '0';
    return 1;
  }
  if( x<0.0 ){
    z[n++] = '-';
    x = -x;
  }
  if( x>DBL_MAX ) return n + (int)strlen(strcpy(&z[n], "Inf"));
  v = lscSixDigits(x, &e);
  if( v==1000000 ){
    v = 100000;
    e++;
  }
  for(i=5; i>=0; i--, v/=10) zDigits[i] = (char)('0' + v%10);
  for(nDigit=6; nDigit>1 && zDigits[nDigit-1]=='0'; nDigit--){}
  if( e<-4 || e>5 ){
    z[n++] = zDigits[0];
    if( nDigit>1 ) z[n++] = '.';
    for(i=1; i<nDigit; i++) z[n++] = zDigits[i];
    z[n++] = 'e';
    z[n++] = e<0 ? '-' : '+';
    if( e<0 ) e = -e;
    if( e>99 ) z[n++] = (char)('0' + e/100);
    z[n++] = (char)('0' + e/10%10);
    z[n++] = (char)('0' + e%10);
  }else{
    if( e<0 ){
      z[n++] = '0';
      z[n++] = '.';
      for(i=e; i<-1; i++) z[n++] = '0';
    }
    for(i=0; i<nDigit || i<=e; i++){
      if( e>=0 && i==e+1 ) z[n++] = '.';
      z[n++] = zDigits[i];
    }
  }
  return n;
}

/* *pz is for sqlite3_free(). Elements that are not float64 are written as the float32 that they stand for. */
static int lscVectorToText(const LscVector *p, char **pz, i64 *pn){
  LscVector wide;
  const LscVector *pFrom = p;
  int rc = SQLITE_OK;
  char *z = 0;
  i64 n = 0;
  u32 i;
  memset(&wide, 0, sizeof(wide));
  if( p->type!=LSC_F32 && p->type!=LSC_F64 ){
    rc = lscVectorConvert(&wide, LSC_F32, p);
    if( rc!=SQLITE_OK ) goto out;
    pFrom = &wide;
  }
  z = sqlite3_malloc64((i64)p->n*LSC_ELEMENT_OUT + 2);
  if( z==0 ){
    rc = SQLITE_NOMEM_BKPT;
    goto out;
  }
  z[n++] = '[';
  for(i=0; i<p->n; i++){
    double x = pFrom->type==LSC_F64 ? lscLoadF64(pFrom->pData, i) : (double)lscLoadF32(pFrom->pData, i);
    if( i ) z[n++] = ',';
    n += lscElementText(x, &z[n]);
  }
  z[n++] = ']';
  *pz = z;
  *pn = n;
out:
  lscVectorFree(&wide);
  return rc;
}
