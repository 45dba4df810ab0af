/*
** libcrypto.c: OpenSSL's libcrypto, found and opened when the first key is set. Included by engine.c.
**
** Nothing of OpenSSL is needed to build: its objects are opaque, and the routines are declared here. The table is filled
** once and then only read; two threads that fill it at once do the same. The library is never closed: connections may
** outlive everything else, and so it must also not clean up at exit.
*/
#if defined(_WIN32)
# include <windows.h>
#else
# include <dlfcn.h>
#endif
#if defined(__linux__)
# include <link.h>
#endif
#if defined(__APPLE__)
# include <mach-o/dyld.h>
#endif

/* Name, result, parameters. */
#define LSC_CRYPTO_ROUTINES(X) \
  X(OpenSSL_version_num, unsigned long, (void)) \
  X(OPENSSL_init_crypto, int, (u64, const void*)) \
  X(EVP_CIPHER_CTX_new, void*, (void)) \
  X(EVP_CIPHER_CTX_free, void, (void*)) \
  X(EVP_aes_256_cbc, const void*, (void)) \
  X(EVP_aes_256_ecb, const void*, (void)) \
  X(EVP_aes_256_gcm, const void*, (void)) \
  X(EVP_aes_256_xts, const void*, (void)) \
  X(EVP_CipherInit_ex, int, (void*, const void*, void*, const u8*, const u8*, int)) \
  X(EVP_CIPHER_CTX_set_padding, int, (void*, int)) \
  X(EVP_CIPHER_CTX_ctrl, int, (void*, int, int, void*)) \
  X(EVP_CipherUpdate, int, (void*, u8*, int*, const u8*, int)) \
  X(EVP_CipherFinal_ex, int, (void*, u8*, int*)) \
  X(EVP_MD_CTX_new, void*, (void)) \
  X(EVP_MD_CTX_free, void, (void*)) \
  X(EVP_MD_CTX_copy_ex, int, (void*, const void*)) \
  X(EVP_sha256, const void*, (void)) \
  X(EVP_sha512, const void*, (void)) \
  X(EVP_md5, const void*, (void)) \
  X(EVP_DigestInit_ex, int, (void*, const void*, void*)) \
  X(EVP_DigestUpdate, int, (void*, const void*, size_t)) \
  X(EVP_DigestFinal_ex, int, (void*, u8*, unsigned*)) \
  X(HMAC, u8*, (const void*, const void*, int, const u8*, size_t, u8*, unsigned*)) \
  X(PKCS5_PBKDF2_HMAC, int, (const char*, int, const u8*, int, int, const void*, int, u8*)) \
  X(EVP_PBE_scrypt, int, (const char*, size_t, const u8*, size_t, u64, u64, u64, u64, u8*, size_t)) \
  X(RAND_bytes, int, (u8*, int)) \
  X(CRYPTO_memcmp, int, (const void*, const void*, size_t)) \
  X(OPENSSL_cleanse, void, (void*, size_t))

#define LSC_CRYPTO_FIELD(name, result, args) result (*name) args;
#define LSC_CRYPTO_NAME(name, result, args) #name,
#define LSC_INIT_NO_ATEXIT 0x00080000

typedef struct LscCrypto LscCrypto;
struct LscCrypto {
  LSC_CRYPTO_ROUTINES(LSC_CRYPTO_FIELD)
  /* What fetching gives where the library has it (3.0): an algorithm that is not looked up again at each use. */
  const void *pCbc, *pEcb, *pGcm, *pXts, *pSha256, *pSha512, *pMd5, *pChaCha;
};

static LscCrypto lscCrypto;         /* all pointers are set, or bCryptoReady is 0 */
static int lscCryptoReady = 0;      /* atomic */
static int lscCryptoMissing = 0;    /* atomic: the last look for it failed */

static const char *const azCryptoName[] = { LSC_CRYPTO_ROUTINES(LSC_CRYPTO_NAME) };
_Static_assert(sizeof(void(*)(void))==sizeof(void*), "dlsym() gives functions as objects");

/* Wiped in a way that no compiler leaves out. */
static void lscWipe(void *p, size_t n){
  volatile u8 *a = (volatile u8*)p;
  while( n-- ) *a++ = 0;
}

#if defined(_WIN32)
static void *cryptoOpen(const char *z, int bLoaded){
  return bLoaded ? (void*)GetModuleHandleA(z) : (void*)LoadLibraryA(z);
}
static void *cryptoSymbol(void *p, const char *z){ return (void*)GetProcAddress((HMODULE)p, z); }
static const char *const azCryptoFile[] = {
# if defined(_M_ARM64)
  "libcrypto-3-arm64.dll",
# endif
  "libcrypto-3-x64.dll", "libcrypto-3.dll", "libcrypto-1_1-x64.dll", "libcrypto-1_1.dll"
};
#else
static void *cryptoOpen(const char *z, int bLoaded){
  return dlopen(z, RTLD_NOW | RTLD_LOCAL | (bLoaded ? RTLD_NOLOAD : 0));
}
static void *cryptoSymbol(void *p, const char *z){ return dlsym(p, z); }
static const char *const azCryptoFile[] = {
# if defined(__APPLE__)
  /* Never the name without a version: the system ends a process that opens it. */
  "libcrypto.3.dylib", "/opt/homebrew/opt/openssl@3/lib/libcrypto.3.dylib",
  "/usr/local/opt/openssl@3/lib/libcrypto.3.dylib"
# else
  "libcrypto.so.3", "libcrypto.so.4", "libcrypto.so.1.1"
# endif
};
#endif

/* Fills *p from an open library. The name that is missing, or NULL. */
static const char *cryptoFill(void *pLib, LscCrypto *p){
  u8 *aField = (u8*)p;
  int i;
  for(i=0; i<ArraySize(azCryptoName); i++){
    void *pSym = cryptoSymbol(pLib, azCryptoName[i]);
    if( pSym==0 ) return azCryptoName[i];
    memcpy(aField + (size_t)i*sizeof(void*), &pSym, sizeof(pSym));
  }
  return 0;
}

static const void *cryptoFetch(void *pLib, const char *zFetch, const char *zName, const void *pElse){
  void *(*xFetch)(void*, const char*, const char*);
  void *pSym = cryptoSymbol(pLib, zFetch), *p = 0;
  if( pSym ){
    memcpy(&xFetch, &pSym, sizeof(pSym));
    p = xFetch(0, zName, 0);
  }
  return p ? p : pElse;
}

/* The library of this name or handle becomes the one in use: 1. *pzLack receives what it lacks, if that is why not. */
static int cryptoUse(void *pLib, const char **pzLack){
  LscCrypto c;
  const void *(*xChaCha)(void);
  void *pSym;
  if( pLib==0 ) return 0;
  memset(&c, 0, sizeof(c));
  *pzLack = cryptoFill(pLib, &c);
  if( *pzLack ) return 0;
  (void)c.OPENSSL_init_crypto(LSC_INIT_NO_ATEXIT, 0);
  c.pCbc = cryptoFetch(pLib, "EVP_CIPHER_fetch", "AES-256-CBC", c.EVP_aes_256_cbc());
  c.pEcb = cryptoFetch(pLib, "EVP_CIPHER_fetch", "AES-256-ECB", c.EVP_aes_256_ecb());
  c.pGcm = cryptoFetch(pLib, "EVP_CIPHER_fetch", "AES-256-GCM", c.EVP_aes_256_gcm());
  c.pXts = cryptoFetch(pLib, "EVP_CIPHER_fetch", "AES-256-XTS", c.EVP_aes_256_xts());
  c.pSha256 = cryptoFetch(pLib, "EVP_MD_fetch", "SHA256", c.EVP_sha256());
  c.pSha512 = cryptoFetch(pLib, "EVP_MD_fetch", "SHA512", c.EVP_sha512());
  c.pMd5 = cryptoFetch(pLib, "EVP_MD_fetch", "MD5", c.EVP_md5());
  pSym = cryptoSymbol(pLib, "EVP_chacha20");
  if( pSym ){
    memcpy(&xChaCha, &pSym, sizeof(pSym));
    c.pChaCha = cryptoFetch(pLib, "EVP_CIPHER_fetch", "ChaCha20", xChaCha());
  }
  sqlite3_mutex_enter(sqlite3MutexAlloc(SQLITE_MUTEX_STATIC_MAIN));
  if( !AtomicLoad(&lscCryptoReady) ) lscCrypto = c;
  AtomicStore(&lscCryptoReady, 1);
  sqlite3_mutex_leave(sqlite3MutexAlloc(SQLITE_MUTEX_STATIC_MAIN));
  return 1;
}

#if defined(__linux__)
typedef struct CryptoSearch CryptoSearch;
struct CryptoSearch { const char *zPart; char zPath[1024]; };

static int cryptoSeen(struct dl_phdr_info *pInfo, size_t n, void *pArg){
  CryptoSearch *p = pArg;
  const char *z = pInfo->dlpi_name ? strrchr(pInfo->dlpi_name, '/') : 0;
  (void)n;
  if( z==0 || strncmp(z+1, p->zPart, strlen(p->zPart))!=0 || strlen(pInfo->dlpi_name)>=sizeof(p->zPath) ) return 0;
  strcpy(p->zPath, pInfo->dlpi_name);
  return 1;
}
#endif

/* The copy that the process has already, best the one that Python's own modules use. */
static int cryptoLoaded(const char **pzLack){
#if defined(__linux__) || defined(__APPLE__)
  static const char *const azPart[] = { "_hashlib.", "_ssl.", "libcrypto.so." , "libcrypto.3." };
  int i;
  for(i=0; i<ArraySize(azPart); i++){
# if defined(__linux__)
    CryptoSearch s;
    s.zPart = azPart[i];
    s.zPath[0] = 0;
    if( dl_iterate_phdr(cryptoSeen, &s) && cryptoUse(cryptoOpen(s.zPath, 1), pzLack) ) return 1;
# else
    u32 k;
    for(k=0; k<_dyld_image_count(); k++){
      const char *zPath = _dyld_get_image_name(k), *z = zPath ? strrchr(zPath, '/') : 0;
      if( z && strncmp(z+1, azPart[i], strlen(azPart[i]))==0 && cryptoUse(cryptoOpen(zPath, 1), pzLack) ) return 1;
    }
# endif
  }
#else
  int i;
  for(i=0; i<ArraySize(azCryptoFile); i++){
    if( cryptoUse(cryptoOpen(azCryptoFile[i], 1), pzLack) ) return 1;
  }
#endif
  return 0;
}

/* SQLITE_OK, or SQLITE_ERROR with a text for sqlite3_free(). */
static int lscCryptoLoad(char **pzErr){
  const char *zLack = 0, *zFound = 0, *zEnv;
  int i;
  if( AtomicLoad(&lscCryptoReady) ) return SQLITE_OK;
  zEnv = getenv("LIBSQL_CORE_LIBCRYPTO");
  if( zEnv && zEnv[0] ){
    if( cryptoUse(cryptoOpen(zEnv, 0), &zLack) ) return SQLITE_OK;
    if( zLack ) zFound = zEnv;
  }else{
    if( cryptoLoaded(&zLack) ) return SQLITE_OK;
    for(i=0; i<ArraySize(azCryptoFile); i++){
      zLack = 0;
      if( cryptoUse(cryptoOpen(azCryptoFile[i], 0), &zLack) ) return SQLITE_OK;
      if( zLack ){
        zFound = azCryptoFile[i];
        break;
      }
    }
  }
  AtomicStore(&lscCryptoMissing, 1);
  if( zFound ){
    *pzErr = sqlite3_mprintf("encryption needs OpenSSL's libcrypto (1.1.1 or newer): %s lacks %s", zFound, zLack);
  }else{
    sqlite3_str *pStr = sqlite3_str_new(0);
    sqlite3_str_appendall(pStr, "encryption needs OpenSSL's libcrypto (1.1.1 or newer), which was not found; tried: ");
    if( zEnv && zEnv[0] ) sqlite3_str_appendall(pStr, zEnv);
    else for(i=0; i<ArraySize(azCryptoFile); i++) sqlite3_str_appendf(pStr, "%s%s", i ? ", " : "", azCryptoFile[i]);
    sqlite3_str_appendall(pStr, ". Install OpenSSL, or set LIBSQL_CORE_LIBCRYPTO to the full path of the library");
    *pzErr = sqlite3_str_finish(pStr);
  }
  return SQLITE_ERROR;
}

int lsc_codec_missing(void){ return AtomicLoad(&lscCryptoMissing); }
