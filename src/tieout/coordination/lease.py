"""Leases: one holder at a time, who proves it with a fence in every transaction that it writes."""

from __future__ import annotations

from typing import NamedTuple

from tieout.contracts import Clock, Database, Transaction
from tieout.coordination.store import CoordinationStore
from tieout.identity import key_bytes

MARGIN = 0.2
"""Share of a lease's time, at its end, in which its holder begins nothing any more."""


class LostLease(Exception):
    """Somebody else has taken the lease: what was to be written is not."""


class Lease(NamedTuple):
    """A lease that was taken; `ends` is on the holder's monotonic clock, counted from before it was taken."""

    name: bytes
    fence: int
    ends: float


class Leases:
    """Takes, renews and gives back leases. Each lasts `ttl` seconds of the server's time."""

    def __init__(self, database: Database, clock: Clock, holder: str, ttl: float) -> None:
        self.store = CoordinationStore(database.dialect)
        self.holder = holder
        self._database = database
        self._clock = clock
        self._ttl = ttl
        self._micros = round(ttl * 1_000_000)

    async def take(self, name: str) -> Lease | None:
        """The lease, or None while somebody holds it."""
        return await self._database.transact(lambda tx: self.take_in(tx, name))

    async def take_in(self, tx: Transaction, name: str, ttl: float | None = None) -> Lease | None:
        """The same in a transaction: it is held once that is committed; for `ttl` seconds, where they are given."""
        seconds = self._ttl if ttl is None else ttl
        key, began = key_bytes(name, "lease"), self._clock.monotonic()
        row = await self.store.take_lease(tx, key, self.holder, round(seconds * 1_000_000))
        return None if row is None else Lease(key, row.fence, began + seconds)

    def may_begin(self, lease: Lease, seconds: float = 0.0) -> bool:
        """Whether something that takes `seconds` may be begun under a lease: not, when it might outlast it."""
        return self._clock.monotonic() + seconds < lease.ends - MARGIN * self._ttl

    async def guard(self, tx: Transaction, lease: Lease) -> Lease:
        """Make a transaction one of the lease's holder, and renew it; raise `LostLease` when somebody has taken it.

        Use what it returns once the transaction is committed.
        """
        began = self._clock.monotonic()
        if not await self.store.renew_lease(tx, lease.name, lease.fence, self._micros):
            raise LostLease(lease.name.decode())
        return lease._replace(ends=began + self._ttl)

    async def keep(self, lease: Lease) -> Lease:
        """The lease, renewed when half of its time is over; raise `LostLease`."""
        is_young = self._clock.monotonic() < lease.ends - self._ttl / 2
        return lease if is_young else await self.renew(lease)

    async def renew(self, lease: Lease) -> Lease:
        """The lease for its whole time again; raise `LostLease`."""
        return await self._database.transact(lambda tx: self.guard(tx, lease))

    async def release(self, lease: Lease) -> None:
        """Give it back, so that others need not wait for its end."""
        await self._database.transact(lambda tx: self.store.release_lease(tx, lease.name, lease.fence))
