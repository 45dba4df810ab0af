"""Values on their way in and out: binding, adapters, converters, text factories, rows."""

import datetime as dt
import sys
import weakref
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from enum import IntEnum
from typing import Any

from against import attempt, case, each, memory, newer, put, since


def echo(connection: Any, value: object) -> object:
    """Send a value through a parameter and back, with the type that the engine saw."""
    return connection.execute("select ?1, typeof(?1)".replace("?1", ":v"), {"v": value}).fetchone()


class Text(str):
    pass


class Number(int):
    pass


class Real(float):
    pass


class Octets(bytes):
    pass


class Colour(IntEnum):
    RED = 1


class WithIndex:
    def __index__(self) -> int:
        return 5


each(
    "bind",
    memory,
    {
        "none": lambda m, c: echo(c, None),
        "true and false": lambda m, c: [echo(c, True), echo(c, False)],
        "largest int": lambda m, c: echo(c, 2**63 - 1),
        "smallest int": lambda m, c: echo(c, -(2**63)),
        "int too large": lambda m, c: echo(c, 2**63),
        "int too small": lambda m, c: echo(c, -(2**63) - 1),
        "int far too large": lambda m, c: echo(c, 10**100),
        "int subclass": lambda m, c: echo(c, Number(7)),
        "int subclass too large": lambda m, c: echo(c, Number(2**70)),
        "int enum": lambda m, c: echo(c, Colour.RED),
        "object with index": lambda m, c: echo(c, WithIndex()),
        "float": lambda m, c: echo(c, 1.5),
        "float subclass": lambda m, c: echo(c, Real(1.5)),
        "infinities": lambda m, c: [echo(c, float("inf")), echo(c, float("-inf"))],
        "nan": lambda m, c: echo(c, float("nan")),
        "negative zero": lambda m, c: echo(c, -0.0),
        "text": lambda m, c: echo(c, "aä€😀"),
        "empty text": lambda m, c: echo(c, ""),
        "text with nul": lambda m, c: echo(c, "a\0b"),
        "text subclass": lambda m, c: echo(c, Text("x")),
        "text with a lone surrogate": lambda m, c: echo(c, "a\ud8ff"),
        "text with escaped bytes": lambda m, c: echo(c, "\udcff"),
        "long text": lambda m, c: c.execute("select length(?)", ("é" * 70000,)).fetchone(),
        "bytes": lambda m, c: echo(c, b"a\0\xff"),
        "empty bytes": lambda m, c: echo(c, b""),
        "bytes subclass": lambda m, c: echo(c, Octets(b"x")),
        "bytearray": lambda m, c: echo(c, bytearray(b"xy")),
        "memoryview": lambda m, c: echo(c, memoryview(b"xyz")[1:]),
        "memoryview with steps": lambda m, c: echo(c, memoryview(b"wxyz")[::2]),
        "released memoryview": lambda m, c: echo(c, released_view()),
        "array": lambda m, c: echo(c, array("H", [1, 2])),
        "decimal": lambda m, c: echo(c, Decimal("1.5")),
        "a class": lambda m, c: echo(c, int),
        "a list": lambda m, c: echo(c, [1]),
        "date": lambda m, c: echo(c, dt.date(2024, 1, 2)),
        "datetime": lambda m, c: echo(c, dt.datetime(2024, 1, 2, 3, 4, 5, 6)),
        "datetime with zone": lambda m, c: echo(c, dt.datetime(2024, 1, 2, 3, 4, tzinfo=dt.timezone.utc)),
        "time": lambda m, c: echo(c, dt.time(1, 2)),
    },
)


def released_view() -> memoryview:
    view = memoryview(b"gone")
    view.release()
    return view


@case
def buffers_may_change_after_binding(m: Any) -> object:
    con = memory(m)
    buffer = bytearray(b"abc")
    cursor = con.execute("select ? union all select ?", (buffer, buffer))
    buffer[:] = b"xyz"
    return [row[0] for row in cursor]


def adapted(m: Any, kind: type, adapter: Any, value: object) -> object:
    m.register_adapter(kind, adapter)
    try:
        return echo(memory(m), value)
    finally:
        m.adapters.pop((kind, m.PrepareProtocol), None)


class Point:
    pass


class Conforming:
    def __init__(self, result: object) -> None:
        self.result = result

    def __conform__(self, protocol: type) -> object:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def fail(*_: object) -> object:
    raise ZeroDivisionError("from the callback")


each(
    "adapter",
    lambda m: None,
    {
        "to text": lambda m, _: adapted(m, Point, lambda p: "point", Point()),
        "to none": lambda m, _: adapted(m, Point, lambda p: None, Point()),
        "to another point": lambda m, _: adapted(m, Point, lambda p: Point(), Point()),
        "fails": lambda m, _: adapted(m, Point, fail, Point()),
        "raises TypeError": lambda m, _: adapted(m, Point, lambda: None, Point()),
        "not callable": lambda m, _: adapted(m, Point, 5, Point()),
        "of int is used": lambda m, _: adapted(m, int, lambda i: f"<{i}>", 5),
        "of int subclass": lambda m, _: adapted(m, Number, lambda i: "number", Number(5)),
        "of str": lambda m, _: adapted(m, str, lambda s: s * 2, "x"),
        "of bool": lambda m, _: adapted(m, bool, lambda b: "yes", True),
        "of none": lambda m, _: adapted(m, type(None), lambda n: "nothing", None),
        "of bytearray": lambda m, _: adapted(m, bytearray, lambda b: "array", bytearray(b"x")),
        "is not inherited": lambda m, _: adapted(m, Text, lambda t: "base", type("T", (Text,), {})("x")),
        "conform": lambda m, _: echo(memory(m), Conforming("conformed")),
        "conform gives none": lambda m, _: echo(memory(m), Conforming(None)),
        "conform fails": lambda m, _: echo(memory(m), Conforming(ZeroDivisionError("no"))),
        "conform raises TypeError": lambda m, _: echo(memory(m), Conforming(TypeError("no"))),
        "adapt calls conform": lambda m, _: m.adapt(Conforming("x"), m.PrepareProtocol),
        "adapt with failing conform": lambda m, _: m.adapt(Conforming(ValueError("v")), None, 1),
        "registered ones": lambda m, _: sorted(kind.__name__ for kind, _p in m.adapters),
        "lookup fails": lambda m, _: attempt(m.adapt, [], []),
    },
)


@contextmanager
def converting(m: Any, **converters: Any) -> Iterator[Any]:
    for name, converter in converters.items():
        m.register_converter(name, converter)
    try:
        yield m.connect(":memory:", detect_types=m.PARSE_DECLTYPES | m.PARSE_COLNAMES)
    finally:
        for name in converters:
            m.converters.pop(name.upper(), None)


def converted(m: Any, declared: str, value: object, converter: Any = repr) -> object:
    with converting(m, shape=converter) as con:
        con.execute(f"create table t(x {declared})")
        con.execute("insert into t values (?)", (value,))
        return con.execute("select x from t").fetchone()


def named(m: Any, column: str, converter: Any = repr) -> object:
    with converting(m, shape=converter) as con:
        cursor = con.execute(f'select 5 as "{column}"')
        return [cursor.description[0][0], cursor.fetchone()]


each(
    "converter",
    lambda m: None,
    {
        "declared": lambda m, _: converted(m, "shape", "v"),
        "declared in capitals": lambda m, _: converted(m, "SHAPE", "v"),
        "declared with size": lambda m, _: converted(m, "shape(10)", "v"),
        "declared with words": lambda m, _: converted(m, "shape of things", "v"),
        "declared otherwise": lambda m, _: converted(m, "reshape", "v"),
        "of null": lambda m, _: converted(m, "shape", None),
        "of int": lambda m, _: converted(m, "shape", 5),
        "of float": lambda m, _: converted(m, "shape", 1.5),
        "of empty blob": lambda m, _: converted(m, "shape", b""),
        "of blob": lambda m, _: converted(m, "shape", b"a\0b"),
        "fails": lambda m, _: converted(m, "shape", "v", fail),
        "gives none": lambda m, _: converted(m, "shape", "v", lambda raw: None),
        "not callable": lambda m, _: converted(m, "shape", "v", 5),
        "named": lambda m, _: named(m, "x [shape]"),
        "named in capitals": lambda m, _: named(m, "x [SHAPE]"),
        "named without blank": lambda m, _: named(m, "x[shape]"),
        "named alone": lambda m, _: named(m, "[shape]"),
        "named and unclosed": lambda m, _: named(m, "x [shape"),
        "named twice": lambda m, _: named(m, "x [other] [shape]"),
        "named with more": lambda m, _: named(m, "x [shape] y"),
        "named empty": lambda m, _: named(m, "x []"),
        "named unknown": lambda m, _: named(m, "x [unknown]"),
        "registered ones": lambda m, _: sorted(m.converters),
    },
)


@case
def colnames_are_cut_only_when_parsed(m: Any) -> object:
    sql = 'select 1 as "x [y]", 2 as "z[y]"'
    return [
        [column[0] for column in m.connect(":memory:", detect_types=kind).execute(sql).description]
        for kind in (0, m.PARSE_DECLTYPES, m.PARSE_COLNAMES)
    ]


def dated(m: Any, kind: str, value: object) -> object:
    con = m.connect(":memory:", detect_types=m.PARSE_DECLTYPES)
    con.execute(f"create table t(x {kind})")
    con.execute("insert into t values (?)", (value,))
    return con.execute("select x from t").fetchone()


each(
    "default converter",
    lambda m: None,
    {
        "date": lambda m, _: dated(m, "date", dt.date(2024, 1, 2)),
        "date from text": lambda m, _: dated(m, "date", "2024-01-02"),
        "date from nonsense": lambda m, _: dated(m, "date", "nonsense"),
        "timestamp": lambda m, _: dated(m, "timestamp", dt.datetime(2024, 1, 2, 3, 4, 5, 6)),
        "timestamp without fraction": lambda m, _: dated(m, "timestamp", "2024-01-02 03:04:05"),
        "timestamp with milliseconds": lambda m, _: dated(m, "timestamp", "2024-01-02 03:04:05.123"),
        "timestamp with nanoseconds": lambda m, _: dated(m, "timestamp", "2024-01-02 03:04:05.123456789"),
        "timestamp from a date": lambda m, _: dated(m, "timestamp", "2024-01-02"),
        "timestamp null": lambda m, _: dated(m, "timestamp", None),
    },
)


def texts(connection: Any, factory: Any, sql: str = "select 'aé', 'x', null, 1, x'ff'") -> object:
    connection.text_factory = factory
    return connection.execute(sql).fetchall()


UNDECODABLE = "select cast(x'61ff62' as text) as x"
each(
    "text_factory",
    memory,
    {
        "str": lambda m, c: texts(c, str),
        "bytes": lambda m, c: texts(c, bytes),
        "bytearray": lambda m, c: texts(c, bytearray),
        "memoryview": lambda m, c: texts(c, memoryview),
        "str subclass": lambda m, c: texts(c, Text),
        "function": lambda m, c: texts(c, lambda raw: raw[::-1]),
        "optimized": lambda m, c: texts(c, getattr(m, "OptimizedUnicode", str)),
        "not callable": lambda m, c: texts(c, 5),
        "none": lambda m, c: texts(c, None),
        "fails": lambda m, c: texts(c, fail),
        "undecodable": lambda m, c: c.execute(UNDECODABLE).fetchall(),
        "undecodable, ignored": lambda m, c: texts(c, lambda raw: raw.decode(errors="ignore"), UNDECODABLE),
        "undecodable as bytes": lambda m, c: texts(c, bytes, UNDECODABLE),
        "undecodable second": lambda m, c: attempt(
            lambda: c.execute(f"select 'a' as a, x from ({UNDECODABLE})").fetchall()
        ),
        "long undecodable": lambda m, c: c.execute(
            "select cast(x'ff' as text) || hex(zeroblob(200)) as name"
        ).fetchall(),
        "nul in text": lambda m, c: texts(c, str, "select cast(x'610062' as text)"),
        "surrogate bytes": lambda m, c: texts(c, str, "select cast(x'eda080' as text)"),
        "changed half-way": lambda m, c: (lambda k: [k.fetchone(), put(c, "text_factory", bytes), k.fetchone()])(
            c.execute("select 'a' union all select 'b' union all select 'c'")
        ),
    },
)

VALUES = "select 1 as a, 'two' as B, null as c, 4.5 as 'a b', x'00' as ä"


def row(m: Any) -> Any:
    con = memory(m)
    con.row_factory = m.Row
    return con.execute(VALUES).fetchone()


def other_row(m: Any, sql: str) -> Any:
    con = memory(m)
    con.row_factory = m.Row
    return con.execute(sql).fetchone()


each(
    "row",
    row,
    {
        "index": lambda m, r: [r[0], r[4], r[-1], r[-5]],
        "index too large": lambda m, r: r[5],
        "index too small": lambda m, r: r[-6],
        "index huge": lambda m, r: r[2**70],
        "index huge and negative": lambda m, r: r[-(2**70)],
        "index bool": lambda m, r: r[True],
        "index object": lambda m, r: r[WithIndex()],
        "index int subclass": lambda m, r: r[Number(1)],
        "index float": lambda m, r: r[1.0],
        "index none": lambda m, r: r[None],
        "index bytes": lambda m, r: r[b"a"],
        "index tuple": lambda m, r: r[0, 1],
        "name": lambda m, r: [r["a"], r["B"], r["a b"], r["ä"]],
        "name in other case": lambda m, r: [r["A"], r["b"], r["A B"]],
        "name in other case, not ascii": lambda m, r: r["Ä"],
        "name unknown": lambda m, r: r["x"],
        "name empty": lambda m, r: r[""],
        "name surrogate": lambda m, r: r["\ud8ff"],
        "name with nul": lambda m, r: r["a\0"],
        "name subclass": lambda m, r: r[Text("a")],
        "slice": lambda m, r: [r[1:3], r[::-1], r[:], r[9:], r[::2]],
        "slice with names": lambda m, r: r[slice("a", "b")],
        "slice step nought": lambda m, r: r[::0],
        "length": lambda m, r: len(r),
        "iterate": lambda m, r: [*r, *reversed(r)],
        "unpack": lambda m, r: (lambda a, *rest: [a, rest])(*r),
        "contains value": lambda m, r: ["two" in r, "a" in r, None in r],
        "keys": lambda m, r: r.keys(),
        "keys argument": lambda m, r: r.keys(1),
        "dict": lambda m, r: dict(r),
        "tuple and list": lambda m, r: [tuple(r), list(r)],
        "equal to tuple": lambda m, r: [r == tuple(r), r != tuple(r), tuple(r) == r],
        "equal to the same": lambda m, r: [r == row(m), r != row(m), hash(r) == hash(row(m))],
        "equal with other names": lambda m, r: [
            other_row(m, "select 1 as a") == other_row(m, "select 1 as b"),
            other_row(m, "select 1 as a") == other_row(m, "select 1 as A"),
            other_row(m, "select 1 as a") == other_row(m, "select 2 as a"),
        ],
        "equal to others": lambda m, r: [r == None, r == 5, r == [*r]],  # noqa: E711
        "ordered": lambda m, r: r < r,
        "hash": lambda m, r: hash(r) == hash(r),
        "repr": lambda m, r: repr(r),
        "str and format": lambda m, r: [str(r), f"{r}"],
        "bool": lambda m, r: [bool(r), bool(m.Row(memory(m).execute("select 1"), ()))],
        "assign item": lambda m, r: r.__setitem__(0, 1),
        "delete item": lambda m, r: r.__delitem__(0),
        "assign attribute": lambda m, r: put(r, "x", 1),
        "attribute": lambda m, r: r.a,
        "add": lambda m, r: r + r,
        "multiply": lambda m, r: r * 2,
        "index method": lambda m, r: r.index(1),
        "is a sequence": lambda m, r: isinstance(r, __import__("collections.abc").abc.Sequence),
        "is a tuple": lambda m, r: isinstance(r, tuple),
        "weak reference": lambda m, r: weakref.ref(r),
        "pattern": lambda m, r: matched(r),
        "data shorter than names": lambda m, r: m.Row(memory(m).execute("select 1 as a, 2 as b"), (1,))["b"],
        "of a cursor without result": lambda m, r: m.Row(memory(m).cursor(), (1, 2))["a"],
        "double names": lambda m, r: other_row(m, "select 1 as x, 2 as x")["x"],
        "subclass": lambda m, r: type("Mine", (m.Row,), {})(memory(m).execute("select 1 as a"), (1,))["a"],
        "size": lambda m, r: sys.getsizeof(r) > 0,
    },
)


def matched(value: object) -> str:
    match value:
        case [first, *_]:
            return f"sequence from {first}"
        case _:
            return "no sequence"


each(
    "row_factory",
    memory,
    {
        "tuple": lambda m, c: with_factory(c, lambda k, r: r),
        "dict": lambda m, c: with_factory(c, lambda k, r: {d[0]: v for d, v in zip(k.description, r, strict=True)}),
        "not callable": lambda m, c: with_factory(c, 5),
        "fails": lambda m, c: with_factory(c, fail),
        "one argument": lambda m, c: with_factory(c, lambda k: k),
        "class": lambda m, c: with_factory(c, m.Row),
        "subclass of row": lambda m, c: with_factory(c, type("Mine", (m.Row,), {})),
        "cursor first": lambda m, c: with_factory(c, lambda k, r: [type(k) is m.Cursor, k.rowcount]),
        "on the cursor": lambda m, c: (lambda k: [put(k, "row_factory", m.Row), k.execute("select 1 as a").fetchone()])(
            c.cursor()
        ),
        "taken over when the cursor is made": lambda m, c: (
            lambda k: [put(c, "row_factory", m.Row), k.execute("select 1 as a").fetchone()]
        )(c.cursor()),
        "changed half-way": lambda m, c: (lambda k: [k.fetchone(), put(k, "row_factory", m.Row), *k])(
            c.execute("select 1 as a union all select 2 union all select 3")
        ),
        "cursor factory": lambda m, c: [
            put(c, "row_factory", m.Row),
            c.cursor(type("Mine", (m.Cursor,), {})).execute("select 1 as a").fetchall(),
        ],
    },
)


def with_factory(connection: Any, factory: Any) -> object:
    connection.row_factory = factory
    cursor = connection.execute(VALUES)
    return [attempt(cursor.fetchone), cursor.fetchall()]


@since(3, 11)
def values_of_a_function_result(m: Any) -> object:
    con = memory(m)
    results: list[object] = [None, 5, 2**63, 1.5, "é", "a\0b", "\ud8ff", b"x", bytearray(b"y"), []]
    found = []
    for value in results:
        con.create_function("f", 0, lambda value=value: value)
        found.append(attempt(lambda: con.execute("select f(), typeof(f())").fetchone()))
    return found


newer(
    __name__,
    "bind: released memoryview",
    "text_factory: changed half-way",
    "row_factory: not callable",
    "row_factory: fails",
    "row_factory: one argument",
)
