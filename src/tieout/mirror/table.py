"""All items of a view side by side, whichever supplier's they are: a search sweeps over each day of all at once.

The arrays of each part are a slice of the table's: what is merged into a part is in the table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tieout.mirror.arrays import Arrays, total
from tieout.mirror.calendar import Bools, Ints, Layout
from tieout.mirror.parts import Part
from tieout.mirror.stay import fold, needed, rests_on

MOST_INT32 = (1 << 31) - 1

FEW = 8
"""Where less than one in so many items is left, what takes long is folded for these alone."""


class Table:
    """The parts of a view, by their suppliers' names, and their items; `all` has the arrays of all side by side."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.parts: dict[str, Part] = {}
        self.begins: Ints = np.zeros(0, dtype=np.int64)
        self.all = Arrays(layout, 0)
        self._parts: list[Part] = []

    def __len__(self) -> int:
        return int(self.all.known.shape[1])

    def put(self, parts: Mapping[str, Part]) -> Iterator[None]:
        """Put parts in the places of those of the same names, and behind the others; a step lasts a moment.

        Until the last step searches find what they found before. Nothing may be merged meanwhile.
        """
        wanted = {**self.parts, **parts}
        lengths = [len(part.columns) for part in wanted.values()]
        ends = np.cumsum(lengths, dtype=np.int64)
        whole = Arrays(self.layout, int(ends[-1]) if lengths else 0)
        slices = [whole.of(slice(int(end) - length, int(end))) for length, end in zip(lengths, ends, strict=True)]
        for part, own in zip(wanted.values(), slices, strict=True):
            for ours, theirs in zip(own, part.columns.arrays, strict=True):
                ours[:] = theirs
            yield
        for part, own in zip(wanted.values(), slices, strict=True):
            part.columns.arrays = own
        self.parts, self._parts = wanted, list(wanted.values())
        self.begins, self.all = ends - lengths, whole

    def part_of(self, place: int) -> tuple[Part, int]:
        """The part that has an item, and its place there."""
        at = int(np.searchsorted(self.begins, place, side="right")) - 1
        return self._parts[at], place - int(self.begins[at])

    def slices(self) -> Iterator[tuple[Part, slice]]:
        """Each part with the places of its items."""
        for part, begin in zip(self._parts, self.begins.tolist(), strict=True):
            yield part, slice(begin, begin + len(part.columns))


class Sweep:
    """One search: what the stays of all items are folded to, each field once."""

    def __init__(self, table: Table, first: int, nights: int) -> None:
        self.table = table
        self.first = first
        self.nights = nights
        self._slots = ((first + np.arange(nights + 1)) & (table.layout.ring - 1)).tolist()
        self._folded: dict[str, NDArray[Any]] = {}

    def matches(
        self,
        wanted: Mapping[str, Any],
        groups: Collection[str] | None,
        suppliers: Collection[str] | None,
        *,
        suspect: bool,
    ) -> Bools:
        """Which items' stays are known, and as wanted."""
        match = self._known(groups, suppliers)
        for name in sorted(wanted, key=self._is_long):
            if self._is_long(name) and np.count_nonzero(match) * FEW < len(match):
                places = np.flatnonzero(match)
                match[places] = _is_as(self._fold_rows(name, places), wanted[name])
            else:
                match &= _is_as(self.folded(name), wanted[name])
        return match if suspect else self._certain(match)

    def folded(self, name: str) -> NDArray[Any]:
        """One field of the stays of all items."""
        if name not in self._folded:
            has_total = name in self.table.all.totals and not self._is_too_much(name)
            self._folded[name] = self._fold_total(name) if has_total else self._fold_rows(name)
        return self._folded[name]

    def _fold_total(self, name: str) -> NDArray[Any]:
        found = total(self.table.all.totals[name], self._slots[0], self.nights)
        match self.table.layout.fields[name].fold:
            case "all":
                return np.asarray(found == self.nights)
            case "any":
                return np.asarray(found > 0)
        return found

    def _fold_rows(self, name: str, places: Ints | None = None) -> NDArray[Any]:
        """The same from each night's values; of some items only where `places` are given."""
        field, values = self.table.layout.fields[name], self.table.all.values[name]
        rows: list[NDArray[Any]] = [values[slot] for slot in self._slots[needed(field, self.nights)]]
        if places is not None:
            rows = [row[places] for row in rows]
        match field.fold:
            case _ if len(rows) == 1:
                return rows[0]
            case "sum":
                return _reduced(np.add, rows, np.dtype(np.int64))
            case "min":
                return _reduced(np.minimum, rows, rows[0].dtype)
            case "max":
                return _reduced(np.maximum, rows, rows[0].dtype)
        return fold(field, np.array(rows).T)

    def _is_long(self, name: str) -> bool:
        """Whether folding a field takes a sweep for each night."""
        return self.table.layout.fields[name].fold in ("min", "max") and self.nights > 1

    def _is_too_much(self, name: str) -> bool:
        """Whether a sum may be beyond 32 bits, and its running totals are no wider."""
        is_wide = self.table.all.totals[name].dtype.itemsize > 4
        highest = max((part.columns.highest[name] for part in self.table.parts.values()), default=0)
        return highest * self.nights > MOST_INT32 and not is_wide

    def _known(self, groups: Collection[str] | None, suppliers: Collection[str] | None) -> Bools:
        """Which items the search is about, and all their cells are known."""
        known = self._all_known()
        for part, own in self.table.slices():
            if suppliers is not None and part.supplier not in suppliers:
                known[own] = False
                continue
            if (holds := part.columns.holds(self.first, self.nights)) is not None:
                known[own] &= holds
            if groups is not None:
                meant = np.array([name in groups for name in part.columns.group_names], dtype=np.bool_)
                known[own] &= meant[part.columns.group] if len(meant) else False
        return known

    def _all_known(self) -> Bools:
        rests = np.flatnonzero(rests_on(self.table.layout.fields, self.nights)).tolist()
        if rests[-1] - rests[0] < len(rests):
            return np.asarray(total(self.table.all.unknown, self._slots[rests[0]], len(rests)) == 0)
        return _reduced(np.logical_and, [self.table.all.known[self._slots[at]] for at in rests], np.dtype(bool))

    def _certain(self, match: Bools) -> Bools:
        """Those that match of which no cell is doubtful."""
        for part, own in self.table.slices():
            if part.marks:
                places = np.flatnonzero(match[own])
                match[own.start + places[part.doubtful(self.first, self.nights, places)]] = False
        return match


def _is_as(folded: NDArray[Any], wanted: Any) -> Bools:
    """Which values are as wanted: a flag is True or False, a number from the least to the most."""
    if isinstance(wanted, bool):
        return folded if wanted else ~folded
    low, high = wanted
    if low is None:
        return np.ones(len(folded), dtype=np.bool_) if high is None else np.asarray(folded <= high)
    return np.asarray(folded >= low) if high is None else np.asarray((folded >= low) & (folded <= high))


def _reduced(by: np.ufunc, rows: list[NDArray[Any]], kind: np.dtype[Any]) -> NDArray[Any]:
    found = rows[0].astype(kind)
    for row in rows[1:]:
        by(found, row, out=found)
    return found
