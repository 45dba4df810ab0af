"""A write-ahead log of one's own under a database, in Python.

SQLite's pager calls the methods of a log whenever it reads or writes in WAL mode. A subclass of `WalMethods` defines
those that it wants to change; all others stay SQLite's own log, at its speed. `docs/wal.md` tells when each is called.

    class Audit(WalMethods):
        def frames(self, wal, pages, size_after, commit, sync_flags):
            print(wal.path, [number for number, content in pages], commit)
            return super().frames(wal, pages, size_after, commit, sync_flags)

    register("audit", Audit())
    con = libsql_core.connect("app.db", wal="audit")

A method that raises makes the statement fail: with OperationalError, code SQLITE_IOERR, or with the class and the code
of an `Error` that has one (`busy()` makes such an error). The exception is the `__cause__` of that error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, TypeAlias

from libsql_core._constants import SQLITE_BUSY, SQLITE_BUSY_SNAPSHOT
from libsql_core._engine import OperationalError, Wal, register_wal, unregister_wal, wal_managers

__all__ = ["Page", "State", "Wal", "WalMethods", "busy", "names", "register", "unregister"]

Page: TypeAlias = tuple[int, bytes]
"""Number and content of a page."""

State: TypeAlias = tuple[int, int, int, int]
"""What describes the end of a log, each number of 32 bits."""


class WalMethods:
    """The methods of logs; these are the default log's.

    One object serves every log that is opened under its name, in any thread: what belongs to one log is kept in
    `wal.state`. `wal` offers the default log's methods and the database file, and can be used inside a
    method only. Calls for one log never overlap.
    """

    uses_shared_memory: ClassVar[bool] = True
    """False: WAL mode also where the file system has no shared memory, for logs that do not need it."""

    def open(self, wal: Wal) -> None:
        """WAL mode begins. A log that needs no default log beneath does not open it."""
        wal.open()

    def close(self, wal: Wal, checkpoint: bool, sync_flags: int) -> None:
        """WAL mode ends or the connection closes. `checkpoint`: the log may be copied to the database and deleted."""
        wal.close(checkpoint, sync_flags)

    def log_exists(self, wal: Wal) -> bool:
        """Whether there is a log, so that WAL mode begins. Asked before each read while it has not begun."""
        return wal.log_exists()

    def log_destroy(self, wal: Wal) -> None:
        """Delete the log: its database file is empty."""
        wal.log_destroy()

    def limit(self, wal: Wal, size: int) -> None:
        """`PRAGMA journal_size_limit`, in bytes; -1 for none."""
        wal.limit(size)

    def begin_read_transaction(self, wal: Wal) -> bool:
        """Take the newest snapshot; whether it differs from the last one, so that cached pages are stale."""
        return wal.begin_read_transaction()

    def end_read_transaction(self, wal: Wal) -> None:
        """Give back the snapshot, and the writer's place if it is still held. Also called without a snapshot."""
        wal.end_read_transaction()

    def find_frame(self, wal: Wal, page_number: int) -> int:
        """The frame that holds the page; 0 if the page is in the database file."""
        return wal.find_frame(page_number)

    def read_frame(self, wal: Wal, frame: int, size: int) -> bytes:
        """The first `size` bytes of the page in a frame."""
        return wal.read_frame(frame, size)

    def read_frame_raw(self, wal: Wal, frame: int, size: int) -> bytes:
        """The first `size` bytes of a frame: header of 24 bytes, and page."""
        return wal.read_frame_raw(frame, size)

    def dbsize(self, wal: Wal) -> int:
        """Pages of the database in this snapshot; 0 if the size of the file tells."""
        return wal.dbsize()

    def begin_write_transaction(self, wal: Wal) -> None:
        """Become the writer. Raise `busy()` if another one is, `busy(stale=True)` if the snapshot is not the newest."""
        wal.begin_write_transaction()

    def end_write_transaction(self, wal: Wal) -> None:
        """Stop being the writer, after a commit or after `undo()`."""
        wal.end_write_transaction()

    def undo(self, wal: Wal) -> Iterable[int]:
        """Drop the frames of the transaction; the numbers of the pages that were in them."""
        return wal.undo()

    def savepoint(self, wal: Wal) -> State:
        """Describe the end of the log."""
        return wal.savepoint()

    def savepoint_undo(self, wal: Wal, state: State) -> State | None:
        """Go back to the end that `savepoint()` described; a new description, if the old one no longer holds."""
        return wal.savepoint_undo(state)

    def savepoint_forget(self, wal: Wal, state: State) -> None:
        """The savepoint is gone, by RELEASE or by a ROLLBACK to an earlier one."""
        wal.savepoint_forget(state)

    def frame_count(self, wal: Wal, locked: bool) -> int:
        """Frames in the log. Unless `locked`, raise `busy()` while there is a writer."""
        return wal.frame_count(locked)

    def frames(self, wal: Wal, pages: list[Page], size_after: int, commit: bool, sync_flags: int) -> int | None:
        """Write pages, in ascending order of their numbers; the frames added, if it is a commit.

        With `commit` the transaction ends and the database has `size_after` pages. Without it, pages are spilled from
        the cache in the middle of a transaction. The disk need not be waited for unless `sync_flags & 3`.
        """
        return wal.frames(pages, size_after, commit, sync_flags)

    def checkpoint(self, wal: Wal, mode: int, sync_flags: int) -> tuple[int, int]:
        """Copy the log to the database file. How many frames it has, and how many of them are copied.

        mode: SQLITE_CHECKPOINT_PASSIVE waits for nobody, FULL, RESTART and TRUNCATE do.
        """
        return wal.checkpoint(mode, sync_flags)

    def callback(self, wal: Wal) -> int:
        """Frames in the log at the last commit since the previous call, 0 if there was none. For auto-checkpoints."""
        return wal.callback()

    def exclusive_mode(self, wal: Wal, op: int) -> bool:
        """-1: could this log go exclusive? 1: the file is locked exclusively now. 0: leave that; whether it was so."""
        return wal.exclusive_mode(op)

    def heap_memory(self, wal: Wal) -> bool:
        """Whether this log can only be used exclusively, so that locking_mode cannot change."""
        return wal.heap_memory()


_DEFAULTS = {name: method for name, method in vars(WalMethods).items() if callable(method)}


def register(name: str, methods: WalMethods) -> None:
    """Make methods known for `connect(wal=name)`, for `file:...?wal=name` and to C programs (libsql_open()).

    A second registration of a name counts for connections opened from then on. Raises ValueError for a name that is
    empty or begins with "default", TypeError for what is no WalMethods.
    """
    if not isinstance(methods, WalMethods):
        raise TypeError(f"register() argument 'methods' must be a WalMethods object, not {type(methods).__name__}")
    register_wal(name, methods, _DEFAULTS, methods.uses_shared_memory)


def unregister(name: str) -> None:
    """Forget a name; open connections keep their log. Raises KeyError for an unknown name."""
    if not unregister_wal(name):
        raise KeyError(name)


def names() -> list[str]:
    """The registered names, without "default"."""
    return wal_managers()


def busy(message: str = "the log is locked", *, stale: bool = False) -> OperationalError:
    """An error to raise in a method that would have to wait: SQLite tries again until the connection's timeout.

    With `stale` the snapshot is not the newest, so that a transaction that has read cannot write: SQLITE_BUSY_SNAPSHOT.
    """
    error = OperationalError(message)
    error.sqlite_errorcode = SQLITE_BUSY_SNAPSHOT if stale else SQLITE_BUSY
    error.sqlite_errorname = "SQLITE_BUSY_SNAPSHOT" if stale else "SQLITE_BUSY"
    return error
