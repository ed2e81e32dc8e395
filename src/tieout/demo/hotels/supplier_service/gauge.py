"""What a supplier sees of whoever asks it: how many queries in any window of time, and which overlap."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any, NamedTuple


class Limit(NamedTuple):
    """At most `queries` in any window of `seconds`."""

    queries: int
    seconds: float


class Asked(NamedTuple):
    """A query that is being answered: who asks for what. Orders may ask for the same at once, and nobody else."""

    asker: str
    what: str
    is_order: bool


class Gauge:
    """Counts the queries of one supplier."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.queries: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.highest = 0
        self.most_at_once = 0
        self.overlaps = 0
        self.units: set[str] = set()
        self._arrivals: deque[float] = deque()
        self._under_way: Counter[Asked] = Counter()

    def arrive(self, asked: Asked, now: float) -> bool:
        """Note a query at its arrival; False when it is more than is allowed."""
        self.queries[asked.asker] += 1
        self._arrivals.append(now)
        while self._arrivals[0] <= now - self.limit.seconds:
            self._arrivals.popleft()
        self.highest = max(self.highest, len(self._arrivals))
        self.overlaps += self._under_way[asked] > 0 and not asked.is_order
        self._under_way[asked] += 1
        self.most_at_once = max(self.most_at_once, self._under_way.total())
        return len(self._arrivals) <= self.limit.queries

    def leave(self, asked: Asked) -> None:
        """The query is answered, or its answer is later than was agreed: another may follow."""
        self._under_way[asked] -= 1
        if not self._under_way[asked]:
            del self._under_way[asked]

    def figures(self) -> dict[str, Any]:
        """All of it."""
        return {
            "limit": self.limit.queries,
            "window": self.limit.seconds,
            "queries": dict(self.queries),
            "answers": dict(self.answers),
            "highest": self.highest,
            "most_at_once": self.most_at_once,
            "overlaps": self.overlaps,
            "units": len(self.units),
        }
