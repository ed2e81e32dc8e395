"""The databases for threads when the wire is cut or hangs: the same outcomes, and recovery by itself."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from tests.database.settling import settled
from tests.servers.process import free_port
from tests.servers.proxy import Proxy
from tieout.database import connect
from tieout.database.driving import drive
from tieout.database.thread_pool import ThreadPool, Waiter
from tieout.errors import CommitUnknown, ConfigError, DatabaseUnavailable
from tieout.testing.database_site import ADD, executing, fetching, make_tables, points, refused
from tieout.testing.thread_site import ThreadedDatabase

SHORT = "pool=2&deadline=2&connect_timeout=3"


@pytest.fixture(params=["postgres", "mariadb"])
def kind(request):
    return request.param


@pytest.fixture
def server(request, kind):
    return request.getfixturevalue(kind)


@pytest.fixture
def url(server, kind, suite_database):
    """The address of a database, with a place for the port."""
    name = "postgres" if kind == "postgres" else suite_database
    return f"{'postgresql' if kind == 'postgres' else 'mysql'}://u@127.0.0.1:{{}}/{name}"


@pytest.fixture
async def proxy(server):
    async with Proxy(server.port).running() as proxy:
        yield proxy


@pytest.fixture
async def fragile(proxy, url):
    """A database behind the proxy, with short deadlines, and the suite's tables in it."""
    database = ThreadedDatabase(connect(f"{url.format(proxy.port)}?{SHORT}", blocking=True))
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
    proxy.lose(fault, lambda data: data.rstrip(b"\0").endswith(b"COMMIT"))
    error = await refused(CommitUnknown, fragile.transact(twice))
    assert (error.outcome, error.retryable, proxy.hits) == ("unknown", True, 1)
    await settled(fragile, found)


@pytest.mark.parametrize("fault", ["before", "after", "hang"])
async def test_a_connection_lost_in_a_statement_has_done_nothing(proxy, fragile, fault):
    """Before COMMIT a lost connection means that nothing was done; a hanging one is given up at its deadline."""
    proxy.lose(fault, named(b"second"))
    begun = time.monotonic()
    error = await refused(DatabaseUnavailable, fragile.transact(twice))
    assert (error.outcome, error.retryable, proxy.hits) == ("failed", True, 1)
    assert time.monotonic() - begun < 25
    assert await points(fragile) == 100
    proxy.cut()
    await fragile.transact(twice)
    assert await points(fragile) == 101


async def test_connections_closed_by_the_server_are_replaced(server, kind, fragile):
    """When an operator ends all idle connections, nobody notices."""
    end = {
        "postgres": lambda: server.psql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'u' AND pid <> pg_backend_pid()"
        ),
        "mariadb": lambda: server.sql("KILL USER u"),
    }
    left = {
        "postgres": "SELECT count(*) FROM pg_stat_activity WHERE usename = 'u' AND pid <> pg_backend_pid()",
        "mariadb": "SELECT count(*) FROM information_schema.processlist WHERE user = 'u'",
    }
    await asyncio.gather(*(fragile.transact(twice) for _ in range(4)))
    for _ in range(3):
        await asyncio.to_thread(end[kind])
        await asyncio.to_thread(server.wait_for, left[kind], "0")
        await fragile.transact(twice)


async def test_a_full_pool_is_told_after_a_bounded_wait(server, url, monkeypatch):
    """Who waits too long for a connection is told so, and the connection goes to the next who asks."""
    monkeypatch.setattr("tieout.database.pool.WAIT_SECONDS", 0.3)
    database = connect(f"{url.format(server.port)}?pool=1", blocking=True)
    drive(database.open())
    held, go = threading.Event(), threading.Event()

    async def hold(tx) -> None:
        await tx.fetch("SELECT 1 AS one")
        held.set()
        assert go.wait(60)

    holder = threading.Thread(target=lambda: drive(database.transact(hold)))
    holder.start()
    assert held.wait(60)
    with pytest.raises(DatabaseUnavailable, match=r"\?pool="):
        drive(database.read(fetching("SELECT 1 AS one")))
    go.set()
    holder.join()
    assert len(drive(database.read(fetching("SELECT 1 AS one")))) == 1
    drive(database.close())


class Link:
    """A connection of which only its pool knows."""

    deadline = retire_at = float("inf")
    generation = 0
    alive = True

    def is_good(self) -> bool:
        return True

    def is_alive(self) -> bool:
        return self.alive

    def cut(self) -> None:
        self.alive = False


async def dial() -> Link:
    return Link()


def test_a_thread_interrupted_when_served_loses_nothing(monkeypatch):
    """A thread that is interrupted in the very moment in which it gets a connection passes it on."""
    monkeypatch.setattr("tieout.database.pool.WAIT_SECONDS", 0.3)
    pool = ThreadPool(dial, 1)
    held = drive(pool.acquire())

    class Disturbed(Waiter):
        """Its sleep ends with the connection, and with an interruption."""

        def __init__(self) -> None:
            super().__init__()
            self.lock, self.asleep = self.asleep, self
            self.release = self.lock.release

        def acquire(self, timeout: float) -> None:
            assert timeout > 0
            pool.release(held)
            assert self.link is held
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tieout.database.thread_pool.Waiter", Disturbed)
        with pytest.raises(KeyboardInterrupt):
            drive(pool.acquire())
    assert drive(pool.acquire()) is held


def test_an_idle_connection_that_its_server_closed_is_not_handed_out():
    """One that was closed while nobody used it is dropped, and its place is another one's."""
    pool = ThreadPool(dial, 1)
    idle = drive(pool.acquire())
    pool.release(idle)
    assert drive(pool.acquire()) is idle
    pool.release(idle)
    idle.alive = False
    assert drive(pool.acquire()).alive


async def test_a_server_that_is_down_or_refuses_says_so_at_open(server, kind, url):
    """Down is unavailable; a user that does not exist is a wrong URL, where the driver keeps the server's code."""
    with pytest.raises(DatabaseUnavailable):
        drive(connect(url.format(free_port()), blocking=True).open())
    refusal = ConfigError if kind == "mariadb" else DatabaseUnavailable  # libpq keeps none of a refused connection
    with pytest.raises(refusal, match="nobody"):
        drive(connect(url.format(server.port).replace("u@", "nobody@"), blocking=True).open())


async def test_a_frozen_server_is_given_up_at_open(server, url):
    """A server that accepts connections and never answers costs a bounded time."""
    server.freeze()
    try:
        begun = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            drive(connect(f"{url.format(server.port)}?connect_timeout=0.5", blocking=True).open())
        assert time.monotonic() - begun < 4.9
    finally:
        server.thaw()
