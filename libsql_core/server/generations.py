"""The history of a namespace as the HTTP sync protocol counts it: generations, and frames in them that begin with 1.

A generation is what one file of the replication log holds: frame i of a generation is frame `start + i - 1` of the log,
and the database at its start is what the snapshots before it hold. When the log begins a new file, so does a
generation; the files of the last ones stay, under `generations/`, for clients that are behind. `generations.json` says
where each begins. It is made when a client of this protocol comes first; without one, none of this costs anything.

Another history (a log with another id) begins with a generation that no client can have: numbers tell the time.
All functions block, and are called under the namespace's lock for this.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from libsql_core import _engine as engine
from libsql_core._engine import SnapshotNeeded

if TYPE_CHECKING:
    from libsql_core._engine import ReplicationLog

PAGE = 4096
HEADER, FRAME = 24, 24 + PAGE
# What a wal_log.Frame has in front of its bytes: the field's number and length.
FIELD = 3
# Of a file of the log.
LOG_HEADER = 64
# Frames of generations before the current one that are kept: 400 MB.
KEPT = 97_000
# The first generation there can be was on 2026-01-01; they count seconds.
EPOCH = 1_767_225_600
SNAPSHOT = re.compile(r"(?P<log>[0-9a-f-]{36})-(?P<start>\d+)-(?P<end>\d+)\.snap")

_ours = struct.Struct("<QQII")
_theirs = struct.Struct(">IIQQ")


class Gone(Exception):
    """What a client has, or asks for, is not part of the history that is kept: it must start over."""


def to_wal(frames: bytes) -> bytes:
    """Frames of the log with the headers of SQLite's."""
    made = []
    for at in range(0, len(frames), FRAME):
        _, _, page, size = _ours.unpack_from(frames, at)
        made += [_theirs.pack(page, size, 0, 0), frames[at + HEADER : at + FRAME]]
    return b"".join(made)


class Generations:
    """Those of an open log."""

    def __init__(self, folder: Path, log: ReplicationLog, key: bytes | None) -> None:
        self._file = folder / "generations.json"
        self._kept = folder / "generations"
        self._folder = folder
        self.log = log
        self._key = key
        self.starts: dict[int, int] = {}
        try:
            said = json.loads(self._file.read_text(encoding="utf-8"))
            before = max(map(int, said["starts"]))
            if said["log_id"] == log.log_id:
                self.starts = {int(number): int(start) for number, start in said["starts"].items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            before = 0
        if not self.starts or self.starts[before] > log.first:
            self.starts = {max(before + 1, int(time.time()) - EPOCH): log.first}
            self._save()
        else:
            self.advance()

    @staticmethod
    def wanted(folder: Path) -> bool:
        """Whether clients of this protocol were here."""
        return (folder / "generations.json").exists()

    @property
    def current(self) -> int:
        return max(self.starts)

    def advance(self) -> None:
        """A new file of the log begins a generation; those that are about to become snapshots are kept."""
        self._keep()
        first = self.log.first
        if first != self.starts[self.current]:
            self.starts[self.current + 1] = first
            while first - min(self.starts.values()) > KEPT and len(self.starts) > 1:
                del self.starts[min(self.starts)]
            self._save()
        starts = set(self.starts.values())
        for left in self._kept.glob("*"):
            if not left.name.isdigit() or int(left.name) not in starts:
                left.unlink()

    def _keep(self) -> None:
        if self._key is not None:
            return  # what is encrypted stays with the log
        for file in (self._folder / "to_compact").glob("*"):
            with contextlib.suppress(OSError):
                with file.open("rb") as opened:
                    header = opened.read(LOG_HEADER)
                start = int.from_bytes(header[32:40], "little")
                self._kept.mkdir(exist_ok=True)
                os.link(file, self._kept / str(start))

    def _save(self) -> None:
        partial = self._file.with_suffix(".json~")
        with partial.open("w", encoding="utf-8") as file:
            json.dump({"log_id": self.log.log_id, "starts": self.starts}, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._file)

    def frames(self, generation: int, first: int, stop: int) -> bytes:
        """Some of the frames from one on, with SQLite's headers; b"" where the generation ends, or ends so far."""
        if generation not in self.starts or first < 1:
            raise Gone(f"generation {generation} is not kept: remove the local files, and sync anew")
        begin = self.starts[generation]
        end = self.starts.get(generation + 1, self.log.last + 1)
        start, stop = begin + first - 1, min(begin + stop - 1, end)
        if start > end:
            raise Gone(f"frame {first} of generation {generation} never was: remove the local files, and sync anew")
        if start >= stop:
            return b""
        with contextlib.suppress(SnapshotNeeded):
            return to_wal(self.log.read(start, stop))
        try:
            with (self._kept / str(begin)).open("rb") as file:
                file.seek(LOG_HEADER + (start - begin) * FRAME)
                found = file.read((stop - start) * FRAME)
        except OSError:
            found = b""
        if len(found) != (stop - start) * FRAME:
            raise Gone(f"generation {generation} is not kept: remove the local files, and sync anew")
        return to_wal(found)

    def length(self, generation: int) -> int:
        """The number of its last frame."""
        begin = self.starts[generation]
        return self.starts.get(generation + 1, self.log.last + 1) - begin

    def export(self, generation: int) -> tuple[IO[bytes], int]:
        """The database at the start of the current generation: a file, and its size. None who asks for another."""
        if generation != self.current:
            raise Gone(f"generation {generation} has ended: the current one is {self.current}")
        start = self.starts[generation]
        file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  # whoever asked closes it
        try:
            if start == 0:
                file.write(empty())
                size = PAGE
            else:
                size = self._assemble(file, start - 1)
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return file, size

    def _assemble(self, file: IO[bytes], last: int) -> int:
        """Write the pages as they were behind a frame, from the snapshots before it; the size of the database."""
        size = 0
        seen: set[int] = set()
        while last >= 0:
            path, start = self._snapshot(last)
            newest = not size
            for page, pages, data in _pages(path, self._key):
                if page not in seen:
                    seen.add(page)
                    file.seek((page - 1) * PAGE)
                    file.write(data)
                if newest:  # its last frame says how many pages there are
                    size = pages
            last = start - 1
        if not size or not seen.issuperset(range(1, size + 1)):
            raise Gone("the snapshots of this history are not complete")
        file.truncate(size * PAGE)
        return size * PAGE

    def _snapshot(self, last: int) -> tuple[Path, int]:
        for path in (self._folder / "snapshots").glob("*.snap"):
            found = SNAPSHOT.fullmatch(path.name)
            if found and found["log"] == self.log.log_id and int(found["end"]) == last:
                return path, int(found["start"])
        raise FileNotFoundError(f"there is no snapshot that ends with frame {last}")


def _pages(path: Path, key: bytes | None) -> Iterator[tuple[int, int, bytes]]:
    """Page number, size of the database, page of each frame in a snapshot."""
    for found in engine.snapshot_frames(path, 0, encryption_key=key):
        for encoded in found:
            _, _, page, pages = _ours.unpack_from(encoded, FIELD)
            yield page, pages, encoded[FIELD + HEADER : FIELD + FRAME]


def empty() -> bytes:
    """A database of one page, in WAL mode."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "data")
        con = engine.connect(path, autocommit=True)
        con.execute("PRAGMA page_size = 4096")
        con.execute("PRAGMA journal_mode = WAL")
        con.close()
        return Path(path).read_bytes()
