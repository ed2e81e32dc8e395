"""A process in virtual time: what a test says, what it can see, and what it is told when they do not fit."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest

import tieout
from tests.testing.redeem import ORDER, SCHEMA, Prize, Redeem, Shop, redeem
from tieout import Failed, NotFound, NotSent, Pending, Succeeded
from tieout.testing import Always, Garbage, Lost, Real, Slow, finish, play

PRIZE = Succeeded(Prize("A1"))


async def test_lost_answer() -> None:
    """A lost answer is asked for until it is there; all that is sent goes out under one key."""
    run = redeem()
    run.script("issue", Lost(), NotFound(), PRIZE)
    p = await run.start(**ORDER)
    assert p.state == "completed" and len({s.key for s in run.sent("issue")}) == 1
    assert p.result == Prize("A1")
    assert len(run.queried("issue")) == 2


async def test_a_call_that_is_not_found_is_sent_again_with_the_same_key() -> None:
    """Past the settle time a call that the downstream does not know goes out again: one key, one set of arguments."""
    run = redeem()
    run.script("issue", send=[Lost(), PRIZE], query=[Always(NotFound())])
    p = await run.start(**ORDER)
    first, second = run.sent("issue")
    assert p.state == "completed"
    assert first.key == second.key == f"{p.id}:1"
    assert first.args == second.args == {"sku": "mug", "quantity": 2}
    assert (first.at, first.attempt) == (0.0, 1)
    assert second.at >= 12.0
    assert second.attempt > 1


async def test_without_a_script_the_handlers_answer() -> None:
    """Calls that no script answers go to the process type's own handlers and their fakes."""
    run = redeem()
    p = await run.start(**ORDER)
    assert p.result == Prize("mug-1")
    assert list(run.deps.issued) == [run.sent("issue")[0].key]


async def test_a_scripted_handler_is_not_called() -> None:
    """A script answers in place of the handler, for sends and queries alike."""
    run = redeem()
    run.script("issue", Lost(), PRIZE)
    await run.start(**ORDER)
    assert run.deps.issued == {}


async def test_a_script_for_queries_leaves_sends_to_the_handler() -> None:
    """Of send= and query=, the one that is not given stays with its handler."""
    run = redeem()
    run.script("issue", query=[PRIZE])
    run.crash_at("after-call:1")
    p = await run.start(**ORDER)
    assert p.result == Prize("A1")
    assert list(run.deps.issued.values()) == [Prize("mug-1")]


async def test_lost_real_acts_and_tells_nobody() -> None:
    """`Lost(Real())` runs the handler, so that a fake downstream has done it, and loses the answer."""
    run = redeem()
    run.script("issue", send=[Lost(Real())])
    p = await run.start(**ORDER)
    assert p.result == Prize("mug-1")
    assert [len(run.sent("issue")), len(run.queried("issue"))] == [1, 1]
    assert run.now == 7.0


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        (Garbage(), "unknown: "),
        (Garbage({"status": "???"}), "unknown: "),
        (OSError("cut"), "unknown: OSError: cut"),
        (Lost(), "unknown: timed out"),
        (Pending(), "pending"),
        (NotSent("refused"), "not sent: NotSent: refused"),
        (ConnectionRefusedError, "not sent: ConnectionRefusedError: scripted"),
    ],
)
async def test_every_kind_of_answer_can_be_scripted(answer: object, note: str) -> None:
    """What is no final answer leaves the process waiting, with a note that says what came."""
    run = redeem()
    run.script("issue", Always(answer))
    p = await run.start(**ORDER, within="5m")
    assert (p.state, p.status) == ("issue", "running")
    assert (p.note or "").startswith(note)
    assert run.now == 300.0


async def test_garbage_is_told_to_a_person() -> None:
    """An answer that fits no type raises an alarm, and the process goes on by asking."""
    run = redeem()
    run.script("issue", Garbage(), PRIZE)
    p = await run.start(**ORDER)
    assert p.state == "completed"
    assert [alarm.kind for alarm in run.alarms()] == ["unfit-answer"]


async def test_failed_runs_the_compensation() -> None:
    """A failure is final: its step gives the points back."""
    run = redeem()
    run.script("issue", Failed("sold_out"))
    p = await run.start(**ORDER)
    assert (p.state, p.result) == ("refunded", "sold_out")
    assert (await run.fetch_one("SELECT points FROM account"))["points"] == 1000


async def test_a_slow_answer_is_late_and_counts() -> None:
    """An answer after the time-out is reported when it comes, before the query is due."""
    run = redeem()
    run.script("issue", Slow(4, PRIZE))
    p = await run.start(**ORDER)
    assert (p.state, run.now) == ("completed", 4.0)
    assert run.queried() == []


async def test_a_slow_answer_in_time_is_an_answer() -> None:
    """An answer within the time-out takes its time and no more."""
    run = redeem()
    run.script("issue", Slow(1.5, Real()))
    assert (await run.start(**ORDER)).state == "completed"
    assert run.now == 1.5


async def test_a_virtual_day_takes_no_time() -> None:
    """Nothing sleeps: a day of asking again passes in moments, and the key's end holds the process."""
    run = redeem()
    run.script("issue", Always(Lost()))
    began = time.monotonic()
    p = await run.start(**ORDER, within="3h")
    assert p.status == "running"
    await run.advance("30h")
    assert run.now == 33 * 3600
    assert time.monotonic() - began < 20


async def test_a_key_past_its_validity_holds_the_process() -> None:
    """A call that is not found once its key may be forgotten is held, with an alarm, and sent no more."""
    run = redeem()
    run.script("issue", send=[Always(Lost())], query=[Always(Pending())])
    p = await run.start(**ORDER, until="accepted")
    await run.advance("25h")
    sent = len(run.sent())
    run = redeem()
    run.script("issue", send=[Lost()], query=[*[Pending(3600)] * 25, NotFound()])
    p = await run.start(**ORDER, within="3d")
    assert (p.status, p.note, sent) == ("held", "key-expired", 1)
    assert [alarm.kind for alarm in run.alarms()] == ["unconfirmed"]


async def test_until_accepted_stops_before_the_first_call() -> None:
    """The client's answer can be looked at before anything is sent; time then brings the rest."""
    run = redeem()
    p = await run.start(**ORDER, until="accepted")
    assert (p.state, p.status, run.sent(), run.now) == ("issue", "running", [], 0.0)
    await run.advance(0)
    assert (await run.get(p.id)).state == "completed"


async def test_advance_brings_what_falls_into_the_time() -> None:
    """Time moves by as much as is asked for, with every call, query and sweep in it and none after it."""
    run = redeem()
    run.script("issue", Lost(), Always(Pending()))
    await run.start(**ORDER, until="accepted")
    await run.advance("6999ms")
    assert run.queried() == []
    await run.advance("1ms")
    assert [one.at for one in run.queried()] == [7.0]


async def test_rest_waits_for_every_process() -> None:
    """`rest` goes on until all are final or held."""
    run = redeem()
    run.script("issue", Lost(), Lost(), Always(PRIZE))
    for key in ("a", "b"):
        await run.start(**{**ORDER, "request_id": key}, until="accepted")
    await run.rest()
    assert [(p.key, p.state) for p in await run.processes()] == [("a", "completed"), ("b", "completed")]


async def test_a_report_from_outside_moves_the_process() -> None:
    """A push is judged at once; the same again is a duplicate, another one a conflict with one alarm."""
    run = redeem()
    run.script("issue", Always(Lost()))
    p = await run.start(**ORDER, until="accepted")
    await run.advance(1)
    assert await run.report(1, PRIZE) == "advanced"
    assert await run.report(run.sent("issue")[0], PRIZE, source="query") == "duplicate"
    assert await run.report(f"{p.id}:1", Failed("sold_out")) == "conflict"
    assert (await run.get(p.id)).state == "completed"
    assert [alarm.kind for alarm in run.alarms()] == ["conflict"]
    with pytest.raises(tieout.UnknownCall):
        await run.report(2, PRIZE)


async def test_a_report_may_come_before_the_call() -> None:
    """A push that is quicker than the call moves the process; nothing is sent any more."""
    run = redeem()
    p = await run.start(**ORDER, until="accepted")
    await run.report(1, Failed("sold_out"))
    assert (await run.get(p.id)).state == "refunded"


async def test_a_worker_sweeps_at_its_own_pace() -> None:
    """What is due at once again and again is asked for once a second, as a worker does."""
    run = redeem()
    run.script("issue", *[Pending(0)] * 5, PRIZE)
    await run.start(**ORDER)
    times = [one.at for one in run.queried()]
    assert len(times) == 5
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(times))


async def test_refusals_reach_the_test() -> None:
    """What a client is told is raised: a refusal, changed params, params of wrong types."""
    run = redeem()
    with pytest.raises(tieout.Refused):
        await run.start(**{**ORDER, "quantity": 11})
    await run.start(**ORDER)
    with pytest.raises(tieout.ParamsChanged, match="quantity"):
        await run.start(**{**ORDER, "quantity": 3})
    with pytest.raises(tieout.InvalidParams):
        await run.start(**{**ORDER, "quantity": "many"})
    assert await run.fetch("SELECT sum(delta) FROM points_change") != []


async def test_the_same_request_again_is_a_replay() -> None:
    """A client who asks again gets the process that there is, with its result."""
    run = redeem()
    first, second = await run.start(**ORDER), await run.start(Redeem(**ORDER))
    assert (first.replayed, second.replayed) == (False, True)
    assert first.result == second.result
    assert len(run.sent()) == 1


async def test_business_tables_can_be_written_and_read() -> None:
    """The test sees the tables that the process writes; the database's clock is the play's."""
    run = redeem()
    await run.execute("INSERT INTO account VALUES (:name, 70)", name="v")
    await run.advance("1h")
    await run.start(**ORDER)
    assert [tuple(row) for row in await run.fetch("SELECT name, points FROM account ORDER BY name")] == [
        ("u", 800),
        ("v", 70),
    ]
    (row,) = await run.fetch("SELECT delta, at - 1767225600000000 AS at FROM points_change")
    assert (row["delta"], row["at"]) == (-200, 3_600_000_000)
    assert set(await run.tables()) == {"account", "points_change"}


async def test_one_seed_one_course() -> None:
    """The same play passes the same moments; another seed has other jitter."""

    async def course(seed: int) -> list[float]:
        run = redeem(seed=seed)
        run.script("issue", Always(Lost()))
        await run.start(**ORDER, within="2h")
        return [one.at for one in run.queried()]

    assert await course(1) == await course(1)
    assert await course(1) != await course(2)


def test_plain_tests_need_no_loop() -> None:
    """`finish` takes the place of `await` in a test that is no `async def`."""
    run = redeem()
    run.script("issue", Lost(), PRIZE)
    p = finish(run.start(**ORDER))
    assert p.state == "completed"
    finish(run.advance(10))
    assert run.now == 17.0


def test_finish_refuses_what_really_waits() -> None:
    """`finish` says so when something waits for the world outside."""

    class World:
        def __await__(self):
            yield

    async def reach() -> None:
        await World()

    with pytest.raises(RuntimeError, match="outside the play"):
        finish(reach())


async def test_the_loop_around_goes_on() -> None:
    """A test's own loop, task and time-outs are what they were, before and after."""
    task = asyncio.current_task()
    async with asyncio.timeout(30):
        run = redeem()
        await asyncio.sleep(0)
        await run.start(**ORDER)
        await asyncio.sleep(0)
    assert asyncio.current_task() is task


async def test_deps_may_be_made_from_the_play() -> None:
    """Fakes that keep their own tables get the play's database."""
    run = play(Redeem, make_deps=lambda run: Shop(run.database), schema=SCHEMA)
    assert run.deps.database is run.database
    assert (await run.start(**ORDER)).state == "completed"


async def test_the_timeline_tells_what_happened() -> None:
    """For people: who was asked when and said what, how the process moved, which alarms there are."""
    run = redeem()
    run.script("issue", Lost(), PRIZE)
    run.crash_at("after-query:1")
    run.script("issue", PRIZE)
    await run.start(**ORDER)
    await run.report(1, Failed("no"))
    text = run.timeline()
    for part in (
        "0.000 s  redeem 'r' accepted, at issue",
        ":1: the answer is lost",
        "7.000 s  query issue",
        "the worker dies at after-query:1",
        "redeem 'r' of u moves to completed (sweep, by query)",
        "Failed(code='no', detail=''): conflict",
        "alarm: redeem.issue: failed (push) contradicts",
        "redeem 'r' of u: completed (final), result Prize(code='A1')",
    ):
        assert part in text
