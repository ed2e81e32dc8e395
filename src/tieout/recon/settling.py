"""Many keys settled at a time: what the judge says of each, what the period makes of that, and the breaks. Pure.

Most keys in doubt are alone on their side, or are one row on each. Of the former, the judge looks at no value: one
verdict holds for all of a side. All others it is asked about one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from tieout.recon.columns import Columns, Key
from tieout.recon.define import Rule
from tieout.recon.evidence import anchored, told_break
from tieout.recon.facts import SIDES
from tieout.recon.periods import Period
from tieout.recon.rules import Judged, Record, SideName, Verdict, judge
from tieout.recon.store import WrittenBreak, written
from tieout.recon.writing import Writer

NOBODY: Sequence[Record] = ()
"""What a side has of a key that it lacks."""

ANYBODY = Record(None, ())
"""A row that is alone: whatever it holds, its verdict is the same."""

AGAIN = "tied when asked again"
"""What became of keys whose snapshots differed, since one was taken before the other."""


class Settled(NamedTuple):
    """What became of some keys, and those that are breaks: alone on a side, pairs that differ, and all others."""

    found: dict[SideName, Columns]
    tally: Counter[str]
    alone: dict[SideName, list[Key]]
    pairs: list[tuple[Key, Verdict]]
    others: list[tuple[Key, Verdict]]

    @property
    def lacking(self) -> dict[SideName, list[Key]]:
        """The breaks that a side lacks."""
        others = [(key, one) for key, one in self.others if one.outcome in {"missing", "orphan"}]
        lone: dict[SideName, list[Key]] = {"upstream": self.alone["downstream"], "downstream": self.alone["upstream"]}
        return {side: [*keys, *(key for key, one in others if side in one.sides)] for side, keys in lone.items()}


class Settling:
    """Settles keys of one rule over one period."""

    def __init__(self, rule: Rule, judged: Judged, period: Period) -> None:
        self._rule, self._judged, self._period = rule, judged, period
        self._writer = Writer(rule.name, judged)
        self._alone = {"upstream": judge(judged, [ANYBODY], NOBODY), "downstream": judge(judged, NOBODY, [ANYBODY])}

    def settle(self, keys: Sequence[Key], upstream: Columns, downstream: Columns) -> Settled:
        """Judge these keys, of which both sides have these rows."""
        settled = Settled({"upstream": upstream, "downstream": downstream}, Counter(), {}, [], [])
        repeated = upstream.repeated | downstream.repeated
        ours, theirs = upstream.places, downstream.places
        single = [key for key in keys if key not in repeated] if repeated else keys
        self._settle_alone(settled, "upstream", [key for key in single if key in ours and key not in theirs])
        self._settle_alone(settled, "downstream", [key for key in single if key in theirs and key not in ours])
        for key in single:
            if key in ours and key in theirs:
                pair = [upstream.record(ours[key])], [downstream.record(theirs[key])]
                self._settle_one(settled, settled.pairs, key, *pair)
        for key in keys:
            if key in repeated or not (key in ours or key in theirs):
                records = upstream.records.get(key, NOBODY), downstream.records.get(key, NOBODY)
                self._settle_one(settled, settled.others, key, *records)
        return settled

    def written(self, settled: Settled, causes: Mapping[Key, Sequence[str]]) -> list[WrittenBreak]:
        """The breaks, of which some have causes."""
        breaks = list[WrittenBreak]()
        told = {side: self._writer.told(side, rows) for side, rows in settled.found.items()}
        for side, alone in settled.alone.items():
            rows, plain = settled.found[side], [key for key in alone if key not in causes]
            places = [rows.places[key] for key in plain]
            breaks += self._writer.alone(
                side, plain, [told[side][place] for place in places], [rows.at[place] for place in places]
            )
            for key in causes.keys() & set(alone):
                breaks.append(self._one(settled, key, self._alone[side], causes[key]))
        breaks += self._pairs(settled, told)
        return breaks + [self._one(settled, key, verdict, causes.get(key, ())) for key, verdict in settled.others]

    def _pairs(self, settled: Settled, told: Mapping[SideName, Sequence[str]]) -> list[WrittenBreak]:
        places = {side: [settled.found[side].places[key] for key, _ in settled.pairs] for side in SIDES}
        ours, theirs = ([told[side][place] for place in places[side]] for side in SIDES)
        anchor = self._judged.anchor
        times = [settled.found[anchor].at[place] for place in places[anchor]]
        return self._writer.pairs(settled.pairs, ours, theirs, times)

    def _one(self, settled: Settled, key: Key, verdict: Verdict, causes: Sequence[str]) -> WrittenBreak:
        ours, theirs = (settled.found[side].records.get(key, NOBODY) for side in SIDES)
        return written(self._rule.name, told_break(self._judged, key, verdict, ours, theirs, causes, self._period))

    def _settle_alone(self, settled: Settled, side: SideName, keys: list[Key]) -> None:
        """Settle keys that have one row on this side, and none on the other."""
        verdict, rows = self._alone[side], settled.found[side]
        times = [rows.at[rows.places[key]] for key in keys]
        if self._are_ordinary(times):
            settled.tally[verdict.outcome] += len(keys)
            settled.alone[side] = keys
            return
        names = [self._standing(verdict, [] if at is None else [at]) for at in times]
        settled.tally.update(names)
        settled.alone[side] = [key for key, name in zip(keys, names, strict=True) if name == verdict.outcome]

    def _settle_one(
        self,
        settled: Settled,
        breaks: list[tuple[Key, Verdict]],
        key: Key,
        ours: Sequence[Record],
        theirs: Sequence[Record],
    ) -> None:
        verdict = judge(self._judged, ours, theirs)
        name = self._standing(verdict, anchored(self._judged, ours, theirs))
        settled.tally[name] += 1
        if verdict.is_break and name == verdict.outcome:
            breaks.append((key, verdict))

    def _are_ordinary(self, times: Collection[int | None]) -> bool:
        """Whether all of these are in the period, and none can be ignored."""
        known = [at for at in times if at is not None]
        if self._rule.ignores or len(known) < len(times):
            return False
        return not known or (min(known) in self._period and max(known) in self._period)

    def _standing(self, verdict: Verdict, times: Sequence[int]) -> str:
        """What this period makes of a verdict: another period's pair is carried, and some times are ignored."""
        if verdict.outcome == "withdrawn":
            return verdict.outcome
        if verdict.outcome != "duplicate" and times and not any(map(self._period.__contains__, times)):
            return "carried"
        if verdict.outcome == "tied":
            return AGAIN
        ignores = self._rule.ignores if verdict.is_break else ()
        return "ignored" if ignores and any(at in one.period for one in ignores for at in times) else verdict.outcome
