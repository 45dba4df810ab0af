"""libsql_core.vector.create_index() and recall()."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import libsql_core
from libsql_core import vector

N, DIMS = 4000, 16


@pytest.fixture
def con() -> Iterator[libsql_core.Connection]:
    made = libsql_core.connect(":memory:", isolation_level=None)
    made.execute(f'create table "my ""table"(id integer primary key, year int, "the vector" f32_blob({DIMS}))')
    dice = np.random.default_rng(5)
    vector.insert_many(made, 'my "table', range(N), dice.standard_normal((N, DIMS), "f4"))
    made.execute('update "my ""table" set year = 2000 + id % 10')
    yield made
    made.close()


def create(con: libsql_core.Connection, name: str = "i", **options: Any) -> None:
    vector.create_index(con, name, 'my "table', "the vector", **options)


def schema(con: libsql_core.Connection) -> list[tuple[str]]:
    return con.execute("select sql from sqlite_schema").fetchall()


def test_names_and_parameters_are_quoted(con: libsql_core.Connection) -> None:
    create(con, metric="l2", max_neighbors=30, alpha=1.25, compress_neighbors="float8")
    sql = (
        'CREATE INDEX "i" on "my ""table"(libsql_vector_idx("the vector", \'metric=l2\', \'max_neighbors=30\', '
        "'alpha=1.25', 'compress_neighbors=float8'))"
    )
    assert schema(con)[-1] == (sql,)
    ((metadata,),) = con.execute("select metadata from libsql_vector_meta_shadow").fetchall()
    tags = {metadata[at]: metadata[at + 1 : at + 9] for at in range(0, len(metadata) - 8, 9)}
    assert (tags[5][0], tags[10][0], tags[11][0]) == (2, 30, 4)
    assert struct.unpack("<d", tags[7]) == (1.25,)
    with pytest.raises(libsql_core.OperationalError, match="invalid vector index parameter 'metric=it's'"):
        create(con, "j", metric="it's")
    with pytest.raises(libsql_core.OperationalError, match="index i already exists"):
        create(con)


def test_in_another_schema(con: libsql_core.Connection) -> None:
    con.execute("attach ':memory:' as \"other db\"")
    con.execute('create table "other db".t(v f32_blob(2))')
    con.execute("insert into \"other db\".t values (vector('[1,2]')), (vector('[1,3]')), (null)")
    vector.create_index(con, "i", "t", "v", schema="other db")
    assert vector.recall(con, "i", schema="other db") == 1
    assert con.execute("select id from vector_top_k('other db.i', '[1,2]', 5)").fetchall() == [(1,), (2,)]


def test_partial(con: libsql_core.Connection) -> None:
    create(con, where="year in (2003, 2004) -- ')'")
    assert con.execute("select count(*) from i_shadow").fetchone() == (N // 5,)
    assert vector.recall(con, "i") > 0.95
    con.execute("delete from i_shadow where index_key % 10 = 4")
    assert vector.recall(con, "i") < 0.8


def test_progress(con: libsql_core.Connection) -> None:
    seen: list[tuple[int, int]] = []
    create(con, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (2 * N, 2 * N)
    assert {total for _, total in seen} == {2 * N}
    assert len(seen) > 10
    n = len(seen)
    con.execute("reindex i")
    assert len(seen) == n


@pytest.mark.parametrize("error", [ValueError("enough"), KeyboardInterrupt()])
def test_exception_of_progress_stops_it(con: libsql_core.Connection, error: BaseException) -> None:
    before = schema(con)

    def progress(done: int, total: int) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        create(con, progress=progress)
    assert caught.value is error
    assert schema(con) == before
    create(con)
    assert vector.recall(con, "i") > 0.95


def test_recall_is_measured(con: libsql_core.Connection) -> None:
    create(con, metric="l2")
    whole = vector.recall(con, "i", sample=50)
    assert 0.95 < whole <= 1
    con.execute("delete from i_shadow where index_key % 2")  # the index no longer knows half of the rows
    assert 0.3 < vector.recall(con, "i", sample=50) < 0.7
    assert 0.3 < vector.recall(con, "i", sample=50, k=1) < 0.7
    con.execute("reindex i")
    assert vector.recall(con, "i", sample=50) > 0.95


def test_recall_of_little(con: libsql_core.Connection) -> None:
    con.execute('delete from "my ""table" where id > 2')
    create(con)
    assert vector.recall(con, "i") == 1
    con.execute('update "my ""table" set "the vector" = zeroblob(?)', (4 * DIMS,))
    assert vector.recall(con, "i") == 1
    con.execute('delete from "my ""table"')
    assert vector.recall(con, "i") == 1


def test_recall_without_rowid_and_of_other_types() -> None:
    con = libsql_core.connect(":memory:", isolation_level=None)
    con.row_factory = libsql_core.Row
    con.text_factory = bytes
    for kind in ("float32", "float64", "float16", "floatb16", "float8", "float1bit"):
        con.execute(f"create table t_{kind}(k text primary key, v {kind}(8)) without rowid")
        function = f"vector{kind.removeprefix('float')}"
        dice = np.random.default_rng(5)
        rows = [(str(i), str(row.tolist())) for i, row in enumerate(dice.standard_normal((200, 8)))]
        con.executemany(f"insert into t_{kind} values (?, {function}(?))", rows)
        vector.create_index(con, f"i_{kind}", f"t_{kind}", "v")
        assert vector.recall(con, f"i_{kind}") > 0.95
    con.close()


@pytest.mark.parametrize("index", ["nothing", "plain", "t", "I"])
def test_no_such_index(con: libsql_core.Connection, index: str) -> None:
    con.execute("create table t(x)")
    con.execute("create index plain on t(x)")
    with pytest.raises(libsql_core.OperationalError, match=f"no such vector index: main.{index}"):
        vector.recall(con, index)
