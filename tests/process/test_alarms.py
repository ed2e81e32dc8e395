"""Alarms: listed, shown, acknowledged, resolved; each act audited, the evidence kept."""

from __future__ import annotations

import pytest

from tests.process.place import ANN, age, alarms, evidence, key_of, rows, standing, sweep
from tests.process.shop import Prize, redeem
from tieout import Failed, NotAllowed, Succeeded, UnknownAlarm
from tieout.alarm.rules import RESOLUTIONS

A = Succeeded(Prize("A"))
WHO = {"actor": "ann", "reason": "looked into it"}


@pytest.fixture
async def raised(place, shop):
    """An App and the conflict alarm of a final process."""
    app, process = await standing(place, shop)
    await app.report(key_of(process), A)
    await app.report(key_of(process), Failed("no"))
    (alarm,) = await alarms(app)
    app.alarms.second_person = frozenset()
    return app, alarm


async def audited(app):
    return await rows(app, "SELECT action, actor, reason FROM tieout_audit ORDER BY seq")


async def test_an_alarm_is_acknowledged_once(raised):
    """It says that a person looks after it, and who; a second time is refused."""
    app, alarm = raised
    assert (await app.alarms.acknowledge(alarm.id, **WHO)).state == "acknowledged"
    with pytest.raises(NotAllowed, match="only an open alarm"):
        await app.alarms.acknowledge(alarm.id, **WHO)
    assert await audited(app) == [("alarm-acknowledge", "ann", "looked into it")]


@pytest.mark.parametrize("resolution", RESOLUTIONS)
async def test_an_alarm_is_resolved_once(raised, resolution):
    """With how, why and by whom; the evidence stays, and a second time is refused."""
    app, alarm = raised
    before = await evidence(app, alarm)
    after = await app.alarms.resolve(alarm.id, resolution, **WHO)
    assert (after.state, after.resolution, after.note, after.resolved_by) == (
        "resolved",
        resolution,
        "looked into it",
        "ann",
    )
    assert after.resolved_at >= after.last_at
    assert await evidence(app, alarm) == before
    with pytest.raises(NotAllowed, match="already"):
        await app.alarms.resolve(alarm.id, resolution, **WHO)
    assert await audited(app) == [("alarm-resolve", "ann", "looked into it")]


async def test_an_acknowledged_alarm_can_be_resolved(raised):
    """It is the way that most alarms go."""
    app, alarm = raised
    await app.alarms.acknowledge(alarm.id, **WHO)
    assert (await app.alarms.resolve(alarm.id, "accepted", **WHO)).state == "resolved"


@pytest.mark.parametrize("resolution", ["", "fixed", "Accepted", None])
async def test_a_resolution_is_one_of_those_there_are(raised, resolution):
    """Free text belongs into the reason."""
    app, alarm = raised
    with pytest.raises(NotAllowed):
        await app.alarms.resolve(alarm.id, resolution, **WHO)
    assert (await app.alarms.show(alarm.id)).alarm.state == "open"


@pytest.mark.parametrize("who", [{"actor": "", "reason": "x"}, {"actor": "ann", "reason": " "}])
async def test_nobody_and_no_reason_change_nothing(raised, who):
    """The state and the audit are written together, or neither is."""
    app, alarm = raised
    for act in (app.alarms.acknowledge(alarm.id, **who), app.alarms.resolve(alarm.id, "accepted", **who)):
        with pytest.raises(NotAllowed, match="who you are"):
            await act
    assert (await app.alarms.show(alarm.id)).alarm == alarm
    assert await audited(app) == []


async def test_an_alarm_that_is_not_there_is_unknown(raised):
    """Showing, acknowledging and resolving say so."""
    app, _ = raised
    nobody = b"x" * 16
    for act in (
        app.alarms.show(nobody),
        app.alarms.acknowledge(nobody, **WHO),
        app.alarms.resolve(nobody, "accepted", **WHO),
    ):
        with pytest.raises(UnknownAlarm):
            await act


async def test_alarms_are_listed_newest_first_page_by_page(place, shop):
    """Every alarm once, also those of the same moment, and by kind and state."""
    kind = redeem()
    app = await place.open(kind, shop=shop)
    app.alarms.second_person = frozenset()
    for n in range(7):
        process = await app.start(kind(request_id=f"r{n}", user="ann"), wait=60)
        await app.report(key_of(process), Failed("no"))
    await rows(app, "UPDATE tieout_alarm SET last_at = last_at - last_at % 3")
    seen, behind = [], {}
    while page := await app.alarms.list(limit=3, **behind):
        seen += page
        behind = {"before": page[-1].last_at, "before_id": page[-1].id}
    assert len({alarm.id for alarm in seen}) == len(seen) == 7
    assert [alarm.last_at for alarm in seen] == sorted((alarm.last_at for alarm in seen), reverse=True)
    await app.alarms.resolve(seen[0].id, "accepted", **WHO)
    assert len(await app.alarms.list(state="open")) == 6
    assert len(await app.alarms.list(kind="conflict", state="resolved")) == 1
    assert await app.alarms.list(kind="deadline") == []


async def test_the_evidence_is_bounded(place, shop):
    """An answer of a megabyte is kept as its beginning, and a hundred different ones as the first so many."""
    app, process = await standing(place, shop)
    await app.report(key_of(process), A)
    for n in range(70):
        await app.report(key_of(process), Succeeded(Prize(f"B{n}", note="x" * (20_000 if n < 3 else 10))))
    (alarm,) = await alarms(app)
    told = await evidence(app, alarm)
    assert alarm.count == 70
    assert 2 <= len(told) <= 60
    assert all(len(str(piece)) < 20_000 for piece in told)


async def test_an_answer_just_before_it_would_be_held_wins(place, shop):
    """The push comes while the sweep is about to hold the process: it ends, and nobody is alarmed."""
    app, process = await standing(place, shop, idempotent=False)
    await age(app, process, 3_600)
    find = shop.find

    async def pushed_meanwhile(send):
        await app.report(key_of(process), A)
        return await find(send)

    shop.find = pushed_meanwhile
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"
    assert await alarms(app) == []


async def test_an_answer_just_before_it_would_be_sent_again_wins(place, shop):
    """The same for a call that is about to be sent again: nothing is sent."""
    app, process = await standing(place, shop)
    await age(app, process, 3_600)
    find = shop.find

    async def pushed_meanwhile(send):
        await app.report(key_of(process), A)
        return await find(send)

    shop.find = pushed_meanwhile
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"
    assert len(shop.sent) == 1


async def test_resolving_does_not_move_the_process(place, shop):
    """An alarm is about a process; only the process's own commands change that."""
    app, process = await standing(place, shop)
    await app.operate.hold(bytes.fromhex(process.id), ANN)
    await app.report(key_of(process), A)
    await app.report(key_of(process), Failed("no"))
    (alarm,) = await alarms(app)
    app.alarms.second_person = frozenset()
    await app.alarms.resolve(alarm.id, "accepted", **WHO)
    assert (await app.get(process.id)).status == "held"
