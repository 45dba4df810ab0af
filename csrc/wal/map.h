/*
** map.h: included behind SQLite's wal.h, in front of pager.c: what the pager calls becomes a dispatcher, which calls
** the methods of the pager's log (wal/dispatch.c). The pager's Wal is then our holder, never wal.c's object; unmap.h
** ends this in front of wal.c.
**
** A part whose functions are not listed here (blocking locks, ZIPVFS) must stay switched off.
*/
#if defined(SQLITE_OMIT_WAL) || defined(SQLITE_ENABLE_SETLK_TIMEOUT) || defined(SQLITE_ENABLE_ZIPVFS) \
 || !defined(SQLITE_ENABLE_SNAPSHOT)
# error "the virtual WAL does not fit these compile options"
#endif

/* A savepoint also has a place in the log for replicas. */
#undef WAL_SAVEPOINT_NDATA
#define WAL_SAVEPOINT_NDATA 5

#define sqlite3WalClose lscWalClose
#define sqlite3WalLimit lscWalLimit
#define sqlite3WalBeginReadTransaction lscWalBeginRead
#define sqlite3WalEndReadTransaction lscWalEndRead
#define sqlite3WalFindFrame lscWalFindFrame
#define sqlite3WalReadFrame lscWalReadFrame
#define sqlite3WalDbsize lscWalDbsize
#define sqlite3WalBeginWriteTransaction lscWalBeginWrite
#define sqlite3WalEndWriteTransaction lscWalEndWrite
#define sqlite3WalUndo lscWalUndo
#define sqlite3WalSavepoint lscWalSavepoint
#define sqlite3WalSavepointUndo lscWalSavepointUndo
#define sqlite3WalFrames lscWalFrames
#define sqlite3WalCheckpoint lscWalCheckpoint
#define sqlite3WalCallback lscWalCallback
#define sqlite3WalExclusiveMode lscWalExclusiveMode
#define sqlite3WalHeapMemory lscWalHeapMemory
#define sqlite3WalSnapshotGet lscWalSnapshotGet
#define sqlite3WalSnapshotOpen lscWalSnapshotOpen
#define sqlite3WalSnapshotRecover lscWalSnapshotRecover
#define sqlite3WalSnapshotCheck lscWalSnapshotCheck
#define sqlite3WalSnapshotUnlock lscWalSnapshotUnlock
#define sqlite3WalFile lscWalFile
#define sqlite3WalStat lscWalStat
#define sqlite3WalSystemErrno lscWalSystemErrno

static int lscWalClose(Wal*, sqlite3*, int, int, u8*);
static void lscWalLimit(Wal*, i64);
static int lscWalBeginRead(Wal*, int*);
static void lscWalEndRead(Wal*);
static int lscWalFindFrame(Wal*, Pgno, u32*);
static int lscWalReadFrame(Wal*, u32, int, u8*);
static Pgno lscWalDbsize(Wal*);
static int lscWalBeginWrite(Wal*);
static int lscWalEndWrite(Wal*);
static int lscWalUndo(Wal*, int (*)(void*, Pgno), void*);
static void lscWalSavepoint(Wal*, u32*);
static int lscWalSavepointUndo(Wal*, u32*);
static int lscWalFrames(Wal*, int, PgHdr*, Pgno, int, int);
static int lscWalCheckpoint(Wal*, sqlite3*, int, int (*)(void*), void*, int, int, u8*, int*, int*);
static int lscWalCallback(Wal*);
static int lscWalExclusiveMode(Wal*, int);
static int lscWalHeapMemory(Wal*);
static int lscWalSnapshotGet(Wal*, sqlite3_snapshot**);
static void lscWalSnapshotOpen(Wal*, sqlite3_snapshot*);
static int lscWalSnapshotRecover(Wal*);
static int lscWalSnapshotCheck(Wal*, sqlite3_snapshot*);
static void lscWalSnapshotUnlock(Wal*);
static sqlite3_file *lscWalFile(Wal*);
#if defined(SQLITE_DEBUG)
static void lscWalStat(Wal*, sqlite3_str*);
#endif

#if defined(SQLITE_USE_SEH)
static int lscWalSystemErrno(Wal*);
#endif

static int lsc_wal_open(Pager*);
static int lsc_wal_exists(Pager*, int*);
static int lsc_wal_destroy(Pager*);
static int lsc_wal_without_shm(Pager*);
static int lsc_wal_inserting(Wal*);
static void lsc_wal_savepoint_forget(Wal*, u32*);
