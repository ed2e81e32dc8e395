"""All items of a view side by side, whichever supplier's they are: a search sweeps over each day of all at once.

Its arrays have the shape (ring, items), and the columns of each part are a slice of them: what is merged into a part
is in the table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tieout.mirror.calendar import Bools, Ints, Layout
from tieout.mirror.fields import Field
from tieout.mirror.parts import Part
from tieout.mirror.stay import fold, needed, rests_on

MOST_INT32 = (1 << 31) - 1


class Table:
    """The parts of a view, by their suppliers' names, and their items."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.parts: dict[str, Part] = {}
        self.begins: Ints = np.zeros(0, dtype=np.int64)
        self.known: Bools = np.zeros((layout.ring, 0), dtype=np.bool_)
        self.values: dict[str, NDArray[Any]] = {
            name: np.zeros((layout.ring, 0), dtype=field.stored) for name, field in layout.fields.items()
        }
        self._parts: list[Part] = []

    def __len__(self) -> int:
        return int(self.known.shape[1])

    def put(self, parts: Mapping[str, Part]) -> Iterator[None]:
        """Put parts in the places of those of the same names, and behind the others; a step lasts a moment.

        Until the last step searches find what they found before. Nothing may be merged meanwhile.
        """
        wanted = {**self.parts, **parts}
        lengths = [len(part.columns) for part in wanted.values()]
        ends = np.cumsum(lengths, dtype=np.int64)
        shape = (self.layout.ring, int(ends[-1]) if lengths else 0)
        known = np.zeros(shape, dtype=np.bool_)
        values = {name: np.zeros(shape, dtype=field.stored) for name, field in self.layout.fields.items()}
        slices = [slice(int(end) - length, int(end)) for length, end in zip(lengths, ends, strict=True)]
        for part, own in zip(wanted.values(), slices, strict=True):
            known[:, own] = part.columns.known
            for name, column in values.items():
                column[:, own] = part.columns.values[name]
            yield
        for part, own in zip(wanted.values(), slices, strict=True):
            part.columns.known = known[:, own]
            part.columns.values = {name: column[:, own] for name, column in values.items()}
        self.parts, self._parts = wanted, list(wanted.values())
        self.begins, self.known, self.values = ends - lengths, known, values

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
    ) -> Ints:
        """The places of items whose stay is known, and as wanted."""
        fields = self.table.layout.fields
        match = self._known(groups, suppliers)
        for name, value in wanted.items():
            folded = self.folded(name)
            if fields[name].kind == "flag":
                match &= folded if value else ~folded
                continue
            low, high = value
            if low is not None:
                match &= folded >= low
            if high is not None:
                match &= folded <= high
        places: Ints = np.flatnonzero(match)
        return places if suspect else self._certain(places)

    def folded(self, name: str) -> NDArray[Any]:
        """One field of the stays of all items."""
        if name not in self._folded:
            field, values = self.table.layout.fields[name], self.table.values[name]
            rows = [values[slot] for slot in self._slots[needed(field, self.nights)]]
            self._folded[name] = rows[0] if len(rows) == 1 else self._fold(name, field, rows)
        return self._folded[name]

    def _fold(self, name: str, field: Field, rows: list[NDArray[Any]]) -> NDArray[Any]:
        match field.fold:
            case "sum":
                return _reduced(np.add, rows, self._wide_enough(name, len(rows)))
            case "min" | "all":
                return _reduced(np.logical_and if field.kind == "flag" else np.minimum, rows, rows[0].dtype)
            case "max" | "any":
                return _reduced(np.logical_or if field.kind == "flag" else np.maximum, rows, rows[0].dtype)
        return fold(field, np.array(rows).T)

    def _wide_enough(self, name: str, count: int) -> np.dtype[Any]:
        """A type that holds the sum of so many values of a field: half as wide is twice as fast."""
        highest = max((part.columns.highest[name] for part in self.table.parts.values()), default=0)
        return np.dtype(np.int32 if highest * count <= MOST_INT32 else np.int64)

    def _known(self, groups: Collection[str] | None, suppliers: Collection[str] | None) -> Bools:
        """Which items the search is about, and all their cells are known."""
        rests = np.flatnonzero(rests_on(self.table.layout.fields, self.nights)).tolist()
        known: Bools = _reduced(np.logical_and, [self.table.known[self._slots[at]] for at in rests], np.dtype(bool))
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

    def _certain(self, places: Ints) -> Ints:
        """Those of some places, in their order, of which no cell is doubtful."""
        certain = np.ones(len(places), dtype=np.bool_)
        for part, own in self.table.slices():
            if part.marks:
                low, high = np.searchsorted(places, (own.start, own.stop))
                certain[low:high] = ~part.doubtful(self.first, self.nights, places[low:high] - own.start)
        return places[certain]


def _reduced(by: np.ufunc, rows: list[NDArray[Any]], kind: np.dtype[Any]) -> NDArray[Any]:
    found = rows[0].astype(kind)
    for row in rows[1:]:
        by(found, row, out=found)
    return found
