"""What encryption costs: each engine with a key against the same engine without one, in one run.

    python benchmarks/crypto.py [--quick] [--rounds N]

The engines are libsql_core, libsql, apsw-sqlite3mc (as "MC") and sqlcipher3. Databases take turns, case by case and
round by round; a figure is the best of its rounds, in elapsed time, since libsql_core decodes pages ahead in a second
thread. Pages go to the system, not to a disk. The work of a case is done inside SQL, where Python costs nothing, but
for updates and opening.
The exit code is 1 if a ratio of libsql_core is above its limit, or not better than that of a peer with the same cipher.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import libsql
import sqlcipher3

import libsql_core

KEY = bytes(range(32))
Connect = Callable[[Path], Any]


def ours(cipher: Any) -> Connect:
    key = "secret" if cipher == "aes256cbc" else KEY
    return lambda path: libsql_core.connect(path, encryption_key=key, cipher=cipher, isolation_level=None)


def multiple_ciphers(cipher: str, key: str, *settings: str) -> Connect:
    def connect(path: Path) -> Any:
        con = apsw.Connection(str(path))
        for sql in (f"PRAGMA cipher = {cipher}", *settings, f"PRAGMA key = {key}"):
            con.execute(sql).fetchall()
        return con

    return connect


def sqlcipher(path: Path) -> Any:
    con = sqlcipher3.connect(str(path), isolation_level=None)
    con.execute(f"PRAGMA key = \"x'{KEY.hex()}'\"").fetchall()
    return con


RAW = f"\"x'{KEY.hex()}'\""
CONNECT: dict[tuple[str, str], Connect] = {
    ("libsql_core", ""): lambda path: libsql_core.connect(path, isolation_level=None),
    ("libsql_core", "xaes256gcm"): ours("xaes256gcm"),
    ("libsql_core", "aes256cbc"): ours("aes256cbc"),
    ("libsql_core", "sqlcipher"): ours("sqlcipher"),
    ("libsql_core", "chacha20"): ours("chacha20"),
    ("libsql", ""): lambda path: libsql.connect(str(path), isolation_level=None),
    ("libsql", "aes256cbc"): lambda path: libsql.connect(str(path), encryption_key="secret", isolation_level=None),
    ("MC", ""): lambda path: apsw.Connection(str(path)),
    ("MC", "aes256cbc"): multiple_ciphers("aes256cbc", "'secret'"),
    ("MC", "chacha20"): multiple_ciphers("chacha20", RAW),
    ("MC", "sqlcipher"): multiple_ciphers("sqlcipher", RAW, "PRAGMA legacy = 4"),
    ("sqlcipher3", ""): lambda path: sqlcipher3.connect(str(path), isolation_level=None),
    ("sqlcipher3", "sqlcipher"): sqlcipher,
}
LIMITS = {
    "aes256cbc": {"scan": 1.25, "insert": 1.2, "point": 1.3, "wal": 1.5},
    "xaes256gcm": {"scan": 1.15, "insert": 1.15, "point": 1.25, "wal": 1.15},
}
CASES = ("scan", "insert", "point", "wal", "open")
OPEN_LIMIT_MS = 1.0
ROWS = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {n})"


@dataclass
class Database:
    """One engine with one cipher, or none."""

    engine: str
    cipher: str
    folder: Path
    n: int
    best: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.path = self.folder / f"{self.engine} {self.cipher}.db"
        with_rows = self.connect(self.path)
        self.run(with_rows, "PRAGMA synchronous = off", *self.fill())
        with_rows.close()

    def connect(self, path: Path) -> Any:
        return CONNECT[self.engine, self.cipher](path)

    @staticmethod
    def run(con: Any, *statements: str) -> Any:
        rows = None
        for sql in statements:
            rows = con.execute(sql).fetchall()
        return rows

    def fill(self) -> tuple[str, ...]:
        values = f"{ROWS.format(n=self.n)} SELECT i, i * 7919 % 1000003, hex(i * 31337) || hex(i * 271) || i FROM c"
        return "CREATE TABLE t(id INTEGER PRIMARY KEY, k, x)", f"INSERT INTO t {values}"

    def fresh(self, path: Path, *more: str) -> Any:
        """A connection that has read the schema: the key is derived and right; its cache is small."""
        con = self.connect(path)
        pragmas = ("PRAGMA cache_size = -400", "PRAGMA synchronous = off", *more)
        self.run(con, *pragmas, "SELECT count(*) FROM sqlite_schema")
        return con

    def timed(self, con: Any, *statements: str) -> float:
        start = time.perf_counter()
        self.run(con, *statements)
        taken = time.perf_counter() - start
        con.close()
        return taken

    def scan(self) -> float:
        """Read the table through a new connection."""
        return self.timed(self.fresh(self.path), "SELECT sum(length(x)), sum(k) FROM t")

    def point(self) -> float:
        """Rows in random order by their key."""
        sql = f"{ROWS.format(n=self.n // 5)} SELECT sum(k) FROM c JOIN t ON t.id = 1 + i * 48271 % {self.n}"
        return self.timed(self.fresh(self.path), sql.replace("FROM c JOIN", "FROM c CROSS JOIN"))

    def insert(self) -> float:
        """All rows into a new database, in one transaction."""
        path = self.path.with_suffix(".new")
        con = self.connect(path)
        self.run(con, "PRAGMA synchronous = off")
        taken = self.timed(con, *self.fill())
        path.unlink()
        return taken

    def wal(self) -> float:
        """Transactions of one row, checkpoints among them."""
        con = self.fresh(self.path, "PRAGMA journal_mode = wal")
        start = time.perf_counter()
        for i in range(self.n // 100):
            con.execute("UPDATE t SET k = k + 1 WHERE id = ?", (1 + i * 48271 % self.n,))
        taken = time.perf_counter() - start
        self.run(con, "PRAGMA journal_mode = delete")
        con.close()
        return taken

    def open(self) -> float:
        """A connection, its key, and the first read."""
        start = time.perf_counter()
        for _ in range(10):
            con = self.connect(self.path)
            self.run(con, "SELECT count(*) FROM sqlite_schema")
            con.close()
        return (time.perf_counter() - start) / 10


def measure(folder: Path, rounds: int, n: int) -> list[Database]:
    databases = [Database(engine, cipher, folder, n) for engine, cipher in CONNECT]
    for number in range(rounds):
        for case in CASES:
            turn = number % len(databases)
            for database in databases[turn:] + databases[:turn]:
                taken = getattr(database, case)()
                database.best[case] = min(taken, database.best.get(case, taken))
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return databases


def report(databases: list[Database]) -> list[str]:
    """Print the ratios; gives what is not as it should be."""
    plain = {database.engine: database.best for database in databases if not database.cipher}
    ratios = {
        (d.cipher, d.engine): {case: d.best[case] / plain[d.engine][case] for case in CASES if case != "open"}
        for d in databases
        if d.cipher
    }
    print(f"{'cipher':12}{'engine':14}" + "".join(f"{case:>9}" for case in CASES[:-1]) + f"{'open, ms':>10}")
    wrong = []
    for cipher in dict.fromkeys(d.cipher for d in databases if d.cipher):
        own = ratios[cipher, "libsql_core"]
        for database in (d for d in databases if d.cipher == cipher):
            found = ratios[cipher, database.engine]
            opened = database.best["open"] * 1000
            shown = "".join(f"{ratio:9.2f}" for ratio in found.values())
            print(f"{cipher:12}{database.engine:14}{shown}{opened:10.2f}")
            peer = database.engine != "libsql_core"
            wrong += [
                f"{cipher} {case}: {own[case]:.2f} is not better than {found[case]:.2f} of {database.engine}"
                for case in own
                if peer and own[case] >= found[case]
            ]
        wrong += [
            f"{cipher} {case}: {own[case]:.2f}, limit {limit}"
            for case, limit in LIMITS.get(cipher, {}).items()
            if own[case] > limit
        ]
    wrong += [
        f"{d.cipher}: opening takes {d.best['open'] * 1000:.2f} ms"
        for d in databases
        if d.engine == "libsql_core" and d.cipher not in ("", "aes256cbc") and d.best["open"] * 1000 >= OPEN_LIMIT_MS
    ]
    print("\nmilliseconds without a key")
    for engine, best in plain.items():
        times = "".join(f"{best[case] * 1000:9.2f}" for case in CASES[:-1])
        print(f"{'':12}{engine:14}{times}{best['open'] * 1000:10.2f}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description="What encryption costs, within each engine.")
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds")
    parser.add_argument("--rounds", type=int, help="default 9")
    options = parser.parse_args()
    packages = ("libsql", "apsw-sqlite3mc", "sqlcipher3-wheels")
    print(platform.python_implementation(), platform.python_version(), platform.machine())
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    print(", ".join([f"libsql_core {libsql_core.__version__}", *versions]), end="\n\n")
    rounds = options.rounds or (3 if options.quick else 9)
    with tempfile.TemporaryDirectory() as name:
        wrong = report(measure(Path(name), rounds, 20_000 if options.quick else 200_000))
    print("\n" + ("\n".join(wrong) if wrong else "all as it should be"))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
