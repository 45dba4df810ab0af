"""Coroutines that start at once, worker threads that can be stopped, memory that is shared out."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest

from libsql_core.server import flow
from libsql_core.server.flow import Budget, Done, Workers, _Rest, start


def run(script: Callable[[], Awaitable[None]]) -> None:
    async def checked() -> None:
        await script()
        assert len(asyncio.all_tasks()) <= 2

    asyncio.run(asyncio.wait_for(checked(), 30))


async def count(times: int, seen: list[str]) -> int:
    """Waits so often; a cancellation is seen, and one more wait follows it."""
    try:
        for _ in range(times):
            await asyncio.sleep(0.005)
    except asyncio.CancelledError:
        await asyncio.sleep(0.001)
        seen.append("cancelled")
        raise
    seen.append("done")
    return times


def test_what_does_not_wait_is_done_at_once() -> None:
    async def script() -> None:
        seen: list[str] = []
        done = start(count(0, seen))
        assert isinstance(done, Done)
        assert (done.value, seen) == (0, ["done"])

        async def fails() -> None:
            raise ValueError("at once")

        with pytest.raises(ValueError, match="at once"):
            start(fails())

    run(script)


@pytest.mark.parametrize("times", [1, 2, 5])
def test_what_waits_becomes_a_task(times: int) -> None:
    async def script() -> None:
        task = start(count(times, []))
        assert isinstance(task, asyncio.Task)
        assert await task == times

        async def fails() -> None:
            await asyncio.sleep(0.001)
            raise ValueError("later")

        late = start(fails())
        assert isinstance(late, asyncio.Task)
        with pytest.raises(ValueError, match="later"):
            await late

    run(script)


def test_what_has_begun_can_be_awaited() -> None:
    async def script() -> None:
        coroutine = count(3, [])
        assert await _Rest(coroutine, coroutine.send(None)) == 3

    run(script)


@pytest.mark.parametrize("after", [0, 0.002, 0.008])
def test_cancelling(after: float) -> None:
    async def script() -> None:
        seen: list[str] = []
        task = start(count(3, seen))
        assert isinstance(task, asyncio.Task)
        if after:
            await asyncio.sleep(after)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == ["cancelled"]

        async def stubborn() -> str:
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                return "stayed"
            return "slept"

        task2 = start(stubborn())
        assert isinstance(task2, asyncio.Task)
        task2.cancel()
        assert await task2 == "stayed"

    run(script)


def test_work_is_done_in_a_thread() -> None:
    async def script() -> None:
        workers = Workers(2)
        assert await workers.run(lambda: None, threading.get_ident) != threading.get_ident()

        def fails() -> None:
            raise ValueError("there")

        with pytest.raises(ValueError, match="there"):
            await workers.run(lambda: None, fails)
        workers.close()

    run(script)


def test_cancelled_work_is_interrupted_and_waited_for() -> None:
    async def script() -> None:
        workers = Workers(1)
        stop, ended = threading.Event(), threading.Event()
        interrupts = []

        def work() -> None:
            stop.wait(10)
            time.sleep(0.05)
            ended.set()

        def interrupt() -> None:
            interrupts.append(1)
            if len(interrupts) > 2:  # the first come too early
                stop.set()

        task = start(workers.run(interrupt, work))
        behind = start(workers.run(interrupt, work))
        assert isinstance(task, asyncio.Task)
        assert isinstance(behind, asyncio.Task)
        await asyncio.sleep(0.02)
        behind.cancel()  # it has not begun, and never will
        with pytest.raises(asyncio.CancelledError):
            await behind
        assert interrupts == []
        task.cancel()
        await asyncio.sleep(0.01)
        task.cancel()  # a second time changes nothing
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()
        workers.close()

    run(script)


def test_a_budget() -> None:
    budget = Budget(10)
    assert budget.take(6)
    assert not budget.take(5)
    assert budget.take(4)
    budget.give(10)
    assert budget.left == 10


def test_a_vigil(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    looks: list[Callable[[], None]] = []
    monkeypatch.setattr(flow, "perf_counter", lambda: now)
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: SimpleNamespace(call_soon=looks.append))
    vigil = flow.Vigil()

    def lasts(passed: float) -> bool:
        """Let time pass, and the loop look whether it goes on."""
        nonlocal now
        now += passed * flow.AWAKE
        looks.pop()()
        return bool(looks)

    vigil.request()
    assert lasts(0.9)
    vigil.request()  # what comes in time makes it longer
    assert lasts(0.9)
    assert lasts(0.05)
    assert not lasts(0.1)
    for pause in (1, 2, 4, 8, 16, 32, 64, 64):
        for _ in range(pause):
            vigil.request()
            assert not looks
        vigil.request()
        assert not lasts(1.1)
    for _ in range(66):
        vigil.request()
    assert not lasts(1.1)
    vigil.request()
    assert not looks  # it was worth it once: the next pause is short again
    vigil.request()
    assert lasts(0.5)
