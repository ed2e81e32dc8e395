"""A process as people and callers see it."""

from __future__ import annotations

from typing import Any

import msgspec

from tieout.errors import InvalidParams
from tieout.identity import split_owner
from tieout.process.process_type import ProcessType
from tieout.process.record import FinalClaim, Record, Transition


class CallView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call: its number and key, the step and arguments, and the first final claim."""

    n: int
    key: str
    step: str
    args: Any
    closed: bool
    final: FinalClaim | None = None


class ProcessView(msgspec.Struct, frozen=True):
    """A process as it stood when it was read. Times are the database server's, microseconds since the epoch.

    `result` is the final's typed value, None before; `replayed` is True when the request had been started before.
    `client` is who started it over HTTP, "" for what was started in Python. `unreadable` names fields of a listed
    process that are empty because what is stored cannot be read here: a payload codec or its key is not given.
    """

    id: str
    type: str
    client: str
    owner: str
    key: str
    state: str
    status: str
    result: Any
    replayed: bool
    note: str | None
    params: dict[str, Any]
    snapshots: dict[str, Any]
    calls: list[CallView]
    trail: list[Transition]
    attempts: int
    errors: int
    duplicates: int
    version: int
    fence: int
    wish: str | None
    parent: str | None
    due: int | None
    lane: str | None
    created: int
    changed: int
    unreadable: tuple[str, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether it has reached a final state, which never changes."""
        return self.status in ("final", "retired")


def view(record: Record, process_type: ProcessType | None = None, *, replayed: bool = False) -> ProcessView:
    """The view of a row; without its type, or when the result no longer fits it, `result` is plain JSON values."""
    client, owner = split_owner(record.owner)
    return ProcessView(
        record.id.hex(),
        record.type,
        client,
        owner,
        record.request_key.decode(errors="replace"),
        record.state,
        record.status,
        None if record.result is None else _result(record.result, record.state, process_type),
        replayed,
        record.note,
        _decode(record.params),
        {} if record.snapshots == "{}" else _decode(record.snapshots),
        [
            CallView(entry.n, record.call_key(entry), entry.step, _decode(entry.args), entry.closed, entry.final)
            for entry in record.calls
        ],
        record.trail,
        record.attempts,
        record.errors,
        record.duplicates,
        record.version,
        record.fence,
        record.wish,
        None if record.parent is None else record.parent.hex(),
        record.due,
        record.lane,
        record.created,
        record.changed,
        record.unreadable,
    )


_decode = msgspec.json.Decoder().decode


def _result(stored: str, state: str, process_type: ProcessType | None) -> Any:
    codec = process_type.finals.get(state) if process_type else None
    if codec is not None:
        try:
            return codec.decode(stored)
        except InvalidParams:
            pass
    return _decode(stored)
