"""Run one schedule by its seed, with the engine as it is or with one that was made wrong on purpose."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.prove.schedules import Schedules
from tests.simulation import auditor, mutants
from tests.simulation.faults import FAULTS, RARE
from tests.simulation.simulation import Simulation


@dataclass
class Tally(Schedules):
    """What a number of schedules came to; `violations` by seed."""

    WANTED = (*FAULTS, *RARE)

    asked: int = 0
    accepted: int = 0
    final: int = 0
    turns: int = 0

    def numbers(self) -> Mapping[str, int]:
        processes = self.counts["processes"]
        said = {"asked": self.asked, "accepted": self.accepted, "final": self.final, "turns": self.turns}
        return {"processes": processes, **said}


def run(seed: int, mutant: str = "", trace: Callable[[str], None] | None = None) -> Tally:
    """Play it and audit it."""
    logging.getLogger("tieout").disabled = True
    logging.disable(logging.CRITICAL)
    change, statements = mutants.MUTANTS[mutant]
    simulation = Simulation(seed, change, statements, trace)
    evidence, found = simulation.evidence, []
    try:
        simulation.scheduler.run(simulation.play())
    except Exception as error:  # noqa: BLE001 - a wrong engine may break anything; a sound one nothing
        found.append(f"the schedule: {error!r}")
    else:
        found = auditor.violations(evidence)
    return Tally(
        1,
        simulation.counts,
        {seed: found} if found else {},
        len(evidence.asked),
        sum(asked.said == "accepted" for asked in evidence.asked),
        len(simulation.watch.ended),
        simulation.scheduler.steps,
    )
