"""Who runs when: coroutines that start at once, worker threads that can be stopped, and memory that is shared out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any, Generic, ParamSpec, TypeVar, cast

T = TypeVar("T")
P = ParamSpec("P")


class Done(Generic[T]):
    """The result of a coroutine that ended without waiting."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value


def start(coroutine: Coroutine[Any, Any, T]) -> Done[T] | asyncio.Task[T]:
    """Run a coroutine up to where it first waits; what is left of it then becomes a task.

    A task alone would cost a turn of the loop, several times what a short request takes. Until its first wait the
    coroutine has no current task, so what needs one (asyncio.timeout) must not come first in it.
    """
    try:
        waited = coroutine.send(None)
    except StopIteration as stop:
        return Done(stop.value)
    return asyncio.get_running_loop().create_task(_Rest(coroutine, waited))


class _Rest(Coroutine[Any, Any, T]):
    """A coroutine that has begun, for a task: at its first step it still waits for `waited`.

    Being cancelled before that step reaches the coroutine, too, which a coroutine around it would not let through.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T], waited: object) -> None:
        self._coroutine = coroutine
        self._waited: list[object] = [waited]

    def send(self, value: Any) -> Any:
        return self._waited.pop() if self._waited else self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        self._waited.clear()
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    def __next__(self) -> Any:
        return self.send(None)

    def __await__(self) -> Generator[Any, Any, T]:
        return cast("Generator[Any, Any, T]", self)


class Workers:
    """Threads for what takes longer than a turn of the loop may."""

    def __init__(self, most: int) -> None:
        self._threads = ThreadPoolExecutor(most, "libsql-worker")

    async def run(self, interrupt: Callable[[], None], work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` returns. Cancelling interrupts it, and ends only when the thread has let go of it."""
        job = self._threads.submit(work, *args, **kwargs)
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            # It may be about to start, and miss the first interrupts.
            while not job.cancel() and not job.done():
                interrupt()
                try:
                    await asyncio.sleep(0.005)
                except asyncio.CancelledError:
                    continue
            raise

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)


# Seconds for which the loop looks for the next request before it sleeps.
AWAKE = 30e-6
# Requests during which it does not, at most, after it has waited in vain.
ASLEEP = 64


class Vigil:
    """Keeps the loop awake for a moment after a request.

    A client nearby that waits for its answer asks again sooner than a processor falls asleep and wakes up, which costs
    both time and processor. Where nothing comes in that moment, it is not waited for the next few times, or many.
    """

    def __init__(self) -> None:
        self._until = 0.0
        self._awake = False
        self._asleep = 0  # requests that are still to be let pass
        self._in_vain = 1  # how many that will be, the next time that nothing comes

    def request(self) -> None:
        """A request has been answered."""
        if self._awake:
            self._in_vain = 1
        elif self._asleep:
            self._asleep -= 1
            return
        else:
            self._awake = True
            asyncio.get_running_loop().call_soon(self._look)
        self._until = perf_counter() + AWAKE

    def _look(self) -> None:
        if perf_counter() < self._until:
            asyncio.get_running_loop().call_soon(self._look)
        else:
            self._awake = False
            self._asleep = self._in_vain
            self._in_vain = min(2 * self._in_vain, ASLEEP)


class Budget:
    """Bytes that all clients together may have us hold."""

    def __init__(self, size: int) -> None:
        self.left = size

    def take(self, size: int) -> bool:
        if size > self.left:
            return False
        self.left -= size
        return True

    def give(self, size: int) -> None:
        self.left += size
