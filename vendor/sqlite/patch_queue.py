"""Apply the queue of anchored edits in patches/ to SQLite's amalgamation.

Every edit is resolved against the pristine text, so edits do not depend on each other's order, and
two that touch the same place are an error. README.md beside this file describes the patch files.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from toml_file import read_toml

PATCHES = Path(__file__).resolve().parent / "patches"
PATCHED = ("sqlite3.c", "sqlite3.h", "sqlite3ext.h")
LINE_LIMIT = 60  # an edit reaches fewer lines than this: a larger one belongs in csrc/
MODES = ("before", "after", "replace")

_PATCH_NAME = re.compile(r"\d{4}-[a-z0-9-]+\.toml")
_COMMENT = r"/\*(?:[^*]|\*(?!/))*\*/"
# A definition: a name and its parameters at the start of a line, then an opening brace.
_FUNCTION = re.compile(
    rf"^(?:[A-Za-z_][^\n;{{}}()=#/]*[ \t*])?(\w+)\((?:[^;{{}}#/]|{_COMMENT}|^#[^\n]*$)*\)"
    rf"(?:\s|{_COMMENT})*\{{",
    re.MULTILINE,
)
_STRUCT = re.compile(r"^(?:typedef )?struct (\w+)\s*\{", re.MULTILINE)
_CAPTURE = re.compile(r"\\([1-9])")
# What decides where a body ends: braces, outside comments and literals, and the preprocessor's
# branches, of which each starts at the depth of the first.
_TOKEN = re.compile(
    rf'{_COMMENT}|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|[{{}}]'
    r"|^[ \t]*#[ \t]*(?:if|el|endif)",
    re.MULTILINE,
)


class PatchError(Exception):
    """The queue cannot be read, or does not fit the text it is applied to."""


@dataclass(frozen=True)
class Edit:
    """One anchored edit."""

    where: str  # patch file and id, for messages
    file: str
    function: str | None
    anchor: re.Pattern[str]
    captures: bool  # \1 ... \9 in the text stand for the anchor's groups
    mode: str
    text: str
    count: int


@dataclass(frozen=True)
class Patch:
    """One file of the queue."""

    name: str
    group: str
    why: str
    edits: tuple[Edit, ...]


def load(folder: Path = PATCHES) -> list[Patch]:
    """Read the queue in the order of its file names."""
    patches = [_read_patch(path) for path in sorted(folder.glob("*.toml"))]
    if not patches:
        raise PatchError(f"{folder}: no patches")
    seen: set[str] = set()
    for patch in patches:
        if patch.name[:4] in seen:
            raise PatchError(f"{patch.name}: another patch has the number {patch.name[:4]}")
        seen.add(patch.name[:4])
    return patches


def _read_patch(path: Path) -> Patch:
    if not _PATCH_NAME.fullmatch(path.name):
        raise PatchError(f"{path.name}: a patch is called NNNN-name.toml")
    raw = read_toml(path, PatchError)
    why, group = (_take(raw, key, str, path.name) for key in ("why", "group"))
    tables = _take(raw, "edit", list, path.name)
    if raw:
        raise PatchError(f"{path.name}: unknown key {', '.join(raw)}")
    edits = tuple(_read_edit(table, path.name) for table in tables)
    places = [edit.where for edit in edits]
    for place in places:
        if places.count(place) > 1:
            raise PatchError(f"{place}: this id is used twice")
    return Patch(path.name, group, why, edits)


def _read_edit(raw: dict[str, Any], patch: str) -> Edit:
    where = f"{patch}: {_take(raw, 'id', str, patch)}"
    file = _take(raw, "file", str, where, "sqlite3.c")
    function = _take(raw, "function", str, where, "") or None
    anchor = _take(raw, "anchor", str, where)
    captures = _take(raw, "regex", bool, where, False)
    count = _take(raw, "count", int, where, 1)
    modes = [mode for mode in MODES if mode in raw]
    if len(modes) != 1:
        raise PatchError(f"{where}: one of {', '.join(MODES)} is needed, {len(modes)} given")
    text = _take(raw, modes[0], str, where, "")
    if raw:
        raise PatchError(f"{where}: unknown key {', '.join(raw)}")
    if file not in PATCHED:
        raise PatchError(f"{where}: file {file} is not one of {', '.join(PATCHED)}")
    if count < 1:
        raise PatchError(f"{where}: count {count} is under 1")
    if len(text.splitlines()) >= LINE_LIMIT:
        raise PatchError(f"{where}: {len(text.splitlines())} lines, the limit is {LINE_LIMIT - 1}")
    try:
        pattern = re.compile(anchor if captures else re.escape(anchor), re.MULTILINE)
    except re.error as cause:
        raise PatchError(f"{where}: anchor: {cause}") from cause
    if pattern.match("") is not None:
        raise PatchError(f"{where}: the anchor matches the empty text")
    if captures and any(int(digit) > pattern.groups for digit in _CAPTURE.findall(text)):
        raise PatchError(f"{where}: the text asks for more groups than the anchor has")
    return Edit(where, file, function, pattern, captures, modes[0], text, count)


def _take(raw: dict[str, Any], key: str, kind: type, where: str, default: Any = None) -> Any:
    """Take a value out of a table, so that what is left over is what nobody knows."""
    value = raw.pop(key, default)
    if value is None or (default is None and value in ("", [])):
        raise PatchError(f"{where}: {key} is missing")
    if type(value) is not kind:
        raise PatchError(f"{where}: {key} must be of type {kind.__name__}")
    return value


class Source:
    """The text of one file, with an index of its definitions."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._spans: dict[str, list[tuple[int, int]]] = {}

    @cached_property
    def _definitions(self) -> dict[str, list[re.Match[str]]]:
        found: dict[str, list[re.Match[str]]] = {}
        for match in _FUNCTION.finditer(self.text):
            found.setdefault(match[1], []).append(match)
        for match in _STRUCT.finditer(self.text):
            found.setdefault(f"struct {match[1]}", []).append(match)
        return found

    def spans(self, name: str) -> list[tuple[int, int]]:
        """Where a function or "struct NAME" is defined: several times when under #ifdef."""
        if name not in self._spans:
            matches = self._definitions.get(name, [])
            self._spans[name] = [(m.start(), self._body_end(m.end() - 1)) for m in matches]
        return self._spans[name]

    def _body_end(self, brace: int) -> int:
        depth, branches = 0, []
        for token in _TOKEN.finditer(self.text, brace):
            mark = token[0].lstrip(" \t#")
            if mark == "{":
                depth += 1
            elif mark == "}":
                depth -= 1
                if depth == 0:
                    return token.end()
            elif mark == "if":
                branches.append(depth)
            elif mark == "el" and branches:
                depth = branches[-1]
            elif mark == "endif" and branches:
                branches.pop()
        return len(self.text)

    def in_comment(self, position: int) -> bool:
        """Whether text inserted here would be swallowed by a comment."""
        opened = self.text.rfind("/*", 0, position)
        return opened > self.text.rfind("*/", 0, position)


@dataclass(frozen=True)
class _Change:
    start: int
    end: int
    text: str
    edit: Edit


def _resolve(source: Source, edit: Edit) -> list[_Change]:
    """Find the places of one edit and what each becomes."""
    spans: Sequence[tuple[int, int]] = [(0, len(source.text))]
    place = edit.file
    if edit.function is not None:
        spans, place = source.spans(edit.function), f"{edit.function} of {edit.file}"
        if not spans:
            raise PatchError(f"{edit.where}: {place} is not defined; expected {edit.count}, found 0")
    matches = [m for span in spans for m in edit.anchor.finditer(source.text, *span)]
    if len(matches) != edit.count:
        raise PatchError(f"{edit.where}: anchor in {place}: expected {edit.count}, found {len(matches)}")
    changes = []
    for match in matches:
        text = _expand(edit.text, match) if edit.captures else edit.text
        start, end = match.span()
        if edit.mode != "replace":
            start = end = _line_boundary(source.text, start, end, edit.mode)
            text = text.rstrip("\n") + "\n"
            if source.in_comment(start):
                raise PatchError(f"{edit.where}: the text would land inside a comment")
        changes.append(_Change(start, end, text, edit))
    return changes


def _expand(text: str, match: re.Match[str]) -> str:
    """Fill in \\1 ... \\9; every other backslash is C's own."""
    return _CAPTURE.sub(lambda digit: match[int(digit[1])] or "", text)


def _line_boundary(text: str, start: int, end: int, mode: str) -> int:
    if mode == "before":
        return text.rfind("\n", 0, start) + 1
    if text[end - 1] == "\n":
        return end
    newline = text.find("\n", end)
    return len(text) if newline < 0 else newline + 1


def patch_text(text: str, edits: Sequence[Edit]) -> str:
    """Return the text with all edits of its file applied."""
    source = Source(text)
    changes = [change for edit in edits for change in _resolve(source, edit)]
    changes.sort(key=lambda change: (change.start, change.end))  # stable: queue order in one place
    parts, position = [], 0
    for index, change in enumerate(changes):
        if change.start < position:
            raise PatchError(f"{change.edit.where}: overlaps {changes[index - 1].edit.where}")
        parts += [text[position : change.start], change.text]
        position = change.end
    return "".join([*parts, text[position:]])


def apply(
    source_dir: Path,
    out_dir: Path,
    groups: Collection[str] | None = None,
    patches: Sequence[Patch] | None = None,
) -> list[str]:
    """Write the patched files to out_dir, where they differ, and return the edits applied.

    `groups` leaves out the patches of all other groups.
    """
    queue = load() if patches is None else patches
    if groups is not None:
        unknown = set(groups) - {patch.group for patch in queue}
        if unknown:
            raise PatchError(f"no patch has the group {', '.join(sorted(unknown))}")
        queue = [patch for patch in queue if patch.group in groups]
    edits = [edit for patch in queue for edit in patch.edits]
    results = {}
    for name in PATCHED:
        mine = [edit for edit in edits if edit.file == name]
        text = _read(source_dir / name).decode("utf-8", "surrogateescape")
        results[name] = patch_text(text, mine).encode("utf-8", "surrogateescape")
    for name, data in results.items():
        _write_if_changed(out_dir / name, data)
    return [edit.where for edit in edits]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as cause:
        raise PatchError(f"{path} cannot be read: {cause}") from cause


def _write_if_changed(path: Path, data: bytes) -> None:
    """Keep the time stamp of what stays the same, so that a build does not start over."""
    if path.is_file() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "wb") as output:
            output.write(data)
        os.chmod(part, 0o644)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
