"""Group commit: single writes of clients that wait for the write lock run in one transaction, each as if alone.

A request of one INSERT, UPDATE, DELETE or REPLACE outside of transactions needs no connection of its own. While
somebody else writes, such requests gather; when the lock comes, all of them share one commit, and one sync of the disk.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from libsql_core._engine import StatementError
from libsql_core.replication.protobuf import encode_varint
from libsql_core.server.api import FULL

if TYPE_CHECKING:
    from libsql_core._engine import ServerConnection
    from libsql_core.hrana.types import Stmt
    from libsql_core.server.api import Namespace, RequestContext
    from libsql_core.server.flow import Workers
    from libsql_core.server.session import Encoding

# Statements that share a commit at most: who waits behind them waits that long.
MOST = 128
_WRITES = re.compile(r"\s*(?:insert|update|delete|replace)\b", re.IGNORECASE)

_NO_INDEX = b'"replication_index":null,"rows_read"'

Waiting = tuple["Stmt", "Encoding", float, "asyncio.Future[bytes]"]


def _indexed(result: bytes, index: int | None) -> bytes:
    """A StmtResult with the last frame in the log: JSON has a place for it, protobuf takes it anywhere."""
    if index is None:
        return result
    if result[:1] == b"{":
        return result.replace(_NO_INDEX, b'"replication_index":"%d","rows_read"' % index, 1)
    return result + b"\x28" + encode_varint(index)


class Group:
    """Writes that wait for the lock of a namespace, and share it."""

    def __init__(self) -> None:
        self.waiting: list[Waiting] = []

    def steal(self) -> None:
        """It does not keep the lock for longer than its statements take (api.Holder)."""


class Groups:
    """Those of all namespaces that wait at the moment."""

    def __init__(self, workers: Workers, limit: int) -> None:
        self._workers = workers
        self._limit = limit
        self._groups: dict[Namespace, Group] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def fits(self, context: RequestContext, stmt: Stmt) -> bool:
        """Whether a statement, all that its request asks for, would wait and may run with others."""
        namespace = context.namespace
        if namespace.writers.holder is None or stmt.sql is None or stmt.sql_id is not None:
            return False
        if context.permission != FULL or (stmt.args and stmt.named_args):
            return False
        config = namespace.config
        if config.block_writes or config.block_reads or namespace.migrations is not None or namespace.changes.watched:
            return False
        return _WRITES.match(stmt.sql) is not None

    async def execute(self, context: RequestContext, stmt: Stmt, encoding: Encoding) -> bytes:
        """The StmtResult of a statement that fits."""
        loop = asyncio.get_running_loop()
        namespace = context.namespace
        group = self._groups.get(namespace)
        if group is None or len(group.waiting) >= MOST:
            group = self._groups[namespace] = Group()
            task = loop.create_task(self._run(namespace, group))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        future: asyncio.Future[bytes] = loop.create_future()
        group.waiting.append((stmt, encoding, loop.time(), future))
        return await future

    async def _run(self, namespace: Namespace, group: Group) -> None:
        try:
            connection = await namespace.acquire()
            try:
                await namespace.writers.acquire(group)
                try:
                    await self._commit(namespace, connection, self._close(namespace, group))
                finally:
                    namespace.writers.release(group)
                namespace.wrote(connection)
            finally:
                namespace.release(connection)
        except BaseException as error:
            for *_, future in self._close(namespace, group):
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise

    def _close(self, namespace: Namespace, group: Group) -> list[Waiting]:
        """Nobody joins any more."""
        if self._groups.get(namespace) is group:
            del self._groups[namespace]
        return group.waiting

    async def _commit(self, namespace: Namespace, connection: ServerConnection, waiting: list[Waiting]) -> None:
        now = asyncio.get_running_loop().time()
        items: list[Any] = []
        futures = []
        for stmt, encoding, since, future in waiting:
            if future.done():  # its client has gone
                continue
            try:
                plan = connection.plan(stmt.sql or "")
            except StatementError as error:
                future.set_exception(error)
                continue
            items.append((plan, stmt.args, stmt.named_args, encoding, int((now - since) * 1_000_000)))
            futures.append(future)
        if not items:
            return
        connection.indexed = False  # they are made before their commit
        try:
            done = await self._workers.run(connection.interrupt, connection.execute_group, items, self._limit)
        finally:
            connection.indexed = True
        index = namespace.index
        for (plan, *_), future, (result, micros, rows_read, rows_written) in zip(items, futures, done, strict=True):
            namespace.stats.note(plan.sql, micros, rows_read, rows_written)
            if future.done():
                continue
            if isinstance(result, StatementError):
                future.set_exception(result)
            else:
                future.set_result(_indexed(result, index))
