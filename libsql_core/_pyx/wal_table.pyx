# The method table of a Python log.
#
# Each function goes straight to the default log unless the user's class defines that method, so a log pays only for
# what it changes. Where a method fails that cannot report it, the default log's answer keeps the database consistent
# until the next one reports it.

cdef void log_limit(wal_impl *p, long long size) noexcept nogil:
    cdef Log *log = <Log *>p
    cdef Call call
    if not goes_down(log, LIMIT):
        call = new_call(LIMIT)
        call.a = size
        if enter_log(log, &call) == SQLITE_OK or not log.has_inner:
            return
    log.inner.methods.xLimit(log.inner.pData, size)


cdef int log_begin_read(wal_impl *p, int *changed) noexcept nogil:
    cdef Log *log = <Log *>p
    cdef Call call
    if goes_down(log, BEGIN_READ):
        return log.inner.methods.xBeginReadTransaction(log.inner.pData, changed)
    call = new_call(BEGIN_READ)
    call.out = changed
    return enter_log(log, &call)


cdef void log_end_read(wal_impl *p) noexcept nogil:
    cdef Log *log = <Log *>p
    cdef Call call
    if not goes_down(log, END_READ):
        call = new_call(END_READ)
        if enter_log(log, &call) == SQLITE_OK or not log.has_inner:
            return
    log.inner.methods.xEndReadTransaction(log.inner.pData)


cdef int log_find_frame(wal_impl *p, unsigned pgno, unsigned *frame) noexcept nogil:
    cdef Log *log = <Log *>p
    cdef Call call
    if goes_down(log, FIND_FRAME):
        return log.inner.methods.xFindFrame(log.inner.pData, pgno, frame)
    call = new_call(FIND_FRAME)
    call.a = pgno
    call.out = frame
    return enter_log(log, &call)


cdef int log_read(Log *log, int slot, unsigned frame, int n, unsigned char *out) noexcept nogil:
    cdef Call call = new_call(slot)
    call.a = frame
    call.buf = out
    call.n_buf = n
    return enter_log(log, &call)


cdef int log_read_frame(wal_impl *p, unsigned frame, int n, unsigned char *out) noexcept nogil:
    cdef Log *log = <Log *>p
    if goes_down(log, READ_FRAME):
        return log.inner.methods.xReadFrame(log.inner.pData, frame, n, out)
    return log_read(log, READ_FRAME, frame, n, out)


cdef int log_read_frame_raw(wal_impl *p, unsigned frame, int n, unsigned char *out) noexcept nogil:
    cdef Log *log = <Log *>p
    if goes_down(log, READ_FRAME_RAW):
        return log.inner.methods.xReadFrameRaw(log.inner.pData, frame, n, out)
    return log_read(log, READ_FRAME_RAW, frame, n, out)


cdef unsigned log_dbsize(wal_impl *p) noexcept nogil:
    cdef Log *log = <Log *>p
    cdef Call call
    cdef unsigned n = 0
    if not goes_down(log, DBSIZE):
        call = new_call(DBSIZE)
        call.out = &n
        if enter_log(log, &call) == SQLITE_OK:
            return n
        if not log.has_inner:
            return 0xfffffffe       # no page is out of bounds
    return log.inner.methods.xDbsize(log.inner.pData)


cdef int log_begin_write(wal_impl *p) noexcept nogil:
    cdef Log *log = <Log *>p
    cdef Call call
    if goes_down(log, BEGIN_WRITE):
        return log.inner.methods.xBeginWriteTransaction(log.inner.pData)
    call = new_call(BEGIN_WRITE)
    return enter_log(log, &call)


cdef int log_end_write(wal_impl *p) noexcept nogil:
    cdef Log *log = <Log *>p
    cdef Call call
    cdef int rc
    if not goes_down(log, END_WRITE):
        call = new_call(END_WRITE)
        rc = enter_log(log, &call)
        if rc == SQLITE_OK or not log.has_inner:
            return rc
    return log.inner.methods.xEndWriteTransaction(log.inner.pData)


cdef int log_undo(wal_impl *p, libsql_page_call undo, void *ctx) noexcept nogil:
    cdef Log *log = <Log *>p
    cdef Call call
    cdef int rc
    if not goes_down(log, UNDO):
        call = new_call(UNDO)
        call.undo = undo
        call.ctx = ctx
        rc = enter_log(log, &call)
        if rc == SQLITE_OK or not log.has_inner:
            return rc
    return log.inner.methods.xUndo(log.inner.pData, undo, ctx)


cdef void log_savepoint(wal_impl *p, unsigned *data) noexcept nogil:
    cdef Log *log = <Log *>p
    cdef Call call
    if not goes_down(log, SAVEPOINT):
        memset(data, 0, 4 * sizeof(unsigned))
        call = new_call(SAVEPOINT)
        call.out = data
        if enter_log(log, &call) == SQLITE_OK or not log.has_inner:
            return
    log.inner.methods.xSavepoint(log.inner.pData, data)


cdef int log_savepoint_undo(wal_impl *p, unsigned *data) noexcept nogil:
    cdef Log *log = <Log *>p
    cdef Call call
    if goes_down(log, SAVEPOINT_UNDO):
        return log.inner.methods.xSavepointUndo(log.inner.pData, data)
    call = new_call(SAVEPOINT_UNDO)
    call.out = data
    return enter_log(log, &call)


cdef void log_savepoint_forget(wal_impl *p, unsigned *data) noexcept nogil:
    cdef Log *log = <Log *>p
    cdef Call call
    if log.slot[SAVEPOINT_FORGET] is not NULL:
        call = new_call(SAVEPOINT_FORGET)
        call.out = data
        enter_log(log, &call)


cdef int log_frame_count(wal_impl *p, int locked, unsigned *n) noexcept nogil:
    cdef Log *log = <Log *>p
    cdef Call call
    if goes_down(log, FRAME_COUNT):
        return log.inner.methods.xFrameCount(log.inner.pData, locked, n)
    call = new_call(FRAME_COUNT)
    call.a = locked
    call.out = n
    return enter_log(log, &call)


cdef int log_frames(wal_impl *p, int page_size, libsql_pghdr *pages, unsigned size_after, int commit, int sync_flags,
                    int *n) noexcept nogil:
    cdef Log *log = <Log *>p
    cdef Call call
    if goes_down(log, FRAMES):
        return log.inner.methods.xFrames(log.inner.pData, page_size, pages, size_after, commit, sync_flags, n)
    call = new_call(FRAMES)
    call.n_buf = page_size
    call.pages = pages
    call.a = size_after
    call.b = commit
    call.c = sync_flags
    call.out = n
    return enter_log(log, &call)


cdef int log_checkpoint(
        wal_impl *p, sqlite3 *db, int mode, libsql_busy_call busy, void *busy_arg, int sync_flags, int n_buf,
        unsigned char *buf, int *n_log, int *n_ckpt,
        int (*page)(void *, int, const unsigned char *, int, int, int) noexcept nogil, void *page_arg) noexcept nogil:
    cdef Log *log = <Log *>p
    cdef Call call
    if goes_down(log, CHECKPOINT):
        return log.inner.methods.xCheckpoint(
            log.inner.pData, db, mode, busy, busy_arg, sync_flags, n_buf, buf, n_log, n_ckpt, page, page_arg)
    call = new_call(CHECKPOINT)
    call.db = db
    call.a = mode
    call.busy = busy
    call.ctx = busy_arg
    call.c = sync_flags
    call.buf = buf
    call.n_buf = n_buf
    call.n_log = n_log
    call.n_ckpt = n_ckpt
    return enter_log(log, &call)


cdef int log_callback(wal_impl *p) noexcept nogil:
    cdef Log *log = <Log *>p
    cdef Call call
    cdef int n = 0
    if goes_down(log, CALLBACK):
        return log.inner.methods.xCallback(log.inner.pData)
    call = new_call(CALLBACK)
    call.out = &n
    enter_log(log, &call)
    return n


cdef int log_exclusive_mode(wal_impl *p, int op) noexcept nogil:
    cdef Log *log = <Log *>p
    cdef Call call
    cdef int answer = 0
    if goes_down(log, EXCLUSIVE_MODE):
        return log.inner.methods.xExclusiveMode(log.inner.pData, op)
    call = new_call(EXCLUSIVE_MODE)
    call.a = op
    call.out = &answer
    enter_log(log, &call)
    return answer


cdef int log_heap_memory(wal_impl *p) noexcept nogil:
    cdef Log *log = <Log *>p
    cdef Call call
    cdef int answer = 0
    if goes_down(log, HEAP_MEMORY):
        return log.inner.methods.xHeapMemory(log.inner.pData)
    call = new_call(HEAP_MEMORY)
    call.out = &answer
    enter_log(log, &call)
    return answer


cdef sqlite3_file *log_file(wal_impl *p) noexcept nogil:
    cdef Log *log = <Log *>p
    return log.inner.methods.xFile(log.inner.pData)
