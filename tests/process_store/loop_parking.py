"""How tasks of an event loop wait in the model: so that the model passes the suite that the databases pass."""

from __future__ import annotations

import asyncio
from typing import Any


class LoopParking:
    """Tickets are futures; whoever took the last one parks on it."""

    def __init__(self) -> None:
        self._taken: dict[Any, asyncio.Future[Any]] = {}

    def ticket(self) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        self._taken[asyncio.current_task()] = future
        return future

    async def park(self) -> Any:
        return await self._taken.pop(asyncio.current_task())

    def wake(self, ticket: asyncio.Future[Any], value: Any = None) -> None:
        if not ticket.done():
            ticket.set_result(value)
