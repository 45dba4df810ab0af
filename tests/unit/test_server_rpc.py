"""Calls by gRPC-Web, and who may make them: as bytes of HTTP on one side, as handlers on the other."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from libsql_core.hrana.errors import AuthError, HttpError
from libsql_core.replication.messages import HelloRequest, LogOffset
from libsql_core.server.api import FULL, READ, WRITE, Request
from libsql_core.server.auth import EVERYTHING, Rights
from libsql_core.server.grpc_web import answer, unknown
from libsql_core.server.http1 import Http1
from libsql_core.server.listener import Listener
from libsql_core.server.rpc import MOST, Call, Code, Method, Pieces, Rpc, RpcError, Unframe
from libsql_core.server.rpc_access import Access, identity

HEADERS = {b"content-type": b"application/grpc-web"}
END = b"\x80\0\0\0\x0fgrpc-status:0\r\n"


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 30))


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


async def _twice(call: Call, request: LogOffset) -> LogOffset:
    if request.next_offset == 7:
        raise RpcError(Code.FAILED_PRECONDITION, "NO_HELLO")
    if request.next_offset == 8:
        raise KeyError("of the handler")
    return LogOffset(next_offset=2 * request.next_offset)


async def _count(call: Call, request: LogOffset) -> AsyncGenerator[LogOffset | list[bytes], None]:
    for number in range(request.next_offset):
        yield LogOffset(next_offset=number)
    yield [b"a", b"bc"]
    if request.next_offset == 3:
        raise RpcError(Code.UNAVAILABLE, "50 % of Ä\n")


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
    "/a.B/Twice": Method(_twice, LogOffset),
    "/a.B/Count": Method(_count, LogOffset, replies=True),
    "/a.B/Sum": Method(_sum, LogOffset, requests=True, replies=True),
    "/a.B/Big": Method(_big, LogOffset),
}


async def _admit(call: Call) -> Any:
    if b"x-bad" in call.headers:
        raise AuthError("The JWT is invalid", "AUTH_JWT_INVALID")


def rpc() -> Rpc:
    return Rpc(METHODS, _admit, inner=False)


async def call(
    path: str, *messages: int, headers: dict[bytes, bytes] = HEADERS, body: bytes = b""
) -> tuple[str, bytes]:
    """Header lines, and the body of the answer."""
    request = Request(b"POST", path.encode(), b"", headers)
    request.body = body + b"".join(framed(LogOffset(next_offset=each).encode()) for each in messages)
    response = await answer(rpc(), request)
    parts = [response.body]
    if response.stream is not None:
        parts += [piece async for piece in response.stream]
    made = b"".join(parts)
    assert response.length in (None, len(made))
    return f"{response.status} " + response.head.decode(), made


def test_one_reply() -> None:
    async def main() -> None:
        head, body = await call("/a.B/Twice", 21)
        assert head == "200 content-type: application/grpc-web+proto\r\n"
        assert body == framed(b"\x08\x2a") + END
        # Nothing but zeros is an empty message.
        assert (await call("/a.B/Twice", 0))[1] == framed(b"") + END

    run(main())


def test_many_replies_and_requests() -> None:
    async def main() -> None:
        replies = framed(b"") + framed(b"\x08\1")
        assert (await call("/a.B/Count", 2))[1] == replies + framed(b"a") + framed(b"bc") + END
        assert (await call("/a.B/Sum", 1, 2, 3))[1] == b"".join(framed(b"\x08%c" % n) for n in (1, 3, 6)) + END
        assert (await call("/a.B/Sum"))[1] == END

    run(main())


def test_errors_are_in_the_headers_until_there_is_a_reply() -> None:
    async def main() -> None:
        for path, arguments, status, message in (
            ("/a.B/Twice", {"body": framed(b"\x08\x07")}, 9, "NO_HELLO"),
            ("/a.B/Twice", {"body": framed(b"\x08\x08")}, 13, "Internal server error"),
            ("/a.B/Twice", {"body": framed(b"\x08")}, 3, "LogOffset.next_offset: no varint (byte 0 of 1)"),
            ("/a.B/Twice", {"body": b"\1\0\0\0\0"}, 12, "messages that are compressed are not taken"),
            ("/a.B/Twice", {"body": b"\0\0\0\0\2\0"}, 13, "Unexpected EOF decoding stream."),
            ("/a.B/Twice", {"body": b""}, 13, "Missing request message."),
            ("/a.B/Twice", {"headers": {**HEADERS, b"x-bad": b""}}, 16, "AuthError: The JWT is invalid"),
            ("/a.B/Nope", {"body": framed(b"")}, 12, ""),
        ):
            head, body = await call(path, **arguments)
            assert f"\r\ngrpc-status: {status}\r\ngrpc-message: {message}\r\n" in head
            assert body == b""
        _, body = await call("/a.B/Count", 3)
        assert body.endswith(b"\x80\0\0\0\x32grpc-status:14\r\ngrpc-message:50 %25 of %C3%84%0A\r\n")
        head, _ = await call("/a.B/Twice", 1, headers={b"content-type": b"application/grpc"})
        assert head == "400 "

    run(main())


def test_methods_that_there_are_not() -> None:
    request = Request(b"POST", b"/a.B/Nope", b"", HEADERS)
    found = unknown(request)
    assert found is not None
    assert b"grpc-status: 12" in found.head
    request.headers = {}
    assert unknown(request) is None


def test_messages_come_in_any_pieces() -> None:
    data = framed(b"abc") + framed(b"") + framed(b"d" * 300)
    for step in (1, 2, 7, 1000):
        unframe = Unframe()
        found = [each for at in range(0, len(data), step) for each in unframe.feed(data[at : at + step])]
        assert found == [b"abc", b"", b"d" * 300]
        assert unframe.empty
    with pytest.raises(RpcError, match="message length too large"):
        Unframe().feed(b"\0" + (MOST + 1).to_bytes(4, "big"))


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    listener = Listener(lambda request: answer(rpc(), request))
    await listener.listen(Http1, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listener.address, limit=1 << 26)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()
        await listener.stop(5)


def post(path: str, message: LogOffset) -> bytes:
    body = framed(message.encode())
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nte: trailers\r\ncontent-type: application/grpc-web\r\n"
    return head.encode() + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def test_a_reply_in_pieces_has_a_length() -> None:
    async def main() -> None:
        async with listening() as (reader, writer):
            for _ in range(2):  # the connection is kept
                writer.write(post("/a.B/Big", LogOffset(next_offset=50)))
                head = await reader.readuntil(b"\r\n\r\n")
                size = 5 + 5_000_000 + len(END)
                assert b"\r\ncontent-length: %d\r\n" % size in head
                assert b"chunked" not in head
                body = await reader.readexactly(size)
                assert body == framed(b"x" * 5_000_000) + END

    run(main())


# Who may call.


class Config:
    block_reads = False


class Namespace:
    def __init__(self, auth: Any = None) -> None:
        self.name, self.auth = "alpha", auth


class Namespaces:
    def __init__(self, namespace: Namespace) -> None:
        self.asked: list[str] = []
        self.namespace = namespace

    def find(self, name: str) -> Namespace | None:
        self.asked.append(name)
        return None

    async def get(self, name: str) -> Namespace:
        if name != "default" and name != "alpha":
            raise HttpError(404, f"Namespace `{name}` doesn't exist")
        return self.namespace


class Auth:
    """The header is a number: the rights."""

    def by_header(self, header: str | None) -> Rights:
        if header is None:
            raise AuthError("Expected authorization header but none given", "AUTH_HEADER_NOT_FOUND")
        return Rights(int(header))


class Host:
    def __init__(self, *, many: bool = True, own: Any = None) -> None:
        self.settings = type("Settings", (), {"enable_namespaces": many})
        self.namespaces = Namespaces(Namespace(own))
        self.auth = Auth()

    def touch(self) -> None:
        pass


def admit(host: Host, *, inner: bool = False, service: str = "proxy.Proxy", **headers: str) -> Any:
    made = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    called = Call(f"/{service}/X", made, inner)
    found: list[Any] = []

    async def main() -> None:
        found.append(await Access(host).admit(called))  # type: ignore[arg-type]

    run(main())
    return found[0]


ALPHA = base64.b64encode(b"alpha").decode()


def test_users_bring_credentials_and_a_namespace() -> None:
    assert admit(Host(), x_namespace_bin=ALPHA, x_authorization="1").permission == READ
    assert admit(Host(), x_namespace_bin=ALPHA.rstrip("="), authorization="3").permission == READ | WRITE
    assert admit(Host(), x_namespace="alpha", authorization="15").rights.of("alpha") == FULL
    alone = Host(many=False)
    admit(alone, x_namespace_bin="%%%", authorization="1")
    assert alone.namespaces.asked == ["default"]


@pytest.mark.parametrize(
    ("headers", "code", "message"),
    [
        ({}, 3, "Missing x-namespace-bin metadata"),
        ({"x_namespace_bin": "%"}, 3, "Metadata can't be converted into Bytes"),
        ({"x_namespace_bin": base64.b64encode(b"../x").decode()}, 3, "Invalid namespace name"),
        ({"x_namespace": "beta"}, 9, "NAMESPACE_DOESNT_EXIST"),
        (
            {"x_namespace": "alpha", "x_authorization": "0"},
            7,
            "Authorization forbidden: no right to read this namespace",
        ),
    ],
)
def test_refused(headers: dict[str, Any], code: int, message: str) -> None:
    with pytest.raises(RpcError) as caught:
        admit(Host(), **headers)
    assert (caught.value.code, caught.value.message) == (code, message)


def test_servers_say_for_whom_they_ask() -> None:
    def rights(**headers: str) -> int:
        permission: int = admit(Host(many=False), inner=True, **headers).permission
        return permission

    assert rights(service="wal_log.ReplicationLog") == FULL
    # What they only pass on counts by its own credentials.
    assert rights(service="wal_log.ReplicationLog", libsql_proxied="true", x_authorization="1") == READ
    assert rights(x_proxy_authorization='"FullAccess"') == FULL
    with pytest.raises(RpcError, match="x-proxy-authorization not set"):
        rights(authorization="15")
    own = Host(many=False, own=Auth())
    assert admit(own, inner=True, authorization="1").permission == READ


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ('"FullAccess"', FULL),
        ('"Anonymous"', 0),
        ('{"Legacy":{"namespace":null,"perm":"ro"}}', READ),
        ('{"Legacy":{"namespace":"alpha","perm":"rw"}}', READ | WRITE),
        ('{"Legacy":{"namespace":"beta","perm":"rw"}}', 0),
        ('{"Authorized":{"ro":{"ns":["alpha"],"tags":[]},"rw":null,"roa":null,"rwa":null,"ddl":null}}', READ),
        ('{"Authorized":{"rw":{"ns":["beta"],"tags":null}}}', 0),
    ],
)
def test_identities(text: str, bits: int) -> None:
    assert identity(text.encode()).of("alpha") == bits
    assert EVERYTHING.of("alpha") == FULL


@pytest.mark.parametrize(
    "text",
    ["", "{}", "1", '"Root"', '{"Legacy":{"perm":"all"}}', '{"Legacy":[]}', '{"Authorized":1}', '{"A":{},"B":{}}'],
)
def test_identities_that_are_none(text: str) -> None:
    with pytest.raises(RpcError) as caught:
        identity(text.encode())
    assert caught.value.code == Code.INVALID_ARGUMENT


def test_hello_has_fields_that_may_be_absent() -> None:
    made: Callable[[bytes], HelloRequest] = HelloRequest.decode
    assert made(b"").handshake_version is None
    assert made(b"\x08\0").handshake_version == 0
