"""The one gate: every report of a call's outcome, from whichever way, is judged here and moves the process or not."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from tieout.alarm.rules import NewAlarm
from tieout.contracts import Transaction
from tieout.errors import DatabaseError, InvalidParams, Overloaded, UnknownCall
from tieout.identity import call_key, canonical_json, digest, encode_json, storable_text
from tieout.process.call_type import CallType
from tieout.process.landing import call_of, land, moved_on, with_entry
from tieout.process.outcomes import Failed, Reported
from tieout.process.process_type import ProcessType
from tieout.process.record import By, Entry, FinalClaim, Record, Source
from tieout.process.rules import (
    ERRORS_BEFORE_ALARM,
    NOTE_LENGTH,
    Advance,
    Conflict,
    Duplicate,
    Ignore,
    Keep,
    Stray,
    Wait,
    back_off,
    verdict,
)
from tieout.process.world import World, log

JUDGEMENTS = 100
"""How often one report is judged anew because somebody else was quicker: far above what real contention reaches."""

STRAY_LENGTH = 4_096
"""Characters kept of a report of an unknown call."""

STRAY_LIMIT = 10_000
"""Reports of unknown calls that are kept at a time."""

Effect: TypeAlias = Literal["advanced", "kept", "duplicate", "conflict", "waiting"]


class Receipt(NamedTuple):
    """What a report did, and the process after it."""

    effect: Effect
    record: Record


class Report(msgspec.Struct, frozen=True):
    """Somebody's claim about the outcome of call `n` of a process."""

    process: bytes
    n: int
    outcome: Reported
    source: Source
    by: By
    actor: str = ""


class LostError(Exception):
    """Somebody else changed the row first: judge again on what it is now."""


class StepError(Exception):
    """A transaction step of the user raised `cause` when it was to run for `claim`."""

    def __init__(self, record: Record, entry: Entry, claim: FinalClaim, cause: Exception) -> None:
        super().__init__(str(cause))
        self.record, self.entry, self.claim, self.cause = record, entry, claim, cause


class Gate:
    """Judges reports, each in one transaction with everything that follows from it."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def report(self, report: Report, hint: Record | None = None) -> Receipt:
        """Judge a report and store what follows. `hint` is the row as last written by the reporter, if it has it.

        Raise `UnknownCall` when there is no such call, `NewerVersion`, or a `DatabaseError` after several tries. A
        transaction step that raises is not the reporter's error: a final claim is kept and applied later.
        """
        for _ in range(JUDGEMENTS):
            try:
                return await self.world.transact(lambda tx, known=hint: self._judge(tx, report, known))  # type: ignore[misc]
            except LostError:
                hint = None
            except StepError as error:
                kept = await self._keep_claim(error)
                if kept is not None:
                    return Receipt("kept", kept)
                hint = None
            except UnknownCall:
                await self._keep_stray(report)
                raise
        raise Overloaded(f"process {report.process.hex()} changes faster than a report of it can be judged")

    async def apply(self, record: Record, entry: Entry, claim: FinalClaim) -> Receipt:
        """Run the step of a final claim that was kept while the process was held, or whose step raised."""
        try:
            return await self.world.transact(lambda tx: self._advance(tx, record, entry, claim, claim.source, claim.by))
        except StepError as error:
            kept = await self._keep_claim(error)
            return Receipt("kept", kept or record)
        except LostError:
            return Receipt("waiting", record)

    async def _judge(self, tx: Transaction, report: Report, hint: Record | None) -> Receipt:
        record = hint if hint is not None else await self._read(tx, report)
        process_type = self.world.type_of(record)
        entry = record.entry(report.n)
        call = call_of(process_type, entry) if entry is not None else None
        at = self.world.server_time(record)
        rules = call.rules if call is not None else None
        match verdict(record, report.n, report.outcome, report.source, report.by, rules, at):
            case Advance(entry, claim):
                return await self._advance(tx, record, entry, claim, report.source, report.by, report.actor)
            case Keep(entry, claim):
                return await self._keep(tx, record, entry, claim)
            case Duplicate():
                await self.world.store.count_duplicate(tx, record.id)
                return Receipt("duplicate", record)
            case Conflict(entry, claim, fields):
                return await self._conflict(tx, record, entry, claim, fields)
            case Stray():
                raise UnknownCall(f"process {record.id.hex()} has no call {report.n} yet: retry later")
            case Wait() | Ignore():
                return Receipt("waiting", record)

    async def _read(self, tx: Transaction, report: Report) -> Record:
        record = await self.world.store.read(tx, report.process)
        if record is None:
            raise UnknownCall(f"no process {report.process.hex()} yet: retry later")
        return record

    async def _advance(
        self, tx: Transaction, record: Record, entry: Entry, claim: FinalClaim, source: Source, by: By, actor: str = ""
    ) -> Receipt:
        process_type = self.world.type_of(record)
        call = call_of(process_type, entry)
        if call is None:
            return await self._keep(tx, record, entry, claim)
        try:
            landing = land(process_type, await self._run_step(tx, process_type, call, record, claim))
        except DatabaseError as error:
            if error.retryable:
                raise
            raise StepError(record, entry, claim, error) from error
        except Exception as error:
            raise StepError(record, entry, claim, error) from error
        closed = msgspec.structs.replace(entry, final=claim, closed=True)
        after = moved_on(record, closed, landing, self.world.server_time(record), source, by, actor)
        await self._save(tx, after, landing.due_in)
        return Receipt("advanced", after)

    async def _run_step(
        self, tx: Transaction, process_type: ProcessType, call: CallType, record: Record, claim: FinalClaim
    ) -> Any:
        handler = call.handler(claim.kind)
        given = Failed(claim.code, claim.detail) if claim.kind == "failed" else call.answer.typed(claim.value)
        process = self.world.revive(process_type, record)
        return process_type.check_next(handler, await handler.method(process, tx, given))

    async def _keep(self, tx: Transaction, record: Record, entry: Entry, claim: FinalClaim) -> Receipt:
        kept = with_entry(record, msgspec.structs.replace(entry, final=claim))
        await self._save(tx, kept, _due_in(record))
        return Receipt("kept", kept)

    async def _conflict(
        self, tx: Transaction, record: Record, entry: Entry, claim: FinalClaim, fields: tuple[str, ...]
    ) -> Receipt:
        says_something_new = await self.world.alarms.raise_alarm(tx, conflict_alarm(record, entry, claim, fields))
        if record.status == "running" and says_something_new:
            record = msgspec.structs.replace(record, status="held", note="conflict", lane=None)
            await self._save(tx, record, None)
        elif record.status == "held":
            # Judged on a row that somebody may just have resumed: the fence tells.
            record = msgspec.structs.replace(record)
            await self._save(tx, record, None)
        return Receipt("conflict", record)

    async def _save(self, tx: Transaction, record: Record, due_in: int | None) -> None:
        # Counted from before the statement: a lease believed longer than the row's would be worked past its end.
        due = None if due_in is None else self.world.server_time(record) + due_in
        if not await self.world.store.save(tx, record, due_in):
            raise LostError
        record.fence += 1
        record.due = due

    async def _keep_claim(self, error: StepError) -> Record | None:
        """Keep the claim whose step raised; None when the row has changed, so that it must be judged again."""
        record, entry = error.record, error.entry
        errors = record.errors + 1
        log.warning("process %s: a step raised, %d in a row", record.id.hex(), errors, exc_info=error.cause)
        note = storable_text(f"{type(error.cause).__name__}: {error.cause}", NOTE_LENGTH)
        process_type = self.world.type_of(record)
        call = call_of(process_type, entry)
        pause = back_off(errors, call.rules.query_after, call.rules.retry_cap) if call else 0
        kept = with_entry(record, msgspec.structs.replace(entry, final=error.claim), errors=errors, note=note)

        async def work(tx: Transaction) -> None:
            await self._save(tx, msgspec.structs.replace(kept), self.world.jittered_micros(pause))
            if errors >= ERRORS_BEFORE_ALARM:
                await self.world.alarms.raise_alarm(tx, _failing_alarm(record, entry, note))

        try:
            await self.world.transact(work)
        except LostError:
            return None
        kept.fence += 1
        return kept

    async def _keep_stray(self, report: Report) -> None:
        key = call_key(report.process, report.n)
        outcome = _told(report.outcome)
        body = canonical_json({"outcome": outcome, "source": report.source})[:STRAY_LENGTH]

        async def work(tx: Transaction) -> None:
            await self.world.store.keep_stray(tx, key, digest(body), body, STRAY_LIMIT)
            await self.world.store.hasten(tx, report.process)
            summary = f"a {report.source} report names a call that does not exist"
            evidence = ({"call_key": key, "outcome": outcome},)
            await self.world.alarms.raise_alarm(tx, NewAlarm("unknown-call", report.source, summary, None, evidence))

        await self.world.transact(work)


def conflict_alarm(record: Record, entry: Entry, claim: FinalClaim, fields: tuple[str, ...]) -> NewAlarm:
    """The alarm of a call whose final claims contradict each other, or the arguments; both claims are its evidence."""
    first = () if entry.final is None else (_evidence(entry.final),)
    sent = ({"sent": msgspec.json.decode(entry.args)},) if claim.mismatch else ()
    against = "what was sent" if claim.mismatch else "an earlier final answer"
    summary = f"{record.type}.{entry.step}: {claim.kind} ({claim.source}) contradicts {against} in {', '.join(fields)}"
    return NewAlarm("conflict", record.call_key(entry), summary, record.id, (*first, *sent, _evidence(claim)))


def _told(outcome: Reported) -> Any:
    """A reported outcome as plain values; of one that JSON cannot hold, how Python writes it."""
    try:
        plain = msgspec.to_builtins(outcome, str_keys=True)
        encode_json(plain)
    except (InvalidParams, TypeError, ValueError, RecursionError):
        return {"unreadable": f"{outcome!r:.{STRAY_LENGTH}}"}
    return plain


def _evidence(claim: FinalClaim) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(claim)
    del body["at"]
    return body


def _failing_alarm(record: Record, entry: Entry, note: str) -> NewAlarm:
    summary = f"{record.type}: the step after {entry.step} raised {ERRORS_BEFORE_ALARM} times or more in a row"
    since = record.fence if record.errors + 1 == ERRORS_BEFORE_ALARM else 0
    return NewAlarm("step-failing", record.id.hex(), summary, record.id, ({"error": note, "fence": since},))


def _due_in(record: Record) -> int | None:
    return None if record.due is None else max(0, record.due - record.now)
