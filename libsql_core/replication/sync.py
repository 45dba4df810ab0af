"""The replica's side of the first protocol: Hello, batches of frames, snapshots; one Replicator for each file.

Hello and the next batch are asked for at once on one connection, which answers in that order: a batch holds at least
what Hello announced, so a synchronization costs one round trip. A write on the primary may go in front of them.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from libsql_core import _engine
from libsql_core._engine import Connection as LocalConnection
from libsql_core._engine import OperationalError, ReplicationError
from libsql_core.replication.errors import (
    AuthenticationError,
    PrimaryError,
    ProtocolError,
    ReplicaError,
    UnreachableError,
)
from libsql_core.replication.grpcweb import (
    LOG,
    UNAVAILABLE,
    UNIMPLEMENTED,
    Endpoint,
    LostError,
    NeedSnapshot,
    NoHello,
    Reply,
)
from libsql_core.replication.http1 import Connection
from libsql_core.replication.messages import HelloRequest, HelloResponse, LogOffset
from libsql_core.replication.meta import BusyError, Meta, ReplicaFiles, log_identity, read_snapshot_head

if TYPE_CHECKING:
    from _typeshed import StrOrBytesPath

_HELLO = HelloRequest(handshake_version=1)
# A snapshot may be in the making for a moment.
_SNAPSHOT_TRIES, _SNAPSHOT_PAUSE = 30, 0.2
# Seconds that another process may take to synchronize before it is an error to wait.
PATIENCE = 60.0

R = TypeVar("R")
# Told how many frames have come, and how many are still to come.
Progress: TypeAlias = Callable[[int, int], object]


class SyncResult(NamedTuple):
    frame: int
    """The last frame that the replica has; -1 for none."""
    frames_synced: int
    """How many came this time."""


class LogChanged(Exception):
    """The primary's history is another one than the replica's."""


class ForkError(ReplicationError):
    """What comes does not continue what the replica has."""


class Replicator:
    """Follows a primary in one file, for all connections of the process to it."""

    offline = False

    def __init__(
        self, path: str, endpoint: Endpoint, *, encryption_key: object = None, cipher: str | None = None
    ) -> None:
        self.path = path
        self.endpoint = endpoint
        self.lock = threading.RLock()
        self.files = ReplicaFiles(path)
        self.last_error: BaseException | None = None
        self.synced_at: float | None = None
        """When the last synchronization succeeded, in Unix time."""
        self.index: int | None = None
        """The primary's last frame, as it said then."""
        self._token = ""
        self._checksum = 0
        self._encryption = {"encryption_key": encryption_key, "cipher": cipher}
        self._injector: _engine.Injector | None = None
        self._counter: LocalConnection | None = None
        self._began = False
        self._progress: Progress | None = None
        self._taken = 0
        self._room = bytearray()

    # What connections ask

    def sync(self, progress: Progress | None = None) -> SyncResult:
        """Fetch what the primary has committed, and return once it can be read here."""
        with self.lock:
            self._progress = progress
            try:
                return self.exchange(None, None)[1]
            finally:
                self._progress = None

    def apply_snapshot(self, path: StrOrBytesPath) -> SyncResult:
        """Take the frames of a snapshot file of the primary's log."""
        with self.lock, self.files.locked(PATIENCE):
            meta = self.files.read()
            head = read_snapshot_head(path)
            if meta is not None:
                self.files.check(meta, self._log_frames())
            if meta is not None and meta.frame >= 0:
                if meta.log_id != head.log_id:
                    raise ReplicaError(f"{os.fsdecode(path)} is of another history than {self.path}")
                if head.start > meta.frame + 1:
                    raise ReplicaError(
                        f"{os.fsdecode(path)} begins with frame {head.start}, {self.path} ends with frame {meta.frame}"
                    )
                if head.end <= meta.frame:
                    return SyncResult(meta.frame, 0)
            elif head.start:
                raise ReplicaError(f"{os.fsdecode(path)} begins with frame {head.start}, and {self.path} has none yet")
            expected = 0 if meta is None else meta.frame + 1
            self._began = False
            try:
                groups = _engine.snapshot_frames(path, expected)
                found = self._begin().snapshot((frame for group in groups for frame in group), expected)
                self.files.write(Meta(head.log_id, found.committed))
                self._checksum = 0
            except BaseException:
                self._rollback()
                raise
            finally:
                self._leave()
            return SyncResult(found.committed, found.taken)

    def greets(self) -> bool:
        """Whether the primary speaks this protocol; True where it does not tell: then sync() will say why."""
        try:
            with self.lock, self.files.locked(PATIENCE):
                connection = self.endpoint.connection()
                try:
                    connection.send([self._hello()])
                    self._greet(connection, self.files.read())
                except BaseException:
                    connection.close()
                    raise
                self.endpoint.release(connection)
        except (UnreachableError, LogChanged):
            return True
        except PrimaryError as error:
            # A status of HTTP is none of the service's.
            return error.status not in (UNIMPLEMENTED, 400, 404, 405, 501)
        except ProtocolError:
            return False
        return True

    def exchange(self, ahead: bytes | None, read: Callable[[Connection], R] | None) -> tuple[R | None, SyncResult]:
        """Synchronize; a request may go ahead on the same connection, `read` takes its answer.

        With a request it does not wait for others who synchronize: then it raises BusyError, and nothing was sent.
        """
        if ahead is None:
            with self.lock, self.files.locked(PATIENCE):
                return self._noted(None, None)
        if not self.lock.acquire(blocking=False):
            raise BusyError
        try:
            with self.files.locked(0):
                return self._noted(ahead, read)
        finally:
            self.lock.release()

    def _noted(self, ahead: bytes | None, read: Callable[[Connection], R] | None) -> tuple[R | None, SyncResult]:
        try:
            found = self._exchange(ahead, read)
        except BaseException as error:
            self.last_error = error
            raise
        self.last_error = None
        self.synced_at = time.time()
        return found

    @property
    def frame(self) -> int:
        """The last frame that the replica has; -1 for none."""
        with self.lock:
            meta = self.files.read()
        return -1 if meta is None else meta.frame

    def close(self) -> None:
        with self.lock:
            # This one copies no log, so it must not be the last.
            if self._counter is not None:
                self._counter.close()
                self._counter = None
            if self._injector is not None:
                self._injector.close()
                self._injector = None
            self.endpoint.close()

    def close_files(self) -> None:
        """Once the process has no connection to the database any more."""
        with self.lock:
            self.files.leave_closed()
            self.files.close()

    # One synchronization

    def _exchange(self, ahead: bytes | None, read: Callable[[Connection], R] | None) -> tuple[R | None, SyncResult]:
        meta = self.files.read()
        if meta is not None:
            self.files.check(meta, self._log_frames())
        self._began = False
        self._taken = 0
        done: list[R] = []
        # A connection may turn out to be gone, or be cut; what only asks is asked once more on a new one.
        # A history that turns out to be another one is begun with anew, on a new connection, too.
        for last in (False, False, True):
            connection = self.endpoint.connection()
            try:
                result = self._round(connection, meta, ahead if not done else None, read, done)
            except (LostError, ForkError) as error:
                self._rollback()
                connection.close()
                if isinstance(error, ForkError):
                    self._anew()
                if last or (ahead is not None and not done):
                    raise
                meta = self.files.read()
                continue
            except BaseException:
                self._rollback()
                connection.close()
                raise
            finally:
                self._leave()
                self._room = bytearray()
            self.endpoint.release(connection)
            return (done[0] if done else None), result
        raise AssertionError

    def _round(
        self,
        connection: Connection,
        meta: Meta | None,
        ahead: bytes | None,
        read: Callable[[Connection], R] | None,
        done: list[R],
    ) -> SyncResult:
        requests = [] if ahead is None else [ahead]
        requests.append(self._hello())
        prefetched = bool(self._token) and meta is not None
        if prefetched:
            assert meta is not None
            requests.append(self._batch(meta.frame + 1))
        connection.send(requests)
        if ahead is not None:
            assert read is not None
            done.append(read(connection))
        try:
            meta, kept = self._greet(connection, meta)
        except LogChanged:
            meta, kept = Meta(self._log_id, -1), False
            self.files.write(meta)
        taken = 0
        if prefetched:
            meta, taken = self._batch_answer(connection, meta, keep=kept)
        meta, more = self._follow(connection, meta)
        return SyncResult(meta.frame, taken + more)

    def _follow(self, connection: Connection, meta: Meta) -> tuple[Meta, int]:
        """Fetch until the replica has what Hello announced."""
        taken = greeted = 0
        sent = False
        while self.index is not None and meta.frame < self.index:
            before = meta
            try:
                if not sent:
                    connection.send([self._batch(meta.frame + 1)])
                sent = False
                meta, count, sent = self._take(connection, meta, ahead=True)
            except NeedSnapshot:
                meta, count = self._snapshot(connection, meta)
            except NoHello:
                greeted += 1
                if greeted > 3:
                    raise
                connection.send([self._hello()])
                try:
                    meta, _ = self._greet(connection, meta)
                except LogChanged:
                    meta = self._anew()
                continue
            taken += count
            if meta == before:
                raise ProtocolError(
                    f"{self.endpoint.name} announces frame {self.index}, but gives none behind {meta.frame}"
                )
        return meta, taken

    def _anew(self) -> Meta:
        meta = Meta(self._log_id, -1)
        self.files.write(meta)
        self._checksum = 0
        return meta

    def _hello(self) -> bytes:
        return self.endpoint.call(LOG + "Hello", _HELLO, self._token)

    def _batch(self, offset: int) -> bytes:
        return self.endpoint.call(LOG + "BatchLogEntries", LogOffset(next_offset=offset), self._token)

    def _greet(self, connection: Connection, meta: Meta | None) -> tuple[Meta, bool]:
        """Read the answer to Hello; says also whether a batch that was asked for with it counts."""
        hello = Reply(connection).message(HelloResponse)
        log_id = self._log_id = log_identity(hello.log_id)
        token = hello.session_token.decode("ascii", "replace")
        log_identity(token)
        kept = token == self._token
        self._token = token
        self.index = hello.current_replication_index
        if meta is None:
            meta = Meta(log_id, -1)
            self.files.write(meta)
        elif meta.log_id != log_id or meta.frame > (-1 if self.index is None else self.index):
            # Also where the primary has lost frames that the replica has: it will use their numbers again.
            raise LogChanged
        return meta, kept

    def _batch_answer(self, connection: Connection, meta: Meta, keep: bool) -> tuple[Meta, int]:
        """The batch that was asked for together with Hello; without `keep` it belongs to the past."""
        try:
            if keep:
                return self._take(connection, meta, ahead=False)[:2]
            Reply(connection).drain()
        except (NeedSnapshot, NoHello):
            pass
        except PrimaryError:
            if keep:
                raise
        return meta, 0

    def _take(self, connection: Connection, meta: Meta, *, ahead: bool) -> tuple[Meta, int, bool]:
        """Read a batch of frames and write them into the replica; `ahead`: the next is asked for before it is written.

        Says also whether that was done.
        """
        taken = 0
        sent = False
        expected = meta.frame + 1
        previous = self._known_checksum(meta)
        injector = None
        for piece in Reply(connection).pieces(self._room):
            if ahead and piece.ends and piece.commits and self.index is not None and 0 <= piece.frame < self.index:
                connection.send([self._batch(piece.frame + 1)])
                sent = True
            injector = injector or self._begin()
            try:
                found = injector.frames(piece.data, expected, previous=previous)
            except ReplicationError as error:
                if previous is None:
                    raise
                # Perhaps another history under the same name: then it is taken from its beginning.
                raise ForkError(str(error)) from error
            previous = None
            taken += found.taken
            if found.taken:
                expected = found.last + 1
            if self._progress is not None:
                self._taken += found.taken
                self._progress(self._taken, max((self.index or 0) + 1 - expected, 0))
            if found.committed > meta.frame:
                meta = Meta(meta.log_id, found.committed)
                self.files.write(meta)
                self._checksum = piece.checksum if found.committed == found.last else 0
        if injector is not None and expected != meta.frame + 1:
            raise ProtocolError(f"{self.endpoint.name} sent frames that end amid a transaction, with {expected - 1}")
        if sent and meta.frame != piece.frame:
            raise ProtocolError(f"{self.endpoint.name} sent frames that are not those it said")
        return meta, taken, sent

    def _known_checksum(self, meta: Meta) -> int | None:
        if not self._checksum and meta.frame >= 0:
            left = self.files.left()
            if left is not None and left.frame == meta.frame:
                self._checksum = left.checksum
        return self._checksum or None if meta.frame >= 0 else None

    def _snapshot(self, connection: Connection, meta: Meta) -> tuple[Meta, int]:
        """Take the pages of a snapshot, of which the first frame is the last one's number."""
        for attempt in range(_SNAPSHOT_TRIES):
            connection.send([self.endpoint.call(LOG + "Snapshot", LogOffset(next_offset=meta.frame + 1), self._token)])
            try:
                reply = Reply(connection)
                found = self._begin().snapshot(_some(reply.messages(), self.endpoint.name), meta.frame + 1)
                break
            except PrimaryError as error:
                if error.status != UNAVAILABLE or attempt == _SNAPSHOT_TRIES - 1:
                    raise
                time.sleep(_SNAPSHOT_PAUSE)
        meta = Meta(meta.log_id, found.committed)
        self.files.write(meta)
        self._checksum = 0
        return meta, found.taken

    # The files

    def _begin(self) -> _engine.Injector:
        if not self._began:
            self._known_checksum(self.files.read() or Meta("", -1))
            self.files.begin()
            self._began = True
        if self._injector is None:
            self._injector = _engine.Injector(self.path, **self._encryption)  # type: ignore[arg-type]
        return self._injector

    def _rollback(self) -> None:
        if self._injector is not None:
            self._injector.rollback()

    def _leave(self) -> None:
        """Note how the files are, once they were changed."""
        if not self._began:
            return
        self._began = False
        meta = self.files.read()
        frames = self._log_frames()
        if meta is not None and frames >= 0:
            self.files.leave(meta.frame, self._checksum, frames)

    def _log_frames(self) -> int:
        """In the write-ahead log; -1 where that cannot be told."""
        try:
            if self._counter is None:
                if not os.path.exists(self.path):
                    return 0
                self._counter = LocalConnection(
                    self.path,
                    check_same_thread=False,
                    autocommit=True,
                    **self._encryption,  # type: ignore[arg-type]
                )
                self._counter.wal_disable_checkpoint()
                self._counter.execute("select 1 from sqlite_schema").close()
            return self._counter.wal_frame_count()
        except OperationalError:
            return -1


def _some(messages: Iterator[bytearray], name: str) -> Iterator[bytearray]:
    first = next(messages, None)
    if first is None:
        raise ProtocolError(f"{name} sent a snapshot without frames")
    yield first
    yield from messages


__all__ = ["AuthenticationError", "ReplicaError", "Replicator", "SyncResult", "UnreachableError"]
