"""The one gate: every report of a call's outcome, from whichever way, is judged here and moves the process or not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec

from tieout.alarm.rules import NewAlarm
from tieout.contracts import Transaction
from tieout.errors import InvalidParams, Overloaded, UnknownCall
from tieout.identity import call_key, canonical_json, digest, encode_json
from tieout.messages.store import First
from tieout.process.landing import call_of
from tieout.process.moving import Cause, LostError, Moving, Receipt, StepError
from tieout.process.outcomes import Reported
from tieout.process.record import By, Entry, FinalClaim, Record, Source
from tieout.process.rules import Advance, Conflict, Duplicate, Ignore, Keep, Stray, Wait, verdict
from tieout.process.world import World

JUDGEMENTS = 100
"""How often one report is judged anew because somebody else was quicker: far above what real contention reaches."""

STRAY_LENGTH = 4_096
"""Characters kept of a report of an unknown call."""

STRAY_LIMIT = 10_000
"""Reports of unknown calls that are kept at a time."""


class Report(msgspec.Struct, frozen=True):
    """Somebody's claim about the outcome of call `n` of a process.

    `first` notes in the transaction that judges it that it has come, and says whether it has not before.
    """

    process: bytes
    n: int
    outcome: Reported
    source: Source
    by: By
    actor: str = ""
    first: First | None = None


class Gate:
    """Judges reports, each in one transaction with everything that follows from it."""

    def __init__(self, world: World, moving: Moving) -> None:
        self.world = world
        self.moving = moving

    async def report(self, report: Report, hint: Record | None = None) -> Receipt:
        """Judge a report and store what follows. `hint` is the row as last written by the reporter, if it has it.

        Raise `UnknownCall` when there is no such call, `NewerVersion`, or a `DatabaseError` after several tries. A
        transaction step that raises is not the reporter's error: a final claim is kept and applied later.
        """
        for _ in range(JUDGEMENTS):
            try:
                return await self.world.transact(partial(self._judge, report=report, hint=hint))
            except LostError:
                hint = None
            except StepError as error:
                kept = await self.moving.keep_after(error)
                if kept is not None:
                    return Receipt("kept", kept)
                hint = None
            except UnknownCall:
                await self._keep_stray(report)
                raise
        raise Overloaded(f"process {report.process.hex()} changes faster than a report of it can be judged")

    async def apply(self, record: Record, entry: Entry, claim: FinalClaim) -> Receipt:
        """Follow a final claim that was kept while the process was held, or because its step raised."""
        cause = Cause(claim.source, claim.by, entry.n)
        return await self._move(record, lambda tx: self.moving.close_call(tx, record, entry, claim, cause))

    async def go_on(self, record: Record, cause: Cause) -> Receipt:
        """Leave a state that waits for no call: the timer has passed, the children have ended, or it is cancelled."""
        return await self._move(record, lambda tx: self.moving.go_on(tx, record, cause))

    async def _move(self, record: Record, work: Callable[[Transaction], Awaitable[Receipt]]) -> Receipt:
        try:
            return await self.world.transact(work)
        except StepError as error:
            return Receipt("kept", await self.moving.keep_after(error) or record)
        except LostError:
            return Receipt("waiting", record)

    async def _judge(self, tx: Transaction, report: Report, hint: Record | None) -> Receipt:
        record = hint if hint is not None else await self._read(tx, report)
        if report.first is not None and not await report.first(tx):
            return Receipt("duplicate", record)
        process_type = self.world.type_of(record)
        entry = record.entry(report.n)
        call = call_of(process_type, entry) if entry is not None else None
        if entry is not None and entry.step in process_type.states and call is None:
            raise UnknownCall(f"{record.type}.{entry.step} is no call: nobody can report on it")
        at = self.world.server_time(record)
        rules = call.rules if call is not None else None
        match verdict(record, report.n, report.outcome, report.source, report.by, rules, at):
            case Advance(entry, claim):
                cause = Cause(report.source, report.by, entry.n, report.actor)
                return await self.moving.close_call(tx, record, entry, claim, cause)
            case Keep(entry, claim):
                return await self.moving.keep_claim(tx, record, entry, claim)
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

    async def _conflict(
        self, tx: Transaction, record: Record, entry: Entry, claim: FinalClaim, fields: tuple[str, ...]
    ) -> Receipt:
        says_something_new = await self.world.alarms.raise_alarm(tx, conflict_alarm(record, entry, claim, fields))
        if record.status == "running" and says_something_new:
            record = msgspec.structs.replace(record, status="held", note="conflict", lane=None)
            await self.moving.save(tx, record, None)
        elif record.status == "held":
            # Judged on a row that somebody may just have resumed: the fence tells.
            record = msgspec.structs.replace(record)
            await self.moving.save(tx, record, None)
        return Receipt("conflict", record)

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


def vanished_alarm(record: Record, entry: Entry) -> NewAlarm:
    """The alarm of a call that was followed as done, and of which the downstream finds nothing; a conflict as well."""
    followed = () if entry.final is None else (_evidence(entry.final),)
    summary = f"{record.type}.{entry.step}: it was done, and the downstream finds nothing of it"
    return NewAlarm(
        "conflict", record.call_key(entry), summary, record.id, (*followed, {"kind": "notfound", "source": "operator"})
    )


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
