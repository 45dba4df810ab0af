"""The ways a key goes in: connect(), rekey(), PRAGMA, ATTACH, URI, C; and what copies of a database become."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import libsql_core
from libsql_core import DatabaseError, NotSupportedError, OperationalError, encryption
from libsql_core.encryption import Probe, probe
from libsql_core.lowlevel import ffi, lib

KEYS: dict[str, str | bytes] = {
    "aes256cbc": "secret",
    "xaes256gcm": bytes(range(32)),
    "sqlcipher": bytes(range(32, 64)),
    "chacha20": bytes(range(64, 96)),
}
RESERVED = {"aes256cbc": 0, "xaes256gcm": 40, "sqlcipher": 80, "chacha20": 32}
NOTADB = "file is not a database"


def connect(path: Path, cipher: Any = None, key: Any = None) -> libsql_core.Connection:
    return libsql_core.connect(
        path, encryption_key=KEYS[cipher] if key is None else key, cipher=cipher, isolation_level=None
    )


def plain(path: Path) -> libsql_core.Connection:
    return libsql_core.connect(path, isolation_level=None)


def fill(con: libsql_core.Connection, schema: str = "main") -> None:
    con.execute(f"create table {schema}.t(x)")
    con.executemany(f"insert into {schema}.t values (?)", ((f"row {i} " * 10,) for i in range(200)))


def content(path: Path, cipher: Any = None, key: Any = None) -> int:
    """The rows of a sound database that this key opens, or a plain one without a key."""
    con = plain(path) if cipher is None and key is None else connect(path, cipher, key)
    with closing(con):
        assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
        n: int = con.execute("select count(*) from t where x like 'row %'").fetchone()[0]
        return n


def refuses(path: Path, cipher: Any = None, key: Any = None) -> bool:
    with pytest.raises(DatabaseError, match=NOTADB) as caught:
        content(path, cipher, key)
    return caught.value.sqlite_errorname == "SQLITE_NOTADB"


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "a.db"
    # Whatever happened: no file beside the databases is left.
    assert {p.suffix for p in tmp_path.iterdir()} <= {".db", ".py"}


# connect()


@pytest.mark.parametrize(
    ("key", "cipher"),
    [
        ("secret", None),
        ("pässwörd", None),
        ("with \0 inside", "aes256cbc"),
        (b"\xff\0 bytes", None),
        (bytearray(b"secret"), "AES256CBC"),
        (memoryview(b"secret"), "aes256cbc"),
        ("a passphrase", "xaes256gcm"),
        (bytes(range(32)), "xaes256gcm"),
        ("a passphrase", "sqlcipher"),
        (bytes(range(32)), "sqlcipher"),
        (bytes(range(48)), "sqlcipher"),
        ("a passphrase", "chacha20"),
        (bytes(range(32)), "chacha20"),
    ],
)
def test_a_new_database(path: Path, key: Any, cipher: Any) -> None:
    with closing(connect(path, cipher, key)) as con:
        fill(con)
        expected = "aes256cbc" if cipher is None else cipher.lower()
        assert con.execute("pragma cipher").fetchone() == (expected,)
    assert content(path, cipher, key) == 200
    assert content(path, None, key) == 200  # found out
    longer = key + "2" if isinstance(key, str) else bytes(key)[:-1] + b"\xaa"
    assert refuses(path, cipher, longer)
    assert refuses(path)


def test_aes256cbc_takes_32_bytes_of_a_passphrase(path: Path) -> None:
    with closing(connect(path, None, "x" * 32)) as con:
        fill(con)
    assert content(path, None, "x" * 40) == 200
    assert content(path, None, b"x" * 32) == 200
    assert refuses(path, None, "x" * 31)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"encryption_key": ""}, ValueError, r"connect\(\) argument 'encryption_key' is empty"),
        ({"encryption_key": b"", "cipher": "xaes256gcm"}, ValueError, r"argument 'encryption_key' is empty"),
        ({"encryption_key": 5}, TypeError, r"argument 'encryption_key' must be str or bytes, not int"),
        ({"encryption_key": ["a"]}, TypeError, r"must be str or bytes, not list"),
        ({"cipher": "xaes256gcm"}, ValueError, r"argument 'cipher' needs an 'encryption_key'"),
        ({"encryption_key": "a", "cipher": b"aes256cbc"}, TypeError, r"argument 'cipher' must be str, not bytes"),
        ({"encryption_key": "a", "cipher": "aes256cbc\0"}, ValueError, "embedded null character"),
        ({"encryption_key": "a", "cipher": "rot13"}, OperationalError, r"Cipher 'rot13' unknown\."),
        ({"encryption_key": bytes(31), "cipher": "xaes256gcm"}, OperationalError, "raw key of 32 bytes, not 31"),
        ({"encryption_key": bytes(33), "cipher": "sqlcipher"}, OperationalError, "raw key of 32 .*bytes, not 33"),
        ({"encryption_key": "\udcff"}, UnicodeEncodeError, "surrogates not allowed"),
    ],
)
def test_arguments_that_are_refused(tmp_path: Path, arguments: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        libsql_core.connect(tmp_path / "a.db", **arguments)
    assert not (tmp_path / "a.db").exists() or not (tmp_path / "a.db").stat().st_size


@pytest.mark.parametrize("database", [":memory:", "", "file:x?mode=memory"])
def test_what_is_in_memory_has_no_key(database: str) -> None:
    with pytest.raises(OperationalError, match="not supported for in-memory or temporary databases"):
        libsql_core.connect(database, encryption_key="secret", uri=True)


def test_the_key_stays_out_of_sight(path: Path) -> None:
    key = "very secret"
    seen: list[object] = []
    with closing(connect(path, None, key)) as con:
        con.set_trace_callback(seen.append)
        fill(con)
        con.execute(f"pragma rekey = '{key} too'")
        con.execute(f"pragma key = '{key} too'")
        con.execute(f"attach ? as b key '{key}'", (str(path.with_name("b.db")),))
        con.set_trace_callback(None)
        seen += [repr(con), str(con)]
        for sql in (f"pragma cipher = '{key}'", f"pragma hexkey = '{key}'"):
            with pytest.raises(DatabaseError) as caught:
                con.execute(sql)
            seen += [str(caught.value)] if "hexkey" in sql else []
    assert not [text for text in seen if key in str(text)]


def test_other_connections_and_threads_share_a_file(path: Path) -> None:
    with closing(connect(path, "xaes256gcm")) as one, closing(connect(path, "xaes256gcm")) as other:
        one.execute("pragma journal_mode = wal")
        fill(one)
        assert other.execute("select count(*) from t").fetchone() == (200,)
        other.execute("delete from t where rowid > 100")
        assert one.execute("select count(*) from t").fetchone() == (100,)


def test_a_raw_key_is_fast_and_passphrases_are_remembered(path: Path) -> None:
    """What a pool opens again must not pay for the derivation each time."""
    with closing(connect(path, "xaes256gcm", "a passphrase")) as con:
        fill(con)
        start = time.perf_counter()
        for _ in range(20):
            assert content(path, "xaes256gcm", "a passphrase") == 200
        assert time.perf_counter() - start < 1


def test_without_libcrypto(run_child: Any) -> None:
    seen = run_child(
        """
os.environ["LIBSQL_CORE_LIBCRYPTO"] = os.path.abspath("no such library")
plain = sqlite3.connect("plain.db")
plain.execute("create table t(x)")
plain.close()
try:
    con = sqlite3.connect("a.db", encryption_key="secret")
    con.execute("create table t(x)")
except sqlite3.Error as error:
    print(json.dumps([type(error).__name__, str(error), error.sqlite_errorname]))
"""
    )
    assert seen[0] == "NotSupportedError"
    assert seen[1].startswith("encryption needs OpenSSL's libcrypto (1.1.1 or newer), which was not found; tried: ")
    assert "no such library" in seen[1]
    assert seen[2] == "SQLITE_ERROR"
    assert issubclass(NotSupportedError, DatabaseError)


# rekey()


@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("after", [*KEYS, None])
@pytest.mark.parametrize("before", [*KEYS, None])
def test_rekey(path: Path, before: Any, after: Any, journal: str) -> None:
    with closing(plain(path) if before is None else connect(path, before)) as con:
        con.execute(f"pragma journal_mode = {journal}")
        fill(con)
        key = None if after is None else KEYS[after]
        if isinstance(key, bytes):
            key = key[::-1]
        elif key:
            key += " 2"
        con.rekey(key, cipher=after)
        assert con.execute("select count(*) from t").fetchone() == (200,)
        con.execute("insert into t values ('row more')")
        assert con.execute("pragma journal_mode").fetchone() == (journal,)
    assert content(path, after, key) == 201
    if before is not None:
        assert refuses(path, before)
    if after is not None:
        assert refuses(path)
    assert probe(path).ciphers[:1] == (() if after is None else (after,))


def test_rekey_keeps_the_cipher(path: Path) -> None:
    with closing(connect(path, "xaes256gcm")) as con:
        fill(con)
        salt = path.read_bytes()[:16]
        con.rekey(bytes(32))
    assert content(path, "xaes256gcm", bytes(32)) == 200
    assert path.read_bytes()[:16] != salt


def test_rekey_of_an_attached_database(path: Path) -> None:
    other = path.with_name("b.db")
    with closing(plain(path)) as con:
        fill(con)
        con.execute("attach ? as b", (str(other),))
        fill(con, "b")
        con.rekey("secret", name="b")
    assert content(path) == 200
    assert content(other, "aes256cbc") == 200


def test_rekey_that_is_refused(path: Path) -> None:
    with closing(connect(path, "aes256cbc")) as con:
        fill(con)
        before = hashlib.sha256(path.read_bytes()).digest()
        for arguments, error in (((5,), TypeError), (("",), ValueError), ((b"",), ValueError)):
            with pytest.raises(error):
                con.rekey(*arguments)
        with pytest.raises(OperationalError):
            con.rekey("a", cipher="rot13")  # type: ignore[arg-type]
        with pytest.raises(OperationalError):
            con.rekey(bytes(5), cipher="xaes256gcm")
        with pytest.raises(OperationalError):
            con.rekey("a", name="none")
        con.execute("begin")
        con.execute("select * from t").fetchone()
        with pytest.raises(OperationalError):
            con.rekey("a")
        con.execute("rollback")
        with closing(connect(path, "aes256cbc")) as other:
            other.execute("begin")
            other.execute("select * from t").fetchone()
            with pytest.raises(OperationalError):
                con.rekey("a")
        assert hashlib.sha256(path.read_bytes()).digest() == before
    with pytest.raises(libsql_core.ProgrammingError):
        con.rekey("a")
    with closing(libsql_core.connect(":memory:")) as con, pytest.raises(OperationalError, match="not supported"):
        con.rekey("a")


def test_other_connections_do_not_outlive_a_rekey(path: Path) -> None:
    with closing(connect(path, "xaes256gcm")) as one, closing(connect(path, "xaes256gcm")) as other:
        fill(one)
        assert other.execute("select count(*) from t").fetchone() == (200,)
        one.rekey(bytes(32))
        before = path.read_bytes()
        for sql in ("select count(*) from t", "insert into t values (1)"):
            with pytest.raises(DatabaseError):
                other.execute(sql)
        assert path.read_bytes() == before
    assert content(path, "xaes256gcm", bytes(32)) == 200


# SQL


def test_pragmas(path: Path) -> None:
    with closing(plain(path)) as con:
        assert con.execute("pragma key = 'other'").fetchall() == [("ok",)]
        assert con.execute("pragma key = 'secret'").fetchall() == [("ok",)]  # the last one counts
        fill(con)
        assert con.execute("pragma cipher").fetchall() == [("aes256cbc",)]
    assert content(path, "aes256cbc") == 200
    for sql in ('pragma key = "secret"', "pragma key = secret", "pragma hexkey = '736563726574'"):
        with closing(plain(path)) as con:
            assert con.execute(sql).fetchall() == [("ok",)]
            assert con.execute("select count(*) from t").fetchone() == (200,)
    with closing(plain(path)) as con:
        con.execute("pragma key = 'secret'")
        con.execute("pragma key = ''")
        with pytest.raises(DatabaseError, match=NOTADB):
            con.execute("select * from t")
        with pytest.raises(OperationalError, match="Malformed hex string"):
            con.execute("pragma hexkey = 'xyz'")
        with pytest.raises(OperationalError, match=r"Cipher 'rot13' unknown\."):
            con.execute("pragma cipher = 'rot13'")
        for sql in ("pragma temp.key = 'a'", "pragma temp.rekey = 'a'"):
            with pytest.raises(OperationalError, match="not supported for in-memory or temporary databases"):
                con.execute(sql)


def test_rekey_pragmas(path: Path) -> None:
    with closing(connect(path, "aes256cbc")) as con:
        fill(con)
        con.execute("pragma rekey = 'second'")
        con.execute("pragma hexrekey = '7468697264'")
        assert con.execute("select count(*) from t").fetchone() == (200,)
    assert content(path, "aes256cbc", "third") == 200
    with closing(connect(path, "aes256cbc", "third")) as con:
        con.execute("pragma rekey = ''")
    assert content(path) == 200
    with closing(plain(path)) as con:
        con.execute("pragma cipher = 'xaes256gcm'")
        con.execute(f"pragma rekey = \"x'{KEYS['xaes256gcm'].hex()}'\"")  # type: ignore[union-attr]
    assert content(path, "xaes256gcm") == 200


@pytest.mark.parametrize("cipher", ["xaes256gcm", "sqlcipher", "chacha20"])
def test_pragmas_of_a_cipher(path: Path, cipher: str) -> None:
    raw = KEYS[cipher]
    assert isinstance(raw, bytes)
    with closing(plain(path)) as con:
        con.execute(f"pragma cipher = {cipher}")
        con.execute(f"pragma key = \"x'{raw.hex()}'\"")
        fill(con)
    assert content(path, cipher) == 200
    with closing(plain(path)) as con:
        con.execute(f"pragma key = \"x'{raw.hex().upper()}'\"")
        assert con.execute("select count(*) from t").fetchone() == (200,)


def test_attach(path: Path) -> None:
    other, third, fourth = (path.with_name(f"{name}.db") for name in "bcd")
    with closing(connect(path, "aes256cbc")) as con:
        fill(con)
        con.execute("attach ? as b key 'other'", (str(other),))
        con.execute("attach ? as c", (str(third),))  # the key of main
        con.execute("attach ? as d key ''", (str(fourth),))
        for name in "bcd":
            fill(con, name)
        assert con.execute("select count(*) from main.t, b.t, c.t, d.t where c.t.rowid = 1").fetchone() == (8000000,)
        with pytest.raises(OperationalError, match="Invalid key value"):
            con.execute("attach ? as e key 5", (str(path.with_name("e.db")),))
    assert content(other, "aes256cbc", "other") == content(third, "aes256cbc") == content(fourth) == 200
    with closing(plain(path.with_name("f.db"))) as con:
        with pytest.raises(DatabaseError, match=NOTADB):
            con.execute("attach ? as a key s3cr3t", (str(path),))
        for sql in ("key secret", "key x'736563726574'", "key 'secret'"):
            con.execute(f"attach ? as a {sql}", (str(path),))
            assert con.execute("select count(*) from a.t").fetchone() == (200,)
            con.execute("detach a")
        with pytest.raises(DatabaseError, match=NOTADB):
            con.executescript(f"attach '{path}' as a; select * from a.t")
    with closing(connect(path, "aes256cbc")) as con, pytest.raises(DatabaseError, match=NOTADB):
        con.executescript(f"attach '{fourth}' as d; select * from d.t")


@pytest.mark.parametrize(
    "query", ["key=secret", "hexkey=736563726574", "key=secret&cipher=aes256cbc", "cipher=xaes256gcm&key=secret"]
)
def test_uri(path: Path, query: str) -> None:
    with closing(libsql_core.connect(f"file:{path}?{query}", uri=True, isolation_level=None)) as con:
        fill(con)
    assert content(path, "xaes256gcm" if "xaes" in query else "aes256cbc", "secret") == 200
    with closing(libsql_core.connect(":memory:", uri=True)) as con:
        con.execute("attach ? as a", (f"file:{path}?{query}",))
        assert con.execute("select count(*) from a.t").fetchone() == (200,)


def test_c_functions(path: Path) -> None:
    """sqlite3_key(), sqlite3_key_v2(), sqlite3_rekey() and sqlite3_rekey_v2(), as libSQL exports them."""
    def opened() -> Any:
        out = ffi.new("sqlite3 **")
        assert lib.sqlite3_open(os.fsencode(path), out) == 0
        return out[0]

    db = opened()
    assert lib.sqlite3_key(db, b"secret", 6) == 0
    assert lib.sqlite3_exec(db, b"create table t(x); insert into t values ('row')", ffi.NULL, ffi.NULL, ffi.NULL) == 0
    assert lib.sqlite3_rekey(db, b"second\0", -1) == 0
    assert lib.sqlite3_close(db) == 0
    assert refuses(path, "aes256cbc")
    db = opened()
    assert lib.sqlite3_key_v2(db, b"main", b"second", 6) == 0
    assert lib.sqlite3_rekey_v2(db, b"main", b"third", 5) == 0
    assert lib.sqlite3_close(db) == 0
    with closing(connect(path, "aes256cbc", "third")) as con:
        assert con.execute("select * from t").fetchall() == [("row",)]


# Copies


@pytest.mark.parametrize("cipher", KEYS)
def test_vacuum_into(path: Path, cipher: Any) -> None:
    """The copy has the key of the database, but not its salt; a URI gives it another, or none."""
    names = [path.with_name(f"{name}.db") for name in "bcd"]
    uri = f"file:{path}"
    with closing(libsql_core.connect(uri, encryption_key=KEYS[cipher], cipher=cipher, uri=True)) as con:
        con.isolation_level = None
        fill(con)
        con.execute("vacuum into ?", (str(names[0]),))
        con.execute("vacuum into ?", (f"file:{names[1]}?cipher=aes256cbc&key=other",))
        con.execute("vacuum into ?", (f"file:{names[2]}?key=",))
    assert content(names[0], cipher) == content(names[1], "aes256cbc", "other") == content(names[2]) == 200
    if cipher != "aes256cbc":
        assert names[0].read_bytes()[:16] != path.read_bytes()[:16]


@pytest.mark.parametrize("pages", [-1, 3])
@pytest.mark.parametrize("target", [*KEYS, None])
@pytest.mark.parametrize("source", [*KEYS, None])
def test_backup(path: Path, source: Any, target: Any, pages: int) -> None:
    copy = path.with_name("b.db")
    with (
        closing(plain(path) if source is None else connect(path, source)) as con,
        closing(plain(copy) if target is None else connect(copy, target)) as to,
    ):
        fill(con)
        con.backup(to, pages=pages)
        assert to.execute("select count(*) from t").fetchone() == (200,)
        to.execute("insert into t values ('row more')")
    assert content(copy, target) == 201
    assert content(path, source) == 200


@pytest.mark.parametrize("cipher", KEYS)
def test_serialize_gives_what_is_plain(path: Path, cipher: str) -> None:
    with closing(connect(path, cipher)) as con:
        fill(con)
        data = con.serialize()
    with closing(libsql_core.connect(":memory:")) as memory:
        memory.deserialize(data)
        assert memory.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert memory.execute("select count(*) from t").fetchone() == (200,)
        with closing(connect(path.with_name("b.db"), cipher)) as back:
            memory.backup(back)
    assert content(path.with_name("b.db"), cipher) == 200


@pytest.mark.parametrize("cipher", KEYS)
def test_secure_delete_is_on(path: Path, cipher: str) -> None:
    with closing(connect(path, cipher)) as con:
        assert con.execute("pragma secure_delete").fetchone() == (1,)


# probe()


@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("size", [512, 4096, 65536])
@pytest.mark.parametrize("cipher", [*KEYS, None])
def test_probe(path: Path, cipher: Any, size: int, journal: str) -> None:
    if RESERVED.get(cipher, 0) >= 40:
        size = max(size, 1024)  # they would leave too little
    with closing(plain(path) if cipher is None else connect(path, cipher)) as con:
        assert probe(path) == Probe("empty")
        con.execute(f"pragma page_size = {size}")
        con.execute(f"pragma journal_mode = {journal}")
        fill(con)
        assert probe(path).kind == ("encrypted" if cipher else "plain")
        con.execute("insert into t values ('row')")  # the locks are there still
    found = probe(path)
    assert found.encrypted is (cipher is not None)
    if cipher == "sqlcipher":
        assert found == Probe("encrypted", ("sqlcipher", "aes256cbc"))
        return
    ciphers = {"chacha20": ("chacha20", "aes256cbc"), None: ()}.get(cipher, (cipher,))
    key: Any = "raw" if cipher == "xaes256gcm" else None
    assert found == Probe(
        "encrypted" if cipher else "plain", ciphers, key, size, RESERVED.get(cipher, 0), journal == "wal"
    )


def test_probe_of_a_passphrase(path: Path) -> None:
    with closing(connect(path, "xaes256gcm", "a passphrase")) as con:
        fill(con)
    assert probe(path).key == "passphrase"


def test_probe_of_other_files(path: Path, tmp_path: Path) -> None:
    for data in (b"text " * 2000, b"LQ\1\7" + bytes(5000), bytes(8192), b"SQLite format 3\0", os.urandom(1000)):
        path.write_bytes(data)
        assert probe(path) == Probe("unknown"), data[:20]
    path.write_bytes(os.urandom(8192))
    assert probe(os.fsencode(path)).encrypted
    with pytest.raises(OperationalError, match="unable to open database file"):
        probe(tmp_path / "none.db")
    with pytest.raises(TypeError):
        probe(5)  # type: ignore[arg-type]
    assert not (tmp_path / "none.db").exists()
    assert encryption.__all__ == ["Cipher", "Probe", "probe"]


@pytest.mark.skipif(sys.platform == "win32", reason="2026-11-21: locks of Windows are not of the process")
def test_probe_keeps_the_locks_of_an_open_database(path: Path, run_child: Any) -> None:
    """Reading a file by other means would drop them, and another process could write into a transaction."""
    with closing(connect(path, "aes256cbc")) as con:
        fill(con)
        con.execute("begin immediate")
        con.execute("insert into t values ('mine')")
        assert probe(path).encrypted
        seen = run_child(
            """
con = sqlite3.connect(sys.argv[2], encryption_key="secret", timeout=0)
try:
    con.execute("insert into t values ('theirs')")
except sqlite3.Error as error:
    print(json.dumps(str(error)))
con.close()
""",
            path,
        )
        assert seen == "database is locked"
        con.execute("commit")
