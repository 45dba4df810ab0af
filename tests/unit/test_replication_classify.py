"""Where statements run, told from their text; and that telling never costs more than once."""

from __future__ import annotations

import random

import pytest

from libsql_core.replication.classify import Kind, classify


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("select 1", Kind.READ),
        (" /* insert */ -- delete\n SELECT ';' as \"a;b\", [c;d], `e;f` from t;", Kind.READ),
        ("values (1), (2)", Kind.READ),
        ("with a as (select 1), b(x) as (delete_me) select * from a", Kind.READ),
        ("with a as (select 1) insert into t select * from a", Kind.CHANGE),
        ("WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM c) DELETE FROM t", Kind.CHANGE),
        ("insert into t values (1) returning *", Kind.CHANGE),
        ("replace into t values (1)", Kind.CHANGE),
        ("Update t set x = 1", Kind.CHANGE),
        ("create table t(x)", Kind.WRITE),
        ("drop index i", Kind.WRITE),
        ("explain select 1", Kind.WRITE),
        ("analyze", Kind.WRITE),
        ("begin", Kind.BEGIN),
        ("begin immediate transaction", Kind.BEGIN),
        ("BEGIN READONLY", Kind.BEGIN_READONLY),
        ("end transaction", Kind.END),
        ("rollback", Kind.END),
        ("rollback to savepoint s", Kind.SAVEPOINT),
        ("rollback transaction to s", Kind.SAVEPOINT),
        ("savepoint s", Kind.SAVEPOINT),
        ("release s", Kind.SAVEPOINT),
        ("pragma table_info(t)", Kind.READ),
        ("pragma main.table_info = t", Kind.READ),
        ("pragma user_version", Kind.READ),
        ("pragma user_version = 4", Kind.WRITE),
        ("pragma foreign_keys = on", Kind.WRITE),
        ("pragma busy_timeout = 100", Kind.SETTING),
        ("pragma cache_size", Kind.SETTING),
        ("pragma journal_mode", Kind.READ),
        ("pragma journal_mode = delete", Kind.REFUSED),
        ("vacuum", Kind.REFUSED),
        ("attach 'a' as b", Kind.REFUSED),
        ("create temp table t(x)", Kind.REFUSED),
    ],
)
def test_kinds(sql: str, kind: Kind) -> None:
    (statement,) = classify(sql)
    assert statement.kind is kind
    assert statement.sql == sql.strip().removeprefix("/* insert */ -- delete\n ").rstrip(";")


def test_statements_of_a_script() -> None:
    script = """
        create trigger a after insert on t begin
            select case when new.x > 1 then 2 end; delete from t where x = 'end;';
        end;
        create temporary trigger b before update on t begin select 1; end; -- the end
        insert into t values (1) ;; select 1"""
    found = classify(script)
    assert [statement.kind for statement in found] == [Kind.WRITE, Kind.REFUSED, Kind.CHANGE, Kind.READ]
    assert found[0].sql.endswith("end;';\n        end")
    assert classify(" -- nothing\n;;") == []


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("select ?, ?, '?'", (None, None)),
        ("select ?2, ?", (None, None, None)),
        ("select :a, @b, $c, :a", (":a", "@b", "$c")),
        ("select ?, :a, ?", (None, ":a", None)),
        ("select $a::b(c), #x", ("$a::b(c)", "#x")),
    ],
)
def test_parameters(sql: str, names: tuple[str | None, ...]) -> None:
    assert classify(sql)[0].names == names


def test_any_text_is_classified() -> None:
    source = random.Random(9)
    words = ["select", "insert", "begin", "end", "case", "create", "trigger", "with", "pragma", "(", ")", ";", "'", '"',
             "--", "/*", "*/", "\n", "?1", ":a", "[", "`", "\0", "é", "0x1", "=", ".", "?999999999999"]  # fmt: skip
    for _ in range(2000):
        text = " ".join(source.choice(words) for _ in range(source.randrange(12)))
        for statement in classify(text):
            assert statement.sql in text
