"""Token buckets: how often something may be done, with room for a burst."""

from __future__ import annotations

from collections import OrderedDict


class Buckets:
    """A bucket for each name: `rate` in a second on average, `burst` at once. Time is the caller's, in seconds.

    It does not go back: who comes with an earlier time than somebody before comes at the same time.
    The names that were used last are remembered, `names` of them; one that was forgotten begins with a full bucket.
    """

    def __init__(self, rate: float, burst: float, names: int = 10_000) -> None:
        self.rate = rate
        self.burst = burst
        self.names = names
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, now: float) -> float:
        """Take one: 0.0 when there was one, else the seconds until there is one."""
        left, since = self._left.pop(name, (self.burst, now))
        now = max(now, since)
        left = min(self.burst, left + (now - since) * self.rate)
        wait = 0.0 if left >= 1 else (1 - left) / self.rate
        self._left[name] = (left if wait else left - 1, now)
        if len(self._left) > self.names:
            self._left.popitem(last=False)
        return wait
