"""C code that was written for libSQL compiles with our headers and does there what it does with libSQL.

The program is linked with the engine itself, compiled here with sanitizers where the compiler has them; the extensions
are also loaded into this process.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import libsql_core

HERE = Path(__file__).parent
STRICT = ["-Wall", "-Wextra", "-Werror"]
Compile = Callable[..., None]
RunProgram = Callable[..., str]


@pytest.fixture(scope="session")
def extensions(tmp_path_factory: pytest.TempPathFactory, cc: Compile) -> list[Path]:
    """A loadable extension with four parameters, and one with three."""
    folder = tmp_path_factory.mktemp("extensions")
    files = []
    for name, flags in (("four", []), ("three", ["-DPLAIN"])):
        files.append(folder / f"{name}.so")
        cc("-shared", "-fPIC", *STRICT, *flags, f"-I{libsql_core.get_include()}", HERE / "program_extension.c",
           "-o", files[-1])  # fmt: skip
    return files


def test_the_program(run_program: RunProgram, extensions: list[Path]) -> None:
    out = run_program("program.c", *extensions)
    v = libsql_core.libsql_version
    told = "{SELECT told.a FROM json_each('[1,2]') CROSS JOIN told} 1 2"
    assert out.splitlines() == [
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
