"""The plan of a run, drawn from its seed before it starts: which supplier fails when, and how."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

SHARES = {
    "outage": 1.0,
    "error": 0.5,
    "throttle": 0.3,
    "slow": 0.3,
    "partial": 0.5,
    "garbage": 0.5,
    "empty": 0.5,
}
"""Kinds of episodes, and what share of the answers goes wrong in one."""

LONG_KINDS = ("drop", "cut")
"""Faults of catalogues, each of one supplier and all the time: a short episode would fall between two readings."""

EPISODE_SECONDS = 15.0
"""At most, with the calm after it."""

LEAST_EPISODES = 3
CALM_SHARE = 0.5
"""Of the time of each supplier nothing goes wrong."""


class Episode(NamedTuple):
    """From one second to another, a share of a supplier's answers goes wrong in one way."""

    supplier: str
    kind: str
    begin: float
    end: float
    share: float


def episodes(seed: int, suppliers: Sequence[str], seconds: float) -> list[Episode]:
    """What goes wrong while people come."""
    chance = Random(f"episodes {seed}")
    count = max(LEAST_EPISODES, int(seconds / EPISODE_SECONDS))
    slot = seconds / count
    found = [Episode(name, kind, 0.0, seconds, 1.0) for name, kind in zip(suppliers, LONG_KINDS, strict=False)]
    kinds: list[str] = []
    for name in suppliers:
        for at in range(count):
            kinds = kinds or chance.sample(list(SHARES), len(SHARES))
            kind, begin = kinds.pop(), slot * (at + CALM_SHARE * chance.random())
            found.append(Episode(name, kind, begin, begin + slot * (1 - CALM_SHARE), SHARES[kind]))
    return found
