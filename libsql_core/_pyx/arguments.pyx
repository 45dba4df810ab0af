# Arguments of methods, with the errors and warnings of CPython's own argument parser.

cdef str not_type(object thing):
    """As type_name(), in messages about arguments."""
    return "None" if thing is None else type_name(thing)


cdef int c_int(object value) except? -1:
    """A C int, with the errors of CPython's argument parser."""
    cdef int overflow = 0
    cdef long long wide = PyLong_AsLongLongAndOverflow(PyNumber_Index(value), &overflow)
    if overflow or wide > INT_MAX or wide < INT_MIN:
        raise OverflowError("Python int too large to convert to C int")
    return <int>wide


cdef bytes c_text(object value, str where):
    """A str as UTF-8 for C, with the errors of CPython's argument parser."""
    if not isinstance(value, str):
        raise TypeError(f"{where} must be str, not {not_type(value)}")
    if "\0" in <str>value:
        raise ValueError("embedded null character")
    return (<str>value).encode("utf-8")


cdef int milliseconds(double seconds) noexcept:
    """As SQLite takes a time to wait: what is too long, or no number, waits as long as it can."""
    cdef double ms = seconds * 1000.0
    if ms <= 0:
        return 0
    return <int>ms if ms < INT_MAX else INT_MAX


cdef int warn(str text) except -1:
    return PyErr_WarnEx(DeprecationWarning, text.encode("utf-8"), 1)


cdef str listed(tuple names):
    cdef list quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


cdef tuple connect_names = ("database", "timeout", "detect_types", "isolation_level", "check_same_thread", "factory",
                            "cached_statements", "uri")


cdef int warn_positional(str where, tuple args) except -1:
    """Newer interpreters want all parameters of a connection but the first by keyword."""
    if PY_VERSION_HEX >= 0x030D0000 and 1 < len(args) <= len(connect_names):
        warn(f"Passing more than 1 positional argument to {where}() is deprecated. Parameters "
             f"{listed(connect_names[1:])} will become keyword-only parameters in Python 3.15.")
    return 0


cdef int warn_keywords(str method, tuple names, dict kwargs) except -1:
    """Newer interpreters want these parameters of a method by position."""
    cdef str noun = "argument" if len(names) == 1 else "arguments"
    cdef str parameter = "Parameter" if len(names) == 1 else "Parameters"
    if PY_VERSION_HEX >= 0x030D0000:
        for name in names:
            if name in kwargs:
                return warn(
                    f"Passing keyword {noun} {listed(names)} to _sqlite3.Connection.{method}() is deprecated. "
                    f"{parameter} {listed(names)} will become positional-only in Python 3.15.")
    return 0


cdef list take_args(str where, tuple names, int required, tuple args, dict kwargs):
    """Arguments in the order of names; those not given are ABSENT."""
    cdef Py_ssize_t i
    cdef list values
    if len(args) > len(names):
        raise TypeError(f"{where}() takes at most {len(names)} positional arguments ({len(args)} given)")
    values = list(args) + [ABSENT] * (len(names) - len(args))
    for name, value in kwargs.items():
        if name not in names:
            if PY_VERSION_HEX >= 0x030D0000:
                raise TypeError(f"{where}() got an unexpected keyword argument '{name}'")
            raise TypeError(f"'{name}' is an invalid keyword argument for {where}()")
        i = names.index(name)
        if i < len(args):
            raise TypeError(f"argument for {where}() given by name ('{name}') and position ({i + 1})")
        values[i] = value
    for i in range(required):
        if values[i] is ABSENT:
            raise TypeError(f"{where}() missing required argument '{names[i]}' (pos {i + 1})")
    return values


cdef object ABSENT = object()
