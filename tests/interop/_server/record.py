"""Run the cases of `server_cases` on servers and show what they answered, or where they differ.

python record.py                        cases in which ours and the real sqld differ, those not listed
python record.py --on sqld NAME ...     what one of them answers in cases whose name has one of the texts
python record.py --all NAME ...         as the first, listed differences too
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import runpy
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CASE_FILES = sorted(HERE.parent.glob("server_cases/*.py"))
THREADS = 24
if str(HERE) not in sys.path:
    sys.path.append(str(HERE))

import differences  # noqa: E402
import tokens  # noqa: E402
from recorder import Recorder, Seen, Step, text  # noqa: E402
from sqld_process import NAMES, OURS, REAL, Server  # noqa: E402


@dataclass
class Group:
    """The cases of one file, which share a server."""

    name: str
    flags: list[str]
    env: dict[str, str]
    cases: dict[str, Sequence[Step]]


def groups() -> list[Group]:
    found = []
    for path in CASE_FILES:
        module = runpy.run_path(str(path))
        cases = {f"{path.stem}: {name}": steps for name, steps in module["CASES"].items()}
        found.append(Group(path.stem, module["FLAGS"], module.get("ENV", {}), cases))
    return found


def record(server: str, cache: Path, folder: Path, wanted: Iterable[Group]) -> dict[str, Seen]:
    """What a server answers to each case. A server for each group; all cases at once, for some only wait."""
    chosen = [group for group in wanted if group.cases]
    with contextlib.ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(THREADS))
        running: dict[str, Future[Seen]] = {}
        for group in chosen:
            started = stack.enter_context(
                Server(server, cache, folder / f"{server}-{group.name}", *group.flags, env=group.env, admin=True)
            )
            recorder = Recorder(started, tokens.make, namespaces="--enable-namespaces" in group.flags)
            ordered = sorted(group.cases.items(), key=lambda case: -waits(case[1]))
            running |= {name: threads.submit(recorder.run, name, steps) for name, steps in ordered}
        return {name: future.result() for name, future in running.items()}


def waits(steps: Iterable[Step]) -> float:
    return sum(getattr(step, "seconds", 0.0) for step in steps)


def different(ours: Seen, real: Seen) -> str:
    """The lines in which two outcomes differ; empty if they do not."""
    lines = difflib.unified_diff(text(real).splitlines(), text(ours).splitlines(), REAL, OURS, lineterm="", n=2)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of names of cases")
    parser.add_argument("--on", choices=NAMES, help="show the answers of this one")
    parser.add_argument("--all", action="store_true", help="show listed differences, too")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "real-sqld")
    options = parser.parse_args()
    wanted = groups()
    for group in wanted:
        group.cases = {
            name: steps
            for name, steps in group.cases.items()
            if not options.names or any(part in name for part in options.names)
        }
    with tempfile.TemporaryDirectory() as folder:
        if options.on:
            for name, seen in record(options.on, options.cache, Path(folder), wanted).items():
                print(f"=== {name}\n{text(seen)}")
            return
        real, ours = (record(server, options.cache, Path(folder), wanted) for server in NAMES)
    listed = differences.read()
    count = 0
    for name, seen in ours.items():
        if options.all:
            found = different(seen, real[name])
        else:
            found = different(*differences.settle(listed, name, seen, real[name])[:2])
        if found:
            count += 1
            print(f"=== {name}\n{found}\n")
    print(f"{count} of {len(ours)} cases differ")


if __name__ == "__main__":
    main()
