/* shout(text) and flip(blob), as text.wat has them, in C:
**
**     clang --target=wasm32 -O2 -nostdlib -Wl,--no-entry -Wl,--strip-all -o text.wasm text.c
*/
#define EXPORT(name) __attribute__((export_name(#name)))

enum { TEXT = 3, BLOB = 4, NONE = 5 };

extern unsigned char __heap_base;
static unsigned top;

/* Room that is never given back: the engine begins with new memory when there is too much of it. */
EXPORT(libsql_malloc) unsigned char *libsql_malloc(unsigned n){
  unsigned at = top ? top : (unsigned)&__heap_base;
  unsigned have = (unsigned)__builtin_wasm_memory_size(0) << 16;
  if( at+n>have && __builtin_wasm_memory_grow(0, (n>>16) + 1)==(unsigned long)-1 ) return 0;
  top = at + n;
  return (unsigned char*)at;
}

EXPORT(shout) unsigned char *shout(unsigned char *text){
  unsigned char *p;
  if( text[0]!=TEXT ) return text;
  for(p=text+1; *p; p++) if( *p>='a' && *p<='z' ) *p -= 'a' - 'A';
  return text;
}

EXPORT(flip) unsigned char *flip(unsigned char *blob){
  unsigned n, i;
  if( blob[0]!=BLOB ){
    blob[0] = NONE;
    return blob;
  }
  n = (unsigned)blob[1]<<24 | (unsigned)blob[2]<<16 | (unsigned)blob[3]<<8 | blob[4];
  for(i=0; i<n/2; i++){
    unsigned char low = blob[5+i];
    blob[5+i] = blob[5+n-1-i];
    blob[5+n-1-i] = low;
  }
  return blob;
}
