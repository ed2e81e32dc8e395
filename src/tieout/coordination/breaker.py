"""Circuit breakers: which lanes may be worked on now, and how much of each.

A breaker counts failures in a row. It opens after `THRESHOLD` of them and lets one try through when its pause is over:
a failure doubles the pause, an answer closes it, and from then on the lane's share doubles with every answer. Time is
an argument, so nothing here waits.
"""

from __future__ import annotations

from threading import Lock
from typing import Literal, TypeAlias

import msgspec

THRESHOLD = 20
"""Failures in a row that open a breaker."""

FIRST_PAUSE = 0.5
"""Seconds that a breaker stays open the first time; doubled on each failed trial."""

LONGEST_PAUSE = 5.0
"""Longest pause, in seconds: how late a worker may notice that a downstream is back. A trial is one request."""


FULL = 64
"""Allowance from which on a lane is no longer held back."""


Turn: TypeAlias = Literal["opened", "closed"]
"""What one answer or failure may do to a breaker."""


class Breaker(msgspec.Struct):
    """The breaker of one lane: closed, open until its pause is over, or on trial until the first answer."""

    failures: int = 0
    pause: float = 0.0
    open_until: float = 0.0
    allowance: int = FULL

    def share(self, now: float, full: int) -> int:
        """How many processes of the lane may be worked on now: none, a growing number, or `full`."""
        if now < self.open_until:
            return 0
        return full if self.allowance >= FULL else min(self.allowance, full)

    def succeeded(self) -> Turn | None:
        """The downstream answered, whatever it said: a trial is passed, and the allowance grows."""
        was_open = self.pause > 0.0
        self.failures = 0
        self.pause = 0.0
        self.allowance = min(2 * self.allowance, FULL)
        return "closed" if was_open else None

    def failed(self, now: float) -> Turn | None:
        """The downstream did not answer, or made no sense."""
        self.failures += 1
        on_trial = self.pause > 0.0 and now >= self.open_until
        if not (on_trial or self.failures == THRESHOLD):
            return None
        self.pause = min(max(FIRST_PAUSE, 2 * self.pause), LONGEST_PAUSE)
        self.open_until = now + self.pause
        self.allowance = 1
        return "opened"


class Breakers:
    """One breaker for each lane, known to this worker alone: every worker finds out for itself."""

    def __init__(self) -> None:
        self._lanes: dict[str, Breaker] = {}
        self._lock = Lock()

    def share(self, lane: str, now: float, full: int) -> int:
        """How many processes of `lane` may be worked on now."""
        breaker = self._lanes.get(lane)
        return full if breaker is None else breaker.share(now, full)

    def is_open(self, lane: str, now: float) -> bool:
        """Whether nothing may be sent to `lane` now."""
        return self.share(lane, now, 1) == 0

    def record(self, lane: str, now: float, *, answered: bool) -> Turn | None:
        """Count one answer or failure of `lane`; tell when that has opened its breaker, again or anew, or closed it."""
        with self._lock:
            breaker = self._lanes.get(lane)
            if breaker is None:
                if answered:
                    return None
                breaker = self._lanes.setdefault(lane, Breaker())
            return breaker.succeeded() if answered else breaker.failed(now)
