"""Views: a search in memory finds what the copy says, and what changes is in it within moments."""

from __future__ import annotations

import time
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mirror.hotels import RARELY, Hotels, today
from tests.mirror.test_following import mirror_of, price
from tests.mirror.test_push import delta, loaded, message
from tests.mirror.waiting import until
from tieout.errors import InvalidParams, UnknownItem
from tieout.mirror import view
from tieout.mirror.view import smallest


def day(number):
    return today() + timedelta(days=number)


def names(result):
    return [found.item for found in result.found]


def priced(hotels=3):
    """Hotels whose rooms cost 100, 110, 120, … a night."""
    made = Hotels(hotels=hotels)
    rooms = [room for rooms in made.hotels.values() for room in rooms]
    made.prices = {(room, day(number)): 100 + 10 * at for at, room in enumerate(rooms) for number in range(20)}
    return made


async def all_loaded(rooms, last):
    async def known(item):
        return isinstance(await price(rooms, item, 19), int)

    for item in last:
        await until(lambda item=item: known(item))


async def test_a_search_finds_what_reading_each_item_finds(url):
    """Of every length of stay it returns the offers that `read` gives, those that match, in the order asked for."""
    hotels = priced()
    hotels.closed.add(("h1-a", day(4)))
    app, rooms = mirror_of(url, hotels, RARELY)
    async with app:
        await all_loaded(rooms, ["h0-a", "h1-b", "h2-b"])
        view = await rooms.view()
        for nights in (1, 2, 7):
            everything = view.search(day(3), nights, limit=100)
            assert everything.total == len(everything.found) == 6 == len(view)
            for found in everything.found:
                offer = await rooms.read("acme", found.item, day(3), nights, refresh=False)
                assert (found.offer.values, found.offer.source) == (offer.values, offer.source)
                assert abs(found.offer.age - offer.age) < 30 and found.offer.suspect == offer.suspect
        dearest = view.search(day(3), 2, where={"open": True}, sort="price", descending=True, limit=2)
        assert (names(dearest), dearest.total) == (["h2-b", "h2-a"], 5)
        cheap = view.search(day(3), 2, where={"open": True, "price": (220, 270), "stock": (1, None)}, sort="price")
        assert names(cheap) == ["h0-b", "h1-b"]
        assert set(names(view.search(day(3), groups={"h1"}, where={"open": True}))) == {"h1-a", "h1-b"}
        assert names(view.search(day(4), groups={"h1"}, where={"open": False})) == ["h1-a"]
        assert names(view.search(day(3), sort="price", limit=2, offset=2)) == ["h1-a", "h1-b"]
        assert view.search(day(3), suppliers={"nobody"}).total == 0
        assert view.search(day(19), 2).total == 0


async def test_what_changes_is_in_the_view(url):
    """Pushed, pulled and catalogued changes come by the feed, to views of other nodes too, and doubts with them."""
    hotels = Hotels(hotels=2)
    app, rooms = mirror_of(url, hotels, RARELY, skew="1ms", catalogue_every="1s")
    other, rooms_of_other = mirror_of(url, Hotels(hotels=2), RARELY)
    async with app, other:
        await loaded(rooms)
        view = await rooms_of_other.view()
        assert view is await rooms_of_other.view()

        def offered(item="h0-a", number=0):
            values = view.read("acme", item, day(number)).values
            return values and (values["price"] if values["open"] else "closed")

        await until(offered, 100)
        await rooms.push("acme", message(delta()), message="m1")
        await until(offered, 90)
        assert view.read("acme", "h0-a", day(0)).source == "item"
        await rooms.pause("acme")
        await rooms.push("acme", message({"kind": "thin", "group": "h1", "first": day(5)}), message="m2")
        await until(lambda: view.read("acme", "h1-a", day(5)).suspect)
        assert set(names(view.search(day(5), suspect=False))) == {"h0-a", "h0-b"}
        hotels.closed.add(("h1-a", day(5)))
        await rooms.pause("acme", paused=False)
        await until(lambda: offered("h1-a", 5), "closed")
        await until(lambda: view.read("acme", "h1-a", day(5)).suspect, wanted=False)
        hotels.hotels["h7"] = ["h7-a"]
        await until(lambda: len(view), 5)
        await until(lambda: offered("h7-a"), 100)
        assert 0 <= view.search(day(0)).lag < 60


async def test_a_views_age_is_that_of_the_last_check(url):
    """A check that changes nothing makes what is known younger, in the view too."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(url, hotels, RARELY)
    async with app:
        await loaded(rooms)
        view = await rooms.view()

        def checked_at():
            return time.monotonic() - view.read("acme", "h0-a", day(0)).age

        before = checked_at()
        await rooms.push("acme", message({"kind": "thin", "group": "h0", "first": day(0)}), message="m1")
        await until(lambda: checked_at() > before + 0.01)


async def test_the_feed_tells_every_change_in_order(url):
    """From a cursor on each change of an item's cells comes once, with its days; nothing that did not change."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(url, hotels, RARELY, skew="1ms")
    async with app:
        await loaded(rooms)

        async def fed():
            return await rooms.changes("acme")

        first = await fed()
        assert {change.item for change in first.changes} == {"h0-a", "h0-b"} and not first.lost
        days = {cell for change in first.changes for cell in change.cells if change.item == "h0-a"}
        assert days == {day(number) for number in range(20)}
        assert (await rooms.changes("acme", first.cursor)).changes == []
        await rooms.push("acme", message(delta(first=day(2), count=2)), message="m1")
        await until(lambda: price(rooms, day=2), 90)
        await rooms.push("acme", message(delta(first=day(3), count=2, item="h0-b")), message="m2")
        await until(lambda: price(rooms, "h0-b", 4), 90)
        then = await rooms.changes("acme", first.cursor)
        told = [(change.item, list(change.cells)) for change in then.changes]
        assert told == [("h0-a", [day(2), day(3)]), ("h0-b", [day(3), day(4)])]
        step, cursor, seen = None, first.cursor, []
        while step is None or step.changes:
            step = await rooms.changes("acme", cursor, limit=1)
            cursor, seen = step.cursor, seen + [(change.item, list(change.cells)) for change in step.changes]
        assert seen == told
        with pytest.raises(InvalidParams):
            await rooms.changes("acme", -1)
        with pytest.raises(UnknownItem):
            await rooms.changes("nobody")


async def test_what_a_search_cannot_do(here):
    """Fields that are none, bounds of the wrong type, stays and pages out of bounds are refused."""
    app, rooms = mirror_of(here, Hotels(hotels=1), RARELY)
    async with app:
        view = await rooms.view()
        for wrong in (
            {"where": {"rules": (1, 2)}},
            {"where": {"colour": True}},
            {"where": {"open": 1}},
            {"where": {"price": 100}},
            {"where": {"price": (1.5, None)}},
            {"where": {"price": (True, None)}},
            {"sort": "rules"},
            {"limit": 0},
            {"limit": 10_000},
            {"offset": -1},
            {"nights": 0},
            {"nights": 21},
        ):
            with pytest.raises(InvalidParams):
                view.search(day(0), **wrong)
        with pytest.raises(InvalidParams):
            view.search("2026-01-01")
        with pytest.raises(UnknownItem):
            view.read("acme", "h9-a", day(0))


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans())), st.integers(1, 12))
def test_the_smallest_come_first(keys, count):
    """So many of the smallest keys that match are found, in order; equal ones in the order in which they stand."""
    columns = np.array([key for key, _ in keys], dtype=np.int64), np.array([match for _, match in keys], dtype=np.bool_)
    wanted = sorted((at for at, (_, match) in enumerate(keys) if match), key=lambda at: keys[at][0])
    assert smallest(*columns, count).tolist() == wanted[:count]


def test_the_smallest_of_many_come_first(monkeypatch):
    """Also where a small sample guesses badly which they are, and where many are equal."""
    chance = np.random.default_rng(1)
    for sample, spare in ((4, 0), (4_096, 8)):
        monkeypatch.setattr(view, "SAMPLE", sample)
        monkeypatch.setattr(view, "SPARE", spare)
        for spread, share in ((2, 0.9), (50, 0.5), (1_000_000, 0.9), (1_000_000, 0.001)):
            keys, match = chance.integers(0, spread, 20_000), chance.random(20_000) < share
            places = np.flatnonzero(match)
            for count in (1, 20, 500):
                assert (smallest(keys, match, count) == places[np.argsort(keys[match], kind="stable")][:count]).all()
