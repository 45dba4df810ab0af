"""Wrong use and values that cannot be stored: the error's class and text, and nothing is lost."""

from __future__ import annotations

import array
import contextlib
import mmap
import re
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import libsql_core
from libsql_core import (
    Connection,
    DataError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
)
from libsql_core._constants import ERROR_NAMES

Call = Callable[[Any], object]
CLOSED_CONNECTION = "Cannot operate on a closed database."
CLOSED_CURSOR = "Cannot operate on a closed cursor."
RECURSIVE = "Recursive use of cursors not allowed."
OTHER_THREAD = re.compile(
    r"SQLite objects created in a thread can only be used in that same thread\. "
    r"The object was created in thread id \d+ and this is thread id \d+\."
)


def back_up(con: Connection) -> None:
    with contextlib.closing(libsql_core.connect(":memory:")) as target:
        con.backup(target)


CONNECTION_CALLS: dict[str, Call] = {
    "__call__": lambda c: c("select 1"),
    "__enter__": lambda c: c.__enter__(),
    "__exit__": lambda c: c.__exit__(None, None, None),
    "autocommit": lambda c: c.autocommit,
    "backup": lambda c: back_up(c),
    "blobopen": lambda c: c.blobopen("t", "x", 1),
    "wal_disable_checkpoint": lambda c: c.wal_disable_checkpoint(),
    "wal_frame_count": lambda c: c.wal_frame_count(),
    "wal_frames": lambda c: c.wal_frames(),
    "wal_insert": lambda c: c.wal_insert([]),
    "close": lambda c: c.close(),
    "commit": lambda c: c.commit(),
    "create_aggregate": lambda c: c.create_aggregate("f", 1, list),
    "create_collation": lambda c: c.create_collation("f", max),
    "create_function": lambda c: c.create_function("f", 1, len),
    "create_wasm_function": lambda c: c.create_wasm_function("f", "(module)"),
    "create_window_function": lambda c: c.create_window_function("f", 1, list),
    "cursor": lambda c: c.cursor(),
    "deserialize": lambda c: c.deserialize(b"x" * 512),
    "enable_load_extension": lambda c: c.enable_load_extension(False),
    "execute": lambda c: c.execute("select 1"),
    "executemany": lambda c: c.executemany("insert into t values (?, ?)", [(9, 9)]),
    "executescript": lambda c: c.executescript("select 1"),
    "getconfig": lambda c: c.getconfig(libsql_core.SQLITE_DBCONFIG_ENABLE_FKEY),
    "getlimit": lambda c: c.getlimit(libsql_core.SQLITE_LIMIT_LENGTH),
    "in_transaction": lambda c: c.in_transaction,
    "interrupt": lambda c: c.interrupt(),
    "isolation_level": lambda c: c.isolation_level,
    "iterdump": lambda c: list(c.iterdump()),
    "load_extension": lambda c: c.load_extension("nowhere"),
    "rekey": lambda c: c.rekey("secret"),
    "rollback": lambda c: c.rollback(),
    "serialize": lambda c: c.serialize(),
    "set_authorizer": lambda c: c.set_authorizer(None),
    "set_progress_handler": lambda c: c.set_progress_handler(None, 1),
    "set_trace_callback": lambda c: c.set_trace_callback(None),
    "setconfig": lambda c: c.setconfig(libsql_core.SQLITE_DBCONFIG_ENABLE_FKEY, True),
    "setlimit": lambda c: c.setlimit(libsql_core.SQLITE_LIMIT_LENGTH, 5),
    "total_changes": lambda c: c.total_changes,
}
CURSOR_CALLS: dict[str, Call] = {
    "__iter__": lambda c: list(c),
    "__next__": lambda c: next(c),
    "close": lambda c: c.close(),
    "execute": lambda c: c.execute("select 1"),
    "executemany": lambda c: c.executemany("insert into t values (?, ?)", [(9, 9)]),
    "executescript": lambda c: c.executescript("select 1"),
    "fetchall": lambda c: c.fetchall(),
    "fetchmany": lambda c: c.fetchmany(2),
    "fetchone": lambda c: c.fetchone(),
}
BLOB_CALLS: dict[str, Call] = {
    "__delitem__": lambda b: b.__delitem__(0),
    "__enter__": lambda b: b.__enter__(),
    "__exit__": lambda b: b.__exit__(None, None, None),
    "__getitem__": lambda b: b[0],
    "__len__": lambda b: len(b),
    "__setitem__": lambda b: b.__setitem__(0, 1),
    "close": lambda b: b.close(),
    "read": lambda b: b.read(),
    "seek": lambda b: b.seek(0),
    "tell": lambda b: b.tell(),
    "write": lambda b: b.write(b"x"),
}
PLAIN = {"row_factory", "text_factory", "arraysize", "connection", "description", "lastrowid", "rowcount"}
PLAIN |= {"rows_read", "rows_written", "setinputsizes", "setoutputsize"}
# Asked of another thread's connection, these answer.
ANY_THREAD = {"__enter__", "in_transaction", "interrupt", "isolation_level", "total_changes"}


def raised(call: Callable[[], object]) -> tuple[type[BaseException], str] | None:
    try:
        call()
    except Exception as error:
        return type(error), str(error)
    return None


def in_thread(call: Callable[[], object]) -> tuple[type[BaseException], str] | None:
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(raised(call)))
    thread.start()
    thread.join()
    first: tuple[type[BaseException], str] | None = seen[0]
    return first


@pytest.mark.parametrize(
    ("cls", "calls"),
    [
        (Connection, CONNECTION_CALLS), (libsql_core.Cursor, CURSOR_CALLS), (libsql_core.Blob, BLOB_CALLS)
    ],
)  # fmt: skip
def test_no_member_is_left_out(cls: type, calls: dict[str, Call]) -> None:
    public = {name for name in vars(cls) if not name.startswith("_")}
    errors = {name for name in public if isinstance(getattr(cls, name), type)}
    assert public - errors - PLAIN == {name for name in calls if not name.startswith("__")}


@pytest.mark.parametrize("name", CONNECTION_CALLS)
def test_closed_connection(file: Any, name: str) -> None:
    con = file.connect()
    con.execute("insert into t values (4, 'd')")
    con.commit()
    con.close()
    expected = None if name == "close" else (ProgrammingError, CLOSED_CONNECTION)
    assert raised(lambda: CONNECTION_CALLS[name](con)) == expected
    file.check((4, "d"))


@pytest.mark.parametrize("name", CURSOR_CALLS)
def test_closed_cursor(file: Any, name: str) -> None:
    con = file.connect()
    cursor = con.cursor()
    cursor.execute("insert into t values (4, 'd')")
    cursor.execute("select * from t")
    cursor.close()
    expected = None if name == "close" else (ProgrammingError, CLOSED_CURSOR)
    assert raised(lambda: CURSOR_CALLS[name](cursor)) == expected
    con.commit()
    con.close()
    assert raised(lambda: CURSOR_CALLS[name](cursor)) in (
        (ProgrammingError, CLOSED_CURSOR), (ProgrammingError, CLOSED_CONNECTION),
    )  # fmt: skip
    file.check((4, "d"))


@pytest.mark.parametrize("name", CURSOR_CALLS)
def test_cursor_of_a_closed_connection(file: Any, name: str) -> None:
    con = file.connect()
    cursor = con.execute("select * from t")
    cursor.fetchone()
    con.close()
    assert raised(lambda: CURSOR_CALLS[name](cursor)) == (ProgrammingError, CLOSED_CONNECTION)
    assert [column[0] for column in cursor.description] == ["id", "x"]
    file.check()


@pytest.mark.parametrize("name", BLOB_CALLS)
def test_closed_blob(con: Connection, name: str) -> None:
    blob = con.blobopen("t", "x", 1)
    blob.close()
    expected = None if name == "close" else (ProgrammingError, "Cannot operate on a closed blob.")
    assert raised(lambda: BLOB_CALLS[name](blob)) == expected
    blob = con.blobopen("t", "x", 1)
    con.close()
    assert raised(lambda: BLOB_CALLS[name](blob)) == (ProgrammingError, CLOSED_CONNECTION)


@pytest.mark.parametrize("calls", [CONNECTION_CALLS, CURSOR_CALLS, BLOB_CALLS], ids=["connection", "cursor", "blob"])
def test_other_thread(file: Any, calls: dict[str, Call]) -> None:
    con = file.connect()
    con.execute("insert into t values (4, 'd')")
    con.commit()
    cursor = con.cursor()
    blob = con.blobopen("t", "x", 1)
    target = {id(CONNECTION_CALLS): con, id(CURSOR_CALLS): cursor, id(BLOB_CALLS): blob}[id(calls)]
    for name, call in calls.items():
        seen = in_thread(lambda call=call: call(target))  # type: ignore[misc]
        if calls is CONNECTION_CALLS and name in ANY_THREAD:
            assert seen is None, name
        else:
            assert seen is not None, name
            assert seen[0] is ProgrammingError, (name, seen)
            assert OTHER_THREAD.fullmatch(seen[1]), name
    blob.close()
    assert con.execute("select 1").fetchall() == [(1,)]
    con.close()
    file.check((4, "d"))


@pytest.mark.parametrize("name", [*CURSOR_CALLS, "__init__"])
@pytest.mark.parametrize("while_in", ["converter", "function", "generator", "adapter"])
def test_recursive_use_of_a_cursor(con: Connection, name: str, while_in: str) -> None:
    seen: list[object] = []
    anew: Call = lambda c: c.__init__(con)  # noqa: E731
    call = CURSOR_CALLS.get(name, anew)

    def again(*_: object) -> int:
        seen.append(raised(lambda: call(cursor)))
        return 7

    def generate() -> Any:
        yield 7, again()

    class Adapted:
        def __conform__(self, protocol: object) -> int:
            return again()

    con.create_function("again", 0, again)
    libsql_core.register_converter("again", again)
    converting = libsql_core.connect(":memory:", detect_types=libsql_core.PARSE_COLNAMES)
    cursor = (converting if while_in == "converter" else con).cursor()
    if while_in == "converter":
        assert cursor.execute("select 'x' as 'x [again]'").fetchall() == [(7,)]
    elif while_in == "function":
        assert cursor.execute("select again()").fetchall() == [(7,)]
    elif while_in == "adapter":
        assert cursor.execute("select ?", (Adapted(),)).fetchall() == [(7,)]
    else:
        assert cursor.executemany("insert into t values (?, ?)", generate()).rowcount == 1
    converting.close()
    assert seen == [(ProgrammingError, RECURSIVE)]


TOO_LARGE = (OverflowError, "Python int too large to convert to SQLite INTEGER")


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**400])
def test_huge_ints(file: Any, value: int) -> None:
    con = file.connect()
    con.execute("insert into t values (4, 'd')")
    assert raised(lambda: con.execute("insert into t values (5, ?)", (value,))) == TOO_LARGE
    assert raised(lambda: con.execute("insert into t values (5, :x)", {"x": value})) == TOO_LARGE
    many = con.cursor()
    rows = [(6, "f"), (7, value), (8, "h")]
    assert raised(lambda: many.executemany("insert into t values (?, ?)", rows)) == TOO_LARGE
    assert many.rowcount == -1
    assert raised(lambda: con.blobopen("t", "x", value)) == TOO_LARGE
    to_c_int = (OverflowError, "Python int too large to convert to C int")
    assert raised(lambda: con.setlimit(libsql_core.SQLITE_LIMIT_LENGTH, value)) == to_c_int
    assert raised(lambda: con.create_function("f", value, len)) == to_c_int
    con.create_function("f", 0, lambda: value)
    seen = raised(lambda: con.execute("insert into t values (5, f())"))
    if sys.version_info >= (3, 11):
        assert seen == (DataError, "string or blob too big")
    else:
        assert seen == (OperationalError, "user-defined function raised exception")
    con.commit()
    con.close()
    file.check((4, "d"), (6, "f"))


def test_largest_ints(con: Connection) -> None:
    for value in (2**63 - 1, -(2**63), 2**62, -1, 0, True):
        assert con.execute("select ?, typeof(?1)", (value,)).fetchone() == (value, "integer")


@pytest.mark.parametrize("text", ["\ud800", "abc\udcff", "\udc80" * 100])
def test_lone_surrogates(file: Any, text: str) -> None:
    con = file.connect()
    con.execute("insert into t values (4, 'd')")
    con.create_function("give", 0, lambda: text)
    cursor = con.cursor()
    for call in (
        lambda: con.execute("insert into t values (5, ?)", (text,)),
        lambda: con.execute("insert into t values (5, :x)", {"x": text}),
        lambda: con.execute(f"insert into t values (5, '{text}')"),
        lambda: con.executescript(f"select '{text}'"),
        lambda: con.create_function(text, 1, len),
        lambda: con.blobopen(text, "x", 1),
        lambda: cursor.executemany("insert into t values (?, ?)", [(6, "f"), (7, text), (8, "h")]),
        lambda: libsql_core.complete_statement(text),
    ):
        seen = raised(call)
        assert seen is not None
        assert seen[0] is UnicodeEncodeError
        assert seen[1].endswith("surrogates not allowed")
    with pytest.raises(UnicodeEncodeError if sys.version_info >= (3, 11) else ProgrammingError):
        con.create_collation(text, max)
    assert cursor.rowcount == -1
    assert raised(lambda: con.execute("insert into t values (5, give())")) == (
        OperationalError, "user-defined function raised exception",
    )  # fmt: skip
    con.commit()
    con.close()
    file.check((4, "d"), (6, "f"))


def test_nul_in_sql_and_names(con: Connection) -> None:
    in_query: type[Exception] = ProgrammingError if sys.version_info >= (3, 11) else ValueError
    null = (ValueError, "embedded null character")
    for call, expected in (
        (lambda: con.execute("select 1\0"), (in_query, "the query contains a null character")),
        (lambda: con.executemany("delete from t\0", []), (in_query, "the query contains a null character")),
        (lambda: con("select 1\0"), (in_query, "the query contains a null character")),
        (lambda: con.executescript("select 1;\0 delete from t"), null),
        (lambda: con.create_function("f\0", 1, len), null),
        (lambda: con.blobopen("t\0", "x", 1), null),
        (lambda: libsql_core.connect("a\0b"), (ValueError, "embedded null byte")),
    ):
        assert raised(call) == expected
    assert con.execute("select count(*) from t").fetchone() == (3,)


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_nul_in_text_is_kept(tmp_path: Any, encoding: str) -> None:
    texts = ["\0", "a\0b", "\0\0tail", "é\0" * 1000, "\0" * 40000, "", "𐍈\0"]
    con = libsql_core.connect(tmp_path / "nul.db")
    con.execute(f"pragma encoding = '{encoding}'")
    con.execute("create table t(id integer primary key, x)")
    con.create_function("same", 1, lambda x: x)
    con.create_collation("seen", lambda a, b: (a > b) - (a < b))
    for i, text in enumerate(texts):
        con.execute("insert into t values (?, ?)", (3 * i, text))
        con.execute("insert into t values (:i, same(:x))", {"i": 3 * i + 1, "x": text})
        con.executemany("insert into t values (?, ?)", [(3 * i + 2, text)])
    con.commit()
    con.close()
    con = libsql_core.connect(tmp_path / "nul.db")
    con.create_collation("seen", lambda a, b: (a > b) - (a < b))
    expected = [(text,) for text in texts for _ in range(3)]
    assert con.execute("select x from t order by id").fetchall() == expected
    assert [con.execute("select x from t where id = ?", (i,)).fetchone() for i in range(len(expected))] == expected
    con.create_function("same", 1, lambda x: x)
    assert con.execute("select same(x) from t order by id").fetchall() == expected
    assert con.execute("select x from t order by x collate seen").fetchall() == sorted(expected)
    con.text_factory = bytes
    assert con.execute("select x from t where id = 3").fetchone() == (b"a\0b",)
    con.close()


@pytest.mark.parametrize("make", [bytearray, lambda b: memoryview(bytearray(b)), lambda b: array.array("B", b)])
def test_buffers_that_change_while_bound(con: Connection, make: Callable[[bytes], Any]) -> None:
    """The value is the one at the time of the call, and the buffer is not locked."""
    value = make(b"abc" * 10)

    def change(x: bytes) -> int:
        value[0:3] = make(b"xyz")
        if isinstance(value, bytearray):
            del value[10:]
        return len(x)

    con.create_function("change", 1, change)
    con.execute("create table u(n, x)")
    con.execute("insert into u values (change(?1), ?1)", (value,))
    assert con.execute("select * from u").fetchall() == [(30, b"abc" * 10)]
    assert bytes(value[:3]) == b"xyz"
    value[0:3] = make(b"123")
    con.executemany("insert into u values (change(?), ?)", [(value, value)])
    assert con.execute("select substr(x, 1, 3) from u").fetchall() == [(b"abc",), (b"123",)]


def test_buffers_that_cannot_be_read(con: Connection, tmp_path: Any) -> None:
    released = memoryview(b"abc")
    released.release()
    old = sys.version_info < (3, 11)
    assert raised(lambda: con.execute("select ?", (released,))) == (
        ValueError, "operation forbidden on released memoryview object",
    )  # fmt: skip
    expected = ValueError if old else BufferError
    seen = raised(lambda: con.execute("select ?", (memoryview(b"abcdef")[::2],)))
    assert seen is not None
    assert seen[0] is expected
    (tmp_path / "mapped").write_bytes(b"abc" * 100)
    with open(tmp_path / "mapped", "r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:
        assert con.execute("select ?", (mapped,)).fetchone() == (b"abc" * 100,)
    unsupported = InterfaceError if old else ProgrammingError
    seen = raised(lambda: con.execute("select ?, ?", (1, object())))
    assert seen is not None
    assert seen[0] is unsupported
    assert old or seen[1] == "Error binding parameter 2: type 'object' is not supported"


def test_every_extended_code_has_its_name() -> None:
    primary = "ABORT|BUSY|CANTOPEN|CONSTRAINT|CORRUPT|IOERR|LOCKED|READONLY"
    names = [name for name in dir(libsql_core) if re.match(f"SQLITE_({primary})_", name)]
    assert {name: ERROR_NAMES.get(getattr(libsql_core, name)) for name in names} == {name: name for name in names}
    assert len(names) > 60


def test_extensions_are_loaded_by_those_who_asked_for_it() -> None:
    con = libsql_core.connect(":memory:")
    with pytest.raises(libsql_core.OperationalError, match=r"^not authorized$"):
        con.load_extension("nowhere")
    con.enable_load_extension(True)
    with pytest.raises(libsql_core.OperationalError, match="nowhere"):
        con.load_extension("nowhere")
    con.enable_load_extension(False)
    with pytest.raises(libsql_core.OperationalError, match=r"^not authorized$"):
        con.load_extension("nowhere")
    con.close()
