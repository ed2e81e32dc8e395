"""One node: the mirror as it is, on an event loop of its own that may stand still, or never run again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from tests.mirror_simulation.supplier import TIMEOUT, Asked, cause
from tests.mirror_simulation.truth import DAYS
from tests.prove.virtual_world import drop
from tieout.alarm.store import AlarmStore
from tieout.contracts import Database, Transaction
from tieout.errors import CommitUnknown, DatabaseError, DatabaseUnavailable
from tieout.eventloop import LoopCaller
from tieout.mirror import days, flag, money, tier, tiers
from tieout.mirror.mirror import Mirror, mirror_world
from tieout.mirror.traffic import Traffic
from tieout.testing.virtual import VirtualLoop, VirtualTime

if TYPE_CHECKING:
    from tests.mirror_simulation.world import World

T = TypeVar("T")

SKEW = 2.0
"""By how many seconds the clock of a sender may be wrong."""

DRIFT = 5e-5
"""By how much the clock of a node may run faster or slower."""

FIELDS = {"price": money(), "open": flag()}
OFTEN = tiers(hot=tier(days(3), every="3s"), all=tier(days(DAYS), every="10s"))
RARELY = tiers(all=tier(days(DAYS), every="1d"))


class NodeClock:
    """A clock that began at some other time, and runs a little too fast or too slow."""

    def __init__(self, time: VirtualTime, chance: Random) -> None:
        self._time = time
        self._begun = chance.uniform(0, 1e6)
        self._rate = 1 + chance.uniform(-DRIFT, DRIFT)

    def monotonic(self) -> float:
        return self._begun + self._time.now * self._rate

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FaultyDatabase:
    """The database over a network: it takes its time, refuses, and loses its answer to COMMIT."""

    dialect = "sqlite"

    def __init__(self, world: World) -> None:
        self.world = world
        self.inner: Database = world.database

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        world, rates = self.world, self.world.rates
        await self._pause()
        if world.strikes(rates.refuse, "transaction refused"):
            raise DatabaseUnavailable("refused")
        if world.strikes(rates.lost_commit, "commit unknown, not done"):
            raise CommitUnknown("lost before it was done")
        result = await self.inner.transact(work)
        world.committed()
        if world.strikes(rates.lost_commit, "commit unknown, done"):
            raise CommitUnknown("lost when it was done")
        await self._pause()
        return result

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        await self._pause()
        if self.world.strikes(self.world.rates.refuse, "transaction refused"):
            raise DatabaseUnavailable("refused")
        result = await self.inner.read(work)
        await self._pause()
        return result

    async def _pause(self) -> None:
        world = self.world
        is_slow = world.strikes(world.rates.slow, "database slow")
        await asyncio.sleep(world.chance.uniform(0.05, 1.0) if is_slow else world.chance.uniform(0.0002, 0.003))


class Node:
    """A node that follows the supplier while it can."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.loop = VirtualLoop(world.time, self._refused)
        self.loop.set_exception_handler(self._unexpected)
        self.timer: float | None = 0.0
        self.frozen_until = 0.0
        self.is_open = False
        database: Any = FaultyDatabase(world)
        self.caller = LoopCaller()
        clock, chance = NodeClock(world.time, world.chance), Random(world.chance.random())
        inner = mirror_world(database, clock, self.caller, AlarmStore("sqlite"), chance)
        self._traffic = Traffic(database, clock, world.rates.concurrency)
        policy = OFTEN if world.rates.often else RARELY
        self.rooms = Mirror(inner, "rooms", days(DAYS), FIELDS, policy, half_life=86_400.0, deps=None)
        self.rooms.supplier(
            "acme",
            f"{world.rates.limit}/{world.rates.window}s",
            concurrency=world.rates.concurrency,
            timeout=TIMEOUT,
            order_timeout=TIMEOUT,
            order_patience=3.0,
            browse_window="2s",
            catalogue_every="30s",
            skew=SKEW,
        )(Asked(world.supplier, self))
        self.following = self.rooms.following("acme")
        self._note_causes()
        self._watch_leases()
        self._stand_at_tokens()
        world.change(self)
        self.begin(self._follow())

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Let something run on this node."""
        return self.loop.create_task(work)

    def end(self) -> None:
        """Let nothing of it ever run again."""
        self.world.is_over += 1
        drop(self.loop)
        self.world.is_over -= 1

    async def _follow(self) -> None:
        while not self.is_open:
            try:
                await self.rooms.open()
                self.is_open = True
            except DatabaseError:
                await asyncio.sleep(0.5)
        self.rooms.follow(self._traffic)

    def _note_causes(self) -> None:
        ask = self.following.ask

        async def asking(group: str, first: int, count: int, why: Any, late: Any, slot: Any = None) -> Any:
            token = cause.set(why)

            async def came_late(observed: Any) -> None:
                self.world.counts["late answer merged"] += 1
                await late(observed)

            try:
                return await ask(group, first, count, why, came_late, slot)
            finally:
                cause.reset(token)

        self.following.ask = asking  # type: ignore[method-assign]  # watched, not changed

    def _watch_leases(self) -> None:
        leases = self.following.world.leases
        take = leases.take

        async def taking(name: str) -> Any:
            lease = await take(name)
            if lease is not None:
                self.world.leads(self)
            return lease

        leases.take = taking  # type: ignore[method-assign]  # watched, not changed

    def _stand_at_tokens(self) -> None:
        """Let the node stand still where it costs most: with a place and no token yet, or with a token not yet used."""
        budget = self.following.budget
        reserve = budget.reserve

        async def reserving(*args: Any, **more: Any) -> Any:
            await self._stand("stands before a token")
            tokens = await reserve(*args, **more)
            if tokens:
                await self._stand("stands with a token")
            return tokens

        budget.reserve = reserving  # type: ignore[method-assign]  # delayed, not changed

    async def _stand(self, where: str) -> None:
        world = self.world
        if world.strikes(world.rates.stand, where):
            world.freeze(self, world.chance.uniform(0.5, 4.0) * world.jitter)
            await asyncio.sleep(1e-3)  # nothing of it runs again before the time is over

    def _refused(self, what: str) -> None:
        self.world.surprises.append(what)

    def _unexpected(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None and not isinstance(error, (DatabaseError, asyncio.CancelledError)):
            self.world.surprises.append(f"{self.name}: {error!r}")
