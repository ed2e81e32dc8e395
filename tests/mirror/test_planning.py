"""What one supplier is asked for next: what is doubtful beside what the plan makes due."""

from __future__ import annotations

from random import Random

import pytest

from tests.mirror.hotels import AXIS, FIELDS, RARELY, Hotels
from tieout import App
from tieout.mirror import Demand
from tieout.mirror.choices import Choices
from tieout.mirror.doubts import Doubts
from tieout.mirror.measuring import Measuring, Slo
from tieout.mirror.planning import BESIDE_FIRST_LOAD, BESIDE_PLAN, Planning

HOUR = 3_600_000_000


@pytest.fixture
async def planned(tmp_path):
    """A plan and its copy, of whose first hotel everything was asked for an hour ago and is doubtful since."""
    app = App(f"sqlite:///{tmp_path}/t.db", sweep=False, migrate=True, chance=Random(7))
    rooms = app.mirror("rooms", axis=AXIS, fields=FIELDS, policy=RARELY)
    rooms.supplier("acme", "60/min")(Hotels(hotels=4))
    following = rooms.following("acme")
    async with app:
        copy = await following.load()
        lease = await following.world.leases.take("test")
        await following.store_catalogue(lease, copy, await following.read_catalogue(copy, following.look))
        copy.checks.start[0] = following.moments.earliest() - HOUR
        first = int(copy.first(following.moments.earliest(), [0])[0])
        doubts, number = Doubts(following.world.database.dialect), following.number
        await following.world.database.transact(lambda tx: doubts.add(tx, number, copy.groups[0].n, first, AXIS.count))
        following.has_doubts = True
        plan = Planning(following, Demand())
        await plan.look(copy)
        yield plan, copy


def share_of_doubts(plan, copy, left_out=frozenset()):
    firsts = [plan.units(copy, 100, left_out)[0].group for _ in range(1_000)]
    return firsts.count(0) / len(firsts)


async def test_a_first_load_goes_before_what_is_doubtful(planned):
    """As long as something was never asked for, doubtful cells have few queries, however often it is planned anew."""
    plan, copy = planned
    assert 0 < share_of_doubts(plan, copy) < 2 * BESIDE_FIRST_LOAD


async def test_what_is_asked_for_already_leaves_its_turns_to_its_like(planned):
    """Where the plan's first units are being asked for, doubtful cells do not come before those behind them."""
    plan, copy = planned
    asked = {unit for unit in plan.units(copy, 100) if unit.group in {1, 2}}
    assert len(asked) == 4
    assert 0 < share_of_doubts(plan, copy, asked) < 2 * BESIDE_FIRST_LOAD
    assert not asked & set(plan.units(copy, 100, asked))


async def test_what_is_doubtful_takes_turns_with_the_plan(planned):
    """When everything was asked for once, what is due and what is doubtful have their shares."""
    plan, copy = planned
    copy.checks.start[1:] = 1
    assert abs(share_of_doubts(plan, copy) - BESIDE_PLAN) < 0.1


async def test_suspect_cells_that_nobody_can_ask_for_are_forgotten(planned):
    """Of an item that the catalogue has no more, and of days that are over: they would stand before all others."""
    plan, copy = planned
    following, store = plan.following, plan.following.world.store
    first = int(copy.first(following.moments.earliest(), [1])[0])
    item = next(one.n for one in copy.items.values() if one.group == copy.groups[1].n)
    marks = [(12_345, first), (item, first - 1), (item, first), (item, first + 3)]
    database = following.world.database
    await database.transact(lambda tx: store.add_suspects(tx, following.number, marks, 1))
    await plan.look(copy)
    _, kept = await database.read(lambda tx: store.standing(tx, following.number))
    assert {(mark.item, mark.position) for mark in kept} == {(item, first), (item, first + 3)}


async def test_a_day_that_has_just_come_is_not_as_old_as_one_that_is_over(planned):
    """It stands where that one stood, of which it is known when it was asked for last."""
    plan, copy = planned
    now, ring = plan.following.moments.earliest(), plan.following.layout.ring
    first = int(copy.first(now, [0])[0])
    copy.checks.base[:] = first + AXIS.count - ring - 2
    copy.checks.start[:] = now - HOUR
    over = [(first + AXIS.count - ring - back) % ring for back in (1, 2)]
    copy.checks.start[:, over] = now - 1_000 * HOUR
    measured = await Measuring(plan.following, Slo()).measure(copy)
    assert measured.unknown == pytest.approx(2 / AXIS.count)
    assert max(measured.ages) < 2 * HOUR / 1_000_000


async def test_what_is_excluded_takes_no_places_from_others(planned, monkeypatch):
    """Doubts of groups that are not asked for are not among those that are looked at, however many there are."""
    plan, copy = planned
    following = plan.following
    first = int(copy.first(following.moments.earliest(), [0])[0])
    excluded, other = copy.groups[0].n, copy.groups[1].n
    item = next(one.n for one in copy.items.values() if one.group == other)
    of_excluded = [one.n for one in copy.items.values() if one.group == excluded]
    doubts, choices = Doubts(following.world.database.dialect), Choices(following.world.database.dialect)
    copy.checks.start[:] = following.moments.earliest() - HOUR

    async def doubt(tx):
        await choices.choose(tx, following.number, excluded, "exclude", None)
        since = following.moments.earliest()
        marks = [(n, first + at) for n in of_excluded for at in range(5)]
        await following.world.store.add_suspects(tx, following.number, marks, since)
        await following.world.store.add_suspects(tx, following.number, [(item, first)], since)
        for at in range(5):
            await doubts.add(tx, following.number, excluded, first + at, 1)

    await following.world.database.transact(doubt)
    later, number = copy.groups[2].n, following.number
    await following.world.database.transact(lambda tx: doubts.add(tx, number, later, first, 1))
    monkeypatch.setattr("tieout.mirror.planning.DOUBTS", 1)
    monkeypatch.setattr("tieout.mirror.planning.due_units", lambda *_, **__: [])
    await plan.look(copy)
    assert {unit.group for unit in plan.units(copy, 100)} == {1, 2}
