"""Alarms and their evidence in the user's database: one typed function for each statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import msgspec

from tieout.alarm.rules import (
    EVIDENCE_LIMIT,
    SEVERITY,
    SUMMARY_LENGTH,
    NewAlarm,
    Severity,
    evidence_body,
    evidence_digest,
)
from tieout.contracts import Row, Transaction
from tieout.database.query import load
from tieout.identity import storable_text

AlarmState = Literal["open", "acknowledged", "resolved"]

LAST = 1 << 62
"""Later than every time: where a newest-first listing begins."""


class Alarm(msgspec.Struct, frozen=True):
    """One alarm; times are the server's, in microseconds. `wish` is what a first person asked for, as JSON."""

    id: bytes
    kind: str
    object: str
    process: bytes | None
    severity: Severity
    state: AlarmState
    summary: str
    count: int
    first_at: int
    last_at: int
    wish: str | None
    resolution: str | None
    note: str | None
    resolved_by: str | None
    resolved_at: int | None


class AlarmCount(msgspec.Struct, frozen=True):
    """How many alarms of a kind are in a state, and when the first of them came (the server's microseconds)."""

    kind: str
    state: AlarmState
    alarms: int
    oldest: int


class Evidence(msgspec.Struct, frozen=True):
    """One piece of evidence: JSON, when it first came, and how often."""

    digest: str
    at: int
    count: int
    body: str


class AlarmRaiser(Protocol):
    """What engines ask of the alarms: to be raised within a transaction of theirs."""

    async def raise_alarm(self, tx: Transaction, alarm: NewAlarm) -> bool:
        """Raise it, or raise the count of the one there is.

        True when that says something new: there was none, or it did not have this evidence. New evidence reopens a
        resolved alarm; what it had already does not.
        """
        ...


class AlarmStore:
    """Alarms over named SQL."""

    def __init__(self, dialect: str) -> None:
        self.sql = load("tieout.alarm", dialect)

    async def raise_alarm(self, tx: Transaction, alarm: NewAlarm) -> bool:
        """Raise it, or raise the count of the one there is; True when that says something new."""
        row = await tx.fetch_one(
            self.sql.raise_alarm,
            id=alarm.id,
            kind=alarm.kind,
            object=alarm.object,
            process=alarm.process,
            severity=SEVERITY[alarm.kind],
            summary=storable_text(alarm.summary, SUMMARY_LENGTH),
        )
        is_new = row is not None and row[0] == 1
        brought_news = False
        for evidence in alarm.evidence:
            brought_news |= await self.add_evidence(tx, alarm.id, evidence)
        if brought_news and not is_new:
            await tx.execute(self.sql.reopen_alarm, id=alarm.id)
        return is_new or brought_news

    async def add_evidence(self, tx: Transaction, alarm: bytes, evidence: dict[str, Any]) -> bool:
        """Keep one piece of evidence, True; a repetition of one raises its count, False.

        What is new beyond the limit is not kept, but is new all the same: True.
        """
        row = await tx.fetch_one(
            self.sql.add_evidence,
            alarm=alarm,
            digest=evidence_digest(evidence),
            body=evidence_body(evidence),
            limit=EVIDENCE_LIMIT,
        )
        return row is None or row[0] <= 1

    async def read(self, tx: Transaction, alarm: bytes) -> Alarm | None:
        """The alarm with this id, or None."""
        row = await tx.fetch_one(self.sql.read_alarm, id=alarm)
        return None if row is None else Alarm(*row)

    async def evidence(self, tx: Transaction, alarm: bytes) -> list[Evidence]:
        """What an alarm rests on, oldest first."""
        return [Evidence(*row) for row in await tx.fetch(self.sql.evidence_of, alarm=alarm)]

    async def page(
        self,
        tx: Transaction,
        *,
        kind: str = "",
        state: str = "",
        before: int = LAST,
        before_id: bytes = b"",
        limit: int = 50,
    ) -> list[Alarm]:
        """Alarms by last occurrence, newest first, from behind (`before`, `before_id`)."""
        rows = await tx.fetch(
            self.sql.list_alarms, kind=kind, state=state, before=before, before_id=before_id, limit=limit
        )
        return _alarms(rows)

    async def of_process(self, tx: Transaction, process: bytes) -> list[Alarm]:
        """The alarms about one process, oldest first."""
        return _alarms(await tx.fetch(self.sql.alarms_of, process=process))

    async def counts(self, tx: Transaction) -> list[AlarmCount]:
        """How many alarms are not resolved, by kind and state."""
        return [AlarmCount(*row) for row in await tx.fetch(self.sql.count_alarms)]

    async def acknowledge(self, tx: Transaction, alarm: bytes) -> bool:
        """Mark an open alarm as seen; False when it was not open."""
        return await tx.execute(self.sql.acknowledge_alarm, id=alarm) == 1

    async def resolve(self, tx: Transaction, alarm: bytes, resolution: str, note: str, by: str) -> bool:
        """Close it; False when it was closed already."""
        matched = await tx.execute(self.sql.resolve_alarm, id=alarm, resolution=resolution, note=note, resolved_by=by)
        return matched == 1

    async def record_wish(self, tx: Transaction, alarm: bytes, wish: str) -> bool:
        """Keep what a first person asked for, until a second one asks for the same."""
        return await tx.execute(self.sql.record_wish, id=alarm, wish=wish) == 1


def _alarms(rows: Sequence[Row]) -> list[Alarm]:
    return [Alarm(*row) for row in rows]
