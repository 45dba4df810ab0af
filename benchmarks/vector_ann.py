"""Compare vector indexes with libSQL, hnswlib, usearch and sqlite-vec, which has none, in one run.

    python benchmarks/vector_ann.py [--sets 20000x128,...] [--engines ours,...] [--libsql-rows N] [--most-changed N]
                                    [--out FILE]

Each engine has a process of its own for each set, one after the other. A set is N x dims, with `u` behind it for
vectors of independent normal numbers, else 100 normal centres with noise of 0.35; queries are made the same way.
Cosine, k = 10. A found row counts when it is as near as the true k-th, within 1e-5.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

K = 10
N_QUERY = 200
COPIES = 100
SETS = "20000x128,20000x768,100000x128,100000x128u"
WIDTHS = (10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
PARTS = ("rows.npy", "later.npy", "queries.npy")
PEERS = ("libsql", "hnswlib", "usearch", "sqlite-vec", "numpy")
Floats = NDArray[np.float32]
Ids = NDArray[np.int64]


def make(name: str, folder: Path) -> None:
    """Write rows, rows to come later and queries of a set."""
    n, dims = map(int, name.rstrip("u").split("x"))
    dice = np.random.default_rng(1)
    later = n + n // 2
    made: Floats = dice.standard_normal((later + N_QUERY, dims), dtype=np.float32)
    if not name.endswith("u"):
        centres = dice.standard_normal((100, dims), dtype=np.float32)
        made = centres[dice.integers(0, 100, len(made))] + np.float32(0.35) * made
    for part, rows in zip(PARTS, (made[:n], made[n:later], made[later:]), strict=True):
        np.save(folder / part, rows)


class Engine:
    """An index over rows numbered from 0. Queries are asked one at a time, on one thread."""

    widths: ClassVar[tuple[int, ...]] = WIDTHS

    def __init__(self, folder: Path, dims: int) -> None:
        self.folder, self.dims = folder, dims

    def fill(self, rows: Floats) -> None:
        """What comes before the index."""

    def build(self, rows: Floats) -> None:
        raise NotImplementedError

    def size(self) -> int:
        """Bytes on disk."""
        raise NotImplementedError

    def width(self, width: int | None) -> None:
        """How widely to search from now on; None: as it comes."""

    def search(self, query: Floats) -> Any:
        raise NotImplementedError

    def insert(self, first: int, rows: Floats) -> None:
        raise NotImplementedError

    def update(self, ids: list[int], rows: Floats) -> None:
        raise NotImplementedError

    def delete(self, ids: list[int]) -> None:
        raise NotImplementedError


def numbered(first: int, rows: Floats) -> Iterator[tuple[int, bytes]]:
    for i, row in enumerate(rows, first):
        yield i, row.tobytes()


class Sql(Engine):
    """A table t(id, v) in a file."""

    def __init__(self, folder: Path, dims: int) -> None:
        super().__init__(folder, dims)
        self.con = self.connect(str(folder / "file.db"))
        self.con.execute("PRAGMA journal_mode = wal").fetchall()

    def connect(self, path: str) -> Any:
        raise NotImplementedError

    def fill(self, rows: Floats) -> None:
        self.con.execute(f"CREATE TABLE t(id INTEGER PRIMARY KEY, v F32_BLOB({self.dims}))")
        self.many("INSERT INTO t(id, v) VALUES (?, ?)", numbered(0, rows))

    def many(self, sql: str, parameters: Any) -> None:
        self.con.execute("BEGIN")
        for values in parameters:
            self.con.execute(sql, values)
        self.con.execute("COMMIT")

    def size(self) -> int:
        self.con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return (self.folder / "file.db").stat().st_size

    def search(self, query: Floats) -> Any:
        return [row[0] for row in self.con.execute(self.query, (query.tobytes(),)).fetchall()]

    query = f"SELECT id FROM vector_top_k('i', ?, {K})"

    def insert(self, first: int, rows: Floats) -> None:
        self.many("INSERT INTO t(id, v) VALUES (?, ?)", numbered(first, rows))

    def update(self, ids: list[int], rows: Floats) -> None:
        self.many("UPDATE t SET v = ? WHERE id = ?", ((row.tobytes(), i) for i, row in zip(ids, rows, strict=True)))

    def delete(self, ids: list[int]) -> None:
        self.many("DELETE FROM t WHERE id = ?", ((i,) for i in ids))


class Ours(Sql):
    parameters = ""

    def connect(self, path: str) -> Any:
        import libsql_core

        return libsql_core.connect(path, isolation_level=None)

    def build(self, rows: Floats) -> None:
        self.con.execute(f"CREATE INDEX i ON t(libsql_vector_idx(v{self.parameters}))")

    def width(self, width: int | None) -> None:
        self.query = Sql.query if width is None else f"SELECT id FROM vector_top_k('i', ?, {K}, NULL, {width})"


class OursFromFile(Ours):
    """Nothing is kept in memory between searches."""

    def build(self, rows: Floats) -> None:
        super().build(rows)
        self.con.execute("PRAGMA libsql_vector_cache = 0")


class OursCompact(Ours):
    parameters = ", 'type=compact'"


class LibSql(Sql):
    def connect(self, path: str) -> Any:
        import libsql

        return libsql.connect(path, isolation_level=None)

    def build(self, rows: Floats) -> None:
        self.con.execute("CREATE INDEX i ON t(libsql_vector_idx(v))")
        (self.metadata,) = self.con.execute("SELECT metadata FROM libsql_vector_meta_shadow").fetchone()

    def width(self, width: int | None) -> None:
        """libSQL knows no width of a search: change what the index says of itself, search_l."""
        entry = b"\x09" + width.to_bytes(8, "little") if width else b""
        sql = "UPDATE libsql_vector_meta_shadow SET metadata = ?"
        self.con.execute(sql, (self.metadata + entry,))


class SqliteVec(Sql):
    """Compares every row."""

    widths = ()
    query = f"SELECT id FROM t WHERE v MATCH ? AND k = {K}"

    def connect(self, path: str) -> Any:
        import pysqlite3
        import sqlite_vec

        con = pysqlite3.connect(path, isolation_level=None)
        con.enable_load_extension(True)
        sqlite_vec.load(con)
        return con

    def fill(self, rows: Floats) -> None:
        columns = f"id INTEGER PRIMARY KEY, v float[{self.dims}] distance_metric=cosine"
        self.con.execute(f"CREATE VIRTUAL TABLE t USING vec0({columns})")

    def build(self, rows: Floats) -> None:
        self.insert(0, rows)


class Hnswlib(Engine):
    def build(self, rows: Floats) -> None:
        import hnswlib

        self.index = hnswlib.Index("cosine", self.dims)
        self.index.init_index(len(rows) * 2, allow_replace_deleted=False)
        self.index.add_items(rows, np.arange(len(rows)))

    def size(self) -> int:
        self.index.save_index(str(self.folder / "index"))
        return (self.folder / "index").stat().st_size

    def width(self, width: int | None) -> None:
        self.index.set_ef(width or 10)

    def search(self, query: Floats) -> Any:
        return self.index.knn_query(query, K, num_threads=1)[0][0]

    def insert(self, first: int, rows: Floats) -> None:
        self.update(list(range(first, first + len(rows))), rows)

    def update(self, ids: list[int], rows: Floats) -> None:
        for i, row in zip(ids, rows, strict=True):
            self.index.add_items(row, i)

    def delete(self, ids: list[int]) -> None:
        for i in ids:
            self.index.mark_deleted(i)


class Usearch(Engine):
    def build(self, rows: Floats) -> None:
        from usearch.index import Index

        self.index = Index(ndim=self.dims, metric="cos", dtype="f32")
        self.index.add(np.arange(len(rows)), rows)

    def size(self) -> int:
        self.index.save(str(self.folder / "index"))
        return (self.folder / "index").stat().st_size

    def width(self, width: int | None) -> None:
        self.index.expansion_search = width or 64

    def search(self, query: Floats) -> Any:
        return self.index.search(query, K).keys

    def insert(self, first: int, rows: Floats) -> None:
        for i, row in enumerate(rows, first):
            self.index.add(i, row)

    def update(self, ids: list[int], rows: Floats) -> None:
        for i, row in zip(ids, rows, strict=True):
            self.index.remove(i)
            self.index.add(i, row)

    def delete(self, ids: list[int]) -> None:
        for i in ids:
            self.index.remove(i)


ENGINES: dict[str, type[Engine]] = {
    "ours": Ours,
    "ours-uncached": OursFromFile,
    "ours-compact": OursCompact,
    "libsql": LibSql,
    "hnswlib": Hnswlib,
    "usearch": Usearch,
    "sqlite-vec": SqliteVec,
}


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def memory() -> int:
    """The most that the process ever held, in bytes."""
    if sys.platform == "linux":  # where a process inherits its parent's maximum as its own ru_maxrss
        (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def unit(rows: Floats) -> Floats:
    found: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found


class Measured:
    """One engine over one set."""

    def __init__(self, engine: str, data: Path, folder: Path, limit: int, rounds: int, most_changed: int) -> None:
        rows, self.later, self.queries = (np.load(data / part) for part in PARTS)
        self.rows = rows[: limit * 128 // rows.shape[1]] if engine == "libsql" else rows
        self.rounds, self.dims = rounds, rows.shape[1]
        self.is_changed = len(rows) <= most_changed
        self.engine = ENGINES[engine](folder, self.dims)
        self.folder, self.kind = folder, ENGINES[engine]

    def recall(self, engine: Engine, rows: Floats, ids: Ids) -> float:
        """Over rows that are there under these ids."""
        cosines = unit(self.queries) @ unit(rows).T
        worst = np.partition(cosines, -K, axis=1)[:, -K] - 1e-5
        at = {int(row): column for column, row in enumerate(ids)}
        right = 0
        for query, numbers in enumerate(self.queries):
            found = {int(row) for row in engine.search(numbers)}
            right += sum(cosines[query, at[row]] >= worst[query] for row in found if row in at)
        return right / K / len(self.queries)

    def rate(self) -> float:
        """Queries in a second, in the best round."""
        return len(self.queries) / min(
            seconds(lambda: [self.engine.search(query) for query in self.queries]) for _ in range(self.rounds)
        )

    def run(self) -> dict[str, Any]:
        engine, rows = self.engine, self.rows.copy()
        n = len(rows)
        ids: Ids = np.arange(n)
        engine.fill(rows)
        before = memory()
        built = seconds(lambda: engine.build(rows))
        for query in self.queries:
            engine.search(query)
        result: dict[str, Any] = {"rows": n, "build": built, "memory": memory() - before, "bytes": engine.size()}
        result |= {"recall": self.recall(engine, rows, ids), "queries": self.rate()}
        wanted = [0.95, 0.99]
        for width in engine.widths:
            engine.width(width)
            recall = self.recall(engine, rows, ids)
            if recall >= wanted[0]:
                result[f"queries at {wanted.pop(0)}"] = self.rate(), width
                if wanted and recall >= wanted[0]:
                    result["queries at 0.99"] = result["queries at 0.95"]
                    wanted.pop()
            if not wanted:
                break
        if not engine.widths:
            result |= {f"queries at {share}": (result["queries"], None) for share in wanted}
        engine.width(None)
        few = min(n // 10, 2000)
        more = self.later[-few:]
        result["inserts"] = few / seconds(lambda: engine.insert(n, more))
        if not self.is_changed:
            return result
        rows, ids = np.concatenate([rows, more]), np.arange(n + few)
        half = np.random.default_rng(2).permutation(n)[: n // 2]
        rows[half] = self.later[: len(half)]
        result["updates"] = len(half) / seconds(lambda: engine.update(half.tolist(), self.later[: len(half)]))
        result["after updates"] = self.recall(engine, rows, ids)
        gone = np.random.default_rng(3).permutation(len(rows))[: len(rows) * 9 // 10]
        result["deletes"] = len(gone) / seconds(lambda: engine.delete(gone.tolist()))
        left = np.setdiff1d(ids, gone)
        result["after deletes"] = self.recall(engine, rows[left], left)
        copies = np.repeat(self.rows[: min(n, 20_000) // COPIES], COPIES, axis=0)
        (self.folder / "copies").mkdir()
        other = self.kind(self.folder / "copies", self.dims)
        other.fill(copies)
        other.build(copies)
        result["copies"] = self.recall(other, copies, np.arange(len(copies)))
        return result


HEAD = (
    "| | build s | rows/s | MB | x raw | memory MB | recall | queries/s | at 0.95 (width) | at 0.99 (width) | "
    "inserts/s | updates/s | recall: half updated | 90 % deleted | 100 copies |"
)


def line(name: str, result: dict[str, Any], raw: int) -> str:
    def at(share: float) -> str:
        found = result.get(f"queries at {share}")
        return "-" if found is None else f"{found[0]:.0f}" + (f" ({found[1]})" if found[1] else "")

    cells = [
        name,
        f"{result['build']:.2f}",
        f"{result['rows'] / result['build']:.0f}",
        f"{result['bytes'] / 1e6:.1f}",
        f"{result['bytes'] / raw / result['rows']:.2f}",
        f"{result['memory'] / 1e6:.0f}",
        f"{result['recall']:.3f}",
        f"{result['queries']:.0f}",
        at(0.95),
        at(0.99),
        f"{result['inserts']:.0f}",
        f"{result['updates']:.0f}" if "updates" in result else "-",
        *(f"{result[x]:.3f}" if x in result else "-" for x in ("after updates", "after deletes", "copies")),
    ]
    return f"| {' | '.join(cells)} |"


def ratios(results: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Ours against libSQL's."""
    base = results.get("libsql")
    for name, result in results.items():
        if base is None or not name.startswith("ours"):
            continue
        shares = {"build": result["rows"] / result["build"] * base["build"] / base["rows"]}
        shares["inserts"] = result["inserts"] / base["inserts"]
        for share in ("queries at 0.95", "queries at 0.99"):
            if share in result and share in base:
                shares[share] = result[share][0] / base[share][0]
        yield f"{name} against libsql: " + ", ".join(f"{what} {share:.1f} times" for what, share in shares.items())


def report(sets: dict[str, dict[str, dict[str, Any]]], limit: int) -> Iterator[str]:
    peers = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PEERS)
    import libsql_core

    yield f"libsql_core {libsql_core.__version__}, SQLite {libsql_core.sqlite_version}; {peers}."
    yield f"Python {platform.python_version()}, {os.cpu_count()} processors, {platform.machine()}, {sys.platform}."
    yield f"libSQL has {limit * 128} numbers of a set at most: its rates fall as it gets more."
    for name, results in sets.items():
        dims = int(name.rstrip("u").split("x")[1])
        law = "uniform" if name.endswith("u") else "clustered"
        yield f"\n### {name.rstrip('u').replace('x', ' x ')}, {law}\n"
        yield HEAD
        yield "|---" * (HEAD.count("|") - 1) + "|"
        for engine, result in results.items():
            shown = engine if result["rows"] == int(name.split("x")[0]) else f"{engine}, {result['rows']} rows"
            yield line(shown, result, dims * 4)
        yield ""
        yield from ratios(results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=SETS, help="N x dims each, u for uniform ones (default: %(default)s)")
    parser.add_argument("--engines", default=",".join(ENGINES), help="default: %(default)s")
    least = "rows that libsql gets of 128 elements, fewer in proportion of longer ones (default: %(default)s)"
    parser.add_argument("--libsql-rows", type=int, default=20_000, help=least)
    most = "larger sets are not updated, deleted from and copied, which takes most of the time (default: %(default)s)"
    parser.add_argument("--most-changed", type=int, default=20_000, metavar="N", help=most)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the Markdown there, too")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        engine, data = options.child
        with tempfile.TemporaryDirectory() as folder:
            limits = options.libsql_rows, options.rounds, options.most_changed
            print(json.dumps(Measured(engine, Path(data), Path(folder), *limits).run()))
        return
    command = [sys.executable, __file__]
    for name in ("libsql_rows", "rounds", "most_changed"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    sets: dict[str, dict[str, dict[str, Any]]] = {}
    for name in options.sets.split(","):
        sets[name] = {}
        with tempfile.TemporaryDirectory() as data:
            make(name, Path(data))
            for engine in options.engines.split(","):
                child = [*command, "--child", engine, data]
                done = subprocess.run(child, stdout=subprocess.PIPE, text=True, check=False)
                if done.returncode:
                    print(f"{engine} failed on {name}: exit code {done.returncode}", file=sys.stderr)
                else:
                    sets[name][engine] = json.loads(done.stdout)
                    print(name, engine, done.stdout, end="", file=sys.stderr)
    text = "\n".join(report(sets, options.libsql_rows)) + "\n"
    print(text, end="")
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
