"""The stores that these tests run on."""

from __future__ import annotations

import pytest

from tests.servers import mariadb
from tests.servers.postgres import FAST, Postgres


@pytest.fixture(scope="session")
def postgres_url():
    """An empty database on a PostgreSQL server of these tests alone."""
    server = Postgres(**FAST)
    try:
        server.create()
        yield server.url(server.database())
    finally:
        server.remove()


@pytest.fixture(scope="session")
def mariadb_url():
    """An empty database on a MariaDB server of these tests alone."""
    server = mariadb.MariaDB(**mariadb.FAST)
    try:
        server.create()
        yield server.url(server.database())
    finally:
        server.remove()
