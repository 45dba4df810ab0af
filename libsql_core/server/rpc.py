"""Remote procedure calls as gRPC has them, whatever carries them: methods by their paths, metadata, status codes.

A table of methods is mounted on ports by grpc_web.py (HTTP/1.1), h2.py (HTTP/2 on the user port) and grpc_port.py (the
port for servers). Metadata are headers as HTTP has them: names in lower case, binary values in base64.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import quote

from libsql_core.hrana.errors import AuthError, HttpError
from libsql_core.replication.errors import ProtocolError
from libsql_core.server.log import logger

if TYPE_CHECKING:
    from libsql_core.replication.protobuf import Message
    from libsql_core.server.host import Context

# Bytes of a request message that servers of gRPC take.
MOST = 4 << 20
# A message has in front: whether it is compressed, and its length.
PREFIX = 5

log = logger("rpc")


class Code(IntEnum):
    OK = 0
    CANCELLED = 1
    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class RpcError(Exception):
    """How a call failed."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message

    @property
    def encoded(self) -> bytes:
        """The message as a header has it."""
        return quote(self.message, safe=" !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~").encode()


class Pieces(NamedTuple):
    """One reply that is sent while it is made."""

    size: int
    pieces: AsyncGenerator[bytes, None]


# What handlers of encoded replies give: one, one in pieces, or several small ones.
Reply = bytes | Pieces | list[bytes]


class Call:
    """What came with a call.

    inner: by the port for servers. context: who calls; there before a handler sees the call, unless its method is open.
    address: the client's.
    """

    __slots__ = ("address", "context", "headers", "inner", "path")

    def __init__(
        self,
        path: str,
        headers: Mapping[bytes, bytes],
        inner: bool,
        context: Context | None = None,
        address: str = "",
    ) -> None:
        self.path = path
        self.headers = headers
        self.inner = inner
        self.context = cast("Context", context)
        self.address = address


class Method(NamedTuple):
    """handler(call, request): a coroutine of one reply, or what iterates over replies (or a coroutine of that).

    requests, replies: whether there are many; the first is then an asynchronous iterator. open: it looks itself who
    calls. A reply is a message, or what is encoded already.
    """

    handler: Callable[[Call, Any], Any]
    request: type[Message]
    requests: bool = False
    replies: bool = False
    open: bool = False


def failure(error: Exception) -> RpcError:
    """What a client is told of what was raised."""
    if isinstance(error, RpcError):
        return error
    if isinstance(error, AuthError):
        if error.code == "AUTH_HEADER_NOT_FOUND" or error.code == "AUTH_HEADER_MALFORMED":
            return RpcError(Code.INTERNAL, f"Error parsing auth header: {error.reason}")
        return RpcError(Code.UNAUTHENTICATED, f"AuthError: {error.reason}")
    if isinstance(error, HttpError):
        code = {400: Code.INVALID_ARGUMENT, 403: Code.PERMISSION_DENIED, 429: Code.RESOURCE_EXHAUSTED}
        return RpcError(code.get(error.status, Code.INTERNAL), error.message)
    if isinstance(error, ProtocolError):
        return RpcError(Code.INVALID_ARGUMENT, str(error))
    log.error("a call failed", exc_info=error)
    return RpcError(Code.INTERNAL, "Internal server error")


Admit = Callable[[Call], Awaitable["Context"]]


class Rpc:
    """The methods as one port has them. admit: tells who calls, or raises."""

    def __init__(self, methods: Mapping[str, Method], admit: Admit, *, inner: bool) -> None:
        self.methods = methods
        self._admit = admit
        self._inner = inner
        self.calls: dict[str, int] = {}

    def find(self, path: str) -> Method:
        method = self.methods.get(path)
        if method is None:
            raise RpcError(Code.UNIMPLEMENTED, "")
        return method

    async def call(
        self, path: str, headers: Mapping[bytes, bytes], messages: AsyncIterator[bytes], address: str = ""
    ) -> AsyncGenerator[Reply, None]:
        """The replies. RpcError, and nothing else, also while they are iterated over."""
        try:
            method = self.find(path)
            self.calls[path] = self.calls.get(path, 0) + 1
            call = Call(path, headers, self._inner, address=address)
            if not method.open:
                call.context = await self._admit(call)
            request = _decoded(messages, method.request) if method.requests else await _only(messages, method.request)
            made = method.handler(call, request)
            if inspect.isawaitable(made):
                made = await made
        except Exception as error:
            raise failure(error) from None
        return _all(made) if method.replies else _one(made)


async def _only(messages: AsyncIterator[bytes], kind: type[Message]) -> Message:
    async for message in messages:
        return kind.decode(message)
    raise RpcError(Code.INTERNAL, "Missing request message.")


async def _decoded(messages: AsyncIterator[bytes], kind: type[Message]) -> AsyncIterator[Message]:
    async for message in messages:
        yield kind.decode(message)


def _encoded(reply: Message | Reply) -> Reply:
    return reply if isinstance(reply, bytes | Pieces | list) else reply.encode()


async def _one(reply: Message | Reply) -> AsyncGenerator[Reply, None]:
    yield _encoded(reply)


async def _all(replies: AsyncGenerator[Message | Reply, None]) -> AsyncGenerator[Reply, None]:
    try:
        async for reply in replies:
            yield _encoded(reply)
    except Exception as error:
        raise failure(error) from None
    finally:
        await replies.aclose()


def prefix(size: int) -> bytes:
    return b"\0" + size.to_bytes(4, "big")


async def framed(reply: Reply) -> AsyncIterator[bytes]:
    """The bytes of replies, each with its prefix."""
    if isinstance(reply, Pieces):
        try:
            yield prefix(reply.size)
            async for piece in reply.pieces:
                yield piece
        finally:
            await reply.pieces.aclose()
    elif isinstance(reply, list):
        yield b"".join([part for each in reply for part in (prefix(len(each)), each)])
    else:
        yield prefix(len(reply)) + reply


class Unframe:
    """Takes messages out of bytes as they come."""

    def __init__(self, most: int = MOST) -> None:
        self._buffer = bytearray()
        self._most = most

    @property
    def empty(self) -> bool:
        return not self._buffer

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now."""
        buffer = self._buffer
        buffer += data
        found, at = [], 0
        while len(buffer) - at >= PREFIX:
            if buffer[at]:
                raise RpcError(Code.UNIMPLEMENTED, "messages that are compressed are not taken")
            size = int.from_bytes(buffer[at + 1 : at + PREFIX], "big")
            if size > self._most:
                raise RpcError(
                    Code.OUT_OF_RANGE,
                    f"Error, message length too large: found {size} bytes, the limit is: {self._most} bytes",
                )
            if len(buffer) - at - PREFIX < size:
                break
            found.append(bytes(buffer[at + PREFIX : at + PREFIX + size]))
            at += PREFIX + size
        del buffer[:at]
        return found
