"""Vector indexes where little may stay in memory: what is found then, and what a transaction keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import libsql_core
from libsql_core import Connection

DIMS, K, N_QUERY = 128, 10, 50
Floats = NDArray[np.float32]
Fill = Callable[[Floats], Connection]


@pytest.fixture
def fill(tmp_path: Path) -> Iterator[Fill]:
    con = libsql_core.connect(tmp_path / "t.db", isolation_level=None)

    def filled(rows: Floats) -> Connection:
        con.execute(f"create table t(id integer primary key, v f32_blob({rows.shape[1]}))")
        con.execute("begin")
        con.executemany("insert into t values (?, ?)", ((i, row.tobytes()) for i, row in enumerate(rows)))
        con.execute("create index i on t(libsql_vector_idx(v))")
        con.execute("commit")
        return con

    yield filled
    con.close()


def recall(con: Connection, rows: Floats, queries: Floats) -> float:
    """The share of found rows that are as near as the true k-th."""
    unit, right = rows / np.linalg.norm(rows, axis=1, keepdims=True), 0
    for query in queries:
        cosines = unit @ (query / np.linalg.norm(query))
        worst = np.partition(cosines, -K)[-K] - 1e-5
        found = con.execute(f"select id from vector_top_k('i', ?, {K})", (query.tobytes(),)).fetchall()
        assert len(found) == K
        right += sum(cosines[row] >= worst for (row,) in found)
    return right / K / len(queries)


@pytest.mark.parametrize("copies", [1, 100])
def test_nothing_kept_finds_as_much(fill: Fill, copies: int) -> None:
    dice = np.random.default_rng(1)
    rows = np.repeat(dice.standard_normal((12_000 // copies, DIMS), dtype="f4"), copies, axis=0)
    con = fill(rows)
    con.execute("pragma libsql_vector_cache = 0")
    assert recall(con, rows, dice.standard_normal((N_QUERY, DIMS), dtype="f4")) >= 0.97


def cached(con: Connection) -> int:
    return int(con.execute("select cached_nodes from vector_index_info('i')").fetchone()[0])


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_nothing_kept_but_in_a_transaction(fill: Fill, end: str) -> None:
    """Statements of one transaction do not load the same nodes again."""
    dice = np.random.default_rng(1)
    con = fill(dice.standard_normal((3000, 16), dtype="f4"))
    con.execute("pragma libsql_vector_cache = 0")
    assert cached(con) == 0
    con.execute("begin")
    counts = []
    for i in range(3000, 3020):
        con.execute("insert into t values (?, ?)", (i, dice.standard_normal(16, dtype="f4").tobytes()))
        counts.append(cached(con))
    assert counts[0] > 0
    assert counts == sorted(counts)
    con.execute(end)
    assert cached(con) == 0
    assert con.execute("select * from vector_index_check('i')").fetchall() == []


def test_pages_of_an_insert(fill: Fill, tmp_path: Path) -> None:
    """A row in a transaction of its own changes few pages."""
    dice = np.random.default_rng(1)
    con = fill(dice.standard_normal((3000, DIMS), dtype="f4"))
    con.execute("pragma journal_mode = wal")
    con.execute("pragma wal_autocheckpoint = 0")
    for i in range(3000, 3100):
        con.execute("insert into t values (?, ?)", (i, dice.standard_normal(DIMS, dtype="f4").tobytes()))
    assert (tmp_path / "t.db-wal").stat().st_size / 4120 / 100 < 27


def open_files() -> int:
    """Temporary files of this process, where the system tells."""
    names = [str(link.readlink()) for link in Path("/proc/self/fd").glob("*") if link.is_symlink()]
    return sum(name.endswith("(deleted)") for name in names)


def test_statements_need_no_file(fill: Fill) -> None:
    """What a row changes is kept for the statement's rollback, in memory."""
    dice = np.random.default_rng(1)
    con = fill(dice.standard_normal((3000, DIMS), dtype="f4"))
    before = open_files()
    con.execute("begin")
    for i in range(3000, 3020):
        con.execute("insert into t values (?, ?)", (i, dice.standard_normal(DIMS, dtype="f4").tobytes()))
    assert open_files() == before
    with pytest.raises(libsql_core.OperationalError, match="dimensions are different"):
        con.execute("insert into t select id + 5000, case id when 9 then '[1]' else v end from t where id < 10")
    assert con.execute("select nodes from vector_index_info('i')").fetchall() == [(3020,)]
    con.execute("commit")
    assert con.execute("select * from vector_index_check('i')").fetchall() == []


def test_what_is_gone_needs_no_memory(fill: Fill) -> None:
    """Rows come and go under new ids, and all that are there stay in memory."""
    dice = np.random.default_rng(1)
    con = fill(dice.standard_normal((300, 16), dtype="f4"))
    con.execute("pragma synchronous = off")
    con.execute("pragma libsql_vector_cache = 200000")
    con.execute("select * from vector_top_k('i', ?, 1)", (bytes(64),)).fetchall()
    for i in range(300, 2000):
        con.execute("insert into t values (?, ?)", (i, dice.standard_normal(16, dtype="f4").tobytes()))
        assert cached(con) == 301
        con.execute("delete from t where id = ?", (i - 300,))
