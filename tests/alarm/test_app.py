"""An App that is told routes tells of alarms while it is open, if it sweeps."""

from __future__ import annotations

import asyncio
import time

import pytest

import tieout
from tests.alarm.receivers import KEY, LOOPBACK, Hooks
from tieout.alarm.rules import NewAlarm
from tieout.blocking import App as BlockingApp


@pytest.fixture
async def hooks():
    server = Hooks()
    await server.start()
    yield server
    await server.stop()


def settings(hooks):
    route = tieout.Route(to="webhook", url=hooks.url("hook"), secret=KEY, networks=LOOPBACK)
    return tieout.AlarmSettings(routes={"team": route}, second_person=())


async def test_an_app_tells_of_alarms_while_it_is_open(hooks, tmp_path):
    """What was raised without it too; an App that does not sweep tells nothing, and leaves it to the others."""
    url = f"sqlite:///{tmp_path}/shop.db"
    alarm = NewAlarm("conflict", "p-1:1", "two claims")
    async with tieout.App(url, sweep=False, alarm_settings=settings(hooks)) as app:
        await app.database.transact(lambda tx: app.alarms.store.raise_alarm(tx, alarm))
        assert (await app.alarms.resolve(alarm.id, "accepted", actor="ann", reason="alone")).state == "resolved"
    assert hooks.requests == 0
    app = tieout.App(url, alarm_settings=settings(hooks))
    for _ in range(2):
        async with app:
            ends = time.monotonic() + 60
            while len(hooks.taken) < 2:
                assert time.monotonic() < ends, "waited too long"
                await asyncio.sleep(0.02)
    assert [body["data"]["happening"] for _, body in hooks.taken] == ["opened", "resolved"]


async def test_a_route_that_cannot_work_keeps_an_app_closed(tmp_path):
    """It is told when the App is opened, and not when the first alarm should have left."""
    route = tieout.Route(to="slack", url="http://hooks.example/x")
    with pytest.raises(tieout.ConfigError, match="https"):
        await tieout.App(
            f"sqlite:///{tmp_path}/shop.db", alarm_settings=tieout.AlarmSettings(routes={"a": route})
        ).__aenter__()


def test_an_app_without_an_event_loop_has_no_routes(hooks, tmp_path):
    """A worker that is given some for it says so when it begins; alarms are told by nodes that have a loop."""
    app = BlockingApp(f"sqlite:///{tmp_path}/shop.db")
    app.core.alarm_settings = settings(hooks)
    with pytest.raises(tieout.ConfigError, match="event loop"), app:
        pass
