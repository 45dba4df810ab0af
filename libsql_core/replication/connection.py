"""A connection to a replica: reads run on its file, writes and transactions on the primary.

Under legacy transaction control a data-changing statement begins a transaction on the primary, and commit() ends it,
as on any connection; with autocommit=True each statement stands alone; with autocommit=False the first write begins
the transaction. Inside a transaction everything runs on the primary, reads too, so that they see its own changes.
`BEGIN READONLY` opens a transaction of reads on the replica.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from libsql_core._engine import (
    LEGACY_TRANSACTION_CONTROL,
    Connection,
    Cursor,
    NotSupportedError,
    OperationalError,
)
from libsql_core.replication.classify import Kind, Statement, classify
from libsql_core.replication.cursor import MOST_CALLS, ReplicaCursor, execute_here
from libsql_core.replication.forward import AFTER_LAST, ALWAYS, IN_TRANSACTION, Call, Outcome
from libsql_core.replication.synced import TAKEN, SyncedConnection

if TYPE_CHECKING:
    from _typeshed import StrOrBytesPath

    from libsql_core._engine import Blob

_TEXTS = 500
_cursor: Any = Connection.cursor
# Classes of cursors that are used on replicas, and what they become there.
_factories: WeakKeyDictionary[type, type] = WeakKeyDictionary()


class ReplicaConnection(SyncedConnection):
    """A connection to a replica of a primary's database; made by `libsql_core.connect(path, sync_url=...)`.

    sync_url: the primary, as libsql://host, https://host or http://host:port.
    auth_token: the token that the primary asks for.
    namespace: of the primary's databases; by default the first label of the host's name, or "default".
    sync_interval: seconds between synchronizations in the background; None for none.
    read_your_writes: synchronize behind each write of this connection.
    offline: write into the replica itself, and have sync() push that to the primary.
    encryption_key, cipher: of the replica's file.
    remote_encryption_key: what the primary needs to open its own database.
    tls_context: for https, instead of the system's certificates.
    sync_timeout: seconds without an answer after which the primary counts as unreachable.
    """

    def __init__(
        self,
        database: StrOrBytesPath,
        timeout: float = 5.0,
        detect_types: int = 0,
        isolation_level: Literal["", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"] | None = "",
        check_same_thread: bool = True,
        *,
        autocommit: bool | Literal[-1] = LEGACY_TRANSACTION_CONTROL,
        read_your_writes: bool = True,
        **options: Any,
    ) -> None:
        self._texts: dict[str, list[Statement]] = {}
        self._reads: set[str] = set()  # texts that run here while nothing is away
        self._away = False  # a transaction is open on the primary, or the replica is behind its own writes
        self._in_transaction = False
        self._behind = False
        self._reading = False  # BEGIN READONLY
        self._changes = 0
        self._begin_sql = _begin_sql(isolation_level)
        if autocommit not in (True, False, LEGACY_TRANSACTION_CONTROL):
            raise ValueError("autocommit must be True, False, or sqlite3.LEGACY_TRANSACTION_CONTROL")
        self._control = autocommit
        self._detect_types = detect_types
        self._read_your_writes = read_your_writes
        # On the file itself transactions are begun by statements alone, and nothing is written.
        super().__init__(
            database, timeout, detect_types, isolation_level, check_same_thread, autocommit=True, **options
        )
        self._forwarder = self._open_link().forwarder()
        Connection.execute(self, "PRAGMA query_only=1").close()

    def _synced(self) -> None:
        self._behind = False
        self._away = self._in_transaction

    # Statements

    def cursor(self, factory: Callable[..., Any] = ReplicaCursor) -> Any:
        """A new cursor. `factory(connection)` may make it: a subclass of Cursor, or what returns a ReplicaCursor."""
        if factory is Cursor:
            factory = ReplicaCursor
        elif isinstance(factory, type) and issubclass(factory, Cursor) and not issubclass(factory, ReplicaCursor):
            # Written for any connection: what it calls by super() is a replica's here.
            known = _factories.get(factory)
            factory = known or _factories.setdefault(factory, type(factory.__name__, (factory, ReplicaCursor), {}))
        made = super().cursor(factory)
        if not isinstance(made, ReplicaCursor):
            raise TypeError(f"factory must return a ReplicaCursor, not {type(made).__name__}")
        return made

    def execute(self, sql: str, parameters: Any = (), /) -> ReplicaCursor:
        """Run one statement on a new cursor and return that."""
        cursor: ReplicaCursor = _cursor(self, ReplicaCursor)
        if not self._away and sql in self._reads:
            return execute_here(cursor, sql, parameters)
        return cursor.execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> ReplicaCursor:
        """Run one data-changing statement for each item, on a new cursor, and return that."""
        return super().cursor(ReplicaCursor).executemany(sql, parameters)

    def executescript(self, sql_script: str, /) -> ReplicaCursor:
        """Run any number of statements on a new cursor and return that."""
        return super().cursor(ReplicaCursor).executescript(sql_script)

    def _classified(self, sql: str) -> list[Statement]:
        found = self._texts.get(sql)
        if found is None:
            if len(self._texts) >= _TEXTS:
                self._texts.clear()
                self._reads.clear()
            found = self._texts[sql] = classify(sql)
            if len(found) == 1 and found[0].kind in (Kind.READ, Kind.SETTING):
                self._reads.add(sql)
        return found

    def _refuse(self, statement: Statement) -> None:
        if statement.kind is Kind.REFUSED:
            raise NotSupportedError(statement.verb)

    def _begins_here(self, statement: Statement) -> bool:
        """Begin or end a transaction of reads, if the statement does that."""
        self._refuse(statement)
        if statement.kind is Kind.BEGIN_READONLY:
            if self.in_transaction:
                raise OperationalError("cannot start a transaction within a transaction")
            self._catch_up()
            Connection.execute(self, "BEGIN")
            self._reading = True
            return True
        if statement.kind is Kind.END and self._reading:
            self._end(statement.verb)
            return True
        return False

    def _leads(self, statement: Statement) -> list[Call]:
        """What must run in front of a statement: the beginning of a transaction, where control says so."""
        if self._in_transaction or self._control is True:
            return []
        if self._control is False and statement.kind in (Kind.CHANGE, Kind.WRITE, Kind.SAVEPOINT):
            return [Call("BEGIN")]
        if self._control == -1 and statement.kind is Kind.CHANGE and self._begin_sql is not None:
            return [Call(self._begin_sql)]
        return []

    def _run(self, statement: Statement, values: list[Call]) -> Outcome:
        """Run one statement, or the same one with many values, on the primary."""
        calls = self._leads(statement)
        first = len(calls)
        chained = AFTER_LAST if first else IN_TRANSACTION if self._in_transaction else ALWAYS
        if statement.kind in (Kind.END, Kind.SAVEPOINT) and not first:
            chained = ALWAYS
        for call in values:
            calls.append(call._replace(when=chained))
            chained = AFTER_LAST
        alone = not first and not self._in_transaction and statement.kind in (Kind.CHANGE, Kind.WRITE)
        commits = self._in_transaction and statement.kind is Kind.END and statement.verb != "ROLLBACK"
        found = self._send(calls, first, alone or commits, statement.kind is not Kind.END)
        if statement.kind is Kind.CHANGE:
            self._changes += sum(result.changes for result in found.results)
        return found

    def _run_script(self, statements: list[Statement]) -> None:
        calls: list[Call] = []
        for number, statement in enumerate(statements):
            if statement.kind is Kind.SETTING:
                Connection.execute(self, statement.sql)
                continue
            if not calls:
                calls = self._leads(statement)
            calls.append(Call(statement.sql, when=AFTER_LAST if calls else ALWAYS))
            if len(calls) >= MOST_CALLS or number == len(statements) - 1:
                self._send(calls, 0, True, True)
                calls = []
        if calls:
            self._send(calls, 0, True, True)

    def _send(self, calls: list[Call], first: int, writes: bool, may_end: bool) -> Outcome:
        """Run statements on the primary, of which those from `first` count.

        writes: something may be committed, which the replica is to have afterwards.
        may_end: a transaction that they end may have been committed.
        """
        self._check()
        if self._reading:
            raise OperationalError("a transaction begun by BEGIN READONLY is open: nothing can be written in it")
        was_open = self._in_transaction
        found, caught_up = self._forwarder.run(calls, catch_up=self._read_your_writes and writes)
        if found.in_transaction is not None:
            self._in_transaction = found.in_transaction
        if caught_up:
            self._behind = False
        elif self._read_your_writes and (writes or (was_open and may_end and not self._in_transaction)):
            self._behind = True
        self._away = self._in_transaction or self._behind
        if found.error is not None:
            raise found.error
        return found._replace(results=found.results[first:])

    def _catch_up(self) -> None:
        """Before a read on the replica: what this connection wrote is to be there."""
        if self._behind:
            self.sync()

    # Transactions

    def _end(self, verb: str) -> None:
        if self._reading:
            Connection.execute(self, verb)
            self._reading = False
        elif self._in_transaction:
            try:
                self._run(classify(verb)[0], [Call(verb)])
            except OperationalError:
                if verb == "COMMIT" or self._in_transaction:
                    raise

    def commit(self) -> None:
        """Commit the open transaction, if there is one, and wait for it to be readable here."""
        self._check()
        if self._control is not True:
            self._end("COMMIT")

    def rollback(self) -> None:
        """Roll back the open transaction, if there is one."""
        self._check()
        if self._control is not True:
            self._end("ROLLBACK")

    def __exit__(self, *raised: Any) -> Literal[False]:
        if raised[0] is None:
            try:
                self.commit()
            except BaseException:
                if self._in_transaction:
                    self.rollback()
                raise
        else:
            self.rollback()
        return False

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, here or on the primary."""
        self._open_link()
        return self._in_transaction or self._reading

    @property
    def isolation_level(self) -> Any:
        """Kind of the transactions opened implicitly under legacy control; None for none."""
        self._open_link()
        return None if self._begin_sql is None else self._begin_sql[6:]

    @isolation_level.setter
    def isolation_level(self, level: Any) -> None:
        begin_sql = _begin_sql(level)
        if begin_sql is None and self._in_transaction:
            self.commit()
        self._begin_sql = begin_sql

    @property
    def autocommit(self) -> Any:
        """True: each statement stands alone. False: a transaction begins with the next write. -1: legacy control."""
        self._open_link()
        return self._control

    @autocommit.setter
    def autocommit(self, value: Any) -> None:
        if value is not True and value is not False and value != -1:
            raise ValueError("autocommit must be True, False, or sqlite3.LEGACY_TRANSACTION_CONTROL")
        if value is True:
            self._end("COMMIT")
        self._control = value

    @property
    def total_changes(self) -> int:
        """Rows that this connection changed on the primary."""
        self._open_link()
        return self._changes

    def _end_away(self) -> None:
        self._in_transaction = False
        self._forwarder.close()

    # What a replica cannot do

    def blobopen(self, table: str, column: str, row: int, /, *, readonly: bool = False, name: str = "main") -> Blob:
        """Open one blob of the replica for reading; readonly must be true."""
        if not readonly:
            raise NotSupportedError(f"a blob cannot be written on a replica: {TAKEN}")
        self._catch_up()
        return super().blobopen(table, column, row, readonly=True, name=name)


def _begin_sql(level: Any) -> str | None:
    """The statement that opens a transaction of this isolation level; None if there are none."""
    if level is None:
        return None
    if not isinstance(level, str):
        raise TypeError("isolation_level must be str or None")
    if level.upper() not in ("", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"):
        raise ValueError("isolation_level string must be '', 'DEFERRED', 'IMMEDIATE', or 'EXCLUSIVE'")
    return f"BEGIN {level.upper()}"


class OfflineConnection(SyncedConnection):
    """A connection to a replica that is written itself, made by `connect(path, sync_url=..., offline=True)`.

    It is a connection like any other; sync() pushes what was written, or fetches what was written elsewhere. Its
    write-ahead log must not be copied into the file by anything: no other program may open it.
    """

    def __init__(self, database: StrOrBytesPath, *args: Any, read_your_writes: bool = True, **options: Any) -> None:
        super().__init__(database, *args, **options)

    def _synced(self) -> None: ...
    def _end_away(self) -> None: ...


def open_replica(*args: Any, offline: bool = False, **options: Any) -> SyncedConnection:
    """What `libsql_core.connect(sync_url=)` calls."""
    return (OfflineConnection if offline else ReplicaConnection)(*args, offline=offline, **options)
