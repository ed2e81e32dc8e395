"""Suppliers that behave badly: one hotel's garbage, or a pause that makes no sense, is no other hotel's trouble."""

from __future__ import annotations

import math

import pytest

from tests.mirror.hotels import OFTEN, RARELY, Hotels, today
from tests.mirror.test_following import mirror_of, price
from tests.mirror.waiting import until
from tieout.errors import DefinitionError
from tieout.mirror import Fetched, SlowDown
from tieout.mirror.suppliers import PAUSE

MANY = 115
"""Hotels whose units do not fit into one plan."""


class Garbling(Hotels):
    """A supplier whose answers about some hotels are garbage."""

    def __init__(self, hotels=1):
        super().__init__(hotels)
        self.garbled = set()

    async def fetch(self, group, first, count):
        found = await super().fetch(group, first, count)
        return Fetched({f"{group}-a": {"price": [1.5] * count}}) if group in self.garbled else found


@pytest.mark.parametrize(
    "items", [None, [1], "h0-a", {"h0-a": None}, {"h0-a": []}, {"h0-a": "x"}, {"h0-a": {"price": None}}]
)
async def test_an_answer_of_another_form_is_nobody_elses_trouble(here, caplog, items):
    """The lead is kept, and what others have answered is published: such an answer is a query that failed."""
    hotels = Hotels(hotels=2)
    app, rooms = mirror_of(here, hotels)

    async def answer(group, first, count):
        return Fetched(items)

    async with app:
        await until(lambda: price(rooms, "h1-a", day=19), 100)
        hotels.will = [answer] * 2
        await until(lambda: not hotels.will)
        hotels.prices = {(item, today()): 90 for item in ("h0-a", "h1-a")}
        await until(lambda: price(rooms), 90)
        await until(lambda: price(rooms, "h1-a"), 90)
    assert [one.getMessage() for one in caplog.records if "next try" in one.getMessage()] == []


async def test_hotels_that_are_answered_with_garbage_keep_no_other_from_its_turn(here):
    """They were never answered, and so they would come before all others, again and again."""
    hotels = Garbling(hotels=MANY)
    hotels.garbled = {f"h{number}" for number in range(1, MANY)}
    app, rooms = mirror_of(here, hotels, OFTEN)
    async with app:
        await until(lambda: price(rooms, day=19), 100)
        await until(lambda: len(hotels.asked) > 4 * MANY)
        hotels.prices["h0-a", today()] = 90
        asked = len(hotels.asked)

        async def is_known():
            return await price(rooms) == 90 or len(hotels.asked) > asked + 10 * MANY

        await until(is_known)
        assert await price(rooms) == 90


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (None, None),
        (3, 3.0),
        ("120", 120.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("", None),
        (-1, None),
        (math.nan, None),
        ("1e999", math.inf),
        ([], None),
    ],
)
def test_how_long_a_pause_is_to_be(said, seconds):
    """A number of seconds, also as a header has it; whatever is none says nothing."""
    assert SlowDown(said).after == seconds


@pytest.mark.parametrize("said", ["soon", "7"])
async def test_a_pause_as_a_header_has_it_is_kept(here, monkeypatch, said):
    """Nobody asks for as long as it says, or for a while where it says nothing; the lead is kept."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(here, hotels, RARELY)
    following, paused = rooms.following("acme"), []

    async def pause(seconds):
        paused.append(seconds)

    async def slow_down(group, first, count):
        raise SlowDown(said)

    async with app:
        await until(lambda: price(rooms, day=19), 100)
        monkeypatch.setattr(following.budget, "pause", pause)
        hotels.will = [slow_down]
        await rooms.read("acme", "h0-a", today())
        await until(lambda: paused, [7.0 if said == "7" else PAUSE])


async def test_a_catalogue_whose_groups_have_lost_their_items_is_not_believed(here):
    """Hotels without rooms are as wrong as no hotels: nothing is removed, and a person is told."""
    hotels = Hotels(hotels=9)
    app, rooms = mirror_of(here, hotels, RARELY, catalogue_every="1s")
    async with app:
        await until(lambda: price(rooms, "h8-a"), 100)
        hotels.hotels = {name: (items if name == "h0" else []) for name, items in hotels.hotels.items()}

        async def told():
            return [alarm.summary for alarm in await app.alarms.list()]

        await until(told, ["rooms/acme: 16 of 18 items have vanished from the catalogue"])
        assert await price(rooms, "h8-a") == 100


async def test_who_knows_that_most_has_vanished_lets_it_pass(here):
    """How much of a catalogue may be gone at once is the supplier's own option."""
    hotels = Hotels(hotels=9)
    app, rooms = mirror_of(here, hotels, RARELY, catalogue_every="1s", lost_share=1)
    async with app:
        await until(lambda: price(rooms, "h8-a"), 100)
        hotels.hotels = {"h0": ["h0-a"]}
        await until(lambda: price(rooms, "h8-a"), "unknown")
        assert await price(rooms, "h0-a") == 100
    with pytest.raises(DefinitionError):
        rooms.supplier("b", "60/min", lost_share=0)
