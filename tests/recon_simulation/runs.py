"""Schedules by their seeds: one, or many shared out over processes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from tests.prove import schedules
from tests.prove.schedules import Schedules
from tests.recon_simulation.faults import FAULTS, RARE
from tests.recon_simulation.mutants import mutated
from tests.recon_simulation.world import World

CHUNK = 5
"""Schedules that a process is given at a time: some seconds' work."""


@dataclass
class Tally(Schedules):
    """What a number of schedules came to; `violations` by seed."""

    WANTED = (*FAULTS, *RARE)

    looks: int = 0


def run(seed: int, mutant: str = "", trace: Callable[[str], None] | None = None) -> Tally:
    """Play one schedule, with the engine as it is or with one that was made wrong on purpose, and judge it."""
    logging.getLogger("tieout").disabled = True
    logging.disable(logging.CRITICAL)
    with mutated(mutant):
        world = World(seed, trace)
        try:
            found = world.play()
        except Exception as error:  # noqa: BLE001 - a wrong engine may break anything; a sound one nothing
            found = [f"the schedule: {error!r}"]
        finally:
            world.close()
    return Tally(1, world.counts, {seed: found} if found else {}, world.judge.looks)


def tally(seeds: range, mutant: str = "") -> Tally:
    """Run these schedules here."""
    came_to = Tally()
    for seed in seeds:
        came_to.add(run(seed, mutant))
    return came_to


def shared_out(seeds: range, jobs: int, mutant: str = "") -> Iterator[Tally]:
    """Run these schedules in `jobs` processes; the tally so far, again and again, and at last the whole."""
    return schedules.shared_out(partial(tally, mutant=mutant), Tally(), seeds, jobs, CHUNK)
