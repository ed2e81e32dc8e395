"""What is published again: an answer that says the same does exactly what comparing its cells would do."""

from __future__ import annotations

import asyncio
import re
from random import Random

import pytest

from tests.mirror.hotels import AXIS, FIELDS, RARELY, Hotels, today
from tieout import App
from tieout.database import connect, load
from tieout.errors import SchemaMismatch
from tieout.mirror.ahead import Line
from tieout.mirror.calendar import RUN
from tieout.mirror.observed import Observed
from tieout.mirror.sightings import each_of

PRICES = (100, 100, 100, 100, 90)
SECOND = 1_000_000


class Writer:
    """A copy's only writer, which knows what was said before and what is blank, or forgets it each time."""

    def __init__(self, rooms, *, forgets):
        self.following = rooms.following("acme")
        self.forgets = forgets

    async def begin(self):
        lease = await self.following.world.leases.take("test")
        self.copy = await self.following.load()
        catalogue = await self.following.read_catalogue(self.copy, self.following.look)
        self.lease = await self.following.store_catalogue(lease, self.copy, catalogue)
        return self

    async def publish(self, observed):
        if self.forgets:
            self.copy.digests.clear()
            self.copy.blank.clear()
        published = await self.following.publish(self.lease, self.copy, observed)
        self.lease = published.lease
        return published[:3]

    async def stored(self):
        """Everything that readers see: rows, check times, suspects and the feed."""
        following, store = self.following, self.following.world.store
        layout, number = following.layout, following.number

        async def read(tx):
            groups = await store.groups(tx, number)
            rows = await store.cells_of(tx, number, [group.n for group in groups])
            marks = {mark[:2] for mark in (await store.standing(tx, number))[1]}
            seen = await following.sightings.after(tx, number, 1, 10_000)
            return groups, rows, marks, [one[1:-1] for row in seen for one in each_of(row)]

        groups, rows, marks, seen = await following.world.database.read(read)
        cells = layout.unpack([row for *_, row in rows])
        known = {name: (column * cells.known).tolist() for name, column in cells.values.items()}
        return [group.checks for group in groups], known, cells.start.tolist(), marks, sorted(seen, key=repr)


class LaidOut(Line):
    """A publication of which the portion that comes next is always laid out."""

    async def next(self):
        now = await super().next()
        await asyncio.wait([self._begun[0]])
        return now


def mirror_of(url, hotels):
    """An App with a mirror that follows nobody by itself."""
    app = App(url, sweep=False, migrate=True)
    rooms = app.mirror("rooms", axis=AXIS, fields=FIELDS, policy=RARELY)
    rooms.supplier("acme", "1000/s")(hotels)
    return app, rooms


def observation(chance, hotels, now):
    """What a supplier may be heard to say: of some days, of all rooms or one, completely or not, lately or long ago."""
    group = chance.choice(list(hotels.hotels))
    first, count = chance.choice([(0, 10), (0, 20), (10, 10), (5, 10)])
    price = chance.choice(PRICES)
    items = {
        item: {"price": [price] * count, "stock": [3] * count, "open": [True] * count, "rules": ["none"] * count}
        for item in hotels.hotels[group]
    }
    whole = chance.random() < 0.85
    if not whole or chance.random() < 0.1:
        items.pop(next(iter(items)))
    start = now - chance.choice([0, 0, 0, 1, 5]) * SECOND
    took = chance.choice([1_000, 3 * SECOND])
    complete = chance.random() < 0.9
    return group, first, count, start, start + took, items, "sync" if whole else "order", complete, whole


@pytest.mark.parametrize("seed", range(6))
async def test_what_was_said_before_is_as_if_it_were_compared(tmp_path, seed):
    """Rows, check times, suspect cells and the feed are the same, whether answers are known by digest or compared."""
    chance, hotels = Random(seed), Hotels(hotels=2)
    apps = [mirror_of(f"sqlite:///{tmp_path}/{name}.db", hotels) for name in ("knows", "forgets")]
    confirmed = 0
    async with apps[0][0], apps[1][0]:
        knows, forgets = [await Writer(rooms, forgets=at == 1).begin() for at, (_, rooms) in enumerate(apps)]
        base = knows.following.layout.axis.position(today())
        now = knows.following.moments.earliest()
        for step in range(60):
            told = [observation(chance, hotels, now + step * SECOND) for _ in range(chance.randrange(1, 5))]
            observed = [Observed(group, base + first, *rest) for group, first, *rest in told]
            confirmed += sum(knows.copy.digests.look_up(one.group, [one])[1] for one in observed)
            assert await knows.publish(observed) == await forgets.publish(observed)
            assert await knows.stored() == await forgets.stored()
    assert confirmed


@pytest.mark.parametrize("seed", range(3))
async def test_many_portions_are_as_one(tmp_path, monkeypatch, seed):
    """What is read while the portion before is stored is stored as if all had been one transaction."""
    chance, hotels = Random(seed), Hotels(hotels=6)
    apps = [mirror_of(f"sqlite:///{tmp_path}/{name}.db", hotels) for name in ("one", "many")]
    async with apps[0][0], apps[1][0]:
        one, many = [await Writer(rooms, forgets=False).begin() for _, rooms in apps]
        base = one.following.layout.axis.position(today())
        now = one.following.moments.earliest()
        for step in range(30):
            told = [observation(chance, hotels, now + step * SECOND) for _ in range(chance.randrange(1, 12))]
            observed = [Observed(group, base + first, *rest) for group, first, *rest in told]
            with monkeypatch.context() as patch:
                patch.setattr("tieout.mirror.ahead.ITEMS", 2)
                patch.setattr("tieout.mirror.ahead.PIECE", 1)
                patch.setattr("tieout.mirror.ahead.DIGESTED", 1)
                in_many = await many.publish(observed)
            assert await one.publish(observed) == in_many
            stored, stored_in_many = await one.stored(), await many.stored()
            # Until when a cell stays suspect is told by the latest observation of its transaction.
            assert stored[:3] + stored[4:] == stored_in_many[:3] + stored_in_many[4:]


def answering(writer):
    """Complete answers of ten days of a hotel's two rooms, at one price, so many seconds from now."""
    base, now = writer.following.layout.axis.position(today()), writer.following.moments.earliest()

    def answer(group, price, at):
        rows = {"price": [price] * 10, "stock": [3] * 10, "open": [True] * 10, "rules": ["a"] * 10}
        items = {f"{group}-{room}": rows for room in "ab"}
        moment = now + at * SECOND
        return Observed(group, base, 10, moment, moment + 1, items, "sync", complete=True, whole=True)

    return answer


async def test_rows_that_were_just_added_are_not_read(here, monkeypatch):
    """Nothing is in them until something is written, and they are read from then on: also where writing has failed."""
    app, rooms = mirror_of(here, Hotels(hotels=3))
    async with app:
        writer = await Writer(rooms, forgets=False).begin()
        answer = answering(writer)
        store, reads = writer.following.world.store, []
        cells_of, write_cells = store.cells_of, store.write_cells

        async def reading(tx, copy, groups):
            reads.append(len(groups))
            return await cells_of(tx, copy, groups)

        async def failing(tx, copy, rows):
            await write_cells(tx, copy, rows)
            raise ConnectionResetError

        monkeypatch.setattr(store, "cells_of", reading)
        assert await writer.publish([answer("h0", 100, 1), answer("h1", 100, 1)]) == (40, 40, 0)
        assert reads == []
        monkeypatch.setattr(store, "write_cells", failing)
        with pytest.raises(ConnectionResetError):
            await writer.publish([answer("h2", 100, 2)])
        monkeypatch.setattr(store, "write_cells", write_cells)
        assert await writer.publish([answer("h2", 100, 3)]) == (20, 20, 0)
        assert await writer.publish([answer("h0", 90, 4), answer("h1", 100, 4)]) == (40, 20, 0)
        assert reads == [1, 1]


def failing_once(write_cells, at):
    """Writing of rows that fails when it is done so often; and how many rows were written each time."""
    writes = []

    async def write(tx, copy, rows):
        await write_cells(tx, copy, rows)
        writes.append(len(rows))
        if len(writes) == at:
            raise ConnectionResetError

    return writes, write


async def test_what_was_merged_ahead_and_not_stored_is_merged_again(here, monkeypatch):
    """Where a transaction fails, what was merged for those after it is as if nobody had looked at it."""
    app, rooms = mirror_of(here, Hotels(hotels=4))
    async with app:
        writer = await Writer(rooms, forgets=False).begin()
        answer = answering(writer)
        store = writer.following.world.store
        writes, write = failing_once(store.write_cells, 2)
        groups = ("h0", "h1", "h2", "h3")
        monkeypatch.setattr("tieout.mirror.ahead.ITEMS", 2)
        monkeypatch.setattr(store, "write_cells", write)
        with pytest.raises(ConnectionResetError):
            await writer.publish([answer(group, 100, 1) for group in groups])
        assert await writer.publish([answer(group, 100, 2) for group in groups]) == (80, 60, 0)
        assert writes == [2, 2, 2, 2, 2]
        checks, known, *_ = await writer.stored()
        assert [sum(prices) for prices in known["price"]] == [1_000] * 8
        assert len({check[-RUN.itemsize :] for check in checks}) == 1


async def test_rows_of_what_comes_next_are_read_meanwhile(tmp_path):
    """A portion that is laid out is merged when its rows were read; where that fails they are to be read once more."""
    app, rooms = mirror_of(f"sqlite:///{tmp_path}/rooms.db", Hotels(hotels=2))
    async with app:
        writer = await Writer(rooms, forgets=False).begin()
        answer, following = answering(writer), writer.following
        await writer.publish([answer("h0", 100, 1), answer("h1", 100, 1)])
        line = Line(writer.copy, [answer("h0", 90, 2), answer("h1", 90, 2)])
        now = await line.next()
        numbers = [group.n for group in writer.copy.groups]
        assert now.outcome is None and now.to_read == sorted(numbers) and now.is_last
        found = await following.world.database.read(
            lambda tx: following.world.store.cells_of(tx, following.number, now.to_read)
        )
        wrong = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context["exception"]))
        now.merge_soon([(*row[:2], b"of another mirror") for row in found])
        await asyncio.sleep(0)
        assert [type(error) for error in wrong] == [SchemaMismatch]
        assert now.outcome is None and now.to_read == sorted(numbers)
        now.merge_soon(found)
        assert now.outcome is None
        await asyncio.sleep(0)
        assert (len(now.outcome.rows), now.to_read) == (4, [])
        assert await line.next() is None
        await line.close()


async def test_messages_go_with_the_last_portion(here, monkeypatch):
    """While anything of a publication may still fail, what was left in the inbox stays there."""
    app, rooms = mirror_of(here, Hotels(hotels=4))
    async with app:
        writer = await Writer(rooms, forgets=False).begin()
        following, answer = writer.following, answering(writer)
        store, database = following.world.store, following.world.database
        writes, write = failing_once(store.write_cells, 4)

        async def publish():
            observed = [answer(group, 100 - len(writes), 1 + len(writes)) for group in ("h0", "h1", "h2", "h3")]
            await following.publisher.publish(writer.lease, writer.copy, observed, [b"m"])

        monkeypatch.setattr("tieout.mirror.ahead.ITEMS", 2)
        monkeypatch.setattr(store, "write_cells", write)
        await database.transact(lambda tx: store.post(tx, following.number, b"m", b""))
        with pytest.raises(ConnectionResetError):
            await publish()
        assert len(await database.read(lambda tx: store.posted(tx, following.number, 9))) == 1
        await publish()
        assert not await database.read(lambda tx: store.posted(tx, following.number, 9))


async def test_rows_are_read_in_the_transaction_before(here, monkeypatch):
    """That of a portion that is laid out in time; where its own transaction fails then, it is read and merged again."""
    app, rooms = mirror_of(here, Hotels(hotels=4))
    async with app:
        writer = await Writer(rooms, forgets=False).begin()
        answer, groups = answering(writer), ("h0", "h1", "h2", "h3")
        store, done = writer.following.world.store, []
        cells_of, write_cells = store.cells_of, store.write_cells
        await writer.publish([answer(group, 100, 1) for group in groups])

        async def reading(tx, copy, numbers):
            done.append("read")
            return await cells_of(tx, copy, numbers)

        async def failing_once(tx, copy, rows):
            done.append("write")
            await write_cells(tx, copy, rows)
            if done.count("write") == 3:
                raise ConnectionResetError

        monkeypatch.setattr("tieout.mirror.ahead.ITEMS", 2)
        monkeypatch.setattr("tieout.mirror.publishing.Line", LaidOut)
        monkeypatch.setattr(store, "cells_of", reading)
        monkeypatch.setattr(store, "write_cells", failing_once)
        with pytest.raises(ConnectionResetError):
            await writer.publish([answer(group, 90, 2) for group in groups])
        assert done == ["read", "read", "write", "read", "write", "read", "write"]
        assert await writer.publish([answer(group, 80, 3) for group in groups]) == (80, 80, 0)
        _, known, *_ = await writer.stored()
        assert [sum(prices) for prices in known["price"]] == [800] * 8


@pytest.mark.parametrize("name", ["cells_of_groups", "write_cells", "write_checks"])
def test_many_rows_are_found_by_their_numbers(servers, name):
    """PostgreSQL reads and writes a transaction's rows without going through all of a copy that is not much larger."""
    database, statement = connect(servers.migrated("postgres")), getattr(load("tieout.mirror", "postgres"), name)
    numbers, rows = f"'{{{','.join(map(str, range(1_500)))}}}'", "array_fill(''::bytea, '{1500}')"
    values = {"copy": "1", "grp": numbers, "n": numbers, "groups": numbers, "cells": rows, "checks": rows}
    text = re.sub(r"\$(\d+)", lambda mark: values[statement.params[int(mark[1]) - 1]], statement.text)

    async def plan_of(tx):
        await tx.execute(
            "INSERT INTO tieout_mirror_item (copy, grp, n, name, cells)"
            " SELECT 1, n, n, int8send(n), decode(repeat('00', 592), 'hex') FROM generate_series(1::bigint, 9000) AS n"
        )
        await tx.execute(
            "INSERT INTO tieout_mirror_group (copy, n, name, checks)"
            " SELECT 1, n, int8send(n), decode(repeat('00', 34), 'hex') FROM generate_series(1::bigint, 9000) AS n"
        )
        await tx.execute("ANALYZE tieout_mirror_item, tieout_mirror_group")
        return "\n".join(line for (line,) in await tx.fetch(f"EXPLAIN {text}"))

    async def explained():
        await database.open()
        try:
            return await database.transact(plan_of)
        finally:
            await database.close()

    plan = asyncio.run(explained())
    assert "Index Scan using tieout_mirror_" in plan and "Seq Scan" not in plan, plan


async def test_windows_that_overlap(here):
    """Of two answers that are published together the newer one counts for the days of both; the older one is news."""
    app, rooms = mirror_of(here, Hotels(hotels=1))
    async with app:
        writer = await Writer(rooms, forgets=False).begin()
        base, now = writer.following.layout.axis.position(today()), writer.following.moments.earliest()

        def answer(first, price, at):
            items = {
                item: {"price": [price] * 10, "stock": [3] * 10, "open": [True] * 10, "rules": ["none"] * 10}
                for item in ("h0-a", "h0-b")
            }
            moment = now + at * SECOND
            return Observed("h0", base + first, 10, moment, moment + 1, items, "sync", complete=True, whole=True)

        await writer.publish([answer(0, 100, 1), answer(5, 90, 2)])
        assert await writer.publish([answer(0, 100, 3)]) == (20, 10, 0)
        assert await writer.publish([answer(0, 100, 4)]) == (20, 0, 0)
