"""A node whose clock is an hour wrong, and jumps: leases and settle times are the server's."""

from __future__ import annotations

import pytest

from tests.clock.skew import REACHED, SERVERS, run

REQUESTS = 24


@pytest.mark.parametrize("server", SERVERS)
async def test_a_wrong_clock_harms_nothing(server):
    """Nothing that is at work is taken over, nothing is sent too early or twice, and everything ends."""
    with SERVERS[server]() as url:
        outcome = await run(url, 0, REQUESTS)
    assert outcome.violations == []
    assert [name for name in REACHED if not outcome.counts[name]] == []


async def test_nodes_that_read_their_own_clocks_are_noticed():
    """The same run with an engine that trusts the clock of its machine."""
    with SERVERS["postgres"]() as url:
        outcome = await run(url, 0, REQUESTS // 2, wrong=True)
    assert outcome.violations
