"""HTTP/2 on the user port, for clients that begin with its preface: calls by gRPC, and the requests of HTTP/1.1.

Framing is the package h2's, which is imported with this module, by the first such client. A stream is a task: it reads
what comes in pieces, and sends as the client's windows allow; what does not fit waits in the task, not in a buffer.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from libsql_core.server.api import Peer, Request, Response
from libsql_core.server.log import logger
from libsql_core.server.rpc import MOST, Reply, Rpc, RpcError, Unframe, framed

if TYPE_CHECKING:
    from libsql_core.server.listener import Listener

# Streams at a time, and bytes of each that are taken before they are asked for.
STREAMS, WINDOW = 128, 1 << 20
# Streams that a client may break off, beyond those that it lets end.
RESETS = 200
# Bytes that are put into frames before they go to the transport.
BUNCH = 1 << 17
GRPC = b"application/grpc"
# Seconds that a client has to read the end and close.
LINGER = 2

_log = logger("http")

Headers = list[tuple[bytes, bytes]]


class _Gone(Exception):
    """The stream or its connection has ended."""


class _Stream:
    """One request and its answer."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.pieces: deque[bytes] = deque()
        self.size = 0
        self.ended = False  # the client has said all
        self.gone = False
        self.task: asyncio.Task[None] | None = None
        self.wake = asyncio.Event()


class Http2(Peer):
    """A connection."""

    def __init__(self, listener: Listener, rpc: Rpc) -> None:
        self._listener = listener
        self._rpc = rpc
        self._address = ""
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        self._h2 = h2.connection.H2Connection(config)
        self._h2.local_settings = h2.settings.Settings(
            client=False,
            initial_values={
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS,
                h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: listener.limits.head,
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
            },
        )
        self._streams: dict[int, _Stream] = {}
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # before connection_made
        self._open = asyncio.Event()  # the transport takes more
        self._open.set()
        self._resets = 0
        self._partial = 0  # bytes since the last whole frame
        self._closing = False
        self._leaving = False  # all is said, the client is to close

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._address = peer[0] if isinstance(peer, tuple) and peer else ""
        self._listener.peers.add(self)
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(8 * WINDOW)
        self._flush()
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self.deadline = math.inf
        for stream in self._streams.values():
            self._end(stream)
        self._open.set()
        self._leave()

    def _leave(self) -> None:
        if self._transport.is_closing() and not self._streams:
            self._listener.peers.discard(self)

    def pause_writing(self) -> None:
        self._open.clear()
        self.deadline = self._listener.now + self._listener.limits.write_time

    def resume_writing(self) -> None:
        self._open.set()
        self._rest()

    def _rest(self) -> None:
        """How long the client may say nothing."""
        limits = self._listener.limits
        if self._leaving or not self._open.is_set():
            return
        if not self._streams:
            self.deadline = self._listener.now + (limits.head_time if self._partial else limits.idle_time)
        elif any(not stream.ended and stream.task is None for stream in self._streams.values()):
            self.deadline = self._listener.now + limits.body_time
        else:
            self.deadline = math.inf

    def expire(self) -> None:
        if not self._leaving and self._open.is_set() and not self._streams:
            self.shut()
        else:
            self._transport.abort()

    def shut(self) -> None:
        self._closing = True
        if self._leaving or self._transport.is_closing():
            return
        for stream in self._streams.values():
            # Calls that go on for as long as their client likes have heard all that they will hear.
            if stream.task is not None:
                stream.ended = True
                stream.wake.set()
        if not self._streams:
            self._close()

    def _close(self) -> None:
        """Say goodbye: behind it the package sends nothing more, not even for streams that are open."""
        with contextlib.suppress(h2.exceptions.ProtocolError):
            self._h2.close_connection()
            self._flush()
        try:
            if self._transport.can_write_eof():
                # A system that closes with something unread takes back what the client has not got yet.
                self._transport.write_eof()
                self._leaving = True
                self.deadline = self._listener.now + LINGER
                return
        except OSError:  # the client has gone
            pass
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def eof_received(self) -> None:
        """Closes: a client that sends no more has gone."""

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and not (self._leaving or self._transport.is_closing()):
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self._leaving:
            return
        try:
            events = self._h2.receive_data(data)
            # What is not a whole frame is kept by the package, whatever length it claims to have.
            self._partial = 0 if events else self._partial + len(data)
            if self._partial > (1 << 16) + self._listener.limits.head:
                self._transport.abort()
                return
            for event in events:
                self._on(event)
        except h2.exceptions.ProtocolError as error:
            _log.debug("a client of HTTP/2 broke its rules: %s", error)
            self._flush()
            self._transport.close()
            return
        self._flush()
        self._rest()

    # What comes in.

    def _on(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self._begin(event)
        elif isinstance(event, h2.events.DataReceived):
            self._data(event)
        elif isinstance(event, h2.events.StreamEnded):
            stream = self._streams.get(event.stream_id or 0)
            if stream is not None:
                stream.ended = True
                stream.wake.set()
                if stream.task is None:
                    self._start(event.stream_id or 0, stream)
        elif isinstance(event, h2.events.StreamReset):
            self._resets += 1
            stream = self._streams.get(event.stream_id or 0)
            if stream is not None:
                if stream.task is None:
                    del self._streams[event.stream_id or 0]
                    self._forget(stream)
                self._end(stream)
            if self._resets > RESETS:
                self._h2.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
                self._flush()
                self._transport.close()
        elif isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
            for stream in self._streams.values():
                stream.wake.set()
        elif isinstance(event, h2.events.ConnectionTerminated):
            self._closing = True
            if not self._streams:
                self._transport.close()

    def _begin(self, event: h2.events.RequestReceived) -> None:
        number = event.stream_id or 0
        if self._closing:
            self._h2.reset_stream(number, h2.errors.ErrorCodes.REFUSED_STREAM)
            return
        found: dict[bytes, bytes] = {}
        for name, value in event.headers:
            found.setdefault(name, value)
        path, _, query = found.pop(b":path", b"/").partition(b"?")
        request = Request(found.pop(b":method", b""), path, query, found)
        found.pop(b":scheme", None)
        if authority := found.pop(b":authority", None):
            found.setdefault(b"host", authority)
        request.address = self._address
        request.version = "2"
        stream = self._streams[number] = _Stream(request)
        kind = found.get(b"content-type", b"")
        if kind.startswith(GRPC) and not kind.startswith(GRPC + b"-web"):
            self._start(number, stream)

    def _start(self, number: int, stream: _Stream) -> None:
        kind = stream.request.headers.get(b"content-type", b"")
        rpc = kind.startswith(GRPC) and not kind.startswith(GRPC + b"-web")
        stream.task = asyncio.get_running_loop().create_task(self._serve(number, stream, rpc))

    def _data(self, event: h2.events.DataReceived) -> None:
        number = event.stream_id or 0
        stream = self._streams.get(number)
        taken = event.flow_controlled_length or 0
        if stream is None or stream.gone:
            self._taken(number, taken)
            return
        if stream.task is not None:
            # Its task says when it has taken the data.
            self._taken(number, taken - len(event.data or b""))
        else:
            # A request that is read whole.
            self._taken(number, taken)
            too_large = stream.size + taken > self._listener.limits.body
            if too_large or not self._listener.bodies.take(taken):
                self._forget(stream)
                del self._streams[number]
                self._h2.send_headers(number, [(b":status", b"413" if too_large else b"503")], end_stream=True)
                with contextlib.suppress(h2.exceptions.ProtocolError):  # all of it has come meanwhile
                    self._h2.reset_stream(number, h2.errors.ErrorCodes.NO_ERROR)
                return
            stream.size += taken
        if event.data:
            stream.pieces.append(event.data)
            stream.wake.set()

    def _taken(self, number: int, size: int) -> None:
        """The client may send as much again."""
        if size:
            with contextlib.suppress(h2.exceptions.ProtocolError):  # the stream has ended
                self._h2.acknowledge_received_data(size, number)

    def _forget(self, stream: _Stream) -> None:
        self._listener.bodies.give(stream.size)
        stream.size = 0
        stream.pieces.clear()

    def _end(self, stream: _Stream) -> None:
        stream.gone = stream.ended = True
        stream.wake.set()
        if stream.task is not None:
            stream.task.cancel()

    # What goes out.

    async def _serve(self, number: int, stream: _Stream, rpc: bool) -> None:
        try:
            if rpc:
                await self._call(number, stream)
            else:
                await self._answer(number, stream)
            self._resets = max(0, self._resets - 1)
        except _Gone:
            pass
        except (asyncio.CancelledError, h2.exceptions.ProtocolError):
            self._reset(number, stream)
        except Exception:
            _log.exception("a request failed")
            self._reset(number, stream)
        finally:
            del self._streams[number]
            for piece in stream.pieces if rpc else ():
                self._taken(number, len(piece))
            self._forget(stream)
            self._flush()
            if self._closing and not (self._leaving or self._streams or self._transport.is_closing()):
                self._close()
            self._leave()
            self._rest()

    def _reset(self, number: int, stream: _Stream) -> None:
        if not stream.gone and not self._transport.is_closing():
            try:
                self._h2.reset_stream(number, h2.errors.ErrorCodes.INTERNAL_ERROR)
            except h2.exceptions.ProtocolError:
                return
            self._flush()

    async def _wait(self, stream: _Stream) -> None:
        stream.wake.clear()
        await stream.wake.wait()
        if stream.gone:
            raise _Gone

    def _head(self, number: int, headers: Headers, *, end: bool = False) -> None:
        self._h2.send_headers(number, headers, end_stream=end)
        self._flush()

    async def _send(self, number: int, stream: _Stream, data: bytes) -> None:
        """Send data as the client and the transport take it."""
        view = memoryview(data)
        while view:
            if stream.gone:
                raise _Gone
            room = self._h2.local_flow_control_window(number)
            if room <= 0:
                await self._wait(stream)
                continue
            size = min(room, self._h2.max_outbound_frame_size, len(view))
            bunch = 0
            while view and size > 0 and bunch < BUNCH:
                self._h2.send_data(number, bytes(view[:size]))
                view = view[size:]
                bunch += size
                room -= size
                size = min(room, self._h2.max_outbound_frame_size, len(view))
            self._flush()
            await self._open.wait()

    async def _messages(self, number: int, stream: _Stream) -> AsyncIterator[bytes]:
        unframe = Unframe(MOST)
        while True:
            while stream.pieces:
                piece = stream.pieces.popleft()
                self._taken(number, len(piece))
                self._flush()
                for message in unframe.feed(piece):
                    yield message
            if stream.ended:
                return
            await self._wait(stream)

    async def _call(self, number: int, stream: _Stream) -> None:
        request = stream.request
        replies = None
        try:
            path = request.path.decode("latin-1")
            method = self._rpc.find(path)
            replies = await self._rpc.call(path, request.headers, self._messages(number, stream), request.address)
            if not method.replies:
                reply: Reply = await anext(replies)
            # A client may wait for the head before it says anything.
            self._head(number, [(b":status", b"200"), (b"content-type", GRPC)])
            if not method.replies:
                async for piece in framed(reply):
                    await self._send(number, stream, piece)
            else:
                async for each in replies:
                    async for piece in framed(each):
                        await self._send(number, stream, piece)
            self._head(number, [(b"grpc-status", b"0")], end=True)
        except RpcError as error:
            status = [(b"grpc-status", b"%d" % error.code), (b"grpc-message", error.encoded)]
            begun = [] if self._begun(number) else [(b":status", b"200"), (b"content-type", GRPC)]
            self._head(number, begun + status, end=True)
        finally:
            if replies is not None:
                await replies.aclose()

    def _begun(self, number: int) -> bool:
        state: Any = self._h2.streams[number].state_machine
        return bool(state.headers_sent)

    async def _answer(self, number: int, stream: _Stream) -> None:
        request = stream.request
        request.body = b"".join(stream.pieces)
        response = await self._listener.handler(request)
        if response.upgrade is not None:
            response = Response(400)
        headers = [(b":status", b"%d" % response.status)]
        for line in response.head.split(b"\r\n")[:-1]:
            name, _, value = line.partition(b":")
            headers.append((name.strip().lower(), value.strip()))
        if response.stream is None:
            headers.append((b"content-length", b"%d" % len(response.body)))
            bare = request.method == b"HEAD" or not response.body
            self._head(number, headers, end=bare)
            if not bare:
                await self._send(number, stream, response.body)
                self._h2.end_stream(number)
                self._flush()
            return
        try:
            self._head(number, headers, end=request.method == b"HEAD")
            async for piece in response.stream:
                if request.method == b"HEAD":
                    return
                await self._send(number, stream, piece)
            self._h2.end_stream(number)
            self._flush()
        finally:
            await response.stream.aclose()
