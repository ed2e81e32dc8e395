"""The timeline of a process: who advanced it, when, by which way; and what persons and alarms had to do with it."""

from __future__ import annotations

from typing import NamedTuple

from tieout.process.inspecting import Inspection
from tieout.process.record import By, Transition

MARKS: dict[str, str] = {"immediate": "●", "query": "▲", "push": "■", "sweep": "◆", "operator": "★"}
"""One mark for each way on: told apart without colour."""

BROUGHT_BY: dict[By, str] = {
    "call": "the call's own answer",
    "query": "a query",
    "message": "a message",
    "operator": "a person",
    "timer": "a timer",
    "children": "its children",
}
"""What moved a process, in words."""


class Moment(NamedTuple):
    """One line: when (the server's microseconds), by which way on or "", what happened, and who or what brought it."""

    at: int
    way: str
    what: str
    detail: str


def timeline(inspection: Inspection) -> list[Moment]:
    """Everything that is known to have happened, oldest first."""
    record, alarms, _, audit, strays = inspection
    first = record.calls[0].step if record.calls else record.state
    moments = [Moment(record.created, "", f"started -> {first}", f"version {record.version}")]
    moments += [_moved(move) for move in record.trail]
    moments += [Moment(row.at, "operator", row.action, f"{row.actor}: {row.reason}") for row in audit]
    moments += [Moment(alarm.first_at, "", f"alarm {alarm.kind}", alarm.summary) for alarm in alarms]
    moments += [Moment(stray.at, "", "report of a call that was not known yet", stray.call_key) for stray in strays]
    return sorted(moments, key=lambda moment: moment.at)


def sentence(inspection: Inspection) -> str:
    """How the process came to where it is, in words."""
    record = inspection.record
    where = f"{record.state} ({record.status})"
    if not record.trail:
        return f"{where}: nothing has moved it since it was started"
    last = record.trail[-1]
    after = (last.at - record.created) / 1e6
    return f"{where}: moved by {last.source}, {BROUGHT_BY[last.by]}, {after:.3f} s after it was started"


def _moved(move: Transition) -> Moment:
    actor = f" ({move.actor})" if move.actor else ""
    call = f"#{move.n} " if move.n else ""
    return Moment(move.at, move.source, f"{call}-> {move.to}", f"{BROUGHT_BY[move.by]}{actor}")
