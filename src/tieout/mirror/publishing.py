"""Publishing: observations of many groups merged into their rows, in one transaction of the copy's only writer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tieout.contracts import Database, Transaction
from tieout.coordination.lease import Lease, Leases
from tieout.mirror.batch import Batch, Portion, Read, Told, portions, read, sort
from tieout.mirror.calendar import positions
from tieout.mirror.copying import Copy
from tieout.mirror.digests import digest_of
from tieout.mirror.merging import Outcome, blank_rows, merged
from tieout.mirror.observed import Observed
from tieout.mirror.sightings import Sightings
from tieout.mirror.store import MirrorStore, Suspect

PIECE = 25
"""Answers that are read at a time: about a millisecond, in which nothing else runs."""

DIGESTED = 4 * PIECE
"""Answers that are digested at a time: as long, for that is a quarter of the work."""


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


class Ahead(NamedTuple):
    """A batch that comes next, and its outcome if that does not depend on rows that have to be read."""

    batch: Batch
    outcome: Outcome | None


async def _digested(copy: Copy, observed: Sequence[Observed]) -> tuple[list[Told], set[str]]:
    """Observations with the digests of their answers, where these may be known; others may run in between.

    And the groups of which one says something that the rows do not say.
    """
    told, news = list[Told](), set[str]()
    for at in range(0, len(observed), DIGESTED):
        for one in observed[at : at + DIGESTED]:
            expected = copy.digests.expected(one)
            digest = None if expected is None else digest_of(one)
            if digest is None or digest != expected:
                news.add(one.group)
            told.append((one, digest))
        await asyncio.sleep(0)
    return told, news


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


async def _ahead(copy: Copy, portion: Portion) -> Ahead:
    """A portion as a batch, and merged if it can be; others may run in between."""
    batch = await _sorted(copy, portion)
    rows = blank_rows(copy, batch) if batch.groups else None
    return Ahead(batch, None if rows is None else merged(copy, batch, rows, copy.layout.empty(len(rows), 0)))


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
        told, news = await _digested(copy, observed)
        whole, (first, *others) = Published(0, 0, 0, [], lease), portions(copy, told, news)
        now = await _ahead(copy, first)
        for following in (*others, None):
            # What comes next is read, and merged if it can be, while the database is at work.
            ahead = None if following is None else asyncio.ensure_future(_ahead(copy, following))
            try:
                done = await self._publish(whole.lease, copy, now, messages if ahead is None else ())
                whole = whole.and_then(done)
                if ahead is not None:
                    now = await ahead
            finally:
                if ahead is not None:
                    ahead.cancel()
        return whole

    async def _publish(self, lease: Lease, copy: Copy, ahead: Ahead, messages: Sequence[bytes]) -> Published:
        batch, words = ahead.batch, dict(copy.words.added)
        for one, _ in batch.seen:
            copy.digests.forget(one.observed)

        async def work(tx: Transaction) -> tuple[Lease, Outcome | None]:
            renewed = await self._leases.guard(tx, lease)
            await self._store.add_words(tx, copy.number, words.items())
            outcome = await self._merged(tx, copy, batch) if ahead.outcome is None else ahead.outcome
            if outcome is not None:
                await self._write(tx, copy, batch, outcome)
            await self._store.take_out(tx, copy.number, messages)
            return renewed, outcome

        renewed, outcome = await self._database.transact(work)
        for number in words:
            copy.words.added.pop(number, None)
        if outcome is None:
            return Published(0, 0, 0, batch.garbled, renewed)
        copy.checks.put(np.array(batch.groups, dtype=np.int64), outcome.checks)
        _learn(copy, batch, outcome)
        changed, suspect = np.count_nonzero(outcome.kept.changed), np.count_nonzero(outcome.kept.suspect)
        return Published(outcome.cells, int(changed), int(suspect), batch.garbled, renewed)

    async def _merged(self, tx: Transaction, copy: Copy, batch: Batch) -> Outcome | None:
        """The outcome of a batch whose rows have to be read; None where all of its groups are unknown."""
        if not batch.groups:
            return None
        groups = {batch.numbers[one.group] for one, _ in batch.seen}
        found = await self._store.cells_of(tx, copy.number, sorted(groups))
        rows, cells = [(group, n) for group, n, _ in found], copy.layout.unpack([cells for _, _, cells in found])
        return merged(copy, batch, rows, cells)

    async def _write(self, tx: Transaction, copy: Copy, batch: Batch, outcome: Outcome) -> None:
        await self._store.write_cells(tx, copy.number, outcome.rows)
        await self._store.write_checks(tx, copy.number, outcome.checked)
        head, marks = await self._store.standing(tx, copy.number)
        await self._sightings.add(tx, copy.number, head, outcome.sighted)
        await self._mark(tx, copy, batch, outcome, marks)

    async def _mark(
        self, tx: Transaction, copy: Copy, batch: Batch, outcome: Outcome, marks: Sequence[Suspect]
    ) -> None:
        """Mark the cells that became suspect; take back those `marks` that are over or were observed since."""
        ring, kept, checks = copy.layout.ring, outcome.kept, outcome.checks
        rows = kept.rows
        if kept.suspect.any():
            at = positions(kept.cells.base, ring)
            found = zip(*np.nonzero(kept.suspect), strict=True)
            cells = [(rows.numbers[item], int(at[item, slot])) for item, slot in found]
            await self._store.add_suspects(tx, copy.number, cells, outcome.until)
        if not marks:
            return
        owners = {n: place for place, n in enumerate(batch.numbers)}
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


def _learn(copy: Copy, batch: Batch, outcome: Outcome) -> None:
    """Know what was published by its digest, but for cells so far off that the rows do not hold them yet."""
    base, ring = outcome.checks.base.tolist(), copy.layout.ring
    for one, _ in batch.seen:
        is_held = one.observed.first + one.observed.count <= base[one.group] + ring
        if one.group in outcome.taken and one.digest is not None and is_held:
            copy.digests.learn(one.observed, one.digest, base[one.group])
