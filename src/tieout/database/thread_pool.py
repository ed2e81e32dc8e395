"""A bounded pool of connections for threads. Its coroutines never suspend: they block their thread."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from threading import Lock, Thread
from typing import Generic, Protocol, TypeVar

from tieout.database import pool
from tieout.errors import AppClosed, DatabaseUnavailable


class Link(pool.Link, Protocol):
    """A connection that a thread may be waiting on."""

    def is_alive(self) -> bool:
        """Whether its server has not closed it while it was idle. It may ask the kernel, and let other threads run."""
        ...

    def interrupt(self) -> None:
        """Make whoever waits for an answer get an error, from any thread; the connection is still to be cut."""
        ...


L = TypeVar("L", bound=Link)


class Waiter(Generic[L]):
    """A thread that waits for a link: a future's lock without the rest of one. The pool's own lock guards it."""

    __slots__ = ("asleep", "is_gone", "is_served", "link")

    def __init__(self) -> None:
        self.asleep = Lock()
        self.asleep.acquire()
        self.is_gone = self.is_served = False
        self.link: L | None = None

    def serve(self, link: L | None) -> bool:
        """Wake it with a link or, without, to try anew; False when it does not wait any more."""
        if self.is_gone:
            return False
        self.link, self.is_served = link, True
        self.asleep.release()
        return True


class ThreadPool(Generic[L]):
    """At most `size` links, last used first.

    Whoever acquires one gives it back by `release`, or by `discard` when it is not clean.
    """

    def __init__(self, connect: Callable[[], Awaitable[L]], size: int) -> None:
        self._connect = connect
        self._size = size
        self._lock = Lock()
        self._idle: list[L] = []
        self._links: set[L] = set()
        self._count = 0
        self._waiters: deque[Waiter[L]] = deque()
        self._generation = 0
        self._ticking = False
        self._closed = False

    def time(self) -> float:
        """The clock that deadlines are read on."""
        return time.monotonic()

    def check_here(self) -> None:
        """Any thread may use it."""

    async def acquire(self) -> L:
        """A link that is open; raise `DatabaseUnavailable` when none comes free or none can be opened."""
        ends = time.monotonic() + pool.WAIT_SECONDS
        while True:
            waiter: Waiter[L] | None = None
            with self._lock:
                if self._closed:
                    raise AppClosed("the database is not open")
                self._watch()
                link = self._idle_link()
                if link is None and self._count < self._size:
                    self._count += 1
                elif link is None:
                    waiter = Waiter()
                    self._waiters.append(waiter)
            if link is None:
                link = await self._open() if waiter is None else self._wait(waiter, ends)
            elif not link.is_alive():  # asked without the lock, which no thread should have to wait for meanwhile
                self.discard(link)
                link = None
            if link is not None:
                return link

    def release(self, link: L) -> None:
        """Take back a link whose transaction has ended."""
        link.deadline = math.inf
        with self._lock:
            is_good = not self._closed and self._is_good(link)
            if is_good and not self._give(link):
                self._idle.append(link)
        if not is_good:
            self.discard(link)

    def discard(self, link: L) -> None:
        """Take back a link that may not be used again; its server rolls back what was not committed."""
        with self._lock:
            self._drop(link)
            self._give(None)

    def retire(self) -> None:
        """Replace all links, those in use when they come back: the server behind them has changed."""
        with self._lock:
            self._generation += 1
            while self._idle:
                self._drop(self._idle.pop())
                self._give(None)

    async def close(self) -> None:
        """Let running transactions end, for a while, and close every link."""
        self._closed = True
        ends = time.monotonic() + pool.CLOSE_SECONDS
        while len(self._links) > len(self._idle) and time.monotonic() < ends:
            time.sleep(0.01)  # noqa: ASYNC251 - it blocks its thread: that is what it is for
        with self._lock:
            self._idle.clear()
            for link in list(self._links):
                link.interrupt()
                self._drop(link)
            while self._waiters:
                self._give(None)

    def _is_good(self, link: L) -> bool:
        return link.generation == self._generation and link.is_good() and time.monotonic() < link.retire_at

    def _idle_link(self) -> L | None:
        while self._idle:
            link = self._idle.pop()
            if self._is_good(link):
                return link
            self._drop(link)
        return None

    async def _open(self) -> L:
        """A new link, in a place that is counted already."""
        generation = self._generation
        try:
            link = await self._connect()
        except BaseException:
            with self._lock:
                self._count -= 1
                self._give(None)
            raise
        link.generation = generation
        link.retire_at = min(link.retire_at, time.monotonic() + pool.LIFETIME_SECONDS)
        with self._lock:
            self._links.add(link)
        return link

    def _drop(self, link: L) -> None:
        if link in self._links:
            self._links.remove(link)
            self._count -= 1
            link.cut()

    def _give(self, link: L | None) -> bool:
        """Wake the first who waits, with the link or, without, to try anew."""
        while self._waiters:
            if self._waiters.popleft().serve(link):
                return True
        return False

    def _wait(self, waiter: Waiter[L], ends: float) -> L | None:
        try:
            waiter.asleep.acquire(timeout=max(0.0, ends - time.monotonic()))
        except BaseException:
            if self._leave(waiter):
                # Given in the last moment: what it was given must not be lost.
                self.release(waiter.link) if waiter.link is not None else self._pass_on()
            raise
        if not self._leave(waiter):
            waited = f"none of the {self._size} connections came free in {pool.WAIT_SECONDS:g} s"
            raise DatabaseUnavailable(f"{waited}: see ?pool= in the URL")
        return waiter.link

    def _leave(self, waiter: Waiter[L]) -> bool:
        """Wait no more; whether it was served."""
        if waiter.is_served:
            return True
        with self._lock:
            waiter.is_gone = not waiter.is_served
            return waiter.is_served

    def _pass_on(self) -> None:
        with self._lock:
            self._give(None)

    def _watch(self) -> None:
        if not self._ticking:
            self._ticking = True
            Thread(target=self._tick, name="tieout-pool", daemon=True).start()

    def _tick(self) -> None:
        """Interrupt connections past their deadline, for as long as some are in use."""
        while True:
            time.sleep(pool.TICK_SECONDS)
            with self._lock:
                now = time.monotonic()
                for link in self._links:
                    if link.deadline < now:
                        link.interrupt()
                self._ticking = not self._closed and self._count > len(self._idle)
                if not self._ticking:
                    return
