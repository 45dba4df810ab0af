"""Scans read many pages at once: what they find is what the file holds, whoever wrote it."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

import libsql_core

ROWS = 600


def reads() -> int:
    return int(Path("/proc/self/io").read_text(encoding="ascii").split("syscr: ")[1].split()[0])


def filled(path: Path, mode: str) -> libsql_core.Connection:
    con = libsql_core.connect(path, isolation_level=None)
    con.execute(f"PRAGMA journal_mode={mode}")
    con.execute("PRAGMA cache_size=10")
    con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB)")
    con.execute("BEGIN")
    con.executemany("INSERT INTO t VALUES(?, ?)", ((i, bytes([1]) * 2000) for i in range(ROWS)))
    con.execute("COMMIT")
    con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return con


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="2026-11-21: counts system calls, as Linux tells them")
def test_a_scan_makes_few_system_calls(tmp_path: Path) -> None:
    con = filled(tmp_path / "a.db", "delete")
    before = reads()
    assert con.execute("SELECT sum(length(v)) FROM t").fetchone() == (ROWS * 2000,)
    pages = con.execute("PRAGMA page_count").fetchone()[0]
    assert reads() - before < pages / 4
    con.close()


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_others_write_between_scans(tmp_path: Path, mode: str) -> None:
    con = filled(tmp_path / "a.db", mode)
    other = libsql_core.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("PRAGMA wal_autocheckpoint=0")
    rng = random.Random(7)
    model = dict.fromkeys(range(ROWS), 1)
    for turn in range(120):
        first = rng.randrange(ROWS)
        cursor = con.execute("SELECT id, v FROM t WHERE id>=?", (first,))
        seen = cursor.fetchmany(rng.randrange(ROWS))
        cursor.close()
        assert all(v == bytes([model[i]]) * 2000 for i, v in seen)
        for _ in range(rng.randrange(4)):
            writer = rng.choice((con, other))
            low = rng.randrange(ROWS)
            chosen = range(low, min(low + rng.choice((1, 50)), ROWS))
            mark = 2 + turn
            writer.execute("UPDATE t SET v=? WHERE id>=? AND id<?", (bytes([mark]) * 2000, low, chosen.stop))
            model.update(dict.fromkeys(chosen, mark))
        if rng.random() < 0.5:
            rng.choice((con, other)).execute("PRAGMA wal_checkpoint(PASSIVE)")
    assert con.execute("SELECT id, v FROM t").fetchall() == [(i, bytes([model[i]]) * 2000) for i in range(ROWS)]
    con.close()
    other.close()


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_the_connection_writes_during_a_scan(tmp_path: Path, mode: str) -> None:
    con = filled(tmp_path / "a.db", mode)
    cursor = con.execute("SELECT v FROM t ORDER BY id")
    cursor.arraysize = 1
    for _ in range(60):
        assert cursor.fetchone() == (bytes([1]) * 2000,)
    con.execute("UPDATE t SET v=?", (bytes([2]) * 2000,))
    con.execute("PRAGMA shrink_memory")
    rest = cursor.fetchall()[1:]  # the cursor is a row ahead
    assert rest == [(bytes([2]) * 2000,)] * (ROWS - 61)
    con.close()


def test_a_checkpoint_between_scans(tmp_path: Path) -> None:
    con = filled(tmp_path / "a.db", "wal")
    other = libsql_core.connect(tmp_path / "a.db", isolation_level=None)
    for i in range(100, ROWS, 37):
        other.execute("UPDATE t SET v=? WHERE id=?", (bytes([3]) * 2000, i))
        con.execute("SELECT sum(length(v)) FROM t WHERE id BETWEEN ? AND ?", (i - 60, i - 3)).fetchone()
        other.execute("PRAGMA wal_checkpoint(PASSIVE)")  # what the log held is in the file now
        assert con.execute("SELECT v FROM t WHERE id=?", (i,)).fetchone() == (bytes([3]) * 2000,)
    con.close()
    other.close()
