"""What a copy's only writer forgets: old sightings, what the catalogue has lost, and words that no cell names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from itertools import islice

import numpy as np

from tieout.contracts import Transaction
from tieout.coordination.lease import Lease
from tieout.mirror.copying import Copy
from tieout.mirror.sightings import KEEP
from tieout.mirror.store import GroupRow, ItemName
from tieout.mirror.suppliers import Following
from tieout.mirror.words import FEW, MOST_WORDS, Words

EVERY = 60.0
"""Seconds between two rounds."""

LOOK_FOR_WORDS_EVERY = 3_600.0
"""Seconds between two looks for words that no cell names: each reads all cells."""

ROWS = 500
"""Items whose cells are looked at, at a time: some milliseconds, in which nothing else runs."""

GONE = 5_000
"""Most items, and most groups, that are forgotten in one transaction."""

GONE_FOR = KEEP + 86_400_000_000
"""Microseconds after which they are: who follows the feed finds the names of all that it tells of, be its end late."""


class Forgetting:
    """Forgets for one copy, on the node that leads it; nothing may be stored meanwhile."""

    def __init__(self, following: Following) -> None:
        self.following = following
        self._clock = following.world.clock
        self._forgot_at = self._clock.monotonic()

    async def look(self, copy: Copy, lease: Lease) -> Lease:
        """Forget what nobody needs, when it is time; raise `LostLease` when somebody else writes."""
        following, now = self.following, self._clock.monotonic()
        if now - self._forgot_at < EVERY:
            return lease
        self._forgot_at = now
        await following.world.database.transact(lambda tx: following.sightings.purge(tx, following.number))
        await self.forget_words(copy.words, now)
        return await self.forget_gone(copy, lease)

    async def forget_gone(self, copy: Copy, lease: Lease) -> Lease:
        """Forget some groups and items that the catalogue has lost for longer than sightings are kept.

        Where it has one of them again it is a new one.
        """
        world, until = self.following.world, self.following.moments.earliest() - GONE_FOR
        groups, items = _gone(copy.gone_groups.values(), until), _gone(copy.gone_items.values(), until)
        if not (groups or items):
            return lease

        async def work(tx: Transaction) -> Lease:
            renewed = await world.leases.guard(tx, lease)
            await world.store.forget_gone(tx, copy.number, groups, items)
            return renewed

        renewed = await world.database.transact(work)
        copy.gone_groups = {name: one for name, one in copy.gone_groups.items() if one.n not in groups}
        copy.gone_items = {name: one for name, one in copy.gone_items.items() if one.n not in items}
        return renewed

    async def forget_words(self, words: Words, now: float) -> None:
        """Let numbers be used again that no cell names, when few are left; tell a person when nearly all are named."""
        words.reuse(now)
        if words.left >= FEW or (words.unused_since is not None and now - words.unused_since < LOOK_FOR_WORDS_EVERY):
            return
        used = await self._used_words()
        words.note_used(used, now)
        if len(used) > MOST_WORDS - FEW:
            fields = [name for name, field in self.following.layout.fields.items() if field.kind == "dictionary"]
            told = f"its cells have {len(used)} different values of {', '.join(fields)}, and {MOST_WORDS} can be stored"
            await self.following.alarm("dictionary-full", f"{told}: beyond that answers with new ones are not used")

    async def _used_words(self) -> set[int]:
        """The numbers of all words that a cell names, be it over."""
        following, used = self.following, set[int]()
        database, sql = following.world.database, following.sightings.sql
        pages = database.stream(sql.all_cells, batch=ROWS, copy=following.number)
        async with aclosing(pages):
            async for rows in pages:
                cells = following.layout.unpack([bytes(row[-1]) for row in rows])
                for name, field in following.layout.fields.items():
                    if field.kind == "dictionary":
                        used.update(np.unique(cells.values[name]).tolist())
                await asyncio.sleep(0)
        return used - {0}


def _gone(rows: Iterable[GroupRow | ItemName], until: int) -> set[int]:
    """The numbers of some that are gone since before then."""
    return set(islice((one.n for one in rows if one.gone is not None and one.gone < until), GONE))
