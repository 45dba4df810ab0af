"""Damaged modules, pointers that lead anywhere and failing allocations, in a C program under the sanitizers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from libsql_core._wasmtime import library

wasmtime = pytest.importorskip("wasmtime")
EXAMPLES = Path(__file__).parents[2] / "examples" / "wasm"
RunProgram = Callable[..., str]


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The examples in binary form: text first, then xor, words, fib."""
    found = library()
    assert found is not None
    monkeypatch.setenv("LIBSQL_CORE_WASMTIME", found)
    files = []
    for name in ("text", "xor", "words", "fib"):
        files.append(tmp_path / f"{name}.wasm")
        files[-1].write_bytes(bytes(wasmtime.wat2wasm((EXAMPLES / f"{name}.wat").read_text(encoding="utf-8"))))
    return files


@pytest.mark.parametrize("seed", range(4))
def test_mutations(run_program: RunProgram, modules: list[Path], seed: int) -> None:
    """10 000 in all."""
    out = run_program("wasm.c", "mutations", str(seed), "2500", *modules).split()
    assert out[:2] == ["mutations:", "2500,"]
    assert int(out[2]) > 150  # some are still modules with functions
    assert int(out[4]) > 50


def test_pointers(run_program: RunProgram, modules: list[Path]) -> None:
    assert run_program("wasm.c", "pointers", "1", "10000").startswith("pointers: 10000, ")


def test_faults(run_program: RunProgram, modules: list[Path]) -> None:
    out = run_program("wasm.c", "faults", "0", *modules)
    assert int(out.removeprefix("faults: until allocation ")) > 500
