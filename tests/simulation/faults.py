"""Which faults a schedule has, how often, and the names under which what happened is counted."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tests.simulation.scheduler import SECOND

FAULTS = (
    *("crash of a node", "pause of a node", "pause beyond a lease", "transaction refused", "connection cut"),
    *("commit unknown, done", "commit unknown, not done", "commit unknown, done later", "database down", "failover"),
    *("clock of the server jumped", "transaction cut while its node stood still", "deadlock"),
    *("not sent", "request lost", "answer lost", "request late", "answer late", "error after acting"),
    *("error before acting", "garbage", "answer that fits no type", "absurd retry-after", "downstream down"),
    *("answer pending", "not found though done", "downstream forgot"),
    *("push lost", "push twice", "push late", "push before the answer", "forged report", "early report"),
    *("lie: other kind", "lie: other identity", "lie: other echo", "lie told first"),
    *("double start", "retry after a lost answer", "replay", "changed params", "shop closed", "step raised"),
    *("operator held", "operator resumed", "operator hurried", "operator asked", "operator settled"),
    *("operator cancelled", "retired", "node with older code", "sent away to newer code"),
)
"""Every fault; one that never came means that the run was too kind."""

RARE = (
    *("blocked writer", "claim passed over a locked row", "lost compare-and-set", "start found its id taken"),
    *("refused", "refused a changed retry", "key retired", "started again and found it", "breaker opened"),
    *("conflict before the final", "conflict after the final", "duplicate report", "late answer moved it"),
    *("claim kept while held", "claim kept when its step raised", "kept claim applied later", "stray report"),
    *("sent again after not found", "sent again without a query", "held: sent-once", "held: key-expired"),
    *("held: conflict", "held: operator", "taken over from a node that stood still", "taken over from a dead node"),
    *("moved on by immediate", "moved on by query", "moved on by push", "moved on by sweep", "second call opened"),
    *("one of two calls closed", "moved on by a timer", "moved on by children", "cancelled", "child refused"),
    *("settled by two", "final by an operator", "alarm: deadline", "alarm: step-failing", "alarm: unfit-answer"),
    *("alarm: unknown-call", "alarm: unconfirmed", "report of a retired one"),
)
"""Every state that is reached seldom and must be reached."""


CROWDS = 0.004
"""How often there are many requests and a downstream that is away for long, so that a breaker opens."""


@dataclass(slots=True)
class Rates:
    """The faults of one schedule: chances from 0 to 1 unless said otherwise, times in microseconds."""

    switch: float
    slow: float
    crash: float
    pause: float
    refuse: float
    cut: float
    lost_commit: float
    outages: int
    jumps: bool
    not_sent: float
    lost_request: float
    lost_answer: float
    late_request: float
    late_answer: float
    error: float
    garbage: float
    absurd_after: float
    downstream_outage: int
    fails: float
    pending: float
    lag: int
    push: float
    push_twice: float
    push_late: float
    push_lost: float
    lies: float
    forged: int
    doubles: float
    replays: float
    changes: float
    closes: bool
    stumbles: float
    operates: int
    retires: bool
    old_code: float
    nodes: int
    requests: int
    until: int


def draw(chance: Random) -> Rates:
    """The faults of a schedule: each one is absent from many schedules and frequent in some."""

    def some(often: float, most: float) -> float:
        return most * chance.random() ** 2 if chance.random() < often else 0.0

    def flag(often: float) -> bool:
        return chance.random() < often

    crowded = chance.random() < CROWDS
    return Rates(
        switch=0.2 + 0.8 * chance.random(),
        slow=some(0.5, 0.2),
        crash=some(0.5, 0.03),
        pause=some(0.4, 0.03),
        refuse=some(0.4, 0.08),
        cut=some(0.4, 0.06),
        lost_commit=some(0.4, 0.4),
        outages=chance.choice((0, 0, 0, 1, 1, 2)),
        jumps=flag(0.5),
        not_sent=some(0.4, 0.4),
        lost_request=some(0.5, 0.5),
        lost_answer=some(0.5, 0.5),
        late_request=some(0.4, 0.4),
        late_answer=some(0.4, 0.4),
        error=some(0.5, 0.4),
        garbage=some(0.3, 0.3),
        absurd_after=some(0.1, 0.2),
        downstream_outage=(150 if crowded else chance.choice((0, 0, 0, 0, 10, 30, 75))) * SECOND,
        fails=0.1 + 0.4 * chance.random(),
        pending=some(0.4, 0.8),
        lag=chance.choice((0, 0, 2, 6, 9)) * SECOND,
        push=some(0.7, 1.0),
        push_twice=some(0.5, 0.8),
        push_late=some(0.5, 0.8),
        push_lost=some(0.4, 0.5),
        lies=some(0.3, 0.9),
        forged=chance.choice((0, 0, 0, 1, 2)),
        doubles=some(0.4, 0.8),
        replays=some(0.5, 0.8),
        changes=some(0.3, 0.8),
        closes=flag(0.2),
        stumbles=some(0.3, 0.9),
        operates=chance.choice((0, 0, 0, 1, 2, 3)),
        retires=flag(0.15),
        old_code=0.0 if crowded else some(0.15, 0.9),
        nodes=1 if crowded else chance.choice((1, 2, 2, 3)),
        requests=12 if crowded else chance.choice((1, 1, 2, 3)),
        until=160 * SECOND if crowded else chance.randrange(20, 100) * SECOND,
    )
