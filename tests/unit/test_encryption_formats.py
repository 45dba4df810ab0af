"""Encrypted files hold what their format says, in every page size and journal mode, and nothing that can be read."""

from __future__ import annotations

import os
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import libsql_core

CODEC = runpy.run_path(str(Path(__file__).with_name("page_codec.py")))
KEYS: dict[str, str | bytes] = CODEC["KEYS"]
RESERVED = {"aes256cbc": 0, "xaes256gcm": 40, "sqlcipher": 80, "chacha20": 32}
SIZES = (512, 1024, 4096, 16384, 65536)
# Of 512 bytes, 40 reserved ones leave less than SQLite needs.
ANY_SIZE = [(cipher, size) for cipher in KEYS for size in SIZES if size > 512 or RESERVED[cipher] < 40]
MARK = "this must not be read "
CONTENT = "select group_concat(id || x, ',') from (select * from t order by id)"


def connect(path: Path, cipher: Any, **options: Any) -> libsql_core.Connection:
    con: libsql_core.Connection = libsql_core.connect(
        path, encryption_key=KEYS[cipher], cipher=cipher, isolation_level=None, **options
    )
    return con


def fill(con: libsql_core.Connection, n: int = 300) -> None:
    con.execute("create table t(id integer primary key, x)")
    con.execute("begin")
    con.executemany("insert into t values (?, ?)", ((i, f"{MARK}{i} " * (i % 40)) for i in range(n)))
    con.execute("commit")


def codec(cipher: str, data: bytes) -> Any:
    key = KEYS[cipher]
    return CODEC["codec_of"](cipher, key.encode() if isinstance(key, str) else key, data[:16], raw=True)


def read_plain(data: bytes, folder: Path) -> Any:
    """What a plain database holds that is found to be sound."""
    (folder / "plain.db").write_bytes(data)
    con = libsql_core.connect(folder / "plain.db")
    try:
        assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
        return con.execute(CONTENT).fetchone()
    finally:
        con.close()


@pytest.mark.parametrize("vacuum", [0, 1])
@pytest.mark.parametrize(("cipher", "size"), ANY_SIZE)
def test_what_is_written(cipher: str, size: int, vacuum: int, tmp_path: Path) -> None:
    con = connect(tmp_path / "a.db", cipher)
    con.execute(f"pragma page_size = {size}")
    con.execute(f"pragma auto_vacuum = {vacuum}")
    fill(con)
    con.execute("delete from t where id % 3 = 0")
    con.execute("pragma incremental_vacuum")
    seen = con.execute(CONTENT).fetchone()
    assert con.execute("pragma page_size").fetchone() == (size,)
    con.close()
    data = (tmp_path / "a.db").read_bytes()
    opened = codec(cipher, data)
    plain = CODEC["decrypt_file"](data, opened, size)
    assert plain[16:24] == size.to_bytes(3, "big")[-2:].replace(b"\0\0", b"\0\1") + bytes(
        [1, 1, RESERVED[cipher], 64, 32, 32]
    )
    assert read_plain(plain, tmp_path) == seen
    if cipher == "aes256cbc":
        assert CODEC["encrypt_file"](plain, opened, size) == data


@pytest.mark.parametrize(("cipher", "size"), ANY_SIZE)
def test_what_a_log_holds(cipher: str, size: int, tmp_path: Path) -> None:
    con = connect(tmp_path / "a.db", cipher)
    con.execute(f"pragma page_size = {size}")
    assert con.execute("pragma journal_mode = wal").fetchone() == ("wal",)
    fill(con)
    con.execute("update t set x = 'new' where id % 2")
    seen = con.execute(CONTENT).fetchone()
    data, log = (tmp_path / "a.db").read_bytes(), (tmp_path / "a.db-wal").read_bytes()
    opened = codec(cipher, data)
    assert CODEC["wal_checksums_fit"](log)
    pages = dict(enumerate(CODEC["pages"](data, size), 1)) | dict(CODEC["wal_frames"](log))
    stored = b"".join(page for _, page in sorted(pages.items()))
    plain = CODEC["decrypt_file"](stored, opened, size)
    assert read_plain(plain[:18] + b"\1\1" + plain[20:], tmp_path) == seen
    con.execute("pragma wal_checkpoint")
    assert (tmp_path / "a.db").read_bytes() == stored  # a checkpoint copies what is stored
    con.close()


def plain_database(path: Path, size: int, reserved: int) -> bytes:
    """A database that leaves so many bytes of each page free."""
    con = libsql_core.connect(path, isolation_level=None)
    con.execute(f"pragma page_size = {size}")
    con.execute("pragma user_version = 1")
    con.close()
    data = bytearray(path.read_bytes())
    data[20] = reserved
    data[105:107] = ((size - reserved) & 0xFFFF).to_bytes(2, "big")
    path.write_bytes(data)
    con = libsql_core.connect(path, isolation_level=None)
    fill(con)
    con.close()
    data = bytearray(path.read_bytes())
    assert data[20] == reserved
    return bytes(data)


@pytest.mark.parametrize(("cipher", "size"), ANY_SIZE)
@pytest.mark.parametrize("named", [True, False])
def test_what_is_read(cipher: Any, size: int, named: bool, tmp_path: Path) -> None:
    """A file that another program encrypted, with the cipher named or found out."""
    plain = plain_database(tmp_path / "made.db", size, RESERVED[cipher])
    head = b"LQ\1\1" + bytes(range(12)) if cipher == "xaes256gcm" else bytes(range(16))
    (tmp_path / "a.db").write_bytes(CODEC["encrypt_file"](plain, codec(cipher, head), size))
    con = libsql_core.connect(
        tmp_path / "a.db", encryption_key=KEYS[cipher], cipher=cipher if named else None, isolation_level=None
    )
    assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
    assert con.execute(CONTENT).fetchone() == read_plain(plain, tmp_path)
    con.execute("delete from t where id % 2")
    con.execute("insert into t select id + 1000, x || 'more' from t")
    seen = con.execute(CONTENT).fetchone()
    con.close()
    data = (tmp_path / "a.db").read_bytes()
    assert read_plain(CODEC["decrypt_file"](data, codec(cipher, data), size), tmp_path) == seen


def test_the_same_statements_give_the_same_file_with_aes256cbc_only(tmp_path: Path) -> None:
    files: dict[str, list[bytes]] = {}
    for cipher in KEYS:
        for name in "ab":
            con = connect(tmp_path / f"{cipher}{name}", cipher)
            fill(con)
            con.close()
            files.setdefault(cipher, []).append((tmp_path / f"{cipher}{name}").read_bytes())
    assert files["aes256cbc"][0] == files["aes256cbc"][1]
    for cipher in KEYS.keys() - {"aes256cbc"}:
        one, other = (CODEC["pages"](data, 4096) for data in files[cipher])
        assert not set(one) & set(other)
        assert one[0][:16] != other[0][:16]


def test_no_nonce_twice(tmp_path: Path) -> None:
    """Each page that is written gets its own: in the file, the log, after a checkpoint and in a forked child."""
    con = connect(tmp_path / "a.db", "xaes256gcm")
    con.execute("pragma journal_mode = wal")
    con.execute("pragma wal_autocheckpoint = 0")
    fill(con)
    for i in range(20):
        con.execute("update t set x = ?", (f"{i}",))
    frames = [page[-24:] for _, page in CODEC["wal_frames"]((tmp_path / "a.db-wal").read_bytes())]
    con.close()
    assert len(frames) > 100
    assert len(set(frames)) == len(frames)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="2026-11-21: needs fork()")
def test_no_nonce_twice_behind_a_fork(run_child: Any) -> None:
    nonces = run_child(
        """
def write(name):
    con = sqlite3.connect(name, encryption_key=bytes(32), cipher="xaes256gcm", isolation_level=None)
    con.execute("create table t(x)")
    con.execute("insert into t values (zeroblob(20000))")
    con.close()
    with open(name, "rb") as file:
        data = file.read()
    return [data[at + 4072:at + 4096].hex() for at in range(0, len(data), 4096)]

write("before")
read, out = os.pipe()
child = os.fork()
if child == 0:
    os.write(out, json.dumps(write("child")).encode())
    os._exit(0)
os.waitpid(child, 0)
print(json.dumps([*write("parent"), *json.loads(os.read(read, 100000))]))
"""
    )
    assert len(nonces) > 10
    assert len(set(nonces)) == len(nonces)


@pytest.mark.skipif(sys.platform != "linux", reason="2026-11-21: reads the open files of the process from /proc")
@pytest.mark.parametrize("journal", ["delete", "truncate", "persist", "wal"])
@pytest.mark.parametrize("cipher", [*KEYS, None])
def test_nothing_is_written_in_the_clear(cipher: str | None, journal: str, tmp_path: Path) -> None:
    """Not in the database, its journals, spilled temporary tables and sorts, nor in journals of savepoints."""
    found: list[str] = []

    def look() -> int:
        """Find the mark in any file that the process has open, those without a name as well."""
        for name in os.listdir("/proc/self/fd"):
            fd = int(name)
            try:
                target, size = os.readlink(f"/proc/self/fd/{fd}"), os.fstat(fd).st_size
            except OSError:
                continue
            if str(tmp_path) in target and size and MARK.encode() in os.pread(fd, size, 0):
                found.append(target)
        return len(found)

    path = tmp_path / "a.db"
    con = libsql_core.connect(path, isolation_level=None) if cipher is None else connect(path, cipher)
    con.create_function("look", 0, look)
    con.execute(f"pragma journal_mode = {journal}")
    con.execute("pragma cache_size = 5")
    con.execute("pragma temp_store = file")
    con.execute("pragma temp_store_directory = ''")
    os.environ["SQLITE_TMPDIR"] = str(tmp_path)
    try:
        fill(con, 3000)
        con.execute("begin")
        con.execute("update t set x = x || 'more'")
        con.execute("savepoint s")
        con.execute("update t set x = x || 'yet more'")
        con.execute("select look()")
        con.execute("rollback to s")
        con.execute("select look()")
        con.execute("commit")
        con.execute("create temp table other as select * from t")
        con.execute("update other set x = x || 'again'")
        con.execute("select look()")
        con.execute("select look() from (select x from t order by x || 'z')").fetchall()
        con.execute("create index i on t(x)")
        con.execute("select look()")
        con.execute("vacuum")
        con.execute("select look()")
        con.execute("attach ? as b", (str(tmp_path / "b.db"),))
        con.execute("create table b.u as select * from t")
        con.execute("select look()")
        con.execute("vacuum main into ?", (str(tmp_path / "c.db"),))
        con.execute("select look()")
    finally:
        del os.environ["SQLITE_TMPDIR"]
        con.close()
    found += [path.name for path in tmp_path.iterdir() if MARK.encode() in path.read_bytes()]
    assert bool(found) is (cipher is None)


@pytest.mark.parametrize("cipher", KEYS)
def test_databases_that_grow_shrink_and_move(cipher: str, tmp_path: Path) -> None:
    con = connect(tmp_path / "a.db", cipher)
    con.execute("pragma auto_vacuum = full")
    fill(con, 2000)
    con.execute("delete from t where id > 50")
    con.execute("vacuum")
    seen = con.execute(CONTENT).fetchone()
    con.close()
    shutil.move(tmp_path / "a.db", tmp_path / "b.db")
    con = connect(tmp_path / "b.db", cipher)
    assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
    assert con.execute(CONTENT).fetchone() == seen
    con.close()
