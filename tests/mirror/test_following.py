"""A mirror follows its suppliers: everything is loaded, changes arrive, and nothing is changed by what is wrong."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.mirror.hotels import AXIS, FIELDS, OFTEN, RARELY, Hotels, today
from tests.mirror.waiting import until
from tieout import App
from tieout.errors import ConfigError, DefinitionError, InvalidParams, UnknownItem
from tieout.mirror import Fetched, SlowDown, days, flag, money, tier, tiers


def mirror_of(url, hotels, policy=OFTEN, rate="1000/s", fields=FIELDS, axis=AXIS, **options):
    """An App with a mirror of one supplier."""
    app = App(url, migrate=True)
    rooms = app.mirror("rooms", axis=axis, fields=fields, policy=policy)
    rooms.supplier("acme", rate, **options)(hotels)
    return app, rooms


async def price(rooms, item="h0-a", day=0, nights=1):
    try:
        offer = await rooms.read("acme", item, today() + timedelta(days=day), nights, refresh=False)
    except UnknownItem:
        return "unknown"
    if offer.values is None:
        return None
    return offer.values["price"] if offer.values["open"] else "closed"


async def test_everything_is_loaded_and_read(url):
    """After the first load every stay is known: prices are summed, stock is the least, rules those of arrival."""
    hotels = Hotels()
    hotels.prices["h1-b", today() + timedelta(days=3)] = 250
    app, rooms = mirror_of(url, hotels)
    async with app:
        await until(lambda: price(rooms, "h2-b", 19), 100)
        offer = await rooms.read("acme", "h1-b", today() + timedelta(days=2), 3)
        assert offer.values == {"price": 450, "stock": 3, "open": True, "rules": {"cancel": "free"}}
        assert 0 <= offer.age < 60 and not offer.suspect and 0.9 < offer.p_true <= 1


async def test_changes_arrive(url):
    """What a supplier changes, closes or opens is in the copy after the next tick."""
    hotels = Hotels()
    app, rooms = mirror_of(url, hotels)
    async with app:
        await until(lambda: price(rooms), 100)
        hotels.prices["h0-a", today()] = 90
        await until(lambda: price(rooms), 90)
        hotels.closed.add(("h0-a", today()))
        await until(lambda: price(rooms), "closed")
        hotels.closed.clear()
        await until(lambda: price(rooms), 90)


async def test_another_node_reads_what_one_follows(url):
    """Of two nodes one asks; the other reads the same copy, and takes over when the first one ends."""
    first, second = Hotels(), Hotels()
    one, rooms_of_one = mirror_of(url, first)
    other, rooms_of_other = mirror_of(url, second)
    async with one:
        await until(lambda: price(rooms_of_one), 100)
        async with other:
            await until(lambda: price(rooms_of_other, "h2-b", 19), 100)
            assert second.asked == []
            await one.close()
            second.prices["h0-a", today()] = 77
            await until(lambda: price(rooms_of_other), 77)
            async with one:
                pass


async def test_a_wrong_answer_changes_nothing(url):
    """Of an answer that is empty or not as it was agreed nothing is used, and the supplier is asked again."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(url, hotels)
    async with app:
        await until(lambda: price(rooms, day=19), 100)
        hotels.prices = {("h0-a", today() + timedelta(days=day)): 5 for day in range(20)}
        seen = []

        async def answer(group, first, count):
            seen.append(await price(rooms, day=3))
            return Fetched({"h0-a": {"price": [1.5] * count}})

        hotels.will = [answer] * 3
        await until(lambda: not hotels.will)
        assert set(seen) <= {100, 5}
        await until(lambda: price(rooms), 5)


async def test_an_incomplete_answer_closes_nothing(url):
    """What is absent from an incomplete answer was not observed; what is there is taken."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(url, hotels, RARELY)
    async with app:
        await until(lambda: price(rooms, day=19), 100)

        async def answer(group, first, count):
            return Fetched({"h0-a": {**hotels.cells("h0-a", first, count), "price": [90] * count}}, complete=False)

        hotels.will = [answer]
        await rooms.read("acme", "h0-a", today())
        await until(lambda: price(rooms, "h0-a"), 90)
        assert await price(rooms, "h0-b") == 100


async def test_items_come_and_go_with_the_catalogue(url):
    """Only the catalogue adds and removes items; a room that gets another number is another room."""
    hotels = Hotels()
    app, rooms = mirror_of(url, hotels, catalogue_every="1s")
    async with app:
        await until(lambda: price(rooms, "h1-a"), 100)
        hotels.hotels = {"h0": ["h0-a", "h0-c"], "h9": ["h9-a"]}
        await until(lambda: price(rooms, "h0-c"), 100)
        await until(lambda: price(rooms, "h9-a"), 100)
        assert [await price(rooms, item) for item in ("h0-a", "h0-b", "h1-a")] == [100, "unknown", "unknown"]
        hotels.hotels = {"h0": ["h0-a", "h0-b"], "h1": ["h1-a"]}
        await until(lambda: price(rooms, "h0-b"), 100)
        await until(lambda: price(rooms, "h1-a"), 100)


async def test_a_catalogue_that_drops_too_much_is_not_believed(url):
    """When most groups vanish at once nothing is removed, and a person is told, once."""
    hotels = Hotels(hotels=9)
    app, rooms = mirror_of(url, hotels, catalogue_every="1s")
    async with app:
        await until(lambda: price(rooms, "h8-a"), 100)
        hotels.hotels = {"h0": ["h0-a"]}

        async def told():
            return [alarm.kind for alarm in await app.alarms.list()]

        await until(told, ["mass-drop"])
        assert await price(rooms, "h8-a") == 100


async def test_a_supplier_is_never_asked_more_than_it_bears(here):
    """No more queries at a time than agreed, and none while it asks for a pause."""
    hotels = Hotels(hotels=6)
    app, rooms = mirror_of(here, hotels, concurrency=2)
    async with app:
        await until(lambda: price(rooms, "h5-b", 19), 100)
        assert hotels.most_busy <= 2

        async def slow_down(group, first, count):
            raise SlowDown(3600)

        hotels.will = [slow_down]
        await until(lambda: not hotels.will)
        await asyncio.sleep(0.2)
        asked = len(hotels.asked)
        await asyncio.sleep(2)
        assert len(hotels.asked) == asked


async def test_a_paused_supplier_is_left_alone(here):
    """While it is paused nothing is asked; afterwards the copy catches up."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(here, hotels)
    async with app:
        await until(lambda: price(rooms, day=19), 100)
        await rooms.pause("acme")
        hotels.prices["h0-a", today()] = 90
        await asyncio.sleep(2.5)
        asked = len(hotels.asked)
        await asyncio.sleep(1.5)
        assert len(hotels.asked) == asked
        await rooms.pause("acme", paused=False)
        await until(lambda: price(rooms), 90)


async def test_browsing_refreshes_once_per_window(url):
    """Readers get the copy at once; behind them the supplier is asked, once for all of them in a window of time."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(url, hotels, RARELY)
    async with app:
        await until(lambda: price(rooms, day=19), 100)
        asked = len(hotels.asked)
        hotels.prices["h0-a", today()] = 90
        offers = await asyncio.gather(*(rooms.read("acme", "h0-a", today()) for _ in range(50)))
        assert {offer.values["price"] for offer in offers} <= {100, 90}
        await until(lambda: price(rooms), 90)
        assert len(hotels.asked) == asked + 1


async def test_an_order_is_told_the_truth(url):
    """The supplier's word is returned; where the copy differs it is marked at once, and then follows."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(url, hotels, RARELY)
    async with app:
        await until(lambda: price(rooms, day=19), 100)
        truth = await rooms.verify("acme", "h0-a", today(), 2)
        assert truth.values["price"] == 200 and truth.differs == frozenset() and truth.unavailable is None
        hotels.prices["h0-a", today()] = 150
        truth = await rooms.verify("acme", "h0-a", today(), 2)
        assert truth.values["price"] == 250 and truth.differs == {"price-up"}
        await until(lambda: price(rooms, nights=2), 250)
        assert not (await rooms.read("acme", "h0-a", today(), 2, refresh=False)).suspect


async def test_an_order_for_what_is_sold_out(url):
    """A night that the supplier has not any more is no offer; the copy is doubtful until it is asked again."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(url, hotels, RARELY)
    async with app:
        await until(lambda: price(rooms, day=19), 100)
        hotels.closed.add(("h0-a", today()))
        truth = await rooms.verify("acme", "h0-a", today(), 2)
        assert truth.values is None and truth.differs == {"sold-out"}
        offer = await rooms.read("acme", "h0-a", today(), 2)
        assert offer.suspect and offer.p_true <= 0.5
        await until(lambda: price(rooms), "closed")


async def test_a_supplier_that_cannot_be_asked_is_an_outcome(url):
    """An error and a time-out of the order check are told apart, and change nothing."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(url, hotels, RARELY, order_timeout="50ms")
    async with app:
        await until(lambda: price(rooms, day=19), 100)

        async def fails(*_):
            raise ConnectionError("reset")

        async def hangs(*_):
            await asyncio.sleep(30)

        hotels.check = fails
        assert (await rooms.verify("acme", "h0-a", today())).unavailable == "error"
        hotels.check = hangs
        assert (await rooms.verify("acme", "h0-a", today())).unavailable == "timeout"
        assert await price(rooms) == 100


async def test_what_a_mirror_does_not_hold(url):
    """Unknown items and suppliers, days that are over or too far off, and moments of the wrong kind are refused."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(url, hotels)
    async with app:
        await until(lambda: price(rooms), 100)
        for supplier, item in (("acme", "h0-z"), ("nobody", "h0-a")):
            with pytest.raises(UnknownItem):
                await rooms.read(supplier, item, today())
        for first, nights in ((today() - timedelta(days=3), 1), (today(), 0), (today(), 40), (None, 1), ("2026", 1)):
            with pytest.raises(InvalidParams):
                await rooms.read("acme", "h0-a", first, nights)


async def test_a_copy_of_other_fields_is_refused(url):
    """Rows that were packed for other fields are not misread: opening says what differs."""
    app, _ = mirror_of(url, Hotels())
    async with app:
        pass
    app, _ = mirror_of(url, Hotels(), fields={"price": money(wide=True), "open": flag()})
    with pytest.raises(ConfigError):
        await app.__aenter__()


def test_what_is_no_mirror():
    """Definitions that cannot work are refused when they are made."""
    app = App("sqlite://")
    for fields in ({}, {"price": 1}, {"price": money()}, {"a b": flag()}):
        with pytest.raises(DefinitionError):
            app.mirror("m", axis=AXIS, fields=fields, policy=OFTEN)
    rooms = app.mirror("rooms", axis=AXIS, fields=FIELDS, policy=OFTEN)
    with pytest.raises(DefinitionError):
        app.mirror("rooms", axis=AXIS, fields=FIELDS, policy=OFTEN)
    rooms.supplier("acme", "1/s", reserve={})(Hotels)
    with pytest.raises(DefinitionError):
        rooms.supplier("acme", "1/s", reserve={})(Hotels())
    with pytest.raises(ConfigError):
        rooms.supplier("b", "often")
    for options in ({"concurrency": 0}, {"timeout": "11s"}, {"reserve": {"night": 0.1}}, {"zone": "Mars/Olympus"}):
        with pytest.raises((ConfigError, DefinitionError)):
            rooms.supplier("b", "60/min", **options)
    with pytest.raises(DefinitionError):
        rooms.supplier("b", "60/min")(object())
    for wrong in ({}, {"every": "1m", "at": "01:00"}, {"at": "25:00"}, {"every": "1ms"}):
        with pytest.raises(DefinitionError):
            tier(days(3), **wrong)
    with pytest.raises(DefinitionError):
        tiers()
