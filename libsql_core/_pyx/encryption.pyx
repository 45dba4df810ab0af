# Keys of encrypted databases, and the first bytes of a file.

@cython.final
@cython.internal
cdef class Key:
    """A key as the engine takes it: what the caller gave, not a copy of it."""

    def __dealloc__(self):
        if self.is_raw:
            PyBuffer_Release(&self.view)


cdef Key make_key(object key, object cipher, str where):
    """A str is a passphrase; bytes are the key, where the cipher takes one. None gives none."""
    cdef Key made
    cdef Py_ssize_t n = 0
    if key is None:
        if cipher is not None:
            raise ValueError(f"{where} argument 'cipher' needs an 'encryption_key'")
        return None
    made = Key.__new__(Key)
    made.owner = key
    made.cipher = None if cipher is None else c_text(cipher, f"{where} argument 'cipher'")
    if isinstance(key, str):
        made.data = PyUnicode_AsUTF8AndSize(key, &n)
    elif PyObject_CheckBuffer(key):
        PyObject_GetBuffer(key, &made.view, PyBUF_SIMPLE)
        made.is_raw = True
        made.data = <const char *>made.view.buf
        n = made.view.len
    else:
        raise TypeError(f"{where} argument 'encryption_key' must be str or bytes, not {not_type(key)}")
    if n == 0:
        raise ValueError(f"{where} argument 'encryption_key' is empty")
    if n > INT_MAX:
        raise OverflowError(f"{where} argument 'encryption_key' is too long")
    made.n = <int>n
    return made


cdef int set_key(sqlite3 *db, Key key) except? -1:
    """Give database "main" its key, before its first page is read."""
    cdef const char *z = NULL if key.cipher is None else <const char *>key.cipher
    cdef int rc
    with nogil:
        rc = lsc_codec_open(db, "main", z, key.data, key.n, key.is_raw)
    return rc


cdef int change_key(Connection con, Key key, bytes name) except -1:
    """Encrypt a database anew, or decrypt it without a key."""
    cdef const char *z = NULL
    cdef const char *z_name = name
    cdef const char *data = NULL
    cdef int n = 0
    cdef int is_raw = 0
    cdef int rc
    if key is not None:
        z = NULL if key.cipher is None else <const char *>key.cipher
        data, n, is_raw = key.data, key.n, key.is_raw
    con.running += 1
    try:
        with nogil:
            rc = lsc_codec_rekey(con.db, z_name, z, data, n, is_raw)
        if rc != SQLITE_OK:
            raise_key(con.db, rc)
    finally:
        leave(con)
    return 0


cdef int raise_key(sqlite3 *db, int rc) except -1:
    """Raise what setting a key left behind."""
    if rc & 0xff == SQLITE_ERROR and lsc_codec_missing():
        error = NotSupportedError(sqlite3_errmsg(db).decode("utf-8", "replace"))
        error.sqlite_errorcode = rc
        error.sqlite_errorname = ERROR_NAMES.get(rc, "unknown")
        raise error
    raise_handle(db)


def file_head(path, int n, /):
    """The first n bytes of a file, and its size.

    They are read by the engine: closing a file that the process has open otherwise too would drop its locks.
    """
    cdef bytes name = file_name(path)
    cdef const char *z = name
    cdef bytearray head = bytearray(n)
    cdef char *out = head
    cdef sqlite3 *db = NULL
    cdef sqlite3_file *file = NULL
    cdef sqlite3_int64 size = 0
    cdef int rc
    with nogil:
        rc = libsql_open(z, &db, SQLITE_OPEN_READONLY, NULL, NULL)
        if rc == SQLITE_OK:
            rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file)
        if rc == SQLITE_OK and file.pMethods is not NULL:
            rc = file.pMethods.xFileSize(file, &size)
            if rc == SQLITE_OK and size > 0:
                rc = file.pMethods.xRead(file, out, <int>min(n, size), 0)
        sqlite3_close_v2(db)
    if rc != SQLITE_OK:
        raise_code(rc)
    return bytes(head[:size]), size
