"""HTTP/1.1 on a connection: bytes to requests, responses to bytes, one request at a time.

Framing is decided here alone, and strictly: a request whose length can be read in two ways is refused, and the
connection closed. What follows a request that is being answered stays unparsed, and unread once it is much.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import httptools

from libsql_core.server.api import Peer, Request, Response
from libsql_core.server.compress import LONG, SHORTEST, choose, compress
from libsql_core.server.flow import Done, start
from libsql_core.server.log import logger

if TYPE_CHECKING:
    from libsql_core.server.listener import Listener

_log = logger("http")

# Parsed at a time: no more requests than fit in here are ever waiting.
SLICE = 16 * 1024
# A head and a body up to here go out in one piece.
JOINED = 64 * 1024
# Seconds for a client to read why it was refused.
LINGER = 2
_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class _Refused(Exception):
    """Raised out of the parser's callbacks."""


class Http1(Peer):
    """A connection."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._limits = listener.limits
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # before connection_made
        self._parser = httptools.HttpRequestParser(self)
        self._address = ""
        self._unparsed = b""
        # Of the request that is coming in.
        self._receiving = False
        self._in_head = True
        self._fed = 0
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._request: Request | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._again = b""
        self._refusal: Response | None = None
        # Of those that are answered.
        self._queue: deque[Request | Response] = deque()
        self._task: asyncio.Task[None] | None = None
        self._owes_continue = False
        self._closing = False
        self._discarding = False
        self._reading = True
        self._writable = True
        self._drained: asyncio.Future[None] | None = None
        self._unsent = 0
        self._next: Peer | None = None

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._listener.peers.add(self)
        peer = transport.get_extra_info("peername")
        self._address = peer[0] if isinstance(peer, tuple) and peer else ""
        self.deadline = self._listener.now + self._limits.head_time

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._queue.clear()
        self._unparsed = b""
        self._forget_body()
        if self._drained is not None and not self._drained.done():
            self._drained.set_exception(ConnectionResetError())
        if self._task is None:
            self._listener.peers.discard(self)
        else:
            self.deadline = math.inf
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable = False
        self._unsent = self._transport.get_write_buffer_size()
        self.deadline = self._listener.now + self._limits.write_time

    def resume_writing(self) -> None:
        self._writable = True
        self.deadline = math.inf
        if self._drained is not None:
            if not self._drained.done():
                self._drained.set_result(None)
            self._drained = None
        elif self._task is None:
            self._go_on()

    def expire(self) -> None:
        """The client has had its time."""
        if not self._writable:
            unsent, self._unsent = self._unsent, self._transport.get_write_buffer_size()
            if unsent - self._unsent >= self._limits.write_time * self._limits.rate:
                self.deadline = self._listener.now + self._limits.write_time
                return
        if self._receiving or not self._writable:
            self._transport.abort()
        else:
            self._close()

    def shut(self) -> None:
        self._closing = True
        if self._task is None and not self._queue:
            self._close()

    def abort(self) -> None:
        self._transport.abort()

    def eof_received(self) -> None:
        """Closes: a client that sends no more has gone, and what it asked for is stopped."""

    def data_received(self, data: bytes) -> None:
        if self._discarding:
            return
        if self._unparsed or self._task is not None or not self._writable:
            self._unparsed += data
            if self._reading and len(self._unparsed) >= SLICE:
                self._reading = False
                self._transport.pause_reading()
        else:
            self._feed(data)

    # Bytes to requests.

    def _feed(self, data: bytes) -> None:
        """Parse, as long as no request has to wait."""
        while data and not self._closing and not self._discarding:
            if self._task is not None or not self._writable:
                self._unparsed = data
                return
            if not self._receiving:
                self._receiving = True
                self.deadline = self._listener.now + self._limits.head_time
            piece, data = (data, b"") if len(data) <= SLICE else (data[:SLICE], data[SLICE:])
            try:
                self._parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                # It was answered by now, or will be before the rest is looked at.
                data = self._again + piece[upgrade.args[0] :] + data
                self._again = b""
                self._parser = httptools.HttpRequestParser(self)
                if self._next is not None:
                    self._next.data_received(data)
            except (httptools.HttpParserError, _Refused):
                if piece.startswith(b"PRI * HTTP/2") and not self._fed:
                    if (peer := self._listener.http2()) is not None:
                        self._hand_over(peer)
                        peer.data_received(piece + data)
                        return
                    self._refuse(505)
                self._finish_refusal()
                return
            if self._in_head and self._receiving:
                self._fed += len(piece)
                if self._fed > self._limits.head:
                    self._refuse(431)
                    self._finish_refusal()
                    return

    def on_message_begin(self) -> None:
        self._receiving = True

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > self._limits.head:
            raise self._refuse(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name not in self._headers:
            self._headers[name] = value
        elif name in (b"content-length", b"transfer-encoding", b"host"):
            raise self._refuse(400)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._fed = 0
        headers, parser, limits = self._headers, self._parser, self._limits
        path, _, query = self._url.partition(b"?")
        request = Request(parser.get_method(), path, query, headers)
        request.address = self._address
        request.version = parser.get_http_version()
        request.keep_alive = parser.should_keep_alive() and request.method != b"CONNECT"
        if request.version not in ("1.1", "1.0"):
            raise self._refuse(505)
        length = headers.get(b"content-length")
        coding = headers.get(b"transfer-encoding")
        if coding is not None and (
            length is not None or request.version == "1.0" or coding.strip().lower() != b"chunked"
        ):
            raise self._refuse(400)
        if length is not None and int(length) > limits.body:
            raise self._refuse(413)
        if b"upgrade" in headers and parser.should_upgrade() and (coding is not None or (length or b"0") != b"0"):
            # The parser takes the body for another protocol: it is to read the request again without the wish.
            self._again = b"%b %b HTTP/%b\r\n" % (request.method, self._url, request.version.encode())
            self._again += b"".join(b"%b: %b\r\n" % each for each in headers.items() if each[0] != b"upgrade") + b"\r\n"
            return
        if b"expect" in headers and request.version == "1.1":
            if headers[b"expect"].lower() != b"100-continue":
                raise self._refuse(417)
            if self._task is None and not self._queue:
                self._transport.write(_CONTINUE)
            else:
                self._owes_continue = True
        self._request = request
        self.deadline = self._listener.now + limits.body_time

    def on_body(self, data: bytes) -> None:
        size = len(data)
        if self._size + size > self._limits.body:
            raise self._refuse(413)
        if not self._listener.bodies.take(size):
            raise self._refuse(503)
        self._size += size
        self._body.append(data)
        latest = self._listener.now + self._limits.body_time
        self.deadline = min(latest, self.deadline + size / self._limits.rate)

    def on_message_complete(self) -> None:
        request, self._request = self._request, None
        self._in_head = True
        self._url = b""
        self._headers = {}
        if request is None:  # it will be read again
            return
        body = self._body
        request.body = body[0] if len(body) == 1 else b"".join(body)
        self._forget_body()
        self._receiving = False
        self.deadline = math.inf if self._writable else self.deadline
        self._queue.append(request)
        if self._task is None:
            self._answer()

    def _forget_body(self) -> None:
        if self._size:
            self._listener.bodies.give(self._size)
            self._size = 0
            self._body = []

    def _refuse(self, status: int) -> _Refused:
        """The answer to what cannot be a request; it follows those to requests before it."""
        if self._refusal is None:
            self._refusal = Response(status)
        return _Refused()

    def _finish_refusal(self) -> None:
        self._forget_body()
        if self._closing:
            return
        self._queue.append(self._refusal or Response(400))
        self._receiving = True  # nothing more is
        if self._task is None:
            self._answer()

    # Requests to responses.

    def _answer(self) -> None:
        """Answer what waits, up to a request that takes its time."""
        while self._queue and self._writable and not self._closing:
            waiting = self._queue.popleft()
            if isinstance(waiting, Response):
                self._linger(waiting)
                return
            done = start(self._serve(waiting))
            if not isinstance(done, Done):
                self._task = done
                done.add_done_callback(self._served)
                return

    def _served(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a connection failed", exc_info=error)
            self._transport.abort()
        if self._transport.is_closing() and self._closing:
            self._listener.peers.discard(self)
        else:
            self._go_on()

    def _go_on(self) -> None:
        """After an answer, or once the client has read what was sent."""
        self._answer()
        if self._next is not None:
            data, self._unparsed = self._unparsed, b""
            self._next.data_received(data)
            return
        if self._task is not None or not self._writable or self._discarding:
            return
        if self._closing:
            self._close()
            return
        if self._owes_continue:
            self._owes_continue = False
            self._transport.write(_CONTINUE)
        data, self._unparsed = self._unparsed, b""
        self._feed(data)
        if not self._reading and not self._unparsed:
            self._reading = True
            self._transport.resume_reading()

    async def _serve(self, request: Request) -> None:
        try:
            response = await self._listener.handler(request)
        except Exception:
            _log.exception("a request failed")
            response = Response(500)
        if self._transport.is_closing() and response.stream is None:
            return
        if response.upgrade is not None:
            self._upgrade(response)
            return
        keep = request.keep_alive and not self._closing
        if response.stream is not None:
            keep = keep and (request.version == "1.1" or response.length is not None)
            await self._send_stream(request, response, keep)
        else:
            if b"accept-encoding" in request.headers and len(response.body) >= SHORTEST:
                await self._encode(request, response)
            self._send(request, response, keep)
        if not keep:
            self._close()
            return
        self._listener.vigil.request()
        if self._writable:
            self.deadline = self._listener.now + self._limits.idle_time

    async def _encode(self, request: Request, response: Response) -> None:
        coding = choose(request.headers[b"accept-encoding"])
        if coding is None or b"text/event-stream" in response.head:
            return
        if len(response.body) <= LONG:
            response.body = compress(response.body, coding)
        else:
            response.body = await asyncio.get_running_loop().run_in_executor(None, compress, response.body, coding)
        response.head += b"content-encoding: %b\r\n" % coding

    def _head(self, request: Request, response: Response, keep: bool, length: bytes) -> bytes:
        if not keep:
            length += b"connection: close\r\n"
        elif request.version == "1.0":
            length += b"connection: keep-alive\r\n"
        return b"%b%b%b%b\r\n" % (_LINES[response.status], response.head, length, self._listener.date)

    def _send(self, request: Request, response: Response, keep: bool) -> None:
        body = response.body
        head = self._head(request, response, keep, b"content-length: %d\r\n" % len(body))
        if request.method == b"HEAD":
            self._transport.write(head)
        elif len(body) <= JOINED:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    async def _send_stream(self, request: Request, response: Response, keep: bool) -> None:
        """Send pieces as they come and as the client takes them."""
        assert response.stream is not None
        chunked = request.version == "1.1" and response.length is None
        framing = b"transfer-encoding: chunked\r\n" if chunked else b""
        if response.length is not None:
            framing = b"content-length: %d\r\n" % response.length
        head = self._head(request, response, keep, framing)
        try:
            # It is begun in any case: what is not cannot clean up.
            async for piece in response.stream:
                if self._transport.is_closing():
                    return
                if request.method == b"HEAD":
                    self._transport.write(head)
                    return
                if piece and chunked:
                    piece = b"%x\r\n%b\r\n" % (len(piece), piece)
                if head or len(piece) <= JOINED:
                    piece = head + piece
                    head = b""
                self._transport.write(piece)
                if not self._writable:
                    self._drained = asyncio.get_running_loop().create_future()
                    await self._drained
            self._transport.write(head + (b"0\r\n\r\n" if chunked else b""))
        except ConnectionResetError:
            return
        except Exception:
            _log.exception("a reply broke off")
            self._transport.abort()
        finally:
            await response.stream.aclose()

    def _upgrade(self, response: Response) -> None:
        assert response.upgrade is not None
        self._transport.write(_LINES[101] + response.head + b"\r\n")
        self._hand_over(response.upgrade())

    def _hand_over(self, peer: Peer) -> None:
        """From here on the connection speaks another protocol."""
        self._closing = True
        self._listener.peers.discard(self)
        self._next = peer
        self._transport.set_protocol(peer)
        peer.connection_made(self._transport)

    def _linger(self, response: Response) -> None:
        """Answer what was refused; close when the client has had time to read it."""
        self._transport.write(self._head(Request(b"GET", b"", b"", {}), response, False, b"content-length: 0\r\n"))
        self._discarding = True
        self._unparsed = b""
        self.deadline = self._listener.now + LINGER
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._close()

    def _close(self) -> None:
        self._closing = True
        self._transport.close()
