"""A stream's session: one connection, its transaction, and the rules by which its statements run.

Owns: the namespace's write lock while the transaction writes; the connection from `open` to `close`. One request at a
time, which its users see to. A statement known to be short runs on the loop, others in a worker thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from libsql_core._engine import Plan, StatementError
from libsql_core.hrana import conditions
from libsql_core.hrana.encode import Codec
from libsql_core.hrana.errors import HttpError, SqlError
from libsql_core.hrana.types import Batch, Condition, Stmt, Text, Value
from libsql_core.server.api import ATTACH, DDL, FULL, READ, WRITE, MigrationError, MigrationStep

if TYPE_CHECKING:
    from libsql_core._engine import ServerConnection, ServerCursor
    from libsql_core.server.api import Holder, RequestContext, Settings
    from libsql_core.server.flow import Workers
    from libsql_core.server.streams import Ticket
    from libsql_core.server.texts import SqlTexts

# What a statement may take to run on the loop, in microseconds: the loop serves nobody else meanwhile.
SHORT = 400
# Statements in a row on the loop, in seconds, before others get their turn.
TURN = 0.002

# What keeps one statement, not its stream, from going on.
FAILURES = (StatementError, SqlError)

T = TypeVar("T")
P = ParamSpec("P")

# The right that each class of statements needs, and its name in refusals.
_NEEDS = {
    Plan.READ: READ,
    Plan.WRITE: WRITE,
    Plan.DDL: WRITE,
    Plan.TXN: READ,
    Plan.SAVEPOINT: READ,
    Plan.ATTACH: READ,  # the attached namespace asks for more
    Plan.DETACH: 0,
}
_NAMES = {READ: "Read", WRITE: "Write", ATTACH: "AttachRead"}
_WRITES = {Plan.WRITE, Plan.DDL}
# What a shared schema does not run as others do.
_OF_SCHEMAS = {Plan.WRITE, Plan.DDL, Plan.TXN, Plan.SAVEPOINT}

Encoding = Literal[0, 1, 2, 3, 4]
Bound = tuple[Plan, Sequence[Value], Sequence[tuple[str, Value]]]


class Session:
    """What a stream does with its database."""

    def __init__(
        self,
        context: RequestContext,
        connection: ServerConnection,
        workers: Workers,
        settings: Settings,
        texts: SqlTexts,
    ) -> None:
        self.context = context
        self.connection = connection
        self.namespace = context.namespace
        self.texts = texts
        self.limit = settings.max_response_size  # bytes of one result
        self.closed = False
        self._workers = workers
        self._longest = settings.max_statement_time_s
        self._in_use = False  # by a request
        self._holder: Holder = self  # of the write lock, as its queue knows us
        self._holds = False
        self._since = 0.0  # when this turn on the loop began
        self._busy = False  # a worker runs a statement
        self._doomed = False  # the lock is lost as soon as that statement ends
        self._timed_out = False  # it was lost, and the client does not know yet
        self._deleted = False

    # What the write lock and the namespace do to it.

    def take_over(self, ticket: Ticket) -> None:
        """Have the lock that was waited for before there was a connection."""
        ticket.session = self
        self._holder, self._holds = ticket, True

    def steal(self) -> None:
        """Give the write lock up: now, or when the running statement has ended."""
        if self._busy:
            self._doomed = True
            return
        self._doomed = False
        if self._holds:
            self.connection.rollback()
            self._timed_out = True
            self._release()

    def delete(self) -> None:
        """The namespace goes: what runs is stopped and rolled back, and what comes is refused."""
        self._deleted = True
        if self._in_use:
            self._doomed = True
            if self._busy:
                self.connection.interrupt()
        else:
            self.close()

    @property
    def calm(self) -> bool:
        """Nothing keeps the next statement from running at once."""
        return not (self._in_use or self._timed_out or self._deleted or self.closed)

    def enter(self) -> None:
        """A request begins."""
        self._in_use = True

    def leave(self) -> None:
        """The request has ended."""
        self._in_use = False
        if self._deleted:
            self.close()

    def close(self) -> None:
        """Roll back and give everything back. Nothing of it may be running."""
        if not self.closed:
            self.closed = True
            self._release()
            self.namespace.release(self.connection)

    # Statements.

    def resolve(self, stmt: Stmt, version: int) -> Bound:
        """A statement ready to run, or why it cannot: nothing of its request has run yet."""
        sql = self.texts.find(stmt.sql, stmt.sql_id, version)
        if stmt.args and stmt.named_args:
            message = "Specifying both positional and named arguments is not supported"
            raise SqlError(message, "ARGS_BOTH_POSITIONAL_AND_NAMED")
        return self.connection.plan(sql), stmt.args, stmt.named_args

    async def execute(self, bound: Bound, encoding: Encoding, limit: int | None = None) -> bytes:
        """The StmtResult of one statement."""
        plan, args, named = bound
        self._allow(plan)
        if self.namespace.migrations is not None and plan.kind in _OF_SCHEMAS:
            return await self._execute_of_schema(bound, encoding)
        waited = 0
        connection = self.connection
        if not plan.readonly:
            waited = await self._turn()
        size = self.limit if limit is None else limit
        try:
            if 0 <= plan.micros <= SHORT:
                return connection.execute(plan, args, named, encoding, size, b"", b"", waited)
            return await self._work(connection.execute, plan, args, named, encoding, size, b"", b"", waited)
        finally:
            self._ran(plan)

    async def batch(self, batch: Batch, codec: Codec, version: int) -> bytes:
        """The BatchResult of a batch, all of which is checked before its first statement runs."""
        plans = self._plan_batch(batch, version)
        if self.namespace.migrations is not None and any(plan.kind in _OF_SCHEMAS for plan in plans):
            return await self._batch_of_schema(batch, plans, codec)
        self.connection.indexed = False  # the batch's result tells it for all
        try:
            return await self._steps(batch, plans, codec)
        finally:
            self.connection.indexed = True

    async def _steps(self, batch: Batch, plans: list[Plan], codec: Codec) -> bytes:
        results: list[bytes | None] = [None] * len(plans)
        errors: list[bytes | None] = [None] * len(plans)
        left = self.limit
        stolen = self._timed_out
        encoding = codec.number
        number = 0
        while number < len(plans):
            step, before = batch.steps[number], number
            try:
                if stolen or self._timed_out:
                    stolen = self._timed_out = True  # each step is told
                elif step.condition is not None and not self.holds(step.condition, results):
                    number += 1
                    continue
                elif self._plain:
                    number, left, failure = self._execute_steps(plans, batch, number, results, encoding, left)
                    if failure is not None:
                        raise failure
                    if number > before:
                        await self.yield_turn()
                        continue
                bound = plans[number], step.stmt.args, step.stmt.named_args
                result = await self.execute(bound, encoding, left)
            except FAILURES as error:
                if error.code == "RESPONSE_TOO_LARGE":
                    raise
                errors[number] = codec.error(error.message, error.code)
            else:
                results[number] = result
                left -= len(result)
            number += 1
            await self.yield_turn()
        return codec.batch(results, errors, self.namespace.index)

    @property
    def _plain(self) -> bool:
        """Nothing has to be asked before a statement runs, but for the lock."""
        config = self.namespace.config
        return self.context.permission == FULL and not (config.block_reads or config.block_writes or self._deleted)

    def _execute_steps(
        self, plans: list[Plan], batch: Batch, first: int, results: list[bytes | None], encoding: Encoding, size: int
    ) -> tuple[int, int, StatementError | None]:
        """Run the steps from one on that are known to be short: where that ended, what is left of the size, why."""
        connection = self.connection
        try:
            number, left, noted, failure = connection.execute_steps(
                plans, batch.steps, first, results, encoding, size, self._holds, SHORT, int(TURN * 1_000_000)
            )
        except BaseException:
            self._settle()
            raise
        if noted:
            self._settle()
            for each in noted:
                self.namespace.stats.note(*each)
            if connection.autocommit:
                if connection.watching:
                    self.namespace.changes.publish(connection.take_changes())
                self.namespace.wrote(connection)
        return number, left, failure

    def resolve_batch(self, batch: Batch, version: int) -> list[Bound]:
        """The statements of a batch, ready to run, or what is wrong with one of them."""
        plans = self._plan_batch(batch, version)
        return [(plan, *step.stmt[2:]) for plan, step in zip(plans, batch.steps, strict=True)]

    def _plan_batch(self, batch: Batch, version: int) -> list[Plan]:
        conditions.check(batch, version)
        plans = self.connection.plan_steps(batch.steps)
        if plans is None:
            plans = [self.resolve(step.stmt, version)[0] for step in batch.steps]
        return plans

    def holds(self, condition: Condition, results: Sequence[object]) -> bool:
        return conditions.met(condition, results, self.autocommit())

    async def sequence(self, text: Text, version: int) -> None:
        sql = self.texts.find(text.sql, text.sql_id, version)
        connection = self.connection
        plans = connection.parse(sql)
        if self.namespace.migrations is not None and any(plan.kind in _OF_SCHEMAS for plan in plans):
            await self._sequence_of_schema(plans)
            return
        for plan in plans:
            self._allow(plan)
            if not plan.readonly:
                await self._turn()
            try:
                if 0 <= plan.micros <= SHORT:
                    connection.run(plan)
                else:
                    await self._work(connection.run, plan)
            finally:
                self._ran(plan)
            await self.yield_turn()

    async def describe(self, text: Text, codec: Codec, version: int) -> bytes:
        """A DescribeResult. It takes no part in the policy of statements, only the right to read."""
        sql = self.texts.find(text.sql, text.sql_id, version)
        self._check()
        self._need(READ)
        return self.connection.describe(sql, codec.number)

    def abandon(self) -> None:
        """Roll back what is open."""
        self.connection.rollback()
        self._settle()

    def autocommit(self) -> bool:
        return self.connection.autocommit

    # Cursors: a step's entries a few at a time, its lock held in between.

    async def open_step(self, bound: Bound, encoding: Encoding, step: int, *, socket: bool) -> ServerCursor:
        plan, args, named = bound
        self._allow(plan)
        if self.namespace.migrations is not None and plan.kind in _OF_SCHEMAS:
            raise SqlError("SQLite error: a cursor cannot run a migration", "SQLITE_UNKNOWN")
        if not plan.readonly:
            await self._turn()
        try:
            return self.connection.cursor(plan, args, named, encoding, step, socket)
        except BaseException:
            self._settle()
            raise

    async def fetch(self, plan: Plan, cursor: ServerCursor, entries: int, size: int) -> tuple[bytes, int, bool]:
        # Of a step that writes, the first fetch may take any time; of others the size bounds it.
        if 0 <= plan.micros <= SHORT and size <= 1 << 16:
            got = cursor.fetch(entries, size)
        else:
            got = await self._work(cursor.fetch, entries, size)
        if got[2]:
            self._ran(plan)
        return got

    def close_step(self, cursor: ServerCursor) -> None:
        cursor.close()
        self._settle()

    # What is written to a shared schema: migrations, of which transactions are no part.

    async def _execute_of_schema(self, bound: Bound, encoding: Encoding) -> bytes:
        plan, args, named = bound
        try:
            if plan.kind == Plan.TXN:
                return await self._transaction_of_schema(plan, encoding)
            (result,) = await self._migrate([MigrationStep(plan.sql, plan.kind, args, named)], encoding)
        except MigrationError as error:
            raise SqlError(f"SQLite error: {error}", "SQLITE_UNKNOWN") from None
        assert result is not None
        return result

    async def _batch_of_schema(self, batch: Batch, plans: list[Plan], codec: Codec) -> bytes:
        steps = [
            MigrationStep(_neutral(plan), plan.kind, step.stmt.args, step.stmt.named_args, step.condition)
            for plan, step in zip(plans, batch.steps, strict=True)
        ]
        try:
            if all(plan.kind == Plan.TXN for plan in plans):
                results: list[bytes | None] = []
                for plan in plans:
                    self._allow(plan)
                    results.append(await self._transaction_of_schema(plan, codec.number))
            else:
                for plan in plans:
                    self._allow(plan)
                results = await self._migrate(steps, codec.number)
        except MigrationError as error:
            raise SqlError(f"Schema migration error: {error}", "SCHEMA_MIGRATION_ERROR") from None
        return codec.batch(results, [None] * len(results), None)

    async def _sequence_of_schema(self, plans: list[Plan]) -> None:
        try:
            for plan in plans:
                self._allow(plan)
            if all(plan.kind == Plan.TXN for plan in plans):
                for plan in plans:
                    await self._transaction_of_schema(plan, 0)
            elif any(plan.kind in (Plan.TXN, Plan.SAVEPOINT) for plan in plans):
                reason = "it contains transaction items (BEGIN, COMMIT, SAVEPOINT...) which are not allowed."
                text = f"migration is invalid: {reason} The migration is already run within a transaction"
                raise MigrationError(text)
            else:
                await self._migrate([MigrationStep(plan.sql, plan.kind) for plan in plans], 0)
        except MigrationError as error:
            raise SqlError(f"SQLite error: {error}", "SQLITE_UNKNOWN") from None

    async def _migrate(self, steps: list[MigrationStep], encoding: Encoding) -> list[bytes | None]:
        if not self.connection.autocommit:
            raise MigrationError("Interactive transactions are not allowed against a schema")
        assert self.namespace.migrations is not None
        return await self.namespace.migrations.migrate(self.namespace.name, steps, encoding, self.limit)

    async def _transaction_of_schema(self, plan: Plan, encoding: Encoding) -> bytes:
        result = await self._work(self.connection.execute, plan, (), (), encoding, self.limit, b"", b"", 0)
        if not self.connection.autocommit:
            raise MigrationError("Connection left in transaction state")
        return result

    # How a statement gets to run.

    def permit(self, plans: Iterable[Plan]) -> None:
        """Raise what keeps one of them from running at this moment, or what happened since the last request."""
        self._check()
        for plan in plans:
            self._allow(plan)

    def _check(self) -> None:
        if self._timed_out:
            self._timed_out = False
            raise SqlError("Transaction timed out", "TRANSACTION_TIMEOUT")
        if self._deleted:
            raise HttpError(404, f"Namespace `{self.namespace.name}` doesn't exist")

    def _need(self, right: int) -> None:
        if right & ~self.context.permission:
            name, namespace = _NAMES[right], self.namespace.name
            message = f"Current session doesn't not have {name} permission to namespace {namespace}"
            raise HttpError(403, f"Authorization forbidden: {message}")

    def _allow(self, plan: Plan) -> None:
        """Raise what keeps a statement from running at this moment: theft of its lock, rights, blocks."""
        if self._timed_out or self._deleted:
            self._check()
        kind = plan.kind
        config = self.namespace.config
        if self.context.permission != FULL:
            self._need(_NEEDS[kind])
            if kind == Plan.DDL and config.shared_schema_name and not self.context.permission & DDL:
                message = f"DDL statements not permitted on namespace {self.namespace.name}"
                raise HttpError(403, f"Authorization forbidden: {message}")
        if (config.block_writes and kind in _WRITES) or (
            config.block_reads and (kind in _WRITES or kind == Plan.READ or plan.begins)
        ):
            reason = f": {config.block_reason}" if config.block_reason else ""
            raise SqlError(f"Operation was blocked{reason}", "BLOCKED")
        if kind == Plan.ATTACH and plan.attach_name is not None:
            plan.attach_path = self.context.attach(plan.attach_name)

    async def _turn(self) -> int:
        """Get ready to write: take the lock, and say how many microseconds that took."""
        self.connection.watching = self.namespace.changes.watched
        writers = self.namespace.writers
        if self._holds:
            return 0
        if writers.try_acquire(self._holder):
            self._holds = True
            return 0
        began = time.perf_counter()
        await writers.acquire(self._holder)
        self._holds = True
        if self._deleted:
            self._release()
            self._check()
        return int((time.perf_counter() - began) * 1_000_000)

    async def _work(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._busy = True
        timer = None
        if self._longest is not None:
            timer = asyncio.get_running_loop().call_later(self._longest, self.connection.interrupt)
        try:
            return await self._workers.run(self.connection.interrupt, work, *args, **kwargs)
        finally:
            if timer is not None:
                timer.cancel()
            self._busy = False
            self._since = time.perf_counter()

    def _ran(self, plan: Plan) -> None:
        connection = self.connection
        self._settle()
        namespace = self.namespace
        namespace.stats.note(plan.sql, connection.micros, connection.rows_read, connection.rows_written)
        if connection.watching and connection.autocommit:
            namespace.changes.publish(connection.take_changes())
        if connection.autocommit and (not plan.readonly or plan.kind == Plan.TXN):
            namespace.wrote(connection)

    def _settle(self) -> None:
        """After a statement: the lock goes back once no transaction needs it, or somebody has taken it away."""
        if self._doomed:
            self._doomed = False
            if not self.connection.autocommit:
                self.connection.rollback()
                self._timed_out = not self._deleted
            self._release()
        elif self._holds and self.connection.autocommit:
            self._release()

    def _release(self) -> None:
        if self._holds:
            self._holds = False
            self.namespace.writers.release(self._holder)

    def begin_turn(self) -> None:
        """A request begins to use the loop."""
        self._since = time.perf_counter()

    async def yield_turn(self) -> None:
        """Let others run if the loop has been ours for long."""
        if time.perf_counter() - self._since > TURN:
            await _Turn()
            self._since = time.perf_counter()


def _neutral(plan: Plan) -> str:
    """What runs instead of a statement that begins or ends a transaction."""
    if plan.kind != Plan.TXN:
        return plan.sql
    return "SELECT 'neutralized txn begin'" if plan.begins else "SELECT 'neutralized txn component'"


class _Turn:
    def __await__(self) -> Any:
        yield
