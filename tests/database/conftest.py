"""The databases that these tests run on."""

from __future__ import annotations

import pytest

from tests.servers.mariadb import MariaDB
from tests.servers.postgres import Postgres


@pytest.fixture(scope="session")
def postgres(postgres_server: Postgres) -> Postgres:
    """A PostgreSQL server for all tests that do not harm it."""
    return postgres_server


@pytest.fixture(scope="session")
def mariadb(mariadb_server: MariaDB) -> MariaDB:
    """A MariaDB server for all tests that do not harm it."""
    return mariadb_server


@pytest.fixture(scope="session")
def suite_database(mariadb):
    """The name of a database for the suite."""
    return mariadb.database()
