"""Breaks on their way into the store: very many at a time, while others are still sought."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from tieout.recon.store import WrittenBreak

NOTED = 50_000
"""Breaks that are stored at a time, some 30 MB: each changes other pages, most of which are changed by several then."""

HELD = 4
"""Times as many that wait at the most while others are being stored: the more at a time, the less each costs."""


class Noting:
    """Stores what is added by `note`, the last of it when it is left; after an error, no more of it.

    No less than `least` are stored at a time, and nobody waits for that who finds fewer than `HELD` times as many.
    """

    def __init__(self, note: Callable[[list[WrittenBreak]], Awaitable[None]], least: int = NOTED) -> None:
        self._note, self._least = note, least
        self._held: list[WrittenBreak] = []
        self._noting: asyncio.Future[None] | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            await self._begin()
            await self._end()
        elif self._noting is not None:
            self._noting.cancel()
            await asyncio.gather(self._noting, return_exceptions=True)

    async def add(self, breaks: list[WrittenBreak]) -> None:
        """Store these, some time; raise what the storing of those before them has met."""
        self._held += breaks
        async with self._turn:
            is_free = self._noting is None or self._noting.done()
            if len(self._held) >= self._least * (1 if is_free else HELD):
                await self._begin()

    async def _begin(self) -> None:
        await self._end()
        if self._held:
            held, self._held = self._held, []
            self._noting = asyncio.ensure_future(self._note(held))

    async def _end(self) -> None:
        if self._noting is not None:
            await self._noting
            self._noting = None
