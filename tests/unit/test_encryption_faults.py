"""Keys leave memory with their connection; a full disk in the middle leaves the database as it was."""

from __future__ import annotations

import ctypes
import errno
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import libsql_core
from libsql_core.lowlevel import ffi, lib

CODEC = runpy.run_path(str(Path(__file__).with_name("page_codec.py")))
KEYS: dict[str, str | bytes] = CODEC["KEYS"]
HOLD = """
import sys
import libsql_core
from libsql_core import encryption

cipher, key = sys.argv[1], sys.stdin.readline().strip()
key = key if cipher == "aes256cbc" else bytes.fromhex(key)
con = libsql_core.connect("a.db", encryption_key=key, cipher=cipher, isolation_level=None)
con.execute("create table t(x)")
con.execute("insert into t values (zeroblob(20000))")
print("open", flush=True)
sys.stdin.readline()
if sys.argv[2] == "rekey":
    con.rekey(None)
else:
    con.close()
print("closed", flush=True)
sys.stdin.readline()
con.close()
"""


def memory(pid: int) -> Iterator[bytes]:
    """What the process may write to, piece by piece."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as file:
        for line in maps:
            place, rights = line.split()[:2]
            start, end = (int(part, 16) for part in place.split("-"))
            # A sanitizer's own memory is too large to be read.
            if rights.startswith("rw") and "[vvar]" not in line and end - start < 1 << 32:
                with suppress(OSError):  # of a device
                    file.seek(start)
                    yield file.read(end - start)


@pytest.mark.skipif(sys.platform != "linux", reason="2026-11-21: reads memory from /proc")
@pytest.mark.parametrize("end", ["close", "rekey"])
@pytest.mark.parametrize("cipher", ["aes256cbc", "xaes256gcm"])
def test_derived_keys_are_wiped(cipher: str, end: str, tmp_path: Path) -> None:
    key = KEYS[cipher]
    command = [sys.executable, "-W", "error", "-c", HOLD, cipher, end]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write((key if isinstance(key, str) else key.hex()) + "\n")
        assert child.stdout.readline() == "open\n"
        head = (tmp_path / "a.db").read_bytes()[:16]
        derived = CODEC["codec_of"](cipher, key.encode() if isinstance(key, str) else key, head).key
        assert any(derived in piece for piece in memory(child.pid))  # this finds it
        child.stdin.write("\n")
        assert child.stdout.readline() == "closed\n"
        found = [piece.find(derived) for piece in memory(child.pid) if derived in piece]
        child.stdin.write("\n")
    assert child.returncode == 0
    assert not found


@contextmanager
def failing_writes(after: int) -> Iterator[Callable[[], bool]]:
    """The disk is full after so many writes; tells whether it came to that."""
    libc = ctypes.CDLL(None, use_errno=True)
    left = after
    kept = []
    vfs = lib.sqlite3_vfs_find(ffi.NULL)
    signatures: dict[str, tuple[Any, ...]] = {
        "write": (ctypes.c_int, ctypes.c_void_p, ctypes.c_ssize_t),
        "pwrite": (ctypes.c_int, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_ssize_t),
    }
    errno_of = libc.__errno_location
    errno_of.restype = ctypes.POINTER(ctypes.c_int)

    def guarded(name: str, kinds: tuple[Any, ...]) -> Any:
        function = getattr(libc, name)
        function.restype, function.argtypes = ctypes.c_ssize_t, kinds

        def call(*arguments: Any) -> int:
            nonlocal left
            left -= 1
            if left < 0:
                errno_of()[0] = errno.ENOSPC
                return -1
            return int(function(*arguments))

        kept.append(ctypes.CFUNCTYPE(ctypes.c_ssize_t, *kinds)(call))
        return ffi.cast("sqlite3_syscall_ptr", ctypes.cast(kept[-1], ctypes.c_void_p).value)

    for name, kinds in signatures.items():
        assert vfs.xSetSystemCall(vfs, name.encode(), guarded(name, kinds)) == 0
    try:
        yield lambda: left < 0
    finally:
        for name in signatures:
            vfs.xSetSystemCall(vfs, name.encode(), ffi.NULL)


@pytest.mark.skipif(sys.platform != "linux", reason="2026-11-21: replaces system calls under the engine")
@pytest.mark.parametrize("target", [*KEYS, None])
@pytest.mark.parametrize("source", [*KEYS, None])
def test_a_full_disk_while_the_key_changes(source: Any, target: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.db"

    def connect(cipher: Any, key: Any) -> libsql_core.Connection:
        con: libsql_core.Connection = libsql_core.connect(
            path, encryption_key=key, cipher=cipher, isolation_level=None
        )
        return con

    def check(con: libsql_core.Connection) -> None:
        assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert con.execute("select count(*), sum(length(x)) from t").fetchone() == (60, 60 * 900)

    old = None if source is None else KEYS[source]
    new = None if target is None else (KEYS[target] * 2)[:32]
    if isinstance(new, bytes):
        new = new[::-1]
    with closing(connect(source, old)) as con:
        con.execute("create table t(x)")
        con.execute("begin")
        con.executemany("insert into t values (zeroblob(?))", [(900,)] * 60)
        con.execute("commit")
    whole = path.read_bytes()
    after, failures = 0, 0
    while True:
        path.write_bytes(whole)
        with closing(connect(source, old)) as con:
            check(con)
            with failing_writes(after) as came_to_it:
                code = 0
                try:
                    con.rekey(new, cipher=target)
                except libsql_core.OperationalError as error:
                    code = error.sqlite_errorcode & 0xFF
                full = came_to_it()
            done = code == 0
            if not done:
                assert code in (lib.SQLITE_FULL, lib.SQLITE_IOERR)
                failures += 1
                check(con)  # this connection goes on
        with closing(connect(target if done else source, new if done else old)) as con:
            check(con)
        if not full:
            break
        after = after * 5 // 4 + 1
    assert done
    assert failures >= 5 or source is target is None
