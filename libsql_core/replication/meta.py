"""What is kept beside a replica's database file.

`<file>-client_wal_index` has 32 bytes, the format of libSQL's own clients: the log's identity (the 16 bytes of its UUID
reversed), the number of the last frame that is in the database (8 bytes, little-endian; all bits set: none), 8 zeros.
It is written behind each transaction, so after a crash the last transaction may come once more, which does no harm.

`<file>-sync` is ours alone: locked by the process that synchronizes, it says how synchronization left the files, so
that changes by anything else are found before new frames would mix with them. Without it, nothing is known.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from libsql_core.replication.errors import ProtocolError, ReplicaError

if TYPE_CHECKING:
    from _typeshed import StrOrBytesPath

META = "-client_wal_index"
STATE = "-sync"
_meta = struct.Struct("<16sQQ")
_snapshot = struct.Struct("<16sQQQII")
_NONE = (1 << 64) - 1
# Magic, kept frame + 1, its checksum, whether the files were closed, the log's salts and length; the file's identity.
_state = struct.Struct("<8sQQI8sIQQqq")
_MAGIC = b"LSCSYNC1"


class Meta(NamedTuple):
    """Which history the replica follows and how far; `frame` is -1 before the first one."""

    log_id: str
    frame: int


class Left(NamedTuple):
    """How synchronization left the files."""

    frame: int
    checksum: int
    closed: bool
    salts: bytes
    frames: int
    """In the write-ahead log."""
    identity: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Device, inode, size and time of the last change of a database that was closed."""


class SnapshotHead(NamedTuple):
    log_id: str
    start: int
    end: int


def read_snapshot_head(path: StrOrBytesPath) -> SnapshotHead:
    """What a snapshot file of a log says of itself."""
    with open(path, "rb") as file:
        data = file.read(_snapshot.size)
    if len(data) == _snapshot.size:
        log_id, start, end, count, pages, zero = _snapshot.unpack(data)
        if start <= end < 1 << 63 and 0 < count <= end - start + 1 and pages and not zero:
            return SnapshotHead(str(uuid.UUID(bytes=log_id[::-1])), start, end)
    raise ReplicaError(f"{os.fsdecode(path)} is no snapshot of a log")


def log_identity(log_id: str) -> str:
    """The log's UUID in its usual form."""
    try:
        return str(uuid.UUID(log_id))
    except ValueError:
        raise ProtocolError(f"the primary names its log {log_id[:60]!r}, which is no UUID") from None


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            os.lseek(descriptor, 1 << 20, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


class BusyError(ReplicaError):
    """Somebody else synchronizes."""


def open_kept(path: str) -> int:
    """A descriptor of a file beside the replica, which is made if it is not there."""
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0), 0o644)


@contextlib.contextmanager
def locked(descriptor: int, path: str, seconds: float) -> Iterator[None]:
    """Be the one process that synchronizes; BusyError if another one goes on for so long."""
    deadline = time.monotonic() + seconds
    pause = 0.001
    while not _try_lock(descriptor):
        if time.monotonic() > deadline:
            raise BusyError(f"another process has been synchronizing {path} for {seconds:g} seconds")
        time.sleep(pause)
        pause = min(pause * 2, 0.01)
    try:
        yield
    finally:
        _unlock(descriptor)


def log_salts(path: str) -> bytes:
    """What tells a database's write-ahead log from one that was begun anew; b"" without a log.

    Nothing locks that file, so it may be opened and closed here.
    """
    try:
        with open(path + "-wal", "rb", buffering=0) as log:
            head = log.read(24) or b""
    except FileNotFoundError:
        return b""
    return head[16:24] if len(head) == 24 else b""


def read_at(descriptor: int, size: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, size)


class ReplicaFiles:
    """The files of one replica; used by one thread at a time."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptors: list[int] = []
        if os.path.exists(path) and os.path.getsize(path) and not os.path.exists(path + META):
            raise ReplicaError(
                f"{path} exists, but {path}{META} does not, so it is no replica, or nobody knows of what; "
                "delete it to have it fetched anew"
            )
        try:
            for name in (META, STATE):
                self._descriptors.append(open_kept(path + name))
        except BaseException:
            self.close()
            raise
        self._meta, self._state = self._descriptors
        self._written: bytes | None = None
        self._read = b""
        self._found: Meta | None = None

    def close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    def locked(self, seconds: float) -> contextlib.AbstractContextManager[None]:
        return locked(self._state, self.path, seconds)

    def read(self) -> Meta | None:
        data = read_at(self._meta, _meta.size)
        if len(data) < _meta.size:
            return None
        if not os.path.exists(self.path):
            return None
        if data != self._read:
            log_id, frame, _ = _meta.unpack(data)
            self._found = Meta(str(uuid.UUID(bytes=log_id[::-1])), -1 if frame == _NONE else frame)
            self._read = data
        return self._found

    def write(self, meta: Meta) -> None:
        data = _meta.pack(uuid.UUID(meta.log_id).bytes[::-1], _NONE if meta.frame < 0 else meta.frame, 0)
        os.lseek(self._meta, 0, os.SEEK_SET)
        os.write(self._meta, data)

    def _identity(self) -> tuple[int, int, int, int]:
        found = os.stat(self.path)
        return found.st_dev & (1 << 64) - 1, found.st_ino & (1 << 64) - 1, found.st_size, found.st_mtime_ns

    def left(self) -> Left | None:
        """How the last synchronization left the files, if that was noted."""
        data = read_at(self._state, _state.size)
        if len(data) < _state.size:
            return None
        magic, frame, checksum, closed, salts, frames, *identity = _state.unpack(data)
        if magic != _MAGIC:
            return None
        device, inode, size, changed = identity
        return Left(frame - 1, checksum, bool(closed), salts.rstrip(b"\0"), frames, (device, inode, size, changed))

    def _note(self, data: bytes) -> None:
        if data != self._written:
            os.lseek(self._state, 0, os.SEEK_SET)
            os.write(self._state, data)
            self._written = data

    def begin(self) -> None:
        """Note that the files are about to change: until `leave()` nothing is known."""
        self._note(bytes(_state.size))

    def leave(self, frame: int, checksum: int, frames: int) -> None:
        """Note how the files are, with so many frames in the write-ahead log."""
        self._note(_state.pack(_MAGIC, frame + 1, checksum, 0, log_salts(self.path), frames, 0, 0, 0, 0))

    def leave_closed(self) -> None:
        """Note how the files are when the last connection of this process was closed."""
        left = self.left()
        if left is None or os.path.exists(self.path + "-wal") or not os.path.exists(self.path):
            return
        self._note(_state.pack(_MAGIC, left.frame + 1, left.checksum, 1, b"", 0, *self._identity()))

    def check(self, meta: Meta, frames: int) -> None:
        """ReplicaError if something else has changed the database since; `frames`: in the write-ahead log now."""
        left = self.left()
        if left is None or left.frame != meta.frame:
            return
        salts = log_salts(self.path)
        if salts and frames:
            changed = frames > left.frames if salts.rstrip(b"\0") == left.salts else True
        elif left.closed:
            identity = self._identity()
            changed = identity[:2] == left.identity[:2] and identity != left.identity
        else:
            return
        if changed:
            raise ReplicaError(
                f"{self.path} was changed, and not by synchronization: what the primary sends would mix with it; "
                f"delete it, {os.path.basename(self.path)}{META} and {os.path.basename(self.path)}{STATE} "
                "to have it fetched anew"
            )
