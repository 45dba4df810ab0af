# Cursors: executing statements and handing out their rows.

cdef inline int check_cursor(Cursor cur) except -1:
    if not cur.initialized:
        raise ProgrammingError("Base Cursor.__init__ not called.")
    if cur.closed:
        raise ProgrammingError("Cannot operate on a closed cursor.")
    if cur.locked:
        raise ProgrammingError("Recursive use of cursors not allowed.")
    return check_connection(cur._connection)


cdef inline int check_rollback(Cursor cur) except -1:
    """Up to Python 3.10 a rollback ends every result of the connection."""
    if PY_VERSION_HEX < 0x030B0000 and cur.rollbacks != cur._connection.rollbacks:
        cur.rollbacks = cur._connection.rollbacks
        drop_rows(cur)
        raise InterfaceError(
            "Cursor needed to be reset because of commit/rollback and can no longer be fetched from.")
    return 0


cdef inline int end_run(Cursor cur, Statement stmt) except -1:
    """Give back the statement of a run."""
    note_rows(cur, stmt)
    return finish_statement(cur._connection, stmt)


cdef inline int drop_rows(Cursor cur) except -1:
    """Let go of the running statement, if there is one."""
    cdef Statement stmt = cur.stmt
    cur.given = None
    if stmt is not None:
        cur.stmt = None
        end_run(cur, stmt)
    return 0


cdef inline int give_back(Cursor cur) except -1:
    """At the end of a cursor's life its statement goes back to the connection; a forked child leaves it alone."""
    if cur.stmt is not None and cur._connection is not None and cur.stmt.s.fork == lsc_fork_count():
        drop_rows(cur)
    return 0


cdef str check_sql(object sql, str where):
    if not isinstance(sql, str):
        raise TypeError(f"{where} must be str, not {not_type(sql)}")
    return <str>sql if type(sql) is str else str.__str__(sql)


cdef inline int start_transaction(Connection con, Statement stmt) except -1:
    if (stmt.is_dml and con.begin_sql is not None and con._autocommit == -1
            and lsc_autocommit(con.db)):
        begin(con, con.begin_sql)
    return 0


cdef int execute_one(Cursor cur, str sql, object params) except -1:
    cdef Connection con = cur._connection
    cdef Statement stmt
    cdef sqlite3_stmt *st
    cdef int rc, n

    cur.locked = True
    stmt = None
    try:
        drop_rows(cur)
        cur.columns = None
        cur.converters = None
        cur._rowcount = -1
        cur.n_read = cur.n_written = 0
        stmt = get_statement(con, sql)
        st = stmt.s.st
        if stmt.is_dml:
            cur._rowcount = 0
            start_transaction(con, stmt)
        fill_params(stmt, params)
        if st is NULL:
            stmt.in_use = False
            return 0
        check_open(con)     # an adapter or a trace callback may have closed it
        n = stmt.n_param
        rc = SQLITE_OK
        con.running += 1
        leave_python()
        if n:
            rc = lsc_bind(&stmt.s, stmt.params, n)
        if rc == SQLITE_OK:
            rc = lsc_step(&stmt.s)
        enter_python()
        try:
            raise_kept()
            if con.closing:
                check_open(con)
            if rc != SQLITE_ROW and rc != SQLITE_DONE:
                raise_error(&stmt.s.error)
            refresh_columns(con, stmt)
            cur.columns = stmt.columns
            if con.detect_types and stmt.columns is not None:
                cur.converters = make_converters(con, st)
            if rc == SQLITE_DONE and stmt.is_dml:
                cur._rowcount = stmt.s.changes
            cur.rowid = stmt.s.rowid
            cur.has_rowid = True
        finally:
            leave(con)
        if rc == SQLITE_ROW and con.db is not NULL:
            cur.rollbacks = con.rollbacks
            cur.stmt = stmt
            return 0
        end_run(cur, stmt)
        return 0
    except BaseException:
        if stmt is not None:
            end_run(cur, stmt)
        cur._rowcount = -1
        raise
    finally:
        cur.locked = False


cdef int execute_many(Cursor cur, str sql, object rows) except -1:
    cdef Connection con = cur._connection
    cdef Statement stmt = None

    cur.locked = True
    try:
        drop_rows(cur)
        rows = iter(rows) if type(rows) is not list and type(rows) is not tuple else rows
        cur.columns = None
        cur.converters = None
        cur._rowcount = -1
        cur.n_read = cur.n_written = 0
        stmt = get_statement(con, sql)
        if stmt.s.st is NULL or stmt.readonly:
            raise ProgrammingError("executemany() can only execute DML statements.")
        if stmt.is_dml:
            cur._rowcount = 0
            start_transaction(con, stmt)
        if type(rows) is list or type(rows) is tuple:
            run_sequence(cur, con, stmt, rows)
        else:
            for params in rows:
                run_params(cur, con, stmt, params)
        refresh_columns(con, stmt)
        cur.columns = stmt.columns
        end_run(cur, stmt)
    except BaseException:
        if stmt is not None:
            end_run(cur, stmt)
        cur._rowcount = -1
        raise
    finally:
        cur.locked = False
    return 0


cdef int run_params(Cursor cur, Connection con, Statement stmt, object params) except -1:
    """Run the statement for one set of parameters."""
    fill_params(stmt, params)
    run_cells(cur, con, stmt, stmt.params, 1)
    return 0


cdef int run_cells(Cursor cur, Connection con, Statement stmt, lsc_cell *cells, int n_row) except -1:
    cdef int rc, done
    cdef int n_param = stmt.n_param
    cdef sqlite3_int64 changes = 0
    check_open(con)     # what made the parameters may have closed it
    con.running += 1
    leave_python()
    rc = lsc_run_many(&stmt.s, cells, n_param, n_row, &done, &changes)
    enter_python()
    try:
        raise_kept()
        if con.closing:
            check_open(con)
        if rc != SQLITE_DONE:
            raise_error(&stmt.s.error)
    finally:
        leave(con)
    check_open(con)
    if stmt.is_dml:
        cur._rowcount += changes
    return 0


cdef int run_sequence(Cursor cur, Connection con, Statement stmt, object rows) except -1:
    """Run a list or tuple of parameter rows. Rows that need no Python code to bind go to SQLite in groups."""
    cdef Py_ssize_t i = 0
    cdef int n_param = stmt.n_param
    cdef int room, n_row, j
    cdef lsc_cell *cells
    cdef list kept
    cdef object params
    cdef PyObject *item
    cdef bint check_names, single

    room = LSC_BATCH_CELLS // n_param if n_param else LSC_BATCH_ROWS
    room = max(1, min(room, LSC_BATCH_ROWS))
    check_names = n_param > 0 and stmt.has_names
    cells = <lsc_cell *>PyMem_Malloc(sizeof(lsc_cell) * max(1, room * n_param))
    if cells is NULL:
        raise MemoryError()
    try:
        while i < len(rows):
            n_row = 0
            kept = []
            single = False
            while n_row < room and i < len(rows):
                params = rows[i]
                i += 1
                single = True
                if (check_names or plain_adapted or type(params) is not tuple
                        or PyTuple_GET_SIZE(params) != n_param):
                    break
                for j in range(n_param):
                    item = PyTuple_GET_ITEM(params, j)
                    if not is_plain(<object>item) or not try_cell(&cells[n_row * n_param + j], <object>item):
                        break
                else:
                    kept.append(params)
                    n_row += 1
                    single = False
                    continue
                break
            if n_row:
                run_cells(cur, con, stmt, cells, n_row)
            if single:
                run_params(cur, con, stmt, params)
    finally:
        PyMem_Free(cells)
    return 0


cdef inline bint try_cell(lsc_cell *cell, object value):
    """fill_cell(), but a value that cannot be bound is left for the caller to run into once the rows before it
    have been run."""
    try:
        return fill_cell(cell, value)
    except (OverflowError, UnicodeEncodeError):
        return False


@cython.freelist(16)
cdef class Cursor:
    """Runs statements on a connection and fetches their rows."""

    def __dealloc__(self):
        give_back(self)

    def __del__(self):
        # In a cycle of garbage: the fields are still there, which __dealloc__ cannot count on.
        give_back(self)

    def __cinit__(self, *args, **kwargs):
        self._rowcount = -1

    def __init__(self, connection, /):
        if not isinstance(connection, Connection):
            raise TypeError(f"Cursor() argument 1 must be libsql_core.Connection, not {not_type(connection)}")
        if self.locked:
            raise ProgrammingError("Recursive use of cursors not allowed.")
        drop_rows(self)     # of the connection it had before, if it is initialised anew
        start_cursor(self, <Connection>connection)

    def execute(self, sql, parameters=(), /):
        """Run one SQL statement. Returns the cursor itself."""
        sql = check_sql(sql, "execute() argument 1")
        check_cursor(self)
        execute_one(self, <str>sql, parameters)
        return self

    def executemany(self, sql, seq_of_parameters, /):
        """Run one INSERT, UPDATE, DELETE or REPLACE once for each item. Returns the cursor itself."""
        sql = check_sql(sql, "executemany() argument 1")
        check_cursor(self)
        execute_many(self, <str>sql, seq_of_parameters)
        return self

    def executescript(self, sql_script, /):
        """Run any number of statements, after committing an open transaction under legacy control.

        Rows are discarded. Returns the cursor itself.
        """
        cdef Connection con = self._connection
        cdef const char *z
        cdef Py_ssize_t n
        cdef int rc
        cdef lsc_error error
        error.text = NULL
        if PY_VERSION_HEX < 0x030B0000 and not isinstance(sql_script, str):
            raise ValueError("script argument must be unicode.")
        sql_script = check_sql(sql_script, "executescript() argument")
        check_cursor(self)
        z = PyUnicode_AsUTF8AndSize(sql_script, &n)
        if strlen(z) != <size_t>n:
            raise ValueError("embedded null character")
        if con._autocommit == -1:
            end_transaction(con, True)
        con.running += 1
        with nogil:
            rc = lsc_script(con.db, z, n, &error)
        try:
            raise_kept()
            if con.closing:
                check_open(con)
            if rc == SQLITE_TOOBIG and error.text is NULL:
                raise DataError("query string is too large")
            if rc != SQLITE_OK:
                raise_error(&error)
        finally:
            leave(con)
        return self

    def fetchone(self):
        """The next row, or None."""
        cdef object row = next_row(self)
        return None if row is NO_ROW else row

    @cython.embedsignature(False)
    def fetchmany(self, size=ABSENT):
        """fetchmany($self, /, size=1)
--

A list of up to size rows (`arraysize` by default); empty at the end.
"""
        cdef list rows = []
        cdef int limit = self._arraysize if size is ABSENT else row_count(size, "Python int too large for C uint32_t")
        if limit == 0 and PY_VERSION_HEX >= 0x030E0000:
            check_cursor(self)
        else:
            fetch_rows(self, rows, limit)
        return rows

    def fetchall(self):
        """A list of all remaining rows."""
        cdef list rows = []
        fetch_rows(self, rows, 0)
        return rows

    def close(self):
        """Close the cursor; it cannot be used afterwards."""
        if not self.initialized:
            raise ProgrammingError("Base Cursor.__init__ not called.")
        if self.locked:
            raise ProgrammingError("Recursive use of cursors not allowed.")
        check_connection(self._connection)
        drop_rows(self)
        self.closed = True

    def setinputsizes(self, sizes, /):
        """Does nothing; part of PEP 249."""

    def setoutputsize(self, size, column=None, /):
        """Does nothing; part of PEP 249."""

    def __iter__(self):
        return self

    def __next__(self):
        cdef object row = next_row(self)
        if row is NO_ROW:
            raise StopIteration
        return row

    @property
    def connection(self):
        """The connection the cursor belongs to."""
        return self._connection

    @property
    def arraysize(self):
        """How many rows `fetchmany` fetches by default."""
        return self._arraysize

    @arraysize.setter
    def arraysize(self, rows):
        self._arraysize = row_count(rows, "Python int too large to convert to C uint32_t")

    @arraysize.deleter
    def arraysize(self):
        if PY_VERSION_HEX >= 0x030E0000:
            raise AttributeError("attribute 'arraysize' of 'libsql_core.Cursor' objects cannot be deleted")
        raise TypeError("can't delete numeric/char attribute")

    @property
    def row_factory(self):
        """Called with the cursor and a tuple for each row; None for the tuple itself."""
        return self._row_factory

    @row_factory.setter
    def row_factory(self, factory):
        self._row_factory = factory

    @row_factory.deleter
    def row_factory(self):
        raise AttributeError("cannot delete row_factory attribute")

    @property
    def description(self):
        """A 7-tuple for each column of the last query, its name first; None if it had no columns."""
        return None if self.columns is None else describe(self.columns)

    @property
    def lastrowid(self):
        """The connection's last inserted row id when `execute` last succeeded, or None."""
        return self.rowid if self.has_rowid else None

    @property
    def rowcount(self):
        """Rows changed by the last INSERT, UPDATE, DELETE or REPLACE; -1 for other statements."""
        return self._rowcount

    @property
    def rows_read(self):
        """Rows and index entries that the last `execute` or `executemany` has visited so far."""
        if not self.locked:     # else another thread may be counting
            note_rows(self, self.stmt)
        return self.n_read

    @property
    def rows_written(self):
        """Rows and index entries that the last `execute` or `executemany` has written so far."""
        if not self.locked:     # else another thread may be counting
            note_rows(self, self.stmt)
        return self.n_written


cdef int row_count(object value, str too_large) except? -1:
    """A number of rows. Newer interpreters refuse negative ones, and say so of larger ones in their own words."""
    if PY_VERSION_HEX < 0x030E0000:
        return c_int(value)
    value = PyNumber_Index(value)
    if value < 0:
        raise ValueError("Cannot convert negative int")
    if value > 0xffffffff:
        raise OverflowError(too_large)
    return <int>min(value, INT_MAX)


cdef inline int start_cursor(Cursor cur, Connection con) except -1:
    cur._connection = con
    cur.stmt = None
    cur.given = None
    cur.columns = None
    cur.converters = None
    cur._arraysize = 1
    cur._row_factory = None
    cur.has_rowid = False
    cur._rowcount = -1
    cur.n_read = cur.n_written = 0
    cur.closed = False
    cur.locked = False
    check_thread(con)
    cur.initialized = True
    return 0


cdef inline Cursor new_cursor(Connection con):
    """A plain cursor, as `connection.cursor()` makes it."""
    cdef Cursor cur = <Cursor>Cursor.__new__(Cursor)
    start_cursor(cur, con)
    cur._row_factory = con._row_factory
    return cur
