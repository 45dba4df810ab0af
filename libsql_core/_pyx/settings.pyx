# Registration of callbacks, limits, settings and extensions of a connection.
from libsql_core._constants import BOOLEAN_SETTINGS

cdef int check_narg(Connection con, str name, int n) except -1:
    cdef int most
    if PY_VERSION_HEX >= 0x030E0000:
        most = change_limit(con, SQLITE_LIMIT_FUNCTION_ARG, -1)
        if n < -1 or n > most:
            raise ProgrammingError(f"'{name}' must be between -1 and {most}, not {n}")
    return 0


cdef int define_function(Connection con, object name, object narg, object func, bint deterministic) except -1:
    cdef bytes z = c_text(name, "create_function() argument 'name'")
    cdef int n = c_int(narg)
    cdef int flags = SQLITE_UTF8 | (SQLITE_DETERMINISTIC if deterministic else 0)
    cdef int rc
    check_connection(con)
    check_narg(con, "narg", n)
    lock(con)
    if func is None:
        rc = sqlite3_create_function_v2(con.db, z, n, flags, NULL, NULL, NULL, NULL, NULL)
    else:
        Py_INCREF(func)
        rc = sqlite3_create_function_v2(
            con.db, z, n, flags, <void *>func, call_function, NULL, NULL, forget_object)
    unlock(con)
    return function_error(rc, "Error creating function")


cdef int define_aggregate(Connection con, object name, object narg, object made_by, bint window) except -1:
    cdef str where = "create_window_function() argument 1" if window else "create_aggregate() argument 'name'"
    cdef bytes z = c_text(name, where)
    cdef int n = c_int(narg)
    cdef int rc
    check_connection(con)
    check_narg(con, "num_params" if window else "n_arg", n)
    lock(con)
    if made_by is None:
        rc = sqlite3_create_function_v2(con.db, z, n, SQLITE_UTF8, NULL, NULL, NULL, NULL, NULL)
    elif window:
        Py_INCREF(made_by)
        rc = sqlite3_create_window_function(
            con.db, z, n, SQLITE_UTF8, <void *>made_by, call_step, call_finalize, call_value, call_inverse,
            forget_object)
    else:
        Py_INCREF(made_by)
        rc = sqlite3_create_function_v2(
            con.db, z, n, SQLITE_UTF8, <void *>made_by, NULL, call_step, call_finalize, forget_object)
    unlock(con)
    return function_error(rc, None if window else "Error creating aggregate")


cdef int define_collation(Connection con, object name, object compare) except -1:
    cdef bytes z
    cdef int rc
    if PY_VERSION_HEX < 0x030B0000 and isinstance(name, str) and not str.isascii(name):
        raise ProgrammingError("invalid character in collation name")
    z = c_text(name, "create_collation() argument 1")
    check_connection(con)
    if compare is not None and not callable(compare):
        raise TypeError("parameter must be callable")
    lock(con)
    if compare is None:
        rc = sqlite3_create_collation_v2(con.db, z, SQLITE_UTF8, NULL, NULL, NULL)
    else:
        Py_INCREF(compare)
        rc = sqlite3_create_collation_v2(con.db, z, SQLITE_UTF8, <void *>compare, call_collation, forget_object)
        if rc != SQLITE_OK:
            # Unlike functions, a refused collation is not given back.
            Py_DECREF(compare)
    unlock(con)
    if rc != SQLITE_OK:
        raise_db(con)
    return 0


cdef int set_authorizer(Connection con, object callback) except -1:
    cdef int rc
    check_connection(con)
    lock(con)
    if callback is None:
        rc = sqlite3_set_authorizer(con.db, NULL, NULL)
    else:
        rc = sqlite3_set_authorizer(con.db, call_authorizer, <void *>callback)
    if rc == SQLITE_OK:
        con.authorizer = callback
    unlock(con)
    if rc != SQLITE_OK:
        raise OperationalError("Error setting authorizer callback")
    return 0


cdef int set_progress(Connection con, object callback, object n) except -1:
    cdef int steps = c_int(n)
    check_connection(con)
    lock(con)
    if callback is None:
        sqlite3_progress_handler(con.db, 0, NULL, NULL)
    else:
        sqlite3_progress_handler(con.db, steps, call_progress, <void *>callback)
    con.progress = callback
    unlock(con)
    return 0


cdef int set_trace(Connection con, object callback) except -1:
    check_connection(con)
    lock(con)
    if callback is None:
        sqlite3_trace_v2(con.db, 0, NULL, NULL)
    else:
        sqlite3_trace_v2(con.db, SQLITE_TRACE_STMT, call_trace, <void *>callback)
    con.trace = callback
    unlock(con)
    return 0


cdef int change_limit(Connection con, object category, object limit) except? -1:
    cdef int which = c_int(category)
    cdef int value = c_int(limit)
    cdef int old
    check_connection(con)
    lock(con)
    old = sqlite3_limit(con.db, which, value)
    unlock(con)
    if old < 0:
        raise ProgrammingError("'category' is out of bounds")
    return old


cdef object change_config(Connection con, object op, int value):
    cdef int which = c_int(op)
    cdef int now = -1
    cdef int rc
    if which not in BOOLEAN_SETTINGS:
        raise ValueError(f"unknown config 'op': {which}")
    check_connection(con)
    lock(con)
    rc = sqlite3_db_config(con.db, which, value, &now)
    unlock(con)
    if rc != SQLITE_OK:
        raise_code(rc)
    return bool(now)


cdef int allow_extensions(Connection con, object enable) except -1:
    cdef int on = bool(enable)
    PySys_Audit("sqlite3.enable_load_extension", "OO", <PyObject *>con, <PyObject *>enable)
    check_connection(con)
    lock(con)
    rc = sqlite3_enable_load_extension(con.db, on)
    unlock(con)
    if rc != SQLITE_OK:
        raise OperationalError("Error enabling load extension")
    return 0


cdef int load_extension(Connection con, object name, object entry) except -1:
    cdef bytes path = c_text(name, "load_extension() argument 1")
    cdef bytes entry_z = b"" if entry is None else c_text(entry, "load_extension() argument 'entrypoint'")
    cdef const char *z = path
    cdef const char *e = NULL
    cdef char *message = NULL
    cdef int rc
    if entry is not None:
        e = entry_z
    PySys_Audit("sqlite3.load_extension", "OO", <PyObject *>con, <PyObject *>name)
    check_connection(con)
    con.running += 1
    with nogil:
        rc = sqlite3_load_extension(con.db, z, e, &message)
    leave(con)
    if rc != SQLITE_OK:
        if message is NULL:
            raise OperationalError("error during extension loading")
        text = message.decode("utf-8", "replace")
        sqlite3_free(message)
        raise OperationalError(text)
    return 0
