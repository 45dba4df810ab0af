/*
** pool.c: threads that wait for work, for searches too short to start threads for. Included by engine.c.
**
** A job is one function and several arguments; its work is shared out by the function itself, so an argument whose turn
** has not come when another call returns needs no call any more. The caller takes the first argument. A thread that has
** finished looks for more for some microseconds before it sleeps. Threads live as long as the process, with all signals
** blocked; a forked child begins with none.
**
** The pool's mutex is held for a few instructions, never during a call, and nothing else is locked while it is held.
*/
#define POOL_THREADS 15             /* beside the caller's */
#define POOL_SPIN 2000              /* looks, each some ten nanoseconds */

#if !defined(_WIN32)
#include <pthread.h>
#include <signal.h>

typedef struct PoolJob PoolJob;
struct PoolJob {
  void (*xRun)(void *pArg);
  char *aArg;
  size_t nArg;                      /* bytes of one */
  int i, n;                         /* next argument, and how many there are */
  int nRunning;                     /* atomic: calls by threads of the pool */
  int iFork;                        /* lsc_fork_count() where it was begun, if nobody waits at once */
  PoolJob *pNext;
};

static struct {
  pthread_mutex_t mutex;
  pthread_cond_t work;              /* a job was added */
  pthread_cond_t done;              /* the last call of some job returned */
  PoolJob *pFirst;                  /* jobs with arguments that nobody has taken */
  int nJob;                         /* atomic: how many of them */
  int nThread, nIdle;
} lscPool = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0, 0};

static void lscPoolForked(void){
  (void)pthread_mutex_init(&lscPool.mutex, 0);
  (void)pthread_cond_init(&lscPool.work, 0);
  (void)pthread_cond_init(&lscPool.done, 0);
  lscPool.pFirst = 0;
  lscPool.nJob = lscPool.nThread = lscPool.nIdle = 0;
}

static void poolPause(void){
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

static void poolRemove(PoolJob *pJob){
  PoolJob **pp = &lscPool.pFirst;
  while( *pp && *pp!=pJob ) pp = &(*pp)->pNext;
  if( *pp ){
    *pp = pJob->pNext;
    __atomic_fetch_sub(&lscPool.nJob, 1, __ATOMIC_RELAXED);
  }
}

static void *poolThread(void *pUnused){
  int i;
  (void)pUnused;
  for(;;){
    PoolJob *pJob;
    char *pArg;
    for(i=0; i<POOL_SPIN && __atomic_load_n(&lscPool.nJob, __ATOMIC_RELAXED)==0; i++) poolPause();
    pthread_mutex_lock(&lscPool.mutex);
    while( lscPool.pFirst==0 ){
      lscPool.nIdle++;
      pthread_cond_wait(&lscPool.work, &lscPool.mutex);
      lscPool.nIdle--;
    }
    pJob = lscPool.pFirst;
    pArg = &pJob->aArg[pJob->nArg*(size_t)pJob->i++];
    if( pJob->i==pJob->n ) poolRemove(pJob);
    __atomic_fetch_add(&pJob->nRunning, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&lscPool.mutex);
    pJob->xRun(pArg);
    pthread_mutex_lock(&lscPool.mutex);
    if( __atomic_sub_fetch(&pJob->nRunning, 1, __ATOMIC_RELEASE)==0 ) pthread_cond_broadcast(&lscPool.done);
    pthread_mutex_unlock(&lscPool.mutex);
  }
  return 0;
}

/* With the mutex: as many threads as the job has use for. One that cannot be made is done without. */
static void poolStart(int n){
  sigset_t all, old;
  pthread_attr_t attr;
  if( n>POOL_THREADS ) n = POOL_THREADS;
  if( lscPool.nThread>=n || pthread_attr_init(&attr)!=0 ) return;
  (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &old);
  while( lscPool.nThread<n ){
    pthread_t thread;
    if( pthread_create(&thread, &attr, poolThread, 0)!=0 ) break;
    lscPool.nThread++;
  }
  (void)pthread_sigmask(SIG_SETMASK, &old, 0);
  (void)pthread_attr_destroy(&attr);
}

/* With the mutex: the job is to be had, for n threads. */
static void poolOffer(PoolJob *pJob, int n){
  poolStart(n);
  pJob->pNext = lscPool.pFirst;
  lscPool.pFirst = pJob;
  __atomic_fetch_add(&lscPool.nJob, 1, __ATOMIC_RELAXED);
}

/* No thread begins the job any more, and those that have are done. */
static void poolFinish(PoolJob *pJob){
  int i;
  pthread_mutex_lock(&lscPool.mutex);
  poolRemove(pJob);
  if( __atomic_load_n(&pJob->nRunning, __ATOMIC_ACQUIRE)>0 ){
    pthread_mutex_unlock(&lscPool.mutex);
    for(i=0; i<POOL_SPIN && __atomic_load_n(&pJob->nRunning, __ATOMIC_ACQUIRE)>0; i++) poolPause();
    pthread_mutex_lock(&lscPool.mutex);   /* the thread that made it zero may still hold it */
    while( __atomic_load_n(&pJob->nRunning, __ATOMIC_ACQUIRE)>0 ) pthread_cond_wait(&lscPool.done, &lscPool.mutex);
  }
  pthread_mutex_unlock(&lscPool.mutex);
}

/* Calls xRun for the first of n arguments of nArg bytes, and for the others as far as there are threads in time. */
static void lscPoolRun(void (*xRun)(void*), void *aArg, size_t nArg, int n){
  PoolJob job;
  int i;
  memset(&job, 0, sizeof(job));
  job.xRun = xRun;
  job.aArg = aArg;
  job.nArg = nArg;
  job.i = 1;
  job.n = n;
  if( n>1 ){
    pthread_mutex_lock(&lscPool.mutex);
    poolOffer(&job, n-1);
    i = lscPool.nIdle;
    pthread_mutex_unlock(&lscPool.mutex);
    if( i==1 || n==2 ) pthread_cond_signal(&lscPool.work);
    else if( i>1 ) pthread_cond_broadcast(&lscPool.work);
  }
  xRun(aArg);
  if( n>1 ) poolFinish(&job);
}

/* Has xRun called for one argument by a thread, if there is one in time. lscPoolWait() comes back behind that call, or
** when there will be none: 1 if there was. In a forked child there is none. */
static void lscPoolBegin(PoolJob *pJob, void (*xRun)(void*), void *pArg){
  memset(pJob, 0, sizeof(*pJob));
  pJob->xRun = xRun;
  pJob->aArg = pArg;
  pJob->n = 1;
  pJob->iFork = lsc_fork_count();
  pthread_mutex_lock(&lscPool.mutex);
  poolOffer(pJob, 1);
  pthread_mutex_unlock(&lscPool.mutex);
  pthread_cond_signal(&lscPool.work);
}

static int lscPoolWait(PoolJob *pJob){
  if( pJob->iFork!=lsc_fork_count() ) return 0;
  poolFinish(pJob);
  return pJob->i;
}

/* How many calls at once are of use. */
static int lscPoolSize(void){
  static int n = 0;
  int i = __atomic_load_n(&n, __ATOMIC_RELAXED);
  if( i==0 ){
    long nProcessor = sysconf(_SC_NPROCESSORS_ONLN);
    i = nProcessor<1 ? 1 : nProcessor>POOL_THREADS ? POOL_THREADS+1 : (int)nProcessor;
    __atomic_store_n(&n, i, __ATOMIC_RELAXED);
  }
  return i;
}
#else
static void lscPoolRun(void (*xRun)(void*), void *aArg, size_t nArg, int n){ (void)nArg; (void)n; xRun(aArg); }
static int lscPoolSize(void){ return 1; }
#endif
