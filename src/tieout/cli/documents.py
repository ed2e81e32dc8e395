"""Processes and alarms as JSON documents. Times are ISO 8601 in UTC; ages are seconds."""

from __future__ import annotations

from typing import Any

import msgspec

from tieout.alarm.store import Alarm, Evidence
from tieout.audit.store import AuditRow
from tieout.cli.printing import iso
from tieout.process.inspecting import Inspection
from tieout.process.record import Record
from tieout.process.store import Stray
from tieout.process.view import view

_TIMES = frozenset({"at", "created", "changed", "due", "deadline", "opened", "sent", "first_at", "last_at"})


def process_document(record: Record) -> dict[str, Any]:
    """A process, without what only the engine needs."""
    document: dict[str, Any] = msgspec.to_builtins(view(record))
    del document["replayed"]
    document["deadline"] = record.deadline
    document["wish"] = None if record.wish is None else msgspec.json.decode(record.wish)
    document["trail"] = [_timed(move) for move in document["trail"]]
    for call, entry in zip(document["calls"], record.calls, strict=True):
        call |= {"closed": entry.closed, "opened": iso(entry.opened or record.created), "sent": iso(entry.sent)}
        if entry.final is not None:
            call["final"] = _timed(call["final"])
    return _timed(document) | {"age": _seconds(record.now - record.created)}


def inspection_document(inspection: Inspection) -> dict[str, Any]:
    """A process with its alarms, the acts of persons, and the reports that came before their call was known."""
    record, alarms, evidence, audit, strays = inspection
    return process_document(record) | {
        "alarms": [alarm_document(alarm, evidence[alarm.id], record.now) for alarm in alarms],
        "audit": [audit_document(row) for row in audit],
        "early_reports": [_stray_document(stray) for stray in strays],
    }


def alarm_document(alarm: Alarm, evidence: list[Evidence] | None, now: int) -> dict[str, Any]:
    """An alarm, with its evidence unless that is None."""
    document: dict[str, Any] = msgspec.structs.asdict(alarm)
    document["id"] = alarm.id.hex()
    document["process"] = alarm.process.hex() if alarm.process else None
    document["wish"] = None if alarm.wish is None else msgspec.json.decode(alarm.wish)
    document["resolved_at"] = iso(alarm.resolved_at)
    if evidence is not None:
        document["evidence"] = [_evidence_document(piece) for piece in evidence]
    return _timed(document) | {"age": _seconds(now - alarm.first_at)}


def audit_document(row: AuditRow) -> dict[str, Any]:
    """What a person did."""
    return {
        "at": iso(row.at),
        "actor": row.actor,
        "action": row.action,
        "reason": row.reason,
        "detail": msgspec.json.decode(row.detail),
    }


def _evidence_document(piece: Evidence) -> dict[str, Any]:
    return {"first_at": iso(piece.at), "count": piece.count, "body": msgspec.json.decode(piece.body)}


def _stray_document(stray: Stray) -> dict[str, Any]:
    return {"at": iso(stray.at), "call_key": stray.call_key, "body": stray.body}


def _timed(document: dict[str, Any]) -> dict[str, Any]:
    return {
        name: iso(value) if name in _TIMES and isinstance(value, int) else value for name, value in document.items()
    }


def _seconds(micros: int) -> float:
    return round(micros / 1e6, 3)
