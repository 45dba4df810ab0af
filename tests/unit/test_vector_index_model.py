"""Vector indexes under random operations, against comparing all rows."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import libsql_core

DIMS, K = 8, 10
N_OPERATIONS = 20_000
N_ROWS = 600  # about which the table stays
TABLES = {
    "rowid": ("id integer primary key, v f32_blob(8), x", ""),
    "compact": ("x, v f32_blob(8), id integer primary key", ""),
    "text key": ("id text primary key, v f32_blob(8), x", " without rowid"),
}
Rows = dict[object, bytes | None]
Floats = NDArray[np.float32]


class Table:
    """A table with a vector index in a file, what should be in it, and two connections to it."""

    def __init__(self, path: Path, kind: str, cache: int, seed: int) -> None:
        self.dice = random.Random(seed)
        self.rows: Rows = {}
        self.key: Callable[[int], object] = (lambda n: n * 3 - 200) if kind != "text key" else (lambda n: f"k{n}")
        self.savepoints: list[Rows] = []
        self.con, self.other = (libsql_core.connect(path, isolation_level=None) for _ in range(2))
        columns, end = TABLES[kind]
        for con in (self.con, self.other):
            con.execute(f"pragma libsql_vector_cache = {cache}")
            con.execute("pragma journal_mode = wal")
            con.execute("pragma synchronous = off")
        self.con.execute(f"create table t({columns}){end}")
        form = ", 'type=compact'" if kind == "compact" else ""
        self.con.execute(f"create index i on t(libsql_vector_idx(v, 'metric=l2'{form}))")
        self.found = self.true = 0

    def close(self) -> None:
        self.con.close()
        self.other.close()

    def vector(self) -> bytes | None:
        """One in twenty is NULL, one in twenty a copy, the others gather in eight corners."""
        kind = self.dice.random()
        if kind < 0.05:
            return None
        if kind < 0.1 and self.rows:
            return self.dice.choice(list(self.rows.values()))
        corner = self.dice.randrange(8)
        return np.array([self.dice.gauss(corner >> i % 3 & 1, 0.3) for i in range(DIMS)], "f4").tobytes()

    def any_key(self) -> object:
        return self.dice.choice(list(self.rows)) if self.rows else self.key(0)

    def new_key(self) -> object:
        while (key := self.key(self.dice.randrange(10_000))) in self.rows:
            pass
        return key

    # What one statement does to the table and to the rows that should be there

    def insert(self, con: libsql_core.Connection) -> None:
        rows = [(self.new_key(), self.vector()) for _ in range(self.dice.choice([1, 1, 1, 3]))]
        if len(dict(rows)) == len(rows):
            con.execute(f"insert into t(id, v) values {', '.join(['(?, ?)'] * len(rows))}", sum(rows, ()))
            self.rows.update(rows)

    def update(self, con: libsql_core.Connection) -> None:
        key, vector = self.any_key(), self.vector()
        con.execute("update t set v = ? where id = ?", (vector, key))
        if key in self.rows:
            self.rows[key] = vector

    def touch(self, con: libsql_core.Connection) -> None:
        con.execute("update t set x = random() where id >= ?", (self.any_key(),))

    def move(self, con: libsql_core.Connection) -> None:
        old, new = self.any_key(), self.new_key()
        con.execute("update t set id = ? where id = ?", (new, old))
        if old in self.rows:
            self.rows[new] = self.rows.pop(old)

    def delete(self, con: libsql_core.Connection) -> None:
        n = 1 if len(self.rows) < N_ROWS else 2
        for key in {self.any_key() for _ in range(n)}:
            con.execute("delete from t where id = ?", (key,))
            self.rows.pop(key, None)

    def replace(self, con: libsql_core.Connection) -> None:
        key, vector = self.any_key(), self.vector()
        con.execute("insert or replace into t(id, v) values (?, ?)", (key, vector))
        self.rows[key] = vector

    def upsert(self, con: libsql_core.Connection) -> None:
        key, vector = self.any_key(), self.vector()
        con.execute("insert into t(id, v) values (?, ?) on conflict(id) do update set v = excluded.v", (key, vector))
        self.rows[key] = vector

    def fail(self, con: libsql_core.Connection) -> None:
        """The statement takes back what it did before it met the bad row."""
        new = [self.new_key(), self.new_key(), self.new_key()]
        bad = self.dice.choice([(new[2], b"\0\0\0\0"), (new[0], None), (new[2], "[1,2,oh]"), (new[2], 7)])
        rows = [(new[0], self.vector()), (new[1], self.vector()), bad]
        with suppress(libsql_core.Error):
            con.execute("insert into t(id, v) values (?, ?), (?, ?), (?, ?)", sum(rows, ()))
            pytest.fail("it should have failed")
        with suppress(libsql_core.Error):
            con.execute("update t set v = case when id = ? then 7 else ? end", (self.any_key(), self.vector()))
            assert not self.rows

    def empty(self, con: libsql_core.Connection) -> None:
        if self.dice.random() < 0.02:
            con.execute("delete from t")
            self.rows.clear()

    # Transactions

    def begin(self, con: libsql_core.Connection) -> None:
        if len(self.savepoints) < 4:
            con.execute(f"savepoint s{len(self.savepoints)}")
            self.savepoints.append(dict(self.rows))

    def release(self, con: libsql_core.Connection) -> None:
        if self.savepoints:
            self.savepoints.pop()
            con.execute(f"release s{len(self.savepoints)}")

    def roll_back(self, con: libsql_core.Connection) -> None:
        if self.savepoints and self.dice.random() < 0.2:
            con.execute("rollback")
            self.rows = self.savepoints[0]
            self.savepoints = []
        elif self.savepoints:
            self.rows = dict(self.savepoints[-1])
            con.execute(f"rollback to s{len(self.savepoints) - 1}")

    def step(self) -> None:
        """One operation; by the other connection only while this one has no transaction."""
        write = [self.insert] * 6 + [self.update] * 6 + [self.delete] * 5 + [self.replace, self.upsert] * 2
        write += [self.touch, self.move, self.fail, self.empty]
        turn = [self.begin] * 2 + [self.release] * 2 + [self.roll_back]
        if self.savepoints or self.dice.random() < 0.7:
            self.dice.choice(write + turn)(self.con)
        else:
            self.dice.choice(write)(self.other)

    def search(self) -> None:
        """Every row that comes is there, with its distance, nearest first."""
        query = np.array([self.dice.gauss(0.5, 0.5) for _ in range(DIMS)], "f4")
        con = self.con if self.savepoints or self.dice.random() < 0.8 else self.other
        sql = f"select id, distance from vector_top_k('i', ?, {K})"
        found = con.execute(sql, (query,)).fetchall()
        there = {key: vector for key, vector in self.rows.items() if vector is not None}
        assert len({key for key, _ in found}) == len(found) == min(K, len(there))
        if not there:
            return
        matrix = np.frombuffer(b"".join(there.values()), "f4").reshape(-1, DIMS).astype(float)
        far = dict(zip(there, np.linalg.norm(matrix - query, axis=1).tolist(), strict=True))
        assert [distance for _, distance in found] == pytest.approx([far[key] for key, _ in found], abs=1e-5)
        assert [distance for _, distance in found] == sorted(distance for _, distance in found)
        worst = sorted(far.values())[len(found) - 1]
        self.found += sum(distance <= worst + 1e-5 for _, distance in found)
        self.true += len(found)

    def check(self) -> None:
        assert dict(self.con.execute("select id, v from t").fetchall()) == self.rows
        assert self.con.execute("select * from vector_index_check('i')").fetchall() == []
        n = sum(vector is not None for vector in self.rows.values())
        assert self.con.execute("select count(*) from i_shadow").fetchone() == (n,)


@pytest.mark.parametrize("cache", [0, 1 << 29])
@pytest.mark.parametrize("kind", TABLES)
def test_random_operations(kind: str, cache: int, tmp_path: Path) -> None:
    table = Table(tmp_path / "t.db", kind, cache, seed=20261121)
    try:
        for number in range(N_OPERATIONS):
            table.step()
            if number % 10 == 0:
                table.search()
            if number % 250 == 0 or (not table.rows and number % 10 == 0):
                table.check()
        table.check()
        assert table.found / table.true >= 0.97
        assert table.true > 8 * N_OPERATIONS // 10
    finally:
        table.close()


# Recall after large changes


class Churned:
    """Rows in clusters, or not, and how well they are found."""

    def __init__(self, n: int, dims: int, clustered: bool, parameters: str = "") -> None:
        self.dice = np.random.default_rng(n + dims)
        self.dims, self.clustered = dims, clustered
        self.centres = self.dice.standard_normal((30, dims), dtype="f4")
        self.rows = dict(enumerate(self.make(n)))
        self.con = libsql_core.connect(":memory:", isolation_level=None)
        self.con.execute(f"create table t(id integer primary key, v f32_blob({dims}))")
        self.write("insert into t(v, id) values (?, ?)", self.rows)
        self.con.execute(f"create index i on t(libsql_vector_idx(v{parameters}))")

    def make(self, n: int) -> Floats:
        noise: Floats = self.dice.standard_normal((n, self.dims), dtype="f4")
        return self.centres[self.dice.integers(0, 30, n)] + np.float32(0.35) * noise if self.clustered else noise

    def write(self, sql: str, rows: dict[int, Floats]) -> None:
        self.con.execute("begin")
        self.con.executemany(sql, [(row, key) for key, row in rows.items()])
        self.con.execute("commit")

    def update(self, keys: range) -> None:
        changed = dict(zip(keys, self.make(len(keys)), strict=True))
        self.rows |= changed
        self.write("update t set v = ? where id = ?", changed)

    def delete(self, keys: list[int]) -> None:
        self.write("delete from t where ? is not null and id = ?", {key: self.rows.pop(key) for key in keys})

    def recall(self) -> float:
        keys, matrix = np.array(list(self.rows)), np.array(list(self.rows.values()), float)
        matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
        right = 0
        for query in self.make(50):
            cosines = matrix @ query
            worst = np.partition(cosines, -K)[-K] - 1e-5
            near = set(keys[cosines >= worst].tolist())
            rows = self.con.execute(f"select id from vector_top_k('i', ?, {K})", (query,)).fetchall()
            right += len(near & {row[0] for row in rows})
            assert len(set(rows)) == len(rows) == K
        return right / K / 50


@pytest.fixture(params=[True, False], ids=["clustered", "uniform"])
def churned(request: pytest.FixtureRequest) -> Iterator[Churned]:
    made = Churned(3000, 24, bool(request.param))
    yield made
    assert made.con.execute("select * from vector_index_check('i')").fetchall() == []
    made.con.close()


def test_recall_after_deletes(churned: Churned) -> None:
    assert churned.recall() >= 0.98
    churned.delete([key for key in churned.rows if key % 2])
    assert churned.recall() >= 0.95
    churned.delete([key for key in churned.rows if key % 10])
    assert len(churned.rows) == 300
    assert churned.recall() >= 0.95


def test_recall_after_updates(churned: Churned) -> None:
    churned.update(range(0, 3000, 2))
    assert churned.recall() >= 0.95
    churned.update(range(3000))
    assert churned.recall() >= 0.95


def test_recall_after_growing(churned: Churned) -> None:
    more = dict(enumerate(churned.make(3000), 3000))
    churned.rows |= more
    churned.write("insert into t(v, id) values (?, ?)", more)
    assert churned.recall() >= 0.95


@pytest.mark.parametrize("before", [True, False], ids=["inserted", "built"])
def test_recall_with_copies(before: bool) -> None:
    """100 copies of each vector; 30 of them may be deleted again."""
    copied = Churned(20, 24, False)
    originals = list(copied.rows.values())
    copies = {20 + i: originals[i % 20] for i in range(1980)}
    if not before:
        copied.con.execute("drop index i")
    copied.rows |= copies
    copied.write("insert into t(v, id) values (?, ?)", copies)
    if not before:
        copied.con.execute("create index i on t(libsql_vector_idx(v))")
    assert copied.recall() >= 0.95
    copied.delete(list(range(600)))
    assert copied.recall() >= 0.95
    assert copied.con.execute("select * from vector_index_check('i')").fetchall() == []
    copied.con.close()
