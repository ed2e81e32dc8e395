"""A hotel's day ends otherwise than it did: what is open is asked for, also what its rows did not reach back to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.mirror.hotels import RARELY, Hotels
from tests.mirror.test_following import mirror_of
from tests.mirror.waiting import until
from tieout.errors import InvalidParams, UnknownItem
from tieout.mirror import Group

FURTHEST_EAST, FURTHEST_WEST = "Etc/GMT-14", "Etc/GMT+12"
"""Whatever the time is, the one is a day ahead of the other, or two."""


class Elsewhere(Hotels):
    """Hotels of which the first one says where it is."""

    def __init__(self, zone):
        super().__init__()
        self.zone = zone

    async def catalogue(self):
        for name, rooms in self.hotels.items():
            yield [Group(name, rooms, self.zone if name == "h0" else None)]


async def known(rooms, day, item="h0-a"):
    try:
        offer = await rooms.read("acme", item, day, refresh=False)
    except (UnknownItem, InvalidParams):
        return None
    return offer.values and offer.values["price"]


def today_in(zone):
    return datetime.now(UTC).astimezone(ZoneInfo(zone)).date()


@pytest.mark.parametrize(
    ("before", "after"), [(FURTHEST_EAST, FURTHEST_WEST), (FURTHEST_WEST, FURTHEST_EAST)], ids=["west", "east"]
)
async def test_a_hotel_that_is_elsewhere_is_asked_for_all_its_days(url, before, after):
    """All days that are open there are known soon; then it is asked no more until the next tick."""
    hotels = Elsewhere(before)
    app, rooms = mirror_of(url, hotels, RARELY, catalogue_every="1s", audits=0)
    async with app:
        await until(lambda: known(rooms, today_in(before) + timedelta(days=19)), 100)
        hotels.zone = after
        await until(lambda: known(rooms, today_in(after)), 100)
        await until(lambda: known(rooms, today_in(after) + timedelta(days=19)), 100)
        asked, catalogued = len(hotels.asked), rooms.following("acme").catalogued
        await until(lambda: rooms.following("acme").catalogued - catalogued > 2_000_000)
        assert len(hotels.asked) == asked


async def test_a_day_that_ends_late_leaves_what_is_known_of_others(url):
    """What is known of hotels that did not move stays known throughout."""
    hotels = Elsewhere(FURTHEST_EAST)
    app, rooms = mirror_of(url, hotels, RARELY, catalogue_every="1s", audits=0)
    async with app:
        await until(lambda: known(rooms, today_in("UTC") + timedelta(days=19), "h2-a"), 100)
        await until(lambda: known(rooms, today_in(FURTHEST_EAST) + timedelta(days=19)), 100)
        hotels.asked.clear()
        hotels.zone = FURTHEST_WEST
        await until(lambda: known(rooms, today_in(FURTHEST_WEST)), 100)
        assert {group for group, *_ in hotels.asked} == {"h0"}
