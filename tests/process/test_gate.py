"""The gate: the first final of a call counts, the same again is counted, another raises one alarm."""

from __future__ import annotations

import asyncio
import itertools
from decimal import Decimal
from typing import Any

import msgspec
import pytest

import tieout
from tests.process.place import ANN, alarms, changes, evidence, key_of, raw, rest, rows, standing, sweep
from tests.process.shop import Prize, redeem
from tieout import Answer, Failed, Next, Sending, Succeeded, Transaction, Unknown
from tieout.process.outcomes import NotFound
from tieout.process.record import SOURCES

A, A_TOO, B = Succeeded(Prize("A")), Succeeded(Prize("A", note="second copy")), Succeeded(Prize("B"))
NO, NO_TOO = Failed("sold-out"), Failed("too-late", "closed at noon")
SAME = [(A, A), (A, A_TOO), (A_TOO, A), (NO, NO), (NO, NO_TOO)]
OTHER = [(A, B), (B, A), (A, NO), (NO, A), (NO, B)]
WAYS = list(itertools.product(SOURCES, SOURCES))

FOUND = "SELECT count(*) FROM tieout_alarm WHERE kind <> 'breaker'"
"""Alarms, but for that of the breaker, which so many calls without an answer have opened."""


async def stand_many(place, shop, count):
    """Many processes that stand at their call."""
    kind = redeem()
    app = await place.open(kind, shop=shop)
    shop.will("issue", *[Unknown("?")] * count)
    started = [app.start(kind(request_id=f"r{n}", user="ann")) for n in range(count)]
    processes = await asyncio.gather(*started)
    await rest(app)
    return app, processes


@pytest.mark.parametrize(("first", "second"), SAME)
async def test_the_same_final_from_whichever_source_is_a_duplicate(place, shop, first, second):
    """Every pair of sources: the first moves the process, the second is counted, and nothing else happens."""
    app, processes = await stand_many(place, shop, len(WAYS))

    async def twice(process, sources):
        return [
            await app.report(key_of(process), outcome, source=source)
            for outcome, source in zip((first, second), sources, strict=True)
        ]

    effects = await asyncio.gather(*map(twice, processes, WAYS))
    assert effects == [["advanced", "duplicate"]] * len(WAYS)
    assert await rows(app, FOUND) == [(0,)]
    assert await rows(app, "SELECT DISTINCT status, duplicates, fence FROM tieout_process") == [("final", 1, 2)]
    assert (await rows(app, "SELECT count(*) FROM posting WHERE what <> 'deduct'")) == [(len(WAYS),)]


@pytest.mark.parametrize(("first", "second"), OTHER)
async def test_another_final_from_whichever_source_is_one_conflict(place, shop, first, second):
    """Every pair of sources: one alarm with both claims as evidence, and the final stays what it was."""
    app, processes = await stand_many(place, shop, len(WAYS))

    async def twice(process, sources):
        await app.report(key_of(process), first, source=sources[0])
        before = await app.get(process.id)
        assert await app.report(key_of(process), second, source=sources[1]) == "conflict"
        after = await app.get(process.id)
        assert (after.state, after.result, after.trail, after.calls) == (
            before.state,
            before.result,
            before.trail,
            before.calls,
        )

    await asyncio.gather(*map(twice, processes, WAYS))
    raised = await app.alarms.list(kind="conflict", limit=1_000)
    assert {alarm.object for alarm in raised} == {key_of(process) for process in processes}
    assert {(alarm.count, alarm.state, alarm.severity) for alarm in raised} == {(1, "open", "critical")}
    assert len(raised) == len(WAYS) == (await rows(app, FOUND))[0][0]
    assert (await rows(app, "SELECT count(*) FROM posting WHERE what <> 'deduct'")) == [(len(WAYS),)]
    for alarm in raised[:3]:
        assert {claim["kind"] for claim in await evidence(app, alarm)} == {kind_of(first), kind_of(second)}
        assert len(await evidence(app, alarm)) == 2


def kind_of(outcome):
    return "failed" if isinstance(outcome, Failed) else "succeeded"


async def test_of_concurrent_reports_one_moves_the_process(place, shop):
    """Twenty reports of one final at once: the step runs once, the others are duplicates."""
    app, process = await standing(place, shop)
    effects = await asyncio.gather(*(app.report(key_of(process), A) for _ in range(20)))
    assert sorted(effects) == ["advanced", *["duplicate"] * 19]
    assert (await app.get(process.id)).duplicates == 19
    assert await changes(app, process.id) == ["complete", "deduct"]


async def test_of_concurrent_contradictions_one_wins(place, shop):
    """Succeeded and Failed at once, many times: one final, one alarm, one business write."""
    app, process = await standing(place, shop)
    other = await place.open(redeem(), shop=shop)
    reports = [node.report(key_of(process), outcome) for node in (app, other) for outcome in (A, NO) * 5]
    effects = await asyncio.gather(*reports)
    assert effects.count("advanced") == 1
    assert (effects.count("duplicate"), effects.count("conflict")) == (9, 10)
    (alarm,) = await alarms(app)
    assert alarm.count == 10
    assert len(await changes(app, process.id)) == 2


async def test_both_claims_and_later_ones_are_kept(place, shop):
    """The alarm's evidence is every claim that differs, with who made it; a repeated one is counted."""
    app, process = await standing(place, shop)
    for outcome, source in ((A, "push"), (NO, "sweep"), (B, "query"), (NO, "push"), (A, "push")):
        await app.report(key_of(process), outcome, source=source)
    (alarm,) = await alarms(app, "conflict")
    told = await evidence(app, alarm)
    assert [(claim["kind"], claim["source"]) for claim in told] == [
        ("succeeded", "push"),
        ("failed", "sweep"),
        ("succeeded", "query"),
    ]
    assert [claim.get("value", {}).get("code") for claim in told] == ["A", None, "B"]
    assert alarm.count == 3
    assert "kind" in alarm.summary


async def test_a_conflict_holds_a_process_that_is_not_final(place, shop):
    """The contradicted call is closed and a later one is open: the process is held, its state unchanged."""
    app, process = await standing(place, shop, TwoCalls)
    assert await app.report(key_of(process), Succeeded("one")) == "advanced"
    await rest(app)
    assert await app.report(key_of(process), Failed("no")) == "conflict"
    process = await app.get(process.id)
    assert (process.status, process.note, process.state, process.due, process.lane) == (
        "held",
        "conflict",
        "second",
        None,
        None,
    )
    assert [alarm.object for alarm in await alarms(app)] == [key_of(process, 1)]


async def test_a_conflict_on_a_held_process_keeps_the_first_claim(place, shop):
    """Nothing is overwritten: the kept claim stays the one that is followed."""
    app, process = await standing(place, shop)
    await app.operate.hold(raw(process), ANN)
    assert await app.report(key_of(process), A) == "kept"
    assert await app.report(key_of(process), NO) == "conflict"
    process = await app.get(process.id)
    assert (process.status, process.calls[0].final.kind) == ("held", "succeeded")
    assert len(await alarms(app)) == 1


async def test_a_conflict_judged_while_the_process_resumes_still_holds_it(place, shop):
    """The report was read while the process was held, and judged after it was resumed: it is held again."""
    app, process = await standing(place, shop)
    await app.operate.hold(raw(process), ANN)
    await app.report(key_of(process), A)
    judge = app.engine.gate.report

    async def resumed_first(report, hint=None):
        await app.operate.resume(raw(process), ANN)
        return await judge(report, hint)

    app.engine.gate.report = resumed_first
    assert await app.report(key_of(process), B) == "conflict"
    process = await app.get(process.id)
    assert (process.status, process.note) == ("held", "conflict")


async def test_a_report_while_held_is_kept_and_applied_on_resume(place, shop):
    """A held process runs nothing; what was reported meanwhile is applied when it goes on."""
    app, process = await standing(place, shop)
    await app.operate.hold(raw(process), ANN)
    assert await app.report(key_of(process), A, source="push") == "kept"
    assert await app.report(key_of(process), A) == "duplicate"
    assert await changes(app, process.id) == ["deduct"]
    await app.operate.resume(raw(process), ANN)
    await sweep(app)
    process = await app.get(process.id)
    assert (process.state, process.trail[0].source, process.trail[0].by) == ("completed", "push", "message")
    assert (len(shop.sent), shop.asked) == (1, [])


async def test_an_answer_while_held_is_kept(place, shop):
    """The process was held while its call was out: the answer is neither lost nor applied."""
    app, process = await standing(place, shop)

    async def held_meanwhile(send):
        await app.operate.hold(raw(process), ANN)
        return A

    shop.find = held_meanwhile
    await sweep(app)
    after = await app.get(process.id)
    assert (after.status, after.calls[0].final.kind) == ("held", "succeeded")
    assert await changes(app, process.id) == ["deduct"]


async def test_an_echo_that_differs_is_no_success(place, shop):
    """An answer about another article than was ordered: an alarm, the process is held, nothing runs."""
    app, process = await standing(place, shop, echo={"sku": "sku"})
    assert await app.report(key_of(process), Succeeded(Prize("A", sku="cup"))) == "conflict"
    process = await app.get(process.id)
    assert (process.status, process.state, process.calls[0].final) == ("held", "issue", None)
    assert await changes(app, process.id) == ["deduct"]
    (alarm,) = await alarms(app)
    told = await evidence(app, alarm)
    assert {"sent": {"quantity": 1, "sku": "mug"}} in told
    assert any(claim.get("mismatch") == ["sku"] for claim in told)


async def test_an_immediate_echo_that_differs_is_no_success(place, shop):
    """The same holds for the answer of the call itself."""
    kind = redeem(echo={"sku": "sku"})
    app = await place.open(kind, shop=shop)
    shop.will("issue", Succeeded(Prize("A", sku="cup")))
    process = await app.start(kind(request_id="r1", user="ann"), wait=60)
    assert (process.status, process.note) == ("held", "conflict")
    assert len(await alarms(app)) == 1


async def test_an_echo_that_agrees_is_a_success(place, shop):
    """What was ordered is what was delivered."""
    app, process = await standing(place, shop, echo={"sku": "sku"})
    assert await app.report(key_of(process), Succeeded(Prize("A"))) == "advanced"


async def test_after_a_broken_echo_the_right_answer_moves_it(place, shop):
    """The wrong answer was no final: once a person has looked, the right one counts."""
    app, process = await standing(place, shop, echo={"sku": "sku"})
    await app.report(key_of(process), Succeeded(Prize("A", sku="cup")))
    await app.operate.resume(raw(process), ANN)
    assert await app.report(key_of(process), A) == "advanced"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"no": 1, "code": "A"}, {"code": "A", "no": 1}),
        ({"code": "A", "no": 1}, {"code": "A", "no": 1.0}),
        ({"code": "A", "worth": "10.0"}, {"code": "A", "worth": "10.00"}),
        ({"code": "A", "worth": "10"}, {"code": "A", "worth": "1E+1"}),
        ({"code": "A"}, {"code": "A", "no": 7}),
        ({"code": "A", "no": 7}, {"code": "A"}),
        ({"code": "A", "free": 1}, {"code": "A", "free": 2}),
    ],
)
async def test_equal_values_in_other_words_agree(place, shop, first, second):
    """Key order, 1.0 for 1, zeros of a Decimal, fields that one side lacks or that identify nothing: no alarm."""
    app, process = await standing(place, shop, Wide)
    assert await app.report(key_of(process), Succeeded(first)) == "advanced"
    assert await app.report(key_of(process), Succeeded(second)) == "duplicate"
    assert await alarms(app) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"code": "A"}, {"code": "a"}),
        ({"code": "A"}, {"code": "A "}),
        ({"code": "A", "no": 1}, {"code": "A", "no": 2}),
        ({"code": "A", "no": None}, {"code": "A", "no": 2}),
        ({"code": "A", "worth": "10.0"}, {"code": "A", "worth": "10.01"}),
        ({"code": "A", "worth": "1" * 40}, {"code": "A", "worth": "1" * 39 + "2"}),
    ],
)
async def test_other_values_are_a_conflict(place, shop, first, second):
    """However small the difference in an identity field."""
    app, process = await standing(place, shop, Wide)
    assert await app.report(key_of(process), Succeeded(first)) == "advanced"
    assert await app.report(key_of(process), Succeeded(second)) == "conflict"


@pytest.mark.parametrize(
    "outcome", ["yes", None, Succeeded("A"), Succeeded({"code": 5}), Failed(5), Succeeded(Prize("\ud800"))]
)
async def test_a_report_that_does_not_fit_is_refused(place, shop, outcome):
    """A push of the wrong type raises `InvalidParams` and changes nothing."""
    app, process = await standing(place, shop)
    with pytest.raises(tieout.InvalidParams):
        await app.report(key_of(process), outcome)
    assert await app.get(process.id) == process
    assert await alarms(app) == []


class Bill(msgspec.Struct, omit_defaults=True):
    """An answer with identity fields of several types."""

    code: str
    no: float | msgspec.UnsetType | None = msgspec.UNSET
    worth: Decimal | msgspec.UnsetType = msgspec.UNSET
    free: int = 0


class Wide(tieout.Process[Any], name="wide", key="request_id", owner="user"):
    """A call that is identified by three fields."""

    request_id: str
    user: str

    completed = tieout.Final[Bill]()
    refused = tieout.Final[str]()

    @tieout.start(to="issue")
    async def begin(self, tx: Transaction) -> Next:
        return self.issue.next()

    @tieout.call(timeout=0.05, query_after=60, identity=["code", "no", "worth"])
    async def issue(self, send: Sending) -> Answer[Bill]:
        return await self.deps.issue(send)

    @issue.succeeded(to="completed")
    async def done(self, tx: Transaction, bill: Bill) -> Next:
        return self.completed(bill)

    @issue.failed(to="refused")
    async def undone(self, tx: Transaction, why: Failed) -> Next:
        return self.refused(why.code)


class TwoCalls(tieout.Process[Any], name="two", key="request_id", owner="user"):
    """Two calls, one after the other."""

    request_id: str
    user: str

    completed = tieout.Final[str]()
    refused = tieout.Final[str]()

    @tieout.start(to="first")
    async def begin(self, tx: Transaction) -> Next:
        return self.first.next()

    @tieout.call(timeout=0.05, query_after=60)
    async def first(self, send: Sending) -> Answer[str]:
        return await self.deps.do("issue", NotFound())

    @first.succeeded(to="second")
    async def go_on(self, tx: Transaction, value: str) -> Next:
        return self.second.next()

    @first.failed(to="refused")
    async def stop(self, tx: Transaction, why: Failed) -> Next:
        return self.refused(why.code)

    @tieout.call(timeout=0.05, query_after=60)
    async def second(self, send: Sending) -> Answer[str]:
        return await self.deps.do("issue", NotFound())

    @second.query
    async def found(self, send: Sending) -> Any:
        return await self.deps.do("find", NotFound())

    @second.succeeded(to="completed")
    async def done(self, tx: Transaction, value: str) -> Next:
        return self.completed(value)

    @second.failed(to="refused")
    async def undone(self, tx: Transaction, why: Failed) -> Next:
        return self.refused(why.code)
