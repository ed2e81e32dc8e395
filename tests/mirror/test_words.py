"""Values of dictionary fields: a number gets another value only when nobody can take the one for the other."""

from __future__ import annotations

import numpy as np
import pytest

from tests.mirror.cells import HOTEL
from tests.mirror.hotels import Hotels, today
from tests.mirror.test_publishing import Writer, mirror_of
from tests.mirror.waiting import until
from tieout.mirror import words as numbering
from tieout.mirror.folding import words_of
from tieout.mirror.forgetting import LOOK_FOR_WORDS_EVERY, Forgetting
from tieout.mirror.observed import Observed
from tieout.mirror.words import GRACE, VERSION, Garbled, Words


def full(monkeypatch, most=3, few=1):
    """There are numbers for so many values, and when fewer are left, unused ones are looked for."""
    monkeypatch.setattr(numbering, "MOST_WORDS", most)
    monkeypatch.setattr("tieout.mirror.forgetting.MOST_WORDS", most)
    monkeypatch.setattr("tieout.mirror.forgetting.FEW", few)


def test_a_number_gets_another_value_once_it_was_unused_for_long_enough(monkeypatch):
    """Not before, and the old value has no number any more; the word of no cell is another one then."""
    full(monkeypatch)
    words = Words({1: '"a"', 2: '"b"', 3: '"c"'})
    assert words.number("a") == 1
    words.note_used({2, 3}, 0.0)
    words.reuse(GRACE - 1)
    assert words.left == 0
    with pytest.raises(Garbled):
        words.number("d")
    words.reuse(GRACE)
    assert words.left == 1
    assert words.number("d") == 1
    assert words.added.keys() == {1, VERSION} and words.added[1] == '"d"'
    with pytest.raises(Garbled):
        words.number("a")
    assert [words.number(value) for value in "bcd"] == [2, 3, 1]


def test_what_is_told_again_keeps_its_number(monkeypatch):
    """A value that no cell had may be in one again a moment later: its number is not free."""
    full(monkeypatch)
    words = Words({1: '"a"', 2: '"b"', 3: '"c"'})
    assert words.number("a") == 1
    words.note_used({3}, 0.0)
    assert words.number("a") == 1
    words.reuse(GRACE)
    assert words.number("d") == 2
    with pytest.raises(Garbled):
        words.number("e")
    assert words.number("a") == 1


def test_versions_never_come_again(monkeypatch):
    """Also where a server has taken over that lacks the last ones: each stands for one set of words alone."""
    full(monkeypatch, most=1)
    versions = set()
    for _ in range(3):
        words = Words({1: '"a"', VERSION: "7"})
        words.note_used((), 0.0)
        words.reuse(GRACE)
        words.number("b")
        versions.add(words.added[VERSION])
    assert len(versions - {"7"}) == 3


def test_every_word_that_cells_name_is_needed():
    """Not those of a stay's arrival alone: an order compares all of its nights."""
    assert words_of(HOTEL, {"rules": np.array([3, 0, 5, 3]), "price": np.array([9, 9, 9, 9])}) == {3, 5}


class Supplier:
    """A copy's only writer, which says of its three hotels what their rules are: first "one", "two" and "three"."""

    def __init__(self, rooms):
        self.rooms = rooms
        self.hotels = Hotels(hotels=3)

    async def begin(self):
        self.writer = await Writer(self.rooms, forgets=False).begin()
        self.forgetting = Forgetting(self.writer.following)
        await self.say(h0="one", h1="two", h2="three")
        return self

    async def say(self, **rules):
        """Of hotels, what the rules of all their nights are; how many cells have changed."""
        following = self.writer.following
        first, start = following.layout.axis.position(today()), following.moments.earliest()
        night = {"price": [100] * 20, "stock": [3] * 20, "open": [True] * 20}
        observed = [
            Observed(
                group,
                first,
                20,
                start,
                following.moments.latest(),
                {item: {**night, "rules": [rule] * 20} for item in self.hotels.hotels[group]},
                "sync",
                complete=True,
                whole=True,
            )
            for group, rule in rules.items()
        ]
        _, changed, _ = await self.writer.publish(observed)
        return changed

    async def forget(self, now):
        await self.forgetting.forget_words(self.writer.copy.words, now)

    async def free(self, **rules):
        """Say this, and let the numbers of what no hotel has any more get other values."""
        await self.say(**rules)
        await self.forget(0.0)
        await self.forget(GRACE)


async def rule(rooms, hotel):
    """As the copy has it, whatever a view knows."""
    return (await rooms.item("acme", f"{hotel}-a")).cells[0].values["rules"]


def found(view):
    return {one.item: one.offer.values["rules"] for one in view.search(today(), 1, limit=100).found}


async def test_readers_follow_numbers_that_get_other_values(url, monkeypatch):
    """Whoever keeps words, to read items or to search, is told the rules that hold, from the first moment on."""
    full(monkeypatch)
    app, rooms = mirror_of(url, Hotels())
    async with app:
        supplier = await Supplier(rooms).begin()
        assert [await rule(rooms, hotel) for hotel in ("h0", "h1", "h2")] == ["one", "two", "three"]
        view = await rooms.view()
        assert set(found(view).values()) == {"one", "two", "three"}
        assert await supplier.say(h1="one") == 40
        await supplier.forget(0.0)
        assert await supplier.say(h1="four") == 0
        await supplier.forget(GRACE)
        assert await supplier.say(h1="four") == 40
        assert [await rule(rooms, hotel) for hotel in ("h0", "h1", "h2")] == ["one", "four", "three"]
        await until(lambda: found(view)["h1-a"], "four")
        assert found(view) == {
            f"h{at}-{room}": word for at, word in enumerate(["one", "four", "three"]) for room in "ab"
        }
        assert set(found(await rooms.view()).values()) == {"one", "four", "three"}


async def test_who_stands_still_between_a_row_and_its_words(here, monkeypatch):
    """For however long: where words have become others since the row was read, it is read again."""
    full(monkeypatch)
    app, rooms = mirror_of(here, Hotels())
    async with app:
        supplier = await Supplier(rooms).begin()
        database, reads = supplier.writer.following.world.database, []
        read = database.read

        async def stands_still(work):
            reads.append(work)
            if len(reads) == 2:  # behind the row, and before its words
                monkeypatch.setattr(database, "read", read)
                await supplier.free(h1="one")
                assert await supplier.say(h2="four") == 40
            return await read(work)

        monkeypatch.setattr(database, "read", stands_still)
        assert await rule(rooms, "h1") == "one"


async def test_words_that_become_others_while_they_are_stored(here, monkeypatch):
    """What was read ahead of its transaction meanwhile is stored with the next one, and not taken for stored."""
    full(monkeypatch)
    app, rooms = mirror_of(here, Hotels())
    async with app:
        supplier = await Supplier(rooms).begin()
        await supplier.free(h1="one")
        following, words = supplier.writer.following, supplier.writer.copy.words
        transact = following.world.database.transact

        async def reads_ahead(work):
            done = await transact(work)
            words.added[VERSION] = "2"
            return done

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(following.world.database, "transact", reads_ahead)
            assert await supplier.say(h1="four") == 40
        assert words.added == {VERSION: "2"}
        await supplier.say(h0="three")
        stored = await following.world.database.read(lambda tx: following.world.store.words(tx, following.number))
        assert (stored[VERSION], words.added) == ("2", {})


async def test_the_next_writer_knows_what_has_numbers(here, monkeypatch):
    """What is stored is what it begins with; nothing is unused before it has looked itself."""
    full(monkeypatch)
    app, rooms = mirror_of(here, Hotels())
    async with app:
        supplier = await Supplier(rooms).begin()
        await supplier.free(h0="two")
        await supplier.say(h0="four")
        copy = await supplier.writer.following.load()
        assert [copy.words.number(value) for value in ("four", "two", "three")] == [1, 2, 3]
        assert (copy.words.left, copy.words.unused_since) == (0, None)


async def test_a_catalogue_that_changes_leaves_words_as_they_are(here, monkeypatch):
    """However often it does: what has been unused for long enough gets other values."""
    full(monkeypatch)
    app, rooms = mirror_of(here, Hotels())
    async with app:
        supplier = await Supplier(rooms).begin()
        await supplier.say(h1="one")
        await supplier.forget(0.0)
        writer, following = supplier.writer, supplier.writer.following
        rooms.following("acme").supplier.hotels["h3"] = ["h3-a"]
        catalogue = await following.read_catalogue(writer.copy, following.look)
        writer.lease = await following.store_catalogue(writer.lease, writer.copy, catalogue)
        assert "h3" in writer.copy.index
        await supplier.forget(GRACE)
        assert await supplier.say(h1="four") == 40


async def test_a_person_is_told_before_numbers_run_out(here, monkeypatch):
    """When cells have nearly as many values as can be stored; cells are not looked at again and again for that."""
    full(monkeypatch, most=4, few=2)
    app, rooms = mirror_of(here, Hotels())
    async with app:
        supplier = await Supplier(rooms).begin()
        await supplier.forget(0.0)
        (alarm,) = await app.alarms.list()
        assert alarm.kind == "dictionary-full"
        assert "3 different values of rules, and 4 can be stored" in alarm.summary
        await supplier.say(h2="two")
        await supplier.forget(LOOK_FOR_WORDS_EVERY - 1)
        await supplier.say(h2="five")
        assert await supplier.say(h2="six") == 0
        await supplier.forget(LOOK_FOR_WORDS_EVERY)
        await supplier.forget(LOOK_FOR_WORDS_EVERY + GRACE)
        assert await supplier.say(h2="six") == 40
