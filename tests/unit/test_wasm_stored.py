"""CREATE FUNCTION and DROP FUNCTION: functions that the database holds, and what happens to them."""

from __future__ import annotations

import runpy
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import libsql_core
from libsql_core import SQLITE_CONSTRAINT, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_ERROR, DatabaseError, OperationalError

M = runpy.run_path(str(Path(__file__).with_name("wasm_modules.py")))
MEMORY, SAME, example, number = M["MEMORY"], M["SAME"], M["example"], M["number"]
TABLE = "libsql_wasm_func_table"
ONE, TWO = (number("f", f"(i64.const {n})", "") for n in (1, 2))


def create(name: str, module: str, more: str = "") -> str:
    return f"create function {more} {name} language wasm as '{module}'"


def rows(con: libsql_core.Connection, sql: str, *values: object) -> list[tuple[Any, ...]]:
    return con.execute(sql, values).fetchall()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "functions.db"


@pytest.fixture
def open_db(path: Path) -> Any:
    """Opens connections to one file, without implicit transactions."""
    opened: list[libsql_core.Connection] = []

    def connect(**options: Any) -> libsql_core.Connection:
        opened.append(libsql_core.connect(path, isolation_level=None, timeout=0.5, **options))
        return opened[-1]

    yield connect
    for con in opened:
        con.close()


def test_the_table(db: Any) -> None:
    db.execute(create("f", ONE))
    wasmtime = pytest.importorskip("wasmtime")
    binary = bytes(wasmtime.wat2wasm(number("g", "(i64.const 3)", "")))
    db.execute(f"create function g language wasm as x'{binary.hex()}'")
    assert db.text(TABLE) == f"CREATE TABLE {TABLE} (name text PRIMARY KEY, body text) WITHOUT ROWID"
    assert db.rows(f"select * from {TABLE}") == [("f", ONE), ("g", binary)]
    assert db.rows("select f(), g()") == [(1, 3)]
    db.sound()


def test_nothing_but_the_table_changes(db: Any) -> None:
    db.execute("create table t(x)")
    db.execute("insert into t values (7), (8)")
    before = (db.total_changes, *db.rows("select changes(), last_insert_rowid()"))
    cursor = db.execute(create("f", ONE))
    assert cursor.fetchall() == []
    assert cursor.description is None
    assert (db.total_changes, *db.rows("select changes(), last_insert_rowid()")) == before
    db.execute("drop function f")
    assert (db.total_changes, *db.rows("select changes(), last_insert_rowid()")) == before


def test_quotes(db: Any) -> None:
    module = number("it''s", "(i64.const 5)", "").replace("''", "''")
    db.execute(f"""CREATE FUNCTION "It's" LANGUAGE "WASM" AS '{module}';""")
    assert db.rows(f"select name from {TABLE}") == [("it's",)]
    assert db.rows("""select "IT'S"()""") == [(5,)]
    db.execute("drop function [it's]")
    assert db.rows(f"select count(*) from {TABLE}") == [(0,)]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("create function main.f language wasm as 'x'", 'near ".": syntax error'),
        ("create or replace function f language wasm as 'x'", 'near "or": syntax error'),
        ("create temp function f language wasm as 'x'", 'near "function": syntax error'),
        ("create function f language wasm as ?", 'near "?": syntax error'),
        ("create function f language wasm as (1)", 'near "(": syntax error'),
        ('create function f language wasm as "x"', 'near ""x"": syntax error'),
        ("create function f language wasm as 'x' y", 'near "y": syntax error'),
        ("create function f language wasm", "incomplete input"),
        ("create function", "incomplete input"),
        ("create function if exists f language wasm as 'x'", 'near "exists": syntax error'),
        ("create function f as 'x'", 'near "as": syntax error'),
        ("create function f language wasm as x'0'", "unrecognized token: \"x'0'\""),
        ("create function f language lua4 as 'x'", "The only supported language for user-defined functions is 'wasm'"),
        ("create function f language wasmx as 'x'", "The only supported language for user-defined functions is 'wasm'"),
        ("create function '' language wasm as 'x'", "the name of a function has 1 to 255 bytes"),
        (f"create function {'f' * 256} language wasm as 'x'", "the name of a function has 1 to 255 bytes"),
        ("create function abs language wasm as 'x'", "abs() is a function of SQLite and cannot be replaced"),
        ("create function COUNT language wasm as 'x'", "count() is a function of SQLite and cannot be replaced"),
        ("drop function", "incomplete input"),
        ("drop function main.f", 'near ".": syntax error'),
        ("drop function if not exists f", 'near "not": syntax error'),
        ("drop function f", f"no such table: {TABLE}"),
        (
            "create function f language wasm as '(module'",
            "Registering Wasm function f failed: Failed to compile .wat module: expected `)`\n"
            "     --> <anon>:1:8\n      |\n    1 | (module\n      |        ^",
        ),
        (
            "create function f language wasm as '(module)'",
            "Registering Wasm function f failed: Function f not found in Wasm module",
        ),
        (
            """create function f language wasm as '(module (import "env" "g" (func)) (func (export "f") (result i64)
                (i64.const 1)))'""",
            'Registering Wasm function f failed: the module imports "env"."g", which is not granted to it',
        ),
    ],
)
def test_refusals(db: Any, sql: str, message: str) -> None:
    db.refused(sql, message)
    db.execute("begin")
    db.refused(sql, message)
    db.execute("commit")
    db.sound()


def test_statements_behind_it_and_comments(db: Any) -> None:
    db.executescript(
        f"/* one */ ; create -- a\n function /* b */ f language wasm as '{ONE}' ; select f(); drop function f;"
    )
    assert db.rows(f"select count(*) from {TABLE}") == [(0,)]


def test_names_that_exist(db: Any) -> None:
    db.execute(create("f", ONE))
    db.refused(create("F", TWO), f"UNIQUE constraint failed: {TABLE}.name", SQLITE_CONSTRAINT_PRIMARYKEY)
    db.execute(create("F", TWO, "if not exists"))
    db.execute("create function if not exists f language wasm as 'no module'")
    assert db.rows("select f()") == [(1,)]
    assert db.rows(f"select * from {TABLE}") == [("f", ONE)]


def test_drop(db: Any) -> None:
    db.execute("drop function if exists f")
    assert db.rows("select count(*) from sqlite_schema") == [(0,)]
    db.execute(create("f", ONE))
    db.refused("drop function g", "Function g was not registered", SQLITE_CONSTRAINT)
    db.execute("drop function if exists g")
    assert db.rows("select F()") == [(1,)]
    db.execute("drop function F")
    db.refused("select f()", "no such function: f")
    db.execute(create("f", TWO))
    assert db.rows("select f()") == [(2,)]


def test_explain_changes_nothing(db: Any) -> None:
    assert db.rows("explain " + create("f", ONE))
    db.execute("explain query plan " + create("f", ONE))
    assert db.rows("select count(*) from sqlite_schema") == [(0,)]
    db.refused("select f()", "no such function: f")


def test_rollback(db: Any) -> None:
    db.execute("begin")
    db.execute(create("f", ONE))
    assert db.rows("select f()") == [(1,)]
    db.execute("rollback")
    db.refused("select f()", "no such function: f")
    db.execute(create("f", ONE))
    assert db.rows("select f()") == [(1,)]
    db.execute("begin")
    db.execute("drop function f")
    db.refused("select f()", "no such function: f")
    db.execute("savepoint s")
    db.execute(create("f", TWO))
    assert db.rows("select f()") == [(2,)]
    db.execute("rollback to s")
    db.refused("select f()", "no such function: f")
    db.execute("rollback")
    assert db.rows("select f()") == [(1,)]
    db.sound()


def test_a_failed_statement_inside_a_transaction(db: Any) -> None:
    db.execute("begin")
    db.execute(create("f", ONE))
    db.refused(create("f", TWO), f"UNIQUE constraint failed: {TABLE}.name", SQLITE_CONSTRAINT_PRIMARYKEY)
    db.refused("create function g language wasm as '(module)'",
               "Registering Wasm function g failed: Function g not found in Wasm module")  # fmt: skip
    assert db.rows("select f()") == [(1,)]
    db.execute("commit")
    assert db.rows(f"select name from {TABLE}") == [("f",)]
    db.sound()


def test_opened_anew_and_by_others(open_db: Callable[..., Any]) -> None:
    con = open_db()
    con.execute(create("f", ONE))
    other = open_db()
    assert rows(other, "select f()") == [(1,)]
    assert rows(other, "select f() from sqlite_schema") == [(1,)]
    con.execute("drop function f")
    with pytest.raises(OperationalError, match="no such function: f"):
        other.execute("select f()")
    con.execute(create("f", TWO))
    assert rows(other, "select f()") == [(2,)]
    other.execute("begin")
    assert rows(other, "select f()") == [(2,)]
    other.execute("commit")


def test_the_second_process(open_db: Callable[..., Any], path: Path, run_child: Any) -> None:
    open_db().execute(create("fib", example("fib")))
    found = run_child(
        f"con = sqlite3.connect({str(path)!r})\n"
        "print(json.dumps(con.execute('select fib(20)').fetchone()[0]))\n"
        "con.close()"
    )
    assert found == 6765


@pytest.mark.parametrize("sql", ["select f() from t", "select value from t, json_each('[1,2]') where f() > 0"])
def test_dropped_while_a_statement_runs(db: Any, sql: str) -> None:
    """The statement goes on with the function that it began with; others see at once that it is gone."""
    db.execute("create table t(x)")
    db.executemany("insert into t values (?)", [(n,) for n in range(500)])
    db.execute(create("f", ONE))
    everything = db.rows(sql)
    running = db.execute(sql)
    first = running.fetchone()
    db.execute("drop function f")
    db.refused("select f()", "no such function: f")
    db.execute(create("f", TWO))
    assert db.rows("select f()") == [(2,)]
    assert [first, *running.fetchall()] == everything
    if sql.startswith("select f()"):
        assert db.rows(sql) == [(2,)] * 500
    for n in range(20):
        running = db.execute("select f() from t")
        assert running.fetchone() == (n % 2 + 1 if n else 2,) or n
        db.execute("drop function f")
        db.execute(create("f", ONE if n % 2 else TWO))
        db.rows("select f()")
        running.close()
    assert db.rows("select f()") == [(1,)]


def test_a_name_nobody_can_write(db: Any) -> None:
    db.execute("create table t(x)")
    db.execute("insert into t values (1), (2)")
    db.execute(create("f", ONE))
    running = db.execute("select f() from t")
    running.fetchone()
    db.execute("drop function f")
    with pytest.raises(OperationalError, match="no such function"):
        db.execute("select f()")
    with pytest.raises(OperationalError, match="no such function"):
        db.execute('select "\1"()')
    assert not [name for (name, *_) in db.rows("pragma function_list") if name in ("f", "\1")]
    assert running.fetchall() == [(1,)]


def test_functions_of_the_application_stay(db: Any) -> None:
    db.create_function("f", 0, lambda: "application")
    db.execute(create("f", ONE))
    assert db.rows("select f()") == [("application",)]
    db.create_function("f", 0, None)
    assert db.rows("select f()") == [(1,)]
    db.create_function("f", 0, lambda: "again")
    assert db.rows("select f()") == [("again",)]
    db.execute("drop function f")
    assert db.rows("select f()") == [("again",)]


def test_files_cannot_replace_what_sqlite_has(open_db: Callable[..., Any]) -> None:
    con = open_db()
    con.execute(create("f", ONE))
    for name in ("lower", "json_each", "pragma_table_info"):
        con.execute(f"insert into {TABLE} values (?, ?)", (name, number(name, "(i64.const 666)", "")))
    other = open_db()
    assert rows(other, "select f(), lower('A')") == [(1, "a")]
    assert rows(other, "select count(*) from json_each('[1]')") == [(1,)]
    with pytest.raises(OperationalError, match="wrong number of arguments to function lower"):
        other.execute("select lower()")


def test_rows_that_others_wrote(open_db: Callable[..., Any]) -> None:
    """Names as libSQL stores them, and rows that are damaged."""
    con = open_db()
    con.execute(create("f", ONE))
    con.execute(f"insert into {TABLE} values ('Mixed', ?)", (number("Mixed", "(i64.const 7)", ""),))
    for name, body in (
        ("number", b""),
        ("nothing", None),
        ("junk", "junk"),
        ("bytes", b"\0asm\xff"),
        ("other", ONE),
        (b"x", ONE),
    ):
        con.execute(f"insert into {TABLE} values (?, ?)", (name, body))
    con = open_db()
    assert rows(con, "select f(), mixed(), MIXED()") == [(1, 7, 7)]
    for name, says in (
        ("number", "Failed to compile module: it does not start as one, and it's not valid .wat either: "),
        ("nothing", "its body is neither text nor a blob"),
        ("junk", "Failed to compile .wat module: expected"),
        ("bytes", "Failed to compile module: "),
        ("other", "Function other not found in Wasm module"),
    ):
        with pytest.raises(OperationalError) as caught:
            con.execute(f'select "{name}"()')
        assert str(caught.value).startswith(f"function {name} cannot be loaded: {says}")
        assert rows(con, "select f()") == [(1,)]
    con.execute("drop function mixed")
    con.execute("drop function junk")
    with pytest.raises(OperationalError, match="no such function: mixed"):
        con.execute("select mixed()")


@pytest.mark.parametrize("kind", ["view v as select 1", "table other(name text, body text)", "table other(a)"])
def test_a_table_of_another_kind(db: Any, kind: str) -> None:
    db.execute("create " + kind.replace("view v", f"view {TABLE}").replace("other", TABLE))
    if kind.startswith("view"):
        db.refused(create("f", ONE), f"cannot modify {TABLE} because it is a view")
        db.refused("select f()", "no such function: f")
    elif "body" in kind:
        db.execute(create("f", ONE))
        assert db.rows("select f()") == [(1,)]
        db.execute("drop function f")
    else:
        db.refused(create("f", ONE), f"table main.{TABLE} has no column named name")
        with pytest.raises(OperationalError, match="no such column: body"):
            db.execute("select f()")
    db.sound()


def test_a_read_only_database(open_db: Callable[..., Any], path: Path) -> None:
    open_db().execute(create("f", ONE))
    con = libsql_core.connect(f"file:{path}?mode=ro", uri=True)
    assert rows(con, "select f()") == [(1,)]
    with pytest.raises(OperationalError, match="attempt to write a readonly database") as caught:
        con.execute(create("g", ONE.replace('"f"', '"g"')))
    assert caught.value.sqlite_errorcode == libsql_core.SQLITE_READONLY
    con.close()


def test_a_locked_database(open_db: Callable[..., Any]) -> None:
    con, other = open_db(), open_db()
    con.execute(create("f", ONE))
    con.execute("begin exclusive")
    with pytest.raises(OperationalError, match="database is locked"):
        other.execute("select f()")
    con.execute("commit")
    assert rows(other, "select f()") == [(1,)]


def test_the_authorizer(db: Any) -> None:
    seen: list[tuple[Any, ...]] = []

    def allow(action: int, *names: Any) -> int:
        seen.append((action, *names[:2]))
        return libsql_core.SQLITE_OK

    db.set_authorizer(allow)
    db.execute(create("f", ONE))
    assert (libsql_core.SQLITE_CREATE_TABLE, TABLE, None) in seen
    assert (libsql_core.SQLITE_INSERT, TABLE, None) in seen
    seen.clear()
    db.execute("drop function f")
    assert (libsql_core.SQLITE_DELETE, TABLE, None) in seen
    db.execute(create("f", ONE))
    db.set_authorizer(lambda action, name, *_: libsql_core.SQLITE_DENY if name == TABLE else libsql_core.SQLITE_OK)
    for sql in (create("g", ONE), "drop function f"):
        with pytest.raises(DatabaseError, match="not authorized"):
            db.execute(sql)
    assert db.rows("select f()") == [(1,)]
    db.set_authorizer(None)


def test_other_schema_changes(db: Any) -> None:
    """Functions stay what they are, and are compared with the table again."""
    db.execute(create("f", ONE))
    statement = "select f(), (select count(*) from sqlite_schema)"
    for n in range(5):
        assert db.rows(statement) == [(1, n + 1)]
        db.execute(f"create table t{n}(x default 1)")
    db.execute("alter table t0 add column y as (f())")
    db.execute("create trigger tr after insert on t1 begin insert into t0 values (f()); end")
    db.execute("create view v as select f() as one")
    db.execute("insert into t1 values (1)")
    assert db.rows("select * from t0, v") == [(1, 1, 1)]
    db.execute("alter table t0 rename to t9")
    assert db.rows("select * from t9") == [(1, 1)]
    db.execute(f"drop table {TABLE}")
    db.refused("select f()", "no such function: f")


def test_an_update_of_the_table_counts_with_the_next_schema(db: Any) -> None:
    db.execute(create("f", ONE))
    assert db.rows("select f()") == [(1,)]
    db.execute(f"update {TABLE} set body = ?", (TWO,))
    assert db.rows("select f()") == [(1,)]
    db.execute("create table t(x)")
    assert db.rows("select f()") == [(2,)]


def test_indexes_and_generated_columns(open_db: Callable[..., Any]) -> None:
    con = open_db()
    con.execute(create("fib", example("fib")))
    con.execute("create table t(x, y as (fib(x)), check(fib(x) < 1000))")
    con.execute("create index tf on t(fib(x))")
    con.executemany("insert into t(x) values (?)", [(n,) for n in range(16)])
    con = open_db()
    with pytest.raises(libsql_core.IntegrityError, match="CHECK constraint failed"):
        con.execute("insert into t(x) values (20)")
    assert rows(con, "select x, y from t where fib(x) = 55") == [(10, 55)]
    assert "USING INDEX tf" in str(rows(con, "explain query plan select x from t where fib(x) = 55"))
    con.execute("reindex")
    con.execute("vacuum")
    con.execute("analyze")
    assert rows(con, "pragma integrity_check") == [("ok",)]
    con.execute("pragma trusted_schema = off")
    with pytest.raises(OperationalError, match=r"unsafe use of fib\(\)"):
        con.execute("select y from t")


def test_travels(open_db: Callable[..., Any], tmp_path: Path) -> None:
    con = open_db()
    con.execute(create("fib", example("fib")))
    con.execute(create("shout", example("text")))
    con.execute("create table t(x)")
    con.execute("create index tf on t(fib(x))")
    con.execute("insert into t values (1), (2), (10)")
    query = "select fib(x), shout('a' || x) from t where fib(x) = 55"
    con.execute("vacuum")
    assert rows(con, query) == [(55, "A10")]
    con.execute("vacuum into ?", (str(tmp_path / "into.db"),))
    copies = [libsql_core.connect(tmp_path / "into.db"), libsql_core.connect(tmp_path / "backup.db"),
              libsql_core.connect(":memory:"), libsql_core.connect(":memory:")]  # fmt: skip
    con.backup(copies[1])
    copies[2].executescript("\n".join(con.iterdump()))
    copies[3].deserialize(con.serialize())
    for copy in copies:
        assert rows(copy, query) == [(55, "A10")]
        assert rows(copy, "pragma integrity_check") == [("ok",)]
        copy.close()


def test_stock_sqlite_reads_the_file(open_db: Callable[..., Any], path: Path) -> None:
    open_db().execute(create("f", ONE))
    stock = sqlite3.connect(path)
    assert stock.execute(f"select * from {TABLE}").fetchall() == [("f", ONE)]
    stock.close()


def test_frames_of_the_log_carry_functions(tmp_path: Path) -> None:
    """A copy made frame by frame has them, too, and notices new ones."""
    a, b = (libsql_core.connect(tmp_path / name, isolation_level=None) for name in ("a.db", "b.db"))
    a.execute("pragma journal_mode = wal")
    a.execute(create("f", ONE))
    b.wal_insert(a.wal_frames())
    assert rows(b, "select f()") == [(1,)]
    done = a.wal_frame_count()
    a.execute("drop function f")
    a.execute(create("f", TWO))
    b.wal_insert(a.wal_frames(done + 1))
    assert rows(b, "select f()") == [(2,)]
    a.close()
    b.close()


def test_attached_databases_have_none(db: Any, tmp_path: Path) -> None:
    db.execute("attach ? as other", (str(tmp_path / "other.db"),))
    db.execute(f"create table other.{TABLE}(name text primary key, body text) without rowid")
    db.execute(f"insert into other.{TABLE} values ('f', ?)", (ONE,))
    db.refused("select f()", "no such function: f")
    db.execute(create("f", TWO))
    assert db.rows("select f()") == [(2,)]
    assert db.rows(f"select count(*) from other.{TABLE}") == [(1,)]


def test_switched_off(open_db: Callable[..., Any]) -> None:
    open_db().execute(create("f", ONE))
    con = open_db()
    con.execute("pragma libsql_wasm = off")
    assert rows(con, "pragma libsql_wasm") == [(0,)]
    with pytest.raises(OperationalError, match="no such function: f"):
        con.execute("select f()")
    with pytest.raises(OperationalError, match="WebAssembly functions are switched off"):
        con.execute("drop function f")
    con.execute("pragma libsql_wasm = on")
    assert rows(con, "select f()") == [(1,)]
    con.create_wasm_function("own", number("own", "(i64.const 3)", ""))
    con.execute("pragma libsql_wasm = off")
    assert rows(con, "select own()") == [(3,)]
    with pytest.raises(OperationalError, match="no such function: f"):
        con.execute("select f()")


def test_limits_of_the_connection(open_db: Callable[..., Any]) -> None:
    con = open_db()
    con.execute(create("fib", example("fib")))
    assert rows(con, "select fib(20)") == [(6765,)]
    con.execute("pragma libsql_wasm_fuel = 1000")
    with pytest.raises(OperationalError, match="it used up its fuel"):
        con.execute("select fib(20)")
    assert rows(con, "select fib(3)") == [(2,)]
    con.execute("pragma libsql_wasm_fuel = 0")
    assert rows(con, "select fib(20)") == [(6765,)]
    assert [rows(con, f"pragma libsql_wasm_{name}") for name in ("memory", "fuel", "time", "module_size")] == [
        [(64 * 1024 * 1024,)], [(0,)], [(5000,)], [(16 * 1024 * 1024,)],
    ]  # fmt: skip
    for value in ("-1", "x", str(2**33)):
        with pytest.raises(OperationalError, match="libsql_wasm_memory is a number from 0 to"):
            con.execute(f"pragma libsql_wasm_memory = '{value}'")
    con.execute("pragma libsql_wasm_module_size = 10")
    with pytest.raises(OperationalError, match="is over the limit of 10"):
        con.execute(create("f", ONE))


def test_prepared_statements_notice(db: Any) -> None:
    """The module's cache of statements does not keep what is gone."""
    db.execute(create("f", ONE))
    for n in range(6):
        assert db.rows("select f()") == [(n % 2 + 1,)]
        db.execute("drop function f")
        db.refused("select f()", "no such function: f")
        db.execute(create("f", ONE if n % 2 else TWO))


def test_threads_of_two_connections(open_db: Callable[..., Any]) -> None:
    """One changes the function again and again, others call it."""
    con = open_db()
    con.execute("pragma journal_mode = wal")
    con.execute(create("f", ONE))
    failures: list[str] = []
    done = threading.Event()

    def read(other: libsql_core.Connection) -> None:
        while not done.is_set():
            try:
                if rows(other, "select f()")[0][0] not in (1, 2):
                    failures.append("value")
            except OperationalError as error:
                if str(error) not in ("no such function: f", "database is locked"):
                    failures.append(str(error))

    threads = [threading.Thread(target=read, args=(open_db(check_same_thread=False),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for n in range(60):
        con.execute("begin immediate")
        con.execute("drop function f")
        con.execute(create("f", ONE if n % 2 else TWO))
        con.execute("commit")
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert SQLITE_ERROR == 1
