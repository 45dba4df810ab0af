"""What the documents say is run: README's and docs' Python, the example, the make targets they name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "interop" / "_server"))

from sqld_process import OURS, Server

from libsql_core.server.config import SETTINGS

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{document.name}-{number}")
    for document in DOCUMENTS
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL))
]


def run(*command: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("block", BLOCKS)
def test_python_in_documents_runs(block: str, server_cache: Path, tmp_path: Path) -> None:
    if "sync_url" not in block:
        run("-W", "error", "-c", block, folder=tmp_path)
        return
    with Server(OURS, server_cache, tmp_path / "primary") as primary:
        run("-W", "error", "-c", block.replace("http://127.0.0.1:8080", primary.url), folder=tmp_path)


def test_first_example_prints_what_it_stored(tmp_path: Path) -> None:
    block = str(BLOCKS[0].values[0])
    assert run("-c", block, folder=tmp_path) == "[(1, 'hello')]\n"
    assert run("-c", block, folder=tmp_path) == "[(1, 'hello'), (2, 'hello')]\n"


def test_quickstart() -> None:
    out = run("-W", "error", "quickstart.py", folder=ROOT / "examples")
    assert out.splitlines()[1:] == ["A Fire Upon the Deep (VV): 613 pages", "Middlemarch (GE): 880 pages"]


def test_semantic_search() -> None:
    out = run("-W", "error", "semantic_search.py", folder=ROOT / "examples").splitlines()
    assert [line[8:] for line in out[1:-1:3]] == [
        "To bake bread without yeast, feed a starter of flour and water for a week",
        "Trains in the mountains run every hour, buses wait for them at the platform",
        "Oil the hinges of the gate before the winter",
    ]
    assert out[-1].startswith("To bake bread")


def test_key_rotation() -> None:
    out = run("-W", "error", "key_rotation.py", folder=ROOT / "examples")
    assert out.splitlines() == [
        "in the clear: False",
        "it is encrypted with xaes256gcm and a key that is raw",
        "found: [('Ada',)]",
        "refused: file is not a database",
    ]


def test_document_index() -> None:
    out = run("-W", "error", "document_index.py", folder=ROOT / "examples").splitlines()
    assert [line for line in out if not line.startswith("  ")] == [
        "all",
        "lang = 'fr'",
        "lang = 'en' AND year >= 2020",
        "through the index: True",
        "the same rows: True",
        "after DELETE: 0",
        out[-2],
        "recall at least 0.95: True",
    ]
    found = [line.split() for line in out if line.startswith("  ")]
    assert [words[-1] for words in found] == ["7"] * 9
    assert {words[1] for words in found[3:6]} == {"fr"}
    assert {words[1] for words in found[6:]} == {"en"}
    assert re.fullmatch(r"2\d{3} nodes, \d\d\.\d times the vectors, 0 problems", out[-2])


def test_wasm_functions() -> None:
    out = run("-W", "error", "wasm_functions.py", folder=ROOT / "examples")
    assert out.splitlines() == [
        "a generated column: ['FEED THE STARTER', 'OIL THE GATE', 'FEED THE CAT']",
        "through an index: [('feed the cat',)]",
        "an aggregate: (0,)",
        "a table function: [('the', 3), ('feed', 2)]",
        "refused: Calling function forever failed: it ran for more than 100 ms",
    ]


def test_targets_that_documents_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {name for document in DOCUMENTS for name in re.findall(r"make ([a-z-]+)", document.read_text("utf-8"))}
    assert named <= targets, named - targets


def test_every_target_has_help() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    described = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert set(phony.split()) == described


def test_notes_server() -> None:
    out = run("-W", "error", "notes_server.py", folder=ROOT / "examples")
    assert out.splitlines() == [
        "notes: [['1', 'the engine'], ['2', 'the cards']]",
        "refused: 403 Authorization forbidden: Current session doesn't not have Write permission to namespace ada",
        "refused: 401 Unauthorized: `The JWT is invalid`",
        "rows written: True",
        "ended with 0",
    ]


def test_replica() -> None:
    out = run("-W", "error", "replica.py", folder=ROOT / "examples")
    assert out.splitlines() == [
        "written on the primary, read here: [('Aria',), ('Canon',)]",
        "through the other server: [['Fugue']]",
        "not here yet: (2,)",
        "frames that came: True",
        "now: (3,)",
        "without the primary: ('Fugue',)",
        "sync: UnreachableError",
    ]


def test_every_flag_of_the_server_is_documented() -> None:
    text = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    missing = [each.option for each in SETTINGS if each.flag and not each.refused and each.option not in text]
    assert not missing
