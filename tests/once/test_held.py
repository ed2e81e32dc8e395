"""Transactions that a route holds open on SQLite: the contract of every other one, and a limit."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import tieout
from tieout.contracts import Transaction
from tieout.database.sqlite import SqliteDatabase
from tieout.once.held import HeldDatabase
from tieout.testing.database_site import Site
from tieout.testing.database_suite import DatabaseSuite

INSERT = "INSERT INTO note (n) VALUES (:n)"


class Whole(SqliteDatabase):
    """A SQLite file all of whose transactions are held open by the event loop."""

    async def transact(self, work: Callable[[Transaction], Awaitable[Any]]) -> Any:
        if self._pid != os.getpid():
            self._refuse()  # the suite's forked child has no event loop to hold a transaction open in
        return await HeldDatabase(Plain(super().transact), seconds=20).transact(work)


class Plain:
    """What a held transaction is made of."""

    dialect = "sqlite"

    def __init__(self, transact: Any) -> None:
        self.transact = transact


class TestHeldTransactions(DatabaseSuite):
    """The suite of the contract, each transaction held open."""

    @pytest.fixture
    def site(self, tmp_path: Path) -> Site:
        return Site(lambda: Whole(tmp_path / "held.db"))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    made = SqliteDatabase(tmp_path / "held.db")
    await made.open()
    await made.transact(lambda tx: tx.execute("CREATE TABLE note (n INTEGER NOT NULL UNIQUE)"))
    yield made
    await made.close()


async def notes(database: SqliteDatabase) -> list[int]:
    """What is committed."""
    return [n for (n,) in await database.read(lambda tx: tx.fetch("SELECT n FROM note ORDER BY n"))]


async def test_it_may_await_anything(database: SqliteDatabase) -> None:
    """Between its statements the loop runs other tasks; readers see nothing of it until it commits."""
    seen: list[list[int]] = []

    async def work(tx: Transaction) -> int:
        await tx.execute(INSERT, n=1)
        await asyncio.sleep(0.01)
        seen.append(await notes(database))
        return await tx.execute(INSERT, n=2)

    assert await HeldDatabase(database).transact(work) == 1
    assert (seen, await notes(database)) == ([[]], [1, 2])


async def test_others_write_before_and_after_it(database: SqliteDatabase) -> None:
    """Held and other transactions take turns, and each is whole."""
    held = HeldDatabase(database)

    async def slow(tx: Transaction, n: int) -> None:
        await tx.execute(INSERT, n=n)
        await asyncio.sleep(0.001)
        await tx.execute(INSERT, n=n + 1)

    works = [(held if n % 4 else database).transact(lambda tx, n=n: quick(tx, n)) for n in range(0, 40, 2)]
    works += [held.transact(lambda tx, n=n: slow(tx, n)) for n in range(40, 60, 2)]
    await asyncio.gather(*works)
    assert await notes(database) == list(range(60))


async def quick(tx: Transaction, n: int) -> None:
    await tx.execute(INSERT, n=n)
    await tx.execute(INSERT, n=n + 1)


async def test_it_has_an_end(database: SqliteDatabase) -> None:
    """Whoever keeps the only writer for too long is rolled back, told so, and is no longer in anybody's way."""

    async def work(tx: Transaction) -> None:
        await tx.execute(INSERT, n=1)
        await asyncio.sleep(0.2)
        with pytest.raises(tieout.Overloaded, match=r"0\.05 s"):
            await tx.execute(INSERT, n=2)

    with pytest.raises(tieout.Overloaded, match="only writer"):
        await HeldDatabase(database, seconds=0.05).transact(work)
    await database.transact(lambda tx: quick(tx, 5))
    assert await notes(database) == [5, 6]


async def test_using_the_database_outside_its_tx_ends_too(database: SqliteDatabase) -> None:
    """A route that opens a second transaction inside its own waits for itself: the limit ends that."""

    async def work(tx: Transaction) -> None:
        await tx.execute(INSERT, n=1)
        await database.transact(lambda other: quick(other, 5))

    with pytest.raises(tieout.Overloaded):
        await HeldDatabase(database, seconds=0.05).transact(work)
    assert await notes(database) == [5, 6]


async def test_a_cancelled_one_is_rolled_back_at_once(database: SqliteDatabase) -> None:
    """Cancelled between statements, inside a savepoint too, it gives the writer back without waiting for its limit."""
    entered = asyncio.Event()

    async def inner(tx: Transaction) -> None:
        await tx.execute(INSERT, n=2)
        entered.set()
        await asyncio.Event().wait()

    async def work(tx: Transaction) -> None:
        await tx.execute(INSERT, n=1)
        await tx.savepoint(inner)

    task = asyncio.create_task(HeldDatabase(database, seconds=300).transact(work))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(60):
        await database.transact(lambda tx: quick(tx, 5))
    assert await notes(database) == [5, 6]


async def test_a_savepoint_left_open_by_another_task_goes_too(database: SqliteDatabase) -> None:
    """When the work fails while another task of it is inside a savepoint, all is rolled back, and nothing hangs."""
    inside, tasks = asyncio.Event(), []

    async def inner(tx: Transaction) -> None:
        await tx.execute(INSERT, n=2)
        inside.set()
        await asyncio.Event().wait()

    async def work(tx: Transaction) -> None:
        tasks.append(asyncio.create_task(tx.savepoint(inner)))
        await inside.wait()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await HeldDatabase(database, seconds=300).transact(work)
    tasks[0].cancel()
    await asyncio.wait(tasks)
    assert await notes(database) == []
