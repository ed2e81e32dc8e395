"""The databases that the blocking App's tests run on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.blocking.place import Place
from tests.blocking.shop import Shop
from tests.servers import mariadb, postgres


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    made = postgres.Postgres(**postgres.FAST)
    try:
        made.create()
        yield made.url(made.database())
    finally:
        made.remove()


@pytest.fixture(scope="session")
def mariadb_url() -> Iterator[str]:
    made = mariadb.MariaDB(**mariadb.FAST)
    try:
        made.create()
        yield made.url(made.database())
    finally:
        made.remove()


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
