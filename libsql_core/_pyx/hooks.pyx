# Authorizer, progress handler and trace callback. The connection holds the callables; SQLite borrows them.

cdef int call_authorizer(void *data, int action, const char *a, const char *b, const char *database,
                         const char *trigger) noexcept nogil:
    cdef int answer = SQLITE_DENY
    with gil:
        try:
            result = (<object>data)(action, optional_text(a), optional_text(b), optional_text(database),
                                    optional_text(trigger))
            if PyLong_Check(result):
                answer = <int>result
        except BaseException as error:
            report(<object>data, error)
    return answer


cdef object optional_text(const char *z):
    return None if z is NULL else z.decode("utf-8")


cdef int call_progress(void *data) noexcept nogil:
    cdef bint stop = True
    with gil:
        try:
            stop = bool((<object>data)())
        except BaseException as error:
            report(<object>data, error)
    return stop


cdef int call_trace(unsigned kind, void *data, void *stmt, void *text) noexcept nogil:
    cdef char *expanded
    cdef const char *sql = <const char *>text
    with gil:
        callback = <object>data
        try:
            if sql[0] == c'-' and sql[1] == c'-':
                # A statement inside a trigger, announced as a comment.
                callback(sql.decode("utf-8", "replace"))
                return 0
            expanded = sqlite3_expanded_sql(<sqlite3_stmt *>stmt)
            if expanded is NULL:
                if sqlite3_errcode(sqlite3_db_handle(<sqlite3_stmt *>stmt)) == SQLITE_NOMEM:
                    raise MemoryError()
                try:
                    raise DataError("Expanded SQL string exceeds the maximum string length")
                except DataError as error:
                    report(callback, error)
                callback(sqlite3_sql(<sqlite3_stmt *>stmt).decode("utf-8", "replace"))
                return 0
            try:
                callback(expanded.decode("utf-8", "replace"))
            finally:
                sqlite3_free(expanded)
        except BaseException as error:
            report(callback, error)
    return 0
