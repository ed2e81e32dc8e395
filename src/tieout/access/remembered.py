"""What was looked up a moment ago, so that not every request of one caller reads the database."""

from __future__ import annotations

from typing import Generic, TypeVar

from tieout.contracts import Clock

T = TypeVar("T")

SECONDS = 2.0
"""How long a look-up is believed: as long may what was revoked or ended still be let in, on another node."""

ROOM = 10_000
"""Look-ups kept at a time; beyond that all are made anew."""


class Remembered(Generic[T]):
    """Look-ups of one node, by what was looked up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[bytes, tuple[float, T]] = {}

    def get(self, key: bytes) -> tuple[T] | None:
        """What was found not long ago, in a tuple; None when it has to be looked up."""
        known = self._known.get(key)
        if known is None or self._clock.monotonic() - known[0] >= SECONDS:
            return None
        return (known[1],)

    def keep(self, key: bytes, found: T) -> None:
        """Remember what was found just now."""
        if len(self._known) >= ROOM:
            self._known.clear()
        self._known[key] = (self._clock.monotonic(), found)

    def forget(self, key: bytes) -> None:
        """Have it looked up again."""
        self._known.pop(key, None)
