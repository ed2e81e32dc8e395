"""The log of observations: those in which nothing has changed stand many in a row, and tell what each alone would."""

from __future__ import annotations

from random import Random

import numpy as np

from tests.mirror.cells import HOTEL
from tests.mirror.hotels import Hotels, today
from tests.mirror.test_publishing import Writer, mirror_of
from tieout.mirror.calendar import LONGEST_TOOK, Checks
from tieout.mirror.columns import Columns
from tieout.mirror.define import terms
from tieout.mirror.measuring import Asked, Measures
from tieout.mirror.observed import Observed
from tieout.mirror.sightings import CATALOGUE, MANY, TOGETHER, Sighted, each_of, together
from tieout.mirror.store import GroupRow

UNCHANGED = Sighted(0, 7, 20_000, 10, "sync", 1_000_000, 5, True, 20, 0, b"")


def sighted(**fields):
    return UNCHANGED._replace(**fields)


def observed(group, first, at, cause):
    of_room = {"price": [100] * 10, "stock": [3] * 10, "open": [True] * 10, "rules": ["none"] * 10}
    items = {f"{group}-{room}": of_room for room in "ab"}
    return Observed(group, first, 10, at, at + 1, items, cause, complete=True, whole=True)


def test_what_is_as_it_was_stands_together():
    """Sightings of each cause, at most so many in a row; whatever tells more than that has a row of its own."""
    news = [
        sighted(changed=1, days=b"x"),
        sighted(whole=False),
        sighted(cause=CATALOGUE, group=-1),
        sighted(took=LONGEST_TOOK + 1),
    ]
    audits = [sighted(group=n, cause="audit", start=n) for n in range(3)]
    syncs = [sighted(group=n, first=n, cells=n % 60, known=2 * n) for n in range(TOGETHER + 2)]
    rows = together([*syncs, *news, *audits, sighted(cause="order")])
    assert [row.group == MANY for row in rows] == [False] * 4 + [True] * 3 + [False]
    assert rows[:4] == news and rows[-1] == sighted(cause="order")
    assert [one for row in rows[4:6] for one in each_of(row)] == syncs
    assert list(each_of(rows[6])) == audits and rows[6].known == 60
    assert together(rows) == rows


def test_a_view_sees_many_as_each_of_them():
    """Each group is as young as its latest check, in whatever order and however often it stands in the row."""
    chance = Random(1)
    groups = [
        GroupRow(n, f"h{n}", None, None, Checks.empty(1, HOTEL.ring, 20_000).pack()[0], None) for n in range(0, 40, 2)
    ]
    seen = [
        sighted(group=chance.randrange(42), first=20_000 + 10 * chance.randrange(4), start=chance.randrange(1_000_000))
        for _ in range(400)
    ]
    many, single = (Columns(HOTEL, terms("acme", "60/min"), groups, 0) for _ in range(2))
    (row,) = together(seen)
    many.see(row)
    for one in seen:
        single.see(one)
    assert (many.checks.start == single.checks.start).all()
    assert len(np.unique(many.checks.start)) > 40


async def test_the_log_counts_each_of_many(url):
    """Queries, and the cells that they knew, are counted alike; rows are numbered without gaps."""
    app, rooms = mirror_of(url, Hotels(hotels=3))
    async with app:
        writer = await Writer(rooms, forgets=False).begin()
        following, now = writer.following, writer.following.moments.earliest()
        base = following.layout.axis.position(today())
        for step, cause in enumerate(("sync", "sync", "audit")):
            at = now + step * 1_000_000
            await writer.publish([observed(name, base, at, cause) for name in ("h0", "h1", "h2")])

        async def read(tx):
            number = following.number
            log = await following.sightings.after(tx, number, 0, 100)
            return await Measures(tx.dialect).causes(tx, number), log, await following.sightings.head(tx, number)

        causes, log, head = await following.world.database.read(read)
        assert causes["sync"] == Asked(6, 60, 60) and causes["audit"] == Asked(3, 60, 0)
        assert [row.seq for row in log] == list(range(1, head + 1))
        assert [row.group == MANY for row in log] == [False] * 4 + [True] * 2
