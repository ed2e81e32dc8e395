"""What is kept of each key while both sides are followed, and what a fact makes of it. Pure.

Records are a multiset: a fact takes one away, adds one, or both. So it does not matter in which row of its table a
record stands, nor in which order the two feeds are read; what a transaction does and undoes cancels out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from tieout.recon.rules import Judged, Outcome, Record, SideName, Verdict, judge

Standing: TypeAlias = Outcome | Literal["new", "waiting", "doubtful", "ignored"]
"""How a key stands. *waiting*: it does not agree, and may yet. *doubtful*: what it has is not known, and is asked for.
*ignored*: it does not agree, in a time of which nothing is told."""

RESTING: tuple[Standing, ...] = ("tied", "late-tied", "withdrawn")
"""Standings of keys that agree."""

AT_ONCE = 0
"""When a doubtful key is due: before every watermark."""

SIDES: tuple[SideName, SideName] = ("upstream", "downstream")


class Seen(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where the latest fact of a side came from: when it was committed, by its source's clock, and the position."""

    at: int
    position: str


class Fact(msgspec.Struct, frozen=True, gc=False):
    """What one change does to a key on one side (0 upstream, 1 downstream): a record goes, comes, or is replaced.

    `at` is the commit's time, corrected to the clock that both feeds share; `seen` is where it came from.
    """

    rule: int
    key: str
    side: int
    gone: Record | None
    come: Record | None
    at: int
    seen: Seen


class Body(msgspec.Struct, array_like=True, gc=False):
    """The records of both sides, and where the latest fact of each came from."""

    upstream: list[Record] = msgspec.field(default_factory=list)
    downstream: list[Record] = msgspec.field(default_factory=list)
    seen: list[Seen | None] = msgspec.field(default_factory=lambda: [None, None])


class Kept(msgspec.Struct, gc=False):
    """What is kept of one key. `due` is when it is looked at, `changed` when the latest fact was committed.

    `told`: a break of it was told, so that it has to be withdrawn when it is mended.
    """

    outcome: Standing = "new"
    due: int | None = None
    changed: int = 0
    told: bool = False
    body: Body = msgspec.field(default_factory=Body)

    @classmethod
    def of(cls, facts: Sequence[Fact]) -> Kept:
        """What a key is after these facts, of which nothing was kept."""
        if len(facts) == 2:
            one, other = facts if facts[1].side else reversed(facts)
            if one.side == 0 and other.side and one.come and other.come and one.gone is None and other.gone is None:
                body = Body([one.come], [other.come], [one.seen, other.seen])
                return cls("new", None, max(0, one.at, other.at), told=False, body=body)
        kept = cls()
        for fact in facts:
            kept.take(fact)
        return kept

    @property
    def records(self) -> tuple[list[Record], list[Record]]:
        """What each side has of it."""
        return self.body.upstream, self.body.downstream

    def take(self, fact: Fact) -> None:
        """Let a fact have its effect. A record that goes and was not there makes the key doubtful."""
        body = self.body
        records = body.downstream if fact.side else body.upstream
        if fact.gone is not None:
            try:
                records.remove(fact.gone)
            except ValueError:
                self.outcome = "doubtful"
        if fact.come is not None:
            records.append(fact.come)
        body.seen[fact.side] = fact.seen
        self.changed = max(self.changed, fact.at)

    def doubt(self) -> None:
        """Have it asked for at the sources."""
        self.outcome, self.due = "doubtful", AT_ONCE

    def stand(self, judged: Judged, plain: Plain) -> None:
        """Judge it anew: what does not agree waits for the grace behind its latest fact."""
        if self.outcome == "doubtful":
            self.due = AT_ONCE
            return
        upstream, downstream = self.body.upstream, self.body.downstream
        outcome: Standing | None = plain.outcome(upstream, downstream)
        if outcome is None and upstream and downstream:
            outcome = judge(judged, upstream, downstream).outcome
        elif outcome is None:
            outcome = "waiting" if upstream or downstream else "withdrawn"
        if outcome in RESTING:
            self.outcome, self.due = outcome, None
        else:
            self.outcome, self.due = "waiting", self.changed + (judged.grace or 0)

    def settle(
        self, judged: Judged, upstream: Sequence[Record], downstream: Sequence[Record], watermark: int
    ) -> Verdict:
        """Take what both sources say for what it has, and judge that: the verdict stands until the next fact.

        A key that was asked for before the grace behind its latest fact is over waits for that first.
        """
        self.body.upstream, self.body.downstream = list(upstream), list(downstream)
        verdict = judge(judged, upstream, downstream)
        self.outcome, self.due = verdict.outcome, None
        until = self.changed + (judged.grace or 0)
        if verdict.is_break and until > watermark:
            self.outcome, self.due = "waiting", until
        return verdict


class Plain:
    """Sees at a glance what the judge would take apart: one record on each side, with the same texts.

    It says nothing where the judge might not call them tied: a text that is no number in a field of numbers agrees with
    nothing, not even with itself.
    """

    def __init__(self, judged: Judged) -> None:
        self._grace = judged.grace
        self._can = all(field.mapping is None for field in judged.fields)
        self._numbers = [number for number, field in enumerate(judged.fields) if field.domain != "text" or field.summed]

    def outcome(self, upstream: Sequence[Record], downstream: Sequence[Record]) -> Outcome | None:
        """How a key stands where it is plain that both sides agree, or None."""
        if not self._can or len(upstream) != 1 or len(downstream) != 1:
            return None
        ours, theirs = upstream[0], downstream[0]
        if ours.values != theirs.values:
            return None
        for number in self._numbers:
            if not is_plain_number(ours.values[number]):
                return None
        if self._grace is not None and ours.at is not None and theirs.at is not None:
            return "late-tied" if abs(ours.at - theirs.at) > self._grace else "tied"
        return "tied"


def is_plain_number(value: str | None) -> bool:
    """Whether a text is surely a number of moderate length."""
    if value is None or len(value) > 100 or not value.isascii():
        return False
    return value.isdigit() or value.removeprefix("-").replace(".", "", 1).isdigit()


def missed(kept: Kept, side: int, found: Sequence[Record], since: int) -> list[Record]:
    """Records in which a side differs from what its feed has told, and that it should have told.

    What the source has and the feed has not told may be older than `since`, when the rule began to be followed: only a
    business time says so. What the feed has told and the source has not was deleted without a word.
    """
    unknown = list(found)
    lost = []
    for record in kept.records[side]:
        if record in unknown:
            unknown.remove(record)
        else:
            lost.append(record)
    return lost + [record for record in unknown if record.at is not None and record.at > since]
