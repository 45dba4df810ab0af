"""Compare exact vector search with libSQL, sqlite-vec, usearch and numpy in one run.

    python benchmarks/vector_exact.py [--quick] [--rounds N]

Every engine answers the same queries over the same vectors, cosine for floats and Hamming for bits, k = 10. The engines
take turns, one query (or one batch) each, round after round; a case's time is the best of its rounds. `GB/s` counts
the bytes of the stored vectors once per query. Results are compared with numpy's in double precision: rows whose
distance is not within 1e-5 of the true k-th stop the run.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
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


class Cases:
    """The engines over one set of float32 vectors."""

    def __init__(self, folder: Path, n: int, dims: int) -> None:
        rng = np.random.default_rng(n + dims)
        self.rows: Floats = rng.standard_normal((n, dims), dtype=np.float32)
        self.queries: Floats = rng.standard_normal((BATCH, dims), dtype=np.float32)
        self.one = self.queries[0]
        self.blob = self.one.tobytes()
        lengths = np.linalg.norm(self.rows.astype(float), axis=1)
        cosines = self.queries.astype(float) @ self.rows.astype(float).T
        cosines /= lengths * np.linalg.norm(self.queries.astype(float), axis=1)[:, None]
        self.true = 1 - cosines
        self.lengths = lengths.astype(np.float32)
        self.ours = libsql_core.connect(folder / "ours.db", isolation_level=None)
        kind = f"CREATE TABLE t(id INTEGER PRIMARY KEY, v F32_BLOB({dims}))"
        table(self.ours, self.rows, "INSERT INTO t VALUES(?, ?)", kind)
        self.libsql = libsql.connect(str(folder / "libsql.db"), isolation_level=None)
        table(self.libsql, self.rows, "INSERT INTO t VALUES(?, ?)", kind)
        self.vec0 = pysqlite3.connect(str(folder / "vec0.db"), isolation_level=None)
        self.vec0.enable_load_extension(True)
        sqlite_vec.load(self.vec0)
        kind = f"CREATE VIRTUAL TABLE t USING vec0(v float[{dims}] distance_metric=cosine)"
        table(self.vec0, self.rows, "INSERT INTO t(rowid, v) VALUES(?, ?)", kind)

    def close(self) -> None:
        self.ours.close()
        self.vec0.close()

    def single(self) -> dict[str, Run]:
        scan = f"SELECT id FROM t ORDER BY vector_distance_cos(v, ?) LIMIT {K}"
        top = f"SELECT id FROM vector_scan('t', 'v', ?, {K})"
        match = f"SELECT rowid FROM t WHERE v MATCH ? AND k = {K}"
        return {
            "libsql, ORDER BY": lambda: [row[0] for row in self.libsql.execute(scan, (self.blob,)).fetchall()],
            "ours, ORDER BY": lambda: [row[0] for row in self.ours.execute(scan, (self.blob,)).fetchall()],
            "ours, vector_scan()": lambda: [row[0] for row in self.ours.execute(top, (self.blob,)).fetchall()],
            "ours, search()": lambda: vector.search(self.ours, "t", "v", self.one, K)[0],
            "sqlite-vec, vec0": lambda: [row[0] for row in self.vec0.execute(match, (self.blob,)).fetchall()],
            "usearch, exact": lambda: usearch_search(self.rows, self.one, K, MetricKind.Cos, exact=True).keys + 1,
            "numpy, matrix x vector": lambda: self.nearest(self.rows @ self.one),
        }

    def batch(self) -> dict[str, Run]:
        return {
            "ours, search()": lambda: vector.search(self.ours, "t", "v", self.queries, K)[0],
            "usearch, exact": lambda: usearch_search(self.rows, self.queries, K, MetricKind.Cos, exact=True).keys + 1,
            "numpy, matrix x matrix": lambda: np.array([self.nearest(dots) for dots in self.queries @ self.rows.T]),
        }

    def nearest(self, dots: Floats) -> NDArray[np.int64]:
        cosines = dots / self.lengths
        best = np.argpartition(cosines, -K)[-K:]
        return best[np.argsort(-cosines[best])] + 1

    def check(self, name: str, ids: Any) -> None:
        for query, found in enumerate(np.atleast_2d(np.asarray(ids, dtype=np.int64))):
            distances = self.true[query][found - 1]
            if len(found) != K or distances.max() > np.partition(self.true[query], K)[K - 1] + 1e-5:
                raise SystemExit(f"{name}: these are not the nearest rows of query {query}: {found.tolist()}")


def measure(cases: Cases, runs: dict[str, Run], rounds: int) -> dict[str, float]:
    best = dict.fromkeys(runs, float("inf"))
    names = list(runs)
    for turn in range(rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.perf_counter()
            ids = runs[name]()
            elapsed = time.perf_counter() - start
            if turn == 0:  # warms up, and checks
                cases.check(name, ids)
            else:
                best[name] = min(best[name], elapsed)
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
        with tempfile.TemporaryDirectory() as folder, contextlib.closing(Cases(Path(folder), n, dims)) as cases:
            size = n * dims * 4
            title = f"{n} x {dims} float32"
            report(f"{title}, one query", measure(cases, cases.single(), rounds), 1, size, "libsql, ORDER BY")
            few = max(rounds // 5, 3)
            report(f"{title}, {BATCH} queries", measure(cases, cases.batch(), few), BATCH, size, "usearch, exact")


if __name__ == "__main__":
    main()
