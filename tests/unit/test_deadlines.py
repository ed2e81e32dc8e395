"""Waiting for futures with one timer for all waits of one length, in virtual time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Iterator
from typing import Any

import pytest

from tieout.eventloop import Deadlines, LoopCaller


class Jumping(selectors.DefaultSelector):
    """Does not wait: time jumps."""

    now = 0.0
    rounds = 0

    def select(self, timeout: float | None = None) -> Any:
        """Nothing happens until then."""
        self.rounds += 1
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


async def _nobody(_: Any) -> None:
    """Is told of a late answer."""


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


def test_a_handler_whose_time_is_over_runs_on(loop):
    """Its answer is told when it comes."""

    async def waits() -> None:
        told = loop.create_future()

        async def late(answer: str) -> None:
            told.set_result(answer)

        with pytest.raises(TimeoutError):
            await LoopCaller().attempt(asyncio.sleep, (5, "late"), {}, 1.0, late)
        assert loop.time() == pytest.approx(1.0)
        assert await told == "late"
        assert loop.time() == pytest.approx(5.0)

    loop.run_until_complete(waits())


def test_a_handler_goes_with_whoever_waits_for_it(loop):
    """Cancelled while it waits, it cancels the handler."""

    async def waits() -> None:
        ended: list[str] = []

        async def handler() -> None:
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        waiting = loop.create_task(LoopCaller().attempt(handler, (), {}, 60.0, _nobody))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.sleep(0)
        assert (waiting.cancelled(), ended) == (True, ["cancelled"])

    loop.run_until_complete(waits())


@pytest.mark.parametrize("fails", [False, True])
def test_whoever_waits_for_a_handler_goes_on_in_the_next_round(loop, fails):
    """Of the loop: one in which the handler begins and ends, and one in which it is told."""

    async def handler() -> str:
        if fails:
            raise ValueError("no")
        return "done"

    async def waits() -> None:
        before = loop.jumping.rounds
        try:
            answer = await LoopCaller().attempt(handler, (), {}, 2.0, _nobody)
        except ValueError as error:
            answer = str(error)
        assert (answer, loop.jumping.rounds - before) == ("no" if fails else "done", 2)

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
