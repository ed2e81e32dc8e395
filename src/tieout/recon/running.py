"""A comparison at work: how far it has come is kept with it, and it ends once somebody wants that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tieout.contracts import Clock, Database, Transaction
from tieout.errors import DatabaseError
from tieout.recon.define import Rule
from tieout.recon.periods import Period
from tieout.recon.snapshot import Progress
from tieout.recon.store import ReconStore, Run

log = logging.getLogger("tieout.recon")

TOLD_EVERY = 1.0
"""Seconds between two looks at whether a comparison was aborted, and notes of how far it has come."""


class Running:
    """One comparison by this program; `run` is there once `begun` is set."""

    def __init__(
        self,
        database: Database,
        store: ReconStore,
        clock: Clock,
        told: Progress,
        audit: Callable[[Transaction, Run], Awaitable[None]] | None = None,
    ) -> None:
        self.run: Run | None = None
        self.begun = asyncio.Event()
        self._database, self._store, self._clock = database, store, clock
        self._told, self._audit = told, audit
        self._far: dict[str, int] = {}
        self._is_aborted = False

    async def begin(self, rule: Rule, period: Period) -> Run:
        """Note that it begins, and in the same transaction who wanted that."""

        async def work(tx: Transaction) -> Run:
            run = await self._store.begin(tx, rule, period)
            if self._audit is not None:
                await self._audit(tx, run)
            return run

        self.run = await self._database.transact(work)
        self.begun.set()
        return self.run

    async def progress(self, what: str, count: int) -> None:
        """How far it has come: kept within a second, and told at once."""
        self._far[what] = count
        await self._told(what, count)

    async def watched(self, work: Coroutine[Any, Any, Run]) -> Run:
        """What it came to; one that was aborted is cancelled, and told as it stands then."""
        task = asyncio.create_task(work)
        watching = asyncio.create_task(self._watch(task))
        try:
            return await task
        except asyncio.CancelledError:
            this = asyncio.current_task()
            if not self._is_aborted or (this is not None and this.cancelling()):
                raise
        finally:
            watching.cancel()
        run = self.run
        assert run is not None  # noqa: S101 - nothing else can be aborted
        return await self._database.read(lambda tx: self._store.read(tx, run.id)) or run

    async def _watch(self, task: asyncio.Task[Run]) -> None:
        while not self._is_aborted:
            await self._clock.sleep(TOLD_EVERY)
            if self.run is not None:
                await self._tell(self.run)
        task.cancel()

    async def _tell(self, run: Run) -> None:
        async def work(tx: Transaction) -> Run | None:
            await self._store.tell(tx, run, self._far)
            return await self._store.read(tx, run.id)

        try:
            found = await self._database.transact(work)
        except DatabaseError as error:
            log.warning("how far a comparison has come could not be stored: %s", error)
        else:
            self._is_aborted = found is not None and found.is_aborted and found.attempt == run.attempt
