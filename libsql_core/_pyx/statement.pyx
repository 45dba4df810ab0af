# Prepared statements and the cache of them.

@cython.final
@cython.freelist(32)
cdef class Statement:
    """A prepared statement. Not made by users: `Connection(sql)` returns one."""

    def __cinit__(self, *args):
        if not made_here:
            raise TypeError("cannot create 'libsql_core.Statement' instances")

    def __dealloc__(self):
        unlink_statement(&self.s)
        # A forked child leaks the parent's statement: finalizing could end a transaction of the parent.
        if self.s.st is not NULL and self.s.fork == lsc_fork_count():
            with nogil:
                lsc_finalize(&self.s)
        PyMem_Free(self.params)


cdef inline void unlink_statement(lsc_stmt *s) noexcept:
    if s.link is not NULL:
        s.link[0] = s.next
        if s.next is not NULL:
            s.next.link = s.link
        s.link = NULL
        s.next = NULL


cdef Statement prepare(Connection con, str sql, bint persistent):
    """Compile the one statement in sql."""
    global made_here
    cdef Statement stmt
    cdef Py_ssize_t n
    cdef const char *z = PyUnicode_AsUTF8AndSize(sql, &n)
    cdef sqlite3 *db
    cdef int rc, tail
    cdef unsigned flags = SQLITE_PREPARE_PERSISTENT if persistent else 0

    check_open(con)
    db = con.db
    if strlen(z) != <size_t>n:
        if PY_VERSION_HEX >= 0x030B0000:
            raise ProgrammingError("the query contains a null character")
        raise ValueError("the query contains a null character")

    made_here = True
    stmt = Statement.__new__(Statement)
    made_here = False
    stmt.sql = sql
    stmt.s.fork = con.fork_id
    con.running += 1
    with nogil:
        rc = lsc_prepare(db, z, n, flags, &stmt.s, &tail)
    if stmt.s.st is not NULL:
        stmt.s.next = con.stmts
        stmt.s.link = &con.stmts
        if con.stmts is not NULL:
            con.stmts.link = &stmt.s.next
        con.stmts = &stmt.s
    try:
        raise_kept()
        if rc == SQLITE_TOOBIG and stmt.s.error.text is NULL:
            raise DataError("query string is too large")
        if rc != SQLITE_OK:
            raise_error(&stmt.s.error)
    finally:
        leave(con)
    check_open(con)
    if not lsc_is_blank(z + tail):
        if PY_VERSION_HEX >= 0x030B0000:
            raise ProgrammingError("You can only execute one statement at a time.")
        raise Warning("You can only execute one statement at a time.")
    if stmt.s.st is not NULL:
        describe_statement(stmt, z)
    return stmt


cdef int describe_statement(Statement stmt, const char *z) except -1:
    cdef int i
    stmt.is_dml = lsc_is_dml(z)
    stmt.readonly = sqlite3_stmt_readonly(stmt.s.st)
    stmt.n_prepare = -1
    stmt.n_param = sqlite3_bind_parameter_count(stmt.s.st)
    if stmt.n_param > 0:
        stmt.params = <lsc_cell *>PyMem_Calloc(stmt.n_param, sizeof(lsc_cell))
        if stmt.params is NULL:
            raise MemoryError()
        for i in range(stmt.n_param):
            if sqlite3_bind_parameter_name(stmt.s.st, i + 1) is not NULL:
                stmt.has_names = True
                break
    return 0


cdef inline void unlink_cached(Connection con, Statement stmt) noexcept:
    if stmt.older is None:
        con.oldest = stmt.newer
    else:
        stmt.older.newer = stmt.newer
    if stmt.newer is None:
        con.newest = stmt.older
    else:
        stmt.newer.older = stmt.older
    stmt.older = stmt.newer = None


cdef inline void link_newest(Connection con, Statement stmt) noexcept:
    stmt.older = con.newest
    if con.newest is None:
        con.oldest = stmt
    else:
        con.newest.newer = stmt
    con.newest = stmt


cdef Statement get_statement(Connection con, str sql):
    """The statement for sql, from the cache if it is there and free; marked as in use."""
    cdef PyObject *found
    cdef Statement stmt, oldest
    found = PyDict_GetItemWithError(con.cache, sql)
    if found is not NULL:
        stmt = <Statement>found
        if stmt is not con.newest:
            unlink_cached(con, stmt)
            link_newest(con, stmt)
        if stmt.in_use:
            stmt = prepare(con, sql, False)
        stmt.in_use = True
        return stmt
    stmt = prepare(con, sql, False)
    stmt.in_use = True
    if con.cache_size > 0:
        if len(con.cache) >= con.cache_size:
            oldest = con.oldest
            unlink_cached(con, oldest)
            del con.cache[oldest.sql]
        con.cache[sql] = stmt
        link_newest(con, stmt)
    return stmt


cdef int clear_cache(Connection con) except -1:
    """Empty the cache; statements that cursors run live on with them."""
    con.cache = {}
    while con.oldest is not None:
        unlink_cached(con, con.oldest)
    return 0


cdef int finish_statement(Connection con, Statement stmt) except -1:
    """Reset a statement, let go of its parameters, and give it back to the cache."""
    if stmt.s.st is not NULL:
        # An aggregate that is cut short is finalized here, and its code may close the connection: hence a run.
        con.running += 1
        if not stmt.readonly or con.running > 1:
            with nogil:
                lsc_release(&stmt.s)
        else:
            lsc_release(&stmt.s)
        leave(con)
    stmt.bound = None
    stmt.in_use = False
    return 0


cdef inline int refresh_columns(Connection con, Statement stmt) except -1:
    """Bring stmt.columns up to date after a step: SQLite may have prepared the statement anew."""
    cdef int n_prepare = lsc_n_prepare(&stmt.s)
    if n_prepare != stmt.n_prepare:
        stmt.columns = make_columns(con, stmt.s.st) if sqlite3_column_count(stmt.s.st) else None
        stmt.n_prepare = n_prepare
    return 0
