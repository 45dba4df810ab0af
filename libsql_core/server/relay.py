"""What a replica passes on to its primary: calls of embedded replicas that are its clients, as they came."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import TYPE_CHECKING, Any

from libsql_core.server.api import ATTACH, DDL, WRITE
from libsql_core.server.auth import EVERYTHING
from libsql_core.server.rpc import Call, Method
from libsql_core.server.upstream import namespace_metadata

if TYPE_CHECKING:
    from libsql_core.server.api import RequestContext
    from libsql_core.server.upstream import Upstream

LOG, PROXY = "/wal_log.ReplicationLog/", "/proxy.Proxy/"
STREAM = PROXY + "StreamExec"
# Headers that go with a call.
_PASSED = (b"authorization", b"x-authorization", b"x-session-token", b"x-libsql-client-version")


class Raw:
    """A message that is not looked at."""

    @staticmethod
    def decode(data: bytes) -> bytes:
        return data


_RAW: Any = Raw


def identity(context: RequestContext) -> str:
    """What `x-proxy-authorization` says of a caller: the rights in this namespace, and in no other."""
    rights = getattr(context, "rights", EVERYTHING)
    if rights is EVERYTHING:
        return json.dumps("FullAccess")
    permission = context.permission
    scope = "r" + ("w" if permission & WRITE else "o") + ("a" if permission & ATTACH else "")
    named = {"ns": [context.namespace.name], "tags": None}
    said: dict[str, object] = dict.fromkeys(("ro", "rw", "roa", "rwa", "ddl"))
    said[scope] = named
    if permission & DDL:
        said["ddl"] = named
    return json.dumps({"Authorized": said})


def for_proxy(context: RequestContext, name: str) -> dict[str, str | bytes]:
    """The metadata of a call to the proxy."""
    return {**namespace_metadata(name), "x-proxy-authorization": identity(context)}


class Relay:
    """The methods that a replica has. It knows who may call the proxy; for the log the primary does."""

    def __init__(self, upstream: Upstream, name: Callable[[Mapping[bytes, bytes]], str]) -> None:
        """name: the namespace that headers mean, or RpcError."""
        self._upstream = upstream
        self._name = name

    @property
    def methods(self) -> dict[str, Method]:
        methods = {PROXY + name: Method(self._proxy, _RAW) for name in ("Execute", "Describe", "Disconnect")}
        for name, replies in (("Hello", False), ("BatchLogEntries", False), ("LogEntries", True), ("Snapshot", True)):
            methods[LOG + name] = Method(self._frames if replies else self._log, _RAW, replies=replies, open=True)
        return methods

    async def _log(self, call: Call, message: bytes) -> bytes:
        return await self._upstream.call(call.path, message, self._proxied(call))

    async def _frames(self, call: Call, message: bytes) -> AsyncGenerator[bytes, None]:
        replies = self._upstream.replies(call.path, message, self._proxied(call))
        # What it fails with at once is said before anything else.
        first = await anext(replies, None) if call.path.endswith("Snapshot") else b""
        return _all(first, replies)

    def _proxied(self, call: Call) -> dict[str, str | bytes]:
        return {**namespace_metadata(self._name(call.headers)), **_passed(call.headers), "libsql-proxied": "true"}

    async def _proxy(self, call: Call, message: bytes) -> bytes:
        metadata = {**_passed(call.headers), **for_proxy(call.context, call.context.namespace.name)}
        return await self._upstream.call(call.path, message, metadata)


async def _all(first: bytes | None, replies: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    try:
        if first:
            yield first
        if first is not None:
            async for reply in replies:
                yield reply
    finally:
        await replies.aclose()


def _passed(headers: Mapping[bytes, bytes]) -> dict[str, str | bytes]:
    return {name.decode(): headers[name].decode("latin-1") for name in _PASSED if name in headers}
