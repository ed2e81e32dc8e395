"""Rows that this code cannot carry on: newer, unknown, or with a state or values that it has lost."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import tieout
from tests.process.place import ANN, age, alarms, key_of, raw, rest, rows, standing, sweep
from tests.process.shop import Prize, redeem
from tieout import Answer, Failed, NewerVersion, Next, Sending, Succeeded, Transaction, Unknown
from tieout.process import graph

A = Succeeded(Prize("A1"))


class Changed(tieout.Process[Any], name="redeem", key="request_id", owner="user"):
    """The type after a deployment that renamed its call."""

    request_id: str
    user: str

    completed = tieout.Final[Prize]()
    refunded = tieout.Final[str]()

    @tieout.start(to="deliver")
    async def deduct(self, tx: Transaction) -> Next:
        return self.deliver.next()

    @tieout.call(timeout=0.05, query_after=60)
    async def deliver(self, send: Sending) -> Answer[Prize]:
        return await self.deps.issue(send)

    @deliver.succeeded(to="completed")
    async def complete(self, tx: Transaction, prize: Prize) -> Next:
        return self.completed(prize)

    @deliver.failed(to="refunded")
    async def refund(self, tx: Transaction, why: Failed) -> Next:
        return self.refunded(why.code)


async def test_a_state_that_the_code_has_lost_is_held(place, shop):
    """Nothing is guessed: the process is held, and a person is told."""
    app, process = await standing(place, shop)
    other = await place.open(Changed, shop=shop)
    assert await sweep(other) == 1
    process = await app.get(process.id)
    assert (process.status, process.note, process.state) == ("held", "unknown-state", "issue")
    (alarm,) = await alarms(app)
    assert (alarm.kind, alarm.process, alarm.state) == ("unknown-state", raw(process), "open")
    assert (len(shop.sent), shop.asked) == (1, [])


async def test_code_that_knows_the_state_resumes_it(place, shop):
    """The old code is deployed again: an operator lets the process go on."""
    app, process = await standing(place, shop)
    other = await place.open(Changed, shop=shop)
    await sweep(other)
    with pytest.raises(tieout.NotAllowed, match="deploy"):
        await other.operate.resume(raw(process), ANN)
    await app.operate.resume(raw(process), ANN)
    shop.will("find", A)
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"


async def test_a_report_for_a_lost_state_is_kept(place, shop):
    """The answer is neither refused nor applied: it waits for code that knows what to do with it."""
    app, process = await standing(place, shop)
    other = await place.open(Changed, shop=shop)
    assert await other.report(key_of(process), Succeeded({"code": "A1", "sku": "mug"})) == "kept"
    assert (await app.get(process.id)).calls[0].final.kind == "succeeded"
    await sweep(app)
    assert (await app.get(process.id)).state == "completed"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("params", '{"request_id":"r1","user":"ann","quantity":"many"}'),
        ("snapshots", '{"price":"dear"}'),
        ("calls", '[{"n":1,"step":"issue","args":{"sku":5,"quantity":1}}]'),
    ],
)
async def test_values_that_no_longer_fit_are_held(place, shop, column, value):
    """The type of a param, a look-up or an argument has changed: the process is held, and nothing is sent."""
    app, process = await standing(place, shop)
    await rows(app, f"UPDATE tieout_process SET {column} = :value", value=value)
    await sweep(app)
    process = await app.get(process.id)
    assert (process.status, process.note) == ("held", "unknown-state")
    assert [alarm.kind for alarm in await alarms(app)] == ["unknown-state"]
    assert (len(shop.sent), shop.asked) == (1, [])


async def test_one_illegible_row_stops_no_other(place, shop, caplog):
    """A row that cannot be read is passed over, and said so; every other process goes on."""
    kind = redeem()
    app = await place.open(kind, shop=shop)
    shop.will("issue", Unknown("?"), Unknown("?"))
    bad, good = [await app.start(kind(request_id=name, user="ann")) for name in ("bad", "good")]
    await rest(app)
    await rows(app, "UPDATE tieout_process SET calls = '[{}]' WHERE id = :id", id=raw(bad))
    shop.will("find", A)
    with caplog.at_level(logging.ERROR):
        await sweep(app)
    assert (await app.get(good.id)).state == "completed"
    assert bad.id in caplog.text


async def test_unknown_types_are_not_touched(place, shop):
    """A worker leaves the types of other services in the same database alone."""
    app, process = await standing(place, shop)
    other = await place.open(redeem(name="another"), shop=shop)
    before = await app.get(process.id)
    await age(app, process, 3_600)
    assert await sweep(other) == 0
    after = await app.get(process.id)
    assert (after.fence, after.attempts, after.status) == (before.fence, before.attempts, "running")


@pytest.fixture
async def newer(place, shop):
    """Old and new code on one database, and a process of the new one."""
    new, process = await standing(place, shop, redeem(version=2))
    old = await place.open(redeem(version=1), shop=shop)
    return old, new, process


async def test_older_code_does_not_sweep_newer_rows(newer, shop):
    """It is left to a node that understands it."""
    old, new, process = newer
    assert await sweep(old) == 0
    shop.will("find", A)
    assert await sweep(new) == 1
    assert (await new.get(process.id)).state == "completed"


async def test_newer_code_sweeps_older_rows(place, shop):
    """A deployment carries on what was there."""
    old, process = await standing(place, shop, redeem(version=1))
    new = await place.open(redeem(version=2), shop=shop)
    shop.will("find", A)
    assert await sweep(new) == 1
    assert (await old.get(process.id)).state == "completed"


async def test_older_code_answers_retry_later(newer):
    """A report, a repeated request or a command for a newer row is refused, and the row is not changed."""
    old, new, process = newer
    before = await new.get(process.id)
    request = old.types["redeem"].cls(request_id="r1", user="ann")
    for attempt in (
        old.report(key_of(process), A),
        old.start(request),
        old.operate.settle(raw(process), 1, "succeeded", ANN, value={"code": "A1"}),
    ):
        with pytest.raises(NewerVersion):
            await attempt
    assert await new.get(process.id) == before
    assert await alarms(new) == []


async def test_anyone_may_read_a_newer_row(newer):
    """Looking changes nothing."""
    old, _, process = newer
    assert (await old.get(process.id)).version == 2


async def test_a_check_before_a_deployment_finds_what_would_be_lost(place, shop):
    """New code decodes every process that is not final, and says which it could not carry on, and why."""
    app, process = await standing(place, shop)
    assert await graph.check(app.database, app.store, app.types) == []
    other = await place.open(Changed, shop=shop)
    (problem,) = await graph.check(other.database, other.store, other.types)
    assert (problem.process, problem.type, problem.state) == (process.id, "redeem", "issue")
    assert "no open call" in problem.why
    stranger = await place.open(redeem(name="another"), shop=shop)
    (problem,) = await graph.check(stranger.database, stranger.store, stranger.types)
    assert "no such process type" in problem.why


async def test_a_check_finds_newer_rows_and_values_that_do_not_fit(newer, shop):
    """Held processes are checked too."""
    old, new, process = newer
    (problem,) = await graph.check(old.database, old.store, old.types)
    assert "newer" in problem.why
    await new.operate.hold(raw(process), ANN)
    await rows(new, "UPDATE tieout_process SET params = :params", params='{"request_id":5}')
    (problem,) = await graph.check(new.database, new.store, new.types)
    assert "request_id" in problem.why
