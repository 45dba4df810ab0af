"""Who calls by gRPC, and for which namespace: as HTTP's clients do on the user port, as servers on theirs.

A server that forwards what somebody asked of it says in `x-proxy-authorization` what that one may do; one that passes a
call for the log on says so in `libsql-proxied`, and the call's own credentials count.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from libsql_core.hrana.errors import HttpError
from libsql_core.replication.messages import NAMESPACE_DOESNT_EXIST
from libsql_core.server.api import READ
from libsql_core.server.auth import EVERYTHING, Rights
from libsql_core.server.host import Context
from libsql_core.server.namespaces import DEFAULT, NAME
from libsql_core.server.rpc import Call, Code, RpcError

if TYPE_CHECKING:
    from libsql_core.server.host import Host
    from libsql_core.server.namespace import Namespace

LOG = "/wal_log.ReplicationLog/"


class Access:
    """Admits the calls of one port."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def admit(self, call: Call) -> Context:
        host = self._host
        name = self.name(call.headers)
        try:
            namespace = host.namespaces.find(name) or await host.namespaces.get(name)
        except HttpError as error:
            if error.status == 404:
                raise RpcError(Code.FAILED_PRECONDITION, NAMESPACE_DOESNT_EXIST) from None
            raise
        rights = self._of_server(call, namespace) if call.inner else self._of_user(call, namespace)
        permission = rights.of(name)
        if not permission & READ:
            raise RpcError(Code.PERMISSION_DENIED, "Authorization forbidden: no right to read this namespace")
        host.touch()
        return Context(host, namespace, rights, permission)

    def name(self, headers: Mapping[bytes, bytes]) -> str:
        if not self._host.settings.enable_namespaces:
            return DEFAULT
        encoded, plain = headers.get(b"x-namespace-bin"), headers.get(b"x-namespace")
        if encoded is not None:
            try:
                name = base64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                raise RpcError(Code.INVALID_ARGUMENT, "Metadata can't be converted into Bytes") from None
        elif plain is not None:
            name = plain.decode("utf-8", "replace")
        else:
            raise RpcError(Code.INVALID_ARGUMENT, "Missing x-namespace-bin metadata")
        if not NAME.fullmatch(name):
            raise RpcError(Code.INVALID_ARGUMENT, "Invalid namespace name")
        return name

    def _of_user(self, call: Call, namespace: Namespace) -> Rights:
        header = call.headers.get(b"authorization", call.headers.get(b"x-authorization"))
        text = None if header is None else header.decode("latin-1")
        return (namespace.auth or self._host.auth).by_header(text)

    def _of_server(self, call: Call, namespace: Namespace) -> Rights:
        if call.path.startswith(LOG):
            return self._of_user(call, namespace) if b"libsql-proxied" in call.headers else EVERYTHING
        if namespace.auth is not None:
            return self._of_user(call, namespace)
        text = call.headers.get(b"x-proxy-authorization")
        if text is None:
            raise RpcError(Code.INVALID_ARGUMENT, "x-proxy-authorization not set")
        return identity(text)


def identity(text: bytes) -> Rights:
    """The rights in what a server says of the one it forwards for."""
    try:
        said = json.loads(text)
        if said == "FullAccess":
            return EVERYTHING
        if said == "Anonymous":
            return Rights(0)
        ((kind, fields),) = said.items()
        claims = {"Authorized": {"p": fields}, "Legacy": _level(fields)}[kind]
    except (ValueError, LookupError, AttributeError, TypeError):
        raise RpcError(Code.INVALID_ARGUMENT, "x-proxy-authorization cannot be read") from None
    from libsql_core.server.tokens import check_claims, rights_of

    try:
        check_claims(claims)
    except ValueError as error:
        raise RpcError(Code.INVALID_ARGUMENT, f"x-proxy-authorization: {error}") from None
    return rights_of(claims)


def _level(fields: Any) -> dict[str, Any]:
    return {"id": fields.get("namespace"), "a": fields.get("perm")}
