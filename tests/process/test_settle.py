"""Settling: a person decides a call; against evidence, two do; a final never changes."""

from __future__ import annotations

import msgspec
import pytest

from tests.process.place import ANN, BOB, age, alarms, changes, evidence, key_of, raw, rows, standing, sweep
from tests.process.shop import Prize
from tieout import ApprovalNeeded, Failed, InvalidParams, NotAllowed, Succeeded
from tieout.process.operating import Act

A, B, NO = Succeeded(Prize("A")), Succeeded(Prize("B")), Failed("sold-out")
HOUR = 3_600


@pytest.fixture
async def unconfirmed(place, shop):
    """A process that is held because nobody can find out."""
    app, process = await standing(place, shop, idempotent=False)
    await age(app, process, HOUR)
    await sweep(app)
    return app, await app.get(process.id)


@pytest.fixture
async def conflicting(place, shop):
    """A held process about whose call two claims were made: first A, then failed."""
    app, process = await standing(place, shop)
    await app.operate.hold(raw(process), ANN)
    await app.report(key_of(process), A)
    await app.report(key_of(process), NO)
    return app, await app.get(process.id)


async def actions(app):
    return [action for (action,) in await rows(app, "SELECT action FROM tieout_audit ORDER BY seq")]


async def test_one_person_decides_where_nothing_says_otherwise(unconfirmed):
    """Nobody knows what became of the call; a person found out by telephone."""
    app, process = unconfirmed
    await app.operate.settle(raw(process), 1, "succeeded", ANN, value={"code": "T-7", "sku": "mug"})
    await sweep(app)
    process = await app.get(process.id)
    assert (process.state, process.result) == ("completed", Prize("T-7"))
    assert (process.trail[0].source, process.trail[0].by) == ("operator", "operator")
    assert await changes(app, process.id) == ["complete", "deduct"]
    assert await actions(app) == ["settle"]


async def test_settling_as_failed_runs_the_failed_step(unconfirmed):
    """The points go back."""
    app, process = unconfirmed
    await app.operate.settle(raw(process), 1, "failed", ANN, code="never-issued")
    await sweep(app)
    process = await app.get(process.id)
    assert (process.state, process.result) == ("refunded", "never-issued")


@pytest.mark.parametrize("value", [None, "A", {}, {"code": 5}, {"code": float("nan")}, {"code": "\ud800"}])
async def test_a_success_needs_an_answer_that_fits(unconfirmed, value):
    """A value that is no answer of the call raises `InvalidParams`, and nothing is decided."""
    app, process = unconfirmed
    with pytest.raises(InvalidParams):
        await app.operate.settle(raw(process), 1, "succeeded", ANN, value=value)
    assert await app.get(process.id) == process
    assert await actions(app) == []


@pytest.mark.parametrize("n", [0, 2, -1])
async def test_only_calls_that_there_are_can_be_settled(unconfirmed, n):
    """A call that was never opened has nothing to decide."""
    app, process = unconfirmed
    with pytest.raises(NotAllowed, match="no call"):
        await app.operate.settle(raw(process), n, "failed", ANN)


async def test_a_late_report_against_a_settlement_is_a_conflict(unconfirmed):
    """The downstream turns up and says otherwise: an alarm, and the final stays what it is."""
    app, process = unconfirmed
    await app.operate.settle(raw(process), 1, "failed", ANN)
    await sweep(app)
    assert await app.report(key_of(process), A) == "conflict"
    assert (await app.get(process.id)).state == "refunded"
    assert len(await alarms(app, "conflict")) == 1


@pytest.mark.parametrize("choice", ["succeeded", "failed"])
async def test_against_evidence_two_persons_have_to_agree(conflicting, choice):
    """Whatever is chosen, one claim says otherwise: the first wish is recorded, the second person's takes effect."""
    app, process = conflicting
    with pytest.raises(ApprovalNeeded):
        await app.operate.settle(raw(process), 1, choice, ANN)
    assert (await app.get(process.id)).status == "held"
    await app.operate.settle(raw(process), 1, choice, BOB)
    await sweep(app)
    process = await app.get(process.id)
    assert process.state == {"succeeded": "completed", "failed": "refunded"}[choice]
    assert await actions(app) == ["hold", "settle-wish", "settle"]
    (alarm,) = await alarms(app)
    assert (alarm.state, alarm.resolution, alarm.resolved_by) == (
        "resolved",
        {"succeeded": "followed-first", "failed": "followed-other"}[choice],
        "bob",
    )


@pytest.mark.parametrize("again", ["ann", "Ann", " ann ", "ANN\n", "user:ann", "token:ann/0123456789ab"])
async def test_the_second_person_is_another_one(conflicting, again):
    """The same person, however spelled and with whichever of their tokens, does not count twice."""
    app, process = conflicting
    for actor in ("ann", again, "ann"):
        with pytest.raises(ApprovalNeeded):
            await app.operate.settle(raw(process), 1, "failed", Act(actor, "sure"))
    assert (await app.get(process.id)).status == "held"


async def test_the_second_person_has_to_want_the_same(conflicting):
    """Another choice is another first wish."""
    app, process = conflicting
    for choice, act in (("failed", ANN), ("succeeded", BOB), ("failed", ANN)):
        with pytest.raises(ApprovalNeeded):
            await app.operate.settle(raw(process), 1, choice, act)
    await app.operate.settle(raw(process), 1, "failed", BOB)
    await sweep(app)
    assert (await app.get(process.id)).state == "refunded"


async def test_the_second_person_has_to_want_the_same_value(conflicting):
    """Two prizes are two wishes."""
    app, process = conflicting
    for code, act in (("X", ANN), ("Y", BOB)):
        with pytest.raises(ApprovalNeeded):
            await app.operate.settle(raw(process), 1, "succeeded", act, value={"code": code})
    await app.operate.settle(raw(process), 1, "succeeded", ANN, value={"code": "Y"})
    await sweep(app)
    assert (await app.get(process.id)).result == Prize("Y")


async def test_a_kept_claim_is_evidence(place, shop):
    """One claim was kept, and a person wants the opposite: two have to, and the claim is not lost."""
    app, process = await standing(place, shop)
    await app.operate.hold(raw(process), ANN)
    await app.report(key_of(process), A)
    with pytest.raises(ApprovalNeeded):
        await app.operate.settle(raw(process), 1, "failed", ANN)
    await app.operate.settle(raw(process), 1, "failed", BOB)
    await sweep(app)
    assert (await app.get(process.id)).state == "refunded"
    (alarm,) = await alarms(app, "conflict")
    assert {"A"} <= {claim.get("value", {}).get("code") for claim in await evidence(app, alarm)}


async def test_following_the_only_claim_needs_one_person(place, shop):
    """Nothing says otherwise."""
    app, process = await standing(place, shop)
    await app.operate.hold(raw(process), ANN)
    await app.report(key_of(process), A)
    await app.operate.settle(raw(process), 1, "succeeded", ANN)
    await sweep(app)
    assert (await app.get(process.id)).result == Prize("A")
    assert await alarms(app) == []


async def test_resolving_the_alarm_first_does_not_save_the_second_person(conflicting):
    """The evidence still says otherwise, whatever was done with its alarm."""
    app, process = conflicting
    (alarm,) = await alarms(app)
    app.alarms.second_person = frozenset()
    await app.alarms.resolve(alarm.id, "accepted", actor="ann", reason="let me")
    with pytest.raises(ApprovalNeeded):
        await app.operate.settle(raw(process), 1, "failed", ANN)
    await app.operate.settle(raw(process), 1, "failed", BOB)
    await sweep(app)
    assert (await app.get(process.id)).state == "refunded"


async def test_a_final_state_never_changes(place, shop):
    """Settling a conflict about a final process records how it was resolved: state, result, trail and claim stay."""
    app, process = await standing(place, shop)
    await app.report(key_of(process), A)
    await app.report(key_of(process), NO)
    before = await app.get(process.id)
    with pytest.raises(ApprovalNeeded):
        await app.operate.settle(raw(process), 1, "failed", ANN)
    await app.operate.settle(raw(process), 1, "failed", BOB)
    after = await app.get(process.id)
    assert (after.state, after.status, after.result, after.trail, after.calls) == (
        before.state,
        before.status,
        before.result,
        before.trail,
        before.calls,
    )
    (alarm,) = await alarms(app)
    assert (alarm.state, alarm.resolution) == ("resolved", "followed-other")
    assert shop.steps.count("complete") == 1
    assert shop.steps.count("refund") == 0


async def test_a_broken_echo_can_be_settled_by_two(place, shop):
    """An answer about another article: two persons may accept it."""
    app, process = await standing(place, shop, echo={"sku": "sku"})
    await app.report(key_of(process), Succeeded(Prize("A", sku="cup")))
    wish = {"code": "A", "sku": "cup"}
    with pytest.raises(ApprovalNeeded):
        await app.operate.settle(raw(process), 1, "succeeded", ANN, value=wish)
    await app.operate.settle(raw(process), 1, "succeeded", BOB, value=wish)
    await sweep(app)
    assert (await app.get(process.id)).result == Prize("A", sku="cup")


async def test_the_losing_claim_again_does_not_hold_it_anew(conflicting):
    """The broker redelivers what two persons have overruled: counted, and the process goes on."""
    app, process = conflicting
    with pytest.raises(ApprovalNeeded):
        await app.operate.settle(raw(process), 1, "succeeded", ANN)
    await app.operate.settle(raw(process), 1, "succeeded", BOB)
    assert await app.report(key_of(process), NO) == "conflict"
    process = await app.get(process.id)
    assert process.status == "running"
    (alarm,) = await alarms(app)
    assert (alarm.state, alarm.count) == ("resolved", 2)
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"


async def test_a_third_claim_after_a_settlement_opens_the_alarm_again(conflicting):
    """What nobody has judged yet is told, and holds the process if it still can."""
    app, process = conflicting
    with pytest.raises(ApprovalNeeded):
        await app.operate.settle(raw(process), 1, "succeeded", ANN)
    await app.operate.settle(raw(process), 1, "succeeded", BOB)
    assert await app.report(key_of(process), B) == "conflict"
    process = await app.get(process.id)
    assert (process.status, process.note) == ("held", "conflict")
    (alarm,) = await alarms(app)
    assert alarm.state == "open"


async def test_a_process_that_is_held_again_is_told_again(unconfirmed):
    """The alarm was closed and the process resumed; when it has to be held again, the alarm is open again."""
    app, process = unconfirmed
    (alarm,) = await alarms(app)
    app.alarms.second_person = frozenset()
    await app.alarms.resolve(alarm.id, "accepted", actor="ann", reason="we will see")
    await app.operate.resume(raw(process), ANN)
    await sweep(app)
    assert (await app.get(process.id)).status == "held"
    (alarm,) = await alarms(app)
    assert alarm.state == "open"


async def test_wishes_are_audited_with_what_was_wished(conflicting):
    """The audit tells who wanted what, also when it did not take effect."""
    app, process = conflicting
    with pytest.raises(ApprovalNeeded):
        await app.operate.settle(raw(process), 1, "failed", ANN)
    ((detail,),) = await rows(app, "SELECT detail FROM tieout_audit WHERE action = 'settle-wish'")
    told = msgspec.json.decode(detail)
    assert (told["n"], told["choice"], told["process"]) == (1, "failed", process.id)
