"""Vector indexes: arguments and messages of vector_top_k(), filters, and what a connection keeps in memory."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import libsql_core
from libsql_core import Connection

DIMS = 12
N = 1500


def vector(dice: random.Random) -> str:
    return "[" + ",".join(f"{dice.gauss(0, 1):.4f}" for _ in range(DIMS)) + "]"


@pytest.fixture
def con(tmp_path: Path) -> Iterator[Connection]:
    dice = random.Random(7)
    con = libsql_core.connect(tmp_path / "t.db", isolation_level=None)
    con.execute(f"create table t(id integer primary key, v f32_blob({DIMS}), x int)")
    con.execute("create table u(a)")
    con.execute("begin")
    con.executemany("insert into t values (?, ?, ?)", [(i, vector(dice), i % 10) for i in range(N)])
    con.execute("commit")
    con.execute("create index i on t(libsql_vector_idx(v))")
    yield con
    con.close()


@pytest.fixture
def query() -> str:
    return vector(random.Random(8))


def rows(con: Connection, sql: str, *values: Any) -> list[Any]:
    return con.execute(sql, values).fetchall()


def cached(con: Connection) -> int:
    return int(rows(con, "select cached_nodes from vector_index_info('i')")[0][0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("'i', '[1]'", "vector index(search): got 2 parameters, expected 3"),
        ("'i', '[', -1", "vector: must end with ']'"),
        ("1, '[1]', -1", "third parameter (k) must be a non-negative integer, but negative value were provided"),
        ("1, '[1]', 1.5", "third parameter (k) must be an integer, but float value were provided"),
        ("1, '[1]', '2'", "third parameter (k) must be an integer, but unexpected type of value were provided"),
        ("1, '[1]', 1", "vector index(search): first parameter (index) must be a string"),
        ("'nope.i', '[1]', 1", "vector index(search): unknown schema 'nope'"),
        ("'I', '[1]', 1", "vector index(search): failed to parse vector index parameters"),
        ("'i', '[1]', 1", f"vector index(search): dimensions are different: 1 != {DIMS}"),
        (f"'i', vector64('[{'1,' * (DIMS - 1)}1]'), 1", "vector type differs from column type: 2 != 1"),
        ("'i', '[1]', 1, null, null, 1", "too many arguments on vector_top_k() - max 5"),
        ("'i', '[1]', 1, 7", "vector index(search): fourth parameter (filter) must be a string"),
        ("'i', '[1]', 1, null, 0", "vector index(search): fifth parameter (ef) must be a positive integer"),
    ],
)
def test_messages(con: Connection, arguments: str, message: str) -> None:
    with pytest.raises(libsql_core.OperationalError) as caught:
        rows(con, f"select id from vector_top_k({arguments})")
    assert message in str(caught.value)


@pytest.mark.parametrize("condition", ["x = 3", "x <> 3", "id = 700", "x in (1, 2) -- few", "id < 0", "abs(x) = (4)"])
def test_filter(con: Connection, query: str, condition: str) -> None:
    found = rows(con, "select id, distance from vector_top_k('i', ?, 10, ?)", query, condition)
    sql = f"select id, vector_distance_cos(v, ?) d from t not indexed where {condition}\n order by d, id limit 10"
    exact = rows(con, sql, query)
    assert [row[0] for row in found] == [row[0] for row in exact]
    assert [row[1] for row in found] == pytest.approx([row[1] for row in exact], abs=1e-6)


@pytest.mark.parametrize("condition", ["1) or (1", "x = 3; select 1", "nope = 1", "x = ", ")"])
def test_filter_is_one_expression(con: Connection, query: str, condition: str) -> None:
    with pytest.raises(libsql_core.OperationalError):
        rows(con, "select id from vector_top_k('i', ?, 10, ?)", query, condition)


def test_k(con: Connection, query: str) -> None:
    assert rows(con, "select id from vector_top_k('i', ?, 0)", query) == []
    for k in (N + 1, 1 << 40):
        assert sorted(rows(con, "select id from vector_top_k('i', ?, ?)", query, k)) == [(i,) for i in range(N)]
    assert rows(con, "select idx, k, ef from vector_top_k('i', ?, 2.0, null, 50)", query) == [("i", 2, 50)] * 2


def test_lateral(con: Connection) -> None:
    found = rows(con, "select t.id, n.id from t, vector_top_k('i', t.v, 1) n where t.id < 20")
    assert found == [(i, i) for i in range(20)]


def test_graph_stays_while_it_is_true(con: Connection, query: str, tmp_path: Path) -> None:
    dice = random.Random(9)
    assert cached(con) == N
    con.execute("insert into u values (1)")
    assert cached(con) == N
    con.execute("insert into t values (?, ?, 0)", (N, vector(dice)))
    assert cached(con) == N + 1
    con.execute("begin")
    con.execute("insert into t values (?, ?, 0)", (N + 1, vector(dice)))
    con.execute("savepoint s")
    con.execute("insert into u values (2)")
    con.execute("rollback to s")
    assert cached(con) == N + 2
    con.execute("rollback")
    assert cached(con) == 0
    assert rows(con, "select count(*) from vector_top_k('i', ?, 5000)", query) == [(N + 1,)]
    other = libsql_core.connect(tmp_path / "t.db", isolation_level=None)
    other.execute("delete from t where id >= 100")
    other.close()
    assert rows(con, "select count(*) from vector_top_k('i', ?, 5000)", query) == [(100,)]
    con.execute("delete from i_shadow where index_key < 90")
    assert rows(con, "select count(*) from vector_top_k('i', ?, 5000)", query) == [(10,)]


def test_rollback_to_savepoint(con: Connection, query: str) -> None:
    con.execute("begin")
    con.execute("savepoint s")
    con.execute("delete from t where id % 2")
    assert rows(con, "select count(*) from vector_top_k('i', ?, 5000)", query) == [(N // 2,)]
    con.execute("rollback to s")
    assert rows(con, "select count(*) from vector_top_k('i', ?, 5000)", query) == [(N,)]
    con.execute("commit")
    assert rows(con, "select * from vector_index_check('i')") == []


def test_restored_backup(con: Connection, query: str) -> None:
    copy = libsql_core.connect(":memory:")
    con.backup(copy)
    con.execute("delete from t where id < 1000")
    assert rows(con, "select count(*) from vector_top_k('i', ?, 5000)", query) == [(N - 1000,)]
    copy.backup(con)
    copy.close()
    assert rows(con, "select count(*) from vector_top_k('i', ?, 5000)", query) == [(N,)]


def test_build_memory(con: Connection, query: str) -> None:
    """Rows are too many for the memory."""
    exact = rows(con, "select id from t not indexed order by vector_distance_cos(v, ?) limit 10", query)
    con.execute("pragma libsql_vector_build_memory = 60000")
    con.execute("reindex i")
    assert rows(con, "select * from vector_index_check('i')") == []
    assert rows(con, "select nodes from vector_index_info('i')") == [(N,)]
    assert rows(con, "select id from vector_top_k('i', ?, 10, null, 400)", query) == exact
