"""An App whose steps are given plain connections, from a pool or from a function."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import pytest

from tests.sessions.makers import MAKERS, Maker, write_statement
from tieout import ConfigError, DatabaseUnavailable, StatementError, UsageError
from tieout.database.driving import drive

PLAIN = [maker for maker in MAKERS if maker.name.endswith(("-pool", "-connect"))]


@pytest.mark.parametrize("maker", PLAIN, ids=repr)
async def test_a_step_may_not_end_its_connections_transaction(open_site, maker):
    """A commit or rollback inside a step is told, and not taken for a success; the next step finds all in order."""
    site = await open_site(maker)
    for end in ("commit", "rollback"):
        site.guide.write = lambda *given, end=end: getattr(given[0], end)()
        with pytest.raises((UsageError, StatementError), match=r"committed or rolled back|forbidden"):
            await site.start(end)
    site.guide.write = maker.write
    assert (await site.start()).replayed is False
    assert await site.count() == 1


@pytest.mark.parametrize("maker", [maker for maker in PLAIN if maker.dialect != "sqlite"], ids=repr)
async def test_a_drivers_error_in_a_step_is_one_of_tieouts(open_site, maker):
    """What the driver raises for the user's own statement is known by its code, and comes out translated."""
    site = await open_site(maker)

    def fails(connection, process, step):
        with connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere")

    site.guide.write = fails
    with pytest.raises(StatementError, match="nowhere"):
        await site.start()
    assert await site.count() == 0


async def test_a_connection_that_cannot_be_had_is_told(open_site, urls):
    """A pool that is closed, a function that raises or gives something else: a clear error, and nothing is stored."""

    def wrong() -> sqlite3.Connection:
        return raises.pop()() if raises else sqlite3.connect(urls["sqlite"].removeprefix("sqlite:///"))

    raises: list[Any] = []
    site = await open_site(Maker("sqlite3", "sqlite", sqlite3.Connection, blocking=True, write=write_statement))
    site.app.core.database.sessions._take = wrong  # noqa: SLF001 - as if the user's function had been so
    for error, expected in ((lambda: 1 / 0, DatabaseUnavailable), (object, ConfigError)):
        raises += [error] * 40
        with pytest.raises(expected):
            await asyncio.to_thread(drive, site.app.core.database.transact(lambda tx: tx.fetch("SELECT 1")))
        raises.clear()
