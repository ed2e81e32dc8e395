"""Which faults a schedule has, how often, and the names under which what happened is counted."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

FAULTS = (
    *("crash of a node", "pause of a node", "pause beyond a lease", "transaction refused"),
    *("stands before a token", "stands with a token"),
    *("commit unknown, done", "commit unknown, not done", "database slow"),
    *("answer late", "answer beyond its time-out", "error", "garbage", "partial answer", "torn answer", "slow down"),
    *("catalogue failed", "catalogue that lost most", "night absent"),
    *("push late", "push twice", "push lost", "push request lost", "push answer lost", "push of no known time"),
    *("push of a time to come", "push overtaken", "garbage pushed"),
)
"""Every fault; one that never came means that the run was too kind."""

RARE = (
    *("pushed in full", "pushed a delta", "pushed some fields", "pushed thin", "duplicate push", "gap in a stream"),
    *("order answered", "order unavailable", "order differed", "browse refreshed"),
    *(
        "newer one kept back, and doubted",
        "night doubted",
        "doubt over",
        "taken over",
        "taken over from one that stood",
    ),
    *("late answer merged", "settled by plan", "settled by messages alone"),
    "as many at a time as agreed",
)
"""Every state that is reached seldom and must be reached."""


@dataclass(slots=True)
class Rates:
    """The faults of one schedule: chances from 0 to 1 unless said otherwise, times in seconds."""

    nodes: int
    until: float
    often: bool
    limit: int
    window: int
    concurrency: int
    changes: float
    bursts: float
    crash: float
    pause: float
    stand: float
    refuse: float
    lost_commit: float
    slow: float
    late: float
    too_late: float
    error: float
    garbage: float
    partial: float
    torn: float
    slow_down: float
    absent: float
    catalogue: float
    push: float
    push_late: float
    push_twice: float
    push_lost: float
    push_cut: float
    push_untimed: float
    push_garbage: float
    skew: float
    orders: float
    browses: float
    midnight: bool


def draw(chance: Random) -> Rates:
    """The faults of a schedule: each one is absent from many schedules and frequent in some."""

    def some(often: float, most: float) -> float:
        return most * chance.random() ** 2 if chance.random() < often else 0.0

    return Rates(
        nodes=chance.choice((1, 2, 2, 3)),
        until=chance.uniform(40, 100),
        often=chance.random() < 0.5,
        limit=chance.choice((10, 20, 40)),
        window=chance.choice((5, 10)),
        concurrency=chance.choice((1, 2, 4)),
        changes=chance.uniform(0.2, 2.0),
        bursts=some(0.4, 0.2),
        crash=some(0.4, 0.05),
        pause=some(0.4, 0.3),
        stand=some(0.5, 0.4),
        refuse=some(0.3, 0.05),
        lost_commit=some(0.3, 0.05),
        slow=some(0.4, 0.2),
        late=some(0.6, 0.6),
        too_late=some(0.4, 0.3),
        error=some(0.4, 0.3),
        garbage=some(0.4, 0.3),
        partial=some(0.4, 0.5),
        torn=some(0.4, 1.0),
        slow_down=some(0.2, 0.1),
        absent=some(0.4, 0.5),
        catalogue=some(0.5, 0.6),
        push=some(0.8, 1.0),
        push_late=some(0.6, 0.6),
        push_twice=some(0.4, 0.5),
        push_lost=some(0.4, 0.4),
        push_cut=some(0.4, 0.4),
        push_untimed=some(0.3, 0.4),
        push_garbage=some(0.3, 0.4),
        skew=chance.choice((0.0, 0.0, 0.05, 1.0)),
        orders=some(0.7, 0.4),
        browses=some(0.7, 0.4),
        midnight=chance.random() < 0.1,
    )
