"""Vector indexes searched straight from the file, and the directory of nodes that such a search begins at."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import libsql_core
from libsql_core import Connection

DIMS, K, N_QUERY = 16, 10, 60
N_GROUP, N = 120, 6000
Floats = NDArray[np.float32]
Open = Callable[..., Connection]


def grouped(n: int, seed: int) -> Floats:
    """Vectors in groups that have nothing to do with each other."""
    centres = np.random.default_rng(1).standard_normal((N_GROUP, DIMS), dtype="f4")
    dice = np.random.default_rng(seed)
    noise = dice.standard_normal((n, DIMS), dtype="f4")
    found: Floats = centres[dice.integers(0, N_GROUP, n)] + np.float32(0.2) * noise
    return found


ROWS, LATER, QUERIES = grouped(N, 2), grouped(N, 3), grouped(N_QUERY, 4)


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Open]:
    """Makes a table of rows with an index, on a connection that keeps nothing."""
    con = libsql_core.connect(tmp_path / "t.db", isolation_level=None)

    def fill(rows: Floats, end: str = "", key: str = "integer primary key", parameters: str = "") -> Connection:
        con.execute(f"create table t(id {key}, v f32_blob({rows.shape[1]})){end}")
        con.execute("begin")
        con.executemany("insert into t values (?, ?)", ((i, row.tobytes()) for i, row in enumerate(rows)))
        con.execute(f"create index i on t(libsql_vector_idx(v{parameters}))")
        con.execute("commit")
        con.execute("pragma libsql_vector_cache = 0")
        return con

    yield fill
    con.close()


def recall(con: Connection, rows: dict[int, Floats], width: int | None = None) -> float:
    ids = np.array(list(rows))
    table = np.array(list(rows.values()))
    unit, right = table / np.linalg.norm(table, axis=1, keepdims=True), 0
    for query in QUERIES:
        cosines = unit @ (query / np.linalg.norm(query))
        worst = np.partition(cosines, -K)[-K] - 1e-5
        sql = "select id from vector_top_k('i', ?, ?, null, ?)" if width else "select id from vector_top_k('i', ?, ?)"
        values: list[Any] = [query.tobytes(), K, *([width] if width else [])]
        found = {int(key) for (key,) in con.execute(sql, values)}
        right += sum(cosines[ids == key].max(initial=-2) >= worst for key in found)
    return right / K / len(QUERIES)


def directory(con: Connection) -> tuple[int, list[int], int]:
    """The node that it lies at, its nodes, and how many places were given away."""
    (metadata,) = con.execute("select metadata from libsql_vector_meta_shadow where name = 'i'").fetchone()
    tags = {metadata[at]: struct.unpack_from("<q", metadata, at + 1)[0] for at in range(0, len(metadata) - 8, 9)}
    block = tags[6]
    columns = [row[1] for row in con.execute("pragma table_info(i_shadow)")]
    key = "rowid" if columns[0] == "rowid" else "index_key"
    ((at, data),) = con.execute(f"select {key}, data from i_shadow where length(data) <> {block}").fetchall()
    assert at == tags[100]
    mark, n, _, given, nodes = struct.unpack_from("<4sIIIq", data, block)
    assert mark == b"LSCd"
    assert nodes == N
    return at, list(struct.unpack_from(f"<{n}q", data, block + 24)), given


def sound(con: Connection) -> bool:
    """But for edges that writes did not know of, since nothing was in memory."""
    sql = "select * from vector_index_check('i') where problem not like 'edge to %'"
    return con.execute(sql).fetchall() == []


def test_a_search_begins_at_the_nearest(filled: Open) -> None:
    """Without edges nothing else is found."""
    con = filled(ROWS)
    _, nodes, _ = directory(con)
    assert len(nodes) == len(set(nodes)) == int(N**0.5)
    con.execute("update i_shadow set data = cast(substr(data, 1, 8) || x'0000' || substr(data, 11) as blob)")
    unit = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
    for query in QUERIES:
        near = sorted(nodes, key=lambda node: -float(unit[node] @ query))
        sql = f"select id from vector_top_k('i', ?, {K}, null, {K})"
        found = [key for (key,) in con.execute(sql, (query.tobytes(),))]
        assert found[0] == near[0]
        assert set(found) <= set(near[: 2 * K])
    con.execute("update i_shadow set data = substr(data, 1, (select min(length(data)) from i_shadow))")
    assert len(con.execute(sql, (query.tobytes(),)).fetchall()) < K
    con.execute("reindex i")
    assert recall(con, dict(enumerate(ROWS)), 16) >= 0.97


def test_default_width(filled: Open) -> None:
    con = filled(ROWS)
    assert recall(con, dict(enumerate(ROWS))) >= 0.97
    assert con.execute("select cached_nodes from vector_index_info('i')").fetchall() == [(0,)]


def test_built_in_parts(filled: Open) -> None:
    con = filled(ROWS)
    con.execute("pragma libsql_vector_build_memory = 800000")
    con.execute("reindex i")
    assert len(directory(con)[1]) == int(N**0.5)
    assert recall(con, dict(enumerate(ROWS)), 16) >= 0.97


@pytest.mark.parametrize("keyed", [False, True])
def test_rows_come_and_go(filled: Open, keyed: bool) -> None:
    """Half of the vectors change, nine of ten go: the directory follows, also when the row goes that has it."""
    con = filled(ROWS, " without rowid", "text primary key") if keyed else filled(ROWS)
    rows = dict(enumerate(ROWS))
    key: Callable[[int], Any] = str if keyed else int
    dice = np.random.default_rng(5)
    first = directory(con)[0]
    con.execute("begin")
    for i in dice.permutation(N)[: N // 2].tolist():
        rows[i] = LATER[i]
        con.execute("update t set v = ? where id = ?", (LATER[i].tobytes(), key(i)))
    con.execute("commit")
    assert sound(con)
    assert recall(con, rows) >= 0.95
    con.execute("begin")
    gone = {int(i) for i in dice.permutation(N)[: N * 9 // 10]}
    if not keyed:
        gone.add(first)
    for i in gone:
        del rows[i]
        con.execute("delete from t where id = ?", (key(i),))
    con.execute("commit")
    assert sound(con)
    assert recall(con, rows) >= 0.95
    at, nodes, given = directory(con)
    there = {row[0] for row in con.execute("select rowid from i_shadow")}
    assert at in there
    assert len(there & set(nodes)) >= 0.9 * len(nodes)
    assert given > len(nodes)
    assert at != first or keyed


def test_new_groups_are_found(filled: Open) -> None:
    con = filled(ROWS)
    others = -4 * ROWS[:N] + np.float32(1)
    rows = dict(enumerate(np.concatenate([ROWS, others])))
    con.execute("begin")
    con.executemany("insert into t values (?, ?)", ((N + i, row.tobytes()) for i, row in enumerate(others)))
    con.execute("commit")
    _, nodes, given = directory(con)
    assert given >= sum(node >= N for node in nodes) > 5
    assert recall(con, rows, 32) >= 0.95


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"LSC",
        b"LSCd",
        b"LSCd\1\0\0\0" + bytes(16),
        b"LSCd\xff\xff\xff\xff" + bytes(200),
        b"LSCe\1\0\0\0" + bytes(16 + 8 + DIMS + 8),
        b"LSCd\0\0\0\0" + bytes(16 + 8 + DIMS + 8),
        b"LSCd\2\0\0\0\xff\xff\xff\xff" + bytes(12) + b"\xff" * 2 * (8 + DIMS + 8),
        bytes(3_000_000),
    ],
)
def test_broken_directories(filled: Open, broken: bytes) -> None:
    """It is a hint: what makes no sense is passed over, by searches and by writes, also where it lies."""
    con = filled(ROWS)
    rows = dict(enumerate(ROWS))
    at = directory(con)[0]
    block = con.execute("select min(length(data)) from i_shadow").fetchone()[0]
    cut = "cast(substr(data, 1, ?) || ? as blob)"
    con.execute(f"update i_shadow set data = {cut} where index_key = ?", (block, broken, at))
    assert recall(con, rows) >= 0.95
    con.execute("insert into t values (?, ?)", (N, LATER[0].tobytes()))
    con.execute("delete from t where id in (?, ?)", (N, at))
    del rows[at]
    assert recall(con, rows) >= 0.95
    assert sound(con)


def test_the_metadata_name_another_node(filled: Open) -> None:
    """Whoever changes what the index says of itself: no write goes behind the end of a row."""
    con = filled(ROWS)
    at, nodes, _ = directory(con)
    other = next(node for node in nodes if node != at)
    (metadata,) = con.execute("select metadata from libsql_vector_meta_shadow").fetchone()
    con.execute("begin")
    con.execute("delete from t where id = ?", (nodes[-1] if nodes[-1] not in {at, other} else nodes[-2],))
    entry = b"\x64" + struct.pack("<q", other)
    con.execute("update libsql_vector_meta_shadow set metadata = ?", (metadata[:-9] + entry,))
    con.execute("delete from t where id = ?", (nodes[1] if nodes[1] not in {at, other} else nodes[2],))
    con.execute("commit")
    assert sound(con)
    assert recall(con, {i: ROWS[i] for (i,) in con.execute("select id from t")}) >= 0.95


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("edge", ["float1bit", "float8", "float16", "floatb16", "float32", "float64"])
@pytest.mark.parametrize("kind", ["32", "64", "1bit", "8", "16", "b16"])
def test_all_types(tmp_path: Path, kind: str, edge: str, metric: str) -> None:
    """From the file as much is found as exact comparison finds, with the same distances."""
    if metric == "l2" and "1bit" in (kind + edge):
        return
    con = libsql_core.connect(tmp_path / "t.db", isolation_level=None)
    con.execute(f"create table t(id integer primary key, v float{kind}({DIMS}))")
    con.execute("begin")
    sql = f"insert into t values (?, vector{kind}(?))"
    con.executemany(sql, ((i, row.tobytes()) for i, row in enumerate(ROWS[:1200])))
    given = f"'compress_neighbors={edge}'" if edge != "float64" else "'alpha=1.2'"
    con.execute(f"create index i on t(libsql_vector_idx(v, {given}, 'metric={metric}'))")
    con.execute("commit")
    con.execute("pragma libsql_vector_cache = 0")
    distance = "cos" if metric == "cosine" else "l2"
    right = 0
    for query in QUERIES[:8]:
        near = f"select id, vector_distance_{distance}(v, vector{kind}(?1)) d from t order by d, id limit {K}"
        exact = con.execute(near, (query.tobytes(),)).fetchall()
        ask = f"select id, distance from vector_top_k('i', vector{kind}(?), {K}, null, 300)"
        found = con.execute(ask, (query.tobytes(),)).fetchall()
        assert len(found) == K
        true = dict(con.execute(near.replace(f"limit {K}", ""), (query.tobytes(),)).fetchall())
        assert [d for _, d in found] == pytest.approx([true[i] for i, _ in found], rel=1e-5, abs=2e-6)
        assert [d for _, d in found] == sorted(d for _, d in found)
        right += sum(d <= exact[-1][1] + 1e-5 for _, d in found)
    assert right / K / 8 >= 0.97
    con.close()
