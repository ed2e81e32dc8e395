"""One schedule: the supplier, its nodes and everybody who uses them, in one virtual time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from random import Random
from typing import Any

from tests.mirror_simulation import actors
from tests.mirror_simulation.faults import Rates, draw
from tests.mirror_simulation.judge import Judge
from tests.mirror_simulation.node import Node
from tests.mirror_simulation.supplier import Supplier
from tests.mirror_simulation.truth import MICROS, Truth
from tests.prove.virtual_world import Trace, VirtualWorld
from tieout.testing.virtual import EPOCH

NOON, BEFORE_MIDNIGHT = 12 * 3_600.0, 24 * 3_600.0 - 30.0
"""When schedules begin: in seconds after a midnight."""

JITTER_SHARE, LONGEST_JITTER = 0.1, 0.75
"""By how much queries may come late, as it is promised: a share of the window, and in seconds at most."""

CALM = 120.0
"""Seconds after the last fault in which a copy has to become what the supplier says."""

DAY = 86_400 * MICROS

Change = Callable[[Node], None]


class World(VirtualWorld[Node]):
    """The parts of one schedule."""

    judge: Judge

    LOOKED_AT = frozenset(
        {
            *("write_cells", "write_checks", "add_suspect", "clear_suspect", "add_doubt", "clear_doubt", "add_item"),
            *("bring_item", "remove_item", "remove_group"),
        }
    )
    ENDS = 10 * CALM

    def __init__(self, seed: int, change: Change, trace: Trace | None) -> None:
        chance = Random(seed)
        self.rates: Rates = draw(chance)
        self.change = change
        self.jitter = min(LONGEST_JITTER, JITTER_SHARE * self.rates.window)
        begins = BEFORE_MIDNIGHT if self.rates.midnight else NOON
        super().__init__(chance, begins, self.rates.until, trace)
        self.truth = Truth((EPOCH + round(begins * MICROS)) // DAY)
        self.supplier = Supplier(self)
        self.judge = Judge(self)
        self.leader = ""
        for _ in range(self.rates.nodes):
            self.add_node()

    def node(self, name: str) -> Node:
        return Node(self, name)

    def cast(self) -> Iterable[Coroutine[Any, Any, Any]]:
        return actors.cast(self)

    async def settle(self) -> None:
        await actors.settle(self)

    def crash(self, node: Node) -> None:
        """Let nothing of a node run any more; what it had asked for is given up."""
        super().crash(node)
        for query in self.supplier.queries:
            if query.node == node.name:
                query.ended = min(query.ended, max(query.came, self.now))

    def leads(self, node: Node) -> None:
        """A node has taken a lease."""
        if self.leader and self.leader != node.name:
            old = [one for one in self.nodes if one.name == self.leader]
            self.note("taken over from one that stood" if old and old[0].frozen_until > self.now else "taken over")
        self.leader = node.name
