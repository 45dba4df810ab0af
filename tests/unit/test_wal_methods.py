"""Logs with methods in Python: delegation, errors, lifetime."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import libsql_core as sqlite3
from libsql_core import wal

NAMES = [name for name, what in vars(wal.WalMethods).items() if callable(what)]


@pytest.fixture
def use() -> Iterator[Callable[[wal.WalMethods], str]]:
    """Register methods for one test."""
    before = set(wal.names())

    def register(methods: wal.WalMethods) -> str:
        name = f"test{len(wal.names())}"
        wal.register(name, methods)
        return name

    yield register
    for name in set(wal.names()) - before:
        wal.unregister(name)


def recorder() -> tuple[wal.WalMethods, list[str]]:
    """Methods that all note their name and go on to the default log."""
    seen: list[str] = []

    def make(name: str) -> Callable[..., Any]:
        default = getattr(wal.WalMethods, name)

        def method(self: wal.WalMethods, log: wal.Wal, *args: Any) -> Any:
            seen.append(name)
            return default(self, log, *args)

        return method

    return type("Recorder", (wal.WalMethods,), {name: make(name) for name in NAMES})(), seen


def fill(con: sqlite3.Connection) -> None:
    con.execute("PRAGMA journal_mode=wal")
    con.execute("CREATE TABLE t(x)")
    con.execute("INSERT INTO t VALUES (1), (2)")
    con.commit()


def exercise(con: sqlite3.Connection) -> None:
    """Use every method of the log."""
    con.execute("PRAGMA cache_size=1")
    con.execute("BEGIN")
    con.execute("INSERT INTO t VALUES (3)")
    con.execute("SAVEPOINT a")
    con.execute("INSERT INTO t SELECT randomblob(5000) FROM t, t")
    con.execute("ROLLBACK TO a")
    con.execute("COMMIT")
    con.execute("SELECT * FROM t").fetchall()
    con.execute("BEGIN")
    con.execute("INSERT INTO t SELECT randomblob(5000) FROM t, t")
    con.execute("ROLLBACK")
    con.wal_frames()
    con.wal_frame_count()
    con.execute("PRAGMA wal_checkpoint").fetchall()
    con.execute("PRAGMA locking_mode=exclusive")
    con.execute("INSERT INTO t VALUES (6)")
    con.execute("SELECT * FROM t").fetchall()


class Raiser(wal.WalMethods):
    """Raises in one method, when armed."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.armed = False


def raiser(name: str, error: BaseException) -> Raiser:
    default = getattr(wal.WalMethods, name)

    def method(self: Raiser, log: wal.Wal, *args: Any) -> Any:
        if self.armed:
            raise self.error
        return default(self, log, *args)

    made: Raiser = type("OneRaiser", (Raiser,), {name: method})(error)
    return made


def test_every_method_can_be_python(tmp_path: Path, use: Callable[[wal.WalMethods], str]) -> None:
    methods, seen = recorder()
    con = sqlite3.connect(tmp_path / "a.db", wal=use(methods), isolation_level=None)
    con.execute("PRAGMA cache_size=2")
    fill(con)
    con.execute("BEGIN")
    con.execute("INSERT INTO t VALUES (3)")
    con.execute("SAVEPOINT a")
    con.execute("INSERT INTO t VALUES (4)")
    con.execute("ROLLBACK TO a")
    con.execute("RELEASE a")
    con.execute("ROLLBACK")
    con.execute("BEGIN")
    con.execute("INSERT INTO t SELECT randomblob(5000) FROM t, t, t")
    con.execute("COMMIT")
    assert con.execute("SELECT count(*) FROM t").fetchone() == (10,)
    assert con.wal_frame_count() == len(con.wal_frames())
    con.execute("PRAGMA journal_size_limit=1000000")
    assert con.execute("PRAGMA wal_checkpoint").fetchone()[0] == 0
    con.execute("PRAGMA locking_mode=exclusive")
    con.execute("INSERT INTO t VALUES (5)")
    assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    con.close()
    assert set(NAMES) - set(seen) == {"log_destroy"}
    with sqlite3.connect(tmp_path / "a.db") as plain:
        assert plain.execute("SELECT count(*) FROM t").fetchone() == (11,)
    plain.close()


def test_what_is_not_defined_does_not_enter_python(tmp_path: Path, use: Callable[[wal.WalMethods], str]) -> None:
    calls: list[tuple[list[int], int, bool]] = []

    class Frames(wal.WalMethods):
        def frames(self, log: wal.Wal, pages: list[wal.Page], size_after: int, commit: bool, flags: int) -> int | None:
            calls.append(([number for number, _ in pages], size_after, commit))
            assert {len(content) for _, content in pages} == {4096}
            assert log.path == str(tmp_path / "a.db")
            return super().frames(log, pages, size_after, commit, flags)

    con = sqlite3.connect(f"file:{tmp_path}/a.db?wal={use(Frames())}", uri=True)
    fill(con)
    con.close()
    assert calls == [([1, 2], 2, True), ([2], 2, True)]


def test_pages_may_be_replaced(tmp_path: Path, use: Callable[[wal.WalMethods], str]) -> None:
    class Swap(wal.WalMethods):
        def frames(self, log: wal.Wal, pages: list[wal.Page], size_after: int, commit: bool, flags: int) -> int | None:
            return log.frames([(n, p.replace(b"left", b"west")) for n, p in pages], size_after, commit, flags)

    con = sqlite3.connect(tmp_path / "a.db", wal=use(Swap()))
    fill(con)
    con.execute("INSERT INTO t VALUES ('left')")
    con.commit()
    con.close()
    con = sqlite3.connect(tmp_path / "a.db")
    assert con.execute("SELECT x FROM t WHERE rowid = 3").fetchone() == ("west",)
    con.close()


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("close", "log_destroy", "limit", "savepoint_forget")])
def test_an_exception_is_the_cause_of_a_proper_error(
    name: str, tmp_path: Path, use: Callable[[wal.WalMethods], str]
) -> None:
    error = ZeroDivisionError("on purpose")
    methods = raiser(name, error)
    methods.armed = name in ("open", "log_exists")
    con = sqlite3.connect(tmp_path / "a.db", wal=use(methods), isolation_level=None)
    def run() -> None:
        fill(con)
        methods.armed = True
        exercise(con)

    with pytest.raises(sqlite3.OperationalError) as caught:
        run()
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_IOERR
    assert caught.value.__cause__ is error
    methods.armed = False
    con.close()
    plain = sqlite3.connect(tmp_path / "a.db")
    assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    plain.close()


def test_close_that_raises(tmp_path: Path, use: Callable[[wal.WalMethods], str]) -> None:
    methods = raiser("close", ZeroDivisionError("on purpose"))
    con = sqlite3.connect(tmp_path / "a.db", wal=use(methods))
    fill(con)
    methods.armed = True
    with pytest.raises(sqlite3.OperationalError, match="close\\(\\) of the WAL methods failed") as caught:
        con.close()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    con.close()
    plain = sqlite3.connect(tmp_path / "a.db")
    assert plain.execute("SELECT count(*) FROM t").fetchone() == (2,)
    plain.close()


def test_busy_waits_and_then_goes_on(tmp_path: Path, use: Callable[[wal.WalMethods], str]) -> None:
    tries = []

    class Slow(wal.WalMethods):
        def begin_write_transaction(self, log: wal.Wal) -> None:
            tries.append(1)
            if len(tries) % 3:
                raise wal.busy("not yet")
            super().begin_write_transaction(log)

    con = sqlite3.connect(tmp_path / "a.db", wal=use(Slow()))
    fill(con)
    assert len(tries) % 3 == 0
    con.close()
    tries.clear()
    con = sqlite3.connect(tmp_path / "a.db", wal=wal.names()[0], timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="database is locked") as caught:
        con.execute("INSERT INTO t VALUES (3)")
    assert str(caught.value.__cause__) == "not yet"
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_BUSY
    con.close()


def test_a_stale_snapshot_is_told_from_a_writer(tmp_path: Path, use: Callable[[wal.WalMethods], str]) -> None:
    class Stale(wal.WalMethods):
        def begin_write_transaction(self, log: wal.Wal) -> None:
            if stale:
                raise wal.busy(stale=True)
            super().begin_write_transaction(log)

    stale = False
    con = sqlite3.connect(tmp_path / "a.db", wal=use(Stale()), timeout=0, isolation_level=None)
    fill(con)
    con.execute("BEGIN")
    con.execute("SELECT * FROM t").fetchall()
    stale = True
    with pytest.raises(sqlite3.OperationalError, match="database is locked") as caught:
        con.execute("INSERT INTO t VALUES (3)")
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_BUSY_SNAPSHOT
    assert caught.value.sqlite_errorname == "SQLITE_BUSY_SNAPSHOT"
    con.close()


def test_the_writer_reads_its_own_frames(tmp_path: Path, use: Callable[[wal.WalMethods], str]) -> None:
    read: list[bool] = []

    class Spills(wal.WalMethods):
        def frames(self, log: wal.Wal, pages: list[wal.Page], size_after: int, commit: bool, flags: int) -> int | None:
            added = super().frames(log, pages, size_after, commit, flags)
            if not commit:
                number, content = pages[-1]
                raw = log.read_frame_raw(log.frame_count(True), 24 + len(content))
                read.append((int.from_bytes(raw[:4], "big"), raw[24:]) == (number, content))
            return added

    con = sqlite3.connect(tmp_path / "a.db", wal=use(Spills()), isolation_level=None)
    con.execute("PRAGMA journal_mode=wal")
    con.execute("PRAGMA cache_size=1")
    con.execute("BEGIN")
    con.execute("CREATE TABLE t(x)")
    con.executemany("INSERT INTO t VALUES (?)", [(b"x" * 9000,)] * 20)
    con.execute("COMMIT")
    assert len(read) > 5
    assert all(read)
    con.close()


@pytest.mark.parametrize(
    ("name", "garbage"),
    [
        ("find_frame", "seven"),
        ("find_frame", -1),
        ("read_frame", b"short"),
        ("read_frame", None),
        ("read_frame_raw", b""),
        ("dbsize", 1 << 40),
        ("undo", 7),
        ("savepoint", (1, 2, 3)),
        ("savepoint", None),
        ("savepoint_undo", ("a", 2, 3, 4)),
        ("frame_count", object()),
        ("checkpoint", None),
        ("callback", "x"),
    ],
)
def test_garbage_is_an_error_and_the_database_lives(
    name: str, garbage: object, tmp_path: Path, use: Callable[[wal.WalMethods], str]
) -> None:
    default = getattr(wal.WalMethods, name)
    state = {"armed": False}

    def method(self: wal.WalMethods, log: wal.Wal, *args: Any) -> Any:
        answer = default(self, log, *args)
        return garbage if state["armed"] else answer

    methods = type("Garbage", (wal.WalMethods,), {name: method})()
    con = sqlite3.connect(tmp_path / "a.db", wal=use(methods), isolation_level=None)
    fill(con)
    state["armed"] = True
    with pytest.raises(sqlite3.OperationalError) as caught:
        exercise(con)
    assert isinstance(caught.value.__cause__, (TypeError, ValueError, OverflowError))
    state["armed"] = False
    con.close()
    plain = sqlite3.connect(tmp_path / "a.db")
    assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    plain.close()


def test_wal_objects_outside_their_methods(tmp_path: Path, use: Callable[[wal.WalMethods], str]) -> None:
    kept: list[wal.Wal] = []
    failures: list[str] = []

    class Keep(wal.WalMethods):
        def open(self, log: wal.Wal) -> None:
            kept.append(log)
            super().open(log)

        def frames(self, log: wal.Wal, pages: list[wal.Page], size_after: int, commit: bool, flags: int) -> int | None:
            assert log is kept[0]
            with pytest.raises(sqlite3.ProgrammingError, match="Only checkpoint"):
                log.checkpoint(0, 0)
            thread = threading.Thread(target=lambda: failures.append(trouble(log)))
            thread.start()
            thread.join()
            return super().frames(log, pages, size_after, commit, flags)

    def trouble(log: wal.Wal) -> str:
        with pytest.raises(sqlite3.ProgrammingError) as caught:
            log.dbsize()
        return str(caught.value)

    con = sqlite3.connect(tmp_path / "a.db", wal=use(Keep()))
    fill(con)
    assert set(failures) == {"A Wal can only be used inside a method of its log."}
    assert trouble(kept[0]) == "A Wal can only be used inside a method of its log."
    con.close()
    assert trouble(kept[0]) == "The log is closed."
    with pytest.raises(TypeError):
        wal.Wal()


def test_sql_on_the_same_connection_is_refused(tmp_path: Path, use: Callable[[wal.WalMethods], str]) -> None:
    refused: list[str] = []

    class Own(wal.WalMethods):
        def frames(self, log: wal.Wal, pages: list[wal.Page], size_after: int, commit: bool, flags: int) -> int | None:
            for sql in ("SELECT 1", "INSERT INTO t VALUES (99)", "COMMIT"):
                with pytest.raises(sqlite3.Error, match="runs no SQL on it"):
                    con.execute(sql)
                refused.append(sql)
            return super().frames(log, pages, size_after, commit, flags)

    con = sqlite3.connect(tmp_path / "a.db", wal=use(Own()))
    fill(con)
    assert len(refused) == 6
    assert con.execute("SELECT x FROM t").fetchall() == [(1,), (2,)]
    assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    con.close()


def test_lifetime(tmp_path: Path) -> None:
    methods = wal.WalMethods()
    seen = weakref.ref(methods)
    wal.register("short", methods)
    con = sqlite3.connect(tmp_path / "a.db", wal="short")
    del methods
    fill(con)
    wal.unregister("short")
    gc.collect()
    assert seen() is not None
    with pytest.raises(sqlite3.OperationalError, match="no such WAL module: short"):
        sqlite3.connect(tmp_path / "b.db", wal="short")
    con.execute("INSERT INTO t VALUES (3)")
    con.commit()
    con.close()
    gc.collect()
    assert seen() is None


def test_names() -> None:
    for name in ("", "default", "defaults"):
        with pytest.raises(ValueError, match="reserved"):
            wal.register(name, wal.WalMethods())
    with pytest.raises(TypeError):
        wal.register("x", wal.WalMethods)  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        wal.unregister("unheard-of")
    with pytest.raises(sqlite3.OperationalError, match="no such WAL module: unheard-of") as caught:
        sqlite3.connect(":memory:", wal="unheard-of")
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_ERROR
    con = sqlite3.connect(":memory:", uri=True)
    with pytest.raises(sqlite3.OperationalError, match="no such WAL module: unheard-of"):
        con.execute("ATTACH 'file:x.db?wal=unheard-of' AS x")
    con.close()
    sqlite3.connect(":memory:", wal="default").close()


def test_threads_do_not_wait_for_each_other(tmp_path: Path, use: Callable[[wal.WalMethods], str]) -> None:
    methods, _ = recorder()
    name = use(methods)
    con = sqlite3.connect(tmp_path / "a.db", wal=name)
    fill(con)
    con.close()

    def write(k: int) -> None:
        own = sqlite3.connect(tmp_path / "a.db", wal=name, timeout=60, isolation_level=None)
        for i in range(20):
            own.execute("INSERT INTO t VALUES (?)", (k * 100 + i,))
        own.close()

    threads = [threading.Thread(target=write, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    con = sqlite3.connect(tmp_path / "a.db")
    assert con.execute("SELECT count(*) FROM t").fetchone() == (82,)
    assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    con.close()
