"""Demand and audits: what is wanted most is asked for more, and accuracy is measured without favour."""

from __future__ import annotations

import asyncio
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mirror.hotels import AXIS, FIELDS, RARELY, Hotels, today
from tests.mirror.test_following import mirror_of, price
from tests.mirror.test_schedule import HOUR, SECOND, checks, due, note
from tests.mirror.test_view import all_loaded
from tests.mirror.waiting import until
from tieout import App
from tieout.errors import DefinitionError, UnknownItem
from tieout.mirror import Demand, Slo, days, measuring, mirror, planning, tier, tiers
from tieout.mirror.demand import BOOKED, LANDMARK, Counting, hottest
from tieout.mirror.measuring import Asked, Measured, complaints
from tieout.mirror.schedule import Unit, Wanted

DAY = 86_400 * SECOND


def test_what_was_looked_at_fades():
    """After a half-life a look counts half as much as a new one, however far from the landmark."""
    demand = Demand(half_life="2d")
    for at in (LANDMARK, LANDMARK + 300 * DAY):
        counting = Counting(demand)
        counting.note(1, "browse")
        ((_, _, early),) = counting.take(at)
        counting.note(1, "browse")
        counting.note(1, "browse")
        ((_, _, late),) = counting.take(at + 2 * DAY)
        assert late == pytest.approx(4 * early)
        assert counting.take(at) == []


@given(st.integers(0, 700), st.integers(1, 60))
def test_shares_of_lead_times_add_up(ahead, cells):
    """The share of a window is the sum of the shares of its cells; of the first ten days it is what was measured."""
    demand = Demand()
    assert demand.share(ahead, cells) == pytest.approx(sum(demand.share(ahead + at, 1) for at in range(cells)))
    assert demand.share(0, 11) == pytest.approx(dict(BOOKED)[11])


def test_the_hottest_units():
    """Popular groups near their stay come first; so many as asked for, or that share; nobody's are never hot."""
    demand = Demand(lead_times=[(0, 0.0), (10, 0.8), (20, 1.0)])
    popularity = np.array([1.0, 5.0, 0.0])
    assert hottest(demand, popularity, 20, 10, 1).tolist() == [[False, False], [True, False], [False, False]]
    assert hottest(demand, popularity, 20, 10, 2).tolist() == [[False, False], [True, True], [False, False]]
    assert hottest(demand, popularity, 20, 10, 0.5).tolist() == [[True, False], [True, True], [False, False]]
    assert hottest(demand, popularity, 20, 10, 100).sum() == 4


def test_a_tier_of_the_hottest():
    """It asks for its hot units alone; a boosted group ticks more often, an excluded one not at all."""
    plan = tier(days(20), every="1h", hottest=1)
    checked = checks(3)
    for group in range(3):
        note(checked, group, 100, 20, 4 * HOUR)
    hot = np.zeros((3, 2), dtype=bool)
    hot[1, 1] = True
    assert due([Wanted(plan, 5 * HOUR, hot)], checked, now=5 * HOUR) == [Unit(1, 110, 10)]
    effort = np.array([1, 4, 0])
    all_of = tier(days(10), every="1h")
    at = 4 * HOUR + 20 * 60 * SECOND
    assert due([Wanted(all_of, 4 * HOUR)], checked, now=at, effort=effort) == [Unit(1, 100, 10)]
    later = due([Wanted(all_of, 5 * HOUR)], checked, now=5 * HOUR, effort=effort)
    assert later == [Unit(1, 100, 10), Unit(0, 100, 10)]


async def test_what_is_browsed_becomes_hot(url, monkeypatch):
    """A hotel that is looked at is asked for by the hot tier; another is not."""
    hotels = Hotels(hotels=3)
    policy = tiers(hot=tier(days(20), every="1s", hottest=2), full=tier(days(20), every="1d"))
    monkeypatch.setattr(planning, "DEMAND_EVERY", 0.0)
    monkeypatch.setattr(mirror, "COUNT_EVERY", 0.0)
    app, rooms = mirror_of(url, hotels, policy, browse_window="1h")
    async with app:
        await all_loaded(rooms, ["h0-a", "h1-a", "h2-b"])
        asked = len(hotels.asked)
        await rooms.verify("acme", "h1-a", today())
        await until(lambda: len(hotels.asked) > asked + 3)
        assert {group for group, _, _ in hotels.asked[asked:]} == {"h1"}


async def test_groups_are_chosen_by_persons(url):
    """An excluded hotel is not asked for until it is taken back; an order for it is still checked."""
    hotels = Hotels(hotels=2)
    app, rooms = mirror_of(url, hotels, tiers(all=tier(days(20), every="1s")))
    async with app:
        await all_loaded(rooms, ["h0-a", "h1-a", "h1-b"])
        await rooms.exclude("acme", "h0")
        assert (await rooms.status("acme")).choices == {"h0": "exclude"}

        async def is_left_alone():
            asked = len(hotels.asked)
            await asyncio.sleep(2.5)
            later = {group for group, _, _ in hotels.asked[asked:]}
            return later == {"h1"}

        await until(is_left_alone)
        hotels.prices["h0-a", today()] = 70
        assert (await rooms.verify("acme", "h0-a", today())).values["price"] == 70
        await rooms.boost("acme", "h0", "1h")
        await until(lambda: price(rooms), 70)
        await rooms.restore("acme", "h0")
        assert (await rooms.status("acme")).choices == {}
        for refused in (rooms.exclude("acme", "h9"), rooms.refresh("acme", "h9"), rooms.restore("nobody", "h0")):
            with pytest.raises(UnknownItem):
                await refused


async def test_choices_come_one_upon_the_other_and_end(url):
    """Those who choose for one hotel at a time all succeed, and the last one counts; one that is over is none."""
    app, rooms = mirror_of(url, Hotels(hotels=1), RARELY)
    async with app:
        await all_loaded(rooms, ["h0-a"])
        await asyncio.gather(*(rooms.boost("acme", "h0", "1h") for _ in range(8)))
        await rooms.exclude("acme", "h0")
        following = rooms.following("acme")
        assert (await rooms.status("acme")).choices == {"h0": "exclude"}
        assert following.has_choices
        await app.database.transact(lambda tx: tx.execute("UPDATE tieout_mirror_choice SET until = 1"))
        assert (await rooms.status("acme")).choices == {}
        assert not following.has_choices


async def test_a_refresh_is_asked_for(url):
    """A person's refresh has a hotel, or all of them, asked for before its time."""
    hotels = Hotels(hotels=2)
    app, rooms = mirror_of(url, hotels, RARELY)
    async with app:
        await all_loaded(rooms, ["h0-a", "h1-a", "h1-b"])
        hotels.prices = {(item, today()): 70 for item in ("h0-a", "h1-a")}
        await rooms.refresh("acme", "h0")
        await until(lambda: price(rooms), 70)
        assert await price(rooms, "h1-a") == 100
        await rooms.refresh("acme")
        await until(lambda: price(rooms, "h1-a"), 70)


async def test_audits_favour_nothing(here, monkeypatch):
    """Units are drawn from all of them, each as likely as every other, with a mean time between."""
    monkeypatch.setattr(planning, "FIRST_AUDIT", 0.0)
    hotels = Hotels(hotels=4)
    app = App(here, migrate=True, chance=Random(7))
    rooms = app.mirror("rooms", axis=AXIS, fields=FIELDS, policy=RARELY)
    rooms.supplier("acme", "1000000/s", audits=0.5)(hotels)
    async with app:
        await all_loaded(rooms, ["h0-a", "h1-a", "h3-b"])
        plan, copy = planning.Planning(rooms.following("acme"), Demand()), await rooms.following("acme").load()
        drawn = []
        while len(drawn) < 400:
            if unit := plan.audit(copy):
                drawn.append((unit.group, unit.first))
        counts = {unit: drawn.count(unit) for unit in set(drawn)}
        assert len(counts) == 8 and min(counts.values()) > 25 and max(counts.values()) < 80


async def test_a_first_load_is_not_audited(here, monkeypatch):
    """What was never asked for has its time before the first audit, a token each; then audits come in any case."""
    monkeypatch.setattr(planning, "FIRST_AUDIT", 0.0)
    app = App(here, sweep=False, migrate=True, chance=Random(7))
    rooms = app.mirror("rooms", axis=AXIS, fields=FIELDS, policy=RARELY)
    rooms.supplier("acme", "60/min", reserve={"order": 0.1, "browse": 0.1}, audits=0.5)(Hotels(hotels=4))
    following = rooms.following("acme")
    async with app:
        copy = await following.load()
        lease = await following.world.leases.take("test")
        await following.store_catalogue(lease, copy, await following.read_catalogue(copy, following.look))
        clock = Clock(following.world.clock.monotonic())
        following.world = following.world._replace(clock=clock)
        plan = planning.Planning(following, Demand())
        assert plan.audit(copy) is None
        clock.now += 8 * following.budget.interval("sync") / 1_000_000 - 0.1
        assert plan.audit(copy) is None
        clock.now += 0.2
        assert plan.audit(copy) is not None


class Clock:
    """A clock that is moved by hand."""

    def __init__(self, now):
        self.now = now

    def monotonic(self):
        return self.now


async def test_accuracy_is_what_audits_found(here, monkeypatch):
    """Of cells that audits compare the share that was true is told, and of a worse one than agreed an alarm."""
    monkeypatch.setattr(planning, "FIRST_AUDIT", 0.01)
    monkeypatch.setattr(measuring, "MEASURE_EVERY", 0.0)
    hotels = Hotels(hotels=2)
    app = App(here, migrate=True, chance=Random(7))
    slo = Slo(accuracy=0.999)
    rooms = app.mirror("rooms", axis=AXIS, fields=FIELDS, policy=RARELY, slo=slo)
    rooms.supplier("acme", "100000/s", audits=0.5)(hotels)
    async with app:
        await all_loaded(rooms, ["h0-a", "h1-a", "h1-b"])

        async def told():
            for item in ("h0-a", "h1-b"):
                hotels.prices[item, today()] = 100 + len(hotels.asked)
            return [alarm.kind for alarm in await app.alarms.list()]

        await until(told, ["mirror-slo"])
        status = await rooms.status("acme")
        assert 0.9 < status.measured.accuracy < 1 and status.measured.causes["audit"].queries >= 30
        assert (status.groups, status.items, status.paused) == (2, 4, False)
        assert status.measured.unknown == 0 and status.measured.ages[0] >= 0


def test_an_slo_that_is_not_kept_is_told():
    """Too few true cells in enough audits, and cells that are too old; nothing is told of what is not known."""
    measured = Measured(0.9, (1.0, 7_200.0, 9_000.0), 0.0, 0, {"audit": Asked(50, 1_000, 100)})
    assert len(complaints(measured, Slo(accuracy=0.95, age="1h"))) == 2
    assert complaints(measured, Slo(accuracy=0.85, age="3h")) == []
    assert complaints(measured, Slo()) == []
    few = Measured(0.9, None, 1.0, 0, {"audit": Asked(5, 100, 10)})
    assert complaints(few, Slo(accuracy=0.95, age="1h")) == []


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Demand(lead_times=[]),
        lambda: Demand(lead_times=[(5, 0.1), (3, 0.2)]),
        lambda: Demand(order=0),
        lambda: Demand(half_life="1s"),
        lambda: Slo(accuracy=1.5),
        lambda: tier(days(3), every="1h", hottest=-1),
    ],
)
def test_what_cannot_be_predicted(wrong):
    """Curves that fall, weights of nothing and shares above one are refused when they are made."""
    with pytest.raises(DefinitionError):
        wrong()
