"""Vector indexes damaged, interrupted or in somebody's way: a clear error, a table that works, REINDEX repairs."""

from __future__ import annotations

import random
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import libsql_core

N, DIMS = 200, 6
METADATA = "update libsql_vector_meta_shadow set metadata = "
Connection = libsql_core.Connection


def vectors(n: int, seed: int = 1) -> list[tuple[int, str]]:
    dice = random.Random(seed)
    return [(i, str([round(dice.gauss(0, 1), 4) for _ in range(DIMS)])) for i in range(n)]


def rows(con: Connection, sql: str, *values: object) -> list[tuple[Any, ...]]:
    return con.execute(sql, values).fetchall()


def make(path: Path | str, **options: Any) -> Connection:
    con: Connection = libsql_core.connect(path, isolation_level=None, **options)
    con.execute("pragma synchronous = off")
    con.execute(f"create table t(id integer primary key, v f32_blob({DIMS}), x)")
    con.executemany("insert into t(id, v) values (?, vector(?))", vectors(N))
    return con


@pytest.fixture
def con() -> Iterator[Connection]:
    made = make(":memory:")
    made.execute("create index i on t(libsql_vector_idx(v))")
    yield made
    made.close()


QUERY = "[1,-1,2,0.5,0,1]"


def top(con: Connection, k: int = 5) -> list[int]:
    return [row[0] for row in rows(con, "select id from vector_top_k('i', ?, ?)", QUERY, k)]


def exact(con: Connection, k: int = 5) -> list[int]:
    sql = "select id from t where v is not null order by vector_distance_cos(v, vector(?)) limit ?"
    return [row[0] for row in rows(con, sql, QUERY, k)]


def schema(con: Connection) -> list[tuple[Any, ...]]:
    return rows(con, "select type, name, sql from sqlite_schema order by 1, 2")


def problems(con: Connection) -> list[tuple[Any, ...]]:
    return rows(con, "select * from vector_index_check('i')")


def n_problems(con: Connection) -> int:
    """How many there are; that they cannot be looked for is one."""
    try:
        return len(problems(con))
    except libsql_core.DatabaseError:
        return 1


def sound(con: Connection) -> None:
    assert problems(con) == []
    assert rows(con, "pragma integrity_check") == [("ok",)]
    assert top(con) == exact(con)


def failure(con: Connection, sql: str, *values: object) -> str:
    """The message with which a statement fails, or nothing."""
    try:
        rows(con, sql, *values)
    except libsql_core.DatabaseError as error:
        return str(error)
    return ""


def entry(tag: int, value: int) -> str:
    """SQL of metadata with another value for a tag: the last one counts."""
    return f"{METADATA} cast(metadata || x'{struct.pack('<BQ', tag, value).hex()}' as blob)"


DAMAGE = {
    "a short block": "update i_shadow set data = substr(data, 1, 40) where index_key = 7",
    "an empty block": "update i_shadow set data = x'' where index_key = 7",
    "no block": "update i_shadow set data = null where index_key = 7",
    "a number for a block": "update i_shadow set data = 12 where index_key = 7",
    "all blocks short": "update i_shadow set data = substr(data, 1, 40)",
    "half of all blocks short": "update i_shadow set data = substr(data, 1, length(data) - 1) where index_key % 2",
    "zeros": "update i_shadow set data = zeroblob(length(data)) where index_key = 7",
    "random bytes": "update i_shadow set data = randomblob(length(data)) where index_key % 3 = 0",
    "too many edges": "update i_shadow set data = cast(substr(data, 1, 8) || x'ffff' || substr(data, 11) as blob)",
    "a row is gone": "delete from i_shadow where index_key = 7",
    "many rows are gone": "delete from i_shadow where index_key % 4",
    "all rows are gone": "delete from i_shadow",
    "a row too many": "insert into i_shadow select 100000, data from i_shadow where index_key = 7",
    "the table is gone": "drop table i_shadow",
    "no metadata": "delete from libsql_vector_meta_shadow",
    "no table of metadata": "drop table libsql_vector_meta_shadow",
    "short metadata": METADATA + "substr(metadata, 1, 20)",
    "empty metadata": METADATA + "x''",
    "long metadata": METADATA + "zeroblob(200)",
    "text for metadata": METADATA + "'metadata'",
    "NULL for metadata": METADATA + "null",
    "another type": entry(3, 2),
    "a type that there is not": entry(3, 9),
    "another dimension": entry(4, DIMS + 1),
    "no dimension": entry(4, 0),
    "too many dimensions": entry(4, 1 << 40),
    "a metric that there is not": entry(5, 9),
    "no block size": entry(6, 0),
    "a small block size": entry(6, 130),
    "another block size": entry(6, 4096),
    "a large block size": entry(6, 1 << 40),
    "edges of a type that there is not": entry(11, 77),
    "wide edges": entry(11, 2),
    "another row of metadata": "insert into libsql_vector_meta_shadow select 'I', x'' from libsql_vector_meta_shadow",
}
HARMLESS = {"another row of metadata"}


@pytest.mark.parametrize("reopened", [False, True], ids=["as it is", "reopened"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_reindex_repairs(damage: str, reopened: bool, tmp_path: Path) -> None:
    con = make(tmp_path / "t.db")
    con.execute("create index i on t(libsql_vector_idx(v))")
    assert top(con) == exact(con)
    con.execute(DAMAGE[damage])
    if reopened:
        con.close()
        con = libsql_core.connect(tmp_path / "t.db", isolation_level=None)
    seen = n_problems(con)
    for sql in (
        f"select id from vector_top_k('i', '{QUERY}', 5)",
        "select * from vector_index_info('i')",
        f"insert into t(id, v) values (1000, vector('{QUERY}'))",
        f"update t set v = vector('{QUERY}') where id in (7, 8)",
        "delete from t where id in (9, 10, 7)",
        f"select id from vector_top_k('i', '{QUERY}', 300)",
    ):
        before = rows(con, "select * from t not indexed")
        if message := failure(con, sql):
            assert message not in ("not an error", "unknown error")
            assert rows(con, "select * from t not indexed") == before
            seen += 1
    seen += n_problems(con)
    assert (seen == 0) == (damage in HARMLESS)
    con.execute("update t set x = id")
    assert rows(con, "select count(*), count(x) from t") in (
        [(N + 1, N + 1)],
        [(N - 2, N - 2)],
        [(N, N)],
        [(N - 3, N - 3)],
    )
    con.execute("reindex i")
    sound(con)
    con.execute(f"insert into t(id, v) values (2000, vector('{QUERY}'))")
    con.execute("delete from t where id % 5 = 0 and id <> 2000")
    assert top(con)[0] in (1000, 2000, 8)
    sound(con)
    con.close()


@pytest.mark.parametrize("seed", range(3))
def test_random_damage(con: Connection, seed: int) -> None:
    """Whatever bytes are in blocks and metadata, there is an answer or an error."""
    dice = random.Random(seed)
    con.execute("begin")
    n_error = 0
    for number in range(150):
        con.execute("savepoint s")
        for _ in range(dice.choice([1, 1, 5, 40])):
            key = dice.randrange(N)
            at = dice.choice([dice.randint(1, 12), dice.randint(1, 300), dice.randint(1, 1500)])
            patch = dice.choice([b"\0", b"\xff", b"\xff\xff\xff\xff", dice.randbytes(8)])
            sql = "update {0} set {1} = cast(substr({1}, 1, ?1 - 1) || ?2 || substr({1}, ?1 + ?3) as blob) where {2}"
            where = ("i_shadow", "data", "index_key = ?4")
            if dice.random() < 0.1:
                where, at = ("libsql_vector_meta_shadow", "metadata", "?4 is not null"), dice.randint(1, 90)
            sql = sql.format(*where)
            con.execute(sql, (at, patch, len(patch), key))
        for sql, values in (
            ("select id, distance from vector_top_k('i', ?, ?)", (QUERY, dice.choice([1, 10, 500]))),
            ("insert or replace into t(id, v) values (?, vector(?))", (dice.randrange(2 * N), QUERY)),
            ("delete from t where id = ?", (dice.randrange(N),)),
            ("update t set v = null where id = ?", (dice.randrange(N),)),
            ("select * from vector_index_check('i')", ()),
            ("select * from vector_index_info('i')", ()),
        ):
            n_error += failure(con, sql, *values) != ""
        con.execute("rollback to s")
        con.execute("release s")
        if number % 50 == 0:
            sound(con)
    con.execute("commit")
    sound(con)
    assert n_error < 150 * 6


def test_nulls(con: Connection) -> None:
    con.execute("update t set v = null where id % 2")
    sound(con)
    con.execute("update t set v = null")
    assert top(con) == []
    con.execute("update t set v = vector(?)", (QUERY,))
    assert top(con, 300) == list(range(N))
    con.execute("delete from t")
    con.execute("insert into t(v) values (null)")
    assert (top(con), problems(con)) == ([], [])
    con.execute("reindex i")
    assert (top(con), problems(con)) == ([], [])


def entry_node(con: Connection) -> int | None:
    """The node that the metadata recommends to begin at."""
    ((metadata,),) = rows(con, "select metadata from libsql_vector_meta_shadow where name = 'i'")
    found = [metadata[at + 1 : at + 9] for at in range(0, len(metadata) - 8, 9) if metadata[at] == 100]
    return int.from_bytes(found[-1], "little", signed=True) if found else None


@pytest.mark.parametrize("change", ["delete from t where id = ?", "update t set v = null where id = ?"])
def test_the_entry_node_goes(change: str, tmp_path: Path) -> None:
    """Whoever comes next, with nothing in memory, finds the others."""
    con = make(tmp_path / "t.db")
    con.execute("create index i on t(libsql_vector_idx(v))")
    assert entry_node(con) is not None
    for n in range(N - 1, 0, -1):
        first = entry_node(con)
        there = {row[0] for row in rows(con, "select id from t not indexed where v is not null")}
        con.execute(change, (first if first in there else min(there),))
        if n % 20 == 0 or n < 5:
            con.close()
            con = libsql_core.connect(tmp_path / "t.db", isolation_level=None)
            assert len(top(con, N)) == n
            sound(con)
    con.close()


def test_another_dimension_and_type(con: Connection) -> None:
    for value, message in (
        ("vector('[1,2]')", "vector index(insert): dimensions are different: 2 != 6"),
        ("vector64('[1,2,3,4,5,6]')", "vector index(insert): vector type differs from column type: 2 != 1"),
        ("7", "vector: unexpected value type: got INTEGER, expected TEXT or BLOB"),
    ):
        for sql in (f"insert into t(v) values ({value})", f"update t set v = {value}"):
            with pytest.raises(libsql_core.OperationalError) as caught:
                con.execute(sql)
            assert str(caught.value) == message
    assert rows(con, "select count(*) from t") == [(N,)]
    sound(con)


# Builds that do not end


BUILDS = ["create index j on t(libsql_vector_idx(v))", "reindex i"]


def big(path: Path | str) -> Connection:
    con = make(path)
    con.execute("create index i on t(libsql_vector_idx(v))")
    con.execute("delete from t")
    con.executemany("insert into t(id, v) values (?, vector(?))", vectors(3000, 2))
    return con


@pytest.mark.parametrize("build", BUILDS)
def test_progress_handler_stops_a_build(build: str) -> None:
    con = big(":memory:")
    before = schema(con)
    calls = 0
    for stop in (1, 3, 40):

        def handler(stop: int = stop) -> bool:
            nonlocal calls
            calls += 1
            return calls >= stop

        calls = 0
        con.set_progress_handler(handler, 200)
        with pytest.raises(libsql_core.OperationalError, match=r"^interrupted$"):
            con.execute(build)
        con.set_progress_handler(None, 0)
        assert schema(con) == before
        assert rows(con, "select name from libsql_vector_meta_shadow") == [("i",)]
        sound(con)
    con.execute(build)
    sound(con)
    con.close()


@pytest.mark.parametrize("build", BUILDS)
def test_interrupt_stops_a_build(build: str, tmp_path: Path) -> None:
    con = big(tmp_path / "t.db")
    before = schema(con)
    interrupted = 0
    for delay in (0.001, 0.003, 0.01, 0.02, 0.03):
        timer = threading.Timer(delay, con.interrupt)
        timer.start()
        message = failure(con, build)
        timer.join()
        assert message in ("", "interrupted")
        interrupted += message != ""
        con.execute("drop index if exists j")
        assert schema(con) == before
        sound(con)
    assert interrupted > 0
    con.close()


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_writer_is_in_the_way(build: str, mode: str, tmp_path: Path) -> None:
    con = make(tmp_path / "t.db", timeout=0)
    con.execute(f"pragma journal_mode = {mode}")
    con.execute("create index i on t(libsql_vector_idx(v))")
    before = schema(con)
    other = libsql_core.connect(tmp_path / "t.db", isolation_level=None, timeout=0)
    other.execute("begin immediate")
    other.execute(f"insert into t(id, v) values (777, vector('{QUERY}'))")
    with pytest.raises(libsql_core.OperationalError, match="database is locked"):
        con.execute(build)
    assert schema(con) == before
    assert top(con) == exact(con)
    assert top(other)[0] == 777
    other.execute("commit")
    assert top(con)[0] == 777
    con.execute(build)
    for one in (con, other):
        sound(one)
        one.close()


def test_a_reader_keeps_its_snapshot(tmp_path: Path) -> None:
    con = make(tmp_path / "t.db")
    con.execute("pragma journal_mode = wal")
    con.execute("create index i on t(libsql_vector_idx(v))")
    reader = libsql_core.connect(tmp_path / "t.db", isolation_level=None)
    reader.execute("begin")
    before = top(reader)
    con.execute(f"insert into t(id, v) values (777, vector('{QUERY}'))")
    con.execute("delete from t where id in (select value from json_each(?))", (str(before[:2]),))
    for _ in range(2):
        assert top(reader) == before == exact(reader)
        assert top(con) == exact(con) == [777, *exact(con)[1:]]
    reader.execute("commit")
    assert top(reader) == top(con)
    con.execute("drop index i")
    with pytest.raises(libsql_core.OperationalError, match="failed to parse vector index parameters"):
        top(reader)
    con.execute("create index i on t(libsql_vector_idx(v, 'metric=l2', 'compress_neighbors=float8'))")
    assert top(reader) == top(con)
    for one in (con, reader):
        sound_count = rows(one, "select * from vector_index_check('i')")
        assert sound_count == []
        one.close()
