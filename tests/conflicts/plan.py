"""What is planted: pairs of claims about one call, by seed, and whether they contradict each other."""

from __future__ import annotations

import itertools
from random import Random
from typing import Any, Literal

import msgspec

from tests.conflicts.shop import Claim

Way = Literal["immediate", "query", "push", "sweep", "operator"]
WAYS: tuple[Way, ...] = ("immediate", "query", "push", "sweep", "operator")

Moment = Literal["before the start", "while open", "after the final", "at the edge of retention", "after the tombstone"]
MOMENTS: tuple[Moment, ...] = (
    "before the start",
    "while open",
    "after the final",
    "at the edge of retention",
    "after the tombstone",
)

REPORTED = ("push", "operator")
"""Ways that begin outside of the process's own worker: only with these can both claims come at the same time."""


class Case(msgspec.Struct, frozen=True):
    """A process: its first claim and how it comes; its second one, how and when; and whether somebody must be told.

    `what` names the kind of pair. A case without a second claim has None there.
    """

    key: str
    what: str
    first_way: Way
    first: Claim
    second_way: Way
    second: Claim | None
    moment: Moment
    conflict: bool


def prize(chance: Random) -> dict[str, Any]:
    """The JSON of a prize."""
    return {
        "code": chance.randbytes(6).hex(),
        "sku": "mug",
        "worth": f"{chance.randint(1, 9_999)}.{chance.randint(10, 90)}",
        "issued": f"2026-03-{chance.randint(10, 27)}T{chance.randint(10, 12)}:30:00+00:00",
        "parts": {"paper": chance.randint(1, 9), "clay": chance.randint(1, 9) + 0.5},
    }


def succeeded(said: dict[str, Any], **changes: Any) -> Claim:
    return Claim("succeeded", said | changes)


def failed(chance: Random) -> Claim:
    return Claim("failed", chance.choice(["sold-out", "too-late", "unknown-sku"]))


def other_spelling(said: dict[str, Any]) -> dict[str, Any]:
    """The same prize, as another service would write it."""
    day, hour = said["issued"][:10], int(said["issued"][11:13])
    return {
        "parts": {name: float(count) for name, count in reversed(said["parts"].items())},
        "worth": f"0{said['worth']}00",
        "issued": f"{day}T{hour + 8}:30:00+08:00",
        "sku": said["sku"],
        "note": "second copy",
        "code": said["code"],
    }


def contradictions(chance: Random) -> dict[str, tuple[Claim, Claim]]:
    """Each kind of pair that contradicts itself, or what was sent."""
    said = prize(chance)
    return {
        "succeeded, then failed": (succeeded(said), failed(chance)),
        "failed, then succeeded": (failed(chance), succeeded(said)),
        "another code": (succeeded(said), succeeded(said, code=said["code"][::-1] + "0")),
        "another worth": (succeeded(said), succeeded(said, worth=f"{said['worth']}1")),
        "another moment": (succeeded(said), succeeded(said, issued=said["issued"].replace(":30:00+", ":30:01+"))),
        "other parts": (succeeded(said), succeeded(said, parts={**said["parts"], "clay": 10.25})),
        "another article than was sent": (succeeded(said), succeeded(said, sku="cup")),
        "failed, then another article": (failed(chance), succeeded(said, sku="cup")),
    }


def agreements(chance: Random) -> dict[str, tuple[Claim, Claim]]:
    """Each kind of pair that says the same twice."""
    said = prize(chance)
    return {
        "the same": (succeeded(said), succeeded(said)),
        "the same in another spelling": (succeeded(said), succeeded(other_spelling(said))),
        "another spelling first": (succeeded(other_spelling(said)), succeeded(said)),
        "failed with another code": (Claim("failed", "sold-out"), Claim("failed", "none left")),
    }


CONTRADICTIONS = tuple(contradictions(Random(0)))
AGREEMENTS = tuple(agreements(Random(0)))


def ways(moment: Moment) -> list[tuple[Way, Way]]:
    """The pairs of ways on which two claims can come at a moment."""
    if moment == "while open":
        return list(itertools.product(("push", "operator"), ("push", "immediate", "query", "sweep")))
    second: tuple[Way, ...] = WAYS if moment == "after the final" else tuple(way for way in WAYS if way != "operator")
    return list(itertools.product(WAYS, second))


def every(chance: Random) -> list[tuple[str, Moment, Way, Way]]:
    """Every kind of pair at every moment on every pair of ways."""
    return [
        (what, moment, first, second)
        for what in (*CONTRADICTIONS, *AGREEMENTS)
        for moment in MOMENTS
        for first, second in ways(moment)
    ]


def plan(seed: int, planted: int, clean: int) -> list[Case]:
    """So many processes with a contradiction, and so many without: one in ten of these is told the same twice."""
    chance = Random(seed)
    combinations = every(chance)
    chance.shuffle(combinations)
    contradicting = itertools.cycle([one for one in combinations if one[0] in CONTRADICTIONS])
    agreeing = itertools.cycle([one for one in combinations if one[0] in AGREEMENTS])
    cases = [case(chance, f"c{n}", *next(contradicting)) for n in range(planted)]
    for n in range(clean):
        if n % 10 == 0:
            cases.append(case(chance, f"a{n}", *next(agreeing)))
        else:
            claim = failed(chance) if n % 10 == 1 else succeeded(prize(chance))
            cases.append(Case(f"q{n}", "once", "immediate", claim, "push", None, "after the final", conflict=False))
    return cases


def case(chance: Random, key: str, what: str, moment: Moment, first_way: Way, second_way: Way) -> Case:
    """One process of a plan."""
    pairs = contradictions(chance) | agreements(chance)
    first, second = pairs[what]
    return Case(key, what, first_way, first, second_way, second, moment, conflict=what in CONTRADICTIONS)
