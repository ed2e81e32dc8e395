"""Parts for the tests of services that use tieout, and the conformance suites of its contracts."""

from __future__ import annotations

from tieout.testing.crash import Crashed
from tieout.testing.downstream import Try
from tieout.testing.play import Play, play
from tieout.testing.script import Always, Garbage, Lost, PlayFailed, Real, Slow
from tieout.testing.virtual import finish

__all__ = [
    "Always",
    "Crashed",
    "Garbage",
    "Lost",
    "Play",
    "PlayFailed",
    "Real",
    "Slow",
    "Try",
    "finish",
    "play",
]
