"""Compare the speed of libsql_core with `sqlite3`, apsw, cysqlite and pysqlite3 in one run.

    python benchmarks/dbapi.py [--quick] [--modules LIST] [--cases TEXT] [--rounds N] [--json FILE]

Each module lives in a process of its own, alive for the whole run. The driver asks these workers in
turn for one sample of a case, in rotated order, round after round, so that the machine's noise hits
all alike. A case's time is the minimum over its rounds, its ratio the stdlib's time divided by the
module's: above 1 is faster than the stdlib. Workers compare each result with the expected one.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any

import dbapi_cases  # noqa: F401  (fills CASES)
from dbapi_base import BASELINE, CASES, MODULES, CannotDoError, Case, Job, version

SUBJECT = "libsql_core"
LEAST_ROUNDS = 3
FULL = (30, 12.0)  # rounds, and seconds after which a case begins no further round
QUICK = (3, 1.0)
NOISY = 1.25  # a module's median over its minimum, from which a case is marked


def sample(job: Job) -> float:
    """Run once, timed; everything else (freshening, checking, collecting garbage) is not."""
    job.ready()
    gc.collect()
    start = time.perf_counter()
    value = job.run()
    elapsed = time.perf_counter() - start
    found = job.result(value)
    if found != job.expect:
        raise AssertionError(f"wrong result: {str(found)[:100]} instead of {str(job.expect)[:100]}")
    return elapsed


def work(pipe: Connection, module: str, folder: str) -> None:
    """A worker: import the module, then answer ('open', case), ('sample',) and ('close',)."""
    adapter = MODULES[module][1](module, folder)
    pipe.send(("ready", (version(module), adapter.sqlite_version())))
    cases = {case.name: case for case in CASES}
    job: Job | None = None
    while (request := pipe.recv())[0] != "stop":
        try:
            if request[0] == "open":
                job = cases[request[1]].build(adapter)
                sample(job)  # warms caches and proves that the case works
                gc.collect()
                gc.freeze()  # what the case prepared is no load on the collector while timed
                pipe.send(("ready", None))
            elif request[0] == "sample" and job is not None:
                pipe.send(("seconds", sample(job)))
            else:
                job = None
                gc.unfreeze()
                adapter.close()
                pipe.send(("ready", None))
        except CannotDoError:
            pipe.send(("cannot", None))
        except Exception:
            pipe.send(("error", traceback.format_exc(limit=-3)))


class Worker:
    """The driver's end of a worker process."""

    def __init__(self, module: str, folder: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, far = context.Pipe()
        os.mkdir(folder)
        self.process = context.Process(target=work, args=(far, module, folder), daemon=True)
        self.process.start()
        far.close()
        self.module = module
        self.alive = True
        answer, value = self.receive()
        self.version: str
        self.sqlite: str
        self.version, self.sqlite = value if answer == "ready" else ("", "")

    def ask(self, *request: str) -> tuple[str, Any]:
        if not self.alive:
            return "cannot", None
        self.pipe.send(request)
        return self.receive()

    def receive(self) -> tuple[str, Any]:
        try:
            return self.pipe.recv()  # type: ignore[no-any-return]
        except EOFError:
            self.process.join()
            self.alive = False
            return "error", f"the worker ended with exit code {self.process.exitcode}"

    def stop(self) -> None:
        if self.alive:
            self.pipe.send(("stop",))
            self.process.join()


def measure(
    case: Case, workers: list[Worker], rounds: int, seconds: float, errors: list[str]
) -> dict[str, list[float]]:
    """The samples of each module that can do the case."""
    samples: dict[str, list[float]] = {}
    live = []
    for worker in workers:
        answer, value = worker.ask("open", case.name)
        if answer == "ready":
            live.append(worker)
        elif answer == "error":
            errors.append(f"{case.name}, {worker.module}:\n{value}")
    start = time.perf_counter()
    for turn in range(rounds):
        if turn >= LEAST_ROUNDS and time.perf_counter() - start > seconds:
            break
        first = turn % len(live) if live else 0
        for worker in live[first:] + live[:first]:
            answer, value = worker.ask("sample")
            if answer == "seconds":
                samples.setdefault(worker.module, []).append(value)
            else:
                errors.append(f"{case.name}, {worker.module}:\n{value}")
                samples.pop(worker.module, None)
                live.remove(worker)
    for worker in workers:
        worker.ask("close")
    return samples


def ratios(samples: dict[str, list[float]]) -> dict[str, float]:
    if BASELINE not in samples:
        return {}
    base = min(samples[BASELINE])
    return {module: base / min(times) for module, times in samples.items()}


def mean(values: list[float]) -> float | None:
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if values else None


def summarise(table: dict[str, dict[str, float]], modules: list[str]) -> dict[str, Any]:
    """Means over the cases a module can do, and over those that all can; how the subject stands."""
    shared = [row for row in table.values() if set(modules) <= set(row)]
    summary: dict[str, Any] = {
        "geometric_mean": {m: mean([r[m] for r in table.values() if m in r]) for m in modules},
        "geometric_mean_shared": {m: mean([row[m] for row in shared]) for m in modules},
        "shared_cases": len(shared),
    }
    ours = {name: row for name, row in table.items() if SUBJECT in row}
    if ours:
        worst = min(ours, key=lambda name: ours[name][SUBJECT])
        best = [name for name, row in ours.items() if row[SUBJECT] == max(row.values())]
        summary |= {
            "worst": [worst, ours[worst][SUBJECT]],
            "below_0.95": [name for name, row in ours.items() if row[SUBJECT] < 0.95],
            "best_in": len(best),
            "of": len(ours),
        }
    return summary


def duration(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.2f} us"


def line(name: str, base: str, cells: list[float | None]) -> str:
    shown = "".join(f"{'-' if cell is None else format(cell, '.2f'):>13}" for cell in cells)
    return f"{name:<42}{base:>24}{shown}"


def print_case(case: Case, samples: dict[str, list[float]], peers: list[str]) -> None:
    row = ratios(samples)
    base = f"{duration(min(samples[BASELINE]) / case.ops)}/{case.unit}" if row else "-"
    noise = max((statistics.median(t) / min(t) for t in samples.values()), default=1)
    cells = line(case.name, base, [row.get(peer) for peer in peers])
    print(cells + ("  noisy" if noise > NOISY else ""), flush=True)


def print_summary(summary: dict[str, Any], peers: list[str]) -> None:
    print()
    means, shared = summary["geometric_mean"], summary["geometric_mean_shared"]
    print(line("geometric mean, each over its own cases", "", [means[m] for m in peers]))
    name = f"geometric mean, the {summary['shared_cases']} cases all can do"
    print(line(name, "", [shared[m] for m in peers]))
    if "worst" in summary:
        name, ratio = summary["worst"]
        print(
            f"{SUBJECT}: worst {ratio:.2f} ({name}); best of all in {summary['best_in']} of "
            f"{summary['of']} cases; below 0.95: {', '.join(summary['below_0.95']) or 'none'}"
        )


def installed(wanted: list[str]) -> list[str]:
    """Those of `wanted` that can be imported; the others are named."""
    found = []
    for module in wanted:
        try:
            version(module)
            found.append(module)
        except ModuleNotFoundError:
            print(f"{module}: not installed (pip install {MODULES[module][0]}), left out")
    return found


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--modules", help="comma-separated: " + ",".join(MODULES))
    parser.add_argument("--cases", default="", help="only cases whose name holds this text")
    parser.add_argument("--rounds", type=int, help="exactly this many samples of each case")
    parser.add_argument("--quick", action="store_true", help="few rounds: about 40 seconds in all")
    parser.add_argument("--json", metavar="FILE", help="write all samples and ratios here too")
    options = parser.parse_args()
    names = options.modules.split(",") if options.modules else list(MODULES)
    if unknown := set(names) - set(MODULES):
        parser.error(f"no such module: {', '.join(sorted(unknown))}")
    options.modules = [module for module in MODULES if module in names or module == BASELINE]
    options.cases = [case for case in CASES if options.cases.lower() in case.name.lower()]
    if not options.cases:
        parser.error("no case has that name")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def main() -> None:
    options = parse()
    rounds, seconds = QUICK if options.quick else FULL
    if options.rounds:
        rounds, seconds = options.rounds, math.inf
    errors: list[str] = []
    measured: dict[str, dict[str, list[float]]] = {}
    began = time.perf_counter()
    # The default folder for temporary files: on a real disk if that is.
    with tempfile.TemporaryDirectory(prefix="dbapi-bench-") as folder:
        workers = []
        for module in installed(options.modules):
            worker = Worker(module, os.path.join(folder, module))
            if worker.alive:
                workers.append(worker)
            else:
                print(f"{module}: cannot be imported, left out")
        modules = [worker.module for worker in workers]
        peers = [module for module in modules if module != BASELINE]
        settings = {
            "python": sys.version.split()[0],
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            "rounds": rounds if options.rounds else f"{rounds}, at least {LEAST_ROUNDS} in {seconds} s",
            "versions": {w.module: {"module": w.version, "sqlite": w.sqlite} for w in workers},
        }
        print(f"Python {settings['python']}, {settings['machine']}; rounds: {settings['rounds']}")
        for worker in workers:
            print(f"  {worker.module:<12} {worker.version:<14} SQLite {worker.sqlite}")
        print("Minimum of the rounds; ratio = stdlib's time / module's time, above 1 is faster.\n")
        print(f"{'case':<42}{'sqlite3':>24}" + "".join(f"{peer:>13}" for peer in peers))
        for case in options.cases:
            measured[case.name] = measure(case, workers, rounds, seconds, errors)
            print_case(case, measured[case.name], peers)
        for worker in workers:
            worker.stop()
    table = {name: ratios(samples) for name, samples in measured.items()}
    summary = summarise(table, modules)
    print_summary(summary, peers)
    print(f"{time.perf_counter() - began:.0f} s in all")
    for error in errors:
        print(f"\nleft out: {error}")
    if options.json:
        cases = {name: {"seconds": s, "ratio": table[name]} for name, s in measured.items()}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"settings": settings, "cases": cases, "summary": summary}, file, indent=1)


if __name__ == "__main__":
    main()
