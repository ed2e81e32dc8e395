"""A disk that is full: new work is refused by name, reads are served, and with room again everything goes on."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import pytest

from tests.disk.room import DATABASES
from tests.process.load import LOADED, QUICK, Honest, all_ended
from tests.process.place import Hurried, Place, rows, until
from tieout import DatabaseError, DatabaseFull

CLIENTS = 12
CREDIT = 1_000_000
"""Points that let nobody be refused for another reason."""

PATIENCE = 60
"""Seconds within which the disk is full."""

ENOUGH = 30
"""Refusals after which the disk is taken for full."""


@pytest.fixture(params=DATABASES)
def small(request, tmp_path):
    with DATABASES[request.param](tmp_path) as made:
        yield made


class Clients:
    """Clients who ask for large redemptions, each again with the same key until it is accepted."""

    def __init__(self, app):
        self.app = app
        self.asked = 0
        self.refusals: Counter[str] = Counter()
        self.accepted = []
        self.stopping = False

    async def run(self):
        while not self.stopping:
            self.asked += 1
            await self.until_accepted(f"r{self.asked}")

    async def until_accepted(self, key):
        # Letters drawn by chance: no database can make them smaller.
        request = LOADED(request_id=key, user="ann", sku=Random(key).randbytes(3_000).hex())
        while True:
            try:
                self.accepted.append(await self.app.start(request))
            except DatabaseError as error:
                self.refusals[error.code] += 1
                await asyncio.sleep(0.01)
            else:
                return


async def test_a_full_disk_refuses_new_work_and_recovers(small):
    """Under load the disk fills up; nothing accepted is lost, nothing is half done, and all of it ends once."""
    place, shop = Place(small.url), Honest()
    await place.prepare()
    app = await place.open(LOADED, shop=shop, clock=Hurried(), **QUICK)
    await rows(app, "UPDATE account SET points = points + :credit", credit=CREDIT)
    clients = Clients(app)
    running = [asyncio.create_task(clients.run()) for _ in range(CLIENTS)]
    await until(lambda: clients.accepted)
    await asyncio.to_thread(small.fill, app)
    async with asyncio.timeout(PATIENCE):
        while clients.refusals.total() < ENOUGH:  # noqa: ASYNC110 - the disk tells nobody
            await asyncio.sleep(0.01)
    clients.stopping = True
    for process in clients.accepted[:3]:
        assert (await app.get(process.id)).id == process.id
    assert await app.list()
    assert await app.alarms.list() == []
    await asyncio.to_thread(small.free, app)
    await asyncio.gather(*running)
    await rows(app, "UPDATE account SET points = points - :credit", credit=CREDIT)
    assert set(clients.refusals) == {DatabaseFull.code}
    assert len({process.id for process in clients.accepted}) == clients.asked
    await all_ended(app, clients.asked)
    assert {f"{process.id}:1" for process in clients.accepted} == set(shop.effects)
    await place.close()
