"""View: many items in memory, searched by stay, kept current by the feed of changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tieout.errors import InvalidParams, UnknownItem
from tieout.mirror.calendar import NEVER, Bools, Ints, Layout
from tieout.mirror.columns import Columns
from tieout.mirror.define import Start
from tieout.mirror.fields import Field
from tieout.mirror.folding import cells_of_stay, fold_stay
from tieout.mirror.offers import Offer, likely
from tieout.mirror.stay import fold, needed, rests_on

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


class Marks(NamedTuple):
    """What is doubtful: single cells of items, and cells of groups (-1: of all) from `first` to before `end`."""

    items: Ints
    at: Ints
    windows: Sequence[tuple[int, int, int]]


NO_MARKS = Marks(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), ())


class Part:
    """One supplier's copy in a view."""

    def __init__(self, supplier: str, columns: Columns, words: Mapping[int, str], cursor: int) -> None:
        self.supplier = supplier
        self.columns = columns
        self.words = dict(words)
        self.cursor = cursor
        self.marks = NO_MARKS

    def matches(self, first: int, nights: int, wanted: Mapping[str, Any], groups: Collection[str] | None) -> Ints:
        """The places of items whose stay is known, and as wanted."""
        columns, layout = self.columns, self.columns.layout
        slots = (first + np.arange(nights + 1)) & (layout.ring - 1)
        rests = np.flatnonzero(rests_on(layout.fields, nights))
        match: Bools = self._holds(first, nights)
        for slot in slots[rests]:
            match = match & columns.known[slot]
        # Flags first: they leave the fewest, and cost least.
        names = sorted(wanted, key=lambda name: layout.fields[name].kind != "flag")
        flags = [name for name in names if layout.fields[name].kind == "flag"]
        for name in flags:
            folded = self.folded(layout.fields[name], columns.values[name], slots, nights, None)
            match &= folded == wanted[name]
        if groups is not None:
            meant = np.array([name in groups for name in columns.group_names], dtype=np.bool_)
            match &= meant[columns.group] if len(meant) else False
        places = np.flatnonzero(match)
        for name in names[len(flags) :]:
            low, high = wanted[name]
            folded = self.folded(layout.fields[name], columns.values[name], slots, nights, places)
            inside = np.ones(len(places), dtype=np.bool_)
            if low is not None:
                inside &= folded >= low
            if high is not None:
                inside &= folded <= high
            places = places[inside]
        return places

    def folded(self, field: Field, values: NDArray[Any], slots: Ints, nights: int, places: Ints | None) -> NDArray[Any]:
        """One field of the stays of some items, or of all."""
        part = needed(field, nights)
        rows = [values[slot] if places is None else values[slot][places] for slot in slots[part]]
        if len(rows) == 1:
            only: NDArray[Any] = rows[0]
            return only
        match field.fold:
            case "sum":
                return _summed(rows)
            case "min" | "all":
                return _reduced(np.minimum, rows)
            case "max" | "any":
                return _reduced(np.maximum, rows)
        return fold(field, np.array(rows).T)

    def doubtful(self, first: int, nights: int, places: Ints) -> Bools:
        """Which items have a doubtful cell in a stay."""
        marks, found = self.marks, np.zeros(len(places), dtype=np.bool_)
        if not (len(marks.at) or marks.windows):
            return found
        inside = (marks.at >= first) & (marks.at <= first + nights)
        if inside.any():
            found |= np.isin(places, marks.items[inside])
        for group, begin, end in marks.windows:
            if begin <= first + nights and end > first:
                found |= True if group < 0 else self.columns.group[places] == group
        return found

    def offer(self, place: int, first: int, nights: int, now: int, half_life: float, *, suspect: bool) -> Offer:
        """What the copy says of one item's stay."""
        columns, layout = self.columns, self.columns.layout
        slots = (first + np.arange(nights + 1)) & (layout.ring - 1)
        used = slots[rests_on(layout.fields, nights)]
        opens = columns.opens[columns.group[place]]
        is_held = opens <= first and first + nights <= opens + layout.axis.count
        if not (is_held and columns.known[used, place].all()):
            return Offer(None, None, 0.0, suspect, None)
        cells = {name: values[slots, place] for name, values in columns.values.items()}
        values = fold_stay(layout, cells, nights, self.words)
        observed, is_own = columns.observed(place, slots[: cells_of_stay(layout, nights)])
        age = None if observed == NEVER else max(0.0, (now - observed) / 1_000_000)
        return Offer(values, age, likely(age, half_life, suspect=suspect), suspect, "item" if is_own else "group")

    def _holds(self, first: int, nights: int) -> Bools:
        """Whose days hold the stay: one that begins today may be over for a hotel further east."""
        opens, count = self.columns.opens, self.columns.layout.axis.count
        holds = (opens <= first) & (first + nights <= opens + count)
        if holds.all():
            return np.ones(len(self.columns), dtype=np.bool_)
        return np.asarray(holds[self.columns.group])


class View:
    """Made by `await mirror.view()`; current within a second, while its App is open."""

    def __init__(self, layout: Layout, half_life: float, now: Any) -> None:
        self.layout = layout
        self.parts: dict[str, Part] = {}
        self._half_life = half_life
        self._now = now
        self.current_at = 0

    @property
    def lag(self) -> float:
        """How many seconds ago it was current: what is newer may not be in it."""
        late: int = self._now() - self.current_at
        return max(0.0, late / 1_000_000)

    def __len__(self) -> int:
        return sum(len(part.columns) for part in self.parts.values())

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
        matches: list[tuple[Part, Ints]] = []
        for name, part in self.parts.items():
            if suppliers is None or name in suppliers:
                places = part.matches(position, nights, wanted, groups)
                if not suspect and len(places):
                    places = places[~part.doubtful(position, nights, places)]
                matches.append((part, places))
        chosen = self._chosen(matches, position, nights, sort, offset, limit, descending=descending)
        now, total = self._now(), sum(len(places) for _, places in matches)
        return Result([self._found(part, place, position, nights, now) for part, place in chosen], total, self.lag)

    def read(self, supplier: str, item: str, first: Start = None, nights: int = 1) -> Offer:
        """What the copy says of one stay, as `Mirror.read`, without asking the database or the supplier.

        Raise `UnknownItem`, or `InvalidParams` for cells that no mirror of this axis holds.
        """
        part = self.parts.get(supplier)
        place = None if part is None else part.columns.of.get(item)
        if part is None or place is None:
            raise UnknownItem(f"the view has no item {item!r:.100} of {supplier!r:.100}")
        return self._found(part, place, self._stay(first, nights), nights, self._now()).offer

    def _found(self, part: Part, place: int, first: int, nights: int, now: int) -> Found:
        suspect = bool(part.doubtful(first, nights, np.array([place]))[0])
        offer = part.offer(place, first, nights, now, self._half_life, suspect=suspect)
        columns = part.columns
        return Found(part.supplier, columns.group_names[columns.group[place]], columns.names[place], offer)

    def _chosen(
        self,
        matches: Sequence[tuple[Part, Ints]],
        first: int,
        nights: int,
        sort: str | None,
        offset: int,
        limit: int,
        *,
        descending: bool,
    ) -> list[tuple[Part, int]]:
        owner = np.repeat(np.arange(len(matches)), [len(places) for _, places in matches])
        places = np.concatenate([places for _, places in matches]) if matches else np.zeros(0, dtype=np.int64)
        order = np.arange(len(places))
        if sort is not None and len(places):
            field, slots = self.layout.fields[sort], (first + np.arange(nights + 1)) & (self.layout.ring - 1)
            keys = np.concatenate(
                [part.folded(field, part.columns.values[sort], slots, nights, some) for part, some in matches]
            ).astype(np.int64)
            order = smallest(-keys if descending else keys, offset + limit)
        return [(matches[owner[at]][0], int(places[at])) for at in order[offset : offset + limit]]

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


def smallest(keys: Ints, count: int) -> Ints:
    """Where the smallest keys are, in their order; equal ones as they stand."""
    few = np.flatnonzero(keys <= _bound(keys, count)) if count < len(keys) else np.arange(len(keys))
    return few[np.argsort(keys[few], kind="stable")][:count]


def _bound(keys: Ints, count: int) -> Any:
    """A key that at least `count` keys do not exceed, and few more: guessed from a sample, which is mostly enough."""
    sample = np.sort(keys[:: max(1, len(keys) // SAMPLE)])
    guess = count * len(sample) // len(keys) + SPARE
    if guess < len(sample) and np.count_nonzero(keys <= sample[guess]) >= count:
        return sample[guess]
    return np.partition(keys, count - 1)[count - 1]


def _is_bound(side: Any) -> bool:
    return side is None or (isinstance(side, int) and not isinstance(side, bool))


def _summed(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    total: Ints = rows[0].astype(np.int64)
    for row in rows[1:]:
        total += row
    return total


def _reduced(by: np.ufunc, rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    found = rows[0]
    for row in rows[1:]:
        found = by(found, row)
    return found
