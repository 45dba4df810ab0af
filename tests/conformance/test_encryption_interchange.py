"""Files encrypted by libSQL, SQLCipher and SQLite3 Multiple Ciphers are read and changed here, and ours by them.

Each file goes from one engine to the other and back. They run in processes of their own that end without closing
anything: a log or the journal of an unfinished transaction is left for the next one. A plain database in the stock
`sqlite3` runs the same SQL and says what must be there.
"""

from __future__ import annotations

import json
import platform
import runpy
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CODEC = runpy.run_path(str(HERE.parent / "unit" / "page_codec.py"))
OURS = "libsql_core"
SIZES = (512, 1024, 4096, 16384, 65536)
SIZES_SQLCIPHER = (1024, 2048, 4096, 16384, 65536)  # the bytes that it keeps leave too little of 512
# Their releases have wheels for these.
HAS_LIBSQL = (sys.platform, platform.machine()) == ("linux", "x86_64") or (
    sys.platform != "linux" and sys.version_info < (3, 14)
)
PASSPHRASE, RAW, RAW_AND_SALT = "a passphrase, pässwörd", bytes(range(32)).hex(), bytes(range(48)).hex()
PEERS = {  # module, cipher, key
    "libSQL": ("libsql", "aes256cbc", PASSPHRASE),
    "MC aes256cbc": ("apsw", "aes256cbc", PASSPHRASE),
    "MC chacha20": ("apsw", "chacha20", PASSPHRASE),
    "MC chacha20, raw": ("apsw", "chacha20", RAW),
    "MC sqlcipher": ("apsw", "sqlcipher", RAW),
    "SQLCipher": ("sqlcipher3", "sqlcipher", PASSPHRASE),
    "SQLCipher, raw": ("sqlcipher3", "sqlcipher", RAW),
    "SQLCipher, raw and salt": ("sqlcipher3", "sqlcipher", RAW_AND_SALT),
}
if not HAS_LIBSQL:
    del PEERS["libSQL"]
SUMS = "select count(*), sum(id), sum(length(x)), sum(unicode(substr(x, id % 7 + 1))) from t indexed by i where x > ''"
ROWS = "from (with recursive c(i) as (select {} union all select i + 1 from c where i < {}) select i from c)"
MAKE = (
    "create table t(id integer primary key, x)",
    "create index i on t(x)",
    "insert into t select i, hex(i * 7919) || hex(zeroblob(i % 90)) " + ROWS.format(1, 500),
    "create table long(x)",
    "insert into long values (hex(zeroblob(100000)))",
)
CHANGE = (
    "update t set x = x || id where id % 3 = 0",
    "delete from t where id % 10 = 1",
    "insert into t select i, hex(i) || 'added' " + ROWS.format(1000, 1200),
    "update long set x = x || 'more'",
)
CHANGE_AGAIN = (
    "delete from t where id between 100 and 200",
    "insert into t select i, 'again' || i " + ROWS.format(5000, 5100),
    "update t set x = 'all ' || x",
)
UNFINISHED = (
    "pragma cache_size = 3",
    "begin",
    "update t set x = 'lost ' || x",
    "delete from long",
    "insert into t select i, hex(zeroblob(i % 500)) " + ROWS.format(10000, 11000),
)
LOOK = ("pragma integrity_check", SUMS, "select sum(length(x)) from long", "pragma page_size")
Case = tuple[str, int]
Results = dict[tuple[str, int, str], Any]


def run(module: str, jobs: list[Any]) -> Any:
    command = [sys.executable, str(HERE / "encryption_peer.py"), module]
    done = subprocess.run(
        command, input=json.dumps(jobs), capture_output=True, text=True, timeout=300, check=False, cwd=HERE
    )
    assert done.returncode == 0, f"{module}: {done.stderr[-3000:]}"
    return json.loads(done.stdout)


def needed(module: str, cipher: str, size: int) -> list[str]:
    """What the module must be told of a page size that the file does not hold."""
    if cipher != "sqlcipher" or size == 4096 or module == OURS:
        return []
    return [f"pragma {'cipher' if module == 'sqlcipher3' else 'legacy'}_page_size = {size}"]


class Exchange:
    """The files of one pair of engines, in all page sizes and both journal modes."""

    def __init__(self, folder: Path, peer: str, ours_first: bool) -> None:
        self.folder, self.peer = folder, peer
        module, self.cipher, self.key = PEERS[peer]
        self.engines = (OURS, module) if ours_first else (module, OURS)
        sizes = SIZES_SQLCIPHER if self.cipher == "sqlcipher" else SIZES
        self.cases = [(size, journal) for size in sizes for journal in ("delete", "wal")]
        self.models = {case: sqlite3.connect(":memory:", isolation_level=None) for case in self.cases}

    def path(self, size: int, journal: str) -> Path:
        return self.folder / f"{size} {journal}.db"

    def work(self, engine: str, first: Iterable[str], steps: Iterable[str], leave: Iterable[str]) -> None:
        """Look at what the last engine left, change it, and leave a transaction unfinished."""
        jobs, steps, leave = [], list(steps), list(leave)
        for size, journal in self.cases:
            before = [sql.format(size=size, journal=journal) for sql in first]
            told = needed(engine, self.cipher, size)
            left = leave if self.can_leave(engine, journal) else []
            jobs.append((str(self.path(size, journal)), self.cipher, self.key, told, [*before, *steps, *LOOK, *left]))
        for (size, journal), results in zip(self.cases, run(engine, jobs), strict=True):
            where = (self.peer, engine, size, journal)
            wrong = [result for result in results if isinstance(result, str)]
            assert not wrong, (*where, wrong[0])
            model = self.models[size, journal]
            for sql in steps:
                model.execute(sql)
            n = len(list(first)) + len(steps)
            seen = results[n : n + len(LOOK)]
            expected = [[list(row) for row in model.execute(sql)] for sql in LOOK[:-1]]
            assert seen[:-1] == expected, where
            assert int(seen[-1][0][0]) == size, where
            if leave and self.can_leave(engine, journal):
                self.left_something(size, journal)

    def can_leave(self, engine: str, journal: str) -> bool:
        """MC cannot use journals of SQLCipher, nor ours: it wants other checksums."""
        return engine != OURS or journal == "wal" or self.peer != "MC sqlcipher"

    def left_something(self, size: int, journal: str) -> None:
        """There is a log, or a journal that has to be played back: its database was written to."""
        path = self.path(size, journal)
        assert not path.read_bytes().startswith(b"SQLite format 3")
        left = path.with_name(path.name + ("-wal" if journal == "wal" else "-journal"))
        assert left.stat().st_size > 100_000

    def close(self) -> None:
        for model in self.models.values():
            model.close()


@pytest.mark.parametrize("ours_first", [True, False], ids=["ours first", "theirs first"])
@pytest.mark.parametrize("peer", PEERS)
def test_there_and_back(peer: str, ours_first: bool, tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, peer, ours_first)
    one, other = exchange.engines
    mode = "pragma journal_mode = {journal}"
    # libSQL and MC encrypt headers behind the first in a journal if they are as long as a page, and then lose rows
    # themselves: this leaves one header.
    pragmas = ("pragma wal_autocheckpoint = 0", "pragma synchronous = off")
    try:
        exchange.work(one, ("pragma page_size = {size}", mode, *pragmas), MAKE, UNFINISHED)
        exchange.work(other, pragmas, CHANGE, UNFINISHED)
        exchange.work(one, pragmas, CHANGE_AGAIN, UNFINISHED)
        exchange.work(other, pragmas, ("vacuum",), ())
        exchange.work(one, (), (), ())
    finally:
        exchange.close()


@pytest.mark.skipif(not HAS_LIBSQL, reason="2026-11-21: no wheel of libsql for this platform")
@pytest.mark.parametrize("size", SIZES)
def test_the_bytes_of_libsql(size: int, tmp_path: Path) -> None:
    """What is not changed stays theirs to the byte, and what is written is what they would have written."""
    path = tmp_path / "a.db"
    first = [f"pragma page_size = {size}", *MAKE]
    run("libsql", [(str(path), "aes256cbc", "secret", [], first)])
    data = path.read_bytes()
    plain = CODEC["decrypt_file"](data, CODEC["Cbc"](b"secret"), size)
    assert CODEC["encrypt_file"](plain, CODEC["Cbc"](b"secret"), size) == data
    run(OURS, [(str(path), "aes256cbc", "secret", [], ["pragma user_version = 5", "update t set x = x where id = 9"])])
    changed = path.read_bytes()
    after = CODEC["decrypt_file"](changed, CODEC["Cbc"](b"secret"), size)
    assert after[100:size] == plain[100:size]
    assert CODEC["encrypt_file"](after, CODEC["Cbc"](b"secret"), size) == changed
    both = zip(CODEC["pages"](changed, size), CODEC["pages"](data, size), strict=True)
    assert 1 <= sum(one != other for one, other in both) <= 5


def test_sqlcipher_checks_our_pages(tmp_path: Path) -> None:
    for name, key in (("a", PASSPHRASE), ("b", RAW), ("c", RAW_AND_SALT)):
        path = str(tmp_path / f"{name}.db")
        run(OURS, [(path, "sqlcipher", key, [], [*MAKE, *CHANGE])])
        (seen,) = run("sqlcipher3", [(path, "sqlcipher", key, [], ["pragma cipher_integrity_check", *LOOK])])
        assert seen[:2] == [[], [["ok"]]], seen
        assert (tmp_path / f"{name}.db").read_bytes()[:16] != bytes(16)
        if key == RAW_AND_SALT:
            assert (tmp_path / f"{name}.db").read_bytes()[:16] == bytes.fromhex(key)[32:]
            (seen,) = run("sqlcipher3", [(path, "sqlcipher", key[:64], [], LOOK)])
            assert seen[0] == [["ok"]]


@pytest.mark.parametrize("maker", ["sqlcipher3", OURS])
def test_a_header_in_the_clear(maker: str, tmp_path: Path) -> None:
    """SQLCipher's files with a header that others recognize: the salt is part of the key."""
    path = str(tmp_path / "a.db")
    clear = ["pragma cipher_plaintext_header_size = 32"]
    made = run(maker, [(path, "sqlcipher", RAW_AND_SALT, clear, [*MAKE, *LOOK])])
    assert Path(path).read_bytes().startswith(b"SQLite format 3\0")
    for engine, steps in ((OURS, CHANGE), ("sqlcipher3", CHANGE_AGAIN), (OURS, ("vacuum",))):
        told = [] if engine == OURS else clear
        (seen,) = run(engine, [(path, "sqlcipher", RAW_AND_SALT, told, [*LOOK, *steps])])
        assert seen[0] == [["ok"]], (engine, seen)
        assert not [result for result in seen if isinstance(result, str)], (engine, seen)
    assert made[0][-4:][0] == [["ok"]]


def test_legacy_files_of_aes256cbc(tmp_path: Path) -> None:
    """Older libraries left nothing of page 1 in the clear."""
    path = str(tmp_path / "a.db")
    run("apsw", [(path, "aes256cbc", "secret", ["pragma legacy = 1"], MAKE)])
    assert Path(path).read_bytes()[21:24] != b"\x40\x20\x20"
    (seen,) = run(OURS, [(path, "aes256cbc", "secret", [], [*LOOK, *CHANGE, *LOOK])])
    assert [seen[0], seen[-4]] == [[["ok"]]] * 2
    assert Path(path).read_bytes()[21:24] == b"\x40\x20\x20"
    (seen,) = run("apsw", [(path, "aes256cbc", "secret", [], LOOK)])
    assert seen[0] == [["ok"]]


@pytest.mark.parametrize("peer", PEERS)
def test_a_wrong_key_in_files_of_others(peer: str, tmp_path: Path) -> None:
    """What they left unfinished stays for the right key."""
    for journal in ("delete", "wal"):
        module, cipher, key = PEERS[peer]
        path = tmp_path / f"{journal}.db"
        first = [f"pragma journal_mode = {journal}", "pragma wal_autocheckpoint = 0", *MAKE]
        run(module, [(str(path), cipher, key, [], [*first, *UNFINISHED])])
        before = {file.name: file.read_bytes() for file in tmp_path.iterdir() if not file.name.endswith("-shm")}
        for wrong in ("other", key[::-1]):
            (seen,) = run(OURS, [(str(path), cipher, wrong, [], ["select * from t", "delete from t", "vacuum"])])
            assert seen == ["error: file is not a database"] * 3
        assert before == {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.name[-4:] != "-shm"}
        (seen,) = run(OURS, [(str(path), cipher, key, [], LOOK)])
        assert seen[0] == [["ok"]]
        assert seen[1][0][0] == 500
