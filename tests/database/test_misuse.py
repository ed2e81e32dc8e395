"""Work that misuses its transaction: all of it is rolled back, and the next one is given its own answers."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tieout.database import connect
from tieout.database.driving import drive
from tieout.errors import DatabaseUnavailable, StatementError
from tieout.testing.database_site import ADD, make_tables, points, refused

SLEEP = {"postgres": "SELECT pg_sleep(60)", "mysql": "SELECT SLEEP(60)"}


@pytest.fixture(params=["postgres", "mariadb"])
def address(request):
    """A database that is opened with one connection, so that the next transaction has the one that was misused."""
    server = request.getfixturevalue(request.param)
    return f"{server.url(server.database())}?pool=1"


@pytest.fixture
async def database(address):
    database = connect(address)
    await database.open()
    await database.transact(make_tables)
    yield database
    await database.close()


async def check_untouched(database) -> None:
    """Nothing was written, and later transactions are given what they ask for."""
    for n in range(5):
        assert (await database.transact(lambda tx, n=n: tx.fetch_one(f"SELECT {n} AS value")))["value"] == n
    assert await points(database) == 100


async def test_statements_beside_each_other(database):
    """Two statements of one transaction at a time are refused."""

    async def work(tx) -> None:
        await asyncio.gather(*(tx.execute(ADD, id=1, n=n) for n in range(1, 4)))

    async with asyncio.timeout(60):
        await refused(StatementError, database.transact(work))
        await check_untouched(database)


async def test_a_statement_that_outlives_its_work(database):
    """Work that returns while a statement is on its way is not committed, and it is certain that it is not."""
    begun = []

    async def work(tx) -> None:
        await tx.execute(ADD, id=1, n=1)
        begun.append(asyncio.ensure_future(tx.fetch("SELECT 7 AS seven")))
        await asyncio.sleep(0)

    error = await refused(StatementError, database.transact(work))
    assert error.outcome == "failed"
    await asyncio.gather(*begun, return_exceptions=True)
    await check_untouched(database)


async def test_a_cancelled_statement_whose_work_goes_on(database):
    """Who swallows the cancellation of a statement is not committed."""

    async def work(tx) -> None:
        await tx.execute(ADD, id=1, n=1)
        asleep = asyncio.ensure_future(tx.fetch(SLEEP[tx.dialect]))
        await asyncio.sleep(0)
        asleep.cancel()
        await asyncio.gather(asleep, return_exceptions=True)

    async with asyncio.timeout(60):
        await refused(DatabaseUnavailable, database.transact(work))
        await check_untouched(database)


async def test_a_cancelled_savepoint_whose_work_goes_on(database):
    """What a savepoint wrote before it was cancelled, between two statements, is not committed."""

    async def cancelled(tx) -> None:
        await tx.execute(ADD, id=1, n=50)
        raise asyncio.CancelledError

    async def work(tx) -> None:
        await asyncio.gather(tx.savepoint(cancelled), return_exceptions=True)

    await refused(StatementError, database.transact(work))
    await check_untouched(database)


def test_threads_that_share_a_transaction(address):
    """Two threads that use one transaction at a time never get each other's answers."""
    database = connect(address, blocking=True)
    drive(database.open())
    drive(database.transact(make_tables))

    async def work(tx) -> list[int]:
        def ask(n: int) -> int:
            return drive(tx.fetch_one(f"SELECT {n} AS value"))["value"]

        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(ask, range(200)))

    with suppress(StatementError):
        assert drive(database.transact(work)) == list(range(200))
    drive(check_untouched(database))
    drive(database.close())


async def test_a_connection_lost_inside_a_savepoint(postgres):
    """It is told as what it is: another try may succeed."""
    database = connect(f"{postgres.url(postgres.database())}?pool=1")
    await database.open()

    async def lost(tx) -> None:
        await tx.fetch("SELECT pg_terminate_backend(pg_backend_pid())")

    await refused(DatabaseUnavailable, database.transact(lambda tx: tx.savepoint(lost)))
    await database.close()
