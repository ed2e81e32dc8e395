"""One precision everywhere: microseconds, neither rounded nor cut, on every database."""

from __future__ import annotations

import pytest

from tests.clock.skew import SERVERS
from tieout.database import connect
from tieout.database.migrate import migrate

LAST = 1_700_000_000_999_999
"""A moment that anything coarser than a microsecond would round up into the next second."""

COARSE = 1_000
"""Microseconds of the next coarser unit."""


@pytest.fixture(params=["sqlite", *SERVERS])
async def database(request, tmp_path):
    if request.param == "sqlite":
        made = connect(f"sqlite:///{tmp_path}/clock.db")
        await made.open()
        yield made
        await made.close()
        return
    with SERVERS[request.param]() as url:
        made = connect(url)
        await made.open()
        yield made
        await made.close()


async def test_moments_are_kept_to_the_microsecond(database):
    """What is stored is what is read; what is added to the server's time is added exactly; it has all its digits."""
    await migrate(database)

    async def work(tx):
        await tx.execute("INSERT INTO tieout_stray (call_key, digest, at, body) VALUES ('k', 'd', :at, '')", at=LAST)
        return (await tx.fetch_one("SELECT at, {now} + 1 - {now} AS one FROM tieout_stray"))[:]

    assert tuple(await database.transact(work)) == (LAST, 1)
    told = [(await database.read(lambda tx: tx.fetch("SELECT {now} AS now")))[0][0] for _ in range(50)]
    assert told == sorted(told)
    assert any(moment % COARSE for moment in told)
