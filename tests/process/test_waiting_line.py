"""More starts than places: what was just written waits for a place in memory, and not until the sweep finds it."""

from __future__ import annotations

import asyncio

import pytest

from tests.process.place import rest, until
from tests.process.shop import Prize, Shop, redeem
from tests.process.test_sweep import HOUR, accept, all_due
from tests.process.test_sweep_edges import Paused
from tieout import Limits, Succeeded, worker

FEW = Limits(in_flight=4, batch=4)


class Slow(Shop):
    """A downstream that answers when the test says so, and notes how many it was asked by at a time."""

    def __init__(self):
        super().__init__()
        self.go = asyncio.Event()
        self.at_a_time = []
        self.waiting = 0

    async def issue(self, send, **args):
        self.sent.append(send)
        self.waiting += 1
        self.at_a_time.append(self.waiting)
        await self.go.wait()
        self.waiting -= 1
        return Succeeded(Prize("A1"))


@pytest.fixture
def slow():
    return Slow()


async def crowd(app, kind, shop, count, **more):
    """So many starts at once, when the first of them have taken all places."""
    starts = [asyncio.ensure_future(app.start(kind(request_id=f"crowd{n}", user="ann"), **more)) for n in range(count)]
    await until(lambda: len(shop.sent) == FEW.in_flight)
    return starts


async def test_a_crowd_of_starts_ends_without_the_sweep(place, slow):
    """Each request of a crowd comes to its end while its caller waits, no more of them at a time than allowed."""
    kind = redeem(timeout=30)
    app = await place.open(kind, shop=slow, limits=FEW)
    starts = await crowd(app, kind, slow, 30, wait=60)
    slow.go.set()
    assert {process.state for process in await asyncio.gather(*starts)} == {"completed"}
    assert (len(slow.sent), max(slow.at_a_time)) == (30, FEW.in_flight)


async def test_the_sweep_gets_places_beside_a_crowd(place, slow):
    """A quarter of the places is not for those that wait in line: what is due in the table comes to its turn."""
    kind = redeem(timeout=60)
    app = await place.open(kind, shop=slow, limits=FEW)
    await accept(app, kind, 1)
    await all_due(app)
    await asyncio.gather(*await crowd(app, kind, slow, 12))
    one_of_them = next(iter(app.worker._running))  # noqa: SLF001 - a call that ends at a time of our choosing
    one_of_them.cancel()
    await until(lambda: app.worker.in_flight < FEW.in_flight)
    assert await app.worker.sweep() == 1
    slow.go.set()
    await rest(app)


async def test_who_waited_too_long_sends_nothing(place, slow):
    """A process that waited past its lease may be somebody else's: it is left to the sweep, and nothing is sent."""
    clock = Paused()
    kind = redeem(timeout=60)
    app = await place.open(kind, shop=slow, limits=FEW, clock=clock)
    await asyncio.gather(*await crowd(app, kind, slow, 6))
    clock.ahead = HOUR
    slow.go.set()
    await rest(app)
    assert len(slow.sent) == FEW.in_flight


async def test_a_line_that_is_too_long_is_left_to_the_sweep(place, slow, monkeypatch):
    """The line is bounded; who does not find room in it is found in the table."""
    monkeypatch.setattr(worker, "WAITING_LINE", 2)
    kind = redeem(settle=0, timeout=60)
    app = await place.open(kind, shop=slow, limits=FEW)
    starts = await crowd(app, kind, slow, 9)
    processes = await asyncio.gather(*starts)
    slow.go.set()
    await rest(app)
    assert len(slow.sent) == FEW.in_flight + 2
    await all_due(app)
    assert await app.worker.sweep() == 3
    await rest(app)
    assert {(await app.get(process.id)).state for process in processes} == {"completed"}


async def test_a_node_that_drains_begins_nothing_that_waits(place, slow):
    """Draining ends what has begun; what waits for a place is another node's."""
    kind = redeem(timeout=60)
    app = await place.open(kind, shop=slow, limits=FEW)
    await asyncio.gather(*await crowd(app, kind, slow, 9))
    draining = asyncio.ensure_future(app.worker.drain())
    await asyncio.sleep(0)
    slow.go.set()
    await draining
    assert len(slow.sent) == FEW.in_flight
