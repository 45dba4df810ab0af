# The exact nearest rows and the progress of an index that is built, for libsql_core.vector.

def vector_search(Connection con not None, schema, table, column, where, int metric, queries, bint is_double,
                  int n_query, int dims, int k, ids, distances):
    """Fill the buffers ids (int64) and distances (float32), k entries for each query; what stays is left alone.

    queries is a buffer of n_query rows of dims numbers, float64 if is_double, else float32.
    """
    cdef bytes z_schema = c_text(schema, "schema")
    cdef bytes z_table = c_text(table, "table")
    cdef bytes z_column = c_text(column, "column")
    cdef bytes z_where = None if where is None else c_text(where, "where")
    cdef const char *schema_text = z_schema
    cdef const char *table_text = z_table
    cdef const char *column_text = z_column
    cdef const char *where_text = NULL if z_where is None else <const char *>z_where
    cdef const unsigned char[::1] query_bytes = memoryview(queries).cast("B")
    cdef sqlite3_int64[::1] id_view = ids
    cdef float[::1] distance_view = distances
    cdef const void *data = &query_bytes[0] if query_bytes.shape[0] else NULL
    cdef sqlite3_int64 *id_data = &id_view[0] if id_view.shape[0] else NULL
    cdef float *distance_data = &distance_view[0] if distance_view.shape[0] else NULL
    cdef lsc_error error
    cdef int rc
    cdef int *found
    if (n_query < 0 or dims < 0 or k < 0 or query_bytes.shape[0] != <Py_ssize_t>n_query * dims * (8 if is_double else 4)
            or id_view.shape[0] != <Py_ssize_t>n_query * k or distance_view.shape[0] != <Py_ssize_t>n_query * k):
        raise ValueError("the sizes of the buffers do not fit each other")
    check_connection(con)
    if n_query == 0 or k == 0:
        return
    found = <int *>PyMem_Calloc(n_query, sizeof(int))
    if found is NULL:
        raise MemoryError()
    memset(&error, 0, sizeof(error))
    con.running += 1
    try:
        with nogil:
            rc = lsc_vector_search(con.db, schema_text, table_text, column_text, where_text, metric, data, is_double,
                                   n_query, dims, k, id_data, distance_data, found, &error)
        raise_kept()
        if rc != SQLITE_OK:
            raise_error(&error)
    finally:
        PyMem_Free(found)
        leave(con)


cdef int run_watch(void *data, sqlite3_int64 done, sqlite3_int64 total) noexcept:
    cdef object callback = <object>data
    if has_kept():
        return 1
    try:
        callback(done, total)
    except BaseException as error:
        keep_error(error)
    return has_kept()


# See the end of functions.pyx for the cast.
ctypedef int (*watch_call)(void *, sqlite3_int64, sqlite3_int64) noexcept nogil


cdef int call_watch(void *data, sqlite3_int64 done, sqlite3_int64 total) noexcept nogil:
    cdef PyGILState_STATE gil
    cdef int direct = enter_callback(&gil)
    cdef int stop = (<watch_call>run_watch)(data, done, total)
    leave_callback(direct, gil)
    return stop


def vector_watch(Connection con not None, progress):
    """Call progress(done, total) while rows go into a vector index; None: no more. The caller keeps it alive."""
    check_connection(con)
    lock(con)
    if progress is None:
        lsc_vector_watch(con.db, NULL, NULL)
    else:
        lsc_vector_watch(con.db, call_watch, <void *>progress)
    unlock(con)
