"""The clock, the caller and the threads of the blocking colour. Coroutines here never suspend: they block."""

from __future__ import annotations

import contextvars
import logging
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import Future
from functools import partial
from heapq import heappop, heappush
from itertools import count
from queue import SimpleQueue
from threading import Condition, Lock, Thread
from typing import Any, cast

from tieout.database.driving import drive
from tieout.errors import NotSent

log = logging.getLogger("tieout")

Task = tuple["Future[Any]", Callable[[], Any]]


class ThreadClock:
    """This machine's monotonic clock, and sleeping that blocks the thread."""

    monotonic = staticmethod(time.monotonic)
    """Seconds since some fixed moment."""

    async def sleep(self, seconds: float) -> None:
        """Block this thread for so long."""
        time.sleep(seconds)  # noqa: ASYNC251 - that is what it is for


class Threads:
    """At most `limit` threads, made as they are needed, which do not keep the program from ending.

    After a fork the child has none, and makes its own.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._lock = Lock()
        self._pid = os.getpid()
        self._queue: SimpleQueue[Task | None] = SimpleQueue()
        self._made = self._free = self._queued = 0

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        """Call it in one of the threads, in the caller's context, as soon as one is free."""
        if self._pid != os.getpid():
            self.__init__(self._limit, self._name)  # type: ignore[misc] # what came through the fork is the parent's
        future: Future[Any] = Future()
        with self._lock:
            self._queued += 1
            is_short = self._queued > self._free and self._made < self._limit
            self._made += is_short
        self._queue.put((future, partial(contextvars.copy_context().run, call)))
        if is_short:
            Thread(target=self._work, name=f"{self._name}-{self._made}", daemon=True).start()
        return future

    def close(self) -> None:
        """Let each thread end once it is free."""
        with self._lock:
            made, queue = self._made, self._queue
            self._queue = SimpleQueue()
            self._made = self._free = self._queued = 0
        for _ in range(made):
            queue.put(None)

    def _work(self) -> None:
        queue = self._queue
        while True:
            with self._lock:
                self._free += 1
            task = queue.get()
            with self._lock:
                self._free = max(0, self._free - 1)
                self._queued = max(0, self._queued - 1)
            if task is None:
                return
            _run(*task)


def _run(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        value = call()
    except BaseException as error:  # noqa: BLE001 - it is for whoever waits
        future.set_exception(error)
    else:
        future.set_result(value)


class ThreadCaller:
    """Runs handlers in threads of their own, so that one that does not heed its time-out holds nobody up."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._threads = Threads(limit, "tieout-call")

    async def attempt(
        self,
        method: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        timeout: float,
        late: Callable[[Any], Awaitable[None]],
    ) -> Any:
        """What `method` returns; raise `TimeoutError` after `timeout` seconds, and then let it run on."""
        running = self._threads.submit(partial(method, *args, **kwargs))
        try:
            return running.result(timeout)
        except TimeoutError:
            if running.done():
                raise
        if running.cancel():
            raise NotSent(f"none of the {self._limit} threads for calls came free in {timeout:g} s")
        running.add_done_callback(partial(_report_late, late))
        raise TimeoutError

    def close(self) -> None:
        """Let the threads end."""
        self._threads.close()


def _report_late(late: Callable[[Any], Awaitable[None]], running: Future[Any]) -> None:
    if running.cancelled() or running.exception() is not None:
        return
    try:
        drive(cast("Coroutine[Any, Any, None]", late(running.result())))
    except Exception:
        log.exception("a late answer could not be reported: the query will find it")


class Later:
    """Calls that one thread makes when their time has come."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()
        self._closed = False
        self._thread: Thread | None = None

    def __len__(self) -> int:
        return len(self._calls)

    def call(self, seconds: float, call: Callable[[], None]) -> None:
        """Make this call in so many seconds, unless it is closed before."""
        with self._changed:
            heappush(self._calls, (time.monotonic() + seconds, next(self._number), call))
            if self._thread is None and not self._closed:
                self._thread = Thread(target=self._work, name="tieout-later", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._calls.clear()
            self._changed.notify()

    def _work(self) -> None:
        while (call := self._following()) is not None:
            try:
                call()
            except Exception:
                log.exception("a follow-up could not begin: the sweep will find the process")

    def _following(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._closed:
                wait = self._calls[0][0] - time.monotonic() if self._calls else None
                if wait is not None and wait <= 0:
                    return heappop(self._calls)[2]
                self._changed.wait(wait)
        return None
