"""What is to go wrong, and when."""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

KINDS = ("outage", "error", "throttle", "slow", "partial", "garbage", "empty", "drop", "cut")
"""Of queries: no answer at all, status 500, 429, an answer after the agreed time, one that lacks rooms, one that makes
no sense, one with nothing in it. Of catalogues: most hotels are missing; the second page fails.
"""

CATALOGUE_KINDS = {"drop", "cut"}

POISON = 66_666_666
"""A price that is never true: whoever believes it has believed garbage."""


class Episode(NamedTuple):
    """From one second to another, a share of a supplier's answers goes wrong in one way."""

    supplier: str
    kind: str
    begin: float
    end: float
    share: float


class Faults:
    """The episodes of all suppliers; `now` is in seconds, of any clock that the plan was taken by."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(f"faults {seed}")
        self._episodes: dict[str, list[Episode]] = {}

    def take(self, told: Any, now: float) -> None:
        """Follow these episodes from now on, whose seconds count from now; raise ValueError for what makes no sense."""
        episodes: dict[str, list[Episode]] = {}
        for one in told:
            episode = Episode(str(one["supplier"]), one["kind"], now + one["begin"], now + one["end"], one["share"])
            if episode.kind not in KINDS or not 0 <= episode.share <= 1:
                raise ValueError(f"no such fault: {one}")
            episodes.setdefault(episode.supplier, []).append(episode)
        self._episodes = episodes

    def strikes(self, supplier: str, now: float, *, catalogue: bool = False) -> str | None:
        """What goes wrong with a query that is answered now."""
        for episode in self._episodes.get(supplier, ()):
            is_due = episode.begin <= now < episode.end and (
                episode.kind == "outage" or (episode.kind in CATALOGUE_KINDS) is catalogue
            )
            if is_due and self._chance.random() < episode.share:
                return episode.kind
        return None

    def garbage(self, rooms: dict[str, dict[str, Any]]) -> Any:
        """An answer that makes no sense: text, or something that looks like an answer and cannot be one."""
        name = next(iter(rooms))
        room = rooms[name]
        wrong: dict[str, Any] = {
            "short": {**room, "price": room["price"][:-1], "stock": [POISON] * len(room["stock"])},
            "text": {**room, "price": [str(POISON)] * len(room["price"])},
            "float": {**room, "price": [POISON + 0.5] * len(room["price"])},
            "huge": {**room, "price": [POISON * 10**6] * len(room["price"])},
            "bare": {"price": [POISON] * len(room["price"])},
        }
        kind = self._chance.choice(["login", "cut off", "list", *wrong])
        if kind in wrong:
            return {"complete": True, "rooms": {**rooms, name: wrong[kind]}}
        return {
            "login": "<!doctype html><title>Sign in</title>",
            "cut off": '{"complete": true, "rooms": {"',
            "list": [],
        }[kind]
