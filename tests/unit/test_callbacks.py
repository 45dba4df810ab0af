"""Callbacks that raise or close their connection, of every kind: the right error, no crash, nothing lost."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import libsql_core

Do = Callable[[], Any]
Kind = Callable[[libsql_core.Connection, Do], object]


def aggregate(at: str, window: bool = False) -> Kind:
    """An aggregate, or a window function, that acts in its method `at`."""

    def run(con: libsql_core.Connection, do: Do) -> object:
        class Aggregate:
            def __init__(self) -> None:
                self.act("__init__")

            def act(self, name: str) -> int:
                if name == at:
                    do()
                return 1

            def step(self, *_: object) -> None:
                self.act("step")

            def inverse(self, *_: object) -> None:
                self.act("inverse")

            def value(self) -> int:
                return self.act("value")

            def finalize(self) -> int:
                return self.act("finalize")

        if not window:
            con.create_aggregate("act", 1, Aggregate)
            return con.execute("select act(id) from t").fetchall()
        con.create_window_function("act", 1, Aggregate)
        over = "over (order by id rows between 1 preceding and current row)"
        return con.execute(f"select act(id) {over} from t").fetchall()

    return run


def function(con: libsql_core.Connection, do: Do) -> object:
    con.create_function("act", 1, lambda x: do())
    return con.execute("select act(id) from t").fetchall()


def function_in_insert(con: libsql_core.Connection, do: Do) -> object:
    con.create_function("act", 1, lambda x: do())
    return con.execute("insert into t values (act(9), 9)")


def function_in_script(con: libsql_core.Connection, do: Do) -> object:
    con.create_function("act", 1, lambda x: do())
    return con.executescript("begin; select act(id) from t; commit")


def collation(con: libsql_core.Connection, do: Do) -> object:
    con.create_collation("act", lambda a, b: (do(), 0)[1])
    return con.execute("select * from t order by x collate act").fetchall()


def authorizer(con: libsql_core.Connection, do: Do) -> object:
    con.set_authorizer(lambda *_: (do(), libsql_core.SQLITE_OK)[1])
    return con.execute("select x from t").fetchall()


def progress(con: libsql_core.Connection, do: Do) -> object:
    con.set_progress_handler(lambda: (do(), 0)[1], 1)
    return con.execute("select x from t").fetchall()


def trace(con: libsql_core.Connection, do: Do) -> object:
    con.set_trace_callback(lambda sql: do())
    return con.execute("select x from t where id < 3").fetchall()


def row_factory(con: libsql_core.Connection, do: Do) -> object:
    con.row_factory = lambda cursor, row: do()
    return con.execute("select x from t").fetchall()


def text_factory(con: libsql_core.Connection, do: Do) -> object:
    con.text_factory = lambda raw: do()
    return con.execute("select x from t").fetchall()


def converter(con: libsql_core.Connection, do: Do) -> object:
    libsql_core.register_converter("act", lambda raw: do())
    return con.execute("select x as 'x [act]' from t").fetchall()


class Adapted:
    def __init__(self, do: Do) -> None:
        self.do = do

    def __conform__(self, protocol: object) -> int:
        self.do()
        return 1


def adapter(con: libsql_core.Connection, do: Do) -> object:
    return con.execute("select ?, ?", ("text", Adapted(do))).fetchall()


def adapter_in_a_batch(con: libsql_core.Connection, do: Do) -> object:
    return con.executemany("insert into t values (?, ?)", [(9, Adapted(do))])


def backup_progress(con: libsql_core.Connection, do: Do) -> object:
    target = libsql_core.connect(":memory:")
    try:
        con.backup(target, pages=1, progress=lambda *_: do())
    finally:
        target.close()
    return None


def generator(con: libsql_core.Connection, do: Do) -> object:
    def rows() -> Iterator[tuple[int, int]]:
        do()
        yield 9, 9

    return con.executemany("insert into t values (?, ?)", rows())


def sequence(con: libsql_core.Connection, do: Do) -> object:
    class Values:
        def __len__(self) -> int:
            return 2

        def __getitem__(self, i: int) -> int:
            if i:
                do()
            return i

    return con.execute("select ?, ?", Values()).fetchall()


def mapping(con: libsql_core.Connection, do: Do) -> object:
    class Values(dict[str, object]):
        def __missing__(self, key: str) -> int:
            do()
            return 1

    return con.execute("select :a, :b", Values(a="text")).fetchall()


def cursor_factory(con: libsql_core.Connection, do: Do) -> object:
    class Cursor(libsql_core.Cursor):
        def __init__(self, connection: libsql_core.Connection) -> None:
            super().__init__(connection)
            do()

    return con.cursor(Cursor).execute("select 1").fetchall()


SQL_ERROR = "user-defined aggregate's '{}' method raised error"
RAISED = (ZeroDivisionError, "from the callback")
# kind -> what comes out when the callback raises: (class, text), or the rows of a kind whose errors are dropped
KINDS: dict[Kind, object] = {
    function: (libsql_core.OperationalError, "user-defined function raised exception"),
    function_in_insert: (libsql_core.OperationalError, "user-defined function raised exception"),
    function_in_script: (libsql_core.OperationalError, "user-defined function raised exception"),
    **{
        aggregate(method, window): (libsql_core.OperationalError, SQL_ERROR.format(method))
        for method, window in (
            ("__init__", False), ("step", False), ("finalize", False),
            ("__init__", True), ("step", True), ("inverse", True), ("value", True),
        )
    },
    aggregate("finalize", True): [(1,)] * 4,
    collation: RAISED,
    authorizer: (libsql_core.DatabaseError, "not authorized"),
    progress: (libsql_core.OperationalError, "interrupted"),
    trace: [("a",), ("b",)],
    row_factory: RAISED,
    text_factory: RAISED,
    converter: RAISED,
    adapter: RAISED,
    adapter_in_a_batch: RAISED,
    backup_progress: RAISED,
    generator: RAISED,
    sequence: RAISED,
    mapping: RAISED,
    cursor_factory: RAISED,
}  # fmt: skip
NAMES = [kind.__qualname__.split(".")[0] for kind in KINDS]


def fail() -> None:
    raise ZeroDivisionError("from the callback")


@pytest.mark.parametrize(("kind", "expected"), KINDS.items(), ids=NAMES)
def test_a_callback_that_raises(file: Any, kind: Kind, expected: Any) -> None:
    con = file.connect(detect_types=libsql_core.PARSE_COLNAMES)
    con.execute("insert into t values (4, 'd')")
    if isinstance(expected, list):
        assert kind(con, fail) == expected
    else:
        with pytest.raises(expected[0]) as caught:
            kind(con, fail)
        assert type(caught.value) is expected[0]
        assert str(caught.value) == expected[1]
    con.set_authorizer(None)
    con.set_progress_handler(None, 0)
    con.set_trace_callback(None)
    con.row_factory, con.text_factory = None, str
    # A script commits what is open before it starts; otherwise the transaction is as it was.
    assert con.in_transaction
    con.rollback()
    assert con.execute("select count(*) from t").fetchone() == (4 if kind is function_in_script else 3,)
    con.execute("insert or replace into t values (4, 'd')")
    con.commit()
    file.close()
    file.check((4, "d"))


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_a_callback_that_closes_its_connection(file: Any, kind: Kind) -> None:
    con = file.connect(detect_types=libsql_core.PARSE_COLNAMES)
    con.execute("insert into t values (4, 'd')")
    con.commit()
    con.execute("insert into t values (5, 'not committed')")
    with pytest.raises(libsql_core.ProgrammingError) as caught:
        kind(con, con.close)
    assert str(caught.value) == "Cannot operate on a closed database."
    with pytest.raises(libsql_core.ProgrammingError, match=r"^Cannot operate on a closed database\.$"):
        con.execute("select 1")
    con.close()
    if kind is function_in_script:  # which committed
        file.check((4, "d"), (5, "not committed"))
    else:
        file.check((4, "d"))


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_a_callback_that_opens_its_connection_anew(file: Any, kind: Kind) -> None:
    """Whatever comes of it: no crash now or later, and the file stays whole."""
    con = file.connect(detect_types=libsql_core.PARSE_COLNAMES)
    with contextlib.suppress(libsql_core.Error, TypeError):
        kind(con, lambda: con.__init__(":memory:"))
    with contextlib.suppress(libsql_core.Error):
        con.create_function("again", 1, lambda x: con.close())
        con.execute("select again(value) from json_each('[1, 2, 3]')").fetchall()
    con.close()
    gc.collect()
    file.check()


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_what_a_callback_raised_is_not_raised_again(con: libsql_core.Connection, kind: Kind) -> None:
    """The next statement of the same thread knows nothing of it."""
    with contextlib.suppress(libsql_core.Error, ZeroDivisionError):
        kind(con, fail)
    other = libsql_core.connect(":memory:")
    assert other.execute("select 1").fetchall() == [(1,)]
    other.close()


def test_a_collation_that_fails_while_a_statement_is_compiled(con: libsql_core.Connection) -> None:
    """With statistics the planner compares values; its error must not hit a later statement."""
    broken = False

    def compare(a: str, b: str) -> int:
        if broken:
            fail()
        return (a > b) - (a < b)

    con.create_collation("act", compare)
    con.execute("create table u(x text collate act, y)")
    con.executemany("insert into u values (?, ?)", [(str(i % 50), i) for i in range(2000)])
    con.execute("create index i on u(x)")
    con.execute("analyze")
    broken = True
    with contextlib.suppress(ZeroDivisionError):
        con("select * from u where x > '7' and y = 1")
    assert con.execute("select 1").fetchall() == [(1,)]


@pytest.mark.parametrize(
    "replace",
    [
        lambda con: con.create_function("act", 1, None),
        lambda con: con.create_collation("act", None),
        lambda con: con.set_authorizer(None),
        lambda con: con.set_progress_handler(None, 1),
        lambda con: con.set_trace_callback(None),
    ],
    ids=["function", "collation", "authorizer", "progress", "trace"],
)
@pytest.mark.parametrize("kind", [function, collation, authorizer, progress, trace], ids=lambda k: k.__name__)
def test_a_callback_that_removes_itself(
    con: libsql_core.Connection, kind: Kind, replace: Callable[[libsql_core.Connection], None]
) -> None:
    def do() -> bool:
        with contextlib.suppress(libsql_core.OperationalError):  # what a running statement uses cannot be removed
            replace(con)
        gc.collect()
        return True

    assert len(kind(con, do)) in (2, 3)  # type: ignore[arg-type]


def test_tracebacks_of_dropped_errors_go_to_the_unraisable_hook(
    con: libsql_core.Connection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []
    monkeypatch.setattr("sys.unraisablehook", lambda found: seen.append(repr(found.exc_value)))
    libsql_core.enable_callback_tracebacks(True)
    try:
        trace(con, fail)
        with pytest.raises(libsql_core.OperationalError):
            progress(con, fail)
    finally:
        libsql_core.enable_callback_tracebacks(False)
    if sys.version_info < (3, 11):  # they are printed
        assert capsys.readouterr().err.count("ZeroDivisionError: from the callback") > 1
    else:
        assert set(seen) == {"ZeroDivisionError('from the callback')"}
    count = len(seen)
    with pytest.raises(libsql_core.OperationalError):
        progress(con, fail)
    assert (len(seen), capsys.readouterr().err) == (count, "")


def test_many_arguments_and_results_survive(con: libsql_core.Connection) -> None:
    """Arguments beyond those that fit into the fixed room of a call."""
    con.create_function("act", -1, lambda *values: "|".join(map(repr, values)))
    values = [None, 1, -(2**63), 2.5, "é\0ü", b"\0\xff", "", b""] * 12
    marks = ", ".join("?" * len(values))
    assert con.execute(f"select act({marks})", values).fetchone() == ("|".join(map(repr, values)),)


RESET_BY = {
    "execute": "cursor.execute('select 1').fetchall()",
    "executemany": "cursor.executemany('insert into t values (?)', [(1,)])",
    "close": "cursor.close()",
    "dealloc": "del cursor",
    "eviction": "[con.execute(f'select {i}').fetchall() for i in range(5)]",
    "commit": "con.execute('insert into t values (9)'); con.commit()",
    "rollback": "con.execute('insert into t values (9)'); con.rollback()",
}


@pytest.mark.parametrize("reset", RESET_BY.values(), ids=RESET_BY)
@pytest.mark.parametrize("act", ["con.close()", "con.__init__(':memory:')", "con.execute('select 5').fetchall()"])
def test_a_callback_of_a_statement_that_is_reset(run_child: Any, reset: str, act: str) -> None:
    """Resetting an unfinished window function calls its `finalize`: closing there must not pull the rug away."""
    seen = run_child(f"""
con = sqlite3.connect("kept.db", cached_statements=2)
con.execute("create table t(id)")
con.executemany("insert into t values (?)", [(i,) for i in range(5)])
con.commit()
class Window:
    def step(self, x): pass
    def inverse(self, x): pass
    def value(self): return 1
    def finalize(self):
        try:
            {act}
        except sqlite3.Error:
            pass
        return 1
con.create_window_function("w", 1, Window)
cursor = con.execute("select w(id) over (order by id rows between 1 preceding and current row) from t")
cursor.fetchone()
try:
    {reset}
except sqlite3.Error:
    pass
cursor = None
con.close()
gc.collect()
con = sqlite3.connect("kept.db")
rows = con.execute("select count(*) from t where id < 5").fetchone()
print(json.dumps([rows, con.execute("pragma integrity_check").fetchone()]))
con.close()
""")
    assert seen[1] == ["ok"]
    assert seen[0][0] >= 5


def test_rows_of_a_connection_that_was_closed_and_opened_anew(run_child: Any) -> None:
    seen = run_child("""
answers = []
for fetch in ("fetchone", "fetchmany", "fetchall", "__next__", "close"):
    con = sqlite3.connect(":memory:")
    cursor = con.execute("select 'a' union select 'b' union select 'c'")
    con.close()
    con.__init__(":memory:")
    try:
        rows = getattr(cursor, fetch)()
    except (sqlite3.Error, StopIteration) as error:
        rows = str(error)
    answers.append(con.execute("select 1").fetchall())
    del cursor
    con.close()
print(json.dumps(answers))
""")
    assert seen == [[[1]]] * 5
