"""What is kept of a break: both sides' records, what differs, and what may have caused it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tieout.recon.columns import Key
from tieout.recon.periods import Period, utc
from tieout.recon.reading import Found
from tieout.recon.rules import Judged, Outcome, Record, SideName, Verdict
from tieout.recon.store import Differs, Evidence, NewBreak, Shown, Told

RECORDS = 20
"""Most records of a side that a break keeps; how many there were is kept too."""

VALUE = 1_000
"""Longest value that is kept, in characters."""

NOTHING = Told(0, ())


def told_break(
    judged: Judged,
    key: Key,
    verdict: Verdict,
    ours: Sequence[Record],
    theirs: Sequence[Record],
    causes: Sequence[str],
    period: Period | None = None,
) -> NewBreak:
    """A break with its evidence. Its time is the anchor's, or the other side's; of several one in `period`, if any."""
    detail = evidence(judged, verdict, ours, theirs, causes)
    return NewBreak(key, verdict.outcome, detail, at=_time(anchored(judged, ours, theirs), period))


def evidence(
    judged: Judged, verdict: Verdict, ours: Sequence[Record], theirs: Sequence[Record], causes: Sequence[str] = ()
) -> Evidence:
    """What is kept beside a verdict."""
    up, down = _records(judged, "upstream", ours), _records(judged, "downstream", theirs)
    return Evidence(verdict.sides, differing(verdict), up, down, tuple(causes))


def differing(verdict: Verdict) -> tuple[Differs, ...]:
    """What differs, as a break tells it."""
    return tuple([Differs(one.field, cut(one.upstream), cut(one.downstream), one.why) for one in verdict.differences])


def anchored(judged: Judged, ours: Sequence[Record], theirs: Sequence[Record]) -> list[int]:
    """The business times that decide to which period a key belongs: the anchor's, or else the other side's."""
    records = (ours or theirs) if judged.anchor == "upstream" else (theirs or ours)
    return [one.at for one in records if one.at is not None]


def told_unkeyed(judged: Judged, side: SideName, key: tuple[str | None, ...], rows: Sequence[Found]) -> NewBreak:
    """A break of rows whose key is NULL: nothing on the other side can have it."""
    other: SideName = "downstream" if side == "upstream" else "upstream"
    records = [Record(row.at, row.values) for row in rows]
    told = {side: _records(judged, side, records), other: _records(judged, other, [])}
    detail = Evidence((other,), (), told["upstream"], told["downstream"], (f"the key is NULL {side}",))
    outcome: Outcome = "missing" if side == "upstream" else "orphan"
    return NewBreak(key, outcome, detail, side, _time([row.at for row in rows if row.at is not None], None))


def _time(times: Sequence[int], period: Period | None) -> int | None:
    if len(times) == 1:
        return times[0]
    inside = [at for at in times if period is not None and at in period]
    return min(inside or times, default=None)


def _records(judged: Judged, side: SideName, records: Sequence[Record]) -> Told:
    if not records:
        return NOTHING
    if side == "upstream":
        names = [field.upstream for field in judged.fields]
    else:
        names = [field.downstream for field in judged.fields]
    shown = [
        Shown(None if one.at is None else utc(one.at), dict(zip(names, map(cut, one.values), strict=True)))
        for one in records[:RECORDS]
    ]
    return Told(len(records), tuple(shown))


def cut(value: str | None) -> str | None:
    """A value as a break keeps it."""
    return value if value is None or len(value) <= VALUE else f"{value[:VALUE]}…"
