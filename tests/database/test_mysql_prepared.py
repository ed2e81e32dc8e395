"""Statements that MariaDB takes apart once for a connection: what is sent, and what is done where that cannot be."""

from __future__ import annotations

import pytest

from tests.database.proxied import behind
from tests.servers.proxy import Proxy
from tieout.database import mysql_hosts
from tieout.database.query import compile_statement
from tieout.errors import StatementError, UniqueViolation
from tieout.testing.database_site import points, refused

ADD = compile_statement("UPDATE account SET points = points + :n WHERE id = :id", "mysql", "add")
OTHER = compile_statement("UPDATE account SET points = points + 10 * :n WHERE id = :id", "mysql", "add")
NEW = compile_statement("INSERT INTO account (id, points) VALUES (:id, :n)", "mysql", "new")


@pytest.fixture
async def proxy(mariadb):
    async with Proxy(mariadb.port).running() as proxy:
        yield proxy


@pytest.fixture
def sent(proxy):
    """The requests that pass."""
    requests: list[bytes] = []
    proxy.lose("before", lambda data: requests.append(data[5:]) or False)
    return requests


@pytest.fixture(params=["loop", "threads"])
async def database(request, proxy, suite_database):
    async with behind(proxy, suite_database, request.param) as database:
        yield database


async def adding(tx) -> None:
    """One statement twice, and another one of its name."""
    assert await tx.execute_prepared(ADD, id=1, n=1) == 1
    assert await tx.execute_prepared(ADD, id=2, n=1) == 0
    assert await tx.execute_prepared(OTHER, id=1, n=1) == 1


def count(requests: list[bytes], word: bytes) -> int:
    return sum(request.startswith(word) for request in requests)


async def test_a_statement_is_taken_apart_once_for_a_connection(database, sent):
    """It is prepared when it is first run, and run by its number in every transaction after that."""
    for _ in range(2):
        await database.transact(adding)
    assert (count(sent, b"PREPARE"), count(sent, b"EXECUTE"), count(sent, b"UPDATE")) == (2, 6, 0)
    assert await points(database) == 122


async def test_mysql_is_sent_the_whole(database, sent, monkeypatch):
    """MySQL cannot be given values so."""
    server_of = mysql_hosts.server_of
    monkeypatch.setattr(
        mysql_hosts, "server_of", lambda flavour, row: server_of(flavour, row)._replace(flavour="MySQL")
    )
    await database.close()
    await database.open()
    await database.transact(adding)
    assert (count(sent, b"PREPARE"), count(sent, b"EXECUTE"), count(sent, b"UPDATE")) == (0, 0, 3)
    assert await points(database) == 111


async def test_a_server_that_prepares_no_more_is_sent_the_whole(database, mariadb, sent):
    """It is asked once for each statement and connection; nothing else is lost."""
    mariadb.sql("SET GLOBAL max_prepared_stmt_count = 0")
    try:
        for _ in range(2):
            await database.transact(adding)
    finally:
        mariadb.sql("SET GLOBAL max_prepared_stmt_count = DEFAULT")
    assert (count(sent, b"PREPARE"), count(sent, b"EXECUTE"), count(sent, b"UPDATE")) == (2, 0, 6)
    assert await points(database) == 122


async def test_a_session_that_has_lost_it_is_sent_the_whole(database, sent):
    """As behind a proxy that gives a session to others in between: the transaction goes on."""
    await database.transact(adding)

    async def work(tx) -> None:
        await tx.execute("DEALLOCATE PREPARE tieout_1")
        await adding(tx)

    await database.transact(work)
    assert (count(sent, b"EXECUTE"), count(sent, b"UPDATE")) == (5, 2)
    assert await points(database) == 122


async def test_its_errors_are_those_of_any_statement(database):
    """What the server refuses ends the transaction, and a value that cannot be stored is refused before it is sent."""

    async def work(tx) -> None:
        await refused(UniqueViolation, tx.execute_prepared(NEW, id=1, n=1))
        await tx.execute(ADD, id=1, n=1)

    await refused(UniqueViolation, database.transact(work))
    await refused(StatementError, database.transact(lambda tx: tx.execute_prepared(ADD, id=1, n=float("nan"))))
    await refused(StatementError, database.transact(lambda tx: tx.execute_prepared(ADD, id=1, n="\ud800")))
    await refused(StatementError, database.transact(lambda tx: tx.execute_prepared(ADD, id=1)))
    assert await points(database) == 100
