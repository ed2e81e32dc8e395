"""Waiting for what a server goes on to do although nobody is there to hear of it."""

from __future__ import annotations

import asyncio
import time

from tieout.contracts import Database
from tieout.testing.database_site import points

PATIENCE = 60.0


async def settled(database: Database, wanted: int) -> None:
    """Wait until the account has so many points."""
    ends = time.monotonic() + PATIENCE
    while (found := await points(database)) != wanted:
        assert time.monotonic() < ends, f"{found} and not {wanted}"
        await asyncio.sleep(0.02)
