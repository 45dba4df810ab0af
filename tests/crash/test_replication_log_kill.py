"""kill -9 of a primary and of what follows it: the log keeps its identity, has what was committed and no more, and a
replica is at one of its transactions.

The process dies at a seeded call that writes, shortens, syncs or deletes a file, or half way through a write.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

CODE = """
import ctypes, hashlib, random, signal
from contextlib import closing
from libsql_core import _engine as engine
from libsql_core.lowlevel import ffi, lib

first, last = int(sys.argv[2]), int(sys.argv[3])
ROWS = 20                                   # of a batch, which is one transaction
libc = ctypes.CDLL(None, use_errno=True)
SHORT, LONG = ctypes.c_int, ctypes.c_ssize_t
CALLS = {                                   # how the engine's VFS changes files
    "write": (LONG, SHORT, ctypes.c_void_p, LONG),
    "pwrite": (LONG, SHORT, ctypes.c_void_p, LONG, LONG),
    "pwrite64": (LONG, SHORT, ctypes.c_void_p, LONG, LONG),
    "ftruncate": (SHORT, SHORT, LONG),
    "unlink": (SHORT, ctypes.c_char_p),
}
callbacks = []
dice = random.Random()


def die_at(count, share):
    left = count

    def guarded(name, kinds):
        function = getattr(libc, name)
        function.restype, function.argtypes = kinds[0], kinds[1:]

        def call(*arguments):
            nonlocal left
            left -= 1
            if left == 0:
                if "write" in name and share:
                    function(arguments[0], arguments[1], int(arguments[2] * share), *arguments[3:])
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments)

        callbacks.append(ctypes.CFUNCTYPE(*kinds)(call))
        return ffi.cast("sqlite3_syscall_ptr", ctypes.cast(callbacks[-1], ctypes.c_void_p).value)

    vfs = lib.sqlite3_vfs_find(ffi.NULL)
    for name, kinds in CALLS.items():
        assert vfs.xSetSystemCall(vfs, name.encode(), guarded(name, kinds)) in (0, lib.SQLITE_NOTFOUND)


def text(batch, i):
    return hashlib.sha256(f"{batch} {i}".encode()).hexdigest() * (1 + (batch * 7 + i) % 40)


def follow(log, path):
    '''Have the replica follow; its position is kept beside it.'''
    at = 0
    if os.path.exists(path + "-at"):
        with open(path + "-at") as file:
            at = int(file.read())

    def keep(done):
        with open(path + "-at.new", "w") as file:
            file.write(str(done.committed + 1))
        os.replace(path + "-at.new", path + "-at")
        return done.committed + 1

    with closing(engine.Injector(path, wal_autocheckpoint=30)) as injector:
        while True:
            try:
                message = log.batch(at, dice.choice((1, 10, 1000)))
            except engine.SnapshotNeeded:
                if log.snapshot(at) is None:
                    log.compact()
                name = log.snapshot(at)
                assert name is not None, (at, log.first)
                at = keep(injector.snapshot((m for group in engine.snapshot_frames(name, at) for m in group), at))
                continue
            if not message:
                return at
            at = keep(injector.frames(message, at))


def work(batch, out):
    def tell(*what):
        os.write(out, (json.dumps(what) + "\\n").encode())

    log = engine.ReplicationLog("ns", dirty=True)
    con = engine.ServerConnection("ns/data", name="x", log=log, wal_autocheckpoint=40,
                                  synchronous=dice.choice((1, 1, 2)))

    def run(sql):
        for plan in con.parse(sql):
            con.run(plan)

    tell("ready")
    while True:
        what = dice.choice(("insert",) * 4 + ("roll", "spill", "savepoint", "trim", "follow", "seal", "checkpoint"))
        if what in ("insert", "savepoint", "spill"):
            tell("insert", batch + 1)
            run("begin")
            for i in range(ROWS):
                run(f"insert into t values ({batch + 1}, {i}, '{text(batch + 1, i)}')")
            if what == "spill":
                run("insert into filler select zeroblob(3000) from generate_series(1, 600); delete from filler")
            if what == "savepoint":
                run("savepoint a; insert into filler select zeroblob(900) from generate_series(1, 900); rollback to a")
            run("commit")
            batch += 1
            tell("done", batch)
        elif what == "roll":
            run("begin; insert into filler select zeroblob(900) from generate_series(1, 900)")
            run("delete from t; rollback")
        elif what == "trim":
            tell("trim", batch - 8)
            run(f"delete from t where batch <= {batch - 8}")
        elif what == "follow":
            follow(log, "live")
        elif what == "seal":
            log.seal()
            if dice.random() < 0.7:
                log.compact()
        else:
            con.checkpoint(dice.choice(("PASSIVE", "TRUNCATE")))


def content(path):
    with closing(sqlite3.connect(path)) as con:
        assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
        rows = con.execute("select batch, i, x from t order by 1, 2").fetchall()
        batches = sorted({row[0] for row in rows})
        assert rows == [(b, i, text(b, i)) for b in batches for i in range(ROWS)]
        assert con.execute("select count(*) from filler").fetchone() == (0,)
        return batches, hashlib.sha256(con.serialize()).hexdigest()


def one(seed):
    for folder, _, names in os.walk(".", topdown=False):
        for name in names:
            os.unlink(os.path.join(folder, name))
    with closing(engine.ReplicationLog("ns")) as log:
        log_id = log.log_id
        with closing(engine.ServerConnection("ns/data", name="x", log=log)) as con:
            for plan in con.parse("create table t(batch, i, x, primary key (batch, i)); create table filler(x)"):
                con.run(plan)
        follow(log, "live")
    batch, lowest, seen = 0, 0, []
    for kill in range(2):
        dice.seed(f"{seed} {kill}")
        count, share = int(2 ** dice.uniform(2, 11)), dice.choice((0, 0, 0.3, 0.8))
        reader, out = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                die_at(count, share)
                work(batch, out)
            finally:
                os._exit(1)
        os.close(out)
        with os.fdopen(reader) as told:
            lines = [json.loads(line) for line in told]
        status = os.waitpid(child, 0)[1]
        where = f"seed {seed}, kill {kill} at call {count}, {share} of it; {lines[-1:]}"
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, where
        try:
            may_be = batch
            for what, *rest in lines:
                if what == "insert":
                    may_be = rest[0]
                elif what == "done":
                    batch = rest[0]
                elif what == "trim":
                    lowest = max(lowest, rest[0])
            batches, _ = content("live")          # a transaction that there was
            assert not batches or batches == list(range(batches[0], batches[-1] + 1)) and batches[-1] <= may_be
            with closing(engine.ReplicationLog("ns", dirty=True)) as log:
                assert (log.log_id, log.rebuilt) == (log_id, False)
                log.compact()
                batches, state = content("ns/data")
                assert batches == list(range(batches[0], batches[-1] + 1)) if batches else not batch
                if batches:
                    assert batches[-1] in {batch, may_be}, (batches[-1], batch, may_be)
                    assert batches[0] <= max(1, lowest + 1)
                    batch = batches[-1]
                assert follow(log, "live") == log.last + 1
                assert content("live")[1] == state
                assert follow(log, f"whole{kill}") == log.last + 1
                assert content(f"whole{kill}")[1] == state
        except Exception as error:
            raise AssertionError(where) from error
        seen.append(len(lines))
    return seen


print(json.dumps([one(seed) for seed in range(first, last)]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="2026-11-21: the writer is a fork")
@pytest.mark.parametrize("first", range(0, 30, 10))
def test_kill(first: int, run_child: Callable[..., Any]) -> None:
    told = run_child(CODE, first, first + 10, timeout=240)
    assert len(told) == 10
    assert sum(map(sum, told)) > 40  # they did something before they died
