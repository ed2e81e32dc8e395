"""What is asked of a supplier stays within its rate, whatever a query costs and whatever is reserved for whom."""

from __future__ import annotations

import pytest

from tests.mirror.hotels import AXIS, FIELDS, OFTEN, RARELY, Hotels, today
from tests.mirror.test_following import mirror_of, price
from tests.mirror.waiting import until
from tieout import App
from tieout.coordination.breaker import THRESHOLD
from tieout.errors import DatabaseUnavailable, DefinitionError
from tieout.mirror import shape


class Dear(Hotels):
    """A supplier that counts a query for ten days as three."""

    shapes = (shape("day", max_days=1), shape("hotel", max_days=10, cost=3))


def test_a_query_that_costs_several_is_sent_so_many_times_less_often():
    """Windows, by plan or behind a reader, cost what their shape says; an order check costs one."""
    app = App("sqlite://")
    rooms = app.mirror("rooms", axis=AXIS, fields=FIELDS, policy=OFTEN)
    rooms.supplier("dear", "60/min")(Dear())
    rooms.supplier("plain", "60/min")(Hotels())
    dear, plain = (rooms.following(name).terms.classes for name in ("dear", "plain"))
    assert {kind: one.count for kind, one in plain.items()} == {"order": 6, "browse": 6, "sync": 48}
    assert {kind: one.count for kind, one in dear.items()} == {"order": 6, "browse": 2, "sync": 16}
    with pytest.raises(DefinitionError, match="costs 3 tokens, and browse has only 1"):
        rooms.supplier("slow", "12/min")(Dear())


@pytest.mark.parametrize("reserve", [{}, {"order": 0.2}, {"browse": 0.2}])
async def test_what_has_no_reserve_of_its_own_is_asked_for_all_the_same(here, reserve):
    """Order checks and readers without tokens of their own have them of the plan's."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(here, hotels, RARELY, reserve=reserve)
    async with app:
        await until(lambda: price(rooms, day=19), 100)
        hotels.prices["h0-a", today()] = 90
        assert (await rooms.verify("acme", "h0-b", today())).values["price"] == 100
        await rooms.read("acme", "h0-a", today())
        await until(lambda: price(rooms), 90)


async def test_leases_of_readers_are_as_many_as_windows_and_not_as_days(here):
    """A window is leased by its place behind today: else the table would have new rows for every day to come."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(here, hotels, RARELY, browse_window=0)
    async with app:
        await until(lambda: price(rooms, day=19), 100)
        reading = rooms._readings["acme"]  # noqa: SLF001 - a day goes by in no other way
        _, stay = await reading.read("h0-a", reading.following.layout.axis.position(today()), 1)
        for day in range(3):
            await reading.refresh(stay._replace(first=stay.first + day, first_open=stay.first_open + day))

        async def count(tx):
            return await tx.fetch_one(
                "SELECT count(*) AS found FROM tieout_lease WHERE CAST(name AS TEXT) LIKE 'browse/%'"
            )

        assert (await app.database.read(count))[0] == 1


async def test_a_supplier_is_not_blamed_for_our_database(here, monkeypatch):
    """What it has said of an order and cannot be kept is an error of the database, with its code."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(here, hotels, RARELY)
    async with app:
        await until(lambda: price(rooms, day=19), 100)
        following = rooms.following("acme")

        async def down(*_):
            raise DatabaseUnavailable("gone")

        monkeypatch.setattr(following.world.store, "add_suspects", down)
        for _ in range(THRESHOLD):
            with pytest.raises(DatabaseUnavailable):
                await rooms.verify("acme", "h0-a", today())
        assert following.may_ask()
