"""Many requests with one key at the same time."""

from __future__ import annotations

import asyncio

import pytest

import tieout
from tests.once.place import Counter, Place, answers, effects, until
from tieout import Answered, InFlight

MANY = 100


async def test_a_hundred_at_once_have_one_effect(place: Place, counter: Counter) -> None:
    """Of 100 requests with one key one does the work; all others wait for it and get its answer."""
    app = await place.open()
    issue = counter.prizes(app, wait="60s")
    given = await asyncio.gather(*(issue.run("k1", sku="mug") for _ in range(MANY)))
    assert len({answer.value for answer in given}) == 1
    assert sorted(answer.replayed for answer in given) == [False] + [True] * (MANY - 1)
    assert (counter.runs, await effects(app), await answers(app)) == (1, 1, 1)


async def test_a_hundred_over_four_processes_have_one_effect(place: Place, counter: Counter) -> None:
    """The same over four Apps, which know of each other only through the database."""
    issues = [counter.prizes(await place.open(), wait="60s") for _ in range(4)]
    given = await asyncio.gather(*(issues[n % 4].run("k1", sku="mug") for n in range(MANY)))
    assert len({answer.value for answer in given}) == 1
    assert sum(not answer.replayed for answer in given) == 1
    assert await effects(place.apps[0]) == 1


async def test_without_a_wait_duplicates_are_in_flight(served_place: Place, counter: Counter) -> None:
    """While the first is at work every other one is refused at once, in its own process and in another one."""
    counter.gate = asyncio.Event()
    issue, other = [counter.prizes(await served_place.open()) for _ in range(2)]
    first = asyncio.create_task(issue.run("k1", sku="mug"))
    await counter.entered.wait()
    for duplicate in (issue, other):
        with pytest.raises(tieout.KeyInFlight):
            await duplicate.run("k1", sku="mug")
    with pytest.raises(tieout.KeyInFlight):
        await other.run("k1", sku="mug", wait="30ms")
    counter.gate.set()
    given = await first
    assert await issue.run("k1", sku="mug") == await other.run("k1", sku="mug") == Answered(given.value, replayed=True)
    assert counter.runs == 1


async def test_a_waiting_duplicate_gets_the_answer_when_there_is_one(served_place: Place, counter: Counter) -> None:
    """Whoever waits, in this process or another one, is answered soon after the first has committed."""
    counter.gate = asyncio.Event()
    issue, other = [counter.prizes(await served_place.open(), wait="60s") for _ in range(2)]
    first = asyncio.create_task(issue.run("k1", sku="mug"))
    await counter.entered.wait()
    waiting = [asyncio.create_task(service.run("k1", sku="mug")) for service in (issue, other)]
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in waiting)
    counter.gate.set()
    given = await first
    assert await asyncio.gather(*waiting) == [Answered(given.value, replayed=True)] * 2


async def test_other_params_are_refused_after_the_wait_too(place: Place, counter: Counter) -> None:
    """A concurrent request with the same key and other params is refused, whichever of the two was first."""
    app = await place.open()
    issue = counter.prizes(app, wait="60s")
    given = await asyncio.gather(
        *(issue.run("k1", sku="mug", quantity=1 + n % 2) for n in range(10)), return_exceptions=True
    )
    refused = [answer for answer in given if isinstance(answer, tieout.ParamsChanged)]
    same = {answer.value for answer in given if isinstance(answer, Answered)}
    assert (len(refused), len(same), await effects(app)) == (5, 1, 1)


async def test_when_the_first_fails_the_next_one_does_it(place: Place, counter: Counter) -> None:
    """Whoever waited for a request that failed takes its place; one effect, and one caller hears of the failure."""
    app = await place.open()
    issue = counter.prizes(app, wait="60s")
    counter.raises = [tieout.Refused("not now")]
    given = await asyncio.gather(*(issue.run("k1", sku="mug") for _ in range(20)), return_exceptions=True)
    assert [type(answer) for answer in given if isinstance(answer, Exception)] == [tieout.Refused]
    assert len({answer.value for answer in given if isinstance(answer, Answered)}) == 1
    assert (counter.runs, await effects(app)) == (2, 1)


async def test_a_cancelled_request_leaves_the_key_free(served_place: Place, counter: Counter) -> None:
    """A request that is cancelled at its work rolls back; the next one finds the key free."""
    app = await served_place.open()
    issue = counter.prizes(app, wait="60s")
    counter.gate = asyncio.Event()
    first = asyncio.create_task(issue.run("k1", sku="mug"))
    await counter.entered.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    counter.gate = None
    assert not (await issue.run("k1", sku="mug")).replayed
    assert await effects(app) == 1


async def test_waiting_holds_no_connection(served_place: Place, counter: Counter) -> None:
    """With a pool of two, 50 duplicates that wait do not keep other keys from being served."""
    served_place.url += "?pool=2"
    app = await served_place.open()
    issue = counter.prizes(app, wait="60s")
    other = Counter().prizes(app, "issue-gift")
    counter.gate = asyncio.Event()
    waiting = [asyncio.create_task(issue.run("k1", sku="mug")) for _ in range(50)]
    await counter.entered.wait()
    async with asyncio.timeout(30):
        assert not (await other.run("k2", sku="pen")).replayed
    counter.gate.set()
    assert len({answer.value for answer in await asyncio.gather(*waiting)}) == 1


async def test_different_keys_do_not_wait_for_each_other(served_place: Place, counter: Counter) -> None:
    """Requests with different keys are at work at the same time."""
    issue = counter.prizes(await served_place.open())
    counter.gate = asyncio.Event()
    tasks = [asyncio.create_task(issue.run(f"k{n}", sku="mug")) for n in range(5)]
    await until(lambda: counter.runs == 5)
    counter.gate.set()
    assert [answer.replayed for answer in await asyncio.gather(*tasks)] == [False] * 5


async def test_a_fork_leaves_no_turn_behind(sqlite_place: Place, counter: Counter) -> None:
    """What the parent of a fork is at work on is not in flight for ever in its child; the parent goes on."""
    app = await sqlite_place.open()
    issue = counter.prizes(app, wait="60s")
    running = asyncio.create_task(issue.run("k1", sku="mug"))
    await asyncio.sleep(0)
    app.answers._pid += 1  # noqa: SLF001 - as in the child, which has a process id of its own
    assert await issue.find("k1") != InFlight()
    assert (await issue.run("k1", sku="mug")).value == (await running).value
