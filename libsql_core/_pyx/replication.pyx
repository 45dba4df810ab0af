# Logs of frames for replicas.
import os as _os
from collections import namedtuple as _namedtuple
from time import time as _time
from uuid import UUID as _UUID, uuid4 as _uuid4


class ReplicationError(OperationalError):
    """What came from a primary cannot be: frames out of order, of another history, damaged."""
    __module__ = "libsql_core"


class SnapshotNeeded(Exception):
    """The frame that was asked for is no longer in the log."""
    __module__ = "libsql_core"


Injected = _namedtuple("Injected", ("taken", "last", "committed"), module="libsql_core._engine")

cdef enum:
    MERGE_FILES = 32            # snapshots, above which they become one
    FRAME_IN_FRAMES = LSC_LOG_FRAME + 6         # bytes of a frame in a wal_log.Frames, without a time


cdef int fill_key(lsc_key *out, Key key) except -1:
    memset(out, 0, sizeof(lsc_key))
    if key is not None:
        out.cipher = NULL if key.cipher is None else <const char *>key.cipher
        out.key, out.n, out.is_raw = key.data, key.n, key.is_raw
    return 0


cdef int raise_log(lsc_error *error) except -1:
    """Raise what a call of replication.h noted."""
    if error.code == LSC_ERR_FRAMES and error.text is not NULL:
        text = error.text.decode("utf-8", "replace")
        sqlite3_free(error.text)
        error.text = NULL
        raise ReplicationError(text)
    raise_error(error)


cdef Py_ssize_t pack_frame(unsigned char *out, const unsigned char *frame, sqlite3_int64 ms) noexcept nogil:
    """A wal_log.Frame at `out`: its bytes, at most LSC_LOG_FRAME + 14."""
    cdef Py_ssize_t n = 3 + LSC_LOG_FRAME
    cdef unsigned long long rest = <unsigned long long>ms
    out[0], out[1], out[2] = 0x0a, LSC_LOG_FRAME & 0x7f | 0x80, LSC_LOG_FRAME >> 7
    memcpy(out + 3, frame, LSC_LOG_FRAME)
    if ms > 0:
        out[n] = 0x10
        n += 1
        while rest > 0x7f:
            out[n] = rest & 0x7f | 0x80
            rest >>= 7
            n += 1
        out[n] = rest
        n += 1
    return n


cdef inline unsigned little4(const unsigned char *z) noexcept nogil:
    return z[0] | <unsigned>z[1] << 8 | <unsigned>z[2] << 16 | <unsigned>z[3] << 24


cdef object little8(const unsigned char *z):
    return little4(z) | <unsigned long long>little4(z + 4) << 32


cdef Py_ssize_t pack_frames(lsc_replog *p, unsigned char *out, const unsigned char *frames, int n) noexcept nogil:
    """A wal_log.Frames at `out`."""
    cdef Py_ssize_t size = 0, one
    cdef sqlite3_int64 ms, no
    cdef const unsigned char *frame
    cdef int i
    for i in range(n):
        frame = frames + <Py_ssize_t>i * LSC_LOG_FRAME
        ms = 0
        if little4(frame + 20) != 0:
            no = little4(frame) | <sqlite3_int64>little4(frame + 4) << 32
            ms = lsc_replog_time(p, no)
        one = pack_frame(out + size + 3, frame, ms)
        out[size], out[size + 1], out[size + 2] = 0x0a, one & 0x7f | 0x80, one >> 7
        size += 3 + one
    return size


def frame_checksum(unsigned long long previous, page, /):
    """The checksum of a frame with this page behind one with the checksum `previous`."""
    cdef Py_buffer view
    PyObject_GetBuffer(page, &view, PyBUF_SIMPLE)
    try:
        return lsc_frame_checksum(previous, view.buf, view.len)
    finally:
        PyBuffer_Release(&view)


@cython.final
cdef class ReplicationLog:
    """The log of the frames that a database's transactions wrote, for its replicas: files in sqld's format.

    The database is folder/data; the log folder/wallog, folder/snapshots/, folder/to_compact/. It is made where it is
    missing, and made anew, with another log_id, where it does not belong to the database.
    """

    def __init__(self, folder, *, bint dirty=False, encryption_key=None, cipher=None):
        cdef bytes name = file_name(_os.path.abspath(folder))
        cdef bytes uuid = _os.urandom(16)
        cdef const char *z = name
        cdef const unsigned char *z_uuid = uuid
        cdef Key key = make_key(encryption_key, cipher, "ReplicationLog()")
        cdef lsc_key k
        cdef lsc_error error
        cdef int rc
        if self.p is not NULL:
            raise ValueError("the log is open")
        memset(&error, 0, sizeof(error))
        fill_key(&k, key)
        self.folder = _os.fsdecode(name)
        _os.makedirs(self.folder, exist_ok=True)
        with nogil:
            rc = lsc_replog_open(&self.p, z, dirty, &k, z_uuid, &error)
        if rc != SQLITE_OK:
            raise_log(&error)
        tidy_log(self)

    def __dealloc__(self):
        if self.p is not NULL:
            with nogil:
                lsc_replog_free(self.p)

    @property
    def log_id(self):
        """The identity of the history, a UUID."""
        cdef lsc_replog_state state
        get_state(self, &state)
        return str(_UUID(bytes=PyBytes_FromStringAndSize(<char *>state.id, 16)))

    @property
    def first(self):
        """The first frame of wallog."""
        cdef lsc_replog_state state
        get_state(self, &state)
        return state.first

    @property
    def last(self):
        """The last committed frame, -1: there never was one."""
        return lsc_replog_last(open_log(self))

    @property
    def rebuilt(self):
        """Whether opening it began a new history."""
        cdef lsc_replog_state state
        get_state(self, &state)
        return state.rebuilt != 0

    @property
    def pages(self):
        """Pages of the database behind the last frame."""
        cdef lsc_replog_state state
        get_state(self, &state)
        return state.pages

    @property
    def frames_in_log(self):
        """Frames of wallog."""
        cdef lsc_replog_state state
        get_state(self, &state)
        return state.last + 1 - state.first

    @property
    def age(self):
        """Seconds since this wallog was begun."""
        cdef lsc_replog_state state
        get_state(self, &state)
        return max(0.0, _time() - state.began / 1000)

    def batch(self, long long start, int most=1024):
        """Whole transactions from frame `start` on as a wal_log.Frames until they are `most`; b"" at the end."""
        cdef unsigned char *frames = NULL
        cdef unsigned char *more
        cdef unsigned char *out = NULL
        cdef Py_ssize_t size
        cdef int n = 0, n_read, want = most
        cdef lsc_replog *p = open_log(self)
        if start < 0 or not 1 <= most <= 1 << 20:
            raise ValueError("a batch begins with frame 0 or later and has 1 to 1048576 frames")
        try:
            # A transaction goes on behind them: on to its end.
            while want > 0:
                more = <unsigned char *>PyMem_Realloc(frames, <size_t>(n + want) * LSC_LOG_FRAME)
                if more is NULL:
                    raise MemoryError()
                frames = more
                read_log(p, start + n, want, frames + <Py_ssize_t>n * LSC_LOG_FRAME, &n_read)
                want = 0
                while n_read > 0:
                    n += 1
                    n_read -= 1
                    if n >= most and little4(frames + <Py_ssize_t>(n - 1) * LSC_LOG_FRAME + 20) != 0:
                        break
                else:
                    if n >= most:
                        want = 256
            result = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>n * (LSC_LOG_FRAME + 17))
            out = <unsigned char *>PyBytes_AS_STRING(result)
            with nogil:
                size = pack_frames(p, out, frames, n)
        finally:
            PyMem_Free(frames)
        return result[:size]

    def span(self, long long start, int most=1024):
        """Where a batch from frame `start` on ends, and the bytes of all its parts."""
        cdef lsc_replog *p = open_log(self)
        cdef long long last = lsc_replog_last(p)
        cdef long long at = start + most - 1
        cdef bytes frames
        cdef Py_ssize_t i
        if start < 0 or not 1 <= most <= 1 << 20:
            raise ValueError("a batch begins with frame 0 or later and has 1 to 1048576 frames")
        if start > last:
            return start, 0
        self.read(start, start + 1)
        while at < last:
            # The transaction goes on behind them: on to its end.
            frames = self.read(at, at + 64)
            for i in range(len(frames) // LSC_LOG_FRAME):
                if little4(<const unsigned char *>PyBytes_AS_STRING(frames) + i * LSC_LOG_FRAME + 20) != 0:
                    break
            else:
                at += len(frames) // LSC_LOG_FRAME
                continue
            at += i
            break
        at = min(at, last)
        return at + 1, (at + 1 - start) * FRAME_IN_FRAMES

    def part(self, long long start, long long stop):
        """Frames start to stop-1 as a wal_log.Frames, without times; parts together are one message."""
        cdef lsc_replog *p = open_log(self)
        cdef int n = <int>(stop - start)
        cdef int _i, n_read = 0
        cdef unsigned char *out
        cdef unsigned char *frames
        if not 0 <= start < stop <= start + (1 << 18):
            raise ValueError("a part has 1 to 262144 frames, and begins with frame 0 or later")
        result = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>n * FRAME_IN_FRAMES)
        out = <unsigned char *>PyBytes_AS_STRING(result)
        # Read to the end of it, and moved to their places from the first on.
        frames = out + <Py_ssize_t>n * (FRAME_IN_FRAMES - LSC_LOG_FRAME)
        read_log(p, start, n, frames, &n_read)
        if n_read != n:
            raise ValueError("the log ends before the part")
        with nogil:
            for _i in range(n):
                memmove(out + 6, frames, LSC_LOG_FRAME)
                out[0], out[1], out[2] = 0x0a, (LSC_LOG_FRAME + 3) & 0x7f | 0x80, (LSC_LOG_FRAME + 3) >> 7
                out[3], out[4], out[5] = 0x0a, LSC_LOG_FRAME & 0x7f | 0x80, LSC_LOG_FRAME >> 7
                out += FRAME_IN_FRAMES
                frames += LSC_LOG_FRAME
        return result

    def entries(self, long long start, int most=64):
        """Frames from `start` on, each as a wal_log.Frame; they may end amid a transaction."""
        cdef unsigned char[LSC_LOG_FRAME + 14] out
        cdef const unsigned char *frame
        cdef sqlite3_int64 ms
        cdef lsc_replog *p = open_log(self)
        cdef bytes frames = self.read(start, start + most)
        cdef Py_ssize_t i
        cdef list found = []
        for i in range(len(frames) // LSC_LOG_FRAME):
            frame = <const unsigned char *>PyBytes_AS_STRING(frames) + i * LSC_LOG_FRAME
            ms = lsc_replog_time(p, start + i) if little4(frame + 20) != 0 else 0
            found.append(PyBytes_FromStringAndSize(<char *>out, pack_frame(out, frame, ms)))
        return found

    def read(self, long long start, long long stop):
        """Frames start to stop-1, 4120 bytes each; fewer at the end of the log."""
        cdef int n_read = 0
        cdef lsc_replog *p = open_log(self)
        cdef long long n = min(stop, lsc_replog_last(p) + 1) - start
        if start < 0:
            raise ValueError("frames are numbered from 0")
        if n > 1 << 18:
            raise ValueError("no more than 262144 frames can be read at once")
        result = PyBytes_FromStringAndSize(NULL, max(n, 0) * LSC_LOG_FRAME)
        read_log(p, start, <int>max(n, 0), <unsigned char *>PyBytes_AS_STRING(result), &n_read)
        return result if n_read == n else result[:n_read * LSC_LOG_FRAME]

    def seal(self):
        """Begin a new wallog, and leave the old one to compact(). False in a transaction, or without frames."""
        cdef lsc_replog *p = open_log(self)
        cdef lsc_replog_state state
        cdef bytes name
        cdef const char *z
        cdef int rc
        lsc_replog_state_of(p, &state)
        if state.last < state.first:
            return False
        folder = _os.path.join(self.folder, "to_compact")
        _os.makedirs(folder, exist_ok=True)
        name = file_name(_os.path.join(folder, str(_uuid4())))
        z = name
        with nogil:
            rc = lsc_replog_seal(p, z)
        if rc == SQLITE_BUSY or rc == SQLITE_DONE:
            return False
        if rc != SQLITE_OK:
            raise_code(rc)
        return True

    def compact(self):
        """Make snapshots of what was sealed: (path, first frame, last frame) of the new ones."""
        open_log(self)
        if self.compacting:
            return []
        self.compacting = True
        try:
            made = [write_snapshot(self, [path]) for path in sealed_logs(self)]
            found = list_snapshots(self)
            if many_snapshots(self, found):
                made = [write_snapshot(self, [path for _, _, path in reversed(found)])]
            return made
        finally:
            self.compacting = False

    def snapshot(self, long long start):
        """The file of a snapshot that has this frame, or None."""
        open_log(self)
        for first, last, path in reversed(list_snapshots(self)):
            if first <= start <= last:
                return path
        return None

    def close(self):
        """Write what is known; whoever commits from now on gets an error."""
        cdef int rc
        if self.p is NULL or self.closed:
            return
        self.closed = True
        with nogil:
            rc = lsc_replog_close(self.p)
        if rc != SQLITE_OK:
            raise_code(rc)


cdef lsc_replog *open_log(ReplicationLog log) except NULL:
    if log.p is NULL or log.closed:
        raise ProgrammingError("the log is closed")
    return log.p


cdef int get_state(ReplicationLog log, lsc_replog_state *state) except -1:
    lsc_replog_state_of(open_log(log), state)
    return 0


cdef int read_log(lsc_replog *p, long long start, int n, unsigned char *out, int *n_read) except -1:
    cdef int rc
    with nogil:
        rc = lsc_replog_read(p, start, n, out, n_read)
    if rc == SQLITE_NOTFOUND:
        raise SnapshotNeeded(f"frame {start} is no longer in the log")
    if rc != SQLITE_OK:
        raise_code(rc)
    return 0
