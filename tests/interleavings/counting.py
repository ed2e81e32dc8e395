"""Runs every order of a pair, and counts them."""

from __future__ import annotations

from typing import NamedTuple

from tests.interleavings.arena import Arena
from tests.interleavings.laws import Pair, violations
from tests.interleavings.schedule import Orders


class Counted(NamedTuple):
    """How many orders of a pair there were on a database, and what was broken."""

    dialect: str
    pair: Pair
    orders: int
    broken: list[str]

    def __str__(self) -> str:
        return f"{self.dialect} {self.pair.name}: {self.orders} interleavings, {len(self.broken)} violations"


async def count(arena: Arena, pair: Pair) -> Counted:
    """Run every order."""
    await arena.prepare(pair.prepare)
    seen = [one async for one in arena.every_order(pair.acts, pair.desk, Orders(reads_apart=pair.reads_apart))]
    return Counted(arena.database.dialect, pair, len(seen), [what for one in seen for what in violations(pair, one)])
