"""Whole databases and their parts: blobs, serialize, backup, dump, limits, configuration."""

import io
import os
from typing import Any

from against import attempt, case, each, memory, newer, put, since, table


def blob_of(m: Any, content: bytes = b"0123456789", **options: Any) -> Any:
    con = memory(m)
    con.execute("create table b(x)")
    con.execute("insert into b values (?)", (content,))
    return con.blobopen("b", "x", 1, **options)


def blob(m: Any) -> Any:
    return blob_of(m)


def content(opened: Any) -> object:
    opened.seek(0)
    return opened.read()


def change(opened: Any, key: object, value: object) -> object:
    return [attempt(opened.__setitem__, key, value), content(opened)]


each(
    "blob",
    blob,
    {
        "length": lambda m, b: len(b),
        "read": lambda m, b: [b.read(3), b.tell(), b.read(), b.tell(), b.read(), b.read(5)],
        "read nought": lambda m, b: [b.read(0), b.tell()],
        "read negative": lambda m, b: [b.read(-1), b.read(-7)],
        "read too much": lambda m, b: [b.seek(8), b.read(50)],
        "read text": lambda m, b: b.read("1"),
        "read none": lambda m, b: b.read(None),
        "read keyword": lambda m, b: b.read(length=2),
        "read huge": lambda m, b: b.read(2**40),
        "write": lambda m, b: [b.write(b"abc"), b.tell(), content(b)],
        "write in the middle": lambda m, b: [b.seek(5), b.write(b"ab"), content(b)],
        "write too much": lambda m, b: [attempt(b.write, b"x" * 11), b.tell(), content(b)],
        "write over the end": lambda m, b: [b.seek(9), attempt(b.write, b"xy"), content(b)],
        "write nothing": lambda m, b: [b.write(b""), b.tell()],
        "write text": lambda m, b: b.write("abc"),
        "write bytearray": lambda m, b: [b.write(bytearray(b"ab")), content(b)],
        "write memoryview": lambda m, b: [b.write(memoryview(b"abcd")[::1]), content(b)],
        "write steps": lambda m, b: b.write(memoryview(b"abcd")[::2]),
        "write nothing at all": lambda m, b: b.write(),
        "seek": lambda m, b: [b.seek(4), b.tell(), b.seek(2, 1), b.tell(), b.seek(-3, 2), b.tell()],
        "seek to the end": lambda m, b: [b.seek(0, os.SEEK_END), b.tell(), b.read()],
        "seek before": lambda m, b: b.seek(-1),
        "seek beyond": lambda m, b: b.seek(11),
        "seek before from the end": lambda m, b: b.seek(-11, os.SEEK_END),
        "seek overflow": lambda m, b: [b.seek(1), attempt(b.seek, 2**31 - 1, os.SEEK_CUR)],
        "seek huge": lambda m, b: b.seek(2**40),
        "seek from nowhere": lambda m, b: b.seek(0, 5),
        "seek text": lambda m, b: b.seek("x"),
        "seek nothing": lambda m, b: b.seek(),
        "item": lambda m, b: [b[0], b[9], b[-1], b[-10], b.tell()],
        "item too large": lambda m, b: b[10],
        "item too small": lambda m, b: b[-11],
        "item huge": lambda m, b: b[2**70],
        "item float": lambda m, b: b[1.0],
        "item text": lambda m, b: b["x"],
        "item none": lambda m, b: b[None],
        "item bool": lambda m, b: b[True],
        "slice": lambda m, b: [b[2:5], b[-3:], b[:], b[5:2], b[20:]],
        "slice with step": lambda m, b: [b[::2], b[1:9:4], b[7::20]],
        "slice step nought": lambda m, b: b[::0],
        "slice of text": lambda m, b: b[slice("a", "b")],
        "set item": lambda m, b: change(b, 0, 65),
        "set item negative": lambda m, b: change(b, -1, 65),
        "set item too large": lambda m, b: change(b, 10, 1),
        "set item 256": lambda m, b: change(b, 0, 256),
        "set item -1": lambda m, b: change(b, 0, -1),
        "set item huge": lambda m, b: change(b, 0, 2**70),
        "set item text": lambda m, b: change(b, 0, "a"),
        "set item bytes": lambda m, b: change(b, 0, b"a"),
        "set item float": lambda m, b: change(b, 0, 1.0),
        "set item none": lambda m, b: change(b, 0, None),
        "set text item": lambda m, b: change(b, "a", 1),
        "set slice": lambda m, b: change(b, slice(1, 4), b"abc"),
        "set slice with step": lambda m, b: change(b, slice(0, 10, 3), b"abcd"),
        "set slice too short": lambda m, b: change(b, slice(1, 4), b"ab"),
        "set slice too long": lambda m, b: change(b, slice(1, 4), b"abcd"),
        "set slice empty": lambda m, b: change(b, slice(3, 3), b""),
        "set slice step nought": lambda m, b: change(b, slice(0, 5, 0), b"x"),
        "set slice text": lambda m, b: change(b, slice(0, 1), "a"),
        "set slice number": lambda m, b: change(b, slice(0, 1), 5),
        "set slice bytearray": lambda m, b: change(b, slice(0, 2), bytearray(b"xy")),
        "set slice of itself": lambda m, b: change(b, slice(0, 2), b[2:4]),
        "delete item": lambda m, b: b.__delitem__(0),
        "delete slice": lambda m, b: b.__delitem__(slice(0, 1)),
        "iterate": lambda m, b: list(b),
        "contains": lambda m, b: 48 in b,
        "add": lambda m, b: b + b"x",
        "multiply": lambda m, b: b * 2,
        "equal": lambda m, b: [b == b, b == b"0123456789", b != b],
        "hash": lambda m, b: isinstance(hash(b), int),
        "repr": lambda m, b: repr(b),
        "bool": lambda m, b: [bool(b), bool(blob_of(m, b""))],
        "bytes": lambda m, b: bytes(b),
        "memoryview": lambda m, b: memoryview(b),
        "with": lambda m, b: [b.__enter__() is b, b.__exit__(None, None, None), attempt(b.read)],
        "with an error": lambda m, b: [b.__exit__(ValueError, ValueError("x"), None)],
        "with wrong arguments": lambda m, b: b.__exit__(),
        "close twice": lambda m, b: [b.close(), b.close()],
        "as a file": lambda m, b: io.BufferedReader(b),
        "attribute": lambda m, b: put(b, "x", 1),
        "subclass": lambda m, b: type("Mine", (m.Blob,), {}),
        "empty": lambda m, b: (lambda e: [len(e), e.read(), e[:], attempt(lambda: e[0])])(blob_of(m, b"")),
        "read-only write": lambda m, b: attempt(blob_of(m, readonly=True).write, b"x"),
        "read-only set item": lambda m, b: change(blob_of(m, readonly=True), 0, 1),
        "read-only set slice": lambda m, b: change(blob_of(m, readonly=True), slice(0, 1), b"x"),
        "missing row": lambda m, b: opened(m, "b", "x", 2),
        "missing table": lambda m, b: opened(m, "missing", "x", 1),
        "missing column": lambda m, b: opened(m, "b", "y", 1),
        "missing database": lambda m, b: opened(m, "b", "x", 1, name="other"),
        "of a number": lambda m, b: opened(m, "n", "x", 1),
        "of text": lambda m, b: opened(m, "n", "y", 1),
        "of an index column": lambda m, b: opened(m, "n", "z", 1),
        "of a view": lambda m, b: opened(m, "v", "x", 1),
    },
    min_python=(3, 11),
)


def opened(m: Any, *arguments: Any, **options: Any) -> object:
    con = memory(m)
    con.executescript(
        "create table b(x); insert into b values (x'00');"
        "create table n(x, y, z unique); insert into n values (1, 'text', x'00');"
        "create view v as select * from b;"
    )
    found = attempt(con.blobopen, *arguments, **options)
    return found if isinstance(found, Exception) else found.read()  # type: ignore[attr-defined]


@since(3, 11)
def blob_writes_count_as_changes_of_a_transaction(m: Any) -> object:
    opened = blob(m)
    return opened.write(b"x")


@since(3, 11)
def serialized_database_opens_again(m: Any) -> object:
    con = table(m)
    data = con.serialize()
    other = memory(m)
    other.deserialize(data)
    return [
        len(data) % 512,
        data[:15],
        other.execute("select x from t").fetchall(),
        other.execute("insert into t(x) values ('d')").rowcount,
        type(data).__name__,
    ]


@since(3, 11)
def serialize_of_attached(m: Any) -> object:
    con = table(m)
    con.execute("attach ':memory:' as side")
    con.execute("create table side.t(x)")
    return [len(con.serialize(name="side")) > 0, attempt(con.serialize, name="other")]


@since(3, 11)
def deserialize_replaces_what_was_there(m: Any) -> object:
    con = table(m)
    empty = memory(m)
    empty.execute("create table other(y)")
    con.deserialize(bytearray(empty.serialize()))
    return [attempt(con.execute, "select * from t"), con.execute("select * from other").fetchall()]


def steps_of_backup(m: Any, source: Any, target: Any, **options: Any) -> object:
    seen: list[tuple[int, ...]] = []

    def progress(*status: int) -> None:
        seen.append(status)
        if len(seen) > 5:  # a busy database would be tried for ever
            raise ZeroDivisionError("enough")

    error = attempt(source.backup, target, progress=progress, sleep=0.001, **options)
    return [error, seen, attempt(lambda: target.execute("select x from t").fetchall())]


def fail(*_: object) -> Any:
    raise ZeroDivisionError("from the callback")


each(
    "backup",
    table,
    {
        "all": lambda m, c: steps_of_backup(m, c, memory(m)),
        "page by page": lambda m, c: steps_of_backup(m, c, memory(m), pages=1),
        "nought pages": lambda m, c: steps_of_backup(m, c, memory(m), pages=0),
        "negative pages": lambda m, c: steps_of_backup(m, c, memory(m), pages=-5),
        "many pages": lambda m, c: steps_of_backup(m, c, memory(m), pages=500),
        "progress fails": lambda m, c: c.backup(memory(m), pages=1, progress=fail),
        "progress none": lambda m, c: c.backup(memory(m), progress=None),
        "progress of one argument": lambda m, c: c.backup(memory(m), progress=lambda a: None),
        "target keyword": lambda m, c: c.backup(target=memory(m)),
        "target closed": lambda m, c: (lambda t: [t.close(), attempt(c.backup, t)])(memory(m)),
        "target within a transaction": lambda m, c: (
            lambda t: [t.execute("delete from t").rowcount, attempt(c.backup, t)]
        )(table(m)),
        "source within a transaction": lambda m, c: [
            c.execute("delete from t").rowcount,
            steps_of_backup(m, c, memory(m)),
        ],
        "attached": lambda m, c: [
            c.executescript("attach ':memory:' as side; create table side.u(x)").rowcount,
            attempt(c.backup, memory(m), name="side"),
            attempt(c.backup, memory(m), name="other"),
            attempt(c.backup, memory(m), name="temp"),
        ],
        "name with nul": lambda m, c: c.backup(memory(m), name="a\0b"),
        "name surrogate": lambda m, c: c.backup(memory(m), name="\ud8ff"),
        "to a file": lambda m, c: [
            c.backup(m.connect("copy.db")),
            m.connect("copy.db").execute("select x from t").fetchall(),
        ],
        "to a read-only file": lambda m, c: [
            c.backup(m.connect("copy.db")),
            attempt(c.backup, m.connect("file:copy.db?mode=ro", uri=True)),
        ],
        "to a locked file": lambda m, c: (
            lambda holder: [
                holder.execute("begin exclusive").rowcount,
                attempt(c.backup, m.connect("copy.db", timeout=0), sleep=0.001, progress=fail),
            ]
        )(m.connect("copy.db")),
    },
)

SCHEMA = """
    create table "odd name"(a integer primary key autoincrement, b text default 'x''y', c blob);
    create table plain(x, y, unique (x, y));
    create index i on plain(y);
    create view v as select x from plain;
    create trigger r after insert on plain begin select 1; end;
    insert into "odd name"(b, c) values ('a''b', x'00ff'), (null, 'é'), ('two
    lines', 1.5), (9223372036854775807, -1);
    insert into plain values (0.25, ''), (x'', null);
"""


@case
def dump(m: Any) -> object:
    con = memory(m)
    con.executescript(SCHEMA)
    return list(con.iterdump())


@case
def dump_is_a_generator(m: Any) -> object:
    dumped = table(m).iterdump()
    return [type(dumped).__name__, next(dumped), next(dumped)]


@case
def dump_can_be_loaded(m: Any) -> object:
    con, other = memory(m), memory(m)
    con.executescript(SCHEMA)
    other.executescript("".join(con.iterdump()))
    return other.execute('select * from "odd name"').fetchall()


@case
def dump_with_a_row_factory(m: Any) -> object:
    con = table(m)
    con.row_factory = m.Row
    return list(con.iterdump())


@case
def dump_with_another_text_factory(m: Any) -> object:
    con = table(m)
    con.text_factory = bytes
    return attempt(lambda: list(con.iterdump()))


@case
def dump_of_a_virtual_table(m: Any) -> object:
    con = memory(m)
    con.execute("create virtual table f using fts4(body)")
    con.execute("insert into f values ('words here')")
    return [line for line in con.iterdump() if "CREATE VIRTUAL" in line]


@since(3, 13)
def dump_of_some_tables(m: Any) -> object:
    con = memory(m)
    con.executescript(SCHEMA)
    return [
        list(con.iterdump(filter="pl%")),
        list(con.iterdump(filter="none")),
        attempt(lambda: list(con.iterdump(filter=5))),
        list(con.iterdump(filter=None))[:2],
    ]


LIMITS = [
    *("LENGTH", "SQL_LENGTH", "COLUMN", "EXPR_DEPTH", "COMPOUND_SELECT", "VDBE_OP"),
    *("FUNCTION_ARG", "ATTACHED", "LIKE_PATTERN_LENGTH", "VARIABLE_NUMBER", "TRIGGER_DEPTH"),
    "WORKER_THREADS",
]

each(
    "limit",
    memory,
    {
        name: lambda m, c, name=name: (  # type: ignore[misc]
            lambda kind: [c.getlimit(kind) >= 0, c.setlimit(kind, 50) >= 0, c.getlimit(kind)]
        )(getattr(m, f"SQLITE_LIMIT_{name}"))
        for name in LIMITS
    },
    min_python=(3, 11),
)


@since(3, 11)
def limits_are_capped_and_negative_ones_ignored(m: Any) -> object:
    con = memory(m)
    kind = m.SQLITE_LIMIT_ATTACHED
    con.setlimit(kind, 5)
    return [con.setlimit(kind, -1), con.setlimit(kind, -9), con.getlimit(kind)]


@since(3, 12)
def configuration(m: Any) -> object:
    con = memory(m)
    found = []
    for name in ("FKEY", "TRIGGER", "VIEW", "QPSG"):  # loading of extensions is on in some builds of SQLite
        for option in (f"SQLITE_DBCONFIG_ENABLE_{name}", f"SQLITE_DBCONFIG_{name}"):
            kind = getattr(m, option, None)
            if kind is not None:
                found.append([con.getconfig(kind), con.setconfig(kind), con.getconfig(kind)])
                found.append([con.setconfig(kind, False), con.getconfig(kind)])
    return found


@since(3, 12)
def configuration_takes_effect(m: Any) -> object:
    con = memory(m)
    con.executescript("create table p(id integer primary key); create table q(p references p)")
    found = [attempt(con.execute, "insert into q values (1)").__class__.__name__]
    con.rollback()
    con.setconfig(m.SQLITE_DBCONFIG_ENABLE_FKEY, 5)
    return [*found, con.getconfig(m.SQLITE_DBCONFIG_ENABLE_FKEY), attempt(con.execute, "insert into q values (1)")]


newer(
    __name__,
    "dump_of_a_virtual_table",
)
