"""Every order of the statements of two requests with one key, on PostgreSQL and on MariaDB."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter as Tally
from typing import Any

import pytest

from tests.once.place import Place, effects, give, rows
from tests.once.stepping import WAITING, Actor, SteppedDatabase, blind_store, orders
from tieout import App
from tieout.contracts import Transaction
from tieout.once.engine import Engine, Given
from tieout.once.rules import Kept, identify
from tieout.once.stores import store_of

REQUEST = identify("issue", "mall", "k1", b"print")
KEEP = 60_000_000


class FailedError(Exception):
    """The first request's work has failed."""


def request(app: App, actor: Actor, *, fails: bool, blind: bool) -> asyncio.Task[Given]:
    """One of the two requests, standing before its first step."""

    async def work(tx: Transaction) -> Kept:
        await give(tx, actor.name, "mug", 1)
        if fails:
            raise FailedError
        return Kept(f'"{actor.name}"')

    store = (blind_store if blind else store_of)(app.database.dialect)
    engine = Engine(SteppedDatabase(app.database, actor), store, app.answers.clock, app.answers.chance)
    return asyncio.create_task(engine.run(REQUEST, work, keep=KEEP, wait=20))


async def play(app: App, watch: App, order: str, *, fails: bool, blind: bool) -> tuple[list[Any], dict[str, list[str]]]:
    """Take both through this order, and what is left of them to the end; what each got, and the steps it took."""
    actors = {name: Actor(name) for name in "AB"}

    async def blocked(pid: int) -> bool:
        return bool((await rows(watch, WAITING[watch.database.dialect], pid=pid))[0][0])

    for name, actor in actors.items():
        actor.task = request(app, actor, fails=fails and name == "A", blind=blind)
        await actor.arrive()
    for name in order:
        await actors[name].step(blocked)
    for actor in actors.values():
        actor.set_free()
    async with asyncio.timeout(60):
        given = await asyncio.gather(*(actor.task for actor in actors.values()), return_exceptions=True)
    return given, {name: actor.at for name, actor in actors.items()}


@pytest.mark.parametrize("blind", [False, True], ids=["claimed", "blind"])
@pytest.mark.parametrize("fails", [False, True], ids=["both", "first-fails"])
async def test_every_order_has_one_effect(
    served_place: Place, fails: bool, blind: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """In all 70 orders one effect is committed and both get its answer; or, if A fails, B's is, and A hears of it.

    That holds as well when the claims say nothing: then the unique id alone decides.
    """
    app, watch = await served_place.open(), await served_place.open()
    seen: Tally[str] = Tally()
    for order in orders():
        for table in ("prize", "tieout_once"):
            await rows(watch, f"DELETE FROM {table}")
        given, steps = await play(app, watch, order, fails=fails, blind=blind)
        kept = {answer.kept for answer in given if isinstance(answer, Given)}
        replayed = sorted(answer.replayed for answer in given if isinstance(answer, Given))
        assert await effects(watch) == len(kept) == 1, (order, steps, given)
        if fails and isinstance(given[0], FailedError):
            assert replayed == [False], (order, steps)
        else:
            assert replayed == [False, True], (order, steps)
        seen["A first" if given[0] and kept == {Kept('"A"')} else "B first"] += 1
        seen["both at work"] += all("effect" in at for at in steps.values())
    how = f"{app.database.dialect}, {'A fails' if fails else 'both succeed'}, {'blind' if blind else 'claimed'}"
    with capsys.disabled():
        print(f"\n70 orders, {how}: {dict(seen)}")
    assert sum(seen[first] for first in ("A first", "B first")) == 70
    # Where the row comes first, it alone keeps the second from beginning: no lock is needed for that.
    assert (seen["both at work"] > 0) is (fails or (blind and app.database.dialect != "mysql"))


async def test_an_answer_that_was_missed_is_found(served_place: Place) -> None:
    """A claim may be had just after the first has committed and miss its answer: the second's work is undone."""
    app = await served_place.open()
    engine = Engine(app.database, blind_store(app.database.dialect), app.answers.clock, app.answers.chance)

    async def work(tx: Transaction) -> Kept:
        await give(tx, "", "mug", 1)
        return Kept("1")

    assert await app.answers.run(REQUEST, work, keep=KEEP) == Given(Kept("1"), replayed=False)
    assert await engine.run(REQUEST, work, keep=KEEP) == Given(Kept("1"), replayed=True)
    assert await effects(app) == 1


async def test_every_order_with_a_query_is_told_right(served_place: Place) -> None:
    """A query between the steps of a request: absent only before its claim, answered only after its commit."""
    app, watch = await served_place.open(), await served_place.open()
    seen: Tally[str] = Tally()
    for places in itertools.combinations(range(6), 2):
        await rows(watch, "DELETE FROM tieout_once")
        actors = {"A": Actor("A"), "Q": Actor("Q")}
        actors["A"].task = request(app, actors["A"], fails=False, blind=False)
        asking = Engine(
            SteppedDatabase(watch.database, actors["Q"]),
            store_of(app.database.dialect),
            app.answers.clock,
            app.answers.chance,
        )
        actors["Q"].task = asyncio.create_task(asking.find(REQUEST))
        await asyncio.gather(*(actor.arrive() for actor in actors.values()))
        order = "".join("Q" if place in places else "A" for place in range(6))
        for name in order:
            await actors[name].step(never)
        for actor in actors.values():
            actor.set_free()
        _, found = await asyncio.gather(*(actor.task for actor in actors.values()))
        look, read = places
        claim, *_, commit = (place for place, name in enumerate(order) if name == "A")
        kind = "Stored" if commit < read else "InFlight" if claim < look else "Absent"
        assert type(found).__name__ == kind, order
        seen[kind] += 1
    assert dict(seen) == {"Absent": 4, "InFlight": 6, "Stored": 5}


async def never(_: int) -> bool:
    """Nobody waits for a lock here."""
    return False
