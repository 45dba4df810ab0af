"""Rows: every way of fetching gives the same, whatever the size, encoding or failure; and nothing leaks."""

from __future__ import annotations

import gc
import os
import random
import sqlite3 as stdlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import libsql_core

Fetch = Callable[[Any], list[Any]]


def one_by_one(cursor: Any) -> list[Any]:
    return list(iter(cursor.fetchone, None))


def in_parts(size: int) -> Fetch:
    def fetch(cursor: Any) -> list[Any]:
        rows: list[Any] = []
        while part := cursor.fetchmany(size):
            rows += part
        return rows

    return fetch


def mixed(cursor: Any) -> list[Any]:
    rows = [*filter(None, [cursor.fetchone()]), *cursor.fetchmany(5)]
    for row in cursor:
        rows.append(row)
        if len(rows) > 40:
            break
    return [*rows, *cursor.fetchmany(64), *cursor.fetchall()]


WAYS: dict[str, Fetch] = {
    "fetchall": lambda cursor: cursor.fetchall(),
    "iteration": list,
    "fetchone": one_by_one,
    "fetchmany 1": in_parts(1),
    "fetchmany 2": in_parts(2),
    "fetchmany 63": in_parts(63),
    "fetchmany 64": in_parts(64),
    "fetchmany 10000": in_parts(10000),
    "mixed": mixed,
}


def random_value(rng: random.Random, heap: int) -> object:
    kind = rng.randrange(9)
    if kind == 0:
        return None
    if kind == 1:
        return rng.choice([0, 1, -1, 2**63 - 1, -(2**63), rng.randrange(-(2**40), 2**40)])
    if kind == 2:
        return rng.choice([0.0, -1.5, 1e308, 5e-324, float("inf"), rng.random()])
    size = rng.choice([0, 1, 3, 40, 40, 40, 400, 400, 5000, heap - 1, heap, heap + 1, 3 * heap])
    if kind in (3, 4):
        return rng.randbytes(size)
    return "".join(rng.choices("aé€𐍈\0 ", k=min(size, 900))) if kind == 5 else "x" * size


def make_table(con: Any, seed: int, columns: int, count: int) -> None:
    rng = random.Random(seed)
    con.execute(f"create table t(id integer primary key, {', '.join(f'c{i}' for i in range(columns))})")
    marks = ", ".join("?" * (columns + 1))
    rows = [(i, *(random_value(rng, 32 * 1024) for _ in range(columns))) for i in range(count)]
    con.executemany(f"insert into t values ({marks})", rows)
    con.commit()


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
@pytest.mark.parametrize(("columns", "count"), [(1, 0), (1, 1), (1, 500), (3, 65), (4, 200), (40, 30), (300, 5)])
def test_every_way_of_fetching_gives_the_same(encoding: str, columns: int, count: int) -> None:
    con, twin = libsql_core.connect(":memory:"), stdlib.connect(":memory:")
    for connection in (con, twin):
        connection.execute(f"pragma encoding = '{encoding}'")
        make_table(connection, columns * 1000 + count, columns, count)
    expected = twin.execute("select * from t order by id").fetchall()
    twin.close()
    assert len(expected) == count
    for name, fetch in WAYS.items():
        cursor = con.execute("select * from t order by id")
        rows = fetch(cursor)
        assert rows == expected, name
        assert [list(map(type, row)) for row in rows] == [list(map(type, row)) for row in expected], name
        assert (cursor.fetchone(), cursor.fetchmany(3), cursor.fetchall()) == (None, [], [])
    con.row_factory = libsql_core.Row
    for name, fetch in WAYS.items():
        assert [tuple(row) for row in fetch(con.execute("select * from t order by id"))] == expected, name
    con.row_factory = lambda cursor, row: [*row]
    for name, fetch in WAYS.items():
        assert fetch(con.execute("select * from t order by id")) == [[*row] for row in expected], name
    con.close()


class Undecodable:
    """Twenty rows, those in `bad` with a text that is not UTF-8."""

    def __init__(self, module: Any, bad: tuple[int, ...]) -> None:
        self.con = module.connect(":memory:")
        self.con.execute("create table t(id integer primary key, x)")
        self.con.executemany("insert into t values (?, ?)", [(i, f"row {i}") for i in range(20)])
        for i in bad:
            self.con.execute("update t set x = cast(x'ff41' as text) where id = ?", (i,))

    def outcome(self, steps: list[Callable[[Any], object]]) -> list[object]:
        cursor = self.con.execute("select * from t order by id")
        seen: list[object] = []
        for step in steps:
            for factory in (str, bytes):  # bytes takes the row that failed
                self.con.text_factory = factory
                try:
                    seen.append(step(cursor))
                except Exception as error:
                    seen.append((type(error).__name__, str(error)))
        return seen


def plain(thing: Any) -> str:
    """A text of rows in which the classes `Row` of both modules look alike."""
    if isinstance(thing, list):
        return f"[{', '.join(map(plain, thing))}]"
    return f"Row {dict(thing)!r}" if type(thing).__name__ == "Row" else repr(thing)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="2026-11-21: the stdlib decodes a row ahead there")
@pytest.mark.parametrize("bad", [(0,), (7,), (19,), (7, 8), (2, 7, 19)])
@pytest.mark.parametrize("factory", [None, "Row", "function"])
@pytest.mark.parametrize("first", WAYS)
def test_the_row_that_fails_to_decode_stays_current(bad: tuple[int, ...], factory: str | None, first: str) -> None:
    seen = []
    for module in (libsql_core, stdlib):
        twin = Undecodable(module, bad)
        if factory == "Row":
            twin.con.row_factory = module.Row
        elif factory:
            twin.con.row_factory = lambda cursor, row: list(row)
        outcome = twin.outcome([WAYS[first], lambda c: c.fetchone(), WAYS[first], lambda c: c.fetchall()])
        seen.append(plain(outcome))
        twin.con.close()
    assert seen[0] == seen[1]
    assert "Could not decode to UTF-8 column" in seen[0]


def test_a_failing_row_factory_loses_only_its_row() -> None:
    seen = []
    for module in (libsql_core, stdlib):
        con = module.connect(":memory:")
        cursor = con.execute("select value from json_each('[1, 2, 3, 4, 5]')")
        cursor.row_factory = lambda cursor, row: 12 // (row[0] - 2)
        outcome: list[object] = [cursor.fetchone()]
        for _ in range(2):
            try:
                outcome.append(cursor.fetchall())
            except ZeroDivisionError as error:
                outcome.append(type(error))
        seen.append(outcome)
        con.close()
    assert seen[0] == [-12, ZeroDivisionError, [12, 6, 4]]
    assert seen[0] == seen[1] or sys.version_info < (3, 11)


def test_an_error_while_stepping_comes_after_the_rows_before_it() -> None:
    seen = []
    for module in (libsql_core, stdlib):
        con = module.connect(":memory:")
        con.create_function("f", 1, lambda x: 1 // (5 - x))
        sql = "select value, f(value) from json_each('[1, 2, 3, 4, 5, 6]')"
        outcomes = []
        for fetch in (one_by_one, list, in_parts(2), lambda cursor: cursor.fetchall()):
            cursor = con.execute(sql)
            rows: list[object] = [cursor.fetchone()]
            try:
                rows.append(fetch(cursor))
            except module.OperationalError as error:
                rows.append(str(error))
            rows.append(cursor.fetchall())
            outcomes.append(rows)
        seen.append(outcomes)
        con.close()
    assert seen[0] == seen[1]
    assert seen[0][0][1] == "user-defined function raised exception"


def test_description_follows_the_schema(file: Any) -> None:
    con, other = file.connect(), file.connect()

    def names(cursor: Any) -> list[str]:
        return [column[0] for column in cursor.description]

    sql = "select * from t where id < 3"
    cursor = con.execute(sql)
    assert (names(cursor), cursor.fetchall()) == (["id", "x"], [(1, "a"), (2, "b")])
    other.execute("alter table t add column y default 'new'")
    again = con.execute(sql)
    assert (names(again), again.fetchall()) == (["id", "x", "y"], [(1, "a", "new"), (2, "b", "new")])
    assert names(cursor) == ["id", "x"]
    other.execute("alter table t rename column x to z")
    con.row_factory = libsql_core.Row
    row = con.execute(sql).fetchone()
    assert dict(row) == {"id": 1, "z": "a", "y": "new"}
    other.execute("alter table t drop column y")
    other.execute("alter table t rename column z to x")
    assert con.execute(sql).fetchone().keys() == ["id", "x"]
    file.close()
    file.check()


def test_the_rows_of_a_running_select_survive_changes(con: libsql_core.Connection) -> None:
    for action in (con.commit, con.rollback, lambda: con.execute("create table other(x)")):
        cursor = con.execute("select id from t order by id")
        rows = [cursor.fetchone()]
        action()
        assert rows + cursor.fetchall() == [(1,), (2,), (3,)]


def count(*types: type) -> int:
    gc.collect()
    return sum(isinstance(thing, types) for thing in gc.get_objects())


def cycle_by_closure(con: libsql_core.Connection) -> None:
    cursor = con.cursor()
    con.row_factory = lambda cur, row: (cursor, con, row)
    cursor.execute("select 1 union select 2").fetchone()


def cycle_by_method(con: libsql_core.Connection) -> None:
    class Own(libsql_core.Cursor):
        def make(self, cursor: object, row: object) -> object:
            return self, row

    cursor = Own(con)
    cursor.row_factory = cursor.make
    cursor.execute("select 1 union select 2").fetchone()


def cycle_by_itself(con: Any) -> None:
    cursor = con.cursor()
    cursor.row_factory = cursor
    con.text_factory = con


def cycle_by_function(con: Any) -> None:
    con.create_function("f", 1, lambda x: con)
    con.create_collation("c", lambda a, b: con is None)
    con.set_trace_callback(lambda sql: con)
    con.set_progress_handler(lambda: con is None, 1000)
    con.set_authorizer(lambda *_: 0 if con else 1)
    con.execute("select 1").fetchone()


@pytest.mark.parametrize("tie", [cycle_by_closure, cycle_by_method, cycle_by_itself])
def test_cycles_are_collected(tie: Callable[[libsql_core.Connection], None]) -> None:
    before = count(libsql_core.Connection, libsql_core.Cursor)
    for _ in range(20):
        con = libsql_core.connect(":memory:")
        tie(con)
        con.close()
        del con
    assert count(libsql_core.Connection, libsql_core.Cursor) == before


def test_registered_callbacks_let_go_at_close() -> None:
    before = count(libsql_core.Connection)
    for _ in range(20):
        con = libsql_core.connect(":memory:")
        cycle_by_function(con)
        con.close()
        del con
    assert count(libsql_core.Connection) == before


def test_no_leak_over_many_connections(tmp_path: Path) -> None:
    def work() -> None:
        con = libsql_core.connect(tmp_path / "many.db")
        con.execute("create table if not exists t(id integer primary key, x)")
        with con:
            con.executemany("insert into t(x) values (?)", [("x" * 100,)] * 5)
        cursor = con.execute("select * from t")
        cursor.fetchmany(2)
        con.row_factory = libsql_core.Row
        row = con.execute("select * from t").fetchone()
        blob = con.blobopen("t", "x", 1)
        statement = con("select 5")
        with pytest.raises(libsql_core.OperationalError):
            con.execute("select nothing")
        con.close()
        del con, cursor, row, blob, statement

    def known() -> tuple[int, int]:
        files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        return len(gc.get_objects()), files

    for _ in range(20):
        work()
    gc.collect()
    objects, files = known()
    for _ in range(100):
        work()
    gc.collect()
    assert known()[1] == files
    assert known()[0] < objects + 50
