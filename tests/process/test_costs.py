"""What a process costs: transactions and statements, none more than it needs."""

from __future__ import annotations

import pytest

from tests.process.place import key_of, rest, rows, standing
from tests.process.shop import Prize, redeem
from tieout import Succeeded
from tieout.database import connect

A = Succeeded(Prize("A1"))


class Counting:
    """A database that counts what it is asked for."""

    def __init__(self, url):
        self.inner = connect(url)
        self.dialect = self.inner.dialect
        self.open, self.close, self.stream = self.inner.open, self.inner.close, self.inner.stream
        self.transactions, self.reads, self.statements = 0, 0, []

    async def transact(self, work):
        self.transactions += 1
        return await self.inner.transact(lambda tx: work(CountingTransaction(tx, self.statements)))

    async def read(self, work):
        self.reads += 1
        return await self.inner.read(work)


class CountingTransaction:
    """A transaction that writes down the first word of each statement."""

    def __init__(self, tx, statements):
        self.tx, self.statements, self.dialect = tx, statements, tx.dialect

    def _count(self, sql):
        self.statements.append(getattr(sql, "name", str(sql)).split()[0])

    async def execute(self, sql, /, **params):
        self._count(sql)
        return await self.tx.execute(sql, **params)

    async def execute_many(self, sql, rows, /):
        if rows:
            self._count(sql)
        await self.tx.execute_many(sql, rows)

    async def fetch(self, sql, /, **params):
        self._count(sql)
        return await self.tx.fetch(sql, **params)

    async def fetch_one(self, sql, /, **params):
        self._count(sql)
        return await self.tx.fetch_one(sql, **params)


async def counting(place, shop, kind):
    database = Counting(place.url)
    app = await place.open(kind, shop=shop, database=database)
    database.transactions, database.reads = 0, 0
    database.statements.clear()
    return app, database


async def test_a_redemption_is_two_transactions(place, shop):
    """One insert of the engine's at the start, one update at the end, each with the business writes of its step."""
    kind = redeem()
    app, database = await counting(place, shop, kind)
    process = await app.start(kind(request_id="r1", user="ann"), wait=60)
    assert process.state == "completed"
    assert (database.transactions, database.reads) == (2, 0)
    assert database.statements == ["UPDATE", "INSERT", "insert_process", "INSERT", "save_process"]


async def test_what_is_sent_once_costs_one_more(place, shop):
    """The mark is committed before the call."""
    kind = redeem(idempotent=False)
    app, database = await counting(place, shop, kind)
    await app.start(kind(request_id="r1", user="ann"), wait=60)
    assert (database.transactions, database.reads) == (3, 0)


async def test_a_report_is_two_transactions(place, shop):
    """One reads the process, so that the answer can be checked against its type; one judges and moves."""
    _, process = await standing(place, shop)
    app, database = await counting(place, shop, redeem())
    await app.report(key_of(process), A)
    assert database.transactions + database.reads == 2
    assert [name for name in database.statements if name != "INSERT"] == ["read_process", "save_process"]


@pytest.mark.parametrize("lanes", [1, 5])
async def test_an_idle_sweep_is_one_statement(place, shop, lanes):
    """Whatever the number of lanes; once a minute, one more statement looks for lanes that the code has lost."""
    app = await place.open(*(redeem(name=f"kind{n}") for n in range(lanes)), shop=shop, database=Counting(place.url))
    database = app.database
    await app.worker.sweep()
    for _ in range(3):
        before = database.transactions, database.reads
        database.statements.clear()
        assert await app.worker.sweep() == 0
        assert (database.transactions, database.reads) == (before[0] + 1, before[1])
        assert len(database.statements) == 1


async def test_a_query_that_finds_nothing_costs_one_update(place, shop):
    """A poll changes counters and the due time, and writes no trail."""
    _, process = await standing(place, shop)
    app, database = await counting(place, shop, redeem())
    await rows(app, "UPDATE tieout_process SET due = {now} - 1")
    await app.worker.sweep()
    await rest(app)
    assert {"claim_processes", "postpone_process"} <= set(database.statements)
    assert {"save_process", "read_process"}.isdisjoint(database.statements)
    after = await app.get(process.id)
    assert (after.trail, after.calls) == (process.trail, process.calls)
