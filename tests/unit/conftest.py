"""What unit tests share: a connection that tells what a schema statement left; connections of the server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import libsql_core
from libsql_core._engine import ServerConnection, StatementError


class Schema(libsql_core.Connection):
    """A database in memory, without implicit transactions."""

    def __init__(self) -> None:
        super().__init__(":memory:", isolation_level=None)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self.execute(sql, values).fetchall()

    def text(self, table: str = "t", schema: str = "main") -> str:
        """What the schema holds for a table."""
        found: str = self.rows(f"select sql from {schema}.sqlite_schema where name = ?", table)[0][0]
        return found

    def sound(self) -> None:
        assert self.rows("pragma integrity_check") == [("ok",)]

    def refused(self, sql: str, message: str, code: int = libsql_core.SQLITE_ERROR) -> None:
        """The statement fails like this, and nothing changes."""
        everything = "select * from sqlite_schema union all select * from sqlite_temp_schema"
        before = self.rows(everything)
        with pytest.raises(libsql_core.DatabaseError) as caught:
            self.execute(sql)
        assert (str(caught.value), caught.value.sqlite_errorcode) == (message, code)
        assert self.rows(everything) == before


@pytest.fixture
def db() -> Iterator[Schema]:
    connection = Schema()
    yield connection
    connection.close()


class Server:
    """A connection of the server to a database of its own."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.con = ServerConnection(path, name="alpha", **options)

    def json(self, sql: str, args: Sequence[Any] | None = None, named: Any = None) -> dict[str, Any]:
        """A StmtResult."""
        result = self.con.execute(self.con.plan(sql), args, named, ServerConnection.JSON, 1 << 40)
        decoded: dict[str, Any] = json.loads(result)
        return decoded

    def rows(self, sql: str, args: Sequence[Any] | None = None, named: Any = None) -> list[list[Any]]:
        """The rows, as POST / has them."""
        result = self.con.execute(self.con.plan(sql), args, named, ServerConnection.PLAIN, 1 << 40)
        found: list[list[Any]] = json.loads(result)["rows"]
        return found

    def value(self, sql: str, *args: Any) -> Any:
        return self.rows(sql, args)[0][0]

    def fails(self, sql: str, args: Sequence[Any] | None = None, named: Any = None) -> tuple[str, str]:
        """Message and code of what a statement fails with."""
        try:
            self.json(sql, args, named)
        except StatementError as error:
            return error.message, error.code
        raise AssertionError(f"it ran: {sql}")

    def script(self, sql: str) -> None:
        for plan in self.con.parse(sql):
            self.con.run(plan)


@pytest.fixture
def open_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    opened: list[Server] = []

    def open_one(name: str = "data", **options: Any) -> Server:
        opened.append(Server(tmp_path / name, **options))
        return opened[-1]

    yield open_one
    for server in opened:
        server.con.close()


@pytest.fixture
def server(open_server: Callable[..., Server]) -> Server:
    """A connection to a database with a table `t(a, b)`."""
    made = open_server()
    made.script("create table t(a integer primary key, b text)")
    return made


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data: bytes) -> list[tuple[int, Any]]:
    """The fields of a protobuf message: numbers, eight bytes, or bytes, in their order."""
    found: list[tuple[int, Any]] = []
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value: Any
            value, at = varint(data, at)
        elif tag & 7 == 1:
            value, at = data[at : at + 8], at + 8
        else:
            assert tag & 7 == 2
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
            assert len(value) == size
        found.append((tag >> 3, value))
    return found


@pytest.fixture(name="fields")
def message_fields() -> Callable[[bytes], list[tuple[int, Any]]]:
    return fields
