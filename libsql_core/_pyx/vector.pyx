# Vectors: numbers in buffers, as numpy arrays and array.array offer them, become blobs; blobs become numbers.

cdef enum:
    VECTOR_DIMS = 65536


cdef bint is_ndarray(object value):
    """Whether the value is a numpy array; does not import numpy."""
    cdef object t
    if isinstance(value, (bytearray, memoryview)):
        return False
    for t in type(value).__mro__:
        if (<type>t).__name__ == "ndarray" and t.__module__ == "numpy":
            return True
    return False


cdef int number_type(const char *format, bint *other_order):
    """The vector type of the numbers that a buffer's format tells of; 0: they are none of a vector."""
    cdef char order = format[0]
    other_order[0] = False
    if order == c'<' or order == c'>' or order == c'=' or order == c'@' or order == c'!':
        other_order[0] = order == c'>' or order == c'!'     # vec/vector.h: the processor is little-endian
        format += 1
    if format[0] == 0 or format[1] != 0:
        return 0
    if format[0] == c'f':
        return 1
    if format[0] == c'd':
        return 2
    return 5 if format[0] == c'e' else 0


cdef int not_numbers(object value, object name) except -1:
    raise TypeError(
        f"an array of {getattr(value, 'dtype', name)} is no vector, whose numbers are float16, float32 or float64: "
        "convert it with astype(), or take its raw bytes with tobytes()")


cdef bytes encode_numbers(object value, int to, int ndim):
    """The blob of an array of numbers, or those of a matrix, one behind the other. `to` 0: the numbers' own type."""
    cdef Py_buffer view
    cdef Py_ssize_t n, n_row, size, i, j
    cdef int number, rc
    cdef bint other_order
    cdef bytes packed, made
    cdef const char *format
    cdef char *z
    cdef char *out
    try:
        PyObject_GetBuffer(value, &view, PyBUF_FULL_RO)
    except (BufferError, ValueError):       # numpy: a dtype that buffers do not know
        not_numbers(value, type_name(value))
    try:
        format = view.format
        if format is NULL:
            format = "B"
        number = number_type(format, &other_order)
        if number == 0:
            not_numbers(value, format.decode())
        if view.ndim != ndim:
            raise ValueError(
                f"an array of {view.ndim} dimensions is no vector; insert the rows of a matrix with "
                "libsql_core.vector.insert_many()" if ndim == 1 else f"a matrix has 2 dimensions, not {view.ndim}")
        n = view.shape[ndim - 1]
        n_row = view.shape[0] if ndim == 2 else 1
        if n > VECTOR_DIMS:
            raise ValueError(f"vector: max size exceeded: {n} > {VECTOR_DIMS}")
        if to == 0:
            to = number
        size = <Py_ssize_t>lsc_vector_size(to, <int>n)
        if size and n_row > PY_SSIZE_T_MAX // size:
            raise MemoryError()
        z = <char *>view.buf
        if other_order or not PyBuffer_IsContiguous(&view, c'C'):
            packed = PyBytes_FromStringAndSize(NULL, view.len)
            z = PyBytes_AS_STRING(packed)
            if PyBuffer_ToContiguous(z, &view, view.len, c'C') != 0:
                raise MemoryError()
            if other_order:
                for i in range(0, view.len, view.itemsize):
                    for j in range(view.itemsize // 2):
                        z[i + j], z[i + view.itemsize - 1 - j] = z[i + view.itemsize - 1 - j], z[i + j]
        made = PyBytes_FromStringAndSize(NULL, n_row * size)
        out = PyBytes_AS_STRING(made)
        with nogil:
            rc = lsc_vector_encode(z, number, n_row, <int>n, to, out)
        if rc != SQLITE_OK:
            raise MemoryError()
        return made
    finally:
        PyBuffer_Release(&view)


def vector_encode(numbers, int type, int ndim, /):
    """The blobs of a buffer of `ndim` dimensions, one behind the other."""
    return encode_numbers(numbers, type, ndim)


def vector_decode(vector, int number, /):
    """Type and length of a vector, and its elements as numbers of type `number`; None if that is 0."""
    cdef Py_buffer view
    cdef lsc_error error
    cdef void *out = NULL
    cdef int kind = 0, n = 0, rc
    cdef Py_ssize_t size
    cdef const char *z
    memset(&error, 0, sizeof(error))
    if isinstance(vector, str):
        z = PyUnicode_AsUTF8AndSize(vector, &size)
        rc = lsc_vector_decode(z, size, True, &kind, &n, number, &out, &error)
    else:
        PyObject_GetBuffer(vector, &view, PyBUF_SIMPLE)
        try:
            rc = lsc_vector_decode(view.buf, view.len, False, &kind, &n, number, &out, &error)
        finally:
            PyBuffer_Release(&view)
    if error.text is not NULL:
        message = error.text.decode("utf-8", "replace")
        sqlite3_free(error.text)
        raise ValueError(message)
    if rc != SQLITE_OK:
        raise MemoryError()
    try:
        return kind, n, PyBytes_FromStringAndSize(<char *>out, n * (8 if number == 2 else 4)) if number else None
    finally:
        sqlite3_free(out)
