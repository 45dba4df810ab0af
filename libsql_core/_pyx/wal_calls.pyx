# Calls of methods that are written in Python. run_method() makes a Call that the functions of wal_table.pyx fill.

cdef int method_error(object error) noexcept:
    """The result code that stands for an exception."""
    try:
        if isinstance(error, MemoryError):
            return SQLITE_NOMEM
        code = getattr(error, "sqlite_errorcode", None)
        if isinstance(error, Error) and isinstance(code, int) and 0 < code <= 0xffff and code & 0xff < 100:
            return code
    except BaseException:
        pass
    return SQLITE_IOERR


cdef inline bint can_report(int slot) noexcept nogil:
    """Whether SQLite looks at the result in every case: not where it ends a transaction."""
    return slot in (OPEN, CLOSE, LOG_EXISTS, LOG_DESTROY, BEGIN_READ, FIND_FRAME, READ_FRAME, READ_FRAME_RAW,
                    BEGIN_WRITE, SAVEPOINT_UNDO, FRAME_COUNT, FRAMES, CHECKPOINT)


cdef inline bint reports_earlier(int slot) noexcept nogil:
    """Whether it reports what an earlier method could not: where something begins, for a rollback ignores errors."""
    return slot in (BEGIN_READ, BEGIN_WRITE, FRAME_COUNT, FRAMES, CHECKPOINT)


cdef int wal_failed(Log *log, int slot, object error) noexcept:
    """A method raised: SQLite hears a code; who called SQLite gets the exception as the cause of that error."""
    cdef int code = method_error(error)
    if slot == CLOSE:
        # SQLite does not ask how a close went: who closed the connection hears of it.
        failed = make_error(code, "close() of the WAL methods failed")
        failed.__cause__ = error
        keep_error(failed)
    elif can_report(slot):
        set_cause(error, code)
    elif log.failed is NULL:
        Py_INCREF(error)
        log.failed = <PyObject *>error
        log.failed_code = code
    return code


cdef int report_failed(Log *log) noexcept:
    """Report what an earlier method could not; SQLITE_OK if there is nothing."""
    cdef object error
    if log.failed is NULL:
        return SQLITE_OK
    error = <object>log.failed
    Py_DECREF(error)
    log.failed = NULL
    set_cause(error, log.failed_code)
    return log.failed_code


cdef list page_list(Call *call):
    cdef libsql_pghdr *page = call.pages
    cdef list pages = []
    while page is not NULL:
        pages.append((page.pgno, PyBytes_FromStringAndSize(<char *>page.pData, call.n_buf)))
        page = page.pDirty
    return pages


cdef int undo_pages(Call *call, object numbers) except -1:
    cdef unsigned pgno
    cdef int rc
    for number in numbers:
        pgno = number
        with nogil:
            rc = call.undo(call.ctx, pgno)
        check_code(rc)
    return 0


cdef int copy_out(Call *call, object answer) except -1:
    """What read_frame() returned becomes the page."""
    cdef Py_buffer view
    PyObject_GetBuffer(answer, &view, PyBUF_SIMPLE)
    try:
        if view.len != call.n_buf:
            raise ValueError(f"{wal_names[call.slot]}() returned {view.len} bytes instead of {call.n_buf}")
        memcpy(call.buf, view.buf, call.n_buf)
    finally:
        PyBuffer_Release(&view)
    return 0


cdef int copy_state(unsigned *out, object state) except -1:
    out[0], out[1], out[2], out[3] = state
    return 0


cdef tuple state_of(unsigned *data):
    return (data[0], data[1], data[2], data[3])


cdef int make_call(Log *log, Wal wal, Call *call) except -1:
    """Call the user's method and put its answer where SQLite wants it."""
    cdef int slot = call.slot
    cdef object pages, method
    if log.slot[slot] is NULL:
        # Neither the user's nor the default log's. Those that change nothing are left out.
        if slot in (LIMIT, END_READ, END_WRITE, CALLBACK, EXCLUSIVE_MODE, HEAP_MEMORY):
            return 0
        raise NotImplementedError(f"{wal_names[slot]}() is not defined, and open() has not opened the default log")
    method = <object>log.slot[slot]
    if slot == FIND_FRAME:
        (<unsigned *>call.out)[0] = method(wal, call.a)
    elif slot == READ_FRAME or slot == READ_FRAME_RAW:
        copy_out(call, method(wal, call.a, call.n_buf))
    elif slot == FRAMES:
        pages = page_list(call)
        call.page_list = <PyObject *>pages
        added = method(wal, pages, call.a, bool(call.b), call.c)
        if call.out is not NULL:
            (<int *>call.out)[0] = 0 if added is None else added
    elif slot == BEGIN_READ:
        (<int *>call.out)[0] = bool(method(wal))
    elif slot == DBSIZE:
        (<unsigned *>call.out)[0] = method(wal)
    elif slot == CALLBACK:
        (<int *>call.out)[0] = method(wal)
    elif slot == HEAP_MEMORY or slot == LOG_EXISTS:
        (<int *>call.out)[0] = bool(method(wal))
    elif slot == EXCLUSIVE_MODE:
        (<int *>call.out)[0] = bool(method(wal, call.a))
    elif slot == UNDO:
        undo_pages(call, method(wal))
    elif slot == SAVEPOINT:
        copy_state(<unsigned *>call.out, method(wal))
    elif slot == SAVEPOINT_UNDO:
        state = method(wal, state_of(<unsigned *>call.out))
        if state is not None:
            copy_state(<unsigned *>call.out, state)
    elif slot == SAVEPOINT_FORGET:
        method(wal, state_of(<unsigned *>call.out))
    elif slot == FRAME_COUNT:
        (<unsigned *>call.out)[0] = method(wal, bool(call.a))
    elif slot == CHECKPOINT:
        n_log, n_ckpt = method(wal, call.a, call.c)
        if call.n_log is not NULL:
            call.n_log[0] = n_log
        if call.n_ckpt is not NULL:
            call.n_ckpt[0] = n_ckpt
    elif slot == CLOSE:
        method(wal, call.buf is not NULL, call.c)
    elif slot == LIMIT:
        method(wal, call.a)
    else:
        method(wal)
    return 0


cdef int run_method(Log *log, Call *call) noexcept:
    cdef unsigned long thread = log.thread
    cdef int rc = SQLITE_OK
    cdef object wal = <object>log.wal       # held: the log may be closed by what the method does
    enter_method()
    call.outer = log.call
    log.call = call
    log.thread = PyThread_get_thread_ident()
    if reports_earlier(call.slot):
        rc = report_failed(log)
    if rc == SQLITE_OK or call.slot == CLOSE:
        try:
            make_call(log, <Wal>wal, call)
            rc = SQLITE_OK
        except BaseException as error:
            rc = wal_failed(log, call.slot, error)
    log.call = call.outer
    log.thread = thread
    leave_method()
    return rc


ctypedef int (*method_call)(Log *, Call *) noexcept nogil


cdef int enter_log(Log *log, Call *call) noexcept nogil:
    cdef PyGILState_STATE gil
    cdef int direct = enter_callback(&gil)
    cdef int rc = (<method_call>run_method)(log, call)
    leave_callback(direct, gil)
    return rc


cdef inline Call new_call(int slot) noexcept nogil:
    cdef Call call
    memset(&call, 0, sizeof(Call))
    call.slot = slot
    return call


cdef inline bint goes_down(Log *log, int slot) noexcept nogil:
    """Whether the call is the default log's: nobody defined the method and the log is open."""
    return log.slot[slot] is NULL and log.has_inner and (log.failed is NULL or not reports_earlier(slot))
