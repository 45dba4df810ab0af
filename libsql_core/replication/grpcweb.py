"""Calls of the primary's services, as grpc-web over HTTP/1.1: several at once on one connection.

The body of an answer is a row of frames (a byte of flags, the length in 4 bytes, the payload), the last of which, with
flag 0x80, says how the call ended. A call that failed before its first message says so in the headers instead.
"""

from __future__ import annotations

import base64
import ssl
import struct
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from libsql_core.replication.errors import AuthenticationError, PrimaryError, ProtocolError
from libsql_core.replication.http1 import Answer, Connection, LostError, request
from libsql_core.replication.messages import NAMESPACE_DOESNT_EXIST, NEED_SNAPSHOT, NO_HELLO
from libsql_core.replication.protobuf import Message

CLIENT_VERSION = "libsql-rpc-libsql-core"
LOG = "/wal_log.ReplicationLog/"
PROXY = "/proxy.Proxy/"
OK, INVALID_ARGUMENT, PERMISSION_DENIED, FAILED_PRECONDITION, UNIMPLEMENTED, UNAVAILABLE, UNAUTHENTICATED = (
    0, 3, 7, 9, 12, 14, 16,
)  # fmt: skip
_PIECE = 1 << 20
_WHOLE = 8 << 20
_frame = struct.Struct("<QQII")

M = TypeVar("M", bound=Message)


class NoHello(PrimaryError):
    """The session is over: a new one begins with Hello."""


class NeedSnapshot(PrimaryError):
    """The frames asked for are in a snapshot only."""


class NoNamespace(PrimaryError):
    """The primary does not have the namespace, or is stopping."""


_TEXTS = {NO_HELLO: NoHello, NEED_SNAPSHOT: NeedSnapshot, NAMESPACE_DOESNT_EXIST: NoNamespace}


class Endpoint:
    """Where a primary is, and who asks."""

    def __init__(
        self,
        sync_url: str,
        *,
        auth_token: str = "",
        namespace: str | None = None,
        timeout: float = 60.0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        scheme, colon, rest = sync_url.partition("://")
        schemes = {"libsql": "https", "wss": "https", "ws": "http", "https": "https", "http": "http"}
        if not colon or scheme.lower() not in schemes:
            raise ValueError(f"sync_url must begin with libsql://, https:// or http://, not {sync_url!r}")
        url = urlsplit(f"{schemes[scheme.lower()]}://{rest}")
        # libSQL's URLs may say these two.
        asked = dict(parse_qsl(url.query, keep_blank_values=True))
        auth_token = auth_token or asked.pop("authToken", "")
        if asked.pop("tls", "1") == "0" and scheme.lower() == "libsql":
            url = url._replace(scheme="http")
        if asked or url.fragment:
            raise ValueError(f"sync_url says what is not understood: {', '.join(asked) or '#' + url.fragment}")
        self.url: SplitResult = url._replace(query="")
        if not self.url.hostname:
            raise ValueError(f"sync_url names no host: {sync_url!r}")
        if not auth_token.isascii() or not auth_token.isprintable():
            raise ValueError("auth_token must consist of printable ASCII characters")
        if namespace is None:
            first, dot, _ = self.url.hostname.partition(".")
            namespace = first if dot and not _is_address(self.url.hostname) else "default"
        self.auth_token = auth_token
        self.namespace = namespace
        self._timeout = timeout
        self._context = context
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self.move(self.url)
        self._metadata = {
            "host": self.name,
            "content-type": "application/grpc-web",
            "accept": "application/grpc-web",
            "te": "trailers",
            "x-authorization": f"Bearer {auth_token}",
            "x-namespace-bin": base64.b64encode(namespace.encode()).decode().rstrip("="),
            "x-libsql-client-version": CLIENT_VERSION,
        }

    def move(self, url: SplitResult) -> None:
        """Speak to another place from now on."""
        self.close()
        self.url = url
        self.name = url.netloc.rpartition("@")[2]
        self.path = url.path.rstrip("/")

    def connection(self) -> Connection:
        """A connection that nobody else uses, to be given back by `release()`."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return Connection(self.url, self._timeout, self._context)
            if connection.alive():
                return connection
            connection.close()

    def release(self, connection: Connection) -> None:
        """Keep it for the next call, unless an answer on it was not read."""
        with self._lock:
            if connection.waiting == 0 and not connection.closing and len(self._idle) < 3:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def call(self, method: str, message: Message, session: str = "") -> bytes:
        """A request for a call."""
        headers = {**self._metadata, "x-session-token": session} if session else self._metadata
        data = message.encode()
        return request("POST", self.path + method, headers, b"\0" + len(data).to_bytes(4, "big") + data)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class Piece(NamedTuple):
    """Some frames. What it says of the last one is what the primary claims: it counts once the frames were taken."""

    data: memoryview
    frame: int
    checksum: int
    commits: bool
    ends: bool
    """No more come in this answer."""


class Reply:
    """The answer to a call."""

    def __init__(self, connection: Connection) -> None:
        self._answer: Answer = connection.answer()
        self._name = connection.name
        headers = self._answer.headers
        if "grpc-status" in headers:
            self._answer.finish()
            self._status(headers)
            self._ended = True
            return
        self._ended = False
        if self._answer.status != 200:
            text = self._answer.read_all(65536).decode("utf-8", "replace").strip()
            self._answer.finish()
            kind = AuthenticationError if self._answer.status in (401, 403) else PrimaryError
            raise kind(f"{self._name} answers {self._answer.status}: {text[:200]}", self._answer.status, text)
        if not headers.get("content-type", "").startswith("application/grpc"):
            self._answer.finish()
            raise ProtocolError(f"{self._name} is no primary: it answers {headers.get('content-type', 'without type')}")

    def _status(self, headers: dict[str, str]) -> None:
        status = headers.get("grpc-status", "")
        if status == "0":
            return
        text = unquote(headers.get("grpc-message", ""))
        code = int(status) if status.isascii() and status.isdigit() else 2
        if code == FAILED_PRECONDITION and text in _TEXTS:
            what = "has no such namespace, or is stopping" if text == NAMESPACE_DOESNT_EXIST else f"answers {text}"
            raise _TEXTS[text](f"{self._name} {what}", code, text)
        if code == UNAUTHENTICATED or "auth" in text.lower():
            raise AuthenticationError(f"{self._name} refuses the token: {text}", code, text)
        raise PrimaryError(f"{self._name} answers with status {code}: {text}", code, text)

    def begin(self) -> int:
        """The size of the next message, which `read()` is to read; -1 at the end of a call that went well."""
        if self._ended:
            return -1
        head = self._answer.read(5)
        if len(head) != 5:
            raise ProtocolError(f"{self._name} sent an answer without its end")
        size = int.from_bytes(head[1:], "big")
        if head[0] & 0x80:
            self._ended = True
            lines = self._answer.read(min(size, 65536)).decode("latin-1").split("\r\n")
            self._answer.finish()
            trailers = {
                name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            self._status(trailers)
            return -1
        if head[0]:
            raise ProtocolError(f"{self._name} sent a message with flags {head[0]}")
        return size

    def _read(self, size: int) -> bytearray:
        data = self._answer.read(size)
        if len(data) != size:
            raise ProtocolError(f"{self._name} sent half a message")
        return data

    def messages(self) -> Iterator[bytearray]:
        """The messages of a stream."""
        while (size := self.begin()) >= 0:
            yield self._read(size)

    def message(self, kind: type[M]) -> M:
        """The one message of a call that has one."""
        size = self.begin()
        if size < 0:
            raise ProtocolError(f"{self._name} sent no answer")
        data = self._read(size)
        if self.begin() >= 0:
            self._answer.finish()
            raise ProtocolError(f"{self._name} sent two answers to one call")
        return kind.decode(data)

    def pieces(self, room: bytearray) -> Iterator[Piece]:
        """A wal_log.Frames of any size, in pieces that are such messages themselves: cut between two frames.

        They are in `room`, which grows for them, until the next piece.
        """
        left = self.begin()
        if left < 0:
            raise ProtocolError(f"{self._name} sent no answer")
        # What is not too large comes whole, so that the next can be asked for before this is written.
        size = left if left <= _WHOLE else _PIECE
        if len(room) < size:
            room.extend(bytes(size - len(room)))
        view = memoryview(room)
        kept = 0
        while left:
            if kept == len(room):
                raise ProtocolError(f"{self._name} sent a frame of more than {kept} bytes")
            size = min(left, len(room) - kept)
            if self._answer.read_into(view[kept : kept + size]) != size:
                raise ProtocolError(f"{self._name} sent half a message")
            left -= size
            size += kept
            end, last = self._cut(room, size)
            if not left:
                end = size
            if end:
                yield Piece(view[:end], *_of_last(room, last, end), not left)
            kept = size - end
            if kept and end:
                view[:kept] = bytes(view[end:size])
        if self.begin() >= 0:
            self._answer.finish()
            raise ProtocolError(f"{self._name} sent two answers to one call")

    def _cut(self, data: bytearray, end: int) -> tuple[int, int]:
        """Where the last whole entry ends, and where it begins."""
        at = last = 0
        usual, step = b"", 0
        while at + 6 < end:
            # Entries mostly are as long as the one before.
            if data.startswith(usual, at) and step and at + step <= end:
                last = at
                at += step
                continue
            if data[at] != 0x0A:
                raise ProtocolError(f"{self._name} sent frames that are none: byte {data[at]:#x} in front of one")
            size, start = _size(data, at + 1)
            if start + size > end:
                break
            usual, step = bytes(data[at:start]), start + size - at
            last = at
            at = start + size
        return at, last

    def drain(self) -> None:
        """Read the rest and forget it."""
        self._ended = True
        self._answer.finish()


def _size(data: bytearray, at: int) -> tuple[int, int]:
    """A length in front of bytes, and where these begin; a length that is none is huge."""
    size = shift = 0
    while shift < 35:
        byte = data[at]
        size |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            return size, at
    return 1 << 40, at


def _of_last(data: bytearray, last: int, end: int) -> tuple[int, int, bool]:
    """Of the frame in the entry at `last`: its number, its checksum, and whether it ends a transaction."""
    start = _size(data, last + 1)[1]
    if end - start < 3 + _frame.size or data[start : start + 3] != b"\x0a\x98\x20":
        return -1, 0, False
    number, checksum, _, pages = _frame.unpack_from(data, start + 3)
    return number, checksum, pages != 0


__all__ = ["Endpoint", "LostError", "NeedSnapshot", "NoHello", "NoNamespace", "Reply"]
