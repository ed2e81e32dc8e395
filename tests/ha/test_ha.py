"""A primary that dies or freezes under load: what was accepted is done once, and the old primary is refused."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.ha.business import fill
from tests.ha.failover import CLIENTS, LOST, Plan, fail_over
from tests.ha.outage import ENOUGH, LIMIT, Outage, percentile, too_long, waited
from tests.ha.pairs import PAIRS
from tests.ha.prove import Size, rounds


@pytest.fixture(scope="module", params=[*PAIRS])
def pairs(request):
    """What makes pairs of one database."""
    made = PAIRS[request.param](lambda url: asyncio.run(fill(url)))
    yield made
    made.remove()


@pytest.mark.parametrize("plan", [Plan("kill", "threads"), Plan("thaw", "loop")])
def test_a_failover_loses_and_doubles_nothing(pairs, plan):
    """Every accepted request is deducted, issued and completed once; a thawed primary accepts nothing."""
    done = fail_over(pairs, plan)
    assert done.violations == []
    assert len(done.accepted) > 60
    assert len(done.outage.clients) == CLIENTS
    if plan.fault == "thaw":
        assert done.counts["reads refused as stale"]
        assert done.counts["writes refused as stale"]


@pytest.mark.parametrize("colour", ["loop", "threads"])
def test_what_an_asynchronous_failover_lost_is_reported(pairs, colour):
    """An alarm names every accepted request that the new primary lacks, and no other; repeated, each is done once."""
    done = fail_over(pairs, Plan("lag", colour))
    assert done.violations == []
    assert done.counts["accepted, lost and reported"] >= LOST * CLIENTS / 2


def test_an_outage_ends_with_the_longest_wait_after_the_fault():
    """An answer that was under way when the primary died does not count as the new one's."""
    assert waited(10.0, [9.0, 9.5, 10.01, 12.0, 12.1]) == 2.0
    assert waited(10.0, [9.9, 11.0, 11.2]) == 1.0


def test_one_client_in_a_hundred_may_wait_longer():
    """The 99th percentile is judged, of enough clients; detection is spared them."""
    quick, late = Outage(2.0, (2.0 + LIMIT,) * ENOUGH), Outage(2.0, (2.1 + LIMIT,))
    assert too_long([quick, late]) is None
    assert "2 of 102 clients" in too_long([quick, late, late])
    assert too_long([late]) is None
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0


def test_both_colours_meet_both_faults():
    """Half of the kills and half of the thaws are met by the blocking drivers."""
    planned = Counter((plan.fault, plan.colour) for plan in rounds(Size(4, 2, 0)))
    assert planned == {("kill", "loop"): 2, ("kill", "threads"): 2, ("thaw", "loop"): 1, ("thaw", "threads"): 1}
