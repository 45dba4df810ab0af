# SQL functions, aggregates, window functions and collations written in Python.
#
# SQLite owns one reference to each registered callable and drops it through forget_object() when the function is
# replaced or the connection closes. Callbacks take the GIL themselves: they run inside a step that released it.

cdef bint tracebacks = False        # enable_callback_tracebacks()


def enable_callback_tracebacks(enable, /):
    """Report exceptions in callbacks through `sys.unraisablehook` instead of dropping them."""
    global tracebacks
    tracebacks = c_int(enable) != 0


cdef int drop_object(void *data) noexcept:
    Py_DECREF(<object>data)
    return 0


ctypedef int (*data_call)(void *) noexcept nogil


cdef void forget_object(void *data) noexcept nogil:
    cdef PyGILState_STATE gil
    cdef int direct = enter_callback(&gil)
    (<data_call>drop_object)(data)
    leave_callback(direct, gil)


cdef int report(object what, object error) noexcept:
    """A callback raised: show it if the user asked for that."""
    if not tracebacks:
        return 0
    set_raised(error)
    write_unraisable(what)
    return 0


cdef PyObject *value_object(sqlite3_value *value) noexcept:
    """An argument of a function, text always as str; NULL with an exception set if that fails."""
    cdef int t = sqlite3_value_type(value)
    cdef const char *z
    if t == SQLITE_INTEGER:
        return PyLong_FromLongLong(sqlite3_value_int64(value))
    if t == SQLITE_FLOAT:
        return PyFloat_FromDouble(sqlite3_value_double(value))
    if t == SQLITE_TEXT:
        z = <const char *>sqlite3_value_text(value)
        return no_memory() if z is NULL else PyUnicode_DecodeUTF8(z, sqlite3_value_bytes(value), NULL)
    if t == SQLITE_BLOB:
        z = <const char *>sqlite3_value_blob(value)
        return raw_bytes(z, sqlite3_value_bytes(value))
    return new_none()


cdef struct Args:
    # The arguments of a call, behind a free slot and one for the object whose method is called.
    PyObject *room[10]
    PyObject **slot
    int n


cdef int load_args(Args *args, int n, sqlite3_value **values) except -1:
    cdef int i
    args.n = 0
    args.slot = args.room
    if n > 8:
        args.slot = <PyObject **>PyMem_Malloc((n + 2) * sizeof(PyObject *))
        if args.slot is NULL:
            args.slot = args.room
            raise MemoryError()
    for i in range(n):
        args.slot[i + 2] = value_object(values[i])
        if args.slot[i + 2] is NULL:
            raise_pending()
        args.n += 1
    return 0


cdef int drop_args(Args *args) noexcept:
    cdef int i
    for i in range(args.n):
        Py_XDECREF(args.slot[i + 2])
    if args.slot is not args.room:
        PyMem_Free(args.slot)
    return 0


cdef int set_result(sqlite3_context *ctx, object value) except -1:
    """Make value the function's result. Raises for what SQLite cannot store."""
    cdef lsc_cell cell
    cdef object kept
    if not fill_cell(&cell, value):
        kept = fill_any(&cell, value)
        if kept is None:
            raise ProgrammingError(f"User-defined functions cannot return '{type_name(value)}' values to SQLite")
        value = kept
    if cell.type == SQLITE_NULL:
        sqlite3_result_null(ctx)
    elif cell.type == SQLITE_INTEGER:
        sqlite3_result_int64(ctx, cell.u.i)
    elif cell.type == SQLITE_FLOAT:
        sqlite3_result_double(ctx, cell.u.r)
    elif cell.type == SQLITE_TEXT:
        sqlite3_result_text(ctx, <const char *>cell.u.z, cell.n, SQLITE_TRANSIENT)
    else:
        sqlite3_result_blob(ctx, cell.u.z, cell.n, SQLITE_TRANSIENT)
    return 0


cdef int fail(sqlite3_context *ctx, object what, object error, const char *message) noexcept:
    """The callback raised: the statement fails with a message that names the callback's part."""
    if isinstance(error, MemoryError):
        sqlite3_result_error_nomem(ctx)
    elif isinstance(error, OverflowError) and PY_VERSION_HEX >= 0x030B0000:
        sqlite3_result_error_toobig(ctx)
    else:
        sqlite3_result_error(ctx, message, -1)
    report(what, error)
    return 0


cdef int run_function(sqlite3_context *ctx, int n, sqlite3_value **values) noexcept:
    cdef Args args
    cdef object func
    if has_kept():
        sqlite3_result_error(ctx, "a callback raised an exception", -1)
        return 0
    func = <object>sqlite3_user_data(ctx)
    try:
        try:
            load_args(&args, n, values)
            set_result(ctx, PyObject_Vectorcall(func, args.slot + 2, n | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL))
        finally:
            drop_args(&args)
    except BaseException as error:
        fail(ctx, func, error, "user-defined function raised exception")
    return 0


cdef object instance_of(sqlite3_context *ctx, bint make):
    """The aggregate object of this group; made on first use. None if there is none."""
    cdef PyObject **slot = <PyObject **>sqlite3_aggregate_context(ctx, sizeof(PyObject *) if make else 0)
    cdef object made
    if slot is NULL:
        if make:
            raise MemoryError()
        return None
    if slot[0] is NULL:
        if not make:
            return None
        made = (<object>sqlite3_user_data(ctx))()
        Py_INCREF(made)
        slot[0] = <PyObject *>made
    return <object>slot[0]


cdef int method_failed(sqlite3_context *ctx, object instance, str name, object error) noexcept:
    """Say whether an aggregate's method is missing or failed."""
    cdef bytes message
    cdef bint missing = False
    if isinstance(error, AttributeError) and (PY_VERSION_HEX >= 0x030B0000 or name != "finalize"):
        try:
            missing = not hasattr(instance, name)
        except BaseException:
            missing = False
    if missing:
        message = f"user-defined aggregate's '{name}' method not defined".encode()
    else:
        message = f"user-defined aggregate's '{name}' method raised error".encode()
    fail(ctx, <object>sqlite3_user_data(ctx), error, message)
    return 0


cdef int call_method(sqlite3_context *ctx, object instance, str name, int n, sqlite3_value **values) noexcept:
    """Call instance.name(*values) for its effect."""
    cdef Args args
    try:
        try:
            load_args(&args, n, values)
            args.slot[1] = <PyObject *>instance
            PyObject_VectorcallMethod(name, args.slot + 1, (n + 1) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)
        finally:
            drop_args(&args)
    except BaseException as error:
        method_failed(ctx, instance, name, error)
    return 0


cdef int call_result(sqlite3_context *ctx, object instance, str name) noexcept:
    """Call instance.name() for its value."""
    cdef PyObject *slot[2]
    slot[1] = <PyObject *>instance
    try:
        result = PyObject_VectorcallMethod(name, slot + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)
    except BaseException as error:
        method_failed(ctx, instance, name, error)
        return 0
    try:
        set_result(ctx, result)
    except BaseException as error:
        if name == "value":
            fail(ctx, <object>sqlite3_user_data(ctx), error,
                 "unable to set result from user-defined aggregate's 'value' method")
        else:
            method_failed(ctx, instance, name, error)
    return 0


cdef int run_step(sqlite3_context *ctx, int n, sqlite3_value **values) noexcept:
    if has_kept():
        sqlite3_result_error(ctx, "a callback raised an exception", -1)
        return 0
    try:
        instance = instance_of(ctx, True)
    except BaseException as error:
        fail(ctx, <object>sqlite3_user_data(ctx), error, "user-defined aggregate's '__init__' method raised error")
        return 0
    return call_method(ctx, instance, "step", n, values)


cdef int run_inverse(sqlite3_context *ctx, int n, sqlite3_value **values) noexcept:
    instance = instance_of(ctx, False)
    if instance is not None:
        call_method(ctx, instance, "inverse", n, values)
    return 0


cdef int run_value(sqlite3_context *ctx) noexcept:
    instance = instance_of(ctx, False)
    if instance is not None:
        call_result(ctx, instance, "value")
    return 0


cdef int run_finalize(sqlite3_context *ctx) noexcept:
    # No rows, or no instance because making it failed: the result is NULL, or the error already set.
    cdef PyObject **slot = <PyObject **>sqlite3_aggregate_context(ctx, 0)
    if slot is not NULL and slot[0] is not NULL:
        instance = <object>slot[0]
        slot[0] = NULL
        call_result(ctx, instance, "finalize")
        Py_DECREF(instance)
    return 0


cdef int run_collation(void *data, int n_a, const char *a, int n_b, const char *b) noexcept:
    cdef long long order = 0
    cdef int overflow = 0
    cdef PyObject *slot[3]
    if has_kept():
        return 0
    slot[1] = slot[2] = NULL
    try:
        try:
            slot[1] = PyUnicode_DecodeUTF8(a, n_a, NULL)
            slot[2] = PyUnicode_DecodeUTF8(b, n_b, NULL) if slot[1] is not NULL else NULL
            if slot[2] is NULL:
                raise_pending()
            result = PyObject_Vectorcall(<object>data, slot + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)
            if PyLong_Check(result):
                order = PyLong_AsLongLongAndOverflow(result, &overflow)
                if overflow:
                    order = overflow
        finally:
            Py_XDECREF(slot[1])
            Py_XDECREF(slot[2])
    except BaseException as error:
        # SQLite has no way to hear of this: the call that runs the statement raises it at its end.
        keep_error(error)
        order = 0
    return (order > 0) - (order < 0)


# What SQLite calls: the functions above, entered from a step that left Python. The casts tell Cython, which knows of
# no other way to take the GIL than its own, that they may be called from here.

ctypedef int (*values_call)(sqlite3_context *, int, sqlite3_value **) noexcept nogil
ctypedef int (*final_call)(sqlite3_context *) noexcept nogil
ctypedef int (*order_call)(void *, int, const char *, int, const char *) noexcept nogil


cdef inline void inside_values(values_call call, sqlite3_context *ctx, int n, sqlite3_value **values) noexcept nogil:
    cdef PyGILState_STATE gil
    cdef int direct = enter_callback(&gil)
    call(ctx, n, values)
    leave_callback(direct, gil)


cdef inline void inside_final(final_call call, sqlite3_context *ctx) noexcept nogil:
    cdef PyGILState_STATE gil
    cdef int direct = enter_callback(&gil)
    call(ctx)
    leave_callback(direct, gil)


cdef void call_function(sqlite3_context *ctx, int n, sqlite3_value **values) noexcept nogil:
    inside_values(<values_call>run_function, ctx, n, values)


cdef void call_step(sqlite3_context *ctx, int n, sqlite3_value **values) noexcept nogil:
    inside_values(<values_call>run_step, ctx, n, values)


cdef void call_inverse(sqlite3_context *ctx, int n, sqlite3_value **values) noexcept nogil:
    inside_values(<values_call>run_inverse, ctx, n, values)


cdef void call_value(sqlite3_context *ctx) noexcept nogil:
    inside_final(<final_call>run_value, ctx)


cdef void call_finalize(sqlite3_context *ctx) noexcept nogil:
    inside_final(<final_call>run_finalize, ctx)


cdef int call_collation(void *data, int n_a, const void *a, int n_b, const void *b) noexcept nogil:
    cdef PyGILState_STATE gil
    cdef int direct = enter_callback(&gil)
    cdef int order = (<order_call>run_collation)(data, n_a, <const char *>a, n_b, <const char *>b)
    leave_callback(direct, gil)
    return order


cdef int function_error(int rc, str message) except -1:
    if rc & 0xff == SQLITE_NOMEM:
        raise MemoryError()
    if rc != SQLITE_OK:
        if message is None:
            raise ProgrammingError(sqlite3_errstr(rc).decode())
        raise OperationalError(message)
    return 0
