"""Transactions: isolation levels, autocommit, the context manager, counters, two connections."""

from typing import Any

from against import attempt, case, each, memory, newer, put, since, table


def steps(connection: Any, *statements: str) -> object:
    """Show after each statement whether a transaction is open."""
    found: list[object] = []
    for statement in statements:
        error = attempt(connection.execute, statement)
        found.append([error if isinstance(error, Exception) else None, connection.in_transaction])
    return found


LEVELS: dict[str, object] = {
    "default": "",
    "deferred": "DEFERRED",
    "immediate": "IMMEDIATE",
    "exclusive": "EXCLUSIVE",
    "small letters": "immediate",
    "mixed letters": "Exclusive",
    "none": None,
}
DML = ("insert into t(x) values (1)", "select 1", "update t set x = 2", "delete from t")
DDL = ("insert into t(x) values (1)", "create table u(a)", "drop table u", "commit")

for name, level in LEVELS.items():
    each(
        f"isolation {name}",
        table,
        {
            "dml": lambda m, c, level=level: [  # type: ignore[misc]
                put(c, "isolation_level", level),
                c.isolation_level,
                steps(c, *DML),
            ],
            "ddl": lambda m, c, level=level: [  # type: ignore[misc]
                put(c, "isolation_level", level),
                steps(c, *DDL),
            ],
            "begins with": lambda m, c, level=level: [  # type: ignore[misc]
                put(c, "isolation_level", level),
                begun(c),
            ],
        },
    )


def begun(connection: Any) -> object:
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    connection.execute("insert into t(x) values (1)")
    connection.set_trace_callback(None)
    return seen


each(
    "isolation_level set to",
    table,
    {
        "unknown": lambda m, c: [attempt(setattr, c, "isolation_level", "SOON"), c.isolation_level],
        "blank": lambda m, c: put(c, "isolation_level", " "),
        "blank before": lambda m, c: put(c, "isolation_level", " DEFERRED"),
        "number": lambda m, c: put(c, "isolation_level", 1),
        "bytes": lambda m, c: put(c, "isolation_level", b""),
        "text with nul": lambda m, c: put(c, "isolation_level", "\0DEFERRED"),
        "text with nul later": lambda m, c: put(c, "isolation_level", "DEFERRED\0"),
        "surrogate": lambda m, c: put(c, "isolation_level", "\ud8ff"),
        "str subclass": lambda m, c: [
            put(c, "isolation_level", type("T", (str,), {})("EXCLUSIVE")),
            c.isolation_level,
        ],
        "none commits": lambda m, c: [
            c.execute("insert into t(x) values (1)").rowcount,
            put(c, "isolation_level", None),
            c.in_transaction,
        ],
        "none without transaction": lambda m, c: [
            put(c, "isolation_level", None),
            c.in_transaction,
        ],
        "another keeps the transaction": lambda m, c: [
            c.execute("insert into t(x) values (1)").rowcount,
            put(c, "isolation_level", "IMMEDIATE"),
            c.in_transaction,
        ],
    },
)

each(
    "transaction",
    table,
    {
        "commit of nothing": lambda m, c: [c.commit(), c.commit(), c.in_transaction],
        "rollback of nothing": lambda m, c: [c.rollback(), c.in_transaction],
        "rollback undoes": lambda m, c: [
            steps(c, "delete from t"),
            c.rollback(),
            c.execute("select count(*) from t").fetchone(),
        ],
        "explicit begin": lambda m, c: steps(c, "begin immediate", "begin", "rollback", "rollback"),
        "savepoints": lambda m, c: steps(c, "savepoint a", "delete from t", "rollback to a", "release a", "release a"),
        "vacuum inside": lambda m, c: steps(c, "delete from t", "vacuum"),
        "pragma inside": lambda m, c: steps(c, "delete from t", "pragma user_version = 2"),
        "explain dml": lambda m, c: steps(c, "explain delete from t"),
        "select does not begin": lambda m, c: steps(c, "select 1", "values (1)"),
        "dml after a comment begins": lambda m, c: steps(c, "/* x */ delete from t"),
        "dml after a line comment begins": lambda m, c: steps(c, "-- x\ndelete from t"),
        "dml in capitals begins": lambda m, c: steps(c, "DELETE FROM t"),
        "dml after blanks begins": lambda m, c: steps(c, "\n\t delete from t"),
        "dml by a cte does not begin": lambda m, c: steps(
            c, "with n(y) as (select 1) insert into t(x) select y from n"
        ),
        "failing dml has begun": lambda m, c: steps(c, "insert into t(id) values (1)"),
        "missing table has not begun": lambda m, c: steps(c, "insert into missing values (1)"),
        "wrong parameters": lambda m, c: steps(c, "insert into t(x) values (?)"),
        "abort by conflict": lambda m, c: steps(
            c, "delete from t where id = 1", "insert or rollback into t(id) values (2)"
        ),
        "total_changes counts": lambda m, c: [
            c.total_changes,
            steps(c, "delete from t", "insert into t(x) values (1), (2)"),
            c.total_changes,
            c.rollback(),
            c.total_changes,
        ],
        "commit with an open select": lambda m, c: (
            lambda k: [k.fetchone(), steps(c, "delete from t where id = 3"), c.commit(), k.fetchall()]
        )(c.execute("select x from t")),
        "rollback with an open select": lambda m, c: (
            lambda k: [
                k.fetchone(),
                steps(c, "delete from t where id = 3"),
                c.rollback(),
                attempt(k.fetchall),
            ]
        )(c.execute("select x from t")),
        "ddl is rolled back": lambda m, c: [
            steps(c, "begin", "create table u(a)"),
            c.rollback(),
            attempt(c.execute, "select * from u"),
        ],
        "deferred constraint at commit": lambda m, c: [
            c.executescript(
                "pragma foreign_keys = on; create table p(id integer primary key);"
                "create table q(p references p deferrable initially deferred);"
            ).rowcount,
            steps(c, "insert into q values (1)"),
            attempt(c.commit),
            c.in_transaction,
            c.rollback(),
            c.in_transaction,
        ],
    },
)


def within(connection: Any, *statements: str, error: Exception | None = None) -> object:
    """Run statements in a `with` block, which may end by an error."""

    def block() -> object:
        with connection as entered:
            for statement in statements:
                connection.execute(statement)
            if error:
                raise error
            return entered is connection

    return [
        attempt(block),
        connection.in_transaction,
        connection.execute("select count(*) from t").fetchone(),
    ]


each(
    "with",
    table,
    {
        "commits": lambda m, c: within(c, "delete from t"),
        "rolls back": lambda m, c: within(c, "delete from t", error=ZeroDivisionError("x")),
        "does nothing": lambda m, c: within(c),
        "nothing to roll back": lambda m, c: within(c, error=ZeroDivisionError("x")),
        "failing sql": lambda m, c: within(c, "delete from t", "nonsense"),
        "explicit commit": lambda m, c: within(c, "delete from t", "commit"),
        "explicit rollback": lambda m, c: within(c, "delete from t", "rollback"),
        "does not close": lambda m, c: [within(c), c.execute("select 1").fetchone()],
        "failing commit rolls back": lambda m, c: [
            c.executescript(
                "pragma foreign_keys = on; create table p(id integer primary key);"
                "create table q(p references p deferrable initially deferred);"
            ).rowcount,
            within(c, "insert into q values (1)"),
        ],
        "nested": lambda m, c: [within(c, "delete from t where id = 1"), within(c)],
        "exit by hand": lambda m, c: [c.__exit__(None, None, None), c.__exit__(1, 2, 3)],
    },
)


def auto(value: object) -> Any:
    def prepare(m: Any) -> Any:
        con = m.connect(":memory:", autocommit=value)
        con.executescript("create table t(id integer primary key, x); insert into t values (1, 2)")
        con.commit()
        return con

    return prepare


for name, value in {"on": True, "off": False, "legacy": -1}.items():
    each(
        f"autocommit {name}",
        auto(value),
        {
            "value": lambda m, c: [c.autocommit, c.in_transaction, c.isolation_level],
            "dml": lambda m, c: steps(c, *DML),
            "ddl": lambda m, c: steps(c, *DDL),
            "commit": lambda m, c: [c.commit(), c.in_transaction, c.commit()],
            "rollback": lambda m, c: [
                steps(c, "delete from t"),
                c.rollback(),
                c.in_transaction,
                c.execute("select count(*) from t").fetchone(),
            ],
            "script": lambda m, c: [
                steps(c, "delete from t"),
                c.executescript("select 1").rowcount,
                c.in_transaction,
            ],
            "with": lambda m, c: within(c, "delete from t"),
            "with error": lambda m, c: within(c, "delete from t", error=ValueError("x")),
            "commit by sql": lambda m, c: [steps(c, "delete from t", "commit"), attempt(c.commit)],
            "begin by sql": lambda m, c: steps(c, "begin", "delete from t", "rollback"),
            "executemany": lambda m, c: [
                c.executemany("insert into t(x) values (?)", [(1,), (2,)]).rowcount,
                c.in_transaction,
            ],
            "isolation_level": lambda m, c: [
                put(c, "isolation_level", "IMMEDIATE"),
                c.isolation_level,
                begun(c),
                put(c, "isolation_level", None),
                c.in_transaction,
            ],
            "close": lambda m, c: [steps(c, "delete from t"), c.close()],
            "switch on": lambda m, c: [
                steps(c, "delete from t"),
                put(c, "autocommit", True),
                c.autocommit,
                c.in_transaction,
            ],
            "switch off": lambda m, c: [
                put(c, "autocommit", False),
                c.autocommit,
                c.in_transaction,
            ],
            "switch to legacy": lambda m, c: [
                put(c, "autocommit", m.LEGACY_TRANSACTION_CONTROL),
                c.autocommit,
                c.in_transaction,
            ],
            "switch to nonsense": lambda m, c: [
                attempt(setattr, c, "autocommit", 5),
                attempt(setattr, c, "autocommit", "x"),
                attempt(setattr, c, "autocommit", None),
                c.autocommit,
            ],
        },
        min_python=(3, 12),
    )


@since(3, 12)
def closing_without_autocommit_rolls_back(m: Any) -> object:
    con = m.connect("t.db", autocommit=False)
    con.execute("create table t(x)")
    con.commit()
    con.execute("insert into t values (1)")
    con.close()
    return m.connect("t.db").execute("select count(*) from t").fetchone()


@case
def closing_drops_what_is_not_committed(m: Any) -> object:
    con = m.connect("t.db")
    con.execute("create table t(x)")
    con.execute("insert into t values (1)")
    con.close()
    return m.connect("t.db").execute("select count(*) from t").fetchone()


@case
def dropping_the_connection_drops_what_is_not_committed(m: Any) -> object:
    con = m.connect("t.db")
    con.execute("create table t(x)")
    con.execute("insert into t values (1)")
    del con
    return m.connect("t.db").execute("select count(*) from t").fetchone()


@case
def two_connections_see_committed_rows_only(m: Any) -> object:
    one, two = m.connect("t.db"), m.connect("t.db", timeout=0)
    one.execute("create table t(x)")
    one.execute("insert into t values (1)")
    found: list[object] = [two.execute("select count(*) from t").fetchone()]
    found.append(attempt(two.execute, "insert into t values (2)"))
    one.commit()
    found.append(two.execute("select count(*) from t").fetchone())
    one.close()
    two.close()
    return found


@case
def locked_commit_can_be_repeated(m: Any) -> object:
    one, two = m.connect("t.db", timeout=0), m.connect("t.db", timeout=0)
    one.execute("create table t(x)")
    two.execute("begin")
    reader = two.execute("select * from t")
    found = [reader.fetchone()]
    one.execute("insert into t values (1)")
    found.append(attempt(one.commit))
    two.rollback()
    found += [attempt(one.commit), one.in_transaction]
    one.close()
    two.close()
    return found


@case
def shared_memory_database(m: Any) -> object:
    uri = "file:shared?mode=memory&cache=shared"
    one, two = m.connect(uri, uri=True), m.connect(uri, uri=True, timeout=0)
    one.execute("create table t(x)")
    one.execute("insert into t values (1)")
    found = [attempt(two.execute, "select * from t")]
    one.commit()
    found.append(two.execute("select * from t").fetchall())
    one.close()
    two.close()
    return found


@case
def read_only_database(m: Any) -> object:
    m.connect("t.db").execute("create table t(x)").connection.close()
    con = m.connect("file:t.db?mode=ro", uri=True)
    return [attempt(con.execute, "insert into t values (1)"), con.in_transaction]


@case
def a_file_that_is_no_database(m: Any) -> object:
    with open("t.db", "wb") as file:
        file.write(b"certainly no database" * 100)
    con = m.connect("t.db")
    return [attempt(con.execute, "select 1 from t"), attempt(con.execute, "create table t(x)")]


@case
def an_empty_file_is_an_empty_database(m: Any) -> object:
    open("t.db", "wb").close()
    return m.connect("t.db").execute("select count(*) from sqlite_master").fetchall()


@case
def a_damaged_database(m: Any) -> object:
    con = m.connect("t.db")
    con.executescript("create table t(x); insert into t values (zeroblob(9000))")
    con.close()
    with open("t.db", "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    con = m.connect("t.db")
    return attempt(lambda: con.execute("select x from t").fetchall())


@case
def schema_changed_by_another_connection(m: Any) -> object:
    one, two = m.connect("t.db"), m.connect("t.db")
    one.execute("create table t(x)")
    found = [two.execute("select * from t").description]
    one.execute("alter table t add column y")
    found.append(two.execute("select * from t").description)
    one.close()
    two.close()
    return found


@case
def memory_is_private(m: Any) -> object:
    one, two = memory(m), memory(m)
    one.execute("create table t(x)")
    return attempt(two.execute, "select * from t")


newer(
    __name__,
    "isolation small letters: begins with",
    "isolation mixed letters: begins with",
    "isolation_level set to: unknown",
    "isolation_level set to: blank",
    "isolation_level set to: blank before",
    "isolation_level set to: number",
    "isolation_level set to: bytes",
    "isolation_level set to: text with nul",
    "isolation_level set to: text with nul later",
    "isolation_level set to: surrogate",
    "isolation_level set to: str subclass",
)
