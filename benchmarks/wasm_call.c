/*
** wasm_call.c: what one bare call of a WebAssembly function costs, for wasm.py.
**
**   wasm_call LIBRARY MODULE     prints nanoseconds, the best of several rounds
**
** The engine is set up as libsql_core sets it up: no signals, an epoch that functions look at.
*/
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef union Raw { int64_t i64; unsigned char a[16]; } Raw;
typedef struct Extern { unsigned char kind; uint64_t of[4]; } Extern;

static void *pLib;

static void *symbol(const char *zName){
  void *p = dlsym(pLib, zName);
  if( p==0 ){
    fprintf(stderr, "%s is missing\n", zName);
    exit(1);
  }
  return p;
}

static double now(void){
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec*1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv){
  static char aModule[65536];
  void *pConfig, *pEngine, *pModule = 0, *pStore, *pContext, *pTrap = 0;
  uint64_t aInstance[4];
  Extern x;
  Raw raw[1];
  double best = 1e18;
  size_t n;
  int i, j;
  FILE *f = argc==3 ? fopen(argv[2], "rb") : 0;
  void *(*xCall)(void*, const void*, Raw*, size_t, void**);
  if( f==0 || (pLib = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL))==0 ) return 2;
  n = fread(aModule, 1, sizeof(aModule), f);
  fclose(f);
  *(void**)&xCall = symbol("wasmtime_func_call_unchecked");
  pConfig = ((void*(*)(void))symbol("wasm_config_new"))();
  ((void(*)(void*, bool))symbol("wasmtime_config_epoch_interruption_set"))(pConfig, true);
  ((void(*)(void*, bool))symbol("wasmtime_config_signals_based_traps_set"))(pConfig, false);
  ((void(*)(void*, bool))symbol("wasmtime_config_concurrency_support_set"))(pConfig, false);
  pEngine = ((void*(*)(void*))symbol("wasm_engine_new_with_config"))(pConfig);
  if( ((void*(*)(void*, const char*, size_t, void**))symbol("wasmtime_module_new"))(pEngine, aModule, n, &pModule) ) return 3;
  pStore = ((void*(*)(void*, void*, void*))symbol("wasmtime_store_new"))(pEngine, 0, 0);
  pContext = ((void*(*)(void*))symbol("wasmtime_store_context"))(pStore);
  ((void(*)(void*, uint64_t))symbol("wasmtime_context_set_epoch_deadline"))(pContext, 1);
  if( ((void*(*)(void*, void*, void*, size_t, void*, void**))symbol("wasmtime_instance_new"))
          (pContext, pModule, 0, 0, aInstance, &pTrap) ) return 4;
  memset(&x, 0, sizeof(x));
  if( !((bool(*)(void*, void*, const char*, size_t, void*))symbol("wasmtime_instance_export_get"))
          (pContext, aInstance, "inc", 3, &x) ) return 5;
  for(i=0; i<20; i++){
    double start = now();
    for(j=0; j<1000000; j++){
      raw[0].i64 = j;
      if( xCall(pContext, x.of, raw, 1, &pTrap) || pTrap || raw[0].i64!=j+1 ) return 6;
    }
    if( now()-start<best ) best = now()-start;
  }
  printf("%.2f\n", best/1e6);
  return 0;
}
