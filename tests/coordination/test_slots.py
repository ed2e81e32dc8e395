"""No more queries at a time than there are slots, whichever nodes send them."""

from __future__ import annotations

import asyncio

import pytest

from tests.coordination.test_lease import expire
from tieout.coordination.slots import SLACK, Slots
from tieout.eventloop import LoopClock
from tieout.mirror.define import Places, places

QUERY = 50.0
"""Seconds that the other side may be at work."""


def slots(database, node):
    return Slots(database, LoopClock(), node, "supplier")


async def test_of_many_as_many_take_one_as_there_are(database):
    """However many ask at the same time, and on whichever nodes; one that is given back is taken by the next."""
    nodes = [slots(database, f"node{number}") for number in range(6)]
    taken = await asyncio.gather(*(node.take((0, 1, 2), 0.0, QUERY) for node in nodes))
    assert len({slot.name for slot in taken if slot is not None}) == 3 == 6 - taken.count(None)
    first = next(at for at, slot in enumerate(taken) if slot is not None)
    await nodes[first].give_back(taken[first])
    assert (await nodes[5].take((0, 1, 2), 0.0, QUERY)).name == taken[first].name


async def test_who_has_patience_waits_for_one(database):
    """A slot that comes free within the patience is taken."""
    one, other = slots(database, "one"), slots(database, "other")
    slot = await one.take((0,), 0.0, QUERY)
    waiting = asyncio.create_task(other.take((0,), 60.0, QUERY))
    await asyncio.sleep(0)
    await one.give_back(slot)
    assert await waiting is not None


async def test_a_slot_whose_time_is_over_is_free(database):
    """What a dead node has held is taken by another one, and the dead one does not give that back."""
    dead, other = slots(database, "dead"), slots(database, "other")
    slot = await dead.take((0,), 0.0, QUERY)
    assert dead.lasts(slot, QUERY) and not dead.lasts(slot, QUERY + 2 * SLACK)
    await expire(database)
    assert await other.take((0,), 0.0, QUERY) is not None
    await dead.give_back(slot)
    assert await dead.take((0,), 0.0, QUERY) is None


async def test_a_slot_is_leased_for_no_longer_than_its_query_takes(database):
    """What a dead node held for a short query is free soon, however long others may be."""
    node = slots(database, "node")
    short, long = [await node.take((number,), 1.0, query) for number, query in enumerate((1.0, 300.0))]
    assert node.lasts(short, 1.0) and not node.lasts(short, 2.0 + SLACK)
    assert node.lasts(long, 300.0)


@pytest.mark.parametrize("concurrency", range(1, 40))
@pytest.mark.parametrize("reserve", [{}, {"order": 0.1, "browse": 0.1}, {"order": 0.6, "browse": 0.3}])
def test_the_places_are_as_many_as_agreed(concurrency, reserve):
    """Slots and the plan's own places together; each class has some, and an order check those of browsing too."""
    found = places(concurrency, reserve)
    numbers = {*found.order, *found.browse, *found.shared}
    assert len(numbers) + found.plan == concurrency
    assert numbers == set(range(len(numbers)))
    assert found.order and found.browse and set(found.browse) <= set(found.order)
    assert bool(found.plan) is not bool(found.shared)


def test_a_supplier_that_bears_four():
    """One for orders, one for browsing, two for the plan."""
    assert places(4, {"order": 0.1, "browse": 0.1}) == Places((0, 1), (1,), 2)
