"""A batch whose results are fetched bit by bit: `POST /v3/cursor`, and the cursors of WebSockets."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from libsql_core.hrana.errors import HttpError
from libsql_core.server.api import Response
from libsql_core.server.session import FAILURES, Session

if TYPE_CHECKING:
    from libsql_core._engine import Plan, ServerCursor
    from libsql_core.hrana.encode import Codec
    from libsql_core.hrana.types import Batch, CursorBody
    from libsql_core.server.api import RequestContext, Settings
    from libsql_core.server.streams import Stream, Streams

# Bytes of a piece of a cursor's body, about.
PIECE = 1 << 16


class BatchCursor:
    """The entries of a batch, in the order in which its steps run."""

    def __init__(self, session: Session, batch: Batch, codec: Codec, version: int, *, socket: bool) -> None:
        self.done = False
        self._session = session
        self._batch = batch
        self._bound = session.resolve_batch(batch, version)
        self._codec = codec
        self._socket = socket
        self._succeeded: list[object] = [None] * len(self._bound)
        self._step = 0
        self._open: ServerCursor | None = None

    async def fetch(self, most: int, size: int) -> list[bytes]:
        """Up to `most` entries of about `size` bytes, in pieces."""
        pieces: list[bytes] = []
        while most > 0 and size > 0 and not self.done:
            if self._open is None:
                piece, count = await self._next_step()
            else:
                piece, count, ended = await self._session.fetch(self._plan(), self._open, most, size)
                if ended:
                    if self._open.error is None:
                        self._succeeded[self._step] = True
                    self._open = None
                    self._step += 1
            if piece:
                pieces.append(piece)
            most -= count
            size -= len(piece)
            await self._session.yield_turn()
        return pieces

    def _plan(self) -> Plan:
        return self._bound[self._step][0]

    async def _next_step(self) -> tuple[bytes, int]:
        """Begin the next step; an entry comes of it when it fails, or when there is none."""
        number, codec = self._step, self._codec
        if number == len(self._bound):
            # sqld ends with its replication index, an entry that the protocol does not have and clients refuse.
            self.done = True
            return b"", 0
        condition = self._batch.steps[number].condition
        if condition is not None and not self._session.holds(condition, self._succeeded):
            self._step += 1
            return b"", 0
        try:
            self._open = await self._session.open_step(self._bound[number], codec.number, number, socket=self._socket)
        except FAILURES as error:
            self._step += 1
            return codec.step_error(number, codec.error(error.message, error.code), self._socket), 1
        return b"", 0

    def close(self) -> None:
        """Give up what is left."""
        self.done = True
        if self._open is not None:
            self._session.close_step(self._open)
            self._open = None


async def cursor(
    streams: Streams, settings: Settings, context: RequestContext, body: CursorBody, codec: Codec
) -> Response:
    stream = streams.keep(await streams.open(context)) if body.baton is None else streams.take(body.baton, context)
    try:
        run = BatchCursor(stream.session, body.batch, codec, 3, socket=False)
    except FAILURES as error:
        streams.end(stream)
        raise HttpError(500, f"Internal Error: `{error.message}`") from None
    except BaseException:
        streams.end(stream)
        raise
    head = codec.cursor(streams.baton(stream), settings.http_self_url)
    return Response(200, b"", codec.cursor_head, _entries(streams, stream, run, codec, head))


async def _entries(
    streams: Streams, stream: Stream, run: BatchCursor, codec: Codec, head: bytes
) -> AsyncGenerator[bytes, None]:
    whole = False
    try:
        stream.session.begin_turn()
        pieces = [head]
        while True:
            try:
                pieces += await run.fetch(1 << 30, PIECE)
            except HttpError as error:
                pieces.append(codec.entry_error(codec.error(error.message, error.code), socket=False))
                yield b"".join(pieces)
                return
            whole = run.done
            yield b"".join(pieces)
            pieces = []
            if whole:
                return
    finally:
        run.close()
        if whole:
            streams.give_back(stream)
        else:
            streams.end(stream)
