"""Claims: which due processes a worker takes, shared fairly over the downstreams that they wait on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec

from tieout.contracts import Transaction
from tieout.process.record import Record
from tieout.process.rules import LEASE_MARGIN
from tieout.process.world import World

CLAIM_LEASE = 10_000_000
"""Microseconds for which a claimed process is its claimant's, unless its calls take longer."""

FULL_SCAN_EVERY = 60.0
"""Seconds between two claims that look below the low-water mark, and for lanes that the code does not know."""

LATE_COMMIT = 10_000_000
"""Microseconds by which a row may appear with a due time in the past, because its transaction took long."""


class Claiming:
    """Claims due processes, and remembers how far it has looked."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._low_water: dict[str, int] = {}
        self._server_ahead: int | None = None
        self._next_full_scan = 0.0
        self._lanes: tuple[int, list[str]] = (0, [])

    def lanes(self) -> list[str]:
        """Every lane that a state of a known type waits on."""
        types = self.world.types
        if self._lanes[0] != len(types):
            states = (state for process_type in types.values() for state in process_type.states.values())
            self._lanes = len(types), sorted({state.lane for state in states})
        return self._lanes[1]

    async def claim(self, limit: int, room: Callable[[str], int]) -> list[Record]:
        """Claim at most about `limit` due processes, shared fairly over the lanes.

        A lane gets no more than its `room` and its breaker let through.
        """
        now = self.world.clock.monotonic()
        full_scan = now >= self._next_full_scan
        names = await self.world.database.read(self._look_around) if full_scan else self.lanes()
        full = max(1, limit // max(1, len(names)))
        by_share: dict[int, list[str]] = {}
        for lane in names:
            share = self.world.breakers.share(lane, now, max(0, min(full, room(lane))))
            by_share.setdefault(share, []).append(lane)
        by_share.pop(0, None)
        if full_scan:
            self._next_full_scan = now + FULL_SCAN_EVERY
        claimed: list[Record] = []
        for share, lanes in by_share.items():
            low = 0 if full_scan else min(self._low_water.get(lane, 0) for lane in lanes)
            found = await self._claim(lanes, share, low)
            self._raise_low_water(lanes, found, share)
            claimed += found
        return claimed

    async def claim_one(self, record: Record) -> Record | None:
        """Claim this process, whose time has come; None when it is not as this copy says any more."""
        lease = self._lease()
        claimed = msgspec.structs.replace(record, attempts=record.attempts + 1)
        if not await self.world.transact(lambda tx: self.world.store.save(tx, claimed, lease)):
            return None
        return msgspec.structs.replace(claimed, fence=record.fence + 1, due=record.now + lease)

    async def _look_around(self, tx: Transaction) -> list[str]:
        """Every known lane, and those of states that the code no longer has: their processes have to be held.

        Tells the server's time too: a worker that finds nothing for hours needs its low-water mark most.
        """
        asked_at = self.world.clock.monotonic()
        self._server_ahead = await self.world.store.server_time(tx) - round(asked_at * 1_000_000)
        return sorted({*self.lanes(), *await self.world.store.lanes(tx)})

    async def _claim(self, lanes: list[str], share: int, low: int) -> list[Record]:
        types = {name: process_type.version for name, process_type in self.world.types.items()}
        return await self.world.transact(lambda tx: self.world.store.claim(tx, lanes, types, share, self._lease(), low))

    def _lease(self) -> int:
        rules = (call.rules for process_type in self.world.types.values() for call in process_type.calls.values())
        return max([CLAIM_LEASE, *(2 * rule.timeout + LEASE_MARGIN for rule in rules)])

    def _raise_low_water(self, lanes: list[str], found: list[Record], share: int) -> None:
        """Remember of the lanes that were emptied that nothing is due before now.

        Dead index entries of what was due long ago make an empty claim slow, and later claims begin behind them.
        """
        if found:
            self._server_ahead = found[0].now - round(found[0].read_at * 1_000_000)
        if self._server_ahead is None:
            return
        taken = Counter(record.lane for record in found)
        now = self._server_ahead + round(self.world.clock.monotonic() * 1_000_000)
        self._low_water.update((lane, now - LATE_COMMIT) for lane in lanes if taken[lane] < share)
