# Whole databases: backup, serialize, deserialize.

cdef int run_backup(Connection con, Connection target, int pages, object progress, bytes name, int sleep_ms) except -1:
    """Copy database `name` of con over target's main database, `pages` at a time."""
    cdef const char *z = name
    cdef sqlite3_backup *backup
    cdef int rc
    con.running += 1
    target.running += 1
    try:
        with nogil:
            backup = sqlite3_backup_init(target.db, "main", con.db, z)
        if backup is NULL:
            raise_db(target)
        try:
            while True:
                with nogil:
                    rc = sqlite3_backup_step(backup, pages)
                if progress is not None:
                    progress(rc, sqlite3_backup_remaining(backup), sqlite3_backup_pagecount(backup))
                if con.closing or target.closing:
                    raise ProgrammingError("Cannot operate on a closed database.")
                if rc == SQLITE_BUSY or rc == SQLITE_LOCKED:
                    with nogil:
                        sqlite3_sleep(sleep_ms)
                elif rc != SQLITE_OK:
                    break
        except BaseException:
            with nogil:
                sqlite3_backup_finish(backup)
            raise
        with nogil:
            rc = sqlite3_backup_finish(backup)
        if rc != SQLITE_OK:
            raise_db(target)
    finally:
        leave(target)
        leave(con)
    return 0


cdef bytes serialize_database(Connection con, bytes name):
    cdef const char *z = name
    cdef sqlite3_int64 n
    cdef unsigned flags = SQLITE_SERIALIZE_NOCOPY
    cdef unsigned char *data
    cdef bint copied = False
    con.running += 1
    try:
        with nogil:
            # A database in memory lies in one piece already; others are copied together.
            data = sqlite3_serialize(con.db, z, &n, flags)
            if data is NULL:
                copied = True
                data = sqlite3_serialize(con.db, z, &n, 0)
        if data is NULL:
            raise OperationalError(f"unable to serialize '{name.decode()}'")
        try:
            return PyBytes_FromStringAndSize(<char *>data, n)
        finally:
            if copied:
                with nogil:
                    sqlite3_free(data)
    finally:
        leave(con)


cdef int deserialize_database(Connection con, const void *data, Py_ssize_t n, bytes name) except -1:
    cdef const char *z = name
    cdef unsigned char *copy
    cdef unsigned flags = SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE
    cdef int rc
    if n > 9223372036854775807:
        raise OverflowError("'data' is too large")
    copy = <unsigned char *>sqlite3_malloc64(n if n > 0 else 1)
    if copy is NULL:
        raise MemoryError()
    con.running += 1
    try:
        with nogil:
            memcpy(copy, data, n)
            rc = sqlite3_deserialize(con.db, z, copy, n, n, flags)
        if rc != SQLITE_OK:
            raise_db(con)
    finally:
        leave(con)
    return 0
