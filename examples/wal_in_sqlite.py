"""A log whose frames are rows of an SQLite file: `app.db` has its log in `app.db.frames`.

    register("sqlite", SqliteWal())
    con = libsql_core.connect("app.db", wal="sqlite")
    con.execute("PRAGMA journal_mode=wal")

It shows what a log has to do that keeps its frames elsewhere. Frames are only ever added, so a snapshot is the number
of the last frame that it includes. A transaction of the database is one of the store: that makes the writer the only
one among all processes, undoes what is rolled back, and leaves whole transactions after a crash. The store waits for
the disk at each commit, whatever `PRAGMA synchronous` of the database says.

A checkpoint copies to the database file and empties the store. It happens while no other connection has the database
open, at the latest when the last one closes; until then the store grows. Programs that do not have this log see what
was copied, and must not write before that.
"""

import os
import struct
import tempfile
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

import libsql_core
from libsql_core import SQLITE_CHECKPOINT_PASSIVE
from libsql_core.wal import Page, State, Wal, WalMethods, busy, register

SCHEMA = """
PRAGMA journal_mode=wal;
CREATE TABLE IF NOT EXISTS frame(
    number INTEGER PRIMARY KEY,
    page INTEGER NOT NULL,
    size INTEGER NOT NULL,      -- of the database in pages, if the frame ends a transaction; or 0
    content BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS frame_of_page ON frame(page, number);
"""


class Log:
    """The store, and the snapshot of one connection."""

    def __init__(self, path: str) -> None:
        self.con = libsql_core.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        self.snapshot = (-1, 0)     # its last frame, and the size of the database there; -1: none yet
        self.end = 0                # the last frame that this connection sees: in a transaction, of its own
        self.writing = False
        self.n_committed = 0        # frames at the last commit, until callback() tells

    def newest(self) -> tuple[int, int]:
        """The last frame of the log, which ends a transaction, and the size of the database there."""
        row = self.con.execute("SELECT number, size FROM frame ORDER BY number DESC LIMIT 1").fetchone()
        return row or (0, 0)

    def rollback(self) -> None:
        """End the store's transaction, if there is one. What is read afterwards is known by its number still."""
        self.writing = False
        if self.con.in_transaction:
            self.con.execute("ROLLBACK")


class SqliteWal(WalMethods):
    """Methods of a log without SQLite's own beneath."""

    uses_shared_memory = False

    # WAL mode begins and ends.

    def open(self, wal: Wal) -> None:
        log = Log(store_of(wal))
        try:
            log.con.executescript(SCHEMA)
        except BaseException:
            log.con.close()
            raise
        wal.state = log

    def close(self, wal: Wal, checkpoint: bool, sync_flags: int) -> None:
        log: Log = wal.state
        try:
            last = checkpoint and wal.lock_database()
            if last:
                copy(wal, sync_flags)
        finally:
            log.con.close()
        if last:
            self.log_destroy(wal)       # nobody opens it meanwhile: the database file is locked

    def log_exists(self, wal: Wal) -> bool:
        return os.path.exists(store_of(wal))

    def log_destroy(self, wal: Wal) -> None:
        for suffix in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                os.unlink(store_of(wal) + suffix)

    # Reading

    def begin_read_transaction(self, wal: Wal) -> bool:
        log: Log = wal.state
        log.con.execute("BEGIN")        # so that all reads see one state of the store
        before, log.snapshot = log.snapshot, log.newest()
        log.end = log.snapshot[0]
        return log.snapshot != before

    def end_read_transaction(self, wal: Wal) -> None:
        wal.state.rollback()

    def dbsize(self, wal: Wal) -> int:
        size: int = wal.state.snapshot[1]
        return size

    def find_frame(self, wal: Wal, page_number: int) -> int:
        log: Log = wal.state
        query = "SELECT max(number) FROM frame WHERE page = ? AND number <= ?"
        frame: int | None = log.con.execute(query, (page_number, log.end)).fetchone()[0]
        return frame or 0

    def read_frame(self, wal: Wal, frame: int, size: int) -> bytes:
        content: bytes = wal.state.con.execute("SELECT content FROM frame WHERE number = ?", (frame,)).fetchone()[0]
        return content[:size]

    def read_frame_raw(self, wal: Wal, frame: int, size: int) -> bytes:
        query = "SELECT page, size, content FROM frame WHERE number = ?"
        page, size_after, content = wal.state.con.execute(query, (frame,)).fetchone()
        raw: bytes = struct.pack(">II16x", page, size_after) + content      # no salts, no checksums
        return raw[:size]

    # Writing

    def begin_write_transaction(self, wal: Wal) -> None:
        log: Log = wal.state
        if not log.con.in_transaction:
            log.con.execute("BEGIN")    # the last commit ended it
        if log.newest() != log.snapshot:
            raise busy("there is a newer snapshot", stale=True)
        # Any write makes a transaction that has read the writer's; one that cannot be it fails at once as SQLITE_BUSY.
        log.con.execute("DELETE FROM frame WHERE number < 0")
        log.writing = True

    def frames(self, wal: Wal, pages: list[Page], size_after: int, commit: bool, sync_flags: int) -> int | None:
        log: Log = wal.state
        if not log.writing:
            self.begin_write_transaction(wal)   # again: wal_insert() may commit more than once
        rows = [(log.end + i, number, 0, content) for i, (number, content) in enumerate(pages, 1)]
        if commit:
            rows[-1] = (*rows[-1][:2], size_after, rows[-1][3])
        log.con.executemany("INSERT INTO frame VALUES (?, ?, ?, ?)", rows)
        if commit:
            log.con.execute("COMMIT")
            log.writing = False
            log.snapshot = (rows[-1][0], size_after)
            log.n_committed = rows[-1][0]
        log.end = rows[-1][0]
        return len(rows) if commit else None

    def end_write_transaction(self, wal: Wal) -> None:
        wal.state.rollback()

    def undo(self, wal: Wal) -> Iterable[int]:
        log: Log = wal.state
        query = "SELECT DISTINCT page FROM frame WHERE number > ?"
        pages = [page for page, in log.con.execute(query, log.snapshot[:1])]
        log.rollback()
        log.end = log.snapshot[0]
        return pages

    def savepoint(self, wal: Wal) -> State:
        return (wal.state.end, 0, 0, 0)

    def savepoint_undo(self, wal: Wal, state: State) -> None:
        log: Log = wal.state
        if state[0] < log.end:
            log.con.execute("DELETE FROM frame WHERE number > ?", state[:1])
            log.end = state[0]

    # Counting and copying

    def frame_count(self, wal: Wal, locked: bool) -> int:
        log: Log = wal.state
        if not locked:
            if log.writing:
                raise busy()
            self.begin_write_transaction(wal)
            log.rollback()
        return log.end

    def callback(self, wal: Wal) -> int:
        log: Log = wal.state
        n, log.n_committed = log.n_committed, 0
        return n

    def checkpoint(self, wal: Wal, mode: int, sync_flags: int) -> tuple[int, int]:
        while not wal.lock_database():
            if mode == SQLITE_CHECKPOINT_PASSIVE:
                return wal.state.newest()[0], 0
            if not wal.busy():
                raise busy("another connection has the database open")
        try:
            return copy(wal, sync_flags)
        finally:
            wal.unlock_database()


def store_of(wal: Wal) -> str:
    return wal.path + ".frames"


def copy(wal: Wal, sync_flags: int) -> tuple[int, int]:
    """Copy the newest content of each page to the database file, and empty the store. The file is locked.

    A crash in between does no harm: until the frames are gone, pages are read from them.
    """
    log: Log = wal.state
    log.rollback()
    log.con.execute("BEGIN IMMEDIATE")
    try:
        n, size = log.newest()
        if n:
            page_size = 0
            newest = "SELECT page, content, max(number) FROM frame WHERE page <= ? GROUP BY page"
            for number, content, _ in log.con.execute(newest, (size,)):
                page_size = len(content)
                wal.write_database(content, (number - 1) * page_size)
            wal.truncate_database(size * page_size)
            wal.sync_database(sync_flags)
            log.con.execute("DELETE FROM frame")
        log.con.execute("COMMIT")
    finally:
        log.rollback()
    log.snapshot = (-1, 0)      # the numbers begin again
    return n, n


def main(folder: Path) -> None:
    """Write to a database, look where its pages are, and checkpoint."""
    register("sqlite", SqliteWal())
    path = folder / "app.db"
    with closing(libsql_core.connect(path, wal="sqlite", isolation_level=None)) as con:
        con.execute("PRAGMA journal_mode=wal")
        con.execute("CREATE TABLE note(text)")
        con.executemany("INSERT INTO note VALUES (?)", [("one",), ("two",)])
        with closing(libsql_core.connect(f"{path}.frames")) as store:
            for number, page, size in store.execute("SELECT number, page, size FROM frame ORDER BY number"):
                print(f"frame {number}: page {page}" + f", ends a transaction of {size} pages" * (size > 0))
        print("checkpoint:", con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
    print("files:", sorted(os.listdir(folder)))
    with closing(libsql_core.connect(path)) as con:
        print("rows:", con.execute("SELECT text FROM note").fetchall())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
