"""What is kept of a break: both sides' records, what differs, and what may have caused it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tieout.recon.periods import iso
from tieout.recon.reading import Found, Key
from tieout.recon.rules import Judged, Record, SideName, Verdict
from tieout.recon.store import NewBreak

RECORDS = 20
"""Most records of a side that a break keeps; how many there were is kept too."""

VALUE = 1_000
"""Longest value that is kept, in characters."""


def told_break(
    judged: Judged, key: Key, verdict: Verdict, ours: Sequence[Record], theirs: Sequence[Record], causes: Sequence[str]
) -> NewBreak:
    """A break with its evidence."""
    detail = {
        "sides": list(verdict.sides),
        "differences": [
            {"field": one.field, "upstream": _cut(one.upstream), "downstream": _cut(one.downstream), "why": one.why}
            for one in verdict.differences
        ],
        "upstream": _records(judged, "upstream", ours),
        "downstream": _records(judged, "downstream", theirs),
        "causes": list(causes),
    }
    return NewBreak(key, verdict.outcome, detail)


def told_unkeyed(judged: Judged, side: SideName, key: tuple[str | None, ...], rows: Sequence[Found]) -> NewBreak:
    """A break of rows whose key is NULL: nothing on the other side can have it."""
    other: SideName = "downstream" if side == "upstream" else "upstream"
    records = [Record(row.at, row.values) for row in rows]
    detail = {
        "sides": [other],
        "differences": [],
        side: _records(judged, side, records),
        other: _records(judged, other, []),
        "causes": [f"the key is NULL {side}"],
    }
    return NewBreak(key, "missing" if side == "upstream" else "orphan", detail, apart=side)


def _records(judged: Judged, side: SideName, records: Sequence[Record]) -> dict[str, Any]:
    names = [field.upstream if side == "upstream" else field.downstream for field in judged.fields]
    shown = [
        {
            "at": None if one.at is None else iso(one.at),
            "values": {name: _cut(value) for name, value in zip(names, one.values, strict=True)},
        }
        for one in records[:RECORDS]
    ]
    return {"count": len(records), "records": shown}


def _cut(value: str | None) -> str | None:
    return value if value is None or len(value) <= VALUE else f"{value[:VALUE]}…"
