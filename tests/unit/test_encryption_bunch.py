"""Transactions much larger than the page cache: pages are encoded many at a time, in two threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import libsql_core
from libsql_core._engine import handle
from libsql_core.lowlevel import ffi, lib

CIPHERS = ("aes256cbc", "xaes256gcm", "sqlcipher", "chacha20")
ROWS = "with recursive c(i) as (select 1 union all select i + 1 from c where i < 6000)"
SUMS = "select count(*), sum(id * v), sum(length(x)), sum(instr(x, '7')) from t"


def open_database(path: Path, cipher: Any, mode: str) -> libsql_core.Connection:
    con = libsql_core.connect(path, encryption_key=b"k" * 32, cipher=cipher, isolation_level=None)
    con.execute(f"pragma journal_mode = {mode}").fetchall()
    con.execute("pragma cache_size = 100")
    return con


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("cipher", CIPHERS)
def test_spilled_pages_are_what_was_written(tmp_path: Path, cipher: str, mode: str) -> None:
    con = open_database(tmp_path / "a.db", cipher, mode)
    con.execute("create table t(id integer primary key, v, x)")
    con.execute("create index i on t(v)")
    con.execute(f"{ROWS} insert into t select i, i * 7919 % 6007, hex(i * 31337) || i from c")
    full = con.execute(SUMS).fetchone()
    for undo in ("rollback", "rollback to s"):
        con.execute("begin")
        con.execute("savepoint s")
        con.execute("update t set v = -v, x = x || x")
        con.execute("delete from t where id % 3 = 0")
        assert con.execute(SUMS).fetchone() != full
        con.execute(undo)
        assert con.execute(SUMS).fetchone() == full
    con.execute("delete from t where id % 3 = 0")
    con.execute("commit")
    half = con.execute(SUMS).fetchone()
    assert half[0] == 4000
    assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
    con.close()
    con = open_database(tmp_path / "a.db", cipher, mode)
    assert con.execute(SUMS).fetchone() == half
    assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
    con.close()


@pytest.mark.parametrize("cipher", CIPHERS)
def test_a_flushed_cache_is_what_was_written(tmp_path: Path, cipher: str) -> None:
    con = open_database(tmp_path / "a.db", cipher, "delete")
    con.execute("create table t(id integer primary key, v, x)")
    con.execute("pragma cache_size = -8000")
    con.execute("begin")
    con.execute(f"{ROWS} insert into t select i, i * 7919 % 6007, hex(i * 31337) || i from c")
    full = con.execute(SUMS).fetchone()
    assert lib.sqlite3_db_cacheflush(ffi.cast("sqlite3 *", handle(con))) == lib.SQLITE_OK
    con.execute("update t set v = v")
    con.execute("commit")
    con.execute("pragma shrink_memory")
    assert con.execute(SUMS).fetchone() == full
    assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
    con.close()
