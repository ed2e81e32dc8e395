"""The points of a run at which a worker can die, counted, and what a test has planned for them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from tieout.testing.script import PlayFailed

KINDS = ("statement", "commit", "after-commit", "call", "after-call", "query", "after-query")
"""`statement`, `commit`, `call` and `query` are just before the n-th one; `after-commit:2` is after `commit:2`."""

_POINT = re.compile(r"([a-z-]+):([1-9]\d{0,8})")


class Crash(BaseException):
    """The worker dies here. No user code outlives it: whatever it does next raises this again."""


class Crashed(Exception):
    """The worker died before it could answer a client who does not ask again."""


class Points:
    """Counts the points that are passed while the engine runs, and acts at those that are planned."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.counting = False
        self.dead: str | None = None
        self._counts: Counter[str] = Counter()
        self._planned: dict[str, Callable[[str], None]] = {}

    def plan(self, point: str, action: Callable[[str], None]) -> None:
        """Call `action` at `point`; raise `PlayFailed` when there is no such point, or not any more."""
        match = _POINT.fullmatch(point)
        if match is None or match[1] not in KINDS:
            raise PlayFailed(f"{point!r} is no point: write for instance commit:2, one of {', '.join(KINDS)}")
        if point in self.passed:
            raise PlayFailed(f"{point} has been passed already")
        self._planned[point] = action

    def reach(self, kind: str) -> int:
        """Count a point, do what is planned for it, and return its number."""
        if self.counting:
            self.outlive()
            self._counts[kind] += 1
            self._pass(f"{kind}:{self._counts[kind]}")
        return self._counts[kind]

    def after(self, kind: str, number: int) -> None:
        """What `reach` numbered so has been done."""
        if self.counting:
            self.outlive()
            self._pass(f"after-{kind}:{number}")

    def outlive(self) -> None:
        """Raise `Crash` in a worker that is dead: nothing goes on in it."""
        if self.dead:
            raise Crash(self.dead)

    def hook(self, what: str) -> None:
        """What the database tells: each statement and commit before it is done, and each commit after."""
        if what == "committed":
            self.after("commit", self._counts["commit"])
        else:
            self.reach("commit" if what == "commit" else "statement")

    def left(self) -> list[str]:
        """The planned points that were never reached, as text."""
        return [f"{point} was never reached; the last of its kind: {self._last(point)}" for point in self._planned]

    def _last(self, point: str) -> str:
        kind = point.partition(":")[0]
        return next((other for other in reversed(self.passed) if other.startswith(f"{kind}:")), "none")

    def _pass(self, point: str) -> None:
        self.passed.append(point)
        action = self._planned.pop(point, None)
        if action is not None:
            action(point)
