# Requests out of protobuf, with what requests.pyx says of those in JSON.

cdef struct Field:
    int number
    int wire                    # 0: value; 1: eight bytes at `of`; 2: all of `of`
    unsigned long long value
    Scan of


cdef inline unsigned long long read_varint(Scan *s) except? 0:
    cdef unsigned long long value = 0
    cdef int shift = 0
    while s.z < s.end and shift < 63:
        value |= <unsigned long long>(s.z[0] & 0x7f) << shift
        s.z += 1
        if s.z[-1] < 0x80:
            return value
        shift += 7
    if s.z < s.end and s.z[0] <= 1:
        value |= <unsigned long long>s.z[0] << 63
        s.z += 1
        return value
    raise ValueError


cdef inline bint next_field(Scan *s, Field *f) except -1:
    cdef unsigned long long tag, n
    if s.z == s.end:
        return False
    tag = read_varint(s)
    f.number = <int>(tag >> 3 & 0xff)
    f.wire = tag & 7
    if tag > 0x7f or f.number == 0:
        raise ValueError
    if f.wire == 0:
        f.value = read_varint(s)
        return True
    n = 8 if f.wire == 1 else read_varint(s)
    if f.wire > 2 or n > <unsigned long long>(s.end - s.z):
        raise ValueError
    f.of.z = s.z
    s.z += n
    f.of.end = s.z
    return True


cdef inline int want_wire(Field *f, int wire) except -1:
    if f.wire != wire:
        raise ValueError
    return 0


cdef inline object int32_of(Field *f):
    want_wire(f, 0)
    return <int><unsigned>f.value


cdef object text_field(Field *f):
    want_wire(f, 2)
    return text_of_utf8(<const char *>f.of.z, f.of.end - f.of.z, NULL)


cdef inline double little_double(const unsigned char *z) noexcept:
    cdef unsigned long long bits = 0
    cdef double value
    cdef int i
    for i in range(8):
        bits |= <unsigned long long>z[i] << 8 * i
    memcpy(&value, &bits, 8)
    return value


cdef object proto_value(Scan *s):
    cdef Field f
    cdef bint found = False
    value = None
    while next_field(s, &f):
        found = True
        if f.number == 1:
            want_wire(&f, 2)
            value = None
        elif f.number == 2:
            want_wire(&f, 0)
            value = <long long>(f.value >> 1 ^ (0 - (f.value & 1)))
        elif f.number == 3:
            want_wire(&f, 1)
            value = little_double(f.of.z)
        elif f.number == 4:
            value = text_field(&f)
        elif f.number == 5:
            want_wire(&f, 2)
            value = PyBytes_FromStringAndSize(<const char *>f.of.z, f.of.end - f.of.z)
        else:
            raise ValueError
    if not found:
        raise ValueError
    return value


cdef tuple proto_named_value(Scan *s):
    cdef Field f
    cdef bint found = False
    cdef object name = ""
    value = None
    while next_field(s, &f):
        want_wire(&f, 2)
        if f.number == 1:
            name = text_field(&f)
        elif f.number == 2:
            value = proto_value(&f.of)
            found = True
        else:
            raise ValueError
    if not found:
        raise ValueError
    return name, value


cdef object proto_stmt(RequestReader r, Scan *s):
    cdef Field f
    cdef object sql = None
    cdef list args = []
    cdef list named = []
    while next_field(s, &f):
        if f.number == 1:
            want_wire(&f, 2)
            sql = known_text(r, f.of.z, f.of.end - f.of.z)
        elif f.number == 3:
            want_wire(&f, 2)
            args.append(proto_value(&f.of))
        elif f.number == 4:
            want_wire(&f, 2)
            named.append(proto_named_value(&f.of))
        elif f.number == 5:
            want_wire(&f, 0)
        else:
            raise ValueError
    return named_tuple(r.stmt, 4, <PyObject *>sql, <PyObject *>None, <PyObject *>args, <PyObject *>named)


cdef list proto_conditions(Scan *s, int depth):
    cdef Field f
    cdef list conditions = []
    while next_field(s, &f):
        want_wire(&f, 2)
        if f.number != 1:
            raise ValueError
        conditions.append(proto_condition(&f.of, depth))
    return conditions


cdef tuple proto_condition(Scan *s, int depth):
    cdef Field f
    cdef tuple condition = None
    if depth > DEEPEST:
        raise ValueError
    while next_field(s, &f):
        want_wire(&f, 0 if f.number <= 2 else 2)
        if f.number == 1:
            condition = "ok", <unsigned>f.value
        elif f.number == 2:
            condition = "error", <unsigned>f.value
        elif f.number == 3:
            condition = "not", proto_condition(&f.of, depth + 1)
        elif f.number == 4:
            condition = "and", proto_conditions(&f.of, depth + 1)
        elif f.number == 5:
            condition = "or", proto_conditions(&f.of, depth + 1)
        elif f.number == 6:
            condition = "is_autocommit", None
        else:
            raise ValueError
    if condition is None:
        raise ValueError
    return condition


cdef object proto_step(RequestReader r, Scan *s):
    cdef Field f
    cdef object condition = None
    cdef object stmt = None
    while next_field(s, &f):
        want_wire(&f, 2)
        if f.number == 1:
            condition = proto_condition(&f.of, 0)
        elif f.number == 2:
            stmt = proto_stmt(r, &f.of)
        else:
            raise ValueError
    if stmt is None:
        raise ValueError
    return named_tuple(r.step, 2, <PyObject *>condition, <PyObject *>stmt, NULL, NULL)


cdef object proto_batch(RequestReader r, Scan *s):
    cdef Field f
    cdef list steps = []
    while next_field(s, &f):
        want_wire(&f, 2)
        if f.number != 1:
            raise ValueError
        steps.append(proto_step(r, &f.of))
    return named_tuple(r.batch, 1, <PyObject *>steps, NULL, NULL, NULL)


cdef object proto_request(RequestReader r, str kind, Scan *s, bint socket):
    """A request to a stream, which a WebSocket's names first."""
    cdef Field f
    cdef object none = 0
    cdef object stream = none
    cdef object body = None
    while next_field(s, &f):
        if socket:
            f.number -= 1
        if f.number == 0:
            stream = int32_of(&f)
        elif f.number == 1 and f.wire == 2 and kind == "execute":
            body = proto_stmt(r, &f.of)
        elif f.number == 1 and f.wire == 2 and kind == "batch":
            body = proto_batch(r, &f.of)
        else:
            raise ValueError
    if body is None and (kind == "execute" or kind == "batch"):
        raise ValueError
    return named_tuple(r.request, 4, <PyObject *>kind, <PyObject *>body, <PyObject *>stream, <PyObject *>none)


cdef object proto_body(RequestReader r, Scan *s):
    cdef Field f, inner
    cdef object baton = None
    cdef list requests = []
    cdef str kind
    while next_field(s, &f):
        if f.number == 1:
            baton = text_field(&f)
            continue
        want_wire(&f, 2)
        if f.number != 2 or not next_field(&f.of, &inner) or f.of.z != f.of.end:
            raise ValueError
        want_wire(&inner, 2)
        if inner.number == 1:
            kind = "close"
        elif inner.number == 2:
            kind = "execute"
        elif inner.number == 3:
            kind = "batch"
        elif inner.number == 8:
            kind = "get_autocommit"
        else:
            raise ValueError
        requests.append(proto_request(r, kind, &inner.of, False))
    return named_tuple(r.body, 2, <PyObject *>baton, <PyObject *>requests, NULL, NULL)


cdef object proto_message(RequestReader r, Scan *s):
    cdef Field f, inner
    cdef object number = 0
    cdef object request = None
    cdef str kind
    if not next_field(s, &f) or f.number != 2 or f.wire != 2 or s.z != s.end:
        raise ValueError
    while next_field(&f.of, &inner):
        if inner.number == 1:
            number = int32_of(&inner)
            continue
        want_wire(&inner, 2)
        if inner.number == 2:
            kind = "open_stream"
        elif inner.number == 3:
            kind = "close_stream"
        elif inner.number == 4:
            kind = "execute"
        elif inner.number == 5:
            kind = "batch"
        elif inner.number == 13:
            kind = "get_autocommit"
        else:
            raise ValueError
        request = proto_request(r, kind, &inner.of, True)
    if request is None:
        raise ValueError
    return named_tuple(r.message, 2, <PyObject *>number, <PyObject *>request, NULL, NULL)
