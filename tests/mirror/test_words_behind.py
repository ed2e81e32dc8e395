"""Views that are behind, or are loaded for long: their rows are never read by words that have become others since."""

from __future__ import annotations

import pytest

from tests.mirror.hotels import Hotels, today
from tests.mirror.test_publishing import mirror_of
from tests.mirror.test_words import Supplier, full
from tieout.mirror.view import View
from tieout.mirror.viewing import Viewing


class Between:
    """A database in whose way something comes, once: before the read behind so many others."""

    def __init__(self, database, reads, work):
        self._database, self._reads, self._work = database, reads, work

    def __getattr__(self, name):
        return getattr(self._database, name)

    async def read(self, work):
        self._reads -= 1
        if self._reads == -1:
            await self._work()
        return await self._database.read(work)


async def number_used_again(supplier):
    """What h1 says, then h0, is said no more, and ten minutes later h2 says something else by the number of h0's."""
    await supplier.say(h1="three")
    await supplier.free(h0="three")
    assert await supplier.say(h2="four") == 40


def viewing_of(rooms, world=None):
    """A view that is looked at by hand."""
    following = rooms.following("acme")
    view = View(rooms.layout, 86_400.0, following.moments.earliest)
    return Viewing(world or following.world, {"acme": following}, view)


def rule(viewing, hotel):
    values = viewing.view.read("acme", f"{hotel}-a", today()).values
    return values and values["rules"]


async def test_a_view_that_stood_still(url, monkeypatch):
    """For however long, and however little it takes in at a time: no row is named by words that are newer."""
    full(monkeypatch, few=2)
    monkeypatch.setattr("tieout.mirror.viewing.SIGHTINGS", 1)
    app, rooms = mirror_of(url, Hotels())
    async with app:
        supplier, viewing = await Supplier(rooms).begin(), viewing_of(rooms)
        await viewing.load()
        advance, told = Viewing._advance, []  # noqa: SLF001 - a step of its own

        async def step(viewing, name, following, part):
            part = await advance(viewing, name, following, part)
            told.append(rule(viewing, "h0"))
            return part

        monkeypatch.setattr(Viewing, "_advance", step)
        assert [rule(viewing, hotel) for hotel in ("h0", "h1", "h2")] == ["one", "two", "three"]
        await number_used_again(supplier)
        await viewing.look()
        assert told and set(told) <= {"one", "three", None}  # a part that was just loaded does not know the day yet
        assert [rule(viewing, hotel) for hotel in ("h0", "h1", "h2")] == ["three", "three", "four"]


@pytest.mark.parametrize("reads", [0, 1])
async def test_a_view_that_is_loaded_for_long(url, monkeypatch, reads):
    """Rows and words of a view are of one version from the first moment on."""
    full(monkeypatch, few=2)
    app, rooms = mirror_of(url, Hotels())
    async with app:
        supplier = await Supplier(rooms).begin()
        following = rooms.following("acme")
        between = Between(following.world.database, reads, lambda: number_used_again(supplier))
        viewing = viewing_of(rooms, following.world._replace(database=between))
        part = await viewing._part("acme", following)  # noqa: SLF001 - before it has looked at any change
        list(viewing.view.table.put({"acme": part}))
        part.columns.roll(following.moments.earliest())
        assert [rule(viewing, hotel) for hotel in ("h0", "h1", "h2")] == ["three", "three", "four"]


async def test_a_view_that_is_current_goes_on(url, monkeypatch):
    """Where none of its rows names a word that becomes another one, nothing is loaded again."""
    full(monkeypatch, few=2)
    app, rooms = mirror_of(url, Hotels())
    async with app:
        supplier, viewing = await Supplier(rooms).begin(), viewing_of(rooms)
        await viewing.load()
        part = viewing.view.table.parts["acme"]
        await supplier.say(h1="three")
        await viewing.look()
        await supplier.free()
        assert await supplier.say(h2="four") == 40
        await viewing.look()
        assert viewing.view.table.parts["acme"] is part
        assert [rule(viewing, hotel) for hotel in ("h0", "h1", "h2")] == ["one", "three", "four"]


async def test_a_view_that_stands_still_between_rows_and_words(here, monkeypatch):
    """What it has read of rows is read again when words became others behind it."""
    full(monkeypatch, few=2)
    app, rooms = mirror_of(here, Hotels())
    async with app:
        supplier, viewing = await Supplier(rooms).begin(), viewing_of(rooms)
        await viewing.load()
        await supplier.say(h0="three")
        await supplier.say(h0="one")
        following, changed = rooms.following("acme"), Viewing._changed  # noqa: SLF001 - in the midst of a step
        stale = await following.world.database.read(
            lambda tx: changed(viewing, tx, following, viewing.view.table.parts["acme"])
        )
        await number_used_again(supplier)
        words = await following.world.database.read(lambda tx: following.world.store.words(tx, following.number))
        read, told = [stale._replace(words=words)], []

        async def stood_still(viewing, tx, following, part):
            told.append(rule(viewing, "h0"))
            return read.pop() if read else await changed(viewing, tx, following, part)

        monkeypatch.setattr(Viewing, "_changed", stood_still)
        monkeypatch.setattr("tieout.mirror.viewing._names_others", never)
        await viewing.look()
        assert told[:2] == ["one", "one"]
        assert [rule(viewing, hotel) for hotel in ("h0", "h1", "h2")] == ["three", "three", "four"]


async def never(*_):
    return False
