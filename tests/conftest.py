"""What several test files share: a database file with known content, and programs in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import libsql_core

ROWS = [(1, "a"), (2, "b"), (3, "c")]
# What a child process needs before its own code: `print(json.dumps(...))` last tells what it saw.
PREAMBLE = """
import faulthandler, gc, json, os, sys, threading, time
faulthandler.enable()
faulthandler.dump_traceback_later(float(sys.argv[1]), exit=True)
import libsql_core as sqlite3
"""
RunChild = Callable[..., Any]


class File:
    """A database file whose table `t` holds ROWS."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened: list[libsql_core.Connection] = []
        con = self.connect()
        con.execute("create table t(id integer primary key, x)")
        con.executemany("insert into t values (?, ?)", ROWS)
        con.commit()
        con.close()

    def connect(self, **options: Any) -> libsql_core.Connection:
        self.opened.append(libsql_core.connect(self.path, **options))
        return self.opened[-1]

    def close(self) -> None:
        """Close all connections that were opened here."""
        while self.opened:
            self.opened.pop().close()

    def check(self, *added: tuple[object, ...]) -> None:
        """Prove that the file, opened anew, is sound and holds ROWS and what was added, no more."""
        con = libsql_core.connect(self.path)
        try:
            assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
            assert con.execute("select * from t order by id").fetchall() == [*ROWS, *added]
        finally:
            con.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    made = File(tmp_path / "kept.db")
    yield made
    made.close()


@pytest.fixture
def con() -> Iterator[libsql_core.Connection]:
    """A connection to a database in memory with ROWS in its table `t`."""
    connection = libsql_core.connect(":memory:")
    connection.execute("create table t(id integer primary key, x)")
    connection.executemany("insert into t values (?, ?)", ROWS)
    connection.commit()
    yield connection
    connection.close()


@pytest.fixture
def run_child(tmp_path: Path) -> RunChild:
    """Run code in a new interpreter, in an empty folder; gives what its last line says as JSON."""

    def run(code: str, *arguments: object, timeout: float = 60) -> Any:
        command = [sys.executable, "-W", "error", "-c", PREAMBLE + code, str(timeout), *map(str, arguments)]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=timeout + 30, check=False
        )
        if done.returncode or done.stderr:
            pytest.fail(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope="session")
def server_cache() -> Path:
    """Where tests keep what they install or unpack for the servers: a folder of `build/`, kept from run to run."""
    folder = Path(__file__).parents[1] / "build" / "servers"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
