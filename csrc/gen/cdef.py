"""Turn SQLite's and our headers into the declarations that cffi reads.

    python csrc/gen/cdef.py HEADER_FOLDER...

Kept: every integer constant, type and callback, and those functions that one of the routine tables holds. Left out:
what takes a va_list, and what only some compile options or systems have.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

# What the headers are read with: the settings of the engine that change what they declare.
DEFINED = frozenset({"NDEBUG", "SQLITE_ENABLE_PREUPDATE_HOOK", "SQLITE_ENABLE_SESSION"})

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_MARKER = re.compile(r"\bSQLITE_(?:API|EXTERN|DEPRECATED|EXPERIMENTAL|CDECL|STDCALL|APICALL|CALLBACK|SYSAPI)\b")
_DEFINE = re.compile(r"\s*#\s*define\s+([A-Za-z]\w*)[ \t]+(\S.*)")
_NUMBER = re.compile(r"\b(?:0x[0-9a-fA-F]+|\d+)[uUlL]*\b")
_FUNCTION = re.compile(r"[\w\s*]*?\b(\w+)\s*\((?!\s*\*)")
_TABLE_MACRO = re.compile(r"#\s*define\s+(\w+)\s+sqlite3_api->")
_OWN_TABLE = re.compile(r"\bX\((\w+)\)")

# In the table, but as NULL: a deprecated function without effect.
_ABSENT = frozenset({"sqlite3_global_recover"})

# Constants that are no integers, and variables, with the types they get.
_EXTRA = """\
static sqlite3_destructor_type const SQLITE_STATIC;
static sqlite3_destructor_type const SQLITE_TRANSIENT;
extern char *sqlite3_temp_directory;
extern char *sqlite3_data_directory;
"""


@dataclass(frozen=True)
class Declarations:
    """What the C API consists of."""

    constants: tuple[str, ...]
    types: tuple[str, ...]
    functions: dict[str, str]
    own: tuple[str, ...]  # the functions that are in our table

    def cdef(self) -> str:
        """The text for cffi. Values are left to the C compiler."""
        lines = [f"#define {name} ..." for name in self.constants]
        lines += [f"{text};" for text in (*self.types, *self.functions.values())]
        return "\n".join(lines) + "\n" + _EXTRA


def parse(folders: Iterable[Path]) -> Declarations:
    """Read sqlite3.h, sqlite3ext.h, libsql.h and lsc_api.h, wherever in the folders they are."""
    texts = {}
    for name in ("sqlite3.h", "sqlite3ext.h", "libsql.h", "lsc_api.h"):
        path = next(path for folder in folders if (path := Path(folder, name)).is_file())
        texts[name] = _COMMENT.sub(" ", path.read_text(encoding="utf-8")).replace("\\\n", " ")
    tables = {*_TABLE_MACRO.findall(texts["sqlite3ext.h"]), *_OWN_TABLE.findall(texts["lsc_api.h"])}
    tables -= _ABSENT
    constants: dict[str, int] = {}
    types: list[str] = []
    functions: dict[str, str] = {}
    for name in ("sqlite3.h", "libsql.h"):
        text = "\n".join(_active(texts[name].splitlines(), constants))
        for statement in _statements(_MARKER.sub(" ", text)):
            head = _FUNCTION.match(statement)
            if statement.startswith(("typedef", "struct")):
                types.append(statement)
            elif head and head[1] in tables and "va_list" not in statement:
                functions[head[1]] = statement
    own = tuple(name for name in _OWN_TABLE.findall(texts["lsc_api.h"]) if name in functions)
    return Declarations(tuple(constants), tuple(types), functions, own)


def _active(lines: Iterable[str], constants: dict[str, int]) -> Iterator[str]:
    """The lines that the conditions leave, without directives; integer constants are collected."""
    stack = [True]
    for line in lines:
        directive = re.match(r"\s*#\s*(\w+)\s*(.*)", line)
        if directive is None:
            if all(stack):
                yield line
        elif directive[1] in ("if", "ifdef", "ifndef"):
            stack.append(_holds(directive[1], directive[2].strip(), constants))
        elif directive[1] == "elif":
            stack[-1] = not stack[-1] and _holds("if", directive[2], constants)
        elif directive[1] == "else":
            stack[-1] = not stack[-1]
        elif directive[1] == "endif":
            stack.pop()
        elif all(stack) and (define := _DEFINE.match(line)):
            value = _integer(define[2], constants)
            if value is not None:
                constants[define[1]] = value


def _holds(directive: str, condition: str, constants: dict[str, int]) -> bool:
    def known(name: str) -> str:
        return str(name in DEFINED or name in constants)

    if directive != "if":
        return (known(condition) == "True") == (directive == "ifdef")
    text = re.sub(r"defined\s*\(?\s*(\w+)\s*\)?", lambda match: known(match[1]), condition)
    text = text.replace("&&", " and ").replace("||", " or ").replace("!", " not ")
    return bool(eval(text.strip(), {"__builtins__": {}}, constants))  # the headers are verified files


def _integer(text: str, constants: dict[str, int]) -> int | None:
    """The value of a macro, or None if it is no integer expression of known constants."""
    plain = _NUMBER.sub(lambda match: match[0].rstrip("uUlL"), text.strip())
    if not re.fullmatch(r"[\w\s()|<+-]+", plain) or "__" in plain:
        return None
    try:
        value = eval(plain, {"__builtins__": {}}, constants)
    except (NameError, SyntaxError, TypeError):
        return None
    return value if isinstance(value, int) else None


def _statements(text: str) -> Iterator[str]:
    """Split at the semicolons that are outside braces."""
    depth = start = 0
    for match in re.finditer(r"[{};]", text):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
        elif depth == 0:
            yield " ".join(text[start : match.start()].split())
            start = match.end()


if __name__ == "__main__":
    sys.stdout.write(parse([Path(name) for name in sys.argv[1:]]).cdef())
