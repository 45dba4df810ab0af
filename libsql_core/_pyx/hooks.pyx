# Authorizer, progress handler and trace callback. The connection holds the callables; SQLite borrows them.

cdef object optional_text(const char *z):
    return None if z is NULL else z.decode("utf-8")


cdef int run_authorizer(void *data, int action, const char *a, const char *b, const char *database,
                        const char *trigger) noexcept:
    cdef int answer = SQLITE_DENY
    cdef object callback = <object>data     # held: the callback may remove itself
    try:
        result = callback(action, optional_text(a), optional_text(b), optional_text(database), optional_text(trigger))
        if PyLong_Check(result):
            answer = c_int(result)
    except BaseException as error:
        report(callback, error)
    return answer


cdef int run_progress(void *data) noexcept:
    cdef object callback = <object>data
    cdef bint stop = True
    if has_kept():
        return 1
    try:
        stop = bool(callback())
    except BaseException as error:
        report(callback, error)
    return stop


cdef int run_trace(void *data, sqlite3_stmt *stmt) noexcept:
    cdef object callback = <object>data
    cdef char *expanded = sqlite3_expanded_sql(stmt)
    try:
        if expanded is NULL:
            if sqlite3_errcode(sqlite3_db_handle(stmt)) == SQLITE_NOMEM:
                raise MemoryError()
            report(callback, DataError("Expanded SQL string exceeds the maximum string length"))
            text = sqlite3_sql(stmt).decode("utf-8", "replace")
        else:
            text = expanded.decode("utf-8", "replace")
        callback(text)
    except BaseException as error:
        report(callback, error)
    finally:
        sqlite3_free(expanded)
    return 0


# What SQLite calls; see the end of functions.pyx for the casts.

ctypedef int (*authorizer_call)(void *, int, const char *, const char *, const char *, const char *) noexcept nogil
ctypedef int (*progress_call)(void *) noexcept nogil
ctypedef int (*trace_call)(void *, sqlite3_stmt *) noexcept nogil


cdef int call_authorizer(void *data, int action, const char *a, const char *b, const char *database,
                         const char *trigger) noexcept nogil:
    cdef PyGILState_STATE gil
    cdef int direct = enter_callback(&gil)
    cdef int answer = (<authorizer_call>run_authorizer)(data, action, a, b, database, trigger)
    leave_callback(direct, gil)
    return answer


cdef int call_progress(void *data) noexcept nogil:
    cdef PyGILState_STATE gil
    cdef int direct = enter_callback(&gil)
    cdef int stop = (<progress_call>run_progress)(data)
    leave_callback(direct, gil)
    return stop


cdef int call_trace(unsigned kind, void *data, void *stmt, void *text) noexcept nogil:
    cdef PyGILState_STATE gil
    cdef int direct = enter_callback(&gil)
    (<trace_call>run_trace)(data, <sqlite3_stmt *>stmt)
    leave_callback(direct, gil)
    return 0
