"""Looks after alarms as time passes, and writes what happened to them into the outbox, for each route that takes it.

One node at a time does so, under a lease. What is told is written in the transaction that notes it as told: nothing is
lost, and nothing is written twice. A route's messages of one alarm have the alarm's id as key, and arrive in order.
"""

from __future__ import annotations

from functools import partial

from tieout.alarm.notify.routing import CHANNEL, STALE, AlarmSettings, Notice, envelope
from tieout.alarm.rules import FOLDED, NewAlarm, tend
from tieout.alarm.store import Alarm, AlarmStore, Event
from tieout.config import iso
from tieout.contracts import Clock, Database, Transaction
from tieout.coordination.lease import Lease, Leases, LostLease
from tieout.messages import Outbox

BATCH = 200
"""Alarms and events looked at in one transaction."""

LEASE_SECONDS = 30.0
"""For how long one node alone does this; another takes over that much later when it dies."""


class Telling:
    """What one node does for alarms in one round."""

    def __init__(
        self, database: Database, store: AlarmStore, outbox: Outbox, clock: Clock, node: str, settings: AlarmSettings
    ) -> None:
        self.database = database
        self.store = store
        self.outbox = outbox
        self.settings = settings
        self.leases = Leases(database, clock, node, LEASE_SECONDS)
        self.pauses = settings.pauses()
        self._lease: Lease | None = None

    async def round(self) -> bool:
        """Look after what is due and tell what happened; whether there may be more to do at once."""
        if self._lease is None:
            self._lease = await self.leases.take("alarms")
        if self._lease is None or not await self.database.read(self._has_work):
            return False
        try:
            self._lease, done = await self.database.transact(partial(self._work, lease=self._lease))
        except LostLease:
            self._lease = None
            return False
        return done >= BATCH

    async def release(self) -> None:
        """Let another node do it at once."""
        lease, self._lease = self._lease, None
        if lease is not None:
            await self.leases.release(lease)

    async def _has_work(self, tx: Transaction) -> bool:
        return bool(await self.store.due(tx, 1) or await self.store.untold(tx, 1))

    async def _work(self, tx: Transaction, lease: Lease) -> tuple[Lease, int]:
        guarded = await self.leases.guard(tx, lease)
        now = await self.store.now(tx)
        due = await self.store.due(tx, BATCH)
        for alarm in due:
            await self._tend(tx, alarm, now)
        events = await self.store.untold(tx, BATCH)
        alarms: dict[bytes, Alarm | None] = {}
        for event in events:
            if event.alarm not in alarms:
                alarms[event.alarm] = await self.store.read(tx, event.alarm)
            raised = alarms[event.alarm]
            if raised is not None and await self._fold(tx, raised, event):
                alarms[event.alarm] = await self.store.read(tx, event.alarm)
            elif raised is not None:
                await self._tell(tx, raised, event, now)
        await self.store.told(tx, events)
        return guarded, max(len(due), len(events))

    async def _tend(self, tx: Transaction, alarm: Alarm, now: int) -> None:
        parent = None if alarm.parent is None else await self.store.read(tx, alarm.parent)
        parent_is_open = parent is not None and parent.state != "resolved"
        pause, levels = self.pauses[alarm.severity], self.settings.escalations
        tended = tend(alarm.standing, parent_is_open=parent_is_open, pause=pause, levels=levels, now=now)
        kept = await self.store.tend(tx, alarm, tended.standing, tended.attention)
        if kept and tended.happening is not None:
            await self.store.note(tx, alarm.id, tended.happening)

    async def _fold(self, tx: Transaction, alarm: Alarm, event: Event) -> bool:
        """Fold an alarm that has just opened under that of its lane's breaker, if that stands."""
        if event.happening not in ("opened", "reopened") or alarm.kind not in FOLDED or not alarm.lane:
            return False
        parent = NewAlarm("breaker", alarm.lane, "").id
        if not await self.store.fold(tx, alarm.id, parent):
            return False
        await self.store.note(tx, alarm.id, "folded")
        return True

    async def _tell(self, tx: Transaction, alarm: Alarm, event: Event, now: int) -> None:
        if alarm.parent is not None or (alarm.state == "resolved" and event.at < now - STALE):
            return
        body = envelope(notice(alarm, event, self.settings.link))
        for name, route in self.settings.routes.items():
            if route.takes(event.happening, alarm.kind, alarm.severity, alarm.owner, alarm.escalation):
                await self.outbox.add(tx, f"{CHANNEL}{name}/{alarm.kind}", body, key=alarm.id.hex())


def notice(alarm: Alarm, event: Event, link: str) -> Notice:
    """What is told of something that happened to an alarm."""
    return Notice(
        id=alarm.id.hex(),
        happening=event.happening,
        kind=alarm.kind,
        severity=alarm.severity,
        state=alarm.state,
        object=alarm.object,
        process=None if alarm.process is None else alarm.process.hex(),
        summary=alarm.summary,
        count=alarm.count,
        owner=alarm.owner,
        escalation=alarm.escalation,
        at=iso(event.at),
        actor=event.actor,
        note=event.note,
        resolution=alarm.resolution,
        link=link.replace("{id}", alarm.id.hex()),
    )
