"""Joined starts that meet other transactions, at each isolation: what is asked to be run again, and what is found."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.process.place import until
from tests.process.shop import POINTS
from tests.sessions.kinds import KINDS
from tieout import AlreadyStarted, RetryTransaction

SERVERS = [kind for kind in KINDS if kind.dialect != "sqlite"]
SHORT_WAIT = {"postgres": "SET LOCAL lock_timeout = '50ms'", "mysql": "SET SESSION innodb_lock_wait_timeout = 0"}

pytestmark = pytest.mark.parametrize("kind", SERVERS, ids=repr)


async def behind(door, level):
    """Start in a transaction that has read before another one committed the same start."""
    seen, committed = threading.Event(), threading.Event()

    async def late(user):
        await user.sql("SELECT points FROM account")
        await user.write("late")
        seen.set()
        await user.until(committed)
        return await user.start(door.request())

    running = asyncio.ensure_future(door.run(late, level=level))
    await until(seen.is_set)
    first = await door.start()
    committed.set()
    with pytest.raises((AlreadyStarted, RetryTransaction)) as refused:
        await running
    return first, refused.value


@pytest.mark.parametrize("level", ["committed", "repeatable"])
async def test_a_process_younger_than_the_snapshot_is_found(door, kind, level):
    """A locking read finds it; PostgreSQL's REPEATABLE READ cannot, and asks for the transaction once more instead."""
    first, refused = await behind(door, level)
    if kind.dialect == "postgres" and level == "repeatable":
        assert isinstance(refused, RetryTransaction)
        assert refused.sqlstate == "40001"

        async def again(user):
            await user.write("late")
            await user.start(door.request())

        with pytest.raises(AlreadyStarted) as refusal:
            await door.run(again, level=level)
        refused = refusal.value
    assert isinstance(refused, AlreadyStarted)
    assert (refused.process.id, refused.process.state) == (first.id, "completed")
    assert await door.users() == []
    assert await door.points() == POINTS - 10


@pytest.mark.parametrize("level", ["committed", "repeatable"])
async def test_a_deadlock_asks_for_the_transaction_again(door, level):
    """Of two transactions that wait for each other one is told to start over; repeated whole, both are done."""
    await door.rows(f"INSERT INTO account (name, points) VALUES ('bob', {POINTS})")
    ready = {"ann": threading.Event(), "bob": threading.Event()}

    def work(mine, other):
        async def work(user):
            await user.sql(f"UPDATE account SET points = points - 1 WHERE name = '{mine}'")
            ready[mine].set()
            await user.until(ready[other])
            return await user.start(door.request(request_id=mine, user=other))

        return work

    both = [work("ann", "bob"), work("bob", "ann")]
    got = await asyncio.gather(*(door.run(one, level=level) for one in both), return_exceptions=True)
    lost = [number for number, one in enumerate(got) if isinstance(one, BaseException)]
    assert lost
    for number in lost:
        assert isinstance(got[number], RetryTransaction), got
        assert got[number].sqlstate in {"40P01", "40001", "1213"}
        await door.run(both[number], level=level)
    assert (await door.points(), await door.points("bob")) == (POINTS - 11, POINTS - 11)


async def test_a_lock_that_is_waited_for_too_long_asks_for_the_transaction_again(door, kind):
    """MySQL's 1205 rolls back a statement only; the error is the same, and the user's roll-back undoes the rest."""
    held, done = threading.Event(), threading.Event()

    async def holder(user):
        await user.sql("UPDATE account SET points = points - 1 WHERE name = 'ann'")
        held.set()
        await user.until(done)

    async def waiter(user):
        await user.sql(SHORT_WAIT[kind.dialect])
        await user.write("waiting")
        await user.until(held)
        await user.start(door.request())

    holding = asyncio.ensure_future(door.run(holder))
    try:
        with pytest.raises(RetryTransaction) as refused:
            await door.run(waiter)
    finally:
        done.set()
        await holding
    assert refused.value.sqlstate in {"55P03", "1205"}
    assert await door.users() == []
    assert await door.points() == POINTS - 1
