"""What handlers may do in virtual time, and what they may not."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import tieout
from tests.testing.redeem import ORDER, SCHEMA, Prize, Redeem, Shop
from tieout import Answer, Succeeded
from tieout.testing import Always, Play, PlayFailed, finish, play, stage

PRIZE = Succeeded(Prize("A1"))


class Asks(Shop):
    """A shop whose handler does what a test wants."""

    def __init__(self, how: Callable[[], Awaitable[Answer[Prize]]]) -> None:
        super().__init__()
        self.how = how

    async def issue(self, key: str, sku: str, quantity: int) -> Answer[Prize]:
        return await self.how()


def asking(how: Callable[[], Awaitable[Answer[Prize]]], process_type: type[Any] = Redeem) -> Play[Any]:
    return play(process_type, deps=Asks(how), schema=SCHEMA)


async def sleeps() -> Answer[Prize]:
    await asyncio.sleep(1.5)
    return PRIZE


async def times_out() -> Answer[Prize]:
    try:
        async with asyncio.timeout(0.5):
            await asyncio.sleep(3_600)
    except TimeoutError:
        return PRIZE
    raise AssertionError


async def asks_two() -> Answer[Prize]:
    lock = asyncio.Lock()

    async def one(seconds: float) -> None:
        async with lock:
            await asyncio.sleep(seconds)

    await asyncio.wait_for(asyncio.gather(one(0.75), one(1)), 1.9)
    return PRIZE


async def uses_a_thread() -> Answer[Prize]:
    return await asyncio.to_thread(lambda: PRIZE)


async def a_thread_that_fails() -> Answer[Prize]:
    try:
        await asyncio.to_thread(int, "x")
    except ValueError:
        return PRIZE
    raise AssertionError


@pytest.mark.parametrize(
    ("how", "now"), [(sleeps, 1.5), (times_out, 0.5), (asks_two, 1.75), (uses_a_thread, 0), (a_thread_that_fails, 0)]
)
async def test_handlers_have_asyncio_in_virtual_time(how: Callable[[], Awaitable[Answer[Prize]]], now: float) -> None:
    """Sleeps, time-outs, locks, tasks and threads work in a handler, in virtual time, in a test with a loop."""
    began = time.monotonic()
    run = asking(how)
    assert (await run.start(**ORDER)).result == Prize("A1")
    assert run.now == now
    assert time.monotonic() - began < 600


def test_handlers_have_asyncio_without_a_loop_around() -> None:
    """The same holds in a test that has no event loop."""
    run = asking(asks_two)
    assert finish(run.start(**ORDER)).result == Prize("A1")


async def test_plain_handlers_run_in_place() -> None:
    """A call step written as `def` runs in the test's own thread."""

    class Plain(Redeem, name="plain", key="request_id", owner="user"):
        @tieout.call(timeout=2)
        def issue(self, send: tieout.Sending, sku: str, quantity: int) -> Answer[Prize]:
            return PRIZE

        issue.succeeded(to="completed")(Redeem.complete)
        issue.failed(to="refunded")(Redeem.refund)

    run = play(Plain, deps=Shop(), schema=SCHEMA)
    assert (await run.start(**ORDER)).result == Prize("A1")


async def opens_by_name() -> Answer[Prize]:
    await asyncio.open_connection("prizes.example", 443)
    raise AssertionError


@pytest.mark.parametrize("local", [True, False])
async def test_there_is_no_network_in_a_play(local: bool) -> None:
    """A handler that reaches out is found and named; it is not taken for a call without an answer."""
    server = socket.create_server(("127.0.0.1", 0))

    async def opens_locally() -> Answer[Prize]:
        await asyncio.open_connection(*server.getsockname())
        raise AssertionError

    run = asking(opens_locally if local else opens_by_name)
    with server, pytest.raises(PlayFailed, match="there is no network in a play; script the call"):
        await run.start(**ORDER)


async def fails() -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    "leave", [lambda loop: loop.call_soon(lambda: 1 // 0), lambda loop: loop.create_task(fails()) and None]
)
async def test_what_fails_behind_a_handler_is_shown(leave: Callable[[asyncio.AbstractEventLoop], object]) -> None:
    """What a handler leaves running and what fails there unseen fails the test."""

    async def leaves_something() -> Answer[Prize]:
        leave(asyncio.get_running_loop())
        await asyncio.sleep(1)
        return PRIZE

    with pytest.raises(ZeroDivisionError):
        await asking(leaves_something).start(**ORDER)


async def test_a_machine_that_stalls_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, a transaction of a play is run: no real time counts."""
    monkeypatch.setattr("tieout.database.sqlite_commit.BATCH_SECONDS", 0)
    run = play(Redeem, deps=Shop(), schema=SCHEMA)
    assert (await run.start(**ORDER)).state == "completed"


async def test_waiting_for_ever_is_told() -> None:
    """A look-up that waits for what cannot come ends the test, and does not hang it."""

    class Waits(Redeem, name="waits", key="request_id", owner="user"):
        @tieout.snapshot
        async def price(self) -> int:
            return await asyncio.get_running_loop().create_future()

    with pytest.raises(PlayFailed, match="waits for ever"):
        await play(Waits, deps=Shop(), schema=SCHEMA).start(**ORDER)


async def test_looking_up_may_take_time() -> None:
    """A snapshot may sleep: the process is accepted when it is there."""

    class Slowly(Redeem, name="slowly", key="request_id", owner="user"):
        @tieout.snapshot
        async def price(self) -> int:
            await asyncio.sleep(90)
            return 100

    run = play(Slowly, deps=Shop(), schema=SCHEMA)
    await run.start(**ORDER)
    assert run.now == 90.0


async def test_asking_without_a_pause_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that asks again and again without end does not keep the test for ever."""
    monkeypatch.setattr(stage, "WAKES", 500)
    run = play(Redeem, deps=Shop(), schema=SCHEMA)
    run.script("issue", Always(tieout.Pending(0)))
    with pytest.raises(PlayFailed, match="still busy after"):
        await run.start(**ORDER, within="300d")


async def test_a_closed_play_leaves_nothing_open() -> None:
    """Closing ends what still waits, in every life, and may be done twice."""

    async def waits() -> Answer[Prize]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    run = asking(waits)
    run.crash_at("query:1")
    await run.start(**ORDER, until="accepted")
    await run.advance(7)
    loop = run.stage.life.loop
    run.close()
    run.close()
    assert loop.is_closed()
