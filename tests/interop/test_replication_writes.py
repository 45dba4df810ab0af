"""Writes through embedded replicas: the same with our primary as with the real one, and with our client."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

sys.path += [str(Path(__file__).with_name(name)) for name in ("_server", "_replication")]

import tokens
from replicas import Replica, Writer
from sqld_process import NAMES, OURS, Server

OLD = ["libsql-old", "libsql_experimental", "npm:libsql", "npm:@libsql/client"]
READ = "select id, x from t order by id"
CASES = [*((name, client) for name in NAMES for client in [*OLD, "libsql_core"]), (OURS, "libsql")]


def error(replica: Replica, do: str, **arguments: Any) -> str:
    replica.send(do, **arguments)
    return str(replica.answer().get("error", "none"))


@pytest.mark.parametrize(("name", "client"), CASES)
def test_writes(name: str, client: str, server_cache: Path, tmp_path: Path) -> None:
    token = tokens.token(tokens.KEY, {"a": "rw"})
    with ExitStack() as stack:
        environment = {"SQLD_AUTH_JWT_KEY": tokens.public_raw(tokens.KEY)}
        server = stack.enter_context(Server(name, server_cache, tmp_path / "primary", env=environment))
        writer = stack.enter_context(Writer(server.port, token))
        replica, other = (
            stack.enter_context(Replica(client, server_cache, tmp_path / each / "r.db", server.url, token))
            for each in ("one", "other")
        )
        replica.ask("sync")
        create = "create table t(id integer primary key, x unique)"
        made = "select name from sqlite_schema where name = 't'"
        assert replica.ask("write", sql=[create], read=made)["rows"] == [["t"]]
        insert = "insert into t(x) values ('a')"
        assert replica.ask("write", sql=[insert], read=READ)["rows"] == [[1, "a"]]
        texts = ["insert into t(x) values ('b')", "update t set x = 'c' where id = 1"]
        assert replica.ask("write", sql=texts, read=READ)["rows"] == [[1, "c"], [2, "b"]]

        if client != "npm:@libsql/client":  # it has transactions as objects
            if client.startswith("npm"):
                replica.ask("run", sql="begin")
            replica.ask("run", sql="insert into t(x) values (?)", params=["é'"])
            assert replica.ask("run", sql="select count(*) from t", params=[])["rows"] == [[3]]
            assert writer.rows("select count(*) from t") == [["2"]]
            replica.ask("end", how="rollback")
            assert replica.ask("read", sql=READ)["rows"] == [[1, "c"], [2, "b"]]
            if client.startswith("npm"):
                replica.ask("run", sql="begin")
            for value in (None, 2**40, 1.5, "é'"):
                replica.ask("run", sql="insert into t(x) values (?)", params=[value])
            replica.ask("end", how="commit")
            expected = [[1, "c"], [2, "b"], [3, None], [4, 2**40], [5, 1.5], [6, "é'"]]
            assert replica.ask("read", sql=READ)["rows"] == expected

        assert "UNIQUE constraint failed: t.x" in error(replica, "run", sql="insert into t(x) values ('b')", params=[])
        if not client.startswith("npm"):
            replica.ask("end", how="rollback")
        assert "no such table: nope" in error(replica, "run", sql="insert into nope values (1)", params=[])
        assert error(replica, "run", sql="selec", params=[]) != "none"
        if not client.startswith("npm"):
            replica.ask("end", how="rollback")
        writer.run("insert into t(id, x) values (99, 'from elsewhere')")
        replica.ask("sync")
        rows = replica.ask("read", sql=READ)["rows"]
        assert rows[-1] == [99, "from elsewhere"]
        other.ask("sync")
        assert other.ask("read", sql=READ)["rows"] == rows
