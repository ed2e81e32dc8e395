"""What a person may do with an alarm; each act is audited, with its reason, in the transaction of its effect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from tieout.alarm.rules import (
    LONGEST_SNOOZE,
    OWNER_LENGTH,
    RESOLUTIONS,
    SECOND_PERSON,
    Happening,
    is_seconded,
    wish_text,
)
from tieout.alarm.store import LAST, Alarm, AlarmStore, Event, Evidence
from tieout.audit.store import AuditStore
from tieout.contracts import Database, Transaction
from tieout.errors import ApprovalNeeded, InvalidParams, NotAllowed, UnknownAlarm

HISTORY = 200
"""Events of an alarm that are shown: the latest ones."""

T = TypeVar("T")


class AlarmDetail(NamedTuple):
    """An alarm, what it rests on, and what happened to it."""

    alarm: Alarm
    evidence: list[Evidence]
    history: list[Event]


class Alarms:
    """Alarms, listed and shown; acknowledged, owned, snoozed and resolved.

    Alarms of a kind in `second_person` are resolved by two: the first one's wish is recorded until another person asks
    for the same resolution.
    """

    def __init__(self, database: Database, store: AlarmStore, audit: AuditStore) -> None:
        self.database = database
        self.store = store
        self.audit = audit
        self.second_person = SECOND_PERSON

    async def list(
        self,
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
        return await self.database.read(
            lambda tx: self.store.page(
                tx,
                kind=kind,
                state=state,
                owner=owner,
                parent=parent,
                before=before,
                before_id=before_id,
                limit=limit,
            )
        )

    async def show(self, alarm: bytes) -> AlarmDetail:
        """One alarm with its evidence and its history; raise `UnknownAlarm`."""

        async def work(tx: Transaction) -> AlarmDetail:
            found = await self._read(tx, alarm)
            return AlarmDetail(
                found, await self.store.evidence(tx, alarm), await self.store.history(tx, alarm, HISTORY)
            )

        return await self.database.read(work)

    async def acknowledge(self, alarm: bytes, *, actor: str, reason: str) -> Alarm:
        """Say that a person looks after it: it escalates no more, and is theirs unless it has an owner."""

        async def work(tx: Transaction, found: Alarm) -> None:
            if not await self.store.acknowledge(tx, alarm, actor[:OWNER_LENGTH]):
                raise NotAllowed(f"only an open alarm can be acknowledged; this one is {found.state}")
            await self._note(tx, found, "acknowledged", "acknowledge", actor, reason)

        return await self._change(alarm, work)

    async def own(self, alarm: bytes, owner: str, *, actor: str, reason: str) -> Alarm:
        """Give it an owner, who looks after it from now on; an open alarm is acknowledged with that."""
        if not owner.strip() or len(owner) > OWNER_LENGTH or not owner.isprintable():
            raise InvalidParams(f"an owner is a name of at most {OWNER_LENGTH} printable characters")

        async def work(tx: Transaction, found: Alarm) -> None:
            if not await self.store.own(tx, alarm, owner):
                raise NotAllowed("a resolved alarm needs no owner")
            await self._note(tx, found, "owned", "own", actor, reason, owner=owner)

        return await self._change(alarm, work)

    async def snooze(self, alarm: bytes, pause: int, *, actor: str, reason: str) -> Alarm:
        """Say nothing of it for `pause` microseconds, unless new evidence comes; then it is told again."""
        if not 0 < pause <= LONGEST_SNOOZE:
            raise InvalidParams("an alarm is snoozed for more than nothing and at most 30 days")

        async def work(tx: Transaction, found: Alarm) -> None:
            if not await self.store.snooze(tx, alarm, pause):
                raise NotAllowed("a resolved alarm says nothing anyway")
            await self._note(tx, found, "snoozed", "snooze", actor, reason, pause=pause)

        return await self._change(alarm, work)

    async def resolve(self, alarm: bytes, resolution: str, *, actor: str, reason: str) -> Alarm:
        """Close it, with one of `RESOLUTIONS`; the evidence stays.

        Raise `ApprovalNeeded` where it takes a second person, who has to ask for the same: the wish is recorded.
        """
        if resolution not in RESOLUTIONS:
            raise NotAllowed(f"{resolution!r} is no resolution: choose one of {', '.join(RESOLUTIONS)}")
        wish = {"resolution": resolution}

        async def work(tx: Transaction, found: Alarm) -> ApprovalNeeded | None:
            if found.state == "resolved":
                raise NotAllowed("this alarm is resolved already")
            if found.kind in self.second_person and not is_seconded(found.wish, wish, actor):
                await self.store.record_wish(tx, alarm, wish_text(wish, actor, reason))
                await self._note(tx, found, "wished", "resolve-wish", actor, reason, resolution=resolution)
                return ApprovalNeeded(f"recorded: a second person has to resolve this alarm as {resolution} too")
            if not await self.store.resolve(tx, alarm, resolution, reason, actor):
                raise NotAllowed("this alarm is resolved already")
            await self._audit(tx, found, "resolve", actor, reason, resolution=resolution)
            return None

        resolved, wished = await self._act(alarm, work)
        if wished is not None:
            raise wished
        return resolved

    async def _change(self, alarm: bytes, work: Callable[[Transaction, Alarm], Awaitable[None]]) -> Alarm:
        return (await self._act(alarm, work))[0]

    async def _act(self, alarm: bytes, work: Callable[[Transaction, Alarm], Awaitable[T]]) -> tuple[Alarm, T]:
        """Do something to an alarm that is there; the alarm after that."""

        async def act(tx: Transaction) -> tuple[Alarm, T]:
            done = await work(tx, await self._read(tx, alarm))
            return await self._read(tx, alarm), done

        return await self.database.transact(act)

    async def _read(self, tx: Transaction, alarm: bytes) -> Alarm:
        found = await self.store.read(tx, alarm)
        if found is None:
            raise UnknownAlarm(f"there is no alarm {alarm.hex()}")
        return found

    async def _note(
        self, tx: Transaction, alarm: Alarm, happening: Happening, action: str, actor: str, reason: str, **more: Any
    ) -> None:
        await self.store.note(tx, alarm.id, happening, actor, reason)
        await self._audit(tx, alarm, action, actor, reason, **more)

    async def _audit(self, tx: Transaction, alarm: Alarm, action: str, actor: str, reason: str, **more: Any) -> None:
        if not actor.strip() or not reason.strip():
            raise NotAllowed("say who you are (actor) and why (reason): both are kept in the audit")
        detail = {"kind": alarm.kind, "object": alarm.object, **more}
        await self.audit.add(
            tx, actor=actor, action=f"alarm-{action}", target=alarm.id.hex(), reason=reason, detail=detail
        )
