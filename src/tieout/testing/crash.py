"""The points of a run at which a worker can die, counted, and what a test has planned for them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from tieout.testing.script import PlayFailed

KINDS = ("statement", "commit", "after-commit", "call", "after-call", "query", "after-query")
"""`statement`, `commit`, `call` and `query` are just before the n-th one; the others just after it."""

_POINT = re.compile(r"([a-z-]+):([1-9]\d{0,8})")


class Crash(BaseException):
    """The worker dies here. No user code outlives it: whatever it does next raises this again."""


class Crashed(Exception):
    """The worker died before it could answer a client who does not ask again."""


class Points:
    """Counts the points that are passed while the engine runs, and acts at those that are planned."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.counting = False
        self.dead: str | None = None
        self._planned: dict[str, Callable[[str], None]] = {}

    def plan(self, point: str, action: Callable[[str], None]) -> None:
        """Call `action` at `point`; raise `PlayFailed` when there is no such point any more."""
        match = _POINT.fullmatch(point)
        if match is None or match[1] not in KINDS:
            raise PlayFailed(f"{point!r} is no point: write for instance commit:2, one of {', '.join(KINDS)}")
        if int(match[2]) <= self.counts[match[1]]:
            raise PlayFailed(f"{point} has been passed: {match[1]} stands at {self.counts[match[1]]} already")
        self._planned[point] = action

    def reach(self, kind: str) -> None:
        """Count a point and do what is planned for it."""
        if not self.counting:
            return
        self.outlive()
        self.counts[kind] += 1
        point = f"{kind}:{self.counts[kind]}"
        action = self._planned.pop(point, None)
        if action is not None:
            action(point)

    def outlive(self) -> None:
        """Nothing goes on in a worker that is dead."""
        if self.dead:
            raise Crash(self.dead)

    def hook(self, what: str) -> None:
        """What the database tells: each statement and commit before it is done, and each commit after."""
        self.reach({"commit": "commit", "committed": "after-commit"}.get(what, "statement"))

    def passed(self) -> list[str]:
        """Every point that was passed, by kind."""
        return [f"{kind}:{n}" for kind in KINDS for n in range(1, self.counts[kind] + 1)]

    def left(self) -> list[str]:
        """The planned points that were never reached, as text."""
        return [
            f"{point} was never reached: the run had {self.counts[point.partition(':')[0]]} of this kind"
            for point in self._planned
        ]
