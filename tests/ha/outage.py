"""How long clients waited for a failover, how much of that was detection, and whether the rest is short enough."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from tests.ha.pairs import DEADLINE

DETECTION = (
    "from the fault until both have come: the replica takes writes, as whoever promotes it was told; and, where the "
    f"primary is frozen and not killed, the {DEADLINE:g} s of `?deadline=` have passed"
)
"""What is called detection: what no client of the new primary can be spared."""

UNAVAILABLE = (
    "from the fault to the acceptance that ends the longest wait of a client after it; each client is a sample"
)

LIMIT = 1.0
"""Seconds beyond detection that 99 in 100 clients may wait at most."""

ENOUGH = 100
"""Samples of which a hundredth is one: fewer are told and not judged."""


class Outage(NamedTuple):
    """Seconds after one fault: what was detection, and how long each client waited."""

    detection: float
    clients: tuple[float, ...]

    @property
    def beyond(self) -> list[float]:
        return [waited - self.detection for waited in self.clients]


def waited(fault: float, accepted: Sequence[float]) -> float:
    """Seconds from the fault to the acceptance that ends the longest wait after it.

    The first acceptance may be an answer that the old primary had sent already; the longest wait is the outage.
    """
    moments = [fault, *(moment for moment in accepted if moment > fault)]
    _, ends = max(pairwise(moments), key=lambda pair: pair[1] - pair[0])
    return ends - fault


def told(outages: Sequence[Outage]) -> dict[str, Any]:
    """The figures of one database or one fault, in seconds."""
    return {
        "detection": spread([outage.detection for outage in outages]),
        "unavailable": spread([seconds for outage in outages for seconds in outage.clients]),
        "beyond_detection": spread([seconds for outage in outages for seconds in outage.beyond]),
    }


def too_long(outages: Sequence[Outage]) -> str | None:
    """What is wrong, when more than a hundredth of at least `ENOUGH` clients waited beyond detection and `LIMIT`."""
    beyond = sorted(seconds for outage in outages for seconds in outage.beyond)
    if len(beyond) < ENOUGH or (p99 := percentile(beyond, 0.99)) <= LIMIT:
        return None
    late = sum(seconds > LIMIT for seconds in beyond)
    return f"{late} of {len(beyond)} clients waited longer than detection + {LIMIT:g} s: p99 {p99:.2f} s"


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """The median, the 99th percentile, which of fewer than 100 is the longest, and the longest."""
    ordered = sorted(seconds)
    if not ordered:
        return {"samples": 0}
    shown = {"p50": percentile(ordered, 0.5), "p99": percentile(ordered, 0.99), "longest": ordered[-1]}
    return {"samples": len(ordered)} | {name: round(value, 3) for name, value in shown.items()}


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least of the values, in order, that at least `share` of them do not exceed."""
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]
