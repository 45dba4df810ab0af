"""Keeps a replica's copy of a database: says hello to the primary, fetches what is missing, follows what comes.

Whatever goes wrong is tried again, ever less often; local reads go on meanwhile. Data is never thrown away: when the
primary's history is another one, or ends before ours, its transactions are written over the copy from the first on, and
until they are all here requests go to the primary.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from libsql_core._engine import Error, Injected, Injector
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
from libsql_core.replication.protobuf import encode_varint
from libsql_core.server.log import logger
from libsql_core.server.position import Backoff, Position
from libsql_core.server.rpc import RpcError
from libsql_core.server.upstream import namespace_metadata

if TYPE_CHECKING:
    from libsql_core.server.upstream import Metadata, Upstream

SERVICE = "/wal_log.ReplicationLog/"
# Seconds: between two attempts at first and at most, for one call, and of silence before the primary is asked again.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
CALL_S = 10.0
SILENCE_S = 10.0
# Seconds that others wait for its first answer: after that, what is here counts.
HELLO_S = 5.0
# Seconds that the primary may take to make a snapshot that it lacks.
SNAPSHOT_S = 60.0
# Frames of a batch, unless there are no more; it ends with a transaction.
BATCH = 1024
# How an encoded frame begins: field 1 with 4120 bytes. The size behind a transaction is in bytes 20 to 23 of these.
_WHOLE = b"\x0a\x98\x20"
# Frames that may wait for the one that writes them.
MOST_WAITING = 2048

T = TypeVar("T")
P = ParamSpec("P")

log = logger("replicator")


class Gone(Exception):
    """The primary has no such namespace (any more), or is about to stop."""


class Replicator:
    """One namespace's. open_injector: makes what writes frames."""

    def __init__(self, name: str, folder: Path, upstream: Upstream, open_injector: Callable[[], Injector]) -> None:
        self.name = name
        self._upstream = upstream
        self._position = Position(folder / "client_wal_index")
        self._open_injector = open_injector
        self._injector: Injector | None = None
        self._last = self._position.frame  # frame that was received
        self._token: str | None = None
        self._waiting: set[tuple[int, asyncio.Future[None]]] = set()
        self._task: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()  # an attempt has ended, or got as far as it could
        self._nudged = asyncio.Event()
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        # What it must have before requests are answered from it; None: nobody knows.
        self._wanted: int | None = None
        self.current = False
        self.history = 0  # counts beginnings: frames of one are nothing to another
        # What is shown of it.
        self.primary = -1  # the last frame that the primary is known to have
        self.connected = False
        self.attempts = 0
        self.failures = 0
        self.error: str | None = None
        self._told: str | None = None  # the error that was logged, as long as it lasts
        self.failed_at = 0.0
        self.heard_at = 0.0
        self.frames = 0

    @property
    def frame(self) -> int:
        """The last frame of the copy; -1: there is none."""
        return self._position.frame

    @property
    def lag(self) -> int:
        """Frames that the primary has and the copy lacks, as far as is known."""
        return max(0, self.primary - self.frame)

    def start(self, configured: Callable[[DatabaseConfig], None]) -> None:
        """configured: told what the primary's settings are."""
        self._configured = configured
        self._task = asyncio.get_running_loop().create_task(self._run())

    def nudge(self) -> None:
        """The primary is there, as somebody has found. What it has is asked for soon, and until then by requests."""
        if not self.connected:
            self.current = False
            self._wanted = None
            self._tried.clear()
            self._nudged.set()

    async def tried(self, seconds: float) -> None:
        """Wait until the primary has said hello, or did not, if that is not known."""
        await _event(self._tried, seconds)

    async def reach(self, frame: int, seconds: float) -> bool:
        """Wait until the copy has a frame; whether it has."""
        if frame <= self.frame:
            return True
        place = frame, asyncio.get_running_loop().create_future()
        self._waiting.add(place)
        try:
            await asyncio.wait({place[1]}, timeout=seconds)
        finally:
            self._waiting.discard(place)
        return frame <= self.frame

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        for _, future in self._waiting:
            if not future.done():
                future.cancel()
        if self._injector is not None:
            await asyncio.to_thread(self._injector.close)
            self._injector = None

    # Again and again

    async def _run(self) -> None:
        while True:
            self.attempts += 1
            try:
                await self._follow()
            except (RpcError, Gone, Error, OSError) as error:
                self._fail(str(error))
            except Exception as error:
                log.exception("replication of `%s` failed", self.name)
                self._fail(f"{type(error).__name__}: {error}")
            self.connected = False
            self._tried.set()
            self._nudged.clear()
            if await _event(self._nudged, self._backoff.pause()):
                # Nobody's writes make it try more often.
                await asyncio.sleep(FIRST_PAUSE)

    def _fail(self, text: str) -> None:
        if text != self._told:
            log.warning("replication of `%s`: %s", self.name, text)
            self._told = text
        self.failures += 1
        self.error = text
        self.failed_at = time.time()
        self._forget()
        if self._wanted is None and self.frame >= 0:
            # Without a primary, what is here is better than nothing.
            self.current = True

    def _forget(self) -> None:
        """Drop what has come of a transaction that is not whole."""
        if self._injector is not None:
            self._injector.rollback()
        self._last = self.frame

    async def _follow(self) -> None:
        """Fetch and follow for as long as that works; returns when the primary has ended it in good order."""
        self._forget()
        await self._hello()
        self._tried.set()
        while self._last < self.primary:
            await self._catch_up()
        lacking = False
        async with aclosing(_gathered(self._entries())) as coming:
            async for frames in coming:
                if frames:
                    lacking = False
                    await self._inject(frames)
                    self._backoff.reset()
                # Silence: is anybody there?
                elif await self._hello():
                    return
                elif self._last < self.primary:
                    if lacking:
                        raise ConnectionError("the primary has frames that it does not send")
                    lacking = True

    async def _call(self, method: str, message: bytes, seconds: float | None = CALL_S) -> bytes:
        try:
            return await self._upstream.call(SERVICE + method, message, self._metadata, seconds)
        except RpcError as error:
            if error.message == NAMESPACE_DOESNT_EXIST:
                raise Gone(f"the primary has no namespace `{self.name}`, or is stopping") from None
            raise

    @property
    def _metadata(self) -> Metadata:
        metadata = namespace_metadata(self.name)
        if self._token is not None:
            metadata["x-session-token"] = self._token
        return metadata

    async def _hello(self) -> bool:
        """Find out what the primary has; whether it is not as it was when it was asked before."""
        said = HelloResponse.decode(await self._call("Hello", HelloRequest(1).encode()))
        log_id = str(uuid.UUID(said.log_id))
        index = -1 if said.current_replication_index is None else said.current_replication_index
        token = said.session_token.decode("ascii", "replace")
        changed, self._token = self._token is not None and token != self._token, token
        if said.config is not None and (changed or self._wanted is None):
            self._configured(said.config)
        position = self._position
        if position.log_id != log_id:
            if position.log_id is not None:
                log.warning("the primary's history of `%s` is another one: it is fetched anew", self.name)
            self._begin_anew(log_id)
        elif index < position.frame:
            text = "the primary's history of `%s` ends with frame %d, before ours with %d: it is fetched anew"
            log.warning(text, self.name, index, position.frame)
            self._begin_anew(log_id)
        self.primary = index
        self.heard_at = time.time()
        self.connected = True
        self._told = None
        if self._wanted is None:
            self._wanted = index
        self._note_current()
        return changed

    def _begin_anew(self, log_id: str) -> None:
        self._position.write(log_id, -1)
        self._forget()
        self._wanted = None
        self.current = False
        self.history += 1

    def _note_current(self) -> None:
        if not self.current and self._wanted is not None and self.frame >= self._wanted:
            self.current = True
            self._backoff.reset()

    @property
    def _offset(self) -> bytes:
        return LogOffset(self._last + 1, WalFlavor.SQLITE).encode()

    async def _catch_up(self) -> None:
        """Fetch what the primary had when it was asked, many frames at a time."""
        try:
            frames = await self._call("BatchLogEntries", self._offset, None)
        except RpcError as error:
            if error.message == NEED_SNAPSHOT:
                # It has the newest copies of pages alone: what has come of a transaction that is not whole comes again.
                if self._injector is not None:
                    self._injector.rollback()
                self._last = self.frame
                await self._snapshot()
                return
            if error.message == NO_HELLO:
                await self._hello()
                return
            raise
        if not frames:
            raise ConnectionError(f"the primary says that it has frame {self.primary}, but does not send it")
        injector = self._writer()
        expected = self._last + 1
        done = await _in_thread(injector.frames, frames, expected)
        self._note(done)
        self._took(done)
        self._backoff.reset()

    async def _entries(self) -> AsyncGenerator[bytes, None]:
        try:
            async for frame in self._upstream.replies(SERVICE + "LogEntries", self._offset, self._metadata):
                yield frame
        except RpcError as error:
            if error.message == NAMESPACE_DOESNT_EXIST:
                raise Gone(f"the primary has no namespace `{self.name}`, or is stopping") from None
            # Others than NEED_SNAPSHOT and NO_HELLO, which the next hello answers, are failures.
            if error.message not in (NEED_SNAPSHOT, NO_HELLO):
                raise

    async def _inject(self, frames: list[bytes]) -> None:
        """Write what has come, some transactions at a time.

        If this process is killed between a commit and the note of it, the same frames come again, in one batch: it must
        not end before this commit did, or old pages would lie over newer ones. Batches have BATCH frames and more.
        """
        injector = self._writer()

        def write() -> Injected | None:
            done, count, begin = None, self._last - self.frame, 0
            for end, frame in enumerate(frames, 1):
                count += 1
                if end < len(frames) and not (count >= BATCH // 2 and _commits(frame)):
                    continue
                group = b"".join([b"\x0a" + encode_varint(len(each)) + each for each in frames[begin:end]])
                done = injector.frames(group, self._last + 1)
                self._last = done.last
                self._note(done)
                begin, count = end, 0
            return done

        done = await _in_thread(write)
        if done is not None:
            self._took(done._replace(taken=len(frames)))

    async def _snapshot(self) -> None:
        """Fetch the newest copies of all pages up to a later frame."""
        deadline = time.monotonic() + SNAPSHOT_S
        while True:
            try:
                await self._fetch_snapshot()
                return
            except RpcError as error:
                # It may still be in the making.
                if error.message != "snapshot not found" or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(random.uniform(0.3, 1.0))

    async def _fetch_snapshot(self) -> None:
        self._forget()
        injector = self._writer()
        expected = self._last + 1
        feed = _Feed()
        writing = asyncio.create_task(asyncio.to_thread(injector.snapshot, feed, expected))
        replies = self._upstream.replies(SERVICE + "Snapshot", self._offset, self._metadata)
        try:
            async for frame in replies:
                if not feed.put(frame):
                    while feed.full and not writing.done():
                        await asyncio.sleep(0.002)
                if writing.done():
                    break
            feed.end()
            done = await writing
        except BaseException:
            feed.end(failed=True)
            await asyncio.wait({writing})
            if not writing.cancelled():
                writing.exception()
            injector.rollback()
            raise
        finally:
            await replies.aclose()
        self._note(done)
        self._took(done)

    def _writer(self) -> Injector:
        if self._injector is None:
            self._injector = self._open_injector()
        return self._injector

    def _note(self, done: Injected) -> None:
        """Write down what was committed."""
        if done.committed >= 0 and done.committed != self.frame:
            assert self._position.log_id is not None
            self._position.write(self._position.log_id, done.committed)

    def _took(self, done: Injected) -> None:
        self._last = max(done.last, self._last)
        self.frames += done.taken
        self.heard_at = time.time()
        self.primary = max(self.primary, self.frame)
        self._note_current()
        for place in [each for each in self._waiting if each[0] <= self.frame]:
            self._waiting.discard(place)
            if not place[1].done():
                place[1].set_result(None)


def _commits(frame: bytes) -> bool:
    """Whether an encoded frame ends a transaction."""
    return frame[:3] != _WHOLE or frame[23:27] != b"\0\0\0\0"


async def _event(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, but not for ever. (asyncio.wait_for() may lose a cancellation, before Python 3.12.)"""
    if not event.is_set():
        waiting = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait({waiting}, timeout=seconds)
        finally:
            waiting.cancel()
    return event.is_set()


async def _in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What it returns. Who is cancelled meanwhile goes on when the thread has ended."""
    job = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        await asyncio.wait({job})
        raise


async def _gathered(frames: AsyncGenerator[bytes, None]) -> AsyncGenerator[list[bytes], None]:
    """Frames as they come, all that have come meanwhile at once; an empty list after a silence."""
    found: list[bytes] = []
    came = asyncio.Event()
    room = asyncio.Event()

    async def read() -> None:
        try:
            async for frame in frames:
                found.append(frame)
                came.set()
                if len(found) >= MOST_WAITING:
                    room.clear()
                    await room.wait()
        finally:
            came.set()
            await frames.aclose()

    reading = asyncio.create_task(read())
    try:
        while True:
            await _event(came, SILENCE_S)
            came.clear()
            taken, found[:] = found[:], []
            room.set()
            if taken or not reading.done():
                yield taken
            if reading.done():
                if found:
                    yield found
                reading.result()
                return
    finally:
        reading.cancel()
        await asyncio.wait({reading})
        if not reading.cancelled():
            reading.exception()


class _Feed:
    """Messages for a thread that asks for one after the other."""

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._ended = self._failed = False

    def put(self, message: bytes) -> bool:
        """Whether there is room for more."""
        with self._changed:
            self._messages.append(message)
            self._changed.notify()
            return len(self._messages) < MOST_WAITING

    @property
    def full(self) -> bool:
        return len(self._messages) >= MOST_WAITING

    def end(self, *, failed: bool = False) -> None:
        with self._changed:
            self._ended, self._failed = True, failed
            self._changed.notify()

    def __iter__(self) -> Iterator[bytes]:
        while True:
            with self._changed:
                while not self._messages and not self._ended:
                    self._changed.wait()
                if self._failed:
                    raise ConnectionError("the snapshot was cut off")
                if not self._messages:
                    return
                message = self._messages.popleft()
            yield message
