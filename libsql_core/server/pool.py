"""The connections of a namespace, and how many there may be in the whole server.

A connection that comes back is made as new and kept, with its statements, for who asks next. One more, the keeper, is
never handed out: it holds the file open and runs the checkpoints, in a worker thread, so that no request pays for them.
All but that happens on the event loop's thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from libsql_core.hrana.errors import HttpError
from libsql_core.server.lock import WriterQueue
from libsql_core.server.log import logger

if TYPE_CHECKING:
    from libsql_core._engine import ServerConnection

# Idle connections that a namespace keeps.
KEPT = 16
# Pages in the log, beyond which it is copied into the database.
WAL_PAGES = 1000

log = logger("pool")


class Slots:
    """Counts the connections of all namespaces; who finds none free waits in line."""

    def __init__(self, connections: int, waiting: int, timeout: float) -> None:
        self.free = connections
        self._most_waiting = waiting
        self._timeout = timeout
        self._waiting: deque[asyncio.Future[bool]] = deque()

    async def wait(self) -> None:
        """Take a slot once one is free; 429 when that lasts too long, or too many wait."""
        waiting = sum(not place.done() for place in self._waiting) if self._waiting else 0
        if waiting + 1 >= self._most_waiting:
            raise HttpError(429, "Too many concurrent requests")
        place: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        # Not wait_for(): a slot that arrives in the moment of giving up must not be lost.
        timer = asyncio.get_running_loop().call_later(self._timeout, self._give_up, place)
        try:
            if not await place:
                raise HttpError(429, "Timed out while opening database connection")
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.result():
                self.give()
            raise
        finally:
            timer.cancel()

    def _give_up(self, place: asyncio.Future[bool]) -> None:
        if not place.done():
            place.set_result(False)

    def give(self) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(True)
                return
        self.free += 1


class Pool:
    """The connections of one namespace. make: opens one, with the settings of the moment.

    wal_pages: how long the log may become before it is copied; 0 for any length.
    """

    def __init__(
        self, name: str, slots: Slots, make: Callable[[], ServerConnection], writers: WriterQueue, wal_pages: int
    ) -> None:
        self._name = name
        self._slots = slots
        self._wal_pages = wal_pages or 1 << 62
        self._make = make
        self._writers = writers
        self._keeper = make()
        # The one used last is used next. Of how many nobody was in need since `trim`.
        self._idle: list[ServerConnection] = []
        self._spare = 0
        self._out: set[ServerConnection] = set()
        self._stale: set[ServerConnection] = set()
        self._coming = 0
        self._returned: asyncio.Future[None] | None = None
        self._copied = 0
        self._copying: asyncio.Task[None] | None = None
        self.closed = False

    @property
    def busy(self) -> bool:
        return bool(self._out or self._coming)

    @property
    def idle(self) -> ServerConnection | None:
        """The connection that is used next. Who only reads, and is done in the same turn of the loop, may have it."""
        return self._idle[-1] if self._idle else None

    async def acquire(self) -> ServerConnection:
        slots = self._slots
        if slots.free:
            slots.free -= 1
        else:
            self._coming += 1
            try:
                await slots.wait()
            finally:
                self._coming -= 1
        try:
            if self.closed:
                raise HttpError(404, f"Namespace `{self._name}` doesn't exist")
            if self._idle:
                connection = self._idle.pop()
                if len(self._idle) < self._spare:
                    self._spare = len(self._idle)
            else:
                connection = self._make()
        except BaseException:
            slots.give()
            raise
        self._out.add(connection)
        return connection

    def release(self, connection: ServerConnection) -> None:
        self._out.discard(connection)
        self._slots.give()
        self.watch(connection)
        fresh = connection not in self._stale and not self.closed
        if fresh and len(self._idle) < KEPT and connection.reset():
            self._idle.append(connection)
        else:
            self._stale.discard(connection)
            connection.close()
        if not self._out and self._returned is not None and not self._returned.done():
            self._returned.set_result(None)

    def trim(self) -> None:
        """Close what has not been needed since the last call, but for one: each keeps pages in memory."""
        unused = self._idle[: max(0, self._spare - 1)]
        del self._idle[: len(unused)]
        self._spare = len(self._idle)
        for connection in unused:
            connection.close()

    def renew(self) -> None:
        """Settings have changed: what is open now ends when it comes back."""
        self._stale |= self._out
        while self._idle:
            self._idle.pop().close()

    def watch(self, connection: ServerConnection) -> None:
        """Copy the log into the database if the last commit of a connection left it long."""
        pages = connection.wal_pages
        if pages >= self._wal_pages and pages != self._copied and self._copying is None and not self.closed:
            self._copied = pages
            self._copying = asyncio.get_running_loop().create_task(self._copy())

    def watch_all(self) -> None:
        """The same for those that are out for long."""
        for connection in self._out:
            self.watch(connection)

    def steal(self) -> None:
        """The lock is held for no longer than copying takes (api.Holder)."""

    async def _copy(self) -> None:
        try:
            await self.checkpoint()
            # What was written meanwhile is copied while nobody writes: only then does the log begin anew.
            await self._writers.acquire(self)
            try:
                await self.checkpoint()
            finally:
                self._writers.release(self)
        except Exception as error:
            log.warning("Checkpoint failed: %s", error)
        finally:
            self._copying = None

    async def checkpoint(self, *, truncate: bool = False) -> tuple[int, int]:
        return await asyncio.to_thread(self._keeper.checkpoint, "TRUNCATE" if truncate else "PASSIVE")

    def interrupt(self) -> None:
        for connection in self._out:
            connection.interrupt()

    async def drain(self, seconds: float) -> bool:
        """Wait until all connections have come back; False if some have not."""
        if self._out:
            loop = asyncio.get_running_loop()
            self._returned = loop.create_future()
            timer = loop.call_later(seconds, self._returned.cancel)
            await asyncio.wait([self._returned])
            timer.cancel()
        return not self._out

    async def close(self) -> None:
        """Close what is here, the log being copied; what is out ends when it comes back."""
        self.closed = True
        if self._copying is not None:
            await asyncio.wait([self._copying])
        self.renew()

        def end() -> None:
            try:
                self._keeper.checkpoint("TRUNCATE")
            finally:
                self._keeper.close()

        try:
            await asyncio.to_thread(end)
        except Exception as error:
            log.warning("Checkpoint failed: %s", error)
