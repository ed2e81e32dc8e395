"""A comparison that is stopped leaves nothing open behind it."""

from __future__ import annotations

import asyncio

import pytest

from tests.recon.conftest import DAY
from tests.recon.test_offline import change, filled, prize, rule
from tieout.coordination.lease import Leases
from tieout.database.sqlite import SqliteDatabase
from tieout.errors import DatabaseUnavailable, SourceUnreadable
from tieout.recon.store import ReconStore


async def test_sources_are_left_before_the_comparison_ends(app, made, tmp_path, monkeypatch) -> None:
    """Not whenever the reader is collected: by then its database may be closed."""
    streams = []
    stream = SqliteDatabase.stream

    def noted(self, *args, **named):
        streams.append(stream(self, *args, **named))
        return streams[-1]

    async def stop(what: str, count: int) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(SqliteDatabase, "stream", noted)
    upstream, downstream = await filled(made, "sqlite", [change(1)], [prize("'1'")])
    async with app() as opened:
        rule(opened, upstream, downstream)
        with pytest.raises(asyncio.CancelledError):
            await opened.recon.run("redemption", DAY, folder=tmp_path / "work", progress=stop)
        assert streams
        assert [one.ag_frame for one in streams] == [None] * len(streams)


async def test_why_it_ends_is_told_though_the_database_is_away(app, made, tmp_path, monkeypatch) -> None:
    """A comparison that is cancelled is cancelled, and one whose source failed tells that: not what came after."""
    upstream, downstream = await filled(made, "sqlite", [change(1)], [prize("'1'")])

    async def away(*_, **named) -> None:
        raise DatabaseUnavailable("our own database is away")

    for why in (asyncio.CancelledError, SourceUnreadable):

        async def stop(what: str, count: int, why=why) -> None:
            monkeypatch.setattr(ReconStore, "end", away)
            monkeypatch.setattr(Leases, "release", away)
            raise why("it was this")

        async with app() as opened:
            rule(opened, upstream, downstream)
            with pytest.raises(why, match="it was this"):
                await opened.recon.run("redemption", DAY, folder=tmp_path / "work", progress=stop)
            monkeypatch.undo()
            await opened.database.transact(lambda tx: tx.execute("UPDATE tieout_lease SET until = 0"))
