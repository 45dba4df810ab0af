"""The paths of the user port, and what every answer of theirs has in common: CORS, timing, the forms of errors."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote

import orjson

from libsql_core.hrana import json_decode
from libsql_core.hrana.encode import JSON, PROTOBUF, Codec
from libsql_core.hrana.errors import HttpError, ProtocolError, SqlError
from libsql_core.server import v0, v1
from libsql_core.server.api import JSON_HEAD, TEXT_HEAD, Request, Response
from libsql_core.server.cursor import cursor
from libsql_core.server.grpc_web import answer, unknown
from libsql_core.server.listen import listen
from libsql_core.server.pipeline import pipeline
from libsql_core.server.ws import handshake

if TYPE_CHECKING:
    from libsql_core.server.api import Host
    from libsql_core.server.listener import Listener
    from libsql_core.server.rpc import Rpc
    from libsql_core.server.streams import Streams

CORS = (
    b"access-control-allow-origin: *\r\n"
    b"vary: origin\r\nvary: access-control-request-method\r\nvary: access-control-request-headers\r\n"
)
_PREFLIGHT = b"access-control-allow-methods: *\r\naccess-control-allow-headers: *\r\n"
_DEV = re.compile(rb"/dev/[^/]+/[^/]+/pipeline")
_HELLO = b"Hello, this is HTTP API v2 (Hrana over HTTP)"

Endpoint = Callable[[Request], Awaitable[Response]]


def error_response(error: HttpError | ProtocolError | SqlError, codec: Codec = JSON) -> Response:
    """What a call that failed as a whole answers."""
    if isinstance(error, SqlError):
        return Response(400, codec.error(error.message, error.code), codec.head)
    if isinstance(error, ProtocolError):
        return Response(400, error.message.encode(), b"content-type: text/plain\r\n")
    if not error.message:
        return Response(error.status)
    if error.plain:
        return Response(error.status, error.message.encode(), TEXT_HEAD)
    return Response(error.status, orjson.dumps({"error": error.message}), JSON_HEAD)


def _text(body: bytes) -> Endpoint:
    async def answer(request: Request) -> Response:
        return Response(200, body, b"content-type: text/plain\r\n")

    return answer


class Routes:
    """Answers the requests of the user port."""

    def __init__(self, host: Host, streams: Streams, rpc: Rpc | None = None) -> None:
        self._host = host
        self._streams = streams
        self._settings = host.settings
        self.responses: dict[int, int] = {}  # answers by status
        self.listener: Listener | None = None  # where upgraded connections go on
        self._paths: dict[bytes, dict[bytes, Endpoint]] = {}
        self._folders: dict[bytes, dict[bytes, Endpoint]] = {}
        self._trees: dict[bytes, dict[bytes, Endpoint]] = {}
        for path, method, endpoint in (
            (b"/", b"POST", self._legacy),
            (b"/", b"GET", self._root),
            (b"/health", b"GET", self._health),
            (b"/v1", b"GET", _text(b"This is sqld HTTP API v1")),
            (b"/v1/execute", b"POST", self._execute),
            (b"/v1/batch", b"POST", self._batch),
            (b"/v2", b"GET", _text(_HELLO)),
            (b"/v3", b"GET", _text(_HELLO)),
            (b"/v3-protobuf", b"GET", _text(_HELLO)),
            (b"/v2/pipeline", b"POST", self._pipeline(JSON, 2)),
            (b"/v3/pipeline", b"POST", self._pipeline(JSON, 3)),
            (b"/v3-protobuf/pipeline", b"POST", self._pipeline(PROTOBUF, 3)),
            (b"/v3/cursor", b"POST", self._cursor(JSON)),
            (b"/v3-protobuf/cursor", b"POST", self._cursor(PROTOBUF)),
            (b"/beta/listen", b"GET", self._listen),
        ):
            self._add(path, method, endpoint)
        self._dev_methods: dict[bytes, Endpoint] = {b"POST": self._dev}
        for (method, path), endpoint in host.routes.items():
            self._add(path, method, endpoint)
        if rpc is not None:
            for name in rpc.methods:
                self._add(name.encode(), b"POST", lambda request: answer(rpc, request))

    def _add(self, path: bytes, method: bytes, endpoint: Endpoint) -> None:
        table = self._folders if path.endswith(b"/") and path != b"/" else self._paths
        if path.endswith(b"/*"):
            table, path = self._trees, path[:-1]
        table.setdefault(path, {})[method] = endpoint

    async def handle(self, request: Request) -> Response:
        began = time.perf_counter()
        methods = self._paths.get(request.path) or self._folder(request.path)
        if methods is None:
            return unknown(request) or Response(404)
        endpoint = methods.get(request.method) or (methods.get(b"GET") if request.method == b"HEAD" else None)
        if endpoint is None:
            response = _without(request, methods)
            if request.method == b"OPTIONS":
                return response
        else:
            try:
                response = await endpoint(request)
            except (HttpError, ProtocolError, SqlError) as error:
                codec = PROTOBUF if request.path.startswith(b"/v3-protobuf") else JSON
                response = error_response(error, codec)
        took = (time.perf_counter() - began) * 1e6
        self.responses[response.status] = self.responses.get(response.status, 0) + 1
        response.head += b"%bserver-timing: query_total;dur=%.3f\xc2\xb5s,\r\n" % (CORS, took)
        if request.path != b"/health":
            self._host.touch()
        return response

    async def socket(self, request: Request) -> Response:
        """A port for WebSockets alone: any path will do."""
        if self.listener is None:
            return Response(404)
        return handshake(request, self._host, self._streams, self.listener)

    def _folder(self, path: bytes) -> dict[bytes, Endpoint] | None:
        for folder, methods in self._folders.items():
            if path.startswith(folder) and b"/" not in path[len(folder) :] and len(path) > len(folder):
                return methods
        for tree, methods in self._trees.items():
            if path.startswith(tree):
                return methods
        return self._dev_methods if _DEV.fullmatch(path) else None

    # The endpoints.

    async def _root(self, request: Request) -> Response:
        return Response(404) if b"upgrade" not in request.headers else await self.socket(request)

    async def _health(self, request: Request) -> Response:
        return Response(200)

    async def _legacy(self, request: Request) -> Response:
        context = await self._host.context(request)
        return await v0.run(self._streams, self._settings, context, v0.decode(request.body))

    async def _execute(self, request: Request) -> Response:
        context = await self._host.context(request)
        return await v1.execute(self._streams, context, json_decode.stmt_body(request.body))

    async def _batch(self, request: Request) -> Response:
        context = await self._host.context(request)
        return await v1.batch(self._streams, context, json_decode.batch_body(request.body))

    def _pipeline(self, codec: Codec, version: int) -> Endpoint:
        async def answer(request: Request) -> Response:
            context = await self._host.context(request)
            body = codec.pipeline_body(request.body)
            return await pipeline(self._streams, self._settings, context, body, codec, version)

        return answer

    def _cursor(self, codec: Codec) -> Endpoint:
        async def answer(request: Request) -> Response:
            context = await self._host.context(request)
            return await cursor(self._streams, self._settings, context, codec.cursor_body(request.body), codec)

        return answer

    async def _dev(self, request: Request) -> Response:
        """`/dev/NAMESPACE/v2/pipeline` and `/dev/NAMESPACE/v3/pipeline`."""
        parts = request.path.split(b"/")
        if parts[3] not in (b"v2", b"v3"):
            raise HttpError(400, "Invalid path in URI: `invalid hrana version`")
        context = await self._host.context_of_path(request, unquote(parts[2].decode("latin-1")))
        body = JSON.pipeline_body(request.body)
        return await pipeline(self._streams, self._settings, context, body, JSON, 2 if parts[3] == b"v2" else 3)

    async def _listen(self, request: Request) -> Response:
        return listen(await self._host.context(request), request.query)


def _without(request: Request, methods: dict[bytes, Endpoint]) -> Response:
    """The answer to a method that a path does not have."""
    allow = b"allow: %b\r\n" % b",".join([b"GET,HEAD" if name == b"GET" else name for name in methods])
    if request.method == b"OPTIONS":
        return Response(200, b"", CORS + _PREFLIGHT + allow)
    return Response(405, b"", allow)
