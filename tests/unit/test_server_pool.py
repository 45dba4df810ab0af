"""Connections of a namespace: limits, waiting, what is kept, and when the log is copied."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from libsql_core import _engine as engine
from libsql_core._engine import ServerConnection
from libsql_core.hrana.errors import HttpError
from libsql_core.server import pool as module
from libsql_core.server.lock import WriterQueue
from libsql_core.server.pool import Pool, Slots


class Fake:
    """A connection that only remembers what was done with it."""

    def __init__(self, broken: bool = False) -> None:
        self.wal_pages = 0
        self.broken = broken
        self.resets = 0
        self.closed = False
        self.interrupted = False
        self.checkpoints: list[str] = []

    def reset(self) -> bool:
        assert not self.closed
        self.resets += 1
        return not self.broken

    def checkpoint(self, mode: str) -> tuple[int, int]:
        assert not self.closed
        self.checkpoints.append(mode)
        return (0, 0)

    def interrupt(self) -> None:
        self.interrupted = True

    def close(self) -> None:
        self.closed = True


class Made:
    def __init__(self, connections: int = 4, waiting: int = 10, timeout: float = 0.05) -> None:
        self.all: list[Fake] = []
        self.slots = Slots(connections, waiting, timeout)
        self.writers = WriterQueue(lambda: 5)
        self.pool = self.add()

    def make(self) -> Any:
        self.all.append(Fake())
        return self.all[-1]

    def add(self) -> Pool:
        return Pool("db1", self.slots, self.make, self.writers, 1000)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 10))


async def refused(call: Awaitable[object]) -> tuple[int, str]:
    with pytest.raises(HttpError) as caught:
        await call
    return caught.value.status, caught.value.message


TIMED_OUT = 429, "Timed out while opening database connection"
TOO_MANY = 429, "Too many concurrent requests"


def test_connections_are_used_again() -> None:
    async def main() -> None:
        made = Made()
        first = await made.pool.acquire()
        second = await made.pool.acquire()
        assert first is not second
        made.pool.release(first)
        made.pool.release(second)
        assert await made.pool.acquire() is second
        assert len(made.all) == 3
        assert made.all[2].resets == 1
        made.all[2].broken = True
        made.pool.release(second)
        assert made.all[2].closed
        assert made.slots.free == 4
        await made.pool.close()

    run(main())


def test_the_idle_one_is_that_which_is_used_next() -> None:
    async def main() -> None:
        made = Made()
        assert made.pool.idle is None
        taken = [await made.pool.acquire() for _ in range(2)]
        assert made.pool.idle is None
        for connection in taken:
            made.pool.release(connection)
            assert made.pool.idle is connection
        assert made.slots.free == 4
        assert await made.pool.acquire() is taken[1]
        assert made.pool.idle is taken[0]
        made.pool.trim()
        made.pool.trim()
        assert made.pool.idle is taken[0]
        made.pool.release(taken[1])
        await made.pool.close()
        assert made.pool.idle is None

    run(main())


def test_few_idle_ones_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(module, "KEPT", 2)
        made = Made()
        taken = [await made.pool.acquire() for _ in range(4)]
        for connection in taken:
            made.pool.release(connection)
        assert [each.closed for each in made.all] == [False, False, False, True, True]
        await made.pool.close()

    run(main())


def test_those_that_nobody_needed_are_closed() -> None:
    async def main() -> None:
        made = Made()
        taken = [await made.pool.acquire() for _ in range(4)]
        for connection in taken:
            made.pool.release(connection)
        made.pool.trim()
        assert sum(each.closed for each in made.all) == 0
        # Two at a time are needed, one more stays.
        two = [await made.pool.acquire(), await made.pool.acquire()]
        for connection in two:
            made.pool.release(connection)
        made.pool.trim()
        assert [each.closed for each in made.all] == [False, True, False, False, False]
        made.pool.trim()
        assert sum(each.closed for each in made.all) == 3
        made.pool.trim()
        assert sum(each.closed for each in made.all) == 3
        await made.pool.close()

    run(main())


def test_the_limit_holds_for_all_namespaces() -> None:
    async def main() -> None:
        made = Made(connections=2)
        other = made.add()
        first = await made.pool.acquire()
        await other.acquire()
        assert await refused(made.pool.acquire()) == TIMED_OUT
        waiting = asyncio.create_task(other.acquire())
        await asyncio.sleep(0.01)
        made.pool.release(first)
        assert await waiting is not first
        assert made.slots.free == 0
        # Those who gave up are not served.
        late = asyncio.create_task(made.pool.acquire())
        await asyncio.sleep(0.01)
        late.cancel()
        await asyncio.wait([late])
        other.release(await waiting)
        assert made.slots.free == 1

    run(main())


def test_a_slot_that_comes_too_late_is_not_lost() -> None:
    async def main() -> None:
        made = Made(connections=1)
        first = await made.pool.acquire()
        waiting = asyncio.create_task(made.pool.acquire())
        await asyncio.sleep(0.01)
        made.pool.release(first)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert made.slots.free == 1

    run(main())


def test_too_many_wait() -> None:
    async def main() -> None:
        made = Made(connections=1, waiting=3)
        await made.pool.acquire()
        waiting = [asyncio.create_task(made.pool.acquire()) for _ in range(2)]
        await asyncio.sleep(0.01)
        assert await refused(made.pool.acquire()) == TOO_MANY
        for task in waiting:
            with pytest.raises(HttpError, match="Timed out"):
                await task
        assert await refused(made.pool.acquire()) == TIMED_OUT

    run(main())


def test_a_connection_that_does_not_open_gives_its_slot_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        made = Made(connections=1)

        def fail() -> Any:
            raise OSError("disk")

        monkeypatch.setattr(made.pool, "_make", fail)
        with pytest.raises(OSError, match="disk"):
            await made.pool.acquire()
        assert made.slots.free == 1

    run(main())


def test_new_settings() -> None:
    """Open connections end when they come back."""

    async def main() -> None:
        made = Made()
        first, second = await made.pool.acquire(), await made.pool.acquire()
        made.pool.release(second)
        made.pool.renew()
        assert [each.closed for each in made.all] == [False, False, True]
        made.pool.release(first)
        assert [each.closed for each in made.all] == [False, True, True]
        third = await made.pool.acquire()
        made.pool.release(third)
        assert not made.all[3].closed
        await made.pool.close()

    run(main())


def test_the_log_is_copied_when_it_is_long() -> None:
    async def main() -> None:
        made = Made()
        keeper = made.all[0]
        first: Any = await made.pool.acquire()
        first.wal_pages = 999
        made.pool.watch(first)
        await asyncio.sleep(0.01)
        assert keeper.checkpoints == []
        first.wal_pages = 1000
        made.pool.watch_all()
        made.pool.watch_all()
        while made.pool._copying is not None:
            await asyncio.sleep(0.001)
        # Once beside the writers, once without them.
        assert keeper.checkpoints == ["PASSIVE", "PASSIVE"]
        assert made.writers.holder is None
        made.pool.watch(first)
        assert made.pool._copying is None
        first.wal_pages = 1200
        made.pool.release(first)
        await made.pool.close()
        assert keeper.checkpoints == ["PASSIVE"] * 4 + ["TRUNCATE"]
        assert all(each.closed for each in made.all)

    run(main())


def test_copying_waits_for_the_writer() -> None:
    class Writer:
        def steal(self) -> None:
            raise AssertionError

    async def main() -> None:
        made = Made()
        writer = Writer()
        assert made.writers.try_acquire(writer)
        first: Any = await made.pool.acquire()
        first.wal_pages = 5000
        made.pool.watch(first)
        await asyncio.sleep(0.05)
        assert made.all[0].checkpoints == ["PASSIVE"]
        made.writers.release(writer)
        await asyncio.sleep(0.05)
        assert made.all[0].checkpoints == ["PASSIVE", "PASSIVE"]

    run(main())


def test_closing_under_load() -> None:
    async def main() -> None:
        made = Made(connections=1, timeout=5)
        first = await made.pool.acquire()
        waiting = asyncio.create_task(made.pool.acquire())
        assert not await made.pool.drain(0.01)
        made.pool.interrupt()
        assert made.all[1].interrupted
        asyncio.get_running_loop().call_later(0.01, made.pool.release, first)
        closing = made.pool.drain(5)
        made.pool.closed = True
        assert await closing
        await made.pool.close()
        assert await refused(waiting) == (404, "Namespace `db1` doesn't exist")
        assert made.slots.free == 1
        assert all(each.closed for each in made.all)

    run(main())


def test_a_closed_connection_lets_go_of_the_file(tmp_path: Path) -> None:
    """Though somebody still has one of its statements."""
    made = ServerConnection(tmp_path / "data", name="db1")
    plan = made.plan("select count(*) from sqlite_schema")
    made.execute(plan, None, None, ServerConnection.PLAIN, 1 << 20)
    made.close()
    con = engine.connect(tmp_path / "data", timeout=0)
    # It needs the file for itself.
    assert con.execute("pragma journal_mode=delete").fetchall() == [("delete",)]
    con.close()
    assert plan.sql == "select count(*) from sqlite_schema"
