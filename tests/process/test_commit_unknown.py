"""The answer to COMMIT is lost: whether it happened or not, the same key leads to one process."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.process.place import (
    ANN,
    POINTS,
    Hurried,
    age,
    alarms,
    changes,
    key_of,
    points,
    raw,
    rest,
    rows,
    standing,
    sweep,
)
from tests.process.shop import Prize, redeem
from tieout import CommitUnknown, DatabaseError, DatabaseUnavailable, Failed, NotAllowed, RetryTransaction, Succeeded
from tieout.database import connect
from tieout.database.retrying import TRIES

A = Succeeded(Prize("A1"))


class Lossy:
    """A database whose answers to some commits are lost: `plan` says of each transaction what becomes of it."""

    def __init__(self, url):
        self.inner = connect(url)
        self.plan = {}
        self.count = 0
        self.dialect = self.inner.dialect
        self.open, self.close = self.inner.open, self.inner.close
        self.read, self.stream = self.inner.read, self.inner.stream

    async def transact(self, work):
        """Run it: "done" is committed and not told, "undone" rolled back and not told; an error is raised instead."""
        self.count += 1
        fate = self.plan.get(self.count, self.plan.get("always"))
        if isinstance(fate, Exception):
            raise fate
        if fate == "undone":
            await self._try(work)
        else:
            result = await self.inner.transact(work)
            if fate is None:
                return result
        raise CommitUnknown("no answer to COMMIT")

    async def _try(self, work):
        async def fail(tx):
            await work(tx)
            raise _RolledBackError

        try:
            await self.inner.transact(fail)
        except _RolledBackError:
            return


class _RolledBackError(Exception):
    pass


async def open_lossy(place, shop, kind):
    database = Lossy(place.url)
    app = await place.open(kind, shop=shop, database=database, clock=Hurried())
    database.count = 0
    return app, database


@pytest.mark.parametrize("fate", ["done", "undone"])
async def test_a_start_whose_commit_is_unknown_is_one_process(place, shop, fate):
    """The engine repeats the transaction with the same key: one row, one business write, and it goes on."""
    kind = redeem()
    app, database = await open_lossy(place, shop, kind)
    database.plan = {1: fate}
    process = await app.start(kind(request_id="r1", user="ann"))
    await rest(app)
    assert await rows(app, "SELECT count(*) FROM tieout_process") == [(1,)]
    assert await points(app) == POINTS - 10
    await age(app, process, 3_600)
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"
    assert await changes(app, process.id) == ["complete", "deduct"]


@pytest.mark.parametrize("fate", ["done", "undone"])
async def test_when_it_stays_unknown_the_caller_is_told(place, shop, fate):
    """After several tries `CommitUnknown` is raised; the same request later gets the one process that there is."""
    kind = redeem()
    app, database = await open_lossy(place, shop, kind)
    database.plan = {"always": fate}
    with pytest.raises(CommitUnknown) as lost:
        await app.start(kind(request_id="r1", user="ann"))
    assert (lost.value.code, lost.value.outcome, lost.value.retryable) == ("commit-unknown", "unknown", True)
    assert database.count <= TRIES + 2
    database.plan = {}
    process = await app.start(kind(request_id="r1", user="ann"))
    await rest(app)
    assert process.replayed == (fate == "done")
    assert await points(app) == POINTS - 10


@pytest.mark.parametrize("fate", ["done", "undone"])
async def test_doubt_outlives_a_database_that_fails_afterwards(place, shop, fate):
    """The answer to COMMIT is lost and then nothing can be reached: the caller hears "unknown", and not "failed"."""
    kind = redeem()
    app, database = await open_lossy(place, shop, kind)
    database.plan = {1: fate, "always": DatabaseUnavailable("no connection")}
    with pytest.raises(CommitUnknown):
        await app.start(kind(request_id="r1", user="ann"))
    database.plan = {"always": DatabaseUnavailable("no connection")}
    with pytest.raises(DatabaseUnavailable):
        await app.start(kind(request_id="r2", user="ann"))


@pytest.mark.parametrize("fate", ["done", "undone"])
@pytest.mark.parametrize("idempotent", [True, False], ids=["idempotent", "sent-once"])
async def test_any_one_lost_commit_changes_nothing_in_the_end(place, shop, fate, idempotent):
    """Whichever transaction of a process it is: one business write each, and at most one send of what is sent once."""
    kind = redeem(idempotent=idempotent)
    for lost in range(1, 9):
        app, database = await open_lossy(place, shop, kind)
        database.plan = {lost: fate}
        shop.sent.clear()
        process = await app.start(kind(request_id=f"r{lost}", user="ann"))
        await rest(app)
        if not (await app.get(process.id)).is_final:
            shop.will("find", A)
            await sweep(app)
        assert (await app.get(process.id)).state == "completed"
        assert await changes(app, process.id) == ["complete", "deduct"]
        assert len(shop.sent) <= 1
        assert len({sending.key for sending in shop.sent}) <= 1
        await app.close()


@pytest.mark.parametrize("fate", ["done", "undone", RetryTransaction("deadlock")], ids=str)
async def test_a_report_whose_commit_is_unknown_counts_once(place, shop, fate):
    """The step runs once; the reporter is told that its answer arrived."""
    _, process = await standing(place, shop)
    app, database = await open_lossy(place, shop, redeem())
    for lost in (1, 2):
        database.plan = {database.count + lost: fate}
        assert await app.report(key_of(process), A) in ("advanced", "duplicate")
    assert (await app.get(process.id)).state == "completed"
    assert await changes(app, process.id) == ["complete", "deduct"]
    assert await alarms(app) == []


@pytest.mark.parametrize("fate", ["done", "undone"])
async def test_a_conflict_whose_commit_is_unknown_is_one_alarm(place, shop, fate):
    """However often its transaction is repeated."""
    _, process = await standing(place, shop)
    app, database = await open_lossy(place, shop, redeem())
    await app.report(key_of(process), A)
    database.plan = {database.count + 2: fate}
    assert await app.report(key_of(process), Failed("no")) == "conflict"
    (alarm,) = await alarms(app)
    assert (alarm.kind, alarm.state) == ("conflict", "open")


@pytest.mark.parametrize("fate", ["done", "undone"])
async def test_a_kept_claim_whose_commit_is_unknown_is_kept(place, shop, fate):
    """The step raises and the commit that keeps the claim is lost: the claim is there all the same."""
    _, process = await standing(place, shop)
    app, database = await open_lossy(place, shop, redeem())
    shop.will("complete", ValueError("x"))
    for lost in (3, 4):
        database.plan[lost] = fate
    await app.report(key_of(process), A)
    assert (await app.get(process.id)).calls[0].final.kind == "succeeded"
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"


@pytest.mark.parametrize("fate", ["done", "undone"])
async def test_a_mark_whose_commit_is_unknown_never_leads_to_two_sends(place, shop, fate):
    """The engine cannot tell whether it marked the call: it does not send, or it sends once."""
    kind = redeem(idempotent=False)
    app, database = await open_lossy(place, shop, kind)
    database.plan = {2: fate}
    process = await app.start(kind(request_id="r1", user="ann"))
    await rest(app)
    for _ in range(3):
        await age(app, process, 3_600)
        await sweep(app)
    assert len(shop.sent) <= 1
    assert (await app.get(process.id)).status in ("held", "final")


@pytest.mark.parametrize("fate", ["done", "undone"])
async def test_a_command_whose_commit_is_unknown_is_not_done_twice(place, shop, fate):
    """Hold again finds it held: the operator is told, and the audit has one row."""
    _, process = await standing(place, shop)
    app, database = await open_lossy(place, shop, redeem())
    database.plan = {1: fate}
    held = app.operate.hold(raw(process), ANN)
    if fate == "done":
        with pytest.raises(NotAllowed):
            await held
    else:
        await held
    assert (await app.get(process.id)).status == "held"
    assert await rows(app, "SELECT count(*) FROM tieout_audit") == [(1,)]


async def test_deadlocks_are_run_again_with_a_limit(place, shop):
    """A retryable error costs another try, and no more than so many; then the caller is told, and nothing is done."""
    kind = redeem()
    app, database = await open_lossy(place, shop, kind)
    database.plan = {1: RetryTransaction("deadlock"), 2: RetryTransaction("deadlock")}
    process = await app.start(kind(request_id="r1", user="ann"), wait=60)
    assert (process.state, process.replayed) == ("completed", False)
    database.plan = {"always": RetryTransaction("deadlock")}
    before = database.count
    with pytest.raises(RetryTransaction):
        await app.start(kind(request_id="r2", user="ann"))
    assert database.count - before == TRIES
    database.plan = {}
    assert await points(app) == POINTS - 10


async def test_a_storm_of_lost_commits_loses_and_doubles_nothing(place, shop):
    """Every third commit of two nodes is lost, done or undone: thirty requests, thirty processes, thirty ends."""
    kind = redeem()
    nodes = [await open_lossy(place, shop, kind) for _ in range(2)]
    for _, database in nodes:
        database.plan = {n: ("done", "undone")[n % 2] for n in range(1, 2_000, 3)}

    async def accept(n):
        app, _ = nodes[n % 2]
        while True:
            try:
                return await app.start(kind(request_id=f"r{n}", user="ann"))
            except DatabaseError:
                continue

    processes = await asyncio.gather(*(accept(n) for n in range(30)))
    for app, _ in nodes:
        await rest(app)
    plain = await place.open(kind, shop=shop)

    async def find(send):
        return A

    shop.find = find
    await sweep(plain)
    await sweep(plain)
    written = Counter(await rows(plain, "SELECT process, what FROM posting"))
    assert written == {(process.id, what): 1 for process in processes for what in ("deduct", "complete")}
    assert await alarms(plain) == []
