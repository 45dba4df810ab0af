"""gRPC-Web, binary: calls in plain POST requests of HTTP/1.1, the status behind the replies.

An error before the first reply is in the headers, and there is no body.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING

from libsql_core.server.api import Response
from libsql_core.server.rpc import PREFIX, Code, Pieces, Reply, Rpc, RpcError, Unframe, framed, prefix

if TYPE_CHECKING:
    from libsql_core.server.api import Request

TYPES = (b"application/grpc-web", b"application/grpc-web+proto")
HEAD = b"content-type: application/grpc-web+proto\r\n"
EXPOSED = b"access-control-expose-headers: grpc-status,grpc-message\r\n"


def _trailer(error: RpcError | None = None) -> bytes:
    lines = b"grpc-status:0\r\n"
    if error is not None:
        lines = b"grpc-status:%d\r\ngrpc-message:%b\r\n" % (error.code, error.encoded)
    return b"\x80" + len(lines).to_bytes(4, "big") + lines


_END = _trailer()


def refusal(error: RpcError) -> Response:
    lines = b"grpc-status: %d\r\ngrpc-message: %b\r\n" % (error.code, error.encoded)
    return Response(200, b"", HEAD + EXPOSED + lines)


def unknown(request: Request) -> Response | None:
    """The answer to a call of a method that there is not; None for other requests."""
    if request.method == b"POST" and request.headers.get(b"content-type", b"") in TYPES:
        return refusal(RpcError(Code.UNIMPLEMENTED, ""))
    return None


async def answer(rpc: Rpc, request: Request) -> Response:
    """What a call is answered with."""
    if request.headers.get(b"content-type", b"").split(b";")[0].strip() not in TYPES:
        return Response(400, b"", b"")
    try:
        path = request.path.decode("latin-1")
        method = rpc.find(path)
        unframe = Unframe()
        messages = unframe.feed(request.body)
        if not unframe.empty:
            raise RpcError(Code.INTERNAL, "Unexpected EOF decoding stream.")
        replies = await rpc.call(path, request.headers, _each(messages), request.address)
        if method.replies:
            return Response(200, head=HEAD, stream=_stream(replies))
        reply = await anext(replies)
    except RpcError as error:
        return refusal(error)
    if isinstance(reply, Pieces):
        return Response(200, head=HEAD, stream=_one(reply), length=PREFIX + reply.size + len(_END))
    assert isinstance(reply, bytes)
    return Response(200, b"%b%b%b" % (prefix(len(reply)), reply, _END), HEAD)


async def _each(messages: list[bytes]) -> AsyncIterator[bytes]:
    for message in messages:
        yield message


async def _one(reply: Pieces) -> AsyncGenerator[bytes, None]:
    async for piece in framed(reply):
        yield piece
    yield _END


async def _stream(replies: AsyncGenerator[Reply, None]) -> AsyncGenerator[bytes, None]:
    try:
        # The head must not wait for the first reply: there are clients that say nothing before it.
        yield b""
        async for reply in replies:
            async for piece in framed(reply):
                yield piece
        yield _END
    except RpcError as error:
        yield _trailer(error)
    finally:
        await replies.aclose()
