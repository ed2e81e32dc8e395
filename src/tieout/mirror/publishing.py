"""Publishing: observations of many groups merged into their rows, in one transaction of the copy's only writer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tieout.contracts import Database, Transaction
from tieout.coordination.lease import Lease, Leases
from tieout.mirror.answers import Garbled, read_answer
from tieout.mirror.batch import Round, Rows, Seen, rounds
from tieout.mirror.calendar import Bools, Cells, Checks, positions
from tieout.mirror.copying import Copy
from tieout.mirror.observed import Observed
from tieout.mirror.rules import merge, note_check, times
from tieout.mirror.sightings import Sighted, Sightings, pack_days
from tieout.mirror.store import MirrorStore, Suspect


class Published(NamedTuple):
    """What a publication did: cells that observations spoke of, that changed, and that became suspect.

    Of the `garbled` observations nothing was used, for the reasons given; `lease` is the renewed one.
    """

    cells: int
    changed: int
    suspect: int
    garbled: Sequence[tuple[Observed, str]]
    lease: Lease


class Publisher:
    """Merges observations into the rows of copies."""

    def __init__(self, database: Database, store: MirrorStore, leases: Leases) -> None:
        self._database = database
        self._store = store
        self._leases = leases
        self._sightings = Sightings(database.dialect)

    async def publish(
        self, lease: Lease, copy: Copy, observed: Sequence[Observed], messages: Sequence[bytes] = ()
    ) -> Published:
        """Merge observations, and take their messages out of the inbox; raise `LostLease` when somebody else writes.

        It may be done again: what is newer wins, whatever is merged twice or late.
        """
        groups, seen, garbled = checked(copy, observed)
        words = dict(copy.words.added)

        async def work(tx: Transaction) -> tuple[Published, Checks | None]:
            renewed = await self._leases.guard(tx, lease)
            await self._store.add_words(tx, copy.number, words.items())
            counts, checks = await self._merge(tx, copy, groups, seen) if seen else ((0, 0, 0), None)
            await self._store.take_out(tx, copy.number, messages)
            return Published(*counts, garbled, renewed), checks

        published, checks = await self._database.transact(work)
        if checks is not None:
            copy.checks.put(np.array(groups), checks)
        for number in words:
            copy.words.added.pop(number, None)
        return published

    async def _merge(
        self, tx: Transaction, copy: Copy, groups: Sequence[int], seen: Sequence[Seen]
    ) -> tuple[tuple[int, int, int], Checks]:
        rows, kept = await self._rows(tx, copy, groups)
        checks = copy.checks.pick(np.array(groups))
        checks.roll(copy.first(max(one.observed.start for one in seen), groups))
        kept.roll(checks.base[rows.group])
        written = np.zeros(len(kept), dtype=np.bool_)
        changed = np.zeros(kept.known.shape, dtype=np.bool_)
        suspect, cells = changed.copy(), 0
        sighted: list[Sighted] = []
        for one in rounds(copy.layout, rows, checks, seen):
            known = one.sighting.seen & kept.known
            merged = merge(copy.layout.fields, kept, checks, rows.group, one.sighting, rest_holds=copy.terms.rest_holds)
            if one.sighting.whole:
                note_check(checks, one.window, one.start, one.end)
            sighted += sightings_of(copy, groups, rows, checks, one, known, merged.changed)
            cells += int(one.sighting.seen.sum())
            written |= merged.written
            changed |= merged.changed
            suspect |= merged.suspect
        await self._write(tx, copy, groups, rows, kept.pick(written), written)
        numbers = [copy.groups[group].n for group in groups]
        await self._store.write_checks(tx, copy.number, zip(numbers, checks.pack(), strict=True))
        await self._sightings.add(tx, copy.number, sighted)
        since = max(one.observed.end for one in seen)
        await self._mark(tx, copy, rows, kept, checks, suspect, since)
        return (cells, int(changed.sum()), int(suspect.sum())), checks

    async def _rows(self, tx: Transaction, copy: Copy, groups: Sequence[int]) -> tuple[Rows, Cells]:
        """The rows of all items of some groups, as they are now."""
        owners = {copy.groups[group].n: place for place, group in enumerate(groups)}
        found = await self._store.cells_of(tx, copy.number, list(owners))
        numbers = [n for _, n, _ in found]
        owner = np.array([owners[group] for group, _, _ in found], dtype=np.int64)
        places = {copy.names[n]: place for place, n in enumerate(numbers) if n in copy.names}
        return Rows(numbers, owner, places), copy.layout.unpack([cells for _, _, cells in found])

    async def _write(
        self, tx: Transaction, copy: Copy, groups: Sequence[int], rows: Rows, kept: Cells, written: Bools
    ) -> None:
        places = np.flatnonzero(written)
        named = ((copy.groups[groups[rows.group[at]]].n, rows.numbers[at]) for at in places)
        packed = zip(named, copy.layout.pack(kept), strict=True)
        await self._store.write_cells(tx, copy.number, ((group, n, row) for (group, n), row in packed))

    async def _mark(
        self, tx: Transaction, copy: Copy, rows: Rows, kept: Cells, checks: Checks, suspect: Bools, since: int
    ) -> None:
        """Mark the cells that became suspect; take back the marks of those that are over or were observed since."""
        at, ring = positions(kept.base, copy.layout.ring), copy.layout.ring
        found = zip(*np.nonzero(suspect), strict=True)
        cells = [(rows.numbers[item], int(at[item, slot])) for item, slot in found]
        await self._store.add_suspects(tx, copy.number, cells, since)
        places = {n: place for place, n in enumerate(rows.numbers)}
        start, _ = times(kept, checks, rows.group)

        def is_settled(mark: Suspect) -> bool:
            cell = places[mark.item], mark.position & (ring - 1)
            is_over = bool(mark.position < kept.base[cell[0]])
            return is_over or bool(start[cell] > mark.since and not suspect[cell])

        marks = [mark for mark in await self._store.suspects(tx, copy.number) if mark.item in places]
        await self._store.clear_suspects(tx, copy.number, filter(is_settled, marks))


def sightings_of(
    copy: Copy, groups: Sequence[int], rows: Rows, checks: Checks, merged: Round, known: Bools, changed: Bools
) -> list[Sighted]:
    """A sighting of each observation that was merged: how many of its cells were known, and which have changed."""
    found = []
    for one in merged.seen:
        observed, ours = one.observed, np.flatnonzero(rows.group == one.group)
        base = int(checks.base[one.group])
        first = max(observed.first, base)
        count = min(observed.first + observed.count, base + copy.layout.ring) - first
        if count <= 0:
            continue
        slots = (first + np.arange(count)) & (copy.layout.ring - 1)
        cells = changed[ours][:, slots]
        there = cells.any(axis=1)
        items = [rows.numbers[at] for at in ours[there]]
        took = (observed.end - observed.start) // 1_000
        found.append(
            Sighted(
                0,
                copy.groups[groups[one.group]].n,
                first,
                count,
                observed.cause,
                observed.start,
                took,
                one.is_whole,
                int(known[ours][:, slots].sum()),
                int(cells.sum()),
                pack_days(items, cells[there]),
            )
        )
    return found


def checked(copy: Copy, observed: Sequence[Observed]) -> tuple[list[int], list[Seen], list[tuple[Observed, str]]]:
    """The groups that sound observations speak of, those observations, and the others with what is wrong with them."""
    places: dict[int, int] = {}
    seen, garbled = [], []
    for one in observed:
        group = copy.index.get(one.group)
        if group is None:
            garbled.append((one, f"the catalogue has no group {one.group!r:.100}"))
            continue
        try:
            answer = read_answer(
                copy.layout, copy.words, one.items, one.count, partial=one.cause == "push" and not one.complete
            )
        except Garbled as error:
            garbled.append((one, str(error)))
        else:
            seen.append(Seen(places.setdefault(group, len(places)), one, answer))
    return list(places), seen, garbled
