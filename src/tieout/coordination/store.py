"""Leases and budgets in the user's database: one typed function for each statement. Times are the server's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tieout.contracts import Transaction
from tieout.database.query import load


class LeaseRow(NamedTuple):
    """A lease as it stands; `until` and `now` are the server's microseconds."""

    holder: str
    fence: int
    until: int
    now: int


class BudgetRow(NamedTuple):
    """A budget as it stands: when its next token is, and the server's `now`, in microseconds."""

    next_at: int
    now: int


class CoordinationStore:
    """Leases and budgets over named SQL."""

    def __init__(self, dialect: str) -> None:
        self.sql = load("tieout.coordination", dialect)

    async def take_lease(self, tx: Transaction, name: bytes, holder: str, ttl: int) -> LeaseRow | None:
        """Take a lease that nobody holds for `ttl` microseconds, under a new fence; None when somebody holds it."""
        await tx.execute(self.sql.add_lease, name=name)
        if await tx.execute(self.sql.take_lease, name=name, holder=holder, ttl=ttl) == 0:
            return None
        return await self.read_lease(tx, name)

    async def read_lease(self, tx: Transaction, name: bytes) -> LeaseRow | None:
        """Who holds a lease, or held it last."""
        row = await tx.fetch_one(self.sql.read_lease, name=name)
        return None if row is None else LeaseRow(*row)

    async def held_leases(self, tx: Transaction, names: Iterable[bytes]) -> frozenset[bytes]:
        """Those of some leases that somebody holds."""
        rows = await tx.fetch(self.sql.held_leases, names=[name.hex().upper() for name in names])
        return frozenset(bytes(name) for (name,) in rows)

    async def renew_lease(self, tx: Transaction, name: bytes, fence: int, ttl: int) -> bool:
        """Hold a lease for `ttl` microseconds from now; False when somebody has taken it since.

        Until the transaction ends nobody can take it: what is written with it is written by its holder.
        """
        return await tx.execute(self.sql.renew_lease, name=name, fence=fence, ttl=ttl) == 1

    async def release_lease(self, tx: Transaction, name: bytes, fence: int) -> None:
        """Let others take a lease at once, unless somebody has."""
        await tx.execute(self.sql.release_lease, name=name, fence=fence)

    async def add_budget(self, tx: Transaction, name: bytes) -> None:
        """Make a budget known; one that is there is left as it is."""
        await tx.execute(self.sql.add_budget, name=name)

    async def take_token(self, tx: Transaction, name: bytes, interval: int, patience: int) -> int | None:
        """Take the next token of a budget that gives one each `interval`; in how many microseconds it is ours.

        None, and nothing is taken, when that would be later than `patience`.
        """
        row = await tx.fetch_one(self.sql.take_token, name=name, interval=interval, patience=patience)
        return None if row is None or not row[0] else int(row[0]) - 1

    async def stop_budgets(self, tx: Transaction, names: Iterable[bytes]) -> dict[bytes, BudgetRow]:
        """Those budgets that are known; nobody else changes them until the transaction ends."""
        wanted = [name.hex().upper() for name in sorted(set(names))]
        rows = await tx.fetch(self.sql.stop_budgets, names=wanted)
        return {bytes(name): BudgetRow(next_at, now) for name, next_at, now in rows}

    async def move_budgets(self, tx: Transaction, moved: Mapping[bytes, int]) -> None:
        """Set when the next tokens are of budgets that were stopped in this transaction."""
        await tx.execute_many(
            self.sql.move_budget, [{"name": name, "next_at": next_at} for name, next_at in moved.items()]
        )

    async def close_budget(self, tx: Transaction, name: bytes, pause: int) -> None:
        """Give no token for `pause` microseconds: the other side has asked for it."""
        await tx.execute(self.sql.close_budget, name=name, pause=pause)
