"""Schedules of two sources that are followed, in virtual time, and engines that are wrong on purpose."""

from __future__ import annotations

import os

import pytest

from tests.recon_simulation.mutants import MUTANTS
from tests.recon_simulation.prove import KIND
from tests.recon_simulation.runs import run

SEEDS = range(20, 80)
"""Of seeds in a row, sixty in which every fault and every rare state comes."""

JOBS = max(2, os.cpu_count() or 1)

RARELY = {"answered-before-all-is-taken": 86, "gap-unnoticed": 109}
"""The first seed that has caught a wrong engine before, where others were tried in vain: the search begins there."""


def test_every_schedule_ties_out(capsys):
    """Lags, repetitions, gaps, crashes in any order: every record once, no break too early, none lost, none false."""
    *_, whole = KIND.shared_out(SEEDS, JOBS)
    with capsys.disabled():
        print(f"\n{whole.schedules} schedules, {whole.looks} looks")
    assert whole.violations == {}
    assert whole.schedules == len(SEEDS)
    assert whole.missing() == []


@pytest.mark.parametrize("mutant", MUTANTS[1:])
def test_a_wrong_engine_is_caught(mutant, capsys):
    """Each guard is needed: without it some seed is violated, of those with which the engine as it is has none."""
    first = RARELY.get(mutant, 0)
    tried = KIND.first_catch(mutant, first)
    with capsys.disabled():
        print(f"\n{mutant}: caught by seed {first + tried - 1}")
    assert tried > 0


def test_a_seed_replays():
    """The same seed gives the same schedule, whatever ran before."""
    first: list[str] = []
    run(3, trace=first.append)
    run(4)
    again: list[str] = []
    run(3, trace=again.append)
    assert len(first) > 50
    assert first == again
