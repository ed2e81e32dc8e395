"""Where facts wait until they are kept: whole portions, with the positions that fit, and halves of a key together."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tieout.feeds import Position
from tieout.recon import following
from tieout.recon.facts import Fact, Seen
from tieout.recon.following import Intake, Passed
from tieout.recon.live import Live, Settlement, Work, World
from tieout.recon.rules import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

UP, DOWN = "up", "down"


@pytest.fixture(autouse=True)
def many(monkeypatch) -> None:
    """A handful of facts is many."""
    monkeypatch.setattr(following, "MANY", 4)


def put(intake: Intake, feed: str, place: int, keys: Iterable[str], side: int | None = None) -> None:
    seen, number = Seen(place, f"h:{place}"), int(feed == DOWN) if side is None else side
    facts = [Fact(1, key, number, None, Record(None, ()), place, seen) for key in keys]
    intake.put(feed, facts, Passed(Position("h", place), place))


def taken(intake: Intake, *, whole: bool = False) -> tuple[str, dict[str, int]]:
    """The keys of a batch, and the places that it passes."""
    batch = intake.take(whole=whole)
    return "".join(fact.key for fact in batch.facts), {feed: one.position.place for feed, one in batch.passed.items()}


def test_few_are_taken_at_once() -> None:
    """Where few wait nothing stays, whether the other side has come or not."""
    intake = Intake()
    put(intake, UP, 1, "a")
    put(intake, DOWN, 1, "a")
    put(intake, UP, 2, "b")
    assert taken(intake) == ("aba", {UP: 2, DOWN: 1})
    assert len(intake) == 0


def test_halves_whose_others_have_not_come_stay_for_the_next_batch() -> None:
    """The last portions of which most keys have no other side yet stay, and no position behind the others is passed."""
    intake = Intake()
    for place, keys in enumerate(["ab", "cde", "fgh"], start=1):
        put(intake, UP, place, keys)
    put(intake, DOWN, 1, "abcdf")
    assert taken(intake) == ("abcdeabcdf", {UP: 2, DOWN: 1})
    assert len(intake) == 3
    put(intake, DOWN, 2, "egh")
    assert taken(intake) == ("fghegh", {UP: 3, DOWN: 2})
    assert len(intake) == 0


def test_nothing_stays_twice() -> None:
    """What has stayed is taken with the next batch, though its other side has not come; what came since may stay."""
    intake = Intake()
    for feed, keys in ((UP, "ab"), (DOWN, "ab"), (UP, "cd")):
        put(intake, feed, ord(keys[0]), keys)
    assert taken(intake) == ("abab", {UP: ord("a"), DOWN: ord("a")})
    put(intake, UP, ord("e"), "ef")
    put(intake, DOWN, ord("b"), "x")
    assert taken(intake) == ("cd", {UP: ord("c")})
    put(intake, DOWN, ord("e"), "ef")
    assert taken(intake) == ("efxef", {UP: ord("e"), DOWN: ord("e")})


def test_something_is_always_taken() -> None:
    """Where no key of any feed has its other side, or there is one feed, all is taken: nobody waits for nothing."""
    intake = Intake()
    put(intake, UP, 1, "abc")
    put(intake, DOWN, 1, "xyz")
    assert taken(intake) == ("abcxyz", {UP: 1, DOWN: 1})
    put(intake, UP, 2, "defgh")
    assert taken(intake) == ("defgh", {UP: 2})


def test_heartbeats_pass_with_what_came_before_them() -> None:
    """A portion without facts never goes before one that stays."""
    intake = Intake()
    for place, keys in enumerate(["ab", "cd", ""], start=1):
        put(intake, UP, place, keys)
    put(intake, DOWN, 1, "ab")
    assert taken(intake) == ("abcdab", {UP: 3, DOWN: 1})


def test_sides_that_one_feed_tells_are_halves_too() -> None:
    """Where both sides are tables of one source, its last portions stay as well if the other side has not come."""
    intake = Intake()
    put(intake, UP, 1, "ab")
    put(intake, UP, 2, "ab", side=1)
    put(intake, UP, 3, "cd")
    assert taken(intake) == ("abab", {UP: 2})
    put(intake, UP, 4, "cd", side=1)
    assert taken(intake) == ("cdcd", {UP: 4})


def test_all_is_taken_where_the_whole_is_asked_for() -> None:
    """Nothing stays of a whole, neither what has stayed nor what came since; and what comes then may stay again."""
    intake = Intake()
    for feed, keys in ((UP, "ab"), (DOWN, "ab"), (UP, "cd")):
        put(intake, feed, ord(keys[0]), keys)
    assert taken(intake)[0] == "abab"
    put(intake, UP, ord("e"), "ef")
    put(intake, DOWN, ord("b"), "x")
    assert taken(intake, whole=True) == ("cdefx", {UP: ord("e"), DOWN: ord("b")})
    assert len(intake) == 0
    put(intake, UP, ord("i"), "ij")
    for side in (0, 1):
        put(intake, DOWN, side, "gh", side=side)
    assert taken(intake) == ("ghgh", {DOWN: 1})


async def test_there_is_room_while_little_stays(monkeypatch) -> None:
    """What stays takes up room until it is taken, and then there is room again."""
    monkeypatch.setattr(following, "HELD", 6)
    intake = Intake()
    for feed, keys in ((UP, "ab"), (DOWN, "ab"), (UP, "cdefgh")):
        put(intake, feed, ord(keys[0]), keys)
    waiting = asyncio.ensure_future(intake.room())
    for keys in ("abab", "cdefgh"):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
        assert taken(intake)[0] == keys
    await asyncio.wait_for(waiting, 1)


async def test_what_sources_have_said_is_judged_with_all_that_was_read(monkeypatch) -> None:
    """Nothing stays where keys were asked for: whose change waits is asked for again, the others are as was said."""
    works: list[Work] = []

    async def keep(_: Live, work: Work) -> None:
        works.append(work)

    monkeypatch.setattr(Live, "_keep", keep)
    nothing: Any = None
    clock: Any = SimpleNamespace(monotonic=lambda: 0.0)
    live = Live(World(nothing, nothing, nothing, nothing, clock), nothing, [], {}, {})
    for feed, keys in ((UP, "ab"), (DOWN, "ab"), (UP, "cd")):
        put(live.intake, feed, ord(keys[0]), keys)
    rule: Any = SimpleNamespace(number=1)
    assert live.ask(rule, ["c", "z"]) == ["c", "z"]
    settling = asyncio.ensure_future(live.settle([Settlement(1, key, [], [], []) for key in "cz"]))
    await asyncio.sleep(0)
    monkeypatch.setattr("tieout.recon.live.SMALL", 0)
    keeping = asyncio.ensure_future(live.keep_forever())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    settling.cancel()
    keeping.cancel()
    assert set(works[0].facts[1]) == set("abcd")
    assert works[0].passed[UP].position.place == ord("c")
    assert [one.key for one in works[0].settled[1]] == ["z"]


async def test_what_stays_is_not_waited_for() -> None:
    """Whoever keeps batches goes on with what has stayed, though nothing else comes; then it waits."""
    intake = Intake()
    for feed, keys in ((UP, "ab"), (DOWN, "ab"), (UP, "cd")):
        put(intake, feed, ord(keys[0]), keys)
    assert taken(intake)[0] == "abab"
    await asyncio.wait_for(intake.came(), 1)
    assert taken(intake) == ("cd", {UP: ord("c")})
    waiting = asyncio.ensure_future(intake.came())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
