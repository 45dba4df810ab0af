"""The folder of the data: its version, its lock against a second server, and the layout from before namespaces."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

# The release of libSQL's server whose data directory this is.
VERSION = "0.24.32"
# What one before 0.18, with a single database, becomes.
OLD_LAYOUT = "0.18.0"
SEMVER = re.compile(r"\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]+)?")
MEMORY = ":memory:"
TEMPORARY = "sqld-memory-"


class DirectoryError(Exception):
    """The folder cannot be used; the message is for the one who named it."""


def _locked(file: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sweep(parent: Path) -> None:
    """Remove what servers that were killed left in memory."""
    for left in parent.glob(f"{TEMPORARY}*/.version"):
        try:
            with (left.parent / ".lock").open("r+b") as file:
                if _locked(file):
                    shutil.rmtree(left.parent, ignore_errors=True)
        except OSError:
            pass  # another's, or gone


class Directory:
    """A data directory that is ours until `close`. With `:memory:`, one that nothing is left of."""

    def __init__(self, db_path: str) -> None:
        self._temporary = db_path == MEMORY
        self._lock: IO[bytes] | None = None
        if self._temporary:
            memory = Path("/dev/shm")
            usable = memory.is_dir() and os.access(memory, os.W_OK)
            parent = memory if usable else Path(tempfile.gettempdir())
            _sweep(parent)
            self.path = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=parent))
        else:
            self.path = Path(db_path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._take()
            self._check_version()
        except FileExistsError:
            raise DirectoryError(f"{self.path} is a file, not the directory of a server") from None
        except OSError as error:
            self.close()
            raise DirectoryError(f"Could not open {self.path}: {error.strerror}") from None
        except BaseException:
            self.close()
            raise

    def _take(self) -> None:
        if not (self.path / ".lock").exists():
            # Another server's: there may be replicas by the log's protocol (sync_clients.py).
            for known in self.path.glob("dbs/*/wallog"):
                (known.parent / ".copied").touch()
        self._lock = (self.path / ".lock").open("ab")
        if not _locked(self._lock):
            raise DirectoryError(f"{self.path} is in use by another server")

    def _check_version(self) -> None:
        version = self.path / ".version"
        if not version.exists():
            if (self.path / "data").is_file():
                self._migrate()
                version.write_text(OLD_LAYOUT, encoding="ascii")
                for name in ("data", "data-wal"):
                    (self.path / name).unlink(missing_ok=True)
            else:
                version.write_text(VERSION, encoding="ascii")
        elif not SEMVER.fullmatch(version.read_bytes().decode("ascii", "replace").strip()):
            raise DirectoryError("invalid version file")

    def _migrate(self) -> None:
        """The only database becomes that of the default namespace. Nothing is lost when this stops half-way."""
        folder = self.path / "dbs" / "default"
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("data-wal", "data"):
            if (self.path / name).exists() and not (folder / name).exists():
                os.link(self.path / name, folder / name)

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if self._temporary:
            shutil.rmtree(self.path, ignore_errors=True)
