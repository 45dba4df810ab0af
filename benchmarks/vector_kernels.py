"""Measure the distance kernels, each table that this processor can run, and numpy where it does the same.

    python benchmarks/vector_kernels.py [--rounds N] [--json FILE]

Needs a C compiler and numpy. One thread; contestants take turns, and a figure is the best of the rounds.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy comes

import argparse
import ctypes
import json
import math
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SOURCE = Path(__file__).with_suffix(".c")
FLAGS = ["-O2", "-fvisibility=default", "-shared", "-fPIC", f"-I{ROOT / 'csrc'}"]
LEVELS = ("portable", "avx2", "avx512", "neon")
SIZES = {"f32": 4, "f64": 8, "f16": 2, "fb16": 2, "u8": 1, "hamming": 1 / 8}
KERNELS = [f"{what} {kind}" for kind in ("f32", "f64", "f16", "fb16") for what in ("cos", "dot", "l2")]
KERNELS += ["sums u8", "hamming", "widen f16", "widen fb16"]
DIMENSIONS = 1536
QUERIES = (1, 2, 4, 8, 16, 17, 32, 48, 64, 80, 256)
Table = ctypes.c_void_p
Results = dict[str, dict[str, float]]


def build(folder: Path) -> ctypes.CDLL:
    target = folder / "vector_kernels.so"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    subprocess.run([*compiler, *FLAGS, str(SOURCE), "-lm", "-o", str(target)], check=True)
    library = ctypes.CDLL(str(target))
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    library.bench_table.restype = pointer
    library.bench_table.argtypes = [ctypes.c_char_p]
    library.bench_pairs.argtypes = [pointer, ctypes.c_char_p, pointer, pointer, size, size, size, size]
    library.bench_packed_size.restype = size
    library.bench_packed_size.argtypes = [size, size]
    library.bench_pack.argtypes = [pointer, pointer, size, size, pointer]
    library.bench_dots.argtypes = [pointer, pointer, size, pointer, size, size, pointer]
    return library


def best(contestants: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of one call of each."""
    found = dict.fromkeys(contestants, math.inf)
    for _ in range(rounds):
        for name, call in contestants.items():
            begin = time.perf_counter()
            call()
            found[name] = min(found[name], time.perf_counter() - begin)
    return found


def pairs(library: ctypes.CDLL, tables: dict[str, Table], rounds: int, far: bool) -> Results:
    """GB/s of what is read: both operands from the nearest cache, or rows from memory and an operand from the cache."""
    memory = np.empty(1 << 28 if far else 1 << 14, np.uint8)
    memory[:] = np.random.default_rng(1).integers(0x38, 0x3C, 1 << 14, np.uint8).repeat(memory.size >> 14)
    operand = memory[:16384].copy()
    results: Results = {}
    for kernel in KERNELS:
        size = int(DIMENSIONS * SIZES[kernel.split()[-1]])
        rows = memory.size // size if far else 1
        passes = 1 if far else 2_000_000 // size
        read = rows * passes * (size if far or kernel.startswith("widen") else 2 * size)
        operands = (memory.ctypes.data, operand.ctypes.data, DIMENSIONS, size, rows, passes)
        contestants: dict[str, Callable[[], object]] = {
            level: partial(library.bench_pairs, table, kernel.encode(), *operands) for level, table in tables.items()
        }
        if far and kernel in ("dot f32", "dot f64"):
            kind = np.float32 if kernel == "dot f32" else np.float64
            matrix = memory[: rows * size].view(kind).reshape(rows, DIMENSIONS)
            contestants["numpy"] = partial(np.matmul, matrix, operand[:size].view(kind))
        results[kernel] = {name: read / t / 1e9 for name, t in best(contestants, rounds if far else 9 * rounds).items()}
    return results


def dots(library: ctypes.CDLL, tables: dict[str, Table], rounds: int) -> Results:
    """GFLOP/s of 2,000 rows by many queries."""
    results: Results = {}
    random = np.random.default_rng(1)
    for n in (128, 384, 768):
        rows = random.standard_normal((2000, n), np.float32)
        addresses = (ctypes.c_void_p * len(rows))(*(rows.ctypes.data + 4 * n * i for i in range(len(rows))))
        for count in QUERIES:
            queries = random.standard_normal((count, n), np.float32)
            out = np.empty((len(rows), count), np.float32)
            contestants: dict[str, Callable[[], object]] = {}
            packs = {}
            for level, table in tables.items():
                packed = packs[level] = np.empty(library.bench_packed_size(count, n) // 4, np.float32)
                library.bench_pack(table, queries.ctypes.data, count, n, packed.ctypes.data)
                contestants[level] = partial(
                    library.bench_dots,
                    table, addresses, len(rows), packed.ctypes.data, count, n, out.ctypes.data,
                )  # fmt: skip
                contestants[level]()
                assert np.allclose(out, rows @ queries.T, atol=1e-3), (level, n, count)
            contestants["numpy"] = partial(np.matmul, rows, queries.T, out=out)
            work = 2 * rows.size * count
            found = best(contestants, rounds * (3 if count < 64 else 1))
            results[f"{n} x {count}"] = {name: work / t / 1e9 for name, t in found.items()}
    return results


def show(title: str, results: Results) -> None:
    names = list(dict.fromkeys(name for row in results.values() for name in row))
    print(f"\n{title:28}" + "".join(f"{name:>10}" for name in names) + "  best / numpy")
    for case, row in results.items():
        ours = max(value for name, value in row.items() if name != "numpy")
        ratio = f"{ours / row['numpy']:14.2f}" if "numpy" in row else ""
        print(f"{case:28}" + "".join(f"{row.get(name, math.nan):10.1f}" for name in names) + ratio, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = build(Path(folder))
    tables = {level: table for level in LEVELS if (table := library.bench_table(level.encode()))}
    results = {
        f"GB/s, {DIMENSIONS} elements, cache": pairs(library, tables, options.rounds, far=False),
        f"GB/s, {DIMENSIONS} elements, memory": pairs(library, tables, options.rounds, far=True),
        "GFLOP/s, elements x queries": dots(library, tables, options.rounds),
    }
    for title, part in results.items():
        show(title, part)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
