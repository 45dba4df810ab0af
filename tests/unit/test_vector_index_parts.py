"""Vector indexes built of more rows than PRAGMA libsql_vector_build_memory has room for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import libsql_core
from libsql_core import Connection, vector

N, DIMS, K = 4000, 32, 10
Floats = NDArray[np.float32]
Rows = Callable[[np.random.Generator], Floats]


def uniform(dice: np.random.Generator) -> Floats:
    return dice.standard_normal((N, DIMS), dtype="f4")


def groups(dice: np.random.Generator) -> Floats:
    """Sorted by group, as rows often come."""
    centres = np.repeat(dice.standard_normal((50, DIMS), dtype="f4"), N // 50, axis=0)
    found: Floats = centres + np.float32(0.3) * uniform(dice)
    return found


def copies(dice: np.random.Generator) -> Floats:
    return np.repeat(dice.standard_normal((N // 8, DIMS), dtype="f4"), 8, axis=0)


@pytest.fixture
def con(tmp_path: Path) -> Iterator[Connection]:
    con = libsql_core.connect(tmp_path / "t.db", isolation_level=None)
    yield con
    con.close()


def fill(con: Connection, rows: Floats, columns: str = "id integer primary key", end: str = "") -> None:
    con.execute(f"create table t({columns}, v f32_blob({DIMS})){end}")
    con.execute("begin")
    keys = (i * 7 - 1000 if "integer" in columns else f"k{i}" for i in range(len(rows)))
    con.executemany("insert into t values (?, ?)", zip(keys, (row.tobytes() for row in rows), strict=True))
    con.execute("commit")


def found(con: Connection, queries: Floats, ef: int | None) -> list[float]:
    """For each query the share of the nearest rows that a search finds."""
    shares = []
    for query in queries:
        sql = "select max(d) from (select vector_distance_cos(v, ?) d from t not indexed order by d limit ?)"
        worst = con.execute(sql, (query.tobytes(), K)).fetchone()[0] + 1e-5
        sql = "select distance from vector_top_k('i', ?, ?, null, ?)"
        shares.append(sum(d <= worst for (d,) in con.execute(sql, (query.tobytes(), K, ef))) / K)
    return shares


@pytest.mark.parametrize(("rows", "ef"), [(uniform, 60), (groups, 60), (copies, None)])
def test_as_good_as_in_memory(con: Connection, rows: Rows, ef: int | None) -> None:
    dice = np.random.default_rng(1)
    fill(con, rows(dice))
    queries = dice.standard_normal((40, DIMS), dtype="f4")
    con.execute("pragma libsql_vector_cache = 0")  # so that searches walk
    con.execute("create index i on t(libsql_vector_idx(v))")
    whole = sum(found(con, queries, ef))
    con.execute("pragma libsql_vector_build_memory = 800000")
    con.execute("reindex i")
    assert con.execute("select * from vector_index_check('i')").fetchall() == []
    assert con.execute("select nodes, orphans from vector_index_info('i')").fetchall() == [(N, 0)]
    assert sum(found(con, queries, ef)) >= 0.95 * whole


INTEGER, TEXT = ("id integer primary key", ""), ("id text primary key", " without rowid")
PARAMETERS = ["", ", 'max_neighbors=3'", ", 'metric=l2'", ", 'compress_neighbors=float1bit'"]


@pytest.mark.parametrize(
    ("shape", "parameters"), [*product([INTEGER, TEXT], PARAMETERS), (INTEGER, ", 'type=compact'")]
)
def test_shapes(con: Connection, shape: tuple[str, str], parameters: str) -> None:
    """Keys and parameters; every node is reached, also where there are few edges."""
    rows = uniform(np.random.default_rng(2))[:1500]
    fill(con, rows, *shape)
    con.execute("pragma libsql_vector_build_memory = 100000")
    con.execute(f"create index i on t(libsql_vector_idx(v{parameters}))")
    assert con.execute("select * from vector_index_check('i')").fetchall() == []
    assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
    for i in (0, 700, 1499):
        sql = "select v from vector_top_k('i', ?, 1, null, 300) join t using (id)"
        assert con.execute(sql, (rows[i].tobytes(),)).fetchall() == [(rows[i].tobytes(),)]
    con.execute("update t set v = ? where id in (select id from t limit 1 offset 5)", (rows[9].tobytes(),))
    con.execute("delete from t where id in (select id from t limit 100)")
    sql = "select problem from vector_index_check('i') where problem not like 'no path from%'"
    assert con.execute(sql).fetchall() == []


def open_files() -> int:
    """Files of this process without a name, where the system tells."""
    return sum(
        str(link.readlink()).endswith("(deleted)") for link in Path("/proc/self/fd").glob("*") if link.is_symlink()
    )


@pytest.mark.parametrize("store", ["memory", "file"])
def test_progress(con: Connection, store: str) -> None:
    """Four steps for each row; with temp_store = memory nothing of it goes to a file."""
    fill(con, uniform(np.random.default_rng(3)))
    con.execute(f"pragma temp_store = {store}")
    con.execute("pragma libsql_vector_build_memory = 300000")
    seen: list[tuple[int, int]] = []
    files = set()
    before = open_files()

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        files.add(open_files() - before)

    vector.create_index(con, "i", "t", "v", progress=progress)
    assert seen == sorted(seen)
    assert seen[-1] == (4 * N, 4 * N)
    assert len({done * 4 // total for done, total in seen}) == 5
    assert store == "file" or files == {0}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_stopped(con: Connection, share: float) -> None:
    fill(con, uniform(np.random.default_rng(3)))
    con.execute("pragma libsql_vector_build_memory = 300000")

    def progress(done: int, total: int) -> None:
        if total == 4 * N and done > share * total:
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        vector.create_index(con, "i", "t", "v", progress=progress)
    assert con.execute("select name from sqlite_schema where name like 'i%'").fetchall() == []
    vector.create_index(con, "i", "t", "v")
    assert con.execute("select * from vector_index_check('i')").fetchall() == []
