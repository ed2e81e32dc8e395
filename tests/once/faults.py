"""A database and a clock that stand in for those of an engine under test."""

from __future__ import annotations

from typing import Any

import tieout


class Doomed:
    """A database that breaks at every commit."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.read = database.read

    async def transact(self, work: Any) -> Any:
        async def doomed(tx: Any) -> None:
            await work(tx)
            raise tieout.DatabaseUnavailable("cut")

        return await self._database.transact(doomed)


class Hurried:
    """A clock that waits for nothing."""

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """Nothing: also where no event loop runs."""
