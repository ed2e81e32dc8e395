"""The databases that these tests run on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.once.place import Counter, Place
from tests.once.wsgi_web import Till
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import Postgres


@pytest.fixture(scope="session")
def postgres_url(postgres_server: Postgres) -> str:
    return postgres_server.url(postgres_server.database())


@pytest.fixture(scope="session")
def mariadb_url(mariadb_server: MariaDB) -> str:
    return mariadb_server.url(mariadb_server.database())


@pytest.fixture
async def sqlite_place(tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(f"sqlite:///{tmp_path}/once.db")
    await place.prepare()
    yield place
    await place.close()


@pytest.fixture
async def postgres_place(postgres_url: str) -> AsyncIterator[Place]:
    place = Place(postgres_url)
    await place.prepare()
    yield place
    await place.close()


@pytest.fixture
async def mariadb_place(mariadb_url: str) -> AsyncIterator[Place]:
    place = Place(mariadb_url)
    await place.prepare()
    yield place
    await place.close()


@pytest.fixture(params=["postgres", "mariadb"])
def served_place(request: pytest.FixtureRequest) -> Place:
    """A database that serves several transactions, and several processes, at the same time."""
    return request.getfixturevalue(f"{request.param}_place")


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def place(request: pytest.FixtureRequest) -> Place:
    return request.getfixturevalue(f"{request.param}_place")


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def till(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Till]:
    """A database without an event loop."""
    url = f"sqlite:///{tmp_path}/once.db" if request.param == "sqlite" else ""
    till = Till(url or request.getfixturevalue(f"{request.param}_url"))
    till.prepare()
    yield till
    till.close()
