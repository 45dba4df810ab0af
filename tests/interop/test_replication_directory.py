"""A data directory moves between the real sqld and ours; replicas go on where they were."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).with_name(name)) for name in ("_server", "_replication")]

from replicas import Replica, Writer
from sqld_process import OURS, REAL, Server

# Ours comes first: where a client has spoken the log's protocol, those that speak both do, too.
CLIENTS = ["libsql_core", "libsql-old", "npm:libsql"]


@pytest.mark.parametrize(("servers", "compacted"), [((REAL, OURS, REAL), True), ((OURS, REAL, OURS), False)])
def test_moves(servers: tuple[str, ...], compacted: bool, server_cache: Path, tmp_path: Path) -> None:
    """`compacted`: the log is so short that there are snapshots, which a new replica must begin with."""
    log = ["--max-log-size", "1"] if compacted else []
    port = 0
    log_id = b""
    count = 0
    for turn, name in enumerate(servers):
        with ExitStack() as stack:
            server = stack.enter_context(Server(name, server_cache, tmp_path / "primary", *log, port=port))
            port = server.port
            writer = stack.enter_context(Writer(port))
            if turn == 0:
                writer.run("create table t(id integer primary key, x)")
            for _ in range(8):
                writer.run("insert into t(x) values (zeroblob(200000))")
                count += 1
            names = [*CLIENTS, *(f"{client} {turn}" for client in CLIENTS)]  # old ones, and new ones of this turn
            for each in names:
                client = each.split()[0]
                file = tmp_path / each.replace(":", "-") / "r.db"
                replica = stack.enter_context(Replica(client, server_cache, file, server.url))
                if turn and each == client:
                    assert replica.ask("read", sql="select count(*) from t")["rows"] == [[count - 8]]
                replica.ask("sync")
                assert replica.ask("read", sql="select count(*), sum(length(x)) from t")["rows"] == [
                    [count, count * 200_000]
                ]
                replica.end()
                found = (tmp_path / each.replace(":", "-") / "r.db-client_wal_index").read_bytes()[:16]
                assert found == (log_id or found), f"{name} began a new history"
                log_id = found
            assert server.stop() == 0
    assert (tmp_path / "primary" / "data.sqld" / "dbs" / "default" / "snapshots").exists() == compacted
