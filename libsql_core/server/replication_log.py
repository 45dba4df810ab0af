"""The service `wal_log.ReplicationLog`: a namespace's history for those who keep a copy.

A client says hello first, and sends the token it got with all that follows: a token that is not the current one tells
that the history or the configuration may have changed. Frames go out as the log encodes them, in pieces, as fast as
the client takes them.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import uuid
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Any

from libsql_core._engine import Error, SnapshotNeeded
from libsql_core.replication.messages import (
    NAMESPACE_DOESNT_EXIST,
    NEED_SNAPSHOT,
    NO_HELLO,
    DatabaseConfig,
    HelloRequest,
    HelloResponse,
    LogOffset,
    WalFlavor,
)
from libsql_core.server.rpc import Call, Code, Method, Pieces, RpcError
from libsql_core.server.sync_clients import client

if TYPE_CHECKING:
    from libsql_core._engine import ReplicationLog
    from libsql_core.server.namespace import Namespace

# Frames of a batch, of one read of it, and of one turn of a stream.
BATCH, PIECE, TURN = 1024, 256, 64
# Reads of so many frames are done without a thread: they take less than its wake-up.
QUICK = 8
# How clients that speak the newer protocol too give their version.
PROBING = b"libsql-rpc-"
# Seconds to wait for a snapshot that is being made.
SNAPSHOT_S = 10.0


class LogService:
    """The methods. Each port has its own, and its own tokens."""

    def __init__(self) -> None:
        self._secret = os.urandom(16)
        self._generation = str(uuid.uuid4())

    @property
    def methods(self) -> dict[str, Method]:
        return {
            "/wal_log.ReplicationLog/Hello": Method(self.hello, HelloRequest),
            "/wal_log.ReplicationLog/BatchLogEntries": Method(self.batch, LogOffset),
            "/wal_log.ReplicationLog/LogEntries": Method(self.entries, LogOffset, replies=True),
            "/wal_log.ReplicationLog/Snapshot": Method(self.snapshot, LogOffset, replies=True),
        }

    def token(self, namespace: Namespace, log: ReplicationLog) -> bytes:
        """Stays the same as long as this server, the history and the configuration do."""
        text = f"{namespace.name}\0{namespace.version}\0{log.log_id}".encode()
        return str(uuid.UUID(bytes=hashlib.blake2b(text, digest_size=16, key=self._secret).digest())).encode()

    async def hello(self, call: Call, request: HelloRequest) -> HelloResponse:
        namespace, log = _log(call)
        if not call.inner and namespace.config.shared_schema:
            raise RpcError(Code.FAILED_PRECONDITION, "cannot replicate a shared schema db")
        if call.headers.get(b"x-libsql-client-version", b"").startswith(PROBING):
            namespace.sync_clients.hello(client(call.address, call.headers))
        last = log.last
        return HelloResponse(
            generation_id=self._generation,
            log_id=log.log_id,
            session_token=self.token(namespace, log),
            current_replication_index=None if last < 0 else last,
            config=DatabaseConfig.decode(namespace.config.dump()),
        )

    def _begin(self, call: Call, request: LogOffset) -> tuple[Namespace, ReplicationLog]:
        if request.wal_flavor == WalFlavor.LIBSQL:
            raise RpcError(Code.INVALID_ARGUMENT, "libsql wal not supported")
        namespace, log = _log(call)
        if call.headers.get(b"x-session-token") != self.token(namespace, log):
            raise RpcError(Code.FAILED_PRECONDITION, NO_HELLO)
        return namespace, log

    async def batch(self, call: Call, request: LogOffset) -> bytes | Pieces:
        namespace, log = self._begin(call, request)
        start = request.next_offset
        with _told():
            if log.last - start < QUICK:
                made = log.batch(start, BATCH)
                namespace.stats.frames += log.last + 1 - start if made else 0
                return made
            stop, size = await asyncio.to_thread(log.span, start, BATCH)
            namespace.stats.frames += stop - start
            if namespace.compacting and stop - start <= 2 * BATCH:
                return await asyncio.to_thread(log.part, start, stop) if stop > start else b""
        return Pieces(size, _Parts(namespace, log, start, stop))

    async def entries(self, call: Call, request: LogOffset) -> AsyncGenerator[list[bytes], None]:
        namespace, log = self._begin(call, request)
        with _told():
            first = await _entries(log, request.next_offset)
        return self._follow(namespace, log, request.next_offset, first)

    async def _follow(
        self, namespace: Namespace, log: ReplicationLog, start: int, found: list[bytes]
    ) -> AsyncGenerator[list[bytes], None]:
        """All frames from one on, and those to come, until the namespace goes or is another.

        What is in the log by then is sent before the stream ends.
        """
        token = self.token(namespace, log)
        end: int | None = None  # the last frame to send
        amid = 0  # a transaction: the file of the log stays until its end is sent
        with namespace.followed():
            try:
                while True:
                    if found:
                        namespace.answers -= amid
                        amid = int(_amid(found[-1]))
                        namespace.answers += amid
                        yield found
                        start += len(found)
                        namespace.stats.frames += len(found)
                    else:
                        await namespace.committed(start)
                    if namespace.log is not log:
                        return
                    if end is None and self.token(namespace, log) != token:
                        end = log.last
                    if end is not None and start > end and not amid:
                        return
                    with _told():
                        found = await _entries(log, start)
            finally:
                namespace.answers -= amid

    async def snapshot(self, call: Call, request: LogOffset) -> AsyncGenerator[list[bytes], None]:
        namespace, _ = self._begin(call, request)
        start = request.next_offset
        with _told():
            path = await namespace.snapshot(start, SNAPSHOT_S)
            if path is None:
                raise RpcError(Code.UNAVAILABLE, "snapshot not found")
            frames = namespace.snapshot_frames(path, start)
            first = await asyncio.to_thread(next, frames, None)
        return _snapshot(namespace, frames, first)


class _told:
    """Says of the log's errors what clients know."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SnapshotNeeded):
            raise RpcError(Code.FAILED_PRECONDITION, NEED_SNAPSHOT) from None
        if isinstance(error, FileNotFoundError):
            # Merged into another, or the namespace is being deleted.
            raise RpcError(Code.UNAVAILABLE, "snapshot not found") from None
        if isinstance(error, Error):
            raise RpcError(Code.INTERNAL, str(error)) from None


def _log(call: Call) -> tuple[Namespace, ReplicationLog]:
    namespace = call.context.namespace
    log = namespace.log
    if log is None:
        raise RpcError(Code.FAILED_PRECONDITION, NAMESPACE_DOESNT_EXIST)
    return namespace, log


class _Parts(AsyncGenerator[bytes, None]):
    """The pieces of a batch. Until it is closed the file of the log stays as it is, for a while."""

    def __init__(self, namespace: Namespace, log: ReplicationLog, start: int, stop: int) -> None:
        self._namespace = namespace
        self._log = log
        self._at, self._stop = start, stop
        self._open = True
        namespace.answers += 1

    async def asend(self, value: None) -> bytes:
        start, self._at = self._at, min(self._at + PIECE, self._stop)
        if start == self._at:
            await self.aclose()
            raise StopAsyncIteration
        return await asyncio.to_thread(self._log.part, start, self._at)

    async def athrow(self, *error: Any) -> bytes:
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        if self._open:
            self._open = False
            self._at = self._stop
            self._namespace.answers -= 1


def _amid(frame: bytes) -> bool:
    """Whether an encoded frame is followed by others of its transaction."""
    return frame[23:27] == bytes(4)


async def _entries(log: ReplicationLog, start: int) -> list[bytes]:
    if log.last - start < QUICK:
        return log.entries(start, TURN)
    return await asyncio.to_thread(log.entries, start, TURN)


async def _snapshot(
    namespace: Namespace, frames: Iterator[list[bytes]], found: list[bytes] | None
) -> AsyncGenerator[list[bytes], None]:
    while found is not None:
        yield found
        namespace.stats.frames += len(found)
        with _told():
            found = await asyncio.to_thread(next, frames, None)
