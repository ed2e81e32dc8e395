"""Tokens of many budgets are taken together, and each is the one that it would have been by itself."""

from __future__ import annotations

import asyncio

import pytest

from tests.coordination.test_budget import RecordingClock
from tests.mirror.waiting import until
from tieout.coordination.budget import Budget, Rate
from tieout.coordination.store import BudgetRow, CoordinationStore
from tieout.coordination.till import MOST, Till, Wanted, granted
from tieout.database import connect
from tieout.errors import DatabaseUnavailable

EACH_SECOND = {"sync": Rate(60, 60_000_000)}


class Watched:
    """A database that counts what is written to it, and may be away."""

    def __init__(self, database):
        self.database = database
        self.dialect = database.dialect
        self.is_away = False
        self.written = 0

    async def transact(self, work):
        self.written += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise DatabaseUnavailable("away")
        return await self.database.transact(work)


async def budgets(database, count):
    """So many budgets of a token a second, and a till where they are taken from."""
    clock, watched = RecordingClock(), Watched(database)
    made = [Budget(watched, clock, f"supplier {number}", EACH_SECOND) for number in range(count)]
    for one in made:
        await one.open()
    watched.written = 0
    return made, Till(watched, clock), watched


async def next_tokens(database, count):
    """When the next token of each budget is."""
    names = [f"supplier {number}/sync".encode() for number in range(count)]
    rows = await database.transact(lambda tx: CoordinationStore(database.dialect).stop_budgets(tx, names))
    return {name: row.next_at for name, row in rows.items()}


async def test_many_are_taken_in_one_transaction(database):
    """Whoever wants tokens at the same time shares a transaction; of each budget they come one by one all the same."""
    some, till, watched = await budgets(database, 40)
    taken = await asyncio.gather(*(one.reserve("sync", 5.0, till=till) for one in some))
    assert watched.written == 1
    assert all(round(token.at) == 0 for (token,) in taken)
    twice = await asyncio.gather(*(some[0].reserve("sync", 5.0, till=till) for _ in range(3)))
    assert watched.written == 2
    assert sorted(round(token.at) for (token,) in twice) == [1, 2, 3]
    assert await some[0].reserve("sync", 1.0, till=till) == []
    assert [round(token.at) for token in await some[0].reserve("sync", 9.0, 2)] == [4, 5]


async def test_a_transaction_grants_only_so_many(database):
    """More than that are granted in several transactions."""
    (one,), till, watched = await budgets(database, 1)
    taken = await asyncio.gather(*(one.reserve("sync", 1e6, till=till) for _ in range(MOST + 1)))
    assert watched.written == 2
    assert sorted(round(token.at) for (token,) in taken) == list(range(MOST + 1))


async def test_nodes_that_take_of_the_same_budgets_share_their_tokens(database, url):
    """All at once, in another order each, again and again: none waits in a circle, and no token is given twice."""
    some, till, _ = await budgets(database, 12)
    for one in some:
        assert await one.reserve("sync", 5.0, 100)
    before = await next_tokens(database, 12)
    other = connect(url)
    await other.open()
    theirs = Till(other, RecordingClock())
    try:
        taken = await asyncio.gather(
            *(
                one.reserve("sync", 1e6, till=where)
                for turn in range(20)
                for where, these in ((till, some), (theirs, some[::-1]))
                for one in these[turn % 3 :]
            )
        )
    finally:
        await other.close()
    assert all(taken)
    after = await next_tokens(database, 12)
    assert sum(after.values()) - sum(before.values()) == len(taken) * 1_000_000


WAITING = {
    "postgres": "SELECT count(*) AS n FROM pg_locks WHERE NOT granted",
    "mysql": """
        SELECT CAST(variable_value AS INT) AS n FROM information_schema.global_status
        WHERE variable_name = 'innodb_row_lock_current_waits'
    """,
}
"""How many transactions wait for another one."""


async def are_waiting(tx):
    return (await tx.fetch_one(WAITING[tx.dialect]))["n"]


@pytest.mark.parametrize("url", WAITING, indirect=True)
async def test_budgets_are_stopped_in_the_order_of_their_names(database):
    """Whoever has stopped the first of some budgets may stop the others: who wants all of them holds none meanwhile."""
    store, names = CoordinationStore(database.dialect), [f"budget {letter}".encode() for letter in "abcdefgh"]

    async def add(tx):
        for name in reversed(names):
            await store.add_budget(tx, name)

    async def stop_all(tx):
        return await store.stop_budgets(tx, reversed(names))

    async def stop_first_and_others(tx):
        await store.stop_budgets(tx, names[:1])
        waiting = asyncio.create_task(database.transact(stop_all))
        await until(lambda: are_waiting(tx), 1)
        await store.stop_budgets(tx, names[1:])
        return waiting

    await database.transact(add)
    waiting = await database.transact(stop_first_and_others)
    assert len(await waiting) == len(names)


async def test_a_pause_meanwhile_is_kept(database):
    """Whoever takes behind a pause has a token behind its end, or none."""
    (one,), till, _ = await budgets(database, 1)
    await one.pause(60.0)
    assert await one.reserve("sync", 5.0, till=till) == []
    (token,) = await one.reserve("sync", 61.0, till=till)
    assert 59 < token.at <= 60


def test_what_is_granted():
    """By turns; what is too far off is not taken, and what is not known gives nothing."""
    some = [Wanted(b"a", 10, 5), Wanted(b"a", 10, 5), Wanted(b"a", 10, 12), Wanted(b"b", 7, 0), Wanted(b"c", 1, 9)]
    waits, moved = granted(some, {b"a": BudgetRow(103, 100), b"b": BudgetRow(0, 100)})
    assert waits == [3, None, None, 0, None] and moved == {b"a": 113, b"b": 107}
    assert granted(some[:3], {b"a": BudgetRow(0, 100)})[0] == [0, None, 10]


async def test_everybody_is_told_that_the_database_is_away(database):
    """An error is raised to all who share it; whoever comes later is served."""
    some, till, watched = await budgets(database, 3)
    watched.is_away = True
    told = await asyncio.gather(*(one.reserve("sync", 5.0, till=till) for one in some), return_exceptions=True)
    assert [type(error) for error in told] == [DatabaseUnavailable] * 3
    watched.is_away = False
    assert len(await some[0].reserve("sync", 5.0, till=till)) == 1


async def test_one_who_waits_no_more_disturbs_nobody(database):
    """Its token is spent, the others have theirs."""
    some, till, _ = await budgets(database, 3)
    waiting = [asyncio.create_task(one.reserve("sync", 5.0, till=till)) for one in some]
    await asyncio.sleep(0)
    waiting[1].cancel()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(told[1], asyncio.CancelledError)
    assert [len(tokens) for tokens in (told[0], told[2])] == [1, 1]
    with pytest.raises(asyncio.CancelledError):
        await waiting[1]
