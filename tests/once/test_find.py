"""What became of a key: answered, in flight, or absent."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

import pytest

from tests.once.place import Counter, Place, Prize, give, until
from tieout import Absent, Answered, InFlight, Transaction


async def test_an_answer_is_found(place: Place, counter: Counter) -> None:
    """Once it is committed the answer is found, by its owner and scope only, from any process."""
    issue, other = [counter.prizes(await place.open()) for _ in range(2)]
    given = await issue.run("k1", owner="mall", sku="mug")
    for service in (issue, other):
        assert await service.find("k1", owner="mall") == Answered(given.value, replayed=True)
        assert await service.find("k1", owner="shop") == await service.find("k1") == Absent()
    assert await counter.prizes(place.apps[0], "issue-gift").find("k1", owner="mall") == Absent()


async def test_a_key_is_absent_before_it_comes_and_after_it_failed(place: Place, counter: Counter) -> None:
    """Nothing is kept of a request that never came, or that was rolled back."""
    issue = counter.prizes(await place.open())
    assert await issue.find("k1") == Absent()
    counter.raises = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        await issue.run("k1", sku="mug")
    assert await issue.find("k1") == Absent()


async def test_a_request_at_work_is_in_flight_everywhere(served_place: Place, counter: Counter) -> None:
    """Until its transaction ends a key is in flight: in its own process and in any other one, however often asked."""
    counter.gate = asyncio.Event()
    issue, other = [counter.prizes(await served_place.open()) for _ in range(2)]
    first = asyncio.create_task(issue.run("k1", sku="mug"))
    await counter.entered.wait()
    for service in (issue, other):
        assert await asyncio.gather(*(service.find("k1") for _ in range(5))) == [InFlight()] * 5
        assert await service.find("k2") == Absent()
    counter.gate.set()
    given = await first
    assert await other.find("k1") == Answered(given.value, replayed=True)


async def test_every_key_is_told_from_every_other(served_place: Place, counter: Counter) -> None:
    """Whatever their hashes, exactly the keys that are at work are in flight for another process."""
    counter.gate = asyncio.Event()
    issue, other = [counter.prizes(await served_place.open()) for _ in range(2)]
    running = [asyncio.create_task(issue.run(f"k{n}", sku="mug")) for n in range(8)]
    await until(lambda: counter.runs == 8)
    found = [await other.find(f"k{n}") for n in range(24)]
    assert found == [InFlight()] * 8 + [Absent()] * 16
    counter.gate.set()
    await asyncio.gather(*running)


async def test_asking_does_not_look_like_work(served_place: Place, counter: Counter) -> None:
    """Queries for a key never make each other, or the request that comes meanwhile, believe that it is in flight."""
    issue, other = [counter.prizes(await served_place.open()) for _ in range(2)]
    asked = await asyncio.gather(*(service.find("k1") for service in (issue, other) for _ in range(40)))
    assert asked == [Absent()] * 80

    async def ask() -> list[object]:
        return [await other.find(f"k{n}") for n in range(60)]

    asking = asyncio.create_task(ask())
    assert [(await issue.run(f"k{n}", sku="mug")).replayed for n in range(60)] == [False] * 60
    await asking


async def test_in_flight_on_sqlite_means_this_process(sqlite_place: Place) -> None:
    """On SQLite what is at work here is in flight; a query from another process waits for the writer's end."""
    app, other = await sqlite_place.open(), await sqlite_place.open()
    asked: list[object] = []

    def service(app: object) -> object:
        @app.once("issue")
        async def issue(tx: Transaction) -> Prize:
            await give(tx, "", "mug", 1)
            loop.call_soon_threadsafe(begun.set)
            going.result(10)
            return Prize("A1")

        return issue

    loop, begun, going = asyncio.get_running_loop(), asyncio.Event(), Future()
    issue, elsewhere = service(app), service(other)
    first = asyncio.create_task(issue.run("k1"))
    await begun.wait()
    assert await issue.find("k1") == InFlight()
    asking = asyncio.create_task(elsewhere.find("k1"))
    asking.add_done_callback(asked.append)
    await asyncio.sleep(0.05)
    assert asked == []
    going.set_result(None)
    assert await asking == Answered((await first).value, replayed=True)


async def test_absent_is_certain_for_what_had_begun(served_place: Place, counter: Counter) -> None:
    """When a key is absent, no transaction that was at work on it before commits afterwards."""
    issue, other = [counter.prizes(await served_place.open()) for _ in range(2)]
    for n in range(40):
        counter.gate, counter.entered = asyncio.Event(), asyncio.Event()
        counter.raises = [ZeroDivisionError()] if n % 2 else []
        first = asyncio.create_task(issue.run(f"k{n}", sku="mug"))
        await counter.entered.wait()
        counter.gate.set()
        while (found := await other.find(f"k{n}")) == InFlight():
            pass
        (given,) = await asyncio.gather(first, return_exceptions=True)
        expected = Absent() if isinstance(given, ZeroDivisionError) else Answered(given.value, replayed=True)
        assert found == expected
