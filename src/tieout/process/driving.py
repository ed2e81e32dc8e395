"""The ways on that belong to a worker: the call at once, the query after it, and the sweep over what is due."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from tieout.alarm.rules import NewAlarm
from tieout.contracts import Transaction
from tieout.errors import InvalidParams
from tieout.process.call_type import CallType
from tieout.process.calls import Calls
from tieout.process.gate import Gate, LostError, Receipt, Report
from tieout.process.landing import call_of, with_entry
from tieout.process.outcomes import Failed, NotFound, NotSentYet, Pending, Reported, Succeeded
from tieout.process.record import By, Entry, Record, Source
from tieout.process.rules import (
    LEASE_MARGIN,
    Apply,
    Hold,
    HoldReason,
    Query,
    Send,
    after_not_found,
    delay,
    key_is_valid,
    next_move,
    note_of,
)
from tieout.process.world import World, log

CLAIM_LEASE = 30_000_000
"""Microseconds for which a claimed process is its claimant's, unless its calls take longer."""

FULL_SCAN_EVERY = 60.0
"""Seconds between two claims that look below the low-water mark."""

LATE_COMMIT = 10_000_000
"""Microseconds by which a row may appear with a due time in the past, because its transaction took long."""


class FollowUp(NamedTuple):
    """A process whose call is unknown: continue with it after `wait` seconds."""

    record: Record
    wait: float


class Driving:
    """Moves processes on. Everything that it learns enters the gate; only claiming and sending need a lease."""

    def __init__(self, world: World, gate: Gate, calls: Calls) -> None:
        self.world = world
        self.gate = gate
        self.calls = calls
        self._low_water: dict[str, int] = {}
        self._server_ahead: int | None = None
        self._next_full_scan = 0.0

    async def at_once(self, record: Record) -> Record | FollowUp:
        """Make the open call of a process that was just written by us, and go on while it moves.

        Return the process where it came to rest, or a `FollowUp` when its call is unknown.
        """
        while (held := self._open_call(record)) is not None:
            entry, call = held
            if self.world.breakers.is_open(call.lane, self.world.clock.monotonic()):
                return record
            if not call.rules.idempotent:
                marked = await self.calls.mark_sent(record, entry, call)
                if marked is None:
                    return record
                record, entry = marked
            if not self.calls.has_lease(record, call):
                return record
            outcome = await self.calls.send(record, entry, call, "immediate")
            receipt = await self._report(record, entry, outcome, "immediate", "call")
            if receipt is None:
                return await self._come_back(record, entry, call, outcome)
            if receipt.effect != "advanced":
                return receipt.record
            record = receipt.record
        return record

    async def follow_up(self, record: Record) -> Record | FollowUp:
        """Query a call that is unknown, once, and go on if that moves the process; the rest is the sweep's."""
        held = self._open_call(record)
        if held is None or held[1].query is None or not self.calls.has_lease(record, held[1]):
            return record
        entry, call = held
        outcome = await self.calls.query(record, entry, call, "query")
        return await self.reported(record, entry, outcome, "query", "query")

    def lanes(self) -> list[str]:
        """Every lane that a call of a known type waits on."""
        types = self.world.types.values()
        return sorted({call.lane for process_type in types for call in process_type.calls.values()})

    async def claim(self, limit: int, room: Callable[[str], int]) -> list[Record]:
        """Claim at most about `limit` due processes, shared fairly over the lanes.

        A lane gets no more than its `room` and its breaker let through.
        """
        now = self.world.clock.monotonic()
        full_scan = now >= self._next_full_scan
        names = await self._lanes_in_use() if full_scan else self.lanes()
        full = max(1, limit // max(1, len(names)))
        by_share: dict[int, list[str]] = {}
        for lane in names:
            share = self.world.breakers.share(lane, now, max(0, min(full, room(lane))))
            by_share.setdefault(share, []).append(lane)
        by_share.pop(0, None)
        if full_scan:
            self._next_full_scan = now + FULL_SCAN_EVERY
        claimed: list[Record] = []
        for share, lanes in by_share.items():
            low = 0 if full_scan else min(self._low_water.get(lane, 0) for lane in lanes)
            found = await self._claim(lanes, share, low)
            self._raise_low_water(lanes, found, share)
            claimed += found
        return claimed

    async def take_over(self, record: Record) -> Record | FollowUp:
        """Do what a claimed process needs next, and go on while it moves."""
        await self._check_deadline(record)
        held = self._open_call(record)
        if held is None or (why := self._why_lost(record, *held)):
            why = f"this code has no open call {record.state!r} of {record.type}" if held is None else why
            await self._hold(record, "unknown-state", why)
            return record
        entry, call = held
        move = next_move(record, entry, call.rules, self.world.server_time(record))
        match move:
            case Apply(claim):
                receipt = await self.gate.apply(record, entry, claim)
                return await self.at_once(receipt.record) if receipt.effect == "advanced" else record
            case Query():
                return await self._query_first(record, entry, call)
            case Send():
                return await self._send_again(record, entry, call)
            case Hold(reason):
                await self._hold(record, reason, f"{record.type}.{entry.step} can neither be sent nor queried any more")
        return record

    async def _query_first(self, record: Record, entry: Entry, call: CallType) -> Record | FollowUp:
        outcome = await self.calls.query(record, entry, call, "sweep")
        if isinstance(outcome, NotFound):
            match after_not_found(record, entry, call.rules, self.world.server_time(record)):
                case Send():
                    return await self._send_again(record, entry, call)
                case Hold(reason):
                    await self._hold(
                        record, reason, f"{record.type}.{entry.step}: the downstream does not know the call"
                    )
                    return record
        return await self._rest(record, entry, call, outcome, "query")

    async def _send_again(self, record: Record, entry: Entry, call: CallType) -> Record | FollowUp:
        marked = await self.calls.mark_sent(record, entry, call)
        if marked is None:
            return record
        record, entry = marked
        at = self.world.server_time(record)
        if not self.calls.has_lease(record, call) or not key_is_valid(record, entry, call.rules, at):
            return record
        outcome = await self.calls.send(record, entry, call, "sweep")
        return await self._rest(record, entry, call, outcome, "call")

    async def reported(
        self, record: Record, entry: Entry, outcome: Reported, source: Source, by: By
    ) -> Record | FollowUp:
        """Bring an outcome to the gate, if it is final, and go on while that moves the process."""
        return await self._go_on(record, await self._report(record, entry, outcome, source, by))

    async def _rest(self, record: Record, entry: Entry, call: CallType, outcome: Reported, by: By) -> Record | FollowUp:
        receipt = await self._report(record, entry, outcome, "sweep", by)
        if receipt is None:
            await self._postpone(record, entry, call, outcome, by)
        return await self._go_on(record, receipt)

    async def _come_back(self, record: Record, entry: Entry, call: CallType, outcome: Reported) -> Record | FollowUp:
        """After a first try without a final answer: the follow-up, unless the downstream said when, or nothing left."""
        if _said_when(outcome) or (isinstance(outcome, NotSentYet) and not call.rules.idempotent):
            await self._postpone(record, entry, call, outcome, "call")
            return record
        return FollowUp(record, call.rules.query_after / 1e6)

    async def _postpone(self, record: Record, entry: Entry, call: CallType, outcome: Reported, by: By) -> None:
        """Store when to look again. A mark of a send that has certainly not left is taken back.

        A query that has not left says nothing about the call: its mark stays.
        """
        pause = delay(outcome, record.attempts, call.rules)
        due_in = pause if _said_when(outcome) else self.world.jittered_micros(pause)
        store, note = self.world.store, note_of(outcome)
        certainly_unsent = isinstance(outcome, NotSentYet) and by == "call"
        if certainly_unsent and not call.rules.idempotent and entry.sent is not None:
            unmarked = with_entry(record, msgspec.structs.replace(entry, sent=None), note=note)
            await self.world.transact(lambda tx: store.save(tx, unmarked, due_in))
        else:
            await self.world.transact(lambda tx: store.postpone(tx, record.id, record.fence, due_in, note))

    async def _report(self, record: Record, entry: Entry, outcome: Reported, source: Source, by: By) -> Receipt | None:
        """Bring a final outcome to the gate; None when it is not final."""
        if not isinstance(outcome, (Succeeded, Failed)):
            return None
        return await self.gate.report(Report(record.id, entry.n, outcome, source, by), record)

    async def _go_on(self, record: Record, receipt: Receipt | None) -> Record | FollowUp:
        if receipt is None:
            return record
        return await self.at_once(receipt.record) if receipt.effect == "advanced" else receipt.record

    def _open_call(self, record: Record) -> tuple[Entry, CallType] | None:
        entry = record.open_entry
        if entry is None or record.status != "running":
            return None
        call = call_of(self.world.types[record.type], entry)
        return None if call is None else (entry, call)

    def _why_lost(self, record: Record, entry: Entry, call: CallType) -> str:
        """Why this code cannot carry a process on: what is stored does not fit its types; "" when it can."""
        try:
            self.world.revive(self.world.types[record.type], record)
            call.arguments(entry.args)
        except InvalidParams as error:
            return f"this code cannot read {record.type} at {record.state!r}: {error}"
        return ""

    async def _lanes_in_use(self) -> list[str]:
        """Every known lane, and those of calls that the code no longer has: their processes have to be held."""
        return sorted({*self.lanes(), *await self.world.database.read(self.world.store.lanes)})

    async def _claim(self, lanes: list[str], share: int, low: int) -> list[Record]:
        types = {name: process_type.version for name, process_type in self.world.types.items()}
        return await self.world.transact(lambda tx: self.world.store.claim(tx, lanes, types, share, self._lease(), low))

    def _lease(self) -> int:
        rules = (call.rules for process_type in self.world.types.values() for call in process_type.calls.values())
        return max([CLAIM_LEASE, *(2 * rule.timeout + LEASE_MARGIN for rule in rules)])

    def _raise_low_water(self, lanes: list[str], found: list[Record], share: int) -> None:
        """Remember of the lanes that were emptied that nothing is due before now.

        Dead index entries of what was due long ago make an empty claim slow, and later claims begin behind them.
        """
        if found:
            self._server_ahead = found[0].now - round(found[0].read_at * 1_000_000)
        if self._server_ahead is None:
            return
        taken = Counter(record.lane for record in found)
        now = self._server_ahead + round(self.world.clock.monotonic() * 1_000_000)
        self._low_water.update((lane, now - LATE_COMMIT) for lane in lanes if taken[lane] < share)

    async def _check_deadline(self, record: Record) -> None:
        if record.deadline is None or self.world.server_time(record) < record.deadline:
            return
        summary = f"{record.type} is not final past its deadline; it stands at {record.state}"
        alarm = NewAlarm("deadline", record.id.hex(), summary, record.id)
        await self.world.transact(lambda tx: self.world.alarms.raise_alarm(tx, alarm))

    async def _hold(self, record: Record, reason: HoldReason, summary: str) -> None:
        held = msgspec.structs.replace(record, status="held", note=reason, lane=None)
        kind = "unknown-state" if reason == "unknown-state" else "unconfirmed"
        alarm = NewAlarm(
            kind,
            record.id.hex(),
            summary,
            record.id,
            ({"reason": reason, "state": record.state, "fence": record.fence},),
        )

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
