"""The ways on that belong to a worker: the call at once, the query after it, and what a claimed process needs."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, TypeAlias

import msgspec

from tieout import tracing
from tieout.alarm.rules import NewAlarm
from tieout.contracts import Transaction
from tieout.process.call_type import CallType
from tieout.process.calls import Calls
from tieout.process.family import Family
from tieout.process.fitting import why_lost
from tieout.process.gate import Gate, Report
from tieout.process.landing import call_of, with_entry
from tieout.process.moving import Cause, LostError, Receipt
from tieout.process.outcomes import Failed, NotFound, NotSentYet, Pending, Reported, Succeeded
from tieout.process.record import By, Child, Entry, Record, Source
from tieout.process.rules import (
    Apply,
    Hold,
    HoldReason,
    Query,
    Rest,
    Send,
    after_not_found,
    delay,
    key_is_valid,
    next_move,
    note_of,
)
from tieout.process.wait_type import ChildrenType, JoinType, TimerType
from tieout.process.world import World, log


class FollowUp(NamedTuple):
    """A process whose call `n` is unknown: continue with it after `wait` seconds."""

    record: Record
    n: int
    wait: float


class Fork(NamedTuple):
    """A process with several things to do at a time: begin each branch, in any order, beside the others."""

    record: Record
    branches: tuple[Callable[[], Awaitable[CameTo]], ...]


CameTo: TypeAlias = Record | FollowUp | Fork
"""Where a process came to: to rest, or to what somebody has to do next."""


class Driving:
    """Moves processes on. Everything that it learns enters the gate; only claiming and sending need a lease."""

    def __init__(self, world: World, gate: Gate, calls: Calls, family: Family) -> None:
        self.world = world
        self.gate = gate
        self.calls = calls
        self.family = family

    async def at_once(self, record: Record, ends: float = math.inf) -> CameTo:
        """Do what a process that was just written by us needs next, and go on while it moves.

        A call that may take until after `ends`, by the clock, is left to somebody else.
        """
        while record.status == "running":
            state = self.world.types[record.type].states.get(record.state)
            match state:
                case CallType() as call if self.world.clock.monotonic() + call.rules.timeout / 1e6 > ends:
                    return Fork(record, (partial(self.at_once, record),))
                case CallType():
                    came_to = await self.try_call(record, record.calls[-1].n)
                case JoinType():
                    numbers = [entry.n for entry in record.open_entries]
                    return Fork(record, tuple(partial(self.try_call_and_go_on, record, n) for n in numbers))
                case TimerType() if record.due is not None and record.due <= record.now:
                    came_to = await self.gate.go_on(record, Cause("immediate", "timer"))
                case ChildrenType():
                    return await self._start_children(record)
                case _:
                    return record
            if not isinstance(came_to, Receipt):
                return came_to
            record = came_to.record
            if came_to.effect != "advanced":
                break
        return record

    async def try_call_and_go_on(self, record: Record, n: int) -> CameTo:
        """Make one of several open calls, and go on if it was the last to become final."""
        came_to = await self.try_call(record, n)
        return await self.after(came_to) if isinstance(came_to, Receipt) else came_to

    async def try_call(self, record: Record, n: int) -> Receipt | Record | FollowUp:
        """Send an open call of a process that we hold: what its final answer did, or how to come back to it."""
        held = self._open_call(record, n)
        if held is None:
            return record
        entry, call = held
        if self.world.breakers.is_open(call.lane, self.world.clock.monotonic()):
            return record
        if not call.rules.idempotent:
            if entry.sent is not None:
                return record
            marked = await self.calls.mark_sent(record, entry, call)
            if marked is None:
                return record
            record, entry = marked
        if not self.calls.has_lease(record, call):
            return record
        outcome = await self.calls.send(record, entry, call, "immediate")
        receipt = await self._report(record, entry, outcome, "immediate", "call")
        return await self._come_back(record, entry, call, outcome) if receipt is None else receipt

    async def follow_up(self, unknown: FollowUp) -> CameTo:
        """Query a call that is unknown, once, and go on if that moves the process; the rest is the sweep's."""
        record = unknown.record
        held = self._open_call(record, unknown.n)
        if held is None or held[1].query is None or not self.calls.has_lease(record, held[1]):
            return record
        entry, call = held
        outcome = await self.calls.query(record, entry, call, "query")
        return await self.reported(record, entry, outcome, "query", "query")

    async def reported(self, record: Record, entry: Entry, outcome: Reported, source: Source, by: By) -> CameTo:
        """Bring an outcome to the gate, if it is final, and go on while that moves the process."""
        receipt = await self._report(record, entry, outcome, source, by)
        return record if receipt is None else await self.after(receipt)

    async def take_over(self, record: Record) -> CameTo:
        """Do what a claimed process needs next, and go on while it moves."""
        attributes = {"tieout.process": record.id.hex(), "tieout.attempts": record.attempts}
        with tracing.span(f"sweep {record.type}", record.trace, "internal", attributes):
            return await self._taken_over(record)

    async def _taken_over(self, record: Record) -> CameTo:
        await self._check_deadline(record)
        if why := why_lost(self.world.types[record.type], record):
            await self._hold(record, "unknown-state", why)
            return record
        match self.world.types[record.type].states[record.state]:
            case TimerType() as timer:
                return await self._time(record, timer)
            case ChildrenType():
                return await self._gather(record)
            case _:
                return await self._take_over_calls(record)

    async def _take_over_calls(self, record: Record) -> CameTo:
        """Look after each open call in turn; stop as soon as the process has moved, or is somebody else's."""
        came_to: CameTo = record
        for n in [entry.n for entry in record.open_entries]:
            held = self._open_call(record, n)
            if held is None or not self.calls.has_lease(record, held[1]):
                break
            if self.world.breakers.is_open(held[1].lane, self.world.clock.monotonic()):
                continue
            came_to = await self._take_over_call(record, *held)
            if not isinstance(came_to, Record) or (came_to.state, came_to.status) != (record.state, record.status):
                break
            record = came_to
        return came_to

    async def _take_over_call(self, record: Record, entry: Entry, call: CallType) -> CameTo:
        match next_move(record, entry, call.rules, self.world.server_time(record)):
            case Apply(claim):
                return await self.after(await self.gate.apply(record, entry, claim))
            case Query():
                return await self._query_first(record, entry, call)
            case Send():
                return await self._send_again(record, entry, call)
            case Rest(left):
                return await self._look_again(record, left, "it may be about to be sent")
            case Hold(reason):
                await self._hold(record, reason, f"{record.type}.{entry.step} can neither be sent nor queried any more")
        return record

    async def _query_first(self, record: Record, entry: Entry, call: CallType) -> CameTo:
        outcome = await self.calls.query(record, entry, call, "sweep")
        if isinstance(outcome, NotFound):
            match after_not_found(record, entry, call.rules, self.world.server_time(record)):
                case Send():
                    return await self._send_again(record, entry, call)
                case Hold(reason):
                    why = f"{record.type}.{entry.step}: the downstream does not know the call"
                    await self._hold(record, reason, why)
                    return record
        return await self._rest(record, entry, call, outcome, "query")

    async def _send_again(self, record: Record, entry: Entry, call: CallType) -> CameTo:
        marked = await self.calls.mark_sent(record, entry, call)
        if marked is None:
            return record
        record, entry = marked
        at = self.world.server_time(record)
        if not self.calls.has_lease(record, call) or not key_is_valid(record, entry, call.rules, at):
            return record
        outcome = await self.calls.send(record, entry, call, "sweep")
        return await self._rest(record, entry, call, outcome, "call")

    async def _rest(self, record: Record, entry: Entry, call: CallType, outcome: Reported, by: By) -> CameTo:
        receipt = await self._report(record, entry, outcome, "sweep", by)
        if receipt is None:
            return await self._postpone(record, entry, call, outcome, by)
        return await self.after(receipt)

    async def _come_back(self, record: Record, entry: Entry, call: CallType, outcome: Reported) -> Record | FollowUp:
        """After a first try without a final answer: the follow-up, unless the downstream said when, or nothing left."""
        if _said_when(outcome) or (isinstance(outcome, NotSentYet) and not call.rules.idempotent):
            return await self._postpone(record, entry, call, outcome, "call")
        return FollowUp(record, entry.n, call.rules.query_after / 1e6)

    async def _postpone(self, record: Record, entry: Entry, call: CallType, outcome: Reported, by: By) -> Record:
        """Store when to look again. A mark of a send that has certainly not left is taken back."""
        pause = delay(outcome, record.attempts, call.rules)
        due_in = pause if _said_when(outcome) else self.world.jittered_micros(pause)
        store, note = self.world.store, note_of(outcome)
        not_sent = isinstance(outcome, NotSentYet) and by == "call"
        if not_sent and not call.rules.idempotent and entry.sent is not None:
            record = with_entry(record, msgspec.structs.replace(entry, sent=None), note=note)
            if await self.world.transact(lambda tx: store.save(tx, record, due_in)):
                record.fence += 1
        else:
            await self.world.transact(lambda tx: store.postpone(tx, record.id, record.fence, due_in, note))
        return record

    async def _time(self, record: Record, timer: TimerType) -> CameTo:
        """Leave a timer's state when its time has come, or when it is cancelled."""
        entry = record.calls[-1]
        left = (entry.opened or record.created) + timer.after(entry.args) - self.world.server_time(record)
        if left > 0 and record.wish is None:
            return await self._look_again(record, left, "waiting for its time")
        return await self.after(await self.gate.go_on(record, Cause("sweep", "timer")))

    async def _look_again(self, record: Record, due_in: int, note: str) -> Record:
        await self.world.transact(lambda tx: self.world.store.postpone(tx, record.id, record.fence, due_in, note))
        return record

    async def _gather(self, record: Record) -> CameTo:
        """Leave the children's state when all have ended; start those that are pending; else look again later."""
        if await self.family.fold(record.id) == 0:
            return await self.after(await self.gate.go_on(record, Cause("sweep", "children")))
        return await self._start_children(record)

    async def _start_children(self, record: Record) -> CameTo:
        pending = await self.family.pending(record)
        if not pending and await self.family.fold(record.id) == 0:
            return await self.after(await self.gate.go_on(record, Cause("immediate", "children")))
        due_in = self.world.jittered_micros(self.family.pause(record, pending))
        await self._look_again(record, due_in, "waiting for its children")
        return Fork(record, tuple(partial(self._start_child, record, child) for child in pending))

    async def _start_child(self, parent: Record, child: Child) -> CameTo:
        started = await self.family.start(parent, child)
        return parent if started is None else await self.after(Receipt("advanced", started))

    async def _report(self, record: Record, entry: Entry, outcome: Reported, source: Source, by: By) -> Receipt | None:
        """Bring a final outcome to the gate; None when it is not final."""
        if not isinstance(outcome, (Succeeded, Failed)):
            return None
        return await self.gate.report(Report(record.id, entry.n, outcome, source, by), record)

    async def after(self, receipt: Receipt) -> CameTo:
        """Go on with a process that has advanced; tell its parent when it has ended."""
        record = receipt.record
        if receipt.effect != "advanced":
            return record
        if record.status == "running":
            return await self.at_once(record)
        if record.parent is not None:
            await self.family.tell_parent(record.parent)
        return record

    def _open_call(self, record: Record, n: int) -> tuple[Entry, CallType] | None:
        entry = record.entry(n)
        if entry is None or entry.closed or record.status != "running":
            return None
        call = call_of(self.world.types[record.type], entry)
        return None if call is None else (entry, call)

    async def _check_deadline(self, record: Record) -> None:
        if record.deadline is None or self.world.server_time(record) < record.deadline:
            return
        summary = f"{record.type} is not final past its deadline; it stands at {record.state}"
        alarm = NewAlarm("deadline", record.id.hex(), summary, record.id, lane=record.lane or "")
        await self.world.transact(lambda tx: self.world.alarms.raise_alarm(tx, alarm))

    async def _hold(self, record: Record, reason: HoldReason, summary: str) -> None:
        held = msgspec.structs.replace(record, status="held", note=reason, lane=None)
        kind = "unknown-state" if reason == "unknown-state" else "unconfirmed"
        evidence = {"reason": reason, "state": record.state, "fence": record.fence}
        alarm = NewAlarm(kind, record.id.hex(), summary, record.id, (evidence,))

        async def work(tx: Transaction) -> None:
            if not await self.world.store.save(tx, held, None):
                raise LostError
            await self.world.alarms.raise_alarm(tx, alarm)

        try:
            await self.world.transact(work)
        except LostError:
            log.info("process %s: changed before it could be held", record.id.hex())


def _said_when(outcome: Reported) -> bool:
    return isinstance(outcome, Pending) and outcome.after is not None
