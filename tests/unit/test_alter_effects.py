"""What ALTER COLUMN does beyond the text: old rows, indexes, sqlite_sequence, PRAGMA libsql_alter_check."""

from __future__ import annotations

from typing import Any

import pytest

import libsql_core
from libsql_core import IntegrityError, OperationalError


def test_rows_stay_and_new_ones_obey(db: Any) -> None:
    db.execute("create table t(a, b)")
    db.executemany("insert into t values (?, ?)", [(1, None), (2, "x")])
    db.execute("create table p(x primary key)")
    db.execute("pragma foreign_keys=on")
    db.execute("alter table t alter column b to b text not null default 'd' check(b <> 'y') references p(x)")
    assert db.rows("select * from t") == [(1, None), (2, "x")]
    assert db.rows("pragma foreign_key_check") == [("t", 2, "p", 0)]
    for value, message in [
        (None, "NOT NULL constraint failed: t.b"),
        ("y", "CHECK constraint failed: b <> 'y'"),
        ("z", "FOREIGN KEY constraint failed"),
    ]:
        with pytest.raises(IntegrityError) as caught:
            db.execute("insert into t values (3, ?)", (value,))
        assert str(caught.value) == message
    db.execute("insert into p values ('d')")
    db.execute("insert into t(a) values (3)")
    assert db.rows("select b from t where a = 3") == [("d",)]
    db.execute("alter table t alter column b to b")
    db.execute("insert into t values (4, null), (5, 'y')")
    assert db.rows("select name, type, dflt_value, [notnull] from pragma_table_info('t')") == [
        ("a", "", None, 0), ("b", "", None, 0),
    ]  # fmt: skip
    db.sound()


@pytest.mark.parametrize("without", ["", " without rowid"])
def test_rows_older_than_the_column_keep_what_they_read(db: Any, without: str) -> None:
    fired: list[object] = []
    db.create_function("fired", 1, lambda value: fired.append(value))
    db.execute("create table t(id text primary key, virtual as (id || '!'), b)" + without)
    db.execute("insert into t values ('old', 2), ('older', 3)")
    db.execute("create trigger tt after update on t begin select fired(old.id); end")
    for column in ("c default 7", "d real default 8", "e", "f text default 9"):
        db.execute(f"alter table t add column {column}")
    db.execute("create index ti on t(c, d, e)")
    db.execute("insert into t values ('new', 3, 4, 5, null, 6)")
    expected = [("new", 4, 5.0, None, "6"), ("old", 7, 8.0, None, "9"), ("older", 7, 8.0, None, "9")]
    query = "select id, c, d, e, f from t order by id"
    for definition in ("c default 70", "e default 1", "d integer default 8", "f default 9", "c", "b default 1"):
        changes = db.total_changes
        db.execute(f"alter table t alter column {definition[0]} to {definition}")
        assert (db.rows(query), db.total_changes) == (expected, changes), definition
    assert [type(row[2]) for row in db.rows(query)] == [float, float, float]
    db.execute("insert into t(id) values ('newest')")
    assert db.rows("select c, d, e, f, b from t where id = 'newest'") == [(None, 8, 1, 9, 1)]
    assert not fired
    db.sound()


def test_only_short_rows_are_written(db: Any) -> None:
    db.execute("create table t(a)")
    db.executemany("insert into t values (?)", [(i,) for i in range(500)])
    db.execute("alter table t add column b default 1")
    db.executemany("insert into t values (?, null)", [(i,) for i in range(500, 520)])
    db.execute("alter table t alter column b to b default 2")
    assert db.rows("select b, count(*) from t group by b") == [(None, 20), (1, 500)]
    db.sound()


@pytest.mark.parametrize(
    ("before", "after"), [("b", "b collate nocase"), ("b collate nocase", "b"), ("b collate rtrim", "b collate nocase")]
)
def test_a_new_collation_rebuilds_indexes(db: Any, before: str, after: str) -> None:
    db.execute(f"create table t(a, {before}, unique(b, a))")
    db.execute("create index i on t(b)")
    db.execute("create index j on t(a) where b = 'x'")
    db.execute("create index k on t(b > 'm')")
    db.executemany("insert into t values (?, ?)", enumerate(["x", "X", "y", "x ", "A", "b"]))
    db.execute(f"alter table t alter column b to {after}")
    db.sound()
    collation = (after + " binary").split()[2 if "collate" in after else 1]
    for value in ("x", "X", "a"):
        by_index = db.rows("select a from t indexed by i where b = ?", value)
        assert sorted(by_index) == db.rows(f"select a from t not indexed where b = ? collate {collation}", value)


def test_a_new_type_rebuilds_what_is_computed_from_it(db: Any) -> None:
    db.execute("create table t(a real, b as (a || ''))")
    db.execute("create index i on t(b)")
    db.execute("create index j on t(a > '5')")
    db.execute("insert into t(a) values (7), (10), (0.5)")
    db.execute("alter table t alter column a to a")
    db.sound()
    db.execute("alter table t alter column b to b as (a || '?')")
    assert db.rows("select count(*) from t indexed by i where b like '%?'") == [(3,)]
    db.sound()


def test_a_unique_index_that_cannot_be_rebuilt(db: Any) -> None:
    db.execute("create table t(a, b)")
    db.execute("create unique index i on t(b)")
    db.execute("insert into t values (1, 'x'), (2, 'X')")
    db.execute("begin")
    db.execute("insert into t values (3, 'y')")
    db.refused("alter table t alter column b to b collate nocase", "UNIQUE constraint failed: t.b",
            libsql_core.SQLITE_CONSTRAINT_UNIQUE)  # fmt: skip
    assert db.in_transaction
    db.execute("insert into t values (4, 'Y')")
    db.execute("commit")
    assert db.rows("select count(*) from t") == [(4,)]
    db.sound()


@pytest.mark.parametrize("schema", ["main", "temp"])
def test_autoincrement_makes_its_table(db: Any, schema: str) -> None:
    db.execute(f"create table {schema}.t(a integer primary key, b)")
    db.execute(f"insert into {schema}.t values (5, 1)")
    db.execute("alter table t alter column a to a integer primary key autoincrement")
    db.execute("insert into t(b) values (2)")
    db.execute("delete from t where b = 2")
    db.execute("insert into t(b) values (3)")
    assert db.rows("select a from t") == [(5,), (7,)]
    assert db.rows(f"select * from {schema}.sqlite_sequence") == [("t", 7)]
    db.execute("alter table t alter column a to a integer primary key")
    db.execute("delete from t where b = 3")
    db.execute("insert into t(b) values (4)")
    assert db.rows("select a from t") == [(5,), (6,)]
    db.sound()


def test_a_column_that_would_depend_on_itself(db: Any) -> None:
    db.execute("create table t(a, b as (a), c as (b))")
    db.execute("insert into t values (1)")
    db.refused("alter table t alter column b to b as (c)", 'generated column loop on "c"')
    assert db.rows("select * from t") == [(1, 1, 1)]


def test_the_pragma(db: Any) -> None:
    cursor = db.execute("pragma libsql_alter_check")
    assert cursor.description[0][0] == "libsql_alter_check"
    assert cursor.fetchall() == [(0,)]
    for value, after in [("on", 1), ("off", 0), ("1", 1), ("no", 0), ("true", 1)]:
        assert db.rows(f"pragma main.libsql_alter_check={value}") == []
        assert db.rows("PRAGMA Libsql_Alter_Check") == [(after,)]
    other = libsql_core.connect(":memory:")
    assert other.execute("pragma libsql_alter_check").fetchall() == [(0,)]
    other.close()
    assert db.rows("pragma libsql_nosuch") == []


CHECKED = [
    ("t(a, b)", "b not null", None, "NOT NULL constraint failed: t.b", 1299),
    ("t(a, b)", "b check(b <> 'x')", "x", "CHECK constraint failed: t.b: b <> 'x'", 275),
    ("t(a, b)", "b default (5) constraint [is y] check(b>0) constraint z check ( length(b)>1 )", "x",
     "CHECK constraint failed: t.b: z", 275),
    ("t(a, b)", "b references p", "x", "FOREIGN KEY constraint failed: t.b", 787),
    ("t(a, b)", "b references nosuch", "x", "FOREIGN KEY constraint failed: t.b", 787),
    ("t(a int, b any) strict", "b int", "x", "cannot store TEXT value in INT column t.b", 3091),
    ("t(a int, b any) strict", "b blob", 5, "cannot store INTEGER value in BLOB column t.b", 3091),
    ("t(a int, b any) strict", "b integer", 5.5, "cannot store REAL value in INTEGER column t.b", 3091),
]  # fmt: skip


@pytest.mark.parametrize(("table", "definition", "value", "message", "code"), CHECKED)
def test_rows_are_checked_when_asked(
    db: Any, table: str, definition: str, value: object, message: str, code: int
) -> None:
    db.execute(f"create table {table}")
    db.execute("create table p(x primary key)")
    db.execute("insert into p values ('y')")
    sql = f"alter table t alter column b to {definition}"
    db.execute("pragma libsql_alter_check=on")
    db.execute(sql)
    db.execute("drop table t")
    db.execute(f"create table {table}")
    db.execute("insert into t values (1, ?)", (value,))
    db.execute("begin")
    db.refused(sql, message, code)
    db.execute("insert into t values (2, 'other')")
    db.execute("commit")
    db.refused(sql, message, code)
    db.execute("pragma libsql_alter_check=off")
    db.execute(sql)
    assert db.rows("select * from t") == [(1, value), (2, "other")]


def test_rows_that_pass_the_check(db: Any) -> None:
    db.execute("create table t(a int, b any, c real) strict")
    db.execute("create table p(x primary key)")
    db.execute("insert into p values (5)")
    db.execute("insert into t values (1, 5, 5), (2, null, null)")
    db.execute("pragma libsql_alter_check=on")
    db.execute("alter table t alter column b to b int default 1 check(b > 0) references p(x)")
    db.execute("alter table t alter column c to c real")
    db.execute("alter table t alter column a to a real not null")
    assert db.rows("select * from t") == [(1.0, 5, 5.0), (2.0, None, None)]
    db.sound()


def test_interrupt(db: Any) -> None:
    db.execute("create table t(a)")
    db.executemany("insert into t values (?)", [(i,) for i in range(3000)])
    db.execute("alter table t add column b default 1")
    db.execute("create index i on t(a)")
    left = [0]

    def handler() -> bool:
        left[0] -= 1
        return left[0] < 0

    for n in (0, 1, 5, 20, 60):
        left[0] = n
        db.set_progress_handler(handler, 100)
        with pytest.raises(OperationalError, match="interrupted"):
            db.execute("alter table t alter column a to a text default 1")
        db.set_progress_handler(None, 0)
        assert db.text() == "CREATE TABLE t(a, b default 1)"
        db.sound()


def test_no_room(db: Any) -> None:
    db.execute("create table t(a, b text)")
    db.executemany("insert into t values (?, ?)", [(i, str(i) * 50) for i in range(2000)])
    for column in "cdefg":
        db.execute(f"alter table t add column {column} default 'a rather long default'")
    db.execute("create index i on t(b)")
    pages = db.rows("pragma page_count")[0][0]
    before = db.rows("select * from t")
    for transaction in ("", "begin"):
        db.execute(transaction)
        for room in range(0, 24, 8):
            db.execute(f"pragma max_page_count={pages + room}")
            db.refused(
                "alter table t alter column g to g collate nocase",
                "database or disk is full",
                libsql_core.SQLITE_FULL,
            )
            assert db.rows("select * from t") == before
            db.sound()
    db.execute("pragma max_page_count=100000")
    db.execute("alter table t alter column g to g collate nocase")
    assert db.rows("select * from t") == before
    db.sound()
