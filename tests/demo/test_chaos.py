"""The plan of a run is drawn from its seed and is hard enough."""

from __future__ import annotations

import itertools

import pytest

from tieout import ConfigError
from tieout.demo.points import chaos, run


@pytest.mark.parametrize(("seconds", "least"), [(10, 2), (15, 2), (30, 4), (60, 5)])
def test_each_service_is_killed_often_enough(seconds, least):
    """Kills of one service leave time to come back between them, and none falls near the end."""
    for seed in range(50):
        plan = chaos.kills(seed, seconds)
        assert plan == chaos.kills(seed, seconds) != chaos.kills(seed + 1, seconds)
        for service in ("mall", "prizes"):
            mine = [kill for kill in plan if kill.service == service]
            assert len(mine) >= least
            assert all(later.at - kill.at - kill.away > 0.5 for kill, later in itertools.pairwise(mine))
            assert mine[0].at >= 1 and mine[-1].at < seconds - 1


@pytest.mark.parametrize("rate", [1, 10, 150, 2_000])
def test_enough_contradictions_are_planted(rate):
    """More than a hundred a minute wherever that is possible, on a slow machine too, and no share runs over."""
    shares = chaos.misbehaviour(rate)
    conflicts = sum(shares["result"].values()) - shares["result"]["refused"]
    reached = rate / 4
    assert 60 * reached * conflicts > min(100, 60 * reached * 0.2)
    assert all(0 < sum(parts.values()) < 1 for parts in shares.values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": 1},
        {"seconds": float("nan")},
        {"rate": 0},
        {"users": 1},
        {"db": "mysql://u@localhost/x"},
        {"db": "postgresql://u@127.0.0.1:1/x"},
    ],
)
def test_options_that_make_no_sense(wrong):
    """A number out of bounds, or a database that is not there, is a `ConfigError` before anything starts."""
    with pytest.raises(ConfigError):
        run(**wrong)
