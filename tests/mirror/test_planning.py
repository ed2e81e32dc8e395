"""What one supplier is asked for next: what is doubtful beside what the plan makes due."""

from __future__ import annotations

from random import Random

import pytest

from tests.mirror.hotels import AXIS, FIELDS, RARELY, Hotels
from tieout import App
from tieout.mirror import Demand
from tieout.mirror.doubts import Doubts
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
