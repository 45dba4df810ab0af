"""Wrong keys, damaged files, journals and logs that were left: an error, and no file changes by a byte."""

from __future__ import annotations

import hashlib
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import libsql_core
from libsql_core import DatabaseError

CODEC = runpy.run_path(str(Path(__file__).with_name("page_codec.py")))
KEYS: dict[str, str | bytes] = CODEC["KEYS"]
AUTHENTIC = [cipher for cipher in KEYS if cipher != "aes256cbc"]
SUM = "select count(*), sum(length(x)), max(x) from t"
# What a program may do first with a database that it cannot read.
ATTEMPTS = (
    "select * from t", "insert into t values (1, 'x')", "create table u(x)", "pragma user_version = 7", "vacuum",
    "begin immediate", "pragma journal_mode = wal", "pragma journal_mode = delete", "pragma wal_checkpoint(truncate)",
    "pragma integrity_check", "pragma schema_version", "drop table t", "vacuum into 'copy.db'", "reindex",
    "pragma rekey = 'other'", "pragma auto_vacuum = 1", "pragma page_size = 8192",
)  # fmt: skip
Connect = Callable[[Path], libsql_core.Connection]


def connect(path: Path, cipher: Any, key: Any = None, **options: Any) -> libsql_core.Connection:
    con: libsql_core.Connection = libsql_core.connect(
        path, encryption_key=KEYS[cipher] if key is None else key, cipher=cipher, isolation_level=None, **options
    )
    return con


def other_key(cipher: str) -> str | bytes:
    key = KEYS[cipher]
    return key + "2" if isinstance(key, str) else key[::-1]


def fill(con: libsql_core.Connection, n: int = 400) -> Any:
    con.execute("create table t(id integer primary key, x)")
    con.execute("begin")
    con.executemany("insert into t values (?, ?)", ((i, f"row {i} " * 20) for i in range(n)))
    con.execute("commit")
    return con.execute(SUM).fetchone()


def hashes(folder: Path) -> dict[str, str]:
    """All files but the one that holds no content."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if not path.name.endswith("-shm")
    }


def clean(folder: Path, cipher: str) -> Any:
    con = connect(folder / "a.db", cipher)
    seen = fill(con)
    con.close()
    return seen


def clean_wal(folder: Path, cipher: str) -> Any:
    con = connect(folder / "a.db", cipher)
    con.execute("pragma journal_mode = wal")
    seen = fill(con)
    con.close()
    return seen


def copy_open(folder: Path, con: libsql_core.Connection) -> None:
    """Leave in the folder what a process would that was killed now."""
    kept = folder.with_name(folder.name + " kept")
    shutil.copytree(folder, kept)
    con.close()
    shutil.rmtree(folder)
    kept.rename(folder)
    (folder / "a.db-shm").unlink(missing_ok=True)


def hot_journal(folder: Path, cipher: str) -> Any:
    """The journal of a transaction that had written into the file."""
    con = connect(folder / "a.db", cipher)
    seen = fill(con)
    before = (folder / "a.db").read_bytes()
    con.execute("pragma cache_size = 3")
    con.execute("begin")
    con.execute("update t set x = 'lost ' || x")
    con.execute("insert into t select id + 1000, x from t")
    copy_open(folder, con)
    assert (folder / "a.db-journal").stat().st_size > 4096
    assert (folder / "a.db").read_bytes() != before
    return seen


def left_wal(folder: Path, cipher: str) -> Any:
    """A log with committed pages that the file does not have."""
    con = connect(folder / "a.db", cipher)
    con.execute("pragma journal_mode = wal")
    con.execute("create table first(x)")
    con.execute("pragma wal_checkpoint(truncate)")
    seen = fill(con)
    copy_open(folder, con)
    assert (folder / "a.db-wal").stat().st_size > 4096
    return seen


STATES = [clean, clean_wal, hot_journal, left_wal]


def attempt_all(folder: Path, open_it: Connect) -> set[tuple[int, str]]:
    """Try everything, each on a connection of its own, and give the errors; nothing may change."""
    before = hashes(folder)
    errors = set()
    for sql in ATTEMPTS:
        try:
            con = open_it(folder / "a.db")
        except DatabaseError as error:
            errors.add((error.sqlite_errorcode & 0xFF, str(error)))
            continue
        try:
            con.execute(sql.replace("copy.db", str(folder / "copy.db"))).fetchall()
        except DatabaseError as error:
            errors.add((error.sqlite_errorcode & 0xFF, str(error)))
        else:
            assert sql in ("pragma auto_vacuum = 1", "pragma page_size = 8192"), sql
        finally:
            con.close()
        assert hashes(folder) == before, sql
    target = libsql_core.connect(":memory:")
    con = open_it(folder / "a.db")
    with pytest.raises(DatabaseError):
        con.backup(target)
    target.close()
    con.close()
    assert hashes(folder) == before
    return errors


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("cipher", KEYS)
@pytest.mark.parametrize("what", ["wrong key", "no key", "empty cipher", "other cipher"])
def test_the_wrong_key_changes_nothing(what: str, cipher: str, state: Any, tmp_path: Path) -> None:
    """Also not what an unfinished transaction left (D1), nor a log that waits for its checkpoint (D2)."""
    folder = tmp_path / "db"
    folder.mkdir()
    seen = state(folder, cipher)
    wrong: dict[str, Connect] = {
        "wrong key": lambda path: connect(path, cipher, other_key(cipher)),
        "no key": lambda path: libsql_core.connect(path, isolation_level=None),
        "empty cipher": lambda path: libsql_core.connect(
            path, encryption_key=other_key(cipher), isolation_level=None
        ),
        "other cipher": lambda path: connect(
            path, "aes256cbc" if cipher == "xaes256gcm" else "xaes256gcm", bytes(32)
        ),
    }
    assert attempt_all(folder, wrong[what]) == {(26, "file is not a database")}
    con = connect(folder / "a.db", cipher)
    assert con.execute(SUM).fetchone() == seen
    assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
    con.close()


@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("cipher", [*KEYS, None])
def test_a_key_on_a_plain_file(cipher: Any, journal: str, tmp_path: Path) -> None:
    folder = tmp_path / "db"
    folder.mkdir()
    con = libsql_core.connect(folder / "a.db", isolation_level=None)
    con.execute(f"pragma journal_mode = {journal}")
    seen = fill(con)
    con.close()
    errors = attempt_all(
        folder, lambda path: libsql_core.connect(path, encryption_key="secret", cipher=cipher, isolation_level=None)
    )
    assert errors == {(26, "file is not a database")}
    con = libsql_core.connect(folder / "a.db")
    assert con.execute(SUM).fetchone() == seen
    con.close()


@pytest.mark.parametrize("cipher", [*KEYS, None])
def test_files_that_are_no_databases(cipher: Any, tmp_path: Path) -> None:
    key = "secret" if cipher is None else KEYS[cipher]
    folder = tmp_path / "db"
    folder.mkdir()
    contents = (b"no database " * 1000, b"LQ\1\1" + bytes(8188), b"LQ\1\7" * 2048, bytes(8192), b"xy", b"\xff" * 511)
    for content in contents:
        (folder / "a.db").write_bytes(content)
        errors = attempt_all(
            folder, lambda path: libsql_core.connect(path, encryption_key=key, cipher=cipher, isolation_level=None)
        )
        assert errors == {(26, "file is not a database")}, content[:8]


@pytest.mark.parametrize("cipher", KEYS)
def test_page_size_and_vacuum(cipher: str, tmp_path: Path) -> None:
    """D3: whether the size changes or not, the database stays right."""
    con = connect(tmp_path / "a.db", cipher)
    seen = fill(con)
    for size in (8192, 1024, 65536, 4096):
        con.execute(f"pragma page_size = {size}")
        con.execute("vacuum")
        assert con.execute(SUM).fetchone() == seen
        assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
        con.close()
        con = connect(tmp_path / "a.db", cipher)
        assert con.execute(SUM).fetchone() == seen
        con.execute("update t set x = x")
    con.close()


@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("cipher", KEYS)
def test_memory_maps(cipher: str, journal: str, tmp_path: Path) -> None:
    """D4: no page is taken from a map of the file, long values neither."""
    clean(tmp_path, cipher)
    con = connect(tmp_path / "a.db", cipher)
    con.execute("pragma mmap_size = 268435456")
    con.execute(f"pragma journal_mode = {journal}")
    con.execute("insert into t values (5000, ?)", ("long " * 40000,))
    con.execute("pragma wal_checkpoint")
    seen = con.execute(SUM).fetchone()
    con.execute("pragma shrink_memory")
    assert con.execute(SUM).fetchone() == seen
    blob = con.blobopen("t", "x", 5000, readonly=True)
    assert blob.read() == b"long " * 40000
    blob.close()
    con.close()
    con = connect(tmp_path / "a.db", cipher)
    con.execute("pragma mmap_size = 268435456")
    assert con.execute(SUM).fetchone() == seen
    assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
    con.execute("insert into t select id + 10000, x from t")
    assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
    con.close()


def read_all(path: Path, cipher: str) -> Any:
    con = connect(path, cipher)
    try:
        return con.execute("select * from t").fetchall()
    finally:
        con.close()


@pytest.mark.parametrize("cipher", AUTHENTIC)
def test_one_bit(cipher: str, tmp_path: Path) -> None:
    """Wherever it is in whichever page, reading that page fails; the page is named by xaes256gcm."""
    clean(tmp_path, cipher)
    path = tmp_path / "a.db"
    whole = path.read_bytes()
    n_page = len(whole) // 4096
    assert n_page > 10
    for number in range(1, n_page + 1):
        for at in (0, 7, 30, 2000, 4050, 4095):
            if number == 1 and at < 16 and cipher != "xaes256gcm":
                continue  # the salt: another key
            if cipher == "sqlcipher" and number == 1 and at < 24:
                continue
            damaged = bytearray(whole)
            damaged[(number - 1) * 4096 + at] ^= 1 << at % 8
            path.write_bytes(damaged)
            with pytest.raises(DatabaseError) as caught:
                read_all(path, cipher)
            code = caught.value.sqlite_errorcode & 0xFF
            assert code in ((26,) if number == 1 else (11,)), (number, at)
            if cipher == "xaes256gcm" and number > 1:
                assert f"page {number}" in str(caught.value)
            assert path.read_bytes() == damaged
    path.write_bytes(whole)
    assert len(read_all(path, cipher)) == 400


@pytest.mark.parametrize("cipher", AUTHENTIC)
def test_pages_in_other_places(cipher: str, tmp_path: Path) -> None:
    """Swapped, from another file with the same key, zeros, and a file that ends early."""
    clean(tmp_path, cipher)
    path = tmp_path / "a.db"
    whole = path.read_bytes()
    (tmp_path / "other").mkdir()
    clean(tmp_path / "other", cipher)
    other = CODEC["pages"]((tmp_path / "other" / "a.db").read_bytes(), 4096)
    good = CODEC["pages"](whole, 4096)
    swapped = [*good[:3], good[4], good[3], *good[5:]]
    foreign = [*good[:4], other[4], *good[5:]]
    header = [other[0], *good[1:]]
    zeros = [*good[:4], bytes(4096), *good[5:]]
    # chacha20 binds pages to their number alone; with a raw key all files have the same.
    elsewhere = [] if cipher == "chacha20" else [foreign, header]
    for damaged in (swapped, zeros, good[:-2], *elsewhere):
        path.write_bytes(b"".join(damaged))
        with pytest.raises(DatabaseError):
            read_all(path, cipher)
        assert path.read_bytes() == b"".join(damaged)
    path.write_bytes(whole[:-100])
    with pytest.raises(DatabaseError):
        read_all(path, cipher)


@pytest.mark.parametrize("cipher", AUTHENTIC)
def test_a_file_that_changes_under_us(cipher: str, tmp_path: Path) -> None:
    clean(tmp_path, cipher)
    path = tmp_path / "a.db"
    con = connect(path, cipher)
    assert con.execute(SUM).fetchone()[0] == 400
    damaged = bytearray(path.read_bytes())
    damaged[5 * 4096 + 100] ^= 4
    with path.open("r+b") as file:  # in place: the connection has this file open
        file.write(damaged)
    con.execute("pragma shrink_memory")
    con.execute("pragma cache_size = 1")
    with pytest.raises(DatabaseError):
        con.execute("select * from t").fetchall()
    con.close()


@pytest.mark.parametrize("cipher", AUTHENTIC)
@pytest.mark.parametrize("state", [hot_journal, left_wal])
def test_a_damaged_journal_or_log(cipher: str, state: Any, tmp_path: Path) -> None:
    """What it says is refused or left out as a whole transaction, never taken over wrong."""
    folder = tmp_path / "db"
    folder.mkdir()
    seen = state(folder, cipher)
    path = next(folder.glob("a.db-*"))
    whole, database = path.read_bytes(), (folder / "a.db").read_bytes()
    results: set[Any] = set()
    for at in range(50, len(whole), len(whole) // 60):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        (folder / "a.db").write_bytes(database)
        (folder / "a.db-shm").unlink(missing_ok=True)
        try:
            con = connect(folder / "a.db", cipher)
            results.add(con.execute(SUM).fetchone())
            assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
        except DatabaseError as error:
            results.add(error.sqlite_errorcode & 0xFF)
        finally:
            con.close()
    # 1, no rows: the log is believed up to the first transaction.
    assert results <= {seen, 11, 26, *(() if state is hot_journal else (1, (0, None, None)))}


@pytest.mark.parametrize("cipher", KEYS)
def test_a_hot_journal_is_rolled_back_with_the_right_key(cipher: str, tmp_path: Path) -> None:
    folder = tmp_path / "db"
    folder.mkdir()
    seen = hot_journal(folder, cipher)
    con = connect(folder / "a.db", cipher)
    assert con.execute(SUM).fetchone() == seen
    assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
    con.close()
    assert not (folder / "a.db-journal").exists()


def test_a_changed_bit_is_not_seen_by_aes256cbc(tmp_path: Path) -> None:
    """Why docs/encryption.md says that it keeps secrets only: the row changes, and nobody knows."""
    clean(tmp_path, "aes256cbc")
    path = tmp_path / "a.db"
    before = read_all(path, "aes256cbc")
    damaged = bytearray(path.read_bytes())
    damaged[-100] ^= 1  # inside a text
    path.write_bytes(damaged)
    con = connect(path, "aes256cbc")
    con.text_factory = bytes
    assert len(con.execute("select * from t").fetchall()) == len(before)
    assert con.execute("pragma integrity_check").fetchall() == [(b"ok",)]
    con.close()
