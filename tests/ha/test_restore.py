"""A server that was restored from an old backup: what it lacks is told, and found by the downstream's list."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from tests.ha.business import Company, Redeem, fill
from tests.ha.pairs import PAIRS
from tieout import App
from tieout.database.replication import ask
from tieout.errors import DatabaseError
from tieout.process.acknowledged import RESTART

REQUESTS = 5


@pytest.fixture(scope="module", params=[*PAIRS])
def pairs(request):
    """What makes pairs of one database."""
    made = PAIRS[request.param](lambda url: asyncio.run(fill(url)))
    yield made
    made.remove()


@pytest.fixture
def pair(pairs):
    """A primary that waits for no replica, since it is to be set back."""
    pair = pairs.make()
    pair.stop_waiting()
    yield pair
    pair.remove()


async def redeemed(app: App, number: int) -> str:
    """Redeem once, repeating the request until it is accepted."""
    while True:
        try:
            view = await app.start(Redeem(request_id=f"r{number}"), wait=30)
        except DatabaseError:
            await asyncio.sleep(0.1)
        else:
            return view.state


async def has_run(app: App) -> None:
    """Wait until the server runs for so long that another start of it can be told: some count in whole seconds."""
    started = (await ask(app.database)).started
    while time.time() - started <= RESTART + 2:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.1)


async def told(app: App) -> list[set[str]]:
    """The request keys in the evidence of each alarm of a loss."""
    shown = [await app.alarms.show(alarm.id) for alarm in await app.alarms.list(kind="possible-loss")]
    return [{one["key"] for piece in alarm.evidence for one in json.loads(piece.body)["lost"]} for alarm in shown]


async def test_a_restored_database_is_noticed(pair, pairs):
    """What was accepted since the backup is in one alarm, and missing by the company's list; repeated, it is done."""
    company = Company()
    app = App(pair.url, deps=company)
    app.register(Redeem)
    async with app:
        await has_run(app)
        await app.watch.look()
        assert {await redeemed(app, number) for number in range(REQUESTS)} == {"completed"}
        await asyncio.to_thread(pairs.restore, pair.old)
        await asyncio.to_thread(pair.stop_waiting)
        assert await redeemed(app, 0) == "completed"
        await app.watch.look()
        assert await told(app) == [{f"r{number}" for number in range(REQUESTS)}]
        missing = await app.operate.missing(list(company.issued))
        assert {company.issued[key] for key in missing} == {f"r{number}" for number in range(1, REQUESTS)}
        assert {await redeemed(app, number) for number in range(REQUESTS)} == {"completed"}
        assert len(company.issued) == REQUESTS
        assert await app.operate.missing(list(company.issued)) == []


async def test_a_server_that_was_only_started_again_has_lost_nothing(pair):
    """Nobody is told."""
    app = App(pair.url, deps=Company())
    app.register(Redeem)
    async with app:
        await has_run(app)
        await app.watch.look()
        assert await redeemed(app, 0) == "completed"
        await asyncio.to_thread(pair.old.kill)
        await asyncio.to_thread(pair.old.start)
        await asyncio.to_thread(pair.stop_waiting)
        assert await redeemed(app, 1) == "completed"
        await app.watch.look()
        assert await told(app) == []
