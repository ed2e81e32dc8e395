"""Moves: the transaction step that comes next, run and stored together with where it leads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Any, Literal, TypeAlias

import msgspec

from tieout import tracing
from tieout.alarm.rules import NewAlarm
from tieout.contracts import Transaction
from tieout.errors import DatabaseError
from tieout.identity import storable_text
from tieout.process.call_type import CallType
from tieout.process.define import Handler
from tieout.process.landing import call_of, land, moved_on, with_entry
from tieout.process.outcomes import Failed, Succeeded
from tieout.process.process import Process
from tieout.process.process_type import ProcessType
from tieout.process.publishing import publish_final
from tieout.process.record import By, Entry, FinalClaim, Record, Source
from tieout.process.rules import ERRORS_BEFORE_ALARM, NOTE_LENGTH, back_off
from tieout.process.wait_type import ChildrenType, JoinType, TimerType
from tieout.process.waits import Cancelled, ChildEnd, ChildrenEnded
from tieout.process.world import World, log

FIRST_PAUSE = 1_000_000
"""Microseconds until a timer's or children's step that raised is run again; doubled for each further time."""

LONGEST_PAUSE = 300_000_000
"""The longest such pause, in microseconds."""

Effect: TypeAlias = Literal["advanced", "joined", "kept", "duplicate", "conflict", "waiting"]


class Receipt(msgspec.Struct, frozen=True):
    """What a report or a move did, and the process after it."""

    effect: Effect
    record: Record


class Cause(msgspec.Struct, frozen=True):
    """Who began a move, what brought it, and from which call."""

    source: Source
    by: By
    n: int = 0
    actor: str = ""


class LostError(Exception):
    """Somebody else changed the row first: judge again on what it is now."""


class StepError(Exception):
    """A transaction step of the user raised `cause`; `claimed` is the claim that it ran for, if there was one."""

    def __init__(self, record: Record, claimed: tuple[Entry, FinalClaim] | None, cause: Exception) -> None:
        super().__init__(str(cause))
        self.record, self.claimed, self.cause = record, claimed, cause


class Following(msgspec.Struct, frozen=True):
    """The step that comes next and what it is given behind its tx; `cancels` when it answers a wish to cancel."""

    handler: Handler
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    cancels: bool = False

    def run(self, process: Process[Any], given: Any) -> Any:
        """Run it on what steps are given as their tx; of a plain step the outcome, else what awaits it."""
        return self.handler.method(process, given, *self.args, **self.kwargs)


class Moving:
    """Moves processes; every method but `keep_after` runs inside the transaction that it is given."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def close_call(
        self, tx: Transaction, record: Record, entry: Entry, claim: FinalClaim, cause: Cause
    ) -> Receipt:
        """Close a call by its first final claim; when nothing else is open, run the step that comes next."""
        process_type = self.world.type_of(record)
        if call_of(process_type, entry) is None:
            return await self.keep_claim(tx, record, entry, claim)
        after = with_entry(record, msgspec.structs.replace(entry, final=claim, closed=True))
        if after.open_entries:
            await self.save(tx, after, due_in(record))
            return Receipt("joined", after)
        try:
            return await self._run_next(tx, process_type, after, cause)
        except Exception as error:
            raise _step_error(error, record, (entry, claim)) from error

    async def go_on(self, tx: Transaction, record: Record, cause: Cause) -> Receipt:
        """Leave a state that waits for no call any more: a timer's, the children's, or one that is cancelled."""
        process_type = self.world.type_of(record)
        calls = [msgspec.structs.replace(entry, closed=True) for entry in record.calls]
        try:
            return await self._run_next(tx, process_type, msgspec.structs.replace(record, calls=calls), cause)
        except Exception as error:
            raise _step_error(error, record, None) from error

    async def keep_claim(self, tx: Transaction, record: Record, entry: Entry, claim: FinalClaim) -> Receipt:
        """Store a call's first final claim without following it yet."""
        kept = with_entry(record, msgspec.structs.replace(entry, final=claim))
        await self.save(tx, kept, due_in(record))
        return Receipt("kept", kept)

    async def save(self, tx: Transaction, record: Record, due: int | None) -> None:
        """Store a changed copy of a row; raise `LostError` when the row has changed meanwhile."""
        # Counted from before the statement: a lease believed longer than the row's would be worked past its end.
        now = self.world.server_time(record)
        if not await self.world.store.save(tx, record, due):
            raise LostError
        record.fence += 1
        record.changed = now
        record.due = None if due is None else now + due

    async def keep_after(self, error: StepError) -> Record | None:
        """Keep the claim whose step raised, and back off; None when the row has changed meanwhile."""
        errors = error.record.errors + 1
        log.warning("process %s: a step raised, %d in a row", error.record.id.hex(), errors, exc_info=error.cause)
        note = storable_text(f"{type(error.cause).__name__}: {error.cause}", NOTE_LENGTH)
        kept = msgspec.structs.replace(error.record, errors=errors, note=note)
        if error.claimed is not None:
            entry, claim = error.claimed
            kept = with_entry(kept, msgspec.structs.replace(entry, final=claim))
        pause = self.world.jittered_micros(self._pause(error, errors))

        async def work(tx: Transaction) -> Record:
            after = msgspec.structs.replace(kept)
            await self.save(tx, after, pause)
            if errors >= ERRORS_BEFORE_ALARM:
                await self.world.alarms.raise_alarm(tx, _failing_alarm(error.record, note))
            return after

        try:
            return await self.world.transact(work)
        except LostError:
            return None

    def _run_next(self, tx: Transaction, process_type: ProcessType, record: Record, cause: Cause) -> Awaitable[Receipt]:
        move = self._traced if tracing.is_on() else self._moved
        return move(tx, process_type, record, cause)

    async def _traced(self, tx: Transaction, process_type: ProcessType, record: Record, cause: Cause) -> Receipt:
        attributes = {"tieout.process": record.id.hex(), "tieout.source": cause.source, "tieout.by": cause.by}
        with tracing.span(f"move {record.type}.{record.state}", record.trace, "internal", attributes):
            return await self._moved(tx, process_type, record, cause)

    async def _moved(self, tx: Transaction, process_type: ProcessType, record: Record, cause: Cause) -> Receipt:
        following = await self._following(tx, process_type, record)
        process = self.world.revive(process_type, record)
        try:
            moved = await self.world.run_step(tx, partial(following.run, process))
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            raise RuntimeError("the step was cancelled from within") from error
        landing = land(process_type, process_type.check_next(following.handler, moved))
        at, trace = self.world.server_time(record), tracing.context()
        after = moved_on(record, landing, at, cause.source, cause.by, cause.n, cause.actor, trace=trace)
        if following.cancels:
            after.wish = None
        if record.state in process_type.children:
            await self.world.store.forget_children(tx, record.id)
        await self.save(tx, after, landing.due_in)
        if landing.children:
            await self.world.store.add_children(tx, record.id, landing.children)
        if process_type.published:
            await publish_final(tx, process_type, after, self.world.payloads)
        return Receipt("advanced", after)

    async def _following(self, tx: Transaction, process_type: ProcessType, record: Record) -> Following:
        if record.wish is not None and process_type.cancel is not None:
            wish = msgspec.json.decode(record.wish)
            outcomes = _outcomes(process_type, record)
            cancelled = Cancelled(wish["reason"], wish["actor"], record.state, outcomes)
            return Following(process_type.cancel, (cancelled,), cancels=True)
        match process_type.states[record.state]:
            case CallType() as call:
                (outcome,) = _outcomes(process_type, record).values()
                kind = "failed" if isinstance(outcome, Failed) else "succeeded"
                return Following(call.handler(kind), (outcome if isinstance(outcome, Failed) else outcome.value,))
            case JoinType(handler=handler, parts=parts):
                outcomes = _outcomes(process_type, record)
                return Following(handler, kwargs={name: outcomes.get(name) for name in parts})
            case TimerType(handler=handler) as timer:
                return Following(handler, kwargs=timer.arguments(record.calls[-1].args))
            case ChildrenType(handler=handler):
                return Following(handler, (await self._children_ended(tx, record),))

    async def _children_ended(self, tx: Transaction, record: Record) -> ChildrenEnded:
        ended = [
            ChildEnd(one.child.hex(), one.type, one.final, msgspec.json.decode(one.result) if one.result else None)
            for one in await self.world.store.ended_children(tx, record.id)
        ]
        counts: dict[str, int] = {}
        for one in ended:
            counts[one.final] = counts.get(one.final, 0) + 1
        return ChildrenEnded(counts, ended)

    def _pause(self, error: StepError, errors: int) -> int:
        call = call_of(self.world.type_of(error.record), error.claimed[0]) if error.claimed else None
        first, cap = (call.rules.query_after, call.rules.retry_cap) if call else (FIRST_PAUSE, LONGEST_PAUSE)
        return back_off(errors, first, cap)


def _is_cancelled() -> bool:
    """Whether somebody wishes to end the task that this runs in, if it runs in one."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # a thread without an event loop
        return False
    return task is not None and task.cancelling() > 0


def due_in(record: Record) -> int | None:
    """In how many microseconds a row is due, as far as its copy knows."""
    return None if record.due is None else max(0, record.due - record.now)


def _outcomes(process_type: ProcessType, record: Record) -> dict[str, Succeeded[Any] | Failed]:
    """The outcomes of the calls that were opened together last, by step."""
    opened = record.calls[-1].opened if record.calls else 0
    outcomes: dict[str, Succeeded[Any] | Failed] = {}
    for entry in record.calls:
        call, claim = call_of(process_type, entry), entry.final
        if entry.opened != opened or call is None or claim is None:
            continue
        if claim.kind == "failed":
            outcomes[entry.step] = Failed(claim.code, claim.detail)
        else:
            outcomes[entry.step] = Succeeded(call.answer.typed(claim.value))
    return outcomes


def _step_error(error: Exception, record: Record, claimed: tuple[Entry, FinalClaim] | None) -> Exception:
    """What a move raises: our own signals and retryable database errors as they are, anything else as the step's."""
    if isinstance(error, LostError) or (isinstance(error, DatabaseError) and error.retryable):
        return error
    return StepError(record, claimed, error)


def _failing_alarm(record: Record, note: str) -> NewAlarm:
    summary = f"{record.type}: the step after {record.state} raised {ERRORS_BEFORE_ALARM} times or more in a row"
    since = record.fence if record.errors + 1 == ERRORS_BEFORE_ALARM else 0
    return NewAlarm("step-failing", record.id.hex(), summary, record.id, ({"error": note, "fence": since},))
