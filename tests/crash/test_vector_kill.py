"""kill -9 while a vector index is built and changed: it is there whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

CODE = """
import random, signal

mode, kills, seed = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
dice = random.Random(seed)
ROWS = {i: str([round(dice.gauss(0, 1), 3) for _ in range(12)]) for i in range(600)}
CREATE = "create index i on t(libsql_vector_idx(v, 'max_neighbors=30'))"
STEPS = [
    CREATE,
    "insert into t select id + 1000, v from t where id < 40",
    "update t set v = (select v from t o where o.id = t.id + 500) where id < 40",
    "delete from t where id >= 1000",
    "reindex i",
    "update t set v = (select v from spare s where s.id = t.id)",
    "drop index i",
]


def connect():
    con = sqlite3.connect("t.db", isolation_level=None)
    con.execute("pragma journal_mode=" + mode)
    con.execute("pragma synchronous=off")       # a killed process loses nothing that it gave to the system
    return con


def work_for_ever(ready):
    con = connect()
    con.execute("pragma wal_autocheckpoint=20")
    con.execute("pragma cache_size=2")          # pages go to the file in the middle of a statement
    con.execute("drop index if exists i")
    con.execute("delete from t where id >= 1000")
    os.write(ready, b"!")
    while True:
        for step in STEPS:
            con.execute(step)


con = connect()
con.execute("create table t(id integer primary key, v f32_blob(12))")
con.execute("create table spare(id integer primary key, v f32_blob(12))")
for table in ("t", "spare"):
    con.executemany(f"insert into {table} values (?, vector(?))", ROWS.items())
con.close()

seen, unfinished = {"index": 0, "none": 0, "more rows": 0}, 0
for number in range(kills):
    delay = dice.uniform(0, 0.15)
    started, ready = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work_for_ever(ready)
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
    names = {row[0] for row in con.execute("select name from sqlite_schema where name glob 'i*'")}
    assert names in ({"i", "i_shadow", "i_shadow_idx"}, set()), (where, names)
    n_meta = 0
    if con.execute("select 1 from sqlite_schema where name = 'libsql_vector_meta_shadow'").fetchall():
        n_meta = con.execute("select count(*) from libsql_vector_meta_shadow").fetchone()[0]
    assert n_meta == bool(names), where
    n = con.execute("select count(*) from t").fetchone()[0]
    assert n in (600, 640), where
    seen["more rows"] += n > 600
    seen["index" if names else "none"] += 1
    if names:
        assert con.execute("select * from vector_index_check('i')").fetchall() == [], where
        found = {row[0] for row in con.execute("select id from vector_top_k('i', ?, 1000)", (ROWS[3],))}
        assert len(found) == n, where
        con.execute("update t set v = v")
        assert con.execute("select * from vector_index_check('i')").fetchall() == [], where
    con.close()
print(json.dumps([seen, unfinished]))
"""


@pytest.mark.skipif(os.name != "posix", reason="2026-11-21: needs fork() and SIGKILL")
@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_killed_while_building(run_child: Callable[..., Any], mode: str) -> None:
    seen, unfinished = run_child(CODE, mode, 80, 20261121, timeout=120)
    assert sum(seen.values()) - seen["more rows"] == 80
    assert min(seen.values()) > 0, seen  # kills landed between all the statements
    if mode == "delete":
        assert unfinished > 10, unfinished  # and inside of them: a journal had to be rolled back
