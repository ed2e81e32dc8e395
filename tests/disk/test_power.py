"""A power cut at any moment: what was accepted is there, nothing is torn, and everything ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.disk.cuts import run
from tests.disk.plans import WRONG, failing, found_out, plan

CUTS, REQUESTS = 40, 40
"""Cuts and requests of each load here; `python -m tests.disk.prove` makes many more."""


@pytest.mark.parametrize("seed", [0, 4])
async def test_no_power_cut_loses_what_was_accepted(seed):
    """At many moments of a load, with the log emptied seldom and often, also while it is being emptied."""
    tally = await run(plan(seed, CUTS, REQUESTS))
    assert tally.violations == []
    for what in (
        "request accepted before the cut",
        "cut with the log unflushed",
        "cut with the database file unflushed",
    ):
        assert tally.counts[what], what


async def test_a_power_cut_after_a_failed_flush_loses_nothing():
    """A flush fails, the process dies and is started anew on what the system has in its memory; then the power goes."""
    tally = await run(replace(plan(6, CUTS // 2, REQUESTS), fault=failing(10)))
    assert tally.violations == []
    assert tally.counts["flush of the log failed"] and tally.counts["cut after a failed flush"] == CUTS // 2


async def test_a_power_cut_after_a_power_cut_loses_nothing():
    """The machine comes up, goes on with what it finds, and loses its power again."""
    tally = await run(plan(3, CUTS // 2, REQUESTS))
    assert tally.violations == []
    assert tally.counts["request accepted before the cut"]


@pytest.mark.parametrize("engine", WRONG)
async def test_an_engine_that_flushes_too_little_is_found_out(engine):
    """The disk of these tests is unkind enough to show what a wrong engine loses."""
    assert await found_out(engine, CUTS, REQUESTS)
