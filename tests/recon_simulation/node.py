"""Nodes that follow a rule between both sources: each on a loop of its own, over a database that may fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from tests.mirror_simulation.node import NodeClock
from tests.prove.virtual_world import drop
from tests.recon_simulation.source import DONE, FarDatabase, LogFeed
from tieout.alarm.store import AlarmStore
from tieout.contracts import Transaction
from tieout.errors import CommitUnknown, DatabaseError, DatabaseUnavailable
from tieout.recon import following
from tieout.recon.define import Rule, reached, rule, same, side, sums
from tieout.recon.opening import FeedOptions
from tieout.recon.watching import Watching
from tieout.testing.virtual import VirtualLoop

if TYPE_CHECKING:
    from tests.recon_simulation.world import World

T = TypeVar("T")

following.MANY = 3  # a handful of facts is many in a small world: some stay for the next batch here too


class FaultyDatabase(FarDatabase):
    """tieout's own database: it also refuses, and loses its answer to COMMIT."""

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        world, rates = self.world, self.world.rates
        await self.pause()
        if world.strikes(rates.refuse, "transaction refused"):
            raise DatabaseUnavailable("refused")
        if world.strikes(rates.lost_commit, "commit unknown, not done"):
            raise CommitUnknown("lost before it was done")
        result: T = await self.inner.transact(work)
        world.committed()
        if world.strikes(rates.lost_commit, "commit unknown, done"):
            raise CommitUnknown("lost when it was done")
        await self.pause()
        return result


def rule_of(world: World) -> Rule:
    """The rule as it is now."""
    rates, (ours, theirs) = world.rates, world.sources
    sides = [
        side(source.database, table=source.name, key="id", when=reached("state", {DONE}), at="done", many=many)
        for source, many in ((ours, rates.many), (theirs, False))
    ]
    amount = sums("cost") if rates.many else same("cost")
    agree = [same("sku")] if world.is_changed else [same("sku"), amount]
    return rule(
        "pairs", upstream=sides[0], downstream=sides[1], agree=agree, grace=rates.grace, memory=rates.memory, owner="us"
    )


class Node:
    """A node that follows while it can, and begins again when it may not go on."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.loop = VirtualLoop(world.time, world.surprises.append)
        self.loop.set_exception_handler(self._unexpected)
        self.timer: float | None = 0.0
        self.frozen_until = 0.0
        database: Any = FaultyDatabase(world, world.database)
        options = {
            source.database: FeedOptions(source.name, "", lambda _, source=source: LogFeed(world, source))
            for source in world.sources
        }
        clock = NodeClock(world.time, Random(world.chance.random()))
        self.watching = Watching(database, clock, AlarmStore("sqlite"), [rule_of(world)], options)
        self.task = self.loop.create_task(self._follow())

    def end(self) -> None:
        """Let nothing of it ever run again."""
        self.world.is_over += 1
        drop(self.loop)
        self.world.is_over -= 1

    async def _follow(self) -> None:
        while True:
            try:
                await self.watching.watch_forever()
            except DatabaseError:
                await asyncio.sleep(0.5)

    def _unexpected(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None and not isinstance(error, (DatabaseError, asyncio.CancelledError)):
            self.world.surprises.append(f"{self.name}: {error!r}")
