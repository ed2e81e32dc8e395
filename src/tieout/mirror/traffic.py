"""What all suppliers share on one node: how many queries of their plans are under way, who writes, and transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tieout.contracts import Clock, Database
from tieout.coordination.till import Till
from tieout.coordination.together import Together
from tieout.coordination.vacancies import Vacancies
from tieout.mirror.store import CopyRow, MirrorStore

WRITERS = 8
"""Suppliers whose rows a node writes at a time. While one waits for the database the others are at work; with many more
each of them takes a little of every moment, and a query that is due has to wait for all of them.
"""


class Traffic:
    """At most so many `queries` of all plans that one node follows: whoever waits for one of the `places` has a turn.

    What arrives at once has to be dealt with in less time than a token lasts, which is half a second.
    """

    def __init__(self, database: Database, clock: Clock, queries: int) -> None:
        self.places = asyncio.Semaphore(queries)
        self.till = Till(database, clock)
        self.vacancies = Vacancies(database, clock)
        self.leads = 0
        self._writers = 0
        self._database, self._store = database, MirrorStore(database.dialect)
        self._looking = Together(self._read_copies)

    @contextmanager
    def leading(self) -> Iterator[None]:
        """One more supplier is led by this node meanwhile: `leads` are so many."""
        self.leads += 1
        try:
            yield
        finally:
            self.leads -= 1

    @property
    def is_crowded(self) -> bool:
        """Whether there is no place for another query."""
        return self.places.locked()

    @property
    def may_write(self) -> bool:
        """Whether one more supplier's rows may be written."""
        return self._writers < WRITERS

    def write(self, task: asyncio.Task[None]) -> None:
        """Know that a task writes a supplier's rows, until it ends."""
        self._writers += 1
        task.add_done_callback(self._written)

    def _written(self, _: asyncio.Task[None]) -> None:
        self._writers -= 1

    async def read_copy(self, copy: int) -> CopyRow | None:
        """What is known of a copy, and the server's time: read together with what others want to know."""
        return await self._looking.ask(copy)

    async def _read_copies(self, copies: Sequence[int]) -> list[CopyRow | None]:
        found = await self._database.read(lambda tx: self._store.read_copies(tx, copies))
        return [found.get(copy) for copy in copies]
