"""How a feed that reads a log gives what it has read: all that came before a failure, and then the failure."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence

from tieout.errors import DatabaseUnavailable, FeedGap
from tieout.feeds.changes import TAKEN, Told


class Taking(ABC):
    """Takes from what `_gather` finds."""

    _failure: Exception | None = None

    async def take(self, most: int = TAKEN) -> Sequence[Told]:
        """Transactions in the order of their commits, and heartbeats; see `Feed.take`.

        Raise `FeedGap` for what cannot be told whole, once all before it was told, and `DatabaseUnavailable` when the
        connection is lost.
        """
        told: list[Told] = []
        await asyncio.sleep(0)
        try:
            if self._failure is None:
                await self._gather(told, most)
        except (FeedGap, DatabaseUnavailable) as error:
            self._failure = error
        if not told and self._failure is not None:
            raise self._failure
        return told

    @abstractmethod
    async def _gather(self, told: list[Told], most: int) -> None:
        """Fill `told` with what is there, at least with something; what fails leaves there what came before."""
