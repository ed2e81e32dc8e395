"""Schedules by their seeds: one, and what many of them came to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.mirror_simulation.faults import FAULTS, RARE
from tests.mirror_simulation.mutants import mutated
from tests.mirror_simulation.world import World
from tests.prove.schedules import Schedules


@dataclass
class Tally(Schedules):
    """What a number of schedules came to; `violations` by seed."""

    WANTED = (*FAULTS, *RARE)

    queries: int = 0
    looks: int = 0

    def numbers(self) -> Mapping[str, int]:
        return {"queries": self.queries, "looks at the copy": self.looks}


def run(seed: int, mutant: str = "", trace: Callable[[str], None] | None = None) -> Tally:
    """Play one schedule, with the engine as it is or with one that was made wrong on purpose, and judge it."""
    logging.getLogger("tieout").disabled = True
    logging.disable(logging.CRITICAL)
    with mutated(mutant) as change:
        world = World(seed, change, trace)
        found = world.judged()
    violations = {seed: found} if found else {}
    return Tally(1, world.counts, violations, len(world.supplier.queries), world.judge.looks)
