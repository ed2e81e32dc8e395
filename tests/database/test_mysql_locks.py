"""Locks of GET_LOCK and a last statement go with COMMIT, in one message: as MariaDB and as MySQL take it."""

from __future__ import annotations

import pytest

from tests.database.proxied import behind
from tests.database.settling import settled
from tests.servers.proxy import Proxy
from tieout.database import mysql_hosts
from tieout.errors import CommitUnknown, UniqueViolation
from tieout.testing.database_site import ADD, executing, fetching, points, refused

LOCK = "SELECT GET_LOCK('ours', 0) AS mine"
STATE = "SELECT CONNECTION_ID() AS id, IS_USED_LOCK('ours') AS holder"


@pytest.fixture(params=["MariaDB", "MySQL"])
def flavour(request, monkeypatch):
    """What every server is taken for, once its sessions are set up. MariaDB understands both ways."""
    server_of = mysql_hosts.server_of
    taken = lambda flavour, row: server_of(flavour, row)._replace(flavour=request.param)  # noqa: E731 - it is the patch
    monkeypatch.setattr(mysql_hosts, "server_of", taken)
    return request.param


@pytest.fixture
async def proxy(mariadb):
    async with Proxy(mariadb.port).running() as proxy:
        yield proxy


@pytest.fixture(params=["loop", "threads"])
async def database(request, proxy, suite_database, flavour):
    async with behind(proxy, suite_database, request.param) as database:
        yield database


async def locking(tx) -> None:
    """Take the lock, and write."""
    assert (await tx.fetch_one(LOCK))["mine"] == 1
    await tx.execute(ADD, id=1, n=1)


async def failing(tx) -> None:
    await locking(tx)
    raise ValueError


@pytest.mark.parametrize(("work", "end", "found"), [(locking, b"COMMIT", 101), (failing, b"ROLLBACK", 100)])
async def test_a_lock_goes_with_its_transaction(proxy, database, flavour, work, end, found):
    """Committed or rolled back, the last message ends the transaction and gives the lock back; the connection stays."""
    before, _ = (await database.read(fetching(STATE)))[0]
    requests: list[bytes] = []
    proxy.lose("before", lambda data: requests.append(data) or False)
    try:
        await database.transact(work)
    except ValueError:
        assert end == b"ROLLBACK"
    *_, last = requests
    assert (len(requests), end in last, b"RELEASE_ALL_LOCKS" in last) == (3, True, True)
    assert (b"BEGIN NOT ATOMIC" in last) is (flavour == "MariaDB")
    assert tuple((await database.read(fetching(STATE)))[0]) == (before, None)
    assert await points(database) == found


@pytest.mark.parametrize(("fault", "found"), [("before", 100), ("after", 101), ("hang", 101)])
async def test_a_lost_answer_to_commit_and_locks_is_unknown(proxy, database, fault, found):
    """Whether that message never arrived or its answer was lost, the caller learns that it does not know."""
    proxy.lose(fault, lambda data: b"COMMIT" in data)
    error = await refused(CommitUnknown, database.transact(locking))
    assert (error.outcome, error.retryable, proxy.hits) == ("unknown", True, 1)
    proxy.cut()
    await settled(database, found)
    await database.transact(executing(ADD, id=1, n=1))
    assert await points(database) == found + 1


async def concluding(tx) -> None:
    """Write, and once more with the COMMIT."""
    await tx.execute(ADD, id=1, n=1)
    await tx.conclude(ADD, id=1, n=10)


async def test_a_last_statement_goes_with_commit(proxy, database, flavour):
    """It costs no exchange of its own, and what it writes is committed."""
    requests: list[bytes] = []
    await database.read(fetching(STATE))
    proxy.lose("before", lambda data: requests.append(data) or False)
    await database.transact(concluding)
    *_, last = requests
    assert (len(requests), last.count(b"UPDATE"), last.count(b"COMMIT")) == (2, 1, 1)
    assert (b"BEGIN NOT ATOMIC" in last) is (flavour == "MariaDB")
    assert await points(database) == 111


@pytest.mark.parametrize(("fault", "found"), [("before", 100), ("after", 111), ("hang", 111)])
async def test_a_lost_answer_to_the_last_statement_is_unknown(proxy, database, fault, found):
    """It is COMMIT's as well."""
    proxy.lose(fault, lambda data: b"COMMIT" in data)
    assert (await refused(CommitUnknown, database.transact(concluding))).outcome == "unknown"
    proxy.cut()
    await settled(database, found)


async def test_a_last_statement_that_is_refused_undoes_all(database):
    """Its error is raised as of any statement, nothing is committed, no lock is left, and the connection goes on."""

    async def work(tx) -> None:
        await locking(tx)
        await tx.conclude("INSERT INTO account (id, points) VALUES (1, 5)")

    before, _ = (await database.read(fetching(STATE)))[0]
    error = await refused(UniqueViolation, database.transact(work))
    assert error.retryable is False
    assert await points(database) == 100
    assert tuple((await database.read(fetching(STATE)))[0]) == (before, None)
