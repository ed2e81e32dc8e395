"""Keeping views current: loads copies into memory, and follows their feeds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from typing import NamedTuple

import numpy as np

from tieout.contracts import Transaction
from tieout.errors import DatabaseError
from tieout.mirror.columns import Columns
from tieout.mirror.doubts import Doubts
from tieout.mirror.parts import Marks, Part
from tieout.mirror.sightings import CATALOGUE, MANY, Sighted, Sightings, groups_of
from tieout.mirror.suppliers import Following, World
from tieout.mirror.view import View
from tieout.mirror.words import MOST_WORDS, VERSION

log = logging.getLogger("tieout.mirror")

EVERY = 0.25
"""Seconds between two looks at what has changed: far less than a view may lag."""

ROWS = 5_000
"""Rows that are unpacked at a time, before others may run."""

SIGHTINGS = 200
"""Rows of sightings that are taken in at a time: what is decoded of them and their rows is nobody's wait."""

REPLACED, SEEN = 100, 50
"""Rows, and sightings, that are merged at a time: less than a millisecond, in which no search runs.

As much as that is one row of many sightings.
"""

MARKS = 100_000
"""Suspect cells, and doubts, that views know of at a time; those beyond are suspect only where they are read singly."""


class Changed(NamedTuple):
    """What came behind a part's cursor: sightings, the rows of groups that changed, and behind these all words, if any.

    `version` is that of the words before these rows were read.
    """

    version: str | None
    sighted: list[Sighted]
    rows: list[tuple[int, bytes]]
    words: dict[int, str]


class Viewing:
    """Loads one mirror's copies into a view, and follows them until it is stopped."""

    def __init__(self, world: World, followings: Mapping[str, Following], view: View) -> None:
        self.view = view
        self.stopping = asyncio.Event()
        self._world = world
        self._followings = dict(followings)
        self._sightings = Sightings(world.database.dialect)
        self._doubts = Doubts(world.database.dialect)

    async def load(self) -> None:
        """Load everything; the view is current as of the moment before it began."""
        parts = {name: await self._part(name, following) for name, following in self._followings.items()}
        await self._put(parts)
        await self.look()

    async def run(self) -> None:
        """Follow the feeds; go on after errors of the database, while the view's lag grows."""
        while not self.stopping.is_set():
            try:
                await self.look()
            except DatabaseError as error:
                log.warning("%s: the view is not current: %s", next(iter(self._followings), ""), error)
            except Exception:
                log.exception("the view is not current")
            try:
                await asyncio.wait_for(self.stopping.wait(), EVERY)
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Take in what has changed since the last look."""
        begun = self._world.clock.monotonic()
        heads, now = await self._world.database.read(self._sightings.heads)
        for name, following in self._followings.items():
            following.moments.learn(now, begun)
            part, head = self.view.table.parts[name], heads.get(following.number, 0)
            if part.cursor > head:  # what it has seen is not there any more: the database is an older one
                part = await self._reload(name, following)
            while part.cursor < head:
                part = await self._advance(name, following, part)
            if part.columns.roll(now):
                await asyncio.sleep(0)
        await self._mark()
        self.view.current_at = now

    async def _part(self, name: str, following: Following) -> Part:
        """A copy as it is, its rows and its words of one version."""
        while True:
            version, part = await self._read_part(name, following)
            if part.words.get(VERSION) == version:
                return part

    async def _read_part(self, name: str, following: Following) -> tuple[str | None, Part]:
        """The version of a copy's words before its rows were read, and the copy, the words read behind these."""
        store, copy = self._world.store, following.number

        async def begin(tx: Transaction) -> tuple[str | None, Part]:
            version, cursor = await store.version_of_words(tx, copy), await self._sightings.head(tx, copy)
            groups = [group for group in await store.groups(tx, copy) if group.gone is None]
            items = sum(item.gone is None for item in await store.items(tx, copy))
            # Room for items that come between the count and the rows: these bring a change of the catalogue with them.
            columns = Columns(following.layout, following.terms, groups, items)
            return version, Part(name, columns, {}, cursor)

        version, part = await self._world.database.read(begin)
        room = part.columns.arrays.known.shape[1]
        cells = self._world.database.stream(self._sightings.sql.all_cells, batch=ROWS, copy=copy)
        async with aclosing(cells):
            async for rows in cells:
                left = room - len(part.columns)
                part.columns.add(
                    [(group, n, bytes(item).decode(), bytes(days)) for group, n, item, days in rows[:left]]
                )
                await asyncio.sleep(0)
        part.columns.trim()
        part.words = await self._world.database.read(lambda tx: store.words(tx, copy))
        return version, part

    async def _put(self, parts: Mapping[str, Part]) -> None:
        for _ in self.view.table.put(parts):
            await asyncio.sleep(0)

    async def _reload(self, name: str, following: Following) -> Part:
        part = await self._part(name, following)
        await self._put({name: part})
        return part

    async def _advance(self, name: str, following: Following, part: Part) -> Part:
        """A part some steps further; anew, when items came or went, or words became others that its rows still name."""
        changed = await self._world.database.read(lambda tx: self._changed(tx, following, part))
        if not changed.sighted or any(one.cause == CATALOGUE for one in changed.sighted):
            return await self._reload(name, following)
        if changed.words:
            if changed.words.get(VERSION) != changed.version:
                return part  # as it was: it cannot be told what the rows mean, which are read again
            if changed.version != part.words.get(VERSION) and await _names_others(part, changed.words):
                return await self._reload(name, following)
        part.words |= changed.words
        for at in range(0, len(changed.rows), REPLACED):
            part.columns.replace(changed.rows[at : at + REPLACED])
            await asyncio.sleep(0)
        merged = 0
        for one in changed.sighted:
            part.columns.see(one)
            merged += SEEN if one.group == MANY else 1
            if merged >= SEEN:
                merged = 0
                await asyncio.sleep(0)
        part.cursor = changed.sighted[-1].seq
        return part

    async def _changed(self, tx: Transaction, following: Following, part: Part) -> Changed:
        store, copy = self._world.store, following.number
        version = await store.version_of_words(tx, copy)
        sighted = await self._sightings.after(tx, copy, part.cursor, SIGHTINGS)
        rows = [(n, cells) for _, n, cells in await store.cells_of(tx, copy, list(groups_of(sighted)))]
        has_words = any(field.kind == "dictionary" for field in following.layout.fields.values())
        return Changed(version, sighted, rows, await store.words(tx, copy) if rows and has_words else {})

    async def _mark(self) -> None:
        """Know what is doubtful now."""
        copies = {following.number: self.view.table.parts[name] for name, following in self._followings.items()}
        suspects, doubts = await self._world.database.read(lambda tx: self._doubts.everywhere(tx, MARKS))
        items: dict[int, list[tuple[int, int]]] = {copy: [] for copy in copies}
        windows: dict[int, list[tuple[int, int, int]]] = {copy: [] for copy in copies}
        for copy, item, at in suspects:
            if copy in copies and (place := copies[copy].columns.numbers.get(item)) is not None:
                items[copy].append((place, at))
        for copy, group, first, cells in doubts:
            if copy in copies and (group < 0 or group in copies[copy].columns.groups):
                place = group if group < 0 else copies[copy].columns.groups[group]
                windows[copy].append((place, first, first + cells))
        for copy, part in copies.items():
            marked = np.array(items[copy], dtype=np.int64).reshape(-1, 2)
            part.marks = Marks(marked[:, 0], marked[:, 1], windows[copy])


async def _names_others(part: Part, words: Mapping[int, str]) -> bool:
    """Whether rows of a part that is behind name words that have become others; searches may run in between."""
    kept, is_other = part.words, np.zeros(MOST_WORDS + 1, dtype=np.bool_)
    is_other[[n for n, text in words.items() if n != VERSION and kept.get(n, text) != text]] = True
    for name, field in part.columns.layout.fields.items():
        for cells in part.columns.arrays.values[name] if field.kind == "dictionary" else ():
            if is_other[cells].any():
                return True
            await asyncio.sleep(0)
    return False
