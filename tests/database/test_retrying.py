"""Of transactions that wait for each other the server ends one; that is run again, and nothing else is."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

import tieout
from tieout.database import connect
from tieout.database.retrying import ROLLED_BACK_TRIES, RetryingDatabase
from tieout.errors import CommitUnknown, DatabaseUnavailable, RetryTransaction
from tieout.eventloop import LoopClock
from tieout.mirror import days, flag, shape, tier, tiers
from tieout.testing.database_site import ADD, INSERT, executing, make_tables, points


class Pauses:
    """A clock that waits for nothing, and knows what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def monotonic(self) -> float:
        return sum(self.asked)

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)


class Refusing:
    """A database that ends the first transactions by an error, all of them or `times`."""

    def __init__(self, inner, error, times=10**9) -> None:
        self.inner, self.error, self.times, self.runs = inner, error, times, 0

    def __getattr__(self, name):
        return getattr(self.inner, name)

    async def transact(self, work):
        self.runs += 1
        if self.runs <= self.times:
            raise self.error
        return await self.inner.transact(work)


@pytest.fixture(params=["postgres", "mariadb"])
async def database(request, postgres, mariadb):
    server = {"postgres": postgres, "mariadb": mariadb}[request.param]
    database = connect(server.url(server.database()))
    await database.open()
    await database.transact(make_tables)
    await database.transact(executing(INSERT, id=2, points=100))
    yield database
    await database.close()


async def test_two_that_wait_for_each_other_both_come_to_their_end(database):
    """Each has a row that the other wants: one is rolled back, run again, and has its effect once."""
    retrying, both, runs = RetryingDatabase(database, LoopClock(), Random(1)), asyncio.Barrier(2), []

    def moving(one: int, other: int):
        async def move(tx) -> None:
            runs.append(one)
            await tx.execute(ADD, id=one, n=-10)
            if runs.count(one) == 1:
                await both.wait()
            await tx.execute(ADD, id=other, n=10)

        return move

    await asyncio.gather(retrying.transact(moving(1, 2)), retrying.transact(moving(2, 1)))
    assert len(runs) == 3
    assert [await points(database, 1), await points(database, 2)] == [100, 100]


@pytest.mark.parametrize("error", [CommitUnknown("?"), DatabaseUnavailable("gone")])
async def test_what_may_have_been_done_or_lasts_is_for_the_caller(error):
    """It is run once, and the caller told."""
    inner = Refusing(None, error)
    with pytest.raises(type(error)):
        await RetryingDatabase(inner, Pauses(), Random(1)).transact(executing(ADD, id=1, n=1))
    assert inner.runs == 1


async def test_it_ends_in_time():
    """What is rolled back again and again is told after somewhat more than a second, in pauses that grow."""
    inner, clock = Refusing(None, RetryTransaction("deadlock")), Pauses()
    with pytest.raises(RetryTransaction):
        await RetryingDatabase(inner, clock, Random(1)).transact(executing(ADD, id=1, n=1))
    assert inner.runs == ROLLED_BACK_TRIES == len(clock.asked) + 1
    assert 1 < sum(clock.asked) < 2.5
    assert clock.asked[0] < clock.asked[2] < clock.asked[4]


async def test_what_an_app_keeps_for_itself_is_run_again(tmp_path):
    """A mirror opens, though each of its first transactions is rolled back for another's sake."""
    inner = connect(f"sqlite:///{tmp_path}/shop.db")
    database = Refusing(inner, RetryTransaction("deadlock"), times=0)
    app = tieout.App("sqlite://", database=database, sweep=False)
    rooms = app.mirror("rooms", axis=days(5), fields={"open": flag()}, policy=tiers(all=tier(days(5), every="1h")))

    @rooms.supplier("acme", "60/min")
    class Acme:
        shapes = (shape("hotel", max_days=5),)

        async def catalogue(self):
            yield []

        async def fetch(self, group, first, count):
            raise NotImplementedError

        async def check(self, item, first, count):
            raise NotImplementedError

    async with app:
        database.runs, database.times = 0, 3
        await rooms.pause("acme")
        assert (await rooms.status("acme")).paused
    assert database.runs > 3
