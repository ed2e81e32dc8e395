"""The suppliers are strict: they count every window, see overlaps, keep their history, and fail as planned."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tieout.demo.hotels.supplier_service.faults import KINDS, Faults
from tieout.demo.hotels.supplier_service.gauge import Asked, Gauge, Limit
from tieout.demo.hotels.supplier_service.inventory import Inventory, Size
from tieout.demo.hotels.supplier_service.market import Market

HOTEL = Asked("plan", "s000-h0001?2026-12-01", is_order=False)


@pytest.fixture
def inventory():
    return Inventory("s000", 0, Size(3, 2), seed=1)


def test_every_window_is_counted():
    """A query too many in any window is refused and seen; one that is just outside is not counted any more."""
    gauge = Gauge(Limit(3, 10.0))
    told = []
    for now in (0.0, 4.0, 9.0, 9.9, 10.0, 13.9):
        told.append(gauge.arrive(HOTEL, now))
        gauge.leave(HOTEL)
    assert told == [True, True, True, False, False, False]
    assert gauge.highest == 5
    assert gauge.arrive(HOTEL, 30.0)


def test_overlaps_are_seen():
    """The same asked again by the same asker before it is answered is an overlap, but not for orders."""
    gauge = Gauge(Limit(100, 10.0))
    order = HOTEL._replace(is_order=True)
    for asked in (HOTEL, HOTEL._replace(asker="shop"), HOTEL._replace(what="other"), order, order):
        gauge.arrive(asked, 0.0)
    assert gauge.overlaps == 0
    gauge.arrive(HOTEL, 1.0)
    assert gauge.overlaps == 1 and gauge.most_at_once == 6
    gauge.leave(HOTEL)
    gauge.leave(HOTEL)
    gauge.arrive(HOTEL, 2.0)
    assert gauge.overlaps == 1


def test_history_is_kept(inventory):
    """A change keeps what was before it, and until when; what is sold out is closed."""
    was = inventory.price[1, 5:8].tolist()
    inventory.change(1, 5, 3, factor=1.5)
    inventory.change(1, 6, 1, sold=100)
    first, second = inventory.changes
    assert (first.row, first.first, first.price) == (1, 5, was)
    assert second.price == [inventory.price[1, 6]] and second.until >= first.until
    assert inventory.closed[1, 6] and inventory.cells(range(1, 2), 6, 1)["s000-h0000-r1"]["price"] == [None]


def test_names_lead_to_rows(inventory):
    """Hotels, rooms and days are found by name; what is not there is not found."""
    assert [inventory.row_of_room(inventory.room(row)) for row in range(6)] == list(range(6))
    assert inventory.rows_of_hotel("s000-h0001") == range(2, 4)
    for name in ("s000-h0003", "s001-h0001", "s000-h", "nothing"):
        assert inventory.rows_of_hotel(name) is None
    assert inventory.row_of_room("s000-h0001-r2") is None
    assert inventory.day_index(inventory.first - timedelta(days=1), 2) is None
    assert inventory.day_index(inventory.first, 65) is None


def test_the_market_moves_at_its_rate(inventory):
    """Bursts begin as often as was said, and the same seed moves the same cells."""
    other = Inventory("s000", 0, Size(3, 2), seed=1)
    moved = [Market([one], 5.0, seed=2) for one in (inventory, other)]
    counts = [[market.move(0.1) for _ in range(400)] for market in moved]
    assert counts[0] == counts[1] and (inventory.price == other.price).all()
    assert 5.0 * 40 * 3 < sum(counts[0]) < 5.0 * 40 * 12


def test_faults_strike_when_they_are_planned():
    """An episode strikes one supplier, in its time only; those of catalogues strike nothing else, an outage both."""
    faults = Faults(seed=1)
    base = {"begin": 1.0, "end": 2.0, "share": 1.0}
    faults.take([{"supplier": name, "kind": name, **base} for name in KINDS], now=100.0)
    assert faults.strikes("slow", 100.5) is None and faults.strikes("slow", 102.0) is None
    struck = [(faults.strikes(name, 101.5), faults.strikes(name, 101.5, catalogue=True)) for name in KINDS]
    assert struck == [
        (None if name in ("drop", "cut") else name, name if name in ("drop", "cut", "outage") else None)
        for name in KINDS
    ]
    with pytest.raises(ValueError, match="no such fault"):
        faults.take([{"supplier": "a", "kind": "flood", **base}], now=0.0)
