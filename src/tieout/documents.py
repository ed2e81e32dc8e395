"""Processes, alarms and the audit as documents: what the HTTP API and `--json` tell. Times are ISO 8601 in UTC."""

from __future__ import annotations

from typing import Any

import msgspec

from tieout.alarm.engine import AlarmDetail
from tieout.alarm.rules import Happening
from tieout.alarm.store import Alarm, Event, Evidence
from tieout.audit.engine import Verified
from tieout.audit.rules import AuditRow, Wrong
from tieout.config import iso
from tieout.identity import call_key, split_owner
from tieout.process.inspecting import Inspection
from tieout.process.record import Entry, FinalClaim, Record, Transition
from tieout.process.store import Stray


class ClaimDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """A final outcome that somebody claimed for a call."""

    kind: str
    source: str
    by: str
    at: str
    value: Any = None
    code: str = ""
    detail: str = ""
    identity: dict[str, str] = {}
    mismatch: tuple[str, ...] = ()


class CallDocument(msgspec.Struct, frozen=True):
    """One call: its number and key, the step and arguments, and the first final claim."""

    n: int
    key: str
    step: str
    args: Any
    closed: bool
    opened: str
    sent: str | None
    final: ClaimDocument | msgspec.UnsetType = msgspec.UNSET


class MoveDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """One move of a process: to which state, when, who began it, what brought it, from which call."""

    to: str
    at: str
    source: str
    by: str
    n: int = 0
    actor: str = ""


class ProcessDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A process as it stood when it was read. `age` is in seconds.

    `unreadable`, which most have not, names fields that are empty because what is stored cannot be read here: it was
    written by a payload codec that is not given, or by newer code.
    """

    id: str
    type: str
    client: str
    owner: str
    key: str
    state: str
    status: str
    result: Any
    note: str | None
    params: dict[str, Any]
    snapshots: dict[str, Any]
    calls: list[CallDocument]
    trail: list[MoveDocument]
    attempts: int
    errors: int
    duplicates: int
    version: int
    fence: int
    wish: dict[str, Any] | None
    parent: str | None
    due: str | None
    lane: str | None
    created: str
    changed: str
    deadline: str | None
    age: float
    unreadable: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class EvidenceDocument(msgspec.Struct, frozen=True):
    """One piece of evidence, when it first came, and how often."""

    first_at: str
    count: int
    body: Any


class EventDocument(msgspec.Struct, frozen=True):
    """Something that happened to an alarm, by whom, and why if somebody gave a reason."""

    at: str
    happening: Happening
    actor: str
    note: str


class AlarmDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What machines could not decide. `age` is in seconds; `evidence` and `history` are there where one is shown."""

    id: str
    kind: str
    object: str
    process: str | None
    severity: str
    state: str
    summary: str
    count: int
    first_at: str
    last_at: str
    wish: dict[str, Any] | None
    resolution: str | None
    note: str | None
    resolved_by: str | None
    resolved_at: str | None
    owner: str | None
    snoozed_until: str | None
    escalation: int
    parent: str | None
    lane: str
    age: float
    evidence: list[EvidenceDocument] | msgspec.UnsetType = msgspec.UNSET
    history: list[EventDocument] | msgspec.UnsetType = msgspec.UNSET


class ActDocument(msgspec.Struct, frozen=True):
    """What a person did."""

    at: str
    actor: str
    action: str
    reason: str
    detail: Any


class AuditEntry(ActDocument, frozen=True):
    """One act: its number, what it was done to, its place in the chain, and the digest that chains it."""

    seq: int
    object: str
    number: int | None
    digest: str | None


class FaultDocument(msgspec.Struct, frozen=True):
    """What is wrong with rows `first` to `last` of the chain, or with the row `seq`."""

    wrong: Wrong
    first: int | None
    last: int | None
    seq: int | None
    told: str


class VerifiedDocument(msgspec.Struct, frozen=True):
    """What a check of the audit has found; `end` is the anchor of the last row that was looked at."""

    intact: bool
    complete: bool
    chained: int
    early: int
    end: str
    fault_count: int
    faults: list[FaultDocument]


class StrayDocument(msgspec.Struct, frozen=True):
    """A report that came before its call was known."""

    at: str
    call_key: str
    body: str


class InspectionDocument(ProcessDocument, frozen=True, kw_only=True):
    """A process with its alarms, the acts of persons, and the reports that came before their call was known."""

    alarms: list[AlarmDocument]
    audit: list[ActDocument]
    early_reports: list[StrayDocument]


def iso_or_none(moment: int | None) -> str | None:
    """A moment that may not have come."""
    return None if moment is None else iso(moment)


def process_document(record: Record) -> ProcessDocument:
    """A process, without what only the engine needs."""
    return ProcessDocument(**_fields(record))


def inspection_document(inspection: Inspection) -> InspectionDocument:
    """A process with what else is known of it."""
    record, alarms, evidence, audit, strays = inspection
    return InspectionDocument(
        **_fields(record),
        alarms=[alarm_document(alarm, evidence[alarm.id], record.now) for alarm in alarms],
        audit=[act_document(row) for row in audit],
        early_reports=[_stray_document(stray) for stray in strays],
    )


def detail_document(detail: AlarmDetail, now: int) -> AlarmDocument:
    """An alarm with its evidence and its history."""
    alarm, evidence, history = detail
    return msgspec.structs.replace(alarm_document(alarm, evidence, now), history=[*map(_event_document, history)])


def alarm_document(alarm: Alarm, evidence: list[Evidence] | None, now: int) -> AlarmDocument:
    """An alarm, with its evidence unless that is None."""
    return AlarmDocument(
        id=alarm.id.hex(),
        kind=alarm.kind,
        object=alarm.object,
        process=alarm.process.hex() if alarm.process else None,
        severity=alarm.severity,
        state=alarm.state,
        summary=alarm.summary,
        count=alarm.count,
        first_at=iso(alarm.first_at),
        last_at=iso(alarm.last_at),
        wish=_json_or_none(alarm.wish),
        resolution=alarm.resolution,
        note=alarm.note,
        resolved_by=alarm.resolved_by,
        resolved_at=iso_or_none(alarm.resolved_at),
        owner=alarm.owner,
        snoozed_until=iso_or_none(alarm.snoozed_until),
        escalation=alarm.escalation,
        parent=alarm.parent.hex() if alarm.parent else None,
        lane=alarm.lane,
        age=_seconds(now - alarm.first_at),
        evidence=msgspec.UNSET if evidence is None else [_evidence_document(piece) for piece in evidence],
    )


def act_document(row: AuditRow) -> ActDocument:
    """What a person did."""
    return ActDocument(iso(row.at), row.actor, row.action, row.reason, msgspec.json.decode(row.detail))


def audit_entry(row: AuditRow) -> AuditEntry:
    """One row of the audit."""
    act = act_document(row)
    digest = None if row.digest is None else row.digest.hex()
    return AuditEntry(act.at, act.actor, act.action, act.reason, act.detail, row.seq, row.object, row.number, digest)


def verified_document(found: Verified) -> VerifiedDocument:
    """What a check of the audit has found."""
    return VerifiedDocument(
        intact=not found.fault_count,
        complete=found.complete,
        chained=found.chained,
        early=found.early,
        end=str(found.end) if found.end.number else "",
        fault_count=found.fault_count,
        faults=[FaultDocument(*msgspec.structs.astuple(fault)) for fault in found.faults],
    )


def _fields(record: Record) -> dict[str, Any]:
    client, owner = split_owner(record.owner)
    return {
        "id": record.id.hex(),
        "type": record.type,
        "client": client,
        "owner": owner,
        "key": record.request_key.decode(errors="replace"),
        "state": record.state,
        "status": record.status,
        "result": _json_or_none(record.result),
        "note": record.note,
        "params": msgspec.json.decode(record.params),
        "snapshots": msgspec.json.decode(record.snapshots),
        "calls": [_call_document(record, entry) for entry in record.calls],
        "trail": [_move_document(move) for move in record.trail],
        "attempts": record.attempts,
        "errors": record.errors,
        "duplicates": record.duplicates,
        "version": record.version,
        "fence": record.fence,
        "wish": _json_or_none(record.wish),
        "parent": None if record.parent is None else record.parent.hex(),
        "due": iso_or_none(record.due),
        "lane": record.lane,
        "created": iso(record.created),
        "changed": iso(record.changed),
        "deadline": iso_or_none(record.deadline),
        "age": _seconds(record.now - record.created),
        "unreadable": record.unreadable or msgspec.UNSET,
    }


def _call_document(record: Record, entry: Entry) -> CallDocument:
    return CallDocument(
        entry.n,
        call_key(record.id, entry.n),
        entry.step,
        msgspec.json.decode(entry.args),
        entry.closed,
        iso(entry.opened or record.created),
        iso_or_none(entry.sent),
        msgspec.UNSET if entry.final is None else claim_document(entry.final),
    )


def claim_document(claim: FinalClaim) -> ClaimDocument:
    """A claim, its time as text."""
    return ClaimDocument(
        claim.kind,
        claim.source,
        claim.by,
        iso(claim.at),
        claim.value,
        claim.code,
        claim.detail,
        claim.identity,
        claim.mismatch,
    )


def _move_document(move: Transition) -> MoveDocument:
    return MoveDocument(move.to, iso(move.at), move.source, move.by, move.n, move.actor)


def _evidence_document(piece: Evidence) -> EvidenceDocument:
    return EvidenceDocument(iso(piece.at), piece.count, msgspec.json.decode(piece.body))


def _event_document(event: Event) -> EventDocument:
    return EventDocument(iso(event.at), event.happening, event.actor, event.note)


def _stray_document(stray: Stray) -> StrayDocument:
    return StrayDocument(iso(stray.at), stray.call_key, stray.body)


def _json_or_none(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)


def _seconds(micros: int) -> float:
    return round(micros / 1e6, 3)
