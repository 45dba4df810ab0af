"""Who asks for what: the namespace, the credentials and the rights of each request (api.Host), and some paths."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

import orjson

from libsql_core._version import __version__
from libsql_core.hrana.errors import HttpError
from libsql_core.server import dump
from libsql_core.server.api import JSON_HEAD, READ, Request, Response
from libsql_core.server.directory import VERSION
from libsql_core.server.namespace import Namespace
from libsql_core.server.namespaces import Namespaces, missing

if TYPE_CHECKING:
    from libsql_core.server.auth import Authenticator, Rights
    from libsql_core.server.config import Config
    from libsql_core.server.jobs import Jobs

JOB_PATH = re.compile(rb"/v1/jobs(?:/([^/]+))?")
VERSION_TEXT = f"sqld {VERSION} (libsql_core {__version__})"

CONSOLE = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>sqld</title>
<style>
  body { font: 15px/1.4 monospace; margin: 2em auto; max-width: 60em; padding: 0 1em }
  input { box-sizing: border-box; font: inherit; padding: .4em; width: 100% }
  table { border-collapse: collapse; margin: .5em 0 1.5em } td, th { border: 1px solid #aaa; padding: .2em .6em }
  .error { color: #a00 }
</style>
<form><input id="sql" placeholder="select 1" autofocus autocomplete="off"></form><div id="log"></div>
<script>
  const add = (parent, tag, text) => { const e = document.createElement(tag); if (text !== undefined)
    e.textContent = text; parent.append(e); return e; };
  document.forms[0].onsubmit = async (event) => {
    event.preventDefault();
    const sql = document.getElementById("sql"), entry = document.createElement("div");
    document.getElementById("log").prepend(entry);
    add(entry, "div", "> " + sql.value);
    const headers = {"content-type": "application/json"};
    try {
      const reply = await fetch("/", {method: "POST", headers, body: JSON.stringify({statements: [sql.value]})});
      const body = await reply.json(), first = Array.isArray(body) ? body[0] : body;
      if (first.error) { add(entry, "div", first.error).className = "error"; return; }
      const table = add(entry, "table"), head = add(table, "tr");
      for (const name of first.results.columns) add(head, "th", name);
      for (const row of first.results.rows) { const line = add(table, "tr");
        for (const value of row) add(line, "td", value === null ? "NULL" : value.base64 ?? String(value)); }
      sql.value = "";
    } catch (error) { add(entry, "div", String(error)).className = "error"; }
  };
</script></html>
"""


class Context:
    """Implements api.RequestContext."""

    __slots__ = ("_host", "identity", "namespace", "permission", "rights")

    def __init__(self, host: Host, namespace: Namespace, rights: Rights, permission: int) -> None:
        self._host = host
        self.rights = rights
        self.namespace = namespace
        self.permission = permission
        self.identity = rights.identity

    def attach(self, name: str) -> str:
        return self._host.namespaces.attach_path(name, self.rights.of(name))


class Host:
    """Implements api.Host. auth: who may do what, where a namespace has no key of its own."""

    def __init__(self, config: Config, namespaces: Namespaces, auth: Authenticator, jobs: Jobs) -> None:
        self.jobs = jobs
        self.settings = config
        self.namespaces = namespaces
        self.auth = auth
        self.active = monotonic()
        self.touched = False
        # Requests of the same kind come one behind the other.
        self._last: Context | None = None
        self.routes: dict[tuple[bytes, bytes], Callable[[Request], Awaitable[Response]]] = {
            (b"GET", b"/version"): self._version,
            (b"GET", b"/dump"): self._dump,
            (b"GET", b"/v1/jobs"): self._jobs,
            (b"GET", b"/v1/jobs/"): self._jobs,
        }
        if config.enable_http_console:
            self.routes[b"GET", b"/console"] = self._console
        if config.http_primary_url is not None:
            self.routes[b"GET", b"/beta/listen"] = self._redirect

    def touch(self) -> None:
        self.active = monotonic()
        self.touched = True

    async def context(self, request: Request) -> Context:
        namespaces = self.namespaces
        name = namespaces.name_of(request.headers)
        namespace = namespaces.find(name) or await namespaces.get(name)
        rights = self._rights(request, namespace)
        last = self._last
        if last is None or last.namespace is not namespace or last.rights is not rights:
            last = self._last = self._context(namespace, rights)
        return last

    async def context_of_path(self, request: Request, name: str) -> Context:
        rights = (await self.context(request)).rights
        return self._context(await self.namespaces.get(name), rights)

    async def hello(self, request: Request, jwt: str | None) -> Context:
        namespace = await self.namespaces.get(self.namespaces.name_of(request.headers))
        return self._context(namespace, (namespace.auth or self.auth).by_hello(jwt))

    def _rights(self, request: Request, namespace: Namespace) -> Rights:
        headers = request.headers
        header = headers.get(b"authorization", headers.get(b"x-authorization"))
        return (namespace.auth or self.auth).by_header(None if header is None else header.decode("latin-1"))

    def _context(self, namespace: Namespace, rights: Rights) -> Context:
        permission = rights.of(namespace.name)
        if not permission & READ:
            # Those who may not even read are not told that it is there.
            raise missing(namespace.name)
        return Context(self, namespace, rights, permission)

    # Paths

    async def _version(self, request: Request) -> Response:
        return Response(200, VERSION_TEXT.encode())

    async def _console(self, request: Request) -> Response:
        return Response(200, CONSOLE, b"content-type: text/html; charset=utf-8\r\n")

    async def _redirect(self, request: Request) -> Response:
        query = b"?" + request.query if request.query else b""
        base = (self.settings.http_primary_url or "").rstrip("/").encode()
        return Response(307, b"", b"location: %b%b%b\r\n" % (base, request.path, query))

    async def _jobs(self, request: Request) -> Response:
        namespace = (await self.context(request)).namespace
        found = JOB_PATH.fullmatch(request.path)
        if found is None:
            return Response(404)
        if found[1] is None:
            if not namespace.config.shared_schema:
                raise HttpError(400, "Invalid namespace")
            return Response(200, orjson.dumps(self.jobs.show(namespace.name)), JSON_HEAD)
        number = unquote(found[1].decode("latin-1"))
        if not (number.isascii() and number.isdigit()) or int(number) >= 1 << 64:
            raise HttpError(400, f'Invalid URL: Cannot parse `"{number}"` to a `u64`', plain=True)
        if not namespace.config.shared_schema:
            raise HttpError(400, "Invalid namespace")
        shown = self.jobs.show_one(namespace.name, int(number)) if int(number) < 1 << 63 else None
        if shown is None:
            raise HttpError(404, "couldn't find requested migration job")
        return Response(200, orjson.dumps(shown), JSON_HEAD)

    async def _dump(self, request: Request) -> Response:
        context = await self.context(request)
        wanted = dict(parse_qsl(request.query.decode("latin-1"), keep_blank_values=True)).get(
            "preserve_row_ids", "false"
        )
        if wanted not in ("true", "false"):
            reason = "provided string was not `true` or `false`"
            raise HttpError(400, f"Failed to deserialize query string: {reason}", plain=True)
        path, open_file = context.namespace.path, self.namespaces.parts.open_file
        return Response(200, stream=dump.stream(lambda: open_file(path), wanted == "true"))
