# Managers of logs whose methods are written in Python, and the names they are registered under.

cdef struct Manager:
    PyObject *owner             # owned: the WalManager
    PyObject *slot[N_METHOD]    # methods that the user's class defines, NULL for the others


@cython.final
cdef class WalManager:
    """What is registered under a name. Keeps alive what its Manager points to."""
    cdef Manager c
    cdef list held

    def __cinit__(self, methods, dict defaults):
        cdef int i
        self.held = [methods]
        for i in range(N_METHOD):
            method = getattr(methods, wal_names[i])
            if getattr(method, "__func__", None) is not defaults[wal_names[i]]:
                self.held.append(method)
                self.c.slot[i] = <PyObject *>method
        self.c.owner = <PyObject *>self


cdef int make_log(Log *log) except -1:
    """Give a Log its Wal and the manager's methods."""
    global made_here
    cdef Wal wal
    made_here = True
    try:
        wal = Wal.__new__(Wal)
    finally:
        made_here = False
    wal.log = log
    wal.path = log.name.decode("utf-8", "surrogateescape")
    Py_INCREF(wal)
    log.wal = <PyObject *>wal
    return 0


cdef int run_make_log(Log *log) noexcept:
    try:
        make_log(log)
    except BaseException as error:
        enter_method()
        set_cause(error, SQLITE_NOMEM)
        leave_method()
        return SQLITE_NOMEM
    return SQLITE_OK


cdef int run_drop_log(Log *log) noexcept:
    (<Wal>log.wal).log = NULL
    Py_DECREF(<object>log.wal)
    Py_XDECREF(log.failed)
    return SQLITE_OK


ctypedef int (*log_call)(Log *) noexcept nogil


cdef inline int enter_log_call(log_call what, Log *log) noexcept nogil:
    cdef PyGILState_STATE gil
    cdef int direct = enter_callback(&gil)
    cdef int rc = what(log)
    leave_callback(direct, gil)
    return rc


cdef int start_log(Log *log, wal_manager_impl *manager, sqlite3_vfs *vfs, sqlite3_file *file,
                   const char *name) noexcept nogil:
    memset(log, 0, sizeof(Log))
    log.vfs = vfs
    log.file = file
    log.name = name
    log.slot = (<Manager *>manager).slot
    return enter_log_call(<log_call>run_make_log, log)


cdef int manager_open(wal_manager_impl *manager, sqlite3_vfs *vfs, sqlite3_file *file, int no_shm, long long max_size,
                      const char *name, libsql_wal *out) noexcept nogil:
    cdef Log *log = <Log *>sqlite3_malloc64(sizeof(Log))
    cdef Call call
    cdef int rc
    if log is NULL:
        return SQLITE_NOMEM
    rc = start_log(log, manager, vfs, file, name)
    if rc != SQLITE_OK:
        sqlite3_free(log)
        return rc
    log.no_shm = no_shm
    log.max_size = max_size
    if log.slot[OPEN] is NULL:
        rc = sqlite3_wal_manager.xOpen(sqlite3_wal_manager.pData, vfs, file, no_shm, max_size, name, &log.inner)
        log.has_inner = rc == SQLITE_OK
    else:
        call = new_call(OPEN)
        rc = enter_log(log, &call)
    if rc != SQLITE_OK:
        if log.has_inner:
            sqlite3_wal_manager.xClose(sqlite3_wal_manager.pData, log.inner.pData, NULL, 0, 0, NULL)
        enter_log_call(<log_call>run_drop_log, log)
        sqlite3_free(log)
        return rc
    memset(out, 0, sizeof(libsql_wal))
    out.pData = <wal_impl *>log
    out.methods.iVersion = 2
    out.methods.xLimit = log_limit
    out.methods.xBeginReadTransaction = log_begin_read
    out.methods.xEndReadTransaction = log_end_read
    out.methods.xFindFrame = log_find_frame
    out.methods.xReadFrame = log_read_frame
    out.methods.xReadFrameRaw = log_read_frame_raw
    out.methods.xDbsize = log_dbsize
    out.methods.xBeginWriteTransaction = log_begin_write
    out.methods.xEndWriteTransaction = log_end_write
    out.methods.xUndo = log_undo
    out.methods.xSavepoint = log_savepoint
    out.methods.xSavepointUndo = log_savepoint_undo
    out.methods.xFrameCount = log_frame_count
    out.methods.xFrames = log_frames
    out.methods.xCheckpoint = log_checkpoint
    out.methods.xCallback = log_callback
    out.methods.xExclusiveMode = log_exclusive_mode
    out.methods.xHeapMemory = log_heap_memory
    out.methods.xSavepointForget = log_savepoint_forget
    if log.has_inner:
        out.methods.xFile = log_file
    return SQLITE_OK


cdef int manager_close(wal_manager_impl *manager, wal_impl *p, sqlite3 *db, int sync_flags, int n_buf,
                       unsigned char *buf) noexcept nogil:
    cdef Log *log = <Log *>p
    cdef Call call
    cdef int rc = SQLITE_OK
    if log.slot[CLOSE] is not NULL:
        call = new_call(CLOSE)
        call.db = db
        call.c = sync_flags
        call.n_buf = n_buf
        call.buf = buf
        rc = enter_log(log, &call)
        buf = NULL
    if log.has_inner:
        rc = sqlite3_wal_manager.xClose(sqlite3_wal_manager.pData, log.inner.pData, db, sync_flags, n_buf, buf)
    enter_log_call(<log_call>run_drop_log, log)
    sqlite3_free(log)
    return rc


cdef int log_of_name(wal_manager_impl *manager, int slot, sqlite3_vfs *vfs, const char *name, int *out) noexcept nogil:
    """A method that is asked about a log that is not open, with a Wal of its own."""
    cdef Log log
    cdef Call call
    cdef int rc
    if (<Manager *>manager).slot[slot] is NULL:
        if slot == LOG_EXISTS:
            return sqlite3_wal_manager.xLogExists(sqlite3_wal_manager.pData, vfs, name, out)
        return sqlite3_wal_manager.xLogDestroy(sqlite3_wal_manager.pData, vfs, name)
    rc = start_log(&log, manager, vfs, NULL, name)
    if rc == SQLITE_OK:
        call = new_call(slot)
        call.out = out
        rc = enter_log(&log, &call)
        enter_log_call(<log_call>run_drop_log, &log)
    return rc


cdef int manager_log_destroy(wal_manager_impl *manager, sqlite3_vfs *vfs, const char *name) noexcept nogil:
    return log_of_name(manager, LOG_DESTROY, vfs, name, NULL)


cdef int manager_log_exists(wal_manager_impl *manager, sqlite3_vfs *vfs, const char *name, int *exists) noexcept nogil:
    return log_of_name(manager, LOG_EXISTS, vfs, name, exists)


cdef void manager_destroy(wal_manager_impl *manager) noexcept nogil:
    forget_object((<Manager *>manager).owner)


def register_wal(name, methods, defaults, bint uses_shm):
    """Register methods under a name; `defaults` are the base class's functions by name."""
    cdef bytes z = c_text(name, "register() argument 'name'")
    cdef WalManager made = WalManager(methods, defaults)
    cdef libsql_wal_manager manager
    manager.bUsesShm = uses_shm
    manager.xOpen = manager_open
    manager.xClose = manager_close
    manager.xLogDestroy = manager_log_destroy
    manager.xLogExists = manager_log_exists
    manager.xDestroy = manager_destroy
    manager.pData = <wal_manager_impl *>&made.c
    Py_INCREF(made)
    cdef int rc = libsql_wal_manager_register(z, manager)
    if rc == SQLITE_MISUSE:
        raise ValueError(f"{name!r} is reserved: a name may not be empty or begin with 'default'")
    check_code(rc)


def unregister_wal(name):
    """Remove a name; whether it was registered."""
    cdef bytes z = c_text(name, "unregister() argument 'name'")
    return libsql_wal_manager_unregister(z) == SQLITE_OK


def wal_managers():
    """The registered names."""
    cdef const char *z = libsql_wal_manager_next(NULL)
    cdef list names = []
    while z is not NULL:
        names.append(z.decode())
        z = libsql_wal_manager_next(z)
    return names
