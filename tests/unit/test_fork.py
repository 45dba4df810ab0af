"""A forked child leaves its parent's connection alone: locks, data and log stay the parent's."""

from __future__ import annotations

import os
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="2026-11-21: this system has no fork()")

# A parent with a transaction open on a file in WAL mode, and everything that can be open on a connection.
PARENT = """
import warnings
warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=DeprecationWarning)
warnings.filterwarnings("ignore", category=ResourceWarning)
faulthandler.cancel_dump_traceback_later()  # its thread does not survive a fork

def fork(child):
    'Run child() in a forked process, which then ends as any program does; gives its exit code.'
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        child()
        sys.exit(0)
    for _ in range(3000):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.01)
    os.kill(pid, 9)
    return "the child does not end"

def attempt(call):
    try:
        return repr(call())
    except Exception as error:
        return f"{type(error).__name__}: {error}"

def tell(**facts):
    with open("told", "a") as out:
        print(json.dumps(facts), file=out)

def told():
    with open("told") as lines:
        return {key: value for line in lines for key, value in json.loads(line).items()}

def open_file(mode="wal"):
    con = sqlite3.connect("kept.db", isolation_level=None)
    con.execute(f"pragma journal_mode = {mode}")
    con.execute("create table t(id integer primary key, x)")
    con.executemany("insert into t values (?, ?)", [(i, "x" * 500) for i in range(20)])
    return con

def check():
    'What another process sees of the file.'
    code = ("import sqlite3, json; c = sqlite3.connect('kept.db'); print(json.dumps([c.execute('select count(*), "
            "min(id), max(id) from t').fetchone(), c.execute('pragma integrity_check').fetchone()[0]])); c.close()")
    import subprocess
    return json.loads(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout)
"""
REFUSED = (
    "ProgrammingError: This connection was opened before a fork and belongs to the parent process; "
    "open a new one in the child."
)


def test_every_use_in_the_child_is_refused(run_child: Any) -> None:
    seen = run_child(
        PARENT
        + """
con = open_file()
cursor = con.execute("select * from t")
cursor.fetchone()
blob = con.blobopen("t", "x", 1)

def child():
    calls = {
        "execute": lambda: con.execute("select 1"),
        "executemany": lambda: con.executemany("insert into t values (?, 1)", [(99,)]),
        "executescript": lambda: con.executescript("delete from t"),
        "commit": con.commit, "rollback": con.rollback, "cursor": con.cursor, "serialize": con.serialize,
        "call": lambda: con("select 1"), "backup": lambda: con.backup(sqlite3.connect(":memory:")),
        "backup to": lambda: sqlite3.connect(":memory:").backup(con), "iterdump": lambda: list(con.iterdump()),
        "function": lambda: con.create_function("f", 1, len), "blobopen": lambda: con.blobopen("t", "x", 1),
        "total_changes": lambda: con.total_changes, "interrupt": con.interrupt, "limit": lambda: con.getlimit(0),
        "fetchone": cursor.fetchone, "fetchall": cursor.fetchall, "next": lambda: next(cursor),
        "cursor execute": lambda: cursor.execute("delete from t"), "cursor close": cursor.close,
        "blob read": blob.read, "blob write": lambda: blob.write(b"y"), "blob close": blob.close,
        "set_trace": lambda: con.set_trace_callback(None), "progress": lambda: con.set_progress_handler(None, 1),
    }
    tell(**{name: attempt(call) for name, call in calls.items()})

status = fork(child)
rest = len(cursor.fetchall())
blob.close()
con.close()
print(json.dumps([status, rest, told(), check()]))
"""
    )
    status, rest, answers, state = seen
    assert status == 0
    assert rest == 19
    assert set(answers.values()) == {REFUSED}, {k: v for k, v in answers.items() if v != REFUSED}
    assert state == [[20, 0, 19], "ok"]


@pytest.mark.parametrize("mode", ["wal", "delete", "truncate", "persist"])
@pytest.mark.parametrize("end", ["ends", "closes", "collects", "execs"])
def test_the_parents_transaction_survives_the_child(run_child: Any, mode: str, end: str) -> None:
    """No rollback of the parent's journal, no checkpoint of its log, no lock dropped."""
    seen = run_child(
        PARENT
        + """
mode, end = sys.argv[2:]
con = open_file(mode)
cursor = con.execute("select * from t")
cursor.fetchone()
blob = con.blobopen("t", "x", 1, readonly=True)
con.execute("begin immediate")
con.executemany("insert into t values (?, ?)", [(i, "y" * 3000) for i in range(100, 400)])
files = {name: os.path.getsize(name) for name in os.listdir(".")}

def child():
    global con, cursor, blob
    if end == "closes":
        con.close()
    elif end == "collects":
        con = cursor = blob = None
        gc.collect()
    elif end == "execs":
        os.execv(sys.executable, [sys.executable, "-c", "pass"])

status = fork(child)
same_files = files == {name: os.path.getsize(name) for name in files}
other = sqlite3.connect("kept.db", timeout=0, isolation_level=None)
locked = attempt(lambda: other.execute("begin immediate"))
seen_by_other = other.execute("select count(*) from t").fetchone()[0] if mode == "wal" else 20
other.close()
con.execute("commit")
before_close = check()
blob.close()
con.close()
print(json.dumps([status, same_files, locked, seen_by_other, before_close, check()]))
""",
        mode,
        end,
    )
    after = [[320, 0, 399], "ok"]
    assert seen == [0, True, "OperationalError: database is locked", 20, after, after]


def test_the_child_opens_its_own_connection(run_child: Any) -> None:
    seen = run_child(
        PARENT
        + """
con = open_file()
con.execute("insert into t values (50, 'parent')")

def child():
    con.close()
    mine = sqlite3.connect("kept.db")
    with mine:
        mine.execute("insert into t values (51, 'child')")
    tell(rows=mine.execute("select count(*) from t").fetchone()[0])
    mine.close()

status = fork(child)
con.execute("insert into t values (52, 'parent again')")
rows = con.execute("select count(*) from t").fetchone()[0]
con.close()
print(json.dumps([status, told(), rows, check()]))
"""
    )
    assert seen == [0, {"rows": 22}, 23, [[23, 0, 52], "ok"]]


@pytest.mark.parametrize("name", [":memory:", "", "file:shared?mode=memory&cache=shared"])
def test_a_database_in_memory_is_the_childs_own_copy(run_child: Any, name: str) -> None:
    """Many statements, so that those of the parent are dropped from the cache in the child."""
    seen = run_child(
        PARENT
        + """
con = sqlite3.connect(sys.argv[2], uri=True, cached_statements=500)
con.execute("create table t(x)")
con.execute("insert into t values (1)")
cursor = con.execute("select * from t")
blob = None
for i in range(400):
    con.execute(f"select {i}").fetchall()

def child():
    tell(first=cursor.fetchone())
    con.execute("insert into t values (2)")
    con.commit()
    for i in range(300, 1000):
        assert con.execute(f"select {i}").fetchall() == [(i,)]
    junk = [bytes([i % 256]) * (i * 16) for i in range(500)]
    tell(child=con.execute("select * from t").fetchall(), size=len(con.serialize()) > 0)
    con.rollback()
    con.close()
    tell(closed=attempt(lambda: con.execute("select 1")), junk=len(junk))

status = fork(child)
second = fork(lambda: tell(again=con.execute("select count(*) from t").fetchone()))
con.commit()
print(json.dumps([status, second, con.execute("select * from t").fetchall(), told()]))
con.close()
""",
        name,
    )
    assert seen[:3] == [0, 0, [[1]]]
    assert seen[3] == {
        "first": [1],
        "child": [[1], [2]],
        "size": True,
        "closed": "ProgrammingError: Cannot operate on a closed database.",
        "junk": 500,
        "again": [1],
    }


def test_an_attached_file_belongs_to_the_parent(run_child: Any) -> None:
    seen = run_child(
        PARENT
        + """
open_file().close()
con = sqlite3.connect(":memory:", isolation_level=None)
con.execute("attach 'kept.db' as kept")
con.execute("begin immediate")
con.execute("insert into kept.t values (60, 'parent')")
status = fork(lambda: tell(child=attempt(lambda: con.execute("delete from kept.t"))))
con.execute("commit")
con.close()
print(json.dumps([status, told(), check()]))
"""
    )
    assert seen == [0, {"child": REFUSED}, [[21, 0, 60], "ok"]]


def test_fork_of_a_fork_and_many_forks(run_child: Any) -> None:
    seen = run_child(
        PARENT
        + """
con = open_file()
con.execute("begin immediate")
con.execute("insert into t values (70, 'parent')")

def child():
    tell(**{"grandchild status": fork(lambda: tell(grandchild=attempt(con.commit)))})

statuses = [fork(child) for _ in range(5)]
con.execute("commit")
con.close()
print(json.dumps([statuses, told(), check()]))
"""
    )
    assert seen == [[0] * 5, {"grandchild": REFUSED, "grandchild status": 0}, [[21, 0, 70], "ok"]]


def test_multiprocessing_with_fork(run_child: Any) -> None:
    seen = run_child(
        PARENT
        + """
import multiprocessing
con = open_file()
con.execute("begin immediate")
con.execute("insert into t values (80, 'parent')")
context = multiprocessing.get_context("fork")

def count(_):
    mine = sqlite3.connect("kept.db")
    rows = mine.execute("select count(*) from t").fetchone()[0]
    mine.close()
    return rows, attempt(con.rollback)

with context.Pool(3) as pool:
    answers = pool.map(count, range(6))
con.execute("commit")
con.close()
print(json.dumps([answers, check()]))
"""
    )
    assert seen == [[[20, REFUSED]] * 6, [[21, 0, 80], "ok"]]
