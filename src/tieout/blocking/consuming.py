"""Consuming without an event loop in the program: one thread has one, for the clients of brokers, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from threading import Thread
from typing import Any, ClassVar, TypeVar

from tieout.contracts import Channel
from tieout.database.driving import drive
from tieout.letters import Consuming
from tieout.letters.taking import Within

T = TypeVar("T")

AT_ONCE = 8
"""Messages whose effects run at a time, each in a thread and, with most databases, on a connection."""


def unlimited(_: float) -> nullcontext[None]:
    """No limit: a plain function cannot be interrupted."""
    return nullcontext()


class ThreadConsuming(Consuming):
    """Receives and acknowledges on a loop in a thread of its own; what messages cause runs in threads beside it."""

    within: ClassVar[Within] = unlimited
    _loop: asyncio.AbstractEventLoop | None = None

    def start(self, channels: Mapping[str, Channel]) -> None:
        """Begin to consume, if there is something to be consumed."""
        if not self.sources:
            return
        self._stop = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._effects = ThreadPoolExecutor(AT_ONCE, "tieout-message")
        self._thread = Thread(target=self._run, args=(self._loop, channels), name="tieout-consume", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Stop consuming, when what was begun has had its effect; what was not acknowledged is delivered to others."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def do(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._effects, lambda: drive(work()))

    def _run(self, loop: asyncio.AbstractEventLoop, channels: Mapping[str, Channel]) -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(self._consume(channels))
        self._effects.shutdown()

    async def _consume(self, channels: Mapping[str, Channel]) -> None:
        super().start(channels)
        await self._stop.wait()
        await super().close()
