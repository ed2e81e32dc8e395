"""The cells of many items by day, and running totals of them.

Each array has the shape (ring, items). In the row of a slot of a running total stands the total of all slots up to it:
so the total of any cells in a row is the difference of two rows, however many cells they are. What overflows wraps
round, in totals and differences alike, so that a difference is right whenever it fits its type.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tieout.mirror.calendar import Bools, Cells, Ints, Layout
from tieout.mirror.fields import Field


class Arrays:
    """What is known of so many items, and the values of their fields.

    `unknown` are running counts of cells that are not known; `totals` those of flags that are set, and running sums
    of numbers that are summed up.
    """

    def __init__(self, layout: Layout, items: int) -> None:
        shape, count = (layout.ring, items), np.min_scalar_type(layout.ring)
        kinds = {name: _total_kind(field, count) for name, field in layout.fields.items()}
        self.known: Bools = np.zeros(shape, dtype=np.bool_)
        self.unknown: NDArray[Any] = np.zeros(shape, dtype=count)
        self.values: dict[str, NDArray[Any]] = {
            name: np.zeros(shape, dtype=field.stored) for name, field in layout.fields.items()
        }
        self.totals: dict[str, NDArray[Any]] = {
            name: np.zeros(shape, dtype=kind) for name, kind in kinds.items() if kind is not None
        }

    def __iter__(self) -> Iterator[NDArray[Any]]:
        yield from (self.known, self.unknown, *self.values.values(), *self.totals.values())

    def of(self, items: slice) -> Arrays:
        """The same of some items: what is put into one is in the other."""
        some = object.__new__(Arrays)
        some.known, some.unknown = self.known[:, items], self.unknown[:, items]
        some.values = {name: array[:, items] for name, array in self.values.items()}
        some.totals = {name: array[:, items] for name, array in self.totals.items()}
        return some

    def put(self, items: Ints, cells: Cells) -> None:
        """Let these items have these cells."""
        for name, column in cells.values.items():
            self.values[name][:, items] = column.T
        for name, running in self.totals.items():
            running[:, items] = cells.values[name].cumsum(axis=1, dtype=running.dtype).T
        self.know(items, cells.known)

    def forget(self, items: Ints, gone: Bools) -> None:
        """Let some cells of these items be unknown, given in the shape (items, ring)."""
        self.know(items, self.known[:, items].T & ~gone)

    def know(self, items: Ints, known: Bools) -> None:
        """Let these cells of these items be known, and no others."""
        self.known[:, items] = known.T
        self.unknown[:, items] = (~known).cumsum(axis=1, dtype=self.unknown.dtype).T


def total(running: NDArray[Any], begin: int, count: int) -> NDArray[Any]:
    """The total of `count` slots from `begin` on, of each item."""
    end = (begin + count - 1) % len(running)
    found: NDArray[Any] = running[end] - running[begin - 1] if begin else running[end].copy()
    if end < begin:
        found += running[-1]
    return found


def _total_kind(field: Field, count: np.dtype[Any]) -> np.dtype[Any] | None:
    """The type of a field's running totals; None where it is not folded to a total."""
    if field.kind == "flag" and field.fold in ("all", "any"):
        return count
    if field.fold == "sum":
        return np.dtype(np.int64 if field.stored == "<i8" else np.int32)
    return None
