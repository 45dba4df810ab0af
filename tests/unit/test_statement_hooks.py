"""What each statement has beyond SQLite's: counters of rows, and an interrupt of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import libsql_core
from libsql_core.lowlevel import ffi, handle, lib

DONE, ROW, INTERRUPT = lib.SQLITE_DONE, lib.SQLITE_ROW, lib.SQLITE_INTERRUPT
READ, WRITTEN = lib.LIBSQL_STMTSTATUS_ROWS_READ, lib.LIBSQL_STMTSTATUS_ROWS_WRITTEN
HUNDRED = """
    create table t(id integer primary key, b, c);
    create index i on t(b);
    with recursive n(x) as (select 1 union all select x + 1 from n where x < 100)
        insert into t select x, x % 10, x from n;
"""
# Long enough for nobody to wait for its end.
LONG = "with recursive n(x) as (select 1 union all select x + 1 from n limit 200000000) select count(*) from n"
Prepare = Callable[[str], Any]


@pytest.fixture
def con() -> Iterator[libsql_core.Connection]:
    connection = libsql_core.connect(":memory:", isolation_level=None)
    connection.executescript(HUNDRED)
    yield connection
    connection.close()


@pytest.fixture
def prepare(con: libsql_core.Connection) -> Iterator[Prepare]:
    """Makes statements of the connection's, as C programs do."""
    made = []

    def prepare(sql: str) -> Any:
        out = ffi.new("sqlite3_stmt **")
        assert lib.sqlite3_prepare_v2(handle(con), sql.encode(), -1, out, ffi.NULL) == lib.SQLITE_OK
        made.append(out[0])
        return out[0]

    yield prepare
    for stmt in made:
        lib.sqlite3_finalize(stmt)


def run(stmt: Any) -> int:
    """The number of rows."""
    n = 0
    while (code := lib.sqlite3_step(stmt)) == ROW:
        n += 1
    assert code == DONE
    return n


# Row counters


@pytest.mark.parametrize(("sql", "read", "written"), [
    ("select * from t", 100, 0),
    ("select * from t order by id desc", 100, 0),
    ("select * from t where id = 5", 1, 0),
    ("select * from t where id = 500", 1, 0),
    ("select * from t where b = 5", 11, 0),
    ("select count(*) from t", 1, 0),
    ("select * from t order by c limit 1", 200, 0),
    ("select * from t limit 3", 3, 0),
    ("select max(id) from t", 1, 0),
    ("insert into t values (101, 1, 1)", 1, 2),
    ("insert into t values (101, 1, 1), (102, 1, 1), (103, 1, 1)", 3, 6),
    ("update t set c = 5 where id = 1", 1, 1),
    ("update t set b = 5 where id = 1", 1, 2),
    ("update t set c = 5", 100, 100),
    ("delete from t where b = 5", 11, 10),
    ("delete from t", 0, 100),
    ("replace into t values (2, 2, 2)", 1, 2),
    ("create table u as select * from t where id = 1", 2, 3),
    ("create table u(a)", 1, 2),
    ("create index j on e(a)", 2, 1),
    ("drop table e", 4, 0),
    ("select 1", 0, 0),
    ("pragma user_version", 0, 0),
    ("begin", 0, 0),
    ("vacuum", 0, 0),
    ("select * from json_each('[1,2,3]')", 3, 0),
    ("insert into f values ('a')", 0, 1),
])  # fmt: skip
def test_what_counts(con: libsql_core.Connection, prepare: Prepare, sql: str, read: int, written: int) -> None:
    """The figures are libSQL's, but for virtual tables' own tables, which count by themselves."""
    con.execute("create virtual table f using fts5(x)" if "into f" in sql else "create table e(a)")
    if sql not in ("begin", "vacuum"):
        con.execute("begin")
        cursor = con.execute(sql)
        cursor.fetchall()
        assert (cursor.rows_read, cursor.rows_written) == (read, written)
        con.execute("rollback")
    stmt = prepare(sql)
    run(stmt)
    assert (lib.sqlite3_stmt_status(stmt, READ, 0), lib.sqlite3_stmt_status(stmt, WRITTEN, 0)) == (read, written)


def test_counters_add_up_until_they_are_reset(con: libsql_core.Connection, prepare: Prepare) -> None:
    stmt = prepare("select * from t where id < 11")
    for n in (10, 20):
        run(stmt)
        assert lib.sqlite3_stmt_status(stmt, READ, 0) == n + n // 10
        assert lib.sqlite3_reset(stmt) == lib.SQLITE_OK
    # Also when the statement is compiled anew.
    con.execute("create table u(a)")
    run(stmt)
    assert lib.sqlite3_stmt_status(stmt, lib.SQLITE_STMTSTATUS_REPREPARE, 0) == 1
    assert lib.sqlite3_stmt_status(stmt, READ, 1) == 33
    assert lib.sqlite3_stmt_status(stmt, READ, 0) == 0
    assert [lib.sqlite3_stmt_status(stmt, op, 1) for op in (1024, 1027, 2**31 - 1)] == [0, 0, 0]


def test_triggers_count_with_their_statement(con: libsql_core.Connection) -> None:
    con.executescript("create table log(a); create trigger x after insert on t begin insert into log values (1); end;")
    assert con.execute("insert into t values (200, 1, 1)").rows_written == 3


def test_cursors_count_their_own_runs(con: libsql_core.Connection) -> None:
    cursor = con.cursor()
    assert (cursor.rows_read, cursor.rows_written) == (0, 0)
    for _ in range(2):
        assert cursor.execute("select * from t").rows_read == 1
        cursor.fetchmany(10)
        assert cursor.rows_read == 11
        cursor.fetchall()
        assert cursor.rows_read == 100
    # The other way to its end is to be cut short.
    cursor.execute("select * from t").fetchone()
    cursor.close()
    assert cursor.rows_read == 2
    cursor = con.executemany("insert into t values (?, 1, 1)", [(i,) for i in range(1000, 1300)])
    assert (cursor.rows_read, cursor.rows_written) == (300, 600)
    with pytest.raises(libsql_core.IntegrityError):
        cursor.executemany("insert into t values (?, 1, 1)", [(2000,), (2000,)])
    assert (cursor.rows_read, cursor.rows_written) == (2, 2)
    with pytest.raises(libsql_core.OperationalError):
        cursor.execute("nonsense")
    assert (cursor.rows_read, cursor.rows_written) == (0, 0)
    assert con.execute("select * from t where id = 1").rows_read == 1
    assert (con.execute("-- nothing").rows_read, libsql_core.Cursor.__new__(libsql_core.Cursor).rows_written) == (0, 0)


# The interrupt


def test_interrupted_until_reset(prepare: Prepare) -> None:
    lib.libsql_stmt_interrupt(ffi.NULL)
    stmt, other = prepare("select id from t"), prepare("select id from t")
    for steps in (0, 3, 101):
        for _ in range(steps):
            assert lib.sqlite3_step(stmt) in (ROW, DONE)
        lib.libsql_stmt_interrupt(stmt)
        for _ in range(3):
            assert lib.sqlite3_step(stmt) == INTERRUPT
            db = lib.sqlite3_db_handle(stmt)
            assert (lib.sqlite3_errcode(db), ffi.string(lib.sqlite3_errmsg(db))) == (INTERRUPT, b"interrupted")
            assert lib.sqlite3_step(other) == ROW
            assert not lib.sqlite3_is_interrupted(db)
        assert lib.sqlite3_reset(stmt) == INTERRUPT
        assert run(stmt) == 100
        assert lib.sqlite3_reset(stmt) == lib.SQLITE_OK


def test_a_reset_before_the_step_ends_it(prepare: Prepare) -> None:
    stmt = prepare("select id from t")
    lib.libsql_stmt_interrupt(stmt)
    assert lib.sqlite3_reset(stmt) == lib.SQLITE_OK
    assert run(stmt) == 100


def test_finalize_tells_of_it(con: libsql_core.Connection) -> None:
    out = ffi.new("sqlite3_stmt **")
    assert lib.sqlite3_prepare_v2(handle(con), b"select 1", -1, out, ffi.NULL) == lib.SQLITE_OK
    lib.libsql_stmt_interrupt(out[0])
    assert lib.sqlite3_step(out[0]) == INTERRUPT
    assert lib.sqlite3_finalize(out[0]) == INTERRUPT


def test_inside_the_running_loop(prepare: Prepare) -> None:
    stmt = prepare(LONG)
    timer = threading.Timer(0.1, lib.libsql_stmt_interrupt, [stmt])
    timer.start()
    assert lib.sqlite3_step(stmt) == INTERRUPT
    timer.join()
    assert lib.sqlite3_step(stmt) == INTERRUPT


def test_a_write_is_undone(con: libsql_core.Connection, prepare: Prepare) -> None:
    stmt = prepare("insert into t(b) " + LONG.replace("select count(*)", "select x"))
    threading.Timer(0.1, lib.libsql_stmt_interrupt, [stmt]).start()
    assert lib.sqlite3_step(stmt) == INTERRUPT
    assert lib.sqlite3_reset(stmt) == INTERRUPT
    assert con.execute("select count(*) from t").fetchone() == (100,)
    assert con.execute("pragma integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("sql", ["explain select * from t", "explain query plan select * from t a, t b"])
def test_explain(prepare: Prepare, sql: str) -> None:
    stmt = prepare(sql)
    assert lib.sqlite3_step(stmt) == ROW
    lib.libsql_stmt_interrupt(stmt)
    assert lib.sqlite3_step(stmt) == INTERRUPT
    assert lib.sqlite3_reset(stmt) == INTERRUPT


@pytest.mark.parametrize("when", ["before the step", "while it is compiled anew"])
def test_a_statement_whose_schema_changed(con: libsql_core.Connection, prepare: Prepare, when: str) -> None:
    stmt = prepare("select id from t")
    asked = []

    def authorize(*_arguments: object) -> int:
        asked.append(1)
        lib.libsql_stmt_interrupt(stmt)
        return 0

    authorizer = ffi.callback(
        "int(void *, int, const char *, const char *, const char *, const char *)", authorize)
    con.execute("create table u(a)")
    if when == "before the step":
        lib.libsql_stmt_interrupt(stmt)
    else:
        lib.sqlite3_set_authorizer(handle(con), authorizer, ffi.NULL)
    assert lib.sqlite3_step(stmt) == INTERRUPT
    assert bool(asked) == (when != "before the step")
    lib.sqlite3_set_authorizer(handle(con), ffi.NULL, ffi.NULL)
    assert lib.sqlite3_reset(stmt) == INTERRUPT
    assert run(stmt) == 100
