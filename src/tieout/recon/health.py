"""How what is followed stands: nothing counts as agreement that was not seen, and seen lately. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from tieout.recon.fact_store import FeedState, RuleState
from tieout.recon.rules import BREAKS

FeedHealth: TypeAlias = Literal["up-to-date", "lagging", "stopped", "gap", "new"]
"""*lagging*: behind its source. *stopped*: nobody keeps what it tells. *gap*: something was missed, and is being found.
*new*: it has told nothing yet."""

RuleHealth: TypeAlias = Literal["agreed", "broken", "blind", "loading", "empty"]
"""*agreed*: all that was compared agrees, and both feeds are up to date. *blind*: a feed is not. *loading*: what there
was before is not known yet. *empty*: nothing was compared. Whatever is not *agreed* is not green."""

STOPPED = 15_000_000
"""Microseconds without anything being kept after which a feed is told to be stopped: heartbeats come every second."""

LAGGING = 15_000_000
"""Microseconds that a feed may be behind its source before a rule is blind."""


class FeedStatus(NamedTuple):
    """A feed: how it is, by how many microseconds it is behind its source, and since how many nothing was kept."""

    name: str
    health: FeedHealth
    lag: int | None
    gap: str | None
    age: int


class RuleStatus(NamedTuple):
    """A rule: how it stands, how many keys have come to what, and how many breaks nobody has decided on.

    `waiting` keys are not judged yet. `coverage` is the share of keys that are judged. `breaks` are open ones, by kind.
    """

    name: str
    health: RuleHealth
    feeds: tuple[str, ...]
    totals: Mapping[str, int]
    waiting: int
    open: int
    coverage: float | None
    breaks: Mapping[str, int]


def feed_status(feed: FeedState) -> FeedStatus:
    """How a feed is, by the clock of the database that it is kept in."""
    lag = feed.asked_at - feed.watermark if feed.watermark else None
    return FeedStatus(feed.name, _health(feed, lag), lag, feed.gap, max(0, feed.asked_at - feed.heard_at))


def rule_status(rule: RuleState, feeds: Sequence[FeedStatus], breaks: Mapping[str, int]) -> RuleStatus:
    """How a rule stands."""
    totals = {name: count for name, count in rule.totals.items() if count > 0}
    waiting = sum(totals.get(name, 0) for name in ("waiting", "doubtful"))
    judged = sum(totals.get(name, 0) for name in ("tied", "late-tied", "ignored", *BREAKS))
    known = judged + waiting + totals.get("unfollowed", 0)
    coverage = judged / known if known else None
    mine, open_breaks = tuple(rule.feeds), sum(breaks.values())
    health = _standing(rule, [one for one in feeds if one.name in mine], totals, open_breaks)
    return RuleStatus(rule.name, health, mine, totals, waiting, open_breaks, coverage, breaks)


def _health(feed: FeedState, lag: int | None) -> FeedHealth:
    if feed.gap is not None:
        return "gap"
    if lag is None:
        return "new"
    if feed.asked_at - feed.heard_at > STOPPED:
        return "stopped"
    return "lagging" if lag > LAGGING else "up-to-date"


def _standing(rule: RuleState, feeds: Sequence[FeedStatus], totals: Mapping[str, int], open_breaks: int) -> RuleHealth:
    if open_breaks:
        return "broken"
    if len({feed.name for feed in feeds}) < len(set(rule.feeds)) or any(f.health != "up-to-date" for f in feeds):
        return "blind"
    if rule.phase != "live" or totals.get("unfollowed", 0):
        return "loading" if rule.phase != "live" else "blind"
    return "agreed" if totals.get("tied", 0) + totals.get("late-tied", 0) else "empty"
