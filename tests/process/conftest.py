"""The databases that the engine's tests run on."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.process.place import Place
from tests.process.shop import Shop
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import Postgres


@pytest.fixture(scope="session")
def postgres_url(postgres_server: Postgres) -> str:
    return postgres_server.url(postgres_server.database())


@pytest.fixture(scope="session")
def mariadb_url(mariadb_server: MariaDB) -> str:
    return mariadb_server.url(mariadb_server.database())


@pytest.fixture(scope="session")
def prepared_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared file, to be copied: migrating each test's own would take most of its time."""
    path = tmp_path_factory.mktemp("prepared") / "shop.db"
    asyncio.run(Place(f"sqlite:///{path}").prepare())
    return path


@pytest.fixture
async def sqlite_place(tmp_path: Path, prepared_file: Path) -> AsyncIterator[Place]:
    shutil.copy(prepared_file, tmp_path / "shop.db")
    place = Place(f"sqlite:///{tmp_path}/shop.db")
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


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def place(request: pytest.FixtureRequest) -> Place:
    return request.getfixturevalue(f"{request.param}_place")


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def place_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of each kind of database, for tests that make their own event loop."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shop.db"
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def shop() -> Shop:
    return Shop()
