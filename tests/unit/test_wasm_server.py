"""Functions in WebAssembly on the connections of the server: only where they were switched on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import libsql_core
from libsql_core import _engine as engine
from libsql_core._engine import ServerConnection, StatementError

CREATE = """create function one language wasm as '(module (func (export "one") (result i64) (i64.const 1)))'"""


@pytest.fixture
def switched_on() -> Iterator[None]:
    engine.server_functions(True)
    yield
    engine.server_functions(False)


def run(con: ServerConnection, sql: str) -> bytes:
    """Each statement of a text; the result of the last."""
    found = b""
    for plan in con.parse(sql):
        found = con.execute(plan, None, None, ServerConnection.JSON, 1_000_000)
    return found


@pytest.mark.usefixtures("switched_on")
def test_switched_on(tmp_path: Path) -> None:
    con = ServerConnection(str(tmp_path / "data"), name="db")
    run(con, f"{CREATE}; create table t(x); /* more */ drop function if exists two")
    assert b'"value":"1"' in run(con, "select one()")
    with pytest.raises(StatementError, match="Function two not found in Wasm module"):
        run(con, CREATE.replace("function one", "function two"))
    with pytest.raises(StatementError, match="syntax error"):
        run(con, "create function one language wasm from 5")
    other = ServerConnection(str(tmp_path / "data"), name="db")
    assert b'"value":"1"' in run(other, "select one()")
    run(con, "drop function one")
    with pytest.raises(StatementError, match="no such function: one"):
        run(other, "select one()")
    con.close()
    other.close()


def test_switched_off(tmp_path: Path) -> None:
    """No function is created, and those that a file brings are not run."""
    file = libsql_core.connect(tmp_path / "data")
    file.execute(CREATE)
    file.close()
    con = ServerConnection(str(tmp_path / "data"), name="db")
    for sql in (CREATE, "drop function one", "explain " + CREATE):
        with pytest.raises(StatementError, match="syntax error"):
            run(con, sql)
    assert b'"value":"1"' in run(con, "select count(*) from libsql_wasm_func_table")
    with pytest.raises(StatementError, match="no such function: one"):
        run(con, "select one()")
    with pytest.raises(StatementError):
        run(con, "pragma libsql_wasm = on")
    con.close()
