"""Where the C headers are."""

from __future__ import annotations

from pathlib import Path


def get_include() -> str:
    """The folder of `sqlite3.h`, `sqlite3ext.h` and `libsql.h`, for compilers."""
    return str(Path(__file__).parent / "include")
