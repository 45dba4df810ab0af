"""A log that notes every committed transaction in an audit database: when, which file, which pages, their hashes.

    register("audit", AuditLog("audit.db"))
    con = libsql_core.connect("app.db", wal="audit")

Any number of databases, threads and processes may share one audit database. What is committed in WAL mode by
connections with this log is noted; other journal modes, and other programs on the same file, go past it.

What holds after a crash: a transaction is noted before it is committed, so none is missing. `txn.committed` is 1 once
it is, and NULL in between. A crash can leave NULL; the next transaction on that database finds out whether it was
committed, by comparing its pages with the file, and sets 1 or 0. A power failure can take back what was committed under
`PRAGMA synchronous=NORMAL` or OFF, also what is noted; under FULL, the default, it cannot.
"""

import os
import struct
import tempfile
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path

import libsql_core
from libsql_core.wal import Page, Wal, WalMethods, register

SCHEMA = """
PRAGMA journal_mode=wal;
CREATE TABLE IF NOT EXISTS txn(
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    database TEXT NOT NULL,         -- path of the file
    page_size INTEGER NOT NULL,
    size INTEGER NOT NULL,          -- of the database afterwards, in pages
    committed INTEGER               -- 1, 0; NULL if it is not known yet
);
CREATE INDEX IF NOT EXISTS in_doubt ON txn(database) WHERE committed IS NULL;
CREATE TABLE IF NOT EXISTS page(
    txn INTEGER NOT NULL REFERENCES txn,
    number INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY(txn, number)
) WITHOUT ROWID;
"""
FRAME_HEADER = 24


class AuditLog(WalMethods):
    """SQLite's own log, and notes of what it commits."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        with closing(self.connect()) as con:
            con.executescript(SCHEMA)

    def connect(self) -> libsql_core.Connection:
        # A log can move from thread to thread with its connection, but is never used by two at once.
        return libsql_core.connect(self.path, timeout=60, check_same_thread=False)

    def open(self, wal: Wal) -> None:
        wal.open()
        wal.state = self.connect()

    def close(self, wal: Wal, checkpoint: bool, sync_flags: int) -> None:
        wal.state.close()
        wal.close(checkpoint, sync_flags)

    def begin_write_transaction(self, wal: Wal) -> None:
        """Become the writer. Whatever is in doubt now was left by a crash, for a living writer would hold the place."""
        wal.begin_write_transaction()
        try:
            settle(wal)
        except BaseException:
            wal.end_write_transaction()
            raise

    def frames(self, wal: Wal, pages: list[Page], size_after: int, commit: bool, sync_flags: int) -> int | None:
        """Note what a commit makes permanent: pages spilled before it, unless they were rolled back, and these."""
        if not commit:
            return wal.frames(pages, size_after, commit, sync_flags)
        con: libsql_core.Connection = wal.state
        page_size = len(pages[0][1])
        hashes = spilled(wal, page_size) | {number: sha256(content).hexdigest() for number, content in pages}
        with con:
            insert = "INSERT INTO txn(database, page_size, size) VALUES (?, ?, ?)"
            txn = con.execute(insert, (wal.path, page_size, size_after)).lastrowid
            # What was spilled and then cut off is no part of the database.
            rows = [(txn, number, known) for number, known in hashes.items() if number <= size_after]
            con.executemany("INSERT INTO page VALUES (?, ?, ?)", rows)
        added = wal.frames(pages, size_after, commit, sync_flags)
        # Committed: to fail now would be a lie. A note that cannot be completed stays in doubt until the next writer.
        with suppress(libsql_core.Error):
            confirm(con, wal.path)
        return added


def spilled(wal: Wal, page_size: int) -> dict[int, str]:
    """Pages of the running transaction that are in the log: the frames behind the last one that ended a transaction."""
    hashes: dict[int, str] = {}
    for frame in range(wal.frame_count(True), 0, -1):
        raw = wal.read_frame_raw(frame, FRAME_HEADER + page_size)
        number, size_after = struct.unpack_from(">II", raw)
        if size_after:
            break
        hashes.setdefault(number, sha256(raw[FRAME_HEADER:]).hexdigest())
    return hashes


def confirm(con: libsql_core.Connection, database: str) -> None:
    with con:
        con.execute("UPDATE txn SET committed = 1 WHERE database = ? AND committed IS NULL", (database,))


def settle(wal: Wal) -> None:
    """Find out which of the transactions in doubt were committed: if one was, so were those before it."""
    con: libsql_core.Connection = wal.state
    query = "SELECT id, page_size FROM txn WHERE database = ? AND committed IS NULL ORDER BY id DESC"
    for txn, page_size in con.execute(query, (wal.path,)).fetchall():
        pages = con.execute("SELECT number, sha256 FROM page WHERE txn = ?", (txn,)).fetchall()
        if all(sha256(read_page(wal, number, page_size)).hexdigest() == known for number, known in pages):
            confirm(con, wal.path)
            break
        with con:
            con.execute("UPDATE txn SET committed = 0 WHERE id = ?", (txn,))


def read_page(wal: Wal, number: int, page_size: int) -> bytes:
    frame = wal.find_frame(number)
    if frame:
        return wal.read_frame(frame, page_size)
    return wal.read_database(page_size, (number - 1) * page_size)


def main(folder: Path) -> None:
    """Write to a database and print what was noted."""
    register("audit", AuditLog(folder / "audit.db"))
    with closing(libsql_core.connect(folder / "app.db", wal="audit", isolation_level=None)) as con:
        con.execute("PRAGMA journal_mode=wal")
        con.execute("PRAGMA cache_size=5")
        con.execute("CREATE TABLE note(text)")
        con.execute("INSERT INTO note VALUES ('hello')")
        for end in ("ROLLBACK", "COMMIT"):
            con.execute("BEGIN")
            con.executemany("INSERT INTO note VALUES (randomblob(?))", [(30000,)] * 10)
            con.execute(end)
    with closing(libsql_core.connect(folder / "audit.db")) as con:
        rows = con.execute(
            "SELECT txn.id, database, size, committed, count(*), group_concat(number, ' ') FROM txn"
            " JOIN page ON page.txn = txn.id GROUP BY txn.id"
        )
        for txn, database, size, committed, n_pages, numbers in rows:
            shown = numbers if n_pages < 10 else f"{numbers[:12]}..."
            state = "in doubt" if committed is None else ("lost", "committed")[committed]
            print(f"{txn} {Path(database).name} {state}: {n_pages} pages ({shown}), {size} in the database")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
