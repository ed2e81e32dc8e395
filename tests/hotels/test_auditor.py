"""The auditor tells right, late and wrong cells apart, on a copy that a real mirror has made."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta

import numpy as np
import pytest

from tests.mirror.waiting import until
from tieout import App, UnknownItem
from tieout.demo.hotels.auditor import GONE, SUSPECTS, Auditor, Wanted
from tieout.demo.hotels.supplier_service.inventory import Inventory, Size
from tieout.mirror import Fetched, Group, days, dictionary, flag, int16, money, shape, tier, tiers

FIELDS = {"price": money(), "stock": int16(), "open": flag(), "rules": dictionary()}
HORIZON = 60


class Direct:
    """A supplier that answers from its inventory, without a network."""

    shapes = (shape("hotel", max_days=10),)

    def __init__(self, inventory):
        self.inventory = inventory

    async def catalogue(self):
        size = self.inventory.size
        for hotel in range(size.hotels):
            rows = range(hotel * size.rooms, (hotel + 1) * size.rooms)
            yield [Group(self.inventory.hotel(hotel), [self.inventory.room(row) for row in rows])]

    async def fetch(self, group, first, count):
        rows = self.inventory.rows_of_hotel(group)
        told = self.inventory.cells(rows, self.inventory.day_index(first, count), count)
        return Fetched({room: cells(said, count) for room, said in told.items()})

    async def check(self, item, first, count):
        hotel = item.rpartition("-")[0]
        return (await self.fetch(hotel, first, count)).items[item]


def cells(said, count):
    return {"price": said["price"], "stock": said["stock"], "open": [True] * count, "rules": [said["rule"]] * count}


class Copied:
    """A copy of one supplier, loaded whole and followed no more."""

    def __init__(self, folder):
        self.file = str(folder / "copy.db")
        self.inventory = Inventory("s000", 0, Size(2, 3), seed=5)
        rooms = [self.inventory.room(row) for row in range(6)]
        self.wanted = Wanted(dict.fromkeys(rooms, 1 / 6), dict.fromkeys(rooms, "usual"), np.full(HORIZON, 1 / HORIZON))

    async def load(self):
        app = App(f"sqlite:///{self.file}")
        often = tiers(all=tier(days(HORIZON), every="1d"))
        rooms = app.mirror("rooms", axis=days(HORIZON), fields=FIELDS, policy=often)
        rooms.supplier("s000", "1000/s", concurrency=8)(Direct(self.inventory))
        last = self.inventory.first + timedelta(days=HORIZON)

        async def known():
            try:
                offers = [await rooms.read("s000", self.inventory.room(row), last, refresh=False) for row in (0, 5)]
            except UnknownItem:
                return False
            return all(offer.values is not None for offer in offers)

        async with app:
            await until(known)
            await asyncio.sleep(0)

    async def audit(self):
        auditor = Auditor(self.file, self.wanted)
        copy = (await auditor.copies())["s000"]
        assert await auditor.loaded(copy, "UTC", HORIZON) == (2 * HORIZON, 2 * HORIZON)
        stored, words = await auditor.stored(copy)
        auditor.judge(stored, words, self.truth(), "UTC")
        assert await auditor.count(GONE) == await auditor.count(SUSPECTS) == 0
        return auditor.audit

    def truth(self):
        told = self.inventory.truth()
        return told | {"changes": [list(change) for change in told["changes"]]}

    def write(self, sql):
        with closing(sqlite3.connect(self.file)) as database, database:
            assert database.execute(sql).rowcount > 0


@pytest.fixture
async def copied(tmp_path):
    made = Copied(tmp_path)
    await made.load()
    return made


async def test_a_true_copy(copied):
    """Every cell is right, closed ones too, and all the demand is served."""
    audit = await copied.audit()
    assert (audit.cells, audit.right, audit.late, audit.unknown, audit.wrong) == (360, 360, 0, 0, [])
    share = audit.shares["usual"]
    assert (share.cells, share.right) == (360, 360) and share.wanted == share.wanted_right == pytest.approx(1)


async def test_what_has_changed_since_is_late(copied):
    """Cells that were true when they were observed are late, whatever changed: price, stock, or that it is closed."""
    audit = await copied.audit()
    before = audit.right
    copied.inventory.change(0, 10, 2, factor=2.0)
    copied.inventory.change(2, 20, 3, sold=100)
    copied.inventory.change(2, 21, 1, factor=1.1)
    audit = await copied.audit()
    assert before - 5 <= audit.right < before and audit.late == before - audit.right
    assert audit.shares["usual"].wanted_right < 1


FIRST = "WHERE name = CAST('s000-h0000-r0' AS BLOB)"
OF_ANOTHER = "(SELECT cells FROM tieout_mirror_item WHERE name = CAST('s000-h0000-r1' AS BLOB))"
CLOSED = "CAST(substr(cells, 1, 12) || zeroblob(8) || substr(cells, 21) AS BLOB)"


@pytest.mark.parametrize("cells", [OF_ANOTHER, CLOSED], ids=["another room's", "all closed"])
async def test_what_was_never_true_is_wrong(copied, cells):
    """Values that no answer ever had are wrong, as are cells that were closed while they were open."""
    copied.write(f"UPDATE tieout_mirror_item SET cells = {cells} {FIRST}")
    audit = await copied.audit()
    assert len(audit.wrong) > 40 and {one.room for one in audit.wrong} == {"s000-h0000-r0"}
    assert audit.right + len(audit.wrong) == 360


async def test_what_was_true_at_another_time_is_wrong(copied):
    """A value that was true only before its observation began was put over a newer one."""
    copied.inventory.change(0, 10, 2, factor=2.0)
    copied.inventory.changes[-1] = copied.inventory.changes[-1]._replace(until=1)
    audit = await copied.audit()
    assert [one.room for one in audit.wrong] == ["s000-h0000-r0"] * len(audit.wrong) and 1 <= len(audit.wrong) <= 2


async def test_rooms_that_are_missing(copied):
    """A room that the copy has lost is counted."""
    copied.write("DELETE FROM tieout_mirror_item WHERE name = CAST('s000-h0001-r2' AS BLOB)")
    assert (await copied.audit()).missing == 1
