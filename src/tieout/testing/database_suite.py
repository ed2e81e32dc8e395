"""What every `Database` must do: one suite, run on each of them.

A test class takes it over by inheriting `DatabaseSuite` and giving the fixture `site`, which says where databases of
that kind are. The suite knows dialects only through `database_site.WORDS`.
"""

from __future__ import annotations

import asyncio
import os
import tracemalloc
import warnings
from functools import partial
from typing import Any

from tieout.contracts import Database, Param, Transaction
from tieout.errors import AppForked, StatementError
from tieout.testing.database_rules import CountingRules, ErrorRules, ReadingRules, TransactionRules
from tieout.testing.database_site import (
    ADD,
    INSERT,
    NOTHING,
    POINTS,
    SAMPLE,
    WORDS,
    Site,
    executing,
    fetching,
    opened,
    points,
    refused,
)

TASKS = 32


async def kept(database: Database, column: str, value: Param) -> Any:
    """What comes back of a value that was stored in a column."""

    async def work(tx: Transaction) -> Any:
        await tx.execute("DELETE FROM sample")
        await tx.execute(SAMPLE, id=1, **{**NOTHING, column: value})
        row = await tx.fetch_one("SELECT n, t, b, f, o FROM sample")
        return row and row[column]

    return await database.transact(work)


class ValueRules:
    """Values come back as they went in, or are refused."""

    async def test_keeps_integers_of_64_bits(self, site: Site) -> None:
        """The edges of 64 bits are kept, and the next number is refused, not rounded."""
        async with opened(site) as database:
            for value in (0, -1, 2**63 - 1, -(2**63), 2**53 + 1):
                assert await kept(database, "n", value) == value
            for value in (2**63, -(2**63) - 1, 10**30):
                await refused(StatementError, kept(database, "n", value))

    async def test_keeps_text(self, site: Site) -> None:
        """Text of any script and length comes back the same; half a surrogate pair is refused."""
        async with opened(site) as database:
            for value in ("", "plain", "Grüße, 世界 🎁", "e\u0301 é", "'; DROP TABLE account; --", "x" * 1_000_000):
                assert await kept(database, "t", value) == value
            await refused(StatementError, kept(database, "t", "\ud800"))

    async def test_keeps_bytes(self, site: Site) -> None:
        """Bytes of any value come back as bytes, NUL included."""
        async with opened(site) as database:
            for value in (b"", b"\x00", bytes(range(256)), b"\xff" * 100_000):
                found = await kept(database, "b", value)
                assert (type(found), found) == (bytes, value)

    async def test_keeps_other_values(self, site: Site) -> None:
        """Null, truth and floating point come back equal."""
        async with opened(site) as database:
            for value in (0.1, -1e300, 5e-324):
                assert await kept(database, "f", value) == value
            assert [await kept(database, "o", value) for value in (True, False)] == [1, 0]
            for column in ("n", "t", "b", "f", "o"):
                assert await kept(database, column, None) is None

    async def test_refuses_what_it_cannot_keep(self, site: Site) -> None:
        """A value of a type that no column takes is refused."""
        async with opened(site) as database:
            for value in (object(), {"a": 1}, {1}):
                await refused(StatementError, kept(database, "n", value))  # type: ignore[arg-type] # that is the point

    async def test_takes_lists(self, site: Site) -> None:
        """A list is one parameter, for statements that unnest it; an empty one matches nothing."""
        async with opened(site) as database:
            await database.transact(executing(INSERT, id=2, points=0))
            sql = WORDS[database.dialect]["by_ids"]
            for ids, found in (([1, 2, 3], [1, 2]), ([2], [2]), ([], [])):
                rows = await database.read(fetching(sql, ids=ids))
                assert [row["id"] for row in rows] == found


class StreamRules:
    """Results too large to hold."""

    async def fill(self, database: Database, count: int, size: int) -> None:
        """Store rows with texts of `size` letters."""
        rows = [{**NOTHING, "id": n, "t": "x" * size} for n in range(count)]
        await database.transact(lambda tx: tx.execute_many(SAMPLE, rows))

    async def test_streams_in_batches(self, site: Site) -> None:
        """All rows come in order, in batches of the size asked for, the last one smaller; no rows are no batch."""
        async with opened(site) as database:
            await self.fill(database, 25, 1)
            sql = "SELECT id FROM sample WHERE id >= :least ORDER BY id"
            batches = [[row["id"] for row in rows] async for rows in database.stream(sql, batch=10, least=0)]
            assert batches == [list(range(10)), list(range(10, 20)), list(range(20, 25))]
            assert [rows async for rows in database.stream(sql, batch=10, least=100)] == []

    async def test_streams_one_snapshot(self, site: Site) -> None:
        """Rows deleted meanwhile, by a transaction that does not have to wait, are still in the stream."""
        async with opened(site) as database:
            await self.fill(database, 1_000, 1)
            seen = 0
            async for rows in database.stream("SELECT id FROM sample", batch=100):
                seen += len(rows)
                await database.transact(executing("DELETE FROM sample"))
            assert seen == 1_000

    async def test_streams_in_bounded_memory(self, site: Site) -> None:
        """A stream of 20 megabytes holds one batch of them."""
        async with opened(site) as database:
            await self.fill(database, 10_000, 2_000)
            tracemalloc.start()
            try:
                size = 0
                async for rows in database.stream("SELECT t FROM sample", batch=100):
                    size += sum(len(row["t"]) for row in rows)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert size == 20_000_000
            assert peak < 4_000_000 or not site.bounded

    async def test_gives_back_what_an_abandoned_stream_held(self, site: Site) -> None:
        """Streams that are left in the middle, or fail, cost nothing that a later one lacks."""
        async with opened(site) as database:
            await self.fill(database, 100, 1)
            for _ in range(40):
                stream = database.stream("SELECT id FROM sample", batch=10)
                await anext(stream)
                await stream.aclose()
                await refused(StatementError, anext(database.stream("SELECT nothing FROM sample")))
            assert await points(database) == 100


class ConcurrencyRules:
    """Many tasks at once, some of them cancelled."""

    async def test_loses_no_update(self, site: Site) -> None:
        """Increments by 32 tasks at once all count; a guarded update stops exactly at its guard."""
        async with opened(site) as database:
            take = "UPDATE account SET points = points - 1 WHERE id = 1 AND points > 0"

            async def task() -> int:
                return sum([await database.transact(executing(take)) for _ in range(5)])

            taken = await asyncio.gather(*(task() for _ in range(TASKS)))
            assert (sum(taken), await points(database)) == (100, 0)

    async def test_lets_one_duplicate_win(self, site: Site) -> None:
        """Of many transactions that insert the same key at once exactly one does, and the others see its row."""
        async with opened(site) as database:
            insert = WORDS[database.dialect]["insert_new"]

            async def work(mine: int, tx: Transaction) -> tuple[int, Any]:
                won = await tx.execute(insert, id=7, points=mine)
                row = await tx.fetch_one(POINTS, id=7)
                return won, row and row["points"]

            results = await asyncio.gather(*(database.transact(partial(work, n)) for n in range(TASKS)))
            winners = [n for n, (won, _) in enumerate(results) if won]
            assert len(winners) == 1
            assert {row for _, row in results} == {winners[0]}

    async def test_fails_each_on_its_own(self, site: Site) -> None:
        """Of transactions that run at once, those that fail take none of the others with them."""
        async with opened(site) as database:

            async def work(n: int, tx: Transaction) -> None:
                await tx.execute(ADD, id=1, n=1)
                await tx.execute(INSERT, id=n if n % 3 else 1, points=n)
                if n % 5 == 0:
                    raise LookupError(n)

            results = await asyncio.gather(
                *(database.transact(partial(work, n)) for n in range(2, 62)),
                return_exceptions=True,
            )
            good = [n for n in range(2, 62) if n % 3 and n % 5]
            assert [n for n, result in enumerate(results, start=2) if result is None] == good
            assert await points(database) == 100 + len(good)
            rows = await database.read(lambda tx: tx.fetch("SELECT id FROM account WHERE id > 1 ORDER BY id"))
            assert [row["id"] for row in rows] == good

    async def test_survives_cancellation_at_any_moment(self, site: Site) -> None:
        """A cancelled transaction is whole or absent, and leaves neither a lock nor a connection behind."""
        async with opened(site) as database:
            await database.transact(executing(INSERT, id=2, points=1_000))

            async def move(tx: Transaction) -> None:
                await tx.execute(ADD, id=2, n=-1)
                await tx.fetch(POINTS, id=2)
                await tx.execute(ADD, id=1, n=1)

            for turns in range(40):
                tasks = [asyncio.create_task(database.transact(move)) for _ in range(4)]
                for _ in range(turns):
                    await asyncio.sleep(0)
                await asyncio.sleep(turns % 8 * 0.0003)
                for task in tasks[1:]:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            one, two = await points(database, 1) or 0, await points(database, 2) or 0
            assert (one + two, one >= 140) == (1_100, True)
            await asyncio.wait_for(asyncio.gather(*(database.transact(move) for _ in range(TASKS))), 10)

    async def test_shares_its_data_between_handles(self, site: Site) -> None:
        """Two handles on the same data write at the same time, and neither loses an update of the other's."""
        async with opened(site) as database:
            other = site.handle() if site.shared else database
            await other.open()

            async def task(handle: Database) -> None:
                for _ in range(20):
                    await handle.transact(executing(ADD, id=1, n=1))

            await asyncio.gather(*(task(handle) for handle in (database, other) for _ in range(4)))
            assert (await points(database), await points(other)) == (260, 260)
            if other is not database:
                await other.close()

    async def test_is_refused_after_a_fork(self, site: Site) -> None:
        """A child process is told to open the database itself; the parent's goes on."""
        async with opened(site) as database:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that forks and threads do not go together is what this is about
                child = os.fork()
            if child == 0:
                os._exit(_verdict_in_child(database))
            _, status = await asyncio.to_thread(os.waitpid, child, 0)
            assert os.waitstatus_to_exitcode(status) == 0
            assert await points(database) == 100


def _verdict_in_child(database: Database) -> int:
    try:
        for begin in (database.transact, database.read):
            try:
                begin(executing(ADD, id=1, n=1)).__await__().send(None)
            except AppForked:
                continue
            return 1
    except BaseException:  # noqa: BLE001 - the child must end here, whatever happens
        return 2
    return 0


class DatabaseSuite(
    TransactionRules, ReadingRules, CountingRules, ErrorRules, ValueRules, StreamRules, ConcurrencyRules
):
    """The whole suite of the `Database` contract."""
