"""A server of each kind, started once in a run of tests: a suite makes databases of its own on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.mariadb import FAST as FAST_MARIADB
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import FAST as FAST_POSTGRES
from tests.servers.postgres import Postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    made = Postgres(**FAST_POSTGRES)
    try:
        made.create()
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDB]:
    made = MariaDB(**FAST_MARIADB)
    try:
        made.create()
        yield made
    finally:
        made.remove()
