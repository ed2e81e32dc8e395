"""View: many items in memory, searched by stay, kept current by the feed of changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tieout.errors import InvalidParams, UnknownItem
from tieout.mirror.calendar import Bools, Ints, Layout
from tieout.mirror.define import Start
from tieout.mirror.offers import Offer
from tieout.mirror.table import Sweep, Table

SAMPLE, SPARE = 4_096, 8
"""Keys from which it is guessed which are the smallest, and how many more of these are taken to be sure."""

MOST = 1_000
"""Items that one search returns at most."""


class Found(msgspec.Struct, frozen=True):
    """An item that a search found, with what the copy says of the stay."""

    supplier: str
    group: str
    item: str
    offer: Offer


class Result(msgspec.Struct, frozen=True):
    """What a search found: some of the `total` items that match. `lag` is how many seconds ago the view was current."""

    found: Sequence[Found]
    total: int
    lag: float


class View:
    """Made by `await mirror.view()`; current within a second, while its App is open."""

    def __init__(self, layout: Layout, half_life: float, now: Any) -> None:
        self.layout = layout
        self.table = Table(layout)
        self._half_life = half_life
        self._now = now
        self.current_at = 0

    @property
    def lag(self) -> float:
        """How many seconds ago it was current: what is newer may not be in it."""
        late: int = self._now() - self.current_at
        return max(0.0, late / 1_000_000)

    def __len__(self) -> int:
        return len(self.table)

    def search(
        self,
        first: Start = None,
        nights: int = 1,
        *,
        where: Mapping[str, Any] | None = None,
        sort: str | None = None,
        descending: bool = False,
        limit: int = 50,
        offset: int = 0,
        groups: Collection[str] | None = None,
        suppliers: Collection[str] | None = None,
        suspect: bool = True,
    ) -> Result:
        """Items whose stay is known and as wanted, in the order of a field, else in one that stays the same.

        `where` has for fields of numbers (least, most), either of them None; for flags True or False: each of the
        folded stay. With `suspect=False` items are left out of which a cell is doubtful. Raise `InvalidParams`.
        """
        position = self._stay(first, nights)
        wanted = self._wanted(where or {})
        self._check(sort, limit, offset)
        sweep = Sweep(self.table, position, nights)
        match = sweep.matches(wanted, groups, suppliers, suspect=suspect)
        chosen = self._chosen(sweep, match, sort, offset + limit, descending=descending)[offset:]
        now, total = self._now(), int(np.count_nonzero(match))
        return Result([self._found(place, position, nights, now) for place in chosen.tolist()], total, self.lag)

    def has(self, supplier: str, item: str) -> bool:
        """Whether an item of a supplier is in it."""
        part = self.table.parts.get(supplier)
        return part is not None and item in part.columns.of

    def read(self, supplier: str, item: str, first: Start = None, nights: int = 1) -> Offer:
        """What the copy says of one stay, as `Mirror.read`, without asking the database or the supplier.

        Raise `UnknownItem`, or `InvalidParams` for cells that no mirror of this axis holds.
        """
        part = self.table.parts.get(supplier)
        place = None if part is None else part.columns.of.get(item)
        if part is None or place is None:
            raise UnknownItem(f"the view has no item {item!r:.100} of {supplier!r:.100}")
        return part.offer(place, self._stay(first, nights), nights, self._now(), self._half_life)

    def _found(self, place: int, first: int, nights: int, now: int) -> Found:
        part, own = self.table.part_of(place)
        columns = part.columns
        offer = part.offer(own, first, nights, now, self._half_life)
        return Found(part.supplier, columns.group_names[columns.group[own]], columns.names[own], offer)

    def _chosen(self, sweep: Sweep, match: Bools, sort: str | None, count: int, *, descending: bool) -> Ints:
        if sort is None:
            return np.flatnonzero(match)[:count]
        keys = sweep.folded(sort)
        return smallest(~keys if descending else keys, match, count)  # ~ turns the order round and never overflows

    def _stay(self, first: Start, nights: int) -> int:
        if not 1 <= nights <= self.layout.axis.count:
            raise InvalidParams(f"a stay has from 1 to {self.layout.axis.count} cells, not {nights}")
        return self.layout.axis.position(first)

    def _check(self, sort: str | None, limit: int, offset: int) -> None:
        if not (1 <= limit <= MOST and offset >= 0):
            raise InvalidParams(f"a search returns from 1 to {MOST} items, from the first on")
        if sort is not None and (sort not in self.layout.fields or self.layout.fields[sort].kind == "dictionary"):
            raise InvalidParams(f"a search is not sorted by {sort!r}")

    def _wanted(self, where: Mapping[str, Any]) -> dict[str, Any]:
        """What is wanted of each field, checked."""
        wanted: dict[str, Any] = {}
        for name, value in where.items():
            field = self.layout.fields.get(name)
            if field is None or field.kind == "dictionary":
                raise InvalidParams(f"a search does not look at {name!r}")
            if field.kind == "flag":
                if not isinstance(value, bool):
                    raise InvalidParams(f"{name} is wanted as True or False, not {value!r:.100}")
                wanted[name] = value
                continue
            if not (isinstance(value, (tuple, list)) and len(value) == 2 and all(map(_is_bound, value))):
                raise InvalidParams(f"{name} is wanted as (least, most), each a whole number or None")
            wanted[name] = tuple(value)
        return wanted


def smallest(keys: NDArray[Any], match: Bools, count: int) -> Ints:
    """Where the smallest keys are, of those that match, in their order; equal ones as they stand."""
    few = np.flatnonzero(_near(keys, match, count))
    of_few = keys[few]
    if len(few) > count:
        last = np.partition(of_few, count - 1)[count - 1]
        few = np.concatenate((few[of_few < last], few[of_few == last]))[:count]
    return few[np.argsort(keys[few], kind="stable")]


def _near(keys: NDArray[Any], match: Bools, count: int) -> Bools:
    """Keys that match, the `count` smallest among them, and few more: guessed from a sample, which is mostly enough."""
    every = max(1, len(keys) // SAMPLE)
    sample = np.sort(keys[::every][match[::every]])
    total = int(np.count_nonzero(match))
    guess = count * len(sample) // (total or 1) + SPARE
    if total <= count or guess >= len(sample):
        return match
    near: Bools = match & (keys <= sample[guess])
    return near if np.count_nonzero(near) >= count else match


def _is_bound(side: Any) -> bool:
    return side is None or (isinstance(side, int) and not isinstance(side, bool))
