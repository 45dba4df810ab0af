"""Frames of the log: counted, read, inserted into another database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import libsql_core as sqlite3


class Pair:
    """A database in WAL mode that keeps its log, and an empty one that takes its frames."""

    def __init__(self, folder: Path, page_size: int = 4096) -> None:
        self.folder = folder
        self.source = sqlite3.connect(folder / "source.db", isolation_level=None)
        self.copy = sqlite3.connect(folder / "copy.db", isolation_level=None, timeout=0)
        for con in (self.source, self.copy):
            con.wal_disable_checkpoint()
        self.source.execute(f"PRAGMA page_size={page_size}")
        self.source.execute("PRAGMA journal_mode=wal")
        self.source.execute("CREATE TABLE t(x)")
        self.source.execute("INSERT INTO t VALUES (1), (2)")

    def rows(self) -> list[tuple[object, ...]]:
        assert self.copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return self.copy.execute("SELECT * FROM t ORDER BY rowid").fetchall()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    made.source.close()
    made.copy.close()


def test_outside_wal_mode(tmp_path: Path) -> None:
    con = sqlite3.connect(":memory:")
    assert con.wal_frame_count() == 0
    assert con.wal_frames() == []
    with pytest.raises(ValueError, match="no such frames: 1 to 1; the log has 0"):
        con.wal_frames(1, 2)
    with pytest.raises(sqlite3.OperationalError, match="a database in memory has no log"):
        con.wal_insert([bytes(7) + b"\1" + bytes(16 + 4096)])
    con.close()


def test_what_a_frame_is(pair: Pair) -> None:
    frames = pair.source.wal_frames()
    assert pair.source.wal_frame_count() == len(frames) == 3
    assert {len(frame) for frame in frames} == {24 + 4096}
    assert [int.from_bytes(frame[:4], "big") for frame in frames] == [1, 2, 2]
    assert [int.from_bytes(frame[4:8], "big") for frame in frames] == [0, 2, 2]
    assert frames[0][24:40] == b"SQLite format 3\0"
    log = (pair.folder / "source.db-wal").read_bytes()
    assert log[32:] == b"".join(frames)
    assert pair.source.wal_frames(2, 3) == frames[1:2]
    for start, stop in ((0, None), (2, 1), (1, 5), (5, None)):
        with pytest.raises(ValueError, match="no such frames"):
            pair.source.wal_frames(start, stop)


@pytest.mark.parametrize("page_size", [512, 1024, 4096, 65536])
def test_copy(tmp_path: Path, page_size: int) -> None:
    pair = Pair(tmp_path, page_size)
    assert pair.copy.wal_insert(pair.source.wal_frames()) == 3
    assert pair.rows() == [(1,), (2,)]
    pair.source.execute("INSERT INTO t VALUES (3)")
    assert pair.copy.wal_insert(pair.source.wal_frames(4)) == 1
    assert pair.rows() == [(1,), (2,), (3,)]
    for con in (pair.source, pair.copy):
        assert con.execute("PRAGMA wal_checkpoint(truncate)").fetchone() == (0, 0, 0)
        con.close()
    assert (tmp_path / "copy.db").read_bytes() == (tmp_path / "source.db").read_bytes()


def test_frames_that_are_there_are_compared(pair: Pair) -> None:
    frames = pair.source.wal_frames()
    pair.copy.wal_insert(frames)
    assert pair.copy.wal_insert(frames, start=1) == 0
    pair.source.execute("INSERT INTO t VALUES (3)")
    assert pair.copy.wal_insert(pair.source.wal_frames(), start=1) == 1
    pair.copy.execute("INSERT INTO t VALUES (4)")
    pair.source.execute("INSERT INTO t VALUES (5)")
    with pytest.raises(sqlite3.OperationalError, match="frame 5: the log holds another frame of this number"):
        pair.copy.wal_insert(pair.source.wal_frames(), start=1)
    assert pair.rows() == [(1,), (2,), (3,), (4,)]
    with pytest.raises(sqlite3.Error, match="frame 9: the number is not that of a frame in the log or of the next one"):
        pair.copy.wal_insert(pair.source.wal_frames(5), start=9)
    assert pair.rows() == [(1,), (2,), (3,), (4,)]


def flipped(frame: bytes, at: int) -> bytes:
    return frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :]


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (3, "frame 2: its checksum does not follow from the frame before"),
        (7, "frame 2: its checksum does not follow from the frame before"),
        (10, "frame 2: its salts are not those of the frame before"),
        (15, "frame 2: its salts are not those of the frame before"),
        (18, "frame 2: its checksum does not follow from the frame before"),
        (23, "frame 2: its checksum does not follow from the frame before"),
        (24, "frame 2: its checksum does not follow from the frame before"),
        (4119, "frame 2: its checksum does not follow from the frame before"),
    ],
)
def test_damaged_frames(pair: Pair, at: int, message: str) -> None:
    frames = pair.source.wal_frames()
    frames[1] = flipped(frames[1], at)
    with pytest.raises(sqlite3.DatabaseError, match=message):
        pair.copy.wal_insert(frames, start=1)
    assert pair.copy.wal_frame_count() == 0
    assert (pair.folder / "copy.db").stat().st_size == 0
    assert pair.copy.wal_insert(pair.source.wal_frames()) == 3


def test_sizes_and_ends(pair: Pair) -> None:
    frames = pair.source.wal_frames()
    for wrong in ([b""], [bytes(24)], [frames[0][:-1]], [bytes(24 + 1000)]):
        with pytest.raises(ValueError, match="a frame is 24 bytes and one page long"):
            pair.copy.wal_insert(wrong)
    with pytest.raises(ValueError, match="cannot be of one log"):
        pair.copy.wal_insert([frames[0], frames[1] + b"x"])
    with pytest.raises(TypeError):
        pair.copy.wal_insert(["text"])  # type: ignore[list-item]
    with pytest.raises(sqlite3.DatabaseError, match="frame 1: the last one must end a transaction"):
        pair.copy.wal_insert(frames[:1], start=1)
    with pytest.raises(ValueError, match="numbered from 1"):
        pair.copy.wal_insert(frames, start=0)
    assert pair.copy.wal_insert([]) == 0
    assert pair.copy.wal_frame_count() == 0
    other = sqlite3.connect(pair.folder / "other.db", isolation_level=None)
    other.execute("PRAGMA page_size=1024")
    other.execute("CREATE TABLE t(x)")
    with pytest.raises(sqlite3.Error, match="a frame is 24 bytes and one page long"):
        other.wal_insert(frames)
    assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    other.close()


def test_readers_and_writers(pair: Pair) -> None:
    pair.copy.wal_insert(pair.source.wal_frames())
    pair.source.execute("INSERT INTO t VALUES (3)")
    frames = pair.source.wal_frames(4)
    pair.copy.execute("BEGIN")
    with pytest.raises(sqlite3.Error, match="cannot insert frames while a statement or transaction is open"):
        pair.copy.wal_insert(frames)
    pair.copy.execute("COMMIT")
    cursor = pair.copy.execute("SELECT * FROM t")
    cursor.fetchone()
    with pytest.raises(sqlite3.Error, match="cannot insert frames while a statement or transaction is open"):
        pair.copy.wal_insert(frames)
    cursor.close()

    other = sqlite3.connect(pair.folder / "copy.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="database is locked"):
        pair.copy.wal_insert(frames)
    other.execute("ROLLBACK")
    other.execute("BEGIN")
    assert len(other.execute("SELECT * FROM t").fetchall()) == 2
    assert pair.copy.wal_insert(frames) == 1
    assert len(other.execute("SELECT * FROM t").fetchall()) == 2
    other.execute("COMMIT")
    assert len(other.execute("SELECT * FROM t").fetchall()) == 3
    other.close()
    assert pair.rows() == [(1,), (2,), (3,)]


def test_the_schema_of_the_copy_follows(pair: Pair) -> None:
    pair.copy.wal_insert(pair.source.wal_frames())
    assert pair.rows() == [(1,), (2,)]
    n = pair.source.wal_frame_count()
    pair.source.execute("ALTER TABLE t ADD COLUMN y DEFAULT 'new'")
    pair.copy.wal_insert(pair.source.wal_frames(n + 1))
    assert pair.rows() == [(1, "new"), (2, "new")]


def test_disabled_checkpoints(pair: Pair) -> None:
    with pytest.raises(sqlite3.OperationalError, match="SQL logic error"):
        pair.source.execute("PRAGMA journal_mode=delete")
    assert pair.source.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    pair.source.close()
    assert (pair.folder / "source.db-wal").stat().st_size > 0
    con = sqlite3.connect(pair.folder / "source.db")
    con.wal_disable_checkpoint()
    con.execute("PRAGMA wal_autocheckpoint=1000")
    assert con.execute("SELECT count(*) FROM t").fetchone() == (2,)
    con.close()
    assert not (pair.folder / "source.db-wal").exists()
