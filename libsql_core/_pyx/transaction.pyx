# Opening, checking and closing connections, and their transactions.

cdef inline int check_open(Connection con) except -1:
    if con.db is NULL or con.closing:
        if not con.initialized:
            raise ProgrammingError("Base Connection.__init__ not called.")
        raise ProgrammingError("Cannot operate on a closed database.")
    if con.fork_id != lsc_fork_count():
        check_fork(con)
    return 0


cdef int check_fork(Connection con) except -1:
    """In a forked child: a database in memory is the child's own copy, a file is still the parent's business."""
    cdef lsc_stmt *s
    if lsc_has_file(con.db):
        raise ProgrammingError(
            "This connection was opened before a fork and belongs to the parent process; open a new one in the child.")
    con.fork_id = lsc_fork_count()
    s = con.stmts
    while s is not NULL:
        s.fork = con.fork_id
        s = s.next
    return 0


cdef inline int check_thread(Connection con) except -1:
    if con.check_same_thread and PyThread_get_thread_ident() != con.thread_id:
        raise ProgrammingError(
            "SQLite objects created in a thread can only be used in that same thread. The object was created in "
            f"thread id {con.thread_id} and this is thread id {PyThread_get_thread_ident()}.")
    return 0


cdef inline int check_connection(Connection con) except -1:
    check_thread(con)
    return check_open(con)


cdef inline void lock(Connection con) noexcept:
    """Begin a run that keeps the GIL and holds the connection's mutex."""
    con.running += 1
    if con.running > 1:
        # Another thread may hold the mutex and wait for the GIL.
        with nogil:
            sqlite3_mutex_enter(sqlite3_db_mutex(con.db))
    else:
        sqlite3_mutex_enter(sqlite3_db_mutex(con.db))


cdef inline void unlock(Connection con) noexcept:
    sqlite3_mutex_leave(sqlite3_db_mutex(con.db))
    leave(con)


cdef inline void leave(Connection con) noexcept:
    """End a run, and close the connection if that was asked for meanwhile."""
    drop_kept()
    drop_cause()
    con.running -= 1
    if con.closing and con.running == 0:
        close_handle(con)


cdef void close_handle(Connection con) noexcept:
    """Finalize every statement and close. In a forked child the parent's handle is left alone, and leaked."""
    cdef sqlite3 *db = con.db
    cdef lsc_stmt *s
    con.db = NULL
    con.closing = False
    if db is NULL:
        return
    if con.fork_id != lsc_fork_count() and lsc_has_file(db):
        unlink_all(con)
        return
    con.running += 1
    while con.stmts is not NULL:
        s = con.stmts
        unlink_statement(s)
        with nogil:
            lsc_finalize(s)
    with nogil:
        sqlite3_close_v2(db)
    con.running -= 1


cdef int close_connection(Connection con) except -1:
    """Close now, or as soon as no call into SQLite is under way."""
    close_blobs(con)
    clear_cache(con)
    con.begin_stmt = con.commit_stmt = con.rollback_stmt = None
    if con.db is NULL:
        return 0
    if con.running:
        con.closing = True
    else:
        close_handle(con)
        raise_kept()
    return 0


cdef void unlink_all(Connection con) noexcept:
    """Leave the statements to the objects that hold them."""
    while con.stmts is not NULL:
        unlink_statement(con.stmts)


cdef int retire_connection(Connection con) except -1:
    """Close for `__init__` called again: statements that cursors still run live on, and keep the old database."""
    unlink_all(con)
    return close_connection(con)


cdef int run_statement(Connection con, Statement stmt) except -1:
    """Run a statement that returns no rows."""
    cdef int rc
    con.running += 1
    with nogil:
        rc = lsc_step(&stmt.s)
    try:
        if rc != SQLITE_DONE and rc != SQLITE_ROW:
            raise_error(&stmt.s.error)
    finally:
        leave(con)
    check_open(con)
    return 0


cdef int begin(Connection con, str sql) except -1:
    if con.begin_stmt is None or con.begin_stmt.sql is not sql:
        con.begin_stmt = prepare(con, sql, True)
    return run_statement(con, con.begin_stmt)


cdef int end_transaction(Connection con, bint keep) except -1:
    """Commit or roll back, if there is anything to; where a transaction is always open, begin the next."""
    if con._autocommit == 1 or (con._autocommit == -1 and lsc_autocommit(con.db)):
        return 0
    if keep:
        run_commit(con)
    else:
        run_rollback(con)
    if con._autocommit == 0:
        begin(con, "BEGIN")
    return 0


cdef int run_commit(Connection con) except -1:
    if con.commit_stmt is None:
        con.commit_stmt = prepare(con, "COMMIT", True)
    return run_statement(con, con.commit_stmt)


cdef int run_rollback(Connection con) except -1:
    if con.rollback_stmt is None:
        con.rollback_stmt = prepare(con, "ROLLBACK", True)
    con.rollbacks += 1
    return run_statement(con, con.rollback_stmt)


cdef tuple isolation_levels = ("", "DEFERRED", "IMMEDIATE", "EXCLUSIVE")


cdef str begin_text(object level):
    """The statement that opens a transaction of this isolation level; None if there are none."""
    cdef str known
    if level is None:
        return None
    if not isinstance(level, str):
        raise TypeError("isolation_level must be str or None")
    str.encode(level)  # raises for what is no text
    upper = str.upper(level)
    for known in isolation_levels:
        if known == upper and str.isascii(level):
            if PY_VERSION_HEX < 0x030B0000:
                return f"BEGIN {level}"
            return begin_texts[known]
    if "\0" in <str>level:
        raise ValueError("embedded null character")
    raise ValueError("isolation_level string must be '', 'DEFERRED', 'IMMEDIATE', or 'EXCLUSIVE'")


cdef dict begin_texts = {level: f"BEGIN {level}" for level in isolation_levels}


cdef int autocommit_value(object value) except -2:
    if value is True:
        return 1
    if value is False:
        return 0
    if PyLong_Check(value) and value == -1:
        return -1
    raise ValueError("autocommit must be True, False, or sqlite3.LEGACY_TRANSACTION_CONTROL")


cdef bytes file_name(object database):
    cdef bytes path = _fsencode(database)
    if b"\0" in path:
        raise ValueError("embedded null byte")
    return path


cdef int open_connection(Connection con, bytes path, double timeout, int detect_types, str begin_sql,
                         bint check_same_thread, int cached_statements, bint uri, int autocommit,
                         bytes wal, Key key) except -1:
    cdef const char *z = path
    cdef const char *z_wal = NULL if wal is None else <const char *>wal
    cdef sqlite3 *db = NULL
    cdef int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
    cdef int ms = milliseconds(timeout)
    cdef int rc

    if uri:
        flags |= SQLITE_OPEN_URI
    with nogil:
        rc = libsql_open(z, &db, flags, NULL, z_wal)
        if rc == SQLITE_OK:
            sqlite3_busy_timeout(db, ms)
    if db is NULL:
        raise MemoryError()
    if rc != SQLITE_OK:
        try:
            raise_handle(db)
        finally:
            with nogil:
                sqlite3_close_v2(db)
    if key is not None:
        rc = set_key(db, key)
        if rc != SQLITE_OK:
            try:
                raise_key(db, rc)
            finally:
                with nogil:
                    sqlite3_close_v2(db)
    con.db = db
    con.stmts = NULL
    con.fork_id = lsc_fork_count()
    con.closing = False
    clear_cache(con)
    con.cache_size = cached_statements
    con.begin_stmt = con.commit_stmt = con.rollback_stmt = None
    con._row_factory = None
    con._text_factory = str
    con.begin_sql = begin_sql
    con._isolation_level = None if begin_sql is None else begin_sql[6:]
    con._autocommit = autocommit
    con.detect_types = detect_types
    con.check_same_thread = check_same_thread
    con.thread_id = PyThread_get_thread_ident()
    con.blobs = []
    con.authorizer = con.progress = con.trace = None
    con.initialized = True
    if autocommit == 0:
        begin(con, "BEGIN")
    return 0
