"""Write libsql_core/_constants.py from sqlite3.h.

    python csrc/gen/constants.py SQLITE3_H > libsql_core/_constants.py
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

HEAD = '''"""Constants of SQLite {version}. Made by csrc/gen/constants.py; do not edit."""

from typing import Final
'''

_DEFINE = re.compile(r"^#define\s+(SQLITE_[A-Z0-9_]+)\s+(.+?)\s*(/\*.*)?$", re.MULTILINE)
_EXPRESSION = re.compile(r"[\s()|<x0-9a-fA-F-]*|(?:[\s()|<x0-9a-fA-F-]|SQLITE_[A-Z0-9_]+)*")
# Not for a connection's user: build-time switches, and the one DBCONFIG whose value is a number.
_NOT_BOOLEAN = {"SQLITE_DBCONFIG_MAX", "SQLITE_DBCONFIG_FP_DIGITS"}


def parse(header: str) -> tuple[dict[str, int], list[str], list[str]]:
    """All integer constants, the names of result codes, and those of boolean connection settings."""
    values: dict[str, int] = {}
    settings: list[str] = []
    for match in _DEFINE.finditer(header):
        name, text, comment = match[1], match[2].strip(), match[3] or ""
        text = re.sub(r"\b(0x[0-9a-fA-F]+|\d+)[uUlL]+\b", r"\1", text)
        if name == "SQLITE_VERSION_NUMBER" or not _EXPRESSION.fullmatch(text):
            continue
        try:
            value = eval(text, {"__builtins__": {}}, values)  # the header is a verified file
        except (NameError, SyntaxError, TypeError):
            continue
        if not isinstance(value, int):
            continue
        values[name] = value
        if "int int*" in comment and name not in _NOT_BOOLEAN:
            settings.append(name)
    start = header.index("beginning-of-error-codes")
    end = header.index("end-of-error-codes")
    primary = [m[1] for m in _DEFINE.finditer(header, start, end)]
    extended = re.findall(r"^#define\s+(SQLITE_[A-Z0-9_]+)\s+\(SQLITE_[A-Z]+\s*\|\s*\(", header, re.MULTILINE)
    return values, [name for name in primary + extended if name in values], settings


def block(items: list[str]) -> str:
    """Indented lines of as many items as fit."""
    return textwrap.indent(textwrap.fill(", ".join(item.replace(" ", "\0") for item in items), 116,
                                         break_on_hyphens=False), "    ").replace("\0", " ") + ",\n"


def generate(header: str) -> str:
    version = re.search(r'#define SQLITE_VERSION\s+"([^"]+)"', header)
    assert version is not None
    values, codes, settings = parse(header)
    names: dict[int, str] = {}
    for name in codes:
        names.setdefault(values[name], name)
    lines = [HEAD.format(version=version[1])]
    lines += [f"{name}: Final = {values[name]}" for name in sorted(values)]
    # Written out, for type checkers run no code. The two tables below are not of the public API.
    public = [f'"{name}"' for name in sorted(values)]
    lines.append(f"\n__all__ = [  # noqa: RUF022\n{block(public)}]")
    table = [f'{value}: "{name}"' for value, name in sorted(names.items())]
    lines.append(f"\n# Result code -> name.\nERROR_NAMES: Final[dict[int, str]] = {{\n{block(table)}}}")
    lines.append("\n# What getconfig() and setconfig() accept.")
    lines.append(f"BOOLEAN_SETTINGS: Final[frozenset[int]] = frozenset({{\n{block(settings)}}})")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(generate(Path(sys.argv[1]).read_text(encoding="utf-8")))
