"""Schedules by their seeds: one, and what many of them came to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.prove.schedules import Schedules
from tests.recon_simulation.faults import FAULTS, RARE
from tests.recon_simulation.mutants import mutated
from tests.recon_simulation.world import World


@dataclass
class Tally(Schedules):
    """What a number of schedules came to; `violations` by seed."""

    WANTED = (*FAULTS, *RARE)

    looks: int = 0

    def numbers(self) -> Mapping[str, int]:
        return {"looks": self.looks}


def run(seed: int, mutant: str = "", trace: Callable[[str], None] | None = None) -> Tally:
    """Play one schedule, with the engine as it is or with one that was made wrong on purpose, and judge it."""
    logging.getLogger("tieout").disabled = True
    logging.disable(logging.CRITICAL)
    with mutated(mutant):
        world = World(seed, trace)
        found = world.judged()
    return Tally(1, world.counts, {seed: found} if found else {}, world.judge.looks)
