"""Rows that a cursor was given from elsewhere come as those of its own do."""

from __future__ import annotations

from contextlib import closing

import pytest

import libsql_core
from libsql_core._engine import give_result


def test_rows() -> None:
    with closing(libsql_core.connect(":memory:")) as con:
        cursor = con.cursor()
        rows = [(number, str(number)) for number in range(5)]
        give_result(cursor, ["a", "B"], list(rows), 7, 42)
        assert (cursor.rowcount, cursor.lastrowid) == (7, 42)
        assert [each[0] for each in cursor.description] == ["a", "B"]
        assert cursor.fetchone() == rows[0]
        assert next(cursor) == rows[1]
        assert cursor.fetchmany(2) == rows[2:4]
        assert cursor.fetchmany(2) == rows[4:]
        assert (cursor.fetchall(), cursor.fetchone()) == ([], None)
        cursor.row_factory = libsql_core.Row
        give_result(cursor, ["a", "B"], list(rows), -1, None)
        assert cursor.lastrowid == 42
        assert [row["b"] for row in cursor] == [row[1] for row in rows]
        cursor.row_factory = lambda _, row: row[0]
        give_result(cursor, ["a", "B"], list(rows), -1, None)
        assert cursor.fetchall() == list(range(5))


def test_they_end_with_the_next_statement() -> None:
    with closing(libsql_core.connect(":memory:")) as con:
        cursor = con.execute("select 1")
        give_result(cursor, ["x"], [(1,), (2,)], -1, None)
        assert cursor.fetchone() == (1,)
        assert cursor.execute("select 3").fetchall() == [(3,)]
        give_result(cursor, None, [], 2, None)
        assert (cursor.description, cursor.rowcount, cursor.fetchall()) == (None, 2, [])
        cursor.close()
        with pytest.raises(libsql_core.ProgrammingError, match="closed cursor"):
            give_result(cursor, None, [], 0, None)
