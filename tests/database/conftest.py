"""The databases that these tests run on."""

from __future__ import annotations

import pytest

from tests.servers import mariadb as mariadb_server
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import FAST, Postgres


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server for all tests that do not harm it."""
    server = Postgres(**FAST)
    try:
        server.create()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def mariadb():
    """A MariaDB server for all tests that do not harm it."""
    server = MariaDB(**mariadb_server.FAST)
    try:
        server.create()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def suite_database(mariadb):
    """The name of a database for the suite."""
    return mariadb.database()
