"""Which of many leases are free: looked at together, so that who waits for hundreds asks once for all of them."""

from __future__ import annotations

import asyncio
import math

from tieout.contracts import Clock, Database
from tieout.coordination.store import CoordinationStore
from tieout.identity import key_bytes

LASTS = 0.5
"""Seconds that a look is good for: by so much a lease may be taken later than it could be."""


class Vacancies:
    """Tells which leases are worth trying for. One that is free has still to be taken: others look too."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._store = CoordinationStore(database.dialect)
        self._wanted: set[bytes] = set()
        self._seen: frozenset[bytes] = frozenset()
        self._held: frozenset[bytes] = frozenset()
        self._looked_at = -math.inf
        self._looking = asyncio.Lock()

    async def is_free(self, name: str) -> bool:
        """Whether nobody held a lease a moment ago; raise a `DatabaseError` when nobody knows."""
        key = key_bytes(name, "lease")
        self._wanted.add(key)
        async with self._looking:
            if key not in self._seen or self._clock.monotonic() >= self._looked_at + LASTS:
                await self._look()
        return key not in self._held

    async def _look(self) -> None:
        looked_at, wanted = self._clock.monotonic(), frozenset(self._wanted)
        self._held = await self._database.read(lambda tx: self._store.held_leases(tx, wanted))
        self._looked_at, self._seen = looked_at, wanted
