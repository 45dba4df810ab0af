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


def adapt(obj, proto=PrepareProtocol, alt=NO_ALTERNATIVE, /):
    """Adapt obj to proto, or return alt. Raises ProgrammingError if nothing adapts it and no alt was given."""
    return adapt_value(obj, proto, alt)


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
