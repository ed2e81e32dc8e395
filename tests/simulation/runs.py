"""Many schedules at once: seeds shared out over processes, counts added up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from tests.prove import schedules
from tests.prove.schedules import Schedules
from tests.simulation.faults import FAULTS, RARE
from tests.simulation.schedule import run

CHUNK = 50
"""Schedules that a process is given at a time: a fraction of a second's work."""


@dataclass
class Tally(Schedules):
    """What a number of schedules came to; `violations` by seed."""

    WANTED = (*FAULTS, *RARE)

    asked: int = 0
    accepted: int = 0
    final: int = 0
    turns: int = 0


def tally(seeds: range, mutant: str = "") -> Tally:
    """Run these schedules here."""
    came_to = Tally()
    for seed in seeds:
        outcome = run(seed, mutant)
        violations = {seed: outcome.violations} if outcome.violations else {}
        numbers = outcome.asked, outcome.accepted, outcome.final, outcome.turns
        came_to.add(Tally(1, outcome.counts, violations, *numbers))
    return came_to


def shared_out(seeds: range, jobs: int, mutant: str = "") -> Iterator[Tally]:
    """Run these schedules in `jobs` processes; the tally so far, again and again, and at last the whole."""
    return schedules.shared_out(partial(tally, mutant=mutant), Tally(), seeds, jobs, CHUNK)
