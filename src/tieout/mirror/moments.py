"""The server's time on this machine: between which two moments something certainly happened."""

from __future__ import annotations

from tieout.contracts import Clock

DRIFT = 1e-4
"""By how much two clocks may run apart, as a share of the time gone by: a second in three hours."""


class Moments:
    """Bounds of the database server's time, from the last time that it was read."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._server = 0
        self._before = self._after = clock.monotonic()

    def begin(self) -> float:
        """Call this before the server's time is read, and give it to `learn`."""
        return self._clock.monotonic()

    def learn(self, server: int, begun: float) -> None:
        """The server's time was `server`, in microseconds, at some moment since `begun`."""
        self._server, self._before, self._after = server, begun, self._clock.monotonic()

    def earliest(self) -> int:
        """The server's time now, at the least."""
        gone = max(0.0, self._clock.monotonic() - self._after)
        return self._server + int(gone * (1 - DRIFT) * 1_000_000)

    def latest(self) -> int:
        """The server's time now, at the most."""
        gone = max(0.0, self._clock.monotonic() - self._before)
        return self._server + int(gone * (1 + DRIFT) * 1_000_000) + 1
