"""The clock and the caller of the asynchronous colour, on the running asyncio loop."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from tieout.errors import NotSent

log = logging.getLogger("tieout")

LATE_CALLS = 1_000
"""Handlers that may run on after their time-out; beyond that they are cancelled, and the query finds out."""

LATE_SECONDS = 60.0
"""How long a handler may run on after its time-out."""

THREADS = 32
"""Handlers written as plain `def` that run at a time."""

_is_async = lru_cache(maxsize=4_096)(inspect.iscoroutinefunction)


class LoopClock:
    """This machine's monotonic clock, and sleeping on the loop."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait without blocking the loop."""
        await asyncio.sleep(seconds)


class LoopCaller:
    """Runs handlers as tasks, and plain functions in a bounded pool of threads."""

    def __init__(self) -> None:
        self._late: set[asyncio.Future[Any]] = set()
        self._threads: ThreadPoolExecutor | None = None

    async def attempt(
        self,
        method: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        timeout: float,
        late: Callable[[Any], Awaitable[None]],
    ) -> Any:
        """What `method` returns; raise `TimeoutError` after `timeout` seconds, and then let it run on."""
        running, queued = self._begin(method, args, kwargs)
        try:
            await settled(timeout, running)
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
        self, method: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[asyncio.Future[Any], Future[Any] | None]:
        """The running handler, and its place in the queue for a thread if it needs one."""
        if _is_async(method):
            return asyncio.get_running_loop().create_task(method(*args, **kwargs)), None
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="tieout-call")
        queued = self._threads.submit(method, *args, **kwargs)
        return asyncio.wrap_future(queued), queued

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


async def settled(seconds: float, *futures: asyncio.Future[Any]) -> None:
    """Return when one of the futures is done or `seconds` are over: `asyncio.wait` at a third of its cost."""
    loop = asyncio.get_running_loop()
    woken = loop.create_future()

    def wake(_: object = None) -> None:
        if not woken.done():
            woken.set_result(None)

    timer = loop.call_later(seconds, wake)
    for future in futures:
        future.add_done_callback(wake)
    try:
        await woken
    finally:
        timer.cancel()
        for future in futures:
            future.remove_done_callback(wake)


async def _report_late(answer: Any, late: Callable[[Any], Awaitable[None]]) -> None:
    try:
        await late(answer)
    except Exception:
        log.exception("a late answer could not be reported: the query will find it")
