"""What every `Database` must do with transactions: the first half of its suite."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from tieout.contracts import Transaction
from tieout.errors import (
    AppClosed,
    ConstraintViolation,
    SchemaMismatch,
    StatementError,
    TieoutError,
    UniqueViolation,
)
from tieout.testing.database_site import (
    ADD,
    INSERT,
    POINTS,
    WORDS,
    Site,
    executing,
    fetching,
    make_tables,
    opened,
    points,
    refused,
)


class TransactionRules:
    """Commits, rollbacks, savepoints, and what an error leaves behind."""

    async def test_commits_what_work_wrote(self, site: Site) -> None:
        """All writes of one work are there afterwards, and its result is returned."""
        async with opened(site) as database:

            async def work(tx: Transaction) -> str:
                await tx.execute(ADD, id=1, n=1)
                await tx.execute(INSERT, id=2, points=7)
                return "done"

            assert await database.transact(work) == "done"
            assert (await points(database, 1), await points(database, 2)) == (101, 7)

    async def test_undoes_everything_when_work_raises(self, site: Site) -> None:
        """The error of the business comes out as it was raised, and none of the writes stays."""
        async with opened(site) as database:
            refusal = LookupError("no such prize")

            async def work(tx: Transaction) -> None:
                await tx.execute(ADD, id=1, n=1)
                await tx.execute(INSERT, id=2, points=7)
                raise refusal

            assert await refused(LookupError, database.transact(work)) is refusal
            assert (await points(database, 1), await points(database, 2)) == (100, None)

    async def test_sees_its_own_writes(self, site: Site) -> None:
        """A statement sees the writes before it in the same transaction."""
        async with opened(site) as database:

            async def work(tx: Transaction) -> Any:
                await tx.execute(ADD, id=1, n=5)
                return await tx.fetch_one(POINTS, id=1)

            assert tuple(await database.transact(work)) == (105,)

    async def test_undoes_a_savepoint_alone(self, site: Site) -> None:
        """What a savepoint wrote goes when it raises; what stood around it, and a later savepoint, stays."""
        async with opened(site) as database:

            async def broken(tx: Transaction) -> None:
                await tx.execute(ADD, id=1, n=10)
                await tx.execute(INSERT, id=1, points=0)

            async def whole(tx: Transaction) -> int:
                return await tx.execute(ADD, id=1, n=100)

            async def work(tx: Transaction) -> int:
                await tx.execute(ADD, id=1, n=1)
                await refused(UniqueViolation, tx.savepoint(broken))
                return await tx.savepoint(whole)

            assert await database.transact(work) == 1
            assert await points(database) == 201

    async def test_nests_savepoints(self, site: Site) -> None:
        """An inner savepoint that succeeds goes with the outer one that fails."""
        async with opened(site) as database:

            async def inner(tx: Transaction) -> None:
                await tx.execute(ADD, id=1, n=10)

            async def outer(tx: Transaction) -> None:
                await tx.savepoint(inner)
                raise LookupError

            async def work(tx: Transaction) -> None:
                await tx.execute(ADD, id=1, n=1)
                await refused(LookupError, tx.savepoint(outer))
                await tx.savepoint(inner)

            await database.transact(work)
            assert await points(database) == 111

    async def test_undoes_a_savepoint_that_swallowed_an_error(self, site: Site) -> None:
        """A savepoint whose work caught a statement's error fails with it; what stood around it can go on."""
        async with opened(site) as database:

            async def careless(tx: Transaction) -> None:
                await tx.execute(ADD, id=1, n=10)
                await refused(UniqueViolation, tx.execute(INSERT, id=1, points=0))

            async def work(tx: Transaction) -> None:
                await tx.execute(ADD, id=1, n=1)
                await refused(UniqueViolation, tx.savepoint(careless))
                await tx.execute(ADD, id=1, n=1)

            await database.transact(work)
            assert await points(database) == 102

    async def test_does_not_commit_after_a_swallowed_error(self, site: Site) -> None:
        """Work that catches a statement's error and goes on writes nothing: the error comes out all the same."""
        async with opened(site) as database:

            async def work(tx: Transaction) -> str:
                await tx.execute(ADD, id=1, n=1)
                await refused(UniqueViolation, tx.execute(INSERT, id=1, points=0))
                return "done"

            await refused(UniqueViolation, database.transact(work))
            assert await points(database) == 100

    async def test_runs_nothing_after_an_error(self, site: Site) -> None:
        """After a statement's error the next statement is refused too."""
        async with opened(site) as database:

            async def work(tx: Transaction) -> None:
                await refused(UniqueViolation, tx.execute(INSERT, id=1, points=0))
                await refused(TieoutError, tx.fetch(POINTS, id=1))

            await refused(UniqueViolation, database.transact(work))

    async def test_ends_the_transaction_with_its_work(self, site: Site) -> None:
        """A tx that was kept is refused afterwards, and does not write into somebody else's transaction."""
        async with opened(site) as database:
            kept: list[Transaction] = []

            async def work(tx: Transaction) -> None:
                kept.append(tx)

            await database.transact(work)
            await database.read(work)
            for tx in kept:
                await refused(StatementError, tx.execute(ADD, id=1, n=1))
                await refused(StatementError, tx.execute_many(ADD, [{"id": 1, "n": 1}]))
            assert await points(database) == 100

    async def test_stays_usable_after_errors(self, site: Site) -> None:
        """A hundred failed transactions, some in the statement and some in the business, harm no later one."""
        async with opened(site) as database:

            async def clash(tx: Transaction) -> None:
                await tx.execute(INSERT, id=1, points=0)

            async def refuse(tx: Transaction) -> None:
                await tx.execute(ADD, id=1, n=1)
                raise LookupError

            for _ in range(50):
                await refused(UniqueViolation, database.transact(clash))
                await refused(LookupError, database.transact(refuse))
            assert await points(database) == 100

    async def test_is_refused_when_closed(self, site: Site) -> None:
        """Before `open` and after `close` there are no transactions; opening again brings them back."""
        async with opened(site) as database:
            await database.open()
        unopened = site.handle()
        for closed in (database, unopened):
            await refused(AppClosed, closed.transact(make_tables))
            await refused(AppClosed, closed.read(make_tables))
            await closed.close()
        await database.open()
        await database.transact(make_tables)
        await database.close()


class ReadingRules:
    """Reads: what they see, and that they cannot write."""

    async def test_sees_all_that_was_acknowledged(self, site: Site) -> None:
        """A read that begins after a commit was acknowledged sees it, every time."""
        async with opened(site) as database:
            for n in range(1, 51):
                await database.transact(executing(ADD, id=1, n=1))
                assert await points(database) == 100 + n

    async def test_cannot_write(self, site: Site) -> None:
        """A write inside a read is an error of the calling code, and changes nothing."""
        async with opened(site) as database:
            await refused(StatementError, database.read(executing(ADD, id=1, n=1)))
            assert await points(database) == 100
            await database.transact(executing(ADD, id=1, n=1))
            assert await points(database) == 101

    async def test_finds_rows_by_name_position_and_order(self, site: Site) -> None:
        """A row is read by column name, by position, by unpacking, and knows its columns."""
        async with opened(site) as database:
            (row,) = await database.read(fetching("SELECT id, points AS has FROM account"))
            account, has = row
            assert (account, has) == (row["id"], row["has"]) == (row[0], row[1]) == (1, 100)
            assert (len(row), list(row.keys())) == (2, ["id", "has"])

    async def test_finds_nothing(self, site: Site) -> None:
        """No rows are an empty sequence, and None where one was asked for."""
        async with opened(site) as database:
            assert len(await database.read(fetching(POINTS, id=9))) == 0
            assert await database.read(lambda tx: tx.fetch_one(POINTS, id=9)) is None

    async def test_tells_the_servers_time(self, site: Site) -> None:
        """`{now}` is in microseconds, one moment within a statement, and goes forward from one to the next."""
        async with opened(site) as database:
            moments = []
            for _ in range(3):
                (row,) = await database.read(fetching("SELECT {now} AS a, {now} AS b"))
                assert row["a"] == row["b"]
                moments.append(row["a"])
                await asyncio.sleep(0.002)
            assert moments == sorted(set(moments))
            assert 1_600_000_000_000_000 < moments[0] < 10_000_000_000_000_000


class CountingRules:
    """How many rows a statement matched."""

    async def test_counts_the_rows_that_matched(self, site: Site) -> None:
        """A row set to the value that it has counts: the count decides who won."""
        async with opened(site) as database:

            async def work(tx: Transaction) -> list[int]:
                return [
                    await tx.execute(INSERT, id=2, points=5),
                    await tx.execute("UPDATE account SET points = points"),
                    await tx.execute("UPDATE account SET points = 0 WHERE id = :id", id=9),
                    await tx.execute(WORDS[tx.dialect]["insert_new"], id=2, points=5),
                    await tx.execute(WORDS[tx.dialect]["insert_new"], id=3, points=5),
                    await tx.execute("DELETE FROM account WHERE id > :id", id=1),
                    await tx.execute("DELETE FROM account"),
                ]

            assert await database.transact(work) == [1, 2, 0, 0, 1, 2, 1]

    async def test_returns_rows_from_writes(self, site: Site) -> None:
        """RETURNING, or what a dialect has instead, gives rows to a fetch, and their number to an execute."""
        async with opened(site) as database:
            add = WORDS[database.dialect]["add_returning"]

            async def work(tx: Transaction) -> tuple[Any, ...]:
                row = await tx.fetch_one(add, id=1, n=1)
                rows = await tx.fetch(add, id=1, n=1)
                return row and tuple(row), [tuple(each) for each in rows], await tx.execute(add, id=1, n=1)

            assert await database.transact(work) == ((101,), [(102,)], 1)
            assert await points(database) == 103

    async def test_writes_many_rows(self, site: Site) -> None:
        """A bulk writes every row; without rows it does nothing; one that fails leaves none of its rows."""
        async with opened(site) as database:
            rows = [{"id": n, "points": n} for n in range(2, 1_002)]
            await database.transact(lambda tx: tx.execute_many(INSERT, rows))
            await database.transact(lambda tx: tx.execute_many(INSERT, []))
            (row,) = await database.read(fetching("SELECT count(*), sum(points) FROM account"))
            assert (row[0], int(row[1])) == (1_001, 100 + sum(range(2, 1_002)))
            clash = [{"id": 5_000, "points": 1}, {"id": 2, "points": 1}]
            await refused(UniqueViolation, database.transact(lambda tx: tx.execute_many(INSERT, clash)))
            assert await points(database, 5_000) is None


class ErrorRules:
    """Which error says what."""

    async def test_tells_violations_apart(self, site: Site) -> None:
        """A key that exists is one class; checks, foreign keys and missing values are another."""
        async with opened(site) as database:

            def run(sql: str, **params: Any) -> Awaitable[int]:
                return database.transact(executing(sql, **params))

            await refused(UniqueViolation, run(INSERT, id=1, points=1))
            await refused(ConstraintViolation, run(INSERT, id=2, points=-1))
            await refused(ConstraintViolation, run(INSERT, id=2, points=None))
            await refused(ConstraintViolation, run("INSERT INTO posting (id, account) VALUES (1, 99)"))
            for sql in ("SELEC 1", "SELECT * FROM nowhere", "SELECT nothing FROM account", "", "SELECT 1; SELECT 2"):
                await refused(StatementError, run(sql))

    async def test_names_the_parameters_that_are_wrong(self, site: Site) -> None:
        """A missing or unknown parameter is named, nothing is sent, and the transaction goes on."""
        async with opened(site) as database:

            async def work(tx: Transaction) -> None:
                missing = await refused(StatementError, tx.execute(ADD, id=1))
                assert "missing: n" in str(missing)
                unknown = await refused(StatementError, tx.fetch(POINTS, id=1, idd=1))
                assert "unknown: idd" in str(unknown)
                await tx.execute(ADD, id=1, n=1)

            await database.transact(work)
            assert await points(database) == 101

    async def test_refuses_control_of_the_transaction(self, site: Site) -> None:
        """A statement that would end the transaction under our feet is refused."""
        async with opened(site) as database:
            for sql in ("COMMIT", " rollback", "BEGIN", "/* x */ SAVEPOINT a", "END"):
                await refused(StatementError, database.transact(executing(sql)))

    async def test_tells_that_tables_of_tieout_are_missing(self, site: Site) -> None:
        """A missing table of ours means that the schema is not migrated, and says so."""
        async with opened(site) as database:
            sql = "SELECT * FROM tieout_nowhere WHERE id = :id"
            error = await refused(SchemaMismatch, database.read(fetching(sql, id=1)))
            assert "tieout migrate" in str(error)
