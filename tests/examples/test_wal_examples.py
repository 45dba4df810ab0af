"""The two logs under examples/: what they note and keep, among processes and after kill -9."""

from __future__ import annotations

import importlib.util
import random
import signal
import sqlite3 as stock
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import pytest

import libsql_core as sqlite3
from libsql_core import wal
from libsql_core.lowlevel import ffi, handle, lib

EXAMPLES = Path(__file__).parents[2] / "examples"
Transactions: TypeAlias = "list[tuple[int, dict[int, str]]]"  # size of the database, hashes of the pages

# In front of the code of a child: its log is registered as "own". Arguments: the folder, then the test's.
CHILD = f"""
import os, random, signal, sys, threading
sys.path.insert(0, {str(EXAMPLES)!r})
import libsql_core as sqlite3
from libsql_core import wal
import audit_log, wal_in_sqlite
folder, *arguments = sys.argv[1:]

def connect(name, **options):
    con = sqlite3.connect(os.path.join(folder, name), wal="own", isolation_level=None, **options)
    con.execute("PRAGMA journal_mode=wal")
    return con
"""


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def start(folder: Path, code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", CHILD + code, str(folder), *map(str, arguments)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(*children: subprocess.Popen[str], code: int = 0) -> list[str]:
    said = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [code] * len(children), said
    assert [err for _, err in said] == [""] * len(children)
    return [out for out, _ in said]


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[..., sqlite3.Connection]]:
    """Connections to files of the test's folder, closed at its end."""
    opened: list[sqlite3.Connection] = []

    def make(name: str, **options: Any) -> sqlite3.Connection:
        opened.append(sqlite3.connect(tmp_path / name, isolation_level=None, **options))
        return opened[-1]

    yield make
    for con in opened:
        con.close()
    for name in wal.names():
        wal.unregister(name)


def work(con: sqlite3.Connection, seed: int, n: int) -> None:
    """Transactions of all sizes, with savepoints and rollbacks; a cache of a few pages makes them spill."""
    dice = random.Random(seed)

    def change() -> None:
        low = dice.randrange(60)
        con.execute("DELETE FROM t WHERE id BETWEEN ? AND ?", (low, low + dice.randrange(20)))
        rows = [(dice.randrange(80), dice.randbytes(dice.choice((10, 3000, 20000)))) for _ in range(dice.randrange(12))]
        con.executemany("INSERT OR REPLACE INTO t VALUES (?, ?)", rows)

    con.execute("PRAGMA cache_size=4")
    con.execute("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x)")
    for _ in range(n):
        con.execute("BEGIN")
        change()
        for _ in range(dice.randrange(3)):
            con.execute("SAVEPOINT a")
            change()
            if dice.random() < 0.5:
                con.execute("ROLLBACK TO a")
                change()
            if dice.random() < 0.5:
                con.execute("RELEASE a")
        con.execute("COMMIT" if dice.random() < 0.7 else "ROLLBACK")


def written(con: sqlite3.Connection) -> Transactions:
    """The transactions in the log, by its frames."""
    transactions: Transactions = []
    pages: dict[int, str] = {}
    for frame in con.wal_frames():
        number, size = struct.unpack_from(">II", frame)
        pages[number] = sha256(frame[24:]).hexdigest()
        if size:
            transactions.append((size, {n: known for n, known in pages.items() if n <= size}))
            pages = {}
    return transactions


def noted(folder: Path, database: str) -> Transactions:
    """The transactions that the audit database has as committed; none may be in doubt."""
    with closing(sqlite3.connect(folder / "audit.db")) as con:
        assert con.execute("SELECT count(*) FROM txn WHERE committed IS NULL").fetchone() == (0,)
        query = "SELECT id, size FROM txn WHERE database = ? AND committed ORDER BY id"
        return [
            (size, dict(con.execute("SELECT number, sha256 FROM page WHERE txn = ?", (txn,))))
            for txn, size in con.execute(query, (str(folder / database),)).fetchall()
        ]


def sound(con: sqlite3.Connection | stock.Connection) -> bool:
    return bool(con.execute("PRAGMA integrity_check").fetchone() == ("ok",))


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "audit_log",
            [
                "1 app.db committed: 2 pages (1 2), 2 in the database",
                "2 app.db committed: 1 pages (2), 2 in the database",
                "3 app.db committed: 77 pages (1 2 3 4 5 6 ...), 77 in the database",
            ],
        ),
        (
            "wal_in_sqlite",
            [
                "frame 1: page 1",
                *[f"frame {n}: page 2, ends a transaction of 2 pages" for n in (2, 3, 4)],
                "checkpoint: (0, 4, 4)",
                "files: ['app.db']",
                "rows: [('one',), ('two',)]",
            ],
        ),
    ],
)
def test_run_as_a_user_does(name: str, lines: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    assert done.stdout.splitlines() == lines


# The audit log


def test_notes_are_what_was_written(tmp_path: Path, connect: Callable[..., sqlite3.Connection]) -> None:
    spills = []

    class Counted(load("audit_log").AuditLog):  # type: ignore[misc]
        def frames(self, log: wal.Wal, pages: list[wal.Page], size_after: int, commit: bool, flags: int) -> Any:
            spills.append(not commit)
            return super().frames(log, pages, size_after, commit, flags)

    wal.register("audit", Counted(tmp_path / "audit.db"))
    one, two = (connect(name, wal="audit") for name in ("one.db", "two.db"))
    for con in (one, two):
        con.execute("PRAGMA auto_vacuum=full")
        con.execute("PRAGMA journal_mode=wal")
        con.wal_disable_checkpoint()
    work(one, 1, 40)
    work(two, 2, 40)
    # Attached: one transaction in two files.
    one.execute("ATTACH ? AS two", (str(tmp_path / "two.db"),))
    with closing(one.execute("BEGIN")):
        one.execute("DELETE FROM main.t WHERE id % 2")
        one.execute("DELETE FROM two.t WHERE id % 2")
    one.execute("COMMIT")
    assert sum(spills) > 100
    for con, name in ((one, "one.db"), (two, "two.db")):
        assert noted(tmp_path, name) == written(con)
        assert len(written(con)) > 25


def test_a_copy_made_of_frames_is_noted(tmp_path: Path, connect: Callable[..., sqlite3.Connection]) -> None:
    wal.register("audit", load("audit_log").AuditLog(tmp_path / "audit.db"))
    source, copy = connect("source.db"), connect("copy.db", wal="audit")
    for con in (source, copy):
        con.wal_disable_checkpoint()
    source.execute("PRAGMA journal_mode=wal")
    work(source, 3, 10)
    copy.wal_insert(source.wal_frames())
    assert noted(tmp_path, "copy.db") == written(source) == written(copy)


def test_notes_of_threads_and_processes(tmp_path: Path, connect: Callable[..., sqlite3.Connection]) -> None:
    code = """
wal.register("own", audit_log.AuditLog(os.path.join(folder, "audit.db")))

def write(name):
    con = connect(name, timeout=60)
    con.wal_disable_checkpoint()
    for i in range(12):
        con.execute("INSERT INTO t VALUES (?)", (os.urandom(5000),))
    con.close()

threads = [threading.Thread(target=write, args=(name,)) for name in ("one.db", "two.db", "one.db")]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
    wal.register("audit", load("audit_log").AuditLog(tmp_path / "audit.db"))
    cons = [connect(name, wal="audit") for name in ("one.db", "two.db")]
    for con in cons:
        con.execute("PRAGMA journal_mode=wal")
        con.wal_disable_checkpoint()
        con.execute("CREATE TABLE t(x)")
    finish(*(start(tmp_path, code) for _ in range(3)))
    for con, name, n in zip(cons, ("one.db", "two.db"), (72, 36), strict=True):
        assert con.execute("SELECT count(*) FROM t").fetchone() == (n,)
        assert noted(tmp_path, name) == written(con)
        assert len(written(con)) == n + 1


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize(("moment", "committed"), [("before", 0), ("after", 1)])
def test_a_crash_leaves_doubt_that_the_next_writer_ends(
    moment: str, committed: int, checkpoint: bool, tmp_path: Path, connect: Callable[..., sqlite3.Connection]
) -> None:
    code = """
class Killer:
    def __init__(self, log):
        self.log = log

    def __getattr__(self, name):
        return getattr(self.log, name)

    def frames(self, pages, size_after, commit, flags):
        if arguments[0] == "after":
            self.log.frames(pages, size_after, commit, flags)
        os.kill(os.getpid(), signal.SIGKILL)

class Killed(audit_log.AuditLog):
    def frames(self, log, pages, size_after, commit, flags):
        return super().frames(Killer(log) if commit and armed else log, pages, size_after, commit, flags)

wal.register("own", Killed(os.path.join(folder, "audit.db")))
armed = False
con = connect("a.db")
con.execute("CREATE TABLE t(x)")
con.execute("PRAGMA cache_size=2")
con.execute("BEGIN")
con.executemany("INSERT INTO t VALUES (?)", [(b"x" * 9000,)] * 20)
armed = True
con.execute("COMMIT")
"""
    finish(start(tmp_path, code, moment), code=-signal.SIGKILL)
    with closing(stock.connect(tmp_path / "audit.db")) as audit:
        assert audit.execute("SELECT committed FROM txn ORDER BY id").fetchall() == [(1,), (None,)]
    if checkpoint:
        connect("a.db").execute("PRAGMA wal_checkpoint(TRUNCATE)")
    wal.register("audit", load("audit_log").AuditLog(tmp_path / "audit.db"))
    con = connect("a.db", wal="audit")
    assert con.execute("SELECT count(*) FROM t").fetchone() == (20 * committed,)
    con.execute("INSERT INTO t VALUES (1)")
    with closing(stock.connect(tmp_path / "audit.db")) as audit:
        assert audit.execute("SELECT committed FROM txn ORDER BY id").fetchall() == [(1,), (committed,), (1,)]


def test_what_cannot_be_noted_is_not_committed(tmp_path: Path, connect: Callable[..., sqlite3.Connection]) -> None:
    wal.register("audit", load("audit_log").AuditLog(tmp_path / "audit.db"))
    con = connect("a.db", wal="audit")
    con.execute("PRAGMA journal_mode=wal")
    con.execute("CREATE TABLE t(x)")
    connect("audit.db").execute("CREATE TRIGGER full BEFORE INSERT ON page BEGIN SELECT raise(ABORT, 'full'); END")
    with pytest.raises(sqlite3.DatabaseError) as caught:
        con.execute("INSERT INTO t VALUES (1)")
    assert "full" in str(caught.value.__cause__)
    assert con.execute("SELECT count(*) FROM t").fetchone() == (0,)
    connect("audit.db").execute("DROP TRIGGER full")
    con.execute("INSERT INTO t VALUES (1)")
    assert noted(tmp_path, "a.db")[1:] == [(2, {2: written(con)[-1][1][2]})]


# The log in an SQLite file


@pytest.fixture
def sqlite_wal() -> None:
    wal.register("own", load("wal_in_sqlite").SqliteWal())


def make(con: sqlite3.Connection) -> sqlite3.Connection:
    con.execute("PRAGMA journal_mode=wal")
    con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
    return con


@pytest.mark.usefixtures("sqlite_wal")
@pytest.mark.parametrize("seed", range(3))
def test_as_sqlites_own_log(seed: int, tmp_path: Path, connect: Callable[..., sqlite3.Connection]) -> None:
    own, plain = make(connect("own.db", wal="own")), make(connect("plain.db"))
    reader = connect("own.db", wal="own")
    rows = "SELECT * FROM t ORDER BY id"
    for i in range(8):
        reader.execute("BEGIN")
        before = reader.execute(rows).fetchall()
        for con in (own, plain):
            work(con, seed * 100 + i, 5)
        assert own.execute(rows).fetchall() == plain.execute(rows).fetchall()
        assert own.wal_frame_count() == len(own.wal_frames()) > 0
        reader.execute("PRAGMA cache_size=1")
        assert reader.execute(rows).fetchall() == before
        reader.execute("COMMIT")
        assert reader.execute(rows).fetchall() == plain.execute(rows).fetchall()
        if i % 2:
            reader.close()
            busy, n, done = own.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            assert (busy, n) == (0, done)
            assert own.wal_frame_count() == 0
            reader = connect("own.db", wal="own")
        assert sound(own)
    for con in (own, plain):
        con.execute("DELETE FROM t WHERE id % 2")
        con.execute("VACUUM")
    n_pages = own.execute("PRAGMA page_count").fetchone()[0]
    own.close()
    reader.close()
    assert not list(tmp_path.glob("own.db?*"))
    assert (tmp_path / "own.db").stat().st_size == n_pages * 4096
    with closing(stock.connect(tmp_path / "own.db")) as other:
        assert sound(other)
        assert other.execute(rows).fetchall() == plain.execute(rows).fetchall()


@pytest.mark.usefixtures("sqlite_wal")
def test_one_writer(connect: Callable[..., sqlite3.Connection]) -> None:
    one = make(connect("own.db", wal="own", timeout=0))
    two = connect("own.db", wal="own", timeout=0)
    one.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked") as caught:
        two.execute("INSERT INTO t VALUES (1, 1)")
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_BUSY
    one.execute("INSERT INTO t VALUES (2, 2)")
    two.execute("BEGIN")
    assert two.execute("SELECT * FROM t").fetchall() == []
    one.execute("COMMIT")
    with pytest.raises(sqlite3.OperationalError, match="locked") as caught:
        two.execute("INSERT INTO t VALUES (1, 1)")
    assert caught.value.sqlite_errorname == "SQLITE_BUSY_SNAPSHOT"
    assert two.execute("SELECT * FROM t").fetchall() == []
    assert one.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone() == (0, one.wal_frame_count(), 0)
    assert one.execute("PRAGMA wal_checkpoint(FULL)").fetchone()[0] == 1
    two.execute("COMMIT")
    two.execute("INSERT INTO t VALUES (1, 1)")


@pytest.mark.usefixtures("sqlite_wal")
def test_a_statement_that_reads_on(connect: Callable[..., sqlite3.Connection]) -> None:
    """It keeps its snapshot over its own connection's commits; when another one has written, that ends them."""
    one = make(connect("own.db", wal="own", timeout=0))
    two = connect("own.db", wal="own", timeout=0)
    two.execute("PRAGMA cache_size=1")
    one.executemany("INSERT INTO t VALUES (?, zeroblob(3000))", [(i,) for i in range(50)])
    cursor = two.execute("SELECT id, length(x) FROM t")
    assert cursor.fetchone() == (0, 3000)
    two.execute("INSERT INTO t VALUES (50, zeroblob(3000))")
    two.execute("INSERT INTO t VALUES (51, zeroblob(3000))")
    one.execute("UPDATE t SET x = zeroblob(2000)")
    with pytest.raises(sqlite3.OperationalError, match="locked") as caught:
        two.execute("INSERT INTO t VALUES (52, zeroblob(3000))")
    assert caught.value.sqlite_errorname == "SQLITE_BUSY_SNAPSHOT"
    assert cursor.fetchall() == [(i, 3000) for i in range(1, 52)]
    assert two.execute("SELECT id, length(x) FROM t").fetchall() == [(i, 2000) for i in range(52)]


@pytest.mark.usefixtures("sqlite_wal")
def test_frames_of_what_was_rolled_back_are_dropped(connect: Callable[..., sqlite3.Connection]) -> None:
    con = make(connect("own.db", wal="own"))
    con.execute("PRAGMA cache_size=1")
    for undo in (["ROLLBACK TO a", "COMMIT"], ["ROLLBACK"]):
        con.execute("BEGIN")
        con.execute("INSERT INTO t(x) VALUES ('stays')")
        con.execute("SAVEPOINT a")
        con.executemany("INSERT INTO t(x) VALUES (?)", [("goes" * 1000,)] * 20)
        assert b"goes" in b"".join(con.wal_frames())
        for sql in undo:
            con.execute(sql)
    assert b"goes" not in b"".join(con.wal_frames())
    assert con.execute("SELECT x FROM t").fetchall() == [("stays",)]
    assert sound(con)


@pytest.mark.usefixtures("sqlite_wal")
def test_numbers_begin_again(connect: Callable[..., sqlite3.Connection]) -> None:
    """A log that has as many frames as before the checkpoint is another one."""
    one = make(connect("own.db", wal="own"))
    one.execute("INSERT INTO t VALUES (1, 1)")
    n = one.wal_frame_count()
    assert one.execute("PRAGMA wal_checkpoint").fetchone() == (0, n, n)
    two = connect("own.db", wal="own")
    for i in range(n):
        two.execute("UPDATE t SET x = ?", (f"new {i}",))
    assert two.wal_frame_count() == n
    assert one.execute("SELECT x FROM t").fetchone() == (f"new {n - 1}",)


@pytest.mark.usefixtures("sqlite_wal")
def test_c_counts_frames_while_nobody_writes(connect: Callable[..., sqlite3.Connection]) -> None:
    def count(con: sqlite3.Connection) -> tuple[int, int]:
        n = ffi.new("unsigned *")
        return lib.libsql_wal_frame_count(handle(con), n), n[0]

    one = make(connect("own.db", wal="own", timeout=0))
    two = connect("own.db", wal="own", timeout=0)
    assert count(one) == count(two) == (sqlite3.SQLITE_OK, 2)
    one.execute("BEGIN IMMEDIATE")
    one.execute("INSERT INTO t VALUES (1, 1)")
    assert count(one) == count(two) == (sqlite3.SQLITE_BUSY, 0)
    one.execute("COMMIT")
    assert count(one) == count(two) == (sqlite3.SQLITE_OK, 3)
    assert one.execute("SELECT * FROM t").fetchall() == [(1, 1)]


@pytest.mark.usefixtures("sqlite_wal")
def test_frames_are_inserted(connect: Callable[..., sqlite3.Connection]) -> None:
    source, copy = make(connect("source.db")), connect("copy.db", wal="own")
    work(source, 5, 8)
    assert copy.wal_insert(source.wal_frames()) == source.wal_frame_count() == copy.wal_frame_count()
    rows = "SELECT * FROM t ORDER BY id"
    assert copy.execute(rows).fetchall() == source.execute(rows).fetchall()
    assert [frame[24:] for frame in copy.wal_frames()] == [frame[24:] for frame in source.wal_frames()]
    assert sound(copy)


def test_readers_and_writers_in_processes(tmp_path: Path) -> None:
    code = """
wal.register("own", wal_in_sqlite.SqliteWal())
con = connect("bank.db", timeout=60)
con.execute("PRAGMA cache_size=3")
dice = random.Random(int(arguments[1]))
if arguments[0] == "make":
    con.execute("CREATE TABLE account(id INTEGER PRIMARY KEY, sum, fill)")
    con.executemany("INSERT INTO account VALUES (?, 100, zeroblob(3000))", [(i,) for i in range(20)])
    con.execute("CREATE TABLE done(x)")
for i in range(80):
    if arguments[0] == "write":
        a, b, sum = dice.randrange(20), dice.randrange(20), dice.randrange(50)
        con.execute("BEGIN IMMEDIATE")
        con.execute("UPDATE account SET sum = sum - ?, fill = randomblob(3000) WHERE id = ?", (sum, a))
        con.execute("UPDATE account SET sum = sum + ?, fill = randomblob(3000) WHERE id = ?", (sum, b))
        con.execute("INSERT INTO done VALUES (1)")
        con.execute("COMMIT")
        if i % 8 == 7:
            con.close()
            con = connect("bank.db", timeout=60)
            con.execute("PRAGMA wal_checkpoint").fetchone()
    elif arguments[0] == "read":
        con.execute("BEGIN")
        assert con.execute("SELECT sum(sum) FROM account").fetchone() == (2000,)
        n = con.execute("SELECT count(*) FROM done").fetchone()
        assert con.execute("SELECT sum(sum) FROM account").fetchone() == (2000,)
        assert con.execute("SELECT count(*) FROM done").fetchone() == n
        con.execute("COMMIT")
con.close()
"""
    finish(start(tmp_path, code, "make", 0))
    finish(*(start(tmp_path, code, what, i) for i, what in enumerate(("write", "read", "write", "read", "write"))))
    with closing(stock.connect(tmp_path / "bank.db")) as con:
        assert con.execute("SELECT sum(sum) FROM account").fetchone() == (2000,)
        assert con.execute("SELECT count(*) FROM done").fetchone() == (240,)
        assert sound(con)
    assert [file.name for file in tmp_path.glob("bank.db*")] == ["bank.db"]


def test_kill_9(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(Path(__file__).with_name("killed.py")), str(EXAMPLES), "120"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    *moments, last = done.stdout.splitlines()
    assert last == "sound"
    assert len(moments) == 120
    assert {"open", "frames", "callback"} <= {moment.split()[0] for moment in moments}
    assert {"checkpoint write_database", "close write_database"} <= set(moments)
