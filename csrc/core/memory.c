/*
** memory.c: keeps a few large blocks that SQLite frees, for the next large allocation. Included by engine.c.
**
** A statement that reads large blobs allocates and frees a block of their size each time. The system's allocator gives
** such blocks back to the kernel, and clearing the new pages then costs as much as copying the blob. Up to LSC_SPARES
** blocks of LSC_SPARE_MIN..LSC_SPARE_MAX bytes are kept; sizes and statistics are those of SQLite's own allocator,
** which all others go to.
**
** Locks: none; a slot is emptied and filled by atomic exchange.
*/
#if defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__)
enum { LSC_SPARES = 2, LSC_SPARE_MIN = 256*1024, LSC_SPARE_MAX = 4*1024*1024 };

static sqlite3_mem_methods lscMem;      /* SQLite's own */
static void *lscSpare[LSC_SPARES];      /* owned */

static void *lscMemMalloc(int n){
  if( n>=LSC_SPARE_MIN && n<=LSC_SPARE_MAX ){
    int i;
    for(i=0; i<LSC_SPARES; i++){
      void *p = __atomic_exchange_n(&lscSpare[i], (void*)0, __ATOMIC_ACQ_REL);
      if( p ){
        int have = lscMem.xSize(p);
        if( have>=n && have/2<=n ) return p;
        p = __atomic_exchange_n(&lscSpare[i], p, __ATOMIC_ACQ_REL);
        if( p ) lscMem.xFree(p);
      }
    }
  }
  return lscMem.xMalloc(n);
}

static void lscMemFree(void *p){
  int n = lscMem.xSize(p);
  if( n>=LSC_SPARE_MIN && n<=LSC_SPARE_MAX ){
    int i;
    for(i=0; i<LSC_SPARES && p; i++){
      p = __atomic_exchange_n(&lscSpare[i], p, __ATOMIC_ACQ_REL);
    }
    if( p==0 ) return;
  }
  lscMem.xFree(p);
}

static void lscMemShutdown(void *pData){
  int i;
  for(i=0; i<LSC_SPARES; i++){
    void *p = __atomic_exchange_n(&lscSpare[i], (void*)0, __ATOMIC_ACQ_REL);
    if( p ) lscMem.xFree(p);
  }
  lscMem.xShutdown(pData);
}

/* Before sqlite3_initialize(). */
static int lscMemInstall(void){
  sqlite3_mem_methods m;
  int rc;
  if( lscMem.xMalloc ) return SQLITE_OK;
  sqlite3MemSetDefault();
  rc = sqlite3_config(SQLITE_CONFIG_GETMALLOC, &lscMem);
  if( rc!=SQLITE_OK ) return rc;
  m = lscMem;
  m.xMalloc = lscMemMalloc;
  m.xFree = lscMemFree;
  m.xShutdown = lscMemShutdown;
  return sqlite3_config(SQLITE_CONFIG_MALLOC, &m);
}
#else
static int lscMemInstall(void){ return SQLITE_OK; }
#endif
