"""The sessions that are open, and the batons by which HTTP requests find theirs again.

A baton names a stream and the request it is for, sealed for one namespace and one set of rights. Everything here
changes between two waits of the loop: a stream is free or taken, never in between.
"""

from __future__ import annotations

import base64
import hmac
import os
from time import monotonic
from typing import TYPE_CHECKING

from libsql_core.hrana.errors import HttpError, ProtocolError, SqlError
from libsql_core.server.group import Groups
from libsql_core.server.session import Session
from libsql_core.server.texts import SqlTexts

if TYPE_CHECKING:
    from libsql_core.server.api import Namespace, RequestContext, Settings
    from libsql_core.server.flow import Workers

# Seconds that a stream waits for its next request, and that an expired one is remembered.
EXPIRY = 10
MEMORY = 300
# What an HTTP stream may store.
MOST_TEXTS, LONGEST_TEXT = 50, 5_000


class Ticket:
    """A place in the queue of writers for who has no connection yet; it would only lie idle while waiting."""

    def __init__(self) -> None:
        self.session: Session | None = None

    def steal(self) -> None:
        if self.session is not None:
            self.session.steal()


class Stream:
    """A session that outlives its request, between two of them or in one."""

    __slots__ = ("expires", "id", "sequence", "session", "taken")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.id = os.urandom(8)
        self.sequence = int.from_bytes(os.urandom(7), "big")
        self.taken = True
        self.expires = 0.0


class Streams:
    """All streams of the server."""

    def __init__(self, settings: Settings, workers: Workers) -> None:
        self._settings = settings
        self._workers = workers
        self.groups = Groups(workers, settings.max_response_size)
        self._key = os.urandom(32)
        self._streams: dict[bytes, Stream] = {}
        self._expired: dict[bytes, float] = {}  # when each is forgotten, the oldest first
        self._sessions: set[Session] = set()

    async def open(self, context: RequestContext, texts: SqlTexts | None = None) -> Session:
        """A session on a connection of its own; 429 when there is none."""
        connection = await context.namespace.acquire()
        kept = SqlTexts(MOST_TEXTS, LONGEST_TEXT) if texts is None else texts
        session = context.namespace.sessions(context, connection, self._workers, self._settings, kept)
        session.enter()
        self._sessions.add(session)
        return session

    async def open_to_write(self, context: RequestContext) -> Session:
        """A session that has the write lock."""
        writers = context.namespace.writers
        ticket = Ticket()
        await writers.acquire(ticket)
        try:
            session = await self.open(context)
        except BaseException:
            writers.release(ticket)
            raise
        session.take_over(ticket)
        return session

    def close(self, session: Session) -> None:
        self._sessions.discard(session)
        session.close()

    # Batons.

    def keep(self, session: Session) -> Stream:
        """Make a session one that later requests can take up."""
        stream = Stream(session)
        self._streams[stream.id] = stream
        return stream

    def baton(self, stream: Stream) -> str:
        """The baton of the stream's next request."""
        stream.sequence += 1
        name = stream.id + stream.sequence.to_bytes(8, "big")
        return base64.b64encode(name + self._seal(name, stream.session.context)).decode()

    def _seal(self, name: bytes, context: RequestContext) -> bytes:
        return hmac.digest(self._key, b"%b%b\0%b" % (name, context.namespace.name.encode(), context.identity), "sha256")

    def take(self, baton: str, context: RequestContext) -> Stream:
        """The stream of a baton, which is now taken."""
        invalid = ProtocolError("Received an invalid baton")
        try:
            raw = base64.b64decode(baton, validate=True)
        except ValueError:
            raise invalid from None
        name = raw[:16]
        if len(raw) != 48 or not hmac.compare_digest(raw[16:], self._seal(name, context)):
            raise invalid
        stream = self._streams.get(name[:8])
        if stream is None:
            if name[:8] in self._expired:
                raise SqlError("The stream has expired due to inactivity", "STREAM_EXPIRED")
            raise invalid
        if stream.taken or name[8:] != stream.sequence.to_bytes(8, "big"):
            raise ProtocolError("Received a baton that has already been used")
        if stream.session.closed:
            self.end(stream)
            raise HttpError(404, f"Namespace `{context.namespace.name}` doesn't exist")
        stream.taken = True
        stream.session.context = context
        stream.session.enter()
        return stream

    def give_back(self, stream: Stream) -> None:
        """The request is over; the stream waits for the next one."""
        stream.taken = False
        # Whole seconds, as clients of sqld see them: 10 to 11.
        stream.expires = float(int(monotonic()) + EXPIRY + 1)
        stream.session.leave()

    def end(self, stream: Stream) -> None:
        """No request will take it up any more."""
        self._streams.pop(stream.id, None)
        self.close(stream.session)

    # Time, deletion, the end.

    def sweep(self) -> None:
        """Roll back what has waited too long. To be called once a second."""
        now = monotonic()
        for stream in [each for each in self._streams.values() if not each.taken and each.expires <= now]:
            self.end(stream)
            self._expired[stream.id] = now + MEMORY
        while self._expired:
            oldest = next(iter(self._expired))
            if self._expired[oldest] > now:
                break
            del self._expired[oldest]

    def drop(self, namespace: Namespace) -> None:
        """A namespace is deleted: its idle sessions end now, those with a request when their statement has ended."""
        for session in [each for each in self._sessions if each.namespace is namespace]:
            session.delete()
            if session.closed:
                self._sessions.discard(session)

    def states(self) -> list[str]:
        """For the diagnostics: one word for each HTTP stream."""
        live = ["acquired" if stream.taken else "" for stream in self._streams.values()]
        return live + ["expired"] * len(self._expired)

    def shut(self) -> None:
        """End all sessions. No request may be under way any more."""
        self._streams.clear()
        for session in list(self._sessions):
            self.close(session)
