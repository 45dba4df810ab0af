"""C programs, each linked with the engine: with SQLite's assertions, and sanitizers where the compiler has them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.append(str(ROOT / "vendor" / "sqlite"))

import fetch  # noqa: E402
import patch_queue  # noqa: E402
from defines import SQLITE_DEFINES  # noqa: E402

COMPILER = shlex.split(os.environ.get("CC", "cc"))
STRICT = ["-Wall", "-Wextra", "-Werror"]
LIBRARIES = ["-lm", "-lpthread"] + (["-ldl"] if sys.platform == "linux" else [])
SANITIZERS = ["-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]

Compile = Callable[..., None]
RunProgram = Callable[..., str]


@pytest.fixture(scope="session")
def cc() -> Compile:
    """The compiler; what it says when it fails is the test's failure."""

    def run(*arguments: str | Path) -> None:
        done = subprocess.run([*COMPILER, *map(str, arguments)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    return run


@pytest.fixture(scope="session")
def sanitizers(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The flags, if a program made with them runs."""
    folder = tmp_path_factory.mktemp("sanitizers")
    (folder / "none.c").write_text("int main(void){ return 0; }\n")
    program = str(folder / "none")
    make = [*COMPILER, *SANITIZERS, str(folder / "none.c"), "-o", program]
    ran = [subprocess.run(command, capture_output=True, check=False).returncode for command in (make, [program])]
    return SANITIZERS if ran == [0, 0] else []


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory, cc: Compile, sanitizers: list[str]) -> Path:
    """The engine as an object file; the patched headers lie beside it."""
    folder = tmp_path_factory.mktemp("engine")
    patch_queue.apply(fetch.ensure(), folder)
    (folder / "source_id.gen.h").write_text('#define LSC_SOURCE_ID "test"\n')
    defines = [f"-D{name}" if value is None else f"-D{name}={value}" for name, value in SQLITE_DEFINES]
    cc("-O0", "-w", *sanitizers, *defines, "-DSQLITE_CORE=1", "-DSQLITE_DEBUG=1", f"-I{folder}",
       f"-I{ROOT / 'csrc'}", "-c", HERE / "program_engine.c", "-o", folder / "engine.o")  # fmt: skip
    return folder / "engine.o"


@pytest.fixture
def run_program(engine: Path, cc: Compile, sanitizers: list[str], tmp_path: Path) -> RunProgram:
    """Compile a source of this folder and run it in an empty folder; gives what it prints."""

    def run(source: str, *arguments: str | Path, stdin: str = "") -> str:
        program = tmp_path / "program"
        cc(*STRICT, *sanitizers, f"-I{engine.parent}", f"-I{ROOT / 'csrc'}", HERE / source, engine, *LIBRARIES,
           "-o", program)  # fmt: skip
        folder = tmp_path / "files"
        folder.mkdir()
        done = subprocess.run(
            [program, *arguments], input=stdin, cwd=folder, capture_output=True, text=True, check=False, timeout=120
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return done.stdout

    return run
