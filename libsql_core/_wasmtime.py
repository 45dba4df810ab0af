"""Where wasmtime's shared library lies. The engine asks when it needs it; nothing of that package is imported."""

from __future__ import annotations

import importlib.util
import platform
import sys
from pathlib import Path

_NAMES = {"linux": "_libwasmtime.so", "darwin": "_libwasmtime.dylib", "win32": "_wasmtime.dll"}
_MACHINES = {"AMD64": "x86_64", "arm64": "aarch64", "ARM64": "aarch64"}


def library() -> str | None:
    """Path of the library in the installed wasmtime, or None."""
    spec = importlib.util.find_spec("wasmtime")
    machine = platform.machine()
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / f"{sys.platform}-{_MACHINES.get(machine, machine)}" / _NAMES.get(sys.platform, "")
        if path.is_file():
            return str(path)
    return None
