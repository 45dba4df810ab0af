"""Where a statement runs: on the replica, or on the primary. Told from its text, once for each text.

What only reads runs on the replica, and so do settings of the connection; everything else goes to the primary.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    READ = 0
    """Runs on the replica, unless a transaction is open on the primary."""
    SETTING = 1
    """A pragma that is about the connection; runs on the replica, always."""
    BEGIN = 2
    BEGIN_READONLY = 3
    END = 4
    SAVEPOINT = 5
    """SAVEPOINT, RELEASE and ROLLBACK TO."""
    CHANGE = 6
    """INSERT, UPDATE, DELETE and REPLACE: they begin a transaction under legacy control."""
    WRITE = 7
    """What else runs on the primary."""
    REFUSED = 8
    """What cannot run on a replica; `verb` says why."""


class Statement(NamedTuple):
    sql: str
    kind: Kind
    verb: str
    """Its first word, in capitals."""
    names: tuple[str | None, ...]
    """The parameters by number; None for those without a name."""


# Blanks and comments; what is quoted; words; parameters; numbers; the rest by character.
_TOKEN = re.compile(
    r"""(?P<blank>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<quoted>'(?:[^']|'')*'?|"(?:[^"]|"")*"?|`(?:[^`]|``)*`?|\[[^\]]*\]?)
    |(?P<word>[^\W\d][\w$]*)
    |(?P<param>\?\d*|[:@$#][\w$]+(?:::[\w$]+)*(?:\([^)\s]*\))?)
    |(?P<number>\d[\w.]*)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)

_CHANGES = {"INSERT", "UPDATE", "DELETE", "REPLACE"}
# Pragmas that read something of the database.
_READS = {
    "application_id", "auto_vacuum", "collation_list", "compile_options", "data_version", "database_list", "encoding",
    "foreign_key_check", "foreign_key_list", "freelist_count", "function_list", "index_info", "index_list",
    "index_xinfo", "integrity_check", "journal_mode", "journal_size_limit", "max_page_count", "module_list",
    "page_count", "page_size", "pragma_list", "quick_check", "schema_version", "stats", "table_info", "table_list",
    "table_xinfo", "user_version",
}  # fmt: skip
# Those of them that are given what they look at.
_ASKED = {
    "foreign_key_check", "foreign_key_list", "index_info", "index_list", "index_xinfo", "integrity_check",
    "quick_check", "table_info", "table_list", "table_xinfo",
}  # fmt: skip
# Those about the connection, with a value or without.
_SETTINGS = {
    "analysis_limit", "automatic_index", "busy_timeout", "cache_size", "cache_spill", "case_sensitive_like",
    "cell_size_check", "count_changes", "full_column_names", "hard_heap_limit", "legacy_alter_table", "mmap_size",
    "read_uncommitted", "reverse_unordered_selects", "short_column_names", "shrink_memory", "soft_heap_limit",
    "synchronous", "temp_store", "threads", "trusted_schema",
}  # fmt: skip
# Those that the primary keeps for the connection that writes there.
_PRIMARYS = {"application_id", "defer_foreign_keys", "foreign_keys", "ignore_check_constraints", "optimize",
             "recursive_triggers", "user_version"}  # fmt: skip
_KEEPS = "a replica takes everything that is in its file from the primary"


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


def _statements(sql: str) -> list[list[_Token]]:
    """The tokens of each statement, without blanks and without the semicolon at its end."""
    found: list[list[_Token]] = []
    tokens: list[_Token] = []
    cases = 0
    trigger = False
    for match in _TOKEN.finditer(sql):
        kind, text = str(match.lastgroup), match[0]
        if kind == "blank":
            continue
        if text == ";":
            if trigger and not (tokens[-1].text.upper() == "END" and cases < 0):
                tokens.append(_Token(kind, text, match.start()))
            elif tokens:
                found.append(tokens)
                tokens = []
            if not tokens:
                cases, trigger = 0, False
            continue
        tokens.append(_Token(kind, text, match.start()))
        if kind == "word":
            word = text.upper()
            if word == "TRIGGER" and len(tokens) <= 3 and tokens[0].text.upper() == "CREATE":
                trigger = True
            elif trigger and word in ("CASE", "END"):
                cases += 1 if word == "CASE" else -1
    if tokens:
        found.append(tokens)
    return found


def _names(tokens: list[_Token]) -> tuple[str | None, ...]:
    names: dict[int, str | None] = {}
    known: dict[str, int] = {}
    top = 0
    for token in tokens:
        if token.kind != "param":
            continue
        if token.text == "?":
            number = top + 1
            names[number] = None
        elif token.text[0] == "?":
            number = int(token.text[1:])
            if not 0 < number <= 250000:
                continue
            names.setdefault(number, None)
        else:
            number = known.setdefault(token.text, top + 1)
            names[number] = token.text
        top = max(top, number)
    return tuple(names.get(number) for number in range(1, top + 1))


def _pragma(tokens: list[_Token]) -> tuple[Kind, str]:
    words = [token.text for token in tokens[1:]]
    if len(words) > 1 and words[1] == ".":
        words = words[2:]
    name = words[0].lower() if words else ""
    value = len(words) > 1
    if name in _SETTINGS:
        return Kind.SETTING, "PRAGMA"
    if name in _PRIMARYS and (value or name not in _READS):
        return Kind.WRITE, "PRAGMA"
    if name in _READS and (not value or name in _ASKED):
        return Kind.READ, "PRAGMA"
    if name in _READS or not value:
        return (Kind.REFUSED, f"PRAGMA {name} cannot be set: {_KEEPS}") if value else (Kind.READ, "PRAGMA")
    return Kind.WRITE, "PRAGMA"


def _kind(tokens: list[_Token]) -> tuple[Kind, str]:
    words = [token.text.upper() for token in tokens[:4] if token.kind == "word"] or [""]
    verb = words[0]
    second = words[1] if len(words) > 1 else ""
    if verb == "WITH":
        # The verb that counts stands outside of all brackets.
        depth = 0
        for token in tokens:
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            if depth == 0 and token.kind == "word" and token.text.upper() in {"SELECT", "VALUES", *_CHANGES}:
                verb = token.text.upper()
                break
    if verb in ("SELECT", "VALUES", ""):
        return Kind.READ, verb
    if verb in _CHANGES:
        return Kind.CHANGE, verb
    if verb == "PRAGMA":
        return _pragma(tokens)
    if verb == "BEGIN":
        return (Kind.BEGIN_READONLY if second == "READONLY" else Kind.BEGIN), verb
    if verb == "ROLLBACK" and "TO" in words[1:3]:
        return Kind.SAVEPOINT, verb
    if verb in ("COMMIT", "END", "ROLLBACK"):
        return Kind.END, verb
    if verb in ("SAVEPOINT", "RELEASE"):
        return Kind.SAVEPOINT, verb
    if verb == "CREATE" and second in ("TEMP", "TEMPORARY"):
        return Kind.REFUSED, f"{verb} {second} is not possible on a replica: {_KEEPS}"
    if verb in ("VACUUM", "ATTACH", "DETACH"):
        return Kind.REFUSED, f"{verb} is not possible on a replica: {_KEEPS}"
    return Kind.WRITE, verb


def classify(sql: str) -> list[Statement]:
    """The statements of a text; none in one without any."""
    found = []
    for tokens in _statements(sql):
        kind, verb = _kind(tokens)
        text = sql[tokens[0].start : tokens[-1].start + len(tokens[-1].text)]
        found.append(Statement(text, kind, verb, _names(tokens)))
    return found
