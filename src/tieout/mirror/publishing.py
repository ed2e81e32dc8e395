"""Publishing: observations of many groups merged into their rows, in one transaction of the copy's only writer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tieout.contracts import Database, Transaction
from tieout.coordination.lease import Lease, Leases
from tieout.mirror.batch import (
    Batch,
    Portion,
    Read,
    Round,
    Rows,
    Seen,
    Told,
    portions,
    read,
    rounds,
    sort,
    turns,
    windows_of,
)
from tieout.mirror.calendar import Bools, Cells, Checks, positions
from tieout.mirror.copying import Copy
from tieout.mirror.digests import digest_of
from tieout.mirror.observed import Observed
from tieout.mirror.rules import Merged, merge, note_check
from tieout.mirror.sightings import Sighted, Sightings, pack_days, rows_of_many
from tieout.mirror.store import MirrorStore, Suspect

PIECE = 25
"""Answers that are digested, or read, at a time: about a millisecond, in which nothing else runs."""


class Published(NamedTuple):
    """What a publication did: cells that observations spoke of, that changed, and that became suspect.

    Of the `garbled` observations nothing was used, for the reasons given; `lease` is the renewed one.
    """

    cells: int
    changed: int
    suspect: int
    garbled: Sequence[tuple[Observed, str]]
    lease: Lease

    def and_then(self, other: Published) -> Published:
        """Both, one after the other."""
        counts = (self.cells + other.cells, self.changed + other.changed, self.suspect + other.suspect)
        return Published(*counts, [*self.garbled, *other.garbled], other.lease)


class Done(NamedTuple):
    """What a transaction did, to be known once it is committed: `taken` are groups whose answers their rows say now."""

    published: Published
    checks: Checks
    taken: frozenset[int]


class Kept(NamedTuple):
    """The rows of the groups that are compared, and what has become of them so far."""

    rows: Rows
    cells: Cells
    written: Bools
    changed: Bools
    suspect: Bools
    missed: Bools

    def note(self, round_: Round, merged: Merged) -> None:
        """Take in what one round did."""
        self.written[:] |= merged.written
        self.changed[:] |= merged.changed
        self.suspect[:] |= merged.suspect
        self.missed[:] |= (round_.sighting.seen & ~merged.taken).any(axis=1)


async def _digested(copy: Copy, observed: Sequence[Observed]) -> list[Told]:
    """Observations with the digests of their answers, where these may be known; others may run in between."""
    told: list[Told] = []
    for at in range(0, len(observed), PIECE):
        told += [(one, digest_of(one) if copy.digests.has(one) else None) for one in observed[at : at + PIECE]]
        await asyncio.sleep(0)
    return told


async def _sorted(copy: Copy, portion: Portion) -> Batch:
    """Observations, of which the news are read, and have their digests from now on; others may run in between."""
    whole, news = Read({}, []), list[Told]()
    for at in range(0, len(portion.news), PIECE):
        told = [(one, digest_of(one) if digest is None else digest) for one, digest in portion.news[at : at + PIECE]]
        answers, garbled = read(copy.layout, copy.words, [one for one in told if one[0].group in copy.index])
        whole.answers.update(answers)
        whole.garbled.extend(garbled)
        news += told
        await asyncio.sleep(0)
    return sort(copy, Portion(portion.known, news), whole)


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

        Many are merged in several transactions, the messages go in the last. It may be done again: what is newer wins,
        whatever is merged twice or late.
        """
        whole, (first, *others) = Published(0, 0, 0, [], lease), portions(copy, await _digested(copy, observed))
        batch = await _sorted(copy, first)
        for following in (*others, None):
            # What comes next is read while the database is at work.
            ahead = None if following is None else asyncio.ensure_future(_sorted(copy, following))
            try:
                done = await self._publish(whole.lease, copy, batch, messages if ahead is None else ())
                whole = whole.and_then(done)
                if ahead is not None:
                    batch = await ahead
            finally:
                if ahead is not None:
                    ahead.cancel()
        return whole

    async def _publish(self, lease: Lease, copy: Copy, batch: Batch, messages: Sequence[bytes]) -> Published:
        words = dict(copy.words.added)
        for one, _ in batch.seen:
            copy.digests.forget(one.observed)

        async def work(tx: Transaction) -> Done:
            renewed = await self._leases.guard(tx, lease)
            await self._store.add_words(tx, copy.number, words.items())
            counts, checks, taken = await self._merge(tx, copy, batch)
            await self._store.take_out(tx, copy.number, messages)
            return Done(Published(*counts, batch.garbled, renewed), checks, taken)

        published, checks, taken = await self._database.transact(work)
        copy.checks.put(np.array(batch.groups, dtype=np.int64), checks)
        _learn(copy, batch, checks, taken)
        for number in words:
            copy.words.added.pop(number, None)
        return published

    async def _merge(
        self, tx: Transaction, copy: Copy, batch: Batch
    ) -> tuple[tuple[int, int, int], Checks, frozenset[int]]:
        checks = copy.checks.pick(np.array(batch.groups, dtype=np.int64))
        everything = [*batch.confirmed, *(one for one, _ in batch.seen)]
        if not everything:
            return (0, 0, 0), checks, frozenset()
        checks.roll(copy.first(max(one.observed.start for one in everything), batch.groups))
        sighted = confirm(copy, batch, checks)
        cells, kept = sum(one.known for one in sighted), await self._kept(tx, copy, batch, checks)
        for one in rounds(copy.layout, kept.rows, checks, batch.seen) if batch.seen else ():
            known = one.sighting.seen & kept.cells.known
            merged = merge(
                copy.layout.fields, kept.cells, checks, kept.rows.group, one.sighting, rest_holds=copy.terms.rest_holds
            )
            if one.sighting.whole:
                note_check(checks, one.window, one.start, one.end)
            kept.note(one, merged)
            sighted += sightings_of(copy, batch, kept.rows, one, known, merged.changed)
            cells += int(np.count_nonzero(one.sighting.seen))
        await self._write(tx, copy, batch, kept)
        numbers = [copy.groups[group].n for group in batch.groups]
        await self._store.write_checks(tx, copy.number, list(zip(numbers, checks.pack(), strict=True)))
        head, marks = await self._store.standing(tx, copy.number)
        await self._sightings.add(tx, copy.number, head, sighted)
        since = max(one.observed.end for one in everything)
        await self._mark(tx, copy, batch, kept, checks, since, marks)
        counts = (cells, int(np.count_nonzero(kept.changed)), int(np.count_nonzero(kept.suspect)))
        return counts, checks, _taken(batch, kept)

    async def _kept(self, tx: Transaction, copy: Copy, batch: Batch, checks: Checks) -> Kept:
        """The rows of all items of the groups that are compared, as they are now; those that are blank are not read."""
        owners = {copy.groups[batch.groups[one.group]].n: one.group for one, _ in batch.seen}
        blank = {group: copy.blank.pop(group) for group in sorted(owners) if group in copy.blank}
        if len(blank) == len(owners):
            rows = [(group, n) for group, items in blank.items() for n in sorted(items)]
            cells = copy.layout.empty(len(rows), 0)
        else:
            found = await self._store.cells_of(tx, copy.number, list(owners))
            rows = [(group, n) for group, n, _ in found]
            cells = copy.layout.unpack([cells for _, _, cells in found])
        numbers = [n for _, n in rows]
        owner = np.array([owners[group] for group, _ in rows], dtype=np.int64)
        names = map(copy.names.get, numbers)
        places = {name: place for place, name in enumerate(names) if name is not None}
        cells.roll(checks.base[owner])
        nothing = np.zeros(cells.known.shape, dtype=np.bool_)
        none = np.zeros(len(rows), dtype=np.bool_)
        return Kept(Rows(numbers, owner, places), cells, none, nothing, nothing.copy(), none.copy())

    async def _write(self, tx: Transaction, copy: Copy, batch: Batch, kept: Kept) -> None:
        written = np.flatnonzero(kept.written)
        of_batch = np.array([copy.groups[group].n for group in batch.groups], dtype=np.int64)
        groups = of_batch[kept.rows.group[written]].tolist()
        numbers = map(kept.rows.numbers.__getitem__, written.tolist())
        rows = list(zip(groups, numbers, copy.layout.pack(kept.cells.pick(kept.written)), strict=True))
        await self._store.write_cells(tx, copy.number, rows)

    async def _mark(
        self,
        tx: Transaction,
        copy: Copy,
        batch: Batch,
        kept: Kept,
        checks: Checks,
        since: int,
        marks: Sequence[Suspect],
    ) -> None:
        """Mark the cells that became suspect; take back those `marks` that are over or were observed since."""
        ring, rows = copy.layout.ring, kept.rows
        if kept.suspect.any():
            at = positions(kept.cells.base, ring)
            found = zip(*np.nonzero(kept.suspect), strict=True)
            cells = [(rows.numbers[item], int(at[item, slot])) for item, slot in found]
            await self._store.add_suspects(tx, copy.number, cells, since)
        if not marks:
            return
        owners = {copy.groups[group].n: place for place, group in enumerate(batch.groups)}
        places = {n: place for place, n in enumerate(rows.numbers)}

        def is_settled(mark: Suspect) -> bool:
            name = copy.names.get(mark.item)
            group = None if name is None else owners.get(copy.items[name].group)
            if group is None:
                return False
            slot, item = mark.position & (ring - 1), places.get(mark.item)
            own = None if item is None else kept.cells.start[item, slot]
            start = checks.start[group, slot] if own is None else max(own, checks.start[group, slot])
            is_suspect = item is not None and bool(kept.suspect[item, slot])
            return bool(mark.position < checks.base[group] or (start > mark.since and not is_suspect))

        await self._store.clear_suspects(tx, copy.number, list(filter(is_settled, marks)))


def confirm(copy: Copy, batch: Batch, checks: Checks) -> list[Sighted]:
    """Note when the groups were checked of which nothing else is news; the sightings of these observations."""
    for turn in turns(batch.confirmed):
        note_check(checks, *windows_of(copy.layout, checks, turn))
    numbers = [copy.groups[group].n for group in batch.groups]
    sizes, sighted = np.array([copy.sizes[n] for n in numbers], dtype=np.int64), list[Sighted]()
    for cause in sorted({one.observed.cause for one in batch.confirmed}):
        some = [(one.group, one.observed) for one in batch.confirmed if one.observed.cause == cause]
        groups = np.array([group for group, _ in some], dtype=np.int64)
        first = np.maximum([one.first for _, one in some], checks.base[groups])
        count = np.array([one.first + one.count for _, one in some], dtype=np.int64) - first
        start = np.array([one.start for _, one in some], dtype=np.int64)
        took = (np.array([one.end for _, one in some], dtype=np.int64) - start) // 1_000
        of_cause = (np.array(numbers, dtype=np.int64)[groups], first, count, start, took, sizes[groups] * count)
        sighted += rows_of_many(cause, *(column[count > 0] for column in of_cause))
    return sighted


def sightings_of(copy: Copy, batch: Batch, rows: Rows, merged: Round, known: Bools, changed: Bools) -> list[Sighted]:
    """A sighting of each observation that was merged: how many of its cells were known, and which have changed."""
    found, numbers, places = [], np.array(rows.numbers, dtype=np.int64), np.arange(len(batch.groups) + 1)
    for window in merged.windows:
        cells = changed[:, window.slots]
        there = cells.any(axis=1)
        count = len(window.slots)
        days, size = pack_days(numbers[there], cells[there])
        ends = np.searchsorted(rows.group[there], places).tolist()
        changes = _by_group(rows, cells, len(batch.groups))
        knowns = _by_group(rows, known[:, window.slots], len(batch.groups))
        for one, _ in window.seen:
            at, n = one.group, copy.groups[batch.groups[one.group]].n
            told = days[ends[at] * size : ends[at + 1] * size]
            found.append(_sighted(one, n, window.first, count, knowns[at], changes[at], told))
    return found


def _by_group(rows: Rows, cells: Bools, groups: int) -> list[int]:
    counts = np.bincount(rows.group, weights=np.count_nonzero(cells, axis=1), minlength=groups)
    return [int(count) for count in counts]


def _sighted(one: Seen, group: int, first: int, cells: int, known: int, changed: int, days: bytes) -> Sighted:
    observed = one.observed
    took = (observed.end - observed.start) // 1_000
    return Sighted(0, group, first, cells, observed.cause, observed.start, took, one.is_whole, known, changed, days)


def _taken(batch: Batch, kept: Kept) -> frozenset[int]:
    """The groups that were compared whose rows say now what all their answers said, each in a window of its own."""
    ends: dict[int, int] = {}
    apart = {one.group for one, _ in batch.seen} - set(kept.rows.group[kept.missed].tolist())
    for one, _ in sorted(batch.seen, key=lambda seen: seen[0].observed.first):
        if one.digest is None or one.observed.first < ends.get(one.group, one.observed.first):
            apart.discard(one.group)
        ends[one.group] = one.observed.first + one.observed.count
    return frozenset(apart)


def _learn(copy: Copy, batch: Batch, checks: Checks, taken: frozenset[int]) -> None:
    """Know what was published by its digest, but for cells so far off that the rows do not hold them yet."""
    base, ring = checks.base.tolist(), copy.layout.ring
    for one, _ in batch.seen:
        is_held = one.observed.first + one.observed.count <= base[one.group] + ring
        if one.group in taken and one.digest is not None and is_held:
            copy.digests.learn(one.observed, one.digest, base[one.group])
