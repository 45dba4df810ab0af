/*
** codec.h: what the ciphers (cipher_*.c) and the code around the pager (pages.c, check.c, key.c, rekey.c) share.
**
** A codec belongs to one pager (Pager.pLscCodec) and is used under its locks. It holds the secret that it was given, the
** keys made of it once the file's salt is known, the contexts of libcrypto, and buffers of encoded pages. All of it is
** wiped when freed.
*/
#ifndef LSC_CODEC_H
#define LSC_CODEC_H

#define LSC_PAGE_MAX 65536
#define XAES_DECODERS 16                  /* a power of two, at most 32 */
#define LSC_SALT 16                       /* bytes in front of a file whose cipher has a salt */

typedef struct LscCipher LscCipher;
typedef struct LscKeys LscKeys;
typedef struct LscAhead LscAhead;

/* What is made of a secret and a salt. */
struct LscKeys {
  u8 aKey[32];
  u8 aMac[32];
  u8 aSalt[LSC_SALT];
};

struct LscCipher {
  const char *zName;
  u8 nReserve;                            /* bytes that it needs behind each page */
  u8 bSalted;                             /* the file begins with a salt */
  u8 bPlainSum;                           /* checksums of the journal are those of the plain page */
  u8 bMac;                                /* a changed page is noticed */
  int nRaw, nRawSalt;                     /* lengths of keys that are not passphrases, 0: there are none */
  /* A salt for a new file, at p->keys.aSalt; NULL: random bytes. */
  int (*xSalt)(LscCodec *p);
  /* The page size of a file that may begin with these bytes, of which there are at least 512; when the size is not to
  ** be seen, the iTry-th that it may have. 0: no more. */
  int (*xBegins)(LscCodec *p, const u8 *a, int iTry);
  /* Keys of p's secret and p->keys.aSalt. SQLITE_NOTADB: no key for that. */
  int (*xDerive)(LscCodec *p);
  /* Contexts for p->keys. */
  int (*xInit)(LscCodec *p);
  int (*xEncode)(LscCodec *p, Pgno pgno, const u8 *aPage, u8 *aOut, int n);
  /* In place. SQLITE_NOTADB: not encoded by this key. */
  int (*xDecode)(LscCodec *p, Pgno pgno, u8 *aPage, int n);
};

/* Decoded pages; kept.c. */
typedef struct LscKept LscKept;
struct LscKept {
  Pgno *aPgno;                            /* owned: which page is in each place, 0 for none; NULL until it is needed */
  u8 **apBlock;                           /* owned, and the blocks in it */
  u32 iMask;                              /* places - 1 */
  u32 iVersion;                           /* Pager.iDataVersion of all of them */
  int nPage;                              /* the page size */
  int nShift;                             /* 2^nShift pages are in a block */
};

/* Pages encoded together; bunch.c. */
#define LSC_BUNCH 64
typedef struct LscBunch LscBunch;
struct LscBunch {
  u8 *a;                                  /* owned: n pages, each with room for a frame's header in front */
  i64 nByte;
  PgHdr *apPg[LSC_BUNCH];                 /* which */
  int i, n;                               /* of pages for the file: the next, and how many there are */
  u8 bSpill;                              /* the cache gives up pages for room */
  LscCodec *pTwin;                        /* owned: the thread's */
};

struct LscCodec {
  const LscCipher *pCipher;               /* NULL: the file will tell */
  u8 *aSecret;                            /* owned */
  int nSecret;
  u8 bRaw;                                /* the secret is a key, not a passphrase */
  u8 bSalt;                               /* aSalt is the salt, not what the file begins with */
  u8 nClear;                              /* bytes of page 1 that are not encrypted, where the cipher knows that */
  u8 aSalt[LSC_SALT];
  u8 bKeys;                               /* keys are there */
  u8 bProven;                             /* they have opened page 1 */
  LscKeys keys;
  void *pEnc, *pDec, *pEcb, *pMd;         /* owned: contexts */
  void *pInner, *pOuter;                  /* owned: an HMAC after its key */
  void *pTempEnc, *pTempDec;              /* owned: for what only this pager reads again */
  u8 *aOut, *aRaw;                        /* owned: a page encoded, a page as a journal had it */
  int nBuf;
  LscBunch bunch;
  u8 aNonce[1024];                        /* random bytes not used yet: the last nNonce */
  int nNonce, iFork;
  int rcRecord;                           /* what the page in aRaw gave when it was decoded */
  LscAhead *pAhead;                       /* owned; ahead.c */
  Pgno iDone;                             /* this page came decoded */
  Pgno iHole;                             /* this page was behind the end of the file */
  Pgno iBad;                              /* the last that could not be decoded */
  LscKept kept;
  u8 aEncPart[12];                        /* of which nonces pEnc has the key */
  int nEncPart;                           /* how many pages may still be encoded with it */
  void *apDec[XAES_DECODERS];             /* owned: contexts that decode */
  u8 aDecPart[XAES_DECODERS][12];         /* of which nonces they have the key */
  u32 mDecPart;                           /* a bit for each that has one */
  const char *zWhy;                       /* more about the last error, or NULL */
  /* While the key is changed: the codec before, and the pages that the file has under this one. */
  LscCodec *pOld;
  Bitvec *pDone;
  LscCodec *pReal;                        /* owned: the codec that a backup's target will have */
};

static const LscCipher lscPlain, lscTemp, lscCbc, lscXaes;

/* libcrypto.c */
static const u8 lscMagic[16] = "SQLite format 3";

static int lscCryptoLoad(char **pzErr);
static void lscWipe(void *p, size_t n);

/* pages.c */
static int lscRandom(LscCodec *p, u8 *a, int n);
static void lscCodecFree(LscCodec *p);
static int lscCodecNew(
  const LscCipher *pCipher, const void *pSecret, int nSecret, int bRaw, LscCodec **pp, char **pzErr
);
static int lscCodecDerive(LscCodec *p);
static int lscCodecReady(LscCodec *p);
static int lscCodecDecode(LscCodec *p, Pgno pgno, u8 *aPage, int n);
static int lscCodecTemp(sqlite3 *db, Pager *pPager);
static void lscPageBehindEnd(Pager *pPager, Pgno pgno, const u8 *aPage);

static LscCodec *lscCodecTwin(LscCodec *pFrom);

/* bunch.c */
static int lscCodecFrames(
  LscCodec *p, Wal *pWal, int szPage, PgHdr *pList, Pgno nTruncate, int isCommit, int syncFlags
);

/* ahead.c */
#if SQLITE_OS_UNIX
static int lscCodedRead(Pager *pPager, Pgno pgno, u8 *aPage);
#endif
static void lscAheadStop(LscCodec *p);
static void lscAheadFree(LscCodec *p);

/* kept.c */
static void lscPageKeep(Pager *pPager, Pgno pgno, const u8 *aPage);
static void lscKeptCommitted(Pager *pPager);
static void keptFree(LscCodec *p);
static void keptDrop(LscCodec *p, Pgno pgno);

/* check.c */
static int lscClearPageSize(const u8 *aPage1);
static int lscCheckKey(Pager *pPager, int bHot);

/* key.c */
static int lscKeyStart(sqlite3 *db);
static int lscKeyPragma(Parse *pParse, int iDb, const char *zName, const char *zValue);
static int lscKeySet(sqlite3 *db, int iDb, LscCodec *pNew, char **pzErr);

/* ../wal/dispatch.c: the log's own method. */
static int lscLogFrames(Wal *p, int szPage, PgHdr *pList, Pgno nTruncate, int isCommit, int syncFlags);

/* rekey.c */
static const LscCipher *lscRekeyCipher(sqlite3 *db, int iDb);
static int lscRekey(sqlite3 *db, int iDb, LscCodec *pNew, char **pzErr);
#endif
