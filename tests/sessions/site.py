"""An App whose steps are given the user's sessions, in a test."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.process.place import rows, until
from tests.sessions.trips import Guide, PlainTrip, Trip
from tieout import App
from tieout.database.driving import drive


class Site:
    """An App of either colour with sessions, and another App that looks at what there is."""

    def __init__(self, app: Any, watch: App, guide: Guide, *, plain: bool) -> None:
        self.app = app
        self.watch = watch
        self.guide = guide
        self.worker = app.core.worker if plain else app.worker
        self.trip = PlainTrip if plain else Trip
        self.plain = plain

    async def do(self, name: str, *args: Any, **options: Any) -> Any:
        method = getattr(self.app, name)
        return await (asyncio.to_thread(method, *args, **options) if self.plain else method(*args, **options))

    async def start(self, key: str = "t1", **options: Any) -> Any:
        return await self.do("start", self.trip(key=key), **options)

    async def ended(self, process: str) -> Any:
        return await self.do("wait", process, 5)

    async def rest(self) -> None:
        await asyncio.sleep(0)
        await until(lambda: self.worker.in_flight == 0)

    async def sweep(self) -> None:
        await self.rest()
        await rows(self.watch, "UPDATE tieout_process SET due = {now} - 1 WHERE status = 'running'")
        swept = self.worker.sweep()
        await (asyncio.to_thread(drive, swept) if self.plain else swept)
        await self.rest()

    async def ledger(self) -> list[str]:
        """Which steps have written, in no order."""
        return sorted(step for (step,) in await rows(self.watch, "SELECT step FROM ledger"))

    async def count(self) -> int:
        return (await rows(self.watch, "SELECT count(*) FROM tieout_process"))[0][0]
