"""The copy of one supplier as its only writer knows it: its groups and items, and when each cell was checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from tieout.config import zone_of
from tieout.contracts import Transaction
from tieout.mirror.axis import Axis
from tieout.mirror.calendar import Checks, Ints, Layout
from tieout.mirror.define import Terms
from tieout.mirror.digests import Digests
from tieout.mirror.store import GroupRow, ItemName, MirrorStore
from tieout.mirror.words import Words


class DayEnd(NamedTuple):
    """Where a group's day ends: its zone, and how long after midnight by the clock."""

    zone: ZoneInfo
    rollover: int


class Copy:
    """What a writer keeps in memory: no cells, but all names and check times. Rows of `checks` are groups here.

    Groups stand in the order of their numbers; `sizes` are the numbers of their items. `digests` are those of what was
    merged since it was loaded. Of groups that were added since, `blank` has the numbers of their items, in order, until
    their rows are written: nothing is in them. While it `is_ahead` its groups and items are not stored yet: they may be
    asked for, and not published.
    """

    def __init__(self, number: int, layout: Layout, terms: Terms) -> None:
        self.number = number
        self.layout = layout
        self.terms = terms
        self.groups: list[GroupRow] = []
        self.items: dict[str, ItemName] = {}
        self.names: dict[int, str] = {}
        self.gone_groups: dict[str, GroupRow] = {}
        self.gone_items: dict[str, ItemName] = {}
        self.index: dict[str, int] = {}
        self.checks = Checks.empty(0, layout.ring, 0)
        self.words = Words({})
        self.sizes: Counter[int] = Counter()
        self.digests = Digests()
        self.blank: dict[int, list[int]] = {}
        self.is_ahead = False
        self._ends: list[DayEnd] = []
        self._end: Ints = np.zeros(0, dtype=np.int64)

    async def load(self, tx: Transaction, store: MirrorStore) -> None:
        """Read all of it."""
        self.words = Words(await store.words(tx, self.number))
        await self.load_names(tx, store)

    async def load_names(self, tx: Transaction, store: MirrorStore) -> None:
        """Read its groups and items anew; of its words nobody but its writer knows more."""
        self.take(await store.groups(tx, self.number), await store.items(tx, self.number))

    def take(self, groups: Iterable[GroupRow], items: Iterable[ItemName]) -> None:
        """Know these groups and items, and no others."""
        everything = list(groups)
        self.groups = [group for group in everything if group.gone is None]
        self.gone_groups = {group.name: group for group in everything if group.gone is not None}
        self.index = {group.name: at for at, group in enumerate(self.groups)}
        self.items, self.gone_items = {}, {}
        for item in items:
            (self.items if item.gone is None else self.gone_items)[item.name] = item
        self.names = {item.n: name for name, item in self.items.items()}
        self.sizes, self.digests = Counter(item.group for item in self.items.values()), Digests()
        self.blank = {}
        self.checks = Checks.unpack([bytes(group.checks) for group in self.groups], self.layout.ring)
        ends = {(group.zone, group.rollover): day_end(self.terms, group.zone, group.rollover) for group in self.groups}
        self._ends = list(dict.fromkeys(ends.values()))
        places = {of_group: self._ends.index(end) for of_group, end in ends.items()}
        self._end = np.array([places[group.zone, group.rollover] for group in self.groups], dtype=np.int64)

    @property
    def is_new(self) -> bool:
        """Whether no catalogue was ever stored."""
        return not (self.groups or self.items or self.gone_groups or self.gone_items)

    def begin(self, groups: Iterable[GroupRow], items: Iterable[ItemName]) -> None:
        """Know the groups and items of the first catalogue before they are stored, in the order of those that are."""
        checks = Checks.empty(1, self.layout.ring, 0).pack()[0]
        unchecked = [msgspec.structs.replace(group, checks=checks) for group in groups]
        self.take(sorted(unchecked, key=lambda group: group.n), sorted(items, key=lambda item: (item.group, item.n)))
        self.note_blank(group.n for group in self.groups)
        self.is_ahead = True

    def note_blank(self, groups: Iterable[int]) -> None:
        """Know that this writer has added these groups, all of whose rows are empty."""
        self.blank = {group: [] for group in groups}
        for item in self.items.values():
            if item.group in self.blank:
                self.blank[item.group].append(item.n)
        for items in self.blank.values():
            items.sort()

    def first(self, now: int, groups: Sequence[int] | None = None) -> Ints:
        """The first open position of each group, or of some, at the server's time `now`."""
        firsts = np.array([first_open(self.layout.axis, now, end) for end in self._ends], dtype=np.int64)
        first: Ints = firsts[self._end if groups is None else self._end[groups]]
        return first


def day_end(terms: Terms, zone: str | None, rollover: int | None) -> DayEnd:
    """Where a group's day ends: as it says itself, or as at its supplier."""
    return DayEnd(terms.zone if zone is None else zone_of(zone), terms.rollover if rollover is None else rollover)


def first_open(axis: Axis, now: int, end: DayEnd) -> int:
    """The first open position at the server's time `now`, in microseconds."""
    return axis.first(now, end.zone, end.rollover)
