"""What a copy's writer forgets: groups and items that its catalogue has lost long ago, and only those."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.mirror.hotels import Hotels, today
from tests.mirror.test_publishing import Writer, mirror_of
from tieout import UnknownItem
from tieout.coordination.lease import LostLease
from tieout.mirror.demand import DemandStore
from tieout.mirror.forgetting import Forgetting
from tieout.mirror.sightings import KEEP
from tieout.mirror.store import number

TABLES = {
    "groups": "SELECT count(*) FROM tieout_mirror_group",
    "items": "SELECT count(*) FROM tieout_mirror_item",
    "demand": "SELECT count(*) FROM tieout_mirror_demand",
}


class Loses(Writer):
    """A copy's only writer, whose catalogue loses groups and has them again."""

    def __init__(self, rooms, hotels):
        super().__init__(rooms, forgets=False)
        self.hotels = hotels
        self.forgetting = Forgetting(self.following)

    async def list(self, *groups):
        """Read and store a catalogue of these groups."""
        self.hotels.hotels = {name: [f"{name}-a", f"{name}-b"] for name in groups}
        catalogue = await self.following.read_catalogue(self.copy, self.following.look)
        self.lease = await self.following.store_catalogue(self.lease, self.copy, catalogue)

    async def forget(self):
        self.lease = await self.forgetting.forget_gone(self.copy, self.lease)

    async def rows(self):
        async def read(tx):
            return {name: (await tx.fetch_one(sql))[0] for name, sql in TABLES.items()}

        return await self.following.world.database.read(read)


async def losing(rooms, hotels):
    """One whose catalogue has lost the group h1, of which items were looked at."""
    writer = await Loses(rooms, hotels).begin()
    database, copy = writer.following.world.database, writer.copy.number
    wanted = [(number(item), "order", 1.0) for item in ("h0-a", "h1-a")]
    await database.transact(lambda tx: DemandStore(database.dialect).add(tx, copy, wanted))
    await writer.list("h0", "h2")
    return writer


async def test_what_was_lost_long_ago_is_forgotten(url, monkeypatch):
    """Its rows, and what was counted of it; what comes back is new, and is asked for and stored as before."""
    hotels = Hotels()
    app, rooms = mirror_of(url, hotels)
    async with app:
        writer = await losing(rooms, hotels)
        await writer.forget()
        assert await writer.rows() == {"groups": 3, "items": 6, "demand": 2}
        monkeypatch.setattr("tieout.mirror.forgetting.GONE_FOR", -KEEP)
        await writer.forget()
        assert await writer.rows() == {"groups": 2, "items": 4, "demand": 1}
        assert not (writer.copy.gone_groups or writer.copy.gone_items)
        await writer.list("h0", "h1", "h2")
        assert await writer.rows() == {"groups": 3, "items": 6, "demand": 1}
        with pytest.raises(UnknownItem):
            await rooms.read("acme", "h3-a", today(), 1, refresh=False)
        offer = await rooms.read("acme", "h1-a", today() + timedelta(days=1), 1, refresh=False)
        assert offer.values is None


async def test_who_has_lost_the_lead_forgets_nothing(here, monkeypatch):
    """What it takes for gone the next writer may have again."""
    hotels = Hotels()
    app, rooms = mirror_of(here, hotels)
    async with app:
        writer = await losing(rooms, hotels)
        monkeypatch.setattr("tieout.mirror.forgetting.GONE_FOR", -KEEP)
        await writer.following.world.leases.release(writer.lease)
        assert await writer.following.world.leases.take("test") is not None
        with pytest.raises(LostLease):
            await writer.forget()
        assert await writer.rows() == {"groups": 3, "items": 6, "demand": 2}
        assert set(writer.copy.gone_groups) == {"h1"}


async def test_it_is_done_in_pieces_and_not_all_the_time(here, monkeypatch):
    """Few rows in one transaction, once in a while: the supplier is asked and published meanwhile."""
    hotels = Hotels()
    app, rooms = mirror_of(here, hotels)
    async with app:
        writer = await losing(rooms, hotels)
        monkeypatch.setattr("tieout.mirror.forgetting.GONE_FOR", -KEEP)
        monkeypatch.setattr("tieout.mirror.forgetting.GONE", 1)
        assert await writer.forgetting.look(writer.copy, writer.lease) is writer.lease
        left = []
        monkeypatch.setattr("tieout.mirror.forgetting.EVERY", 0.0)
        for _ in range(3):
            writer.lease = await writer.forgetting.look(writer.copy, writer.lease)
            left.append(((await writer.rows())["groups"], (await writer.rows())["items"]))
        assert left == [(2, 5), (2, 4), (2, 4)]
