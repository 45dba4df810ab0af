"""The graph of a vector index in memory, alone: its shape, what searches find, changes, failing memory, threads.

The checks are in vector_graph.c, compiled here with sanitizers where the compiler has them.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FLAGS = ["-O2", "-Wall", "-Wextra", "-Werror", f"-I{HERE.parents[1] / 'csrc'}"]
THREADS = ["-g1", "-fsanitize=thread"]
Compile = Callable[..., None]


def run(program: Path, name: str) -> str:
    done = subprocess.run([program, name], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, cc: Compile, sanitizers: list[str]) -> Path:
    made = tmp_path_factory.mktemp("graph") / "graph"
    cc(*FLAGS, *sanitizers, HERE / "vector_graph.c", "-lm", "-lpthread", "-o", made)
    return made


@pytest.mark.parametrize(
    "name", ["recall", "build", "twins", "churn", "cold", "cold delete", "parts", "sweep", "stop", "faults"]
)
def test_graph(program: Path, name: str) -> None:
    assert run(program, name)


def test_threads_do_not_race(tmp_path: Path, cc: Compile, sanitizers: list[str]) -> None:
    """Under the thread sanitizer, which goes where the others go."""
    flags = THREADS if sanitizers else []
    cc(*FLAGS, *flags, HERE / "vector_graph.c", "-lm", "-lpthread", "-o", tmp_path / "graph")
    assert run(tmp_path / "graph", "build")
