"""The plan of a run, drawn from its seed before it starts: what the prize service does wrong, who is killed when."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

Shares = dict[str, dict[str, float]]

CONFLICTS_WANTED = 8.0
"""Contradictions planned per second: above a hundred in a minute, also where a quarter of the rate is reached."""

REFUSED = 0.06
"""The share of prizes that are refused."""

SECONDS_BETWEEN_KILLS = 9.0
"""At most, for each service; a short run has two kills of each all the same."""

CALM_SECONDS = 1.0
"""No kill before this and none so near to the end that the restart would fall outside."""


class Kill(NamedTuple):
    """A kill -9 at this second of the run, and for how long the service then stays away."""

    at: float
    service: str
    away: float


def kills(seed: int, seconds: float) -> list[Kill]:
    """When each service is killed, earliest first."""
    chance = Random(f"kills {seed}")
    count = max(2, 1 + int(seconds / SECONDS_BETWEEN_KILLS))
    slot = max(seconds - 2 * CALM_SECONDS, 0.0) / count
    plan = [
        Kill(CALM_SECONDS + slot * (n + 0.6 * chance.random()), service, chance.uniform(0.1, 0.8))
        for service in ("mall", "prizes")
        for n in range(count)
    ]
    return sorted(plan)


def honest(rate: float) -> Shares:
    """The same by a service that says of no prize what is not true."""
    return {**misbehaviour(rate), "result": {"refused": REFUSED}}


def misbehaviour(rate: float) -> Shares:
    """What share of all keys the prize service treats how, at this many requests a second."""
    conflicts = min(CONFLICTS_WANTED / max(rate, 0.1), 0.3)
    return {
        "result": {
            "refused": REFUSED,
            "failed_then_succeeded": 0.45 * conflicts,
            "succeeded_then_failed": 0.45 * conflicts,
            "mislabelled": 0.1 * conflicts,
        },
        "answer": {
            "slow": 0.03,
            "tardy": 0.02,
            "error": 0.05,
            "silent": 0.05,
            "lost": 0.03,
            "garbage": 0.03,
            "pending": 0.05,
        },
        "query": {"slow": 0.05, "error": 0.1, "silent": 0.05, "garbage": 0.05, "hidden": 0.2},
        "callback": {"once": 0.25, "twice": 0.1, "late": 0.1, "reordered": 0.1},
    }
