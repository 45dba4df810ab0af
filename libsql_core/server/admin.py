"""The admin API: namespaces are created, forked, configured and deleted, and the server's numbers read."""

from __future__ import annotations

import asyncio
import hmac
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO, Any, NoReturn
from urllib.parse import unquote_to_bytes, urlsplit

import orjson

from libsql_core.hrana.errors import HttpError
from libsql_core.hrana.json_decode import kind_of, syntax_error
from libsql_core.server import auth, dump
from libsql_core.server.api import JSON_HEAD, TEXT_HEAD, Request, Response
from libsql_core.server.config import format_size, parse_size
from libsql_core.server.log import set_filter
from libsql_core.server.metastore import DURABILITY, MAX_ROW_SIZE, PAGE_SIZE, NamespaceConfig
from libsql_core.server.namespaces import DEFAULT, Namespaces, missing
from libsql_core.server.routes import error_response

UINT64 = range(1 << 64)
BETWEEN = re.compile(r"[\s,:{]*")
MOMENT = re.compile(r"\d{4}(-\d\d){2}T\d\d(:\d\d){2}(\.\d+)?")
NO_METHOD = Response(200, b"", b"content-type: application/grpc\r\ngrpc-status: 12\r\n")

Answer = Callable[..., Awaitable[Response]]
Fields = dict[str, Any]


class Admin:
    """Answers the requests of the admin port.

    metrics: the text of /metrics, None for no such path. diagnostics: the states of streams.
    """

    def __init__(
        self,
        namespaces: Namespaces,
        key: str | None,
        metrics: Callable[[], str] | None,
        diagnostics: Callable[[], list[str]],
    ) -> None:
        self._namespaces = namespaces
        self._key = key
        self._metrics = metrics
        self._diagnostics = diagnostics
        one = r"/v1/namespaces/([^/]*)"
        routes: list[tuple[str, dict[bytes, Answer]]] = [
            ("/", {b"GET": self._welcome}),
            ("/log-filter", {b"POST": self._filter}),
            ("/v1/diagnostics", {b"GET": self._diagnose}),
            (f"{one}/create", {b"POST": self._create}),
            (f"{one}/fork/([^/]+)", {b"POST": self._fork}),
            (f"{one}/checkpoint", {b"POST": self._checkpoint}),
            (f"{one}/config", {b"GET": self._config, b"POST": self._configure}),
            (f"{one}/stats", {b"GET": self._stats}),
            (f"{one}/stats/([^/]+)", {b"DELETE": self._forget}),
            ("/v1/namespaces/([^/]+)", {b"DELETE": self._delete}),
        ]
        if metrics is not None:
            routes.append(("/metrics", {b"GET": self._show_metrics}))
        self._routes = [(re.compile(path), methods) for path, methods in routes]

    async def handle(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except HttpError as error:
            return error_response(error)

    async def _answer(self, request: Request) -> Response:
        if not self._may(request):
            return Response(401)
        path = request.path.decode("latin-1")
        for pattern, methods in self._routes:
            found = pattern.fullmatch(path)
            if found:
                method = b"GET" if request.method == b"HEAD" else request.method
                answer = methods.get(method)
                if answer is None:
                    allow = sorted({*methods, b"HEAD"} if b"GET" in methods else methods)
                    return Response(405, b"", b"allow: %b\r\n" % b",".join(allow))
                return await answer(request, *map(_argument, found.groups()))
        return Response(NO_METHOD.status, NO_METHOD.body, NO_METHOD.head)

    def _may(self, request: Request) -> bool:
        if self._key is None:
            return True
        scheme, _, key = request.headers.get(b"authorization", b"").partition(b" ")
        return scheme.lower() == b"basic" and hmac.compare_digest(key, self._key.encode())

    # The server

    async def _welcome(self, request: Request) -> Response:
        return Response(200, b"Welcome to the sqld admin API", TEXT_HEAD)

    async def _show_metrics(self, request: Request) -> Response:
        assert self._metrics is not None
        return Response(200, self._metrics().encode(), TEXT_HEAD)

    async def _diagnose(self, request: Request) -> Response:
        return Response(200, orjson.dumps(self._diagnostics()), JSON_HEAD)

    async def _filter(self, request: Request) -> Response:
        try:
            set_filter(request.body.decode())
        except ValueError:
            raise HttpError(500, "Internal Error: `invalid filter directive`") from None
        return Response(200)

    # Namespaces

    async def _create(self, request: Request, name: str) -> Response:
        body = Body(request, "struct CreateNamespaceReq", 11)
        schema, of_schema = body.flag("shared_schema"), body.text("shared_schema_name")
        source = body.text("dump_url")
        if source is not None and not urlsplit(source).scheme:
            body.refuse(f'invalid value: string "{source}", expected relative URL without a base', "dump_url")
        allow_attach = body.flag("allow_attach")
        fields: Fields = {
            "heartbeat_url": body.text("heartbeat_url"),
            "bottomless_db_id": body.text("bottomless_db_id"),
            "jwt_key": body.text("jwt_key"),
            "txn_timeout_s": body.count("txn_timeout_s"),
            "max_row_size": body.count("max_row_size", MAX_ROW_SIZE),
            "durability_mode": body.durability() or 0,
        }
        pages = body.pages()
        if pages is not None:
            fields["max_db_pages"] = pages
        if schema and of_schema is not None:
            raise HttpError(400, "Shared schema error: shared schema database cannot reference another shared schema")
        if of_schema is not None and source is not None:
            reason = "database using shared schema database cannot be created from a dump"
            raise HttpError(400, f"Shared schema usage error: {reason}")
        _check(fields)
        config = NamespaceConfig(
            shared_schema=schema, shared_schema_name=of_schema, allow_attach=allow_attach, **fields
        )
        if source is None:
            await self._namespaces.create(name, config)
            return Response(200)
        opened = await asyncio.to_thread(_open, source)
        try:
            await self._namespaces.create(name, config, lambda path: asyncio.to_thread(self._load, path, opened))
        finally:
            await asyncio.to_thread(opened.close)
        return Response(200)

    def _load(self, path: Path, source: IO[bytes]) -> None:
        con = self._namespaces.parts.open_file(path)
        try:
            dump.load(con, source)
            con.close()
        except BaseException:
            con.close()
            # Nothing of a dump that failed stays, not even what ran before its transaction.
            for file in path.parent.glob("data*"):
                file.unlink()
            raise

    async def _fork(self, request: Request, source: str, target: str) -> Response:
        moment = None
        try:
            body = orjson.loads(request.body)
            moment = body["timestamp"] if isinstance(body, dict) else None
        except (orjson.JSONDecodeError, KeyError):
            pass  # as if there were none
        if isinstance(moment, str) and MOMENT.fullmatch(moment):
            raise HttpError(500, "backup service not configured")
        await self._namespaces.fork(source, target)
        return Response(200)

    async def _delete(self, request: Request, name: str) -> Response:
        await self._namespaces.delete(name)
        return Response(200)

    async def _checkpoint(self, request: Request, name: str) -> Response:
        await self._namespaces.checkpoint(name)
        return Response(200)

    def _known(self, name: str) -> NamespaceConfig:
        config = self._namespaces.configs.get(name)
        if config is None:
            if name != DEFAULT:
                raise missing(name)
            return NamespaceConfig(txn_timeout_s=5)
        return config

    async def _config(self, request: Request, name: str) -> Response:
        config = self._known(name)
        shown = {
            "block_reads": config.block_reads,
            "block_writes": config.block_writes,
            "block_reason": config.block_reason,
            "max_db_size": format_size(config.max_db_pages * PAGE_SIZE),
            "heartbeat_url": config.heartbeat_url,
            "jwt_key": config.jwt_key,
            "allow_attach": config.allow_attach,
            "txn_timeout_s": config.txn_timeout_s,
            "durability_mode": config.durability,
        }
        return Response(200, orjson.dumps(shown), JSON_HEAD)

    async def _configure(self, request: Request, name: str) -> Response:
        body = Body(request, "struct HttpDatabaseConfig", 9)
        body.require("block_reads", "block_writes")
        fields: Fields = {
            "block_reads": body.flag("block_reads", required=True),
            "block_writes": body.flag("block_writes", required=True),
            "block_reason": body.text("block_reason"),
            "jwt_key": body.text("jwt_key"),
            "allow_attach": body.flag("allow_attach"),
            "txn_timeout_s": body.count("txn_timeout_s"),
        }
        for key, value in (
            ("max_db_pages", body.pages()),
            ("heartbeat_url", body.text("heartbeat_url")),
            ("durability_mode", body.durability()),
        ):
            if value is not None:
                fields[key] = value
        _check(fields)
        await self._namespaces.configure(name, **fields)
        return Response(200)

    async def _stats(self, request: Request, name: str) -> Response:
        self._known(name)
        stats = (await self._namespaces.get(name)).stats
        return Response(200, orjson.dumps(stats.show()), JSON_HEAD)

    async def _forget(self, request: Request, name: str, kind: str) -> Response:
        self._known(name)
        if not (await self._namespaces.get(name)).stats.forget(kind):
            raise HttpError(500, "Internal Error: `Invalid stats type`")
        return Response(200)


def _argument(encoded: str) -> str:
    """A name from a path."""
    try:
        name = unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        raise HttpError(400, "Invalid URL: Invalid UTF-8 in `namespace`", plain=True) from None
    if not name:
        raise HttpError(400, "Invalid URL: Invalid namespace", plain=True)
    return name


def _open(source: str) -> IO[bytes]:
    try:
        return dump.open_source(source)
    except (ValueError, OSError) as error:
        raise HttpError(400, f"The dump cannot be fetched: {error}") from None


# What bodies hold. Where in the body a fault lies is told as the original's parser counts it.


class Body:
    """The members of a JSON object, and their text for those who are told what is wrong with it."""

    def __init__(self, request: Request, what: str, fields: int) -> None:
        kind = request.headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        if not re.fullmatch(rb"application/(?:[^/]+\+)?json", kind):
            raise HttpError(415, "Expected request with `Content-Type: application/json`", plain=True)
        try:
            read = orjson.loads(request.body)
        except orjson.JSONDecodeError as error:
            reason = syntax_error(request.body, error)
            raise HttpError(400, f"Failed to parse the request body as JSON: {reason}", plain=True) from None
        self._text = request.body.decode()
        self._read: dict[str, Any] = read if isinstance(read, dict) else {}
        if read == []:
            self.refuse(f"invalid length 0, expected {what} with {fields} elements")
        if not isinstance(read, dict):
            self.refuse(f"invalid type: {kind_of(read)}, expected {what}", whole=True)

    def get(self, key: str) -> Any:
        return self._read.get(key)

    def require(self, *keys: str) -> None:
        for key in keys:
            if key not in self._read:
                self.refuse(f"missing field `{key}`")

    def refuse(self, message: str, key: str | None = None, *, whole: bool = False) -> NoReturn:
        """The reason, with the place: behind the value of a key, or at the end."""
        end = len(self._text.rstrip()) if key is None or whole else self._behind(key)
        line = self._text.count("\n", 0, end)
        column = len(self._text[self._text.rfind("\n", 0, end) + 1 : end].encode())
        where = f"at line {line + 1} column {column}"
        prefix = f"{key}: " if key is not None else ""
        text = f"Failed to deserialize the JSON body into the target type: {prefix}{message} {where}"
        raise HttpError(422, text, plain=True)

    def _behind(self, key: str) -> int:
        read, at = json.JSONDecoder().raw_decode, 0
        while True:
            name, at = read(self._text, BETWEEN.match(self._text, at).end())  # type: ignore[union-attr]
            _, at = read(self._text, BETWEEN.match(self._text, at).end())  # type: ignore[union-attr]
            if name == key:
                return at

    def flag(self, key: str, *, required: bool = False) -> bool:
        value = self.get(key)
        if value is None and not required:
            return False
        if not isinstance(value, bool):
            self.refuse(f"invalid type: {kind_of(value)}, expected a boolean", key)
        return value

    def text(self, key: str) -> str | None:
        value = self.get(key)
        if value is not None and not isinstance(value, str):
            self.refuse(f"invalid type: {kind_of(value)}, expected a string", key)
        return value

    def count(self, key: str, default: int | None = None) -> int | None:
        value = self.get(key)
        if value is None:
            return default
        if type(value) is not int:
            self.refuse(f"invalid type: {kind_of(value)}, expected u64", key)
        if value not in UINT64:
            self.refuse(f"invalid value: {kind_of(value)}, expected u64", key)
        return value

    def pages(self) -> int | None:
        key = "max_db_size"
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, str):
            try:
                size = parse_size(value)
            except ValueError:
                self.refuse(f"invalid value: {kind_of(value)}, expected parsable string", key)
        elif type(value) is int:
            size = value
        else:
            self.refuse(f"invalid type: {kind_of(value)}, expected parsable string or integer", key)
        if size not in UINT64:
            self.refuse(f"invalid value: {kind_of(value)}, expected integer overflow", key)
        return size // PAGE_SIZE

    def durability(self) -> int | None:
        key = "durability_mode"
        value = self.text(key)
        if value is None:
            return None
        if value not in DURABILITY:
            self.refuse(f"unknown variant `{value}`, expected one of `extra`, `strong`, `relaxed`, `off`", key)
        return DURABILITY[value][1]


def _check(fields: Fields) -> None:
    """That keys are keys and URLs URLs."""
    url, key = fields.get("heartbeat_url"), fields["jwt_key"]
    if url is not None:
        try:
            parts = urlsplit(url)
        except ValueError:
            raise HttpError(400, "Wrong URL: invalid URL") from None
        if not parts.scheme:
            raise HttpError(400, "Wrong URL: relative URL without a base")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise HttpError(400, "Wrong URL: empty host")
    if key is not None:
        try:
            auth.tokens(key)
        except auth.InvalidKey as error:
            raise HttpError(500, f"Internal Error: `{error}`") from None
