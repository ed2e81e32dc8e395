"""Catalogues are read while their supplier is asked on, and what a node writes it writes of few suppliers at a time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from tests.mirror.hotels import AXIS, FIELDS, OFTEN, RARELY, Hotels, today
from tests.mirror.test_following import mirror_of, price
from tests.mirror.test_publishing import mirror_of as copy_of
from tests.mirror.test_traffic import Busy, Crowded, is_loaded
from tests.mirror.waiting import until
from tieout import App
from tieout.errors import DatabaseUnavailable
from tieout.mirror.catalogues import Step, together
from tieout.mirror.observed import Observed, encode
from tieout.mirror.traffic import WRITERS


class Listed(Hotels):
    """A supplier whose catalogue can be kept waiting."""

    def __init__(self, hotels=3):
        super().__init__(hotels)
        self.may_list = asyncio.Event()
        self.may_list.set()
        self.listed = 0
        self.is_listing = False

    async def catalogue(self):
        self.busy += 1
        self.is_listing = True
        try:
            await self.may_list.wait()
        finally:
            self.busy -= 1
            self.is_listing = False
        async for page in super().catalogue():
            yield page
        self.listed += 1


async def test_a_supplier_is_asked_while_its_catalogue_is_read(here):
    """However long a catalogue takes, what is due is asked for meanwhile; the two share the plan's places."""
    hotels = Listed()
    app, rooms = mirror_of(here, hotels, OFTEN, concurrency=4, catalogue_every="1s")
    async with app:
        await until(lambda: price(rooms, "h2-b", 19), 100)
        hotels.may_list.clear()
        await until(lambda: hotels.is_listing)
        asked = len(hotels.asked)
        await until(lambda: len(hotels.asked) >= asked + 12)
        assert hotels.is_listing and hotels.most_busy == rooms.following("acme").terms.places.plan
        hotels.may_list.set()


async def test_a_catalogue_that_takes_long_holds_nobody_up_who_ends(here):
    """It is given up after the time of a query, and the supplier is free for the next node at once."""
    hotels = Listed(hotels=1)
    app, _ = mirror_of(here, hotels, RARELY, timeout="100ms")
    other, rooms_of_other = mirror_of(here, Hotels(hotels=1), RARELY)
    async with other:
        leases = rooms_of_other.following("acme").world.leases
        await rooms_of_other.close()
        async with app:
            hotels.may_list.clear()
            await until(lambda: hotels.is_listing)
        assert not hotels.is_listing
        assert await leases.take("mirror/rooms/acme") is not None


@pytest.mark.parametrize("items", ["h0-a", None, [1]])
async def test_a_group_without_a_list_of_items_is_no_group(here, caplog, items):
    """A text is no list of its letters: such a catalogue is not used, and it is read again."""
    hotels = Hotels(hotels=1)
    hotels.hotels["h1"] = items
    app, rooms = mirror_of(here, hotels, RARELY)
    async with app:
        await until(lambda: [one for one in caplog.records if "the catalogue is not used" in one.getMessage()])
        assert await price(rooms) == "unknown"
        hotels.hotels["h1"] = ["h1-a"]
        await until(lambda: price(rooms, "h1-a"), 100)


async def test_a_catalogue_of_a_supplier_with_one_place_has_it_alone(here):
    """Where the plan has one place, nothing is asked while the catalogue is read."""
    hotels = Listed()
    app, rooms = mirror_of(here, hotels, OFTEN, concurrency=3, catalogue_every="1s")
    async with app:
        await until(lambda: price(rooms, "h2-b", 19), 100)
        for _ in range(3):
            listed = hotels.listed
            await until(lambda listed=listed: hotels.listed > listed)
        assert hotels.most_busy == rooms.following("acme").terms.places.plan == 1


async def test_a_first_catalogue_is_asked_about_before_it_is_stored(here, monkeypatch):
    """What it has is asked for at once; nothing of the answers, or of what others have left, is stored before it."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(here, hotels, RARELY)
    following = rooms.following("acme")
    monkeypatch.setattr("tieout.mirror.traffic.WRITERS", 0)
    async with app:
        await until(lambda: len(hotels.asked), 2)
        store, database = following.world.store, following.world.database
        of_room = {"price": [90], "stock": [3], "open": [True], "rules": ["none"]}
        base, at = following.layout.axis.position(today()), following.moments.latest() + 1_000
        left = Observed("h0", base, 1, at, at + 1, {"h0-a": of_room}, "order", complete=False, whole=False)
        await database.transact(lambda tx: store.post(tx, following.number, b"m1", encode(left)))
        looks, look = [], following.look
        following.look = lambda *arguments: looks.append(1) or look(*arguments)
        await until(lambda: len(looks) > 2)
        assert await price(rooms) == "unknown" and len(hotels.asked) == 2
        assert await database.read(lambda tx: store.posted(tx, following.number, 10))
        monkeypatch.undo()
        await until(lambda: price(rooms), 90)
        await until(lambda: price(rooms, "h0-b", 19), 100)
        assert len(hotels.asked) == 2


async def test_a_first_catalogue_that_could_not_be_stored_is_read_again(here):
    """What was answered meanwhile waits for it, as it does for a database that is away."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(here, hotels, RARELY)
    cataloguer = rooms.following("acme").cataloguer
    store = cataloguer.store

    async def failing(*_):
        cataloguer.store = store
        await until(lambda: len(hotels.asked), 2)
        raise DatabaseUnavailable("gone")

    cataloguer.store = failing
    async with app:
        await until(lambda: price(rooms, "h0-b", 19), 100)
        assert len(hotels.asked) == 2


async def test_a_first_catalogue_is_stored_before_a_node_ends(here, monkeypatch):
    """Whoever is told to stop stores it with what was answered about it."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(here, hotels, RARELY)
    monkeypatch.setattr("tieout.mirror.traffic.WRITERS", 0)
    async with app:
        await until(lambda: len(hotels.asked) == 2 and not hotels.busy)
        assert await price(rooms) == "unknown"
    reading, rooms = copy_of(here, Hotels(hotels=1))
    async with reading:
        assert await price(rooms) == await price(rooms, "h0-b", 19) == 100


@asynccontextmanager
async def hanging(here):
    """A loaded mirror whose supplier has begun to answer and does not go on; what was stored of catalogues since."""
    hotels, may_answer, stored = Listed(), asyncio.Event(), []
    app, rooms = mirror_of(here, hotels, OFTEN, concurrency=6, catalogue_every="1s")
    cataloguer = rooms.following("acme").cataloguer
    store, answer = cataloguer.store, hotels.answer

    async def storing(lease, copy, changes):
        stored.append((bool(changes), hotels.busy))
        return await store(lease, copy, changes)

    async def slowly(group, first, count):
        await may_answer.wait()
        return answer(group, first, count)

    async with app:
        await until(lambda: price(rooms, "h2-b", 19), 100)
        cataloguer.store, hotels.will = storing, [slowly]
        await until(lambda: hotels.busy)
        stored.clear()
        yield hotels, rooms, stored, may_answer
        may_answer.set()


async def test_other_groups_are_stored_while_nothing_is_asked(here):
    """A catalogue that brings something waits until all queries have ended: the copy's groups are others behind it."""
    async with hanging(here) as (hotels, rooms, stored, may_answer):
        hotels.may_list.clear()
        await until(lambda: hotels.is_listing)
        listed, hotels.hotels["h3"] = hotels.listed, ["h3-a"]
        hotels.may_list.set()
        await until(lambda: hotels.listed > listed)
        looks, following = [], rooms.following("acme")
        look = following.look
        following.look = lambda *arguments: looks.append(1) or look(*arguments)
        await until(lambda: len(looks) > 2)  # a second apart: what else was to be written is written
        assert not any(brings for brings, _ in stored)
        may_answer.set()
        await until(lambda: price(rooms, "h3-a", 19), 100)
        assert [busy for brings, busy in stored if brings] == [0]


async def test_a_catalogue_that_brings_nothing_waits_for_nobody(here):
    """That it was read is noted while queries are under way, and nothing is kept from asking."""
    async with hanging(here) as (_, _, stored, _):
        await until(lambda: len(stored) > 1)
        assert all(not brings and busy for brings, busy in stored)


def test_catalogues_come_apart(monkeypatch):
    """Suppliers whose catalogues were read together read them again at times of their own, up to a tenth early."""
    app = App("sqlite://")
    rooms = app.mirror("rooms", axis=AXIS, fields=FIELDS, policy=RARELY)
    read_at = 1_000 * 1_000_000
    due = []
    for number in range(40):
        rooms.supplier(f"s{number}", "60/min", catalogue_every="100s")(Hotels())
        following = rooms.following(f"s{number}")
        following.catalogued = read_at

        def is_due(seconds, following=following):
            monkeypatch.setattr(following.moments, "earliest", lambda: read_at + seconds * 1_000_000)
            return following.is_catalogue_due()

        due.append(next(seconds for seconds in range(200) if is_due(seconds)))
    assert min(due) >= 90 and max(due) <= 100
    assert max(map(due.count, due)) <= 12


@pytest.mark.parametrize(
    ("rows", "done"),
    [
        ([0], [[0]]),
        ([150, 1_350, 0], [[150, 1_350, 0]]),
        ([150, 1_500, 20, 0], [[150], [1_500], [20, 0]]),
        ([1_500, 1_500, 1, 0], [[1_500], [1_500], [1, 0]]),
    ],
)
def test_small_steps_of_a_catalogue_are_one_transaction(rows, done):
    """What a catalogue changes is stored in its order, so many rows at a time as nobody waits for."""
    assert [[step.rows for step in some] for some in together(Step(count, None) for count in rows)] == done


async def test_a_node_writes_few_suppliers_at_a_time(here):
    """However many suppliers have answers to be stored, a few are written at a time, and all in the end."""
    app = App(here, migrate=True)
    rooms = app.mirror("rooms", axis=AXIS, fields=FIELDS, policy=RARELY)
    suppliers = {f"s{number}": Crowded(f"s{number}", Busy()) for number in range(3 * WRITERS)}
    writing, most, may_write = set(), [], asyncio.Event()

    def watched(name, write):
        async def watching(*arguments):
            writing.add(name)
            most.append(len(writing))
            try:
                await may_write.wait()
                return await write(*arguments)
            finally:
                writing.discard(name)

        return watching

    for name, supplier in suppliers.items():
        rooms.supplier(name, "1000/s")(supplier)
        following = rooms.following(name)
        following.store_catalogue = watched(name, following.store_catalogue)
        following.publish = watched(name, following.publish)
    async with app:
        await until(lambda: len(writing), WRITERS)
        may_write.set()
        for supplier in suppliers.values():
            await until(lambda supplier=supplier: is_loaded(rooms, supplier))
    assert max(most) == WRITERS


async def test_what_is_given_up_may_be_on_its_way_still(here, monkeypatch):
    """Where a lead ends while the supplier is being asked, the next node may ask only once that has arrived."""
    hotels, seen = Listed(hotels=1), []
    hotels.may_list.clear()
    app, rooms = mirror_of(here, hotels, RARELY)
    async with app:
        following = rooms.following("acme")
        world = following.world
        release = world.leases.release
        await until(lambda: hotels.is_listing)

        async def fails(*_):
            raise DatabaseUnavailable("gone")

        async def sleeps(seconds):
            seen.append((seconds, hotels.is_listing))
            await asyncio.sleep(0)

        async def releases(lease):
            seen.append("released")
            await release(lease)

        monkeypatch.setattr(world.clock, "sleep", sleeps)
        monkeypatch.setattr(world.leases, "release", releases)
        monkeypatch.setattr(following, "look", fails)
        await until(lambda: "released" in seen)
        assert seen[: seen.index("released")][-1] == (following.longest_way, False)
