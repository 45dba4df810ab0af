# The pieces of requests in JSON: strings, numbers, Hrana's values. Whatever is unusual raises ValueError.

cdef struct Scan:
    const unsigned char *z      # what comes next
    const unsigned char *end    # a NUL


cdef inline unsigned char ahead(Scan *s) noexcept:
    """What comes behind blanks."""
    while s.z[0] == c" " or s.z[0] == c"\n" or s.z[0] == c"\r" or s.z[0] == c"\t":
        s.z += 1
    return s.z[0]


cdef inline int expect(Scan *s, unsigned char c) except -1:
    if ahead(s) != c:
        raise ValueError
    s.z += 1
    return 0


cdef inline bint next_item(Scan *s, bint first) except -1:
    """Whether one more item of an array follows."""
    cdef unsigned char c = ahead(s)
    if c == c"]":
        s.z += 1
        return False
    if not first:
        if c != c",":
            raise ValueError
        s.z += 1
    return True


cdef inline int next_key(Scan *s, unsigned *seen) except -2:
    """The next key of an object, up to its value; -1 behind the last one. seen: those that were there."""
    cdef unsigned char c = ahead(s)
    cdef sqlite3_int64 n
    cdef int flags, key
    if c == c"}":
        s.z += 1
        return -1
    if seen[0]:
        if c != c",":
            raise ValueError
        s.z += 1
        c = ahead(s)
    if c != c'"':
        raise ValueError
    s.z += 1
    n = lsc_json_string(s.z, s.end, &flags)
    key = lsc_json_key(s.z, n)
    if key < 0 or seen[0] >> key & 1:
        raise ValueError
    seen[0] |= <unsigned>1 << key
    s.z += n + 1
    expect(s, c":")
    return key


cdef inline bint is_word(Scan *s, const char *word, size_t n) noexcept:
    if ahead(s) == word[0] and <size_t>(s.end - s.z) >= n and memcmp(s.z, word, n) == 0:
        s.z += n
        return True
    return False


cdef inline int want_null(Scan *s) except -1:
    if not is_word(s, b"null", 4):
        raise ValueError
    return 0


cdef sqlite3_int64 string_size(Scan *s, int *flags) except -1:
    """The size of a string, up to whose first byte it goes; its flags."""
    cdef sqlite3_int64 n
    expect(s, c'"')
    n = lsc_json_string(s.z, s.end, flags)
    if n < 0:
        raise ValueError
    return n


cdef str decoded(const unsigned char *z, sqlite3_int64 n, int flags):
    cdef bytes plain
    if flags & LSC_JSON_ESCAPES:
        plain = PyBytes_FromStringAndSize(NULL, n)
        n = lsc_json_unescape(z, n, <unsigned char *>PyBytes_AS_STRING(plain))
        if n < 0:
            raise ValueError
        z = <const unsigned char *>PyBytes_AS_STRING(plain)
    return text_of_utf8(<const char *>z, n, NULL)


cdef str read_text(Scan *s):
    cdef int flags
    cdef sqlite3_int64 n = string_size(s, &flags)
    cdef str text = decoded(s.z, n, flags)
    s.z += n + 1
    return text


cdef int read_int32(Scan *s) except? -1:
    cdef int i, n
    cdef long long value = 0
    ahead(s)
    n = lsc_json_number(s.z)
    for i in range(s.z[0] == c"-", n):
        if not c"0" <= s.z[i] <= c"9" or i > 9:
            raise ValueError
        value = value * 10 + s.z[i] - c"0"
    if n == 0 or value > INT_MAX:
        raise ValueError
    value = -value if s.z[0] == c"-" else value
    s.z += n
    return <int>value


cdef object integer_of(const unsigned char *z, sqlite3_int64 n):
    cdef sqlite3_int64 i = z[0] == c"-" or z[0] == c"+"
    cdef long long value = 0
    if i == n or n - i > 18:
        raise ValueError
    for i in range(i, n):
        if not c"0" <= z[i] <= c"9":
            raise ValueError
        value = value * 10 + z[i] - c"0"
    return -value if z[0] == c"-" else value


cdef bytes blob_of(const unsigned char *z, sqlite3_int64 n):
    cdef bytes room
    cdef int size
    if n > INT_MAX:
        raise ValueError
    room = PyBytes_FromStringAndSize(NULL, n // 4 * 3 + 3)
    size = lsc_base64_decode(<const char *>z, <int>n, <unsigned char *>PyBytes_AS_STRING(room))
    if size < 0:
        raise ValueError
    return room[:size]


cdef object float_of(const unsigned char *z, int n):
    cdef char *end = NULL
    cdef double value
    if z[0] == c"-" and z[1] == c"0" and n == 2:      # an integer for the other decoder, without a sign
        return 0.0
    value = PyOS_string_to_double(<const char *>z, &end, NULL)
    if end != <const char *>z + n or value - value != 0:
        raise ValueError
    return value


cdef object read_value(Scan *s):
    """A Value; its keys may come in any order."""
    cdef unsigned seen = 0
    cdef const unsigned char *kind = NULL
    cdef const unsigned char *z = NULL
    cdef sqlite3_int64 n_kind = 0
    cdef sqlite3_int64 n = 0
    cdef int flags = 0
    cdef int number = 0
    cdef int key, ignored
    expect(s, c"{")
    while True:
        key = next_key(s, &seen)
        if key == -1:
            break
        elif key == LSC_KEY_TYPE:
            n_kind = string_size(s, &ignored)
            kind = s.z
            s.z += n_kind + 1
        elif key == LSC_KEY_VALUE and ahead(s) != c'"':
            number = lsc_json_number(s.z)
            if number == 0:
                raise ValueError
            z = s.z
            s.z += number
        elif (key == LSC_KEY_VALUE or key == LSC_KEY_BASE64) and z is NULL:
            n = string_size(s, &flags)
            z = s.z
            s.z += n + 1
        else:
            raise ValueError
    if n_kind == 4 and memcmp(kind, b"null", 4) == 0 and z is NULL:
        return None
    if seen >> LSC_KEY_BASE64 & 1:
        if n_kind == 4 and memcmp(kind, b"blob", 4) == 0 and flags == 0 and number == 0:
            return blob_of(z, n)
    elif z is NULL:
        pass
    elif number:
        if n_kind == 5 and memcmp(kind, b"float", 5) == 0:
            return float_of(z, number)
    elif n_kind == 7 and memcmp(kind, b"integer", 7) == 0:
        return integer_of(z, n)
    elif n_kind == 4 and memcmp(kind, b"text", 4) == 0:
        return decoded(z, n, flags)
    raise ValueError


cdef list read_values(Scan *s):
    cdef list values = []
    expect(s, c"[")
    while next_item(s, not values):
        values.append(read_value(s))
    return values


cdef list read_named_values(Scan *s):
    cdef list values = []
    cdef unsigned seen
    cdef int key
    expect(s, c"[")
    while next_item(s, not values):
        name = value = None
        seen = 0
        expect(s, c"{")
        while True:
            key = next_key(s, &seen)
            if key == -1:
                break
            elif key == LSC_KEY_NAME:
                name = read_text(s)
            elif key == LSC_KEY_VALUE:
                value = read_value(s)
            else:
                raise ValueError
        if name is None or not seen >> LSC_KEY_VALUE & 1:
            raise ValueError
        values.append((name, value))
    return values
