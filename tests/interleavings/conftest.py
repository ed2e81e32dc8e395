"""The servers that statements are interleaved on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.interleavings.arena import Arena
from tests.servers import mariadb, postgres
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import Postgres


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    yield from a_database(Postgres(**postgres.FAST, deadlock_timeout="20ms"))


@pytest.fixture(scope="session")
def mysql_url() -> Iterator[str]:
    yield from a_database(MariaDB(**mariadb.FAST))


def a_database(server: Postgres | MariaDB) -> Iterator[str]:
    """The URL of an empty database on a server of its own."""
    try:
        server.create()
        yield server.url(server.database())
    finally:
        server.remove()


@pytest.fixture(params=["postgres", "mysql"])
async def arena(request: pytest.FixtureRequest) -> AsyncIterator[Arena]:
    """Two nodes on each kind of server."""
    arena = Arena(request.getfixturevalue(f"{request.param}_url"))
    await arena.open()
    yield arena
    await arena.close()
