"""The second protocol: the database and its frames over plain HTTP, with writes of the replica pushed back if wanted.

The replica's write-ahead log is its working copy: frame i of it is frame i of the primary's generation, and it is never
copied into the database before the generation ends. `<file>-info` says how far the two agree.
"""

from __future__ import annotations

import base64
import json
import os
import struct
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from libsql_core._engine import Connection as LocalConnection
from libsql_core._engine import NotSupportedError, OperationalError
from libsql_core.replication.errors import (
    AuthenticationError,
    ConflictError,
    PrimaryError,
    ProtocolError,
    ReplicaError,
)
from libsql_core.replication.grpcweb import Endpoint
from libsql_core.replication.http1 import Answer, Connection, LostError, request
from libsql_core.replication.meta import STATE, locked, log_salts, open_kept, read_at
from libsql_core.replication.sync import PATIENCE, Progress, SyncResult

if TYPE_CHECKING:
    from _typeshed import StrOrBytesPath

INFO = "-info"
CLIENT_VERSION = "libsql-sync-libsql-core"
FRAME = 24 + 4096
BATCH = 128
_TRIES = 6
_three = struct.Struct("<III")
# How the log was left: magic, generation, frame, salts.
_left = struct.Struct("<8sQQ8s")
_MAGIC = b"LSCHTTP1"


class Info(NamedTuple):
    """Up to which frame of which generation the replica and the primary agree."""

    generation: int
    frame: int

    def encode(self) -> bytes:
        check = zlib.crc32(_three.pack(0, self.frame, self.generation))
        return json.dumps(
            {"hash": check, "version": 0, "durable_frame_num": self.frame, "generation": self.generation},
            separators=(",", ":"),
        ).encode()


def read_info(path: str) -> Info | None:
    """What is noted beside a replica; None without."""
    try:
        data = Path(path + INFO).read_bytes()
    except FileNotFoundError:
        return None
    try:
        fields = json.loads(data)
        found = Info(int(fields["generation"]), int(fields["durable_frame_num"]))
        sound = fields["version"] == 0 and fields["hash"] == zlib.crc32(_three.pack(0, found.frame, found.generation))
    except (ValueError, KeyError, TypeError, struct.error):
        sound = False
    if not sound:
        raise ReplicaError(f"{path}{INFO} is damaged; delete it and the database to have it fetched anew")
    return found


def _replace(path: str, pieces: Iterator[bytes]) -> None:
    """Write a file as a whole or not at all."""
    descriptor, name = tempfile.mkstemp(prefix=os.path.basename(path) + ".", dir=os.path.dirname(path) or ".")
    try:
        with open(descriptor, "wb") as file:
            for piece in pieces:
                file.write(piece)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


class Http:
    """Requests to the primary, each with what it wants to know of the caller."""

    def __init__(self, endpoint: Endpoint, encryption_key: str | bytes | None = None) -> None:
        self.endpoint = endpoint
        self._headers = {
            "host": endpoint.name,
            "authorization": f"Bearer {endpoint.auth_token}",
            # Says that it is not asked which protocol is wanted: it is this one.
            "x-libsql-client-version": CLIENT_VERSION,
        }
        if encryption_key is not None:
            if isinstance(encryption_key, bytes):
                encryption_key = base64.b64encode(encryption_key).decode()
            self._headers["x-turso-encryption-key"] = encryption_key

    def open(self, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> tuple[Connection, Answer]:
        for last in (False, True):
            connection = self.endpoint.connection()
            try:
                connection.send([request(method, self.endpoint.path + target, {**self._headers, **headers}, body)])
                return connection, connection.answer()
            except LostError:
                connection.close()
                if last or method != "GET":
                    raise
            except BaseException:
                connection.close()
                raise
        raise AssertionError

    def fetch(
        self, method: str, target: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """The status and the body of an answer. Refused tokens are an error, redirections are followed."""
        connection, answer = self.open(method, target, body, headers or {})
        try:
            data = answer.read_all()
            answer.finish()
        except BaseException:
            connection.close()
            raise
        finally:
            self.endpoint.release(connection)
        if answer.status in (401, 403):
            text = data.decode("utf-8", "replace").strip()
            raise AuthenticationError(f"{self.endpoint.name} refuses the token: {text[:200]}", answer.status, text)
        if answer.status in (301, 302, 303, 307, 308) and "location" in answer.headers:
            self._redirect(urljoin(f"{self.endpoint.url.geturl()}{target}", answer.headers["location"]), target)
            return self.fetch(method, target, body, headers)
        return answer.status, data

    def _redirect(self, location: str, target: str) -> None:
        """Speak to the place that an answer named from now on."""
        url = urlsplit(location)
        if not url.path.endswith(target) or url.netloc == self.endpoint.url.netloc or not url.hostname:
            raise ProtocolError(f"{self.endpoint.name} redirects {target} to {location[:200]}")
        self.endpoint.move(url._replace(path=url.path[: -len(target)]))
        self._headers["host"] = self.endpoint.name

    def error(self, status: int, data: bytes) -> PrimaryError:
        text = data.decode("utf-8", "replace").strip()
        return PrimaryError(f"{self.endpoint.name} answers {status}: {text[:300]}", status, text)

    def generation(self) -> int | None:
        """The primary's generation; None if it does not speak this protocol."""
        status, data = self.fetch("GET", "/info")
        if status // 100 != 2:
            return None
        return _field(self.endpoint.name, data, "current_generation", 1)


def _json(name: str, data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ProtocolError(f"{name} answers what is no JSON object: {data[:100]!r}")
    return found


def _field(name: str, data: bytes, key: str, least: int = 0) -> int:
    value = _json(name, data).get(key)
    if not isinstance(value, int) or value < least:
        raise ProtocolError(f"{name} answers {key} {value!r}")
    return value


class HttpReplicator:
    """Follows a primary in one file; `offline`: and pushes what was written there."""

    def __init__(self, path: str, http: Http, *, offline: bool) -> None:
        self.path = path
        self.http = http
        self.endpoint = http.endpoint
        self.offline = offline
        self.lock = threading.RLock()
        self.last_error: BaseException | None = None
        self.synced_at: float | None = None
        self._database: LocalConnection | None = None
        self._progress: Progress | None = None
        self._lock_file = open_kept(path + STATE)
        try:
            with locked(self._lock_file, path, PATIENCE):
                self._info = self._open()
        except BaseException:
            self.close_files()
            raise

    def _open(self) -> Info:
        info = read_info(self.path)
        exists = os.path.exists(self.path) and os.path.getsize(self.path) > 0
        if info is not None and not exists:
            raise ReplicaError(
                f"{self.path}{INFO} exists, but {self.path} does not; delete it to have both fetched anew"
            )
        if info is None and exists:
            raise ReplicaError(
                f"{self.path} exists, but {self.path}{INFO} does not, so it is no replica of this kind; "
                "delete it to have it fetched anew"
            )
        return info or self._bootstrap()

    def _bootstrap(self) -> Info:
        """Fetch the database as it was at the beginning of the primary's generation."""
        generation = self.http.generation()
        if generation is None:
            raise PrimaryError(
                f"{self.endpoint.name} does not take writes that were made on a replica: it has no /info", 404
            )
        connection, answer = self.http.open("GET", f"/export/{generation}", None, {})
        try:
            if answer.status != 200:
                raise self.http.error(answer.status, answer.read_all(65536))
            for name in ("-wal", "-shm"):
                Path(self.path + name).unlink(missing_ok=True)
            _replace(self.path, _body(answer))
        except BaseException:
            connection.close()
            raise
        finally:
            self.endpoint.release(connection)
        info = Info(generation, 0)
        self._write(info)
        return info

    def _write(self, info: Info) -> None:
        _replace(self.path + INFO, iter([info.encode()]))
        self._info = info
        os.lseek(self._lock_file, 0, os.SEEK_SET)
        os.write(self._lock_file, _left.pack(_MAGIC, info.generation, info.frame, log_salts(self.path)))

    @property
    def database(self) -> LocalConnection:
        """The connection through which frames are read and written; no connection copies the log."""
        if self._database is None:
            self._database = LocalConnection(self.path, check_same_thread=False, autocommit=True)
            self._database.wal_disable_checkpoint()
            self._database.execute("PRAGMA journal_mode=wal").close()
        return self._database

    @property
    def frame(self) -> int:
        """The last frame of its generation that the replica and the primary have."""
        return self._info.frame

    @property
    def generation(self) -> int:
        return self._info.generation

    def apply_snapshot(self, path: StrOrBytesPath) -> SyncResult:
        """Not in this protocol."""
        raise NotSupportedError(f"{self.path} follows its primary by a protocol that has no snapshots")

    def sync(self, progress: Progress | None = None) -> SyncResult:
        """Push what was written here, or fetch what was written elsewhere."""
        with self.lock, locked(self._lock_file, self.path, PATIENCE):
            self._progress = progress
            try:
                info = read_info(self.path)
                if info is None:
                    raise ReplicaError(f"{self.path}{INFO} has been deleted")
                self._info = info
                found = self._sync()
            except BaseException as error:
                self.last_error = error
                raise
            self.last_error = None
            self.synced_at = time.time()
            return found

    def _sync(self) -> SyncResult:
        there = self.database.wal_frame_count()
        if there < self._info.frame:
            raise ReplicaError(
                f"the write-ahead log of {self.path} has {there} frames where {self._info.frame} are expected: "
                "something copied it into the database; delete the database and its -info to have it fetched anew"
            )
        self._check_log()
        if there > self._info.frame and self.offline:
            return self._push(there)
        # Frames behind those that are noted, if any, are compared with what comes.
        return self._pull()

    def _check_log(self) -> None:
        """The log must be the one that the last synchronization left: begun anew, its frames have other numbers."""
        data = read_at(self._lock_file, _left.size)
        salts = log_salts(self.path)
        if len(data) == _left.size:
            magic, generation, frame, left = _left.unpack(data)
            if magic == _MAGIC and (generation, frame) == self._info and frame and left != salts:
                raise ReplicaError(
                    f"the write-ahead log of {self.path} was begun anew, as after PRAGMA wal_checkpoint: which changes "
                    "are new cannot be told any more; save them, then delete the database and its -info"
                )

    # Fetching

    def _pull(self) -> SyncResult:
        taken = 0
        waiting: list[bytes] = []
        while True:
            first = self._info.frame + len(waiting) + 1
            frames, generation = self._frames(first)
            if frames:
                waiting += frames
                taken += self._take(waiting)
                if self._progress is not None:
                    self._progress(taken + len(waiting), 0)
                continue
            if waiting:
                raise ProtocolError(f"{self.endpoint.name} sent frames that end amid a transaction, with {first - 1}")
            if generation <= self._info.generation:
                if generation < self._info.generation:
                    raise ReplicaError(
                        f"the replica is at generation {self._info.generation}, {self.endpoint.name} at {generation}"
                    )
                return SyncResult(self._info.frame, taken)
            self._next_generation()

    def _frames(self, first: int) -> tuple[list[bytes], int]:
        """The next frames; without any, the primary's generation."""
        pause = 0.1
        for attempt in range(_TRIES):
            status, data = self.http.fetch("GET", f"/sync/{self._info.generation}/{first}/{first + BATCH}")
            if status == 200:
                if not data or len(data) % FRAME:
                    raise ProtocolError(f"{self.endpoint.name} sent {len(data)} bytes, which are no frames")
                # The salts and checksums are the primary's; the log here makes its own.
                return [
                    data[at : at + 8] + bytes(16) + data[at + 24 : at + FRAME] for at in range(0, len(data), FRAME)
                ], 0
            if status in (400, 500):
                return [], _field(self.endpoint.name, data, "generation")
            if status == 410:
                raise ReplicaError(
                    f"{self.endpoint.name} no longer keeps generation {self._info.generation}, that of {self.path}; "
                    "delete it and its -info to have it fetched anew"
                )
            if status < 500 or attempt == _TRIES - 1:
                break
            time.sleep(pause)
            pause *= 2
        raise self.http.error(status, data)

    def _take(self, waiting: list[bytes]) -> int:
        """Write the transactions that are whole; gives how many frames they have."""
        whole = len(waiting)
        while whole and waiting[whole - 1][4:8] == bytes(4):
            whole -= 1
        if not whole:
            return 0
        try:
            self.database.wal_insert(waiting[:whole], start=self._info.frame + 1)
        except OperationalError as error:
            if "another frame" in str(error):
                raise ConflictError(
                    f"{self.path} and {self.endpoint.name} have gone different ways: {error}"
                ) from error
            raise
        del waiting[:whole]
        self._write(Info(self._info.generation, self._info.frame + whole))
        return whole

    def _next_generation(self) -> None:
        """All frames of this one are here: the database becomes what the next one begins with."""
        self.database.execute("PRAGMA wal_autocheckpoint=0").close()
        busy, _, _ = self.database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self.database.wal_disable_checkpoint()
        if busy:
            raise OperationalError(
                f"{self.path} is being read, and cannot go to the primary's next generation meanwhile"
            )
        self._write(Info(self._info.generation + 1, 0))

    # Pushing

    def _push(self, last: int) -> SyncResult:
        baton = ""
        sent = 0
        first = self._info.frame + 1
        again = compared = False
        while first <= last:
            stop = min(first + BATCH, last + 1)
            body = b"".join(self.database.wal_frames(first, stop))
            answer = self._answer(f"/sync/{self._info.generation}/{first}/{stop}{baton and '/'}{baton}", body)
            there = answer.get("max_frame_no")
            status = answer.get("status")
            if not isinstance(there, int) or status not in ("ok", "conflict"):
                raise ProtocolError(f"{self.endpoint.name} answers a push with {answer!r}")
            if status == "conflict" or answer.get("generation") not in (None, self._info.generation):
                # Perhaps these frames came from there, and that could not be noted any more.
                if status == "conflict" and not compared and self._same(first, last) == there:
                    compared = True
                    first = there + 1
                    continue
                raise ConflictError(
                    f"{self.endpoint.name} has changes that those made here do not know: sent frame {stop - 1}, it has "
                    f"{there}; save what is new in {self.path}, delete it and its -info to have it fetched anew"
                )
            if there > stop - 1:
                raise ProtocolError(f"{self.endpoint.name} has frame {there} after a push up to {stop - 1}")
            if there < stop - 1:
                if again or there < 0:
                    raise ProtocolError(f"{self.endpoint.name} has only frame {there} after a push up to {stop - 1}")
                again = True
                first = there + 1
                continue
            sent += stop - first
            if self._progress is not None:
                self._progress(sent, last + 1 - stop)
            baton = str(answer.get("baton") or "")
            first = stop
        self._write(Info(self._info.generation, last))
        return SyncResult(last, sent)

    def _same(self, first: int, last: int) -> int:
        """Up to which frame the primary has what is here; -1 if it has anything else."""
        while True:
            theirs, _ = self._frames(first)
            if not theirs:
                return first - 1
            if first + len(theirs) > last + 1:
                return -1
            ours = self.database.wal_frames(first, first + len(theirs))
            if any(a[:8] != b[:8] or a[24:] != b[24:] for a, b in zip(ours, theirs, strict=True)):
                return -1
            first += len(theirs)

    def _answer(self, target: str, body: bytes) -> dict[str, Any]:
        pause = 0.1
        for attempt in range(_TRIES):
            status, data = self.http.fetch("POST", target, body)
            if status == 200:
                return _json(self.endpoint.name, data)
            if status < 500 or attempt == _TRIES - 1:
                break
            time.sleep(pause)
            pause *= 2
        raise self.http.error(status, data)

    def close(self) -> None:
        with self.lock:
            if self._database is not None:
                self._database.close()
                self._database = None
            self.endpoint.close()

    def close_files(self) -> None:
        os.close(self._lock_file)


def _body(answer: Answer) -> Iterator[bytes]:
    while piece := answer.read(1 << 20):
        yield bytes(piece)
