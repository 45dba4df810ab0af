"""Compare the engine in WAL mode with the unpatched SQLite that it is made of.

    python benchmarks/wal_dispatch.py [--rounds N] [--json FILE]

The stock amalgamation and ours are compiled with the same flags and linked with the same driver, wal_dispatch.c. Both
programs are alive at once and take turns, sample by sample and in changing order. Where code happens to lie in memory
is worth two per cent by itself, so both are linked in several layouts. Figures are ours divided by stock: CPU time,
user and system, and the instructions of one sample, exact, where valgrind is installed. The exit code is 1 if the
bound is broken.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "vendor" / "sqlite"))

import fetch  # noqa: E402
import patch_queue  # noqa: E402
from defines import SQLITE_DEFINES  # noqa: E402

BOUND = 1.01
LAYOUTS = 8
FLAGS = ["-O2", "-fno-strict-aliasing", "-fvisibility=hidden"]
DRIVER = Path(__file__).with_suffix(".c")


def build(folder: Path) -> None:
    """Compile both engines side by side, and link each with the driver in every layout: `stock-0`, `ours-0`, ..."""
    source = fetch.ensure()
    patched = folder / "patched"
    patch_queue.apply(source, patched)
    (patched / "source_id.gen.h").write_text('#define LSC_SOURCE_ID "benchmark"\n', encoding="utf-8")
    defines = [f"-D{name}" if value is None else f"-D{name}={value}" for name, value in SQLITE_DEFINES]
    compiler = [*shlex.split(os.environ.get("CC", "cc")), *FLAGS, "-w"]
    libraries = ["-lm", "-lpthread"] + (["-ldl"] if sys.platform == "linux" else [])
    sources = {
        "stock": [f"-I{source}", str(source / "sqlite3.c")],
        "ours": [f"-I{patched}", f"-I{ROOT / 'csrc'}", str(ROOT / "csrc" / "engine.c")],
    }
    running = [
        subprocess.Popen([*compiler, *defines, "-DSQLITE_CORE=1", "-c", *files, "-o", str(folder / f"{name}.o")])
        for name, files in sources.items()
    ]
    codes = [child.wait() for child in running]
    if any(codes):
        raise SystemExit("the compiler failed")
    for name in sources:
        for layout in range(LAYOUTS):
            program = ["-o", str(folder / f"{name}-{layout}")]
            driver = [f"-DLAYOUT={layout}", f"-I{source}", str(DRIVER), str(folder / f"{name}.o")]
            subprocess.run([*compiler, *driver, *libraries, *program], check=True)


class Runner:
    """A case in a program, waiting for the next line that asks for a sample."""

    def __init__(self, program: Path, case: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.child = subprocess.Popen(
            [program, case, self.folder.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.child.communicate()
        self.folder.cleanup()

    def sample(self) -> int:
        """Nanoseconds of CPU time."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        return int(self.child.stdout.readline())


def measure(folder: Path, case: str, layout: int, rounds: int) -> tuple[float, float, float]:
    """Medians in one layout: stock's time, ours, and the ratio of two neighbours."""
    pairs = []
    with Runner(folder / f"stock-{layout}", case) as stock, Runner(folder / f"ours-{layout}", case) as ours:
        for number in range(rounds + 2):
            pair = (stock.sample(), ours.sample()) if number % 2 else (ours.sample(), stock.sample())[::-1]
            if number >= 2:  # the first ones warm caches
                pairs.append(pair)
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(b / a for a, b in pairs),
    )


def instructions(program: Path, case: str) -> int:
    """Of one sample: what a run with two more samples adds, halved."""
    totals = []
    for samples in (1, 3):
        with tempfile.TemporaryDirectory() as folder:
            counter = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
            done = subprocess.run(
                [*counter, program, case, folder], input="\n" * samples, capture_output=True, text=True, check=True
            )
        (total,) = re.findall(r"I\s+refs:\s+([\d,]+)", done.stderr)
        totals.append(int(total.replace(",", "")))
    return (totals[1] - totals[0]) // 2


def geometric_mean(values: Iterable[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, values)))


def measure_case(folder: Path, case: str, rounds: int) -> dict[str, float]:
    """All figures of a case; `low` and `high` are the ratios of its best and its worst layout."""
    layouts = [measure(folder, case, layout, rounds) for layout in range(LAYOUTS)]
    stock, ours, ratios = zip(*layouts, strict=True)
    found = {"stock": min(stock), "ours": min(ours), "time": geometric_mean(ratios)}
    found |= {"low": min(ratios), "high": max(ratios)}
    if shutil.which("valgrind"):
        found["instructions"] = instructions(folder / "ours-0", case) / instructions(folder / "stock-0", case)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12, help=f"samples of a case in each of {LAYOUTS} layouts")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder)
        version = fetch.load_lock().pinned
        print(f"SQLite {version}, {' '.join(FLAGS)}, {platform.machine()}, {LAYOUTS} x {options.rounds} rounds")
        print(f"{'case':18}{'stock ms':>10}{'ours ms':>10}{'time':>8}{'layouts':>16}{'instructions':>14}")
        listed = subprocess.run([folder / "stock-0", "list"], capture_output=True, text=True, check=True)
        for case in listed.stdout.split():
            found = results[case] = measure_case(folder, case, options.rounds)
            print(
                f"{case:18}{found['stock'] / 1e6:10.2f}{found['ours'] / 1e6:10.2f}{found['time']:8.3f}"
                f"{'{low:.3f}-{high:.3f}'.format(**found):>16}{found.get('instructions', math.nan):14.4f}",
                flush=True,
            )
    broken = verdict(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return int(broken)


def verdict(results: dict[str, dict[str, float]]) -> bool:
    """Print the means; whether the bound is broken: by that of the times, or by a case in every layout."""
    time = geometric_mean([case["time"] for case in results.values()])
    counts = [case["instructions"] for case in results.values() if "instructions" in case]
    print(f"{'geometric mean':38}{time:8.3f}" + (f"{geometric_mean(counts):30.4f}" if counts else ""))
    slow = [name for name, case in results.items() if case["low"] > BOUND]
    broken = time > BOUND or bool(slow)
    print(f"bound {BOUND}: " + (f"broken ({', '.join(slow) or 'mean'})" if broken else "kept"))
    return broken


if __name__ == "__main__":
    sys.exit(main())
