"""Requests that come while the database fails: nothing accepted may be lost, and nothing may happen twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from tests.process.place import POINTS, eventually, points, rows
from tests.process.shop import Prize, Shop, redeem
from tieout import App, DatabaseError, Limits, NotFound, ProcessView, Sending, Succeeded

QUICK = {"sweep": True, "limits": Limits(sweep_every=0.05)}
LOADED = redeem(name="loaded", timeout=0.2, query_after=0.1, settle=0.3, retry_cap=0.5)


class Honest(Shop):
    """A downstream that keeps its word: one effect for each key, and its query tells the truth."""

    def __init__(self) -> None:
        super().__init__()
        self.effects: dict[str, Prize] = {}

    async def issue(self, send: Sending, **args: Any) -> Any:
        self.sent.append(send)
        await asyncio.sleep(0.001)
        return Succeeded(self.effects.setdefault(send.key, Prize(f"A{len(self.effects)}")))

    async def find(self, send: Sending) -> Any:
        self.asked.append(send)
        return Succeeded(self.effects[send.key]) if send.key in self.effects else NotFound()


async def accept(app: App, key: str, refusals: Counter[str]) -> ProcessView:
    """Ask until it is accepted, with the same key, as a client does; count what was said instead."""
    while True:
        try:
            return await app.start(LOADED(request_id=key, user="ann"))
        except DatabaseError as error:
            refusals[error.code] += 1
            await asyncio.sleep(0.02)


async def all_ended(app: App, count: int) -> None:
    """Wait until every process has ended, and check that each took its points and got its prize once."""

    async def ended() -> bool:
        return await rows(app, "SELECT status, count(*) FROM tieout_process GROUP BY status") == [("final", count)]

    await eventually(ended)
    written = Counter(await rows(app, "SELECT process, what FROM posting"))
    assert sorted(what for _, what in written) == ["complete"] * count + ["deduct"] * count
    assert set(written.values()) == {1}
    assert await points(app) == POINTS - 10 * count
    assert await rows(app, "SELECT count(*) FROM tieout_alarm") == [(0,)]
