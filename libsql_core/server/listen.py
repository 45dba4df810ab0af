"""`GET /beta/listen`: what commits changed in a table, as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import orjson

from libsql_core.hrana.errors import HttpError
from libsql_core.server.api import Response

if TYPE_CHECKING:
    from libsql_core.server.api import RequestContext

# Events that a listener may be behind, and the seconds between signs of life.
BEHIND = 1024
KEEP_ALIVE = 15
ACTIONS = ("unknown", "delete", "insert", "update")
HEAD = b"content-type: text/event-stream\r\ncache-control: no-cache\r\n"

# Table, rows inserted, updated, deleted.
Change = tuple[str, int, int, int]
Counts = dict[str, int]


class _Listener:
    """One client's events that are not sent yet."""

    def __init__(self) -> None:
        self.events: list[Counts] = []
        self.lost = False
        self.wake = asyncio.Event()


class Changes:
    """Who listens to a namespace, by table."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[_Listener]] = {}
        self._closed = False

    @property
    def watched(self) -> bool:
        return bool(self._listeners)

    def publish(self, changes: Iterable[Change]) -> None:
        """Tell what one commit changed."""
        for table, inserts, updates, deletes in changes:
            for listener in self._listeners.get(table, ()):
                if len(listener.events) == BEHIND:
                    listener.lost = True
                else:
                    counts = {"delete": deletes, "insert": inserts, "update": updates}
                    listener.events.append({kind: count for kind, count in counts.items() if count})
                listener.wake.set()

    def close(self) -> None:
        """The namespace goes: who listens has heard all."""
        self._closed = True
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.wake.set()

    async def listen(self, table: str) -> AsyncGenerator[Counts | None, None]:
        """The counts of each commit, until the namespace is closed; None when some were lost, and then it ends."""
        listener = _Listener()
        self._listeners.setdefault(table, set()).add(listener)
        try:
            while not listener.lost and not (self._closed and not listener.events):
                await listener.wake.wait()
                listener.wake.clear()
                events, listener.events = listener.events, []
                for counts in events:
                    yield counts
            if listener.lost:
                yield None
        finally:
            self._listeners[table].discard(listener)
            if not self._listeners[table]:
                del self._listeners[table]


def _arguments(query: bytes) -> tuple[str, list[str]]:
    refused = "Failed to deserialize query string: "
    table, actions = None, []
    for key, value in parse_qsl(query.decode("utf-8", "replace"), keep_blank_values=True):
        if key == "table":
            table = value
        elif key == "action":
            if value not in ACTIONS:
                names = ", ".join(f"`{name}`" for name in ACTIONS)
                raise HttpError(400, f"{refused}unknown variant `{value}`, expected one of {names}", plain=True)
            actions.append(value)
    if table is None:
        raise HttpError(400, f"{refused}missing field `table`", plain=True)
    return table, actions


def listen(context: RequestContext, query: bytes) -> Response:
    table, actions = _arguments(query)
    return Response(200, b"", HEAD, _events(context.namespace.changes.listen(table), actions))


async def _events(counts: AsyncGenerator[Counts | None, None], actions: list[str]) -> AsyncGenerator[bytes, None]:
    waiting: asyncio.Task[Counts | None] | None = None
    try:
        yield b""
        while True:
            if waiting is None:
                waiting = asyncio.ensure_future(anext(counts))
            done, _ = await asyncio.wait([waiting], timeout=KEEP_ALIVE)
            if not done:
                yield b":keep-alive\n\n"
                continue
            ended, waiting = waiting, None
            try:
                event = ended.result()
            except StopAsyncIteration:
                return
            if event is None:
                yield b"event:error\ndata:some changes were lost\n\n"
                return
            if not actions or any(event.get(action) for action in actions):
                yield b"event:changes\ndata:%b\n\n" % orjson.dumps(event)
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.wait([waiting])
        await counts.aclose()
