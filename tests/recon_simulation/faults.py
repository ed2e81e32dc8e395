"""Which faults a schedule has, how often, and the names under which what happened is counted."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

FAULTS = (
    *("crash of a node", "pause of a node", "pause beyond a lease", "transaction refused", "database slow"),
    *("commit unknown, done", "commit unknown, not done"),
    *("feed lags", "source away", "source deaf", "told again", "log cut", "change untold", "rule changed"),
)
"""Every fault; one that never came means that the run was too kind."""

RARE = (
    *("pair", "late", "alone", "wrong", "doubled", "value changed", "both changed", "deleted", "both deleted"),
    *("withdrawn", "key moved", "done and undone", "mended"),
    *("missing told", "orphan told", "differs told", "duplicate told", "tied", "late-tied"),
    *("taken over", "key forgotten", "gap told", "gap filled", "gap of a key told", "asked again"),
)
"""Every state that is reached seldom and must be reached."""


@dataclass(slots=True)
class Rates:
    """The faults of one schedule: chances from 0 to 1 unless said otherwise, times in seconds."""

    nodes: int
    until: float
    grace: float
    memory: float
    many: bool
    acts: float
    keys: int
    late: float
    crash: float
    pause: float
    refuse: float
    lost_commit: float
    slow: float
    lag: float
    spells: float
    away: float
    deaf: float
    again: float
    cut: float
    untold: float
    changed: float
    inexact: float
    offset: float


def draw(chance: Random) -> Rates:
    """The faults of a schedule: each one is absent from many schedules and frequent in some."""

    def some(often: float, most: float) -> float:
        return most * chance.random() ** 2 if chance.random() < often else 0.0

    return Rates(
        nodes=chance.choice((1, 1, 2)),
        until=chance.uniform(20, 40),
        grace=chance.choice((1.0, 2.0, 4.0)),
        memory=chance.choice((3.0, 8.0, 1_000.0, 1_000.0)),
        many=chance.random() < 0.3,
        acts=chance.uniform(1.0, 6.0),
        keys=chance.choice((6, 15, 60)),
        late=some(0.6, 0.4),
        crash=some(0.5, 0.15),
        pause=some(0.4, 0.3),
        refuse=some(0.3, 0.03),
        lost_commit=some(0.4, 0.05),
        slow=some(0.3, 0.05),
        lag=some(0.7, 0.5),
        spells=some(0.5, 0.15),
        away=some(0.4, 0.1),
        deaf=some(0.4, 0.1),
        again=some(0.6, 1.0),
        cut=some(0.3, 0.05),
        untold=some(0.3, 0.1),
        changed=some(0.2, 0.05),
        inexact=some(0.5, 1.0),
        offset=chance.choice((0.0, 0.0, 0.3, 5.0)),
    )
