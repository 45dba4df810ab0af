# One log of a database, as the methods of a Python log see it: the default log beneath and the database file.
#
# SQLite owns a Log (wal_impl) from xOpen to xClose; the Log owns the Wal object that Python sees, which loses its
# pointer when the log is closed. A Wal works only inside a call of one of its methods, where SQLite holds the mutex.

cdef enum:
    OPEN, CLOSE, LOG_EXISTS, LOG_DESTROY, LIMIT, BEGIN_READ, END_READ, FIND_FRAME, READ_FRAME, READ_FRAME_RAW, DBSIZE
    BEGIN_WRITE, END_WRITE, UNDO, SAVEPOINT, SAVEPOINT_UNDO, SAVEPOINT_FORGET, FRAME_COUNT, FRAMES, CHECKPOINT
    CALLBACK, EXCLUSIVE_MODE, HEAP_MEMORY, N_METHOD

cdef tuple wal_names = (
    "open", "close", "log_exists", "log_destroy", "limit", "begin_read_transaction", "end_read_transaction",
    "find_frame", "read_frame", "read_frame_raw", "dbsize", "begin_write_transaction", "end_write_transaction", "undo",
    "savepoint", "savepoint_undo", "savepoint_forget", "frame_count", "frames", "checkpoint", "callback",
    "exclusive_mode", "heap_memory")


cdef struct Call:
    # A call of one method. What is not used stays zero.
    int slot
    long long a, b, c           # integer arguments
    void *out                   # where the answer goes
    unsigned char *buf          # a buffer of n_buf bytes
    int n_buf
    sqlite3 *db
    libsql_busy_call busy
    libsql_page_call undo
    void *ctx                   # argument of busy or undo
    libsql_pghdr *pages
    PyObject *page_list         # borrowed: pages as given to Python
    int *n_log
    int *n_ckpt
    Call *outer                 # the call of this log that this one is made in


cdef struct Log:
    libsql_wal inner            # the default log
    bint has_inner
    PyObject *wal               # owned: the Wal
    PyObject **slot             # of the manager: methods that a subclass defines, NULL for the others
    sqlite3_vfs *vfs
    sqlite3_file *file
    const char *name            # of the database file, as SQLite keeps it
    int no_shm
    long long max_size
    bint locked                 # lock_database() raised the lock of the file
    Call *call                  # under way, or NULL
    unsigned long thread        # that makes it
    PyObject *failed            # owned: exception of a method that cannot report; the next one that can does
    int failed_code


@cython.final
cdef class Wal:
    """The log of one database file, passed to the methods of a `WalMethods`.

    `path` is the database file's; `state` is for those methods to keep what belongs to this log, None at first.

    The methods named as those of `WalMethods` are the default log's. All may be called only inside a method of the
    log, in the same thread; otherwise ProgrammingError is raised. Errors of the default log and of the file are raised
    as OperationalError with SQLite's code.
    """
    cdef Log *log
    cdef readonly str path      # of the database file
    cdef public object state

    def __cinit__(self):
        if not made_here:
            raise TypeError("SQLite makes Wal objects")

    def __repr__(self):
        return f"<libsql_core.wal.Wal of {self.path!r}>"

    # The default log

    def open(self):
        """Open the default log."""
        cdef Log *log = active(self)
        cdef int rc
        need(log, OPEN)
        if log.has_inner:
            raise ProgrammingError("The default log is open already.")
        with nogil:
            rc = sqlite3_wal_manager.xOpen(sqlite3_wal_manager.pData, log.vfs, log.file, log.no_shm, log.max_size,
                                           log.name, &log.inner)
        check_code(rc)
        log.has_inner = True

    def close(self, checkpoint, sync_flags):
        """Close the default log. With `checkpoint`, the last connection copies it to the database and deletes it."""
        cdef Log *log = active(self)
        cdef int rc
        need(log, CLOSE)
        rc = close_inner(log, bool(checkpoint), sync_flags)
        if rc != SQLITE_BUSY:       # another connection uses it
            check_code(rc)

    def log_exists(self):
        """Whether the default log's file exists."""
        cdef Log *log = active(self)
        cdef int rc, exists = 0
        with nogil:
            rc = sqlite3_wal_manager.xLogExists(sqlite3_wal_manager.pData, log.vfs, log.name, &exists)
        check_code(rc)
        return exists != 0

    def log_destroy(self):
        """Delete the default log's file."""
        cdef Log *log = active(self)
        cdef int rc
        with nogil:
            rc = sqlite3_wal_manager.xLogDestroy(sqlite3_wal_manager.pData, log.vfs, log.name)
        check_code(rc)

    def limit(self, size):
        """Truncate the log to this many bytes when it starts anew; -1 for never."""
        cdef Log *log = inner(self)
        log.inner.methods.xLimit(log.inner.pData, size)

    def begin_read_transaction(self):
        """Take the newest snapshot; whether it differs from the last one."""
        cdef Log *log = inner(self)
        cdef int rc, changed = 0
        with nogil:
            rc = log.inner.methods.xBeginReadTransaction(log.inner.pData, &changed)
        check_code(rc)
        return changed != 0

    def end_read_transaction(self):
        """Give back the snapshot."""
        cdef Log *log = inner(self)
        with nogil:
            log.inner.methods.xEndReadTransaction(log.inner.pData)

    def find_frame(self, page_number):
        """The frame that holds the page in this snapshot; 0 if the page is in the database file."""
        cdef Log *log = inner(self)
        cdef unsigned pgno = page_number
        cdef unsigned frame = 0
        cdef int rc
        with nogil:
            rc = log.inner.methods.xFindFrame(log.inner.pData, pgno, &frame)
        check_code(rc)
        return frame

    def read_frame(self, frame, size):
        """The first `size` bytes of a frame's page."""
        return read_inner(inner(self), READ_FRAME, frame, size)

    def read_frame_raw(self, frame, size):
        """The first `size` bytes of a frame: its header of 24 bytes, and its page."""
        return read_inner(inner(self), READ_FRAME_RAW, frame, size)

    def dbsize(self):
        """Pages of the database in this snapshot; 0 if the log does not know."""
        cdef Log *log = inner(self)
        return log.inner.methods.xDbsize(log.inner.pData)

    def begin_write_transaction(self):
        """Become the writer."""
        cdef Log *log = inner(self)
        cdef int rc
        with nogil:
            rc = log.inner.methods.xBeginWriteTransaction(log.inner.pData)
        check_code(rc)

    def end_write_transaction(self):
        """Stop being the writer."""
        cdef Log *log = inner(self)
        cdef int rc
        with nogil:
            rc = log.inner.methods.xEndWriteTransaction(log.inner.pData)
        check_code(rc)

    def undo(self):
        """Drop the frames of the transaction. Tells SQLite the pages itself: returns ()."""
        cdef Log *log = inner(self)
        cdef Call *call = log.call
        cdef int rc
        need(log, UNDO)
        with nogil:
            rc = log.inner.methods.xUndo(log.inner.pData, call.undo, call.ctx)
        check_code(rc)
        return ()

    def savepoint(self):
        """Four numbers that describe the end of the log."""
        cdef Log *log = inner(self)
        cdef unsigned data[4]
        log.inner.methods.xSavepoint(log.inner.pData, data)
        return (data[0], data[1], data[2], data[3])

    def savepoint_undo(self, data):
        """Go back to the end that `savepoint()` described; the description that holds from then on."""
        cdef Log *log = inner(self)
        cdef unsigned now[4]
        cdef int rc
        now[0], now[1], now[2], now[3] = data
        with nogil:
            rc = log.inner.methods.xSavepointUndo(log.inner.pData, now)
        check_code(rc)
        return (now[0], now[1], now[2], now[3])

    def savepoint_forget(self, data):
        """A savepoint is gone. The default log has nothing to do."""

    def frame_count(self, locked):
        """Frames in the log. Unless `locked`, no writer may be active."""
        cdef Log *log = inner(self)
        cdef int held = bool(locked)
        cdef unsigned n = 0
        cdef int rc
        with nogil:
            rc = log.inner.methods.xFrameCount(log.inner.pData, held, &n)
        check_code(rc)
        return n

    def frames(self, pages, size_after, commit, sync_flags):
        """Write pages, a list of (page number, content) by ascending number; the frames that were added by a commit."""
        cdef Log *log = inner(self)
        cdef libsql_pghdr *made
        cdef int n = 0
        need(log, FRAMES)
        if log.call.page_list is <PyObject *>pages:
            check_code(write_inner(log, log.call.pages, log.call.n_buf, size_after, bool(commit), sync_flags, &n))
            return n
        pages = list(pages)     # holds what the headers borrow
        made = make_pages(pages, log.call.n_buf)
        try:
            check_code(write_inner(log, made, log.call.n_buf, size_after, bool(commit), sync_flags, &n))
        finally:
            PyMem_Free(made)
        return n

    def checkpoint(self, mode, sync_flags):
        """Copy the log to the database file; how many frames it has, and how many of them are copied."""
        cdef Log *log = inner(self)
        cdef Call *call = log.call
        cdef int how = mode
        cdef int sync = sync_flags
        cdef int n_log = 0, n_ckpt = 0
        cdef int rc
        need(log, CHECKPOINT)
        with nogil:
            rc = log.inner.methods.xCheckpoint(
                log.inner.pData, call.db, how, call.busy, call.ctx, sync, call.n_buf, call.buf, &n_log, &n_ckpt, NULL,
                NULL)
        if rc == SQLITE_BUSY and call.n_log is not NULL:
            # SQLite reports how far a checkpoint came that had to stop.
            call.n_log[0] = n_log
            call.n_ckpt[0] = n_ckpt
        check_code(rc)
        return n_log, n_ckpt

    def callback(self):
        """Frames in the log at the last commit, 0 if there was none since the last call."""
        cdef Log *log = inner(self)
        return log.inner.methods.xCallback(log.inner.pData)

    def exclusive_mode(self, op):
        """-1: could the log go exclusive? 1: the database is locked exclusively now. 0: no longer."""
        cdef Log *log = inner(self)
        cdef int what = op
        cdef int answer
        with nogil:
            answer = log.inner.methods.xExclusiveMode(log.inner.pData, what)
        return answer != 0

    def heap_memory(self):
        """Whether the log's index is in this process only."""
        cdef Log *log = inner(self)
        return log.inner.methods.xHeapMemory(log.inner.pData) != 0

    def busy(self):
        """In `checkpoint()`: call the busy handler of the connection; whether to try again."""
        cdef Log *log = active(self)
        cdef Call *call = log.call
        cdef int again = 0
        need(log, CHECKPOINT)
        if call.busy != NULL:
            with nogil:
                again = call.busy(call.ctx)
        return again != 0

    # The database file

    def read_database(self, size, offset):
        """`size` bytes of the database file; what lies behind its end is zero."""
        cdef Log *log = with_file(self)
        cdef long long where = offset
        cdef int n = size
        cdef bytes out = PyBytes_FromStringAndSize(NULL, n)
        cdef char *z = PyBytes_AS_STRING(out)
        cdef int rc
        with nogil:
            rc = log.file.pMethods.xRead(log.file, z, n, where)
        if rc != SQLITE_IOERR_SHORT_READ:
            check_code(rc)
        return out

    def write_database(self, data, offset):
        """Write bytes to the database file."""
        cdef Log *log = with_file(self)
        cdef long long where = offset
        cdef bytes held = bytes(data)
        cdef const char *z = held
        cdef int n = c_int(len(held))
        cdef int rc
        with nogil:
            rc = log.file.pMethods.xWrite(log.file, z, n, where)
        check_code(rc)

    def truncate_database(self, size):
        """Cut the database file to this many bytes."""
        cdef Log *log = with_file(self)
        cdef long long n = size
        cdef int rc
        with nogil:
            rc = log.file.pMethods.xTruncate(log.file, n)
        check_code(rc)

    def sync_database(self, sync_flags):
        """Have the database file written to the disk, if the flags that `checkpoint()` or `close()` got ask for it."""
        cdef Log *log = with_file(self)
        cdef int flags = (<int>sync_flags >> 2) & 3
        cdef int rc = SQLITE_OK
        if flags:
            with nogil:
                rc = log.file.pMethods.xSync(log.file, flags)
        check_code(rc)

    def lock_database(self):
        """Lock the database file exclusively if no other connection has it open in WAL mode; whether it is."""
        cdef Log *log = with_file(self)
        cdef int rc, level = 0
        with nogil:
            log.file.pMethods.xFileControl(log.file, SQLITE_FCNTL_LOCKSTATE, &level)
            rc = log.file.pMethods.xLock(log.file, SQLITE_LOCK_EXCLUSIVE)
            if rc != SQLITE_OK and level < SQLITE_LOCK_EXCLUSIVE:
                # A try may leave a lock that keeps new readers out.
                log.file.pMethods.xUnlock(log.file, SQLITE_LOCK_SHARED)
        if rc == SQLITE_BUSY:
            return False
        check_code(rc)
        log.locked = level < SQLITE_LOCK_EXCLUSIVE
        return True

    def unlock_database(self):
        """Give back what `lock_database()` took."""
        cdef Log *log = with_file(self)
        cdef int rc = SQLITE_OK
        if log.locked:
            log.locked = False
            with nogil:
                rc = log.file.pMethods.xUnlock(log.file, SQLITE_LOCK_SHARED)
        check_code(rc)


set_type_name(Wal, "libsql_core.wal.Wal")


cdef Log *with_file(Wal self) except NULL:
    """As active(), with the database file open."""
    cdef Log *log = active(self)
    if log.file is NULL:
        raise ProgrammingError("log_exists() and log_destroy() have no access to the database file.")
    return log


cdef inline int check_code(int rc) except -1:
    return 0 if rc == SQLITE_OK else raise_code(rc)


cdef Log *active(Wal self) except NULL:
    """The log, in a call of one of its methods."""
    cdef Log *log = self.log
    if log is NULL:
        raise ProgrammingError("The log is closed.")
    if log.call is NULL or log.thread != PyThread_get_thread_ident():
        raise ProgrammingError("A Wal can only be used inside a method of its log.")
    return log


cdef Log *inner(Wal self) except NULL:
    """As active(), with the default log open."""
    cdef Log *log = active(self)
    if not log.has_inner:
        raise ProgrammingError("The default log is not open: open() of these WAL methods does not open it.")
    return log


cdef int need(Log *log, int slot) except -1:
    if log.call.slot != slot:
        raise ProgrammingError(f"Only {wal_names[slot]}() may do this.")
    return 0


cdef int close_inner(Log *log, bint checkpoint, int sync_flags) except? -1:
    cdef Call *call = log.call
    cdef int rc = SQLITE_OK
    if log.has_inner:
        log.has_inner = False
        with nogil:
            rc = sqlite3_wal_manager.xClose(sqlite3_wal_manager.pData, log.inner.pData, call.db, sync_flags, call.n_buf,
                                            call.buf if checkpoint else NULL)
    return rc


cdef bytes read_inner(Log *log, int slot, unsigned frame, int size):
    cdef bytes out = PyBytes_FromStringAndSize(NULL, size)
    cdef unsigned char *z = <unsigned char *>PyBytes_AS_STRING(out)
    cdef int rc
    with nogil:
        if slot == READ_FRAME:
            rc = log.inner.methods.xReadFrame(log.inner.pData, frame, size, z)
        else:
            rc = log.inner.methods.xReadFrameRaw(log.inner.pData, frame, size, z)
    check_code(rc)
    return out


cdef int write_inner(Log *log, libsql_pghdr *pages, int page_size, unsigned size_after, int commit, int sync_flags,
                     int *n) except? -1:
    cdef int rc
    with nogil:
        rc = log.inner.methods.xFrames(log.inner.pData, page_size, pages, size_after, commit, sync_flags, n)
    return rc


cdef libsql_pghdr *make_pages(object pages, int page_size) except NULL:
    """Page headers for pages given by Python, whose content they borrow. Free with PyMem_Free()."""
    cdef Py_ssize_t i, n = len(pages)
    cdef libsql_pghdr *made
    cdef bytes content
    if n == 0:
        raise ValueError("no pages to write")
    made = <libsql_pghdr *>PyMem_Calloc(n, sizeof(libsql_pghdr))
    if made is NULL:
        raise MemoryError()
    try:
        for i in range(n):
            number, content = pages[i]
            if len(content) != page_size:
                raise ValueError(f"page {number} has {len(content)} bytes instead of {page_size}")
            made[i].pgno = number
            made[i].pData = PyBytes_AS_STRING(content)
            if made[i].pgno == 0 or (i > 0 and made[i].pgno <= made[i - 1].pgno):
                raise ValueError("pages must be in ascending order of their numbers, from 1")
            if i > 0:
                made[i - 1].pDirty = &made[i]
    except BaseException:
        PyMem_Free(made)
        raise
    return made
