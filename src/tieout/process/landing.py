"""Where a transaction step's `Next` puts a process: the row's new state, the call it opens, or its result."""

from __future__ import annotations

from typing import Any

import msgspec

from tieout.errors import InvalidParams
from tieout.process.call_type import CallType
from tieout.process.define import Next
from tieout.process.process_type import ProcessType
from tieout.process.record import By, Entry, Record, Source, Status, Transition


class Landing(msgspec.Struct, frozen=True):
    """A checked move, ready to be stored. `due_in` is in microseconds from the server's now."""

    state: str
    status: Status
    lane: str | None
    due_in: int | None
    args: msgspec.Raw | None
    result: str | None


def land(process_type: ProcessType, moved: Next) -> Landing:
    """Check and encode what a move carries; raise `InvalidParams` when it does not fit the state's types."""
    call = process_type.calls.get(moved.state)
    if call is None:
        result = process_type.finals[moved.state].encode(moved.result)
        return Landing(moved.state, "final", None, None, None, result)
    unknown = moved.args.keys() - call.args.kind.__struct_fields__
    if unknown:
        raise InvalidParams(f"{call.name}.next(...) was given arguments that it does not take: {sorted(unknown)}")
    args = msgspec.Raw(call.args.encode(moved.args).encode())
    return Landing(moved.state, "running", call.lane, call.rules.first_due, args, None)


def first_calls(landing: Landing) -> list[Entry]:
    """The calls of a process that starts with this landing. The row's own creation time is when they opened."""
    return [] if landing.args is None else [Entry(1, landing.state, landing.args)]


def moved_on(
    record: Record, closed: Entry, landing: Landing, at: int, source: Source, by: By, actor: str = ""
) -> Record:
    """A copy of `record` after its call `closed` has been closed and it has landed."""
    calls = [closed if entry.n == closed.n else entry for entry in record.calls]
    if landing.args is not None:
        calls.append(Entry(len(calls) + 1, landing.state, landing.args, opened=at))
    transition = Transition(landing.state, at, source, by, closed.n, actor)
    return msgspec.structs.replace(
        record,
        state=landing.state,
        status=landing.status,
        lane=landing.lane,
        calls=calls,
        trail=[*record.trail, transition],
        result=landing.result,
        note=None,
        attempts=0,
        errors=0,
    )


def with_entry(record: Record, entry: Entry, **changes: Any) -> Record:
    """A copy of `record` in which one call and some columns are others."""
    calls = [entry if other.n == entry.n else other for other in record.calls]
    return msgspec.structs.replace(record, calls=calls, **changes)


def call_of(process_type: ProcessType, entry: Entry) -> CallType | None:
    """The call step of an entry, or None when the code no longer has it."""
    return process_type.calls.get(entry.step)
