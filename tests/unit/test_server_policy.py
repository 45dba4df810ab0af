"""Which statements the server runs, of what class each is, and what it says to the others."""

from __future__ import annotations

from typing import Any

import pytest

from libsql_core._engine import Plan, StatementError

CLASSES = {
    Plan.READ: [
        "select 1", "values (1), (2)", "with a as (select 1) select * from a", "explain delete from t",
        "with recursive a(x) as not materialized (select 1 union select x + 1 from a), b as (select 2) select * from b",
        "explain query plan select 1", "explain vacuum", "explain attach 'x' as y", "EXPLAIN create temp table x(a)",
        "pragma table_info(t)", "PRAGMA main.index_list('t')", "pragma schema_version", "pragma encoding",
        "/* c */ select 1 -- d", ";;select 1;;", "explain pragma foreign_keys",
    ],
    Plan.WRITE: [
        "insert into t values (1)", "insert or ignore into t default values", "replace into t values (1)",
        "update t set a = 1", "update or fail main.t set a = 1", "delete from t", "reindex", "reindex t",
        "with a as (select 1) insert into t select * from a", "with a as (select ')'), b as (select 1) delete from t",
        "with replace as (select 1) update t set a = 2", "pragma foreign_keys", "pragma foreign_keys = off",
        "pragma user_version", "pragma user_version(5)", "pragma journal_mode", "pragma Integrity_Check",
    ],
    Plan.DDL: [
        "create table x(a)", "create table if not exists main.x(a)", "create unique index i on t(a)", "drop view v",
        "create view v as select 1", "create trigger r after insert on t begin select 1; delete from t; end",
        "create virtual table f using fts5(a)", "drop table t", "alter table t rename to u", "drop index if exists i",
        "alter table t add column b", "alter table t alter column a to a text", "create view temp.v as select 1",
        "create index i on t (libsql_vector_idx(a))", "create index i using vector_idx on t (a)",
        "create table r(a) random rowid",
    ],
    Plan.TXN: ["begin", "BEGIN IMMEDIATE", "begin transaction readonly", "commit", "end transaction", "rollback"],
    Plan.SAVEPOINT: ["savepoint s", "release s", "rollback to s", "rollback transaction to savepoint s"],
    Plan.ATTACH: ["attach db as x", 'attach database "a b" as y', "attach [db] as 'x'"],
    Plan.DETACH: ["detach x", "detach database x"],
}  # fmt: skip

REFUSED = [
    "vacuum", "vacuum into 'x'", "analyze", "analyze t", "create temp table x(a)",
    "create temporary view v as select 1",
    "create temp trigger r after insert on t begin select 1; end", "create table temp.x(a)", "attach db as 'x' key 'k'",
    'create table if not exists "TEMP".x(a)', "create virtual table temp.f using fts5(a)", "attach 'file' as x",
    "attach ? as x", "attach db as ?", "insert into _litestream_seq values (1)", 'delete from "_litestream_lock"',
    "update main.[LIBSQL_WASM_FUNC_TABLE] set a = 1", "drop table _litestream_seq", "explain pragma nonsense",
    "alter table _litestream_seq add column b", "with a as (select 1) replace into _litestream_seq select 1",
    "pragma nonsense", "pragma schema_version = 5", "pragma journal_mode = delete", "pragma journal_mode(wal)",
    "pragma writable_schema", "pragma key = 'x'", "pragma libsql_vector_cache", "pragma wal_checkpoint",
    "pragma optimize", "pragma query_only = 1", "pragma shrink_memory", "pragma case_sensitive_like",
    "pragma cache_size = 1",
]  # fmt: skip

# As the original's parser says it.
BAD = {
    "selec": "syntax error around L1:6: `selec`",
    "select * frm t": "syntax error around L1:13: `frm`",
    "select é é é é": "syntax error around L1:16: `é`",
    "select 1.5.5": "syntax error around L1:13: `.5`",
    "select 'a' 'b' c d": "syntax error around L1:17: `c`",
    "select 1,,2 from x": 'near COMMA, "None": syntax error at (1, 11)',
    "SELECT *\nFROM\n  WHERE": 'near WHERE, "None": syntax error at (3, 8)',
    "(select 1)": 'near LP, "None": syntax error at (1, 2)',
    "explain explain select 1": 'near EXPLAIN, "None": syntax error at (1, 16)',
    "select ": "unexpected end of input at (1, 8)",
    "create trigger r after insert on t begin select 1": "unexpected end of input at (1, 50)",
    "create trigger r after insert on t begin select 1; ": "unexpected end of input at (1, 52)",
    "select case when 1 then 2": "unexpected end of input at (1, 26)",
    "select 'abc": "non-terminated literal at (1, 8)",
    "select [abc": "non-terminated bracket at (1, 8)",
    "select 1 /* abc": "non-terminated block comment at (1, 10)",
    "select 1x": "bad number at (1, 8)",
    "select 0x": "malformed hex integer at (1, 8)",
    "select x'1'": "malformed blob literal at (1, 8)",
    "select @": "bad variable name at (1, 8)",
    "select !": "expected = sign at (1, 8)",
    "select \x01": "unrecognized token at (1, 8)",
    "select 1 \0": "unrecognized token at (1, 10)",
    "alter table t alter column a to 'x": "non-terminated literal at (1, 33)",
    "create index i using": "unexpected end of input at (1, 21)",
}


@pytest.mark.parametrize(("kind", "sql"), [(kind, sql) for kind, texts in CLASSES.items() for sql in texts])
def test_class(server: Any, kind: int, sql: str) -> None:
    assert server.con.plan(sql).kind == kind
    (plan,) = server.con.parse(sql + " ; ")
    assert plan.kind == kind


@pytest.mark.parametrize("sql", REFUSED)
def test_refused(server: Any, sql: str) -> None:
    message = f"SQL string could not be parsed: unsupported statement: {sql}"
    assert server.fails(sql) == (message, "SQL_PARSE_ERROR")
    with pytest.raises(StatementError, match="unsupported statement: select 1; ") as caught:
        server.con.parse("select 1; " + sql)
    assert caught.value.detail == f"unsupported statement: select 1; {sql}"


@pytest.mark.parametrize("sql", BAD)
def test_bad(server: Any, sql: str) -> None:
    assert server.fails(sql) == (f"SQL string could not be parsed: {BAD[sql]}", "SQL_PARSE_ERROR")


@pytest.mark.parametrize("sql", ["", " ", ";", ";; ;", "-- x", "/* x */ ;"])
def test_nothing(server: Any, sql: str) -> None:
    assert server.fails(sql) == ("SQL string does not contain any statement", "SQL_NO_STATEMENT")
    assert server.con.parse(sql) == []


@pytest.mark.parametrize("sql", ["select 1; select 2", "select 1; selec", "select 1;; vacuum", "begin; select"])
def test_many(server: Any, sql: str) -> None:
    assert server.fails(sql) == ("SQL string contains more than one statement", "SQL_MANY_STATEMENTS")


def test_statements_of_a_text(server: Any) -> None:
    trigger = "create trigger r after insert on t begin select 1; delete from t where a = 'é;'; end"
    plans = server.con.parse(f" ; select 'é' ;;\n{trigger};\n-- end\nvalues (1) -- last")
    assert [(plan.sql, plan.verb) for plan in plans] == [
        ("select 'é'", "SELECT"),
        (trigger, "CREATE"),
        ("values (1)", "VALUES"),
    ]
    # Where an error is counts from the start of the whole text.
    with pytest.raises(StatementError, match="L2:7: `selec`"):
        server.con.parse("select 1;\n selec")


@pytest.mark.parametrize(
    ("sql", "verb", "readonly", "begins", "immediate"),
    [
        ("select 1", "SELECT", True, False, False),
        ("with a as (select 1) insert into t select * from a", "INSERT", False, False, False),
        ("replace into t values (1)", "REPLACE", False, False, False),
        ("explain insert into t values (1)", "EXPLAIN", True, False, False),
        ("create table x(a)", "CREATE", False, False, False),
        ("reindex", "REINDEX", False, False, False),
        ("begin", "BEGIN", True, True, False),
        ("begin exclusive", "BEGIN", False, True, True),
        ("begin readonly", "BEGIN", True, True, False),
        ("end", "END", True, False, False),
        ("commit", "COMMIT", True, False, False),
        ("rollback", "ROLLBACK", True, False, False),
        ("rollback to s", "ROLLBACK TO", True, False, False),
        ("pragma user_version", "PRAGMA", True, False, False),
        ("pragma user_version = 1", "PRAGMA", False, False, False),
        ("detach x", "DETACH", True, False, False),
    ],
)
def test_what_the_session_reads(
    server: Any, sql: str, verb: str, readonly: bool, begins: bool, immediate: bool
) -> None:
    plan = server.con.plan(sql)
    assert (plan.verb, plan.readonly, plan.begins, plan.immediate) == (verb, readonly, begins, immediate)


def test_the_names_of_attach(server: Any) -> None:
    plan = server.con.plan('attach database "a ""b" as [c]')
    assert (plan.attach_name, plan.alias, plan.attach_path) == ('a "b', "c", None)
    assert server.con.plan("select 1").attach_name is None


def test_a_deep_statement_is_left_to_sqlite(server: Any) -> None:
    deep = "select " + "(" * 3000 + "1" + ")" * 3000
    assert server.fails(deep)[1] in ("SQLITE_UNKNOWN", "SQL_INPUT_ERROR")
    wide = "select " + " + ".join(["1"] * 900)
    assert server.value(wide) == 900


def test_an_index_in_the_old_form_is_no_use_elsewhere(server: Any) -> None:
    assert server.fails("select using x")[1] == "SQL_PARSE_ERROR"
    assert server.fails("create view v using x")[1] in ("SQL_PARSE_ERROR", "SQL_INPUT_ERROR")
