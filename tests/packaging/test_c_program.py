"""C code that was written for libSQL compiles with our headers and does there what it does with libSQL.

The program is linked with the engine itself, compiled here with sanitizers where the compiler has them; the extensions
are also loaded into this process.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import libsql_core

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.append(str(ROOT / "vendor" / "sqlite"))

import fetch  # noqa: E402
import patch_queue  # noqa: E402
from defines import SQLITE_DEFINES  # noqa: E402

CC = shlex.split(os.environ.get("CC", "cc"))
STRICT = ["-Wall", "-Wextra", "-Werror"]
LIBRARIES = ["-lm", "-lpthread"] + (["-ldl"] if sys.platform == "linux" else [])
SANITIZERS = ["-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]


def cc(*arguments: str | Path) -> None:
    done = subprocess.run([*CC, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def sanitizers(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The flags, if a program made with them runs."""
    folder = tmp_path_factory.mktemp("sanitizers")
    (folder / "none.c").write_text("int main(void){ return 0; }\n")
    for command in ([*CC, *SANITIZERS, folder / "none.c", "-o", folder / "none"], [folder / "none"]):
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            return []
    return SANITIZERS


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory, sanitizers: list[str]) -> Path:
    """The engine as an object file."""
    folder = tmp_path_factory.mktemp("engine")
    patch_queue.apply(fetch.ensure(), folder)
    (folder / "source_id.gen.h").write_text('#define LSC_SOURCE_ID "test"\n')
    defines = [f"-D{name}" if value is None else f"-D{name}={value}" for name, value in SQLITE_DEFINES]
    cc("-O0", "-w", *sanitizers, *defines, "-DSQLITE_CORE=1", f"-I{folder}", f"-I{ROOT / 'csrc'}",
       "-c", HERE / "program_engine.c", "-o", folder / "engine.o")  # fmt: skip
    return folder / "engine.o"


@pytest.fixture(scope="session")
def extensions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A loadable extension with four parameters, and one with three."""
    folder = tmp_path_factory.mktemp("extensions")
    files = []
    for name, flags in (("four", []), ("three", ["-DPLAIN"])):
        files.append(folder / f"{name}.so")
        cc("-shared", "-fPIC", *STRICT, *flags, f"-I{libsql_core.get_include()}", HERE / "program_extension.c",
           "-o", files[-1])  # fmt: skip
    return files


def test_the_program(engine: Path, extensions: list[Path], sanitizers: list[str], tmp_path: Path) -> None:
    program = tmp_path / "program"
    cc(*STRICT, *sanitizers, f"-I{libsql_core.get_include()}", HERE / "program.c", engine, *LIBRARIES, "-o", program)
    done = subprocess.run([program, *extensions], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    v = libsql_core.libsql_version
    told = "{SELECT told.a FROM json_each('[1,2]') CROSS JOIN told} 1 2"
    assert done.stdout.splitlines() == [
        f"version: {v} {v} {v} 1",
        "close: 1 closing(main) 5 1 closing(main) 0",
        "interrupt: 9 9 others run 9 0",
        "counters: 4 2 0 2147483647",
        "sql: 1 1 [1 RANDOM ROWID not allowed on WITHOUT ROWID tables]",
        f"prepared sql: {{SELECT a FROM told}} 1 2 {{SELECT a FROM v}} 1 2 {told} {told} 1 2"
        " {SELECT a AS forbidden FROM told} [3 not this]",
        "extensions: 0 1 0 0 automatic",
    ]


def test_the_extensions_in_this_process(extensions: list[Path]) -> None:
    for extension, closed in ((extensions[0], [0, 1, 2]), (extensions[1], [0, 0, 0])):
        found = []
        for _ in closed:
            con = libsql_core.connect(":memory:")
            con.enable_load_extension(True)
            con.load_extension(str(extension), entrypoint="sqlite3_extension_init")
            found += con.execute("select extension_closed()").fetchone()
            con.close()
        assert found == closed


def test_a_log_of_the_first_generation(engine: Path, sanitizers: list[str], tmp_path: Path) -> None:
    program = tmp_path / "program"
    source = HERE / "program_wal_v1.c"
    cc(*STRICT, *sanitizers, f"-I{libsql_core.get_include()}", source, engine, *LIBRARIES, "-o", program)
    done = subprocess.run([program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["pages 4 commits 3 opens 1", "no such WAL module: counting"]
