/*
** registry.c: managers of virtual logs: named ones of the process, and which one a connection or a file uses.
** Included by engine.c.
**
** A manager is counted: by the registry, by each connection opened with it and by each pager (a shared cache may
** outlive its connection). Counts and the list are guarded by SQLite's static main mutex, which is held for a few
** instructions and never while anything is called; xDestroy runs without it.
*/
struct LscWalManager {
  libsql_wal_manager manager;
  LscWalManager *pBase;       /* one reference: the manager whose state was replaced, or NULL */
  LscWalManager *pNext;       /* in the list of names */
  int nRef;
  char zName[1];              /* empty for a manager without a name */
};

#if defined(_MSC_VER)
# define LSC_THREAD_LOCAL __declspec(thread)
#else
# define LSC_THREAD_LOCAL __thread
#endif

/* v1.c */
static libsql_wal_methods_v1 *v1MethodsOf(const libsql_wal_manager*);
static libsql_wal_manager v1ManagerOf(libsql_wal_methods_v1*, void *pData);

static LscWalManager *lscManagers = 0;    /* the named ones */

/* What libsql_open*() hands to the connection that openDatabase() is about to make in this thread. */
static LSC_THREAD_LOCAL struct {
  LscWalManager *pManager;    /* one reference */
  const char *zUnknown;       /* borrowed: a name that is not registered */
} lscOpening;

static sqlite3_mutex *lscManagerMutex(void){ return sqlite3MutexAlloc(SQLITE_MUTEX_STATIC_MAIN); }

static LscWalManager *lscManagerRef(LscWalManager *p){
  if( p ){
    sqlite3_mutex_enter(lscManagerMutex());
    p->nRef++;
    sqlite3_mutex_leave(lscManagerMutex());
  }
  return p;
}

static void lscManagerUnref(LscWalManager *p){
  while( p ){
    LscWalManager *pBase;
    int nRef;
    sqlite3_mutex_enter(lscManagerMutex());
    nRef = --p->nRef;
    sqlite3_mutex_leave(lscManagerMutex());
    if( nRef>0 ) break;
    if( p->manager.xDestroy ) p->manager.xDestroy(p->manager.pData);
    pBase = p->pBase;
    sqlite3_free(p);
    p = pBase;
  }
}

/* A counted copy with one reference; when out of memory the manager is destroyed and NULL returned. */
static LscWalManager *lscManagerNew(const libsql_wal_manager *pManager, const char *zName){
  int n = sqlite3Strlen30(zName);
  LscWalManager *p = sqlite3_malloc64(sizeof(*p) + (u64)n);
  if( p==0 ){
    if( pManager->xDestroy ) pManager->xDestroy(pManager->pData);
    return 0;
  }
  memset(p, 0, sizeof(*p));
  p->manager = *pManager;
  p->nRef = 1;
  memcpy(p->zName, zName, (size_t)n+1);
  return p;
}

static int lscIsDefault(const char *zName){ return zName==0 || zName[0]==0 || strcmp(zName, "default")==0; }

/* The pointer that points to the manager of a name, or to NULL. Main mutex held. */
static LscWalManager **lscManagerSlot(const char *zName){
  LscWalManager **pp = &lscManagers;
  while( *pp && strcmp((*pp)->zName, zName)!=0 ) pp = &(*pp)->pNext;
  return pp;
}

/* One more reference to the manager of a name, NULL if there is none. */
static LscWalManager *lscManagerFind(const char *zName){
  LscWalManager *p;
  sqlite3_mutex_enter(lscManagerMutex());
  p = *lscManagerSlot(zName);
  if( p ) p->nRef++;
  sqlite3_mutex_leave(lscManagerMutex());
  return p;
}

/* Put pNew in the place of the manager of that name; NULL removes it. True if there was one. */
static int lscManagerReplace(const char *zName, LscWalManager *pNew){
  LscWalManager **pp, *pOld;
  sqlite3_mutex_enter(lscManagerMutex());
  pp = lscManagerSlot(zName);
  pOld = *pp;
  if( pOld ) *pp = pOld->pNext;
  if( pNew ){
    pNew->pNext = lscManagers;
    lscManagers = pNew;
  }
  sqlite3_mutex_leave(lscManagerMutex());
  lscManagerUnref(pOld);
  return pOld!=0;
}

static int lscManagerUsable(const libsql_wal_manager *p){
  return p->xOpen && p->xClose && p->xLogDestroy && p->xLogExists;
}

static int lscReservedName(const char *zName){
  return zName==0 || zName[0]==0 || strncmp(zName, "default", 7)==0;
}

int libsql_wal_manager_register(const char *zName, libsql_wal_manager manager){
  LscWalManager *p;
  int rc = sqlite3_initialize();
  if( rc==SQLITE_OK && (lscReservedName(zName) || !lscManagerUsable(&manager)) ) rc = SQLITE_MISUSE_BKPT;
  if( rc!=SQLITE_OK ){
    if( manager.xDestroy ) manager.xDestroy(manager.pData);
    return rc;
  }
  p = lscManagerNew(&manager, zName);
  if( p==0 ) return SQLITE_NOMEM_BKPT;
  (void)lscManagerReplace(zName, p);
  return SQLITE_OK;
}

int libsql_wal_manager_unregister(const char *zName){
  int rc = sqlite3_initialize();
  if( rc!=SQLITE_OK ) return rc;
  if( lscReservedName(zName) ) return SQLITE_MISUSE_BKPT;
  return lscManagerReplace(zName, 0) ? SQLITE_OK : SQLITE_NOTFOUND;
}

const libsql_wal_manager *libsql_wal_manager_find(const char *zName){
  LscWalManager *p;
  if( sqlite3_initialize()!=SQLITE_OK ) return 0;
  if( lscIsDefault(zName) ) return &sqlite3_wal_manager;
  sqlite3_mutex_enter(lscManagerMutex());
  p = *lscManagerSlot(zName);
  sqlite3_mutex_leave(lscManagerMutex());
  return p ? &p->manager : 0;
}

const char *libsql_wal_manager_next(const char *zName){
  LscWalManager *p;
  if( sqlite3_initialize()!=SQLITE_OK ) return 0;
  sqlite3_mutex_enter(lscManagerMutex());
  p = zName ? *lscManagerSlot(zName) : lscManagers;
  if( zName && p ) p = p->pNext;
  sqlite3_mutex_leave(lscManagerMutex());
  return p ? p->zName : 0;
}

static int lscOpen(const char *zFilename, sqlite3 **ppDb, int flags, const char *zVfs){
  int rc = openDatabase(zFilename, ppDb, (unsigned)flags, zVfs);
  /* Left over by an open that failed before it asked. */
  lscManagerUnref(lscOpening.pManager);
  lscOpening.pManager = 0;
  lscOpening.zUnknown = 0;
  return rc;
}

int libsql_open_v3(
  const char *zFilename, sqlite3 **ppDb, int flags, const char *zVfs, libsql_wal_manager manager
){
  int rc = sqlite3_initialize();
  if( rc==SQLITE_OK && !lscManagerUsable(&manager) ) rc = SQLITE_MISUSE_BKPT;
  if( rc!=SQLITE_OK ){
    *ppDb = 0;
    if( manager.xDestroy ) manager.xDestroy(manager.pData);
    return rc;
  }
  lscOpening.pManager = lscManagerNew(&manager, "");
  if( lscOpening.pManager==0 ){
    *ppDb = 0;
    return SQLITE_NOMEM_BKPT;
  }
  return lscOpen(zFilename, ppDb, flags, zVfs);
}

int libsql_open_v2(
  const char *zFilename, sqlite3 **ppDb, int flags, const char *zVfs, const char *zWal, void *pWalData
){
  int rc = sqlite3_initialize();
  *ppDb = 0;
  if( rc!=SQLITE_OK ) return rc;
  if( !lscIsDefault(zWal) ){
    LscWalManager *p = lscManagerFind(zWal);
    if( p==0 ) lscOpening.zUnknown = zWal;
    if( p && pWalData ){
      libsql_wal_manager own = p->manager;
      LscWalManager *pOwn = 0;
      if( v1MethodsOf(&p->manager) ){
        own = v1ManagerOf(v1MethodsOf(&p->manager), pWalData);
      }else{
        own.pData = (wal_manager_impl*)pWalData;
        own.xDestroy = 0;
      }
      if( own.pData ) pOwn = lscManagerNew(&own, "");
      if( pOwn==0 ){
        lscManagerUnref(p);
        return SQLITE_NOMEM_BKPT;
      }
      pOwn->pBase = p;
      p = pOwn;
    }
    lscOpening.pManager = p;
  }
  return lscOpen(zFilename, ppDb, flags, zVfs);
}

int libsql_open(const char *zFilename, sqlite3 **ppDb, int flags, const char *zVfs, const char *zWal){
  return libsql_open_v2(zFilename, ppDb, flags, zVfs, zWal, 0);
}

/* Called by lsc_conn_new(). */
static LscWalManager *lscOpeningManager(void){
  LscWalManager *p = lscOpening.pManager;
  lscOpening.pManager = 0;
  return p;
}

static int lsc_wal_known(const char *zFile, char **pzErrMsg){
  const char *zWal = lscOpening.zUnknown;
  LscWalManager *p;
  if( zWal==0 ){
    zWal = sqlite3_uri_parameter(zFile, "wal");
    if( lscIsDefault(zWal) ) return SQLITE_OK;
    p = lscManagerFind(zWal);
    lscManagerUnref(p);
    if( p ) return SQLITE_OK;
  }
  lscOpening.zUnknown = 0;
  *pzErrMsg = sqlite3_mprintf("no such WAL module: %s", zWal);
  return SQLITE_ERROR;
}

static int lsc_pager_opened(sqlite3 *db, Pager *pPager){
  static u64 nPager = 0;
  libsql_wal_methods_v1 *pV1;
  const char *zWal;
  sqlite3_mutex_enter(lscManagerMutex());
  pPager->iLscPager = ++nPager;
  sqlite3_mutex_leave(lscManagerMutex());
  if( pPager->tempFile || pPager->memDb ) return lscCodecTemp(db, pPager);
  zWal = sqlite3_uri_parameter(pPager->zFilename, "wal");
  if( zWal && zWal[0] ){
    if( lscIsDefault(zWal) ) return SQLITE_OK;
    pPager->pLscManager = lscManagerFind(zWal);
    if( pPager->pLscManager==0 ) return SQLITE_ERROR;
  }else if( db->pLsc ){
    pPager->pLscManager = lscManagerRef(db->pLsc->pWalManager);
  }
  pV1 = pPager->pLscManager ? v1MethodsOf(&pPager->pLscManager->manager) : 0;
  return pV1 && pV1->xPreMainDbOpen ? pV1->xPreMainDbOpen(pV1, pPager->zFilename) : SQLITE_OK;
}

static void lsc_pager_closed(Pager *pPager){
  sqlite3_free(pPager->lscAhead.a);
  lscCodecFree(pPager->pLscCodec);
  lscManagerUnref(pPager->pLscManager);
}
