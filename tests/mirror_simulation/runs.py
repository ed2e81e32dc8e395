"""Schedules by their seeds: one, or many shared out over processes."""

from __future__ import annotations

import logging
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.mirror_simulation.faults import FAULTS, RARE
from tests.mirror_simulation.mutants import mutated
from tests.mirror_simulation.world import World

CHUNK = 5
"""Schedules that a process is given at a time: some seconds' work."""


@dataclass
class Tally:
    """What a number of schedules came to; `violations` by seed."""

    schedules: int = 0
    queries: int = 0
    looks: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    violations: dict[int, list[str]] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Add what others came to."""
        self.schedules += other.schedules
        self.queries += other.queries
        self.looks += other.looks
        self.counts += other.counts
        self.violations |= other.violations

    def missing(self) -> list[str]:
        """The faults and rare states that never came: with any of them the run was too kind."""
        return [name for name in (*FAULTS, *RARE) if not self.counts[name]]


def run(seed: int, mutant: str = "", trace: Callable[[str], None] | None = None) -> Tally:
    """Play one schedule, with the engine as it is or with one that was made wrong on purpose, and judge it."""
    logging.getLogger("tieout").disabled = True
    logging.disable(logging.CRITICAL)
    with mutated(mutant) as change:
        world = World(seed, change, trace)
        try:
            found = world.play()
        except Exception as error:  # noqa: BLE001 - a wrong engine may break anything; a sound one nothing
            found = [f"the schedule: {error!r}"]
        finally:
            world.close()
    tally = Tally(1, len(world.supplier.queries), world.judge.looks, world.counts)
    if found:
        tally.violations[seed] = found
    return tally


def tally(seeds: range, mutant: str = "") -> Tally:
    """Run these schedules here."""
    came_to = Tally()
    for seed in seeds:
        came_to.add(run(seed, mutant))
    return came_to


def shared_out(seeds: range, jobs: int, mutant: str = "") -> Iterator[Tally]:
    """Run these schedules in `jobs` processes; the tally so far, again and again, and at last the whole."""
    chunks = [(seeds[at : at + CHUNK], mutant) for at in range(0, len(seeds), CHUNK)]
    whole = Tally()
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for part in pool.imap_unordered(_share, chunks):
            whole.add(part)
            yield whole


def _share(given: tuple[range, str]) -> Tally:
    return tally(*given)
