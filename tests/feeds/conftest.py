"""One server of each kind for all tests of feeds."""

from __future__ import annotations

import pytest

from tests.channels.conftest import brokers
from tests.feeds.connected import CONNECTORS
from tests.feeds.sources import FEEDS, mariadb_server, postgres_server

__all__ = ["brokers"]


@pytest.fixture(autouse=True)
async def _closed():
    yield
    while FEEDS:
        await FEEDS.pop().close()
    while CONNECTORS:
        CONNECTORS.pop().stop()


@pytest.fixture(scope="session")
def postgres():
    server = postgres_server()
    server.create()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def mariadb():
    server = mariadb_server()
    server.create()
    yield server
    server.remove()
