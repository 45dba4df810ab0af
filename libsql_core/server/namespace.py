"""One namespace: its folder, its configuration and what its connections share; and what all of them are made with."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from libsql_core import _engine as engine
from libsql_core._engine import ReplicationLog
from libsql_core.hrana.errors import HttpError
from libsql_core.server import auth, sentinel
from libsql_core.server.extensions import trusted
from libsql_core.server.generations import Generations
from libsql_core.server.lock import WriterQueue
from libsql_core.server.log import logger
from libsql_core.server.metastore import NamespaceConfig
from libsql_core.server.pool import WAL_PAGES, Pool, Slots
from libsql_core.server.sentinel import Ended
from libsql_core.server.session import Session
from libsql_core.server.stats import Stats
from libsql_core.server.sync_clients import SyncClients

if TYPE_CHECKING:
    from libsql_core._engine import ServerConnection
    from libsql_core.server.api import Changes, Migrations
    from libsql_core.server.config import Config
    from libsql_core.server.replicator import Replicator
    from libsql_core.server.snapshot_script import SnapshotScript
    from libsql_core.server.upstream import Upstream

CIPHER: Literal["aes256cbc"] = "aes256cbc"
# What the log is made of; bytes of a frame in it.
LOG_FILES = ("wallog", "snapshots", "to_compact")
FRAME = 4120
# `PRAGMA synchronous`: a commit that was acknowledged outlives the machine.
FULL = 2
# Seconds that clients have to take what is being sent from the log, before its file changes.
ANSWERS_S = 20.0
# Smaller files are not shrunk.
VACUUM_PAGES = 1 << 16

log = logger("namespace")

T = TypeVar("T")


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _seal(history: Generations) -> None:
    """Begin a new file, and with it a generation: clients see both or none."""
    history.log.seal()
    history.advance()


class Patient:
    """Holds the write lock for as long as its work takes (api.Holder)."""

    def steal(self) -> None:
        pass


class Namespace:
    """Implements api.Namespace: one that is open, or asleep (its files closed) until somebody wants a connection."""

    sessions: type[Session] = Session

    def __init__(self, name: str, config: NamespaceConfig, folder: Path, parts: Parts) -> None:
        """Blocks: the folder is made, the database opened."""
        self.name = name
        self.folder = folder
        self.path = str(folder / "data")
        self.closed = self.asleep = False
        self.used = 0
        self.replicator: Replicator | None = None  # what keeps it, if it is a copy
        self._parts = parts
        # Counts configurations: clients that copy the log are to hear of another one.
        self.version = 0
        self.log: ReplicationLog | None = None
        # Answers that are being sent from the log's file.
        self.answers = 0
        self._awaiting: set[asyncio.Future[None]] = set()
        self._compacting: asyncio.Task[None] | None = None
        self._generations: Generations | None = None
        self._history = asyncio.Lock()
        self.configure(config)
        folder.mkdir(parents=True, exist_ok=True)
        self.writers = WriterQueue(lambda: self.config.timeout)
        self.stats = Stats(folder)
        self.stats.index = lambda: -1 if self.index is None else self.index
        self.sync_clients = SyncClients(folder)
        self.changes = parts.changes()
        self.migrations = parts.migrations if config.shared_schema else None
        self.pool = self._open()

    def _open(self) -> Pool:
        mark, old = self.folder / ".sentinel", (self.folder / "wallog").exists()
        ended = sentinel.look(mark)
        if ended is Ended.DOWN and self.config.synchronous < FULL:
            # Replicas may have commits that are gone, under whose numbers others would come.
            for name in LOG_FILES:
                remove(self.folder / name)
        sentinel.put(mark)
        remove(self.folder / "tmp")
        parts = self._parts
        dirty = ended is not Ended.CLOSED
        made = ReplicationLog(self.folder, dirty=dirty, encryption_key=parts.key, cipher=parts.cipher)
        if made.rebuilt and old:
            why = "the machine went down" if ended is Ended.DOWN else "it did not fit the database"
            log.warning("the replication log of `%s` was begun anew: %s", self.name, why)
        elif dirty:
            log.info("the replication log of `%s` was compared with its database", self.name)
        self.log = made
        self.stats.index = lambda: made.last
        # What a server that ended meanwhile has left to do.
        self._unfinished = any((self.folder / "to_compact").glob("*"))
        try:
            return Pool(self.name, parts.slots, self._connect, self.writers, parts.wal_pages)
        except BaseException:
            self._end_log()
            raise

    def _end_log(self) -> None:
        ended, self.log, self._generations = self.log, None, None
        if ended is not None:
            last = ended.last
            self.stats.index = lambda: last
            ended.close()

    def reopen(self) -> None:
        """Wake up. Blocks."""
        self.pool = self._open()
        self.asleep = False

    def configure(self, config: NamespaceConfig) -> None:
        self.config = config
        self.version += 1
        self._announce()
        # What tells who asks, if it is not what the server has.
        self.auth: auth.Authenticator | None = None
        if config.jwt_key is not None:
            try:
                self.auth = auth.tokens(config.jwt_key)
            except auth.InvalidKey as error:
                log.warning("the key of namespace `%s` lets nobody in: %s", self.name, error)
                self.auth = auth.Closed()

    @property
    def current(self) -> bool:
        """Reads of those who know nothing of its history may run here. They always may on a primary."""
        return True

    def _connect(self) -> ServerConnection:
        return self._parts.connect(self.name, self.path, self.config, self.log)

    @property
    def idle(self) -> ServerConnection | None:
        return self.pool.idle

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
        self.written()

    # The replication log

    @property
    def index(self) -> int | None:
        """The last frame that was committed; None while there is none."""
        last = -1 if self.log is None else self.log.last
        return None if last < 0 else last

    def written(self) -> None:
        """The log may have grown."""
        if self._awaiting:
            self._announce()
        if self.log is not None and self.log.frames_in_log > self._parts.log_frames:
            self.compact()

    @property
    def unused(self) -> bool:
        """Nobody needs it to be open."""
        return not (self.pool.busy or self.changes.watched or self.stats.followers or self._compacting)

    @contextlib.contextmanager
    def followed(self) -> Iterator[None]:
        """Somebody copies the log as it grows."""
        self.stats.followers += 1
        try:
            yield
        finally:
            self.stats.followers -= 1

    def leave(self) -> None:
        """The server stops: streams of the log end."""
        self.version += 1
        self._announce()

    async def committed(self, frame: int) -> None:
        """Wait until the log has a frame. It may have ended, or the configuration changed, instead."""
        if self.log is None or self.log.last >= frame:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaiting.add(future)
        try:
            await future
        finally:
            self._awaiting.discard(future)

    def _announce(self) -> None:
        for future in self._awaiting:
            if not future.done():
                future.set_result(None)

    def look(self) -> None:
        """What is due once a second."""
        self.pool.watch_all()
        if self._awaiting:
            self._announce()
        if self.log is None:
            return
        limit = self._parts.log_seconds
        old = limit is not None and self.log.frames_in_log > 0 and self.log.age > limit
        if old or self._unfinished or self.log.frames_in_log > self._parts.log_frames:
            self.compact()

    @property
    def compacting(self) -> bool:
        return self._compacting is not None

    def compact(self) -> asyncio.Task[None]:
        """Begin a new log, and make a snapshot of what was in it."""
        if self._compacting is None:
            self._compacting = asyncio.get_running_loop().create_task(self._compact())
        return self._compacting

    async def _compact(self) -> None:
        try:
            written = self.log
            if written is None:
                return
            # Answers that are being sent from it come first, unless their clients are slow.
            ends = monotonic() + ANSWERS_S
            while self.answers and monotonic() < ends:
                await asyncio.sleep(0.05)
            holder = Patient()
            await self.writers.acquire(holder)
            try:
                if Generations.wanted(self.folder):
                    await self.in_history(_seal)
                else:
                    await asyncio.to_thread(written.seal)
            finally:
                self.writers.release(holder)
            self._unfinished = True
            made = await asyncio.to_thread(written.compact)
            self._unfinished = False
            for path, start, end in made:
                log.info("snapshot of `%s`: frames %d to %d", self.name, start, end)
                if (script := self._parts.script) is not None:
                    await asyncio.to_thread(script.add, path, self.name, start, end, written.log_id)
                    script.wake()
        except Exception as error:
            log.warning("Compaction of the log of `%s` failed: %s", self.name, error)
        finally:
            self._compacting = None

    async def snapshot(self, frame: int, seconds: float) -> str | None:
        """The snapshot that has a frame; one that is being made is waited for."""
        if self.log is None:
            return None
        found = await asyncio.to_thread(self.log.snapshot, frame)
        if found is None and (self._compacting is not None or self._unfinished):
            await asyncio.wait([self.compact()], timeout=seconds)
            found = None if self.log is None else await asyncio.to_thread(self.log.snapshot, frame)
        return found

    async def compacted(self) -> None:
        """Wait for snapshots that are being made."""
        if self._compacting is not None or self._unfinished:
            await asyncio.wait([self.compact()])

    async def in_history(self, work: Callable[[Generations], T]) -> T:
        """Do something with the generations, in a thread; nobody else does meanwhile."""

        def run() -> T:
            if self.log is None:
                raise HttpError(404, f"Namespace `{self.name}` doesn't exist")
            if self._generations is None:
                self._generations = Generations(self.folder, self.log, self._parts.key)
            return work(self._generations)

        async with self._history:
            return await asyncio.to_thread(run)

    def injector(self, written: ReplicationLog) -> engine.Injector:
        """Writes frames into the database and the log."""
        parts = self._parts
        return engine.Injector(self.path, log=written, encryption_key=parts.key, cipher=parts.cipher)

    def snapshot_frames(self, path: str, frame: int) -> Iterator[list[bytes]]:
        return engine.snapshot_frames(path, frame, encryption_key=self._parts.key)

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
        finally:
            con.close()
        needed: bool = pages >= VACUUM_PAGES and 2 * free > pages
        if needed:
            writer = self._connect()
            try:
                writer.vacuum()
            finally:
                writer.close()
        return needed

    async def sleep(self) -> None:
        """Close the files."""
        self.asleep = True
        await self._shut()

    async def close(self) -> None:
        self.closed = True
        self.changes.close()
        await self._shut()

    async def _shut(self) -> None:
        if self._compacting is not None:
            await asyncio.wait([self._compacting])
        await self.pool.close()
        async with self._history:
            await asyncio.to_thread(self._leave)
        self._announce()

    def _leave(self) -> None:
        self._end_log()
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
        # The primary, if there is one beside this server.
        self.upstream: Upstream | None = None
        self.wal_pages = WAL_PAGES if config.checkpoint_interval_s is None else 0
        # When a log is long or old enough for a snapshot, and what is run with it.
        self.log_frames = config.max_log_size * 1_000_000 // FRAME
        self.log_seconds = config.max_log_duration
        self.script: SnapshotScript | None = None

    @property
    def cipher(self) -> Literal["aes256cbc"] | None:
        return None if self.key is None else CIPHER

    def connect(
        self, name: str, path: str, config: NamespaceConfig, written: ReplicationLog | None
    ) -> ServerConnection:
        """Open a connection; the log is copied by the pool's keeper, not by whoever makes it long."""
        made = engine.ServerConnection(
            path,
            name=name,
            row_limit=config.row_limit,
            max_pages=min(config.max_db_pages, 0xFFFFFFFE),
            synchronous=config.synchronous,
            wal_autocheckpoint=0,
            encryption_key=self.key,
            cipher=self.cipher,
            log=written,
        )
        for path in self._extensions:
            made.load_extension(path)
        return made

    def open_file(self, path: Path | str) -> engine.Connection:
        """A plain connection, for dumps and copies."""
        return engine.connect(
            path, timeout=60, autocommit=True, check_same_thread=False, encryption_key=self.key, cipher=self.cipher
        )
