# The frames of the log of database "main": counted, read, inserted.

cdef long long count_frames(Connection con, int *frame_size) except -1:
    cdef lsc_error error
    cdef unsigned n = 0
    cdef int rc
    memset(&error, 0, sizeof(error))
    con.running += 1
    try:
        with nogil:
            rc = lsc_wal_info(con.db, &n, frame_size, &error)
        raise_kept()
        if rc != SQLITE_OK:
            raise_error(&error)
    finally:
        leave(con)
    return n


cdef list read_frames(Connection con, object start, object stop):
    cdef lsc_error error
    cdef int frame_size, n, i, rc
    cdef long long n_frame = count_frames(con, &frame_size)
    cdef long long first = start
    cdef long long end = n_frame + 1 if stop is None else stop
    cdef unsigned char **out
    cdef list frames = []
    if first < 1 or end < first or end > n_frame + 1:
        raise ValueError(f"no such frames: {first} to {end - 1}; the log has {n_frame}, numbered from 1")
    n = c_int(end - first)
    out = <unsigned char **>PyMem_Calloc(n + 1, sizeof(unsigned char *))
    if out is NULL:
        raise MemoryError()
    memset(&error, 0, sizeof(error))
    try:
        for i in range(n):
            frame = PyBytes_FromStringAndSize(NULL, frame_size)
            frames.append(frame)
            out[i] = <unsigned char *>PyBytes_AS_STRING(frame)
        con.running += 1
        try:
            with nogil:
                rc = lsc_wal_read(con.db, <unsigned>first, n, out, frame_size, &error)
            raise_kept()
            if rc != SQLITE_OK:
                raise_error(&error)
        finally:
            leave(con)
    finally:
        PyMem_Free(out)
    return frames


cdef object insert_frames(Connection con, object given, object start):
    cdef lsc_error error
    cdef list frames = [bytes(frame) for frame in given]    # holds what the pointers below borrow
    cdef Py_ssize_t size, i
    cdef int n = c_int(len(frames))
    cdef long long first = 0 if start is None else start
    cdef const unsigned char **data
    cdef unsigned added = 0
    cdef int rc
    if start is not None and not 1 <= first <= 0xffffffff:
        raise ValueError("frames are numbered from 1")
    if n == 0:
        return 0
    size = len(<bytes>frames[0])
    if size - 24 not in (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536):
        raise ValueError(f"a frame is 24 bytes and one page long, not {size} bytes")
    data = <const unsigned char **>PyMem_Calloc(n, sizeof(unsigned char *))
    if data is NULL:
        raise MemoryError()
    memset(&error, 0, sizeof(error))
    try:
        for i in range(n):
            if len(<bytes>frames[i]) != size:
                raise ValueError(f"frames of {size} and of {len(<bytes>frames[i])} bytes cannot be of one log")
            data[i] = <const unsigned char *>PyBytes_AS_STRING(<bytes>frames[i])
        con.running += 1
        try:
            with nogil:
                rc = lsc_wal_insert(con.db, <unsigned>first, n, data, <int>size, &added, &error)
            raise_kept()
            if rc != SQLITE_OK:
                raise_error(&error)
        finally:
            leave(con)
    finally:
        PyMem_Free(data)
    return added
