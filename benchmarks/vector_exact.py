"""Compare exact vector search with libSQL, sqlite-vec, usearch and numpy in one run.

    python benchmarks/vector_exact.py [--quick] [--rounds N]

Every engine answers the same queries over the same vectors, cosine for floats and Hamming for bits, k = 10. The engines
take turns of two queries (or batches), or as many as take 20 ms, round after round; a case's time is the best of its
rounds. `GB/s` counts the bytes of the stored vectors once per query. Results are compared with numpy's in double
precision: rows whose distance is not within 1e-5 of the true k-th stop the run.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import itertools
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libsql
import numpy as np
import pysqlite3
import sqlite_vec
from numpy.typing import NDArray
from usearch.index import MetricKind
from usearch.index import search as usearch_search

import libsql_core
from libsql_core import vector

K = 10
BATCH = 64
TURN = 0.02  # seconds
SIZES = ((20_000, 128), (20_000, 768), (200_000, 384))
Floats = NDArray[np.float32]
Run = Callable[[], Any]


def blobs(matrix: NDArray[Any]) -> Iterator[tuple[int, bytes]]:
    for i, row in enumerate(matrix, 1):
        yield i, row.tobytes()


def table(con: Any, matrix: NDArray[Any], sql: str, *setup: str) -> None:
    """Create and fill a table in one transaction; works for every module here."""
    for statement in setup:
        con.execute(statement)
    con.execute("BEGIN")
    if isinstance(con, libsql_core.Connection):
        con.executemany(sql, blobs(matrix))
    else:
        for row in blobs(matrix):
            con.execute(sql, row)
    con.execute("COMMIT")


def cosines(queries: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float64]:
    """The cosine distances in double precision, a row for each query."""
    wide, wide_rows = queries.astype(float), rows.astype(float)
    lengths = np.linalg.norm(wide, axis=1)[:, None] * np.linalg.norm(wide_rows, axis=1)
    return np.asarray(1 - wide @ wide_rows.T / lengths)


class Cases:
    """The engines over one set of vectors, filled once; a subclass for each type of elements."""

    base = "libsql, ORDER BY"
    type_name = "float32"
    table_type = "F32_BLOB"
    vec0_type = "float[{}] distance_metric=cosine"
    vec0_value = "?"
    sql_value = "?"

    def __init__(self, folder: Path, n: int, dims: int) -> None:
        self.n, self.dims = n, dims
        rng = np.random.default_rng(n + dims)
        self.floats: Floats = rng.standard_normal((n, dims), dtype=np.float32)
        self.asked: Floats = rng.standard_normal((BATCH, dims), dtype=np.float32)
        self.ours = libsql_core.connect(folder / "ours.db", isolation_level=None)
        kind = f"CREATE TABLE t(id INTEGER PRIMARY KEY, v {self.table_type}({dims}))"
        insert = f"INSERT INTO t VALUES(?, {self.sql_value})"
        table(self.ours, self.floats, insert, kind)
        self.libsql = libsql.connect(str(folder / "libsql.db"), isolation_level=None)
        table(self.libsql, self.floats, insert, kind)
        self.vec0 = pysqlite3.connect(str(folder / "vec0.db"), isolation_level=None)
        self.vec0.enable_load_extension(True)
        sqlite_vec.load(self.vec0)
        kind = f"CREATE VIRTUAL TABLE t USING vec0(v {self.vec0_type.format(dims)})"
        self.prepare()
        table(self.vec0, self.rows, f"INSERT INTO t(rowid, v) VALUES(?, {self.vec0_value})", kind)

    def prepare(self) -> None:
        """What usearch, sqlite-vec and numpy work on, and the true distances of both kinds of elements."""
        self.rows: NDArray[Any] = self.floats
        self.queries: NDArray[Any] = self.asked
        self.true = self.true_peers = cosines(self.asked, self.floats)
        self.lengths = np.linalg.norm(self.floats.astype(float), axis=1).astype(np.float32)
        self.blobs = [row.tobytes() for row in self.asked]

    @property
    def size(self) -> int:
        return int(self.ours.execute("SELECT length(v) FROM t").fetchone()[0]) * self.n

    def close(self) -> None:
        self.ours.close()
        self.vec0.close()

    def single(self) -> dict[str, Run]:
        function = "vector_distance_cos"
        scan = f"SELECT id FROM t ORDER BY {function}(v, ?) LIMIT {K}"
        top = f"SELECT id FROM vector_scan('t', 'v', ?, {K})"
        match = f"SELECT rowid FROM t WHERE v MATCH {self.vec0_value} AND k = {K}"
        blob, query = self.blobs[0], self.queries[0]
        return {
            "libsql, ORDER BY": lambda: [row[0] for row in self.libsql.execute(scan, (blob,)).fetchall()],
            "ours, ORDER BY": lambda: [row[0] for row in self.ours.execute(scan, (blob,)).fetchall()],
            "ours, vector_scan()": lambda: [row[0] for row in self.ours.execute(top, (blob,)).fetchall()],
            "ours, search()": lambda: vector.search(self.ours, "t", "v", self.asked[0], K)[0],
            "sqlite-vec, vec0": lambda: [row[0] for row in self.vec0.execute(match, (query.tobytes(),)).fetchall()],
            "usearch, exact": lambda: self.usearch(query),
            **self.numpy_single(),
        }

    def numpy_single(self) -> dict[str, Run]:
        query = self.queries[0]
        return {
            "numpy, matrix x vector": lambda: self.nearest(self.rows @ query),
            "numpy, product alone": lambda: self.rows @ query,
        }

    def batch(self) -> dict[str, Run]:
        return {
            "ours, search()": lambda: vector.search(self.ours, "t", "v", self.asked, K)[0],
            "usearch, exact": lambda: self.usearch(self.queries),
            **self.numpy_batch(),
        }

    def numpy_batch(self) -> dict[str, Run]:
        return {
            "numpy, matrix x matrix": lambda: np.array([self.nearest(dots) for dots in self.queries @ self.rows.T]),
            "numpy, product alone": lambda: self.queries @ self.rows.T,
        }

    def usearch(self, queries: NDArray[Any]) -> Any:
        return usearch_search(self.rows, queries, K, MetricKind.Cos, exact=True).keys + 1

    def nearest(self, dots: Floats) -> NDArray[np.int64]:
        cosines = dots / self.lengths
        best = np.argpartition(cosines, -K)[-K:]
        return best[np.argsort(-cosines[best])] + 1

    def check(self, name: str, ids: Any) -> None:
        if "alone" in name:
            return
        true = self.true if name.startswith(("ours", "libsql")) else self.true_peers
        for query, found in enumerate(np.atleast_2d(np.asarray(ids, dtype=np.int64))):
            distances = true[query][found - 1]
            if len(found) != K or distances.max() > np.partition(true[query], K)[K - 1] + 1e-5:
                raise SystemExit(f"{name}: these are not the nearest rows of query {query}: {found.tolist()}")


class Bytes(Cases):
    """libSQL's float8, and for the peers signed bytes with one scale for all."""

    type_name = "8 bits"
    table_type = "F8_BLOB"
    vec0_type = "int8[{}] distance_metric=cosine"
    vec0_value = "vec_int8(?)"
    sql_value = "vector8(?)"

    def prepare(self) -> None:
        scale = 127 / max(np.abs(self.floats).max(), np.abs(self.asked).max())
        self.rows = np.rint(self.floats * scale).astype(np.int8)
        self.queries = np.rint(self.asked * scale).astype(np.int8)
        self.true_peers = cosines(self.queries, self.rows)
        self.blobs = [self.ours.execute("SELECT vector8(?)", (row.tobytes(),)).fetchone()[0] for row in self.asked]
        stored = [row[0] for row in self.ours.execute("SELECT v FROM t ORDER BY id")]
        self.true = cosines(self.read(self.blobs), self.read(stored))

    def read(self, blobs: list[bytes]) -> Floats:
        return np.array([vector.to_array(blob) for blob in blobs])

    def numpy_single(self) -> dict[str, Run]:
        return {}

    numpy_batch = numpy_single


class Bits(Cases):
    """One bit for each element, and Hamming distances."""

    type_name = "1 bit"
    table_type = "F1BIT_BLOB"
    vec0_type = "bit[{}]"
    vec0_value = "vec_bit(?)"
    sql_value = "vector1bit(?)"

    def prepare(self) -> None:
        self.rows = np.packbits(self.floats > 0, axis=1, bitorder="little")
        self.queries = np.packbits(self.asked > 0, axis=1, bitorder="little")
        self.blobs = [self.ours.execute("SELECT vector1bit(?)", (row.tobytes(),)).fetchone()[0] for row in self.asked]
        self.true = np.array([self.distances(query) for query in self.queries]).astype(float)
        self.true_peers = self.true

    def distances(self, query: NDArray[np.uint8]) -> Any:
        return np.bitwise_count(self.rows.view(np.uint64) ^ query.view(np.uint64)).sum(axis=1, dtype=np.uint32)

    def numpy_single(self) -> dict[str, Run]:
        return {"numpy, bitwise_count": lambda: self.lowest(self.distances(self.queries[0]))}

    def numpy_batch(self) -> dict[str, Run]:
        return {"numpy, bitwise_count": lambda: np.array([self.lowest(self.distances(q)) for q in self.queries])}

    def lowest(self, distances: NDArray[Any]) -> NDArray[np.int64]:
        best = np.argpartition(distances, K)[:K]
        return best[np.argsort(distances[best])] + 1

    def usearch(self, queries: NDArray[Any]) -> Any:
        return usearch_search(self.rows, queries, K, MetricKind.Hamming, exact=True).keys + 1


def types(n: int, dims: int, rounds: int) -> None:
    """Each of libSQL's types alone: rows that search() and ORDER BY look at in a second."""
    rows = np.random.default_rng(1).standard_normal((n, dims), dtype=np.float32)
    print(f"\n{n} x {dims}, one query\n{'':26}{'search() rows/s':>18}{'ORDER BY rows/s':>18}")
    for name in ("vector32", "vector64", "vector16", "vectorb16", "vector8", "vector1bit"):
        with contextlib.closing(libsql_core.connect(":memory:", isolation_level=None)) as con:
            table(con, rows, f"INSERT INTO t VALUES(?, {name}(?))", "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB)")
            query = con.execute(f"SELECT {name}(?)", (rows[0].tobytes(),)).fetchone()
            scan = f"SELECT id FROM t ORDER BY vector_distance_cos(v, ?) LIMIT {K}"
            best = [float("inf")] * 2
            for _ in range(rounds):
                start = time.perf_counter()
                vector.search(con, "t", "v", rows[0], K)
                middle = time.perf_counter()
                con.execute(scan, query).fetchall()
                best = [min(best[0], middle - start), min(best[1], time.perf_counter() - middle)]
            print(f"{name:26}{n / best[0]:18.3g}{n / best[1]:18.3g}")


def measure(cases: Cases, runs: dict[str, Run], rounds: int) -> dict[str, float]:
    best = dict.fromkeys(runs, float("inf"))
    names = list(runs)
    for turn in range(rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            begun = time.perf_counter()
            for number in itertools.count():  # the first finds another engine's data in the processor's caches
                start = time.perf_counter()
                if number > 1 and start - begun > TURN:
                    break
                ids = runs[name]()
                if turn:
                    best[name] = min(best[name], time.perf_counter() - start)
            if turn == 0:  # warms up, and checks
                cases.check(name, ids)
    return best


def report(title: str, best: dict[str, float], queries: int, size: int, base: str) -> None:
    print(f"\n{title}")
    print(f"{'':26}{'queries/s':>12}{'GB/s':>9}{'x ' + base:>24}")
    for name, seconds in best.items():
        rate = queries / seconds
        print(f"{name:26}{rate:12.1f}{rate * size / 1e9:9.2f}{best[base] / seconds:24.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the small sets only, few rounds")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    rounds = 5 if options.quick else options.rounds
    names = ("libsql", "sqlite-vec", "usearch", "numpy")
    peers = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    print(f"libsql_core {libsql_core.__version__}, SQLite {libsql_core.sqlite_version}; {peers}")
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, {sys.platform}")
    for n, dims in SIZES[: 2 if options.quick else 3]:
        for kind in (Cases, Bytes, Bits):
            with tempfile.TemporaryDirectory() as folder, contextlib.closing(kind(Path(folder), n, dims)) as cases:
                size = cases.size
                title = f"{n} x {dims}, {kind.type_name}"
                report(f"{title}, one query", measure(cases, cases.single(), rounds), 1, size, "libsql, ORDER BY")
                few = max(rounds // 5, 3)
                report(f"{title}, {BATCH} queries", measure(cases, cases.batch(), few), BATCH, size, "usearch, exact")
    types(100_000, 384, rounds)


if __name__ == "__main__":
    main()
