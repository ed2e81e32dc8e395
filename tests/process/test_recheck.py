"""Asking the downstreams again, whatever has ended, and finding what they did and nobody here stands for."""

from __future__ import annotations

import pytest

from tests.process.place import ANN, alarms, evidence, rows
from tests.process.shop import Prize, redeem
from tieout import Failed, Filter, NotFound, Succeeded, UnknownCall
from tieout.errors import NotAllowed

REDEEM = redeem(settle=0)
PATIENT = redeem(name="patient", settle=120)
SILENT = redeem(name="silent", query=False)
WON = Succeeded(Prize("A1"))


async def ended(place, shop, kind=REDEEM, count=1):
    """An App, and the ids of processes that are final, as their downstream said."""
    app = await place.open(REDEEM, PATIENT, SILENT, shop=shop)
    started = [await app.engine.start(kind(request_id=f"r{n}", user="ann")) for n in range(count)]
    for one in started:
        assert await app.report(f"{one.record.id.hex()}:1", WON) == "advanced"
    return app, [one.record.id for one in started]


async def test_a_downstream_that_says_the_same_changes_nothing(place, shop):
    """It is asked about what has ended, and its answer counts as one more of the same."""
    app, (process,) = await ended(place, shop)
    shop.will("find", WON)
    assert await app.operate.recheck(process, ANN) == (Succeeded({"code": "A1", "sku": "mug", "note": None}),)
    assert (await app.get(process.hex())).state == "completed"
    assert await alarms(app) == []
    assert shop.sent == []


@pytest.mark.parametrize("answer", [Failed("sold-out"), Succeeded(Prize("B2")), NotFound()])
async def test_a_downstream_that_says_otherwise_is_a_conflict(place, shop, answer):
    """One alarm for the call, however often it is asked, with both claims; the final state stays."""
    app, (process,) = await ended(place, shop)
    shop.will("find", answer, answer)
    for _ in range(2):
        await app.operate.recheck(process, ANN)
    (alarm,) = await alarms(app)
    assert (alarm.kind, alarm.object) == ("conflict", f"{process.hex()}:1")
    assert len(await evidence(app, alarm)) == 2
    assert (await app.get(process.hex())).state == "completed"


async def test_what_is_not_found_yet_is_no_conflict(place, shop):
    """Before the settle time a downstream may not find what it has just done."""
    app, (process,) = await ended(place, shop, PATIENT)
    assert await app.operate.recheck(process, ANN) == (NotFound(),)
    assert await alarms(app) == []


async def test_what_is_open_goes_on(place, shop):
    """A process that a failover has set back is moved by what its downstream says."""
    app = await place.open(REDEEM, shop=shop)
    started = await app.engine.start(REDEEM(request_id="r", user="ann"))
    shop.will("find", WON)
    await app.operate.recheck(started.record.id, ANN)
    assert (await app.get(started.record.id.hex())).state == "completed"


async def test_many_are_rechecked(place, shop):
    """Every status is meant; what has no query is skipped, and answers are counted; each is audited."""
    app, _ = await ended(place, shop, count=3)
    await app.engine.start(SILENT(request_id="s", user="ann"))
    shop.will("find", WON, NotFound(), WON)
    tally = await app.operate.bulk("recheck", Filter(), ANN)
    assert (tally.matched, tally.done, tally.skipped, tally.answers) == (4, 3, 1, {"succeeded": 2, "notfound": 1})
    assert await rows(app, "SELECT count(*) FROM tieout_audit WHERE action = 'recheck'") == [(4,)]


async def test_what_has_no_query_cannot_be_asked_about(place, shop):
    """One that is named is refused, and told why."""
    app, (process,) = await ended(place, shop, SILENT)
    with pytest.raises(NotAllowed, match="nothing to query"):
        await app.operate.recheck(process, ANN)


async def test_what_nobody_stands_for_is_missing(place, shop):
    """Calls of no process, and calls that a process has not come to, are told; those that there are, are not."""
    app, ids = await ended(place, shop, count=2)
    there = [f"{process.hex()}:1" for process in ids]
    gone = ["00" * 16 + ":1", f"{ids[0].hex()}:2"]
    assert await app.operate.missing([*there, *gone]) == gone
    assert await app.operate.missing([]) == []
    with pytest.raises(UnknownCall):
        await app.operate.missing(["no key"])
