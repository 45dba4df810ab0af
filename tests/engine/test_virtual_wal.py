"""The virtual WAL and the frame API as C programs see them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RunProgram = Callable[..., str]

METHODS = """
    iVersion xLimit xBeginReadTransaction xEndReadTransaction xFindFrame xReadFrame xReadFrameRaw xDbsize
    xBeginWriteTransaction xEndWriteTransaction xUndo xSavepoint xSavepointUndo xFrameCount xFrames xCheckpoint
    xCallback xExclusiveMode xHeapMemory xSnapshotGet xSnapshotOpen xSnapshotRecover xSnapshotCheck xSnapshotUnlock
    xFramesize xFile xWriteLock xDb xSavepointForget
"""
STRUCTURES = {
    "libsql_wal": {"methods": 0, "pData": 232},
    "libsql_wal_manager": {
        "bUsesShm": 0, "xOpen": 8, "xClose": 16, "xLogDestroy": 24, "xLogExists": 32, "xDestroy": 40, "pData": 48,
    },
    "libsql_pghdr": {
        "pPage": 0, "pData": 8, "pExtra": 16, "pCache": 24, "pDirty": 32, "pPager": 40, "pgno": 48, "pageHash": 52,
        "flags": 56, "nRef": 64, "pDirtyNext": 72, "pDirtyPrev": 80,
    },
}  # fmt: skip
LAYOUT = [
    *(f"{name} {8 * number}" for number, name in enumerate(METHODS.split())),
    *(f"{structure}.{name} {at}" for structure, members in STRUCTURES.items() for name, at in members.items()),
    "sizes 232 240 56 88",
    "file control 129",
]

BEGIN = "EndRead BeginRead(0) Dbsize"
COMMIT = "EndWrite Excl(0)=0 EndRead Callback"
FIRST = "Open EndRead EndRead BeginRead(1) Dbsize Find"
SPILLED = " ".join(["Frames(1,0,0)"] * 8)
# SQL, and the calls that libSQL makes for it. A frames call shows pages, size of the database, whether it commits.
STORY = [
    (".open", ""),
    ("SELECT * FROM sqlite_schema", "LogExists LogExists"),
    ("PRAGMA journal_mode=wal", "LogExists"),
    ("CREATE TABLE t(a, b)", f"LogExists {FIRST} BeginWrite Callback Frames(2,2,1) {COMMIT}"),
    ("INSERT INTO t VALUES(1, 1)", f"{BEGIN} BeginWrite Frames(1,2,1) {COMMIT}"),
    ("SELECT * FROM t", f"{BEGIN} EndRead Callback"),
    # Savepoints are made when the first page behind them is written.
    ("BEGIN", ""),
    ("INSERT INTO t VALUES(2, 2)", f"{BEGIN} BeginWrite"),
    ("SAVEPOINT a", ""),
    ("INSERT INTO t VALUES(3, 3)", "Savepoint"),
    ("SAVEPOINT b", ""),
    ("INSERT INTO t VALUES(4, 4)", "Savepoint"),
    ("ROLLBACK TO a", "Forget SavepointUndo"),
    ("RELEASE a", "Forget"),
    ("COMMIT", f"Frames(1,2,1) {COMMIT}"),
    ("BEGIN; INSERT INTO t VALUES(5, 5); ROLLBACK", f"{BEGIN} BeginWrite Undo EndWrite Excl(0)=0 EndRead Callback"),
    # A page that does not fit into the cache goes to the log by itself, before the transaction ends.
    ("PRAGMA cache_size=5", "Callback"),
    ("BEGIN", ""),
    (
        "INSERT INTO t SELECT 6, zeroblob(3000) FROM json_each('[1,2,3,4,5,6,7,8,9,10]')",
        f"{BEGIN} BeginWrite Savepoint Find Read {SPILLED} Forget",
    ),
    ("COMMIT", f"Frames(4,12,1) {COMMIT}"),
    ("PRAGMA wal_checkpoint", "Checkpoint(0,NULL) Callback"),
    ("PRAGMA wal_checkpoint(full)", "Checkpoint(1,busy) Callback"),
    ("PRAGMA wal_checkpoint(restart)", "Checkpoint(2,busy) Callback"),
    ("PRAGMA wal_checkpoint(truncate)", "Checkpoint(3,busy) Callback"),
    ("PRAGMA journal_size_limit=100000", "Limit Callback"),
    ("PRAGMA locking_mode=exclusive", "Heap Heap Callback"),
    ("INSERT INTO t VALUES(1, 1)", f"{BEGIN} Excl(-1)=1 Excl(1)=1 BeginWrite Frames(1,12,1) EndWrite EndRead Callback"),
    ("PRAGMA locking_mode=normal", "Heap Callback"),
    ("SELECT max(rowid) FROM t", f"{BEGIN} EndWrite Excl(0)=1 EndRead Callback"),
    ("PRAGMA journal_mode=delete", "Close(buf) LogExists"),
    ("PRAGMA journal_mode=wal", "LogExists"),
    ("SELECT max(rowid) FROM t", f"LogExists {FIRST} Find Find EndRead Callback"),
    (".close", "Close(buf) Destroy"),
]


def test_layout_and_calls(run_program: RunProgram) -> None:
    out = run_program("wal_trace.c", stdin="".join(f"{sql}\n" for sql, _ in STORY)).splitlines()
    assert out[: len(LAYOUT)] == LAYOUT
    assert list(zip([sql for sql, _ in STORY], out[len(LAYOUT) :], strict=True)) == STORY


def test_managers(run_program: RunProgram) -> None:
    assert run_program("wal_managers.c") == ""


def test_frames(run_program: RunProgram) -> None:
    assert run_program("wal_frames.c") == ""


def test_methods_of_the_first_generation(run_program: RunProgram) -> None:
    assert run_program("wal_v1.c").splitlines() == ["pages 4 commits 3 opens 1", "no such WAL module: counting"]


def test_the_c_of_the_documents(run_program: RunProgram, engine: Path) -> None:
    blocks = re.findall(r"```c\n(.*?)```", (ROOT / "docs" / "wal.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 2
    (engine.parent / "docs_wal.h").write_text("".join(blocks))
    assert run_program("wal_docs.c").splitlines() == [
        "open 0 0",
        *("page 1", "page 2, commit"),
        *("page 2, commit", "copied 0"),
        *("page 2, commit", "copied 0"),
        "rows 2",
    ]


def test_failing_allocations(run_program: RunProgram) -> None:
    assert run_program("wal_memory.c") == ""
