"""One schedule: both sources, nodes that follow them and whatever befalls them, in one virtual time."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from tests.mirror_simulation.node import drop
from tests.recon_simulation import actors
from tests.recon_simulation.faults import Rates, draw
from tests.recon_simulation.judge import Judge
from tests.recon_simulation.node import Node
from tests.recon_simulation.source import Source
from tieout.database import connect
from tieout.database.migrate import migrate
from tieout.feeds import Position
from tieout.testing.virtual import VirtualLoop, VirtualTime, finish

CALM = 150.0
"""Seconds after the last fault in which what is told has to become what there is."""

WAKES = 400_000
"""Moments after which a schedule counts as one that never ends."""

TOUCHING = frozenset(
    {
        *("write_facts", "add_facts", "drop_facts", "doubt_facts", "forget_facts", "pass_feed", "note_gap"),
        *("activate_rule", "go_live", "note_break", "mend_break", "raise_alarm", "reopen_alarm"),
    }
)
"""Statements that change what the judge looks at."""


class NeverEndsError(Exception):
    """The schedule had more moments than any sound one."""


class World:
    """The parts of one schedule."""

    def __init__(self, seed: int, trace: Callable[[str], None] | None) -> None:
        self.chance = Random(seed)
        self.rates: Rates = draw(self.chance)
        self.counts: Counter[str] = Counter()
        self.surprises: list[str] = []
        self.time = VirtualTime()
        self.time.now = 43_200.0
        self.calm_at = self.time.now + self.rates.until
        self.is_calm = self.is_changed = False
        self.is_over = 0
        self._trace = trace
        self._touched = False
        self.database: Any = connect("sqlite://", inline=True, clock=self.time.micros, hook=self._hook)
        finish(self.database.open())
        finish(migrate(self.database))
        self.judge = Judge(self)
        self.sources = (Source(self, "points", 0), Source(self, "prizes", 1))
        self.outside = VirtualLoop(self.time, self.surprises.append)
        self.outside.set_exception_handler(self._unexpected)
        self.outside_timer: float | None = 0.0
        self.nodes: list[Node] = []
        self.dead: list[Node] = []
        self._made = 0
        actors.before(self)
        for _ in range(self.rates.nodes):
            self.add_node()

    @property
    def now(self) -> float:
        """Seconds since the beginning of all times."""
        return self.time.now

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
            self._trace(f"{self.now - 43_200:10.4f}  {what}")

    def add_node(self) -> None:
        """Start a node."""
        self._made += 1
        self.nodes.append(Node(self, f"node{self._made}"))

    def crash(self, node: Node) -> None:
        """Let nothing of a node run any more."""
        self.nodes.remove(node)
        self.dead.append(node)

    def ends(self, name: str) -> str:
        """The end of a source's log, as a position is kept."""
        source = next(one for one in self.sources if one.name == name)
        return Position(name, len(source.log)).text()

    def committed(self) -> None:
        """Something was committed: the judge looks at it."""
        if self._touched:
            self._touched = False
            self.judge.look()

    def play(self) -> list[str]:
        """From the first row to the last look; what is wrong."""
        main = self.outside.create_task(self._play())
        self.run(main.done, self.now + self.rates.until + 2 * CALM)
        if not main.done():
            return [*self.judge.violations, "the schedule has not come to its end"]
        main.result()
        return [*self.judge.violations, *(f"surprise: {what}" for what in self.surprises), *self.judge.final()]

    def close(self) -> None:
        """Give everything back."""
        self.is_over += 1
        for node in (*self.nodes, *self.dead):
            node.end()
        drop(self.outside)
        for source in self.sources:
            source.close()
        finish(self.database.close())

    async def _play(self) -> None:
        cast = [asyncio.create_task(actor) for actor in actors.cast(self)]
        await asyncio.sleep(self.rates.until)
        self.is_calm = True
        self.tell("all is calm")
        await asyncio.gather(*cast)
        ends = self.now + CALM
        while self.now < ends and not self.judge.is_settled():  # noqa: ASYNC110 - what is kept tells nobody
            await asyncio.sleep(0.5)

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
        if kind == "statement" and name in TOUCHING:
            self._touched = True

    def _unexpected(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None:
            self.surprises.append(repr(error))


def _has_work(loop: VirtualLoop, timer: float | None, now: float) -> bool:
    ready = loop._ready  # type: ignore[attr-defined]  # noqa: SLF001 - as long as it has anything, it is not idle
    return bool(ready) or (timer is not None and timer <= now + 1e-9)
