"""vector_scan(): the exact nearest rows, by SQL."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest

import libsql_core

Row = tuple[object, ...]


@pytest.fixture
def con(tmp_path: Path) -> Iterator[libsql_core.Connection]:
    made = libsql_core.connect(tmp_path / "v.db", isolation_level=None)
    made.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v F32_BLOB(8), tag)")
    rng = random.Random(1)
    rows = [(i, array("f", [rng.gauss(0, 1) for _ in range(8)]).tobytes(), i % 3) for i in range(1, 2001)]
    made.executemany("INSERT INTO t VALUES(?, ?, ?)", rows)
    made.execute("INSERT INTO t VALUES(5000, NULL, 0), (5001, vector('[0,0,0,0,0,0,0,0]'), 0)")
    yield made
    made.close()


QUERY = "[1,2,3,4,-5,6,7,8]"


def exact(con: libsql_core.Connection, metric: str, k: int, where: str = "true") -> list[Row]:
    sql = (
        f"SELECT id, d FROM (SELECT id, vector_distance_{metric}(v, ?) AS d FROM t WHERE v IS NOT NULL AND {where})"
        " WHERE d IS NOT NULL ORDER BY d, id LIMIT ?"
    )
    return con.execute(sql, (QUERY, k)).fetchall()


def scan(con: libsql_core.Connection, metric: str, k: int, where: str | None = None) -> list[Row]:
    sql = "SELECT id, distance FROM vector_scan('t', 'v', ?, ?, ?, ?)"
    return con.execute(sql, (QUERY, k, where, metric)).fetchall()


@pytest.mark.parametrize("cache", [0, 1 << 30])
@pytest.mark.parametrize("metric", ["cos", "l2", "dot"])
def test_it_is_the_ordered_query(con: libsql_core.Connection, metric: str, cache: int) -> None:
    con.execute(f"PRAGMA libsql_vector_cache={cache}")
    for k, where in ((1, None), (10, None), (10, "tag = 1"), (10, "id > 1990"), (3000, None), (5, "false")):
        for _ in range(2):
            found, wanted = scan(con, metric, k, where), exact(con, metric, k, where or "true")
            assert [row[0] for row in found] == [row[0] for row in wanted]
            assert [row[1] for row in found] == pytest.approx([row[1] for row in wanted], rel=2e-6, abs=2e-6)


def test_it_sees_every_change(con: libsql_core.Connection, tmp_path: Path) -> None:
    def first() -> object:
        return scan(con, "l2", 1)[0][0]

    before = first()
    con.execute("INSERT INTO t VALUES(3000, vector(?), 0)", (QUERY,))
    assert first() == 3000
    con.execute("BEGIN")
    con.execute("DELETE FROM t WHERE id = 3000")
    assert first() == before
    con.execute("ROLLBACK")
    assert first() == 3000
    other = libsql_core.connect(tmp_path / "v.db", isolation_level=None)
    other.execute("DELETE FROM t WHERE id = 3000")
    assert first() == before
    other.execute("DROP TABLE t")
    with pytest.raises(libsql_core.OperationalError, match="no such table: t"):
        first()
    other.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("'t', 'v', '[1]', 3", "vectors must have the same length: 8 != 1"),
        ("'nope', 'v', '[1]', 3", "no such table: nope"),
        ("'main.nope', 'v', '[1]', 3", "no such table: main.nope"),
        ("'t', 'w', '[1]', 3", "no such column: t.w"),
        ("'t', 'v', '[1]'", "needs a table, a column, a query and k"),
        ("'t', 'v', '[1', 3", "must end with"),
        ("'t', 'v', NULL, 3", "unexpected value type: got NULL"),
        ("'t', 'v', '[1]', -1", "k is a number of rows"),
        ("'t', 'v', '[1]', 1, NULL, 'taxi'", "the metric is one of cos, l2, dot, hamming"),
        ("'t', 'v', '[1]', 1, '1); DROP TABLE t; --'", "the condition must be one expression"),
        ("'t', 'v', '[1,2,3,4,5,6,7,8]', 1, NULL, 'hamming'", "hamming distance"),
        ("'t', 'tag', '[1]', 3", "got INTEGER, expected TEXT or BLOB \\(row 1 of t\\)"),
    ],
)
def test_what_is_wrong_is_told(con: libsql_core.Connection, arguments: str, message: str) -> None:
    with pytest.raises(libsql_core.OperationalError, match=message):
        con.execute(f"SELECT * FROM vector_scan({arguments})").fetchall()
    assert len(scan(con, "cos", 3)) == 3


def test_vectors_of_two_lengths(con: libsql_core.Connection) -> None:
    con.execute("INSERT INTO t VALUES(9000, vector('[1,2]'), 0)")
    with pytest.raises(libsql_core.OperationalError, match="row 9000 of t has 2 elements of type 1"):
        scan(con, "cos", 3)


def test_another_connection_makes_the_tables_anew(con: libsql_core.Connection, tmp_path: Path) -> None:
    assert len(scan(con, "l2", 3, "tag = 1")) == 3
    other = libsql_core.connect(tmp_path / "v.db", isolation_level=None)
    other.execute("DROP TABLE t")
    for name, number in (("u", 1), ("t", 2)):  # u has the pages that were t's
        other.execute(f"CREATE TABLE {name}(id INTEGER PRIMARY KEY, v, tag)")
        other.execute(f"INSERT INTO {name} VALUES({number}, vector('[1]'), 1)")
    other.close()
    found = "SELECT id FROM vector_scan(?, 'v', '[1]', 1, 'tag = 1')"
    assert con.execute(found, ("t",)).fetchall() == [(2,)]
    assert con.execute(found, ("u",)).fetchall() == [(1,)]
