"""A port and the connections that came by it: their deadlines, how much they hold, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING

from libsql_core.server.flow import Budget, Vigil

if TYPE_CHECKING:
    from libsql_core.server.api import Handler, Peer


@dataclass(frozen=True)
class Limits:
    """Bytes and seconds that clients are given."""

    head: int = 64 * 1024  # request line and headers
    body: int = 64 * 1024 * 1024
    bodies: int = 256 * 1024 * 1024  # of all clients that are sending
    head_time: float = 30  # for a request's head
    body_time: float = 30  # for a body, and one more for each `rate` bytes of it
    rate: int = 4096
    idle_time: float = 600  # between requests
    write_time: float = 60  # for a client to take some of what was sent, `rate` bytes a second


class Listener:
    """Accepts connections and watches their deadlines, by a clock that goes in seconds."""

    def __init__(self, handler: Handler, limits: Limits | None = None) -> None:
        self.handler = handler
        self.limits = limits or Limits()
        self.peers: set[Peer] = set()
        self.bodies = Budget(self.limits.bodies)
        self.vigil = Vigil()
        self.now = time.monotonic()
        self.date = b""
        self.stopping = False
        # What goes on with connections that begin with the preface of HTTP/2.
        self.http2: Callable[[], Peer | None] = lambda: None
        self._server: asyncio.Server | None = None
        self._ticks: asyncio.TimerHandle | None = None

    async def listen(
        self,
        factory: Callable[[Listener], Peer],
        host: str,
        port: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._tick()
        self._server = await loop.create_server(lambda: factory(self), host, port, ssl=tls, backlog=1024)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        assert self._server is not None
        host, port, *_ = self._server.sockets[0].getsockname()
        return host, port

    def _tick(self) -> None:
        self.now = time.monotonic()
        self.date = b"date: %b\r\n" % formatdate(usegmt=True).encode()
        for peer in [each for each in self.peers if each.deadline <= self.now]:
            peer.expire()
        self._ticks = asyncio.get_running_loop().call_later(1, self._tick)

    async def stop(self, grace: float) -> bool:
        """Accept no more, let requests under way finish for `grace` seconds; whether all did."""
        self.stopping = True
        if self._server is not None:
            self._server.close()
        for peer in list(self.peers):
            peer.shut()
        ends = time.monotonic() + grace
        while self.peers and time.monotonic() < ends:
            await asyncio.sleep(0.01)
        whole = not self.peers
        for peer in list(self.peers):
            peer.abort()
        while self.peers:
            await asyncio.sleep(0.01)
        if self._ticks is not None:
            self._ticks.cancel()
        if self._server is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._server.wait_closed()
        return whole
