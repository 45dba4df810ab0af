"""A replica server and its primary, one of them the real sqld and the other ours, or both ours."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

sys.path += [str(Path(__file__).with_name(name)) for name in ("_server", "_replication")]

import certificates
from replicas import Replica, Writer
from sqld_process import OURS, REAL, Server, free_port

PAIRS = [(OURS, REAL), (REAL, OURS), (OURS, OURS)]  # primary, replica
Start = Callable[..., Server]


def wait_for(true: Callable[[], object], seconds: float = 30) -> None:
    """Whatever is asked meanwhile may fail."""
    end = time.monotonic() + seconds
    while True:
        try:
            if true():
                return
            error: Exception | None = None
        except Exception as raised:
            error = raised
        if time.monotonic() > end:
            raise AssertionError(f"this did not come true in {seconds} seconds") from error
        time.sleep(0.02)


def gives(writer: Writer, sql: str, *values: str) -> Callable[[], bool]:
    """Whether a query has one column with these values."""
    return lambda: writer.rows(sql) == [[value] for value in values]


class Cluster:
    """A primary with its port for servers, and replicas of it."""

    def __init__(self, stack: ExitStack, cache: Path, folder: Path, primary: str, *flags: str) -> None:
        self.stack, self.cache, self.folder, self.flags = stack, cache, folder, flags
        self.name, self.grpc, self.port = primary, free_port(), 0
        self.start()

    def start(self) -> None:
        listen = ["--grpc-listen-addr", f"127.0.0.1:{self.grpc}"]
        folder = self.folder / "primary"
        self.primary = self.stack.enter_context(
            Server(self.name, self.cache, folder, *listen, *self.flags, admin=True, port=self.port)
        )
        self.port = self.primary.port

    def replica(self, name: str, *flags: str, scheme: str = "http", folder: str = "replica", port: int = 0) -> Server:
        url = f"{scheme}://127.0.0.1:{self.grpc}"
        return self.stack.enter_context(
            Server(name, self.cache, self.folder / folder, "--primary-grpc-url", url, *flags, admin=True, port=port)
        )

    def writer(self, server: Server, host: str = "localhost") -> Writer:
        return self.stack.enter_context(Writer(server.port, host=host))


def post(port: int, path: str, body: object, method: str = "POST") -> Any:
    made = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"content-type": "application/json"}, method=method
    )
    with urllib.request.urlopen(made, timeout=20) as reply:
        return reply.read()


@pytest.mark.parametrize(("primary", "name"), PAIRS)
def test_writes_through_a_replica(primary: str, name: str, server_cache: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        cluster = Cluster(stack, server_cache, tmp_path, primary)
        replica = cluster.replica(name)
        there, here = cluster.writer(cluster.primary), cluster.writer(replica)
        here.run("create table t(id integer primary key, x unique)")
        here.run("begin; insert into t(x) values ('a'), ('b'); commit")
        assert there.rows("select x from t order by id") == [["a"], ["b"]]
        wait_for(gives(here, "select x from t order by id", "a", "b"))
        with pytest.raises(RuntimeError, match=r"UNIQUE constraint failed: t\.x"):
            here.run("insert into t(x) values ('a')")
        there.run("insert into t(x) values ('c')")
        wait_for(gives(here, "select count(*) from t", "3"))
        if name == OURS:  # the real one loses the number of the frame
            for number in range(20):
                # One stream: what it has written, it reads.
                table = f"t{number}"
                results = here.pipeline(
                    {"type": "execute", "stmt": {"sql": f"create table {table}(x)"}},
                    {"type": "execute", "stmt": {"sql": f"insert into {table} values ({number})"}},
                    {"type": "execute", "stmt": {"sql": f"select x from {table}"}},
                )
                assert results[2]["response"]["result"]["rows"] == [[{"type": "integer", "value": str(number)}]]
        with pytest.raises(RuntimeError):
            here.run("begin; insert into t(x) values ('d'); select * from nope; commit")
        assert there.rows("select count(*) from t") == [["3"]]
        assert here.rows("pragma integrity_check") == [["ok"]]


@pytest.mark.parametrize(("primary", "name"), PAIRS)
def test_either_stops(primary: str, name: str, server_cache: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        cluster = Cluster(stack, server_cache, tmp_path, primary)
        replica = cluster.replica(name)
        with Writer(cluster.port) as there, Writer(replica.port) as here:
            there.run("create table t(id integer primary key, x)")
            there.run("insert into t(x) values ('a')")
            wait_for(gives(here, "select x from t", "a"))
            here.run("insert into t(x) values ('b')")
            wait_for(gives(here, "select count(*) from t", "2"))
        cluster.primary.stop()
        with Writer(replica.port) as here:
            # What it asked libSQL's primary for before may not have come by itself.
            wait_for(lambda: here.rows("select count(*) from t") in ([["2"]], [["2" if primary == OURS else "1"]]))
            if name == OURS:
                with pytest.raises(RuntimeError):
                    here.run("insert into t(x) values ('lost')")
        cluster.start()
        with Writer(cluster.port) as there:
            there.run("insert into t(x) values ('c')")
        with Writer(replica.port) as here:
            wait_for(gives(here, "select count(*) from t", "3"))
            wait_for(lambda: bool(here.pipeline({"type": "sequence", "sql": "insert into t(x) values ('d')"})))
        replica.stop()
        with Writer(cluster.port) as there:
            there.run("insert into t(x) values ('e')")
        again = cluster.replica(name)
        with Writer(again.port) as here:
            wait_for(gives(here, "select group_concat(x, '') from t", "abcde"))


@pytest.mark.parametrize(("primary", "name"), PAIRS)
def test_namespaces(primary: str, name: str, server_cache: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        cluster = Cluster(stack, server_cache, tmp_path, primary, "--enable-namespaces")
        replica = cluster.replica(name, "--enable-namespaces")
        for namespace in ("one", "two"):
            post(cluster.primary.admin, f"/v1/namespaces/{namespace}/create", {})
            there = cluster.writer(cluster.primary, f"{namespace}.localhost")
            there.run(f"create table {namespace}(x)")
            here = cluster.writer(replica, f"{namespace}.localhost")  # comes into being when it is asked for
            wait_for(gives(here, f"select count(*) from {namespace}", "0"))
            here.run(f"insert into {namespace} values (1)")
            assert there.rows(f"select * from {namespace}") == [["1"]]
        post(cluster.primary.admin, "/v1/namespaces/two", None, "DELETE")
        here = cluster.writer(replica, "one.localhost")
        there = cluster.writer(cluster.primary, "one.localhost")
        there.run("insert into one values (2)")
        wait_for(gives(here, "select count(*) from one", "2"))
        if name == OURS:
            # Asking for what is gone again and again must not keep it busy.
            assert replica.cpu_share(2) < 0.2


@pytest.mark.parametrize(("primary", "name"), PAIRS)
def test_embedded_replicas_of_a_replica(primary: str, name: str, server_cache: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        cluster = Cluster(stack, server_cache, tmp_path, primary, "--max-log-size", "1")
        replica = cluster.replica(name)
        there = cluster.writer(cluster.primary)
        there.run("create table t(id integer primary key, x)")
        for _ in range(6):
            there.run("insert into t(x) values (zeroblob(300000))")
        for number, client in enumerate(["libsql-old", "npm:libsql", "libsql_core"]):
            embedded = stack.enter_context(Replica(client, server_cache, tmp_path / f"e{number}" / "r.db", replica.url))
            wait_for(partial(embedded.ask, "sync"))  # a snapshot may be in the making
            found = embedded.ask("write", sql=["insert into t(x) values (1)"], read="select count(*) from t")
            assert found["rows"] == [[7 + number]], client
        assert there.rows("select count(*) from t") == [["9"]]


@pytest.mark.parametrize(("primary", "name"), PAIRS)
def test_tls(primary: str, name: str, server_cache: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    certificates.make(keys)
    with ExitStack() as stack:
        cluster = Cluster(stack, server_cache, tmp_path, primary, *certificates.flags("--", keys, "sqld"))
        replica = cluster.replica(name, *certificates.flags("--primary-", keys, "replica"), scheme="https")
        there, here = cluster.writer(cluster.primary), cluster.writer(replica)
        there.run("create table t(x)")
        wait_for(gives(here, "select count(*) from t", "0"))
        here.run("insert into t values (1)")
        assert there.rows("select * from t") == [["1"]]
        if name == OURS:
            flags = certificates.flags("--primary-", keys, "stranger")
            stranger = cluster.replica(name, *flags, scheme="https", folder="stranger")
            with pytest.raises((RuntimeError, OSError)):
                cluster.writer(stranger).rows("select * from t")
