"""Bytes of encrypted databases, their journals and logs, changed at random, against the engine.

    python encryption_fuzz.py [seed] [count]

Whatever the bytes are: an error or rows, never a crash. With ciphers that authenticate, rows are such as were written,
whole pages of them: a database or log that was changed is refused or read as it was after one of its transactions.
Run in an empty folder; a failing case names its seed and number.
"""

from __future__ import annotations

import faulthandler
import random
import shutil
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import libsql_core
from libsql_core.encryption import probe

KEYS: dict[str, str | bytes] = {
    "aes256cbc": "secret",
    "xaes256gcm": bytes(range(32)),
    "sqlcipher": bytes(range(32, 64)),
    "chacha20": bytes(range(64, 96)),
}
STATES = ("closed", "log", "journal")
Rows = tuple[tuple[int, str], ...]
Files = dict[str, bytes]


def connect(folder: Path, cipher: str | None, key: str | bytes) -> libsql_core.Connection:
    con: libsql_core.Connection = libsql_core.connect(
        folder / "a.db", encryption_key=key, cipher=cipher, isolation_level=None  # type: ignore[arg-type]
    )
    return con


def rows(con: libsql_core.Connection) -> Rows:
    return tuple(con.execute("select * from t order by id"))


class Example:
    """A database with what it may hold, as the files that a killed process leaves."""

    def __init__(self, folder: Path, cipher: str, state: str, page_size: int) -> None:
        self.cipher, self.state, self.page_size = cipher, state, page_size
        self.seen: list[Rows] = []
        self.written: set[tuple[int, str]] = set()
        with closing(connect(folder, cipher, KEYS[cipher])) as con:
            con.execute(f"pragma page_size = {page_size}")
            con.execute("pragma synchronous = off")
            con.execute("create table t(id integer primary key, x)")
            con.execute("create index i on t(x)")
            con.executemany("insert into t values (?, ?)", ((i, f"row {i} " * 9) for i in range(60)))
            if state == "log":
                con.execute("pragma journal_mode = wal")
            self.seen.append(rows(con))
            if state == "log":
                for i in range(3):
                    con.execute("update t set x = x || ? where id % 3 = ?", (f"{i} later", i))
                    self.seen.append(rows(con))
            elif state == "journal":
                con.execute("pragma cache_size = 2")
                con.execute("begin")
                con.execute("update t set x = 'lost'")
                con.execute("insert into t select id + 100, hex(zeroblob(400)) from t")
                self.written = {*self.seen[0], *rows(con)}  # pages of both are in the file
            self.files = {path.name: path.read_bytes() for path in folder.glob("a.db*") if path.name[-4:] != "-shm"}
        for path in folder.glob("a.db*"):
            path.unlink()


def change(dice: random.Random, data: bytes, page_size: int) -> bytes:
    """One of the ways in which bytes get lost, moved or changed."""
    kind, at, n = dice.randrange(7), dice.randrange(len(data)), dice.choice((1, 1, 4, 16, 512, page_size))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[: at // page_size * page_size]
    if kind == 2:
        return data[:at] + dice.randbytes(n) + data[at + n :]
    if kind == 3:
        return data + dice.randbytes(n)
    pages = [data[i : i + page_size] for i in range(0, len(data), page_size)]
    one, other = dice.randrange(len(pages)), dice.randrange(len(pages))
    if kind == 4:
        pages[one], pages[other] = pages[other], pages[one]
    elif kind == 5:
        pages[one] = bytes(len(pages[one]))
    else:
        changed = bytearray(data)
        for _ in range(dice.choice((1, 1, 3, 20))):
            changed[dice.randrange(min(len(data), dice.choice((120, len(data)))))] ^= 1 << dice.randrange(8)
        return bytes(changed)
    return b"".join(pages)


def check(example: Example, folder: Path, changed: Files, dice: random.Random) -> None:
    for name, data in changed.items():
        (folder / name).write_bytes(data)
    probe(folder / "a.db")
    named = example.cipher if dice.random() < 0.9 else None
    with closing(connect(folder, named, KEYS[example.cipher])) as con:
        found: Rows | None = None
        try:
            con.execute("pragma synchronous = off")
            found = rows(con)
            con.execute("select count(*) from t indexed by i where x > ''").fetchone()
            if dice.random() < 0.2:
                con.execute("pragma integrity_check").fetchall()
                con.execute("update t set x = x || 'new'")
                con.execute("vacuum")
        except libsql_core.DatabaseError:
            pass
        except (libsql_core.Warning, UnicodeDecodeError):
            assert example.cipher == "aes256cbc"
    if found is not None and example.cipher != "aes256cbc":
        # A journal that is cut rolls some pages back: each is one that was written, before or by that transaction.
        assert found in example.seen or (example.written and example.written.issuperset(found)), found


def main(seed: int = 1, count: int = 100_000) -> None:
    faulthandler.enable()
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        examples = [Example(folder, cipher, state, 1024) for cipher in KEYS for state in STATES]
        for number in range(count):
            example = dice.choice(examples)
            changed = dict(example.files)
            target = dice.choice(list(changed))
            for _ in range(dice.choice((0, 1, 1, 1, 2))):
                changed[target] = change(dice, changed[target] or b"\0", example.page_size)
            try:
                check(example, folder, changed, dice)
            except BaseException:
                kept = Path.cwd() / f"case {seed} {number}"
                shutil.copytree(folder, kept, dirs_exist_ok=True)
                print(f"seed {seed}, case {number}: {example.cipher} {example.state} {target}", file=sys.stderr)
                raise
            for path in folder.iterdir():
                path.unlink()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
