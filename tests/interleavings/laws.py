"""What holds after every order: the invariants, told from the rows alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from tests.interleavings.arena import Act, Seen
from tests.interleavings.trade import CLOSING, POINTS, Desk

Law = Callable[[Seen], Iterator[str]]
"""Says in words what is wrong."""


def none(_: Seen) -> Iterator[str]:
    """No law of its own."""
    yield from ()


def never(_: Seen) -> int:
    """No contradiction is reported."""
    return 0


class Pair(NamedTuple):
    """Two use cases at the same process.

    `least` is how many orders there are at least; with `reads_apart`, see `Orders`. `conflicts` tells how often a final
    was reported that contradicts another or what was sent; `errors` are what an actor may raise.
    """

    name: str
    first: Act
    second: Act
    least: int
    prepare: Act
    desk: Callable[[], Desk] = Desk
    conflicts: Callable[[Seen], int] = never
    errors: tuple[type[Exception], ...] = ()
    law: Law = none
    reads_apart: bool = False

    @property
    def acts(self) -> dict[str, Act]:
        return {"one": self.first, "two": self.second}


def violations(pair: Pair, seen: Seen) -> list[str]:
    """What this order has broken, each with the order that did."""
    broken = [*_rows(seen), *_finals(seen), *_alarms(pair, seen), *_errors(pair, seen), *pair.law(seen)]
    return [f"{what}: {seen.order}" for what in broken]


def _rows(seen: Seen) -> Iterator[str]:
    if len(seen.processes) != 1:
        yield f"{len(seen.processes)} processes of one key"
    notes = Counter(seen.notes)
    if notes["begin"] != len(seen.processes):
        yield f"the start step has written {notes['begin']} times"
    if sum(notes[step] for step in CLOSING) > 1:
        yield f"the outcome was followed more than once: {seen.notes}"
    for record in seen.processes:
        fee = msgspec.json.decode(record.params).get("fee", 0)
        if seen.points != POINTS - fee:
            yield f"{POINTS - seen.points} points are gone instead of {fee}"


def _finals(seen: Seen) -> Iterator[str]:
    for record in seen.processes:
        closed = [CLOSING[what] for what in seen.notes if what in CLOSING]
        is_final = record.status in ("final", "retired")
        if is_final != bool(closed) or (is_final and closed != [record.state]):
            yield f"{record.status} at {record.state!r}, and its steps have written {seen.notes}"
        moves = [move.to for move in record.trail]
        if record.status != "retired" and moves != closed:
            yield f"the trail tells of {moves}, the business of {closed}"


def _alarms(pair: Pair, seen: Seen) -> Iterator[str]:
    raised = [(alarm.kind, alarm.times) for alarm in seen.alarms]
    conflicts = pair.conflicts(seen)
    expected = [("conflict", conflicts)] if conflicts else []
    if raised != expected:
        yield f"alarms {raised} instead of {expected}"
    for alarm in seen.alarms:
        if len(alarm.evidence) < 2:
            yield f"the alarm keeps only {alarm.evidence}"


def _errors(pair: Pair, seen: Seen) -> Iterator[str]:
    for outcome in seen.outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, pair.errors):
            yield f"{type(outcome).__name__} came out: {outcome}"
