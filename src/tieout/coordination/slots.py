"""Slots: so many queries at a time, whichever nodes send them."""

from __future__ import annotations

from collections.abc import Sequence

from tieout.contracts import Clock, Database, Transaction
from tieout.coordination.lease import Lease, Leases

LOOK_EVERY = 0.05
"""Seconds between two looks for a slot while all are taken."""

SLACK = 5.0
"""Seconds that a slot is leased for beyond the patience and the query: what comes between them takes time too."""


class Slots:
    """The slots of one supplier, each a lease for one query at a time.

    A slot is leased for as long as the other side may be at work on its query, which is longer than anybody waits for
    the answer, and no longer: what a dead node held is free by then. Give a slot back once the answer is there, and
    only then.
    """

    def __init__(self, database: Database, clock: Clock, holder: str, name: str) -> None:
        self._leases = Leases(database, clock, holder, SLACK)
        self._database = database
        self._clock = clock
        self._name = name

    async def take(self, numbers: Sequence[int], patience: float, query: float) -> Lease | None:
        """The first of these slots that is free; None when none became free within `patience` seconds.

        `query` is for how many seconds the other side may be at work, from a begin within the patience that is left, or
        a little later: see `lasts`. Numbers are given in ascending order, so that two who take from the same ones never
        wait for each other.
        """
        end, lasts = self._clock.monotonic() + patience, patience + query + SLACK

        async def work(tx: Transaction) -> Lease | None:
            for number in numbers:
                if (lease := await self._leases.take_in(tx, f"slot/{self._name}/{number}", lasts)) is not None:
                    return lease
            return None

        while (lease := await self._database.transact(work)) is None:
            left = end - self._clock.monotonic()
            if left <= 0:
                return None
            await self._clock.sleep(min(LOOK_EVERY, left))
        return lease

    def lasts(self, slot: Lease, seconds: float) -> bool:
        """Whether a slot is ours for so much longer: a node that stood still meanwhile may have lost it."""
        return self._clock.monotonic() + seconds <= slot.ends

    async def give_back(self, lease: Lease) -> None:
        """Let others have it at once."""
        await self._leases.release(lease)
