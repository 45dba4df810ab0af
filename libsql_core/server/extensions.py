"""Loadable extensions: those of a folder that its trusted.lst names, with the digest that each must have."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

LINE = re.compile(r"([0-9a-f]{64})\s+(\S.*)", re.IGNORECASE)


class ExtensionError(Exception):
    """The folder cannot be used; the message is for the one who named it."""


def trusted(folder: Path) -> list[str]:
    """The paths of the extensions, in the order of the list. Each connection loads them all."""
    try:
        lines = (folder / "trusted.lst").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ExtensionError(f"Could not read the list of trusted extensions: {error}") from None
    found = []
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = LINE.fullmatch(text)
        if match is None:
            raise ExtensionError(f"trusted.lst: `{text}` is not a SHA-256 digest and a name")
        path = folder / match[2]
        if path.parent != folder:
            raise ExtensionError(f"trusted.lst: `{match[2]}` is not in {folder}")
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise ExtensionError(f"Could not read the extension {path}: {error.strerror}") from None
        if digest != match[1].lower():
            raise ExtensionError(f"The extension {path} is not the one that is trusted")
        found.append(str(path.resolve()))
    return found
