"""The feed of changes of one supplier, for those who follow it by a cursor."""

from __future__ import annotations

from tieout.contracts import Transaction
from tieout.errors import InvalidParams
from tieout.mirror.sightings import Feed, ItemChange, Sighted, Sightings, unpack_days
from tieout.mirror.suppliers import Following

MOST = 10_000
"""Observations that are looked at for one answer."""


class Feeding:
    """Reads one copy's feed, on any node."""

    def __init__(self, following: Following) -> None:
        self.following = following
        self._sightings = Sightings(following.world.database.dialect)
        self._names: dict[int, str] = {}

    async def changes(self, after: int, limit: int) -> Feed:
        """Changes behind a cursor, of at most `limit` observations."""
        if not (0 <= after < 1 << 62 and 1 <= limit <= MOST):
            raise InvalidParams(f"a feed is read behind a cursor, of 1 to {MOST} observations")
        copy = self.following.number

        async def work(tx: Transaction) -> tuple[list[Sighted], int, int]:
            head, oldest = await self._sightings.head(tx, copy), await self._sightings.oldest(tx, copy)
            return await self._sightings.changes(tx, copy, after, limit), head, oldest

        sighted, head, oldest = await self.following.world.database.read(work)
        # What is behind the head was never given by this feed: the database is an older one.
        cursor = sighted[-1].seq if len(sighted) == limit else head
        changes = [change for one in sighted for change in await self._told(one)]
        return Feed(changes, cursor, lost=after > head or (after < head and not 0 < oldest <= after + 1))

    async def _told(self, sighted: Sighted) -> list[ItemChange]:
        axis, found = self.following.layout.axis, []
        for item, cells in unpack_days(sighted):
            if item not in self._names:
                await self._learn_names()
            if item in self._names:
                found.append(ItemChange(sighted.seq, self._names[item], [axis.start_of(int(at)) for at in cells]))
        return found

    async def _learn_names(self) -> None:
        store, copy = self.following.world.store, self.following.number
        items = await self.following.world.database.read(lambda tx: store.items(tx, copy))
        self._names = {one.n: one.name for one in items}
