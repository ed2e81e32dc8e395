"""What becomes of an alarm: repeated, opened again, owned, snoozed, folded, resolved by two; and what is told of it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tieout.alarm.engine import Alarms
from tieout.alarm.rules import NEVER, NewAlarm, Standing, tend
from tieout.alarm.store import AlarmStore
from tieout.audit.store import AuditStore
from tieout.errors import ApprovalNeeded, NotAllowed

DEADLINE = NewAlarm("deadline", "p-1", "too late", lane="prizes")
CONFLICT = NewAlarm("conflict", "p-1:1", "two claims", evidence=({"kind": "succeeded"},))
BREAKER = NewAlarm("breaker", "prizes", "down", lane="prizes", reopens=True)
ANN = {"actor": "ann", "reason": "as agreed"}
BOB = {"actor": "bob", "reason": "checked"}
HOUR = 3_600_000_000


def alarms_of(database):
    return Alarms(database, AlarmStore(database.dialect), AuditStore(database.dialect))


async def raised(database, *alarms):
    engine = alarms_of(database)
    for alarm in alarms:
        await database.transact(lambda tx, alarm=alarm: engine.store.raise_alarm(tx, alarm))
    return engine


async def happened(engine, alarm):
    return [event.happening for event in (await engine.show(alarm)).history]


async def test_repetitions_raise_the_count_only(database):
    """One alarm for each fingerprint, opened once, however often it comes."""
    engine = await raised(database, DEADLINE, DEADLINE, DEADLINE)
    (alarm,) = await engine.list()
    assert (alarm.count, alarm.lane, alarm.owner, alarm.escalation) == (3, "prizes", None, 0)
    assert await happened(engine, DEADLINE.id) == ["opened"]


async def test_news_wake_a_snoozed_alarm(database):
    """A repetition does not; new evidence does, and is told."""
    engine = await raised(database, CONFLICT)
    snoozed = await engine.snooze(CONFLICT.id, HOUR, **ANN)
    assert snoozed.snoozed_until > snoozed.last_at + HOUR // 2
    await raised(database, CONFLICT)
    assert (await engine.show(CONFLICT.id)).alarm.snoozed_until is not None
    await raised(database, replace(CONFLICT, evidence=({"kind": "failed"},)))
    assert (await engine.show(CONFLICT.id)).alarm.snoozed_until is None
    assert await happened(engine, CONFLICT.id) == ["opened", "snoozed", "news"]


async def test_an_owner_looks_after_an_alarm(database):
    """Who acknowledges owns it, unless it has an owner; it can be given to another until it is resolved."""
    engine = await raised(database, DEADLINE)
    assert (await engine.acknowledge(DEADLINE.id, **ANN)).owner == "ann"
    given = await engine.own(DEADLINE.id, "bob", **ANN)
    assert (given.owner, given.state) == ("bob", "acknowledged")
    assert [one.owner for one in await engine.list(owner="bob")] == ["bob"]
    assert await engine.list(owner="ann") == []
    await engine.resolve(DEADLINE.id, "accepted", **ANN)
    for act in (engine.own(DEADLINE.id, "eve", **ANN), engine.snooze(DEADLINE.id, HOUR, **ANN)):
        with pytest.raises(NotAllowed):
            await act


async def test_two_persons_resolve_where_money_may_have_moved(database):
    """Two who want the same; one alone, also under another spelling, or two who want different things, do not."""
    engine = await raised(database, CONFLICT)
    for resolution, who in (
        ("accepted", ANN),
        ("accepted", {**ANN, "actor": " ANN "}),
        ("false-alarm", BOB),
        ("accepted", ANN),
    ):
        with pytest.raises(ApprovalNeeded):
            await engine.resolve(CONFLICT.id, resolution, **who)
    done = await engine.resolve(CONFLICT.id, "accepted", **BOB)
    assert (done.state, done.resolved_by, done.wish) == ("resolved", "bob", None)
    assert await happened(engine, CONFLICT.id) == ["opened", *["wished"] * 4, "resolved"]


async def test_one_person_resolves_the_rest(database):
    """What may be resolved by one alone is a setting."""
    engine = await raised(database, DEADLINE, CONFLICT)
    assert (await engine.resolve(DEADLINE.id, "accepted", **ANN)).state == "resolved"
    engine.second_person = frozenset()
    assert (await engine.resolve(CONFLICT.id, "accepted", **ANN)).state == "resolved"


async def test_a_cause_that_comes_and_goes_opens_and_clears_its_alarm(database):
    """Opening again resets what the past has left; clearing is nobody's act, and is not audited."""
    engine = await raised(database, BREAKER)
    assert await database.transact(lambda tx: engine.store.clear(tx, BREAKER.id, "it answers"))
    assert not await database.transact(lambda tx: engine.store.clear(tx, BREAKER.id, "it answers"))
    cleared = (await engine.show(BREAKER.id)).alarm
    assert (cleared.resolution, cleared.resolved_by) == ("cleared", "tieout")
    await raised(database, BREAKER)
    assert (await engine.show(BREAKER.id)).alarm.state == "open"
    assert await happened(engine, BREAKER.id) == ["opened", "resolved", "reopened"]
    assert (await database.read(engine.audit.head)).number == 0


async def test_an_alarm_folds_under_one_that_stands(database):
    """Under a resolved one it does not; a resolved one does not fold; those below are listed by their parent."""
    engine = await raised(database, BREAKER, DEADLINE)
    store = engine.store
    assert await database.transact(lambda tx: store.fold(tx, DEADLINE.id, BREAKER.id))
    assert [one.id for one in await engine.list(parent=BREAKER.id)] == [DEADLINE.id]
    await engine.resolve(BREAKER.id, "accepted", **ANN)
    assert not await database.transact(lambda tx: store.fold(tx, DEADLINE.id, BREAKER.id))
    await engine.resolve(DEADLINE.id, "accepted", **ANN)
    await raised(database, BREAKER)
    assert not await database.transact(lambda tx: store.fold(tx, DEADLINE.id, BREAKER.id))


OPEN = Standing("open", 0, 1_000, None, None)


def after(alarm, now, *, parent_is_open=False):
    return tend(alarm, parent_is_open=parent_is_open, pause=100, levels=2, now=now)


def test_an_open_alarm_escalates_in_steps():
    """Once for each pause, at most so often; nothing before its time."""
    assert after(OPEN, 1_099) == (after(OPEN, 1_000))
    assert after(OPEN, 1_099).attention == 1_100
    first = after(OPEN, 1_100)
    assert (first.happening, first.standing.escalation, first.attention) == ("escalated", 1, 1_200)
    second = after(first.standing, 1_250)
    assert (second.happening, second.standing.escalation, second.attention) == ("escalated", 2, NEVER)
    assert after(second.standing, 9_999).happening is None


@pytest.mark.parametrize("state", ["acknowledged", "resolved"])
def test_what_somebody_looks_after_does_not_escalate(state):
    """However long it takes."""
    told = after(replace(OPEN, state=state), 9_999)
    assert (told.happening, told.attention) == (None, NEVER)


def test_a_snoozed_alarm_wakes_at_its_time():
    """Not before, and with a whole pause before it escalates; an acknowledged one wakes too."""
    snoozed = replace(OPEN, snoozed_until=5_000, escalation=1)
    assert (after(snoozed, 4_999).happening, after(snoozed, 4_999).attention) == (None, 5_000)
    woken = after(snoozed, 5_000)
    assert (woken.happening, woken.standing.snoozed_until, woken.attention) == ("woken", None, 5_100)
    assert after(replace(snoozed, state="acknowledged"), 5_000).happening == "woken"


def test_a_folded_alarm_waits_for_its_parent():
    """As long as that stands it is silent; then it is told, and its pause begins."""
    folded = replace(OPEN, parent=b"p", escalation=1)
    assert after(folded, 9_999, parent_is_open=True).attention == NEVER
    unfolded = after(folded, 9_999)
    assert (unfolded.happening, unfolded.standing) == ("unfolded", replace(OPEN, opened_at=9_999))
