"""The statement cache, statements in two cursors at once, and what transaction control does around them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

import libsql_core
from libsql_core import LEGACY_TRANSACTION_CONTROL as LEGACY


def compiled(con: libsql_core.Connection) -> Iterator[int]:
    """Count compilations since the last time asked: the authorizer is asked once for each SELECT."""
    seen: list[int] = []

    def note(action: int, *_: object) -> int:
        if action == libsql_core.SQLITE_SELECT:
            seen.append(action)
        return libsql_core.SQLITE_OK

    con.set_authorizer(note)
    while True:
        count = len(seen)
        seen.clear()
        yield count


@pytest.fixture(params=[0, 1, 2, 5, 128, -1])
def cached(request: pytest.FixtureRequest) -> Iterator[tuple[int, libsql_core.Connection]]:
    con = libsql_core.connect(":memory:", cached_statements=request.param)
    yield request.param, con
    con.close()


def test_each_statement_is_compiled_once_while_it_is_cached() -> None:
    con = libsql_core.connect(":memory:", cached_statements=3)
    count = compiled(con)
    next(count)
    for sql, expected in (
        ("select 1", 1), ("select 1", 0), ("select 2", 1), ("select 3", 1), ("select 1", 0),
        ("select 4", 1),  # in the place of `select 2`, which was used longest ago
        ("select 1", 0), ("select 3", 0), ("select 2", 1), ("select 4", 1), ("select  2", 1),
    ):  # fmt: skip
        assert con.execute(sql).fetchall() == [(int(sql.split()[1]),)]
        assert next(count) == expected, sql
    con.close()


def test_without_a_cache_each_execute_compiles() -> None:
    con = libsql_core.connect(":memory:", cached_statements=0)
    count = compiled(con)
    next(count)
    for _ in range(3):
        assert con.execute("select 1").fetchall() == [(1,)]
        assert next(count) == 1
    con.close()


def test_random_statements_with_any_size_of_cache(cached: tuple[int, libsql_core.Connection]) -> None:
    """Cursors stop half-way, die, are closed and reused; each still gives its own statement's rows."""
    size, con = cached
    rng = random.Random(size)
    con.execute("create table t(x)")
    con.executemany("insert into t values (?)", [(i,) for i in range(5)])
    running: list[tuple[int, int, Any]] = []
    for _ in range(600):
        n = rng.randrange(8)
        cursor = con.execute(f"select x + {n} from t order by x")
        running.append((n, 0, cursor))
        n, at, cursor = running.pop(rng.randrange(len(running)))
        action = rng.randrange(6)
        if action == 0:
            cursor.close()
        elif action == 1:
            assert cursor.fetchall() == [(i + n,) for i in range(at, 5)]
        elif action == 2:
            assert cursor.execute("select ?", (n,)).fetchall() == [(n,)]
        elif action == 3:
            con.commit()
            assert con.execute("insert into t select 1 where ?", (0,)).rowcount == 0
        elif at < 5:
            assert cursor.fetchone() == (at + n,)
            running.append((n, at + 1, cursor))
    con.commit()
    for n, at, cursor in running:
        assert cursor.fetchall() == [(i + n,) for i in range(at, 5)]


def test_one_statement_in_two_cursors(con: libsql_core.Connection) -> None:
    sql = "select id from t where id > ? order by id"
    first, second = con.execute(sql, (0,)), con.execute(sql, (1,))
    assert [first.fetchone(), second.fetchone(), first.fetchone(), second.fetchone()] == [(1,), (2,), (2,), (3,)]
    third = con.execute(sql, (2,))
    first.close()
    assert [second.fetchone(), third.fetchone()] == [None, (3,)]
    assert [con.execute(sql, (i,)).fetchall() for i in (0, 3)] == [[(1,), (2,), (3,)], []]


def test_parameters_of_an_earlier_run_do_not_stay(con: libsql_core.Connection) -> None:
    sql = "select ?, ?, ?"
    assert con.execute(sql, ("text", b"blob", 5)).fetchone() == ("text", b"blob", 5)
    assert con.execute(sql, (None, None, None)).fetchone() == (None, None, None)
    with pytest.raises(libsql_core.ProgrammingError):
        con.execute(sql, (1, 2))
    with pytest.raises(OverflowError):
        con.execute(sql, ("new text", 2**70, 1))
    assert con.execute(sql, (1, 2.5, "x")).fetchone() == (1, 2.5, "x")


def test_a_cursor_made_anew_lets_go_of_its_statement(file: Any) -> None:
    con, other = file.connect(), file.connect(timeout=0)
    cursor = con.execute("select * from t")
    cursor.fetchone()
    cursor.close()
    other.execute("insert into t values (4, 'd')")
    other.commit()
    cursor = con.execute("select * from t")
    del cursor
    other.execute("insert into t values (5, 'e')")
    other.commit()
    file.close()
    file.check((4, "d"), (5, "e"))


def test_statements_outlive_a_failing_close_never(con: libsql_core.Connection) -> None:
    cursor = con.execute("select id from t")
    statement = con("select 1")
    con.close()
    with pytest.raises(libsql_core.ProgrammingError, match=r"^Cannot operate on a closed database\.$"):
        cursor.fetchone()
    del cursor, statement


@pytest.mark.parametrize(
    ("control", "level", "expected"),
    [
        # what in_transaction says after: connect, select, insert, commit, insert, rollback, create table
        (LEGACY, "", [False, False, True, False, True, False, False]),
        (LEGACY, "IMMEDIATE", [False, False, True, False, True, False, False]),
        (LEGACY, "EXCLUSIVE", [False, False, True, False, True, False, False]),
        (LEGACY, None, [False] * 7),
        (True, "", [False] * 7),
        (False, "", [True] * 7),
        (False, None, [True] * 7),
    ],
)
def test_transaction_control(file: Any, control: Any, level: str | None, expected: list[bool]) -> None:
    con = file.connect(autocommit=control, isolation_level=level)
    seen = [con.in_transaction]
    for action in (
        lambda: con.execute("select 1").fetchall(),
        lambda: con.execute("insert into t values (4, 'd')"),
        con.commit,
        lambda: con.execute("insert into t values (5, 'e')"),
        con.rollback,
        lambda: con.execute("create table u(x)"),
    ):
        action()
        seen.append(con.in_transaction)
    assert seen == expected
    con.close()
    rolled_back = control is False or (control == LEGACY and level is not None and control is not True)
    file.check((4, "d")) if rolled_back else file.check((4, "d"), (5, "e"))


@pytest.mark.parametrize("control", [LEGACY, True, False])
def test_with_and_transaction_control(file: Any, control: Any) -> None:
    con = file.connect(autocommit=control)
    with con:
        con.execute("insert into t values (4, 'd')")

    def fail(*statements: str) -> None:
        with con:
            for sql in statements:
                con.execute(sql)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail("insert into t values (5, 'e')")
    with pytest.raises(libsql_core.IntegrityError):
        fail("insert into t values (6, 'f')", "insert into t values (6, 'again')")
    con.close()
    if control is True:  # `with` leaves transactions alone
        file.check((4, "d"), (5, "e"), (6, "f"))
    else:
        file.check((4, "d"))


def test_switching_the_transaction_control(file: Any) -> None:
    con = file.connect(autocommit=False)
    con.execute("insert into t values (4, 'd')")
    con.autocommit = True  # commits
    assert (con.autocommit, con.in_transaction) == (True, False)
    con.execute("insert into t values (5, 'e')")
    con.autocommit = False  # begins
    assert (con.autocommit, con.in_transaction) == (False, True)
    con.execute("insert into t values (6, 'lost')")
    con.autocommit = LEGACY  # changes nothing yet
    assert (con.autocommit, con.in_transaction) == (LEGACY, True)
    con.rollback()
    con.execute("insert into t values (7, 'g')")
    con.isolation_level = None  # commits
    assert not con.in_transaction
    con.close()
    file.check((4, "d"), (5, "e"), (7, "g"))


def test_a_failing_commit_is_not_forgotten(file: Any) -> None:
    reader, writer = file.connect(), file.connect(timeout=0)
    cursor = reader.execute("select * from t")
    cursor.fetchone()
    writer.execute("insert into t values (4, 'd')")
    for _ in range(2):
        with pytest.raises(libsql_core.OperationalError) as caught:
            writer.commit()
        assert (str(caught.value), caught.value.sqlite_errorname) == ("database is locked", "SQLITE_BUSY")
        assert writer.in_transaction
    cursor.fetchall()
    writer.commit()
    file.close()
    file.check((4, "d"))


def test_a_cursor_initialised_anew_gives_its_statement_back() -> None:
    con = libsql_core.connect(":memory:")
    con.execute("create table t(a)")
    con.executemany("insert into t values (?)", [(1,), (2,), (3,)])
    con.commit()
    cursor = con.execute("select a from t")
    assert cursor.fetchone() == (1,)
    cursor.__init__(con)  # type: ignore[misc]
    con.execute("drop table t")  # locked while a statement reads it
    assert cursor.fetchall() == []
    con.close()
