"""Calls written as plain `def`: run in threads, under the same time-outs, never late."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

import tieout
from tests.process.place import eventually, rest, sweep, until
from tieout import Answer, Failed, Found, Limits, Next, NotFound, NotSent, Sending, Succeeded, Transaction
from tieout.eventloop import LoopCaller


class Blocking:
    """A downstream that is called by a library which blocks."""

    def __init__(self):
        self.sent = []
        self.threads = set()
        self.free = threading.Event()
        self.free.set()

    def issue(self, send):
        self.sent.append(send)
        self.threads.add(threading.current_thread())
        self.free.wait(60)
        return Succeeded("A1")


class Plain(tieout.Process[Any], name="plain", key="request_id"):
    """A call and a query that block."""

    request_id: str

    completed = tieout.Final[str]()

    @tieout.start(to="issue")
    async def begin(self, tx: Transaction) -> Next:
        return self.issue.next()

    @tieout.call(timeout=0.1, query_after=60, settle=0)
    def issue(self, send: Sending) -> Answer[str]:
        return self.deps.issue(send)

    @issue.query
    def find(self, send: Sending) -> Found[str]:
        return NotFound()

    @issue.succeeded(to="completed")
    async def done(self, tx: Transaction, code: str) -> Next:
        return self.completed(code)

    @issue.failed(to="completed")
    async def undone(self, tx: Transaction, why: Failed) -> Next:
        return self.completed(why.code)


@pytest.fixture
def shop():
    shop = Blocking()
    yield shop
    shop.free.set()


async def test_a_plain_call_runs_in_a_thread(place, shop):
    """It does not run on the event loop, and its answer counts like any other."""
    app = await place.open(Plain, shop=shop)
    process = await app.start(Plain(request_id="r1"), wait=60)
    assert (process.state, process.result) == ("completed", "A1")
    assert threading.main_thread() not in shop.threads


async def test_a_blocked_call_blocks_nobody_else(place, shop):
    """While one hangs, the loop goes on, and its time-out is unknown; its late answer counts."""
    app = await place.open(Plain, shop=shop)
    shop.free.clear()
    process = await app.start(Plain(request_id="r1"))
    await rest(app)
    assert (await app.get(process.id)).status == "running"
    shop.free.set()

    async def ended():
        return (await app.get(process.id)).is_final

    await eventually(ended)


async def test_a_call_that_got_no_thread_in_time_is_never_sent(place, shop, monkeypatch):
    """Its turn would come after its lease: it counts as not sent, and the next try sends it."""
    monkeypatch.setattr("tieout.eventloop.THREADS", 1)
    app = await place.open(Plain, shop=shop)
    shop.free.clear()
    await app.start(Plain(request_id="r1"))
    await until(lambda: shop.sent)
    late = await app.start(Plain(request_id="r2"))
    await rest(app)
    shop.free.set()
    await asyncio.sleep(0.2)
    assert [sending.key[:32] for sending in shop.sent].count(late.id) == 0
    await sweep(app)
    assert (await app.get(late.id)).state == "completed"


async def test_plain_calls_run_after_an_app_was_opened_again(place, shop):
    """Closing gives the threads back; opening makes new ones."""
    app = await place.open(Plain, shop=shop)
    await app.start(Plain(request_id="r1"), wait=60)
    await app.close()
    async with app:
        assert (await app.start(Plain(request_id="r2"), wait=60)).state == "completed"


async def test_closing_does_not_wait_for_a_thread_that_hangs(place, shop):
    """A library that never returns does not keep a service from ending."""
    app = await place.open(Plain, shop=shop, limits=Limits(drain=0.05))
    shop.free.clear()
    await app.start(Plain(request_id="r1"))
    await until(lambda: shop.sent)
    began = time.monotonic()
    await app.close()
    assert time.monotonic() - began < 30


@pytest.fixture
async def caller():
    caller = LoopCaller()
    yield caller
    await caller.close()


async def nothing(_):
    pytest.fail("nothing is late")


async def test_the_caller_returns_what_the_handler_returns(caller):
    """Or raises what it raises, in either colour."""

    async def slow(a, *, b):
        await asyncio.sleep(0)
        return a + b

    def quick(a, *, b):
        return a - b

    assert await caller.attempt(slow, (1,), {"b": 2}, 5, nothing) == 3
    assert await caller.attempt(quick, (1,), {"b": 2}, 5, nothing) == -1
    with pytest.raises(ZeroDivisionError):
        await caller.attempt(lambda: 1 // 0, (), {}, 5, nothing)


async def test_the_caller_lets_a_late_handler_run_on(caller):
    """Its answer goes to whoever waits for late answers; its error to nobody."""
    go, told = asyncio.Event(), []

    async def slow():
        await go.wait()
        return "late"

    async def late(answer):
        told.append(answer)

    with pytest.raises(TimeoutError):
        await caller.attempt(slow, (), {}, 0.01, late)
    go.set()
    await until(lambda: told)
    assert told == ["late"]


async def test_a_handler_that_is_cancelled_from_within_has_raised(caller):
    """Its own cancellation is an error, and does not cancel the worker."""

    async def confused():
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="cancelled"):
        await caller.attempt(confused, (), {}, 5, nothing)


async def test_cancelling_the_caller_cancels_the_handler(caller):
    """A worker that is stopped takes its handlers with it."""
    began, ended = asyncio.Event(), []

    async def slow():
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    attempt = asyncio.create_task(caller.attempt(slow, (), {}, 60, nothing))
    await began.wait()
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    await until(lambda: ended)


async def test_late_handlers_are_limited(caller, monkeypatch):
    """Beyond the limit a handler past its time-out is cancelled: memory is bounded."""
    monkeypatch.setattr("tieout.eventloop.LATE_CALLS", 2)
    running = set()

    async def hang(n):
        running.add(n)
        try:
            await asyncio.Event().wait()
        finally:
            running.discard(n)

    for n in range(4):
        with pytest.raises(TimeoutError):
            await caller.attempt(hang, (n,), {}, 0.001, nothing)
    await until(lambda: running == {0, 1})


async def test_a_queued_handler_is_not_sent_after_its_time_out(caller, monkeypatch):
    """What got no thread in time has not begun, never will, and is told as not sent."""
    monkeypatch.setattr("tieout.eventloop.THREADS", 1)
    free, ran = threading.Event(), []

    async def late(_):
        return

    with pytest.raises(TimeoutError):
        await caller.attempt(free.wait, (5,), {}, 0.01, late)
    with pytest.raises(NotSent):
        await caller.attempt(ran.append, (1,), {}, 0.01, nothing)
    free.set()
    assert await caller.attempt(lambda: "next", (), {}, 5, nothing) == "next"
    assert ran == []
