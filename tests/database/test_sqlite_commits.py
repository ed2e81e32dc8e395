"""SQLite's group commit: what is shared, what is not, and what a transaction may not do while it holds the lock."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from functools import partial

import pytest

from tieout.database import connect
from tieout.errors import (
    AppClosed,
    AwaitInTransaction,
    ConstraintViolation,
    RetryTransaction,
    StatementError,
)
from tieout.testing.database_site import ADD, INSERT, POINTS, executing, fetching, make_tables, points, refused


@pytest.fixture
async def database(tmp_path):
    """An open file with the suite's tables."""
    database = connect(f"sqlite:///{tmp_path}/commits.db")
    await database.open()
    await database.transact(make_tables)
    yield database
    await database.close()


async def test_many_transactions_share_a_commit(database):
    """Transactions that wait together are committed together: far fewer commits than transactions."""
    before = database.commits
    await asyncio.gather(*(database.transact(executing(ADD, id=1, n=1)) for _ in range(200)))
    assert 1 <= database.commits - before <= 5
    assert await points(database) == 300


async def test_a_commit_has_a_most_of_members(database, monkeypatch):
    """A batch is bounded, so that one failed commit takes back no more than that."""
    monkeypatch.setattr("tieout.database.sqlite_commit.BATCH_MEMBERS", 10)
    before = database.commits
    await asyncio.gather(*(database.transact(executing(ADD, id=1, n=1)) for _ in range(100)))
    assert 10 <= database.commits - before <= 20


async def test_a_slow_batch_is_closed_in_time(database):
    """Transactions that take their time do not keep the first of them from its commit."""

    async def slow(tx) -> None:
        await tx.execute(ADD, id=1, n=1)
        time.sleep(0.03)  # noqa: ASYNC251 - it plays a slow statement, in the writer's thread

    before = database.commits
    await asyncio.gather(*(database.transact(slow) for _ in range(8)))
    assert 4 <= database.commits - before <= 6


@pytest.mark.parametrize(
    "awaited",
    [
        lambda: asyncio.sleep(0),
        lambda: asyncio.sleep(0.01),
        lambda: asyncio.to_thread(time.time),
        lambda: asyncio.get_running_loop().create_future(),
    ],
)
@pytest.mark.parametrize("inline", [False, True])
async def test_awaiting_anything_else_fails_alone(tmp_path, awaited, inline):
    """Work that awaits something else than tx is refused and undone; those in the same commit are not."""
    database = connect(f"sqlite:///{tmp_path}/a.db", inline=inline)
    await database.open()
    await database.transact(make_tables)

    async def waits(tx) -> None:
        await tx.execute(ADD, id=1, n=100)
        await awaited()

    async def good(tx) -> None:
        await tx.execute(ADD, id=1, n=1)

    works = [good, waits, good, waits, good]
    results = await asyncio.gather(*(database.transact(work) for work in works), return_exceptions=True)
    assert [type(result) for result in results] == [type(None), AwaitInTransaction] * 2 + [type(None)]
    await refused(AwaitInTransaction, database.read(waits_only(awaited)))
    assert await points(database) == 103
    await database.close()


def waits_only(awaited):
    """Work that only awaits something else."""

    async def work(tx) -> None:
        await awaited()

    return work


async def test_work_that_swallows_the_refusal_fails_all_the_same(database):
    """Catching `AwaitInTransaction` does not commit what stood around it."""

    async def stubborn(tx) -> None:
        await tx.execute(ADD, id=1, n=1)
        try:
            await asyncio.sleep(0)
        except AwaitInTransaction:
            await asyncio.sleep(0)

    await refused(AwaitInTransaction, database.transact(stubborn))
    assert await points(database) == 100


@pytest.mark.parametrize("inline", [False, True])
async def test_a_transaction_inside_a_transaction_is_refused(tmp_path, inline):
    """Waiting for another transaction while holding the lock would wait for ever."""
    database = connect(f"sqlite:///{tmp_path}/a.db", inline=inline)
    await database.open()
    await database.transact(make_tables)

    async def nested(tx) -> None:
        await database.transact(executing(ADD, id=1, n=1))

    await refused(AwaitInTransaction, database.transact(nested))
    assert await points(database) == 100
    await database.close()


async def test_a_deferred_constraint_finds_its_owner(database):
    """A constraint that fails at the shared COMMIT takes all back; tried again, only its owner fails."""
    await database.transact(
        executing("CREATE TABLE late (account INTEGER REFERENCES account (id) DEFERRABLE INITIALLY DEFERRED)")
    )

    async def persistent(work) -> str:
        for _ in range(50):
            try:
                await database.transact(work)
            except RetryTransaction:
                continue
            except ConstraintViolation:
                return "refused"
            return "done"
        return "gave up"

    bad = executing("INSERT INTO late (account) VALUES (99)")
    good = executing(ADD, id=1, n=1)
    results = await asyncio.gather(*(persistent(bad if n == 7 else good) for n in range(20)))
    assert results == ["done"] * 7 + ["refused"] + ["done"] * 12
    assert await points(database) == 119


async def test_context_variables_reach_the_work(database):
    """What the caller set in its context, a trace id for example, is there inside the transaction."""
    trace = contextvars.ContextVar("trace", default="none")
    trace.set("abc")

    async def work(tx):
        return trace.get()

    assert await database.transact(work) == await database.read(work) == "abc"


async def test_one_database_serves_several_event_loops(database):
    """Loops in other threads use it at the same time, each getting its own results."""
    totals = []

    async def elsewhere(n: int) -> None:
        for _ in range(20):
            await database.transact(executing(ADD, id=1, n=1))
        totals.append(await database.read(fetching(POINTS, id=1)))

    threads = [threading.Thread(target=lambda n=n: asyncio.run(elsewhere(n))) for n in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        await database.transact(executing(ADD, id=1, n=1))
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert (len(totals), await points(database)) == (4, 200)


@pytest.mark.parametrize("name", ["", "/{}/a.db"])
async def test_closing_serves_or_refuses_everybody(tmp_path, name):
    """When it is closed under load every caller gets an answer: committed, or refused as closed."""
    database = connect(f"sqlite://{name.format(tmp_path)}")
    await database.open()
    await database.transact(make_tables)
    add = executing(ADD, id=1, n=1)
    tasks = [asyncio.create_task(database.transact(add)) for _ in range(50)]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(database.transact(add)) for _ in range(50)]
    tasks += [asyncio.create_task(database.read(add)) for _ in range(50)]
    closing = asyncio.create_task(database.close())
    tasks += [asyncio.create_task(database.transact(add)) for _ in range(50)]
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
    await closing
    assert {type(result) for result in results} <= {int, AppClosed, StatementError}
    assert sum(type(result) is AppClosed for result in results) >= 50
    if name:
        await database.open()
        assert await points(database) == 100 + results.count(1)
        await database.close()


async def test_nan_is_refused(database):
    """SQLite would store NaN as NULL; a number that changes in silence is worse than an error."""
    sql = "INSERT INTO sample (id, f) VALUES (1, :f)"
    await refused(StatementError, database.transact(executing(sql, f=float("nan"))))


async def test_counts_the_rows_of_a_write_behind_with(database):
    """WITH … UPDATE counts its rows too, though the driver does not."""
    sql = "WITH chosen AS (SELECT 1 AS id) UPDATE account SET points = points WHERE id IN (SELECT id FROM chosen)"
    assert await database.transact(executing(sql)) == 1
    assert await database.transact(executing(sql.replace("1 AS id", "9 AS id"))) == 0


async def test_the_time_is_the_clocks(tmp_path):
    """`{now}` is what the clock says, which a test moves; it uses an index as a constant would."""
    moment = [1_000]
    database = connect("sqlite://", inline=True, clock=lambda: moment[0])
    await database.open()
    now = partial(fetching, "SELECT {now} AS now")
    assert (await database.read(now()))[0]["now"] == 1_000
    moment[0] += 5
    assert (await database.read(now()))[0]["now"] == 1_005
    await database.transact(executing("CREATE TABLE task (due INTEGER)"))
    await database.transact(executing("CREATE INDEX task_due ON task (due)"))
    plan = await database.read(fetching("EXPLAIN QUERY PLAN SELECT * FROM task WHERE due <= {now}"))
    assert "task_due" in plan[0]["detail"]
    await database.close()


class Crash(BaseException):
    """Stands for the death of the process."""


@pytest.mark.parametrize(
    ("at", "found"),
    [
        ("statement:UPDATE account SET points = points + :n WHERE id = :id", (100, None)),
        ("statement:INSERT INTO account (id, points) VALUES (:id, :points)", (100, None)),
        ("commit", (100, None)),
        ("committed", (101, 7)),
    ],
)
@pytest.mark.parametrize("inline", [False, True])
async def test_a_crash_can_be_played_anywhere(tmp_path, at, found, inline):
    """The hook hears of every statement and commit; what it raises undoes what is not yet committed, and only that."""
    armed = False

    def hook(event: str) -> None:
        if armed and event == at:
            raise Crash

    database = connect(f"sqlite:///{tmp_path}/a.db", inline=inline, hook=hook)
    await database.open()
    await database.transact(make_tables)

    async def work(tx) -> None:
        await tx.execute(ADD, id=1, n=1)
        await tx.execute(INSERT, id=2, points=7)

    armed = True
    await refused(Crash, database.transact(work))
    armed = False
    assert (await points(database, 1), await points(database, 2)) == found
    await database.close()
