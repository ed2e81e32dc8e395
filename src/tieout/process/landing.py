"""Where a transaction step's `Next` puts a process: the row's new state, the calls it opens, or its result."""

from __future__ import annotations

from typing import Any

import msgspec

from tieout.config import microseconds
from tieout.errors import ConfigError, InvalidParams, ReturnedWrongStep
from tieout.identity import encode_json
from tieout.process.call_type import CallType
from tieout.process.define import Next
from tieout.process.process import Process, type_of
from tieout.process.process_type import ProcessType
from tieout.process.record import By, Child, Entry, Record, Source, Status, Transition
from tieout.process.wait_type import JoinType, TimerType

CHILDREN = 10_000
"""Children of one process at a time: their requests are inserted in its transaction."""


class Landing(msgspec.Struct, frozen=True):
    """A checked move, ready to be stored: the calls to open, and when it is due, in microseconds from now."""

    state: str
    status: Status
    lane: str | None = None
    due_in: int | None = None
    calls: tuple[tuple[str, msgspec.Raw], ...] = ()
    children: tuple[Child, ...] = ()
    result: str | None = None


def land(process_type: ProcessType, moved: Next) -> Landing:
    """Check and encode what a move carries; raise `InvalidParams` when it does not fit the state's types."""
    if moved.state in process_type.finals:
        return Landing(moved.state, "final", result=process_type.finals[moved.state].encode(moved.result))
    match process_type.states[moved.state]:
        case CallType(lane=lane, rules=rules) as call:
            return Landing(moved.state, "running", lane, rules.first_due, (_open(call, moved),))
        case JoinType(lane=lane) as join:
            calls = _parts(process_type, join, moved)
            due_in = max(process_type.calls[name].rules.first_due for name, _ in calls)
            return Landing(moved.state, "running", lane, due_in, calls)
        case TimerType(lane=lane) as timer:
            after = _duration(moved.after, timer.lane)
            args = msgspec.Raw(timer.args.encode({**moved.args, "tieout_after": after}).encode())
            return Landing(moved.state, "running", lane, after, ((moved.state, args),))
        case waits:
            opened = ((moved.state, msgspec.Raw(b"{}")),)
            return Landing(moved.state, "running", waits.lane, 0, opened, _children(waits.lane, moved.children))


def first_calls(landing: Landing, trace: str = "") -> list[Entry]:
    """The calls of a process that starts with this landing. The row's own creation time is when they opened."""
    return [Entry(n, step, args, trace=trace) for n, (step, args) in enumerate(landing.calls, 1)]


def moved_on(
    record: Record, landing: Landing, at: int, source: Source, by: By, n: int, actor: str = "", *, trace: str = ""
) -> Record:
    """A copy of `record`, of which nothing is open any more, after it has landed; call `n` is what moved it."""
    calls = list(record.calls)
    opened = enumerate(landing.calls, len(calls) + 1)
    calls += [Entry(n, step, args, opened=at, trace=trace) for n, (step, args) in opened]
    transition = Transition(landing.state, at, source, by, n, actor)
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
    """The call step of an entry, or None when it is none, or none that the code still has."""
    return process_type.calls.get(entry.step)


def _open(call: CallType, moved: Next) -> tuple[str, msgspec.Raw]:
    if not call.takes.issuperset(moved.args):
        unknown = sorted(moved.args.keys() - call.takes)
        raise InvalidParams(f"{call.name}.next(...) was given arguments that it does not take: {unknown}")
    return call.name, msgspec.Raw(call.args.encode(moved.args).encode())


def _parts(process_type: ProcessType, join: JoinType, moved: Next) -> tuple[tuple[str, msgspec.Raw], ...]:
    missing = join.parts.keys() - join.optional - moved.calls.keys()
    unknown = moved.calls.keys() - join.parts.keys()
    wrong = {name for name, part in moved.calls.items() if not isinstance(part, Next) or part.state != name}
    if missing or unknown or wrong:
        raise ReturnedWrongStep(f"{join.lane}.next(...) takes name=self.name.next(...) for: {', '.join(join.parts)}")
    return tuple(_open(process_type.calls[name], part) for name, part in moved.calls.items())


def _duration(after: float | str, where: str) -> int:
    try:
        return microseconds(after)
    except ConfigError as error:
        raise InvalidParams(f"{where}.next(...): {error}") from error


def _children(where: str, requests: tuple[Any, ...]) -> tuple[Child, ...]:
    if len(requests) > CHILDREN:
        raise InvalidParams(f"{where}: {len(requests)} children at a time are more than {CHILDREN}")
    return tuple(_child(where, request) for request in requests)


def _child(where: str, request: Any) -> Child:
    if not isinstance(request, Process):
        raise InvalidParams(f"{where}: a child is a request, an instance of a process type, not {request!r:.100}")
    process_type = type_of(type(request))
    params = encode_json(process_type.stored_params(request.__dict__))
    return Child(request.__dict__["identity"].id, process_type.name, params)
