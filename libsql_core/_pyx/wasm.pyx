# Functions in WebAssembly.

cdef int find_wasmtime(char *out, int n) noexcept:
    """Put the path of wasmtime's library into out, if Python has it."""
    try:
        from libsql_core._wasmtime import library
        found = library()
        if found is None:
            return 0
        path = _fsencode(found)
        if len(path) >= n:
            return 0
        memcpy(out, PyBytes_AS_STRING(path), len(path) + 1)
        return 1
    except BaseException:
        return 0


ctypedef int (*find_call)(char *, int) noexcept nogil


cdef int call_find_wasmtime(char *out, int n) noexcept nogil:
    cdef PyGILState_STATE gil
    cdef int direct = enter_callback(&gil)
    cdef int found = (<find_call>find_wasmtime)(out, n)
    leave_callback(direct, gil)
    return found


cdef int raise_wasm(lsc_error *error) except -1:
    """Raise what a definition left behind; NotSupportedError where wasmtime is missing."""
    cdef bint missing = lsc_wasm_missing()
    try:
        raise_error(error)
    except OperationalError as failure:
        if not missing:
            raise
        told = NotSupportedError(*failure.args)
        told.sqlite_errorcode = failure.sqlite_errorcode
        told.sqlite_errorname = failure.sqlite_errorname
    raise told


cdef int define_wasm(Connection con, object name, object wasm, bint deterministic, object fuel, object memory_limit,
                     object capabilities) except -1:
    cdef bytes z_name = c_text(name, "create_wasm_function() argument 'name'")
    cdef Py_buffer view
    cdef lsc_wasm want
    cdef lsc_error error
    cdef bint has_view = False
    cdef Py_ssize_t n = 0
    cdef int rc
    memset(&want, 0, sizeof(want))
    memset(&error, 0, sizeof(error))
    want.name = z_name
    want.deterministic = deterministic
    for capability in capabilities:
        if capability != "wasi":
            raise ValueError(f"there is no capability {capability!r}, only 'wasi'")
        want.wasi = 1
    if want.wasi and deterministic:
        raise ValueError("a function that is given a capability is not deterministic: pass deterministic=False")
    if fuel is not None:
        if fuel <= 0:
            raise ValueError("create_wasm_function() argument 'fuel' must be positive")
        want.fuel = fuel
    if memory_limit is not None:
        if memory_limit <= 0:
            raise ValueError("create_wasm_function() argument 'memory_limit' must be positive")
        want.memory = memory_limit
    if isinstance(wasm, str):
        want.source = PyUnicode_AsUTF8AndSize(wasm, &n)
        want.is_text = 1
        want.n = n
    elif wasm is not None:
        PyObject_GetBuffer(wasm, &view, PyBUF_SIMPLE)
        has_view = True
        want.source = view.buf if view.len else <void *>&error      # not NULL, and nothing of it is read
        want.n = view.len
    try:
        check_connection(con)
        con.running += 1
        try:
            with nogil:
                rc = lsc_wasm_define(con.db, &want, &error)
        finally:
            leave(con)
    finally:
        if has_view:
            PyBuffer_Release(&view)
    if rc != SQLITE_OK:
        raise_wasm(&error)
    return 0


lsc_wasm_finder(call_find_wasmtime)
