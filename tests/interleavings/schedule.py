"""Every order in which the statements of several actors can be let through, depth first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.interleavings.gates import COMMIT, READ, Actor, Wish

GLANCE = 0.008
"""Seconds after which the server is asked who waits for a lock: far more than a statement takes, since asking costs."""

PATIENCE = 60.0
"""Seconds after which an actor that neither comes to a gate nor waits for a lock is stuck."""

Waiting = Callable[[], Awaitable[int]]
"""How many transactions wait for a lock now."""


@dataclass
class Turn:
    """One decision: who could go on and with what, who did, who was tried before, and who would lead nowhere new."""

    could: Mapping[int, Wish]
    asleep: frozenset[int]
    went: int
    tried: set[int] = field(default_factory=set)

    def left(self) -> int | None:
        """Somebody who has not been tried yet."""
        return next((n for n in self.could if n not in self.tried | self.asleep), None)


class Orders:
    """The orders that have been tried, and which is next.

    With `reads_apart`, of two neighbours that commute only one order is tried: that a plain read comes just before or
    just after what another transaction does, other than its COMMIT, cannot be told by anybody. These are sleep sets.
    """

    def __init__(self, *, reads_apart: bool = False) -> None:
        self.reads_apart = reads_apart
        self.is_new = True
        self._turns: list[Turn] = []
        self._depth = 0

    def choose(self, could: Mapping[int, Wish]) -> int:
        """Who goes on: as it was in this order so far, and after that the first who leads to something new."""
        if self._depth == len(self._turns):
            self._turns.append(self._turn(could))
        turn = self._turns[self._depth]
        assert turn.could == could, f"the same choices have led elsewhere: {turn.could} {could}"
        self._depth += 1
        return turn.went

    def next(self) -> bool:
        """Go to the next order; False when there is none."""
        self._depth, self.is_new = 0, True
        while self._turns:
            turn = self._turns[-1]
            turn.tried.add(turn.went)
            left = turn.left()
            if left is not None:
                turn.went = left
                return True
            self._turns.pop()
        return False

    def _turn(self, could: Mapping[int, Wish]) -> Turn:
        asleep = self._asleep()
        awake = [n for n in could if n not in asleep]
        self.is_new = self.is_new and bool(awake)
        return Turn(could, asleep, awake[0] if awake else next(iter(could)))

    def _asleep(self) -> frozenset[int]:
        if not (self.reads_apart and self._turns):
            return frozenset()
        last = self._turns[-1]
        done = last.could[last.went]
        return frozenset(n for n in last.asleep | last.tried if n in last.could and commute(last.could[n], done))


def commute(one: Wish, two: Wish) -> bool:
    """Whether nobody can tell in which order these two came."""
    return (one.kind == READ and two.kind != COMMIT) or (two.kind == READ and one.kind != COMMIT)


class Conductor:
    """Lets one statement through at a time."""

    def __init__(self, names: Sequence[str], waiting: Waiting) -> None:
        self.changed = asyncio.Event()
        self.actors = [Actor(name, self.changed) for name in names]
        self.order: list[str] = []
        self._waiting = waiting

    async def run(self, orders: Orders) -> None:
        """Let everybody come to an end, in the order that is next."""
        while could := await self._settled():
            went = orders.choose(could)
            actor = self.actors[went]
            self.order.append(f"{actor.name}: {could[went].what}")
            actor.let_through()

    async def stop(self) -> None:
        for actor in self.actors:
            await actor.stop()

    async def _settled(self) -> dict[int, Wish]:
        """Who stands at a gate, once nobody runs but who waits for a lock that one of those holds."""
        async with asyncio.timeout(PATIENCE):
            while running := sum(actor.runs for actor in self.actors):
                if not await self._changes_soon() and self._at_gates() and await self._waiting() == running:
                    break
        return self._at_gates()

    async def _changes_soon(self) -> bool:
        try:
            async with asyncio.timeout(GLANCE):
                await self.changed.wait()
        except TimeoutError:
            return False
        self.changed.clear()
        return True

    def _at_gates(self) -> dict[int, Wish]:
        return {n: actor.wants for n, actor in enumerate(self.actors) if actor.wants is not None}
