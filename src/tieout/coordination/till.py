"""Tokens of many budgets taken in one transaction: whoever asks while one is under way has a share in the next."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from tieout.contracts import Clock, Database, Transaction
from tieout.coordination.store import CoordinationStore

MOST = 100
"""Budgets that are taken from in one transaction, which keeps their rows until its end."""


class Wanted(NamedTuple):
    """Tokens of one budget that lie within `interval` microseconds, the first no more than `patience` of them off."""

    name: bytes
    interval: int
    patience: int


class Taken(NamedTuple):
    """Microseconds until the first token, counted from a moment between two of this machine's; None for no token."""

    begun: float
    wait: int | None
    ended: float


class Till:
    """Where the budgets of one node are taken from. A token that nobody waits for any more is spent."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._store = CoordinationStore(database.dialect)
        self._line: list[tuple[Wanted, asyncio.Future[Taken]]] = []
        self._serving: asyncio.Task[None] | None = None

    async def take(self, wanted: Wanted) -> Taken:
        """Take tokens, together with all who want some meanwhile; raise what becomes of the transaction."""
        taken: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        self._line.append((wanted, taken))
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve())
        return await taken

    async def _serve(self) -> None:
        some: list[tuple[Wanted, asyncio.Future[Taken]]] = []
        try:
            while self._line:
                some, self._line = self._line[:MOST], self._line[MOST:]
                await self._take(some)
        finally:
            self._serving = None
            for _, one in (*some, *self._line):
                one.cancel()
            self._line = []

    async def _take(self, some: list[tuple[Wanted, asyncio.Future[Taken]]]) -> None:
        in_order = sorted(some, key=lambda one: one[0].name)  # of all nodes: none waits for one that waits for it

        async def work(tx: Transaction) -> list[Taken]:
            return [await take(tx, self._store, self._clock, wanted) for wanted, _ in in_order]

        try:
            everything = await self._database.transact(work)
        except Exception as error:  # noqa: BLE001 - it is raised to everyone who waits
            for _, one in in_order:
                if not one.done():
                    one.set_exception(error)
            return
        for (_, one), taken in zip(in_order, everything, strict=True):
            if not one.done():
                one.set_result(taken)


async def take(tx: Transaction, store: CoordinationStore, clock: Clock, wanted: Wanted) -> Taken:
    """Take tokens in a transaction: they are taken once it is committed."""
    begun = clock.monotonic()
    wait = await store.take_token(tx, wanted.name, wanted.interval, wanted.patience)
    return Taken(begun, wait, clock.monotonic())
