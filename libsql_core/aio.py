"""The module for asyncio: each connection has a thread of its own, in which everything runs in turn.

    from libsql_core import aio

    async with aio.connect("local.db", sync_url="http://primary:8080") as con:
        await con.sync()
        async with con.execute("select name from people") as cursor:
            async for (name,) in cursor:
                ...

What `libsql_core.connect()` takes, `connect()` takes; what returns at once there is a plain method or attribute here.
Leaving `async with` closes the connection, which rolls back what is not committed. A call that is cancelled ends in its
thread all the same; `interrupt()` makes it end soon.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from libsql_core import _engine

__all__ = ["Connection", "Cursor", "connect"]

# Rows that are fetched at once where they are asked for one by one.
_ROWS = 64

T = TypeVar("T")


class _Closing(Protocol):
    async def close(self) -> None: ...


C = TypeVar("C", bound=_Closing)


class _Pending(Generic[C]):
    """What is made by awaiting this, or by `async with`, which closes it in the end."""

    def __init__(self, make: Callable[[], Generator[Any, Any, C]]) -> None:
        self._make = make
        self._made: C | None = None

    def __await__(self) -> Generator[Any, Any, C]:
        return self._make()

    async def __aenter__(self) -> C:
        self._made = await self
        return self._made

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._made is not None
        await self._made.close()


class Cursor:
    """A cursor; made by `Connection.execute()` and its like, or by `Connection.cursor()`."""

    def __init__(self, connection: Connection, cursor: Any) -> None:
        self.connection = connection
        self._cursor = cursor

    async def execute(self, sql: str, parameters: Any = (), /) -> Cursor:
        """Run one SQL statement. Returns the cursor itself."""
        await self.connection.run(self._cursor.execute, sql, parameters)
        return self

    async def executemany(self, sql: str, seq_of_parameters: Iterable[Any], /) -> Cursor:
        """Run one INSERT, UPDATE, DELETE or REPLACE once for each item. Returns the cursor itself."""
        await self.connection.run(self._cursor.executemany, sql, seq_of_parameters)
        return self

    async def executescript(self, sql_script: str, /) -> Cursor:
        """Run any number of statements. Returns the cursor itself."""
        await self.connection.run(self._cursor.executescript, sql_script)
        return self

    async def fetchone(self) -> Any:
        """The next row, or None."""
        return await self.connection.run(self._cursor.fetchone)

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        """A list of up to size rows (`arraysize` by default); empty at the end."""
        return await self.connection.run(self._cursor.fetchmany, self.arraysize if size is None else size)

    async def fetchall(self) -> list[Any]:
        """A list of all remaining rows."""
        return await self.connection.run(self._cursor.fetchall)

    async def close(self) -> None:
        """Close the cursor."""
        await self.connection.run(self._cursor.close)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while rows := await self.fetchmany(_ROWS):
            for row in rows:
                yield row

    async def __aenter__(self) -> Cursor:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def description(self) -> Any:
        """A 7-tuple for each column of the last query, its name first; None if it had no columns."""
        return self._cursor.description

    @property
    def rowcount(self) -> int:
        """Rows changed by the last INSERT, UPDATE, DELETE or REPLACE; -1 for other statements."""
        return int(self._cursor.rowcount)

    @property
    def lastrowid(self) -> int | None:
        """The last inserted row id, or None."""
        rowid: int | None = self._cursor.lastrowid
        return rowid

    @property
    def arraysize(self) -> int:
        """How many rows `fetchmany` fetches by default."""
        return int(self._cursor.arraysize)

    @arraysize.setter
    def arraysize(self, rows: int) -> None:
        self._cursor.arraysize = rows

    @property
    def row_factory(self) -> Any:
        """Called with the plain cursor and a tuple for each row; None for the tuple itself."""
        return self._cursor.row_factory

    @row_factory.setter
    def row_factory(self, factory: Any) -> None:
        self._cursor.row_factory = factory


class Connection:
    """A connection; made by `connect()`. `plain` is the one of `libsql_core` that it runs on."""

    def __init__(self, plain: Any, thread: ThreadPoolExecutor) -> None:
        self.plain = plain
        self._thread = thread
        self._closed = False

    async def run(self, function: Callable[..., T], *args: Any, **options: Any) -> T:
        """Call a function in the connection's thread: any method of `plain`, for one."""
        if self._closed:
            raise _engine.ProgrammingError("Cannot operate on a closed database.")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: function(*args, **options))

    def _cursor(self, function: Callable[..., Any], *args: Any) -> _Pending[Cursor]:
        async def make() -> Cursor:
            return Cursor(self, await self.run(function, *args))

        return _Pending(lambda: make().__await__())

    def execute(self, sql: str, parameters: Any = (), /) -> _Pending[Cursor]:
        """Run one statement on a new cursor: `await` that, or use it in `async with`."""
        return self._cursor(self.plain.execute, sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> _Pending[Cursor]:
        """Run one data-changing statement for each item, on a new cursor."""
        return self._cursor(self.plain.executemany, sql, parameters)

    def executescript(self, sql_script: str, /) -> _Pending[Cursor]:
        """Run any number of statements on a new cursor."""
        return self._cursor(self.plain.executescript, sql_script)

    def cursor(self) -> _Pending[Cursor]:
        """A new cursor."""
        return self._cursor(self.plain.cursor)

    async def commit(self) -> None:
        """Commit the open transaction, if there is one."""
        await self.run(self.plain.commit)

    async def rollback(self) -> None:
        """Roll back the open transaction, if there is one."""
        await self.run(self.plain.rollback)

    async def sync(self, progress: Callable[[int, int], object] | None = None) -> Any:
        """Synchronize a replica with its primary; `progress` is called in the connection's thread."""
        return await self.run(self.plain.sync, progress)

    async def apply_snapshot(self, path: Any) -> Any:
        """Take the frames of a snapshot file of the primary's log."""
        return await self.run(self.plain.apply_snapshot, path)

    async def close(self) -> None:
        """Close the connection. An open transaction is rolled back."""
        if self._closed:
            return
        try:
            await self.run(self.plain.close)
        finally:
            self._closed = True
            self._thread.shutdown(wait=False)

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def interrupt(self) -> None:
        """Make the statement that runs fail soon."""
        self.plain.interrupt()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return bool(self.plain.in_transaction)

    @property
    def total_changes(self) -> int:
        """Rows changed since the connection was opened."""
        return int(self.plain.total_changes)

    @property
    def row_factory(self) -> Any:
        """What cursors are given as row_factory."""
        return self.plain.row_factory

    @row_factory.setter
    def row_factory(self, factory: Any) -> None:
        self.plain.row_factory = factory


def connect(database: Any, *args: Any, **options: Any) -> _Pending[Connection]:
    """Open a database, or with sync_url a replica, as `libsql_core.connect()` does: `await` it or use `async with`."""

    async def make() -> Connection:
        thread = ThreadPoolExecutor(1, thread_name_prefix="libsql_core aio")
        # Used in that one thread, save for the attributes.
        given = options if len(args) > 3 else {**options, "check_same_thread": False}
        opening = thread.submit(_engine.connect, database, *args, **given)
        try:
            return Connection(await asyncio.wrap_future(opening), thread)
        except BaseException:
            # Cancelled meanwhile or failed: what may still be opened is closed there.
            thread.submit(_abandon, opening)
            thread.shutdown(wait=False)
            raise

    return _Pending(lambda: make().__await__())


def _abandon(opening: Any) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
