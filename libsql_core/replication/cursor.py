"""Cursors of a replica: each statement runs where it belongs, its rows come the same way from both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from libsql_core._engine import (
    PARSE_COLNAMES,
    PARSE_DECLTYPES,
    Cursor,
    PrepareProtocol,
    ProgrammingError,
    adapt,
    converters,
    give_result,
)
from libsql_core.replication.classify import Kind, Statement
from libsql_core.replication.forward import Call, Result

if TYPE_CHECKING:
    from typing_extensions import Self

    from libsql_core.replication.connection import ReplicaConnection

# What goes to the primary in one request, at most.
MOST_CALLS, _MOST_BYTES = 1000, 2_000_000
execute_here = Cursor.execute


def _plain(value: Any, number: int) -> Any:
    """A value as the primary takes it."""
    kind = type(value)
    if kind is int or kind is str or kind is float or value is None or kind is bytes:
        return value
    value = adapt(value, PrepareProtocol, value)
    if value is None or isinstance(value, (int, float, str, bytes)):
        return value
    try:
        return bytes(memoryview(value))
    except TypeError:
        name = type(value).__name__
        raise ProgrammingError(f"Error binding parameter {number}: type '{name}' is not supported") from None


def values_of(statement: Statement, parameters: Any) -> Call:
    """The statement with its parameters, checked as SQLite's own module checks them."""
    names = statement.names
    if isinstance(parameters, Mapping):
        given = []
        for number, name in enumerate(names, 1):
            if name is None:
                raise ProgrammingError(
                    f"Binding {number} has no name, but you supplied a dictionary (which has only names)."
                )
            try:
                given.append(parameters[name[1:]])
            except LookupError:
                raise ProgrammingError(f"You did not supply a value for binding parameter :{name[1:]}.") from None
    else:
        if not hasattr(parameters, "__len__") or not hasattr(parameters, "__getitem__"):
            raise ProgrammingError("parameters are of unsupported type")
        if len(parameters) != len(names):
            raise ProgrammingError(
                f"Incorrect number of bindings supplied. The current statement uses {len(names)}, "
                f"and there are {len(parameters)} supplied."
            )
        given = [parameters[number] for number in range(len(names))]
    values = [_plain(value, number) for number, value in enumerate(given, 1)]
    if not any(names):
        return Call(statement.sql, values)
    if not all(names):
        raise ProgrammingError("parameters with names and without cannot be mixed in what runs on the primary")
    return Call(statement.sql, values, [name or "" for name in names])


class ReplicaCursor(Cursor):
    """Runs statements on the replica or its primary and fetches their rows."""

    __slots__ = ()

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        """Run one SQL statement. Returns the cursor itself."""
        connection: ReplicaConnection = self.connection  # type: ignore[assignment]
        if not connection._away and sql in connection._reads:
            return execute_here(self, sql, parameters)
        return self._elsewhere(connection, sql, parameters)

    def _elsewhere(self, connection: ReplicaConnection, sql: str, parameters: Any) -> Self:
        if not isinstance(sql, str) or "\0" in sql:
            return execute_here(self, sql, parameters)
        statements = connection._classified(sql)
        if len(statements) != 1:
            if not statements:
                return execute_here(self, sql, parameters)
            raise ProgrammingError("You can only execute one statement at a time.")
        statement = statements[0]
        kind = statement.kind
        if kind is Kind.SETTING or (kind is Kind.READ and not connection._in_transaction):
            connection._catch_up()
            return execute_here(self, sql, parameters)
        # Checks the cursor, too, before anything is sent.
        give_result(self, None, [], -1, None)
        if not connection._begins_here(statement):
            self._take(connection, connection._run(statement, [values_of(statement, parameters)]).results, statement)
        return self

    def executemany(self, sql: str, seq_of_parameters: Iterable[Any], /) -> Self:
        """Run one INSERT, UPDATE, DELETE or REPLACE once for each item. Returns the cursor itself."""
        connection: ReplicaConnection = self.connection  # type: ignore[assignment]
        statements = connection._classified(sql) if isinstance(sql, str) else []
        if len(statements) != 1 or statements[0].kind is Kind.READ:
            return super().executemany(sql, seq_of_parameters)
        statement = statements[0]
        connection._refuse(statement)
        changes = 0
        results: list[Result] = []
        give_result(self, None, [], -1, None)
        for calls in _groups(statement, seq_of_parameters):
            results = connection._run(statement, calls).results
            changes += sum(result.changes for result in results)
        give_result(self, None, [], changes if statement.kind is Kind.CHANGE else -1, None)
        return self

    def executescript(self, sql_script: str, /) -> Self:
        """Run any number of statements, after committing an open transaction under legacy control.

        Rows are discarded. Returns the cursor itself.
        """
        connection: ReplicaConnection = self.connection  # type: ignore[assignment]
        statements = connection._classified(sql_script) if isinstance(sql_script, str) else []
        if isinstance(sql_script, str) and "\0" in sql_script:
            raise ValueError("embedded null character")
        if connection._control == -1:
            connection.commit()
        for statement in statements:
            connection._refuse(statement)
        if any(statement.kind not in (Kind.READ, Kind.SETTING) for statement in statements):
            give_result(self, None, [], -1, None)
            connection._run_script(statements)
            return self
        connection._catch_up()
        return super().executescript(sql_script)

    def _take(self, connection: ReplicaConnection, results: list[Result], statement: Statement) -> None:
        result = results[-1]
        names = [column.name for column in result.columns]
        if connection._detect_types & PARSE_COLNAMES:
            names = [name.partition("[")[0].removesuffix(" ") if "[" in name else name for name in names]
        rows = result.rows
        factory = connection.text_factory
        change = _converters(connection._detect_types, result)
        if factory is not str or any(change):
            rows = [tuple(_converted(row, change, factory)) for row in rows]
        if statement.kind is Kind.CHANGE:
            give_result(self, names or None, rows, result.changes, result.rowid)
        else:
            give_result(self, names or None, rows, -1, None)


def _converters(detect_types: int, result: Result) -> list[Any]:
    """For each column the converter that its name or declared type asks for, or None."""
    found = []
    for column in result.columns:
        converter = None
        if detect_types & PARSE_COLNAMES and column.name.endswith("]") and "[" in column.name:
            converter = converters.get(column.name.rpartition("[")[2][:-1].upper())
        if converter is None and detect_types & PARSE_DECLTYPES and column.decltype:
            converter = converters.get(column.decltype.replace("(", " ").split(" ")[0].upper())
        found.append(converter)
    return found


def _converted(row: tuple[Any, ...], change: list[Any], factory: Any) -> Iterator[Any]:
    for value, converter in zip(row, change, strict=False):
        if converter is not None and value is not None:
            data = value if isinstance(value, bytes) else str(value).encode()
            yield converter(data) if data else None
        elif isinstance(value, str) and factory is not str:
            yield factory(value.encode())
        else:
            yield value


def _groups(statement: Statement, rows: Iterable[Any]) -> Iterator[list[Call]]:
    """The statement with each row's values, as many in one request as is sensible."""
    calls: list[Call] = []
    size = 0
    for row in rows:
        call = values_of(statement, row)
        calls.append(call)
        size += 64 + len(call.sql) + sum(len(value) if isinstance(value, (str, bytes)) else 9 for value in call.values)
        if len(calls) >= MOST_CALLS or size >= _MOST_BYTES:
            yield calls
            calls, size = [], 0
    if calls:
        yield calls
