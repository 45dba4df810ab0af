"""The distance kernels of every instruction set that this machine has, against sums in long double.

The checks are in C, c/vector_kernels.c, compiled here with sanitizers where the compiler has them.
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CC = shlex.split(os.environ.get("CC", "cc"))
FLAGS = ["-O2", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'csrc'}"]
SANITIZERS = ["-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver, with sanitizers if a program made with them runs."""
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "none.c").write_text("int main(void){ return 0; }\n")
    sanitizers = SANITIZERS
    trial = [*CC, *SANITIZERS, str(folder / "none.c"), "-o", str(folder / "none")]
    for command in (trial, [str(folder / "none")]):
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            sanitizers = []
    driver = [str(HERE / "c" / "vector_kernels.c"), "-lm", "-o", str(folder / "kernels")]
    done = subprocess.run([*CC, *FLAGS, *sanitizers, *driver], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "kernels"


def run(program: Path, *arguments: str, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name != "LIBSQL_CORE_SIMD"}
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, env={**kept, **environment}
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


def levels(program: Path) -> list[str]:
    return run(program, "list").partition(" chosen: ")[0].split()


def expected() -> list[str]:
    """What the machine says of itself, where it does; the best last."""
    found = ["portable"]
    if platform.machine() in ("aarch64", "arm64") and sys.platform != "win32":
        found.append("neon")
    elif sys.platform == "linux" and platform.machine() == "x86_64":
        flags = set(Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split())
        if {"avx2", "fma", "f16c"} <= flags:
            found.append("avx2")
            if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags:
                found.append("avx512")
    return found


def test_levels_are_those_of_the_processor(program: Path) -> None:
    assert levels(program) == expected()


def test_every_level_is_right(program: Path) -> None:
    for level in levels(program):
        assert run(program, "check", level).startswith("0 wrong, "), level


def test_the_environment_chooses_a_level_that_there_is(program: Path) -> None:
    names = levels(program)
    for asked, chosen in [(name, name) for name in names] + [("", names[-1]), ("mmx", names[-1])]:
        assert run(program, "list", LIBSQL_CORE_SIMD=asked).split()[-1] == chosen
    assert run(program, "list").split()[-1] == names[-1]
