"""Proofs by many schedules, each drawn from its seed: their options, their progress, and what they came to."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple

from tests.prove.schedules import Play, SomeSchedules, shared_out
from tests.prove.telling import Told, tell

TELL_EVERY = 10.0
"""Seconds between two lines of progress."""

SHOWN_SEEDS = 20
"""Violated seeds that the last line names."""

CAUGHT_WITHIN = 150
"""Seeds of which one at least has to catch each wrong engine."""


class Ran(NamedTuple, Generic[SomeSchedules]):
    """What a run came to, how many seconds it took, and whether a Ctrl-C has ended it."""

    whole: SomeSchedules
    seconds: float
    interrupted: bool


@dataclass(frozen=True)
class Seeded(Generic[SomeSchedules]):
    """One kind of proof: how its schedules are played, added up and given out, and how many of them it takes.

    `whole` schedules are enough for every fault and rare state to come many times, `small` just enough for each to
    come. A process is given `chunk` of them at a time. `mutants` are engines that are wrong on purpose, behind the one
    that is as it is.
    """

    name: str
    about: str | None
    play: Play[SomeSchedules]
    kind: type[SomeSchedules]
    whole: int
    small: int
    chunk: int
    mutants: Sequence[str]

    def prove(self, arguments: Sequence[str] | None) -> int:
        """Run the schedules, see every wrong engine caught, and tell what it came to; the exit status."""
        options = self.parse(arguments)
        if options.replay is not None:
            return self.replay(options.replay, options.mutant)
        began, caught = time.monotonic(), {}
        ran = self.run_all(options)
        interrupted = ran.interrupted
        try:
            if not (interrupted or options.mutant):
                for name in self.mutants[1:]:
                    caught[name] = self.first_catch(name, options.seed)
        except KeyboardInterrupt:
            interrupted = True
        return tell(self.summary(ran.whole, caught, time.monotonic() - began, interrupted=interrupted))

    def parse(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """The options; `schedules` is how many are meant."""
        parser = argparse.ArgumentParser(description=self.about.splitlines()[0] if self.about else "")
        parser.add_argument("--schedules", type=int, help=f"how many; default {self.whole}")
        parser.add_argument("--small", action="store_true", help=f"{self.small} schedules, unless it is said how many")
        parser.add_argument("--seed", type=int, default=0, help="the first seed; default %(default)s")
        parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes; default: one a core")
        parser.add_argument("--replay", type=int, metavar="SEED", help="run this one schedule and tell what happens")
        parser.add_argument("--mutant", choices=[*self.mutants], default="", help="an engine that is wrong on purpose")
        parser.add_argument("--json", action="store_true", help="print nothing but the last line, which is JSON always")
        options = parser.parse_args(arguments)
        options.schedules = options.schedules or (self.small if options.small else self.whole)
        return options

    def run_all(self, options: argparse.Namespace) -> Ran[SomeSchedules]:
        """Run the schedules, and tell how far it is, until they are done or a Ctrl-C comes."""
        began, told, whole, interrupted = time.monotonic(), 0.0, self.kind(), False
        seeds = range(options.seed, options.seed + options.schedules)
        try:
            for whole in self.shared_out(seeds, options.jobs, options.mutant):
                seconds = time.monotonic() - began
                if seconds > told + TELL_EVERY or whole.schedules == len(seeds):
                    told = seconds
                    _show_progress(whole, len(seeds), seconds)
        except KeyboardInterrupt:
            interrupted = True
        return Ran(whole, time.monotonic() - began, interrupted)

    def shared_out(self, seeds: range, jobs: int, mutant: str = "") -> Iterator[SomeSchedules]:
        """Run these schedules in `jobs` processes; the tally so far, again and again, and at last the whole."""
        return shared_out(self.play, self.kind, mutant, seeds, jobs=jobs, chunk=self.chunk)

    def first_catch(self, mutant: str, first: int) -> int:
        """How many seeds it took, from the first one on, until one caught a wrong engine; -1 when none did."""
        for tried, seed in enumerate(range(first, first + CAUGHT_WITHIN), 1):
            if self.play(seed, mutant).violations:
                print(f"{mutant}: caught by seed {seed}", file=sys.stderr, flush=True)
                return tried
        return -1

    def replay(self, seed: int, mutant: str) -> int:
        """Run one schedule and tell what happens in it."""
        came_to = self.play(seed, mutant, trace=print)
        for violation in came_to.violations.get(seed, ()):
            print(f"VIOLATED  {violation}")
        told = {"seed": seed, "violations": sum(map(len, came_to.violations.values())), **came_to.numbers()}
        print(json.dumps(told))
        return 1 if came_to.violations else 0

    def summary(self, whole: SomeSchedules, caught: dict[str, int], seconds: float, *, interrupted: bool) -> Told:
        """The last line."""
        counts = {"schedules": whole.schedules, "violated": len(whole.violations), **whole.numbers()}
        counts |= {name: whole.counts[name] for name in sorted(whole.counts)}
        counts["wrong engines caught"] = sum(tried > 0 for tried in caught.values())
        never = whole.missing() + [f"catching {name}" for name, tried in caught.items() if tried < 0]
        more = {"seeds_until_caught": caught}
        return Told(self.name, counts, never, *violated(whole), seconds, interrupted, more)


def violated(whole: SomeSchedules) -> tuple[list[str], list[int]]:
    """What was violated, each with its seed, and the first seeds of those that were."""
    seeds = sorted(whole.violations)
    return [f"seed {seed}: {what}" for seed in seeds for what in whole.violations[seed]], seeds[:SHOWN_SEEDS]


def _show_progress(whole: SomeSchedules, schedules: int, seconds: float) -> None:
    rate = whole.schedules / max(seconds, 1e-9)
    line = f"{whole.schedules:>8} of {schedules} schedules, {rate:.0f}/s, {len(whole.violations)} violated"
    print(f"{line}, {seconds:.0f} s", file=sys.stderr, flush=True)
