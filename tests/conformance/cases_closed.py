"""Objects that cannot work any more or not yet: closed, never initialised, in a wrong thread, busy."""

from collections.abc import Iterator
from typing import Any

from against import Action, attempt, case, each, hostile_since, in_thread, memory, newer, put, since, table

CONNECTION: dict[str, Action] = {
    "call": lambda m, c: c("select 1"),
    "cursor": lambda m, c: c.cursor(),
    "commit": lambda m, c: c.commit(),
    "rollback": lambda m, c: c.rollback(),
    "close": lambda m, c: c.close(),
    "execute": lambda m, c: c.execute("select 1"),
    "executemany": lambda m, c: c.executemany("select ?", [(1,)]),
    "executescript": lambda m, c: c.executescript("select 1"),
    "create_function": lambda m, c: c.create_function("f", 1, len),
    "create_aggregate": lambda m, c: c.create_aggregate("f", 1, list),
    "create_collation": lambda m, c: c.create_collation("f", None),
    "set_authorizer": lambda m, c: c.set_authorizer(None),
    "set_progress_handler": lambda m, c: c.set_progress_handler(None, 1),
    "set_trace_callback": lambda m, c: c.set_trace_callback(None),
    "interrupt": lambda m, c: c.interrupt(),
    "iterdump": lambda m, c: list(c.iterdump()),
    "backup": lambda m, c: c.backup(memory(m)),
    "backup into": lambda m, c: memory(m).backup(c),
    "in_transaction": lambda m, c: c.in_transaction,
    "total_changes": lambda m, c: c.total_changes,
    "isolation_level": lambda m, c: c.isolation_level,
    "set isolation_level none": lambda m, c: put(c, "isolation_level", None),
    "set isolation_level": lambda m, c: put(c, "isolation_level", "DEFERRED"),
    "row_factory": lambda m, c: c.row_factory,
    "set row_factory": lambda m, c: put(c, "row_factory", None),
    "text_factory": lambda m, c: c.text_factory,
    "exceptions": lambda m, c: c.Error is m.Error,
    "enter": lambda m, c: c.__enter__() is c,
    "exit": lambda m, c: c.__exit__(None, None, None),
    "exit with an error": lambda m, c: c.__exit__(ValueError, ValueError(), None),
}
CONNECTION_3_11: dict[str, Action] = {
    "create_window_function": lambda m, c: c.create_window_function("f", 1, None),
    "blobopen": lambda m, c: c.blobopen("t", "x", 1),
    "serialize": lambda m, c: c.serialize(),
    "deserialize": lambda m, c: c.deserialize(b"x" * 512),
    "getlimit": lambda m, c: c.getlimit(m.SQLITE_LIMIT_LENGTH),
    "setlimit": lambda m, c: c.setlimit(m.SQLITE_LIMIT_LENGTH, 5),
}
CONNECTION_3_12: dict[str, Action] = {
    "getconfig": lambda m, c: c.getconfig(m.SQLITE_DBCONFIG_ENABLE_FKEY),
    "setconfig": lambda m, c: c.setconfig(m.SQLITE_DBCONFIG_ENABLE_FKEY, True),
    "autocommit": lambda m, c: c.autocommit,
    "set autocommit": lambda m, c: put(c, "autocommit", True),
}
CURSOR: dict[str, Action] = {
    "execute": lambda m, c: c.execute("select 1"),
    "executemany": lambda m, c: c.executemany("select ?", [(1,)]),
    "executescript": lambda m, c: c.executescript("select 1"),
    "fetchone": lambda m, c: c.fetchone(),
    "fetchmany": lambda m, c: c.fetchmany(2),
    "fetchall": lambda m, c: c.fetchall(),
    "iterate": lambda m, c: list(c),
    "next": lambda m, c: next(c),
    "iter": lambda m, c: iter(c) is c,
    "close": lambda m, c: c.close(),
    "setinputsizes": lambda m, c: c.setinputsizes([]),
    "setoutputsize": lambda m, c: c.setoutputsize(1),
    "description": lambda m, c: c.description,
    "rowcount": lambda m, c: c.rowcount,
    "lastrowid": lambda m, c: c.lastrowid,
    "arraysize": lambda m, c: c.arraysize,
    "row_factory": lambda m, c: c.row_factory,
}
BLOB: dict[str, Action] = {
    "read": lambda m, b: b.read(),
    "write": lambda m, b: b.write(b"x"),
    "seek": lambda m, b: b.seek(0),
    "tell": lambda m, b: b.tell(),
    "len": lambda m, b: len(b),
    "item": lambda m, b: b[0],
    "slice": lambda m, b: b[0:1],
    "set item": lambda m, b: b.__setitem__(0, 1),
    "set slice": lambda m, b: b.__setitem__(slice(0, 1), b"x"),
    "iterate": lambda m, b: list(b),
    "contains": lambda m, b: 1 in b,
    "close": lambda m, b: b.close(),
    "enter": lambda m, b: b.__enter__() is b,
    "exit": lambda m, b: b.__exit__(None, None, None),
}
# What __init__ has not set is of no use to anyone.
UNSET = {"exceptions", "text_factory", "rowcount", "arraysize"}


def closed(m: Any) -> Any:
    con = table(m)
    con.close()
    return con


def never_initialised(m: Any) -> Any:
    return m.Connection.__new__(m.Connection)


def subclass_without_init(m: Any) -> Any:
    class Forgetful(m.Connection):  # type: ignore[misc]
        def __init__(self) -> None:
            pass

    return Forgetful()


for group, prepare in {
    "closed": closed,
    "new": never_initialised,
    "forgetful": subclass_without_init,
}.items():
    plain = {k: v for k, v in CONNECTION.items() if k not in UNSET}
    each(f"{group} connection", prepare, CONNECTION if group == "closed" else plain)
    each(f"{group} connection", prepare, CONNECTION_3_11, (3, 11))
    each(f"{group} connection", prepare, CONNECTION_3_12, (3, 12))


def across(group: str, prepare: Any, actions: dict[str, Action], since: tuple[int, int]) -> None:
    """Do each action in another thread than the one that made the object."""

    def other(action: Action) -> Action:
        def act(m: Any, value: Any) -> object:
            return in_thread(lambda: action(m, value))

        act.__module__ = __name__
        return act

    each(group, prepare, {name: other(action) for name, action in actions.items()}, since)


across("thread connection", table, CONNECTION, (3, 10))
across("thread connection", table, CONNECTION_3_11, (3, 11))
across("thread connection", table, CONNECTION_3_12, (3, 12))


@case
def threads_allowed(m: Any) -> object:
    con = m.connect(":memory:", check_same_thread=False)
    return in_thread(lambda: con.execute("select 1").fetchall())


def cursor_of_closed_connection(m: Any) -> Any:
    con = table(m)
    cursor = con.execute("select x from t")
    cursor.fetchone()
    con.close()
    return cursor


def closed_cursor(m: Any) -> Any:
    cursor = table(m).execute("select x from t")
    cursor.fetchone()
    cursor.close()
    return cursor


def new_cursor(m: Any) -> Any:
    return m.Cursor.__new__(m.Cursor)


def forgetful_cursor(m: Any) -> Any:
    class Forgetful(m.Cursor):  # type: ignore[misc]
        def __init__(self, _connection: object) -> None:
            pass

    return memory(m).cursor(Forgetful)


def busy_cursor(m: Any) -> Any:
    return table(m).execute("select x from t order by id")


each("closed cursor", closed_cursor, CURSOR)
each("cursor of a closed connection", cursor_of_closed_connection, CURSOR)
for group, prepare in {"new": new_cursor, "forgetful": forgetful_cursor}.items():
    each(f"{group} cursor", prepare, {k: v for k, v in CURSOR.items() if k not in UNSET})
across("thread cursor", busy_cursor, CURSOR, (3, 10))


def blob_and_connection(m: Any) -> Any:
    con = memory(m)
    con.execute("create table b(x)")
    con.execute("insert into b values (zeroblob(8))")
    return con, con.blobopen("b", "x", 1)


def blob(m: Any) -> Any:
    return blob_and_connection(m)[1]


def closed_blob(m: Any) -> Any:
    opened = blob(m)
    opened.close()
    return opened


def orphaned_blob(m: Any) -> Any:
    con, opened = blob_and_connection(m)
    con.close()
    return opened


each("closed blob", closed_blob, BLOB, (3, 11))
each("blob of a closed connection", orphaned_blob, BLOB, (3, 11))
across("thread blob", blob, BLOB, (3, 11))


@case
def closing_twice_and_reading_after(m: Any) -> object:
    con = table(m)
    first, second = con.execute("select x from t"), con.cursor()
    con.close()
    con.close()
    return [attempt(first.fetchone), attempt(second.execute, "select 1"), attempt(second.close)]


@case
def deleting_the_connection_keeps_its_cursor_alive(m: Any) -> object:
    cursor = table(m).execute("select x from t")
    return [cursor.fetchall(), cursor.connection.total_changes]


@case
def rows_inserted_by_a_cursor_that_is_dropped(m: Any) -> object:
    con = table(m)
    con.cursor().execute("insert into t(x) values ('d')")
    return [con.in_transaction, con.execute("select count(*) from t").fetchone()]


def reentrant(m: Any, again: Any) -> object:
    """Use a cursor from the generator that feeds its own executemany."""
    con = table(m)
    cursor = con.cursor()

    def rows() -> Iterator[tuple[int]]:
        yield (10,)
        yield again(cursor) or (11,)

    return [
        attempt(cursor.executemany, "insert into t(x) values (?)", rows()),
        con.execute("select count(*) from t").fetchone(),
    ]


each(
    "cursor used by its own executemany",
    lambda m: None,
    {
        "execute": lambda m, _: reentrant(m, lambda c: c.execute("select 1")),
        "executemany": lambda m, _: reentrant(m, lambda c: c.executemany("select ?", [])),
        "executescript": lambda m, _: reentrant(m, lambda c: c.executescript("select 1")),
        "fetchone": lambda m, _: reentrant(m, lambda c: c.fetchone()),
        "fetchall": lambda m, _: reentrant(m, lambda c: c.fetchall()),
        "next": lambda m, _: reentrant(m, lambda c: next(c)),
        "close": lambda m, _: reentrant(m, lambda c: c.close()),
        "init": lambda m, _: reentrant(m, lambda c: c.__init__(c.connection)),
    },
)


@case
def cursor_used_by_a_text_factory(m: Any) -> object:
    con = memory(m)
    cursor = con.cursor()
    seen: list[object] = []

    def factory(raw: bytes) -> str:
        seen.append(attempt(cursor.execute, "select 'deep'"))
        return raw.decode()

    con.text_factory = factory
    return [attempt(lambda: cursor.execute("select 'x'").fetchall()), seen]


@case
def row_factory_closes_its_cursor(m: Any) -> object:
    con = table(m)
    cursor = con.cursor()
    cursor.row_factory = lambda c, row: (attempt(c.close), row)
    cursor.execute("select x from t")
    return [attempt(cursor.fetchone), attempt(cursor.fetchone)]


@since(3, 11)
def blob_of_a_changed_row_has_expired(m: Any) -> object:
    con, opened = blob_and_connection(m)
    con.execute("update b set x = 'other'")
    return [attempt(opened.read), attempt(opened.write, b"x"), attempt(opened.read, 0)]


newer(
    __name__,
    "closed connection: set isolation_level none",
    "closed connection: enter",
    "new connection: set isolation_level none",
    "new connection: enter",
    "forgetful connection: set isolation_level none",
    "forgetful connection: enter",
    "thread connection: set isolation_level none",
)
hostile_since(
    3,
    14,
    "new connection: row_factory",
    "forgetful connection: row_factory",
    "new cursor: row_factory",
    "forgetful cursor: row_factory",
)
