"""The databases that these tests run on."""

from __future__ import annotations

import pytest

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
