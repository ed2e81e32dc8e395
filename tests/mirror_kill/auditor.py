"""What is wrong with a play, by what the supplier has counted and what is left in the database."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from tests.mirror_kill.nodes import SYNC

LIMIT, WINDOW = 30, 2.0
"""Queries of every kind that the supplier allows in so many seconds."""

LATE = 0.2
"""Seconds by which a query may come late without counting against its node."""

PATIENCE = 20.0
"""Seconds after the end of a lease until the next one may have been taken, on a busy machine."""

PLANNED = ("fetch", "catalogue")
"""Queries that only the node makes that leads."""


class Query(NamedTuple):
    """A query as the supplier has seen it; one whose node has died ends with it."""

    node: str
    kind: str
    begun: float
    ended: float


class Evidence(NamedTuple):
    """What a play leaves: what was noted, when the first node died, and until when its lease was (0: it had none)."""

    notes: Sequence[dict[str, Any]]
    died: float
    lease_until: int
    fence: int
    differences: Sequence[str]


def queries(evidence: Evidence) -> list[Query]:
    """All queries, in the order in which they came."""
    ended = {one["query"]: one["at"] for one in evidence.notes if one["what"] == "answered"}
    return sorted(
        (
            Query(one["node"], one["kind"], one["at"], ended.get(one["query"], max(evidence.died, one["at"])))
            for one in evidence.notes
            if one["what"] == "asked"
        ),
        key=lambda query: query.begun,
    )


def violations(evidence: Evidence) -> list[str]:
    """Everything that must not be."""
    asked = queries(evidence)
    return [*_turns(asked, evidence.fence), *_rates(asked), *_takeover(evidence), *_outcome(evidence)]


def _turns(asked: Sequence[Query], fence: int) -> list[str]:
    """Two nodes never ask for the plan at a time, and no turn begins without the lease."""
    planned = [query for query in asked if query.kind in PLANNED]
    wrong = [
        f"{one.node} and {other.node} ask at a time: {one.kind}, {other.kind}"
        for at, one in enumerate(planned)
        for other in planned[at + 1 :]
        if one.node != other.node and other.begun < one.ended
    ]
    turns = 1 + sum(one.node != other.node for one, other in pairwise(planned)) if planned else 0
    return wrong + ([f"{turns} turns under {fence} leases"] if turns > fence else [])


def _rates(asked: Sequence[Query]) -> list[str]:
    """No window holds more queries than the supplier allows, nor any few of the plan come too fast."""
    times = [query.begun for query in asked if query.kind != "catalogue"]
    wrong = [
        f"over {LIMIT} queries within {WINDOW} s"
        for one, other in zip(times, times[LIMIT:], strict=False)
        if other - one < WINDOW
    ]
    planned = [query.begun for query in asked if query.kind == "fetch"]
    for count in range(1, len(planned)):
        spans = [other - one for one, other in zip(planned, planned[count:], strict=False)]
        # One token of browsing may come among those of the plan.
        if min(spans) < (count - 1) / SYNC - LATE:
            wrong.append(f"{count + 1} queries of the plan within {min(spans):.3f} s")
    return wrong


def _takeover(evidence: Evidence) -> list[str]:
    """The other node leads when the lease is over, not before, and not long after."""
    taken = [one["server"] for one in evidence.notes if one["what"] == "leads" and one["node"] == "other"]
    if not taken:
        return []
    held = max((one["until"] for one in evidence.notes if one.get("node") == "first" and "until" in one), default=0)
    wrong = [f"the lease was taken {(held - at) / 1e6:.3f} s before it was over" for at in taken[:1] if at < held]
    late = (taken[0] - evidence.lease_until) / 1_000_000 if evidence.lease_until else 0.0
    return wrong + ([f"the lease was taken {late:.1f} s after it was over"] if late > PATIENCE else [])


def _outcome(evidence: Evidence) -> list[str]:
    """The other node has settled, and the copy is what the supplier says."""
    settled = {one["node"] for one in evidence.notes if one["what"] == "settled"}
    wrong = [] if "other" in settled else ["the other node has not settled"]
    return wrong + [f"at the end: {one}" for one in evidence.differences]
