"""Cursors: parameters, texts of SQL, description, rowcount, lastrowid, scripts, fetching."""

import sys
from collections import OrderedDict, UserDict, UserList
from collections.abc import Iterator
from typing import Any

from against import attempt, case, each, memory, newer, put, since, table


class Letters:
    """A sequence by its methods alone."""

    def __init__(self, letters: str) -> None:
        self.letters = letters

    def __len__(self) -> int:
        return len(self.letters)

    def __getitem__(self, index: int) -> str:
        return self.letters[index]


class Unsized(Letters):
    def __len__(self) -> int:
        raise ZeroDivisionError("no length")


class Broken(Letters):
    def __getitem__(self, index: int) -> str:
        raise ZeroDivisionError("no item")


class Shrunk(Letters):
    def __getitem__(self, index: int) -> str:
        raise IndexError("gone")


class Missing(dict[str, object]):
    def __missing__(self, key: str) -> object:
        return f"made up {key}"


class BrokenMapping(dict[str, object]):
    def __missing__(self, key: str) -> object:
        raise ZeroDivisionError(key)


def one(connection: Any, sql: str, *parameters: Any) -> object:
    return connection.execute(sql, *parameters).fetchone()


each(
    "parameters",
    memory,
    {
        "too few": lambda m, c: one(c, "select ?, ?", (1,)),
        "too many": lambda m, c: one(c, "select ?", (1, 2)),
        "none given": lambda m, c: one(c, "select ?"),
        "none wanted": lambda m, c: one(c, "select 1", (1,)),
        "empty for none": lambda m, c: [one(c, "select 1", ()), one(c, "select 1", {})],
        "none object": lambda m, c: one(c, "select ?", None),
        "number": lambda m, c: one(c, "select ?", 5),
        "set": lambda m, c: one(c, "select ?", {1}),
        "text as sequence": lambda m, c: one(c, "select ?, ?", "ab"),
        "bytes as sequence": lambda m, c: one(c, "select ?, ?", b"ab"),
        "list": lambda m, c: one(c, "select ?, ?", [1, None]),
        "generator": lambda m, c: one(c, "select ?", (x for x in [1])),
        "range": lambda m, c: one(c, "select ?, ?", range(2)),
        "user list": lambda m, c: one(c, "select ?, ?", UserList([1, 2])),
        "sequence by methods": lambda m, c: one(c, "select ?, ?", Letters("xy")),
        "sequence without length": lambda m, c: one(c, "select ?, ?", Unsized("xy")),
        "sequence with broken items": lambda m, c: one(c, "select ?, ?", Broken("xy")),
        "sequence that shrinks": lambda m, c: one(c, "select ?, ?", Shrunk("xy")),
        "numbered with a gap, too few": lambda m, c: one(c, "select ?3", (1,)),
        "named": lambda m, c: one(c, "select :a, @b, $c", {"a": 1, "b": 2, "c": 3}),
        "named and missing": lambda m, c: one(c, "select :a, :b", {"a": 1}),
        "named and extra": lambda m, c: one(c, "select :a", {"a": 1, "z": 2}),
        "named twice": lambda m, c: one(c, "select :a, :a", {"a": 1}),
        "named with the colon": lambda m, c: one(c, "select :a", {":a": 1}),
        "named, unicode": lambda m, c: one(c, "select :ä", {"ä": 1}),
        "named, none given": lambda m, c: one(c, "select :a"),
        "named given as sequence": lambda m, c: one(c, "select :a, :b", (1, 2)),
        "numbered given as mapping": lambda m, c: one(c, "select ?1", {"1": 5}),
        "unnamed given as mapping": lambda m, c: one(c, "select ?", {"a": 1}),
        "mixed given as mapping": lambda m, c: one(c, "select :a, ?", {"a": 1}),
        "mixed given as sequence": lambda m, c: one(c, "select :a, ?", (1, 2)),
        "ordered dict": lambda m, c: one(c, "select :a", OrderedDict(a=1)),
        "user dict": lambda m, c: one(c, "select :a", UserDict(a=1)),
        "dict that makes up values": lambda m, c: one(c, "select :a", Missing()),
        "dict that breaks": lambda m, c: one(c, "select :a", BrokenMapping()),
        "namespace names": lambda m, c: one(c, "select $a::b", {"a::b": 1}),
        "unsupported type": lambda m, c: one(c, "select ?", (object(),)),
        "unsupported type second": lambda m, c: one(c, "select ?, ?", (1, object())),
        "unsupported type named": lambda m, c: one(c, "select :x", {"x": object()}),
        "complex": lambda m, c: one(c, "select ?", (1j,)),
        "tuple": lambda m, c: one(c, "select ?", ((1,),)),
    },
)

if sys.version_info[:3] not in {(3, 12, 0), (3, 12, 1)}:  # they warn of it by mistake
    each(
        "parameters",
        memory,
        {
            "numbered": lambda m, c: one(c, "select ?2, ?1, ?2", (1, 2)),
            "numbered with a gap": lambda m, c: one(c, "select ?3", (1, 2, 3)),
        },
    )

each(
    "sql",
    memory,
    {
        "empty": lambda m, c: [c.execute("").fetchall(), c.execute("").description],
        "only blanks": lambda m, c: c.execute(" \n\t ").fetchall(),
        "only a comment": lambda m, c: c.execute("-- nothing").fetchall(),
        "only a long comment": lambda m, c: c.execute("/* nothing */").fetchall(),
        "unclosed comment": lambda m, c: c.execute("/* nothing").fetchall(),
        "only a semicolon": lambda m, c: c.execute(";").fetchall(),
        "two statements": lambda m, c: c.execute("select 1; select 2"),
        "second is a comment": lambda m, c: one(c, "select 1; -- two"),
        "second is a long comment": lambda m, c: one(c, "select 1; /* two */ "),
        "second is unclosed": lambda m, c: one(c, "select 1; /* two"),
        "two semicolons": lambda m, c: one(c, "select 1;;"),
        "leading comment": lambda m, c: one(c, "-- one\n/* two */ select 1"),
        "leading semicolon": lambda m, c: one(c, "; select 1"),
        "second in executemany": lambda m, c: c.executemany("select 1; select 2", []),
        "nul inside": lambda m, c: c.execute("select 1\0 + 1"),
        "nul at the end": lambda m, c: c.execute("select 1\0"),
        "nul first": lambda m, c: c.execute("\0select 1"),
        "nul in script": lambda m, c: c.executescript("select 1;\0 select 2"),
        "nul in statement call": lambda m, c: c("select 1\0"),
        "surrogate": lambda m, c: c.execute("select '\ud8ff'"),
        "surrogate in executemany": lambda m, c: c.executemany("select '\udcff'", []),
        "surrogate in script": lambda m, c: c.executescript("select '\ud8ff'"),
        "surrogate in statement call": lambda m, c: c("select '\ud8ff'"),
        "unicode": lambda m, c: one(c, "select 'ä€😀' as 'ß'"),
        "byte order mark": lambda m, c: one(c, "\ufeffselect 1"),
        "syntax error": lambda m, c: c.execute("selec 1"),
        "missing table": lambda m, c: c.execute("select * from missing"),
        "missing column": lambda m, c: c.execute("select missing"),
        "str subclass": lambda m, c: one(c, type("Text", (str,), {})("select 1")),
        "pragma": lambda m, c: one(c, "pragma user_version = 5; "),
        "explain": lambda m, c: len(c.execute("explain select 1").description),
    },
)


@since(3, 11)
def sql_longer_than_the_limit(m: Any) -> object:
    con = table(m)
    con.setlimit(m.SQLITE_LIMIT_SQL_LENGTH, 20)
    long = "select 1" + " " * 20
    return [
        attempt(con.execute, long),
        attempt(con.executemany, long, []),
        attempt(con.executescript, long),
        attempt(con, long),
        one(con, "select 12345"),
    ]


@since(3, 11)
def more_parameters_than_the_limit(m: Any) -> object:
    con = memory(m)
    con.setlimit(m.SQLITE_LIMIT_VARIABLE_NUMBER, 2)
    return [attempt(one, con, "select ?, ?, ?", (1, 2, 3)), one(con, "select ?, ?", (1, 2))]


@since(3, 11)
def value_longer_than_the_limit(m: Any) -> object:
    con = memory(m)
    con.setlimit(m.SQLITE_LIMIT_LENGTH, 40)
    return [attempt(one, con, "select ?", (x,)) for x in ("x" * 60, b"x" * 60, "ok")]


STATEMENTS = {
    "create": "create table u(a)",
    "insert": "insert into t(x) values ('d')",
    "insert two": "insert into t(x) values ('d'), ('e')",
    "insert select": "insert into t(x) select x from t",
    "insert or ignore": "insert or ignore into t(id, x) values (1, 'd')",
    "insert or replace": "insert or replace into t(id, x) values (2, 'd')",
    "replace": "replace into t(id, x) values (9, 'd')",
    "upsert": "insert into t(id, x) values (1, 'd') on conflict do update set x = 'e'",
    "insert with comment": "/* new */ insert into t(x) values ('d')",
    "insert with cte": "with n(y) as (select 'd') insert into t(x) select y from n",
    "insert fails": "insert into t(id) values (1)",
    "update": "update t set x = 'z' where id > 1",
    "update none": "update t set x = 'z' where id > 10",
    "delete": "delete from t where id = 1",
    "delete all": "delete from t",
    "select": "select x from t order by id",
    "select none": "select x from t where id > 10",
    "values": "values (1), (2)",
    "cte": "with n(y) as (select 1) select y from n",
    "insert returning": "insert into t(x) values ('d'), ('e') returning id, x as y",
    "update returning": "update t set x = 'z' where id > 1 returning id",
    "delete returning": "delete from t where id = 1 returning *",
    "pragma": "pragma user_version",
    "pragma set": "pragma user_version = 3",
    "begin": "begin",
    "commit of nothing": "commit",
    "rollback of nothing": "rollback",
    "savepoint": "savepoint s",
    "analyze": "analyze",
    "vacuum": "vacuum",
    "drop": "drop table t",
    "empty": "",
    "names": "select 1 as a, 2 as A, 3 'b c', 4 as 'd [int]', t.x, t.id + 1 from t",
    "join": "select p.id, q.id from t p join t q on p.id = q.id",
}


def state(cursor: Any) -> list[object]:
    return [
        cursor.description,
        cursor.rowcount,
        cursor.lastrowid,
        cursor.connection.in_transaction,
        cursor.connection.total_changes,
    ]


def walk(connection: Any, sql: str) -> object:
    """Show what a cursor says before, between and after the rows."""
    cursor = connection.cursor()
    steps: list[object] = [state(cursor)]
    steps.append(attempt(cursor.execute, sql) is cursor or attempt(cursor.execute, sql))
    steps += [state(cursor), attempt(cursor.fetchone), state(cursor)]
    steps += [attempt(cursor.fetchall), state(cursor), attempt(cursor.fetchone)]
    return steps


each(
    "life of",
    table,
    {name: (lambda m, c, sql=sql: walk(c, sql)) for name, sql in STATEMENTS.items()},  # type: ignore[misc]
)
each(
    "executemany of",
    table,
    {
        name: (
            lambda m, c, sql=sql: (  # type: ignore[misc]
                lambda k: [attempt(k.executemany, sql, [(), ()]) is k, state(k), k.fetchall()]
            )(c.cursor())
        )
        for name, sql in STATEMENTS.items()
        if name != "vacuum" and "returning" not in name  # its rows: undefined in the stdlib
    },
)


def failing_rows() -> Iterator[tuple[str]]:
    yield ("d",)
    raise ZeroDivisionError("no more")


INSERT = "insert into t(x) values (?)"
each(
    "executemany",
    table,
    {
        "select": lambda m, c: c.executemany("select ?", [(1,)]),
        "select without rows": lambda m, c: c.executemany("select ?", []).fetchall(),
        "empty sql": lambda m, c: c.executemany("", [()]).fetchall(),
        "generator": lambda m, c: c.executemany(INSERT, ((x,) for x in "de")).rowcount,
        "iterator object": lambda m, c: c.executemany(INSERT, iter([("d",), ("e",)])).rowcount,
        "mappings": lambda m, c: c.executemany("insert into t(x) values (:y)", [{"y": 1}]).rowcount,
        "texts": lambda m, c: c.executemany(INSERT, "de").rowcount,
        "rows fail": lambda m, c: [attempt(c.executemany, INSERT, failing_rows()), c.in_transaction],
        "second row too short": lambda m, c: [
            attempt(c.executemany, INSERT, [("d",), ()]),
            c.total_changes,
        ],
        "second row of a bad type": lambda m, c: attempt(c.executemany, INSERT, [("d",), 5]),
        "second row unsupported": lambda m, c: attempt(c.executemany, INSERT, [("d",), (object(),)]),
        "second row not unique": lambda m, c: [
            attempt(c.executemany, "insert into t(id) values (?)", [(7,), (7,)]),
            c.execute("select count(*) from t").fetchone(),
            c.in_transaction,
        ],
        "keeps lastrowid": lambda m, c: c.executemany(INSERT, [("d",)]).lastrowid,
        "dml with comment": lambda m, c: c.executemany("-- x\n" + INSERT, [("d",)]).rowcount,
        "no sequence": lambda m, c: c.executemany(INSERT, 7),
        "a dict": lambda m, c: c.executemany(INSERT, {"d": 1}).rowcount,
    },
)

each(
    "executescript",
    table,
    {
        "gives the cursor": lambda m, c: type(c.executescript("")).__name__,
        "several": lambda m, c: [
            c.executescript("create table u(a); insert into u values (1); -- end"),
            c.execute("select * from u").fetchall(),
            c.in_transaction,
        ],
        "commits first": lambda m, c: [
            c.execute("insert into t(x) values ('d')") is None,
            c.executescript("select 1") is None,
            c.in_transaction,
        ],
        "error in the middle": lambda m, c: [
            attempt(c.executescript, "create table u(a); nonsense; create table v(a)"),
            c.execute("select name from sqlite_master order by name").fetchall(),
        ],
        "open transaction stays": lambda m, c: [
            c.executescript("begin; insert into t(x) values ('d')").description,
            c.in_transaction,
        ],
        "constraint": lambda m, c: c.executescript("insert into t(id) values (1)"),
        "parameters are null": lambda m, c: [
            c.executescript("insert into t(x) values (?)").rowcount,
            c.execute("select x from t where id = 4").fetchone(),
        ],
        "rows are dropped": lambda m, c: c.executescript("select * from t").fetchall(),
        "after a select": lambda m, c: (
            lambda k: [k.fetchone(), k.executescript("select 5") is k, k.fetchall(), k.description]
        )(c.execute("select x from t")),
        "unfinished": lambda m, c: c.executescript("create trigger r after insert on t begin"),
        "blanks": lambda m, c: c.executescript("  \n ").fetchall(),
    },
)

each(
    "fetch",
    lambda m: table(m).execute("select x from t order by id"),
    {
        "one by one": lambda m, k: [k.fetchone() for _ in range(5)],
        "many default": lambda m, k: k.fetchmany(),
        "many two": lambda m, k: [k.fetchmany(2) for _ in range(3)],
        "many nought": lambda m, k: [k.fetchmany(0), k.fetchone()],
        "many by keyword": lambda m, k: k.fetchmany(size=2),
        "many arraysize": lambda m, k: [put(k, "arraysize", 2), k.fetchmany(), k.arraysize],
        "many arraysize nought": lambda m, k: [put(k, "arraysize", 0), k.fetchmany()],
        "all twice": lambda m, k: [k.fetchall(), k.fetchall()],
        "iterate": lambda m, k: [*k, *k],
        "next at the end": lambda m, k: [k.fetchall(), next(k)],
        "after a failed execute": lambda m, k: [
            k.fetchone(),
            attempt(k.execute, "nonsense"),
            k.description,
            k.fetchall(),
        ],
        "after failed parameters": lambda m, k: [
            attempt(k.execute, "select ?", ()),
            k.description,
            k.fetchall(),
        ],
        "without execute": lambda m, k: m.Cursor(k.connection).fetchall(),
        "after a commit": lambda m, k: [k.fetchone(), k.connection.commit(), k.fetchall()],
        "after a rollback": lambda m, k: [
            k.fetchone(),
            k.connection.execute("insert into t(x) values ('d')").rowcount,
            k.connection.rollback(),
            attempt(k.fetchall),
        ],
        "after the table is dropped": lambda m, k: [
            k.fetchone(),
            attempt(k.connection.execute, "drop table t"),
            attempt(k.fetchall),
        ],
        "same sql in two cursors": lambda m, k: [
            k.fetchone(),
            k.connection.execute("select x from t order by id").fetchone(),
            k.fetchone(),
        ],
        "executed again": lambda m, k: [
            k.fetchone(),
            k.execute("select x from t order by id").fetchone(),
        ],
        "init again": lambda m, k: [k.__init__(k.connection), k.fetchall(), k.description],
    },
)


@case
def error_while_stepping(m: Any) -> object:
    con = table(m)
    cursor = con.cursor()
    sql = "select case id when 2 then abs(-9223372036854775808) else id end from t"
    return [
        attempt(cursor.execute, sql) is cursor,
        attempt(cursor.fetchone),
        attempt(cursor.fetchone),
        attempt(cursor.fetchall),
        cursor.description,
    ]


@case
def description_follows_schema_changes(m: Any) -> object:
    con = table(m)
    first = con.execute("select * from t").description
    con.execute("alter table t add column y")
    cursor = con.execute("select * from t")
    return [first, cursor.description, cursor.fetchone()]


@case
def constraint_errors(m: Any) -> object:
    con = memory(m)
    con.execute("pragma foreign_keys = on")
    con.executescript(
        """
        create table p(id integer primary key, u unique, n not null, c check (c > 0));
        create table q(p references p(id));
        create table w(k text primary key) without rowid;
        create trigger r before delete on p begin select raise(abort, 'kept'); end;
        insert into p values (1, 1, 1, 1);
        insert into w values ('k');
        """
    )
    return [
        attempt(con.execute, sql)
        for sql in (
            "insert into p values (1, 2, 1, 1)",
            "insert into p values (2, 1, 1, 1)",
            "insert into p values (2, 2, null, 1)",
            "insert into p values (2, 2, 2, 0)",
            "insert into q values (5)",
            "insert into w values ('k')",
            "delete from p",
            "insert into p values ('x', 3, 3, 3)",
        )
    ]


newer(
    __name__,
    "parameters: named and missing",
    "parameters: named with the colon",
    "sql: nul in script",
    "sql: surrogate",
    "sql: surrogate in executemany",
    "sql: surrogate in statement call",
    "executemany of: select",
    "executemany of: select none",
    "executemany of: values",
    "executemany of: cte",
    "executemany of: pragma",
    "executemany of: begin",
    "executemany of: savepoint",
    "executemany of: empty",
    "executemany of: names",
    "executemany of: join",
    "executemany: select without rows",
    "executemany: empty sql",
)
