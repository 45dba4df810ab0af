"""Python called by the engine: functions, aggregates, windows, collations, authorizer, hooks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from against import attempt, case, each, memory, newer, since, table


def fail(*_: object) -> Any:
    raise ZeroDivisionError("from the callback")


def too_big(*_: object) -> Any:
    raise OverflowError("from the callback")


def out_of_memory(*_: object) -> Any:
    raise MemoryError


def interrupted(*_: object) -> Any:
    raise KeyboardInterrupt


@contextmanager
def tracebacks(m: Any) -> Iterator[None]:
    m.enable_callback_tracebacks(True)
    try:
        yield
    finally:
        m.enable_callback_tracebacks(False)


def call(connection: Any, function: Any, sql: str = "select f(1)", count: int = 1) -> object:
    connection.create_function("f", count, function)
    return connection.execute(sql).fetchall()


def told(m: Any, work: Callable[[], object]) -> object:
    """Do it with tracebacks on; what is printed or unraisable belongs to the outcome."""
    with tracebacks(m):
        return attempt(work)


each(
    "function",
    memory,
    {
        "arguments": lambda m, c: call(
            c, lambda *a: repr(a), "select f(null, 1, 2.5, 'é', x'00ff', 'a' || char(0))", -1
        ),
        "no arguments": lambda m, c: call(c, lambda: 5, "select f()", 0),
        "wrong count in sql": lambda m, c: call(c, len, "select f(1, 2)"),
        "wrong count in python": lambda m, c: call(c, lambda: 5),
        "fails": lambda m, c: call(c, fail),
        "fails, told": lambda m, c: told(m, lambda: call(c, fail)),
        "too big": lambda m, c: call(c, too_big),
        "out of memory": lambda m, c: call(c, out_of_memory),
        "interrupted": lambda m, c: call(c, interrupted),
        "gives an int too large": lambda m, c: call(c, lambda x: 2**63),
        "gives a lone surrogate": lambda m, c: call(c, lambda x: "\ud8ff"),
        "gives an object": lambda m, c: call(c, lambda x: object()),
        "gives a list": lambda m, c: call(c, lambda x: [1]),
        "gives nan": lambda m, c: call(c, lambda x: float("nan")),
        "gives a bool": lambda m, c: call(c, lambda x: True),
        "gives nothing": lambda m, c: call(c, lambda x: None),
        "gives bytes": lambda m, c: call(c, lambda x: b"a\0b"),
        "gives a memoryview": lambda m, c: call(c, lambda x: memoryview(b"abc")[1:]),
        "gets undecodable text": lambda m, c: call(c, repr, "select f(cast(x'ff' as text))"),
        "gets text with nul": lambda m, c: call(c, repr, "select f(cast(x'610062' as text))"),
        "fails in a where": lambda m, c: call(c, fail, "select 1 where f(1)"),
        "fails in a later row": lambda m, c: [
            c.create_function("f", 1, lambda x: 1 // (2 - x)),
            attempt(lambda: c.execute("select f(value) from json_each('[1, 2, 3]')").fetchall()),
        ],
        "removed": lambda m, c: [
            call(c, lambda x: 5),
            c.create_function("f", 1, None),
            type(attempt(c.execute, "select f(1)")).__name__,  # the stdlib still finds it
        ],
        "replaced": lambda m, c: [call(c, lambda x: 5), call(c, lambda x: 6)],
        "by arity": lambda m, c: [
            c.create_function("f", 1, lambda x: "one"),
            c.create_function("f", 2, lambda x, y: "two"),
            c.execute("select f(1), f(1, 2)").fetchone(),
        ],
        "keywords": lambda m, c: [
            attempt(c.create_function, name="f", narg=1, func=lambda x: 5),
            attempt(lambda: c.execute("select f(1)").fetchone()),
        ],
        "deterministic": lambda m, c: [
            c.create_function("f", 1, abs, deterministic=True),
            c.execute("create table t(x)") is None,
            attempt(c.execute, "create index i on t(f(x))"),
        ],
        "not deterministic": lambda m, c: [
            c.create_function("f", 1, abs),
            c.execute("create table t(x)") is None,
            attempt(c.execute, "create index i on t(f(x))"),
        ],
        "overrides a builtin": lambda m, c: [
            c.create_function("lower", 1, lambda x: "mine"),
            c.execute("select lower('X')").fetchone(),
        ],
        "unicode name": lambda m, c: [
            c.create_function("größe", 1, lambda x: x),
            c.execute("select größe(3)").fetchone(),
        ],
        "created while a statement runs": lambda m, c: [
            c.execute("select 1 union all select 2").fetchone(),
            attempt(c.create_function, "f", 1, len),
        ],
        "replaced while it runs": lambda m, c: attempt(replaced_while_running, c),
        "executes on its connection": lambda m, c: call(c, lambda x: c.execute("select 7").fetchone()[0]),
        "commits on its connection": lambda m, c: [
            attempt(call, c, lambda x: c.commit()),
            c.in_transaction,
        ],
    },
)


def replaced_while_running(connection: Any) -> object:
    cursor = connection.cursor()
    connection.create_function("f", 1, lambda x: x)
    cursor.execute("select f(1) union all select f(2)")
    first = cursor.fetchone()
    return [first, attempt(connection.create_function, "f", 1, lambda x: -x), attempt(cursor.fetchall)]


class Total:
    def __init__(self) -> None:
        self.values: list[object] = []

    def step(self, *values: object) -> None:
        self.values.extend(values)

    def value(self) -> object:
        return repr(self.values)

    def inverse(self, *values: object) -> None:
        del self.values[: len(values)]

    finalize: Any = value


def aggregate(connection: Any, kind: Any, where: str = "") -> object:
    connection.create_aggregate("total", 1, kind)
    return connection.execute(f"select total(id) from t {where}").fetchall()


def variant(**methods: Any) -> type:
    return type("Variant", (Total,), methods)


class Bare:
    pass


each(
    "aggregate",
    table,
    {
        "works": lambda m, c: aggregate(c, Total),
        "of no rows": lambda m, c: aggregate(c, Total, "where id > 10"),
        "grouped": lambda m, c: [
            c.create_aggregate("total", 1, Total),
            c.execute("select total(id) from t group by id % 2").fetchall(),
        ],
        "init fails": lambda m, c: aggregate(c, variant(__init__=fail)),
        "step fails": lambda m, c: aggregate(c, variant(step=fail)),
        "finalize fails": lambda m, c: aggregate(c, variant(finalize=fail)),
        "step fails, told": lambda m, c: told(m, lambda: aggregate(c, variant(step=fail))),
        "finalize fails, told": lambda m, c: told(m, lambda: aggregate(c, variant(finalize=fail))),
        "step overflows": lambda m, c: aggregate(c, variant(step=too_big)),
        "finalize lacks memory": lambda m, c: aggregate(c, variant(finalize=out_of_memory)),
        "without methods": lambda m, c: aggregate(c, Bare),
        "without step": lambda m, c: aggregate(c, type("A", (), {"finalize": lambda self: 1})),
        "without finalize": lambda m, c: aggregate(c, type("A", (), {"step": lambda *a: None})),
        "finalize gives an object": lambda m, c: aggregate(c, variant(finalize=lambda self: object())),
        "finalize gives too much": lambda m, c: aggregate(c, variant(finalize=lambda self: 2**63)),
        "step takes too few": lambda m, c: aggregate(c, variant(step=lambda self: None)),
        "not callable": lambda m, c: aggregate(c, 5),
        "removed": lambda m, c: [
            c.create_aggregate("product", 1, Total),
            c.create_aggregate("product", 1, None),
            type(attempt(c.execute, "select product(id) from t")).__name__,
        ],
        "keywords": lambda m, c: attempt(c.create_aggregate, name="product", n_arg=1, aggregate_class=Total),
        "any number of arguments": lambda m, c: [
            c.create_aggregate("gather", -1, Total),
            c.execute("select gather(id, x) from t").fetchone(),
        ],
    },
)


def window(connection: Any, kind: Any) -> object:
    connection.create_window_function("total", 1, kind)
    sql = "select total(id) over (order by id rows between 1 preceding and current row) from t"
    return connection.execute(sql).fetchall()


each(
    "window",
    table,
    {
        "works": lambda m, c: window(c, Total),
        "as an aggregate": lambda m, c: [
            c.create_window_function("total", 1, Total),
            c.execute("select total(id) from t").fetchall(),
        ],
        "init fails": lambda m, c: window(c, variant(__init__=fail)),
        "step fails": lambda m, c: window(c, variant(step=fail)),
        "value fails": lambda m, c: window(c, variant(value=fail)),
        "inverse fails": lambda m, c: window(c, variant(inverse=fail)),
        "finalize fails": lambda m, c: window(c, variant(finalize=fail)),
        "value fails, told": lambda m, c: told(m, lambda: window(c, variant(value=fail))),
        "inverse fails, told": lambda m, c: told(m, lambda: window(c, variant(inverse=fail))),
        "without methods": lambda m, c: window(c, Bare),
        "without value": lambda m, c: window(c, variant(value=None)),
        "value gives an object": lambda m, c: window(c, variant(value=lambda self: object())),
        "removed": lambda m, c: [
            c.create_window_function("sumup", 1, Total),
            c.create_window_function("sumup", 1, None),
            attempt(c.execute, "select sumup(id) over () from t"),
        ],
    },
    min_python=(3, 11),
)


def collate(connection: Any, compare: Any, name: str = "mine") -> object:
    connection.create_collation(name, compare)
    return connection.execute(f'select x from t order by x collate "{name}"').fetchall()


each(
    "collation",
    table,
    {
        "works": lambda m, c: collate(c, lambda a, b: (a < b) - (a > b)),
        "gives large ints": lambda m, c: collate(c, lambda a, b: ((a < b) - (a > b)) * 2**80),
        "gives floats": lambda m, c: collate(c, lambda a, b: 1.5),
        "gives nothing": lambda m, c: collate(c, lambda a, b: None),
        "fails": lambda m, c: collate(c, fail),
        "fails, told": lambda m, c: told(m, lambda: collate(c, fail)),
        "one argument": lambda m, c: collate(c, lambda a: 0),
        "gets unicode": lambda m, c: [
            c.execute("insert into t(x) values ('é')") is None,
            collate(c, lambda a, b: (a > b) - (a < b)),
        ],
        "unicode name": lambda m, c: collate(c, lambda a, b: (a > b) - (a < b), "größe"),
        "unknown": lambda m, c: c.execute("select x from t order by x collate unknown"),
        "removed": lambda m, c: [
            collate(c, lambda a, b: 0),
            c.create_collation("mine", None),
            attempt(c.execute, "select x from t order by x collate mine"),
        ],
        "str subclass": lambda m, c: collate(c, lambda a, b: (a > b) - (a < b), type("Name", (str,), {})("mine")),
        "upper() lies": lambda m, c: attempt(
            collate, c, lambda a, b: 0, type("Name", (str,), {"upper": lambda self: 5})("mine")
        ),
    },
)


def authorized(connection: Any, authorizer: Any, sql: str = "select x from t") -> object:
    connection.set_authorizer(authorizer)
    return attempt(lambda: connection.execute(sql).fetchall())


def seen_by_authorizer(m: Any, connection: Any, sql: str) -> object:
    seen: list[object] = []

    def authorizer(*arguments: object) -> Any:
        seen.append(arguments)
        return m.SQLITE_OK

    authorized(connection, authorizer, sql)
    return seen


each(
    "authorizer",
    table,
    {
        "sees a select": lambda m, c: seen_by_authorizer(m, c, "select x from t where id = 1"),
        "sees an insert": lambda m, c: seen_by_authorizer(m, c, "insert into t(x) values (1)"),
        "sees a function": lambda m, c: seen_by_authorizer(m, c, "select abs(1)"),
        "sees a pragma": lambda m, c: seen_by_authorizer(m, c, "pragma user_version = 3"),
        "sees begin": lambda m, c: seen_by_authorizer(m, c, "begin"),
        "denies": lambda m, c: authorized(c, lambda *a: m.SQLITE_DENY),
        "denies a column": lambda m, c: authorized(c, lambda op, a, b, *r: m.SQLITE_DENY if b == "x" else m.SQLITE_OK),
        "ignores a column": lambda m, c: authorized(
            c, lambda op, a, b, *r: m.SQLITE_IGNORE if b == "x" else m.SQLITE_OK
        ),
        "fails": lambda m, c: authorized(c, fail),
        "fails, told": lambda m, c: told(m, lambda: authorized(c, fail)),
        "gives text": lambda m, c: authorized(c, lambda *a: "ok"),
        "gives nothing": lambda m, c: authorized(c, lambda *a: None),
        "gives a large int": lambda m, c: authorized(c, lambda *a: 2**40),
        "gives an unknown code": lambda m, c: authorized(c, lambda *a: 77),
        "gives a bool": lambda m, c: authorized(c, lambda *a: False),
        "too few arguments": lambda m, c: authorized(c, lambda: 0),
        "not callable": lambda m, c: authorized(c, 5),
        "removed": lambda m, c: [authorized(c, fail), attempt(authorized, c, None)],
        "keyword": lambda m, c: attempt(c.set_authorizer, authorizer_callback=None),
        "asks again for a kept statement": lambda m, c: [
            c.execute("select x from t").fetchone(),
            authorized(c, lambda *a: m.SQLITE_DENY),
        ],
    },
)

LONG = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 500) select i from n"


def progressed(connection: Any, handler: Any, steps: int = 1) -> object:
    connection.set_progress_handler(handler, steps)
    return attempt(lambda: len(connection.execute(LONG).fetchall()))


def calls_of_progress(connection: Any) -> int:
    calls: list[None] = []
    progressed(connection, lambda: calls.append(None))
    return len(calls)


each(
    "progress",
    memory,
    {
        "is called": lambda m, c: calls_of_progress(c) > 100,
        "interrupts": lambda m, c: progressed(c, lambda: 1),
        "true interrupts": lambda m, c: progressed(c, lambda: True),
        "none goes on": lambda m, c: progressed(c, lambda: None),
        "text interrupts": lambda m, c: progressed(c, lambda: "x"),
        "fails": lambda m, c: progressed(c, fail),
        "fails, told": lambda m, c: told(m, lambda: progressed(c, fail)),
        "bool fails": lambda m, c: progressed(c, lambda: type("B", (), {"__bool__": fail})()),
        "bool fails, told": lambda m, c: told(m, lambda: progressed(c, lambda: type("B", (), {"__bool__": fail})())),
        "removed": lambda m, c: [progressed(c, fail), progressed(c, None)],
        "never when nought": lambda m, c: progressed(c, fail, 0),
        "never when negative": lambda m, c: progressed(c, fail, -1),
        "keyword": lambda m, c: attempt(c.set_progress_handler, progress_handler=None, n=1),
    },
)


def traced(connection: Any, *statements: Any) -> object:
    seen: list[object] = []
    connection.set_trace_callback(seen.append)
    for statement in statements:
        attempt(connection.execute, *statement)
    connection.set_trace_callback(None)
    return seen


each(
    "trace",
    table,
    {
        "plain": lambda m, c: traced(c, ("select 1",)),
        "expands": lambda m, c: traced(c, ("select ?, :b", ("it's é", b"\0"))),
        "dml begins": lambda m, c: traced(c, ("insert into t(x) values (?)", (1,))),
        "failing statement": lambda m, c: traced(c, ("insert into t(id) values (1)",), ("nonsense",)),
        "fails": lambda m, c: [c.set_trace_callback(fail), c.execute("select 1").fetchall()],
        "fails, told": lambda m, c: told(m, lambda: [c.set_trace_callback(fail), c.execute("select 1").fetchall()]),
        "not callable": lambda m, c: [c.set_trace_callback(5), c.execute("select 1").fetchall()],
        "keyword": lambda m, c: attempt(c.set_trace_callback, trace_callback=None),
        "executemany": lambda m, c: (
            lambda seen: [
                c.set_trace_callback(seen.append),
                c.executemany("insert into t(x) values (?)", "de").rowcount,
                c.commit(),
                seen,
            ]
        )([]),
        "executescript": lambda m, c: (
            lambda seen: [
                c.set_trace_callback(seen.append),
                c.executescript("select 1; -- two\n select 2;").rowcount,
                seen,
            ]
        )([]),
        "long text": lambda m, c: [len(str(s)) for s in traced_list(c, "x" * 3000)],
    },
)


def traced_list(connection: Any, value: str) -> list[object]:
    found = traced(connection, ("select ?", (value,)))
    assert isinstance(found, list)
    return found


@since(3, 11)
def trace_of_text_beyond_the_limit(m: Any) -> object:
    con = memory(m)
    con.setlimit(m.SQLITE_LIMIT_LENGTH, 40)
    return told(m, lambda: traced(con, ("select ?", ("x" * 38,))))


@case
def interrupt_ends_a_running_statement(m: Any) -> object:
    con = memory(m)
    con.create_function("stop", 0, con.interrupt)
    return [attempt(lambda: con.execute("select stop() union all select 1").fetchall())]


@case
def interrupt_of_nothing(m: Any) -> object:
    con = memory(m)
    return [con.interrupt(), con.execute("select 1").fetchall()]


@case
def callbacks_are_let_go(m: Any) -> object:
    import weakref

    class Callback:
        def __call__(self, *_: object) -> int:
            return 0

    con = memory(m)
    made = [Callback() for _ in range(5)]
    alive = [weakref.ref(callback) for callback in made]
    con.create_function("f", 1, made[0])
    con.create_collation("c", made[1])
    con.set_authorizer(made[2])
    con.set_progress_handler(made[3], 5)
    con.set_trace_callback(made[4])
    made.clear()
    held = [ref() is not None for ref in alive]
    con.close()
    del con
    return [held, [ref() is None for ref in alive]]


newer(
    __name__,
    "function: out of memory",
    "aggregate: finalize lacks memory",
    "aggregate: without methods",
    "aggregate: without step",
    "authorizer: removed",
)
