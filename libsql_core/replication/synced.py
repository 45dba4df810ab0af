"""What connections to replicas have in common: a file that is synchronized with a primary."""

from __future__ import annotations

import contextlib
import os
import sys
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from libsql_core._engine import Connection, NotSupportedError, OperationalError, ProgrammingError
from libsql_core.replication.link import Link, Options, links
from libsql_core.replication.sync import Progress, SyncResult

if TYPE_CHECKING:
    import ssl

    from _typeshed import StrOrBytesPath


TAKEN = "a replica takes everything that is in its file from the primary"
# An attribute that can be read where everything is as it should be, and costs next to nothing.
_checked: Any = Connection.autocommit


class SyncedConnection(Connection):
    """A connection to a file that has a primary."""

    _link: Link | None = None

    def __init__(
        self,
        database: StrOrBytesPath,
        *args: Any,
        sync_url: str,
        auth_token: str = "",
        namespace: str | None = None,
        sync_interval: float | None = None,
        offline: bool = False,
        remote_encryption_key: str | bytes | None = None,
        tls_context: ssl.SSLContext | None = None,
        sync_timeout: float = 60.0,
        encryption_key: Any = None,
        cipher: Any = None,
        uri: bool = False,
        **options: Any,
    ) -> None:
        path = os.fsdecode(database)
        if uri or path in ("", ":memory:"):
            raise ProgrammingError("a replica needs the path of a file")
        link = links.open(
            Options(
                path,
                sync_url,
                auth_token,
                namespace,
                offline,
                remote_encryption_key,
                tls_context,
                sync_timeout,
                encryption_key,
                cipher,
            )
        )
        try:
            super().__init__(path, *args, encryption_key=encryption_key, cipher=cipher, **options)
            link.prepare(self)
            if sync_interval is not None:
                link.start(sync_interval)
        except BaseException:
            links.close(link, self._close_local)
            raise
        self._link = link

    @abstractmethod
    def _synced(self) -> None:
        """The replica has what the primary has."""

    @abstractmethod
    def _end_away(self) -> None:
        """End what this connection has open on the primary."""

    def _open_link(self) -> Link:
        if self._link is None:
            raise ProgrammingError("Cannot operate on a closed database.")
        return self._link

    def _check(self) -> None:
        """As each call is checked: that the connection is open, and that this thread may use it."""
        _checked.__get__(self)

    def sync(self, progress: Progress | None = None) -> SyncResult:
        """Fetch what the primary has committed; with offline=True, push what was written here.

        progress(done, left) is called now and then with numbers of frames; what it raises ends the synchronization.
        Raises ReplicationError, PrimaryError, UnreachableError, ReplicaError or ProtocolError, all of them
        OperationalErrors; the replica stays readable.
        """
        found = self._open_link().sync(progress)
        self._synced()
        return found

    def apply_snapshot(self, path: StrOrBytesPath) -> SyncResult:
        """Take the frames of a snapshot file of the primary's log, where they follow those that the replica has.

        Raises ReplicaError if they do not, or are of another history.
        """
        return self._open_link().apply_snapshot(path)

    def sync_until(self, frame: int) -> SyncResult:
        """Synchronize until the replica has a frame that another connection's `replication_index` named."""
        taken = 0
        while True:
            found = self.sync()
            taken += found.frames_synced
            if found.frame >= frame:
                return SyncResult(found.frame, taken)
            if not found.frames_synced:
                raise OperationalError(f"the primary has no frame {frame} yet; its last one is {found.frame}")

    @property
    def replication_index(self) -> int:
        """The last frame that the replica has; -1 for none."""
        return self._open_link().frame

    @property
    def last_sync_error(self) -> BaseException | None:
        """Why the last synchronization failed, those in the background too; None if it did not."""
        return self._open_link().last_error

    @property
    def last_sync(self) -> float | None:
        """When the last synchronization succeeded, in Unix time; None: none has since this process opened the file."""
        return self._open_link().synced_at

    def deserialize(self, data: Any, /, *, name: str = "main") -> None:
        """Not on a replica."""
        raise NotSupportedError(f"deserialize() is not possible on a replica: {TAKEN}")

    def rekey(self, encryption_key: Any, *, cipher: Any = None, name: str = "main") -> None:
        """Not on a replica."""
        raise NotSupportedError(f"rekey() is not possible on a replica: {TAKEN}")

    def wal_insert(self, frames: Any, /, *, start: int | None = None) -> int:
        """Not on a replica."""
        raise NotSupportedError(f"wal_insert() is not possible on a replica: {TAKEN}")

    def close(self) -> None:
        """Close the connection. An open transaction is rolled back."""
        link, self._link = self._link, None
        if link is None:
            super().close()
            return
        try:
            # Where that fails, the primary rolls back itself, a little later.
            with contextlib.suppress(OperationalError):
                self._end_away()
        finally:
            links.close(link, super().close)

    def _close_local(self) -> None:
        with contextlib.suppress(ProgrammingError):  # it may not even have been opened
            super().close()

    def __del__(self) -> None:
        link, self._link = self._link, None
        # At the end of the interpreter the thread in the background may have stopped with a lock in its hands.
        if link is not None and not sys.is_finalizing():
            with contextlib.suppress(OperationalError, OSError):
                links.close(link, lambda: None)
        super().__del__()
