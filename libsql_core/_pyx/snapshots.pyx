# Snapshots of a log of frames: files in its folder snapshots/.

cdef int tidy_log(ReplicationLog log) except -1:
    """Remove what belongs to no snapshot, or to another history."""
    for path in files_of(log, "tmp"):
        _os.unlink(path)
    if log.rebuilt:
        for path in files_of(log, "to_compact"):
            _os.unlink(path)
    known = {path for _, _, path in list_snapshots(log)}
    for path in files_of(log, "snapshots"):
        if path not in known:
            _os.unlink(path)
    return 0


cdef list files_of(ReplicationLog log, str name):
    folder = _os.path.join(log.folder, name)
    try:
        with _os.scandir(folder) as found:
            return [entry.path for entry in found if entry.is_file(follow_symlinks=False)]
    except FileNotFoundError:
        return []


cdef list list_snapshots(ReplicationLog log):
    """(first frame, last frame, path) of the snapshots, the oldest first; none whose frames another has."""
    cdef list found = []
    cdef list kept = []
    covered = -1
    prefix = log.log_id + "-"
    for path in files_of(log, "snapshots"):
        name = _os.path.basename(path)
        first, _, last = name.removeprefix(prefix).removesuffix(".snap").partition("-")
        if name.startswith(prefix) and name.endswith(".snap") and first.isdecimal() and last.isdecimal():
            found.append((int(first), -int(last), path))
    # A crash may have left the parts of a merged one.
    for first, last, path in sorted(found):
        if -last > covered:
            covered = -last
            kept.append((first, covered, path))
    return kept


cdef bint many_snapshots(ReplicationLog log, list found) except -1:
    """Whether they are to become one."""
    frames = 0
    for _, _, path in found:
        with open(path, "rb") as file:
            frames += int.from_bytes(file.read(LSC_SNAP_HEADER)[32:40], "little")
    return len(found) > 1 and (len(found) > MERGE_FILES or frames >= 2 * log.pages)


cdef list sealed_logs(ReplicationLog log):
    """What waits to become a snapshot, the oldest first; what never will is removed."""
    cdef list found = []
    log_id = _UUID(log.log_id).bytes[::-1]
    snapshots = list_snapshots(log)
    for path in files_of(log, "to_compact"):
        with open(path, "rb") as file:
            head = file.read(LSC_LOG_HEADER)
        start, count = int.from_bytes(head[32:40], "little"), int.from_bytes(head[40:48], "little")
        # It may also be wallog itself under its second name, or have its snapshot already.
        useless = head[16:32] != log_id or count == 0 or start >= log.first
        if useless or any(first <= start and start + count - 1 <= last for first, last, _ in snapshots):
            _os.unlink(path)
        else:
            found.append((start, path))
    return [path for _, path in sorted(found)]


cdef tuple write_snapshot(ReplicationLog log, list paths):
    """One snapshot of logs and snapshots, the newest first, which then are removed."""
    cdef sqlite3_int64 first = 0, last = 0, count = 0
    cdef const char **names
    cdef lsc_error error
    cdef bytes name
    cdef const char *z
    cdef list kept = [file_name(path) for path in paths]
    cdef int n = len(kept), rc, i
    for folder in ("tmp", "snapshots"):
        _os.makedirs(_os.path.join(log.folder, folder), exist_ok=True)
    temporary = _os.path.join(log.folder, "tmp", str(_uuid4()))
    name = file_name(temporary)
    z = name
    memset(&error, 0, sizeof(error))
    names = <const char **>PyMem_Calloc(n, sizeof(char *))
    if names is NULL:
        raise MemoryError()
    try:
        for i in range(n):
            names[i] = <const char *><bytes>kept[i]
        with nogil:
            rc = lsc_snapshot_write(log.p, names, n, z, &first, &last, &count, &error)
        if rc != SQLITE_OK:
            raise_log(&error)
        path = _os.path.join(log.folder, "snapshots", f"{log.log_id}-{first}-{last}.snap")
        _os.replace(temporary, path)
        sync_folder(_os.path.dirname(path))
    except BaseException:
        if _os.path.exists(temporary):
            _os.unlink(temporary)
        raise
    finally:
        PyMem_Free(names)
    for old in paths:
        if old != path:
            _os.unlink(old)
    return path, first, last


cdef int sync_folder(str path) except -1:
    if _os.name == "posix":
        fd = _os.open(path, _os.O_RDONLY)
        try:
            _os.fsync(fd)
        finally:
            _os.close(fd)


@cython.final
@cython.internal
cdef class FrameKey:
    """What frames in files are encrypted with."""

    def __dealloc__(self):
        lsc_frame_key_free(self.p)


def snapshot_frames(path, long long start=0, *, encryption_key=None, int most=64):
    """The frames of a snapshot as encoded wal_log.Frame messages, the highest first, none before `start`."""
    cdef lsc_error error
    cdef lsc_key k
    cdef FrameKey frame_key = FrameKey.__new__(FrameKey)
    cdef Key key = make_key(encryption_key, None, "snapshot_frames()")
    if key is not None:
        memset(&error, 0, sizeof(error))
        fill_key(&k, key)
        if lsc_frame_key_new(&frame_key.p, &k, &error) != SQLITE_OK:
            raise_log(&error)
    if most < 1:
        raise ValueError("most must be at least 1")
    # No generator yet: what is wrong with the file or the key is told at once.
    file = open(path, "rb")
    try:
        head = file.read(LSC_SNAP_HEADER)
        size = _os.fstat(file.fileno()).st_size
        count = int.from_bytes(head[32:40], "little")
        if len(head) < LSC_SNAP_HEADER or count == 0 or count > (size - LSC_SNAP_HEADER) // LSC_LOG_FRAME:
            raise ReplicationError(f"not a snapshot: {_os.fsdecode(path)}")
    except BaseException:
        file.close()
        raise
    return _walk_snapshot(file, frame_key, count, int.from_bytes(head[40:44], "little"), start, most)


def _walk_snapshot(file, FrameKey key, count, size_after, start, most):
    cdef bytearray frames
    cdef unsigned char[LSC_LOG_FRAME + 14] out
    cdef unsigned char *data
    cdef Py_ssize_t _i
    cdef Py_ssize_t n
    cdef bytes waiting = None           # the frame whose size tells whether it is the last
    cdef list found
    with file:
        while count > 0:
            n = min(count, most)
            frames = bytearray(file.read(n * LSC_LOG_FRAME))
            data = frames
            if len(frames) < n * LSC_LOG_FRAME:
                raise ReplicationError("the snapshot ends amid a frame")
            if key.p is not NULL and lsc_frame_decrypt(key.p, data, <int>n) != SQLITE_OK:
                raise ReplicationError("the snapshot cannot be decrypted")
            count -= n
            found = []
            for _i in range(n):
                if little8(data) < start:
                    count = 0
                    break
                if waiting is not None:
                    found.append(waiting)
                waiting = PyBytes_FromStringAndSize(<char *>out, pack_frame(out, data, 0))
                data += LSC_LOG_FRAME
            if found:
                yield found
        if waiting is not None:
            yield [waiting[:23] + size_after.to_bytes(4, "little") + waiting[27:]]
