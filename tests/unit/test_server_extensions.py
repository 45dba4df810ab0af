"""Which extensions are trusted."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from libsql_core.server.extensions import ExtensionError, trusted

CODE = b"some code"
DIGEST = hashlib.sha256(CODE).hexdigest()


def test_a_list(tmp_path: Path) -> None:
    for name in ("a b.so", "c.so", "d.so"):
        (tmp_path / name).write_bytes(CODE)
    (tmp_path / "trusted.lst").write_text(f"# ours\n\n{DIGEST.upper()}  c.so\n{DIGEST} a b.so\n")
    assert trusted(tmp_path) == [str(tmp_path / "c.so"), str(tmp_path / "a b.so")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "Could not read the list of trusted extensions"),
        ("\udcff", "Could not read the list of trusted extensions"),
        ("x.so", "`x.so` is not a SHA-256 digest and a name"),
        (f"{DIGEST} nope.so", "Could not read the extension"),
        (f"{'0' * 64} x.so", "is not the one that is trusted"),
        (f"{DIGEST} ../x.so", "`../x.so` is not in "),
    ],
)
def test_lists_that_are_refused(tmp_path: Path, text: str | None, message: str) -> None:
    (tmp_path / "x.so").write_bytes(CODE)
    if text is not None:
        (tmp_path / "trusted.lst").write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ExtensionError, match=message.replace(".", r"\.")):
        trusted(tmp_path)
