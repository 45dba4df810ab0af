"""The listed differences between what ours and the real sqld answer: `server_differences.toml`.

An entry has a reason, a date, and
- `replace`, pairs of a pattern and what stands for it in both outcomes, in `cases` (patterns of names) or all;
- `at`, a list of {case, step, shows}: a part of what ours answers to that step, as JSON.
"""

from __future__ import annotations

import fnmatch
import json
import re
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = Path(__file__).resolve().parents[1] / "server_differences.toml"
Entry = dict[str, Any]
Seen = list[Any]


def read() -> list[Entry]:
    entries: list[Entry] = tomllib.loads(FILE.read_text(encoding="utf-8")).get("difference", [])
    return entries


def replaced(entry: Entry, name: str, seen: Any) -> Any:
    """An outcome with the patterns of an entry replaced in every text in it."""
    if not any(fnmatch.fnmatch(name, pattern) for pattern in entry.get("cases", ["*"])):
        return seen
    return replace(entry["replace"], seen)


def replace(patterns: list[tuple[str, str]], seen: Any) -> Any:
    """A part may also be left out, by a pattern that fits its JSON, or `name=value` of a member, with an empty text."""
    if isinstance(seen, dict):
        return {key: replace(patterns, value) for key, value in seen.items()}
    if isinstance(seen, list):
        return [replace(patterns, part) for part in seen if not left_out(patterns, part)]
    if isinstance(seen, str):
        for pattern, text in patterns:
            seen = re.sub(pattern, text, seen)
    return seen


def left_out(patterns: list[tuple[str, str]], part: Any) -> bool:
    text = json.dumps(part)
    named = isinstance(part, list) and len(part) == 2 and isinstance(part[0], str)
    member = f"{part[0]}={json.dumps(part[1])}" if named else text
    return any(
        not stand_in and (re.fullmatch(pattern, member) or re.fullmatch(pattern, text))
        for pattern, stand_in in patterns
    )


def settle(entries: list[Entry], name: str, ours: Seen, real: Seen) -> tuple[Seen, Seen, set[int]]:
    """Both outcomes without what is listed, and the numbers of the entries that made a difference."""
    used = set()
    for number, entry in enumerate(entries):
        if "replace" in entry:
            new_ours, new_real = replaced(entry, name, ours), replaced(entry, name, real)
            if disagreements(new_ours, new_real) < disagreements(ours, real):
                used.add(number)
                ours, real = new_ours, new_real
        for place in entry.get("at", []):
            if place["case"] != name:
                continue
            step = place["step"] - 1
            if ours[step] != real[step] and place["shows"] in json.dumps(ours[step], ensure_ascii=False):
                ours = [*ours[:step], "<listed>", *ours[step + 1 :]]
                real = [*real[:step], "<listed>", *real[step + 1 :]]
                used.add(number)
    return ours, real, used


def disagreements(ours: Any, real: Any) -> int:
    """How many values differ."""
    if isinstance(ours, list) and isinstance(real, list) and len(ours) == len(real):
        return sum(map(disagreements, ours, real))
    if isinstance(ours, dict) and isinstance(real, dict) and ours.keys() == real.keys():
        return sum(disagreements(ours[key], real[key]) for key in ours)
    return int(ours != real)
