"""What goes wrong between a primary and its replicas: told in words, never a wrong or malformed database."""

from __future__ import annotations

import resource
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parents[1] / "interop" / name) for name in ("_server", "_replication")]

import tokens
from history import History, Model
from replicas import Following, Replica, Writer
from sqld_process import NAMES, OURS, Server

import libsql_core

COUNT = "select count(*), sum(x) from t"


@pytest.fixture(params=NAMES)
def primary(request: pytest.FixtureRequest, server_cache: Path, tmp_path: Path) -> Iterator[Server]:
    with Server(request.param, server_cache, tmp_path / "primary") as server, Writer(server.port) as writer:
        writer.run("create table t(id integer primary key, x)")
        writer.run("insert into t(x) values (1)")
        yield server


def insert(server: Server, *values: int) -> None:
    with Writer(server.port) as writer:
        for value in values:
            writer.run(f"insert into t(x) values ({value})")


def rows(con: libsql_core.Connection, sql: str = COUNT) -> list[tuple[object, ...]]:
    return con.execute(sql).fetchall()


def sound(file: Path, *expected: object) -> None:
    with closing(libsql_core.connect(file)) as con:
        assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert rows(con) == [expected]


@pytest.mark.parametrize("name", NAMES)
def test_wrong_token(name: str, server_cache: Path, tmp_path: Path) -> None:
    key = {"SQLD_AUTH_JWT_KEY": tokens.public_raw(tokens.KEY)}
    with Server(name, server_cache, tmp_path / "primary", env=key) as server:
        right = tokens.token(tokens.KEY, {"a": "rw"})
        with Writer(server.port, right) as writer:
            writer.run("create table t(id integer primary key, x)")
        for wrong in ("", "no token", tokens.token(tokens.STRANGE_KEY, {"a": "rw"})):
            con = libsql_core.connect(tmp_path / "r.db", sync_url=server.url, auth_token=wrong)
            with closing(con), pytest.raises(libsql_core.OperationalError, match=r"(?i)auth|token|jwt"):
                con.sync()
        with closing(libsql_core.connect(tmp_path / "r.db", sync_url=server.url, auth_token=right)) as con:
            con.sync()
            assert rows(con) == [(0, None)]
        reader = tokens.token(tokens.KEY, {"a": "ro"})
        with closing(libsql_core.connect(tmp_path / "r.db", sync_url=server.url, auth_token=reader)) as con:
            con.sync()
            with pytest.raises(libsql_core.OperationalError):
                con.execute("insert into t(x) values (1)")
            assert rows(con) == [(0, None)]


def test_nobody_there(primary: Server, tmp_path: Path) -> None:
    with closing(libsql_core.connect(tmp_path / "r.db", sync_url=primary.url)) as con:
        con.sync()
        primary.kill()
        with pytest.raises(libsql_core.OperationalError, match=str(primary.port)):
            con.sync()
        assert rows(con) == [(1, 1)]
        with pytest.raises(libsql_core.OperationalError):
            con.execute("insert into t(x) values (2)")


@pytest.mark.parametrize("more", [0, 1, 30])
def test_older_backup(more: int, primary: Server, server_cache: Path, tmp_path: Path) -> None:
    """The primary comes back from a copy that is older than the replica, and goes on from there."""
    with closing(libsql_core.connect(tmp_path / "r.db", sync_url=primary.url)) as con:
        insert(primary, 2, 3)
        con.sync()
        primary.stop()
        shutil.copytree(primary.data, tmp_path / "backup")
        with Server(primary.name, server_cache, primary.folder, port=primary.port) as server:
            insert(server, *range(100, 110))
            con.sync()
            assert rows(con) == [(13, 1051)]
            server.stop()
        shutil.rmtree(primary.data)
        shutil.copytree(tmp_path / "backup", primary.data)
        with Server(primary.name, server_cache, primary.folder, port=primary.port) as server:
            insert(server, *[7] * more)
            con.sync()
            assert rows(con) == [(3 + more, 6 + 7 * more)]
    sound(tmp_path / "r.db", 3 + more, 6 + 7 * more)


def test_two_processes(primary: Server, server_cache: Path, tmp_path: Path) -> None:
    """They share a file; both see states of the history alone."""
    history = History("two", pages=20)
    with ExitStack() as stack:
        model = stack.enter_context(closing(Model(history)))
        writer = stack.enter_context(Writer(primary.port))
        writer.run("drop table t")
        writer.run(history.text(0))
        replicas = [
            stack.enter_context(Replica("libsql_core", server_cache, tmp_path / "r" / "r.db", primary.url))
            for _ in range(2)
        ]
        following = Following(replicas, 150)
        for n in range(1, 151):
            writer.run(history.text(n))
        answers = following.answers()
        model.run(150, {n for answer in answers for n, _ in answer["seen"]})
        for answer in answers:
            assert answer["errors"] == []
            model.check(answer["seen"], "one of two")
            assert answer["seen"][-1][0] == 150
        for replica in replicas:
            replica.end()


def test_edited_locally(primary: Server, tmp_path: Path) -> None:
    file = tmp_path / "r.db"
    with closing(libsql_core.connect(file, sync_url=primary.url)) as con:
        con.sync()
    with closing(libsql_core.connect(file)) as con:
        con.execute("insert into t(x) values (99)")
        con.commit()
    insert(primary, 2)
    edited = libsql_core.connect(file, sync_url=primary.url)
    with closing(edited), pytest.raises(libsql_core.OperationalError, match="changed"):
        edited.sync()
    for path in tmp_path.glob("r.db*"):
        path.unlink()
    with closing(libsql_core.connect(file, sync_url=primary.url)) as con:
        con.sync()
        assert rows(con) == [(2, 3)]


def test_disk_full_at_the_replica(primary: Server, server_cache: Path, tmp_path: Path) -> None:
    """It may use a megabyte; what comes must be whole transactions."""
    with Writer(primary.port) as writer:
        for value in range(2, 12):
            writer.run(f"insert into t(x) values ({value}); insert into t(x) values (zeroblob(200000))")
    file = tmp_path / "r" / "r.db"
    with Replica("libsql_core", server_cache, file, primary.url) as replica:
        resource.prlimit(replica.process.pid, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        with pytest.raises(RuntimeError, match=r"(?i)full|disk|i/o|space"):
            replica.ask("sync")
        seen = replica.ask("read", sql="select count(*) from sqlite_schema where name = 't'")["rows"]
        assert seen in ([[0]], [[1]])
    with Replica("libsql_core", server_cache, file, primary.url) as replica:
        replica.ask("sync")
        assert replica.ask("read", sql="select count(*) from t")["rows"] == [[21]]
        replica.end()
    with closing(libsql_core.connect(file)) as con:
        assert con.execute("pragma integrity_check").fetchall() == [("ok",)]


def test_disk_full_at_the_primary(server_cache: Path, tmp_path: Path) -> None:
    """A commit that finds no room is an error for its client; what was acknowledged before stays, in the log, too."""
    with ExitStack() as stack:
        server = stack.enter_context(Server(OURS, server_cache, tmp_path / "primary"))
        con = stack.enter_context(closing(libsql_core.connect(tmp_path / "r.db", sync_url=server.url)))
        done = 0
        with Writer(server.port) as writer:
            writer.run("create table t(id integer primary key, x)")
            con.sync()
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (3 << 20, 3 << 20))
            failed = ""
            while not failed and done < 100:
                try:
                    writer.run("insert into t(x) values (zeroblob(100000))")
                    done += 1
                except RuntimeError as error:
                    failed = str(error)
            assert 0 < done < 100
            assert writer.rows("select count(*) from t") == [[str(done)]]
        con.sync()
        assert rows(con, "select count(*) from t") == [(done,)]
        server.kill()
        server = stack.enter_context(Server(OURS, server_cache, tmp_path / "primary", port=server.port))
        insert(server, 5)
        con.sync()
        assert rows(con, "select count(*) from t") == [(done + 1,)]
        assert rows(con, "pragma integrity_check") == [("ok",)]
