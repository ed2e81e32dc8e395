"""Schedules by their seeds: what they came to, added up, and many of them shared out over processes."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import ClassVar, TypeVar


@dataclass
class Schedules:
    """What a number of schedules came to; `violations` by seed. A kind of them adds numbers of its own."""

    WANTED: ClassVar[tuple[str, ...]] = ()
    """The faults and rare states that have to come."""

    schedules: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    violations: dict[int, list[str]] = field(default_factory=dict)

    def add(self, other: Schedules) -> None:
        """Add what others of the same kind came to."""
        for one in fields(self):
            if one.name != "violations":
                setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))
        self.violations |= other.violations

    def missing(self) -> list[str]:
        """The faults and rare states that never came: with any of them the run was too kind."""
        return [name for name in self.WANTED if not self.counts[name]]

    def numbers(self) -> Mapping[str, int]:
        """The numbers of its own, by the names under which they are told."""
        return {}


SomeSchedules = TypeVar("SomeSchedules", bound=Schedules)
Play = Callable[..., SomeSchedules]
"""Plays the schedule of a seed with the engine as it is, or as the mutant of some name; may tell what happens."""


def shared_out(
    play: Play[SomeSchedules], kind: type[SomeSchedules], mutant: str, seeds: range, *, jobs: int, chunk: int
) -> Iterator[SomeSchedules]:
    """Play schedules in `jobs` processes, `chunk` at a time; what they come to so far, again and again, at last all."""
    whole = kind()
    chunks = [seeds[at : at + chunk] for at in range(0, len(seeds), chunk)]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for part in pool.imap_unordered(partial(_tallied, play, kind, mutant), chunks):
            whole.add(part)
            yield whole


def _tallied(play: Play[SomeSchedules], kind: type[SomeSchedules], mutant: str, seeds: range) -> SomeSchedules:
    came_to = kind()
    for seed in seeds:
        came_to.add(play(seed, mutant))
    return came_to
