"""Retention: tombstones refuse their keys and judge late reports; purged, they free them."""

from __future__ import annotations

import asyncio

import pytest

from tests.process.place import ANN, POINTS, alarms, evidence, key_of, points, raw, rest, rows, standing, sweep
from tests.process.shop import Prize, redeem
from tieout import Failed, KeyRetired, Succeeded, Unknown, UnknownCall
from tieout.process import retention

A, A_TOO, B = Succeeded(Prize("A")), Succeeded(Prize("A", note="copy")), Succeeded(Prize("B"))
AGES_AGO = -1
"""A retention that everything is older than."""


@pytest.fixture
async def retired(place, shop):
    """A completed process of which only the tombstone is left."""
    app, process = await standing(place, shop, echo={"sku": "sku"})
    await app.report(key_of(process), A)
    assert await app.retention.retire(AGES_AGO) == 1
    return app, await app.get(process.id)


def request(app, **params):
    return app.types["redeem"].cls(**({"request_id": "r1", "user": "ann"} | params))


async def test_a_tombstone_is_small_and_says_how_it_ended(retired):
    """Id, owner, key, state and the digests of the finals are left; params, look-ups, results and trail are gone."""
    _, process = retired
    assert (process.status, process.state, process.owner, process.key) == ("retired", "completed", "ann", "r1")
    assert (process.params, process.snapshots, process.trail, process.result) == ({}, {}, [], None)
    assert process.is_final
    assert process.calls[0].final.value is None
    assert process.calls[0].final.identity != {}


@pytest.mark.parametrize("params", [{}, {"quantity": 5}])
async def test_its_key_is_refused(retired, params):
    """A request of last year is not executed anew, whatever its params: `KeyRetired`."""
    app, _ = retired
    before = await points(app)
    with pytest.raises(KeyRetired):
        await app.start(request(app, **params))
    assert await points(app) == before


async def test_a_late_equal_report_is_a_duplicate(retired):
    """The digests are enough to know it again."""
    app, process = retired
    assert await app.report(key_of(process), A_TOO) == "duplicate"
    assert await alarms(app) == []
    assert (await app.get(process.id)).duplicates == 1


@pytest.mark.parametrize("other", [B, Failed("no"), Succeeded(Prize("A", sku="cup"))], ids=["code", "kind", "echo"])
async def test_a_late_different_report_raises_the_alarm_once(retired, other):
    """However late: one alarm, which goes on counting; the tombstone stays what it is."""
    app, process = retired
    before = await app.get(process.id)
    assert await app.report(key_of(process), other) == "conflict"
    assert await app.report(key_of(process), other) == "conflict"
    (alarm,) = await alarms(app)
    assert (alarm.kind, alarm.state, alarm.count) == ("conflict", "open", 2)
    assert len(await evidence(app, alarm)) >= 2
    assert await app.get(process.id) == before


async def test_a_late_report_of_a_call_that_never_was(retired):
    """A tombstone has the calls that it had."""
    app, process = retired
    with pytest.raises(UnknownCall):
        await app.report(key_of(process, 2), A)


async def test_only_old_finals_are_retired(place, shop):
    """What runs or is held, and what ended lately, is kept whole."""
    kind = redeem()
    app = await place.open(kind, shop=shop)
    shop.will("issue", A, Unknown("?"), Unknown("?"))
    done, held, runs = [await app.start(kind(request_id=f"r{n}", user="ann")) for n in range(3)]
    await rest(app)
    await app.operate.hold(raw(held), ANN)
    assert await app.retention.retire(3_600 * 10**6) == 0
    assert await app.retention.retire(AGES_AGO) == 1
    assert [(await app.get(process.id)).status for process in (done, held, runs)] == ["retired", "held", "running"]


async def test_age_counts_from_the_last_change(place, shop):
    """A process that was started long ago and has just ended is young."""
    app, process = await standing(place, shop)
    await rows(app, "UPDATE tieout_process SET created = created - 7200000000, changed = changed - 7200000000")
    await app.report(key_of(process), A)
    assert await app.retention.retire(3_600 * 10**6) == 0


async def test_a_purged_key_is_free(retired):
    """Past the second horizon the tombstone is deleted, and the key may be used again."""
    app, _ = retired
    assert await app.retention.purge(3_600 * 10**6) == 0
    assert await app.retention.purge(AGES_AGO) == 1
    process = await app.start(request(app), wait=60)
    assert (process.replayed, process.state) == (False, "completed")
    assert await points(app) == POINTS - 20


async def test_housekeeping_does_all_of_it(place, shop):
    """One round retires what is older than `retention`, and purges what has been a tombstone for `tombstones`."""
    kind = redeem()
    app = await place.open(kind, shop=shop, retention="30d", tombstones="60d")
    await app.start(kind(request_id="r1", user="ann"), wait=60)
    days = 86_400 * 10**6
    for passed, left in ((29, ["final"]), (2, ["retired"]), (59, ["retired"]), (2, [])):
        await rows(app, "UPDATE tieout_process SET created = created - :by, changed = changed - :by", by=passed * days)
        await app.keep_house()
        assert [status for (status,) in await rows(app, "SELECT status FROM tieout_process")] == left


async def test_many_are_retired_in_batches(place, shop, monkeypatch):
    """More than one batch: each is a short transaction, and none is left out."""
    monkeypatch.setattr(retention, "BATCH", 7)
    kind = redeem()
    app = await place.open(kind, shop=shop)
    await asyncio.gather(*(app.start(kind(request_id=f"r{n}", user="ann"), wait=60) for n in range(20)))
    assert await app.retention.retire(AGES_AGO) == 20
    assert await app.retention.purge(AGES_AGO) == 20


async def test_a_row_that_changes_meanwhile_is_left(place, shop, monkeypatch):
    """A conflict is settled while its process is being retired: the fence tells, and the next round takes it."""
    app, process = await standing(place, shop)
    await app.report(key_of(process), A)
    read = app.database.read

    async def changed_after(work):
        found = await read(work)
        await rows(app, "UPDATE tieout_process SET fence = fence + 1")
        return found

    monkeypatch.setattr(app.database, "read", changed_after)
    assert await app.retention.retire(AGES_AGO) == 0
    monkeypatch.undo()
    assert (await app.get(process.id)).status == "final"
    assert await app.retention.retire(AGES_AGO) == 1


async def test_retired_processes_are_not_swept(retired, shop):
    """A tombstone is never due."""
    app, _ = retired
    assert await sweep(app) == 0
