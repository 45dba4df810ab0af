"""`make vendor-check`: the queue of edits fits, compiles and works on every release the lock names.

Needs a Unix C compiler: $CC, or cc.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import fetch
import patch_queue
from defines import SQLITE_DEFINES

ROOT = fetch.HERE.parents[1]
WORK = ROOT / "build" / "vendor-check"


class CheckError(Exception):
    """A release did not pass; the text is the tool's output."""


def run(command: list[str]) -> str:
    """Run a command to its end and return what it printed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as cause:
        raise CheckError(f"{command[0]}: {cause}") from cause
    if done.returncode != 0:
        raise CheckError(f"{shlex.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def check(version: str) -> str:
    """Patch, compile and try one release; return what was done."""
    source = fetch.ensure(WORK / version / "stock", version)
    patched = WORK / version / "patched"
    edits = patch_queue.apply(source, patched)
    (patched / "source_id.gen.h").write_text('#define LSC_SOURCE_ID "check"\n', encoding="utf-8")
    defines = [f"-D{name}" if value is None else f"-D{name}={value}" for name, value in SQLITE_DEFINES]
    compiler = shlex.split(os.environ.get("CC", "cc"))
    flags = ["-O0", "-Wall", "-Werror", *defines, "-DSQLITE_CORE=1", f"-I{patched}", f"-I{ROOT / 'csrc'}"]
    engine, program = WORK / version / "engine.o", WORK / version / "smoke"
    run([*compiler, *flags, "-c", str(ROOT / "csrc" / "engine.c"), "-o", str(engine)])
    libraries = ["-lm", "-lpthread"] + (["-ldl"] if sys.platform == "linux" else [])
    smoke = str(Path(__file__).with_name("smoke.c"))
    run([*compiler, *flags, smoke, str(engine), *libraries, "-o", str(program)])
    found = run([str(program), str(WORK / version)]).strip()
    if found != version:
        raise CheckError(f"the engine says it is SQLite {found}")
    return f"{len(edits)} edits applied, compiled, each addition tried"


def main() -> int:
    """Check each release, also behind one that failed."""
    failed = False
    for version in fetch.load_lock().checked:
        try:
            print(f"SQLite {version}: {check(version)}", flush=True)
        except (fetch.FetchError, patch_queue.PatchError, CheckError) as error:
            failed = True
            print(f"SQLite {version}: FAILED: {error}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
