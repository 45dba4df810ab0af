"""A stream's session on a replica: what only reads runs on the copy here, all else on a connection of the primary's.

A transaction that may write is the primary's from its BEGIN to its end, reads included. What a client has written, or
has heard of, is on the copy before it reads there; if that takes too long, the primary is asked instead.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from libsql_core._engine import Plan
from libsql_core.hrana.errors import HttpError, SqlError
from libsql_core.hrana.types import IndexedStmt
from libsql_core.replication.errors import ProtocolError
from libsql_core.server.api import READ
from libsql_core.server.relay import STREAM, for_proxy
from libsql_core.server.remote import (
    Answer,
    Remote,
    describe_result,
    program,
    step_entries,
    stmt_result,
    unreachable,
)
from libsql_core.server.replicator import HELLO_S
from libsql_core.server.session import FAILURES, Bound, Encoding, Session

if TYPE_CHECKING:
    from libsql_core.hrana.encode import Codec
    from libsql_core.hrana.types import Batch, Condition, Stmt, Text
    from libsql_core.server.replica import ReplicaNamespace

# Seconds that a read waits for what its client knows of.
REACH_S = 2.0

Steps = list[tuple["Condition | None", Bound]]


class RemoteCursor:
    """The entries of a step that ran on the primary (as ServerCursor has them)."""

    error = None

    def __init__(self, made: list[bytes], between: bytes) -> None:
        self._entries = made
        self._between = between
        self._at = 0

    def fetch(self, most: int, size: int) -> tuple[bytes, int, bool]:
        begin = self._at
        while self._at < len(self._entries) and self._at - begin < most and size > 0:
            size -= len(self._entries[self._at])
            self._at += 1
        taken = self._entries[begin : self._at]
        return self._between.join(taken), len(taken), self._at == len(self._entries)

    def close(self) -> None:
        self._entries = []


class ReplicaSession(Session):
    """What a stream does with a replica and its primary."""

    namespace: ReplicaNamespace

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._remote: Remote | None = None
        self._away = False  # a transaction is open on the primary
        self._stays = False  # a batch runs on the copy, all of it
        self._known = 0, -1  # the last frame that the client knows of, and of which history

    # What the namespace and the streams do to it.

    @property
    def calm(self) -> bool:
        return super().calm and not self._away and self._seen <= self.namespace.replicator.frame

    def delete(self) -> None:
        if self._remote is not None:
            self._remote.close()
        super().delete()

    def close(self) -> None:
        self._drop()
        super().close()

    def abandon(self) -> None:
        if self._away:
            self._drop()
        super().abandon()

    def autocommit(self) -> bool:
        return not self._away and self.connection.autocommit

    def _hear(self, index: int | None) -> None:
        """The client knows of a frame."""
        if index is not None:
            self._known = max(self._known, (self.namespace.replicator.history, index))

    @property
    def _seen(self) -> int:
        history, frame = self._known
        return frame if history == self.namespace.replicator.history else -1

    # Where statements run.

    async def _here(self, plans: Sequence[Plan]) -> bool:
        """Whether statements may run on the copy. What the client knows of is there then."""
        if self._away:
            return False
        if self._stays or not self.connection.autocommit:
            return True  # a transaction that does not write
        if not all(map(_reads, plans)):
            return False
        replicator = self.namespace.replicator
        if not replicator.current:
            await replicator.tried(HELLO_S)
        return replicator.current and await replicator.reach(max(self._seen, self.namespace.seen), REACH_S)

    def _line(self) -> Remote:
        """The connection of the primary's."""
        if self._remote is not None and self._remote.ended:
            lost = self._away
            self._drop()
            if lost:
                raise HttpError(500, "the transaction was lost: the connection to the primary has ended")
        if self._remote is None:
            replica = self.namespace
            self._remote = Remote(replica.upstream.talk(STREAM, for_proxy(self.context, replica.name)))
        return self._remote

    async def _forward(self, steps: Steps, limit: int) -> Answer:
        """Run steps on the primary."""
        plans = [plan for _, (plan, _, _) in steps]
        self.permit(plans)
        remote = self._line()
        began = time.perf_counter()
        try:
            answer = await remote.run(program(steps), limit)
        except SqlError:
            raise
        except ProtocolError as error:
            self._drop()
            raise unreachable(str(error)) from None
        except BaseException:
            # Nobody knows what has run: the primary rolls back what was open.
            self._drop()
            raise
        self._away = not answer.autocommit
        if answer.frame is not None:
            self._hear(answer.frame)
            self.namespace.forwarded(answer.frame)
        micros = int((time.perf_counter() - began) * 1e6) // len(steps)
        for plan in plans:
            self.namespace.stats.note(plan.sql, micros, 0, 0)
        if answer.too_large:
            raise SqlError("Response is too large", "RESPONSE_TOO_LARGE")
        return answer

    def _drop(self) -> None:
        self._away = False
        if self._remote is not None:
            self._remote.close()
            self._remote = None

    # Statements.

    def resolve(self, stmt: Stmt, version: int) -> Bound:
        if isinstance(stmt, IndexedStmt):
            self._hear(stmt.frame)
        return super().resolve(stmt, version)

    def _plan_batch(self, batch: Batch, version: int) -> list[Plan]:
        for _, stmt in batch.steps:
            if isinstance(stmt, IndexedStmt):
                self._hear(stmt.frame)
        return super()._plan_batch(batch, version)

    async def execute(self, bound: Bound, encoding: Encoding, limit: int | None = None) -> bytes:
        if await self._here([bound[0]]):
            return await super().execute(bound, encoding, limit)
        size = self.limit if limit is None else limit
        began = time.perf_counter()
        answer = await self._forward([(None, bound)], size)
        (result,) = answer.results
        if result.error is not None:
            raise result.error
        return stmt_result(result, encoding, answer.frame, (time.perf_counter() - began) * 1e3)

    async def batch(self, batch: Batch, codec: Codec, version: int) -> bytes:
        bound = self.resolve_batch(batch, version)
        plans = [plan for plan, _, _ in bound]
        if await self._here(plans):
            return await self._batch_here(batch, codec, version)
        if not self._away and all(map(_might_read, plans)) and await self._here([]):
            # A transaction that only reads need not go far, if it ends where it began.
            made = await self._batch_here(batch, codec, version)
            if self.connection.autocommit:
                return made
            self.connection.rollback()
        if any(plan.kind in (Plan.ATTACH, Plan.DETACH) for plan in plans):
            return await self._one_by_one(batch, bound, codec)
        began = time.perf_counter()
        steps = [(step.condition, one) for step, one in zip(batch.steps, bound, strict=True)]
        answer = await self._forward(steps, self.limit)
        millis = (time.perf_counter() - began) * 1e3 / max(1, len(steps))
        results: list[bytes | None] = []
        errors: list[bytes | None] = []
        for result in answer.results:
            error = result.error
            ran = error is None and result.columns is not None
            results.append(stmt_result(result, codec.number, answer.frame, millis) if ran else None)
            errors.append(None if error is None else codec.error(error.message, error.code))
        return codec.batch(results, errors, answer.frame)

    async def _batch_here(self, batch: Batch, codec: Codec, version: int) -> bytes:
        self._stays = True
        try:
            return await super().batch(batch, codec, version)
        finally:
            self._stays = False

    async def _one_by_one(self, batch: Batch, bound: list[Bound], codec: Codec) -> bytes:
        """Steps of which some run here and some there."""
        results: list[bytes | None] = [None] * len(bound)
        errors: list[bytes | None] = [None] * len(bound)
        for number, (step, one) in enumerate(zip(batch.steps, bound, strict=True)):
            if step.condition is not None and not self.holds(step.condition, results):
                continue
            try:
                results[number] = await self.execute(one, codec.number)
            except FAILURES as error:
                errors[number] = codec.error(error.message, error.code)
        return codec.batch(results, errors, None if self._seen < 0 else self._seen)

    async def sequence(self, text: Text, version: int) -> None:
        plans = self.connection.parse(self.texts.find(text.sql, text.sql_id, version))
        if not plans or await self._here(plans):
            await super().sequence(text, version)
            return
        steps: Steps = [(("ok", number - 1) if number else None, (plan, (), ())) for number, plan in enumerate(plans)]
        for result in (await self._forward(steps, self.limit)).results:
            if result.error is not None:
                raise result.error

    async def describe(self, text: Text, codec: Codec, version: int) -> bytes:
        if await self._here([]):
            return await super().describe(text, codec, version)
        sql = self.texts.find(text.sql, text.sql_id, version)
        self._check()
        self._need(READ)
        try:
            return describe_result(await self._line().describe(sql), codec.number)
        except SqlError:
            raise
        except BaseException:
            self._drop()
            raise

    # Cursors

    async def open_step(self, bound: Bound, encoding: Encoding, step: int, *, socket: bool) -> Any:
        if await self._here([bound[0]]):
            return await super().open_step(bound, encoding, step, socket=socket)
        (result,) = (await self._forward([(None, bound)], self.limit)).results
        if result.error is not None:
            raise result.error
        return RemoteCursor(step_entries(result, encoding, step, socket), b"," if socket and encoding == 0 else b"")

    async def fetch(self, plan: Plan, cursor: Any, entries: int, size: int) -> tuple[bytes, int, bool]:
        if isinstance(cursor, RemoteCursor):
            return cursor.fetch(entries, size)
        return await super().fetch(plan, cursor, entries, size)


def _reads(plan: Plan) -> bool:
    """Whether it changes nothing, not even what is open: all that may run on the copy by itself."""
    kind = plan.kind
    if kind == Plan.TXN:
        return plan.no_write or not plan.begins
    return kind in (Plan.READ, Plan.ATTACH, Plan.DETACH)


def _might_read(plan: Plan) -> bool:
    """Whether it may be part of a transaction that only reads."""
    return plan.kind in (Plan.READ, Plan.TXN) and not plan.immediate
