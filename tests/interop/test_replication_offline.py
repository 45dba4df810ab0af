"""Offline writes, over the newer protocol: pushed when they can be, refused when the primary has gone on.

The real sqld does not have this protocol: clients that nobody here wrote use our server, and ours does the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

sys.path += [str(Path(__file__).with_name(name)) for name in ("_server", "_replication")]

from replicas import Replica, Writer, opened
from sqld_process import OURS, Server

import libsql_core

CLIENTS = ["libsql", "npm:libsql", "libsql_core"]
ROWS = "select x from t order by x"
Open = Callable[..., Replica]


@pytest.fixture
def primary(server_cache: Path, tmp_path: Path) -> Iterator[Server]:
    with Server(OURS, server_cache, tmp_path / "primary") as server, Writer(server.port) as writer:
        writer.run("create table t(id integer primary key, x)")
        writer.run("insert into t(x) values ('first')")
        yield server


@pytest.fixture
def open_replica(primary: Server, server_cache: Path, tmp_path: Path) -> Iterator[Open]:
    with ExitStack() as stack:

        def open_one(client: str, name: str, **options: Any) -> Replica:
            file = tmp_path / name / "r.db"
            return stack.enter_context(opened(client, server_cache, file, primary.url, name, **options))

        yield open_one


def rows(server: Server) -> list[str | None]:
    with Writer(server.port) as writer:
        assert writer.rows("pragma integrity_check") == [["ok"]]
        return [row[0] for row in writer.rows(ROWS)]


def read(replica: Replica) -> list[str]:
    return [row[0] for row in replica.ask("read", sql=ROWS)["rows"]]


def insert(replica: Replica, *values: str) -> list[str]:
    found = replica.ask("write", sql=[f"insert into t(x) values ('{value}')" for value in values], read=ROWS)
    return [row[0] for row in found["rows"]]


@pytest.mark.parametrize("client", CLIENTS)
def test_pushed(client: str, primary: Server, open_replica: Open) -> None:
    replica = open_replica(client, "one", offline=True)
    replica.ask("sync")
    assert read(replica) == ["first"]
    assert insert(replica, "second", "third") == ["first", "second", "third"]
    assert rows(primary) == ["first"]
    replica.ask("sync")
    assert rows(primary) == ["first", "second", "third"]
    with Writer(primary.port) as writer:
        writer.run("insert into t(x) values ('there')")
    replica.ask("sync")
    assert read(replica) == ["first", "second", "there", "third"]
    insert(replica, *(f"x{number:03}" + "." * 3000 for number in range(200)))  # several batches
    replica.ask("sync")
    assert len(rows(primary)) == 204
    assert primary.stop() == 0
    with closing(libsql_core.connect(primary.data / "dbs" / "default" / "data")) as con:
        assert con.execute("pragma integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("client", CLIENTS)
def test_conflict(client: str, primary: Server, open_replica: Open) -> None:
    """Two clients write offline: the second to push is told so, and begins anew."""
    one, two = (open_replica(client, name, offline=True) for name in ("one", "two"))
    for replica in (one, two):
        replica.ask("sync")
    insert(one, "one")
    insert(two, "two")
    one.ask("sync")
    with pytest.raises(RuntimeError, match=r"(?i)conflict"):
        two.ask("sync")
    assert rows(primary) == ["first", "one"]
    assert read(two) == ["first", "two"]  # what it wrote is not lost
    anew = open_replica(client, "three", offline=True)
    anew.ask("sync")
    insert(anew, "two")
    anew.ask("sync")
    one.ask("sync")
    assert rows(primary) == read(one) == ["first", "one", "two"]


@pytest.mark.parametrize("client", ["libsql", "libsql_core"])
def test_the_older_protocol_follows_what_was_pushed(client: str, primary: Server, open_replica: Open) -> None:
    """Clients of both protocols on one server, and its frame log holds what was pushed."""
    old = [open_replica(kind, kind.replace(":", "-")) for kind in ("libsql-old", "npm:libsql", "libsql_core")]
    newest = open_replica("libsql", "newest")  # writes go to the primary at once
    offline = open_replica(client, "offline", offline=True)
    for replica in (*old, newest, offline):
        replica.ask("sync")
    insert(offline, "offline")
    offline.ask("sync")
    insert(newest, "newest")
    insert(old[0], "old")
    expected = ["first", "newest", "offline", "old"]
    assert rows(primary) == expected
    for replica in (*old, newest, offline):
        replica.ask("sync")
        assert read(replica) == expected, replica.kind
    port = primary.port
    assert primary.stop() == 0
    with Server(OURS, Path(), primary.folder, port=port) as again:
        with Writer(port) as writer:
            writer.run("insert into t(x) values ('later')")
        for replica in (*old, newest, offline):
            replica.ask("sync")
            assert read(replica) == sorted([*expected, "later"]), replica.kind
        assert again.stop() == 0
