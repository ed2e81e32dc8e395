"""What a person may do with a process; each act is audited, with its reason, in the transaction of its effect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from tieout.alarm.rules import is_seconded, wish_text
from tieout.alarm.store import Alarm, AlarmStore
from tieout.audit.store import AuditStore
from tieout.contracts import Transaction
from tieout.errors import ApprovalNeeded, NotAllowed, Overloaded, UnknownProcess
from tieout.identity import digest, encode_json, storable_text
from tieout.process.call_type import CallType
from tieout.process.calls import Calls
from tieout.process.driving import CameTo, Driving
from tieout.process.gate import JUDGEMENTS, Gate, conflict_alarm, vanished_alarm
from tieout.process.landing import call_of, with_entry
from tieout.process.moving import LostError, due_in
from tieout.process.outcomes import Failed, NotFound, Reported, Succeeded
from tieout.process.record import Entry, FinalClaim, Record
from tieout.process.rules import NOTE_LENGTH, after_not_found, claim_of, differing
from tieout.process.world import World

T = TypeVar("T")

Choice = Literal["succeeded", "failed"]


class Act(msgspec.Struct, frozen=True):
    """Who does something, and why: both are needed, both are kept."""

    actor: str
    reason: str

    def __post_init__(self) -> None:
        if not self.actor.strip() or not self.reason.strip():
            raise NotAllowed("say who you are (actor) and why (reason): both are kept in the audit")


class Asked(NamedTuple):
    """What the downstream answered, and where the process then came to rest or is left to the sweep."""

    outcome: Reported
    process: CameTo


class Operating:
    """The operator's commands."""

    def __init__(self, world: World, gate: Gate, calls: Calls, driving: Driving, alarms: AlarmStore) -> None:
        self.world = world
        self.gate = gate
        self.calls = calls
        self.driving = driving
        self.alarms = alarms
        self.audit = AuditStore(world.database.dialect)

    async def retry(self, process: bytes, act: Act) -> Record:
        """Make it due now: a worker takes it over within a second."""

        async def work(tx: Transaction) -> Record:
            record = await self._read(tx, process)
            _require(record, "running", "retried")
            await self.world.store.hasten(tx, process)
            await self._note(tx, act, "retry", record)
            return record

        return await self.world.transact(work)

    async def query(self, process: bytes, act: Act) -> Asked:
        """Ask the downstream now, whatever is due when, and go on if the answer moves the process."""
        record = await self._noted(process, act, "query")
        entry = record.open_entry or (record.calls[-1] if record.calls else None)
        call = call_of(self.world.type_of(record), entry) if entry else None
        if entry is None or call is None or call.query is None:
            raise NotAllowed(f"{record.type} has nothing to query at {record.state!r}")
        outcome = await self.calls.query(record, entry, call, "operator")
        return Asked(outcome, await self.driving.reported(record, entry, outcome, "operator", "query"))

    async def recheck(self, process: bytes, act: Act) -> tuple[Reported, ...]:
        """Ask the downstreams about every call of a process once more, whether or not it has ended; their answers.

        An answer moves what is open, and raises the alarm of a conflict where it differs from the one that was
        followed; so does a downstream that finds nothing of what it said to have done. What is asked about is not sent.
        """
        record = await self._noted(process, act, "recheck")
        outcomes = []
        for n in [entry.n for entry in record.calls]:
            record = await self.world.transact(lambda tx: self._read(tx, process))
            entry = record.entry(n)
            call = call_of(self.world.type_of(record), entry) if entry and record.status != "retired" else None
            if entry is None or call is None or call.query is None:
                continue
            outcome = await self.calls.query(record, entry, call, "operator")
            await self.driving.reported(record, entry, outcome, "operator", "query")
            if isinstance(outcome, NotFound) and self._has_vanished(record, entry, call):
                vanished = vanished_alarm(record, entry)
                await self.world.transact(partial(self.alarms.raise_alarm, alarm=vanished))
            outcomes.append(outcome)
        if not outcomes:
            raise NotAllowed(f"{record.type} has nothing to query at {record.state!r}")
        return tuple(outcomes)

    async def hold(self, process: bytes, act: Act) -> Record:
        """Stop it: a held process sends and runs nothing; reports are still judged, and applied when it resumes."""

        async def change(tx: Transaction, record: Record) -> Record:
            _require(record, "running", "held")
            held = msgspec.structs.replace(record, status="held", note=_note_of(act), lane=None)
            await self._save(tx, held, None, act, "hold")
            return held

        return await self._change(process, change)

    async def resume(self, process: bytes, act: Act) -> Record:
        """Let a held process go on: it is due now, and a claim that was kept is applied."""

        async def change(tx: Transaction, record: Record) -> Record:
            _require(record, "held", "resumed")
            running = self._running(record)
            await self._save(tx, running, 0, act, "resume")
            return running

        return await self._change(process, change)

    async def cancel(self, process: bytes, act: Act) -> Record:
        """Store the wish to cancel: it takes effect as soon as no call of the process is open any more.

        Raise `NotAllowed` when the process has ended, or its type has no `@tieout.cancel` step.
        """

        async def change(tx: Transaction, record: Record) -> Record:
            process_type = self.world.type_of(record)
            if process_type.cancel is None:
                raise NotAllowed(f"{record.type} cannot be cancelled: it has no @tieout.cancel step")
            if record.status not in ("running", "held"):
                raise NotAllowed(f"only a running or held process can be cancelled; this one is {record.status}")
            wish = encode_json({"reason": act.reason, "actor": act.actor})
            wished = msgspec.structs.replace(record, wish=wish)
            waits_for_calls = any(entry.step in process_type.calls for entry in record.open_entries)
            due = due_in(record) if waits_for_calls or record.status == "held" else 0
            await self._save(tx, wished, due, act, "cancel")
            return wished

        return await self._change(process, change)

    async def settle(
        self, process: bytes, n: int, choice: Choice, act: Act, value: Any = None, code: str = ""
    ) -> Record:
        """Decide call `n` of a held process and let it go on, or record how a conflict about a final one was resolved.

        Where a claim says otherwise, a second person has to ask for the same: until then `ApprovalNeeded` is raised
        and the wish is kept. A final state is never changed, nor a claim that the process has already followed.
        """
        record = await self.world.transact(lambda tx: self._read(tx, process))
        entry = record.entry(n)
        if entry is None:
            raise NotAllowed(f"process {process.hex()} has no call {n}")
        claim = self._chosen_claim(record, entry, choice, act, value, code)
        wish = {"process": process.hex(), "n": n, "choice": choice, "value": digest([value, code])}

        async def change(tx: Transaction, record: Record) -> Record | ApprovalNeeded:
            entry = record.entry(n)
            if entry is None or record.status not in ("held", "final"):
                raise NotAllowed(f"only a held or a final process can be settled, not a {record.status} one")
            alarm = await self._evidence_against(tx, record, entry, claim)
            if alarm is not None and await self._first_wish(tx, alarm, wish, act, record):
                return ApprovalNeeded(f"recorded: a second person has to settle call {n} as {choice} too")
            after = record if entry.closed else with_entry(record, msgspec.structs.replace(entry, final=claim))
            detail = {**wish, "effect": "recorded" if entry.closed else "followed"}
            if record.status == "held":
                after = self._running(after)
            if alarm is not None:
                follows = entry.final is not None and not differing(entry.final, claim)
                resolution = "followed-first" if follows else "followed-other"
                await self.alarms.resolve(tx, alarm.id, resolution, act.reason, act.actor)
            await self._save(tx, after, 0 if after.status == "running" else None, act, "settle", detail)
            return after

        settled = await self._change(process, change)
        if isinstance(settled, ApprovalNeeded):
            raise settled
        return settled

    def _has_vanished(self, record: Record, entry: Entry, call: CallType) -> bool:
        """Whether the call was followed as done so long ago that the downstream has to find it."""
        was_done = entry.final is not None and entry.final.kind == "succeeded"
        return was_done and after_not_found(record, entry, call.rules, self.world.server_time(record)) is not None

    def _running(self, record: Record) -> Record:
        state = self.world.type_of(record).states.get(record.state)
        if state is None:
            raise NotAllowed(f"this code has no state {record.state!r} of {record.type}: deploy it first")
        return msgspec.structs.replace(record, status="running", note=None, lane=state.lane, attempts=0, errors=0)

    def _chosen_claim(
        self, record: Record, entry: Entry, choice: Choice, act: Act, value: Any, code: str
    ) -> FinalClaim:
        """The operator's claim; with no value given, the kept first claim of the same kind is followed."""
        if entry.final is not None and entry.final.kind == choice and value is None and not code:
            return entry.final
        call = call_of(self.world.type_of(record), entry)
        if call is None:
            raise NotAllowed(f"this code has no call {entry.step!r} of {record.type}")
        if choice == "failed":
            outcome: Succeeded[Any] | Failed = Failed(code or "settled", act.reason)
        else:
            outcome = Succeeded(call.answer.storable(value))
        claim = claim_of(outcome, "operator", "operator", self.world.server_time(record), call.rules, entry)
        return msgspec.structs.replace(claim, mismatch=())

    async def _evidence_against(self, tx: Transaction, record: Record, entry: Entry, claim: FinalClaim) -> Alarm | None:
        """The conflict alarm of the call, of which some piece contradicts whatever is chosen.

        A choice against the only claim that there is makes one, so that this claim is kept as its evidence.
        """
        fields = differing(entry.final, claim) if entry.final is not None else ()
        alarm = conflict_alarm(record, entry, claim, fields)
        if fields:
            await self.alarms.raise_alarm(tx, alarm)
        return await self.alarms.read(tx, alarm.id)

    async def _first_wish(self, tx: Transaction, alarm: Alarm, wish: dict[str, Any], act: Act, record: Record) -> bool:
        """Record what a first person asks for; False when somebody else has asked for the same before."""
        if is_seconded(alarm.wish, wish, act.actor):
            return False
        await self.alarms.record_wish(tx, alarm.id, wish_text(wish, act.actor, act.reason))
        await self.alarms.note(tx, alarm.id, "wished", act.actor, act.reason)
        await self._note(tx, act, "settle-wish", record, wish)
        return True

    async def _change(self, process: bytes, change: Callable[[Transaction, Record], Awaitable[T]]) -> T:
        async def work(tx: Transaction) -> T:
            return await change(tx, await self._read(tx, process))

        for _ in range(JUDGEMENTS):
            try:
                return await self.world.transact(work)
            except LostError:
                continue
        raise Overloaded(f"process {process.hex()} changes faster than it can be commanded")

    async def _noted(self, process: bytes, act: Act, action: str) -> Record:
        async def work(tx: Transaction) -> Record:
            record = await self._read(tx, process)
            await self._note(tx, act, action, record)
            return record

        return await self.world.transact(work)

    async def _read(self, tx: Transaction, process: bytes) -> Record:
        record = await self.world.store.read(tx, process)
        if record is None:
            raise UnknownProcess(f"there is no process {process.hex()}")
        return record

    async def _save(
        self,
        tx: Transaction,
        record: Record,
        due_in: int | None,
        act: Act,
        action: str,
        detail: dict[str, Any] | None = None,
    ) -> None:
        if not await self.world.store.save(tx, record, due_in):
            raise LostError
        record.fence += 1
        await self._note(tx, act, action, record, detail)

    async def _note(
        self, tx: Transaction, act: Act, action: str, record: Record, detail: dict[str, Any] | None = None
    ) -> None:
        told = {"state": record.state, "status": record.status, **(detail or {})}
        await self.audit.add(tx, actor=act.actor, action=action, target=record.id.hex(), reason=act.reason, detail=told)


def _note_of(act: Act) -> str:
    return storable_text(f"operator: {act.reason}", NOTE_LENGTH)


def _require(record: Record, status: str, done: str) -> None:
    if record.status != status:
        raise NotAllowed(f"only a {status} process can be {done}; {record.id.hex()} is {record.status}")
