"""The write lock of a namespace: first come, first served, and no holder keeps the others waiting for ever.

Everything here runs on the event loop's thread, and no function that changes the queue awaits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from libsql_core.server.api import Holder


class WriterQueue:
    """Implements api.Writers.

    timeout: gives the seconds that a holder may keep the lock while others wait; asked each time that counts.
    """

    __slots__ = ("_holder", "_since", "_timeout", "_timer", "_told", "_waiting", "stolen")

    def __init__(self, timeout: Callable[[], float]) -> None:
        self._timeout = timeout
        self._holder: Holder | None = None
        self._since = 0.0
        self._told = False
        self._waiting: deque[tuple[Holder, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.stolen = 0

    @property
    def holder(self) -> Holder | None:
        return self._holder

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def try_acquire(self, holder: Holder) -> bool:
        if self._holder is None:
            self._holder = holder
            self._since = monotonic()
            return True
        return self._holder is holder

    async def acquire(self, holder: Holder) -> None:
        if self.try_acquire(holder):
            return
        loop = asyncio.get_running_loop()
        place = holder, loop.create_future()
        self._waiting.append(place)
        self._watch(loop)
        try:
            await place[1]
        except asyncio.CancelledError:
            if self._holder is holder:
                self.release(holder)
            elif place in self._waiting:
                self._waiting.remove(place)
                if not self._waiting:
                    self._unwatch()
            raise

    def release(self, holder: Holder) -> None:
        if self._holder is not holder:
            return
        self._holder = None
        self._told = False
        self._unwatch()
        while self._waiting:
            waiting, future = self._waiting.popleft()
            if not future.done():
                self._holder = waiting
                self._since = monotonic()
                future.set_result(None)
                if self._waiting:
                    self._watch(future.get_loop())
                return

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is None and not self._told:
            left = self._since + self._timeout() - monotonic()
            self._timer = loop.call_later(max(0.0, left), self._steal)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _steal(self) -> None:
        self._timer = None
        if self._holder is not None and self._waiting:
            self._told = True
            self.stolen += 1
            self._holder.steal()
