"""Wrong types, counts and keywords of arguments, for each constructor and method."""

import sqlite3
from typing import Any

from against import attempt, case, each, memory, newer, put, since, table


def module(m: Any) -> Any:
    return m


each(
    "connect",
    module,
    {
        "no argument": lambda m, _: m.connect(),
        "number as path": lambda m, _: m.connect(5),
        "none as path": lambda m, _: m.connect(None),
        "bytes path": lambda m, _: m.connect(b":memory:").execute("select 1").fetchall(),
        "keyword path": lambda m, _: m.connect(database=":memory:").total_changes,
        "unknown keyword": lambda m, _: m.connect(":memory:", colour=1),
        "nul in path": lambda m, _: m.connect("a\0b"),
        "surrogate in path": lambda m, _: m.connect("a\udc80b").close(),
        "bad surrogate in path": lambda m, _: m.connect("a\ud800b"),
        "timeout text": lambda m, _: m.connect(":memory:", timeout="soon"),
        "timeout none": lambda m, _: m.connect(":memory:", timeout=None),
        "detect_types text": lambda m, _: m.connect(":memory:", detect_types="x"),
        "detect_types huge": lambda m, _: m.connect(":memory:", detect_types=2**40),
        "isolation_level number": lambda m, _: m.connect(":memory:", isolation_level=1),
        "isolation_level unknown": lambda m, _: m.connect(":memory:", isolation_level="SOON"),
        "isolation_level nul": lambda m, _: m.connect(":memory:", isolation_level="a\0b"),
        "isolation_level surrogate": lambda m, _: m.connect(":memory:", isolation_level="\ud8ff"),
        "cached_statements text": lambda m, _: m.connect(":memory:", cached_statements="x"),
        "cached_statements huge": lambda m, _: m.connect(":memory:", cached_statements=2**40),
        "cached_statements none at all": lambda m, _: (
            m.connect(":memory:", cached_statements=0).execute("select 1").fetchall()
        ),
        "cached_statements negative": lambda m, _: (
            m.connect(":memory:", cached_statements=-5).execute("select 1").fetchall()
        ),
        "factory none": lambda m, _: m.connect(":memory:", factory=None),
        "factory gives another type": lambda m, _: m.connect(":memory:", factory=lambda *a, **k: 7),
        "factory gets": lambda m, _: m.connect("x", timeout=3, uri=False, factory=lambda *a, **k: [a, sorted(k)]),
        "folder that is missing": lambda m, _: m.connect("no/such/folder.db"),
        "a folder": lambda m, _: m.connect("."),
        "uri of an unknown mode": lambda m, _: m.connect("file:x?mode=zz", uri=True),
        "uri read-only and missing": lambda m, _: m.connect("file:x.db?mode=ro", uri=True),
    },
)

each(
    "connect",
    module,
    {
        "autocommit text": lambda m, _: m.connect(":memory:", autocommit="x"),
        "autocommit other number": lambda m, _: m.connect(":memory:", autocommit=5),
        "autocommit none": lambda m, _: m.connect(":memory:", autocommit=None),
        "autocommit positional": lambda m, _: m.connect(":memory:", 5.0, 0, "", True, m.Connection, 128, False, True),
    },
    min_python=(3, 12),
)


@case
def connect_eight_positional(m: Any) -> object:
    con = m.connect(":memory:", 5.0, 0, None, True, m.Connection, 128, False)
    return [con.isolation_level, con.in_transaction]


@case
def connect_nine_or_more_positional(m: Any) -> object:
    return m.connect(":memory:", 5.0, 0, None, True, m.Connection, 128, False, 1, 1, 1)


@case
def connection_constructor(m: Any) -> object:
    return [
        attempt(m.Connection),
        attempt(m.Connection, 1),
        attempt(m.Connection, ":memory:", bogus=1),
        attempt(m.Connection, ":memory:", isolation_level=2),
        attempt(m.Connection, ":memory:", database=":memory:"),
    ]


@case
def connection_positional_tail_warns(m: Any) -> object:
    con = m.Connection(":memory:", 5.0, 0, "DEFERRED")
    return con.isolation_level


@since(3, 11)  # 3.10 crashes
def a_failed_second_init_leaves_a_dead_connection(m: Any) -> object:
    con = memory(m)
    return [attempt(con.__init__, "no/such/folder.db"), attempt(con.execute, "select 1")]


@case
def a_second_init_reopens(m: Any) -> object:
    con = table(m)
    con.__init__(":memory:")
    return [attempt(con.execute, "select * from t"), con.execute("select 1").fetchall()]


each(
    "connection",
    memory,
    {
        "call without argument": lambda m, c: c(),
        "call with number": lambda m, c: c(1),
        "call with two": lambda m, c: c("select 1", 2),
        "call with keyword": lambda m, c: c(sql="select 1"),
        "call gives a statement": lambda m, c: type(c("select 1")).__name__,
        "cursor extra argument": lambda m, c: c.cursor(1, 2),
        "cursor bad factory": lambda m, c: c.cursor(lambda con: None),
        "cursor factory not callable": lambda m, c: c.cursor(3),
        "cursor factory keyword": lambda m, c: c.cursor(factory=m.Cursor).arraysize,
        "cursor factory fails": lambda m, c: c.cursor(lambda con: 1 / 0),
        "execute nothing": lambda m, c: c.execute(),
        "execute number": lambda m, c: c.execute(5),
        "execute bytes": lambda m, c: c.execute(b"select 1"),
        "execute keyword": lambda m, c: c.execute(sql="select 1"),
        "execute three": lambda m, c: c.execute("select 1", (), 3),
        "executemany one": lambda m, c: c.executemany("select 1"),
        "executemany number": lambda m, c: c.executemany("select ?", 5),
        "executemany none": lambda m, c: c.executemany("select ?", None),
        "executescript nothing": lambda m, c: c.executescript(),
        "executescript number": lambda m, c: c.executescript(5),
        "executescript bytes": lambda m, c: c.executescript(b"select 1"),
        "executescript keyword": lambda m, c: c.executescript(sql_script="select 1"),
        "commit argument": lambda m, c: c.commit(1),
        "rollback argument": lambda m, c: c.rollback(1),
        "close argument": lambda m, c: c.close(1),
        "interrupt argument": lambda m, c: c.interrupt(1),
        "iterdump argument": lambda m, c: c.iterdump(1),
        "create_function nothing": lambda m, c: c.create_function(),
        "create_function two": lambda m, c: c.create_function("f", 1),
        "create_function number name": lambda m, c: c.create_function(1, 1, len),
        "create_function nul name": lambda m, c: c.create_function("a\0b", 1, len),
        "create_function text count": lambda m, c: c.create_function("f", "1", len),
        "create_function float count": lambda m, c: c.create_function("f", 1.5, len),
        "create_function count -2": lambda m, c: c.create_function("f", -2, len),
        "create_function count large": lambda m, c: c.create_function("f", 2**20, len),
        "create_function count huge": lambda m, c: c.create_function("f", 2**40, len),
        "create_function long name": lambda m, c: c.create_function("f" * 300, 1, len),
        "create_function deterministic positional": lambda m, c: c.create_function("f", 1, len, True),
        "create_function not callable": lambda m, c: (
            c.create_function("f", 1, 5),
            attempt(c.execute, "select f(1)"),
        ),
        "create_function unknown keyword": lambda m, c: c.create_function("f", 1, len, fast=True),
        "create_aggregate two": lambda m, c: c.create_aggregate("f", 1),
        "create_aggregate count -2": lambda m, c: c.create_aggregate("f", -2, list),
        "create_aggregate number name": lambda m, c: c.create_aggregate(1, 1, list),
        "create_collation one": lambda m, c: c.create_collation("x"),
        "create_collation not callable": lambda m, c: c.create_collation("x", 5),
        "create_collation number name": lambda m, c: c.create_collation(5, len),
        "create_collation surrogate name": lambda m, c: c.create_collation("\ud8ff", len),
        "create_collation nul name": lambda m, c: c.create_collation("a\0b", len),
        "set_authorizer nothing": lambda m, c: c.set_authorizer(),
        "set_authorizer two": lambda m, c: c.set_authorizer(None, 1),
        "set_progress_handler one": lambda m, c: c.set_progress_handler(None),
        "set_progress_handler text": lambda m, c: c.set_progress_handler(None, "x"),
        "set_progress_handler unknown keyword": lambda m, c: c.set_progress_handler(handler=None, count=1),
        "set_trace_callback nothing": lambda m, c: c.set_trace_callback(),
        "set_trace_callback unknown keyword": lambda m, c: c.set_trace_callback(callback=None),
        "backup nothing": lambda m, c: c.backup(),
        "backup to a number": lambda m, c: c.backup(5),
        "backup to itself": lambda m, c: c.backup(c),
        "backup pages text": lambda m, c: c.backup(memory(m), pages="x"),
        "backup positional pages": lambda m, c: c.backup(memory(m), 1),
        "backup name number": lambda m, c: c.backup(memory(m), name=5),
        "backup name unknown": lambda m, c: c.backup(memory(m), name="nope"),
        "backup progress not callable": lambda m, c: c.backup(memory(m), progress=5),
        "backup sleep text": lambda m, c: c.backup(memory(m), sleep="x"),
        "backup sleep none": lambda m, c: c.backup(memory(m), sleep=None),
        "unknown attribute": lambda m, c: c.nonsense,
        "new attribute": lambda m, c: put(c, "nonsense", 1),
        "total_changes read-only": lambda m, c: put(c, "total_changes", 1),
        "in_transaction read-only": lambda m, c: put(c, "in_transaction", 1),
        "delete row_factory": lambda m, c: delattr(c, "row_factory"),
        "delete isolation_level": lambda m, c: delattr(c, "isolation_level"),
        "exit without arguments": lambda m, c: c.__exit__(),
        "exit with two": lambda m, c: c.__exit__(None, None),
        "enter with one": lambda m, c: c.__enter__(1),
    },
)

each(
    "connection",
    memory,
    {
        "create_window_function two": lambda m, c: c.create_window_function("f", 1),
        "create_window_function count -2": lambda m, c: c.create_window_function("f", -2, list),
        "create_window_function keyword": lambda m, c: c.create_window_function("f", 1, foo=list),
        "blobopen two": lambda m, c: c.blobopen("t", "x"),
        "blobopen text row": lambda m, c: c.blobopen("t", "x", "1"),
        "blobopen huge row": lambda m, c: c.blobopen("t", "x", 2**70),
        "blobopen number table": lambda m, c: c.blobopen(1, "x", 1),
        "blobopen positional readonly": lambda m, c: c.blobopen("t", "x", 1, True),
        "blobopen nul": lambda m, c: c.blobopen("t\0", "x", 1),
        "serialize positional": lambda m, c: c.serialize("main"),
        "serialize number": lambda m, c: c.serialize(name=1),
        "serialize unknown": lambda m, c: c.serialize(name="nope"),
        "deserialize nothing": lambda m, c: c.deserialize(),
        "deserialize number": lambda m, c: c.deserialize(5),
        "deserialize name number": lambda m, c: c.deserialize(b"", name=5),
        "deserialize text": lambda m, c: c.deserialize("abc"),
        "deserialize noise": lambda m, c: (c.deserialize(b"x" * 600), c.execute("select 1 from t")),
        "getlimit nothing": lambda m, c: c.getlimit(),
        "getlimit text": lambda m, c: c.getlimit("x"),
        "getlimit unknown": lambda m, c: c.getlimit(99),
        "getlimit negative": lambda m, c: c.getlimit(-1),
        "setlimit one": lambda m, c: c.setlimit(1),
        "setlimit text": lambda m, c: c.setlimit(1, "x"),
        "setlimit unknown": lambda m, c: c.setlimit(99, 1),
        "setlimit huge": lambda m, c: c.setlimit(1, 2**40),
    },
    min_python=(3, 11),
)

each(
    "connection",
    memory,
    {
        "getconfig nothing": lambda m, c: c.getconfig(),
        "getconfig text": lambda m, c: c.getconfig("x"),
        "getconfig unknown": lambda m, c: c.getconfig(-1),
        "setconfig nothing": lambda m, c: c.setconfig(),
        "setconfig text": lambda m, c: c.setconfig("x"),
        "setconfig unknown": lambda m, c: c.setconfig(99999, True),
        "setconfig keyword": lambda m, c: c.setconfig(op=1, enable=True),
    },
    min_python=(3, 12),
)

if hasattr(sqlite3.Connection, "load_extension"):  # a build of Python may leave it out
    each(
        "extension",
        memory,
        {
            "enable nothing": lambda m, c: c.enable_load_extension(),
            "load nothing": lambda m, c: c.load_extension(),
            "load number": lambda m, c: c.load_extension(5),
            "load not allowed": lambda m, c: c.load_extension("x"),
            "load missing": lambda m, c: (
                c.enable_load_extension(True),
                type(attempt(c.load_extension, "missing")).__name__,
            ),
        },
    )


def cursor(m: Any) -> Any:
    return memory(m).cursor()


each(
    "cursor",
    cursor,
    {
        "execute nothing": lambda m, c: c.execute(),
        "execute none": lambda m, c: c.execute(None),
        "execute three": lambda m, c: c.execute("select 1", (), 3),
        "execute keyword": lambda m, c: c.execute("select 1", parameters=()),
        "executemany one": lambda m, c: c.executemany("select 1"),
        "executemany number sql": lambda m, c: c.executemany(1, []),
        "executescript two": lambda m, c: c.executescript("", 1),
        "executescript number": lambda m, c: c.executescript(5),
        "fetchone argument": lambda m, c: c.fetchone(1),
        "fetchmany text": lambda m, c: c.fetchmany("x"),
        "fetchmany none": lambda m, c: c.fetchmany(None),
        "fetchmany two": lambda m, c: c.fetchmany(1, 2),
        "fetchmany unknown keyword": lambda m, c: c.fetchmany(count=1),
        "fetchmany huge": lambda m, c: c.fetchmany(2**40),
        "fetchall argument": lambda m, c: c.fetchall(1),
        "setinputsizes nothing": lambda m, c: c.setinputsizes(),
        "setinputsizes": lambda m, c: c.setinputsizes([1]),
        "setoutputsize nothing": lambda m, c: c.setoutputsize(),
        "setoutputsize": lambda m, c: [c.setoutputsize(1), c.setoutputsize(1, 2)],
        "close argument": lambda m, c: c.close(1),
        "arraysize text": lambda m, c: put(c, "arraysize", "x"),
        "arraysize delete": lambda m, c: delattr(c, "arraysize"),
        "description read-only": lambda m, c: put(c, "description", 1),
        "rowcount read-only": lambda m, c: put(c, "rowcount", 1),
        "lastrowid read-only": lambda m, c: put(c, "lastrowid", 1),
        "connection read-only": lambda m, c: put(c, "connection", 1),
        "row_factory delete": lambda m, c: delattr(c, "row_factory"),
        "new attribute": lambda m, c: put(c, "nonsense", 1),
        "unknown attribute": lambda m, c: c.nonsense,
    },
)


@case
def cursor_constructor(m: Any) -> object:
    con = memory(m)
    return [
        attempt(m.Cursor),
        attempt(m.Cursor, 1),
        attempt(m.Cursor, con, 2),
        attempt(m.Cursor, connection=con),
        m.Cursor(con).connection is con,
    ]


@case
def row_constructor(m: Any) -> object:
    cursor = memory(m).execute("select 1 as a")
    return [
        attempt(m.Row),
        attempt(m.Row, cursor),
        attempt(m.Row, 1, (1,)),
        attempt(m.Row, cursor, [1]),
        attempt(m.Row, cursor, (1,), 3),
        attempt(m.Row, cursor=cursor, data=(1,)),
        attempt(m.Row, cursor, (1,)),
    ]


@case
def prepare_protocol(m: Any) -> object:
    return [
        type(m.PrepareProtocol()).__name__,
        attempt(m.PrepareProtocol, 1),
        attempt(m.PrepareProtocol, a=1),
    ]


@since(3, 11)
def blob_cannot_be_made(m: Any) -> object:
    return [attempt(m.Blob), attempt(m.Blob, 1)]


@case
def statement_type_cannot_be_made(m: Any) -> object:
    return attempt(type(memory(m)("select 1")))


each(
    "module",
    module,
    {
        "complete_statement nothing": lambda m, _: m.complete_statement(),
        "complete_statement number": lambda m, _: m.complete_statement(5),
        "complete_statement nul": lambda m, _: m.complete_statement("select 1;\0"),
        "complete_statement surrogate": lambda m, _: m.complete_statement("\ud8ff"),
        "complete_statement keyword": lambda m, _: m.complete_statement(statement="select 1;"),
        "enable_callback_tracebacks nothing": lambda m, _: m.enable_callback_tracebacks(),
        "enable_callback_tracebacks text": lambda m, _: m.enable_callback_tracebacks("x"),
        "register_adapter one": lambda m, _: m.register_adapter(int),
        "register_adapter three": lambda m, _: m.register_adapter(int, 1, 2),
        "register_converter one": lambda m, _: m.register_converter("x"),
        "register_converter number": lambda m, _: m.register_converter(5, len),
        "register_converter bytes": lambda m, _: m.register_converter(b"x", len),
        "adapt nothing": lambda m, _: m.adapt(),
        "adapt four": lambda m, _: m.adapt(1, 2, 3, 4),
        "adapt unknown type": lambda m, _: m.adapt(object()),
        "adapt other protocol": lambda m, _: m.adapt(1, int),
        "adapt with a default": lambda m, _: m.adapt(object(), m.PrepareProtocol, "default"),
        "adapt passes": lambda m, _: m.adapt(5),
        "unknown attribute": lambda m, _: m.nonsense,
    },
)


newer(
    __name__,
    "connect: detect_types huge",
    "connect: isolation_level number",
    "connect: isolation_level unknown",
    "connect: isolation_level nul",
    "connect: isolation_level surrogate",
    "connect: cached_statements huge",
    "connection_constructor",
    "connection: create_collation nul name",
)
newer(__name__, "connection: delete row_factory", "cursor: row_factory delete", since=(3, 14))
