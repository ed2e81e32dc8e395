"""PostgreSQL when it is killed, cut off, frozen, read-only or full: typed outcomes, and recovery by itself."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import pytest

from tests.database.settling import settled
from tests.servers.postgres import Postgres
from tests.servers.process import free_port
from tests.servers.proxy import Proxy
from tieout.database import connect
from tieout.database.pool import Pool
from tieout.database.postgres_hosts import Hosts, parse
from tieout.database.postgres_wire import dial
from tieout.errors import (
    CommitUnknown,
    ConfigError,
    ConstraintViolation,
    DatabaseError,
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnavailable,
    RetryTransaction,
    SchemaMismatch,
    StatementError,
    UniqueViolation,
)
from tieout.testing.database_site import ADD, INSERT, executing, fetching, make_tables, points, refused

DURABLE = {"fsync": "off", "full_page_writes": "off"}
"""A commit survives the death of the server, though not of the machine, which these tests leave alive."""


@pytest.fixture
def server():
    """A server that the test may harm."""
    server = Postgres(**DURABLE)
    try:
        server.create()
        yield server
    finally:
        server.remove()


@pytest.fixture
async def proxy(postgres):
    async with Proxy(postgres.port).running() as proxy:
        yield proxy


@pytest.fixture
async def fragile(proxy):
    """A database behind the proxy, with short deadlines, and the suite's tables in it."""
    database = connect(f"postgresql://u@127.0.0.1:{proxy.port}/postgres?pool=2&deadline=2&connect_timeout=3")
    await database.open()
    await database.transact(make_tables)
    yield database
    await database.close()


def named(word: bytes):
    """Whether a request holds this word."""
    return lambda data: word in data


async def twice(tx) -> None:
    """Two statements, so that one can be lost after the other."""
    await tx.execute(ADD, id=1, n=1)
    await tx.fetch("SELECT points AS second FROM account")


@pytest.mark.parametrize(("fault", "found"), [("before", 100), ("after", 101), ("hang", 101)])
async def test_a_lost_answer_to_commit_is_unknown(proxy, fragile, fault, found):
    """Whether COMMIT never arrived or its answer was lost, the caller learns that it does not know; both happen."""
    await fragile.transact(twice)
    await fragile.transact(executing("UPDATE account SET points = 100"))
    proxy.lose(fault, named(b"COMMIT\0"))
    error = await refused(CommitUnknown, fragile.transact(twice))
    assert (error.outcome, error.retryable, proxy.hits) == ("unknown", True, 1)
    await settled(fragile, found)


@pytest.mark.parametrize("fault", ["before", "after", "hang"])
async def test_a_connection_lost_in_a_statement_has_done_nothing(proxy, fragile, fault):
    """Before COMMIT a lost connection means that nothing was done, and the next transaction works."""
    proxy.lose(fault, named(b"second"))
    error = await refused(DatabaseUnavailable, fragile.transact(twice))
    assert (error.outcome, error.retryable, proxy.hits) == ("failed", True, 1)
    assert await points(fragile) == 100
    proxy.cut()
    await fragile.transact(twice)
    assert await points(fragile) == 101


@pytest.mark.parametrize("fault", ["before", "after", "hang"])
async def test_a_connection_lost_at_begin_is_replaced(proxy, fragile, fault):
    """A pooled connection that turns out dead when a transaction begins costs time, and no error."""
    await fragile.transact(twice)
    proxy.lose(fault, named(b"BEGIN"))
    await fragile.transact(twice)
    assert (await points(fragile), proxy.hits) == (102, 1)


async def test_connections_closed_by_the_server_are_replaced(postgres, fragile):
    """When an operator ends all idle connections, nobody notices."""
    await asyncio.gather(*(fragile.transact(twice) for _ in range(4)))
    others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    for _ in range(3):
        await asyncio.to_thread(postgres.psql, f"SELECT pg_terminate_backend(pid) {others}")
        await asyncio.to_thread(postgres.wait_for, f"SELECT count(*) {others}", "0")
        await fragile.transact(twice)


async def test_a_statement_past_its_deadline_is_given_up(postgres, fragile):
    """A statement that hangs is given up at the deadline, here and at the server, which drops its locks."""

    async def hang(tx) -> None:
        await tx.execute(ADD, id=1, n=1)
        await tx.fetch("SELECT pg_sleep(60)")

    begun = time.monotonic()
    await refused(DatabaseUnavailable, fragile.transact(hang))
    assert time.monotonic() - begun < 30
    await fragile.transact(twice)
    assert await points(fragile) == 101
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%'"
    await asyncio.to_thread(postgres.wait_for, asleep, "1")  # our own


async def test_a_full_pool_is_told_after_a_bounded_wait(postgres, monkeypatch):
    """Who waits too long for a connection is told so; a cancelled waiter does not lose one."""
    monkeypatch.setattr("tieout.database.pool.WAIT_SECONDS", 0.3)
    database = connect(postgres.url(pool=1))
    await database.open()
    held = asyncio.Event()

    async def hold(tx) -> None:
        await tx.fetch("SELECT 1")
        await held.wait()

    holder = asyncio.create_task(database.transact(hold))
    await asyncio.sleep(0.05)
    error = await refused(DatabaseUnavailable, database.transact(twice))
    assert "?pool=" in str(error)
    waiters = [asyncio.create_task(database.read(fetching("SELECT 1"))) for _ in range(3)]
    await asyncio.sleep(0.05)
    held.set()
    await holder
    waiters[0].cancel()
    results = await asyncio.gather(*waiters, return_exceptions=True)
    assert [type(result) for result in results[1:]] == [list, list]
    await database.close()


@pytest.mark.parametrize("give_back", ["release", "discard"])
async def test_a_waiter_cancelled_when_served_loses_nothing(postgres, give_back):
    """A waiter that is cancelled in the very moment in which it gets a connection passes it on."""
    pool = Pool(Hosts(parse(postgres.url()), dial).connect, 1)
    link = await pool.acquire()
    waiters = [asyncio.create_task(pool.acquire()) for _ in range(2)]
    await asyncio.sleep(0)
    getattr(pool, give_back)(link)
    waiters[0].cancel()
    again = await asyncio.wait_for(waiters[1], 60)
    assert (again is link) == (give_back == "release")
    assert waiters[0].cancelled()
    pool.release(again)
    await pool.close()


async def test_a_cancelled_caller_does_not_wait_for_the_server(proxy, fragile):
    """Who is cancelled while the server hangs is free at once, and so is the slot of the connection."""
    for _ in range(3):
        proxy.lose("hang", named(b"second"))
        hanging = asyncio.create_task(fragile.transact(twice))
        while not proxy.hits:  # noqa: ASYNC110 - the proxy tells nobody
            await asyncio.sleep(0.005)
        proxy.hits = 0
        hanging.cancel()
        begun = time.monotonic()
        await asyncio.wait((hanging,))
        assert (hanging.cancelled(), time.monotonic() - begun < 30) == (True, True)
        proxy.cut()
    await fragile.transact(executing(ADD, id=1, n=1))
    assert await points(fragile) == 101


async def test_old_connections_are_replaced(postgres, monkeypatch):
    """A connection past its age is not used again."""
    monkeypatch.setattr("tieout.database.pool.LIFETIME_SECONDS", 0.0)
    database = connect(postgres.url(pool=1))
    await database.open()
    pid = fetching("SELECT pg_backend_pid() AS pid")
    assert (await database.read(pid))[0]["pid"] != (await database.read(pid))[0]["pid"]
    await database.close()


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("23505", UniqueViolation),
        ("23514", ConstraintViolation),
        ("25006", DatabaseReadOnly),
        ("40001", RetryTransaction),
        ("40P01", RetryTransaction),
        ("55P03", RetryTransaction),
        ("53100", DatabaseFull),
        ("53300", DatabaseUnavailable),
        ("57014", DatabaseUnavailable),
        ("57P01", DatabaseUnavailable),
        ("58030", DatabaseUnavailable),
        ("08006", DatabaseUnavailable),
        ("26000", RetryTransaction),
        ("42601", StatementError),
        ("22003", StatementError),
        ("42P01", StatementError),
        ("XX001", DatabaseError),
    ],
)
async def test_the_servers_codes_become_errors(fragile, state, kind):
    """Each SQLSTATE, raised by a real server, is the error of its meaning and keeps its code."""
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"

    async def work(tx) -> None:
        await tx.execute(ADD, id=1, n=1)
        await tx.execute(raising)

    error = await refused(DatabaseError, fragile.transact(work))
    assert (type(error), error.sqlstate, await points(fragile)) == (kind, state, 100)


async def test_a_missing_column_of_tieouts_is_a_schema_mismatch(fragile):
    """Tables of ours that are older than the code say so."""
    await fragile.transact(executing("CREATE TABLE IF NOT EXISTS tieout_old (id BIGINT)"))
    error = await refused(SchemaMismatch, fragile.read(fetching("SELECT new FROM tieout_old")))
    assert "tieout migrate" in str(error)
    await fragile.transact(executing("DROP TABLE tieout_old"))


async def test_a_deadlock_retries_one_side(postgres):
    """Of two transactions that wait for each other one gets through, and the other is told to run again."""
    database = connect(postgres.url())
    await database.open()
    await database.transact(make_tables)
    await database.transact(executing(INSERT, id=2, points=100))
    meeting = asyncio.Barrier(2)

    async def cross(first: int, tx) -> None:
        await tx.execute(ADD, id=first, n=1)
        await meeting.wait()
        await tx.execute(ADD, id=3 - first, n=1)

    results = await asyncio.gather(*(database.transact(partial(cross, n)) for n in (1, 2)), return_exceptions=True)
    assert {type(result) for result in results} == {type(None), RetryTransaction}
    assert (await points(database, 1), await points(database, 2)) == (101, 101)
    await database.close()


async def test_a_deferred_constraint_is_told_at_commit(fragile):
    """The server's refusal at COMMIT is certain, and not an unknown outcome."""
    await fragile.transact(executing("DROP TABLE IF EXISTS pair"))
    await fragile.transact(executing("CREATE TABLE pair (id BIGINT UNIQUE DEFERRABLE INITIALLY DEFERRED)"))

    async def clash(tx) -> None:
        await tx.execute_many("INSERT INTO pair (id) VALUES (:id)", [{"id": 1}, {"id": 1}])

    error = await refused(UniqueViolation, fragile.transact(clash))
    assert error.outcome == "failed"
    assert len(await fragile.read(fetching("SELECT * FROM pair"))) == 0


async def test_one_statement_for_all_rows(fragile):
    """What takes {each} row as lists runs once for all of them, fails for all of them, and not at all for none.

    What is no list has one value for all of them, or nothing is run.
    """
    await fragile.transact(executing("CREATE TABLE cell (id BIGINT PRIMARY KEY, body BYTEA, size BIGINT, owner TEXT)"))
    each = """
        INSERT INTO cell SELECT one.id, one.body, one.size, :owner::text
        FROM {each}(:id::bigint[], :body::bytea[], :size::bigint[]) AS one (id, body, size)
    """
    sizes = (-(1 << 63), None, (1 << 63) - 1, 0)

    async def add(tx, numbers, owners=("ann",)) -> None:
        rows = [
            {"id": n, "body": None if n % 2 else bytes([n]), "size": sizes[n % 4], "owner": owners[n % len(owners)]}
            for n in numbers
        ]
        await tx.execute_many(each, rows)

    await fragile.transact(partial(add, numbers=range(4)))
    await fragile.transact(partial(add, numbers=()))
    await refused(UniqueViolation, fragile.transact(partial(add, numbers=(7, 0))))
    await refused(StatementError, fragile.transact(partial(add, numbers=(8, 9), owners=("ann", "bob"))))
    rows = await fragile.read(fetching("SELECT id, body, size, owner FROM cell ORDER BY id"))
    bodies, owners = (b"\0", None, b"\2", None), ("ann",) * 4
    assert [tuple(row) for row in rows] == list(zip(range(4), bodies, sizes, owners, strict=True))


async def test_prepared_statements_survive_a_change_of_schema(postgres):
    """A stale prepared statement is prepared anew when it comes first; later it asks for another try, and gets it."""
    database = connect(postgres.url(pool=1))
    await database.open()
    await database.transact(make_tables)
    every = "SELECT * FROM account"
    assert len((await database.read(fetching(every)))[0]) == 2
    postgres.psql("ALTER TABLE account ADD COLUMN a BIGINT")
    assert len((await database.read(fetching(every)))[0]) == 3
    await database.transact(executing("DEALLOCATE ALL"))
    assert len((await database.read(fetching(every)))[0]) == 3
    postgres.psql("ALTER TABLE account ADD COLUMN b BIGINT")

    async def later(tx):
        await tx.fetch("SELECT 1 AS one")
        return await tx.fetch(every)

    await refused(RetryTransaction, database.read(later))
    assert len((await database.read(later))[0]) == 4
    await database.close()


async def test_a_server_that_is_down_or_refuses_says_so_at_open(postgres):
    """Down is unavailable; a database or user that does not exist is a wrong URL; neither takes long."""
    begun = time.monotonic()
    await refused(DatabaseUnavailable, connect(f"postgresql://u@127.0.0.1:{free_port()}/postgres").open())
    await refused(DatabaseUnavailable, connect("postgresql://u@nowhere.invalid/postgres?connect_timeout=2").open())
    await refused(ConfigError, connect(postgres.url("nowhere")).open())
    await refused(ConfigError, connect(postgres.url().replace("u@", "nobody@")).open())
    assert time.monotonic() - begun < 60


async def test_a_frozen_server_is_given_up_at_open(server):
    """A server that accepts connections and never answers costs the connect time-out, and no more."""
    server.freeze()
    begun = time.monotonic()
    await refused(DatabaseUnavailable, connect(server.url(connect_timeout=0.5)).open())
    assert 0.4 < time.monotonic() - begun < 4.5
    server.thaw()
