/*
** convert.c: vectors of one type made from those of another. Included by engine.c.
**
** Everything goes by way of float32, but for float64 into float32, float1bit and float8. The rules for each target are
** libSQL's, bit for bit: files written here and there hold the same bytes.
*/

static float lscLoadF32(const void *a, u32 i){
  float x;
  memcpy(&x, (const u8*)a + (size_t)i*4, 4);
  return x;
}

static double lscLoadF64(const void *a, u32 i){
  double x;
  memcpy(&x, (const u8*)a + (size_t)i*8, 8);
  return x;
}

static int lscBit(const void *a, u32 i){ return ((const u8*)a)[i/8]>>(i%8) & 1; }

/* To half, ties to even. A result below 2^-14 loses bits in a shift before it is rounded. */
static u16 lscToF16(float x){
  u32 u, sign, m;
  int e;
  memcpy(&u, &x, 4);
  sign = u>>16 & 0x8000;
  u &= 0x7fffffff;
  if( u>0x7f800000 ) return (u16)(sign | 0x7e00);
  if( u>=0x477ff000 ) return (u16)(sign | 0x7c00);          /* 65520 */
  e = (int)(u>>23) - 127;
  if( e>=-14 ){
    u -= (u32)112<<23;
    return (u16)(sign | (u + 0xfff + (u>>13 & 1))>>13);
  }
  if( e<-25 ) return (u16)sign;
  m = ((u & 0x7fffff) | 0x800000) >> (-e-14);
  return (u16)(sign | (m + 0xfff + (m>>13 & 1))>>13);
}

static void lscNarrowTo32(const double *pIn, u32 n, float *pOut){
  u32 i;
  for(i=0; i<n; i++) pOut[i] = (float)lscLoadF64(pIn, i);
}

/* The elements as float32. */
static void lscWiden(const LscVector *p, float *pOut){
  const u8 *a = p->pData;
  u32 i;
  switch( p->type ){
    case LSC_F32:   if( p->n ) memcpy(pOut, a, (size_t)p->n*4); break;
    case LSC_F64:   lscNarrowTo32(p->pData, p->n, pOut); break;
    case LSC_F1BIT: for(i=0; i<p->n; i++) pOut[i] = lscBit(a, i) ? 1.0f : -1.0f; break;
    case LSC_F8:    for(i=0; i<p->n; i++) pOut[i] = p->alpha*a[i] + p->shift; break;
    case LSC_F16:   lsc_kernels()->xWidenF16(a, p->n, pOut); break;
    case LSC_FB16:  lsc_kernels()->xWidenFB16(a, p->n, pOut); break;
  }
}

/* The least and the greatest element. In this form a NaN stands until the next element, and of zeros the last; of
** float64 they are found before they are rounded, and a NaN of float32 keeps its bits. */
static void lscRange(const float *aF, const void *aD, u32 n, float *pLo, float *pHi){
  double lo, hi;
  u32 i;
  *pLo = *pHi = n ? aF[0] : 0.0f;
  if( aD==0 ){
    for(i=1; i<n; i++){
      *pLo = *pLo<aF[i] ? *pLo : aF[i];
      *pHi = *pHi>aF[i] ? *pHi : aF[i];
    }
  }else if( n ){
    lo = hi = lscLoadF64(aD, 0);
    for(i=1; i<n; i++){
      double x = lscLoadF64(aD, i);
      lo = lo<x ? lo : x;
      hi = hi>x ? hi : x;
    }
    *pLo = (float)lo;
    *pHi = (float)hi;
  }
}

/* Scale, offset and bytes for n elements, from aF as float32, and the exact aD if they are float64. */
static void lscToF8(const float *aF, const void *aD, u32 n, u8 *pOut, float *pAlpha, float *pShift){
  float lo, hi, q;
  u32 i;
  lscRange(aF, aD, n, &lo, &hi);
  *pShift = lo;
  *pAlpha = (hi - lo)/255.0f;
  for(i=0; i<n; i++){
    if( aD ){
      q = (float)((lscLoadF64(aD, i) - (double)lo)/(double)*pAlpha);
    }else{
      q = (aF[i] - lo) / *pAlpha;
    }
    pOut[i] = q>255.0f ? 255 : q>0.0f ? (u8)(q + 0.5f) : 0;
  }
}

/* The data part of type for the elements aF; aD as for lscToF8(). */
static void lscStore(LscVector *pOut, const float *aF, const void *aD){
  u8 *a = pOut->pOwned;
  u32 i, u, n = pOut->n;
  switch( pOut->type ){
    case LSC_F1BIT:
      memset(a, 0, (n+7)/8);
      for(i=0; i<n; i++){
        if( aD ? lscLoadF64(aD, i)>0.0 : aF[i]>0.0f ) a[i/8] |= (u8)(1<<(i%8));
      }
      break;
    case LSC_F8:
      lscToF8(aF, aD, n, a, &pOut->alpha, &pOut->shift);
      memcpy(&a[lscVectorSize(LSC_F8, n) - 8], &pOut->alpha, 4);
      memcpy(&a[lscVectorSize(LSC_F8, n) - 4], &pOut->shift, 4);
      break;
    case LSC_F16:
      for(i=0; i<n; i++) ((u16*)a)[i] = lscToF16(aF[i]);
      break;
    case LSC_FB16:
      for(i=0; i<n; i++){
        memcpy(&u, &aF[i], 4);
        ((u16*)a)[i] = (u16)(u>>16);
      }
      break;
  }
}

static int lscVectorConvert(LscVector *pOut, int type, const LscVector *pIn){
  float *aWide = 0;
  int rc = lscVectorAlloc(pOut, type, pIn->n);
  u32 i;
  if( rc!=SQLITE_OK ) goto out;
  if( type==pIn->type ){
    if( pIn->n || type==LSC_F8 ) memcpy(pOut->pOwned, pIn->pData, lscVectorSize(type, pIn->n));
    if( type==LSC_F8 ) memset((u8*)pOut->pOwned + pIn->n, 0, lscVectorSize(type, pIn->n) - 8 - pIn->n);
    pOut->alpha = pIn->alpha;
    pOut->shift = pIn->shift;
    goto out;
  }
  if( type==LSC_F32 ){
    lscWiden(pIn, pOut->pOwned);
    goto out;
  }
  if( pIn->type!=LSC_F32 || ((uptr)pIn->pData & 3)!=0 ){
    aWide = sqlite3_malloc64((u64)pIn->n*4 + 1);
    if( aWide==0 ){
      rc = SQLITE_NOMEM_BKPT;
      goto out;
    }
    lscWiden(pIn, aWide);
  }
  if( type==LSC_F64 ){
    for(i=0; i<pIn->n; i++) ((double*)pOut->pOwned)[i] = (double)(aWide ? aWide : (const float*)pIn->pData)[i];
  }else{
    lscStore(pOut, aWide ? aWide : pIn->pData, pIn->type==LSC_F64 ? pIn->pData : 0);
  }
out:
  sqlite3_free(aWide);
  if( rc!=SQLITE_OK ) lscVectorFree(pOut);
  return rc;
}
