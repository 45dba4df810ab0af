"""The module and its types: names, values, hierarchy, identity, copying, subclasses."""

import copy
import gc
import importlib
import pickle
import sqlite3
import sys
import weakref
from types import ModuleType, SimpleNamespace
from typing import Any

from against import attempt, case, each, memory, newer, put, since, table

TYPES = ["Connection", "Cursor", "Row", "PrepareProtocol"]
ERRORS = [
    *("Warning", "Error", "InterfaceError", "DatabaseError", "DataError", "OperationalError"),
    *("IntegrityError", "InternalError", "ProgrammingError", "NotSupportedError"),
]


@case
def version_facts(m: Any) -> object:
    return [m.apilevel, m.paramstyle, m.PARSE_DECLTYPES, m.PARSE_COLNAMES]


@case
def thread_safety(m: Any) -> object:
    return m.threadsafety  # both engines are built to serialize


@case
def sqlite_version_has_two_forms(m: Any) -> object:
    return tuple(map(int, m.sqlite_version.split("."))) == m.sqlite_version_info


@case
def own_version(m: Any) -> object:
    return [attempt(getattr, m, "version"), attempt(getattr, m, "version_info")]


def public_names(module: Any) -> list[str]:
    names = [name for name in dir(module) if not name.startswith("_")]
    return [name for name in names if not isinstance(getattr(module, name), ModuleType)]


@case
def public_names_of_the_stdlib(m: Any) -> object:
    return [name for name in public_names(sqlite3) if not hasattr(m, name)]


@case
def constants_have_the_same_values(m: Any) -> object:
    names = [name for name in dir(sqlite3) if name.startswith(("SQLITE_", "PARSE_", "LEGACY_"))]
    return {name: getattr(m, name, "missing") for name in names}


@case
def public_methods_of_the_types(m: Any) -> object:
    missing = []
    for name in [*TYPES, "Blob"]:
        theirs, ours = getattr(sqlite3, name, None), getattr(m, name, None)
        missing += [f"{name}.{attribute}" for attribute in dir(theirs) if not hasattr(ours, attribute)]
    return [name for name in missing if "__" not in name and not name.startswith("Blob.__")]


@case
def names_of_the_types(m: Any) -> object:
    return [[getattr(m, name).__name__, getattr(m, name).__qualname__] for name in TYPES]


@case
def representations(m: Any) -> object:
    con = memory(m)
    cursor = con.cursor()
    return [repr(con), repr(cursor), str(con) == repr(con), repr(m.Row), repr(m.Connection)]


@case
def error_hierarchy(m: Any) -> object:
    return [[base.__name__ for base in getattr(m, name).__mro__] for name in ERRORS]


@case
def errors_on_the_connection(m: Any) -> object:
    con = memory(m)
    return [getattr(con, name) is getattr(m, name) for name in ERRORS]


@case
def errors_made_by_hand(m: Any) -> object:
    error = m.OperationalError("x", 2)
    return [error.args, str(error), repr(error), hasattr(error, "sqlite_errorcode")]


@since(3, 11)
def errors_carry_code_and_name(m: Any) -> object:
    con = table(m)
    found = [attempt(con.execute, sql) for sql in ("x", "insert into t(id) values (1)", "drop table z")]
    found.append(attempt(m.connect, "no/such/folder.db"))
    return [[e.sqlite_errorcode, e.sqlite_errorname, vars(e)] for e in found]  # type: ignore[attr-defined]


@since(3, 11)
def errors_of_the_binding_carry_no_code(m: Any) -> object:
    con = memory(m)
    found = [attempt(con.execute, "select ?"), attempt(con.execute, "select 1; select 2")]
    return [vars(error) for error in found]


@case
def errors_survive_pickling(m: Any) -> object:
    error = attempt(memory(m).execute, "nonsense")
    again = pickle.loads(pickle.dumps(error))
    return [type(again) is type(error), again.args]


OBJECTS: dict[str, Any] = {
    "connection": memory,
    "cursor": lambda m: memory(m).cursor(),
    "row": lambda m: m.Row(memory(m).execute("select 1 as a"), (1,)),
    "statement": lambda m: memory(m)("select 1"),
}
for name, make in OBJECTS.items():
    each(
        f"identity of a {name}",
        make,
        {
            "pickle": lambda m, o: pickle.dumps(o),
            "copy": lambda m, o: copy.copy(o),
            "deepcopy": lambda m, o: copy.deepcopy(o),
            "equality": lambda m, o: [o == o, o != o, o == 1, o in [o]],
            "hash": lambda m, o: hash(o) == hash(o),
            "order": lambda m, o: o < o,
            "bool": lambda m, o: bool(o),
            "length": lambda m, o: len(o),
            "dict": lambda m, o: hasattr(o, "__dict__"),
            "tracked": lambda m, o: gc.is_tracked(o),
            "type name": lambda m, o: type(o).__name__,
            "iter": lambda m, o: type(iter(o)).__name__,
            "callable": lambda m, o: callable(o),
            "generic": lambda m, o: type(o)[int],
            "class attribute": lambda m, o: put(type(o), "extra", 1),
            "with": lambda m, o: hasattr(o, "__enter__"),
        },
    )

each(
    "complete_statement",
    lambda m: m.complete_statement,
    {
        text: lambda m, complete, text=text: complete(text)  # type: ignore[misc]
        for text in (
            "",
            ";",
            "select 1",
            "select 1;",
            "select ';",
            "select ';';",
            "-- ;",
            "/* ; */",
            "create trigger a after b on c begin select 1;",
            "create trigger a after b on c begin select 1; end;",
            "select 'é';",
        )
    },
)


@case
def subclasses_of_connection_and_cursor(m: Any) -> object:
    class Cursor(m.Cursor):  # type: ignore[misc]
        def execute(self, sql: str, *rest: Any) -> Any:
            return super().execute(sql + " + 1", *rest)

    class Connection(m.Connection):  # type: ignore[misc]
        extra = "class attribute"

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.mark = "own attribute"

        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

    con = m.connect(":memory:", factory=Connection)
    return [
        con.mark,
        con.extra,
        con.cursor().execute("select 1").fetchall(),
        con.execute("select 1").fetchall(),
        type(con.cursor()).__name__,
    ]


@case
def overridden_cursor_serves_execute(m: Any) -> object:
    class Connection(m.Connection):  # type: ignore[misc]
        def cursor(self) -> Any:
            return "not a cursor"

    con = Connection(":memory:")
    return [
        attempt(con.execute, "select 1"),
        attempt(con.executemany, "select 1", []),
        attempt(con.executescript, "select 1"),
    ]


@case
def overridden_commit_and_rollback_in_with(m: Any) -> object:
    calls: list[str] = []

    class Connection(m.Connection):  # type: ignore[misc]
        def commit(self) -> None:
            calls.append("commit")
            super().commit()

        def rollback(self) -> None:
            calls.append("rollback")
            super().rollback()

    con = Connection(":memory:")
    with con:
        con.execute("create table t(x)")
    con.execute("insert into t values (1)")
    attempt(con.__exit__, None, None, None)
    con.execute("insert into t values (1)")
    attempt(con.__exit__, ValueError, ValueError(), None)
    return calls


@case
def subclass_of_row(m: Any) -> object:
    class Row(m.Row):  # type: ignore[misc]
        def __getattr__(self, name: str) -> Any:
            return self[name]

    con = memory(m)
    con.row_factory = Row
    row = con.execute("select 1 as a, 2 as b").fetchone()
    return [row.a, row.b, attempt(lambda: row.c), row == con.execute("select 1 as a, 2 as b").fetchone()]


@case
def subclass_of_prepare_protocol(m: Any) -> object:
    return type("Mine", (m.PrepareProtocol,), {}).__mro__[1].__name__


@case
def cursors_keep_their_connection(m: Any) -> object:
    con = m.connect(":memory:", factory=type("Mine", (m.Connection,), {}))
    cursor = con.cursor()
    refs = [weakref.ref(con), weakref.ref(cursor)]
    del con
    kept = refs[0]() is not None
    cursor.connection.close()
    del cursor
    gc.collect()
    return [kept, [ref() for ref in refs]]


@case
def cycles_are_collected(m: Any) -> object:
    def tie_a_knot() -> Any:
        con = m.connect(":memory:", factory=type("Mine", (m.Connection,), {}))
        con.me = con
        con.create_function("f", 0, lambda: con)
        con.row_factory = lambda cursor, row: con
        return weakref.ref(con)

    ref = tie_a_knot()
    gc.collect()
    return ref() is None


@case
def reference_counts_do_not_grow(m: Any) -> object:
    con = table(m)
    value, factory = "some text" * 3, lambda cursor, row: row
    con.row_factory = factory
    before = [sys.getrefcount(value), sys.getrefcount(factory)]
    for _ in range(50):
        con.execute("select ?, x from t", (value,)).fetchall()
        attempt(con.execute, "select ?", (value, value))
    return [sys.getrefcount(value) - before[0] < 5, sys.getrefcount(factory) - before[1] < 5]


@case
def audit_events(m: Any) -> object:
    seen: list[object] = []
    active = [True]

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if active and event.startswith("sqlite3."):
            seen.append([event, [a if isinstance(a, str) else type(a).__name__ for a in arguments]])

    sys.addaudithook(hook)  # a hook cannot be removed, only silenced
    con = memory(m)
    attempt(m.connect, "no/such/folder.db")
    if hasattr(sqlite3.Connection, "enable_load_extension"):
        con.enable_load_extension(True)
        attempt(con.load_extension, "missing")
    active.clear()
    return seen


@case
def submodules(m: Any) -> object:
    dbapi2 = importlib.import_module(f"{m.__name__}.dbapi2")
    return [
        dbapi2.connect is m.connect,
        [name for name in public_names(sqlite3.dbapi2) if not hasattr(dbapi2, name)],
    ]


@case
def dates_of_the_dbapi(m: Any) -> object:
    return [
        m.Date(2024, 1, 2),
        m.Time(1, 2, 3),
        m.Timestamp(2024, 1, 2, 3, 4, 5),
        m.DateFromTicks(0).year in (1969, 1970),
        type(m.TimeFromTicks(0)).__name__,
        type(m.TimestampFromTicks(0)).__name__,
        m.Binary(b"x") == b"x",
    ]


@case
def shared_cache_switch(m: Any) -> object:
    return attempt(lambda: m.enable_shared_cache(0))


@case
def star_import(m: Any) -> object:
    ours: dict[str, object] = {}
    theirs: dict[str, object] = {}
    exec(f"from {m.__name__} import *", ours)
    exec("from sqlite3 import *", theirs)
    return sorted(name for name in public_names(SimpleNamespace(**theirs)) if name not in ours)


newer(
    __name__,
    "subclasses_of_connection_and_cursor",
    "overridden_cursor_serves_execute",
    "audit_events",
)
