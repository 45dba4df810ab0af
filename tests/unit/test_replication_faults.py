"""No room on the disk and no memory, at each step of a log's and of a replica's life: errors, and nothing is lost."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import libsql_core
from libsql_core import _engine as engine
from libsql_core.lowlevel import ffi, lib

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="2026-11-21: replaces system calls under the engine")
ERRORS = (libsql_core.Error, engine.StatementError, MemoryError)
FILL = "insert into t(x) select zeroblob(900) from generate_series(1, 800)"
Fault = Callable[[int], Any]


@contextmanager
def full_disk(after: int) -> Iterator[Callable[[], bool]]:
    """Three writes fail, behind `after` that do not."""
    libc = ctypes.CDLL(None, use_errno=True)
    count = 0
    kept = []
    vfs = lib.sqlite3_vfs_find(ffi.NULL)
    short, long = ctypes.c_int, ctypes.c_ssize_t
    signatures: dict[str, tuple[Any, ...]] = {
        "write": (short, ctypes.c_void_p, long),
        "pwrite": (short, ctypes.c_void_p, long, long),
        "pwrite64": (short, ctypes.c_void_p, long, long),
        "ftruncate": (short, long),
    }
    errno_of = libc.__errno_location
    errno_of.restype = ctypes.POINTER(short)

    def guarded(name: str, kinds: tuple[Any, ...]) -> Any:
        function = getattr(libc, name)
        function.restype, function.argtypes = long, kinds

        def call(*arguments: Any) -> int:
            nonlocal count
            count += 1
            if after < count <= after + 3:
                errno_of()[0] = errno.ENOSPC
                return -1
            return int(function(*arguments))

        kept.append(ctypes.CFUNCTYPE(long, *kinds)(call))
        return ffi.cast("sqlite3_syscall_ptr", ctypes.cast(kept[-1], ctypes.c_void_p).value)

    for name, kinds in signatures.items():
        assert vfs.xSetSystemCall(vfs, name.encode(), guarded(name, kinds)) in (0, lib.SQLITE_NOTFOUND)
    try:
        yield lambda: count > after
    finally:
        for name in signatures:
            vfs.xSetSystemCall(vfs, name.encode(), ffi.NULL)


@contextmanager
def no_memory(after: int) -> Iterator[Callable[[], bool]]:
    """The engine gets no more than a page or so for every three of `after`."""
    lib.sqlite3_hard_heap_limit64(lib.sqlite3_memory_used() + 1 + after * 1500)
    try:
        yield lambda: after < 800
    finally:
        lib.sqlite3_hard_heap_limit64(0)


def content(path: Path) -> str:
    """Whether a database is sound, and its pages as one text."""
    with closing(libsql_core.connect(path)) as con:
        assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
        return hashlib.sha256(con.serialize()).hexdigest()


def replicate(log: engine.ReplicationLog, path: Path, at: int = 0) -> None:
    with closing(engine.Injector(path)) as injector:
        while at <= log.last:
            try:
                at = injector.frames(log.batch(at, 300), at).last + 1
            except engine.SnapshotNeeded:
                if (name := log.snapshot(at)) is None:
                    log.compact()
                    name = log.snapshot(at)
                assert name is not None
                messages = (entry for group in engine.snapshot_frames(name, at) for entry in group)
                at = injector.snapshot(messages, at).committed + 1


def run(con: engine.ServerConnection, sql: str) -> None:
    for plan in con.parse(sql):
        con.run(plan)


def attempt(call: Callable[[], object]) -> bool:
    try:
        call()
    except ERRORS:
        return False
    return True


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a killed process leaves it, in the middle of a commit: the log has what the database has not."""
    folder = tmp_path_factory.mktemp("killed")
    with (
        closing(engine.ReplicationLog(folder / "ns")) as log,
        closing(engine.ServerConnection(folder / "ns" / "data", name="x", log=log)) as con,
    ):
        run(con, f"create table t(a integer primary key, x); {FILL}")
        size = (folder / "ns" / "data-wal").stat().st_size
        run(con, "update t set x = zeroblob(700) where a % 9 = 1")
        shutil.copytree(folder / "ns", folder / "killed")
    with open(folder / "killed" / "data-wal", "r+b") as file:
        file.truncate(size)
    (folder / "killed" / "data-shm").unlink()
    return folder


def steps() -> Iterator[int]:
    n = 0
    while True:
        yield n
        n += 1 + n // 2


@pytest.mark.parametrize("fault", [full_disk, no_memory])
def test_opening(fault: Fault, killed: Path, tmp_path: Path) -> None:
    expected = content(killed / "ns" / "data")
    with closing(engine.ReplicationLog(killed / "ns")) as log:
        log_id = log.log_id
    failures = 0
    for n in steps():
        folder = tmp_path / f"{n}"
        shutil.copytree(killed / "killed", folder)

        def open_and_close(folder: Path = folder) -> None:
            engine.ReplicationLog(folder, dirty=True).close()

        with fault(n) as came_to_it:
            opened = attempt(open_and_close)
        failures += not opened
        with closing(engine.ReplicationLog(folder, dirty=not opened)) as log:
            assert (log.log_id, log.rebuilt) == (log_id, False)
        assert content(folder / "data") == expected
        if not came_to_it():
            break
    assert failures >= 5


@pytest.mark.parametrize("fault", [full_disk, no_memory])
def test_commits(fault: Fault, tmp_path: Path) -> None:
    """Whoever's commit failed has nothing of it in the log, and goes on."""
    failures = 0
    for n in steps():
        folder = tmp_path / f"{n}"
        log = engine.ReplicationLog(folder)
        con = engine.ServerConnection(folder / "data", name="x", log=log)
        run(con, "create table t(a integer primary key, x); insert into t(x) values ('first')")
        log_id = log.log_id
        done = 0

        def insert(con: engine.ServerConnection = con) -> None:
            run(con, "insert into t(x) values ('one')")

        def spill(con: engine.ServerConnection = con) -> None:
            run(con, f"begin; {FILL}; savepoint b; {FILL}; rollback to b; insert into t(x) values ('one'); commit")

        def copy(con: engine.ServerConnection = con) -> None:
            con.checkpoint("TRUNCATE")

        with fault(n) as came_to_it:
            for call in (insert, spill, insert, log.seal, insert, copy, log.compact):
                good = attempt(call)
                done += good and call in (insert, spill)
                failures += not good
                if not con.autocommit:
                    assert attempt(con.rollback) or con.autocommit
        insert()
        done += 1
        with closing(libsql_core.connect(folder / "data")) as reader:
            assert reader.execute("select count(*) from t where x = 'one'").fetchone() == (done,)
        expected = content(folder / "data")
        replicate(log, folder / "copy")
        assert content(folder / "copy") == expected
        shutil.copytree(folder, folder / "killed", ignore=shutil.ignore_patterns("copy*"))
        con.close()
        log.close()
        for again, dirty in ((folder / "killed", True), (folder, False)):
            with closing(engine.ReplicationLog(again, dirty=dirty)) as log:
                assert (log.log_id, log.rebuilt) == (log_id, False)
                replicate(log, again / "again")
            assert content(again / "again") == expected
        shutil.rmtree(folder)
        if not came_to_it():
            break
    assert failures >= 5


@pytest.mark.parametrize("fault", [full_disk, no_memory])
def test_a_replica(fault: Fault, killed: Path, tmp_path: Path) -> None:
    """It is as it was behind a transaction, and goes on from there."""
    failures = 0
    with closing(engine.ReplicationLog(killed / "ns")) as log:
        messages = []
        at = 0
        while at <= log.last:
            messages.append((log.batch(at, 1), at))
            at += len(messages[-1][0]) // 4120
    states = []
    with closing(engine.Injector(tmp_path / "whole")) as injector:
        states.append(content(tmp_path / "whole"))
        for message, at in messages:
            assert injector.frames(message, at).committed >= 0
            states.append(content(tmp_path / "whole"))
    for n in steps():
        copy = tmp_path / f"copy{n}"
        done = 0
        with fault(n) as came_to_it:
            try:
                injector = engine.Injector(copy, wal_autocheckpoint=20)
            except ERRORS:
                failures += 1
            else:
                try:
                    for message, at in messages:
                        injector.frames(message, at)
                        done += 1
                except ERRORS:
                    failures += 1
                finally:
                    injector.close()
        assert content(copy) == states[done] if done else True
        with closing(engine.Injector(copy)) as injector:
            for message, at in messages[done:]:
                injector.frames(message, at)
        assert content(copy) == states[-1]
        if not came_to_it():
            break
    assert failures >= 5
