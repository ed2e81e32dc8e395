"""What became of one period of a rule, as it stands now: an account that adds up, and what is missing of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from tieout.recon.define import Ignored, Rule
from tieout.recon.periods import Period
from tieout.recon.rules import BREAKS, Outcome
from tieout.recon.store import BreakState, Run

StatementState: TypeAlias = Literal["balanced", "open", "incomplete"]
"""*balanced*: the period was compared, and each of its breaks agrees again or was decided. *open*: some are not.

*incomplete*: nobody can say, since something of the period was not compared as the rule is now; `why` says what.
"""

Counts: TypeAlias = Mapping[str, int]
"""How many keys, by outcome."""

STATES: tuple[BreakState, ...] = ("open", "settled", "ignored", "closed")


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One period of a rule. A break belongs to the period of its business time, whenever and however it was found.

    `run` is the latest comparison, None when there was none. `breaks` counts all breaks that were ever found of the
    period, by how they stand now; `opening` those still open of earlier ones, `unplaced` open ones of no known time.
    `versions` are those of the rule by which breaks were judged last.
    """

    rule: Rule
    period: Period
    run: Run | None
    breaks: Mapping[BreakState, Counts]
    opening: Counts
    unplaced: int
    versions: tuple[str, ...]

    @property
    def matched(self) -> Counts:
        """Keys that agreed when the period was compared last."""
        return {name: self._total(name) for name in ("tied", "late-tied")}

    @property
    def found(self) -> Counts:
        """Breaks that were ever found of the period."""
        return {name: sum(self.breaks[state].get(name, 0) for state in STATES) for name in BREAKS}

    @property
    def ignores(self) -> tuple[Ignored, ...]:
        """The times within the period whose breaks are counted and not told of."""
        return tuple(one for one in self.rule.ignores if one.period.overlaps(self.period))

    @property
    def closing(self) -> int:
        """Breaks that are open at its end: those of the period, and those of earlier ones."""
        return sum(self.opening.values()) + sum(self.breaks["open"].values())

    @property
    def undated(self) -> int:
        """Rows that were not compared, since they have no business time."""
        return sum(self._totals.get("undated", {}).values())

    @property
    def excluded(self) -> Counts:
        """What was not compared or not told of: in ignored times, gone by then, of other periods, without a time."""
        counts = {name: self._total(name) for name in ("ignored", "withdrawn", "carried")}
        return {**counts, "undated": self.undated}

    @property
    def coverage(self) -> float | None:
        """The share of keys and rows that were judged; None before anything was compared."""
        judged = sum(self._total(name) for name in ("tied", "late-tied", "ignored", *BREAKS))
        known = judged + self.undated
        return judged / known * float(self._totals.get("sample", 1.0)) if known else None

    @property
    def why(self) -> tuple[str, ...]:
        """What keeps the statement from being complete."""
        run, undated = self.run, self.undated
        if run is None:
            reasons = ["it was not compared"]
        elif run.state not in ("agreed", "broken"):
            reasons = [f"its latest comparison is {run.state}"]
        else:
            reasons = []
            if run.started < self.period.until + self.rule.grace:
                reasons.append("it was compared before it and the grace were over")
            if run.version != self.rule.version:
                reasons.append("the rule has changed since it was compared")
        if undated:
            reasons.append(f"{undated:,} rows have no time")
        if self.unplaced:
            reasons.append(f"{self.unplaced:,} open breaks are of no known time")
        return tuple(reasons)

    @property
    def state(self) -> StatementState:
        """How the period stands."""
        if self.why:
            return "incomplete"
        return "open" if sum(self.breaks["open"].values()) else "balanced"

    @property
    def _totals(self) -> dict[str, Any]:
        return (self.run.totals if self.run is not None else None) or {}

    def _total(self, name: str) -> int:
        return int(self._totals.get(name, 0))


def stated(
    rule: Rule,
    period: Period,
    run: Run | None,
    counted: Iterable[tuple[BreakState, Outcome, str, int]],
    *,
    opening: Counts,
    unplaced: int,
) -> Statement:
    """A statement of what was counted, by state, outcome and version."""
    breaks: dict[BreakState, dict[str, int]] = {state: {} for state in STATES}
    versions = set()
    for state, outcome, version, count in counted:
        breaks[state][outcome] = breaks[state].get(outcome, 0) + count
        versions.add(version)
    return Statement(
        rule=rule,
        period=period,
        run=run,
        breaks=breaks,
        opening=opening,
        unplaced=unplaced,
        versions=tuple(sorted(versions)),
    )
