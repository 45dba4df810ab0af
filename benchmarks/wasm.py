"""What a call of a WebAssembly function costs, compared with built-in and Python functions and wasmtime's own API.

    python benchmarks/wasm.py [--rounds N]

One process, engines in turns, round after round; a case's processor time is the best of its rounds. Times of SQL are
those of `SELECT count(f(x))` over a table in memory without those of `SELECT count(x)`, for each row. `bare` is the
same call from a C program (wasm_call.c) without SQL. Exits with 1 if a ratio that the project promises does not hold.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import wasmtime

import libsql_core
from libsql_core._wasmtime import library

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples" / "wasm"
INC = '(module (func (export "inc") (param i64) (result i64) (i64.add (local.get 0) (i64.const 1))))'
NUMBERS = 500_000
TEXTS = 100_000
CALLS = 2_000

# Case, its SQL expression, the table that it reads.
CASES = {
    "abs(x), built in": ("abs(x)", "number"),
    "inc(x), WebAssembly": ("inc(x)", "number"),
    "inc(x), with fuel": ("fueled(x)", "number"),
    "inc(x), Python": ("pyinc(x)", "number"),
    "upper(x), built in": ("upper(x)", "text"),
    "shout(x), WebAssembly": ("shout(x)", "text"),
    "upper(x), Python": ("pyupper(x)", "text"),
    "sum(x), built in": ("sum(x)", "number"),
    "bit_xor(x), WebAssembly": ("bit_xor(x)", "number"),
}


def database() -> libsql_core.Connection:
    con = libsql_core.connect(":memory:")
    text = (EXAMPLES / "text.wat").read_text(encoding="utf-8")
    con.create_wasm_function("inc", INC)
    con.create_wasm_function("fueled", INC.replace('"inc"', '"fueled"'), fuel=1_000_000)
    con.create_wasm_function("shout", text)
    con.create_wasm_function("bit_xor", (EXAMPLES / "xor.wat").read_text(encoding="utf-8"))
    con.create_function("pyinc", 1, lambda x: x + 1, deterministic=True)
    con.create_function("pyupper", 1, lambda x: x.upper(), deterministic=True)
    con.execute("CREATE TABLE number(x)")
    con.execute("CREATE TABLE text(x)")
    con.executemany("INSERT INTO number VALUES(?)", ((n,) for n in range(NUMBERS)))
    con.executemany("INSERT INTO text VALUES(?)", ((f"{n:08d}" + "abcdefgh" * 11 + "wxyz",) for n in range(TEXTS)))
    con.commit()
    return con


def seconds(run: Callable[[], object]) -> float:
    started = time.thread_time()
    run()
    return time.thread_time() - started


def bare() -> float | None:
    """Nanoseconds of the call without SQL; None without a compiler."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    path = library()
    if path is None or shutil.which(compiler[0]) is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        program, module = Path(folder, "call"), Path(folder, "inc.wasm")
        module.write_bytes(bytes(wasmtime.wat2wasm(INC)))
        subprocess.run([*compiler, "-O2", "-w", str(HERE / "wasm_call.c"), "-ldl", "-o", str(program)], check=True)
        return float(subprocess.run([program, path, module], check=True, capture_output=True, text=True).stdout)


def python_api() -> Callable[[], object]:
    """CALLS calls through wasmtime's Python API."""
    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    inc = wasmtime.Instance(store, wasmtime.Module(engine, INC), []).exports(store)["inc"]
    assert isinstance(inc, wasmtime.Func)

    def run() -> None:
        for n in range(CALLS):
            inc(store, n)

    return run


def measure(rounds: int) -> dict[str, float]:
    """Nanoseconds of one call of each case."""
    con = database()
    api = python_api()
    sizes = {"number": NUMBERS, "text": TEXTS}
    best: dict[str, float] = {}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        runs = {table: f"SELECT count(x) FROM {table}" for table in sizes}
        runs |= {case: f"SELECT count({call}) FROM {table}" for case, (call, table) in CASES.items()}
        for case, sql in runs.items():
            if "(sum" in sql or "(bit_xor" in sql:
                sql = sql.replace("count(sum(x))", "sum(x)").replace("count(bit_xor(x))", "bit_xor(x)")
            taken = seconds(lambda sql=sql: con.execute(sql).fetchall())  # type: ignore[misc]
            best[case] = min(best.get(case, taken), taken)
        taken = seconds(api)
        best["api"] = min(best.get("api", taken), taken)
    con.close()
    found = {case: (best[case] - best[table]) / sizes[table] * 1e9 for case, (_, table) in CASES.items()}
    return {**found, "inc(), wasmtime's Python API": best["api"] / CALLS * 1e9}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    print(platform.python_implementation(), platform.python_version(), platform.machine())
    print(f"libsql_core {libsql_core.__version__}, wasmtime {importlib.metadata.version('wasmtime')}\n")
    found = measure(options.rounds)
    native = bare()
    if native is not None:
        found["inc(), bare"] = native
    for case, value in found.items():
        print(f"{case:30}{value:12.1f} ns")
    inc = found["inc(x), WebAssembly"]
    python = found["inc(x), Python"] / inc
    api = found["inc(), wasmtime's Python API"] / inc
    text = found["shout(x), WebAssembly"] / found["upper(x), built in"]
    promises = [
        (f"a scalar function in ns, at most 40: {inc:.1f}", inc <= 40),
        (f"times a Python function, at least 2: {python:.1f}", python >= 2),
        (f"times wasmtime's Python API, at least 500: {api:.0f}", api >= 500),
        (f"times a built-in function of a text of 100 bytes, at most 10: {text:.1f}", text <= 10),
    ]
    print()
    for what, kept in promises:
        print(what + ("" if kept else "   NOT KEPT"))
    return 0 if all(kept for _, kept in promises) else 1


if __name__ == "__main__":
    sys.exit(main())
