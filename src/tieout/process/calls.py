"""Calls to downstreams: what is sent, what is asked, and what an answer, or none, is taken for."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec

from tieout import tracing
from tieout.alarm.rules import NewAlarm
from tieout.contracts import Transaction
from tieout.errors import DatabaseError, InvalidParams, NotSent
from tieout.identity import encode_json, storable_text
from tieout.process.call_type import CallType
from tieout.process.gate import Gate, Report
from tieout.process.landing import with_entry
from tieout.process.moving import LostError, Receipt
from tieout.process.outcomes import Failed, NotFound, NotSentYet, Pending, Reported, Succeeded, Unknown
from tieout.process.record import By, Entry, Record, Source
from tieout.process.sending import Sending
from tieout.process.store import ProcessStore
from tieout.process.world import World, log

RAW_LENGTH = 2_000
"""Characters kept of an answer that makes no sense."""

_NEVER_CONNECTED = frozenset({"ClientConnectorError", "ClientConnectorDNSError", "ConnectError", "NewConnectionError"})
"""What HTTP clients (aiohttp, httpx, urllib3) call their error when no connection was made."""


class Calls:
    """Sends and queries the open call of a process that the caller holds."""

    def __init__(self, world: World, gate: Gate) -> None:
        self.world = world
        self.gate = gate
        self.moved_late: Callable[[Receipt], None] = _nobody_waits

    def send(self, record: Record, entry: Entry, call: CallType, source: Source) -> Awaitable[Reported]:
        """Send the call with its stored arguments and return what came of it; never raises an `Exception`."""
        return self._attempt(record, entry, call, call.method, source, "call")

    async def query(self, record: Record, entry: Entry, call: CallType, source: Source) -> Reported:
        """Ask the downstream what became of the call; never raises an `Exception`."""
        if call.query is None:
            return Unknown("there is no query")
        return await self._attempt(record, entry, call, call.query, source, "query")

    async def mark_sent(self, record: Record, entry: Entry, call: CallType) -> tuple[Record, Entry] | None:
        """Commit that the call is being sent, and a new lease; None when the process is no longer ours."""
        while True:
            marked = await self._mark(record, entry, call)
            if marked is not None:
                return marked
            again = await self._read(record.id)
            same = again.entry(entry.n) if again is not None and _is_still_ours(again, record) else None
            if again is None or same is None or same.closed or same.final is not None or same.sent != entry.sent:
                return None
            record, entry = again, same

    async def _read(self, process: bytes) -> Record | None:
        return await self.world.transact(lambda tx: self.world.store.read(tx, process))

    async def _mark(self, record: Record, entry: Entry, call: CallType) -> tuple[Record, Entry] | None:
        marked = msgspec.structs.replace(entry, sent=self.world.server_time(record))
        after = with_entry(record, marked)

        async def work(tx: Transaction) -> None:
            if not await self.world.store.save(tx, after, call.rules.first_due):
                raise LostError

        asked_at = self.world.clock.monotonic()
        try:
            await self.world.transact(work)
        except LostError:
            return None
        after.fence += 1
        after.due = record.server_time(asked_at) + call.rules.first_due
        return after, marked

    def has_lease(self, record: Record, call: CallType) -> bool:
        """Whether a try that begins now would end before somebody else may take the process over."""
        return record.due is not None and self.world.server_time(record) + call.rules.timeout <= record.due

    def _attempt(
        self, record: Record, entry: Entry, call: CallType, method: Callable[..., Any], source: Source, by: By
    ) -> Awaitable[Reported]:
        attempt = self._traced if tracing.is_on() else self._tried
        return attempt(record, entry, call, method, source, by)

    async def _traced(
        self, record: Record, entry: Entry, call: CallType, method: Callable[..., Any], source: Source, by: By
    ) -> Reported:
        attributes = {"tieout.process": record.id.hex(), "tieout.call": entry.n, "tieout.source": source}
        with tracing.span(f"{by} {record.type}.{entry.step}", entry.trace, "client", attributes) as span:
            outcome = await self._tried(record, entry, call, method, source, by)
            if span is not None:
                span.set_attribute("tieout.outcome", type(outcome).__name__.lower())
        return outcome

    async def _tried(
        self, record: Record, entry: Entry, call: CallType, method: Callable[..., Any], source: Source, by: By
    ) -> Reported:
        timeout = call.rules.timeout / 1e6
        over = self.world.clock.monotonic() + timeout
        sending = Sending(record.call_key(entry), timeout, record.attempts + 1, partial(self._recall, record.id, over))

        async def late(answer: Any) -> None:
            outcome = await self.outcome_of(record, entry, call, answer)
            if isinstance(outcome, (Succeeded, Failed)):
                self.moved_late(await self.gate.report(Report(record.id, entry.n, outcome, source, by)))

        try:
            process = self.world.revive(self.world.types[record.type], record)
            args = call.arguments(entry.args)
            answer = await self.world.caller.attempt(method, (process, sending), args, timeout, late)
        except TimeoutError:
            outcome: Reported = Unknown("timed out")
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, the call may have been done
            outcome = _outcome_of_error(error)
            if isinstance(outcome, Unknown):
                log.info("process %s: %s raised", record.id.hex(), call.name, exc_info=error)
        else:
            outcome = await self.outcome_of(record, entry, call, answer)
        await self._tell_breaker(call, outcome)
        return outcome

    async def outcome_of(self, record: Record, entry: Entry, call: CallType, answer: Any) -> Reported:
        """What an answer is taken for; one that fits no type is unknown, kept, and told to a person."""
        try:
            return normalised(call, answer)
        except InvalidParams as error:
            raw = repr(answer)[:RAW_LENGTH]
            log.warning("process %s: %s answered what it cannot mean: %s", record.id.hex(), call.name, error)
            summary = f"{record.type}.{entry.step} answered what does not fit its type: {error}"[:500]
            alarm = NewAlarm("unfit-answer", record.call_key(entry), summary, record.id, ({"raw": raw},), call.lane)
            await self.world.transact(lambda tx: self.world.alarms.raise_alarm(tx, alarm))
            return Unknown(str(error)[:RAW_LENGTH], raw)

    async def _recall(self, process: bytes, over: float, name: str, look_up: Callable[[], Awaitable[Any]]) -> Any:
        store = self.world.store
        kept = await self.world.transact(lambda tx: store.recall(tx, process, name))
        if kept is None:
            value = encode_json(msgspec.to_builtins(await look_up(), str_keys=True))
            kept = await self.world.transact(lambda tx: _keep_first(store, tx, process, name, value))
        if self.world.clock.monotonic() >= over:
            # The handler runs on behind its time-out: it must not send what somebody else may be sending by now.
            raise TimeoutError("the try was over before its recall was there")
        return msgspec.json.decode(kept)

    async def _tell_breaker(self, call: CallType, outcome: Reported) -> None:
        """Count what came for the lane's breaker; an alarm stands while it is open."""
        answered = not isinstance(outcome, (Unknown, NotSentYet))
        turn = self.world.breakers.record(call.lane, self.world.clock.monotonic(), answered=answered)
        if turn is None:
            return
        summary = f"{call.lane} does not answer: nothing is sent to it but trials"
        alarm = NewAlarm("breaker", call.lane, summary, lane=call.lane, reopens=True)
        alarms = self.world.alarms
        try:
            if turn == "opened":
                await self.world.transact(lambda tx: alarms.raise_alarm(tx, alarm))
            else:
                await self.world.transact(lambda tx: alarms.clear(tx, alarm.id, f"{call.lane} answers again"))
        except DatabaseError as error:
            log.warning("the breaker of %s has %s, and its alarm could not be written: %s", call.lane, turn, error)


def _nobody_waits(_: Receipt) -> None:
    """Without a worker, what a late answer has moved is left to the sweep."""


async def _keep_first(store: ProcessStore, tx: Transaction, process: bytes, name: str, value: str) -> str:
    """Keep a value unless there is one; the one that is kept then."""
    await store.keep_recall(tx, process, name, value)
    return await store.recall(tx, process, name) or value


def _is_still_ours(again: Record, record: Record) -> bool:
    """Whether only a sibling call has changed the row: a claim by anybody would have raised its attempts."""
    return (again.status, again.state, again.attempts) == ("running", record.state, record.attempts)


def normalised(call: CallType, answer: Any) -> Reported:
    """An outcome with its value as plain JSON values, checked against the call's type; raise `InvalidParams`."""
    match answer:
        case Succeeded(value):
            return Succeeded(call.answer.storable(value))
        case Failed(code, detail) if isinstance(code, str) and isinstance(detail, str):
            return Failed(storable_text(code, RAW_LENGTH), storable_text(detail, RAW_LENGTH))
        case Unknown(reason, raw):
            return Unknown(str(reason)[:RAW_LENGTH], str(raw)[:RAW_LENGTH])
        case Pending(after) if after is None or isinstance(after, (int, float)):
            return answer
        case NotFound() | NotSentYet():
            return answer
    raise InvalidParams(f"{answer!r:.200} is not an outcome: return Succeeded, Failed, Pending or Unknown")


def _outcome_of_error(error: Exception) -> Reported:
    never_left = isinstance(error, (NotSent, ConnectionRefusedError, socket.gaierror))
    reason = f"{type(error).__name__}: {error}"[:RAW_LENGTH]
    if never_left or any(cls.__name__ in _NEVER_CONNECTED for cls in type(error).__mro__):
        return NotSentYet(reason)
    return Unknown(reason)
