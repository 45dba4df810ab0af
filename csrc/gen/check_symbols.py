"""`make symbols`: what the extension modules export to the process is ours by name.

    python csrc/gen/check_symbols.py [MODULE_FILE...]

Without arguments: the extension modules of the package that Python finds, or of the one in this tree. A name that is
exported and not ours could take the place of another library's, or be replaced by it. Needs nm.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_OURS = re.compile(r"(sqlite3|libsql|lsc)_\w+")
_SUFFIXES = {suffix.partition(".")[1:] for suffix in EXTENSION_SUFFIXES}
# Older linkers add these to every shared object.
_LINKER = frozenset({"__bss_start", "_edata", "_end", "_fini", "_init"})


def modules() -> list[Path]:
    """The package's extension modules for this Python."""
    spec = importlib.util.find_spec("libsql_core")
    folders = list(spec.submodule_search_locations or ()) if spec else [str(ROOT / "libsql_core")]
    paths = [path for folder in folders for path in Path(folder).rglob("*")]
    return sorted(path for path in paths if path.name.partition(".")[1:] in _SUFFIXES)


def exported(module: Path) -> list[str]:
    """The dynamic symbols that a module defines."""
    mac = sys.platform == "darwin"
    options = ["-gU"] if mac else ["-D", "--defined-only"]
    found = subprocess.run(["nm", *options, str(module)], capture_output=True, text=True, check=True).stdout
    names = [line.split()[-1] for line in found.splitlines() if line.strip()]
    return [name.removeprefix("_") if mac else name.partition("@")[0] for name in names]


def foreign(names: Iterable[str], module: str) -> list[str]:
    """Those names that this module may not export."""
    allowed = _LINKER | {f"PyInit_{module}"}
    return sorted(name for name in names if name not in allowed and not _OURS.fullmatch(name))


def main(arguments: list[str]) -> int:
    files = [Path(name) for name in arguments] or modules()
    if not files:
        print("no extension module found: build the package first", file=sys.stderr)
        return 2
    if shutil.which("nm") is None:
        print("nm is not on PATH", file=sys.stderr)
        return 2
    status = 0
    for file in files:
        names = exported(file)
        if not names:
            print(f"{file}: nm shows no exported name, not even the init function", file=sys.stderr)
            status = 1
        for name in foreign(names, file.name.split(".")[0]):
            print(f"{file}: exports {name}", file=sys.stderr)
            status = 1
        print(f"{file}: {len(names)} exported")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
