"""Run one schedule by its seed, with the engine as it is or with one that was made wrong on purpose."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from tests.simulation import auditor, mutants
from tests.simulation.simulation import Simulation


class Outcome(NamedTuple):
    """What became of a schedule."""

    seed: int
    violations: list[str]
    counts: Counter[str]
    turns: int
    asked: int
    accepted: int
    final: int


def run(seed: int, mutant: str = "", trace: Callable[[str], None] | None = None) -> Outcome:
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
    return Outcome(
        seed,
        found,
        simulation.counts,
        simulation.scheduler.steps,
        len(evidence.asked),
        sum(asked.said == "accepted" for asked in evidence.asked),
        len(simulation.watch.ended),
    )
