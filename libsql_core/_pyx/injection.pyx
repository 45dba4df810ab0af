# A primary's frames, in the messages they come in, written into a replica's file.

cdef int bad_message(str what) except -1:
    raise ReplicationError(f"not a message with frames: {what}")


cdef Py_ssize_t take_varint(const unsigned char **z, const unsigned char *end) except -1:
    cdef unsigned long long value = 0
    cdef int shift = 0
    while True:
        if z[0] >= end or shift > 63:
            bad_message("a number is cut off")
        value |= <unsigned long long>(z[0][0] & 0x7f) << shift
        z[0] += 1
        if z[0][-1] < 0x80:
            break
        shift += 7
    # What is not a length may be any number.
    return <Py_ssize_t>(value & <unsigned long long>PY_SSIZE_T_MAX)


cdef Py_ssize_t take_field(const unsigned char **z, const unsigned char *end, int *field,
                           const unsigned char **data) except -1:
    """The next field: its number, and the bytes of one that has a length. Their count; -1 is an error."""
    cdef Py_ssize_t tag = take_varint(z, end), n
    cdef int kind = tag & 7
    field[0] = <int>min(tag >> 3, 0xffff)
    data[0] = NULL
    if kind == 0:
        take_varint(z, end)
        return 0
    n = 8 if kind == 1 else 4 if kind == 5 else 0
    if kind == 2:
        n = take_varint(z, end)
    elif n == 0:
        bad_message(f"a field has the wire type {kind}")
    if n > end - z[0]:
        bad_message("a field is longer than the message")
    if kind == 2:
        data[0] = z[0]
    z[0] += n
    return n


cdef const unsigned char *frame_of(const unsigned char *z, Py_ssize_t size) except NULL:
    """The 4120 bytes of a wal_log.Frame."""
    cdef const unsigned char *end = z + size
    cdef const unsigned char *data
    cdef const unsigned char *frame = NULL
    cdef int field = 0
    cdef Py_ssize_t n
    while z < end:
        n = take_field(&z, end, &field, &data)
        if field == 1 and data is not NULL:
            if n != LSC_LOG_FRAME:
                bad_message(f"a frame has {n} bytes")
            frame = data
    if frame is NULL:
        bad_message("a frame has no bytes")
    return frame


cdef object injected(lsc_injected *out):
    return Injected(out.taken, out.last, out.committed)


@cython.final
@cython.no_gc_clear              # the log is needed until the file is closed
cdef class Injector:
    """Writes a primary's frames into a replica's file, under readers of this and other processes."""

    def __init__(self, path, *, encryption_key=None, cipher=None, int wal_autocheckpoint=1000,
                 ReplicationLog log=None):
        cdef bytes name = file_name(path)
        cdef const char *z = name
        cdef Key key = make_key(encryption_key, cipher, "Injector()")
        cdef lsc_key k
        cdef lsc_error error
        cdef lsc_replog *p_log = NULL if log is None else open_log(log)
        cdef int rc
        if self.p is not NULL:
            raise ValueError("the injector is open")
        self.log = log
        memset(&error, 0, sizeof(error))
        fill_key(&k, key)
        with nogil:
            rc = lsc_injector_open(&self.p, z, &k, wal_autocheckpoint, p_log, &error)
        if rc != SQLITE_OK:
            raise_log(&error)

    def __dealloc__(self):
        if self.p is not NULL:
            with nogil:
                lsc_injector_close(self.p)

    def frames(self, message, long long expected, *, previous=None):
        """Write an encoded wal_log.Frames; `expected` is the number of its first frame."""
        cdef Py_buffer view
        cdef const unsigned char *z
        cdef const unsigned char *end
        cdef const unsigned char *data
        cdef const unsigned char **frames = NULL
        cdef int field = 0
        cdef Py_ssize_t n, n_frame = 0, room
        begin_injection(self)
        try:
            PyObject_GetBuffer(message, &view, PyBUF_SIMPLE)
            try:
                room = view.len // LSC_LOG_FRAME + 1
                frames = <const unsigned char **>PyMem_Malloc(<size_t>room * sizeof(void *))
                if frames is NULL:
                    raise MemoryError()
                z = <const unsigned char *>view.buf
                end = z + view.len
                while z < end:
                    n = take_field(&z, end, &field, &data)
                    if field == 1 and data is not NULL:
                        frames[n_frame] = frame_of(data, n)
                        n_frame += 1
                return inject_frames(self, frames, n_frame, expected, previous)
            finally:
                PyMem_Free(frames)
                PyBuffer_Release(&view)
        finally:
            self.running = False

    def frame(self, message, long long expected):
        """Write an encoded wal_log.Frame, once its transaction is whole."""
        cdef Py_buffer view
        cdef const unsigned char *frame
        begin_injection(self)
        try:
            PyObject_GetBuffer(message, &view, PyBUF_SIMPLE)
            try:
                frame = frame_of(<const unsigned char *>view.buf, view.len)
                return inject_frames(self, &frame, 1, expected, None)
            finally:
                PyBuffer_Release(&view)
        finally:
            self.running = False

    def snapshot(self, messages, long long expected):
        """Write the encoded wal_log.Frame messages of a snapshot as one transaction."""
        cdef lsc_injected done
        cdef list group = []
        cdef bint begun = False
        cdef long long taken = 0
        cdef long long last = -1
        done.committed = -1
        begin_injection(self)
        try:
            for message in messages:
                group.append(message if type(message) is bytes else bytes(message))
                if len(group) == 64:
                    inject_snapshot(self, group, not begun, expected, &done)
                    last = last if begun else done.last
                    begun = True
                    taken += done.taken
                    group = []
            if group:
                inject_snapshot(self, group, not begun, expected, &done)
                last = last if begun else done.last
                taken += done.taken
            if done.committed < 0:
                raise ReplicationError("the snapshot ends before its last frame")
            return Injected(taken, last, done.committed)
        except BaseException:
            if self.p is not NULL:
                lsc_injector_rollback(self.p)
            raise
        finally:
            self.running = False

    def rollback(self):
        """Forget what was not committed."""
        begin_injection(self)
        with nogil:
            lsc_injector_rollback(self.p)
        self.running = False

    def close(self):
        """Forget what was not committed, and close the file."""
        cdef lsc_injector *p = self.p
        if self.running:
            raise ProgrammingError("frames are being injected by another thread")
        self.p = NULL
        if p is not NULL:
            with nogil:
                lsc_injector_close(p)


cdef int begin_injection(Injector injector) except -1:
    if injector.p is NULL:
        raise ProgrammingError("the injector is closed")
    if injector.running:
        raise ProgrammingError("frames are being injected by another thread")
    injector.running = True
    return 0


cdef object inject_frames(Injector injector, const unsigned char **frames, Py_ssize_t n, long long expected,
                          object previous):
    cdef lsc_injected done
    cdef lsc_error error
    cdef unsigned long long before = 0 if previous is None else previous
    cdef const unsigned long long *p_before = NULL if previous is None else &before
    cdef int rc, count = c_int(n)
    memset(&error, 0, sizeof(error))
    with nogil:
        rc = lsc_injector_frames(injector.p, frames, count, expected, p_before, &done, &error)
    if rc != SQLITE_OK:
        raise_log(&error)
    return injected(&done)


cdef int inject_snapshot(Injector injector, list group, bint begin, long long expected, lsc_injected *done) except -1:
    cdef const unsigned char *frames[64]
    cdef lsc_error error
    cdef int rc, i, n = len(group)
    for i in range(n):
        frames[i] = frame_of(<const unsigned char *>PyBytes_AS_STRING(<bytes>group[i]), len(<bytes>group[i]))
    memset(&error, 0, sizeof(error))
    with nogil:
        rc = lsc_injector_snapshot(injector.p, frames, n, begin, expected, done, &error)
    if rc != SQLITE_OK:
        raise_log(&error)
    return 0
