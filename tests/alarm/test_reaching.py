"""Receivers that fail and come back are told everything, in order; and an auditor who is not fooled says so."""

from __future__ import annotations

from tests.alarm.prove import OUTAGES, SMALL_HANDOVERS, SMALL_OUTAGES, reach
from tests.alarm.reaching import STORY, audit

DELIVERIES = 1_500


def test_receivers_that_fail_and_come_back_are_told_everything_in_order():
    """Every kind of receiver, each of which refuses, cuts connections, forgets, and is gone for a while."""
    outcome = reach(DELIVERIES, seed=1, is_small=True)
    assert outcome.violations == []
    assert outcome.counts["deliveries"] == DELIVERIES
    assert outcome.counts["handovers"] == SMALL_HANDOVERS
    assert outcome.counts["outages of email"] == SMALL_OUTAGES < OUTAGES
    assert outcome.counts["webhook drop"] > 0


def test_the_auditor_of_receivers_notices():
    """What was not told, what was told out of order, and what nobody raised are named; repetitions are not."""
    whole = [("p-0", happening) for happening in STORY]
    assert audit(["p-0"], [*whole, *whole]) == []
    assert audit(["p-0"], whole[1:]) == [f"p-0 was told as {list(STORY[1:])}"]
    turned = [whole[1], whole[0], *whole[2:]]
    assert len(audit(["p-0"], turned)) == 1
    assert audit([], whole[:1]) == ["nobody raised p-0"]
