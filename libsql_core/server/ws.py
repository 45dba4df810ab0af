"""WebSockets: the handshake, frames to messages and back, and how a connection closes. Hrana is conversation.py's."""

from __future__ import annotations

import asyncio
import base64
import logging
import math
import socket
from typing import TYPE_CHECKING, cast

from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, Protocol, State
from websockets.utils import accept_key

from libsql_core.hrana.encode import JSON, PROTOBUF, Codec
from libsql_core.server.api import TEXT_HEAD, Peer, Request, Response
from libsql_core.server.conversation import Conversation
from libsql_core.server.log import logger

try:
    from websockets.speedups import apply_mask
except ImportError:
    from websockets.utils import apply_mask

if TYPE_CHECKING:
    from libsql_core.server.api import Host
    from libsql_core.server.listener import Listener
    from libsql_core.server.streams import Streams

_log = logger("websocket")
# The library tells of each frame; that is not for our log.
_frames_log = logger("frames")
_frames_log.setLevel(logging.WARNING)

# Subprotocols, the preferred first, with the version and the encoding that each stands for.
_PROTOCOLS: dict[str, tuple[int, Codec]] = {
    "hrana3-protobuf": (3, PROTOBUF),
    "hrana3": (3, JSON),
    "hrana2": (2, JSON),
    "hrana1": (1, JSON),
}
LONGEST_FRAME = 16 * 1024 * 1024
LONGEST_MESSAGE = 64 * 1024 * 1024
# Bytes that a reason may have.
REASON = 123
# Seconds for a client to answer our close.
CLOSE_TIME = 5


def _tokens(value: bytes) -> list[str]:
    return [each.strip().lower() for each in value.decode("latin-1").split(",")]


def handshake(request: Request, host: Host, streams: Streams, listener: Listener) -> Response:
    """101 and the peer that goes on, or why not."""
    headers = request.headers
    if _tokens(headers.get(b"upgrade", b"")) != ["websocket"]:
        return Response(404)
    try:
        key = base64.b64decode(headers.get(b"sec-websocket-key", b""), validate=True)
    except ValueError:
        key = b""
    wrong = "upgrade" not in _tokens(headers.get(b"connection", b"")) or request.version == "1.0" or len(key) != 16
    if wrong or headers.get(b"sec-websocket-version") != b"13":
        return Response(400, b"This is not a WebSocket handshake", b"sec-websocket-version: 13\r\n" + TEXT_HEAD)
    offered = headers.get(b"sec-websocket-protocol")
    chosen, line = "hrana1", b""
    if offered is not None:
        known = [name for name in _PROTOCOLS if name in _tokens(offered)]
        if not known:
            names = " ".join(_PROTOCOLS)
            return Response(400, f"Only these WebSocket subprotocols are supported: {names}".encode())
        chosen = known[0]
        line = b"sec-websocket-protocol: %b\r\n" % chosen.encode()
    head = b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: %b\r\n%b" % (
        accept_key(headers[b"sec-websocket-key"].decode("latin-1")).encode(),
        line,
    )
    version, codec = _PROTOCOLS[chosen]
    return Response(101, head=head, upgrade=lambda: Socket(request, host, streams, listener, version, codec))


def _bounds(data: bytes, at: int) -> tuple[int, int]:
    """Where the payload of a client's frame begins, and its size; (0, 0) if that is not here yet."""
    left = len(data) - at
    if left < 2:
        return 0, 0
    size = data[at + 1] & 0x7F
    mask = 4 if data[at + 1] & 0x80 else 0
    if size < 126:
        return (at + 2 + mask, size) if left >= 2 + mask else (0, 0)
    length = 2 if size == 126 else 8
    if left < 2 + length + mask:
        return 0, 0
    return at + 2 + length + mask, int.from_bytes(data[at + 2 : at + 2 + length], "big")


class Socket(Peer):
    """A WebSocket connection."""

    def __init__(
        self, request: Request, host: Host, streams: Streams, listener: Listener, version: int, codec: Codec
    ) -> None:
        self._listener = listener
        self._codec = codec
        self._host = host
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # before connection_made
        self._frames = Protocol(SERVER, state=State.OPEN, max_size=(LONGEST_MESSAGE, LONGEST_FRAME), logger=_frames_log)
        self._pieces: list[bytes] = []  # of a message in fragments
        self._opcode = Opcode.TEXT
        self._held = 0  # bytes received that are no message yet
        self._head = b""  # of a frame, less than says how long it is
        self._due = 0  # bytes of the frame that the library reads
        # The first byte of the frames that are sent, and of messages in one piece.
        self._first = 0x82 if codec is PROTOBUF else 0x81
        self._reading = True
        self._closing = False
        self._unsent = 0
        self._conversation = Conversation(self, request, host, streams, version, codec)

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._listener.peers.add(self)
        # There is no other sign of a client whose machine has gone.
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self.deadline = math.inf
        self._release()
        self._conversation.end()

    def ended(self) -> None:
        """The conversation has let go of everything."""
        self._listener.peers.discard(self)

    def pause_writing(self) -> None:
        self._unsent = self._transport.get_write_buffer_size()
        self.deadline = self._listener.now + self._listener.limits.write_time
        self._conversation.pause()
        self.pace()

    def resume_writing(self) -> None:
        self.deadline = math.inf
        self._conversation.resume()
        self.pace()

    def expire(self) -> None:
        limits = self._listener.limits
        unsent, self._unsent = self._unsent, self._transport.get_write_buffer_size()
        if not self._closing and unsent - self._unsent >= limits.write_time * limits.rate:
            self.deadline = self._listener.now + limits.write_time
        else:
            self._transport.abort()

    def shut(self) -> None:
        self.close(1001, "")

    def abort(self) -> None:
        self._transport.abort()

    def pace(self) -> None:
        """Read only as long as the conversation keeps up."""
        reading = not self._conversation.behind
        if reading != self._reading and not self._transport.is_closing():
            self._reading = reading
            if reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    # Frames to messages.

    def data_received(self, data: bytes) -> None:
        """Most frames are whole messages of few bytes; they are taken apart here, all others by the library."""
        if self._head:
            data, self._head = self._head + data, b""
        at, end = 0, len(data)
        while at < end and not self._closing:
            if self._due:
                stop = min(end, at + self._due)
                self._due -= stop - at
                self._feed(data[at:stop])
                at = stop
                continue
            begin, size = _bounds(data, at)
            if not begin:  # not enough to tell
                self._head = data[at:]
                return
            stop = begin + size
            usual = data[at] == self._first and stop <= end and data[at + 1] & 0x80
            if usual and self._frames.current_size is None:
                self._host.touch()
                self._take(apply_mask(data[begin:stop], data[begin - 4 : begin]))
                at = stop
            else:
                self._due = stop - at

    def _feed(self, data: bytes) -> None:
        self._frames.receive_data(data)
        events = self._frames.events_received()
        if not events:
            if not self._listener.bodies.take(len(data)):
                self.close(1013, "Too much is being received")
                return
            self._held += len(data)
        else:
            if self._frames.current_size is None:
                self._release()
            self._host.touch()
            for event in events:
                assert isinstance(event, Frame)
                self._frame(event)
                if self._closing:
                    return
        if self._frames.writes:
            self._flush()
        if self._frames.state is not State.OPEN:
            self._finish()

    def _release(self) -> None:
        if self._held:
            self._listener.bodies.give(self._held)
            self._held = 0

    def _frame(self, frame: Frame) -> None:
        opcode = frame.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
            if not frame.fin:
                self._opcode, self._pieces = opcode, [bytes(frame.data)]
            else:
                self._message(opcode, bytes(frame.data))
        elif opcode is Opcode.CONT:
            self._pieces.append(bytes(frame.data))
            if frame.fin:
                whole, self._pieces = b"".join(self._pieces), []
                self._message(self._opcode, whole)

    def _message(self, opcode: Opcode, data: bytes) -> None:
        if (opcode is Opcode.BINARY) is not (self._codec is PROTOBUF):
            kind = "binary" if opcode is Opcode.BINARY else "text"
            self.close(1003, f"Received a {kind} WebSocket message, which is not supported in this encoding")
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        self._conversation.message(data)
        self._listener.vigil.request()

    # Messages to frames.

    def send(self, data: bytes) -> None:
        if self._closing or self._frames.state is not State.OPEN:
            return
        size = len(data)
        if size < 126:
            head = bytes((self._first, size))
        elif size < 1 << 16:
            head = bytes((self._first, 126, size >> 8, size & 255))
        else:
            head = bytes((self._first, 127)) + size.to_bytes(8, "big")
        self._transport.write(head + data)

    def _flush(self) -> None:
        """Write what the library has made; its empty piece stands for the end."""
        out = b"".join(self._frames.data_to_send())
        if out:
            self._transport.write(out)

    def close(self, code: int, reason: str) -> None:
        """Close from our side; what runs is stopped."""
        if self._closing:
            return
        while len(reason.encode()) > REASON:
            reason = reason[:-1]
        self._frames.send_close(code, reason)
        self._flush()
        self._finish()

    def _finish(self) -> None:
        """Both sides know: nothing more is read, and the transport closes when what was sent is out."""
        self._closing = True
        self.deadline = self._listener.now + CLOSE_TIME
        self._transport.close()
