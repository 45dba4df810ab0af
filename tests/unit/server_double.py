"""A server without its application: one database, all rights, and clients of it that can misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.uri import parse_uri

from libsql_core._engine import ServerConnection
from libsql_core.hrana.errors import AuthError, HttpError
from libsql_core.server.api import FULL, Request, Response
from libsql_core.server.flow import Workers
from libsql_core.server.http1 import Http1
from libsql_core.server.listen import Changes
from libsql_core.server.listener import Listener
from libsql_core.server.lock import WriterQueue
from libsql_core.server.routes import Routes
from libsql_core.server.session import Session
from libsql_core.server.streams import Streams

Json = Any


class Settings:
    max_response_size = 1_000_000
    max_total_response_size = 3_000_000
    max_statement_time_s: int | None = None
    http_self_url: str | None = None
    enable_http_console = False


class Config:
    block_reads = False
    block_writes = False
    block_reason: str | None = None
    shared_schema_name: str | None = None


class Stats:
    def __init__(self) -> None:
        self.noted: list[str] = []

    def note(self, sql: str, micros: int, rows_read: int, rows_written: int, times: int = 1) -> None:
        self.noted += [sql] * times


class Namespace:
    name = "main"
    index: int | None = None

    def __init__(self, path: Path) -> None:
        self.config = Config()
        self.timeout = 5.0
        self.writers = WriterQueue(lambda: self.timeout)
        self.stats = Stats()
        self.changes = Changes()
        self.migrations = None
        self.sessions = Session
        self.current = True
        self.closed = False
        self.most = 8
        self.out = 0
        self._path = path
        self._idle: list[ServerConnection] = []

    def wrote(self, connection: ServerConnection) -> None:
        pass

    @property
    def idle(self) -> ServerConnection | None:
        return self._idle[-1] if self._idle else None

    async def acquire(self) -> ServerConnection:
        if self.out == self.most:
            raise HttpError(429, "Timed out while opening database connection")
        self.out += 1
        return self._idle.pop() if self._idle else ServerConnection(self._path, name=self.name)

    def release(self, connection: ServerConnection) -> None:
        self.out -= 1
        if connection.reset():
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        for connection in self._idle:
            connection.close()


class Context:
    def __init__(self, namespace: Namespace, identity: bytes) -> None:
        self.namespace = namespace
        self.permission = FULL
        self.identity = identity

    def attach(self, name: str) -> str:
        raise HttpError(403, f"Authorization forbidden: Namespace `{name}` doesn't allow attach")


class Host:
    """The token in `x-who`, or of a hello, says who asks."""

    def __init__(self, namespace: Namespace) -> None:
        self.settings = Settings()
        self.routes: dict[tuple[bytes, bytes], Callable[[Request], Awaitable[Response]]] = {}
        self.permission = FULL
        self.greeting = 0.0  # seconds that a hello takes
        self._namespace = namespace

    async def context(self, request: Request) -> Context:
        made = Context(self._namespace, request.headers.get(b"x-who", b""))
        made.permission = self.permission
        return made

    async def context_of_path(self, request: Request, name: str) -> Context:
        if name != "main":
            raise HttpError(404, f"Namespace `{name}` doesn't exist")
        return await self.context(request)

    async def hello(self, request: Request, jwt: str | None) -> Context:
        if self.greeting:
            await asyncio.sleep(self.greeting)
        if jwt == "bad":
            raise AuthError("The JWT is invalid", "AUTH_JWT_INVALID")
        return await self.context(request)

    def touch(self) -> None:
        pass


class Server:
    """What a test has of it."""

    def __init__(self, path: Path) -> None:
        self.namespace = Namespace(path)
        self.host = Host(self.namespace)
        self.workers = Workers(8)
        self.streams = Streams(self.host.settings, self.workers)
        routes = Routes(self.host, self.streams)
        self.listener = routes.listener = Listener(routes.handle)

    async def post(self, path: str, body: Json, **headers: str) -> tuple[int, Json]:
        """Status and body, decoded if it is JSON."""
        reader, writer = await asyncio.open_connection(*self.listener.address)
        try:
            data = body if isinstance(body, bytes) else orjson.dumps(body)
            lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
            writer.write(f"POST {path} HTTP/1.1\r\n{lines}connection: close\r\n".encode())
            writer.write(b"content-length: %d\r\n\r\n%b" % (len(data), data))
            head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
            if b"transfer-encoding: chunked" in head:
                rest = unchunked(rest)
            status = int(head[9:12])
            return status, orjson.loads(rest) if b"application/json" in head else rest.decode("latin-1")
        finally:
            writer.close()

    async def pipeline(self, *requests: Json, baton: str | None = None, version: int = 3, **headers: str) -> Json:
        """The results of a pipeline, each a response or an error, and the next baton."""
        made = [execute(each) if isinstance(each, str) else each for each in requests]
        status, got = await self.post(f"/v{version}/pipeline", {"baton": baton, "requests": made}, **headers)
        if status != 200:
            return status, got
        return [each.get("response") or each["error"] for each in got["results"]], got["baton"]

    async def returned(self) -> None:
        """Wait until no connection is out."""
        while self.namespace.out:
            await asyncio.sleep(0.01)

    @asynccontextmanager
    async def socket(self, protocol: str | None = "hrana3", *, hello: bool = True) -> AsyncIterator[Socket]:
        reader, writer = await asyncio.open_connection(*self.listener.address)
        socket = Socket(reader, writer)
        try:
            await socket.connect(protocol)
            if hello:
                socket.send({"type": "hello"})
                assert await socket.receive() == {"type": "hello_ok"}
            yield socket
        finally:
            writer.close()


def unchunked(data: bytes) -> bytes:
    whole = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        whole += data[: int(size, 16)]
        data = data[int(size, 16) + 2 :]
    return whole


class Socket:
    """A WebSocket, its messages decoded from JSON."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.protocol = ClientProtocol(parse_uri("ws://localhost/"), max_size=None)
        self.events: list[Any] = []
        self.number = 0

    async def connect(self, protocol: str | None) -> None:
        request = self.protocol.connect()
        if protocol is not None:
            request.headers["Sec-WebSocket-Protocol"] = protocol
            self.protocol.available_subprotocols = [each.strip() for each in protocol.split(",")]  # type: ignore[misc]
        self.protocol.send_request(request)
        self.flush()
        await self.event()

    def flush(self) -> None:
        self.writer.write(b"".join(self.protocol.data_to_send()))

    async def event(self) -> Any:
        while not self.events:
            data = await asyncio.wait_for(self.reader.read(1 << 16), 10)
            if data:
                self.protocol.receive_data(data)
            else:
                self.protocol.receive_eof()
            self.events += self.protocol.events_received()
            if not data and not self.events:
                raise ConnectionResetError
        return self.events.pop(0)

    def send(self, message: Json) -> None:
        if isinstance(message, bytes):
            self.protocol.send_binary(message)
        else:
            self.protocol.send_text(orjson.dumps(message) if not isinstance(message, str) else message.encode())
        self.flush()

    async def receive(self) -> Json:
        frame = await self.event()
        assert frame.opcode is Opcode.TEXT, frame
        return orjson.loads(frame.data)

    async def closed(self) -> tuple[int, str]:
        """The code and reason of the server's close."""
        while (await self.event()).opcode is not Opcode.CLOSE:
            pass
        close = self.protocol.close_rcvd
        assert close is not None
        return close.code, close.reason

    def request(self, kind: str, **fields: Json) -> int:
        self.number += 1
        self.send({"type": "request", "request_id": self.number, "request": {"type": kind, **fields}})
        return self.number

    async def ask(self, kind: str, **fields: Json) -> Json:
        """The response, or the error, to a request."""
        number = self.request(kind, **fields)
        got = await self.receive()
        assert got["request_id"] == number
        return got["error"] if got["type"] == "response_error" else got["response"]

    async def execute(self, sql: str, stream: int = 1) -> Json:
        return await self.ask("execute", stream_id=stream, stmt={"sql": sql})


def execute(sql: str, *args: Json, **more: Json) -> Json:
    wired = [
        {"type": "integer", "value": str(arg)} if isinstance(arg, int) else {"type": "text", "value": arg}
        for arg in args
    ]
    return {"type": "execute", "stmt": {"sql": sql, "args": wired, **more}}


def batch(*steps: Json) -> Json:
    """A batch of SQL texts, or of pairs of a condition and a text."""
    made = []
    for step in steps:
        condition, sql = step if isinstance(step, tuple) else (None, step)
        made.append({"condition": condition, "stmt": {"sql": sql}})
    return {"steps": made}


def rows(of: Json) -> Json:
    """The rows of a result, or the code of the error in its place."""
    if "code" in of:
        return of["code"]
    result = of.get("result", of)
    return [[cell.get("value") for cell in row] for row in result["rows"]]


def serve(path: Path, script: Callable[[Server], Awaitable[None]]) -> None:
    """Run a script against a server; afterwards nothing may be left of it."""

    async def run() -> None:
        tasks = asyncio.all_tasks()
        server = Server(path)
        await server.listener.listen(Http1, "127.0.0.1", 0)
        try:
            await script(server)
        finally:
            await server.listener.stop(5)
            server.streams.shut()
            server.workers.close()
        assert server.namespace.out == 0
        assert server.namespace.writers.holder is None
        assert server.listener.bodies.left == server.listener.limits.bodies
        assert asyncio.all_tasks() == tasks
        server.namespace.close()

    asyncio.run(asyncio.wait_for(run(), 60))
