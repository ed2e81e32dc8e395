"""Sides on real databases, and what fills them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import tieout
from tests.coordination.conftest import here, migrated_file, servers, url
from tests.feeds.sources import mariadb_server, postgres_server
from tieout.database import connect
from tieout.recon import Period, day

__all__ = ["here", "migrated_file", "servers", "url"]

DAY = day("2026-11-22", ZoneInfo("UTC"))
NOON = DAY.since + 43_200_000_000
"""In microseconds."""


def at(micros: int) -> str:
    """A moment as every database reads it."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).strftime("'%Y-%m-%d %H:%M:%S.%f'")


@pytest.fixture(scope="module")
def servers_of():
    """A server of each kind whose log may be followed, for tests that do away with what is followed."""
    made = {"postgres": postgres_server(), "mariadb": mariadb_server()}
    for server in made.values():
        server.create()
    yield made
    for server in made.values():
        server.remove()


@pytest.fixture
def made(servers, tmp_path):
    """Makes an empty database of a dialect, with statements run in it; returns its URL."""

    async def make(dialect: str, name: str, *statements: str) -> str:
        url = f"sqlite:///{tmp_path}/{name}.db" if dialect == "sqlite" else servers(dialect)
        if dialect == "sqlite":
            (tmp_path / f"{name}.db").touch()
        await run(url, *statements)
        return url

    return make


async def run(url: str, *statements: str) -> None:
    """Run statements in a database, a transaction each."""
    database = connect(url)
    await database.open()
    for statement in statements:
        await database.transact(lambda tx, sql=statement: tx.execute(sql))
    await database.close()


@pytest.fixture
def app(tmp_path):
    """An App with a database of its own, open."""

    @asynccontextmanager
    async def opened():
        async with tieout.App(f"sqlite:///{tmp_path}/app.db", sweep=False) as app:
            yield app

    return opened


async def compared(app: tieout.App, name: str, folder: Path, period: Period = DAY):
    """The comparison of a rule over a period, and its breaks by key."""
    ended = await app.recon.run(name, period, folder=folder)
    breaks = await app.recon.breaks(ended.id)
    return ended, {tuple(one.key): one for one in breaks}
