"""A replica's namespaces: copies of the primary's, made when somebody first asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from libsql_core._engine import Injector
from libsql_core.hrana.errors import HttpError
from libsql_core.replication.errors import ProtocolError
from libsql_core.replication.messages import NAMESPACE_DOESNT_EXIST, DatabaseConfig, HelloRequest, HelloResponse
from libsql_core.server.metastore import NamespaceConfig
from libsql_core.server.namespace import Namespace, Parts
from libsql_core.server.namespaces import Namespaces, check_name, missing
from libsql_core.server.pool import Pool
from libsql_core.server.replica_session import ReplicaSession
from libsql_core.server.replicator import HELLO_S, SERVICE, Replicator
from libsql_core.server.rpc import RpcError
from libsql_core.server.upstream import Upstream, namespace_metadata

if TYPE_CHECKING:
    from libsql_core.server.config import Config

# Seconds that a name which the primary does not have is not asked for again.
UNKNOWN_S = 1.0
MOST_UNKNOWN = 1000


class ReplicaNamespace(Namespace):
    """A copy. Only its replicator writes to it; `upstream` is where all other writes go."""

    sessions = ReplicaSession
    replicator: Replicator
    upstream: Upstream

    def __init__(self, name: str, config: NamespaceConfig, folder: Path, parts: Parts) -> None:
        assert parts.upstream is not None
        self.upstream = parts.upstream
        super().__init__(name, config, folder, parts)
        self.migrations = None

    def _open(self) -> Pool:
        parts = self._parts
        self._seen = 0, -1
        self.replicator = Replicator(self.name, self.folder, self.upstream, self._injector)
        return Pool(self.name, parts.slots, self._connect, self.writers, parts.wal_pages)

    def _injector(self) -> Injector:
        key = self._parts.key
        return Injector(self.path, encryption_key=key, cipher=None if key is None else "aes256cbc")

    async def follow(self, configured: Callable[[DatabaseConfig], None]) -> None:
        """Begin to replicate; returns when it is known whether the primary is there."""
        self.replicator.start(configured)
        await self.replicator.tried(HELLO_S)

    @property
    def seen(self) -> int:
        """The last frame that somebody here has had written, as long as it can be waited for.

        Clients of HTTP often have a stream for each statement: theirs, too, are to see what they wrote.
        """
        history, frame = self._seen
        return frame if self.replicator.connected and history == self.replicator.history else -1

    def forwarded(self, frame: int) -> None:
        """The primary has run something, and told its last frame then."""
        self._seen = max(self._seen, (self.replicator.history, frame))
        self.replicator.nudge()

    @property
    def current(self) -> bool:
        return self.replicator.current and self.replicator.frame >= self.seen

    @property
    def index(self) -> int | None:
        frame = self.replicator.frame
        return None if frame < 0 else frame

    async def checkpoint(self) -> bool:
        await self.pool.checkpoint(truncate=True)
        return False

    async def sleep(self) -> None:
        self.asleep = True
        await self.replicator.close()
        await super().sleep()

    async def close(self) -> None:
        await self.replicator.close()
        await super().close()


class ReplicaNamespaces(Namespaces):
    """All of them."""

    def __init__(self, config: Config, root: Path, parts: Parts, drop: Callable[[Namespace], None]) -> None:
        super().__init__(config, root, parts, drop)
        assert parts.upstream is not None
        self._upstream = parts.upstream
        # Names that the primary did not know, and until when that counts.
        self._unknown: dict[str, float] = {}

    def _make(self, name: str, config: NamespaceConfig) -> Namespace:
        return ReplicaNamespace(name, config, self._dbs / name, self.parts)

    async def _load(self, name: str) -> Namespace:
        made = await super()._load(name)
        assert isinstance(made, ReplicaNamespace)
        await made.follow(lambda config: self._configured(name, config))
        return made

    async def get(self, name: str) -> Namespace:
        if self.find(name) is None and not self.exists(name):
            await self._discover(name)
        return await super().get(name)

    async def _discover(self, name: str) -> None:
        """Ask the primary for a namespace that is not here yet; 404 when it has none."""
        check_name(name)
        async with self._discovery(name):
            if self.exists(name):
                return
            if self._unknown.get(name, 0.0) > monotonic():
                raise missing(name)
            try:
                said = HelloResponse.decode(
                    await self._upstream.call(
                        SERVICE + "Hello", HelloRequest(1).encode(), namespace_metadata(name), HELLO_S
                    )
                )
            except RpcError as error:
                if error.message != NAMESPACE_DOESNT_EXIST:
                    raise HttpError(500, f"the primary cannot be asked for namespace `{name}`: {error}") from None
                if len(self._unknown) >= MOST_UNKNOWN:
                    self._unknown.clear()
                self._unknown[name] = monotonic() + UNKNOWN_S
                raise missing(name) from None
            except ProtocolError as error:
                raise HttpError(500, f"the primary cannot be asked for namespace `{name}`: {error}") from None
            config = NamespaceConfig((said.config or DatabaseConfig()).encode())
            if config.shared_schema_name is not None and config.shared_schema_name != name:
                await self.get(config.shared_schema_name)
            await asyncio.to_thread(self._put, name, config)

    def _discovery(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(f"?{name}", asyncio.Lock())

    def _configured(self, name: str, config: DatabaseConfig) -> None:
        """The primary says what a namespace's settings are."""
        after = NamespaceConfig(config.encode())
        before = self.configs.get(name)
        if before is not None and before.dump() == after.dump():
            return
        self._put(name, after)
        namespace = self._known.get(name)
        if namespace is not None:
            namespace.configure(after)
            namespace.pool.renew()

    async def create(self, *_: Any, **__: Any) -> None:
        raise _not_here()

    async def fork(self, *_: Any, **__: Any) -> None:
        raise _not_here()

    async def delete(self, *_: Any, **__: Any) -> None:
        raise _not_here()

    async def configure(self, *_: Any, **__: Any) -> None:
        raise _not_here()


def _not_here() -> HttpError:
    return HttpError(400, "this server is a replica: ask its primary")
