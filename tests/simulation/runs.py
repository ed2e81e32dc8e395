"""Many schedules at once: seeds shared out over processes, counts added up."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.simulation.faults import FAULTS, RARE
from tests.simulation.schedule import run

CHUNK = 50
"""Schedules that a process is given at a time: a fraction of a second's work."""


@dataclass
class Tally:
    """What a number of schedules came to; `violations` by seed."""

    schedules: int = 0
    asked: int = 0
    accepted: int = 0
    final: int = 0
    turns: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    violations: dict[int, list[str]] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Add what others came to."""
        self.schedules += other.schedules
        self.asked += other.asked
        self.accepted += other.accepted
        self.final += other.final
        self.turns += other.turns
        self.counts += other.counts
        self.violations |= other.violations

    def missing(self) -> list[str]:
        """The faults and rare states that never came: with any of them the run was too kind."""
        return [name for name in (*FAULTS, *RARE) if not self.counts[name]]


def tally(seeds: range, mutant: str = "") -> Tally:
    """Run these schedules here."""
    came_to = Tally()
    for seed in seeds:
        outcome = run(seed, mutant)
        came_to.schedules += 1
        came_to.asked += outcome.asked
        came_to.accepted += outcome.accepted
        came_to.final += outcome.final
        came_to.turns += outcome.turns
        came_to.counts += outcome.counts
        if outcome.violations:
            came_to.violations[seed] = outcome.violations
    return came_to


def _share(given: tuple[range, str]) -> Tally:
    return tally(*given)


def shared_out(seeds: range, jobs: int, mutant: str = "") -> Iterator[Tally]:
    """Run these schedules in `jobs` processes; the tally so far, again and again, and at last the whole."""
    chunks = [(seeds[at : at + CHUNK], mutant) for at in range(0, len(seeds), CHUNK)]
    whole = Tally()
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for part in pool.imap_unordered(_share, chunks):
            whole.add(part)
            yield whole
