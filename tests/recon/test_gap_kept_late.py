"""A feed that has missed something while the database is away: both may be one failover."""

from __future__ import annotations

import asyncio

import pytest

from tieout.errors import DatabaseUnavailable
from tieout.feeds import Feed
from tieout.recon import same, side
from tieout.recon.following import Missed


class NoFeed(Feed):
    """It is made, and never opened."""


async def test_a_gap_that_cannot_be_kept_ends_no_following(app, monkeypatch) -> None:
    """It is noted and told once the database answers; until then nothing goes on behind it."""
    async with app() as opened:
        for url in ("postgresql://h/up", "postgresql://h/down"):
            opened.recon.feed(url, slot=url[-2:], feed=lambda _: NoFeed())
        opened.rule(
            "r",
            upstream=side("postgresql://h/up", table="t", key="k", at="d"),
            downstream=side("postgresql://h/down", table="t", key="k", at="d"),
            agree=[same("v")],
        )
        watching, transact, tries = opened.recon.watching(), opened.database.transact, []
        is_away, noted = True, asyncio.Event()

        async def watch(_) -> None:
            nonlocal is_away
            tries.append(len(tries))
            if len(tries) == 3:
                noted.set()
                await asyncio.sleep(60)
            is_away = len(tries) == 1
            raise Missed("up", "its slot is gone")

        async def sometimes(work):
            if is_away and "_note_gap" in work.__qualname__:
                raise DatabaseUnavailable("no connection")
            return await transact(work)

        monkeypatch.setattr(watching, "_watch", watch)
        monkeypatch.setattr(opened.database, "transact", sometimes)
        following = asyncio.create_task(watching.watch_forever())
        waiting = asyncio.create_task(noted.wait())
        await asyncio.wait({following, waiting}, return_when=asyncio.FIRST_COMPLETED)
        assert not following.done()
        assert [(alarm.kind, alarm.object) for alarm in await opened.alarms.list()] == [("feed-gap", "up")]
        feeds, _ = await opened.recon.status()
        assert [(feed.name, feed.gap) for feed in feeds] == [("up", "its slot is gone")]
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following
