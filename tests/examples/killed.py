"""Kill writers of `wal_in_sqlite` at seeded moments: at the n-th use of their Wal, whichever method makes it.

    killed.py FOLDER_OF_EXAMPLES NUMBER

In an empty folder. Writers and those who look afterwards are forks, one at a time; this process opens nothing itself.
Prints the moments of the kills, each as the method and what it was about to use; "sound" at the end.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3 as stock
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

import libsql_core
from libsql_core import wal

sys.path.insert(0, sys.argv[1])
import wal_in_sqlite

PATH = os.path.abspath("own.db")
# A kill takes nothing from the operating system.
wal_in_sqlite.SCHEMA = "PRAGMA synchronous=off;" + wal_in_sqlite.SCHEMA
METHODS = [name for name, what in vars(wal_in_sqlite.SqliteWal).items() if callable(what)]


class Fuse:
    """Stands for the Wal in one method, and kills the process when `left` runs out."""

    left = 0  # of all fuses; 0: it does not burn

    def __init__(self, method: str, log: wal.Wal) -> None:
        vars(self).update(method=method, log=log)

    def __getattr__(self, name: str) -> Any:
        Fuse.left -= 1
        if Fuse.left == 0:
            print(self.method, name, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return getattr(self.log, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.log, name, value)


def fused(name: str) -> Callable[..., Any]:
    method = getattr(wal_in_sqlite.SqliteWal, name)
    return lambda self, log, *rest: method(self, Fuse(name, log), *rest)


def write(dice: random.Random) -> None:
    """Write until killed; prints the number of each transaction that was committed."""
    Fuse.left = int(2 ** dice.uniform(0, 13))
    while True:
        con = libsql_core.connect(PATH, wal="own", isolation_level=None)
        con.execute("PRAGMA synchronous=off")
        con.execute("PRAGMA journal_mode=wal")
        con.execute("PRAGMA cache_size=3")
        con.execute("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, k, x)")
        for _ in range(dice.randrange(1, 6)):
            k = con.execute("SELECT coalesce(max(k), 0) + 1 FROM t").fetchone()[0]
            con.execute("BEGIN")
            con.execute("DELETE FROM t WHERE k < ?", (k - 3,))
            con.executemany("INSERT INTO t(k, x) VALUES (?, randomblob(6000))", [(k,)] * dice.choice((1, 9)))
            con.execute("SAVEPOINT a")
            con.executemany("INSERT INTO t(k, x) VALUES (?, randomblob(6000))", [(k,)] * dice.choice((0, 9)))
            con.execute("ROLLBACK TO a")
            con.execute("INSERT INTO t(k, x) VALUES (?, 'end')", (k,))
            if dice.random() < 0.2:
                con.execute("ROLLBACK")
                continue
            con.execute("COMMIT")
            print(k, flush=True)
            if dice.random() < 0.3:
                con.execute("PRAGMA wal_checkpoint").fetchone()
        con.close()


def look(con: libsql_core.Connection | stock.Connection, last: int) -> None:
    """Prove that the database is sound and holds all that was reported; prints the number of the last transaction."""
    assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    rows = []
    if con.execute("SELECT * FROM sqlite_schema").fetchall():
        rows = con.execute("SELECT k, count(*), sum(x = 'end') FROM t GROUP BY k").fetchall()
    newest = rows[-1][0] if rows else 0
    assert newest in (last, last + 1), (newest, last)  # perhaps also the one that was under way
    assert [(k, n in (2, 10), ends) for k, n, ends in rows] == [
        (k, True, 1) for k in range(max(1, newest - 3), newest + 1)
    ], rows
    print(newest)


def look_with_log(last: int) -> None:
    with closing(libsql_core.connect(PATH, wal="own")) as con:
        con.execute("PRAGMA synchronous=off")
        look(con, last)
        if last % 2:
            con.wal_disable_checkpoint()  # the next writer has frames to begin with


def look_without(last: int) -> None:
    if not os.path.exists(PATH + ".frames"):
        with closing(stock.connect(PATH)) as con:
            look(con, last)


def fork(what: Callable[..., None], *args: Any) -> tuple[int, list[str]]:
    """Do it in a child; how that ended, and what it printed."""
    ours, theirs = os.pipe()
    if os.fork() == 0:
        os.dup2(theirs, 1)
        code = 1
        try:
            what(*args)
            sys.stdout.flush()
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        os._exit(code)
    os.close(theirs)
    with open(ours, encoding="ascii") as pipe:
        said = pipe.read().splitlines()
    return os.waitstatus_to_exitcode(os.wait()[1]), said


def main(n: int) -> None:
    wal.register("own", type("Fused", (wal_in_sqlite.SqliteWal,), {name: fused(name) for name in METHODS})())
    last = 0
    for seed in range(n):
        code, said = fork(write, random.Random(seed))
        assert code == -signal.SIGKILL, (seed, code, said)
        print(said[-1], flush=True)  # before the next fork, which would have it in its buffer too
        last = int(said[-2]) if len(said) > 1 else last
        for looked in (look_with_log, look_without):
            code, said = fork(looked, last)
            assert code == 0, (seed, looked.__name__)
            last = int(said[-1]) if said else last
    print("sound")


if __name__ == "__main__":
    main(int(sys.argv[2]))
