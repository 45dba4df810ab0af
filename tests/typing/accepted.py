"""Code that must type-check, with the types that its author expects. Not run."""

import datetime
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

import libsql_core as sqlite3
from libsql_core import SQLITE_BUSY, Connection, Cursor, Row, dbapi2, get_include, vector
from libsql_core.dbapi2 import Binary, TimestampFromTicks
from libsql_core.replication import OfflineConnection, ReplicaConnection, ReplicaCursor, SyncResult


class Account(Connection):
    """A subclass, as `factory` takes it."""


class Reader(Cursor):
    """A cursor of a user's own."""


class Total:
    """An aggregate whose methods take as many arguments as the SQL function."""

    def __init__(self) -> None:
        self.sum = 0

    def step(self, value: int, weight: int) -> None:
        self.sum += value * weight

    def finalize(self) -> int:
        return self.sum


class Moving(Total):
    """The same over a window."""

    def inverse(self, value: int, weight: int) -> None:
        self.sum -= value * weight

    def value(self) -> int:
        return self.sum


class Point:
    """Stored by its own `__conform__`, or by an adapter."""

    x: float

    def __conform__(self, protocol: type[sqlite3.PrepareProtocol]) -> str:
        return str(self.x)


def make(*args: Any, **kwargs: Any) -> Account:
    return Account(*args, **kwargs)


def as_dict(cursor: Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


def connecting() -> None:
    assert_type(sqlite3.connect(":memory:"), Connection)
    assert_type(sqlite3.connect(b"file:x?mode=ro", uri=True, timeout=0.5, cached_statements=0), Connection)
    assert_type(sqlite3.connect(Path("x.db"), 5, sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES, None), Connection)
    assert_type(sqlite3.connect("x.db", isolation_level="IMMEDIATE", autocommit=False), Connection)
    assert_type(sqlite3.connect("x.db", autocommit=sqlite3.LEGACY_TRANSACTION_CONTROL), Connection)
    assert_type(sqlite3.connect("x.db", factory=Account), Account)
    assert_type(sqlite3.connect("x.db", 5.0, 0, "", True, make, 128, False), Account)


def replicas() -> None:
    con = sqlite3.connect("x.db", sync_url="libsql://x", auth_token="y", sync_interval=0.5, encryption_key="z")
    assert_type(con, ReplicaConnection)
    assert_type(con.execute("select 1"), ReplicaCursor)
    assert_type(con.sync(lambda done, left: None), SyncResult)
    assert_type(con.sync().frame, int)
    assert_type(con.last_sync, float | None)
    assert_type(sqlite3.connect("x.db", sync_url="libsql://x", offline=True), OfflineConnection)
    with con as same:
        assert_type(same, ReplicaConnection)
    assert_type(Account("x.db", check_same_thread=False), Account)


def executing(con: Connection, cur: Cursor, reader: Reader) -> None:
    assert_type(con.execute("SELECT 1"), Cursor)
    assert_type(con.execute("SELECT ?, ?", (1, b"")), Cursor)
    assert_type(con.execute("SELECT :a", {"a": Point()}), Cursor)
    assert_type(con.executemany("INSERT INTO t VALUES (?)", ([n] for n in range(3))), Cursor)
    assert_type(con.executescript("BEGIN; COMMIT"), Cursor)
    assert_type(con("SELECT 1"), sqlite3._engine.Statement)
    assert_type(con.cursor(), Cursor)
    assert_type(con.cursor(Reader), Reader)
    assert_type(reader.execute("SELECT 1"), Reader)
    assert_type(reader.executemany("DELETE FROM t WHERE a = :a", [{"a": 1}]), Reader)
    assert_type(reader.executescript(""), Reader)
    assert_type(cur.fetchone(), Any)
    assert_type(cur.fetchmany(), list[Any])
    assert_type(cur.fetchmany(10), list[Any])
    assert_type(cur.fetchall(), list[Any])
    assert_type(cur.lastrowid, int | None)
    assert_type(cur.rowcount, int)
    assert_type((cur.rows_read, cur.rows_written), tuple[int, int])
    assert_type(cur.connection, Connection)
    assert_type([column[0] for column in cur.description], list[str | Any])
    for row in cur:
        assert_type(row, Any)
    cur.arraysize = 100


def rows(con: Connection, cur: Cursor, row: Row) -> None:
    con.row_factory = Row
    con.row_factory = as_dict
    con.row_factory = None
    cur.row_factory = lambda cursor, values: values[0]
    con.text_factory = str
    con.text_factory = bytes
    con.text_factory = lambda data: data.decode("latin-1")
    assert_type(Row(cur, (1,)), Row)
    assert_type(row["name"], Any)
    assert_type(row[0], Any)
    assert_type(row[1:], tuple[Any, ...])
    assert_type(row.keys(), list[str])
    assert_type(iter(row), Iterator[Any])
    assert_type(len(row), int)


def transactions(con: Connection, account: Account) -> None:
    with account as entered:
        assert_type(entered, Account)
    assert_type(con.autocommit, bool | Literal[-1])
    assert_type(con.isolation_level, Literal["", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"] | None)
    assert_type(con.in_transaction, bool)
    assert_type(con.total_changes, int)
    con.autocommit = True
    con.autocommit = sqlite3.LEGACY_TRANSACTION_CONTROL
    con.isolation_level = "EXCLUSIVE"
    con.isolation_level = None


def functions(con: Connection) -> None:
    con.create_function("f", 2, max, deterministic=True)
    con.create_function("f", -1, None)
    con.create_aggregate("total", 2, Total)
    con.create_window_function("moving", 2, Moving)
    con.create_window_function("moving", 2, None)
    con.create_collation("length", lambda a, b: len(a) - len(b))
    con.set_authorizer(lambda action, first, second, database, trigger: sqlite3.SQLITE_OK)
    con.set_progress_handler(lambda: None, 1000)
    con.set_trace_callback(print)
    con.set_trace_callback(None)


def databases(con: Connection, other: Connection) -> None:
    con.backup(other, pages=10, progress=lambda status, remaining, total: print(status, remaining, total), sleep=0.1)
    for line in con.iterdump(filter="t%"):
        assert_type(line, str)
    assert_type(con.serialize(name="temp"), bytes)
    con.deserialize(memoryview(b""))
    assert_type(con.getlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH), int)
    assert_type(con.getconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_FKEY), bool)
    con.load_extension("x", entrypoint="start")


def blobs(con: Connection) -> None:
    with con.blobopen("t", "data", 1, readonly=True) as blob:
        assert_type(blob, sqlite3.Blob)
        assert_type(blob[0], int)
        assert_type(blob[1:3], bytes)
        assert_type(blob.read(4), bytes)
        blob[0] = 255
        blob[1:3] = bytearray(2)
        blob.seek(-1, 2)


def errors(con: Connection) -> None:
    try:
        con.execute("x")
    except con.IntegrityError as error:
        assert_type(error, sqlite3.IntegrityError)
    except (sqlite3.OperationalError, dbapi2.DataError) as error:
        assert_type(error.sqlite_errorcode == SQLITE_BUSY, bool)
        assert_type(error.sqlite_errorname, str)


def module() -> None:
    sqlite3.register_adapter(Point, lambda point: point.x)
    sqlite3.register_adapter(datetime.date, datetime.date.isoformat)
    sqlite3.register_converter("point", lambda data: float(data))
    assert_type(sqlite3.adapt(Point()), Any)
    assert_type(sqlite3.adapt(Point(), sqlite3.PrepareProtocol, None), Any | None)
    assert_type(sqlite3.complete_statement("SELECT 1;"), bool)
    assert_type(sqlite3.sqlite_version_info, tuple[int, ...])
    assert_type(sqlite3.threadsafety, Literal[0, 1, 3])
    assert_type(sqlite3.libsql_version, str)
    assert_type(TimestampFromTicks(0), datetime.datetime)
    assert_type(Binary(b""), memoryview)
    assert_type(get_include(), str)
    assert_type(sqlite3.install_as_sqlite3(), None)


def vectors(con: Connection, matrix: NDArray[np.float32], row: NDArray[np.float64]) -> None:
    assert_type(con.execute("SELECT ?", (row,)), Cursor)
    assert_type(vector.from_array(row), bytes)
    assert_type(vector.from_array([1, 2.5], "float8"), bytes)
    assert_type(vector.from_array(array("d", [1.5]), type="float16"), bytes)
    assert_type(vector.to_array(b""), NDArray[Any])
    assert_type(vector.to_array("[1]", "float64"), NDArray[Any])
    assert_type(vector.to_list(memoryview(b"")), list[float])
    assert_type(vector.dims(b""), int)
    kind: vector.VectorType = vector.type_of(b"")
    assert_type(vector.insert_many(con, "t", [1, 2], [[1.0], array("f", [2])], "v", kind), int)
    assert_type(vector.insert_many(con, "t", np.arange(2), matrix, schema="temp"), int)
    assert_type(vector.search(con, "t", "v", matrix, 10), tuple[NDArray[np.int64], NDArray[np.float32]])
    assert_type(vector.search(con, "t", "v", [1, 2.5], 10, "l2"), tuple[list[int], list[float]])
    assert_type(vector.search(con, "t", "v", [[1], [2.5]], 10, where="a"), tuple[list[list[int]], list[list[float]]])
    vector.register()
    vector.register_converters()
    vector.register_converters(vector.to_list)
