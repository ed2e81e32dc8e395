"""Processes as people read them in a terminal."""

from __future__ import annotations

from typing import Any

from tieout.cli.alarm_page import alarm_rows
from tieout.cli.printing import age, ago, clock_time, compact, facts, plain, say, table, when
from tieout.cli.timeline import MARKS, sentence, timeline
from tieout.config import iso
from tieout.errors import PayloadUnreadable
from tieout.identity import CLIENT_END
from tieout.process.inspecting import Inspection
from tieout.process.record import Entry, Record

LIST_COLUMNS = ("ID", "TYPE", "KEY", "OWNER", "STATE", "STATUS", "CREATED", "AGE", "DUE", "TRIES", "NOTE")


def show_list(records: list[Record]) -> None:
    """One line for each process."""
    table(LIST_COLUMNS, (_row(record) for record in records))


def show_process(inspection: Inspection) -> None:
    """One process with everything that is known about it."""
    record = inspection.record
    say(f"{record.type} {_text(record.request_key)}" + (f" of {_owner(record)}" if record.owner else ""))
    say(f"  {sentence(inspection)}\n")
    facts(_facts(record))
    for entry in record.calls:
        say(f"\nCall {entry.n}: {entry.step}{'' if entry.closed else ' (open)'}")
        facts(_call_facts(record, entry))
    say("\nTimeline: " + "  ".join(f"{mark} {way}" for way, mark in MARKS.items()))
    table(("TIME", "AFTER", "WAY", "WHAT", "BY"), _timeline_rows(inspection))
    if inspection.alarms:
        say("\nAlarms")
        table(*alarm_rows(inspection.alarms, record.now))


def _row(record: Record) -> tuple[Any, ...]:
    return (
        record.id.hex(),
        record.type,
        _text(record.request_key),
        _owner(record),
        record.state,
        record.status,
        clock_time(record.created),
        age(record.now - record.created),
        ago(record.due, record.now),
        record.attempts,
        record.note if not record.unreadable else f"[{PayloadUnreadable.code}] {record.note or ''}".rstrip(),
    )


def _owner(record: Record) -> str:
    """The owner, behind the client that it is of, if that has started it over HTTP."""
    client, _, rest = record.owner.rpartition(CLIENT_END)
    return "/".join(_text(part) for part in (client, rest) if part)


def _facts(record: Record) -> list[tuple[str, Any]]:
    now = record.now
    return [
        ("id", record.id.hex()),
        ("created", when(record.created, now)),
        ("changed", when(record.changed, now)),
        ("due", when(record.due, now)),
        ("lane", record.lane),
        ("deadline", when(record.deadline, now)),
        ("parent", record.parent.hex() if record.parent else None),
        ("cancel", record.wish),
        ("params", record.params),
        ("snapshots", record.snapshots),
        ("result", record.result),
        ("note", record.note),
        ("tries", f"{record.attempts} taken over, {record.errors} errors in a row, {record.duplicates} duplicates"),
        ("row", f"version {record.version}, fence {record.fence}"),
    ]


def _call_facts(record: Record, entry: Entry) -> list[tuple[str, Any]]:
    told: list[tuple[str, Any]] = [
        ("key", record.call_key(entry)),
        ("opened", when(entry.opened or record.created, record.now)),
        ("sent", when(entry.sent, record.now)),
        ("args", bytes(entry.args).decode()),
    ]
    final = entry.final
    if final is not None:
        value = compact(final.value) if final.kind == "succeeded" else f"{final.code} {final.detail}"
        told.append(("final", f"{final.kind}, by {final.source} ({final.by}): {value}"))
        told.append(("claimed", when(final.at, record.now)))
    return told


def _timeline_rows(inspection: Inspection) -> list[tuple[str, str, str, str, str]]:
    began = inspection.record.created
    return [
        (iso(at), f"{(at - began) / 1e6:+.3f} s", f"{MARKS.get(way, ' ')} {way}", what, detail)
        for at, way, what, detail in timeline(inspection)
    ]


def _text(raw: bytes) -> str:
    return plain(raw.decode(errors="backslashreplace"))
