"""What methods in Python cost a log: microseconds for a statement, the least of some rounds, the logs taking turns.

    python benchmarks/wal_methods.py [ROUNDS]

insert: one row and its commit, not waiting for the disk. select: one row by rowid, from pages that are in the cache.
cold: the same with a cache that is emptied before, so that its three pages are read from the log.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import libsql_core
from libsql_core import wal

sys.path.append(str(Path(__file__).parents[1] / "examples"))
from wal_in_sqlite import SqliteWal

NAMES = [name for name, what in vars(wal.WalMethods).items() if callable(what)]
N = 500


def through(name: str) -> Callable[..., Any]:
    default = getattr(wal.WalMethods, name)
    return lambda self, log, *rest: default(self, log, *rest)


def python(*names: str) -> wal.WalMethods:
    """Methods of which these are Python that goes on to the default log."""
    made: wal.WalMethods = type("Through", (wal.WalMethods,), {name: through(name) for name in names})()
    return made


LOGS = {
    "SQLite's own": None,
    "registered, no method in Python": python(),
    "frames()": python("frames"),
    "begin_read_transaction()": python("begin_read_transaction"),
    "find_frame()": python("find_frame"),
    "all methods": python(*NAMES),
    "examples/wal_in_sqlite.py": SqliteWal(),
}


def prepare(con: libsql_core.Connection) -> None:
    con.wal_disable_checkpoint()
    con.execute("PRAGMA journal_mode=wal")
    con.execute("PRAGMA synchronous=off")
    con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
    con.execute("BEGIN")
    con.executemany("INSERT INTO t(x) VALUES (?)", [("x" * 100,)] * 50_000)
    con.execute("COMMIT")


def insert(con: libsql_core.Connection) -> float:
    start = time.perf_counter()
    for _ in range(N):
        con.execute("INSERT INTO t(x) VALUES ('a row')")
    elapsed = time.perf_counter() - start
    con.execute("DELETE FROM t WHERE id > 50000")
    return elapsed


def select(con: libsql_core.Connection, cold: bool = False) -> float:
    ids = [random.randrange(1, 50_000) for _ in range(N)]
    elapsed = 0.0
    for i in ids:
        if cold:
            con.execute("PRAGMA shrink_memory")
        start = time.perf_counter()
        con.execute("SELECT x FROM t WHERE id = ?", (i,)).fetchone()
        elapsed += time.perf_counter() - start
    return elapsed


CASES: dict[str, Callable[[libsql_core.Connection], float]] = {
    "insert": insert,
    "select": select,
    "cold": lambda con: select(con, cold=True),
}


def main(rounds: int) -> None:
    least: dict[tuple[str, str], float] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        cons = {}
        for i, (title, methods) in enumerate(LOGS.items()):
            if methods:
                wal.register(title, methods)
            path = Path(folder) / f"{i}.db"
            cons[title] = libsql_core.connect(path, wal=title if methods else None, isolation_level=None)
            stack.callback(cons[title].close)
            prepare(cons[title])
        for _ in range(rounds):
            for case, run in CASES.items():
                for title, con in cons.items():
                    least[title, case] = min(run(con), least.get((title, case), 1e9))
    print(f"{'us per statement':33}" + "".join(f"{case:>9}" for case in CASES))
    for title in LOGS:
        print(f"{title:33}" + "".join(f"{least[title, case] / N * 1e6:9.1f}" for case in CASES))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
