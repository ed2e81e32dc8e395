"""The databases that leases and budgets are tried on."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from tests.servers import mariadb, postgres
from tieout.database import connect
from tieout.database.migrate import migrate

KINDS = {
    "postgres": lambda: postgres.Postgres(**postgres.FAST),
    "mysql": lambda: mariadb.MariaDB(**mariadb.FAST),
}


class Servers:
    """Servers of these tests alone, made when one asks for them."""

    def __init__(self, kinds=KINDS):
        self._kinds = kinds
        self._made = {}
        self._migrated = {}

    def __call__(self, dialect):
        """The URL of an empty database."""
        return self._made_one(dialect).url(self._made_one(dialect).database())

    def migrated(self, dialect):
        """The URL of a database with tieout's tables: a copy, since migrating each would take most of a test's time."""
        server = self._made_one(dialect)
        if dialect not in self._migrated:
            self._migrated[dialect] = server.database()
            asyncio.run(_migrate(server.url(self._migrated[dialect])))
        return server.url(server.copy_of(self._migrated[dialect]))

    def remove(self):
        for server in self._made.values():
            server.remove()

    def _made_one(self, dialect):
        if dialect not in self._made:
            self._made[dialect] = self._kinds[dialect]()
            self._made[dialect].create()
        return self._made[dialect]


async def _migrate(url):
    database = connect(url)
    await database.open()
    await migrate(database)
    await database.close()


@pytest.fixture(scope="session")
def servers():
    made = Servers()
    yield made
    made.remove()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory):
    """A file with tieout's tables, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "test.db"
    asyncio.run(_migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture
def here(migrated_file, tmp_path):
    """A database with tieout's tables on SQLite, for what is the same on each."""
    shutil.copy(migrated_file, tmp_path / "here.db")
    return f"sqlite:///{tmp_path}/here.db"


@pytest.fixture(params=["sqlite", "postgres", "mysql"])
def url(request, servers):
    """A database with tieout's tables, and nothing in them."""
    return request.getfixturevalue("here") if request.param == "sqlite" else servers.migrated(request.param)


@pytest.fixture
async def database(url):
    """An open database with tieout's tables."""
    database = connect(url)
    await database.open()
    yield database
    await database.close()
