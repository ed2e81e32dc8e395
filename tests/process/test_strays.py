"""Reports of calls that nobody knows: retry later, kept as limited evidence, never a settlement."""

from __future__ import annotations

import asyncio
import math

import msgspec
import pytest

from tests.process.place import alarms, evidence, key_of, rows, standing, sweep
from tests.process.shop import Prize, redeem
from tieout import Failed, NewerVersion, Succeeded, UnknownCall
from tieout.process import gate

A = Succeeded(Prize("A"))


async def due(app):
    """Seconds until the one process is due."""
    ((wait,),) = await rows(app, "SELECT due - {now} FROM tieout_process")
    return wait / 1e6


@pytest.mark.parametrize("n", [0, 2, 999_999_999])
async def test_a_call_that_was_never_opened_settles_nothing(place, shop, n):
    """A process is there and the call is not: "retry later", an alarm, and the process stays where it is."""
    app, process = await standing(place, shop)
    with pytest.raises(UnknownCall):
        await app.report(key_of(process, n), A)
    after = await app.get(process.id)
    assert (after.state, after.status, after.calls) == (process.state, "running", process.calls)
    (alarm,) = await alarms(app)
    assert (alarm.kind, alarm.object, alarm.severity) == ("unknown-call", "push", "warning")
    (told,) = await evidence(app, alarm)
    assert told["call_key"] == key_of(process, n)


async def test_it_brings_the_query_forward(place, shop):
    """What the report may be about is looked at now, and the query finds the truth."""
    app, process = await standing(place, shop)
    assert await due(app) > 30
    with pytest.raises(UnknownCall):
        await app.report(key_of(process, 2), Failed("no"))
    assert await due(app) <= 0
    shop.will("find", A)
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"


async def test_a_process_that_is_not_there_is_kept_as_evidence(place, shop):
    """The report may have come before its process, or from elsewhere: it is kept for a while."""
    app = await place.open(redeem(), shop=shop)
    key = "0" * 32 + ":1"
    with pytest.raises(UnknownCall):
        await app.report(key, A, source="query")
    ((stored, body),) = await rows(app, "SELECT call_key, body FROM tieout_stray")
    assert stored == key
    assert msgspec.json.decode(body)["source"] == "query"
    assert [alarm.object for alarm in await alarms(app)] == ["query"]


async def test_it_never_settles_what_starts_later(place, shop):
    """A report that came too early is evidence only: the process makes its own call."""
    kind = redeem()
    app = await place.open(kind, shop=shop)
    request = kind(request_id="r1", user="ann")
    with pytest.raises(UnknownCall):
        await app.report(f"{request.id}:1", Failed("forged"))
    process = await app.start(request, wait=60)
    assert process.state == "completed"


async def test_repetitions_are_kept_once(place, shop):
    """The same stray again adds nothing but a count."""
    app = await place.open(redeem(), shop=shop)
    for _ in range(3):
        with pytest.raises(UnknownCall):
            await app.report("0" * 32 + ":1", A)
    assert await rows(app, "SELECT count(*) FROM tieout_stray") == [(1,)]
    (alarm,) = await alarms(app)
    assert alarm.count == 3


async def test_strays_are_limited(place, shop, monkeypatch):
    """A flood of forged reports fills neither the table nor the alarm's evidence."""
    monkeypatch.setattr(gate, "STRAY_LIMIT", 10)
    app = await place.open(redeem(), shop=shop)
    forged = [app.report(f"{n:032x}:1", A) for n in range(80)]
    refused = await asyncio.gather(*forged, return_exceptions=True)
    assert all(isinstance(error, UnknownCall) for error in refused)
    ((kept,),) = await rows(app, "SELECT count(*) FROM tieout_stray")
    assert 10 <= kept <= 20
    (alarm,) = await alarms(app)
    assert alarm.count == 80
    assert len(await evidence(app, alarm)) <= 60


async def test_strays_are_forgotten_after_a_day(place, shop):
    """What nothing came to claim is deleted by housekeeping."""
    app = await place.open(redeem(), shop=shop)
    with pytest.raises(UnknownCall):
        await app.report("0" * 32 + ":1", A)
    await app.keep_house()
    assert await rows(app, "SELECT count(*) FROM tieout_stray") == [(1,)]
    await rows(app, "UPDATE tieout_stray SET at = at - 90000000000")
    await app.keep_house()
    assert await rows(app, "SELECT count(*) FROM tieout_stray") == [(0,)]


@pytest.mark.parametrize(
    "outcome",
    [
        Succeeded(object()),
        Succeeded(math.nan),
        Succeeded(Prize("\ud800")),
        Failed("\0"),
        "yes",
        None,
        Succeeded("x" * 10**6),
    ],
    ids=range(7),
)
async def test_garbage_is_kept_as_it_can_be(place, shop, outcome):
    """Whatever an unknown call's report holds, the answer is "retry later", and the evidence is bounded."""
    app = await place.open(redeem(), shop=shop)
    with pytest.raises(UnknownCall):
        await app.report("0" * 32 + ":1", outcome)
    ((body,),) = await rows(app, "SELECT body FROM tieout_stray")
    assert len(body) <= 4_096


@pytest.mark.parametrize(
    "key", ["", ":", "r1", "0" * 32, "0" * 32 + ":x", "0" * 33 + ":1", "\0" * 34, "é:1", 5, None, b"0"]
)
async def test_what_is_no_call_key_is_an_unknown_call(place, shop, key):
    """A key that tieout cannot have made is refused, and nothing is stored about it."""
    app = await place.open(redeem(), shop=shop)
    with pytest.raises(UnknownCall):
        await app.report(key, A)
    assert await rows(app, "SELECT count(*) FROM tieout_stray") == [(0,)]


async def test_a_report_about_an_unknown_type_is_for_another_node(place, shop):
    """A node that does not know the type says "retry later, elsewhere", and stores nothing."""
    app, process = await standing(place, shop)
    other = await place.open(redeem(name="another"), shop=shop)
    with pytest.raises(NewerVersion):
        await other.report(key_of(process), A)
    assert await app.get(process.id) == process
    assert await alarms(app) == []
