"""A small bounded pool of connections on one event loop, and the clock that gives up on those that hang."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from tieout.errors import AppClosed, DatabaseUnavailable, UsageError

WAIT_SECONDS = 10.0
"""Longest wait for a free connection."""

LIFETIME_SECONDS = 1_800.0
"""Age at which a connection is replaced, so that memory and plans on the server do not grow for ever."""

TICK_SECONDS = 0.25
"""How often connections in use are compared with their deadlines."""

CLOSE_SECONDS = 5.0
"""How long closing waits for transactions that are running."""


class Link(Protocol):
    """A connection, and what its pool and its transactions note on it. Times are those of the pool's `time`."""

    deadline: float
    retire_at: float
    generation: int

    def is_good(self) -> bool:
        """Whether it is open, and still leads to the newest primary."""
        ...

    def cut(self) -> None:
        """Close it at once, without a word to the server; whoever waits for an answer gets an error."""
        ...


L = TypeVar("L", bound=Link)


class Pool(Generic[L]):
    """At most `size` links, last used first.

    Whoever acquires one gives it back by `release`, or by `discard` when it is not clean.
    """

    def __init__(self, connect: Callable[[], Awaitable[L]], size: int) -> None:
        self._connect = connect
        self._size = size
        self._loop = asyncio.get_running_loop()
        self._idle: list[L] = []
        self._links: set[L] = set()
        self._count = 0
        self._waiters: deque[tuple[float, asyncio.Future[L | None]]] = deque()
        self._generation = 0
        self._ticking = False
        self._closed = False

    def time(self) -> float:
        """The clock that deadlines are read on."""
        return self._loop.time()

    def check_here(self) -> None:
        """Raise `UsageError` in another event loop than that in which it was made."""
        if self._loop is not asyncio.get_running_loop():
            raise UsageError("this database was opened in another event loop")

    async def acquire(self) -> L:
        """A link that is open; raise `DatabaseUnavailable` when none comes free or none can be opened."""
        if self._closed:
            raise AppClosed("the database is not open")
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(TICK_SECONDS, self._tick)
        while True:
            while self._idle:
                link = self._idle.pop()
                if self._is_good(link):
                    return link
                self._drop(link)
            if self._count < self._size:
                return await self._open()
            given = await self._wait()
            if given is not None:
                return given

    def release(self, link: L) -> None:
        """Take back a link whose transaction has ended."""
        link.deadline = math.inf
        if self._closed or not self._is_good(link):
            self.discard(link)
        elif not self._give(link):
            self._idle.append(link)

    def discard(self, link: L) -> None:
        """Take back a link that may not be used again; its server rolls back what was not committed."""
        self._drop(link)
        self._give(None)

    def retire(self) -> None:
        """Replace all links, those in use when they come back: the server behind them has changed."""
        self._generation += 1
        while self._idle:
            self.discard(self._idle.pop())

    async def close(self) -> None:
        self._closed = True
        ends = self._loop.time() + CLOSE_SECONDS
        while len(self._links) > len(self._idle) and self._loop.time() < ends:  # noqa: ASYNC110 - an event would cost every release
            await asyncio.sleep(0.01)
        self._idle.clear()
        for link in list(self._links):
            self._drop(link)
        for _, waiter in self._waiters:
            waiter.cancel()

    def _is_good(self, link: L) -> bool:
        return link.generation == self._generation and link.is_good() and self._loop.time() < link.retire_at

    async def _open(self) -> L:
        self._count += 1
        try:
            link = await self._connect()
        except BaseException:
            self._count -= 1
            self._give(None)
            raise
        link.generation = self._generation
        link.retire_at = self._loop.time() + LIFETIME_SECONDS
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
            _, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(link)
                return True
        return False

    async def _wait(self) -> L | None:
        waiter: asyncio.Future[L | None] = self._loop.create_future()
        self._waiters.append((self._loop.time() + WAIT_SECONDS, waiter))
        try:
            return await waiter
        except asyncio.CancelledError:
            # Cancelled after it was served, before it ran: what it was given must not be lost.
            if waiter.done() and not waiter.cancelled():
                link = waiter.result()
                if link is None:
                    self._give(None)
                else:
                    self.release(link)
            raise

    def _tick(self) -> None:
        """Cut connections past their deadline, and turn away who has waited too long.

        Whatever awaits a connection that is cut fails at once, and frees its slot. One clock for all costs a
        transaction nothing, and is late by no more than its tick.
        """
        now = self._loop.time()
        for link in self._links:
            if link.deadline < now:
                link.cut()
        while self._waiters and self._waiters[0][0] < now:
            _, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(self._none_free())
        self._ticking = not self._closed and len(self._links) > len(self._idle)
        if self._ticking:
            self._loop.call_later(TICK_SECONDS, self._tick)

    def _none_free(self) -> DatabaseUnavailable:
        waited = f"none of the {self._size} connections came free in {WAIT_SECONDS:g} s"
        return DatabaseUnavailable(f"{waited}: see ?pool= in the URL")
