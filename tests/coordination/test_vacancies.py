"""Who waits for many leases looks at all of them at once."""

from __future__ import annotations

import asyncio

from tests.coordination.test_lease import StoppedClock, expire, holder
from tieout.coordination.vacancies import LASTS, Vacancies


class Watched:
    """A database that counts what is read from it."""

    def __init__(self, database):
        self.database = database
        self.dialect = database.dialect
        self.reads = 0

    async def read(self, work):
        self.reads += 1
        return await self.database.read(work)


NAMES = [f"supplier {number}" for number in range(40)]


async def test_all_are_looked_at_together(database):
    """However many ask while one looks, the next look tells all of them; what was given back or has ended is free."""
    watched, clock, other = Watched(database), StoppedClock(), holder(database, "other")
    taken = {name: await other.take(name) for name in NAMES[:30]}
    vacancies = Vacancies(watched, clock)

    async def free():
        told = await asyncio.gather(*map(vacancies.is_free, NAMES))
        return [name for name, is_free in zip(NAMES, told, strict=True) if is_free]

    assert await free() == NAMES[30:]
    assert watched.reads == 2
    await other.release(taken[NAMES[0]])
    assert await free() == NAMES[30:]
    clock.now += LASTS
    assert await free() == [NAMES[0], *NAMES[30:]]
    await expire(database)
    clock.now += LASTS
    assert await free() == NAMES
    assert watched.reads == 4


async def test_one_that_was_never_asked_about_is_looked_at_now(database):
    """What an earlier look did not include is not taken for free."""
    assert await holder(database, "other").take("late")
    vacancies = Vacancies(database, StoppedClock())
    assert await vacancies.is_free("early")
    assert not await vacancies.is_free("late")
