"""States that wait for more than one call: joins, timers, children; cancelling; and recalls."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import tieout
from tests.process.orders import Order, Parcel, World
from tests.process.place import ANN, Place, raw
from tieout import (
    Answer,
    App,
    DefinitionError,
    Failed,
    Limits,
    Next,
    NotFound,
    ProcessView,
    Sending,
    Succeeded,
    Transaction,
    Unknown,
)
from tieout.errors import NotAllowed, ReturnedWrongStep, UnknownCall

QUICK = {"sweep": True, "limits": Limits(sweep_every=0.05)}


@pytest.fixture
def world() -> World:
    return World()


async def opened(place: Place, world: World, **options: Any) -> App:
    return await place.open(Order, Parcel, shop=world, **options)


async def until(app: App, process: ProcessView, wanted: Any) -> ProcessView:
    for _ in range(400):
        found = await app.get(process.id)
        if wanted(found):
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"it did not come true: {found}")


async def test_calls_run_beside_each_other_and_the_join_runs_once(place: Place, world: World) -> None:
    """Both calls are sent before either has answered; the join gets every outcome, None for a call not opened."""
    app = await opened(place, world)
    pay, ship = asyncio.Event(), asyncio.Event()
    world.scripts["pay"].append(pay)
    world.scripts["ship"].append(ship)
    process = await app.start(Order(number="1"))
    await until(app, process, lambda _: len(world.sent) == 2)
    pay.set()
    ship.set()
    process = await app.wait(process.id, 60)
    assert (process.state, process.result) == ("done", "pay done, ship done, None")
    assert world.steps == ["fulfil"]
    assert [call.n for call in process.calls] == [1, 2] and len(process.trail) == 1


async def test_an_optional_call_is_opened_when_it_is_given(place: Place, world: World) -> None:
    """A call whose argument may be None takes part when the step names it."""
    app = await opened(place, world)
    process = await app.start(Order(number="1", gift=True), wait=60)
    assert process.result == "pay done, ship done, wrap done"


async def test_siblings_are_awaited_before_compensation(place: Place, world: World) -> None:
    """A failed call does not end the join: what the other came to must be known before anything is undone."""
    app = await opened(place, world)
    ship = asyncio.Event()
    world.scripts["pay"].append(Failed("broke"))
    world.scripts["ship"].append(ship)
    process = await app.start(Order(number="1"))
    process = await until(app, process, lambda found: found.calls[0].closed)
    assert process.state == "fulfil" and world.steps == []
    ship.set()
    process = await app.wait(process.id, 60)
    assert process.state == "undone" and "broke" in process.result and "ship done" in process.result


async def test_the_sweep_finishes_only_what_is_open(place: Place, world: World) -> None:
    """After a crash the call that was answered is not sent again; the other one is queried."""
    app = await opened(place, world)
    world.scripts["ship"].append(Unknown("lost"))
    world.scripts["find ship"].extend([NotFound(), Succeeded("found")])
    process = await app.start(Order(number="1"))
    await until(app, process, lambda found: found.calls[0].closed and not found.calls[1].closed)
    await app.close()
    again = await opened(place, world, **QUICK)
    await again.operate.retry(raw(process), ANN)
    process = await again.wait(process.id, 20)
    assert process.result == "pay done, found, None"
    assert [step for step, _ in world.sent].count("pay") == 1
    assert [step for step, _ in world.sent].count("ship") == 1


async def test_a_join_that_raises_keeps_the_claims(place: Place, world: World) -> None:
    """The step is rolled back with the closing of the last call, whose claim is kept and applied later."""
    app = await opened(place, world, **QUICK)
    world.scripts["fulfil"].append(RuntimeError("not today"))
    process = await app.start(Order(number="1"), wait=60)
    assert process.state == "done" and world.steps == ["fulfil", "fulfil"]
    assert len(world.sent) == 2


async def test_a_late_contradiction_about_a_part_holds_the_rest(place: Place, world: World) -> None:
    """A part that is closed is judged like any call: another final alarms, and holds what is not final yet."""
    app = await opened(place, world)
    ship = asyncio.Event()
    world.scripts["ship"].append(ship)
    process = await app.start(Order(number="1"))
    process = await until(app, process, lambda found: found.calls[0].closed and len(world.sent) == 2)
    assert await app.report(process.calls[0].key, Failed("no")) == "conflict"
    assert (await app.get(process.id)).status == "held"
    ship.set()
    process = await until(app, process, lambda found: found.calls[1].final is not None)
    assert (process.status, process.trail) == ("held", [])
    await app.operate.resume(raw(process), ANN)
    app.worker.start()
    assert (await app.wait(process.id, 60)).state == "done"


async def test_parts_that_are_missing_or_unknown_are_refused(place: Place, world: World) -> None:
    """A step that opens too few or other calls raises, and nothing is stored."""

    class Wrong(Order, name="wrong", key="number"):
        @tieout.start(to=("fulfil", "rest", "pack"))
        async def place(self, tx: Transaction) -> Next:
            return self.fulfil.next(pay=self.pay.next(amount=1))

    app = await place.open(Wrong, shop=world)
    with pytest.raises(ReturnedWrongStep):
        await app.start(Wrong(number="1"))
    assert await app.list() == []


def test_a_call_of_a_join_has_no_steps_of_its_own() -> None:
    """The outcome of a call has one place to go: its own steps, or one join."""

    class Both(tieout.Process[None], name="both", key="number"):
        number: str
        done = tieout.Final[str]()

        @tieout.start(to="all")
        async def begin(self, tx: Transaction) -> Next:
            return self.all.next(one=self.one.next())

        @tieout.call(timeout=1)
        async def one(self, send: Sending) -> Answer[str]:
            return Succeeded("")

        @one.succeeded(to="done")
        async def yes(self, tx: Transaction, value: str) -> Next:
            return self.done(value)

        @tieout.join(to="done")
        async def all(self, tx: Transaction, one: Succeeded[str] | Failed) -> Next:
            return self.done("")

    with pytest.raises(DefinitionError, match="part of 'all'"):
        App("sqlite://").register(Both)


async def test_a_timer_passes_at_its_time(place: Place, world: World) -> None:
    """A timer's state lasts as long as it says, whoever looks before, and its step gets its arguments."""
    app = await opened(place, world, **QUICK)
    process = await app.start(Order(number="1", wait="400ms"))
    await app.operate.retry(raw(process), ANN)
    await asyncio.sleep(0.2)
    assert (await app.get(process.id)).state == "rest"
    process = await app.wait(process.id, 60)
    assert (process.state, process.result) == ("done", "rested")
    assert process.trail[-1].by == "timer"
    assert process.changed - process.created >= 400_000


async def test_a_timer_of_nothing_passes_at_once(place: Place, world: World) -> None:
    """`next(0)` is a local step: it needs no sweep."""
    app = await opened(place, world)
    process = await app.start(Order(number="1", wait="0s"), wait=60)
    assert process.state == "done"


async def test_nobody_can_report_on_a_timer(place: Place, world: World) -> None:
    """A timer is no call: a report of it is refused, and changes nothing."""
    app = await opened(place, world)
    process = await app.start(Order(number="1", wait="1h"))
    with pytest.raises(UnknownCall):
        await app.report(f"{process.id}:1", Succeeded("x"))
    assert (await app.get(process.id)).state == "rest"


async def test_children_end_before_their_parent_goes_on(place: Place, world: World) -> None:
    """Every child is started once; one that is refused counts as ended; the parent gets how all ended."""
    app = await opened(place, world, **QUICK)
    world.scripts["send"].append(Failed("dropped"))
    process = await app.start(Order(number="1", parcels=7), wait=15)
    assert process.result == "gone=5 lost=1 refused=1"


async def test_a_thousand_children_do_not_pile_up_on_their_parent(place: Place, world: World) -> None:
    """The parent's row is written by its own worker only, far less often than there are children."""
    app = await opened(place, world, **QUICK)
    process = await app.start(Order(number="1", parcels=1_000), wait=60)
    assert process.result == "gone=999 refused=1"
    assert process.fence < 100


async def test_a_parent_that_crashed_starts_the_others_later(place: Place, world: World) -> None:
    """Children are started from what the parent stored: none is lost and none runs twice."""
    app = await opened(place, world)
    process = await app.start(Order(number="1", parcels=30))
    await app.close()
    again = await opened(place, world, **QUICK)
    process = await again.wait(process.id, 30)
    assert process.result == "gone=29 refused=1"
    assert len({key for step, key in world.sent if step == "send"}) == 29


async def test_cancelling_a_timer_takes_effect_at_once(place: Place, world: World) -> None:
    """Nothing is on its way, so the cancel step runs as soon as a worker looks, and gets who wished it and why."""
    app = await opened(place, world, **QUICK)
    process = await app.start(Order(number="1", wait="1h"))
    await app.cancel(process.id, actor="ann", reason="changed her mind")
    process = await app.wait(process.id, 60)
    assert (process.state, process.result) == ("cancelled", "changed her mind by ann at rest, to undo: []")


@pytest.mark.parametrize(("answer", "undo"), [(None, ["pay", "ship"]), (Failed("broke"), ["ship"])])
async def test_an_open_call_becomes_final_before_it_is_cancelled(
    place: Place, world: World, answer: Any, undo: list[str]
) -> None:
    """What has succeeded meanwhile is known to the cancel step, which runs instead of the one that came next."""
    app = await opened(place, world)
    ship = asyncio.Event()
    world.scripts["ship"].append(ship)
    if answer:
        world.scripts["pay"].append(answer)
    process = await app.start(Order(number="1"))
    process = await until(app, process, lambda found: found.calls[0].closed)
    await app.cancel(process.id, actor="ann", reason="late")
    assert (await app.get(process.id)).state == "fulfil"
    ship.set()
    process = await app.wait(process.id, 60)
    assert process.state == "cancelled" and process.result.endswith(str(sorted(undo)))
    assert [move.to for move in process.trail] == ["cancelled"]


async def test_what_has_ended_cannot_be_cancelled(place: Place, world: World) -> None:
    """A final state never changes, and a type without a cancel step has no way back."""
    app = await opened(place, world)
    process = await app.start(Order(number="1"), wait=60)
    with pytest.raises(NotAllowed):
        await app.cancel(process.id, actor="ann", reason="too late")
    world.scripts["send"].append(Unknown("lost"))
    parcel = await app.start(Parcel(number="p"))
    with pytest.raises(NotAllowed, match=r"tieout\.cancel"):
        await app.cancel(parcel.id, actor="ann", reason="no way")


async def test_a_recall_is_looked_up_once(place: Place, world: World) -> None:
    """Every try of a process decides with what the first try looked up, also on another node."""
    app = await opened(place, world)
    world.scripts["pay"].append(Unknown("lost"))
    world.scripts["find pay"].extend([NotFound()] * 2)
    process = await app.start(Order(number="1"))
    await until(app, process, lambda found: found.calls[1].closed)
    await app.close()
    again = await opened(place, world, **QUICK)
    await again.operate.retry(raw(process), ANN)
    await again.wait(process.id, 30)
    assert [step for step, _ in world.sent].count("pay") >= 2
    assert set(world.quoted) == {1}
