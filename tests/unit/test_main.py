"""`python -m libsql_core`: output, exit codes, the shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import libsql_core


def run(folder: Path, *arguments: str, typed: str | None = None) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "libsql_core", *arguments],
        cwd=folder, input=typed, stdin=subprocess.DEVNULL if typed is None else None,
        capture_output=True, text=True, encoding="utf-8", timeout=60, check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_sql_from_the_command_line(tmp_path: Path) -> None:
    assert run(tmp_path, ":memory:", "select 1, 'é', null, x'00' union select 2, 3, 4, 5") == (
        0, "(1, 'é', None, b'\\x00')\n(2, 3, 4, 5)\n", "",
    )  # fmt: skip
    assert run(tmp_path, "new.db", "create table t(x)") == (0, "", "")
    assert run(tmp_path, "new.db", "insert into t values (5)") == (0, "", "")
    assert run(tmp_path, "new.db", "select * from t") == (0, "(5,)\n", "")


def test_failing_sql(tmp_path: Path) -> None:
    code, out, err = run(tmp_path, ":memory:", "select missing")
    assert (code, out) == (1, "")
    assert err.strip() == "OperationalError (SQLITE_ERROR): no such column: missing"
    code, out, err = run(tmp_path, ":memory:", "select 1; select 2")
    kind = "ProgrammingError" if sys.version_info >= (3, 11) else "Warning"
    assert (code, out, err.strip()) == (1, "", f"{kind}: You can only execute one statement at a time.")


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    code, out, err = run(tmp_path, "no/such/folder.db", "select 1")
    assert (code, out) == (1, "")
    assert err.strip() == "OperationalError: unable to open database file: 'no/such/folder.db'"


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is not a database, whatever its length may be\n" * 50)
    before = (tmp_path / "text").read_bytes()
    code, out, err = run(tmp_path, "text", "select * from sqlite_schema")
    assert (code, out, err.strip()) == (1, "", "DatabaseError (SQLITE_NOTADB): file is not a database")
    assert (tmp_path / "text").read_bytes() == before


def test_version_and_help(tmp_path: Path) -> None:
    for flag in ("-v", "--version"):
        assert run(tmp_path, flag) == (0, f"SQLite version {libsql_core.sqlite_version}\n", "")
    code, out, err = run(tmp_path, "-h")
    assert (code, err) == (0, "")
    assert "python -m libsql_core [-h] [-v] [filename] [sql]" in out
    code, out, err = run(tmp_path, "one", "two", "three")
    assert (code, out) == (2, "")
    assert "unrecognized arguments: three" in err


def test_the_shell(tmp_path: Path) -> None:
    typed = """create table t(x);
insert into t
values ('kept');
select x, 'é' from t;
select missing;
.version
.help
select 'after an error';
.quit
select 'never';
"""
    code, out, err = run(tmp_path, "shell.db", typed=typed)
    assert code == 0
    assert f"SQLite version {libsql_core.sqlite_version}" in err
    assert "Connected to 'shell.db'" in err
    assert "OperationalError (SQLITE_ERROR): no such column: missing" in err
    assert "('kept', 'é')\n" in out
    assert "('after an error',)\n" in out
    assert f"{libsql_core.sqlite_version}\n" in out
    assert "never" not in out
    assert "    ... " in out  # a statement goes on to the next line
    assert run(tmp_path, "shell.db", "select * from t") == (0, "('kept',)\n", "")


def test_functions_in_the_shell(tmp_path: Path) -> None:
    wasmtime = pytest.importorskip("wasmtime")
    functions = [f'(func (export "{name}") (result i64) (i64.const {n}))' for n, name in ((1, "one"), (2, "it's"))]
    text = f"(module {functions[0]} {functions[1]})"
    (tmp_path / "one.wat").write_text(text)
    (tmp_path / "one.wasm").write_bytes(bytes(wasmtime.wat2wasm(text)))
    typed = """.wasm list
.wasm load one one.wat
.wasm load it's one.wasm
.wasm list
select one(), "it's"();
.wasm drop one
.wasm drop one
.wasm load one missing.wat
.wasm load two one.wat
.wasm
.wasm list
"""
    code, out, err = run(tmp_path, "shell.db", typed=typed)
    assert code == 0
    size = (tmp_path / "one.wasm").stat().st_size
    assert [line.replace("sqlite> ", "") for line in out.splitlines()[:-1]] == [
        f"it's  blob, {size} bytes", f"one  text, {len(text)} bytes", "(1, 2)", f"it's  blob, {size} bytes"
    ]  # fmt: skip
    for says in (
        "IntegrityError (SQLITE_CONSTRAINT): Function one was not registered",
        "No such file or directory: 'missing.wat'",
        "Registering Wasm function two failed: Function two not found in Wasm module",
        ".wasm load NAME FILE    store one",
    ):
        assert says in err


@pytest.mark.parametrize("typed", ["", "select 1", "\n", ";\n", "-- only a comment\n"])
def test_the_shell_at_the_end_of_input(tmp_path: Path, typed: str) -> None:
    code, out, err = run(tmp_path, typed=typed)
    assert code == 0
    assert "a transient in-memory database" in err
    assert "Error" not in err
    assert "(1,)" not in out
