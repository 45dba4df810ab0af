"""The log of frames for replicas: its files, batches, compaction, and what is true after it was not closed."""

from __future__ import annotations

import hashlib
import random
import shutil
import struct
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import libsql_core
from libsql_core import _engine as engine

FRAME, HEADER = 4120, 64
KEY = "a passphrase"


class Primary:
    """A database with its log, and one connection to it."""

    def __init__(self, folder: Path, *, dirty: bool = False, key: str | None = None, **options: Any) -> None:
        self.folder, self.key = folder, key
        cipher: Any = None if key is None else "aes256cbc"
        self.log = engine.ReplicationLog(folder, dirty=dirty, encryption_key=key, cipher=cipher)
        self.con = engine.ServerConnection(
            folder / "data", name="x", log=self.log, encryption_key=key, cipher=cipher, **options
        )

    def run(self, sql: str) -> None:
        for plan in self.con.parse(sql):
            self.con.run(plan)

    def fail(self, sql: str) -> str:
        with pytest.raises(engine.StatementError) as caught:
            self.run(sql)
        return str(caught.value)

    def close(self) -> None:
        self.con.close()
        self.log.close()

    def frames(self) -> list[tuple[int, int, int, int]]:
        """Number, checksum, page and size of the frames in the log; their bytes follow from each other."""
        data = self.log.read(self.log.first, self.log.last + 1)
        return [struct.unpack_from("<QQII", data, at) for at in range(0, len(data), FRAME)]


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[Primary]:
    made = Primary(tmp_path / "ns")
    yield made
    made.close()


def replicate(log: engine.ReplicationLog, path: Path, start: int = 0, **options: Any) -> int:
    """All frames from `start` on, written into the file; the number behind the last."""
    injector = engine.Injector(path, **options)
    while message := log.batch(start):
        done = injector.frames(message, start)
        assert done.committed == done.last == start + done.taken - 1
        start = done.last + 1
    injector.close()
    return start


def content(path: Path, key: str | None = None) -> str:
    """Whether a database is sound, and its pages as one text."""
    with closing(libsql_core.connect(path, encryption_key=key)) as con:
        assert con.execute("pragma integrity_check").fetchall() == [("ok",)]
        return hashlib.sha256(con.serialize()).hexdigest()


def crash(primary: Primary, to: Path) -> Path:
    """The files as a killed process leaves them."""
    shutil.copytree(primary.folder, to)
    return to


def test_checksums() -> None:
    assert engine.frame_checksum(0, b"123456789") == 0xB95A56C775A41001
    assert engine.frame_checksum((1 << 64) - 1, b"123456789") == 0xB90956C775A41001
    dice = random.Random(1)
    for size in (0, 1, 8, 63, 64, 65, 127, 128, 200, 4096):
        data, before = dice.randbytes(size), dice.getrandbits(64)
        register = int(f"{before:064b}"[::-1], 2)
        for byte in data:
            register ^= byte
            for _ in range(8):
                register = register >> 1 ^ (0xD800000000000000 if register & 1 else 0)
        assert engine.frame_checksum(before, data) == register ^ (1 << 64) - 1


def test_files_of_a_new_log(primary: Primary) -> None:
    log = primary.log
    assert (log.first, log.last, log.pages, log.rebuilt, log.frames_in_log) == (0, -1, 1, True, 0)
    assert uuid.UUID(log.log_id).version == 4
    head = (primary.folder / "wallog").read_bytes()
    assert head == (
        b"SQLDWAL\0" + bytes(8) + uuid.UUID(log.log_id).bytes[::-1] + bytes(16)
        + struct.pack("<II4H", 2, 4096, 0, 0, 24, 32)
    )  # fmt: skip
    assert (log.batch(0), log.entries(0), log.read(0, 9)) == (b"", [], b"")
    primary.run("create table t(x)")
    assert [frame[2:] for frame in primary.frames()] == [(1, 0), (2, 2)]  # page 1 comes with the first commit
    primary.close()
    assert struct.unpack_from("<QQ", (primary.folder / "wallog").read_bytes(), 32) == (0, 2)


def test_frames_follow_each_other(primary: Primary) -> None:
    primary.run("create table t(x); insert into t values (1); insert into t values (zeroblob(300000))")
    data = primary.log.read(0, 1000)
    before = 0
    for i in range(primary.log.last + 1):
        number, checksum, page, _ = struct.unpack_from("<QQII", data, i * FRAME)
        assert number == i
        assert checksum == engine.frame_checksum(before, data[i * FRAME + 24 : (i + 1) * FRAME])
        assert 1 <= page <= primary.log.pages
        before = checksum
    assert len(data) == (primary.log.last + 1) * FRAME
    assert (primary.folder / "wallog").read_bytes()[HEADER:] == data


def test_batches_end_with_a_transaction(primary: Primary) -> None:
    primary.run("create table t(x); insert into t values (zeroblob(40000))")
    for i in range(5):
        primary.run(f"insert into t values ({i})")
    frames = primary.frames()
    ends = [number for number, _, _, size in frames if size]
    assert len(ends) == 7
    for start in range(len(frames)):
        for most in (1, 2, 5, 100):
            message = primary.log.batch(start, most)
            expected = next((end for end in ends if end >= start + most - 1), ends[-1])
            assert message.count(b"SQLite format 3") <= len(message) // FRAME == expected - start + 1
    # A commit's frame carries its time, the others have none.
    assert [len(entry) for entry in primary.log.entries(0, 3)] == [4123, 4130, 4123]
    first, second = primary.log.entries(0, 2)
    assert primary.log.batch(0, 2) == b"\x0a\x9b\x20" + first + b"\x0a\xa2\x20" + second
    assert primary.log.batch(len(frames)) == b""
    with pytest.raises(ValueError, match="begins with frame 0"):
        primary.log.batch(-1)


def test_what_is_rolled_back_is_forgotten(primary: Primary) -> None:
    primary.run("create table t(x)")
    last = primary.log.last
    # More than the cache holds: pages spill into both logs.
    fill = "insert into t select zeroblob(900) from generate_series(1, 4000)"
    primary.run(f"begin; {fill}")
    assert (primary.folder / "wallog").stat().st_size > HEADER + 500 * FRAME
    assert primary.log.last == last
    assert primary.log.batch(last + 1) == b""
    assert not primary.log.seal()
    primary.run("rollback")
    assert primary.log.last == last
    primary.run(f"begin; insert into t values (1); savepoint a; {fill}; rollback to a")
    primary.run("insert into t values (2); commit")
    assert [frame[0] for frame in primary.frames()] == list(range(primary.log.last + 1))
    assert primary.log.last < last + 10
    replicate(primary.log, primary.folder / "copy")
    assert content(primary.folder / "copy") == content(primary.folder / "data")


class Model:
    """Random transactions."""

    def __init__(self, primary: Primary, seed: int) -> None:
        self.primary, self.dice, self.tables = primary, random.Random(seed), 0

    def statement(self) -> str:
        dice, table = self.dice, f"t{self.dice.randint(0, max(self.tables - 1, 0))}"
        kind = dice.random()
        if self.tables == 0 or kind < 0.08:
            self.tables += 1
            return f"create table t{self.tables - 1}(a integer primary key, b, c)"
        if kind < 0.5:
            return (
                f"insert into {table}(b, c) select random(), zeroblob({dice.choice((3, 90, 900, 9000))})"
                f" from generate_series(1, {dice.choice((1, 3, 40, 700))})"
            )
        if kind < 0.7:
            return f"update {table} set b = random(), c = zeroblob({dice.choice((1, 2000))}) where a % 3 = 1"
        if kind < 0.9:
            return f"delete from {table} where a % {dice.choice((1, 2, 5))} = 0"
        return f"create index if not exists i{dice.randint(0, 9)} on {table}(b)"

    def step(self) -> None:
        if self.dice.random() < 0.4:
            self.primary.run(self.statement())
            return
        self.primary.run("begin")
        for _ in range(self.dice.randint(1, 5)):
            if self.dice.random() < 0.4:
                self.primary.run("savepoint a")
                tables = self.tables
                self.primary.run(self.statement())
                if self.dice.random() < 0.6:
                    self.primary.run("rollback to a")
                    self.tables = tables
                self.primary.run("release a")
            else:
                self.primary.run(self.statement())
        if self.dice.random() < 0.25:
            self.primary.run("rollback")
            with closing(libsql_core.connect(self.primary.folder / "data", encryption_key=self.primary.key)) as con:
                self.tables = con.execute("select count(*) from sqlite_schema where type = 'table'").fetchone()[0]
        else:
            self.primary.run("commit")


@pytest.mark.parametrize("seed", range(4))
def test_a_replica_equals_its_primary(seed: int, tmp_path: Path) -> None:
    primary = Primary(tmp_path / "ns", key=KEY if seed == 2 else None)
    model, copy, at = Model(primary, seed), tmp_path / "copy", 0
    log_id = primary.log.log_id
    for step in range(32):
        model.step()
        if step % 9 == 4:
            primary.con.checkpoint("TRUNCATE")
        if step % 8 == 7:
            at = replicate(primary.log, copy, at)
            assert content(copy) == content(primary.folder / "data", primary.key)
        if step in (12, 20):
            # The process dies, or stops.
            folder = crash(primary, tmp_path / f"ns{step}")
            primary.close()
            primary = model.primary = Primary(folder, dirty=True, key=primary.key)
        if step == 26:
            primary.close()
            primary = model.primary = Primary(primary.folder, key=primary.key)
        assert (primary.log.log_id, primary.log.rebuilt) == (log_id, step < 12)
    at = replicate(primary.log, copy, at)
    assert content(copy) == content(primary.folder / "data", primary.key)
    whole = tmp_path / "whole"
    assert replicate(primary.log, whole) == at
    assert content(whole) == content(copy)
    primary.close()


def test_a_database_that_shrinks(tmp_path: Path) -> None:
    with closing(libsql_core.connect(tmp_path / "data")) as con:
        con.execute("pragma auto_vacuum = full")
        con.execute("create table t(x)")
    primary = Primary(tmp_path)
    assert (primary.log.rebuilt, primary.log.last + 1) == (True, primary.log.pages)
    copy, late, at = tmp_path / "copy", tmp_path / "late", 0
    for rows, left in ((200, 10), (300, 0), (50, 49)):
        primary.run(f"insert into t select zeroblob(5000) from generate_series(1, {rows})")
        at = replicate(primary.log, copy, at)
        before = primary.log.pages
        primary.run(f"delete from t where rowid > {left}")
        assert primary.log.pages < before
        at = replicate(primary.log, copy, at)
        assert content(copy) == content(tmp_path / "data")
        primary.con.checkpoint("TRUNCATE")
    replicate(primary.log, late)
    assert content(late) == content(copy)
    assert late.stat().st_size == primary.log.pages * 4096
    log_id = primary.log.log_id
    folder = crash(primary, tmp_path / "crashed")
    primary.close()
    with closing(engine.ReplicationLog(folder, dirty=True)) as log:
        assert (log.log_id, log.last) == (log_id, at - 1)


def snapshot_of(log: engine.ReplicationLog, start: int, path: Path, key: str | None = None) -> int:
    """A snapshot that has frame `start` written into the file; the number behind its last frame."""
    name = log.snapshot(start)
    assert name is not None
    injector = engine.Injector(path)
    messages = engine.snapshot_frames(name, start, encryption_key=key)
    done = injector.snapshot((message for group in messages for message in group), start)
    injector.close()
    assert done.last == done.committed
    return done.committed + 1


@pytest.mark.parametrize("key", [None, KEY])
def test_compaction(key: str | None, tmp_path: Path) -> None:
    primary = Primary(tmp_path / "ns", key=key)
    log, copy, old = primary.log, tmp_path / "copy", tmp_path / "old"
    assert not log.seal()
    primary.run("create table t(a integer primary key, x)")
    behind = 0
    for round_ in range(5):
        primary.run("insert into t(x) select 'plain' || hex(randomblob(400)) from generate_series(1, 100)")
        primary.run("update t set x = x || '.' where a % 7 = 1")
        if round_ == 0:
            behind = replicate(log, old)
        last = log.last
        assert log.seal()
        assert (log.first, log.last, log.frames_in_log) == (last + 1, last, 0)
        assert not log.seal()
        with pytest.raises(engine.SnapshotNeeded, match=f"frame {last} is no longer in the log"):
            log.batch(last)
        assert log.batch(last + 1) == b""
        made = log.compact()
        assert made[-1][2] == last
        for name, first, end in made:
            data = Path(name).read_bytes()
            assert Path(name).name == f"{log.log_id}-{first}-{end}.snap"
            log_id, start, stop, count, size, zero = struct.unpack_from("<16sQQQII", data)
            assert (log_id[::-1], start, stop, size, zero) == (uuid.UUID(log.log_id).bytes, first, end, log.pages, 0)
            assert len(data) == 48 + count * FRAME
            numbers = [struct.unpack_from("<QQII", data, at) for at in range(48, len(data), FRAME)]
            assert numbers[0][0] == end
            assert [n[0] for n in numbers] == sorted((n[0] for n in numbers), reverse=True)
            assert len({n[2] for n in numbers}) == count
            assert {n[3] for n in numbers} == {0}
            assert (b"plain" in data) == (key is None)
        assert list((tmp_path / "ns" / "to_compact").iterdir()) == []
    # Merged once they would have made twice the database.
    assert len(list((tmp_path / "ns" / "snapshots").iterdir())) < 5
    primary.run("insert into t(x) values ('last')")
    for path, at in ((copy, 0), (old, behind)):
        while at < log.first:
            at = snapshot_of(log, at, path, key)
        replicate(log, path, at)
        assert content(path) == content(primary.folder / "data", key)
    assert log.snapshot(log.first) is None
    assert (b"last" in (primary.folder / "wallog").read_bytes()) == (key is None)
    log_id = log.log_id
    primary.close()
    primary = Primary(tmp_path / "ns", key=key)
    assert (primary.log.log_id, primary.log.rebuilt, primary.log.snapshot(0) is None) == (log_id, False, False)
    primary.close()


def test_a_crash_amid_a_merge(primary: Primary, tmp_path: Path) -> None:
    """The parts of a snapshot may still be there."""
    log = primary.log
    parts: dict[Path, bytes] = {}
    primary.run("create table t(x); insert into t select zeroblob(3000) from generate_series(1, 50)")
    for i in range(9):
        primary.run(f"update t set x = zeroblob(290{i}) where rowid % 2 = 0")
        log.seal()
        log.compact()
        found = list((primary.folder / "snapshots").iterdir())
        if len(found) < len(parts):
            break
        parts = {path: path.read_bytes() for path in found}
    assert len(found) == 1 < len(parts)
    for path, data in parts.items():
        path.write_bytes(data)
    assert snapshot_of(log, 0, tmp_path / "copy") == log.last + 1
    primary.run("insert into t values (1)")
    folder = crash(primary, tmp_path / "crashed")
    with closing(engine.ReplicationLog(folder, dirty=True)) as log:
        assert [path.name for path in (folder / "snapshots").iterdir()] == [found[0].name]
        for _ in range(2):
            log.seal()
            log.compact()
        at = 0
        while at <= log.last:
            at = snapshot_of(log, at, tmp_path / "copy")
    assert content(tmp_path / "copy") == content(folder / "data")


def test_a_crash_amid_a_seal(primary: Primary, tmp_path: Path) -> None:
    """The log may be there under two names, sealed logs may wait, a snapshot may be half written."""
    primary.run("create table t(x); insert into t values (1)")
    folder = crash(primary, tmp_path / "crashed")
    (folder / "to_compact").mkdir()
    (folder / "to_compact" / str(uuid.uuid4())).hardlink_to(folder / "wallog")
    (folder / "wallog-new").write_bytes(b"half")
    (folder / "tmp").mkdir()
    (folder / "tmp" / "x").write_bytes(b"half")
    with closing(engine.ReplicationLog(folder, dirty=True)) as log:
        assert (log.log_id, log.last, log.rebuilt) == (primary.log.log_id, primary.log.last, False)
        assert log.compact() == []
        assert list((folder / "to_compact").iterdir()) == list((folder / "tmp").iterdir()) == []
        assert log.seal()
    with closing(engine.ReplicationLog(folder)) as log:
        assert (log.log_id, log.first, log.last) == (primary.log.log_id, primary.log.last + 1, primary.log.last)
        assert [end for _, _, end in log.compact()] == [log.last]


def test_the_last_transaction_is_in_the_log_alone(primary: Primary, tmp_path: Path) -> None:
    """The process died between the two logs, or power failed and took the end of SQLite's."""
    primary.run("create table t(x); insert into t select zeroblob(900) from generate_series(1, 30)")
    sizes = []
    for i in range(4):
        sizes.append((primary.folder / "data-wal").stat().st_size)
        primary.run(f"update t set x = zeroblob(8{i}0); insert into t values ({i})")
    for lost in (1, 2, 3):
        folder = crash(primary, tmp_path / f"lost{lost}")
        with open(folder / "data-wal", "r+b") as file:
            file.truncate(sizes[4 - lost])
        (folder / "data-shm").unlink()
        with closing(engine.ReplicationLog(folder, dirty=True)) as log:
            assert (log.log_id, log.last, log.rebuilt) == (primary.log.log_id, primary.log.last, False)
        assert content(folder / "data") == content(primary.folder / "data")


def test_the_log_has_lost_its_end(primary: Primary, tmp_path: Path) -> None:
    primary.run("create table t(x); insert into t select zeroblob(900) from generate_series(1, 30)")
    last, copy = primary.log.last, tmp_path / "copy"
    replicate(primary.log, copy)
    for i in range(3):
        primary.run(f"update t set x = zeroblob(8{i}0); insert into t values ({i})")
    folder = crash(primary, tmp_path / "lost")
    with open(folder / "wallog", "r+b") as file:
        file.truncate(HEADER + (last + 1) * FRAME + 5000)
    (folder / "data-shm").unlink()
    with closing(engine.ReplicationLog(folder, dirty=True)) as log:
        assert (log.log_id, log.rebuilt) == (primary.log.log_id, False)
        assert last < log.last < primary.log.last
        assert replicate(log, copy, last + 1) == log.last + 1
        assert content(copy) == content(primary.folder / "data") == content(folder / "data")


def test_a_log_of_another_database_is_made_anew(primary: Primary, tmp_path: Path) -> None:
    primary.run("create table t(x); insert into t select zeroblob(900) from generate_series(1, 30)")
    log_id = primary.log.log_id
    primary.log.seal()
    primary.log.compact()
    primary.close()
    for dirty in (False, True):
        folder = crash(primary, tmp_path / f"other{dirty}")
        if dirty:
            (folder / "wallog").write_bytes(b"SQLDWAL\0 and nothing that makes sense")
        else:
            (folder / "wallog").unlink()
        (folder / "data").unlink()
        with closing(libsql_core.connect(folder / "data")) as con:
            con.execute("create table u(x)")
            con.executemany("insert into u values (?)", [(bytes(2000),)] * 40)
            con.commit()
        with closing(engine.ReplicationLog(folder, dirty=dirty)) as log:
            assert log.rebuilt
            assert log.log_id != log_id
            assert (log.first, log.last + 1) == (0, log.pages)
            assert list((folder / "snapshots").iterdir()) == []
            replicate(log, folder / "copy")
            assert content(folder / "copy") == content(folder / "data")


def test_a_database_from_a_backup_gets_another_log(primary: Primary, tmp_path: Path) -> None:
    primary.run("create table t(x); insert into t values (1)")
    primary.con.checkpoint("TRUNCATE")
    backup = (primary.folder / "data").read_bytes()
    primary.run("insert into t values (zeroblob(20000)); insert into t values (2)")
    log_id = primary.log.log_id
    primary.close()
    for dirty in (False, True):
        folder = crash(primary, tmp_path / f"restored{dirty}")
        for name in ("data-wal", "data-shm"):
            (folder / name).unlink(missing_ok=True)
        (folder / "data").write_bytes(backup)
        with closing(engine.ReplicationLog(folder, dirty=dirty)) as log:
            assert log.rebuilt
            assert log.log_id != log_id
            replicate(log, folder / "copy")
        assert (folder / "data").read_bytes() == backup
        assert content(folder / "copy") == content(folder / "data")


def test_other_page_sizes_are_refused(tmp_path: Path) -> None:
    with closing(libsql_core.connect(tmp_path / "data")) as con:
        con.execute("pragma page_size = 1024")
        con.execute("create table t(x)")
    with pytest.raises(libsql_core.OperationalError, match="pages of 4096 bytes, not of 1024"):
        engine.ReplicationLog(tmp_path)
    (tmp_path / "data").unlink()
    with closing(engine.ReplicationLog(tmp_path, encryption_key=KEY, cipher="aes256cbc")):
        pass
    with pytest.raises(libsql_core.DatabaseError, match="not a database"):
        engine.ReplicationLog(tmp_path, encryption_key="another", cipher="aes256cbc")


def test_a_closed_log_takes_no_commit(primary: Primary) -> None:
    primary.run("create table t(x)")
    primary.log.close()
    primary.log.close()
    assert "disk I/O error" in primary.fail("insert into t values (1)")
    with pytest.raises(libsql_core.ProgrammingError, match="the log is closed"):
        primary.log.batch(0)
