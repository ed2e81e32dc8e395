"""The blocking databases before the suite of the `Database` contract: each of its tasks becomes a thread."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

from tieout.contracts import Database, Param, Row, Statement, Transaction
from tieout.database.driving import drive, drive_each

T = TypeVar("T")

THREADS = ThreadPoolExecutor(32, thread_name_prefix="tieout-suite")
"""As many as the suite's tasks."""


class ThreadedDatabase:
    """A database whose awaits never suspend, used from threads; raises `UsageError` if one suspends."""

    def __init__(self, blocking: Database) -> None:
        self.blocking = blocking
        self.dialect = blocking.dialect
        self._pid = os.getpid()

    async def open(self) -> None:
        await self._run(self.blocking.open())

    async def close(self) -> None:
        await self._run(self.blocking.close())

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return await self._run(self.blocking.transact(work))

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return await self._run(self.blocking.read(work))

    async def stream(
        self, sql: str | Statement, /, *, batch: int = 1_000, **params: Param
    ) -> AsyncGenerator[Sequence[Row], None]:
        batches = drive_each(self.blocking.stream(sql, batch=batch, **params))
        try:
            while (rows := await asyncio.to_thread(next, batches, None)) is not None:
                yield rows
        finally:
            await asyncio.to_thread(batches.close)  # type: ignore[attr-defined] # it is a generator

    async def _run(self, running: Awaitable[T]) -> T:
        steps = cast("Coroutine[Any, Any, T]", running)
        if os.getpid() != self._pid:  # in a child there is no event loop, and no threads
            return drive(steps)
        thread = THREADS.submit(drive, steps)
        try:
            return await asyncio.shield(asyncio.wrap_future(thread))
        except asyncio.CancelledError:
            # What has begun in a thread runs to its end, whoever waits for it.
            if thread.cancel():
                steps.close()
            else:
                await asyncio.wait([asyncio.wrap_future(thread)])
            raise
