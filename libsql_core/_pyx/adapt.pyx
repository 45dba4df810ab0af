# How Python values become SQLite values and back: adapters, converters, and the type that asks for adaptation.

adapters = {}         # (type, protocol) -> callable
converters = {}       # upper-case type name -> callable
cdef bint plain_adapted = False     # an adapter is registered for a type that SQLite stores as it is


@cython.final
cdef class PrepareProtocol:
    """The protocol under which values that SQLite cannot store are adapted: see `register_adapter`."""


cdef inline bint is_plain(object value):
    """Whether SQLite stores the value as it is, and no adapter can be meant for it."""
    cdef type t = type(value)
    return t is int or t is str or t is float or value is None or t is bytes


cdef object adapt_value(object value, object protocol, object alternative):
    """What value becomes under protocol; `alternative` if nothing adapts it."""
    cdef object adapter, adapted
    adapter = adapters.get((type(value), protocol))
    if adapter is not None:
        return adapter(value)
    adapter = getattr(protocol, "__adapt__", None)
    if adapter is not None:
        try:
            adapted = adapter(value)
        except TypeError:
            adapted = None
        if adapted is not None:
            return adapted
    adapter = getattr(value, "__conform__", None)
    if adapter is not None:
        try:
            adapted = adapter(protocol)
        except TypeError:
            adapted = None
        if adapted is not None:
            return adapted
    if alternative is NO_ALTERNATIVE:
        raise ProgrammingError("can't adapt")
    return alternative


cdef object NO_ALTERNATIVE = object()


@cython.embedsignature(False)
def adapt(obj, proto=PrepareProtocol, alt=NO_ALTERNATIVE, /):
    """adapt(obj, proto=PrepareProtocol, alt=..., /)

    Adapt obj to proto, or return alt. Raises ProgrammingError if nothing adapts it and no alt was given.
    """
    return adapt_value(obj, proto, alt)


cdef int digits(const char *z, int n) noexcept:
    """The number that n digits form, or -1 if one of them is none."""
    cdef int i, value = 0
    for i in range(n):
        if z[i] < c'0' or z[i] > c'9':
            return -1
        value = value * 10 + (z[i] - c'0')
    return value


def parse_timestamp(bytes data, /):
    """The datetime that the usual form YYYY-MM-DD HH:MM:SS[.ffffff] says; None for any other form."""
    cdef const char *z = data
    cdef Py_ssize_t n = len(data)
    cdef int year, month, day, hour, minute, second, micro = 0
    cdef Py_ssize_t i
    if n < 19 or z[4] != c'-' or z[7] != c'-' or z[10] != c' ' or z[13] != c':' or z[16] != c':':
        return None
    year, month, day = digits(z, 4), digits(z + 5, 2), digits(z + 8, 2)
    hour, minute, second = digits(z + 11, 2), digits(z + 14, 2), digits(z + 17, 2)
    if year < 0 or month < 0 or day < 0 or hour < 0 or minute < 0 or second < 0:
        return None
    if n > 19:
        if n == 20 or z[19] != c'.':
            return None
        for i in range(20, n):
            if z[i] < c'0' or z[i] > c'9':
                return None
        for i in range(20, 26):
            micro = micro * 10 + (z[i] - c'0' if i < n else 0)
    return datetime_new(year, month, day, hour, minute, second, micro, None)


def register_adapter(type, adapter, /):
    """Have `adapter(value)` turn values of exactly this type into one that SQLite stores."""
    global plain_adapted
    if type is int or type is float or type is str or type is bytes or type is NoneType:
        plain_adapted = True
    adapters[(type, PrepareProtocol)] = adapter


def register_converter(typename, converter, /):
    """Have `converter(data: bytes)` turn values of columns of this type into objects; see `detect_types`."""
    if not isinstance(typename, str):
        raise TypeError(f"register_converter() argument 1 must be str, not {not_type(typename)}")
    converters[(<str>typename).upper()] = converter
