"""What the connections of a process to one replica share, and how long it lives: as long as one of them is open."""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from libsql_core._engine import Connection, NotSupportedError
from libsql_core.replication.errors import PrimaryError, ReplicaError
from libsql_core.replication.forward import Forwarder
from libsql_core.replication.forward_http import HttpForwarder
from libsql_core.replication.grpcweb import Endpoint
from libsql_core.replication.http_sync import INFO, Http, HttpReplicator
from libsql_core.replication.meta import META
from libsql_core.replication.sync import Progress, Replicator, SyncResult

if TYPE_CHECKING:
    import ssl

    from _typeshed import StrOrBytesPath


class Options(NamedTuple):
    """What `connect(sync_url=)` was given about the replica."""

    path: str
    sync_url: str
    auth_token: str
    namespace: str | None
    offline: bool
    remote_encryption_key: str | bytes | None
    tls_context: ssl.SSLContext | None
    sync_timeout: float
    encryption_key: Any
    cipher: Any


class Link:
    """The primary of one file."""

    def __init__(self, options: Options) -> None:
        self.path = options.path
        self.options = options
        self._endpoint = Endpoint(
            options.sync_url,
            auth_token=options.auth_token,
            namespace=options.namespace,
            timeout=options.sync_timeout,
            context=options.tls_context,
        )
        self._background: Background | None = None
        try:
            self._replicator = self._choose()
        except BaseException:
            self._endpoint.close()
            raise

    def _choose(self) -> Replicator | HttpReplicator:
        """The protocol that the replica began with; a new one takes the second where the primary lacks the first."""
        path, options = self.path, self.options
        http = Http(self._endpoint, options.remote_encryption_key)
        if options.offline:
            if options.encryption_key is not None:
                raise NotSupportedError("encryption_key is not possible with offline=True: the file stays as it came")
            return HttpReplicator(path, http, offline=True)
        if options.encryption_key is None and os.path.exists(path + INFO):
            return HttpReplicator(path, http, offline=False)
        begun = any(os.path.exists(each) and os.path.getsize(each) for each in (path, path + META))
        replicator = Replicator(path, self._endpoint, encryption_key=options.encryption_key, cipher=options.cipher)
        if begun or replicator.greets():
            return replicator
        try:
            found = http.generation()
            if found is None:
                raise PrimaryError(f"{self._endpoint.name} is no primary: it answers neither Hello nor /info")
            if options.encryption_key is not None:
                raise NotSupportedError(
                    f"{self._endpoint.name} fills no encrypted replicas: the file stays as it comes"
                )
        finally:
            replicator.close()
            replicator.close_files()
        os.unlink(path + META)
        return HttpReplicator(path, http, offline=False)

    def prepare(self, connection: Connection) -> None:
        """Make a new connection to the file what the protocol needs."""
        if isinstance(self._replicator, HttpReplicator):
            connection.wal_disable_checkpoint()

    def forwarder(self) -> Forwarder | HttpForwarder:
        if isinstance(self._replicator, HttpReplicator):
            return HttpForwarder(self._replicator)
        return Forwarder(self._replicator)

    def sync(self, progress: Progress | None = None) -> SyncResult:
        return self._replicator.sync(progress)

    def apply_snapshot(self, path: StrOrBytesPath) -> SyncResult:
        return self._replicator.apply_snapshot(path)

    @property
    def frame(self) -> int:
        return self._replicator.frame

    @property
    def last_error(self) -> BaseException | None:
        return self._replicator.last_error

    @property
    def synced_at(self) -> float | None:
        return self._replicator.synced_at

    def start(self, interval: float) -> None:
        """Synchronize in the background, as often as the most demanding connection wants."""
        if not interval > 0:
            raise ValueError("sync_interval must be a positive number of seconds")
        if self._background is None:
            self._background = Background(self.sync, interval)
        else:
            self._background.interval = min(interval, self._background.interval)

    def stop(self) -> None:
        """Do no more in the background; what does not end in a moment ends with the program."""
        if self._background is not None:
            self._background.stop(5)

    def close(self) -> None:
        if self._background is not None:
            self._background.stop()
        self._replicator.close()

    def close_files(self) -> None:
        self._replicator.close_files()


class Background:
    """A thread that synchronizes again and again. After errors it waits longer, up to a minute, never all at once."""

    def __init__(self, sync: Callable[[], object], interval: float) -> None:
        self.interval = interval
        self._sync = sync
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="libsql_core sync", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        failures = 0
        pause = 0.0
        while not self._ended.wait(pause):
            try:
                self._sync()
                failures = 0
                pause = self.interval
            except Exception:
                # Connection.last_sync_error tells which; whatever it was, the next time it may go well.
                failures = min(failures + 1, 10)
                pause = min(max(60.0, self.interval), self.interval * 2**failures) * random.uniform(0.5, 1)

    def stop(self, seconds: float | None = None) -> None:
        self._ended.set()
        if self._thread is not threading.current_thread():
            self._thread.join(seconds)


class Registry:
    """One link for each file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, tuple[Link, int]] = {}

    def open(self, options: Options) -> Link:
        key = os.path.realpath(options.path)
        with self._lock:
            link, users = self._open.get(key, (None, 0))
            if link is None:
                link = Link(options)
            elif link.options._replace(path=options.path) != options:
                raise ReplicaError(f"{options.path} is open already, as a replica with other parameters")
            self._open[key] = link, users + 1
            return link

    def close(self, link: Link, close_database: Callable[[], None]) -> None:
        """Give the link up; the last one to do so closes it, and then its own connection to the database."""
        key = os.path.realpath(link.path)
        with self._lock:
            _, users = self._open[key]
            if users > 1:
                self._open[key] = link, users - 1
            else:
                del self._open[key]
        if users > 1:
            close_database()
            return
        with contextlib.ExitStack() as stack:
            stack.callback(link.close_files)
            stack.callback(close_database)
            link.close()

    def stop(self) -> None:
        """At the end of the program: let the threads in the background come to an end."""
        with self._lock:
            running = [link for link, _ in self._open.values()]
        for link in running:
            link.stop()


links = Registry()
atexit.register(links.stop)
