/*
** wal_trace.c: runs each line of its input as SQL and prints which calls that made to the log; first, what the public
** structures look like. Lines that begin with a dot: .open, .close.
*/
#include <stddef.h>
#include "wal.h"

static void printLayout(void){
#define METHOD(x) printf("%s %d\n", #x, (int)offsetof(libsql_wal_methods, x));
  METHOD(iVersion) METHOD(xLimit) METHOD(xBeginReadTransaction) METHOD(xEndReadTransaction) METHOD(xFindFrame)
  METHOD(xReadFrame) METHOD(xReadFrameRaw) METHOD(xDbsize) METHOD(xBeginWriteTransaction) METHOD(xEndWriteTransaction)
  METHOD(xUndo) METHOD(xSavepoint) METHOD(xSavepointUndo) METHOD(xFrameCount) METHOD(xFrames) METHOD(xCheckpoint)
  METHOD(xCallback) METHOD(xExclusiveMode) METHOD(xHeapMemory) METHOD(xSnapshotGet) METHOD(xSnapshotOpen)
  METHOD(xSnapshotRecover) METHOD(xSnapshotCheck) METHOD(xSnapshotUnlock) METHOD(xFramesize) METHOD(xFile)
  METHOD(xWriteLock) METHOD(xDb) METHOD(xSavepointForget)
#define MEMBER(type, x) printf("%s.%s %d\n", #type, #x, (int)offsetof(type, x));
  MEMBER(libsql_wal, methods) MEMBER(libsql_wal, pData)
  MEMBER(libsql_wal_manager, bUsesShm) MEMBER(libsql_wal_manager, xOpen) MEMBER(libsql_wal_manager, xClose)
  MEMBER(libsql_wal_manager, xLogDestroy) MEMBER(libsql_wal_manager, xLogExists)
  MEMBER(libsql_wal_manager, xDestroy) MEMBER(libsql_wal_manager, pData)
  MEMBER(libsql_pghdr, pPage) MEMBER(libsql_pghdr, pData) MEMBER(libsql_pghdr, pExtra) MEMBER(libsql_pghdr, pCache)
  MEMBER(libsql_pghdr, pDirty) MEMBER(libsql_pghdr, pPager) MEMBER(libsql_pghdr, pgno) MEMBER(libsql_pghdr, pageHash)
  MEMBER(libsql_pghdr, flags) MEMBER(libsql_pghdr, nRef) MEMBER(libsql_pghdr, pDirtyNext)
  MEMBER(libsql_pghdr, pDirtyPrev)
  printf("sizes %d %d %d %d\n", (int)sizeof(libsql_wal_methods), (int)sizeof(libsql_wal),
         (int)sizeof(libsql_wal_manager), (int)sizeof(libsql_pghdr));
  printf("file control %d\n", SQLITE_FCNTL_WAL_METHODS_POINTER);
}

int main(void){
  Manager manager = {0};
  sqlite3 *db = 0;
  char zLine[500];
  printLayout();
  while( fgets(zLine, sizeof(zLine), stdin) ){
    zLine[strcspn(zLine, "\n")] = 0;
    zTrace[0] = 0;
    if( strcmp(zLine, ".open")==0 ){
      db = openWith("trace.db", &manager);
    }else if( strcmp(zLine, ".close")==0 ){
      REQUIRE( sqlite3_close(db)==SQLITE_OK );
    }else{
      run(db, zLine);
    }
    printf("%s\n", zTrace);
  }
  REQUIRE( sqlite3_shutdown()==SQLITE_OK );
  REQUIRE( sqlite3_memory_used()==0 );
  return 0;
}
