"""Commands on all processes that a filter matches: counted, one by one, audited each and as a whole; resumable."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

import tieout
from tests.process.place import ANN, rows, sweep
from tests.process.shop import Prize, redeem
from tieout import DatabaseUnavailable, Filter, NotFound, Succeeded
from tieout.eventloop import LoopClock
from tieout.process import bulk
from tieout.process.operating import Act

REDEEM = redeem()
OTHER = redeem(name="other", lane="elsewhere")


class Reminder(tieout.Process[None], name="reminder", key="number"):
    """Waits, and may be cancelled."""

    number: str

    sent = tieout.Final[str]()
    dropped = tieout.Final[str]()

    @tieout.start(to="later")
    async def begin(self, tx: tieout.Transaction) -> tieout.Next:
        return self.later.next("1h")

    @tieout.timer(to="sent")
    async def later(self, tx: tieout.Transaction) -> tieout.Next:
        return self.sent("")

    @tieout.cancel(to="dropped")
    async def drop(self, tx: tieout.Transaction, why: tieout.Cancelled) -> tieout.Next:
        return self.dropped(why.reason)


class HastyClock(LoopClock):
    """Does not wait between the tries of a transaction."""

    async def sleep(self, seconds):
        await super().sleep(0)


async def some(place, shop, count=5, **options):
    """An App, and the ids of processes that stand at their call and that nobody drives, oldest first."""
    app = await place.open(REDEEM, OTHER, Reminder, shop=shop, **options)
    started = [await app.engine.start(REDEEM(request_id=f"r{n}", user="ann")) for n in range(count)]
    return app, [one.record.id for one in started]


async def statuses(app):
    """How many processes have which status."""
    return dict(await rows(app, "SELECT status, count(*) FROM tieout_process GROUP BY status"))


async def audit(app, target="bulk"):
    """The acts on one object, with their details."""

    async def work(tx):
        return await app.operate.audit.of(tx, target)

    return [(row.action, row.reason, msgspec.json.decode(row.detail)) for row in await app.database.read(work)]


@pytest.mark.parametrize("page", [1, 2, 5, 100])
async def test_every_process_has_its_turn_once(place, shop, monkeypatch, page):
    """Page by page, the newest first, each with its own audit row; what leaves the filter meanwhile skips nobody."""
    monkeypatch.setattr(bulk, "PAGE", page)
    app, ids = await some(place, shop)
    tally = await app.operate.bulk("hold", Filter(), ANN)
    assert (tally.matched, tally.done, tally.skipped, tally.failed, tally.stopped) == (5, 5, 0, 0, None)
    assert await statuses(app) == {"held": 5}
    for process in ids:
        assert [action for action, *_ in await audit(app, process.hex())] == ["hold"]
    acted = await rows(app, "SELECT object FROM tieout_audit WHERE action = 'hold' ORDER BY seq")
    assert [target for (target,) in acted] == [process.hex() for process in reversed(ids)]


async def test_the_whole_has_one_audit_row(place, shop):
    """It tells the filter, the counts and the reason."""
    app, ids = await some(place, shop, 2)
    await app.operate.bulk("hold", Filter(type="redeem", state="issue"), ANN, limit=7)
    ((action, reason, detail),) = await audit(app)
    assert (action, reason) == ("bulk-hold", ANN.reason)
    assert detail == {
        "filter": {"type": "redeem", "state": "issue"},
        "limit": 7,
        "matched": 2,
        "done": 2,
        "skipped": 0,
        "failed": 0,
        "answers": {},
        "latest": ids[0].hex(),
        "stopped": None,
    }


async def test_retry_and_resume(place, shop):
    """All that run are due now; all that are held go on."""
    app, _ = await some(place, shop, 3)
    assert (await app.operate.bulk("retry", Filter(), ANN)).done == 3
    assert await rows(app, "SELECT count(*) FROM tieout_process WHERE due <= {now}") == [(3,)]
    await app.operate.bulk("hold", Filter(), ANN)
    assert (await app.operate.bulk("resume", Filter(), ANN)).done == 3
    assert await statuses(app) == {"running": 3}


async def test_query_counts_the_answers(place, shop):
    """Each downstream is asked; what it said is counted by kind, and final answers move their processes."""
    app, _ = await some(place, shop, 3)
    shop.will("find", Succeeded(Prize("A1")), NotFound(), Succeeded(Prize("A2")))
    tally = await app.operate.bulk("query", Filter(), ANN)
    assert (tally.done, tally.answers) == (3, {"succeeded": 2, "notfound": 1})
    assert await statuses(app) == {"final": 2, "running": 1}


async def test_cancel_wishes_once(place, shop):
    """Those whose type cannot be cancelled are skipped, and so is on a repetition what is wished already."""
    app, _ = await some(place, shop, 2)
    for n in range(3):
        await app.engine.start(Reminder(number=f"m{n}"))
    first = await app.operate.bulk("cancel", Filter(), ANN)
    again = await app.operate.bulk("cancel", Filter(type="reminder"), ANN)
    assert (first.done, first.skipped, again.done, again.skipped) == (3, 2, 0, 3)
    await sweep(app)
    assert await rows(app, "SELECT count(*) FROM tieout_process WHERE state = 'dropped'") == [(3,)]


@pytest.mark.parametrize(
    ("wanted", "matched"),
    [
        ({}, 5),
        ({"type": "other"}, 2),
        ({"type": "redeem"}, 3),
        ({"type": "nobody"}, 0),
        ({"state": "issue"}, 5),
        ({"state": "completed"}, 0),
        ({"status": "held"}, 1),
        ({"lane": "elsewhere"}, 2),
        ({"since": 3_000}, 3),
        ({"before": 3_000}, 2),
        ({"since": 2_000, "before": 4_000, "type": "redeem"}, 2),
        ({"limit": 1}, 5),
    ],
    ids=repr,
)
async def test_only_what_the_filter_matches(place, shop, wanted, matched):
    """Type, state, status, lane and time of creation narrow it, all together; the count says so before."""
    app, ids = await some(place, shop, 3)
    others = [await app.engine.start(OTHER(request_id=f"o{n}", user="ann")) for n in range(2)]
    for n, process in enumerate([*ids, *(one.record.id for one in others)], 1):
        await rows(app, "UPDATE tieout_process SET created = :at WHERE id = :id", at=n * 1_000, id=process)
    held = await app.engine.start(REDEEM(request_id="held", user="ann"))
    await app.operate.hold(held.record.id, ANN)
    await rows(app, "UPDATE tieout_process SET created = 0 WHERE status = 'held'")
    command = "resume" if "status" in wanted else "hold"
    assert await app.operate.count(Filter(**wanted), command) == matched
    tally = await app.operate.bulk(command, Filter(**wanted), ANN)
    assert (tally.matched, tally.done) == (matched, matched)


@pytest.mark.parametrize(
    ("note", "matched"), [("operator: 1", 1), ("operator: ", 3), ("conflict", 0), ("%", 0), ("operator: 5%_!", 1)]
)
async def test_those_of_one_note(place, shop, note, matched):
    """What was held for a reason is found by how its note begins, whatever characters that has."""
    app, ids = await some(place, shop, 3)
    for process, reason in zip(ids, ("100%", "5%_! off", "50"), strict=True):
        await app.operate.hold(process, Act("ann", reason))
    tally = await app.operate.bulk("resume", Filter(note=note), ANN)
    assert (tally.matched, tally.done) == (matched, matched)


async def test_without_a_status_only_what_the_command_is_for(place, shop):
    """Nobody is told of every process that has long ended; a status that is given is taken at its word."""
    app, ids = await some(place, shop, 3)
    await app.operate.hold(ids[0], ANN)
    await app.report(f"{ids[1].hex()}:1", Succeeded(Prize("A1")))
    found = {command: await app.operate.count(Filter(), command) for command in bulk.APPLIES}
    assert found == {"retry": 1, "query": 2, "recheck": 3, "hold": 1, "resume": 1, "cancel": 2}
    assert await app.operate.count(Filter()) == 3
    tally = await app.operate.bulk("hold", Filter(status="final"), ANN)
    assert (tally.matched, tally.done, tally.skipped) == (1, 0, 1)


async def test_two_persons_at_a_time(place, shop):
    """Each process is held once, by either of them; whoever comes second skips it and changes nothing."""
    app, _ = await some(place, shop, 8)
    both = await asyncio.gather(*(app.operate.bulk("hold", Filter(), ANN) for _ in range(2)))
    assert sum(tally.done for tally in both) == 8
    assert all(tally.visited <= tally.matched and tally.failed == 0 for tally in both)
    assert await rows(app, "SELECT count(*) FROM tieout_audit WHERE action = 'hold'") == [(8,)]


async def test_progress_is_told_from_the_beginning(place, shop):
    """Before the first process, so that the total is known, and after each."""
    app, _ = await some(place, shop, 3)
    told = []
    await app.operate.bulk("hold", Filter(), ANN, progress=lambda tally: told.append((tally.matched, tally.done)))
    assert told == [(3, 0), (3, 1), (3, 2), (3, 3)]


async def test_a_failure_stops_no_other(place, shop):
    """What newer code has written fails here; it is counted and told, and the others are done."""
    app, ids = await some(place, shop, 3)
    await app.operate.bulk("hold", Filter(), ANN)
    await rows(app, "UPDATE tieout_process SET version = 99 WHERE id = :id", id=ids[1])
    tally = await app.operate.bulk("resume", Filter(), ANN)
    assert (tally.done, tally.failed) == (2, 1)
    ((process, code, message),) = [(one.process, one.code, one.message) for one in tally.failures]
    assert (process, code) == (ids[1].hex(), "newer-version")
    assert "99" in message


async def test_it_can_be_stopped_and_gone_on_with(place, shop):
    """Stopped between two processes, it says how far it came; the same command again does the rest, and only that."""
    app, _ = await some(place, shop, 5)
    asked = iter([False, False, True])
    tally = await app.operate.bulk("hold", Filter(), ANN, should_stop=lambda: next(asked))
    assert (tally.matched, tally.done, tally.stopped) == (5, 2, "asked")
    again = await app.operate.bulk("hold", Filter(), ANN)
    assert (again.matched, again.done, again.stopped) == (3, 3, None)
    assert [detail["stopped"] for _, _, detail in await audit(app)] == ["asked", None]


async def test_it_goes_on_from_where_it_came_to(place, shop):
    """`rest` is what is left, also of a command after which every process matches as before."""
    app, ids = await some(place, shop, 5)
    tally = await app.operate.bulk("retry", Filter(), ANN, limit=2)
    assert (tally.done, tally.stopped) == (2, "limit")
    assert tally.latest == ids[3].hex()
    rest = await app.operate.bulk("retry", tally.rest, ANN)
    assert (rest.done, rest.stopped) == (3, None)
    for process in ids:
        assert len(await audit(app, process.hex())) == 1


async def test_a_limit_that_is_not_reached_stops_nothing(place, shop):
    """Exactly as many as there are is not too many."""
    app, _ = await some(place, shop, 2)
    assert (await app.operate.bulk("hold", Filter(), ANN, limit=2)).stopped is None


async def test_a_cancelled_one_leaves_its_audit_row(place, shop):
    """The task is cancelled in the middle: what was done stays done, and the audit tells how much that is."""
    app, _ = await some(place, shop, 5)

    def cancel_at_two(tally):
        if tally.done == 2:
            task.cancel()

    task = asyncio.ensure_future(app.operate.bulk("hold", Filter(), ANN, progress=cancel_at_two))
    with pytest.raises(asyncio.CancelledError):
        await task
    ((_, _, detail),) = await audit(app)
    assert (detail["done"], detail["stopped"]) == (2, "cancelled")
    assert (await statuses(app))["held"] in (2, 3)


async def test_a_database_that_is_gone_ends_it(place, shop):
    """It is not asked in vain for each process that is left: the tally says so, and keeps what was done."""
    app, _ = await some(place, shop, 5, clock=HastyClock())
    hasten, calls = app.store.hasten, []

    async def lost(tx, process):
        calls.append(process)
        if len(calls) > 2:
            raise DatabaseUnavailable("gone")
        return await hasten(tx, process)

    app.store.hasten = lost
    tally = await app.operate.bulk("retry", Filter(), ANN)
    assert (tally.done, tally.failed, tally.stopped) == (2, 0, "database")
    assert [(one.process, one.code) for one in tally.failures] == [("", "database-unavailable")]
    assert len(set(calls)) == 3


async def test_an_audit_row_that_cannot_be_written_is_told(place, shop):
    """What was done is done and audited one by one; that the row of the whole is missing is no secret."""
    app, _ = await some(place, shop, 1, clock=HastyClock())

    def lose_the_database(tally):
        if tally.done:
            app.operate.audit.add = gone

    async def gone(tx, **row):
        raise DatabaseUnavailable("gone")

    tally = await app.operate.bulk("hold", Filter(), ANN, progress=lose_the_database)
    assert (tally.done, tally.stopped) == (1, "database")
    assert await audit(app) == []


async def test_nothing_matches(place, shop):
    """Nothing is done, and the audit says that it was tried."""
    app, _ = await some(place, shop, 0)
    tally = await app.operate.bulk("hold", Filter(), ANN)
    assert (tally.matched, tally.visited, tally.stopped, tally.latest) == (0, 0, None, None)
    assert [action for action, *_ in await audit(app)] == ["bulk-hold"]


async def test_failures_are_told_up_to_a_hundred(place, shop, monkeypatch):
    """All are counted; no more than the first ones are kept."""
    monkeypatch.setattr(bulk, "FAILURES", 2)
    app, _ = await some(place, shop, 3)
    await app.operate.bulk("hold", Filter(), ANN)
    await rows(app, "UPDATE tieout_process SET version = 99")
    tally = await app.operate.bulk("resume", Filter(), ANN)
    assert (tally.failed, len(tally.failures)) == (3, 2)
