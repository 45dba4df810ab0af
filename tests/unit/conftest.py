"""A connection that tells what a schema statement left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import libsql_core


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
