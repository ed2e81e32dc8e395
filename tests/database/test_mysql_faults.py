"""MariaDB when it is killed, cut off, frozen, read-only or at odds: typed outcomes, and recovery by itself."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from functools import partial

import pytest

from tests.database.settling import settled
from tests.servers.mariadb import MariaDB
from tests.servers.process import free_port
from tests.servers.proxy import Proxy
from tieout.database import connect
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
    StaleEpoch,
    StatementError,
    UniqueViolation,
)
from tieout.testing.database_site import ADD, INSERT, executing, fetching, make_tables, points, refused

DURABLE = {"innodb_doublewrite": "0", "innodb_flush_log_at_trx_commit": "2", "log_bin": "bin"}
"""A commit survives the death of the server, though not of the machine, which these tests leave alive."""

SHORT = {"deadline": 2, "connect_timeout": 3}


@pytest.fixture
def server():
    """A server that the test may harm."""
    server = MariaDB(**DURABLE)
    try:
        server.create()
        server.database()
        yield server
    finally:
        server.remove()


@pytest.fixture
async def proxy(mariadb):
    async with Proxy(mariadb.port).running() as proxy:
        yield proxy


@asynccontextmanager
async def opened(url: str):
    """An open database with the suite's tables."""
    database = connect(url)
    await database.open()
    try:
        await database.transact(make_tables)
        yield database
    finally:
        await database.close()


@pytest.fixture
async def fragile(proxy, suite_database):
    """A database behind the proxy, with short deadlines."""
    url = f"mysql://u@127.0.0.1:{proxy.port}/{suite_database}?pool=2&deadline=2&connect_timeout=3"
    async with opened(url) as database:
        yield database


@pytest.fixture
async def database(mariadb, suite_database):
    async with opened(mariadb.url(suite_database)) as database:
        yield database


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
    proxy.lose(fault, named(b"COMMIT"))
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
async def test_an_idle_connection_that_is_dead_is_replaced(proxy, fragile, fault, monkeypatch):
    """A connection that has been idle for a while is asked first: that it is dead costs time, and no error."""
    monkeypatch.setattr("tieout.database.mysql.PROBE_AFTER", -1.0)
    await fragile.transact(twice)
    proxy.lose(fault, named(b"START TRANSACTION"))
    await fragile.transact(twice)
    proxy.lose(fault, named(b"START TRANSACTION READ ONLY"))
    assert (await points(fragile), proxy.hits) == (102, 2)


async def test_connections_closed_by_the_server_are_replaced(mariadb, fragile):
    """When an operator ends all idle connections, nobody notices."""
    await asyncio.gather(*(fragile.transact(twice) for _ in range(4)))
    for _ in range(3):
        await asyncio.to_thread(mariadb.sql, "KILL USER u")
        left = "SELECT count(*) FROM information_schema.processlist WHERE user = 'u'"
        await asyncio.to_thread(mariadb.wait_for, left, "0")
        await fragile.transact(twice)


async def test_a_statement_past_its_deadline_is_given_up(mariadb, fragile):
    """A statement that hangs is given up at the deadline, here and at the server, which drops its locks."""

    async def hang(tx) -> None:
        await tx.execute(ADD, id=1, n=1)
        await tx.fetch("SELECT SLEEP(60)")

    begun = time.monotonic()
    await refused(DatabaseUnavailable, fragile.transact(hang))
    assert time.monotonic() - begun < 25
    await fragile.transact(twice)
    assert await points(fragile) == 101
    asleep = "SELECT count(*) FROM information_schema.processlist WHERE info LIKE '%SLEEP(60)%'"
    await asyncio.to_thread(mariadb.wait_for, asleep, "1")  # us


async def test_a_transaction_that_is_left_idle_is_given_up(proxy, fragile):
    """Work that forgets its transaction keeps its locks no longer than the deadline, and cannot commit any more."""

    async def forget(tx) -> None:
        await tx.execute(ADD, id=1, n=1)
        await asyncio.sleep(4.5)

    await refused(CommitUnknown, fragile.transact(forget))
    assert await points(fragile) == 100


async def test_a_lock_that_does_not_come_is_another_try(mariadb, suite_database):
    """Who waits too long for a row is told to run again; of what it had done before nothing stays."""
    async with opened(mariadb.url(suite_database, deadline=2)) as database:
        await database.transact(executing(INSERT, id=2, points=100))
        other = connect(mariadb.url(suite_database))
        await other.open()
        locked, enough = asyncio.Event(), asyncio.Event()

        async def hold(tx) -> None:
            await tx.execute(ADD, id=1, n=1)
            locked.set()
            await enough.wait()

        async def meet(tx) -> None:
            await tx.execute("SET SESSION innodb_lock_wait_timeout = 1")
            await tx.execute(ADD, id=2, n=1)
            await tx.execute(ADD, id=1, n=1)

        holder = asyncio.create_task(other.transact(hold))
        await locked.wait()
        error = await refused(RetryTransaction, database.transact(meet))
        enough.set()
        await holder
        assert (error.sqlstate, await points(database, 1), await points(database, 2)) == ("1205", 101, 100)
        await other.close()


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (1062, UniqueViolation),
        (4025, ConstraintViolation),
        (3819, ConstraintViolation),
        (1452, ConstraintViolation),
        (1290, DatabaseReadOnly),
        (1836, DatabaseReadOnly),
        (1020, RetryTransaction),
        (1213, RetryTransaction),
        (1205, RetryTransaction),
        (1021, DatabaseFull),
        (1114, DatabaseFull),
        (1040, DatabaseUnavailable),
        (1053, DatabaseUnavailable),
        (1317, DatabaseUnavailable),
        (1969, DatabaseUnavailable),
        (1064, StatementError),
        (1264, StatementError),
        (1146, StatementError),
        (1815, DatabaseError),
    ],
)
async def test_the_servers_numbers_become_errors(database, number, kind):
    """Each number, raised by a real server, is the error of its meaning and keeps its number."""

    async def work(tx) -> None:
        await tx.execute(ADD, id=1, n=1)
        await tx.execute(f"SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'no'")

    error = await refused(DatabaseError, database.transact(work))
    assert (type(error), error.sqlstate, await points(database)) == (kind, str(number), 100)


async def test_a_missing_column_of_tieouts_is_a_schema_mismatch(database):
    """Tables of ours that are older than the code say so."""
    await database.transact(executing("CREATE TABLE IF NOT EXISTS tieout_old (id BIGINT)"))
    error = await refused(SchemaMismatch, database.read(fetching("SELECT new FROM tieout_old")))
    assert "tieout migrate" in str(error)
    await database.transact(executing("DROP TABLE tieout_old"))


async def test_a_deadlock_retries_one_side(database):
    """Of two transactions that wait for each other one gets through, and the other is told to run again."""
    await database.transact(executing(INSERT, id=2, points=100))
    meeting = asyncio.Barrier(2)

    async def cross(first: int, tx) -> None:
        async def inner(tx) -> None:
            await tx.execute(ADD, id=3 - first, n=1)

        await tx.execute(ADD, id=first, n=1)
        await meeting.wait()
        await tx.savepoint(inner)

    results = await asyncio.gather(*(database.transact(partial(cross, n)) for n in (1, 2)), return_exceptions=True)
    assert {type(result) for result in results} == {type(None), RetryTransaction}
    assert (await points(database, 1), await points(database, 2)) == (101, 101)


async def test_a_caught_deadlock_commits_nothing(database):
    """Work that catches a deadlock in a savepoint and goes on writes nothing: its transaction is gone."""
    await database.transact(executing(INSERT, id=2, points=100))
    meeting = asyncio.Barrier(2)

    async def cross(first: int, tx) -> str:
        await tx.execute(ADD, id=first, n=1)
        await meeting.wait()
        try:
            await tx.savepoint(lambda tx: tx.execute(ADD, id=3 - first, n=1))
        except RetryTransaction:
            await refused(RetryTransaction, tx.execute(INSERT, id=50 + first, points=1))
        return "done"

    results = await asyncio.gather(*(database.transact(partial(cross, n)) for n in (1, 2)), return_exceptions=True)
    assert {type(result) for result in results} == {str, RetryTransaction}
    assert (await points(database, 1), await points(database, 2)) == (101, 101)
    assert [await points(database, n) for n in (51, 52)] == [None, None]


async def test_values_cannot_leave_their_quotes(database):
    """Text and bytes that look like SQL are stored as they are, also in the last place of a statement."""
    for value in ("\\", "'", "\\'", "'; DROP TABLE account; -- ", '\0\x1a\n\r"%s%%', "\u2019\\", "?:x{now}"):
        row = await database.transact(
            lambda tx, value=value: tx.fetch_one("SELECT :a AS a, :b AS b, :a AS c", a=value, b=value.encode())
        )
        assert tuple(row) == (value, value.encode(), value)


async def test_a_users_own_sql_mode_is_not_ours(server):
    """Whatever the server has as defaults, in our sessions backslashes escape and nothing is made to fit."""
    server.sql("SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'; SET GLOBAL tx_isolation = 'SERIALIZABLE'")
    async with opened(server.url("test_1")) as database:
        (row,) = await database.read(fetching("SELECT :a AS a, @@tx_isolation AS i, @@time_zone AS z", a="\\'"))
        assert tuple(row) == ("\\'", "READ-COMMITTED", "+00:00")
        await refused(StatementError, database.transact(executing(INSERT, id=10**20, points=1)))


async def test_a_server_that_is_down_or_refuses_says_so_at_open(mariadb):
    """Down is unavailable; a database or user that does not exist is a wrong URL; neither takes long."""
    begun = time.monotonic()
    await refused(DatabaseUnavailable, connect(f"mysql://u@127.0.0.1:{free_port()}/mysql").open())
    await refused(DatabaseUnavailable, connect("mysql://u@nowhere.invalid/mysql?connect_timeout=2").open())
    await refused(ConfigError, connect(mariadb.url("nowhere")).open())
    await refused(ConfigError, connect(mariadb.url().replace("u@", "nobody@")).open())
    assert time.monotonic() - begun < 60


async def test_a_frozen_server_is_given_up_at_open(server):
    """A server that accepts connections and never answers costs the connect time-out, and no more."""
    server.freeze()
    begun = time.monotonic()
    await refused(DatabaseUnavailable, connect(server.url(connect_timeout=0.5)).open())
    assert 0.4 < time.monotonic() - begun < 4.5
    server.thaw()


async def test_a_killed_server_loses_nothing_acknowledged(server):
    """After kill -9 in the middle of writes, every acknowledged one is there, and the same handle goes on."""
    async with opened(server.url("test_1", pool=4, **SHORT)) as database:
        done: list[int] = []

        async def write(n: int) -> None:
            await database.transact(executing(INSERT, id=n, points=n))
            done.append(n)

        tasks = [asyncio.create_task(write(n)) for n in range(2, 400)]
        while len(done) < 40:  # noqa: ASYNC110 - what it waits for sets no event
            await asyncio.sleep(0.001)
        server.kill()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        kinds = {type(result) for result in results} - {type(None)}
        assert kinds <= {DatabaseUnavailable, CommitUnknown}
        assert kinds
        await asyncio.to_thread(server.start)
        there = {row["id"] for row in await database.read(fetching("SELECT id FROM account"))}
        assert set(done) <= there
        await database.transact(twice)


async def test_a_frozen_server_gives_up_and_comes_back(server):
    """While the server is frozen every transaction ends within its deadline; thawed, the same handle works."""
    async with opened(server.url("test_1", pool=2, **SHORT)) as database:
        server.freeze()
        begun = time.monotonic()
        results = await asyncio.gather(*(database.transact(twice) for _ in range(2)), return_exceptions=True)
        assert {type(result) for result in results} == {DatabaseUnavailable}
        assert time.monotonic() - begun < 25
        server.thaw()
        await database.transact(twice)
        assert await points(database) == 101


async def test_a_read_only_server_is_left(server):
    """A primary that becomes read-only refuses writes with its own error, and is used again once it accepts them."""
    async with opened(server.url("test_1", pool=2)) as database:
        server.sql("SET GLOBAL read_only = 1")
        await refused(DatabaseReadOnly, database.transact(twice))
        await refused(DatabaseReadOnly, database.transact(twice))
        await refused(DatabaseReadOnly, connect(server.url("test_1")).open())
        server.sql("SET GLOBAL read_only = 0")
        await database.transact(twice)
        assert await points(database) == 101


async def test_the_writable_host_of_several_is_found(server, mariadb):
    """Hosts that are down, frozen or read-only are passed over; the one that accepts writes is used."""
    name = mariadb.database()
    server.sql(f"CREATE DATABASE {name}; SET GLOBAL read_only = 1")
    hosts = f"127.0.0.1:{free_port()},127.0.0.1:{server.port},127.0.0.1:{mariadb.port}"
    async with opened(f"mariadb://u@{hosts}/{name}?connect_timeout=2") as database:
        await database.transact(twice)
        (row,) = await database.read(fetching("SELECT @@port AS port"))
        assert row["port"] == mariadb.port


async def test_an_abandoned_primary_is_refused(server):
    """A primary that comes back after another took over, and lacks what that one has, gets neither writes nor reads."""
    successor = MariaDB(**DURABLE, server_id="2")
    try:
        successor.create()
        successor.database()
        hosts = f"127.0.0.1:{server.port},127.0.0.1:{successor.port}"
        async with opened(f"mysql://u@{hosts}/test_1?deadline=2&connect_timeout=2&pool=2") as database:
            for other in (server, successor):
                other.sql("CREATE TABLE IF NOT EXISTS log (n INT); INSERT INTO log VALUES (1)", "test_1")
            server.freeze()
            await refused(DatabaseUnavailable, database.transact(twice))
            for _ in range(30):
                successor.sql("INSERT INTO log VALUES (2)", "test_1")
            await database.transact(make_tables)
            await database.transact(twice)
            successor.freeze()
            server.thaw()
            await refused((StaleEpoch, DatabaseUnavailable), database.transact(twice))
            assert isinstance(await refused(DatabaseError, database.read(twice)), StaleEpoch)
            successor.thaw()
            await database.transact(twice)
            assert await points(database) == 102
    finally:
        successor.remove()
