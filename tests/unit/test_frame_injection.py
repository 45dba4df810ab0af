"""A primary's frames written into a replica's file: whole transactions, under readers, and nothing that cannot be."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import libsql_core
from libsql_core import _engine as engine

FRAME = 4120


def commit(con: engine.ServerConnection, sql: str) -> None:
    for plan in con.parse(sql):
        con.run(plan)


def message(*frames: bytes) -> bytes:
    """A wal_log.Frames."""
    return b"".join(b"\x0a\x9b\x20\x0a\x98\x20" + frame for frame in frames)


class Source:
    """Frames of a database: each transaction adds a row, one of them 3000 pages."""

    def __init__(self, folder: Path) -> None:
        log = engine.ReplicationLog(folder)
        con = engine.ServerConnection(folder / "data", name="x", log=log, row_limit=1 << 24)
        commit(con, "create table t(a integer primary key, x)")
        for i in range(1, 6):
            commit(con, f"insert into t values ({i}, zeroblob(9000))")
        commit(con, "insert into t values (6, zeroblob(12000000))")
        commit(con, "insert into t values (7, randomblob(9000))")
        con.close()
        self.data = log.read(0, log.last + 1)
        log.seal()
        log.compact()
        snapshot = log.snapshot(0)
        assert snapshot is not None
        self.snapshot = [entry for group in engine.snapshot_frames(snapshot) for entry in group]
        log.close()
        self.frames = [self.data[at : at + FRAME] for at in range(0, len(self.data), FRAME)]
        # The number behind the last frame of each transaction.
        self.ends = [i + 1 for i, frame in enumerate(self.frames) if frame[20:24] != bytes(4)]
        self.file = folder / "data"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return Source(tmp_path_factory.mktemp("source"))


@pytest.fixture
def injector(tmp_path: Path) -> Iterator[engine.Injector]:
    made = engine.Injector(tmp_path / "copy")
    yield made
    made.close()


def rows(path: Path, key: str | None = None) -> int:
    """How many rows the file has; it is sound."""
    with closing(libsql_core.connect(path, encryption_key=key)) as con:
        assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
        found = con.execute("select count(*) from sqlite_schema where name = 't'").fetchone()[0]
        return int(con.execute("select count(*) from t").fetchone()[0]) if found else -1


def test_transactions_are_whole(source: Source, injector: engine.Injector, tmp_path: Path) -> None:
    """Frames come one by one and in pieces of any size: readers see rows once their transaction is whole."""
    copy = tmp_path / "copy"
    at = 0
    while at < source.ends[5] + 100:
        if at % 3:
            done = injector.frame(message(source.frames[at])[3:], at)
            assert done == (1, at, at if at + 1 in source.ends else -1)
            at += 1
        else:
            piece = source.frames[at : at + 7]
            done = injector.frames(message(*piece), at)
            ended = [end for end in source.ends if at < end <= at + len(piece)]
            assert done == (len(piece), at + len(piece) - 1, ended[-1] - 1 if ended else -1)
            at += len(piece)
        assert rows(copy) == max(sum(end <= at for end in source.ends) - 1, -1)
    while at < len(source.frames):
        piece = source.frames[at : at + 500]
        at = injector.frames(message(*piece), at).last + 1
        assert rows(copy) == sum(end <= at for end in source.ends) - 1
    injector.close()
    with closing(libsql_core.connect(copy)) as con:
        con.execute("pragma wal_checkpoint(truncate)")
    assert copy.read_bytes() == source.file.read_bytes()


def test_what_is_not_whole_is_forgotten(source: Source, injector: engine.Injector, tmp_path: Path) -> None:
    start, end = source.ends[5:7]
    injector.frames(message(*source.frames[:start]), 0)
    for stop in (start + 5, start + 2000):
        assert injector.frames(message(*source.frames[start:stop]), start).committed == -1
        assert rows(tmp_path / "copy") == 5
        injector.rollback()
        # Nothing is held: others write.
        with closing(libsql_core.connect(tmp_path / "copy", timeout=0)) as con:
            con.execute("begin immediate")
    # A peer that starts over does so without a rollback.
    injector.frames(message(*source.frames[start : start + 2000]), start)
    assert injector.frames(message(*source.frames[start:end]), start).committed == end - 1
    injector.frames(message(*source.frames[end : end + 1]), end)
    injector.close()
    assert rows(tmp_path / "copy") == 6


def test_readers_keep_what_they_see(source: Source, injector: engine.Injector, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    injector.frames(message(*source.frames[: source.ends[1]]), 0)
    with closing(libsql_core.connect(copy)) as con:
        cursor = con.execute("select a from t union all select a from t")
        assert cursor.fetchone() == (1,)
        # The log is copied into the file as far as readers allow.
        injector.frames(message(*source.frames[source.ends[1] : source.ends[6]]), source.ends[1])
        assert cursor.fetchall() == [(1,)]
        assert con.execute("select count(*) from t").fetchone() == (6,)
        con.execute("pragma wal_checkpoint(truncate)")
        con.execute("begin")
        assert con.execute("select count(*) from t").fetchone() == (6,)
        injector.frames(message(*source.frames[source.ends[6] :]), source.ends[6])
        assert con.execute("select count(*) from t").fetchone() == (6,)
        con.rollback()
        assert con.execute("select count(*) from t").fetchone() == (7,)


def test_the_log_does_not_grow(source: Source, tmp_path: Path) -> None:
    with closing(engine.Injector(tmp_path / "copy", wal_autocheckpoint=10)) as injector:
        for _ in range(40):
            injector.frames(message(*source.frames[: source.ends[4]]), 0)
        assert (tmp_path / "copy-wal").stat().st_size < 60 * 4120


def damaged(frame: bytes, at: int, value: bytes) -> bytes:
    return frame[:at] + value + frame[at + len(value) :]


def test_what_cannot_be_is_refused(source: Source, injector: engine.Injector, tmp_path: Path) -> None:
    good = source.frames
    end = source.ends[0]
    later = message(*good[end : source.ends[1]])
    cases = [
        (message(*good[:end]), 1, "frame 0 comes where 1 was expected"),
        (message(good[0], good[2]), 0, "frame 2 comes where 1 was expected"),
        (message(damaged(good[0], 16, bytes(4)), *good[1:end]), 0, "frame 0 is of page 0, which no database has"),
        (message(damaged(good[0], 16, struct.pack("<I", 262145))), 0, "is of page 262145, which no database has"),
        (message(damaged(good[0], 40, b"\x04\x00"), *good[1:end]), 0, "page 1 is not that of a database with pages"),
        (message(good[0], damaged(good[1], 1000, b"?")), 0, "frame 1 does not follow from the frame before"),
        (b"\x0a\x03\x0a\x01x", 0, "a frame has 1 bytes"),
        (b"\x0a\x02\x10\x01", 0, "a frame has no bytes"),
        (b"\x0a\x9b\x20" + bytes(100), 0, "a field is longer than the message"),
        (b"\x0a\xff", 0, "a number is cut off"),
        (b"\x0b", 0, "a field has the wire type 3"),
    ]  # fmt: skip
    for data, expected, text in cases:
        with pytest.raises(engine.ReplicationError, match=text):
            injector.frames(data, expected)
        assert rows(tmp_path / "copy") == -1
    assert injector.frames(b"", 0) == (0, -1, -1)
    assert injector.frames(message(*good[:end]) + b"\x12\x01x\x18\x05", 0).committed == end - 1
    # The checksum before is known from the last call, or told.
    with pytest.raises(engine.ReplicationError, match=f"frame {end} does not follow"):
        injector.frames(message(damaged(good[end], 200, b"???"), *good[end + 1 : source.ends[1]]), end)
    with pytest.raises(engine.ReplicationError, match=f"frame {end} does not follow"):
        injector.frames(later, end, previous=1)
    (before,) = struct.unpack_from("<Q", good[end - 1], 8)
    assert injector.frames(memoryview(later), end, previous=before).committed == source.ends[1] - 1
    assert issubclass(engine.ReplicationError, libsql_core.OperationalError)
    assert rows(tmp_path / "copy") == 1


def test_snapshots(source: Source, injector: engine.Injector, tmp_path: Path) -> None:
    copy, entries = tmp_path / "copy", source.snapshot
    last = len(source.frames) - 1
    for wrong, expected, text in (
        (entries[:-1], 0, "the snapshot ends before its last frame"),
        ([], 0, "the snapshot ends before its last frame"),
        ([entries[1], entries[0]], 0, f"frame {last} comes behind frame"),
        ([*entries, entries[-1]], 0, "comes behind the end of the snapshot|comes behind frame"),
        (entries, last, "is older than"),
        ([b"\x0a\x00"], 0, "a frame has 0 bytes"),
    ):
        with pytest.raises(engine.ReplicationError, match=text):
            injector.snapshot(wrong, expected)
        if wrong != [*entries, entries[-1]]:
            assert rows(copy) in (-1, 7)
    assert injector.snapshot(iter(entries), 0) == (len(entries), last, last)
    assert rows(copy) == 7
    injector.close()
    with closing(libsql_core.connect(copy)) as con:
        con.execute("pragma wal_checkpoint(truncate)")
    assert copy.read_bytes() == source.file.read_bytes()


def test_an_encrypted_replica(source: Source, tmp_path: Path) -> None:
    with closing(engine.Injector(tmp_path / "copy", encryption_key="k", cipher="aes256cbc")) as injector:
        injector.frames(message(*source.frames[: source.ends[3]]), 0)
        start, end = source.ends[3:5]
        assert rows(tmp_path / "copy", "k") == 3
        injector.frames(message(*source.frames[start:end]), start)
    assert rows(tmp_path / "copy", "k") == 4
    assert b"SQLite" not in (tmp_path / "copy").read_bytes()
    with pytest.raises(libsql_core.DatabaseError, match="not a database"):
        engine.Injector(tmp_path / "copy")


def test_into_a_database_with_a_log(source: Source, tmp_path: Path) -> None:
    """Its log gets the very same frames, whatever the pieces they come in, and goes on behind them."""
    log = engine.ReplicationLog(tmp_path)
    with closing(engine.Injector(tmp_path / "data", log=log)) as injector:
        at = 0
        while at < source.ends[5]:
            piece = source.frames[at : min(at + 4, source.ends[5])]
            assert injector.frames(message(*piece), at).last == at + len(piece) - 1
            at += len(piece)
            assert log.last + 1 == max([end for end in source.ends if end <= at], default=0)
        assert log.read(0, at) == source.data[: at * FRAME]
        start, end = source.ends[5:7]
        injector.frames(message(*source.frames[start : start + 2000]), start)
        injector.rollback()
        assert log.last + 1 == start
        with pytest.raises(engine.ReplicationError, match=f"frame {start + 1} comes where the log expects {start}"):
            injector.frames(message(source.frames[start + 1]), start + 1)
        assert injector.frames(message(*source.frames[start:end]), start).committed == end - 1
        assert log.read(0, end) == source.data[: end * FRAME]
    with closing(engine.ServerConnection(tmp_path / "data", name="x", log=log)) as con:
        commit(con, "insert into t values (8, 'a row of its own')")
    assert log.last >= end
    assert rows(tmp_path / "data") == 7
    log_id, last = log.log_id, log.last
    log.close()
    with closing(engine.ReplicationLog(tmp_path)) as log:
        assert (log.log_id, log.last) == (log_id, last)


def test_after_close(injector: engine.Injector, tmp_path: Path) -> None:
    injector.close()
    injector.close()
    for call in (lambda: injector.frames(b"", 0), lambda: injector.snapshot([], 0), injector.rollback):
        with pytest.raises(libsql_core.ProgrammingError, match="the injector is closed"):
            call()
    with pytest.raises(libsql_core.OperationalError, match="unable to open"):
        engine.Injector(tmp_path / "no folder" / "x")
    # What is not a snapshot.
    (tmp_path / "x").write_bytes(os.urandom(48))
    with pytest.raises(engine.ReplicationError, match="not a snapshot"):
        engine.snapshot_frames(tmp_path / "x")
