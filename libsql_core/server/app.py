"""The server put together: what is opened at its start, done every second, and closed at its end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

import orjson

from libsql_core import _engine as engine
from libsql_core.server import auth
from libsql_core.server.admin import Admin
from libsql_core.server.config import Address, Config, show_address
from libsql_core.server.directory import Directory
from libsql_core.server.extensions import ExtensionError
from libsql_core.server.flow import Workers
from libsql_core.server.host import Host
from libsql_core.server.http1 import Http1
from libsql_core.server.http_sync import HttpSync
from libsql_core.server.jobs import Jobs
from libsql_core.server.listen import Changes
from libsql_core.server.listener import Limits, Listener
from libsql_core.server.log import logger
from libsql_core.server.metrics import render
from libsql_core.server.namespace import Namespace, Parts
from libsql_core.server.namespaces import DEFAULT, Namespaces
from libsql_core.server.pool import Slots
from libsql_core.server.proxy_service import ProxyService
from libsql_core.server.replication_log import LogService
from libsql_core.server.routes import Routes
from libsql_core.server.rpc import Method, Rpc
from libsql_core.server.rpc_access import Access
from libsql_core.server.snapshot_script import SnapshotScript
from libsql_core.server.stats import Stats
from libsql_core.server.streams import Streams

if TYPE_CHECKING:
    from libsql_core.server.api import Peer
    from libsql_core.server.grpc_port import GrpcPort
    from libsql_core.server.replicator import Replicator
    from libsql_core.server.upstream import Upstream

# Seconds between two savings of statistics, and without a sign of life before a stall is logged.
SAVE_S = 5
STALL_S = 5
HEARTBEAT_TIMEOUT_S = 10
# Seconds that calls of servers have to end at a stop: their streams are open for as long as they like.
SERVERS_GRACE = 2.0
# Seconds that requests under way have before those streams end, with what they wrote.
WRITERS_GRACE = 1.0
# The part of the time for a stop that requests under way have.
GRACE = 0.8

log = logger()


class StartError(Exception):
    """The server cannot start; the message is for the one who started it."""


def authenticator(config: Config) -> auth.Authenticator:
    """Basic credentials go before keys, a file of keys before their text."""
    if config.http_auth is not None:
        try:
            made = auth.Basic(config.http_auth)
        except auth.InvalidKey as error:
            raise StartError(str(error)) from None
        log.info("Using legacy HTTP basic authentication")
        return made
    text = config.auth_jwt_key
    if config.auth_jwt_key_file is not None:
        try:
            text = config.auth_jwt_key_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StartError(f"Could not read file with JWT key(s)\n\nCaused by:\n    {error}") from None
    if text is None:
        return auth.Open()
    try:
        tokens = auth.tokens(text)
    except auth.InvalidKey as error:
        raise StartError(f"Could not parse JWT decoding key(s)\n\nCaused by:\n    {error}") from None
    log.info("Using JWT-based authentication")
    return tokens


class App:
    """A running server. `start` it, wait until it has `ended`, `stop` it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.host: Host
        self._ended = asyncio.Event()
        self._slots = Slots(
            config.max_concurrent_connections, config.max_concurrent_requests, config.connection_creation_timeout_sec
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._listeners: dict[str, Listener] = {}
        self._servers: GrpcPort | None = None
        self._alive = time.monotonic()
        self._watched = threading.Event()
        self._upstream: Upstream | None = None

    # Where the numbers of /metrics are (metrics.Source).

    @property
    def stats(self) -> Mapping[str, Stats]:
        return {namespace.name: namespace.stats for namespace in self.namespaces.loaded}

    @property
    def closed(self) -> Mapping[str, int]:
        return self.namespaces.counted

    @property
    def connections(self) -> int:
        return self.config.max_concurrent_connections - self._slots.free

    @property
    def vacuums(self) -> int:
        return self.namespaces.vacuums

    @property
    def streams(self) -> int:
        return sum(state != "expired" for state in self._streams.states())

    @property
    def responses(self) -> Mapping[int, int]:
        return self._routes.responses

    @property
    def replicas(self) -> Mapping[str, Replicator]:
        loaded = self.namespaces.loaded
        return {namespace.name: namespace.replicator for namespace in loaded if namespace.replicator is not None}

    # Starting

    async def start(self) -> None:
        """Open everything; StartError, DirectoryError or OSError when that cannot be."""
        config = self.config
        keys = authenticator(config)
        _limit_heap(config)
        self._directory = Directory(config.db_path)
        try:
            self.namespaces = self._open_namespaces()
            jobs = self.namespaces.parts.migrations = Jobs(self.namespaces)
            self.host = Host(config, self.namespaces, keys, jobs)
            self._http_sync = HttpSync(self.host)
            self._workers = Workers(config.max_concurrent_connections)
            self._streams = Streams(config, self._workers)
            self._proxy = ProxyService(self._streams)
            access = Access(self.host)
            if self._upstream is None:
                self.host.routes.update(self._http_sync.routes)
            methods = self._methods(access)
            self._rpc = Rpc(methods, access.admit, inner=False)
            self._routes = Routes(self.host, self._streams, self._rpc)
            try:
                await self._listen()
                if not config.enable_namespaces:
                    await self.namespaces.get(DEFAULT)
                await jobs.resume()
            except BaseException:
                await self._close(0)
                raise
        except BaseException:
            await self._cancel()
            self._directory.close()
            raise
        self._begin()

    def _open_namespaces(self) -> Namespaces:
        config = self.config
        kind: type[Namespaces] = Namespaces
        if config.primary_grpc_url is not None:
            try:
                from libsql_core.server import replica, upstream
            except ImportError as error:
                raise StartError(f"--primary-grpc-url needs the package grpcio: {error}") from None
            try:
                self._upstream = upstream.Upstream(config)
            except upstream.UpstreamError as error:
                raise StartError(str(error)) from None
            kind = replica.ReplicaNamespaces
        try:
            parts = Parts(config, self._slots, Changes)
        except ExtensionError as error:
            raise StartError(str(error)) from None
        parts.upstream = self._upstream
        if config.snapshot_exec is not None:
            parts.script = SnapshotScript(config.snapshot_exec, self._directory.path)
            self._tasks.append(asyncio.create_task(parts.script.run()))
        try:
            return kind(config, self._directory.path, parts, self._drop)
        except (ValueError, engine.Error) as error:
            raise StartError(f"Could not open the metastore: {error}") from None

    def _methods(self, access: Access) -> dict[str, Method]:
        """What clients may call on the user port."""
        if self._upstream is None:
            return {**LogService().methods, **self._proxy.methods}
        from libsql_core.server.relay import Relay

        return Relay(self._upstream, access.name).methods

    async def _listen(self) -> None:
        config = self.config
        tls = None
        if config.http_tls_cert_file is not None:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            try:
                tls.load_cert_chain(config.http_tls_cert_file, config.http_tls_key_file)
            except (OSError, ssl.SSLError) as error:
                raise StartError(f"Could not use the TLS certificate and key: {error}") from None
        users = Listener(self._routes.handle, Limits(body=config.max_request_size))
        self._routes.listener = users
        users.http2 = lambda: self._http2(users)
        await self._bind("user HTTP connection", users, config.http_listen_addr, tls)
        if config.hrana_listen_addr is not None:
            sockets = Listener(self._routes.socket)
            await self._bind("Hrana connection", sockets, config.hrana_listen_addr, tls)
        if config.admin_listen_addr is not None:
            shown = None if config.disable_metrics else self._metrics
            admin = Admin(self.namespaces, config.admin_auth_key, shown, self._streams.states)
            await self._bind("admin HTTP connection", Listener(admin.handle), config.admin_listen_addr, None)
        if config.grpc_listen_addr is not None:
            self._servers = await self._listen_to_servers(config.grpc_listen_addr)

    def _http2(self, listener: Listener) -> Peer | None:
        try:
            from libsql_core.server.http2 import Http2
        except ImportError:
            return None
        return Http2(listener, self._rpc)

    async def _listen_to_servers(self, address: Address) -> GrpcPort:
        try:
            from libsql_core.server.grpc_port import GrpcPort
        except ImportError as error:
            raise StartError(f"--grpc-listen-addr needs the package grpcio: {error}") from None
        methods = {**LogService().methods, **self._proxy.methods}
        port = GrpcPort(Rpc(methods, Access(self.host).admit, inner=True))
        try:
            await port.listen(address, self.config)
        except (OSError, ValueError) as error:
            raise StartError(f"Could not listen on {show_address(address)}: {error}") from None
        log.info("listening for incoming gRPC connection on %s", show_address(port.address))
        return port

    async def _bind(self, what: str, listener: Listener, address: Address, tls: ssl.SSLContext | None) -> None:
        try:
            await listener.listen(Http1, *address, tls)
        except OSError as error:
            raise StartError(f"Could not listen on {show_address(address)}: {error.strerror}") from None
        self._listeners[what] = listener
        log.info("listening for incoming %s on %s", what, show_address(listener.address))

    def _metrics(self) -> str:
        label = os.environ.get("SQLD_APP_LABEL")
        return render(self, {} if label is None else {"app": label})

    def _drop(self, namespace: Namespace) -> None:
        self._streams.drop(namespace)

    def _begin(self) -> None:
        """What is done again and again."""
        config = self.config
        self._tasks.append(asyncio.create_task(self._tick()))
        if config.checkpoint_interval_s is not None:
            self._tasks.append(asyncio.create_task(self._checkpoint(config.checkpoint_interval_s)))
        if config.admin_listen_addr is not None or config.heartbeat_url is not None:
            self._tasks.append(asyncio.create_task(self._beat()))
        if config.enable_deadlock_monitor:
            threading.Thread(target=self._watch, name="sqld-watch", daemon=True).start()
        # What was made so far stays: the collector need not look at it again.
        gc.collect()
        gc.freeze()

    # Again and again

    async def _tick(self) -> None:
        seconds = 0
        while True:
            await asyncio.sleep(1)
            seconds += 1
            self._alive = time.monotonic()
            try:
                await self._look_after(seconds)
            except Exception:
                log.exception("what is done every second failed")

    async def _look_after(self, seconds: int) -> None:
        self._streams.sweep()
        self._http_sync.sweep()
        self._proxy.sweep()
        for namespace in self.namespaces.loaded:
            namespace.look()
        if seconds % SAVE_S == 0:
            for namespace in self.namespaces.loaded:
                namespace.pool.trim()
            await self.namespaces.make_room()
            await asyncio.to_thread(self._save)
        self._look_idle()

    def _save(self) -> None:
        for namespace in self.namespaces.loaded:
            try:
                namespace.stats.save()
            except OSError as error:
                if not namespace.closed:
                    log.warning("Statistics of `%s` could not be saved: %s", namespace.name, error)

    def _look_idle(self) -> None:
        limit = self.config.idle_shutdown_timeout_s
        if not self.host.touched and self.config.initial_idle_shutdown_timeout_s is not None:
            limit = self.config.initial_idle_shutdown_timeout_s
        if limit is not None and not self.connections and time.monotonic() - self.host.active >= limit:
            self.end(f"Idle timeout, no new connection in {limit}s. Shutting down.")

    async def _checkpoint(self, seconds: int) -> None:
        while True:
            await asyncio.sleep(seconds)
            for namespace in self.namespaces.loaded:
                try:
                    await self.namespaces.checkpoint(namespace.name)
                except Exception as error:
                    log.warning("Checkpoint of `%s` failed: %s", namespace.name, error)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.config.heartbeat_period_s)
            for namespace in self.namespaces.loaded:
                url = self.config.heartbeat_url or namespace.config.heartbeat_url
                if url is not None:
                    await asyncio.to_thread(self._send, url, namespace.name, orjson.dumps(namespace.stats.show()))

    def _send(self, url: str, name: str, body: bytes) -> None:
        request = urllib.request.Request(f"{url.rstrip('/')}/{quote(name)}", body, method="POST")
        request.add_header("content-type", "application/json")
        if self.config.heartbeat_auth is not None:
            request.add_header("authorization", self.config.heartbeat_auth)
        try:
            urllib.request.urlopen(request, timeout=HEARTBEAT_TIMEOUT_S).close()
        except (urllib.error.URLError, OSError, ValueError) as error:
            log.warning("Heartbeat of `%s` failed: %s", name, error)

    def _watch(self) -> None:
        """In a thread of its own: is the loop still turning?"""
        stalled = False
        while not self._watched.wait(1):
            late = time.monotonic() - self._alive
            if late > STALL_S and not stalled:
                log.error("The server has not got to its work for %d seconds", late)
            stalled = late > STALL_S

    # Ending

    def end(self, reason: str) -> None:
        """Let `ended` return; the first reason is logged."""
        if not self._ended.is_set():
            log.info(reason)
            self._ended.set()

    async def ended(self) -> None:
        await self._ended.wait()

    async def stop(self) -> None:
        self._watched.set()
        await self._cancel()
        await self._close(self.config.shutdown_timeout * GRACE)
        self._directory.close()

    async def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _close(self, grace: float) -> None:
        for namespace in self.namespaces.loaded:
            namespace.changes.close()
        users = asyncio.gather(*(listener.stop(grace) for listener in self._listeners.values()))
        # What is being written goes to the replicas, too.
        await asyncio.wait([users], timeout=WRITERS_GRACE)
        for namespace in self.namespaces.loaded:
            namespace.leave()
        await users
        if self._servers is not None:
            await self._servers.stop(min(grace, SERVERS_GRACE))
        self._streams.shut()
        await self.namespaces.close()
        if self._upstream is not None:
            await self._upstream.close()
        self._workers.close()

    def address(self, what: str) -> Address:
        """Where it listens: "user HTTP connection", "admin HTTP connection", "Hrana connection" or "gRPC"."""
        if what == "gRPC":
            assert self._servers is not None
            return self._servers.address
        return self._listeners[what].address


def _limit_heap(config: Config) -> None:
    for kind, megabytes in (("soft", config.soft_heap_limit_mb), ("hard", config.hard_heap_limit_mb)):
        if megabytes is not None:
            con = engine.connect(":memory:")
            con.execute(f"PRAGMA {kind}_heap_limit = {megabytes << 20}")
            con.close()


async def serve(config: Config) -> None:
    """Run a server until a signal or its idleness ends it."""
    app = App(config)
    loop = asyncio.get_running_loop()
    for name in ("SIGTERM", "SIGINT"):
        text = f"Got {name} shutdown signal, gracefully shutting down...this may take some time"
        if sys.platform != "win32":  # whose loops take none: Ctrl-C raises KeyboardInterrupt there
            loop.add_signal_handler(getattr(signal, name), app.end, text)
    await app.start()
    await app.ended()
    ending = threading.Timer(config.shutdown_timeout, _give_up)
    ending.daemon = True
    ending.start()
    await app.stop()
    ending.cancel()
    log.info("sqld was shutdown gracefully. Bye!")


def _give_up() -> None:
    log.error("The graceful stop took too long")
    os._exit(1)
