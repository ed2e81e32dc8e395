"""Alarms as people read them in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tieout.alarm.engine import AlarmDetail
from tieout.alarm.store import Alarm, Evidence
from tieout.cli.printing import age, clock_time, compact, facts, say, table, when
from tieout.config import iso

LIST_COLUMNS = ("ID", "KIND", "SEVERITY", "STATE", "COUNT", "FIRST", "LAST", "AGE", "SUMMARY")

SIDE_BY_SIDE = 3
"""Pieces of evidence beside each other: what a terminal of usual width holds."""


def alarm_rows(alarms: list[Alarm], now: int) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Columns and one row for each alarm."""
    return LIST_COLUMNS, [
        (
            alarm.id.hex(),
            alarm.kind,
            alarm.severity,
            alarm.state,
            alarm.count,
            clock_time(alarm.first_at),
            clock_time(alarm.last_at),
            age(now - alarm.first_at),
            alarm.summary,
        )
        for alarm in alarms
    ]


def show_alarm(detail: AlarmDetail, now: int) -> None:
    """One alarm with its evidence, claims beside each other."""
    alarm, evidence, history = detail
    say(f"{alarm.kind} ({alarm.severity}), {alarm.state}")
    say(f"  {alarm.summary}\n")
    facts(_facts(alarm, now))
    for group in _groups(evidence):
        say("\nEvidence")
        table(*_beside(group))
    say("\nHistory")
    table(("AT", "WHAT", "BY", "WHY"), ((clock_time(one.at), one.happening, one.actor, one.note) for one in history))
    if alarm.kind == "conflict" and alarm.state != "resolved":
        process, _, n = alarm.object.partition(":")
        say(f"\nTo decide: tieout process settle {process} --call {n} --as succeeded|failed --reason WHY")


def _facts(alarm: Alarm, now: int) -> list[tuple[str, Any]]:
    return [
        ("id", alarm.id.hex()),
        ("about", alarm.object),
        ("process", alarm.process.hex() if alarm.process else None),
        ("first", when(alarm.first_at, now)),
        ("last", when(alarm.last_at, now)),
        ("count", alarm.count),
        ("owner", alarm.owner),
        ("snoozed", when(alarm.snoozed_until, now)),
        ("escalated", f"{alarm.escalation} times" if alarm.escalation else None),
        ("folded under", alarm.parent.hex() if alarm.parent else None),
        ("wish", alarm.wish),
        ("resolution", alarm.resolution),
        ("resolved", when(alarm.resolved_at, now)),
        ("by", alarm.resolved_by),
        ("note", alarm.note),
    ]


def _groups(evidence: list[Evidence]) -> Iterator[list[Evidence]]:
    return (evidence[start : start + SIDE_BY_SIDE] for start in range(0, len(evidence), SIDE_BY_SIDE))


def _beside(group: list[Evidence]) -> tuple[list[str], list[list[str]]]:
    """One column for each piece of evidence and one row for each field that any of them has."""
    bodies = [_fields(msgspec.json.decode(piece.body)) for piece in group]
    names = dict.fromkeys(name for body in bodies for name in body)
    rows = [
        ["first came", *(iso(piece.at) for piece in group)],
        ["times", *(str(piece.count) for piece in group)],
    ]
    rows += [[name, *(body.get(name, "-") for body in bodies)] for name in names]
    return ["", *(f"({number})" for number in range(1, len(group) + 1))], rows


def _fields(body: Any) -> dict[str, str]:
    if not isinstance(body, dict):
        return {"body": compact(body)}
    return {name: value if isinstance(value, str) else compact(value) for name, value in body.items()}
