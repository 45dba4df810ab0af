"""ALTER TABLE ... ALTER COLUMN c TO <definition>: text, refusals, what it does beyond the text."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

import libsql_core
from libsql_core import DatabaseError, IntegrityError, OperationalError

REWRITTEN = [
    ("t(id, v)", "v TO v int", "t(id, v int)"),
    ("t(id, v)", "id TO id int", "t(id int, v)"),
    ("t(id, v text not null default 1)", "v TO v", "t(id, v)"),
    ("t(v)", "v TO v int", "t(v int)"),
    ("t ( id  /* c1 */ ,  v  -- c2\n , w )", "v TO v   INT  /* new */  DEFAULT   5 -- gone",
     "t ( id  /* c1 */ ,  v   INT  /* new */  DEFAULT   5  -- c2\n , w )"),
    ("t(a/*x*/,b--y\n)", "a TO a int /* gone */ ", "t(a int/*x*/,b--y\n)"),
    ("t(a/*x*/,b--y\n)", "b TO b int", "t(a/*x*/,b int--y\n)"),
    ("t(id, v)", 'v TO "v" int', 't(id, "v" int)'),
    ("t(id, [v])", "V TO `v` int", "t(id, `v` int)"),
    ("t(id, v)", "'v' TO 'v' int", "t(id, 'v' int)"),
    ("t(a, b)", "a TO a int default ','", "t(a int default ',', b)"),
    ("t(a, b)", "a TO a default ')' -- x\n check(a in (1, 2, ')'))",
     "t(a default ')' -- x\n check(a in (1, 2, ')')), b)"),
    ("t(a decimal(10,2) default ',)' check(a in (1,2)), b)", "a TO a int", "t(a int, b)"),
    ("t(b /* has , comma ) */ int, c)", "b TO b text", "t(b text, c)"),
    ('t("a,b)" int, [c,d)] int)', '"c,d)" TO [c,d)]', 't("a,b)" int, [c,d)])'),
    ("t(a, b, unique(a, b), check(a > 1))", "b TO b int", "t(a, b int, unique(a, b), check(a > 1))"),
    ("t(a, b, constraint x primary key(a)) without rowid", "b TO b int",
     "t(a, b int, constraint x primary key(a)) without rowid"),
    ("t(a int, b text) strict", "b TO b any", "t(a int, b any) strict"),
    ("t(a int, b text) random rowid", "b TO b any", "t(a int, b any) random rowid"),
    ("t(a, b as (a + 1), c)", "c TO c int", "t(a, b as (a + 1), c int)"),
    ("t(a, b as (a + 1), c)", "b TO b int as (a + 2) virtual", "t(a, b int as (a + 2) virtual, c)"),
    ("t(a, b as (a + 1) stored, c)", "b TO b int as (a+1) stored", "t(a, b int as (a+1) stored, c)"),
    ("t(a, b)", "b TO b not null on conflict ignore not null default 1 default 2",
     "t(a, b not null on conflict ignore not null default 1 default 2)"),
    ("t(a, b)", "b TO b constraint x check(b > 0) constraint y", "t(a, b constraint x check(b > 0) constraint y)"),
    ("t(a, b)", "b TO b references p(x) on delete cascade deferrable initially deferred",
     "t(a, b references p(x) on delete cascade deferrable initially deferred)"),
    ("t(a text primary key, b)", "a TO a text primary key unique on conflict replace",
     "t(a text primary key unique on conflict replace, b)"),
    ("t(a text primary key)", "a TO a blob primary key", "t(a blob primary key)"),
    ("t(a, b, primary key(a))", "a TO a text", "t(a text, b, primary key(a))"),
    ("t(a, b, unique(a))", "a TO a text", "t(a text, b, unique(a))"),
    ("t(über, 数)", "数 TO 数 int default 'é'", "t(über, 数 int default 'é')"),
]  # fmt: skip


@pytest.mark.parametrize("verb", ["ALTER COLUMN", "alter"])
@pytest.mark.parametrize(("before", "definition", "after"), REWRITTEN)
def test_text(db: Any, before: str, definition: str, after: str, verb: str) -> None:
    db.execute(f"CREATE TABLE {before}")
    version = db.rows("pragma schema_version")[0][0]
    cursor = db.execute(f"ALTER TABLE t {verb} {definition}")
    assert cursor.description is None
    assert db.text() == f"CREATE TABLE {after}"
    assert db.rows("pragma schema_version") == [(version + 1,)]
    db.sound()


@pytest.mark.parametrize(
    ("sql", "after"),
    [
        ("alter column to column int", "t(column int, 'to', key)"),
        ("alter column column to column int", "t(column int, 'to', key)"),
        ("alter key to key int", "t(column, 'to', key int)"),
        ("alter column key to key int", "t(column, 'to', key int)"),
        ("alter 'to' to \"to\" int", 't(column, "to" int, key)'),
    ],
)
def test_names_that_are_keywords(db: Any, sql: str, after: str) -> None:
    db.execute("CREATE TABLE t(column, 'to', key)")
    db.execute("alter table t " + sql)
    assert db.text() == f"CREATE TABLE {after}"


def test_a_check_may_name_a_function_to_come(db: Any) -> None:
    db.execute("create table t(a)")
    db.execute("alter table t alter column a to a check(later(a))")
    with pytest.raises(OperationalError, match="later"):
        db.execute("insert into t values (1)")
    db.create_function("later", 1, lambda value: value > 0)
    db.execute("insert into t values (1)")


def test_text_of_create_table_as(db: Any) -> None:
    db.execute("create table t as select 1 a, 2 b")
    db.execute("alter table t alter column a to a text")
    assert db.text() == "CREATE TABLE t(a text,b)"


SYNTAX = [
    ("v TO", "incomplete input"),
    ("v TO ;", 'near ";": syntax error'),
    ("v TO 1", 'near "1": syntax error'),
    ("v TO v 1", 'near "1": syntax error'),
    ("v TO v int, w int", 'near ",": syntax error'),
    ("v TO v int)", 'near ")": syntax error'),
    ("v TO v check(", "incomplete input"),
    ("v TO v check(v > 1", "incomplete input"),
    ("v TO v check(v > 1;", 'near ";": syntax error'),
    ("v TO v check(1 1, 2", 'near "1": syntax error'),
    ("v TO v constraint", "incomplete input"),
    ("v TO v default", "incomplete input"),
    ("v TO v references x(y) text", 'near "text": syntax error'),
    ("v TO v default x'12", "unrecognized token: \"x'12\""),
    ("v TO v default 'x", "unrecognized token: \"'x\""),
    ("v TO v default ?", 'near "?": syntax error'),
    ("v TO v int autoincrement", 'near "autoincrement": syntax error'),
    ("v TO v default (id)", "default value of column [v] is not constant"),
    ("v TO v check(nosuch > 1)", "no such column: nosuch"),
    ("v TO v check(v > ?1)", "parameters prohibited in CHECK constraints"),
    ("v TO v check(v > (select 1))", "subqueries prohibited in CHECK constraints"),
    ("v TO v references x(a, b)", "foreign key on v should reference only one column of table x"),
    ("v TO v check(count(*) > 1)", "error in table t after rename: misuse of aggregate function count()"),
    ("v TO v check(row_number() over () > 1)", "error in table t after rename: misuse of window function row_number()"),
    ("v TO v check(sqlite_fail('a', 1))", "no such function: sqlite_fail"),
    ("v TO v default (libsql_alter_column(1, 2, 3, 4, 5))", "no such function: libsql_alter_column"),
    ('v TO v check(v <> "s")',
     'error in table t after update: no such column: "s" - should this be a string literal in single-quotes?'),
    ("id TO id primary key", "error in adding id primary key to t: PRIMARY KEY constraint cannot be altered"),
    ("id TO id UNIQUE", "error in adding id UNIQUE to t: UNIQUE constraint cannot be altered"),
    ("id TO id AS (v)", "error in adding id AS (v) to t: GENERATED constraint cannot be altered"),
    ("id TO id2", 'UPDATE cannot also rename column: "id" to "id2". Use ALTER TABLE RENAME instead'),
    ('"id" TO [id2] int', 'UPDATE cannot also rename column: ""id"" to "[id2]". Use ALTER TABLE RENAME instead'),
    ("nope TO nope", 'no such column: "nope"'),
    ("rowid TO rowid", 'no such column: "rowid"'),
    ("v int, w TO v", 'near "int": syntax error'),
    ("v.w TO v", 'near ".": syntax error'),
]  # fmt: skip


@pytest.mark.parametrize(("definition", "message"), SYNTAX)
def test_refused(db: Any, definition: str, message: str) -> None:
    db.execute("create table t(id, v)")
    db.execute("insert into t values (1, 2)")
    for transaction in ("", "begin"):
        db.execute(transaction)
        db.refused(f"alter table t alter column {definition}", message)
        assert db.rows("select * from t") == [(1, 2)]
        db.sound()
    db.execute("commit")


REFUSED_TABLES = [
    ("t(id integer primary key)", "id TO id", "PRIMARY KEY constraint"),
    ("t(id integer primary key)", "id TO id int primary key", "UNIQUE constraint"),
    ("t(id integer primary key)", "id TO id integer primary key desc", "UNIQUE constraint"),
    ("t(a text primary key)", "a TO a text", "PRIMARY KEY constraint"),
    ("t(a text primary key) without rowid", "a TO a text", "PRIMARY KEY constraint"),
    ("t(a text primary key) without rowid", "a TO a text collate nocase primary key",
     "collation of a WITHOUT ROWID key"),
    ("t(a, b, primary key(a)) without rowid", "a TO a collate nocase", "collation of a WITHOUT ROWID key"),
    ("t(a unique)", "a TO a", "UNIQUE constraint"),
    ("t(a integer, primary key(a))", "a TO a text", "PRIMARY KEY constraint"),
    ("t(a text, primary key(a))", "a TO a integer", "PRIMARY KEY constraint"),
    ("t(a unique, unique(a collate nocase))", "a TO a collate nocase unique", "UNIQUE constraint"),
    ("t(a collate nocase unique, unique(a collate nocase))", "a TO a unique", "UNIQUE constraint"),
    ("t(a, b as (a))", "b TO b", "GENERATED constraint"),
    ("t(a, b as (a))", "b TO b as (a) stored", "GENERATED constraint"),
    ("t(a not null, b as (a is null) stored)", "b TO b as (a is not null) stored", "expression of a STORED column"),
]  # fmt: skip


@pytest.mark.parametrize("writable", ["off", "on"])
@pytest.mark.parametrize(("table", "definition", "what"), REFUSED_TABLES)
def test_what_another_btree_would_need(db: Any, table: str, definition: str, what: str, writable: str) -> None:
    db.execute(f"create table {table}")
    db.execute(f"pragma writable_schema={writable}")
    db.refused(f"alter table t alter column {definition}",
        f"error in adding {definition.partition(' TO ')[2]} to t: {what} cannot be altered",
    )
    db.sound()


def test_other_objects(db: Any, tmp_path: Path) -> None:
    db.executescript("""
        create table t(a integer primary key autoincrement, b);
        create view w as select * from t;
        create virtual table f using fts5(x);
        analyze;
    """)
    for target, message in [
        ("nope alter column a to a", "no such table: nope"),
        ("temp.t alter column a to a", "no such table: temp.t"),
        ("zz.t alter column a to a", "no such table: zz.t"),
        ("x.y.t alter column a to a", 'near ".": syntax error'),
        ("sqlite_master alter column sql to sql", "table sqlite_master may not be altered"),
        ("sqlite_stat1 alter column tbl to tbl", "table sqlite_stat1 may not be altered"),
        ("sqlite_sequence alter column name to name", "table sqlite_sequence may not be altered"),
        ("w alter column a to a", 'cannot rename columns of view "w"'),
        ("f alter column x to x", 'cannot rename columns of virtual table "f"'),
    ]:
        db.refused(f"alter table {target}", message)
    db.execute("alter table f_docsize alter column sz to sz text")
    if hasattr(sqlite3, "SQLITE_DBCONFIG_DEFENSIVE"):
        db.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
        db.refused("alter table f_docsize alter column sz to sz", "table f_docsize may not be altered")


def test_strict(db: Any) -> None:
    db.execute("create table t(a int, b any) strict")
    db.refused("alter table t alter column a to a", "missing datatype for t.a")
    db.refused("alter table t alter column a to a foo", 'unknown datatype for t.a: "foo"')
    db.execute("insert into t values (1, 'x')")
    db.execute("alter table t alter column b to b int")
    with pytest.raises(IntegrityError, match=r"cannot store TEXT value in INT column t\.b"):
        db.execute("insert into t values (1, 'x')")
    assert db.rows("pragma integrity_check") == [("non-INT value in t.b",)]


def test_random_rowid_refuses_autoincrement(db: Any) -> None:
    db.execute("create table t(a integer primary key) random rowid")
    db.refused("alter table t alter column a to a integer primary key autoincrement",
        "AUTOINCREMENT not allowed on RANDOM ROWID tables",
    )


def test_transactions(db: Any) -> None:
    db.execute("create table t(a, b)")
    db.execute("begin")
    db.execute("alter table t alter column b to b int")
    db.execute("savepoint s")
    db.execute("alter table t alter column b to b text not null")
    db.execute("insert into t values (1, 2)")
    assert db.rows("select typeof(b) from t") == [("text",)]
    db.execute("rollback to s")
    assert db.text() == "CREATE TABLE t(a, b int)"
    db.execute("insert into t values (1, null)")
    db.execute("rollback")
    assert db.text() == "CREATE TABLE t(a, b)"
    assert db.rows("select * from t") == []


def test_attached_temp_and_utf16(tmp_path: Path, db: Any) -> None:
    db.execute("pragma encoding='UTF-16le'")
    db.execute("attach ? as x", (str(tmp_path / "x.db"),))
    for name in ("main", "temp", "x"):
        db.execute(f"create table {name}.t(é, [b c])")
    for name in ("x", "temp", "main"):
        db.execute(f"insert into {name}.t values (1, '2')")
        db.execute(f"alter table {name}.t add column d default 1")
        db.execute(f"alter table {name}.t alter column 'B C' to [b c] text default 'ü' check([b c] <> '{name}')")
        db.execute(f"alter table {name}.t alter column d to d default 'ü'")
        expected = f"CREATE TABLE t(é, [b c] text default 'ü' check([b c] <> '{name}'), d default 'ü')"
        assert db.text(schema=name) == expected
        assert db.rows(f"select * from {name}.t") == [(1, "2", 1)]
    db.sound()


def test_shared_cache() -> None:
    name = "file:alter_shared?mode=memory&cache=shared"
    one, two = (libsql_core.connect(name, uri=True, isolation_level=None) for _ in range(2))
    one.execute("create table t(a, b)")
    one.execute("insert into t values (1, 2), (3, 4)")
    reader = two.execute("select * from t")
    reader.fetchone()
    with pytest.raises(OperationalError, match="locked"):
        one.execute("alter table t alter column b to b default 5")
    assert reader.fetchall() == [(3, 4)]
    one.execute("alter table t alter column b to b default 5")
    two.execute("insert into t(a) values (6)")
    assert two.execute("select b from t").fetchall() == [(2,), (4,), (5,)]
    two.close()
    one.close()


def test_other_connections_see_it(tmp_path: Path) -> None:
    one, two = (libsql_core.connect(tmp_path / "f.db", isolation_level=None) for _ in range(2))
    one.execute("create table t(a, b)")
    insert = "insert into t(a) values (1)"
    two.execute(insert)
    one.execute("alter table t alter column b to b default 'new'")
    two.execute(insert)
    assert one.execute("select b from t").fetchall() == [(None,), ("new",)]
    plain = sqlite3.connect(tmp_path / "f.db")
    assert plain.execute("pragma integrity_check").fetchall() == [("ok",)]
    assert plain.execute("select b from t").fetchall() == [(None,), ("new",)]
    plain.close()
    two.close()
    one.close()


def test_objects_that_name_the_column(db: Any) -> None:
    db.executescript("""
        create table t(a, b);
        create table log(x);
        create index i on t(b, a + 1) where b is not null;
        create view w as select b, 'q' from t;
        create trigger g after insert on t begin insert into log values (new.b); end;
        create temp trigger h after insert on t begin insert into log values (new.a); end;
    """)
    before = db.rows("select name, sql from sqlite_schema where name <> 't'")
    db.execute("alter table t alter column b to b int default 5")
    db.execute("insert into t(a) values (1)")
    assert db.rows("select * from log order by 1") == [(1,), (5,)]
    assert db.rows("select * from w") == [(5, "q")]
    assert db.rows("select name, sql from sqlite_schema where name <> 't'") == before
    db.sound()


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("create view bad as select nosuch from t", "error in view bad: no such column: nosuch"),
        ("create temp view bad as select nosuch from t", "error in view bad: no such column: nosuch"),
        ("create trigger bad after insert on t begin select a.z; end", "error in trigger bad: no such column: a.z"),
    ],
)
@pytest.mark.parametrize("legacy", ["off", "on"])
def test_broken_objects_stop_it(db: Any, sql: str, message: str, legacy: str) -> None:
    db.execute("create table t(a, b)")
    db.execute(sql)
    db.execute(f"pragma legacy_alter_table={legacy}")
    db.refused("alter table t alter column b to b int", "SQL logic error" if legacy == "on" else message)


def test_double_quoted_strings_become_single_quoted(db: Any) -> None:
    db.execute("create table t(a, b)")
    db.execute('create view w as select "str" from t')
    db.execute("alter table t alter column b to b int")
    assert db.text("w") == "CREATE VIEW w as select 'str' from t"


def test_authorizer(db: Any) -> None:
    db.execute("create table t(a, b)")
    db.execute("create index i on t(b)")
    seen: list[tuple[Any, ...]] = []
    answer = {libsql_core.SQLITE_ALTER_TABLE: libsql_core.SQLITE_OK}

    def authorizer(action: int, *names: str | None) -> int:
        seen.append((action, *names))
        return answer.get(action, libsql_core.SQLITE_OK)

    db.set_authorizer(authorizer)
    db.execute("alter table t alter column B to b text collate nocase")
    assert seen[0] == (libsql_core.SQLITE_ALTER_TABLE, "main", "t", "b", None)
    assert {row[0] for row in seen[1:]} == {
        libsql_core.SQLITE_SELECT, libsql_core.SQLITE_READ, libsql_core.SQLITE_FUNCTION, libsql_core.SQLITE_UPDATE,
    }  # fmt: skip
    assert {row[2] for row in seen if row[0] == libsql_core.SQLITE_FUNCTION} == {
        "like", "sqlite_rename_test", "sqlite_rename_quotefix", "libsql_alter_column",
    }  # fmt: skip
    assert (libsql_core.SQLITE_UPDATE, "sqlite_master", "sql", "main", None) in seen
    answer[libsql_core.SQLITE_ALTER_TABLE] = libsql_core.SQLITE_DENY
    with pytest.raises(DatabaseError, match="not authorized"):
        db.execute("alter table t alter column b to b")
    answer[libsql_core.SQLITE_ALTER_TABLE] = libsql_core.SQLITE_IGNORE
    db.execute("alter table t alter column b to b")
    db.set_authorizer(None)
    assert db.text() == "CREATE TABLE t(a, b text collate nocase)"


def test_explain_and_trace(db: Any) -> None:
    db.execute("create table t(a, b collate nocase)")
    db.execute("create index i on t(b)")
    sql = "alter table t alter column b to b int"
    before = db.text()
    assert len(db.rows("explain " + sql)) > 50
    db.rows("/* x */ explain query plan " + sql)
    assert db.text() == before
    traced: list[str] = []
    db.set_trace_callback(traced.append)
    db.execute(sql)
    db.set_trace_callback(None)
    assert traced == [sql]
    assert db.rows("pragma index_info(i)") == [(0, 1, "b")]


def test_statements_in_one_text(db: Any) -> None:
    db.executescript("""
        ;; -- x
        create table t(a, b); ; alter table t alter b to b int -- y
        ; alter /* z */ table/**/t alter column a to a int /* w */; insert into t values ('1', '2')
        ;alter table t alter b to b text;
    """)
    assert db.text() == "CREATE TABLE t(a int, b text)"
    assert db.rows("select * from t") == [(1, 2)]
    with pytest.raises(libsql_core.ProgrammingError):
        db.execute("alter table t alter b to b; select 1")


def test_length_limit(db: Any) -> None:
    db.execute("create table t(a, b)")
    sql = "alter table t alter b to b default '" + "x" * 1000 + "'"
    db.setlimit(libsql_core.SQLITE_LIMIT_SQL_LENGTH, 500)
    with pytest.raises(DatabaseError):
        db.execute(sql)
    db.setlimit(libsql_core.SQLITE_LIMIT_SQL_LENGTH, 5000)
    db.execute(sql)


def test_the_internal_function_is_not_for_users(db: Any) -> None:
    db.execute("create table t(a)")
    for call in ("libsql_alter_column('', 'main', 't', 0, 'a')", "libsql_alter_after('main', 't', 0, 'a', 0)"):
        name = call.partition("(")[0]
        with pytest.raises(OperationalError, match=f"no such function: {name}"):
            db.execute(f"select {call}")


def test_a_function_of_that_name_is_not_called(db: Any) -> None:
    db.create_function("libsql_alter_column", 5, lambda *_: "CREATE TABLE t(zz)")
    db.execute("create table t(a)")
    db.execute("alter table t alter a to a int")
    assert db.text() == "CREATE TABLE t(a int)"


def test_sqlite_s_own_alter_column(db: Any) -> None:
    db.execute("create table t(a, column)")
    db.execute("insert into t values (null, 1)")
    with pytest.raises(IntegrityError, match="constraint failed"):
        db.execute("alter table t alter column a set not null")
    db.execute("update t set a = 1")
    for sql, after in [
        ("alter a set not null", "t(a NOT NULL, column)"),
        ("alter column a drop not null", "t(a, column)"),
        ("add constraint x check(a > 0)", "t(a, column, CONSTRAINT x CHECK(a > 0))"),
        ("alter a to a int", "t(a int, column, CONSTRAINT x CHECK(a > 0))"),
        ("drop constraint x", "t(a int, column)"),
        ("alter column column set not null", "t(a int, column NOT NULL)"),
        ("alter column column to column text", "t(a int, column text)"),
    ]:
        db.execute("alter table t " + sql)
        assert db.text().lower() == f"CREATE TABLE {after}".lower()
    for sql, message in [
        ("alter a set default 1", 'near "default": syntax error'),
        ("alter a drop default", 'near "default": syntax error'),
        ("alter zz drop not null", "no such column: zz"),
        ("alter column a", "incomplete input"),
    ]:
        db.refused("alter table t " + sql, message)
