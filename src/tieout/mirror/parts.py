"""The parts of a view: each has one supplier's copy, and what of it is doubtful."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tieout.mirror.calendar import NEVER, Bools, Ints
from tieout.mirror.columns import Columns
from tieout.mirror.folding import cells_of_stay, fold_stay
from tieout.mirror.offers import Offer, likely
from tieout.mirror.stay import rests_on


class Marks(NamedTuple):
    """What is doubtful: single cells of items, and cells of groups (-1: of all) from `first` to before `end`."""

    items: Ints
    at: Ints
    windows: Sequence[tuple[int, int, int]]

    def __bool__(self) -> bool:
        return bool(len(self.at) or self.windows)


NO_MARKS = Marks(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), ())


class Part:
    """One supplier's copy in a view; items are named by their places in it."""

    def __init__(self, supplier: str, columns: Columns, words: Mapping[int, str], cursor: int) -> None:
        self.supplier = supplier
        self.columns = columns
        self.words = dict(words)
        self.cursor = cursor
        self.marks = NO_MARKS

    def doubtful(self, first: int, nights: int, places: Ints) -> Bools:
        """Which items have a doubtful cell in a stay."""
        marks, found = self.marks, np.zeros(len(places), dtype=np.bool_)
        if not marks:
            return found
        inside = (marks.at >= first) & (marks.at <= first + nights)
        if inside.any():
            found |= np.isin(places, marks.items[inside])
        for group, begin, end in marks.windows:
            if begin <= first + nights and end > first:
                found |= True if group < 0 else self.columns.group[places] == group
        return found

    def offer(self, place: int, first: int, nights: int, now: int, half_life: float) -> Offer:
        """What the copy says of one item's stay."""
        columns, layout = self.columns, self.columns.layout
        suspect = bool(self.marks) and bool(self.doubtful(first, nights, np.array([place]))[0])
        slots = (first + np.arange(nights + 1)) & (layout.ring - 1)
        used = slots[rests_on(layout.fields, nights)]
        opens = columns.opens[columns.group[place]]
        is_held = opens <= first and first + nights <= opens + layout.axis.count
        if not (is_held and columns.arrays.known[used, place].all()):
            return Offer(None, None, 0.0, suspect, None)
        cells = {name: values[slots, place] for name, values in columns.arrays.values.items()}
        values = fold_stay(layout, cells, nights, self.words)
        observed, is_own = columns.observed(place, slots[: cells_of_stay(layout, nights)])
        age = None if observed == NEVER else max(0.0, (now - observed) / 1_000_000)
        return Offer(values, age, likely(age, half_life, suspect=suspect), suspect, "item" if is_own else "group")
