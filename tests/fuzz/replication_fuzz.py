"""Logs, snapshots and messages with frames, changed at random, against the engine.

    python replication_fuzz.py [seed] [count]

Whatever the bytes are: an error or a log, never a crash. A log that opens belongs to its database: a replica of it
equals that. A message or snapshot that is refused leaves the replica as it was behind a transaction. Run in an empty
folder; a failing case names its seed and number.
"""

from __future__ import annotations

import faulthandler
import random
import shutil
import struct
import sys
from contextlib import closing
from pathlib import Path

import libsql_core
from libsql_core import _engine as engine

FRAME = 4120


def commit(con: engine.ServerConnection, sql: str) -> None:
    for plan in con.parse(sql):
        con.run(plan)


def state(path: Path) -> str:
    """The pages of a database."""
    with closing(libsql_core.connect(path)) as con:
        return con.serialize().hex()


class Example:
    """A folder with a log as a killed process leaves it; its messages; the states of the database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with closing(engine.ReplicationLog(folder / "ns")) as log:
            with closing(engine.ServerConnection(folder / "ns" / "data", name="x", log=log)) as con:
                commit(con, "create table t(a integer primary key, x); create index i on t(x)")
                for i in range(4):
                    commit(con, f"insert into t(x) select 'row ' || value || {i} from generate_series(1, 90)")
                commit(con, "begin; delete from t where a % 3 = 1; update t set x = x || '!' where a < 60; commit")
                self.log_id = log.log_id
                self.frames = log.read(0, log.last + 1)
                self.message = log.batch(0, 10000)
                shutil.copytree(folder / "ns", folder / "killed")
            log.seal()
            [(path, _, _)] = log.compact()
            self.snapshot = Path(path)
        self.states: set[str] = set()
        target = folder / "copy"
        at = 0
        with closing(engine.Injector(target)) as injector:
            self.states.add(state(target))
            for at in range(len(self.frames) // FRAME):
                piece = self.frames[at * FRAME : (at + 1) * FRAME]
                if injector.frame(b"\x0a\x98\x20" + piece, at).committed == at:
                    self.states.add(state(target))
        self.last = at


def mutate(dice: random.Random, data: bytes, unit: int) -> bytes:
    """A few changes: bytes, numbers, pieces that are cut, moved or doubled."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        if not changed:
            break
        kind, at = dice.randrange(6), dice.randrange(len(changed))
        head = at // unit * unit + dice.randrange(32)
        if kind == 0:
            changed[at] ^= 1 << dice.randrange(8)
        elif kind == 1 and head + 4 <= len(changed):
            value = dice.choice((0, 1, 2, 262145, 1 << 31, (1 << 32) - 1, dice.getrandbits(32)))
            struct.pack_into("<I", changed, head, value)
        elif kind == 2:
            del changed[at:]
        elif kind == 3:
            del changed[at // unit * unit :][:unit]
        elif kind == 4:
            other = dice.randrange(len(changed)) // unit * unit
            changed[other : other + unit] = changed[at // unit * unit :][:unit]
        else:
            changed[at:at] = dice.randbytes(dice.choice((1, 8, unit)))
    return bytes(changed)


def try_log(dice: random.Random, example: Example, folder: Path) -> None:
    """A damaged wallog: what opens fits the database."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(example.folder / "killed", folder)
    whole = (folder / "wallog").read_bytes()
    cut = dice.choice((0, 64))
    (folder / "wallog").write_bytes(whole[:cut] + mutate(dice, whole[cut:], FRAME))
    if dice.random() < 0.3:
        wal = (folder / "data-wal").read_bytes()
        (folder / "data-wal").write_bytes(mutate(dice, wal, FRAME))
        (folder / "data-shm").unlink()
    dirty = dice.random() < 0.8
    try:
        log = engine.ReplicationLog(folder, dirty=dirty)
    except libsql_core.Error:
        return
    with closing(log):
        with closing(engine.Injector(folder / "copy")) as injector:
            message = log.batch(log.first, 100000)
            if log.first == 0 and message and dirty:
                injector.frames(message, 0)
                assert state(folder / "copy") == state(folder / "data")
        log.seal()
        log.compact()


def try_message(dice: random.Random, example: Example, path: Path) -> None:
    with closing(engine.Injector(path)) as injector:
        try:
            injector.frames(mutate(dice, example.message, FRAME + 6), 0)
        except libsql_core.Error:
            pass
        else:
            return  # what was changed is no page, but its number, say, or the size behind a transaction
    assert state(path) in example.states


def try_snapshot(dice: random.Random, example: Example, path: Path) -> None:
    file = path.with_suffix(".snap")
    file.write_bytes(mutate(dice, example.snapshot.read_bytes(), FRAME))
    with closing(engine.Injector(path)) as injector:
        try:
            injector.snapshot((entry for group in engine.snapshot_frames(file) for entry in group), 0)
        except libsql_core.Error:
            pass
        else:
            return
    assert state(path) in example.states


def place(number: int) -> Path:
    """A path of its own for each case; those of the ones before are removed."""
    for old in Path.cwd().glob("case*"):
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink()
    return Path.cwd() / f"case{number}"


def main() -> None:
    faulthandler.enable()
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    example = Example(Path.cwd() / "example")
    for number in range(count // 80):
        dice = random.Random(f"{seed} {number}")
        try:
            dice.choice((try_log, try_message, try_snapshot))(dice, example, place(number))
        except Exception as error:
            raise SystemExit(f"seed {seed}, case {number}: {error!r}") from error


if __name__ == "__main__":
    main()
