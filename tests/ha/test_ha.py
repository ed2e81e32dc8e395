"""A primary that dies or freezes under load: what was accepted is done once, and the old primary is refused."""

from __future__ import annotations

import pytest

from tests.ha.failover import fail_over


@pytest.mark.parametrize(("dialect", "fault"), [("postgres", "kill"), ("postgres", "thaw"), ("mariadb", "thaw")])
async def test_a_failover_loses_and_doubles_nothing(dialect, fault):
    """Every accepted request is deducted, issued and completed once; a thawed primary accepts nothing."""
    done = await fail_over(dialect, fault)
    assert done.violations == []
    assert len(done.accepted) > 60
    if fault == "thaw":
        assert done.counts["reads refused as stale"]
        assert done.counts["writes refused as stale"]
