"""`.sentinel` is there while a namespace is open: found at its opening, it tells how its server ended."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Ended(Enum):
    CLOSED = "closed"
    KILLED = "killed"  # what was written is there
    DOWN = "down"  # the machine went down: what was not synced may be gone


def _boot() -> bytes:
    """Another one each time that the system starts; empty where it does not tell."""
    try:
        return BOOT_ID.read_bytes().strip()
    except OSError:
        return b""


def look(path: Path) -> Ended:
    """How the last server ended. libSQL's leaves an empty file, which says no more than that it did not close."""
    try:
        written = path.read_bytes()
    except FileNotFoundError:
        return Ended.CLOSED
    return Ended.KILLED if written in (b"", _boot()) else Ended.DOWN


def put(path: Path) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        os.write(file, _boot())
        os.fsync(file)
    finally:
        os.close(file)
