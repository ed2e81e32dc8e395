"""One worker of a play, from its birth to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from tieout.app import App
from tieout.process.record import Record
from tieout.testing.virtual import VirtualLoop

T = TypeVar("T")


class Life:
    """An App on an event loop of its own. When its worker dies the loop is never run again, as if it had no power."""

    def __init__(self, app: App, loop: VirtualLoop) -> None:
        self.app = app
        self.loop = loop
        self.next_sweep = 0.0
        self.unexpected: BaseException | None = None
        loop.set_exception_handler(self._keep)
        self.at_once(app.__aenter__())

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Let `work` run when the loop is run next."""
        return self.loop.create_task(work)

    def at_once(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, which waits for nothing."""
        task = self.begin(work)
        self.loop.run_ready()
        return task.result()

    def drive(self, record: Record) -> None:
        """Go on with a process that was just accepted."""
        self.begin(self._drive(record))

    def sweep(self, now: float) -> None:
        """Claim what is due; the next sweep is at least `sweep_every` later."""
        self.next_sweep = now + self.app.limits.sweep_every
        self.begin(self.app.worker.sweep())

    def end(self) -> None:
        """Drop whatever has not ended."""
        if self.loop.is_closed():
            return
        self.loop.set_exception_handler(lambda _loop, _context: None)
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_ready()
        self.loop.close()

    async def _drive(self, record: Record) -> None:
        self.app.worker.drive(record)

    def _keep(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Exception):
            self.unexpected = error
