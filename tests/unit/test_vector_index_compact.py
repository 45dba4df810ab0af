"""Vector indexes of type=compact: no vectors in them, those of the table are read."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

import libsql_core
from libsql_core import Connection

DIMS, N, K = 16, 1200, 10  # more rows than are compared one by one
TYPES = {
    "F32_BLOB": "vector32",
    "F64_BLOB": "vector64",
    "F16_BLOB": "vector16",
    "FB16_BLOB": "vectorb16",
    "F8_BLOB": "vector8",
    "F1BIT_BLOB": "vector1bit",
}
INDEX = "create index i on t(libsql_vector_idx(v, 'type=compact'{}))"
DAMAGE = {
    "no edges": "update i_shadow set data = x'00'",
    "empty": "update i_shadow set data = x'' where index_key = 8",
    "cut off": "update i_shadow set data = substr(data, 1, length(data) - 1) where index_key % 2",
    "too long": "update i_shadow set data = cast(data || x'01' as blob) where index_key = 8",
    "many edges": "update i_shadow set data = cast(x'8900' || substr(data, 2) as blob) where index_key = 8",
    "edges to nowhere": "update i_shadow set data = x'03f0ffffff7f0101' where index_key % 4 = 0",
    "edges to itself": "update i_shadow set data = x'0110' where index_key = 8",
    "the same edge": "update i_shadow set data = x'02160000' where index_key = 8",
    "random bytes": "update i_shadow set data = randomblob(70) where index_key % 4 = 0",
    "rows are gone": "delete from i_shadow where index_key % 4 = 0",
    "a row too many": "insert into i_shadow select 1000000, data from i_shadow where index_key = 8",
    "no metadata": "delete from libsql_vector_meta_shadow",
    "short metadata": "update libsql_vector_meta_shadow set metadata = substr(metadata, 1, 20)",
    "another kind": "update libsql_vector_meta_shadow set metadata = cast(replace(hex(metadata), 'x', '') as blob)",
}


def text(dice: random.Random, dims: int = DIMS) -> str:
    return str([round(dice.gauss(0, 1), 3) for _ in range(dims)])


def make(path: Path | str, column: str = "F32_BLOB", n: int = N) -> Connection:
    dice = random.Random(1)
    con = libsql_core.connect(path, isolation_level=None)
    con.execute(f"create table t(x, v {column}({DIMS}), id integer primary key)")
    con.execute("begin")
    con.executemany(
        f"insert into t(id, v) values (?, {TYPES[column]}(?))", ((i * 3 - 100, text(dice)) for i in range(n))
    )
    con.execute("commit")
    return con


@pytest.fixture
def con(tmp_path: Path) -> Iterator[Connection]:
    made = make(tmp_path / "t.db")
    made.execute(INDEX.format(""))
    yield made
    made.close()


def ids(con: Connection, sql: str, *parameters: object) -> list[int]:
    return [row[0] for row in con.execute(sql, parameters)]


def problems(con: Connection, stale: bool = False) -> list[tuple[object, ...]]:
    """stale: deletes that did not know the whole graph may have left edges to what is gone."""
    where = "where problem not like 'edge to % which is not in i_shadow'" if stale else ""
    return con.execute(f"select * from vector_index_check('i') {where}").fetchall()


def recall(con: Connection, function: str = "vector32", distance: str = "cos", seed: int = 5) -> float:
    dice, found = random.Random(seed), 0
    for _ in range(20):
        query = text(dice)
        near = con.execute(
            f"select id, distance from vector_top_k('i', {function}(?), {K}) order by distance", (query,)
        ).fetchall()
        order = f"vector_distance_{distance}(v, {function}(?))"
        exact = con.execute(f"select {order} from t where v is not null order by 1 limit {K}", (query,)).fetchall()
        true = con.execute(
            f"select id, {order} from t where id in ({','.join(str(row[0]) for row in near)}) order by 2", (query,)
        ).fetchall()
        assert [row[1] for row in near] == pytest.approx([row[1] for row in true], rel=1e-5, abs=1e-6)
        found += sum(row[1] <= exact[-1][0] + 1e-6 for row in near)
    return found / 20 / K


@pytest.mark.parametrize(
    ("column", "metric", "cache"),
    [(column, "cos", 512 << 20) for column in TYPES] + [("F32_BLOB", "cos", 0), ("F16_BLOB", "l2", 512 << 20)],
)
def test_every_type(column: str, metric: str, cache: int, tmp_path: Path) -> None:
    con = make(tmp_path / "t.db", column)
    con.execute(f"pragma libsql_vector_cache = {cache}")
    con.execute(INDEX.format(f", 'metric={'l2' if metric == 'l2' else 'cosine'}'"))
    function = TYPES[column]
    assert recall(con, function, metric) >= 0.9
    dice = random.Random(2)
    for n in range(100):
        con.execute(f"insert into t(id, v) values (?, {function}(?))", (10_000 + n, text(dice)))
        con.execute(f"update t set v = {function}(?) where id = ?", (text(dice), n * 6 - 100))
        con.execute("delete from t where id = ?", (n * 6 - 97,))
    assert problems(con, stale=True) == []
    assert recall(con, function, metric) >= 0.9
    con.close()
    con = libsql_core.connect(tmp_path / "t.db", isolation_level=None)
    assert recall(con, function, metric) >= 0.9
    con.execute("reindex i")
    assert problems(con) == []
    assert recall(con, function, metric) >= 0.9
    con.close()


def test_the_file_stays_small(tmp_path: Path) -> None:
    con = libsql_core.connect(tmp_path / "t.db", isolation_level=None)
    con.execute("create table t(id integer primary key, v f32_blob(128))")
    dice = random.Random(1)
    con.execute("begin")
    con.executemany("insert into t(v) values (vector(?))", ((text(dice, 128),) for _ in range(2000)))
    con.execute("commit")
    con.execute(INDEX.format(""))
    assert (tmp_path / "t.db").stat().st_size <= 1.6 * 2000 * 128 * 4
    kind, block, shown = con.execute("select edge_type, block_size, bytes from vector_index_info('i')").fetchone()
    assert kind is None
    assert block < 300
    assert shown < 0.4 * 2000 * 128 * 4
    con.close()


def test_filter_and_partial(con: Connection) -> None:
    query = text(random.Random(3))
    for where in ("id % 100 = 0", "id > 1000"):
        exact = ids(con, f"select id from t where {where} order by vector_distance_cos(v, vector(?)) limit 5", query)
        assert ids(con, f"select id from vector_top_k('i', ?, 5, '{where}', 400)", query) == exact
    con.execute("drop index i")
    con.execute(INDEX.format("") + " where id % 2")
    assert all(i % 2 for i in ids(con, "select id from vector_top_k('i', ?, 50)", query))
    assert problems(con) == []


def test_rollback_and_savepoints(con: Connection) -> None:
    dice = random.Random(4)
    before = recall(con)
    con.execute("begin")
    con.executemany("insert into t(id, v) values (?, vector(?))", ((9000 + n, text(dice)) for n in range(50)))
    con.execute("savepoint s")
    con.execute("delete from t where id % 2")
    con.execute("update t set v = null where id % 3 = 0")
    assert problems(con) == []
    con.execute("rollback to s")
    assert problems(con) == []
    assert recall(con) >= 0.9
    con.execute("rollback")
    assert problems(con) == []
    assert recall(con) == pytest.approx(before, abs=0.05)


def test_columns_move(con: Connection) -> None:
    """The place of the vector in a record changes with the table."""
    con.execute("alter table t drop column x")
    assert recall(con) >= 0.9
    con.execute("alter table t add column y")
    con.execute("alter table t rename column v to w")
    con.execute("alter table t rename column w to v")
    con.execute(f"insert into t(id, v) values (20000, vector('{text(random.Random(6))}'))")
    con.execute("alter table t rename to other")
    con.execute("alter table other rename to t")
    assert problems(con) == []
    assert recall(con) >= 0.9
    con.execute("vacuum")
    assert problems(con) == []
    assert recall(con) >= 0.9


def test_text_in_the_column(con: Connection) -> None:
    con.execute("insert into t(id, v) values (20000, '" + text(random.Random(6)) + "')")
    assert problems(con) == []
    assert ids(con, "select id from vector_top_k('i', ?, 1)", text(random.Random(6))) == [20000]


def test_other_connections_and_copies(con: Connection, tmp_path: Path) -> None:
    other = libsql_core.connect(tmp_path / "t.db", isolation_level=None)
    assert recall(other) >= 0.9
    con.execute("update t set v = (select v from t where id = -100) where id % 4 = 0")
    assert problems(other) == []
    assert recall(other) >= 0.8  # many copies
    copy = libsql_core.connect(":memory:", isolation_level=None)
    con.backup(copy)
    assert problems(copy) == []
    restored = libsql_core.connect(":memory:", isolation_level=None)
    restored.executescript("\n".join(con.iterdump()))
    assert problems(restored) == []
    restored.execute("delete from t where id % 2")
    assert problems(restored, stale=True) == []
    for each in (other, copy, restored):
        each.close()


@pytest.mark.parametrize(
    ("table", "arguments", "message"),
    [
        ("(k text primary key, v f32_blob(4)) without rowid", "", "rowids"),
        ("(a text, v f32_blob(4) as (vector(a)))", "", "stored"),
        ("(v f32_blob(4))", ", 'compress_neighbors=float8'", "compress_neighbors"),
        ("(v f32_blob(4))", ", 'max_neighbors=70000'", "unable to initialize diskann"),
        ("(v f32_blob(4))", ", 'type=compac t'", "invalid parameter"),
    ],
)
def test_refused(table: str, arguments: str, message: str) -> None:
    con = libsql_core.connect(":memory:")
    con.execute(f"create table t{table}")
    with pytest.raises(libsql_core.OperationalError, match=message):
        con.execute(f"create index i on t(libsql_vector_idx(v, 'type=compact'{arguments}))")
    assert con.execute("select name from sqlite_schema where name <> 't'").fetchall() == []
    con.close()


@pytest.mark.parametrize("reopened", [False, True], ids=["as it is", "reopened"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage(damage: str, reopened: bool, tmp_path: Path) -> None:
    """An answer or an error, and the table as it was; REINDEX repairs."""
    con = make(tmp_path / "t.db")
    con.execute(INDEX.format(""))
    assert recall(con) >= 0.9
    assert con.execute(DAMAGE[damage]).rowcount > 0
    if reopened:
        con.close()
        con = libsql_core.connect(tmp_path / "t.db", isolation_level=None)
    query, seen = text(random.Random(3)), 0
    for sql in (
        "select count(*) from vector_index_check('i') having count(*) > 0",
        f"select id from vector_top_k('i', '{query}', 5)",
        f"insert into t(id, v) values (9000, vector('{query}'))",
        f"update t set v = vector('{query}') where id in (8, 11)",
        "delete from t where id = 14",
    ):
        before = con.execute("select * from t").fetchall()
        message, rows = "", []
        try:
            rows = con.execute(sql).fetchall()
        except libsql_core.Error as error:
            message = str(error)
        assert message not in ("not an error", "unknown error")
        if message:
            assert con.execute("select * from t").fetchall() == before
        seen += bool(message) or (sql.startswith("select count") and rows != [])
    assert seen
    con.execute("reindex i")
    assert problems(con) == []
    assert recall(con) >= 0.9
    con.close()


def test_rows_of_the_table_that_vanish(con: Connection) -> None:
    """A table that changed behind the index's back: a check says so, searches find what is there."""
    con.execute("pragma writable_schema = on")
    con.execute("create table copy as select * from t")
    con.execute("drop index i")
    con.execute(INDEX.format(""))
    con.execute(
        "update sqlite_schema set rootpage = (select rootpage from sqlite_schema where name = 'copy') where name = 't'"
    )
    con.execute("pragma writable_schema = reset")
    con.execute("delete from copy where rowid % 2")
    assert len(problems(con)) >= N // 2 - 10
    con.execute("reindex i")
    assert con.execute("select * from vector_index_check('i') where problem like '%node%'").fetchall() == []
