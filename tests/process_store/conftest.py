"""The stores that these tests run on."""

from __future__ import annotations

import pytest

from tests.servers.mariadb import MariaDB
from tests.servers.postgres import Postgres


@pytest.fixture(scope="session")
def postgres_url(postgres_server: Postgres) -> str:
    return postgres_server.url(postgres_server.database())


@pytest.fixture(scope="session")
def mariadb_url(mariadb_server: MariaDB) -> str:
    return mariadb_server.url(mariadb_server.database())
