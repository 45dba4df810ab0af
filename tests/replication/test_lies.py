"""Primaries that lie: what cannot be is refused, and the replica stays what it was."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

sys.path += [str(Path(__file__).parents[1] / "interop" / name) for name in ("_server", "_replication")]
sys.path.append(str(Path(__file__).parent))

from lying_primary import Lie, LyingPrimary, on_frames, on_hello
from replicas import Writer
from sqld_process import OURS, Server

import libsql_core

Fields = list[list[Any]]
BATCH = "BatchLogEntries"


def swapped(frames: Fields) -> None:
    frames[0], frames[-1] = frames[-1], frames[0]


def missing(frames: Fields) -> None:
    del frames[1]


def twice(frames: Fields) -> None:
    frames.insert(1, frames[0])


def shifted(frames: Fields) -> None:
    for frame in frames:
        frame[0] += 1


def unfinished(frames: Fields) -> None:
    frames[-1][3] = 0


def page_zero(frames: Fields) -> None:
    frames[0][2] = 0


def far_page(frames: Fields) -> None:
    frames[0][2] = 0xFFFFFFFF


def short(frames: Fields) -> None:
    frames[0][4] = frames[0][4][:-1]


def long(frames: Fields) -> None:
    frames[0][4] += b"\0"


def endless(hello: Any) -> None:
    hello.current_replication_index += 1000


def nameless(hello: Any) -> None:
    hello.log_id = "not a uuid"


def no_token(hello: Any) -> None:
    hello.session_token = b"\xff"


LIES: list[tuple[str, Lie]] = [
    *((BATCH, on_frames(each)) for each in (swapped, missing, twice, shifted, unfinished, page_zero, far_page)),
    *((BATCH, on_frames(each)) for each in (short, long)),
    *(("Hello", on_hello(each)) for each in (endless, nameless, no_token)),
    (BATCH, lambda told: [b"\xff" * 50]),
    (BATCH, lambda told: [told[0][: len(told[0]) // 2]]),
    (BATCH, lambda told: []),
    (BATCH, lambda told: told * 2),
    ("Hello", lambda told: [b""]),
]


@pytest.fixture
def primary(server_cache: Path, tmp_path: Path) -> Iterator[Server]:
    with Server(OURS, server_cache, tmp_path / "primary") as server, Writer(server.port) as writer:
        writer.run("create table t(id integer primary key, x)")
        writer.run("insert into t(x) values (1)")
        yield server


@pytest.mark.parametrize("fresh", [True, False])
def test_lies(fresh: bool, primary: Server, tmp_path: Path) -> None:
    """Told to a replica that has something already, and to one that is empty."""
    with LyingPrimary(primary.port) as liar, Writer(primary.port) as writer:
        for number, (call, lie) in enumerate(LIES):
            file = tmp_path / f"{number}.db"
            with closing(libsql_core.connect(file, sync_url=liar.url)) as con:
                if not fresh:
                    con.sync()
                before = int(writer.rows("select count(*) from t")[0][0] or 0)
                writer.run("insert into t(x) values (zeroblob(20000))")
                writer.run("update t set x = id")
                liar.lies = {call: lie}
                with pytest.raises(libsql_core.OperationalError) as raised:
                    con.sync()
                assert "malformed" not in str(raised.value), number
                # A transaction that was told rightly may be there.
                assert not con.in_transaction
                if con.execute("select 1 from sqlite_schema where name = 't'").fetchall():
                    ((count,),) = con.execute("select count(*) from t").fetchall()
                    assert count in (before, before + 1) or (fresh and count < before), number
                else:
                    assert fresh
                assert con.execute("pragma integrity_check").fetchall() == [("ok",)], number
                liar.lies = {}
                con.sync()
                there = writer.rows("select count(*), sum(x) from t")
                here = con.execute("select count(*), sum(x) from t").fetchall()
                assert [[str(cell) for cell in row] for row in here] == there, number


def test_damaged_bodies(primary: Server, tmp_path: Path) -> None:
    """Ends anywhere, or has a bit turned over where it counts."""
    with LyingPrimary(primary.port) as liar, Writer(primary.port) as writer:
        for cut in [*range(0, 120, 7), 4000, -5, -30]:
            writer.run("insert into t(x) values (zeroblob(3000))")
            with closing(libsql_core.connect(tmp_path / "r.db", sync_url=liar.url)) as con:
                liar.body = lambda told, cut=cut: told[:cut] if len(told) > 4000 else told
                with pytest.raises(libsql_core.OperationalError):
                    con.sync()
                liar.body = lambda told, cut=cut: bytes([told[0] ^ 0x40]) + told[1:] if told else told
                with pytest.raises(libsql_core.OperationalError):
                    con.sync()
                liar.body = None
                con.sync()
                ((count,),) = con.execute("select count(*) from t").fetchall()
                assert [[str(count)]] == writer.rows("select count(*) from t")
