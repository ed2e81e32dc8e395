"""A node has only so many queries of its plans under way, of all suppliers together, and each supplier has its turn."""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager

import pytest

from tests.mirror.hotels import AXIS, FIELDS, RARELY, Hotels, today
from tests.mirror.waiting import until
from tieout import App, Limits
from tieout.identity import key_bytes
from tieout.mirror.asking import tokens_ahead
from tieout.mirror.leading import waits_for
from tieout.mirror.traffic import Traffic


class Busy:
    """How many queries of all suppliers are under way, and in which order they were asked."""

    def __init__(self):
        self.now = self.most = 0
        self.asked = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()


class Crowded(Hotels):
    """A supplier whose queries are counted with those of others."""

    def __init__(self, name, busy, hotels=3):
        super().__init__(hotels)
        self.name = name
        self.all = busy

    async def fetch(self, group, first, count):
        self.all.asked.append(self.name)
        self.all.now += 1
        self.all.most = max(self.all.most, self.all.now)
        try:
            await self.all.may_answer.wait()
            return await super().fetch(group, first, count)
        finally:
            self.all.now -= 1


@asynccontextmanager
async def followed(url, queries, suppliers, rate="1000/s"):
    """A mirror of these suppliers, given with how much they bear at a time, on a node of so many queries."""
    app = App(url, migrate=True, limits=Limits(queries=queries))
    rooms = app.mirror("rooms", axis=AXIS, fields=FIELDS, policy=RARELY)
    for hotels, concurrency in suppliers:
        rooms.supplier(hotels.name, rate, concurrency=concurrency)(hotels)
    async with app:
        yield app, rooms


async def is_loaded(rooms, hotels):
    """Whether the last cells of all of a supplier's hotels are known."""
    following = rooms.following(hotels.name)
    copy = await following.load()
    first = following.layout.axis.position(today())
    slots = [(first + day) % following.layout.ring for day in range(19)]
    return len(copy.groups) == len(hotels.hotels) and (copy.checks.start[:, slots] > 0).all()


async def test_never_more_than_the_node_deals_with(here):
    """However many suppliers there are, and however much they bear: no more at a time, and everything is loaded."""
    busy = Busy()
    busy.may_answer.clear()
    suppliers = [Crowded(f"s{number}", busy) for number in range(8)]
    async with followed(here, 3, [(one, 8) for one in suppliers]) as (_, rooms):
        await until(lambda: busy.now, 3)
        await asyncio.sleep(0.5)
        busy.may_answer.set()
        for one in suppliers:
            await until(lambda one=one: is_loaded(rooms, one))
    assert busy.most == 3


async def test_who_waits_for_a_place_takes_no_token(here):
    """A token does not grow old in a line: it is taken once there is a place for its query."""
    busy = Busy()
    busy.may_answer.clear()
    suppliers = [Crowded(f"s{number}", busy) for number in range(2)]
    async with followed(here, 1, [(one, 8) for one in suppliers]) as (app, rooms):
        budgets = {key_bytes(f"rooms/{one.name}/sync", "budget"): one.name for one in suppliers}

        async def taken():
            rows = await app.database.read(lambda tx: tx.fetch("SELECT name, next_at FROM tieout_budget"))
            return [budgets[name] for name, next_at in rows if name in budgets and next_at]

        await until(lambda: busy.now, 1)
        for one in suppliers:  # catalogues are read, so that both would ask
            await until(lambda one=one: rooms.following(one.name).catalogued)
        await asyncio.sleep(0.5)
        assert busy.now == 1
        assert await taken() == busy.asked
        busy.may_answer.set()
        for one in suppliers:
            await until(lambda one=one: is_loaded(rooms, one))


@pytest.mark.parametrize(
    ("interval", "planned", "pace", "count"),
    [
        (1_000_000, 64, 0.0, 1),  # one a second: the next is too far off
        (100_000, 64, 0.0, 6),
        (100_000, 2, 0.0, 3),
        (100, 64, 0.0, 65),
        (100, 64, math.inf, 1),  # a place for the first time: nobody knows when the next one comes
        (100, 64, 0.3, 1),
        (100, 64, 0.1, 3),
        (100, 1, 0.1, 2),
        (1_000_000, 64, 0.1, 1),
    ],
)
def test_only_what_is_used_in_time_is_taken_ahead(interval, planned, pace, count):
    """Tokens are taken together that the plan needs soon, and no more than there are places for while they are good."""
    assert tokens_ahead(interval, planned, pace) == count


async def test_a_lead_that_is_too_short_for_a_query_is_renewed_before_its_token(here):
    """No query, and no token, is given up because the lead would end before the answer comes."""
    busy = Busy()
    hotels = Crowded("acme", busy)
    app = App(here, migrate=True, limits=Limits(queries=1))
    rooms = app.mirror("rooms", axis=AXIS, fields=FIELDS, policy=RARELY)
    rooms.supplier("acme", "60000/min", concurrency=3)(hotels)
    leases, renewed = rooms.following("acme").world.leases, []
    renew, fetch = leases.renew, hotels.fetch

    async def renewing(lease):
        renewed.append(lease)
        return await renew(lease)

    async def fetching(*asked):
        renewed.clear()
        return await fetch(*asked)

    leases.renew, leases.may_begin, hotels.fetch = renewing, lambda *_: bool(renewed), fetching
    async with app:
        await until(lambda: is_loaded(rooms, hotels))


async def test_nobody_starves(here):
    """A supplier that bears one query at a time has its turn beside one that bears many and is never done."""
    busy = Busy()
    large, small = Crowded("large", busy, hotels=200), Crowded("small", busy, hotels=10)
    async with followed(here, 1, [(large, 64), (small, 1)]) as (_, rooms):
        await until(lambda: is_loaded(rooms, small))
        assert not await is_loaded(rooms, large)
        since = busy.asked[busy.asked.index("small") :]
        until_done = since[: len(since) - since[::-1].index("small")]
        assert until_done.count("small") == 20
        assert until_done.count("large") < 8 * 20


@pytest.mark.parametrize(
    ("took", "leads", "waits"),
    [
        (0.0, 1, 0.3),
        (0.1, 1, 1.0),
        (9.0, 1, 5.0),
        (0.0, 20, 1.0),
        (0.1, 200, 10.0),
        (0.0, 9_000, 20.0),
    ],
)
def test_answers_wait_for_others_where_many_suppliers_are_led(took, leads, waits):
    """What is published of all suppliers together is so much a second at most, however little each of them says."""
    assert waits_for(took, leads) == waits


async def test_a_node_knows_how_many_suppliers_it_leads(here):
    """Each counts while it is led, and no longer."""
    app = App(here, sweep=False, migrate=True)
    rooms = app.mirror("rooms", axis=AXIS, fields=FIELDS, policy=RARELY)
    for number in range(3):
        rooms.supplier(f"s{number}", "1000/s")(Hotels())
    async with app:
        traffic = Traffic(app.database, rooms.following("s0").world.clock, 3)
        rooms.follow(traffic)
        await until(lambda: traffic.leads, 3)
    assert traffic.leads == 0
