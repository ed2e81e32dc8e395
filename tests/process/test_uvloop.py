"""The asynchronous App on uvloop, whose transports and timers are its own."""

from __future__ import annotations

import asyncio

import uvloop

from tests.process.place import Place
from tests.process.shop import Late, Prize, Shop, redeem
from tieout import Succeeded


def test_the_app_runs_on_uvloop(place_url):
    """Start, call, late answer, push and sweep work on uvloop, on every database."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_business(place_url))


async def _business(url: str) -> None:
    place, shop, kind = Place(url), Shop(), redeem(timeout=0.1)
    await place.prepare()
    app = await place.open(kind, shop=shop, sweep=True)
    assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")
    views = await asyncio.gather(
        *(app.start(kind(request_id=f"r{n}", user="ann"), wait=60) for n in range(20)),
    )
    assert {view.state for view in views} == {"completed"}
    late = Late(Succeeded(Prize("late")))
    shop.will("issue", late)
    view = await app.start(kind(request_id="late", user="ann"))
    await asyncio.sleep(0.2)
    late.go.set()
    assert (await app.wait(view.id, 60)).state == "completed"
    await place.close()
