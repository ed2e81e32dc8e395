"""A world in one virtual time: a database, nodes that crash and stand still, and faults that strike by chance."""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from random import Random
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from tieout.database import connect
from tieout.database.migrate import migrate
from tieout.testing.virtual import VirtualLoop, VirtualTime, finish

WAKES = 400_000
"""Moments after which a schedule counts as one that never ends."""

DROPS = 20
"""How often what is under way is cancelled: what it does on that may wait, and is cancelled too."""

Trace = Callable[[str], None]


class NeverEndsError(Exception):
    """The schedule had more moments than any sound one."""


class AnyNode(Protocol):
    """A node: an event loop of its own, when its next timer rings, and until when it stands still."""

    loop: VirtualLoop
    timer: float | None
    frozen_until: float

    def end(self) -> None:
        """Let nothing of it ever run again."""
        ...


class AnyJudge(Protocol):
    """Who knows what has to be."""

    violations: list[str]

    def look(self) -> None:
        """Look at what is kept now."""
        ...

    def final(self) -> Sequence[str]:
        """What is wrong in the end."""
        ...


SomeNode = TypeVar("SomeNode", bound=AnyNode)


class VirtualWorld(ABC, Generic[SomeNode]):
    """The parts that each schedule has. It begins at a second of its virtual time; after `until` more, all is calm.

    A kind of it makes its `judge` and its nodes, and says who acts in it.
    """

    LOOKED_AT: ClassVar[frozenset[str]]
    """Statements that change what the judge looks at."""

    ENDS: ClassVar[float]
    """Seconds after the last fault in which a schedule has to end."""

    judge: AnyJudge

    def __init__(self, chance: Random, begins: float, until: float, trace: Trace | None) -> None:
        self.chance = chance
        self.until = until
        self.counts: Counter[str] = Counter()
        self.surprises: list[str] = []
        self.time = VirtualTime()
        self.time.now = self.begins = begins
        self.is_calm = False
        self.is_over = 0
        self.database: Any = connect("sqlite://", inline=True, clock=self.time.micros, hook=self._hook)
        finish(self.database.open())
        finish(migrate(self.database))
        self.outside = VirtualLoop(self.time, self.surprises.append)
        self.outside.set_exception_handler(self._unexpected)
        self.outside_timer: float | None = 0.0
        self.nodes: list[SomeNode] = []
        self.dead: list[SomeNode] = []
        self._made = 0
        self._trace = trace
        self._touched = False

    @abstractmethod
    def node(self, name: str) -> SomeNode:
        """A node of this world that begins now."""

    @abstractmethod
    def cast(self) -> Iterable[Coroutine[Any, Any, Any]]:
        """Everybody who acts until all is calm."""

    @abstractmethod
    async def settle(self) -> None:
        """Wait until all is as it has to be, or could have been."""

    @property
    def now(self) -> float:
        """Seconds since the beginning of all times."""
        return self.time.now

    @property
    def calm_at(self) -> float:
        """When the last fault may strike."""
        return self.begins + self.until

    def strikes(self, rate: float, name: str) -> bool:
        """Whether a fault comes now; none does when all is calm."""
        if rate and not (self.is_calm or self.is_over) and self.chance.random() < rate:
            self.note(name)
            return True
        return False

    def note(self, what: str) -> None:
        """Count what happens, and tell it."""
        self.counts[what] += 1
        self.tell(what)

    def tell(self, what: str) -> None:
        """Tell it to whoever replays this schedule."""
        if self._trace is not None:
            self._trace(f"{self.now - self.begins:10.4f}  {what}")

    def add_node(self) -> None:
        """Start a node."""
        self._made += 1
        self.nodes.append(self.node(f"node{self._made}"))

    def crash(self, node: SomeNode) -> None:
        """Let nothing of a node run any more."""
        self.nodes.remove(node)
        self.dead.append(node)

    def freeze(self, node: SomeNode, seconds: float) -> None:
        """Let a node stand still for a while."""
        node.frozen_until = max(node.frozen_until, self.now + seconds)

    def committed(self) -> None:
        """Something was committed: if it is what the judge looks at, he looks."""
        if self._touched:
            self._touched = False
            self.judge.look()

    def judged(self) -> list[str]:
        """Play it, and give everything back; what is wrong."""
        try:
            return self.play()
        except Exception as error:  # noqa: BLE001 - a wrong engine may break anything; a sound one nothing
            return [f"the schedule: {error!r}"]
        finally:
            self.close()

    def play(self) -> list[str]:
        """From the first moment to the last look; what is wrong."""
        main = self.outside.create_task(self._play())
        self.run(main.done, self.calm_at + self.ENDS)
        if not main.done():
            return [*self.judge.violations, "the schedule has not come to its end"]
        main.result()
        wrong = [*self.judge.violations, *(f"surprise: {what}" for what in self.surprises)]
        return [*wrong, *self.judge.final()]

    def close(self) -> None:
        """Give everything back."""
        self.is_over += 1
        for node in (*self.nodes, *self.dead):
            node.end()
        drop(self.outside)
        finish(self.database.close())

    async def _play(self) -> None:
        cast = [asyncio.create_task(actor) for actor in self.cast()]
        await asyncio.sleep(self.until)
        self.is_calm = True
        self.tell("all is calm")
        await asyncio.gather(*cast)
        await self.settle()

    def run(self, done: Callable[[], bool], until: float) -> None:
        """Let happen what can, and let time go on to what comes next, until `done()` or the given time."""
        for _ in range(WAKES):
            self._run_all()
            if done() or self.now >= until:
                return
            self.time.now = min(max(self.now, self._next()), until)
        raise NeverEndsError

    def _run_all(self) -> None:
        """Run every loop that has something to do now, until none has."""
        is_busy = True
        while is_busy:
            is_busy = False
            if _has_work(self.outside, self.outside_timer, self.now):
                self.outside_timer, is_busy = self.outside.run_ready(), True
            for node in list(self.nodes):
                if node.frozen_until <= self.now and node in self.nodes and _has_work(node.loop, node.timer, self.now):
                    node.timer, is_busy = node.loop.run_ready(), True

    def _next(self) -> float:
        moments = [self.outside_timer] + [
            node.timer if node.frozen_until <= self.now or node.timer is None else max(node.timer, node.frozen_until)
            for node in self.nodes
        ]
        moments += [node.frozen_until for node in self.nodes if node.frozen_until > self.now]
        return min((moment for moment in moments if moment is not None), default=math.inf)

    def _hook(self, what: str) -> None:
        kind, _, name = what.partition(":")
        if kind == "statement" and name in self.LOOKED_AT:
            self._touched = True

    def _unexpected(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None:
            self.surprises.append(repr(error))


def drop(loop: VirtualLoop) -> None:
    """End what a loop has under way, also what it does on being ended."""
    loop.set_exception_handler(lambda _loop, _context: None)
    for _ in range(DROPS):
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_ready()
    loop.close()


def _has_work(loop: VirtualLoop, timer: float | None, now: float) -> bool:
    ready = loop._ready  # type: ignore[attr-defined]  # noqa: SLF001 - as long as it has anything, it is not idle
    return bool(ready) or (timer is not None and timer <= now + 1e-9)
