"""A lease has one holder at a time, and whoever lost it writes nothing any more."""

from __future__ import annotations

import asyncio

import pytest

from tieout.coordination.lease import Leases, LostLease
from tieout.eventloop import LoopClock


def holder(database, name, ttl=60.0):
    return Leases(database, LoopClock(), name, ttl)


async def expire(database):
    await database.transact(lambda tx: tx.execute("UPDATE tieout_lease SET until = 1"))


async def test_of_many_one_takes_it(database):
    """However many ask at the same time, one gets the lease, and the others get it when it is given back."""
    holders = [holder(database, f"node{number}") for number in range(8)]
    taken = [lease for lease in await asyncio.gather(*(one.take("s") for one in holders)) if lease is not None]
    assert [lease.fence for lease in taken] == [1]
    await holders[0].release(taken[0])
    assert (await holders[1].take("s")).fence == 2


async def test_leases_of_other_names_are_free(database):
    """A lease keeps nobody from another one."""
    one = holder(database, "node")
    assert await one.take("s") and await one.take("t")


async def test_a_lease_that_has_ended_is_taken_by_another(database):
    """After its time it is somebody else's; the old holder renews and guards nothing."""
    old, new = holder(database, "old"), holder(database, "new")
    lease = await old.take("s")
    await expire(database)
    assert (await new.take("s")).fence == 2
    with pytest.raises(LostLease):
        await old.renew(lease)
    await old.release(lease)
    assert await old.take("s") is None


async def test_a_lease_that_nobody_took_is_renewed_late(database):
    """Past its end it is still its holder's while nobody has taken it."""
    one = holder(database, "node")
    lease = await one.take("s")
    await expire(database)
    await one.renew(lease)
    assert await holder(database, "other").take("s") is None


async def test_what_is_written_without_the_lease_is_rolled_back(database):
    """A transaction that guards a lost lease leaves nothing behind."""
    old = holder(database, "old")
    lease = await old.take("s")
    await expire(database)
    assert await holder(database, "new").take("s")

    async def work(tx):
        await old.store.add_budget(tx, b"written")
        await old.guard(tx, lease)

    with pytest.raises(LostLease):
        await database.transact(work)
    count = await database.read(lambda tx: tx.fetch_one("SELECT count(*) FROM tieout_budget"))
    assert count[0] == 0


class StoppedClock:
    """A clock that stands where it is put."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds


async def test_nothing_begins_that_might_outlast_the_lease(database):
    """Near its end, and for what takes too long, the holder begins nothing; renewed, it does."""
    clock = StoppedClock()
    leases = Leases(database, clock, "node", 10.0)
    lease = await leases.take("s")
    assert leases.may_begin(lease) and leases.may_begin(lease, 7.0)
    assert not leases.may_begin(lease, 8.5)
    clock.now += 9.0
    assert not leases.may_begin(lease)
    assert leases.may_begin(await leases.renew(lease))


async def test_a_young_lease_is_kept_without_a_word(database):
    """In the first half of its time it is not renewed; after that it is, and one that was lost is found to be so."""
    old, new = holder(database, "old"), holder(database, "new")
    lease = await old.take("s")
    assert await old.keep(lease) == lease
    aged = lease._replace(ends=lease.ends - 40)
    assert (await old.keep(aged)).ends > aged.ends
    await expire(database)
    await new.take("s")
    with pytest.raises(LostLease):
        await old.keep(aged)
