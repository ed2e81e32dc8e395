"""Tokens of many budgets taken at once: whoever asks while a transaction is under way has a share in the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tieout.contracts import Clock, Database, Transaction
from tieout.coordination.store import BudgetRow, CoordinationStore
from tieout.coordination.together import Together

MOST = 1_000
"""Wishes that are granted in one transaction."""


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
        async def work(tx: Transaction) -> list[Taken]:
            begun = self._clock.monotonic()
            rows = await self._store.stop_budgets(tx, {one.name for one in some})
            ended = self._clock.monotonic()
            waits, moved = granted(some, rows)
            await self._store.move_budgets(tx, moved)
            return [Taken(begun, wait, ended) for wait in waits]

        return await self._database.transact(work)


async def take(tx: Transaction, store: CoordinationStore, clock: Clock, wanted: Wanted) -> Taken:
    """Take tokens in a transaction: they are taken once it is committed."""
    begun = clock.monotonic()
    wait = await store.take_token(tx, wanted.name, wanted.interval, wanted.patience)
    return Taken(begun, wait, clock.monotonic())


def granted(some: Sequence[Wanted], rows: Mapping[bytes, BudgetRow]) -> tuple[list[int | None], dict[bytes, int]]:
    """In how many microseconds each has its first token, in its turn; and when the next tokens are of what was taken.

    None for one whose token is further off than its patience, or whose budget is not known: nothing is taken for it.
    """
    waits: list[int | None] = []
    moved: dict[bytes, int] = {}
    for name, interval, patience in some:
        row = rows.get(name)
        next_at = None if row is None else moved.get(name, row.next_at)
        if row is None or next_at is None or next_at > row.now + patience:
            waits.append(None)
            continue
        first = max(next_at, row.now)
        moved[name] = first + interval
        waits.append(first - row.now)
    return waits, moved
