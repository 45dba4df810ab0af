# The buffers that replies are written into.

cdef enum:
    KEPT_OUT = 1 << 16          # a connection's buffer above this size goes to the next one that needs it,
    SHARED_OUT = 1 << 22        # or is freed if it is even larger

cdef lsc_out spare_out          # the one that waits; changed under the GIL
memset(&spare_out, 0, sizeof(spare_out))


cdef bytes joined(bytes head, lsc_out *out, bytes tail):
    cdef Py_ssize_t n_head = PyBytes_GET_SIZE(head)
    cdef Py_ssize_t n_tail = PyBytes_GET_SIZE(tail)
    cdef bytes made = PyBytes_FromStringAndSize(NULL, n_head + <Py_ssize_t>out.n + n_tail)
    cdef char *z = PyBytes_AS_STRING(made)
    memcpy(z, PyBytes_AS_STRING(head), n_head)
    if out.n:
        memcpy(z + n_head, out.a, out.n)
    memcpy(z + n_head + out.n, PyBytes_AS_STRING(tail), n_tail)
    return made


cdef inline int fit_out(lsc_out *out, Py_ssize_t size) except -1:
    """Take the large buffer that waits if a reply may need it."""
    cdef lsc_out small
    if size > KEPT_OUT and spare_out.room > out.room:
        small = out[0]
        out[0] = spare_out
        memset(&spare_out, 0, sizeof(spare_out))
        lsc_out_free(&small)
    return 0


cdef inline int trim_out(lsc_out *out) except -1:
    if out.room > KEPT_OUT:
        if spare_out.a is NULL and out.room <= SHARED_OUT:
            spare_out.a = out.a
            spare_out.room = out.room
            memset(out, 0, sizeof(out[0]))
        else:
            lsc_out_free(out)
    return 0
