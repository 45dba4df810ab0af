"""The port for servers: gRPC on HTTP/2, by grpcio, which is imported with this module alone."""

from __future__ import annotations

import base64
from abc import ABCMeta
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from libsql_core.server.config import show_address
from libsql_core.server.rpc import Method, Pieces, Rpc, RpcError

if TYPE_CHECKING:
    from libsql_core.server.config import Address, Config

_CODES = {code.value[0]: code for code in grpc.StatusCode}
# Of one transaction of any size, and of what clients ask.
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.so_reuseport", 0),
    # Servers that wait for frames look whether the connection is still there.
    ("grpc.http2.min_ping_interval_without_data_ms", 5000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
]


class GrpcPort:
    """Serves the methods to servers."""

    def __init__(self, rpc: Rpc) -> None:
        self._server = grpc.aio.server(options=_OPTIONS)
        self._server.add_generic_rpc_handlers((_Methods(rpc),))
        self.address: Address = ("", 0)

    async def listen(self, address: Address, config: Config) -> None:
        """OSError or ValueError if it cannot be."""
        shown = show_address(address)
        try:
            if config.grpc_tls:
                assert config.grpc_key_file is not None
                assert config.grpc_cert_file is not None
                assert config.grpc_ca_cert_file is not None
                pair = config.grpc_key_file.read_bytes(), config.grpc_cert_file.read_bytes()
                roots = config.grpc_ca_cert_file.read_bytes()
                credentials = grpc.ssl_server_credentials([pair], roots, require_client_auth=True)
                port = self._server.add_secure_port(shown, credentials)
            else:
                port = self._server.add_insecure_port(shown)
        except RuntimeError as error:
            raise ValueError(str(error)) from None
        await self._server.start()
        self.address = address[0], port

    async def stop(self, grace: float) -> None:
        await self._server.stop(grace)


class _Methods(grpc.GenericRpcHandler, metaclass=ABCMeta):  # type: ignore[misc]  # grpcio has no types
    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        method = self._rpc.methods.get(details.method)
        if method is None:
            return None
        path = details.method

        async def one(request: bytes, context: Any) -> bytes:
            async for reply in await self._begin(path, _once(request), context):
                if isinstance(reply, bytes):
                    return reply
                assert isinstance(reply, Pieces)
                try:
                    return b"".join([piece async for piece in reply.pieces])
                finally:
                    await reply.pieces.aclose()
            raise AssertionError("a call without a reply")

        async def many(request: Any, context: Any) -> AsyncIterator[bytes]:
            messages = request if method.requests else _once(request)
            replies = await self._begin(path, messages, context)
            try:
                # Some servers wait for the headers before they say anything.
                await context.send_initial_metadata(())
                async for reply in replies:
                    if isinstance(reply, list):
                        for each in reply:
                            yield each
                    else:
                        assert isinstance(reply, bytes)
                        yield reply
            except RpcError as error:
                await _abort(context, error)
            finally:
                await replies.aclose()

        return _handler(method, one, many)

    async def _begin(self, path: str, messages: AsyncIterator[bytes], context: Any) -> Any:
        try:
            return await self._rpc.call(path, _headers(context.invocation_metadata()), messages)
        except RpcError as error:
            await _abort(context, error)


def _handler(method: Method, one: Any, many: Any) -> grpc.RpcMethodHandler:
    if method.requests:
        return grpc.stream_stream_rpc_method_handler(many)
    if method.replies:
        return grpc.unary_stream_rpc_method_handler(many)
    return grpc.unary_unary_rpc_method_handler(one)


async def _abort(context: Any, error: RpcError) -> None:
    await context.abort(_CODES[int(error.code)], error.message)


async def _once(message: bytes) -> AsyncIterator[bytes]:
    yield message


def _headers(metadata: Any) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for name, value in metadata or ():
        data = base64.b64encode(value).rstrip(b"=") if isinstance(value, bytes) else value.encode("latin-1", "replace")
        found.setdefault(name.encode("ascii"), data)
    return found
