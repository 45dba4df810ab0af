"""The write lock: the order of those who wait, giving up, and stealing."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from libsql_core.server.lock import WriterQueue


class Writer:
    def __init__(self, queue: WriterQueue, gives_in: bool = True) -> None:
        self.queue = queue
        self.gives_in = gives_in
        self.robbed = 0

    def steal(self) -> None:
        self.robbed += 1
        if self.gives_in:
            self.queue.release(self)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 10))


def test_first_come_first_served() -> None:
    async def main() -> None:
        queue = WriterQueue(lambda: 60)
        first, *others = [Writer(queue) for _ in range(5)]
        assert queue.try_acquire(first)
        assert queue.try_acquire(first)
        order: list[Writer] = []

        async def wait(writer: Writer) -> None:
            await queue.acquire(writer)
            order.append(writer)
            assert queue.holder is writer
            await asyncio.sleep(0)
            queue.release(writer)

        tasks = []
        for writer in others:
            assert not queue.try_acquire(writer)
            tasks.append(asyncio.create_task(wait(writer)))
            await asyncio.sleep(0)
        assert len(queue) == 4
        queue.release(others[0])
        assert queue.holder is first
        queue.release(first)
        await asyncio.gather(*tasks)
        assert order == others
        assert queue.holder is None
        assert len(queue) == 0

    run(main())


def test_cancelled_waiters_leave_the_queue() -> None:
    async def main() -> None:
        queue = WriterQueue(lambda: 60)
        first, second, third, fourth = (Writer(queue) for _ in range(4))
        await queue.acquire(first)
        tasks = [asyncio.create_task(queue.acquire(writer)) for writer in (second, third, fourth)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)
        assert len(queue) == 2
        # Cancelled in the very moment that the lock is passed to it: it goes on to the next.
        queue.release(first)
        assert queue.holder is third
        tasks[1].cancel()
        await asyncio.gather(tasks[1], return_exceptions=True)
        assert queue.holder is fourth
        await tasks[2]
        queue.release(fourth)
        assert queue.holder is None

    run(main())


def test_a_holder_is_robbed_only_if_somebody_waits() -> None:
    async def main() -> None:
        queue = WriterQueue(lambda: 0.05)
        first, second, third = (Writer(queue) for _ in range(3))
        await queue.acquire(first)
        await asyncio.sleep(0.1)
        assert first.robbed == 0
        # Its time was over long ago.
        await asyncio.wait_for(queue.acquire(second), 0.04)
        assert first.robbed == 1
        task = asyncio.create_task(queue.acquire(third))
        await asyncio.sleep(0.02)
        assert second.robbed == 0
        await task
        assert (second.robbed, queue.stolen, queue.holder) == (1, 2, third)

    run(main())


def test_a_holder_that_cannot_let_go_is_told_once() -> None:
    async def main() -> None:
        queue = WriterQueue(lambda: 0.01)
        first, second, third = Writer(queue, gives_in=False), Writer(queue), Writer(queue)
        await queue.acquire(first)
        waiting = asyncio.create_task(queue.acquire(second))
        await asyncio.sleep(0.05)
        waiting.cancel()
        late = asyncio.create_task(queue.acquire(third))
        await asyncio.sleep(0.05)
        assert first.robbed == 1
        queue.release(first)
        await late
        assert queue.holder is third

    run(main())
