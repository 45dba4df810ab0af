"""Hrana on a WebSocket: who may speak, which streams there are, and in which order their requests run.

Requests of a stream run one after the other, streams beside each other; ids are taken and freed when the message comes,
before what it asks for has happened. What the client stored is resolved then, too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol

from libsql_core.hrana import conditions
from libsql_core.hrana.errors import AuthError, HttpError, MalformedError, ProtocolError, SqlError
from libsql_core.hrana.types import Batch, Hello, IndexedStmt, Step, Stmt, StreamRequest, Text, indexed
from libsql_core.server.cursor import BatchCursor
from libsql_core.server.flow import Done, start
from libsql_core.server.log import logger
from libsql_core.server.reads import short_read
from libsql_core.server.session import FAILURES
from libsql_core.server.texts import SqlTexts

if TYPE_CHECKING:
    from libsql_core.hrana.encode import Codec
    from libsql_core.server.api import Host, Request, RequestContext
    from libsql_core.server.session import Session
    from libsql_core.server.streams import Streams

_log = logger("websocket")

# Texts that a client may store, and requests that may wait in a stream before nothing more is read.
MOST_TEXTS = 150
MOST_WAITING = 8
_SINCE = {
    "sequence": 2,
    "describe": 2,
    "store_sql": 2,
    "close_sql": 2,
    "open_cursor": 3,
    "close_cursor": 3,
    "fetch_cursor": 3,
    "get_autocommit": 3,
}


class Line(Protocol):
    """What carries the messages."""

    def send(self, data: bytes) -> None: ...
    def close(self, code: int, reason: str) -> None: ...
    def pace(self) -> None: ...
    def ended(self) -> None: ...


class _Stream:
    """A stream of the client's, and what it has still to do."""

    def __init__(self, name: int) -> None:
        self.name = name
        self.session: Session | None = None  # while it is open
        self.jobs: deque[tuple[int, StreamRequest]] = deque()
        self.task: asyncio.Task[None] | None = None
        self.cursor_id: int | None = None  # as the client sees it
        self.cursor: BatchCursor | None = None  # as far as requests have run


class Conversation:
    """What a client and the server say to each other."""

    def __init__(self, line: Line, request: Request, host: Host, streams: Streams, version: int, codec: Codec) -> None:
        self._line = line
        self._request = request
        self._host = host
        self._sessions = streams
        self._version = version
        self._codec = codec
        self._context: RequestContext | None = None
        self._jwt: str | None = None
        self._texts = SqlTexts(MOST_TEXTS, None)
        self._streams: dict[int, _Stream] = {}
        self._closed: set[_Stream] = set()  # that the client has closed and that are not done yet
        self._cursors: dict[int, _Stream] = {}
        self._inbox: deque[bytes] = deque()  # while a hello is looked at
        self._greeting: asyncio.Task[None] | None = None
        self._waiting = 0
        self._paused = False
        self._ended = False

    @property
    def behind(self) -> bool:
        """There is enough to do."""
        return self._paused or self._waiting > MOST_WAITING or bool(self._inbox)

    def message(self, data: bytes) -> None:
        if self._ended:
            return
        if self._greeting is not None:
            self._inbox.append(data)
            self._line.pace()
            return
        try:
            said = self._codec.socket_message(data)
            if isinstance(said, Hello):
                self._hello(said)
            elif self._context is None:
                raise ProtocolError("Received a request before hello message")
            elif not self._answer_short(said.request_id, said.request, self._context):
                self._take(said.request_id, said.request)
        except MalformedError as error:
            self._line.close(1007, error.message)
        except ProtocolError as error:
            self._line.close(1008, error.message)

    def _answer_short(self, number: int, request: StreamRequest, context: RequestContext) -> bool:
        """Answer the usual request, a short read on a stream that has nothing to do; False if it is another one."""
        if request.kind != "execute" or self._paused or type(request.body) is not Stmt:
            return False
        stream = self._streams.get(request.stream_id)
        if stream is None or stream.task is not None or stream.jobs or stream.cursor is not None:
            return False
        session, codec = stream.session, self._codec
        if not (session.calm if session is not None else not context.namespace.closed):
            return False
        stmt = request.body
        sql = self._texts.find(stmt.sql, stmt.sql_id, self._version)
        head, tail = codec.around_response(number)
        limit = self._host.settings.max_response_size
        connection = context.namespace.idle if session is None else session.connection
        if connection is None:
            return False
        answer = short_read(connection, context, sql, stmt.args, stmt.named_args, codec.number, limit, head, tail)
        if answer is None:
            return False
        self._line.send(answer if head else codec.response_ok(number, "execute", answer))
        return True

    def pause(self) -> None:
        """The client does not take what is sent: nothing more is begun."""
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        for stream in [*self._streams.values(), *self._closed]:
            self._work(stream)

    def end(self) -> None:
        """The client has gone: what runs is stopped, the rest given back."""
        self._ended = True
        self._inbox.clear()
        if self._greeting is not None:
            self._greeting.cancel()
        for stream in [*self._streams.values(), *self._closed]:
            stream.jobs.clear()
            self._closed.add(stream)
            if stream.task is None:
                self._close(stream)
            else:
                stream.task.cancel()
        self._streams.clear()
        self._leave()

    def _leave(self) -> None:
        if self._ended and not self._closed and self._greeting is None:
            self._line.ended()

    # Hello.

    def _hello(self, said: Hello) -> None:
        if self._context is not None and self._version < 2:
            message = "Repeated hello message is only supported in protocol version hrana2 and higher"
            raise ProtocolError(message)
        done = start(self._greet(said.jwt))
        if not isinstance(done, Done):
            self._greeting = done
            done.add_done_callback(self._greeted)

    async def _greet(self, jwt: str | None) -> None:
        codec = self._codec
        try:
            self._context = await self._host.hello(self._request, jwt)
            self._jwt = jwt
        except AuthError as error:
            refused = codec.error(f"Authentication failed: {error.reason}", error.code)
            self._line.send(codec.hello_error(refused))
            self._line.close(1000, "Thank you for using sqld")
        except HttpError:
            self._line.close(1011, "Internal server error")
        except Exception:
            _log.exception("a hello failed")
            self._line.close(1011, "Internal server error")
        else:
            for stream in self._streams.values():
                if stream.session is not None:
                    stream.session.context = self._context
            self._line.send(codec.hello_ok())

    def _greeted(self, task: asyncio.Task[None]) -> None:
        self._greeting = None
        while self._inbox and self._greeting is None:
            self.message(self._inbox.popleft())
        self._line.pace()
        self._leave()

    # Requests, as they come.

    def _take(self, request_id: int, request: StreamRequest) -> None:
        kind = request.kind
        if self._version < _SINCE.get(kind, 1):
            since = _SINCE[kind]
            raise ProtocolError(f"The `{kind}` request is only supported in protocol version hrana{since} and higher")
        if kind == "store_sql":
            try:
                self._texts.store(request.body)
            except SqlError as error:
                self._failed(request_id, error.message, error.code)
            else:
                self._line.send(self._codec.response_ok(request_id, kind, b""))
            return
        if kind == "close_sql":
            self._texts.close(request.body)
            self._line.send(self._codec.response_ok(request_id, kind, b""))
            return
        stream = self._stream_of(request)
        body = request.body
        if kind == "execute":
            body = self._stmt(body)
        elif isinstance(body, Batch):
            conditions.check(body, self._version)
            if any(step.stmt.sql_id is not None or step.stmt.sql is None for step in body.steps):
                body = Batch([Step(step.condition, self._stmt(step.stmt)) for step in body.steps])
        elif isinstance(body, Text):
            body = Text(self._texts.find(body.sql, body.sql_id, self._version), None)
        stream.jobs.append((request_id, StreamRequest(kind, body, request.stream_id, request.cursor_id)))
        self._waiting += 1
        self._work(stream)
        if self.behind:
            self._line.pace()

    def _stmt(self, stmt: Stmt) -> Stmt:
        made = Stmt(self._texts.find(stmt.sql, stmt.sql_id, self._version), None, stmt.args, stmt.named_args)
        return indexed(made, stmt.frame) if isinstance(stmt, IndexedStmt) else made

    def _stream_of(self, request: StreamRequest) -> _Stream:
        """The stream of a request; ids change hands here."""
        kind, name = request.kind, request.stream_id
        if kind == "open_stream":
            if name in self._streams:
                raise ProtocolError(f"Stream {name} already exists")
            stream = self._streams[name] = _Stream(name)
            return stream
        if kind in ("fetch_cursor", "close_cursor"):
            holder = self._cursors.get(request.cursor_id)
            if holder is None:
                raise ProtocolError(f"Cursor {request.cursor_id} not found")
            if kind == "close_cursor":
                self._free_cursor(holder)
            return holder
        found = self._streams.get(name)
        if found is None:
            raise ProtocolError(f"Stream {name} not found")
        if kind == "open_cursor":
            if request.cursor_id in self._cursors:
                raise ProtocolError(f"Cursor {request.cursor_id} already exists")
            if found.cursor_id is not None:
                raise ProtocolError(f"Stream {name} already has an open cursor")
            found.cursor_id = request.cursor_id
            self._cursors[request.cursor_id] = found
        elif kind == "close_stream":
            self._free_cursor(found)
            del self._streams[name]
            self._closed.add(found)
        return found

    def _free_cursor(self, stream: _Stream) -> None:
        if stream.cursor_id is not None:
            del self._cursors[stream.cursor_id]
            stream.cursor_id = None

    # Requests, as they run.

    def _work(self, stream: _Stream) -> None:
        """Run what the stream has to do, up to a request that takes its time."""
        while stream.jobs and stream.task is None and not self._paused:
            request_id, request = stream.jobs.popleft()
            done = start(self._job(stream, request_id, request))
            if isinstance(done, Done):
                self._waiting -= 1
            else:
                stream.task = done
                done.add_done_callback(lambda task: self._worked(stream, task))

    def _worked(self, stream: _Stream, task: asyncio.Task[None]) -> None:
        stream.task = None
        self._waiting -= 1
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a stream failed", exc_info=error)
        if self._ended:
            self._close(stream)
            self._leave()
            return
        self._work(stream)
        self._line.pace()

    def _close(self, stream: _Stream) -> None:
        if stream.cursor is not None:
            stream.cursor.close()
            stream.cursor = None
        if stream.session is not None:
            self._sessions.close(stream.session)
            stream.session = None
        self._closed.discard(stream)

    def _failed(self, request_id: int, message: str, code: str) -> None:
        self._line.send(self._codec.response_error(request_id, self._codec.error(message, code)))

    async def _job(self, stream: _Stream, request_id: int, request: StreamRequest) -> None:
        if stream.session is not None:
            stream.session.enter()
            stream.session.begin_turn()
        try:
            self._line.send(await self._reply(stream, request_id, request))
        except (*FAILURES, HttpError) as error:
            self._failed(request_id, error.message, error.code)
        except ProtocolError as error:
            self._line.close(1008, error.message)
        except Exception:
            _log.exception("a request failed")
            self._failed(request_id, "Internal server error", "INTERNAL_ERROR")
        finally:
            if stream.session is not None:
                stream.session.leave()

    async def _reply(self, stream: _Stream, request_id: int, request: StreamRequest) -> bytes:
        kind, codec = request.kind, self._codec
        if kind == "open_stream":
            # Its connection comes with the first request that needs one of its own.
            return codec.response_ok(request_id, kind, b"")
        if kind == "close_stream":
            self._close(stream)
            return codec.response_ok(request_id, kind, b"")
        session = await self._session(stream)
        if kind == "fetch_cursor":
            return await self._fetch(stream, request_id, request)
        if kind == "close_cursor":
            if stream.cursor is not None:
                stream.cursor.close()
                stream.cursor = None
            return codec.response_ok(request_id, kind, b"")
        if stream.cursor is not None and not stream.cursor.done and kind != "get_autocommit":
            raise SqlError(f"Stream {stream.name} has a cursor that is not finished", "CURSOR_NOT_FINISHED")
        if kind == "open_cursor":
            return self._open_cursor(stream, session, request_id, request)
        if kind == "get_autocommit":
            return codec.response_autocommit(request_id, session.autocommit())
        return codec.response_ok(request_id, kind, await self._run(session, request))

    async def _session(self, stream: _Stream) -> Session:
        """The session of a stream, which is opened if it has none yet."""
        if stream.session is None:
            assert self._context is not None
            if self._context.namespace.closed:
                self._context = await self._host.hello(self._request, self._jwt)
            stream.session = await self._sessions.open(self._context, self._texts)
            stream.session.begin_turn()
        if stream.session.closed:
            raise SqlError(f"Stream {stream.name} has failed to open", "STREAM_NOT_OPEN")
        return stream.session

    async def _run(self, session: Session, request: StreamRequest) -> bytes:
        if request.kind == "execute":
            return await session.execute(session.resolve(request.body, self._version), self._codec.number)
        if request.kind == "batch":
            return await session.batch(request.body, self._codec, self._version)
        if request.kind == "describe":
            return await session.describe(request.body, self._codec, self._version)
        await session.sequence(request.body, self._version)
        return b""

    def _open_cursor(self, stream: _Stream, session: Session, request_id: int, request: StreamRequest) -> bytes:
        try:
            stream.cursor = BatchCursor(session, request.body, self._codec, self._version, socket=True)
        except FAILURES:
            if stream.cursor_id == request.cursor_id:
                self._free_cursor(stream)
            raise
        return self._codec.response_ok(request_id, "open_cursor", b"")

    async def _fetch(self, stream: _Stream, request_id: int, request: StreamRequest) -> bytes:
        cursor = stream.cursor
        if cursor is None:
            raise SqlError(f"Cursor {request.cursor_id} has failed to open", "CURSOR_NOT_OPEN")
        size = self._host.settings.max_response_size // 8
        entries = await cursor.fetch(request.body, size) if not cursor.done else []
        return self._codec.response_entries(request_id, entries, cursor.done)
