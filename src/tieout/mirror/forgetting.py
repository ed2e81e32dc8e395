"""What a copy's only writer forgets from time to time: old sightings, and words that no cell names any more."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import numpy as np

from tieout.mirror.copying import Copy
from tieout.mirror.suppliers import Following
from tieout.mirror.words import FEW, MOST_WORDS, Words

EVERY = 60.0
"""Seconds between two rounds."""

LOOK_FOR_WORDS_EVERY = 3_600.0
"""Seconds between two looks for words that no cell names: each reads all cells."""

ROWS = 5_000
"""Items whose cells are looked at, at a time."""


class Forgetting:
    """Forgets for one copy, on the node that leads it; nothing may be published meanwhile."""

    def __init__(self, following: Following) -> None:
        self.following = following
        self._clock = following.world.clock
        self._forgot_at = self._clock.monotonic()

    async def look(self, copy: Copy) -> None:
        """Forget what nobody needs, when it is time."""
        following, now = self.following, self._clock.monotonic()
        if now - self._forgot_at >= EVERY:
            self._forgot_at = now
            await following.world.database.transact(lambda tx: following.sightings.purge(tx, following.number))
            await self.forget_words(copy.words, now)

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
