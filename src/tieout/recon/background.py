"""Comparisons that run by themselves on a node: begun by one request, watched and aborted by others."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from tieout.errors import Overloaded
from tieout.recon.periods import Period
from tieout.recon.store import Run

if TYPE_CHECKING:
    from tieout.recon.book import Recon

log = logging.getLogger("tieout.recon")

AT_A_TIME = 2
"""Comparisons that one node runs beside each other: each takes a thread, a gigabyte, and what its sources bear."""


class Background:
    """Begins comparisons; those of this node end with `close`, and their whole snapshots are kept for the next."""

    def __init__(self, recon: Recon, folder: Path) -> None:
        self._recon, self._folder = recon, folder
        self._tasks: set[asyncio.Task[Run]] = set()

    async def begin(self, name: str, period: Period, *, actor: str, reason: str, unfinished: bool = False) -> Run:
        """Begin to compare, and return as soon as that is noted.

        Raise what `Recon.run` does before it begins, or `Overloaded` when this node compares enough.
        """
        if len(self._tasks) >= AT_A_TIME:
            raise Overloaded(f"{AT_A_TIME} comparisons run on this node already")
        running = self._recon.running(actor=actor, reason=reason)
        work = self._recon.compare(name, period, running, folder=self._folder, unfinished=unfinished)
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        begun = asyncio.create_task(running.begun.wait())
        await asyncio.wait({task, begun}, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        return running.run or await task

    async def close(self) -> None:
        """End those of this node: they are told as failed, and may be begun again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Run]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("a comparison failed: %s", task.exception())
