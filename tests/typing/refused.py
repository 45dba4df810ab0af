"""Mistakes that a type checker must find: each `type: ignore` that ignores nothing is an error. Not run."""

import libsql_core as sqlite3
from libsql_core import Blob, Connection, Cursor, Row, vector


class NoInverse:
    """Enough for an aggregate, not for a window function."""

    def step(self, value: int) -> None:
        pass

    def finalize(self) -> int:
        return 0


class Odd:
    """Nothing that SQLite stores."""


def connecting() -> None:
    sqlite3.connect()  # type: ignore[call-overload]
    sqlite3.connect(3)  # type: ignore[call-overload]
    sqlite3.connect("x.db", isolation_level="DEFFERED")  # type: ignore[call-overload]
    sqlite3.connect("x.db", autocommit=1)  # type: ignore[call-overload]
    sqlite3.connect("x.db", 5.0, 0, "", True, Connection, 128, False, True)  # type: ignore[call-overload]
    sqlite3.connect("x.db", factory=None)  # type: ignore[call-overload]


def executing(con: Connection, cur: Cursor) -> None:
    con.execute(b"SELECT 1")  # type: ignore[arg-type]
    con.execute("SELECT ?", 1)  # type: ignore[arg-type]
    con.execute("SELECT ?", {1})  # type: ignore[arg-type]
    con.execute("SELECT ?", parameters=(1,))  # type: ignore[call-arg]
    con.executemany("INSERT INTO t VALUES (?)", [1, 2])  # type: ignore[list-item]
    cur.fetchmany(None)  # type: ignore[arg-type]
    cur.rowcount = 1  # type: ignore[misc]
    cur.rows_read = 1  # type: ignore[misc]
    con.cursor(Row)  # type: ignore[type-var, arg-type]
    con.no_such_method()  # type: ignore[attr-defined]


def settings(con: Connection) -> None:
    con.isolation_level = "SERIALIZABLE"  # type: ignore[assignment]
    con.autocommit = 0  # type: ignore[assignment]
    con.row_factory = dict  # type: ignore[assignment]
    con.text_factory = 1  # type: ignore[assignment]
    con.getlimit("SQLITE_LIMIT_LENGTH")  # type: ignore[arg-type]


def functions(con: Connection) -> None:
    con.create_function("f", 1, lambda value: Odd())  # type: ignore[arg-type, return-value]
    con.create_window_function("w", 1, NoInverse)  # type: ignore[arg-type]
    con.create_aggregate("a", 1, Odd)  # type: ignore[arg-type]
    con.create_collation("c", lambda a: 0)  # type: ignore[misc, arg-type]
    con.set_trace_callback(lambda: None)  # type: ignore[misc, arg-type]
    sqlite3.register_adapter(Odd, Odd)  # type: ignore[arg-type]


def values(row: Row, blob: Blob) -> None:
    row[0] = 1  # type: ignore[index]
    row[1.5]  # type: ignore[call-overload]
    blob["x"]  # type: ignore[call-overload]
    blob[0] = b"x"  # type: ignore[call-overload]
    list(blob)  # type: ignore[call-overload]
    blob.write("text")  # type: ignore[arg-type]


def vectors(con: Connection) -> None:
    vector.from_array(["1"])  # type: ignore[list-item]
    vector.from_array([1], "f32")  # type: ignore[arg-type]
    vector.to_list([1.0])  # type: ignore[arg-type]
    vector.insert_many(con, "t", ["a"], [[1.0]])  # type: ignore[list-item]
    vector.insert_many(con, "t", [1], [1.0])  # type: ignore[list-item]
    vector.search(con, "t", "v", [1.0], 3, "cosine")  # type: ignore[call-overload]
    vector.search(con, "t", "v", "[1]", 3)  # type: ignore[arg-type]


class Sub(Blob):  # type: ignore[misc]
    """Blob is final."""
