"""The databases that the blocking App's tests run on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.blocking.place import Place
from tests.blocking.shop import Shop
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import Postgres


@pytest.fixture(scope="session")
def postgres_url(postgres_server: Postgres) -> str:
    return postgres_server.url(postgres_server.database())


@pytest.fixture(scope="session")
def mariadb_url(mariadb_server: MariaDB) -> str:
    return mariadb_server.url(mariadb_server.database())


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shop.db"
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def place(url: str) -> Iterator[Place]:
    place = Place(url)
    place.prepare()
    yield place
    place.close()


@pytest.fixture
def shop() -> Shop:
    return Shop()
