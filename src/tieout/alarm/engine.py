"""What a person may do with an alarm; each act is audited, with its reason, in the transaction of its effect."""

from __future__ import annotations

from typing import NamedTuple

from tieout.alarm.rules import RESOLUTIONS
from tieout.alarm.store import LAST, Alarm, AlarmStore, Evidence
from tieout.audit.store import AuditStore
from tieout.contracts import Database, Transaction
from tieout.errors import NotAllowed, UnknownAlarm


class AlarmDetail(NamedTuple):
    """An alarm and what it rests on."""

    alarm: Alarm
    evidence: list[Evidence]


class Alarms:
    """Alarms, listed, shown, acknowledged, resolved."""

    def __init__(self, database: Database, store: AlarmStore, audit: AuditStore) -> None:
        self.database = database
        self.store = store
        self.audit = audit

    async def list(
        self, *, kind: str = "", state: str = "", before: int = LAST, before_id: bytes = b"", limit: int = 50
    ) -> list[Alarm]:
        """Alarms by last occurrence, newest first, from behind (`before`, `before_id`)."""
        return await self.database.read(
            lambda tx: self.store.page(tx, kind=kind, state=state, before=before, before_id=before_id, limit=limit)
        )

    async def show(self, alarm: bytes) -> AlarmDetail:
        """One alarm with its evidence; raise `UnknownAlarm`."""

        async def work(tx: Transaction) -> AlarmDetail:
            return AlarmDetail(await self._read(tx, alarm), await self.store.evidence(tx, alarm))

        return await self.database.read(work)

    async def acknowledge(self, alarm: bytes, *, actor: str, reason: str) -> Alarm:
        """Say that a person looks after it."""

        async def work(tx: Transaction) -> Alarm:
            found = await self._read(tx, alarm)
            if not await self.store.acknowledge(tx, alarm):
                raise NotAllowed(f"only an open alarm can be acknowledged; this one is {found.state}")
            await self._note(tx, found, "acknowledge", actor, reason, "")
            return await self._read(tx, alarm)

        return await self.database.transact(work)

    async def resolve(self, alarm: bytes, resolution: str, *, actor: str, reason: str) -> Alarm:
        """Close it, with one of `RESOLUTIONS`; the evidence stays."""
        if resolution not in RESOLUTIONS:
            raise NotAllowed(f"{resolution!r} is no resolution: choose one of {', '.join(RESOLUTIONS)}")

        async def work(tx: Transaction) -> Alarm:
            found = await self._read(tx, alarm)
            if not await self.store.resolve(tx, alarm, resolution, reason, actor):
                raise NotAllowed("this alarm is resolved already")
            await self._note(tx, found, "resolve", actor, reason, resolution)
            return await self._read(tx, alarm)

        return await self.database.transact(work)

    async def _read(self, tx: Transaction, alarm: bytes) -> Alarm:
        found = await self.store.read(tx, alarm)
        if found is None:
            raise UnknownAlarm(f"there is no alarm {alarm.hex()}")
        return found

    async def _note(self, tx: Transaction, alarm: Alarm, action: str, actor: str, reason: str, resolution: str) -> None:
        if not actor.strip() or not reason.strip():
            raise NotAllowed("say who you are (actor) and why (reason): both are kept in the audit")
        detail = {"kind": alarm.kind, "object": alarm.object, "resolution": resolution}
        await self.audit.add(
            tx, actor=actor, action=f"alarm-{action}", target=alarm.id.hex(), reason=reason, detail=detail
        )
