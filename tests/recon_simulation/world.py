"""One schedule: both sources, nodes that follow them and whatever befalls them, in one virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from random import Random
from typing import Any

from tests.prove.virtual_world import Trace, VirtualWorld
from tests.recon_simulation import actors
from tests.recon_simulation.faults import Rates, draw
from tests.recon_simulation.judge import Judge
from tests.recon_simulation.node import Node
from tests.recon_simulation.source import Source
from tieout.feeds import Position

NOON = 43_200.0
"""When schedules begin, in seconds after a midnight."""

CALM = 150.0
"""Seconds after the last fault in which what is told has to become what there is."""


class World(VirtualWorld[Node]):
    """The parts of one schedule."""

    judge: Judge

    LOOKED_AT = frozenset(
        {
            *("begin_facts", "write_facts", "add_facts", "drop_facts", "doubt_facts", "forget_facts", "pass_feed"),
            *("note_gap", "activate_rule", "go_live", "note_breaks", "mend_break", "raise_alarm", "reopen_alarm"),
        }
    )
    ENDS = 2 * CALM

    def __init__(self, seed: int, trace: Trace | None) -> None:
        chance = Random(seed)
        self.rates: Rates = draw(chance)
        super().__init__(chance, NOON, self.rates.until, trace)
        self.is_changed = False
        self.judge = Judge(self)
        self.sources = (Source(self, "points", 0), Source(self, "prizes", 1))
        actors.before(self)
        for _ in range(self.rates.nodes):
            self.add_node()

    def node(self, name: str) -> Node:
        return Node(self, name)

    def cast(self) -> Iterable[Coroutine[Any, Any, Any]]:
        return actors.cast(self)

    def ends(self, name: str) -> str:
        """The end of a source's log, as a position is kept."""
        source = next(one for one in self.sources if one.name == name)
        return Position(name, len(source.log)).text()

    async def settle(self) -> None:
        """Wait until nothing has to be told any more."""
        ends = self.now + CALM
        while self.now < ends and not self.judge.is_settled():  # noqa: ASYNC110 - what is kept tells nobody
            await asyncio.sleep(0.5)

    def close(self) -> None:
        """Give everything back."""
        super().close()
        for source in self.sources:
            source.close()
