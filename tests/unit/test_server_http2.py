"""HTTP/2 on the user port, asked by grpcio, by the package h2 as a client, and by one that breaks the rules."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any

import grpc
import grpc.aio
import h2.config
import h2.connection
import h2.events
import pytest

from libsql_core.replication.messages import LogOffset
from libsql_core.server.api import Request, Response
from libsql_core.server.http1 import Http1
from libsql_core.server.http2 import Http2
from libsql_core.server.listener import Limits, Listener
from libsql_core.server.rpc import Call, Code, Method, Pieces, Rpc, RpcError

Handler = Callable[[Call, Any], Any]


async def _echo(call: Call, request: LogOffset) -> LogOffset:
    if request.next_offset == 9:
        raise RpcError(Code.FAILED_PRECONDITION, "NO_HELLO: 50 % ä")
    return request


async def _count(call: Call, request: LogOffset) -> AsyncGenerator[LogOffset, None]:
    for number in range(request.next_offset):
        yield LogOffset(next_offset=number)
    if request.next_offset == 3:
        raise RpcError(Code.UNAVAILABLE, "later")


async def _sum(call: Call, requests: AsyncIterator[LogOffset]) -> AsyncGenerator[LogOffset, None]:
    total = 0
    async for each in requests:
        total += each.next_offset
        yield LogOffset(next_offset=total)


async def _big(call: Call, request: LogOffset) -> Pieces:
    async def pieces() -> AsyncGenerator[bytes, None]:
        for _ in range(request.next_offset):
            yield b"x" * 100_000

    return Pieces(100_000 * request.next_offset, pieces())


METHODS = {
    "/a.B/Echo": Method(_echo, LogOffset),
    "/a.B/Count": Method(_count, LogOffset, replies=True),
    "/a.B/Sum": Method(_sum, LogOffset, requests=True, replies=True),
    "/a.B/Big": Method(_big, LogOffset),
}


async def _admit(call: Call) -> Any:
    assert call.address == "127.0.0.1"
    if b"x-bad" in call.headers:
        raise RpcError(Code.UNAUTHENTICATED, "who?")


async def _handle(request: Request) -> Response:
    if request.path == b"/stream":

        async def pieces() -> AsyncGenerator[bytes, None]:
            for number in range(3):
                yield b"%d" % number

        return Response(200, head=b"x-a: b\r\n", stream=pieces())
    text = b"%b %b?%b %b %b" % (request.method, request.path, request.query, request.headers[b"host"], request.body)
    return Response(201, text, b"Content-Type: text/plain\r\n")


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Listener]:
    listener = Listener(_handle, Limits(body=100_000))
    listener.http2 = lambda: Http2(listener, Rpc(METHODS, _admit, inner=False))
    await listener.listen(Http1, "127.0.0.1", 0)
    try:
        yield listener
    finally:
        assert await listener.stop(10)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 60))


@contextlib.asynccontextmanager
async def channel() -> AsyncIterator[Any]:
    async with serving() as listener:
        options = [("grpc.max_receive_message_length", -1)]
        async with grpc.aio.insecure_channel(":".join(map(str, listener.address)), options=options) as made:
            yield made


def offset(number: int) -> bytes:
    return LogOffset(next_offset=number).encode()


def test_calls() -> None:
    async def main() -> None:
        async with channel() as made:
            echo = made.unary_unary("/a.B/Echo")
            assert await echo(offset(300)) == offset(300)
            assert await asyncio.gather(*(echo(offset(n)) for n in range(10, 200))) == [
                offset(n) for n in range(10, 200)
            ]
            replies = [each async for each in made.unary_stream("/a.B/Count")(offset(50))]
            assert replies == [offset(n) for n in range(50)]
            assert await made.unary_unary("/a.B/Big")(offset(200)) == b"x" * 20_000_000

    run(main())


def test_requests_and_replies_take_turns() -> None:
    async def main() -> None:
        async with channel() as made:
            call = made.stream_stream("/a.B/Sum")()
            # The head comes before the first request.
            await call.initial_metadata()
            total = 0
            for number in range(1, 20):
                await call.write(offset(number))
                total += number
                assert await call.read() == offset(total)
            await call.done_writing()
            assert await call.read() == grpc.aio.EOF
            assert await call.code() == grpc.StatusCode.OK

    run(main())


def test_a_stop_ends_what_is_open() -> None:
    async def main() -> None:
        async with serving() as listener, grpc.aio.insecure_channel(":".join(map(str, listener.address))) as made:
            call = made.stream_stream("/a.B/Sum")()
            await call.write(offset(4))
            assert await call.read() == offset(4)
            stopped = asyncio.ensure_future(listener.stop(30))
            assert await call.read() == grpc.aio.EOF
            assert await call.code() == grpc.StatusCode.OK
            assert await stopped

    run(main())


def test_errors() -> None:
    async def main() -> None:
        async with channel() as made:
            for path, number, metadata, code, message in (
                ("/a.B/Echo", 9, (), grpc.StatusCode.FAILED_PRECONDITION, "NO_HELLO: 50 % ä"),
                ("/a.B/Nope", 1, (), grpc.StatusCode.UNIMPLEMENTED, ""),
                ("/a.B/Echo", 1, (("x-bad", "1"),), grpc.StatusCode.UNAUTHENTICATED, "who?"),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await made.unary_unary(path)(offset(number), metadata=metadata)
                assert (caught.value.code(), caught.value.details()) == (code, message)
            call = made.unary_stream("/a.B/Count")(offset(3))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                [each async for each in call]
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
            # A call that is given up leaves nothing behind.
            endless = made.stream_stream("/a.B/Sum")()
            await endless.initial_metadata()
            endless.cancel()
            assert await made.unary_unary("/a.B/Echo")(offset(1)) == offset(1)

    run(main())


class Client:
    """The package h2 as a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def ask(self, method: str, path: str, body: bytes | None = None) -> int:
        number = self.h2.get_next_available_stream_id()
        fields = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "x.y")]
        self.h2.send_headers(number, fields, end_stream=body is None)
        for at in range(0, len(body or b""), 16384):
            assert body is not None
            self.h2.send_data(number, body[at : at + 16384], end_stream=at + 16384 >= len(body))
        self.flush()
        return number

    async def answer(self, number: int) -> tuple[dict[str, str], bytes]:
        head: dict[str, str] = {}
        body = b""
        while data := await self.reader.read(65536):
            for event in self.h2.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived) and event.stream_id == number:
                    head = {str(name): str(value) for name, value in event.headers or ()}
                elif isinstance(event, h2.events.DataReceived) and event.stream_id == number:
                    body += event.data or b""
                    self.h2.acknowledge_received_data(event.flow_controlled_length or 0, number)
                elif isinstance(event, h2.events.StreamEnded) and event.stream_id == number:
                    return head, body
            self.flush()
        raise AssertionError("the connection ended")


def test_other_requests() -> None:
    async def main() -> None:
        async with serving() as listener:
            client = Client(*await asyncio.open_connection(*listener.address))
            head, body = await client.answer(client.ask("GET", "/p?q=1"))
            assert head == {":status": "201", "content-type": "text/plain", "content-length": str(len(body))}
            assert body == b"GET /p?q=1 x.y "
            assert (await client.answer(client.ask("POST", "/p", b"z" * 50_000)))[1].endswith(b"z" * 50_000)
            head, body = await client.answer(client.ask("HEAD", "/p"))
            assert (head[":status"], body) == ("201", b"")
            assert await client.answer(client.ask("GET", "/stream")) == ({":status": "200", "x-a": "b"}, b"012")
            # More than the limit: 413, and the next is served.
            assert (await client.answer(client.ask("POST", "/p", b"z" * 150_000)))[0] == {":status": "413"}
            assert (await client.answer(client.ask("POST", "/p", b"z" * 64_001)))[1].endswith(b"z" * 64_001)
            client.writer.close()
            await client.writer.wait_closed()

    run(main())


def test_what_breaks_the_rules_is_closed() -> None:
    async def main() -> None:
        async with serving() as listener:
            for rubbish in (b"\0" * 50, b"\xff" * 200_000, b"\0\0\1\x04\0\0\0\0\0x"):
                reader, writer = await asyncio.open_connection(*listener.address)
                writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + rubbish)
                with contextlib.suppress(ConnectionError):
                    await reader.read()
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()

    run(main())
