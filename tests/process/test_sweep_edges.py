"""The sweep: what is told, and what is left alone."""

from __future__ import annotations

import asyncio

import pytest

from tests.process.place import (
    age,
    eventually,
    rest,
    standing,
)
from tests.process.shop import redeem
from tests.process.test_sweep import HOUR, A, accept, all_due
from tieout import Limits
from tieout.eventloop import LoopClock


async def test_the_loop_outlives_whatever_a_claim_raises(place, shop, monkeypatch):
    """A sweep that fails is tried again, whatever it was."""
    app, process = await standing(place, shop)
    other = await place.open(app.types["redeem"].cls, shop=shop, sweep=True, limits=Limits(sweep_every=0.01))
    claim, raised = other.engine.claiming.claim, []

    async def failing(*args):
        if len(raised) < 3:
            raised.append(1)
            raise RuntimeError("a bug")
        return await claim(*args)

    monkeypatch.setattr(other.engine.claiming, "claim", failing)
    await age(app, process, HOUR)

    async def ended():
        return (await app.get(process.id)).is_final

    await eventually(ended)


@pytest.mark.parametrize("in_flight", [1, 3])
async def test_no_more_than_the_limit_is_worked_on_at_a_time(place, shop, in_flight):
    """However much is due, a worker has at most `in_flight` processes in hand."""
    kind = redeem(timeout=5)
    app = await place.open(kind, shop=shop, limits=Limits(in_flight=in_flight, batch=100))
    await accept(app, kind, 10)
    gate, seen = asyncio.Event(), []

    async def find(send):
        seen.append(app.worker.in_flight)
        await gate.wait()
        return A

    shop.find = find
    for _ in range(5):
        await all_due(app)
        await app.worker.sweep()
        await asyncio.sleep(0.005)
    assert app.worker.in_flight == in_flight == max(seen)
    gate.set()
    await rest(app)


class Paused(LoopClock):
    """The clock of a node that stood still for a while: when it goes on, so much time has passed."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


async def test_whoever_comes_too_late_sends_nothing(place, shop):
    """A node was paused between its commit and its call: whether it was long is asked before anything is sent."""
    clock = Paused()
    kind = redeem()
    app = await place.open(kind, shop=shop, clock=clock)
    app.worker.draining = True
    process = await app.start(kind(request_id="r1", user="ann"))
    record = await app.engine.read(bytes.fromhex(process.id))
    clock.ahead = HOUR
    await app.engine.driving.at_once(record)
    assert shop.sent == []
    clock.ahead = 0.0
    await app.engine.driving.at_once(record)
    assert len(shop.sent) == 1
