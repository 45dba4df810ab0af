"""Modules for the tests of WebAssembly functions, as text."""

from __future__ import annotations

from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "wasm"


def example(name: str) -> str:
    return (EXAMPLES / f"{name}.wat").read_text(encoding="utf-8")


def number(name: str, body: str, params: str = "i64", result: str = "i64") -> str:
    """A module with one function of numbers."""
    declared = f"(param {params})" if params else ""
    return f'(module (func $f (export "{name}") {declared} (result {result}) {body}))'


# libsql_malloc() without an end: what it gives is only looked at here.
MEMORY = """
  (memory (export "memory") 1)
  (global $top (mut i32) (i32.const 1024))
  (func $alloc (export "libsql_malloc") (param $n i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $top))
    (global.set $top (i32.add (local.get $at) (local.get $n)))
    (if (i32.gt_u (global.get $top) (i32.shl (memory.size) (i32.const 16)))
      (then
        (if (i32.eq (i32.const -1)
              (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get $n) (i32.const 16)))))
          (then (return (i32.const 0))))))
    (local.get $at))
"""
# Gives back what it is given.
SAME = f'(module {MEMORY} (func (export "same") (param i32) (result i32) (local.get 0)))'


def data(name: str, content: bytes, at: int = 16) -> str:
    """A module whose function gives a pointer to these bytes, whatever they are."""
    text = "".join(f"\\{byte:02x}" for byte in content)
    return (
        f'(module (memory (export "memory") 1) (data (i32.const {at}) "{text}")'
        f' (func (export "{name}") (result i32) (i32.const {at})))'
    )


def pointer(name: str) -> str:
    """A module whose function gives its argument as a pointer."""
    function = f'(func (export "{name}") (param i64) (result i32) (i32.wrap_i64 (local.get 0)))'
    return f'(module (memory (export "memory") 1) {function})'
