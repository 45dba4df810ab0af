"""The namespaces of a server: their names, folders, configurations, and which of them are open.

    <root>/.version
    <root>/metastore/data           configurations (metastore.py)
    <root>/dbs/<namespace>/data     the database, stats.json its statistics
    <root>/dbs/<namespace>/.sentinel    there while the namespace is open

Operations on one namespace (opening, creating, forking, deleting, closing) happen one at a time; files are touched in
worker threads, everything else on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from libsql_core import _engine as engine
from libsql_core.hrana.errors import HttpError
from libsql_core.server import auth
from libsql_core.server.api import ATTACH
from libsql_core.server.log import logger
from libsql_core.server.metastore import MetaStore, NamespaceConfig
from libsql_core.server.namespace import Namespace, Parts, remove

if TYPE_CHECKING:
    from libsql_core.server.config import Config

DEFAULT = "default"
NAME = re.compile(r"(?!\.)[A-Za-z0-9_.-]{1,64}(?<!\.)")
# Seconds that streams of a deleted namespace have to end.
DRAIN_S = 5.0

log = logger("namespaces")


def missing(name: str) -> HttpError:
    return HttpError(404, f"Namespace `{name}` doesn't exist")


def check_name(name: str) -> str:
    """A name that is safe as the name of a folder."""
    if not NAME.fullmatch(name):
        raise HttpError(400, "Invalid namespace")
    return name


class Namespaces:
    """All of them. drop: ends the streams of a namespace that goes away."""

    def __init__(self, config: Config, root: Path, parts: Parts, drop: Callable[[Namespace], None]) -> None:
        self._settings = config
        self._dbs = root / "dbs"
        self._drop = drop
        self._loaded: dict[str, Namespace] = {}
        # Those asleep, too, as long as a client knows them.
        self._known: WeakValueDictionary[str, Namespace] = WeakValueDictionary()
        self._locks: dict[str, asyncio.Lock] = {}
        self._uses = 0
        # What namespaces that were closed had counted, for /metrics.
        self.counted: dict[str, int] = {}
        self.vacuums = 0
        self.parts = parts
        parts.open = self.get
        for left in self._dbs.glob(".*"):
            remove(left)
        self.store = MetaStore(root / "metastore")
        try:
            self.configs = self.store.configs()
            if config.allow_metastore_recovery and not self.configs:
                self._recover()
        except BaseException:
            self.store.close()
            raise

    def _recover(self) -> None:
        """Configurations as at first, for the folders that are there."""
        for folder in sorted(self._dbs.glob("*/data")):
            name = folder.parent.name
            if NAME.fullmatch(name):
                self._put(name, _old_config(folder.parent))
                log.info("recovered namespace `%s`", name)

    def _scratch(self) -> Path:
        """A folder that no namespace has, for what is not there yet, or not any more."""
        return self._dbs / f".{uuid.uuid4().hex}"

    def _put(self, name: str, config: NamespaceConfig) -> None:
        self.store.put(name, config)
        self.configs[name] = config

    # Names

    def name_of(self, headers: Mapping[bytes, bytes]) -> str:
        """The namespace that a request means."""
        if not self._settings.enable_namespaces:
            return DEFAULT
        encoded = headers.get(b"x-namespace-bin")
        if encoded is not None:
            return check_name(_decode(encoded.decode("latin-1")))
        plain = headers.get(b"x-namespace")
        if plain is not None:
            return check_name(plain.decode("utf-8", "replace"))
        strict = self._settings.disable_default_namespace
        host = headers.get(b"host")
        if host is None:
            if strict:
                raise HttpError(400, "Invalid host header: `missing host header`")
            return DEFAULT
        label, dot, _ = host.partition(b".")
        if dot and label:
            return check_name(label.decode("latin-1"))
        if strict:
            if dot:
                raise HttpError(400, "Invalid namespace")
            reason = "host header should be in the format <namespace>.<...>"
            raise HttpError(400, f"Invalid host header: `{reason}`")
        return DEFAULT

    def exists(self, name: str) -> bool:
        return name in self.configs or name == DEFAULT

    # Opening and closing

    @property
    def loaded(self) -> list[Namespace]:
        return list(self._loaded.values())

    async def get(self, name: str) -> Namespace:
        """The open namespace of a name, opened first if need be; 404 when there is none."""
        namespace = self.find(name)
        if namespace is None:
            if not self.exists(name):
                raise missing(name)
            async with self._lock(name):
                namespace = self._loaded.get(name) or await self._load(name)
        return namespace

    def find(self, name: str) -> Namespace | None:
        """The namespace of a name, if it is open."""
        namespace = self._loaded.get(name)
        if namespace is not None:
            self._uses += 1
            namespace.used = self._uses
        return namespace

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    async def _load(self, name: str) -> Namespace:
        config = self.configs.get(name)
        if config is None:
            if name != DEFAULT:
                raise missing(name)
            config = NamespaceConfig(shared_schema=False, txn_timeout_s=5)
        made = self._known.get(name)
        try:
            if made is None:
                made = await asyncio.to_thread(self._make, name, config)
            else:
                await asyncio.to_thread(made.reopen)
        except engine.StatementError as error:
            raise HttpError(500, f"Internal Error: `{error.detail}`") from None
        except engine.Error as error:
            raise HttpError(500, f"Internal Error: `{error}`") from None
        except OSError as error:
            raise HttpError(500, f"Internal Error: `{error.strerror}`") from None
        self._loaded[name] = self._known[name] = made
        self.find(name)
        await self.make_room(made)
        return made

    def _make(self, name: str, config: NamespaceConfig) -> Namespace:
        """Open a namespace that nobody knows. Blocks."""
        return Namespace(name, config, self._dbs / name, self.parts)

    async def make_room(self, but: Namespace | None = None) -> None:
        """Put to sleep what was not used for the longest time, if too many are open and it is idle."""
        while len(self._loaded) > self._settings.max_active_namespaces:
            idle = [ns for ns in self._loaded.values() if ns is not but and self._is_idle(ns)]
            if not idle:
                return
            await self._unload(min(idle, key=lambda ns: ns.used))

    def _is_idle(self, namespace: Namespace) -> bool:
        return namespace.unused and not self._lock(namespace.name).locked()

    async def _unload(self, namespace: Namespace) -> None:
        lock = self._lock(namespace.name)
        async with lock:
            if not namespace.unused or self._loaded.get(namespace.name) is not namespace:
                return
            del self._loaded[namespace.name]
            await namespace.sleep()
            self._count(namespace)
        log.info("namespace `%s` deallocated", namespace.name)

    async def close(self) -> None:
        """Close everything; streams must have ended."""
        for namespace in self.loaded:
            async with self._lock(namespace.name):
                self._loaded.pop(namespace.name, None)
                await self._end(namespace)
            log.info("namespace `%s` deallocated", namespace.name)
        await asyncio.to_thread(self.store.close)

    async def _end(self, namespace: Namespace) -> None:
        namespace.closed = True
        self._drop(namespace)
        namespace.pool.interrupt()
        if not await namespace.pool.drain(DRAIN_S):
            log.warning("connections of namespace `%s` are still in use", namespace.name)
        await namespace.close()
        self._count(namespace)

    def _count(self, namespace: Namespace) -> None:
        for field, count in namespace.stats.take().items():
            self.counted[field] = self.counted.get(field, 0) + count

    # Administration

    async def create(
        self, name: str, config: NamespaceConfig, fill: Callable[[Path], Awaitable[None]] | None = None
    ) -> None:
        """Make a namespace. fill: puts data into its database, whose path it is given, before anybody else can."""
        check_name(name)
        schema = config.shared_schema_name
        if schema is not None and not self.exists(schema):
            raise missing(schema)
        async with self._lock(name):
            if name in self.configs and name != DEFAULT:
                raise HttpError(400, f"Namespace `{name}` already exists")
            if name in self.configs or name in self._loaded:
                return
            if schema is not None:
                await self._copy(schema, name)
            await asyncio.to_thread(self._put, name, config)
            if fill is not None:
                folder = self._dbs / name
                await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
                await fill(folder / "data")
            await self._load(name)

    async def fork(self, source: str, target: str) -> None:
        check_name(target)
        if not self.exists(source):
            raise missing(source)
        config = self.configs.get(source) or NamespaceConfig(shared_schema=False)
        if config.shared_schema:
            raise HttpError(400, "Shared schema usage error: database cannot be forked from a shared schema")
        async with self._lock(target):
            if self.exists(target):
                raise HttpError(400, f"Namespace `{target}` already exists")
            await self._copy(source, target)
            await asyncio.to_thread(self._put, target, config.changed())
            await self._load(target)

    async def _copy(self, source: str, target: str) -> None:
        """The database of a namespace as it is now, as the database of another: all of it, or none."""
        from_path = (await self.get(source)).path

        def copy() -> None:
            partial = self._scratch()
            partial.mkdir(parents=True)
            try:
                original = self.parts.open_file(from_path)
                try:
                    made = self.parts.open_file(partial / "data")
                    try:
                        original.backup(made)
                    finally:
                        made.close()
                finally:
                    original.close()
                remove(self._dbs / target)
                partial.rename(self._dbs / target)
            except BaseException:
                remove(partial)
                raise

        await asyncio.to_thread(copy)

    async def delete(self, name: str) -> None:
        """Remove a namespace: its streams end, what they had open is rolled back, and its folder goes."""
        if not self.exists(name):
            raise missing(name)
        async with self._lock(name):
            if not self.exists(name):
                raise missing(name)
            if self.store.linked(name):
                raise HttpError(400, f"cannot delete `{name}` because databases are still refering to it")
            # From here on it is not found.
            self.configs.pop(name, None)
            known, namespace = self._known.pop(name, None), self._loaded.pop(name, None)
            if namespace is not None:
                await self._end(namespace)
            elif known is not None:
                known.closed = True
            await asyncio.to_thread(self._erase, name)

    def _erase(self, name: str) -> None:
        self.store.remove(name)
        folder = self._dbs / name
        if folder.exists():
            away = self._scratch()
            folder.rename(away)
            remove(away)

    async def configure(self, name: str, **fields: Any) -> None:
        """Change some of a namespace's configuration; it counts at once."""
        async with self._lock(name):
            if not self.exists(name):
                raise missing(name)
            before = self.configs.get(name) or NamespaceConfig(shared_schema=False, txn_timeout_s=5)
            after = before.changed(**fields)
            await asyncio.to_thread(self._put, name, after)
            namespace = self._known.get(name)
            if namespace is not None:
                namespace.configure(after)
                if (before.max_db_pages, before.synchronous) != (after.max_db_pages, after.synchronous):
                    namespace.pool.renew()

    async def checkpoint(self, name: str) -> None:
        namespace = self._loaded.get(name)
        if namespace is not None:
            self.vacuums += await namespace.checkpoint()

    def attach_path(self, name: str, permission: int) -> str:
        """The database of another namespace, for one who has these rights in it; 403 otherwise."""
        if not permission & ATTACH:
            raise forbidden("AttachRead", name)
        config = self.configs.get(name)
        if config is None or not config.allow_attach or not (self._dbs / name / "data").exists():
            raise HttpError(403, f"Authorization forbidden: Namespace `{name}` doesn't allow attach")
        return str(self._dbs / name / "data")


def _old_config(folder: Path) -> NamespaceConfig:
    """What config.json says, where older servers kept configurations; else a new one."""
    fields: dict[str, Any] = {"shared_schema": False}
    try:
        kept = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = None
    if isinstance(kept, dict):
        for key, kind in (("block_reads", bool), ("block_writes", bool), ("block_reason", str), ("max_db_pages", int)):
            if type(kept.get(key)) is kind:
                fields[key] = kept[key]
    return NamespaceConfig(**fields)


def forbidden(right: str, name: str) -> HttpError:
    text = f"Current session doesn't not have {right} permission to namespace {name}"
    return HttpError(403, f"Authorization forbidden: {text}")


def _decode(text: str) -> str:
    fault = auth.base64_fault(text, "+/")
    if fault:
        raise HttpError(400, f"Invalid namespace bytes: `{fault}`")
    return base64.b64decode(text + "=" * (-len(text) % 4)).decode("utf-8", "replace")
