"""kill -9 in the middle of ALTER COLUMN: the schema is the old or the new one, and every row is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

CODE = """
import random, signal

TEXTS = [
    "CREATE TABLE t(a integer primary key, b, c)",
    "CREATE TABLE t(a integer primary key, b text collate nocase default 'x' check(b <> ''), c)",
    "CREATE TABLE t(a integer primary key, b text collate nocase default 'x' check(b <> ''), c, d default 1)",
    "CREATE TABLE t(a integer primary key, b text collate nocase default 'x' check(b <> ''), c, d default 2)",
]
CYCLE = [
    "alter table t alter column b to b text collate nocase default 'x' check(b <> '')",
    "alter table t add column d default 1",
    "alter table t alter column d to d default 2",
    "alter table t drop column d",
    "alter table t alter column b to b",
]
ROWS = [(i, "AbCd"[i % 4] * (i % 9 + 1), "c" * (i % 50)) for i in range(1000)]

mode, kills, seed = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
dice = random.Random(seed)


def connect():
    con = sqlite3.connect("t.db", isolation_level=None)
    con.execute("pragma journal_mode=" + mode)
    con.execute("pragma synchronous=off")       # a killed process loses nothing that it gave to the system
    return con


def alter_for_ever(ready):
    con = connect()
    text = con.execute("select sql from sqlite_schema where name = 't'").fetchone()[0]
    step = {0: 0, 1: 1, 2: 2, 3: 3}[TEXTS.index(text)]
    con.execute("pragma wal_autocheckpoint=20")
    con.execute("pragma cache_size=2")          # pages go to the file in the middle of a statement
    os.write(ready, b"!")
    while True:
        con.execute(CYCLE[step])
        step = (step + 1) % len(CYCLE)


con = connect()
con.execute(TEXTS[0])
con.execute("create index i on t(b, c)")
con.executemany("insert into t values (?, ?, ?)", ROWS)
con.close()

seen = dict.fromkeys(range(len(TEXTS)), 0)
unfinished = 0
for number in range(kills):
    delay = dice.uniform(0, 0.04)
    started, ready = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            alter_for_ever(ready)
        finally:
            os._exit(1)
    os.close(ready)
    assert os.read(started, 1) == b"!", "the child could not begin"
    os.close(started)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    where = f"{mode}, seed {seed}, kill {number} after {delay:.4f} s"
    assert os.WIFSIGNALED(status), where
    unfinished += os.path.exists("t.db-journal")

    con = connect()
    assert con.execute("pragma integrity_check").fetchall() == [("ok",)], where
    text = con.execute("select sql from sqlite_schema where name = 't'").fetchone()[0]
    assert text in TEXTS, f"{where}: {text}"
    seen[TEXTS.index(text)] += 1
    assert con.execute("select a, b, c from t order by a").fetchall() == ROWS, where
    if ", d " in text:
        assert con.execute("select distinct d from t").fetchall() == [(1,)], where
    con.close()
print(json.dumps([list(seen.values()), unfinished]))
"""


@pytest.mark.skipif(os.name != "posix", reason="2026-11-21: needs fork() and SIGKILL")
@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_killed_while_altering(run_child: Callable[..., Any], mode: str) -> None:
    seen, unfinished = run_child(CODE, mode, 200, 20261121, timeout=120)
    assert sum(seen) == 200
    assert min(seen) > 0, seen                      # kills landed between all the statements
    if mode == "delete":
        assert unfinished > 20, unfinished          # and inside of them: a journal had to be rolled back
