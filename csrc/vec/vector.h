/*
** vector.h: what a vector value is, and what can be done with one.
**
** A value is a blob, or text such as '[1, 2.5]'. Its type is the last byte of a blob of odd length; one of even length
** is float32, and so is text. "Data part" is what the elements take, without the bytes behind them that name the type:
**
**   float32, float64    the elements                  nothing | 02
**   float1bit           bit i is bit i%8 of byte i/8  [00 if that many bytes are even] t 03; n = 8*(blob length-1) - t
**   float8              n bytes, 0..3 of padding, f32 alpha, f32 shift: alpha*byte + shift     00 pad 04
**   float16, floatb16   IEEE half | the upper half of a float32     05 | 06
**
** Numbers are little-endian. pData may lie anywhere; nothing here reads behind the blob that it came from.
*/
#ifndef LSC_VECTOR_H
#define LSC_VECTOR_H

#if SQLITE_BYTEORDER==4321
# error "vectors are read in place, which needs a little-endian processor"
#endif

#include "kernels.h"

enum { LSC_F32=1, LSC_F64=2, LSC_F1BIT=3, LSC_F8=4, LSC_F16=5, LSC_FB16=6 };
enum { LSC_COS=1, LSC_L2=2, LSC_DOT=3, LSC_HAMMING=4 };
#define LSC_MAX_DIMS 65536

typedef struct LscVector LscVector;
struct LscVector {
  int type;               /* LSC_F32 ... */
  u32 n;                  /* elements */
  const void *pData;      /* the data part; borrowed unless pOwned is set */
  float alpha, shift;     /* of LSC_F8 */
  void *pOwned;           /* where pData points to; for sqlite3_free() */
};

/* Functions that give an int: SQLITE_OK; SQLITE_NOMEM; or SQLITE_ERROR, and then *pzErr is a message for
** sqlite3_free(). *p must be zeroed before the first of them. What it then holds is the caller's to free, also after an
** error. */

/* text.c. z has a zero behind its n bytes, and ends at the first one; *pz is for sqlite3_free(). */
static int lscVectorFromText(LscVector *p, int type, const char *z, i64 n, char **pzErr);
static int lscVectorToText(const LscVector *p, char **pz, i64 *pn);

/* blob.c */
static const char *lscVectorTypeName(int type);
static i64 lscVectorSize(int type, u32 n);                  /* bytes of the data part */
static int lscVectorFromBlob(LscVector *p, const void *pBlob, i64 nBlob, char **pzErr);
static int lscVectorFromValue(LscVector *p, sqlite3_value *pValue, char **pzErr);
static int lscVectorAlloc(LscVector *p, int type, u32 n);   /* owned; the data part is not set, but for its padding */
static void lscVectorFree(LscVector *p);
static void lscVectorResult(sqlite3_context *ctx, LscVector *p);      /* as a blob; takes what *p owns */

/* The same in two steps: what the value says it is (n of a text is a guess), then its elements. */
static int lscVectorDetect(LscVector *p, sqlite3_value *pValue, char **pzErr);
static int lscVectorRead(LscVector *p, sqlite3_value *pValue, char **pzErr);

/* convert.c. The result is owned, also if the type is the same. */
static int lscVectorConvert(LscVector *pOut, int type, const LscVector *pIn);

/* functions.c. The distance as the SQL function gives it, a float32; NaN stands for NULL. Types and lengths are equal,
** and lscMetricFits(). */
static int lscMetricFits(int metric, int type);
static double lscVectorDistance(int metric, const LscVector *pA, const LscVector *pB);
static void lscVectorRegister(void);

/* more.c */
static void lscVectorRegisterMore(void);

#endif
