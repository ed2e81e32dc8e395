"""Kills at every point of a story, and at every point of what comes after: what came of it, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from random import Random

from tests.kill import auditor
from tests.kill.auditor import Effect, Evidence, Note, Sent
from tests.kill.business import POINTS
from tests.kill.ground import Ground
from tests.kill.lives import Life, Work, live
from tests.kill.node import Places
from tests.kill.stories import Story, recover

TRIES = 5
"""Plays of one kill, until a life comes as far as the one did whose points were counted."""

HOURS = 7
"""Recoveries, an hour apart, after which everything must have come to an end."""


REQUIRED = (
    *("insert_process", "save_process", "claim_processes", "read_process", "postpone_process", "hasten_process"),
    *("recall", "keep_recall", "add_child", "child_started", "fold_children", "forget_children", "COMMIT"),
    *("look-up of prize", "call to prizes", "call to pigeons", "call to givebacks", "query", "the client is told"),
    *("the operator is told", "the user's COMMIT"),
)
"""Points of which the stories have to come past at least one, before or after it: else they have become too kind."""

ACT, RECOVERY = "act", "recovery"


@dataclass
class Tally:
    """What kills have come to. Of each life, the names of the points that it came past, and was killed at."""

    counts: Counter[str] = field(default_factory=Counter)
    passed: set[tuple[str, str]] = field(default_factory=set)
    killed: set[tuple[str, str]] = field(default_factory=set)
    never: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.counts += other.counts
        self.passed |= other.passed
        self.killed |= other.killed
        self.never += other.never
        self.violations += other.violations

    def missing(self, *parts: str) -> list[str]:
        """What was not reached: plays that went otherwise, points that nobody was killed at, required ones."""
        spared = [f"{name} ({part})" for part, name in sorted(self.passed - self.killed) if part in parts]
        met = {name.partition(" ")[2] for _, name in self.passed}
        return [*self.never, *spared, *(f"{name} (any)" for name in REQUIRED if name not in met)]


class Theatre:
    """One ground on which one story is played at a time."""

    def __init__(self, ground: Ground, places: Places) -> None:
        self.ground = ground
        self.places = places

    def play(self, story: Story, first: int | None = None, second: int | None = None) -> tuple[Tally, list[Life]]:
        """Play it once: killed at its `first` point, its recovery at its `second`; then recover to the end and audit.

        Without a point, a life goes on to its end.
        """
        self.ground.empty()
        self.places.clear()
        began = 2 if story.later else 0
        if story.prepare is not None:
            self._live(story.prepare, 0)
        lives = [self._live(story.act, began, first)]
        recovery = partial(recover, story=story)
        lives.append(self._live(recovery, began + 1, second))
        is_whole = second is None
        for hour in range(began + 2, began + HOURS):
            if is_whole and not self._unfinished():
                break
            lives.append(self._live(recovery, hour))
            is_whole = True
        return self._judged(story, lives, first, second), lives

    def _live(self, work: Work, hours: int, deadly: int | None = None) -> Life:
        return live(self.ground.url, self.places, work, hours=hours, deadly=deadly)

    def _unfinished(self) -> bool:
        return bool(self.ground.rows("SELECT 1 FROM tieout_process WHERE status = 'running'"))

    def _judged(self, story: Story, lives: list[Life], first: int | None, second: int | None) -> Tally:
        where = f"{self.ground.dialect}, {story.name}, killed at {first} {lives[0].killed_at}"
        where += f" and {second} {lives[1].killed_at}" if second else ""
        tally = Tally()
        tally.passed = {
            (part, name) for part, life in zip((ACT, RECOVERY), lives, strict=False) for name in life.passed
        }
        wanted = [(life, part) for life, part, n in zip(lives, (ACT, RECOVERY), (first, second), strict=False) if n]
        for life, part in wanted:
            if life.killed_at is None:
                tally.never.append(f"{where}: {part} did not come so far")
            else:
                tally.killed.add((part, life.killed_at))
        tally.counts["kills"] += sum(life.killed_at is not None for life, _ in wanted)
        tally.counts["pairs" if first and second else "singles" if first or second else "whole"] += 1
        tally.counts["lives"] += len(lives)
        tally.violations += [f"{where}: {life.error}" for life in lives if life.error]
        tally.violations += [f"{where}: {what}" for what in auditor.violations(self.evidence())]
        return tally

    def evidence(self) -> Evidence:
        rows = self.ground.rows
        states = {bytes(process).hex(): state for process, state in rows("SELECT id, status FROM tieout_process")}
        downstream = self.places.downstream
        return Evidence(
            POINTS,
            rows("SELECT points FROM account")[0][0],
            [Note(*row) for row in rows("SELECT request, process, what, points, code FROM note")],
            [Sent(*row[1:]) for row in downstream.rows("sent")],
            [Effect(*row[1:]) for row in downstream.rows("effect")],
            self.places.logged(),
            states,
            [row[0] for row in rows("SELECT kind FROM tieout_alarm")],
        )


@dataclass(frozen=True)
class Share:
    """How much of a story is tried: so many of its points, and so many of those of each recovery; None: all.

    Of `parts` shares that are tried beside each other, this is number `part`.
    """

    singles: int | None = None
    pairs: int | None = None
    seed: int = 0
    part: int = 0
    parts: int = 1

    def of(self, points: int, most: int | None, *what: object) -> list[int]:
        """The points to try of so many; the same ones for the same seed."""
        every = range(1, points + 1)
        if most is None or most >= points:
            return [*every]
        return sorted(Random(f"{self.seed} {what}").sample(every, most))


def tallies(theatre: Theatre, story: Story, share: Share) -> Iterator[Tally]:
    """What each play of a story comes to: whole, killed at each point of what comes after, at each, at each pair."""
    tally, lives = theatre.play(story)
    if share.part == 0:
        tally.counts[f"points: {story.name}"] += len(lives[0].passed)
        yield tally
        for second in share.of(len(lives[1].passed), share.pairs, story.name, theatre.ground.dialect):
            yield killed(theatre, story, None, second)[0]
    firsts = share.of(len(lives[0].passed), share.singles, story.name, theatre.ground.dialect)
    for first in firsts[share.part :: share.parts]:
        tally, lives = killed(theatre, story, first)
        yield tally
        recovering = len(lives[1].passed)
        for second in share.of(recovering, share.pairs, story.name, theatre.ground.dialect, first):
            yield killed(theatre, story, first, second)[0]


def killed(theatre: Theatre, story: Story, first: int | None, second: int | None = None) -> tuple[Tally, list[Life]]:
    """What kills at these points come to, and the last lives.

    A life may take a look more or less than the one did whose points were counted: it is given more tries.
    """
    tally, never, lives = Tally(), [], []
    for _ in range(TRIES):
        last, lives = theatre.play(story, first, second)
        never, last.never = last.never, []
        tally.add(last)
        if not never:
            break
    tally.never += never
    return tally, lives
