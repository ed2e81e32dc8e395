"""Searches of many suppliers' items at once find what looking at each item finds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tieout.mirror import days, dictionary, flag, int16, money
from tieout.mirror.calendar import Checks, Layout
from tieout.mirror.columns import Columns
from tieout.mirror.define import terms
from tieout.mirror.parts import Marks, Part
from tieout.mirror.store import GroupRow
from tieout.mirror.table import Table
from tieout.mirror.view import View

FIELDS = {
    "price": money(),
    "low": money(fold="min"),
    "stock": int16(),
    "left": int16(fold="sum"),
    "open": flag(),
    "sale": flag(fold="any"),
    "leaving": flag(fold="at_end"),
    "stay": int16(fold="at_first"),
    "rules": dictionary(),
}
LAYOUT = Layout(days(20), FIELDS)
NOON = round(datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp() * 1_000_000)
TODAY = datetime(2026, 5, 1, tzinfo=UTC).date()
ROOMS = 3


def part(name, hotels, chance, zone, most):
    """A supplier's copy, drawn by chance: some cells are not known, and days end at different times."""
    checks = Checks.empty(1, LAYOUT.ring, 0).pack()[0]
    groups = [
        GroupRow(n, f"{name}h{n}", "Asia/Tokyo" if n % 3 == 0 else None, None, checks, None) for n in range(hotels)
    ]
    items = hotels * ROOMS
    columns = Columns(LAYOUT, terms(name, "10/s", zone=zone), groups, items)
    columns.roll(NOON)
    base = int(columns.opens.min()) if hotels else 0
    cells = LAYOUT.empty(items, base)
    cells.known[:] = chance.random(cells.known.shape) < 0.97
    for field, column in cells.values.items():
        column[:] = chance.integers(0, {"price": most, "low": 500, "rules": 1}.get(field, 2), column.shape)
    cells.values["open"][:] = chance.random(cells.known.shape) < 0.9
    rows = LAYOUT.pack(cells)
    columns.add([(n // ROOMS, n, f"{name}r{n}", row) for n, row in enumerate(rows)])
    made = Part(name, columns, {}, 0)
    if items:
        made.marks = Marks(np.array([0, 1]), np.array([base + 3, base + 9]), [(1, base + 2, base + 4)])
    return made


def view_of(seed, most=900):
    chance = np.random.default_rng(seed)
    view = View(LAYOUT, 86_400.0, lambda: NOON)
    zones = {"a": ("UTC", 4), "empty": ("UTC", 0), "b": ("America/New_York", 7), "c": ("Pacific/Auckland", 2)}
    parts = {name: part(name, hotels, chance, zone, most) for name, (zone, hotels) in zones.items()}
    list(view.table.put(parts))
    return view


def is_wanted(values, where):
    return all(
        values[name] is wanted
        if isinstance(wanted, bool)
        else (wanted[0] is None or values[name] >= wanted[0]) and (wanted[1] is None or values[name] <= wanted[1])
        for name, wanted in where.items()
    )


def one_by_one(view, first, nights, where, groups, suppliers, *, suspect):
    """The names and offers that a search has to find, by looking at each item."""
    found = []
    for supplier, part in view.table.parts.items():
        for place, name in enumerate(part.columns.names):
            offer = view.read(supplier, name, first, nights)
            group = part.columns.group_names[part.columns.group[place]]
            is_meant = (groups is None or group in groups) and (suppliers is None or supplier in suppliers)
            if is_meant and offer.values and is_wanted(offer.values, where) and (suspect or not offer.suspect):
                found.append((supplier, group, name, offer))
    return found


WANTED = [
    {},
    {"open": True},
    {"open": False, "price": (None, 3_000)},
    {"price": (400, 1_500), "stock": (1, None)},
    {"sale": True, "leaving": False, "low": (10, None), "left": (1, 6), "stay": (1, 1)},
]


@pytest.mark.parametrize("nights", [1, 3, 14])
@pytest.mark.parametrize("seed", range(3))
def test_a_search_finds_what_each_item_says(seed, nights):
    """Whatever is wanted, of whichever suppliers and groups, in any order, and with or without what is doubtful."""
    view = view_of(seed)
    first = TODAY.replace(day=1 + 9 * seed)
    for number, where in enumerate(WANTED):
        for groups, suppliers in ((None, None), (None, ["b", "c"]), (["ah1", "bh0", "bh5"], None)):
            suspect = number % 2 == 0
            wanted = one_by_one(view, first, nights, where, groups, suppliers, suspect=suspect)
            for sort, descending in ((None, False), ("price", False), ("price", True), ("left", False)):
                options = {"where": where, "groups": groups, "suppliers": suppliers, "suspect": suspect}
                found = view.search(first, nights, sort=sort, descending=descending, limit=100, **options)
                sign = -1 if descending else 1
                ordered = wanted if sort is None else sorted(wanted, key=lambda one: sign * one[3].values[sort])
                assert [(one.supplier, one.group, one.item, one.offer) for one in found.found] == ordered
                assert found.total == len(wanted)
                some = view.search(first, nights, sort=sort, descending=descending, limit=3, offset=2, **options)
                assert list(some.found) == list(found.found)[2:5]


@pytest.mark.parametrize("nights", [1, 4, 20])
def test_a_search_finds_what_has_changed_since(nights):
    """Rows that come anew, and days that end, are in every search after that: also around the end of the ring."""
    view, chance = view_of(3), np.random.default_rng(3)
    for ahead in range(0, 70, 7):
        now = NOON + ahead * 86_400_000_000
        for one in view.table.parts.values():
            columns = one.columns
            columns.roll(now)
            if not len(columns):
                continue
            some = chance.choice(len(columns), 5, replace=False)
            cells = LAYOUT.empty(5, int(columns.opens.min()))
            cells.known[:] = chance.random(cells.known.shape) < 0.99
            for field, column in cells.values.items():
                column[:] = chance.integers(0, {"price": 500, "rules": 1}.get(field, 2), column.shape)
            columns.replace(list(zip(some.tolist(), LAYOUT.pack(cells), strict=True)))
        first = TODAY + timedelta(days=ahead + 2)
        for where in WANTED:
            wanted = one_by_one(view, first, nights, where, None, None, suspect=True)
            found = view.search(first, nights, where=where, sort="low", descending=True, limit=100)
            assert found.total == len(wanted)
            ordered = sorted(wanted, key=lambda one: -one[3].values["low"])
            assert [(one.supplier, one.group, one.item, one.offer) for one in found.found] == ordered


def test_sums_beyond_32_bits():
    """A stay may cost more than one night can."""
    view = view_of(1, most=(1 << 31) - 1)
    found = view.search(TODAY, 5, sort="price", descending=True)
    assert found.total and found.found[0].offer.values["price"] > 1 << 31
    prices = [one.offer.values["price"] for one in found.found]
    assert prices == sorted(prices, reverse=True)
    assert view.search(TODAY, 5, where={"price": (1 << 31, None)}).total == sum(price >= 1 << 31 for price in prices)


def test_a_part_is_put_again():
    """A supplier whose items came or went is put anew, and what is merged into a part after that is found."""
    view, chance = view_of(1), np.random.default_rng(5)
    before = len(view)
    again = part("a", 9, chance, "UTC", 900)
    for _ in view.table.put({"a": again}):
        assert len(view) == before
    assert len(view) == before + 5 * ROOMS
    first = TODAY.replace(day=3)
    cells = LAYOUT.empty(1, int(again.columns.opens.min()))
    cells.known[:] = True
    cells.values["price"][:], cells.values["open"][:] = 7, True
    again.columns.replace([(4, LAYOUT.pack(cells)[0])])
    assert [one.item for one in view.search(first, 2, where={"price": (14, 14), "open": True}).found] == ["ar4"]


def test_a_table_without_anything():
    """Nothing is found where there is nothing."""
    view = View(LAYOUT, 86_400.0, lambda: NOON)
    assert view.search(TODAY, 3, sort="price").found == [] and len(Table(LAYOUT)) == 0
