"""A worker that dies anywhere: what it leaves behind, who takes over, and what is the same afterwards."""

from __future__ import annotations

import asyncio

import pytest

from tests.testing.redeem import (
    ORDER,
    SCHEMA,
    AsksAnew,
    MadeUpId,
    OwnKey,
    Prize,
    Redeem,
    Shop,
    TakesInBetween,
    TakesOutside,
    redeem,
)
from tieout import NotFound, ParamsChanged, Refused, Succeeded
from tieout.testing import Always, Crashed, Lost, Play, PlayFailed, everywhere, play

PRIZE = Succeeded(Prize("A1"))


async def balance(run: Play[Shop]) -> int:
    row = await run.fetch_one("SELECT points FROM account WHERE name = 'u'")
    assert row is not None
    return int(row["points"])


async def test_nothing_of_a_transaction_outlives_a_crash_before_its_commit() -> None:
    """What was not committed is rolled back; the client asks again and is the first."""
    run = redeem()
    run.crash_at("commit:1")
    with pytest.raises(Crashed):
        await run.start(**ORDER, retry=False)
    assert (await run.processes(), await balance(run), run.sent()) == ([], 1000, [])
    p = await run.start(**ORDER)
    assert (p.state, p.replayed, await balance(run)) == ("completed", False, 800)


async def test_what_is_committed_outlives_a_crash_that_told_nobody() -> None:
    """The client who asks again gets the process that the dead worker accepted."""
    run = redeem()
    run.crash_at("after-commit:1")
    p = await run.start(**ORDER)
    assert (p.state, p.replayed, await balance(run)) == ("completed", True, 800)
    assert len(run.sent()) == 1


async def test_a_client_who_never_asks_again_is_served() -> None:
    """An accepted process needs no client: the sweep of the next worker finishes it."""
    run = redeem()
    run.crash_at("after-commit:1")
    with pytest.raises(Crashed):
        await run.start(**ORDER, retry=False)
    await run.rest()
    (p,) = await run.processes()
    assert (p.state, p.trail[-1].source) == ("completed", "sweep")


async def test_a_crash_before_the_call_sends_nothing() -> None:
    """Whoever takes over asks first and sends then, once."""
    run = redeem()
    run.crash_at("call:1")
    await run.start(**ORDER, until="accepted")
    await run.advance(5)
    assert (run.sent(), run.deps.issued) == ([], {})
    await run.rest()
    assert (len(run.sent()), len(run.queried()) > 0) == (1, True)


async def test_an_answer_lost_with_the_worker_is_asked_for() -> None:
    """The downstream did it and nobody heard: the next worker queries and does not send."""
    run = redeem()
    run.crash_at("after-call:1")
    p = await run.start(**ORDER)
    assert (p.result, len(run.sent()), len(run.queried())) == (Prize("mug-1"), 1, 1)


async def test_an_answer_that_is_lost_anyway_can_go_with_the_worker() -> None:
    """After a scripted call that no answer comes to, the worker can die too."""
    run = redeem()
    run.script("issue", Lost(), PRIZE)
    run.crash_at("after-call:1")
    assert (await run.start(**ORDER)).result == Prize("A1")


async def test_crashes_in_recovery() -> None:
    """Workers that die one after the other, each where the one before left off, change nothing."""
    run = redeem()
    run.crash_at("call:1", "statement:8", "after-call:2", "query:2", "commit:5")
    p = await run.start(**ORDER)
    assert (p.state, await balance(run), list(run.deps.issued)) == ("completed", 800, [f"{p.id}:1"])
    assert run.left_over() == []


async def test_a_crash_while_a_report_comes_in() -> None:
    """Whoever pushes a report gets no answer and repeats it; it is judged once."""
    run = redeem()
    run.script("issue", Always(Lost()))
    await run.start(**ORDER, until="accepted")
    await run.advance(1)
    run.crash_at("commit:3")
    assert await run.report(1, PRIZE) == "advanced"
    assert [p.state for p in await run.processes()] == ["completed"]


async def test_user_code_cannot_outlive_a_crash() -> None:
    """A step that swallows everything still commits nothing and calls nobody."""

    class Swallows(Redeem, name="swallows", key="request_id", owner="user"):
        async def record(self, tx, delta):
            try:
                await super().record(tx, delta)
            except BaseException:  # noqa: BLE001 - the point of this test
                await super().record(tx, 0)

    run = play(Swallows, deps=Shop(), schema=SCHEMA)
    run.crash_at("statement:2")
    with pytest.raises(Crashed):
        await run.start(**ORDER, retry=False)
    assert [await balance(run), len(await run.fetch("SELECT * FROM points_change"))] == [1000, 0]


async def test_a_point_that_is_never_reached_fails() -> None:
    """A crash that did not happen shows nothing, so the test fails; so does one that is in the past."""
    run = redeem()
    run.crash_at("commit:99")
    await run.start(**ORDER)
    with pytest.raises(PlayFailed, match=r"commit:99 was never reached; the last of its kind: commit:2"):
        run.check()
    with pytest.raises(PlayFailed, match="call:1 has been passed"):
        run.crash_at("call:1")


async def test_a_crash_at_every_point_ends_the_same() -> None:
    """Wherever a worker dies, the process ends as if none had: rows, result, keys, and what the downstream did."""
    seen = []

    async def check(run: Play[Shop]) -> None:
        seen.append(await balance(run))

    points = await redeem().crash_everywhere(
        lambda run: run.start(**ORDER), check=check, effects=lambda run: run.deps.issued
    )
    assert {point.partition(":")[0] for point in points} == {
        *("statement", "commit", "after-commit", "call", "after-call")
    }
    assert seen == [800] * (len(points) + 2)


async def test_a_story_may_say_more_than_a_start() -> None:
    """A story scripts, lets time pass, and reports; every point of it gets its crash, those of queries too."""

    async def story(run: Play[Shop]) -> None:
        run.script("issue", send=[Lost(), Always(PRIZE)], query=[Always(NotFound())])
        await run.start(**ORDER)
        await run.start(**{**ORDER, "request_id": "s"})

    points = await redeem().crash_everywhere(story)
    assert {"query:1", "after-query:2", "call:3"} <= set(points)


async def test_a_crash_that_makes_a_difference_is_shown() -> None:
    """A handler that acts outside the transaction is found by a crash, and the rows that differ are shown."""
    run = play(TakesOutside, make_deps=lambda run: Shop(run.database), schema=SCHEMA)
    with pytest.raises(PlayFailed) as failure:
        await run.crash_everywhere(lambda run: run.start(**ORDER))
    text = str(failure.value)
    assert text.startswith("with a crash at ")
    assert "table account:\n  - {'name': 'u', 'points': 793}\n  + {'name': 'u', 'points': 786}" in text
    assert "the worker dies at" in text


async def test_a_failing_check_says_where_the_crash_was() -> None:
    """What a test asserts itself fails with the point's name and the timeline."""

    def check(run: Play[Shop]) -> None:
        assert len(run.queried()) == 0, "asked"

    with pytest.raises(PlayFailed, match=r"(?s)^with a crash at [a-z-]+:\d+:\nAssertionError: asked.*the worker dies"):
        await redeem().crash_everywhere(lambda run: run.start(**ORDER), check=check)


async def test_a_right_process_is_idempotent() -> None:
    """One effect, however often the request comes, in whatever moment, and wherever a worker dies."""
    points = await redeem().assert_idempotent(**ORDER, effects=lambda run: run.deps.issued)
    assert {"commit:1", "after-commit:1", "call:1", "after-call:1"} <= set(points)


async def test_a_refused_request_is_idempotent() -> None:
    """A request that is refused is refused as often as it comes, and leaves nothing."""
    await redeem().assert_idempotent(Redeem(**{**ORDER, "quantity": 11}))


async def test_a_failing_process_is_idempotent() -> None:
    """The compensation runs once, as the effect does."""
    points = await redeem().assert_idempotent(**{**ORDER, "sku": "sold out"})
    assert "after-call:1" in points


async def test_acting_outside_the_transaction_is_caught() -> None:
    """Points that a look-up takes in a transaction of its own are taken again by the second request."""
    run = play(TakesOutside, make_deps=lambda run: Shop(run.database), schema=SCHEMA)
    with pytest.raises(PlayFailed, match=r"(?s)^with the same request twice:\ntable account:\n  - .*793.*\n  \+ .*786"):
        await run.assert_idempotent(**ORDER)


async def test_a_key_of_its_own_is_caught() -> None:
    """A handler that does not send the key it is given has the downstream act twice when an answer is lost."""
    run = play(OwnKey, deps=Shop())
    with pytest.raises(PlayFailed, match=r"(?s)^with the same request twice and a crash at .*effects:\n  - 1\n  \+ 2"):
        await run.assert_idempotent(request_id="r", effects=lambda run: len(run.deps.issued))


async def test_a_look_up_that_acts_in_between_is_caught() -> None:
    """A fault that only a second request in the middle of the first one shows is found there."""
    run = play(TakesInBetween, make_deps=lambda run: Shop(run.database), schema=SCHEMA)
    with pytest.raises(PlayFailed, match=r"(?s)^with the same request again at after-call:1:\ntable account:"):
        await run.assert_idempotent(**ORDER)


async def test_a_second_key_is_caught() -> None:
    """A process that, after a crash, sends under more keys than without one has asked for more."""
    run = play(AsksAnew, deps=Shop())
    with pytest.raises(PlayFailed, match=r"(?s)^with a crash at .*keys and arguments sent:\n  \+ 'order \w+:2 {}'"):
        await run.crash_everywhere(lambda run: run.start(request_id="r"))


async def test_a_client_comes_in_between() -> None:
    """`at` acts exactly at a point: what it begins before a call runs before the handler does."""
    told = []

    class Listens(Shop):
        async def issue(self, key, sku, quantity):
            told.append("the handler")
            return await super().issue(key, sku, quantity)

    async def somebody() -> None:
        told.append("somebody")

    run = redeem(deps=Listens())
    run.at("call:1", lambda run: run.stage.life.begin(somebody()))
    await run.start(**ORDER)
    assert told == ["somebody", "the handler"]


async def test_nothing_else_of_a_dead_worker_goes_on() -> None:
    """A handler of another process, in the middle of its work when the worker dies, never comes to its end."""
    told = []

    class Slowly(Shop):
        async def issue(self, key, sku, quantity):
            await asyncio.sleep(1)
            for _ in range(3 * quantity):
                await asyncio.sleep(0)
            told.append(quantity)
            return PRIZE

    run = redeem(deps=Slowly())
    run.script("issue", query=[Always(PRIZE)])
    run.crash_at("after-call:1")
    for quantity in (1, 2):
        await run.start(**{**ORDER, "request_id": f"r{quantity}", "quantity": quantity}, until="accepted")
    await run.rest()
    assert told == [1]


async def test_chance_is_told_from_repetition() -> None:
    """Values that differ although nothing is in the way are shown as such, and can be left out."""
    run = play(MadeUpId, deps=Shop(), schema=SCHEMA)
    with pytest.raises(PlayFailed, match=r"^with nothing in the way, a second time"):
        await run.assert_idempotent(request_id="r")
    await play(MadeUpId, deps=Shop(), schema=SCHEMA).assert_idempotent(request_id="r", ignore=["process"])


async def test_state_of_before_is_part_of_every_run() -> None:
    """Rows that the test wrote first, and its scripts, are there in each run; deps are as they were."""
    run = redeem()
    await run.execute("UPDATE account SET points = :points", points=201)
    run.script("issue", send=[Always(PRIZE)], query=[Always(PRIZE)])
    left = []

    async def check(run: Play[Shop]) -> None:
        left.append(await balance(run))

    points = await run.crash_everywhere(
        lambda run: run.start(**ORDER), check=check, effects=lambda run: run.deps.issued
    )
    assert left == [1] * (len(points) + 2)
    assert (run.began, run.deps.issued) == (False, {})


async def test_repeating_needs_a_play_that_has_not_begun() -> None:
    """A play in which something was started cannot be told anew; nor can deps that cannot be copied."""
    run = redeem()
    await run.start(**ORDER)
    with pytest.raises(PlayFailed, match="nothing has been started"):
        await run.assert_idempotent(**ORDER)
    with pytest.raises(PlayFailed, match="make_deps"):
        await redeem(deps=(_ for _ in ())).assert_idempotent(**ORDER)


async def test_the_number_of_runs_is_bounded() -> None:
    """A story of more points than the limit is refused after one run, with their number."""
    with pytest.raises(PlayFailed, match=r"has \d+ points: tell a shorter story, or give limit=\d+"):
        await redeem().crash_everywhere(lambda run: run.start(**ORDER), limit=3)


async def test_a_story_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What never comes to rest cannot be compared, and says so."""
    monkeypatch.setattr(everywhere, "PATIENCE", "1h")
    run = redeem()
    run.script("issue", Always(Lost()))
    with pytest.raises(PlayFailed, match=r"after 1h it still runs, redeem 'r' of u: issue \(running\)"):
        await run.assert_idempotent(**ORDER)


async def test_errors_of_a_story_are_not_hidden() -> None:
    """What a story raises without any crash is its own error, named, with what led to it."""
    with pytest.raises(PlayFailed, match=r"with nothing in the way:\nRefused: not enough points") as failure:
        await redeem().crash_everywhere(lambda run: run.start(**{**ORDER, "quantity": 11}))
    assert isinstance(failure.value.__cause__, Refused)
    assert not isinstance(failure.value.__cause__, ParamsChanged)
