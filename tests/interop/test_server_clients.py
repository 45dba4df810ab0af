"""Clients that nobody here wrote do the same on our server as on the real sqld, and what they should."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path += [str(Path(__file__).with_name(name)) for name in ("_server", "_replication")]

import tokens
from replicas import npm_packages
from sqld_process import NAMES, OURS, REAL, Server, tool

CLIENTS = Path(__file__).with_name("_clients")
TOKEN = tokens.token(tokens.KEY, {"a": "rw"})
Facts = dict[str, Any]
RunClient = Callable[[str, str], Facts]


def run(*command: str, folder: Path, timeout: float = 60, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


@pytest.fixture(scope="session")
def node(server_cache: Path) -> Path:
    """A folder with the npm packages and our programs for them."""
    return npm_packages(server_cache)


@pytest.fixture(scope="session")
def go(server_cache: Path) -> Path:
    """The Go program, built."""
    target = server_cache / "go-client"
    command = [tool("go", "install Go 1.22 or later"), "build", "-mod=readonly", "-o", str(target), "."]
    run(*command, folder=CLIENTS / "go", timeout=600, CGO_ENABLED="0")
    return target


@pytest.fixture(params=NAMES)
def each_server(request: pytest.FixtureRequest, server_cache: Path, tmp_path: Path) -> Iterator[Server]:
    environment = {"SQLD_AUTH_JWT_KEY": tokens.public_raw(tokens.KEY)}
    with Server(request.param, server_cache, tmp_path, env=environment) as server:
        yield server


def python(program: str, *arguments: str, folder: Path) -> Facts:
    facts: Facts = json.loads(run(sys.executable, str(CLIENTS / program), *arguments, folder=folder))
    return facts


CORE = {"values": [None, "9007199254740993", 1.5, "é", "00ff"], "changes": 1, "rowid": "1"}
CODES = {"unique": "SQLITE_CONSTRAINT", "syntax": "SQL_PARSE_ERROR", "missing": "SQLITE_UNKNOWN"}
MESSAGES = {"unique": "UNIQUE constraint failed: t.x", "syntax": "selec", "missing": "no such table: nope"}


def has(facts: Facts, **expected: object) -> None:
    assert {**facts, **CORE, **expected} == facts


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_libsql_client_of_npm(scheme: str, each_server: Server, node: Path) -> None:
    url = f"{scheme}://127.0.0.1:{each_server.port}"
    facts = json.loads(run("node", "libsql_client.mjs", url, TOKEN, folder=node))
    has(
        facts,
        batch=3,
        read_batch=2,
        failed_batch=3,
        commit=4,
        seen_inside=5,
        rollback=4,
        migrated=["id", "x", "y"],
        errors={**CODES, "column": "SQL_INPUT_ERROR", "arguments": "ARGS_INVALID"},
        concurrent=190,
        writers=24,
    )
    assert facts["refused"] in ("SERVER_ERROR", "AUTH_HEADER_NOT_FOUND", "HRANA_WEBSOCKET_ERROR", "AUTH_JWT_INVALID")


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_hrana_client_of_npm(scheme: str, each_server: Server, node: Path) -> None:
    url = f"{scheme}://127.0.0.1:{each_server.port}"
    facts = json.loads(run("node", "hrana_client.mjs", url, TOKEN, folder=node))
    has(
        facts,
        version=3,
        returning=2,
        batch=[1, "SQLITE_CONSTRAINT", 3],
        autocommit=False,
        rollback=2,
        commit=3,
        described=[[["id", "INTEGER"], ["x", None], [":p", None]], [":p"], True],
        stored=7,
        errors=CODES,
        concurrent=190,
    )
    # It knows nothing of the entry that ends a cursor of the real one.
    works = [1, "SQLITE_CONSTRAINT", 3]
    assert facts["cursor"] == (works if each_server.name == OURS else "Server produced unrecognized CursorEntry")
    assert facts["refused"] != "none"


def test_libsql_of_npm(each_server: Server, node: Path) -> None:
    facts = json.loads(run("node", "libsql_npm.mjs", each_server.url, TOKEN, folder=node))
    has(facts, batch=3, commit=4, rollback=4, all=["a", "b", "c", "e"])
    assert all(text in facts["errors"][name] for name, text in MESSAGES.items())
    assert facts["refused"] != "none"


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_libsql_client_of_pypi(scheme: str, each_server: Server, tmp_path: Path) -> None:
    facts = python("libsql_client_py.py", f"{scheme}://127.0.0.1:{each_server.port}", TOKEN, folder=tmp_path)
    has(
        facts,
        batch=3,
        failed_batch=3,
        errors=CODES,
        concurrent=190,
        **({"commit": 4, "rollback": 4} if scheme == "ws" else {}),
    )
    assert facts["refused"] != "none"


@pytest.mark.parametrize("module", ["libsql", "libsql_experimental"])
def test_libsql_of_pypi(module: str, each_server: Server, tmp_path: Path) -> None:
    facts = python("libsql_py.py", module, each_server.url, TOKEN, folder=tmp_path)
    values = [None, "9007199254740992.0", 1.5, "é", "00ff"]  # they send large integers as floats
    has(facts, values=values, commit=3, rollback=3, script=2, rows=[[1, "a"], [2, "b"], [3, "c"]])
    assert all(text in facts["errors"][name] for name, text in MESSAGES.items())
    assert facts["refused"] != "none"


def test_sqlalchemy_libsql(each_server: Server, tmp_path: Path) -> None:
    facts = python("sqlalchemy_py.py", str(each_server.port), TOKEN, folder=tmp_path)
    assert facts["books"] == [[1, "one", 1.5], [2, "two", None]]
    assert facts["titles"] == ["changed", "two"]
    assert facts["sum"] == 3
    assert "no such table: nope" in facts["missing"]
    assert facts["tables"] == ["book"]


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_client_of_go(scheme: str, each_server: Server, go: Path, tmp_path: Path) -> None:
    facts = json.loads(run(str(go), f"{scheme}://127.0.0.1:{each_server.port}", TOKEN, folder=tmp_path))
    has(facts, batch=3, commit=4, rollback=4, prepared="a", concurrent=190)
    assert (facts["several"] == "none") == (scheme == "http")
    assert all(text in facts["errors"][name] for name, text in MESSAGES.items())
    assert facts["refused"] != "none"


def test_curl(each_server: Server, tmp_path: Path) -> None:
    curl = tool("curl", "install curl")

    def ask(*options: str) -> str:
        return run(curl, "-sS", *options, folder=tmp_path)

    def post(path: str, body: object, *options: str) -> Any:
        header = ["-H", f"Authorization: Bearer {TOKEN}"]
        return json.loads(ask("-d", json.dumps(body), *header, *options, each_server.url + path))

    assert ask("-o", "x", "-w", "%{http_code}", f"{each_server.url}/health") == "200"
    made = ["create table t(id integer primary key, x)", "insert into t(x) values ('a'), ('b')", "select * from t"]
    assert post("/", {"statements": made})[2]["results"]["rows"] == [[1, "a"], [2, "b"]]
    body = {"requests": [{"type": "execute", "stmt": {"sql": "select count(*) from t"}}, {"type": "close"}]}
    for options in (
        [],
        ["--http1.0"],
        ["--compressed"],
        ["-H", "Expect: 100-continue"],
        ["-H", "Transfer-Encoding: chunked"],
    ):
        answer = post("/v2/pipeline", body, *options)
        assert answer["results"][0]["response"]["result"]["rows"] == [[{"type": "integer", "value": "2"}]]
        assert answer["baton"] is None
    assert ask("-o", "x", "-w", "%{http_code}", "-d", json.dumps(body), f"{each_server.url}/v2/pipeline") == "401"
    dump = ask("-H", f"Authorization: Bearer {TOKEN}", f"{each_server.url}/dump")
    assert "INSERT INTO t VALUES(2,'b');" in dump


def test_the_real_one_is_among_the_servers() -> None:
    assert set(NAMES) == {REAL, OURS}
