"""CREATE TABLE ... RANDOM ROWID: what is accepted, what is drawn, what keeps it; and BEGIN READONLY."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import libsql_core

LIMIT = 2**62
Rows = list[tuple[Any, ...]]


@pytest.fixture
def con() -> Iterator[libsql_core.Connection]:
    connection = libsql_core.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


def refusal(con: libsql_core.Connection, sql: str) -> str:
    with pytest.raises(libsql_core.OperationalError) as caught:
        con.execute(sql)
    assert caught.value.sqlite_errorcode == libsql_core.SQLITE_ERROR
    return str(caught.value)


def rows(con: libsql_core.Connection, table: str) -> Rows:
    """Rowids and contents; the file is sound, too."""
    assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
    return con.execute(f"select rowid, * from {table} order by rowid").fetchall()


def rowids(con: libsql_core.Connection, table: str) -> list[int]:
    return [row[0] for row in con.execute(f"select rowid from {table}")]


def assert_random(found: list[int]) -> None:
    assert len(found) == len(set(found))
    assert all(1 <= rowid <= LIMIT for rowid in found)
    # One of a billion tables would have a rowid under 2^32.
    assert min(found) > 2**32
    assert all(abs(a - b) > 1 for a, b in pairwise(found))


def assert_draws(con: libsql_core.Connection, table: str, values: str = "(1)") -> None:
    """That new rows of the table still get random rowids."""
    before = set(rowids(con, table))
    for _ in range(2):
        con.execute(f"insert into {table} values {values}")
    assert_random([rowid for rowid in rowids(con, table) if rowid not in before])


# Grammar


@pytest.mark.parametrize("definition", [
    "(a) random rowid", "(a) RANDOM ROWID;", "(a int)random/* x */-- y\n\tRowid , strict",
    "(a int) strict,random rowid",
    "(a) random rowid, random rowid", "(a integer primary key) random rowid", "(random, rowid) random rowid",
    "(a default ') ' check (a <> ',')) random rowid",
])  # fmt: skip
def test_accepted_and_stored_as_written(con: libsql_core.Connection, definition: str) -> None:
    con.execute(f"create table t{definition}")
    assert con.execute("select sql from sqlite_schema").fetchall() == [(f"CREATE TABLE t{definition.rstrip(';')}",)]
    con.execute("insert into t default values")
    con.execute("insert into t default values")
    assert_random([row[0] for row in con.execute("select _rowid_ from t")])


@pytest.mark.parametrize(("definition", "message"), [
    ("(id) RANDOM ROW_ID", "unknown table option: ROW_ID"),
    ('(id) random "rowid"', 'unknown table option: "rowid"'),
    ("(id) random [rowid]", "unknown table option: [rowid]"),
    ("(id) random 'rowid'", "unknown table option: 'rowid'"),
    ("(id) 'random' rowid", 'near "rowid": syntax error'),
    ('(id) "random" rowid', 'near "rowid": syntax error'),
    ("(id) RANDO ROWID", 'near "ROWID": syntax error'),
    ("(id) rowid", "unknown table option: rowid"),
    ("(id) RANDOM", "incomplete input"),
    ("(id) random;", 'near ";": syntax error'),
    ("(id) random, strict", 'near ",": syntax error'),
    ("(id) random rowid random rowid", 'near "random": syntax error'),
    ("(id) RANDOM ROWID WITHOUT ROWID", 'near "WITHOUT": syntax error'),
    ("(id) RANDOM ROWID, WITHOUT ROWID", "PRIMARY KEY missing on table t"),
    ("(id) without rowid, random rowid", "PRIMARY KEY missing on table t"),
    ("(id primary key) RANDOM ROWID, WITHOUT ROWID", "RANDOM ROWID not allowed on WITHOUT ROWID tables"),
    ("(id primary key) without rowid, random rowid", "RANDOM ROWID not allowed on WITHOUT ROWID tables"),
    ("(id integer primary key autoincrement) RANDOM ROWID", "AUTOINCREMENT not allowed on RANDOM ROWID tables"),
    ("(a, b) random rowid, strict", "missing datatype for t.a"),
    (" random rowid", 'near "random": syntax error'),
    (" as select 1 as a random rowid", 'near "random": syntax error'),
])  # fmt: skip
def test_refused(con: libsql_core.Connection, definition: str, message: str) -> None:
    assert refusal(con, f"create table t{definition}") == message
    assert con.execute("select count(*) from sqlite_schema").fetchall() == [(0,)]


def test_only_tables_have_it(con: libsql_core.Connection) -> None:
    assert refusal(con, "create view v(a) random rowid as select 1") == 'near "random": syntax error'
    assert refusal(con, "create virtual table v using fts5(a) random rowid") == 'near "random": syntax error'
    assert refusal(con, "create index i on t(a) random rowid") == 'near "random": syntax error'


@pytest.mark.parametrize("sql", [
    "create table function(language)", "create table random(random, readonly, function, language)",
    "create table u(a, random rowid)", "create table u(random, rowid random)",
    "create table u(a random, b readonly(3))",
    "create table u as select 1 random, random rowid from x", "select (1), random rowid from x",
    "select random from x as random", "select random.random from x random", "select random()", "select 1 readonly",
    "select x.readonly as random from x where random > readonly order by random, readonly", "savepoint random",
    "savepoint readonly", "insert into x(random, readonly) values (1, 2)", "create index random on x(random, readonly)",
    "with random(readonly) as (select 1) select * from random", "create view random as select random, readonly from x",
    "select sum(random) over readonly from x window readonly as (partition by random)",
    "create trigger readonly after insert on x begin select random(); end", "alter table x rename random to readonly_",
    "create virtual table u using fts5(random, readonly)", "begin transaction readonly",
    "begin deferred transaction random",
])  # fmt: skip
def test_the_words_remain_names(con: libsql_core.Connection, sql: str) -> None:
    con.execute("create table x(random, readonly, function, language)")
    con.execute(sql)


def test_begin_readonly_is_deferred(con: libsql_core.Connection) -> None:
    con.execute("create table t(a)")
    for sql in ("begin readonly", "BEGIN /* x */ ReadOnly TRANSACTION", "begin readonly transaction t"):
        con.execute(sql)
        assert con.in_transaction
        con.execute("insert into t values (1)")
        con.execute("commit")
    assert con.execute("select count(*) from t").fetchall() == [(3,)]
    for sql in ("begin 'readonly'", "begin readonly readonly", "begin deferred readonly", "begin immediate readonly"):
        assert "syntax error" in refusal(con, sql)


# Drawing


def test_a_statement_that_runs_again_draws_again(con: libsql_core.Connection) -> None:
    con.execute("create table t(a) random rowid")
    for i in range(50):
        con.execute("insert into t values (?)", (i,))
    con.executemany("insert into t values (?)", [(i,) for i in range(50)])
    con.execute("insert into t values (1), (2), (3)")
    con.execute("insert into t select a from t limit 20")
    found = rowids(con, "t")
    assert len(found) == 123
    assert_random(found)


def test_the_whole_range_is_used(con: libsql_core.Connection) -> None:
    con.execute("create table t(a) random rowid")
    con.executemany("insert into t values (?)", [(i,) for i in range(2000)])
    found = rowids(con, "t")
    for eighth in range(8):
        assert 150 < sum(eighth * LIMIT // 8 < rowid <= (eighth + 1) * LIMIT // 8 for rowid in found) < 350


@pytest.mark.parametrize("name", ["rowid", "oid", "_rowid_", "id"])
def test_explicit_rowids_are_used_as_they_are(con: libsql_core.Connection, name: str) -> None:
    con.execute(f"create table t({'id integer primary key, ' if name == 'id' else ''}a) random rowid")
    for value in (-5, 0, 7, 2**63 - 1, -(2**63)):
        con.execute(f"insert into t({name}, a) values (?, 1)", (value,))
        assert con.execute("select last_insert_rowid()").fetchone() == (value,)
    drawn = con.execute(f"insert into t({name}, a) values (null, 1), (null, 1) returning rowid").fetchall()
    assert_random([row[0] for row in drawn])
    con.execute(f"update t set {name} = 8 where {name} = 7")
    assert con.execute("select count(*) from t where rowid = 8").fetchone() == (1,)
    with pytest.raises(libsql_core.IntegrityError, match="datatype mismatch"):
        con.execute(f"insert into t({name}, a) values ('x', 1)")


def test_what_draws_and_what_keeps(con: libsql_core.Connection) -> None:
    con.executescript("""
        create table t(k unique, v) random rowid; create table log(rowid_, v) random rowid;
        create trigger tr after insert on t begin insert into log values (new.rowid, new.v); end;
    """)
    (first,) = con.execute("insert into t values ('a', 1) returning rowid").fetchone()
    assert con.execute("select last_insert_rowid()").fetchone() == (first,)
    con.execute("insert into t values ('a', 2) on conflict do update set v = excluded.v")
    con.execute("insert or ignore into t values ('a', 3)")
    assert rows(con, "t") == [(first, "a", 2)]
    cursor = con.execute("replace into t values ('a', 4)")
    ((second, _, v),) = rows(con, "t")
    assert (second, v) == (cursor.lastrowid, 4)
    con.execute("replace into t(rowid, k, v) values (?, 'b', 5)", (second,))
    con.execute("update t set k = 'c'")
    assert rows(con, "t") == [(second, "c", 5)]
    assert con.execute("select rowid_ from log order by v").fetchall() == [(first,), (second,), (second,)]
    assert_random(rowids(con, "log"))
    assert_random([first, second])


@pytest.mark.parametrize("source", ["t", "plain"])
@pytest.mark.parametrize("index", ["", "create index i on s(a); create index j on t(a); create index k on plain(a);"])
def test_rows_that_are_copied_get_new_rowids(con: libsql_core.Connection, source: str, index: str) -> None:
    con.executescript(f"create table t(a) random rowid; create table plain(a); create table s(a) random rowid; {index}")
    con.executemany(f"insert into {source} values (?)", [(i,) for i in range(20)])
    con.execute(f"insert into s select * from {source}")
    assert not set(rowids(con, "s")) & set(rowids(con, source))
    assert_random(rowids(con, "s"))
    assert sorted(row[1] for row in rows(con, "s")) == list(range(20))
    # A plain table takes the rows as ever: without an index it numbers them anew.
    con.execute("create table copy(a)")
    con.execute("insert into copy select * from s")
    assert rowids(con, "copy") == list(range(1, 21))


def test_temporary_and_attached_tables(con: libsql_core.Connection) -> None:
    con.execute("attach ':memory:' as other")
    for table in ("temp.t", "other.t"):
        con.execute(f"create table {table}(a) random rowid")
        assert_draws(con, table)


# What keeps the option, and the rowids


@pytest.mark.parametrize("index", ["", "create index i on t(a)", "create unique index i on t(a collate nocase)"])
def test_vacuum_keeps_rowids(tmp_path: Path, index: str) -> None:
    path, copy = tmp_path / "a.db", tmp_path / "b.db"
    con = libsql_core.connect(path, isolation_level=None)
    con.execute("create table t(a) random rowid")
    con.execute(index)
    con.executemany("insert into t values (?)", [(f"x{i:05}" * 10,) for i in range(3000)])
    con.execute("delete from t where a like 'x%7' or a like 'x%8'")
    kept = rows(con, "t")
    assert len(kept) == 2400
    con.execute("vacuum")
    assert rows(con, "t") == kept
    con.execute("vacuum into ?", (str(copy),))
    con.close()
    con = libsql_core.connect(copy, isolation_level=None)
    assert rows(con, "t") == kept
    assert_draws(con, "t", "('y' || random())")
    con.close()


def test_backup_and_deserialize(con: libsql_core.Connection) -> None:
    con.execute("create table t(a) random rowid")
    assert_draws(con, "t")
    kept = rows(con, "t")
    other = libsql_core.connect(":memory:", isolation_level=None)
    con.backup(other)
    assert rows(other, "t") == kept
    assert_draws(other, "t")
    other.deserialize(con.serialize())
    assert rows(other, "t") == kept
    assert_draws(other, "t")
    other.close()


def test_dump(con: libsql_core.Connection) -> None:
    con.executescript("create table t(a) random rowid; create table u(a int) strict, random rowid;")
    con.execute("insert into t values (1), (2), (3)")
    script = list(con.iterdump())
    assert "CREATE TABLE u(a int) strict, random rowid;" in script
    other = libsql_core.connect(":memory:", isolation_level=None)
    other.executescript("\n".join(script))
    assert sorted(other.execute("select a from t")) == [(1,), (2,), (3,)]
    assert_random(rowids(other, "t"))
    assert_draws(other, "u")
    other.close()


@pytest.mark.parametrize("change", [
    "rename to s", "add column c default 5", "drop column b", "rename column b to c",
    "alter column b set not null", "add constraint q check (a > 0)",
])  # fmt: skip
def test_alter_table(con: libsql_core.Connection, change: str) -> None:
    con.execute("create table t(a, b default 1) random rowid")
    con.execute("insert into t(a) values (1), (2)")
    kept = rowids(con, "t")
    con.execute(f"alter table t {change}")
    ((name, sql),) = con.execute("select name, sql from sqlite_schema").fetchall()
    assert sql.endswith(") random rowid")
    assert rowids(con, name) == kept
    con.execute(f"insert into {name}(a) values (3), (4)")
    assert_random(rowids(con, name))
    assert len(rows(con, name)) == 4


def test_a_file_of_libsql_with_both_options_is_readable(tmp_path: Path) -> None:
    """libSQL accepts RANDOM ROWID beside WITHOUT ROWID, and ignores it."""
    path = tmp_path / "a.db"
    con = libsql_core.connect(path, isolation_level=None)
    con.execute("create table t(a primary key, b) without rowid")
    con.executescript("""
        pragma writable_schema = on;
        update sqlite_schema set sql = replace(sql, 'without rowid', 'random rowid, without rowid');
    """)
    con.close()
    con = libsql_core.connect(path, isolation_level=None)
    con.execute("insert into t values (1, 2)")
    con.execute("vacuum")
    con.execute("alter table t rename b to c")
    assert con.execute("select a, c from t").fetchall() == [(1, 2)]
    assert refusal(con, "select rowid from t") == "no such column: rowid"
    con.close()
