"""Proofs by kills at the points of stories: which points are tried, what came of them, the command that tries them."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from tests.prove.telling import Told, tell


class Point(NamedTuple):
    """The n-th time of a point of some name."""

    name: str
    nth: int


@dataclass
class Kills:
    """What plays have come to: the names of the points that nodes came past, and at which they were killed."""

    REQUIRED: ClassVar[tuple[str, ...]] = ()
    """Points of which the stories have to come past at least one, before or after it: else they are too kind."""

    counts: Counter[str] = field(default_factory=Counter)
    passed: set[str] = field(default_factory=set)
    killed: set[str] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)

    def add(self, other: Kills) -> None:
        """Add what other plays of the same kind have come to."""
        self.counts += other.counts
        self.passed |= other.passed
        self.killed |= other.killed
        self.violations += other.violations

    def missing(self) -> list[str]:
        """Required points that did not come."""
        met = {name.partition(" ")[2] for name in self.passed}
        return [f"{name} (any)" for name in self.REQUIRED if name not in met]

    def more(self) -> Mapping[str, Any]:
        """What is told besides the counts."""
        return {}


@dataclass(frozen=True)
class Share:
    """How much of a story is tried: so many of its points, drawn by a seed; None: all.

    Of `parts` shares that are tried beside each other, this is number `part`.
    """

    most: int | None = None
    seed: int = 0
    part: int = 0
    parts: int = 1

    def of(self, passed: Sequence[str], occasions: int, what: str) -> list[Point]:
        """The points to try, the first so many times that each came; the same ones for the same seed and course."""
        seen: Counter[str] = Counter()
        every = []
        for name in passed:
            seen[name] += 1
            if seen[name] <= occasions:
                every.append(Point(name, seen[name]))
        if self.most is not None and self.most < len(every):
            every = sorted(Random(f"{self.seed} {what}").sample(every, self.most))
        return every[self.part :: self.parts]


Part = TypeVar("Part")
CameTo = TypeVar("CameTo")
SomeKills = TypeVar("SomeKills", bound=Kills)


def together(play: Callable[[Part], CameTo], parts: Iterable[Part], jobs: int) -> Iterator[CameTo]:
    """Play parts of the work in `jobs` processes; what each came to, as they come."""
    with multiprocessing.get_context("spawn").Pool(jobs, initializer=_hear_nothing) as pool:
        yield from pool.imap_unordered(play, parts)


def _hear_nothing() -> None:
    """A Ctrl-C is for whoever has shared out the work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


Tried = Callable[[Sequence[str], Sequence[str], Share, int, int], Iterator[tuple[Any, SomeKills]]]
"""Tries a share of stories on databases, in so many processes and parts; yields each part and what it came to."""


@dataclass(frozen=True)
class Campaign(Generic[SomeKills]):
    """One kind of proof: its stories, on which databases, and how much of them is tried.

    `parts` are the shares of the work, `beside` the processes for each core, `small` how many points of each story a
    small run tries, and `draws` what else than those the seed draws.
    """

    name: str
    about: str | None
    tried: Tried[SomeKills]
    kind: type[SomeKills]
    dialects: Sequence[str]
    stories: Sequence[str]
    parts: int
    small: int
    beside: int
    draws: str = ""

    def prove(self, arguments: Sequence[str] | None) -> int:
        """Try them, and tell what they came to; the exit status."""
        options = self.parse(arguments)
        share = Share(self.small if options.small else None, options.seed)
        began, whole, interrupted = time.monotonic(), self.kind(), False
        try:
            for part, came_to in self.tried(options.databases, options.stories, share, options.jobs, self.parts):
                whole.add(came_to)
                seconds = time.monotonic() - began
                line = f"{whole.counts['kills']} kills, {len(whole.violations)} violations, {seconds:.0f} s"
                print(f"{part}: {line}", *came_to.violations, sep="\n  ", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            interrupted = True
        return tell(self.told(whole, options, time.monotonic() - began, interrupted=interrupted))

    def parse(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """The options."""
        parser = argparse.ArgumentParser(description=self.about)
        every, beside = self.stories, self.beside * (os.cpu_count() or 1)
        parser.add_argument("--small", action="store_true", help=f"{self.small} points of each story on each database")
        parser.add_argument("--seed", type=int, default=0, help=f"draws what a small run tries{self.draws}")
        parser.add_argument("--databases", nargs="+", choices=self.dialects, default=self.dialects, help="default: all")
        stories = f"of {', '.join(every)}"
        parser.add_argument("--stories", nargs="+", choices=every, default=every, metavar="STORY", help=stories)
        parser.add_argument("--jobs", type=int, default=beside, help=f"processes; default: {self.beside} a core")
        parser.add_argument("--json", action="store_true", help="has no effect: the last line is JSON always")
        return parser.parse_args(arguments)

    def told(self, whole: SomeKills, options: argparse.Namespace, seconds: float, *, interrupted: bool) -> Told:
        """The last line. What a small run did not kill at it could not: that is no lack of it."""
        is_whole = not options.small and set(options.stories) == set(self.stories)
        never = whole.missing() if is_whole else []
        counts = {name: whole.counts[name] for name in sorted(whole.counts)} | {"points by name": len(whole.killed)}
        return Told(self.name, counts, never, whole.violations, [options.seed], seconds, interrupted, whole.more())
