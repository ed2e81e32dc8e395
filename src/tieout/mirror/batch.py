"""A batch of observations laid over the rows of their groups, so that many are merged at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from tieout.mirror.answers import Answer
from tieout.mirror.calendar import NEVER, Bools, Checks, Ints, Layout, positions
from tieout.mirror.observed import Observed
from tieout.mirror.rules import Sighting


class Seen(NamedTuple):
    """An observation, checked, and its group's place in the batch."""

    group: int
    observed: Observed
    answer: Answer

    @property
    def is_whole(self) -> bool:
        """Whether the check time of its group can stand for it."""
        return self.observed.whole and self.observed.complete


class Rows(NamedTuple):
    """The items of a batch: the number of each, its group's place in the batch, and where each name stands."""

    numbers: list[int]
    group: Ints
    place: dict[str, int]


class Round(NamedTuple):
    """Observations of different groups that are merged together, and of each group the cells that it spoke of."""

    seen: Sequence[Seen]
    sighting: Sighting
    window: Bools
    start: Ints
    end: Ints


def rounds(layout: Layout, rows: Rows, checks: Checks, seen: Iterable[Seen]) -> list[Round]:
    """All observations, each group once in a round; those of whole groups and others apart."""
    queues: dict[tuple[int, bool], list[Seen]] = defaultdict(list)
    for one in seen:
        queues[one.group, one.is_whole].append(one)
    found = []
    for whole in (True, False):
        waiting = [queue for (_, is_whole), queue in queues.items() if is_whole is whole]
        turns = range(max(map(len, waiting), default=0))
        found += [[queue[turn] for queue in waiting if turn < len(queue)] for turn in turns]
    return [_round(layout, rows, checks, one) for one in found]


def _round(layout: Layout, rows: Rows, checks: Checks, seen: Sequence[Seen]) -> Round:
    shape = (len(rows.numbers), layout.ring)
    present = np.zeros(shape, dtype=np.bool_)
    values = {name: np.zeros(shape, dtype=field.stored) for name, field in layout.fields.items()}
    window, start, end = _windows(layout, checks, seen)
    is_partial = any(one.answer.values.keys() != layout.fields.keys() for one in seen)
    told = {name: np.zeros(shape, dtype=np.bool_) for name in layout.fields} if is_partial else None
    for one in seen:
        cells = np.flatnonzero(_open_cells(checks, one, layout.ring))
        slots = (one.observed.first + cells) & (layout.ring - 1)
        known = [(at, rows.place[name]) for at, name in enumerate(one.answer.items) if name in rows.place]
        if not known or not len(cells):
            continue
        answered, items = (np.array(column)[:, None] for column in zip(*known, strict=True))
        present[items, slots] = one.answer.present[answered, cells]
        for name, told_of in one.answer.values.items():
            values[name][items, slots] = told_of[answered, cells]
            if told is not None:
                told[name][items, slots] = one.answer.present[answered, cells]
    whole = seen[0].is_whole
    seen_cells = window[rows.group] if whole else present
    sighting = Sighting(seen_cells, present, values, start[rows.group], end[rows.group], whole, told)
    return Round(seen, sighting, window, start, end)


def _windows(layout: Layout, checks: Checks, seen: Sequence[Seen]) -> tuple[Bools, Ints, Ints]:
    """Of each group of the batch the cells that were asked for, and when; none for a group that was not."""
    count = len(checks.base)
    first, cells = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    start, end = np.full(count, NEVER, dtype=np.int64), np.full(count, NEVER, dtype=np.int64)
    for one in seen:
        first[one.group], cells[one.group] = one.observed.first, one.observed.count
        start[one.group], end[one.group] = one.observed.start, one.observed.end
    at = positions(checks.base, layout.ring)
    window: Bools = (at >= first[:, None]) & (at < (first + cells)[:, None])
    return window, start, end


def _open_cells(checks: Checks, one: Seen, ring: int) -> Bools:
    """Which cells of an observation the ring of its group holds now: the others are over, or too far off."""
    at, base = one.observed.first + np.arange(one.observed.count), checks.base[one.group]
    held: Bools = (at >= base) & (at < base + ring)
    return held
