"""How far a replica's copy is, on disk, and how long to wait until the primary is tried again."""

from __future__ import annotations

import os
import random
import uuid
from contextlib import suppress
from pathlib import Path


class Position:
    """Which history the copy follows and how far: 32 bytes in the format of sqld's replicas, beside the database."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.log_id: str | None = None
        self.frame = -1
        with suppress(FileNotFoundError):
            data = path.read_bytes()
            if len(data) >= 24:
                self.log_id = str(uuid.UUID(bytes=data[15::-1]))
                frame = int.from_bytes(data[16:24], "little")
                self.frame = -1 if frame == (1 << 64) - 1 else frame

    def write(self, log_id: str, frame: int) -> None:
        data = uuid.UUID(log_id).bytes[::-1] + (frame & (1 << 64) - 1).to_bytes(8, "little") + bytes(8)
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        try:
            os.write(handle, data)
        finally:
            os.close(handle)
        self.log_id, self.frame = log_id, frame


class Backoff:
    """Seconds to wait before the next attempt: twice as long each time, and never the same for two of us."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._next = first

    def reset(self) -> None:
        self._next = self._first

    def pause(self) -> float:
        pause = self._next * random.uniform(0.5, 1.0)
        self._next = min(self._next * 2, self._longest)
        return pause
