"""Merging a batch of observations into the rows of its groups: all that is computed of it, without the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tieout.mirror.batch import Batch, Round, Rows, Seen, apart, rounds, windows_of
from tieout.mirror.calendar import Bools, Cells, Checks
from tieout.mirror.copying import Copy
from tieout.mirror.rules import Merged, merge, note_check
from tieout.mirror.sightings import Sighted, pack_days, rows_of_many


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


class Outcome(NamedTuple):
    """What has become of a batch: `rows` of items and check times of groups as they are to be written, and what to log.

    Observations spoke of so many `cells`, the last until `until`. `taken` are the groups whose rows say now what was
    answered of them.
    """

    kept: Kept
    checks: Checks
    sighted: list[Sighted]
    cells: int
    until: int
    taken: frozenset[int]
    rows: list[tuple[int, int, bytes]]
    checked: list[tuple[int, bytes]]


def blank_rows(copy: Copy, batch: Batch) -> list[tuple[int, int]] | None:
    """The groups and numbers of the items that are compared, if their rows are blank; None if these have to be read.

    From then on they are blank no more.
    """
    groups = sorted({batch.numbers[one.group] for one, _ in batch.seen})
    blank = {group: copy.blank.pop(group) for group in groups if group in copy.blank}
    return [(group, n) for group, items in blank.items() for n in items] if len(blank) == len(groups) else None


def merged(copy: Copy, batch: Batch, rows: Sequence[tuple[int, int]], cells: Cells) -> Outcome:
    """What a batch makes of the cells of all items that it compares; `rows` are their groups and numbers."""
    checks = copy.checks.pick(np.array(batch.groups, dtype=np.int64))
    checks.roll(copy.first(max(one.start for one in batch.observed), batch.groups))
    sighted, kept = confirm(copy, batch, checks), _kept(copy, batch, checks, rows, cells)
    count = sum(one.known for one in sighted)
    for one in rounds(copy.layout, kept.rows, checks, batch.seen) if batch.seen else ():
        known = one.sighting.seen & kept.cells.known
        became = merge(
            copy.layout.fields, kept.cells, checks, kept.rows.group, one.sighting, rest_holds=copy.terms.rest_holds
        )
        if one.sighting.whole:
            note_check(checks, one.window, one.start, one.end)
        kept.note(one, became)
        sighted += sightings_of(batch, kept.rows, one, known, became.changed)
        count += int(np.count_nonzero(one.sighting.seen))
    until, checked = max(one.end for one in batch.observed), list(zip(batch.numbers, checks.pack(), strict=True))
    return Outcome(kept, checks, sighted, count, until, _taken(batch, kept), _packed(copy, batch, kept), checked)


def _kept(copy: Copy, batch: Batch, checks: Checks, rows: Sequence[tuple[int, int]], cells: Cells) -> Kept:
    owners = {batch.numbers[one.group]: one.group for one, _ in batch.seen}
    of_rows, numbers = zip(*rows, strict=True) if rows else ((), ())
    owner = np.array(list(map(owners.__getitem__, of_rows)), dtype=np.int64)
    places = dict(zip(map(copy.names.get, numbers), range(len(rows)), strict=True))
    cells.roll(checks.base[owner])
    nothing = np.zeros(cells.known.shape, dtype=np.bool_)
    none = np.zeros(len(rows), dtype=np.bool_)
    return Kept(Rows(numbers, owner, places), cells, none, nothing, nothing.copy(), none.copy())


def _packed(copy: Copy, batch: Batch, kept: Kept) -> list[tuple[int, int, bytes]]:
    """The rows that are to be written, with their groups and numbers."""
    written = np.flatnonzero(kept.written)
    groups = np.array(batch.numbers, dtype=np.int64)[kept.rows.group[written]].tolist()
    numbers = map(kept.rows.numbers.__getitem__, written.tolist())
    return list(zip(groups, numbers, copy.layout.pack(kept.cells.pick(kept.written)), strict=True))


def confirm(copy: Copy, batch: Batch, checks: Checks) -> list[Sighted]:
    """Note when the groups were checked of which nothing else is news; the sightings of these observations."""
    asked = batch.confirmed
    if not len(asked.group):
        return []
    for turn in apart(asked):
        note_check(checks, *windows_of(copy.layout, checks, turn))
    numbers = np.array(batch.numbers, dtype=np.int64)[asked.group]
    sizes = np.array([copy.sizes[n] for n in batch.numbers], dtype=np.int64)[asked.group]
    first = np.maximum(asked.first, checks.base[asked.group])
    count, took = asked.first + asked.cells - first, (asked.end - asked.start) // 1_000
    columns, sighted = (numbers, first, count, asked.start, took, sizes * count), list[Sighted]()
    causes = np.array(batch.causes)
    for cause in sorted(set(batch.causes)):
        is_told = (causes == cause) & (count > 0)
        sighted += rows_of_many(cause, *(column[is_told] for column in columns))
    return sighted


def sightings_of(batch: Batch, rows: Rows, merged: Round, known: Bools, changed: Bools) -> list[Sighted]:
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
            at, n = one.group, batch.numbers[one.group]
            told = days[ends[at] * size : ends[at + 1] * size]
            found.append(_sighted(one, n, window.first, count, knowns[at], changes[at], told))
    return found


def _by_group(rows: Rows, cells: Bools, groups: int) -> list[int]:
    """How many of the cells are set, of each group."""
    counts = np.bincount(rows.group, weights=np.count_nonzero(cells, axis=1), minlength=groups)
    return list(map(int, counts.tolist()))


def _sighted(one: Seen, group: int, first: int, cells: int, known: int, changed: int, days: bytes) -> Sighted:
    observed = one.observed
    took = (observed.end - observed.start) // 1_000
    return Sighted(0, group, first, cells, observed.cause, observed.start, took, one.is_whole, known, changed, days)


def _taken(batch: Batch, kept: Kept) -> frozenset[int]:
    """The groups that were compared whose rows say now what all their answers said, each in a window of its own."""
    ends: dict[int, int] = {}
    whole = {one.group for one, _ in batch.seen} - set(kept.rows.group[kept.missed].tolist())
    for one, _ in sorted(batch.seen, key=lambda seen: seen[0].observed.first):
        if one.digest is None or one.observed.first < ends.get(one.group, one.observed.first):
            whole.discard(one.group)
        ends[one.group] = one.observed.first + one.observed.count
    return frozenset(whole)
