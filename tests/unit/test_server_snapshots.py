"""What happens when a log becomes a snapshot: by its size, by its age, and the command that is run with it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from libsql_core._engine import ServerConnection
from libsql_core.server import snapshot_script
from libsql_core.server.config import Config
from libsql_core.server.directory import Directory
from libsql_core.server.listen import Changes
from libsql_core.server.metastore import NamespaceConfig
from libsql_core.server.namespace import Namespace, Parts
from libsql_core.server.pool import Slots
from libsql_core.server.snapshot_script import SnapshotScript

LOG = "270e4cd3-0d28-4d4d-8c55-9a5c6d2a9d4e"


async def until(condition: Callable[[], bool]) -> None:
    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(wait(), 30)


async def write(namespace: Namespace, sql: str) -> None:
    connection = await namespace.acquire()
    connection.execute(connection.plan(sql), None, None, ServerConnection.PLAIN, 1 << 20)
    namespace.wrote(connection)
    namespace.release(connection)


@pytest.mark.parametrize("settings", [Config(max_log_size=1), Config(max_log_duration=0.001)])
def test_a_log_becomes_a_snapshot(tmp_path: Path, settings: Config) -> None:
    async def main() -> None:
        parts = Parts(settings, Slots(9, 9, 1), Changes)
        namespace = await asyncio.to_thread(
            lambda: Namespace("default", NamespaceConfig(shared_schema=False), tmp_path / "db", parts)
        )
        log = namespace.log
        assert log is not None
        await write(namespace, "create table t(a)")
        rows = 400 if settings.max_log_size == 1 else 1
        numbers = f"with recursive n(i) as (select 1 union all select i+1 from n where i < {rows})"
        await write(namespace, f"insert into t {numbers} select randomblob(4000) from n")
        if settings.max_log_size != 1:
            await asyncio.sleep(0.002)
            namespace.look()
        last = log.last
        await until(lambda: log.snapshot(last) is not None and not namespace.compacting)
        assert (log.first, log.last, log.frames_in_log) == (last + 1, last, 0)
        # Nothing was written since: there is nothing to do.
        namespace.look()
        assert not namespace.compacting
        await namespace.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("left", "durability", "kept"),
    [(None, 0, True), (b"", 0, True), (b"another boot", 0, False), (b"another boot", 1, True)],
)
def test_the_history_after_a_crash(tmp_path: Path, left: bytes | None, durability: int, kept: bool) -> None:
    """left: what the file says that the last server left behind; None: that of this boot."""
    config = NamespaceConfig(shared_schema=False, durability_mode=durability)

    async def main() -> None:
        parts = Parts(Config(), Slots(9, 9, 1), Changes)
        namespace = await asyncio.to_thread(lambda: Namespace("default", config, tmp_path / "db", parts))
        await write(namespace, "create table t(a)")
        log = namespace.log
        assert log is not None
        before = log.log_id, log.last
        mark = (tmp_path / "db" / ".sentinel").read_bytes()
        await namespace.close()
        (tmp_path / "db" / ".sentinel").write_bytes(mark if left is None else left)
        again = await asyncio.to_thread(lambda: Namespace("default", config, tmp_path / "db", parts))
        assert again.log is not None
        assert ((again.log.log_id, again.log.last) == before) == kept
        assert (tmp_path / "db" / ".sentinel").read_bytes() == mark
        await again.close()

    asyncio.run(main())


@pytest.mark.skipif(sys.platform == "win32", reason="2026-11-21: the command is a shell script")
def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_script, "FIRST_S", 0.01)
    said = tmp_path / "said"
    command = tmp_path / "command"
    # The first time it fails; the second it forgets to remove the file.
    command.write_text(
        f'#!/bin/sh\necho "$@" >> {said}\ncase $(wc -l < {said}) in *1) exit 3;; *2) exit 0;; esac\nrm "$1"\n'
    )
    command.chmod(0o755)
    snapshot = tmp_path / "x.snap"
    snapshot.write_bytes(b"frames")

    async def main() -> None:
        script = SnapshotScript(str(command), tmp_path)
        script.add(str(snapshot), "default", 16, 300, LOG)
        kept = tmp_path / "script_backup" / f"default:{LOG}:00000000000000000010-0000000000000000012c.snap"
        assert kept.read_bytes() == b"frames"
        # As one that was left by a server before: nobody wakes it.
        task = asyncio.create_task(script.run())
        await until(lambda: not kept.exists())
        assert said.read_text().splitlines() == [f"{kept} default 16 300 {LOG}"] * 3
        script.add(str(snapshot), "default", 301, 302, LOG)
        script.wake()
        await until(lambda: len(said.read_text().splitlines()) == 4)
        task.cancel()
        await asyncio.wait([task])
        assert snapshot.exists()

    asyncio.run(main())


def test_copies_of_another_servers_namespaces_are_expected(tmp_path: Path) -> None:
    folder = tmp_path / "dbs" / "default"
    folder.mkdir(parents=True)
    (folder / "wallog").touch()
    (tmp_path / "dbs" / "empty").mkdir()
    Directory(str(tmp_path)).close()
    assert (folder / ".copied").exists()
    assert not (tmp_path / "dbs" / "empty" / ".copied").exists()
    (folder / ".copied").unlink()
    Directory(str(tmp_path)).close()
    assert not (folder / ".copied").exists()
