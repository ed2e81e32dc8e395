"""A transaction step that raises: rolled back, the claim kept, tried again, and told to a person."""

from __future__ import annotations

import asyncio

import pytest

from tests.process.place import alarms, changes, evidence, key_of, raw, rows, standing, sweep, until
from tests.process.shop import Lost, Prize, redeem
from tieout import Failed, Next, Refused, Succeeded, UniqueViolation
from tieout.process.rules import ERRORS_BEFORE_ALARM

A = Succeeded(Prize("A"))


async def test_what_it_wrote_is_rolled_back_and_the_claim_is_kept(place, shop):
    """The reporter is told that its answer is kept; of the step nothing is left."""
    app, process = await standing(place, shop)
    shop.will("complete", ValueError("no such shelf"))
    assert await app.report(key_of(process), A) == "kept"
    process = await app.get(process.id)
    assert (process.status, process.state, process.errors) == ("running", "issue", 1)
    assert process.note == "ValueError: no such shelf"
    assert (process.calls[0].final.kind, process.calls[0].closed) == ("succeeded", False)
    assert await changes(app, process.id) == ["deduct"]


async def test_a_step_that_is_cancelled_from_within_has_raised(place, shop):
    """A cancellation that nobody asked for, such as of a task that the step awaited, is the step's own error."""
    app, process = await standing(place, shop)
    shop.will("complete", asyncio.CancelledError())
    assert await app.report(key_of(process), A) == "kept"
    process = await app.get(process.id)
    assert (process.errors, process.note) == (1, "RuntimeError: the step was cancelled from within")
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"


async def test_who_cancels_a_step_is_obeyed(postgres_place, shop):
    """Whoever is cancelled while a step runs is cancelled; of the step nothing is left, and it has not failed."""
    app, process = await standing(postgres_place, shop)
    shop.will("complete", Lost())
    reporting = asyncio.create_task(app.report(key_of(process), A))
    await until(lambda: "complete" in shop.steps)
    reporting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reporting
    assert (await app.get(process.id)).errors == 0
    assert await changes(app, process.id) == ["deduct"]


async def test_it_is_applied_once_it_stops_raising(place, shop):
    """The sweep runs the step for the kept claim; nothing is sent or asked, and the trail names the reporter."""
    app, process = await standing(place, shop)
    shop.will("complete", ValueError("1"), ValueError("2"))
    await app.report(key_of(process), A)
    await sweep(app)
    assert (await app.get(process.id)).errors == 2
    await sweep(app)
    process = await app.get(process.id)
    assert (process.state, process.errors, process.note) == ("completed", 0, None)
    assert (process.trail[0].source, process.trail[0].by) == ("push", "message")
    assert await changes(app, process.id) == ["complete", "deduct"]
    assert (len(shop.sent), shop.asked) == (1, [])


async def test_the_pauses_grow(place, shop):
    """Each failure waits longer, up to the cap."""
    app, process = await standing(place, shop, query_after=10, retry_cap=100)
    shop.will("complete", *[ValueError("x")] * 6)
    await app.report(key_of(process), A)
    for n in range(6):
        ((wait,),) = await rows(app, "SELECT due - {now} FROM tieout_process")
        full = min(10 * 2**n, 100)
        assert full / 2 - 1 <= wait / 1e6 <= full
        if n < 5:
            await sweep(app)


async def test_a_person_is_told_after_a_few(place, shop):
    """The alarm comes with the fifth failure in a row, once, and goes on counting."""
    app, process = await standing(place, shop)
    shop.will("complete", *[ValueError("x")] * 7)
    await app.report(key_of(process), A)
    for _ in range(ERRORS_BEFORE_ALARM - 2):
        await sweep(app)
    assert await alarms(app) == []
    await sweep(app)
    (alarm,) = await alarms(app)
    assert (alarm.kind, alarm.process, alarm.count) == ("step-failing", raw(process), 1)
    assert "ValueError: x" in repr(await evidence(app, alarm))
    await sweep(app)
    await sweep(app)
    (alarm,) = await alarms(app)
    assert alarm.count == 3
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"


async def test_a_resolved_alarm_opens_again_for_new_failures(place, shop):
    """It failed, was mended, and fails again after the alarm was closed: nobody is left in the dark."""
    app, process = await standing(place, shop)
    shop.will("complete", *[ValueError("x")] * 5, *[KeyError("y")] * 5)
    await app.report(key_of(process), A)
    for _ in range(4):
        await sweep(app)
    (alarm,) = await alarms(app)
    await app.alarms.resolve(alarm.id, "settled-outside", actor="ann", reason="mended")
    await sweep(app)
    (alarm,) = await alarms(app)
    assert alarm.state == "open"


WRONG = {
    "nothing": None,
    "text": "completed",
    "state of another step": Next("refunded", {}, "x"),
    "unknown state": Next("nowhere"),
    "wrong result": Next("completed", {}, "A1"),
    "NaN": Next("completed", {}, {"code": float("nan")}),
}


@pytest.mark.parametrize("moved", WRONG.values(), ids=WRONG)
async def test_a_step_that_moves_elsewhere_has_failed(place, shop, moved):
    """A move that `to=` does not allow, or a result that does not fit, is an error like any other."""
    app, process = await standing(place, shop)
    shop.will("complete", moved)
    assert await app.report(key_of(process), A) == "kept"
    assert (await app.get(process.id)).errors == 1
    assert await changes(app, process.id) == ["deduct"]
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"


@pytest.mark.parametrize(
    "error",
    [Refused("not now"), UniqueViolation("there is one"), KeyError(), AssertionError(), ValueError("a\0b\ud800")],
    ids=repr,
)
async def test_whatever_it_raises_the_claim_is_kept(place, shop, error):
    """No exception of a step loses an answer, whatever its text: not even one that a database cannot store."""
    app, process = await standing(place, shop)
    shop.will("complete", error)
    assert await app.report(key_of(process), A) == "kept"
    process = await app.get(process.id)
    assert process.calls[0].final is not None
    assert process.note.startswith(type(error).__name__)


async def test_a_statement_that_fails_rolls_back_and_keeps_the_claim(place, shop):
    """An error of the database that a repetition does not mend is the step's own."""
    app, process = await standing(place, shop)
    steps = shop.step

    async def broken(name, moved):
        if name == "complete":
            shop.step = steps
            raise UniqueViolation("the shelf is taken")
        return await steps(name, moved)

    shop.step = broken
    assert await app.report(key_of(process), A) == "kept"
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"


async def test_the_same_claim_meanwhile_is_a_duplicate(place, shop):
    """While the step cannot run, the claim counts: a repetition is one, and runs nothing."""
    app, process = await standing(place, shop)
    shop.will("complete", ValueError("x"))
    await app.report(key_of(process), A)
    assert await app.report(key_of(process), A) == "duplicate"
    assert shop.steps.count("complete") == 1


async def test_another_claim_meanwhile_is_a_conflict(place, shop):
    """The claim that was kept first is what later ones are compared with; the process is held."""
    app, process = await standing(place, shop)
    shop.will("complete", ValueError("x"))
    await app.report(key_of(process), A)
    assert await app.report(key_of(process), Failed("no")) == "conflict"
    process = await app.get(process.id)
    assert (process.status, process.calls[0].final.kind) == ("held", "succeeded")
    assert [alarm.kind for alarm in await alarms(app)] == ["conflict"]


async def test_of_two_claims_whose_steps_raise_the_first_is_kept(place, shop):
    """Two nodes report different finals at once, and both steps raise: one is kept, the other is a conflict."""
    app, process = await standing(place, shop)
    shop.will("complete", *[ValueError("x")] * 9)
    shop.will("refund", *[ValueError("y")] * 9)
    effects = await asyncio.gather(app.report(key_of(process), A), app.report(key_of(process), Failed("no")))
    assert sorted(effects) == ["conflict", "kept"]
    assert len(await alarms(app, "conflict")) == 1


async def test_the_immediate_answer_is_kept_too(place, shop):
    """A step that raises after the call's own answer does not make the call be sent again."""
    kind = redeem()
    app = await place.open(kind, shop=shop)
    shop.will("complete", ValueError("x"))
    process = await app.start(kind(request_id="r1", user="ann"))
    await sweep(app)
    process = await app.get(process.id)
    assert (process.state, process.trail[0].source) == ("completed", "immediate")
    assert len(shop.sent) == 1
