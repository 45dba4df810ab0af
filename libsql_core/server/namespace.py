"""One namespace: its folder, its configuration and what its connections share; and what all of them are made with."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from libsql_core import _engine as engine
from libsql_core.server import auth
from libsql_core.server.extensions import trusted
from libsql_core.server.lock import WriterQueue
from libsql_core.server.log import logger
from libsql_core.server.metastore import NamespaceConfig
from libsql_core.server.pool import WAL_PAGES, Pool, Slots
from libsql_core.server.stats import Stats

if TYPE_CHECKING:
    from libsql_core._engine import ServerConnection
    from libsql_core.server.api import Changes, Migrations
    from libsql_core.server.config import Config

# Files of the replication log of libSQL's server. Without one it makes a new log from the database.
LOG_FILES = ("wallog", "snapshots", "to_compact", "tmp")
# Smaller files are not shrunk.
VACUUM_PAGES = 1 << 16

log = logger("namespace")


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class Patient:
    """Holds the write lock for as long as its work takes (api.Holder)."""

    def steal(self) -> None:
        pass


class Namespace:
    """Implements api.Namespace: one that is open, or asleep (its files closed) until somebody wants a connection."""

    def __init__(self, name: str, config: NamespaceConfig, folder: Path, parts: Parts) -> None:
        """Blocks: the folder is made, the database opened."""
        self.name = name
        self.folder = folder
        self.path = str(folder / "data")
        self.closed = self.asleep = False
        self.used = 0
        self._parts = parts
        self.configure(config)
        folder.mkdir(parents=True, exist_ok=True)
        self.writers = WriterQueue(lambda: self.config.timeout)
        self.stats = Stats(folder)
        self.changes = parts.changes()
        self.migrations = parts.migrations if config.shared_schema else None
        self.pool = self._open()

    def _open(self) -> Pool:
        sentinel = self.folder / ".sentinel"
        if sentinel.exists():
            log.info("Replication log is dirty, recovering from database file.")
        sentinel.touch()
        for left in LOG_FILES:
            # Changes made here are not in it.
            remove(self.folder / left)
        return Pool(self.name, self._parts.slots, self._connect, self.writers, self._parts.wal_pages)

    def reopen(self) -> None:
        """Wake up. Blocks."""
        self.pool = self._open()
        self.asleep = False

    def configure(self, config: NamespaceConfig) -> None:
        self.config = config
        # What tells who asks, if it is not what the server has.
        self.auth: auth.Authenticator | None = None
        if config.jwt_key is not None:
            try:
                self.auth = auth.tokens(config.jwt_key)
            except auth.InvalidKey as error:
                log.warning("the key of namespace `%s` lets nobody in: %s", self.name, error)
                self.auth = auth.Closed()

    def _connect(self) -> ServerConnection:
        return self._parts.connect(self.name, self.path, self.config)

    def acquire(self) -> Coroutine[Any, Any, ServerConnection]:
        return self._wake() if self.asleep else self.pool.acquire()

    async def _wake(self) -> ServerConnection:
        while self.asleep and not self.closed:
            await self._parts.open(self.name)
        return await self.pool.acquire()

    def release(self, connection: ServerConnection) -> None:
        self.pool.release(connection)

    def wrote(self, connection: ServerConnection) -> None:
        self.pool.watch(connection)

    async def checkpoint(self) -> bool:
        """Copy all of the log, and shrink a big file of which more than half is free; whether it was."""
        await self.pool.checkpoint(truncate=True)
        holder = Patient()
        await self.writers.acquire(holder)
        try:
            return await asyncio.to_thread(self._vacuum)
        finally:
            self.writers.release(holder)

    def _vacuum(self) -> bool:
        con = self._parts.open_file(self.path)
        try:
            ((pages,),) = con.execute("PRAGMA page_count")
            ((free,),) = con.execute("PRAGMA freelist_count")
            needed: bool = pages >= VACUUM_PAGES and 2 * free > pages
            if needed:
                con.execute("VACUUM")
            return needed
        finally:
            con.close()

    async def sleep(self) -> None:
        """Close the files."""
        self.asleep = True
        await self.pool.close()
        await asyncio.to_thread(self._leave)

    async def close(self) -> None:
        self.closed = True
        self.changes.close()
        await self.pool.close()
        await asyncio.to_thread(self._leave)

    def _leave(self) -> None:
        if self.folder.exists():
            self.stats.save()
            (self.folder / ".sentinel").unlink(missing_ok=True)


class Parts:
    """What all namespaces are made with."""

    def __init__(self, config: Config, slots: Slots, changes: Callable[[], Changes]) -> None:
        self.slots = slots
        self.changes = changes
        self.key = config.encryption_key
        engine.server_functions(config.enable_wasm_functions)
        self._extensions = [] if config.extensions_path is None else trusted(config.extensions_path)
        # Set once there are namespaces: what opens one by its name, and the migrations of all shared schemas.
        self.open: Callable[[str], Awaitable[Namespace]]
        self.migrations: Migrations | None = None
        self.wal_pages = WAL_PAGES if config.checkpoint_interval_s is None else 0

    def connect(self, name: str, path: str, config: NamespaceConfig) -> ServerConnection:
        """Open a connection; the log is copied by the pool's keeper, not by whoever makes it long."""
        made = engine.ServerConnection(
            path,
            name=name,
            row_limit=config.row_limit,
            max_pages=min(config.max_db_pages, 0xFFFFFFFE),
            synchronous=config.synchronous,
            wal_autocheckpoint=0,
            encryption_key=self.key,
            cipher="aes256cbc" if self.key is not None else None,
        )
        for path in self._extensions:
            made.load_extension(path)
        return made

    def open_file(self, path: Path | str) -> engine.Connection:
        """A plain connection, for dumps and copies."""
        cipher: Any = "aes256cbc" if self.key is not None else None
        return engine.connect(
            path, timeout=60, autocommit=True, check_same_thread=False, encryption_key=self.key, cipher=cipher
        )
