"""A connection to a primary: HTTP/1.1 with requests sent ahead of the answers, and bodies read piece by piece.

`http.client` sends the next request only once the answer to the last one was read, which costs a round trip in each
synchronization, and parses heads with the parser of e-mails, which costs as much as all the rest of a small answer.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import SplitResult

from libsql_core.replication.errors import ProtocolError, UnreachableError

MOST_HEAD = 64 * 1024
_PIECE = 64 * 1024


class LostError(UnreachableError):
    """The connection ended before all answers had come."""


class Connection:
    """One connection. Requests are sent at once; `answer()` gives the answers in their order."""

    def __init__(self, url: SplitResult, timeout: float, context: ssl.SSLContext | None) -> None:
        self.name = url.netloc.rpartition("@")[2]
        secure = url.scheme == "https"
        port = url.port or (443 if secure else 80)
        try:
            self._socket = socket.create_connection((url.hostname or "", port), timeout)
        except OSError as error:
            raise UnreachableError(f"{self.name} cannot be reached: {error}") from error
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if secure:
                context = context or ssl.create_default_context()
                self._socket = context.wrap_socket(self._socket, server_hostname=url.hostname)
        except OSError as error:
            self._socket.close()
            raise UnreachableError(f"{self.name} cannot be reached: {error}") from error
        self._buffer = bytearray()
        self.waiting = 0
        """Answers that were not read to their end."""
        self.closing = False
        """The other side ends the connection after this answer."""

    def alive(self) -> bool:
        """Whether it can be used once more: nothing unread, and not ended by the other side meanwhile."""
        if self.waiting or self.closing or self._buffer:
            return False
        try:
            return not select.select([self._socket], [], [], 0)[0]
        except (OSError, ValueError):
            return False

    def send(self, requests: list[bytes]) -> None:
        try:
            self._socket.sendall(b"".join(requests))
        except OSError as error:
            raise LostError(f"the connection to {self.name} broke: {error}") from error
        self.waiting += len(requests)

    def answer(self) -> Answer:
        """The next answer, of which the head was read; to be read to its end before the next."""
        if self.closing:
            raise LostError(f"{self.name} ended the connection")
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end >= 0:
                head = bytes(self._buffer[:end])
                del self._buffer[: end + 4]
                if not head.startswith(b"HTTP/1.1 1"):
                    return Answer(self, head)
            elif len(self._buffer) > MOST_HEAD:
                raise ProtocolError(f"{self.name} sent a head of more than {MOST_HEAD} bytes")
            elif not self._more():
                raise LostError(f"{self.name} ended the connection")

    def _more(self) -> bool:
        try:
            data = self._socket.recv(_PIECE)
        except TimeoutError as error:
            raise UnreachableError(f"{self.name} does not answer") from error
        except OSError as error:
            raise LostError(f"the connection to {self.name} broke: {error}") from error
        self._buffer += data
        return bool(data)

    def line(self) -> bytes:
        while True:
            end = self._buffer.find(b"\r\n")
            if end >= 0:
                found = bytes(self._buffer[:end])
                del self._buffer[: end + 2]
                return found
            if len(self._buffer) > MOST_HEAD or not self._more():
                raise LostError(f"{self.name} sent half an answer")

    def read_into(self, into: memoryview) -> int:
        """Some bytes, at least one; 0 at the end of the connection."""
        if self._buffer:
            size = min(len(into), len(self._buffer))
            into[:size] = self._buffer[:size]
            del self._buffer[:size]
            return size
        try:
            return self._socket.recv_into(into)
        except TimeoutError as error:
            raise UnreachableError(f"{self.name} does not go on answering") from error
        except OSError as error:
            raise LostError(f"the connection to {self.name} broke: {error}") from error

    def close(self) -> None:
        self.closing = True
        self._socket.close()


class Answer:
    """What was answered: the status, the headers by their names in lower case, and the body to be read."""

    def __init__(self, connection: Connection, head: bytes) -> None:
        self._connection = connection
        lines = head.decode("latin-1").split("\r\n")
        version, _, rest = lines[0].partition(" ")
        status = rest[:3]
        if version not in ("HTTP/1.1", "HTTP/1.0") or not (status.isascii() and status.isdigit()):
            raise ProtocolError(f"{connection.name} does not speak HTTP: {lines[0][:80]!r}")
        self.status = int(status)
        self.headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        ends = self.headers.get("connection", "").lower()
        if "close" in ends or (version == "HTTP/1.0" and "keep-alive" not in ends):
            connection.closing = True
        self._chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        self._left: int | None = 0
        self._first = True
        if not self._chunked and self.status not in (204, 304):
            length = self.headers.get("content-length")
            if length is None:
                connection.closing = True
                self._left = None
            elif not (length.isascii() and length.isdigit()):
                raise ProtocolError(f"{connection.name} sent content-length {length!r}")
            else:
                self._left = int(length)
        self._done = False
        if not self._chunked and self._left == 0:
            self._end()

    def _end(self) -> None:
        if not self._done:
            self._done = True
            self._connection.waiting -= 1

    def _chunk(self) -> None:
        """Begin the next chunk; the last one ends the body."""
        if not self._first and self._connection.line():
            raise ProtocolError(f"{self._connection.name} sent a chunk that is longer than it says")
        self._first = False
        text = self._connection.line().partition(b";")[0].strip()
        try:
            self._left = int(text, 16)
        except ValueError:
            raise ProtocolError(f"{self._connection.name} sent a chunk of size {text[:20]!r}") from None
        if self._left == 0:
            while self._connection.line():
                pass
            self._end()

    def read_into(self, into: memoryview) -> int:
        """Fill the memory from the body; fewer bytes than it has at the end of the body only."""
        filled = 0
        while filled < len(into) and not self._done:
            if self._chunked and not self._left:
                self._chunk()
                continue
            size = len(into) - filled if self._left is None else min(len(into) - filled, self._left)
            size = self._connection.read_into(into[filled : filled + size])
            filled += size
            if self._left is not None:
                if size == 0:
                    raise LostError(f"{self._connection.name} ended the connection amid an answer")
                self._left -= size
                if self._left == 0 and not self._chunked:
                    self._end()
            elif size == 0:
                self._end()
        return filled

    def read(self, size: int) -> bytearray:
        """So many bytes of the body; fewer at its end only."""
        data = bytearray(size)
        filled = self.read_into(memoryview(data))
        if filled < size:
            del data[filled:]
        return data

    def read_all(self, most: int = 1 << 30) -> bytes:
        """The rest of the body."""
        pieces = []
        while not self._done and most > 0:
            pieces.append(self.read(min(most, _PIECE)))
            most -= len(pieces[-1])
        return b"".join(pieces)

    def finish(self) -> None:
        """Read what is left, so that the next answer can be."""
        while not self._done:
            self.read(_PIECE)


def request(method: str, target: str, headers: Mapping[str, str], body: bytes | None = None) -> bytes:
    """A request, ready to be sent; `headers` has `host`."""
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")
