# Parameters: from Python objects to the cells that lsc_bind() takes.
#
# A cell borrows the bytes of the object it was made from, so every object behind a cell is kept in Statement.bound
# until lsc_release(). Values that may change (bytearray, memoryview) are copied into bytes first. A numpy array becomes
# a vector; any other buffer is stored as its bytes.

cdef inline int fill_cell(lsc_cell *cell, object value) except -1:
    """Describe a value in its cell. 1: done; 0: not a type that SQLite stores."""
    cdef type t = type(value)
    cdef Py_ssize_t n
    cdef const char *z
    if value is None:
        cell.type = SQLITE_NULL
    elif t is int:
        fill_int(cell, value)
    elif t is str:
        z = PyUnicode_AsUTF8AndSize(value, &n)
        if n > INT_MAX:
            raise OverflowError("string longer than INT_MAX bytes")
        cell.type = SQLITE_TEXT
        cell.u.z = z
        cell.n = <int>n
    elif t is float:
        cell.type = SQLITE_FLOAT
        cell.u.r = PyFloat_AS_DOUBLE(value)
    elif t is bytes:
        n = PyBytes_GET_SIZE(value)
        if n > INT_MAX:
            raise OverflowError("BLOB longer than INT_MAX bytes")
        cell.type = SQLITE_BLOB
        cell.u.z = PyBytes_AS_STRING(value)
        cell.n = <int>n
    else:
        return 0
    return 1


cdef inline int fill_int(lsc_cell *cell, object value) except -1:
    cdef int overflow = 0
    cell.u.i = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow:
        raise OverflowError("Python int too large to convert to SQLite INTEGER")
    cell.type = SQLITE_INTEGER
    return 1


cdef object fill_any(lsc_cell *cell, object value):
    """As fill_cell() for subclasses and buffers. Returns the object that must stay alive, or None if not possible."""
    cdef Py_ssize_t n
    if isinstance(value, int):
        fill_int(cell, value)
        return value
    if isinstance(value, float):
        cell.type = SQLITE_FLOAT
        cell.u.r = PyFloat_AsDouble(value)
        return value
    if isinstance(value, str):
        cell.u.z = PyUnicode_AsUTF8AndSize(value, &n)
        if n > INT_MAX:
            raise OverflowError("string longer than INT_MAX bytes")
        cell.type = SQLITE_TEXT
        cell.n = <int>n
        return value
    if PyObject_CheckBuffer(value):
        value = encode_numbers(value, 0, 1) if is_ndarray(value) else copy_buffer(value)
        fill_cell(cell, value)
        return value
    return None


cdef bytes copy_buffer(object value):
    cdef Py_buffer view
    try:
        PyObject_GetBuffer(value, &view, PyBUF_SIMPLE)
    except BufferError:
        if PY_VERSION_HEX >= 0x030B0000:
            raise
        raise ValueError("could not convert BLOB to buffer") from None
    try:
        if view.len > INT_MAX:
            raise OverflowError("BLOB longer than INT_MAX bytes")
        return PyBytes_FromStringAndSize(<char *>view.buf, view.len)
    finally:
        PyBuffer_Release(&view)


cdef int bind_error(object value, int index, str name) except -1:
    if PY_VERSION_HEX >= 0x030B0000:
        raise ProgrammingError(f"Error binding parameter {index + 1}: type '{type_name(value)}' is not supported")
    if name is None:
        raise InterfaceError(f"Error binding parameter {index} - probably unsupported type.")
    raise InterfaceError(f"Error binding parameter :{name} - probably unsupported type.")


cdef object bind_value(lsc_cell *cell, object value, int index, str name):
    """Fill the cell from any value, adapting it if need be; returns what must stay alive."""
    cdef object kept
    if plain_adapted or not is_plain(value):
        value = adapt_value(value, PrepareProtocol, value)
    if fill_cell(cell, value):
        return value
    kept = fill_any(cell, value)
    if kept is None:
        bind_error(value, index, name)
    return kept


cdef int count_error(Statement stmt, Py_ssize_t given) except -1:
    raise ProgrammingError(
        f"Incorrect number of bindings supplied. The current statement uses {stmt.n_param}, "
        f"and there are {given} supplied.")


cdef int fill_params(Statement stmt, object params) except -1:
    """Fill stmt.params and keep in stmt.bound what they point into."""
    cdef Py_ssize_t i, n
    cdef list kept
    cdef str name
    cdef object value
    cdef PyObject *item
    cdef object fixed
    cdef bint exact = type(params) is tuple or type(params) is list

    if exact or isinstance(params, (tuple, list)) or (
            not isinstance(params, dict) and PySequence_Check(params)):
        fixed = PyList_AsTuple(params) if type(params) is list else params
        n = len(params)
        if n != stmt.n_param:
            count_error(stmt, n)
        if n == 0:
            return 0
        check_placeholders(stmt)
        if exact and not plain_adapted:
            for i in range(n):
                item = PyTuple_GET_ITEM(fixed, i)
                if not fill_cell(&stmt.params[i], <object>item):
                    break
            else:
                stmt.bound = fixed
                return 0
        # From here on an adapter may run, and change a list.
        kept = [None] * n
        for i in range(n):
            kept[i] = bind_value(&stmt.params[i], params[i], <int>i, None)
        stmt.bound = kept
        return 0

    if not PyMapping_Check(params):
        if PY_VERSION_HEX >= 0x030B0000:
            raise ProgrammingError("parameters are of unsupported type")
        raise ValueError("parameters are of unsupported type")
    if stmt.names is None:
        stmt.names = parameter_names(stmt)
    kept = [None] * stmt.n_param
    for i in range(stmt.n_param):
        name = <str>PyTuple_GET_ITEM(stmt.names, i)
        if name is None:
            raise ProgrammingError(
                f"Binding {i + 1} has no name, but you supplied a dictionary (which has only names).")
        if type(params) is dict:
            item = PyDict_GetItemWithError(params, name)
            if item is NULL:
                missing_param(i, name)
            value = <object>item
        else:
            try:
                value = params[name]
            except LookupError:
                missing_param(i, name)
        kept[i] = bind_value(&stmt.params[i], value, <int>i, name)
    stmt.bound = kept
    return 0


cdef tuple parameter_names(Statement stmt):
    cdef int i
    cdef const char *z
    cdef list names = []
    for i in range(stmt.n_param):
        z = sqlite3_bind_parameter_name(stmt.s.st, i + 1)
        names.append(None if z is NULL else intern_text((z + 1).decode("utf-8")))
    return tuple(names)


cdef int missing_param(Py_ssize_t i, str name) except -1:
    if PY_VERSION_HEX >= 0x030B0000:
        raise ProgrammingError(f"You did not supply a value for binding parameter :{name}.")
    raise ProgrammingError(f"You did not supply a value for binding {i + 1}.")


cdef int check_placeholders(Statement stmt) except -1:
    """Newer interpreters object to named placeholders that are filled from a sequence."""
    cdef int i
    cdef const char *z
    cdef str name
    if PY_VERSION_HEX < 0x030C0000 or not stmt.has_names:
        return 0
    for i in range(stmt.n_param):
        z = sqlite3_bind_parameter_name(stmt.s.st, i + 1)
        if z is NULL or z[0] == c'?':
            continue
        name = z.decode("utf-8")
        if PY_VERSION_HEX >= 0x030E0000:
            raise ProgrammingError(
                f"Binding {i + 1} ('{name}') is a named parameter, but you supplied a sequence "
                "which requires nameless (qmark) placeholders.")
        warn(f"Binding {i + 1} ('{name}') is a named parameter, but you supplied a sequence which requires nameless "
             "(qmark) placeholders. Starting with Python 3.14 an sqlite3.ProgrammingError will be raised.")
    return 0
