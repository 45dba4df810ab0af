"""The primary as its replicas reach it: calls to its port for servers, by gRPC.

Nothing is resolved or connected before the first call; a primary that is away is tried again whenever it is called.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import grpc
import grpc.aio

from libsql_core.server.rpc import Code, RpcError

if TYPE_CHECKING:
    from libsql_core.server.config import Config

# What certificates of servers are issued for, wherever they run.
NAME = "sqld"
_OPTIONS: list[tuple[str, Any]] = [
    # One transaction is one message, however large.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # A connection that has died without a word is found out.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # Two replicas in one process do not share a connection, nor its fate.
    ("grpc.use_local_subchannel_pool", 1),
]

Metadata = Mapping[str, str | bytes]


class UpstreamError(Exception):
    """The primary cannot be reached in the way that the settings say."""


def namespace_metadata(name: str) -> dict[str, str | bytes]:
    return {"x-namespace-bin": name.encode()}


def failure(error: grpc.aio.AioRpcError) -> RpcError:
    number: int = error.code().value[0]
    text = error.details() or ""
    try:
        return RpcError(Code(number), text)
    except ValueError:
        return RpcError(Code.INTERNAL, text or error.code().name)


class Upstream:
    """Made and used on the event loop's thread."""

    def __init__(self, config: Config) -> None:
        parts = urlsplit(config.primary_grpc_url or "")
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise UpstreamError(f"`{config.primary_grpc_url}` is no URL like http://HOST:PORT")
        if (parts.scheme == "https") != config.primary_grpc_tls:
            raise UpstreamError("--primary-grpc-tls and an https:// URL go together")
        target = parts.netloc if parts.port else f"{parts.netloc}:{443 if config.primary_grpc_tls else 80}"
        self.address = target
        if not config.primary_grpc_tls:
            self._channel = grpc.aio.insecure_channel(target, _OPTIONS)
            return
        files = (config.primary_grpc_ca_cert_file, config.primary_grpc_key_file, config.primary_grpc_cert_file)
        try:
            ca, key, certificate = (None if each is None else Path(each).read_bytes() for each in files)
        except OSError as error:
            raise UpstreamError(f"Could not read {error.filename}: {error.strerror}") from None
        credentials = grpc.ssl_channel_credentials(ca, key, certificate)
        options = [*_OPTIONS, ("grpc.ssl_target_name_override", NAME)]
        self._channel = grpc.aio.secure_channel(target, credentials, options)

    async def call(self, path: str, message: bytes, metadata: Metadata, seconds: float | None = None) -> bytes:
        """The only reply; RpcError."""
        try:
            reply: bytes = await self._channel.unary_unary(path)(message, timeout=seconds, metadata=_pairs(metadata))
            return reply
        except grpc.aio.AioRpcError as error:
            raise failure(error) from None

    async def replies(self, path: str, message: bytes, metadata: Metadata) -> AsyncGenerator[bytes, None]:
        """The replies as they come; RpcError. Closing it ends the call."""
        call = self._channel.unary_stream(path)(message, metadata=_pairs(metadata))
        try:
            while (reply := await call.read()) is not grpc.aio.EOF:
                yield reply
        except grpc.aio.AioRpcError as error:
            raise failure(error) from None
        finally:
            call.cancel()

    def talk(self, path: str, metadata: Metadata) -> Talk:
        return Talk(self._channel.stream_stream(path)(metadata=_pairs(metadata)))

    async def close(self) -> None:
        await self._channel.close(None)


class Talk:
    """A call in which both sides go on to speak."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def say(self, message: bytes) -> None:
        try:
            await self._call.write(message)
        except grpc.aio.AioRpcError as error:
            raise failure(error) from None
        except grpc.aio.UsageError:
            raise RpcError(Code.UNAVAILABLE, "the call has ended") from None

    async def hear(self) -> bytes:
        """The next message; RpcError, also when there is none."""
        try:
            message: bytes = await self._call.read()
            if message is not grpc.aio.EOF:
                return message
            code, text = await self._call.code(), await self._call.details()
        except grpc.aio.AioRpcError as error:
            raise failure(error) from None
        raise RpcError(Code.UNAVAILABLE, text or f"the primary has ended the call ({code.name})")

    @property
    def ended(self) -> bool:
        done: bool = self._call.done()
        return done

    def close(self) -> None:
        self._call.cancel()


def _pairs(metadata: Metadata) -> list[tuple[str, str | bytes]]:
    return list(metadata.items())
