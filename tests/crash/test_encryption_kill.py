"""kill -9 in the middle of inserts, VACUUM and rekey of an encrypted database: one of its keys opens it, and every
committed row is there.

The writer dies at a seeded call that writes, shortens or deletes a file, or half way through a write.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

CODE = """
import ctypes, hashlib, random, signal
from contextlib import closing
from libsql_core.lowlevel import ffi, lib

cipher, mode, kills, seed = sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
dice = random.Random(seed)
ROWS = 25                                   # of a batch, which is one transaction
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


def key_of(number):
    data = hashlib.sha256(f"key {number}".encode()).digest()
    return data.hex() if cipher == "aes256cbc" else data


def connect(number):
    con = sqlite3.connect("t.db", encryption_key=key_of(number), cipher=cipher, isolation_level=None)
    con.execute("pragma synchronous = off")     # a killed process loses nothing that it gave to the system
    con.execute("pragma cache_size = 5")
    return con


def text(batch, i):
    return hashlib.sha256(f"{batch} {i}".encode()).hexdigest() * (1 + (batch + i) % 9)


def insert(con, batch):
    con.execute("begin")
    con.executemany("insert into t values (?, ?, ?)", ((batch, i, text(batch, i)) for i in range(ROWS)))
    con.execute("commit")


def work(number, batch, out):
    def tell(*what):
        os.write(out, (json.dumps(what) + "\\n").encode())

    con = connect(number)
    if not con.execute("select 1 from sqlite_schema").fetchall():
        con.execute(f"pragma page_size = {dice.choice((1024, 4096, 65536))}")
        con.execute(f"pragma journal_mode = {mode}")
        con.execute("begin")                    # more than the cache takes: some of it is in the file when this dies
        con.execute("create table t(batch, i, x, primary key (batch, i)) without rowid")
        con.execute("create table first(x)")
        con.executemany("insert into first values (?)", ((text(0, i) * 3,) for i in range(200)))
        con.execute("commit")
    con.execute("pragma wal_autocheckpoint = 30")
    tell("ready")
    while True:
        what = dice.choice(("insert", "insert", "trim", "vacuum", "rekey"))
        if what == "insert":
            batch += 1
        elif what == "rekey":
            number += 1
        tell(what, batch, number)
        if what == "insert":
            insert(con, batch)
        elif what == "trim":
            con.execute("delete from t where batch <= ?", (batch - 8,))
        elif what == "vacuum":
            con.execute("vacuum")
        else:
            con.rekey(key_of(number))
        tell("done", batch, number)


def files():
    found = {}
    for name in os.listdir():
        if not name.endswith("-shm"):
            with open(name, "rb") as file:
                found[name] = file.read()
    return found


def look(number, lowest, batch, may_be):
    with closing(connect(number)) as con:
        names = con.execute("select name from sqlite_schema").fetchall()
        if not names and not batch:
            return None
        assert con.execute("select count(*) from first").fetchone() == (200,)
        assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
        rows = con.execute("select batch, i, x from t order by 1, 2").fetchall()
    batches = sorted({row[0] for row in rows})
    assert rows == [(b, i, text(b, i)) for b in batches for i in range(ROWS)]
    assert batches == list(range(batches[0], batches[-1] + 1)) if batches else not batch
    if batches:
        assert batches[-1] in {batch, may_be}, (batches[-1], batch, may_be)
        assert batches[0] in {max(1, low + 1) for low in lowest}, (batches[0], lowest)
    return batches[-1] if batches else batch


seen, number, batch, low, unfinished, refused, old_one = {}, 0, 0, 0, 0, 0, 0
for kill in range(kills):
    if kill % 8 == 0:                           # a new file: its first transaction is one of those that die
        for name in os.listdir():
            os.unlink(name)
        number = batch = low = 0
    dice.seed(f"{seed} {cipher} {mode} {kill}")
    count, share = int(2 ** dice.uniform(0, 9)), dice.choice((0, 0, 0.3, 0.8))
    reader, out = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            die_at(count, share)
            work(number, batch, out)
        finally:
            os._exit(1)
    os.close(out)
    with os.fdopen(reader) as told:
        lines = [json.loads(line) for line in told]
    status = os.waitpid(child, 0)[1]
    where = f"{cipher} {mode}, seed {seed}, kill {kill} at call {count}, {share} of it; {lines[-1:]}"
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, where
    try:
        lows, may_be, doing = {low}, batch, "open"
        for line in lines:
            doing = line[0]
            if doing == "done":
                batch, number = line[1:]
                may_be, low = batch, max(lows)
                lows = {low}
            elif doing == "insert":
                may_be = line[1]
            elif doing == "trim":
                lows = {low, max(low, line[1] - 8)}
        seen[doing] = seen.get(doing, 0) + 1
        unfinished += os.path.exists("t.db-journal")
        if doing == "rekey":
            before = files()
            try:
                look(number + 1, lows, batch, may_be)
                number += 1
            except sqlite3.DatabaseError as error:      # then nothing has changed, and the old key opens it
                assert error.sqlite_errorcode & 0xff in (1, 26), error
                assert before == files()
                refused += 1
        batch = look(number, lows, batch, may_be) or 0
        with closing(connect(number)) as con:
            low = (con.execute("select min(batch) from t").fetchone()[0] or 1) - 1 if batch else 0
            con.execute("create table u(x)")
            con.execute("drop table u")
            assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
    except BaseException:
        print(where, file=sys.stderr)
        raise
print(json.dumps([seen, unfinished, refused]))
"""


@pytest.mark.skipif(os.name != "posix", reason="2026-11-21: needs fork() and SIGKILL")
@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("cipher", ["aes256cbc", "xaes256gcm", "sqlcipher", "chacha20"])
def test_killed(run_child: Callable[..., Any], cipher: str, mode: str) -> None:
    seen, unfinished, refused = run_child(CODE, cipher, mode, 150, 20261121, timeout=240)
    assert sum(seen.values()) == 150
    for what in ("insert", "vacuum", "rekey"):
        assert seen.get(what, 0) >= 8, seen
    assert refused >= 5, refused  # rekeys that only the old key undoes
    if mode == "delete":
        assert unfinished > 20, unfinished
