"""Tokens of many budgets taken in one transaction: whoever asks while one is under way has a share in the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tieout.contracts import Clock, Database, Transaction
from tieout.coordination.store import CoordinationStore
from tieout.coordination.together import Together

MOST = 16
"""Budgets that are taken from in one transaction: a token grows old while those behind it are taken."""


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
        self._together = Together(self._take_all, MOST)

    async def take(self, wanted: Wanted) -> Taken:
        """Take tokens, together with all who want some meanwhile; raise what becomes of the transaction."""
        return await self._together.ask(wanted)

    async def _take_all(self, some: Sequence[Wanted]) -> list[Taken]:
        in_order = sorted(range(len(some)), key=lambda at: some[at].name)  # of all nodes: none waits for one behind it

        async def work(tx: Transaction) -> dict[int, Taken]:
            return {at: await take(tx, self._store, self._clock, some[at]) for at in in_order}

        taken = await self._database.transact(work)
        return [taken[at] for at in range(len(some))]


async def take(tx: Transaction, store: CoordinationStore, clock: Clock, wanted: Wanted) -> Taken:
    """Take tokens in a transaction: they are taken once it is committed."""
    begun = clock.monotonic()
    wait = await store.take_token(tx, wanted.name, wanted.interval, wanted.patience)
    return Taken(begun, wait, clock.monotonic())
