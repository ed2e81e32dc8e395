"""The servers that statements are interleaved on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.interleavings.arena import Arena
from tests.interleavings.databases import SERVERS, a_database


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with a_database("postgres") as url:
        yield url


@pytest.fixture(scope="session")
def mysql_url() -> Iterator[str]:
    with a_database("mysql") as url:
        yield url


@pytest.fixture(params=[*SERVERS])
async def arena(request: pytest.FixtureRequest) -> AsyncIterator[Arena]:
    """Two nodes on each kind of server."""
    arena = Arena(request.getfixturevalue(f"{request.param}_url"))
    await arena.open()
    yield arena
    await arena.close()
