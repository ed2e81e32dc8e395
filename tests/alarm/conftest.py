"""The databases that alarms and the audit are tried on."""

from __future__ import annotations

import pytest

from tests.servers import mariadb, postgres
from tieout.database import connect
from tieout.database.migrate import migrate


@pytest.fixture(scope="session")
def servers():
    """Servers of these tests alone, made when one asks for them."""
    made = {}

    def url(dialect):
        if dialect not in made:
            kind = {"postgres": postgres, "mysql": mariadb}[dialect]
            server = made[dialect] = (kind.Postgres if dialect == "postgres" else kind.MariaDB)(**kind.FAST)
            server.create()
        return made[dialect].url(made[dialect].database())

    yield url
    for server in made.values():
        server.remove()


@pytest.fixture(params=["sqlite", "postgres", "mysql"])
def url(request, servers, tmp_path):
    """An empty database."""
    return f"sqlite:///{tmp_path}/test.db" if request.param == "sqlite" else servers(request.param)


@pytest.fixture
async def database(url):
    """An open database with tieout's tables."""
    database = connect(url)
    await database.open()
    await migrate(database)
    yield database
    await database.close()
