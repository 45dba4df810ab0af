"""Read a TOML file with whichever reader the running Python has."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

READERS = ("tomllib", "tomli", "pip._vendor.tomli")  # tomllib came with Python 3.11


def read_toml(path: Path, error: type[Exception]) -> dict[str, Any]:
    """Return the file's tables; every failure is raised as `error` and names the file."""
    for name in READERS:
        try:
            reader = importlib.import_module(name)
        except ImportError:
            continue
        try:
            tables: dict[str, Any] = reader.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as cause:
            raise error(f"{path}: {cause}") from cause
        return tables
    raise error(f"{path}: no TOML reader ({', '.join(READERS)}): use Python 3.11 or install tomli")
