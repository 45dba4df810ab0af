# Result columns: names, description, converters, and rows that know their names.

cdef enum:
    UNKNOWN = -1
    C_DECLTYPES = 1
    C_COLNAMES = 2


@cython.final
@cython.internal
cdef class Columns:
    def __cinit__(self):
        self.distinct = UNKNOWN


cdef Columns make_columns(Connection con, sqlite3_stmt *st):
    lock(con)
    try:
        return read_columns(st, con.detect_types)
    finally:
        unlock(con)


cdef Columns read_columns(sqlite3_stmt *st, int detect_types):
    cdef Columns columns = Columns.__new__(Columns)
    cdef int n = sqlite3_column_count(st)
    cdef int i
    cdef const char *z
    cdef Py_ssize_t length
    cdef PyObject *name
    cdef tuple names = take(PyTuple_New(n))
    for i in range(n):
        z = sqlite3_column_name(st, i)
        if z is NULL:
            raise MemoryError()
        length = strlen(z)
        if detect_types & C_COLNAMES:
            length = bare_name(z, length)
        name = PyUnicode_DecodeUTF8(z, length, NULL)
        if name is NULL:
            raise_pending()
        PyUnicode_InternInPlace(&name)
        PyTuple_SET_ITEM(<PyObject *>names, i, name)
    columns.names = names
    return columns


cdef Py_ssize_t bare_name(const char *z, Py_ssize_t length) noexcept:
    """The length of a column name without the type in brackets, and one blank in front of that."""
    cdef Py_ssize_t i
    for i in range(length):
        if z[i] == c'[':
            return i - 1 if i > 0 and z[i - 1] == c' ' else i
    return length


cdef tuple describe(Columns columns):
    """Cursor.description, made when it is first asked for."""
    if columns.description is None:
        columns.description = tuple([(name, None, None, None, None, None, None) for name in columns.names])
    return columns.description


cdef list make_converters(Connection con, sqlite3_stmt *st):
    """For each column the converter that its name or declared type asks for, or None."""
    lock(con)
    try:
        return read_converters(st, con.detect_types)
    finally:
        unlock(con)


cdef list read_converters(sqlite3_stmt *st, int detect_types):
    cdef list found = []
    cdef int i
    cdef const char *z
    cdef bytes raw
    cdef Py_ssize_t start, end
    cdef object converter
    for i in range(sqlite3_column_count(st)):
        converter = None
        if detect_types & C_COLNAMES:
            z = sqlite3_column_name(st, i)
            if z is NULL:
                raise MemoryError()
            raw = z
            start = raw.find(b"[")
            end = raw.find(b"]", start + 1)
            if start >= 0 and end >= 0:
                converter = converters.get(raw[start + 1:end].decode("utf-8").upper())
        if converter is None and detect_types & C_DECLTYPES:
            z = sqlite3_column_decltype(st, i)
            if z is not NULL:
                raw = z
                for end in range(len(raw)):
                    if raw[end] == c' ' or raw[end] == c'(':
                        raw = raw[:end]
                        break
                converter = converters.get(raw.decode("utf-8").upper())
        found.append(converter)
    return found


@cython.freelist(64)
cdef class Row:
    """A row of a result: a sequence whose values are also found by column name, whatever its case.

    Use it as `connection.row_factory`.
    """

    def __cinit__(self, *args):
        if made_here:
            return
        if len(args) != 2:
            raise TypeError(f"Row expected 2 arguments, got {len(args)}")
        cursor, data = args
        if not isinstance(cursor, Cursor):
            raise TypeError(f"Row() argument 1 must be libsql_core.Cursor, not {not_type(cursor)}")
        if not isinstance(data, tuple):
            raise TypeError(f"Row() argument 2 must be tuple, not {not_type(data)}")
        self.data = <tuple>data
        self.columns = (<Cursor>cursor).columns

    def keys(self):
        """The column names, in order."""
        return [] if self.columns is None else list(self.columns.names)

    def __len__(self):
        return len(self.data)

    def __iter__(self):
        return iter(self.data)

    def __getitem__(self, key):
        cdef Py_ssize_t i
        if isinstance(key, str):
            i = row_index(self.columns, <str>key)
            if i < 0:
                if PY_VERSION_HEX >= 0x030E0000 and self.columns is None:
                    raise IndexError(f"No item with key {key!r}")
                raise IndexError("No item with that key")
            return self.data[i]
        if isinstance(key, (int, slice)):
            return self.data[key]
        raise IndexError("Index must be int or string")

    def __hash__(self):
        return hash(None if self.columns is None else self.columns.names) ^ hash(self.data)

    def __eq__(self, other):
        if not isinstance(other, Row):
            return NotImplemented
        return same_row(self, <Row>other)

    def __ne__(self, other):
        if not isinstance(other, Row):
            return NotImplemented
        return not same_row(self, <Row>other)


cdef bint same_row(Row a, Row b) except -1:
    cdef object names_a = None if a.columns is None else a.columns.names
    cdef object names_b = None if b.columns is None else b.columns.names
    return names_a == names_b and a.data == b.data


cdef Py_ssize_t row_index(Columns columns, str key) except -2:
    """The first column whose name equals key, ASCII case ignored; -1 if there is none."""
    cdef Py_ssize_t i, n
    cdef PyObject *name
    cdef str lower
    if columns is None:
        return -1
    n = PyTuple_GET_SIZE(columns.names)
    if columns.distinct == UNKNOWN:
        columns.distinct = len({text.lower() for text in columns.names}) == n
    if columns.distinct:
        # Names and the literals of a program are interned: mostly the very same object.
        for i in range(n):
            name = PyTuple_GET_ITEM(columns.names, i)
            if name is <PyObject *>key:
                return i
    lower = key.lower()
    for i in range(n):
        name = PyTuple_GET_ITEM(columns.names, i)
        if (<str>name) == key:
            return i
        if (<str>name).lower() == lower and (<str>name).isascii() and key.isascii():
            return i
    return -1


cdef inline Row make_row(Columns columns, tuple data):
    global made_here
    made_here = True
    cdef Row row = <Row>Row.__new__(Row)
    made_here = False
    row.data = data
    row.columns = columns
    return row
