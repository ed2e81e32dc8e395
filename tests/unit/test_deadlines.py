"""Waiting for futures with one timer for all waits of one length, in virtual time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Iterator
from typing import Any

import pytest

from tieout.eventloop import Deadlines


class Jumping(selectors.DefaultSelector):
    """Does not wait: time jumps."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """Nothing happens until then."""
        self.now += timeout or 0.0
        return super().select(0)


class CountingLoop(asyncio.SelectorEventLoop):
    """Time that jumps, and how many timers were set."""

    def __init__(self) -> None:
        self.timers = 0
        self.jumping = Jumping()
        super().__init__(self.jumping)

    def time(self) -> float:
        """Seconds that were jumped over."""
        return self.jumping.now

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(when, callback, *args, context=context)


@pytest.fixture
def loop() -> Iterator[CountingLoop]:
    loop = CountingLoop()
    yield loop
    loop.close()


def test_a_result_in_time_is_returned_and_no_timer_is_left(loop):
    """Whoever gives the future its result ends the wait; nothing of it remains to fire."""

    async def waits() -> None:
        given = loop.create_future()
        loop.call_later(1.0, given.set_result, "done")
        assert await Deadlines().outcome(given, 2.0) == "done"
        assert loop.time() == pytest.approx(1.0)
        await asyncio.sleep(10)
        assert loop.timers == 3

    loop.run_until_complete(waits())


def test_none_when_the_time_is_over(loop):
    """After so many seconds the result is None, and later ones of the same length keep their own time."""

    async def waits() -> None:
        deadlines, ended = Deadlines(), []

        async def one(begins: float) -> None:
            await asyncio.sleep(begins)
            assert await deadlines.outcome(loop.create_future(), 2.0) is None
            ended.append(loop.time())

        await asyncio.gather(*(one(begins) for begins in (0.0, 0.5, 1.5)))
        assert ended == pytest.approx([2.0, 2.5, 3.5])

    loop.run_until_complete(waits())


def test_one_that_joins_as_others_end_is_woken_too(loop):
    """A wait that begins when all before it have been woken, and are not gone yet, still has a timer."""

    async def waits() -> None:
        deadlines, first, second = Deadlines(), loop.create_future(), loop.create_future()
        joining = deadlines.outcome(second, 2.0)
        first.add_done_callback(lambda _: joining.send(None))
        assert await deadlines.outcome(first, 2.0) is None
        await asyncio.sleep(2.1)
        assert second.done()
        joining.close()

    loop.run_until_complete(waits())


def test_what_is_waited_for_runs_on(loop):
    """A wait whose time is over, or whose task is cancelled, leaves what it waited for alone."""

    async def waits() -> None:
        deadlines = Deadlines()
        running = loop.create_task(asyncio.sleep(5, "late"))
        await deadlines.wait_for(running, 1.0)
        assert not running.done()
        waiting = loop.create_task(deadlines.wait_for(running, 60.0))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()
        assert await running == "late"

    loop.run_until_complete(waits())


def test_many_waits_share_a_timer(loop):
    """A thousand waits that end in time cost the loop one timer, which goes with the last of them."""

    async def waits() -> None:
        deadlines = Deadlines()
        given = [loop.create_future() for _ in range(1_000)]
        running = [loop.create_task(deadlines.outcome(one, 2.0)) for one in given]
        await asyncio.sleep(0)
        for one in given:
            one.set_result(1)
        assert sum(await asyncio.gather(*running)) == 1_000
        assert loop.timers == 1

    loop.run_until_complete(waits())


def test_another_loop_begins_anew():
    """An App that is opened again in another loop waits there as in the first."""
    deadlines = Deadlines()
    for _ in range(2):
        loop = CountingLoop()
        assert loop.run_until_complete(deadlines.outcome(loop.create_future(), 1.0)) is None
        loop.close()
