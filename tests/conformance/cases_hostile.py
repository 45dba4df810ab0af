"""Callbacks that pull the rug from under their caller, which crashes the stdlib in places."""

from contextlib import suppress
from typing import Any

from against import attempt, hostile, memory, table
from cases_callbacks import aggregate, authorized, call, collate, progressed, variant
from cases_closed import reentrant


@hostile
def connection_closed_by_the_rows_of_executemany(m: Any) -> object:
    return reentrant(m, lambda c: c.connection.close())


@hostile
def cursor_used_by_a_converter(m: Any) -> object:
    con = m.connect(":memory:", detect_types=m.PARSE_COLNAMES)
    cursor = con.cursor()
    seen: list[object] = []

    def convert(raw: bytes) -> bytes:
        seen.append(attempt(cursor.execute, "select 2"))
        seen.append(attempt(cursor.fetchone))
        seen.append(attempt(cursor.close))
        return raw

    m.register_converter("again", convert)
    with suppress(m.Error):
        cursor.execute("select 'x' as 'x [again]'")
        seen.append(cursor.fetchall())
    return seen


@hostile
def function_closes_its_connection(m: Any) -> object:
    con = memory(m)
    return call(con, lambda x: con.close())


@hostile
def aggregate_closes_its_connection(m: Any) -> object:
    con = table(m)
    return aggregate(con, variant(step=lambda self, x: con.close()))


@hostile
def collation_closes_its_connection(m: Any) -> object:
    con = table(m)
    return collate(con, lambda a, b: con.close() or 0)


@hostile
def authorizer_closes_its_connection(m: Any) -> object:
    con = table(m)
    return authorized(con, lambda *a: con.close() or 0)


@hostile
def progress_handler_closes_its_connection(m: Any) -> object:
    con = table(m)
    return progressed(con, lambda: con.close())


@hostile
def trace_callback_closes_its_connection(m: Any) -> object:
    con = table(m)
    con.set_trace_callback(lambda sql: con.close())
    return con.execute("select x from t").fetchall()


@hostile
def row_factory_closes_its_connection(m: Any) -> object:
    con = table(m)
    con.row_factory = lambda cursor, row: con.close()
    return con.execute("select x from t").fetchall()


@hostile
def text_factory_closes_its_connection(m: Any) -> object:
    con = table(m)
    con.text_factory = lambda raw: con.close()
    return con.execute("select x from t").fetchall()


@hostile
def adapter_closes_its_connection(m: Any) -> object:
    con = table(m)

    class Closer:
        def __conform__(self, protocol: object) -> int:
            con.close()
            return 1

    return con.execute("select x from t where id = ?", (Closer(),)).fetchall()


@hostile
def parameters_close_their_connection(m: Any) -> object:
    con = table(m)

    class Closer(dict[str, int]):
        def __missing__(self, key: str) -> int:
            con.close()
            return 1

    return con.execute("select x from t where id = :id", Closer()).fetchall()


@hostile
def authorizer_replaces_itself(m: Any) -> object:
    con = table(m)
    return authorized(con, lambda *a: con.set_authorizer(None) or 0)


@hostile
def trace_callback_replaces_itself(m: Any) -> object:
    con = table(m)
    con.set_trace_callback(lambda sql: con.set_trace_callback(None))
    return con.execute("select x from t").fetchall()


@hostile
def progress_handler_replaces_itself(m: Any) -> object:
    con = table(m)
    return progressed(con, lambda: con.set_progress_handler(None, 0))


@hostile
def text_factory_initialises_its_cursor_again(m: Any) -> object:
    con = table(m)
    cursor = con.cursor()
    con.text_factory = lambda raw: attempt(cursor.__init__, con)
    return cursor.execute("select x from t").fetchall()


@hostile
def function_initialises_its_connection_again(m: Any) -> object:
    con = memory(m)
    return call(con, lambda x: con.__init__(":memory:"))


@hostile
def collation_executes_on_its_connection(m: Any) -> object:
    con = table(m)
    return collate(con, lambda a, b: len(con.execute("select 1").fetchall()))
