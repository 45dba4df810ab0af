# Requests, as clients usually write them: those in JSON. What is written in another way, or wrong, is left to the
# decoder in Python: a reader here gives what that one would, or None. Inside, a ValueError stands for that.

cdef enum:
    KNOWN_TEXTS = 16            # SQL texts that are kept, by their length
    KNOWN_SIZE = 1 << 12        # and the longest of them
    DEEPEST = 16                # of the conditions that are read here


cdef tuple read_condition(Scan *s, int depth):
    cdef unsigned seen = 0
    cdef str kind = None
    cdef object of = None
    cdef int key = -1
    cdef int of_key = -1
    if depth > DEEPEST:
        raise ValueError
    expect(s, c"{")
    while True:
        key = next_key(s, &seen)
        if key == -1:
            break
        elif key == LSC_KEY_TYPE:
            kind = "ok" if is_word(s, b'"ok"', 4) else read_text(s)
            continue
        elif of_key >= 0:
            raise ValueError
        elif key == LSC_KEY_STEP:
            of = read_int32(s)
            if of < 0:
                raise ValueError
        elif key == LSC_KEY_COND:
            of = read_condition(s, depth + 1)
        elif key == LSC_KEY_CONDS:
            of = []
            expect(s, c"[")
            while next_item(s, not of):
                (<list>of).append(read_condition(s, depth + 1))
        else:
            raise ValueError
        of_key = key
    if kind == "ok" or kind == "error":
        if of_key == LSC_KEY_STEP:
            return kind, of
    elif kind == "not":
        if of_key == LSC_KEY_COND:
            return kind, of
    elif kind == "and" or kind == "or":
        if of_key == LSC_KEY_CONDS:
            return kind, of
    elif kind == "is_autocommit" and of_key == -1:
        return kind, None
    raise ValueError


cdef inline object named_tuple(object type, Py_ssize_t n, PyObject *a, PyObject *b, PyObject *c, PyObject *d):
    """Of a type made by NamedTuple, without a call of Python's."""
    cdef PyObject *items[4]
    cdef Py_ssize_t i
    made = lsc_new_tuple(type, n)
    items[0], items[1], items[2], items[3] = a, b, c, d
    for i in range(n):
        Py_INCREF(<object>items[i])
        PyTuple_SET_ITEM(<PyObject *>made, i, items[i])
    return made


@cython.final
cdef class RequestReader:
    """Makes named tuples of the given types, whose fields are those of libsql_core.hrana.types, out of requests."""

    def __init__(self, body, message, request, batch, step, stmt):
        types = (body, message, request, batch, step, stmt)
        for type, size in zip(types, (2, 2, 4, 1, 2, 4)):
            if not issubclass(type, tuple) or len(type._fields) != size:
                raise TypeError(f"{type.__name__} is not the named tuple that is read here")
        self.body, self.message, self.request = body, message, request
        self.batch, self.step, self.stmt = batch, step, stmt
        self.texts = [None] * KNOWN_TEXTS

    def pipeline(self, bytes data not None, bint protobuf=False):
        """The body of a pipeline, or None."""
        cdef Scan s
        begin_scan(&s, data)
        try:
            return proto_body(self, &s) if protobuf else end_scan(&s, read_body(self, &s))
        except ValueError:
            return None

    def socket(self, bytes data not None, bint protobuf=False):
        """A message that is a request, or None."""
        cdef Scan s
        begin_scan(&s, data)
        try:
            return proto_message(self, &s) if protobuf else end_scan(&s, read_message(self, &s))
        except ValueError:
            return None


cdef void begin_scan(Scan *s, bytes data) noexcept:
    s.z = <const unsigned char *>PyBytes_AS_STRING(data)
    s.end = s.z + PyBytes_GET_SIZE(data)


cdef object end_scan(Scan *s, object found):
    ahead(s)
    if s.z != s.end:
        raise ValueError
    return found


cdef str known_text(RequestReader r, const unsigned char *z, sqlite3_int64 n):
    """A text, as the same object if it came before."""
    cdef int place = n % KNOWN_TEXTS
    cdef str known = r.texts[place]
    cdef const char *z_known
    cdef Py_ssize_t n_known
    if known is not None:
        z_known = PyUnicode_AsUTF8AndSize(known, &n_known)
        if n == n_known and memcmp(z, z_known, n) == 0:
            return known
    known = text_of_utf8(<const char *>z, n, NULL)
    if n <= KNOWN_SIZE:
        r.texts[place] = known
    return known


cdef str read_sql(RequestReader r, Scan *s):
    cdef int flags
    cdef sqlite3_int64 n = string_size(s, &flags)
    cdef str sql = decoded(s.z, n, flags) if flags & LSC_JSON_ESCAPES else known_text(r, s.z, n)
    s.z += n + 1
    return sql


cdef object read_stmt(RequestReader r, Scan *s):
    cdef unsigned seen = 0
    cdef object sql = None
    cdef object args = ()
    cdef object named = ()
    cdef int key
    expect(s, c"{")
    while True:
        key = next_key(s, &seen)
        if key == -1:
            break
        elif key == LSC_KEY_SQL:
            if not is_word(s, b"null", 4):
                sql = read_sql(r, s)
        elif key == LSC_KEY_ARGS:
            args = read_values(s)
        elif key == LSC_KEY_NAMED_ARGS:
            named = read_named_values(s)
        elif key == LSC_KEY_WANT_ROWS:
            if not is_word(s, b"true", 4) and not is_word(s, b"false", 5):
                want_null(s)
        elif key == LSC_KEY_SQL_ID or key == LSC_KEY_INDEX:
            want_null(s)
        else:
            raise ValueError
    return named_tuple(r.stmt, 4, <PyObject *>sql, <PyObject *>None, <PyObject *>args, <PyObject *>named)


cdef object read_step(RequestReader r, Scan *s):
    cdef unsigned seen = 0
    cdef object condition = None
    cdef object stmt = None
    cdef int key
    expect(s, c"{")
    while True:
        key = next_key(s, &seen)
        if key == -1:
            break
        elif key == LSC_KEY_CONDITION:
            if not is_word(s, b"null", 4):
                condition = read_condition(s, 0)
        elif key == LSC_KEY_STMT:
            stmt = read_stmt(r, s)
        else:
            raise ValueError
    if stmt is None:
        raise ValueError
    return named_tuple(r.step, 2, <PyObject *>condition, <PyObject *>stmt, NULL, NULL)


cdef object read_batch(RequestReader r, Scan *s):
    cdef unsigned seen = 0
    cdef list steps = None
    cdef int key
    expect(s, c"{")
    while True:
        key = next_key(s, &seen)
        if key == -1:
            break
        elif key == LSC_KEY_STEPS:
            steps = []
            expect(s, c"[")
            while next_item(s, not steps):
                steps.append(read_step(r, s))
        elif key == LSC_KEY_INDEX:
            want_null(s)
        else:
            raise ValueError
    if steps is None:
        raise ValueError
    return named_tuple(r.batch, 1, <PyObject *>steps, NULL, NULL, NULL)


cdef object read_request(RequestReader r, Scan *s, bint socket):
    """A request to a stream; on a WebSocket it names the stream."""
    cdef unsigned seen = 0
    cdef str kind = None
    cdef object body = None
    cdef object none = 0
    cdef object stream = none
    cdef int key
    expect(s, c"{")
    while True:
        key = next_key(s, &seen)
        if key == -1:
            break
        elif key == LSC_KEY_TYPE:
            kind = read_text(s)
        elif key == LSC_KEY_STMT:
            body = read_stmt(r, s)
        elif key == LSC_KEY_BATCH:
            body = read_batch(r, s)
        elif key == LSC_KEY_STREAM_ID and socket:
            stream = read_int32(s)
        else:
            raise ValueError
    if socket and not seen >> LSC_KEY_STREAM_ID & 1:
        raise ValueError
    seen &= <unsigned>1 << LSC_KEY_STMT | <unsigned>1 << LSC_KEY_BATCH
    if kind == "execute":
        if seen != <unsigned>1 << LSC_KEY_STMT:
            raise ValueError
    elif kind == "batch":
        if seen != <unsigned>1 << LSC_KEY_BATCH:
            raise ValueError
    elif seen or not (kind == "get_autocommit" or kind == ("close_stream" if socket else "close")
                      or socket and kind == "open_stream"):
        raise ValueError
    return named_tuple(r.request, 4, <PyObject *>kind, <PyObject *>body, <PyObject *>stream, <PyObject *>none)


cdef object read_body(RequestReader r, Scan *s):
    cdef unsigned seen = 0
    cdef list requests = None
    cdef object baton = None
    cdef int key
    expect(s, c"{")
    while True:
        key = next_key(s, &seen)
        if key == -1:
            break
        elif key == LSC_KEY_BATON:
            if not is_word(s, b"null", 4):
                baton = read_text(s)
        elif key == LSC_KEY_REQUESTS:
            requests = []
            expect(s, c"[")
            while next_item(s, not requests):
                requests.append(read_request(r, s, False))
        else:
            raise ValueError
    if requests is None:
        raise ValueError
    return named_tuple(r.body, 2, <PyObject *>baton, <PyObject *>requests, NULL, NULL)


cdef object read_message(RequestReader r, Scan *s):
    cdef unsigned seen = 0
    cdef str kind = None
    cdef object number = None
    cdef object request = None
    cdef int key
    expect(s, c"{")
    while True:
        key = next_key(s, &seen)
        if key == -1:
            break
        elif key == LSC_KEY_TYPE:
            kind = read_text(s)
        elif key == LSC_KEY_REQUEST_ID:
            number = read_int32(s)
        elif key == LSC_KEY_REQUEST:
            request = read_request(r, s, True)
        else:
            raise ValueError
    if kind != "request" or number is None or request is None:
        raise ValueError
    return named_tuple(r.message, 2, <PyObject *>number, <PyObject *>request, NULL, NULL)
