"""Publishing: observations of many groups merged into their rows, in one transaction of the copy's only writer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tieout.contracts import Database, Transaction
from tieout.coordination.lease import Lease, Leases
from tieout.mirror.ahead import Coming, Line
from tieout.mirror.batch import Batch
from tieout.mirror.calendar import positions
from tieout.mirror.copying import Copy
from tieout.mirror.memory import keep_freed
from tieout.mirror.merging import Outcome
from tieout.mirror.observed import Observed
from tieout.mirror.sightings import Sightings
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

    def and_then(self, other: Published) -> Published:
        """Both, one after the other."""
        counts = (self.cells + other.cells, self.changed + other.changed, self.suspect + other.suspect)
        return Published(*counts, [*self.garbled, *other.garbled], other.lease)


class Publisher:
    """Merges observations into the rows of copies."""

    def __init__(self, database: Database, store: MirrorStore, leases: Leases) -> None:
        self._database = database
        self._store = store
        self._leases = leases
        self._sightings = Sightings(database.dialect)
        keep_freed()

    async def publish(
        self, lease: Lease, copy: Copy, observed: Sequence[Observed], messages: Sequence[bytes] = ()
    ) -> Published:
        """Merge observations, and take their messages out of the inbox; raise `LostLease` when somebody else writes.

        Many are merged in several transactions, the messages go in the last. It may be done again: what is newer wins,
        whatever is merged twice or late.
        """
        whole, line = Published(0, 0, 0, [], lease), Line(copy, observed)
        try:
            while (now := await line.next()) is not None:
                done = await self._publish(whole.lease, copy, now, line, messages if now.is_last else ())
                whole = whole.and_then(done)
        finally:
            await line.close()
        return whole

    async def _publish(self, lease: Lease, copy: Copy, now: Coming, line: Line, messages: Sequence[bytes]) -> Published:
        batch, words = now.batch, dict(copy.words.added)
        for one, _ in batch.seen:
            copy.digests.forget(one.observed)

        async def work(tx: Transaction) -> tuple[Lease, Outcome | None]:
            renewed = await self._leases.guard(tx, lease)
            await self._store.add_words(tx, copy.number, words.items())
            if now.to_read:
                now.merge(await self._store.cells_of(tx, copy.number, now.to_read))
            following = line.waiting
            if following is not None and following.to_read:
                # It is merged while what is now is written.
                following.merge_soon(await self._store.cells_of(tx, copy.number, following.to_read))
            outcome = now.outcome
            if outcome is not None:
                await self._write(tx, copy, batch, outcome)
            await self._store.take_out(tx, copy.number, messages)
            return renewed, outcome

        renewed, outcome = await self._database.transact(work)
        for number, text in words.items():
            if copy.words.added.get(number) == text:
                del copy.words.added[number]
        if outcome is None:
            return Published(0, 0, 0, batch.garbled, renewed)
        copy.checks.put(np.array(batch.groups, dtype=np.int64), outcome.checks)
        _learn(copy, batch, outcome)
        changed, suspect = np.count_nonzero(outcome.kept.changed), np.count_nonzero(outcome.kept.suspect)
        return Published(outcome.cells, int(changed), int(suspect), batch.garbled, renewed)

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
