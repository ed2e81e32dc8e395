"""Alarms and their evidence in the user's database: one typed function for each statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from tieout.alarm.rules import (
    CLEARED,
    EVIDENCE_LIMIT,
    MACHINE,
    NEVER,
    SEVERITY,
    SUMMARY_LENGTH,
    AlarmState,
    Happening,
    NewAlarm,
    Severity,
    Standing,
    evidence_body,
    evidence_digest,
)
from tieout.contracts import Row, Transaction
from tieout.database.query import load
from tieout.identity import storable_text
from tieout.payloads import PLAIN, Payloads

LAST = NEVER
"""Later than every time: where a newest-first listing begins."""


class Alarm(msgspec.Struct, frozen=True):
    """One alarm; times are the server's, in microseconds. `wish` is what a first person asked for, as JSON.

    `opened_at` is when its latest pause until it escalates began; `parent` is the alarm that it is folded under.
    """

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
    owner: str | None
    snoozed_until: int | None
    escalation: int
    opened_at: int
    parent: bytes | None
    lane: str

    @property
    def standing(self) -> Standing:
        """What of it changes with time."""
        return Standing(self.state, self.escalation, self.opened_at, self.snoozed_until, self.parent)


class Event(msgspec.Struct, frozen=True):
    """Something that happened to an alarm: what, when, by whom, and why, if somebody gave a reason."""

    id: int
    alarm: bytes
    at: int
    happening: Happening
    actor: str
    note: str


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

    async def clear(self, tx: Transaction, alarm: bytes, why: str) -> bool:
        """Close an alarm whose cause went away by itself; False when it was not open."""
        ...


class AlarmStore:
    """Alarms over named SQL."""

    def __init__(self, dialect: str, payloads: Payloads = PLAIN) -> None:
        self.sql = load("tieout.alarm", dialect)
        self._payloads = payloads

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
            lane=alarm.lane,
        )
        is_new = row is not None and row[0] == 1
        brought_news = False
        for evidence in alarm.evidence:
            brought_news |= await self.add_evidence(tx, alarm.id, evidence)
        if is_new:
            await self.note(tx, alarm.id, "opened")
        elif brought_news or alarm.reopens:
            await self._tell_news(tx, alarm.id, brought_news=brought_news)
        return is_new or brought_news

    async def _tell_news(self, tx: Transaction, alarm: bytes, *, brought_news: bool) -> None:
        """Open a resolved alarm again, and wake a snoozed one if there is new evidence."""
        if await tx.execute(self.sql.reopen_alarm, id=alarm) == 1:
            await self.note(tx, alarm, "reopened")
        elif brought_news:
            await tx.execute(self.sql.wake_alarm, id=alarm)
            await self.note(tx, alarm, "news")

    async def add_evidence(self, tx: Transaction, alarm: bytes, evidence: dict[str, Any]) -> bool:
        """Keep one piece of evidence, True; a repetition of one raises its count, False.

        What is new beyond the limit is not kept, but is new all the same: True.
        """
        row = await tx.fetch_one(
            self.sql.add_evidence,
            alarm=alarm,
            digest=evidence_digest(evidence),
            body=self._payloads.stored(evidence_body(evidence)),
            limit=EVIDENCE_LIMIT,
        )
        return row is None or row[0] <= 1

    async def read(self, tx: Transaction, alarm: bytes) -> Alarm | None:
        """The alarm with this id, or None."""
        row = await tx.fetch_one(self.sql.read_alarm, id=alarm)
        return None if row is None else Alarm(*row)

    async def evidence(self, tx: Transaction, alarm: bytes) -> list[Evidence]:
        """What an alarm rests on, oldest first."""
        rows = await tx.fetch(self.sql.evidence_of, alarm=alarm)
        return [Evidence(digest, at, count, self._payloads.read(body)) for digest, at, count, body in rows]

    async def page(
        self,
        tx: Transaction,
        *,
        kind: str = "",
        state: str = "",
        owner: str = "",
        parent: bytes = b"",
        before: int = LAST,
        before_id: bytes = b"",
        limit: int = 50,
    ) -> list[Alarm]:
        """Alarms by last occurrence, newest first, from behind (`before`, `before_id`); empty filters mean any."""
        rows = await tx.fetch(
            self.sql.list_alarms,
            kind=kind,
            state=state,
            owner=owner,
            parent=parent,
            before=before,
            before_id=before_id,
            limit=limit,
        )
        return _alarms(rows)

    async def of_process(self, tx: Transaction, process: bytes) -> list[Alarm]:
        """The alarms about one process, oldest first."""
        return _alarms(await tx.fetch(self.sql.alarms_of, process=process))

    async def counts(self, tx: Transaction) -> list[AlarmCount]:
        """How many alarms are not resolved, by kind and state."""
        return [AlarmCount(*row) for row in await tx.fetch(self.sql.count_alarms)]

    async def note(self, tx: Transaction, alarm: bytes, happening: Happening, by: str = MACHINE, why: str = "") -> None:
        """Keep in an alarm's history what happened to it, to be told to whom it concerns."""
        await tx.execute(self.sql.add_alarm_event, alarm=alarm, happening=happening, actor=by, note=why)

    async def history(self, tx: Transaction, alarm: bytes, limit: int) -> list[Event]:
        """The latest of what happened to an alarm, oldest first."""
        rows = await tx.fetch(self.sql.events_of, alarm=alarm, limit=limit)
        return [Event(*row) for row in reversed(rows)]

    async def own(self, tx: Transaction, alarm: bytes, owner: str) -> bool:
        """Give it an owner, who looks after it; False when it was resolved."""
        return await tx.execute(self.sql.own_alarm, id=alarm, owner=owner) == 1

    async def acknowledge(self, tx: Transaction, alarm: bytes, by: str) -> bool:
        """Mark an open alarm as seen, and as owned by who did so unless it has an owner; False when it was not open."""
        return await tx.execute(self.sql.acknowledge_alarm, id=alarm, owner=by) == 1

    async def snooze(self, tx: Transaction, alarm: bytes, pause: int) -> bool:
        """Say nothing of it for `pause` microseconds; False when it was resolved."""
        return await tx.execute(self.sql.snooze_alarm, id=alarm, pause=pause) == 1

    async def resolve(self, tx: Transaction, alarm: bytes, resolution: str, note: str, by: str) -> bool:
        """Close it, and look at what is folded under it; False when it was closed already."""
        matched = await tx.execute(self.sql.resolve_alarm, id=alarm, resolution=resolution, note=note, resolved_by=by)
        if matched == 1:
            await tx.execute(self.sql.look_at_folded, parent=alarm)
            await self.note(tx, alarm, "resolved", by, note)
        return matched == 1

    async def clear(self, tx: Transaction, alarm: bytes, why: str) -> bool:
        """Close an alarm whose cause went away by itself; False when it was not open."""
        return await self.resolve(tx, alarm, CLEARED, why, MACHINE)

    async def record_wish(self, tx: Transaction, alarm: bytes, wish: str) -> bool:
        """Keep what a first person asked for, until a second one asks for the same."""
        return await tx.execute(self.sql.record_wish, id=alarm, wish=wish) == 1

    async def now(self, tx: Transaction) -> int:
        """The server's time."""
        row = await tx.fetch_one(self.sql.alarm_time)
        return 0 if row is None else int(row[0])

    async def due(self, tx: Transaction, limit: int) -> list[Alarm]:
        """Alarms that have to be looked at, because their time has come."""
        return _alarms(await tx.fetch(self.sql.due_alarms, limit=limit))

    async def tend(self, tx: Transaction, alarm: Alarm, standing: Standing, attention: int) -> bool:
        """Store how an alarm stands; False when somebody has changed that since it was read."""
        matched = await tx.execute(
            self.sql.tend_alarm,
            id=alarm.id,
            state=alarm.state,
            was_escalation=alarm.escalation,
            was_opened_at=alarm.opened_at,
            was_snoozed=alarm.snoozed_until or 0,
            escalation=standing.escalation,
            opened_at=standing.opened_at,
            snoozed_until=standing.snoozed_until,
            parent=standing.parent,
            attention=attention,
        )
        return matched == 1

    async def fold(self, tx: Transaction, alarm: bytes, parent: bytes) -> bool:
        """Fold an open alarm under another one that is not resolved; False when either is not so."""
        return await tx.execute(self.sql.fold_alarm, id=alarm, parent=parent) == 1

    async def untold(self, tx: Transaction, limit: int) -> list[Event]:
        """What happened and was not told to anybody yet, oldest first."""
        return [Event(*row) for row in await tx.fetch(self.sql.untold_events, limit=limit)]

    async def told(self, tx: Transaction, events: Sequence[Event]) -> None:
        """Remember that these were told."""
        await tx.execute_many(self.sql.event_told, [{"id": event.id} for event in events])


def _alarms(rows: Sequence[Row]) -> list[Alarm]:
    return [Alarm(*row) for row in rows]
