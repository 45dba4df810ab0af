# Rows: from SQLite's cells to Python objects. Loops here look up no attribute and no dict.

cdef inline PyObject *plain_cell(const lsc_cell *cell) noexcept:
    """A value under the default text_factory; NULL with an exception set if that fails."""
    cdef int t = cell.type
    if t == SQLITE_INTEGER:
        return PyLong_FromLongLong(cell.u.i)
    if t == SQLITE_TEXT:
        return PyUnicode_DecodeUTF8(<const char *>cell.u.z, cell.n, NULL)
    if t == SQLITE_FLOAT:
        return PyFloat_FromDouble(cell.u.r)
    if t == SQLITE_BLOB:
        return raw_bytes(<const char *>cell.u.z, cell.n)
    return new_none()


cdef inline object take(PyObject *made):
    """The object of a new reference, or its exception."""
    if made is NULL:
        raise_pending()
    cdef object value = <object>made
    Py_DECREF(value)
    return value


cdef inline tuple plain_row(const lsc_cell *cell, int n):
    """A row of values under the default text_factory. Nothing in it can be part of a cycle, so the garbage
    collector is told to leave it alone: that is what makes large results cheap."""
    cdef PyObject *row = PyTuple_New(n)
    cdef PyObject *value
    cdef int i
    if row is NULL:
        raise_pending()
    for i in range(n):
        value = plain_cell(&cell[i])
        if value is NULL:
            Py_XDECREF(row)
            raise_pending()
        PyTuple_SET_ITEM(row, i, value)
    PyObject_GC_UnTrack(row)
    return <tuple>take(row)


cdef object text_error(Columns columns, int i, const lsc_cell *cell):
    cdef bytes text = (b"Could not decode to UTF-8 column '%s' with text '%s'" % (
        columns.names[i].encode("utf-8", "replace"),
        PyBytes_FromStringAndSize(<const char *>cell.u.z, cell.n).split(b"\0", 1)[0]))
    return OperationalError(text[:198].decode("ascii", "replace"))


cdef object text_value(object factory, Columns columns, int i, const lsc_cell *cell):
    """A text under a text_factory."""
    if factory is str:
        try:
            return take(plain_cell(cell))
        except UnicodeDecodeError:
            raise text_error(columns, i, cell) from None
    if factory is bytes:
        return PyBytes_FromStringAndSize(<const char *>cell.u.z, cell.n)
    if factory is bytearray:
        return PyByteArray_FromStringAndSize(<const char *>cell.u.z, cell.n)
    return factory(PyBytes_FromStringAndSize(<const char *>cell.u.z, cell.n))


cdef tuple slow_row(Cursor cur, const lsc_cell *cell, int n):
    """A row with converters, a text_factory of the user's, or text that is not UTF-8."""
    cdef tuple row = take(PyTuple_New(n))
    cdef object factory = cur._connection._text_factory
    cdef list converters = cur.converters
    cdef object converter, value
    cdef int i
    PyObject_GC_UnTrack(<void *>row)    # not to be found while it has holes
    for i in range(n):
        converter = None if converters is None or i >= PyList_GET_SIZE(converters) else converters[i]
        if converter is not None and cell[i].type != SQLITE_NULL:
            # As in the standard library, what is empty converts to None.
            value = cell_bytes(&cell[i], &cur.stmt.s, i)
            if value is not None:
                value = PyObject_CallOneArg(converter, value)
        elif cell[i].type == SQLITE_TEXT:
            value = text_value(factory, cur.columns, i, &cell[i])
        else:
            value = take(plain_cell(&cell[i]))
        Py_INCREF(value)
        PyTuple_SET_ITEM(<PyObject *>row, i, <PyObject *>value)
    PyObject_GC_Track(<void *>row)
    return row


cdef bytes cell_bytes(const lsc_cell *cell, lsc_stmt *s, int i):
    """What a converter is given: the value as SQLite casts it to a blob."""
    cdef const void *z
    cdef int n
    if cell.type == SQLITE_TEXT or cell.type == SQLITE_BLOB:
        return PyBytes_FromStringAndSize(<const char *>cell.u.z, cell.n) if cell.n else None
    with nogil:
        z = lsc_column_blob(s, i, &n)
    if z is NULL:
        raise MemoryError()
    return PyBytes_FromStringAndSize(<const char *>z, n)


cdef inline tuple current_row(Cursor cur, const lsc_cell *cell, int n):
    """The values of a row, before row_factory."""
    if cur.converters is None and cur._connection._text_factory is str:
        try:
            return plain_row(cell, n)
        except UnicodeDecodeError:
            pass
    # Python code runs here: if it closes the connection, the cells must last until it is done.
    cur._connection.running += 1
    try:
        return slow_row(cur, cell, n)
    finally:
        leave(cur._connection)


cdef inline object factory_row(Cursor cur, tuple data):
    cdef object factory = cur._row_factory
    if factory is None:
        return data
    if factory is Row:
        return make_row(cur.columns, data)
    return factory(cur, data)


cdef int advance(Cursor cur) except -1:
    """Step behind the current row; at the end, or on an error, the cursor lets go of its statement."""
    cdef Statement stmt = cur.stmt
    cdef Connection con = cur._connection
    cdef int rc
    cur.locked = True
    con.running += 1
    leave_python()
    rc = lsc_step(&stmt.s)
    enter_python()
    cur.locked = False
    if rc == SQLITE_ROW:
        leave(con)
        raise_kept()
    else:
        end_rows(cur, con, stmt, rc)
    return 0


cdef inline void note_rows(Cursor cur, Statement stmt) noexcept:
    """Add what the cursor's statement has read and written since the last time."""
    cdef sqlite3_int64 n_read, n_written
    # While the connection is open, only who holds the GIL finalizes.
    if stmt is not None and cur._connection.db is not NULL:
        lsc_take_rows(&stmt.s, &n_read, &n_written)
        cur.n_read += n_read
        cur.n_written += n_written


cdef int end_rows(Cursor cur, Connection con, Statement stmt, int rc) except -1:
    """What follows the last step of a result. Ends the run that the step was."""
    cur.stmt = None
    try:
        raise_kept()
        if con.closing:
            check_open(con)
        elif rc != SQLITE_DONE:
            raise_error(&stmt.s.error)
        elif stmt.is_dml:
            cur._rowcount = stmt.s.changes
    finally:
        note_rows(cur, stmt)
        leave(con)
        finish_statement(con, stmt)
    return 0


cdef object NO_ROW = object()


cdef inline int check_alive(Cursor cur) except -1:
    """A connection that was closed and initialised anew has ended the cursor's statement."""
    if cur.stmt.s.st is NULL:
        cur.stmt = None
        raise ProgrammingError("Cannot operate on a closed database.")
    return 0


cdef object next_row(Cursor cur):
    """The current row, and a step to the next; NO_ROW when there are no more."""
    cdef Statement stmt
    cdef tuple data
    check_cursor(cur)
    stmt = cur.stmt
    if stmt is None:
        return NO_ROW if cur.given is None else given_row(cur)
    check_alive(cur)
    check_rollback(cur)
    cur.locked = True
    try:
        data = current_row(cur, stmt.s.row, stmt.s.n_col)
    finally:
        cur.locked = False
    check_open(cur._connection)     # a converter may have closed it
    advance(cur)
    return factory_row(cur, data)


cdef object given_row(Cursor cur):
    """The next row of a result from elsewhere."""
    cdef tuple data
    if cur.n_given == len(cur.given):
        cur.given = None
        return NO_ROW
    data = cur.given[cur.n_given]
    cur.n_given += 1
    return factory_row(cur, data)


cdef int fetch_given(Cursor cur, list rows, Py_ssize_t limit) except -1:
    cdef object row
    while limit <= 0 or len(rows) < limit:
        row = NO_ROW if cur.given is None else given_row(cur)
        if row is NO_ROW:
            break
        rows.append(row)
    return 0


def give_result(Cursor cursor not None, names, list rows not None, long long rowcount, rowid, /):
    """Make a cursor hold a result that comes from elsewhere: names of columns (None without), rows as tuples."""
    cdef Columns columns = None
    check_cursor(cursor)
    drop_rows(cursor)
    if names is not None:
        columns = Columns.__new__(Columns)
        columns.names = tuple(names)
    cursor.columns = columns
    cursor.converters = None
    cursor.n_read = cursor.n_written = 0
    cursor._rowcount = rowcount
    if rowid is not None:
        cursor.rowid = rowid
        cursor.has_rowid = True
    if rows:
        cursor.given = rows
        cursor.n_given = 0


cdef int fetch_rows(Cursor cur, list rows, Py_ssize_t limit) except -1:
    """Append up to limit rows (all if it is not positive) to rows."""
    cdef Connection con = cur._connection
    cdef Statement stmt
    cdef lsc_batch batch
    cdef object row
    cdef int rc, n_col, i, want

    check_cursor(cur)
    if cur.stmt is None:
        if cur.given is not None:
            fetch_given(cur, rows, limit)
        return 0
    check_alive(cur)
    check_rollback(cur)
    if (cur.converters is not None or (cur._row_factory is not None and cur._row_factory is not Row)
            or con._text_factory is not str):
        while True:
            row = next_row(cur)
            if row is NO_ROW:
                break
            rows.append(row)
            if limit > 0 and len(rows) >= limit:
                break
        return 0

    # Between these rows no Python code runs, so many are stepped through in one go.
    stmt = cur.stmt
    batch.cell = NULL
    batch.heap = NULL
    cur.locked = True
    try:
        while True:
            n_col = stmt.s.n_col
            rows.append(factory_row(cur, current_row(cur, stmt.s.row, n_col)))
            want = LSC_BATCH_ROWS
            if limit > 0 and limit - <Py_ssize_t>len(rows) + 1 < want:
                want = <int>(limit - <Py_ssize_t>len(rows)) + 1
            check_open(con)
            con.running += 1
            leave_python()
            rc = lsc_fetch(&stmt.s, &batch, want)
            enter_python()
            try:
                for i in range(batch.n_row):
                    rows.append(factory_row(cur, current_row(cur, &batch.cell[i * n_col], n_col)))
            except BaseException:
                leave(con)
                raise
            if rc != SQLITE_ROW:
                end_rows(cur, con, stmt, rc)
                return 0
            leave(con)
            raise_kept()
            check_open(con)
            if limit > 0 and <Py_ssize_t>len(rows) >= limit:
                return 0
    finally:
        cur.locked = False
        lsc_batch_free(&batch)
