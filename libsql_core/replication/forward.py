"""Statements on the primary, for one connection: the first protocol's Execute, and what it answers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from libsql_core._engine import OperationalError
from libsql_core.replication import messages as m
from libsql_core.replication.errors import AuthenticationError, PrimaryError, UnreachableError, sql_error
from libsql_core.replication.grpcweb import INVALID_ARGUMENT, PERMISSION_DENIED, PROXY, Reply
from libsql_core.replication.http1 import Connection, LostError
from libsql_core.replication.meta import BusyError
from libsql_core.replication.sync import Replicator

ALWAYS, AFTER_LAST, IN_TRANSACTION = range(3)


class Call(NamedTuple):
    """A statement for the primary: when to run it, and its values, by number or by name."""

    sql: str
    values: Sequence[m.Value] = ()
    names: Sequence[str] | None = None
    when: int = ALWAYS


class Result(NamedTuple):
    columns: list[m.Column]
    rows: list[tuple[Any, ...]]
    changes: int
    rowid: int | None


class Outcome(NamedTuple):
    """What the statements gave: results up to the first that failed, its error, and whether a transaction is open."""

    results: list[Result]
    error: Exception | None
    in_transaction: bool | None
    """None: as it was."""
    frame: int | None


UNKNOWN = "it is not known whether the statement was run"
LOST = (
    "the primary has ended the transaction: it was idle for too long, or another writer waited for it too long, "
    "or the primary was started anew"
)
_OK_IN_TRANSACTION = m.Cond(not_=m.NotCond(m.Cond(is_autocommit=m.IsAutocommitCond())))


def program(calls: Sequence[Call]) -> m.Program:
    steps = []
    for number, call in enumerate(calls):
        values = [m.ValueData(m.encode_value(value)) for value in call.values]
        if call.names is None:
            query = m.Query(call.sql, positional=m.Positional(values))
        else:
            query = m.Query(call.sql, named=m.Named(list(call.names), values))
        cond = None
        if call.when == AFTER_LAST:
            cond = m.Cond(ok=m.OkCond(number - 1))
        elif call.when == IN_TRANSACTION:
            cond = _OK_IN_TRANSACTION
        steps.append(m.Step(cond, query))
    return m.Program(steps)


def outcome(calls: Sequence[Call], answer: m.ExecuteResults) -> Outcome:
    results: list[Result] = []
    error: Exception | None = None
    in_transaction = answer.state == m.State.TXN
    for call, result in zip(calls, answer.results, strict=False):
        if result.error is not None:
            error = sql_error(result.error.message, result.error.extended_code)
            if result.error.code == m.ErrorCode.TX_TIMEOUT:
                error = OperationalError(f"{result.error.message}: {LOST}")
            break
        if call.when == IN_TRANSACTION and not in_transaction:
            error = OperationalError(LOST)
            break
        row = result.row or m.ResultRows()
        rows = [tuple([m.decode_value(value.data) for value in each.values]) for each in row.rows]
        results.append(Result(row.column_descriptions, rows, row.affected_row_count, row.last_insert_rowid))
    return Outcome(results, error, in_transaction, answer.current_frame_no)


class Forwarder:
    """The connection that a ReplicaConnection has on the primary."""

    def __init__(self, replicator: Replicator) -> None:
        self._replicator = replicator
        self._endpoint = replicator.endpoint
        self._client_id = str(uuid.uuid4())
        self._used = False

    def run(self, calls: Sequence[Call], *, catch_up: bool) -> tuple[Outcome, bool]:
        """Run statements, each if the one before it went well; with `catch_up` synchronize on the way.

        Says also whether the replica has caught up. An error of the synchronization alone is kept for `sync()`.
        """
        self._used = True
        request = m.ProgramReq(self._client_id, program(calls))
        ahead = self._endpoint.call(PROXY + "Execute", request)
        found: list[Outcome] = []

        def read(connection: Connection) -> None:
            found.append(self._outcome(calls, connection))

        if catch_up:
            try:
                self._replicator.exchange(ahead, read)
            except BusyError:
                # Others synchronize; the statement does not wait for them, what follows it does.
                return self._run_alone(ahead, read, found), False
            except Exception as error:
                if not found and isinstance(error, LostError):
                    raise UnreachableError(f"{error}: {UNKNOWN}") from error
                if not found:
                    raise
                return found[0], False
            return found[0], True
        return self._run_alone(ahead, read, found), False

    def _run_alone(self, ahead: bytes, read: Callable[[Connection], None], found: list[Outcome]) -> Outcome:
        connection = self._endpoint.connection()
        try:
            connection.send([ahead])
            read(connection)
        except LostError as error:
            connection.close()
            raise UnreachableError(f"{error}: {UNKNOWN}") from error
        except BaseException:
            if connection.waiting:
                connection.close()
            raise
        finally:
            self._endpoint.release(connection)
        return found[0]

    def _outcome(self, calls: Sequence[Call], connection: Connection) -> Outcome:
        try:
            return outcome(calls, Reply(connection).message(m.ExecuteResults))
        except PrimaryError as error:
            # What is about the statement is an error of SQL; the answers behind it go on.
            if error.status not in (INVALID_ARGUMENT, PERMISSION_DENIED) or isinstance(error, AuthenticationError):
                raise
            return Outcome([], sql_error(error.reason, 1), None, None)

    def close(self) -> None:
        """Let the primary forget the connection, of which it has a limited number; what is open is rolled back."""
        if not self._used:
            return
        connection = self._endpoint.connection()
        try:
            connection.send([self._endpoint.call(PROXY + "Disconnect", m.DisconnectMessage(self._client_id))])
            Reply(connection).message(m.Ack)
        except BaseException:
            connection.close()
            raise
        self._endpoint.release(connection)
