"""Many items by day: the cells of one copy in memory, laid out so that a day of all items stands together.

A search for a stay reads some days, each in one sweep. In rows by item it touches every item's whole row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tieout.mirror.arrays import Arrays
from tieout.mirror.calendar import NEVER, Bools, Cells, Checks, Ints, Layout, positions
from tieout.mirror.copying import DayEnd, day_end, first_open
from tieout.mirror.define import Terms
from tieout.mirror.sightings import MANY, Sighted, Unchanged, unchanged_of
from tieout.mirror.store import GroupRow


class Columns:
    """The cells of some items of one supplier, and when their groups were checked.

    No value of a field is further from 0 than its `highest`.
    """

    def __init__(self, layout: Layout, terms: Terms, groups: Sequence[GroupRow], items: int) -> None:
        self.layout = layout
        self.groups = {group.n: at for at, group in enumerate(groups)}
        self.names: list[str] = []
        self.numbers: dict[int, int] = {}
        self.of: dict[str, int] = {}
        self.group_names = [group.name for group in groups]
        self.group = np.zeros(items, dtype=np.int32)
        self.base = np.zeros(items, dtype=np.int64)
        self.arrays = Arrays(layout, items)
        self.checks = Checks.unpack([bytes(group.checks) for group in groups], layout.ring)
        self.opens: Ints = np.full(len(groups), NEVER, dtype=np.int64)
        self.highest = dict.fromkeys(layout.fields, 0)
        self._own: dict[int, Ints] = {}
        ends = [day_end(terms, group.zone, group.rollover) for group in groups]
        self._ends: list[DayEnd] = list(dict.fromkeys(ends))
        places = {end: at for at, end in enumerate(self._ends)}
        self._end = np.array([places[end] for end in ends], dtype=np.int64)
        self._firsts: list[int] = []
        self._earliest, self._latest = NEVER, NEVER

    def __len__(self) -> int:
        return len(self.names)

    def add(self, rows: Sequence[tuple[int, int, str, bytes]]) -> None:
        """Add items, each given as its group's number, its own, its name and its row."""
        rows = [row for row in rows if row[0] in self.groups]
        if not rows:
            return
        begin = len(self.names)
        for _, n, name, _ in rows:
            self.numbers[n] = self.of[name] = len(self.names)
            self.names.append(name)
        self.group[begin : len(self.names)] = [self.groups[group] for group, *_ in rows]
        self._put(np.arange(begin, len(self.names)), self.layout.unpack([row[3] for row in rows]))

    def trim(self) -> None:
        """Give back the room of items that were expected and did not come."""
        items = len(self.names)
        self.group, self.base, self.arrays = self.group[:items], self.base[:items], self.arrays.of(slice(items))

    def replace(self, rows: Iterable[tuple[int, bytes]]) -> None:
        """Take in the rows of items that have changed, each given as its number and its row."""
        known = [(self.numbers[n], row) for n, row in rows if n in self.numbers]
        if known:
            self._put(np.array([at for at, _ in known]), self.layout.unpack([row for _, row in known]))

    def see(self, sighted: Sighted) -> None:
        """Take in that groups were checked; their rows, if they changed, come by `replace`."""
        if sighted.group == MANY:
            self._see_all(unchanged_of(sighted))
            return
        group = self.groups.get(sighted.group)
        if group is None or not sighted.whole:
            return
        slots = (sighted.first + np.arange(sighted.cells)) & (self.layout.ring - 1)
        self.checks.start[group, slots] = np.maximum(self.checks.start[group, slots], sighted.start)

    def _see_all(self, seen: Unchanged) -> None:
        # The latest first: of the sightings of one group it is the one that counts.
        seen = seen[np.argsort(seen["start"], kind="stable")[::-1]]
        places = np.array([self.groups.get(n, -1) for n in seen["group"].tolist()], dtype=np.int64)
        for window in np.unique(seen[["first", "cells"]]):
            alike = (seen["first"] == window["first"]) & (seen["cells"] == window["cells"]) & (places >= 0)
            groups, at = np.unique(places[alike], return_index=True)
            slots = (int(window["first"]) + np.arange(int(window["cells"]))) & (self.layout.ring - 1)
            cells = np.ix_(groups, slots)
            self.checks.start[cells] = np.maximum(self.checks.start[cells], seen["start"][alike][at][:, None])

    def roll(self, now: int) -> bool:
        """Forget what is over at the server's time `now`; whether any day has ended."""
        firsts = [first_open(self.layout.axis, now, end) for end in self._ends]
        if firsts == self._firsts:
            return False
        self._firsts = firsts
        opens = np.array(firsts, dtype=np.int64)[self._end]
        ended = opens > self.opens
        if not ended.any():
            return False
        self.opens = np.maximum(self.opens, opens)
        self._earliest, self._latest = int(self.opens.min()), int(self.opens.max())
        self.checks.roll(self.opens)
        items = np.flatnonzero(ended[self.group[: len(self.names)]])
        if len(items):
            self._forget(items)
        return True

    def holds(self, first: int, nights: int) -> Bools | None:
        """Whose days hold a stay: one that begins today may be over for a hotel further east. None: everybody's."""
        last = first + nights - self.layout.axis.count
        if self._latest <= first and last <= self._earliest:
            return None
        return np.asarray((self.opens <= first) & (last <= self.opens))[self.group]

    def _forget(self, items: Ints) -> None:
        first = self.opens[self.group[items]]
        late = self.base[items] < first
        if not late.any():
            return
        items, first = items[late], first[late]
        self.arrays.forget(items, positions(self.base[items], self.layout.ring) < first[:, None])
        self.base[items] = first

    def _put(self, items: Ints, cells: Cells) -> None:
        self.base[items] = cells.base
        self.arrays.put(items, cells)
        for name, column in cells.values.items():
            self.highest[name] = max(self.highest[name], abs(int(column.min())), abs(int(column.max())))
        apart = (cells.start != NEVER).any(axis=1) if cells.is_any_apart else np.zeros(len(items), dtype=np.bool_)
        for place in items[~apart].tolist() if self._own else ():
            self._own.pop(place, None)
        for at in np.flatnonzero(apart).tolist():
            self._own[int(items[at])] = cells.start[at]
        self._forget(items)

    def observed(self, item: int, slots: Ints) -> tuple[int, bool]:
        """When the oldest of an item's cells was observed (`NEVER`: not at all), and whether any was by itself."""
        start = self.checks.start[self.group[item], slots]
        own = self._own.get(item)
        if own is None:
            return int(start.min()), False
        return int(np.maximum(start, own[slots]).min()), bool((own[slots] > start).any())
