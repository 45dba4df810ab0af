"""The HTTP/1.1 transport: framing, order, limits, slow and hostile clients."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from libsql_core.server.api import Peer, Request, Response
from libsql_core.server.http1 import SLICE, Http1
from libsql_core.server.listener import Limits, Listener

Talk = Callable[["Client"], Awaitable[None]]


class Client:
    """A connection on which any bytes can be sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener: Listener) -> None:
        self.reader = reader
        self.writer = writer
        self.listener = listener

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def reply(self, *, head: bool = False) -> tuple[int, dict[bytes, bytes], bytes]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[:-2]
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(b": ")
            headers[name] = value
        if head or lines[0].startswith(b"HTTP/1.1 1"):
            return int(lines[0][9:12]), headers, b""
        if headers.get(b"transfer-encoding") == b"chunked":
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readexactly(2)
        elif b"content-length" in headers:
            body = await self.reader.readexactly(int(headers[b"content-length"]))
        else:
            body = await self.reader.read()
        return int(lines[0][9:12]), headers, body

    async def closed(self) -> bool:
        """Whether the server has closed, having sent nothing more."""
        try:
            return await asyncio.wait_for(self.reader.read(), 5) == b""
        except ConnectionResetError:
            return True


async def echo(request: Request) -> Response:
    return Response(200, request.method + b" " + request.path + b" " + request.body)


def talk(script: Talk, handler: Callable[[Request], Awaitable[Response]] = echo, limits: Limits | None = None) -> None:
    """Run a client's script against a server with this handler; afterwards nothing may be left of either."""

    async def run() -> None:
        tasks = asyncio.all_tasks()

        async def handle(request: Request) -> Response:
            return await handler(request)

        listener = Listener(handle, limits)
        await listener.listen(Http1, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*listener.address)
        try:
            await script(Client(reader, writer, listener))
        finally:
            writer.close()
            assert await listener.stop(5)
        assert listener.bodies.left == listener.limits.bodies
        assert asyncio.all_tasks() == tasks

    asyncio.run(asyncio.wait_for(run(), 30))


def test_requests_on_one_connection() -> None:
    async def script(client: Client) -> None:
        for number in range(3):
            body = b"x" * number * 40_000
            client.send(b"POST /a%d?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (number, len(body)) + body)
            status, headers, got = await client.reply()
            assert (status, got) == (200, b"POST /a%d %b" % (number, body))
            assert b"date" in headers
            assert b"connection" not in headers

    talk(script)


def test_a_request_in_pieces() -> None:
    async def script(client: Client) -> None:
        for (
            byte
        ) in b"POST /abc HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n":
            client.send(bytes([byte]))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert (await client.reply())[2] == b"POST /abc abcde"

    talk(script)


@pytest.mark.parametrize("wait", [False, True])
def test_pipelining_keeps_the_order(wait: bool) -> None:
    async def handler(request: Request) -> Response:
        if wait or request.path.endswith(b"7"):
            await asyncio.sleep(0.001)
        return await echo(request)

    async def script(client: Client) -> None:
        client.send(b"".join(b"GET /%d HTTP/1.1\r\n\r\n" % number for number in range(200)))
        for number in range(200):
            assert (await client.reply())[2] == b"GET /%d " % number

    talk(script, handler)


def test_what_waits_stays_unparsed() -> None:
    """A client cannot have us hold more requests than fit into a slice, nor read on without end."""
    release = asyncio.Event()

    async def handler(request: Request) -> Response:
        await release.wait()
        return Response(200)

    async def script(client: Client) -> None:
        request = b"GET / HTTP/1.1\r\n\r\n"
        count = 40 * SLICE // len(request)
        client.send(request * count)
        await asyncio.sleep(0.1)
        (peer,) = client.listener.peers
        assert isinstance(peer, Http1)
        assert len(peer._queue) <= SLICE // len(request) + 1
        assert peer._reading is False
        release.set()
        for _ in range(count):
            assert (await client.reply())[0] == 200

    talk(script, handler)


def test_expect_continue() -> None:
    async def script(client: Client) -> None:
        client.send(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert (await client.reply())[0] == 100
        client.send(b"hi")
        assert (await client.reply())[2] == b"POST / hi"
        client.send(b"POST / HTTP/1.1\r\nExpect: wonders\r\nContent-Length: 2\r\n\r\n")
        assert (await client.reply())[0] == 417
        assert await client.closed()

    talk(script)


def test_continue_waits_for_its_turn() -> None:
    async def handler(request: Request) -> Response:
        await asyncio.sleep(0.05)
        return await echo(request)

    async def script(client: Client) -> None:
        client.send(b"GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert (await client.reply())[2] == b"GET /1 "
        assert (await client.reply())[0] == 100
        client.send(b"hi")
        assert (await client.reply())[2] == b"POST /2 hi"

    talk(script, handler)


def test_head_and_old_clients() -> None:
    async def script(client: Client) -> None:
        client.send(b"HEAD /long HTTP/1.1\r\n\r\n")
        status, headers, _ = await client.reply(head=True)
        assert (status, headers[b"content-length"]) == (200, b"11")
        client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert (await client.reply())[1][b"connection"] == b"keep-alive"
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await client.reply())[1][b"connection"] == b"close"
        assert await client.closed()

    talk(script)


SMUGGLED = [
    b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
    b"Content-Length: 3, 3\r\n\r\nabc",
    b"Content-Length: +3\r\n\r\nabc",
    b"Content-Length: 0x3\r\n\r\nabc",
    b"Content-Length: -1\r\n\r\nabc",
    b"Content-Length: 99999999999999999999999\r\n\r\nabc",
    b"Content-Length : 3\r\n\r\nabc",
    b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: identity\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n",
    b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    b"Host: a\r\nHost: b\r\n\r\n",
    b"X: a\r\n Content-Length: 3\r\n\r\nabc",
    b"X: a\x00b\r\n\r\n",
    b"X a\r\n\r\n",
    b": a\r\n\r\n",
    b"X: a\nContent-Length: 3\r\n\r\nabc",
]


@pytest.mark.parametrize("rest", SMUGGLED)
def test_ambiguous_lengths_are_refused(rest: bytes) -> None:
    async def script(client: Client) -> None:
        client.send(b"POST /1 HTTP/1.1\r\n" + rest + b"GET /smuggled HTTP/1.1\r\n\r\n")
        status, headers, body = await client.reply()
        assert status in (400, 413, 501)
        assert headers[b"connection"] == b"close"
        assert body == b""
        assert await client.closed()

    talk(script)


def test_chunked_in_http_1_0_is_refused() -> None:
    async def script(client: Client) -> None:
        client.send(b"POST /1 HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        assert (await client.reply())[0] == 400
        assert await client.closed()

    talk(script)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", 400),
        (b"GET / HTTP/3.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET / x HTTP/1.1\r\n\r\n", 400),
        (b"WONDER / HTTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 20_000, 431),
        (b"POST / HTTP/1.1\r\nContent-Length: 70000000\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 70000000\r\n\r\n", 413),
    ],
)
def test_what_is_no_request(data: bytes, status: int) -> None:
    async def script(client: Client) -> None:
        client.send(b"GET /before HTTP/1.1\r\n\r\n")
        assert (await client.reply())[2] == b"GET /before "
        client.send(data)
        assert (await client.reply())[0] == status
        assert await client.closed()

    talk(script)


def test_a_chunked_body_beyond_the_limit() -> None:
    async def script(client: Client) -> None:
        client.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(4):
            client.send(b"64\r\n" + b"x" * 100 + b"\r\n")
        assert (await client.reply())[0] == 413

    talk(script, limits=Limits(body=300))


def test_bodies_of_all_clients_are_bounded() -> None:
    async def script(client: Client) -> None:
        client.send(b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n" + b"x" * 900)
        await asyncio.sleep(0.05)
        assert client.listener.bodies.left == 100
        reader, writer = await asyncio.open_connection(*client.listener.address)
        other = Client(reader, writer, client.listener)
        other.send(b"POST / HTTP/1.1\r\nContent-Length: 200\r\n\r\n" + b"x" * 200)
        assert (await other.reply())[0] == 503
        writer.close()

    talk(script, limits=Limits(bodies=1000))


def tick(listener: Listener, seconds: float) -> None:
    """Let time pass for deadlines."""
    listener.now += seconds
    for peer in [each for each in listener.peers if each.deadline <= listener.now]:
        peer.expire()


def only(listener: Listener) -> Peer:
    (peer,) = listener.peers
    return peer


@pytest.mark.parametrize(
    "data", [b"", b"GET / HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx", b"GET / HTTP/1.1\r\n\r\n"]
)
def test_slow_senders_are_dropped(data: bytes) -> None:
    async def script(client: Client) -> None:
        client.send(data)
        await asyncio.sleep(0.05)
        if data.endswith(b"\r\n\r\n"):
            await client.reply()
            tick(client.listener, 590)
            assert not only(client.listener).deadline <= client.listener.now
        tick(client.listener, 31)
        assert await client.closed()

    talk(script)


def test_a_body_has_to_come_at_some_rate() -> None:
    async def script(client: Client) -> None:
        client.send(b"POST / HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(29):
            client.send(b"x")
            await asyncio.sleep(0.002)
            tick(client.listener, 1)
        assert client.listener.peers
        tick(client.listener, 1)
        tick(client.listener, 1)
        assert await client.closed()

    talk(script, limits=Limits(body=1 << 30))


def test_a_client_that_does_not_read_is_dropped() -> None:
    async def handler(request: Request) -> Response:
        return Response(200, b"x" * 20_000_000)

    async def script(client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n\r\n" * 100)
        while not client.listener.peers or only(client.listener).deadline > client.listener.now + 100:
            await asyncio.sleep(0.01)
        peer = only(client.listener)
        assert isinstance(peer, Http1)
        assert peer._transport.get_write_buffer_size() < 21_000_000  # the second has not begun
        tick(client.listener, 61)
        await asyncio.sleep(0.01)
        assert not client.listener.peers

    talk(script, handler)


def test_a_slow_reader_gets_everything() -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:
        for _ in range(300):
            yield b"y" * 65_536

    async def handler(request: Request) -> Response:
        if request.path == b"/stream":
            return Response(200, stream=pieces())
        return Response(200, b"x" * 20_000_000)

    async def script(client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n\r\nGET /stream HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.1)
        assert (await client.reply())[2] == b"x" * 20_000_000
        assert (await client.reply())[2] == b"y" * 65_536 * 300
        assert (await client.reply())[2] == b"x" * 20_000_000

    talk(script, handler)


def test_a_stream_is_closed_when_the_client_goes() -> None:
    closed: list[str] = []

    async def pieces() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0.001)
        finally:
            closed.append("yes")

    async def handler(request: Request) -> Response:
        return Response(200, stream=pieces())

    async def script(client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        await client.reader.readexactly(5000)
        client.writer.close()
        while client.listener.peers:
            await asyncio.sleep(0.01)
        assert closed == ["yes"]

    talk(script, handler)


def test_a_stream_that_fails_breaks_off(caplog: pytest.LogCaptureFixture) -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:
        yield b"some"
        raise ValueError("no more")

    async def handler(request: Request) -> Response:
        return Response(200, stream=pieces())

    async def script(client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError, ValueError)):
            await client.reply()

    talk(script, handler)
    assert "a reply broke off" in caplog.text


def test_a_handler_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> Response:
        raise ValueError("unforeseen")

    async def script(client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        assert (await client.reply())[0] == 500

    talk(script, handler)
    assert "unforeseen" in caplog.text


def test_a_client_that_goes_stops_its_request() -> None:
    stopped: list[str] = []

    async def handler(request: Request) -> Response:
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            stopped.append("yes")
            raise
        return Response(200)

    async def script(client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.05)
        client.writer.close()
        while client.listener.peers:
            await asyncio.sleep(0.01)
        assert stopped == ["yes"]

    talk(script, handler)


def test_stopping_finishes_what_is_under_way() -> None:
    async def handler(request: Request) -> Response:
        await asyncio.sleep(0.1)
        return await echo(request)

    async def script(client: Client) -> None:
        client.send(b"GET /1 HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.02)
        assert await client.listener.stop(5)
        _, headers, body = await client.reply()
        assert (headers[b"connection"], body) == (b"close", b"GET /1 ")
        assert await client.closed()

    talk(script, handler)


def test_stopping_does_not_wait_for_ever() -> None:
    async def handler(request: Request) -> Response:
        await asyncio.sleep(20)
        return Response(200)

    async def script(client: Client) -> None:
        client.send(b"GET /1 HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.02)
        assert not await client.listener.stop(0.05)
        assert await client.closed()

    talk(script, handler)


@pytest.mark.parametrize("size", [10, 32, 5_000, 200_000])
@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (b"gzip, deflate, br", b"gzip"),
        (b"deflate", b"deflate"),
        (b"gzip;q=0, deflate;q=0.5", b"deflate"),
        (b"GZIP;q=0.1", b"gzip"),
        (b"*", None),
        (b"zstd", None),
        (b"gzip;q=x", None),
    ],
)
def test_compression(accepted: bytes, coding: bytes | None, size: int) -> None:
    body = bytes(number * 7 % 251 for number in range(size))

    async def handler(request: Request) -> Response:
        return Response(200, body)

    async def script(client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\nAccept-Encoding: %b\r\n\r\n" % accepted)
        _, headers, got = await client.reply()
        assert headers.get(b"content-encoding") == (coding if size >= 32 else None)
        if size >= 32 and coding is not None:
            got = gzip.decompress(got) if coding == b"gzip" else zlib.decompress(got)
        assert got == body

    talk(script, handler)


class Shout(Peer):
    """A protocol to upgrade to."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.listener.peers.add(self)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data.upper())

    def connection_lost(self, exc: Exception | None) -> None:
        self.listener.peers.discard(self)

    def expire(self) -> None:
        self.transport.abort()

    def shut(self) -> None:
        self.transport.close()

    def abort(self) -> None:
        self.transport.abort()


@pytest.mark.parametrize("wait", [0.0, 0.02])
def test_upgrades(wait: float) -> None:
    found: list[Listener] = []

    async def handler(request: Request) -> Response:
        if wait:
            await asyncio.sleep(wait)
        if request.path == b"/shout":
            return Response(101, head=b"upgrade: shout\r\n", upgrade=lambda: Shout(found[0]))
        return await echo(request)

    async def script(client: Client) -> None:
        found.append(client.listener)
        upgrade = b"Connection: Upgrade\r\nUpgrade: shout\r\n\r\n"
        # One that is not granted is a request like others, and so is what follows it.
        client.send(b"GET /no HTTP/1.1\r\n" + upgrade + b"GET /more HTTP/1.1\r\n\r\n")
        assert (await client.reply())[2] == b"GET /no "
        assert (await client.reply())[2] == b"GET /more "
        client.send(b"POST /no HTTP/1.1\r\nContent-Length: 2\r\n" + upgrade + b"hiGET /more HTTP/1.1\r\n\r\n")
        assert (await client.reply())[2] == b"POST /no hi"
        assert (await client.reply())[2] == b"GET /more "
        client.send(b"GET /shout HTTP/1.1\r\n" + upgrade + b"hello ")
        assert (await client.reply())[0] == 101
        assert await client.reader.readexactly(6) == b"HELLO "
        client.send(b"world")
        assert await client.reader.readexactly(5) == b"WORLD"

    talk(script, handler)


def test_connect_ends_the_connection() -> None:
    async def script(client: Client) -> None:
        client.send(b"CONNECT a:1 HTTP/1.1\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")
        assert (await client.reply())[1][b"connection"] == b"close"
        assert await client.closed()

    talk(script)
