# Incremental access to one blob.

cdef int check_blob(Blob blob) except -1:
    check_connection(blob.connection)
    if blob.handle is NULL or blob.closing:
        raise ProgrammingError("Cannot operate on a closed blob.")
    return 0


cdef int close_blob(Blob blob) except -1:
    """Close now, or as soon as no other thread reads or writes the blob."""
    cdef sqlite3_blob *handle = blob.handle
    cdef Connection con = blob.connection
    if blob.running:
        blob.closing = True
        return 0
    blob.handle = NULL
    if handle is not NULL:
        con.running += 1
        with nogil:
            sqlite3_blob_close(handle)
        leave(con)
    return 0


cdef int leave_blob(Blob blob) except -1:
    cdef Connection con = blob.connection
    blob.running -= 1
    if blob.closing and not blob.running:
        close_blob(blob)
    leave(con)
    return 0


cdef int close_blobs(Connection con) except -1:
    """Close the connection's open blobs, which otherwise would keep it open."""
    cdef list blobs = con.blobs
    con.blobs = []
    if blobs is not None and con.fork_id == lsc_fork_count():
        for ref in blobs:
            blob = ref()
            if blob is not None:
                close_blob(<Blob>blob)
    return 0


cdef bytes read_blob(Blob blob, int n, int offset):
    cdef bytes data = PyBytes_FromStringAndSize(NULL, n)
    cdef char *z = PyBytes_AS_STRING(data)
    cdef sqlite3_blob *handle = blob.handle
    cdef sqlite3 *db = blob.connection.db
    cdef lsc_error error
    cdef int rc
    error.text = NULL
    blob.connection.running += 1
    blob.running += 1
    with nogil:
        rc = lsc_blob_read(db, handle, z, n, offset, &error)
    try:
        if rc != SQLITE_OK:
            raise_error(&error)
    finally:
        leave_blob(blob)
    return data


cdef int write_blob(Blob blob, const void *z, Py_ssize_t n, int offset) except -1:
    cdef sqlite3_blob *handle = blob.handle
    cdef sqlite3 *db = blob.connection.db
    cdef lsc_error error
    cdef int rc
    if n > sqlite3_blob_bytes(handle) - offset:
        raise ValueError("data longer than blob length")
    error.text = NULL
    blob.connection.running += 1
    blob.running += 1
    with nogil:
        rc = lsc_blob_write(db, handle, z, <int>n, offset, &error)
    try:
        if rc != SQLITE_OK:
            raise_error(&error)
    finally:
        leave_blob(blob)
    return 0


cdef int blob_index(Blob blob, object key) except -1:
    cdef Py_ssize_t i = PyNumber_AsSsize_t(key, IndexError)
    cdef int n = sqlite3_blob_bytes(blob.handle)
    if i < 0:
        i += n
    if i < 0 or i >= n:
        raise IndexError("Blob index out of range")
    return <int>i


cdef int refuse_backwards(object step) except -1:
    if PY_VERSION_HEX >= 0x030E0000 and step < 0:
        raise ValueError("Blob doesn't support slices with a negative step")
    return 0


@cython.final
cdef class Blob:
    """An open blob, read and written in pieces like a file; its length is fixed. Made by `Connection.blobopen`."""

    def __cinit__(self, *args):
        if not made_here:
            raise TypeError("cannot create 'libsql_core.Blob' instances")

    def __dealloc__(self):
        # Without the connection there is nothing that counts runs, but the handle keeps the connection's memory.
        if self.handle is not NULL and (self.connection is None or self.connection.fork_id == lsc_fork_count()):
            with nogil:
                sqlite3_blob_close(self.handle)

    def close(self):
        """Close the blob; it cannot be used afterwards."""
        check_connection(self.connection)
        close_blob(self)

    def read(self, length=-1, /):
        """Up to length bytes from the current offset; to the end by default."""
        cdef int n, rest
        check_blob(self)
        n = c_int(length)
        rest = sqlite3_blob_bytes(self.handle) - self.offset
        if n < 0 or n > rest:
            n = rest
        if n == 0:
            return b""
        data = read_blob(self, n, self.offset)
        self.offset += n
        return data

    def write(self, data, /):
        """Write data at the current offset, behind which it moves. Cannot change the blob's length."""
        cdef Py_buffer view
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            check_blob(self)
            write_blob(self, view.buf, view.len, self.offset)
            self.offset += <int>view.len
        finally:
            PyBuffer_Release(&view)

    def seek(self, offset, origin=0, /):
        """Move the current offset: from the start (0), the current offset (1) or the end (2)."""
        cdef long long to = 0
        cdef int at = c_int(offset)
        cdef int whence = c_int(origin)
        cdef int n
        check_blob(self)
        n = sqlite3_blob_bytes(self.handle)
        if whence == 0:
            to = at
        elif whence == 1:
            to = <long long>self.offset + at
        elif whence == 2:
            to = <long long>n + at
        else:
            raise ValueError("'origin' should be os.SEEK_SET, os.SEEK_CUR, or os.SEEK_END")
        if to > INT_MAX or to < INT_MIN:
            raise OverflowError("seek offset results in overflow")
        if to < 0 or to > n:
            raise ValueError("offset out of blob range")
        self.offset = <int>to

    def tell(self):
        """The current offset."""
        check_blob(self)
        return self.offset

    def __enter__(self):
        check_blob(self)
        return self

    def __exit__(self, type, value, traceback, /):
        check_blob(self)
        close_blob(self)
        return False

    def __len__(self):
        check_blob(self)
        return sqlite3_blob_bytes(self.handle)

    def __getitem__(self, key):
        check_blob(self)
        if PyIndex_Check(key):
            return read_blob(self, 1, blob_index(self, key))[0]
        if isinstance(key, slice):
            start, stop, step = key.indices(sqlite3_blob_bytes(self.handle))
            if stop <= start if step > 0 else stop >= start:
                return b""
            refuse_backwards(step)
            if step == 1:
                return read_blob(self, stop - start, start)
            low, high = (start, stop) if step > 0 else (stop + 1, start + 1)
            data = read_blob(self, high - low, low)
            return data[start - low::step] if step < 0 else data[::step]
        raise TypeError("Blob indices must be integers")

    def __setitem__(self, key, value):
        cdef unsigned char byte
        cdef Py_buffer view
        cdef object data
        cdef bytes whole
        check_blob(self)
        if PyIndex_Check(key):
            if not PyLong_Check(value):
                raise TypeError(f"'{type_name(value)}' object cannot be interpreted as an integer")
            i = blob_index(self, key)
            if value < 0 or value > 255:
                raise ValueError("byte must be in range(0, 256)")
            byte = value
            write_blob(self, &byte, 1, i)
            return
        if not isinstance(key, slice):
            raise TypeError("Blob indices must be integers")
        start, stop, step = key.indices(sqlite3_blob_bytes(self.handle))
        PyObject_GetBuffer(value, &view, PyBUF_SIMPLE)
        try:
            positions = range(start, stop, step)
            if len(positions):
                refuse_backwards(step)
            if view.len != len(positions):
                raise IndexError("Blob slice assignment is wrong size")
            if view.len == 0:
                return
            if step == 1:
                write_blob(self, view.buf, view.len, start)
                return
            low, high = min(positions), max(positions) + 1
            data = bytearray(read_blob(self, high - low, low))
            data[start - low::step] = <object>PyBytes_FromStringAndSize(<char *>view.buf, view.len)
            whole = bytes(data)
            write_blob(self, PyBytes_AS_STRING(whole), high - low, low)
        finally:
            PyBuffer_Release(&view)

    def __delitem__(self, key):
        check_blob(self)
        if PyIndex_Check(key):
            raise TypeError("Blob doesn't support item deletion")
        if isinstance(key, slice):
            raise TypeError("Blob doesn't support slice deletion")
        raise TypeError("Blob indices must be integers")


cdef Blob open_blob(Connection con, object table, object column, object row, bint readonly, object name):
    global made_here
    cdef bytes schema_z = c_text(name, "blobopen() argument 'name'")
    cdef bytes table_z = c_text(table, "blobopen() argument 1")
    cdef bytes column_z = c_text(column, "blobopen() argument 2")
    cdef const char *s = schema_z
    cdef const char *t = table_z
    cdef const char *c = column_z
    cdef sqlite3_int64 rowid
    cdef int overflow = 0
    cdef sqlite3_blob *handle = NULL
    cdef int rc
    cdef Blob blob

    if not PyLong_Check(row):
        raise TypeError("expected 'int'")
    rowid = PyLong_AsLongLongAndOverflow(row, &overflow)
    if overflow:
        raise OverflowError("Python int too large to convert to SQLite INTEGER")
    check_connection(con)
    con.running += 1
    with nogil:
        rc = sqlite3_blob_open(con.db, s, t, c, rowid, not readonly, &handle)
    try:
        if rc != SQLITE_OK:
            raise_db(con)
        made_here = True
        try:
            blob = Blob.__new__(Blob)
        finally:
            made_here = False
        blob.connection = con
        blob.handle = handle
        blob.offset = 0
        con.blobs = [ref for ref in con.blobs if ref() is not None]
        con.blobs.append(weak_ref(blob))
    finally:
        leave(con)
    return blob
