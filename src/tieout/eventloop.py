"""The clock and the caller of the asynchronous colour, on the running asyncio loop."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import lru_cache, partial
from typing import Any, TypeVar

from tieout import tracing
from tieout.errors import NotSent

T = TypeVar("T")

log = logging.getLogger("tieout")

LATE_CALLS = 1_000
"""Handlers that may run on after their time-out; beyond that they are cancelled, and the query finds out."""

LATE_SECONDS = 60.0
"""How long a handler may run on after its time-out."""

THREADS = 32
"""Handlers written as plain `def` that run at a time."""

EARLY = 0.001
"""Seconds by which an event loop that counts milliseconds calls before the time."""

_is_async = lru_cache(maxsize=4_096)(inspect.iscoroutinefunction)


class LoopClock:
    """This machine's monotonic clock, and sleeping on the loop."""

    monotonic = staticmethod(time.monotonic)
    """Seconds since some fixed moment."""

    async def sleep(self, seconds: float) -> None:
        """Wait without blocking the loop."""
        await asyncio.sleep(seconds)


class LoopCaller:
    """Runs handlers as tasks, and plain functions in a bounded pool of threads."""

    def __init__(self) -> None:
        self._late: set[asyncio.Future[Any]] = set()
        self._threads: ThreadPoolExecutor | None = None
        self._deadlines = Deadlines()

    async def attempt(
        self,
        method: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        timeout: float,
        late: Callable[[Any], Awaitable[None]],
    ) -> Any:
        """What `method` returns; raise `TimeoutError` after `timeout` seconds, and then let it run on."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        running, queued = self._begin(woken, method, args, kwargs)
        try:
            await self._deadlines.outcome(woken, timeout)
        except asyncio.CancelledError:
            running.cancel()
            raise
        if running.cancelled():
            raise RuntimeError("the handler was cancelled from within")
        if running.done():
            return running.result()
        if queued is not None and queued.cancel():
            raise NotSent(f"none of the {THREADS} threads for handlers written as plain def came free in {timeout:g} s")
        self._let_run_on(running, late)
        raise TimeoutError

    async def close(self) -> None:
        """Cancel what still runs."""
        for running in self._late:
            running.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)

    def _begin(
        self,
        woken: asyncio.Future[None],
        method: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> tuple[asyncio.Future[Any], Future[Any] | None]:
        """The running handler, which wakes who waits for it, and its place in line for a thread if it needs one."""
        if _is_async(method):
            return woken.get_loop().create_task(_waking(woken, method, args, kwargs)), None
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="tieout-call")
        # A thread has no span at work, unless it is given the context of who asks.
        begin = partial(copy_context().run, method) if tracing.is_on() else method
        queued = self._threads.submit(begin, *args, **kwargs)
        running = asyncio.wrap_future(queued)
        running.add_done_callback(partial(_wake, woken))
        return running, queued

    def _let_run_on(self, running: asyncio.Future[Any], late: Callable[[Any], Awaitable[None]]) -> None:
        if len(self._late) >= LATE_CALLS:
            running.cancel()
            return
        self._late.add(running)
        deadline = asyncio.get_running_loop().call_later(LATE_SECONDS, running.cancel)

        def ended(_: asyncio.Future[Any]) -> None:
            deadline.cancel()
            self._late.discard(running)
            if not running.cancelled() and running.exception() is None:
                reporting = asyncio.ensure_future(_report_late(running.result(), late))
                self._late.add(reporting)
                reporting.add_done_callback(self._late.discard)

        running.add_done_callback(ended)


class Deadlines:
    """Waiting for futures, each for at most so long, with one timer of the loop for all waits of one length.

    Waits of one length end in the order in which they began, so that a dictionary keeps them: where nearly all are
    over before their time, a timer each would leave the loop a heap of cancelled ones to sort.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queues: dict[float, _Queue] = {}

    async def outcome(self, woken: asyncio.Future[T | None], seconds: float) -> T | None:
        """The result of a future of the caller's own, or None, which becomes its result once `seconds` are over."""
        loop = woken.get_loop()
        if loop is not self._loop:
            self._loop, self._queues = loop, {}
        queues = self._queues
        queue = queues.get(seconds)
        if queue is None:
            queue = queues[seconds] = _Queue(loop, seconds)
        queue.ends[woken] = loop.time() + seconds
        try:
            return await woken
        finally:
            del queue.ends[woken]
            if not queue.ends:
                queue.timer.cancel()
                queues.pop(seconds, None)


class _Queue:
    """Waits of one length, the oldest first, and the timer for the oldest, or for one that was older."""

    __slots__ = ("ends", "loop", "seconds", "timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self.loop, self.seconds = loop, seconds
        self.ends: dict[asyncio.Future[Any], float] = {}
        self.timer = loop.call_later(seconds, self._expire)

    def _expire(self) -> None:
        now = self.loop.time() + EARLY
        following = now + self.seconds  # those woken here are still listed: whoever joins them counts on the timer
        for woken, end in self.ends.items():
            if end > now:
                following = end
                break
            _wake(woken)
        self.timer = self.loop.call_at(following, self._expire)


def _wake(woken: asyncio.Future[Any], _: object = None) -> None:
    if not woken.done():
        woken.set_result(None)


async def _waking(
    woken: asyncio.Future[None], method: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Run a handler in a task; whoever waits goes on in the loop's next round, when the task is done.

    A callback of the task's would be a round of its own between the two.
    """
    try:
        return await method(*args, **kwargs)
    finally:
        _wake(woken)


async def _report_late(answer: Any, late: Callable[[Any], Awaitable[None]]) -> None:
    try:
        await late(answer)
    except Exception:
        log.exception("a late answer could not be reported: the query will find it")
